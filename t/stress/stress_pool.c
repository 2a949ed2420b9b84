/* t/stress/stress_pool.c: connection cells among workers that take, wait, give and free; first as threads
 * (under TSan: no data race), then as processes that are killed with -9 at random, health too, and recovered
 * as master and health do it. Checked: a cell has one holder at a time; nobody who waits is forgotten; in
 * the end the pool holds exactly what the workers hold, and nothing when they are gone.
 */
#include "t/stress/stress.h"
#include "base/err.h"
#include "shm/pool.h"
#include "shm/seq.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 6, LIMIT = 4 + POOL_RESERVED, HOLD = 2, SERVER = 1, HEALTH_SLOT = 255 };
#define EPOCH     7ull
#define FORGOTTEN 30000 /* ms after which a waiter counts as forgotten; nobody holds a cell for long */
#define MEM_SIZE  65536

struct shared {
	u64 pool[MEM_SIZE / 8];
	u64 holder[LIMIT]; /* who believes to hold the cell */
	u32 held[WORKERS]; /* set by a worker that was asked to pause */
	u64 ops[WORKERS];
	bool stop, paused, end;
};

static struct shared *sh;
static int ring[WORKERS], ring_health;

static bool
flag(const bool *b)
{
	return __atomic_load_n(b, __ATOMIC_RELAXED);
}

static struct shm_seg_pool *
pool(void)
{
	return (void *)sh->pool;
}

static void
bell(int fd)
{
	u64 one = 1;

	MUST(write(fd, &one, sizeof one) == sizeof one, "eventfd");
}

static bool
bell_wait(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	u64 n;

	if (poll(&p, 1, ms) <= 0)
		return false;
	return read(fd, &n, sizeof n) == sizeof n;
}

struct worker {
	u64 me, dice;
	u32 slot;
	int n;
	int cell[HOLD];
};

static void
cell_got(struct worker *w, int i)
{
	u64 was = __atomic_exchange_n(&sh->holder[i], w->me, __ATOMIC_SEQ_CST);

	MUST(was == 0, "cell %d is held by %lx, and by %lx", i, (unsigned long)was, (unsigned long)w->me);
	MUST(i < LIMIT - POOL_RESERVED, "a reserved cell");
	MUST(STAT_GET(shm_pool_cells(pool(), SERVER)[i].thread_id) == 0, "thread of an earlier connection");
	/* As a login does some time later. */
	STAT_SET(shm_pool_cells(pool(), SERVER)[i].thread_id, w->me);
	w->cell[w->n++] = i;
}

static void
cell_give(struct worker *w)
{
	int i = w->cell[--w->n];
	u32 to;

	__atomic_store_n(&sh->holder[i], 0, __ATOMIC_SEQ_CST);
	if (pool_give(pool(), SERVER, (u32)i, w->me, &to))
		bell(ring[to]);
}

/* Waits in line for a first cell, as a worker does for a statement. */
static void
cell_wait(struct worker *w)
{
	u64 since = clock_ns();
	int i;

	pool_wait_set(pool(), SERVER, w->slot, EPOCH, since);
	for (;;) {
		i = pool_take_granted(pool(), SERVER, w->me);
		if (i < 0)
			i = pool_take(pool(), SERVER, w->me, false);
		if (i >= 0)
			break;
		MUST(bell_wait(ring[w->slot], FORGOTTEN), "worker %u was forgotten in line", w->slot);
	}
	cell_got(w, i);
	pool_wait_set(pool(), SERVER, w->slot, EPOCH, 0);
	/* Grants that crossed, perhaps from several givers: they are this worker's to pass on. */
	while ((i = pool_take_granted(pool(), SERVER, w->me)) >= 0) {
		cell_got(w, i);
		cell_give(w);
	}
}

