/* tools/stat_sample.c: attaches to a running instance and copies what its shared memory says. margay-stat
 * only. Maps read-only, asks no process, waits for nobody.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/reasons.h"
#include "base/str.h"
#include "shm/seq.h"
#include "tools/stat.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_TRIES      1000 /* the master writes names in microseconds */
#define START_SLACK_MS   3000 /* clock ticks, and a clock that was set a little */

static int
current_read(const char *dir, u64 *epoch_r)
{
	char path[STAT_DIR_MAX + 16], text[32] = "";
	FILE *f;

	snprintf(path, sizeof path, "%s/current", dir);
	f = fopen(path, "re");
	if (f == NULL)
		return ERR_SYSTEM;
	if (fgets(text, sizeof text, f) != NULL)
		text[strcspn(text, "\n")] = '\0';
	fclose(f);
	return str_to_u64(text, epoch_r);
}

static int
not_found(const char *dir, char *why, size_t size)
{
	struct stat st;

	if (stat(dir, &st) != 0 && errno == ENOENT)
		snprintf(why, size, "no margayd runs: there is no directory %s", dir);
	else
		snprintf(why, size, "no margayd runs on %s", dir);
	return EXIT_DOWN;
}

static int
denied(const char *path, char *why, size_t size)
{
	snprintf(why, size, "%s: %s (root, the service account and members of its group may look)", path,
	    strerror(errno));
	return EXIT_DENIED;
}

/* One segment; optional ones that are missing or closed to us stay unmapped. */
static int
seg_attach(const char *path, u64 magic, bool optional, struct shm_map *m, char *why, size_t size)
{
	int rc = shm_map_path(path, magic, false, m, NULL);

	if (rc == 0)
		return 0;
	if (rc == ERR_ABI) {
		snprintf(why, size, "%s was made by another version of Margay than this margay-stat", path);
		return EXIT_ABI;
	}
	if (optional)
		return 0;
	if (rc == ERR_SYSTEM && (errno == EACCES || errno == EPERM))
		return denied(path, why, size);
	if (rc == ERR_NOTFOUND) {
		snprintf(why, size, "no margayd runs: %s is missing", path);
		return EXIT_DOWN;
	}
	snprintf(why, size, "%s: %s", path, rc == ERR_SYSTEM ? strerror(errno) : "not a segment of Margay");
	return EXIT_FAIL;
}

static int
segs_attach(struct stat_inst *in, char *why, size_t size)
{
	char path[STAT_DIR_MAX + 64];
	int rc;

	snprintf(path, sizeof path, "%s/e%llu/names", in->dir, (unsigned long long)in->epoch);
	rc = seg_attach(path, SHM_MAGIC_MASTER, false, &in->names, why, size);
	if (rc != 0)
		return rc;
	in->nworkers = MIN(((struct shm_seg_master *)in->names.p)->m.workers, LINK_MAX_WORKERS);
	in->nworkers = MIN(in->nworkers, ((struct shm_seg_master *)in->names.p)->m.max_workers);
	snprintf(path, sizeof path, "%s/e%llu/health", in->dir, (unsigned long long)in->epoch);
	rc = seg_attach(path, SHM_MAGIC_HEALTH, true, &in->health, why, size);
	for (u32 i = 0; i < in->nworkers && rc == 0; i++) {
		snprintf(path, sizeof path, "%s/e%llu/worker.%u", in->dir, (unsigned long long)in->epoch, i);
		rc = seg_attach(path, SHM_MAGIC_WORKER, true, &in->workers[i], why, size);
	}
	if (rc != 0)
		return rc;
	snprintf(path, sizeof path, "%s/e%llu/catalog", in->dir, (unsigned long long)in->epoch);
	rc = seg_attach(path, SHM_MAGIC_CATALOG, true, &in->catalog, why, size);
	if (rc != 0)
		return rc;
	snprintf(path, sizeof path, "%s/pool.%08x", in->dir, (u32)(shm_abi >> 32));
	return seg_attach(path, SHM_MAGIC_POOL, true, &in->pool, why, size);
}

