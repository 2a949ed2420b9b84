/* t/unit/test_worker_reply.c: replies and statements on their way: bytes are passed on as they are, or changed exactly
 * where the client's protocol asks for it.
 */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <sys/socket.h>

static const char read_sql[] = "SELECT c FROM t WHERE id=1";

/* A client asks, the replica gets the statement. */
static struct peer *
asked(struct peer *c)
{
	client_query(c, read_sql);
	struct peer *s = server_ready(1);
	server_expect_query(s, read_sql);
	return s;
}

static void
one_result(u32 client_caps, u32 rows, size_t cut)
{
	struct bytes from = {0}, to = {0};

	struct peer *c = client_login(client_caps);
	struct peer *s = asked(c);
	bytes_result(&from, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, rows);
	bytes_result(&to, 1, client_caps, ST_AUTOCOMMIT, 0, rows);
	for (size_t at = 0; at < from.len; at += cut) {
		peer_send(s, from.p + at, MIN(cut, from.len - at));
		rig_run();
	}
	peer_expect(c, to.p, to.len);
	peer_expect_silence(c);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(R.w.srv[1].nidle, 1, "the connection is back in its pool");
	bytes_free(&from);
	bytes_free(&to);
	peer_close(c);
	peer_close(s);
	rig_run();
}

TEST_WORKER(point_select_byte_for_byte)
{
	rig_start(NULL);
	one_result(CAPS_NEW, 1, SIZE_MAX / 2);
	one_result(CAPS_OLD, 1, SIZE_MAX / 2);
	one_result(CAPS_OLD | CAP_SESSION_TRACK, 1, SIZE_MAX / 2);
	one_result(CAPS_OLD | CAP_DEPRECATE_EOF, 1, SIZE_MAX / 2);
	rig_stop();
}

TEST_WORKER(result_in_pieces)
{
	static const size_t cuts[] = {1, 2, 3, 5, 7, 64, 1000};

	rig_start(NULL);
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		one_result(CAPS_NEW, 300, cuts[i]);
		one_result(CAPS_OLD, 300, cuts[i]); /* sequence ids wrap */
	}
	one_result(CAPS_OLD, 0, 1);
	one_result(CAPS_NEW, 20000, 100000);
	one_result(CAPS_OLD, 20000, 100000);
	rig_stop();
}

/* An error of a replica may come from its being behind: the primary has the last word. */
TEST_WORKER(error_is_passed_on)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = asked(c);
	server_err(s, 1146, "Table 'x.t' doesn't exist here");
	peer_expect_silence(c);
	s = server_ready(0);
	server_expect_query(s, read_sql);
	server_err(s, 1146, "Table 'x.t' doesn't exist");
	client_expect_err(c, 1146, "Table 'x.t' doesn't exist");
	/* SHOW WARNINGS would tell about it: the connection stays until the next statement */
	cr_assert_not_null(client_sess(c)->b);
	rig_stop();
}

TEST_WORKER(error_in_the_middle_of_rows)
{
	struct bytes rows = {0};
	u8 err[64];

	rig_start(NULL);
	struct peer *c = client_login(CAPS_OLD), *s = asked(c);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 2);
	/* header, definition, two rows; then an error instead of the end */
	size_t end = 0;
	for (int i = 0; i < 4; i++)
		end += PKT_HDR + rd24(rows.p + end);
	peer_send(s, rows.p, end);
	struct wr w = wr_init(err, sizeof err);
	pkt_err_write(&w, 5, 1317, "70100", "Query execution was interrupted");
	peer_send(s, err, w.len);
	bytes_free(&rows);
	bytes_result(&rows, 1, CAPS_OLD, ST_AUTOCOMMIT, 0, 2);
	end = 0;
	for (int i = 0; i < 5; i++)
		end += PKT_HDR + rd24(rows.p + end);
	peer_expect(c, rows.p, end);
	w = wr_init(err, sizeof err);
	pkt_err_write(&w, 6, 1317, "70100", "Query execution was interrupted"); /* one further: an EOF was put in */
	peer_expect(c, err, w.len);
	cr_assert_eq(client_state(c), SESS_READY);
	bytes_free(&rows);
	rig_stop();
}

