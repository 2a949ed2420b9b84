/* t/unit/test_worker_bad.c: bytes that the protocol does not allow, from either side and in every state; and a walk
 * through all states of both machines.
 */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <sys/socket.h>

static const char read_sql[] = "SELECT c FROM t WHERE id=1", write_sql[] = "INSERT INTO t VALUES (1)";
static const struct pkt_ok trx_open = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};

/* ---- servers ---- */

static const struct {
	const char *bytes;
	size_t len;
} garbage[] = {
#define G(s) {s, sizeof s - 1}
    G("\x01\x00\x00\x00\x00"),                 /* sequence id of a command */
    G("\x01\x00\x00\x05\x00"),
    G("\x00\x00\x00\x01"),                     /* empty */
    G("\xff\xff\xff\x01\x00"),                 /* an OK packet of 16 MiB */
    G("\x09\x00\x00\x01\xff"),                 /* cut */
    G("\x01\x00\x00\x01\xfb"),                 /* wants a local file */
    G("\x09\x00\x00\x01\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), /* that many columns */
    G("\x01\x00\x00\x01\xfc"),                 /* a number that is cut */
    G("\x01\x00\x00\x01\x00"),                 /* an OK packet without its fields */
    G("\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"), /* one too many */
    G("\x01\x00\x00\x01\x01\x01\x00\x00\x09\x01"), /* definitions out of order */
    G("HTTP/1.1 400 Bad Request\r\n\r\n"),
};

/* What the client of a write sees: an error, the OK, or the end; and it goes on or is closed, never stuck. */
static void
expect_an_end(struct peer *c)
{
	rig_run();
	(void)peer_pending(c);
	cr_assert(c->eof || c->len > c->at, "the client hangs");
}

TEST_WORKER(server_sends_garbage_for_a_reply)
{
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		rig_start(NULL);
		struct peer *c = client_login(CAPS_NEW), *s;

		client_query(c, write_sql);
		s = server_ready(0);
		server_expect_query(s, write_sql);
		peer_send(s, garbage[i].bytes, garbage[i].len);
		rig_run();
		peer_close(s);
		expect_an_end(c);
		cr_assert_eq(R.w.srv[0].nconns, 0, "garbage %zu", i);
		rig_stop();
	}
}

TEST_WORKER(server_sends_garbage_for_a_read)
{
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		rig_start(NULL);
		struct peer *c = client_login(CAPS_OLD), *s, *p;

		client_query(c, read_sql);
		s = server_ready(1);
		server_expect_query(s, read_sql);
		peer_send(s, garbage[i].bytes, garbage[i].len);
		rig_run();
		peer_close(s);
		rig_run();
		if (server_has_connect(0)) {
			p = server_ready(0);
			server_expect_query(p, read_sql);
			server_row_for(p, c, ST_AUTOCOMMIT, 0);
		} else {
			expect_an_end(c);
		}
		rig_stop();
	}
}

TEST_WORKER(server_sends_garbage_for_a_prepare)
{
	static const char *const more[] = {
	    "\x0c\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x07?", /* definition out of order */
	    "\x05\x00\x00\x01\x00\x01\x00\x00\x00",                                             /* too short */
	};
	static const size_t len[] = {21, 9};

	for (size_t i = 0; i < ARRAY_LEN(garbage) + 2; i++) {
		rig_start(NULL);
		struct peer *c = client_login(CAPS_NEW), *s;

		client_com(c, COM_STMT_PREPARE, "INSERT INTO t VALUES (?)", 24);
		s = server_ready(0);
		server_expect(s, COM_STMT_PREPARE, "INSERT INTO t VALUES (?)", 24);
		if (i < 2)
			peer_send(s, more[i], len[i]);
		else
			peer_send(s, garbage[i - 2].bytes, garbage[i - 2].len);
		rig_run();
		peer_close(s);
		expect_an_end(c);
		rig_stop();
	}
}

/* The states in which a connection answers the worker alone. */
TEST_WORKER(server_sends_garbage_to_the_worker)
{
	for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
		for (int state = 0; state < 4; state++) {
			rig_start(NULL);
			struct peer *c = client_login(CAPS_NEW), *s = NULL;

			if (state == 0) { /* SETUP */
				client_query(c, write_sql);
				s = server_up_to_setup(0);
			} else if (state == 1) { /* RESET */
				s = rig_write_full(c, "BEGIN", NULL, &trx_open);
				peer_close(c);
				server_expect(s, COM_RESET_CONNECTION, NULL, 0);
			} else if (state == 2) { /* IDLE */
				s = rig_write(c, write_sql, NULL);
			} else { /* LINKED */
				s = rig_write(c, "SET @a=1", NULL);
			}
			peer_send(s, garbage[i].bytes, garbage[i].len);
			rig_run();
			peer_close(s);
			rig_run();
			while (server_has_connect(0))
				peer_close(server_accept(0));
			rig_run();
			if (state == 0 || state == 3)
				expect_an_end(c);
			cr_assert_eq(R.w.srv[0].nconns, 0, "garbage %zu in state %d", i, state);
			rig_stop();
		}
	}
}

