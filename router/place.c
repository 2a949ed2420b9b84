/* router/place.c: which shard a value belongs to, by a sharding function that is open. See place.h; opening is in place_open.c, numbers,
 * hashes and texts as Java has them are in place_java.c, map files in place_map.c, dates in place_date.c.
 */
#include "router/place_impl.h"
#include <stdarg.h>

enum place_rc
place_fail(char *err, size_t errlen, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return PLACE_ERROR;
}

i64
place_count(const struct place_fn *fn)
{
	return fn->count > 0 ? (i64)fn->count : -1;
}

static u32
ring_find(const struct place_fn *fn, int32_t h)
{
	size_t lo = 0, hi = fn->nring;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (fn->ring[mid].at < h)
			lo = mid + 1;
		else
			hi = mid;
	}
	return fn->ring[lo < fn->nring ? lo : 0].node;
}

struct value {
	const char *p;
	size_t len;
	i64 now;
	char *err;
	size_t errlen;
};

static enum place_rc
bad(const struct value *v, const char *why)
{
	return place_fail(v->err, v->errlen, "'%.*s' %s", (int)(v->len < 64 ? v->len : 64), v->p, why);
}

static enum place_rc
to_default(const struct place_fn *fn, i64 *shard)
{
	*shard = fn->dflt;
	return fn->dflt >= 0 ? PLACE_SHARD : PLACE_NONE;
}

static u32
hash_mod(u32 k)
{
	k = ~k + (k << 21);
	k ^= (u32)((int32_t)k >> 24);
	k = k + (k << 3) + (k << 8);
	k ^= (u32)((int32_t)k >> 14);
	k = k + (k << 2) + (k << 4);
	k ^= (u32)((int32_t)k >> 28);
	return k + (k << 31);
}

static u32
magnitude(u32 k)
{
	return (int32_t)k < 0 ? 0 - k : k;
}

/* Lamping and Veach; in double, as the original is: divisions of exact values, equal on every IEEE machine. */
static i64
jump(u64 k, u32 buckets)
{
	i64 b = -1, j = 0;

	while (j < buckets) {
		b = j;
		k = k * 2862933555777941757ull + 1;
		j = (i64)((double)(b + 1) * (2147483648.0 / (double)((k >> 33) + 1)));
	}
	return b;
}

static i64
guava_consistent(u64 state, i64 buckets)
{
	for (i64 cand = 0;;) {
		state = state * 2862933555777941757ull + 1;
		double next = (double)(cand + 1) / ((double)((state >> 33) + 1) / 2147483648.0);

		if (!(next < (double)buckets))
			return cand;
		cand = (i64)next;
	}
}

static i64
segment_of(const struct place_fn *fn, i64 key)
{
	i64 m = key % (i64)fn->scope;

	return fn->segment[m < 0 ? m + (i64)fn->scope : m];
}

static enum place_rc
place_map(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	const struct place_line *l;
	i64 n = 0;

	if (fn->kind == K_PREFIX) {
		struct units u = units_of(v->p, v->len);
		u64 sum = 0;

		for (i64 i = 0, c; i < fn->prefix && (c = units_next(&u)) >= 0; i++)
			sum += (u64)c;
		l = map_range(fn->lines, fn->nlines, (i64)((int32_t)(u32)sum % fn->mod));
	} else if (fn->named) {
		l = map_name(fn->lines, fn->nlines, v->p, v->len);
	} else if (fn->kind == K_ENUM) {
		if (java_int(v->p, v->len, &n) != JAVA_NUM)
			return bad(v, "is no whole number of 32 bits");
		l = map_number(fn->lines, fn->nlines, n);
	} else {
		if (fn->kind == K_PATTERN)
			for (size_t i = 0; i < v->len; i++)
				if (v->p[i] < '0' || v->p[i] > '9')
					return to_default(fn, shard);
		if (java_long(v->p, v->len, &n) != JAVA_NUM)
			return bad(v, "is no whole number of 64 bits");
		l = map_range(fn->lines, fn->nlines, fn->kind == K_PATTERN ? n % fn->mod : n);
		if (l == NULL && fn->kind == K_PATTERN)
			return PLACE_NONE;
	}
	if (l == NULL)
		return to_default(fn, shard);
	*shard = l->node;
	if (fn->kind == K_RANGE_MOD)
		*shard = l->first + (i64)((n < 0 ? 0 - (u64)n : (u64)n) % (u64)l->node);
	return PLACE_SHARD;
}

static i64
month_of(const struct place_fn *fn, const struct date_parts *d)
{
	i64 m = d->year * 12 + d->month - fn->begin_month;

	if (fn->scene1)
		return d->month;
	if (fn->cycle > 0) {
		if (m < 0)
			m = fn->cycle - -m % fn->cycle;
		return m >= fn->cycle ? m % fn->cycle : m;
	}
	return m < 0 && fn->kind == K_MONTH && !fn->old ? 0 : m;
}

static enum place_rc
place_dated(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	struct date_parts d;
	i64 idx, days;

	if (!date_read(&fn->date, v->p, v->len, &d))
		return bad(v, "is no date of the function's dateFormat");
	switch (fn->kind) {
	case K_MONTH:
	case K_MONTH_HISTORY:
		*shard = month_of(fn, &d);
		return PLACE_SHARD;
	case K_HOT_DATE:
		days = (v->now - d.ms) / 86400000 + 1;
		*shard = days < 0 || days - fn->last / 86400000 <= 0 ? 0 : (int32_t)((v->now - fn->last - d.ms) / fn->period + 1);
		return PLACE_SHARD;
	case K_RANGE_DATE_HASH:
		idx = (int32_t)((d.ms - fn->begin) / fn->period);
		*shard = idx * fn->group + guava_consistent((u64)d.ms, fn->group);
		return PLACE_SHARD;
	default:
		break;
	}
	if (fn->natural) {
		*shard = d.day - 1;
		return PLACE_SHARD;
	}
	if (fn->dble && d.ms < fn->begin)
		return to_default(fn, shard);
	idx = (int32_t)((d.ms - fn->begin) / fn->period);
	*shard = fn->cycle > 0 && d.ms > fn->last ? idx % fn->cycle : idx;
	return PLACE_SHARD;
}

