/* Unit tests of parser/stmt.c: the table of statements, modes, arguments, cut and unreadable texts. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "parser/stmt.h"

struct expect {
	const char *text;
	size_t len;
	enum stmt_kind kind;
	enum route_reason why;
	u64 pins;
	u32 flags;
};

#define BIT(x)        (1ull << PIN_##x)
#define TRX_          BIT(TRX)
#define NEXT_TRX_     BIT(NEXT_TRX)
#define LOCK_TABLES_  BIT(LOCK_TABLES)
#define USER_LOCK_    BIT(USER_LOCK)
#define TEMP_TABLE_   BIT(TEMP_TABLE)
#define USER_VAR_     BIT(USER_VAR)
#define SYSVAR_       BIT(SYSVAR)
#define TEXT_PS_      BIT(TEXT_PS)
#define HANDLER_      BIT(HANDLER)
#define ROUTINE_      BIT(ROUTINE)
#define UNKNOWN_      BIT(UNKNOWN)
#define STATE_CHANGE_ BIT(STATE_CHANGE)
#define DIAGNOSTICS_  BIT(DIAGNOSTICS)
#define SEQUENCE_     BIT(SEQUENCE)
#define CONN_ID_      BIT(CONN_ID)
#define XA_           BIT(XA)
#define MULTI         STMT_F_MULTI
#define DIAG          STMT_F_DIAG
#define FOUND_ROWS    STMT_F_FOUND_ROWS
#define CALC_ROWS     STMT_F_CALC_ROWS
#define OFFSET        STMT_F_OFFSET
#define INSERT_ID     STMT_F_INSERT_ID
#define DML           STMT_F_DML
#define SECRET        STMT_F_SECRET
#define USER_VAR      STMT_F_USER_VAR
#define FULL          STMT_F_FULL
#define ENDS_TRX      STMT_F_ENDS_TRX
#define DDL_          (STMT_F_ENDS_TRX | STMT_F_IMPLICIT_COMMIT)
#define CHAIN         STMT_F_CHAIN
#define RELEASE       STMT_F_RELEASE
#define TRX_RO        STMT_F_TRX_RO
#define HINT_PRIMARY  STMT_F_HINT_PRIMARY
#define HINT_REPLICA  STMT_F_HINT_REPLICA
#define HINT_SERVER   STMT_F_HINT_SERVER
#define MARGAY        STMT_F_MARGAY
#define TEMP          STMT_F_TEMP
#define LOCAL_FILE    STMT_F_LOCAL_FILE
#define SESSION_FN    STMT_F_SESSION_FN
#define INTO          STMT_F_INTO
#define TRACKER       STMT_F_TRACKER
#define DEFAULTS      STMT_F_DEFAULTS
#define SET_STATEMENT STMT_F_SET_STATEMENT
#define LEAVES_ID     STMT_F_LEAVES_ID

static const struct expect cases[] = {
#define CASE(t, k, w, p, f) {t, sizeof(t) - 1, STMT_##k, ROUTE_##w, p, f},
#include "t/unit/parser_cases.def"
#undef CASE
};

/* Classifies a copy in a block of exactly its size, so that ASan sees a byte read too far. */
static void
classify(const char *text, size_t len, u32 mode, struct stmt *st)
{
	char *copy = malloc(len ? len : 1);

	cr_assert_not_null(copy);
	memcpy(copy, text, len);
	memset(st, 0xa5, sizeof *st);
	stmt_classify(copy, len, mode, st);
	free(copy);
}

static void
check_sane(const struct stmt *st, size_t len, const char *text)
{
	bool read = st->flags & STMT_F_READ;

	cr_expect_lt((unsigned)st->kind, STMT_KINDS, "%s", text);
	cr_expect_eq(read, st->why == ROUTE_READ, "%s", text);
	cr_expect(!read || (st->kind == STMT_SELECT && !(st->flags & (STMT_F_MULTI | STMT_F_DML)) && !st->pins), "%s",
	    text);
	cr_expect_neq(st->why, ROUTE_NONE, "%s", text);
	cr_expect_leq((u64)st->arg_off + st->arg_len, len, "%s", text);
	cr_expect_leq((u64)st->hint_off + st->hint_len, len, "%s", text);
	cr_expect(st->mask_off == 0 || (st->mask_off < len && text[st->mask_off] == '!'), "%s", text);
	cr_expect(!(st->flags & STMT_F_STATE_READ) || (!read && !st->pins && st->why == ROUTE_STATE), "%s", text);
}

