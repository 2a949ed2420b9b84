/* worker/bconn.c: connections to servers: connecting, what is expected on them, and their end. Owns
 * struct bconn and is the one writer of its state. Runs in a worker; resolves no names (health does).
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/str.h"
#include "proto/auth.h"
#include "proto/packet.h"
#include "proto/proxyproto.h"
#include "worker/sess.h"

#define QUIT_NS (1000 * MS_NS) /* for the server to take its leave; it usually takes microseconds */

static void on_bconn_io(struct ev_io *io, u32 events);

void
bconn_set_state(struct bconn *b, enum bconn_state st)
{
	struct wserver *srv = b->srv;

	if ((bconn_state_next[b->state] & 1u << st) == 0)
		PANIC("server connection %u of %s: %s -> %s", b->thread_id, srv->name,
		    bconn_state_words[b->state], bconn_state_words[st]);
	if (b->state == BCONN_BUSY)
		srv->nbusy--;
	if (b->state == BCONN_LINKED)
		srv->npinned--;
	if (st == BCONN_BUSY)
		srv->nbusy++;
	if (st == BCONN_LINKED)
		srv->npinned++;
	b->state = st;
}

static void
bconn_free(struct bconn *b)
{
	bps_clear(b);
	istr_put(&b->w->in, b->db);
	settings_put(&b->w->in, b->set);
	istr_put(&b->w->in, b->prep_text);
	istr_put(&b->w->in, b->prep_db);
	settings_put(&b->w->in, b->prep_set);
	free(b->req);
	bpool_unref(b->bp);
	mem_wipe(b->stage1, sizeof b->stage1);
	b->magic = 0;
	free(b);
}

static void
on_bconn_closed(void *arg)
{
	struct bconn *b;

	CAST_OBJ(b, arg, BCONN_MAGIC);
	bconn_set_state(b, BCONN_CLOSED);
	list_del(&b->node);
	bconn_free(b);
}

/* What a session wanted to know from b has come, or never will. Of several that were asked only the last counts. */
static void
learn_end(struct bconn *b, bool known, u64 insert_id, u64 found)
{
	struct sess *s = b->learn_for != 0 ? sess_by_id(b->w, b->learn_for) : NULL;

	b->learn_for = 0;
	b->id_left = !known || insert_id != 0;
	if (s == NULL || s->learning != b->learn_no)
		return;
	s->learning = 0;
	if (s->learning_id) {
		s->insert_id = insert_id;
		s->insert_id_lost = !known || (insert_id == 0 && s->insert_id_unsure); /* what was lost is not found as 0 */
		s->insert_id_unsure = false;
	}
	if (s->learning_found && known) {
		s->found_rows = found;
		s->found_unsure = false;
	}
	s->learning_id = s->learning_found = false;
	if (s->parked)
		sess_resume(s);
}

/* A KILL that was to hit b, or that b carried, has no more to say. */
static void
kill_forget(struct bconn *b)
{
	if (b->kill_target != NULL) {
		struct bconn *t = b->kill_target;

		b->kill_target = NULL;
		t->kills--;
		if (t->kills == 0 && t->sess != NULL && t->sess->parked)
			sess_resume(t->sess);
	}
	if (b->kills > 0)
		list_for_each(i, &b->srv->conns) {
			struct bconn *k = LIST_ENTRY(i, struct bconn, node);

			if (k->kill_target == b)
				k->kill_target = NULL;
		}
	b->kills = 0;
}

void
bconn_close(struct bconn *b, const char *why)
{
	if (b->state >= BCONN_CLOSING)
		return;
	if (why != NULL)
		log_info("server %s: connection %u closed: %s", b->srv->name, b->thread_id, why);
	if (b->sess != NULL)
		bconn_unlink(b);
	kill_forget(b);
	learn_end(b, false, 0, 0);
	bool polite = (b->state == BCONN_IDLE || b->state == BCONN_LINKED) && b->exp_n == 0 && !b->conn.eof &&
	    b->kills == 0;
	bpool_on_closed(b);
	bconn_set_state(b, BCONN_CLOSING);
	b->deadline = ev_now(&b->w->loop) + QUIT_NS;
	if (polite && bconn_send_com(b, COM_QUIT, NULL, 0, EXP_CLIENT)) {
		/* its cell is free when the server has let go: the budget is what the server sees */
		b->quitting = true;
		b->srv->nquitting++;
		conn_pause(&b->conn, false);
		return;
	}
	bconn_gone(b);
}

