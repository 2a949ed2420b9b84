/* conf/opt.h: tbl/options.def as a table: descriptors, one typed parser and one printer for each
 * type. Pure; master, tools and margaygen (which prints man tables and the sample file from
 * opts[]).
 */
#ifndef MARGAY_CONF_OPT_H
#define MARGAY_CONF_OPT_H
#include "conf/ini.h"

enum opt_section {
	OPT_IN_MARGAY,
	OPT_IN_SERVER,
	OPT_IN_CLUSTER,
	OPT_IN_USER,
	OPT_IN_SCHEMA,
	OPT_IN_SHARD,
	OPT_IN_TABLE,
	OPT_SECTIONS
};
enum opt_type {
	OPT_TYPE_BOOL,
	OPT_TYPE_UINT,
	OPT_TYPE_MSEC,
	OPT_TYPE_BYTES,
	OPT_TYPE_ENUM,
	OPT_TYPE_STR,
	OPT_TYPE_SECRET,
	OPT_TYPE_LIST,
	OPT_TYPES
};
enum opt_reload {
	OPT_RELOAD_LIVE,
	OPT_RELOAD_SESSION,
	OPT_RELOAD_CONNECT,
	OPT_RELOAD_LISTEN,
	OPT_RELOAD_RESTART,
	OPT_RELOADS
};
struct opt {
	enum opt_section section;
	enum opt_type type;
	enum opt_reload reload;
	const char *name, *def;
	u64 min, max; /* base units; max 0: no bound but that of the type */
	const char *extra, *summary, *prose;
	u32 off; /* in struct cfg_margay, cfg_server, ... */
};
extern const struct opt opts[]; /* by section, in the order of the table */
extern const size_t nopts;
extern const char *const opt_section_words[OPT_SECTIONS]; /* "margay" */
extern const char *const opt_type_words[OPT_TYPES];       /* "BOOL" */
extern const char *const opt_reload_words[OPT_RELOADS];   /* "LIVE" */
extern const char *const opt_reload_texts[OPT_RELOADS];   /* what an operator is told */

/* Index of each option in the array of its section's values. */
enum opt_margay_row {
#define OPT_MARGAY(type, name, ...) MARGAY_##name,
#include "tbl/options.def"
	MARGAY_ROWS
};
enum opt_server_row {
#define OPT_SERVER(type, name, ...) SERVER_##name,
#include "tbl/options.def"
	SERVER_ROWS
};
enum opt_cluster_row {
#define OPT_CLUSTER(type, name, ...) CLUSTER_##name,
#include "tbl/options.def"
	CLUSTER_ROWS
};
enum opt_user_row {
#define OPT_USER(type, name, ...) USER_##name,
#include "tbl/options.def"
	USER_ROWS
};
enum opt_schema_row {
#define OPT_SCHEMA(type, name, ...) SCHEMA_##name,
#include "tbl/options.def"
	SCHEMA_ROWS
};
enum opt_shard_row {
#define OPT_SHARD(type, name, ...) SHARD_##name,
#include "tbl/options.def"
	SHARD_ROWS
};
enum opt_table_row {
#define OPT_TABLE(type, name, ...) TABLE_##name,
#include "tbl/options.def"
	TABLE_ROWS
};

/* First descriptor of a section; *n_r gets their number. */
const struct opt *opt_rows(enum opt_section s, size_t *n_r);
/* NULL if there is none. */
const struct opt *opt_find(enum opt_section s, const char *name);
static inline bool
opt_required(const struct opt *o)
{
	return strcmp(o->extra, "required") == 0;
}
static inline bool
opt_hidden(const struct opt *o)
{
	return strcmp(o->extra, "hidden") == 0;
}

struct opt_item {
	const char *p;
	u32 len, line;
};
/* A value as parsed. given: stands in the file; bad: it does, but an error was told about it. */
struct opt_value {
	struct conf_pos pos;
	bool given, bad;
	bool set;       /* STR, SECRET: a text is there, if only an explicit "" */
	bool encrypted; /* SECRET: text is {aes}... still */
	u64 num;        /* BOOL UINT MSEC BYTES ENUM */
	u32 len, nitems;
	const char *text; /* STR SECRET; never NULL */
	struct opt_item *items;
};

/* Parses what the file says for o. Errors go to msgs and set v_r->bad. */
void opt_parse(const struct opt *o, const struct ini_option *from, struct mem *m,
	       struct conf_msgs *msgs, struct opt_value *v_r);
/* The default of o. A default that does not parse is our own bug and panics. */
void opt_default(const struct opt *o, struct mem *m, struct opt_value *v_r);

/* Number of an option of a numeric type from text, bounds included: NULL, or what is wrong in
 * why[size]. */
MUST_CHECK const char *opt_num_parse(const struct opt *o, const char *text, u64 *num_r, char *why,
				     size_t size);
/* A number as it would stand in the file, in the largest unit that divides it: "90s", "64M",
 * "replicas". */
void opt_num_print(const struct opt *o, u64 num, char *buf, size_t size);
/* The value of o that lies `nearest` to the word, or NULL when nothing is near enough to be meant.
 * words: NULL-terminated. */
const char *opt_nearest(const char *word, const char *const *words, size_t n);
#endif
