/* bench/costs.c: what a statement costs to understand. Files of statements, each ended by ; at the end of a line, or by a NUL with
 * -0. A row for each file: statements, mean bytes, nanoseconds per statement of each column (the median of several rounds over the
 * whole file) with calls of malloc per statement, most bytes of the arena, plans that were kept. A column more: a function and its
 * line in columns[].
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "parser/ast.h"
#include "router/plan.h"

#define ROUNDS 9
#define ROUND_NS 3e7 /* a round goes over the file again until it has taken so long */

static struct arena arena;
static u64 mallocs, sink;

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *
__wrap_malloc(size_t n)
{
	mallocs++;
	return __real_malloc(n);
}

static void
lex(const char *text, size_t len)
{
	struct lex l;
	struct tok t;

	lex_init(&l, text, len, 0);
	do
		lex_next(&l, &t);
	while (t.kind != TOK_END && t.kind != TOK_BAD);
	sink += t.off;
}

static void
digest(const char *text, size_t len)
{
	static struct digest d;

	digest_make(text, len, 0, &d);
	sink += d.hash;
}

static void
parse(const char *text, size_t len)
{
	struct ast_result r;

	arena_reset(&arena);
	ast_parse(&arena, text, len, 0, &r);
	sink += r.nodes;
}

static struct plan_cache plans;
static struct plankey key;
static struct digest shape;

/* What a worker does with a text that it has no plan for. */
static void
not_kept(const char *text, size_t len)
{
	struct stmt st;
	struct stmt_facts f;

	shape_make(text, len, 0, &shape, &key);
	sink += plan_find(&plans, &key) != NULL;
	stmt_understand(&arena, text, len, 0, &st, &f);
	arena_reset(&arena);
	sink += st.flags;
}

/* ... and with one whose plan was kept; what may have none is as above. */
static void
kept(const char *text, size_t len)
{
	struct stmt st;
	struct stmt_facts f;

	shape_make(text, len, 0, &shape, &key);
	const struct plan *p = plan_find(&plans, &key);

	if (likely(p != NULL)) {
		sink += p->st.flags;
		return;
	}
	stmt_understand(&arena, text, len, 0, &st, &f);
	(void)plan_add(&plans, &key, text, &st, &f);
	arena_reset(&arena);
}

static const struct column {
	const char *word;
	void (*run)(const char *text, size_t len);
} columns[] = {{"lex", lex}, {"lex+digest", digest}, {"parse", parse}, {"not kept", not_kept}, {"kept", kept}};

struct text {
	char *p;
	size_t len;
};

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nanoseconds of one statement, and calls of malloc. */
static double
measure(const struct column *c, const struct text *v, size_t n, double *mallocs_r)
{
	double ns[ROUNDS];

	for (u32 i = 0; i < ROUNDS; i++) {
		double from = now_ns(), took;
		u64 before = mallocs, times = 0;

		do {
			for (size_t k = 0; k < n; k++)
				c->run(v[k].p, v[k].len);
			times++;
			took = now_ns() - from;
		} while (took < ROUND_NS);
		ns[i] = took / (double)(times * n);
		*mallocs_r = (double)(mallocs - before) / (double)(times * n);
	}
	qsort(ns, ROUNDS, sizeof ns[0], by_size);
	return ns[ROUNDS / 2];
}

static size_t
read_file(const char *path, bool nul, struct text **v_r)
{
	FILE *f = fopen(path, "rb");
	size_t n = 0, size = 0, room = 0;
	struct text *v = NULL;
	char *line = NULL;
	ssize_t got;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while ((got = getdelim(&line, &size, nul ? 0 : '\n', f)) > 0) {
		size_t len = (size_t)got;

		while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\0' || (!nul && line[len - 1] == ';')))
			len--;
		if (len == 0)
			continue;
		if (n == room) {
			room = room * 2 + 64;
			v = realloc(v, room * sizeof *v);
			if (v == NULL)
				exit(1);
		}
		v[n].p = malloc(len);
		v[n].len = len;
		memcpy(v[n++].p, line, len);
	}
	free(line);
	fclose(f);
	*v_r = v;
	return n;
}

static void
file(const char *path, bool nul)
{
	struct text *v;
	size_t n = read_file(path, nul, &v), bytes = 0;
	const char *name = strrchr(path, '/');
	double m, most = 0;

	for (size_t i = 0; i < n; i++) {
		bytes += v[i].len;
		parse(v[i].p, v[i].len);
		most = MAX(most, (double)arena.used);
	}
	printf("%-16s %6zu %6.0f", name != NULL ? name + 1 : path, n, n > 0 ? (double)bytes / (double)n : 0);
	(void)plan_cache_init(&plans, 1u << 18);
	for (size_t i = 0; i < n; i++)
		kept(v[i].p, v[i].len);
	for (u32 i = 0; i < ARRAY_LEN(columns) && n > 0; i++) {
		double ns = measure(&columns[i], v, n, &m);

		printf(" %6.0f %5.3f", ns, m);
	}
	printf(" %7.0f %7u\n", most, plans.n);
	plan_cache_fini(&plans);
	for (size_t i = 0; i < n; i++)
		free(v[i].p);
	free(v);
}

int
main(int argc, char **argv)
{
	bool nul = argc > 1 && strcmp(argv[1], "-0") == 0;

	arena_init(&arena, 256u << 20);
	printf("%-16s %6s %6s", "ns per statement", "number", "bytes");
	for (u32 i = 0; i < ARRAY_LEN(columns); i++)
		printf(" %12s", columns[i].word);
	printf(" %7s %7s\n", "arena", "plans");
	for (int i = 1 + nul; i < argc; i++)
		file(argv[i], nul);
	arena_fini(&arena);
	return sink == 1;
}
