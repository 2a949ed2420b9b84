/* tools/stat_table.c: the one-shot tables, the sessions table and the raw dump of margay-stat. Formats a
 * sample; decides nothing.
 */
#include "base/reasons.h"
#include "config.h"
#include "shm/seq.h"
#include "tools/stat.h"
#include <inttypes.h>

static const char *const topology_words[] = {"replication", "galera", "standalone"};
static const char *const slot_words[] = {"empty", "starting", "serving", "throttled"};

static const char *
word_of(const char *const *words, size_t n, u32 i)
{
	return i < n ? words[i] : "?";
}

static const char *
master_word(const struct stat_sample *s)
{
	static const char *const w[] = {"starting", "serving", "stopping"};

	if (!s->master_alive)
		return s->alive_workers > 0 ? "serving without a master" : "not running";
	return word_of(w, ARRAY_LEN(w), s->m.state);
}

/* Names, errors of servers and panic texts hold bytes of others: none may reach the terminal as a command. */
static void
text_clean(FILE *f, const char *s)
{
	for (; *s != '\0'; s++)
		fputc((u8)*s < ' ' || *s == 0x7f ? '?' : *s, f);
}

static u64
wall_age(const struct stat_sample *s, u64 wall_ms)
{
	return wall_ms != 0 && s->wall_ms > wall_ms ? s->wall_ms - wall_ms : 0;
}

void
stat_head(const struct stat_sample *s, FILE *f)
{
	char a[32], b[32];

	fprintf(f, "margay %s: %s; pid %u, epoch %" PRIu64 ", generation %" PRIu64 ", up %s", PACKAGE_VERSION,
	    master_word(s), s->h.pid, s->h.epoch, s->h.generation,
	    stat_age(a, sizeof a, wall_age(s, s->h.started)));
	if (s->m.last_reload != 0)
		fprintf(f, ", last good reload %s ago", stat_age(b, sizeof b, wall_age(s, s->m.last_reload)));
	if (!s->m.last_reload_ok && s->mstat.reloads_failed > 0)
		fprintf(f, ", THE LAST RELOAD FAILED");
	fputc('\n', f);
	if (!s->health_alive)
		fprintf(f, "health is not running: verdicts are what it left\n");
	else if (s->mono_ns > s->health_h.heartbeat + 5000 * MS_NS)
		fprintf(f, "health shows no sign of life since %s\n",
		    stat_age(a, sizeof a, stat_since_ms(s, s->health_h.heartbeat)));
	if (s->names_torn)
		fprintf(f, "the master died while it wrote names: they may be wrong\n");
}

/* --- servers, clusters, workers --- */

static void
lag_set(struct stat_grid *g, u32 col, const struct stat_server *v)
{
	if (v->v.role == SRV_ROLE_PRIMARY || v->v.lag_ms == SRV_LAG_UNKNOWN)
		grid_set(g, col, "-");
	else if (v->d.lag_source == 2 || v->v.lag_ms % 1000 != 0)
		grid_set(g, col, "%ums", v->v.lag_ms);
	else
		grid_set(g, col, "%us", v->v.lag_ms / 1000);
}

static void
pool_set(struct stat_grid *g, u32 col, const struct stat_sample *s, const struct stat_server *v)
{
	if (!s->pool_known) {
		grid_set(g, col, "?");
		grid_set(g, col + 1, "%u", v->n.max_connections);
		return;
	}
	if (v->kind[POOL_ORPHAN] > 0)
		grid_set(g, col, "%u(%u orphaned)", v->used, v->kind[POOL_ORPHAN]);
	else
		grid_set(g, col, "%u", v->used);
	grid_set(g, col + 1, "%u", v->limit);
}

