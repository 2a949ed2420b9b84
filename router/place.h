/* router/place.h: sharding functions: which shard a value of the shard key belongs to, exactly as MyCat 1.6 and DBLE place it
 * (doc/sharding-functions.md). Pure: no files, no clock, no locale, no globals; map files and time zones come in as bytes, the time
 * as an argument. A function that is open is read only.
 */
#ifndef MARGAY_ROUTER_PLACE_H
#define MARGAY_ROUTER_PLACE_H
#include "base/base.h"

/* key: as MyCat spells it; case, '_' and '-' do not count (partitionCount, partition_count). */
struct place_opt {
	const char *key, *value;
};

struct place_file {
	const char *name; /* as the option that names it (mapFile, ruleFile, weightMapFile, slotFile) writes it */
	const char *data;
	size_t len;
};

struct place_conf {
	const char *type; /* ours, MyCat's class or DBLE's alias with "dble-": see place_type */
	const struct place_opt *opts;
	size_t nopts;
	const struct place_file *files;
	size_t nfiles;
	const void *zone; /* date functions: the TZif bytes of the time zone; NULL: UTC */
	size_t zone_len;
	u32 nshards; /* of the table; an index beyond is an error. 0: not known, every index is given as it is */
};

struct place_fn;

enum place_rc {
	PLACE_SHARD, /* *shard_r is set */
	PLACE_NONE,  /* no shard takes the value */
	PLACE_ERROR, /* err says why, for people */
};

/* NULL: err says why, for people. */
struct place_fn *place_open(const struct place_conf *conf, char *err, size_t errlen);
void place_close(struct place_fn *fn);
/* value: in UTF-8, not ended by a NUL; now_ms: since 1970, used by hot-date only. */
enum place_rc place(const struct place_fn *fn, const char *value, size_t len, bool is_null, i64 now_ms, i64 *shard_r, char *err,
	size_t errlen);
/* How many shards the function needs; -1: it does not say. */
i64 place_count(const struct place_fn *fn);
#endif
