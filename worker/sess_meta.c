/* worker/sess_meta.c: column definitions on their way to a client that caches them (MCAP_CACHE_METADATA): held until all
 * are there, since the packet ahead of them says whether they follow, and left out when they are what the client was
 * told last for the statement. Servers are not asked for this: what one connection has told says nothing of what a
 * client knows. Rule: mariadb.com/kb/en/result-set-packets/; what 10.11 does was compared (t/sys/test_metadata.py).
 * Runs in a worker.
 */
#include <xxhash.h>
#include "worker/sess.h"

/* A statement with more than this is told in full each time: some hundred columns with long names. */
#define META_MAX (64u << 10)

void
meta_drop(struct sess *s)
{
	free(s->meta);
	s->meta = NULL;
}

bool
meta_begin(struct sess *s, u8 seq, u32 ncols, bool held)
{
	meta_drop(s);
	s->meta = malloc(sizeof *s->meta);
	if (s->meta == NULL)
		return false;
	*s->meta = (struct meta){.seq = seq, .ncols = ncols, .held = held};
	return true;
}

bool
meta_add(struct sess *s, const u8 *p, size_t len)
{
	struct meta *m = s->meta;

	if (len > META_MAX - m->len)
		return false;
	if (m->len + len > m->cap) {
		size_t cap = MAX((size_t)1024, m->cap * 2);

		cap = MIN(MAX(cap, m->len + len), (size_t)META_MAX);
		m = realloc(m, sizeof *m + cap);
		if (m == NULL)
			return false;
		m->cap = cap;
		s->meta = m;
	}
	memcpy(m->p + m->len, p, len);
	m->len += len;
	return true;
}

u64
meta_hash(const struct sess *s)
{
	const struct meta *m = s->meta;
	u64 h = m->ncols;

	/* bodies only: sequence ids differ from one reply to the next */
	for (size_t at = 0; at + PKT_HDR <= m->len;) {
		size_t n = MIN((size_t)rd24(m->p + at), m->len - at - PKT_HDR);

		h = XXH3_64bits_withSeed(m->p + at + PKT_HDR, n, h);
		at += PKT_HDR + n;
	}
	return h | 1;
}
