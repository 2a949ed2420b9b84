/* base/str.h: small string helpers with explicit sizes and errors. Any process. */
#ifndef MARGAY_BASE_STR_H
#define MARGAY_BASE_STR_H
#include "base/base.h"

/* Copies at most size-1 bytes and always terminates. Returns false when src did not fit (it is cut). */
bool str_copy(char *dst, size_t size, const char *src);
bool str_copy_slice(char *dst, size_t size, const void *src, size_t len);
/* Whole string must be a decimal number. 0, or ERR_INVAL (empty, other characters, overflow). */
MUST_CHECK int str_to_u64(const char *s, u64 *v_r);
/* Case-insensitive ASCII comparison of slices; no locale. */
bool str_ieq(const char *a, const char *b);
bool slice_ieq(const void *a, size_t alen, const char *b);
static inline bool
slice_eq(const void *a, size_t alen, const void *b, size_t blen)
{
	return alen == blen && memcmp(a, b, alen) == 0;
}
/* "host:port", "[v6]:port", "host" (3306) or "/path" (port 0). 0 or ERR_INVAL. */
MUST_CHECK int address_split(const char *address, char *host, size_t size, u32 *port_r);
/* hex must hold 2*len+1. Upper case, as MySQL writes password hashes. */
void hex_encode(char *hex, const void *data, size_t len);
/* Exactly 2*len hex digits expected at hex. 0 or ERR_INVAL. */
MUST_CHECK int hex_decode(void *data, size_t len, const char *hex, size_t hexlen);
/* Levenshtein distance, at most 64 characters of each; for "did you mean". */
unsigned str_distance(const char *a, const char *b);
/* Overwrites secrets; not optimised away. */
void mem_wipe(void *p, size_t n);
#endif
