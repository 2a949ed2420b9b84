/* t/unit/test_worker_login.c: from the greeting to the first statement; limits; what is wrong with a handshake. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/str.h"
#include "proto/auth.h"

#define NATIVE "mysql_native_password"

TEST_WORKER(login_right)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(rig_counter("logins"), 1);
	cr_assert(!server_has_connect(0) && !server_has_connect(1), "a login without database needs no server");
	rig_stop();
}

TEST_WORKER(login_with_hash_without_password_and_as_somebody_else)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = client_connect();
	client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "hashed", "secret"); /* learned from the client's answer */
	peer_close(c);
	peer_close(s);
	rig_run();
	c = client_connect();
	client_respond(c, "open", "", NULL, CAPS_NEW, NULL);
	client_expect_ok(c);
	client_query(c, "INSERT INTO t VALUES (1)");
	rig_pass(1100); /* the server is left alone for a second after a connection failed */
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "open", "");
	peer_close(c);
	peer_close(s);
	rig_run();
	c = client_connect();
	client_respond(c, "other", "o", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	rig_pass(1100);
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "deep", "d");
	peer_close(s);
	rig_stop();
}

TEST_WORKER(login_wrong_password)
{
	rig_start(NULL);
	struct peer *c = client_connect();

	client_respond(c, "app", "wrong", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "Access denied for user 'app'@'localhost' (using password: YES)");
	peer_expect_closed(c);
	c = client_connect();
	client_respond(c, "app", "", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "(using password: NO)");
	peer_expect_closed(c);
	c = client_connect();
	client_respond(c, "open", "some", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "open");
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("logins_failed"), 3);
	rig_stop();
}

TEST_WORKER(login_unknown_user)
{
	rig_start(NULL);
	struct peer *c = client_connect();

	client_respond(c, "nobody", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "'nobody'");
	peer_expect_closed(c);
	rig_stop();
}

static void
answer_switch(struct peer *c, const char *password, u8 seq)
{
	u8 pkt[PKT_HDR + 20], stage1[20];
	struct slice plugin, data;
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert_eq(p[3], 2);
	cr_assert_eq(hs_auth_switch_parse(p + PKT_HDR, len - PKT_HDR, &plugin, &data), 0);
	cr_assert_eq(plugin.len, sizeof NATIVE - 1);
	cr_assert_geq(data.len, 20);
	wr24(pkt, 20);
	pkt[3] = seq;
	auth_native_stage1(password, strlen(password), stage1);
	auth_native_token(stage1, data.p, pkt + PKT_HDR);
	peer_send(c, pkt, sizeof pkt);
}

TEST_WORKER(login_auth_switch)
{
	rig_start(NULL);
	struct peer *c = client_connect();

	client_respond(c, "app", "secret", NULL, CAPS_NEW, "caching_sha2_password");
	answer_switch(c, "secret", 3);
	client_expect_ok(c);
	cr_assert_eq(client_state(c), SESS_READY);
	c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW, "caching_sha2_password");
	rig_run();
	cr_assert_eq(client_state(c), SESS_SWITCH);
	answer_switch(c, "wrong", 3);
	client_expect_err(c, 1045, "app");
	peer_expect_closed(c);
	c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW, "caching_sha2_password");
	answer_switch(c, "secret", 7);
	client_expect_err(c, 1043, "handshake");
	peer_expect_closed(c);
	rig_stop();
}

static void
answer_init_db(struct peer *s, const char *db)
{
	struct bytes state = {0};

	server_expect(s, COM_INIT_DB, db, strlen(db));
	bytes_track(&state, TRACK_SCHEMA, NULL, db);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
}

TEST_WORKER(login_with_database)
{
	rig_start(NULL);
	struct peer *c = client_connect(), *s;

	client_respond(c, "app", "secret", "shop", CAPS_NEW, NATIVE);
	s = server_ready(1);
	answer_init_db(s, "shop");
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 2 && p[PKT_HDR] == 0, "the login's OK has the next sequence id");
	cr_assert_str_eq(client_sess(c)->db->text, "shop");
	/* the connection is in that database: no second INIT_DB */
	client_query(c, "SELECT 1 FROM t");
	server_expect_query(s, "SELECT 1 FROM t");
	peer_expect_silence(s);
	struct bytes rows = {0};
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	bytes_free(&rows);
	rig_stop();
}

