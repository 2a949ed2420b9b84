/* t/unit/test_worker_wait.c: statements that wait for a primary, by script: who waits, what wakes them, what is run again and
 * what is not.
 */
#include "config.h"
#include <sys/socket.h>
#include "t/unit/worker_rig.h"

#define RO_TEXT "The MariaDB server is running with the --read-only option so it cannot execute this statement"
#define INSERT  "INSERT INTO t VALUES (1)"

static const struct pkt_ok trx_open = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};

/* db0 is primary, db1 its replica; more: lines of the cluster. */
static struct peer *
start(const char *more)
{
	char cluster[256];

	snprintf(cluster, sizeof cluster, "failover_timeout = 10s\n%s", more != NULL ? more : "");
	rig_start(&(struct rig_conf){.cluster = cluster});
	return client_login(CAPS_NEW);
}

static void
expect_held(struct peer *c, u64 n)
{
	rig_run();
	cr_assert_eq(peer_pending(c), 0, "the client was answered");
	cr_assert_eq(client_state(c), SESS_WAIT);
	cr_assert_eq(rig_counter("clients_held"), n);
}

static void
primary_is(u32 i)
{
	rig_verdict(i, SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE);
	rig_primary((int)i);
	rig_pass(100);
}

static void
finish(struct peer *c, struct peer *s, const char *sql)
{
	server_expect_query(s, sql);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(rig_counter("clients_held"), 0);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(write_waits_for_the_next_primary)
{
	struct peer *c = start(NULL);

	rig_primary(-1);
	client_query(c, INSERT);
	expect_held(c, 1);
	rig_pass(5000); /* longer than queue_timeout would be of any meaning */
	expect_held(c, 1);
	cr_assert_eq(rig_counter("failover_waits"), 1);
	primary_is(1);
	finish(c, server_ready(1), INSERT);
}

TEST_WORKER(those_who_wait_go_on_in_their_order)
{
	rig_start(&(struct rig_conf){.cluster = "failover_timeout = 10s", .server = "pool_size = 1\npool_grow_delay = 1h"});
	struct peer *a = client_login(CAPS_NEW), *b = client_login(CAPS_NEW), *s;

	rig_primary(-1);
	client_query(a, "INSERT INTO t VALUES (1)");
	expect_held(a, 1);
	client_query(b, "INSERT INTO t VALUES (2)");
	expect_held(b, 2);
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_ok(s);
	client_expect_ok(a);
	peer_close(a);
	finish(b, s, "INSERT INTO t VALUES (2)");
}

TEST_WORKER(wait_ends_with_failover_timeout)
{
	struct peer *c = start(NULL);

	rig_primary(-1);
	client_query(c, INSERT);
	expect_held(c, 1);
	rig_pass(9800);
	expect_held(c, 1);
	rig_pass(400);
	client_expect_err(c, 1053, "failover_timeout");
	cr_assert_eq(rig_counter("failover_timeouts"), 1);
	cr_assert_eq(rig_counter("clients_held"), 0);
	/* the next one has its own time */
	client_query(c, INSERT);
	expect_held(c, 1);
	primary_is(0);
	finish(c, server_ready(0), INSERT);
}

TEST_WORKER(no_more_wait_than_failover_buffer)
{
	struct peer *c = start("failover_buffer = 1"), *d = client_login(CAPS_NEW);

	rig_primary(-1);
	client_query(c, INSERT);
	expect_held(c, 1);
	client_query(d, INSERT);
	client_expect_err(d, 1053, "failover_buffer");
	cr_assert_eq(rig_counter("failover_refused"), 1);
	peer_close(d);
	primary_is(0);
	finish(c, server_ready(0), INSERT);
}

TEST_WORKER(nothing_waits_when_it_is_off)
{
	static const char *const off[] = {"failover_timeout = 0", "failover_timeout = 1s\nfailover_buffer = 0"};

	for (size_t i = 0; i < ARRAY_LEN(off); i++) {
		rig_start(&(struct rig_conf){.cluster = off[i]});
		struct peer *c = client_login(CAPS_NEW);
		rig_primary(-1);
		client_query(c, INSERT);
		client_expect_err(c, 1053, "no primary");
		peer_close(c);
		rig_stop();
	}
}

/* The primary refuses connections, and health does not know yet. */
TEST_WORKER(refused_connection_leads_to_waiting)
{
	struct peer *c = start(NULL);

	rig_server_down(0);
	client_query(c, INSERT);
	expect_held(c, 1);
	rig_primary(-1);
	rig_pass(2000);
	expect_held(c, 1);
	primary_is(1);
	finish(c, server_ready(1), INSERT);
}

/* It comes back itself, as primary: tried again when it is no longer suspect. */
TEST_WORKER(refused_connection_is_tried_again)
{
	struct peer *c = start(NULL);

	rig_server_down(0);
	client_query(c, INSERT);
	expect_held(c, 1);
	rig_server_up(0);
	rig_pass(1200);
	finish(c, server_ready(0), INSERT);
}

TEST_WORKER(read_only_primary_leads_to_waiting)
{
	struct peer *c = start(NULL), *s;

	client_query(c, INSERT);
	s = server_ready(0);
	server_expect_query(s, INSERT);
	server_err(s, 1290, RO_TEXT);
	expect_held(c, 1);
	rig_verdict(0, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE);
	primary_is(1);
	finish(c, server_ready(1), INSERT);
}

/* 1290 is said of other options too. */
TEST_WORKER(other_options_are_the_clients_affair)
{
	struct peer *c = start(NULL), *s;

	client_query(c, INSERT);
	s = server_ready(0);
	server_expect_query(s, INSERT);
	server_err(s, 1290, "The MariaDB server is running with the --secure-file-priv option so it cannot execute this statement");
	client_expect_err(c, 1290, "secure-file");
	peer_close(c);
	rig_stop();
}

/* The connection was kept for its insert id: it is asked before the statement waits. */
TEST_WORKER(read_only_primary_and_an_insert_id)
{
	struct peer *c = start(NULL);
	struct pkt_ok ok = {.affected = 1, .insert_id = 7, .status = ST_AUTOCOMMIT};
	struct peer *s = rig_write_full(c, INSERT, NULL, &ok);

	client_query(c, "INSERT INTO t VALUES (2)");
	server_expect_query(s, "INSERT INTO t VALUES (2)");
	server_err(s, 1290, RO_TEXT);
	server_learn(s, "7");
	/* health has not noticed: the same server says the same */
	server_expect_query(s, "SET last_insert_id=7");
	server_ok(s);
	server_expect_query(s, "INSERT INTO t VALUES (2)");
	server_err(s, 1290, RO_TEXT);
	expect_held(c, 1);
	rig_verdict(0, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE);
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "SET last_insert_id=7");
	server_ok(s);
	finish(c, s, "INSERT INTO t VALUES (2)");
}

