/* Unit tests of parser/facts.h: the table of statements, and what harmless calls make of a verdict. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "parser/facts.h"

static const struct {
	const char *text, *facts;
} cases[] = {
#define FACTS(t, f) {t, f},
#include "t/unit/parser_facts.def"
#undef FACTS
};

#define PUT(...) (n += (size_t)snprintf(buf + n, n < size ? size - n : 0, __VA_ARGS__))

static size_t
put_name(char *buf, size_t size, size_t n, const char *text, const struct stmt_name *name)
{
	PUT(" %.*s%s%.*s", (int)name->schema_len, text + name->schema_off, name->schema_len > 0 ? "." : "", (int)name->len,
	    text + name->off);
	return n;
}

/* The statement is read from a block of exactly its size, so that ASan sees a byte read too far. */
static void
describe(const char *literal, char *buf, size_t size, struct stmt *st, struct stmt_facts *f)
{
	size_t n = 0, len = strlen(literal);
	char *text = malloc(len);
	struct arena a;

	cr_assert_not_null(text);
	memcpy(text, literal, len);
	arena_init(&a, STMT_ARENA);
	stmt_understand(&a, text, len, 0, st, f);
	PUT("%s%s%s%s%s", f->flags & STMT_K_WHOLE ? "whole" : "part", f->flags & STMT_K_TIME ? " time" : "",
	    f->flags & STMT_K_RANDOM ? " random" : "", f->flags & STMT_K_PIN_BY_CALLS ? " pin-by-calls" : "",
	    f->flags & STMT_K_READ_BUT_CALLS ? " read-but-calls" : "");
	for (u32 i = 0; i < f->ntables; i++) {
		u32 access = f->tables[i].access;

		n = put_name(buf, size, n, text, &f->tables[i].name);
		PUT(":%s%s%s%s", access & STMT_T_READ ? "r" : "", access & STMT_T_WRITE ? "w" : "", access & STMT_T_LOCK ? "l" : "",
		    access & STMT_T_DDL ? "d" : "");
	}
	for (u32 i = 0; i < f->ncalls; i++) {
		n = put_name(buf, size, n, text, &f->calls[i]);
		PUT("()");
	}
	arena_fini(&a);
	free(text);
}

Test(facts, table)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char buf[1024];
		struct stmt st;
		struct stmt_facts f;

		describe(cases[i].text, buf, sizeof buf, &st, &f);
		cr_expect_str_eq(buf, cases[i].facts, "%s\n  is   %s\n  want %s", cases[i].text, buf, cases[i].facts);
	}
}

static struct stmt
with_harmless_calls(const char *text)
{
	char buf[1024];
	struct stmt st;
	struct stmt_facts f;

	describe(text, buf, sizeof buf, &st, &f);
	stmt_calls_are_harmless(&st, f.flags);
	return st;
}

Test(facts, harmless_calls)
{
	const u64 routine = 1ull << PIN_ROUTINE;
	struct stmt st = with_harmless_calls("SELECT f(a) FROM t");

	cr_expect(st.flags == (STMT_F_READ | STMT_F_TABLES) && st.why == ROUTE_READ && st.pins == 0);
	st = with_harmless_calls("SELECT f(a) FROM t FOR UPDATE");
	cr_expect(!(st.flags & STMT_F_READ) && st.why != ROUTE_READ && st.pins == 0);
	st = with_harmless_calls("SELECT f(@a)");
	cr_expect(!(st.flags & STMT_F_READ) && st.pins == 0);
	st = with_harmless_calls("SELECT f(GET_LOCK('a', 1))");
	cr_expect(!(st.flags & STMT_F_READ) && st.pins == 1ull << PIN_USER_LOCK);
	st = with_harmless_calls("SELECT f(LAST_INSERT_ID())");
	cr_expect(!(st.flags & STMT_F_READ) && st.flags & STMT_F_INSERT_ID && st.pins == 0);
	st = with_harmless_calls("INSERT INTO t VALUES (f(1))");
	cr_expect(!(st.flags & (STMT_F_READ | STMT_F_INSERT_ID)) && st.pins == 0 && st.why == ROUTE_WRITE);
	st = with_harmless_calls("CALL f(1)");
	cr_expect(!(st.flags & STMT_F_READ) && st.pins == routine && st.flags & STMT_F_INSERT_ID);
	st = with_harmless_calls("SELECT f(1); SELECT 2");
	cr_expect(!(st.flags & STMT_F_READ) && st.pins == routine);
	st = with_harmless_calls("SELECT f(1) /*!50701 + g(2) */");
	cr_expect(!(st.flags & STMT_F_READ) && st.pins & routine);
}

/* An arena too small for the tree, or for the facts: not covered, so in doubt. */
Test(facts, arena_limit)
{
	static const char text[] = "SELECT a, b, c, d, e, f, g, h FROM t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16, t17";
	u32 whole = 0;

	for (size_t limit = 0; limit < 64 * 1024; limit += 1024) {
		struct arena a;
		struct stmt st;
		struct stmt_facts f;

		arena_init(&a, limit);
		stmt_understand(&a, text, sizeof text - 1, 0, &st, &f);
		if (f.flags & STMT_K_WHOLE) {
			whole++;
			cr_expect(st.flags & STMT_F_READ && f.ntables == 17);
		}
		cr_expect(a.used <= limit);
		arena_fini(&a);
	}
	cr_expect(whole > 0 && whole < 64, "%u", whole);
}
