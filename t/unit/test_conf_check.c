/* Unit tests of conf/check: rules over several options, each with its place; warnings apart from
 * errors. */
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
TestSuite(check, .init = init, .fini = fini);

Test(check, good)
{
	EXPECT_LOAD(&t, GOOD, "");
}

Test(check, required)
{
	EXPECT_LOAD(
	    &t,
	    "[server a]\n"          /* 1 */
	    "[cluster c]\n"         /* 2 */
	    "[user u]\n"            /* 3 */
	    "[server b]\n"          /* 4 */
	    "address = \"\"\n"      /* 5 */
	    "[cluster d]\n"         /* 6 */
	    "servers = \"\"\n"      /* 7 */
	    "monitor_user = 'x'\n", /* 8: wrong, so not missing too */
	    "D/margay.conf:1: error: [server a] needs the option address\n"
	    "D/margay.conf:1: warning: [server a] is in no cluster: nothing uses it\n"
	    "D/margay.conf:2: error: [cluster c] needs the option servers\n"
	    "D/margay.conf:2: error: [cluster c] needs the option monitor_user\n"
	    "D/margay.conf:3: error: [user u] needs the option cluster\n"
	    "D/margay.conf:3: error: [user u] has no password; password = \"\" lets it in without "
	    "one\n"
	    "D/margay.conf:4: warning: [server b] is in no cluster: nothing uses it\n"
	    "D/margay.conf:5: error: address may not be empty\n"
	    "D/margay.conf:7: error: servers may not be empty\n"
	    "D/margay.conf:8: error: monitor_user: single quotes do not quote: use \"...\"\n");
}

Test(check, margay_values)
{
	EXPECT_LOAD(&t,
		    "[margay]\n"                                              /* 1 */
		    "listen = 127.0.0.1:3306, localhost:3306, [::1]:5,\n"     /* 2 */
		    "    127.0.0.1:3306, [0::1]:5, /run/x, /run/x, 1.2.3.4\n" /* 3 */
		    "workers = many\n"                                        /* 4 */
		    "runtime_dir = run\n"                                     /* 5 */
		    "state_dir = \"\"\n"                                      /* 6 */
		    "log = syslog\n"                                          /* 7 */
		    "key_file = key\n"                                        /* 8 */
		    "server_version = MariaDB\n"                              /* 9 */
		    "respawn_min = 1m\n"                                      /* 10 */
		    "max_clients = 0\n"                                       /* 11 */
		    "proxy_protocol_networks = 10.0.0.1/8\n"                  /* 12 */
		    GOOD,
		    "D/margay.conf:2: error: listen: localhost:3306: an address in numbers is "
		    "needed here, such as "
		    "127.0.0.1:3306, 0.0.0.0:3306 or [::]:3306\n"
		    "D/margay.conf:3: error: listen: 127.0.0.1:3306 stands twice\n"
		    "D/margay.conf:3: error: listen: [0::1]:5 stands twice\n"
		    "D/margay.conf:3: error: listen: /run/x stands twice\n"
		    "D/margay.conf:3: error: listen: 1.2.3.4: expected host:port, [v6]:port or the "
		    "path of a Unix socket "
		    "(which begins with /)\n"
		    "D/margay.conf:4: error: workers: auto or a number from 1\n"
		    "D/margay.conf:5: error: runtime_dir: a path that begins with / is needed\n"
		    "D/margay.conf:6: error: state_dir: a path that begins with / is needed\n"
		    "D/margay.conf:7: error: log: stderr or a path that begins with /\n"
		    "D/margay.conf:8: error: key_file: a path that begins with / is needed\n"
		    "D/margay.conf:9: error: server_version: begins with three numbers, such as "
		    "10.11.6-MariaDB\n"
		    "D/margay.conf:10: error: respawn_min is larger than respawn_max\n"
		    "D/margay.conf:11: error: max_clients: out of bounds: 1 to 1000000\n"
		    "D/margay.conf:12: error: proxy_protocol_networks: 10.0.0.1/8: bits are set behind the prefix: a single "
		    "address has none or the longest, a network zeros\n");
}

