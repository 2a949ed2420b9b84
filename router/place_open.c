/* router/place_open.c: opening a sharding function: options are checked, map files read, tables and rings laid out. See place.h; what a
 * function that is open does is in place.c.
 */
#include "router/place_impl.h"
#include <stdlib.h>

#define RING_MAX 4000000 /* points of a murmur ring: 64 MB while it is made */

static const struct type {
	const char *name, *java;
	enum place_kind kind;
	bool dble;
	const char *opts; /* known ones, in lower case, each in blanks; those of every function are not here */
} types[] = {
	{"mod", "PartitionByMod", K_MOD, false, " count "},
	{"hash-mod", "PartitionByHashMod", K_HASH_MOD, false, " count "},
	{"long", "PartitionByLong", K_LONG, false, " partitioncount partitionlength "},
	{"string", "PartitionByString", K_STRING, false, " partitioncount partitionlength hashslice hashlength "},
	{"murmur", "PartitionByMurmurHash", K_MURMUR, false, " count seed virtualbuckettimes weightmapfile bucketmappath "},
	{"jump", "PartitionByJumpConsistentHash", K_JUMP, false, " totalbuckets "},
	{"enum", "PartitionByFileMap", K_ENUM, false, " mapfile keytype defaultnode "},
	{"range", "AutoPartitionByLong", K_RANGE, false, " mapfile defaultnode "},
	{"pattern", "PartitionByPattern", K_PATTERN, false, " mapfile patternvalue defaultnode "},
	{"prefix-pattern", "PartitionByPrefixPattern", K_PREFIX, false, " mapfile patternvalue prefixlength "},
	{"range-mod", "PartitionByRangeMod", K_RANGE_MOD, false, " mapfile defaultnode "},
	{"date", "PartitionByDate", K_DATE, false, " dateformat sbegindate senddate spartionday snaturalday "},
	{"month", "PartitionByMonth", K_MONTH, false, " dateformat sbegindate senddate "},
	{"month-history", "PartitionByMonthAndHistory", K_MONTH_HISTORY, false, " dateformat sbegindate senddate "},
	{"hot-date", "PartitionByHotDate", K_HOT_DATE, false, " dateformat slastday spartionday "},
	{"range-date-hash", "PartitionByRangeDateHash", K_RANGE_DATE_HASH, false, " dateformat sbegindate spartionday grouppartionsize "},
	{"crc32-slot", "PartitionByCRC32PreSlot", K_CRC32, false, " count slotfile "},
	{"latest-month", "LatestMonthPartion", K_LATEST_MONTH, false, " splitoneday "},
	{"substring", "PartitionDirectBySubString", K_SUBSTRING, false, " startindex size partitioncount defaultpartition "},
	{"dble-hash", "Hash", K_LONG, true, " partitioncount partitionlength "},
	{"dble-string-hash", "StringHash", K_STRING, true, " partitioncount partitionlength hashslice "},
	{"dble-enum", "Enum", K_ENUM, true, " mapfile rulefile keytype defaultnode "},
	{"dble-jump-string-hash", "jumpStringHash", K_JUMP, true, " partitioncount hashslice "},
	{"dble-number-range", "NumberRange", K_RANGE, true, " mapfile rulefile defaultnode "},
	{"dble-pattern-range", "PatternRange", K_PATTERN, true, " mapfile rulefile patternvalue defaultnode "},
	{"dble-date", "Date", K_DATE, true, " dateformat sbegindate senddate spartionday defaultnode "},
};

/* --- options --- */

struct opening {
	const struct place_conf *conf;
	struct place_fn *fn;
	char *err;
	size_t errlen;
};

#define FAIL(o, ...) (place_fail((o)->err, (o)->errlen, __VA_ARGS__), false)

static const char *
opt(const struct opening *o, const char *name)
{
	for (size_t i = 0; i < o->conf->nopts; i++)
		if (place_same(o->conf->opts[i].key, name))
			return o->conf->opts[i].value;
	return NULL;
}

