/* t/unit/test_worker_peer.c: whom a PROXY header names, and what that decides; and the headers that servers get. Clients of the rig come over Unix sockets. */
#include "config.h"
#include "t/unit/worker_rig.h"

#define NATIVE "mysql_native_password"
#define V1(ip) "PROXY TCP4 " ip " 10.0.0.1 4711 3306\r\n"
#define OUT "proxy_protocol = v2"
static const char sig[] = "\r\n\r\n\0\r\nQUIT\n"; /* without its NUL */

static struct peer *
from(const char *header, size_t len)
{
	struct peer *c = client_connect();

	peer_send(c, header, len);
	return c;
}

static void
login(struct peer *c)
{
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
}

static const char *
address(struct peer *c)
{
	return R.w.srec[client_sess(c)->rec].addr;
}

TEST_WORKER(proxy_header_names_the_client)
{
	struct rig_conf conf = {.margay = "proxy_protocol_networks = 10.0.0.0/8, unix"};
	static const char v6[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x27\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x67\x0c\xea\x04\0\0";

	rig_start(&conf);
	struct peer *c = from(V1("10.1.2.3"), sizeof V1("10.1.2.3") - 1);
	login(c);
	cr_assert_str_eq(address(c), "10.1.2.3:4711");
	cr_assert_eq(client_sess(c)->addr_family, 4);
	c = from(v6, sizeof v6 - 1);
	login(c);
	cr_assert_str_eq(address(c), "[fd00::7]:4711");
	c = from("PROXY TCP6 ::ffff:10.9.8.7 ::1 1 2\r\n", 36);
	login(c);
	cr_assert_str_eq(address(c), "10.9.8.7:1", "an address of IPv4, written as one of IPv6");
	cr_assert_eq(rig_counter("proxied"), 3);
	/* who names nobody, or sends none, speaks for himself */
	c = from("PROXY UNKNOWN\r\n", 15);
	login(c);
	cr_assert_str_eq(address(c), "unix");
	login(client_connect());
	cr_assert_eq(rig_counter("proxied"), 3);
	cr_assert_eq(rig_counter("bad_packets"), 0);
	rig_stop();
}

TEST_WORKER(proxy_header_byte_by_byte)
{
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix"};
	u8 v2[28];

	rig_start(&conf);
	memcpy(v2, sig, 12);
	memcpy(v2 + 12, "\x21\x11\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea", 16);
	struct peer *c = client_connect();
	for (size_t i = 0; i < sizeof v2; i++) {
		peer_send(c, v2 + i, 1);
		peer_expect_silence(c);
	}
	login(c);
	cr_assert_str_eq(address(c), "10.1.2.3:4711");
	/* a login that begins with a P, in as small pieces */
	u8 pkt[PKT_HDR + 80] = {80, 0, 0, 1};
	c = client_connect();
	for (size_t i = 0; i < sizeof pkt; i++) {
		peer_expect_silence(c);
		peer_send(c, pkt + i, 1);
	}
	client_expect_err(c, 1043, "handshake");
	rig_stop();
}

TEST_WORKER(proxy_header_decides_who_may_come)
{
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix\nmax_clients_per_address = 1", .user = "allow_from = 10.0.0.0/8"};

	rig_start(&conf);
	struct peer *a = from(V1("10.1.2.3"), sizeof V1("10.1.2.3") - 1);
	login(a);
	struct peer *c = from(V1("11.1.2.3"), sizeof V1("11.1.2.3") - 1);
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1130, "11.1.2.3");
	c = from(V1("10.1.2.3"), sizeof V1("10.1.2.3") - 1);
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 2 && p[PKT_HDR] == 0xff, "the second of one address, told as the answer to its login");
	cr_assert_eq(rd16(p + PKT_HDR + 1), 1226);
	peer_expect_closed(c);
	login(from(V1("10.1.2.4"), sizeof V1("10.1.2.4") - 1));
	peer_close(a);
	rig_run();
	login(from(V1("10.1.2.3"), sizeof V1("10.1.2.3") - 1));
	c = from("PROXY TCP6 fd00::7 ::1 4711 3306\r\n", 34);
	client_respond(c, "app", "wrong", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "'app'@'fd00::7'");
	c = from(V1("10.7.7.7"), sizeof V1("10.7.7.7") - 1);
	client_respond(c, "app", "wrong", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1045, "'app'@'10.7.7.7'");
	/* over the Unix socket itself it may not */
	c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_err(c, 1130, "unix");
	rig_stop();
}

