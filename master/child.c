/* master/child.c: starts a child, talks to it over its channel and buries it. Master only. Between fork and
 * exec nothing of the master may be used but what is passed in.
 */
#include "config.h"
#include "master/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "master/super.h"
#include "shm/seq.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXEC_FD 4     /* behind the descriptors of shm/link.h */
#define DEAF_MS 30000 /* from the end of a channel to SIGKILL */

void
child_init(struct child *c, struct master *m, int slot)
{
	memset(c, 0, sizeof *c);
	c->m = m;
	c->slot = slot;
	c->pidfd = c->channel = -1;
	if (slot < 0)
		str_copy(c->name, sizeof c->name, "health");
	else
		snprintf(c->name, sizeof c->name, "worker/%d", slot);
}

struct shm_slot *
child_record(const struct child *c)
{
	struct shm_seg_master *s = segs_names(&c->m->segs);

	return c->slot < 0 ? &s->health : &shm_master_workers(s)[c->slot];
}

static struct shm_header *
segment_of(const struct child *c)
{
	return c->slot < 0 ? &segs_health(&c->m->segs)->h : &segs_worker(&c->m->segs, (u32)c->slot)->h;
}

u64
child_last_sign(const struct child *c)
{
	const struct shm_header *h = segment_of(c);

	/* Until the child announces itself, the header shows the one before it. */
	if (__atomic_load_n(&h->pid, __ATOMIC_ACQUIRE) != (u32)c->pid)
		return c->born;
	return MAX(c->born, __atomic_load_n(&h->heartbeat, __ATOMIC_RELAXED));
}

bool
child_panic_take(struct child *c, char *buf, size_t size)
{
	char *text = c->slot < 0 ? segs_health(&c->m->segs)->panic :
	                           segs_worker(&c->m->segs, (u32)c->slot)->panic;

	if (text[0] == '\0')
		return false;
	str_copy_slice(buf, size, text, strnlen(text, SHM_PANIC_SIZE));
	text[0] = '\0';
	return true;
}

void
child_signal(struct child *c, int sig)
{
	if (child_lives(c) && pidfd_send_signal(c->pidfd, sig, NULL, 0) != 0)
		log_warn("%s[%d]: signal %d: %s", c->name, (int)c->pid, sig, strerror(errno));
}

/* --- the child's side of fork --- */

struct setup {
	int null, log, channel, exe;
	char *const *argv, *const *envp;
};

NORETURN static void
setup_failed(const char *what)
{
	char line[256];
	int n = snprintf(line, sizeof line, "<3>child[%d] %s: %s\n", (int)getpid(), what, strerror(errno));

	if (n > 0 && write(2, line, (size_t)n) < 0)
		_exit(EXIT_SYSTEM);
	_exit(EXIT_SYSTEM);
}

/* Out of the way of 0..EXEC_FD, whatever number it has. */
static int
move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, EXEC_FD + 1);

	if (up < 0)
		setup_failed("fcntl");
	return up;
}

NORETURN static void
become_child(const struct setup *s)
{
	int null = move_up(s->null), out = move_up(s->log), channel = move_up(s->channel),
	    exe = move_up(s->exe);
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	/* A group of its own: Ctrl-C in a terminal reaches the master alone, which stops the others. */
	setpgid(0, 0);
	if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    dup2(channel, LINK_CHANNEL_FD) < 0 || dup3(exe, EXEC_FD, O_CLOEXEC) < 0)
		setup_failed("dup2");
	if (close_range(EXEC_FD + 1, ~0u, 0) != 0)
		setup_failed("close_range");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fexecve(EXEC_FD, s->argv, s->envp);
	setup_failed("exec");
}

