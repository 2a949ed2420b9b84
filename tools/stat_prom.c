/* tools/stat_prom.c: a sample of margay-stat in the Prometheus text format 0.0.4, for node_exporter's textfile
 * collector. One HELP and TYPE per family, all its lines together, base units (seconds, bytes), counters
 * with _total. Formats a sample; decides nothing.
 */
#include "config.h"
#include "tools/stat.h"
#include <inttypes.h>

/* HELP: \ and newline are escaped; our texts hold neither. */
static void
family(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
label(FILE *f, const char *name, const char *value, bool first)
{
	fprintf(f, "%s%s=\"", first ? "" : ",", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			fputs("\\n", f);
		else if (*value == '"' || *value == '\\')
			fprintf(f, "\\%c", *value);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

static void
server_labels(FILE *f, const struct stat_sample *s, const struct stat_server *v)
{
	label(f, "server", v->n.name, true);
	label(f, "cluster", stat_cluster_name(s, v->n.cluster), false);
}

/* margay_<scope>_<name>: nanoseconds become seconds, counters end in _total. */
static void
metric_name(char *buf, size_t size, const char *scope, const struct shm_counter *c)
{
	size_t n = strlen(c->name);
	bool ns = strcmp(c->unit, "ns") == 0;
	char base[64];

	if (ns && n > 3 && strcmp(c->name + n - 3, "_ns") == 0)
		snprintf(base, sizeof base, "%.*s", (int)(n - 3), c->name);
	else if (ns && strcmp(c->name, "loop_ns_max") == 0)
		snprintf(base, sizeof base, "loop_max");
	else
		snprintf(base, sizeof base, "%s", c->name);
	snprintf(buf, size, "margay_%s_%s%s%s", scope, base, ns ? "_seconds" : "",
	    c->kind == 'C' ? "_total" : "");
}

static void
value_print(FILE *f, const struct shm_counter *c, u64 v)
{
	if (strcmp(c->unit, "ns") == 0)
		fprintf(f, " %.9g\n", (double)v / 1e9);
	else
		fprintf(f, " %" PRIu64 "\n", v);
}

static void
counter_head(FILE *f, const char *scope, const struct shm_counter *c, char *name, size_t size)
{
	metric_name(name, size, scope, c);
	family(f, name, c->kind == 'C' ? "counter" : "gauge", c->summary);
}

static void
plain_counters(FILE *f, const char *scope, const void *rec, const struct shm_counter *c, size_t n)
{
	char name[128];

	for (size_t i = 0; i < n; i++) {
		counter_head(f, scope, &c[i], name, sizeof name);
		fputs(name, f);
		value_print(f, &c[i], stat_counter(rec, &c[i]));
	}
}

static void
worker_counters(const struct stat_sample *s, FILE *f)
{
	char name[128];

	for (size_t i = 0; i < shm_nworker_counters; i++) {
		const struct shm_counter *c = &shm_worker_counters[i];

		counter_head(f, "worker", c, name, sizeof name);
		for (u32 w = 0; w < s->nworkers; w++) {
			fprintf(f, "%s{worker=\"%u\"}", name, w);
			value_print(f, c, stat_counter(&s->workers[w].stat, c));
		}
	}
}

static void
server_counters(const struct stat_sample *s, FILE *f)
{
	char name[128];

	for (size_t i = 0; i < shm_nserver_counters; i++) {
		const struct shm_counter *c = &shm_server_counters[i];

		counter_head(f, "server", c, name, sizeof name);
		for (u32 v = 0; v < s->nservers; v++) {
			for (u32 w = 0; w < s->nworkers && s->servers[v].n.used; w++) {
				fprintf(f, "%s{", name);
				server_labels(f, s, &s->servers[v]);
				fprintf(f, ",worker=\"%u\"}", w);
				value_print(f, c, stat_counter(&s->workers[w].srv[v], c));
			}
		}
	}
}

enum server_gauge { G_UP, G_PRIMARY, G_DRAINED, G_LAG, G_LIMIT, G_WEIGHT, G_PROBE, G_GAUGES };

/* false: not known, no line. */
static bool
server_gauge(const struct stat_sample *s, const struct stat_server *v, enum server_gauge g, double *r)
{
	switch (g) {
	case G_UP:
		*r = v->v.state == SRV_UP;
		return true;
	case G_PRIMARY:
		*r = v->n.cluster < s->nclusters && s->clusters[v->n.cluster].primary == (int)v->id;
		return true;
	case G_DRAINED:
		*r = v->n.admin == SHM_ADMIN_DRAIN;
		return true;
	case G_LAG:
		*r = v->v.lag_ms / 1000.0;
		return v->v.role == SRV_ROLE_REPLICA && v->v.lag_ms != SRV_LAG_UNKNOWN;
	case G_LIMIT:
		*r = s->pool_known ? v->limit : v->n.max_connections;
		return true;
	case G_WEIGHT:
		*r = v->n.weight;
		return true;
	default:
		*r = v->d.probe_us / 1e6;
		return v->d_ok && v->d.probed != 0;
	}
}

static void
server_gauges(const struct stat_sample *s, FILE *f)
{
	static const struct {
		const char *name, *help;
	} gauge[G_GAUGES] = {{"margay_server_up", "1 while health says up"},
	    {"margay_server_primary", "1 while it is the primary of its cluster"},
	    {"margay_server_drained", "1 while it is drained by margayctl"},
	    {"margay_server_lag_seconds", "replication lag"},
	    {"margay_server_connections_limit", "connections that may be open over all workers"},
	    {"margay_server_weight", "share of the reads"},
	    {"margay_server_probe_seconds", "duration of the last probe"}};
	double r;

	for (int g = 0; g < G_GAUGES; g++) {
		family(f, gauge[g].name, "gauge", gauge[g].help);
		for (u32 v = 0; v < s->nservers; v++) {
			if (!s->servers[v].n.used ||
			    !server_gauge(s, &s->servers[v], (enum server_gauge)g, &r))
				continue;
			fprintf(f, "%s{", gauge[g].name);
			server_labels(f, s, &s->servers[v]);
			fprintf(f, "} %.9g\n", r);
		}
	}
}

static void
server_states(const struct stat_sample *s, FILE *f)
{
	static const char *const kinds[] = {"free", "worker", "granted", "orphan", "health"};

	family(f, "margay_server_state", "gauge", "1 for the state that the server is in");
	for (u32 v = 0; v < s->nservers; v++) {
		for (u32 k = 0; k < SRV_STATES && s->servers[v].n.used; k++) {
			fputs("margay_server_state{", f);
			server_labels(f, s, &s->servers[v]);
			fprintf(f, ",state=\"%s\"} %d\n", srv_state_words[k], s->servers[v].v.state == k);
		}
	}
	if (!s->pool_known)
		return;
	family(f, "margay_server_connections_used", "gauge", "cells of the connection budget in use");
	for (u32 v = 0; v < s->nservers; v++) {
		for (u32 k = POOL_WORKER; k <= POOL_HEALTH && s->servers[v].n.used; k++) {
			fputs("margay_server_connections_used{", f);
			server_labels(f, s, &s->servers[v]);
			fprintf(f, ",owner=\"%s\"} %u\n", kinds[k], s->servers[v].kind[k]);
		}
	}
}

static double
worker_gauge(const struct stat_sample *s, const struct stat_worker *w, u32 g)
{
	switch (g) {
	case 0:
		return w->alive;
	case 1:
		return (double)stat_since_ms(s, w->h.heartbeat) / 1000;
	case 2:
		return (double)w->h.started / 1000;
	case 3:
		return (double)w->h.generation;
	case 4:
		return w->rec.starts;
	default:
		return w->rec.crashes;
	}
}

static void
worker_gauges(const struct stat_sample *s, FILE *f)
{
	static const struct {
		const char *name, *type, *help;
	} gauge[] = {{"margay_worker_up", "gauge", "1 while the process lives"},
	    {"margay_worker_heartbeat_age_seconds", "gauge", "time since its last sign of life"},
	    {"margay_worker_start_time_seconds", "gauge", "when it was started, Unix time"},
	    {"margay_worker_generation", "gauge", "configuration generation in use"},
	    {"margay_worker_starts_total", "counter", "processes started in this slot"},
	    {"margay_worker_crashes_total", "counter", "processes that crashed in this slot"}};

	for (u32 g = 0; g < ARRAY_LEN(gauge); g++) {
		family(f, gauge[g].name, gauge[g].type, gauge[g].help);
		for (u32 w = 0; w < s->nworkers; w++)
			fprintf(f, "%s{worker=\"%u\"} %.15g\n", gauge[g].name, w,
			    worker_gauge(s, &s->workers[w], g));
	}
}

/* Buckets at the powers of two: 27 bounds instead of 215, each of them a bound of the histogram. */
static void
histogram(const struct stat_sample *s, u32 id, FILE *f)
{
	char name[96];

	snprintf(name, sizeof name, "margay_%s_seconds", shm_hist_names[id]);
	family(f, name, "histogram", shm_hist_summaries[id]);
	for (u32 w = 0; w < s->nworkers; w++) {
		const struct shm_hist *h = &s->workers[w].hist[id];
		u64 n = 0;

		for (u32 b = 0; b < SHM_HIST_BUCKETS; b++) {
			u64 up = shm_hist_upper(b);

			n += h->n[b];
			if (up != UINT64_MAX && (up & (up - 1)) == 0)
				fprintf(f, "%s_bucket{worker=\"%u\",le=\"%.9g\"} %" PRIu64 "\n", name, w,
				    (double)up / 1e9, n);
		}
		fprintf(f, "%s_bucket{worker=\"%u\",le=\"+Inf\"} %" PRIu64 "\n", name, w, n);
		fprintf(f, "%s_sum{worker=\"%u\"} %.9g\n", name, w, (double)h->sum / 1e9);
		fprintf(f, "%s_count{worker=\"%u\"} %" PRIu64 "\n", name, w, n);
	}
}

static void
instance(const struct stat_sample *s, FILE *f)
{
	family(f, "margay_info", "gauge", "version; always 1");
	fputs("margay_info{", f);
	label(f, "version", PACKAGE_VERSION, true);
	fputs("} 1\n", f);
	family(f, "margay_up", "gauge", "1 while the master lives");
	fprintf(f, "margay_up %d\n", s->master_alive);
	family(f, "margay_serving", "gauge", "1 while at least one worker lives");
	fprintf(f, "margay_serving %d\n", s->alive_workers > 0);
	family(f, "margay_start_time_seconds", "gauge", "when the master was started, Unix time");
	fprintf(f, "margay_start_time_seconds %.15g\n", (double)s->h.started / 1000);
	family(f, "margay_generation", "gauge", "configuration generation in force");
	fprintf(f, "margay_generation %" PRIu64 "\n", s->h.generation);
	family(f, "margay_last_reload_ok", "gauge", "1 if the last reload succeeded");
	fprintf(f, "margay_last_reload_ok %d\n", s->m.last_reload_ok != 0);
	family(f, "margay_health_up", "gauge", "1 while the health process lives");
	fprintf(f, "margay_health_up %d\n", s->health_alive);
	family(f, "margay_health_heartbeat_age_seconds", "gauge", "time since its last sign of life");
	fprintf(f, "margay_health_heartbeat_age_seconds %.9g\n",
	    (double)stat_since_ms(s, s->health_h.heartbeat) / 1000);
}

void
stat_prometheus(const struct stat_sample *s, FILE *f)
{
	instance(s, f);
	plain_counters(f, "master", &s->mstat, shm_master_counters, shm_nmaster_counters);
	plain_counters(f, "health", &s->hstat, shm_health_counters, shm_nhealth_counters);
	server_gauges(s, f);
	server_states(s, f);
	server_counters(s, f);
	worker_gauges(s, f);
	worker_counters(s, f);
	for (u32 i = 0; i < SHM_HISTS; i++)
		histogram(s, i, f);
}
