/* t/unit/test_master.c: the pure parts of the master: endings, throttle, control requests, log lines, texts,
 * timers.
 */
#include "base/clock.h"
#include "base/log.h"
#include "master/ctl.h"
#include "master/ending.h"
#include "master/logs.h"
#include "master/text.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- endings --- */

static int
status_exit(int code)
{
	return W_EXITCODE(code, 0);
}

Test(ending, exit_as_asked)
{
	struct ending e = ending_of(status_exit(0), true);

	cr_assert(!e.crash && !e.stop);
}

Test(ending, exit_zero_unasked_is_a_crash_that_may_be_retried)
{
	struct ending e = ending_of(status_exit(0), false);
	char buf[128];

	cr_assert(e.crash && !e.stop);
	ending_text(&e, buf, sizeof buf);
	cr_assert_str_eq(buf, "exit code 0 without being asked");
}

Test(ending, reactions_come_from_the_table)
{
	static const struct {
		int code;
		bool stop;
	} rows[] = {{EXIT_FAIL, false}, {EXIT_SYSTEM, false}, {EXIT_ABI, true}, {EXIT_CONF, true},
	    {EXIT_USAGE_, true}, {99, false}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ending e = ending_of(status_exit(rows[i].code), false);

		cr_assert(e.crash, "%d", rows[i].code);
		cr_assert_eq(e.stop, rows[i].stop, "%d", rows[i].code);
	}
}

Test(ending, asked_but_failed_is_a_crash)
{
	cr_assert(ending_of(status_exit(1), true).crash);
	cr_assert(ending_of(W_EXITCODE(0, SIGKILL), true).crash);
}

Test(ending, texts)
{
	struct ending e = ending_of(W_EXITCODE(0, SIGKILL), false);
	char buf[128], tiny[8];

	ending_text(&e, buf, sizeof buf);
	cr_assert_str_eq(buf, "killed by signal 9 (KILL)");
	ending_text(&e, tiny, sizeof tiny);
	cr_assert_str_eq(tiny, "killed ");
	e = ending_of(W_EXITCODE(0, SIGABRT) | WCOREFLAG, false);
	ending_text(&e, buf, sizeof buf);
	cr_assert_str_eq(buf, "killed by signal 6 (ABRT), core dumped");
	e = ending_of(status_exit(78), false);
	ending_text(&e, buf, sizeof buf);
	cr_assert_str_eq(buf, "exit code 78: configuration error");
}

Test(throttle, doubles_up_to_the_limit)
{
	static const u64 want[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
	u64 t = 0;

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		t = throttle_next(t, 100, 30000, 5);
		cr_assert_eq(t, want[i], "step %zu: %llu", i, (unsigned long long)t);
	}
}

Test(throttle, a_long_life_resets)
{
	cr_assert_eq(throttle_next(30000, 100, 30000, THROTTLE_RESET_MS), 100);
	cr_assert_eq(throttle_next(30000, 100, 30000, THROTTLE_RESET_MS - 1), 30000);
}

Test(throttle, limits_changed_by_a_reload)
{
	cr_assert_eq(throttle_next(100, 5000, 30000, 0), 5000);
	cr_assert_eq(throttle_next(20000, 100, 1000, 0), 1000);
	cr_assert_eq(throttle_next(0, 500, 200, 0), 200);
	cr_assert_eq(throttle_next(UINT64_MAX, 100, UINT64_MAX, 0), UINT64_MAX);
}

/* --- control requests --- */

static const char *
parse(const char *line, struct ctl_request *r)
{
	return ctl_parse(line, strlen(line), r);
}

Test(ctl, requests)
{
	struct ctl_request r;

	cr_assert_null(parse("status", &r));
	cr_assert_eq(r.verb, CTL_STATUS);
	cr_assert_null(parse("rotate", &r));
	cr_assert_eq(r.verb, CTL_ROTATE);
	cr_assert_null(parse("drain db 1", &r)); /* names of sections may hold blanks */
	cr_assert_eq(r.verb, CTL_DRAIN);
	cr_assert_str_eq(r.arg, "db 1");
}

