/* worker/chan.c: messages: from and to the master, from other workers through the inbox, and the bell. The
 * contract is shm/link.h. Runs in a worker.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "worker/sess.h"

void
chan_ring(int fd)
{
	u64 one = 1;

	/* a full counter means that the bell has been rung and not heard yet: as good */
	if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN)
		log_limited(LOG_WARN_, "bell: %m");
}

void
chan_say(struct worker *w, u32 type, const void *body, size_t len)
{
	if (w->orphan)
		return;
	int rc = link_send(w->channel.fd, type, body, len, NULL, 0);
	if (rc != 0)
		log_limited(LOG_WARN_, "message %u to the master: %s", type, err_text(rc));
}

static void
close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void
maybe_ready(struct worker *w)
{
	if (w->ready_sent || !w->have_cfg || !w->have_listen)
		return;
	w->ready_sent = true;
	chan_say(w, LINK_READY, NULL, 0);
	log_info("ready");
}

static void
on_config(struct worker *w, const struct link_config *m, const int *fds, size_t n)
{
	struct link_u64 a = {m->generation};

	if (n != 2) {
		close_fds(fds, n);
		chan_say(w, LINK_REFUSED, &a, sizeof a);
		return;
	}
	bool ok = adopt_config(w, fds[0], fds[1], m->generation);
	close_fds(fds, n);
	chan_say(w, ok ? LINK_ADOPTED : LINK_REFUSED, &a, sizeof a);
	if (ok) {
		listen_enable(w);
		maybe_ready(w);
	}
}

static void
on_message(struct worker *w, u32 type, const void *body, int len, const int *fds, size_t n)
{
	switch (type) {
	case LINK_CONFIG:
		if (len == (int)sizeof(struct link_config)) {
			on_config(w, body, fds, n);
			return;
		}
		break;
	case LINK_LISTEN:
	case LINK_TAKEOVER: {
		const struct link_listen *m = body;

		if (len == (int)sizeof *m && m->n == n && n <= LINK_MAX_LISTEN) {
			listen_adopt(w, fds, m, type == LINK_TAKEOVER);
			w->have_listen |= type == LINK_LISTEN;
			maybe_ready(w);
			return;
		}
		break;
	}
	case LINK_STOP:
		if (len == (int)sizeof(struct link_stop)) {
			worker_stop(w, ((const struct link_stop *)body)->drain_ms);
			return;
		}
		break;
	case LINK_LOG_LEVEL:
		if (len == (int)sizeof(struct link_u64)) {
			log_set_level((enum log_level)((const struct link_u64 *)body)->v);
			return;
		}
		break;
	case LINK_ADMIN:
		return; /* the states are read where they are needed */
	default:
		break;
	}
	log_err("message %u of %d bytes with %zu descriptors from the master was not understood", type, len, n);
	close_fds(fds, n);
}

/* The master is gone. Its listeners stay ours until a successor's workers serve (see worker_tick). */
static void
on_orphaned(struct worker *w)
{
	log_notice("the master is gone; serving on until a successor does");
	w->orphan = true;
	ev_io_close(&w->channel, NULL);
}

static void
on_channel_io(struct ev_io *io, u32 events)
{
	struct worker *w;
	u8 buf[4096] __attribute__((aligned(8)));
	int fds[LINK_MAX_FDS];

	(void)events;
	CAST_OBJ(w, io->arg, WORKER_MAGIC);
	while (io->active) {
		u32 type;
		size_t n = ARRAY_LEN(fds);
		int len = link_recv(io->fd, &type, buf, sizeof buf, fds, &n);

		if (len == ERR_AGAIN)
			return;
		if (len == ERR_NOTFOUND || len == ERR_SYSTEM) {
			on_orphaned(w);
			return;
		}
		if (len < 0) {
			log_err("message from the master: %s", err_text(len));
			continue;
		}
		on_message(w, type, buf, len, fds, n);
	}
}

static void
on_inbox_io(struct ev_io *io, u32 events)
{
	struct worker *w;
	u8 buf[256] __attribute__((aligned(8)));

	(void)events;
	CAST_OBJ(w, io->arg, WORKER_MAGIC);
	for (int i = 0; i < 64; i++) {
		int fds[4];
		u32 type;
		size_t n = ARRAY_LEN(fds);
		int len = link_recv(io->fd, &type, buf, sizeof buf, fds, &n);

		if (len < 0)
			return;
		if (type == LINK_KILL && len == (int)sizeof(struct link_kill)) {
			const struct link_kill *k = (const void *)buf;

			if (k->mark_only != 0)
				local_kill_mark(w, k->id);
			else if (k->deadline > ev_now(&w->loop))
				local_kill_session(w, k->id, k->query_only != 0, k->by);
		} else if (type == LINK_CLIENT && len == (int)sizeof(struct link_client) && n == 1) {
			const struct link_client *c = (const void *)buf;

			listen_client(w, fds[0], c->kind, c->tls, MAX(c->hops, 1));
			continue;
		} else if (type == LINK_KILL_USER && len == (int)sizeof(struct link_kill_user)) {
			const struct link_kill_user *k = (const void *)buf;

			if (k->deadline > ev_now(&w->loop))
				kill_user_here(w, k);
		} else if (type == LINK_DEFAULTS) {
			w->defaults++;
		}
		close_fds(fds, n);
	}
}

static void
on_bell_io(struct ev_io *io, u32 events)
{
	struct worker *w;
	u64 v;

	(void)events;
	CAST_OBJ(w, io->arg, WORKER_MAGIC);
	if (read(io->fd, &v, sizeof v) < 0 && errno != EAGAIN)
		log_limited(LOG_WARN_, "bell: %m");
	bpool_on_bell(w);
	hold_look(w);
}

void
chan_open(struct worker *w)
{
	AZ(ev_io_open(&w->loop, &w->channel, LINK_CHANNEL_FD, on_channel_io, w));
	ev_io_want(&w->channel, EV_READ);
	AZ(ev_io_open(&w->loop, &w->bell, w->bells[w->slot], on_bell_io, w));
	ev_io_want(&w->bell, EV_READ);
	if (w->inbox_fd >= 0) {
		AZ(ev_io_open(&w->loop, &w->inbox, w->inbox_fd, on_inbox_io, w));
		ev_io_want(&w->inbox, EV_READ);
	}
}