static bool
opt_int(const struct opening *o, const char *name, bool must, i64 least, i64 most, i64 *v_r)
{
	const char *v = opt(o, name);
	size_t len;

	if (v == NULL)
		return !must || FAIL(o, "%s is missing", name);
	len = strlen(v);
	java_trim(&v, &len);
	if (java_int(v, len, v_r) != JAVA_NUM || *v_r < least || *v_r > most)
		return FAIL(o, "%s = %s: must be a whole number from %lld to %lld", name, v, (long long)least, (long long)most);
	return true;
}

static bool
known_opts(const struct opening *o, const struct type *t)
{
	for (size_t i = 0; i < o->conf->nopts; i++) {
		const char *key = o->conf->opts[i].key, *p = t->opts + 1;
		bool ok = place_same(key, "placement");

		while (!ok && *p != 0) {
			char name[32] = {0};
			size_t n = strcspn(p, " ");

			memcpy(name, p, n);
			ok = place_same(key, name) || (strcmp(name, "keytype") == 0 && place_same(key, "type"));
			p += n + 1;
		}
		if (!ok)
			return FAIL(o, "function type %s has no option %s; it has:%s", t->name, key, t->opts);
		for (size_t k = 0; k < i; k++)
			if (place_same(key, o->conf->opts[k].key))
				return FAIL(o, "%s is given twice", key);
	}
	return true;
}

static const struct place_file *
file_of(const struct opening *o, const char *name)
{
	for (size_t i = 0; i < o->conf->nfiles; i++)
		if (strcmp(o->conf->files[i].name, name) == 0)
			return &o->conf->files[i];
	return NULL;
}

static bool
open_map(const struct opening *o, int kind)
{
	const char *name = opt(o, "mapFile"), *rule = opt(o, "ruleFile");
	struct place_file f;

	if ((name == NULL) == (rule == NULL))
		return FAIL(o, name != NULL ? "only one of mapFile and ruleFile may be given" : "mapFile is missing");
	name = name != NULL ? name : rule;
	if (file_of(o, name) == NULL)
		return FAIL(o, "the file %s was not read", name);
	f = *file_of(o, name);
	if (kind == MAP_NAMES && f.len > 0) { /* the keys stay in the bytes: our own copy */
		if ((o->fn->bytes = malloc(f.len)) == NULL)
			return FAIL(o, "out of memory");
		memcpy(o->fn->bytes, f.data, f.len);
		f.data = o->fn->bytes;
	}
	return map_read(&f, kind, &o->fn->lines, &o->fn->nlines, o->err, o->errlen);
}

/* A comma list of numbers; tokens that are empty do not count. -1: no list. */
static int
int_list(const char *s, i64 *v, int max)
{
	int n = 0;

	while (*s != 0) {
		size_t len = strcspn(s, ","), t = len;
		const char *p = s;

		java_trim(&p, &t);
		if (t > 0) {
			if (n == max || java_int(p, t, &v[n]) != JAVA_NUM || v[n] < 0)
				return -1;
			n++;
		}
		s += len + (s[len] == ',');
	}
	return n;
}

static bool
open_segment(const struct opening *o)
{
	const char *counts = opt(o, "partitionCount"), *lengths = opt(o, "partitionLength");
	u32 most = o->fn->dble ? 2880 : 1024;
	i64 c[2880], l[2880], sum = 0, all = 0;
	int n, m;

	if (counts == NULL || lengths == NULL)
		return FAIL(o, "partitionCount and partitionLength must be given");
	n = int_list(counts, c, 2880);
	m = int_list(lengths, l, 2880);
	if (n < 1 || n != m)
		return FAIL(o, "partitionCount and partitionLength must be lists of as many numbers");
	for (int i = 0; i < n; i++) {
		if (o->fn->dble && (l[i] < 1 || c[i] < 1))
			return FAIL(o, "partitionCount and partitionLength must be at least 1");
		sum += c[i] * l[i];
		all += c[i];
		if (sum > most || all > 65535)
			return FAIL(o, "the sum of partitionCount times partitionLength may be %u at most, that of partitionCount 65535", most);
	}
	if (!o->fn->dble && sum != 1024)
		return FAIL(o, "the sum of partitionCount times partitionLength must be 1024");
	if ((o->fn->segment = calloc((size_t)sum, sizeof *o->fn->segment)) == NULL)
		return FAIL(o, "out of memory");
	for (int i = 0; i < n; i++)
		for (i64 k = 0; k < c[i]; k++, o->fn->count++)
			for (i64 j = 0; j < l[i]; j++)
				o->fn->segment[o->fn->scope++] = (u16)o->fn->count;
	return true;
}

