/* t/sys/digest.c: digests as a filter, for tests that compare them with a server's. Statements on stdin, each ended by a
 * NUL; one line for each on stdout: hash, bytes of the whole shape, its text. -m MODE: lexer mode (LEX_*). -b N: digests each
 * N times instead and prints nanoseconds per statement.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "parser/digest.h"
#include "parser/stmt.h"

static void
bench(const char *text, size_t len, u32 mode, long rounds)
{
	static struct digest d;
	struct timespec a, b;
	u64 sum = 0;
	double ns, best = 1e18;

	for (int turn = 0; turn < 10; turn++) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (long i = 0; i < rounds; i++) {
			digest_make(text, len, mode, &d);
			sum += d.hash;
		}
		clock_gettime(CLOCK_MONOTONIC, &b);
		ns = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / (double)rounds;
		best = MIN(best, ns);
	}
	printf("%7.1f ns %6zu bytes (%llx) %.*s\n", best, len, (unsigned long long)(sum & 15), 60, text);
}

int
main(int argc, char **argv)
{
	static struct digest d;
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
		n -= text[n - 1] == 0;
		if (rounds > 0) {
			bench(text, (size_t)n, mode, rounds);
			continue;
		}
		digest_make(text, (size_t)n, mode, &d);
		printf("%016llx %llu ", (unsigned long long)d.hash, (unsigned long long)d.total);
		for (u32 i = 0; i < d.len; i++)
			putchar(d.text[i] == '\n' ? ' ' : d.text[i]);
		putchar('\n');
	}
	free(text);
	return 0;
}
