/* t/sys/parse.c: the parser as a filter, for tests that compare it with a server. Statements on stdin, each ended by a NUL;
 * one line for each on stdout: verdict, statements, parameters, nodes, then the tree or what was wanted where. -m MODE: lexer
 * mode (LEX_*). -q: no tree. -s PREFIX: instead of the tree the statement itself with PREFIX in front of each table's name.
 * -b N: parses each N times and prints nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "parser/ast.h"
#include "parser/stmt.h"

#define ARENA_MOST (256u * 1024 * 1024)

static void
one_line(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putchar(p[i] == '\n' || p[i] == '\r' || p[i] == '\0' ? ' ' : p[i]);
}

/* Copies the text up to each table's name, in the order of the tree, which for tables is that of the text. */
static void
splice(const struct ast *n, const char *text, u32 *done, const char *prefix)
{
	if (n->kind == AST_TABLE) {
		const struct ast *name = n->first;

		if (name->next != NULL && name->next->kind == AST_NAME)
			name = name->next;
		if (name->off >= *done) {
			one_line(text + *done, name->off - *done);
			if (text[name->off] == '`' || text[name->off] == '"') {
				putchar(text[name->off]);
				printf("%s", prefix);
				*done = name->off + 1;
			} else {
				printf("%s", prefix);
				*done = name->off;
			}
		}
	}
	for (const struct ast *c = n->first; c != NULL; c = c->next)
		splice(c, text, done, prefix);
}

/* Spans of children lie within their parent's and do not overlap; a PARTITION BY or ON may not be in front of what it is
 * about. True: all is well. */
static bool
spans(const struct ast *n)
{
	u32 from = n->off;

	for (const struct ast *c = n->first; c != NULL; c = c->next) {
		if (c->off < from || c->off + c->len > n->off + n->len)
			return false;
		from = c->off + c->len;
		if (!spans(c))
			return false;
	}
	return true;
}

static void
show(const struct ast_result *r, const char *text, size_t len, bool quiet, const char *prefix)
{
	static char buf[1 << 20];
	static const char *const words[] = {"ok", "syntax", "deep", "full"};
	bool good = true;
	u32 done = 0;

	for (const struct ast *s = r->first; s != NULL; s = s->next)
		good = good && spans(s);
	printf("%s%s %u %u %u", words[r->verdict], good ? "" : "-SPANS", r->statements, r->params, r->nodes);
	if (prefix != NULL && r->verdict == AST_OK) {
		putchar(' ');
		for (const struct ast *s = r->first; s != NULL; s = s->next)
			splice(s, text, &done, prefix);
		one_line(text + done, len - done);
	} else if (r->verdict != AST_OK) {
		printf(" %u wanted %s: ", r->err_off, r->wanted != NULL ? r->wanted : "-");
		one_line(text + r->err_off, MIN(len - r->err_off, (size_t)40));
	} else {
		for (const struct ast *s = r->first; s != NULL && !quiet; s = s->next) {
			ast_print(s, text, buf, sizeof buf);
			printf(" %s", buf);
		}
	}
	putchar('\n');
}

static void
bench(struct arena *a, const char *text, size_t len, u32 mode, long rounds)
{
	struct timespec t0, t1;
	struct ast_result r;

	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (long i = 0; i < rounds; i++) {
		arena_reset(a);
		ast_parse(a, text, len, mode, &r);
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	double ns = ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / (double)rounds;

	printf("%8.1f ns %6zu bytes %5u nodes %.*s\n", ns, len, r.nodes, 60, text);
}

int
main(int argc, char **argv)
{
	long rounds = 0;
	char *text = NULL;
	const char *prefix = NULL;
	size_t size = 0;
	ssize_t n;
	u32 mode = 0;
	bool quiet = false;
	int opt;
	struct arena a;
	struct ast_result r;

	while ((opt = getopt(argc, argv, "b:m:qs:")) != -1) {
		if (opt == 'b')
			rounds = strtol(optarg, NULL, 0);
		else if (opt == 'm')
			mode = (u32)strtoul(optarg, NULL, 0);
		else if (opt == 'q')
			quiet = true;
		else if (opt == 's')
			prefix = optarg;
		else
			return 2;
	}
	arena_init(&a, ARENA_MOST);
	while ((n = getdelim(&text, &size, 0, stdin)) > 0) {
		size_t len = (size_t)n - (text[n - 1] == '\0');

		if (rounds > 0) {
			bench(&a, text, len, mode, rounds);
			continue;
		}
		arena_reset(&a);
		ast_parse(&a, text, len, mode, &r);
		show(&r, text, len, quiet, prefix);
	}
	free(text);
	arena_fini(&a);
	return 0;
}
