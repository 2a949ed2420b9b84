/* t/unit/test_worker_multi.c: texts of several statements that are run one by one, by script: where each goes, what the client
 * gets, and every way in which they may end. t/sys/test_multi.py compares with servers.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

#define MORE (ST_AUTOCOMMIT | ST_MORE_RESULTS)
#define READ_A "SELECT a FROM t"
#define READ_B "SELECT b FROM t"
#define WRITE  "UPDATE t SET a=1"

static const struct pkt_ok one_row = {.affected = 1, .status = ST_AUTOCOMMIT, .info = {(const u8 *)"changed", 7}};

/* A result of n rows for the client, numbered from seq on; returns the next number. */
static u8
gets_rows(struct peer *c, u8 seq, u16 status, u32 n)
{
	struct bytes b = {0};

	bytes_result(&b, seq, c->caps, status, 0, n);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
	return (u8)(seq + 3 + n + ((c->caps & CAP_DEPRECATE_EOF) == 0));
}

static u8
gets_ok(struct peer *c, u8 seq, u16 status)
{
	struct bytes b = {0};
	struct pkt_ok ok = one_row;

	ok.status = status;
	bytes_ok(&b, seq, c->caps, &ok);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
	return (u8)(seq + 1);
}

static void
gets_err(struct peer *c, u8 seq, u16 code, const char *part)
{
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert_eq(p[3], seq, "packet %u, wanted %u", p[3], seq);
	cr_assert_eq(p[PKT_HDR], 0xff);
	cr_assert_eq(rd16(p + PKT_HDR + 1), code, "%.*s", (int)len - PKT_HDR, p + PKT_HDR);
	cr_assert(memmem(p, len, part, strlen(part)) != NULL, "%.*s", (int)len - PKT_HDR, p + PKT_HDR);
}

/* A result of n rows from the server, in pieces of at most `piece` bytes. */
static void
gives_rows(struct peer *s, u32 n, size_t piece)
{
	struct bytes b = {0};

	bytes_result(&b, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, n);
	for (size_t at = 0; at < b.len; at += piece) {
		peer_send(s, b.p + at, MIN(piece, b.len - at));
		rig_run();
	}
	bytes_free(&b);
}

static struct peer *
begins(const struct rig_conf *conf, u32 caps, const char *text)
{
	rig_start(conf);
	struct peer *c = client_login(caps);

	client_query(c, text);
	return c;
}

/* Client and server leave in the middle. */
static void
left(struct peer *c, struct peer *s)
{
	if (c != NULL)
		peer_close(c);
	rig_run();
	if (s != NULL)
		peer_close(s);
	rig_run();
	cr_assert_eq(R.w.bytes_held, 0);
	rig_stop();
}

/* The number of the last packet. */
static u8
last_number(const struct bytes *b)
{
	size_t at = 0, last = 0;

	while (at < b->len) {
		last = at;
		at += PKT_HDR + rd24(b->p + at);
	}
	return b->p[last + 3];
}

static void
ends(struct peer *c)
{
	cr_assert_null(client_sess(c)->multi);
	cr_assert_eq(client_state(c), SESS_READY);
	peer_expect_silence(c);
	peer_close(c);
	rig_run();
	cr_assert_eq(R.w.bytes_held, 0);
	rig_stop();
}

TEST_WORKER(multi_each_where_it_belongs)
{
	static const u32 caps[] = {CAPS_NEW, CAPS_OLD, CAPS_OLD | CAP_DEPRECATE_EOF, CAPS_OLD | CAP_SESSION_TRACK};

	for (u32 i = 0; i < 2 * ARRAY_LEN(caps); i++) {
		size_t piece = i % 2 ? 1 : SIZE_MAX / 2;
		struct peer *c = begins(NULL, caps[i / 2], " " READ_A ";" WRITE " ;\n" READ_B "; ");
		struct peer *r = server_ready(1), *p;

		server_expect_query(r, READ_A);
		gives_rows(r, 20, piece);
		u8 seq = gets_rows(c, 1, MORE, 20);
		p = server_ready(0);
		server_expect_query(p, WRITE " ");
		server_ok_full(p, &one_row);
		seq = gets_ok(c, seq, MORE);
		/* a write without a GTID: only the primary is sure to have it */
		server_expect_query(p, READ_B);
		gives_rows(p, 0, piece);
		gets_rows(c, seq, ST_AUTOCOMMIT, 0);
		cr_assert_eq(rig_counter("texts_cut"), 1);
		cr_assert_eq(rig_counter("statements"), 3);
		cr_assert_eq(rig_counter("reads_replica"), 1);
		ends(c);
	}
}