Test(stmt, table)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const struct expect *e = &cases[i];
		u32 flags = e->flags | (e->why == ROUTE_READ ? STMT_F_READ : 0) |
			    (e->pins & ROUTINE_ ? STMT_F_INSERT_ID : 0);
		struct stmt st;

		classify(e->text, e->len, 0, &st);
		check_sane(&st, e->len, e->text);
		st.flags &= ~(STMT_F_TABLES | STMT_F_STATE_READ); /* tests of their own */
		cr_expect(st.kind == e->kind && st.why == e->why && st.pins == e->pins && st.flags == flags,
		    "%s\n  is   %s %s pins %llx flags %x\n  want %s %s pins %llx flags %x", e->text,
		    stmt_kind_word(st.kind), route_words[st.why], (unsigned long long)st.pins, st.flags,
		    stmt_kind_word(e->kind), route_words[e->why], (unsigned long long)e->pins, flags);
	}
}

/* Nothing that is dangerous as a whole may be a read with something around it that the server ignores. */
Test(stmt, noise_around_changes_nothing)
{
	static const char *const before[] = {" ", "\n\t", "/* ' */", "-- \"\n", "# `\n", "/*!*/"};
	static const char *const behind[] = {" ", ";", ";;\n", " -- '", " /* x */", " # /*"};
	char buf[600];
	size_t i, j, k;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const struct expect *e = &cases[i];
		struct stmt st, noisy;

		if (e->len == 0 || e->len > 500 || strlen(e->text) != e->len || e->kind == STMT_EMPTY ||
		    (e->why == ROUTE_UNKNOWN && e->pins & UNKNOWN_))
			continue;
		classify(e->text, e->len, 0, &st);
		for (j = 0; j < ARRAY_LEN(before); j++)
			for (k = 0; k < ARRAY_LEN(behind); k++) {
				int n = snprintf(buf, sizeof buf, "%s%s%s", before[j], e->text, behind[k]);

				if (strstr(e->text, "-- ") || strchr(e->text, '#') || strstr(e->text, "--"))
					continue;
				classify(buf, (size_t)n, 0, &noisy);
				cr_expect(noisy.kind == st.kind && noisy.why == st.why && noisy.pins == st.pins &&
					      noisy.flags == st.flags,
				    "%s", buf);
			}
	}
}

Test(stmt, case_of_letters_does_not_matter)
{
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const struct expect *e = &cases[i];
		struct stmt st, other;
		char *t = malloc(e->len + 1);

		/* M! and \N are the only things with a case; x'..' and values do not matter */
		if (!strstr(e->text, "M!") && !strstr(e->text, "\\N")) {
			for (k = 0; k < e->len; k++) {
				t[k] = e->text[k];
				if (t[k] >= 'a' && t[k] <= 'z')
					t[k] -= 32;
				else if (t[k] >= 'A' && t[k] <= 'Z')
					t[k] += 32;
			}
			classify(e->text, e->len, 0, &st);
			classify(t, e->len, 0, &other);
			/* 0x1F, 0b01 are names when their letter is upper case */
			cr_expect(other.kind == st.kind && other.why == st.why && other.pins == st.pins &&
				      other.flags == st.flags,
			    "%.*s", (int)e->len, t);
		}
		free(t);
	}
}

Test(stmt, cut_at_every_byte)
{
	static const u32 modes[] = {0, LEX_ANSI_QUOTES, LEX_NO_BACKSLASH_ESCAPES, LEX_TRUNCATED, LEX_UNSAFE_CHARSET};
	size_t i, n, m;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		for (n = 0; n <= cases[i].len; n++)
			for (m = 0; m < ARRAY_LEN(modes); m++) {
				struct stmt st;

				classify(cases[i].text, n, modes[m], &st);
				check_sane(&st, n, cases[i].text);
				if (modes[m] & LEX_TRUNCATED)
					cr_expect(!(st.flags & STMT_F_READ) && st.pins & BIT(LONG));
			}
}

