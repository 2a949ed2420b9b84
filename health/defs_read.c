/* health/defs_read.c: see defs_read.h. Tables come from information_schema, one by one: with the names of database and
 * table as constants a server opens that table alone. Functions come from mysql.proc, which has their parameters and which
 * must be readable anyway for their bodies to be seen; without it, and on MySQL, from information_schema. Health only.
 */
#include "health/defs_read.h"
#include "health/facts.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "parser/routine.h"
#include <stdio.h>
#include <stdlib.h>

#define QUERY_MS  10000 /* and max_statement_time of 8 s at a MariaDB */
#define PAGE      2000  /* functions asked for at once; DB_MAX_ROWS is more */
#define PAGES_MAX 100
#define NAME_SQL  400 /* a name of 64 characters, escaped */

/* Numbers of the server. */
enum {
	BAD_DB = 1049,
	DB_DENIED = 1044,
	TABLE_DENIED = 1142,
	COLUMN_DENIED = 1143,
	NO_TABLE = 1146,
	NO_SUCH_TABLE_IN_ENGINE = 1932,
};

struct defs_read {
	struct def_result *r;
	struct arena names; /* of loadable functions */
	const char **loadable;
	u32 nloadable, loadable_room;
	bool loadable_known;
	u32 at;       /* next table */
	u32 rows;     /* of the page read */
	bool broken;  /* no memory, or too much */
	void *scratch;
	/* of the query under way */
	struct def_table *t;
};

struct defs_read *
defs_begin(struct def_list *list, u64 asked)
{
	struct defs_read *d = calloc(1, sizeof *d);

	if (d != NULL)
		d->r = calloc(1, sizeof *d->r);
	if (d != NULL)
		d->scratch = malloc(DEFS_BODY_MAX + ROUTINE_SCRATCH);
	if (d == NULL || d->r == NULL || d->scratch == NULL) {
		if (d != NULL) {
			free(d->r);
			free(d->scratch);
		}
		free(d);
		return NULL;
	}
	arena_init(&d->r->a, DEFS_TABLE_LIMIT);
	arena_init(&d->names, DEFS_TABLE_LIMIT);
	d->r->asked = asked;
	d->r->began_ns = clock_ns();
	d->r->list = def_list_ref(list);
	if (list != NULL && list->n > 0) {
		d->r->table = arena_get(&d->r->a, list->n * sizeof *d->r->table);
		d->broken = d->r->table == NULL;
		if (!d->broken)
			memset(d->r->table, 0, list->n * sizeof *d->r->table);
	}
	return d;
}

struct def_result *
defs_end(struct defs_read *d)
{
	struct def_result *r = d->r;

	r->ended_ns = clock_ns();
	arena_fini(&d->names);
	free(d->scratch);
	free(d);
	return r;
}

void
defs_fail(struct defs_read *d, const char *why)
{
	d->r->ok = false;
	facts_text(d->r->error, sizeof d->r->error, why);
}

/* false: the reading has failed. */
static bool
went_well(struct defs_read *d, const struct db *db, enum db_end end)
{
	if (d->broken)
		defs_fail(d, "definitions take too much memory");
	else if (end == DB_ERROR)
		defs_fail(d, db_text(db));
	else if (end != DB_OK)
		defs_fail(d, "no answer in time");
	return end == DB_OK && !d->broken;
}

static enum db_end
ask(struct db *db, bool mariadb, const char *sql, db_row_fn *fn, void *arg)
{
	char limited[4096];

	if (mariadb)
		(void)snprintf(limited, sizeof limited, "SET STATEMENT max_statement_time=8 FOR %s", sql);
	return db_query(db, mariadb ? limited : sql, clock_ns() + QUERY_MS * MS_NS, fn, arg);
}

/* A name as a literal; the connection has sql_mode ''. */
static const char *
literal(const char *name, char *buf, size_t size)
{
	size_t n = 0;

	buf[n++] = '\'';
	for (; *name != '\0' && n + 4 < size; name++) {
		if (*name == '\'' || *name == '\\')
			buf[n++] = '\\';
		buf[n++] = *name;
	}
	buf[n++] = '\'';
	buf[n] = '\0';
	return buf;
}

