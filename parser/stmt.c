/* parser/stmt.c: classifies a text: its statements one by one, and once more without the executable
 * comments that only some servers run. Pure: no clock, no globals; memory only from the arena.
 */
#include "parser/cls.h"

static const char *const kind_words[STMT_KINDS] = {
    [STMT_EMPTY] = "empty",
    [STMT_OTHER] = "other",
    [STMT_SELECT] = "select",
    [STMT_SHOW] = "show",
    [STMT_EXPLAIN] = "explain",
    [STMT_INSERT] = "insert",
    [STMT_UPDATE] = "update",
    [STMT_DELETE] = "delete",
    [STMT_REPLACE] = "replace",
    [STMT_LOAD] = "load",
    [STMT_DDL] = "ddl",
    [STMT_CALL] = "call",
    [STMT_DO] = "do",
    [STMT_SET] = "set",
    [STMT_SET_TRX] = "set-transaction",
    [STMT_USE] = "use",
    [STMT_BEGIN] = "begin",
    [STMT_COMMIT] = "commit",
    [STMT_ROLLBACK] = "rollback",
    [STMT_SAVEPOINT] = "savepoint",
    [STMT_XA] = "xa",
    [STMT_LOCK] = "lock",
    [STMT_UNLOCK] = "unlock",
    [STMT_PREPARE] = "prepare",
    [STMT_EXECUTE] = "execute",
    [STMT_DEALLOCATE] = "deallocate",
    [STMT_HANDLER] = "handler",
    [STMT_KILL] = "kill",
    [STMT_PROCESSLIST] = "processlist",
};

const char *
stmt_kind_word(enum stmt_kind k)
{
	return (unsigned)k < STMT_KINDS ? kind_words[k] : "?";
}

static void
take_kind(struct stmt *st, const struct cls *c)
{
	st->kind = c->kind;
	st->num = c->num;
	st->arg_off = c->arg_off;
	st->arg_len = c->arg_len;
}

/* The tree of the statement that begins with the token looked at, or NULL: what follows the body of a routine is part of
 * that for the parser, and a statement of its own by its semicolons. */
static const struct ast *
tree_here(struct cls *c)
{
	u32 off = cls_tok(c)->off;

	while (c->ahead != NULL && c->ahead->off < off)
		c->ahead = c->ahead->next;
	return c->ahead != NULL && c->ahead->off == off ? c->ahead : NULL;
}

/* All statements of the text. Returns how many there are that are not empty. */
static u32
statements(struct cls *c, struct stmt *st)
{
	bool empty_first = cls_next(c)->kind == ';';
	u32 n = 0;

	for (;;) {
		while (cls_tok(c)->kind == ';')
			cls_next(c);
		if (cls_at_end(c))
			return n;
		if (n++ || empty_first)
			c->flags |= STMT_F_MULTI;
		c->calls = true;
		c->with = c->into = c->select_calls = false;
		const struct ast *tree = tree_here(c);

		if (tree == NULL)
			c->covered = false;
		verb_statement(c, tree);
		if (n == 1)
			take_kind(st, c);
	}
}

/* No read for the one reason that servers answer it differently, each of them rightly. */
static bool
reads_state(const struct cls *c, const struct stmt *st)
{
	const u32 connection = STMT_F_DIAG | STMT_F_FOUND_ROWS | STMT_F_CALC_ROWS | STMT_F_INSERT_ID | STMT_F_DML |
			       STMT_F_INTO | STMT_F_MULTI | STMT_F_SESSION_FN;

	return c->why == ROUTE_STATE && !c->denied && c->pins == 0 && (c->flags & connection) == 0 &&
	       (st->kind == STMT_SELECT || st->kind == STMT_SHOW || st->kind == STMT_EXPLAIN);
}

