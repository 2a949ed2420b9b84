/* Unit tests of router/plan.h and parser/plankey.h: which statements share a plan, what is kept, and for how long. */
#include <criterion/criterion.h>
#include "router/plan.h"

/* Plans of the texts in turn: index of the text that made the one found, -1: none was kept. */
static struct plan_cache cache;

static const struct plan *
look(const char *text, u32 mode, bool *found_r)
{
	static struct plankey k;
	static struct digest d, plain;
	size_t len = strlen(text);
	struct stmt st, again;
	struct stmt_facts f;
	struct arena a;
	char *copy = malloc(len + 1);

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	shape_make(copy, len, mode, &d, &k);
	digest_make(copy, len, mode, &plain);
	cr_expect(d.hash == plain.hash && d.total == plain.total && memcmp(d.text, plain.text, d.len) == 0, "%s", text);
	const struct plan *p = plan_find(&cache, &k);

	*found_r = p != NULL;
	arena_init(&a, STMT_ARENA);
	stmt_understand(&a, copy, len, mode, &st, &f);
	if (p == NULL)
		p = plan_add(&cache, &k, copy, &st, &f);
	if (p != NULL) { /* whoever made it: the verdict is that of this text */
		again = p->st;
		cr_expect(memcmp(&again, &st, sizeof st) == 0, "%s", text);
		cr_expect(p->facts == f.flags && p->ntables == f.ntables && p->ncalls == f.ncalls, "%s", text);
		for (u32 i = 0; i < f.ntables; i++)
			cr_expect(p->tables[i].access == f.tables[i].access && p->tables[i].name.len == f.tables[i].name.len &&
			    memcmp(p->tables[i].name.name, copy + f.tables[i].name.off, f.tables[i].name.len) == 0, "%s", text);
	}
	arena_fini(&a);
	free(copy);
	return p;
}

static void
setup(void)
{
	cr_assert(plan_cache_init(&cache, 1024));
}

static void
teardown(void)
{
	plan_cache_fini(&cache);
	cr_expect_eq(cache.bytes, 0);
}

TestSuite(plan, .init = setup, .fini = teardown);

static bool
share(const char *a, const char *b)
{
	bool found;

	plan_cache_fini(&cache);
	(void)plan_cache_init(&cache, 64);
	cr_assert_not_null(look(a, 0, &found), "%s", a);
	(void)look(b, 0, &found);
	return found;
}

Test(plan, literals_spaces_comments_and_case_do_not_count)
{
	static const char *const same[][2] = {
	    {"SELECT a FROM t WHERE id = 1", "select a FROM t /* x */ WHERE\tid=234567 -- y"},
	    {"SELECT a FROM t WHERE c = 'a'", "SELECT a FROM t WHERE c = 'it''s \\' more'"},
	    {"INSERT INTO t VALUES (1, 1.5, 'x'), (?, x'1F', NULL)", "INSERT INTO t VALUES(2,.5, 'y'),(?,x'00',NULL)"},
	    {"UPDATE t SET a = a + 1 WHERE b BETWEEN -1 AND 2", "UPDATE t SET a = a + 9 WHERE b BETWEEN -100 AND 200"},
	    {"SET autocommit = 1", "SET autocommit = 0"},
	    {"COMMIT", "commit;"},
	};

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		cr_expect(share(same[i][0], same[i][1]), "%s / %s", same[i][0], same[i][1]);
}

Test(plan, everything_else_does)
{
	static const char *const other[][2] = {
	    {"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = 1.0"},
	    {"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = '1'"},
	    {"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = -1"},
	    {"SELECT a FROM t WHERE id = 1", "SELECT a FROM t WHERE id = ?"},
	    {"SELECT a FROM t WHERE id IN (1)", "SELECT a FROM t WHERE id IN (1, 2)"},
	    {"SELECT a FROM t", "SELECT b FROM t"},
	    {"SELECT a FROM t", "SELECT a FROM T"},
	    {"SELECT a FROM t", "SELECT a FROM `t`"},
	    {"SELECT a FROM t", "SELECT a FROM t FOR UPDATE"},
	    {"SELECT @a", "SELECT @b"},
	    {"SELECT @@session.sql_mode", "SELECT @@session.identity"},
	    {"SELECT COUNT(1)", "SELECT COUNT (1)"},
	    {"SELECT a < b", "SELECT a <= b"},
	    {"SELECT (1)", "SELECT 1"},
	    {"SELECT 0x1F", "SELECT 0b1"},
	    {"SELECT 0x1F", "SELECT x'1F'"},
	    {"SELECT N'a'", "SELECT 'a'"},
	    {"SELECT count(*) FROM t", "SELECT COUNT(*) FROM t"}, /* the column's name */
	    {"SELECT ab", "SELECT a b"},
	    {"SELECT 'a' 'b'", "SELECT 'a''b'"},
	};

	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		cr_expect(!share(other[i][0], other[i][1]), "%s / %s", other[i][0], other[i][1]);
}

