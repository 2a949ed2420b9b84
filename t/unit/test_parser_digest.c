/* Unit tests of parser/digest.c: texts that have one shape, texts that have not, what a shape looks like, and that no literal
 * and no byte behind the text gets into it. t/sys/test_digest.py compares with a server.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include "parser/digest.h"
#include "parser/stmt.h"

static struct digest d;

static void
shape_is(const char *sql, u32 mode, const char *want)
{
	digest_make(sql, strlen(sql), mode, &d);
	cr_assert(d.len == strlen(want) && memcmp(d.text, want, d.len) == 0, "%s: %.*s, want %s", sql, (int)d.len, d.text, want);
	cr_assert(d.total == d.len);
}

static u64
hash_of(const char *sql, u32 mode)
{
	digest_make(sql, strlen(sql), mode, &d);
	return d.hash;
}

/* Each line: texts of one shape; no two lines have one. */
#define COLUMNS 5
static const char *const alike[][COLUMNS] = {
    {"SELECT 1", "select 'a'", "SELECT\t-1 -- x", "/* c */ SELECT /*!50000 0x1F */;", "SELECT NULL;;"},
    {"SELECT 1.5, 2", "SELECT 1e5,'b',NULL", "SELECT \\N, N'x', b'01'", "SELECT x'1F', 0b1", "SELECT - -1, + 1"},
    {"SELECT a FROM t WHERE a IN (1, 2)", "select a from t where a in(-1,'x',NULL)"},
    {"SELECT a FROM t WHERE a IN (1)", "SELECT `a` FROM `t` WHERE a IN (NULL)"},
    {"INSERT INTO t VALUES (1, 2)", "INSERT INTO t VALUES ('', -0x5, NULL)"},
    {"INSERT INTO t VALUES (1, 2), (3, 4)", "INSERT INTO t VALUES (1,2,3),(NULL,4),('a',-5,6)"},
    {"INSERT INTO t VALUES (1), (3)", "INSERT INTO t VALUES (NULL),(NULL),(-1)"},
    {"SELECT a FROM t LIMIT 1, 2", "SELECT a FROM t LIMIT 5,6"},
    {"SELECT a FROM t LIMIT 1 OFFSET 2"},
    {"SELECT a <> 1", "SELECT a != 2", "SELECT a<>'x'"},
    {"SELECT a = 1", "SELECT a = NULL", "SELECT a ='x'"},
    {"SELECT a = -1", "SELECT a=- 2"},
    {"SELECT a IS NULL", "select a is null"},
    {"SELECT a IS NOT NULL"},
    {"SELECT a - 1", "SELECT a -1"},
    {"SELECT DISTINCT a FROM t", "select distinctrow a from t"},
    {"SELECT A FROM t"},
    {"SELECT a FROM t", "SELECT a FROM t -- and more", "SELECT/**/a FROM`t`#"},
    {"SELECT a FROM s.t", "SELECT a FROM s . t", "SELECT a FROM `s`.`t`"},
    {"SELECT t.select FROM t", "SELECT t.`select` FROM t"},
    {"SELECT @a", "SELECT @b", "SELECT @'c d'"},
    {"SELECT @`a`"},
    {"SELECT @@sql_mode"},
    {"SELECT @@session.sql_mode", "SELECT @@SESSION . sql_mode"},
    {"SELECT count(a) FROM t", "SELECT COUNT(a) FROM t"},
    {"SELECT count (a) FROM t"},
    {"SELECT abs(1) FROM t"},
    {"SELECT NOW()"},
    {"SELECT substr(a, 1, 2)", "SELECT SUBSTRING(a, 1, 2)", "SELECT MID(a, 3,4)"},
    {"SELECT _latin1'a'", "SELECT _utf8 'b'"},
    {"SELECT _foo"},
    {"SELECT CURRENT_TIMESTAMP", "SELECT localtime"},
    {"CREATE TABLE t (a INT NULL)", "CREATE TABLE t (a INTEGER NULL)"},
    {"CREATE TABLE t (a INT NOT NULL)"},
    {"CREATE TABLE t (a INT DEFAULT NULL)", "CREATE TABLE t (a INT DEFAULT 5)", "CREATE TABLE t (a INT DEFAULT -5)"},
    {"SET @a = 1, @b = NULL", "SET @c = 'x', @d = 2"},
    {"SELECT 1; SELECT 2", "SELECT NULL ;; SELECT 'x';"},
    {"SELECT a FROM t WHERE (a, b) IN ((1, 2), (3, 4))", "SELECT a FROM t WHERE (a,b) IN ((1,2),(3,4),(5,6))"},
    {"SELECT a FROM t WHERE (a, b) IN ((1, 2))"},
};

