/* t/sys/digest.c: digests as a filter, for tests that compare them with a server's. Statements on stdin, each ended by a
 * NUL; one line for each on stdout: hash, bytes of the whole shape, its text. -m MODE: lexer mode (LEX_*). -b N: digests each
 * N times instead and prints nanoseconds per statement.
 */
#include <stdio.h>
#include "parser/digest.h"
#include "t/sys/filter.h"

static void
bench(const char *text, size_t len, u32 mode, long rounds)
{
	static struct digest d;
	u64 sum = 0;
	double best = 1e18;

	for (int turn = 0; turn < 10; turn++) {
		double from = filter_ns(), ns;

		for (long i = 0; i < rounds; i++) {
			digest_make(text, len, mode, &d);
			sum += d.hash;
		}
		ns = (filter_ns() - from) / (double)rounds;
		best = MIN(best, ns);
	}
	printf("%7.1f ns %6zu bytes (%llx) %.*s\n", best, len, (unsigned long long)(sum & 15), 60, text);
}

static void
show(const char *text, size_t len, u32 mode)
{
	static struct digest d;

	digest_make(text, len, mode, &d);
	printf("%016llx %llu ", (unsigned long long)d.hash, (unsigned long long)d.total);
	for (u32 i = 0; i < d.len; i++)
		putchar(d.text[i] == '\n' ? ' ' : d.text[i]);
	putchar('\n');
}

int
main(int argc, char **argv)
{
	return filter_run(&(struct filter){.each = show, .bench = bench, .more = ""}, argc, argv);
}
