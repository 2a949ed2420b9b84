/* worker/sess_com.c: the commands as they come in: what each COM_ is, statements that are streamed because they are long,
 * and the account that is made when a statement has ended. Runs in a worker.
 */
#include "base/str.h"
#include "worker/sess.h"

/* May a write fire triggers that leave state on the connection? What health knows of the session's cluster. */
bool
cmd_may_fire(struct sess *s)
{
	const struct cfg_user *u = sess_user(s);
	struct worker *w = s->w;

	if (u == NULL)
		return true;
	const struct cfg_cluster *c = &cfg_clusters(&w->cfg)[u->cluster_idx];
	int prim = clu_primary_load(w->health, c->id, NULL);

	if (c->routine_check_interval == 0)
		return true;
	return prim >= 0 && w->health->servers[prim].leaves_state == 1;
}

/* The beginning of the statement for the process list. */
static void
keep_info(struct sess *s, const u8 *text, size_t len)
{
	struct shm_session *r = &s->w->srec[s->rec];
	char info[INFO_LEN];
	size_t n = MIN(len, sizeof info - 1);

	if (s->cmd.st.flags & STMT_F_SECRET) {
		n = 0;
		while (n < len && n < 20 && text[n] > ' ')
			n++;
		memcpy(info, text, n);
		memcpy(info + n, " ...", 4);
		n += 4;
	} else {
		memcpy(info, text, n);
	}
	memset(info + n, 0, MIN(sizeof info - n, 8 - n % 8));
	seq_write_begin(&r->seq);
	seq_words_store(r->info, info, (n + 8) / 8 * 8 > sizeof info ? sizeof info : (n + 8) / 8 * 8);
	seq_write_end(&r->seq);
}

/* Does the word occur anywhere in the statement's bytes? */
bool
cmd_has_word(const struct sess *s, const char *word)
{
	const struct ps *ps = s->cmd.ps;
	const u8 *p = ps != NULL ? (const u8 *)ps->text->text : s->cmd.p + PKT_HDR;
	size_t len = ps != NULL ? ps->text->len : s->cmd.len - PKT_HDR;

	return text_has_word(p, len, word);
}

/* KILL, of a session by its number or of a user's. True: it was answered. */
static bool
kill_here(struct sess *s, const void *text)
{
	const struct stmt *st = &s->cmd.st;

	return st->arg_len == 0 ? local_kill(s, st->num, st->flags) : kill_user(s, (const char *)text + st->arg_off, st->arg_len);
}

/* A statement of this text begins: what the process list, the digests and the slow log keep of it. */
void
cmd_query_begins(struct sess *s, const u8 *text, size_t len)
{
	keep_info(s, text, len);
	if ((s->cmd.part || (s->cmd.st.flags & STMT_F_MULTI) != 0) && s->w->cfg.r->margay.digests)
		digest_text(s, text, MIN(len, (size_t)PKT_MAX_BODY - 1), sess_lex_mode(s));
	if (unlikely(s->w->slow_ns != UINT64_MAX))
		slow_keep(s, text, len);
}

static void
com_query(struct sess *s, const u8 *text, size_t len)
{
	plan_query(s, text, len);
	if (unlikely((s->cmd.st.flags & STMT_F_MULTI) != 0) && multi_begin(s, text, len))
		return;
	cmd_query_begins(s, text, len);
	if (unlikely((s->cmd.st.flags & STMT_F_MARGAY) != 0) && trace_variable(s))
		return;
	if (unlikely(s->trace != NULL) && trace_show(s))
		return;
	if (s->cmd.st.kind == STMT_PROCESSLIST) {
		local_processlist(s, (s->cmd.st.flags & STMT_F_FULL) != 0);
		return;
	}
	/* in any other form the server looks for the thread: ids of clients are none of its own (shm/link.h) */
	if (s->cmd.st.kind == STMT_KILL && kill_here(s, text))
		return;
	cmd_dispatch(s);
}

static void
local_ok(struct sess *s)
{
	bool ok = sess_ok(s, 1);

	STAT_ADD(s->w->stat->local_answers, 1);
	s->row_count = 0; /* as behind any OK of a server's (measured for COM_PING) */
	if (s->b != NULL)
		s->b->ran = false;
	sess_cmd_clear(s);
	if (!ok)
		sess_close(s, "write to client failed");
}

