/* worker/sess_cmd.c: commands of a client that is logged in: what each is, where it goes, what must be sent ahead of
 * it, and what happens when that fails. Runs in a worker.
 */
#include "worker/catalog.h"
#include "worker/sess_causal.h"
#include <errno.h>
#include <stdarg.h>
#include "base/str.h"
#include "router/route.h"

#define RETRY_MAX 16384 /* longer reads are not kept for a second try, unless they may wait: they are rare and cost a copy */

/* ---- routing ---- */

/* A connection failed here a moment ago, and health has not seen the server up since. */
bool
wserver_suspect(struct wserver *srv, u64 now)
{
	const struct shm_srvhealth *h = &srv->w->health->servers[srv->id];

	if (srv->suspect_until <= now)
		return false;
	if (wserver_verdict(srv).state == SRV_UP &&
	    __atomic_load_n(&h->probed, __ATOMIC_RELAXED) > srv->suspect_until - SUSPECT_NS) {
		srv->suspect_until = 0;
		return false;
	}
	return true;
}

bool
wserver_drained(const struct worker *w, u32 id)
{
	return __atomic_load_n(&shm_master_servers(w->names)[id].admin, __ATOMIC_RELAXED) == SHM_ADMIN_DRAIN;
}

static void
route_servers(struct sess *s, const struct cfg_cluster *c, const struct causal *k, struct route_server *rs)
{
	struct worker *w = s->w;
	const u32 *idx = cfg_cluster_servers(&w->cfg, c);
	const struct cfg_server *all = cfg_servers(&w->cfg);
	u64 now = ev_now(&w->loop);

	for (u32 i = 0; i < c->nservers && i < ROUTE_MAX_SERVERS; i++) {
		u32 id = all[idx[i]].id;
		struct wserver *srv = &w->srv[id];

		rs[i] = (struct route_server){
		    .id = id,
		    .weight = srv->weight,
		    .outstanding = srv->nbusy + srv->nwaiting,
		    .v = wserver_verdict(srv),
		    .drain = wserver_drained(w, id),
		    .suspect = wserver_suspect(srv, now),
		    .has_writes = k->n > 0 && causal_reached(w, srv, k),
		};
	}
}

static const struct cfg_cluster *
sess_cluster(struct sess *s)
{
	return sess_user(s) == NULL ? NULL : &cfg_clusters(&s->w->cfg)[s->cluster_idx];
}

/* The server that the statement's hint names, as an index into the cluster's; -1: none is named, -2: it is not there. */
static int
hinted_server(struct sess *s, const struct cfg_cluster *c)
{
	const struct stmt *st = &s->cmd.st;
	const u32 *idx = cfg_cluster_servers(&s->w->cfg, c);
	const char *text = s->cmd.ps != NULL ? s->cmd.ps->text->text : (const char *)s->cmd.p + PKT_HDR + 1;

	if ((st->flags & STMT_F_HINT_SERVER) == 0)
		return -1;
	for (u32 i = 0; i < c->nservers && i < ROUTE_MAX_SERVERS; i++) {
		const char *name = s->w->srv[cfg_servers(&s->w->cfg)[idx[i]].id].name;

		if (slice_eq(name, strlen(name), text + st->hint_off, st->hint_len))
			return (int)i;
	}
	cmd_fail(s, ERR_NOTFOUND, "the hint names server %.*s, and cluster %s has none of that name",
	    (int)MIN(st->hint_len, 64), text + st->hint_off, cfg_text(&s->w->cfg, c->section_name));
	return -2;
}

/* A kept connection takes no account of hints: did it happen to be what the hint asked for? */
static void
hint_of_kept(struct sess *s, bool primary)
{
	const struct stmt *st = &s->cmd.st;
	const char *text = s->cmd.ps != NULL ? s->cmd.ps->text->text : (const char *)s->cmd.p + PKT_HDR + 1;
	const char *name = s->b->srv->name;
	bool fits = (st->flags & STMT_F_HINT_SERVER) != 0 ?
	    slice_eq(name, strlen(name), text + st->hint_off, st->hint_len) :
	    primary == ((st->flags & STMT_F_HINT_PRIMARY) != 0);

	s->cmd.hint_ignored = !fits;
	STAT_ADD(s->w->stat->hints_ignored, !fits);
}

/* Breaks ties among servers: a count would fall in step with clients that send the same few statements again and
 * again, so a linear congruential generator (Numerical Recipes' constants), of which the high bits are used. */
static u32
next_turn(struct worker *w)
{
	w->turn = w->turn * 1664525u + 1013904223u;
	return w->turn >> 16;
}

