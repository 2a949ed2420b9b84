/* worker/sess_replay.c: the log of an open transaction, for the case that its server is lost: which transactions have one, what
 * is in it, what makes it useless, and what becomes of a session whose connection is lost. Owns struct replay, but for
 * its run (sess_rerun.c). Runs in a worker.
 *
 * There is a log only while a transaction is open, on the primary, in a session that has nothing else on its connection. It has
 * the commands as they were sent and a hash of each reply. What a reply leaves open must not matter: values that the client has
 * never seen may be others on the next server.
 */
#include <string.h>
#include "router/route.h"
#include "worker/sess_replay.h"

#define LOG_PINS (1ull << PIN_TRX | 1ull << PIN_NEXT_TRX | 1ull << PIN_DIAGNOSTICS)

static const char *const why_words[REPLAY_WHYS] = {
    [REPLAY_UNFIT] = "something in it cannot be repeated",
    [REPLAY_BUDGET] = "it is longer than replay_budget",
    [REPLAY_NONTRX] = "it wrote to a table without transactions",
    [REPLAY_ERROR] = "there was an error in it",
    [REPLAY_COMMIT] = "it may be committed",
    [REPLAY_DIFFERS] = "the new server answers otherwise",
    [REPLAY_ATTEMPTS] = "replay_attempts are used up",
};

void
replay_count(struct sess *s, enum replay_why why)
{
	struct shm_wstat *st = s->w->stat;

	switch (why) {
	case REPLAY_UNFIT:
		STAT_ADD(st->replays_unfit, 1);
		break;
	case REPLAY_BUDGET:
		STAT_ADD(st->replays_budget, 1);
		break;
	case REPLAY_NONTRX:
		STAT_ADD(st->replays_nontrx, 1);
		break;
	case REPLAY_ERROR:
		STAT_ADD(st->replays_error, 1);
		break;
	case REPLAY_COMMIT:
		STAT_ADD(st->replays_commit, 1);
		break;
	case REPLAY_DIFFERS:
		STAT_ADD(st->replays_differ, 1);
		break;
	case REPLAY_ATTEMPTS:
		STAT_ADD(st->replays_attempts, 1);
		break;
	case REPLAY_FIT:
	case REPLAY_WHYS:
		break;
	}
}

/* ---- hashes of replies ---- */

void
replay_hash_begin(struct replay *r)
{
	(void)XXH64_reset(r->hash, 0);
	r->hash_left = 0;
}

static void
hash_bytes(struct replay *r, const void *p, size_t len)
{
	if (len > 0)
		(void)XXH64_update(r->hash, p, len);
}

/* All but the sequence ids, which are not the server's any more. */
void
replay_hash_packets(struct replay *r, const u8 *p, size_t len)
{
	while (len > 0) {
		if (r->hash_left == 0 && len >= PKT_HDR) {
			r->hash_left = rd24(p);
			hash_bytes(r, p, 3);
			p += PKT_HDR;
			len -= PKT_HDR;
			continue;
		}
		size_t n = r->hash_left == 0 ? len : MIN(len, r->hash_left);

		hash_bytes(r, p, n);
		r->hash_left -= (u32)MIN(n, r->hash_left);
		p += n;
		len -= n;
	}
}

/* What a client may act upon. Left out: trackers, and flags that tell how the server found its rows. */
void
replay_hash_ok(struct replay *r, const struct pkt_ok *ok)
{
	u64 v[4] = {ok->affected, ok->insert_id, ok->warnings,
	    ok->status & (ST_IN_TRANS | ST_AUTOCOMMIT | ST_MORE_RESULTS | ST_CURSOR_EXISTS)};

	hash_bytes(r, v, sizeof v);
	hash_bytes(r, ok->info.p, ok->info.len);
}

void
replay_hash_err(struct replay *r, const struct pkt_err *e)
{
	hash_bytes(r, &e->code, sizeof e->code);
	hash_bytes(r, e->text.p, e->text.len);
}

u64
replay_hash_end(struct replay *r)
{
	return XXH64_digest(r->hash);
}

/* ---- the log ---- */

static void
entry_drop(struct sess *s, struct replay_entry *e)
{
	struct intern *in = &s->w->in;

	istr_put(in, e->db);
	settings_put(in, e->set);
	istr_put(in, e->text);
	istr_put(in, e->ps_db);
	settings_put(in, e->ps_set);
}

