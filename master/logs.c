/* master/logs.c: the one place that writes log lines. Master only; no call here may block. */
#include "master/logs.h"
#include "master/slow.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* systemd sets JOURNAL_STREAM=dev:inode; when stderr still is that socket, lines go to the journal. */
static bool
stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (env == NULL || sscanf(env, "%llu:%llu", &dev, &ino) != 2 || fstat(2, &st) != 0)
		return false;
	return (unsigned long long)st.st_dev == dev && (unsigned long long)st.st_ino == ino;
}

/* A description of our own for stderr: O_NONBLOCK on the inherited one would change it for the shell that
 * started us. A socket cannot be reopened; it is written with MSG_DONTWAIT. */
static int
open_stderr(void)
{
	int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	return fd >= 0 ? fd : fcntl(2, F_DUPFD_CLOEXEC, 3);
}

static const char *
level_word(char level)
{
	static const char *const words[] = {"emerg", "alert", "crit", "err", "warn", "notice", "info",
	    "debug"};

	return level >= '0' && level <= '7' ? words[level - '0'] : "warn";
}

size_t
logs_format(char *dst, const char *line, size_t len, const char *who, bool journal, u64 wall_ms)
{
	char level = '4'; /* a line without a level was printed by a library: worth a look */
	bool known = false;
	size_t n, room = LOGS_LINE_MAX - 1;
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
		len--;
	if (len >= 3 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>') {
		level = line[1];
		known = true;
		line += 3;
		len -= 3;
	}
	if (journal) {
		n = (size_t)snprintf(dst, room, "<%c>", level);
	} else {
		gmtime_r(&s, &tm);
		n = strftime(dst, room, "%Y-%m-%dT%H:%M:%S", &tm);
		n += (size_t)snprintf(dst + n, room - n, ".%03uZ %s ", (unsigned)(wall_ms % 1000),
		    level_word(level));
	}
	if (!known)
		n += (size_t)snprintf(dst + n, room - n, "%.64s output: ", who);
	for (size_t i = 0; i < len && n < room; i++)
		/* What a library printed may hold anything; our own lines are clean already. */
		dst[n++] = (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? ' ' : line[i];
	dst[n++] = '\n';
	return n;
}

/* >0: bytes, 0: would block, <0: error. */
static ssize_t
write_some(const struct logs *g, const char *p, size_t len)
{
	struct pollfd pf = {.fd = g->fd, .events = POLLOUT};
	ssize_t n;

	if (g->kind == LOGS_SOCKET) {
		n = send(g->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} else {
		/* Where the description is shared and blocking, a writable pipe takes a line at least. */
		if (g->kind == LOGS_SHARED && poll(&pf, 1, 0) == 0)
			return 0;
		n = write(g->fd, p, len);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n == 0 ? -1 : n;
}

static void
count(u64 *c)
{
	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

/* One step of the queue. false: the target takes no more now. A line that fails is dropped whole and
 * counted; the next one is tried, since a full disk may have room again. */
static bool
write_line(struct logs *g)
{
	const char *p = g->queue + g->head, *nl = memchr(p, '\n', g->len);
	size_t line = nl == NULL ? g->len : (size_t)(nl - p) + 1;
	ssize_t n;

	if (g->torn) {
		n = write_some(g, "\n", 1);
		if (n == 0)
			return false;
		g->torn = n < 0;
	}
	n = g->torn ? -1 : write_some(g, p, line);
	if (n == 0)
		return false;
	if (n < 0) {
		count(g->errors);
		g->torn = g->torn || g->mid;
		n = (ssize_t)line;
	} else if ((size_t)n == line) {
		count(g->lines);
	}
	g->mid = (size_t)n != line;
	g->head += (size_t)n;
	g->len -= (size_t)n;
	return true;
}

static void on_writable(void *arg, short revents);

static void
flush_queue(struct logs *g)
{
	while (g->len > 0 && write_line(g))
		;
	if (g->len == 0) {
		g->head = 0;
		loop_del(g->loop, &g->out);
	} else if (!loop_has(&g->out) &&
	    loop_add(g->loop, &g->out, g->fd, POLLOUT, on_writable, g) != 0) {
		g->len = g->head = 0; /* no memory to wait with */
		count(g->errors);
	}
}

static void
on_writable(void *arg, short revents)
{
	(void)revents;
	flush_queue(arg);
}

void
logs_line(struct logs *g, const char *line, size_t len, const char *who)
{
	char out[LOGS_LINE_MAX];

	logs_queue(g, out, logs_format(out, line, len, who, g->journal, clock_wall_ms()));
}

void
logs_queue(struct logs *g, const char *p, size_t n)
{
	if (g->fd < 0)
		return;
	if (g->head + g->len + n > LOGS_QUEUE && g->head > 0) {
		memmove(g->queue, g->queue + g->head, g->len);
		g->head = 0;
	}
	if (g->len + n > LOGS_QUEUE) {
		count(g->errors);
		return;
	}
	memcpy(g->queue + g->head + g->len, p, n);
	g->len += n;
	if (!loop_has(&g->out))
		flush_queue(g);
}

static void
on_own_line(void *arg, const char *line, size_t len)
{
	logs_line(arg, line, len, "master");
}

static void
set_fd(struct logs *g, int fd, bool shared)
{
	struct stat st;

	loop_del(g->loop, &g->out); /* what is queued goes to the new target */
	g->fd = fd;
	g->kind = shared ? LOGS_SHARED : LOGS_FILE;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
		g->kind = LOGS_SOCKET;
	g->mid = g->torn = false;
}

int
logs_init(struct logs *g, struct loop *loop)
{
	int fl;

	memset(g, 0, sizeof *g);
	g->loop = loop;
	g->queue = malloc(LOGS_QUEUE);
	if (g->queue == NULL)
		return ERR_NOMEM;
	g->lines = &g->own_lines;
	g->errors = &g->own_errors;
	g->spare_fd = open_stderr();
	fl = fcntl(g->spare_fd, F_GETFL);
	set_fd(g, g->spare_fd, fl < 0 || (fl & O_NONBLOCK) == 0);
	g->journal = stderr_is_journal();
	log_set_sink(on_own_line, g);
	return 0;
}

int
logs_init_file(struct logs *g, struct loop *loop)
{
	memset(g, 0, sizeof *g);
	g->loop = loop;
	g->queue = malloc(LOGS_QUEUE);
	g->fd = g->spare_fd = -1;
	g->lines = &g->own_lines;
	g->errors = &g->own_errors;
	return g->queue == NULL ? ERR_NOMEM : 0;
}

void
logs_fini(struct logs *g)
{
	if (g->spare_fd >= 0)
		log_set_sink(NULL, NULL);
	flush_queue(g);
	loop_del(g->loop, &g->out);
	if (g->fd != g->spare_fd)
		close(g->fd);
	if (g->spare_fd >= 0)
		close(g->spare_fd);
	free(g->queue);
	g->queue = NULL;
}

void
logs_count_in(struct logs *g, u64 *lines, u64 *errors)
{
	*lines += *g->lines;
	*errors += *g->errors;
	g->lines = lines;
	g->errors = errors;
}

int
logs_target(struct logs *g, const char *path)
{
	bool to_stderr = path[0] == '\0' || strcmp(path, "stderr") == 0;
	int fd = g->spare_fd, old = g->fd, fl;

	if (to_stderr && g->path[0] == '\0')
		return 0;
	if (!to_stderr) {
		fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd < 0)
			return ERR_SYSTEM;
	}
	flush_queue(g);
	fl = fcntl(fd, F_GETFL);
	set_fd(g, fd, fl < 0 || (fl & O_NONBLOCK) == 0);
	g->journal = to_stderr && stderr_is_journal();
	str_copy(g->path, sizeof g->path, to_stderr ? "" : path);
	if (old != g->spare_fd)
		close(old);
	if (fd < 0)
		g->len = g->head = 0;
	flush_queue(g);
	return 0;
}

int
logs_rotate(struct logs *g)
{
	return g->path[0] == '\0' ? 0 : logs_target(g, g->path);
}

/* Cuts what was read into lines. A line that does not fit is written cut, its rest is left out. */
static void
split_lines(struct log_pipe *p)
{
	char *nl;
	size_t at = 0;

	while ((nl = memchr(p->buf + at, '\n', p->len - at)) != NULL) {
		size_t n = (size_t)(nl - (p->buf + at));

		if (!p->skip && n >= 3 && memcmp(p->buf + at, "<S>", 3) == 0)
			slow_entry(p->logs->slow, p->buf + at + 3, n - 3);
		else if (!p->skip && n > 0)
			logs_line(p->logs, p->buf + at, n, p->who);
		p->skip = false;
		at += n + 1;
	}
	memmove(p->buf, p->buf + at, p->len - at);
	p->len -= at;
	if (p->len == sizeof p->buf) {
		if (!p->skip)
			logs_line(p->logs, p->buf, p->len, p->who);
		p->skip = true;
		p->len = 0;
	}
}

/* Reads at most `times` buffers, so that a chatty child cannot keep the loop. false: end or error. */
static bool
read_pipe(struct log_pipe *p, int times)
{
	while (times-- > 0) {
		ssize_t n = read(p->node.fd, p->buf + p->len, sizeof p->buf - p->len);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		p->len += (size_t)n;
		split_lines(p);
	}
	return true;
}

static void
on_pipe(void *arg, short revents)
{
	struct log_pipe *p = arg;

	(void)revents;
	if (!read_pipe(p, 32))
		loop_del(p->logs->loop, &p->node); /* closed when its child is reaped */
}

int
log_pipe_open(struct log_pipe *p, struct logs *g, int fd, const char *who)
{
	memset(p, 0, sizeof *p);
	p->logs = g;
	str_copy(p->who, sizeof p->who, who);
	return loop_add(g->loop, &p->node, fd, POLLIN, on_pipe, p);
}

void
log_pipe_close(struct log_pipe *p)
{
	if (p->logs == NULL)
		return;
	/* 64 KiB is what a pipe holds; a grandchild that still writes must not keep us here. */
	read_pipe(p, 64);
	if (p->len > 0 && !p->skip)
		logs_line(p->logs, p->buf, p->len, p->who);
	loop_del(p->logs->loop, &p->node);
	close(p->node.fd);
	p->logs = NULL;
}