TEST_WORKER(read_only_in_a_transaction_is_told)
{
	struct peer *c = start(NULL), *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	client_query(c, INSERT);
	server_expect_query(s, INSERT);
	server_err(s, 1290, RO_TEXT);
	client_expect_err(c, 1290, "read-only");
	peer_close(c);
	server_expect_reset(s);
	rig_stop();
}

/* ---- lost ---- */

TEST_WORKER(lost_write_is_not_run_again)
{
	struct peer *c = start(NULL), *s;

	client_query(c, INSERT);
	s = server_ready(0);
	server_expect_query(s, INSERT);
	server_gone(s);
	client_expect_err(c, 1158, "whether the statement was carried out is not known");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert(!server_has_connect(0));
	peer_close(c);
	rig_stop();
}

/* What can do no harm twice does not fail. */
TEST_WORKER(lost_statements_that_do_nothing_run_again)
{
	static const char *const sql[] = {"BEGIN", "START TRANSACTION", "COMMIT", "SHOW STATUS", "SELECT 1 FROM t FOR UPDATE",
	    "SELECT @@hostname"};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		struct peer *c = start(NULL), *s;

		client_query(c, sql[i]);
		s = server_ready(0);
		server_expect_query(s, sql[i]);
		rig_server_down(0);
		rig_primary(-1);
		server_gone(s);
		expect_held(c, 1);
		primary_is(1);
		finish(c, server_ready(1), sql[i]);
	}
}

