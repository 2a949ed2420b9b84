/* health/main.c: margay-health: the process that looks at servers, so that no worker has to. This thread owns
 * the channel to the master and is the only one that writes the health segment; it waits in poll(2) and never
 * for a server. When the master is gone it goes on publishing until a newer master's workers serve,
 * or until its own workers are gone too.
 */
#include "health/publish.h"
#include "health/db.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "shm/link.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ALARM_MS 20 /* alarms closer together than this are one: many workers see the same server fail */
/* With the master gone and no sign of life from its workers for so long, nobody reads what is published. */
#define UNREAD_MS 15000
#define TICK_MS   200 /* heartbeat of the segment, lag that grows unseen, the end of the epoch */

static struct {
	struct table t;
	struct shm_map pool, names, health, catalog, worker[LINK_MAX_WORKERS];
	int alarm_fd;
	bool started, adopted, ready, orphaned, stop, alarm;
	u64 look_ns; /* when definitions are to be looked at again */
	u64 epoch, ready_due_ns, judged_ns, alarmed_ns, orphaned_ns;
} M;

static void
fds_close(int *fds, size_t from, size_t n)
{
	for (size_t i = from; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* ---- the channel ---- */

static int
map_segments(const int *fds, int catalog)
{
	int rc = shm_map_fd(fds[0], SHM_MAGIC_POOL, true, &M.pool);

	if (rc == 0)
		rc = shm_map_fd(fds[1], SHM_MAGIC_MASTER, false, &M.names);
	if (rc == 0)
		rc = shm_map_fd(fds[2], SHM_MAGIC_HEALTH, true, &M.health);
	if (rc == 0)
		rc = shm_map_fd(catalog, SHM_MAGIC_CATALOG, true, &M.catalog);
	return rc;
}

static void
begin_writing(const struct link_start *s)
{
	struct table *t = &M.t;

	t->seg = M.health.p;
	t->names = M.names.p;
	t->env.pool = M.pool.p;
	t->env.instance = s->instance;
	t->env.me = pool_owner(POOL_HEALTH, s->slot, s->epoch, (u32)getpid());
	t->nservers = (u32)MIN((M.health.size - sizeof(struct shm_seg_health)) / sizeof(struct shm_srvhealth),
	    JUDGE_MAX_SERVERS);
	t->nservers = MIN(t->nservers, t->names->m.max_servers);
	panic_set_sink(t->seg->panic, sizeof t->seg->panic);
	shm_writer_enter(&t->seg->h, s->slot);
	t->cat.seg = M.catalog.p;
	shm_writer_enter(&t->cat.seg->h, s->slot);
}

/* fds: pool, names, health, our eventfd, then for each worker slot its segment, eventfd, inbox; last the catalogue. */
static int
on_start(const struct link_start *s, int *fds, size_t nfds)
{
	struct table *t = &M.t;
	struct link_hello hello = {.abi = shm_abi, .pid = (u32)getpid()};

	if (s->abi != shm_abi) {
		log_err("the master is of another build");
		return EXIT_ABI;
	}
	if (M.started || s->nworkers > LINK_MAX_WORKERS || nfds < 5 + 3 * (size_t)s->nworkers) {
		log_err("a start message that does not fit");
		return EXIT_FAIL;
	}
	if (map_segments(fds, fds[4 + 3 * (size_t)s->nworkers]) != 0) {
		log_err("shared memory of the master cannot be mapped");
		return EXIT_ABI;
	}
	log_set_level((enum log_level)s->log_level);
	M.epoch = s->epoch;
	M.alarm_fd = fds[3];
	t->env.nworkers = s->nworkers;
	for (u32 i = 0; i < s->nworkers; i++) {
		if (shm_map_fd(fds[4 + 3 * i], SHM_MAGIC_WORKER, false, &M.worker[i]) != 0)
			log_warn("segment of worker %u cannot be mapped", i);
		close(fds[4 + 3 * i]);
		t->env.worker_fd[i] = fds[5 + 3 * i];
		close(fds[6 + 3 * i]);
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fds_close(fds, 4 + 3 * (size_t)s->nworkers, nfds);
	begin_writing(s);
	M.started = true;
	if (link_send(LINK_CHANNEL_FD, LINK_HELLO, &hello, sizeof hello, NULL, 0) != 0)
		log_warn("the master cannot be told that health has started");
	return 0;
}

static void
tell_generation(u32 type, u64 generation)
{
	struct link_u64 m = {.v = generation};

	if (link_send(LINK_CHANNEL_FD, type, &m, sizeof m, NULL, 0) != 0)
		log_warn("the master cannot be told of generation %llu", (unsigned long long)generation);
}

static void
on_config(const struct link_config *m, int *fds, size_t nfds)
{
	struct cfg cfg;
	int rc = nfds >= 1 ? cfg_open(fds[0], nfds >= 2 ? fds[1] : -1, &cfg) : ERR_INVAL;

	fds_close(fds, 0, nfds);
	if (rc == 0) {
		rc = table_adopt(&M.t, &cfg);
		cfg_close(&cfg);
	}
	if (rc != 0) {
		log_err("generation %llu cannot be adopted: %s", (unsigned long long)m->generation,
		    err_text(rc));
		tell_generation(LINK_REFUSED, m->generation);
		return;
	}
	__atomic_store_n(&M.t.seg->h.generation, m->generation, __ATOMIC_RELEASE);
	log_set_generation(m->generation);
	if (!M.adopted)
		/* Every probe has ended by then, the time for threads to start included. */
		M.ready_due_ns = clock_ns() + (table_longest_ms(&M.t) + 1000) * MS_NS;
	M.adopted = true;
	tell_generation(LINK_ADOPTED, m->generation);
	table_rejudge(&M.t);
}

/* Takes one message. 0, ERR_AGAIN when there is none, or an exit code (positive). */
static int
on_message(void)
{
	union {
		struct link_start start;
		struct link_config config;
		struct link_u64 u;
		u8 bytes[4096];
	} b;
	int fds[LINK_MAX_FDS], len;
	size_t nfds = ARRAY_LEN(fds);
	u32 type;

	memset(&b, 0, sizeof b);
	len = link_recv(LINK_CHANNEL_FD, &type, &b, sizeof b, fds, &nfds);
	if (len == ERR_AGAIN)
		return ERR_AGAIN;
	if (len < 0) {
		/* The master is ours: what it sends is well formed, or it is gone. */
		log_notice("the master is gone: health goes on until a successor serves");
		M.orphaned = true;
		M.orphaned_ns = clock_ns();
		close(LINK_CHANNEL_FD);
		return M.adopted ? ERR_AGAIN : EXIT_FAIL;
	}
	if (type == LINK_START && (size_t)len == sizeof b.start)
		return on_start(&b.start, fds, nfds);
	if (type == LINK_CONFIG && (size_t)len == sizeof b.config && M.started) {
		on_config(&b.config, fds, nfds);
		return 0;
	}
	fds_close(fds, 0, nfds);
	if (type == LINK_STOP)
		M.stop = true;
	else if (type == LINK_LOG_LEVEL && (size_t)len == sizeof b.u)
		log_set_level((enum log_level)b.u.v);
	else if (type == LINK_ADMIN && M.adopted)
		table_rejudge(&M.t);
	return 0;
}

/* ---- the loop ---- */

/* What was added to it since. */
static u64
drain(int fd)
{
	u64 n = 0;

	if (read(fd, &n, sizeof n) < 0)
		return 0; /* not rung */
	return n;
}

static bool
is_read(u64 now)
{
	u64 last = M.orphaned_ns;

	for (u32 i = 0; i < M.t.env.nworkers; i++) {
		const struct shm_header *h = M.worker[i].p;

		if (h != NULL)
			last = MAX(last, __atomic_load_n(&h->heartbeat, __ATOMIC_RELAXED));
	}
	return last > now || now - last < UNREAD_MS * MS_NS;
}

static void
tick(void)
{
	u64 now = clock_ns();

	if (!M.started)
		return;
	shm_heartbeat(&M.t.seg->h, now);
	shm_heartbeat(&M.t.cat.seg->h, now);
	if (M.adopted)
		M.look_ns = catalog_look(&M.t);
	if (M.adopted && now - M.judged_ns > 1000 * MS_NS) {
		M.judged_ns = now;
		table_rejudge(&M.t);
	}
	if (M.adopted && M.alarm && now - M.alarmed_ns > ALARM_MS * MS_NS) {
		M.alarm = false;
		M.alarmed_ns = now;
		table_alarm(&M.t);
	}
	if (M.adopted && !M.ready && (table_all_known(&M.t) || now > M.ready_due_ns)) {
		M.ready = true;
		if (!M.orphaned && link_send(LINK_CHANNEL_FD, LINK_READY, NULL, 0, NULL, 0) != 0)
			log_warn("the master cannot be told that health is ready");
	}
	if (M.orphaned &&
	    (__atomic_load_n(&M.t.env.pool->p.serving_epoch, __ATOMIC_ACQUIRE) > M.epoch || !is_read(now)))
		M.stop = true;
}

static int
wait_ms(void)
{
	u64 now = clock_ns();

	if (!M.adopted)
		return TICK_MS;
	return M.look_ns <= now ? 0 : (int)MIN((M.look_ns - now) / MS_NS + 1, (u64)TICK_MS);
}

static int
loop(void)
{
	while (!M.stop) {
		struct pollfd p[3] = {{.fd = M.t.env.report_fd, .events = POLLIN},
		    {.fd = M.started ? M.alarm_fd : -1, .events = POLLIN},
		    {.fd = M.orphaned ? -1 : LINK_CHANNEL_FD, .events = POLLIN}};

		if (poll(p, 3, M.alarm ? ALARM_MS : wait_ms()) < 0 && errno != EINTR)
			PANIC("poll: errno %d", errno);
		if (p[0].revents != 0) {
			drain(M.t.env.report_fd);
			table_update(&M.t);
		}
		if (p[1].revents != 0) {
			u64 n = drain(M.alarm_fd);

			M.alarm |= n % LINK_BELL_DDL != 0;
			if (n >= LINK_BELL_DDL && M.adopted)
				M.look_ns = 0;
		}
		if (p[2].revents != 0) {
			int rc = on_message();

			if (rc > 0)
				return rc;
		}
		tick();
	}
	return EXIT_OK;
}

int
main(int argc, char **argv UNUSED)
{
	int rc;

	if (argc != 1) {
		(void)fprintf(stderr, "margay-health is started by margayd\n");
		return EXIT_USAGE_;
	}
	log_init("health", -1, 2);
	/* A peer that closes is told by the error of the write; a terminal's ^C is the master's to handle. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	M.t.env.report_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (M.t.env.report_fd < 0 || db_library_init() != 0) {
		log_err("no descriptor or memory to start with");
		return EXIT_SYSTEM;
	}
	rc = loop();
	table_clear(&M.t);
	db_library_end();
	return rc;
}