TEST_WORKER(login_with_unknown_database)
{
	rig_start(NULL);
	struct peer *c = client_connect(), *s;

	client_respond(c, "app", "secret", "nope", CAPS_NEW, NATIVE);
	s = server_ready(1);
	server_expect(s, COM_INIT_DB, "nope", 4);
	server_err(s, 1049, "Unknown database 'nope'");
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 2 && p[PKT_HDR] == 0xff);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("logins"), 0);
	rig_stop();
}

TEST_WORKER(login_with_default_schema_when_no_server_answers)
{
	struct rig_conf conf = {.user = "default_schema = shop"};

	rig_start(&conf);
	rig_server_down(0);
	rig_server_down(1);
	struct peer *c = client_connect();

	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 2 && p[PKT_HDR] == 0xff, "an error in the sequence of the login");
	peer_expect_closed(c);
	rig_stop();
}

TEST_WORKER(first_statement_with_the_login)
{
	u8 ping[] = {1, 0, 0, 0, COM_PING};

	rig_start(NULL);
	struct peer *c = client_connect(), *s;

	/* both come in one read */
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	peer_send(c, ping, sizeof ping);
	client_expect_ok(c);
	client_expect_ok(c);
	/* and with a database to ask for in between */
	c = client_connect();
	client_respond(c, "app", "secret", "shop", CAPS_NEW, NATIVE);
	peer_send(c, ping, sizeof ping);
	s = server_ready(1);
	answer_init_db(s, "shop");
	client_expect_ok(c);
	client_expect_ok(c);
	rig_stop();
}

static void
send_raw(const void *p, size_t len, u16 code)
{
	struct peer *c = client_connect();

	peer_send(c, p, len);
	if (code != 0)
		client_expect_err(c, code, "");
	peer_expect_closed(c);
}

TEST_WORKER(handshakes_that_are_none)
{
	u8 big[PKT_HDR + 70000] = {0x70, 0x11, 0x01, 1}, ssl[PKT_HDR + 32] = {32, 0, 0, 1, 0x00, 0xaa};
	struct bytes b = {0};

	rig_start(NULL);
	send_raw("\x00\x00\x00\x01", 4, 1043);         /* empty */
	send_raw("\x05\x00\x00\x01hello", 9, 1043);    /* too short */
	send_raw("\x05\x00\x00\x00hello", 9, 1043);    /* sequence id of a command */
	send_raw("GET / HTTP/1.1\r\n\r\n", 18, 0);     /* a length that is none */
	send_raw(big, sizeof big, 0);                   /* longer than any handshake */
	send_raw(ssl, sizeof ssl, 1043);                /* TLS is not offered */
	/* a first packet of 16 MiB */
	static u8 zeros[PKT_MAX_BODY];
	bytes_packet(&b, 1, zeros, sizeof zeros);
	send_raw(b.p, b.len, 0);
	bytes_free(&b);
	cr_assert_geq(rig_counter("bad_packets"), 7);
	rig_stop();
}

TEST_WORKER(names_that_are_too_long)
{
	char name[200];

	rig_start(NULL);
	memset(name, 'x', sizeof name);
	name[100] = '\0';
	struct peer *c = client_connect();
	client_respond(c, name, "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1043, "handshake");
	peer_expect_closed(c);
	c = client_connect();
	name[100] = 'x';
	name[199] = '\0';
	client_respond(c, "app", "secret", name, CAPS_NEW, NATIVE);
	client_expect_err(c, 1102, "Incorrect database name 'xxx");
	peer_expect_closed(c);
	rig_stop();
}

/* ---- limits ---- */

static void
expect_refused(u16 code, const char *part)
{
	int fds[2];
	struct peer *c = client_connect_fd(fds);

	listen_client(&R.w, fds[1], 1, 0, 0);
	client_expect_err(c, code, part);
	peer_expect_closed(c);
}

TEST_WORKER(limit_of_all)
{
	struct rig_conf conf = {.margay = "max_clients = 2"};

	rig_start(&conf);
	struct peer *a = client_login(CAPS_NEW);

	client_connect(); /* counts although it says nothing */
	expect_refused(1040, "max_clients = 2");
	expect_refused(1040, "max_clients = 2");
	peer_close(a);
	rig_run();
	client_login(CAPS_NEW);
	cr_assert_eq(rig_counter("refused_limit"), 2);
	rig_stop();
}

TEST_WORKER(limit_of_a_user)
{
	struct rig_conf conf = {.user = "max_connections = 1", .margay = "max_clients_per_user = 2"};

	rig_start(&conf);
	struct peer *a = client_login(CAPS_NEW), *c = client_connect();

	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1226, "max_connections = 1");
	peer_expect_closed(c);
	peer_close(a);
	rig_run();
	client_login(CAPS_NEW);
	for (int i = 0; i < 2; i++) {
		c = client_connect();
		client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
		client_expect_ok(c);
	}
	c = client_connect();
	client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1226, "hashed");
	peer_expect_closed(c);
	rig_stop();
}

