/* Unit tests of margay-stat: what it finds and how it says that there is nothing, or nothing for this user. */
#include "config.h"
#include <criterion/criterion.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "t/unit/tools.h"

TestSuite(stat, .init = fix_make, .fini = fix_remove);

/* Is there a line of out that holds both? */
static bool
line_has(const char *out, const char *a, const char *b)
{
	for (const char *l = out; *l != '\0'; l += strcspn(l, "\n") + (l[strcspn(l, "\n")] == '\n')) {
		char line[4096];

		snprintf(line, sizeof line, "%.*s", (int)strcspn(l, "\n"), l);
		if (strstr(line, a) != NULL && strstr(line, b) != NULL)
			return true;
	}
	return false;
}

Test(stat, table)
{
	struct ran r = fix_run("-1", false);

	cr_assert_eq(r.code, 0, "%s", r.err);
	cr_assert_str_empty(r.err);
	cr_assert(line_has(r.out, "serving", "epoch 3, generation 5"));
	cr_assert(line_has(r.out, "db0", "primary"));
	cr_assert(line_has(r.out, "db1", "up,drained"));
	cr_assert(line_has(r.out, "db1", "1234ms"));
	cr_assert(line_has(r.out, "10.0.0.3:3306", "refused"));
	cr_assert(line_has(r.out, "nothing listens there", "Can't connect (111)"));
	cr_assert(line_has(r.out, "main", "replication  db0"));
	cr_assert(line_has(r.out, "worker.statements", "3000"));
	cr_assert(line_has(r.out, "worker.loop_ns_max", "2500000"), "the longest, not the sum");
	cr_assert(line_has(r.out, "master.reloads ", "7"));
	cr_assert(line_has(r.out, "statement   2000", "5.01ms"), "p50 of 0.01 to 10 ms: %s", r.out);
	cr_assert_null(strchr(r.out, '\033'), "a name must not reach the terminal as a command");
	/* used and limit of the pool, then statements of both workers */
	cr_assert(line_has(r.out, "db0", "5     10        1200"), "%s", r.out);
	ran_free(&r);
}

Test(stat, no_pool_segment)
{
	char path[128];
	struct ran r;

	snprintf(path, sizeof path, "%s/pool.%08x", fix_dir, (u32)(shm_abi >> 32));
	chmod(path, 0600);
	r = fix_run("", true);
	if (geteuid() == 0) {
		/* The other segments are closed to nobody too: mode 0640 */
		cr_assert_eq(r.code, EXIT_DENIED);
		ran_free(&r);
		cr_assert_eq(unlink(path), 0);
		r = fix_run("", false);
	}
	cr_assert_eq(r.code, 0, "%s", r.err);
	cr_assert(line_has(r.out, "pool.", "USED is not known") || geteuid() != 0);
	ran_free(&r);
}

Test(stat, nothing_there)
{
	char was[sizeof fix_dir], path[128];
	struct ran r;

	memcpy(was, fix_dir, sizeof was);
	snprintf(fix_dir, sizeof fix_dir, "/tmp/t_tools.none/none");
	r = fix_run("", false);
	cr_assert_eq(r.code, EXIT_DOWN);
	cr_assert(line_has(r.err, "no margayd runs", fix_dir));
	cr_assert_str_empty(r.out);
	ran_free(&r);
	memcpy(fix_dir, was, sizeof was);
	snprintf(path, sizeof path, "%s/current", fix_dir);
	cr_assert_eq(unlink(path), 0);
	r = fix_run("-j", false);
	cr_assert_eq(r.code, EXIT_DOWN);
	cr_assert(line_has(r.err, "no margayd runs on", fix_dir));
	cr_assert_str_empty(r.out);
	ran_free(&r);
}

Test(stat, dead_pids)
{
	u32 dead = fix_dead_pid();
	struct ran r;

	fix_names->h.pid = dead;
	r = fix_run("", false);
	cr_assert_eq(r.code, 0, "workers go on without a master");
	cr_assert(line_has(r.out, "serving without a master", ""));
	ran_free(&r);
	fix_worker[0]->h.pid = dead;
	r = fix_run("-s", false);
	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "batch", "103"));
	cr_assert(!line_has(r.out, "app", "101"), "sessions of a dead worker are none");
	ran_free(&r);
	fix_worker[1]->h.pid = dead;
	r = fix_run("", false);
	cr_assert_eq(r.code, EXIT_DOWN);
	cr_assert(line_has(r.err, "no margayd runs", "gone"));
	cr_assert_str_empty(r.out);
	ran_free(&r);
	r = fix_run("--force", false);
	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "not running", "epoch 3"));
	cr_assert(line_has(r.out, "worker.statements", "3000"), "counters stay");
	cr_assert(line_has(r.out, "worker.clients ", " 0 "), "gauges do not");
	ran_free(&r);
}

