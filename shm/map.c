/* shm/map.c: creates and maps segments, finds the arrays in them, histogram arithmetic. The master creates;
 * any process maps. Nothing here interprets what a segment says beyond its header and its capacities.
 */
#include "shm/map.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/reasons.h"
#include "shm/abi.h"
#include "shm/catalog.h"
#include "shm/seq.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const u64 shm_abi = SHM_ABI;

/* Arrays begin on cache lines of their own, so that what different processes poll is not falsely shared. */
#define LINE          64u
#define LINE_UP(n)    (((n) + LINE - 1) / LINE * LINE)
#define TABLE_ROOM_MIN 64u

/* Open addressing wants a table at most half full; a power of two for its mask. */
static u32
table_room(u32 used)
{
	u64 n = TABLE_ROOM_MIN;

	while (n < (u64)used * 2 && n < 1u << 31)
		n *= 2;
	return (u32)n;
}

static size_t
master_servers_off(u32 workers)
{
	return LINE_UP(LINE_UP(sizeof(struct shm_seg_master)) + workers * sizeof(struct shm_slot));
}

static size_t
worker_users_off(u32 servers)
{
	return LINE_UP(LINE_UP(sizeof(struct shm_seg_worker)) + servers * sizeof(struct shm_sstat));
}

static size_t
worker_gtids_off(u32 servers, u32 users)
{
	return LINE_UP(worker_users_off(servers) + users * sizeof(u64));
}

static size_t
worker_sessions_off(u32 servers, u32 users)
{
	return LINE_UP(worker_gtids_off(servers, users) + users * sizeof(struct shm_usergtid));
}

static size_t
worker_addrs_off(u32 servers, u32 users, u32 sessions)
{
	return LINE_UP(
	    worker_sessions_off(servers, users) + sessions * sizeof(struct shm_session));
}

static size_t
worker_end(u32 servers, u32 users, u32 sessions, u32 addrs)
{
	return LINE_UP(worker_addrs_off(servers, users, sessions) + addrs * sizeof(struct shm_addrcount));
}

static size_t
worker_digests_off(size_t end, u32 digests)
{
	return LINE_UP(end + digests * sizeof(u64));
}

/* All that a worker's segment has room for. */
static size_t
worker_room(const struct shm_seg_worker *s)
{
	return worker_digests_off(worker_end(s->max_servers, s->max_users, s->max_sessions, s->max_addrs), s->max_digests) +
	    s->max_digests * sizeof(struct shm_digest);
}

/* Sets of SHM_DIGEST_WAYS are found by some bits of the key. */
static u32
digests_room(u32 asked)
{
	u32 n = asked == 0 ? 0 : SHM_DIGEST_WAYS;

	while (n < asked)
		n *= 2;
	return n;
}

static size_t
pool_cells_off(u32 servers)
{
	return LINE_UP(LINE_UP(sizeof(struct shm_seg_pool)) + servers * sizeof(struct shm_poolsrv));
}

static size_t
pool_end(u32 servers, u32 cells)
{
	return pool_cells_off(servers) + (size_t)servers * cells * sizeof(struct shm_poolcell);
}

size_t
shm_size_master(const struct shm_caps *c)
{
	return master_servers_off(c->max_workers) + c->max_servers * sizeof(struct shm_srvname);
}

size_t
shm_size_health(const struct shm_caps *c)
{
	return sizeof(struct shm_seg_health) + c->max_servers * sizeof(struct shm_srvhealth);
}

size_t
shm_size_worker(const struct shm_caps *c)
{
	struct shm_seg_worker s = {.max_servers = c->max_servers, .max_users = c->max_users, .max_sessions = c->max_sessions,
	    .max_addrs = table_room(c->max_sessions), .max_digests = digests_room(c->max_digests)};

	return worker_room(&s);
}

size_t
shm_size_pool(const struct shm_caps *c)
{
	return pool_end(c->max_servers, c->max_cells);
}

static size_t
auth_end(u32 entries)
{
	return LINE_UP(sizeof(struct shm_seg_auth)) + entries * sizeof(struct shm_autent);
}

size_t
shm_size_auth(const struct shm_caps *c)
{
	return auth_end(table_room(c->max_users));
}

