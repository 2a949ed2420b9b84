/* health/defs.c: see defs.h. Pure. Health only. */
#include "health/defs.h"
#include "base/err.h"
#include "base/str.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- lists and results ---- */

struct def_list *
def_list_new(u32 room)
{
	struct def_list *l = calloc(1, sizeof *l);

	if (l == NULL)
		return NULL;
	l->refs = 1;
	arena_init(&l->a, DEFS_TABLE_LIMIT);
	l->v = calloc(room + 1u, sizeof *l->v);
	if (l->v != NULL)
		return l;
	free(l);
	return NULL;
}

int
def_list_add(struct def_list *l, const char *database, const char *table)
{
	struct def_name *n = &l->v[l->n];

	n->database = def_text(&l->a, database);
	n->table = def_text(&l->a, table);
	if (n->database == NULL || n->table == NULL)
		return ERR_NOMEM;
	l->n++;
	return 0;
}

static int
name_cmp(const void *x, const void *y)
{
	const struct def_name *a = x, *b = y;
	int d = strcmp(a->database, b->database);

	return d != 0 ? d : strcmp(a->table, b->table);
}

void
def_list_sort(struct def_list *l)
{
	u32 n = 0;

	if (l->n > 1)
		qsort(l->v, l->n, sizeof *l->v, name_cmp);
	for (u32 i = 0; i < l->n; i++)
		if (n == 0 || name_cmp(&l->v[n - 1], &l->v[i]) != 0)
			l->v[n++] = l->v[i];
	l->n = n;
}

int
def_list_find(const struct def_list *l, const char *database, const char *table)
{
	const struct def_name key = {database, table},
			      *found = l->n == 0 ? NULL : bsearch(&key, l->v, l->n, sizeof key, name_cmp);

	return found == NULL ? -1 : (int)(found - l->v);
}

