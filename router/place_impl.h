/* router/place_impl.h: what the files of the sharding functions (router/place*.c) share. */
#ifndef MARGAY_ROUTER_PLACE_IMPL_H
#define MARGAY_ROUTER_PLACE_IMPL_H
#include "router/place.h"
#include "router/place_java.h"

/* One line of a map file: a range or a number, or a name; of those that fit the first in the file's order. */
struct place_line {
	i64 from, to;
	i64 node;
	i64 first; /* range-mod: the groups before it */
	const char *key;
	size_t key_len;
	size_t no;
};

struct place_zone {
	struct zone_step {
		i64 at;   /* seconds since 1970 */
		int32_t off; /* from then on, seconds east of Greenwich */
	} *steps;
	size_t n;
	int32_t before; /* before the first */
};

enum { DATE_Y, DATE_MON, DATE_D, DATE_H, DATE_MIN, DATE_S, DATE_MS, DATE_LITERAL };

struct place_date {
	struct date_item {
		u8 field; /* DATE_* */
		bool exact; /* as many digits as count says */
		u16 literal; /* a unit of UTF-16 */
		u32 count;
	} *items;
	size_t n;
	struct place_zone zone;
};

struct date_parts {
	i64 ms; /* since 1970 */
	i64 year, month, day; /* in the zone, month 0..11, year as Calendar.get: 1, 2 .. also before our era */
};

#define PLACE_SLOTS 102400u /* of MyCat's CRC32 function */

enum place_kind {
	K_MOD, K_HASH_MOD, K_LONG, K_STRING, K_MURMUR, K_JUMP, K_ENUM, K_RANGE, K_PATTERN, K_PREFIX, K_RANGE_MOD, K_DATE, K_MONTH,
	K_MONTH_HISTORY, K_HOT_DATE, K_RANGE_DATE_HASH, K_CRC32, K_LATEST_MONTH, K_SUBSTRING,
};

struct place_point {
	int32_t at;
	u32 node;
};

struct place_fn {
	enum place_kind kind;
	bool dble, old, named, natural, scene1;
	u32 count, nshards;
	i64 dflt; /* below 0: none */
	i64 mod, prefix, start, end, size;
	i64 period, begin, last, begin_month, cycle, group;
	u32 scope; /* slots of a segment */
	u16 *segment;
	struct place_line *lines;
	size_t nlines;
	struct place_point *ring;
	size_t nring;
	u32 seed;
	struct place_date date;
	char *bytes; /* the keys of an enumeration */
};

/* Say why, for people. */
enum place_rc place_fail(char *err, size_t errlen, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

bool place_same(const char *a, const char *b);

enum { MAP_RANGES, MAP_NUMBERS, MAP_NAMES };
bool map_read(const struct place_file *f, int kind, struct place_line **lines_r, size_t *n_r, char *err, size_t errlen);
i64 map_distinct(const struct place_line *l, size_t n, i64 also);
const struct place_line *map_range(const struct place_line *l, size_t n, i64 v);
const struct place_line *map_number(const struct place_line *l, size_t n, i64 v);
const struct place_line *map_name(const struct place_line *l, size_t n, const char *key, size_t len);
/* nodes[slot] of 102400 slots from `node=a-b,c-d` lines; false: err says why */
bool map_slots(const struct place_file *f, u32 count, u16 *nodes, char *err, size_t errlen);
bool map_weights(const struct place_file *f, u32 count, i64 *weights, char *err, size_t errlen);

bool date_open(struct place_date *d, const char *format, const void *zone, size_t zone_len, char *err, size_t errlen);
void date_close(struct place_date *d);
bool date_read(const struct place_date *d, const char *text, size_t len, struct date_parts *parts_r);
#endif
