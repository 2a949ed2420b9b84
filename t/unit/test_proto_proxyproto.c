/* Unit tests of proto/proxyproto: headers as the specification has them, every cut, and what is none. */
#include "t/unit/proto_util.h"
#include "proto/proxyproto.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define V4  SIG "\x21\x11\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea"

static enum proxy_found
parse(const u8 *p, size_t n, struct proxy_header *h)
{
	u8 *copy = exact_copy(p, n);
	enum proxy_found f = proxy_parse(copy, n, h);

	free(copy);
	return f;
}

/* Whole as it stands and with a packet behind it; with each byte less there is more to come. */
static void
is(const u8 *p, size_t n, u8 family, const char *addr, u16 port)
{
	u8 *more = malloc(n + 9);
	struct proxy_header h;

	cr_assert_not_null(more);
	memcpy(more, p, n);
	memcpy(more + n, "\x05\x00\x00\x01hello", 9);
	for (size_t k = 0; k <= n + 9; k++) {
		enum proxy_found f = parse(more, k, &h);

		cr_assert_eq(f, k < n ? PROXY_MORE : PROXY_WHOLE, "%zu of %zu bytes: %d", k, n, f);
		if (k < n)
			continue;
		cr_assert_eq(h.len, n);
		cr_assert_eq(h.family, family);
		cr_assert_eq(h.port, port);
		cr_assert_arr_eq(h.addr, addr, family == 4 ? 4 : family == 6 ? 16 : 0);
	}
	free(more);
}

static void
is_bad(const u8 *p, size_t n, const char *why)
{
	struct proxy_header h;

	cr_assert_eq(parse(p, n, &h), PROXY_BAD, "\"%.*s\"", (int)n, (const char *)p);
	cr_assert_not_null(strstr(h.why, why), "%s", h.why);
}

Test(proxyproto, lines)
{
	is(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306\r\n"), 4, "\x0a\x01\x02\x03", 4711);
	is(BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), 4, "\xff\xff\xff\xff", 65535);
	is(BYTES("PROXY TCP6 fd00::7 ::1 0 1\r\n"), 6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 0);
	is(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    6, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 65535);
	is(BYTES("PROXY UNKNOWN\r\n"), 0, "", 0);
	/* the longest line there is */
	is(BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	    0, "", 0);
}

Test(proxyproto, lines_that_are_wrong)
{
	u8 one_more[PROXY_V1_MAX + 1];

	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306\n"), "CR LF");
	is_bad(BYTES("PROXY \r\n"), "kind");
	is_bad(BYTES("PROXY UDP4 10.1.2.3 10.0.0.1 4711 3306\r\n"), "neither");
	is_bad(BYTES("PROXY tcp4 10.1.2.3 10.0.0.1 4711 3306\r\n"), "neither");
	is_bad(BYTES("PROXY UNKNOWN2\r\n"), "kind");
	is_bad(BYTES("PROXY TCP4 10.1.2.256 10.0.0.1 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP4 fd00::7 ::1 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP6 10.1.2.3 10.0.0.1 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP4  10.1.2.3 10.0.0.1 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP4 10.1.2.3\0 10.0.0.1 4711 3306\r\n"), "address");
	is_bad(BYTES("PROXY TCP4\r\n"), "address");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 65536 3306\r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711 99999999\r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 04711 3306\r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 -1 3306\r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711\r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306 \r\n"), "port");
	is_bad(BYTES("PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306 x\r\n"), "port");
	is_bad(BYTES("PROXYTCP4"), "signature");
	is_bad(BYTES("PROXIMA"), "signature");
	memset(one_more, 'x', sizeof one_more);
	memcpy(one_more, "PROXY UNKNOWN ", 14);
	memcpy(one_more + sizeof one_more - 2, "\r\n", 2);
	is_bad(one_more, sizeof one_more, "without end");
	is_bad(one_more, PROXY_V1_MAX, "without end");
}