Test(stmt, modes)
{
	struct stmt st;

#define IS(t, mode, want_read)                                                                                \
	do {                                                                                                  \
		classify(t, sizeof(t) - 1, mode, &st);                                                        \
		cr_expect_eq(!!(st.flags & STMT_F_READ), want_read, "%s mode %x", t, mode);                   \
	} while (0)
	IS("SELECT 'a\\' FOR UPDATE'", 0, true);
	IS("SELECT 'a\\' FOR UPDATE -- '", LEX_NO_BACKSLASH_ESCAPES, false);
	IS("SELECT 'a\\', ' FOR UPDATE '", LEX_NO_BACKSLASH_ESCAPES, true);
	IS("SELECT 'a\\', ' FOR UPDATE '", 0, false);
	IS("SELECT \"a\\\" FOR UPDATE -- \"", LEX_ANSI_QUOTES, false);
	IS("SELECT \"a\"(1)", LEX_ANSI_QUOTES, false);
	IS("SELECT \"concat\"('a')", LEX_ANSI_QUOTES, true);
	IS("SELECT * FROM \"mysql\".\"user\"", LEX_ANSI_QUOTES, false);
	IS("SELECT \"mysql\" . 'x'", 0, false); /* an error of grammar: in doubt */
	IS("SELECT 1", LEX_TRUNCATED, false);
	IS("SELECT 1", LEX_UNSAFE_CHARSET, true);
	IS("SELECT '\x95\x5c'", LEX_UNSAFE_CHARSET, false);
	cr_expect(st.pins & BIT(UNKNOWN));
	cr_expect_eq(st.why, ROUTE_UNKNOWN);
	/* the second byte of a character is no backslash, no quote, no operator */
	IS("SELECT '\x95\x5c'", LEX_GBK, true);
	IS("SELECT '\x95\x5c'", LEX_SJIS, true);
	IS("SELECT '\xa5\x5c'", LEX_BIG5, true);
	IS("SELECT '\x95\x5c'", 0, false);
	IS("SELECT '\x95\x5c' FOR UPDATE -- '", LEX_GBK, false);
	IS("SELECT '\x95\x5c' FOR UPDATE -- '", LEX_BIG5, true); /* 0x95 begins none there, so the first quote is escaped */
	IS("SELECT '\xa5\x5c' FOR UPDATE -- '", LEX_BIG5, false);
	IS("SELECT `\x95\x60` FROM t", LEX_GBK, true);
	IS("SELECT `\x95\x60` FROM t FOR UPDATE -- `", LEX_GBK, false);
	IS("SELECT \x95\x7c FROM \x95\x40", LEX_GBK, true);
	IS("SELECT a.\x95\x5c, @\x95\x40 FROM a", LEX_GBK, false); /* a variable */
	IS("SELECT a.\x95\x5c FROM a", LEX_GBK, true);
	IS("SELECT '\x95' FROM t", LEX_GBK, true); /* half a character; a quote is no second byte */
	IS("SELECT \xff FROM t", LEX_GBK, false); /* none at all */
	IS("SELECT '\\\x95\x5c' FOR UPDATE -- ''", LEX_GBK, false); /* the backslash takes half of it: the other half escapes the quote */
	cr_expect_eq(lex_mode_of_charset("gbk", 3), LEX_GBK);
	cr_expect_eq(lex_mode_of_charset("GBK_chinese_ci", 14), LEX_GBK);
	cr_expect_eq(lex_mode_of_charset("cp932", 5), LEX_SJIS);
	cr_expect_eq(lex_mode_of_charset("sjis_bin", 8), LEX_SJIS);
	cr_expect_eq(lex_mode_of_charset("big5", 4), LEX_BIG5);
	cr_expect_eq(lex_mode_of_charset("gb18030_bin", 11), LEX_UNSAFE_CHARSET);
	cr_expect_eq(lex_mode_of_charset("gb2312", 6), 0);
	cr_expect_eq(lex_mode_of_charset("utf8mb4", 7), 0);
	cr_expect_eq(lex_mode_of_charset("", 0), 0);
	classify("SELECT '", 8, LEX_TRUNCATED, &st);
	cr_expect_eq(st.kind, STMT_SELECT);
	cr_expect_eq(st.pins, BIT(LONG));
}

static void
arg(const char *text, enum stmt_kind kind, const char *want, u64 num, u32 flags)
{
	struct stmt st;

	classify(text, strlen(text), 0, &st);
	cr_expect_eq(st.kind, kind, "%s: %s", text, stmt_kind_word(st.kind));
	cr_expect(st.arg_len == strlen(want) && memcmp(text + st.arg_off, want, st.arg_len) == 0, "%s: %.*s", text,
	    (int)st.arg_len, text + st.arg_off);
	cr_expect_eq(st.num, num, "%s", text);
	cr_expect_eq(st.flags & (STMT_F_KILL_QUERY | STMT_F_KILL_SOFT), flags, "%s", text);
}