/* posix_fallocate returns its error; a signal may cut it short. 0 or a negative code with errno. */
static int
file_allocate(int fd, size_t size)
{
	int e;

	do
		e = posix_fallocate(fd, 0, (off_t)size);
	while (e == EINTR);
	errno = e;
	if (e == 0)
		return 0;
	return e == ENOSPC || e == EDQUOT || e == EFBIG ? ERR_LIMIT : ERR_SYSTEM;
}

/* Mode is set by fchmod: the umask must not decide who may read the status. */
static int
file_fill(int fd, u64 magic, size_t size, u64 epoch, unsigned mode, struct shm_map *m)
{
	struct shm_header *h;
	int rc;

	if (fchmod(fd, (mode_t)mode) != 0)
		return ERR_SYSTEM;
	rc = file_allocate(fd, size);
	if (rc != 0)
		return rc;
	h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return ERR_SYSTEM;
	h->abi = shm_abi;
	h->size = size;
	h->epoch = epoch;
	h->magic = magic;
	m->p = h;
	m->size = size;
	return 0;
}

int
shm_create(const char *path, u64 magic, size_t size, u64 epoch, unsigned mode, struct shm_map *m,
    int *fd_r)
{
	char tmp[512];
	int fd, rc, n, saved;

	m->p = NULL;
	m->size = 0;
	*fd_r = -1;
	n = snprintf(tmp, sizeof tmp, "%s.tmp", path);
	if (n < 0 || (size_t)n >= sizeof tmp || size < sizeof(struct shm_header)) {
		errno = ENAMETOOLONG;
		return ERR_SYSTEM;
	}
	/* One left by a master that died here: only the holder of the lock creates files. */
	if (unlink(tmp) != 0 && errno != ENOENT)
		return ERR_SYSTEM;
	fd = open(tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_SYSTEM;
	rc = file_fill(fd, magic, size, epoch, mode, m);
	if (rc == 0 && rename(tmp, path) != 0)
		rc = ERR_SYSTEM;
	if (rc == 0) {
		*fd_r = fd;
		return 0;
	}
	saved = errno;
	shm_unmap(m);
	close(fd);
	unlink(tmp);
	errno = saved;
	return rc;
}

/* Do the arrays that the capacities promise lie inside the segment? */
static bool
arrays_fit(const void *p, size_t size, u64 magic)
{
	if (magic == SHM_MAGIC_MASTER) {
		const struct shm_seg_master *s = p;

		return size >= sizeof *s &&
		    size >= master_servers_off(s->m.max_workers) +
			s->m.max_servers * sizeof(struct shm_srvname);
	}
	if (magic == SHM_MAGIC_WORKER) {
		const struct shm_seg_worker *s = p;

		return size >= sizeof *s && s->max_digests <= SHM_DIGESTS_MOST && s->max_digests % SHM_DIGEST_WAYS == 0 &&
		    size >= worker_room(s);
	}
	if (magic == SHM_MAGIC_POOL) {
		const struct shm_seg_pool *s = p;

		return size >= sizeof *s && s->p.max_servers <= 1u << 16 && s->p.max_cells <= 1u << 20 &&
		    size >= pool_end(s->p.max_servers, s->p.max_cells);
	}
	if (magic == SHM_MAGIC_AUTH) {
		const struct shm_seg_auth *s = p;
		u32 n = size >= sizeof *s ? s->a.entries : 0;

		return n != 0 && n <= 1u << 20 && (n & (n - 1)) == 0 && size >= auth_end(n);
	}
	if (magic == SHM_MAGIC_CATALOG)
		return shm_catalog_fits(p, size);
	return magic != SHM_MAGIC_HEALTH || size >= sizeof(struct shm_seg_health);
}

int
shm_map_fd(int fd, u64 magic, bool writable, struct shm_map *m)
{
	const struct shm_header *h;
	struct stat st;
	void *p;
	int rc = 0;

	m->p = NULL;
	m->size = 0;
	if (fstat(fd, &st) != 0)
		return ERR_SYSTEM;
	if (!S_ISREG(st.st_mode) || (u64)st.st_size < sizeof *h)
		return ERR_INVAL;
	p = mmap(NULL, (size_t)st.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd,
	    0);
	if (p == MAP_FAILED)
		return ERR_SYSTEM;
	h = p;
	if (h->magic != magic)
		rc = ERR_INVAL;
	else if (h->abi != shm_abi)
		rc = ERR_ABI;
	else if (h->size != (u64)st.st_size || !arrays_fit(p, (size_t)st.st_size, magic))
		rc = ERR_INVAL;
	if (rc != 0) {
		munmap(p, (size_t)st.st_size);
		return rc;
	}
	m->p = p;
	m->size = (size_t)st.st_size;
	return 0;
}

int
shm_map_path(const char *path, u64 magic, bool writable, struct shm_map *m, int *fd_r)
{
	int fd, rc, saved;

	m->p = NULL;
	m->size = 0;
	if (fd_r != NULL)
		*fd_r = -1;
	fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? ERR_NOTFOUND : ERR_SYSTEM;
	rc = shm_map_fd(fd, magic, writable, m);
	if (rc == 0 && fd_r != NULL) {
		*fd_r = fd;
		return 0;
	}
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

void
shm_unmap(struct shm_map *m)
{
	if (m->p != NULL)
		munmap(m->p, m->size);
	m->p = NULL;
	m->size = 0;
}

void
shm_master_setup(struct shm_seg_master *s, const struct shm_caps *c)
{
	AN(s->h.size >= shm_size_master(c));
	s->m.max_servers = c->max_servers;
	s->m.max_workers = c->max_workers;
	s->m.max_users = c->max_users;
	s->m.max_sessions = c->max_sessions;
}

void
shm_worker_setup(struct shm_seg_worker *s, const struct shm_caps *c)
{
	AN(s->h.size >= shm_size_worker(c));
	s->max_servers = c->max_servers;
	s->max_users = c->max_users;
	s->max_sessions = c->max_sessions;
	s->max_addrs = table_room(c->max_sessions);
	s->max_digests = digests_room(c->max_digests);
}

void
shm_pool_setup(struct shm_seg_pool *s, const struct shm_caps *c)
{
	AN(s->h.size >= shm_size_pool(c));
	s->p.max_servers = c->max_servers;
	s->p.max_cells = c->max_cells;
	s->p.max_workers = c->max_workers;
}

void
shm_auth_setup(struct shm_seg_auth *s, const struct shm_caps *c)
{
	AN(s->h.size >= shm_size_auth(c));
	s->a.entries = table_room(c->max_users);
}

static void
gauges_clear(void *rec, const struct shm_counter *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (c[i].kind == 'G')
			STAT_SET(*(u64 *)(void *)((u8 *)rec + c[i].off), 0);
	}
}

void
shm_worker_reclaim(struct shm_seg_worker *s)
{
	struct shm_sstat *srv = shm_worker_servers(s);
	struct shm_session *ses = shm_worker_sessions(s);
	struct shm_addrcount *adr = shm_worker_addrs(s);
	u64 *users = shm_worker_users(s), *keys = shm_worker_digest_keys(s);
	struct shm_digest *digests = shm_worker_digests(s);

	gauges_clear(&s->stat, shm_worker_counters, shm_nworker_counters);
	for (u32 i = 0; i < s->max_servers; i++)
		gauges_clear(&srv[i], shm_server_counters, shm_nserver_counters);
	for (u32 i = 0; i < s->max_users; i++)
		STAT_SET(users[i], 0);
	for (u32 i = 0; i < s->max_sessions; i++) {
		seq_repair(&ses[i].seq);
		if (ses[i].id == 0)
			continue;
		seq_write_begin(&ses[i].seq);
		__atomic_store_n(&ses[i].id, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&ses[i].state, SESS_CLOSED, __ATOMIC_RELAXED);
		seq_write_end(&ses[i].seq);
	}
	for (u32 i = 0; i < s->max_addrs; i++) {
		/* Readers look for the hash first: it goes last. */
		if (adr[i].hash == 0 && adr[i].count == 0)
			continue;
		STAT_SET(adr[i].count, 0);
		STAT_SET(adr[i].hash, 0);
	}
	for (u32 i = 0; i < s->max_digests; i++) {
		if ((digests[i].seq & 1) != 0 || keys[i] != digests[i].key) { /* it died while it began this one */
			keys[i] = 0;
			STAT_SET(digests[i].key, 0);
			seq_repair(&digests[i].seq);
		}
	}
}

void
shm_writer_enter(struct shm_header *h, u32 slot)
{
	__atomic_store_n(&h->slot, slot, __ATOMIC_RELAXED);
	__atomic_store_n(&h->started, clock_wall_ms(), __ATOMIC_RELAXED);
	__atomic_store_n(&h->heartbeat, clock_ns(), __ATOMIC_RELAXED);
	__atomic_store_n(&h->pid, (u32)getpid(), __ATOMIC_RELEASE);
}

/* The segment at an offset, without the const: who mapped it read-only must not write. */
static void *
at(const void *seg, size_t off)
{
	return (void *)((uintptr_t)seg + off);
}

struct shm_slot *
shm_master_workers(const struct shm_seg_master *s)
{
	return at(s, LINE_UP(sizeof *s));
}

struct shm_srvname *
shm_master_servers(const struct shm_seg_master *s)
{
	return at(s, master_servers_off(s->m.max_workers));
}

struct shm_sstat *
shm_worker_servers(const struct shm_seg_worker *s)
{
	return at(s, LINE_UP(sizeof *s));
}

u64 *
shm_worker_users(const struct shm_seg_worker *s)
{
	return at(s, worker_users_off(s->max_servers));
}

struct shm_usergtid *
shm_worker_gtids(const struct shm_seg_worker *s)
{
	return at(s, worker_gtids_off(s->max_servers, s->max_users));
}

struct shm_session *
shm_worker_sessions(const struct shm_seg_worker *s)
{
	return at(s, worker_sessions_off(s->max_servers, s->max_users));
}

struct shm_addrcount *
shm_worker_addrs(const struct shm_seg_worker *s)
{
	return at(s, worker_addrs_off(s->max_servers, s->max_users, s->max_sessions));
}

u64 *
shm_worker_digest_keys(const struct shm_seg_worker *s)
{
	return at(s, worker_end(s->max_servers, s->max_users, s->max_sessions, s->max_addrs));
}

struct shm_digest *
shm_worker_digests(const struct shm_seg_worker *s)
{
	return at(s, worker_digests_off(worker_end(s->max_servers, s->max_users, s->max_sessions, s->max_addrs), s->max_digests));
}

struct shm_poolsrv *
shm_pool_srv(const struct shm_seg_pool *s)
{
	return at(s, LINE_UP(sizeof *s));
}

struct shm_autent *
shm_auth_entries(const struct shm_seg_auth *s)
{
	return at(s, LINE_UP(sizeof *s));
}

struct shm_poolcell *
shm_pool_cells(const struct shm_seg_pool *s, u32 pool_slot)
{
	struct shm_poolcell *c = at(s, pool_cells_off(s->p.max_servers));

	return c + (size_t)pool_slot * s->p.max_cells;
}

/* Bucket 0: below 2^10. Then eight for each power of two; the first three bits below the highest choose. */
#define HIST_FIRST_BIT 10u

u32
shm_hist_bucket(u64 ns)
{
	u32 top, b;

	if (ns < 1u << HIST_FIRST_BIT)
		return 0;
	top = 63u - (u32)__builtin_clzll(ns);
	b = 1 + (top - HIST_FIRST_BIT) * 8 + (u32)(ns >> (top - 3) & 7);
	return MIN(b, SHM_HIST_BUCKETS - 1u);
}

u64
shm_hist_upper(u32 bucket)
{
	u32 top, sub;

	if (bucket == 0)
		return 1u << HIST_FIRST_BIT;
	if (bucket >= SHM_HIST_BUCKETS - 1)
		return UINT64_MAX;
	top = HIST_FIRST_BIT + (bucket - 1) / 8;
	sub = (bucket - 1) % 8;
	return (u64)(8 + sub + 1) << (top - 3);
}

u64
shm_hist_quantile(const struct shm_hist *h, double q)
{
	u64 total = 0, before = 0, lower = 0, n;
	double rank;

	for (u32 i = 0; i < SHM_HIST_BUCKETS; i++)
		total += h->n[i];
	if (total == 0)
		return 0;
	rank = (q < 0 ? 0 : q > 1 ? 1 : q) * (double)total;
	for (u32 i = 0; i < SHM_HIST_BUCKETS; i++) {
		n = h->n[i];
		if (n > 0 && (double)(before + n) >= rank) {
			u64 upper = shm_hist_upper(i);

			/* No width is known above the last bound. */
			if (upper == UINT64_MAX)
				return lower;
			return lower + (u64)((double)(upper - lower) * (rank - (double)before) / (double)n);
		}
		before += n;
		lower = shm_hist_upper(i);
	}
	return lower;
}

void
shm_hist_sum(struct shm_hist *to, const struct shm_hist *from)
{
	for (u32 i = 0; i < SHM_HIST_BUCKETS; i++)
		to->n[i] += STAT_GET(from->n[i]);
	to->sum += STAT_GET(from->sum);
}
