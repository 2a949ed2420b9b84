/* worker/sess.c: the life of a client session: its machine's one writer, its timeouts, bytes in, its end. Owns
 * struct sess. Runs in a worker.
 */
#include "worker/catalog.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/str.h"

static void on_sess_io(struct ev_io *io, u32 events);
static void sess_data(struct sess *s, u8 **p, u8 *end);

/* ---- timeouts: a wheel that is looked at lazily; a state change costs nothing unless its deadline comes
 * before the session's next look ---- */

static void
wheel_put(struct sess *s, u64 at_ns)
{
	struct worker *w = s->w;
	u64 tick = at_ns / (WORKER_TICK_MS * MS_NS) + 1;

	tick = MAX(tick, w->wheel_now + 1);
	tick = MIN(tick, w->wheel_now + WHEEL_SLOTS - 1);
	list_del(&s->wheel_node);
	list_push_back(&w->wheel[tick % WHEEL_SLOTS], &s->wheel_node);
	s->wheel_at = tick * WORKER_TICK_MS * MS_NS;
}

void
sess_look_by(struct sess *s, u64 at)
{
	if (at < s->wheel_at)
		wheel_put(s, at);
}

static u64
state_timeout_ms(const struct sess *s)
{
	const struct cfg_margay *m = &s->w->cfg.r->margay;

	if (s->last_words != NULL && s->state < SESS_CLOSING)
		return m->write_timeout;
	switch (s->state) {
	case SESS_LOGIN:
	case SESS_SWITCH:
	case SESS_PROVE:
		return m->login_timeout;
	case SESS_READY:
	case SESS_STREAM:
	case SESS_INFILE: {
		u64 ms = s->in_trx && m->idle_transaction_timeout != 0 ? m->idle_transaction_timeout : m->idle_timeout;

		return unlikely(s->wait_ms != 0) && s->state == SESS_READY ? idle_limit_ms(s, ms) : ms;
	}
	case SESS_WAIT:
		return s->held ? hold_left_ms(s) : m->queue_timeout;
	case SESS_BUSY:
		return s->cmd.com == COM_BINLOG_DUMP ? 0 : m->statement_timeout;
	case SESS_CLOSING:
		return m->write_timeout;
	case SESS_NEW:
	case SESS_CLOSED:
	case SESS_STATES:
		break;
	}
	return 0;
}

/* The time of the state begins anew: it was entered, or its client was answered without leaving it. */
void
sess_renew(struct sess *s)
{
	u64 ms = state_timeout_ms(s);

	s->since = ev_now(&s->w->loop);
	__atomic_store_n(&s->w->srec[s->rec].since, s->since, __ATOMIC_RELAXED);
	s->deadline = ms == 0 ? 0 : s->since + ms * MS_NS;
	if (s->deadline != 0)
		sess_look_by(s, s->deadline);
}

void
sess_set_state(struct sess *s, enum sess_state st)
{
	struct worker *w = s->w;
	struct shm_session *r = &w->srec[s->rec];
	bool was_active = s->state == SESS_WAIT || s->state == SESS_BUSY || s->state == SESS_INFILE;
	bool active = st == SESS_WAIT || st == SESS_BUSY || st == SESS_INFILE;

	if ((sess_state_next[s->state] & 1u << st) == 0)
		PANIC("session %u: %s -> %s", s->id, sess_state_words[s->state], sess_state_words[st]);
	if (was_active != active)
		STAT_ADD(w->stat->clients_active, active ? 1 : -1);
	s->state = st;
	__atomic_store_n(&r->state, (u32)st, __ATOMIC_RELAXED);
	sess_renew(s);
}

#define KILL_GRACE_NS (2000 * MS_NS) /* for a killed statement to answer; servers look for kills far more often */

