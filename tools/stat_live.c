/* tools/stat_live.c: the full-screen view of margay-stat: rates since the last look, in the manner of top. Plain
 * ANSI sequences. The terminal is given back on every way out but SIGKILL.
 */
#include "base/err.h"
#include "base/reasons.h"
#include "config.h"
#include "tools/stat.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define SCREEN_IN  "\033[?1049h\033[?25l\033[H\033[2J"
#define SCREEN_OUT "\033[?25h\033[?1049l"
#define FAST_MS    200
#define SLOW_MS    60000

struct live {
	struct stat_inst *in;
	const struct stat_filter *filter;
	struct stat_sample now, then;
	bool attached, have_then, sessions, paused;
	u32 interval_ms, rows, cols;
	char why[512];
};

static struct termios tty_was;
static bool tty_taken;

static void
put(const char *s, size_t n)
{
	while (n > 0) {
		ssize_t w = write(1, s, n);

		if (w < 0 && errno != EINTR && errno != EAGAIN)
			return;
		if (w > 0) {
			s += w;
			n -= (size_t)w;
		}
	}
}

static void
tty_take(void)
{
	struct termios t = tty_was;

	t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	t.c_cc[VMIN] = 0;
	t.c_cc[VTIME] = 0;
	tcsetattr(0, TCSANOW, &t);
	put(SCREEN_IN, sizeof SCREEN_IN - 1);
	tty_taken = true;
}

static void
tty_give(void)
{
	if (!tty_taken)
		return;
	put(SCREEN_OUT, sizeof SCREEN_OUT - 1);
	tcsetattr(0, TCSANOW, &tty_was);
	tty_taken = false;
}

static void
size_read(struct live *l)
{
	struct winsize w;

	l->rows = 24;
	l->cols = 80;
	if (ioctl(1, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0) {
		l->rows = w.ws_row;
		l->cols = w.ws_col;
	}
}

/* --- figures --- */

static double
seconds(const struct live *l)
{
	return l->have_then && l->now.mono_ns > l->then.mono_ns
	    ? (double)(l->now.mono_ns - l->then.mono_ns) / 1e9
	    : 0;
}

static const char *
rate(const struct live *l, char *buf, size_t size, u64 now, u64 then)
{
	double s = seconds(l);

	if (s <= 0 || now < then)
		snprintf(buf, size, "-");
	else
		stat_num(buf, size, (double)(now - then) / s);
	return buf;
}

static void
show_head(const struct live *l, FILE *f)
{
	const struct shm_wstat *n = &l->now.total, *t = &l->then.total;
	char a[32], b[32], c[32], d[32], e[32];

	stat_head(&l->now, f);
	fprintf(f, "clients %" PRIu64 ", active %" PRIu64 ", waiting %" PRIu64 ", pinned %" PRIu64
		   "; per second: statements %s, replica reads %s, writes %s, in %sB, out %sB\n\n",
	    n->clients, n->clients_active, n->clients_waiting, n->clients_pinned,
	    rate(l, a, sizeof a, n->statements, t->statements),
	    rate(l, b, sizeof b, n->reads_replica, t->reads_replica),
	    rate(l, c, sizeof c, n->writes, t->writes),
	    rate(l, d, sizeof d, n->bytes_from_clients, t->bytes_from_clients),
	    rate(l, e, sizeof e, n->bytes_to_clients, t->bytes_to_clients));
}

static void
show_servers(const struct live *l, FILE *f)
{
	static const char *const head[] = {"SERVER", "CLUSTER", "STATE", "ROLE", "CAUSE", "-LAG", "-STMT/S",
	    "-ERR/S", "-IN/S", "-OUT/S", "-IDLE", "-BUSY", "-PINNED", "-WAITING", "-USED", "-LIMIT"};
	static const struct shm_sstat none;
	struct stat_grid g;
	char a[32];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < l->now.nservers; i++) {
		const struct stat_server *v = &l->now.servers[i];
		const struct shm_sstat *t =
		    l->have_then && i < l->then.nservers ? &l->then.servers[i].sum : &none;

		if (!v->n.used)
			continue;
		grid_row(&g);
		grid_set(&g, 0, "%s", v->n.name);
		grid_set(&g, 1, "%s", stat_cluster_name(&l->now, v->n.cluster));
		grid_set(&g, 2, "%s%s", v->v.state < SRV_STATES ? srv_state_words[v->v.state] : "?",
		    v->n.admin == SHM_ADMIN_DRAIN ? ",drained" : "");
		grid_set(&g, 3, "%s", v->v.role < SRV_ROLES ? srv_role_words[v->v.role] : "?");
		grid_set(&g, 4, "%s", v->v.cause < SRV_CAUSES ? srv_cause_words[v->v.cause] : "?");
		if (v->v.role == SRV_ROLE_PRIMARY || v->v.lag_ms == SRV_LAG_UNKNOWN)
			grid_set(&g, 5, "-");
		else
			grid_set(&g, 5, "%ums", v->v.lag_ms);
		grid_set(&g, 6, "%s", rate(l, a, sizeof a, v->sum.statements, t->statements));
		grid_set(&g, 7, "%s", rate(l, a, sizeof a, v->sum.errors, t->errors));
		grid_set(&g, 8, "%s", rate(l, a, sizeof a, v->sum.bytes_sent, t->bytes_sent));
		grid_set(&g, 9, "%s", rate(l, a, sizeof a, v->sum.bytes_received, t->bytes_received));
		grid_set(&g, 10, "%" PRIu64, v->sum.conns_idle);
		grid_set(&g, 11, "%" PRIu64, v->sum.conns_busy);
		grid_set(&g, 12, "%" PRIu64, v->sum.conns_pinned);
		grid_set(&g, 13, "%" PRIu64, v->sum.waiting);
		if (l->now.pool_known)
			grid_set(&g, 14, "%u", v->used);
		else
			grid_set(&g, 14, "?");
		grid_set(&g, 15, "%u", l->now.pool_known ? v->limit : v->n.max_connections);
	}
	grid_print(&g, f, l->cols);
}