static void
worker_turn(struct worker *w)
{
	u32 d = dice(&w->dice) % 16;
	int i;

	if (w->n == 0) {
		i = pool_take(pool(), SERVER, w->me, false);
		if (i >= 0)
			cell_got(w, i);
		else
			cell_wait(w);
	} else if (w->n < HOLD && d < 5) {
		i = pool_take(pool(), SERVER, w->me, false);
		if (i >= 0)
			cell_got(w, i);
	} else if (d < 15) {
		cell_give(w);
	} else {
		usleep(dice(&w->dice) % 200);
	}
	STAT_ADD(sh->ops[w->slot], 1);
}

static void
worker_run(u32 slot, u32 pid)
{
	struct worker w = {.slot = slot, .me = pool_owner(POOL_WORKER, slot, EPOCH, pid)};

	w.dice = (clock_ns() | 1) * (slot + 1);
	while (!flag(&sh->stop))
		worker_turn(&w);
	/* In a pause three workers keep a cell each: the fourth cell lets all that still wait finish. */
	while (w.n > (flag(&sh->paused) && slot < LIMIT - POOL_RESERVED - 1 ? 1 : 0))
		cell_give(&w);
	__atomic_store_n(&sh->held[slot], (u32)w.n + 1, __ATOMIC_SEQ_CST);
	while (flag(&sh->paused) && !flag(&sh->end))
		usleep(1000);
	while (w.n > 0)
		cell_give(&w);
}

static void
pool_start(void)
{
	struct shm_caps k = {.max_servers = 2, .max_cells = LIMIT, .max_workers = WORKERS};

	memset(sh, 0, sizeof *sh);
	MUST(shm_size_pool(&k) <= MEM_SIZE, "room");
	pool()->h.size = MEM_SIZE;
	shm_pool_setup(pool(), &k);
	pool_limit_set(pool(), SERVER, LIMIT);
	for (int i = 0; i < WORKERS; i++)
		bell_wait(ring[i], 0);
}

static u64
ops_sum(void)
{
	u64 n = 0;

	for (int i = 0; i < WORKERS; i++)
		n += STAT_GET(sh->ops[i]);
	return n;
}

static void *
worker_thread(void *arg)
{
	u32 slot = (u32)(uintptr_t)arg;

	worker_run(slot, 1000 + slot);
	return NULL;
}

/* What goes wrong at the end of a round is seen; in the midst of one the next turn would heal it. So: many
 * short rounds. */