static void
on_statement_timeout(struct sess *s)
{
	struct bconn *b = s->b;

	if (b == NULL)
		return;
	if (s->cmd.timed_out) {
		/* not even the KILL has ended it: the server hangs */
		s->cmd.read = false;
		sess_on_backend_lost(s, b, "statement_timeout, and the server does not answer");
		bconn_close(b, "the server does not answer");
		return;
	}
	s->cmd.kill_sent = true;
	s->cmd.timed_out = true;
	s->deadline = ev_now(&s->w->loop) + KILL_GRACE_NS;
	if (s->deadline < s->wheel_at)
		wheel_put(s, s->deadline);
	STAT_ADD(s->w->stat->statement_timeouts, 1);
	(void)bconn_kill(b, s, true); /* without a control connection the grace period ends it */
}

static void
on_timeout(struct sess *s)
{
	struct shm_wstat *st = s->w->stat;

	if (s->last_words != NULL && s->state < SESS_CLOSING) {
		s->last_words_end = true;
		say_last_words(s); /* it does not send what it announced */
		return;
	}
	switch (s->state) {
	case SESS_LOGIN:
	case SESS_SWITCH:
	case SESS_PROVE:
		STAT_ADD(st->login_timeouts, 1);
		sess_close(s, "login_timeout");
		break;
	case SESS_READY:
	case SESS_STREAM:
		STAT_ADD(st->idle_timeouts, 1);
		if (idle_is_own(s)) {
			sess_close(s, "wait_timeout");
			break;
		}
		sess_error_close(s, 0, ERR_IDLE_TIMEOUT, "%s",
		    s->in_trx ? "idle_transaction_timeout" : "idle_timeout");
		break;
	case SESS_INFILE:
		STAT_ADD(st->idle_timeouts, 1);
		sess_close(s, "idle_timeout: the file of LOAD DATA LOCAL does not come");
		break;
	case SESS_WAIT: {
		struct wserver *srv = s->waiting != NULL ? s->waiting->srv : NULL;

		if (s->held) {
			hold_timeout(s);
			break;
		}

		STAT_ADD(st->queue_timeouts, 1);
		if (srv == NULL)
			cmd_fail(s, ERR_QUEUE_TIMEOUT, "queue_timeout");
		else
			cmd_fail(s, ERR_QUEUE_TIMEOUT,
			    "server %s: %llu ms (queue_timeout) passed; %u of max_connections %llu are in use, "
			    "%u of them here; %u statements wait",
			    srv->name, (unsigned long long)s->w->cfg.r->margay.queue_timeout,
			    pool_used(s->w->pool, srv->pool_slot), (unsigned long long)srv->max_connections,
			    srv->nconns, srv->nwaiting);
		break;
	}
	case SESS_BUSY:
		on_statement_timeout(s);
		break;
	case SESS_CLOSING:
		sess_close(s, "write_timeout");
		break;
	case SESS_NEW:
	case SESS_CLOSED:
	case SESS_STATES:
		break;
	}
}

/* Bytes wait for the client: has it taken any since the last look? */
static void
check_write_timeout(struct sess *s, u64 now)
{
	u64 limit = s->w->cfg.r->margay.write_timeout * MS_NS;

	/* what it takes shows in the kernel's queue long before there is room for more in it */
	size_t left = s->conn.out.head == NULL ? 0 : s->conn.out.bytes + conn_unsent(&s->conn);

	if (left == 0 || left != s->out_last) {
		s->out_last = left;
		s->out_since = now;
		return;
	}
	if (now - s->out_since > limit) {
		STAT_ADD(s->w->stat->write_timeouts, 1);
		sess_close(s, "write_timeout: the client does not take its result");
	}
}

