/* t/unit/test_worker_ps.c: prepared statements: the client's ids and the connections', types that a connection has not
 * seen, long data, cursors.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

static const char sql[] = "SELECT c FROM t WHERE id=?";

/* PREPARE's reply with these numbers of parameters and columns, as a server sends it to somebody with these caps. */
static void
bytes_prepared(struct bytes *b, u32 id, u16 nparams, u16 ncols, u32 caps)
{
	u8 buf[4096];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_prepare_ok ok = {.id = id, .nparams = nparams, .ncols = ncols};
	u8 seq = 1;

	pkt_prepare_ok_write(&w, seq++, &ok);
	for (int k = 0; k < 2; k++) {
		u16 n = k == 0 ? nparams : ncols;

		for (u16 i = 0; i < n; i++)
			pkt_column_write(&w, seq++, "?", 253, 63, 0, 0, 0);
		if (n > 0 && (caps & CAP_DEPRECATE_EOF) == 0)
			pkt_eof_write(&w, seq++, 0, ST_AUTOCOMMIT);
	}
	cr_assert(!w.bad);
	bytes_add(b, buf, w.len);
}

static u32
prepare(struct peer *c, const char *text, struct peer **s, u32 server, u32 server_id, u16 nparams)
{
	struct bytes from = {0}, to = {0};

	client_com(c, COM_STMT_PREPARE, text, strlen(text));
	if (*s == NULL)
		*s = server_ready(server);
	server_expect(*s, COM_STMT_PREPARE, text, strlen(text));
	bytes_prepared(&from, server_id, nparams, 1, CAPS_NEW);
	peer_send(*s, from.p, from.len);
	(void)peer_pending(c);
	u32 id = rd32(c->in + c->at + PKT_HDR + 1);
	bytes_prepared(&to, id, nparams, 1, c->caps);
	peer_expect(c, to.p, to.len);
	bytes_free(&from);
	bytes_free(&to);
	return id;
}

/* EXECUTE of one BIGINT; types: with its type. */
static size_t
execute_body(u8 *p, u32 id, bool types, u64 value, u8 flags)
{
	struct wr w = wr_init(p, 64);

	wr_u32(&w, id);
	wr_u8(&w, flags);
	wr_u32(&w, 1);
	wr_u8(&w, 0); /* null map */
	wr_u8(&w, types ? 1 : 0);
	if (types)
		wr_u16(&w, 8);
	wr_u64(&w, value);
	return w.len;
}

static void
execute(struct peer *c, u32 id, bool types, u64 value)
{
	u8 body[64];
	size_t n = execute_body(body, id, types, value, 0);

	client_com(c, COM_STMT_EXECUTE, body, n);
}

static void
expect_execute(struct peer *s, u32 id, bool types, u64 value)
{
	u8 body[64];
	size_t n = execute_body(body, id, types, value, 0);

	server_expect(s, COM_STMT_EXECUTE, body, n);
}

