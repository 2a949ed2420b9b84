/* t/unit/test_tools_import.c: accounts of a server as sections of margay.conf: what comes out loads, whatever a server holds. */
#include "config.h"
#include <criterion/criterion.h>
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "t/unit/tools.h"
#include "tools/import.h"
#include <unistd.h>

#define HASH  "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"
#define HASH2 "*24E65567ABDB5135D0CFD9A70B3032C179A49EE7"
#define ED    "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"
#define SHA2  "$A$005$\x01\"\n{fghijklmnopqrstu" "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
#define ACCOUNT(...) {__VA_ARGS__} /* what is left out: defaults() */

static void
defaults(struct import_account *a)
{
	static const char *const texts[] = {"u", "%", "mysql_native_password", HASH, "", "", "", ""};
	const char **const at[] = {&a->user, &a->host, &a->plugin, &a->auth, &a->others, &a->subject, &a->issuer, &a->cipher};

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		if (*at[i] == NULL)
			*at[i] = texts[i];
}

Test(import, hosts)
{
	static const struct {
		const char *host;
		enum import_host kind;
		const char *nets;
	} cases[] = {
	    {"%", HOST_ANY, ""}, {"", HOST_ANY, ""},
	    {"10.1.2.3", HOST_NETS, "10.1.2.3"}, {"::1", HOST_NETS, "::1"}, {"fd00::7", HOST_NETS, "fd00::7"},
	    {"localhost", HOST_NETS, "unix, 127.0.0.1, ::1"},
	    {"10.%", HOST_NETS, "10.0.0.0/8"}, {"10.1.%", HOST_NETS, "10.1.0.0/16"}, {"10.1.2.%", HOST_NETS, "10.1.2.0/24"},
	    {"10.%.%.%", HOST_NETS, "10.0.0.0/8"}, {"10.1.%.%", HOST_NETS, "10.1.0.0/16"}, {"10.%.%", HOST_NETS, "10.0.0.0/8"},
	    {"10.1.0.0/255.255.0.0", HOST_NETS, "10.1.0.0/16"}, {"10.1.0.0/16", HOST_NETS, "10.1.0.0/16"},
	    {"0.0.0.0/0.0.0.0", HOST_NETS, "0.0.0.0/0"}, {"10.1.2.3/255.255.255.255", HOST_NETS, "10.1.2.3/32"},
	    {"10.1%", HOST_NONE, ""}, {"10.1.2.3%", HOST_NONE, ""}, {"%.%", HOST_NONE, ""}, {"10.%.1.1", HOST_NONE, ""},
	    {"10.1.2._", HOST_NONE, ""}, {"300.%", HOST_NONE, ""}, {"10.%.%.%.%", HOST_NONE, ""}, {"10..%", HOST_NONE, ""},
	    {"1.2.3.4.%", HOST_NONE, ""}, {"%.example.com", HOST_NONE, ""}, {"db.example.com", HOST_NONE, ""}, {"unix", HOST_NONE, ""},
	    {"10.1.2.3/255.255.0.0", HOST_NONE, ""}, {"10.0.0.0/255.0.255.0", HOST_NONE, ""}, {"10.0.0.0/33", HOST_NONE, ""},
	    {"10.0.0.0/", HOST_NONE, ""}, {"/8", HOST_NONE, ""}, {"fd00::/16", HOST_NONE, ""}, {"fd00:%", HOST_NONE, ""},
	};
	char nets[64];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum import_host k = import_host(cases[i].host, nets);

		cr_assert_eq(k, cases[i].kind, "%s: %d", cases[i].host, (int)k);
		if (k == HOST_NETS)
			cr_assert_str_eq(nets, cases[i].nets);
	}
}

static char *
written(struct import_account *v, size_t n, size_t *in_force_r)
{
	char *text = NULL;
	size_t len, k;
	FILE *f = open_memstream(&text, &len);

	cr_assert_not_null(f);
	for (size_t i = 0; i < n; i++)
		defaults(&v[i]);
	qsort(v, n, sizeof *v, import_cmp);
	k = import_write(f, v, n, "main", "monitor");
	fclose(f);
	if (in_force_r != NULL)
		*in_force_r = k;
	return text;
}