Test(ctl, bad_requests)
{
	static const char *const lines[] = {"", " ", "stat", "statusx", "status ", "status now", "drain",
	    "drain ", "DRAIN db1", "reload all",
	    "drain 0123456789012345678901234567890123456789012345678901234567890123456789"};
	struct ctl_request r;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		cr_assert_not_null(parse(lines[i], &r), "'%s'", lines[i]);
	cr_assert_not_null(ctl_parse("drain a\0b", 9, &r));
}

Test(ctl, who_may)
{
	for (int v = 0; v < CTL_VERBS; v++) {
		cr_assert(ctl_may((enum ctl_verb)v, 0, 100));
		cr_assert(ctl_may((enum ctl_verb)v, 100, 100));
		cr_assert_eq(ctl_may((enum ctl_verb)v, 101, 100), v == CTL_STATUS);
	}
}

/* --- log lines --- */

static const char *
format(const char *line, bool journal)
{
	static char out[LOGS_LINE_MAX + 1];
	size_t n = logs_format(out, line, strlen(line), "worker/0[12]", journal, 1700000000123u);

	out[n] = '\0';
	return out;
}

Test(logs, file_format)
{
	cr_assert_str_eq(format("<3>worker/0[12] gen=1 bad\n", false),
	    "2023-11-14T22:13:20.123Z err worker/0[12] gen=1 bad\n");
	cr_assert_str_eq(format("<7>x", false), "2023-11-14T22:13:20.123Z debug x\n");
}

Test(logs, journal_keeps_the_level)
{
	cr_assert_str_eq(format("<5>worker/0[12] text\n", true), "<5>worker/0[12] text\n");
	cr_assert_str_eq(format("assertion failed\n", true), "<4>worker/0[12] output: assertion failed\n");
}

Test(logs, foreign_lines_are_attributed_and_cleaned)
{
	cr_assert_str_eq(format("==1==ERROR\x1b[31m\r\n", false),
	    "2023-11-14T22:13:20.123Z warn worker/0[12] output: ==1==ERROR [31m\n");
	cr_assert_str_eq(format("<9>x", false), "2023-11-14T22:13:20.123Z warn worker/0[12] output: <9>x\n");
	cr_assert_str_eq(format("", true), "<4>worker/0[12] output: \n");
}

Test(logs, longest_line_fits)
{
	char line[4000];
	const char *out;

	memset(line, 'a', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	out = format(line, false);
	cr_assert_eq(strlen(out), (size_t)LOGS_LINE_MAX);
	cr_assert_eq(out[LOGS_LINE_MAX - 1], '\n');
}

/* A log whose stderr is a pipe of ours. */
struct rig {
	struct loop loop;
	struct logs logs;
	int rd;
};

static void
rig_open(struct rig *r)
{
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
	r->rd = p[0];
	dup2(p[1], 2);
	close(p[1]);
	loop_init(&r->loop);
	cr_assert_eq(logs_init(&r->logs, &r->loop), 0);
}

static size_t
drain_lines(int fd)
{
	char buf[65536];
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, buf, sizeof buf)) > 0)
		for (ssize_t i = 0; i < got; i++)
			n += buf[i] == '\n';
	return n;
}

Test(logs, a_reader_that_stands_still_blocks_nothing_and_loses_only_what_does_not_fit)
{
	static struct rig r;
	char line[1025];
	size_t seen, want = 3000;

	rig_open(&r);
	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	for (size_t i = 0; i < want; i++)
		log_err("%s", line);
	cr_assert_gt(r.logs.own_errors, 0); /* 3 MB into 64 KiB of pipe and 1 MiB of queue */
	seen = drain_lines(r.rd);
	for (int i = 0; i < 1000 && loop_has(&r.logs.out); i++) {
		cr_assert_eq(loop_turn(&r.loop), 0);
		seen += drain_lines(r.rd);
	}
	cr_assert_eq(seen + r.logs.own_errors, want);
	cr_assert_eq(r.logs.own_lines, seen);
	logs_fini(&r.logs);
	loop_fini(&r.loop);
}

