/* health/adopt.c: from a configuration generation to the table of servers and clusters. All strings are
 * copied: nothing points into the snapshot afterwards. Health's main thread only.
 */
#include "health/publish.h"
#include "health/facts.h"
#include "health/pem.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include <arpa/inet.h>

static void
opts_from(const struct cfg_cluster *k, struct judge_opts *o)
{
	*o = (struct judge_opts){.topology = (enum cfg_topology)k->topology,
	    .rise = (u32)k->rise,
	    .fall = (u32)k->fall,
	    .max_lag_ms = k->max_lag,
	    .probe_interval_ms = k->probe_interval,
	    .probe_timeout_ms = k->probe_timeout,
	    .heartbeat = k->heartbeat_table.off != 0 && k->topology == CFG_REPLICATION};
}

/* tls_name is compared by the library with the number that it connects to: a name can be checked by workers alone. */
static int
tls_from(const struct cfg *cfg, const struct cfg_server *s, struct db_tls *t)
{
	const char *name = cfg_text(cfg, s->tls_name);
	char host[OBS_TEXT];
	u32 port;
	struct in6_addr a;

	t->mode = (u32)s->tls;
	t->rsa_ask = s->auth_rsa_ask != 0;
	if (name[0] == '\0' && address_split(cfg_text(cfg, s->address), host, sizeof host, &port) == 0)
		name = host;
	t->name = t->mode == CFG_STLS_FULL && (inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1);
	if (pem_file(cfg_secret_text(cfg, s->pem.ca), t->ca) != 0 || pem_file(cfg_secret_text(cfg, s->pem.crl), t->crl) != 0 ||
	    pem_file(cfg_secret_text(cfg, s->pem.cert), t->cert) != 0 ||
	    pem_file(cfg_secret_text(cfg, s->pem.key), t->key) != 0 || pem_file(cfg_secret_text(cfg, s->pem.rsa), t->rsa) != 0)
		return ERR_SYSTEM;
	return 0;
}

/* 0, or ERR_INVAL with a log line. */
static int
conf_from(const struct table *t, const struct cfg *cfg, const struct cfg_server *s,
    const struct cfg_cluster *k, struct prober_conf *c)
{
	const char *name = cfg_text(cfg, s->section_name), *hb = cfg_text(cfg, k->heartbeat_table);

	memset(c, 0, sizeof *c);
	c->id = s->id;
	c->pool_slot = s->pool_slot;
	c->topology = (enum cfg_topology)k->topology;
	c->fall = (u32)k->fall;
	c->interval_ms = k->probe_interval;
	c->timeout_ms = k->probe_timeout;
	c->routine_ms = k->routine_check_interval;
	(void)str_copy(c->name, sizeof c->name, name);
	if (s->id >= t->nservers || s->pool_slot >= t->env.pool->p.max_servers) {
		log_err("server %s: index %u is outside of the shared memory", name, s->id);
		return ERR_INVAL;
	}
	if (address_split(cfg_text(cfg, s->address), c->host, sizeof c->host, &c->port) != 0) {
		log_err("server %s: address cannot be used", name);
		return ERR_INVAL;
	}
	if (!str_copy(c->user, sizeof c->user, cfg_text(cfg, k->monitor_user)) ||
	    !str_copy(c->password, sizeof c->password, cfg_secret_text(cfg, k->monitor_password))) {
		log_err("server %s: monitor_user or monitor_password is too long", name);
		return ERR_INVAL;
	}
	c->proxy = s->proxy_protocol == CFG_PROXY_V2;
	if (tls_from(cfg, s, &c->tls) != 0) {
		log_err("server %s: certificates cannot be kept: %m", name);
		return ERR_INVAL;
	}
	if (hb[0] != '\0' && facts_quote_table(hb, c->hb_table, sizeof c->hb_table) != 0) {
		log_err("server %s: heartbeat_table must be schema.table", name);
		return ERR_INVAL;
	}
	return 0;
}

/* Looks at the whole generation before anything is touched. */
static int
check(const struct table *t, const struct cfg *cfg)
{
	const struct cfg_server *servers = cfg_servers(cfg);
	const struct cfg_cluster *clusters = cfg_clusters(cfg);
	struct prober_conf c;
	int rc = 0;

	for (u32 i = 0; i < cfg->r->nclusters; i++) {
		const struct cfg_cluster *k = &clusters[i];
		const u32 *idx = cfg_cluster_servers(cfg, k);

		if (k->id >= SHM_MAX_CLUSTERS || k->nservers > JUDGE_MAX_SERVERS)
			rc = ERR_INVAL;
		for (u32 n = 0; rc == 0 && n < k->nservers; n++)
			rc = idx[n] < cfg->r->nservers ? conf_from(t, cfg, &servers[idx[n]], k, &c)
			                               : ERR_INVAL;
	}
	mem_wipe(&c, sizeof c);
	return rc;
}

