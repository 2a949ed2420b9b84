/* health/publish.c: takes the outcomes of probes, judges, writes the health segment, logs what changed and
 * wakes the workers. Health's main thread only.
 */
#include "health/publish.h"
#include "health/facts.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "shm/seq.h"
#include <unistd.h>

static void
ring_workers(const struct table *t)
{
	u64 one = 1;

	for (u32 i = 0; i < t->env.nworkers; i++)
		if (write(t->env.worker_fd[i], &one, sizeof one) < 0) {
			/* EAGAIN: it is rung already. */
		}
}

/* ---- publishing ---- */

/* Under the name the upstream has in the configuration, if it is one of ours, else as the replica calls it. */
static void
fill_upstream(const struct hcluster *c, const struct judge_srv *s, struct shm_srvhealth *rec)
{
	const struct obs_channel *ch = &s->facts.channel[0];
	const struct judge_srv *up = NULL;
	const char *host = ch->host;
	u32 port = ch->port;

	rec->upstream[0] = '\0';
	if (!s->have_facts || s->facts.nchannels == 0)
		return;
	if (s->up[0] >= 0 && (u32)s->up[0] < c->j.n)
		up = c->j.srv[s->up[0]];
	if (up != NULL) {
		host = up->host;
		port = up->port;
	}
	/* 100 characters are more than an address has and all that fits beside the port. */
	if (port == 0)
		(void)str_copy(rec->upstream, sizeof rec->upstream, host);
	else
		(void)snprintf(rec->upstream, sizeof rec->upstream,
		    strchr(host, ':') ? "[%.100s]:%u" : "%.100s:%u", host, port);
}

static void
fill_facts(struct shm_srvhealth *rec, const struct obs_facts *f)
{
	rec->read_only = f->read_only;
	(void)str_copy(rec->version, sizeof rec->version, f->version);
	(void)str_copy(rec->wsrep, sizeof rec->wsrep, f->wsrep_comment);
	rec->server_id = f->server_id;
	rec->ngtid = f->ngtid;
	memset(rec->gtid, 0, sizeof rec->gtid);
	for (u32 i = 0; i < f->ngtid; i++) {
		rec->gtid[2 * i] = f->gtid[i].domain;
		rec->gtid[2 * i + 1] = f->gtid[i].seq;
	}
	rec->lag_source = f->nchannels == 0 ? 0 : f->hb_read ? 2 : 1;
	rec->threads_connected = f->threads_connected;
	rec->server_max_connections = f->max_connections;
	rec->wait_timeout_s = f->wait_timeout_s;
}

static void
fill_outcome(struct shm_srvhealth *rec, const struct judge_srv *s, const struct obs *o)
{
	rec->probed = o->ended_ns;
	rec->probe_us = (u32)MIN((o->ended_ns - o->started_ns) / US_NS, UINT32_MAX);
	rec->streak = MAX(s->good, s->bad);
	if (o->cause == SRV_CAUSE_NONE) {
		rec->last_good = o->ended_ns;
		rec->mysql_errno = 0;
		rec->error[0] = '\0';
		fill_facts(rec, &o->facts);
	} else {
		rec->mysql_errno = o->mysql_errno;
		(void)str_copy(rec->error, sizeof rec->error, o->error);
	}
	/* A lookup that failed does not take away the addresses known. */
	if (o->naddr > 0) {
		rec->naddr = MIN(o->naddr, SHM_ADDR_MAX);
		memset(rec->addr, 0, sizeof rec->addr);
		for (u32 i = 0; i < rec->naddr; i++) {
			memcpy(rec->addr + (size_t)i * SHM_ADDR_SIZE, &o->addr[i].len, sizeof(u32));
			memcpy(rec->addr + (size_t)i * SHM_ADDR_SIZE + 4, o->addr[i].sa, o->addr[i].len);
		}
	}
}

static void
log_server(struct hserver *h, struct srv_verdict was)
{
	struct srv_verdict v = h->j.v;
	bool bad = v.state == SRV_DOWN || v.state == SRV_BROKEN;
	char why[400] = "";

	if (!log_rate_ok(&h->rate, 20, 60000))
		return;
	if (v.cause != SRV_CAUSE_NONE)
		(void)snprintf(why, sizeof why, " (%s%s%s)", srv_cause_meanings[v.cause],
		    h->rec.error[0] != '\0' ? ": " : "", h->rec.error);
	log_at(bad ? LOG_WARN_ : LOG_NOTICE_, "server %s: %s%s%s -> %s%s%s%s", h->conf.name,
	    srv_state_words[was.state], was.role != SRV_ROLE_NONE ? " " : "",
	    was.role != SRV_ROLE_NONE ? srv_role_words[was.role] : "", srv_state_words[v.state],
	    v.role != SRV_ROLE_NONE ? " " : "", v.role != SRV_ROLE_NONE ? srv_role_words[v.role] : "", why);
}

