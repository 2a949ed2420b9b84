/* t/fuzz/fuzz_parse.c: the parser. Any bytes in any mode and with any arena get one of the four verdicts and a sound tree: spans
 * lie in order within their parent's and begin and end with tokens, heights and counts are true. A tree does not change by
 * blanks around the text, nor its form by other names of tables. The first byte is the mode, the second the arena's limit.
 */
#include "t/fuzz/fuzz_util.h"
#include "parser/ast.h"
#include "parser/lex.h"
#include "parser/stmt.h"

#define ROOM_ENOUGH (64u << 20)

struct seen {
	const u8 *text;
	size_t len;
	u8 *edges; /* len + 1: bit 0, a token begins there, bit 1, one ends */
	u32 params;
	u32 nodes;
	struct arena a;
	struct ast_result r;
};

static u32
mode_of(u8 byte)
{
	u32 mode = byte % 16;

	mode |= byte & 0x10 ? LEX_PIPES_AS_CONCAT : 0;
	mode |= byte & 0x40 ? LEX_HIGH_NOT : 0;
	return mode | (byte & 0x80 ? LEX_SKIP_VERSIONED : 0);
}

static void
find_edges(struct seen *s, u32 mode)
{
	struct lex l;
	struct tok t;

	s->edges = calloc(s->len + 1, 1);
	MUST(s->edges != NULL);
	lex_init(&l, s->text, s->len, mode & ~(LEX_PIPES_AS_CONCAT | LEX_HIGH_NOT));
	for (lex_next(&l, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&l, &t)) {
		s->edges[t.off] |= 1;
		s->edges[t.off + t.len] |= 2;
		s->params += t.kind == '?';
	}
}

static void
node_is_sound(struct seen *s, const struct ast *n)
{
	u32 from = n->off, count = 0, height = 0;

	MUST(n->kind < AST_KINDS && n->height <= AST_HEIGHT);
	if (n->len > 0)
		MUST(s->edges[n->off] & 1 && s->edges[n->off + n->len] & 2);
	for (const struct ast *c = n->first; c != NULL; c = c->next, count++) {
		MUST(c->off >= from && c->off + c->len <= n->off + n->len);
		MUST(c->next != NULL || c == n->last);
		from = c->off + c->len;
		height = MAX(height, c->height + 1u);
		node_is_sound(s, c);
	}
	MUST(count == n->n && height == n->height);
	s->nodes++;
}

static void
tree_is_sound(struct seen *s)
{
	u32 from = 0, count = 0;

	for (const struct ast *n = s->r.first; n != NULL; n = n->next, count++) {
		MUST(n->off >= from && n->len > 0 && n->off + n->len <= s->len);
		MUST(n->next != NULL || n == s->r.last);
		from = n->off + n->len;
		node_is_sound(s, n);
	}
	MUST(count == s->r.statements);
}

/* Everything of one text. */
static void
parse(struct seen *s, const u8 *text, size_t len, u32 mode, size_t limit)
{
	*s = (struct seen){.text = text, .len = len};
	arena_init(&s->a, limit);
	enum ast_verdict v = ast_parse(&s->a, text, len, mode, &s->r);

	MUST(v == s->r.verdict && (unsigned)v <= AST_FULL);
	MUST(s->a.used <= limit);
	MUST(s->r.err_off <= len && (s->r.wanted != NULL) == (v == AST_SYNTAX || v == AST_DEEP));
	find_edges(s, mode);
	tree_is_sound(s);
	MUST(s->nodes <= s->r.nodes);
	if (v == AST_OK)
		MUST(s->r.params == s->params);
}

static void
done(struct seen *s)
{
	free(s->edges);
	arena_fini(&s->a);
	MUST(s->a.used == 0);
}

