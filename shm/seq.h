/* shm/seq.h: sequence-locked records: one writer, readers that never wait. The payload is copied in
 * atomic 64-bit words, so that a torn copy is seen by the counter and is no data race. Each word is stored with release
 * and loaded with acquire in place of fences, which ThreadSanitizer does not know: a reader that saw one word of a
 * write also sees its odd count. On x86-64 the instructions are those of relaxed accesses. Any process.
 * Odd: a write is under way. A reader retries a bounded number of times: the writer may have died in the
 * middle, and then the count stays odd until its successor calls seq_repair.
 */
#ifndef MARGAY_SHM_SEQ_H
#define MARGAY_SHM_SEQ_H
#include "base/base.h"
#include "base/err.h"

#define SHM_SEQ_TRIES 64 /* a write takes well under a microsecond; more tries only burn time */

static inline void
seq_words_store(void *dst, const void *src, size_t bytes)
{
	u64 *d = dst, w;

	for (size_t i = 0; i < bytes / 8; i++) {
		memcpy(&w, (const u8 *)src + i * 8, 8);
		__atomic_store_n(&d[i], w, __ATOMIC_RELEASE);
	}
}
static inline void
seq_words_load(void *dst, const void *src, size_t bytes)
{
	const u64 *s = src;
	u64 w;

	for (size_t i = 0; i < bytes / 8; i++) {
		w = __atomic_load_n(&s[i], __ATOMIC_ACQUIRE);
		memcpy((u8 *)dst + i * 8, &w, 8);
	}
}
/* Writer: begin, any number of seq_words_store into the record, end. */
static inline void
seq_write_begin(u64 *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELAXED);
}
static inline void
seq_write_end(u64 *seq)
{
	__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}
/* A new writer of an old record: an odd count left by a dead one becomes even. */
static inline void
seq_repair(u64 *seq)
{
	if (*seq & 1)
		__atomic_store_n(seq, *seq + 1, __ATOMIC_RELEASE);
}
/* Copies `bytes` (a multiple of 8) guarded by *seq. 0, or ERR_STALE: dst is undefined, keep the last copy. */
MUST_CHECK static inline int
seq_read(const u64 *seq, void *dst, const void *src, size_t bytes)
{
	for (int i = 0; i < SHM_SEQ_TRIES; i++) {
		u64 a = __atomic_load_n(seq, __ATOMIC_ACQUIRE);

		if (a & 1)
			continue;
		seq_words_load(dst, src, bytes);
		if (__atomic_load_n(seq, __ATOMIC_RELAXED) == a)
			return 0;
	}
	return ERR_STALE;
}

/* Counters of a single writer: no locked instruction. */
#define STAT_ADD(c, v) __atomic_store_n(&(c), (c) + (u64)(v), __ATOMIC_RELAXED)
#define STAT_SET(c, v) __atomic_store_n(&(c), (v), __ATOMIC_RELAXED)
#define STAT_GET(c)    __atomic_load_n(&(c), __ATOMIC_RELAXED)
#endif
