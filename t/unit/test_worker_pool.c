/* t/unit/test_worker_pool.c: lines, budgets, retries, KILL, clients that leave: who gets which connection, and what
 * becomes of the others.
 */
#define _GNU_SOURCE 1
#include "config.h"
#include "t/unit/worker_rig.h"
#include <unistd.h>

static const char read_sql[] = "SELECT c FROM t WHERE id=1", write_sql[] = "INSERT INTO t VALUES (1)";
#define IN_TRX (ST_AUTOCOMMIT | ST_IN_TRANS)
static const struct pkt_ok trx_open = {.status = IN_TRX};

static struct peer *
running(struct peer *c, const char *sql, u32 server)
{
	client_query(c, sql);
	struct peer *s = server_ready(server);
	server_expect_query(s, sql);
	return s;
}

/* The server answers OK and the client has it. */
static void
answered(struct peer *s, struct peer *c)
{
	server_ok(s);
	client_expect_ok(c);
}

/* ---- lines ---- */

#define FIVE "max_connections = 8\npool_size = 16" /* three of eight are for control */

TEST_WORKER(statements_wait_in_order)
{
	struct rig_conf conf = {.server = FIVE};
	struct peer *c[5], *s[5], *wait[3];

	rig_start(&conf);
	for (int i = 0; i < 5; i++) {
		c[i] = client_login(CAPS_NEW);
		s[i] = rig_write_full(c[i], "BEGIN", NULL, &trx_open);
	}
	for (int i = 0; i < 3; i++) {
		wait[i] = client_login(CAPS_NEW);
		client_query(wait[i], write_sql);
		rig_pass(10);
		cr_assert_eq(client_state(wait[i]), SESS_WAIT);
	}
	cr_assert(!server_has_connect(0));
	cr_assert_eq(rig_counter("clients_waiting"), 3);
	/* a place: the first gets it, then the second, and so on */
	rig_write(c[0], "COMMIT", s[0]);
	for (int i = 0; i < 3; i++) {
		server_expect_query(s[0], write_sql);
		for (int k = i + 1; k < 3; k++)
			cr_assert_eq(client_state(wait[k]), SESS_WAIT);
		answered(s[0], wait[i]);
	}
	for (int i = 1; i < 5; i++)
		rig_write(c[i], "COMMIT", s[i]);
	rig_stop();
}

TEST_WORKER(place_of_a_lost_connection)
{
	struct rig_conf conf = {.server = FIVE};
	struct peer *c[5], *s[5];

	rig_start(&conf);
	for (int i = 0; i < 5; i++) {
		c[i] = client_login(CAPS_NEW);
		s[i] = rig_write_full(c[i], "BEGIN", NULL, &trx_open);
	}
	struct peer *w = client_login(CAPS_NEW);
	client_query(w, write_sql);
	rig_run();
	cr_assert_eq(client_state(w), SESS_WAIT);
	server_gone(s[2]);
	client_expect_err(c[2], 1158, "");
	peer_expect_closed(c[2]);
	rig_pass(50);
	struct peer *n = server_ready(0);
	server_expect_query(n, write_sql);
	answered(n, w);
	rig_stop();
}

TEST_WORKER(queue_timeout_says_what_is_used_up)
{
	struct rig_conf conf = {.server = FIVE, .margay = "queue_timeout = 500ms"};

	rig_start(&conf);
	for (int i = 0; i < 5; i++)
		rig_write_full(client_login(CAPS_NEW), "BEGIN", NULL, &trx_open);
	struct peer *w = client_login(CAPS_NEW), *w2 = client_login(CAPS_NEW);
	client_query(w, write_sql);
	rig_run();
	rig_pass(300);
	client_query(w2, write_sql);
	rig_run();
	rig_pass(300);
	client_expect_err(w, 1205, "server db0: 500 ms (queue_timeout) passed; 5 of max_connections 8 are in use");
	cr_assert_eq(client_state(w), SESS_READY);
	cr_assert_eq(client_state(w2), SESS_WAIT);
	cr_assert_eq(rig_counter("queue_timeouts"), 1);
	/* it may try again, behind the other */
	client_query(w, write_sql);
	rig_pass(300);
	client_expect_err(w2, 1205, "queue_timeout");
	rig_pass(300);
	client_expect_err(w, 1205, "queue_timeout");
	rig_stop();
}