Test(proxyproto, binary)
{
	static u8 unix_pair[16 + 216 + 3] = SIG "\x21\x31\x00\xdb/tmp/a";
	static u8 longest[PROXY_V2_MAX] = SIG "\x21\x11\x0f\xf0\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea\x04\x0f\xe1";

	is(BYTES(V4), 4, "\x0a\x01\x02\x03", 4711);
	is(BYTES(SIG "\x21\x11\x00\x12\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea\x04\x00\x03xyz"), 4, "\x0a\x01\x02\x03", 4711);
	is(BYTES(SIG "\x21\x21\x00\x24" "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" "\xff\xff\x0c\xea"),
	    6, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7", 65535);
	is(unix_pair, sizeof unix_pair, 1, "", 0);
	is(BYTES(SIG "\x20\x00\x00\x00"), 0, "", 0);
	is(BYTES(SIG "\x20\x11\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea"), 0, "", 0);
	is(BYTES(SIG "\x20\xff\x00\x01x"), 0, "", 0); /* LOCAL: whatever it is */
	is(BYTES(SIG "\x21\x00\x00\x00"), 0, "", 0);
	is(BYTES(SIG "\x21\x00\x00\x03xyz"), 0, "", 0);
	is(longest, sizeof longest, 4, "\x0a\x01\x02\x03", 4711);
}

Test(proxyproto, binary_that_is_wrong)
{
	is_bad(BYTES(SIG "\x11\x11\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea"), "version");
	is_bad(BYTES(SIG "\x31\x11\x00\x0c"), "version");
	is_bad(BYTES(SIG "\x22\x11\x00\x0c"), "command");
	is_bad(BYTES(SIG "\x21\x11\x0f\xf1"), "too long");
	is_bad(BYTES(SIG "\x21\x11\xff\xff"), "too long");
	is_bad(BYTES(SIG "\x21\x11\x00\x0b\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c"), "too short");
	is_bad(BYTES(SIG "\x21\x21\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea"), "too short");
	is_bad(BYTES(SIG "\x21\x31\x00\x02/a"), "too short");
	is_bad(BYTES(SIG "\x21\x12\x00\x0c\x0a\x01\x02\x03\x0a\x00\x00\x01\x12\x67\x0c\xea"), "stream");
	is_bad(BYTES(SIG "\x21\x41\x00\x00"), "stream");
	is_bad(BYTES("\r\n\r\n\0\r\nQUIZ\n"), "signature");
	is_bad(BYTES("\r\n\r\nGET"), "signature");
}

Test(proxyproto, written)
{
	static const u8 addr[16] = {10, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const u8 families[] = {4, 6, 1, 0};
	u8 out[PROXY_OUT];
	struct proxy_header h;

	for (size_t i = 0; i < sizeof families; i++) {
		size_t n = proxy_write(out, families[i], families[i] < 4 ? NULL : addr), want[] = {28, 52, 16, 16};

		cr_assert_eq(n, want[i]);
		cr_assert_eq(parse(out, n, &h), PROXY_WHOLE);
		cr_assert_eq(h.len, n);
		cr_assert_eq(h.family, families[i] < 4 ? 0 : families[i]);
		cr_assert_arr_eq(h.addr, addr, families[i] == 4 ? 4 : families[i] == 6 ? 16 : 0);
		cr_assert_eq(h.port, 0);
	}
}

Test(proxyproto, none)
{
	static const struct {
		const u8 *p;
		size_t n;
	} other[] = {{BYTES("\x50\x00\x00\x01")}, {BYTES("PROY")}, {BYTES("PRO\x01")}, {BYTES("\r\n\r\x01")},
	    {BYTES("GET / HTTP/1.1\r\n\r\n")}, {BYTES("x")}, {BYTES("\r\r")}};
	struct proxy_header h;

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		cr_assert_eq(parse(other[i].p, other[i].n, &h), PROXY_NONE, "%zu", i);
	/* a packet of 0x50 bytes, or of 13, may still become one */
	cr_assert_eq(parse(BYTES("P"), &h), PROXY_MORE);
	cr_assert_eq(parse(BYTES("\r\n"), &h), PROXY_MORE);
}
