/* parser/scan.c: what single tokens of a statement mean for the classifier: function calls, variables, a few keywords; of text
 * that the grammar does not cover this is all there is. Pure.
 */
#include "parser/cls.h"

/* Keywords that mean something wherever they stand outside of quotes, comments and names. */
enum act {
	ACT_NONE,
	ACT_INTO,
	ACT_FOR,
	ACT_UPDATE,
	ACT_SHARE,
	ACT_LOCK,
	ACT_DML,
	ACT_PROCEDURE,
	ACT_CALC_ROWS,
	ACT_OFFSET,
	ACT_SECRET,
	ACT_CONNECTION,
	ACT_KILL,
	ACT_RETURNING,
	ACT_SELECT,
	ACT_WITH,
	ACT_FROM,
	ACT_DUAL
};

static const u8 acts[KW_COUNT] = {
    [KW_INTO] = ACT_INTO,
    [KW_FOR] = ACT_FOR,
    [KW_UPDATE] = ACT_UPDATE,
    [KW_SHARE] = ACT_SHARE,
    [KW_LOCK] = ACT_LOCK,
    [KW_DELETE] = ACT_DML,
    [KW_INSERT] = ACT_DML,
    [KW_REPLACE] = ACT_DML,
    [KW_PROCEDURE] = ACT_PROCEDURE,
    [KW_SQL_CALC_FOUND_ROWS] = ACT_CALC_ROWS,
    [KW_OFFSET] = ACT_OFFSET,
    [KW_IDENTIFIED] = ACT_SECRET,
    [KW_PASSWORD] = ACT_SECRET,
    [KW_OLD_PASSWORD] = ACT_SECRET,
    [KW_MASTER_PASSWORD] = ACT_SECRET,
    [KW_CONNECTION] = ACT_CONNECTION,
    [KW_KILL] = ACT_KILL,
    [KW_RETURNING] = ACT_RETURNING,
    [KW_SELECT] = ACT_SELECT,
    [KW_WITH] = ACT_WITH,
    [KW_FROM] = ACT_FROM,
    [KW_DUAL] = ACT_DUAL,
};

bool
name_is(struct slice name, const char *lower)
{
	size_t i;

	for (i = 0; i < name.len; i++)
		if ((name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] | 0x20 : name.p[i]) !=
			(u8)lower[i] ||
		    !lower[i])
			return false;
	return !lower[i];
}

/* DELETE, INSERT, REPLACE, UPDATE inside of another statement. */
static void
on_inner_dml(struct cls *c, struct tok *t)
{
	struct tok *before = cls_prev(c, 1);

	if (c->depth == 0 && before->kind == ')' &&
	    c->kind == STMT_SELECT) { /* WITH x AS (...) DELETE */
		c->flags |= STMT_F_DML;
		c->kind = t->kw == KW_DELETE   ? STMT_DELETE
			  : t->kw == KW_UPDATE ? STMT_UPDATE
					       : STMT_INSERT;
		cls_deny(c, ROUTE_WRITE);
	} else if (t->kw == KW_DELETE || t->kw == KW_UPDATE) {
		cls_deny(c, ROUTE_WRITE);
	}
}

/* FOR behind NEXT VALUE or PREVIOUS VALUE. */
static void
on_for(struct cls *c)
{
	if (cls_prev(c, 1)->kw != KW_VALUE)
		return;
	if (cls_prev(c, 2)->kw == KW_NEXT) {
		cls_deny(c, ROUTE_WRITE);
		c->pins |= PIN(SEQUENCE);
	} else if (cls_prev(c, 2)->kw == KW_PREVIOUS) {
		cls_deny(c, ROUTE_STATE);
	}
}

void
leaves_insert_id(struct cls *c)
{
	c->flags |= STMT_F_LEAVES_ID;
	c->pins |= PIN(SYSVAR);
}