void
sess_on_tick(struct worker *w)
{
	u64 now = ev_now(&w->loop), tick = now / (WORKER_TICK_MS * MS_NS);

	while (w->wheel_now < tick) {
		struct list due;
		struct list *slot = &w->wheel[++w->wheel_now % WHEEL_SLOTS];

		if (list_empty(slot))
			continue;
		due = *slot;
		due.next->prev = &due;
		due.prev->next = &due;
		list_init(slot);
		while (!list_empty(&due)) {
			struct sess *s = LIST_ENTRY(due.next, struct sess, wheel_node);

			list_del(&s->wheel_node);
			s->wheel_at = UINT64_MAX;
			/* looked at once a second at most while bytes wait, else at its deadline or much later */
			wheel_put(s, s->conn.out.head != NULL ? now + 1000 * MS_NS :
			    s->deadline != 0 ? MAX(s->deadline, now) : now + 40000 * MS_NS);
			if (s->b != NULL)
				idle_look(s, now);
			if (s->state != SESS_CLOSING || s->conn.io.active)
				check_write_timeout(s, now);
			if (s->state < SESS_CLOSED && s->deadline != 0 && now >= s->deadline)
				on_timeout(s);
		}
	}
}

/* ---- sending ---- */

void
sess_watch_writes(struct sess *s)
{
	wheel_put(s, ev_now(&s->w->loop) + 1000 * MS_NS);
}

bool
sess_send(struct sess *s, const void *p, size_t len)
{
	STAT_ADD(s->w->stat->bytes_to_clients, len);
	if (!conn_write(&s->conn, p, len))
		return false;
	if (s->conn.out.head != NULL && s->wheel_at > ev_now(&s->w->loop) + 2000 * MS_NS)
		sess_watch_writes(s);
	return true;
}

bool
sess_ok(struct sess *s, u8 seq)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_ok ok = {.status = s->status};

	pkt_ok_write(&w, seq, 0x00, s->caps, &ok);
	AZ(w.bad);
	return sess_send(s, buf, w.len);
}

/* The errors that servers make too keep the servers' words: clients look at them. */
static bool
servers_words(int code)
{
	switch (code) {
	case ERR_ACCESS:
	case ERR_NO_SUCH_THREAD:
	case ERR_KILL_DENIED:
	case ERR_PRIVILEGE:
	case ERR_UNKNOWN_COM:
	case ERR_UNKNOWN_STMT:
	case ERR_NO_CURSOR:
	case ERR_UNSUPPORTED_PS:
	case ERR_ARGUMENTS:
	case ERR_MALFORMED:
	case ERR_DB_NAME:
		return true;
	default:
		return false;
	}
}

void
sess_error_write(struct sess *s, struct wr *w, u8 seq, int code, const char *fmt, va_list ap)
{
	const struct err_info *e = err_info(code);
	char text[PKT_ERR_TEXT];
	int n;

	if (servers_words(code))
		n = 0;
	else
		n = snprintf(text, sizeof text, "Margay: %s: ", e->text);
	vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
	pkt_err_write(w, seq, e->mysql_errno, e->sqlstate, text);
	STAT_ADD(s->w->stat->errors_own, 1);
	log_info("session %u %s@%s: error %u %s", s->id, s->user, s->addr_text, e->mysql_errno, text);
}

static bool PRINTF(4, 0)
send_error(struct sess *s, u8 seq, int code, const char *fmt, va_list ap)
{
	u8 buf[PKT_ERR_TEXT + 64];
	struct wr w = wr_init(buf, sizeof buf);

	sess_error_write(s, &w, seq, code, fmt, ap);
	return !w.bad && sess_send(s, buf, w.len);
}

bool
sess_error(struct sess *s, u8 seq, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bool ok = send_error(s, seq, code, fmt, ap);
	va_end(ap);
	return ok;
}

void
sess_error_close(struct sess *s, u8 seq, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	send_error(s, seq, code, fmt, ap);
	va_end(ap);
	sess_close_when_sent(s);
}

/* ---- the shared record ---- */

