/* proto/proxyproto.c: see proxyproto.h. */
#include "proto/proxyproto.h"
#include <arpa/inet.h> /* inet_pton: memory in, memory out */

static const u8 v1_begin[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const u8 v2_begin[] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
#define V2_FIXED   16 /* signature, version and command, family, length */
#define SEQ_AT     3  /* a packet has its sequence id there, which is 1 in the first one of a login */

static enum proxy_found
bad(struct proxy_header *h, const char *why)
{
	h->why = why;
	return PROXY_BAD;
}

/* The next word of [*p, end) as text; words stand one blank apart. */
static bool
word(const char **p, const char *end, char *out, size_t size)
{
	const char *blank = memchr(*p, ' ', (size_t)(end - *p)), *stop = blank != NULL ? blank : end;
	size_t n = (size_t)(stop - *p);

	if (n == 0 || n >= size || memchr(*p, '\0', n) != NULL)
		return false;
	memcpy(out, *p, n);
	out[n] = '\0';
	*p = blank != NULL ? blank + 1 : end;
	return true;
}

static bool
port(const char *text, u16 *port_r)
{
	u32 n = 0;

	if (text[0] == '0' && text[1] != '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (u32)(*text - '0');
		if (n > 65535)
			return false;
	}
	*port_r = (u16)n;
	return true;
}

/* "TCP4 source destination port port", or "UNKNOWN" and anything. */
static enum proxy_found
line(const char *p, const char *end, struct proxy_header *h)
{
	char kind[8], text[2][48], num[2][8];
	u8 to[16];
	u16 to_port;

	if (!word(&p, end, kind, sizeof kind))
		return bad(h, "no kind of address");
	if (strcmp(kind, "UNKNOWN") == 0)
		return PROXY_WHOLE;
	if (strcmp(kind, "TCP4") != 0 && strcmp(kind, "TCP6") != 0)
		return bad(h, "neither TCP4 nor TCP6 nor UNKNOWN");
	h->family = kind[3] == '4' ? 4 : 6;
	for (int i = 0; i < 2; i++)
		if (!word(&p, end, text[i], sizeof text[i]) ||
		    inet_pton(h->family == 4 ? AF_INET : AF_INET6, text[i], i == 0 ? h->addr : to) != 1)
			return bad(h, "malformed address");
	if (!word(&p, end, num[0], sizeof num[0]) || !word(&p, end, num[1], sizeof num[1]) || p != end ||
	    end[-1] == ' ' || !port(num[0], &h->port) || !port(num[1], &to_port))
		return bad(h, "malformed port");
	return PROXY_WHOLE;
}

static enum proxy_found
parse_v1(const u8 *p, size_t len, struct proxy_header *h)
{
	const u8 *lf = memchr(p, '\n', MIN(len, (size_t)PROXY_V1_MAX));

	if (lf == NULL)
		return len < PROXY_V1_MAX ? PROXY_MORE : bad(h, "line without end");
	if (lf[-1] != '\r')
		return bad(h, "line does not end with CR LF");
	h->len = (size_t)(lf + 1 - p);
	return line((const char *)p + sizeof v1_begin, (const char *)lf - 1, h);
}

static u16
be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static enum proxy_found
parse_v2(const u8 *p, size_t len, struct proxy_header *h)
{
	const u8 *at = p + V2_FIXED;
	size_t body;

	if (len < V2_FIXED)
		return PROXY_MORE;
	body = be16(p + 14);
	if (p[12] >> 4 != 2)
		return bad(h, "unknown version");
	if ((p[12] & 15) > 1)
		return bad(h, "unknown command");
	if (V2_FIXED + body > PROXY_V2_MAX)
		return bad(h, "too long");
	if (len < V2_FIXED + body)
		return PROXY_MORE;
	h->len = V2_FIXED + body;
	if ((p[12] & 15) == 0)
		return PROXY_WHOLE; /* LOCAL: what follows is to be ignored */
	switch (p[13]) {
	case 0x00: /* UNSPEC */
		return PROXY_WHOLE;
	case 0x11: /* IPv4, stream: addresses of 4 bytes, ports of 2 */
	case 0x21: { /* IPv6, stream */
		size_t n = p[13] == 0x11 ? 4 : 16;

		if (body < 2 * n + 4)
			return bad(h, "too short for its addresses");
		h->family = n == 4 ? 4 : 6;
		memcpy(h->addr, at, n);
		h->port = be16(at + 2 * n);
		return PROXY_WHOLE;
	}
	case 0x31: /* Unix, stream: two paths of 108 bytes */
		if (body < 216)
			return bad(h, "too short for its addresses");
		h->family = 1;
		return PROXY_WHOLE;
	default:
		return bad(h, "not a stream over IPv4, IPv6 or a Unix socket");
	}
}

enum proxy_found
proxy_parse(const u8 *p, size_t len, struct proxy_header *h_r)
{
	size_t n1 = MIN(len, sizeof v1_begin), n2 = MIN(len, sizeof v2_begin);
	bool v1 = memcmp(p, v1_begin, n1) == 0, v2 = memcmp(p, v2_begin, n2) == 0;

	memset(h_r, 0, sizeof *h_r);
	if (!v1 && !v2) {
		/* the rest of the signature is wrong */
		if (len > SEQ_AT && (memcmp(p, v1_begin, SEQ_AT + 1) == 0 || memcmp(p, v2_begin, SEQ_AT + 1) == 0))
			return bad(h_r, "malformed signature");
		return PROXY_NONE;
	}
	if ((v1 && n1 < sizeof v1_begin) || (v2 && n2 < sizeof v2_begin))
		return PROXY_MORE;
	return v1 ? parse_v1(p, len, h_r) : parse_v2(p, len, h_r);
}

size_t
proxy_write(u8 out[PROXY_OUT], u8 family, const u8 *addr)
{
	size_t n = family == 4 ? 4 : family == 6 ? 16 : 0;
	size_t body = n == 0 ? 0 : 2 * n + 4;

	memset(out, 0, PROXY_OUT);
	memcpy(out, v2_begin, sizeof v2_begin);
	out[12] = n == 0 ? 0x20 : 0x21;
	out[13] = n == 0 ? 0x00 : n == 4 ? 0x11 : 0x21;
	out[15] = (u8)body;
	if (n > 0)
		memcpy(out + V2_FIXED, addr, n);
	return V2_FIXED + body;
}
