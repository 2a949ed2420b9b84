/* t/unit/test_worker_long.c: commands about prepared statements that are longer than statement_buffer: passed on as they
 * come; refused, and the session goes on.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

static const struct rig_conf small = {.margay = "statement_buffer = 64k"};
static const char ins[] = "INSERT INTO t VALUES (?)";

/* All of a command in pieces; *s: the server to let in when it is asked, NULL: none. */
static void
send_long(struct peer *c, const u8 *body, size_t len, struct peer **s)
{
	struct bytes pkts = {0};

	bytes_packet(&pkts, 0, body, len);
	for (size_t at = 0; at < pkts.len; at += 50000) {
		peer_send(c, pkts.p + at, MIN((size_t)50000, pkts.len - at));
		rig_run();
		if (s != NULL && *s == NULL && server_has_connect(0))
			*s = server_ready(0);
		if (s != NULL && *s != NULL)
			(void)peer_pending(*s);
	}
	bytes_free(&pkts);
}

static void
expect_long(struct peer *s, const u8 *body, size_t len)
{
	struct bytes pkts = {0};

	bytes_packet(&pkts, 0, body, len);
	peer_expect(s, pkts.p, pkts.len);
	bytes_free(&pkts);
}

static void
answer_prepare(struct peer *s, u32 id, u16 nparams, struct peer *c)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_prepare_ok ok = {.id = id, .nparams = nparams};

	pkt_prepare_ok_write(&w, 1, &ok);
	for (u16 i = 0; i < nparams; i++)
		pkt_column_write(&w, (u8)(2 + i), "?", 253, 63, 0, 0, 0);
	peer_send(s, buf, w.len);
	if (c != NULL) {
		wr32(buf + PKT_HDR + 1, 1);
		peer_expect(c, buf, w.len);
	}
}

static struct peer *
prepare(struct peer *c)
{
	client_com(c, COM_STMT_PREPARE, ins, sizeof ins - 1);
	struct peer *s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, ins, sizeof ins - 1);
	answer_prepare(s, 77, 1, c);
	return s;
}

/* EXECUTE with one string of about 300,000 bytes. */
static u8 *
long_execute(u32 id, bool types, size_t *len_r)
{
	u8 *p = calloc(1, 300100);
	struct wr w = wr_init(p, 300100);

	wr_u8(&w, COM_STMT_EXECUTE);
	wr_u32(&w, id);
	wr_u8(&w, 0);
	wr_u32(&w, 1);
	wr_u8(&w, 0);
	wr_u8(&w, types);
	if (types)
		wr_u16(&w, 254);
	wr_lenenc(&w, 300000);
	*len_r = w.len + 300000;
	return p;
}

TEST_WORKER(long_execute_is_streamed)
{
	size_t len;

	rig_start(&small);
	struct peer *c = client_login(CAPS_NEW), *s = prepare(c);
	u8 *p = long_execute(1, true, &len);

	send_long(c, p, 200000, &s); /* not all of it yet: a packet that says it is shorter is another one */
	wr32(p + 1, 77);
	expect_long(s, p, 200000);
	server_err(s, 1064, "cut");
	client_expect_err(c, 1064, "cut");
	wr32(p + 1, 1);
	send_long(c, p, len, &s);
	wr32(p + 1, 77);
	expect_long(s, p, len);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(client_sess(c)->pins, 0, "nothing of it is left on the connection");
	free(p);
	/* types left out: read whole, and put in where they are not known */
	p = long_execute(1, false, &len);
	send_long(c, p, len, &s);
	wr32(p + 1, 77);
	expect_long(s, p, len);
	server_ok(s);
	client_expect_ok(c);
	free(p);
	rig_stop();
}

TEST_WORKER(long_execute_of_an_unknown_statement)
{
	size_t len;

	rig_start(&small);
	struct peer *c = client_login(CAPS_NEW), *s = prepare(c);
	u8 *p = long_execute(9, true, &len);

	send_long(c, p, len, NULL);
	client_expect_err(c, 1243, "mysqld_stmt_execute");
	cr_assert_eq(client_state(c), SESS_READY);
	client_query(c, "DELETE FROM u");
	server_expect_query(s, "DELETE FROM u");
	server_ok(s);
	client_expect_ok(c);
	free(p);
	rig_stop();
}

