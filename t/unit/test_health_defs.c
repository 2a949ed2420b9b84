/* Unit tests of health/defs.c: differences of two definitions, order and room of lists, what goes into a blob. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "health/defs.h"

static struct def_column
column(const char *name, const char *type)
{
	return (struct def_column){.name = name, .data_type = "int", .type = type, .nullable = true};
}

static char said[4096];

static void
on_say(void *arg, const char *text)
{
	(void)arg;
	size_t n = strlen(said);

	cr_assert_lt(snprintf(said + n, sizeof said - n, "%s|", text), (int)(sizeof said - n));
}

static const char *
diff(const struct def_table *a, const struct def_table *b)
{
	said[0] = '\0';
	def_diff(a, "s0", b, on_say, NULL);
	return said;
}

Test(health_defs, differences)
{
	struct def_column ca[3] = {column("id", "int(11)"), column("Name", "varchar(5)"), column("x", "int(11)")}, cb[4];
	struct def_part part[2] = {{.column = "id"}, {.column = "name", .length = 3}}, other[2];
	struct def_key ka[2] = {{.name = "PRIMARY", .type = "BTREE", .unique = true, .nparts = 1, .part = part}, {.name = "k", .type = "BTREE", .nparts = 2, .part = part}}, kb[2];
	struct def_table a = {.state = DEF_READ, .engine = "InnoDB", .type = "BASE TABLE", .collation = "c", .ncolumns = 3, .column = ca, .nkeys = 2, .key = ka}, b = a;

	memcpy(cb, ca, sizeof ca);
	memcpy(kb, ka, sizeof ka);
	memcpy(other, part, sizeof part);
	b.column = cb;
	b.key = kb;
	cr_expect_str_eq(diff(&a, &b), "");
	cb[1].name = "name"; /* the same column */
	cr_expect_str_eq(diff(&a, &b), "");
	cb[1].collation = "c2";
	cb[1].charset = "";
	cr_expect_str_eq(diff(&a, &b), "column Name: character set '', on s0 none|column Name: collation c2, on s0 none|");
	cb[1] = ca[1];
	cb[0].dflt = "5";
	cb[2].expr = "id + 1";
	cb[2].nullable = false;
	cr_expect_str_eq(diff(&a, &b), "column id: default 5, on s0 none|column x: NOT NULL, on s0 NULL|column x: expression id + 1, on s0 none|");
	memcpy(cb, ca, sizeof ca);
	cb[0] = ca[2];
	cb[2] = ca[0];
	cr_expect_str_eq(diff(&a, &b), "columns are in another order than on s0|");
	memcpy(cb, ca, sizeof ca);
	cb[3] = column("y", "int(11)");
	b.ncolumns = 4;
	cr_expect_str_eq(diff(&a, &b), "column y is not on s0|");
	cr_expect_str_eq(diff(&b, &a), "column y is missing|");
	b.ncolumns = 3;
	b.engine = NULL;
	cr_expect_str_eq(diff(&a, &b), "engine none, on s0 InnoDB|");
	b.engine = a.engine;
	kb[1].part = other;
	cr_expect_str_eq(diff(&a, &b), "");
	other[1].desc = true;
	other[0].column = NULL;
	cr_expect_str_eq(diff(&a, &b), "key k: BTREE (expression, name(3) DESC), on s0 BTREE (id, name(3))|");
	kb[1] = ka[1];
	b.nkeys = 1;
	cr_expect_str_eq(diff(&a, &b), "key k is missing|");
	cr_expect_str_eq(diff(&b, &a), "key k is not on s0|");
	cr_expect(def_has_column(&a, "NAME"));
	cr_expect(!def_has_column(&a, "nam"));
}

Test(health_defs, long_names)
{
	char name[600];
	struct def_column ca[1], cb[1];
	struct def_table a = {.ncolumns = 1, .column = ca, .type = ""}, b = {.ncolumns = 1, .column = cb, .type = ""};

	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	ca[0] = column(name, name);
	cb[0] = column(name, "x");
	cr_expect_lt(strlen(diff(&a, &b)), 400);
	cr_expect(strncmp(said, "column nnn", 10) == 0);
}