/* Users of the configuration that the text makes. */
static u32
loads(const char *text)
{
	char path[] = "/tmp/margay-import-XXXXXX";
	static struct conf_result r;
	struct conf_args a = {.generation = 1, .epoch = 1, .cpus = 1};
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");
	struct cfg c;

	fprintf(f, "[server db]\naddress = 127.0.0.1:3306\n[cluster main]\ntopology = standalone\nservers = db\nmonitor_user = m\n%s", text);
	fclose(f);
	memset(&r, 0, sizeof r);
	int rc = conf_load(path, &a, &r);
	unlink(path);
	for (u32 i = 0; i < r.msgs.n; i++)
		cr_assert_neq(r.msgs.v[i].severity, CONF_ERROR, "line %u: %s in\n%s", r.msgs.v[i].line, r.msgs.v[i].text, text);
	cr_assert_eq(rc, 0);
	cr_assert_eq(cfg_open_mem(r.snap.cfg, r.snap.cfg_size, r.snap.secrets, r.snap.secrets_size, &c), 0);
	u32 n = c.r->nusers;
	conf_result_free(&r);
	return n;
}

static void
expect(struct import_account *v, size_t n, size_t in_force, const char *want)
{
	size_t k;
	char *text = written(v, n, &k);

	cr_assert_eq(k, in_force, "%s", text);
	cr_assert_str_eq(text, want);
	cr_assert_eq(loads(text), in_force);
	free(text);
}
#define EXPECT(v, in_force, want) expect(v, ARRAY_LEN(v), in_force, want)

Test(import, one_of_each)
{
	struct import_account plain[] = {ACCOUNT(.locked = false)};
	EXPECT(plain, 1, "\n[user \"u\"]\npassword = \"" HASH "\"\ncluster = \"main\"\n");
	struct import_account nets[] = {ACCOUNT(.host = "10.%"), ACCOUNT(.host = "192.168.1.7")};
	EXPECT(nets, 1, "\n[user \"u\"]\npassword = \"" HASH "\"\ncluster = \"main\"\nallow_from = 10.0.0.0/8, 192.168.1.7\n");
	struct import_account wide[] = {ACCOUNT(.host = "10.%"), ACCOUNT(.host = "%")};
	EXPECT(wide, 1, "\n[user \"u\"]\npassword = \"" HASH "\"\ncluster = \"main\"\n");
	struct import_account open[] = {ACCOUNT(.auth = "", .plugin = "", .host = "::1")};
	EXPECT(open, 1, "\n[user \"u\"]\npassword = \"\"\ncluster = \"main\"\nallow_from = ::1\n");
	struct import_account quoted[] = {ACCOUNT(.user = "{a \"b\\] #;")};
	EXPECT(quoted, 1, "\n[user \"\\{a \\\"b\\\\] #;\"]\npassword = \"" HASH "\"\ncluster = \"main\"\n");
}