Test(plan, modes_are_part_of_the_key)
{
	bool found;

	cr_assert_not_null(look("SELECT \"a\"", 0, &found));
	cr_assert_not_null(look("SELECT \"a\"", LEX_ANSI_QUOTES, &found));
	cr_expect(!found);
	(void)look("SELECT \"a\"", LEX_ANSI_QUOTES, &found);
	cr_expect(found);
}

Test(plan, not_kept)
{
	static const char *const texts[] = {
	    "/* margay: primary */ SELECT 1",
	    "SELECT 1 /* margay: replica */",
	    "/*!mycat: db_type=slave */ SELECT 1",
	    "SELECT 1 /*!50701 FOR UPDATE */",
	    "SELECT 1 /*M! FOR UPDATE */",
	    "KILL 5",
	    "USE d1",
	    "PREPARE s FROM 'KILL 5'",
	    "EXECUTE IMMEDIATE 'KILL 5'",
	    "SELECT PASSWORD('x')",
	    "SET PASSWORD = PASSWORD('x')",
	    "CREATE TABLE t (a INT)",
	    "SELECT 1; SELECT 2",
	    "SELECT 'not closed",
	    "",
	};
	bool found;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		cr_expect_null(look(texts[i], 0, &found), "%s", texts[i]);
	cr_expect_null(look("SELECT '\x95\x5c'", LEX_UNSAFE_CHARSET, &found));
	cr_expect_null(look("SELECT 1", LEX_TRUNCATED, &found));
	cr_expect_eq(cache.n, 0);
}

Test(plan, a_new_stamp_ends_all)
{
	bool found;

	(void)look("SELECT 1", 0, &found);
	plan_cache_stamp(&cache, 7);
	cr_assert_not_null(look("SELECT 1", 0, &found));
	cr_expect(!found);
	cr_expect_eq(cache.n, 1);
	(void)look("SELECT 1", 0, &found);
	cr_expect(found);
}

Test(plan, the_oldest_goes_and_memory_is_bounded)
{
	char text[64];
	bool found;

	plan_cache_fini(&cache);
	cr_assert(plan_cache_init(&cache, 16));
	(void)look("SELECT kept", 0, &found);
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof text, "SELECT a%d", i);
		(void)look(text, 0, &found);
		cr_expect(!found);
		(void)look("SELECT kept", 0, &found);
		cr_expect(found, "after %d", i);
	}
	cr_expect_leq(cache.n, 16);
	cr_expect_lt(cache.bytes, 16 * 1024);
}

Test(plan, too_long_for_a_key)
{
	static struct plankey k;
	char text[4096];
	int n = snprintf(text, sizeof text, "SELECT 0");

	for (u32 i = 0; n < 4000; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, i % 2 ? ",%u" : ",a%u", i);
	shape_make(text, (size_t)n, 0, NULL, &k);
	cr_expect(!k.usable);
	shape_make(text, 900, 0, NULL, &k);
	cr_expect(k.usable && k.tokens > 100);
	for (u32 i = 1; i < k.tokens; i++)
		cr_expect_geq(k.at[i].off, k.at[i - 1].off + k.at[i - 1].len);
	/* a name longer than its length can say */
	memset(text + 7, 'a', 300);
	shape_make(text, 307, 0, NULL, &k);
	cr_expect(!k.usable);
}

Test(plan, off)
{
	bool found;

	plan_cache_fini(&cache);
	cr_assert(plan_cache_init(&cache, 0));
	cr_expect_null(look("SELECT 1", 0, &found));
	cr_expect(!found);
}
