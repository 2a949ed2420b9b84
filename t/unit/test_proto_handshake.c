/* Unit tests of proto/handshake: bytes of real peers, round trips, every cut, hostile lengths. */
#include "t/unit/proto_util.h"
#include "t/unit/proto_bytes.h"
#include "proto/auth.h"
#include "proto/handshake.h"

#define OFFERED 0x81fff7feu /* what REAL_GREETING offers */

Test(greeting, of_a_real_server)
{
	struct hs_greeting g;

	cr_assert_eq(hs_greeting_parse(BYTES(REAL_GREETING), &g), 0);
	cr_assert_eq(g.protocol, 10);
	cr_assert(slice_is(g.version, "5.5.5-10.11.19-MariaDB-0+deb12u1"));
	cr_assert_eq(g.thread_id, 5);
	cr_assert_arr_eq(g.scramble, "d0]glkS>zn7g!jw6D5y%", 20);
	cr_assert_eq(g.caps, OFFERED);
	cr_assert_eq(g.mariadb_caps, 0x1d);
	cr_assert_eq(g.charset, 8);
	cr_assert_eq(g.status, ST_AUTOCOMMIT);
	cr_assert(slice_is(g.plugin, "mysql_native_password"));
}

Test(greeting, written_as_the_server_writes_it)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_greeting g;

	cr_assert_eq(hs_greeting_parse(BYTES(REAL_GREETING), &g), 0);
	hs_greeting_write(&w, &g);
	cr_assert(!w.bad);
	cr_assert_eq(w.len, PKT_HDR + sizeof REAL_GREETING - 1);
	cr_assert_eq(rd24(buf), sizeof REAL_GREETING - 1);
	cr_assert_eq(buf[3], 0);
	cr_assert_arr_eq(buf + PKT_HDR, REAL_GREETING, sizeof REAL_GREETING - 1);
}

static int
parse_greeting(const u8 *p, size_t n)
{
	struct hs_greeting g;

	return hs_greeting_parse(p, n, &g);
}

Test(greeting, cut)
{
	/* without its last NUL, or cut within it, the plugin's name is read as MySQL 5.5.7 sent it
	 */
	size_t len = sizeof REAL_GREETING - 1, fine[32], n = 0;

	for (size_t at = len - sizeof "mysql_native_password"; at < len; at++)
		fine[n++] = at;
	fine[n] = SIZE_MAX;
	cut_everywhere(BYTES(REAL_GREETING), parse_greeting, fine);
}

Test(greeting, what_is_none)
{
	static const u8 old[] = "\x09"
				"3.23.58\0abcdefghijklmnop";
	u8 *copy = exact_copy(BYTES(REAL_GREETING));
	size_t caps_at = 1 + sizeof "5.5.5-10.11.19-MariaDB-0+deb12u1" + 4 + 9;

	cr_assert_eq(parse_greeting(BYTES(REAL_ERR_1040)), ERR_CONNECT);
	cr_assert_eq(parse_greeting(BYTES("\xff")), ERR_CONNECT);
	cr_assert_eq(parse_greeting(old, sizeof old), ERR_BACKEND_PROTO);
	cr_assert_eq(parse_greeting(NULL, 0), ERR_BACKEND_PROTO);
	cr_assert_eq(parse_greeting(BYTES("\x0a")), ERR_BACKEND_PROTO);
	cr_assert_eq(rd16(copy + caps_at), OFFERED & 0xffff);
	copy[caps_at + 1] &= 0x7f; /* no SECURE_CONNECTION */
	cr_assert_eq(parse_greeting(copy, sizeof REAL_GREETING - 1), ERR_BACKEND_PROTO);
	copy[caps_at + 1] |= 0x80;
	cr_assert_eq(parse_greeting(copy, sizeof REAL_GREETING - 1), 0);
	copy[caps_at + 1] &= 0xfd; /* no PROTOCOL_41 */
	cr_assert_eq(parse_greeting(copy, sizeof REAL_GREETING - 1), ERR_BACKEND_PROTO);
	free(copy);
}

static void
greeting_of(struct hs_greeting *g, u32 caps)
{
	*g = (struct hs_greeting){.version = SLICE("8.0.36"),
				  .thread_id = 0x81020304,
				  .caps = caps,
				  .mariadb_caps = 0x1d,
				  .charset = 255,
				  .status = 0x4002,
				  .plugin = SLICE("caching_sha2_password")};
	memcpy(g->scramble, "ABCDEFGHijklmnopqrst", 20);
}