static bool
env_passes(const char *v)
{
	static const char *const names[] = {"PATH=", "LANG=", "TZ=", "MARGAY_",
#if defined(MARGAY_ASAN) || defined(__SANITIZE_THREAD__)
	    "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=",
#endif
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strncmp(v, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static void
env_filter(char **out, size_t room)
{
	size_t n = 0;

	for (char **e = environ; *e != NULL && n + 1 < room; e++)
		if (env_passes(*e))
			out[n++] = *e;
	out[n] = NULL;
}

NORETURN static void
exec_child(const struct child *c, int null, int log, int channel)
{
	char slot[16], arg0[] = "margay-worker", health[] = "margay-health", opt[] = "--slot";
	char *argv[] = {arg0, opt, slot, NULL}, *health_argv[] = {health, NULL}, *env[64];
	struct setup s = {.null = null, .log = log, .channel = channel};

	snprintf(slot, sizeof slot, "%d", c->slot);
	env_filter(env, ARRAY_LEN(env));
	s.argv = c->slot < 0 ? health_argv : argv;
	s.envp = env;
	s.exe = c->slot < 0 ? c->m->health_exe : c->m->worker_exe;
	become_child(&s);
}

/* --- messages --- */

static void on_channel(void *arg, short revents);

static int
send_start(const struct child *c)
{
	const struct segs *s = &c->m->segs;
	int fds[LINK_MAX_FDS];
	size_t n = segs_start_fds(s, c->slot, fds);
	struct link_start b = {.abi = shm_abi,
	    .epoch = s->epoch,
	    .slot = c->slot < 0 ? 0 : (u32)c->slot,
	    .instance = (u32)master_opts(c->m)->instance,
	    .nworkers = s->nworkers,
	    .max_workers = s->caps.max_workers,
	    .has_inbox = c->slot >= 0,
	    .log_level = (u32)log_level()};

	return link_send(c->channel, LINK_START, &b, sizeof b, fds, n);
}

static int
send_one(const struct child *c, u32 what)
{
	const struct master *m = c->m;
	struct link_listen l;
	struct link_config g = {.generation = m->gen.number};
	struct link_u64 level = {.v = (u64)log_level()};
	struct link_stop stop = {.drain_ms = m->drain_ms};
	int fds[LINK_MAX_LISTEN], cfg[2] = {m->gen.fd, m->gen.sfd};
	u32 n;

	switch (what) {
	case OWE_START:
		return send_start(c);
	case OWE_LOG:
		return link_send(c->channel, LINK_LOG_LEVEL, &level, sizeof level, NULL, 0);
	case OWE_LISTEN:
		if (c->slot < 0)
			return 0;
		n = listen_message(&m->listen, (u32)c->slot, false, &l, fds);
		return link_send(c->channel, LINK_LISTEN, &l, sizeof l, fds, n);
	case OWE_CONFIG:
		return link_send(c->channel, LINK_CONFIG, &g, sizeof g, cfg, 2);
	case OWE_ADMIN:
		return link_send(c->channel, LINK_ADMIN, NULL, 0, NULL, 0);
	default:
		return link_send(c->channel, LINK_STOP, &stop, sizeof stop, NULL, 0);
	}
}

/* Sends what is owed. A child that does not read is left alone until it does, or is found hanging. */
static void
flush_owed(struct child *c)
{
	for (u32 bit = OWE_START; bit <= OWE_STOP; bit <<= 1) {
		int rc;

		if ((c->owed & bit) == 0)
			continue;
		rc = send_one(c, bit);
		if (rc == ERR_AGAIN) {
			c->channel_node.events = POLLIN | POLLOUT;
			return;
		}
		/* Any other failure means that it is dying: its end is reported through the pidfd. */
		c->owed &= ~bit;
		if (bit == OWE_STOP)
			c->stop_sent = true;
	}
	c->channel_node.events = POLLIN;
}

void
child_owe(struct child *c, u32 owed)
{
	if (!child_lives(c))
		return;
	c->owed |= owed;
	flush_owed(c);
}

int
child_take_over(struct child *c, u32 slot)
{
	struct link_listen l;
	int fds[LINK_MAX_LISTEN];
	u32 n = listen_message(&c->m->listen, slot, true, &l, fds);

	return n == 0 ? 0 : link_send(c->channel, LINK_TAKEOVER, &l, sizeof l, fds, n);
}

static void
on_hello(struct child *c, const struct link_hello *h)
{
	if (h->abi != shm_abi || h->pid != (u32)c->pid)
		log_err("%s[%d]: its HELLO does not fit (abi %016llx, ours %016llx)", c->name, (int)c->pid,
		    (unsigned long long)h->abi, (unsigned long long)shm_abi);
	else
		c->hello = true;
}

static void
on_message(struct child *c, u32 type, const void *body, size_t len)
{
	struct link_hello hello;
	struct link_u64 v;

	if (type == LINK_HELLO && len == sizeof hello) {
		memcpy(&hello, body, sizeof hello);
		on_hello(c, &hello);
	} else if (type == LINK_READY && len == 0) {
		super_on_ready(c);
	} else if ((type == LINK_ADOPTED || type == LINK_REFUSED) && len == sizeof v) {
		memcpy(&v, body, sizeof v);
		super_on_adopted(c, v.v, type == LINK_REFUSED);
	} else if (type == LINK_DRAINED && len == 0) {
		log_info("%s[%d]: no session left", c->name, (int)c->pid);
	} else {
		log_err("%s[%d]: message %u of %zu bytes is not known", c->name, (int)c->pid, type, len);
	}
}

/* false: the channel has ended. */
static bool
read_channel(struct child *c)
{
	u8 body[512];
	int fds[8], rc;
	size_t nfds;
	u32 type;

	for (int i = 0; i < 64; i++) {
		nfds = ARRAY_LEN(fds);
		rc = link_recv(c->channel, &type, body, sizeof body, fds, &nfds);
		if (rc == ERR_AGAIN)
			return true;
		if (rc == ERR_PROTO) {
			log_err("%s[%d]: malformed message", c->name, (int)c->pid);
			continue;
		}
		if (rc < 0)
			return false;
		while (nfds > 0) /* children have no descriptors to give */
			close(fds[--nfds]);
		on_message(c, type, body, (size_t)rc);
	}
	return true;
}

static void
on_deaf(void *arg)
{
	struct child *c = arg;

	log_err("%s[%d]: has closed its channel, is killed", c->name, (int)c->pid);
	child_signal(c, SIGKILL);
}

static void
on_channel(void *arg, short revents)
{
	struct child *c = arg;

	if (revents & (POLLIN | POLLHUP | POLLERR) && !read_channel(c)) {
		loop_del(&c->m->loop, &c->channel_node);
		/* It is dying, as a rule, and a core may be on its way to the disk. A child that lives on
		 * cannot be told anything any more. */
		if (!loop_timer_pending(&c->kill_timer))
			loop_timer_set(&c->m->loop, &c->kill_timer, clock_ns() + DEAF_MS * MS_NS, on_deaf, c);
		return;
	}
	if (revents & POLLOUT)
		flush_owed(c);
}

static void
on_pidfd(void *arg, short revents)
{
	(void)revents;
	super_on_end(arg);
}

/* --- start and end --- */

static void
record_start(struct child *c)
{
	struct shm_slot *r = child_record(c);

	r->pid = (u32)c->pid;
	r->state = SHM_SLOT_STARTING;
	r->started = clock_wall_ms();
	r->starts++;
	r->next_start = 0;
	STAT_ADD(master_stat(c->m)->child_starts, 1);
}

/* Parent's side: takes the ends that stay here. */
static int
adopt(struct child *c, int log, int channel)
{
	char who[48];
	int rc;

	c->born = clock_ns();
	c->channel = channel;
	snprintf(who, sizeof who, "%s[%d]", c->name, (int)c->pid);
	c->pidfd = pidfd_open(c->pid, 0);
	rc = c->pidfd < 0 ? ERR_SYSTEM : log_pipe_open(&c->log, &c->m->logs, log, who);
	if (rc == 0)
		rc = loop_add(&c->m->loop, &c->channel_node, channel, POLLIN, on_channel, c);
	if (rc == 0)
		rc = loop_add(&c->m->loop, &c->pid_node, c->pidfd, POLLIN, on_pidfd, c);
	return rc;
}

static void
forget(struct child *c)
{
	loop_del(&c->m->loop, &c->pid_node);
	loop_del(&c->m->loop, &c->channel_node);
	loop_timer_clear(&c->kill_timer);
	log_pipe_close(&c->log);
	if (c->pidfd >= 0)
		close(c->pidfd);
	if (c->channel >= 0)
		close(c->channel);
	c->pidfd = c->channel = -1;
	c->pid = 0;
	c->state = CHILD_NONE;
	c->owed = 0;
	c->hello = c->stop_sent = c->aborted = false;
	c->adopted = c->refused = 0;
}

static int
fork_child(struct child *c, const int *log, const int *channel, int null)
{
	c->pid = fork();
	if (c->pid == 0)
		exec_child(c, null, log[1], channel[1]);
	if (c->pid < 0)
		return ERR_SYSTEM;
	if (adopt(c, log[0], channel[0]) == 0)
		return 0;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	return ERR_SYSTEM;
}

int
child_start(struct child *c)
{
	int log[2] = {-1, -1}, channel[2] = {-1, -1}, null, rc = ERR_SYSTEM, saved;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && pipe2(log, O_CLOEXEC | O_NONBLOCK) == 0 &&
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) == 0)
		rc = fork_child(c, log, channel, null);
	saved = errno;
	if (null >= 0)
		close(null);
	if (log[1] >= 0)
		close(log[1]);
	if (channel[1] >= 0)
		close(channel[1]);
	if (rc != 0) {
		if (c->log.logs == NULL && log[0] >= 0)
			close(log[0]);
		if (c->channel < 0 && channel[0] >= 0)
			close(channel[0]);
		forget(c);
		log_err("%s cannot be started: %s", c->name, strerror(saved));
		return rc;
	}
	c->state = CHILD_STARTING;
	record_start(c);
	child_owe(c, OWE_START | (c->slot < 0 ? 0 : OWE_LISTEN) | OWE_CONFIG);
	return 0;
}

struct ending
child_reap(struct child *c, u64 *lived_ms_r)
{
	bool asked = c->stop_sent;
	int status = 0;

	read_channel(c); /* why it refused, if it did */
	*lived_ms_r = (clock_ns() - c->born) / MS_NS;
	while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
		;
	forget(c);
	return ending_of(status, asked);
}
