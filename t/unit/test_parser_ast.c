/* Unit tests of parser/ast.h: trees of statements, errors and where they are, limits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "parser/ast.h"
#include "parser/stmt.h"

#define LIMIT_BYTES (64u * 1024 * 1024)

static char *
tree(const char *sql, u32 mode)
{
	static char buf[8192];
	struct arena a;
	struct ast_result r;
	size_t n = 0;

	arena_init(&a, LIMIT_BYTES);
	ast_parse(&a, sql, strlen(sql), mode, &r);
	if (r.verdict != AST_OK)
		snprintf(buf, sizeof buf, "%d at %u: %s", (int)r.verdict, r.err_off, r.wanted ? r.wanted : "-");
	for (struct ast *s = r.verdict == AST_OK ? r.first : NULL; s != NULL; s = s->next)
		n += ast_print(s, sql, buf + n, sizeof buf - n);
	arena_fini(&a);
	return buf;
}

#define TREE(sql, want)        cr_expect_str_eq(tree(sql, 0), want, "%s\n got %s\nwant %s", sql, tree(sql, 0), want)
#define TREE_IN(mode, sql, want) cr_expect_str_eq(tree(sql, mode), want, "%s: %s", sql, tree(sql, mode))
/* The expression of SELECT <e>, without what is around it. */
static const char *
expr(const char *e, u32 mode)
{
	static char buf[8192];
	char sql[1024];
	const char head[] = "(query (select (items (item ";

	snprintf(sql, sizeof sql, "SELECT %s", e);
	snprintf(buf, sizeof buf, "%s", tree(sql, mode));
	if (strncmp(buf, head, sizeof head - 1) != 0)
		return buf;
	buf[strlen(buf) - 4] = '\0';
	return buf + sizeof head - 1;
}
#define EXPR(e, want) cr_expect_str_eq(expr(e, 0), want, "%s\n got %s\nwant %s", e, expr(e, 0), want)

#define COL(x) "(ref (name " x "))"

Test(parser_ast, strengths)
{
	EXPR("a", COL("a"));
	EXPR("a+b*c", "(binary + " COL("a") " (binary * " COL("b") " " COL("c") "))");
	EXPR("a*b+c", "(binary + (binary * " COL("a") " " COL("b") ") " COL("c") ")");
	EXPR("a-b-c", "(binary - " COL("a") " " COL("b") " " COL("c") ")");
	EXPR("a=b=c", "(binary = (binary = " COL("a") " " COL("b") ") " COL("c") ")");
	EXPR("a OR b AND c", "(binary or " COL("a") " (binary and " COL("b") " " COL("c") "))");
	EXPR("a AND b AND c", "(binary and " COL("a") " " COL("b") " " COL("c") ")");
	EXPR("a XOR b OR c", "(binary or (binary xor " COL("a") " " COL("b") ") " COL("c") ")");
	EXPR("-a^b", "(binary ^ (unary neg " COL("a") ") " COL("b") ")");
	EXPR("a|b&c<<d", "(binary | " COL("a") " (binary & " COL("b") " (binary << " COL("c") " " COL("d") ")))");
}

Test(parser_ast, strengths_of_not)
{
	EXPR("NOT a=b", "(unary not (binary = " COL("a") " " COL("b") "))");
	cr_expect_str_eq(expr("NOT a=b", LEX_HIGH_NOT), "(binary = (unary not " COL("a") ") " COL("b") ")");
	EXPR("!a=b", "(binary = (unary not " COL("a") ") " COL("b") ")");
	cr_expect_str_eq(expr("a||b", 0), "(binary or " COL("a") " " COL("b") ")");
	cr_expect_str_eq(expr("a||b", LEX_PIPES_AS_CONCAT), "(binary || " COL("a") " " COL("b") ")");
}

Test(parser_ast, predicates)
{
	EXPR("a BETWEEN 1 AND 2 AND b", "(binary and (between " COL("a") " (lit 1) (lit 2)) " COL("b") ")");
	EXPR("a NOT BETWEEN b+1 AND c", "(between /1 " COL("a") " (binary + " COL("b") " (lit 1)) " COL("c") ")");
	EXPR("a IN (1,2)", "(in " COL("a") " (lit 1) (lit 2))");
	EXPR("a NOT IN (1)", "(in /1 " COL("a") " (lit 1))");
	EXPR("(a,b) IN ((1,2),(3,4))", "(in (row " COL("a") " " COL("b") ") (row (lit 1) (lit 2)) (row (lit 3) (lit 4)))");
	EXPR("a IN (SELECT 1)", "(in " COL("a") " (subquery (query (select (items (item (lit 1)))))))");
}

Test(parser_ast, with_keywords)
{
	EXPR("((SELECT 1) UNION SELECT 2)", "(subquery (query (setop UNION (subquery (query (select (items (item (lit 1)))))) "
	    "(select (items (item (lit 2)))))))");
	EXPR("a + INTERVAL 1 DAY", "(binary + " COL("a") " (interval (lit 1) (unit DAY DAY)))");
	EXPR("a IS NOT NULL", "(is NULL /1 " COL("a") ")");
	EXPR("INTERVAL(1,2,3)", "(fn INTERVAL (lit 1) (lit 2) (lit 3))");
	EXPR("a > ALL (SELECT 1)", "(quantified > /1 " COL("a") " (subquery (query (select (items (item (lit 1)))))))");
}

