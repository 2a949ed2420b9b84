/* master/segs.c: makes segments and fills in the master's own. Master only: it is the single writer of
 * `names`, and of the other segments it writes nothing but their making.
 */
#include "master/segs.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/catalog.h"
#include "shm/pool.h"
#include "shm/seq.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGS_MAX_SERVERS 512 /* the most that max_servers allows */

static void
seg_init(struct seg *g)
{
	memset(g, 0, sizeof *g);
	g->rw = g->ro = -1;
}

static void
seg_fini(struct seg *g)
{
	shm_unmap(&g->map);
	if (g->rw >= 0)
		close(g->rw);
	if (g->ro >= 0)
		close(g->ro);
	seg_init(g);
}

void
segs_init(struct segs *s)
{
	memset(s, 0, sizeof *s);
	seg_init(&s->names);
	seg_init(&s->health);
	seg_init(&s->pool);
	seg_init(&s->auth);
	seg_init(&s->catalog);
	s->health_event = -1;
	for (u32 i = 0; i < LINK_MAX_WORKERS; i++) {
		seg_init(&s->worker[i]);
		s->event[i] = s->inbox_rx[i] = s->inbox_tx[i] = -1;
	}
}

void
segs_fini(struct segs *s)
{
	seg_fini(&s->names);
	seg_fini(&s->health);
	seg_fini(&s->pool);
	seg_fini(&s->auth);
	seg_fini(&s->catalog);
	for (u32 i = 0; i < LINK_MAX_WORKERS; i++) {
		seg_fini(&s->worker[i]);
		if (s->event[i] >= 0)
			close(s->event[i]);
		if (s->inbox_rx[i] >= 0)
			close(s->inbox_rx[i]);
		if (s->inbox_tx[i] >= 0)
			close(s->inbox_tx[i]);
	}
	for (u32 i = 0; i < s->nother; i++)
		close(s->other_pool[i]);
	if (s->health_event >= 0)
		close(s->health_event);
	segs_init(s);
}

static int
make_failed(const char *path, int rc)
{
	if (rc == ERR_LIMIT)
		log_err("%s: no room in the file system for the shared memory", path);
	else
		log_err("%s: %s", path, strerror(errno));
	return rc;
}

/* Who may read the status may read all of these: there is no secret in them. */
static int
seg_make(struct seg *g, const char *path, u64 magic, size_t size, u64 epoch, gid_t gid)
{
	int rc = shm_create(path, magic, size, epoch, 0640, &g->map, &g->rw);

	if (rc == 0 && gid != (gid_t)-1 && fchown(g->rw, (uid_t)-1, gid) != 0)
		rc = ERR_SYSTEM;
	if (rc == 0 && (g->ro = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		rc = ERR_SYSTEM;
	return rc == 0 ? 0 : make_failed(path, rc);
}

static bool
pool_fits(const struct seg *g, const struct shm_caps *c)
{
	const struct shm_seg_pool *p = g->map.p;

	return p->p.max_servers == c->max_servers && p->p.max_cells == c->max_cells &&
	    p->p.max_workers == c->max_workers;
}

static void
keep_other_pool(struct segs *s, int fd)
{
	if (s->nother < SEGS_OTHER_POOLS) {
		s->other_pool[s->nother++] = fd;
		return;
	}
	close(fd);
	log_warn("too many pool files: workers of an old version may go on accepting clients");
}

/* The files of other builds: their workers are told through them to stop accepting. */
static void
find_other_pools(struct segs *s, const struct runtime *rt, const char *ours)
{
	DIR *d = opendir(rt->dir);
	struct dirent *e;
	int fd;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, "pool.", 5) != 0 || strcmp(e->d_name, ours) == 0)
			continue;
		fd = openat(dirfd(d), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0)
			keep_other_pool(s, fd);
	}
	closedir(d);
}

static int
pool_make(struct segs *s, const struct runtime *rt)
{
	char name[32], path[4096];
	int rc;

	snprintf(name, sizeof name, "pool.%08x", (u32)(shm_abi >> 32));
	snprintf(path, sizeof path, "%s/%s", rt->dir, name);
	find_other_pools(s, rt, name);
	if (shm_map_path(path, SHM_MAGIC_POOL, true, &s->pool.map, &s->pool.rw) == 0) {
		if (pool_fits(&s->pool, &s->caps))
			return 0;
		log_notice("capacities have changed: connections of earlier workers, while they "
			   "drain, count in a budget of their own");
		shm_unmap(&s->pool.map);
		keep_other_pool(s, s->pool.rw);
		s->pool.rw = -1;
	}
	rc = seg_make(&s->pool, path, SHM_MAGIC_POOL, shm_size_pool(&s->caps), s->epoch, rt->gid);
	if (rc == 0)
		shm_pool_setup(segs_pool(s), &s->caps);
	return rc;
}

