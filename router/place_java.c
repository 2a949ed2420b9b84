/* router/place_java.c: see place_java.h. Arithmetic that overflows in Java wraps there; here it is done on unsigned types. */
#include "router/place_java.h"

static int
decode(struct units *u)
{
	u32 c = *u->p++, lo = 0x80, hi = 0xbf, more;

	if (c < 0x80)
		return (int)c;
	if (c < 0xc2 || c > 0xf4)
		return 0xfffd;
	more = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	/* the second byte decides whether the form is the shortest, no surrogate, and below U+110000 */
	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	c &= 0x7fu >> (more + 1);
	for (; more > 0; more--, lo = 0x80, hi = 0xbf) {
		if (u->p == u->end || *u->p < lo || *u->p > hi)
			return 0xfffd;
		c = c << 6 | (*u->p++ & 0x3fu);
	}
	return (int)c;
}

int
units_next(struct units *u)
{
	int c;

	if (u->low != 0) {
		c = (int)u->low;
		u->low = 0;
		return c;
	}
	if (u->p == u->end)
		return -1;
	c = decode(u);
	if (c < 0x10000)
		return c;
	u->low = 0xdc00u | ((u32)(c - 0x10000) & 0x3ff);
	return 0xd800 | (c - 0x10000) >> 10;
}

size_t
units_count(const char *text, size_t len)
{
	struct units u = units_of(text, len);
	size_t n = 0;

	while (units_next(&u) >= 0)
		n++;
	return n;
}

/* The zeros of the decimal digits of the basic plane, Unicode 13 (Java 17); in order. */
static const u16 zeros[] = {0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
	0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900,
	0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10};

int
java_digit(int unit)
{
	if (unit < 0x80)
		return unit >= '0' && unit <= '9' ? unit - '0' : -1;
	for (size_t i = 1; i < sizeof zeros / sizeof *zeros; i++)
		if (unit >= zeros[i] && unit <= zeros[i] + 9)
			return unit - zeros[i];
	return -1;
}

enum java_num
java_units_long(struct units u, size_t n, int64_t *v_r)
{
	int c = n > 0 ? units_next(&u) : -1;
	bool neg = c == '-', over = false;
	u64 v = 0, most = neg ? (u64)INT64_MAX + 1 : (u64)INT64_MAX;

	if (c == '-' || c == '+') {
		c = --n > 0 ? units_next(&u) : -1;
	}
	if (c < 0)
		return JAVA_NOT_A_NUMBER;
	for (; n > 0 && c >= 0; c = --n > 0 ? units_next(&u) : -1) {
		int d = java_digit(c);

		if (d < 0)
			return JAVA_NOT_A_NUMBER;
		if (v > (most - (u64)d) / 10)
			over = true;
		else
			v = v * 10 + (u64)d;
	}
	if (over)
		return JAVA_OVERFLOW;
	*v_r = (int64_t)(neg ? 0 - v : v);
	return JAVA_NUM;
}

enum java_num
java_long(const char *text, size_t len, int64_t *v_r)
{
	return java_units_long(units_of(text, len), SIZE_MAX, v_r);
}

enum java_num
java_int(const char *text, size_t len, int64_t *v_r)
{
	enum java_num rc = java_long(text, len, v_r);

	return rc == JAVA_NUM && (*v_r < INT32_MIN || *v_r > INT32_MAX) ? JAVA_OVERFLOW : rc;
}

bool
java_big_mod(const char *text, size_t len, u32 count, u32 *v_r)
{
	struct units u = units_of(text, len);
	int c = units_next(&u);
	u64 v = 0;

	if (c == '-' || c == '+')
		c = units_next(&u);
	if (c < 0)
		return false;
	for (; c >= 0; c = units_next(&u)) {
		int d = java_digit(c);

		if (d < 0)
			return false;
		v = (v * 10 + (u64)d) % count;
	}
	*v_r = (u32)v;
	return true;
}

u32
java_hash(const char *text, size_t len)
{
	struct units u = units_of(text, len);
	u32 h = 0;

	for (int c; (c = units_next(&u)) >= 0;)
		h = h * 31 + (u32)c;
	return h;
}

u64
java_slice_hash(const char *text, size_t len, i64 start, i64 end)
{
	struct units u = units_of(text, len);
	u64 h = 0;

	if (start < 0 || end <= 0) {
		i64 n = (i64)units_count(text, len);

		start += start < 0 ? n : 0;
		end += end <= 0 ? n : 0;
	}
	for (i64 at = 0; at < end; at++) {
		int c = units_next(&u);

		if (c < 0)
			break;
		if (at >= start)
			h = h * 31 + (u32)c;
	}
	return h;
}

static u32
rotl(u32 v, unsigned by)
{
	return v << by | v >> (32 - by);
}

u32
java_murmur3(u32 seed, const char *text, size_t len)
{
	struct units u = units_of(text, len);
	u32 h = seed, n = 0;

	for (int c; (c = units_next(&u)) >= 0;) {
		int second = units_next(&u);
		u32 k = ((u32)c | (second >= 0 ? (u32)second << 16 : 0)) * 0xcc9e2d51u;

		h ^= rotl(k, 15) * 0x1b873593u;
		n += second >= 0 ? 4 : 2;
		if (second >= 0)
			h = rotl(h, 13) * 5 + 0xe6546b64u;
	}
	h ^= n;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	return h ^ h >> 16;
}

static u32
crc_byte(u32 crc, u32 b)
{
	crc ^= b & 0xff;
	for (int i = 0; i < 8; i++)
		crc = crc >> 1 ^ (0xedb88320u & (0 - (crc & 1)));
	return crc;
}

/* Over the UTF-8 that Java writes: that of U+FFFD where the text was no UTF-8. */
u32
java_crc32(const char *text, size_t len)
{
	struct units u = units_of(text, len);
	u32 crc = ~0u;

	while (u.p != u.end) {
		const u8 *from = u.p;

		if (decode(&u) == 0xfffd)
			crc = crc_byte(crc_byte(crc_byte(crc, 0xef), 0xbf), 0xbd);
		else
			for (; from < u.p; from++)
				crc = crc_byte(crc, *from);
	}
	return ~crc;
}

void
java_trim(const char **text, size_t *len)
{
	for (; *len > 0 && (u8)**text <= ' '; ++*text)
		--*len;
	while (*len > 0 && (u8)(*text)[*len - 1] <= ' ')
		--*len;
}