Test(import, what_is_left_to_a_person)
{
	struct import_account role[] = {ACCOUNT(.role = true, .host = "", .plugin = "")};
	EXPECT(role, 0, "\n# 'u': a role; servers know it, Margay need not\n");
	struct import_account locked[] = {ACCOUNT(.locked = true)};
	EXPECT(locked, 0, "\n# 'u'@'%': it is locked\n");
	struct import_account none[] = {ACCOUNT(.max_user_connections = -1)};
	EXPECT(none, 0, "\n# 'u'@'%': it may open no connections\n");
	struct import_account pam[] = {ACCOUNT(.plugin = "pam", .auth = "mariadb")};
	EXPECT(pam, 0, "\n# 'u'@'%': Margay does not have its method: pam\n");
	struct import_account invalid[] = {ACCOUNT(.auth = "invalid", .others = "unix_socket")};
	EXPECT(invalid, 0, "\n# 'u'@'%': no password fits what is stored for it\n# 'u'@'%': other methods that it has are not carried over: unix_socket\n");
	struct import_account named[] = {ACCOUNT(.host = "app.example.com")};
	EXPECT(named, 0, "\n# 'u'@'app.example.com': its host is no network that allow_from could name\n"
		"# 'u'@'app.example.com': not in force: say in allow_from where it may come from\n"
		"# [user \"u\"]\n# password = \"" HASH "\"\n# cluster = \"main\"\n");
	struct import_account both[] = {ACCOUNT(.host = "app.example.com"), ACCOUNT(.host = "10.1.%")};
	EXPECT(both, 1, "\n# 'u'@'app.example.com': its host is no network that allow_from could name\n"
		"[user \"u\"]\npassword = \"" HASH "\"\ncluster = \"main\"\nallow_from = 10.1.0.0/16\n");
	struct import_account two[] = {ACCOUNT(.host = "10.%", .auth = HASH2), ACCOUNT(.locked = false), ACCOUNT(.host = "fd00::1", .auth = HASH2)};
	EXPECT(two, 1, "\n# 'u'@'%': has another password or method than the account below\n"
		"[user \"u\"]\npassword = \"" HASH2 "\"\ncluster = \"main\"\nallow_from = 10.0.0.0/8, fd00::1\n");
	struct import_account tie[] = {ACCOUNT(.host = "10.%", .auth = HASH2), ACCOUNT(.locked = false)};
	EXPECT(tie, 1, "\n# 'u'@'10.%': has another password or method than the account below\n"
		"[user \"u\"]\npassword = \"" HASH "\"\ncluster = \"main\"\n");
	struct import_account anon[] = {ACCOUNT(.user = "")};
	EXPECT(anon, 0, "\n# ''@'%': not in force: anonymous accounts take any name: Margay needs to know it\n"
		"# [user \"\"]\n# password = \"" HASH "\"\n# cluster = \"main\"\n");
	struct import_account monitor[] = {ACCOUNT(.user = "monitor")};
	EXPECT(monitor, 0, "\n# 'monitor'@'%': is monitor_user; left out\n");
	struct import_account evil[] = {ACCOUNT(.user = "a\n[user b]\npassword = c", .host = "x\ny\x7f")};
	EXPECT(evil, 0, "\n# 'a?[user b]?password = c'@'x?y?': its host is no network that allow_from could name\n"
		"# 'a?[user b]?password = c'@'x?y?': not in force: no section can have this name\n"
		"# [user a?[user b]?password = c]\n# password = \"" HASH "\"\n# cluster = \"main\"\n");
}

Test(import, methods_that_take_the_password)
{
	struct import_account ed[] = {ACCOUNT(.plugin = "ed25519", .auth = ED, .host = "10.1.1.1")};
	EXPECT(ed, 0, "\n# 'u'@'10.1.1.1': not in force: servers take the password itself, not its hash: write it as backend_password\n"
		"# [user \"u\"]\n# password = \"ed25519:" ED "\"\n# auth_plugin = client_ed25519\n# backend_password = ...\n"
		"# cluster = \"main\"\n# allow_from = 10.1.1.1\n");
	struct import_account sha[] = {ACCOUNT(.plugin = "caching_sha2_password", .auth = SHA2)};
	EXPECT(sha, 0, "\n# 'u'@'%': not in force: servers take the password itself, not its hash: write it as backend_password\n"
		"# [user \"u\"]\n# password = 0x24412430303524"
		"01220A7B666768696A6B6C6D6E6F70717273747561" "62636465666768696A6B6C6D6E6F707172737475767778797A4142434445464748494A4B4C4D4E4F5051"
		"\n# auth_plugin = caching_sha2_password\n# backend_password = ...\n# cluster = \"main\"\n");
	/* when a person has done what they say */
	struct import_account *each[] = {ed, sha};
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		char *text = written(each[i], 1, NULL), *at = strstr(text, "# [user"), *to = text;

		cr_assert_not_null(at);
		for (char *p = at; *p != '\0'; p++)
			if (p[0] != '#' && (p == at || p[-1] != '#'))
				*to++ = *p;
		*to = '\0';
		cr_assert_eq(loads(text), 1);
		free(text);
	}
	cr_assert(import_better("mysql_native_password", HASH, "ed25519", ED));
	cr_assert(import_better("ed25519", ED, "mysql_native_password", "invalid"));
	cr_assert(import_better("ed25519", ED, "pam", ""));
	cr_assert(!import_better("pam", "", "ed25519", ED));
	cr_assert(import_better("pam", "", NULL, NULL));
}

