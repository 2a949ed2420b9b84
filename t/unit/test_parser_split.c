/* Unit tests of parser/split.c: texts with the statements that a server finds in them, and texts of which that is not certain.
 * t/sys/test_multi.py compares with a server.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "parser/split.h"
#include "parser/stmt.h"

#define MOST 8
static struct split_part part[MOST];

/* want: the statements with | between them; NULL: not certain. The text is given without a byte behind it. */
static void
parts_are(const char *sql, u32 mode, const char *want)
{
	size_t len = strlen(sql), at = 0;
	char got[512], *text = malloc(len > 0 ? len : 1);

	memcpy(text, sql, len);
	u32 n = split_text(text, len, mode, part, MOST);
	for (u32 i = 0; i < n; i++) {
		cr_assert(part[i].off + part[i].len <= len);
		at += (size_t)snprintf(got + at, sizeof got - at, "%s%.*s", i > 0 ? "|" : "", (int)part[i].len, text + part[i].off);
	}
	free(text);
	if (want == NULL)
		cr_assert_eq(n, 0, "%s: %s", sql, got);
	else
		cr_assert(n > 0 && strcmp(got, want) == 0, "%s: %s, want %s", sql, n > 0 ? got : "-", want);
}

static const char *const table[][2] = {
    {"SELECT 1", "SELECT 1"},
    {"SELECT 1;", "SELECT 1"},
    {"SELECT 1; ; ;\n", "SELECT 1"},
    {" SELECT 1;SELECT 2", "SELECT 1|SELECT 2"},
    {"SELECT 1 ;\n\t SELECT 2 ; ", "SELECT 1 |SELECT 2"},
    {"SELECT ';';SELECT \";\";SELECT `;`", "SELECT ';'|SELECT \";\"|SELECT `;`"},
    {"SELECT 'a\\';';SELECT ''';'", "SELECT 'a\\';'|SELECT ''';'"},
    {"SELECT 1 /* ; */;/* ; */ SELECT 2 -- ;\n;SELECT 3 # ;", "SELECT 1 /* ; */|/* ; */ SELECT 2 -- ;\n|SELECT 3 #"},
    {"SELECT 1 /*! + 1 */; SELECT 2", "SELECT 1 /*! + 1 */|SELECT 2"},
    {"(SELECT 1) UNION (SELECT 2);((SELECT 3))", "(SELECT 1) UNION (SELECT 2)|((SELECT 3))"},
    {"INSERT INTO t VALUES (';'); DELETE FROM t; REPLACE INTO t SET a=1; UPDATE t SET a=2",
        "INSERT INTO t VALUES (';')|DELETE FROM t|REPLACE INTO t SET a=1|UPDATE t SET a=2"},
    {"BEGIN; COMMIT; BEGIN WORK; ROLLBACK; START TRANSACTION; SAVEPOINT a; RELEASE SAVEPOINT a",
        "BEGIN|COMMIT|BEGIN WORK|ROLLBACK|START TRANSACTION|SAVEPOINT a|RELEASE SAVEPOINT a"},
    {"CALL p(';'); DO 1; USE a; SHOW TABLES; EXPLAIN SELECT 1; TRUNCATE t; XA START 'a'",
        "CALL p(';')|DO 1|USE a|SHOW TABLES|EXPLAIN SELECT 1|TRUNCATE t|XA START 'a'"},
    {"CREATE TABLE t (a INT); CREATE OR REPLACE TEMPORARY TABLE u (a INT); ALTER TABLE t ADD b INT; DROP TABLE t; CREATE UNIQUE INDEX i ON t (a)",
        "CREATE TABLE t (a INT)|CREATE OR REPLACE TEMPORARY TABLE u (a INT)|ALTER TABLE t ADD b INT|DROP TABLE t|CREATE UNIQUE INDEX i ON t (a)"},
    {"SET NAMES latin1; SELECT 'a'", "SET NAMES latin1|SELECT 'a'"},
    {"SELECT 1; SET sql_mode = \"ANSI_QUOTES\"", "SELECT 1|SET sql_mode = \"ANSI_QUOTES\""},
    {"SELECT 1 --\n; SELECT 2", "SELECT 1 --\n|SELECT 2"},
    {"SELECT 1; SELECT 2 -- ;", "SELECT 1|SELECT 2 --"},
    {"SELECT 1 - -1; SELECT 2", "SELECT 1 - -1|SELECT 2"},
    {"SELECT FROM WHERE; SELECT )", "SELECT FROM WHERE|SELECT )"}, /* whatever it is, here it ends */
    {"SELECT 'ä', \"ö\"; SELECT ü FROM t", "SELECT 'ä', \"ö\"|SELECT ü FROM t"},
    /* not certain */
    {"", NULL},
    {" ; ;", NULL},
    {";SELECT 1", NULL},
    {"SELECT 1;;SELECT 2", NULL},
    {"SELECT 1; ;SELECT 2", NULL},
    {"SELECT 1; /* c */; SELECT 2", NULL},
    {"SELECT 1; -- c", NULL},
    {"SELECT 1; SELECT 'a", NULL},
    {"SELECT 1; SELECT 2 /* a", NULL},
    {"SELECT 1 --; SELECT 2", NULL},
    {"SELECT 1 /*! ; SELECT 2 */; SELECT 3", NULL},
    {"SELECT 1 /*!50701 + 1 */; SELECT 2", NULL},
    {"SELECT 1 /*M! + 1 */; SELECT 2", NULL},
    {"SELECT 1 /*M!100100 ; */; SELECT 2", NULL},
    {"/*!mycat:db_type=slave*/ SELECT 1; SELECT 2", NULL},
    {"/* margay: replica */ SELECT 1; SELECT 2", NULL},
    {"BEGIN NOT ATOMIC SELECT 1; END", NULL},
    {"BEGIN SELECT 1; END", NULL},
    {"DECLARE a INT; BEGIN NULL; END", NULL},
    {"IF 1 THEN SELECT 1; END IF", NULL},
    {"CASE 1 WHEN 1 THEN SELECT 1; END CASE", NULL},
    {"LOOP SELECT 1; END LOOP", NULL},
    {"a: BEGIN SELECT 1; END", NULL},
    {"FOR i IN 1..2 DO SELECT 1; END FOR", NULL},
    {"WHILE 1 DO SELECT 1; END WHILE", NULL},
    {"REPEAT SELECT 1; UNTIL 1 END REPEAT", NULL},
    {"CREATE PROCEDURE p() BEGIN SELECT 1; END", NULL},
    {"CREATE OR REPLACE DEFINER=a@b TRIGGER t BEFORE INSERT ON t FOR EACH ROW BEGIN SET @a=1; END", NULL},
    {"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; END", NULL},
    {"ALTER EVENT e DO BEGIN SELECT 1; END", NULL},
    {"CREATE FUNCTION f() RETURNS INT RETURN 1; SELECT 1", NULL},
    {"CREATE PACKAGE p AS END", NULL},
    {"SET STATEMENT sql_mode='' FOR SELECT 1; SELECT 2", NULL},
    {"SET sql_mode=''; SELECT \"a\"", NULL},
    {"SET sql_mode=''; SELECT 'a\\'", NULL},
    {"EXECUTE s; SELECT \"a\"", NULL},
    {"(INSERT INTO t VALUES (1)); SELECT 1", NULL},
    {"nonsense; SELECT 1", NULL},
    {"SELECT 1;\x01 SELECT 2", NULL},
    {"SELECT '\xe4'; SELECT a\xe4 FROM t", NULL},
    {"SELECT 1;SELECT 2;SELECT 3;SELECT 4;SELECT 5;SELECT 6;SELECT 7;SELECT 8;SELECT 9", NULL},
};