static void
on_keyword(struct cls *c, struct tok *t)
{
	switch ((enum act)acts[t->kw]) {
	case ACT_NONE:
		break;
	case ACT_INTO:
		c->into = true;
		if (c->kind == STMT_SELECT)
			c->flags |= STMT_F_INTO;
		cls_deny(c, ROUTE_WRITE);
		break;
	case ACT_FOR:
		on_for(c);
		break;
	case ACT_UPDATE:
		if (cls_prev(c, 1)->kw == KW_FOR)
			cls_deny(c, ROUTE_LOCKING);
		else
			on_inner_dml(c, t);
		break;
	case ACT_SHARE:
		if (cls_prev(c, 1)->kw == KW_FOR)
			cls_deny(c, ROUTE_LOCKING);
		break;
	case ACT_LOCK:
		cls_deny(c, ROUTE_LOCKING);
		break;
	case ACT_DML:
		on_inner_dml(c, t);
		break;
	case ACT_PROCEDURE:
		cls_deny(c, ROUTE_FUNCTION);
		break;
	case ACT_CALC_ROWS: /* the next statement asks for it with FOUND_ROWS() */
		c->flags |= STMT_F_CALC_ROWS;
		c->pins |= PIN(DIAGNOSTICS);
		cls_deny(c, ROUTE_STATE);
		break;
	case ACT_OFFSET:
		c->flags |= STMT_F_OFFSET;
		break;
	case ACT_SECRET:
		c->flags |= STMT_F_SECRET;
		break;
	case ACT_CONNECTION: /* CREATE TABLE ... CONNECTION='mysql://user:password@host/db' */
		if (c->kind == STMT_DDL)
			c->flags |= STMT_F_SECRET;
		break;
	case ACT_KILL:
		c->kill = true;
		cls_deny(c, ROUTE_WRITE);
		break;
	case ACT_RETURNING: /* the reply is a result set and does not tell the insert id it leaves
			       (measured) */
		if (c->kind == STMT_INSERT || c->kind == STMT_REPLACE)
			leaves_insert_id(c);
		break;
	case ACT_SELECT:
		if (c->select_calls)
			c->calls = true;
		break;
	case ACT_WITH:
		c->with = true;
		break;
	case ACT_FROM: /* not inside of EXTRACT(.. FROM ..); a subquery's table does not count either: too
			  little is safe */
		if (c->depth == 0)
			c->flags |= STMT_F_TABLES;
		break;
	case ACT_DUAL:
		if (c->depth == 0 && cls_prev(c, 1)->kw == KW_FROM)
			c->flags &= ~STMT_F_TABLES;
		break;
	}
}

void
name_after_point(struct cls *c, struct slice name)
{
	if (name_is(name, "nextval")) {
		cls_deny(c, ROUTE_WRITE);
		c->pins |= PIN(SEQUENCE);
	} else if (name_is(name, "currval")) {
		cls_deny(c, ROUTE_STATE);
	}
}

/* A point behind a name: tables of the server's own schemas describe that server, so the primary
 * answers for them. */
static void
on_point(struct cls *c)
{
	struct tok *t = cls_prev(c, 1);

	if (t->kind != TOK_WORD && t->kind != TOK_QUOTED)
		return;
	if (t->len >= 3 && t->len <= 20) {
		struct slice name = tok_name(&c->l, t);

		if (stmt_schema_is_local(name.p, name.len))
			cls_deny(c, ROUTE_STATE);
	}
}

bool
stmt_schema_is_local(const void *name, size_t len)
{
	struct slice n = {name, len};

	switch (len) {
	case 3:
		return name_is(n, "sys");
	case 5:
		return name_is(n, "mysql");
	case 18:
		return name_is(n, "information_schema") || name_is(n, "performance_schema");
	default:
		return false;
	}
}