static void
servers_print(const struct stat_sample *s, FILE *f)
{
	static const char *const head[] = {"SERVER", "ADDRESS", "CLUSTER", "STATE", "ROLE", "CAUSE", "-LAG",
	    "-IDLE", "-BUSY", "-PINNED", "-WAITING", "-USED", "-LIMIT", "-STATEMENTS", "-ERRORS", "-LOST",
	    "-PROBED"};
	char a[32];
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < s->nservers; i++) {
		const struct stat_server *v = &s->servers[i];

		if (!v->n.used)
			continue;
		grid_row(&g);
		grid_set(&g, 0, "%s", v->n.name);
		grid_set(&g, 1, "%s", v->n.address);
		grid_set(&g, 2, "%s", stat_cluster_name(s, v->n.cluster));
		grid_set(&g, 3, "%s%s", word_of(srv_state_words, SRV_STATES, v->v.state),
		    v->n.admin == SHM_ADMIN_DRAIN ? ",drained" : "");
		grid_set(&g, 4, "%s", word_of(srv_role_words, SRV_ROLES, v->v.role));
		grid_set(&g, 5, "%s", word_of(srv_cause_words, SRV_CAUSES, v->v.cause));
		lag_set(&g, 6, v);
		grid_set(&g, 7, "%" PRIu64, v->sum.conns_idle);
		grid_set(&g, 8, "%" PRIu64, v->sum.conns_busy);
		grid_set(&g, 9, "%" PRIu64, v->sum.conns_pinned);
		grid_set(&g, 10, "%" PRIu64, v->sum.waiting);
		pool_set(&g, 11, s, v);
		grid_set(&g, 13, "%" PRIu64, v->sum.statements);
		grid_set(&g, 14, "%" PRIu64, v->sum.errors);
		grid_set(&g, 15, "%" PRIu64, v->sum.lost);
		grid_set(&g, 16, "%s",
		    v->d.probed == 0 ? "-" : stat_age(a, sizeof a, stat_since_ms(s, v->d.probed)));
	}
	grid_print(&g, f, 0);
	for (u32 i = 0; i < s->nservers; i++) {
		const struct stat_server *v = &s->servers[i];

		if (v->n.used && v->v.cause != SRV_CAUSE_NONE && v->v.cause < SRV_CAUSES) {
			text_clean(f, v->n.name);
			fprintf(f, ": %s%s", srv_cause_meanings[v->v.cause], v->d.error[0] != '\0' ? ": " : "");
			text_clean(f, v->d.error);
			fputc('\n', f);
		}
	}
}

static void
clusters_print(const struct stat_sample *s, FILE *f)
{
	static const char *const head[] = {"CLUSTER", "TOPOLOGY", "PRIMARY", "-WRITABLE", "CAUSE", "-EPOCH"};
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < s->nclusters; i++) {
		const struct stat_cluster *c = &s->clusters[i];

		if (!c->n.used)
			continue;
		grid_row(&g);
		grid_set(&g, 0, "%s", c->n.name);
		grid_set(&g, 1, "%s", word_of(topology_words, ARRAY_LEN(topology_words), c->n.topology));
		grid_set(&g, 2, "%s", stat_server_name(s, c->primary));
		grid_set(&g, 3, "%u", c->writable);
		grid_set(&g, 4, "%s", word_of(srv_cause_words, SRV_CAUSES, c->cause));
		grid_set(&g, 5, "%u", c->epoch);
	}
	grid_print(&g, f, 0);
}

static const char *
worker_word(const struct stat_worker *w)
{
	if (!w->alive)
		return w->rec.state == SHM_SLOT_THROTTLED ? "throttled" : "dead";
	return word_of(slot_words, ARRAY_LEN(slot_words), w->rec.state);
}

static void
ends_print(FILE *f, const char *who, const char *last_end, const char *panic)
{
	if (last_end[0] != '\0') {
		fprintf(f, "%s, the one before: ", who);
		text_clean(f, last_end);
		fputc('\n', f);
	}
	if (panic[0] != '\0') {
		fprintf(f, "%s, last panic: ", who);
		text_clean(f, panic);
		fputc('\n', f);
	}
}

static void
workers_print(const struct stat_sample *s, FILE *f)
{
	static const char *const head[] = {"WORKER", "-PID", "STATE", "-UP", "-HEARTBEAT", "-GENERATION",
	    "-CLIENTS", "-ACTIVE", "-WAITING", "-PINNED", "-STATEMENTS", "-BUFFERS", "-STARTS", "-CRASHES"};
	char a[32], b[32], c[32];
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < s->nworkers; i++) {
		const struct stat_worker *w = &s->workers[i];

		grid_row(&g);
		grid_set(&g, 0, "%u", i);
		grid_set(&g, 1, "%u", w->h.pid);
		grid_set(&g, 2, "%s", worker_word(w));
		grid_set(&g, 3, "%s", w->alive ? stat_age(a, sizeof a, wall_age(s, w->h.started)) : "-");
		grid_set(&g, 4, "%s", stat_age(b, sizeof b, stat_since_ms(s, w->h.heartbeat)));
		grid_set(&g, 5, "%" PRIu64, w->h.generation);
		grid_set(&g, 6, "%" PRIu64, w->stat.clients);
		grid_set(&g, 7, "%" PRIu64, w->stat.clients_active);
		grid_set(&g, 8, "%" PRIu64, w->stat.clients_waiting);
		grid_set(&g, 9, "%" PRIu64, w->stat.clients_pinned);
		grid_set(&g, 10, "%" PRIu64, w->stat.statements);
		grid_set(&g, 11, "%s", stat_num(c, sizeof c, (double)w->stat.buffer_bytes));
		grid_set(&g, 12, "%u", w->rec.starts);
		grid_set(&g, 13, "%u", w->rec.crashes);
	}
	grid_print(&g, f, 0);
	for (u32 i = 0; i < s->nworkers; i++) {
		snprintf(a, sizeof a, "worker %u", i);
		ends_print(f, a, s->workers[i].rec.last_end, s->workers[i].panic);
	}
	ends_print(f, "health", s->health_rec.last_end, s->health_panic);
}

