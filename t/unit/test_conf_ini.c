/* Unit tests of conf/ini and conf/tree: lines, sections, includes, and the exact place of every
 * error. */
#include "t/unit/test_conf.h"

static struct conf_test t;

static void
init(void)
{
	test_begin(&t);
}
static void
fini(void)
{
	test_end(&t);
}
TestSuite(ini, .init = init, .fini = fini);

static const struct cfg_margay *
margay(void)
{
	return &t.cfg.r->margay;
}

Test(ini, sample_of_the_design)
{
	EXPECT_LOAD(
	    &t,
	    "[margay]\n"
	    "listen        = 0.0.0.0:3306, /run/margay/margay.sock\n"
	    "workers       = auto              ; one per core\n"
	    "runtime_dir   = /run/margay       ; shared memory, control socket\n"
	    "\n"
	    "server_version = 10.11.19-MariaDB ; what clients are greeted with; default: the "
	    "least\n"
	    "                                  ; (the greeting goes out before the user is known\n"
	    "[server db1]\n"
	    "address = 10.0.0.1:3306           ; host:port or a socket path\n"
	    "# another comment\n"
	    "max_connections = 500             ; held across all workers\n"
	    "[cluster main]                    ; MyCat: dataHost\n"
	    "topology = replication            ; replication | galera | standalone\n"
	    "servers  = db1                    ; which is primary is observed, not configured\n"
	    "monitor_user = margay\n"
	    "monitor_password = ...\n"
	    "[user app]                        ; who may connect\n"
	    "password = ...\n"
	    "cluster  = main                   ; every database of this cluster\n",
	    "");
	cr_expect_eq(t.cfg.r->nlistens, 2);
	cr_expect_str_eq(cfg_list_text(&t.cfg, margay()->listen, 1), "/run/margay/margay.sock");
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->workers), "auto");
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->server_version), "10.11.19-MariaDB");
	cr_expect_eq(margay()->nworkers, 2);
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_users(&t.cfg)[0].password), "...");
}

Test(ini, missing_file)
{
	struct conf_args a = {0};

	cr_expect_eq(test_load_as(&t, &a), ERR_SYSTEM);
	EXPECT_MESSAGES(&t, "D/margay.conf: error: cannot read: No such file or directory\n");
}

Test(ini, not_a_regular_file)
{
	struct conf_args a = {0};

	cr_assert_eq(mkfifo(t.path, 0600), 0);
	cr_expect_eq(test_load_as(&t, &a), ERR_SYSTEM);
	EXPECT_MESSAGES(&t, "D/margay.conf: error: cannot read: not a regular file\n");
}

Test(ini, empty_file_has_defaults)
{
	EXPECT_LOAD(&t, "", "D/margay.conf: warning: no [user NAME] section: nobody can log in\n");
	cr_expect_str_eq(cfg_list_text(&t.cfg, margay()->listen, 0), "127.0.0.1:3306");
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->runtime_dir), "/run/margay");
	cr_expect_eq(margay()->idle_timeout, 8 * 3600 * 1000);
	cr_expect_eq(margay()->max_packet_size, 64 << 20);
	cr_expect_eq(margay()->server_version.off, 0);
	cr_expect_eq(margay()->handover, 1);
}