TEST_WORKER(long_data_is_streamed)
{
	u8 *p = calloc(1, 300000);

	rig_start(&small);
	struct peer *c = client_login(CAPS_NEW), *s = prepare(c);
	p[0] = COM_STMT_SEND_LONG_DATA;
	wr32(p + 1, 1);
	for (int i = 0; i < 2; i++) {
		send_long(c, p, 300000, &s);
		cr_assert_eq(client_state(c), SESS_READY);
		cr_assert_neq(client_sess(c)->pins & 1u << PIN_LONG_DATA, 0);
		wr32(p + 1, 77);
		expect_long(s, p, 300000);
		wr32(p + 1, 1);
	}
	client_query(c, "DELETE FROM u");
	server_expect_query(s, "DELETE FROM u");
	server_ok(s);
	client_expect_ok(c);
	free(p);
	rig_stop();
}

/* It has no reply: that it came to nothing is told when it is executed. */
TEST_WORKER(long_data_without_a_server)
{
	struct rig_conf conf = {.margay = "statement_buffer = 64k", .cluster = "failover_timeout = 0"};
	u8 *p = calloc(1, 300000), body[9] = {1};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s = prepare(c);
	server_gone(s);
	rig_primary(-1);
	p[0] = COM_STMT_SEND_LONG_DATA;
	wr32(p + 1, 1);
	send_long(c, p, 300000, NULL);
	cr_assert_eq(client_state(c), SESS_READY);
	wr32(body, 1);
	body[5] = 1;
	client_com(c, COM_STMT_EXECUTE, body, 9);
	client_expect_err(c, 1158, "data sent for statement 1 before");
	free(p);
	rig_stop();
}

TEST_WORKER(server_dies_in_the_middle_of_long_data)
{
	u8 *p = calloc(1, 300000);
	struct bytes pkts = {0};

	rig_start(&small);
	struct peer *c = client_login(CAPS_NEW), *s = prepare(c);
	p[0] = COM_STMT_SEND_LONG_DATA;
	wr32(p + 1, 1);
	bytes_packet(&pkts, 0, p, 300000);
	peer_send(c, pkts.p, 100000);
	rig_run();
	(void)peer_pending(s);
	server_gone(s);
	/* data of before may be lost with it: the session cannot go on */
	client_expect_err(c, 1158, "");
	free(p);
	bytes_free(&pkts);
	rig_stop();
}

/* Its text is not kept, nor does it fit one packet: the connection that has it is the session's from then on. */
TEST_WORKER(prepare_of_several_packets)
{
	size_t len = PKT_MAX_BODY + 10;
	u8 *text = malloc(len), body[9] = {0};
	static const struct rig_conf conf[2] = {{.margay = "statement_buffer = 64M"}, {.margay = "statement_buffer = 64k"}};

	memset(text, ' ', len);
	memcpy(text, "\x16SELECT 1", 9);
	for (u32 k = 0; k < 4; k++) {
		struct peer *s = NULL;
		struct bytes pkts = {0};

		rig_start(&conf[k % 2]);
		struct peer *c = client_login(CAPS_NEW);
		size_t n = k < 2 ? len : PKT_MAX_BODY;
		send_long(c, text, n, &s);
		cr_assert_not_null(s);
		bytes_packet(&pkts, 0, text, n);
		peer_expect(s, pkts.p, pkts.len);
		bytes_free(&pkts);
		u8 ok[12] = {0, 77};
		bytes_packet(&pkts, 2, ok, 12);
		peer_send(s, pkts.p, pkts.len);
		wr32(pkts.p + PKT_HDR + 1, 1);
		peer_expect(c, pkts.p, pkts.len);
		bytes_free(&pkts);
		cr_assert_neq(client_sess(c)->pins & 1u << PIN_LONG, 0);
		wr32(body, 1);
		body[5] = 1;
		client_com(c, COM_STMT_EXECUTE, body, 9);
		wr32(body, 77);
		server_expect_query(s, "SET last_insert_id=0"); /* nobody knows what it asks for */
		server_ok(s);
		server_expect(s, COM_STMT_EXECUTE, body, 9);
		server_ok(s);
		client_expect_ok(c);
		client_com(c, COM_RESET_CONNECTION, NULL, 0);
		client_expect_ok(c);
		server_expect_reset(s);
		wr32(body, 1);
		client_com(c, COM_STMT_EXECUTE, body, 9);
		client_expect_err(c, 1243, "");
		rig_stop();
	}
	free(text);
}
