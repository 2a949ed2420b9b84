/* t/sys/classify.c: the classifier as a filter, for tests that compare it with a server. Statements
 * on stdin, each ended by a NUL; one line for each on stdout: kind, read or -, why, pins, flags in
 * hexadecimal, num, arg. -m MODE: lexer mode (LEX_*). -b N: classifies each N times instead and prints
 * nanoseconds per statement.
 */
#include <stdio.h>
#include "t/sys/filter.h"

static void
show(const char *text, size_t len, u32 mode)
{
	const char *sep = "";
	struct stmt st;
	int i;

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
	return filter_run(&(struct filter){.each = show, .bench = bench, .more = ""}, argc, argv);
}