TEST_WORKER(client_leaves_the_line)
{
	struct rig_conf conf = {.server = FIVE};
	struct peer *c[5], *s[5];

	rig_start(&conf);
	for (int i = 0; i < 5; i++) {
		c[i] = client_login(CAPS_NEW);
		s[i] = rig_write_full(c[i], "BEGIN", NULL, &trx_open);
	}
	struct peer *w = client_login(CAPS_NEW), *w2 = client_login(CAPS_NEW);
	client_query(w, write_sql);
	client_query(w2, write_sql);
	rig_run();
	peer_close(w);
	rig_run();
	cr_assert_eq(rig_counter("clients_waiting"), 1);
	rig_write(c[0], "COMMIT", s[0]);
	server_expect_query(s[0], write_sql);
	answered(s[0], w2);
	rig_stop();
}

/* Beyond pool_size a connection is opened only for a statement that has waited. */
TEST_WORKER(pool_grows_with_hesitation)
{
	struct rig_conf conf = {.server = "pool_size = 1\npool_grow_delay = 50ms"};

	rig_start(&conf);
	struct peer *a = client_login(CAPS_NEW), *b = client_login(CAPS_NEW), *s = running(a, write_sql, 0);
	client_query(b, write_sql);
	rig_pass(30);
	cr_assert(!server_has_connect(0));
	rig_pass(30);
	struct peer *s2 = server_ready(0);
	server_expect_query(s2, write_sql);
	answered(s2, b);
	answered(s, a);
	rig_stop();
}

/* An idle connection of another account makes room. */
TEST_WORKER(idle_place_of_another_account)
{
	struct rig_conf conf = {.server = FIVE};
	struct peer *c[5], *s[5];

	rig_start(&conf);
	for (int i = 0; i < 5; i++) {
		c[i] = client_login(CAPS_NEW);
		s[i] = running(c[i], write_sql, 0);
	}
	for (int i = 0; i < 5; i++)
		answered(s[i], c[i]);
	cr_assert_eq(R.w.srv[0].nidle, 5);
	struct peer *h = client_connect(), *n;
	client_respond(h, "hashed", "secret", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(h);
	client_query(h, write_sql);
	rig_pass(20);
	n = server_accept(0);
	server_greet(n);
	server_expect_login(n, "hashed", "secret");
	struct bytes ok = {0};
	struct pkt_ok k = {.status = ST_AUTOCOMMIT};
	bytes_ok(&ok, 2, CAP_SESSION_TRACK, &k);
	peer_send(n, ok.p, ok.len);
	bytes_free(&ok);
	server_expect_query(n, BCONN_SETUP_SQL);
	server_ok(n);
	server_expect_query(n, write_sql);
	answered(n, h);
	rig_stop();
}

/* A connection becomes ready for an account that needs it no more, while another account waits for its place. */
TEST_WORKER(place_of_a_connection_that_nobody_needs_any_more)
{
	struct rig_conf conf = {.server = FIVE};

	rig_start(&conf);
	for (int i = 0; i < 4; i++)
		rig_write_full(client_login(CAPS_NEW), "BEGIN", NULL, &trx_open);
	struct peer *c = client_login(CAPS_NEW), *h = client_connect(), *s, *n;
	client_respond(h, "hashed", "secret", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(h);
	client_query(c, write_sql);
	s = server_up_to_setup(0);
	client_query(h, write_sql);
	rig_run();
	peer_close(c);
	rig_run();
	server_ok(s);
	rig_pass(20);
	n = server_accept(0);
	cr_assert_eq(R.w.srv[0].nconnecting, 1);
	server_greet(n);
	server_expect_login(n, "hashed", "secret");
	rig_run();
	peer_close(n);
	rig_run();
	rig_stop();
}

/* ---- servers that fail ---- */

TEST_WORKER(read_is_retried_when_its_server_dies)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = running(c, read_sql, 1);

	server_gone(s);
	struct peer *p = server_ready(0);
	server_expect_query(p, read_sql);
	server_row_for(p, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("retried"), 1);
	rig_stop();
}

TEST_WORKER(read_is_not_retried_after_its_first_byte)
{
	struct bytes rows = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = running(c, read_sql, 1);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 3);
	peer_send(s, rows.p, rows.len - 20);
	rig_run();
	server_gone(s);
	peer_expect(c, rows.p, 5);
	(void)peer_pending(c);
	peer_skip(c, peer_pending(c));
	peer_expect_closed(c); /* there is no place for an error in the middle of a result */
	cr_assert_eq(rig_counter("retried"), 0);
	cr_assert(!server_has_connect(0));
	bytes_free(&rows);
	rig_stop();
}