Test(greeting, round_trips)
{
	static const u32 caps[] = {
	    CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION,
	    CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH,
	    CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH | CAP_LONG_PASSWORD,
	    0xffffffff,
	};

	for (size_t i = 0; i < ARRAY_LEN(caps); i++) {
		struct hs_greeting g, back;
		u8 buf[128];
		struct wr w = wr_init(buf, sizeof buf);

		greeting_of(&g, caps[i]);
		hs_greeting_write(&w, &g);
		cr_assert(!w.bad);
		cr_assert_eq(hs_greeting_parse(buf + PKT_HDR, w.len - PKT_HDR, &back), 0);
		cr_assert(slice_is(back.version, "8.0.36"));
		cr_assert_eq(back.thread_id, g.thread_id);
		cr_assert_arr_eq(back.scramble, g.scramble, 20);
		cr_assert_eq(back.caps, caps[i]);
		cr_assert_eq(back.mariadb_caps, caps[i] & CAP_LONG_PASSWORD ? 0 : 0x1d);
		cr_assert_eq(back.charset, 255);
		cr_assert_eq(back.status, 0x4002);
		cr_assert(slice_is(back.plugin,
				   caps[i] & CAP_PLUGIN_AUTH ? "caching_sha2_password" : ""));
	}
}

static void
write_greeting(struct wr *w)
{
	struct hs_greeting g;

	greeting_of(&g, 0xffffffff);
	hs_greeting_write(w, &g);
}

Test(greeting, overflow_and_embedded_nul)
{
	struct hs_greeting g;
	u8 buf[128];
	struct wr w = wr_init(buf, sizeof buf);

	overflow_everywhere(write_greeting);
	greeting_of(&g, 0xffffffff);
	g.version = SLICE("8.0\0.36");
	hs_greeting_write(&w, &g);
	cr_assert(w.bad);
}

Test(greeting, scramble_length_field)
{
	/* 0 (old servers) and 21 mean 12 + NUL; longer ones are skipped to reach the plugin's name
	 */
	static const u8 lens[] = {0, 8, 20, 21, 22, 40, 255};

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct hs_greeting g, back;
		u8 buf[512];
		struct wr w = wr_init(buf, sizeof buf);
		size_t len_at, extra = lens[i] > 21 ? lens[i] - 21u : 0;

		greeting_of(&g, 0xffffffff);
		hs_greeting_write(&w, &g);
		len_at = PKT_HDR + 1 + g.version.len + 1 + 4 + 9 + 7;
		cr_assert_eq(buf[len_at], 21);
		buf[len_at] = lens[i];
		memmove(buf + len_at + 1 + 10 + 13 + extra, buf + len_at + 1 + 10 + 13,
			w.len - (len_at + 1 + 10 + 13));
		cr_assert_eq(hs_greeting_parse(buf + PKT_HDR, w.len - PKT_HDR + extra, &back), 0);
		cr_assert_arr_eq(back.scramble, g.scramble, 20);
		cr_assert(slice_is(back.plugin, "caching_sha2_password"), "length %d", lens[i]);
	}
}

Test(response, of_real_clients)
{
	struct hs_response r;
	struct hs_greeting g;
	u8 stage1[20], stage2[20];

	cr_assert_eq(hs_greeting_parse(BYTES(REAL_GREETING), &g), 0);
	cr_assert_eq(auth_hash_parse("*462366917EEDD1970A48E87D8EF59EB67D2CA26F", stage2), 0);
	cr_assert_eq(hs_response_parse(BYTES(REAL_RESPONSE_CLI), OFFERED, &r), 0);
	cr_assert_eq(r.caps, 0x00bfa28c & OFFERED);
	cr_assert_eq(r.max_packet, 1u << 20);
	cr_assert_eq(r.charset, 33);
	cr_assert_eq(r.mariadb_caps, 0x1d);
	cr_assert(!r.ssl_request);
	cr_assert(slice_is(r.user, "n") && slice_is(r.db, "test"));
	cr_assert(slice_is(r.plugin, "mysql_native_password"));
	cr_assert_eq(r.attrs.len, 0x7f);
	cr_assert_eq(r.auth.len, 20);
	cr_assert(auth_native_check(r.auth.p, stage2, g.scramble, stage1));

	cr_assert_eq(hs_response_parse(BYTES(REAL_RESPONSE_NOPW), OFFERED, &r), 0);
	cr_assert(slice_is(r.user, "e") && r.auth.len == 0 && r.db.len == 0);
	cr_assert(slice_is(r.plugin, "mysql_native_password"));

	cr_assert_eq(hs_response_parse(BYTES(REAL_RESPONSE_PYMYSQL), OFFERED, &r), 0);
	cr_assert_eq(r.caps, 0x003aa20d & OFFERED);
	cr_assert_eq(r.mariadb_caps, 0, "a MySQL client has none");
	cr_assert_eq(r.max_packet, 0xffffff);
	cr_assert_eq(r.attrs.len, 54);
	cr_assert(auth_native_check(r.auth.p, stage2, g.scramble, stage1));
}