void
sess_record(struct sess *s)
{
	struct shm_session *r = &s->w->srec[s->rec], n;

	memset(&n, 0, sizeof n);
	n.id = s->id;
	n.connected = r->connected != 0 ? r->connected : clock_wall_ms();
	n.user_id = s->user_id;
	str_copy(n.user, sizeof n.user, s->user);
	str_copy(n.addr, sizeof n.addr, s->addr_text);
	str_copy(n.db, sizeof n.db, s->db != NULL ? s->db->text : "");
	memcpy(n.info, s->info, sizeof n.info);
	n.state = r->state;
	n.since = r->since;
	n.command = r->command;
	n.server = r->server;
	n.pin = r->pin;
	n.in_trx = r->in_trx;
	n.thread_id = r->thread_id;
	n.other_id = r->other_id;
	n.statements = r->statements;
	seq_write_begin(&r->seq);
	seq_words_store((u8 *)r + 8, (u8 *)&n + 8, sizeof n - 8);
	seq_write_end(&r->seq);
}

void
sess_record_pin(struct sess *s)
{
	struct shm_session *r = &s->w->srec[s->rec];
	u32 pin = s->pins == 0 ? PIN_NONE : (u32)__builtin_ctzll(s->pins);

	if (r->pin == PIN_NONE && pin != PIN_NONE)
		STAT_ADD(s->w->stat->clients_pinned, 1);
	if (r->pin != PIN_NONE && pin == PIN_NONE)
		STAT_ADD(s->w->stat->clients_pinned, -1);
	__atomic_store_n(&r->pin, pin, __ATOMIC_RELAXED);
	__atomic_store_n(&r->in_trx, (u32)s->in_trx, __ATOMIC_RELAXED);
	__atomic_store_n(&r->other_id, s->b != NULL && (s->pins & 1u << PIN_CONN_ID) != 0 ? s->b->thread_id : 0,
	    __ATOMIC_RELAXED);
}

static void
record_clear(struct sess *s)
{
	struct shm_session *r = &s->w->srec[s->rec], n;

	memset(&n, 0, sizeof n);
	seq_write_begin(&r->seq);
	seq_words_store((u8 *)r + 8, (u8 *)&n + 8, sizeof n - 8);
	seq_write_end(&r->seq);
}

struct sess *
sess_by_id(struct worker *w, u32 id)
{
	struct sess *s = w->by_id[id % SESS_HASH];

	while (s != NULL && s->id != id)
		s = s->hnext;
	return s;
}

const struct cfg_user *
sess_user(struct sess *s)
{
	struct worker *w = s->w;

	if (s->user_gen != w->gen) {
		const struct cfg_user *u = cfg_user_find(&w->cfg, s->user, strlen(s->user));

		s->user_gen = w->gen;
		bpool_forget(s);
		if (u == NULL) {
			s->user_idx = UINT32_MAX;
		} else {
			s->user_idx = (u32)(u - cfg_users(&w->cfg));
			s->user_id = u->id;
			s->cluster_idx = u->cluster_idx;
			s->is_admin = u->process_admin != 0;
			s->read_split = u->read_split == CFG_SPLIT_YES;
			const struct cfg_cluster *c = &cfg_clusters(&w->cfg)[u->cluster_idx];
			s->hold_writes = c->failover_timeout != 0 && c->failover_buffer != 0;
			s->replays = c->replay_transactions && s->hold_writes;
		}
	}
	return s->user_idx == UINT32_MAX ? NULL : &cfg_users(&w->cfg)[s->user_idx];
}

/* ---- birth and end ---- */

static u32
new_id(struct worker *w)
{
	u32 id;

	do
		id = link_session_id(w->instance, w->epoch, w->slot, ++w->next_seq);
	while ((w->next_seq & LINK_SESSION_SEQ) == 0 || sess_by_id(w, id) != NULL);
	return id;
}

