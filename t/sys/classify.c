/* t/sys/classify.c: the classifier as a filter, for tests that compare it with a server. Statements
 * on stdin, each ended by a NUL; one line for each on stdout: kind, read or -, why, pins, flags in
 * hexadecimal, num, arg. -m MODE: lexer mode (LEX_*). -b N: classifies each N times instead and prints
 * nanoseconds per statement. -f: one line of facts for each instead: whole or part; what stands behind `random`, `time`,
 * `calls` and `reads-but-calls`; tables with their access (r, w, l, d); functions.
 */
#include <stdio.h>
#include "parser/facts.h"
#include "t/sys/filter.h"

static bool facts_only;

static void
show_facts(const char *text, size_t len, u32 mode)
{
	struct stmt_facts f;
	struct arena a;
	struct stmt st;

	arena_init(&a, STMT_ARENA);
	stmt_understand(&a, text, len, mode, &st, &f);
	printf("%s%s%s%s%s", f.flags & STMT_K_WHOLE ? "whole" : "part", f.flags & STMT_K_TIME ? " time" : "",
	    f.flags & STMT_K_RANDOM ? " random" : "", f.flags & STMT_K_PIN_BY_CALLS ? " pin-by-calls" : "",
	    f.flags & STMT_K_READ_BUT_CALLS ? " read-but-calls" : "");
	for (u32 i = 0; i < f.ntables; i++) {
		const struct stmt_table *t = &f.tables[i];

		printf(" %.*s%s%.*s:%s%s%s%s", (int)t->name.schema_len, text + t->name.schema_off, t->name.schema_len > 0 ? "." : "",
		    (int)t->name.len, text + t->name.off, t->access & STMT_T_READ ? "r" : "", t->access & STMT_T_WRITE ? "w" : "",
		    t->access & STMT_T_LOCK ? "l" : "", t->access & STMT_T_DDL ? "d" : "");
	}
	for (u32 i = 0; i < f.ncalls; i++)
		printf(" %.*s%s%.*s()", (int)f.calls[i].schema_len, text + f.calls[i].schema_off, f.calls[i].schema_len > 0 ? "." : "",
		    (int)f.calls[i].len, text + f.calls[i].off);
	printf("\n");
	arena_fini(&a);
}

static bool
option(int opt, const char *arg)
{
	(void)arg;
	facts_only = opt == 'f';
	return facts_only;
}

static void
show(const char *text, size_t len, u32 mode)
{
	const char *sep = "";
	struct stmt st;
	int i;

	if (facts_only) {
		show_facts(text, len, mode);
		return;
	}
	stmt_classify(text, len, mode, &st);
	printf("%s %s %s ", stmt_kind_word(st.kind), st.flags & STMT_F_READ ? "read" : "-", route_words[st.why]);
	for (i = 0; i < PIN_REASONS; i++)
		if (st.pins & 1ull << i) {
			printf("%s%s", sep, pin_words[i]);
			sep = ",";
		}
	printf("%s 0x%x %llu [%.*s]\n", *sep ? "" : "-", st.flags, (unsigned long long)st.num,
	       (int)st.arg_len, text + st.arg_off);
}

static void
bench(const char *text, size_t len, u32 mode, long rounds)
{
	double from = filter_ns(), ns;
	struct stmt st;
	u64 sum = 0;

	for (long i = 0; i < rounds; i++) {
		stmt_classify(text, len, mode, &st);
		sum += st.flags + st.pins;
	}
	ns = (filter_ns() - from) / (double)rounds;
	printf("%7.1f ns %6zu bytes %5.2f ns/byte (%llx) %.*s\n", ns, len, ns / (double)len,
	       (unsigned long long)(sum & 15), 60, text);
}

int
main(int argc, char **argv)
{
	return filter_run(&(struct filter){.each = show, .bench = bench, .more = "f", .option = option}, argc, argv);
}
