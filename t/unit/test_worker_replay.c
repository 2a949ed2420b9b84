/* t/unit/test_worker_replay.c: transactions that are run again on another connection, by script: what is in the log, what is
 * sent and compared, and every way in which that may end.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

#define UPDATE "UPDATE t SET c=1"
#define SLOW   "UPDATE u SET c=2"

static const struct pkt_ok in_trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};
static const struct pkt_ok one_row = {.affected = 1, .status = ST_AUTOCOMMIT | ST_IN_TRANS};

/* db0 is primary, db1 its replica; more: lines of the cluster. */
static struct peer *
start_as(const char *more, u32 caps)
{
	char cluster[256];

	snprintf(cluster, sizeof cluster, "failover_timeout = 10s\nreplay_transactions = yes\n%s", more != NULL ? more : "");
	rig_start(&(struct rig_conf){.cluster = cluster});
	return client_login(caps);
}

static struct peer *
start(const char *more)
{
	return start_as(more, CAPS_NEW);
}

/* BEGIN and one UPDATE on db0. */
static struct peer *
open_trx(struct peer *c)
{
	struct peer *s = rig_write_full(c, "BEGIN", NULL, &in_trx);

	rig_write_full(c, UPDATE, s, &one_row);
	return s;
}

static void
lose(struct peer *s)
{
	rig_primary(-1);
	rig_server_down(0);
	server_gone(s);
	rig_run();
}

static void
primary_is(u32 i)
{
	rig_verdict(i, SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE);
	rig_primary((int)i);
	rig_pass(100);
}

static void
expect_waits(struct peer *c)
{
	rig_run();
	cr_assert_eq(peer_pending(c), 0, "the client was answered");
	cr_assert_eq(client_state(c), SESS_WAIT);
	cr_assert_eq(rig_counter("clients_held"), 1);
}

/* The transaction's first statement on another connection. */
static void
again_begin(struct peer *s)
{
	server_expect_query(s, "SET last_insert_id=0");
	server_ok(s);
	server_expect_query(s, "BEGIN");
	server_ok_full(s, &in_trx);
}

static void
again(struct peer *s)
{
	again_begin(s);
	server_expect_query(s, UPDATE);
	server_ok_full(s, &one_row);
}

static void
commit(struct peer *c, struct peer *s)
{
	server_expect_query(s, "COMMIT");
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_null(client_sess(c)->replay, "the log is over with its transaction");
}

static void
stop(struct peer *c)
{
	peer_close(c);
	rig_stop(); /* nothing is left: no text, no held byte */
}

TEST_WORKER(replay_of_an_idle_transaction)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	lose(s);
	peer_expect_silence(c);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert(!server_has_connect(1), "nothing is done before the client says something");
	client_query(c, "COMMIT");
	expect_waits(c);
	primary_is(1);
	s = server_ready(1);
	again(s);
	commit(c, s);
	cr_assert_eq(rig_counter("replays"), 1);
	stop(c);
}

TEST_WORKER(replay_behind_which_the_lost_statement_runs)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes row = {0};

	client_query(c, SLOW);
	server_expect_query(s, SLOW);
	lose(s);
	expect_waits(c);
	primary_is(1);
	s = server_ready(1);
	again(s);
	/* first of all: does it write to a table without transactions? */
	server_expect_query(s, "EXPLAIN " SLOW);
	bytes_result(&row, 1, CAPS_NEW, in_trx.status, 0, 1);
	peer_send(s, row.p, row.len);
	bytes_free(&row);
	server_expect_query(s, SLOW);
	server_ok_full(s, &one_row);
	client_expect_ok(c);
	/* it is in the log now */
	rig_primary(-1);
	server_gone(s);
	client_query(c, "COMMIT");
	expect_waits(c);
	rig_server_up(0);
	rig_pass(1200);
	primary_is(0);
	s = server_ready(0);
	again(s);
	server_expect_query(s, SLOW);
	server_ok_full(s, &one_row);
	commit(c, s);
	cr_assert_eq(rig_counter("replays"), 2);
	stop(c);
}