/* All that the session has made of its connection ends; what it keeps is reset before the pool. */
void
sess_reset(struct sess *s)
{
	struct bconn *b = s->b;

	if (b != NULL) {
		s->insert_id_open = false;
		bconn_unlink(b);
		b->set_unknown = true;
		if ((s->pins & PINS_NO_RESET) != 0)
			b->in_trouble = true;
		bpool_give(b);
	}
	replay_free(s);
	ps_drop_all(s);
	settings_put(&s->w->in, s->set);
	s->set = settings_ref(s->w->in.empty);
	s->defaults = s->w->defaults;
	idle_reset(s);
	s->own_trackers = false;
	s->pins = 0;
	s->in_trx = s->ro_trx = false;
	s->status = ST_AUTOCOMMIT;
	s->mode_unsure = s->trx_unsure = false;
	s->lex_charset = s->lex_login;
	s->insert_id = 0;
	s->learning = 0;
	s->learning_id = s->learning_found = false;
	s->insert_id_lost = s->insert_id_unsure = false;
	s->row_count = -1;
	s->found_rows = 0;
	s->found_unsure = false;
	trace_off(s);
	sess_record_pin(s);
}

static void
com_reset_connection(struct sess *s)
{
	change_left_collation(s);
	sess_reset(s);
	s->caps &= ~(CAP_IGNORE_SPACE | CAP_INTERACTIVE); /* what a login makes of these ends with it (measured) */
	local_ok(s);
}

static void
com_set_option(struct sess *s, const u8 *body, size_t len)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	u32 opt = len >= 3 ? rd16(body + 1) : 2;

	if (opt > 1) {
		cmd_fail(s, ERR_UNKNOWN_COM, "Unknown command");
		return;
	}
	if (opt == 0)
		s->caps |= CAP_MULTI_STATEMENTS;
	else
		s->caps &= ~CAP_MULTI_STATEMENTS;
	if (s->b != NULL) {
		/* the connection that it keeps must know too; it is of another kind now */
		s->b->in_trouble = true;
		s->cmd.st.why = ROUTE_STATE;
		cmd_dispatch(s);
		return;
	}
	if (s->caps & CAP_DEPRECATE_EOF) {
		struct pkt_ok ok = {.status = s->status};

		pkt_ok_write(&w, 1, 0xfe, s->caps, &ok);
	} else {
		pkt_eof_write(&w, 1, 0, s->status);
	}
	STAT_ADD(s->w->stat->local_answers, 1);
	sess_cmd_clear(s);
	if (!sess_send(s, buf, w.len))
		sess_close(s, "write to client failed");
}

/* What 10.11 says before it looks for the statement (measured). True: the client was answered. */
static bool
execute_refused(struct sess *s, const u8 *body, size_t len)
{
	bool bulk = s->cmd.com == COM_STMT_BULK_EXECUTE;

	if (len < (bulk ? BULK_HEAD : EXECUTE_HEAD))
		cmd_fail(s, ERR_MALFORMED, "Malformed communication packet");
	else if (bulk && ((s->mcaps & MCAP_STMT_BULK) == 0 || (rd16(body + 5) & ~PS_BULK_TYPES) != 0))
		cmd_fail(s, ERR_UNSUPPORTED_PS, "This command is not supported in the prepared statement protocol yet");
	else
		return false;
	return true;
}

static bool
parameters_refused(struct sess *s, struct ps *ps, const u8 *body, size_t len)
{
	const char *bulk = s->cmd.com == COM_STMT_BULK_EXECUTE ? "bulk_" : "";
	int rc = ps_execute_check(s, ps, body, len);

	if (rc == 0)
		return false;
	STAT_ADD(s->w->stat->bad_packets, rc != ERR_NOMEM);
	if (rc == ERR_MALFORMED)
		cmd_fail(s, rc, "Malformed communication packet");
	else if (rc == ERR_ARGUMENTS)
		cmd_fail(s, rc, "Incorrect arguments to mysqld_stmt_%sexecute", bulk);
	else
		cmd_fail(s, rc, "%s of statement %u", com_word(s->cmd.com), s->cmd.ps_id);
	return true;
}