/* A pid that the kernel has given to another process since. */
Test(stat, pid_reused)
{
	struct ran r;

	fix_names->h.started = fix_worker[0]->h.started = fix_worker[1]->h.started =
	    clock_wall_ms() - 86400000;
	r = fix_run("", false);
	cr_assert_eq(r.code, EXIT_DOWN);
	ran_free(&r);
}

Test(stat, wedged_worker)
{
	struct ran r;

	snprintf(fix_worker[0]->panic, SHM_PANIC_SIZE, "panic at x.c:1 \033[2J in session 7");
	fix_worker[1]->h.heartbeat = clock_ns() - 125 * 1000 * MS_NS;
	seq_write_begin(&fix_health->servers[0].seq); /* and health stopped in the middle */
	seq_write_begin(&fix_names->m.names_seq);     /* and the master */
	r = fix_run("", false);
	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "2m05s", "serving"));
	cr_assert(line_has(r.out, "worker 0, last panic: panic at x.c:1 ?[2J in session 7", ""));
	cr_assert(line_has(r.out, "db0", "primary"), "the hot word needs no sequence counter");
	cr_assert(line_has(r.out, "the master died while it wrote names", ""));
	ran_free(&r);
}

Test(stat, other_abi)
{
	struct ran r;

	fix_worker[1]->h.abi++;
	r = fix_run("", false);
	cr_assert_eq(r.code, EXIT_ABI);
	cr_assert(line_has(r.err, "worker.1", "another version"));
	ran_free(&r);
	fix_names->h.abi++;
	r = fix_run("--force", false);
	cr_assert_eq(r.code, EXIT_ABI);
	cr_assert_str_empty(r.out);
	ran_free(&r);
}

Test(stat, no_permission)
{
	char path[128];
	struct ran r;

	snprintf(path, sizeof path, "%s/e3/names", fix_dir);
	chmod(path, 0);
	r = fix_run("", true);
	cr_assert_eq(r.code, EXIT_DENIED);
	cr_assert(line_has(r.err, "e3/names: Permission denied", "members of its group"));
	ran_free(&r);
	chmod(fix_dir, 0);
	r = fix_run("", true);
	cr_assert_eq(r.code, EXIT_DENIED, "%s", r.err);
	cr_assert(line_has(r.err, fix_dir, "Permission denied"));
	ran_free(&r);
	chmod(fix_dir, 0755);
}

Test(stat, garbage_segment)
{
	char path[128];
	struct ran r;

	snprintf(path, sizeof path, "%s/e3/names", fix_dir);
	cr_assert_eq(truncate(path, 100), 0);
	r = fix_run("", false);
	cr_assert_eq(r.code, EXIT_FAIL);
	cr_assert(line_has(r.err, "not a segment", ""));
	ran_free(&r);
}

Test(stat, sessions)
{
	struct ran r = fix_run("-s", false);

	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "101", "ready"));
	cr_assert(line_has(r.out, "102", "transaction"));
	cr_assert(line_has(r.out, "103", "batch"));
	cr_assert_null(strstr(r.out, "SELECT"), "statements only when asked for");
	ran_free(&r);
	r = fix_run("-s --user app --state busy --info", false);
	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "102", "SELECT 'caf"));
	cr_assert(!line_has(r.out, "101", "") && !line_has(r.out, "103", ""));
	cr_assert_null(strchr(r.out, '\033'));
	ran_free(&r);
	r = fix_run("-s --pinned", false);
	cr_assert(line_has(r.out, "102", "") && !line_has(r.out, "101", "") && !line_has(r.out, "103", ""));
	ran_free(&r);
	r = fix_run("-s --state nonsense", false);
	cr_assert_eq(r.code, EXIT_USAGE_);
	ran_free(&r);
}