/* PREPARE made again by the worker. */
static void
answer_prepare(struct peer *s, u32 id, u16 nparams)
{
	struct bytes b = {0};

	server_expect(s, COM_STMT_PREPARE, sql, sizeof sql - 1);
	bytes_prepared(&b, id, nparams, 1, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
}

TEST_WORKER(prepare_and_execute)
{
	for (u32 old = 0; old < 2; old++) {
		struct peer *c, *s = NULL;

		rig_start(NULL);
		c = client_login(old ? CAPS_OLD : CAPS_NEW);
		u32 id = prepare(c, sql, &s, 1, 77, 1);
		cr_assert_eq(R.w.srv[1].nidle, 1, "a prepared statement pins nothing");
		execute(c, id, true, 5);
		expect_execute(s, 77, true, 5);
		server_row_for(s, c, ST_AUTOCOMMIT, 0);
		/* a second time the client leaves the types out, and this connection knows them */
		execute(c, id, false, 6);
		expect_execute(s, 77, false, 6);
		server_row_for(s, c, ST_AUTOCOMMIT, 0);
		/* closed for one client, the connection keeps its copy for another; closed for all, it closes it too */
		struct peer *d = client_login(old ? CAPS_OLD : CAPS_NEW);
		u32 other = prepare(d, sql, &s, 1, 79, 1);
		u8 body[4];
		wr32(body, 77);
		server_expect(s, COM_STMT_CLOSE, body, 4); /* one copy is enough */
		wr32(body, id);
		client_com(c, COM_STMT_CLOSE, body, 4);
		peer_expect_silence(s);
		wr32(body, other);
		client_com(d, COM_STMT_CLOSE, body, 4);
		wr32(body, 79);
		server_expect(s, COM_STMT_CLOSE, body, 4);
		execute(c, id, false, 6);
		client_expect_err(c, 1243, "Unknown prepared statement handler");
		rig_stop();
	}
}

TEST_WORKER(execute_where_it_was_not_prepared)
{
	struct peer *c, *d, *s = NULL, *s2;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	d = client_login(CAPS_NEW);
	u32 id = prepare(c, sql, &s, 1, 77, 1);
	execute(c, id, true, 5);
	expect_execute(s, 77, true, 5);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	/* the connection is busy with another client */
	client_query(d, "SELECT 1 FROM u");
	server_expect_query(s, "SELECT 1 FROM u");
	execute(c, id, false, 6);
	s2 = server_ready(1);
	answer_prepare(s2, 12, 1);
	expect_execute(s2, 12, true, 6); /* with the types that only the other one has seen */
	server_row_for(s2, c, ST_AUTOCOMMIT, 0);
	execute(c, id, false, 7);
	expect_execute(s2, 12, false, 7);
	server_row_for(s2, c, ST_AUTOCOMMIT, 0);
	server_row_for(s, d, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("prepares_again"), 1);
	rig_stop();
}

/* Two clients bind other types to the same text on one connection. */
TEST_WORKER(types_of_another_client_are_not_used)
{
	struct peer *c, *d, *s = NULL;
	u8 body[64];

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	d = client_login(CAPS_NEW);
	u32 ic = prepare(c, sql, &s, 1, 77, 1);
	client_com(d, COM_STMT_PREPARE, sql, sizeof sql - 1);
	server_expect(s, COM_STMT_PREPARE, sql, sizeof sql - 1);
	struct bytes b = {0};
	bytes_prepared(&b, 78, 1, 1, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	bytes_prepared(&b, 1, 1, 1, CAPS_NEW);
	peer_expect(d, b.p, b.len);
	bytes_free(&b);
	/* the connection's first copy is closed: one is enough */
	u8 id[4];
	wr32(id, 77);
	server_expect(s, COM_STMT_CLOSE, id, 4);
	execute(c, ic, true, 5);
	expect_execute(s, 78, true, 5);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	size_t n = execute_body(body, 1, true, 9, 0);
	body[11] = 6; /* another type */
	client_com(d, COM_STMT_EXECUTE, body, n);
	wr32(body, 78);
	server_expect(s, COM_STMT_EXECUTE, body, n);
	server_row_for(s, d, ST_AUTOCOMMIT, 0);
	execute(c, ic, false, 6);
	expect_execute(s, 78, true, 6);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	rig_stop();
}

TEST_WORKER(table_of_a_prepared_statement_is_gone)
{
	struct peer *c, *s = NULL, *p;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	u32 id = prepare(c, sql, &s, 1, 77, 1);
	server_gone(s);
	execute(c, id, true, 5);
	s = server_ready(1);
	server_expect(s, COM_STMT_PREPARE, sql, sizeof sql - 1);
	server_err(s, 1146, "Table 't' doesn't exist");
	if (server_has_connect(0)) {
		p = server_ready(0);
		server_expect(p, COM_STMT_PREPARE, sql, sizeof sql - 1);
		server_err(p, 1146, "Table 't' doesn't exist");
	}
	client_expect_err(c, 1146, "doesn't exist");
	cr_assert_eq(client_state(c), SESS_READY);
	rig_stop();
}

TEST_WORKER(prepare_is_refused)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_com(c, COM_STMT_PREPARE, "INSERT INTO", 11);
	struct peer *s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, "INSERT INTO", 11);
	server_err(s, 1064, "You have an error in your SQL syntax");
	client_expect_err(c, 1064, "syntax");
	cr_assert_eq(client_sess(c)->ps_n, 0);
	rig_stop();
}