/* Publishes one server if anything about it is new. */
static bool
publish_server(struct table *t, struct hserver *h)
{
	struct srv_verdict was = srv_word_unpack(h->rec.word);
	struct shm_srvhealth *dst = &t->seg->servers[h->j.id];
	bool changed = was.state != h->j.v.state || was.role != h->j.v.role;

	if (changed) {
		h->rec.changed = clock_wall_ms();
		STAT_ADD(t->seg->stat.verdict_changes, 1);
		log_server(h, was);
	}
	h->rec.word = srv_word_pack(&h->j.v);
	fill_upstream(&t->clusters[h->cluster], &h->j, &h->rec);
	srv_detail_publish(dst, &h->rec);
	return changed;
}

static const char *
name_of(const struct table *t, int id)
{
	return id >= 0 && t->servers[id].used ? t->servers[id].conf.name : "a server that was removed";
}

static void
log_cluster(const struct table *t, struct hcluster *c)
{
	if (!log_rate_ok(&c->rate, 20, 60000))
		return;
	if (c->j.primary >= 0)
		log_notice("cluster %s: primary is %s (epoch %u)", c->name, name_of(t, c->j.primary),
		    c->j.epoch);
	else
		log_at(c->j.cause == SRV_CAUSE_TWO_PRIMARIES ? LOG_ERR_ : LOG_WARN_,
		    "cluster %s: no primary: %s", c->name, srv_cause_meanings[c->j.cause]);
}

static bool
cluster_is_known(const struct hcluster *c, bool all)
{
	for (u32 i = 0; i < c->j.n; i++)
		if (c->j.srv[i]->known != all)
			return !all;
	return all;
}

/* Says who is primary when that changes, or when it is known first. Why there is none may change with every
 * probe: only two primaries are worth a line of their own. */
static void
show_cluster(const struct table *t, struct hcluster *c)
{
	bool two = c->j.cause == SRV_CAUSE_TWO_PRIMARIES;

	if (c->j.primary < 0 && !cluster_is_known(c, true))
		return;
	if (!c->shown || c->shown_primary != c->j.primary || c->shown_two != two)
		log_cluster(t, c);
	c->shown = true;
	c->shown_primary = c->j.primary;
	c->shown_two = two;
}

static bool
publish_cluster(struct table *t, u32 i)
{
	struct hcluster *c = &t->clusters[i];
	struct shm_cluhealth *dst = &t->seg->clusters[i];
	struct shm_cluhealth rec = {.writable = c->j.writable, .cause = (u32)c->j.cause};
	u64 word = (u64)c->j.epoch << 32 | (u32)(c->j.primary + 1);
	bool changed = word != __atomic_load_n(&dst->word, __ATOMIC_RELAXED);

	rec.changed = changed ? clock_wall_ms() : dst->changed;
	seq_repair(&dst->seq);
	seq_write_begin(&dst->seq);
	seq_words_store(&dst->changed, &rec.changed, sizeof rec - offsetof(struct shm_cluhealth, changed));
	seq_write_end(&dst->seq);
	__atomic_store_n(&dst->word, word, __ATOMIC_RELEASE);
	show_cluster(t, c);
	return changed;
}

/* Two writable servers may be a switchover seen at two moments: look again at once. */
static void
look_again(struct table *t, const struct hcluster *c)
{
	for (u32 i = 0; i < c->j.n; i++)
		prober_hurry(t->servers[c->j.srv[i]->id].prober);
}

