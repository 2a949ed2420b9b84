/* parser/ast.c: tokens and nodes of the parser, its entry, and the tree as text. Pure. */
#include "parser/parse.h"
#include <stdio.h>

static const char *const words[] = {
#define NODE(sym, word, children) word,
#include "tbl/nodes.def"
#undef NODE
};

static const char *const keywords[] = {"",
#define KEYWORD(sym, class) #sym,
#include "tbl/keywords.def"
#undef KEYWORD
};

static const char *const operators[] = {"", "or", "xor", "and", "=", "<=>", "<>", "<", "<=", ">", ">=", "|", "&", "<<", ">>",
    "+", "-", "*", "/", "div", "%", "^", "||", "->", "->>", "not",
    "neg", "plus", "~", "to-binary"};
_Static_assert(ARRAY_LEN(operators) == OP_COUNT, "words of all operators");

const char *
ast_word(enum ast_kind k)
{
	return (unsigned)k < AST_KINDS ? words[k] : "?";
}

struct ast *
ast_child(const struct ast *n, enum ast_kind k)
{
	for (struct ast *c = n->first; c != NULL; c = c->next)
		if (c->kind == k)
			return c;
	return NULL;
}

/* ---- tokens ---- */

static void
read_token(struct parse *p, struct tok *t)
{
	lex_next(&p->l, t);
	if (unlikely(t->kind == TOK_BAD))
		t->kw = NO_KW;
}

void
parse_next(struct parse *p)
{
	if (p->r->verdict != AST_OK)
		return;
	if (unlikely(p->t.kind == TOK_END || (p->t.kind == ';' && !p->semicolons))) {
		parse_fail(p, "more of the statement");
		return;
	}
	p->end = p->t.off + p->t.len;
	if (p->t.kind == '?')
		p->r->params++;
	if (p->have_ahead) {
		p->t = p->ahead;
		p->have_ahead = false;
	} else {
		read_token(p, &p->t);
	}
	if (unlikely(p->t.kind == TOK_BAD))
		parse_fail(p, "readable text");
}

const struct tok *
parse_ahead(struct parse *p)
{
	if (p->t.kind == TOK_END)
		return &p->t;
	if (!p->have_ahead) {
		read_token(p, &p->ahead);
		p->have_ahead = true;
	}
	return &p->ahead;
}

static void
stop(struct parse *p, enum ast_verdict v, const char *wanted)
{
	if (p->r->verdict != AST_OK)
		return;
	p->r->verdict = v;
	p->r->err_off = p->t.off;
	p->r->wanted = wanted;
	p->t = (struct tok){.kind = TOK_END, .off = p->t.off, .kw = NO_KW};
	p->have_ahead = false;
}

void
parse_fail(struct parse *p, const char *wanted)
{
	stop(p, AST_SYNTAX, wanted);
}

void
parse_want(struct parse *p, u8 kind, const char *wanted)
{
	if (!skip(p, kind))
		parse_fail(p, wanted);
}

void
parse_want_kw(struct parse *p, enum kw kw, const char *wanted)
{
	if (!skip_kw(p, kw))
		parse_fail(p, wanted);
}

void
parse_skip(struct parse *p, u8 stop1, u8 stop2)
{
	u32 depth = 0;

	while (!at_stmt_end(p)) {
		if (depth == 0 && (at(p, stop1) || at(p, stop2)))
			return;
		if (at(p, '('))
			depth++;
		else if (at(p, ')') && depth-- == 0)
			return;
		parse_next(p);
	}
}

void
parse_skip_plain(struct parse *p, u8 stop1, u8 stop2)
{
	struct tok before = {.kind = TOK_END};
	u32 depth = 0;

	for (; !at_stmt_end(p); before = p->t, parse_next(p)) {
		const struct word *w = before.word;

		if (depth == 0 && (at(p, stop1) || at(p, stop2)))
			return;
		if (at(p, '(')) {
			depth++;
			if (before.kind == TOK_QUOTED ||
			    (before.kind == TOK_WORD && (w == NULL || (w->effect != FX_PURE && w->effect != FX_TIME)))) {
				parse_fail(p, "no call of a function");
				return;
			}
		} else if (at(p, ')') && depth-- == 0) {
			return;
		}
	}
}

bool
at_word(const struct parse *p, const char *lower)
{
	if (p->t.kind != TOK_WORD)
		return false;
	const u8 *s = p->l.text + p->t.off;
	u32 i = 0;

	for (; lower[i] != '\0'; i++)
		if (i >= p->t.len || (s[i] | 0x20) != (u8)lower[i])
			return false;
	return i == p->t.len;
}