Test(import, limits_and_tls)
{
	struct import_account limits[] = {ACCOUNT(.max_user_connections = 7, .hourly = true, .expired = true), ACCOUNT(.host = "10.%", .max_user_connections = 9)};
	char *text = written(limits, 2, NULL);
	cr_assert_not_null(strstr(text, "\nmax_connections = 9\n"), "%s", text);
	cr_assert_not_null(strstr(text, "differ in MAX_USER_CONNECTIONS"));
	cr_assert_not_null(strstr(text, "limits by the hour"));
	cr_assert_not_null(strstr(text, "has expired"));
	cr_assert_eq(loads(text), 1);
	free(text);
	struct import_account ssl[] = {ACCOUNT(.tls = IMPORT_TLS_ANY), ACCOUNT(.host = "10.%")};
	text = written(ssl, 2, NULL);
	cr_assert_not_null(strstr(text, "\ntls = required\n"), "%s", text);
	cr_assert_not_null(strstr(text, "is the strictest"));
	cr_assert_eq(loads(text), 1);
	free(text);
	struct import_account subject[] = {ACCOUNT(.tls = IMPORT_TLS_SPECIFIED, .subject = "/C=FI/O=\"Ex\"/CN=app", .issuer = "/CN=ca\n[user x]", .cipher = "AES")};
	text = written(subject, 1, NULL);
	cr_assert_not_null(strstr(text, "\ntls = certificate\ntls_subject = \"/C=FI/O=\\\"Ex\\\"/CN=app\"\n"), "%s", text);
	cr_assert_not_null(strstr(text, "/CN=ca?[user x]\n"));
	cr_assert_not_null(strstr(text, "REQUIRE CIPHER is not carried over: AES"));
	free(text);
	struct import_account cipher[] = {ACCOUNT(.tls = IMPORT_TLS_SPECIFIED, .cipher = "AES")};
	text = written(cipher, 1, NULL);
	cr_assert_not_null(strstr(text, "\ntls = required\n"), "%s", text);
	free(text);
}

/* Pieces that mean something somewhere, strung together at random: no text escapes from its place. */
Test(import, whatever_a_server_holds_loads, .timeout = 60)
{
	static const char *const pieces[] = {"a", "\"", "\\", "{", "\n", "[user b]", "]", "#", " ;", "=", " ", "%", "10.", "/8", "'", "\xc3\xbc", "\xff",
	    "\x01", "password", "\t", "$A$", "*"}, *const plugins[] = {"mysql_native_password", "ed25519", "caching_sha2_password", "", "pam\n"},
	    *const auths[] = {HASH, HASH2, ED, SHA2, "", "invalid\n[user c]"}, *const hosts[] = {"%", "10.%", "localhost", "::1", NULL};
	unsigned seed = (unsigned)getpid();

	for (int round = 0; round < 300; round++) {
		char text[12][64];
		struct import_account v[6];
		unsigned at = seed;

		for (size_t i = 0; i < ARRAY_LEN(text); i++) {
			text[i][0] = '\0';
			for (int k = rand_r(&seed) % 4; k >= 0; k--)
				(void)snprintf(text[i] + strlen(text[i]), 20, "%s", pieces[(size_t)rand_r(&seed) % ARRAY_LEN(pieces)]);
		}
		for (size_t i = 0; i < ARRAY_LEN(v); i++) {
			const char *host = hosts[(size_t)rand_r(&seed) % ARRAY_LEN(hosts)];

			v[i] = (struct import_account)ACCOUNT(.user = text[i / 2], .host = host != NULL ? host : text[6 + i],
			    .plugin = plugins[(size_t)rand_r(&seed) % ARRAY_LEN(plugins)], .auth = auths[(size_t)rand_r(&seed) % ARRAY_LEN(auths)],
			    .others = text[8], .locked = rand_r(&seed) % 5 == 0, .role = rand_r(&seed) % 7 == 0,
			    .max_user_connections = rand_r(&seed) % 4 - 1);
		}
		size_t k;
		char *conf = written(v, ARRAY_LEN(v), &k);
		cr_assert_eq(loads(conf), k, "seed %u:\n%s", at, conf);
		free(conf);
	}
}
