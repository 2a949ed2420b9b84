/* worker/sess_ahead.c: what goes to a server ahead of a statement, so that the connection is as its session is: reset,
 * settings, database, the prepared statement, LAST_INSERT_ID(). Runs in a worker.
 */
#include "worker/sess_causal.h"

struct ahead {
	struct wr w;
	u8 exp[EXP_MAX];
	u32 n;
	bool sent; /* some of it already */
	u8 buf[16384]; /* settings of a session with the longest values seen (optimizer_switch) twice */
};

static void
ahead_com(struct ahead *a, u8 com, const void *arg, size_t len, enum expect e)
{
	size_t at = wr_pkt_begin(&a->w);

	wr_u8(&a->w, com);
	wr_bytes(&a->w, arg, len);
	wr_pkt_end(&a->w, at, 0);
	if (a->n < EXP_MAX)
		a->exp[a->n++] = (u8)e;
	else
		a->w.bad = true;
}

static void
ahead_reset(struct ahead *a, struct bconn *b)
{
	ahead_com(a, COM_RESET_CONNECTION, NULL, 0, EXP_RESET);
	const char *sql = bconn_setup_sql(b, true);

	ahead_com(a, COM_QUERY, sql, strlen(sql), EXP_SETUP);
	if (b->bp->collation == 0) {
		/* a login that names no collation has the server's; a reset brings back the one that an earlier connection of the
		 * server's thread had named (measured) */
		static const char charset[] = "SET character_set_client=DEFAULT,character_set_results=DEFAULT,collation_connection=DEFAULT";

		ahead_com(a, COM_QUERY, charset, sizeof charset - 1, EXP_SETUP);
	}
	STAT_ADD(b->w->stat->resets, 1);
	bconn_settings_set(b, b->w->in.empty);
	b->diag_left = false;
	b->db_reset = true;
	bps_clear(b);
}

/* Settings and database as the session has, or had, them. The connection counts as changed at once: if one of
 * these fails it is closed. */
static void
ahead_state(struct ahead *a, struct bconn *b, struct istr *db, struct settings *set)
{
	u8 sql[8192];

	if (b->set != set) {
		struct wr t = wr_init(sql, sizeof sql);

		wr_str(&t, "SET ");
		if (!settings_diff(&t, b->set, set)) {
			ahead_reset(a, b);
			t = wr_init(sql, sizeof sql);
			wr_str(&t, "SET ");
			(void)settings_diff(&t, b->set, set);
		}
		if (t.bad)
			a->w.bad = true;
		else if (t.len > 4)
			ahead_com(a, COM_QUERY, sql, t.len, EXP_SET);
		bconn_settings_set(b, set);
		STAT_ADD(b->w->stat->syncs, 1);
	}
	if (db != NULL && (b->db != db || b->db_reset)) {
		ahead_com(a, COM_INIT_DB, db->text, db->len, EXP_DB);
		bconn_db_set(b, db);
		STAT_ADD(b->w->stat->syncs, 1);
	}
}

/* What is collected goes out; more may follow. */
static void
ahead_flush(struct ahead *a, struct bconn *b)
{
	struct iovec iov = {a->buf, a->w.len};

	if (a->w.bad || (a->n > 0 && !bconn_send(b, &iov, 1, a->exp, a->n)))
		b->conn.eof = true;
	a->sent |= a->n > 0;
	a->n = 0;
	a->w = wr_init(a->buf, sizeof a->buf);
}

/* The statement as the client prepared it, under the settings and in the database of that time: ps_settle has seen
 * to it that there is a way from these to the session's. */
