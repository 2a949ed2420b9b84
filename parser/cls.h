/* parser/cls.h: the classifier at work on one text; shared by stmt.c, scan.c and verbs.c, nobody
 * else. Pure. Every function here only adds: flags, kinds of state (pins), and reasons why the text
 * is no read.
 */
#ifndef MARGAY_PARSER_CLS_H
#define MARGAY_PARSER_CLS_H
#include "parser/lex.h"
#include "parser/stmt.h"

#define PIN(x) (1ull << PIN_##x)

struct cls {
	struct lex l;
	struct tok ring[4]; /* the token looked at and the three before it */
	u32 at;
	u32 flags;
	u64 pins;
	u32 depth;             /* parentheses open */
	enum stmt_kind kind;   /* of the statement looked at */
	enum route_reason why; /* the first reason met; NONE: a read as far as seen */
	u32 arg_off, arg_len;
	u64 num;
	bool calls;        /* function calls are looked at */
	bool with;         /* WITH occurs: names before a parenthesis may be those of CTEs */
	bool into;         /* INTO occurs: variables behind it are set */
	bool select_calls; /* CREATE TABLE: look at calls from the first SELECT on */
	bool kill;         /* KILL occurs where it would run */
	bool kill_plain;   /* ... and it is KILL with a number */
	bool denied;       /* for another reason than ROUTE_STATE, though that may have been the first */
	bool bad;          /* TOK_BAD was met */
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
	if (c->why == ROUTE_NONE)
		c->why = why;
}
/* Not understood well enough. */
static inline void
cls_doubt(struct cls *c)
{
	c->why = ROUTE_UNKNOWN;
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

/* sysvar.c: what reading a system variable means; `global`: its global value. */
void sysvar_read(struct cls *c, struct slice name, bool global);
/* What setting one for the session means. next_trx: written @@name without a scope, which holds for
 * the next transaction only if the variable is one of a transaction.
 */
void sysvar_set(struct cls *c, struct slice name, bool next_trx);

/* verbs.c: the statement that begins with the token looked at, up to its end. */
void verb_statement(struct cls *c);
#endif