/* Bytes that nobody asked for must not become another session's reply. */
TEST_WORKER(reply_and_more_while_another_waits)
{
	struct rig_conf conf = {.server = "pool_size = 1\npool_grow_delay = 1h"};
	struct bytes two = {0};
	struct pkt_ok ok = {.affected = 1, .status = ST_AUTOCOMMIT};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s;
	client_query(c, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	client_query(d, "DELETE FROM t");
	rig_run();
	cr_assert_eq(client_state(d), SESS_WAIT);
	bytes_ok(&two, 1, CAPS_NEW, &ok);
	bytes_ok(&two, 1, CAPS_NEW, &ok);
	peer_send(s, two.p, two.len);
	client_expect_ok(c);
	rig_pass(20);
	cr_assert_eq(peer_pending(d), 0, "the DELETE has not run");
	cr_assert_eq(client_state(d), SESS_WAIT);
	if (s->fd >= 0)
		peer_close(s);
	rig_pass(20);
	s = server_ready(0);
	server_expect_query(s, "DELETE FROM t");
	server_ok(s);
	client_expect_ok(d);
	bytes_free(&two);
	rig_stop();
}

/* The same behind the answers that make a connection ready. */
TEST_WORKER(ready_and_more_while_another_waits)
{
	struct bytes two = {0};
	struct pkt_ok ok = {.affected = 1, .status = ST_AUTOCOMMIT};

	bytes_ok(&two, 1, CAPS_NEW, &ok);
	bytes_ok(&two, 1, CAPS_NEW, &ok);
	for (int reset = 0; reset < 2; reset++) {
		struct rig_conf conf = {.server = "pool_size = 1\npool_grow_delay = 1h"};

		rig_start(&conf);
		struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s;
		if (reset) {
			s = rig_write_full(c, "BEGIN", NULL, &trx_open);
			client_query(d, "DELETE FROM t");
			peer_close(c);
			server_expect(s, COM_RESET_CONNECTION, NULL, 0);
			server_ok(s);
		} else {
			client_query(d, "DELETE FROM t");
			s = server_up_to_setup(0);
		}
		peer_send(s, two.p, two.len);
		rig_run();
		cr_assert_eq(peer_pending(d), 0, "the DELETE has not run");
		peer_close(s);
		rig_pass(20);
		s = server_ready(0);
		server_expect_query(s, "DELETE FROM t");
		server_ok(s);
		client_expect_ok(d);
		rig_stop();
	}
	bytes_free(&two);
}

/* A result cut at every place: the client is told or closed, and nothing is left. */
TEST_WORKER(result_cut_everywhere)
{
	struct bytes rows = {0};

	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 3);
	for (u32 caps = 0; caps < 2; caps++) {
		for (size_t cut = 1; cut < rows.len; cut++) {
			rig_start(NULL);
			struct peer *c = client_login(caps ? CAPS_NEW : CAPS_OLD), *s;

			client_query(c, "SELECT c FROM t FOR UPDATE");
			s = server_ready(0);
			server_expect_query(s, "SELECT c FROM t FOR UPDATE");
			peer_send(s, rows.p, cut);
			rig_run();
			peer_close(s);
			expect_an_end(c);
			cr_assert(c->eof || client_state(c) == SESS_READY);
			rig_stop();
		}
	}
	bytes_free(&rows);
}

/* ---- clients ---- */

TEST_WORKER(client_sends_garbage)
{
	static const struct {
		const char *bytes;
		size_t len;
		u16 code;
	} bad[] = {
	    {"\x00\x00\x00\x00", 4, 1043},         /* empty command */
	    {"\x01\x00\x00\x01\x0e", 5, 1156},     /* sequence id */
	    {"GET / HTTP/1.1\r\n", 16, 1153},      /* a length over the limit */
	    {"\x04\x00\x00\x00\xff\xff\xff\xff", 8, 1047},
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rig_conf conf = {.margay = "max_packet_size = 1M"};

		rig_start(&conf);
		struct peer *c = client_login(CAPS_NEW);
		peer_send(c, bad[i].bytes, bad[i].len);
		client_expect_err(c, bad[i].code, "");
		if (bad[i].code != 1047)
			peer_expect_closed(c);
		rig_stop();
	}
}

