/* Unit tests of conf/opt: the table itself, and every type's parser, bounds and printer. */
#include <criterion/criterion.h>
#include "base/err.h"
#include "conf/check.h"
#include "conf/opt.h"
#include "shm/cfg.h"

static struct mem mem;
static struct conf_msgs msgs;

static void
fini(void)
{
	msg_free(&msgs);
	mem_free(&mem);
}
TestSuite(opt, .fini = fini);

static const struct opt *
margay(const char *name)
{
	const struct opt *o = opt_find(OPT_IN_MARGAY, name);

	cr_assert_not_null(o, "%s", name);
	return o;
}

/* What the text means to the option: as a number, or "why" printed. */
static const char *
num(const struct opt *o, const char *text)
{
	static char out[128];
	char why[256];
	u64 v = 0;
	const char *e = opt_num_parse(o, text, &v, why, sizeof why);

	if (e == NULL)
		(void)snprintf(out, sizeof out, "%llu", (unsigned long long)v);
	else
		(void)snprintf(out, sizeof out, "!%.100s", e);
	return out;
}

Test(opt, every_default_parses_within_its_bounds)
{
	for (size_t i = 0; i < nopts; i++) {
		struct ini_raw raw = {.p = opts[i].def, .len = (u32)strlen(opts[i].def)};
		struct ini_option from = {.name = opts[i].name, .raw = &raw, .nraw = 1};
		struct opt_value v;

		if (raw.len == 0) {
			cr_expect(opts[i].type >= OPT_TYPE_STR, "%s has no default", opts[i].name);
			continue;
		}
		opt_parse(&opts[i], &from, &mem, &msgs, &v);
		cr_expect(!v.bad, "default of %s: %s", opts[i].name,
			  msgs.n == 0 ? "" : msgs.v[0].text);
		cr_expect(opts[i].max == 0 || opts[i].min <= opts[i].max, "%s", opts[i].name);
	}
	cr_expect_eq(msgs.errors, 0);
}

Test(opt, every_row_is_usable)
{
	size_t n[OPT_SECTIONS], total = 0;

	for (int s = 0; s < OPT_SECTIONS; s++) {
		const struct opt *rows = opt_rows((enum opt_section)s, &n[s]);

		total += n[s];
		for (size_t i = 0; i < n[s]; i++) {
			cr_expect_eq((int)rows[i].section, s);
			cr_expect_eq(opt_find((enum opt_section)s, rows[i].name), &rows[i],
				     "%s twice", rows[i].name);
			cr_expect_leq(strlen(rows[i].name), INI_NAME_MAX);
			cr_expect_neq(rows[i].summary[0], '\0', "%s", rows[i].name);
			/* snap_keep_restart can compare these */
			if (rows[i].reload == OPT_RELOAD_RESTART)
				cr_expect(s == OPT_IN_MARGAY && rows[i].type <= OPT_TYPE_STR, "%s",
					  rows[i].name);
		}
	}
	cr_expect_eq(total, nopts);
	cr_expect_eq(n[OPT_IN_MARGAY], MARGAY_ROWS);
	cr_expect_str_eq(opt_rows(OPT_IN_SERVER, &n[0])[SERVER_weight].name, "weight");
	cr_expect_str_eq(opt_rows(OPT_IN_USER, &n[0])[USER_read_split].name, "read_split");
	cr_expect_eq(opt_rows(OPT_IN_USER, &n[0])[USER_read_split].off,
		     offsetof(struct cfg_user, read_split));
}

/* The order of `extra` is the order of the enumerations of shm/cfg.h. */
static void
same_enum(enum opt_section s, const char *option, const char *word, int value)
{
	const struct opt *o = opt_find(s, option);
	char want[24], back[64];

	cr_assert_not_null(o);
	(void)snprintf(want, sizeof want, "%d", value);
	cr_expect_str_eq(num(o, word), want, "%s", word);
	opt_num_print(o, (u64)value, back, sizeof back);
	cr_expect_str_eq(back, word);
}