/* --- figures --- */

static void
latency_print(const struct stat_sample *s, FILE *f)
{
	static const char *const head[] = {
	    "LATENCY", "-COUNT", "-MEAN", "-P50", "-P95", "-P99", "-P99.9", "WHAT"};
	static const double q[] = {0.5, 0.95, 0.99, 0.999};
	char a[32];
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < SHM_HISTS; i++) {
		const struct shm_hist *h = &s->hist[i];
		u64 n = 0;

		for (u32 b = 0; b < SHM_HIST_BUCKETS; b++)
			n += h->n[b];
		grid_row(&g);
		grid_set(&g, 0, "%s", shm_hist_names[i]);
		grid_set(&g, 1, "%" PRIu64, n);
		grid_set(&g, 2, "%s", stat_ns(a, sizeof a, n > 0 ? h->sum / n : 0));
		for (u32 k = 0; k < ARRAY_LEN(q); k++)
			grid_set(&g, 3 + k, "%s", stat_ns(a, sizeof a, shm_hist_quantile(h, q[k])));
		grid_set(&g, 7, "%s", shm_hist_summaries[i]);
	}
	grid_print(&g, f, 0);
}

static void
counters_rows(struct stat_grid *g, const char *scope, const void *rec, const struct shm_counter *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		grid_row(g);
		grid_set(g, 0, "%s.%s", scope, c[i].name);
		grid_set(g, 1, "%" PRIu64, stat_counter(rec, &c[i]));
		grid_set(g, 2, "%s", strcmp(c[i].unit, "count") == 0 ? "" : c[i].unit);
		grid_set(g, 3, "%s", c[i].summary);
	}
}

static void
counters_print(const struct stat_sample *s, FILE *f)
{
	static const char *const head[] = {"COUNTER", "-VALUE", "UNIT", "MEANING"};
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	counters_rows(&g, "worker", &s->total, shm_worker_counters, shm_nworker_counters);
	counters_rows(&g, "master", &s->mstat, shm_master_counters, shm_nmaster_counters);
	counters_rows(&g, "health", &s->hstat, shm_health_counters, shm_nhealth_counters);
	grid_print(&g, f, 0);
}

void
stat_table(const struct stat_inst *in, const struct stat_sample *s, FILE *f)
{
	stat_head(s, f);
	if (in->pool.p == NULL)
		fprintf(f, "%s/pool.%08x cannot be read: USED is not known\n", in->dir, (u32)(shm_abi >> 32));
	fputc('\n', f);
	servers_print(s, f);
	fputc('\n', f);
	clusters_print(s, f);
	fputc('\n', f);
	workers_print(s, f);
	fputc('\n', f);
	latency_print(s, f);
	fputc('\n', f);
	counters_print(s, f);
}

/* --- sessions --- */

struct session_rows {
	struct stat_grid g;
	const struct stat_sample *s;
	bool info;
};

static void
session_row(void *arg, const struct stat_worker *w, const struct shm_session *ss)
{
	struct session_rows *r = arg;
	struct stat_grid *g = &r->g;
	char a[32], b[32];

	grid_row(g);
	grid_set(g, 0, "%u", ss->id);
	grid_set(g, 1, "%u", w->slot);
	grid_set(g, 2, "%s", ss->user);
	grid_set(g, 3, "%s", ss->addr);
	grid_set(g, 4, "%s", ss->db[0] != '\0' ? ss->db : "-");
	grid_set(g, 5, "%s", word_of(sess_state_words, SESS_STATES, ss->state));
	grid_set(g, 6, "%s", stat_age(a, sizeof a, stat_since_ms(r->s, ss->since)));
	grid_set(g, 7, "%s", ss->statements > 0 ? com_word(ss->command) : "-");
	grid_set(g, 8, "%s", stat_server_name(r->s, (int)ss->server - 1));
	grid_set(g, 9, "%u", ss->thread_id);
	grid_set(g, 10, "%s", word_of(pin_words, PIN_REASONS, ss->pin));
	grid_set(g, 11, "%s", ss->in_trx ? "yes" : "no");
	grid_set(g, 12, "%" PRIu64, ss->statements);
	grid_set(g, 13, "%s", stat_age(b, sizeof b, wall_age(r->s, ss->connected)));
	if (r->info)
		grid_set(g, 14, "%s", ss->info);
}