/* The server for the statement under way, NULL if none (the client was told). */
static struct wserver *
choose_server(struct sess *s)
{
	struct worker *w = s->w;
	struct route_server rs[ROUTE_MAX_SERVERS];
	struct route_out out;
	const struct cfg_cluster *c = sess_cluster(s);
	static const struct stmt of_trx = {.kind = STMT_OTHER, .why = ROUTE_TRX};
	const struct stmt *st = replay_waits(s) ? &of_trx : &s->cmd.st; /* its transaction goes first */

	if (c == NULL) {
		cmd_fail(s, ERR_REFUSED, "user %s is no longer configured", s->user);
		return NULL;
	}
	int hint = st == &of_trx ? -1 : hinted_server(s, c);

	if (hint == -2)
		return NULL;
	struct causal need;

	causal_need(s, c, &need);
	route_servers(s, c, &need, rs);
	struct route_in in = {
	    .hint_server = hint,
	    .topology = (enum cfg_topology)c->topology,
	    /* what a server says of itself is asked of the primary */
	    .policy = s->db_local ? CFG_READ_PRIMARY : (enum cfg_read_policy)c->read_policy,
	    .read_split = s->read_split,
	    .wrote = need.n > 0 || need.unknown,
	    .pinned_trx = (s->status & ST_AUTOCOMMIT) == 0,
	    .retry = s->cmd.retries > 0,
	    .primary = clu_primary_load(w->health, c->id, NULL),
	    .exclude = s->cmd.exclude,
	    .turn = next_turn(w),
	    .n = MIN(c->nservers, ROUTE_MAX_SERVERS),
	    .servers = rs,
	};
	route_statement(st, &in, &out);
	s->cmd.wait_for.n = 0;
	if (out.lacked_writes && (out.index < 0 || out.why == ROUTE_OWN_WRITES)) {
		int i = causal_pick(s, c, &in, &need);

		if (i >= 0) {
			out.index = i;
			out.why = ROUTE_WAITED;
		}
	}
	/* USE and SET leave nothing at a server: without a primary any server will do */
	if (out.index < 0 && out.why == ROUTE_NO_PRIMARY && !in.pinned_trx &&
	    (st->kind == STMT_USE || st->kind == STMT_SET) && st->pins == 0 && (st->flags & STMT_F_MULTI) == 0) {
		struct stmt any = {.flags = STMT_F_READ, .why = ROUTE_READ};

		in.policy = CFG_READ_REPLICAS;
		in.read_split = true;
		in.wrote = false;
		route_statement(&any, &in, &out);
	}
	s->cmd.why = out.why;
	s->cmd.read = out.read;
	s->cmd.hint_ignored = out.hint_ignored;
	STAT_ADD(w->stat->hints_ignored, out.hint_ignored);
	if (out.index < 0) {
		int prim = in.primary;
		u32 writable = w->health->clusters[c->id].writable;
		const char *full = "";

		if (in.hint_server < 0 && s->cmd.refused == 0 && hold_statement(s, &full))
			return NULL;
		cmd_fail(s, s->cmd.refused != 0 ? s->cmd.refused : out.why == ROUTE_NO_PRIMARY ? ERR_NO_PRIMARY : ERR_NO_SERVER,
		    "cluster %s: %s%s%s%s", cfg_text(&w->cfg, c->section_name), route_words[out.why], full,
		    prim < 0 && writable > 1 ? ", more than one server is writable" :
		    prim >= 0 && wserver_drained(w, (u32)prim) ? ", it is being drained" : "",
		    s->cmd.last_error[0] != '\0' ? s->cmd.last_error : "");
		return NULL;
	}
	s->cmd.server_index = (u8)out.index;
	s->cmd.to_primary = (int)rs[out.index].id == in.primary;
	return &w->srv[rs[out.index].id];
}

bool
sess_has_primary(struct sess *s)
{
	const struct cfg_cluster *c = sess_cluster(s);

	return c != NULL && clu_primary_load(s->w->health, c->id, NULL) >= 0;
}

u32
sess_lex_mode(const struct sess *s)
{
	u32 m = 0;

	if (s->status & ST_NO_BACKSLASH_ESCAPES)
		m |= LEX_NO_BACKSLASH_ESCAPES;
	if (s->status & ST_ANSI_QUOTES)
		m |= LEX_ANSI_QUOTES;
	if (unlikely(s->mode_unsure))
		return m | LEX_UNSAFE_CHARSET;
	m |= s->lex_charset;
	return m;
}

/* ---- the statement's bytes ---- */