TEST_WORKER(write_is_not_retried)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = running(c, write_sql, 0);

	server_gone(s);
	client_expect_err(c, 1158, "whether the statement was carried out is not known");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert(!server_has_connect(0));
	rig_stop();
}

TEST_WORKER(statement_in_a_transaction_is_not_retried)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	client_query(c, read_sql);
	server_expect_query(s, read_sql);
	server_gone(s);
	client_expect_err(c, 1158, "");
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("lost_with_state"), 1);
	rig_stop();
}

TEST_WORKER(idle_transaction_loses_its_server)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	server_gone(s);
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 0 && p[PKT_HDR] == 0xff, "an error that nobody asked for begins a sequence");
	peer_expect_closed(c);
	rig_stop();
}

TEST_WORKER(idle_connection_lost_is_nobody_s_business)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, write_sql, NULL);

	server_gone(s);
	cr_assert_eq(R.w.srv[0].nconns, 0);
	s = rig_write(c, write_sql, NULL);
	rig_stop();
}

TEST_WORKER(read_goes_round_all_servers_and_then_fails)
{
	struct rig_conf conf = {.servers = 3};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	client_query(c, read_sql);
	for (int i = 0; i < 3; i++) {
		u32 on = server_has_connect(1) ? 1 : server_has_connect(2) ? 2 : 0;
		struct peer *s = server_ready(on);

		server_expect_query(s, read_sql);
		server_gone(s);
	}
	client_expect_err(c, 1053, "cluster main");
	cr_assert_eq(client_state(c), SESS_READY);
	rig_stop();
}

TEST_WORKER(server_refuses_connections)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW);

	rig_server_down(1);
	rig_read(c, read_sql, NULL, 0);
	cr_assert_eq(R.w.sstat[1].connect_errors, 1);
	rig_server_down(0);
	rig_write(d, write_sql, R.peers[R.npeers - 1]); /* over the connection that is there */
	server_gone(R.peers[R.npeers - 1]);
	client_query(c, write_sql);
	client_expect_err(c, 1053, "server db0 as app");
	cr_assert_eq(client_state(c), SESS_READY);
	rig_stop();
}

/* The connection is closed, and the worker finds out when it writes to it: nothing has reached the server. */
TEST_WORKER(statement_that_could_not_be_sent)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, write_sql, NULL);

	client_query(c, write_sql);
	peer_close(s);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(R.w.stat->retried, 1);
	rig_stop();
}

static void
login_goes_wrong(int how)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s;
	u8 err[200];
	struct wr w = wr_init(err, sizeof err);

	client_query(c, write_sql);
	client_query(d, write_sql);
	s = server_accept(0);
	rig_run();
	u16 code = 1053;
	switch (how) {
	case 0: /* too many connections, before a greeting */
		pkt_err_write(&w, 0, 1040, "08004", "Too many connections");
		peer_send(s, err, w.len);
		break;
	case 1:
		server_greet(s);
		server_expect_login(s, "app", "secret");
		pkt_err_write(&w, 2, 1045, "28000", "Access denied");
		peer_send(s, err, w.len);
		code = 1045;
		break;
	case 2:
		peer_send(s, "\x04\x00\x00\x00HTTP", 8);
		code = 1835;
		break;
	case 3:
		peer_send(s, "\xff\xff\xff\x00HTTP", 8);
		code = 1835;
		break;
	case 4:
		server_greet(s);
		server_expect_login(s, "app", "secret");
		peer_send(s, "\x00\x00\x00\x02", 4);
		code = 1835;
		break;
	case 5:
		server_greet(s);
		server_expect_login(s, "app", "secret");
		peer_send(s, "\x01\x00\x00\x02\x01", 5);
		code = 1835;
		break;
	case 6:
		server_greet(s);
		server_expect_login(s, "app", "secret");
		peer_send(s, "\x0f\x00\x00\x02\xfe" "ed25519\0abcdef", 19);
		code = 1045;
		break;
	case 7:
		server_greet(s);
		break; /* closes */
	default:
		break; /* closes before its greeting */
	}
	rig_run();
	peer_close(s);
	rig_run();
	/* the other login is under way: it fails too, or is not tried at all */
	while (server_has_connect(0)) {
		struct peer *s2 = server_accept(0);

		peer_close(s2);
		rig_run();
	}
	client_expect_err(c, code, "server db0 as app");
	client_expect_err(d, code, "");
	rig_stop();
}