Test(stat, raw)
{
	struct ran r = fix_run("-w", false);

	cr_assert_eq(r.code, 0);
	cr_assert(line_has(r.out, "server.0.address \"10.0.0.1:3306\"", ""));
	cr_assert(line_has(r.out, "worker.1.session.103.user \"batch\"", ""));
	cr_assert(line_has(r.out, "worker.1.statements 2000", ""));
	cr_assert(line_has(r.out, "pool.server.0.limit 10", ""));
	cr_assert(line_has(r.out, "pool.server.0.cell.3.owner ", ""));
	cr_assert_null(strstr(r.out, "SELECT"));
	/* Every field of every record is there once where its record is. */
	for (size_t i = 0; i < shm_nfields; i++) {
		char field[96];

		snprintf(field, sizeof field, ".%s ", shm_fields[i].name);
		if (strcmp(shm_fields[i].name, "pad") != 0 && strcmp(shm_fields[i].name, "info") != 0 &&
		    strcmp(shm_fields[i].record, "addrcount") != 0 &&
		    strncmp(shm_fields[i].record, "aut", 3) != 0) /* the auth segment is for workers alone */
			cr_assert(line_has(r.out, field, ""), "%s.%s", shm_fields[i].record,
			    shm_fields[i].name);
	}
	ran_free(&r);
	r = fix_run("-w --info", false);
	cr_assert_not_null(strstr(r.out, "SELECT"));
	ran_free(&r);
}

Test(stat, digests)
{
	struct ran r = fix_run("-d", false);

	cr_assert_eq(r.code, 0);
	/* the most expensive first; both workers are added up */
	cr_assert_lt(strstr(r.out, "odd"), strstr(r.out, "UPDATE"));
	cr_assert_not_null(strstr(r.out, "000000000000abc2"));
	cr_assert(line_has(r.out, "UPDATE `t` SET `a` = ?", "  20ms"), "%s", r.out);
	cr_assert(line_has(r.out, "UPDATE `t` SET `a` = ?", "50"));
	cr_assert_null(strchr(r.out, 033));
	ran_free(&r);
	r = fix_run("-d 1", false);
	cr_assert_null(strstr(r.out, "UPDATE"));
	cr_assert_not_null(strstr(r.out, "odd"));
	ran_free(&r);
	r = fix_run("-j -d 2", false);
	cr_assert_not_null(strstr(r.out, "\"digest\":\"000000000000abc1\",\"schema\":\"shop\",\"statement\":\"DELETE FROM `odd\\\"\\u001b[2Jname`...\",\"count\":40,\"errors\":2,\"rows\":14,\"bytes\":4096,\"time_ns\":40000000,\"server_ns\":20000000,\"max_ns\":3000000,"), "%s", r.out);
	cr_assert_null(strstr(r.out, "UPDATE"));
	ran_free(&r);
	r = fix_run("-d 0", false);
	cr_assert_eq(r.code, 64);
	ran_free(&r);
}

Test(stat, output_file)
{
	char args[160], path[128], text[64] = "";
	struct ran r;
	FILE *f;

	snprintf(path, sizeof path, "%s/margay.prom", fix_dir);
	snprintf(args, sizeof args, "--prometheus -o %s", path);
	r = fix_run(args, false);
	cr_assert_eq(r.code, 0, "%s", r.err);
	cr_assert_str_empty(r.out);
	ran_free(&r);
	f = fopen(path, "r");
	cr_assert_not_null(f);
	cr_assert_not_null(fgets(text, sizeof text, f));
	fclose(f);
	cr_assert(strncmp(text, "# HELP margay_", 14) == 0);
	r = fix_run("-j -o /tmp/t_tools.none/none", false);
	cr_assert_eq(r.code, EXIT_FAIL);
	ran_free(&r);
	/* What is no plain file is not replaced. A link in our directory stands for a device: root could
	 * replace a device too. */
	snprintf(path, sizeof path, "%s/full", fix_dir);
	cr_assert_eq(symlink("/dev/full", path), 0);
	snprintf(args, sizeof args, "-j -o %s", path);
	r = fix_run(args, false);
	cr_assert_eq(r.code, EXIT_FAIL, "%s", r.err);
	cr_assert(line_has(r.err, path, "No space left"));
	ran_free(&r);
	cr_assert_geq(readlink(path, text, sizeof text), 0, "the link was replaced");
}

Test(stat, usage)
{
	static const char *const bad[] = {"--nonsense", "word", "-i 0", "-l -o x", "--user"};
	struct ran r;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		r = fix_run(bad[i], false);
		cr_assert_eq(r.code, EXIT_USAGE_, "%s", bad[i]);
		cr_assert_str_empty(r.out);
		ran_free(&r);
	}
	r = fix_run("--live", false);
	cr_assert_eq(r.code, EXIT_USAGE_, "no terminal");
	ran_free(&r);
}