static void
judge_one_cluster(struct table *t, u32 i, bool *changed_r)
{
	struct hcluster *c = &t->clusters[i];
	bool was_two = c->j.cause == SRV_CAUSE_TWO_PRIMARIES;

	for (u32 k = 0; k < c->j.n; k++) {
		struct hserver *h = &t->servers[c->j.srv[k]->id];

		h->j.hb_written_ms = __atomic_load_n(&h->prober->hb_written_ms, __ATOMIC_ACQUIRE);
		h->j.drained = __atomic_load_n(&shm_master_servers(t->names)[h->j.id].admin,
		                   __ATOMIC_RELAXED) == SHM_ADMIN_DRAIN;
	}
	/* Before the first outcome what an earlier process published stands. */
	if (!cluster_is_known(c, false))
		return;
	judge_cluster(&c->j, clock_ns(), clock_wall_ms());
	/* Before a server gets its first statement, nothing may be believed that was not seen there. */
	catalog_servers(t, c);
	for (u32 k = 0; k < c->j.n; k++) {
		struct hserver *h = &t->servers[c->j.srv[k]->id];

		if (!h->j.known)
			continue;
		__atomic_store_n(&h->prober->primary, c->j.primary == (int)h->j.id, __ATOMIC_RELEASE);
		__atomic_store_n(&h->prober->alive, h->j.alive, __ATOMIC_RELEASE);
		h->rec.leaves_state = __atomic_load_n(&h->prober->leaves_state, __ATOMIC_ACQUIRE);
		*changed_r |= publish_server(t, h);
	}
	*changed_r |= publish_cluster(t, i);
	if (c->j.cause == SRV_CAUSE_TWO_PRIMARIES && !was_two)
		look_again(t, c);
}

static void
judge_clusters(struct table *t, const bool *which)
{
	bool changed = false;

	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
		if (t->clusters[i].used && (which == NULL || which[i]))
			judge_one_cluster(t, i, &changed);
	if (changed)
		ring_workers(t);
}

static void
take_recovered(struct table *t, struct hserver *h)
{
	u32 n = __atomic_exchange_n(&h->prober->recovered, 0, __ATOMIC_RELAXED);

	if (n == 0)
		return;
	STAT_ADD(t->seg->stat.cells_recovered, n);
	log_notice("server %s: connections of dead processes taken back: %u", h->conf.name, n);
	/* the end of a statement that changed a definition may have been among what the dead did not live to tell */
	__atomic_fetch_add(&shm_pool_srv(t->env.pool)[h->conf.pool_slot].ddl, 1, __ATOMIC_SEQ_CST);
}

void
table_update(struct table *t)
{
	bool touched[SHM_MAX_CLUSTERS] = {false};
	struct obs o;

	for (u32 i = 0; i < t->nservers; i++) {
		struct hserver *h = &t->servers[i];

		if (!h->used)
			continue;
		take_recovered(t, h);
		catalog_take(t, h);
		if (!prober_take(h->prober, &o))
			continue;
		STAT_ADD(t->seg->stat.probes, 1);
		STAT_ADD(t->seg->stat.probe_failures, o.cause != SRV_CAUSE_NONE);
		judge_probe(&h->j, &o, &t->clusters[h->cluster].j.o);
		fill_outcome(&h->rec, &h->j, &o);
		touched[h->cluster] = true;
	}
	judge_clusters(t, touched);
	catalog_publish(t);
}

void
table_rejudge(struct table *t)
{
	judge_clusters(t, NULL);
}

/* Orphans of a server that is configured no more: there is no account to end its threads with, and nobody
 * else uses that budget. */
static void
recover_unused(struct table *t)
{
	struct shm_seg_pool *pool = t->env.pool;
	bool used[JUDGE_MAX_SERVERS] = {false};
	u32 n = MIN(pool->p.max_servers, JUDGE_MAX_SERVERS);

	/* Of two masters the one that serves does it: the other's servers may be none of ours. */
	if (__atomic_load_n(&pool->p.serving_epoch, __ATOMIC_ACQUIRE) != t->seg->h.epoch)
		return;
	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used && t->servers[i].conf.pool_slot < n)
			used[t->servers[i].conf.pool_slot] = true;
	for (u32 s = 0; s < n; s++)
		for (int c = used[s] ? -1 : pool_next_orphan(pool, s, 0); c >= 0;
		     c = pool_next_orphan(pool, s, 0)) {
			if (!pool_orphan_take(pool, s, (u32)c, t->env.me))
				continue;
			pool_free(pool, s, (u32)c);
			STAT_ADD(t->seg->stat.cells_recovered, 1);
		}
}

void
table_alarm(struct table *t)
{
	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used) {
			prober_hurry(t->servers[i].prober);
			prober_recover(t->servers[i].prober);
		}
	recover_unused(t);
}

bool
table_all_known(const struct table *t)
{
	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used && !t->servers[i].j.known)
			return false;
	return true;
}

u64
table_longest_ms(const struct table *t)
{
	u64 ms = 0;

	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used)
			ms = MAX(ms, t->servers[i].conf.timeout_ms);
	return ms;
}