int
stat_attach(struct stat_inst *in, const char *dir, char *why, size_t size)
{
	int rc;

	memset(in, 0, sizeof *in);
	if (!str_copy(in->dir, sizeof in->dir, dir)) {
		snprintf(why, size, "%s: path too long", dir);
		return EXIT_USAGE_;
	}
	rc = current_read(in->dir, &in->epoch);
	if (rc == ERR_SYSTEM && (errno == EACCES || errno == EPERM))
		return denied(dir, why, size);
	if (rc != 0)
		return not_found(dir, why, size);
	rc = segs_attach(in, why, size);
	if (rc != 0)
		stat_detach(in);
	return rc;
}

void
stat_detach(struct stat_inst *in)
{
	shm_unmap(&in->names);
	shm_unmap(&in->health);
	shm_unmap(&in->pool);
	shm_unmap(&in->catalog);
	for (u32 i = 0; i < LINK_MAX_WORKERS; i++)
		shm_unmap(&in->workers[i]);
}

bool
stat_outdated(const struct stat_inst *in)
{
	u64 epoch;

	return current_read(in->dir, &epoch) == 0 && epoch != in->epoch;
}

/* Wall time at which the process began; 0: not known. */
static u64
started_ms(u32 pid, u64 wall_ms)
{
	char path[32], text[1024], *p;
	struct timespec up;
	u64 ticks = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%u/stat", pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	/* The name in parentheses may hold anything; field 22 is the 20th behind it. */
	p = strrchr(text, ')');
	for (int i = 0; p != NULL && i < 20; i++)
		p = strchr(p + 1, ' ');
	if (p == NULL || sscanf(p, " %lu", &ticks) != 1 || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
		return 0;
	ticks = ticks * 1000 / (u64)sysconf(_SC_CLK_TCK);
	return wall_ms - ((u64)up.tv_sec * 1000 + (u64)up.tv_nsec / 1000000) + ticks;
}

/* Does the process that announced itself in this header live? Its pid may have been given away since. */
static bool
lives(const struct shm_header *h, u64 wall_ms)
{
	u64 began;

	if (h->pid == 0 || (kill((pid_t)h->pid, 0) != 0 && errno != EPERM))
		return false;
	began = started_ms(h->pid, wall_ms);
	return began == 0 || began < h->started + START_SLACK_MS;
}

/* servers[] and clusters[] of one moment; false: the master died in the middle, the copy may be torn. */
static bool
names_copy(const struct shm_seg_master *m, struct shm_srvname *srv, u32 n, struct shm_cluname *clu)
{
	u64 a, b;

	for (int i = 0; i < NAMES_TRIES; i++) {
		a = __atomic_load_n(&m->m.names_seq, __ATOMIC_ACQUIRE);
		seq_words_load(srv, shm_master_servers(m), n * sizeof *srv);
		seq_words_load(clu, m->clusters, sizeof m->clusters);
		b = __atomic_load_n(&m->m.names_seq, __ATOMIC_RELAXED);
		if (a == b && (a & 1) == 0)
			return true;
	}
	return false;
}

static void
terminate(char *text, size_t size)
{
	text[size - 1] = '\0';
}

static void
take_names(const struct shm_seg_master *m, struct stat_sample *s)
{
	struct shm_srvname *srv = calloc(s->nservers + 1, sizeof *srv);
	struct shm_cluname clu[SHM_MAX_CLUSTERS];

	if (srv == NULL)
		abort();
	s->names_torn = !names_copy(m, srv, s->nservers, clu);
	for (u32 i = 0; i < s->nservers; i++) {
		s->servers[i].id = i;
		s->servers[i].n = srv[i];
		terminate(s->servers[i].n.name, sizeof srv->name);
		terminate(s->servers[i].n.address, sizeof srv->address);
	}
	for (u32 i = 0; i < s->nclusters; i++) {
		s->clusters[i].n = clu[i];
		s->clusters[i].primary = -1;
		terminate(s->clusters[i].n.name, sizeof clu->name);
	}
	free(srv);
}

static void
take_health(const struct shm_seg_health *h, size_t mapped, struct stat_sample *s)
{
	u32 room = (u32)((mapped - sizeof *h) / sizeof *h->servers);

	seq_words_load(&s->health_h, &h->h, sizeof s->health_h);
	seq_words_load(&s->hstat, &h->stat, sizeof s->hstat);
	seq_words_load(s->health_panic, h->panic, sizeof s->health_panic);
	terminate(s->health_panic, sizeof s->health_panic);
	s->health_alive = lives(&s->health_h, s->wall_ms);
	for (u32 i = 0; i < MIN(s->nservers, room); i++) {
		struct stat_server *v = &s->servers[i];

		v->d_ok = srv_detail_read(&h->servers[i], &v->d) == 0;
		v->v = srv_word_unpack(v->d.word);
		terminate(v->d.error, sizeof v->d.error);
		terminate(v->d.version, sizeof v->d.version);
		terminate(v->d.upstream, sizeof v->d.upstream);
		terminate(v->d.wsrep, sizeof v->d.wsrep);
	}
	for (u32 i = 0; i < s->nclusters; i++) {
		s->clusters[i].primary = clu_primary_load(h, i, &s->clusters[i].epoch);
		s->clusters[i].writable = __atomic_load_n(&h->clusters[i].writable, __ATOMIC_RELAXED);
		s->clusters[i].cause = __atomic_load_n(&h->clusters[i].cause, __ATOMIC_RELAXED);
	}
}

static void
gauges_clear(void *rec, const struct shm_counter *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c[i].kind == 'G')
			memset((u8 *)rec + c[i].off, 0, sizeof(u64));
	}
}