Test(response, written_as_real_clients_write_it)
{
	static const struct {
		const u8 *p;
		size_t n;
	} real[] = {{BYTES(REAL_RESPONSE_CLI)},
		    {BYTES(REAL_RESPONSE_NOPW)},
		    {BYTES(REAL_RESPONSE_PYMYSQL)}};

	for (size_t i = 0; i < ARRAY_LEN(real); i++) {
		struct hs_response r;
		u8 buf[512];
		struct wr w = wr_init(buf, sizeof buf);

		/* offering everything keeps what the client sent */
		cr_assert_eq(hs_response_parse(real[i].p, real[i].n, 0xffffffff, &r), 0);
		hs_response_write(&w, 1, &r);
		cr_assert(!w.bad);
		cr_assert_eq(w.len, PKT_HDR + real[i].n, "case %zu", i);
		cr_assert_arr_eq(buf + PKT_HDR, real[i].p, real[i].n);
		cr_assert_eq(buf[3], 1);
	}
}

static int
parse_response(const u8 *p, size_t n)
{
	struct hs_response r;

	return hs_response_parse(p, n, OFFERED, &r);
}

Test(response, cut)
{
	cut_everywhere(BYTES(REAL_RESPONSE_CLI), parse_response, NULL);
	cut_everywhere(BYTES(REAL_RESPONSE_NOPW), parse_response, NULL);
	cut_everywhere(BYTES(REAL_RESPONSE_PYMYSQL), parse_response, NULL);
}

/* A response with these capabilities and this tail after the 32 fixed bytes, into buf. */
static size_t
response_of(u8 *buf, u32 caps, const void *tail, size_t n)
{
	wr32(buf, caps);
	wr32(buf + 4, 1 << 24);
	buf[8] = 45;
	memset(buf + 9, 0, 23);
	memcpy(buf + 32, tail, n);
	return 32 + n;
}

static int
try_response(u32 caps, const void *tail, size_t n, struct hs_response *r_r)
{
	u8 buf[512], *copy;
	size_t len = response_of(buf, caps, tail, n);
	int rc;

	copy = exact_copy(buf, len);
	rc = hs_response_parse(copy, len, 0xffffffff, r_r);
	free(copy); /* the slices dangle: only their lengths may be looked at */
	return rc;
}

#define BASE            (CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION)
#define TRY(caps, tail) try_response(caps, tail, sizeof(tail) - 1, &r)

Test(response, hostile_lengths)
{
	struct hs_response r;
	u32 full = BASE | CAP_PLUGIN_AUTH | CAP_PLUGIN_AUTH_LENENC | CAP_CONNECT_ATTRS;

	cr_assert_eq(TRY(BASE, "u\0\x14short"), ERR_PROTO);
	cr_assert_eq(TRY(BASE, "u\0\xff"), ERR_PROTO);
	cr_assert_eq(TRY(BASE, "u\0"), ERR_PROTO);
	cr_assert_eq(TRY(BASE, "no end"), ERR_PROTO);
	cr_assert_eq(TRY(BASE, ""), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\xfe\x00\x00\x00\x00\x01\x00\x00\x00p\0\0"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\xfd\xff\xff\xff"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\xfb"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\0p\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\0p\0\xfc\x05"), ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\0p\0\x05"
			       "abc"),
		     ERR_PROTO);
	cr_assert_eq(TRY(full, "u\0\0p\0"), ERR_PROTO, "attributes promised, none there");
	cr_assert_eq(TRY(full, "u\0\0p\0\0"), 0);
}