/* Packet number n (from 0) of bytes that are whole packets. */
static u8 *
packet_at(struct bytes *b, u32 n)
{
	size_t at = 0;

	while (n-- > 0)
		at += PKT_HDR + rd24(b->p + at);
	return b->p + at;
}

/* A result of a statement that changes the session's flags: what the EOF between definitions and rows says. */
static void
flags_between(u32 rows, bool in_pieces, u16 want)
{
	struct bytes from = {0}, to = {0};
	const u16 status = ST_IN_TRANS | ST_NO_INDEX;

	struct peer *c = client_login(CAPS_OLD);
	client_query(c, "SELECT a FROM t FOR UPDATE");
	struct peer *s = server_ready(0);
	server_expect_query(s, "SELECT a FROM t FOR UPDATE");
	bytes_result(&from, 1, CAPS_NEW, status, 1, rows);
	bytes_result(&to, 1, CAPS_OLD, status, 1, rows);
	u8 *eof = packet_at(&to, 2);
	wr16(eof + PKT_HDR + 1, rows == 0); /* those of rows come later */
	wr16(eof + PKT_HDR + 3, want);
	for (size_t at = 0, n = in_pieces ? 1 : from.len; at < from.len; at += n) {
		peer_send(s, from.p + at, n);
		rig_run();
	}
	peer_expect(c, to.p, to.len);
	bytes_free(&from);
	bytes_free(&to);
	peer_close(c);
	rig_run();
	if (peer_has_packet(s))
		server_expect_reset(s);
	peer_close(s);
	rig_run();
}

TEST_WORKER(flags_between_definitions_and_rows)
{
	rig_start(NULL);
	flags_between(3, false, ST_IN_TRANS | ST_NO_INDEX);
	flags_between(0, false, ST_IN_TRANS | ST_NO_INDEX);
	flags_between(3, true, ST_AUTOCOMMIT);
	flags_between(REPLY_PEEK - 1, false, ST_IN_TRANS | ST_NO_INDEX);
	flags_between(REPLY_PEEK, false, ST_AUTOCOMMIT);
	rig_stop();
}

static void
several_results(u32 caps, bool in_pieces)
{
	struct bytes from = {0}, to = {0};
	struct pkt_ok ok = {.affected = 3, .status = ST_AUTOCOMMIT | ST_MORE_RESULTS, .info = {(const u8 *)"hi", 2}};

	struct peer *c = client_login(caps);
	client_query(c, "SELECT 1; UPDATE t SET a=1; SELECT 2");
	struct peer *s = server_ready(0);
	server_expect_query(s, "SELECT 1; UPDATE t SET a=1; SELECT 2");
	bytes_result(&from, 1, CAPS_NEW, ST_AUTOCOMMIT | ST_MORE_RESULTS, 0, 2); /* 1..5 */
	bytes_ok(&from, 6, CAPS_NEW, &ok);
	bytes_result(&from, 7, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	bytes_result(&to, 1, caps, ST_AUTOCOMMIT | ST_MORE_RESULTS, 0, 2);
	u8 seq = caps & CAP_DEPRECATE_EOF ? 6 : 7;
	bytes_ok(&to, seq, caps, &ok);
	bytes_result(&to, (u8)(seq + 1), caps, ST_AUTOCOMMIT, 0, 1);
	if ((caps & CAP_DEPRECATE_EOF) == 0 && in_pieces)
		/* that this result is the last is not known between its definitions and its end */
		wr16(packet_at(&to, 9) + PKT_HDR + 3, ST_AUTOCOMMIT | ST_MORE_RESULTS);
	for (size_t i = 0, n = in_pieces ? 1 : from.len; i < from.len; i += n) {
		peer_send(s, from.p + i, n);
		rig_run();
	}
	peer_expect(c, to.p, to.len);
	peer_expect_silence(c);
	bytes_free(&from);
	bytes_free(&to);
	peer_close(c);
	rig_run();
	if (peer_has_packet(s))
		server_expect_reset(s);
	peer_close(s);
	rig_run();
}

TEST_WORKER(several_results_in_one_reply)
{
	struct rig_conf conf = {.user = "read_split = no"}; /* so that the text goes as it is */

	rig_start(&conf);
	several_results(CAPS_NEW, true);
	several_results(CAPS_OLD, true);
	several_results(CAPS_NEW, false);
	several_results(CAPS_OLD, false);
	rig_stop();
}

/* ---- the session state block ---- */

TEST_WORKER(state_block_as_the_client_expects_it)
{
	struct bytes all = {0}, few = {0}, want = {0};
	struct peer *c, *s;

	rig_start(NULL);
	bytes_track(&all, TRACK_SYSVAR, "sql_mode", "ANSI");
	bytes_track(&all, TRACK_SYSVAR, "time_zone", "UTC");
	bytes_track(&all, TRACK_STATE, NULL, "1");
	bytes_track(&few, TRACK_SYSVAR, "time_zone", "UTC");
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {all.p, all.len}};
	struct pkt_ok ok2 = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {few.p, few.len}};
	for (int old = 0; old < 2; old++) {
		u32 caps = old ? CAPS_OLD : CAPS_NEW;

		c = client_login(caps);
		client_query(c, "SET time_zone='UTC', sql_mode='ANSI'");
		s = server_ready(0);
		server_expect_query(s, "SET time_zone='UTC', sql_mode='ANSI'");
		server_ok_full(s, &ok);
		bytes_free(&want);
		bytes_ok(&want, 1, caps, &ok2);
		peer_expect(c, want.p, want.len);
		cr_assert_eq(client_sess(c)->set->n, 2);
		peer_close(c);
		peer_close(s);
		rig_run();
	}
	bytes_free(&want);
	bytes_free(&all);
	bytes_free(&few);
	rig_stop();
}