Test(check, margay_values_2)
{
	char text[4096], path[200];
	size_t n;

	memset(path, 'p', sizeof path);
	path[0] = '/';
	path[108 - strlen("/margay.ctl") - 1] = '\0';
	(void)snprintf(text, sizeof text, "[margay]\nruntime_dir = %s\n" GOOD, path);
	EXPECT_LOAD(&t, text, "");
	(void)snprintf(text, sizeof text,
		       "[margay]\nruntime_dir = %sp\nstate_dir = /x\nlisten = \"\"\n" GOOD, path);
	EXPECT_LOAD(&t, text,
		    "D/margay.conf:2: error: runtime_dir: path of 97 bytes; 96 is the most\n"
		    "D/margay.conf:4: error: listen: at least one address is needed\n");
	EXPECT_LOAD(
	    &t, "[margay]\nruntime_dir = /x\nstate_dir = /x\n" GOOD,
	    "D/margay.conf:3: error: state_dir: must not be runtime_dir, which is emptied\n");
	n = (size_t)snprintf(text, sizeof text, GOOD "[margay]\nlisten =\n");
	for (int i = 0; i < 33; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "  127.0.0.1:%d\n", 4000 + i);
	EXPECT_LOAD(&t, text, "D/margay.conf:10: error: listen: 33 addresses; 32 is the most\n");
	for (int i = 0; i < 3; i++) {
		static const char *const bad[] = {"10.11", "10.11.x", "1000.1.1"};

		(void)snprintf(text, sizeof text, GOOD "[margay]\nserver_version = %s\n", bad[i]);
		cr_expect_eq(test_load(&t, text), ERR_CONFIG, "%s", bad[i]);
	}
	EXPECT_LOAD(&t, GOOD "[margay]\nserver_version = 8.0.35\n", "");
	EXPECT_LOAD(&t, GOOD "[margay]\nlisten = 127.0.0.1:1?tls=off, 127.0.0.1:2?tls=required,\n 127.0.0.1:1?tls=no, 127.0.0.1:1\n",
	    "D/margay.conf:10: error: listen: 127.0.0.1:2?tls=required needs tls_cert\n"
	    "D/margay.conf:11: error: listen: 127.0.0.1:1?tls=no: behind the address stands ?tls=off, ?tls=preferred, "
	    "?tls=required or nothing\n"
	    "D/margay.conf:11: error: listen: 127.0.0.1:1 stands twice\n");
}

Test(check, names)
{
	char text[1024], name[200];

	memset(name, 'n', sizeof name);
	name[63] = '\0';
	(void)snprintf(text, sizeof text,
		       "[server %s]\naddress = a:1\n[cluster c]\nmonitor_user = m\nservers = %s\n"
		       "[user u]\npassword = x\ncluster = c\n",
		       name, name);
	EXPECT_LOAD(&t, text, "");
	(void)snprintf(text, sizeof text,
		       "[server %sn]\naddress = a:1\n[cluster c]\nmonitor_user = m\nservers = %sn\n"
		       "[user u]\npassword = x\ncluster = c\n",
		       name, name);
	EXPECT_LOAD(&t, text, "D/margay.conf:1: error: name of 64 bytes; 63 is the most\n");
	EXPECT_LOAD(
	    &t,
	    "[server \"a b\"]\naddress = a:1\n[cluster c]\nmonitor_user = m\nservers = \"a b\"\n"
	    "[user \"a b\"]\npassword = x\ncluster = c\n",
	    "D/margay.conf:1: error: a server's name has letters, digits and _ . - only\n");
}

Test(check, servers)
{
	EXPECT_LOAD(&t,
		    "[server a]\naddress = DB.example:3306\n" /* 1, 2 */
		    "[server b]\naddress = db.example:3306\n" /* 3, 4 */
		    "[server c]\naddress = 10.0.0.1\n"        /* 5, 6 */
		    "[server d]\naddress = /run/mysqld.sock\n"
		    "[server e]\naddress = db.example:3307\n"
		    "[cluster c]\nmonitor_user = m\nservers = a, b, c, d, e\n" /* 11 to 13 */
		    GOOD,
		    "D/margay.conf:4: error: address: [server a] has the same\n"
		    "D/margay.conf:6: error: address: expected host:port, [v6]:port or the path of "
		    "a Unix socket (which begins "
		    "with /)\n");
}