TEST_WORKER(logins_at_servers_that_go_wrong)
{
	for (int how = 0; how < 9; how++)
		login_goes_wrong(how);
}

TEST_WORKER(server_switches_the_method_back)
{
	u8 buf[100];
	struct wr w = wr_init(buf, sizeof buf);

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	struct peer *s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "app", "secret");
	memset(s->scramble, 'q', 20);
	hs_auth_switch_write(&w, 2, "mysql_native_password", s->scramble, 20);
	peer_send(s, buf, w.len);
	size_t len;
	const u8 *p = peer_packet(s, &len);
	cr_assert(p[3] == 3 && len == PKT_HDR + 20);
	struct bytes ok = {0};
	struct pkt_ok k = {.status = ST_AUTOCOMMIT};
	bytes_ok(&ok, 4, CAP_SESSION_TRACK, &k);
	peer_send(s, ok.p, ok.len);
	bytes_free(&ok);
	server_expect_query(s, BCONN_SETUP_SQL);
	server_ok(s);
	server_expect_query(s, write_sql);
	answered(s, c);
	rig_stop();
}

TEST_WORKER(trackers_are_refused)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_query(c, write_sql);
	struct peer *s = server_up_to_setup(0);
	server_err(s, 1193, "Unknown system variable");
	client_expect_err(c, 1835, "Unknown system variable");
	rig_stop();
}

TEST_WORKER(old_server_is_not_used)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_greeting g = {.protocol = 10, .version = {(const u8 *)"5.5.1", 5}, .thread_id = 1,
	    .caps = CAPS_CLIENT & ~CAP_DEPRECATE_EOF, .charset = 45, .plugin = {(const u8 *)"mysql_native_password", 21}};

	rig_start(NULL);
	memset(g.scramble, 'x', 20);
	struct peer *c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	struct peer *s = server_accept(0);
	hs_greeting_write(&w, &g);
	peer_send(s, buf, w.len);
	client_expect_err(c, 1835, "lacks DEPRECATE_EOF");
	rig_stop();
}

/* A read refused for what the server is runs elsewhere. */
TEST_WORKER(read_refused_for_the_server_s_state)
{
	static const u16 codes[] = {1290, 1836, 1053, 1047, 1927};

	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		rig_start(NULL);
		struct peer *c = client_login(CAPS_NEW), *s = running(c, read_sql, 1), *p;

		server_err(s, codes[i], "no");
		p = server_ready(0);
		server_expect_query(p, read_sql);
		server_row_for(p, c, ST_AUTOCOMMIT, 0);
		cr_assert_eq(rig_counter("retried"), 1);
		rig_stop();
	}
}

/* ---- clients that leave ---- */

TEST_WORKER(client_leaves_while_its_statement_runs)
{
	struct bytes rows = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_OLD), *s = running(c, read_sql, 1);
	peer_close(c);
	rig_run();
	cr_assert_eq(R.w.nsess, 0);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT | ST_IN_TRANS, 0, 100);
	for (size_t i = 0; i < rows.len; i += 100) {
		peer_send(s, rows.p + i, MIN(100, rows.len - i));
		rig_run();
	}
	server_expect_reset(s);
	rig_run();
	cr_assert_eq(R.w.srv[1].nidle, 1);
	/* and it serves the next */
	rig_read(client_login(CAPS_NEW), read_sql, s, 1);
	bytes_free(&rows);
	rig_stop();
}