void
bconn_gone(struct bconn *b)
{
	b->srv->nquitting -= b->quitting;
	b->quitting = false;
	conn_close(&b->conn, on_bconn_closed);
	bpool_on_gone(b);
}

void
bconn_link(struct bconn *b, struct sess *s)
{
	AN(b->sess == NULL && s->b == NULL);
	b->sess = s;
	s->b = b;
	__atomic_store_n(&s->w->srec[s->rec].thread_id, b->thread_id, __ATOMIC_RELAXED);
}

void
bconn_unlink(struct bconn *b)
{
	AN(b->sess != NULL && b->sess->b == b);
	__atomic_store_n(&b->w->srec[b->sess->rec].thread_id, 0, __ATOMIC_RELAXED);
	b->sess->found_here = false;
	b->sess->b = NULL;
	b->sess = NULL;
	b->knows_id = b->ran = false;
}

void
bconn_settings_set(struct bconn *b, struct settings *s)
{
	struct settings *old = b->set;

	b->set = settings_ref(s);
	settings_put(&b->w->in, old);
}

void
bconn_db_set(struct bconn *b, struct istr *db)
{
	struct istr *old = b->db;

	b->db = istr_ref(db);
	b->db_reset = false;
	istr_put(&b->w->in, old);
}

/* The server's address as health has resolved it. */
static int
server_address(struct worker *w, struct wserver *srv, struct sockaddr_storage *ss, socklen_t *len)
{
	struct shm_srvhealth d;
	u32 n;

	if (srv_detail_read(&w->health->servers[srv->id], &d) != 0) {
		STAT_ADD(w->stat->seqlock_stale, 1);
		return ERR_STALE;
	}
	if (d.naddr == 0 || d.naddr > SHM_ADDR_MAX)
		return ERR_NOTFOUND;
	memcpy(&n, d.addr, 4);
	if (n < sizeof(sa_family_t) || n > SHM_ADDR_SIZE - 4)
		return ERR_NOTFOUND;
	memset(ss, 0, sizeof *ss);
	memcpy(ss, d.addr + 4, n);
	*len = n;
	return 0;
}

static int
start_connect(struct bconn *b)
{
	struct sockaddr_storage ss;
	socklen_t len;
	const struct cfg_margay *m = &b->w->cfg.r->margay;
	int rc = server_address(b->w, b->srv, &ss, &len), fd;

	if (rc != 0)
		return rc;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ERR_SYSTEM;
	conn_tune(fd, m->tcp_keepalive, m->tcp_user_timeout);
	if (connect(fd, (struct sockaddr *)&ss, len) != 0 && errno != EINPROGRESS) {
		rc = errno;
		close(fd);
		errno = rc;
		return ERR_CONNECT;
	}
	rc = conn_open(&b->conn, &b->w->loop, &b->w->env, fd, on_bconn_io, b);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	ev_io_want(&b->conn.io, EV_WRITE);
	return 0;
}

static struct bconn *
bconn_new(struct bpool *bp, int cell)
{
	struct wserver *srv = bp->srv;
	struct bconn *b = malloc(sizeof *b);

	if (b == NULL)
		return NULL;
	OBJ_INIT(b, BCONN_MAGIC);
	b->state = BCONN_NEW;
	b->w = srv->w;
	b->srv = srv;
	b->bp = bp;
	bpool_ref(bp);
	b->cell = cell;
	list_init(&b->node);
	list_init(&b->idle_node);
	list_init(&b->bps_lru);
	b->set = settings_ref(srv->w->in.empty);
	b->defaults = srv->w->defaults;
	b->born = b->connect_started = ev_now(&srv->w->loop);
	b->deadline = b->born + srv->connect_ns;
	return b;
}

/* Opens a connection with the session's right to log in. The cell is the caller's and becomes the
 * connection's; on failure (NULL; errno) it stays the caller's. */
struct bconn *
bconn_connect(struct bpool *bp, struct sess *creds, int cell)
{
	struct bconn *b = bconn_new(bp, cell);
	int rc;

	if (b == NULL)
		return NULL;
	memcpy(b->stage1, creds->stage1, sizeof b->stage1);
	b->has_password = creds->has_password;
	const struct cfg_user *u = sess_user(creds);
	if (u != NULL && u->backend_password.off != 0) {
		const char *pw = cfg_secret_text(&b->w->cfg, u->backend_password);

		b->has_password = pw[0] != '\0';
		auth_native_stage1(pw, strlen(pw), b->stage1);
	}
	rc = start_connect(b);
	if (rc != 0) {
		int e = rc == ERR_NOTFOUND || rc == ERR_STALE ? EADDRNOTAVAIL : errno;

		bconn_free(b);
		errno = e;
		return NULL;
	}
	list_push_back(&bp->srv->conns, &b->node);
	bp->srv->nconns++;
	bp->nconns++;
	bp->srv->nconnecting++;
	bconn_set_state(b, BCONN_CONNECT);
	return b;
}