/* Commands about a prepared statement. */
static void
com_stmt(struct sess *s, const u8 *body, size_t len)
{
	struct cmd *c = &s->cmd;
	u32 id = len >= 5 ? rd32(body + 1) : 0;
	u32 asked = id;

	if (id == PS_ID_LAST)
		id = s->ps_last;
	if (cmd_runs(c) && execute_refused(s, body, len))
		return;
	struct ps *ps = ps_get(s, id);

	if (c->com == COM_STMT_CLOSE) {
		ps_drop(s, id);
		sess_cmd_clear(s);
		if (s->b != NULL && s->pins == 0)
			sess_release_backend(s);
		sess_record_pin(s);
		return;
	}
	if (ps == NULL) {
		cmd_fail(s, ERR_UNKNOWN_STMT, "Unknown prepared statement handler (%u) given to %s", asked,
		    cmd_runs(c) ? "mysqld_stmt_execute" :
		    c->com == COM_STMT_RESET ? "mysqld_stmt_reset" : "mysqld_stmt_fetch");
		return;
	}
	c->ps_id = id;
	c->st = ps->text->st;
	if (unlikely(ps->text->calls))
		plan_execute(s, ps);
	if (ps->data_lost && (cmd_runs(c) || c->com == COM_STMT_RESET)) {
		ps_forget_data(s, ps);
		if (cmd_runs(c))
			cmd_fail(s, ERR_STATE_LOST, "data sent for statement %u before", id);
		else
			local_ok(s);
		return;
	}
	if (c->com == COM_STMT_RESET && !ps->long_data && !ps->cursor && (s->b == NULL || !s->trx_unsure)) {
		local_ok(s);
		return;
	}
	if (c->com == COM_STMT_FETCH && !ps->cursor) {
		cmd_fail(s, ERR_NO_CURSOR, "The statement (%u) has no open cursor", id);
		return;
	}
	if (c->com == COM_STMT_BULK_EXECUTE || (c->com == COM_STMT_EXECUTE && len >= 6 && body[5] != 0)) {
		/* a cursor is a thing of the connection that opened it; many rows at once are for statements that write */
		c->st.flags &= ~STMT_F_READ;
		c->st.why = ROUTE_STATE;
	}
	c->ps = ps;
	if (cmd_runs(c) && parameters_refused(s, ps, body, len))
		return;
	if (cmd_runs(c)) {
		keep_info(s, (const u8 *)ps->text->text, ps->text->len);
		if (s->w->cfg.r->margay.digests)
			digest_execute(s, ps);
	}
	if (c->com == COM_STMT_EXECUTE && c->st.kind == STMT_KILL && !c->streamed && kill_here(s, ps->text->text))
		return;
	if (c->streamed) {
		c->st.flags &= ~(STMT_F_READ | STMT_F_STATE_READ | STMT_F_TRX_RO);
		c->st.why = ROUTE_STATE;
	}
	cmd_dispatch(s);
}

static void
com_prepare(struct sess *s, const u8 *text, size_t len)
{
	struct istr *t;

	s->ps_last = 0;
	if (s->ps_n >= PS_MAX) {
		cmd_fail(s, ERR_LIMIT, "%u prepared statements in one session", PS_MAX);
		return;
	}
	if (len + 1 >= PKT_MAX_BODY) { /* such are streamed, unless all of it came at once */
		cmd_fail(s, ERR_LIMIT, "a prepared statement of %u bytes or more", PKT_MAX_BODY - 1);
		return;
	}
	if (cmd_has_word(s, "mycat"))
		plan_classify(s, text, len, 0); /* hints are masked before the text is kept */
	t = istr_get(&s->w->in, text, len);
	if (t == NULL) {
		cmd_fail(s, ERR_NOMEM, "prepared statement");
		return;
	}
	if (!t->classified || t->lex_mode != sess_lex_mode(s)) {
		plan_classify(s, text, len, 0);
		if (t->refs == 1 || !t->classified) {
			t->st = s->cmd.st;
			t->classified = true;
			t->calls = s->cmd.calls;
			t->lex_mode = sess_lex_mode(s);
		} else {
			/* the same text under another sql_mode: too rare to keep two verdicts; nobody reads it
			 * as less than it is */
			t->st.flags &= ~STMT_F_READ;
			t->st.flags |= s->cmd.st.flags & ~STMT_F_READ;
			t->st.pins |= s->cmd.st.pins;
			t->st.why = ROUTE_UNKNOWN;
		}
	}
	/* what it is matters when it is executed; prepared it leaves nothing */
	s->cmd.st = t->st;
	s->cmd.st.pins = 0;
	s->cmd.st.flags &= STMT_F_READ;
	s->cmd.text = t;
	keep_info(s, text, len);
	cmd_dispatch(s);
}

