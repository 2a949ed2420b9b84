/* health/defs.h: definitions of tables and functions as one server has them, where two of them differ, and how they go into
 * the catalogue. Pure (defs.c); read from a server by defs_read.c. All texts are foreign and UTF-8. Health only.
 */
#ifndef MARGAY_HEALTH_DEFS_H
#define MARGAY_HEALTH_DEFS_H
#include "base/arena.h"
#include "base/reasons.h"
#include "shm/catalog.h"

#define DEFS_COLUMNS_MAX 4096u
#define DEFS_TABLE_LIMIT (64u << 20) /* bytes of all definitions of one reading */
#define DEFS_BODY_MAX    65536u      /* a function's body that is longer is not looked at */

/* What to read of a cluster: never changed once it is made; whoever keeps it holds a reference. */
struct def_name {
	const char *database, *table;
};
struct def_list {
	u32 refs; /* atomic */
	u32 n;
	struct def_name *v;
	struct arena a;
};
struct def_list *def_list_new(u32 room); /* NULL: no memory; one reference */
/* 0 or ERR_NOMEM. */
MUST_CHECK int def_list_add(struct def_list *l, const char *database, const char *table);
/* When all are in: puts them in order, each once. */
void def_list_sort(struct def_list *l);
int def_list_find(const struct def_list *l, const char *database, const char *table); /* index, -1: not there */
struct def_list *def_list_ref(struct def_list *l);
void def_list_put(struct def_list *l); /* NULL is fine */

struct def_column {
	const char *name, *data_type, *type, *charset, *collation; /* NULL: none */
	const char *dflt, *extra, *expr;
	bool nullable;
};
struct def_part {
	const char *column; /* NULL: an expression */
	u32 length;
	bool desc;
};
struct def_key {
	const char *name, *type;
	bool unique;
	u32 nparts, room;
	struct def_part *part;
};
enum def_state { DEF_READ, DEF_MISSING, DEF_DENIED, DEF_FAILED };
struct def_table {
	enum def_state state;
	const char *error; /* DEF_FAILED */
	const char *engine, *type, *collation;
	u32 ncolumns, columns_room, nkeys, keys_room;
	struct def_column *column;
	struct def_key *key;
};
struct def_routine {
	const char *schema, *name;
	enum routine_verdict verdict;
};
/* What one reading brought. */
struct def_result {
	struct arena a;
	u64 asked;     /* the question that this answers */
	u64 began_ns, ended_ns;
	bool ok;
	bool denied;   /* something could not be seen for want of a privilege */
	char error[300];
	u32 lower_case;
	struct def_list *list; /* that tables are of, in its order; NULL: only functions were asked for */
	struct def_table *table;
	u32 nroutines, routines_room;
	struct def_routine *routine; /* sorted as the catalogue is, no name twice */
};
void def_result_free(struct def_result *r); /* NULL is fine */

/* Room for one more of n elements in an arena; what was there moves along. NULL: no memory or over the limit. */
void *def_append(struct arena *a, void *v, u32 n, u32 *room, size_t size);
const char *def_text(struct arena *a, const char *text); /* NULL stays NULL; NULL also when there is no memory */

/* Calls say for every difference of b from a, both DEF_READ; b_name, a_name: for the texts. */
typedef void def_say_fn(void *arg, const char *text);
void def_diff(const struct def_table *a, const char *a_name, const struct def_table *b, def_say_fn *say, void *arg);
/* Puts a definition into a blob; its offset, 0 if it does not fit. */
u32 def_put(struct cat_build *b, const struct def_table *t);
bool def_has_column(const struct def_table *t, const char *name);
void def_routines_sort(struct def_result *r);
const struct def_routine *def_routine_find(const struct def_result *r, const char *schema, const char *name);
#endif