static bool
open_slice(const struct opening *o, i64 end)
{
	const char *s = opt(o, "hashSlice"), *colon;
	i64 *start = &o->fn->start;

	s = s != NULL ? s : opt(o, "hashLength");
	o->fn->end = end;
	if (s == NULL)
		return true;
	o->fn->end = 0;
	size_t len = strlen(s), n;
	const char *p = s;

	if ((colon = strchr(s, ':')) == NULL) {
		i64 v;

		java_trim(&p, &len);
		if (java_int(p, len, &v) != JAVA_NUM)
			return FAIL(o, "hashSlice = %s: must read START:END or a number", s);
		*(v >= 0 ? &o->fn->end : start) = v;
		return true;
	}
	n = (size_t)(colon - s);
	java_trim(&p, &n);
	if (n > 0 && java_int(p, n, start) != JAVA_NUM)
		return FAIL(o, "hashSlice = %s: must read START:END or a number", s);
	p = colon + 1;
	n = len - (size_t)(p - s);
	java_trim(&p, &n);
	if (n > 0 && java_int(p, n, &o->fn->end) != JAVA_NUM)
		return FAIL(o, "hashSlice = %s: must read START:END or a number", s);
	return true;
}

/* --- murmur --- */

struct raw {
	struct place_point p;
	u32 no;
};

static int
cmp_raw(const void *a, const void *b)
{
	const struct raw *x = a, *y = b;

	return x->p.at != y->p.at ? (x->p.at > y->p.at) - (x->p.at < y->p.at) : (x->no < y->no) - (x->no > y->no);
}

/* The hash of a name that grows: whole blocks are mixed in once, so that a ring costs what its names add. */
static void
ring_node(struct raw *r, u32 *n, u32 node, i64 points, u32 seed)
{
	u32 h = seed, len = 0, half = 0;
	char add[64];
	int k = snprintf(add, sizeof add, "SHARD-%u", node);

	for (i64 i = 0; i < points; i++) {
		k += snprintf(add + k, sizeof add - (size_t)k, "-NODE-%lld", (long long)i);
		for (int j = 0; j < k; j++, len++) {
			if (len % 2 == 0) {
				half = (u32)add[j];
				continue;
			}
			u32 b = (half | (u32)add[j] << 16) * 0xcc9e2d51u;

			h ^= (b << 15 | b >> 17) * 0x1b873593u;
			h = (h << 13 | h >> 19) * 5 + 0xe6546b64u;
		}
		u32 f = h, tail = half * 0xcc9e2d51u;

		if (len % 2 != 0)
			f ^= (tail << 15 | tail >> 17) * 0x1b873593u;
		f ^= 2 * len;
		f = (f ^ f >> 16) * 0x85ebca6bu;
		f = (f ^ f >> 13) * 0xc2b2ae35u;
		f ^= f >> 16;
		r[*n] = (struct raw){{(int32_t)f, node}, *n};
		++*n;
		k = 0;
	}
}