/* Copies the statement out of the read buffer. False: out of memory (the client was told). */
bool
cmd_save(struct sess *s)
{
	if (s->cmd.buf != NULL)
		return true;
	s->cmd.buf = malloc(s->cmd.len);
	if (s->cmd.buf == NULL) {
		cmd_fail(s, ERR_NOMEM, "statement of %zu bytes", s->cmd.len);
		return false;
	}
	memcpy(s->cmd.buf, s->cmd.p, s->cmd.len);
	s->cmd.p = s->cmd.buf;
	s->w->bytes_held += s->cmd.len;
	return true;
}

/* The client is still sending the statement that fails. */
static void PRINTF(3, 0)
fail_stream(struct sess *s, int code, const char *fmt, va_list ap)
{
	u8 buf[PKT_ERR_TEXT + 64];
	struct wr w = wr_init(buf, sizeof buf);
	/* a server has a part of it, or is sure to want no more */
	bool end = code == ERR_PACKET_SIZE || (s->b != NULL && s->cmd.sent);

	if (s->cmd.com == COM_STMT_SEND_LONG_DATA && !end) {
		if (s->cmd.ps != NULL)
			s->cmd.ps->data_lost = true; /* told when it is executed */
		(void)stream_refuse(s, NULL, 0, false);
		return;
	}
	s->row_count = -1;
	if (code == 0) {
		int n = va_arg(ap, int);

		STAT_ADD(s->w->stat->errors_server, 1);
		(void)stream_refuse(s, va_arg(ap, u8 *), (size_t)n, end);
		return;
	}
	sess_error_write(s, &w, 0, code, fmt, ap);
	if (w.bad)
		sess_close(s, "error too long");
	else
		(void)stream_refuse(s, buf, w.len, end);
}

/* Ends the statement with an error made here (code 0: fmt gives a packet of the server's, %.*s). */
void
cmd_fail(struct sess *s, int code, const char *fmt, ...)
{
	char text[PKT_ERR_TEXT + 64];
	va_list ap;
	bool login = s->cmd.login;
	bool silent = s->cmd.com == COM_STMT_SEND_LONG_DATA;
	u8 seq = login ? s->next_seq : (u8)(s->cmd.last_seq + 1);
	bool stream = s->stream_left > 0 || s->stream_more, ok = true;

	bpool_unwait(s);
	va_start(ap, fmt);
	if (stream) {
		fail_stream(s, code, fmt, ap);
		va_end(ap);
		return;
	}
	if (code == 0) {
		int n = va_arg(ap, int);
		u8 *pkt = va_arg(ap, u8 *);

		pkt[3] = seq;
		STAT_ADD(s->w->stat->errors_server, 1);
		ok = silent || sess_send(s, pkt, (size_t)n);
	} else {
		vsnprintf(text, sizeof text, fmt, ap);
		ok = silent || sess_error(s, seq, code, "%s", text);
	}
	va_end(ap);
	if (silent && s->cmd.ps != NULL)
		s->cmd.ps->data_lost = true; /* told when it is executed */
	s->cmd.failed = true;
	if (unlikely(s->multi != NULL))
		multi_drop(s);
	sess_cmd_clear(s);
	s->row_count = -1;
	if (!login && code != 0) {
		s->diag_lost = true; /* a server would show this error now */
		if (s->b != NULL)
			s->b->ran = false;
	}
	if (ok && login && s->before != NULL) {
		change_undo(s);
		return;
	}
	if (!ok || login) {
		sess_close_when_sent(s);
		return;
	}
	if (s->state != SESS_READY)
		sess_set_state(s, SESS_READY);
	if (s->conn.held_len > 0 || s->conn.paused)
		sess_resume(s);
}

/* ---- sending ---- */

static enum reply_kind
cmd_reply_kind(u8 com)
{
	switch (com) {
	case COM_STMT_PREPARE:
		return REPLY_PREPARE;
	case COM_STMT_FETCH:
	case COM_FIELD_LIST:
	case COM_BINLOG_DUMP: /* events, until an end or an error, or for ever */
		return REPLY_ROWS;
	case COM_STATISTICS:
		return REPLY_STRING;
	case COM_INIT_DB:
	case COM_STMT_RESET:
	case COM_SET_OPTION:
	case COM_REFRESH:
	case COM_REGISTER_SLAVE:
	case COM_SHUTDOWN:
	case COM_DEBUG:
		return REPLY_OK_ONLY;
	default:
		return REPLY_RESULT;
	}
}

static void
count_sent(struct sess *s, struct bconn *b)
{
	struct worker *w = s->w;
	struct shm_session *r = &w->srec[s->rec];

	STAT_ADD(w->sstat[b->srv->id].statements, 1);
	if (!s->cmd.to_primary)
		STAT_ADD(w->stat->reads_replica, 1);
	else if (s->cmd.read)
		STAT_ADD(w->stat->reads_primary, 1);
	else
		STAT_ADD(w->stat->writes, 1);
	__atomic_store_n(&r->server, b->srv->id + 1, __ATOMIC_RELAXED);
}