Test(opt, enums_agree_with_the_snapshot)
{
	same_enum(OPT_IN_CLUSTER, "topology", "replication", CFG_REPLICATION);
	same_enum(OPT_IN_CLUSTER, "topology", "galera", CFG_GALERA);
	same_enum(OPT_IN_CLUSTER, "topology", "standalone", CFG_STANDALONE);
	same_enum(OPT_IN_CLUSTER, "read_policy", "replicas", CFG_READ_REPLICAS);
	same_enum(OPT_IN_CLUSTER, "read_policy", "all", CFG_READ_ALL);
	same_enum(OPT_IN_CLUSTER, "read_policy", "primary", CFG_READ_PRIMARY);
	same_enum(OPT_IN_CLUSTER, "causal_reads", "session", CFG_CAUSAL_SESSION);
	same_enum(OPT_IN_CLUSTER, "causal_reads", "cluster", CFG_CAUSAL_CLUSTER);
	same_enum(OPT_IN_CLUSTER, "causal_reads", "off", CFG_CAUSAL_OFF);
	same_enum(OPT_IN_MARGAY, "default_auth_plugin", "mysql_native_password", CFG_AUTH_NATIVE);
	same_enum(OPT_IN_MARGAY, "default_auth_plugin", "caching_sha2_password", CFG_AUTH_SHA2);
	same_enum(OPT_IN_MARGAY, "default_auth_plugin", "client_ed25519", CFG_AUTH_ED25519);
	same_enum(OPT_IN_USER, "auth_plugin", "default", 0);
	same_enum(OPT_IN_USER, "auth_plugin", "mysql_native_password", 1 + CFG_AUTH_NATIVE);
	same_enum(OPT_IN_USER, "auth_plugin", "caching_sha2_password", 1 + CFG_AUTH_SHA2);
	same_enum(OPT_IN_USER, "auth_plugin", "client_ed25519", 1 + CFG_AUTH_ED25519);
	same_enum(OPT_IN_USER, "read_split", "yes", CFG_SPLIT_YES);
	same_enum(OPT_IN_USER, "read_split", "no", CFG_SPLIT_NO);
}

Test(opt, numbers)
{
	const struct opt *o = margay("max_clients"); /* 1 to 1,000,000 */

	cr_expect_str_eq(num(o, "1"), "1");
	cr_expect_str_eq(num(o, "1000000"), "1000000");
	cr_expect_str_eq(num(o, "0"), "!out of bounds: 1 to 1000000");
	cr_expect_str_eq(num(o, "1000001"), "!out of bounds: 1 to 1000000");
	cr_expect_str_eq(num(o, "-1"), "!expected a number");
	cr_expect_str_eq(num(o, "1k"), "!expected a number");
	cr_expect_str_eq(num(o, "0x10"), "!expected a number");
	cr_expect_str_eq(num(o, "18446744073709551617"), "!expected a number");
}

Test(opt, durations)
{
	const struct opt *o = margay("idle_timeout"),
			 *b = margay("login_timeout"); /* b: 100 ms to 10 minutes */
	static const char *const bad[] = {
	    "10", "ms", "1.5s", "10 s", "10sec", "-1s", "1w", "s10", "99999999999999999999s"};

	cr_expect_str_eq(num(o, "0"), "0");
	cr_expect_str_eq(num(o, "0s"), "0");
	cr_expect_str_eq(num(o, "250ms"), "250");
	cr_expect_str_eq(num(o, "10s"), "10000");
	cr_expect_str_eq(num(o, "5m"), "300000");
	cr_expect_str_eq(num(o, "2h"), "7200000");
	cr_expect_str_eq(num(o, "1d"), "86400000");
	cr_expect_str_eq(num(o, "99999d"), "!too large");
	cr_expect_str_eq(num(o, "213503982334601291d"),
			 "!expected a duration with its unit, such as 250ms 10s 5m 2h 1d, or 0");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_eq(num(o, bad[i])[0], '!', "%s", bad[i]);
	cr_expect_str_eq(num(b, "0"), "!out of bounds: 100ms to 10m");
	cr_expect_str_eq(num(b, "99ms"), "!out of bounds: 100ms to 10m");
	cr_expect_str_eq(num(b, "11m"), "!out of bounds: 100ms to 10m");
	cr_expect_str_eq(num(margay("queue_timeout"), "9ms"), "!out of bounds: at least 10ms");
}

