/* Unit tests of margay-stat --live on a pseudo terminal: what it shows, its keys, and that the terminal is given
 * back on every way out.
 */
#include "config.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <utmp.h>
#include <unistd.h>
#include "base/err.h"
#include "t/unit/tools.h"

#define SCREEN_OUT "\033[?25h\033[?1049l"
#define PATIENCE   20000 /* ms; only a failure waits so long */

static int tty, side;
static pid_t pid;
static char seen[1 << 20];
static size_t nseen;

static void
live_start(void)
{
	static struct winsize ws = {.ws_row = 30, .ws_col = 150};
	const char *top = getenv("top_builddir");
	char path[4096];

	fix_make();
	snprintf(path, sizeof path, "%s/margay-stat", top != NULL ? top : ".");
	cr_assert_eq(openpty(&tty, &side, NULL, NULL, &ws), 0);
	pid = fork();
	if (pid == 0) {
		close(tty);
		login_tty(side);
		execl(path, "margay-stat", "-r", fix_dir, "-l", "-i", "0.2", (char *)NULL);
		_exit(127);
	}
	cr_assert_gt(pid, 0);
	nseen = 0;
}

/* Reads until text appears behind what was seen before. */
static void
expect(const char *text)
{
	struct pollfd p = {.fd = tty, .events = POLLIN};
	ssize_t n;

	seen[nseen] = '\0';
	while (strstr(seen, text) == NULL) {
		cr_assert_gt(poll(&p, 1, PATIENCE), 0, "no %s in: %.3000s", text, seen);
		if (nseen > sizeof seen / 2)
			nseen = 0;
		n = read(tty, seen + nseen, sizeof seen - 1 - nseen);
		cr_assert_gt(n, 0, "it ended before it showed %s", text);
		nseen += (size_t)n;
		seen[nseen] = '\0';
	}
	nseen = 0;
}

static void
press(const char *keys)
{
	cr_assert_eq(write(tty, keys, strlen(keys)), (ssize_t)strlen(keys));
}

static bool
is_raw(void)
{
	struct termios t;

	cr_assert_eq(tcgetattr(side, &t), 0);
	return (t.c_lflag & (ICANON | ECHO)) == 0;
}

static int
ended(void)
{
	int how;

	cr_assert_eq(waitpid(pid, &how, 0), pid);
	cr_assert(WIFEXITED(how));
	pid = 0;
	return WEXITSTATUS(how);
}

static void
live_stop(void)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	fix_remove();
}

TestSuite(live, .init = live_start, .fini = live_stop, .timeout = 60);

Test(live, figures_and_rates)
{
	expect("q quit");
	expect("LATENCY");
	cr_assert(is_raw());
	STAT_ADD(fix_worker[0]->stat.statements, 1000000000);
	expect("G ");
	press("q");
	expect(SCREEN_OUT);
	cr_assert_eq(ended(), 0);
	cr_assert(!is_raw(), "the terminal is as it was");
}

Test(live, keys)
{
	expect("STMT/S");
	press("s");
	expect("batch");
	press("s");
	expect("STMT/S");
	press("+");
	expect("every 0.4 s");
	press("-");
	expect("every 0.2 s");
	press("p");
	expect("p go on");
	press("x");
	press("p");
	expect("p pause");
	press("q");
	cr_assert_eq(ended(), 0);
}

Test(live, resize)
{
	struct winsize ws = {.ws_row = 7, .ws_col = 40};

	expect("\033[30;1H");
	cr_assert_eq(ioctl(tty, TIOCSWINSZ, &ws), 0);
	expect("\033[7;1H");
	press("q");
	cr_assert_eq(ended(), 0);
}

Test(live, signals_give_the_terminal_back)
{
	expect("q quit");
	kill(pid, SIGTERM);
	expect(SCREEN_OUT);
	cr_assert_eq(ended(), 0);
	cr_assert(!is_raw());
}

Test(live, instance_goes_and_comes)
{
	char path[128], away[600];
	u32 was = fix_names->h.pid, dead = fix_dead_pid();

	expect("serving; pid");
	fix_names->h.pid = fix_worker[0]->h.pid = fix_worker[1]->h.pid = dead;
	expect("no margayd runs");
	fix_names->h.pid = fix_worker[0]->h.pid = fix_worker[1]->h.pid = was;
	expect("serving; pid");
	/* A new epoch whose segments are gone again, then the old one. */
	snprintf(path, sizeof path, "%s/current", fix_dir);
	snprintf(away, sizeof away, "printf '4\\n' >%s.new && mv %s.new %s", path, path, path);
	cr_assert_eq(system(away), 0);
	expect("e4/names is missing");
	snprintf(away, sizeof away, "printf '3\\n' >%s.new && mv %s.new %s", path, path, path);
	cr_assert_eq(system(away), 0);
	expect("serving; pid");
	press("q");
	cr_assert_eq(ended(), 0);
}
