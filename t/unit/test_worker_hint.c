/* t/unit/test_worker_hint.c: hints in comments, and READ ONLY transactions on a replica, by script. */
#include "config.h"
#include "t/unit/worker_rig.h"

#define IN_TRX (ST_AUTOCOMMIT | ST_IN_TRANS)

TEST_WORKER(mycat_hint_is_no_code)
{
	static const char in[] = "/*!mycat:db_type=slave*/ SELECT 1", out[] = "/* mycat:db_type=slave*/ SELECT 1";

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_query(c, in);
	struct peer *s = server_ready(1);
	server_expect_query(s, out);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	client_com(c, COM_STMT_PREPARE, in, sizeof in - 1);
	server_expect(s, COM_STMT_PREPARE, out, sizeof out - 1);
	server_err(s, 1064, "no");
	server_gone(s);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(hint_in_a_kept_connection)
{
	struct pkt_ok trx = {.status = IN_TRX}, end = {.status = ST_AUTOCOMMIT};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	struct peer *s = rig_write_full(c, "BEGIN", NULL, &trx);

	client_query(c, "/* margay: replica */ SELECT 1");
	server_expect_query(s, "/* margay: replica */ SELECT 1");
	server_row_for(s, c, IN_TRX, 0);
	cr_assert_eq(rig_counter("hints_ignored"), 1);
	client_query(c, "/* margay: server=db0 */ SELECT 1");
	server_expect_query(s, "/* margay: server=db0 */ SELECT 1");
	server_row_for(s, c, IN_TRX, 0);
	cr_assert_eq(rig_counter("hints_ignored"), 1);
	rig_write_full(c, "COMMIT", s, &end);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(hint_of_an_unknown_server)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_query(c, "/* margay: server=db7 */ SELECT 1");
	client_expect_err(c, 1105, "db7");
	client_query(c, "/* margay: server=db7 */ INSERT INTO t VALUES (1)");
	client_expect_err(c, 1105, "db7");
	peer_close(c);
	rig_stop();
}

TEST_WORKER(read_only_transaction_on_a_replica)
{
	struct pkt_ok trx = {.status = IN_TRX | ST_IN_TRANS_READONLY};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_query(c, "START TRANSACTION READ ONLY");
	struct peer *s = server_ready(1);
	server_expect_query(s, "START TRANSACTION READ ONLY");
	server_ok_full(s, &trx);
	client_expect_ok(c);
	client_query(c, "SELECT 1 FROM t");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, IN_TRX | ST_IN_TRANS_READONLY, 0);
	/* a write: the replica's own reason is not the transaction's */
	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement");
	client_expect_err(c, 1792, "Cannot execute statement in a READ ONLY transaction");
	cr_assert_eq(client_sess(c)->b != NULL, true);
	/* the next transaction writes: the first is over, and the primary's turn comes */
	client_query(c, "BEGIN");
	server_expect_reset(s);
	struct peer *p = server_ready(0);
	server_expect_query(p, "BEGIN");
	trx.status = IN_TRX;
	server_ok_full(p, &trx);
	client_expect_ok(c);
	struct pkt_ok end = {.status = ST_AUTOCOMMIT};
	rig_write_full(c, "COMMIT", p, &end);
	cr_assert_null(client_sess(c)->b);
	peer_close(c);
	rig_stop();
}