static const char *
copy(struct defs_read *d, const char *text)
{
	const char *p = def_text(&d->r->a, text);

	d->broken |= text != NULL && p == NULL;
	return p;
}

/* ---- one table ---- */

static void
on_table(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;

	if (row->n < 3)
		return;
	d->t->engine = copy(d, row->value[0]);
	d->t->type = copy(d, row->value[1] == NULL ? "" : row->value[1]);
	d->t->collation = copy(d, row->value[2]);
}

static void
on_column(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;
	struct def_table *t = d->t;
	struct def_column *c;

	if (row->n < 9 || row->value[0] == NULL || t->ncolumns >= DEFS_COLUMNS_MAX)
		return;
	c = def_append(&d->r->a, t->column, t->ncolumns, &t->columns_room, sizeof *c);
	d->broken |= c == NULL;
	if (c == NULL)
		return;
	t->column = c;
	c += t->ncolumns;
	c->name = copy(d, row->value[0]);
	c->data_type = copy(d, row->value[1]);
	c->type = copy(d, row->value[2]);
	c->charset = copy(d, row->value[3]);
	c->collation = copy(d, row->value[4]);
	c->nullable = facts_true(row->value[5]);
	c->dflt = copy(d, row->value[6]);
	c->extra = copy(d, row->value[7]);
	c->expr = copy(d, row->value[8]);
	if (!d->broken)
		t->ncolumns++;
}

/* The key that the row belongs to: the last one, or a new one. */
static struct def_key *
key_of(struct defs_read *d, const char *name)
{
	struct def_table *t = d->t;
	struct def_key *k;

	if (t->nkeys > 0 && strcmp(t->key[t->nkeys - 1].name, name) == 0)
		return &t->key[t->nkeys - 1];
	k = def_append(&d->r->a, t->key, t->nkeys, &t->keys_room, sizeof *k);
	if (k == NULL)
		return NULL;
	t->key = k;
	k += t->nkeys;
	k->name = copy(d, name);
	if (k->name == NULL)
		return NULL;
	t->nkeys++;
	return k;
}

static void
on_key(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;
	struct def_key *k;
	struct def_part *p;

	if (row->n < 6 || row->value[0] == NULL)
		return;
	k = key_of(d, row->value[0]);
	p = k == NULL ? NULL : def_append(&d->r->a, k->part, k->nparts, &k->room, sizeof *p);
	d->broken |= p == NULL;
	if (p == NULL)
		return;
	k->part = p;
	p += k->nparts++;
	k->unique = row->value[1] != NULL && strcmp(row->value[1], "0") == 0;
	k->type = k->type != NULL ? k->type : copy(d, row->value[2]);
	p->column = copy(d, row->value[3]);
	p->length = (u32)facts_u64(row->value[4]);
	p->desc = row->value[5] != NULL && row->value[5][0] == 'D';
}

/* information_schema shows nothing of it, or no column: is it not there, or may we not see it? */
static bool
table_absent(struct defs_read *d, struct db *db, bool mariadb, const struct def_name *n)
{
	char sql[2 * NAME_SQL + 64];
	enum db_end end;

	(void)snprintf(sql, sizeof sql, "SELECT 1 FROM `%s`.`%s` LIMIT 0", n->database, n->table);
	end = ask(db, mariadb, sql, NULL, NULL);
	if (end != DB_OK && end != DB_ERROR)
		return went_well(d, db, end);
	d->t->state = DEF_FAILED;
	if (end == DB_OK) {
		d->t->error = copy(d, "it was not there at first, or shows no columns");
		return went_well(d, db, end);
	}
	switch (db_errno(db)) {
	case BAD_DB:
	case NO_TABLE:
		d->t->state = DEF_MISSING;
		return true;
	case DB_DENIED:
	case TABLE_DENIED:
	case COLUMN_DENIED:
		d->t->state = DEF_DENIED;
		d->r->denied = true;
		return true;
	default:
		d->t->error = copy(d, db_text(db));
		return db_is_open(db) ? went_well(d, db, DB_OK) : went_well(d, db, end);
	}
}