/* What holds for the text as a whole. */
static void
judge(struct cls *c, struct stmt *st, u32 n, size_t len, u32 mode)
{
	bool bad = cls_tok(c)->kind == TOK_BAD && !(mode & LEX_TRUNCATED);

	if (bad) {
		st->kind = STMT_OTHER;
		cls_doubt(c);
	}
	if (st->kind == STMT_PROCESSLIST && c->flags & STMT_F_MULTI)
		st->kind = STMT_SHOW;
	/* A number alone is looked up by the caller. One with an arg is for the server, and hides what else
	 * the text is. */
	if (c->kill && (bad || n != 1 || !c->kill_plain || mode & LEX_TRUNCATED)) {
		bool alone = st->kind == STMT_KILL && n == 1 && !c->kill_plain;

		if (n != 1 || st->kind != STMT_KILL)
			cls_doubt(c);
		st->kind = STMT_KILL;
		st->num = 0;
		if (!alone || st->arg_len == 0) {
			st->arg_off = 0;
			st->arg_len = (u32)len;
		}
	}
	if (c->l.seen & LEX_S_DOUBT || mode & LEX_UNSAFE_CHARSET || c->unseen || (n > 0 && !c->covered && !(mode & LEX_TRUNCATED)))
		cls_doubt(c);
	if (mode & LEX_TRUNCATED)
		c->pins |= PIN(LONG);
	if (c->flags & STMT_F_INSERT_ID)
		c->facts_flags |= STMT_K_ASKS_ID;
	if (c->pins & PIN(ROUTINE))
		c->flags |= STMT_F_INSERT_ID;
	if (c->flags & STMT_F_MULTI || mode & LEX_TRUNCATED)
		cls_deny(c, ROUTE_UNKNOWN);
	if (st->kind != STMT_SELECT && c->why == ROUTE_NONE)
		c->why = ROUTE_UNKNOWN;
	if (c->l.seen & LEX_S_HINT_PRIMARY)
		c->flags |= STMT_F_HINT_PRIMARY;
	if (c->l.seen & LEX_S_HINT_REPLICA)
		c->flags |= STMT_F_HINT_REPLICA;
	if (c->l.seen & LEX_S_HINT_SERVER)
		c->flags |= STMT_F_HINT_SERVER;
	if (reads_state(c, st))
		c->flags |= STMT_F_STATE_READ;
	st->hint_off = c->l.hint_off;
	st->hint_len = c->l.hint_len;
	st->mask_off = c->l.mask_off;
	st->flags = c->flags;
	st->pins = c->pins;
	st->why = c->why;
	if (c->why == ROUTE_NONE) {
		st->why = ROUTE_READ;
		st->flags |= STMT_F_READ;
	}
}

/* Statements in which PIN_ROUTINE can come from calls of functions alone. */
static bool
calls_only(enum stmt_kind k)
{
	return k == STMT_SELECT || k == STMT_INSERT || k == STMT_UPDATE || k == STMT_DELETE || k == STMT_REPLACE || k == STMT_DO ||
	    k == STMT_SET || k == STMT_SHOW;
}

static void
give_facts(struct cls *c, struct stmt_facts *f, const struct ast_result *r)
{
	bool routine = (c->pins & PIN(ROUTINE)) != 0;

	f->flags |= c->facts_flags;
	if (!c->covered)
		f->flags &= ~STMT_K_WHOLE;
	if ((f->flags & STMT_K_WHOLE) != 0 && f->ncalls > 0 && routine && (c->flags & STMT_F_MULTI) == 0 && calls_only(c->kind)) {
		f->flags |= STMT_K_PIN_BY_CALLS | (u32)c->why_else << STMT_K_WHY;
		if (c->kind == STMT_SELECT && c->pins == PIN(ROUTINE) && c->why_else == ROUTE_NONE)
			f->flags |= STMT_K_READ_BUT_CALLS;
	}
	f->nodes = r->nodes;
}