/* The same kinds and flags in the same places; `moved`: spans are the same but for so many bytes. */
static void
must_be_alike(const struct ast *a, const struct ast *b, int moved)
{
	MUST((a == NULL) == (b == NULL));
	for (; a != NULL && b != NULL; a = a->next, b = b->next) {
		MUST(a->kind == b->kind && a->flags == b->flags && a->op == b->op && a->n == b->n);
		if (moved >= 0)
			MUST(a->off + (u32)moved == b->off && a->len == b->len);
		MUST((a->next == NULL) == (b->next == NULL));
		must_be_alike(a->first, b->first, moved);
	}
}

/* What is not understood may be a routine, whose semicolons are its own. */
static bool
ends_in_other(const struct ast *n)
{
	while (n != NULL && n->kind != AST_OTHER)
		n = n->last;
	return n != NULL;
}

static void
blanks_change_nothing(const struct seen *s, u32 mode)
{
	size_t len = s->len + 3;
	struct seen t;
	u8 *copy = malloc(len);

	MUST(copy != NULL);
	copy[0] = '\t';
	if (s->len > 0)
		memcpy(copy + 1, s->text, s->len);
	memcpy(copy + len - 2, ends_in_other(s->r.last) ? "\n " : "\n;", 2);
	parse(&t, copy, len, mode, ROOM_ENOUGH);
	MUST(t.r.verdict == AST_OK && t.r.nodes == s->r.nodes && t.r.params == s->r.params && t.r.versioned == s->r.versioned);
	must_be_alike(s->r.first, t.r.first, 1);
	done(&t);
	free(copy);
}

/* ---- other names of tables ---- */

struct splice {
	const u8 *text;
	u8 *out;
	size_t n, done;
};

static void
put(struct splice *o, size_t upto)
{
	memcpy(o->out + o->n, o->text + o->done, upto - o->done);
	o->n += upto - o->done;
	o->done = upto;
}

static void
rename_tables(struct splice *o, const struct ast *n)
{
	if (n->kind == AST_TABLE) {
		const struct ast *name = n->first;

		if (name->next != NULL && name->next->kind == AST_NAME)
			name = name->next;
		put(o, name->off + (o->text[name->off] == '`' || o->text[name->off] == '"'));
		memcpy(o->out + o->n, "zz_", 3);
		o->n += 3;
	}
	for (const struct ast *c = n->first; c != NULL; c = c->next)
		rename_tables(o, c);
}

static void
names_change_nothing(const struct seen *s, u32 mode)
{
	struct splice o = {.text = s->text, .out = malloc(s->len + 3 * (size_t)s->nodes + 1)};
	struct seen t;

	MUST(o.out != NULL);
	for (const struct ast *n = s->r.first; n != NULL; n = n->next)
		rename_tables(&o, n);
	if (s->len > 0)
		put(&o, s->len);
	parse(&t, o.out, o.n, mode, ROOM_ENOUGH);
	MUST(t.r.verdict == AST_OK);
	must_be_alike(s->r.first, t.r.first, -1);
	done(&t);
	free(o.out);
}

static void
is_of_use_again(struct seen *s, size_t limit)
{
	arena_reset(&s->a);
	ast_parse(&s->a, "DO 1", 4, 0, &s->r);
	MUST(s->r.verdict == (limit < 8192 ? AST_FULL : AST_OK));
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static char buf[256];
	struct seen s;
	size_t len = size - 2, limit;
	u32 mode;
	u8 *text;

	if (size < 2)
		return 0;
	mode = mode_of(data[0]);
	limit = data[1] % 64 == 0 ? ROOM_ENOUGH : data[1] % 64 * 4096u;
	text = malloc(len);
	MUST(text != NULL || len == 0);
	if (len > 0)
		memcpy(text, data + 2, len);
	parse(&s, text, len, mode, limit);
	for (const struct ast *n = s.r.first; n != NULL; n = n->next)
		ast_print(n, text, buf, sizeof buf);
	if (s.r.verdict == AST_OK) {
		blanks_change_nothing(&s, mode);
		names_change_nothing(&s, mode);
	}
	is_of_use_again(&s, limit);
	done(&s);
	free(text);
	return 0;
}