static void
com_init_db(struct sess *s)
{
	s->cmd.st.kind = STMT_USE;
	s->cmd.st.why = ROUTE_STATE;
	cmd_dispatch(s);
}

static void
com_process_kill(struct sess *s, const u8 *body, size_t len)
{
	if (len < 5) {
		cmd_fail(s, ERR_PROTO, "COM_PROCESS_KILL");
		return;
	}
	if (local_kill(s, rd32(body + 1), 0))
		return;
	s->cmd.st.why = ROUTE_STATE;
	cmd_dispatch(s);
}

/* A replica's, or of a program that reads the binary log as one: the primary's, over a connection of its own. */
static void
com_replication(struct sess *s)
{
	const struct cfg_user *u = sess_user(s);

	if (u == NULL || !u->replication) {
		cmd_fail(s, ERR_PRIVILEGE,
		    "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation");
		return;
	}
	if (s->ro_trx) {
		cmd_fail(s, ERR_REFUSED, "replication in a READ ONLY transaction that a replica runs");
		return;
	}
	s->cmd.st.why = ROUTE_STATE;
	s->cmd.st.pins = 1ull << PIN_REPLICATION;
	cmd_dispatch(s);
}

static u8
last_sequence(const u8 *p, size_t len)
{
	while (rd24(p) == PKT_MAX_BODY && len >= PKT_HDR + (size_t)PKT_MAX_BODY) {
		p += PKT_HDR + PKT_MAX_BODY;
		len -= PKT_HDR + (size_t)PKT_MAX_BODY;
	}
	return p[3];
}