/* Returns the number of executable comments that only some servers run. */
static u32
pass(struct arena *a, const void *text, size_t len, u32 mode, struct stmt *st, struct stmt_facts *f)
{
	struct ast_result r = {.verdict = AST_SYNTAX};
	struct cls c = {.a = a, .facts = f};
	u32 n;

	memset(st, 0, sizeof *st);
	*f = (struct stmt_facts){.flags = STMT_K_WHOLE};
	if (!(mode & (LEX_TRUNCATED | LEX_UNSAFE_CHARSET)) && ast_parse(a, text, len, mode, &r) == AST_OK) {
		c.covered = true;
		c.ahead = r.first;
	}
	lex_init(&c.l, text, len, mode & LEX_MODES);
	n = statements(&c, st);
	judge(&c, st, n, len, mode);
	give_facts(&c, f, &r);
	return c.l.versioned;
}

/* st: with the executable comments; b: without them. */
static void
merge(struct stmt *st, const struct stmt *b, u32 versioned)
{
	const u32 both = STMT_F_READ | STMT_F_TABLES | STMT_F_STATE_READ; /* held to be so only if it is so both ways */
	bool same = st->kind == b->kind && st->num == b->num && st->arg_off == b->arg_off &&
		    st->arg_len == b->arg_len;

	st->flags = (st->flags & b->flags & both) | ((st->flags | b->flags) & ~both);
	st->pins |= b->pins;
	if (st->why == ROUTE_READ)
		st->why = b->why;
	if (!same && (st->kind == STMT_KILL || b->kind == STMT_KILL)) {
		st->arg_off = 0;
		st->arg_len = 1;
		st->num = 0;
		st->kind = STMT_KILL;
	} else if (!same) {
		st->kind = STMT_OTHER;
		st->arg_len = 0;
		st->num = 0;
	}
	/* With more than one comment, a server may run some and skip others. */
	if (!same || versioned > 1) {
		st->flags &= ~STMT_F_READ;
		st->why = ROUTE_UNKNOWN;
		st->pins |= PIN(UNKNOWN);
	}
}

static bool
is_ascii(const u8 *p, size_t len)
{
	u8 bits = 0;

	while (len--)
		bits |= *p++;
	return bits < 0x80;
}

void
stmt_understand(struct arena *a, const void *text, size_t len, u32 lex_mode, struct stmt *st_r, struct stmt_facts *facts_r)
{
	struct stmt without;
	struct stmt_facts facts, other;
	u32 versioned;

	if (len > UINT32_MAX) { /* spans have 32 bits; max_packet_size is far below */
		len = UINT32_MAX;
		lex_mode |= LEX_TRUNCATED;
	}
	/* Every multi-byte character of those sets begins with a byte that is no ASCII. */
	if (lex_mode & LEX_UNSAFE_CHARSET && is_ascii(text, len))
		lex_mode &= ~LEX_UNSAFE_CHARSET;
	lex_mode &= ~LEX_SKIP_VERSIONED;
	versioned = pass(a, text, len, lex_mode, st_r, &facts);
	if (unlikely(versioned)) {
		u32 n = pass(a, text, len, lex_mode | LEX_SKIP_VERSIONED, &without, &other);

		/* What one comment holds may hide the next: a quote, run, opens a string. */
		merge(st_r, &without, MAX(versioned, n));
		facts.flags &= ~(STMT_K_WHOLE | STMT_K_READ_BUT_CALLS | STMT_K_PIN_BY_CALLS);
	}
	if (facts_r != NULL)
		*facts_r = facts;
}

void
stmt_classify(const void *text, size_t len, u32 lex_mode, struct stmt *st_r)
{
	struct arena a;

	arena_init(&a, STMT_ARENA);
	stmt_understand(&a, text, len, lex_mode, st_r, NULL);
	arena_fini(&a);
}

void
stmt_calls_are_harmless(struct stmt *st, u32 facts)
{
	if ((facts & STMT_K_PIN_BY_CALLS) == 0)
		return;
	st->pins &= ~PIN(ROUTINE);
	if ((facts & STMT_K_ASKS_ID) == 0)
		st->flags &= ~STMT_F_INSERT_ID;
	if (facts >> STMT_K_WHY != ROUTE_NONE)
		st->why = (enum route_reason)(facts >> STMT_K_WHY);
	if ((facts & STMT_K_READ_BUT_CALLS) != 0) {
		st->why = ROUTE_READ;
		st->flags |= STMT_F_READ;
	}
}
