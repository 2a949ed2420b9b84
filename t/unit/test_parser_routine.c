/* Unit tests of parser/routine.c: bodies of stored functions that leave nothing, and many that may. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include "parser/routine.h"

static enum routine_verdict
judge(const char *body, size_t len, const char *params)
{
	/* exact sizes, so that a read behind an end is seen by a sanitizer */
	char *text = malloc(len + (len == 0)), *scratch = malloc(len + ROUTINE_SCRATCH);
	enum routine_verdict v;

	cr_assert(text != NULL && scratch != NULL);
	memcpy(text, body, len);
	v = routine_judge(text, len, params, strlen(params), scratch, len + ROUTINE_SCRATCH);
	free(text);
	free(scratch);
	return v;
}

static const struct {
	const char *body, *params;
	enum routine_verdict want;
} cases[] = {
    /* harmless */
    {"RETURN 1", "", ROUTINE_HARMLESS},
    {"return a + b", "a INT, b INT", ROUTINE_HARMLESS},
    {"RETURN CASE WHEN a > 1 THEN 'x' ELSE UPPER(b) END", "", ROUTINE_HARMLESS},
    {"RETURN (SELECT MAX(n) FROM t WHERE k = a)", "a INT", ROUTINE_HARMLESS},
    {"BEGIN RETURN 1; END", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE x, y INT DEFAULT 0; SET x = a + 1, y := 2; RETURN x; END", "", ROUTINE_HARMLESS},
    {"BEGIN SET s = LOWER(s); RETURN s; END", "s VARCHAR(10) CHARSET utf8", ROUTINE_HARMLESS},
    {"BEGIN SET S = 1; SET `n` = 2; RETURN 1; END", "IN s DECIMAL(10,2), n INT", ROUTINE_HARMLESS},
    {"BEGIN DECLARE v VARCHAR(20); SELECT name INTO v FROM t WHERE id = i; RETURN v; END", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE v, w INT; SELECT a, b FROM t WHERE id = i LIMIT 1 INTO v, w; RETURN v; END", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE v INT; WITH x AS (SELECT 1 n) SELECT n INTO v FROM x; RETURN v; END", "", ROUTINE_HARMLESS},
    {"BEGIN IF a > 1 THEN RETURN 1; ELSEIF a = 0 THEN RETURN 2; ELSE RETURN 3; END IF; END", "", ROUTINE_HARMLESS},
    {"BEGIN IF IF(a, b, c) THEN RETURN 1; END IF; RETURN 2; END", "", ROUTINE_HARMLESS},
    {"BEGIN CASE a WHEN 1 THEN RETURN 1; WHEN 2 THEN RETURN 2; ELSE BEGIN END; END CASE; RETURN 3; END", "", ROUTINE_HARMLESS},
    {"BEGIN CASE WHEN a = 1 THEN RETURN CASE a WHEN 1 THEN 2 END; END CASE; RETURN 3; END", "", ROUTINE_HARMLESS},
    {"b: BEGIN DECLARE i INT DEFAULT 0; l: LOOP SET i = i + 1; IF i > 9 THEN LEAVE l; END IF; ITERATE l; END LOOP l; RETURN i; END b", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE i INT; WHILE i < 9 DO SET i = i + 1; END WHILE; REPEAT SET i = i - 1; UNTIL i = 0 END REPEAT; RETURN i; END", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE done, v INT DEFAULT 0; DECLARE c CURSOR FOR SELECT id FROM t; DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; "
     "OPEN c; r: LOOP FETCH c INTO v; IF done THEN LEAVE r; END IF; END LOOP; CLOSE c; RETURN v; END", "", ROUTINE_HARMLESS},
    {"BEGIN DECLARE e CONDITION FOR SQLSTATE '45000'; DECLARE EXIT HANDLER FOR e, SQLSTATE VALUE '42S02', 1062, SQLEXCEPTION RETURN 1; RETURN 2; END", "", ROUTINE_HARMLESS},
    {"BEGIN -- what it does; SET @x = 1\n RETURN 1; /* @y */ END", "", ROUTINE_HARMLESS},
    {"RETURN '@x'", "", ROUTINE_HARMLESS},
    /* variables */
    {"BEGIN SET @x = 1; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"RETURN @x := 1", "", ROUTINE_VARIABLE},
    {"RETURN @x", "", ROUTINE_VARIABLE},
    {"RETURN @@server_id", "", ROUTINE_VARIABLE},
    {"BEGIN SELECT 1 INTO @x; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN DECLARE v INT; SELECT 1, 2 INTO v, @x; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN SET sql_mode = ''; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN SET SESSION sql_mode = ''; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN DECLARE session INT; SET SESSION sql_mode = ''; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN DECLARE x INT; SET x = 1, sort_buffer_size = 5; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN BEGIN DECLARE sql_mode INT; SET sql_mode = 1; END; SET sql_mode = 2; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN SET s = 1; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN SET last_insert_id = 5; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN SET NAMES utf8; RETURN 1; END", "names INT", ROUTINE_VARIABLE},
    {"BEGIN DECLARE r ROW(a INT); SET r.a = 1; RETURN 1; END", "", ROUTINE_VARIABLE},
    {"BEGIN DECLARE x INT DEFAULT @y; RETURN 1; END", "", ROUTINE_VARIABLE},
    /* statements */
    {"BEGIN INSERT INTO t VALUES (1); RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN UPDATE t SET a = 1; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DELETE FROM t; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN REPLACE t VALUES (1); RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN CALL p(); RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN CREATE TEMPORARY TABLE x (a INT); RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DROP TEMPORARY TABLE x; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DO GET_LOCK('a', 1); RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN IF a THEN INSERT INTO t VALUES (1); END IF; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN DELETE FROM t; END; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DECLARE CONTINUE HANDLER FOR 1062 DELETE FROM t; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN SIGNAL SQLSTATE '45000'; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN FOR i IN (SELECT 1) DO SET x = 1; END FOR; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"INSERT INTO t VALUES (1)", "", ROUTINE_STATEMENT},
    {"BEGIN EXECUTE IMMEDIATE 'x'; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN HANDLER t OPEN; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN GET DIAGNOSTICS CONDITION 1 a = MESSAGE_TEXT; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DECLARE v INT; SELECT 1 INTO OUTFILE 'x'; RETURN 1; END", "", ROUTINE_STATEMENT},
    {"BEGIN DECLARE v INT; SELECT 1 INTO DUMPFILE 'x'; RETURN 1; END", "", ROUTINE_STATEMENT},
    /* expressions and queries */
    {"RETURN f2(1)", "", ROUTINE_EFFECT},
    {"RETURN db.f2(1)", "", ROUTINE_EFFECT},
    {"RETURN `f2` (1)", "", ROUTINE_EFFECT},
    {"RETURN GET_LOCK('a', 1)", "", ROUTINE_EFFECT},
    {"RETURN RELEASE_LOCK('a')", "", ROUTINE_EFFECT},
    {"RETURN NEXTVAL(s)", "", ROUTINE_EFFECT},
    {"RETURN NEXT VALUE FOR s", "", ROUTINE_EFFECT},
    {"RETURN LAST_INSERT_ID(5)", "", ROUTINE_EFFECT},
    {"RETURN LAST_INSERT_ID()", "", ROUTINE_EFFECT},
    {"RETURN ROW_COUNT()", "", ROUTINE_EFFECT},
    {"RETURN FOUND_ROWS()", "", ROUTINE_EFFECT},
    {"RETURN CONNECTION_ID()", "", ROUTINE_EFFECT},
    {"RETURN (SELECT COUNT(*) FROM information_schema.tables)", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE v INT; SELECT a INTO v FROM t FOR UPDATE; RETURN v; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE v INT; SELECT a INTO v FROM t LOCK IN SHARE MODE; RETURN v; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE v INT; SELECT f2(a) INTO v FROM t; RETURN v; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE v INT; SELECT a INTO v FROM t WHERE f2(a); RETURN v; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE v INT; SELECT SQL_CALC_FOUND_ROWS a INTO v FROM t LIMIT 1; RETURN v; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE x INT DEFAULT f2(1); RETURN 1; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE c CURSOR FOR SELECT f2(id) FROM t; RETURN 1; END", "", ROUTINE_EFFECT},
    {"BEGIN IF f2(1) THEN RETURN 1; END IF; RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN CASE f2(1) WHEN 1 THEN RETURN 1; END CASE; RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN CASE WHEN f2(1) THEN RETURN 1; END CASE; RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN WHILE f2(1) DO BEGIN END; END WHILE; RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN REPEAT BEGIN END; UNTIL f2(1) END REPEAT; RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE x INT; SET x = f2(1); RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE x, y INT; SET x = 1, y = f2(1); RETURN 2; END", "", ROUTINE_EFFECT},
    {"BEGIN DECLARE EXIT HANDLER FOR NOT FOUND RETURN f2(1); RETURN 2; END", "", ROUTINE_EFFECT},
    {"RETURN CASE WHEN 1 THEN f2(1) END", "", ROUTINE_EFFECT},
    {"RETURN COUNT (1)", "", ROUTINE_EFFECT}, /* a stored function of that name, without IGNORE_SPACE */
    /* texts */
    {"", "", ROUTINE_TEXT},
    {"RETURN", "", ROUTINE_TEXT},
    {"RETURN 'x", "", ROUTINE_TEXT},
    {"RETURN 1; DELETE FROM t", "", ROUTINE_TEXT},
    {"BEGIN RETURN 1; END; DELETE FROM t", "", ROUTINE_TEXT},
    {"BEGIN RETURN 1;", "", ROUTINE_TEXT},
    {"RETURN /*! f2 */ (1)", "", ROUTINE_TEXT},
    {"RETURN 1 /*M!100000 + f2(1) */", "", ROUTINE_TEXT},
    {"BEGIN IF 1 THEN RETURN 1; END; RETURN 1; END", "", ROUTINE_TEXT},
    {"RETURN (1", "", ROUTINE_TEXT},
    {"RETURN 1)", "", ROUTINE_TEXT},
    {"BEGIN NOT ATOMIC RETURN 1; END", "", ROUTINE_STATEMENT},
};

Test(routine, bodies)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		enum routine_verdict v = judge(cases[i].body, strlen(cases[i].body), cases[i].params);

		cr_expect_str_eq(routine_words[v], routine_words[cases[i].want], "%s: %s, not %s", cases[i].body, routine_words[v],
		    routine_words[cases[i].want]);
	}
}

static bool
is_whole(const char *body, size_t n)
{
	while (n > 3 && (body[n - 1] == ' ' || body[n - 1] == ';'))
		n--;
	return strncmp(body, "RETURN", 6) == 0 || strncmp(body, "return", 6) == 0 || strncmp(body + n - 3, "END", 3) == 0 ||
	    strncmp(body + n - 5, "END b", 5) == 0;
}

/* Whatever is cut off: never harmless unless what is left is a whole body of its own, and nothing is read behind it. */
Test(routine, cut)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t n = 0; n < strlen(cases[i].body); n++)
			if (judge(cases[i].body, n, cases[i].params) == ROUTINE_HARMLESS)
				cr_expect(is_whole(cases[i].body, n), "%.*s", (int)n, cases[i].body);
}