Test(digest, alike_and_not)
{
	u64 hashes[ARRAY_LEN(alike)];

	for (size_t i = 0; i < ARRAY_LEN(alike); i++) {
		hashes[i] = hash_of(alike[i][0], 0);
		for (size_t j = 1; j < COLUMNS && alike[i][j] != NULL; j++)
			cr_assert(hash_of(alike[i][j], 0) == hashes[i], "%s: %.*s", alike[i][j], (int)d.len, d.text);
		for (size_t j = 0; j < i; j++)
			cr_assert(hashes[j] != hashes[i], "%s and %s", alike[i][0], alike[j][0]);
	}
}

Test(digest, shapes)
{
	shape_is("select c from sbtest1 where k=5", 0, "SELECT `c` FROM `sbtest1` WHERE `k` = ?");
	shape_is("insert into t values (1,'x'),(2,'y')", 0, "INSERT INTO `t` VALUES (...) /* , ... */");
	shape_is("SELECT a FROM t WHERE b in (1,2,3) AND c in ('x')", 0, "SELECT `a` FROM `t` WHERE `b` IN (...) AND `c` IN (?)");
	shape_is("select @x := @@global.sql_mode", 0, "SELECT @? := @@GLOBAL . `sql_mode`");
	shape_is("SELECT `a``b` + \"x\"", 0, "SELECT `a``b` + ?");
	shape_is("SELECT \"a`b\"", LEX_ANSI_QUOTES, "SELECT `a``b`");
	shape_is("SELECT '\\', 'x'", LEX_NO_BACKSLASH_ESCAPES, "SELECT ?, ...");
	shape_is("", 0, "");
	shape_is(" ; ;-- x", 0, "");
	cr_assert(d.hash == 0);
}

Test(digest, nothing_doubtful)
{
	shape_is("SELECT 'secret", 0, "SELECT ...");
	shape_is("SELECT a, 'x\\", 0, "SELECT `a` , ...");
	shape_is("SELECT '\x95\\', secret, '", LEX_UNSAFE_CHARSET, "SELECT ...");
	shape_is("SELECT 'x', 5", LEX_UNSAFE_CHARSET, "SELECT ?, ...");
	shape_is("SELECT a FROM t WHERE b = 'se", LEX_TRUNCATED, "SELECT `a` FROM `t` WHERE `b` = ...");
	shape_is("INSERT INTO t VALUES (1,2),(3,4),(5,'se", LEX_TRUNCATED, "INSERT INTO `t` VALUES (...) /* , ... */ ...");
	shape_is("INSERT INTO t VALUES (1,2),(3,4)", LEX_TRUNCATED, "INSERT INTO `t` VALUES (...) /* , ... */ ...");
}

static char text[300000];

/* Puts first into text, and n times before, a number, behind; returns the length. */
static size_t
make(const char *first, const char *before, const char *behind, int n)
{
	size_t len = (size_t)snprintf(text, sizeof text, "%s", first);

	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%d%s", before, i, behind);
	cr_assert(len < sizeof text);
	return len;
}

static u64
hash_text(size_t len)
{
	digest_make(text, len, 0, &d);
	return d.hash;
}

/* Lists and names as long as one likes: the hash is that of the whole, the text its beginning. */
Test(digest, long_texts)
{
	size_t n;
	u64 one;

	n = make("INSERT INTO t VALUES (1, 2), (3, 4)", ",(", ",'x')", 20000);
	cr_assert(hash_text(n) == hash_of("INSERT INTO t VALUES (1,2),(3,4)", 0));
	/* many names; another one only at the very end */
	n = make("SELECT a", ", c", "", 20000);
	one = hash_text(n);
	cr_assert(d.len == DIGEST_TEXT && d.total > 100000 && memcmp(d.text, "SELECT `a` , `c0` , `c1` ,", 26) == 0);
	text[n - 1] = 'x';
	cr_assert(hash_text(n) != one);
	/* one name longer than the room, and one that differs in its last byte */
	memset(text, 'n', 10000);
	memcpy(text, "SELECT ", 7);
	one = hash_text(10000);
	cr_assert(d.total == 10002);
	text[9999] = 'm';
	cr_assert(hash_text(10000) != one);
	/* lists that are folded while the room is full */
	one = hash_text(make("SELECT 1", ", c", " IN (1,-3)", 1000));
	cr_assert(d.len == DIGEST_TEXT);
	cr_assert(hash_text(make("SELECT  'x'", ", c", " IN ('', NULL, 1, 2, 3, 4, 5, - - 6)", 1000)) == one);
}