static size_t
file_text(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n = f != NULL ? fread(buf, 1, size - 1, f) : 0;

	if (f != NULL)
		fclose(f);
	buf[n] = '\0';
	return n;
}

/* Entries of the slow log come through a child's pipe among its lines, and go to a file of their own, if there is one. */
Test(logs, entries_of_the_slow_log)
{
	static struct rig r;
	static struct logs slow;
	static struct log_pipe p;
	static char text[20000], big[6000];
	char path[] = "/tmp/t_master_slow.XXXXXX";
	int fds[2], file = mkstemp(path);

	rig_open(&r);
	cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
	cr_assert_eq(logs_init_file(&slow, &r.loop), 0);
	r.logs.slow = &slow;
	cr_assert_eq(log_pipe_open(&p, &r.logs, fds[0], "worker"), 0);
	log_set_sink(NULL, NULL);
	log_set_fd(fds[1]);
	log_slow("nobody", 6); /* there is no file */
	cr_assert_eq(loop_turn(&r.loop), 0);
	cr_assert_eq(logs_target(&slow, path), 0);
	log_err("a line");
	log_slow("# one\nSELECT 'a\\n\n';", 20);
	memset(big, '\n', sizeof big);
	log_slow(big, sizeof big);
	log_slow("last", 4);
	cr_assert_eq(loop_turn(&r.loop), 0);
	file_text(path, text, sizeof text);
	cr_assert_null(strstr(text, "nobody"));
	cr_assert_eq(strncmp(text, "# Time: ", 8), 0);
	cr_assert_not_null(strstr(text, "\n# one\nSELECT 'a\\n\n';\n# Time: "), "%s", text);
	cr_assert_not_null(strstr(text, "\n\n\n...\n# Time: "));
	cr_assert_not_null(strstr(text, "\nlast\n"));
	cr_assert_eq(drain_lines(r.rd), 1);
	cr_assert_eq(logs_target(&slow, ""), 0);
	log_slow("off again", 9);
	cr_assert_eq(loop_turn(&r.loop), 0);
	file_text(path, text, sizeof text);
	cr_assert_null(strstr(text, "off again"));
	cr_assert_eq(slow.own_errors, 0);
	log_set_fd(2);
	log_pipe_close(&p);
	logs_fini(&slow);
	logs_fini(&r.logs);
	loop_fini(&r.loop);
	close(fds[1]);
	close(file);
	unlink(path);
}

Test(logs, a_reader_that_is_gone_costs_lines_only)
{
	static struct rig r;

	signal(SIGPIPE, SIG_IGN);
	rig_open(&r);
	close(r.rd);
	log_err("one");
	log_err("two");
	cr_assert_eq(r.logs.own_errors, 2);
	cr_assert_eq(r.logs.own_lines, 0);
	logs_fini(&r.logs);
	loop_fini(&r.loop);
}

Test(logs, full_disk_is_counted)
{
	static struct rig r;

	rig_open(&r);
	cr_assert_eq(logs_target(&r.logs, "/dev/full"), 0);
	log_err("no room for this");
	cr_assert_eq(r.logs.own_errors, 1);
	cr_assert_eq(logs_target(&r.logs, "stderr"), 0);
	log_err("but for this");
	cr_assert_eq(r.logs.own_lines, 1);
	cr_assert_eq(drain_lines(r.rd), 1);
	cr_assert_lt(logs_target(&r.logs, "/nonexistent/dir/log"), 0);
	log_err("the old target stays");
	cr_assert_eq(drain_lines(r.rd), 1);
	logs_fini(&r.logs);
	loop_fini(&r.loop);
}