Test(routine, deep)
{
	static char text[100000];
	size_t n = 0;

	while (n + 8 < sizeof text)
		n += (size_t)snprintf(text + n, sizeof text - n, "BEGIN ");
	cr_expect_eq(judge(text, n, ""), ROUTINE_TEXT);
	n = (size_t)snprintf(text, sizeof text, "RETURN ");
	while (n + 2 < sizeof text)
		text[n++] = '(';
	cr_expect_neq(judge(text, n, ""), ROUTINE_HARMLESS);
}

Test(routine, room)
{
	char scratch[40];

	cr_expect_eq(routine_judge("RETURN 1", 8, "", 0, scratch, 39), ROUTINE_LONG);
	cr_expect_eq(routine_judge("RETURN 1", 8, "", 0, scratch, 40), ROUTINE_HARMLESS);
}

Test(routine, modes)
{
	cr_expect(routine_mode_ok(""));
	cr_expect(routine_mode_ok("STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"));
	cr_expect(!routine_mode_ok("ANSI_QUOTES"));
	cr_expect(!routine_mode_ok("STRICT_TRANS_TABLES,IGNORE_SPACE"));
	cr_expect(!routine_mode_ok("NO_BACKSLASH_ESCAPES"));
	cr_expect(!routine_mode_ok("PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ORACLE"));
	cr_expect(!routine_mode_ok("SOMETHING_NEW"));
}
