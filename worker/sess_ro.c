/* worker/sess_ro.c: transactions that began READ ONLY on a replica: what runs there, what ends them, and what cannot be
 * said to a replica. Measured on 10.11: a server answers writes, FOR UPDATE, NEXTVAL and temporary tables in them with 1792,
 * commits before DDL and LOCK TABLES, and stays in the transaction at SET autocommit; a replica answers writes with 1290,
 * as it is read-only itself. Runs in a worker.
 */
#include "worker/sess.h"

/* Nothing was written, so that to roll back, which a reset does, is to commit. */
static void
ro_end(struct sess *s)
{
	struct bconn *b = s->b;

	s->insert_id_lost |= s->insert_id_open;
	s->insert_id_open = s->diag_open = s->in_trx = s->ro_trx = false;
	s->pins = 0;
	s->status &= (u16)~(ST_IN_TRANS | ST_IN_TRANS_READONLY);
	sess_record_pin(s);
	bconn_unlink(b);
	b->set_unknown = true;
	bpool_give(b);
}

/* Answered by a replica as by any server: reads, what a transaction of this kind refuses, its end. */
static bool
may_stay(const struct stmt *st)
{
	const u64 harmless = 1ull << PIN_TRX | 1ull << PIN_NEXT_TRX | 1ull << PIN_DIAGNOSTICS | 1ull << PIN_SEQUENCE |
	    1ull << PIN_TEMP_TABLE; /* the last two are refused by the server, and leave nothing */

	if ((st->pins & ~harmless) != 0 || (st->why == ROUTE_LOCKING && (st->flags & STMT_F_DML) == 0))
		return false;
	return (st->flags & STMT_F_MULTI) == 0 || (st->flags & (STMT_F_DML | STMT_F_IMPLICIT_COMMIT)) == 0;
}

bool
ro_dispatch(struct sess *s)
{
	const struct stmt *st = &s->cmd.st;

	if (!cmd_runs(&s->cmd))
		return false;
	if ((st->flags & STMT_F_IMPLICIT_COMMIT) != 0 && st->kind != STMT_SET && (st->flags & STMT_F_MULTI) == 0) {
		ro_end(s);
		return false;
	}
	if (may_stay(st))
		return false;
	cmd_fail(s, ERR_REFUSED,
	    "the statement locks, or leaves state on its connection, in a READ ONLY transaction that a replica runs; begin "
	    "it with /* margay: primary */");
	return true;
}

/* A replica's words for a write, as the transaction would have had them of any other server. */
bool
ro_error(struct sess *s, u16 code, u8 seq, struct wr *w)
{
	if (!s->ro_trx || code != 1290)
		return false;
	s->cmd.err_code = 1792;
	pkt_err_write(w, seq, 1792, "25006", "Cannot execute statement in a READ ONLY transaction");
	return true;
}