/* Takes the descriptor. */
void
sess_new(struct worker *w, int fd, u32 kind, u32 tls)
{
	struct sess *s = w->nfree_rec > 0 ? malloc(sizeof *s) : NULL;

	if (s == NULL) {
		close(fd);
		STAT_ADD(w->stat->refused_limit, 1);
		return;
	}
	OBJ_INIT(s, SESS_MAGIC);
	s->w = w;
	s->state = SESS_NEW;
	s->kind = kind;
	s->listen_tls = tls;
	s->wheel_at = UINT64_MAX;
	list_init(&s->wheel_node);
	list_init(&s->wait_node);
	list_init(&s->resume_node);
	list_init(&s->held_node);
	s->set = settings_ref(w->in.empty);
	s->status = ST_AUTOCOMMIT;
	s->row_count = -1;
	s->user_idx = UINT32_MAX;
	s->user_gen = UINT64_MAX;
	conn_tune(fd, w->cfg.r->margay.tcp_keepalive, w->cfg.r->margay.tcp_user_timeout);
	if (conn_open(&s->conn, &w->loop, &w->env, fd, on_sess_io, s) != 0) {
		log_limited(LOG_ERR_, "client connection cannot be watched: %m");
		close(fd);
		settings_put(&w->in, s->set);
		free(s);
		return;
	}
	s->rec = w->free_rec[--w->nfree_rec];
	record_clear(s); /* a dead worker's record is free, not empty */
	s->id = new_id(w);
	s->hnext = w->by_id[s->id % SESS_HASH];
	w->by_id[s->id % SESS_HASH] = s;
	list_push_back(&w->sessions, &s->node);
	w->nsess++;
	STAT_SET(w->stat->clients, w->nsess);
	login_greet(s);
}

static void
on_sess_closed(void *arg)
{
	struct sess *s;

	CAST_OBJ(s, arg, SESS_MAGIC);
	sess_set_state(s, SESS_CLOSED);
	struct worker *w = s->w;
	struct sess **at = &w->by_id[s->id % SESS_HASH];
	while (*at != s)
		at = &(*at)->hnext;
	*at = s->hnext;
	record_clear(s);
	w->free_rec[w->nfree_rec++] = s->rec;
	list_del(&s->node);
	list_del(&s->wheel_node);
	list_del(&s->resume_node);
	istr_put(&w->in, s->db);
	istr_put(&w->in, s->login_db);
	istr_put(&w->in, s->program);
	settings_put(&w->in, s->set);
	trace_off(s);
	bpool_forget(s);
	auth_forget(s);
	mem_wipe(s->stage1, sizeof s->stage1);
	free(s->last_words);
	s->magic = 0;
	free(s);
	worker_check_drained(w);
}

/* A statement whose client has gone may take so long before the server is told: servers give up waits for locks, and SLEEP,
 * when their client is gone, and go on with the rest. Shorter ones do not cost their connection. */
#define LEFT_NS (200 * MS_NS)

/* What the session keeps at a server is ended: transaction rolled back, state reset, a running reply read
 * to its end and dropped, as the server would run it to its end. */
static void
leave_backend(struct sess *s)
{
	struct bconn *b = s->b;

	if (b == NULL)
		return;
	bconn_unlink(b);
	b->diag_left |= s->diag_open;
	if (b->exp_n > 0) {
		b->set_unknown = true;
		/* a statement that has not come to its end has no reply to wait for */
		if (b->exp[b->exp_head] != EXP_CLIENT || b->state != BCONN_BUSY || b->hold_cmd || s->stream_left > 0 ||
		    s->stream_more || s->state == SESS_INFILE || s->cmd.com == COM_BINLOG_DUMP)
			bconn_close(b, "its client left in the middle");
		else {
			bconn_set_state(b, BCONN_DRAIN);
			b->deadline = ev_now(&s->w->loop) + LEFT_NS;
			conn_pause(&b->conn, false);
		}
		return;
	}
	b->set_unknown |= s->pins != 0 || s->in_trx;
	if ((s->pins & PINS_NO_RESET) != 0)
		b->in_trouble = true;
	if (b->state == BCONN_BUSY) {
		/* its reply ended, but was not accounted for any more */
		bconn_set_state(b, BCONN_LINKED);
		b->set_unknown = true;
	}
	bpool_give(b);
}

