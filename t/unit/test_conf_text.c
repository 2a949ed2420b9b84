/* Unit tests of conf/text and conf/addr: values and addresses as they stand in the file. Pure. */
#include <criterion/criterion.h>
#include "conf/addr.h"
#include "conf/text.h"

static struct mem mem;

/* Decodes one raw value; "!why" when it is refused. */
static const char *
scalar(const char *raw, bool secret)
{
	static char out[512];
	struct text_value v;
	const char *why = text_scalar(&mem, raw, strlen(raw), secret, &v);

	(void)snprintf(out, sizeof out, "%s%.*s", why == NULL ? "" : "!", 200,
		       why == NULL ? v.p : why);
	return out;
}

static void
fini(void)
{
	mem_free(&mem);
}
TestSuite(text, .fini = fini);

Test(text, bare)
{
	cr_expect_str_eq(scalar(" auto              ; one per core", false), "auto");
	cr_expect_str_eq(scalar("\tauto\t; x", false), "auto");
	cr_expect_str_eq(scalar("a;b", false), "a;b");
	cr_expect_str_eq(scalar("a#b", false), "a#b");
	cr_expect_str_eq(scalar("/a b/c", false), "/a b/c");
	cr_expect_str_eq(scalar("auto ;", false), "auto");
	cr_expect_str_eq(scalar("back\\slash", false), "back\\slash");
	cr_expect_eq(scalar("auto # one", false)[0], '!');
	cr_expect_eq(scalar("'auto'", false)[0], '!');
	cr_expect_eq(scalar("a\"b\"", false)[0], '!');
	cr_expect_eq(scalar("", false)[0], '!');
	cr_expect_eq(scalar("   ", false)[0], '!');
	cr_expect_eq(scalar(" ; comment", false)[0], '!');
	cr_expect_eq(scalar("; comment", false)[0], '!');
}

Test(text, secret)
{
	cr_expect_str_eq(scalar(" s3;cr#t", true), "s3;cr#t");
	cr_expect_eq(scalar("a ;b", true)[0], '!');
	cr_expect_eq(scalar("a ; comment", true)[0], '!');
	cr_expect_eq(scalar("a\t;b", true)[0], '!');
	cr_expect_eq(scalar("a #b", true)[0], '!');
	cr_expect_eq(scalar("a\"b", true)[0], '!');
	cr_expect_eq(scalar("a\"", true)[0], '!');
	cr_expect_eq(scalar("; x", true)[0], '!');
	cr_expect_str_eq(scalar("\"a ;b\" ; comment", true), "a ;b");
	cr_expect_str_eq(scalar("\"\"", true), "");
}

Test(text, quoted)
{
	struct text_value v;

	cr_expect_str_eq(scalar("\"a \\\"b\\\" \\\\ ; #\"", false), "a \"b\" \\ ; #");
	cr_expect_str_eq(scalar(" \" x \"  ", false), " x ");
	cr_expect_eq(scalar("\"abc", false)[0], '!');
	cr_expect_eq(scalar("\"abc\\\"", false)[0], '!');
	cr_expect_eq(scalar("\"abc\\", false)[0], '!');
	cr_expect_eq(scalar("\"a\\n\"", false)[0], '!');
	cr_expect_eq(scalar("\"a\" b", false)[0], '!');
	cr_expect_eq(scalar("\"a\";b", false)[0], '!');
	cr_expect_eq(scalar("\"a\"\"b\"", false)[0], '!');
	cr_assert_null(text_scalar(&mem, "\"\\{x}\"", 6, true, &v));
	cr_expect_str_eq(v.p, "{x}");
	cr_expect(v.literal_brace);
	cr_assert_null(text_scalar(&mem, "\"{x}\"", 5, true, &v));
	cr_expect(!v.literal_brace);
}

/* Items joined by "|"; "!why". */
static const char *
list(const char *raw, bool *comma)
{
	static char out[512];
	struct text_value v;
	size_t at = 0, n = 0;

	*comma = false;
	out[0] = '\0';
	while (at < strlen(raw)) {
		const char *why = text_item(&mem, raw, strlen(raw), &at, &v, comma);

		if (why != NULL) {
			(void)snprintf(out, sizeof out, "!%s", why);
			break;
		}
		if (v.p == NULL)
			break;
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", n == 0 ? "" : "|", v.p);
	}
	return out;
}

Test(text, lists)
{
	bool comma;

	cr_expect_str_eq(list(" a, b ,c ; rest, of", &comma), "a|b|c");
	cr_expect(!comma);
	cr_expect_str_eq(list("a,", &comma), "a");
	cr_expect(comma);
	cr_expect_str_eq(list("a, ; more to come", &comma), "a");
	cr_expect(comma);
	cr_expect_str_eq(list("\"/run/a,b ;c\", d", &comma), "/run/a,b ;c|d");
	cr_expect_str_eq(list("; only", &comma), "");
	cr_expect_eq(list("a,,b", &comma)[0], '!');
	cr_expect_eq(list(",a", &comma)[0], '!');
	cr_expect_eq(list("a b", &comma)[0], '!');
	cr_expect_eq(list("a # b", &comma)[0], '!');
	cr_expect_eq(list("a, # b", &comma)[0], '!');
	cr_expect_eq(list("\"a\" b", &comma)[0], '!');
	cr_expect_eq(list("\"a", &comma)[0], '!');
}

