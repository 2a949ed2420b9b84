/* worker/main.c: margay-worker: takes what the master hands over, maps the shared memory, runs the loop. Touches no file
 * after start. Contract with the master: shm/link.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "base/str.h"
#include "worker/sess.h"

/* Blocks from this size on are mapped each by itself and go back at once. Left alone, glibc raises its threshold to the
 * largest block ever freed, up to 32 MiB, and keeps twice as much: one client's long packet would stay with the worker for
 * good. Buffers of the busy path are smaller. */
#define MALLOC_MAPPED (256 * 1024)

static struct worker *the_worker; /* for the panic context alone */

static void
panic_context(char *buf, size_t size)
{
	struct worker *w = the_worker;

	if (w == NULL)
		return;
	struct sess *s = sess_by_id(w, w->at_session);
	int n = snprintf(buf, size, "generation %llu, %u sessions", (unsigned long long)w->gen, w->nsess);

	if (s != NULL && n > 0 && (size_t)n < size)
		snprintf(buf + n, size - (size_t)n, ", at session %u %s@%s in state %s, command %s, connection %u", s->id,
		    s->user, s->addr_text, sess_state_words[s->state], com_word(s->cmd.com),
		    s->b != NULL ? s->b->thread_id : 0);
}

static void
on_worker_turn(void *arg)
{
	sess_run_resumed(arg);
}

/* ---- start ---- */

static NORETURN void
die(int code, const char *what)
{
	log_err("%s", what);
	_exit(code);
}

static void
map_or_die(int fd, u64 magic, bool writable, struct shm_map *m, const char *what)
{
	int rc = shm_map_fd(fd, magic, writable, m);

	if (rc != 0) {
		log_err("%s: %s", what, err_text(rc));
		_exit(rc == ERR_ABI ? EXIT_ABI : EXIT_SYSTEM);
	}
	close(fd);
}

static void
reset_segment(struct worker *w)
{
	struct shm_seg_worker *seg = w->seg;

	shm_writer_enter(&seg->h, w->slot);
	w->stat = &seg->stat;
	w->sstat = shm_worker_servers(seg);
	w->users = shm_worker_users(seg);
	w->srec = shm_worker_sessions(seg);
	w->addrs = shm_worker_addrs(seg);
	shm_worker_reclaim(seg);
	w->free_rec = malloc(seg->max_sessions * sizeof *w->free_rec);
	if (w->free_rec == NULL)
		die(EXIT_SYSTEM, "out of memory");
	for (u32 i = 0; i < seg->max_sessions; i++)
		w->free_rec[w->nfree_rec++] = seg->max_sessions - 1 - i;
	panic_set_sink(seg->panic, sizeof seg->panic);
	panic_set_context(panic_context);
	log_set_drop_counter(&w->stat->log_dropped);
}

static void
on_start(struct worker *w, const struct link_start *m, const int *fds, size_t n)
{
	size_t k = 0, expect = 6 + 3 * (size_t)m->nworkers + (m->has_inbox ? 1 : 0) + 1;

	if (m->abi != shm_abi)
		die(EXIT_ABI, "built from another version than the master");
	if (m->nworkers == 0 || m->nworkers > LINK_MAX_WORKERS || m->slot >= m->nworkers || n != expect)
		die(EXIT_SYSTEM, "start message not understood");
	w->epoch = m->epoch;
	w->slot = m->slot;
	w->instance = m->instance;
	w->nworkers = m->nworkers;
	w->max_workers = m->max_workers;
	log_set_level((enum log_level)m->log_level);
	map_or_die(fds[k++], SHM_MAGIC_POOL, true, &w->m_pool, "pool segment");
	map_or_die(fds[k++], SHM_MAGIC_MASTER, false, &w->m_names, "names segment");
	map_or_die(fds[k++], SHM_MAGIC_HEALTH, false, &w->m_health, "health segment");
	map_or_die(fds[k++], SHM_MAGIC_WORKER, true, &w->m_self, "worker segment");
	w->pool = w->m_pool.p;
	w->names = w->m_names.p;
	w->health = w->m_health.p;
	w->seg = w->m_self.p;
	w->health_bell = fds[k++];
	for (u32 i = 0; i < w->nworkers; i++) {
		map_or_die(fds[k++], SHM_MAGIC_WORKER, false, &w->m_peer[i], "another worker's segment");
		w->peer[i] = w->m_peer[i].p;
		w->bells[i] = fds[k++];
		w->inboxes[i] = fds[k++];
	}
	w->inbox_fd = m->has_inbox ? fds[k++] : -1;
	map_or_die(fds[k++], SHM_MAGIC_AUTH, true, &w->m_auth, "auth segment");
	w->auth = w->m_auth.p;
	map_or_die(fds[k++], SHM_MAGIC_CATALOG, false, &w->m_catalog, "catalogue");
	w->catalog = w->m_catalog.p;
	if (madvise(w->m_auth.p, w->m_auth.size, MADV_DONTDUMP) != 0)
		log_warn("the auth segment may stand in a core file: %s", strerror(errno));
	w->me = pool_owner(POOL_WORKER, w->slot, w->epoch, (u32)getpid());
	w->max_servers = w->seg->max_servers;
	reset_segment(w);
}