TEST_WORKER(proxy_header_that_is_none)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
	    {"PROXY TCP4 10.1.2.3\r\n", "malformed address"},
	    {"PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306\n", "CR LF"},
	    {"PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
	        "line without end"},
	    {"PROXIMA", "malformed signature"},
	    {"\r\n\r\n\r\n", "malformed signature"},
	};
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix"};

	rig_start(&conf);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct peer *c = from(bad[i].text, strlen(bad[i].text));
		size_t len;
		const u8 *p = peer_packet(c, &len);

		cr_assert(p[3] == 2 && p[PKT_HDR] == 0xff && rd16(p + PKT_HDR + 1) == 1043, "%zu", i);
		cr_assert_not_null(memmem(p, len, bad[i].why, strlen(bad[i].why)), "%zu", i);
		peer_expect_closed(c);
		cr_assert(rig_logged(bad[i].why));
	}
	cr_assert_eq(rig_counter("bad_packets"), ARRAY_LEN(bad));
	/* half of one, and nothing more */
	struct peer *c = from("PROXY TCP4 10.", 14);
	peer_expect_silence(c);
	rig_pass(10500);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("login_timeouts"), 1);
	peer_close(from("PROXY TCP4 10.", 14));
	rig_stop();
}

TEST_WORKER(proxy_header_of_strangers)
{
	rig_start(NULL);
	struct peer *c = from(V1("10.1.2.3"), sizeof V1("10.1.2.3") - 1);
	peer_expect_closed(c);
	cr_assert(rig_logged("client unix: PROXY header from outside of proxy_protocol_networks"));
	c = from(sig, 12);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("bad_packets"), 2);
	cr_assert_eq(rig_counter("proxied"), 0);
	/* the header of the proxy, and behind it one that the client itself has sent */
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix"};
	rig_reload(&conf);
	c = from(V1("10.1.2.3") V1("10.0.0.1"), 2 * sizeof V1("10.1.2.3") - 2);
	peer_expect_closed(c);
	cr_assert(rig_logged("client 10.1.2.3:4711: second PROXY header"));
	rig_stop();
}

/* ---- towards servers ---- */

static struct peer *
client_at(const char *ip)
{
	char line[80];
	int n = snprintf(line, sizeof line, "PROXY TCP%c %s %s 4711 3306\r\n", strchr(ip, ':') != NULL ? '6' : '4', ip, ip);
	struct peer *c = from(line, (size_t)n);

	login(c);
	return c;
}

/* The header that a server expects next, for this address in network order; len 0: LOCAL. */
static void
expect_header(const char *addr, size_t len)
{
	u8 *h = R.proxy_header;

	memset(h, 0, sizeof R.proxy_header);
	memcpy(h, sig, 12);
	h[12] = len > 0 ? 0x21 : 0x20;
	h[13] = len == 0 ? 0 : len == 4 ? 0x11 : 0x21;
	h[15] = (u8)(len > 0 ? 2 * len + 4 : 0);
	memcpy(h + 16, addr, len);
	R.proxy_header_len = 16 + h[15];
}

static const char write_sql[] = "INSERT INTO t VALUES (1)";