static void
ahead_prepare(struct ahead *a, struct ps *ps, struct bconn *b)
{
	ahead_state(a, b, ps->db, ps->set);
	STAT_ADD(b->w->stat->prepares_again, 1);
	istr_put(&b->w->in, b->prep_text);
	istr_put(&b->w->in, b->prep_db);
	settings_put(&b->w->in, b->prep_set);
	b->prep_text = istr_ref(ps->text);
	b->prep_db = istr_ref(ps->db);
	b->prep_set = settings_ref(ps->set);
	if (ps->text->len + 64 <= sizeof a->buf - a->w.len) {
		ahead_com(a, COM_STMT_PREPARE, ps->text->text, ps->text->len, EXP_PREPARE);
		return;
	}
	ahead_flush(a, b); /* too long to go with the rest */
	if (!bconn_send_com(b, COM_STMT_PREPARE, ps->text->text, ps->text->len, EXP_PREPARE))
		b->conn.eof = true;
	a->sent = true;
}

/* May the statement look at LAST_INSERT_ID()? */
static bool
asks_insert_id(struct sess *s)
{
	const u64 unseen = 1ull << PIN_ROUTINE | 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG;
	u32 flags = s->cmd.st.flags;

	return (flags & STMT_F_INSERT_ID) != 0 || (s->cmd.st.pins & unseen) != 0 || ((flags & STMT_F_DML) != 0 && cmd_may_fire(s));
}

/* ... and the connection not have the session's? */
bool
cmd_wants_insert_id(struct sess *s)
{
	if (s->insert_id_open || s->cmd.com == COM_STMT_PREPARE || (s->b != NULL && s->b->knows_id))
		return false;
	/* who may leave another id, but need not, must find the session's there: it is asked for afterwards */
	return asks_insert_id(s) || (s->cmd.st.flags & STMT_F_LEAVES_ID) != 0 || s->keeps_diag;
}

void
cmd_fail_lost_id(struct sess *s)
{
	cmd_fail(s, ERR_STATE_LOST, "LAST_INSERT_ID(), which the statement may ask for");
}

bool
cmd_asks_lost_id(struct sess *s)
{
	if (!s->insert_id_lost || !cmd_wants_insert_id(s))
		return false;
	s->insert_id_lost = false;
	s->insert_id = 0;
	return true;
}

/* May its reply tell an insert id that LAST_INSERT_ID() has not become? An INSERT tells the value that the statement itself
 * has for the column, and LAST_INSERT_ID() stays (measured): the connection, which is asked afterwards, must have the
 * session's. */
bool
cmd_may_tell_id(const struct sess *s)
{
	switch (s->cmd.st.kind) {
	case STMT_INSERT:
	case STMT_REPLACE:
	case STMT_LOAD:
	case STMT_DDL: /* CREATE TABLE .. SELECT */
		return !s->insert_id_open && s->cmd.com != COM_STMT_PREPARE;
	default:
		return (s->cmd.st.flags & STMT_F_MULTI) != 0 && (s->cmd.st.flags & STMT_F_DML) != 0 && !s->insert_id_open;
	}
}

bool
cmd_sets_insert_id(struct sess *s, const struct bconn *b)
{
	bool differs = (s->insert_id != 0 && !s->insert_id_lost) || b->id_left;

	return cmd_wants_insert_id(s) || (differs && !b->knows_id && cmd_may_tell_id(s));
}

