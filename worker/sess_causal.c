/* worker/sess_causal.c: reads that must see writes: which positions a read needs (the session's own, or its account's, by
 * [cluster] causal_reads), which servers are known to have them, and waiting on a replica until it does. Runs in a worker.
 *
 * Positions of an account are published by each worker in its own segment, and read from all of them.
 */
#include "router/route.h"
#include "worker/sess_causal.h"

#define BAD_WAIT_NS   (1000 * MS_NS)  /* a replica where a wait took too long is not waited for again for so long */
#define NO_WAIT_NS    (60000 * MS_NS) /* nor one that cannot wait */

/* ---- what is needed ---- */

static void
need(struct causal *k, u64 domain, u64 seq)
{
	for (u32 i = 0; i < k->n; i++)
		if (k->pos[2 * i] == domain) {
			k->pos[2 * i + 1] = MAX(k->pos[2 * i + 1], seq);
			return;
		}
	if (k->n == CAUSAL_DOMAINS) {
		k->unknown = true;
		return;
	}
	k->pos[2 * k->n] = domain;
	k->pos[2 * k->n++ + 1] = seq;
}

static void
need_of_account(struct worker *w, u32 user_id, struct causal *k)
{
	for (u32 i = 0; i < w->nworkers; i++) {
		const struct shm_seg_worker *seg = i == w->slot ? w->seg : w->peer[i];

		if (seg == NULL || user_id >= seg->max_users) {
			k->unknown = true;
			continue;
		}
		/* also that of a worker that is gone: what it wrote is written */
		const struct shm_usergtid *g = &shm_worker_gtids(seg)[user_id];

		k->unknown |= __atomic_load_n(&g->unknown, __ATOMIC_ACQUIRE) != 0;
		for (u32 d = 0; d < ARRAY_LEN(g->pos) / 2; d++) {
			u64 domain = __atomic_load_n(&g->pos[2 * d], __ATOMIC_ACQUIRE);

			if (domain == 0)
				break;
			need(k, domain - 1, __atomic_load_n(&g->pos[2 * d + 1], __ATOMIC_ACQUIRE));
		}
	}
}

void
causal_need(struct sess *s, const struct cfg_cluster *c, struct causal *k)
{
	k->n = 0;
	k->unknown = false;
	if (c->causal_reads == CFG_CAUSAL_OFF)
		return;
	if (s->wrote && s->gtid_known)
		need(k, s->gtid_domain, s->gtid_seq);
	k->unknown = s->wrote && !s->gtid_known;
	if (c->causal_reads == CFG_CAUSAL_CLUSTER)
		need_of_account(s->w, s->user_id, k);
}

static bool
position_reached(const struct gtid_pos *g, u64 domain, u64 seq)
{
	for (u32 i = 0; i < g->n; i++)
		if (g->pos[2 * i] == domain)
			return g->pos[2 * i + 1] >= seq;
	return false;
}

bool
causal_reached(struct worker *w, struct wserver *srv, const struct causal *k)
{
	const struct shm_srvhealth *h = &w->health->servers[srv->id];
	u64 probed = __atomic_load_n(&h->probed, __ATOMIC_RELAXED);

	if (k->unknown)
		return false;
	if (srv->gtid.probed != probed) {
		struct shm_srvhealth d;

		if (srv_detail_read(h, &d) != 0) {
			STAT_ADD(w->stat->seqlock_stale, 1);
			return false;
		}
		srv->gtid.probed = d.probed;
		srv->gtid.n = MIN(d.ngtid, (u32)ARRAY_LEN(d.gtid) / 2);
		memcpy(srv->gtid.pos, d.gtid, sizeof srv->gtid.pos);
	}
	for (u32 i = 0; i < k->n; i++)
		if (!position_reached(&srv->gtid, k->pos[2 * i], k->pos[2 * i + 1]))
			return false;
	return true;
}

/* ---- what was written ---- */

void
causal_wrote(struct sess *s, struct wserver *srv)
{
	struct shm_usergtid *g;

	srv->gives_gtid = true;
	if (s->user_id >= s->w->seg->max_users)
		return;
	g = &shm_worker_gtids(s->w->seg)[s->user_id];
	for (u32 d = 0; d < ARRAY_LEN(g->pos) / 2; d++) {
		if (g->pos[2 * d] == s->gtid_domain + 1ull || g->pos[2 * d] == 0) {
			if (s->gtid_seq > g->pos[2 * d + 1])
				__atomic_store_n(&g->pos[2 * d + 1], s->gtid_seq, __ATOMIC_RELEASE);
			if (g->pos[2 * d] == 0)
				__atomic_store_n(&g->pos[2 * d], s->gtid_domain + 1ull, __ATOMIC_RELEASE);
			return;
		}
	}
	__atomic_store_n(&g->unknown, 1, __ATOMIC_RELEASE);
}