Test(ini, malformed_lines)
{
	EXPECT_LOAD(&t,
		    "log = stderr\n"         /* 1 */
		    "[margay]\n"             /* 2 */
		    "listen: 127.0.0.1:1\n"  /* 3 */
		    "garbage\n"              /* 4 */
		    "= 5\n"                  /* 5 */
		    "max clients = 5\n"      /* 6 */
		    "log_level\n"            /* 7 */
		    "log_level =\n"          /* 8 */
		    "\n"                     /* 9 */
		    "workers = auto # one\n" /* 10 */
		    "[margay\n"              /* 11 */
		    "nonsense = 1,\n  2\n"   /* 12: in a section that has its error */
		    "[margay] x\n"           /* 14 */
		    "[]\n"                   /* 15 */
		    "[ ]\n"                  /* 16 */
		    "[\"margay\"]\n"         /* 17 */
		    "[user \"a]\n",          /* 18 */
		    "D/margay.conf: warning: no [user NAME] section: nobody can log in\n"
		    "D/margay.conf:1: error: option log before any section\n"
		    "D/margay.conf:3: error: listen: write \"name = value\", not \"name: value\"\n"
		    "D/margay.conf:4: error: neither [section] nor name = value nor a comment\n"
		    "D/margay.conf:5: error: neither [section] nor name = value nor a comment\n"
		    "D/margay.conf:6: error: neither [section] nor name = value nor a comment\n"
		    "D/margay.conf:7: error: neither [section] nor name = value nor a comment\n"
		    "D/margay.conf:8: error: log_level: no value (write \"\" for an empty one)\n"
		    "D/margay.conf:10: error: workers: a comment after a value starts with \" ;\"; "
		    "put a value that holds \" #\" in quotes\n"
		    "D/margay.conf:11: error: no ']' after the section's name (a name with blanks "
		    "is put in quotes)\n"
		    "D/margay.conf:14: error: text after the section's ']'\n"
		    "D/margay.conf:15: error: a section is written [margay], [server NAME], "
		    "[cluster NAME] or [user NAME]\n"
		    "D/margay.conf:16: error: a section is written [margay], [server NAME], "
		    "[cluster NAME] or [user NAME]\n"
		    "D/margay.conf:17: error: a section is written [margay], [server NAME], "
		    "[cluster NAME] or [user NAME]\n"
		    "D/margay.conf:18: error: no closing quote on this line\n");
}

Test(ini, sections)
{
	EXPECT_LOAD(
	    &t,
	    "[sevrer db1]\n"  /* 1 */
	    "address = 1\n"   /* 2 */
	    "[server:db2]\n"  /* 3 */
	    "[Server db2]\n"  /* 4 */
	    "[foobar]\n"      /* 5 */
	    "[tabel a.b]\n"   /* 6 */
	    "\n"              /* 7 */
	    "[shart s0]\n"    /* 8 */
	    "[function f]\n"  /* 9 */
	    "[schema]\n"      /* 10 */
	    "[server]\n"      /* 11 */
	    "[user \"\"]\n"   /* 12 */
	    "[margay x]\n"    /* 13 */
	    GOOD              /* 14 to 21 */
	    "[server db1]\n"  /* 22 */
	    "address = 10.0.0.2:3306\n"
	    "[margay]\n"
	    "[margay]\n", /* 25 */
	    "D/margay.conf:1: error: unknown section [sevrer]; did you mean [server NAME]?\n"
	    "D/margay.conf:3: error: unknown section [server:db2]; did you mean [server NAME]?\n"
	    "D/margay.conf:4: error: unknown section [Server]; did you mean [server NAME]?\n"
	    "D/margay.conf:5: error: unknown section [foobar]\n"
	    "D/margay.conf:6: error: unknown section [tabel]; did you mean [table NAME]?\n"
	    "D/margay.conf:8: error: unknown section [shart]; did you mean [shard NAME]?\n"
	    "D/margay.conf:9: error: [function] sections (sharding) are not supported yet\n"
	    "D/margay.conf:10: error: the section needs a name: [schema NAME]\n"
	    "D/margay.conf:11: error: the section needs a name: [server NAME]\n"
	    "D/margay.conf:12: error: the section needs a name: [user NAME]\n"
	    "D/margay.conf:13: error: [margay] takes no name\n"
	    "D/margay.conf:22: error: [server db1] stands twice; also at D/margay.conf:14\n"
	    "D/margay.conf:25: error: [margay] stands in this file already, at line 24\n");
}

Test(ini, options)
{
	EXPECT_LOAD(
	    &t,
	    "[margay]\n"
	    "lisen = 127.0.0.1:1\n"                              /* 2 */
	    "Log = stderr\n"                                     /* 3 */
	    "weight = 5\n"                                       /* 4 */
	    "frobnicate = 5\n"                                   /* 5 */
	    "workers = 2\n"                                      /* 6 */
	    "log = stderr\n"                                     /* 7 */
	    "workers = 3\n"                                      /* 8 */
	    GOOD                                                 /* 9 to 16 */
	    "pasword = x\n"                                      /* 17 */
	    "averyveryveryveryveryveryverylongoptionname = 1\n", /* 18 */
	    "D/margay.conf:2: error: unknown option lisen in [margay]; did you mean listen?\n"
	    "D/margay.conf:3: error: unknown option Log in [margay]; did you mean log?\n"
	    "D/margay.conf:4: error: option weight belongs in [server NAME], not in [margay]\n"
	    "D/margay.conf:5: error: unknown option frobnicate in [margay]\n"
	    "D/margay.conf:8: error: option workers stands twice; first at D/margay.conf:6\n"
	    "D/margay.conf:17: error: unknown option pasword in [user app]; did you mean "
	    "password?\n"
	    "D/margay.conf:18: error: name too long\n");
}