TEST_WORKER(read_of_a_prepared_statement_is_retried)
{
	struct peer *c, *s = NULL, *p;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	u32 id = prepare(c, sql, &s, 1, 77, 1);
	execute(c, id, true, 5);
	expect_execute(s, 77, true, 5);
	server_gone(s);
	p = server_ready(0);
	answer_prepare(p, 3, 1);
	expect_execute(p, 3, true, 5);
	server_row_for(p, c, ST_AUTOCOMMIT, 0);
	rig_stop();
}

TEST_WORKER(executes_that_are_malformed)
{
	struct peer *c, *s = NULL;
	u8 body[64];

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	u32 id = prepare(c, sql, &s, 1, 77, 1);
	size_t n = execute_body(body, id, true, 5, 0);
	for (size_t k = 0; k < 13; k++) {
		client_com(c, COM_STMT_EXECUTE, body, k);
		client_expect_err(c, k == 9 || k == 10 ? 1210 : 1835, "");
	}
	/* types left out, and never sent before */
	n = execute_body(body, id, false, 5, 0);
	client_com(c, COM_STMT_EXECUTE, body, n);
	client_expect_err(c, 1210, "Incorrect arguments to mysqld_stmt_execute");
	client_com(c, COM_STMT_FETCH, body, 8);
	client_expect_err(c, 1421, "no open cursor");
	wr32(body, 99);
	client_com(c, COM_STMT_FETCH, body, 8);
	client_expect_err(c, 1243, "stmt_fetch");
	client_com(c, COM_STMT_RESET, body, 4);
	client_expect_err(c, 1243, "stmt_reset");
	client_com(c, COM_STMT_CLOSE, body, 4);
	client_com(c, COM_STMT_CLOSE, body, 0);
	wr32(body, id);
	client_com(c, COM_STMT_RESET, body, 4);
	client_expect_ok(c);
	peer_expect_silence(s);
	rig_stop();
}

/* Two rows of one BIGINT. */
static size_t
bulk_body(u8 *p, u32 id, u16 flags)
{
	struct wr w = wr_init(p, 64);

	wr_u32(&w, id);
	wr_u16(&w, flags);
	if (flags & PS_BULK_TYPES)
		wr_u16(&w, 8);
	for (u64 i = 0; i < 2; i++) {
		wr_u8(&w, 0);
		wr_u64(&w, i);
	}
	return w.len;
}