TEST_WORKER(lost_before_it_was_sent)
{
	struct peer *c = start(NULL), *s;

	s = rig_write(c, "INSERT INTO d VALUES (1)", NULL);
	struct peer *d = client_login(CAPS_NEW);
	struct bytes state = {0};
	bytes_track(&state, TRACK_SCHEMA, NULL, "d");
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	client_com(d, COM_INIT_DB, "d", 1);
	server_expect(s, COM_INIT_DB, "d", 1);
	server_ok_full(s, &ok);
	client_expect_ok(d);
	bytes_free(&state);
	/* the connection goes to another database first, and is lost while it does */
	struct peer *e = client_login(CAPS_NEW);
	client_com(e, COM_INIT_DB, "e", 1);
	server_expect(s, COM_INIT_DB, "e", 1);
	bytes_track(&state, TRACK_SCHEMA, NULL, "e");
	ok.state = (struct slice){state.p, state.len};
	server_ok_full(s, &ok);
	client_expect_ok(e);
	bytes_free(&state);
	client_query(d, INSERT);
	server_expect(s, COM_INIT_DB, "d", 1);
	rig_server_down(0);
	server_gone(s);
	expect_held(d, 1);
	rig_primary(-1);
	primary_is(1);
	s = server_ready(1);
	server_expect(s, COM_INIT_DB, "d", 1);
	server_ok(s);
	peer_close(c);
	peer_close(e);
	finish(d, s, INSERT);
}