/* What EXPLAIN says: its OK packet with the tracker's state. */
TEST_WORKER(replay_stops_before_a_table_without_transactions)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes state = {0};

	client_query(c, SLOW);
	server_expect_query(s, SLOW);
	lose(s);
	primary_is(1);
	s = server_ready(1);
	again(s);
	server_expect_query(s, "EXPLAIN " SLOW);
	bytes_track(&state, TRACK_TRX_STATE, NULL, "T__wW_S_");
	struct pkt_ok ok = {.status = in_trx.status | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	client_expect_err(c, 1158, "table without transactions");
	peer_expect_closed(c);
	peer_expect_closed(s);
	cr_assert_eq(rig_counter("replays_nontrx"), 1);
	cr_assert_eq(rig_counter("replays"), 0);
	rig_stop();
}

TEST_WORKER(replay_never_of_what_wrote_without_transactions)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes state = {0};

	bytes_track(&state, TRACK_TRX_STATE, NULL, "T__wW___");
	struct pkt_ok ok = {.affected = 1, .status = in_trx.status | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	rig_write_full(c, SLOW, s, &ok);
	bytes_free(&state);
	lose(s);
	client_expect_err(c, 1158, "state lost");
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("replays_nontrx"), 1);
	rig_stop();
}

TEST_WORKER(replay_ends_where_a_result_differs)
{
	static const struct pkt_ok other[] = {{.affected = 2, .status = ST_AUTOCOMMIT | ST_IN_TRANS},
	    {.affected = 1, .warnings = 1, .status = ST_AUTOCOMMIT | ST_IN_TRANS}, {.affected = 1, .status = ST_AUTOCOMMIT},
	    {.affected = 1, .insert_id = 3, .status = ST_AUTOCOMMIT | ST_IN_TRANS}};

	for (size_t i = 0; i <= ARRAY_LEN(other); i++) {
		struct peer *c = start(NULL), *s = open_trx(c);

		lose(s);
		client_query(c, "COMMIT");
		primary_is(1);
		s = server_ready(1);
		again_begin(s);
		server_expect_query(s, UPDATE);
		if (i == ARRAY_LEN(other))
			server_err(s, 1146, "no such table");
		else
			server_ok_full(s, &other[i]);
		client_expect_err(c, 1213, "statement 2 of it");
		peer_expect_closed(s);
		cr_assert_eq(rig_counter("replays_differ"), 1);
		/* the session goes on without it */
		cr_assert_eq(client_state(c), SESS_READY);
		cr_assert(!client_sess(c)->in_trx && client_sess(c)->pins == 0 && client_sess(c)->replay == NULL);
		client_query(c, "COMMIT");
		s = server_ready(1);
		server_expect_query(s, "COMMIT");
		server_ok(s);
		client_expect_ok(c);
		stop(c);
	}
}

/* Flags that tell how rows were found, and trackers, are the server's affair. */
TEST_WORKER(replay_compares_what_a_client_acts_upon)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes state = {0};

	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, UPDATE);
	bytes_track(&state, TRACK_TRX_STATE, NULL, "T___W___");
	struct pkt_ok ok = {.affected = 1, .status = in_trx.status | ST_SESSION_CHANGED | 0x20 /* no index used */,
	    .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	commit(c, s);
	stop(c);
}

/* Rows are compared byte by byte, also for a client whose packets are numbered otherwise. */
TEST_WORKER(replay_of_rows)
{
	for (int i = 0; i < 4; i++) {
		u32 caps = i < 2 ? CAPS_NEW : CAPS_OLD;
		struct peer *c = start_as(NULL, caps), *s = rig_write_full(c, "BEGIN", NULL, &in_trx);
		struct bytes rows = {0};

		client_query(c, "SELECT a FROM t");
		server_expect_query(s, "SELECT a FROM t");
		bytes_result(&rows, 1, CAPS_NEW, in_trx.status, 0, 3);
		peer_send(s, rows.p, rows.len);
		bytes_free(&rows);
		peer_skip(c, peer_pending(c));
		lose(s);
		client_query(c, "COMMIT");
		primary_is(1);
		s = server_ready(1);
		again_begin(s);
		server_expect_query(s, "SELECT a FROM t");
		bytes_result(&rows, 1, CAPS_NEW, in_trx.status, 0, i % 2 == 0 ? 3 : 4);
		/* in pieces */
		peer_send(s, rows.p, rows.len / 2);
		rig_run();
		peer_send(s, rows.p + rows.len / 2, rows.len - rows.len / 2);
		bytes_free(&rows);
		if (i % 2 == 0)
			commit(c, s);
		else
			client_expect_err(c, 1213, "statement 2 of it had another result");
		stop(c);
	}
}