void
stat_table_sessions(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter,
    FILE *f, u32 width)
{
	static const char *const head[] = {"-ID", "-WORKER", "USER", "ADDRESS", "DATABASE", "STATE", "-SINCE",
	    "COMMAND", "SERVER", "-THREAD", "PINNED", "TRX", "-STATEMENTS", "-CONNECTED", "STATEMENT"};
	struct session_rows r = {.s = s, .info = filter->info};

	grid_init(&r.g, head, filter->info ? 15 : 14);
	stat_sessions(in, s, filter, session_row, &r);
	grid_print(&r.g, f, width);
}

/* --- raw --- */

static void
text_print(FILE *f, const char *p, size_t n)
{
	fputc('"', f);
	for (size_t i = 0; i < n && p[i] != '\0'; i++) {
		if ((u8)p[i] < ' ' || p[i] == 0x7f || p[i] == '"' || p[i] == '\\')
			fprintf(f, "\\x%02x", (u8)p[i]);
		else
			fputc(p[i], f);
	}
	fputc('"', f);
}

static void
value_print(FILE *f, const struct shm_field *d, const u8 *p)
{
	u32 n = MAX(d->count, 1u), each = d->size / n;
	u64 v64;
	u32 v32;

	if (strcmp(d->ctype, "char") == 0) {
		text_print(f, (const char *)p, d->size);
		return;
	}
	for (u32 i = 0; i < n; i++, p += each) {
		if (each == 8) {
			memcpy(&v64, p, 8);
			fprintf(f, "%s%" PRIu64, i > 0 ? " " : "", v64);
		} else if (each == 4) {
			memcpy(&v32, p, 4);
			fprintf(f, "%s%u", i > 0 ? " " : "", v32);
		} else {
			fprintf(f, "%02x", *p);
		}
	}
}

/* One record: "name.field value" lines. */
static void
record_print(FILE *f, const char *record, const char *where, const void *rec, bool info)
{
	for (size_t i = 0; i < shm_nfields; i++) {
		const struct shm_field *d = &shm_fields[i];

		if (strcmp(d->record, record) != 0 || strcmp(d->name, "pad") == 0)
			continue;
		if (strcmp(record, "session") == 0 && strcmp(d->name, "info") == 0 && !info)
			continue;
		fprintf(f, "%s.%s ", where, d->name);
		value_print(f, d, (const u8 *)rec + d->off);
		fputc('\n', f);
	}
}

static void
raw_counters(FILE *f, const char *where, const void *rec, const struct shm_counter *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s.%s %" PRIu64 "\n", where, c[i].name, stat_counter(rec, &c[i]));
}

struct raw_sessions {
	FILE *f;
	bool info;
};

static void
raw_session(void *arg, const struct stat_worker *w, const struct shm_session *ss)
{
	struct raw_sessions *r = arg;
	char where[64];

	snprintf(where, sizeof where, "worker.%u.session.%u", w->slot, ss->id);
	record_print(r->f, "session", where, ss, r->info);
}