TEST_WORKER(client_leaves_in_the_middle_of_a_result)
{
	struct bytes rows = {0};

	for (u32 old = 0; old < 2; old++) {
		rig_start(NULL);
		struct peer *c = client_login(old ? CAPS_OLD : CAPS_NEW), *s = running(c, read_sql, 1);
		bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 100);
		peer_send(s, rows.p, rows.len / 2);
		rig_run();
		peer_close(c);
		rig_run();
		peer_send(s, rows.p + rows.len / 2, rows.len - rows.len / 2);
		server_expect_reset(s);
		rig_run();
		cr_assert_eq(R.w.srv[1].nidle, 1);
		bytes_free(&rows);
		rig_stop();
	}
}

TEST_WORKER(client_leaves_while_it_prepares)
{
	for (u32 old = 0; old < 2; old++) {
		u8 buf[256];
		struct wr w = wr_init(buf, sizeof buf);
		struct pkt_prepare_ok ok = {.id = 4, .nparams = 1};

		rig_start(NULL);
		struct peer *c = client_login(old ? CAPS_OLD : CAPS_NEW);
		client_com(c, COM_STMT_PREPARE, "SELECT ? FROM t", 15);
		struct peer *s = server_ready(1);
		server_expect(s, COM_STMT_PREPARE, "SELECT ? FROM t", 15);
		peer_close(c);
		rig_run();
		pkt_prepare_ok_write(&w, 1, &ok);
		pkt_column_write(&w, 2, "?", 253, 63, 0, 0, 0);
		peer_send(s, buf, w.len);
		server_expect_reset(s);
		rig_stop();
	}
}

TEST_WORKER(reply_without_client_is_garbage)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = running(c, read_sql, 1);

	peer_close(c);
	rig_run();
	peer_send(s, "\x01\x00\x00\x07\x00", 5);
	peer_expect_closed(s);
	rig_stop();
}

TEST_WORKER(client_leaves_in_the_middle_of_a_long_statement)
{
	u8 *text = malloc(3 << 20);
	struct bytes pkts = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = NULL;
	memset(text, ' ', 3 << 20);
	memcpy(text, "\x03INSERT INTO t VALUES (1)", 25);
	bytes_packet(&pkts, 0, text, 3 << 20);
	for (size_t at = 0; at < 2 << 20; at += 100000) {
		peer_send(c, pkts.p + at, 100000);
		rig_run();
		if (s == NULL && server_has_connect(0)) {
			s = server_ready(0);
			server_expect_query(s, "SET last_insert_id=0");
			server_ok(s);
		}
	}
	cr_assert_not_null(s);
	cr_assert_eq(client_state(c), SESS_STREAM);
	peer_close(c);
	rig_run();
	/* the server waits for the rest, which never comes */
	(void)peer_pending(s);
	cr_assert(s->eof, "the connection must be closed");
	peer_close(s);
	free(text);
	bytes_free(&pkts);
	rig_stop();
}

/* ---- KILL ---- */

static void
kill_it(struct peer *k, const char *how, struct peer *whom)
{
	char sql[64];

	snprintf(sql, sizeof sql, "KILL %s %u", how, whom->id);
	client_query(k, sql);
}

/* The worker's connection for a KILL of s; answers. */
static void
expect_kill(struct peer *s, const char *how, u16 err)
{
	char sql[64];
	struct peer *k = server_accept(s->server);
	struct bytes ok = {0};
	struct pkt_ok o = {.status = ST_AUTOCOMMIT};

	server_greet(k);
	server_expect_login(k, "app", "secret");
	bytes_ok(&ok, 2, CAP_SESSION_TRACK, &o);
	peer_send(k, ok.p, ok.len);
	bytes_free(&ok);
	snprintf(sql, sizeof sql, "KILL %s %u", how, s->thread_id);
	server_expect_query(k, sql);
	if (err != 0)
		server_err(k, err, "no");
	else
		server_ok(k);
	(void)peer_pending(k);
	cr_assert(k->eof);
	peer_close(k);
	rig_run();
}

TEST_WORKER(kill_query_of_a_running_statement)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW), *s = running(c, write_sql, 0);

	kill_it(k, "QUERY", c);
	client_expect_ok(k);
	expect_kill(s, "QUERY", 0);
	server_err(s, 1317, "Query execution was interrupted");
	client_expect_err(c, 1317, "interrupted");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(rig_counter("kills"), 1);
	/* who comes next gets another connection: a late KILL must not hit him */
	client_query(c, read_sql);
	struct peer *s2 = server_ready(1);
	server_expect_query(s2, read_sql);
	server_row_for(s2, c, ST_AUTOCOMMIT, 0);
	(void)peer_pending(s);
	cr_assert(s->eof);
	rig_stop();
}