Test(stmt, arguments)
{
	arg("USE d1", STMT_USE, "d1", 0, 0);
	arg("use\n`a``b` ;", STMT_USE, "`a``b`", 0, 0);
	arg("USE /* x */ d1 -- y", STMT_USE, "d1", 0, 0);
	arg("USE \344\270\255", STMT_USE, "\344\270\255", 0, 0);
	arg("USE d1 d2", STMT_OTHER, "", 0, 0);
	arg("USE", STMT_OTHER, "", 0, 0);
	arg("USE 'd1'", STMT_OTHER, "", 0, 0);
	arg("KILL 5", STMT_KILL, "", 5, 0);
	arg("kill connection 18446744073709551615;", STMT_KILL, "", UINT64_MAX, 0);
	arg("KILL 18446744073709551616", STMT_KILL, "18446744073709551616", 0, 0);
	arg("KILL QUERY 7", STMT_KILL, "", 7, STMT_F_KILL_QUERY);
	arg("KILL HARD QUERY 7", STMT_KILL, "", 7, STMT_F_KILL_QUERY);
	arg("KILL SOFT 7 -- x", STMT_KILL, "", 7, STMT_F_KILL_SOFT);
	arg("KILL SOFT QUERY /* x */ 7", STMT_KILL, "", 7, STMT_F_KILL_SOFT | STMT_F_KILL_QUERY);
	arg("KILL QUERY ID 7", STMT_KILL, "ID 7", 0, STMT_F_KILL_QUERY);
	arg("KILL USER 'a'@'b'", STMT_KILL, "USER 'a'@'b'", 0, 0);
	arg("KILL (5)", STMT_KILL, "(5)", 0, 0);
	arg("KILL 5 + 1", STMT_KILL, "5 + 1", 0, 0);
	arg("KILL -5", STMT_KILL, "-5", 0, 0);
	arg("KILL 5.0", STMT_KILL, "5.0", 0, 0);
	arg("KILL", STMT_KILL, "KILL", 0, 0);
	arg("KILL ?", STMT_KILL, "?", 0, 0);
}

/* want: "user@host", "user" without a host, "@" for CURRENT_USER, NULL for what the server alone is to read. */
static void
kill_user(const char *text, u32 mode, const char *want)
{
	struct slice u, h;
	struct stmt st;
	char got[200];

	stmt_classify(text, strlen(text), mode, &st);
	cr_assert_eq(st.kind, STMT_KILL, "%s", text);
	bool ok = stmt_kill_user(text + st.arg_off, st.arg_len, mode, &u, &h);
	cr_expect_eq(ok, want != NULL, "%s", text);
	if (!ok || want == NULL)
		return;
	snprintf(got, sizeof got, "%.*s%s%.*s", (int)u.len, u.p != NULL ? (const char *)u.p : "", h.p != NULL || u.p == NULL ? "@" : "",
	    (int)h.len, h.p != NULL ? (const char *)h.p : "");
	cr_expect_str_eq(got, want, "%s: %s", text, got);
}

Test(stmt, kill_user)
{
	kill_user("KILL USER a", 0, "a");
	kill_user("kill hard query user 'a b'@'10.0.0.1';", 0, "a b@10.0.0.1");
	kill_user("KILL SOFT CONNECTION USER `a`@`b` -- x", 0, "a@b");
	kill_user("KILL QUERY USER a@b", 0, "a@b");
	kill_user("KILL USER \"a\"", 0, "a");
	kill_user("KILL USER \"a\"@'%'", LEX_ANSI_QUOTES, "a@%");
	kill_user("KILL USER ''", 0, "");
	kill_user("KILL USER user", 0, "user");
	kill_user("KILL USER CURRENT_USER", 0, "@");
	kill_user("KILL USER CURRENT_USER ( )", 0, "@");
	kill_user("KILL USER `CURRENT_USER`", 0, "CURRENT_USER");
	kill_user("KILL USER a@b.c", 0, "a@b.c");
	kill_user("KILL USER a, b", 0, NULL);
	kill_user("KILL USER 'a''b'", 0, NULL);
	kill_user("KILL USER 'a\\'b'", 0, NULL);
	kill_user("KILL USER 'a' @ 'b'", 0, NULL);
	kill_user("KILL USER ?", 0, NULL);
	kill_user("KILL USER", 0, NULL);
	kill_user("KILL USER CURRENT_USER(1)", 0, NULL);
	kill_user("KILL QUERY ID 5", 0, NULL);
	kill_user("KILL user()", 0, NULL);
	kill_user("KILL USER a; SELECT 1", 0, NULL);
	kill_user("SELECT 1; KILL USER a", 0, NULL);
	kill_user("KILL USER a", LEX_UNSAFE_CHARSET, NULL);
	kill_user("KILL USER a", LEX_TRUNCATED, NULL);
}