Test(text, open)
{
	cr_expect(text_is_open("", 0));
	cr_expect(text_is_open("  ; x", 5));
	cr_expect(text_is_open("a, ; x", 6));
	cr_expect(!text_is_open("a ; x,", 6));
	cr_expect(!text_is_open("\"a ;,\"", 6));
	cr_expect(!text_is_open("\"\\", 2));
}

static bool
addr_is(const char *text, bool names, int kind, unsigned port, const char *host)
{
	struct conf_addr a;

	return addr_parse(text, names, &a) == NULL && (int)a.kind == kind && a.port == port &&
	       strcmp(a.host, host) == 0;
}

Test(addr, good)
{
	cr_expect(addr_is("127.0.0.1:3306", false, 4, 3306, "127.0.0.1"));
	cr_expect(addr_is("[::1]:65535", false, 6, 65535, "::1"));
	cr_expect(addr_is("/run/m.sock", false, 1, 0, "/run/m.sock"));
	cr_expect(addr_is("DB1.example-x.org:1", true, 7, 1, "db1.example-x.org"));
	cr_expect(addr_is("localhost:3306", true, 7, 3306, "localhost"));
}

Test(addr, bad)
{
	static const char *const bad[] = {"",
					  ":",
					  "127.0.0.1",
					  "127.0.0.1:",
					  "127.0.0.1:0",
					  "127.0.0.1:65536",
					  "127.0.0.1:x",
					  "::1:3306",
					  "[::1]",
					  "[::1:3306",
					  "[::g]:1",
					  "[]:1",
					  ":3306",
					  "1.2.3.256:1",
					  "1.2.3:1",
					  "a..b:1",
					  ".a:1",
					  "a b:1",
					  "[1.2.3.4]:1",
					  "]:1",
					  "host:3306:1"};
	struct conf_addr a;
	char path[200];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_not_null(addr_parse(bad[i], true, &a), "%s", bad[i]);
	cr_expect_not_null(addr_parse("localhost:3306", false, &a));
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[108] = '\0';
	cr_expect_not_null(addr_parse(path, false, &a));
	path[107] = '\0';
	cr_expect_null(addr_parse(path, false, &a));
}

static bool
listen_is(const char *text, int kind, u16 port, size_t len, u32 tls)
{
	struct conf_addr a;
	size_t n;
	u32 t;

	return listen_parse(text, &a, &n, &t) == NULL && (int)a.kind == kind && a.port == port && n == len && t == tls;
}

Test(addr, listen)
{
	static const char *const bad[] = {"127.0.0.1:1?tls=", "127.0.0.1:1?tls=maybe", "127.0.0.1:1?tls=off?tls=off", "127.0.0.1:1?x",
	    "?tls=off", "?tls=off", "127.0.0.1:1?tls =off", "127.0.0.1:1?", "localhost:1?tls=off", "127.0.0.1?tls=required"};
	struct conf_addr a;
	char path[200];
	size_t n;
	u32 tls;

	cr_expect(listen_is("127.0.0.1:1", 4, 1, 11, 0));
	cr_expect(listen_is("127.0.0.1:1?tls=off", 4, 1, 11, 1));
	cr_expect(listen_is("[::1]:3306?tls=preferred", 6, 3306, 10, 2));
	cr_expect(listen_is("/run/a?tls=required", 1, 0, 6, 3));
	cr_expect(listen_is("/run/a b", 1, 0, 8, 0));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_not_null(listen_parse(bad[i], &a, &n, &tls), "%s", bad[i]);
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[150] = '\0';
	cr_expect_not_null(listen_parse(path, &a, &n, &tls));
}

Test(addr, equal)
{
	struct conf_addr a, b;

	cr_assert_null(addr_parse("[::1]:5", false, &a));
	cr_assert_null(addr_parse("[0:0::1]:5", false, &b));
	cr_expect(addr_equal(&a, &b));
	cr_assert_null(addr_parse("[::1]:6", false, &b));
	cr_expect(!addr_equal(&a, &b));
	cr_assert_null(addr_parse("Db:6", true, &a));
	cr_assert_null(addr_parse("dB:6", true, &b));
	cr_expect(addr_equal(&a, &b));
	cr_assert_null(addr_parse("/a", true, &a));
	cr_assert_null(addr_parse("/A", true, &b));
	cr_expect(!addr_equal(&a, &b));
}

static int
net_is(const char *text, unsigned family, unsigned prefix)
{
	struct conf_net n;

	return net_parse(text, &n) == NULL && n.family == family && n.prefix == prefix;
}

Test(addr, networks)
{
	static const char *const bad[] = {"",           "10.0.0.0/33", "10.0.0.1/8",  "10.0.0.0/",
					  "10.0.0.0/x", "10.0.0/8",    "fd00::1/8",   "::/129",
					  "localhost",  "Unix",        "10.0.0.0/-1", "1.2.3.4.5",
					  "0.0.0.1/0"};
	struct conf_net n;

	cr_expect(net_is("10.0.0.0/8", 4, 8));
	cr_expect(net_is("10.1.2.3", 4, 32));
	cr_expect(net_is("0.0.0.0/0", 4, 0));
	cr_expect(net_is("fd00::/8", 6, 8));
	cr_expect(net_is("::1", 6, 128));
	cr_expect(net_is("unix", 1, 0));
	cr_expect(net_is("::ffff:10.0.0.0/104", 4, 8));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect_not_null(net_parse(bad[i], &n), "%s", bad[i]);
}