/* Workers of another build or other capacities keep theirs, which has no name any more. */
static void
remove_other_auth(const struct runtime *rt, const char *ours)
{
	DIR *d = opendir(rt->dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "auth.", 5) == 0 && strcmp(e->d_name, ours) != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

/* What logins have taught outlives this master and its workers. For the service account alone. */
static int
auth_make(struct segs *s, const struct runtime *rt)
{
	char name[32], path[4096];
	struct shm_seg_auth *a;
	struct stat st;
	int rc;

	snprintf(name, sizeof name, "auth.%08x", (u32)(shm_abi >> 32));
	snprintf(path, sizeof path, "%s/%s", rt->dir, name);
	remove_other_auth(rt, name);
	if (shm_map_path(path, SHM_MAGIC_AUTH, true, &s->auth.map, &s->auth.rw) == 0) {
		a = s->auth.map.p;
		if (a->h.size == shm_size_auth(&s->caps) && fstat(s->auth.rw, &st) == 0 && (st.st_mode & 0777) == 0600)
			return 0;
		seg_fini(&s->auth);
	}
	rc = shm_create(path, SHM_MAGIC_AUTH, shm_size_auth(&s->caps), s->epoch, 0600, &s->auth.map, &s->auth.rw);
	if (rc != 0)
		return make_failed(path, rc);
	a = s->auth.map.p;
	if (getrandom(a->a.salt, sizeof a->a.salt, 0) != (ssize_t)sizeof a->a.salt)
		return make_failed("getrandom", ERR_SYSTEM);
	shm_auth_setup(a, &s->caps);
	return 0;
}

static int
slot_make(struct segs *s, const struct runtime *rt, u32 i)
{
	char path[4096];
	int sv[2], rc;

	snprintf(path, sizeof path, "%s/worker.%u", rt->epoch_dir, i);
	rc = seg_make(&s->worker[i], path, SHM_MAGIC_WORKER, shm_size_worker(&s->caps), s->epoch,
	    rt->gid);
	if (rc != 0)
		return rc;
	shm_worker_setup(segs_worker(s, i), &s->caps);
	s->event[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->event[i] < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) != 0)
		return make_failed("eventfd or socket pair", ERR_SYSTEM);
	s->inbox_rx[i] = sv[0];
	s->inbox_tx[i] = sv[1];
	return 0;
}

static int
catalog_make(struct segs *s, const struct runtime *rt)
{
	char path[4096];
	int rc;

	snprintf(path, sizeof path, "%s/catalog", rt->epoch_dir);
	rc = seg_make(&s->catalog, path, SHM_MAGIC_CATALOG, shm_size_catalog(&s->caps), s->epoch, rt->gid);
	if (rc == 0)
		shm_catalog_setup(s->catalog.map.p, &s->caps);
	return rc;
}

int
segs_make(struct segs *s, const struct runtime *rt, const struct shm_caps *caps, u32 nworkers)
{
	char path[4096];
	int rc;

	s->caps = *caps;
	s->epoch = rt->epoch;
	s->nworkers = nworkers;
	snprintf(path, sizeof path, "%s/names", rt->epoch_dir);
	rc = seg_make(&s->names, path, SHM_MAGIC_MASTER, shm_size_master(caps), s->epoch, rt->gid);
	if (rc != 0)
		return rc;
	shm_master_setup(segs_names(s), caps);
	segs_names(s)->m.workers = nworkers;
	shm_writer_enter(&segs_names(s)->h, 0);
	snprintf(path, sizeof path, "%s/health", rt->epoch_dir);
	rc = seg_make(&s->health, path, SHM_MAGIC_HEALTH, shm_size_health(caps), s->epoch, rt->gid);
	if (rc == 0)
		rc = catalog_make(s, rt);
	for (u32 i = 0; i < nworkers && rc == 0; i++)
		rc = slot_make(s, rt, i);
	if (rc == 0)
		rc = pool_make(s, rt);
	if (rc == 0)
		rc = auth_make(s, rt);
	if (rc != 0)
		return rc;
	s->health_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->health_event >= 0 ? 0 : make_failed("eventfd", ERR_SYSTEM);
}

void
segs_ring(int event_fd)
{
	const u64 one = 1;

	/* Full means that it has been rung very often already. */
	if (write(event_fd, &one, sizeof one) < 0)
		return;
}

size_t
segs_start_fds(const struct segs *s, int slot, int *fds)
{
	size_t n = 0;

	fds[n++] = s->pool.rw;
	fds[n++] = s->names.ro;
	fds[n++] = slot < 0 ? s->health.rw : s->health.ro;
	if (slot >= 0)
		fds[n++] = s->worker[slot].rw;
	fds[n++] = s->health_event;
	for (u32 i = 0; i < s->nworkers; i++) {
		fds[n++] = s->worker[i].ro;
		fds[n++] = s->event[i];
		fds[n++] = s->inbox_tx[i];
	}
	if (slot >= 0) {
		fds[n++] = s->inbox_rx[slot];
		fds[n++] = s->auth.rw;
	}
	fds[n++] = slot < 0 ? s->catalog.rw : s->catalog.ro;
	return n;
}