Test(response, forms_of_auth)
{
	static const u8 token[] = "u\0abc\0tail";
	struct hs_response r;

	cr_assert_eq(TRY(CAP_PROTOCOL_41, "u\0abc\0"), 0);
	cr_assert_eq(r.auth.len, 3);
	cr_assert_eq(TRY(CAP_PROTOCOL_41, "u\0abc"), ERR_PROTO);
	cr_assert_eq(TRY(BASE, "u\0\x03"
			       "abc"),
		     0);
	cr_assert_eq(r.auth.len, 3);
	cr_assert_eq(TRY(BASE | CAP_PLUGIN_AUTH_LENENC, "u\0\xfc\x03\0abc"), 0);
	cr_assert_eq(r.auth.len, 3);
	/* LENENC without SECURE_CONNECTION: the server reads NUL-terminated */
	cr_assert_eq(
	    try_response(CAP_PROTOCOL_41 | CAP_PLUGIN_AUTH_LENENC, token, sizeof token, &r), 0);
	cr_assert_eq(r.auth.len, 3);
}

Test(response, last_string_without_nul)
{
	struct hs_response r;
	u32 db = BASE | CAP_CONNECT_WITH_DB;

	cr_assert_eq(TRY(db, "u\0\0test"), 0);
	cr_assert_eq(r.db.len, 4);
	cr_assert_eq(TRY(db, "u\0\0"), ERR_PROTO, "a database promised, none there");
	cr_assert_eq(TRY(db, "u\0\0\0"), 0);
	cr_assert_eq(r.db.len, 0);
	cr_assert_eq(TRY(db | CAP_PLUGIN_AUTH, "u\0\0test\0plug"), 0);
	cr_assert_eq(r.plugin.len, 4);
	cr_assert_eq(TRY(db | CAP_PLUGIN_AUTH, "u\0\0test\0"), 0);
	cr_assert_eq(r.plugin.len, 0);
	cr_assert_eq(TRY(db | CAP_PLUGIN_AUTH, "u\0\0test\0p\0what else"), 0);
	cr_assert_eq(r.plugin.len, 1);
}

Test(response, capabilities_not_offered_do_not_count)
{
	u8 buf[64];
	size_t len = response_of(buf, BASE | CAP_CONNECT_WITH_DB | CAP_SSL, BYTES("u\0\0test\0"));
	struct hs_response r;

	cr_assert_eq(hs_response_parse(buf, len, BASE, &r), 0);
	cr_assert_eq(r.caps, BASE);
	cr_assert_eq(r.db.len, 0);
	cr_assert_eq(hs_response_parse(buf, 32, BASE, &r), ERR_PROTO,
		     "no SSLRequest unless offered");
}

Test(response, ssl_request)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_response r = {.caps = BASE | CAP_SSL,
				.max_packet = 77,
				.charset = 9,
				.ssl_request = true,
				.user = SLICE("not written")};

	hs_response_write(&w, 1, &r);
	cr_assert_eq(w.len, PKT_HDR + 32);
	cr_assert_eq(hs_response_parse(buf + PKT_HDR, 32, 0xffffffff, &r), 0);
	cr_assert(r.ssl_request);
	cr_assert_eq(r.max_packet, 77);
	cr_assert_eq(r.charset, 9);
	cr_assert_eq(r.user.len, 0);
	for (size_t n = 0; n < 32; n++) {
		u8 *copy = exact_copy(buf + PKT_HDR, n);

		cr_assert_eq(hs_response_parse(copy, n, 0xffffffff, &r), ERR_PROTO);
		free(copy);
	}
	wr32(buf + PKT_HDR, BASE);
	cr_assert_eq(hs_response_parse(buf + PKT_HDR, 32, 0xffffffff, &r), ERR_PROTO);
}

Test(response, before_4_1)
{
	struct hs_response r;

	/* 2 bytes of capabilities, 3 of packet size, user, password */
	cr_assert_eq(hs_response_parse(BYTES("\x85\x24\0\0\0old\0_]QDsR\\C"), 0xffffffff, &r),
		     ERR_PROTO);
	cr_assert_eq(
	    hs_response_parse(BYTES("\x85\x24\0\0\0old\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\0"),
			      0xffffffff, &r),
	    ERR_PROTO);
}

static void
write_response(struct wr *w)
{
	struct hs_response r = {.caps = 0xffffffff & ~CAP_SSL,
				.user = SLICE("user"),
				.auth = SLICE("12345678901234567890"),
				.db = SLICE("db"),
				.plugin = SLICE("mysql_native_password"),
				.attrs = SLICE("\1a\1b")};

	hs_response_write(w, 1, &r);
}

Test(response, overflow)
{
	overflow_everywhere(write_response);
}