void
system_var(struct cls *c, struct slice name, struct lex ahead)
{
	struct tok point, part;
	bool global = name_is(name, "global");

	cls_deny(c, ROUTE_STATE);
	if (global || name_is(name, "session") || name_is(name, "local")) {
		lex_next(&ahead, &point);
		lex_next(&ahead, &part);
		if (point.kind == '.' && (part.kind == TOK_WORD || part.kind == TOK_QUOTED))
			name = tok_name(&ahead, &part);
	}
	sysvar_read(c, name, global);
}

/* Deepest nesting that is looked through ahead of the token: each of many calls within each other does so. Deeper is in doubt. */
#define AHEAD_DEPTH 32

/* Number of arguments of the call whose opening parenthesis is the token looked at: 0, 1, 2, or 3
 * for more. */
static u32
count_args(struct cls *c)
{
	struct lex ahead = c->l;
	struct tok t;
	u32 depth = 0, args = 0;

	for (lex_next(&ahead, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&ahead, &t)) {
		if (t.kind == ')' && depth-- == 0)
			break;
		if (args == 0)
			args = 1;
		if (t.kind == '(' && ++depth > AHEAD_DEPTH) {
			c->unseen = true;
			return 3;
		}
		if (t.kind == ',' && depth == 0 && ++args > 2)
			return 3;
	}
	return args;
}

/* Whether the parenthesis looked at opens a list of names followed by AS (: the columns of a CTE.
 */
static bool
is_cte(struct cls *c)
{
	struct lex ahead = c->l;
	struct tok t;

	do {
		lex_next(&ahead, &t);
		if (!tok_is_name(&t))
			return false;
		lex_next(&ahead, &t);
	} while (t.kind == ',');
	if (t.kind != ')')
		return false;
	lex_next(&ahead, &t);
	if (t.kw != KW_AS)
		return false;
	lex_next(&ahead, &t);
	return t.kind == '(';
}

/* JSON_TABLE(doc, '$[*]' COLUMNS (...)): a string right before COLUMNS is no argument list. */
static bool
is_json_table(struct cls *c)
{
	struct lex ahead = c->l;
	struct tok t, before = {0};
	u32 depth = 0;

	for (lex_next(&ahead, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&ahead, &t)) {
		if (t.kw == KW_COLUMNS && depth == 0 && before.kind == TOK_STRING)
			return true;
		if (t.kind == '(' && ++depth > AHEAD_DEPTH) {
			c->unseen = true;
			return false;
		}
		if (t.kind == ')' && depth-- == 0)
			break;
		before = t;
	}
	return false;
}

static void
call_effect(struct cls *c, enum fn_effect effect, u32 args)
{
	switch (effect) {
	case FX_PURE:
		break;
	case FX_TIME:
		c->facts_flags |= STMT_K_TIME;
		break;
	case FX_RANDOM:
		c->facts_flags |= STMT_K_RANDOM;
		break;
	case FX_SERVER:
		cls_deny(c, ROUTE_STATE);
		break;
	case FX_TAKE_LOCK:
		c->pins |= PIN(USER_LOCK);
		cls_deny(c, ROUTE_LOCKING);
		break;
	case FX_LOCK:
		cls_deny(c, ROUTE_LOCKING);
		break;
	case FX_SEQ:
		c->pins |= PIN(SEQUENCE);
		cls_deny(c, ROUTE_WRITE);
		break;
	case FX_SEQ_LAST:
		cls_deny(c, ROUTE_STATE);
		break;
	case FX_INSERT_ID:
		cls_deny(c, ROUTE_STATE);
		if (args == 0)
			c->flags |= STMT_F_INSERT_ID;
		else if (c->kind != STMT_INSERT && c->kind != STMT_UPDATE &&
			 c->kind != STMT_REPLACE)
			leaves_insert_id(c); /* only the OK of these three tells it */
		break;
	case FX_FOUND_ROWS:
		c->flags |= STMT_F_FOUND_ROWS;
		cls_deny(c, ROUTE_STATE);
		break;
	case FX_ROW_COUNT:
		c->flags |= STMT_F_DIAG;
		cls_deny(c, ROUTE_STATE);
		break;
	case FX_CONN_ID: /* once told, it must stay true */
		c->pins |= PIN(CONN_ID);
		c->flags |= STMT_F_SESSION_FN;
		cls_deny(c, ROUTE_STATE);
		break;
	case FX_CONN:
		c->flags |= STMT_F_SESSION_FN;
		cls_deny(c, ROUTE_STATE);
		break;
	}
}