struct bconn *
bconn_kill(struct bconn *target, struct sess *creds, bool query_only)
{
	struct worker *w = target->w;
	int cell = pool_take(w->pool, target->srv->pool_slot, w->me, true);
	struct bconn *b;

	if (cell < 0) {
		log_warn("server %s: no control connection left for KILL %u", target->srv->name,
		    target->thread_id);
		return NULL;
	}
	b = bconn_connect(target->bp, creds, cell);
	if (b == NULL) {
		pool_free(w->pool, target->srv->pool_slot, (u32)cell);
		return NULL;
	}
	b->job = BJOB_KILL;
	b->srv->ncontrol++;
	b->bp->nconns--; /* it serves nobody in line */
	b->kill_thread = target->thread_id;
	b->kill_query = query_only;
	b->kill_target = target;
	target->kills++;
	/* whoever uses the connection next must not be hit by a late KILL: it never goes back to the pool */
	target->in_trouble = true;
	return b;
}

bool
bconn_send(struct bconn *b, const struct iovec *iov, int n, const u8 *exp, u32 nexp)
{
	size_t len = 0;

	AN(b->exp_n + nexp <= EXP_MAX);
	for (u32 i = 0; i < nexp; i++)
		b->exp[(b->exp_head + b->exp_n++) % EXP_MAX] = exp[i];
	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	STAT_ADD(b->w->sstat[b->srv->id].bytes_sent, len);
	return conn_writev(&b->conn, iov, n);
}

bool
bconn_send_com(struct bconn *b, u8 com, const void *arg, size_t len, enum expect e)
{
	u8 hdr[PKT_HDR + 1];
	union {
		const void *c;
		void *v;
	} u = {arg};
	struct iovec iov[2] = {{hdr, sizeof hdr}, {u.v, len}};
	u8 x = (u8)e;

	AN(len + 1 < PKT_MAX_BODY);
	wr24(hdr, (u32)len + 1);
	hdr[3] = 0;
	hdr[4] = com;
	return bconn_send(b, iov, len > 0 ? 2 : 1, &x, 1);
}

/* The reply that was expected next has ended. */
void
bconn_expect_done(struct bconn *b)
{
	b->exp_head = (u8)((b->exp_head + 1) % EXP_MAX);
	b->exp_n--;
	b->reply_open = false;
	if (unlikely(b->req_cap > REQ_KEEP)) {
		free(b->req); /* of no more use once there is a reply */
		b->req = NULL;
		b->req_len = b->req_cap = 0;
	}
}

/* ---- replies to what was sent on our own account ---- */

const char *
bconn_setup_sql(struct bconn *b, bool again)
{
#define SPACE ",sql_mode=CONCAT_WS(',',NULLIF(@@sql_mode,''),'IGNORE_SPACE')"
#define INTER ",wait_timeout=@@interactive_timeout"
	static const char *const sql[2][4] = {
	    {BCONN_SETUP_SQL, BCONN_SETUP_SQL SPACE, BCONN_SETUP_SQL INTER, BCONN_SETUP_SQL SPACE INTER},
	    {BCONN_SETUP_TRX_SQL, BCONN_SETUP_TRX_SQL SPACE, BCONN_SETUP_TRX_SQL INTER, BCONN_SETUP_TRX_SQL SPACE INTER}};
#undef SPACE
#undef INTER

	b->tracks_trx = b->srv->track_trx;
	return sql[b->tracks_trx][!again ? 0 : ((b->bp->caps & CAP_IGNORE_SPACE) != 0) + 2 * ((b->bp->caps & CAP_INTERACTIVE) != 0)];
}

bool
bconn_send_setup(struct bconn *b, bool again)
{
	const char *sql = bconn_setup_sql(b, again);

	return bconn_send_com(b, COM_QUERY, sql, strlen(sql), EXP_SETUP);
}

void
bconn_small_add(struct bconn *b, const u8 *p, size_t len)
{
	if (b->small_len + len > sizeof b->small)
		return;
	memcpy(b->small + b->small_len, p, len);
	b->small_len += (u32)len;
}

