/* router/place_java.h: what Java does to a text before a sharding function sees a number or a hash: UTF-16 units, Long.parseLong,
 * String.hashCode. Pure; shared by router/place*.c only.
 */
#ifndef MARGAY_ROUTER_PLACE_JAVA_H
#define MARGAY_ROUTER_PLACE_JAVA_H
#include "base/base.h"

/* The UTF-16 units of a text in UTF-8; what is no UTF-8 gives U+FFFD, as Java's decoder does. */
struct units {
	const u8 *p, *end;
	u32 low; /* the second unit of a pair that is still to come, 0: none */
};

static inline struct units
units_of(const char *text, size_t len)
{
	return (struct units){.p = (const u8 *)text, .end = (const u8 *)text + len};
}

int units_next(struct units *u); /* -1: no more */
size_t units_count(const char *text, size_t len);

enum java_num {
	JAVA_NUM,
	JAVA_NOT_A_NUMBER,
	JAVA_OVERFLOW,
};

int java_digit(int unit); /* Character.digit(unit, 10): -1 for none */
enum java_num java_units_long(struct units u, size_t n, int64_t *v_r);
enum java_num java_long(const char *text, size_t len, int64_t *v_r);
enum java_num java_int(const char *text, size_t len, int64_t *v_r);
/* |BigInteger(text)| mod count; false: the text is no integer. */
bool java_big_mod(const char *text, size_t len, u32 count, u32 *v_r);
u32 java_hash(const char *text, size_t len);
/* The 64-bit hash of the units [start, end); end <= 0 and start < 0 count from the end of the text. */
u64 java_slice_hash(const char *text, size_t len, i64 start, i64 end);
u32 java_murmur3(u32 seed, const char *text, size_t len);
u32 java_crc32(const char *text, size_t len);
/* String.trim() */
void java_trim(const char **text, size_t *len);
#endif