TEST_WORKER(lost_transactions_say_what_is_known)
{
	static const struct {
		const char *sql, *part;
	} t[] = {
	    {"COMMIT", "whether the transaction was committed is not known"}, /* the only one after which there is nothing left of it */
	    {"COMMIT AND CHAIN", "whether the transaction was committed is not known"},
	    {"COMMIT RELEASE", "whether the transaction was committed is not known"},
	    {"ALTER TABLE t ADD x INT", "whether the transaction was committed is not known"},
	    {"BEGIN", "whether the transaction was committed is not known"},
	    {"SET autocommit=1", "whether the transaction was committed is not known"},
	    {"UPDATE t SET c=1; COMMIT", "whether the transaction was committed is not known"},
	    {"CALL p()", "whether the transaction was committed is not known"},
	    {"UPDATE t SET c=1", "the transaction is rolled back"},
	    {"ROLLBACK", "the transaction is rolled back"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct peer *c = start(NULL), *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

		client_query(c, t[i].sql);
		if (strncmp(t[i].sql, "CALL", 4) == 0) {
			server_expect_query(s, "SET last_insert_id=0");
			server_ok(s);
		}
		server_expect_query(s, t[i].sql);
		server_gone(s);
		client_expect_err(c, 1158, t[i].part);
		if (i == 0) {
			peer_expect_silence(c);
			cr_assert(!client_sess(c)->in_trx && client_sess(c)->pins == 0 && (client_sess(c)->status & ST_IN_TRANS) == 0);
		} else {
			peer_expect_closed(c);
		}
		rig_stop();
	}
}

/* ---- logins that name a database ---- */

static void
all_down(void)
{
	rig_primary(-1);
	rig_verdict(0, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
	rig_verdict(1, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
}

static struct peer *
log_in(const char *password)
{
	struct peer *c = client_connect();

	client_respond(c, "app", password, "shop", CAPS_NEW, "mysql_native_password");
	return c;
}

TEST_WORKER(login_waits_for_a_server)
{
	struct peer *first = start(NULL), *c, *s;

	peer_close(first);
	all_down();
	c = log_in("secret");
	expect_held(c, 1);
	client_query(c, "SELECT 1 FROM t"); /* behind its login, as some drivers do */
	rig_pass(9000); /* past login_timeout and queue_timeout, if they were shorter */
	expect_held(c, 1);
	rig_verdict(1, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE); /* any will do */
	rig_pass(100);
	s = server_ready(1);
	server_expect(s, COM_INIT_DB, "shop", 4);
	server_ok_full(s, &(struct pkt_ok){.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {(const u8 *)"\1\5\4shop", 7}});
	client_expect_ok(c);
	cr_assert_str_eq(client_sess(c)->db->text, "shop");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("clients_held"), 0);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(login_waits_no_longer_than_failover_timeout)
{
	struct peer *first = start("failover_buffer = 1"), *c, *d;

	peer_close(first);
	all_down();
	d = log_in("wrong");
	client_expect_err(d, 1045, ""); /* who it is comes first */
	peer_expect_closed(d);
	c = log_in("secret");
	expect_held(c, 1);
	d = log_in("secret");
	client_expect_err(d, 1053, "failover_buffer");
	peer_expect_closed(d);
	rig_pass(9800);
	expect_held(c, 1);
	rig_pass(400);
	client_expect_err(c, 1053, "failover_timeout");
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("clients_held"), 0);
	c = log_in("secret");
	expect_held(c, 1);
	peer_close(c);
	rig_run();
	cr_assert_eq(rig_counter("clients_held"), 0);
	rig_stop();
}

TEST_WORKER(login_that_waits_is_killed)
{
	for (u32 query_only = 0; query_only < 2; query_only++) {
		struct peer *k = start(NULL), *c;
		char sql[64];
		size_t len;

		all_down();
		c = log_in("secret");
		expect_held(c, 1);
		snprintf(sql, sizeof sql, "KILL %s %u", query_only ? "QUERY" : "CONNECTION", c->id);
		client_query(k, sql);
		client_expect_ok(k);
		const u8 *p = peer_packet(c, &len);
		cr_assert(p[3] == 2 && p[PKT_HDR] == 0xff, "an error, sequence 2");
		peer_expect_closed(c);
		cr_assert_eq(rig_counter("clients_held"), 0);
		rig_stop();
	}
}

TEST_WORKER(login_told_at_once_when_it_is_off)
{
	rig_start(&(struct rig_conf){.cluster = "failover_timeout = 0"});
	all_down();
	struct peer *c = log_in("secret");
	client_expect_err(c, 1053, "cluster main");
	peer_expect_closed(c);
	rig_stop();
}

TEST_WORKER(init_db_waits_for_a_server)
{
	struct peer *c = start(NULL), *s;

	all_down();
	client_com(c, COM_INIT_DB, "shop", 4);
	expect_held(c, 1);
	primary_is(0);
	s = server_ready(0);
	server_expect(s, COM_INIT_DB, "shop", 4);
	server_ok(s);
	client_expect_ok(c);
	peer_close(c);
	rig_stop();
}

/* ---- while it waits ---- */

TEST_WORKER(kill_ends_a_wait)
{
	for (u32 query_only = 0; query_only < 2; query_only++) {
		struct peer *c = start(NULL), *k = client_login(CAPS_NEW);
		char sql[64];

		rig_primary(-1);
		client_query(c, INSERT);
		expect_held(c, 1);
		snprintf(sql, sizeof sql, "KILL %s %u", query_only ? "QUERY" : "CONNECTION", c->id);
		client_query(k, sql);
		client_expect_ok(k);
		client_expect_err(c, query_only ? 1317 : 1927, "");
		cr_assert_eq(rig_counter("clients_held"), 0);
		if (query_only)
			peer_close(c);
		else
			peer_expect_closed(c);
		peer_close(k);
		rig_stop();
	}
}

TEST_WORKER(client_leaves_while_it_waits)
{
	struct peer *c = start(NULL);

	rig_primary(-1);
	client_query(c, INSERT);
	expect_held(c, 1);
	peer_close(c);
	rig_run();
	cr_assert_eq(rig_counter("clients_held"), 0);
	primary_is(1);
	cr_assert(!server_has_connect(1));
	rig_stop();
}

TEST_WORKER(waiting_client_is_not_read_from)
{
	struct peer *c = start(NULL);
	char junk[4096];
	struct bytes q = {0};

	memset(junk, ' ', sizeof junk);
	memcpy(junk, "\x03INSERT INTO t VALUES (2)", 25);
	bytes_packet(&q, 0, junk, sizeof junk);
	rig_primary(-1);
	client_query(c, INSERT);
	expect_held(c, 1);
	for (int i = 0; i < 100; i++) {
		if (send(c->fd, q.p, q.len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
		rig_run();
	}
	cr_assert(client_sess(c)->conn.paused);
	cr_assert(client_sess(c)->conn.held_len < 2 * HELD_MAX);
	peer_close(c);
	rig_pass(11000); /* it is noticed when the wait is over */
	bytes_free(&q);
	rig_stop();
}

TEST_WORKER(reads_wait_for_any_server)
{
	struct peer *c = start(NULL);

	rig_primary(-1);
	rig_verdict(0, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
	rig_verdict(1, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
	client_query(c, "SELECT c FROM t");
	expect_held(c, 1);
	rig_verdict(1, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE);
	rig_pass(100);
	struct peer *s = server_ready(1);
	server_expect_query(s, "SELECT c FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("clients_held"), 0);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(prepared_statement_waits)
{
	static const u8 exec[] = {1, 0, 0, 0, 0, 1, 0, 0, 0};
	struct peer *c = start(NULL), *s;
	static const u8 prepared[] = {0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	struct bytes b = {0};
	size_t n;

	client_com(c, COM_STMT_PREPARE, INSERT, sizeof INSERT - 1);
	s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, INSERT, sizeof INSERT - 1);
	bytes_packet(&b, 1, prepared, sizeof prepared);
	peer_send(s, b.p, b.len);
	rig_run();
	(void)peer_packet(c, &n);
	rig_server_down(0);
	rig_primary(-1);
	server_gone(s);
	rig_run();
	client_com(c, COM_STMT_EXECUTE, exec, sizeof exec);
	expect_held(c, 1);
	primary_is(1);
	s = server_ready(1);
	server_expect(s, COM_STMT_PREPARE, INSERT, sizeof INSERT - 1);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	rig_run();
	static const u8 there[] = {9, 0, 0, 0, 0, 1, 0, 0, 0};
	server_expect(s, COM_STMT_EXECUTE, there, sizeof there);
	server_ok(s);
	client_expect_ok(c);
	peer_close(c);
	rig_stop();
}

/* A server that stands alone is no former primary: what it says is the answer, at once. */
TEST_WORKER(read_only_server_alone_is_told)
{
	rig_start(&(struct rig_conf){.cluster = "failover_timeout = 10s\ntopology = standalone", .servers = 1});
	struct peer *c = client_login(CAPS_NEW), *s;

	client_query(c, INSERT);
	s = server_ready(0);
	server_expect_query(s, INSERT);
	server_err(s, 1290, RO_TEXT);
	client_expect_err(c, 1290, "read-only");
	peer_close(c);
	rig_stop();
}

/* Long statements wait too, and do not leave their buffer with the connection. */
TEST_WORKER(read_only_primary_and_a_long_statement)
{
	struct peer *c = start(NULL), *s;
	size_t len = 300000;
	char *sql = malloc(len + 1);

	memset(sql, 'x', len);
	memcpy(sql, "INSERT INTO t VALUES ('", 23);
	memcpy(sql + len - 2, "')", 3);
	client_query(c, sql);
	s = server_ready(0);
	server_expect_query(s, sql);
	server_err(s, 1290, RO_TEXT);
	expect_held(c, 1);
	rig_verdict(0, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE);
	primary_is(1);
	finish(c, server_ready(1), sql);
	free(sql);
}