TEST_WORKER(replay_takes_the_same_insert_ids)
{
	struct peer *c = start(NULL), *s = rig_write_full(c, "BEGIN", NULL, &in_trx);
	struct pkt_ok ok = {.affected = 1, .insert_id = 77, .status = in_trx.status};

	rig_write_full(c, "INSERT INTO t VALUES (NULL)", s, &ok);
	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, "SET insert_id=77");
	server_ok(s);
	server_expect_query(s, "INSERT INTO t VALUES (NULL)");
	server_ok_full(s, &ok);
	server_expect_query(s, "COMMIT");
	server_ok(s);
	client_expect_ok(c);
	peer_close(c);
	rig_run();
	rig_stop();
}

TEST_WORKER(replay_of_an_error)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1062, "Duplicate entry '1'");
	client_expect_err(c, 1062, "Duplicate");
	rig_write_full(c, SLOW, s, &one_row);
	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again(s);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1062, "Duplicate entry '1'");
	server_expect_query(s, SLOW);
	server_ok_full(s, &one_row);
	commit(c, s);
	stop(c);
}

/* The last statement failed, and no OK since has told what it wrote: it is asked for first. */
TEST_WORKER(replay_of_an_error_that_came_last)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes row = {0};

	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1062, "Duplicate entry '1'");
	client_expect_err(c, 1062, "Duplicate");
	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again(s);
	server_expect_query(s, "EXPLAIN INSERT INTO t VALUES (1)");
	bytes_result(&row, 1, CAPS_NEW, in_trx.status, 0, 1);
	peer_send(s, row.p, row.len);
	bytes_free(&row);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1062, "Duplicate entry '1'");
	commit(c, s);
	stop(c);
}

TEST_WORKER(replay_never_of_a_commit)
{
	static const char *const sql[] = {"COMMIT", "COMMIT AND CHAIN", "CREATE TABLE x (a INT)", "BEGIN", "LOCK TABLES t READ"};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		struct peer *c = start(NULL), *s = open_trx(c);

		client_query(c, sql[i]);
		server_expect_query(s, sql[i]);
		lose(s);
		client_expect_err(c, 1158, "whether the transaction was committed is not known");
		if (i == 0) { /* over either way, and nothing else is lost */
			peer_expect_silence(c);
			cr_assert(!client_sess(c)->in_trx && client_sess(c)->replay == NULL);
		} else {
			peer_expect_closed(c);
		}
		cr_assert_eq(rig_counter("replays_commit"), 1);
		rig_stop();
	}
}

/* DDL that fails has committed the transaction all the same. */
TEST_WORKER(replay_not_behind_ddl_that_failed)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	client_query(c, "CREATE TABLE t (a INT)");
	server_expect_query(s, "CREATE TABLE t (a INT)");
	server_err(s, 1050, "exists");
	client_expect_err(c, 1050, "exists");
	lose(s);
	client_expect_err(c, 1158, "state lost");
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("replays_commit"), 1);
	rig_stop();
}

TEST_WORKER(replay_begins_anew_with_begin)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	/* a deadlock, and the next transaction in the same session */
	client_query(c, SLOW);
	server_expect_query(s, SLOW);
	server_err(s, 1213, "Deadlock found");
	client_expect_err(c, 1213, "Deadlock");
	rig_write_full(c, "BEGIN", s, &in_trx);
	rig_write_full(c, UPDATE, s, &one_row);
	rig_write_full(c, "BEGIN", s, &in_trx);
	rig_write_full(c, SLOW, s, &one_row);
	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, SLOW);
	server_ok_full(s, &one_row);
	commit(c, s);
	stop(c);
}