static bool
open_murmur(const struct opening *o)
{
	i64 seed = 0, times = 160, count = 0, all = 0, *w = NULL;
	const char *name = opt(o, "weightMapFile");
	struct raw *r = NULL;
	u32 n = 0;

	if (!opt_int(o, "count", true, 1, 65535, &count) || !opt_int(o, "seed", false, INT32_MIN, INT32_MAX, &seed) ||
		!opt_int(o, "virtualBucketTimes", false, 1, 100000, &times))
		return false;
	o->fn->count = (u32)count;
	o->fn->seed = (u32)seed;
	if (name != NULL && file_of(o, name) == NULL)
		return FAIL(o, "the file %s was not read", name);
	if ((w = calloc((size_t)count, sizeof *w)) == NULL)
		return FAIL(o, "out of memory");
	for (i64 i = 0; i < count; i++)
		w[i] = 1;
	bool ok = name == NULL || map_weights(file_of(o, name), (u32)count, w, o->err, o->errlen);

	for (i64 i = 0; i < count; i++)
		all += times * w[i];
	if (ok && all > RING_MAX)
		ok = FAIL(o, "the ring would have %lld points; %d are allowed", (long long)all, RING_MAX);
	if (ok && ((r = calloc((size_t)all, sizeof *r)) == NULL || (o->fn->ring = calloc((size_t)all, sizeof(struct place_point))) == NULL))
		ok = FAIL(o, "out of memory");
	for (u32 i = 0; ok && i < count; i++)
		ring_node(r, &n, i, times * w[i], (u32)seed);
	if (ok)
		qsort(r, n, sizeof *r, cmp_raw);
	for (u32 i = 0; ok && i < n; i++) /* of points that collide the one made last */
		if (i == 0 || r[i].p.at != r[i - 1].p.at)
			o->fn->ring[o->fn->nring++] = r[i].p;
	free(w);
	free(r);
	return ok;
}

/* --- dates --- */

static bool
opt_date(const struct opening *o, const char *name, bool must, bool *given, struct date_parts *p)
{
	const char *v = opt(o, name);

	*given = v != NULL && *v != 0;
	if (!*given)
		return !must || FAIL(o, "%s is missing", name);
	size_t len = strlen(v);

	java_trim(&v, &len);
	return date_read(&o->fn->date, v, len, p) || FAIL(o, "%s = %s is no date of dateFormat", name, v);
}

static bool
open_months(const struct opening *o, struct date_parts b, struct date_parts e, bool begin, bool end)
{
	struct place_fn *fn = o->fn;

	if (!begin && !end && fn->kind == K_MONTH && !fn->old) {
		fn->scene1 = true;
		fn->cycle = fn->count = 12;
		return true;
	}
	if (!begin)
		return FAIL(o, "sBeginDate is missing");
	fn->begin_month = b.year * 12 + b.month;
	if (!end)
		return true;
	fn->cycle = e.year * 12 + e.month - fn->begin_month + 1;
	if (fn->cycle <= 0)
		return FAIL(o, "sEndDate is before sBeginDate");
	fn->count = (u32)fn->cycle;
	return true;
}

static bool
open_days(const struct opening *o, struct date_parts b, struct date_parts e, bool begin, bool end)
{
	struct place_fn *fn = o->fn;
	const char *natural = opt(o, "sNaturalDay");
	i64 days = 1;

	fn->natural = natural != NULL && strcmp(natural, "1") == 0;
	if (!opt_int(o, "sPartionDay", !fn->natural, 1, INT32_MAX, &days) || !opt_int(o, "defaultNode", false, -1, 65535, &fn->dflt))
		return false;
	fn->period = days * 86400000;
	fn->begin = begin ? b.ms : 0;
	if (fn->dble && !begin)
		return FAIL(o, "sBeginDate is missing");
	if (!end || (!fn->dble && fn->begin <= 0))
		return true;
	if (e.ms < b.ms)
		return FAIL(o, "sEndDate is before sBeginDate");
	fn->last = e.ms;
	if (fn->natural && (e.ms - b.ms) / 86400000 + 1 < 28)
		fn->natural = false;
	fn->cycle = (e.ms - b.ms) / (fn->natural ? 86400000 : fn->period) + 1;
	fn->count = (u32)fn->cycle;
	return true;
}