static void
raw_worker(FILE *f, const struct stat_inst *in, const struct stat_sample *s, u32 i)
{
	const struct shm_seg_worker *seg = in->workers[i].p;
	const struct stat_worker *w = &s->workers[i];
	char where[64];

	snprintf(where, sizeof where, "slot.%u", i);
	record_print(f, "slot", where, &w->rec, false);
	if (seg == NULL)
		return;
	snprintf(where, sizeof where, "worker.%u", i);
	record_print(f, "header", where, &w->h, false);
	fprintf(f, "%s.panic ", where);
	text_print(f, w->panic, sizeof w->panic);
	fputc('\n', f);
	raw_counters(f, where, &w->stat, shm_worker_counters, shm_nworker_counters);
	for (u32 k = 0; k < SHM_HISTS; k++) {
		for (u32 b = 0; b < SHM_HIST_BUCKETS; b++) {
			if (w->hist[k].n[b] > 0)
				fprintf(f, "%s.%s_ns.%" PRIu64 " %" PRIu64 "\n", where, shm_hist_names[k],
				    shm_hist_upper(b), w->hist[k].n[b]);
		}
		fprintf(f, "%s.%s_ns.sum %" PRIu64 "\n", where, shm_hist_names[k], w->hist[k].sum);
	}
	for (u32 k = 0; k < s->nservers; k++) {
		snprintf(where, sizeof where, "worker.%u.server.%u", i, k);
		if (s->servers[k].n.used)
			raw_counters(f, where, &w->srv[k], shm_server_counters, shm_nserver_counters);
	}
	for (u32 k = 0; k < seg->max_users; k++) {
		u64 n = STAT_GET(shm_worker_users(seg)[k]);

		if (n > 0)
			fprintf(f, "worker.%u.user.%u.clients %" PRIu64 "\n", i, k, n);
	}
	for (u32 k = 0; k < seg->max_users; k++) {
		struct shm_usergtid g;

		seq_words_load(&g, &shm_worker_gtids(seg)[k], sizeof g);
		snprintf(where, sizeof where, "worker.%u.usergtid.%u", i, k);
		if (g.unknown != 0 || g.pos[0] != 0)
			record_print(f, "usergtid", where, &g, false);
	}
	for (u32 k = 0; k < seg->max_addrs; k++) {
		struct shm_addrcount a;

		seq_words_load(&a, &shm_worker_addrs(seg)[k], sizeof a);
		snprintf(where, sizeof where, "worker.%u.addrcount.%u", i, k);
		if (a.hash != 0)
			record_print(f, "addrcount", where, &a, false);
	}
	for (u32 k = 0; k < seg->max_digests; k++) {
		struct shm_digest d;

		snprintf(where, sizeof where, "worker.%u.digest.%u", i, k);
		if (seq_read(&shm_worker_digests(seg)[k].seq, &d, &shm_worker_digests(seg)[k], sizeof d) == 0 && d.key != 0)
			record_print(f, "digest", where, &d, false);
	}
}

static void
raw_pool(FILE *f, const struct shm_seg_pool *p)
{
	struct shm_header h;
	struct shm_pool r;
	struct shm_poolsrv srv;
	struct shm_poolcell cell;
	char where[64];

	seq_words_load(&h, &p->h, sizeof h);
	seq_words_load(&r, &p->p, sizeof r);
	record_print(f, "header", "pool", &h, false);
	record_print(f, "pool", "pool", &r, false);
	for (u32 i = 0; i < p->p.max_servers; i++) {
		seq_words_load(&srv, &shm_pool_srv(p)[i], sizeof srv);
		if (srv.key == 0)
			continue;
		snprintf(where, sizeof where, "pool.server.%u", i);
		record_print(f, "poolsrv", where, &srv, false);
		for (u32 k = 0; k < p->p.max_cells; k++) {
			seq_words_load(&cell, &shm_pool_cells(p, i)[k], sizeof cell);
			snprintf(where, sizeof where, "pool.server.%u.cell.%u", i, k);
			if (cell.owner != 0)
				record_print(f, "poolcell", where, &cell, false);
		}
	}
}

void
stat_raw(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter, FILE *f)
{
	struct raw_sessions r = {.f = f, .info = filter->info};
	const struct shm_seg_health *hs = in->health.p;
	char where[64];

	record_print(f, "header", "master", &s->h, false);
	record_print(f, "master", "master", &s->m, false);
	raw_counters(f, "master", &s->mstat, shm_master_counters, shm_nmaster_counters);
	record_print(f, "slot", "health", &s->health_rec, false);
	record_print(f, "header", "health", &s->health_h, false);
	raw_counters(f, "health", &s->hstat, shm_health_counters, shm_nhealth_counters);
	for (u32 i = 0; i < s->nservers; i++) {
		snprintf(where, sizeof where, "server.%u", i);
		if (!s->servers[i].n.used)
			continue;
		record_print(f, "srvname", where, &s->servers[i].n, false);
		record_print(f, "srvhealth", where, &s->servers[i].d, false);
	}
	for (u32 i = 0; i < s->nclusters; i++) {
		struct shm_cluhealth c = {0};

		snprintf(where, sizeof where, "cluster.%u", i);
		if (!s->clusters[i].n.used)
			continue;
		record_print(f, "cluname", where, &s->clusters[i].n, false);
		if (hs != NULL)
			seq_words_load(&c, &hs->clusters[i], sizeof c);
		record_print(f, "cluhealth", where, &c, false);
	}
	for (u32 i = 0; i < s->nworkers; i++)
		raw_worker(f, in, s, i);
	stat_sessions(in, s, filter, raw_session, &r);
	if (in->pool.p != NULL)
		raw_pool(f, in->pool.p);
}
