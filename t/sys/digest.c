/* t/sys/digest.c: digests as a filter, for tests that compare them with a server's. Statements on stdin, each ended by a
 * NUL; one line for each on stdout: hash, bytes of the whole shape, its text. -m MODE: lexer mode (LEX_*). -b N: digests each
 * N times instead and prints nanoseconds per statement. With -b: -k makes the plan key alone, -K both in one pass, -c both and looks the plan up.
 */
#include <stdio.h>
#include "router/plan.h"
#include "t/sys/filter.h"

static int what;

static bool
option(int opt, const char *arg)
{
	(void)arg;
	what = opt;
	return strchr("kKc", opt) != NULL;
}

/* Keeps the plan of the text among others. */
static void
keep(struct plan_cache *c, struct plankey *k, const char *text, size_t len, u32 mode)
{
	struct stmt st;
	struct stmt_facts f;
	struct arena a;

	arena_init(&a, STMT_ARENA);
	if (!plan_cache_init(c, 1024))
		return;
	shape_make(text, len, mode, NULL, k);
	stmt_understand(&a, text, len, mode, &st, &f);
	(void)plan_add(c, k, text, &st, &f);
	arena_fini(&a);
}

static u64
once(const char *text, size_t len, u32 mode, struct digest *d, struct plankey *k, struct plan_cache *c)
{
	const struct plan *p;

	switch (what) {
	case 'k':
		shape_make(text, len, mode, NULL, k);
		return k->hash;
	case 'K':
		shape_make(text, len, mode, d, k);
		return k->hash;
	case 'c':
		shape_make(text, len, mode, d, k);
		p = plan_find(c, k);
		return p != NULL ? p->st.flags : 0;
	default:
		digest_make(text, len, mode, d);
		return d->hash;
	}
}

static void
bench(const char *text, size_t len, u32 mode, long rounds)
{
	static struct digest d;
	static struct plankey k;
	struct plan_cache c;
	u64 sum = 0;
	double best = 1e18;

	keep(&c, &k, text, len, mode);
	for (int turn = 0; turn < 10; turn++) {
		double from = filter_ns(), ns;

		for (long i = 0; i < rounds; i++) {
			sum += once(text, len, mode, &d, &k, &c);
		}
		ns = (filter_ns() - from) / (double)rounds;
		best = MIN(best, ns);
	}
	printf("%7.1f ns %6zu bytes (%llx) %.*s\n", best, len, (unsigned long long)(sum & 15), 60, text);
	plan_cache_fini(&c);
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
	return filter_run(&(struct filter){.each = show, .bench = bench, .more = "kKc", .option = option}, argc, argv);
}