/* Two OK packets with state blocks that do not fit together into the room where such packets are written. */
TEST_WORKER(long_state_blocks_in_one_read)
{
	struct bytes a = {0}, from = {0}, to = {0};
	char db[800];

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;
	memset(db, 'd', sizeof db);
	db[sizeof db - 1] = '\0';
	client_query(c, "USE a; USE b; USE c");
	s = server_ready(0);
	server_expect_query(s, "USE a; USE b; USE c");
	bytes_track(&a, TRACK_SCHEMA, NULL, db);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED | ST_MORE_RESULTS,
	    .state = {a.p, a.len}, .info = {(const u8 *)db, 400}};
	bytes_ok(&from, 1, CAPS_NEW, &ok);
	bytes_ok(&from, 2, CAPS_NEW, &ok);
	ok.status &= (u16)~ST_MORE_RESULTS;
	bytes_ok(&from, 3, CAPS_NEW, &ok);
	peer_send(s, from.p, from.len);
	peer_expect(c, from.p, from.len);
	peer_expect_silence(c);
	bytes_free(&a);
	bytes_free(&from);
	bytes_free(&to);
	rig_stop();
}

/* ---- commands ---- */

TEST_WORKER(commands_answered_here_and_refused)
{
	static const u8 refused[] = {COM_SLEEP, COM_CREATE_DB, COM_BINLOG_DUMP_GTID, COM_TABLE_DUMP, 0x77};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		client_com(c, refused[i], "x", 1);
		client_expect_err(c, 1047, "Unknown command");
	}
	client_com(c, COM_RESET_CONNECTION, NULL, 0);
	client_expect_ok(c);
	client_com(c, COM_SET_OPTION, "\x02\x00", 2);
	client_expect_err(c, 1047, "Unknown command");
	client_com(c, COM_SET_OPTION, "\x01", 1);
	client_expect_err(c, 1047, "Unknown command");
	client_com(c, COM_SET_OPTION, "\x00\x00", 2);
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[PKT_HDR] == 0xfe);
	client_com(c, COM_PROCESS_KILL, "\x01", 1);
	client_expect_err(c, 1043, "COM_PROCESS_KILL");
	client_com(c, COM_QUIT, NULL, 0);
	peer_expect_closed(c);
	c = client_login(CAPS_OLD);
	client_com(c, COM_SET_OPTION, "\x01\x00", 2);
	p = peer_packet(c, &len);
	cr_assert(p[PKT_HDR] == 0xfe && len == PKT_HDR + 5);
	rig_stop();
}