TEST_WORKER(rows_in_bulk)
{
	struct peer *c, *d, *s = NULL, *s2;
	static const char ins[] = "INSERT INTO t VALUES (?)";
	u8 body[64];

	rig_start(NULL);
	R.mcaps = MCAP_STMT_BULK;
	c = client_login(CAPS_NEW);
	d = client_login(CAPS_NEW);
	u32 id = prepare(c, ins, &s, 0, 77, 1);
	/* types left out, and never sent before; cut; flags that nobody knows */
	client_com(c, COM_STMT_BULK_EXECUTE, body, bulk_body(body, id, 0));
	client_expect_err(c, 1210, "bulk_execute");
	(void)bulk_body(body, id, PS_BULK_TYPES);
	for (size_t k = 0; k < 8; k++) {
		client_com(c, COM_STMT_BULK_EXECUTE, body, k);
		client_expect_err(c, 1835, "");
	}
	client_com(c, COM_STMT_BULK_EXECUTE, body, bulk_body(body, id, PS_BULK_TYPES | 64));
	client_expect_err(c, 1295, "");
	client_com(c, COM_STMT_BULK_EXECUTE, body, bulk_body(body, id, PS_BULK_TYPES));
	server_expect(s, COM_STMT_BULK_EXECUTE, body, bulk_body(body, 77, PS_BULK_TYPES));
	server_ok(s);
	client_expect_ok(c);
	/* on a connection that has not seen the types */
	client_query(d, "DELETE FROM u");
	server_expect_query(s, "DELETE FROM u");
	client_com(c, COM_STMT_BULK_EXECUTE, body, bulk_body(body, id, 0));
	s2 = server_ready(0);
	server_expect(s2, COM_STMT_PREPARE, ins, sizeof ins - 1);
	struct bytes b = {0};
	bytes_prepared(&b, 12, 1, 0, CAPS_NEW);
	peer_send(s2, b.p, b.len);
	bytes_free(&b);
	server_expect(s2, COM_STMT_BULK_EXECUTE, body, bulk_body(body, 12, PS_BULK_TYPES));
	server_ok(s2);
	client_expect_ok(c);
	server_ok(s);
	client_expect_ok(d);
	/* who has not asked for the capability */
	R.mcaps = 0;
	c = client_login(CAPS_NEW);
	client_com(c, COM_STMT_BULK_EXECUTE, body, bulk_body(body, 1, PS_BULK_TYPES));
	client_expect_err(c, 1295, "");
	rig_stop();
}

TEST_WORKER(long_data_pins_until_executed)
{
	struct peer *c, *s = NULL;
	u8 body[64];

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	static const char ins[] = "INSERT INTO t VALUES (?)";
	u32 id = prepare(c, ins, &s, 0, 77, 1);
	wr32(body, id);
	memcpy(body + 4, "\0\0chunk", 7);
	client_com(c, COM_STMT_SEND_LONG_DATA, body, 11);
	wr32(body, 77);
	server_expect(s, COM_STMT_SEND_LONG_DATA, body, 11);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert(client_sess(c)->pins & 1u << PIN_LONG_DATA);
	/* RESET drops it */
	wr32(body, id);
	client_com(c, COM_STMT_RESET, body, 4);
	wr32(body, 77);
	server_expect(s, COM_STMT_RESET, body, 4);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(client_sess(c)->pins, 0);
	/* again, and execute */
	wr32(body, id);
	client_com(c, COM_STMT_SEND_LONG_DATA, body, 11);
	wr32(body, 77);
	server_expect(s, COM_STMT_SEND_LONG_DATA, body, 11);
	execute(c, id, true, 5);
	expect_execute(s, 77, true, 5);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(client_sess(c)->pins, 0);
	rig_stop();
}

/* Two pieces at once on a connection where it must be prepared first: neither is lost. */
TEST_WORKER(long_data_on_a_fresh_connection)
{
	struct peer *c, *s = NULL;
	u8 body[64];
	struct bytes b = {0};

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	static const char ins[] = "INSERT INTO t VALUES (?)";
	u32 id = prepare(c, ins, &s, 0, 77, 1);
	server_gone(s);
	u8 pkt[16];
	pkt[0] = COM_STMT_SEND_LONG_DATA;
	wr32(pkt + 1, id);
	memcpy(pkt + 5, "\0\0one", 5);
	bytes_packet(&b, 0, pkt, 10);
	memcpy(pkt + 7, "two", 3);
	bytes_packet(&b, 0, pkt, 10);
	peer_send(c, b.p, b.len);
	bytes_free(&b);
	s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, ins, sizeof ins - 1);
	bytes_prepared(&b, 5, 1, 0, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	wr32(body, 5);
	memcpy(body + 4, "\0\0one", 5);
	server_expect(s, COM_STMT_SEND_LONG_DATA, body, 9);
	memcpy(body + 6, "two", 3);
	server_expect(s, COM_STMT_SEND_LONG_DATA, body, 9);
	rig_stop();
}