static bool
open_date(const struct opening *o)
{
	const char *format = opt(o, "dateFormat");
	struct place_fn *fn = o->fn;
	struct date_parts b = {0}, e = {0};
	bool begin, end;
	i64 days = 0;

	if (format == NULL && fn->kind == K_MONTH && !fn->old)
		format = "yyyy-MM-dd";
	if (format == NULL)
		return FAIL(o, "dateFormat is missing");
	if (!date_open(&fn->date, format, o->conf->zone, o->conf->zone_len, o->err, o->errlen) ||
		!opt_date(o, "sBeginDate", fn->kind == K_RANGE_DATE_HASH, &begin, &b) || !opt_date(o, "sEndDate", false, &end, &e))
		return false;
	if (fn->kind == K_MONTH || fn->kind == K_MONTH_HISTORY)
		return open_months(o, b, e, begin, end);
	if (fn->kind == K_DATE)
		return open_days(o, b, e, begin, end);
	fn->begin = b.ms;
	if (!opt_int(o, "sPartionDay", true, 1, INT32_MAX, &days))
		return false;
	fn->period = days * 86400000;
	if (fn->kind == K_RANGE_DATE_HASH)
		return opt_int(o, "groupPartionSize", true, 1, 65535, &fn->group);
	if (!opt_int(o, "sLastDay", true, 0, INT32_MAX, &days))
		return false;
	fn->last = days * 86400000;
	return true;
}

/* --- opening the others --- */

static bool
open_count(const struct opening *o, const char *name, i64 least)
{
	i64 v = 0;

	if (!opt_int(o, name, true, least, 65535, &v))
		return false;
	o->fn->count = (u32)v;
	return true;
}

static bool
open_crc32(const struct opening *o)
{
	const char *name = opt(o, "slotFile");
	i64 count = o->conf->nshards;

	if (!opt_int(o, "count", count == 0, 1, 65535, &count))
		return false;
	if (count > 65535)
		return FAIL(o, "a table may have 65535 shards at most");
	o->fn->count = (u32)count;
	if ((o->fn->segment = calloc(PLACE_SLOTS, sizeof(u16))) == NULL)
		return FAIL(o, "out of memory");
	if (name != NULL && file_of(o, name) == NULL)
		return FAIL(o, "the file %s was not read", name);
	if (name != NULL)
		return map_slots(file_of(o, name), o->fn->count, o->fn->segment, o->err, o->errlen);
	for (u32 i = 0, size = PLACE_SLOTS / o->fn->count; i < PLACE_SLOTS; i++) {
		u32 node = size > 0 ? i / size : o->fn->count;

		/* MyCat 1.6 gave what is left over to a shard too many */
		o->fn->segment[i] = (u16)(node >= o->fn->count && !o->fn->old ? o->fn->count - 1 : node);
	}
	return true;
}

static bool
open_map_fn(const struct opening *o)
{
	struct place_fn *fn = o->fn;
	const char *type = opt(o, "type");
	i64 keys = 0;

	if (fn->kind == K_ENUM) {
		type = opt(o, "keyType") != NULL ? opt(o, "keyType") : type;
		if (type != NULL && java_int(type, strlen(type), &keys) != JAVA_NUM && !(fn->named = place_same(type, "string")) &&
			!place_same(type, "integer"))
			return FAIL(o, "keyType = %s: must be integer (0) or string (1)", type);
		fn->named |= keys != 0;
	}
	if (fn->kind == K_PATTERN && !fn->dble)
		fn->dflt = 0;
	fn->mod = 1024;
	if (!open_map(o, fn->kind != K_ENUM ? MAP_RANGES : fn->named ? MAP_NAMES : MAP_NUMBERS) ||
		!opt_int(o, "defaultNode", false, -1, 65535, &fn->dflt) || !opt_int(o, "patternValue", false, 1, INT32_MAX, &fn->mod) ||
		!opt_int(o, "prefixLength", fn->kind == K_PREFIX, 0, INT32_MAX, &fn->prefix))
		return false;
	if (fn->named && fn->dflt < 0) {
		const struct place_line *l = map_name(fn->lines, fn->nlines, "DEFAULT_NODE", 12);

		fn->dflt = l != NULL ? l->node : fn->dflt;
	}
	if (fn->kind != K_RANGE_MOD) {
		i64 n = map_distinct(fn->lines, fn->nlines, fn->kind == K_ENUM ? fn->dflt : -1);

		fn->count = n > 0 ? (u32)n : 0;
		return true;
	}
	for (size_t i = 0; i < fn->nlines; i++) {
		if (fn->lines[i].node < 1 || fn->lines[i].node > 65535)
			return FAIL(o, "line %zu of the map: a group must have 1 to 65535 shards", fn->lines[i].no);
		fn->lines[i].first = fn->count;
		fn->count += (u32)fn->lines[i].node;
		if (fn->count > 65535)
			return FAIL(o, "the groups have more than 65535 shards");
	}
	return true;
}