void
sess_close(struct sess *s, const char *why)
{
	struct worker *w = s->w;

	if (s->state == SESS_CLOSING && !s->conn.io.active)
		return;
	if (why != NULL)
		log_info("session %u %s@%s closed: %s", s->id, s->user, s->addr_text, why);
	bpool_unwait(s);
	leave_backend(s);
	replay_free(s);
	s->cmd.failed = true;
	if (unlikely(s->multi != NULL))
		multi_drop(s);
	sess_cmd_clear(s);
	ps_drop_all(s);
	s->pins = 0;
	s->in_trx = s->ro_trx = false;
	sess_record_pin(s);
	if (s->state != SESS_CLOSING)
		sess_set_state(s, SESS_CLOSING);
	change_forget(s);
	login_counts_drop(s);
	if (!s->uncounted) {
		s->uncounted = true;
		w->nsess--;
		STAT_SET(w->stat->clients, w->nsess);
	}
	conn_close(&s->conn, on_sess_closed);
}

/* The last words are sent first; the rest of what the client says is not read. */
void
sess_close_when_sent(struct sess *s)
{
	if (s->state == SESS_CLOSING)
		return;
	if (s->conn.out.head == NULL || s->conn.eof) {
		/* what the client sent and we did not read would make the kernel answer with a reset, which can
		 * overtake our error: read it away first */
		char junk[4096];

		for (int i = 0; i < 4 && recv(s->conn.io.fd, junk, sizeof junk, MSG_DONTWAIT) > 0; i++)
			continue;
		sess_close(s, NULL);
		return;
	}
	bpool_unwait(s);
	leave_backend(s);
	sess_set_state(s, SESS_CLOSING);
	conn_pause(&s->conn, true);
}

/* Statistics and slow log of the statement under way, which has ended. */
void
sess_account(struct sess *s)
{
	if (s->cmd.digest != 0)
		digest_end(s);
	if (unlikely(s->w->slow_ns != UINT64_MAX) && ev_now(&s->w->loop) - s->cmd.started >= s->w->slow_ns)
		slow_end(s, ev_now(&s->w->loop) - s->cmd.started);
	if (unlikely(s->slow != NULL))
		slow_off(s);
}

void
sess_cmd_clear(struct sess *s)
{
	if (unlikely(s->trace != NULL) && s->cmd.com != 0)
		trace_end(s);
	sess_account(s);
	if (s->cmd.buf != NULL) {
		s->w->bytes_held -= s->cmd.len;
		free(s->cmd.buf);
	}
	istr_put(&s->w->in, s->cmd.text);
	if (unlikely(s->cmd.kill_user != NULL))
		free(s->cmd.kill_user);
	if (unlikely(s->meta != NULL))
		meta_drop(s);
	wcat_end(s);
	replay_first_done(s);
	s->parked = false;
	hold_end(s);
	memset(&s->cmd, 0, sizeof s->cmd);
}

/* ---- bytes from the client ---- */

/* Does a slow client hold up its server? */
void
sess_backpressure(struct sess *s)
{
	size_t limit = s->w->cfg.r->margay.client_buffer;
	struct bconn *b = s->b;

	if (b == NULL)
		return;
	bool pause = s->conn.out.bytes > limit || (b->conn.paused && s->conn.out.bytes > limit / 2);
	if (pause != b->conn.paused) {
		conn_pause(&b->conn, pause);
		if (pause)
			STAT_ADD(s->w->stat->paused_reads, 1);
	}
	/* and a slow server its client */
	bool hold = b->conn.out.bytes > limit || (s->conn.paused && b->conn.out.bytes > limit / 2);
	if (hold != s->conn.paused && (s->state == SESS_STREAM || s->state == SESS_INFILE))
		conn_pause(&s->conn, hold);
}