/* One whole command; its bytes stay valid until this returns. */
void
cmd_packet(struct sess *s, const u8 *pkt, size_t len)
{
	const u8 *body = pkt + PKT_HDR;
	size_t n = len - PKT_HDR;
	struct shm_session *r = &s->w->srec[s->rec];
	struct cmd *c = &s->cmd;

	if (n == 0 || pkt[3] != 0) {
		STAT_ADD(s->w->stat->bad_packets, 1);
		log_limited(LOG_WARN_, "session %u %s@%s: %s", s->id, s->user, s->addr_text,
		    n == 0 ? "empty command" : "packets out of order");
		sess_error_close(s, 1, n == 0 ? ERR_PROTO : ERR_SEQ, n == 0 ? "empty command" : "packets out of order");
		return;
	}
	memset(c, 0, sizeof *c);
	c->com = body[0];
	c->last_seq = last_sequence(pkt, len);
	c->p = pkt;
	c->len = len;
	c->started = ev_now(&s->w->loop);
	trace_begin(s, TRACE_PARSE);
	__atomic_store_n(&r->command, c->com, __ATOMIC_RELAXED);
	__atomic_store_n(&r->statements, r->statements + 1, __ATOMIC_RELAXED);
	STAT_ADD(s->w->stat->statements, 1);
	if (sess_user(s) == NULL && c->com != COM_QUIT) {
		sess_error_close(s, 1, ERR_REFUSED, "user %s is no longer configured", s->user);
		return;
	}
	switch (c->com) {
	case COM_QUIT:
		sess_close(s, NULL);
		break;
	case COM_PING:
		if (s->b != NULL && s->trx_unsure)
			cmd_dispatch(s); /* the server knows the flags */
		else
			local_ok(s);
		break;
	case COM_QUERY:
		com_query(s, body + 1, n - 1);
		break;
	case COM_INIT_DB:
		com_init_db(s);
		break;
	case COM_STMT_PREPARE:
		com_prepare(s, body + 1, n - 1);
		break;
	case COM_STMT_EXECUTE:
	case COM_STMT_BULK_EXECUTE:
	case COM_STMT_CLOSE:
	case COM_STMT_RESET:
	case COM_STMT_FETCH:
	case COM_STMT_SEND_LONG_DATA:
		com_stmt(s, body, n);
		break;
	case COM_SET_OPTION:
		com_set_option(s, body, n);
		break;
	case COM_RESET_CONNECTION:
		com_reset_connection(s);
		break;
	case COM_REFRESH:
		c->st.flags |= STMT_F_DEFAULTS; /* it may be FLUSH PRIVILEGES */
		c->st.why = ROUTE_STATE;
		cmd_dispatch(s);
		break;
	case COM_CHANGE_USER:
		change_begin(s, body, n);
		break;
	case COM_FIELD_LIST:
	case COM_STATISTICS: /* as their statements: FLUSH, SHUTDOWN; whether the user may is the server's to say */
	case COM_SHUTDOWN:
	case COM_DEBUG:
		c->st.why = ROUTE_STATE;
		cmd_dispatch(s);
		break;
	case COM_REGISTER_SLAVE:
	case COM_BINLOG_DUMP:
		com_replication(s);
		break;
	case COM_PROCESS_INFO:
		local_processlist(s, false);
		break;
	case COM_PROCESS_KILL:
		com_process_kill(s, body, n);
		break;
	default:
		cmd_fail(s, ERR_UNKNOWN_COM, "Unknown command");
	}
	if (s->state == SESS_READY)
		sess_renew(s);
}

/* ---- statements longer than statement_buffer ---- */

#define STREAM_LOOK (64u << 10) /* of its text are looked at */

/* Can the rest of the command, of which n bytes of its first packet are here, pass as it comes? All that must be looked at
 * is in these. Others are read whole, up to max_packet_size. */
static bool
may_stream(struct sess *s, const u8 *body, size_t n)
{
	u32 id = n >= EXECUTE_HEAD ? rd32(body + 1) : 0;
	struct ps *ps = ps_get(s, id == PS_ID_LAST ? s->ps_last : id);
	size_t head = BULK_HEAD;
	bool types;

	switch (body[0]) {
	case COM_QUERY:
	case COM_STMT_PREPARE:
	case COM_STMT_SEND_LONG_DATA:
		return true;
	case COM_STMT_EXECUTE:
	case COM_STMT_BULK_EXECUTE:
		break;
	default:
		return false;
	}
	if (ps == NULL || ps->nparams == 0)
		return true;
	if (body[0] == COM_STMT_EXECUTE)
		head = EXECUTE_HEAD + (ps->nparams + 7u) / 8 + 1;
	if (n < head + 2u * ps->nparams)
		return false;
	types = body[0] == COM_STMT_EXECUTE ? body[head - 1] != 0 : (rd16(body + 5) & PS_BULK_TYPES) != 0;
	return types; /* else they may have to be put in, and all that follows moves */
}

/* It is not kept, so nobody but the connection that it is prepared on knows it, which the session keeps. In the place of its text is a name that is nobody else's. */
static void
stream_prepare(struct sess *s, const u8 *text, size_t len)
{
	struct cmd *c = &s->cmd;
	char name[256];
	size_t n = MIN(len, (size_t)192);

	s->ps_last = 0;
	if (s->ps_n >= PS_MAX) {
		cmd_fail(s, ERR_LIMIT, "%u prepared statements in one session", PS_MAX);
		return;
	}
	plan_classify(s, text, MIN(len, (size_t)STREAM_LOOK), LEX_TRUNCATED);
	keep_info(s, text, MIN(len, (size_t)4096));
	memcpy(name, text, n);
	n += (size_t)snprintf(name + n, sizeof name - n, "... /* %u.%llu */", s->id, (unsigned long long)c->started);
	c->text = istr_get(&s->w->in, name, n);
	if (c->text == NULL) {
		cmd_fail(s, ERR_NOMEM, "prepared statement");
		return;
	}
	c->st.flags &= ~STMT_F_HINTS;
	c->text->st = c->st;
	c->text->classified = true;
	c->text->lex_mode = sess_lex_mode(s);
	c->st.pins = 0;
	c->st.flags = 0;
	cmd_dispatch(s);
}