/* Waits for the first message. The master speaks first; its end means that there is nothing to do. */
static void
wait_for_start(struct worker *w)
{
	u8 buf[4096] __attribute__((aligned(8)));
	int fds[LINK_MAX_FDS];

	for (;;) {
		struct pollfd p = {.fd = LINK_CHANNEL_FD, .events = POLLIN};
		u32 type;
		size_t n = ARRAY_LEN(fds);

		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			die(EXIT_SYSTEM, "poll");
		int len = link_recv(LINK_CHANNEL_FD, &type, buf, sizeof buf, fds, &n);
		if (len == ERR_AGAIN)
			continue;
		if (len == (int)sizeof(struct link_start) && type == LINK_START) {
			on_start(w, (const struct link_start *)(const void *)buf, fds, n);
			struct link_hello h = {.abi = shm_abi, .pid = (u32)getpid()};
			chan_say(w, LINK_HELLO, &h, sizeof h);
			return;
		}
		die(EXIT_SYSTEM, "no start message from the master");
	}
}

int
main(int argc, char **argv)
{
	static struct worker w;
	u64 slot = 0;

	if (argc != 3 || strcmp(argv[1], "--slot") != 0 || str_to_u64(argv[2], &slot) != 0 ||
	    fcntl(LINK_CHANNEL_FD, F_SETFL, O_NONBLOCK) != 0) {
		fprintf(stderr, "margay-worker is started by margayd\n");
		return EXIT_USAGE_;
	}
	log_init("worker", (int)slot, 2);
	mallopt(M_MMAP_THRESHOLD, MALLOC_MAPPED);
	mallopt(M_TRIM_THRESHOLD, MALLOC_MAPPED);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for the master, which then stops us */
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "margay-worker", 0, 0, 0);
	w.magic = WORKER_MAGIC;
	w.channel.fd = LINK_CHANNEL_FD;
	wait_for_start(&w);
	the_worker = &w;
	w.env.chunks = &w.chunks;
	w.env.bytes_held = &w.bytes_held;
	w.env.rbuf = malloc(RBUF_SIZE);
	w.srv = calloc(w.max_servers, sizeof *w.srv);
	if (w.env.rbuf == NULL || w.srv == NULL)
		die(EXIT_SYSTEM, "out of memory");
	intern_init(&w.in);
	arena_init(&w.arena, STMT_ARENA);
	list_init(&w.sessions);
	list_init(&w.resume);
	list_init(&w.held);
	list_init(&w.proving);
	for (int i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w.wheel[i]);
	for (u32 i = 0; i < w.max_servers; i++) {
		w.srv[i].w = &w;
		w.srv[i].id = i;
		list_init(&w.srv[i].pools);
		list_init(&w.srv[i].conns);
	}
	ev_init(&w.loop, &w, WORKER_TICK_MS, worker_on_tick, on_worker_turn);
	w.wheel_now = ev_now(&w.loop) / (WORKER_TICK_MS * MS_NS);
	chan_open(&w);
	ev_run(&w.loop);
	log_info("ended");
	return EXIT_OK;
}