TEST_WORKER(packets_of_a_long_statement_out_of_order)
{
	u8 *text = malloc(PKT_MAX_BODY + 100);
	struct bytes pkts = {0};

	for (int stream = 0; stream < 2; stream++) {
		struct rig_conf conf = {.margay = stream ? NULL : "statement_buffer = 64M"};

		rig_start(&conf);
		struct peer *c = client_login(CAPS_NEW), *s = NULL;
		memset(text, ' ', PKT_MAX_BODY + 100);
		memcpy(text, "\x03INSERT INTO t VALUES (1)", 25);
		bytes_packet(&pkts, 0, text, PKT_MAX_BODY + 100);
		pkts.p[PKT_HDR + PKT_MAX_BODY + 3] = 5;
		for (size_t at = 0; at < pkts.len; at += 150000) {
			peer_send(c, pkts.p + at, MIN(150000, pkts.len - at));
			rig_run();
			if (s == NULL && server_has_connect(0)) {
				s = server_ready(0);
				server_expect_query(s, "SET last_insert_id=0");
				server_ok(s);
			}
		}
		if (!stream)
			client_expect_err(c, 1156, "out of order");
		peer_expect_closed(c);
		if (s != NULL) {
			(void)peer_pending(s);
			cr_assert(s->eof);
			peer_close(s);
		}
		bytes_free(&pkts);
		rig_stop();
	}
	free(text);
}

TEST_WORKER(long_statement_over_the_limit)
{
	struct rig_conf conf = {.margay = "max_packet_size = 20M"};
	u8 *text = malloc(3 * PKT_MAX_BODY);
	struct bytes pkts = {0};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s = NULL;
	memset(text, ' ', 3 * PKT_MAX_BODY);
	memcpy(text, "\x03INSERT INTO t VALUES (1)", 25);
	bytes_packet(&pkts, 0, text, 3 * PKT_MAX_BODY);
	for (size_t at = 0; at < pkts.len && !c->eof; at += 150000) {
		peer_send(c, pkts.p + at, MIN(150000, pkts.len - at));
		rig_run();
		if (s == NULL && server_has_connect(0)) {
			s = server_ready(0);
			server_expect_query(s, "SET last_insert_id=0");
			server_ok(s);
		}
		(void)peer_take_raw(c, SIZE_MAX);
	}
	client_expect_err(c, 1153, "max_packet_size is 20971520");
	peer_expect_closed(c);
	free(text);
	bytes_free(&pkts);
	peer_close(s);
	rig_stop();
}

/* A server that ends a long statement with an error before it has all of it. */
TEST_WORKER(long_statement_is_refused_in_the_middle)
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
	server_err(s, 1153, "Got a packet bigger than 'max_allowed_packet' bytes");
	(void)peer_pending(s);
	cr_assert(s->eof);
	/* the client reads it when it has sent all */
	peer_expect_silence(c);
	for (size_t at = 2100000; at < pkts.len; at += 100000) {
		peer_send(c, pkts.p + at, MIN(100000, pkts.len - at));
		rig_run();
	}
	client_expect_err(c, 1153, "max_allowed_packet");
	peer_expect_closed(c);
	free(text);
	bytes_free(&pkts);
	peer_close(s);
	rig_stop();
}

TEST_WORKER(server_dies_in_the_middle_of_a_long_statement)
{
	u8 *text = malloc(3 << 20);
	struct bytes pkts = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = NULL;
	memset(text, ' ', 3 << 20);
	memcpy(text, "\x03INSERT INTO t VALUES (1)", 25);
	bytes_packet(&pkts, 0, text, 3 << 20);
	for (size_t at = 0; at < pkts.len && !c->eof; at += 100000) {
		peer_send(c, pkts.p + at, MIN(100000, pkts.len - at));
		rig_run();
		if (s == NULL && server_has_connect(0)) {
			s = server_ready(0);
			server_expect_query(s, "SET last_insert_id=0");
			server_ok(s);
		} else if (at > 2 << 20 && s->fd >= 0) {
			peer_close(s);
		}
		(void)peer_take_raw(c, SIZE_MAX);
	}
	client_expect_err(c, 1158, "");
	cr_assert_eq(client_state(c), SESS_READY, "it had no state that is lost");
	free(text);
	bytes_free(&pkts);
	rig_stop();
}

/* ---- all states ---- */

static void
seen(u32 sess, u32 bconn)
{
	cr_expect(sess == SESS_STATES || R.sess_seen & 1u << sess, "session state %s", sess_state_words[sess % SESS_STATES]);
	cr_expect(bconn == BCONN_STATES || R.bconn_seen & 1u << bconn, "connection state %s",
	    bconn_state_words[bconn % BCONN_STATES]);
}

/* NEW is left within the call that makes the object, CLOSED is entered in the callback that frees it: no test can see
 * an object in these, so they are told by objects coming and going. */