static enum place_rc
place_latest(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	size_t n = units_count(v->p, v->len);
	struct units u = units_of(v->p, v->len);
	i64 day, hour;

	if (n < 4)
		return bad(v, "is too short: the function takes the last four characters");
	while (n-- > 4)
		units_next(&u);
	if (java_units_long(u, 2, &day) != JAVA_NUM)
		return bad(v, "does not end in a day and an hour");
	units_next(&u);
	units_next(&u);
	if (java_units_long(u, 2, &hour) != JAVA_NUM)
		return bad(v, "does not end in a day and an hour");
	*shard = (day - 1) * fn->mod + hour / (24 / fn->mod);
	return PLACE_SHARD;
}

static enum place_rc
place_substring(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	struct units u = units_of(v->p, v->len);

	if ((i64)units_count(v->p, v->len) < fn->start + fn->size)
		return bad(v, "is too short for the function's substring");
	for (i64 i = 0; i < fn->start; i++)
		units_next(&u);
	if (java_units_long(u, (size_t)fn->size, shard) != JAVA_NUM || *shard < INT32_MIN || *shard > INT32_MAX)
		return bad(v, "has no whole number where the function takes its substring");
	if (fn->count > 0 && *shard >= fn->count)
		*shard = fn->dflt;
	return PLACE_SHARD;
}

static enum place_rc
place_number(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	u32 m;

	if (fn->kind == K_MOD) {
		if (java_big_mod(v->p, v->len, fn->count, &m))
			*shard = m;
		else if (fn->old)
			return bad(v, "is no whole number");
		else
			*shard = magnitude(java_hash(v->p, v->len)) % fn->count;
		return PLACE_SHARD;
	}
	i64 key;

	if (java_long(v->p, v->len, &key) != JAVA_NUM)
		return bad(v, "is no whole number of 64 bits");
	if (!fn->dble && !fn->old)
		key = (i64)((u64)key >> 32 ^ (u64)key);
	*shard = segment_of(fn, key);
	return PLACE_SHARD;
}

static enum place_rc
place_raw(const struct place_fn *fn, const struct value *v, i64 *shard)
{
	switch (fn->kind) {
	case K_MOD:
	case K_LONG:
		return place_number(fn, v, shard);
	case K_HASH_MOD:
		*shard = magnitude(hash_mod(java_hash(v->p, v->len))) % fn->count;
		return PLACE_SHARD;
	case K_STRING:
		*shard = segment_of(fn, (i64)java_slice_hash(v->p, v->len, fn->start, fn->end));
		return PLACE_SHARD;
	case K_MURMUR:
		*shard = ring_find(fn, (int32_t)java_murmur3(fn->seed, v->p, v->len));
		return PLACE_SHARD;
	case K_JUMP:
		*shard = jump(fn->dble ? java_slice_hash(v->p, v->len, fn->start, fn->end) : (u64)(i64)(int32_t)java_hash(v->p, v->len), fn->count);
		return PLACE_SHARD;
	case K_CRC32:
		*shard = fn->segment[java_crc32(v->p, v->len) % PLACE_SLOTS];
		return PLACE_SHARD;
	case K_LATEST_MONTH:
		return place_latest(fn, v, shard);
	case K_SUBSTRING:
		return place_substring(fn, v, shard);
	case K_ENUM:
	case K_RANGE:
	case K_PATTERN:
	case K_PREFIX:
	case K_RANGE_MOD:
		return place_map(fn, v, shard);
	default:
		return place_dated(fn, v, shard);
	}
}

/* Equal but for case, '_' and '-'; no locale. */
bool
place_same(const char *a, const char *b)
{
	for (;; a++, b++) {
		while (*a == '_' || *a == '-')
			a++;
		while (*b == '_' || *b == '-')
			b++;
		if ((*a >= 'A' && *a <= 'Z' ? *a + 32 : *a) != (*b >= 'A' && *b <= 'Z' ? *b + 32 : *b))
			return false;
		if (*a == 0)
			return true;
	}
}

static bool
null_text(const struct place_fn *fn, const char *p, size_t len)
{
	char t[5] = {0};

	if (!fn->dble || len != 4)
		return false;
	memcpy(t, p, 4);
	return place_same(t, "null");
}

enum place_rc
place(const struct place_fn *fn, const char *value, size_t len, bool is_null, i64 now_ms, i64 *shard_r, char *err, size_t errlen)
{
	struct value v = {is_null ? "NULL" : len > 0 ? value : "", is_null ? 4 : len, now_ms, err, errlen};
	enum place_rc rc;

	/* MyCat sees NULL as a text, DBLE the text as NULL */
	if (null_text(fn, v.p, v.len)) {
		bool hash = fn->kind == K_LONG || fn->kind == K_STRING || fn->kind == K_JUMP;

		*shard_r = 0;
		rc = hash ? PLACE_SHARD : to_default(fn, shard_r);
	} else {
		rc = place_raw(fn, &v, shard_r);
	}
	if (rc == PLACE_SHARD && fn->nshards > 0 && (*shard_r < 0 || *shard_r >= fn->nshards))
		return place_fail(err, errlen, "'%.*s' belongs to index %lld, but the table has %u shards", (int)(v.len < 64 ? v.len : 64), v.p,
			(long long)*shard_r, fn->nshards);
	return rc;
}
