/* base/str.c: see str.h. */
#include "base/str.h"
#include "base/err.h"

bool
str_copy_slice(char *dst, size_t size, const void *src, size_t len)
{
	size_t n = MIN(len, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
	return n == len;
}

bool
str_copy(char *dst, size_t size, const char *src)
{
	return str_copy_slice(dst, size, src, strlen(src));
}

int
str_to_u64(const char *s, u64 *v_r)
{
	u64 v = 0;

	if (*s == '\0')
		return ERR_INVAL;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return ERR_INVAL;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (u64)(*s - '0'), &v))
			return ERR_INVAL;
	}
	*v_r = v;
	return 0;
}

static inline int
lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool
slice_ieq(const void *a, size_t alen, const char *b)
{
	const u8 *p = a;
	size_t i;

	for (i = 0; i < alen; i++)
		if (b[i] == '\0' || lower(p[i]) != lower((u8)b[i]))
			return false;
	return b[i] == '\0';
}

bool
str_ieq(const char *a, const char *b)
{
	return slice_ieq(a, strlen(a), b);
}

void
hex_encode(char *hex, const void *data, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	const u8 *p = data;

	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digits[p[i] >> 4];
		hex[2 * i + 1] = digits[p[i] & 15];
	}
	hex[2 * len] = '\0';
}

static int
nibble(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
hex_decode(void *data, size_t len, const char *hex, size_t hexlen)
{
	u8 *p = data;

	if (hexlen != 2 * len)
		return ERR_INVAL;
	for (size_t i = 0; i < len; i++) {
		int h = nibble((u8)hex[2 * i]), l = nibble((u8)hex[2 * i + 1]);
		if (h < 0 || l < 0)
			return ERR_INVAL;
		p[i] = (u8)(h << 4 | l);
	}
	return 0;
}

#define DIST_MAX 64 /* longer names than any option has */
unsigned
str_distance(const char *a, const char *b)
{
	unsigned row[DIST_MAX + 1];
	size_t la = MIN(strlen(a), DIST_MAX), lb = MIN(strlen(b), DIST_MAX);

	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diag = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned cost = diag + (lower((u8)a[i - 1]) != lower((u8)b[j - 1]));

			diag = row[j];
			row[j] = MIN(MIN(row[j] + 1, row[j - 1] + 1), cost);
		}
	}
	return row[lb];
}

void
mem_wipe(void *p, size_t n)
{
	memset(p, 0, n);
	__asm__ __volatile__("" : : "r"(p) : "memory");
}

int
address_split(const char *address, char *host, size_t size, u32 *port_r)
{
	const char *end, *colon = NULL, *from = address;
	u64 port = 3306;

	*port_r = 0;
	if (address[0] == '/')
		return str_copy(host, size, address) ? 0 : ERR_INVAL;
	if (address[0] == '[') {
		end = strchr(++from, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return ERR_INVAL;
		if (end[1] == ':')
			colon = end + 1;
	} else {
		colon = strrchr(address, ':');
		/* More than one colon and no brackets: a bare IPv6 address. */
		if (colon != NULL && strchr(address, ':') != colon)
			colon = NULL;
		end = colon != NULL ? colon : address + strlen(address);
	}
	if (colon != NULL && (str_to_u64(colon + 1, &port) != 0 || port == 0 || port > 65535))
		return ERR_INVAL;
	if (end == from || !str_copy_slice(host, size, from, (size_t)(end - from)))
		return ERR_INVAL;
	*port_r = (u32)port;
	return 0;
}
