/* worker/sess_idle.c: clients that are silent: the wait_timeout that a client has set, and connections that are kept for a silent
 * client, which the server must not end by a wait_timeout of its own. Owns sess.wait_ms and sess.wait_unsure. Runs in a worker.
 *
 * The client is idle by its own wait_timeout, if it has set one, and by idle_timeout. The server's global value is about the
 * server's connections: one that is kept is used before that time is over, by a command that changes nothing of what the
 * session may ask for. COM_PING does (ROW_COUNT() is 0 behind it), COM_STATISTICS does not (measured on 10.11: ROW_COUNT(),
 * warnings, FOUND_ROWS(), SET TRANSACTION).
 */
#include "worker/sess.h"

#define ALIVE_NS (60000 * MS_NS) /* at the latest: interactive_timeout, which is not asked for, may be less than wait_timeout */
#define ALIVE_LOOK_NS (10000 * MS_NS) /* how old what health says may be */

/* Half of the server's wait_timeout. */
static u64
server_alive_ns(struct wserver *srv)
{
	u64 now = ev_now(&srv->w->loop);
	struct shm_srvhealth d;

	if (now < srv->alive_until)
		return srv->alive_ns;
	srv->alive_ns = ALIVE_NS;
	if (srv_detail_read(&srv->w->health->servers[srv->id], &d) == 0 && d.wait_timeout_s != 0)
		srv->alive_ns = MIN(ALIVE_NS, d.wait_timeout_s * 500 * MS_NS);
	srv->alive_until = now + ALIVE_LOOK_NS;
	return srv->alive_ns;
}

static u64
alive_ns(const struct sess *s)
{
	u64 ns = server_alive_ns(s->b->srv);

	return s->wait_ms != 0 ? MIN(ns, s->wait_ms / 2 * MS_NS) : ns;
}

void
idle_set(struct sess *s, struct slice value)
{
	u64 v = 0;

	for (size_t i = 0; i < value.len && i < 9; i++) /* 31536000 is the most that servers take */
		if (value.p[i] >= '0' && value.p[i] <= '9')
			v = v * 10 + (u64)(value.p[i] - '0');
	s->wait_ms = v * 1000;
	s->wait_unsure = false;
}

void
idle_set_unseen(struct sess *s)
{
	s->wait_unsure = true;
}

void
idle_reset(struct sess *s)
{
	s->wait_ms = 0;
	s->wait_unsure = false;
}

u64
idle_limit_ms(const struct sess *s, u64 limit)
{
	return s->wait_ms != 0 && (limit == 0 || s->wait_ms < limit) ? s->wait_ms : limit;
}

bool
idle_is_own(const struct sess *s)
{
	return s->wait_ms != 0 && s->state == SESS_READY && ev_now(&s->w->loop) - s->since >= s->wait_ms * MS_NS;
}

void
idle_kept(struct sess *s)
{
	s->b->rests_since = ev_now(&s->w->loop);
	sess_look_by(s, s->b->rests_since + alive_ns(s));
}

void
idle_look(struct sess *s, u64 now)
{
	struct bconn *b = s->b;

	if (s->state != SESS_READY || b->state != BCONN_LINKED || s->wait_unsure)
		return;
	u64 ns = alive_ns(s);

	if (now - b->rests_since >= ns && b->exp_n == 0) {
		b->rests_since = now;
		if (!bconn_send_com(b, COM_STATISTICS, NULL, 0, EXP_ALIVE))
			return; /* the event that follows tells the session */
		STAT_ADD(s->w->stat->kept_alive, 1);
	}
	sess_look_by(s, b->rests_since + ns);
}

bool
idle_ended_by_server(const struct sess *s)
{
	return s->wait_unsure && s->state == SESS_READY;
}