/* The beginning of a long statement is there: it is classified by it, goes to the primary, and its end is passed
 * on as it comes. True: taken. */
bool
cmd_stream(struct sess *s, u8 **p, u8 *end)
{
	u8 *pkt = *p;
	size_t n = (size_t)(end - pkt), first = MIN(n - PKT_HDR, (size_t)rd24(pkt));
	struct cmd *c = &s->cmd;

	size_t least = MIN(s->w->cfg.r->margay.statement_buffer / 2, (size_t)8 * STREAM_LOOK);

	if (pkt[3] != 0 || (n >= least && !may_stream(s, pkt + PKT_HDR, first)))
		return false;
	if (n < least) {
		s->want = least; /* no room for all of it */
		return false;
	}
	memset(c, 0, sizeof *c);
	c->com = pkt[PKT_HDR];
	c->streamed = true;
	c->started = ev_now(&s->w->loop);
	c->p = pkt;
	c->len = n;
	STAT_ADD(s->w->stat->statements, 1);
	u8 *q = stream_position(s, pkt, end);
	c->len = (size_t)(q - pkt);
	*p = q;
	s->stream_body = c->len + s->stream_left;
	if (!cmd_save(s))
		return true;
	conn_pause(&s->conn, true);
	const u8 *body = c->p + PKT_HDR;
	if (c->com == COM_QUERY) {
		plan_classify(s, body + 1, MIN(first - 1, (size_t)STREAM_LOOK), LEX_TRUNCATED);
		keep_info(s, body + 1, MIN(first - 1, (size_t)4096));
		if (s->w->cfg.r->margay.digests)
			digest_text(s, body + 1, MIN(first - 1, (size_t)STREAM_LOOK), sess_lex_mode(s) | LEX_TRUNCATED);
		if (unlikely(s->w->slow_ns != UINT64_MAX))
			slow_keep(s, body + 1, first - 1);
		cmd_dispatch(s);
	} else if (c->com == COM_STMT_PREPARE) {
		stream_prepare(s, body + 1, first - 1);
	} else {
		com_stmt(s, body, first);
	}
	return true;
}

/* ---- the account of a statement that has ended ---- */

/* SET TRANSACTION holds until a transaction ends. Whether a single statement is one depends on the engines of its tables
 * (MyISAM's, sequences and information_schema leave it in force), and the commit in SET autocommit = 1 leaves it in force too
 * (found by comparing sessions with direct ones): only COMMIT and ROLLBACK are sure. */
static void
pin_of_next_transaction(struct sess *s, bool err, bool was_in_trx)
{
	const struct stmt *st = &s->cmd.st;

	if (st->kind == STMT_SET_TRX && !err) {
		s->pins |= 1u << PIN_NEXT_TRX;
	} else if ((s->pins & 1u << PIN_NEXT_TRX) != 0 && !s->in_trx && was_in_trx && !err &&
	    (st->kind == STMT_COMMIT || st->kind == STMT_ROLLBACK) && (st->flags & STMT_F_MULTI) == 0) {
		s->pins &= ~(1ull << PIN_NEXT_TRX);
		s->b->set_unknown = true; /* tables without transactions leave it in force: reset to be sure */
	}
}