TEST_WORKER(cursor_pins_until_closed)
{
	struct peer *c, *s = NULL;
	u8 body[64], buf[512];

	for (int how = 0; how < 3; how++) {
		rig_start(NULL);
		s = NULL;
		c = client_login(how == 2 ? CAPS_OLD : CAPS_NEW);
		u32 id = prepare(c, sql, &s, 1, 77, 1);
		size_t n = execute_body(body, id, true, 5, 1);
		client_com(c, COM_STMT_EXECUTE, body, n);
		/* a cursor is for the primary */
		struct peer *p = server_ready(0);
		answer_prepare(p, 9, 1);
		wr32(body, 9);
		server_expect(p, COM_STMT_EXECUTE, body, n);
		struct wr w = wr_init(buf, sizeof buf);
		struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_CURSOR_EXISTS};
		pkt_colcount_write(&w, 1, 1);
		pkt_column_write(&w, 2, "c", 253, 33, 10, 0, 0);
		size_t defs = w.len;
		pkt_ok_write(&w, 3, 0xfe, CAPS_NEW, &ok);
		peer_send(p, buf, w.len);
		if (how == 2) {
			w.len = defs;
			pkt_eof_write(&w, 3, 0, ST_AUTOCOMMIT | ST_CURSOR_EXISTS);
		}
		peer_expect(c, buf, w.len);
		cr_assert(client_sess(c)->pins & 1u << PIN_CURSOR);
		/* rows */
		wr32(body, id);
		wr32(body + 4, 10);
		client_com(c, COM_STMT_FETCH, body, 8);
		wr32(body, 9);
		server_expect(p, COM_STMT_FETCH, body, 8);
		w = wr_init(buf, sizeof buf);
		size_t at = wr_pkt_begin(&w);
		wr_bytes(&w, "\0\0\1x", 4);
		wr_pkt_end(&w, at, 1);
		size_t row = w.len;
		ok.status = ST_AUTOCOMMIT | ST_CURSOR_EXISTS | (how == 1 ? ST_LAST_ROW_SENT : 0);
		pkt_ok_write(&w, 2, 0xfe, CAPS_NEW, &ok);
		peer_send(p, buf, w.len);
		if (how == 2) {
			w.len = row;
			pkt_eof_write(&w, 2, 0, ok.status);
		}
		peer_expect(c, buf, w.len);
		if (how == 1) {
			cr_assert_eq(client_sess(c)->pins & 1u << PIN_CURSOR, 0);
		} else {
			wr32(body, id);
			client_com(c, COM_STMT_CLOSE, body, 4);
			wr32(body, 9);
			server_expect(p, COM_STMT_CLOSE, body, 4);
			cr_assert_eq(client_sess(c)->pins, 0, "pins %llx", (unsigned long long)client_sess(c)->pins);
			cr_assert_null(client_sess(c)->b, "the connection goes back with the cursor");
		}
		rig_stop();
	}
}

TEST_WORKER(least_recently_used_statement_is_closed)
{
	struct rig_conf conf = {.server = "max_prepared = 2"};
	struct peer *c, *s = NULL;
	u8 body[4];

	rig_start(&conf);
	c = client_login(CAPS_NEW);
	prepare(c, "SELECT 1 FROM t WHERE a=?", &s, 1, 1, 1);
	prepare(c, "SELECT 2 FROM t WHERE a=?", &s, 1, 2, 1);
	peer_expect_silence(s);
	u32 third = prepare(c, "SELECT 3 FROM t WHERE a=?", &s, 1, 3, 1);
	wr32(body, 1);
	server_expect(s, COM_STMT_CLOSE, body, 4);
	execute(c, third, true, 1);
	expect_execute(s, 3, true, 1);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	rig_stop();
}