/* The n values of the one row of a small result: column count, definitions, row, OK. False: there are none. */
bool
bconn_small_values(const struct bconn *b, struct slice *v_r, int n)
{
	struct rd r = rd_init(b->small, b->small_len);

	for (int i = 0; i < n + 1; i++) {
		u32 len = rd_u24(&r);

		rd_take(&r, 1);
		rd_take(&r, len);
	}
	rd_take(&r, PKT_HDR);
	for (int i = 0; i < n; i++)
		v_r[i] = rd_lenenc_str(&r);
	return !r.bad;
}

static void
learned(struct bconn *b)
{
	struct slice t[2];
	u64 v[2] = {0, 0};
	int n = b->learn_found ? 2 : 1;
	bool ok = bconn_small_values(b, t, n);

	for (int k = 0; ok && k < n; k++)
		for (size_t i = 0; i < t[k].len; i++)
			v[k] = v[k] * 10 + (u64)(t[k].p[i] - '0');
	learn_end(b, ok, v[0], v[1]);
}

/* The state of the connection after one of our own commands succeeded. */
static void
own_command_ok(struct bconn *b, enum expect e)
{
	switch (e) {
	case EXP_SETUP:
		if (b->state == BCONN_SETUP || b->state == BCONN_RESET)
			bpool_on_ready(b);
		break;
	case EXP_RESET:
		/* ahead of a statement the account was made when it was sent */
		if (b->state == BCONN_RESET) {
			bconn_settings_set(b, b->w->in.empty);
			b->diag_left = false;
			bps_clear(b);
		}
		b->set_unknown = false;
		break;
	case EXP_LEARN:
		learned(b);
		if (b->state == BCONN_RESET)
			bpool_on_ready(b);
		break;
	case EXP_WAIT: {
		struct slice v;

		if (!bconn_small_values(b, &v, 1))
			v.len = 0;
		causal_waited(b, v);
		break;
	}
	case EXP_KILL:
		bconn_close(b, NULL);
		break;
	case EXP_SET:
	case EXP_DB:
	case EXP_INSERT_ID:
	case EXP_PREPARE:
	case EXP_REPLAY:
	case EXP_ALIVE:
	case EXP_CLIENT:
		break;
	}
}

static void
own_command_err(struct bconn *b, enum expect e)
{
	struct pkt_err err = {.code = 0};
	char text[320];

	if (pkt_err_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, &err) != 0)
		err.text = (struct slice){(const u8 *)"?", 1};
	snprintf(text, sizeof text, "error %u: %.*s", err.code, (int)MIN(err.text.len, 240),
	    (const char *)err.text.p);
	if (e == EXP_ALIVE)
		return; /* it was not idle, which is all there is to it */
	if (e == EXP_KILL) {
		if (err.code != 1094) /* unknown thread: it has ended by itself */
			log_limited(LOG_WARN_, "server %s: KILL refused: %s", b->srv->name, text);
		bconn_close(b, NULL);
		return;
	}
	if (e == EXP_WAIT) {
		log_limited(LOG_WARN_, "server %s: MASTER_GTID_WAIT: %s", b->srv->name, text);
		causal_wait_error(b);
		return;
	}
	if (b->state == BCONN_SETUP) {
		bconn_login_failed(b, ERR_BACKEND_PROTO, text);
		return;
	}
	struct sess *s = b->sess;

	if (s == NULL || s->cmd.com == 0) {
		bconn_close(b, text);
		return;
	}
	if (unlikely(s->replay != NULL) && replay_ahead_refused(s, b, text))
		return;
	b->hold_cmd = false;
	b->in_trouble = true; /* what was sent behind it may have gone wrong too */
	if (e == EXP_DB || e == EXP_PREPARE) {
		/* the database or a table of the statement is gone: the server's own words, as it would
		 * have said them to the session */
		cmd_fail(s, 0, "%.*s", (int)b->reply.pkt_len, (const char *)b->reply.pkt);
	} else if (e == EXP_INSERT_ID) {
		cmd_fail_lost_id(s);
	} else {
		cmd_fail(s, ERR_STATE_LOST, "server %s refused the session's settings: %s", b->srv->name, text);
	}
	if (b->state != BCONN_BUSY || b->sess != s)
		return;
	bconn_set_state(b, BCONN_LINKED);
	if ((s->pins & ~(1ull << PIN_DIAGNOSTICS)) != 0 || b->exp_n > 0) {
		if (b->exp_n > 0) {
			sess_on_backend_lost(s, b, text);
			bconn_close(b, text);
		}
		return;
	}
	sess_release_backend(s);
}