/* ---- nodes ---- */

struct ast *
node_new(struct parse *p, enum ast_kind k)
{
	struct ast *n = p->r->verdict == AST_OK ? arena_get(p->a, sizeof *n) : &p->spare;

	if (unlikely(n == NULL)) {
		stop(p, AST_FULL, NULL);
		n = &p->spare;
	}
	*n = (struct ast){.kind = (u8)k, .off = p->t.off};
	p->r->nodes++;
	return n;
}

void
node_add(struct ast *n, struct ast *child)
{
	if (unlikely(n == child)) /* the spare one, after an error */
		return;
	child->next = NULL;
	if (n->last != NULL)
		n->last->next = child;
	else
		n->first = child;
	n->last = child;
	n->n++;
	n->height = MAX(n->height, (u16)(child->height + 1));
}

struct ast *
node_end(struct parse *p, struct ast *n)
{
	n->len = p->end > n->off ? p->end - n->off : 0;
	if (unlikely(n->height > AST_HEIGHT))
		stop(p, AST_DEEP, "less nesting");
	return n;
}

struct ast *
node_around(struct parse *p, enum ast_kind k, struct ast *first)
{
	u32 off = first->off;
	struct ast *n = node_new(p, k);

	n->off = off;
	node_add(n, first);
	return n;
}

struct ast *
node_token(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	parse_next(p);
	return node_end(p, n);
}

void
parse_down(struct parse *p)
{
	if (p->depth >= AST_DEPTH)
		stop(p, AST_DEEP, "less nesting");
	p->depth++;
}

/* ---- entry ---- */

enum ast_verdict
ast_parse(struct arena *a, const void *text, size_t len, u32 mode, struct ast_result *r)
{
	struct parse p = {.a = a, .r = r, .mode = mode};

	*r = (struct ast_result){0};
	lex_init(&p.l, text, len, mode & ~(LEX_PIPES_AS_CONCAT | LEX_HIGH_NOT));
	read_token(&p, &p.t);
	if (p.t.kind == TOK_BAD)
		parse_fail(&p, "readable text");
	while (r->verdict == AST_OK) {
		p.semicolons = true;
		while (skip(&p, ';'))
			;
		p.semicolons = false;
		if (at(&p, TOK_END))
			break;
		struct ast *s = parse_statement(&p);

		if (r->verdict == AST_OK && !at_stmt_end(&p))
			parse_fail(&p, "the end of the statement");
		if (r->verdict != AST_OK)
			break;
		if (r->last != NULL)
			r->last->next = s;
		else
			r->first = s;
		r->last = s;
		r->statements++;
	}
	r->versioned = p.l.versioned;
	return r->verdict;
}

/* ---- as text ---- */

struct printer {
	char *p;
	size_t n, size;
};

static void
put(struct printer *o, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++, o->n++)
		if (o->n + 1 < o->size)
			o->p[o->n] = s[i] == '\n' ? ' ' : s[i];
}

static bool
has_text(const struct ast *n)
{
	return n->kind == AST_NAME || n->kind == AST_LITERAL || n->kind == AST_USER_VAR || n->kind == AST_UNIT ||
	    n->kind == AST_TYPE || (n->kind == AST_SYSTEM_VAR && n->first == NULL);
}

static void
put_op(struct printer *o, const struct ast *n)
{
	char b[32];
	bool op = n->kind == AST_BINARY || n->kind == AST_UNARY || n->kind == AST_QUANTIFIED;
	const char *w = op ? operators[n->op] : keywords[n->op];

	if (n->kind == AST_NAME || n->kind == AST_LITERAL)
		return;
	if (n->op != 0) {
		put(o, " ", 1);
		put(o, w, strlen(w));
	}
	if (n->flags != 0)
		put(o, b, (size_t)snprintf(b, sizeof b, " /%x", n->flags));
}

static void
print(struct printer *o, const struct ast *n, const char *text, u32 depth)
{
	put(o, "(", 1);
	put(o, words[n->kind], strlen(words[n->kind]));
	put_op(o, n);
	if (has_text(n)) {
		put(o, " ", 1);
		put(o, text + n->off, n->len);
	}
	for (const struct ast *c = n->first; c != NULL && depth <= AST_HEIGHT; c = c->next) {
		put(o, " ", 1);
		print(o, c, text, depth + 1);
	}
	put(o, ")", 1);
}

size_t
ast_print(const struct ast *n, const void *text, char *buf, size_t size)
{
	struct printer o = {.p = buf, .size = size};

	print(&o, n, text, 0);
	if (size > 0)
		buf[MIN(o.n, size - 1)] = '\0';
	return o.n;
}