/* What is not cut, as a session that may go anywhere, or by what it is. */
TEST_WORKER(multi_goes_whole)
{
	static const char *const texts[] = {WRITE ";" WRITE, WRITE ";" READ_A, READ_A ";;" READ_B, READ_A "; SET @a=1", READ_A "; CALL p()", READ_A " FOR UPDATE;" READ_B,
	    READ_A "; SELECT @a", READ_A "; /* margay: replica */ " READ_B, READ_A "; INSERT INTO t VALUES (1) RETURNING a", "BEGIN;" READ_A ";COMMIT",
	    READ_A "; SELECT LAST_INSERT_ID()", READ_A "; SHOW WARNINGS", READ_A "; LOAD DATA LOCAL INFILE 'x' INTO TABLE t", READ_A "; CREATE TABLE u (a INT)"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct peer *c = begins(NULL, CAPS_NEW, texts[i]);

		struct peer *p = server_ready(0);
		cr_assert_eq(rig_counter("texts_cut"), 0, "%s", texts[i]);
		left(c, p);
	}
	static const struct rig_conf confs[] = {{.user = "read_split = no"}, {.cluster = "read_policy = primary"}, {.servers = 1}};
	for (size_t i = 0; i < ARRAY_LEN(confs); i++) {
		struct peer *c = begins(&confs[i], CAPS_NEW, READ_A ";" READ_B);

		struct peer *p = server_ready(0);
		server_expect_query(p, READ_A ";" READ_B);
		cr_assert_eq(rig_counter("texts_cut"), 0, "%zu", i);
		left(c, p);
	}
	struct peer *c = begins(NULL, CAPS_NEW & ~CAP_MULTI_STATEMENTS, READ_A ";" READ_B);
	struct peer *p = server_ready(0);
	server_expect_query(p, READ_A ";" READ_B);
	left(c, p);
}

TEST_WORKER(multi_in_a_transaction_goes_whole)
{
	struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *p = rig_write_full(c, "BEGIN", NULL, &trx);

	client_query(c, READ_A ";" READ_B);
	server_expect_query(p, READ_A ";" READ_B);
	left(c, p);
}

/* An error ends the text: what is behind it does not run. */
TEST_WORKER(multi_ends_with_an_error)
{
	struct peer *c = begins(NULL, CAPS_OLD, READ_A ";" WRITE ";" READ_B);
	struct peer *r = server_ready(1), *p;

	server_expect_query(r, READ_A);
	gives_rows(r, 1, 1000);
	u8 seq = gets_rows(c, 1, MORE, 1);
	p = server_ready(0);
	server_expect_query(p, WRITE);
	server_err(p, 1062, "Duplicate entry");
	gets_err(c, seq, 1062, "Duplicate");
	peer_expect_silence(p);
	peer_expect_silence(r);
	ends(c);
}

/* The server shows what it does not understand with all that follows: it is asked for that. */
TEST_WORKER(multi_not_understood)
{
	for (int last = 0; last < 2; last++) {
		struct peer *c = begins(NULL, CAPS_NEW, last ? READ_A ";" WRITE " LIMIT 1" : READ_A ";" WRITE " LIMIT 1;" READ_B ";");
		struct peer *r = server_ready(1), *p;

		server_expect_query(r, READ_A);
		gives_rows(r, 1, 1000);
		u8 seq = gets_rows(c, 1, MORE, 1);
		p = server_ready(0);
		server_expect_query(p, WRITE " LIMIT 1");
		server_err(p, 1064, "near 'x'");
		if (!last) {
			server_expect_query(p, WRITE " LIMIT 1;" READ_B ";");
			server_err(p, 1064, "near 'x;" READ_B "'");
		}
		gets_err(c, seq, 1064, last ? "near 'x'" : "near 'x;SELECT");
		ends(c);
	}
}

