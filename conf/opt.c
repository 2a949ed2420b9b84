/* conf/opt.c: see opt.h. Knows neither inih nor OpenSSL, so that margaygen links neither. */
#include "conf/opt.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/text.h"
#include "shm/cfg.h"
#include <inttypes.h>

#define ROW(sec, type_, row, def_, min_, max_, reload_, extra_, summary_, prose_, strct)           \
	{.section = OPT_IN_##sec,                                                                  \
	 .type = OPT_TYPE_##type_,                                                                 \
	 .reload = OPT_RELOAD_##reload_,                                                           \
	 .name = #row,                                                                             \
	 .def = def_,                                                                              \
	 .min = min_,                                                                              \
	 .max = max_,                                                                              \
	 .extra = extra_,                                                                          \
	 .summary = summary_,                                                                      \
	 .prose = prose_,                                                                          \
	 .off = offsetof(struct strct, row)},

const struct opt opts[] = {
#define OPT_MARGAY(type, name, def, min, max, reload, extra, summary, prose)                       \
	ROW(MARGAY, type, name, def, min, max, reload, extra, summary, prose, cfg_margay)
#include "tbl/options.def"
#define OPT_SERVER(type, name, def, min, max, reload, extra, summary, prose)                       \
	ROW(SERVER, type, name, def, min, max, reload, extra, summary, prose, cfg_server)
#include "tbl/options.def"
#define OPT_CLUSTER(type, name, def, min, max, reload, extra, summary, prose)                      \
	ROW(CLUSTER, type, name, def, min, max, reload, extra, summary, prose, cfg_cluster)
#include "tbl/options.def"
#define OPT_USER(type, name, def, min, max, reload, extra, summary, prose)                         \
	ROW(USER, type, name, def, min, max, reload, extra, summary, prose, cfg_user)
#include "tbl/options.def"
#define OPT_SCHEMA(type, name, def, min, max, reload, extra, summary, prose)                       \
	ROW(SCHEMA, type, name, def, min, max, reload, extra, summary, prose, cfg_schema)
#include "tbl/options.def"
#define OPT_SHARD(type, name, def, min, max, reload, extra, summary, prose)                        \
	ROW(SHARD, type, name, def, min, max, reload, extra, summary, prose, cfg_shard)
#include "tbl/options.def"
#define OPT_TABLE(type, name, def, min, max, reload, extra, summary, prose)                        \
	ROW(TABLE, type, name, def, min, max, reload, extra, summary, prose, cfg_table)
#include "tbl/options.def"
};
const size_t nopts = ARRAY_LEN(opts);

const char *const opt_section_words[OPT_SECTIONS] = {"margay", "server", "cluster", "user", "schema", "shard", "table"};
const char *const opt_type_words[OPT_TYPES] = {"BOOL", "UINT", "MSEC",   "BYTES",
					       "ENUM", "STR",  "SECRET", "LIST"};
const char *const opt_reload_words[OPT_RELOADS] = {"LIVE", "SESSION", "CONNECT", "LISTEN",
						   "RESTART"};
const char *const opt_reload_texts[OPT_RELOADS] = {
    "from the next statement on", "for sessions that log in from now on",
    "for new connections to servers", "listeners are opened and closed", "needs a restart"};

const struct opt *
opt_rows(enum opt_section s, size_t *n_r)
{
	static const size_t rows[OPT_SECTIONS] = {MARGAY_ROWS, SERVER_ROWS, CLUSTER_ROWS,
						  USER_ROWS,   SCHEMA_ROWS, SHARD_ROWS,
						  TABLE_ROWS};
	const struct opt *o = opts;

	for (int i = 0; i < (int)s; i++)
		o += rows[i];
	*n_r = rows[s];
	return o;
}

const struct opt *
opt_find(enum opt_section s, const char *name)
{
	size_t n;
	const struct opt *o = opt_rows(s, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(o[i].name, name) == 0)
			return &o[i];
	return NULL;
}

/* Letters in another order, such as "tow" for "two": the commonest mistake, and two changes by
 * Levenshtein. */
static bool
same_letters(const char *a, const char *b)
{
	int count[256] = {0};

	for (; *a != '\0'; a++)
		count[(u8)*a]++;
	for (; *b != '\0'; b++)
		count[(u8)*b]--;
	for (size_t i = 0; i < ARRAY_LEN(count); i++)
		if (count[i] != 0)
			return false;
	return true;
}