static bool
own_reply(struct bconn *b, u8 **p, u8 *end)
{
	enum expect e = (enum expect)b->exp[b->exp_head];
	u8 *start = *p, *pass;
	enum reply_ev ev = reply_next(&b->reply, p, end, &pass);

	if (e == EXP_LEARN || e == EXP_WAIT)
		bconn_small_add(b, start, (size_t)(pass - start));
	if (b->exp_n == 1 && ev != REPLY_MORE && (ev == REPLY_END || b->reply.last) && *p < end)
		b->in_trouble = true; /* bytes that nobody asked for: not to be taken for the next one's reply */
	switch (ev) {
	case REPLY_MORE:
		return false;
	case REPLY_PREPARED: {
		struct pkt_prepare_ok ok;

		if (pkt_prepare_ok_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, &ok) != 0)
			break;
		bps_add(b, b->prep_text, b->prep_db, b->prep_set, ok.id, ok.nparams);
		if (!b->reply.last)
			return true;
		bconn_expect_done(b);
		own_command_ok(b, e);
		return true;
	}
	case REPLY_OK:
		if (!b->reply.last)
			return true;
		bconn_expect_done(b);
		own_command_ok(b, e);
		return true;
	case REPLY_END:
		bconn_expect_done(b);
		own_command_ok(b, e);
		return true;
	case REPLY_ERR:
		bconn_expect_done(b);
		own_command_err(b, e);
		return true;
	case REPLY_EOF:
	case REPLY_INFILE:
	case REPLY_COLUMNS:
	case REPLY_DEFS:
	case REPLY_BAD:
		break;
	}
	STAT_ADD(b->w->sstat[b->srv->id].lost, 1);
	log_limited(LOG_ERR_, "server %s: connection %u is out of step: closed", b->srv->name, b->thread_id);
	struct sess *s = b->sess;
	if (s != NULL)
		sess_on_backend_lost(s, b, "reply not understood");
	bconn_close(b, "reply not understood");
	return true;
}

static enum reply_kind
own_reply_kind(enum expect e)
{
	return e == EXP_PREPARE ? REPLY_PREPARE : e == EXP_LEARN || e == EXP_WAIT ? REPLY_RESULT :
	    e == EXP_ALIVE                                 ? REPLY_STRING : REPLY_OK_ONLY;
}

/* The reset that follows leaves the database as it is: it must be known. */
static void
drain_ok(struct bconn *b)
{
	struct track_item it;
	struct pkt_ok ok;

	if (pkt_ok_parse(b->reply.pkt + PKT_HDR, b->reply.pkt_len - PKT_HDR, CAP_SESSION_TRACK, &ok) != 0) {
		b->in_trouble = true;
		return;
	}
	b->status = ok.status;
	struct rd r = rd_init(ok.state.p, ok.state.len);
	while (track_next(&r, &it) == 1) {
		if (it.type != TRACK_SCHEMA)
			continue;
		struct istr *db = it.value.len > 0 ? istr_get(&b->w->in, it.value.p, it.value.len) : NULL;

		bconn_db_set(b, db);
		istr_put(&b->w->in, db);
	}
}

/* The client is gone: its reply is read and dropped. */
static void
drain_reply(struct bconn *b, u8 **p, u8 *end)
{
	for (;;) {
		u8 *pass;
		enum reply_ev ev = reply_next(&b->reply, p, end, &pass);

		if (ev == REPLY_MORE)
			return;
		if (ev == REPLY_BAD || ev == REPLY_INFILE) {
			bconn_close(b, "reply of a statement without client");
			return;
		}
		if (ev == REPLY_OK && b->reply.kind != REPLY_STRING)
			drain_ok(b);
		if (ev == REPLY_END || b->reply.last) {
			bconn_expect_done(b);
			b->set_unknown = true;
			bpool_give(b);
			return;
		}
	}
}