struct def_list *
def_list_ref(struct def_list *l)
{
	if (l != NULL)
		__atomic_fetch_add(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

void
def_list_put(struct def_list *l)
{
	if (l == NULL || __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	arena_fini(&l->a);
	free(l->v);
	free(l);
}

void
def_result_free(struct def_result *r)
{
	if (r == NULL)
		return;
	def_list_put(r->list);
	arena_fini(&r->a);
	free(r);
}

const char *
def_text(struct arena *a, const char *text)
{
	size_t n = text == NULL ? 0 : strlen(text) + 1;
	char *p = text == NULL ? NULL : arena_get(a, n);

	if (p != NULL)
		memcpy(p, text, n);
	return p;
}

void *
def_append(struct arena *a, void *v, u32 n, u32 *room, size_t size)
{
	u8 *p = v;

	if (n == *room) {
		u32 more = MAX(8u, 2 * *room);

		p = arena_get(a, more * size);
		if (p == NULL)
			return NULL;
		if (n != 0)
			memcpy(p, v, n * size);
		*room = more;
	}
	memset(p + n * size, 0, size);
	return p;
}

/* ---- functions ---- */

static int
routine_cmp(const void *x, const void *y)
{
	const struct def_routine *a = x, *b = y;
	int d = cat_name_cmp(a->schema, strlen(a->schema), b->schema, strlen(b->schema));

	if (d == 0)
		d = cat_name_cmp(a->name, strlen(a->name), b->name, strlen(b->name));
	return d != 0 ? d : strcmp(a->schema, b->schema);
}

static bool
routine_same(const struct def_routine *a, const struct def_routine *b)
{
	return routine_cmp(a, b) == 0;
}

/* Pages of one list may overlap when functions come and go: of two with one name the doubtful one stays. */
void
def_routines_sort(struct def_result *r)
{
	u32 n = 0;

	if (r->nroutines > 1)
		qsort(r->routine, r->nroutines, sizeof *r->routine, routine_cmp);
	for (u32 i = 0; i < r->nroutines; i++) {
		if (n > 0 && routine_same(&r->routine[n - 1], &r->routine[i])) {
			if (r->routine[n - 1].verdict == ROUTINE_HARMLESS)
				r->routine[n - 1].verdict = r->routine[i].verdict;
		} else {
			r->routine[n++] = r->routine[i];
		}
	}
	r->nroutines = n;
}

const struct def_routine *
def_routine_find(const struct def_result *r, const char *schema, const char *name)
{
	struct def_routine key = {.schema = schema, .name = name};

	return r->nroutines == 0 ? NULL : bsearch(&key, r->routine, r->nroutines, sizeof key, routine_cmp);
}

/* ---- differences ---- */

#define SAYING_MAX 400

struct diff {
	const char *a_name;
	def_say_fn *say;
	void *arg;
};

static void say(const struct diff *d, const char *fmt, ...) PRINTF(2, 3);

static void
say(const struct diff *d, const char *fmt, ...)
{
	char text[SAYING_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	d->say(d->arg, text);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* "" for what is not there would be a value of its own. */
static const char *
shown(const char *text)
{
	return text == NULL ? "none" : text[0] == '\0' ? "''" : text;
}

static void
diff_text(const struct diff *d, const char *kind, const char *name, const char *what, const char *a, const char *b)
{
	if (!same_text(a, b))
		say(d, "%s%s%.64s%s%s %.100s, on %.64s %.100s", kind, name[0] == '\0' ? "" : " ", name, what[0] == '\0' ? "" : ": ",
		    what, shown(b), d->a_name, shown(a));
}

static const struct def_column *
column_find(const struct def_table *t, const char *name)
{
	for (u32 i = 0; i < t->ncolumns; i++)
		if (str_ieq(t->column[i].name, name))
			return &t->column[i];
	return NULL;
}

bool
def_has_column(const struct def_table *t, const char *name)
{
	return column_find(t, name) != NULL;
}

static void
diff_column(const struct diff *d, const struct def_column *a, const struct def_column *b)
{
	diff_text(d, "column", a->name, "type", a->type, b->type);
	diff_text(d, "column", a->name, "character set", a->charset, b->charset);
	diff_text(d, "column", a->name, "collation", a->collation, b->collation);
	if (a->nullable != b->nullable)
		say(d, "column %.64s: %s, on %.64s %s", a->name, b->nullable ? "NULL" : "NOT NULL", d->a_name,
		    a->nullable ? "NULL" : "NOT NULL");
	diff_text(d, "column", a->name, "default", a->dflt, b->dflt);
	diff_text(d, "column", a->name, "extra", a->extra, b->extra);
	diff_text(d, "column", a->name, "expression", a->expr, b->expr);
}

static void
diff_columns(const struct diff *d, const struct def_table *a, const struct def_table *b)
{
	bool same_set = a->ncolumns == b->ncolumns, same_order = true;

	for (u32 i = 0; i < a->ncolumns; i++) {
		const struct def_column *c = column_find(b, a->column[i].name);

		if (c == NULL) {
			same_set = false;
			say(d, "column %.64s is missing", a->column[i].name);
			continue;
		}
		same_order = same_order && c - b->column == i;
		diff_column(d, &a->column[i], c);
	}
	for (u32 i = 0; i < b->ncolumns; i++)
		if (column_find(a, b->column[i].name) == NULL) {
			same_set = false;
			say(d, "column %.64s is not on %.64s", b->column[i].name, d->a_name);
		}
	if (same_set && !same_order)
		say(d, "columns are in another order than on %.64s", d->a_name);
}

/* "UNIQUE BTREE (a, b(10) DESC)" */
static void
key_print(const struct def_key *k, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s%s (", k->unique ? "UNIQUE " : "", k->type == NULL ? "" : k->type);

	for (u32 i = 0; i < k->nparts && n < size; i++) {
		const struct def_part *p = &k->part[i];
		char length[16] = "";

		if (p->length != 0)
			(void)snprintf(length, sizeof length, "(%u)", p->length);
		n += (size_t)snprintf(buf + n, size - n, "%s%s%s%s", i > 0 ? ", " : "", p->column == NULL ? "expression" : p->column,
		    length, p->desc ? " DESC" : "");
	}
	if (n < size)
		(void)snprintf(buf + n, size - n, ")");
}

static const struct def_key *
key_find(const struct def_table *t, const char *name)
{
	for (u32 i = 0; i < t->nkeys; i++)
		if (str_ieq(t->key[i].name, name))
			return &t->key[i];
	return NULL;
}

static bool
key_same(const struct def_key *a, const struct def_key *b)
{
	if (a->unique != b->unique || !same_text(a->type, b->type) || a->nparts != b->nparts)
		return false;
	for (u32 i = 0; i < a->nparts; i++) {
		const struct def_part *p = &a->part[i], *q = &b->part[i];

		if (p->length != q->length || p->desc != q->desc || (p->column == NULL) != (q->column == NULL) ||
		    (p->column != NULL && !str_ieq(p->column, q->column)))
			return false;
	}
	return true;
}

static void
diff_keys(const struct diff *d, const struct def_table *a, const struct def_table *b)
{
	char x[128], y[128];

	for (u32 i = 0; i < a->nkeys; i++) {
		const struct def_key *k = key_find(b, a->key[i].name);

		if (k == NULL) {
			say(d, "key %.64s is missing", a->key[i].name);
		} else if (!key_same(&a->key[i], k)) {
			key_print(k, x, sizeof x);
			key_print(&a->key[i], y, sizeof y);
			say(d, "key %.64s: %s, on %.64s %s", k->name, x, d->a_name, y);
		}
	}
	for (u32 i = 0; i < b->nkeys; i++)
		if (key_find(a, b->key[i].name) == NULL)
			say(d, "key %.64s is not on %.64s", b->key[i].name, d->a_name);
}

void
def_diff(const struct def_table *a, const char *a_name, const struct def_table *b, def_say_fn *fn, void *arg)
{
	struct diff d = {.a_name = a_name, .say = fn, .arg = arg};

	diff_text(&d, "type", "", "", a->type, b->type);
	diff_text(&d, "engine", "", "", a->engine, b->engine);
	diff_text(&d, "collation", "", "", a->collation, b->collation);
	diff_columns(&d, a, b);
	diff_keys(&d, a, b);
}

/* ---- into the catalogue ---- */

static bool
has_word(const char *text, const char *word)
{
	size_t n = strlen(word), len = text == NULL ? 0 : strlen(text);

	for (size_t i = 0; i + n <= len; i++)
		if (slice_ieq(text + i, n, word))
			return true;
	return false;
}

static bool
is_generated(const struct def_column *c)
{
	return (c->expr != NULL && c->expr[0] != '\0') || has_word(c->extra, "VIRTUAL") || has_word(c->extra, "STORED GENERATED");
}

static u32
column_flags(const struct def_column *c)
{
	return (c->nullable ? CAT_NULLABLE : 0) | (is_generated(c) ? CAT_GENERATED : c->dflt != NULL ? CAT_DEFAULT : 0) |
	    (has_word(c->extra, "auto_increment") ? CAT_AUTO_INC : 0) | (has_word(c->extra, "INVISIBLE") ? CAT_INVISIBLE : 0) |
	    (has_word(c->extra, "on update") ? CAT_ON_UPDATE : 0);
}

static u32
put_columns(struct cat_build *b, const struct def_table *t)
{
	u32 off = cat_keep(b, t->ncolumns, sizeof(struct cat_column));

	for (u32 i = 0; i < t->ncolumns; i++) {
		const struct def_column *c = &t->column[i];
		struct cat_column rec = {.name = cat_put(b, c->name),
		    .data_type = cat_put(b, c->data_type),
		    .type = cat_put(b, c->type),
		    .charset = cat_put(b, c->charset),
		    .collation = cat_put(b, c->collation),
		    .flags = column_flags(c)};

		cat_set(b, off == 0 ? 0 : off + i * (u32)sizeof rec, &rec, sizeof rec);
	}
	return off;
}

static u32
put_parts(struct cat_build *b, const struct def_table *t, const struct def_key *k)
{
	u32 off = cat_keep(b, k->nparts, sizeof(struct cat_part));

	for (u32 i = 0; i < k->nparts; i++) {
		const struct def_column *c = k->part[i].column == NULL ? NULL : column_find(t, k->part[i].column);
		struct cat_part rec = {.column = c == NULL ? CAT_NO_COLUMN : (u32)(c - t->column),
		    .length = k->part[i].length,
		    .desc = k->part[i].desc};

		cat_set(b, off == 0 ? 0 : off + i * (u32)sizeof rec, &rec, sizeof rec);
	}
	return off;
}

static u32
put_keys(struct cat_build *b, const struct def_table *t)
{
	u32 off = cat_keep(b, t->nkeys, sizeof(struct cat_key));

	for (u32 i = 0; i < t->nkeys; i++) {
		const struct def_key *k = &t->key[i];
		struct cat_key rec = {.name = cat_put(b, k->name),
		    .type = cat_put(b, k->type),
		    .flags = (k->unique ? CAT_UNIQUE : 0) | (str_ieq(k->name, "PRIMARY") ? CAT_PRIMARY : 0),
		    .nparts = k->nparts,
		    .parts_off = put_parts(b, t, k)};

		cat_set(b, off == 0 ? 0 : off + i * (u32)sizeof rec, &rec, sizeof rec);
	}
	return off;
}

u32
def_put(struct cat_build *b, const struct def_table *t)
{
	u32 off = cat_keep(b, 1, sizeof(struct cat_def));
	struct cat_def rec = {.engine = cat_put(b, t->engine),
	    .type = cat_put(b, t->type),
	    .collation = cat_put(b, t->collation),
	    .ncolumns = t->ncolumns,
	    .columns_off = put_columns(b, t),
	    .nkeys = t->nkeys,
	    .keys_off = put_keys(b, t)};

	cat_set(b, off, &rec, sizeof rec);
	return b->full ? 0 : off;
}