TEST_WORKER(commands_of_administration_pass)
{
	static const u8 passed[] = {COM_REFRESH, COM_DEBUG, COM_SHUTDOWN};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_OLD), *s = NULL;
	for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
		u8 buf[64];
		struct wr w = wr_init(buf, sizeof buf);

		client_com(c, passed[i], "\x00", 1);
		if (s == NULL)
			s = server_ready(0);
		server_expect(s, passed[i], "\x00", 1);
		/* as servers answer COM_DEBUG and COM_SHUTDOWN */
		pkt_ok_write(&w, 1, 0xfe, CAPS_NEW, &(struct pkt_ok){.status = ST_AUTOCOMMIT});
		peer_send(s, buf, w.len);
		w.len = 0;
		pkt_eof_write(&w, 1, 0, ST_AUTOCOMMIT);
		peer_expect(c, buf, w.len);
	}
	rig_stop();
}

TEST_WORKER(statistics_and_field_list)
{
	struct bytes b = {0}, want = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_OLD), *s;
	client_com(c, COM_STATISTICS, NULL, 0);
	s = server_ready(0);
	server_expect(s, COM_STATISTICS, NULL, 0);
	bytes_packet(&b, 1, "Uptime: 1", 9);
	peer_send(s, b.p, b.len);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
	client_com(c, COM_FIELD_LIST, "t\0", 2);
	server_expect(s, COM_FIELD_LIST, "t\0", 2);
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	pkt_column_write(&w, 1, "c", 253, 33, 10, 0, 0);
	size_t def = w.len;
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	pkt_ok_write(&w, 2, 0xfe, CAPS_NEW, &ok);
	peer_send(s, buf, w.len);
	w.len = def;
	pkt_eof_write(&w, 2, 0, ST_AUTOCOMMIT);
	peer_expect(c, buf, w.len);
	bytes_free(&want);
	rig_stop();
}

TEST_WORKER(two_commands_at_once)
{
	struct bytes both = {0}, rows = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;
	bytes_packet(&both, 0, "\x03SELECT 1 FROM t", 16);
	bytes_packet(&both, 0, "\x03SELECT 2 FROM t", 16);
	bytes_packet(&both, 0, "\x0e", 1);
	peer_send(c, both.p, both.len);
	s = server_ready(1);
	server_expect_query(s, "SELECT 1 FROM t");
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	server_expect_query(s, "SELECT 2 FROM t");
	peer_expect_silence(c);
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	client_expect_ok(c);
	/* the same, byte by byte */
	for (size_t i = 0; i < both.len; i++) {
		peer_send(c, both.p + i, 1);
		rig_run();
	}
	server_expect_query(s, "SELECT 1 FROM t");
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	server_expect_query(s, "SELECT 2 FROM t");
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	client_expect_ok(c);
	bytes_free(&both);
	bytes_free(&rows);
	rig_stop();
}

/* Far more commands than are read ahead: the rest waits in the kernel, all are answered. */
TEST_WORKER(many_commands_at_once)
{
	struct bytes many = {0}, rows = {0};
	char text[2000];

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = NULL;
	memset(text, 'x', sizeof text);
	memcpy(text, "\x03SELECT /*", 10);
	memcpy(text + sizeof text - 11, "*/ 1 FROM t", 11);
	for (int i = 0; i < 100; i++)
		bytes_packet(&many, 0, text, sizeof text);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(c, many.p, many.len);
	for (int i = 0; i < 100; i++) {
		if (s == NULL)
			s = server_ready(1);
		server_expect(s, COM_QUERY, text + 1, sizeof text - 1);
		cr_assert_leq(R.w.bytes_held, 3 * RBUF_SIZE, "%llu bytes held", (unsigned long long)R.w.bytes_held);
		peer_send(s, rows.p, rows.len);
		peer_expect(c, rows.p, rows.len);
	}
	bytes_free(&many);
	bytes_free(&rows);
	rig_stop();
}

/* ---- sizes ---- */