static void
bconn_data(struct bconn *b, u8 **p, u8 *end)
{
	while (b->state < BCONN_CLOSING && !b->conn.switching) {
		if (b->state == BCONN_GREETING || b->state == BCONN_AUTH) {
			u8 *before = *p;

			bconn_login_data(b, p, end);
			if (*p == before || *p == end)
				return;
			continue;
		}
		if (*p == end)
			return;
		if (b->exp_n == 0) {
			/* a server that shuts down or kills says so before it closes */
			struct sess *s = b->sess;

			if (s != NULL)
				sess_on_backend_lost(s, b, "server ended the connection");
			bconn_close(b, "bytes without a question");
			return;
		}
		enum expect e = (enum expect)b->exp[b->exp_head];

		if (e == EXP_REPLAY) {
			if (b->sess == NULL) {
				bconn_close(b, "its client left while its transaction was run again");
				return;
			}
			u8 *before = *p;

			replay_reply(b, p, end);
			if (*p == before)
				return;
		} else if (e != EXP_CLIENT) {
			if (!b->reply_open) {
				reply_init(&b->reply, own_reply_kind(e), false, false);
				b->reply.any_seq = b->zip != ZIP_OFF;
				b->reply_open = true;
				b->small_len = 0;
			}
			if (!own_reply(b, p, end))
				return;
			if (b->state == BCONN_BUSY && b->hold_cmd && b->exp_n == 0 && b->sess != NULL) {
				b->hold_cmd = false;
				cmd_send_now(b->sess, b);
			}
		} else if (b->sess == NULL) {
			u32 n = b->exp_n;

			drain_reply(b, p, end);
			if (b->exp_n == n)
				return;
		} else {
			u32 n = b->exp_n;

			sess_on_reply(b->sess, b, p, end);
			if (b->exp_n >= n && b->exp_n != 0)
				return;
		}
	}
}

/* ---- events ---- */

static void
lost(struct bconn *b)
{
	char text[128];
	struct sess *s = b->sess;

	snprintf(text, sizeof text, "%s%s", b->conn.err != 0 ? conn_why(&b->conn) : "closed by the server",
	    b->bp->family != 0 && b->state <= BCONN_AUTH ? "; are PROXY headers of this host allowed there?" : "");
	if (b->state <= BCONN_SETUP && b->exp_n == 0) {
		bconn_login_failed(b, ERR_CONNECT, text);
		return;
	}
	if (b->state == BCONN_SETUP && b->job == BJOB_POOL) {
		bconn_login_failed(b, ERR_CONNECT, text);
		return;
	}
	if (b->state != BCONN_IDLE && b->job == BJOB_POOL) {
		STAT_ADD(b->w->sstat[b->srv->id].lost, 1);
		chan_ring(b->w->health_bell);
	}
	if (s != NULL)
		sess_on_backend_lost(s, b, text);
	bconn_close(b, text);
}

static void
on_connected(struct bconn *b)
{
	int e = 0;
	socklen_t len = sizeof e;

	if (getsockopt(b->conn.io.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
		e = errno;
	if (e != 0) {
		bconn_login_failed(b, ERR_CONNECT, strerror(e));
		return;
	}
	bconn_set_state(b, BCONN_GREETING);
	ev_io_want(&b->conn.io, EV_READ);
	if (b->bp->family == 0)
		return;
	u8 header[PROXY_OUT];
	if (!conn_write(&b->conn, header, proxy_write(header, b->bp->family, b->bp->addr)))
		bconn_login_failed(b, ERR_CONNECT, conn_why(&b->conn));
}

static void
on_bconn_io(struct ev_io *io, u32 events)
{
	struct bconn *b;
	u8 *p, *end;
	size_t n;

	CAST_OBJ(b, io->arg, BCONN_MAGIC);
	b->w->at_session = b->sess != NULL ? b->sess->id : 0;
	if (b->state >= BCONN_CLOSING) {
		if (b->quitting && !conn_read(&b->conn, 0, &p, &end, &n) && b->conn.eof)
			bconn_gone(b);
		return;
	}
	if (b->state == BCONN_CONNECT) {
		on_connected(b);
		return;
	}
	if ((events & EV_WRITE) && b->conn.out.head != NULL) {
		if (!conn_flush(&b->conn)) {
			lost(b);
			return;
		}
		if (b->sess != NULL)
			sess_backpressure(b->sess);
	}
	if ((events & EV_READ) == 0 || b->conn.paused)
		return;
	if (conn_read(&b->conn, 0, &p, &end, &n)) {
		STAT_ADD(b->w->sstat[b->srv->id].bytes_received, n);
		bconn_data(b, &p, end);
		if (b->state < BCONN_CLOSING && !conn_keep(&b->conn, p, end))
			b->conn.eof = true;
	}
	if (b->conn.eof && b->state < BCONN_CLOSING)
		lost(b);
}