/* Keeps a copy for a second try. */
static void
keep_request(struct sess *s, struct bconn *b)
{
	size_t max = s->hold_writes ? MAX(RETRY_MAX, s->w->cfg.r->margay.statement_buffer) : RETRY_MAX;

	b->req_len = 0;
	if ((!s->cmd.read && !s->hold_writes) || s->cmd.buf != NULL || s->cmd.len > max)
		return;
	if (b->req_cap < s->cmd.len) {
		size_t cap = MAX(s->cmd.len, 512);
		u8 *p = realloc(b->req, cap);

		if (p == NULL)
			return;
		b->req = p;
		b->req_cap = cap;
	}
	memcpy(b->req, s->cmd.p, s->cmd.len);
	b->req_len = s->cmd.len;
}

static u8
sent_seq(const struct sess *s)
{
	return s->cmd.ps != NULL || s->cmd.part ? s->cmd.server_seq : s->cmd.last_seq;
}

/* The beginning is on its way to the server: more of the client's. */
static void
stream_goes_on(struct sess *s)
{
	sess_set_state(s, SESS_STREAM);
	if (s->conn.paused)
		conn_pause(&s->conn, false);
	sess_resume(s);
}

/* Everything ahead has succeeded, or there was nothing: the client's own bytes. */
void
cmd_send_now(struct sess *s, struct bconn *b)
{
	trace_begin(s, TRACE_SERVER);
	u8 exp = EXP_CLIENT;
	bool ok;
	union {
		const u8 *c;
		void *v;
	} u = {s->cmd.p};
	struct iovec iov = {u.v, s->cmd.len};

	if (unlikely(s->replays || s->replay != NULL) && replay_before_send(s, b))
		return;
	if (unlikely(s->meta != NULL)) {
		meta_drop(s); /* of a connection that was lost */
		s->cmd.results = 0;
	}
	wcat_begin(s, b);
	keep_request(s, b);
	count_sent(s, b);
	b->stmt_started = ev_now(&s->w->loop);
	if (s->cmd.com == COM_STMT_SEND_LONG_DATA)
		ok = ps_execute_send(s, b) && !b->conn.eof;
	else if (s->cmd.ps != NULL)
		ok = ps_execute_send(s, b);
	else
		ok = bconn_send(b, &iov, 1, &exp, 1);
	/* a plain socket's first write that fails has taken nothing; nobody knows what a layer had let through */
	s->cmd.sent = ok || b->conn.layer != NULL || b->conn.err == ENOMEM;
	if (!ok) {
		sess_on_backend_lost(s, b, "statement could not be sent");
		bconn_close(b, "could not send");
		return;
	}
	bool more = s->stream_left > 0 || s->stream_more;

	if (s->cmd.com == COM_STMT_SEND_LONG_DATA) {
		/* no reply */
		ps_mark(s, s->cmd.ps, s->cmd.ps->cursor, true);
		if (more)
			stream_goes_on(s);
		else
			cmd_finished(s);
		return;
	}
	reply_init(&b->reply, cmd_reply_kind(s->cmd.com), (s->caps & CAP_DEPRECATE_EOF) == 0,
	    s->cmd.com == COM_STMT_EXECUTE && s->cmd.p[PKT_HDR + 5] != 0);
	b->reply.any_seq = b->zip != ZIP_OFF;
	b->reply.metadata = (s->mcaps & MCAP_CACHE_METADATA) != 0;
	b->reply.next_seq = (u8)(sent_seq(s) + 1);
	b->reply.seq_add = (u8)(s->cmd.last_seq - sent_seq(s));
	b->reply_open = true;
	if (more)
		stream_goes_on(s);
	if (s->cmd.buf == NULL)
		s->cmd.p = NULL; /* the read buffer is somebody else's from here on */
}

/* Runs the statement on b, which is idle (and becomes the session's) or kept by it already. */
void
cmd_run_on(struct sess *s, struct bconn *b)
{
	bool own = s->b == b;

	if (!own) {
		bconn_set_state(b, BCONN_LINKED);
		bconn_link(b, s);
	}
	b->uses++;
	trace_begin(s, TRACE_AHEAD);
	bconn_set_state(b, BCONN_BUSY);
	if (s->state != SESS_BUSY)
		sess_set_state(s, SESS_BUSY);
	if (unlikely(s->replay != NULL) && replay_waits(s)) {
		replay_run(s, b);
		return;
	}
	if (!cmd_send_ahead(s, b, own))
		cmd_send_now(s, b);
}

