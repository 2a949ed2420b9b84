/* t/unit/test_worker_causal.c: reads that must see a write, by script: waiting on a replica, in vain or not. */
#include "config.h"
#include "t/unit/worker_rig.h"

#define WAIT_SQL "SELECT MASTER_GTID_WAIT('0-1-42',0.200)"

/* A session that has written, so that its reads need 0-1-42; s is its connection to the primary. */
static struct peer *
writer(struct peer **s, const char *cluster)
{
	struct bytes state = {0};

	rig_start(&(struct rig_conf){.cluster = cluster});
	struct peer *c = client_login(CAPS_NEW);
	bytes_track(&state, TRACK_SYSVAR, "last_gtid", "0-1-42");
	struct pkt_ok ok = {.affected = 1, .status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	*s = rig_write_full(c, "INSERT INTO t VALUES (1)", NULL, &ok);
	bytes_free(&state);
	rig_gtid(1, 0, 41);
	return c;
}

/* The wait's reply: one row, one column; NULL: SQL's NULL. */
static void
answer_wait(struct peer *s, const char *value)
{
	u8 buf[512];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;
	struct slice row = {(const u8 *)value, value != NULL ? strlen(value) : 0};

	server_expect_query(s, WAIT_SQL);
	rset_begin(&rs, &w, 1, CAPS_NEW, 0, ST_AUTOCOMMIT, 1);
	rset_column_int(&rs, "x");
	rset_columns_end(&rs);
	rset_row(&rs, &row, 1);
	rset_end(&rs, 0);
	cr_assert(!w.bad);
	peer_send(s, buf, w.len);
}

TEST_WORKER(read_waits_for_the_replica)
{
	struct peer *s, *c = writer(&s, NULL);

	client_query(c, "SELECT 1 FROM t");
	struct peer *r = server_ready(1);
	answer_wait(r, "0");
	server_expect_query(r, "SELECT 1 FROM t");
	server_row_for(r, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("causal_waits"), 1);
	cr_assert_eq(rig_counter("causal_timeouts"), 0);
	/* known to be there: no wait */
	rig_gtid(1, 0, 42);
	rig_read(c, "SELECT 2 FROM t", r, 1);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(wait_in_vain_goes_to_the_primary)
{
	static const char *const values[] = {"-1", NULL};

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct peer *s, *c = writer(&s, NULL);

		client_query(c, "SELECT 1 FROM t");
		struct peer *r = server_ready(1);
		answer_wait(r, values[i]);
		server_expect_query(s, "SELECT 1 FROM t");
		server_row_for(s, c, ST_AUTOCOMMIT, 0);
		cr_assert_eq(rig_counter("causal_timeouts"), 1);
		/* not again at once */
		rig_read(c, "SELECT 2 FROM t", s, 0);
		cr_assert_eq(rig_counter("causal_waits"), 1);
		rig_pass(1100);
		client_query(c, "SELECT 3 FROM t");
		if (values[i] != NULL) {
			answer_wait(r, "0");
			server_expect_query(r, "SELECT 3 FROM t");
			server_row_for(r, c, ST_AUTOCOMMIT, 0);
		} else {
			server_expect_query(s, "SELECT 3 FROM t");
			server_row_for(s, c, ST_AUTOCOMMIT, 0);
		}
		peer_close(c);
		rig_stop();
	}
}

TEST_WORKER(wait_refused_or_lost)
{
	for (u32 lost = 0; lost < 2; lost++) {
		struct peer *s, *c = writer(&s, NULL);

		client_query(c, "SELECT 1 FROM t");
		struct peer *r = server_ready(1);
		server_expect_query(r, WAIT_SQL);
		if (lost)
			server_gone(r);
		else
			server_err(r, 1305, "FUNCTION MASTER_GTID_WAIT does not exist");
		server_expect_query(s, "SELECT 1 FROM t");
		server_row_for(s, c, ST_AUTOCOMMIT, 0);
		peer_close(c);
		rig_stop();
	}
}

/* What was sent behind the wait may have gone wrong for want of it: that connection is not used again. */
TEST_WORKER(wait_with_settings_behind_it)
{
	struct peer *s, *c = writer(&s, NULL);

	client_com(c, COM_INIT_DB, "d", 1);
	server_expect(s, COM_INIT_DB, "d", 1);
	struct bytes state = {0};
	bytes_track(&state, TRACK_SCHEMA, NULL, "d");
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	client_expect_ok(c);
	client_query(c, "SELECT 1 FROM t");
	struct peer *r = server_ready(1);
	answer_wait(r, "-1");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	server_expect(r, COM_INIT_DB, "d", 1);
	server_gone(r);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(no_wait_where_it_is_not_worth_it)
{
	struct srv_verdict late = {.state = SRV_UP, .role = SRV_ROLE_REPLICA, .lag_ms = 5000};
	struct peer *s, *c = writer(&s, NULL);
	union {
		const u64 *c;
		u64 *v;
	} u = {&R.w.health->servers[1].word};

	*u.v = srv_word_pack(&late);
	rig_read(c, "SELECT 1 FROM t", s, 0);
	peer_close(c);
	rig_stop();
	c = writer(&s, "causal_timeout = 0");
	rig_read(c, "SELECT 1 FROM t", s, 0);
	peer_close(c);
	rig_stop();
}

TEST_WORKER(causal_reads_off_and_cluster)
{
	struct peer *s, *c = writer(&s, "causal_reads = off");

	struct peer *r = rig_read(c, "SELECT 1 FROM t", NULL, 1);
	(void)r;
	peer_close(c);
	rig_stop();
	c = writer(&s, "causal_reads = cluster");
	struct peer *other = client_login(CAPS_NEW);
	client_query(other, "SELECT 1 FROM t");
	r = server_ready(1);
	answer_wait(r, "0");
	server_expect_query(r, "SELECT 1 FROM t");
	server_row_for(r, other, ST_AUTOCOMMIT, 0);
	peer_close(c);
	peer_close(other);
	rig_stop();
}

/* A server that gives no GTID: nobody can know whether a replica has what the account wrote. */
TEST_WORKER(account_without_gtid)
{
	struct pkt_ok one = {.affected = 1, .status = ST_AUTOCOMMIT};

	rig_start(&(struct rig_conf){.cluster = "causal_reads = cluster"});
	struct peer *c = client_login(CAPS_NEW), *other = client_login(CAPS_NEW);
	struct peer *s = rig_write_full(c, "INSERT INTO t VALUES (1)", NULL, &one);
	rig_gtid(1, 0, 1000);
	rig_read(other, "SELECT 1 FROM t", s, 0);
	peer_close(c);
	peer_close(other);
	rig_stop();
}