/* A KILL that would reach a server with an id of Margay's must always be seen. */
Test(stmt, hidden_kill)
{
	arg("SELECT 1; KILL 5", STMT_KILL, "SELECT 1; KILL 5", 0, 0);
	arg("KILL 5; SELECT 1", STMT_KILL, "KILL 5; SELECT 1", 0, 0);
	arg("SET STATEMENT a=1 FOR KILL 5", STMT_KILL, "", 5, 0);
	arg("IF 1 THEN KILL 5; END IF", STMT_KILL, "IF 1 THEN KILL 5; END IF", 0, 0);
	arg("BEGIN NOT ATOMIC KILL 5; END", STMT_KILL, "BEGIN NOT ATOMIC KILL 5; END", 0, 0);
	arg("EXECUTE IMMEDIATE 'KILL 5'", STMT_KILL, "EXECUTE IMMEDIATE 'KILL 5'", 0, 0);
	arg("PREPARE s FROM 'KILL ?'", STMT_KILL, "PREPARE s FROM 'KILL ?'", 0, 0);
	arg("DROP TABLE begin; KILL 5", STMT_KILL, "DROP TABLE begin; KILL 5", 0, 0);
	arg("CREATE PROCEDURE p() SELECT 1; KILL 5", STMT_KILL, "CREATE PROCEDURE p() SELECT 1; KILL 5", 0, 0);
	arg("/*! KILL 5 */", STMT_KILL, "", 5, 0);
	arg("EXECUTE IMMEDIATE 'SELECT \"kill\"'", STMT_EXECUTE, "", 0, 0);
	arg("SELECT 'kill', `kill`, t.kill FROM t -- kill", STMT_SELECT, "", 0, 0);
	arg("CREATE PROCEDURE p() BEGIN KILL 5; END", STMT_DDL, "", 0, 0);
}

Test(stmt, schemas_of_the_server)
{
	cr_expect(stmt_schema_is_local("information_schema", 18));
	cr_expect(stmt_schema_is_local("INFORMATION_SCHEMA", 18));
	cr_expect(stmt_schema_is_local("Mysql", 5));
	cr_expect(stmt_schema_is_local("sys", 3));
	cr_expect(!stmt_schema_is_local("sy", 2));
	cr_expect(!stmt_schema_is_local("shop", 4));
	cr_expect(!stmt_schema_is_local("information_schemb", 18));
	cr_expect(!stmt_schema_is_local("", 0));
}

Test(stmt, has_tables)
{
	static const struct {
		const char *text;
		bool tables;
	} c[] = {{"SELECT 1", false}, {"SELECT a FROM t", true}, {"SELECT 1 FROM DUAL", false},
	    {"SELECT EXTRACT(DAY FROM NOW())", false}, {"SELECT (SELECT a FROM t)", false},
	    {"SELECT EXTRACT(DAY FROM NOW()) FROM t", true}, {"SELECT 'FROM t'", false}, {"SELECT @@warning_count", false},
	    {"SELECT t.from", false}, {"SELECT 1 /* FROM t */", false}, {"SELECT 1 /*!80000 FROM t */", false}};
	size_t i;

	for (i = 0; i < ARRAY_LEN(c); i++) {
		struct stmt st;

		classify(c[i].text, strlen(c[i].text), 0, &st);
		cr_expect_eq(!!(st.flags & STMT_F_TABLES), c[i].tables, "%s", c[i].text);
	}
}