Test(logs, pipes_of_children)
{
	static struct rig r;
	static struct log_pipe lp;
	static const char bytes[] = "<5>worker/1[7] first\nlibrary line\n\n<5>unfinis";
	char big[5000];
	int p[2];

	rig_open(&r);
	cr_assert_eq(pipe2(p, O_NONBLOCK), 0);
	cr_assert_eq(log_pipe_open(&lp, &r.logs, p[0], "worker/1[7]"), 0);
	cr_assert_eq(write(p[1], bytes, sizeof bytes - 1), (ssize_t)sizeof bytes - 1);
	cr_assert_eq(loop_turn(&r.loop), 0);
	cr_assert_eq(r.logs.own_lines, 2);
	/* An overlong line is cut, its rest dropped, and the next one is whole again. */
	memset(big, 'y', sizeof big);
	big[sizeof big - 1] = '\n';
	cr_assert_eq(write(p[1], big, sizeof big), (ssize_t)sizeof big);
	cr_assert_eq(write(p[1], "last", 4), 4);
	cr_assert_eq(loop_turn(&r.loop), 0);
	cr_assert_eq(r.logs.own_lines, 3);
	close(p[1]);
	log_pipe_close(&lp);
	cr_assert_eq(r.logs.own_lines, 4);
	log_pipe_close(&lp); /* harmless */
	logs_fini(&r.logs);
	loop_fini(&r.loop);
}

/* --- texts --- */

Test(text, grows_and_is_bounded)
{
	struct text t = {0};

	cr_assert_str_eq(text_str(&t), "");
	text_add(&t, "%s %d", "a", 1);
	cr_assert_str_eq(text_str(&t), "a 1");
	for (int i = 0; i < 10000; i++)
		text_add(&t, "line %d of a text that does not end\n", i);
	cr_assert_lt(t.len, (size_t)TEXT_MAX);
	cr_assert_eq(strlen(t.p), t.len);
	cr_assert_str_eq(t.p + t.len - 4, "...\n");
	text_free(&t);
	cr_assert_str_eq(text_str(&t), "");
}

/* --- timers and descriptors --- */

struct counter {
	struct loop *l;
	struct loop_timer t[3];
	struct loop_fd f[2];
	int runs, order[8];
};

static void
on_first(void *arg)
{
	struct counter *c = arg;

	c->order[c->runs++] = 1;
	loop_timer_clear(&c->t[1]);
}

static void
on_second(void *arg)
{
	struct counter *c = arg;

	c->order[c->runs++] = 2;
}

Test(loop, timers_run_in_order_and_may_be_cleared)
{
	struct loop l;
	struct counter c = {0};
	u64 now = clock_ns();

	loop_init(&l);
	c.l = &l;
	loop_timer_set(&l, &c.t[0], now, on_first, &c);
	loop_timer_set(&l, &c.t[1], now + 1, on_second, &c);
	loop_timer_set(&l, &c.t[2], now + 2, on_second, &c);
	while (c.runs < 2)
		cr_assert_eq(loop_turn(&l), 0);
	cr_assert_eq(c.order[0], 1);
	cr_assert_eq(c.order[1], 2);
	cr_assert(!loop_timer_pending(&c.t[1]) && !loop_timer_pending(&c.t[2]));
	loop_fini(&l);
}

static void
on_fd(void *arg, short revents)
{
	struct counter *c = arg;

	(void)revents;
	c->runs++;
	loop_del(c->l, &c->f[0]); /* the other one is ready in the same turn */
	loop_del(c->l, &c->f[1]);
}

Test(loop, a_node_removed_by_another_is_not_called)
{
	struct loop l;
	struct counter c = {0};
	int p[2];

	cr_assert_eq(pipe(p), 0);
	cr_assert_eq(write(p[1], "x", 1), 1);
	loop_init(&l);
	c.l = &l;
	cr_assert_eq(loop_add(&l, &c.f[0], p[0], POLLIN, on_fd, &c), 0);
	cr_assert_eq(loop_add(&l, &c.f[1], p[0], POLLIN, on_fd, &c), 0);
	cr_assert_eq(loop_turn(&l), 0);
	cr_assert_eq(c.runs, 1);
	loop_fini(&l);
}
