/* t/unit/test_worker_idle.c: wait_timeout of a client, and connections that are kept for a silent one. */
#include "config.h"
#include "t/unit/worker_rig.h"

static const struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};
/* tracker: system variable wait_timeout is 2 */
static const u8 two[] = "\0\x0f\x0cwait_timeout\x01" "2";
static const struct pkt_ok set_two = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {two, 17}};

static struct peer *
start(void)
{
	rig_start(NULL);
	return client_login(CAPS_NEW);
}

static void
expect_alive(struct peer *s)
{
	server_expect(s, COM_STATISTICS, NULL, 0);
	peer_send(s, "\x0a\0\0\x01Uptime: 12", 14);
}

TEST_WORKER(client_is_idle_by_its_own_wait_timeout)
{
	struct peer *c = start(), *s = rig_write_full(c, "SET wait_timeout=2", NULL, &set_two);

	rig_pass(1500);
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	rig_pass(1800);
	peer_expect_silence(c);
	rig_pass(400);
	peer_expect_closed(c); /* without a word, as a server does */
	cr_assert_eq(rig_counter("idle_timeouts"), 1);
	peer_expect_silence(s); /* another may have it */
	rig_stop();
}

TEST_WORKER(own_wait_timeout_ends_with_a_reset)
{
	struct peer *c = start();

	rig_write_full(c, "SET wait_timeout=2", NULL, &set_two);
	client_com(c, COM_RESET_CONNECTION, NULL, 0);
	client_expect_ok(c);
	rig_pass(5000);
	peer_expect_silence(c);
	rig_stop();
}

TEST_WORKER(own_wait_timeout_is_no_more_than_idle_timeout)
{
	struct rig_conf conf = {.margay = "idle_timeout = 1s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	rig_write_full(c, "SET wait_timeout=2", NULL, &set_two);
	rig_pass(1200);
	client_expect_err(c, 4031, "idle_timeout");
	rig_stop();
}

/* The server never comes first. */
TEST_WORKER(kept_connection_of_a_client_with_wait_timeout)
{
	struct peer *c = start(), *s = rig_write_full(c, "SET wait_timeout=2", NULL, &set_two);

	rig_write_full(c, "BEGIN", s, &trx);
	rig_pass(1100);
	expect_alive(s);
	rig_pass(800);
	peer_expect_silence(c);
	rig_pass(400);
	peer_expect_closed(c);
	rig_stop();
}

TEST_WORKER(kept_connection_is_kept_alive)
{
	struct peer *c = start(), *s = rig_write_full(c, "BEGIN", NULL, &trx);

	for (int i = 0; i < 3; i++) {
		rig_pass(30000);
		client_com(c, COM_PING, NULL, 0); /* Margay answers, the server sees nothing of it */
		client_expect_ok(c);
		rig_pass(31000);
		expect_alive(s);
	}
	cr_assert_eq(rig_counter("kept_alive"), 3);
	/* a statement behind one that is not answered yet */
	rig_pass(61000);
	client_query(c, "SELECT 1 FROM t");
	expect_alive(s);
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT | ST_IN_TRANS, 0);
	/* an error will do */
	rig_pass(61000);
	server_expect(s, COM_STATISTICS, NULL, 0);
	server_err(s, 1047, "Unknown command");
	client_query(c, "COMMIT");
	server_expect_query(s, "COMMIT");
	server_ok(s);
	client_expect_ok(c);
	/* nobody keeps it */
	rig_pass(61000);
	cr_assert_eq(rig_counter("kept_alive"), 5);
	rig_stop();
}

TEST_WORKER(client_leaves_behind_a_question)
{
	struct peer *c = start(), *s = rig_write_full(c, "BEGIN", NULL, &trx);

	rig_pass(61000);
	server_expect(s, COM_STATISTICS, NULL, 0);
	client_com(c, COM_RESET_CONNECTION, NULL, 0);
	client_expect_ok(c);
	peer_send(s, "\x0a\0\0\x01Uptime: 12", 14);
	server_expect_reset(s);
	rig_write(c, "INSERT INTO t VALUES (1)", s);
	/* and one that is gone with its client */
	rig_write_full(c, "BEGIN", s, &trx);
	rig_pass(61000);
	server_expect(s, COM_STATISTICS, NULL, 0);
	peer_close(c);
	rig_run();
	peer_expect_closed(s);
	rig_stop();
}

/* Servers do not report SET @@x: then only the server knows, and the session ends with its connection. */
TEST_WORKER(wait_timeout_that_is_not_reported)
{
	static const char *const sql[] = {"SET @@wait_timeout=1", "SET @@interactive_timeout=1"};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		struct peer *c = start(), *s = rig_write(c, sql[i], NULL);

		rig_pass(1000);
		server_gone(s);
		rig_run();
		if (i > 0)
			client_expect_err(c, 1158, "state lost");
		peer_expect_closed(c);
		rig_stop();
	}
}