TEST_WORKER(replay_without_a_log)
{
	static const struct {
		const char *sql, *part, *counter;
		u16 err;
	} t[] = {
	    {"UPDATE t SET c=1; UPDATE t SET c=2", "cannot be repeated", "replays_unfit", 0},
	    {"LOAD DATA INFILE 'x' INTO TABLE t", "cannot be repeated", "replays_unfit", 0},
	    {"COMMIT AND CHAIN", "cannot be repeated", "replays_unfit", 0},
	    {"INSERT INTO t SELECT ROW_COUNT() FROM t", "cannot be repeated", "replays_unfit", 0},
	    {"INSERT INTO t VALUES ('" /* and so on */, "replay_budget", "replays_budget", 0},
	    {"UPDATE t SET c=3", "there was an error", "replays_error", 1205},
	    {"UPDATE t SET c=3", "there was an error", "replays_error", 1213},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct peer *c = start("replay_budget = 1k"), *s = open_trx(c);
		char sql[2048];

		snprintf(sql, sizeof sql, "%s", t[i].sql);
		if (strcmp(t[i].counter, "replays_budget") == 0)
			snprintf(sql, sizeof sql, "%s%01000d')", t[i].sql, 0);
		client_query(c, sql);
		server_expect_query(s, sql);
		if (t[i].err != 0) {
			server_err(s, t[i].err, "no");
			client_expect_err(c, t[i].err, "no");
		} else if (strchr(sql, ';') != NULL) {
			struct bytes two = {0};
			struct pkt_ok more = {.affected = 1, .status = in_trx.status | ST_MORE_RESULTS};

			bytes_ok(&two, 1, CAPS_NEW, &more);
			bytes_ok(&two, 2, CAPS_NEW, &one_row);
			peer_send(s, two.p, two.len);
			bytes_free(&two);
			peer_skip(c, peer_pending(c));
		} else {
			server_ok_full(s, &one_row);
			client_expect_ok(c);
		}
		cr_assert_eq(R.w.bytes_held, 0, "what is of no use is not kept");
		lose(s);
		peer_expect_silence(c);
		client_query(c, "SELECT a FROM t");
		client_expect_err(c, 1213, t[i].part);
		cr_assert_eq(rig_counter(t[i].counter), 1);
		cr_assert(!client_sess(c)->in_trx);
		stop(c);
	}
}

/* ROLLBACK asks for what has happened already. */
TEST_WORKER(replay_is_given_up_by_rollback)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	lose(s);
	client_query(c, "ROLLBACK");
	expect_waits(c);
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "ROLLBACK");
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(rig_counter("replays"), 0);
	stop(c);
}

TEST_WORKER(replay_is_given_up_by_reset_and_by_leaving)
{
	for (int i = 0; i < 2; i++) {
		struct peer *c = start(NULL), *s = open_trx(c);

		lose(s);
		if (i == 0) {
			client_com(c, COM_RESET_CONNECTION, NULL, 0);
			client_expect_ok(c);
			cr_assert(client_sess(c)->replay == NULL && !client_sess(c)->in_trx);
		} else {
			client_query(c, "COMMIT");
			expect_waits(c);
		}
		stop(c);
	}
}

TEST_WORKER(replay_waits_no_longer_than_failover_timeout)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	lose(s);
	client_query(c, SLOW);
	expect_waits(c);
	rig_pass(10200);
	client_expect_err(c, 1053, "failover_timeout");
	/* the statement failed; the transaction is as it was */
	client_query(c, "COMMIT");
	expect_waits(c);
	primary_is(1);
	s = server_ready(1);
	again(s);
	commit(c, s);
	stop(c);
}

