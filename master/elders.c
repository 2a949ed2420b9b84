/* master/elders.c: what an earlier master left behind. Master only. These processes are not our children: they
 * are watched and signalled through pidfds, so that a pid given to somebody else is never hit.
 */
#include "master/elders.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/pool.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define ELDER_GRACE_MS 10000 /* over drain_timeout: their own drain begins when they notice us */
#define ELDER_KILL_MS  5000  /* from SIGTERM to SIGKILL */

static struct master *the_master; /* for the callbacks of pool_orphan_dead, which take no argument */

void
elders_init(struct elders *e)
{
	memset(e, 0, sizeof *e);
	list_init(&e->all);
}

static void
epoch_dir(const struct master *m, u64 epoch, char *buf, size_t size)
{
	snprintf(buf, size, "%s/e%llu", m->rt.dir, (unsigned long long)epoch);
}

static u32
elders_of(const struct master *m, u64 epoch, bool workers_only)
{
	u32 n = 0;

	list_for_each(i, &m->elders.all) {
		const struct elder *e = LIST_ENTRY(i, struct elder, link);

		n += e->epoch == epoch && !(workers_only && e->health);
	}
	return n;
}

static void
report_panic(const struct elder *e)
{
	char path[4200], text[SHM_PANIC_SIZE];
	struct shm_map map;

	epoch_dir(e->m, e->epoch, path, 4100);
	snprintf(path + strlen(path), 32, "/worker.%u", e->slot);
	if (e->health || shm_map_path(path, SHM_MAGIC_WORKER, false, &map, NULL) != 0)
		return;
	str_copy_slice(text, sizeof text, ((const struct shm_seg_worker *)map.p)->panic,
	    sizeof text - 1);
	if (text[0] != '\0')
		log_err("worker/%u[%d] of epoch %llu: %s", e->slot, (int)e->pid,
		    (unsigned long long)e->epoch, text);
	shm_unmap(&map);
}

static void
elder_free(struct elder *e)
{
	loop_del(&e->m->loop, &e->node);
	list_del(&e->link);
	close(e->pidfd);
	e->m->elders.n--;
	free(e);
}

/* Its workers need its verdicts; without them it has nothing left to do. */
static void
end_health_of(struct master *m, u64 epoch)
{
	list_for_each(i, &m->elders.all) {
		struct elder *e = LIST_ENTRY(i, struct elder, link);

		if (e->epoch == epoch && e->health)
			pidfd_send_signal(e->pidfd, SIGTERM, NULL, 0);
	}
}

static bool
is_gone(u32 pid)
{
	list_for_each(i, &the_master->elders.all)
		if (LIST_ENTRY(i, struct elder, link)->pid == (pid_t)pid)
			return false;
	for (u32 i = 0; i < the_master->segs.nworkers; i++)
		if (the_master->workers[i].pid == (pid_t)pid)
			return false;
	return the_master->health.pid != (pid_t)pid;
}

void
elders_orphan_cells(struct master *m)
{
	u32 n;

	the_master = m;
	n = pool_orphan_dead(segs_pool(&m->segs), is_gone);
	if (n == 0)
		return;
	log_notice("%u server connections of dead processes are to be taken back", n);
	segs_ring(m->segs.health_event);
}

static void
on_elder_end(void *arg, short revents)
{
	struct elder *e = arg;
	struct master *m = e->m;
	u64 epoch = e->epoch;
	char dir[4100];

	(void)revents;
	log_notice("%s/%u[%d] of epoch %llu has ended", e->health ? "health" : "worker", e->slot,
	    (int)e->pid, (unsigned long long)epoch);
	report_panic(e);
	if (!e->health)
		pool_orphan(segs_pool(&m->segs), e->slot, epoch, (u32)e->pid);
	elder_free(e);
	elders_orphan_cells(m);
	segs_ring(m->segs.health_event);
	if (elders_of(m, epoch, true) == 0)
		end_health_of(m, epoch);
	if (elders_of(m, epoch, false) == 0) {
		epoch_dir(m, epoch, dir, sizeof dir);
		runtime_remove(dir);
	}
	if (m->elders.n == 0) {
		loop_timer_clear(&m->elders.timer);
		segs_forget_other_pools(&m->segs, &m->rt);
	}
}

static void
elder_add(struct master *m, u64 epoch, const struct shm_header *h, bool health)
{
	struct elder *e;

	if (!runtime_lives((pid_t)h->pid, h->started) || m->elders.n >= ELDERS_MAX)
		return;
	e = calloc(1, sizeof *e);
	if (e == NULL)
		return;
	*e = (struct elder){.m = m, .epoch = epoch, .slot = h->slot, .health = health, .pid = (pid_t)h->pid};
	e->pidfd = pidfd_open(e->pid, 0);
	if (e->pidfd < 0 || loop_add(&m->loop, &e->node, e->pidfd, POLLIN, on_elder_end, e) != 0) {
		if (e->pidfd >= 0)
			close(e->pidfd);
		free(e);
		return;
	}
	list_push_back(&m->elders.all, &e->link);
	m->elders.n++;
	log_notice("%s/%u[%d] of epoch %llu still runs", health ? "health" : "worker", e->slot,
	    (int)e->pid, (unsigned long long)epoch);
}

/* Only the header is read, which is the same in all versions (shm/README). */
static void
look_at(struct master *m, u64 epoch, int dirfd, const char *name)
{
	bool health = strcmp(name, "health") == 0;
	struct shm_header h;
	int fd;

	if (!health && strncmp(name, "worker.", 7) != 0)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	if (pread(fd, &h, sizeof h, 0) == sizeof h && h.pid != 0)
		elder_add(m, epoch, &h, health);
	close(fd);
}

static void
search_epoch(void *arg, u64 epoch, const char *dir)
{
	struct master *m = arg;
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		look_at(m, epoch, dirfd(d), e->d_name);
	closedir(d);
	if (elders_of(m, epoch, false) == 0)
		runtime_remove(dir);
}

void
elders_find(struct master *m)
{
	runtime_each_old(&m->rt, search_epoch, m);
}

static void
on_drain_over(void *arg)
{
	struct master *m = arg;
	int sig = m->elders.termed ? SIGKILL : SIGTERM;

	list_for_each(i, &m->elders.all) {
		struct elder *e = LIST_ENTRY(i, struct elder, link);

		log_warn("%s/%u[%d] of epoch %llu is still there, gets signal %d",
		    e->health ? "health" : "worker", e->slot, (int)e->pid, (unsigned long long)e->epoch,
		    sig);
		pidfd_send_signal(e->pidfd, sig, NULL, 0);
	}
	m->elders.termed = true;
	if (m->elders.n > 0)
		loop_timer_set(&m->loop, &m->elders.timer, clock_ns() + ELDER_KILL_MS * MS_NS,
		    on_drain_over, m);
}

void
elders_drain(struct master *m)
{
	u64 wait = master_opts(m)->drain_timeout + ELDER_GRACE_MS;

	if (m->elders.n == 0) {
		segs_forget_other_pools(&m->segs, &m->rt);
		return;
	}
	loop_timer_set(&m->loop, &m->elders.timer, clock_ns() + wait * MS_NS, on_drain_over, m);
}

u64
elders_epoch(const struct master *m)
{
	u64 most = 0;

	list_for_each(i, &m->elders.all)
		most = MAX(most, LIST_ENTRY(i, struct elder, link)->epoch);
	return most;
}

void
elders_fini(struct master *m)
{
	list_for_each_safe(i, t, &m->elders.all)
		elder_free(LIST_ENTRY(i, struct elder, link));
	loop_timer_clear(&m->elders.timer);
}