static void
pins_of_transaction(struct sess *s, bool err)
{
	const struct stmt *st = &s->cmd.st;
	bool was_in_trx = (s->pins & 1u << PIN_TRX) != 0;

	s->trx_unsure |= err && (was_in_trx && (st->flags & STMT_F_IMPLICIT_COMMIT) != 0);
	s->trx_unsure |= err && (st->pins & (1ull << PIN_ROUTINE | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG | 1ull << PIN_XA)) != 0;
	if (err && (s->status & ST_AUTOCOMMIT) == 0)
		s->in_trx = true; /* an ERR packet has no status flags: the statement may have opened one */
	if (s->in_trx)
		s->pins |= 1u << PIN_TRX;
	else
		s->pins &= ~(1ull << PIN_TRX);
	s->ro_trx = s->in_trx && (s->ro_trx || (st->kind == STMT_BEGIN && (st->flags & STMT_F_TRX_RO) != 0 && !s->cmd.to_primary));
	pin_of_next_transaction(s, err, was_in_trx);
	if (st->kind == STMT_UNLOCK && !err)
		s->pins &= ~(1ull << PIN_LOCK_TABLES);
}

/* Errors of statements that did nothing at all: they cannot have left state. */
static bool
did_nothing(u16 code)
{
	return code == 1064 || code == 1146 || code == 1054 || code == 1305 || code == 1046 || code == 1049 ||
	    code == 1044 || code == 1142 || code == 1290 || code == 1792;
}

static void
pins_of_state(struct sess *s, bool err)
{
	struct cmd *c = &s->cmd;
	u64 transient = 1ull << PIN_TRX | 1ull << PIN_NEXT_TRX;
	u64 pins = c->st.pins & ~transient;

	if ((c->st.flags & STMT_F_LEAVES_ID) != 0 && !err && c->st.pins == (1ull << PIN_SYSVAR) && c->st.kind != STMT_SET) {
		/* INSERT ... RETURNING: the id is asked for when the connection is given back */
		s->insert_id_open = s->b->id_left = true;
		pins = 0;
	}
	if (c->com == COM_STMT_PREPARE || c->com == COM_INIT_DB)
		pins = c->streamed && !err ? 1ull << PIN_LONG : 0;
	if (err && did_nothing(c->err_code))
		pins = c->st.pins & (s->own_trackers ? 1ull << PIN_SYSVAR : 0);
	if (err && c->set_many)
		pins |= 1u << PIN_SYSVAR;
	if (!err && (c->st.flags & STMT_F_DML) != 0 && cmd_may_fire(s))
		pins |= 1u << PIN_TRIGGER;
	if (c->state_changed && pins == 0 && c->st.kind != STMT_SET && c->st.kind != STMT_USE)
		pins |= 1u << PIN_STATE_CHANGE;
	s->pins |= pins;
	if (unlikely(c->sets_wait))
		idle_set_unseen(s);
	/* from XA START until it is committed or rolled back, prepared or not, the flags tell of a transaction (measured) */
	if (c->st.kind == STMT_XA && !err && !s->in_trx && (c->st.flags & STMT_F_MULTI) == 0)
		s->pins &= ~(1ull << PIN_XA);
	/* what SET, a routine or an unseen text did to LAST_INSERT_ID() is known to the connection alone */
	if ((c->st.flags & STMT_F_LEAVES_ID) != 0 || (pins & (1ull << PIN_ROUTINE | 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_TRIGGER)) != 0)
		s->insert_id_open = s->b->id_left = true;
}

/* Is there something that the next statement may ask this connection for? */
static void
pins_of_diagnostics(struct sess *s, bool err)
{
	struct cmd *c = &s->cmd;

	if (cmd_runs(c)) {
		bool clears = stmt_clears_diagnostics(&c->st);
		bool asks = (c->st.flags & STMT_F_DIAG) != 0;

		if (err || c->warnings > 0) {
			s->diag_open = true;
			s->diag_lost = false;
		} else if (clears && !asks) {
			s->diag_open = s->diag_lost = false;
			s->b->diag_left = false;
		}
		s->row_unsure = s->row_count == ROW_COUNT_UNSURE;
	} else if (err || (c->com == COM_STMT_PREPARE && c->warnings > 0)) {
		s->diag_open = true;
		s->diag_lost = false;
	}
	if (c->com != COM_STMT_PREPARE && c->com != COM_INIT_DB)
		s->b->ran = true;
	if (s->diag_open || s->row_unsure || (s->found_unsure && s->found_here) || s->insert_id_open ||
	    (s->keeps_diag && s->b->ran))
		s->pins |= 1u << PIN_DIAGNOSTICS;
	else
		s->pins &= ~(1ull << PIN_DIAGNOSTICS);
}