static bool
read_table(struct defs_read *d, struct db *db, bool mariadb)
{
	const struct def_name *n = &d->r->list->v[d->at];
	char sql[2048], database[NAME_SQL], table[NAME_SQL], where[2 * NAME_SQL + 64];

	(void)snprintf(where, sizeof where, "WHERE TABLE_SCHEMA=%s AND TABLE_NAME=%s", literal(n->database, database, sizeof database),
	    literal(n->table, table, sizeof table));
	(void)snprintf(sql, sizeof sql, "SELECT ENGINE, TABLE_TYPE, TABLE_COLLATION FROM information_schema.TABLES %s", where);
	if (!went_well(d, db, ask(db, mariadb, sql, on_table, d)))
		return false;
	if (d->t->type == NULL)
		return table_absent(d, db, mariadb, n);
	(void)snprintf(sql, sizeof sql,
	    "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA,"
	    " GENERATION_EXPRESSION FROM information_schema.COLUMNS %s ORDER BY ORDINAL_POSITION", where);
	if (!went_well(d, db, ask(db, mariadb, sql, on_column, d)))
		return false;
	(void)snprintf(sql, sizeof sql,
	    "SELECT INDEX_NAME, NON_UNIQUE, INDEX_TYPE, COLUMN_NAME, SUB_PART, COLLATION FROM information_schema.STATISTICS %s"
	    " ORDER BY INDEX_NAME, SEQ_IN_INDEX", where);
	if (!went_well(d, db, ask(db, mariadb, sql, on_key, d)))
		return false;
	d->t->state = DEF_READ;
	return d->t->ncolumns > 0 ? went_well(d, db, DB_OK) : table_absent(d, db, mariadb, n); /* another privilege shows its name */
}

/* ---- functions ---- */

#define SYSTEM_SCHEMAS "('mysql','sys','information_schema','performance_schema')"

static void
on_loadable(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;
	const char **v;

	if (row->n < 1 || row->value[0] == NULL)
		return;
	v = def_append(&d->names, d->loadable, d->nloadable, &d->loadable_room, sizeof *v);
	d->broken |= v == NULL;
	if (v == NULL)
		return;
	d->loadable = v;
	v[d->nloadable++] = def_text(&d->names, row->value[0]);
}

/* A loadable function goes before a stored one of its name, unless the call names a database. */
static bool
is_loadable(const struct defs_read *d, const char *name)
{
	for (u32 i = 0; i < d->nloadable; i++)
		if (d->loadable[i] == NULL || str_ieq(d->loadable[i], name))
			return true;
	return !d->loadable_known;
}

static bool
declared(const char *access)
{
	return access != NULL && (str_ieq(access, "NO_SQL") || str_ieq(access, "NO SQL") || str_ieq(access, "READS_SQL_DATA") ||
	    str_ieq(access, "READS SQL DATA"));
}

/* Columns: schema, name, access, sql_mode, body, length of the body, parameters, aggregate. */
static enum routine_verdict
verdict_of(const struct defs_read *d, const struct db_row *row)
{
	const char *body = row->value[4], *params = row->value[6] == NULL ? "" : row->value[6];
	enum routine_verdict v;

	if (!declared(row->value[2]))
		return ROUTINE_DECLARED;
	if (row->value[5] == NULL)
		return ROUTINE_HIDDEN;
	if (body == NULL)
		return ROUTINE_LONG;
	if (row->value[7] != NULL && !str_ieq(row->value[7], "NONE"))
		return ROUTINE_AGGREGATE;
	if (row->value[3] == NULL || !routine_mode_ok(row->value[3]))
		return ROUTINE_MODE;
	/* what stands behind a NUL would not be seen */
	if (strlen(body) != facts_u64(row->value[5]))
		return ROUTINE_TEXT;
	v = routine_judge(body, strlen(body), params, strlen(params), d->scratch, DEFS_BODY_MAX + ROUTINE_SCRATCH);
	return v == ROUTINE_HARMLESS && is_loadable(d, row->value[1]) ? ROUTINE_LOADABLE : v;
}