static void
big_statement(struct peer *c, size_t body, bool stream, bool slowly)
{
	u8 *text = malloc(body);
	struct bytes pkts = {0}, rows = {0};

	memset(text, ' ', body);
	memcpy(text, "\x03INSERT INTO t VALUES ('", 24);
	text[body - 2] = '\'';
	text[body - 1] = ')';
	bytes_packet(&pkts, 0, text, body);
	struct peer *s = NULL;
	size_t step = slowly ? 30011 : 150000; /* below what a socket takes */
	for (size_t at = 0; at < pkts.len; at += step) {
		peer_send(c, pkts.p + at, MIN(step, pkts.len - at));
		if (s == NULL && server_has_connect(0)) {
			s = server_ready(0);
			if (stream || body >= PKT_MAX_BODY) {
				/* the end was not looked at: it may ask for the id */
				server_expect_query(s, "SET last_insert_id=0");
				server_ok(s);
			}
		}
		rig_run();
	}
	cr_assert_not_null(s);
	peer_expect(s, pkts.p, pkts.len);
	cr_assert_eq(client_state(c), SESS_BUSY);
	if (stream)
		cr_assert_leq(R.w.bytes_held + R.w.chunks.in_use * CHUNK_SIZE, 4 << 20, "a stream is not kept whole");
	u8 okpkt[64];
	struct wr w = wr_init(okpkt, sizeof okpkt);
	struct pkt_ok ok = {.affected = 1, .status = ST_AUTOCOMMIT};
	pkt_ok_write(&w, (u8)(1 + body / PKT_MAX_BODY), 0, CAPS_NEW, &ok);
	peer_send(s, okpkt, w.len);
	peer_expect(c, okpkt, w.len);
	peer_expect_silence(c);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(client_sess(c)->pins, stream || body >= PKT_MAX_BODY ? 1u << PIN_LONG : 0);
	free(text);
	bytes_free(&pkts);
	bytes_free(&rows);
	peer_close(s);
	rig_run();
}

TEST_WORKER(statements_around_16_mib_kept_whole)
{
	static const size_t sizes[] = {PKT_MAX_BODY - 1, PKT_MAX_BODY, PKT_MAX_BODY + 1, 2 * PKT_MAX_BODY};
	struct rig_conf conf = {.margay = "statement_buffer = 64M"};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		rig_start(&conf);
		big_statement(client_login(CAPS_NEW), sizes[i], false, i % 2 == 0);
		rig_stop();
	}
}

TEST_WORKER(statements_around_16_mib_streamed)
{
	static const size_t sizes[] = {(1 << 20) - 4, (1 << 20) - 3, PKT_MAX_BODY - 1, PKT_MAX_BODY, PKT_MAX_BODY + 1,
	    2 * PKT_MAX_BODY, 2 * PKT_MAX_BODY + 1};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		rig_start(NULL);
		big_statement(client_login(CAPS_NEW), sizes[i], sizes[i] + PKT_HDR > 1 << 20, i % 2 == 0);
		rig_stop();
	}
}

/* The header of the second packet looks like a quote: what follows it is not the code that it seems to be. */
TEST_WORKER(packet_header_within_the_text)
{
	static const char tail[] = "', @x:=1, 'yyyyyyyyyyyyyyyyyyyyyyyyyyyy"; /* 39 bytes, as many as ' is in ASCII */
	struct rig_conf conf = {.margay = "statement_buffer = 64M"};
	size_t body = PKT_MAX_BODY + sizeof tail - 1 + 1;
	u8 *text = malloc(body);
	struct bytes pkts = {0};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	memset(text, 'x', body);
	memcpy(text, "\x03SELECT 'x", 10);
	memcpy(text + PKT_MAX_BODY, tail, sizeof tail - 1);
	text[body - 1] = '\'';
	bytes_packet(&pkts, 0, text, body - 1);
	cr_assert_eq(pkts.p[PKT_HDR + PKT_MAX_BODY], '\'');
	for (size_t at = 0; at < pkts.len; at += 150000) {
		peer_send(c, pkts.p + at, MIN(150000, pkts.len - at));
		rig_run();
	}
	cr_assert(!server_has_connect(1), "no read: its end is not known");
	struct peer *s = server_ready(0);
	server_expect_query(s, "SET last_insert_id=0");
	server_ok(s);
	peer_expect(s, pkts.p, pkts.len);
	u8 okpkt[64];
	struct wr w = wr_init(okpkt, sizeof okpkt);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	pkt_ok_write(&w, 2, 0, CAPS_NEW, &ok);
	peer_send(s, okpkt, w.len);
	peer_expect(c, okpkt, w.len);
	cr_assert(client_sess(c)->pins & 1u << PIN_LONG);
	free(text);
	bytes_free(&pkts);
	rig_stop();
}

