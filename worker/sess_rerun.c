/* worker/sess_rerun.c: the log of an open transaction is run on another connection, statement by statement, each reply compared
 * with the one that the client has; then the session's own statement follows. Owns the run's part of struct replay. Runs in a
 * worker.
 *
 * A statement that was under way when the connection was lost is run a second time only if it writes to no table without
 * transactions: EXPLAIN of it, which opens the same tables, makes the server's tracker say so before anything is written.
 */
#include "base/str.h"
#include "worker/sess_replay.h"

static void rerun_next(struct sess *s, struct bconn *b);

/* The connection is of no use any more: the server rolls back what was run on it. */
static void
leave(struct bconn *b, const char *why)
{
	if (b->sess != NULL)
		bconn_unlink(b);
	b->in_trouble = true;
	bconn_close(b, why);
}

static void PRINTF(4, 5)
rerun_failed(struct sess *s, struct bconn *b, enum replay_why why, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_info("session %u %s@%s: transaction not run again on server %s: %s", s->id, s->user, s->addr_text, b->srv->name, text);
	leave(b, "transaction could not be run again");
	replay_trx_lost(s, why, "its connection was lost; server %s: %s", b->srv->name, text);
}

/* Once more, on whatever server is primary then. b is no longer linked. */
static void
once_more(struct sess *s)
{
	struct replay *r = s->replay;

	r->running = false;
	r->pending = true;
	s->cmd.retries++;
	STAT_ADD(s->w->stat->retried, 1);
	sess_set_state(s, SESS_WAIT);
	cmd_dispatch(s);
}

void
rerun_lost(struct sess *s, const char *why)
{
	if (s->cmd.timed_out || s->cmd.kill_sent) {
		replay_trx_lost(s, REPLAY_UNFIT, "%s", s->cmd.timed_out ? "statement_timeout" : "KILL");
		return;
	}
	snprintf(s->cmd.last_error, sizeof s->cmd.last_error, "%s", why);
	once_more(s);
}

/* ---- sending ---- */

/* 1: something was sent, the rest follows when it has succeeded. */
static int
send_ahead(struct sess *s, struct bconn *b, const struct replay_entry *e)
{
	struct replay *r = s->replay;
	struct ps ps;
	struct replay_ahead x = {.first = r->first, .db = s->db, .set = s->set, .id = r->id};

	r->first = false;
	if (e != NULL) {
		x.db = e->db;
		x.set = e->set;
		x.insert_id = e->insert_id;
		if (e->text != NULL) {
			ps = (struct ps){.text = e->text, .db = e->ps_db, .set = e->ps_set, .nparams = e->nparams};
			x.ps = &ps;
		}
	}
	return cmd_replay_ahead(s, b, &x);
}

static void
expect_reply(struct sess *s, struct bconn *b, enum replay_step step, enum reply_kind kind, bool execute)
{
	struct replay *r = s->replay;

	r->step = step;
	replay_hash_begin(r);
	reply_init(&b->reply, kind, false, execute);
	/* then the number of columns is none of the bytes that pass: so it was when the client had the reply */
	b->reply.metadata = step == REPLAY_STEP_ENTRY && (s->mcaps & MCAP_CACHE_METADATA) != 0;
	b->reply.any_seq = b->zip != ZIP_OFF;
	b->reply_open = true;
	b->small_len = 0;
}

static void
sent(struct sess *s, struct bconn *b, bool ok)
{
	if (ok)
		return;
	sess_on_backend_lost(s, b, "transaction could not be run again");
	bconn_close(b, "could not send");
}

static void
send_command(struct sess *s, struct bconn *b, u8 com, const void *arg, size_t len, enum replay_step step)
{
	expect_reply(s, b, step, com == COM_STMT_PREPARE ? REPLY_PREPARE : REPLY_RESULT, false);
	sent(s, b, bconn_send_com(b, com, arg, len, EXP_REPLAY));
}

/* COM_STMT_EXECUTE with the id that its statement has on this connection. */
static bool
send_execute(struct bconn *b, const u8 *p, size_t len, u32 id)
{
	u8 head[PKT_HDR + 5], exp = EXP_REPLAY;
	union {
		const u8 *c;
		u8 *v;
	} u = {p};

	if (len < sizeof head)
		return false;
	memcpy(head, p, sizeof head);
	wr32(head + PKT_HDR + 1, id);
	struct iovec iov[2] = {{head, sizeof head}, {u.v + sizeof head, len - sizeof head}};
	return bconn_send(b, iov, iov[1].iov_len > 0 ? 2 : 1, &exp, 1);
}