Test(health_defs, lists)
{
	struct def_list *l = def_list_new(5), *again;

	cr_assert(def_list_add(l, "b", "t") == 0 && def_list_add(l, "a", "u") == 0 && def_list_add(l, "b", "t") == 0 && def_list_add(l, "a", "t") == 0);
	def_list_sort(l);
	cr_assert_eq(l->n, 3);
	cr_expect_eq(def_list_find(l, "a", "t"), 0);
	cr_expect_eq(def_list_find(l, "a", "u"), 1);
	cr_expect_eq(def_list_find(l, "b", "t"), 2);
	cr_expect_eq(def_list_find(l, "b", "u"), -1);
	again = def_list_ref(l);
	def_list_put(l);
	cr_expect_eq(def_list_find(again, "b", "t"), 2);
	def_list_put(again);
	def_list_put(NULL);
}

/* Pages that overlap: the doubtful one of two stays. */
Test(health_defs, functions)
{
	struct def_routine v[5] = {{"s", "b", ROUTINE_HARMLESS}, {"S", "b", ROUTINE_HARMLESS}, {"s", "A", ROUTINE_HARMLESS}, {"s", "a", ROUTINE_EFFECT}, {"s", "B", ROUTINE_HARMLESS}};
	struct def_result r = {.nroutines = 5, .routine = v};

	def_routines_sort(&r);
	cr_assert_eq(r.nroutines, 3);
	cr_expect_eq(def_routine_find(&r, "s", "a")->verdict, ROUTINE_EFFECT);
	cr_expect_eq(def_routine_find(&r, "s", "b")->verdict, ROUTINE_HARMLESS);
	cr_expect_str_eq(def_routine_find(&r, "S", "b")->schema, "S");
	cr_expect_null(def_routine_find(&r, "S", "a"));
	cr_expect_null(def_routine_find(&r, "s", "c"));
}

Test(health_defs, blob)
{
	struct def_column c[2] = {{.name = "id", .type = "int(11)", .extra = "auto_increment"}, {.name = "g", .type = "int(11)", .extra = "VIRTUAL GENERATED INVISIBLE", .dflt = "NULL", .nullable = true}};
	struct def_part part[2] = {{.column = "ID"}, {.column = NULL}};
	struct def_key k[1] = {{.name = "primary", .unique = true, .nparts = 2, .part = part}};
	struct def_table t = {.type = "BASE TABLE", .engine = "InnoDB", .ncolumns = 2, .column = c, .nkeys = 1, .key = k};
	struct cat_build b;
	struct cat cat;
	const struct cat_def *d;
	u32 off;

	cr_assert_eq(cat_build_init(&b, 4096), 0);
	off = def_put(&b, &t);
	cr_assert_neq(off, 0);
	((struct cat_root *)(void *)b.p)->size = b.len;
	cr_assert_eq(cat_open(b.p, b.len, &cat), 0);
	d = cat_at(&cat, off);
	cr_expect_eq(cat_columns(&cat, d)[0].flags, CAT_AUTO_INC);
	cr_expect_eq(cat_columns(&cat, d)[1].flags, CAT_NULLABLE | CAT_GENERATED | CAT_INVISIBLE);
	cr_expect_eq(cat_keys(&cat, d)[0].flags, CAT_UNIQUE | CAT_PRIMARY);
	cr_expect_eq(cat_parts(&cat, &cat_keys(&cat, d)[0])[0].column, 0);
	cr_expect_eq(cat_parts(&cat, &cat_keys(&cat, d)[0])[1].column, CAT_NO_COLUMN);
	cr_expect_eq(cat_text(&cat, d->collation)[0], '\0');
	cat_build_fini(&b);
	/* no room: nothing of it */
	cr_assert_eq(cat_build_init(&b, 200), 0);
	cr_expect_eq(def_put(&b, &t), 0);
	cr_expect(b.full);
	cat_build_fini(&b);
}