/* Entries before `end` go. */
static void
drop_until(struct sess *s, struct replay *r, size_t end)
{
	size_t size;

	for (size_t at = 0; at < end; at += size) {
		struct replay_entry *e = replay_entry_at(r, at);

		size = REPLAY_ENTRY_SIZE(e->len);
		entry_drop(s, e);
		r->n--;
	}
	memmove(r->buf, r->buf + end, r->len - end);
	r->len -= end;
	r->last = 0;
}

static void
drop_all(struct sess *s, struct replay *r)
{
	if (r->len > 0)
		drop_until(s, r, r->len);
	s->w->bytes_held -= r->cap;
	free(r->buf);
	r->buf = NULL;
	r->cap = 0;
	r->open = false;
}

bool
replay_goes_first(const struct sess *s)
{
	return s->replay != NULL && s->replay->pending && s->replay->ids;
}

void
replay_first(struct sess *s)
{
	s->replay->goes_first = true;
	s->w->nfirst++;
}

/* Its rows are there, or will not be. */
void
replay_first_done(struct sess *s)
{
	if (likely(s->replay == NULL) || !s->replay->goes_first)
		return;
	s->replay->goes_first = false;
	if (--s->w->nfirst == 0)
		hold_look(s->w);
}

void
replay_free(struct sess *s)
{
	struct replay *r = s->replay;

	if (likely(r == NULL))
		return;
	replay_first_done(s);
	drop_all(s, r);
	(void)XXH64_freeState(r->hash);
	free(r);
	s->replay = NULL;
}

/* What it has done stays done, so that its client must not begin it anew without a thought. */
static bool
is_final(enum replay_why why)
{
	return why == REPLAY_NONTRX || why == REPLAY_COMMIT;
}

/* It cannot be run again any more: its memory is given back at once. */
void
replay_spoil(struct sess *s, enum replay_why why)
{
	struct replay *r = s->replay;

	if (r->why == REPLAY_FIT || is_final(why))
		r->why = why;
	drop_all(s, r);
}

static const struct cfg_cluster *
cluster_of(struct sess *s)
{
	return sess_user(s) == NULL ? NULL : &cfg_clusters(&s->w->cfg)[s->cluster_idx];
}

bool
replay_writes(const struct stmt *st)
{
	return st->kind == STMT_INSERT || st->kind == STMT_REPLACE || st->kind == STMT_UPDATE || st->kind == STMT_DELETE;
}

/* Kinds of statements whose whole effect is their rows in this transaction and their reply. */
static bool
is_fit(const struct sess *s)
{
	const struct stmt *st = &s->cmd.st;
	const u32 not = STMT_F_MULTI | STMT_F_CHAIN | STMT_F_LOCAL_FILE | STMT_F_TRACKER | STMT_F_DEFAULTS | STMT_F_INTO;
	const u32 diag = STMT_F_DIAG | STMT_F_FOUND_ROWS;
	/* INSERT .. RETURNING: its pin is for the insert id that the reply does not tell */
	u64 pins = st->pins & ~LOG_PINS & ~((st->flags & STMT_F_LEAVES_ID) != 0 ? 1ull << PIN_SYSVAR : 0);

	if ((st->flags & not) != 0 || pins != 0 || s->stream_left > 0 || s->stream_more || s->cmd.last_seq != 0 ||
	    s->cmd.len > PKT_MAX_BODY - 64)
		return false;
	/* written, what was before is not seen in any reply */
	if ((st->flags & STMT_F_DML) != 0 && (st->flags & diag) != 0)
		return false;
	switch (st->kind) {
	case STMT_EXPLAIN:
		return (st->flags & STMT_F_DML) == 0; /* ANALYZE UPDATE */
	case STMT_SELECT:
	case STMT_SHOW:
	case STMT_DO:
	case STMT_BEGIN:
	case STMT_SET_TRX:
	case STMT_SAVEPOINT:
		return true;
	default:
		return replay_writes(st);
	}
}