static void
on_routine(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;
	struct def_result *r = d->r;
	struct def_routine *f;

	d->rows++;
	if (row->n < 8 || row->value[0] == NULL || row->value[1] == NULL)
		return;
	f = def_append(&r->a, r->routine, r->nroutines, &r->routines_room, sizeof *f);
	d->broken |= f == NULL;
	if (f == NULL)
		return;
	r->routine = f;
	f += r->nroutines;
	f->schema = copy(d, row->value[0]);
	f->name = copy(d, row->value[1]);
	f->verdict = verdict_of(d, row);
	if (!d->broken)
		r->nroutines++;
}

static const char from_proc[] =
    "SELECT db, name, sql_data_access, sql_mode, IF(LENGTH(body_utf8)<=65536, body_utf8, NULL), LENGTH(body_utf8),"
    " IF(LENGTH(param_list)<=65536, param_list, NULL), aggregate"
    " FROM mysql.proc WHERE type='FUNCTION' AND db NOT IN " SYSTEM_SCHEMAS " ORDER BY db, name";
static const char from_views[] =
    "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, SQL_DATA_ACCESS, SQL_MODE,"
    " IF(LENGTH(ROUTINE_DEFINITION)<=65536, ROUTINE_DEFINITION, NULL), LENGTH(ROUTINE_DEFINITION), '', 'NONE'"
    " FROM information_schema.ROUTINES WHERE ROUTINE_TYPE='FUNCTION' AND ROUTINE_SCHEMA NOT IN " SYSTEM_SCHEMAS
    " ORDER BY ROUTINE_SCHEMA, ROUTINE_NAME";

static enum db_end
read_pages(struct defs_read *d, struct db *db, bool mariadb, const char *query)
{
	char sql[1024];
	enum db_end end = DB_OK;

	for (u32 page = 0; page < PAGES_MAX && end == DB_OK; page++) {
		(void)snprintf(sql, sizeof sql, "%s LIMIT %u OFFSET %u", query, PAGE, page * PAGE);
		d->rows = 0;
		end = ask(db, mariadb, sql, on_routine, d);
		if (d->rows < PAGE)
			break;
	}
	return end;
}

static bool
read_routines(struct defs_read *d, struct db *db, bool mariadb)
{
	enum db_end end = ask(db, mariadb, "SELECT name FROM mysql.func", on_loadable, d);

	d->loadable_known = end == DB_OK;
	if (end != DB_OK && !db_is_open(db))
		return went_well(d, db, end);
	end = mariadb ? read_pages(d, db, mariadb, from_proc) : DB_ERROR;
	d->r->denied |= !d->loadable_known;
	/* not for us, or another kind of server: what may be seen of them are their names */
	if (end == DB_ERROR && db_is_open(db)) {
		d->r->denied |= mariadb;
		d->r->nroutines = 0;
		end = read_pages(d, db, mariadb, from_views);
	}
	if (!went_well(d, db, end))
		return false;
	def_routines_sort(d->r);
	return true;
}

/* ---- all ---- */

static void
on_lower_case(void *arg, const struct db_row *row)
{
	struct defs_read *d = arg;

	if (row->n >= 1)
		d->r->lower_case = (u32)facts_u64(row->value[0]);
}

bool
defs_step(struct defs_read *d, struct db *db, bool mariadb)
{
	u32 n = d->r->list == NULL ? 0 : d->r->list->n;

	if (d->at < n && !d->broken) {
		d->t = &d->r->table[d->at];
		if (!read_table(d, db, mariadb))
			return false;
		d->at++;
		return true;
	}
	d->r->ok = went_well(d, db, ask(db, mariadb, "SELECT @@lower_case_table_names", on_lower_case, d)) &&
	    read_routines(d, db, mariadb);
	return false;
}