Test(parser_ast, literals)
{
	EXPR("'a' 'b' \"c\"", "(lit 'a' 'b' \"c\")");
	EXPR("_utf8mb4'x' COLLATE utf8mb4_bin", "(collate (lit _utf8mb4'x') (name utf8mb4_bin))");
	EXPR("_utf9'x'", "(ref (name _utf9)) (name 'x')");
	EXPR("DATE'2020-01-01'", "(lit DATE'2020-01-01')");
	EXPR("date", COL("date"));
	EXPR("-1", "(unary neg (lit 1))");
	EXPR("@a:=1+1", "(assignvar (uservar @a) (binary + (lit 1) (lit 1)))");
}

Test(parser_ast, calls)
{
	EXPR("s.f(1)", "(fn (ref (name s) (name f)) (lit 1))");
	EXPR("COUNT(*)", "(fn (ref (name COUNT)) (argstar))");
	EXPR("COUNT(DISTINCT a)", "(fn /2 (ref (name COUNT)) " COL("a") ")");
	EXPR("f(CAST(a AS CHAR(3)))", "(fn (ref (name f)) (fn (ref (name CAST)) " COL("a") " (type CHAR(3))))");
	EXPR("TRIM(BOTH 'x' FROM a)", "(fn (ref (name TRIM)) (lit 'x') " COL("a") ")");
	EXPR("SUM(a) OVER (PARTITION BY b ORDER BY c DESC)",
	    "(over (fn (ref (name SUM)) " COL("a") ") (window (group (by " COL("b") ")) (order (by /1 " COL("c") "))))");
}

Test(parser_ast, statements)
{
	TREE("SELECT t.*, a x FROM s.t AS u WHERE a=1 ORDER BY 1 LIMIT 2,3",
	    "(query (select (items (star (name t)) (item (ref (name a)) (name x))) (from (table (name s) (name t) (alias (name u)))) "
	    "(where (binary = (ref (name a)) (lit 1)))) (order (by (lit 1))) (limit (lit 2) (lit 3)))");
	TREE("USE `a b`", "(use (name `a b`))");
	TREE(";;DO 1;;", "(do (lit 1))");
	TREE("CALL p(1, @a)", "(call (ref (name p)) (lit 1) (uservar @a))");
	TREE("UPDATE t SET a=DEFAULT, b=2 WHERE c LIMIT 1", "(update (from (table (name t))) (assigns (assign (ref (name a)) "
	    "(default DEFAULT)) (assign (ref (name b)) (lit 2))) (where (ref (name c))) (limit (lit 1)))");
	TREE("DELETE FROM t WHERE a", "(delete (from (table (name t))) (where (ref (name a))))");
	TREE("DELETE a, s.b.* FROM a JOIN s.b USING (x)",
	    "(delete /8 (targets (table (name a)) (table (name s) (name b))) (from (join JOIN (table (name a)) "
	    "(table (name s) (name b)) (using (name x)))))");
}

/* a JOIN b JOIN c ON x: the server's grammar lets the second JOIN take b. */
Test(parser_ast, joins)
{
#define FROM_(x) "(query (select (items (star)) (from " x ")))"
	TREE("SELECT * FROM a JOIN b JOIN c ON x", FROM_("(join JOIN (table (name a)) (join JOIN (table (name b)) "
	    "(table (name c)) (on (ref (name x)))))"));
	TREE("SELECT * FROM a JOIN b ON x LEFT JOIN c ON y", FROM_("(join LEFT (join JOIN (table (name a)) (table (name b)) "
	    "(on (ref (name x)))) (table (name c)) (on (ref (name y))))"));
	TREE("SELECT * FROM a JOIN b JOIN c ON x ON y", FROM_("(join JOIN (table (name a)) (join JOIN (table (name b)) "
	    "(table (name c)) (on (ref (name x)))) (on (ref (name y))))"));
	TREE("SELECT * FROM ((SELECT 1) UNION SELECT 2) d, (a, b)", FROM_("(derived (query (setop UNION (subquery (query (select "
	    "(items (item (lit 1)))))) (select (items (item (lit 2)))))) (alias (name d))) (tables (table (name a)) (table (name b)))"));
}

Test(parser_ast, names)
{
	TREE("SELECT select.a FROM `t``x`", "(query (select (items (item (ref (name select) (name a)))) (from (table (name `t``x`)))))");
	TREE_IN(LEX_ANSI_QUOTES, "SELECT \"a\" FROM \"t\"", "(query (select (items (item (ref (name \"a\")))) (from (table (name \"t\")))))");
	TREE("SELECT \"a\"", "(query (select (items (item (lit \"a\")))))");
}