/* A client over TCP from 127.0.0.<n>, through a listener of the worker. */
static int
tcp_listener(struct sockaddr_in *sa)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof *sa;

	*sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	cr_assert_eq(bind(fd, (struct sockaddr *)sa, sizeof *sa), 0);
	cr_assert_eq(listen(fd, 8), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)sa, &len), 0);
	return fd;
}

static struct peer *
tcp_client(const struct sockaddr_in *to, u32 from)
{
	int fds[2];
	struct peer *c = client_connect_fd(fds);
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + from)};

	close(fds[0]);
	close(fds[1]);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(c->fd, (struct sockaddr *)&me, sizeof me), 0);
	cr_assert_eq(connect(c->fd, (const struct sockaddr *)to, sizeof *to), 0);
	/* loopback TCP is not done at once as Unix sockets are: wait for the worker's first word */
	for (int i = 0; i < 1000 && peer_pending(c) == 0 && !c->eof; i++) {
		struct pollfd p = {.fd = c->fd, .events = POLLIN};

		(void)poll(&p, 1, 10);
	}
	return c;
}

TEST_WORKER(limit_of_an_address_and_networks)
{
	struct rig_conf conf = {.margay = "max_clients_per_address = 1", .user = "allow_from = 127.0.0.4/32, unix"};
	struct sockaddr_in sa;
	struct link_listen m = {.n = 1, .kind = {4}};

	rig_start(&conf);
	int fd = tcp_listener(&sa);
	listen_adopt(&R.w, &fd, &m, false);
	struct peer *a = tcp_client(&sa, 2), *b = tcp_client(&sa, 2), *c = tcp_client(&sa, 3);

	client_expect_err(b, 1226, "max_clients_per_address = 1");
	cr_assert_gt(peer_pending(a), 0);
	cr_assert_gt(peer_pending(c), 0);
	cr_assert_eq(a->in[PKT_HDR], 10);
	cr_assert_eq(c->in[PKT_HDR], 10);
	/* 127.0.0.2 may not be user app */
	struct hs_greeting g;
	size_t len;
	const u8 *p = peer_packet(a, &len);
	cr_assert_eq(hs_greeting_parse(p + PKT_HDR, len - PKT_HDR, &g), 0);
	memcpy(a->scramble, g.scramble, 20);
	client_respond(a, "app", "secret", NULL, CAPS_NEW, NATIVE);
	for (int i = 0; i < 1000 && peer_pending(a) == 0; i++)
		(void)poll(&(struct pollfd){.fd = a->fd, .events = POLLIN}, 1, 10);
	client_expect_err(a, 1130, "127.0.0.2");
	for (int i = 0; i < 1000 && rig_counter("clients") != 1; i++) {
		(void)poll(NULL, 0, 1);
		rig_run();
	}
	cr_assert_eq(rig_counter("refused_network"), 1);
	cr_assert_eq(rig_counter("refused_limit"), 1);
	client_login(CAPS_NEW); /* over the Unix socket */
	rig_run();
	peer_close(c);
	for (int i = 0; i < 1000 && R.w.nsess > 1; i++) {
		(void)poll(NULL, 0, 1);
		rig_run();
	}
	rig_stop();
}

TEST_WORKER(session_table_full)
{
	int fds[2];

	rig_start(NULL);
	for (int i = 0; i < RIG_SESSIONS; i++)
		client_connect();
	struct peer *c = client_connect_fd(fds);
	listen_client(&R.w, fds[1], 1, 0, 0);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("refused_limit"), 1);
	rig_stop();
}

TEST_WORKER(user_goes_with_a_reload)
{
	rig_start(NULL);
	struct peer *c = client_connect();

	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	rig_reload(NULL);
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	/* the section is gone under the session */
	static const struct rig_conf gone = {.user_name = "newer"};
	rig_reload(&gone);
	client_com(c, COM_PING, NULL, 0);
	client_expect_err(c, 1235, "user app is no longer configured");
	peer_expect_closed(c);
	rig_stop();
}

TEST_WORKER(greeting_says_the_least_version)
{
	rig_start(NULL);
	struct peer *c = client_connect();
	cr_assert_not_null(strstr(R.w.version, "10.11.6"));
	struct rig_conf conf = {.margay = "server_version = 11.4.1-MariaDB-x"};
	rig_reload(&conf);
	int fds[2];
	c = client_connect_fd(fds);
	listen_client(&R.w, fds[1], 1, 0, 0);
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert_str_eq((const char *)p + PKT_HDR + 1, "11.4.1-MariaDB-x");
	rig_stop();
}