TEST_WORKER(every_state_is_reached)
{
	struct bytes rows = {0};
	u8 *text = malloc(2 << 20);
	struct bytes pkts = {0};

	rig_start(&(struct rig_conf){.user = "[user proves]\nauth_plugin = caching_sha2_password\ncluster = main\npassword = "
		"\"$A$005$saltsaltsaltsaltsalt0123456789012345678901234567890123456789./A\""});
	struct peer *c = client_connect(), *s;
	seen(SESS_LOGIN, BCONN_STATES);
	client_respond(c, "proves", "", NULL, CAPS_NEW, "mysql_native_password");
	(void)peer_pending(c);
	peer_send(c, "\x20\x00\x00\x03" "01234567890123456789012345678901", 36);
	rig_run();
	peer_send(c, "\x02\x00\x00\x05x", 6);
	rig_run();
	seen(SESS_PROVE, BCONN_STATES);
	peer_close(c);
	rig_run();
	c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW, "caching_sha2_password");
	rig_run();
	seen(SESS_SWITCH, BCONN_STATES);
	evs_hold_closed = true;
	peer_close(c);
	rig_run();
	seen(SESS_CLOSING, BCONN_STATES);
	evs_hold_closed = false;
	rig_run();
	cr_assert(list_empty(&R.w.sessions), "closed");
	c = client_login(CAPS_NEW);
	seen(SESS_READY, BCONN_STATES);
	client_query(c, read_sql);
	(void)evs_turn();
	seen(SESS_WAIT, BCONN_CONNECT);
	s = server_accept(1);
	seen(SESS_STATES, BCONN_GREETING);
	server_greet(s);
	server_expect_login(s, "app", "secret");
	seen(SESS_STATES, BCONN_AUTH);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	bytes_ok(&rows, 2, CAPS_NEW, &ok);
	peer_send(s, rows.p, rows.len);
	bytes_free(&rows);
	server_expect_query(s, BCONN_SETUP_SQL);
	seen(SESS_STATES, BCONN_SETUP);
	server_ok(s);
	server_expect_query(s, read_sql);
	seen(SESS_BUSY, BCONN_BUSY);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	seen(SESS_STATES, BCONN_IDLE);
	s = rig_write_full(c, "BEGIN", NULL, &trx_open);
	seen(SESS_STATES, BCONN_LINKED);
	client_query(c, read_sql);
	server_expect_query(s, read_sql);
	peer_close(c);
	rig_run();
	seen(SESS_STATES, BCONN_DRAIN);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(s, rows.p, rows.len);
	bytes_free(&rows);
	server_expect(s, COM_RESET_CONNECTION, NULL, 0);
	seen(SESS_STATES, BCONN_RESET);
	server_expect_query(s, BCONN_SETUP_SQL);
	server_ok(s);
	server_ok(s);
	rig_run();
	evs_hold_closed = true;
	peer_close(s);
	rig_run();
	seen(SESS_STATES, BCONN_CLOSING);
	evs_hold_closed = false;
	rig_run();
	cr_assert(list_empty(&R.w.srv[0].conns), "closed");
	c = client_login(CAPS_NEW);
	memset(text, ' ', 2 << 20);
	memcpy(text, "\x03INSERT INTO t VALUES (1)", 25);
	bytes_packet(&pkts, 0, text, 2 << 20);
	s = NULL;
	for (size_t at = 0; at < pkts.len; at += 100000) {
		peer_send(c, pkts.p + at, MIN(100000, pkts.len - at));
		rig_run();
		if (s == NULL && server_has_connect(0)) {
			s = server_ready(0);
			server_expect_query(s, "SET last_insert_id=0");
			server_ok(s);
		}
	}
	seen(SESS_STREAM, BCONN_STATES);
	server_gone(s);
	client_expect_err(c, 1158, "");
	free(text);
	bytes_free(&pkts);
	static const char load_sql[] = "LOAD DATA LOCAL INFILE 'x' INTO TABLE t";
	c = client_login(CAPS_NEW | CAP_LOCAL_FILES);
	client_query(c, load_sql);
	s = server_ready(0);
	server_expect_query(s, load_sql);
	peer_send(s, "\x02\x00\x00\x01\xfbx", 6);
	peer_expect(c, "\x02\x00\x00\x01\xfbx", 6);
	seen(SESS_INFILE, BCONN_BUSY);
	peer_send(c, "\x01\x00\x00\x02" "a", 5);
	peer_expect(s, "\x01\x00\x00\x02" "a", 5);
	peer_close(c); /* the server must see the end too: it waits for the rest */
	rig_run();
	(void)peer_pending(s);
	cr_assert(s->eof);
	peer_close(s);
	rig_stop();
	for (u32 i = SESS_LOGIN; i < SESS_CLOSED; i++)
		seen(i, BCONN_STATES);
	for (u32 i = BCONN_CONNECT; i < BCONN_CLOSED; i++)
		seen(SESS_STATES, i);
}
