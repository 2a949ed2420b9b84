/* worker/listen.c: listening sockets (the master's, inherited), accepting, and handing a new client to a worker
 * that has fewer. Runs in a worker.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>
#include "worker/sess.h"

#define ACCEPT_BURST 64 /* clients taken in one event before others get their turn */

static void
on_listen_closed(void *arg)
{
	struct wlisten *l = arg;

	l->used = false;
}

static bool
enough_peers(const struct worker *w)
{
	return w->nworkers > 1 && w->cfg.r->margay.handover && !w->orphan;
}

/* The serving worker with clearly fewer clients than this one, or -1. What was handed over since the last tick
 * is counted in, as the other's counter may not show it yet. */
static int
less_loaded(struct worker *w)
{
	int best = -1;
	u64 best_n = UINT64_MAX;

	for (u32 i = 0; i < w->nworkers; i++) {
		const struct shm_slot *sl = &shm_master_workers(w->names)[i];

		if (i == w->slot || __atomic_load_n(&sl->state, __ATOMIC_RELAXED) != SHM_SLOT_SERVING)
			continue;
		u64 n = STAT_GET(w->peer[i]->stat.clients) + w->handed[i];
		if (n < best_n) {
			best_n = n;
			best = (int)i;
		}
	}
	return best >= 0 && w->nsess + 1 > best_n + 1 + best_n / 16 ? best : -1;
}

void
listen_client(struct worker *w, int fd, u32 kind, u32 tls, u32 hops)
{
	STAT_ADD(w->stat->accepted, 1);
	if (w->stopping && !w->orphan) {
		close(fd);
		return;
	}
	if (hops == 0 && enough_peers(w)) {
		int to = less_loaded(w);
		struct link_client c = {.kind = kind, .tls = tls, .hops = 1};

		if (to >= 0 && link_send(w->inboxes[to], LINK_CLIENT, &c, sizeof c, &fd, 1) == 0) {
			w->handed[to]++;
			STAT_ADD(w->stat->handed_over, 1);
			close(fd);
			return;
		}
	}
	sess_new(w, fd, kind, tls);
}

static void
on_listen_io(struct ev_io *io, u32 events)
{
	struct wlisten *l = io->arg;
	struct worker *w = l->w;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST && io->active; i++) {
		int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listen_client(w, fd, l->kind, l->tls, 0);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (l->takeover)
				ev_io_close(io, on_listen_closed);
			return;
		}
		/* out of descriptors or memory: leave the queue alone until the next tick */
		log_limited(LOG_ERR_, "clients cannot be accepted: %m");
		ev_io_want(io, 0);
		return;
	}
}

/* Does health know enough of each cluster to route? Its primary, or all its servers. */
static bool
verdicts_known(const struct worker *w)
{
	const struct cfg_cluster *clusters = cfg_clusters(&w->cfg);
	const struct cfg_server *servers = cfg_servers(&w->cfg);

	for (u32 i = 0; i < w->cfg.r->nclusters; i++) {
		const struct cfg_cluster *c = &clusters[i];
		const u32 *idx = cfg_cluster_servers(&w->cfg, c);

		if (clu_primary_load(w->health, c->id, NULL) >= 0)
			continue;
		for (u32 k = 0; k < c->nservers; k++)
			if (wserver_verdict(&w->srv[servers[idx[k]].id]).state == SRV_UNKNOWN)
				return false;
	}
	return true;
}

/* A worker of a new master is ready before health has looked at any server: whoever it took then would be told that there
 * is none. Its clients wait in the accept queue instead, as long as a first look takes at most. */
#define FIRST_VERDICTS_NS (5000 * MS_NS)

/* Listeners wait until there is a configuration and a first verdict, and pause when descriptors ran out. */
void
listen_enable(struct worker *w)
{
	if (!w->accepting && w->have_cfg) {
		if (w->listen_since == 0)
			w->listen_since = ev_now(&w->loop);
		w->accepting = verdicts_known(w) || ev_now(&w->loop) - w->listen_since > FIRST_VERDICTS_NS;
		if (!w->accepting)
			return;
	}
	for (size_t i = 0; i < ARRAY_LEN(w->listen); i++)
		if (w->listen[i].used && w->listen[i].io.active && w->have_cfg && !w->stopping)
			ev_io_want(&w->listen[i].io, EV_READ);
}

static void
listen_one(struct worker *w, int fd, u32 kind, u32 tls, bool takeover)
{
	for (size_t i = 0; i < ARRAY_LEN(w->listen); i++) {
		struct wlisten *l = &w->listen[i];

		if (l->used)
			continue;
		memset(l, 0, sizeof *l);
		l->w = w;
		l->kind = kind;
		l->tls = tls;
		l->takeover = takeover;
		if (ev_io_open(&w->loop, &l->io, fd, on_listen_io, l) != 0)
			break;
		l->used = true;
		return;
	}
	log_err("listening socket cannot be watched: %m");
	close(fd);
}

void
listen_close(struct worker *w, bool takeover_only)
{
	for (size_t i = 0; i < ARRAY_LEN(w->listen); i++)
		if (w->listen[i].used && (w->listen[i].takeover || !takeover_only))
			ev_io_close(&w->listen[i].io, on_listen_closed);
}

/* Takes the descriptors. */
void
listen_adopt(struct worker *w, const int *fds, const struct link_listen *m, bool takeover)
{
	if (!takeover) {
		/* what is in the old queues is taken before they close */
		for (size_t i = 0; i < ARRAY_LEN(w->listen); i++) {
			struct wlisten *l = &w->listen[i];

			if (!l->used || !l->io.active || l->takeover)
				continue;
			if (w->have_cfg && !w->stopping)
				on_listen_io(&l->io, EV_READ);
			ev_io_close(&l->io, on_listen_closed);
		}
	}
	for (u32 i = 0; i < m->n; i++)
		listen_one(w, fds[i], m->kind[i], m->tls[i], takeover);
	listen_enable(w);
}