Test(ini, quoted_and_odd_values)
{
	EXPECT_LOAD(&t,
		    GOOD_SERVER GOOD_CLUSTER
		    "monitor_password = \"a ;b \\\"c\\\" \\\\\"   ; quoted\n"
		    "[user \"a b]\"]\n"
		    "password = x;y#z\n"
		    "cluster = \"main\"\n"
		    "[user {]\n"
		    "password = \"\\{aes}literal\"\n"
		    "cluster=main\n",
		    "");
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_clusters(&t.cfg)[0].monitor_password),
			 "a ;b \"c\" \\");
	cr_expect_str_eq(cfg_text(&t.cfg, cfg_users(&t.cfg)[0].section_name), "a b]");
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_users(&t.cfg)[0].password), "x;y#z");
	cr_expect_str_eq(cfg_secret_text(&t.cfg, cfg_users(&t.cfg)[1].password), "{aes}literal");
}

Test(ini, secrets_are_never_cut_and_never_shown)
{
	static const char *const bad[] = {"hunter2 ;x",     "hunter2 ; comment", "hun\"ter2",
					  "\"hunter2",      "'hunter2'",         "hunter2 #x",
					  "{hunter2",       "{aes2}hunter2",     "\"hunter2\" x",
					  "\"hunter2\\x\"", "{aes}hunter2"};
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(
		    text, sizeof text,
		    GOOD_SERVER GOOD_CLUSTER "[user app]\ncluster = main\npassword = %s\n", bad[i]);
		cr_expect_eq(test_load(&t, text), ERR_CONFIG, "%s", bad[i]);
		cr_expect_eq(t.r.msgs.errors, 1, "%s: %s", bad[i], test_messages(&t));
		cr_expect_eq(t.r.msgs.v[0].line, 8);
		cr_expect_null(strstr(test_messages(&t), "unter"), "%s", test_messages(&t));
	}
	EXPECT_LOAD(
	    &t, "[user a]\npassword: hunter2\nhunter2\n   hunter3\npasswordhunter2\n",
	    "D/margay.conf:1: error: [user a] needs the option cluster\n"
	    "D/margay.conf:1: error: [user a] has no password; password = \"\" lets it in without "
	    "one\n"
	    "D/margay.conf:2: error: password: write \"name = value\", not \"name: value\"\n"
	    "D/margay.conf:3: error: neither [section] nor name = value nor a comment\n"
	    "D/margay.conf:5: error: neither [section] nor name = value nor a comment\n");
}

Test(ini, lists_go_on)
{
	EXPECT_LOAD(&t,
		    "[margay]\n"
		    "listen = 127.0.0.1:1, ; the first\n"
		    "\n"
		    "  ; a comment between\n"
		    "\t127.0.0.1:2\n"
		    "  127.0.0.1:3 , 127.0.0.1:4  ; and more\n"
		    "    [::1]:5\n"
		    "  log = /x ; an option, indented\n" GOOD,
		    "");
	cr_expect_eq(t.cfg.r->nlistens, 5);
	cr_expect_str_eq(cfg_text(&t.cfg, cfg_listens(&t.cfg)[4].text), "[::1]:5");
	cr_expect_eq(cfg_listens(&t.cfg)[4].kind, 6);
	cr_expect_eq(cfg_listens(&t.cfg)[4].fd_index, 4);
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->log), "/x");

	EXPECT_LOAD(&t,
		    "[margay]\n"
		    "listen =\n"
		    "   127.0.0.1:1\n"
		    "   127.0.0.1:2\n" GOOD,
		    "");
	cr_expect_eq(t.cfg.r->nlistens, 2);
}

