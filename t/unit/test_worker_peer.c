/* t/unit/test_worker_peer.c: whom a PROXY header names, and what that decides. Clients of the rig come over Unix sockets. */
#include "config.h"
#include "t/unit/worker_rig.h"

#define NATIVE "mysql_native_password"
#define V1(ip) "PROXY TCP4 " ip " 10.0.0.1 4711 3306\r\n"
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