/* A connection is there for a session that waited in line. */
void
sess_on_backend(struct sess *s, struct bconn *b)
{
	shm_hist_add(&s->w->seg->hist[SHM_HIST_wait], ev_now(&s->w->loop) - s->cmd.waited_since);
	cmd_run_on(s, b);
}

static void
get_backend(struct sess *s, struct wserver *srv)
{
	struct bpool *bp = bpool_find(s->w, srv, s);
	struct bconn *b;

	if (bp == NULL) {
		cmd_fail(s, ERR_NOMEM, "pool");
		return;
	}
	b = bpool_get(bp, s);
	if (b != NULL) {
		cmd_run_on(s, b);
		return;
	}
	if (!cmd_save(s))
		return;
	if (s->state != SESS_WAIT)
		sess_set_state(s, SESS_WAIT);
	trace_begin(s, TRACE_WAIT);
	bpool_wait(bp, s);
}

/* Does the statement no more than ask a replica for what its connection knows? */
static bool
only_asks(const struct sess *s)
{
	const u32 changes = STMT_F_DML | STMT_F_ENDS_TRX | STMT_F_IMPLICIT_COMMIT | STMT_F_DEFAULTS | STMT_F_INTO;
	const struct stmt *st = &s->cmd.st;

	/* of several reasons why it is no read `why` is the first */
	return st->pins == 0 && (st->flags & changes) == 0 && st->why != ROUTE_WRITE && !cmd_has_word(s, "update") &&
	    !cmd_has_word(s, "share");
}

/* The connection kept for its diagnostics alone: does this statement need it, or may it go? */
static bool
kept_still_fits(struct sess *s)
{
	const struct stmt *st = &s->cmd.st;
	const u32 asks = (s->cmd.asks_own ? 0 : STMT_F_DIAG | STMT_F_FOUND_ROWS) | STMT_F_INSERT_ID;
	bool reads = (st->flags & STMT_F_READ) != 0;

	bool primary = clu_primary_load(s->w->health, sess_cluster(s)->id, NULL) == (int)s->b->srv->id;

	if (s->pins != 1u << PIN_DIAGNOSTICS)
		return true;
	/* only what can be asked for is kept here: a hint may lead elsewhere */
	if ((st->flags & STMT_F_HINTS) != 0 && (st->flags & asks) == 0 && !s->diag_open && !s->row_unsure && !s->keeps_diag)
		return false;
	/* nothing may make the session stay with a replica for good */
	if ((st->flags & asks) != 0)
		return primary || ((st->flags & (STMT_F_DIAG | STMT_F_FOUND_ROWS)) != 0 && only_asks(s));
	/* what SET leaves may be tied to its connection: the parser does not know every variable */
	bool sets = (st->kind == STMT_USE || (st->kind == STMT_SET && primary)) && st->pins == 0 && (st->flags & STMT_F_MULTI) == 0 &&
	    !cmd_has_word(s, "autocommit");
	bool keeps = (reads || sets) && (st->flags & STMT_F_TABLES) == 0;

	if (primary)
		return keeps || !reads;
	/* it leaves the diagnostics as they are (measured): so must we; but no transaction may begin on a replica */
	return keeps && (s->status & ST_AUTOCOMMIT) != 0;
}

/* The session's connection goes back to its pool. If LAST_INSERT_ID() or FOUND_ROWS() is known to it alone, it is asked
 * first; the latter not if a SELECT is under way, which makes another. */
void
sess_release_backend(struct sess *s)
{
	struct bconn *b = s->b;
	bool select = s->cmd.com != 0 && (s->cmd.st.flags & STMT_F_READ) != 0 && (s->cmd.st.flags & STMT_F_FOUND_ROWS) == 0;
	bool id = s->insert_id_open, awaits_id = s->learning != 0 && s->learning_id && !id; /* that answer must not be missed */
	bool found = s->found_unsure && s->found_here && !select && !awaits_id, learn = id || found;

	s->pins &= ~(1ull << PIN_DIAGNOSTICS);
	b->diag_left |= s->diag_open;
	s->diag_open = false;
	sess_record_pin(s);
	bconn_unlink(b);
	if (b->state == BCONN_BUSY)
		bconn_set_state(b, BCONN_LINKED);
	s->insert_id_open = false;
	if (learn && (b->in_trouble || b->conn.eof)) {
		s->insert_id_lost |= id;
	} else if (learn) {
		const char *sql = found ? "SELECT LAST_INSERT_ID(),FOUND_ROWS()" : "SELECT LAST_INSERT_ID()";

		s->learning_id = id;
		s->learning_found = b->learn_found = found;
		s->learning = ++s->learn_no;
		b->learn_for = s->id;
		b->learn_no = s->learn_no;
		bconn_set_state(b, BCONN_RESET);
		if (!bconn_send_com(b, COM_QUERY, sql, strlen(sql), EXP_LEARN))
			b->conn.eof = true;
		return;
	}
	bpool_give(b);
}