Test(opt, sizes)
{
	const struct opt *o = margay("client_buffer"); /* 16k to 64M */

	cr_expect_str_eq(num(o, "16384"), "16384");
	cr_expect_str_eq(num(o, "64k"), "65536");
	cr_expect_str_eq(num(o, "16M"), "16777216");
	cr_expect_str_eq(num(o, "1G"), "!out of bounds: 16k to 64M");
	cr_expect_str_eq(num(o, "1"), "!out of bounds: 16k to 64M");
	cr_expect_str_eq(num(o, "1T"), "!expected a size such as 65536 64k 16M 1G");
	cr_expect_str_eq(num(o, "17179869184G"), "!expected a size such as 65536 64k 16M 1G");
	cr_expect_str_eq(num(o, ""), "!expected a size such as 65536 64k 16M 1G");
}

Test(opt, words)
{
	cr_expect_str_eq(num(margay("handover"), "yes"), "1");
	cr_expect_str_eq(num(margay("handover"), "no"), "0");
	cr_expect_str_eq(num(margay("handover"), "true"), "!expected yes or no");
	cr_expect_str_eq(num(margay("handover"), ""), "!expected yes or no");
	cr_expect_str_eq(num(margay("log_level"), "err|warn"),
			 "!expected one of err|warn|notice|info|debug");
	cr_expect_str_eq(num(margay("log_level"), "deb"),
			 "!expected one of err|warn|notice|info|debug");
}

static const char *
printed(const struct opt *o, u64 v)
{
	static char out[64];

	opt_num_print(o, v, out, sizeof out);
	return out;
}

Test(opt, printers)
{
	cr_expect_str_eq(printed(margay("idle_timeout"), 28800000), "8h");
	cr_expect_str_eq(printed(margay("idle_timeout"), 90000), "90s");
	cr_expect_str_eq(printed(margay("idle_timeout"), 1001), "1001ms");
	cr_expect_str_eq(printed(margay("idle_timeout"), 0), "0");
	cr_expect_str_eq(printed(margay("client_buffer"), 131072), "128k");
	cr_expect_str_eq(printed(margay("client_buffer"), 131073), "131073");
	cr_expect_str_eq(printed(margay("max_clients"), 10000), "10000");
	cr_expect_str_eq(printed(margay("handover"), 1), "yes");
	cr_expect_str_eq(printed(margay("log_level"), 4), "debug");
}

Test(opt, what_is_printed_parses_to_the_same)
{
	for (size_t i = 0; i < nopts; i++) {
		u64 v, back;
		char why[256], text[64];

		if (opts[i].type >= OPT_TYPE_STR)
			continue;
		cr_assert_null(opt_num_parse(&opts[i], opts[i].def, &v, why, sizeof why));
		opt_num_print(&opts[i], v, text, sizeof text);
		cr_assert_null(opt_num_parse(&opts[i], text, &back, why, sizeof why), "%s = %s",
			       opts[i].name, text);
		cr_expect_eq(v, back, "%s", opts[i].name);
	}
}

Test(opt, nearest)
{
	static const char *const words[] = {"listen", "workers", "log"};

	cr_expect_str_eq(opt_nearest("lisetn", words, 3), "listen");
	cr_expect_str_eq(opt_nearest("Listen", words, 3), "listen");
	cr_expect_str_eq(opt_nearest("worker", words, 3), "workers");
	cr_expect_str_eq(opt_nearest("lgo", words, 3), "log");
	cr_expect_null(opt_nearest("lxy", words, 3));
	cr_expect_null(opt_nearest("timeout", words, 3));
}

Test(opt, workers)
{
	u64 n;

	cr_expect(check_workers("auto", &n) && n == 0);
	cr_expect(check_workers("3", &n) && n == 3);
	cr_expect(!check_workers("0", &n) && !check_workers("", &n) && !check_workers("all", &n));
}
