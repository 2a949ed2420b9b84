/* tools/stat_json.c: a sample of margay-stat as one JSON object (RFC 8259). Names are those of tbl/; times end
 * in their unit; what is not known is null or left out. Formats a sample; decides nothing.
 */
#include "base/reasons.h"
#include "config.h"
#include "tools/stat.h"
#include <inttypes.h>
#include <stdlib.h>

struct json {
	FILE *f;
	bool first; /* the next member or element needs no comma */
};

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 if there is none. */
static u32
utf8_len(const u8 *p)
{
	u32 n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : p[0] >= 0xe0 && p[0] <= 0xef ? 3 :
	    p[0] >= 0xf0 && p[0] <= 0xf4                                                    ? 4 :
	                                                                                      0;
	u8 low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
	u8 high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

	if (n > 1 && (p[1] < low || p[1] > high))
		return 0;
	for (u32 i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

/* Statements are bytes of any character set, cut anywhere: what is no UTF-8 becomes U+FFFD. */
static void
string_print(FILE *f, const char *s)
{
	const u8 *p = (const u8 *)s;
	u32 n;

	fputc('"', f);
	while (*p != '\0') {
		n = utf8_len(p);
		if (n == 0) {
			fputs("\\ufffd", f);
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			fprintf(f, "\\%c", *p);
		} else if (*p < ' ' || *p == 0x7f) {
			fprintf(f, "\\u%04x", *p);
		} else {
			fwrite(p, 1, n, f);
		}
		p += n;
	}
	fputc('"', f);
}

static void
key(struct json *j, const char *name)
{
	if (!j->first)
		fputc(',', j->f);
	j->first = false;
	if (name == NULL)
		return;
	string_print(j->f, name);
	fputc(':', j->f);
}

static void
open_(struct json *j, const char *name, char c)
{
	key(j, name);
	fputc(c, j->f);
	j->first = true;
}

static void
close_(struct json *j, char c)
{
	fputc(c, j->f);
	j->first = false;
}

static void
num(struct json *j, const char *name, u64 v)
{
	key(j, name);
	fprintf(j->f, "%" PRIu64, v);
}

static void
yes(struct json *j, const char *name, bool v)
{
	key(j, name);
	fputs(v ? "true" : "false", j->f);
}

static void
str(struct json *j, const char *name, const char *v)
{
	key(j, name);
	string_print(j->f, v);
}

static void
null(struct json *j, const char *name)
{
	key(j, name);
	fputs("null", j->f);
}

static void
word(struct json *j, const char *name, const char *const *words, u32 n, u32 i)
{
	if (i < n && strcmp(words[i], "-") != 0)
		str(j, name, words[i]);
	else
		null(j, name);
}

static void
counters(struct json *j, const char *name, const void *rec, const struct shm_counter *c, size_t n)
{
	open_(j, name, '{');
	for (size_t i = 0; i < n; i++)
		num(j, c[i].name, stat_counter(rec, &c[i]));
	close_(j, '}');
}

static void
margay(struct json *j, const struct stat_sample *s)
{
	static const char *const states[] = {"starting", "serving", "stopping"};

	open_(j, "margay", '{');
	str(j, "version", PACKAGE_VERSION);
	num(j, "time_ms", s->wall_ms);
	num(j, "epoch", s->h.epoch);
	num(j, "generation", s->h.generation);
	num(j, "pid", s->h.pid);
	yes(j, "alive", s->master_alive);
	yes(j, "serving", s->alive_workers > 0);
	word(j, "state", states, ARRAY_LEN(states), s->m.state);
	num(j, "started_ms", s->h.started);
	num(j, "last_reload_ms", s->m.last_reload);
	yes(j, "last_reload_ok", s->m.last_reload_ok != 0);
	num(j, "open_files", s->m.nofile);
	counters(j, "counters", &s->mstat, shm_master_counters, shm_nmaster_counters);
	close_(j, '}');
	open_(j, "health", '{');
	num(j, "pid", s->health_h.pid);
	yes(j, "alive", s->health_alive);
	num(j, "heartbeat_age_ms", stat_since_ms(s, s->health_h.heartbeat));
	num(j, "starts", s->health_rec.starts);
	num(j, "crashes", s->health_rec.crashes);
	str(j, "panic", s->health_panic);
	counters(j, "counters", &s->hstat, shm_health_counters, shm_nhealth_counters);
	close_(j, '}');
}

static void
server_pool(struct json *j, const struct stat_server *v)
{
	open_(j, "pool", '{');
	num(j, "limit", v->limit);
	num(j, "used", v->used);
	num(j, "workers", v->kind[POOL_WORKER]);
	num(j, "granted", v->kind[POOL_GRANTED]);
	num(j, "orphaned", v->kind[POOL_ORPHAN]);
	num(j, "health", v->kind[POOL_HEALTH]);
	close_(j, '}');
}

static void
server(struct json *j, const struct stat_sample *s, const struct stat_server *v)
{
	static const char *const lag_sources[] = {"-", "seconds_behind_master", "heartbeat_table"};

	open_(j, NULL, '{');
	str(j, "name", v->n.name);
	str(j, "address", v->n.address);
	str(j, "cluster", stat_cluster_name(s, v->n.cluster));
	word(j, "state", srv_state_words, SRV_STATES, v->v.state);
	word(j, "role", srv_role_words, SRV_ROLES, v->v.role);
	word(j, "cause", srv_cause_words, SRV_CAUSES, v->v.cause);
	if (v->v.lag_ms == SRV_LAG_UNKNOWN || v->v.role != SRV_ROLE_REPLICA)
		null(j, "lag_ms");
	else
		num(j, "lag_ms", v->v.lag_ms);
	word(j, "lag_source", lag_sources, ARRAY_LEN(lag_sources), v->d.lag_source);
	yes(j, "drained", v->n.admin == SHM_ADMIN_DRAIN);
	num(j, "weight", v->n.weight);
	num(j, "max_connections", v->n.max_connections);
	yes(j, "details_known", v->d_ok);
	if (v->d_ok) {
		str(j, "version", v->d.version);
		num(j, "server_id", v->d.server_id);
		yes(j, "read_only", v->d.read_only != 0);
		str(j, "upstream", v->d.upstream);
		str(j, "wsrep", v->d.wsrep);
		num(j, "probe_us", v->d.probe_us);
		num(j, "probed_age_ms", stat_since_ms(s, v->d.probed));
		num(j, "changed_ms", v->d.changed);
		num(j, "errno", v->d.mysql_errno);
		str(j, "error", v->d.error);
		num(j, "threads_connected", v->d.threads_connected);
	}
	if (s->pool_known)
		server_pool(j, v);
	else
		null(j, "pool");
	counters(j, "counters", &v->sum, shm_server_counters, shm_nserver_counters);
	close_(j, '}');
}

static void
cluster(struct json *j, const struct stat_sample *s, const struct stat_cluster *c)
{
	static const char *const words[] = {"replication", "galera", "standalone"};

	open_(j, NULL, '{');
	str(j, "name", c->n.name);
	word(j, "topology", words, ARRAY_LEN(words), c->n.topology);
	if (c->primary >= 0)
		str(j, "primary", stat_server_name(s, c->primary));
	else
		null(j, "primary");
	num(j, "writable", c->writable);
	word(j, "cause", srv_cause_words, SRV_CAUSES, c->cause);
	num(j, "epoch", c->epoch);
	close_(j, '}');
}

static void
worker(struct json *j, const struct stat_sample *s, const struct stat_worker *w)
{
	static const char *const states[] = {"empty", "starting", "serving", "throttled"};

	open_(j, NULL, '{');
	num(j, "slot", w->slot);
	num(j, "pid", w->h.pid);
	yes(j, "alive", w->alive);
	word(j, "state", states, ARRAY_LEN(states), w->rec.state);
	num(j, "started_ms", w->h.started);
	num(j, "heartbeat_age_ms", stat_since_ms(s, w->h.heartbeat));
	num(j, "generation", w->h.generation);
	num(j, "starts", w->rec.starts);
	num(j, "crashes", w->rec.crashes);
	str(j, "last_end", w->rec.last_end);
	str(j, "panic", w->panic);
	counters(j, "counters", &w->stat, shm_worker_counters, shm_nworker_counters);
	open_(j, "servers", '{');
	for (u32 i = 0; i < s->nservers; i++) {
		if (s->servers[i].n.used)
			counters(j, s->servers[i].n.name, &w->srv[i], shm_server_counters,
			    shm_nserver_counters);
	}
	close_(j, '}');
	close_(j, '}');
}

static void
latency(struct json *j, const struct stat_sample *s)
{
	static const struct {
		const char *name;
		double q;
	} quantile[] = {{"p50_ns", 0.5}, {"p95_ns", 0.95}, {"p99_ns", 0.99}, {"p999_ns", 0.999}};

	open_(j, "latency", '{');
	for (u32 i = 0; i < SHM_HISTS; i++) {
		u64 n = 0;

		for (u32 b = 0; b < SHM_HIST_BUCKETS; b++)
			n += s->hist[i].n[b];
		open_(j, shm_hist_names[i], '{');
		num(j, "count", n);
		num(j, "sum_ns", s->hist[i].sum);
		for (u32 k = 0; k < ARRAY_LEN(quantile); k++)
			num(j, quantile[k].name, shm_hist_quantile(&s->hist[i], quantile[k].q));
		close_(j, '}');
	}
	close_(j, '}');
}

struct session_arg {
	struct json *j;
	const struct stat_sample *s;
	bool info;
};

static void
session(void *arg, const struct stat_worker *w, const struct shm_session *ss)
{
	struct session_arg *a = arg;
	struct json *j = a->j;

	open_(j, NULL, '{');
	num(j, "id", ss->id);
	num(j, "worker", w->slot);
	str(j, "user", ss->user);
	str(j, "address", ss->addr);
	str(j, "database", ss->db);
	word(j, "state", sess_state_words, SESS_STATES, ss->state);
	num(j, "state_age_ms", stat_since_ms(a->s, ss->since));
	num(j, "connected_ms", ss->connected);
	str(j, "command", com_word(ss->command));
	if (ss->server > 0)
		str(j, "server", stat_server_name(a->s, (int)ss->server - 1));
	else
		null(j, "server");
	num(j, "thread_id", ss->thread_id);
	word(j, "pinned", pin_words, PIN_REASONS, ss->pin);
	yes(j, "in_transaction", ss->in_trx != 0);
	num(j, "statements", ss->statements);
	if (a->info)
		str(j, "statement", ss->info);
	close_(j, '}');
}

static void
digests_print(struct json *j, const struct stat_inst *in, const struct stat_sample *s, u32 top)
{
	char hash[24], db[65], text[DIGEST_SHOWN];
	struct stat_digest *v;
	u32 n = stat_digests(in, top, &v);

	open_(j, "digests", '[');
	for (u32 i = 0; i < n; i++) {
		const struct stat_digest *d = &v[i];

		stat_digest_text(d, db, text);
		snprintf(hash, sizeof hash, "%016" PRIx64, d->hash);
		open_(j, NULL, '{');
		str(j, "digest", hash);
		str(j, "schema", db);
		str(j, "statement", text);
		num(j, "count", d->count);
		num(j, "errors", d->errors);
		num(j, "rows", d->rows);
		num(j, "bytes", d->bytes);
		num(j, "time_ns", d->time_ns);
		num(j, "server_ns", d->server_ns);
		num(j, "max_ns", d->max_ns);
		num(j, "p50_ns", stat_digest_quantile(d, 0.5));
		num(j, "p95_ns", stat_digest_quantile(d, 0.95));
		num(j, "p99_ns", stat_digest_quantile(d, 0.99));
		num(j, "first_ms", s->wall_ms - stat_since_ms(s, d->first));
		num(j, "last_ms", s->wall_ms - stat_since_ms(s, d->last));
		open_(j, "times", '[');
		for (u32 b = 0; b < ARRAY_LEN(d->times); b++)
			num(j, NULL, d->times[b]);
		close_(j, ']');
		close_(j, '}');
	}
	close_(j, ']');
	free(v);
}

/* ---- the catalogue ---- */

/* A text of the catalogue, or null. */
static void
cat_str(struct json *j, const char *name, const struct cat *c, struct cat_str s)
{
	if (s.off == 0)
		null(j, name);
	else
		str(j, name, cat_text(c, s));
}

static void
cat_cluster(struct json *j, const struct stat_inst *in, const struct stat_sample *s, const struct cat *c, const struct cat_cluster *k)
{
	u64 ns = stat_catalog_checked(in, k);

	open_(j, NULL, '{');
	cat_str(j, "name", c, k->name);
	if (k->server == UINT32_MAX)
		null(j, "server");
	else
		str(j, "server", stat_server_name(s, (int)k->server));
	yes(j, "current", stat_catalog_current(in, c, k));
	if (ns == 0)
		null(j, "age_ms");
	else
		num(j, "age_ms", stat_since_ms(s, ns));
	num(j, "lower_case_table_names", k->lower_case);
	yes(j, "functions_known", (k->flags & CAT_ROUTINES) != 0);
	open_(j, "functions", '[');
	for (u32 i = 0; i < k->nroutines; i++) {
		const struct cat_routine *r = &cat_routines(c, k)[i];

		open_(j, NULL, '{');
		cat_str(j, "schema", c, r->schema);
		cat_str(j, "name", c, r->name);
		str(j, "verdict", routine_words[r->verdict]);
		close_(j, '}');
	}
	close_(j, ']');
	close_(j, '}');
}

static void
cat_definition(struct json *j, const struct cat *c, const struct cat_def *d)
{
	char words[512];

	cat_str(j, "type", c, d->type);
	cat_str(j, "engine", c, d->engine);
	cat_str(j, "collation", c, d->collation);
	open_(j, "columns", '[');
	for (u32 i = 0; i < d->ncolumns; i++) {
		const struct cat_column *k = &cat_columns(c, d)[i];

		stat_column_words(k, words, sizeof words);
		open_(j, NULL, '{');
		cat_str(j, "name", c, k->name);
		cat_str(j, "data_type", c, k->data_type);
		cat_str(j, "type", c, k->type);
		cat_str(j, "charset", c, k->charset);
		cat_str(j, "collation", c, k->collation);
		str(j, "is", words);
		close_(j, '}');
	}
	close_(j, ']');
	open_(j, "keys", '[');
	for (u32 i = 0; i < d->nkeys; i++) {
		const struct cat_key *k = &cat_keys(c, d)[i];

		stat_key_parts(c, d, k, words, sizeof words);
		open_(j, NULL, '{');
		cat_str(j, "name", c, k->name);
		cat_str(j, "type", c, k->type);
		yes(j, "unique", (k->flags & CAT_UNIQUE) != 0);
		str(j, "columns", words);
		close_(j, '}');
	}
	close_(j, ']');
}

static void
cat_table(struct json *j, const struct cat *c, const struct cat_table *t)
{
	const struct cat_def *d = cat_def(c, t);

	open_(j, NULL, '{');
	cat_str(j, "schema", c, t->schema);
	cat_str(j, "name", c, t->name);
	word(j, "kind", stat_table_kinds, ARRAY_LEN(stat_table_kinds), t->kind);
	cat_str(j, "key", c, t->key);
	yes(j, "known", (t->flags & CAT_KNOWN) != 0);
	yes(j, "agrees", (t->flags & CAT_AGREES) != 0);
	open_(j, "shards", '[');
	for (u32 i = 0; i < t->nplaces; i++) {
		const struct cat_place *p = &cat_places(c, t)[i];

		open_(j, NULL, '{');
		cat_str(j, "name", c, p->shard);
		cat_str(j, "database", c, p->database);
		str(j, "state", stat_place_states[p->state]);
		close_(j, '}');
	}
	close_(j, ']');
	open_(j, "differences", '[');
	for (u32 i = 0; i < t->ndiffs; i++) {
		const struct cat_diff *k = &cat_diffs(c, t)[i];

		open_(j, NULL, '{');
		cat_str(j, "shard", c, cat_places(c, t)[k->place].shard);
		cat_str(j, "text", c, k->text);
		close_(j, '}');
	}
	close_(j, ']');
	if (d != NULL)
		cat_definition(j, c, d);
	close_(j, '}');
}

static void
catalog_print(struct json *j, const struct stat_inst *in, const struct stat_sample *s)
{
	struct cat_copy copy;
	const struct cat *c = &copy.cat;

	if (!stat_catalog(in, &copy)) {
		null(j, "catalog");
		return;
	}
	open_(j, "catalog", '{');
	num(j, "generation", c->r->generation);
	num(j, "bytes", c->r->size);
	num(j, "omitted", c->r->omitted);
	open_(j, "clusters", '[');
	for (u32 i = 0; i < c->r->nclusters; i++)
		cat_cluster(j, in, s, c, &cat_clusters(c)[i]);
	close_(j, ']');
	open_(j, "tables", '[');
	for (u32 i = 0; i < c->r->ntables; i++)
		cat_table(j, c, &cat_tables(c)[i]);
	close_(j, ']');
	close_(j, '}');
	cat_copy_fini(&copy);
}

void
stat_json(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter, u32 digests, bool catalog, FILE *f)
{
	struct json j = {.f = f, .first = true};

	fputc('{', f);
	margay(&j, s);
	open_(&j, "servers", '[');
	for (u32 i = 0; i < s->nservers; i++) {
		if (s->servers[i].n.used)
			server(&j, s, &s->servers[i]);
	}
	close_(&j, ']');
	open_(&j, "clusters", '[');
	for (u32 i = 0; i < s->nclusters; i++) {
		if (s->clusters[i].n.used)
			cluster(&j, s, &s->clusters[i]);
	}
	close_(&j, ']');
	open_(&j, "workers", '[');
	for (u32 i = 0; i < s->nworkers; i++)
		worker(&j, s, &s->workers[i]);
	close_(&j, ']');
	counters(&j, "totals", &s->total, shm_worker_counters, shm_nworker_counters);
	latency(&j, s);
	if (filter != NULL) {
		struct session_arg a = {.j = &j, .s = s, .info = filter->info};

		open_(&j, "sessions", '[');
		stat_sessions(in, s, filter, session, &a);
		close_(&j, ']');
	}
	if (digests > 0)
		digests_print(&j, in, s, digests);
	if (catalog)
		catalog_print(&j, in, s);
	fputs("}\n", f);
}