/* ... and if it does understand that, it has the last word about where statements end. */
TEST_WORKER(multi_cut_otherwise_by_the_server)
{
	struct bytes b = {0};
	struct peer *c = begins(NULL, CAPS_NEW, READ_A ";" WRITE ";" READ_A ";" READ_B);
	struct peer *r = server_ready(1), *p;

	server_expect_query(r, READ_A);
	gives_rows(r, 1, 1000);
	u8 seq = gets_rows(c, 1, MORE, 1);
	p = server_ready(0);
	server_expect_query(p, WRITE);
	server_err(p, 1064, "what?");
	server_expect_query(p, WRITE ";" READ_A ";" READ_B);
	struct pkt_ok ok = one_row;
	ok.status = MORE;
	bytes_ok(&b, 1, CAPS_NEW, &ok);
	bytes_result(&b, 2, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(p, b.p, b.len);
	bytes_free(&b);
	gets_rows(c, gets_ok(c, seq, MORE), ST_AUTOCOMMIT, 1);
	ends(c);
}

#define BOTH READ_A ";" READ_B

/* The results of BOTH, as a server sends them to somebody who sent both: of the second no more than `n` bytes; its number. */
static u8
gives_both(struct peer *s, size_t n, u8 *next_r)
{
	struct bytes b = {0};
	u8 seq;

	bytes_result(&b, 1, CAPS_NEW, MORE, 0, 2);
	seq = last_number(&b);
	size_t first = b.len;
	bytes_result(&b, (u8)(seq + 1), CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(s, b.p, MIN(b.len, first + n));
	bytes_free(&b);
	rig_run();
	*next_r = (u8)(seq + 1);
	return seq;
}

/* Reads in a row go together, and count each. */
TEST_WORKER(multi_reads_in_a_row)
{
	static const u32 caps[] = {CAPS_NEW, CAPS_OLD};
	u8 next;

	for (u32 i = 0; i < ARRAY_LEN(caps); i++) {
		struct peer *c = begins(NULL, caps[i], BOTH ";" WRITE);
		struct peer *r = server_ready(1), *p;

		server_expect_query(r, BOTH);
		gives_both(r, SIZE_MAX / 2, &next);
		u8 seq = gets_rows(c, gets_rows(c, 1, MORE, 2), MORE, 1);
		p = server_ready(0);
		server_expect_query(p, WRITE);
		server_ok_full(p, &one_row);
		gets_ok(c, seq, ST_AUTOCOMMIT);
		cr_assert_eq(rig_counter("statements"), 3);
		cr_assert_eq(rig_counter("reads_replica"), 2);
		ends(c);
	}
}

/* A replica's error may come from its being behind: the primary has the last word, of each part. */
TEST_WORKER(multi_error_of_a_replica)
{
	for (int apart = 0; apart < 2; apart++) {
		struct bytes b = {0};
		u8 err[] = "\x0c\x00\x00\x06\xff\x7a\x04#42S02gone";
		struct peer *c = begins(NULL, apart ? CAPS_OLD : CAPS_NEW, BOTH);
		struct peer *r = server_ready(1);

		server_expect_query(r, BOTH);
		bytes_result(&b, 1, CAPS_NEW, MORE, 0, 2);
		err[0] = sizeof err - 1 - PKT_HDR;
		err[3] = (u8)(last_number(&b) + 1);
		if (apart) {
			peer_send(r, b.p, b.len);
			rig_run();
			b.len = 0;
		}
		bytes_add(&b, err, sizeof err - 1);
		peer_send(r, b.p, b.len);
		bytes_free(&b);
		struct peer *p = server_ready(0);
		server_expect_query(p, READ_B);
		gives_rows(p, 1, 1000);
		gets_rows(c, gets_rows(c, 1, MORE, 2), ST_AUTOCOMMIT, 1);
		ends(c);
	}
}

/* The server is lost while both run there: nothing has come, the first result, or some of the second too. */
TEST_WORKER(multi_server_lost)
{
	for (int some = 0; some < 3; some++) {
		struct peer *c = begins(NULL, CAPS_NEW, BOTH);
		struct peer *r = server_ready(1);
		u8 seq = 1, next = 1;

		server_expect_query(r, BOTH);
		if (some > 0) {
			gives_both(r, some == 1 ? 0 : 5, &next);
			seq = gets_rows(c, 1, MORE, 2);
		}
		server_gone(r);
		rig_run();
		if (some == 2) {
			cr_assert_eq(peer_pending(c), 5);
			peer_skip(c, 5);
			peer_expect_closed(c);
			rig_stop();
			continue;
		}
		struct peer *p = server_ready(0);
		server_expect_query(p, some == 0 ? BOTH : READ_B);
		if (some == 0) {
			gives_both(p, SIZE_MAX / 2, &next);
			seq = gets_rows(c, 1, MORE, 2);
		} else {
			gives_rows(p, 1, 1000);
		}
		gets_rows(c, seq, ST_AUTOCOMMIT, 1);
		ends(c);
	}
}

TEST_WORKER(multi_write_lost)
{
	struct peer *c = begins(NULL, CAPS_NEW, READ_A ";" WRITE ";" READ_B);
	struct peer *r = server_ready(1);

	server_expect_query(r, READ_A);
	gives_rows(r, 1, 1000);
	u8 seq = gets_rows(c, 1, MORE, 1);
	struct peer *p = server_ready(0);
	server_expect_query(p, WRITE);
	server_gone(p);
	rig_run();
	gets_err(c, seq, 1158, "whether the statement was carried out is not known");
	ends(c);
}

/* The next part waits for a connection, in vain, or is killed there. */
TEST_WORKER(multi_waits)
{
	for (int how = 0; how < 4; how++) {
		struct rig_conf conf = {.margay = "queue_timeout = 1s", .server = "pool_size = 1\npool_grow_delay = 1h"};
		struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS}, end = {.status = ST_AUTOCOMMIT};

		rig_start(&conf);
		struct peer *d = client_login(CAPS_NEW), *c = client_login(CAPS_NEW);
		struct peer *p = rig_write_full(d, "BEGIN", NULL, &trx);

		client_query(c, READ_A ";" WRITE ";" READ_B);
		struct peer *r = server_ready(1);
		server_expect_query(r, READ_A);
		gives_rows(r, 1, 1000);
		u8 seq = gets_rows(c, 1, MORE, 1);
		cr_assert_eq(client_state(c), SESS_WAIT);
		if (how == 0) {
			rig_pass(1500);
			gets_err(c, seq, 1205, "queue_timeout");
		} else if (how == 1) {
			local_kill_session(&R.w, client_sess(c)->id, true, 0);
			gets_err(c, seq, 1317, "KILL QUERY");
		} else if (how == 2) {
			local_kill_session(&R.w, client_sess(c)->id, false, 0);
			gets_err(c, seq, 1927, "KILL");
			peer_expect_closed(c);
		} else {
			rig_write_full(d, "COMMIT", p, &end);
			server_expect_query(p, WRITE);
			server_ok_full(p, &one_row);
			seq = gets_ok(c, seq, MORE);
			server_expect_query(p, READ_B);
			gives_rows(p, 1, 1000);
			gets_rows(c, seq, ST_AUTOCOMMIT, 1);
		}
		if (how != 2)
			cr_assert_null(client_sess(c)->multi);
		peer_close(c);
		peer_close(d);
		rig_run();
		rig_stop();
	}
}

/* Killed, but its statement had come to its end by then: the kill holds for those behind it. */
TEST_WORKER(multi_killed_too_late)
{
	struct peer *c = begins(NULL, CAPS_NEW, READ_A ";" WRITE);
	struct peer *r = server_ready(1);

	server_expect_query(r, READ_A);
	local_kill_session(&R.w, client_sess(c)->id, true, 0);
	gives_rows(r, 1, 1000);
	gets_err(c, gets_rows(c, 1, MORE, 1), 1317, "KILL QUERY");
	cr_assert(!server_has_connect(0), "the write does not run");
	cr_assert_null(client_sess(c)->multi);
	peer_close(c);
	rig_run();
	rig_stop();
}

/* Its client leaves, at each of its states. */
TEST_WORKER(multi_client_leaves)
{
	for (int at = 0; at < 4; at++) {
		struct peer *c = begins(NULL, CAPS_NEW, READ_A ";" WRITE ";" READ_B);
		struct peer *r = server_ready(1), *p = NULL;

		server_expect_query(r, READ_A);
		if (at > 0)
			gives_rows(r, 1, 1000);
		if (at > 1) {
			p = server_ready(0);
			server_expect_query(p, WRITE);
		}
		if (at > 2)
			server_ok_full(p, &one_row);
		peer_close(c);
		rig_run();
		peer_close(at > 1 ? p : r);
		left(NULL, at > 1 ? r : NULL);
	}
}

/* Commands behind it wait until all of it is done. */
TEST_WORKER(multi_and_commands_behind_it)
{
	struct bytes b = {0};
	struct peer *c;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	bytes_packet(&b, 0, "\x03" READ_A ";" READ_B, 1 + strlen(READ_A ";" READ_B));
	bytes_packet(&b, 0, "\x03SELECT c FROM t", 16);
	peer_send(c, b.p, b.len);
	bytes_free(&b);
	struct peer *r = server_ready(1);
	server_expect_query(r, BOTH);
	peer_expect_silence(r);
	u8 next;
	gives_both(r, SIZE_MAX / 2, &next);
	gets_rows(c, gets_rows(c, 1, MORE, 2), ST_AUTOCOMMIT, 1);
	server_expect_query(r, "SELECT c FROM t");
	gives_rows(r, 1, 1000);
	gets_rows(c, 1, ST_AUTOCOMMIT, 1);
	ends(c);
}

/* What it asks for is of its own statements: nobody need keep a connection for it. */
TEST_WORKER(multi_asks_for_its_own)
{
	static const char *const own[] = {WRITE "; SELECT ROW_COUNT()", "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1; SELECT FOUND_ROWS()",
	    READ_A "; SHOW WARNINGS"};
	static const char *const others[] = {"SELECT ROW_COUNT();" WRITE, WRITE "; SELECT a FROM t WHERE FOUND_ROWS() = 1", "SELECT FOUND_ROWS(); SELECT 1"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		struct peer *c = begins(NULL, CAPS_NEW, own[i]);

		struct peer *p = server_ready(0);
		server_expect_query(p, own[i]);
		left(c, p);
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct peer *c = begins(NULL, CAPS_NEW, others[i]);

		client_expect_err(c, 1235, "keeps its connection");
		ends(c);
	}
}
