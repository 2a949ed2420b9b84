/* parser/cls.h: the classifier at work on one text; shared by stmt.c, tree.c, verbs.c, scan.c and sysvar.c, nobody
 * else. Pure. Every function here only adds: flags, kinds of state (pins), and reasons why the text
 * is no read.
 *
 * The tokens are gone through once, from one statement to the next. What a statement with expressions in it means is read off
 * its tree (tree.c); of one that is known by its keywords, off these (verbs.c). Text that the grammar does not cover is looked
 * at token by token (scan.c), and is in doubt whatever that says.
 */
#ifndef MARGAY_PARSER_CLS_H
#define MARGAY_PARSER_CLS_H
#include "parser/ast.h"
#include "parser/facts.h"
#include "parser/stmt.h"

#define PIN(x) (1ull << PIN_##x)
#define LEX_MODES 0x1ffu /* of parser/stmt.h and parser/lex.h; others are the parser's alone */

struct cls {
	struct lex l;
	const struct ast *node;     /* tree of the statement looked at; NULL: none, go by tokens */
	const struct ast *ahead;    /* trees of the statements behind it */
	const struct scope *scope;  /* common table expressions that have a name here */
	struct arena *a;            /* of the facts */
	struct stmt_facts *facts;
	struct tok ring[4]; /* the token looked at and the three before it */
	u32 at;
	u32 flags;
	u32 facts_flags; /* STMT_K_* */
	u64 pins;
	u32 depth;             /* parentheses open */
	enum stmt_kind kind;   /* of the statement looked at */
	enum route_reason why; /* the first reason met; NONE: a read as far as seen */
	enum route_reason why_else; /* the first one beside calls of functions */
	u32 arg_off, arg_len;
	u64 num;
	bool calls;        /* function calls are looked at */
	bool with;         /* WITH occurs: names before a parenthesis may be those of CTEs */
	bool into;         /* INTO occurs: variables behind it are set */
	bool select_calls; /* CREATE TABLE: look at calls from the first SELECT on */
	bool kill;         /* KILL occurs where it would run */
	bool kill_plain;   /* ... and it is KILL with a number */
	bool denied;       /* for another reason than ROUTE_STATE, though that may have been the first */
	bool unseen;       /* a token that denies a read, and the tree did not show it; or too deep to be looked through */
	bool covered;      /* the grammar covers all of it so far */
};

static inline struct tok *
cls_tok(struct cls *c)
{
	return &c->ring[c->at & 3];
}
/* The n-th token before the one looked at, n at most 3; TOK_END before the first. */
static inline struct tok *
cls_prev(struct cls *c, u32 n)
{
	return &c->ring[(c->at - n) & 3];
}
static inline struct tok *
cls_next(struct cls *c)
{
	struct tok *t = &c->ring[++c->at & 3];

	lex_next(&c->l, t);
	return t;
}
static inline bool
cls_at_end(struct cls *c)
{
	u8 k = cls_tok(c)->kind;

	return k == TOK_END || k == ';' || k == TOK_BAD;
}
/* Steps over the keyword if it is the token looked at. */
static inline bool
cls_skip(struct cls *c, enum kw kw)
{
	if (cls_tok(c)->kw != kw)
		return false;
	cls_next(c);
	return true;
}
static inline bool
tok_is_name(const struct tok *t)
{
	return t->kind == TOK_QUOTED ||
	       (t->kind == TOK_WORD && !(t->word && t->word->class == WORD_RESERVED));
}
/* No read, for this reason unless one was given before. */
static inline void
cls_deny(struct cls *c, enum route_reason why)
{
	c->denied |= why != ROUTE_STATE;
	if (why != ROUTE_FUNCTION && c->why_else == ROUTE_NONE)
		c->why_else = why;
	if (c->why == ROUTE_NONE)
		c->why = why;
}
/* Not understood well enough. */
static inline void
cls_doubt(struct cls *c)
{
	c->why = ROUTE_UNKNOWN;
	c->why_else = ROUTE_UNKNOWN;
	c->pins |= PIN(UNKNOWN);
}

/* scan.c: looks at each token up to the end of the statement, the one looked at included. */
void scan_rest(struct cls *c);
/* The same up to the keyword `stop` or a token of kind `stop_kind` outside of parentheses, which is
 * then the token looked at.
 */
void scan_until(struct cls *c, enum kw stop, u8 stop_kind);
/* To the end of a routine's body or another definition that does not run now: only secrets count. A
 * body in BEGIN and END, with the semicolons in it, is one statement.
 */
void scan_definition(struct cls *c);
bool name_is(struct slice name, const char *lower);
/* Of a statement whose tree was looked at: steps to the first token at or behind `end`. Words that may stand before a secret
 * count wherever they are. */
void scan_words(struct cls *c, u32 end);
/* A function was called: name in lower or upper case, tight: the parenthesis follows at once, args: how many, 3 for more.
 * False: it is none of the server's own. */
bool call_builtin(struct cls *c, const struct word *w, bool tight, u32 args);
/* A system variable is read; at: behind its token. */
void system_var(struct cls *c, struct slice name, struct lex at);
/* NEXTVAL and CURRVAL of sql_mode=ORACLE: a name behind a point. */
void name_after_point(struct cls *c, struct slice name);
void leaves_insert_id(struct cls *c);

/* tree.c: what a statement or a part of one means. */
void tree_look(struct cls *c, const struct ast *n);
/* A whole statement that is read off its tree. */
void tree_statement(struct cls *c, const struct ast *n);
/* Tables of a statement that is known by its keywords. */
void tree_tables(struct cls *c, const struct ast *n);

/* sysvar.c: what reading a system variable means; `global`: its global value. */
void sysvar_read(struct cls *c, struct slice name, bool global);
/* What setting one for the session means. next_trx: written @@name without a scope, which holds for
 * the next transaction only if the variable is one of a transaction.
 */
void sysvar_set(struct cls *c, struct slice name, bool next_trx);

/* verbs.c: the statement that begins with the token looked at, up to its end; n: its tree, or NULL. */
void verb_statement(struct cls *c, const struct ast *n);
#endif