static void
show_workers(const struct live *l, FILE *f)
{
	static const char *const head[] = {"WORKER", "-PID", "STATE", "-HEARTBEAT", "-CLIENTS", "-ACTIVE",
	    "-WAITING", "-STMT/S", "-LOGIN/S", "-IN/S", "-OUT/S", "-BUFFERS", "-LOOP MAX", "-CRASHES"};
	static const struct shm_wstat none;
	struct stat_grid g;
	char a[32];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < l->now.nworkers; i++) {
		const struct stat_worker *w = &l->now.workers[i];
		const struct shm_wstat *t =
		    l->have_then && i < l->then.nworkers ? &l->then.workers[i].stat : &none;

		grid_row(&g);
		grid_set(&g, 0, "%u", i);
		grid_set(&g, 1, "%u", w->h.pid);
		grid_set(&g, 2, "%s", w->alive ? "alive" : "dead");
		grid_set(&g, 3, "%s", stat_age(a, sizeof a, stat_since_ms(&l->now, w->h.heartbeat)));
		grid_set(&g, 4, "%" PRIu64, w->stat.clients);
		grid_set(&g, 5, "%" PRIu64, w->stat.clients_active);
		grid_set(&g, 6, "%" PRIu64, w->stat.clients_waiting);
		grid_set(&g, 7, "%s", rate(l, a, sizeof a, w->stat.statements, t->statements));
		grid_set(&g, 8, "%s", rate(l, a, sizeof a, w->stat.logins, t->logins));
		grid_set(
		    &g, 9, "%s", rate(l, a, sizeof a, w->stat.bytes_from_clients, t->bytes_from_clients));
		grid_set(&g, 10, "%s", rate(l, a, sizeof a, w->stat.bytes_to_clients, t->bytes_to_clients));
		grid_set(&g, 11, "%s", stat_num(a, sizeof a, (double)w->stat.buffer_bytes));
		grid_set(&g, 12, "%s", stat_ns(a, sizeof a, w->stat.loop_ns_max));
		grid_set(&g, 13, "%u", w->rec.crashes);
	}
	grid_print(&g, f, l->cols);
}

/* Of the last interval alone. */
static void
show_latency(const struct live *l, FILE *f)
{
	static const char *const head[] = {"LATENCY", "-PER S", "-P50", "-P95", "-P99", "-P99.9"};
	static const double q[] = {0.5, 0.95, 0.99, 0.999};
	struct shm_hist h;
	struct stat_grid g;
	char a[32];

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < SHM_HISTS; i++) {
		u64 n = 0;

		h = l->now.hist[i];
		for (u32 b = 0; b < SHM_HIST_BUCKETS; b++) {
			u64 was = l->have_then ? l->then.hist[i].n[b] : 0;

			h.n[b] -= MIN(was, h.n[b]);
			n += h.n[b];
		}
		grid_row(&g);
		grid_set(&g, 0, "%s", shm_hist_names[i]);
		grid_set(&g, 1, "%s", rate(l, a, sizeof a, n, 0));
		for (u32 k = 0; k < ARRAY_LEN(q); k++)
			grid_set(&g, 2 + k, "%s", stat_ns(a, sizeof a, shm_hist_quantile(&h, q[k])));
	}
	grid_print(&g, f, l->cols);
}

/* --- screen --- */