static u64
threads_round(u64 ns)
{
	pthread_t t[WORKERS];

	pool_start();
	for (uintptr_t i = 0; i < WORKERS; i++)
		MUST(pthread_create(&t[i], NULL, worker_thread, (void *)i) == 0, "thread");
	usleep((useconds_t)(ns / US_NS));
	__atomic_store_n(&sh->stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(t[i], NULL);
	MUST(pool_used(pool(), SERVER) == 0, "%u cells leaked", pool_used(pool(), SERVER));
	return ops_sum();
}

/* Health: takes orphans, "ends their threads", hands the cells on. */
static void
health_run(u32 pid)
{
	u64 me = pool_owner(POOL_HEALTH, HEALTH_SLOT, EPOCH, pid);
	u32 to;
	int i;

	for (;;) {
		for (i = -1; (i = pool_next_orphan(pool(), SERVER, (u32)(i + 1))) >= 0;) {
			if (!pool_orphan_take(pool(), SERVER, (u32)i, me))
				continue;
			__atomic_store_n(&sh->holder[i], 0, __ATOMIC_SEQ_CST);
			if (pool_give(pool(), SERVER, (u32)i, me, &to))
				bell(ring[to]);
		}
		if (flag(&sh->end))
			_exit(0);
		bell_wait(ring_health, 1000);
	}
}

static pid_t
child_start(u32 slot)
{
	pid_t parent = getpid(), pid = fork();

	MUST(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	/* A test that fails leaves nobody behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (slot == HEALTH_SLOT)
		health_run((u32)getpid());
	worker_run(slot, (u32)getpid());
	_exit(0);
}

/* What the master does when a child has died. */
static void
child_lost(u32 slot, pid_t pid, int how)
{
	MUST(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL, "child %u ended with %x", slot, (unsigned)how);
	if (pool_orphan(pool(), slot, EPOCH, (u32)pid) > 0)
		bell(ring_health);
}

static void
child_kill(pid_t *pid, u32 slot)
{
	int how;

	kill(*pid, SIGKILL);
	MUST(waitpid(*pid, &how, 0) == *pid, "waitpid");
	child_lost(slot, *pid, how);
	*pid = 0;
}

/* Nobody is killed any more: the living finish their turn, keep what they hold and say how much that is. */
static void
compare_with_reality(const pid_t *pid)
{
	u32 held = 0, h;
	u64 until = clock_ns() + FORGOTTEN * MS_NS;

	__atomic_store_n(&sh->paused, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&sh->stop, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < WORKERS; i++) {
		if (pid[i] == 0)
			continue;
		while ((h = __atomic_load_n(&sh->held[i], __ATOMIC_SEQ_CST)) == 0) {
			MUST(clock_ns() < until, "worker %d does not finish", i);
			usleep(500);
		}
		held += h - 1;
	}
	for (; pool_used(pool(), SERVER) != held; usleep(500))
		MUST(clock_ns() < until, "%u cells used, %u held", pool_used(pool(), SERVER), held);
	for (int i = 0; i < LIMIT; i++)
		held -= __atomic_load_n(&sh->holder[i], __ATOMIC_SEQ_CST) != 0;
	MUST(held == 0, "holders and cells differ by %u", held);
}

static int
kill_at_random(pid_t *pid, u64 ns)
{
	u64 end = clock_ns() + ns, d = clock_ns() | 1;
	int kills = 0;

	while (clock_ns() < end) {
		u32 v = dice(&d) % (WORKERS + 1);

		usleep(dice(&d) % 2000);
		/* A slot stays empty for a while, as when its respawn is throttled. */
		if (pid[v] == 0) {
			pid[v] = child_start(v < WORKERS ? v : HEALTH_SLOT);
		} else {
			child_kill(&pid[v], v < WORKERS ? v : HEALTH_SLOT);
			kills++;
		}
	}
	if (pid[WORKERS] == 0)
		pid[WORKERS] = child_start(HEALTH_SLOT);
	return kills;
}

static u64
processes_round(u64 ns, int *kills)
{
	pid_t pid[WORKERS + 1];
	int how;

	pool_start();
	for (u32 i = 0; i < WORKERS; i++)
		pid[i] = child_start(i);
	pid[WORKERS] = child_start(HEALTH_SLOT);
	*kills += kill_at_random(pid, ns);
	compare_with_reality(pid);
	__atomic_store_n(&sh->end, true, __ATOMIC_SEQ_CST);
	bell(ring_health);
	for (int i = 0; i <= WORKERS; i++) {
		if (pid[i] != 0)
			MUST(waitpid(pid[i], &how, 0) == pid[i] && how == 0, "child %d: %x", i,
			    (unsigned)how);
	}
	MUST(pool_used(pool(), SERVER) == 0, "%u cells leaked", pool_used(pool(), SERVER));
	return ops_sum();
}

int
main(void)
{
	u64 end, ops = 0;
	int kills = 0, rounds = 0;

	sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	MUST(sh != MAP_FAILED, "mmap");
	for (int i = 0; i < WORKERS; i++)
		MUST((ring[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0, "eventfd");
	MUST((ring_health = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) >= 0, "eventfd");
	for (end = clock_ns() + stress_ns(2000); clock_ns() < end; rounds++)
		ops += threads_round(2 * MS_NS);
	printf("threads: %d rounds, %lu turns\n", rounds, (unsigned long)ops);
	fflush(stdout);
	ops = 0;
	rounds = 0;
	for (end = clock_ns() + stress_ns(3000); clock_ns() < end; rounds++)
		ops += processes_round(20 * MS_NS, &kills);
	printf("processes: %d rounds, %lu turns, %d killed\n", rounds, (unsigned long)ops, kills);
	MUST(kills > 10, "too few were killed to prove anything");
	return 0;
}