Test(parser_ast, errors_say_where)
{
	TREE("SELECT", "1 at 6: an expression");
	TREE("SELECT 1 FROM", "1 at 13: a name");
	TREE("SELECT (1", "1 at 9: )");
	TREE("INSERT INTO t VALUES (1,)", "1 at 24: an expression");
	TREE("SELECT 1 FROM t WHERE a = 'x", "1 at 26: readable text");
	TREE("SELECT f(1,)", "1 at 10: an argument");
	TREE("SET STATEMENT a=1 FOR", "1 at 21: a statement");
	TREE("SELECT 1 1", "1 at 9: the end of the statement");
	TREE("DO 1 AS; DELETE FROM t", "1 at 7: a name");
	TREE("TRUNCATE t WAIT", "1 at 15: more of the statement");
	TREE("TRUNCATE t WAIT; DELETE FROM t", "1 at 15: more of the statement");
	TREE("EXPLAIN FORMAT=; DELETE FROM t", "1 at 15: more of the statement");
	TREE("SET PASSWORD = PASSWORD(; DELETE FROM t", "1 at 24: )");
}

/* The height and the span of a node whose children or tokens came late. */
Test(parser_ast, heights_and_spans)
{
	static const struct {
		const char *sql;
		u32 height, len;
	} t[] = {{"DELETE FROM t PARTITION (p) AS x", 4, 32}, {" CREATE ", 0, 6}, {"DELETE FROM t", 3, 13}};
	struct arena a;
	struct ast_result r;

	arena_init(&a, LIMIT_BYTES);
	for (u32 i = 0; i < ARRAY_LEN(t); i++) {
		cr_expect_eq(ast_parse(&a, t[i].sql, strlen(t[i].sql), 0, &r), AST_OK);
		cr_expect_eq(r.first->height, t[i].height, "%s: %u", t[i].sql, r.first->height);
		cr_expect_eq(r.first->len, t[i].len, "%s: %u", t[i].sql, r.first->len);
	}
	arena_fini(&a);
}

Test(parser_ast, depth_is_limited)
{
	enum { N = 200000 };
	struct arena a;
	struct ast_result r;
	char *s = malloc(N + 64);

	cr_assert(s != NULL);
	arena_init(&a, LIMIT_BYTES);
	memcpy(s, "SELECT ", 7);
	memset(s + 7, '(', N);
	cr_expect_eq(ast_parse(&a, s, N + 7, 0, &r), AST_DEEP);
	arena_reset(&a);
	memset(s + 7, '-', N); /* -- is no comment without a blank behind it */
	cr_expect_eq(ast_parse(&a, s, N + 7, 0, &r), AST_DEEP);
	arena_reset(&a);
	memcpy(s, "SELECT * FROM ", 14);
	for (u32 i = 14; i + 3 <= N; i += 3)
		memcpy(s + i, "{a ", 3);
	cr_expect_eq(ast_parse(&a, s, N, 0, &r), AST_DEEP);
	arena_reset(&a);
	memcpy(s, "SELECT ", 7);
	for (u32 i = 0; i + 4 < N; i += 4) /* a row of operators that change: high, not nested */
		memcpy(s + 7 + i, "1*1%", 4);
	cr_expect_eq(ast_parse(&a, s, N - 1, 0, &r), AST_DEEP);
	arena_reset(&a);
	for (u32 i = 0; i + 6 <= N; i += 6)
		memcpy(s + 7 + i, "1 AND ", 6);
	cr_expect_eq(ast_parse(&a, s, 7 + N / 6 * 6 - 5, 0, &r), AST_OK, "one node: %u %s", r.err_off, r.wanted);
	arena_fini(&a);
	free(s);
}

Test(parser_ast, arena_is_limited)
{
	struct arena a;
	struct ast_result r;
	char sql[4096] = "SELECT 1";

	for (u32 i = 8; i + 3 < sizeof sql; i += 2)
		memcpy(sql + i, ",1", 3);
	arena_init(&a, 16384);
	cr_expect_eq(ast_parse(&a, sql, strlen(sql), 0, &r), AST_FULL);
	cr_expect_leq(a.used, 16384);
	arena_reset(&a);
	cr_expect_eq(ast_parse(&a, "SELECT 1", 8, 0, &r), AST_OK, "what was full is of use again");
	arena_fini(&a);
	cr_expect_eq(a.used, 0);
}

Test(parser_ast, counts)
{
	struct arena a;
	struct ast_result r;
	const char sql[] = "SELECT ?, '?', `?` /* ? */ FROM t WHERE a IN (?,?); DELETE FROM t WHERE a = ?";

	arena_init(&a, LIMIT_BYTES);
	cr_expect_eq(ast_parse(&a, sql, sizeof sql - 1, 0, &r), AST_OK);
	cr_expect_eq(r.params, 4);
	cr_expect_eq(r.statements, 2);
	cr_expect_eq(r.versioned, 0);
	cr_expect_eq(ast_parse(&a, "SELECT 1 /*!100100 + 1 */", 25, 0, &r), AST_OK);
	cr_expect_eq(r.versioned, 1);
	arena_fini(&a);
}
