/* t/sys/classify.c: the classifier as a filter, for tests that compare it with a server. Statements
 * on stdin, each ended by a NUL; one line for each on stdout: kind, read or -, why, pins, flags in
 * hexadecimal, num, arg. -m MODE: lexer mode (LEX_*). -b N: classifies each N times instead and prints
 * nanoseconds per statement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "parser/stmt.h"

static void
show(const char *text, const struct stmt *st)
{
	const char *sep = "";
	int i;

	printf("%s %s %s ", stmt_kind_word(st->kind), st->flags & STMT_F_READ ? "read" : "-",
	       route_words[st->why]);
	for (i = 0; i < PIN_REASONS; i++)
		if (st->pins & 1ull << i) {
			printf("%s%s", sep, pin_words[i]);
			sep = ",";
		}
	printf("%s 0x%x %llu [%.*s]\n", *sep ? "" : "-", st->flags, (unsigned long long)st->num,
	       (int)st->arg_len, text + st->arg_off);
}

static void
bench(const char *text, size_t len, u32 mode, long rounds)
{
	struct timespec a, b;
	struct stmt st;
	u64 sum = 0;
	double ns;
	long i;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < rounds; i++) {
		stmt_classify(text, len, mode, &st);
		sum += st.flags + st.pins;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
	     (double)rounds;
	printf("%7.1f ns %6zu bytes %5.2f ns/byte (%llx) %.*s\n", ns, len, ns / (double)len,
	       (unsigned long long)(sum & 15), 60, text);
}

int
main(int argc, char **argv)
{
	long rounds = 0;
	char *text = NULL;
	size_t size = 0;
	ssize_t n;
	u32 mode = 0;
	int opt;

	while ((opt = getopt(argc, argv, "b:m:")) != -1) {
		if (opt == 'b')
			rounds = strtol(optarg, NULL, 10);
		else if (opt == 'm')
			mode = (u32)strtoul(optarg, NULL, 0);
		else
			return 2;
	}
	while ((n = getdelim(&text, &size, 0, stdin)) > 0) {
		struct stmt st;

		n -= text[n - 1] == 0;
		if (rounds) {
			bench(text, (size_t)n, mode, rounds);
			continue;
		}
		stmt_classify(text, (size_t)n, mode, &st);
		show(text, &st);
	}
	free(text);
	return 0;
}