static void
send_entry(struct sess *s, struct bconn *b, const struct replay_entry *e)
{
	const u8 *p = replay_entry_bytes(e);
	u8 exp = EXP_REPLAY;
	union {
		const u8 *c;
		u8 *v;
	} u = {p};
	struct iovec iov = {u.v, e->len};
	struct bps *bp;

	STAT_ADD(s->w->sstat[b->srv->id].statements, 1);
	expect_reply(s, b, REPLAY_STEP_ENTRY, REPLY_RESULT, e->text != NULL);
	if (e->text == NULL) {
		sent(s, b, bconn_send(b, &iov, 1, &exp, 1));
		return;
	}
	bp = bps_find(b, e->text, e->ps_db, e->ps_set);
	if (bp == NULL) {
		rerun_failed(s, b, REPLAY_UNFIT, "statement %u of it could not be prepared", s->replay->done + 1);
		return;
	}
	if (e->nparams > 0)
		bps_types_set(bp, p + PKT_HDR + 10 + (e->nparams + 7u) / 8 + 1);
	sent(s, b, send_execute(b, p, e->len, bp->id));
}

/* Which tables does a statement write? Its command; prepared: its text if it is a COM_STMT_EXECUTE. */
static void
send_explain(struct sess *s, struct bconn *b, const u8 *p, size_t size, const struct istr *prepared)
{
	static const char verb[] = "EXPLAIN ";
	const u8 *text = prepared != NULL ? (const u8 *)prepared->text : p + PKT_HDR + 1;
	size_t len = prepared != NULL ? prepared->len : size - PKT_HDR - 1, n = sizeof verb - 1;
	u8 *t = len + n + 1 < PKT_MAX_BODY ? malloc(n + len) : NULL;

	if (t == NULL) {
		rerun_failed(s, b, REPLAY_UNFIT, "a statement is too long");
		return;
	}
	memcpy(t, verb, n);
	memcpy(t + n, text, len);
	s->replay->explain = p;
	s->replay->explain_len = size;
	send_command(s, b, prepared != NULL ? COM_STMT_PREPARE : COM_QUERY, t, n + len,
	    prepared != NULL ? REPLAY_STEP_PREPARE : REPLAY_STEP_EXPLAIN);
	free(t);
}

/* ---- the steps ---- */

/* All of it is there again: the session's statement follows, as on any connection that it keeps. */
static void
rerun_done(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;

	log_info("session %u %s@%s: transaction of %u statements was run again on server %s, %llu ms after its connection was lost",
	    s->id, s->user, s->addr_text, r->n, b->srv->name,
	    (unsigned long long)((ev_now(&s->w->loop) - r->since) / MS_NS));
	STAT_ADD(s->w->stat->replays, 1);
	replay_first_done(s);
	r->running = r->again = false;
	if (!r->last_kept) {
		s->diag_lost |= s->diag_open;
		s->diag_open = s->found_here = false;
	}
	if (r->nontrx)
		replay_spoil(s, REPLAY_NONTRX); /* its tables are others here */
	if (cmd_asks_lost_id(s)) {
		bconn_set_state(b, BCONN_LINKED);
		cmd_fail_lost_id(s);
		return;
	}
	if (!cmd_send_ahead(s, b, true))
		cmd_send_now(s, b);
}

/* LAST_INSERT_ID() is the connection's; if the session's own was known to the lost one alone, only what the transaction
 * itself has made can be had again. */
static bool
asks_id(const struct replay *r, const struct replay_entry *e)
{
	return !r->id_known && (e != NULL ? e->asks_id : r->ids);
}