const char *
opt_nearest(const char *word, const char *const *words, size_t n)
{
	/* a third of the letters wrong: more is another word */
	unsigned best = (unsigned)MAX(strlen(word), 3) / 3 + 1;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned d = str_distance(word, words[i]);

		if (d == 2 && same_letters(word, words[i]))
			d = 1;
		if (d < best) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

/* ---- numbers ---- */

struct unit {
	const char *word;
	u64 factor;
};
/* Largest first, for printing; a unit that is another's beginning does not matter: the whole rest
 * is compared. */
static const struct unit msec_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit bytes_units[] = {
    {"G", 1u << 30}, {"M", 1u << 20}, {"k", 1u << 10}, {"", 1}};
#define MSEC_MOST (3650ull * 86400000) /* ten years: in nanoseconds it still fits 64 bits */

static bool
unit_parse(const char *s, const struct unit *units, size_t n, u64 *v_r)
{
	size_t digits = strspn(s, "0123456789");
	char number[24];
	u64 v;

	if (digits == 0 || digits >= sizeof number)
		return false;
	(void)str_copy_slice(number, sizeof number, s, digits);
	if (str_to_u64(number, &v) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (str_ieq(s + digits, units[i].word))
			return !__builtin_mul_overflow(v, units[i].factor, v_r);
	return false;
}

static bool
enum_parse(const char *values, const char *s, u64 *v_r)
{
	size_t len = strlen(s);

	for (u64 i = 0; len != 0; i++) {
		size_t n = strcspn(values, "|");

		if (slice_eq(values, n, s, len)) {
			*v_r = i;
			return true;
		}
		if (values[n] == '\0')
			break;
		values += n + 1;
	}
	return false;
}

static const char *
bounds_check(const struct opt *o, u64 v, char *why, size_t size)
{
	u64 max = o->max != 0 ? o->max : o->type == OPT_TYPE_MSEC ? MSEC_MOST : UINT64_MAX;
	char lo[32], hi[32];

	if (v >= o->min && v <= max)
		return NULL;
	opt_num_print(o, o->min, lo, sizeof lo);
	opt_num_print(o, max, hi, sizeof hi);
	if (v > max && o->max == 0)
		(void)snprintf(why, size, "too large");
	else if (o->max == 0)
		(void)snprintf(why, size, "out of bounds: at least %s", lo);
	else
		(void)snprintf(why, size, "out of bounds: %s to %s", lo, hi);
	return why;
}

const char *
opt_num_parse(const struct opt *o, const char *text, u64 *num_r, char *why, size_t size)
{
	const char *expected = NULL;

	switch (o->type) {
	case OPT_TYPE_BOOL:
		if (!enum_parse("no|yes", text, num_r))
			expected = "yes or no";
		break;
	case OPT_TYPE_UINT:
		if (str_to_u64(text, num_r) != 0)
			expected = "a number";
		break;
	case OPT_TYPE_MSEC:
		if (strcmp(text, "0") == 0)
			*num_r = 0;
		else if (!unit_parse(text, msec_units, ARRAY_LEN(msec_units), num_r))
			expected = "a duration with its unit, such as 250ms 10s 5m 2h 1d, or 0";
		break;
	case OPT_TYPE_BYTES:
		if (!unit_parse(text, bytes_units, ARRAY_LEN(bytes_units), num_r))
			expected = "a size such as 65536 64k 16M 1G";
		break;
	case OPT_TYPE_ENUM:
		if (!enum_parse(o->extra, text, num_r)) {
			(void)snprintf(why, size, "expected one of %s", o->extra);
			return why;
		}
		break;
	default:
		WRONG("not a numeric option");
	}
	if (expected != NULL) {
		(void)snprintf(why, size, "expected %s", expected);
		return why;
	}
	return o->type == OPT_TYPE_BOOL || o->type == OPT_TYPE_ENUM
		   ? NULL
		   : bounds_check(o, *num_r, why, size);
}

static void
unit_print(u64 num, const struct unit *units, char *buf, size_t size)
{
	while (num % units->factor != 0) /* the last factor is 1 */
		units++;
	(void)snprintf(buf, size, "%" PRIu64 "%s", num / units->factor, units->word);
}

void
opt_num_print(const struct opt *o, u64 num, char *buf, size_t size)
{
	const char *p = o->extra;

	if (o->type == OPT_TYPE_BOOL) {
		(void)str_copy(buf, size, num != 0 ? "yes" : "no");
	} else if (o->type == OPT_TYPE_ENUM) {
		for (; num > 0 && strchr(p, '|') != NULL; num--)
			p = strchr(p, '|') + 1;
		(void)str_copy_slice(buf, size, p, strcspn(p, "|"));
	} else if (num != 0 && o->type == OPT_TYPE_MSEC) {
		unit_print(num, msec_units, buf, size);
	} else if (num != 0 && o->type == OPT_TYPE_BYTES) {
		unit_print(num, bytes_units, buf, size);
	} else {
		(void)snprintf(buf, size, "%" PRIu64, num);
	}
}

/* ---- values ---- */

static void
bad(const struct opt *o, struct opt_value *v, struct conf_msgs *msgs, u32 line, const char *why)
{
	struct conf_pos pos = {.file = v->pos.file, .line = line};

	v->bad = true;
	msg_error(msgs, pos, "%s: %s", o->name, why);
}

/* A secret that begins with '{' names how it is encrypted. */
static const char *
secret_scheme(const struct text_value *t, bool *encrypted_r)
{
	*encrypted_r = false;
	if (t->len == 0 || t->p[0] != '{' || t->literal_brace)
		return NULL;
	if (strncmp(t->p, "{aes}", 5) != 0)
		return "a secret that begins with '{' is either {aes}... (margayctl encrypt) or "
		       "written \"\\{...\"";
	*encrypted_r = true;
	return NULL;
}

static void
scalar_parse(const struct opt *o, const struct ini_option *from, struct mem *m,
	     struct conf_msgs *msgs, struct opt_value *v)
{
	bool secret = o->type == OPT_TYPE_SECRET;
	struct text_value t;
	const char *why;
	char buf[256];

	if (from->nraw > 1) {
		bad(o, v, msgs, from->raw[1].line,
		    "takes one value on its line; only lists go on on indented lines");
		return;
	}
	why = text_scalar(m, from->raw[0].p, from->raw[0].len, secret, &t);
	if (why == NULL && secret)
		why = secret_scheme(&t, &v->encrypted);
	if (why == NULL && o->type < OPT_TYPE_STR) {
		why = opt_num_parse(o, t.p, &v->num, buf, sizeof buf);
	} else if (why == NULL) {
		v->text = t.p;
		v->len = t.len;
		/* an explicit "" is a password of no characters, but no path or name */
		v->set = secret || t.len != 0;
	}
	if (why != NULL)
		bad(o, v, msgs, v->pos.line, why);
}

static void
list_parse(const struct opt *o, const struct ini_option *from, struct mem *m,
	   struct conf_msgs *msgs, struct opt_value *v)
{
	size_t n = 0, room = 0, at;
	bool comma = false;
	void *items = NULL;
	struct opt_item *it;
	struct text_value t;
	const char *why;

	for (size_t i = 0; i < from->nraw; i++) {
		const struct ini_raw *raw = &from->raw[i];

		for (at = 0; at < raw->len;) {
			why = text_item(m, raw->p, raw->len, &at, &t, &comma);
			if (why != NULL) {
				bad(o, v, msgs, raw->line, why);
				return;
			}
			if (t.p == NULL ||
			    (it = mem_append(m, &items, &n, &room, sizeof *it)) == NULL)
				break;
			*it = (struct opt_item){.p = t.p, .len = t.len, .line = raw->line};
			if (t.len == 0 && (n > 1 || comma))
				bad(o, v, msgs, raw->line, "an empty item in the list");
		}
	}
	v->items = items;
	v->nitems = (u32)n;
	if (comma)
		bad(o, v, msgs, v->items[n - 1].line, "the list ends with a comma");
	else if (n == 0)
		bad(o, v, msgs, v->pos.line, "no value (write \"\" for an empty one)");
	else if (n == 1 && v->items[0].len == 0)
		v->nitems = 0; /* an explicit "" */
}

void
opt_parse(const struct opt *o, const struct ini_option *from, struct mem *m, struct conf_msgs *msgs,
	  struct opt_value *v_r)
{
	memset(v_r, 0, sizeof *v_r);
	v_r->pos = from->pos;
	v_r->given = true;
	v_r->text = "";
	if (o->type == OPT_TYPE_LIST)
		list_parse(o, from, m, msgs, v_r);
	else
		scalar_parse(o, from, m, msgs, v_r);
}

void
opt_default(const struct opt *o, struct mem *m, struct opt_value *v_r)
{
	static const struct conf_pos nowhere;
	struct ini_raw raw = {.p = o->def, .len = (u32)strlen(o->def)};
	struct ini_option from = {.name = o->name, .pos = nowhere, .raw = &raw, .nraw = 1};
	struct conf_msgs *msgs;

	memset(v_r, 0, sizeof *v_r);
	v_r->text = "";
	if (raw.len == 0)
		return;
	msgs = mem_alloc(m, sizeof *msgs);
	if (msgs == NULL)
		return;
	opt_parse(o, &from, m, msgs, v_r);
	if (v_r->bad)
		PANIC("default of option %s: %s", o->name, msgs->v[0].text);
	v_r->given = false;
}