/* A server that gives GTIDs gave none: what was changed (a temporary table) goes to no replica and to no other session. */
void
causal_wrote_unknown(struct sess *s, struct wserver *srv)
{
	if (!srv->gives_gtid && s->user_id < s->w->seg->max_users)
		__atomic_store_n(&shm_worker_gtids(s->w->seg)[s->user_id].unknown, 1, __ATOMIC_RELEASE);
}

/* ---- waiting ---- */

/* The replica to wait on, as an index into the cluster's servers: one that health has seen close behind; -1: none is worth
 * it, the primary serves at once. */
int
causal_pick(struct sess *s, const struct cfg_cluster *c, const struct route_in *in, const struct causal *k)
{
	u64 now = ev_now(&s->w->loop), close = c->causal_timeout + c->probe_interval;
	int best = -1;

	if (k->unknown || k->n == 0 || c->causal_timeout == 0 || s->cmd.no_wait || s->b != NULL ||
	    c->topology != CFG_REPLICATION)
		return -1;
	for (u32 i = 0; i < in->n; i++) {
		u32 at = (i + in->turn) % in->n;
		const struct route_server *r = &in->servers[at];
		const struct wserver *srv = &s->w->srv[r->id];

		if ((int)r->id == in->primary || r->drain || r->suspect || (in->exclude >> at & 1) != 0 ||
		    r->v.state != SRV_UP || r->v.lag_ms > close || srv->no_wait_until > now ||
		    (in->hint_server >= 0 && in->hint_server != (int)at))
			continue;
		if (best < 0 || r->outstanding < in->servers[best].outstanding)
			best = (int)at;
	}
	if (best >= 0)
		s->cmd.wait_for = *k;
	return best;
}

/* The statement that waits; server ids in GTIDs do not matter to it. */
size_t
causal_sql(struct sess *s, char *buf, size_t size)
{
	const struct causal *k = &s->cmd.wait_for;
	const struct cfg_user *u = sess_user(s);
	u64 ms = u != NULL ? cfg_clusters(&s->w->cfg)[u->cluster_idx].causal_timeout : 1;
	int n = snprintf(buf, size, "SELECT MASTER_GTID_WAIT('");

	for (u32 i = 0; i < k->n; i++)
		n += snprintf(buf + n, size - (size_t)n, "%s%llu-1-%llu", i > 0 ? "," : "", (unsigned long long)k->pos[2 * i],
		    (unsigned long long)k->pos[2 * i + 1]);
	n += snprintf(buf + n, size - (size_t)n, "',%llu.%03llu)", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000));
	STAT_ADD(s->w->stat->causal_waits, 1);
	return (size_t)n;
}

static void
wait_failed(struct sess *s, struct bconn *b, u64 until)
{
	bool more = b->exp_n > 0;

	STAT_ADD(s->w->stat->causal_timeouts, 1);
	b->srv->no_wait_until = ev_now(&s->w->loop) + until;
	s->cmd.no_wait = true;
	b->hold_cmd = false;
	bconn_set_state(b, BCONN_LINKED);
	bconn_unlink(b);
	if (more)
		bconn_close(b, "its replica is behind"); /* what was sent behind the wait was for this statement */
	else
		bpool_give(b);
	if (s->cmd.kill_sent) {
		cmd_fail(s, s->cmd.timed_out ? ERR_STMT_TIMEOUT : ERR_INTERRUPTED, "while waiting for a replica");
		return;
	}
	sess_set_state(s, SESS_WAIT);
	cmd_dispatch(s);
}

/* The reply to the wait: 0 is success. Else, the statement goes to the primary. */
void
causal_waited(struct bconn *b, struct slice value)
{
	struct sess *s = b->sess;

	if (s == NULL || (value.len == 1 && value.p[0] == '0'))
		return;
	/* -1: time is over; NULL: no replica at all */
	wait_failed(s, b, value.len > 0 ? BAD_WAIT_NS : NO_WAIT_NS);
}

void
causal_wait_error(struct bconn *b)
{
	if (b->sess != NULL)
		wait_failed(b->sess, b, NO_WAIT_NS);
	else
		bconn_close(b, "wait for a position");
}