bool
call_builtin(struct cls *c, const struct word *w, bool tight, u32 args)
{
	bool own = false;

	switch ((enum fn_form)w->form) {
	case FN_ANY:
		own = true;
		break;
	case FN_TIGHT:
		own = tight;
		break;
	case FN_SOME:
		own = args > 0;
		break;
	case FN_TWO:
		own = args == 2;
		break;
	case FN_NONE:
		break;
	}
	if (own)
		call_effect(c, w->effect, args);
	return own;
}

static bool
is_select_option(enum kw kw)
{
	return kw == KW_SQL_CACHE || kw == KW_SQL_NO_CACHE || kw == KW_SQL_BUFFER_RESULT;
}

/* A parenthesis behind a name or keyword: a function call, unless it is grammar. */
static void
on_call(struct cls *c)
{
	struct tok *name = cls_prev(c, 1), *before = cls_prev(c, 2);
	const struct word *w = name->word;

	if (before->kind != '.') {
		if (name->kind == TOK_QUOTED) {
			struct slice s = tok_name(&c->l, name);

			w = word_find(s.p, s.len, c->l.end);
			if (w && w->form == FN_NONE)
				w = NULL; /* `in`(1): quoted, no keyword */
		}
		if (w && w->form != FN_NONE &&
		    call_builtin(c, w, name->kind == TOK_WORD && name->off + name->len == cls_tok(c)->off,
			w->form == FN_ANY && w->effect != FX_INSERT_ID ? 1 : count_args(c)))
			return;
		if (name->word && name->word->class != WORD_PLAIN && name->word->form == FN_NONE)
			return;
		if (before->kw == KW_AS && c->flags & STMT_F_DML) /* VALUES (1,2) AS new(a,b): no call follows AS */
			return;
		if (name->kw == KW_COLUMNS && before->kind == TOK_STRING)
			return;
		if (name->kw == KW_AGAINST && before->kind == ')')
			return;
		if (before->kw == KW_SELECT && is_select_option(name->kw))
			return;
		if (name->kw == KW_JSON_TABLE && is_json_table(c))
			return;
		if (c->with && is_cte(c))
			return;
	}
	c->pins |= PIN(ROUTINE);
	cls_deny(c, ROUTE_FUNCTION);
}

static void
on_user_var(struct cls *c)
{
	c->flags |= STMT_F_USER_VAR;
	if (c->into || c->kind == STMT_LOAD) /* LOAD DATA ... (@v) */
		c->pins |= PIN(USER_VAR);
	cls_deny(c, ROUTE_STATE);
}

static void
on_assign(struct cls *c)
{
	c->pins |= PIN(USER_VAR);
	cls_deny(c, ROUTE_STATE);
}

static inline void
on_token(struct cls *c, struct tok *t)
{
	switch (t->kind) {
	case TOK_WORD:
		if (t->kw != NO_KW) {
			if (unlikely(acts[t->kw]))
				on_keyword(c, t);
		} else if (t->after_point && t->len == 7) {
			name_after_point(c, tok_name(&c->l, t));
		}
		break;
	case TOK_QUOTED:
		if (t->len == 9 && cls_prev(c, 1)->kind == '.')
			name_after_point(c, tok_name(&c->l, t));
		break;
	case '(': {
		u8 k = cls_prev(c, 1)->kind;

		c->depth++;
		if (c->calls &&
		    (k == TOK_WORD || k == TOK_QUOTED || k == TOK_INT || k == TOK_FLOAT))
			on_call(c);
		break;
	}
	case ',': /* LIMIT offset, count */
		if (cls_prev(c, 2)->kind == TOK_WORD && cls_prev(c, 2)->kw == KW_LIMIT)
			c->flags |= STMT_F_OFFSET;
		break;
	case ')':
		c->depth -= c->depth > 0;
		break;
	case '.':
		on_point(c);
		break;
	case TOK_USER_VAR:
		on_user_var(c);
		break;
	case TOK_SYSTEM_VAR:
		system_var(c, tok_name(&c->l, t), c->l);
		break;
	case TOK_ASSIGN:
		on_assign(c);
		break;
	default:
		break;
	}
}