static bool
open_kind(const struct opening *o)
{
	struct place_fn *fn = o->fn;
	i64 v = 0;

	switch (fn->kind) {
	case K_MOD:
	case K_HASH_MOD:
		return open_count(o, "count", 1);
	case K_LONG:
		return open_segment(o);
	case K_STRING:
		return open_slice(o, 8) && open_segment(o);
	case K_MURMUR:
		return open_murmur(o);
	case K_JUMP:
		return fn->dble ? open_slice(o, 0) && open_count(o, "partitionCount", 1) : open_count(o, "totalBuckets", 0);
	case K_ENUM:
	case K_RANGE:
	case K_PATTERN:
	case K_PREFIX:
	case K_RANGE_MOD:
		return open_map_fn(o);
	case K_CRC32:
		return open_crc32(o);
	case K_LATEST_MONTH:
		return opt_int(o, "splitOneDay", true, 1, 24, &fn->mod);
	case K_SUBSTRING:
		if (!opt_int(o, "startIndex", true, 0, INT32_MAX, &fn->start) || !opt_int(o, "size", true, 1, INT32_MAX, &fn->size) ||
			!opt_int(o, "partitionCount", false, 0, 65535, &v) || !opt_int(o, "defaultPartition", false, 0, 65535, &fn->dflt))
			return false;
		fn->count = (u32)v;
		return v == 0 || fn->dflt >= 0 || FAIL(o, "defaultPartition is missing");
	case K_DATE:
	case K_MONTH:
	case K_MONTH_HISTORY:
	case K_HOT_DATE:
	case K_RANGE_DATE_HASH:
		return open_date(o);
	}
	return false;
}

struct place_fn *
place_open(const struct place_conf *conf, char *err, size_t errlen)
{
	struct opening o = {conf, calloc(1, sizeof *o.fn), err, errlen};
	const struct type *t = NULL;
	const char *placement;

	for (size_t i = 0; i < sizeof types / sizeof *types && t == NULL; i++)
		if (place_same(conf->type, types[i].name) || (!types[i].dble && place_same(conf->type, types[i].java)))
			t = &types[i];
	if (o.fn == NULL || t == NULL) {
		place_fail(err, errlen, o.fn == NULL ? "out of memory" : "there is no function type %s", conf->type);
		free(o.fn);
		return NULL;
	}
	o.fn->kind = t->kind;
	o.fn->dble = t->dble;
	o.fn->nshards = conf->nshards;
	o.fn->dflt = -1;
	placement = opt(&o, "placement");
	o.fn->old = placement != NULL && strcmp(placement, "mycat-1.6.5") == 0;
	bool ok = known_opts(&o, t);

	if (ok && placement != NULL && strcmp(placement, "current") != 0 && (!o.fn->old || t->dble))
		ok = FAIL(&o, "placement = %s: must be current%s", placement, t->dble ? "" : " or mycat-1.6.5");
	if (!ok || !open_kind(&o)) {
		place_close(o.fn);
		return NULL;
	}
	return o.fn;
}

void
place_close(struct place_fn *fn)
{
	if (fn == NULL)
		return;
	date_close(&fn->date);
	free(fn->segment);
	free(fn->lines);
	free(fn->ring);
	free(fn->bytes);
	free(fn);
}