/* Room for one more entry. NULL: beyond the budget, or no memory; the log is spoilt. */
static struct replay_entry *
entry_new(struct sess *s, struct replay *r, size_t len)
{
	const struct cfg_cluster *c = cluster_of(s);
	size_t size = REPLAY_ENTRY_SIZE(len), want = r->len + size;

	if (c == NULL || want > c->replay_budget) {
		replay_spoil(s, REPLAY_BUDGET);
		return NULL;
	}
	if (want > r->cap) {
		size_t cap = MAX(want, MIN(MAX(r->cap * 2, 1024), c->replay_budget));
		u8 *p = realloc(r->buf, cap);

		if (p == NULL) {
			replay_spoil(s, REPLAY_BUDGET);
			return NULL;
		}
		s->w->bytes_held += cap - r->cap;
		r->buf = p;
		r->cap = cap;
	}
	r->last = r->len;
	r->len = want;
	r->n++;
	struct replay_entry *e = replay_entry_at(r, r->last);
	memset(e, 0, sizeof *e);
	e->len = (u32)len;
	e->db = istr_ref(s->db);
	e->set = settings_ref(s->set);
	return e;
}

/* The command, and for COM_STMT_EXECUTE the types that the client may have sent with an earlier one only. */
static void
entry_add(struct sess *s, struct replay *r)
{
	const struct cmd *c = &s->cmd;
	const struct ps *ps = c->ps;
	size_t head = ps == NULL || ps->nparams == 0 ? c->len : PKT_HDR + 10 + (ps->nparams + 7u) / 8 + 1;
	size_t types = head < c->len + 1 && ps != NULL && ps->nparams > 0 && c->p[head - 1] == 0 ? 2u * ps->nparams : 0;

	if (head > c->len || (ps != NULL && (c->len < PKT_HDR + 6 || c->p[PKT_HDR + 5] != 0 || (types > 0 && ps->types == NULL)))) {
		replay_spoil(s, REPLAY_UNFIT); /* a cursor */
		return;
	}
	struct replay_entry *e = entry_new(s, r, c->len + types);
	if (e == NULL)
		return;
	u8 *p = r->buf + r->last + sizeof *e;
	memcpy(p, c->p, head);
	if (types > 0) {
		p[head - 1] = 1;
		memcpy(p + head, ps->types, types);
	}
	memcpy(p + head + types, c->p + head, c->len - head);
	wr24(p, (u32)(c->len + types - PKT_HDR));
	if (ps != NULL) {
		e->text = istr_ref(ps->text);
		e->ps_db = istr_ref(ps->db);
		e->ps_set = settings_ref(ps->set);
		e->nparams = ps->nparams;
	}
	e->asks_id = (c->st.flags & STMT_F_DML) != 0 && (c->st.flags & STMT_F_INSERT_ID) != 0 && !r->id_known;
	if (e->asks_id && !r->ids) {
		replay_spoil(s, REPLAY_UNFIT); /* the one from before the transaction, which only the connection knew */
		return;
	}
	r->open = true;
	r->restart = c->st.kind == STMT_BEGIN && s->in_trx;
	replay_hash_begin(r);
}

static bool
begins(const struct sess *s, const struct bconn *b)
{
	const struct stmt *st = &s->cmd.st;

	if (!s->replays || s->in_trx || !s->cmd.to_primary || s->cmd.login || !b->tracks_trx || (s->pins & ~LOG_PINS) != 0 ||
	    (s->cmd.com != COM_QUERY && s->cmd.com != COM_STMT_EXECUTE) || s->cmd.streamed)
		return false;
	if (st->kind == STMT_BEGIN || st->kind == STMT_SET_TRX)
		return true;
	return (s->status & ST_AUTOCOMMIT) == 0 && st->kind != STMT_SET && st->kind != STMT_USE &&
	    (st->flags & STMT_F_ENDS_TRX) == 0;
}