/* Lines are cut to the screen; the last one tells the keys. */
static void
screen_put(const struct live *l, const char *text)
{
	char *out = NULL;
	size_t size = 0;
	u32 row = 0;
	FILE *f = open_memstream(&out, &size);

	if (f == NULL)
		return;
	fputs("\033[H", f);
	while (*text != '\0' && row + 1 < l->rows) {
		size_t n = strcspn(text, "\n");

		fprintf(f, "%.*s\033[K\r\n", (int)MIN(n, (size_t)l->cols * 4), text);
		text += n + (text[n] == '\n');
		row++;
	}
	fprintf(f, "\033[J\033[%u;1H\033[7m q quit  s %s  p %s  +/- every %.1f s \033[0m\033[K", l->rows,
	    l->sessions ? "figures" : "sessions", l->paused ? "go on" : "pause", l->interval_ms / 1000.0);
	fclose(f);
	put(out, size);
	free(out);
}

static void
show(struct live *l)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (f == NULL)
		return;
	if (!l->attached) {
		fprintf(f, "%s\n", l->why);
	} else if (l->sessions) {
		show_head(l, f);
		stat_table_sessions(l->in, &l->now, l->filter, f, l->cols);
	} else {
		show_head(l, f);
		show_servers(l, f);
		fputc('\n', f);
		show_workers(l, f);
		fputc('\n', f);
		show_latency(l, f);
		if (l->why[0] != '\0')
			fprintf(f, "\n%s\n", l->why);
	}
	fclose(f);
	screen_put(l, text);
	free(text);
}

/* A new epoch is followed; without one, what went wrong is shown and tried again. */
static void
look(struct live *l)
{
	char dir[STAT_DIR_MAX];

	if (l->attached && stat_outdated(l->in)) {
		stat_detach(l->in);
		l->attached = false;
	}
	if (!l->attached) {
		memcpy(dir, l->in->dir, sizeof dir);
		l->attached = stat_attach(l->in, dir, l->why, sizeof l->why) == 0;
		if (!l->attached)
			return;
		/* Samples of two epochs have no difference. */
		if (l->have_then)
			stat_free(&l->then);
		l->have_then = false;
		stat_free(&l->now);
	} else {
		if (l->have_then)
			stat_free(&l->then);
		l->then = l->now;
		l->have_then = true;
	}
	l->why[0] = '\0';
	if (stat_take(l->in, &l->now, l->why, sizeof l->why) != 0)
		l->why[sizeof l->why - 1] = '\0';
}

/* false: quit. */
static bool
on_key(struct live *l, char c)
{
	switch (c) {
	case 'q':
	case 'Q':
		return false;
	case 's':
		l->sessions = !l->sessions;
		break;
	case 'p':
	case ' ':
		l->paused = !l->paused;
		break;
	case '+':
		l->interval_ms = MIN(l->interval_ms * 2, SLOW_MS);
		break;
	case '-':
		l->interval_ms = MAX(l->interval_ms / 2, FAST_MS);
		break;
	default:
		return true;
	}
	show(l);
	return true;
}

/* false: quit. */
static bool
on_signal(struct live *l, int sfd)
{
	struct signalfd_siginfo si;

	while (read(sfd, &si, sizeof si) == sizeof si) {
		if (si.ssi_signo == SIGTSTP) {
			tty_give();
			raise(SIGSTOP);
			tty_take();
		} else if (si.ssi_signo != SIGWINCH && si.ssi_signo != SIGCONT) {
			return false;
		}
		size_read(l);
		show(l);
	}
	return true;
}

static bool
keys_read(struct live *l)
{
	char c;
	ssize_t n;

	while ((n = read(0, &c, 1)) == 1) {
		if (!on_key(l, c))
			return false;
	}
	return n == 0 || errno == EAGAIN || errno == EINTR;
}

static void
loop(struct live *l, int sfd)
{
	struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = sfd, .events = POLLIN}};
	u64 next = 0, now;

	for (;;) {
		now = clock_ns();
		if (!l->paused && now >= next) {
			look(l);
			show(l);
			next = now + l->interval_ms * MS_NS;
		}
		if (poll(p, 2, l->paused ? -1 : (int)((next - MIN(now, next)) / MS_NS + 1)) < 0 &&
		    errno != EINTR)
			return;
		/* A hang-up: the terminal is gone. */
		if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return;
		if ((p[1].revents != 0 && !on_signal(l, sfd)) || (p[0].revents != 0 && !keys_read(l)))
			return;
	}
}

int
stat_live(struct stat_inst *in, const struct stat_filter *filter, u32 interval_ms)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
	struct live l = {.in = in, .filter = filter, .attached = true, .interval_ms = interval_ms};
	sigset_t set;
	int sfd;

	if (!isatty(0) || !isatty(1) || tcgetattr(0, &tty_was) != 0) {
		fprintf(stderr, "margay-stat: --live needs a terminal\n");
		return EXIT_USAGE_;
	}
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sfd < 0)
		return EXIT_SYSTEM;
	size_read(&l);
	if (stat_take(in, &l.now, l.why, sizeof l.why) != 0)
		l.why[sizeof l.why - 1] = '\0';
	tty_take();
	loop(&l, sfd);
	tty_give();
	close(sfd);
	if (l.have_then)
		stat_free(&l.then);
	stat_free(&l.now);
	return EXIT_OK;
}
