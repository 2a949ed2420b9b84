/* Property test of the classifier: whatever the soup of tokens, quotes and comments, a text that it calls a read has
 * nothing in it that t/unit/parser_slow.h objects to.
 */
#include <criterion/criterion.h>
#include "t/unit/parser_slow.h"

static const char *const bits[] = {"SELECT ", "SELECT", "a", " ", " ", "\n", "\t", ",", ".", "t", "FROM t ", "FOR ",
    "UPDATE ", "FOR UPDATE", " INTO ", "INTO @x", "@x", "@", ":=", "@@x", ";", "; ", "KILL 5", "'", "'", "''", "\"",
    "\"", "`", "`", "\\", "\\\\", "\\'", "\\\"", "/*", "*/", "/*!", "/*!40101 ", "/*!50701", "/*M!", "/*M!100100 ",
    "/* x */", "/**/", "--", "-- ", "--\n", "# ", "#", "-", "*", "/", "get_lock(", "GET_LOCK ('a',1)",
    "last_insert_id()", "f(", "f (1)", ")", "(", "1", "1.5", "1e5", ".5", "0x1F", "x'1F'", "n'", "_utf8'x'", "now()",
    "count(*)", "LOCK IN SHARE MODE", "LOCK ", "nextval(s)", "WITH c(a) AS (", "VALUES ", "DELETE ", "PROCEDURE ",
    "SQL_CALC_FOUND_ROWS ", "\0", "\xa0", "\xc3\xa9", "t.update", ". lock", "WHERE ", "=", "AS ", "in (", "IN", "\r\n", "\x95\\", "\x95`", "\x95", "\x81|", "\xe0@", "\xb1", "\xfe\xfe",
    "\x01", "M!", "!", "99999", "50001 "};

static u64 seed = 88172645463325252ull;

static u32
next(u32 below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 33) % below;
}

Test(soup, a_read_hides_nothing, .timeout = 120)
{
	static const u32 modes[] = {0, LEX_ANSI_QUOTES, LEX_NO_BACKSLASH_ESCAPES,
	    LEX_ANSI_QUOTES | LEX_NO_BACKSLASH_ESCAPES, LEX_BIG5, LEX_SJIS, LEX_GBK, LEX_GBK | LEX_ANSI_QUOTES};
	u32 round, reads = 0;

	for (round = 0; round < 1000000; round++) {
		char text[512];
		size_t n = 0;
		u32 k = 1 + next(14), mode = modes[next(ARRAY_LEN(modes))];
		struct stmt st;

		if (next(8)) {
			memcpy(text, "SELECT ", 7);
			n = 7;
		}
		while (k--) {
			u32 b = next(ARRAY_LEN(bits));
			size_t len = bits[b][0] ? strlen(bits[b]) : next(40) == 0;

			memcpy(text + n, bits[b], len);
			n += len;
		}
		stmt_classify(text, n, mode, &st);
		if (st.flags & STMT_F_READ) {
			const char *why = slow_check(text, n, mode);

			reads++;
			cr_assert_null(why, "%s: mode %x: %.*s", why, mode, (int)n, text);
		}
	}
	cr_assert_gt(reads, 10000, "%u reads: the soup is too thin to prove anything", reads);
}