Test(ini, lists_that_are_wrong)
{
	EXPECT_LOAD(
	    &t,
	    "  indented = 1\n"           /* 1 */
	    " [margay]\n"                /* 2 */
	    " foo\n"                     /* 3 */
	    "[margay]\n"                 /* 4 */
	    " foo\n"                     /* 5 */
	    "log = stderr\n"             /* 6 */
	    "   more\n"                  /* 7 */
	    "state_dir = /a,\n"          /* 8: not a list: the comma belongs to it */
	    "   runtime_dir: /b\n"       /* 9 */
	    "listen = 127.0.0.1:1,\n"    /* 10 */
	    "   127.0.0.1:2 x,\n"        /* 11 */
	    "server_version = 10.11.1\n" /* 12 */
	    " [server x]\n"              /* 13 */
	    GOOD_SERVER                  /* 14, 15 */
	    "[cluster main]\n"           /* 16 */
	    "monitor_user = x\n"         /* 17 */
	    "servers = db1,\n"           /* 18 */
	    "   db2 = x,,\n"             /* 19 */
	    "[user a]\n"                 /* 20 */
	    "cluster = main\n"           /* 21 */
	    "password = \"\"\n"          /* 22 */
	    "allow_from = 10.0.0.0/8,\n" /* 23 */
	    "   unix ,\n",               /* 24 */
	    "D/margay.conf:1: error: option indented before any section\n"
	    "D/margay.conf:2: error: a section starts at the beginning of its line\n"
	    "D/margay.conf:5: error: an indented line with no list before it\n"
	    "D/margay.conf:7: error: log: takes one value on its line; only lists go on on "
	    "indented lines\n"
	    "D/margay.conf:9: error: runtime_dir: write \"name = value\", not \"name: value\"\n"
	    "D/margay.conf:11: error: listen: a blank inside an item: separate items by commas\n"
	    "D/margay.conf:13: error: a section starts at the beginning of its line\n"
	    "D/margay.conf:19: error: servers: a blank inside an item: separate items by commas\n"
	    "D/margay.conf:24: error: allow_from: the list ends with a comma\n");
}

Test(ini, long_lines)
{
	char text[16384], path[9000];
	size_t n;

	/* 1,000 characters, beyond what inih reads in one piece */
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[1000] = '\0';
	(void)snprintf(text, sizeof text, "[margay]\nlog = %s\nstate_dir = /s ; after it\n" GOOD,
		       path);
	EXPECT_LOAD(&t, text, "");
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->log), path);
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->state_dir), "/s");

	/* exactly the limit, and one more */
	memset(path, 'y', sizeof path);
	path[0] = '/';
	path[INI_LINE_MAX - strlen("log = ")] = '\0';
	(void)snprintf(text, sizeof text, "[margay]\nlog = %s\n" GOOD, path);
	EXPECT_LOAD(&t, text, "");
	cr_expect_eq(strlen(cfg_text(&t.cfg, margay()->log)), INI_LINE_MAX - 6);
	(void)snprintf(text, sizeof text, "[margay]\nlog = %sz\nworkers = x\n" GOOD, path);
	EXPECT_LOAD(&t, text,
		    "D/margay.conf:2: error: line of 4097 bytes; 4096 is the most\n"
		    "D/margay.conf:3: error: workers: auto or a number from 1\n");

	/* a long list over many lines */
	n = (size_t)snprintf(text, sizeof text, GOOD "allow_from =\n");
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "  10.0.%d.%d/32,\n", i / 256,
				      i % 256);
	(void)snprintf(text + n, sizeof text - n, "  unix\n");
	EXPECT_LOAD(&t, text, "");
	cr_expect_eq(cfg_users(&t.cfg)[0].nnets, 301);
}

