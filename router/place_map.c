/* router/place_map.c: the map files of the sharding functions: lines `key=node`, trimmed, `#` and `//` start a comment. A line that
 * MyCat would stop at is an error here too; one that it skips is skipped.
 */
#include "router/place_impl.h"
#include <stdlib.h>

struct part {
	const char *p;
	size_t len;
};

static struct part
trimmed(const char *p, size_t len)
{
	struct part s = {p, len};

	java_trim(&s.p, &s.len);
	return s;
}

/* The next line that is no comment and has a '='. */
static bool
next_line(struct part *rest, size_t *no, struct part *key, struct part *value)
{
	while (rest->len > 0) {
		const char *nl = memchr(rest->p, '\n', rest->len);
		size_t len = nl != NULL ? (size_t)(nl - rest->p) : rest->len;
		struct part l = trimmed(rest->p, len);
		const char *eq;

		len += nl != NULL;
		rest->p += len;
		rest->len -= len;
		++*no;
		if (l.len == 0 || l.p[0] == '#' || (l.len > 1 && l.p[0] == '/' && l.p[1] == '/'))
			continue;
		if ((eq = memchr(l.p, '=', l.len)) == NULL)
			continue;
		*key = trimmed(l.p, (size_t)(eq - l.p));
		*value = trimmed(eq + 1, l.len - (size_t)(eq + 1 - l.p));
		return true;
	}
	return false;
}

/* NumberParseUtil.parseLong: xM is x times 10000, xK x times 1000; digits behind are added. */
static bool
shorthand(struct part s, i64 *v_r)
{
	i64 times = 10000, more = 0;
	const char *at = NULL;

	for (size_t i = 0; i < s.len && at == NULL; i++)
		if (s.p[i] == 'M' || s.p[i] == 'm')
			at = s.p + i;
	for (size_t i = 0; i < s.len && at == NULL; i++)
		if (s.p[i] == 'K' || s.p[i] == 'k') {
			at = s.p + i;
			times = 1000;
		}
	if (at == NULL || at == s.p)
		return java_long(s.p, s.len, v_r) == JAVA_NUM;
	size_t n = (size_t)(at - s.p);

	if (java_long(s.p, n, v_r) != JAVA_NUM)
		return false;
	if (n + 1 < s.len && java_int(at + 1, s.len - n - 1, &more) != JAVA_NUM)
		return false;
	return !__builtin_mul_overflow(*v_r, times, v_r) && !__builtin_add_overflow(*v_r, more, v_r);
}

static bool
bounds(struct part s, i64 *from, i64 *to)
{
	const char *dash = memchr(s.p, '-', s.len);

	if (dash == NULL)
		return false;
	size_t n = (size_t)(dash - s.p);

	return shorthand(trimmed(s.p, n), from) && shorthand(trimmed(dash + 1, s.len - n - 1), to);
}

static int
by_key(const struct place_line *x, const struct place_line *y)
{
	size_t n = x->key_len < y->key_len ? x->key_len : y->key_len;
	int c = x->key != NULL ? memcmp(x->key, y->key, n) : 0;

	if (c == 0)
		c = (x->key_len > y->key_len) - (x->key_len < y->key_len);
	if (c == 0)
		c = (x->from > y->from) - (x->from < y->from);
	return c;
}

/* Of equal keys the last line comes first. */
static int
cmp_lines(const void *a, const void *b)
{
	const struct place_line *x = a, *y = b;
	int c = by_key(x, y);

	return c != 0 ? c : (x->no < y->no) - (x->no > y->no);
}

static bool
read_one(int kind, struct part key, struct part value, struct place_line *l)
{
	*l = (struct place_line){0};
	if (java_int(value.p, value.len, &l->node) != JAVA_NUM)
		return false;
	if (kind == MAP_RANGES)
		return bounds(key, &l->from, &l->to);
	if (kind == MAP_NUMBERS)
		return java_int(key.p, key.len, &l->from) == JAVA_NUM;
	l->key = key.p;
	l->key_len = key.len;
	return true;
}