static void
account_writes(struct sess *s, bool err)
{
	struct cmd *c = &s->cmd;

	if (c->gtid_seen) {
		s->wrote = true;
		s->gtid_known = true;
	} else if (!err && !s->in_trx && c->to_primary &&
	    (c->affected > 0 || c->st.kind == STMT_DDL || c->st.kind == STMT_CALL)) {
		/* changed, and the server gave no GTID: no replica can be known to have it */
		s->wrote = true;
		s->gtid_known = false;
		causal_wrote_unknown(s, s->b->srv);
	} else if (err && !s->in_trx && c->to_primary && (c->com == COM_STMT_BULK_EXECUTE || c->st.kind == STMT_CALL)) {
		/* what was done before the error may be committed, and an ERR packet tells no GTID */
		s->wrote = true;
		s->gtid_known = false;
	}
}

/* Of several reads that were sent together one has ended, whose result is not the last. */
void
cmd_part_ended(struct sess *s)
{
	struct bconn *b = s->b;
	u64 now = ev_now(&s->w->loop), d = now - s->cmd.started;

	shm_hist_add(&s->w->seg->hist[SHM_HIST_statement], d);
	STAT_ADD(s->w->sstat[b->srv->id].time_ns, d);
	STAT_ADD(s->w->sstat[b->srv->id].statements, 1);
	if (s->cmd.to_primary)
		STAT_ADD(s->w->stat->reads_primary, 1);
	else
		STAT_ADD(s->w->stat->reads_replica, 1);
	pins_of_diagnostics(s, false);
	sess_account(s);
}

/* The reply's last byte is on its way to the client. */
void
cmd_finished(struct sess *s)
{
	struct bconn *b = s->b;
	struct worker *w = s->w;
	bool err = s->cmd.err_code != 0;
	bool release = ((s->cmd.st.flags & STMT_F_RELEASE) != 0 && !err) || s->cmd.err_code == 1153 ||
	    s->cmd.com == COM_BINLOG_DUMP; /* the server closes too (measured) */
	u64 d = ev_now(&w->loop) - s->cmd.started;

	shm_hist_add(&w->seg->hist[SHM_HIST_statement], d);
	STAT_ADD(w->sstat[b->srv->id].time_ns, d);
	if (err)
		STAT_ADD(w->sstat[b->srv->id].errors, 1);
	if (s->cmd.st.why != ROUTE_READ && (s->cmd.st.kind == STMT_SELECT || s->cmd.st.kind == STMT_SHOW) &&
	    s->cmd.st.why != ROUTE_LOCKING)
		s->looked = s->cmd.started;
	account_writes(s, err);
	pins_of_transaction(s, err);
	pins_of_state(s, err);
	pins_of_diagnostics(s, err);
	if (unlikely(s->replay != NULL))
		replay_finished(s);
	bconn_set_state(b, BCONN_LINKED);
	b->status = (u16)((b->status & ~ST_IN_TRANS) | (s->in_trx ? ST_IN_TRANS : 0));
	bool login = s->cmd.login;
	if (unlikely(s->cmd.kill_user != NULL) && !err) {
		struct link_kill_user *k = s->cmd.kill_user;

		s->cmd.kill_user = NULL;
		release |= kill_user_done(s, k, b->srv->id, s->cmd.affected);
	}
	bool next = unlikely(s->multi != NULL) && multi_next(s, err);

	sess_cmd_clear(s);
	if (s->pins != 0) {
		sess_record_pin(s);
		idle_kept(s);
	} else {
		sess_record_pin(s);
		bconn_unlink(b);
		bpool_give(b);
	}
	if (s->state >= SESS_CLOSING)
		return;
	if (login) {
		if (err && s->before != NULL)
			change_undo(s);
		else if (err)
			sess_close_when_sent(s);
		else
			login_finish(s, true);
		return;
	}
	if (release) {
		sess_close_when_sent(s);
		return;
	}
	if (next) {
		multi_go_on(s);
		return;
	}
	sess_set_state(s, SESS_READY);
	if (s->conn.held_len > 0 || s->conn.paused)
		sess_resume(s);
}