Test(ini, bytes)
{
	static const char crlf[] =
	    "[margay]\r\nworkers = 3 ; x\r\nlisten = 127.0.0.1:1,\r\n  127.0.0.1:2\r\n" GOOD;
	static const char bom[] = "\xef\xbb\xbf[margay]\nworkers = 4\n" GOOD;
	static const char nul[] =
	    "[margay]\nworkers = 3\0 4\nlog = /x\001\nlog = a\rb\n\tlog = stderr\n; fine\0\n";
	static const char utf16[] = "\xff\xfe[\0m\0";
	static const char no_newline[] = "[margay]\nworkers = 5";
	struct conf_args a = {.cpus = 1};

	test_file(&t, "margay.conf", crlf);
	cr_assert_eq(test_load_as(&t, &a), 0, "%s", test_messages(&t));
	cr_expect_eq(margay()->nworkers, 3);
	cr_expect_str_eq(cfg_list_text(&t.cfg, margay()->listen, 1), "127.0.0.1:2");
	test_file(&t, "margay.conf", bom);
	cr_assert_eq(test_load_as(&t, &a), 0, "%s", test_messages(&t));
	cr_expect_eq(margay()->nworkers, 4);
	test_file(&t, "margay.conf", no_newline);
	cr_assert_eq(test_load_as(&t, &a), 0, "%s", test_messages(&t));
	cr_expect_eq(margay()->nworkers, 5);

	test_file_bytes(&t, "margay.conf", nul, sizeof nul - 1, 0600);
	cr_assert_eq(test_load_as(&t, &a), ERR_CONFIG);
	EXPECT_MESSAGES(&t, "D/margay.conf: warning: no [user NAME] section: nobody can log in\n"
			    "D/margay.conf:2: error: a NUL byte: this is not a text file\n"
			    "D/margay.conf:3: error: a control character\n"
			    "D/margay.conf:4: error: a carriage return inside the line\n"
			    "D/margay.conf:6: error: a NUL byte: this is not a text file\n");
	test_file_bytes(&t, "margay.conf", utf16, sizeof utf16 - 1, 0600);
	cr_assert_eq(test_load_as(&t, &a), ERR_CONFIG);
	cr_expect_not_null(
	    strstr(test_messages(&t), "D/margay.conf:1: error: this is UTF-16; UTF-8 is needed\n"));
}

Test(ini, includes)
{
	cr_assert_eq(mkdir(test_path(&t, "conf.d"), 0700), 0);
	test_file(&t, "conf.d/20-user.conf", GOOD_USER);
	test_file(&t, "conf.d/10-servers.conf", GOOD_SERVER "\n" GOOD_CLUSTER);
	test_file(&t, "conf.d/30-off.conf.bak", "garbage\n");
	test_file(&t, "limits.conf", "[margay]\nworkers = 3\n");
	EXPECT_LOAD(&t,
		    "include = limits.conf ; before the first section\n"
		    "[margay]\n"
		    "include = conf.d/*.conf\n"
		    "log = /x ; still in [margay]\n"
		    "include = \"none*.conf\"\n",
		    "");
	cr_expect_eq(margay()->nworkers, 3);
	cr_expect_eq(t.cfg.r->nusers, 1);
	cr_expect_str_eq(cfg_text(&t.cfg, margay()->log), "/x");
}

Test(ini, include_errors_have_their_place)
{
	char text[512];

	cr_assert_eq(mkdir(test_path(&t, "sub"), 0700), 0);
	test_file(&t, "sub/a.conf", "\n[margay]\nworkers = 0\nlog = /b\ninclude = b.conf\n");
	test_file(&t, "sub/b.conf",
		  "frob = 1\ninclude = ../margay.conf\ninclude = b.conf\ninclude = a.conf\n");
	(void)snprintf(text, sizeof text,
		       "[margay]\n"
		       "include = sub/a.conf\n"  /* 2 */
		       "log = /a\n"              /* 3 */
		       "include = sub/a.conf\n"  /* 4 */
		       "include = gone.conf\n"   /* 5 */
		       "include = %s/sub\n"      /* 6 */
		       "include = gone/*.conf\n" /* 7 */
		       "include =\n"             /* 8 */
		       GOOD                      /* 9 to 16 */
		       "include = sub/b.conf\n", /* 17 */
		       t.dir);
	EXPECT_LOAD(
	    &t, text,
	    "D/sub/b.conf:1: error: option frob before any section\n"
	    "D/sub/b.conf:2: error: cannot include D/sub/../margay.conf: it includes itself\n"
	    "D/sub/b.conf:3: error: cannot include D/sub/b.conf: it includes itself\n"
	    "D/sub/b.conf:4: error: cannot include D/sub/a.conf: it includes itself\n"
	    "D/margay.conf:3: error: option log stands twice; first at D/sub/a.conf:4\n"
	    "D/margay.conf:4: error: cannot include D/sub/a.conf: it was read already\n"
	    "D/margay.conf:5: error: cannot read D/gone.conf: No such file or directory\n"
	    "D/margay.conf:6: error: cannot include D/sub: not a regular file\n"
	    "D/margay.conf:7: error: include: cannot read the directory of D/gone/*.conf: No such "
	    "file or directory\n"
	    "D/margay.conf:8: error: include: no value (write \"\" for an empty one)\n"
	    "D/margay.conf:17: error: include stands in [margay] or before the first section\n"
	    "D/sub/a.conf:3: error: workers: auto or a number from 1\n");
}