TEST_WORKER(server_connections_are_not_shared_by_addresses)
{
	/* pool_size: an address that has no connection does not wait for one of another */
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix", .server = OUT "\npool_size = 1\npool_grow_delay = 1h"};

	rig_start(&conf);
	struct peer *a = client_at("10.1.2.3"), *b = client_at("10.1.2.4"), *d = client_at("fd00::7"), *u = client_login(CAPS_NEW);
	expect_header("\x0a\1\2\3", 4);
	struct peer *sa = rig_write(a, write_sql, NULL);
	expect_header("\x0a\1\2\4", 4);
	struct peer *sb = rig_write(b, write_sql, NULL);
	expect_header("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 16);
	rig_write(d, write_sql, NULL);
	expect_header("", 0);
	rig_write(u, write_sql, NULL);
	rig_write(a, write_sql, sa);
	rig_write(b, write_sql, sb);
	peer_close(a);
	rig_run();
	rig_write(client_at("10.1.2.3"), write_sql, sa);
	rig_write(client_at("::ffff:10.1.2.3"), write_sql, sa);
	cr_assert_eq(R.w.srv[0].nconns, 4);
	rig_stop();
}

TEST_WORKER(control_connections_have_the_header_too)
{
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix\nstatement_timeout = 1s", .server = OUT};

	rig_start(&conf);
	expect_header("\x0a\1\2\3", 4);
	struct peer *c = client_at("10.1.2.3"), *s, *k;
	client_query(c, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	rig_pass(1500);
	k = server_accept(0);
	peer_expect(k, R.proxy_header, R.proxy_header_len);
	peer_close(k);
	peer_close(s);
	rig_stop();
}

TEST_WORKER(more_addresses_than_connections)
{
	struct rig_conf conf = {.margay = "proxy_protocol_networks = unix", .server = OUT "\nmax_connections = 8\npool_size = 1"};

	rig_start(&conf);
	for (int i = 1; i <= 30; i++) {
		char ip[16], addr[4] = {10, 1, 1, (char)i};

		snprintf(ip, sizeof ip, "10.1.1.%d", i);
		struct peer *c = client_at(ip);
		expect_header(addr, 4);
		rig_write(c, write_sql, NULL);
		cr_assert_leq(R.w.srv[0].nconns, 5);
		peer_close(c);
		rig_pass(WORKER_TICK_MS);
	}
	rig_stop();
}

TEST_WORKER(proxy_protocol_towards_servers_changes)
{
	struct rig_conf off = {.margay = "proxy_protocol_networks = unix"}, on = off;

	rig_start(&off);
	struct peer *a = client_at("10.1.2.3"), *b = client_at("10.1.2.4");
	struct peer *s = rig_write(a, write_sql, NULL), *old, *busy;
	client_query(a, "SET @x=1"); /* keeps it */
	server_expect_query(s, "SET @x=1");
	server_ok(s);
	client_expect_ok(a);
	busy = s;
	client_query(b, write_sql);
	old = server_accept(0); /* b waits for it */
	on.server = OUT;
	rig_reload(&on);
	rig_run();
	expect_header("\x0a\1\2\4", 4);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	server_ok(s);
	client_expect_ok(b);
	peer_close(old);
	rig_write(a, write_sql, busy); /* what it has set is there */
	peer_close(a);
	rig_run();
	a = client_at("10.1.2.3");
	expect_header("\x0a\1\2\3", 4);
	rig_pass(1100); /* a connection was lost: the server is left alone for a second */
	s = rig_write(a, write_sql, NULL);
	rig_reload(&off);
	peer_expect_closed(s);
	R.proxy_header_len = 0;
	rig_write(a, write_sql, NULL);
	rig_stop();
}

TEST_WORKER(server_that_takes_no_header)
{
	struct rig_conf conf = {.server = OUT};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	struct peer *s = server_accept(0);
	server_greet(s);
	rig_run();
	peer_close(s);
	client_expect_err(c, 1053, "are PROXY headers of this host allowed there?");
	rig_stop();
}