static void
log_statement(struct sess *s, struct replay *r)
{
	const struct stmt *st = &s->cmd.st;

	r->open = false;
	if (r->why != REPLAY_FIT && st->kind != STMT_BEGIN)
		return;
	if (s->cmd.streamed) { /* its end is not kept */
		replay_spoil(s, REPLAY_UNFIT);
		return;
	}
	switch (s->cmd.com) {
	case COM_QUERY:
	case COM_STMT_EXECUTE:
		break;
	case COM_STMT_PREPARE:
	case COM_INIT_DB:
	case COM_FIELD_LIST:
	case COM_STATISTICS:
		return; /* nothing of the transaction */
	default:
		replay_spoil(s, REPLAY_UNFIT);
		return;
	}
	/* what they set is the session's, and goes ahead of each entry */
	if ((st->kind == STMT_SET || st->kind == STMT_USE || st->kind == STMT_EMPTY) && st->pins == 0 &&
	    (st->flags & STMT_F_MULTI) == 0)
		return;
	if ((st->flags & STMT_F_ENDS_TRX) != 0 && (st->flags & (STMT_F_CHAIN | STMT_F_MULTI)) == 0 && st->kind != STMT_BEGIN)
		return; /* and so the log */
	if (is_fit(s))
		entry_add(s, r);
	else
		replay_spoil(s, REPLAY_UNFIT);
}

bool
replay_before_send(struct sess *s, struct bconn *b)
{
	struct replay *r = s->replay;

	if (r != NULL && r->running) {
		rerun_go_on(s, b);
		return true;
	}
	if (r == NULL && !begins(s, b))
		return false;
	if (r == NULL) {
		r = calloc(1, sizeof *r);
		XXH64_state_t *h = r != NULL ? XXH64_createState() : NULL;
		if (h == NULL) {
			free(r);
			return false; /* as without a log */
		}
		r->hash = h;
		r->id_known = !s->insert_id_open && !s->insert_id_lost && s->learning == 0;
		r->id = r->id_known ? s->insert_id : 0;
		r->cluster = b->srv->cluster;
		s->replay = r;
	}
	log_statement(s, r);
	return false;
}

/* ---- replies ---- */

void
replay_reply_bytes(struct sess *s, const u8 *p, size_t len)
{
	if (s->replay->open)
		replay_hash_packets(s->replay, p, len);
}

static void
sure(struct replay *r)
{
	r->unsure = false;
	for (size_t at = 0; at < r->len; at += REPLAY_ENTRY_SIZE(replay_entry_at(r, at)->len))
		replay_entry_at(r, at)->unsure = false;
}

void
replay_reply_ok(struct sess *s, const struct pkt_ok *ok)
{
	struct replay *r = s->replay;

	if (unlikely(r->unsure))
		sure(r); /* sess_track_ok has seen what it says */
	if (!r->open)
		return;
	replay_hash_ok(r, ok);
	if (ok->insert_id != 0 && (s->cmd.st.kind == STMT_INSERT || s->cmd.st.kind == STMT_REPLACE)) {
		replay_entry_at(r, r->last)->insert_id = ok->insert_id;
		r->ids = true;
	}
}

void
replay_reply_err(struct sess *s, const struct pkt_err *e)
{
	if (s->replay->open)
		replay_hash_err(s->replay, e);
}

/* session_track_transaction_info = STATE: eight characters; the fourth is w when a table without transactions is written, as
 * soon as the statement has its tables, also in EXPLAIN (mariadb.com/kb/en/session_track_transaction_info, and measured). */
bool
replay_state_is_nontrx(struct slice state)
{
	return state.len > 3 && state.p[3] == 'w';
}

void
replay_trx_state(struct sess *s, struct slice state)
{
	if (replay_state_is_nontrx(state))
		replay_spoil(s, REPLAY_NONTRX);
}

/* Errors that undo their statement and nothing else of the transaction. */
static bool
is_of_statement(u16 code)
{
	static const u16 codes[] = {1022, 1044, 1046, 1048, 1049, 1054, 1062, 1064, 1065, 1099, 1136, 1142, 1143, 1146, 1169, 1216, 1217,
	    1242, 1264, 1265, 1292, 1305, 1364, 1365, 1366, 1406, 1451, 1452, 1644, 1690, 1761, 1762, 4025};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (code == codes[i])
			return true;
	return false;
}

static void
entry_done(struct sess *s, struct replay *r, u16 err)
{
	struct replay_entry *e = replay_entry_at(r, r->last);

	r->open = false;
	e->hash = replay_hash_end(r);
	e->unsure = err != 0 && replay_writes(&s->cmd.st);
	r->unsure |= e->unsure;
	if (r->restart && err == 0) {
		drop_until(s, r, r->last);
		r->why = REPLAY_FIT;
		r->id_known = r->ids = false; /* as they are now */
	}
}