/* ---- connection attributes ---- */

/* A client as user app that calls itself so; size: of the attributes as sent, SIZE_MAX: all. */
static struct peer *
client_named(const char *name, size_t size)
{
	u8 attrs[600], buf[1200], stage1[20], token[20];
	struct wr a = wr_init(attrs, sizeof attrs), w = wr_init(buf, sizeof buf);
	struct peer *c = client_connect();
	struct hs_response r = {.caps = CAPS_NEW | CAP_CONNECT_ATTRS, .max_packet = 1u << 24, .charset = 45,
	    .user = {(const u8 *)"app", 3}, .plugin = {(const u8 *)NATIVE, sizeof NATIVE - 1}, .auth = {token, 20}};

	wr_lenenc_str(&a, (const u8 *)"_pid", 4);
	wr_lenenc_str(&a, (const u8 *)"77", 2);
	wr_lenenc_str(&a, (const u8 *)"program_name", 12);
	wr_lenenc_str(&a, (const u8 *)name, strlen(name));
	r.attrs = (struct slice){attrs, MIN(a.len, size)};
	auth_native_stage1("secret", 6, stage1);
	auth_native_token(stage1, c->scramble, token);
	hs_response_write(&w, 1, &r);
	cr_assert(!w.bad && !a.bad);
	c->caps = r.caps;
	peer_send(c, buf, w.len);
	client_expect_ok(c);
	return c;
}

static void
expect_attr(struct slice attrs, const char *name, const char *want)
{
	struct slice v = hs_attr(attrs, name);

	cr_assert(slice_eq(v.p, v.len, want, strlen(want)), "%s is %.*s, not %s", name, (int)v.len, (const char *)v.p, want);
}

/* The login of the connection that a write of this client makes the worker open. */
static struct peer *
named_server(struct peer *c, const char *want)
{
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	struct hs_response r;
	struct bytes b = {0};
	char pid[24];
	size_t len;

	client_query(c, "INSERT INTO t VALUES (1)");
	struct peer *s = server_accept(0);
	server_greet(s);
	const u8 *p = peer_packet(s, &len);
	cr_assert_eq(hs_response_parse(p + PKT_HDR, len - PKT_HDR, CAPS_CLIENT, &r), 0);
	expect_attr(r.attrs, "program_name", want);
	expect_attr(r.attrs, "_client_name", "margay");
	expect_attr(r.attrs, "_client_version", PACKAGE_VERSION);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	expect_attr(r.attrs, "_pid", pid);
	bytes_ok(&b, 2, CAP_SESSION_TRACK, &ok);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	server_expect_query(s, BCONN_SETUP_SQL);
	server_ok(s);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_ok(s);
	client_expect_ok(c);
	return s;
}

TEST_WORKER(servers_see_margay)
{
	rig_start(NULL);
	struct peer *s = named_server(client_named("backup", SIZE_MAX), "margay");

	rig_write(client_named("webshop", SIZE_MAX), "INSERT INTO t VALUES (2)", s); /* shared */
	rig_stop();
}

TEST_WORKER(servers_see_the_program)
{
	struct rig_conf conf = {.user = "pass_program_name = yes"};
	char name[PROGRAM_MOST + 2];

	rig_start(&conf);
	struct peer *s = named_server(client_named("backup", SIZE_MAX), "backup"), *o, *m;
	rig_write(client_named("backup", SIZE_MAX), "INSERT INTO t VALUES (2)", s);
	o = named_server(client_named("webshop", SIZE_MAX), "webshop");
	rig_write(client_named("webshop", SIZE_MAX), "INSERT INTO t VALUES (2)", o);
	rig_write(client_named("backup", SIZE_MAX), "INSERT INTO t VALUES (3)", s);
	/* without one, with one that is cut, empty or too long: Margay's */
	m = named_server(client_login(CAPS_NEW), "margay");
	for (size_t i = 0; i < 27; i++)
		rig_write(client_named("backup", i), "INSERT INTO t VALUES (4)", m);
	rig_write(client_named("", SIZE_MAX), "INSERT INTO t VALUES (4)", m);
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	rig_write(client_named(name, SIZE_MAX), "INSERT INTO t VALUES (4)", m);
	name[PROGRAM_MOST] = '\0';
	named_server(client_named(name, SIZE_MAX), name);
	rig_stop();
}