/* Held bytes are looked at again at the end of the turn: the read buffer may be in use now. */
void
sess_resume(struct sess *s)
{
	if (list_empty(&s->resume_node))
		list_push_back(&s->w->resume, &s->resume_node);
}

void
sess_run_resumed(struct worker *w)
{
	while (!list_empty(&w->resume)) {
		struct sess *s = LIST_ENTRY(w->resume.next, struct sess, resume_node);
		u8 *p, *end;

		list_del(&s->resume_node);
		if (s->state >= SESS_CLOSING)
			continue;
		if (s->parked) {
			s->parked = false;
			cmd_dispatch(s);
			continue;
		}
		if (s->state != SESS_READY && s->state != SESS_STREAM && s->state != SESS_INFILE)
			continue;
		if (s->conn.paused && s->state == SESS_READY)
			conn_pause(&s->conn, false);
		conn_held(&s->conn, &p, &end);
		sess_data(s, &p, end);
		if (s->state < SESS_CLOSING && !conn_keep(&s->conn, p, end))
			sess_close(s, "out of memory");
		if (s->state < SESS_CLOSING && s->conn.eof)
			sess_close(s, NULL);
	}
}

static bool
packet_limits(struct sess *s, const u8 *p, const u8 *end, size_t body)
{
	if (s->state == SESS_LOGIN || s->state == SESS_SWITCH) {
		if (body <= 65536) /* user, password, database, attributes: the server's own limit is 64 KiB */
			return true;
		const char *why = peer_stray_header(s, p, end);

		STAT_ADD(s->w->stat->bad_packets, 1);
		if (why != NULL)
			log_limited(LOG_WARN_, "client %s: %s", s->addr_text, why);
		sess_close(s, why != NULL ? why : "handshake response too long");
		return false;
	}
	return body <= s->w->cfg.r->margay.max_packet_size;
}

/* Length of the statement at p, all its packets with their headers, as far as it is known; *whole: all of
 * them are there. Under compression Connector/C numbers no packets, only frames (measured; servers do not look): they are
 * numbered here. */
static size_t
statement_length(u8 *p, const u8 *end, bool number, bool *whole, bool *bad, size_t *body)
{
	u8 *q = p;
	u8 seq = 0;

	*whole = *bad = false;
	*body = 0;
	for (;;) {
		if ((size_t)(end - q) < PKT_HDR)
			return (size_t)(q - p) + PKT_HDR;
		u32 len = rd24(q);

		if (unlikely(number))
			q[3] = q != p ? (u8)(seq + 1) : 0;
		if (q != p && q[3] != (u8)(seq + 1))
			*bad = true;
		seq = q[3];
		*body += len;
		if ((size_t)(end - q) < PKT_HDR + (size_t)len)
			return (size_t)(q - p) + PKT_HDR + len;
		q += PKT_HDR + len;
		if (len < PKT_MAX_BODY) {
			*whole = true;
			return (size_t)(q - p);
		}
	}
}

/* Longer than max_packet_size: what is left of it is not kept. */
static void
refuse_long(struct sess *s, u8 **p, u8 *end, size_t body)
{
	if ((*p)[3] != 0) { /* no length at all, but something that is no MySQL */
		STAT_ADD(s->w->stat->bad_packets, 1);
		sess_error_close(s, 1, ERR_PACKET_SIZE, "%zu bytes", body);
		return;
	}
	memset(&s->cmd, 0, sizeof s->cmd);
	s->want = 0;
	*p = stream_position(s, *p, end);
	cmd_fail(s, ERR_PACKET_SIZE, "%zu bytes; max_packet_size is %llu", body,
	    (unsigned long long)s->w->cfg.r->margay.max_packet_size);
}

static void
bad_packet(struct sess *s, int code, const char *why)
{
	STAT_ADD(s->w->stat->bad_packets, 1);
	log_limited(LOG_WARN_, "session %u %s@%s: %s", s->id, s->user, s->addr_text, why);
	sess_error_close(s, 1, code, "%s", why);
}