void
replay_finished(struct sess *s)
{
	struct replay *r = s->replay;
	u16 err = s->cmd.err_code;

	r->attempts = 0;
	r->last_kept = r->open && stmt_clears_diagnostics(&s->cmd.st);
	if (r->open)
		entry_done(s, r, err);
	if (!s->in_trx && (s->pins & 1ull << PIN_NEXT_TRX) == 0) {
		replay_free(s);
		return;
	}
	/* DDL that fails has committed what was before it, and an ERR packet does not tell */
	if (err != 0 && s->in_trx && cmd_may_have_committed(s))
		replay_spoil(s, REPLAY_COMMIT);
	else if (err != 0 && !is_of_statement(err))
		replay_spoil(s, REPLAY_ERROR);
	else if (r->why != REPLAY_FIT)
		drop_all(s, r);
	if ((s->pins & ~LOG_PINS) != 0)
		replay_spoil(s, REPLAY_UNFIT);
}

/* ---- the connection is lost ---- */

void
replay_forget(struct sess *s)
{
	cmd_lost_diagnostics(s);
	s->in_trx = s->ro_trx = false;
	s->status &= (u16)~ST_IN_TRANS;
	replay_free(s);
	sess_record_pin(s);
}

void
replay_trx_lost(struct sess *s, enum replay_why why, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	replay_count(s, why);
	replay_forget(s);
	cmd_fail(s, ERR_TRX_LOST, "%s; it was not run again on another one: %s", text, why_words[why]);
}

/* The bytes of the statement under way, for another try; those of the open entry have its types. */
static bool
keep_statement(struct sess *s, struct bconn *b, struct replay *r)
{
	if (r->open) {
		struct replay_entry *e = replay_entry_at(r, r->last);
		u8 *p = malloc(e->len);

		if (p == NULL)
			return false;
		memcpy(p, replay_entry_bytes(e), e->len);
		if (s->cmd.buf != NULL) {
			s->w->bytes_held -= s->cmd.len;
			free(s->cmd.buf);
		}
		s->cmd.buf = p;
		s->cmd.p = p;
		s->cmd.len = e->len;
		s->w->bytes_held += e->len;
		entry_drop(s, e);
		r->len = r->last;
		r->n--;
		r->open = false;
		return true;
	}
	if (s->cmd.buf != NULL)
		return true;
	if (s->cmd.p == NULL && b->req_len > 0) {
		s->cmd.p = b->req;
		s->cmd.len = b->req_len;
	}
	return s->cmd.p != NULL && cmd_save(s);
}

/* The statement under way: it reached the server, or may have, and has no other effect than in this transaction. */
static bool
may_run_twice(const struct sess *s, const struct replay *r)
{
	const struct stmt *st = &s->cmd.st;

	if (s->cmd.com == COM_STMT_PREPARE || s->cmd.com == COM_FIELD_LIST || s->cmd.com == COM_STATISTICS)
		return true;
	return r->open && (s->in_trx || (s->status & ST_AUTOCOMMIT) == 0 || st->kind == STMT_BEGIN || st->kind == STMT_SET_TRX);
}

/* A statement ran. 1: it is run again behind the transaction; 0: its client is told as without a log; -1: was told. */
static int
lost_under_way(struct sess *s, struct bconn *b, struct replay *r)
{
	bool unsent = !s->cmd.sent && s->cmd.p != NULL;
	bool killed = s->cmd.timed_out || s->cmd.kill_sent;

	if (s->cmd.sent_any || killed || s->state == SESS_INFILE || s->cmd.retries >= CMD_RETRIES)
		return 0;
	if (!unsent && s->in_trx && cmd_may_have_committed(s)) {
		replay_count(s, REPLAY_COMMIT);
		return 0;
	}
	if (r->why == REPLAY_FIT && !unsent && !may_run_twice(s, r))
		replay_spoil(s, REPLAY_UNFIT);
	if (is_final(r->why)) {
		replay_count(s, r->why);
		return 0;
	}
	if (r->why != REPLAY_FIT) {
		replay_trx_lost(s, r->why, "server %s", b->srv->name);
		return -1;
	}
	if (!keep_statement(s, b, r))
		return 0;
	s->cmd.lost += s->cmd.sent && s->cmd.lost < UINT8_MAX;
	r->again = s->cmd.sent;
	s->cmd.sent = false;
	s->cmd.retries++;
	return 1;
}