Test(split, table)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		parts_are(table[i][0], 0, table[i][1]);
	parts_are("SELECT 1;SELECT 2;SELECT 3;SELECT 4;SELECT 5;SELECT 6;SELECT 7;SELECT 8", 0,
	    "SELECT 1|SELECT 2|SELECT 3|SELECT 4|SELECT 5|SELECT 6|SELECT 7|SELECT 8");
	cr_assert_eq(part[7].kw, KW_SELECT);
}

Test(split, modes)
{
	parts_are("SELECT '\\'; SELECT '", LEX_NO_BACKSLASH_ESCAPES, NULL);
	parts_are("SELECT '\\'; SELECT 2", LEX_NO_BACKSLASH_ESCAPES, "SELECT '\\'|SELECT 2");
	parts_are("SELECT \"\\\"; SELECT 2", LEX_ANSI_QUOTES, "SELECT \"\\\"|SELECT 2");
	parts_are("SELECT \"\\\"; SELECT 2", 0, NULL);
	parts_are("SELECT 1; SELECT 2", LEX_UNSAFE_CHARSET, NULL);
	parts_are("SELECT 1; SELECT 2", LEX_TRUNCATED, NULL);
	cr_assert_eq(split_text("SELECT 1\0; SELECT 2", 19, 0, part, MOST), 0);
}

/* Statements that are known, joined at random: the spans are those that they were put at. */
Test(split, joined)
{
	static const char *const known[] = {"SELECT 1", "SELECT ';' , \";\"", "/* ; */ SELECT `;`", "INSERT INTO t VALUES ('\\';')", "UPDATE t SET a=1 # ;\n",
	    "(SELECT 1) UNION SELECT -1", "DELETE FROM t -- ;\n", "CALL p()", "WITH x AS (SELECT 1) SELECT * FROM x", "BEGIN", "CREATE TABLE t (a INT)"};
	static const char *const blanks[] = {"", " ", "\n\t", "  \r\n"};
	u32 seed = 20261128;
	char text[2048];

	for (int round = 0; round < 20000; round++) {
		u32 off[MOST], len[MOST], n = 1 + (u32)round % MOST;
		size_t at = 0;

		for (u32 i = 0; i < n; i++) {
			u32 r = seed = seed * 1664525u + 1013904223u;
			const char *s = known[(r >> 8) % ARRAY_LEN(known)];

			at += (size_t)snprintf(text + at, sizeof text - at, "%s", blanks[r >> 30]);
			off[i] = (u32)at;
			at += (size_t)snprintf(text + at, sizeof text - at, "%s", s);
			len[i] = (u32)at - off[i];
			if (i + 1 < n)
				at += (size_t)snprintf(text + at, sizeof text - at, ";");
		}
		while (text[off[n - 1] + len[n - 1] - 1] == '\n' || text[off[n - 1] + len[n - 1] - 1] == ' ' || text[off[n - 1] + len[n - 1] - 1] == ';')
			len[n - 1]--; /* what a server cuts off */
		cr_assert_eq(split_text(text, at, 0, part, MOST), n, "%.*s", (int)at, text);
		for (u32 i = 0; i < n; i++)
			cr_assert(part[i].off == off[i] && part[i].len == len[i], "%.*s: %u", (int)at, text, i);
	}
}