/* True: something was sent, the statement follows when it succeeded. */
bool
cmd_send_ahead(struct sess *s, struct bconn *b, bool own_connection)
{
	struct ahead a;

	struct ps *ps = s->cmd.ps;

	a.n = 0;
	a.sent = false;
	a.w = wr_init(a.buf, sizeof a.buf);
	/* A kept connection is as the session is, and is never reset: it may be in a transaction.
	 * Others: the next statement of a session that keeps the connection may ask for diagnostics, not another's. */
	if (!own_connection &&
	    (s->cmd.needs_reset || (b->diag_left && !stmt_clears_diagnostics(&s->cmd.st)) ||
		!settings_reach(b->set, s->set)))
		ahead_reset(&a, b);
	if (unlikely(s->cmd.wait_for.n > 0) && !own_connection) {
		char sql[CAUSAL_SQL_MAX];
		size_t n = causal_sql(s, sql, sizeof sql);

		ahead_com(&a, COM_QUERY, sql, n, EXP_WAIT);
	}
	if (ps != NULL && bps_find(b, ps->text, ps->db, ps->set) == NULL)
		ahead_prepare(&a, ps, b);
	if (!own_connection || ps != NULL)
		ahead_state(&a, b, s->db, s->set);
	if ((s->cmd.st.flags & STMT_F_TRACKER) != 0 && !s->own_trackers && s->cmd.com != COM_STMT_PREPARE) {
		/* these settings are the proxy's; from here on, and for as long as it keeps this connection, the session's */
		ahead_com(&a, COM_QUERY, BCONN_TRACK_DEFAULT_SQL, sizeof BCONN_TRACK_DEFAULT_SQL - 1, EXP_SET);
		s->own_trackers = true;
		b->set_unknown = true;
	}
	u64 id = s->insert_id_lost ? 0 : s->insert_id;

	if (cmd_sets_insert_id(s, b)) {
		char sql[64];
		int n = snprintf(sql, sizeof sql, "SET last_insert_id=%llu", (unsigned long long)id);

		ahead_com(&a, COM_QUERY, sql, (size_t)n, EXP_INSERT_ID);
		b->knows_id = !s->insert_id_lost;
		b->id_left = id != 0;
	}
	if (unlikely(s->insert_id_unsure) && s->insert_id_open && s->cmd.com != COM_STMT_PREPARE && asks_insert_id(s)) {
		/* 0, where it was 0 before: the INSERT had a value of its own, and what is asked for is lost */
		static const char sql[] = "IF LAST_INSERT_ID()=0 THEN SIGNAL SQLSTATE '45000'; END IF";

		ahead_com(&a, COM_QUERY, sql, sizeof sql - 1, EXP_INSERT_ID);
		s->insert_id_unsure = false;
	}
	if (a.n == 0 && !a.sent && likely(b->exp_n == 0)) /* else: COM_STATISTICS of sess_idle.c is under way */
		return false;
	if (!cmd_save(s))
		return true;
	b->hold_cmd = true;
	ahead_flush(&a, b);
	if (b->conn.eof) {
		sess_on_backend_lost(s, b, "statement could not be prepared for");
		bconn_close(b, "could not send");
	}
	return true;
}

int
cmd_replay_ahead(struct sess *s, struct bconn *b, const struct replay_ahead *x)
{
	struct ahead a;
	char sql[64];

	a.n = 0;
	a.sent = false;
	a.w = wr_init(a.buf, sizeof a.buf);
	if (x->first && (b->diag_left || !settings_reach(b->set, x->set)))
		ahead_reset(&a, b);
	bool again = x->ps != NULL && bps_find(b, x->ps->text, x->ps->db, x->ps->set) == NULL;
	/* within a transaction there is no reset */
	if (!x->first && (!settings_reach(b->set, x->set) ||
	        (again && (!settings_reach(b->set, x->ps->set) || !settings_reach(x->ps->set, x->set)))))
		return -1;
	if (again)
		ahead_prepare(&a, x->ps, b);
	ahead_state(&a, b, x->db, x->set);
	b->id_left = true;
	for (int i = 0; i < 2; i++) {
		static const char *const name[2] = {"last_insert_id", "insert_id"};
		u64 v = i == 0 ? x->id : x->insert_id;

		if (i == 0 ? !x->first : v == 0)
			continue;
		int n = snprintf(sql, sizeof sql, "SET %s=%llu", name[i], (unsigned long long)v);
		ahead_com(&a, COM_QUERY, sql, (size_t)n, EXP_INSERT_ID);
	}
	if (a.n == 0 && !a.sent)
		return 0;
	b->hold_cmd = true;
	ahead_flush(&a, b);
	if (b->conn.eof) {
		sess_on_backend_lost(s, b, "transaction could not be run again on");
		bconn_close(b, "could not send");
	}
	return 1;
}