#define KEPT_NS (1000 * MS_NS) /* a program that looks at warnings does so at once; a person may be slower */

bool
sess_may_let_go(struct sess *s, u64 now)
{
	if (s->state != SESS_READY || s->pins != 1u << PIN_DIAGNOSTICS || s->conn.held_len > 0)
		return false;
	if (!s->diag_open && !s->row_unsure && !s->keeps_diag)
		return true;
	if (now - s->since < KEPT_NS)
		return false;
	s->diag_lost = true;
	return true;
}

/* Diagnostics that no connection of the session holds any more. True: the client was answered. */
static bool
diagnostics_elsewhere(struct sess *s)
{
	const struct stmt *st = &s->cmd.st;

	if (local_row_count(s))
		return true;
	s->keeps_diag = true;
	if ((st->flags & STMT_F_FOUND_ROWS) != 0 || cmd_has_word(s, "row_count")) {
		cmd_fail(s, ERR_REFUSED,
		    "ROW_COUNT(), FOUND_ROWS() and diagnostics within an expression, for a statement whose "
		    "connection was given back; from now on this session keeps its connection for it");
		return true;
	}
	/* the statement before left no warning, so those of a fresh connection are the right answer */
	s->cmd.needs_reset = true;
	return false;
}

/* EXECUTE IMMEDIATE has what it asks for in a text of its own. */
static bool
asks_diagnostics(struct sess *s)
{
	static const char *const words[] = {"warnings", "errors", "diagnostics", "warning_count", "error_count"};
	const u64 own_text = 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_ROUTINE;

	if (s->cmd.asks_own)
		return false;
	if ((s->cmd.st.flags & STMT_F_DIAG) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words) && (s->cmd.st.pins & own_text) != 0; i++)
		if (cmd_has_word(s, words[i]))
			return true;
	return false;
}

/* True: the client was told. */
static bool
diagnostics_lost(struct sess *s)
{
	if (!asks_diagnostics(s) || cmd_has_word(s, "row_count"))
		return false;
	cmd_fail(s, ERR_REFUSED, "the diagnostics of the statement before were given up with its connection");
	return true;
}

/* The statement asks for the diagnostics that its connection keeps, and perhaps for the insert id, which that connection does not
 * know; to set it now would end them. True: the client was told. */
static bool
id_before_diagnostics(struct sess *s)
{
	bool both = (s->cmd.st.flags & STMT_F_INSERT_ID) != 0 && (s->cmd.st.flags & STMT_F_DIAG) != 0 && !s->cmd.asks_own;

	if (!(both || (s->diag_open && asks_diagnostics(s))) || !cmd_sets_insert_id(s, s->b))
		return false;
	s->keeps_diag = true;
	cmd_fail(s, ERR_REFUSED,
	    "ROW_COUNT() or diagnostics together with LAST_INSERT_ID(), which the connection that has them does not know; from now on "
	    "it is told ahead");
	return true;
}