static bool
response_bad(const struct hs_response *r)
{
	u8 buf[1024];
	struct wr w = wr_init(buf, sizeof buf);

	hs_response_write(&w, 1, r);
	return w.bad;
}

Test(response, what_cannot_be_written)
{
	static const u8 long_auth[300];
	struct hs_response r = {.caps = BASE | CAP_CONNECT_WITH_DB | CAP_PLUGIN_AUTH,
				.user = SLICE("u")};

	cr_assert(!response_bad(&r));
	r.db = SLICE("a\0root");
	cr_assert(response_bad(&r));
	r.db = SLICE("a");
	r.user = SLICE("a\0b");
	cr_assert(response_bad(&r));
	r.user = SLICE("a");
	r.plugin = SLICE("\0");
	cr_assert(response_bad(&r));
	r.plugin = SLICE("");
	r.auth = (struct slice){long_auth, 255};
	cr_assert(!response_bad(&r));
	r.auth.len = 256;
	cr_assert(response_bad(&r));
	r.caps |= CAP_PLUGIN_AUTH_LENENC;
	cr_assert(!response_bad(&r));
	r.caps &= ~CAP_SECURE_CONNECTION;
	cr_assert(response_bad(&r), "NULs in a NUL-terminated auth");
}

Test(auth_switch, of_a_real_server)
{
	struct slice plugin, data;
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);

	cr_assert_eq(hs_auth_switch_parse(BYTES(REAL_SWITCH), &plugin, &data), 0);
	cr_assert(slice_is(plugin, "mysql_native_password"));
	cr_assert(slice_is(data, "~rB3w!74=uW4;m3V6IO2"));
	hs_auth_switch_write(&w, 2, "mysql_native_password", data.p, 20);
	cr_assert_eq(w.len, PKT_HDR + sizeof REAL_SWITCH - 1);
	cr_assert_arr_eq(buf + PKT_HDR, REAL_SWITCH, sizeof REAL_SWITCH - 1);
	cr_assert_eq(buf[3], 2);
}

/* What auth_ed25519.so sends (measured): no NUL behind the nonce. */
Test(auth_switch, of_ed25519)
{
	struct slice plugin, data;
	u8 buf[64], nonce[32];
	struct wr w = wr_init(buf, sizeof buf);

	memset(nonce, 0xe7, sizeof nonce);
	nonce[31] = 0;
	hs_auth_switch_write(&w, 2, "client_ed25519", nonce, sizeof nonce);
	cr_assert_eq(w.len, PKT_HDR + 1 + sizeof "client_ed25519" + 32);
	cr_assert_eq(hs_auth_switch_parse(buf + PKT_HDR, w.len - PKT_HDR, &plugin, &data), 0);
	cr_assert(slice_is(plugin, "client_ed25519"));
	cr_assert_eq(data.len, 32);
	cr_assert_arr_eq(data.p, nonce, 32);
}

static int
parse_switch(const u8 *p, size_t n)
{
	struct slice plugin, data;

	return hs_auth_switch_parse(p, n, &plugin, &data);
}

static void
write_switch(struct wr *w)
{
	hs_auth_switch_write(w, 2, "mysql_native_password", (const u8 *)"~rB3w!74=uW4;m3V6IO2", 20);
}

Test(auth_switch, odd_ones)
{
	struct slice plugin, data;
	size_t fine[32], n = 0, name = 1 + sizeof "mysql_native_password";

	/* data of any length is for the plugin to judge */
	for (size_t at = name; at < sizeof REAL_SWITCH - 1; at++)
		fine[n++] = at;
	fine[n] = SIZE_MAX;
	cut_everywhere(BYTES(REAL_SWITCH), parse_switch, fine);
	cr_assert_eq(parse_switch(BYTES("\xfe")), ERR_BACKEND_PROTO, "the pre-4.1 method");
	cr_assert_eq(parse_switch(BYTES("\x00mysql_native_password\0")), ERR_BACKEND_PROTO);
	cr_assert_eq(hs_auth_switch_parse(BYTES("\xfe"
						"dialog\0Password: "),
					  &plugin, &data),
		     0);
	cr_assert(slice_is(data, "Password: "));
	cr_assert_eq(hs_auth_switch_parse(BYTES("\xfe"
						"p\0aaaaaaaaaaaaaaaaaaaab"),
					  &plugin, &data),
		     0);
	cr_assert_eq(data.len, 21, "only a NUL is cut off");
	overflow_everywhere(write_switch);
}