Test(stmt, every_kind_has_a_word)
{
	int i, k;

	for (i = 0; i < STMT_KINDS; i++) {
		cr_expect_str_neq(stmt_kind_word(i), "?");
		for (k = 0; k < i; k++)
			cr_expect_str_neq(stmt_kind_word(i), stmt_kind_word(k));
	}
	cr_expect_str_eq(stmt_kind_word(STMT_KINDS), "?");
}

Test(stmt, reads_of_state)
{
	static const struct {
		const char *text;
		bool yes;
	} c[] = {{"SELECT @@server_id", true}, {"SHOW STATUS", true}, {"SHOW WARNINGS", false},
	    {"SELECT * FROM information_schema.tables", true}, {"EXPLAIN SELECT 1", true}, {"SELECT 1", false},
	    {"SELECT @@server_id FROM t FOR UPDATE", false}, {"SELECT @@server_id, f(1)", false},
	    {"SELECT @@server_id, GET_LOCK('a',1)", false}, {"SELECT @@server_id INTO @a", false},
	    {"SELECT @@server_id, @a := 1", false}, {"SELECT @@server_id; SELECT 1", false}, {"SET @@sql_mode=''", false},
	    {"SELECT @@last_insert_id", false}, {"SELECT @@x /*!80000 FOR UPDATE */", false}, {"SELECT NEXTVAL(s), @@x", false},
	    {"EXPLAIN UPDATE t SET a=1", false}, {"SELECT @@x, (SELECT LAST_INSERT_ID(5))", false}};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct stmt st;

		classify(c[i].text, strlen(c[i].text), 0, &st);
		check_sane(&st, strlen(c[i].text), c[i].text);
		cr_expect_eq(!!(st.flags & STMT_F_STATE_READ), c[i].yes, "%s", c[i].text);
	}
}

Test(stmt, hints)
{
	static const struct {
		const char *text, *name;
		u32 flags;
		u32 mask;
	} c[] = {
	    {"/* margay: server=db2 */ SELECT 1", "db2", HINT_SERVER, 0},
	    {"SELECT 1 /*margay:server = a-b.c */", "a-b.c", HINT_SERVER, 0},
	    {"/* margay: server= */ SELECT 1", "", 0, 0},
	    {"/* margay: server=a b */ SELECT 1", "", 0, 0},
	    {"/* margay: server */ SELECT 1", "", 0, 0},
	    {"/*balance*/ SELECT 1", "", HINT_REPLICA, 0},
	    {"/* balance */ SELECT 1", "", HINT_REPLICA, 0},
	    {"/*balanced*/ SELECT 1", "", 0, 0},
	    {"/*!mycat:db_type=slave*/ SELECT 1", "", HINT_REPLICA, 2},
	    {"/*!mycat: db_type = master */ SELECT 1", "", HINT_PRIMARY, 2},
	    {"  /*!MYCAT:DB_TYPE=slave*/ SELECT 1", "", HINT_REPLICA, 4},
	    {"/*#mycat:db_type=slave*/ SELECT 1", "", HINT_REPLICA, 0},
	    {"/*mycat:db_type=slave*/ SELECT 1", "", HINT_REPLICA, 0},
	    {"/** mycat: db_type=master */ SELECT 1", "", HINT_PRIMARY, 0},
	    {"/* !mycat:db_type=slave */ SELECT 1", "", HINT_REPLICA, 0},
	    {"/*mycat-db_type=slave*/ SELECT 1", "", HINT_REPLICA, 0},
	    {"/*mycat:db_type=slaves*/ SELECT 1", "", 0, 0},
	    {"/*mycat:sql=select 1*/ SELECT 1", "", 0, 0},
	    {"SELECT '/*!mycat:db_type=slave*/'", "", 0, 0},
	    {"SELECT 1 -- /*!mycat:db_type=slave*/", "", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		struct stmt st;

		classify(c[i].text, strlen(c[i].text), 0, &st);
		check_sane(&st, strlen(c[i].text), c[i].text);
		cr_expect_eq(st.flags & STMT_F_HINTS, c[i].flags, "%s: %x", c[i].text, st.flags & STMT_F_HINTS);
		cr_expect_eq(st.mask_off, c[i].mask, "%s", c[i].text);
		cr_expect_eq(st.hint_len, strlen(c[i].name), "%s", c[i].text);
		cr_expect(memcmp(c[i].text + st.hint_off, c[i].name, strlen(c[i].name)) == 0, "%s", c[i].text);
		cr_expect_eq(st.kind, STMT_SELECT, "%s", c[i].text);
	}
}