/* A text longer than what is sent ahead together is prepared by itself. */
TEST_WORKER(long_text_is_prepared_again)
{
	struct peer *c, *s = NULL;
	char *text = malloc(40001);
	struct bytes b = {0};

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	memset(text, ' ', 40000);
	memcpy(text, "SELECT c FROM t WHERE id=?", 26);
	text[40000] = '\0';
	u32 id = prepare(c, text, &s, 1, 77, 1);
	server_gone(s);
	execute(c, id, true, 5);
	s = server_ready(1);
	server_expect(s, COM_STMT_PREPARE, text, 40000);
	bytes_prepared(&b, 8, 1, 1, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	expect_execute(s, 8, true, 5);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	free(text);
	rig_stop();
}

/* A value of more than 16 MiB, on a connection that has not seen its type. */
TEST_WORKER(execute_of_several_packets_with_types_put_in)
{
	struct rig_conf conf = {.margay = "statement_buffer = 64M"};
	struct peer *c, *s = NULL;
	struct bytes b = {0};

	for (int edge = 0; edge < 3; edge++) {
		/* the two bytes of the type carry it over the limit of one packet, or further packets */
		size_t n = edge == 0 ? PKT_MAX_BODY - 1 : edge == 1 ? PKT_MAX_BODY + 5 : 2 * PKT_MAX_BODY - 1;
		u8 *body = malloc(n + 2);

		rig_start(&conf);
		s = NULL;
		c = client_login(CAPS_NEW);
		static const char ins[] = "INSERT INTO t VALUES (?)";
		u32 id = prepare(c, ins, &s, 0, 77, 1);
		execute(c, id, true, 5);
		expect_execute(s, 77, true, 5);
		server_ok(s);
		client_expect_ok(c);
		server_gone(s);
		memset(body, 'v', n + 2);
		body[0] = COM_STMT_EXECUTE;
		(void)execute_body(body + 1, id, false, 5, 0);
		bytes_packet(&b, 0, body, n);
		for (size_t at = 0; at < b.len; at += 150000) {
			peer_send(c, b.p + at, MIN(150000, b.len - at));
			rig_run();
		}
		bytes_free(&b);
		s = server_ready(0);
		server_expect(s, COM_STMT_PREPARE, ins, sizeof ins - 1);
		bytes_prepared(&b, 5, 1, 0, CAPS_NEW);
		peer_send(s, b.p, b.len);
		bytes_free(&b);
		memmove(body + 1 + 13, body + 1 + 11, n - 12);
		(void)execute_body(body + 1, 5, true, 5, 0);
		bytes_packet(&b, 0, body, n + 2);
		peer_expect(s, b.p, b.len);
		bytes_free(&b);
		u8 okpkt[64];
		struct wr w = wr_init(okpkt, sizeof okpkt);
		struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
		pkt_ok_write(&w, (u8)(1 + (n + 2) / PKT_MAX_BODY), 0, CAPS_NEW, &ok);
		peer_send(s, okpkt, w.len);
		/* to the client the reply follows its own packets */
		okpkt[3] = (u8)(1 + n / PKT_MAX_BODY);
		peer_expect(c, okpkt, w.len);
		free(body);
		rig_stop();
	}
}

/* While one statement has a cursor or long data, another one is executed: the first keeps what it has. */
TEST_WORKER(cursor_and_long_data_survive_other_statements)
{
	static const char ins[] = "INSERT INTO t VALUES (?)", upd[] = "UPDATE t SET a=?";
	struct peer *c, *s = NULL;
	u8 body[64];

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	u32 a = prepare(c, ins, &s, 0, 77, 1), b = prepare(c, upd, &s, 0, 78, 1);
	wr32(body, a);
	memcpy(body + 4, "\0\0chunk", 7);
	client_com(c, COM_STMT_SEND_LONG_DATA, body, 11);
	wr32(body, 77);
	server_expect(s, COM_STMT_SEND_LONG_DATA, body, 11);
	execute(c, b, true, 5);
	expect_execute(s, 78, true, 5);
	server_ok(s);
	client_expect_ok(c);
	cr_assert(client_sess(c)->pins & 1u << PIN_LONG_DATA);
	cr_assert_not_null(client_sess(c)->b);
	wr32(body, b);
	client_com(c, COM_STMT_CLOSE, body, 4);
	wr32(body, 78);
	server_expect(s, COM_STMT_CLOSE, body, 4);
	cr_assert_not_null(client_sess(c)->b);
	execute(c, a, true, 5);
	expect_execute(s, 77, true, 5);
	server_ok(s);
	client_expect_ok(c);
	cr_assert_eq(client_sess(c)->pins, 0);
	rig_stop();
}

static struct peer *
set_variable(struct peer *c, struct peer *s, const char *sql_text, const char *name, const char *value, u16 status)
{
	struct bytes state = {0};

	client_query(c, sql_text);
	if (s == NULL)
		s = server_ready(0);
	server_expect_query(s, sql_text);
	bytes_track(&state, TRACK_SYSVAR, name, value);
	struct pkt_ok ok = {.status = (u16)(status | ST_SESSION_CHANGED), .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	client_expect_ok(c);
	return s;
}

/* Prepared before a variable was set, executed first in a transaction after it: to go back to the settings of then
 * would take a reset, and that would roll back. */
TEST_WORKER(execute_in_a_transaction_after_a_setting)
{
	const struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};
	struct peer *c, *s = NULL, *p;
	u8 body[64];

	for (int mode = 0; mode < 2; mode++) {
		rig_start(NULL);
		s = NULL;
		c = client_login(CAPS_NEW);
		u32 id = prepare(c, sql, &s, 1, 77, 1);
		p = set_variable(c, NULL, mode ? "SET sql_mode='ANSI'" : "SET time_zone='+01:00'", mode ? "sql_mode" : "time_zone",
		    mode ? "ANSI" : "+01:00", ST_AUTOCOMMIT);
		rig_write_full(c, "BEGIN", p, &trx);
		size_t n = execute_body(body, id, true, 5, 0);
		client_com(c, COM_STMT_EXECUTE, body, n);
		if (mode == 0) {
			answer_prepare(p, 9, 1);
			expect_execute(p, 9, true, 5);
			server_row_for(p, c, ST_AUTOCOMMIT | ST_IN_TRANS, 0);
		} else {
			/* under the other mode the text may mean something else */
			client_expect_err(c, 1235, "prepared under another sql_mode");
			peer_expect_silence(p);
		}
		rig_write(c, "COMMIT", p);
		if (mode == 1) {
			/* outside of it there is a way */
			client_com(c, COM_STMT_EXECUTE, body, n);
			server_expect_query(s, "SET sql_mode='ANSI'");
			server_ok(s);
			expect_execute(s, 77, true, 5);
			server_row_for(s, c, ST_AUTOCOMMIT, 0);
		}
		rig_stop();
	}
}

/* The session's settings cannot be reached from those of the connection: the reset comes before the PREPARE. */
TEST_WORKER(prepared_again_after_a_reset)
{
	struct peer *c, *d, *s = NULL;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	d = client_login(CAPS_NEW);
	static const char ins[] = "INSERT INTO t VALUES (?)";
	u32 id = prepare(c, ins, &s, 0, 77, 1);
	set_variable(d, s, "SET time_zone='+01:00'", "time_zone", "+01:00", ST_AUTOCOMMIT);
	/* the statement is there, but the connection must be reset for c, which drops it */
	execute(c, id, true, 5);
	server_expect_reset(s);
	server_expect(s, COM_STMT_PREPARE, ins, sizeof ins - 1);
	struct bytes b = {0};
	bytes_prepared(&b, 78, 1, 0, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	expect_execute(s, 78, true, 5);
	server_ok(s);
	client_expect_ok(c);
	rig_stop();
}

/* A long text is prepared in the database of then, and executed in that of now. */
TEST_WORKER(long_text_is_executed_in_the_session_s_database)
{
	struct peer *c, *s = NULL;
	char *text = malloc(40001);
	struct bytes b = {0}, state = {0};

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	memset(text, ' ', 40000);
	memcpy(text, "INSERT INTO t VALUES (?)", 24);
	text[40000] = '\0';
	for (int i = 0; i < 2; i++) {
		const char *db = i == 0 ? "one" : "two";

		client_com(c, COM_INIT_DB, db, 3);
		if (s == NULL)
			s = server_ready(0);
		server_expect(s, COM_INIT_DB, db, 3);
		bytes_track(&state, TRACK_SCHEMA, NULL, db);
		struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
		server_ok_full(s, &ok);
		bytes_free(&state);
		client_expect_ok(c);
		if (i == 0)
			prepare(c, text, &s, 0, 77, 1);
	}
	server_gone(s);
	execute(c, 1, true, 5);
	s = server_ready(0);
	server_expect(s, COM_INIT_DB, "one", 3);
	server_ok(s);
	server_expect(s, COM_STMT_PREPARE, text, 40000);
	bytes_prepared(&b, 8, 1, 0, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	server_expect(s, COM_INIT_DB, "two", 3);
	server_ok(s);
	expect_execute(s, 8, true, 5);
	server_ok(s);
	client_expect_ok(c);
	free(text);
	rig_stop();
}

/* Long data has no reply: that it could not be sent is told by the EXECUTE, which must not run without it. */
TEST_WORKER(long_data_that_could_not_be_sent)
{
	struct peer *c, *s = NULL;
	u8 body[64];

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	static const char ins[] = "INSERT INTO t VALUES (?)";
	u32 id = prepare(c, ins, &s, 0, 77, 1);
	server_gone(s);
	rig_server_down(0);
	wr32(body, id);
	memcpy(body + 4, "\0\0chunk", 7);
	client_com(c, COM_STMT_SEND_LONG_DATA, body, 11);
	peer_expect_silence(c);
	rig_server_up(0);
	rig_pass(1500);
	execute(c, id, true, 5);
	client_expect_err(c, 1158, "data sent for statement 1 before");
	/* from the beginning */
	execute(c, id, true, 5);
	s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, ins, sizeof ins - 1);
	struct bytes b = {0};
	bytes_prepared(&b, 78, 1, 0, CAPS_NEW);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	expect_execute(s, 78, true, 5);
	server_ok(s);
	client_expect_ok(c);
	rig_stop();
}

TEST_WORKER(trace_in_a_prepared_statements_reply)
{
	for (u32 old = 0; old < 2; old++) {
		struct peer *c, *s = NULL;
		struct bytes b = {0};

		rig_start(NULL);
		c = client_login(old ? CAPS_OLD : CAPS_NEW);
		client_query(c, "SET margay_trace=1");
		client_expect_ok(c);
		u32 id = prepare(c, sql, &s, 1, 77, 1);
		execute(c, id, true, 5);
		expect_execute(s, 77, true, 5);
		bytes_result(&b, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 2);
		peer_send(s, b.p, b.len);
		bytes_free(&b);
		bytes_result(&b, 1, c->caps, ST_AUTOCOMMIT, 1, 2);
		if (old) /* the EOF behind the column definitions tells nothing yet: count, definition, EOF */
			for (u32 at = 0, k = 0; k < 3; at += PKT_HDR + rd24(b.p + at), k++)
				if (k == 2)
					b.p[at + PKT_HDR + 1] = 0;
		peer_expect(c, b.p, b.len);
		bytes_free(&b);
		/* the server has no warnings: it is not asked for them */
		client_query(c, "SHOW WARNINGS");
		rig_run();
		peer_expect_silence(s);
		cr_assert_gt(peer_pending(c), 100);
		peer_skip(c, peer_pending(c));
		client_query(c, "SET margay_trace=0");
		client_expect_ok(c);
		peer_close(c);
		rig_stop();
	}
}