/* Takes whole packets from [*p, end) while the session can use them. */
static void
sess_data(struct sess *s, u8 **p, u8 *end)
{
	if (unlikely(s->proxy_may) && !peer_header(s, p, end))
		return;
	while (*p < end && s->state <= SESS_READY && list_empty(&s->resume_node) && !s->conn.switching) {
		bool whole, bad;
		size_t body, len = statement_length(*p, end, s->state == SESS_READY && conn_is_zip(&s->conn), &whole, &bad, &body);
		u8 *pkt = *p;

		s->want = len;
		if (bad) {
			bad_packet(s, ERR_SEQ, "packets out of order");
			return;
		}
		if (!packet_limits(s, pkt, end, body)) {
			if (s->state == SESS_READY)
				refuse_long(s, p, end, body);
			break;
		}
		if (!whole) {
			if (s->state == SESS_READY && (size_t)(end - pkt) >= PKT_HDR + 1 &&
			    (len > s->w->cfg.r->margay.statement_buffer || (body >= PKT_MAX_BODY && pkt[PKT_HDR] == COM_STMT_PREPARE)) &&
			    cmd_stream(s, p, end)) {
				conn_reply_begins(&s->conn);
				continue;
			}
			return;
		}
		*p += len;
		s->want = 0;
		conn_reply_begins(&s->conn);
		if (s->state == SESS_READY)
			cmd_packet(s, pkt, len);
		else if (body >= PKT_MAX_BODY)
			bad_packet(s, ERR_PROTO, "handshake response too long");
		else
			login_packet(s, pkt + PKT_HDR, len - PKT_HDR, pkt[3]);
	}
	if (s->state == SESS_STREAM)
		cmd_stream_more(s, p, end);
	else if (s->state == SESS_INFILE)
		infile_more(s, p, end);
}

static void
bad_frames(struct sess *s)
{
	STAT_ADD(s->w->stat->bad_packets, 1);
	log_limited(LOG_WARN_, "session %u %s@%s: %s", s->id, s->user, s->addr_text, conn_why(&s->conn));
}

static void
on_sess_io(struct ev_io *io, u32 events)
{
	struct sess *s;
	u8 *p, *end;
	size_t n;

	CAST_OBJ(s, io->arg, SESS_MAGIC);
	if (!io->active)
		return;
	s->w->at_session = s->id;
	if ((events & EV_WRITE) && s->conn.out.head != NULL) {
		if (!conn_flush(&s->conn)) {
			sess_close(s, "write to client failed");
			return;
		}
		if (s->state == SESS_CLOSING) {
			if (s->conn.out.head == NULL)
				sess_close(s, NULL);
			return;
		}
		sess_backpressure(s);
	}
	if ((events & EV_READ) == 0 || s->state == SESS_CLOSING)
		return;
	if (conn_read(&s->conn, s->want, &p, &end, &n)) {
		STAT_ADD(s->w->stat->bytes_from_clients, n);
		sess_data(s, &p, end);
		if (s->state < SESS_CLOSING) {
			if (!conn_keep(&s->conn, p, end))
				sess_close(s, "out of memory");
			else if (s->conn.held_len > HELD_MAX && s->state > SESS_READY && s->state != SESS_STREAM &&
			    s->state != SESS_INFILE)
				conn_pause(&s->conn, true); /* pipelined commands wait in the kernel */
		}
	}
	if (s->conn.eof && s->state < SESS_CLOSING) {
		if (conn_is_tls(&s->conn) && !s->conn.layer->up)
			login_tls_failed(s);
		else if (conn_is_zip(&s->conn) && s->conn.err == EPROTO)
			bad_frames(s);
		sess_close(s, s->conn.err != 0 ? conn_why(&s->conn) : NULL);
	}
}
