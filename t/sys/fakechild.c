/* t/sys/fakechild.c: stands in for margay-worker and margay-health in tests of the master: speaks shm/link.h,
 * beats its heart, accepts clients ("hello from SLOT PID\n"), and misbehaves as MARGAY_TEST_<ROLE> tells it
 * (ROLE: WORKER or HEALTH; a comma separated list):
 *   panic      writes a panic text and aborts, 50 ms after READY     exit=N     exits with N at once
 *   hang       beats no more after READY, ignores SIGTERM            mute       never says READY
 *   refuse=G   refuses generation G                                  slow       adopts after 7 s
 *   noisy      writes much to its log, with lines of all kinds       undrained  does not stop when asked
 *   only=SLOT  all this for one slot only
 * MARGAY_TEST_FLAG names a file: the misbehaviour holds only while it exists. Test only.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "shm/cfg.h"
#include "shm/link.h"
#include "shm/pool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_TAKEN 64

static struct {
	bool health, started, ready, stopping, orphan, frozen;
	int slot;
	u64 epoch, ready_at, adopt_at, pending;
	struct shm_seg_pool *pool;
	struct shm_header *seg;
	char *panic;
	struct shm_wstat *stat;
	struct cfg cfg;
	int listen[LINK_MAX_LISTEN], taken[MAX_TAKEN];
	u32 nlisten, ntaken;
} F;

/* --- what to do wrong --- */

static const char *
mischief(const char *what)
{
	const char *list = getenv(F.health ? "MARGAY_TEST_HEALTH" : "MARGAY_TEST_WORKER"),
	           *flag = getenv("MARGAY_TEST_FLAG"), *p;
	char only[32];
	size_t n = strlen(what);

	if (list == NULL || (flag != NULL && access(flag, F_OK) != 0))
		return NULL;
	snprintf(only, sizeof only, "only=%d", F.slot);
	if (strstr(list, "only=") != NULL && strstr(list, only) == NULL)
		return NULL;
	for (p = list; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, what, n) == 0 && (p[n] == '\0' || p[n] == ',' || p[n] == '='))
			return p + n + (p[n] == '=');
	}
	return NULL;
}

static u64
number(const char *s)
{
	char text[24];
	u64 v = 0;

	str_copy_slice(text, sizeof text, s, strcspn(s, ","));
	return str_to_u64(text, &v) == 0 ? v : 0;
}

/* --- the channel --- */

static void
tell(u32 type, const void *body, size_t len)
{
	if (!F.orphan && link_send(LINK_CHANNEL_FD, type, body, len, NULL, 0) != 0)
		log_warn("message %u cannot be sent", type);
}

static void *
map(int fd, u64 magic, bool writable)
{
	struct shm_map m;
	int rc = shm_map_fd(fd, magic, writable, &m);

	if (rc != 0) {
		log_err("segment: %s", err_text(rc));
		_exit(EXIT_ABI);
	}
	return m.p;
}

static void
on_start(const struct link_start *s, const int *fds, size_t nfds)
{
	struct link_hello h = {.abi = shm_abi, .pid = (u32)getpid()};
	size_t expect = 5 + (F.health ? 0 : 3) + 3 * (size_t)s->nworkers;

	if (s->abi != shm_abi)
		_exit(EXIT_ABI);
	if (nfds != expect) {
		log_err("LINK_START came with %zu descriptors, not %zu", nfds, expect);
		_exit(EXIT_FAIL);
	}
	F.epoch = s->epoch;
	F.pool = map(fds[0], SHM_MAGIC_POOL, true);
	(void)map(fds[1], SHM_MAGIC_MASTER, false);
	if (F.health) {
		struct shm_seg_health *g = map(fds[2], SHM_MAGIC_HEALTH, true);

		F.seg = &g->h;
		F.panic = g->panic;
	} else {
		struct shm_seg_worker *g = map(fds[3], SHM_MAGIC_WORKER, true);

		F.seg = &g->h;
		F.panic = g->panic;
		F.stat = &g->stat;
	}
	shm_writer_enter(F.seg, s->slot);
	panic_set_sink(F.panic, SHM_PANIC_SIZE);
	F.started = true;
	tell(LINK_HELLO, &h, sizeof h);
}

static void
adopt(u64 generation)
{
	struct link_u64 v = {generation};
	const char *bad = mischief("refuse");

	if (bad != NULL && number(bad) == generation) {
		tell(LINK_REFUSED, &v, sizeof v);
		return;
	}
	log_set_generation(generation);
	F.seg->generation = generation;
	tell(LINK_ADOPTED, &v, sizeof v);
	if (F.ready || mischief("mute") != NULL)
		return;
	/* A worker holds a cell of each server, so that tests see it taken back. */
	for (u32 i = 0; !F.health && i < F.cfg.r->nservers; i++)
		if (pool_take(F.pool, cfg_servers(&F.cfg)[i].pool_slot,
		        pool_owner(POOL_WORKER, (u32)F.slot, F.epoch, (u32)getpid()), false) < 0)
			log_warn("no cell of server %u", i);
	F.ready = true;
	F.ready_at = clock_ns();
	tell(LINK_READY, NULL, 0);
}

static void
on_config(u64 generation, const int *fds, size_t nfds)
{
	struct cfg c;
	int rc = nfds != 2 ? ERR_INVAL : cfg_open(fds[0], fds[1], &c);

	if (rc != 0 || c.r->h.generation != generation) {
		log_err("generation %llu: %s", (unsigned long long)generation, err_text(rc));
		_exit(EXIT_FAIL);
	}
	if (F.cfg.r != NULL)
		cfg_close(&F.cfg);
	F.cfg = c;
	F.pending = generation;
	F.adopt_at = clock_ns() + (F.ready && mischief("slow") != NULL ? 7000 * MS_NS : 0);
}

