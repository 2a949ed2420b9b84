/* parser/words.c: finds keywords and built-in functions. Constant data only. Any process. */
#include "parser/words.h"
#include "parser/words.inc"

/* Letters are folded by setting bit 5: of the bytes that words are made of this maps A-Z to a-z,
 * '_' to 0x7f and leaves digits, '$' and the high bit of other bytes alone, so nothing else folds
 * to a word.
 */
#define FOLD8 0x2020202020202020ull

static inline u32
word_hash(const u8 *p, size_t n)
{
	u32 second = n > 1 ? p[1] | 0x20u : 0;

	return ((p[0] | 0x20u) * 37 + second * 613 + (p[n / 2] | 0x20u) * 1291 +
		(p[n - 1] | 0x20u) * 151 + (u32)n * 2053) %
	       WORD_SLOTS;
}

static inline u64
load8(const void *p)
{
	u64 v;

	memcpy(&v, p, 8);
	return v;
}

/* The first n bytes at p, n at most 8, the others zero. Loads eight where the text has them. */
static inline u64
load_upto(const u8 *p, size_t n, const u8 *end)
{
	u64 v = 0;

	if (end - p >= 8)
		return load8(p) & (~0ull >> (64 - 8 * n));
	memcpy(&v, p, n);
	return v;
}

static inline bool
word_is(const struct word *w, const u8 *p, size_t len, const u8 *end)
{
	size_t i = 0;

	if (w->len != len)
		return false;
	for (; len - i > 8; i += 8)
		if ((load8(p + i) | FOLD8) != (load8(w->text + i) | FOLD8))
			return false;
	return (load_upto(p + i, len - i, end) | FOLD8) == (load8(w->text + i) | FOLD8);
}

const struct word *
word_find(const u8 *p, size_t len, const u8 *end)
{
	u32 h;

	if (len == 0 || len > WORD_MAX)
		return NULL;
	for (h = word_hash(p, len); word_slots[h]; h = (h + 1) % WORD_SLOTS)
		if (word_is(&sql_words[word_slots[h] - 1], p, len, end))
			return &sql_words[word_slots[h] - 1];
	return NULL;
}