static void
rerun_next(struct sess *s, struct bconn *b)
{
	static const char ask[] = "SELECT LAST_INSERT_ID()";
	struct replay *r = s->replay;
	const struct replay_entry *e = r->at < r->len ? replay_entry_at(r, r->at) : NULL;

	if (!r->ahead_done) {
		r->ahead_done = true;
		int rc = send_ahead(s, b, e);

		if (rc < 0)
			rerun_failed(s, b, REPLAY_UNFIT, "its settings cannot be made again within a transaction");
		if (rc != 0)
			return;
	}
	if (!r->id_done && asks_id(r, e)) {
		send_command(s, b, COM_QUERY, ask, sizeof ask - 1, REPLAY_STEP_ID);
		return;
	}
	if (e != NULL && e->unsure && !r->explained) {
		send_explain(s, b, replay_entry_bytes(e), e->len, e->text);
		return;
	}
	if (e != NULL) {
		send_entry(s, b, e);
		return;
	}
	if (!r->id_known && !r->ids && s->insert_id_open) {
		s->insert_id_open = false;
		s->insert_id_lost = true;
	}
	if (r->again && !r->explained && replay_writes(&s->cmd.st) && s->cmd.com != COM_STMT_PREPARE) {
		send_explain(s, b, s->cmd.p, s->cmd.len, s->cmd.ps != NULL ? s->cmd.ps->text : NULL);
		return;
	}
	rerun_done(s, b);
}

/* A connection is there for a session whose transaction waits. */
void
replay_run(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;
	const struct cfg_user *u = sess_user(s);

	r->pending = false;
	r->running = true;
	r->first = true;
	r->ahead_done = r->id_done = r->explained = r->nontrx = false;
	r->at = 0;
	r->done = 0;
	if (!b->tracks_trx || b->srv->cluster != r->cluster) {
		rerun_failed(s, b, REPLAY_UNFIT, "the configuration has changed");
		return;
	}
	if (u == NULL || ++r->attempts > cfg_clusters(&s->w->cfg)[u->cluster_idx].replay_attempts) {
		rerun_failed(s, b, REPLAY_ATTEMPTS, "tried before: %s", s->cmd.last_error);
		return;
	}
	rerun_next(s, b);
}

/* What went ahead has succeeded. */
void
rerun_go_on(struct sess *s, struct bconn *b)
{
	rerun_next(s, b);
}

/* ---- replies ---- */

static void
entry_done(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;
	const struct replay_entry *e = replay_entry_at(r, r->at);

	r->done++;
	if (e->hash != replay_hash_end(r)) {
		rerun_failed(s, b, REPLAY_DIFFERS, "statement %u of it had another result", r->done);
		return;
	}
	r->at += REPLAY_ENTRY_SIZE(e->len);
	r->ahead_done = r->id_done = r->explained = false;
	rerun_next(s, b);
}

static void
id_done(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;
	struct slice v;
	bool none = !bconn_small_values(b, &v, 1) || (v.len == 1 && v.p[0] == '0');

	r->id_done = true;
	if (none && r->at < r->len) {
		rerun_failed(s, b, REPLAY_UNFIT, "a statement of it needs LAST_INSERT_ID() of before");
		return;
	}
	if (none) {
		s->insert_id_open = false;
		s->insert_id_lost = true;
	}
	rerun_next(s, b);
}

static void
explain_done(struct sess *s, struct bconn *b)
{
	char name[64];

	s->replay->explained = true;
	if (!s->replay->nontrx) {
		rerun_next(s, b);
		return;
	}
	str_copy(name, sizeof name, b->srv->name);
	leave(b, "the statement is not to be run again");
	replay_count(s, REPLAY_NONTRX);
	replay_forget(s);
	sess_error_close(s, (u8)(s->cmd.last_seq + 1), ERR_STATE_LOST,
	    "the last statement, or one that failed, writes to a table without transactions (as server %s says), and what it did there "
	    "is not known; the transaction is rolled back", name);
}

static void
step_done(struct sess *s, struct bconn *b)
{
	u32 prepared = s->replay->prepared;
	u8 pkt[PKT_HDR + 5] = {5, 0, 0, 0, COM_STMT_CLOSE};
	struct iovec iov = {pkt, sizeof pkt};

	bconn_expect_done(b);
	switch (s->replay->step) {
	case REPLAY_STEP_ENTRY:
		entry_done(s, b);
		break;
	case REPLAY_STEP_ID:
		id_done(s, b);
		break;
	case REPLAY_STEP_PREPARE:
		expect_reply(s, b, REPLAY_STEP_EXPLAIN, REPLY_RESULT, true);
		if (!send_execute(b, s->replay->explain, s->replay->explain_len, prepared)) {
			sent(s, b, false);
			break;
		}
		wr32(pkt + PKT_HDR + 1, prepared);
		if (!bconn_send(b, &iov, 1, NULL, 0))
			b->conn.eof = true;
		break;
	case REPLAY_STEP_EXPLAIN:
		explain_done(s, b);
		break;
	}
}