/* Who has asked for CONNECTION_ID() keeps that connection, and is found by its id; who has not is not. */
TEST_WORKER(kill_by_the_id_that_the_server_told)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW), *s = running(c, write_sql, 0);
	char sql[64];

	snprintf(sql, sizeof sql, "KILL QUERY %u", s->thread_id);
	client_query(k, sql);
	client_expect_err(k, 1094, "Unknown thread id");
	answered(s, c);
	client_query(c, "SELECT CONNECTION_ID()+0");
	server_expect_query(s, "SELECT CONNECTION_ID()+0");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	cr_assert(client_sess(c)->pins & 1u << PIN_CONN_ID);
	client_query(c, write_sql);
	server_expect_query(s, write_sql);
	client_query(k, sql);
	client_expect_ok(k);
	expect_kill(s, "QUERY", 0);
	server_err(s, 1317, "Query execution was interrupted");
	client_expect_err(c, 1317, "interrupted");
	rig_stop();
}

TEST_WORKER(kill_of_a_running_session)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW), *s = running(c, write_sql, 0);

	kill_it(k, "", c);
	client_expect_ok(k);
	peer_expect_closed(c);
	expect_kill(s, "CONNECTION", 0);
	server_err(s, 1927, "Connection was killed");
	rig_run();
	(void)peer_pending(s);
	cr_assert(s->eof, "the connection is not used again");
	rig_stop();
}

TEST_WORKER(kill_that_comes_too_late)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW), *s = running(c, write_sql, 0);

	kill_it(k, "QUERY", c);
	client_expect_ok(k);
	rig_run();
	/* the statement ends before the KILL is even sent */
	answered(s, c);
	(void)peer_pending(s);
	cr_assert(s->eof);
	struct peer *kc = server_accept(0);
	peer_close(kc);
	rig_run();
	rig_write(c, write_sql, NULL);
	rig_stop();
}

TEST_WORKER(kill_of_a_waiting_session)
{
	struct rig_conf conf = {.server = FIVE};

	for (int query = 0; query < 2; query++) {
		rig_start(&conf);
		for (int i = 0; i < 5; i++)
			rig_write_full(client_login(CAPS_NEW), "BEGIN", NULL, &trx_open);
		struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW);
		client_query(c, write_sql);
		rig_run();
		kill_it(k, query ? "QUERY" : "CONNECTION", c);
		client_expect_ok(k);
		client_expect_err(c, query ? 1317 : 1927, "KILL");
		if (query)
			cr_assert_eq(client_state(c), SESS_READY);
		else
			peer_expect_closed(c);
		cr_assert_eq(rig_counter("clients_waiting"), 0);
		rig_stop();
	}
}

TEST_WORKER(kill_of_an_idle_session)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW);
	struct peer *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	kill_it(k, "QUERY", c); /* nothing runs */
	client_expect_ok(k);
	peer_expect_silence(c);
	kill_it(k, "", c);
	client_expect_ok(k);
	peer_expect_closed(c);
	server_expect_reset(s);
	rig_stop();
}