void
cmd_dispatch(struct sess *s)
{
	const u32 asks = s->cmd.asks_own ? 0 : STMT_F_DIAG | STMT_F_FOUND_ROWS;

	trace_begin(s, TRACE_ROUTE);
	if (unlikely(s->replay != NULL) && replay_dispatch(s))
		return;
	if ((s->learning != 0 && ((s->learning_id && (cmd_wants_insert_id(s) || cmd_may_tell_id(s))) ||
		(s->learning_found && (s->cmd.st.flags & STMT_F_FOUND_ROWS) != 0))) || (s->b != NULL && s->b->kills > 0)) {
		if (!cmd_save(s))
			return;
		s->parked = true;
		if (s->state != SESS_WAIT)
			sess_set_state(s, SESS_WAIT);
		return;
	}
	if (unlikely(s->insert_id_lost) && cmd_asks_lost_id(s)) {
		cmd_fail_lost_id(s);
		return;
	}
	if (s->diag_lost && diagnostics_lost(s))
		return;
	if (s->b != NULL && id_before_diagnostics(s))
		return;
	bool settled = s->cmd.ps == NULL || ps_settle(s, s->cmd.ps);
	if (!settled && (s->b == NULL || s->pins != 1u << PIN_DIAGNOSTICS)) {
		cmd_fail(s, ERR_REFUSED,
		    "the statement was prepared under another sql_mode or character set, and cannot be prepared so "
		    "again on the connection that the session keeps");
		return;
	}
	if (unlikely(s->ro_trx) && s->b != NULL && ro_dispatch(s))
		return;
	/* a kept connection may have come after the SELECT, for a write */
	if (s->b != NULL && (s->cmd.st.flags & asks & STMT_F_FOUND_ROWS) != 0 && !s->found_here && diagnostics_elsewhere(s))
		return;
	if (s->b != NULL) {
		if (settled && kept_still_fits(s)) {
			if (unlikely(!s->b->ran) && (s->cmd.st.flags & asks) != 0 && cmd_has_word(s, "row_count") && diagnostics_elsewhere(s))
				return;
			s->cmd.why = ROUTE_PINNED;
			s->cmd.read = false;
			s->cmd.to_primary =
			    clu_primary_load(s->w->health, s->w->srv[s->b->srv->id].cluster, NULL) == (int)s->b->srv->id;
			if (unlikely((s->cmd.st.flags & STMT_F_HINTS) != 0))
				hint_of_kept(s, s->cmd.to_primary);
			cmd_run_on(s, s->b);
			return;
		}
		if ((s->diag_open || s->row_unsure) && ((s->cmd.st.flags & (STMT_F_TABLES | STMT_F_DML)) == 0 || asks_diagnostics(s)))
			s->diag_lost = true; /* this one leaves them, but cannot run there */
		sess_release_backend(s);
		if (s->diag_lost && diagnostics_lost(s))
			return;
		if (!settled || s->learning != 0) {
			cmd_dispatch(s); /* without that connection there is more freedom; what it alone knew may be needed first */
			return;
		}
	}
	if ((s->cmd.st.flags & asks) != 0 && !replay_waits(s) && diagnostics_elsewhere(s))
		return;
	struct wserver *srv = choose_server(s);
	if (srv != NULL)
		get_backend(s, srv);
}

/* ---- failures ---- */

void
sess_on_connect_failed(struct sess *s, struct wserver *srv, int code, const char *text)
{
	s->cmd.exclude |= 1ull << s->cmd.server_index;
	s->cmd.retries++;
	/* a login that waited would keep a descriptor meanwhile */
	s->cmd.refused = code == ERR_BACKEND_AUTH || (code == ERR_EXHAUSTED && s->cmd.login) ? code : 0;
	if (s->cmd.read && s->cmd.retries <= ROUTE_MAX_SERVERS) {
		STAT_ADD(s->w->stat->retried, 1);
		snprintf(s->cmd.last_error, sizeof s->cmd.last_error, "; server %.60s: %.80s", srv->name, text);
		cmd_dispatch(s);
		return;
	}
	if ((code == ERR_CONNECT || code == ERR_EXHAUSTED) && s->cmd.refused == 0) {
		const char *full;

		snprintf(s->cmd.last_error, sizeof s->cmd.last_error, "; server %.60s: %.80s", srv->name, text);
		if (hold_statement(s, &full))
			return;
	}
	cmd_fail(s, code, "server %s as %s: %s", srv->name, s->user, text);
}

/* May it run twice, for all that anybody can tell? A connection without state is gone, and so is what was open on it. */
static bool
is_harmless(const struct sess *s)
{
	const struct stmt *st = &s->cmd.st;

	if (s->cmd.streamed)
		return false;
	if (s->cmd.com == COM_STMT_PREPARE || s->cmd.com == COM_INIT_DB || s->cmd.com == COM_STATISTICS)
		return true;
	if (!cmd_runs(&s->cmd) || (st->flags & STMT_F_MULTI) != 0 ||
	    (st->flags & (STMT_F_DIAG | STMT_F_FOUND_ROWS)) != 0 || (st->pins & 1ull << PIN_LONG) != 0)
		return false;
	return (st->flags & (STMT_F_READ | STMT_F_STATE_READ)) != 0 || st->kind == STMT_BEGIN || st->kind == STMT_USE ||
	    ((st->kind == STMT_COMMIT || st->kind == STMT_ROLLBACK) && (st->flags & STMT_F_RELEASE) == 0) ||
	    (st->kind == STMT_SELECT && st->why == ROUTE_LOCKING && st->pins == 0);
}

/* The statement's connection is lost, and had no state. unsent_r: no byte of it has reached the server. */
static bool
may_run_again(struct sess *s, struct bconn *b, bool *unsent_r)
{
	bool again = s->cmd.retries < CMD_RETRIES && !s->cmd.timed_out && !s->cmd.kill_sent;

	*unsent_r = again && !s->cmd.sent && s->cmd.p != NULL;
	if (s->cmd.sent_any)
		return false;
	if (*unsent_r)
		return true;
	return (s->cmd.read || (again && s->hold_writes && is_harmless(s))) && (s->cmd.buf != NULL || b->req_len > 0);
}