Test(check, clusters)
{
	EXPECT_LOAD(
	    &t,
	    "[server db1]\naddress = a:1\n[server db2]\naddress = a:2\n[server db3]\naddress = "
	    "a:3\n"                                                          /* 1 to 6 */
	    "[cluster one]\nmonitor_user = m\n"                              /* 7, 8 */
	    "servers = db1, bd2,\n"                                          /* 9 */
	    "   db1, zzzzzz\n"                                               /* 10 */
	    "topology = standalone\n"                                        /* 11 */
	    "[cluster two]\nmonitor_user = m\n"                              /* 12, 13 */
	    "servers = db2, db1\n"                                           /* 14 */
	    "heartbeat_table = beat\n"                                       /* 15 */
	    "monitor_password = *0123456789abcdef0123456789abcdef01234567\n" /* 16 */
	    "[user u]\npassword = x\n"                                       /* 17, 18 */
	    "cluster = tow\n",                                               /* 19 */
	    "D/margay.conf:5: warning: [server db3] is in no cluster: nothing uses it\n"
	    "D/margay.conf:9: error: servers: there is no [server bd2]; did you mean db2?\n"
	    "D/margay.conf:9: error: servers: a standalone cluster has one server, not 4\n"
	    "D/margay.conf:10: error: servers: db1 stands twice\n"
	    "D/margay.conf:10: error: servers: there is no [server zzzzzz]\n"
	    "D/margay.conf:14: error: servers: db1 is in [cluster one] already\n"
	    "D/margay.conf:15: error: heartbeat_table: expected schema.table, of letters, digits, "
	    "_ and $\n"
	    "D/margay.conf:16: error: monitor_password: a hash cannot log in at a server; the "
	    "password itself is needed\n"
	    "D/margay.conf:19: error: cluster: there is no [cluster tow]; did you mean two?\n");
	EXPECT_LOAD(
	    &t,
	    GOOD "[cluster main2]\nmonitor_user = m\nservers = db1\nheartbeat_table = a.b;drop\n",
	    "D/margay.conf:11: error: servers: db1 is in [cluster main] already\n"
	    "D/margay.conf:12: error: heartbeat_table: expected schema.table, of letters, digits, "
	    "_ and $\n");
	EXPECT_LOAD(
	    &t,
	    GOOD "[cluster main2]\nmonitor_user = m\nservers = db1\nreplay_transactions = yes\nfailover_buffer = 0\n"
		 "[cluster main3]\nmonitor_user = m\nservers = db1\nfailover_timeout = 0\nreplay_transactions = yes\n"
		 "[cluster main4]\nmonitor_user = m\nservers = db1\nreplay_transactions = yes\n",
	    "D/margay.conf:11: error: servers: db1 is in [cluster main] already\n"
	    "D/margay.conf:12: error: replay_transactions: needs failover_timeout and failover_buffer above 0\n"
	    "D/margay.conf:16: error: servers: db1 is in [cluster main] already\n"
	    "D/margay.conf:18: error: replay_transactions: needs failover_timeout and failover_buffer above 0\n"
	    "D/margay.conf:21: error: servers: db1 is in [cluster main] already\n");
}

Test(check, users)
{
	EXPECT_LOAD(&t,
		    GOOD                                              /* 1 to 8 */
		    "[user none]\ncluster = main\n"                   /* 9, 10 */
		    "[user empty]\ncluster = main\npassword = \"\"\n" /* 11 to 13 */
		    "[user inside]\ncluster = main\npassword = \"\"\nallow_from = unix\n"
		    "[user hash]\ncluster = main\npassword = "
		    "*0123456789abcdef0123456789ABCDEF01234567\n" /* 18 to 20 */
		    "[user nohash]\ncluster = main\npassword = "
		    "*0123456789abcdef0123456789ABCDEF0123456x\n"                     /* 21 to 23 */
		    "[user nets]\ncluster = main\npassword = x\n"                     /* 24 to 26 */
		    "allow_from = 10.0.0.0/8, 10.0.0.1/8,\n   fd00::/8, db.example\n" /* 27, 28 */
		    "backend_password = *0123456789abcdef0123456789ABCDEF01234567\n", /* 29 */
		    "D/margay.conf:9: error: [user none] has no password; password = \"\" lets it "
		    "in without one\n"
		    "D/margay.conf:13: warning: [user empty] may log in without a password from "
		    "anywhere: set allow_from\n"
		    "D/margay.conf:23: warning: password: looks like a hash but is not 40 hex "
		    "digits; it is taken as it stands\n"
		    "D/margay.conf:27: error: allow_from: 10.0.0.1/8: bits are set behind the "
		    "prefix: a single address has none "
		    "or the longest, a network zeros\n"
		    "D/margay.conf:28: error: allow_from: db.example: not an address, a network "
		    "such as 10.0.0.0/8, or unix\n"
		    "D/margay.conf:29: error: backend_password: a hash cannot log in at a server; "
		    "the password itself is "
		    "needed\n");
}