TEST_WORKER(replay_is_tried_again)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, UPDATE);
	server_gone(s);            /* lost */
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, UPDATE);
	server_err(s, 1213, "Deadlock found"); /* others are run again too */
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, UPDATE);
	peer_send(s, "\1\0\0\7\0", 5);  /* out of step */
	rig_run();
	peer_expect_closed(s);
	s = server_ready(1);
	server_expect_query(s, "SET last_insert_id=0");
	server_gone(s);            /* lost before its first statement */
	s = server_ready(1);
	again(s);
	commit(c, s);
	cr_assert_eq(rig_counter("replays"), 1);
	stop(c);
}

TEST_WORKER(replay_attempts_are_used_up)
{
	struct peer *c = start("replay_attempts = 2"), *s = open_trx(c);

	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	for (int i = 0; i < 2; i++) {
		s = server_ready(1);
		again_begin(s);
		server_expect_query(s, UPDATE);
		server_err(s, 1213, "Deadlock found");
	}
	s = server_ready(1);
	client_expect_err(c, 1213, "replay_attempts");
	cr_assert_eq(rig_counter("replays_attempts"), 1);
	cr_assert_eq(client_state(c), SESS_READY);
	stop(c);
}

/* Health calls it primary, and it is not: it is no attempt. */
TEST_WORKER(replay_on_a_read_only_server)
{
	struct peer *c = start("replay_attempts = 1"), *s = open_trx(c);

	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	again_begin(s);
	server_expect_query(s, UPDATE);
	server_err(s, 1290, "running with the --read-only option");
	rig_run();
	peer_expect_closed(s);
	expect_waits(c);
	rig_pass(200);
	s = server_ready(1);
	again(s);
	commit(c, s);
	stop(c);
}

TEST_WORKER(replay_ended_by_kill_and_by_its_client)
{
	for (int i = 0; i < 2; i++) {
		struct peer *c = start(NULL), *s = open_trx(c);

		lose(s);
		client_query(c, "COMMIT");
		primary_is(1);
		s = server_ready(1);
		again_begin(s);
		server_expect_query(s, UPDATE);
		if (i == 0)
			local_kill_session(&R.w, client_sess(c)->id, false, 0);
		else
			peer_close(c);
		rig_run();
		peer_expect_closed(s);
		if (i == 0)
			peer_expect_closed(c);
		rig_stop();
	}
}

/* The server refuses what goes ahead of it. */
TEST_WORKER(replay_ahead_of_which_something_fails)
{
	struct peer *c = start(NULL), *s = open_trx(c);

	lose(s);
	client_query(c, "COMMIT");
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "SET last_insert_id=0");
	server_err(s, 1227, "Access denied");
	client_expect_err(c, 1213, "error 1227");
	peer_expect_closed(s);
	stop(c);
}

/* Part of the result is with the client: no error fits in there. */
TEST_WORKER(replay_not_in_the_middle_of_a_result)
{
	struct peer *c = start(NULL), *s = open_trx(c);
	struct bytes rows = {0};

	client_query(c, "SELECT a FROM t");
	server_expect_query(s, "SELECT a FROM t");
	bytes_result(&rows, 1, CAPS_NEW, in_trx.status, 0, 3);
	peer_send(s, rows.p, rows.len / 2);
	bytes_free(&rows);
	rig_run();
	peer_skip(c, peer_pending(c));
	lose(s);
	peer_expect_closed(c);
	rig_stop();
}

/* Without autocommit a transaction begins by itself. */
TEST_WORKER(replay_without_autocommit)
{
	struct peer *c = start(NULL), *s;
	struct bytes state = {0};
	struct pkt_ok open = {.affected = 1, .status = ST_IN_TRANS};

	bytes_track(&state, TRACK_SYSVAR, "autocommit", "OFF");
	struct pkt_ok off = {.status = ST_SESSION_CHANGED, .state = {state.p, state.len}};
	s = rig_write_full(c, "SET autocommit=0", NULL, &off);
	bytes_free(&state);
	/* the first statement of all is under way */
	client_query(c, UPDATE);
	server_expect_query(s, UPDATE);
	lose(s);
	expect_waits(c);
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "SET autocommit='OFF'");
	server_expect_query(s, "SET last_insert_id=0");
	server_ok(s);
	server_ok(s);
	server_expect_query(s, "EXPLAIN " UPDATE);
	struct bytes row = {0};
	bytes_result(&row, 1, CAPS_NEW, 0, 0, 1);
	peer_send(s, row.p, row.len);
	bytes_free(&row);
	server_expect_query(s, UPDATE);
	server_ok_full(s, &open);
	client_expect_ok(c);
	peer_close(c);
	server_expect_reset(s);
	rig_stop();
}