TEST_WORKER(statement_too_long)
{
	struct rig_conf conf = {.margay = "max_packet_size = 100k\nstatement_buffer = 64k"};
	u8 *text = calloc(1, 200000);
	struct bytes pkts = {0};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	text[0] = COM_QUERY;
	bytes_packet(&pkts, 0, text, 200000);
	peer_send(c, pkts.p, pkts.len);
	client_expect_err(c, 1153, "max_packet_size");
	peer_expect_closed(c);
	free(text);
	bytes_free(&pkts);
	rig_stop();
}

/* A row of more than 16 MiB; its second packet begins with the byte of an end of rows, its third with that of an
 * error. */
static void
big_row(u32 caps)
{
	struct bytes head = {0}, from = {0}, to = {0};
	size_t len = 2 * PKT_MAX_BODY + 100, at = 0;
	u8 *row = malloc(len);

	struct peer *c = client_login(caps), *s = asked(c);
	memset(row, 'r', len);
	row[PKT_MAX_BODY] = 0xfe;
	row[2 * PKT_MAX_BODY] = 0xff;
	for (int old = 0; old < 2; old++) {
		u32 k = old ? caps : CAPS_NEW;
		struct bytes *b = old ? &to : &from;
		u8 seq = k & CAP_DEPRECATE_EOF ? 3 : 4, end[64];
		struct wr w = wr_init(end, sizeof end);
		struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

		bytes_free(&head);
		bytes_result(&head, 1, k, ST_AUTOCOMMIT, 0, 0);
		at = 0;
		for (int i = 0; i < (k & CAP_DEPRECATE_EOF ? 2 : 3); i++)
			at += PKT_HDR + rd24(head.p + at);
		bytes_add(b, head.p, at);
		bytes_packet(b, seq, row, len);
		if (k & CAP_DEPRECATE_EOF)
			pkt_ok_write(&w, (u8)(seq + 3), 0xfe, k, &ok);
		else
			pkt_eof_write(&w, (u8)(seq + 3), 0, ST_AUTOCOMMIT);
		bytes_add(b, end, w.len);
	}
	for (at = 0; at < from.len; at += 1000003) {
		peer_send(s, from.p + at, MIN(1000003, from.len - at));
		(void)peer_pending(c);
	}
	peer_expect(c, to.p, to.len);
	peer_expect_silence(c);
	free(row);
	bytes_free(&head);
	bytes_free(&from);
	bytes_free(&to);
}

TEST_WORKER(rows_of_several_packets)
{
	rig_start(NULL);
	big_row(CAPS_NEW);
	rig_stop();
	rig_start(NULL);
	big_row(CAPS_OLD);
	rig_stop();
}

/* ---- a client that does not read ---- */

TEST_WORKER(slow_client_holds_its_server)
{
	struct bytes rows = {0};
	int fds[2], small = 8192;
	size_t sent = 0;

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = asked(c);
	(void)fds;
	cr_assert_eq(setsockopt(client_sess(c)->conn.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 20000);
	/* the server sends as much as the worker takes; nobody reads */
	struct bytes much = {0};
	for (int i = 0; i < 20; i++)
		bytes_add(&much, rows.p, rows.len);
	for (int idle = 0; idle < 3;) {
		ssize_t n = send(s->fd, much.p + sent, much.len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0 && sent < rows.len)
			sent += (size_t)n;
		idle = n > 0 ? 0 : idle + 1;
		if (sent >= rows.len)
			break;
		rig_run();
	}
	cr_assert_lt(R.w.chunks.in_use * CHUNK_SIZE, 128 * 1024 + RBUF_SIZE + 2 * CHUNK_SIZE, "%llu chunks",
	    (unsigned long long)R.w.chunks.in_use);
	cr_assert(client_sess(c)->b == NULL || client_sess(c)->b->conn.paused);
	cr_assert_gt(rig_counter("paused_reads"), 0);
	bytes_free(&much);
	bytes_free(&rows);
	peer_close(c);
	rig_run();
	peer_close(s);
	rig_stop();
}