#define KEY "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"
#define HASH "*0123456789abcdef0123456789ABCDEF01234567"
#define SHA2 "\"$A$005$saltsaltsaltsalt;\\\"#z%s\""
#define SHA2_DIGEST "0123456789012345678901234567890123456789012"

Test(check, methods_and_hashes)
{
	char text[8192], plain[200];

	(void)snprintf(plain, sizeof plain, SHA2, SHA2_DIGEST);
	(void)snprintf(text, sizeof text,
		       GOOD "[user a]\ncluster = main\npassword = " KEY "\nauth_plugin = client_ed25519\n" /* 9 to 12 */
			    "backend_password = x\n"
			    "[user b]\ncluster = main\npassword = p\nauth_plugin = client_ed25519\n"
			    "[user c]\ncluster = main\npassword = " HASH "\n"
			    "[user d]\ncluster = main\npassword = %s\nauth_plugin = caching_sha2_password\n"
			    "[user e]\ncluster = main\npassword = " KEY "\nauth_plugin = caching_sha2_password\n"
			    "[user f]\ncluster = main\npassword = " HASH "\nauth_plugin = caching_sha2_password\n"
			    "[user g]\ncluster = main\npassword = p\nauth_plugin = caching_sha2_password\n",
		       plain);
	EXPECT_LOAD(&t, text, "");
	(void)snprintf(text, sizeof text,
		       GOOD "[user a]\ncluster = main\npassword = " KEY "\nauth_plugin = client_ed25519\n" /* 9 to 12 */
			    "[user b]\ncluster = main\npassword = " KEY "\nbackend_password = x\n"         /* 13 to 16 */
			    "[user c]\ncluster = main\npassword = " HASH "\nauth_plugin = client_ed25519\n" /* 17 to 20 */
			    "[user d]\ncluster = main\npassword = ed25519:x\n"                              /* 21 to 23 */
			    "[user e]\ncluster = main\npassword = p\nbackend_password = %s\n"               /* 24 to 27 */
			    "[user f]\ncluster = main\npassword = %s\n"                                     /* 28 to 30 */
			    "[user g]\ncluster = main\npassword = 0x2441243030352473616c74\n",              /* 31 to 33 */
		       plain, plain);
	EXPECT_LOAD(&t, text,
		    "D/margay.conf:11: error: password: with client_ed25519 and a hash the password never comes by, so that "
		    "nothing logs in at the servers: add backend_password (and backend_user)\n"
		    "D/margay.conf:15: error: password: mysql_native_password cannot be checked with a hash of client_ed25519: "
		    "write the password itself, or set auth_plugin = client_ed25519 or caching_sha2_password\n"
		    "D/margay.conf:19: error: password: client_ed25519 cannot be checked with a hash of mysql_native_password: "
		    "write the password itself, or set auth_plugin = mysql_native_password or caching_sha2_password\n"
		    "D/margay.conf:23: warning: password: looks like a hash but is not 43 digits of base64; it is taken as "
		    "it stands\n"
		    "D/margay.conf:27: error: backend_password: a hash cannot log in at a server; the password itself is "
		    "needed\n"
		    "D/margay.conf:30: error: password: mysql_native_password cannot be checked with a hash of "
		    "caching_sha2_password: write the password itself, or set auth_plugin = caching_sha2_password\n"
		    "D/margay.conf:33: warning: password: looks like a hash but is not 70 bytes that caching_sha2_password "
		    "would store, or their hex digits; it is taken as it stands\n");
	EXPECT_LOAD(&t,
		    "[margay]\ndefault_auth_plugin = client_ed25519\n" GOOD
		    "[user a]\ncluster = main\npassword = " HASH "\n" /* 11 to 13 */
		    "[user b]\ncluster = main\npassword = " HASH "\nauth_plugin = mysql_native_password\n",
		    "D/margay.conf:13: error: password: client_ed25519 cannot be checked with a hash of "
		    "mysql_native_password: write the password itself, or set auth_plugin = mysql_native_password or "
		    "caching_sha2_password\n");
}