bool
map_read(const struct place_file *f, int kind, struct place_line **lines_r, size_t *n_r, char *err, size_t errlen)
{
	struct part rest = {f->data, f->len}, key, value;
	struct place_line *l = NULL;
	size_t n = 0, room = 0, no = 0;

	while (next_line(&rest, &no, &key, &value)) {
		if (n == room) {
			struct place_line *more = realloc(l, (room = room * 2 + 16) * sizeof *l);

			if (more == NULL) {
				free(l);
				place_fail(err, errlen, "out of memory");
				return false;
			}
			l = more;
		}
		if (!read_one(kind, key, value, &l[n])) {
			if (kind != MAP_RANGES)
				continue; /* as MyCat does: comments without a mark are found in enumerations */
			place_fail(err, errlen, "%s:%zu: a line must read FIRST-LAST=INDEX (numbers; K is times 1000, M times 10000)", f->name, no);
			free(l);
			return false;
		}
		l[n].no = no;
		n++;
	}
	if (kind != MAP_RANGES && n > 0) {
		size_t to = 0;

		qsort(l, n, sizeof *l, cmp_lines);
		for (size_t i = 1; i < n; i++)
			if (by_key(&l[i], &l[to]) != 0)
				l[++to] = l[i];
		n = to + 1;
	}
	*lines_r = l;
	*n_r = n;
	return true;
}

static int
cmp_i64(const void *a, const void *b)
{
	const i64 *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Distinct nodes of a map, and `also` when it is no less than 0; -1: no memory, so the check is left out. */
i64
map_distinct(const struct place_line *l, size_t n, i64 also)
{
	i64 *v = malloc((n + 1) * sizeof *v), c = 0;
	size_t all = n + (also >= 0);

	if (v == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		v[i] = l[i].node;
	v[n] = also;
	qsort(v, all, sizeof *v, cmp_i64);
	for (size_t i = 0; i < all; i++)
		c += i == 0 || v[i] != v[i - 1];
	free(v);
	return c;
}

const struct place_line *
map_range(const struct place_line *l, size_t n, i64 v)
{
	for (size_t i = 0; i < n; i++)
		if (v >= l[i].from && v <= l[i].to)
			return &l[i];
	return NULL;
}

static const struct place_line *
find(const struct place_line *l, size_t n, const struct place_line *want)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;
		int c = by_key(&l[mid], want);

		if (c == 0)
			return &l[mid];
		if (c < 0)
			lo = mid + 1;
		else
			n = mid;
	}
	return NULL;
}

const struct place_line *
map_number(const struct place_line *l, size_t n, i64 v)
{
	return find(l, n, &(struct place_line){.from = v});
}

const struct place_line *
map_name(const struct place_line *l, size_t n, const char *key, size_t len)
{
	return find(l, n, &(struct place_line){.key = len > 0 ? key : "", .key_len = len});
}

static bool
one_span(struct part s, i64 node, u16 *nodes)
{
	i64 from, to;

	if (!bounds(s, &from, &to) || from < 0 || to >= (i64)PLACE_SLOTS || from > to)
		return false;
	for (i64 i = from; i <= to; i++) {
		if (nodes[i] != UINT16_MAX)
			return false;
		nodes[i] = (u16)node;
	}
	return true;
}

bool
map_slots(const struct place_file *f, u32 count, u16 *nodes, char *err, size_t errlen)
{
	struct part rest = {f->data, f->len}, key, value;
	size_t no = 0;
	i64 node;

	memset(nodes, 0xff, PLACE_SLOTS * sizeof *nodes);
	while (next_line(&rest, &no, &key, &value)) {
		if (java_int(key.p, key.len, &node) != JAVA_NUM || node < 0 || node >= count)
			goto bad;
		while (value.len > 0) {
			const char *comma = memchr(value.p, ',', value.len);
			size_t n = comma != NULL ? (size_t)(comma - value.p) : value.len;

			if (!one_span(trimmed(value.p, n), node, nodes))
				goto bad;
			n += comma != NULL;
			value.p += n;
			value.len -= n;
		}
	}
	for (size_t i = 0; i < PLACE_SLOTS; i++)
		if (nodes[i] == UINT16_MAX) {
			place_fail(err, errlen, "%s: slot %zu of 102400 is on no shard", f->name, i);
			return false;
		}
	return true;
bad:
	place_fail(err, errlen, "%s:%zu: a line must read INDEX=FIRST-LAST,FIRST-LAST with an index below %u and each slot once", f->name, no,
		count);
	return false;
}

bool
map_weights(const struct place_file *f, u32 count, i64 *weights, char *err, size_t errlen)
{
	struct part rest = {f->data, f->len}, key, value;
	size_t no = 0;
	i64 node, w;

	while (next_line(&rest, &no, &key, &value)) {
		if (java_int(key.p, key.len, &node) != JAVA_NUM || java_int(value.p, value.len, &w) != JAVA_NUM || w > 100000) {
			place_fail(err, errlen, "%s:%zu: a line must read INDEX=WEIGHT, the weight up to 100000", f->name, no);
			return false;
		}
		if (node >= 0 && node < count)
			weights[node] = w < 1 ? 1 : w;
	}
	return true;
}