/* A server that is new here, or that moved: what was known of it is not about this address. */
static void
server_begin(struct table *t, struct hserver *h, const struct prober_conf *c)
{
	struct shm_srvhealth *pub = &t->seg->servers[c->id];
	bool moved = h->used && (strcmp(h->conf.host, c->host) != 0 || h->conf.port != c->port);
	bool first = !h->used;

	if (!first && !moved)
		return;
	catalog_server_forget(&h->cat);
	if (moved && t->clusters[h->cluster].j.last_primary == (int)c->id) {
		/* Another server under the old name: it was never primary. */
		t->clusters[h->cluster].j.last_primary = -1;
		t->clusters[h->cluster].j.primary = -1;
	}
	judge_srv_init(&h->j, c->id, c->host, c->port);
	memset(&h->rec, 0, sizeof h->rec);
	/* Our predecessor in this segment died: its verdict stands until the first outcome. It is told by the
	 * generation, which only a writer sets. */
	if (first && t->generation == 0 && t->seg->h.generation != 0 && srv_detail_read(pub, &h->rec) == 0)
		judge_srv_restore(&h->j, srv_word_unpack(h->rec.word));
	else
		srv_detail_publish(pub, &h->rec);
}

static int
server_adopt(struct table *t, const struct prober_conf *c, u32 cluster)
{
	struct hserver *h = &t->servers[c->id];

	server_begin(t, h, c);
	if (!h->used)
		h->prober = prober_new(&t->env, c);
	else if (memcmp(&h->conf, c, sizeof *c) != 0)
		prober_set_conf(h->prober, c);
	if (h->prober == NULL) {
		log_err("server %s: no thread can be started for it", c->name);
		return ERR_NOMEM;
	}
	h->used = h->keep = true;
	h->cluster = cluster;
	h->conf = *c;
	return 0;
}

static int
cluster_adopt(struct table *t, const struct cfg *cfg, const struct cfg_cluster *k)
{
	struct hcluster *c = &t->clusters[k->id];
	const char *name = cfg_text(cfg, k->section_name);
	struct prober_conf conf;
	int rc = 0;

	if (!c->used || strcmp(c->name, name) != 0) {
		u32 epoch;
		int primary = clu_primary_load(t->seg, k->id, &epoch);

		catalog_watch_end(&c->cat);
		memset(c, 0, sizeof *c);
		judge_clu_restore(&c->j, t->generation == 0 ? primary : -1, epoch);
		(void)str_copy(c->name, sizeof c->name, name);
	}
	c->used = true;
	opts_from(k, &c->j.o);
	if (c->j.o.heartbeat && c->j.o.max_lag_ms != 0 && c->j.o.max_lag_ms < 2 * c->j.o.probe_interval_ms)
		log_warn("cluster %s: max_lag is less than two probe intervals: replicas that do not lag will "
		         "seem to", name);
	c->j.n = 0;
	for (u32 i = 0; i < k->nservers && rc == 0; i++) {
		const struct cfg_server *s = &cfg_servers(cfg)[cfg_cluster_servers(cfg, k)[i]];

		rc = conf_from(t, cfg, s, k, &conf);
		rc = rc != 0 ? rc : server_adopt(t, &conf, k->id);
		if (rc == 0)
			c->j.srv[c->j.n++] = &t->servers[s->id].j;
	}
	mem_wipe(&conf, sizeof conf);
	return rc;
}

static void
server_end(struct table *t, struct hserver *h)
{
	u32 id = h->conf.id;

	catalog_server_forget(&h->cat);
	prober_free(h->prober);
	mem_wipe(&h->conf, sizeof h->conf);
	memset(h, 0, sizeof *h);
	srv_detail_publish(&t->seg->servers[id], &h->rec);
}

static void
cluster_end(struct table *t, u32 i)
{
	/* The epoch stays: another cluster of this index must not seem older. */
	u32 epoch;

	(void)clu_primary_load(t->seg, i, &epoch);
	catalog_watch_end(&t->clusters[i].cat);
	memset(&t->clusters[i], 0, sizeof t->clusters[i]);
	__atomic_store_n(&t->seg->clusters[i].word, (u64)epoch << 32, __ATOMIC_RELEASE);
}

int
table_adopt(struct table *t, const struct cfg *cfg)
{
	bool cluster_keep[SHM_MAX_CLUSTERS] = {false};
	int rc = check(t, cfg);

	if (rc != 0)
		return rc;
	for (u32 i = 0; i < t->nservers; i++)
		t->servers[i].keep = false;
	for (u32 i = 0; i < cfg->r->nclusters && rc == 0; i++) {
		cluster_keep[cfg_clusters(cfg)[i].id] = true;
		rc = cluster_adopt(t, cfg, &cfg_clusters(cfg)[i]);
	}
	if (rc != 0)
		return rc;
	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
		if (t->clusters[i].used && !cluster_keep[i])
			cluster_end(t, i);
	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used && !t->servers[i].keep)
			server_end(t, &t->servers[i]);
	rc = catalog_adopt(t, cfg);
	if (rc != 0)
		return rc;
	t->generation = cfg->r->h.generation;
	pem_generation();
	return 0;
}

void
table_clear(struct table *t)
{
	for (u32 i = 0; i < t->nservers; i++)
		if (t->servers[i].used) {
			/* Verdicts stay published: a successor or the workers go on with them. */
			prober_free(t->servers[i].prober);
			catalog_server_forget(&t->servers[i].cat);
			t->servers[i].used = false;
		}
}