bool
replay_waits(const struct sess *s)
{
	return s->replay != NULL && s->replay->pending;
}

bool
replay_lost(struct sess *s, struct bconn *b, bool under_way, const char *why)
{
	struct replay *r = s->replay;
	bool open = s->in_trx || (s->pins & 1ull << PIN_NEXT_TRX) != 0 || (under_way && (s->status & ST_AUTOCOMMIT) == 0);
	int go = 1;

	if (r->running) {
		rerun_lost(s, why);
		return true;
	}
	if ((s->pins & ~LOG_PINS) != 0) {
		replay_count(s, REPLAY_UNFIT); /* more than the transaction is lost */
		go = 0;
	} else if (open && under_way) {
		go = lost_under_way(s, b, r);
	} else if (open && is_final(r->why)) {
		replay_count(s, r->why);
		go = 0;
	}
	if (go < 0)
		return true;
	if (go == 0 || !open) {
		replay_free(s);
		return false;
	}
	log_info("session %u %s@%s: server %s: %s; its transaction of %u statements waits to be run again", s->id, s->user,
	    s->addr_text, b->srv->name, why, r->n);
	r->pending = true;
	r->since = ev_now(&s->w->loop);
	if (under_way) {
		sess_set_state(s, SESS_WAIT);
		cmd_dispatch(s);
	} else if (s->parked) {
		sess_resume(s);
	}
	return true;
}

/* As a lost connection, but that nothing is open about the statement: also a COMMIT was rolled back (10.11 refuses it before
 * anything is written). */
bool
replay_refused(struct sess *s, struct bconn *b, const struct pkt_err *e)
{
	struct replay *r = s->replay;
	const struct cfg_cluster *c = cluster_of(s);

	if (!hold_refused(s, e->code, &e->text) || r->why != REPLAY_FIT || !s->in_trx || (s->pins & ~LOG_PINS) != 0 || s->cmd.sent_any ||
	    s->cmd.timed_out || s->cmd.kill_sent || s->cmd.retries >= CMD_RETRIES || !keep_statement(s, b, r))
		return false;
	log_info("session %u %s@%s: server %s is read-only; the transaction of %u statements waits to be run again", s->id, s->user,
	    s->addr_text, b->srv->name, r->n);
	chan_ring(s->w->health_bell);
	for (u32 i = 0; c != NULL && i < c->nservers && i < ROUTE_MAX_SERVERS; i++)
		if (cfg_servers(&s->w->cfg)[cfg_cluster_servers(&s->w->cfg, c)[i]].id == b->srv->id)
			s->cmd.exclude |= 1ull << i;
	bconn_expect_done(b);
	bconn_unlink(b);
	b->in_trouble = true;
	bconn_close(b, "its transaction goes to the next primary");
	r->pending = true;
	r->again = false;
	r->attempts = 0; /* it was the wrong server, and nothing was wrong with the run */
	r->since = ev_now(&s->w->loop);
	s->cmd.sent = false;
	s->cmd.retries++;
	STAT_ADD(s->w->stat->retried, 1);
	sess_set_state(s, SESS_WAIT);
	cmd_dispatch(s);
	return true;
}

/* The next statement of a session whose transaction has lost its connection. */
bool
replay_dispatch(struct sess *s)
{
	struct replay *r = s->replay;
	const struct stmt *st = &s->cmd.st;

	if (!r->pending)
		return false;
	if (st->kind == STMT_ROLLBACK && (st->flags & STMT_F_ENDS_TRX) != 0 && (st->flags & (STMT_F_CHAIN | STMT_F_MULTI)) == 0) {
		replay_forget(s); /* as asked */
		return false;
	}
	if (r->why != REPLAY_FIT) {
		replay_trx_lost(s, r->why, "its connection was lost");
		return true;
	}
	if ((st->flags & (STMT_F_DIAG | STMT_F_FOUND_ROWS)) != 0 && !r->last_kept) {
		cmd_fail(s, ERR_REFUSED, "diagnostics of a statement whose connection was lost");
		return true;
	}
	return !cmd_save(s); /* it outlives the read buffer */
}