Test(check, room)
{
	char text[8192];
	size_t n;

	EXPECT_LOAD(&t,
		    "[margay]\nmax_workers = 2\nworkers = 3\nmax_servers = 1\nmax_users = "
		    "1\nmax_server_connections = 499\n" GOOD
		    "[server db2]\naddress = a:1\nmax_connections = 600\n" /* 15 to 17 */
		    "[user b]\npassword = x\ncluster = main\n[margay2]\n",
		    "D/margay.conf:3: error: workers: 3; max_workers is 2\n"
		    "D/margay.conf:7: error: 2 [server] sections; max_servers is 1\n"
		    "D/margay.conf:7: error: [server db1] max_connections is 500; "
		    "max_server_connections is 499\n"
		    "D/margay.conf:12: error: 2 [user] sections; max_users is 1\n"
		    "D/margay.conf:15: warning: [server db2] is in no cluster: nothing uses it\n"
		    "D/margay.conf:17: error: [server db2] max_connections is 600; "
		    "max_server_connections is 499\n"
		    "D/margay.conf:21: error: unknown section [margay2]; did you mean [margay]?\n");
	n = (size_t)snprintf(text, sizeof text, "[margay]\nmax_servers = 100\n");
	for (int i = 0; i < 65; i++)
		n += (size_t)snprintf(text + n, sizeof text - n,
				      "[server s%02d]\naddress = a:%d\n[cluster "
				      "c%02d]\nmonitor_user = m\nservers = s%02d\n",
				      i, i + 1, i, i);
	(void)snprintf(text + n, sizeof text - n, "[user u]\npassword = x\ncluster = c00\n");
	EXPECT_LOAD(&t, text, "D/margay.conf:5: error: 65 [cluster] sections; the most is 64\n");
}

Test(check, world_readable_secrets)
{
	struct conf_args a = {.cpus = 1};

	test_file(&t, "plain.conf", GOOD_SERVER GOOD_CLUSTER);
	test_file_bytes(&t, "margay.conf", "include = plain.conf\n" GOOD_USER,
			strlen("include = plain.conf\n" GOOD_USER), 0644);
	cr_expect_eq(test_load_as(&t, &a), 0);
	EXPECT_MESSAGES(&t, "D/margay.conf:3: warning: this file holds passwords and anyone may "
			    "read it: chmod o-r it\n");
	cr_assert_eq(chmod(t.path, 0640), 0);
	cr_expect_eq(test_load_as(&t, &a), 0);
	EXPECT_MESSAGES(&t, "");
	cr_assert_eq(chmod(test_path(&t, "plain.conf"), 0644), 0);
	cr_expect_eq(test_load_as(&t, &a), 0);
	EXPECT_MESSAGES(&t, "");
}

Test(check, everything_at_once)
{
	/* syntax, option, section and cross errors in one pass */
	EXPECT_LOAD(&t,
		    "[margay]\ngarbage\nworkers = x\n[server a]\n[foo]\n[cluster c]\nservers = "
		    "b\nmonitor_user = m\n"
		    "[user u]\ncluster = d\npassword = x ;y\n",
		    "D/margay.conf:2: error: neither [section] nor name = value nor a comment\n"
		    "D/margay.conf:3: error: workers: auto or a number from 1\n"
		    "D/margay.conf:4: error: [server a] needs the option address\n"
		    "D/margay.conf:4: warning: [server a] is in no cluster: nothing uses it\n"
		    "D/margay.conf:5: error: unknown section [foo]\n"
		    "D/margay.conf:7: error: servers: there is no [server b]; did you mean a?\n"
		    "D/margay.conf:10: error: cluster: there is no [cluster d]; did you mean c?\n"
		    "D/margay.conf:11: error: password: a blank and then ';' or '#' in a secret: "
		    "put the secret in quotes\n");
}