void
segs_serve(struct segs *s)
{
	struct shm_header h;
	const u64 epoch = s->epoch;

	__atomic_store_n(&segs_pool(s)->p.serving_epoch, epoch, __ATOMIC_SEQ_CST);
	/* The header and serving_epoch behind it stay where they are in all versions (shm/README). */
	for (u32 i = 0; i < s->nother; i++)
		if (pread(s->other_pool[i], &h, sizeof h, 0) == sizeof h && h.magic == SHM_MAGIC_POOL &&
		    pwrite(s->other_pool[i], &epoch, sizeof epoch, sizeof h) != sizeof epoch)
			log_warn("a pool of another version cannot be written: %s", strerror(errno));
	for (u32 i = 0; i < s->nworkers; i++)
		segs_ring(s->event[i]);
}

void
segs_forget_other_pools(struct segs *s, const struct runtime *rt)
{
	char ours[32];
	DIR *d = opendir(rt->dir);
	struct dirent *e;

	for (u32 i = 0; i < s->nother; i++)
		close(s->other_pool[i]);
	s->nother = 0;
	snprintf(ours, sizeof ours, "pool.%08x", (u32)(shm_abi >> 32));
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "pool.", 5) == 0 && strcmp(e->d_name, ours) != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
}

static void
server_name_put(struct shm_srvname *dst, const struct cfg *c, const struct cfg_server *s, bool drained)
{
	struct shm_srvname n;

	memset(&n, 0, sizeof n);
	str_copy(n.name, sizeof n.name, cfg_text(c, s->section_name));
	str_copy(n.address, sizeof n.address, cfg_text(c, s->address));
	n.used = 1;
	n.cluster = ~0u;
	if (s->cluster < c->r->nclusters)
		n.cluster = cfg_clusters(c)[s->cluster].id;
	n.admin = drained ? SHM_ADMIN_DRAIN : SHM_ADMIN_ONLINE;
	n.pool_slot = s->pool_slot;
	n.max_connections = (u32)s->max_connections;
	n.weight = (u32)s->weight;
	seq_words_store(dst, &n, sizeof n);
}

static void
clusters_put(struct shm_seg_master *m, const struct cfg *c)
{
	struct shm_cluname n;

	for (u32 i = 0; i < SHM_MAX_CLUSTERS; i++)
		__atomic_store_n(&m->clusters[i].used, 0, __ATOMIC_RELAXED);
	m->m.clusters = 0;
	for (u32 i = 0; i < c->r->nclusters; i++) {
		const struct cfg_cluster *k = &cfg_clusters(c)[i];

		memset(&n, 0, sizeof n);
		str_copy(n.name, sizeof n.name, cfg_text(c, k->section_name));
		n.used = 1;
		n.topology = (u32)k->topology;
		if (k->id >= SHM_MAX_CLUSTERS)
			continue;
		seq_words_store(&m->clusters[k->id], &n, sizeof n);
		m->m.clusters = MAX(m->m.clusters, k->id + 1);
	}
}

void
segs_names_update(struct segs *s, const struct cfg *c, bool (*drained)(void *arg, const char *name),
    void *arg)
{
	struct shm_seg_master *m = segs_names(s);
	struct shm_srvname *srv = shm_master_servers(m);
	bool admin[SEGS_MAX_SERVERS];
	u32 top = 0;

	for (u32 i = 0; i < c->r->nservers && i < SEGS_MAX_SERVERS; i++)
		admin[i] = drained(arg, cfg_text(c, cfg_servers(c)[i].section_name));
	seq_write_begin(&m->m.names_seq);
	for (u32 i = 0; i < s->caps.max_servers; i++)
		__atomic_store_n(&srv[i].used, 0, __ATOMIC_RELAXED);
	for (u32 i = 0; i < c->r->nservers && i < SEGS_MAX_SERVERS; i++) {
		const struct cfg_server *v = &cfg_servers(c)[i];

		if (v->id >= s->caps.max_servers)
			continue;
		server_name_put(&srv[v->id], c, v, admin[i]);
		top = MAX(top, v->id + 1);
	}
	m->m.servers = top;
	clusters_put(m, c);
	seq_write_end(&m->m.names_seq);
	__atomic_store_n(&m->h.generation, c->r->h.generation, __ATOMIC_RELEASE);
}

int
segs_server_find(const struct segs *s, const char *name)
{
	const struct shm_seg_master *m = segs_names(s);
	const struct shm_srvname *srv = shm_master_servers(m);

	for (u32 i = 0; i < m->m.servers; i++)
		if (srv[i].used != 0 && strcmp(srv[i].name, name) == 0)
			return (int)i;
	return -1;
}