static void
counters_sum(void *to, const void *from, const struct shm_counter *c, size_t n, bool longest)
{
	for (size_t i = 0; i < n; i++) {
		u64 a = stat_counter(to, &c[i]), b = stat_counter(from, &c[i]);

		/* The sum of the workers' longest turns says nothing. */
		if (longest && strcmp(c[i].unit, "ns") == 0 && c[i].kind == 'G')
			a = MAX(a, b);
		else
			a += b;
		memcpy((u8 *)to + c[i].off, &a, sizeof a);
	}
}

static void
take_worker(const struct shm_seg_worker *w, struct stat_sample *s, struct stat_worker *t)
{
	const struct shm_sstat *srv = shm_worker_servers(w);

	t->mapped = true;
	seq_words_load(&t->h, &w->h, sizeof t->h);
	seq_words_load(&t->stat, &w->stat, sizeof t->stat);
	seq_words_load(t->panic, w->panic, sizeof t->panic);
	terminate(t->panic, sizeof t->panic);
	for (u32 i = 0; i < SHM_HISTS; i++)
		seq_words_load(&t->hist[i], &w->hist[i], sizeof t->hist[i]);
	t->alive = lives(&t->h, s->wall_ms);
	s->alive_workers += t->alive;
	if (!t->alive)
		gauges_clear(&t->stat, shm_worker_counters, shm_nworker_counters);
	counters_sum(&s->total, &t->stat, shm_worker_counters, shm_nworker_counters, true);
	for (u32 i = 0; i < SHM_HISTS; i++)
		shm_hist_sum(&s->hist[i], &t->hist[i]);
	for (u32 i = 0; i < MIN(s->nservers, w->max_servers); i++) {
		seq_words_load(&t->srv[i], &srv[i], sizeof t->srv[i]);
		if (!t->alive)
			gauges_clear(&t->srv[i], shm_server_counters, shm_nserver_counters);
		counters_sum(&s->servers[i].sum, &t->srv[i], shm_server_counters, shm_nserver_counters,
		    false);
	}
}

static void
take_pool(const struct shm_seg_pool *p, struct stat_server *v)
{
	const struct shm_poolcell *c;

	if (v->n.used == 0 || v->n.pool_slot >= p->p.max_servers)
		return;
	c = shm_pool_cells(p, v->n.pool_slot);
	v->limit = __atomic_load_n(&shm_pool_srv(p)[v->n.pool_slot].limit, __ATOMIC_RELAXED);
	for (u32 i = 0; i < p->p.max_cells; i++) {
		u32 k = pool_owner_kind(STAT_GET(c[i].owner));

		if (k == POOL_FREE || k > POOL_HEALTH)
			continue;
		v->kind[k]++;
		v->used++;
	}
}