/* Connections that were made before it was switched on do not tell about tables: they are used up. */
TEST_WORKER(replay_switched_on)
{
	rig_start(&(struct rig_conf){.cluster = "failover_timeout = 10s"});
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &in_trx);

	rig_reload(&(struct rig_conf){.cluster = "failover_timeout = 10s\nreplay_transactions = yes"});
	rig_write_full(c, UPDATE, s, &one_row);
	cr_assert_null(client_sess(c)->replay);
	client_query(c, "COMMIT");
	server_expect_query(s, "COMMIT");
	server_ok(s);
	client_expect_ok(c);
	peer_expect_closed(s);
	s = open_trx(c);
	cr_assert_not_null(client_sess(c)->replay);
	peer_close(c);
	server_expect_reset(s);
	rig_stop();
}

/* A switchover: the old primary is read-only, and says so in the middle of a transaction, or at its end. */
TEST_WORKER(replay_of_a_transaction_that_was_refused)
{
	static const char *const sql[] = {SLOW, "COMMIT", SLOW, "COMMIT"};

	for (size_t i = 0; i < ARRAY_LEN(sql); i++) {
		struct peer *c = start(NULL), *s = open_trx(c);

		if (i >= 2)
			rig_primary(-1); /* health knew before */
		client_query(c, sql[i]);
		server_expect_query(s, sql[i]);
		rig_primary(-1);
		server_err(s, 1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement");
		expect_waits(c);
		peer_expect_closed(s);
		primary_is(1);
		s = server_ready(1);
		again(s);
		if (i % 2 == 0) {
			server_expect_query(s, SLOW);
			server_ok_full(s, &one_row);
			client_expect_ok(c);
			client_query(c, "COMMIT");
		}
		commit(c, s);
		stop(c);
	}
}

/* Without autocommit the first statement is refused: it waits, and is in the log once. */
TEST_WORKER(replay_of_a_first_statement_that_was_refused)
{
	struct peer *c = start(NULL), *s;
	struct bytes state = {0};
	struct pkt_ok open = {.affected = 1, .status = ST_IN_TRANS};

	bytes_track(&state, TRACK_SYSVAR, "autocommit", "OFF");
	struct pkt_ok off = {.status = ST_SESSION_CHANGED, .state = {state.p, state.len}};
	s = rig_write_full(c, "SET autocommit=0", NULL, &off);
	bytes_free(&state);
	client_query(c, UPDATE);
	server_expect_query(s, UPDATE);
	rig_primary(-1);
	server_err(s, 1290, "The MariaDB server is running with the --read-only option so it cannot execute this statement");
	expect_waits(c);
	server_gone(s);
	primary_is(1);
	s = server_ready(1);
	server_expect_query(s, "SET autocommit='OFF'");
	server_ok(s);
	server_expect_query(s, UPDATE);
	server_ok_full(s, &open);
	client_expect_ok(c);
	lose(s);
	client_query(c, "COMMIT");
	expect_waits(c);
	rig_server_up(0);
	rig_pass(1200);
	primary_is(0);
	s = server_ready(0);
	server_expect_query(s, "SET autocommit='OFF'");
	server_expect_query(s, "SET last_insert_id=0");
	server_ok(s);
	server_ok(s);
	server_expect_query(s, UPDATE);
	server_ok_full(s, &open);
	server_expect_query(s, "COMMIT");
	struct pkt_ok done = {.status = 0};
	server_ok_full(s, &done);
	client_expect_ok(c);
	stop(c);
}
