/* t/sys/parse.c: the parser as a filter, for tests that compare it with a server. Statements on stdin, each ended by a NUL;
 * one line for each on stdout: verdict, statements, parameters, nodes, then the tree or what was wanted where. -m MODE: lexer
 * mode (LEX_*). -q: no tree. -s PREFIX: instead of the tree the statement itself with PREFIX in front of each table's name.
 * -a BYTES: the arena's limit. -t: instead of all that the tokens: offset and length of each, `bad` for what is none. -b N: parses each N times and prints nanoseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include "parser/ast.h"
#include "t/sys/filter.h"

#define ARENA_MOST (256u * 1024 * 1024)

static struct arena arena;
static const char *prefix;
static bool quiet, tokens_only;

static void
one_line(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putchar(p[i] == '\n' || p[i] == '\r' || p[i] == '\0' ? ' ' : p[i]);
}

/* Copies the text up to each table's name, in the order of the tree, which for tables is that of the text. */
static void
splice(const struct ast *n, const char *text, u32 *done)
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
		splice(c, text, done);
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
show(const struct ast_result *r, const char *text, size_t len)
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
			splice(s, text, &done);
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
bench(const char *text, size_t len, u32 mode, long rounds)
{
	double from = filter_ns();
	struct ast_result r;

	for (long i = 0; i < rounds; i++) {
		arena_reset(&arena);
		ast_parse(&arena, text, len, mode, &r);
	}
	printf("%8.1f ns %6zu bytes %5u nodes %.*s\n", (filter_ns() - from) / (double)rounds, len, r.nodes, 60, text);
}

static void
tokens(const char *text, size_t len, u32 mode)
{
	struct lex l;
	struct tok t;

	lex_init(&l, text, len, mode);
	for (lex_next(&l, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&l, &t))
		printf("%u:%u ", t.off, t.len);
	printf("%s\n", t.kind == TOK_BAD ? "bad" : "end");
}

static void
each(const char *text, size_t len, u32 mode)
{
	struct ast_result r;

	if (tokens_only) {
		tokens(text, len, mode);
		return;
	}
	arena_reset(&arena);
	ast_parse(&arena, text, len, mode, &r);
	show(&r, text, len);
}

static bool
option(int opt, const char *arg)
{
	if (opt == 'q')
		quiet = true;
	else if (opt == 't')
		tokens_only = true;
	else if (opt == 'a')
		arena.limit = strtoul(arg, NULL, 10);
	else
		prefix = arg;
	return true;
}

int
main(int argc, char **argv)
{
	arena_init(&arena, ARENA_MOST);
	int rc = filter_run(&(struct filter){.each = each, .bench = bench, .more = "qts:a:", .option = option}, argc, argv);
	arena_fini(&arena);
	return rc;
}