Test(ini, includes_are_bounded)
{
	char name[32], text[64];

	for (int i = 0; i < INI_DEPTH_MAX + 1; i++) {
		(void)snprintf(name, sizeof name, "d%d.conf", i);
		(void)snprintf(text, sizeof text, "include = d%d.conf\n", i + 1);
		test_file(&t, name, text);
	}
	EXPECT_LOAD(
	    &t, "include = d1.conf\n" GOOD,
	    "D/d7.conf:1: error: cannot include D/d8.conf: too many includes within one another\n");
}

Test(ini, many_errors_are_counted)
{
	char text[20 * 600];
	size_t n = 0;

	for (int i = 0; i < 600; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "garbage\n");
	cr_expect_eq(test_load(&t, text), ERR_CONFIG);
	cr_expect_eq(t.r.msgs.errors, 600);
	cr_expect_eq(t.r.msgs.n, CONF_MSGS_MAX + 1);
	cr_expect_str_eq(t.r.msgs.v[CONF_MSGS_MAX].text, "101 more are not shown");
	cr_expect_eq(t.r.msgs.v[CONF_MSGS_MAX - 1].line, 500);
}

Test(ini, quick)
{
	struct conf_dirs d;
	char why[256], text[512];

	test_file_bytes(&t, "secret.conf", "[margay]\nruntime_dir = /wrong\n", 29, 0);
	test_file(&t, "more.conf", "[margay]\nkey_file = /k\nuser = me\n");
	(void)snprintf(
	    text, sizeof text,
	    "[margay]\nruntime_dir = \"/r x\" ; here\ngarbage\nlisten = , ,\nstate_dir = /s\n"
	    "include = gone.conf\ninclude = gone/*.x\ninclude = more.conf\n[user x]\npassword = "
	    "\"\nruntime_dir = /y\n");
	test_file(&t, "margay.conf", text);
	cr_assert_eq(conf_quick(t.path, &d, why, sizeof why), 0, "%s", why);
	cr_expect_str_eq(d.runtime_dir, "/r x");
	cr_expect_str_eq(d.state_dir, "/s");
	cr_expect_str_eq(d.key_file, "/k");
	cr_expect_str_eq(d.user, "me");
	cr_expect_str_eq(d.group, "");

	test_file(&t, "margay.conf", "");
	cr_assert_eq(conf_quick(t.path, &d, why, sizeof why), 0);
	cr_expect_str_eq(d.runtime_dir, "/run/margay");
	test_file(&t, "margay.conf", "\n[margay]\nruntime_dir = relative\n");
	cr_expect_eq(conf_quick(t.path, &d, why, sizeof why), ERR_CONFIG);
	cr_expect_not_null(
	    strstr(why, "margay.conf:3: error: runtime_dir: a path that begins with / is needed"),
	    "%s", why);
	test_file(&t, "margay.conf", "[margay]\nstate_dir = \"\"\nkey_file = \"\"\n");
	cr_expect_eq(conf_quick(t.path, &d, why, sizeof why), ERR_CONFIG);
	cr_expect_not_null(strstr(why, "margay.conf:2: error: state_dir"), "%s", why);
	cr_expect_eq(unlink(t.path), 0);
	cr_expect_eq(conf_quick(t.path, &d, why, sizeof why), ERR_SYSTEM);
	cr_expect_not_null(strstr(why, "margay.conf: error: cannot read: No such file"), "%s", why);
}