/* Not this server, or not now: for a reason that is none of the transaction's. */
static bool
try_again_after(u16 code)
{
	return code == 1213 || code == 1205; /* others, also such that are run again, have the same rows */
}

static bool
refused_for_server(u16 code)
{
	return code == 1290 || code == 1836 || code == 1047 || code == 1053 || code == 1927;
}

static void
step_failed(struct sess *s, struct bconn *b, const struct pkt_err *e)
{
	struct replay *r = s->replay;
	bool entry = r->step == REPLAY_STEP_ENTRY;
	char text[160];

	snprintf(text, sizeof text, "error %u: %.*s", e->code, (int)MIN(e->text.len, 120), (const char *)e->text.p);
	if (entry) {
		replay_hash_err(r, e);
		if (replay_entry_at(r, r->at)->hash == replay_hash_end(r)) {
			step_done(s, b); /* as it was then */
			return;
		}
	}
	if (s->cmd.timed_out || s->cmd.kill_sent || try_again_after(e->code)) {
		leave(b, text);
		rerun_lost(s, text);
		return;
	}
	if (refused_for_server(e->code) && s->cmd.retries < CMD_RETRIES) {
		chan_ring(s->w->health_bell);
		s->cmd.exclude |= 1ull << s->cmd.server_index;
		r->attempts--; /* it was none */
		leave(b, text);
		once_more(s);
		return;
	}
	rerun_failed(s, b, REPLAY_DIFFERS, "statement %u of it: %s", r->done + 1, text);
}

static bool
step_ok(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;
	struct track_item it;
	struct pkt_ok ok;

	if (pkt_ok_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, CAP_SESSION_TRACK, &ok) != 0)
		return false;
	b->status = (u16)(ok.status & ~(ST_SESSION_CHANGED | ST_MORE_RESULTS));
	struct rd rd = rd_init(ok.state.p, ok.state.len);
	while (track_next(&rd, &it) == 1)
		r->nontrx |= it.type == TRACK_TRX_STATE && replay_state_is_nontrx(it.value);
	replay_hash_ok(r, &ok);
	return true;
}

void
replay_reply(struct bconn *b, u8 **p, u8 *end)
{
	struct sess *s = b->sess;
	struct pkt_prepare_ok prep = {.id = 0};

	for (;;) {
		u8 *start = *p, *pass;
		enum reply_ev ev = reply_next(&b->reply, p, end, &pass);
		struct pkt_err err;

		if (pass > start) {
			replay_hash_packets(s->replay, start, (size_t)(pass - start));
			if (s->replay->step == REPLAY_STEP_ID)
				bconn_small_add(b, start, (size_t)(pass - start));
		}
		switch (ev) {
		case REPLY_MORE:
			return;
		case REPLY_OK:
			if (!step_ok(s, b))
				ev = REPLY_BAD;
			break;
		case REPLY_ERR:
			if (pkt_err_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, &err) == 0) {
				step_failed(s, b, &err);
				return;
			}
			ev = REPLY_BAD;
			break;
		case REPLY_PREPARED:
			if (pkt_prepare_ok_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, &prep) != 0)
				ev = REPLY_BAD;
			else
				s->replay->prepared = prep.id;
			break;
		case REPLY_EOF:
		case REPLY_END:
		case REPLY_COLUMNS:
		case REPLY_DEFS:
			break;
		case REPLY_INFILE:
		case REPLY_BAD:
			ev = REPLY_BAD;
			break;
		}
		bool ends = ev == REPLY_END || b->reply.last;
		if (ev == REPLY_BAD || (ends && *p < end)) {
			STAT_ADD(b->w->sstat[b->srv->id].lost, 1);
			leave(b, "reply not understood");
			rerun_lost(s, "reply not understood");
			return;
		}
		if (ends) {
			step_done(s, b);
			return;
		}
	}
}

/* A command ahead of it was refused. */
bool
replay_ahead_refused(struct sess *s, struct bconn *b, const char *text)
{
	if (!s->replay->running)
		return false;
	b->hold_cmd = false;
	rerun_failed(s, b, REPLAY_DIFFERS, "statement %u of it: %s", s->replay->done + 1, text);
	return true;
}