TEST_WORKER(kill_of_oneself_of_nobody_and_of_others)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *o = client_connect(), *a = client_connect();

	client_respond(o, "other", "o", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(o);
	client_respond(a, "admin", "a", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(a);
	kill_it(c, "QUERY", c);
	client_expect_err(c, 1317, "");
	struct peer *s = running(c, "KILL 4294967295", 0); /* nobody's here: the server may know it */
	server_err(s, 1094, "Unknown thread id: 4294967295");
	client_expect_err(c, 1094, "Unknown thread id: 4294967295");
	client_query(c, "KILL 99999999999");
	client_expect_err(c, 1094, "Unknown thread id: 99999999999");
	client_query(c, "KILL USER 'x'");
	server_expect_query(s, "KILL USER 'x'");
	answered(s, c);
	kill_it(c, "", o);
	client_expect_err(c, 1095, "You are not owner of thread");
	peer_expect_silence(o);
	kill_it(a, "", o);
	client_expect_ok(a);
	peer_expect_closed(o);
	u8 id[4];
	wr32(id, c->id);
	client_com(a, COM_PROCESS_KILL, id, 4);
	client_expect_ok(a);
	peer_expect_closed(c);
	kill_it(a, "", a);
	client_expect_err(a, 1927, "");
	peer_expect_closed(a);
	rig_stop();
}

/* A pinned connection against which a KILL is under way: the next statement waits until that is answered. */
static void
kill_and_go_on(int how)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *k = client_login(CAPS_NEW);
	struct peer *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	client_query(c, write_sql);
	server_expect_query(s, write_sql);
	kill_it(k, "QUERY", c);
	client_expect_ok(k);
	server_err(s, 1317, "interrupted");
	client_expect_err(c, 1317, "");
	client_query(c, "ROLLBACK");
	peer_expect_silence(s);
	cr_assert_eq(client_state(c), SESS_WAIT);
	switch (how) {
	case 0:
		expect_kill(s, "QUERY", 0);
		break;
	case 1:
		expect_kill(s, "QUERY", 1094);
		break;
	case 2: { /* the KILL fails */
		struct peer *kc = server_accept(0);

		peer_close(kc);
		rig_run();
		break;
	}
	case 3: /* the connection is lost */
		server_gone(s);
		client_expect_err(c, 1158, "");
		peer_expect_closed(c);
		peer_close(server_accept(0));
		rig_run();
		rig_stop();
		return;
	default: /* the client leaves */
		peer_close(c);
		expect_kill(s, "QUERY", 0);
		rig_stop();
		return;
	}
	server_expect_query(s, "ROLLBACK");
	server_ok(s);
	client_expect_ok(c);
	rig_stop();
}

TEST_WORKER(statement_after_a_killed_one)
{
	for (int how = 0; how < 5; how++)
		kill_and_go_on(how);
}

/* ---- the process list ---- */

static u32
list_rows(struct peer *c, const char *sql, const char *part, bool *found)
{
	u32 rows = 0;
	size_t len;

	*found = false;
	client_query(c, sql);
	for (int i = 0; i < 10; i++)
		(void)peer_packet(c, &len); /* count and nine definitions */
	for (;;) {
		const u8 *p = peer_packet(c, &len);

		if (p[PKT_HDR] == 0xfe)
			return rows;
		rows++;
		*found |= memmem(p, len, part, strlen(part)) != NULL;
	}
}

TEST_WORKER(processlist)
{
	bool found;

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *o = client_connect(), *a = client_connect();
	client_respond(o, "other", "o", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(o);
	client_respond(a, "admin", "a", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(a);
	struct peer *s = running(d, "INSERT INTO t VALUES ('long one')", 0);
	cr_assert_eq(list_rows(c, "SHOW PROCESSLIST", "INSERT INTO t VALUES ('long one')", &found), 2);
	cr_assert(found);
	cr_assert_eq(list_rows(a, "SHOW FULL PROCESSLIST", "other", &found), 4);
	cr_assert(found);
	answered(s, d);
	/* secrets are not shown */
	client_query(d, "SET PASSWORD = PASSWORD('hidden')");
	server_expect_query(s, "SET PASSWORD = PASSWORD('hidden')");
	list_rows(c, "SHOW PROCESSLIST", "hidden", &found);
	cr_assert(!found);
	list_rows(c, "SHOW PROCESSLIST", "SET", &found);
	cr_assert(found);
	answered(s, d);
	rig_stop();
}

/* What the statement of a client that left did to the database holds after the reset. */
TEST_WORKER(client_leaves_while_it_changes_the_database)
{
	struct bytes state = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	client_com(c, COM_INIT_DB, "one", 3);
	struct peer *s = server_ready(0);
	server_expect(s, COM_INIT_DB, "one", 3);
	peer_close(c);
	rig_run();
	bytes_track(&state, TRACK_SCHEMA, NULL, "one");
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	server_expect_reset(s);
	/* nobody without a database may get it */
	c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	struct peer *s2 = server_ready(0);
	server_expect_query(s2, write_sql);
	answered(s2, c);
	rig_stop();
}