static void
take_workers(const struct stat_inst *in, struct stat_sample *s)
{
	const struct shm_seg_master *m = in->names.p;

	for (u32 i = 0; i < s->nworkers; i++) {
		struct stat_worker *t = &s->workers[i];

		t->slot = i;
		seq_words_load(&t->rec, &shm_master_workers(m)[i], sizeof t->rec);
		terminate(t->rec.last_end, sizeof t->rec.last_end);
		t->srv = calloc(s->nservers + 1, sizeof *t->srv);
		if (t->srv == NULL)
			abort();
		if (in->workers[i].p != NULL)
			take_worker(in->workers[i].p, s, t);
	}
}

int
stat_take(const struct stat_inst *in, struct stat_sample *s, char *why, size_t size)
{
	const struct shm_seg_master *m = in->names.p;

	memset(s, 0, sizeof *s);
	s->wall_ms = clock_wall_ms();
	s->mono_ns = clock_ns();
	seq_words_load(&s->h, &m->h, sizeof s->h);
	seq_words_load(&s->m, &m->m, sizeof s->m);
	seq_words_load(&s->mstat, &m->stat, sizeof s->mstat);
	seq_words_load(&s->health_rec, &m->health, sizeof s->health_rec);
	terminate(s->health_rec.last_end, sizeof s->health_rec.last_end);
	s->master_alive = lives(&s->h, s->wall_ms);
	s->nservers = MIN(s->m.servers, m->m.max_servers);
	s->nclusters = MIN(s->m.clusters, SHM_MAX_CLUSTERS);
	s->nworkers = in->nworkers;
	s->servers = calloc(s->nservers + 1, sizeof *s->servers);
	s->workers = calloc(s->nworkers + 1, sizeof *s->workers);
	if (s->servers == NULL || s->workers == NULL)
		abort();
	take_names(m, s);
	if (in->health.p != NULL)
		take_health(in->health.p, in->health.size, s);
	take_workers(in, s);
	s->pool_known = in->pool.p != NULL;
	for (u32 i = 0; i < s->nservers && s->pool_known; i++)
		take_pool(in->pool.p, &s->servers[i]);
	if (s->master_alive || s->alive_workers > 0)
		return 0;
	snprintf(why, size,
	    "no margayd runs on %s: pid %u and its workers are gone (--force shows what they left)", in->dir,
	    s->h.pid);
	return EXIT_DOWN;
}

void
stat_free(struct stat_sample *s)
{
	for (u32 i = 0; i < s->nworkers && s->workers != NULL; i++)
		free(s->workers[i].srv);
	free(s->workers);
	free(s->servers);
	memset(s, 0, sizeof *s);
}

static bool
session_wanted(const struct shm_session *ss, const struct stat_filter *f)
{
	return ss->id != 0 && (f->user == NULL || strcmp(f->user, ss->user) == 0) &&
	    (f->state < 0 || ss->state == (u32)f->state) && (!f->pinned || ss->pin != PIN_NONE);
}

void
stat_sessions(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter,
    void (*fn)(void *arg, const struct stat_worker *w, const struct shm_session *ss), void *arg)
{
	struct shm_session ss;

	for (u32 i = 0; i < s->nworkers; i++) {
		const struct shm_seg_worker *w = in->workers[i].p;
		const struct shm_session *from;

		/* What a dead worker left in its table are no sessions. */
		if (w == NULL || !s->workers[i].alive)
			continue;
		from = shm_worker_sessions(w);
		for (u32 k = 0; k < w->max_sessions; k++) {
			/* Free ones are skipped at the cost of one word. */
			if (__atomic_load_n(&from[k].id, __ATOMIC_RELAXED) == 0 ||
			    seq_read(&from[k].seq, &ss, &from[k], sizeof ss) != 0)
				continue;
			terminate(ss.user, sizeof ss.user);
			terminate(ss.addr, sizeof ss.addr);
			terminate(ss.db, sizeof ss.db);
			terminate(ss.info, sizeof ss.info);
			if (!filter->info)
				ss.info[0] = '\0';
			if (session_wanted(&ss, filter))
				fn(arg, &s->workers[i], &ss);
		}
	}
}
