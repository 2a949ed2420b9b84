/* worker/tick.c: what a worker does ten times a second, and how it ends: no new clients, a bounded time for those
 * there are. Runs in a worker; no loop is started here.
 */
#include "worker/catalog.h"

/* ---- stop ---- */

void
worker_check_drained(struct worker *w)
{
	if (!w->stopping || w->drained_sent || !list_empty(&w->sessions))
		return;
	w->drained_sent = true;
	chan_say(w, LINK_DRAINED, NULL, 0);
	ev_stop(&w->loop);
}

/* No new clients. Sessions get until the deadline; with a master that stops, idle ones outside a transaction are
 * told at once, so that a stop takes no longer than the work that is under way. */
void
worker_stop(struct worker *w, u64 drain_ms)
{
	if (!w->stopping)
		listen_close(w, false);
	w->stopping = true;
	w->stop_deadline = ev_now(&w->loop) + drain_ms * MS_NS;
	worker_check_drained(w);
}

static void
drain_step(struct worker *w)
{
	bool over = ev_now(&w->loop) >= w->stop_deadline;

	list_for_each_safe(i, t, &w->sessions) {
		struct sess *s = LIST_ENTRY(i, struct sess, node);

		if (s->state >= SESS_CLOSING) {
			if (over)
				sess_close(s, "drain_timeout");
			continue;
		}
		if (over || (!w->orphan && s->state == SESS_READY && !s->in_trx && s->conn.held_len == 0))
			sess_error_close(s, s->state == SESS_READY ? 0 : 1, ERR_SHUTDOWN, "reconnect");
		else if (s->state < SESS_READY)
			sess_close(s, "stopping");
	}
	worker_check_drained(w);
}

/* ---- the tick ---- */

static void
on_fast(void *worker)
{
	struct worker *w = worker;
	bool more = bpool_on_fast(w);

	if (!prove_on_fast(w) && !more)
		ev_fast(&w->loop, NULL, 0, false);
}

void
worker_fast(struct worker *w)
{
	ev_fast(&w->loop, on_fast, WORKER_FAST_MS, true);
}

void
worker_on_tick(void *arg)
{
	struct worker *w = arg;
	u64 now = ev_now(&w->loop);

	shm_heartbeat(&w->seg->h, now);
	STAT_SET(w->stat->loop_ns_max, MAX(STAT_GET(w->stat->loop_ns_max), w->loop.turn_max_ns));
	w->loop.turn_max_ns = 0;
	STAT_SET(w->stat->buffer_bytes, w->bytes_held + w->chunks.in_use * CHUNK_SIZE);
	memset(w->handed, 0, sizeof w->handed);
	if (!w->have_cfg)
		return;
	wcat_tick(w);
	sess_on_tick(w);
	bpool_on_tick(w);
	hold_look(w);
	listen_enable(w);
	if (w->orphan && !w->stopping &&
	    __atomic_load_n(&w->pool->p.serving_epoch, __ATOMIC_ACQUIRE) > w->epoch) {
		log_notice("a successor serves: no new clients here; %u sessions get %llu ms", w->nsess,
		    (unsigned long long)w->cfg.r->margay.drain_timeout);
		worker_stop(w, w->cfg.r->margay.drain_timeout);
	}
	if (w->stopping)
		drain_step(w);
}