void
cmd_lost_diagnostics(struct sess *s)
{
	s->insert_id_lost |= s->insert_id_open;
	s->diag_lost |= s->diag_open;
	s->insert_id_open = s->diag_open = s->row_unsure = s->own_trackers = false;
	s->pins = 0;
}

/* The statement that ran when the connection was lost may have committed the transaction. */
bool
cmd_may_have_committed(const struct sess *s)
{
	const struct stmt *st = &s->cmd.st;
	const u64 unseen = 1ull << PIN_ROUTINE | 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG | 1ull << PIN_XA;

	return s->cmd.sent && (((st->flags & STMT_F_ENDS_TRX) != 0 && st->kind != STMT_ROLLBACK) || st->kind == STMT_BEGIN ||
	    st->kind == STMT_SET || st->kind == STMT_LOCK || st->kind == STMT_OTHER || (st->flags & STMT_F_MULTI) != 0 ||
	    (st->pins & unseen) != 0);
}

/* What is known of a statement that ran when its connection was lost. */
static const char *
lost_outcome(const struct sess *s)
{
	return !s->in_trx ? "whether the statement was carried out is not known" :
	    cmd_may_have_committed(s) ? "whether the transaction was committed is not known" : "the transaction is rolled back";
}

/* A COMMIT was under way, and but for its transaction there was nothing on the connection: the transaction is over, committed or
 * not, so that the session has lost nothing that it could go on with. */
static bool
lost_no_more_than_commit(const struct sess *s)
{
	const struct stmt *st = &s->cmd.st;
	const u64 trx = 1ull << PIN_TRX | 1ull << PIN_NEXT_TRX | 1ull << PIN_DIAGNOSTICS;

	return s->in_trx && (s->pins & ~trx) == 0 && cmd_runs(&s->cmd) && st->kind == STMT_COMMIT &&
	    (st->flags & (STMT_F_CHAIN | STMT_F_RELEASE | STMT_F_MULTI)) == 0;
}

/* The linked connection is about to be closed under the session. */
void
sess_on_backend_lost(struct sess *s, struct bconn *b, const char *why)
{
	bool running = s->cmd.com != 0 && s->state >= SESS_STREAM;
	bool had_state = (s->pins & ~(1ull << PIN_DIAGNOSTICS)) != 0 || s->in_trx;
	struct wserver *srv = b->srv;
	bool unsent;

	bconn_unlink(b);
	b->in_trouble = true;
	if (unlikely(s->replay != NULL) && replay_lost(s, b, running, why))
		return;
	if (unlikely(s->multi != NULL) && running && multi_alone(s, 0) && !cmd_save(s))
		return;
	if (running && !had_state && may_run_again(s, b, &unsent)) {
		if (s->cmd.buf == NULL) {
			if (!unsent) {
				s->cmd.p = b->req;
				s->cmd.len = b->req_len;
			}
			if (!cmd_save(s))
				return;
		}
		cmd_lost_diagnostics(s);
		if (s->cmd.read)
			s->cmd.exclude |= 1ull << s->cmd.server_index;
		s->cmd.lost += s->cmd.sent && s->cmd.lost < UINT8_MAX;
		s->cmd.sent = false;
		s->cmd.retries++;
		STAT_ADD(s->w->stat->retried, 1);
		sess_set_state(s, SESS_WAIT);
		cmd_dispatch(s);
		return;
	}
	STAT_ADD(s->w->stat->lost_with_state, had_state);
	const char *outcome = lost_outcome(s);
	bool goes_on = !had_state || (running && lost_no_more_than_commit(s));
	cmd_lost_diagnostics(s);
	s->in_trx = s->ro_trx = false;
	s->status &= (u16)~ST_IN_TRANS;
	sess_record_pin(s);
	if (!running) {
		/* nothing runs: without state the session does not even notice */
		if (had_state && idle_ended_by_server(s))
			sess_close(s, "its server closed the connection, by its wait_timeout as it seems");
		else if (had_state)
			sess_error_close(s, s->parked ? (u8)(s->cmd.last_seq + 1) : 0, ERR_STATE_LOST, "server %s: %s", srv->name, why);
		else if (s->parked)
			sess_resume(s); /* its statement was not sent yet: it goes elsewhere */
		return;
	}
	if (s->cmd.sent_any) {
		/* in the middle of a result there is no place for an error */
		sess_close(s, why);
		return;
	}
	if (!goes_on) {
		sess_error_close(s, (u8)(s->cmd.last_seq + 1), ERR_STATE_LOST, "server %s: %s; %s", srv->name, why, outcome);
		return;
	}
	cmd_fail(s, ERR_LOST, "server %s: %s; %s", srv->name, why, outcome);
}