static void
close_all(int *fds, u32 *n)
{
	while (*n > 0)
		close(fds[--*n]);
}

static void
on_stop(void)
{
	if (mischief("undrained") != NULL)
		return;
	close_all(F.listen, &F.nlisten);
	tell(LINK_DRAINED, NULL, 0);
	_exit(EXIT_OK);
}

/* Keeps the descriptors that it has a use for; *nfds is what is left to close. */
static void
on_message(u32 type, const void *body, int *fds, size_t *nfds)
{
	struct link_start s;
	struct link_config g;
	struct link_u64 v;

	switch (type) {
	case LINK_START:
		memcpy(&s, body, sizeof s);
		on_start(&s, fds, *nfds);
		break;
	case LINK_LISTEN:
		close_all(F.listen, &F.nlisten);
		memcpy(F.listen, fds, *nfds * sizeof *fds);
		F.nlisten = (u32)*nfds;
		*nfds = 0;
		break;
	case LINK_TAKEOVER:
		log_notice("takes over %zu sockets", *nfds);
		for (; *nfds > 0 && F.ntaken < MAX_TAKEN; --*nfds)
			F.taken[F.ntaken++] = fds[*nfds - 1];
		break;
	case LINK_CONFIG:
		memcpy(&g, body, sizeof g);
		on_config(g.generation, fds, *nfds);
		break;
	case LINK_STOP:
		on_stop();
		break;
	case LINK_LOG_LEVEL:
		memcpy(&v, body, sizeof v);
		log_set_level((enum log_level)v.v);
		break;
	default:
		log_notice("message %u", type);
	}
}

static void
read_channel(void)
{
	u64 body[64];
	int fds[LINK_MAX_FDS], rc;
	size_t nfds;
	u32 type;

	for (;;) {
		nfds = LINK_MAX_FDS;
		rc = link_recv(LINK_CHANNEL_FD, &type, body, sizeof body, fds, &nfds);
		if (rc == ERR_AGAIN)
			return;
		if (rc < 0)
			break;
		on_message(type, body, fds, &nfds);
		while (nfds > 0)
			close(fds[--nfds]);
	}
	F.orphan = true;
}

/* --- clients --- */

static bool
serve_one(int fd)
{
	char line[64];
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC), n;

	if (c < 0)
		return false;
	n = snprintf(line, sizeof line, "hello from %d %d\n", F.slot, (int)getpid());
	if (send(c, line, (size_t)n, MSG_NOSIGNAL) < 0)
		log_warn("client: %s", strerror(errno));
	close(c);
	F.stat->accepted++;
	return true;
}

/* Those who wait in the queues already are served before the end. */
NORETURN static void
finish(void)
{
	for (u32 i = 0; i < F.nlisten; i++)
		while (serve_one(F.listen[i]))
			;
	_exit(EXIT_OK);
}

static size_t
poll_set(struct pollfd *p)
{
	size_t n = 0;

	if (!F.orphan)
		p[n++] = (struct pollfd){.fd = LINK_CHANNEL_FD, .events = POLLIN};
	for (u32 i = 0; F.ready && i < F.nlisten; i++)
		p[n++] = (struct pollfd){.fd = F.listen[i], .events = POLLIN};
	for (u32 i = 0; F.ready && i < F.ntaken; i++)
		p[n++] = (struct pollfd){.fd = F.taken[i], .events = POLLIN};
	return n;
}

static void
be_noisy(void)
{
	static const char raw[] = "a line of a library\nwithout \x01 level\n";

	for (int i = 0; i < 200; i++)
		log_notice("noise %d", i);
	if (write(2, raw, sizeof raw - 1) < 0)
		_exit(EXIT_FAIL);
}

/* What is due at this moment. */
static void
do_due(void)
{
	u64 now = clock_ns();
	u64 pending = F.pending;

	if (F.seg != NULL && !(F.ready && mischief("hang") != NULL))
		shm_heartbeat(F.seg, now);
	if (pending != 0 && now >= F.adopt_at) {
		F.pending = 0;
		adopt(pending);
		if (mischief("noisy") != NULL)
			be_noisy();
	}
	if (F.ready && now > F.ready_at + 50 * MS_NS && mischief("panic") != NULL)
		WRONG("asked to panic");
	/* Without a master: serve until a successor does, then end. */
	if (F.orphan && F.pool != NULL && F.pool->p.serving_epoch > F.epoch)
		finish();
	if (F.orphan && F.pool == NULL)
		_exit(EXIT_OK);
}

int
main(int argc, char **argv)
{
	struct pollfd p[1 + LINK_MAX_LISTEN + MAX_TAKEN];
	const char *code;

	F.health = strcmp(argv[0], "margay-health") == 0;
	if (!F.health && (argc != 3 || strcmp(argv[1], "--slot") != 0))
		return EXIT_USAGE_;
	F.slot = F.health ? -1 : (int)number(argv[2]);
	prctl(PR_SET_NAME, F.health ? "fake-health" : "fake-worker");
	log_init(F.health ? "health" : "worker", F.slot, 2);
	signal(SIGPIPE, SIG_IGN);
	if (mischief("hang") != NULL)
		signal(SIGTERM, SIG_IGN);
	code = mischief("exit");
	if (code != NULL)
		return (int)number(code);
	for (;;) {
		size_t n = poll_set(p);

		if (poll(p, n, 20) < 0 && errno != EINTR)
			return EXIT_FAIL;
		for (size_t i = F.orphan ? 0 : 1; i < n; i++)
			if (p[i].revents & POLLIN)
				(void)serve_one(p[i].fd);
		if (!F.orphan && p[0].revents != 0)
			read_channel();
		do_due();
	}
}