void
scan_rest(struct cls *c)
{
	struct tok *t = cls_tok(c);

	while (t->kind != TOK_END && t->kind != ';' && t->kind != TOK_BAD) {
		on_token(c, t);
		t = cls_next(c);
	}
}

/* Would this token have kept the statement from being a read, had its tree shown it? Some grammar is stepped over by the parser:
 * types, hints, frames of windows. The server finds nothing of this kind there, or an error. */
static bool
denies(const struct cls *c, const struct tok *t)
{
	struct lex ahead = c->l;
	struct tok next;

	switch ((enum act)acts[t->kw]) {
	case ACT_INTO:
	case ACT_LOCK:
	case ACT_SHARE:
	case ACT_UPDATE:
	case ACT_PROCEDURE:
	case ACT_CALC_ROWS:
	case ACT_KILL:
	case ACT_RETURNING:
		return t->word->class == WORD_RESERVED || t->kw == KW_LOCK;
	case ACT_DML:
		lex_next(&ahead, &next);
		return next.kind != '(';
	default:
		return t->kind == TOK_USER_VAR || t->kind == TOK_SYSTEM_VAR || t->kind == TOK_ASSIGN;
	}
}

void
scan_words(struct cls *c, u32 end)
{
	for (; !cls_at_end(c) && cls_tok(c)->off < end; cls_next(c)) {
		enum kw kw = cls_tok(c)->kw;

		if (acts[kw] == ACT_SECRET || (acts[kw] == ACT_CONNECTION && c->kind == STMT_DDL))
			c->flags |= STMT_F_SECRET;
		c->unseen |= c->why == ROUTE_NONE && denies(c, cls_tok(c));
	}
}

void
scan_until(struct cls *c, enum kw stop, u8 stop_kind)
{
	for (c->depth = 0; !cls_at_end(c); cls_next(c)) {
		if (c->depth == 0 &&
		    (cls_tok(c)->kind == stop_kind || (stop != NO_KW && cls_tok(c)->kw == stop)))
			return;
		on_token(c, cls_tok(c));
	}
}

void
scan_definition(struct cls *c)
{
	u32 nest = 0;
	bool kill = false;

	for (; cls_tok(c)->kind != TOK_END && cls_tok(c)->kind != TOK_BAD; cls_next(c)) {
		switch (cls_tok(c)->kw) {
		case KW_BEGIN:
		case KW_CASE:
			/* END CASE closes one and opens none */
			nest += cls_prev(c, 1)->kw != KW_END;
			break;
		case KW_END: { /* END IF, END LOOP, ... close what was not counted */
			struct lex ahead = c->l;
			struct tok t;

			lex_next(&ahead, &t);
			if (t.kw != KW_IF && t.kw != KW_LOOP && t.kw != KW_WHILE &&
			    t.kw != KW_REPEAT && t.kw != KW_FOR)
				nest -= nest > 0;
			break;
		}
		case KW_KILL:
			kill = true;
			break;
		default:
			if (acts[cls_tok(c)->kw] == ACT_SECRET)
				c->flags |= STMT_F_SECRET;
			if (cls_tok(c)->kind == ';' && nest == 0)
				return;
		}
	}
	if (nest) { /* BEGIN may have been a mere name, and other statements may have gone by */
		cls_doubt(c);
		c->kill |= kill;
	}
}
