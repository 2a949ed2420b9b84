/* parser/verbs.c: statements by their first keyword. Pure.
 * A handler is called behind the verb and reads to the end of the statement; the table at the end
 * holds what the verb alone tells.
 */
#include "parser/cls.h"

#define F_DDL (STMT_F_ENDS_TRX | STMT_F_IMPLICIT_COMMIT)

/* What is left of the statement: its tree, or its tokens. */
static void
rest(struct cls *c)
{
	const struct ast *n = c->node;

	if (n == NULL) {
		scan_rest(c);
		return;
	}
	tree_statement(c, n);
	scan_words(c, n->off + n->len);
}

static void
v_select(struct cls *c)
{
	c->with |= cls_prev(c, 1)->kw == KW_WITH;
	rest(c);
}

/* name, schema.name: stepped over, so that a list of columns behind it is not taken for a call. */
static void
skip_table_name(struct cls *c)
{
	struct tok *t = cls_tok(c);

	while ((tok_is_name(t) || t->after_point) && !cls_at_end(c)) {
		t = cls_next(c);
		if (t->kind != '.')
			break;
		t = cls_next(c);
	}
	if (t->kind == '(') {
		c->depth++;
		cls_next(c);
	}
}

static void
v_insert(struct cls *c)
{
	while (cls_skip(c, KW_LOW_PRIORITY) || cls_skip(c, KW_HIGH_PRIORITY) ||
	       cls_skip(c, KW_DELAYED) || cls_skip(c, KW_IGNORE) || cls_skip(c, KW_INTO))
		;
	if (c->node == NULL)
		skip_table_name(c);
	rest(c);
}

static void
v_load(struct cls *c)
{
	if (cls_tok(c)->kw == KW_INDEX) { /* LOAD INDEX INTO CACHE */
		c->kind = STMT_DDL;
		c->flags = (c->flags & ~STMT_F_DML) | F_DDL;
		scan_definition(c);
		return;
	}
	for (; !cls_at_end(c) && cls_tok(c)->kw != KW_TABLE; cls_next(c))
		if (cls_tok(c)->kw == KW_LOCAL)
			c->flags |= STMT_F_LOCAL_FILE;
	if (cls_skip(c, KW_TABLE) && c->node == NULL)
		skip_table_name(c);
	rest(c);
}

static void
v_do(struct cls *c)
{
	rest(c);
	cls_deny(c, ROUTE_WRITE);
}

static bool
is_dml_verb(const struct tok *t)
{
	return t->kw == KW_INSERT || t->kw == KW_REPLACE || t->kw == KW_UPDATE ||
	       t->kw == KW_DELETE;
}

static void
explain(struct cls *c, bool runs)
{
	const struct ast *of = c->node != NULL && c->node->first != NULL && c->node->first->kind != AST_TABLE ? c->node->first : NULL;
	struct tok *t;

	while (cls_skip(c, KW_EXTENDED) || cls_skip(c, KW_PARTITIONS) ||
	       cls_tok(c)->kw == KW_ANALYZE || cls_tok(c)->kw == KW_FORMAT) {
		if (cls_skip(c, KW_ANALYZE))
			runs = true;
		if (cls_skip(c, KW_FORMAT) && cls_tok(c)->kind == '=') {
			cls_next(c);
			cls_next(c);
		}
	}
	t = cls_tok(c);
	if (runs && is_dml_verb(t))
		c->why = ROUTE_WRITE;
	if (is_dml_verb(t) || t->kw == KW_SELECT || t->kw == KW_VALUES || t->kw == KW_WITH ||
	    t->kind == '(')
		verb_statement(c, of);
	else
		rest(c);
	c->kind = STMT_EXPLAIN;
	if (!runs)
		c->flags &= ~STMT_F_DML;
}

static void
v_explain(struct cls *c)
{
	explain(c, false);
}

static void
v_analyze(struct cls *c)
{
	enum kw kw = cls_tok(c)->kw;

	if (kw == KW_TABLE || kw == KW_TABLES || kw == KW_LOCAL || kw == KW_NO_WRITE_TO_BINLOG) {
		c->kind = STMT_DDL;
		c->why = ROUTE_WRITE;
		c->flags |= F_DDL;
		scan_definition(c);
		return;
	}
	explain(c, true);
}

static void
v_show(struct cls *c)
{
	bool full = cls_skip(c, KW_FULL);

	if (cls_skip(c, KW_PROCESSLIST)) {
		if (cls_at_end(c)) {
			c->kind = STMT_PROCESSLIST;
			c->flags |= full ? STMT_F_FULL : 0;
		}
	} else if (cls_tok(c)->kw == KW_WARNINGS || cls_tok(c)->kw == KW_ERRORS) {
		c->flags |= STMT_F_DIAG;
	} else if (tok_is_name(cls_tok(c)) && name_is(tok_name(&c->l, cls_tok(c)), "count")) {
		c->flags |= STMT_F_DIAG; /* SHOW COUNT(*) WARNINGS */
	}
	if (c->node == NULL) {
		scan_rest(c);
		return;
	}
	tree_statement(c, c->node);
	for (; !cls_at_end(c); cls_next(c))
		if (cls_tok(c)->kw == KW_FROM)
			c->flags |= STMT_F_TABLES;
}

static void
v_begin(struct cls *c)
{
	cls_skip(c, KW_WORK);
	if (cls_at_end(c))
		return;
	/* BEGIN NOT ATOMIC ...: a compound statement */
	c->kind = STMT_OTHER;
	c->flags &= ~(u32)F_DDL;
	c->pins = (c->pins & ~PIN(TRX)) | PIN(ROUTINE);
	cls_doubt(c);
	scan_rest(c);
}

static void
v_start(struct cls *c)
{
	if (!cls_skip(c, KW_TRANSACTION)) { /* START SLAVE */
		c->kind = STMT_OTHER;
		c->why = ROUTE_WRITE;
		c->pins &= ~PIN(TRX);
		scan_definition(c);
		return;
	}
	for (; !cls_at_end(c); cls_next(c))
		if (cls_tok(c)->kw == KW_ONLY && cls_prev(c, 1)->kw == KW_READ)
			c->flags |= STMT_F_TRX_RO;
}

/* Behind COMMIT or ROLLBACK: [WORK] [TO [SAVEPOINT] name | [AND [NO] CHAIN] [[NO] RELEASE]] */
static void
v_commit(struct cls *c)
{
	cls_skip(c, KW_WORK);
	if (cls_tok(c)->kw == KW_TO) {
		c->kind = STMT_SAVEPOINT;
		c->flags &= ~STMT_F_ENDS_TRX;
		scan_rest(c);
		return;
	}
	for (; !cls_at_end(c); cls_next(c)) {
		if (cls_prev(c, 1)->kw == KW_NO)
			continue;
		if (cls_tok(c)->kw == KW_CHAIN) {
			c->flags |= STMT_F_CHAIN;
			c->pins |= PIN(TRX);
		} else if (cls_tok(c)->kw == KW_RELEASE) {
			c->flags |= STMT_F_RELEASE;
		}
	}
}

static void
v_xa(struct cls *c)
{
	enum kw kw = cls_tok(c)->kw;

	if (kw == KW_COMMIT || kw == KW_ROLLBACK)
		c->flags |= STMT_F_ENDS_TRX;
	else if (kw != KW_RECOVER)
		c->pins |= PIN(XA);
	scan_rest(c);
}

static void
v_lock(struct cls *c)
{
	enum kw kw = cls_tok(c)->kw;

	if (kw != KW_TABLE &&
	    kw != KW_TABLES) /* LOCK INSTANCE FOR BACKUP; UNLOCK TABLES does not end it */
		cls_doubt(c);
	scan_rest(c);
}

static void
v_unlock(struct cls *c)
{
	if (cls_tok(c)->kw != KW_TABLE && cls_tok(c)->kw != KW_TABLES)
		c->kind = STMT_OTHER;
	scan_rest(c);
}

static void
v_flush(struct cls *c)
{
	for (; !cls_at_end(c); cls_next(c)) {
		enum kw kw = cls_tok(c)->kw, before = cls_prev(c, 1)->kw;

		if ((kw == KW_LOCK && before == KW_READ) || (kw == KW_EXPORT && before == KW_FOR)) {
			c->kind = STMT_LOCK;
			c->why = ROUTE_LOCKING;
			c->pins |= PIN(LOCK_TABLES);
		}
		if (tok_is_name(cls_tok(c)) && name_is(tok_name(&c->l, cls_tok(c)), "privileges"))
			c->flags |= STMT_F_DEFAULTS;
	}
}

static bool
is_definer_object(enum kw kw)
{
	return kw == KW_EVENT || kw == KW_PROCEDURE || kw == KW_FUNCTION || kw == KW_TRIGGER ||
	       kw == KW_VIEW;
}

static void
v_create(struct cls *c)
{
	if (cls_skip(c, KW_OR))
		cls_skip(c, KW_REPLACE);
	if (cls_skip(c, KW_TEMPORARY)) {
		c->flags = (c->flags | STMT_F_TEMP) & ~(u32)F_DDL;
		c->pins |= PIN(TEMP_TABLE);
	}
	if (cls_skip(c, KW_DEFINER))
		while (!cls_at_end(c) && !is_definer_object(cls_tok(c)->kw))
			cls_next(c);
	switch (cls_tok(c)->kw) {
	case KW_TABLE:
		c->select_calls = true; /* CREATE TABLE ... SELECT f(x) calls f now */
		c->calls = false;
		rest(c);
		return;
	case KW_EVENT: /* ON SCHEDULE AT expression is computed now */
		c->pins |= PIN(ROUTINE);
		break;
	case KW_USER:
		c->flags |= STMT_F_SECRET | STMT_F_DEFAULTS;
		break;
	case KW_ROLE:
		c->flags |= STMT_F_DEFAULTS;
		break;
	case KW_SERVER:
		c->flags |= STMT_F_SECRET;
		break;
	default:
		break;
	}
	scan_definition(c);
}

static void
v_alter(struct cls *c)
{
	if (cls_tok(c)->kw == KW_USER || cls_tok(c)->kw == KW_SERVER)
		c->flags |= STMT_F_SECRET;
	if (cls_tok(c)->kw == KW_USER)
		c->flags |= STMT_F_DEFAULTS;
	if (cls_tok(c)->kw == KW_EVENT)
		c->pins |= PIN(ROUTINE);
	scan_definition(c);
}

static void
v_rename(struct cls *c)
{
	if (cls_tok(c)->kw == KW_USER)
		c->flags |= STMT_F_DEFAULTS;
	scan_definition(c);
}

static void
v_drop(struct cls *c)
{
	if (cls_tok(c)->kw == KW_PREPARE) {
		c->kind = STMT_DEALLOCATE;
		c->why = ROUTE_STATE;
		c->flags &= ~(u32)F_DDL;
	} else if (cls_tok(c)->kw == KW_TEMPORARY) {
		c->flags = (c->flags | STMT_F_TEMP) & ~(u32)F_DDL;
	} else if (cls_tok(c)->kw == KW_USER || cls_tok(c)->kw == KW_ROLE) {
		c->flags |= STMT_F_DEFAULTS;
	}
	scan_definition(c);
}

/* PREPARE name FROM '..', EXECUTE IMMEDIATE '..': a KILL in the string is one as well. */
static void
look_into_string(struct cls *c)
{
	const struct tok *t = cls_tok(c);
	struct lex l;
	struct tok in;

	if (t->kind != TOK_STRING || t->len < 2)
		return;
	lex_init(&l, c->l.text + t->off + 1, t->len - 2, c->l.mode);
	do {
		lex_next(&l, &in);
		c->kill |= in.kw == KW_KILL;
	} while (in.kind != TOK_END && in.kind != TOK_BAD);
}

static void
v_execute(struct cls *c)
{
	if (cls_skip(c, KW_IMMEDIATE))
		look_into_string(c);
	else
		c->pins |= PIN(TEXT_PS);
	rest(c);
}

static void
v_prepare(struct cls *c)
{
	while (!cls_at_end(c) && !cls_skip(c, KW_FROM))
		cls_next(c);
	look_into_string(c);
	rest(c);
}

static void
v_get(struct cls *c) /* GET DIAGNOSTICS @a = NUMBER */
{
	c->into = true;
	scan_rest(c);
}

static void
v_use(struct cls *c)
{
	struct tok *t = cls_tok(c);
	u32 off = t->off, len = t->len;

	if (!tok_is_name(t)) {
		c->kind = STMT_OTHER;
		cls_doubt(c);
		scan_rest(c);
		return;
	}
	cls_next(c);
	if (!cls_at_end(c)) {
		c->kind = STMT_OTHER;
		cls_doubt(c);
		scan_rest(c);
		return;
	}
	c->arg_off = off;
	c->arg_len = len;
}

/* The decimal number of a TOK_INT; false if it does not fit. */
static bool
tok_number(struct cls *c, const struct tok *t, u64 *num_r)
{
	const u8 *p = c->l.text + t->off;
	u32 i;

	for (*num_r = 0, i = 0; i < t->len; i++)
		if (__builtin_mul_overflow(*num_r, 10, num_r) ||
		    __builtin_add_overflow(*num_r, p[i] - '0', num_r))
			return false;
	return true;
}

static void
v_kill(struct cls *c)
{
	struct tok t;

	c->kill = true;
	if (cls_skip(c, KW_SOFT))
		c->flags |= STMT_F_KILL_SOFT;
	else
		cls_skip(c, KW_HARD);
	if (cls_skip(c, KW_QUERY))
		c->flags |= STMT_F_KILL_QUERY;
	else
		cls_skip(c, KW_CONNECTION);
	t = *cls_tok(c);
	c->arg_off = t.off;
	if (t.kind == TOK_INT && tok_number(c, &t, &c->num)) {
		cls_next(c);
		c->kill_plain = cls_at_end(c);
	}
	if (!cls_at_end(c)) {
		scan_rest(c);
		c->arg_len = cls_prev(c, 1)->off + cls_prev(c, 1)->len - c->arg_off;
	}
	if (c->kill_plain)
		c->arg_off = c->arg_len = 0;
	else
		c->num = 0;
}

static bool
is_scope(const struct tok *t, bool *global_r)
{
	*global_r = t->kw == KW_GLOBAL;
	return t->kw == KW_GLOBAL || t->kw == KW_SESSION || t->kw == KW_LOCAL;
}

static void
set_global(struct cls *c)
{
	c->why = ROUTE_WRITE;
	c->flags |= STMT_F_DEFAULTS;
}

/* The target of an assignment in SET, and the = behind it. */
static void
set_target(struct cls *c)
{
	struct tok *t = cls_tok(c);
	bool global = false, at_at = t->kind == TOK_SYSTEM_VAR;
	struct slice name = tok_name(&c->l, t);
	bool scoped =
	    at_at ? name_is(name, "global") || name_is(name, "session") || name_is(name, "local")
		  : is_scope(t, &global);

	if (t->kind == TOK_USER_VAR) {
		c->flags |= STMT_F_USER_VAR;
		c->pins |= PIN(USER_VAR);
		cls_next(c);
		return;
	}
	if (!at_at && (name_is(name, "persist") || name_is(name, "persist_only")))
		global = scoped = true;
	if (at_at && scoped)
		global = name_is(name, "global");
	if (scoped) {
		t = cls_next(c);
		if (t->kind == '.')
			t = cls_next(c);
		name = tok_name(&c->l, t);
	}
	if (global)
		set_global(c);
	else if (t->kind == TOK_WORD || t->kind == TOK_QUOTED || t->kind == TOK_SYSTEM_VAR)
		sysvar_set(c, name, at_at && !scoped);
	if (!cls_at_end(c))
		cls_next(c);
}

/* NAMES utf8 [COLLATE x], CHARACTER SET x, CHARSET x: the collation that they set is not reported
 * (measured). */
static bool
set_charset(struct cls *c)
{
	enum kw kw = cls_tok(c)->kw;

	if (kw != KW_NAMES && kw != KW_CHARACTER && kw != KW_CHAR && kw != KW_CHARSET)
		return false;
	if (kw != KW_NAMES)
		c->pins |= PIN(SYSVAR);
	for (; !cls_at_end(c) && cls_tok(c)->kind != ','; cls_next(c))
		if (cls_tok(c)->kw == KW_COLLATE)
			c->pins |= PIN(SYSVAR);
	return true;
}

/* The value of the assignment that began at `off`, and what is left of it. */
static void
set_value(struct cls *c, u32 off)
{
	const struct ast *a = c->node != NULL ? c->node->first : NULL;

	while (a != NULL && a->off != off)
		a = a->next;
	if (cls_tok(c)->kind == TOK_ASSIGN)
		cls_next(c);
	if (a != NULL && a->first != NULL && a->first->next != NULL) {
		tree_look(c, a->first->next);
		scan_words(c, a->off + a->len);
	} else {
		scan_until(c, NO_KW, ',');
	}
}

static void
set_list(struct cls *c)
{
	for (; !cls_at_end(c); cls_next(c)) {
		if (!set_charset(c)) {
			u32 off = cls_tok(c)->off;

			set_target(c);
			set_value(c, off);
		}
		if (cls_at_end(c))
			break;
	}
}

/* SET STATEMENT a=1, b=2 FOR statement: the trackers report the values that held for the statement
 * (measured). */
static void
set_statement(struct cls *c)
{
	const struct ast *of = c->node != NULL ? c->node->last : NULL;

	if (of != NULL) {
		for (const struct ast *a = c->node->first; a != of; a = a->next)
			if (a->first != NULL && a->first->next != NULL)
				tree_look(c, a->first->next);
		while (!cls_at_end(c) && cls_tok(c)->kw != KW_FOR)
			cls_next(c);
	} else {
		scan_until(c, KW_FOR, TOK_END);
	}
	/* one within another without a tree, whose depth is limited: not followed any further, as each takes stack */
	bool again = of == NULL && (c->flags & STMT_F_SET_STATEMENT) != 0;

	c->pins |= PIN(UNKNOWN);
	c->flags |= STMT_F_SET_STATEMENT;
	if (!again && cls_skip(c, KW_FOR))
		verb_statement(c, of);
	else
		cls_doubt(c);
	if (again)
		scan_rest(c);
}

static void
set_write(struct cls *c, u32 flags)
{
	c->why = ROUTE_WRITE;
	c->flags |= F_DDL | flags;
	scan_rest(c);
}

static void
v_set(struct cls *c)
{
	struct lex ahead = c->l;
	struct tok next;
	bool global;

	lex_next(&ahead, &next);
	switch (cls_tok(c)->kw) {
	case KW_STATEMENT:
		cls_next(c);
		set_statement(c);
		return;
	case KW_PASSWORD:
		set_write(c, STMT_F_SECRET | STMT_F_DEFAULTS);
		return;
	case KW_DEFAULT: /* SET DEFAULT ROLE */
		set_write(c, STMT_F_DEFAULTS);
		return;
	case KW_ROLE:
		c->pins |= PIN(STATE_CHANGE);
		scan_rest(c);
		return;
	case KW_TRANSACTION:
		c->kind = STMT_SET_TRX;
		c->why = ROUTE_TRX;
		c->pins |= PIN(NEXT_TRX);
		scan_rest(c);
		return;
	default:
		break;
	}
	if (is_scope(cls_tok(c), &global) && next.kw == KW_TRANSACTION) {
		if (global)
			set_global(c);
		scan_rest(c);
		return;
	}
	set_list(c);
}

struct verb {
	void (*run)(struct cls *c);
	enum stmt_kind kind;
	enum route_reason why;
	u64 pins;
	u32 flags;
};

#define TRX_END STMT_F_ENDS_TRX
static const struct verb verbs[KW_COUNT] = {
    [KW_SELECT] = {v_select, STMT_SELECT, ROUTE_NONE, 0, 0},
    [KW_VALUES] = {v_select, STMT_SELECT, ROUTE_NONE, 0, 0},
    [KW_TABLE] = {v_select, STMT_SELECT, ROUTE_NONE, 0, 0},
    [KW_WITH] = {v_select, STMT_SELECT, ROUTE_NONE, 0, 0},
    [KW_INSERT] = {v_insert, STMT_INSERT, ROUTE_WRITE, 0, STMT_F_DML},
    [KW_REPLACE] = {v_insert, STMT_REPLACE, ROUTE_WRITE, 0, STMT_F_DML},
    [KW_UPDATE] = {rest, STMT_UPDATE, ROUTE_WRITE, 0, STMT_F_DML},
    [KW_DELETE] = {rest, STMT_DELETE, ROUTE_WRITE, 0, STMT_F_DML},
    [KW_LOAD] = {v_load, STMT_LOAD, ROUTE_WRITE, 0, STMT_F_DML},
    [KW_CALL] = {rest, STMT_CALL, ROUTE_FUNCTION, PIN(ROUTINE), 0},
    [KW_DO] = {v_do, STMT_DO, ROUTE_NONE, 0, 0},
    [KW_SHOW] = {v_show, STMT_SHOW, ROUTE_STATE, 0, 0},
    [KW_EXPLAIN] = {v_explain, STMT_EXPLAIN, ROUTE_STATE, 0, 0},
    [KW_DESCRIBE] = {v_explain, STMT_EXPLAIN, ROUTE_STATE, 0, 0},
    [KW_DESC] = {v_explain, STMT_EXPLAIN, ROUTE_STATE, 0, 0},
    [KW_ANALYZE] = {v_analyze, STMT_EXPLAIN, ROUTE_STATE, 0, 0},
    [KW_SET] = {v_set, STMT_SET, ROUTE_STATE, 0, 0},
    [KW_USE] = {v_use, STMT_USE, ROUTE_STATE, 0, 0},
    [KW_BEGIN] = {v_begin, STMT_BEGIN, ROUTE_TRX, PIN(TRX), F_DDL},
    [KW_START] = {v_start, STMT_BEGIN, ROUTE_TRX, PIN(TRX), F_DDL},
    [KW_COMMIT] = {v_commit, STMT_COMMIT, ROUTE_TRX, 0, TRX_END},
    [KW_ROLLBACK] = {v_commit, STMT_ROLLBACK, ROUTE_TRX, 0, TRX_END},
    [KW_SAVEPOINT] = {scan_rest, STMT_SAVEPOINT, ROUTE_TRX, 0, 0},
    [KW_RELEASE] = {scan_rest, STMT_SAVEPOINT, ROUTE_TRX, 0, 0},
    [KW_XA] = {v_xa, STMT_XA, ROUTE_TRX, 0, 0},
    [KW_LOCK] = {v_lock, STMT_LOCK, ROUTE_LOCKING, PIN(LOCK_TABLES), F_DDL},
    [KW_UNLOCK] = {v_unlock, STMT_UNLOCK, ROUTE_LOCKING, 0, F_DDL},
    /* BACKUP LOCK and STAGE are not ended by UNLOCK TABLES: keep the connection for good */
    [KW_BACKUP] = {scan_rest, STMT_OTHER, ROUTE_LOCKING, PIN(LOCK_TABLES) | PIN(UNKNOWN), 0},
    [KW_FLUSH] = {v_flush, STMT_OTHER, ROUTE_WRITE, 0, F_DDL},
    [KW_PREPARE] = {v_prepare, STMT_PREPARE, ROUTE_STATE, PIN(TEXT_PS), 0},
    [KW_EXECUTE] = {v_execute, STMT_EXECUTE, ROUTE_FUNCTION, PIN(ROUTINE), 0},
    [KW_DEALLOCATE] = {scan_rest, STMT_DEALLOCATE, ROUTE_STATE, 0, 0},
    [KW_HANDLER] = {rest, STMT_HANDLER, ROUTE_STATE, PIN(HANDLER), 0},
    [KW_KILL] = {v_kill, STMT_KILL, ROUTE_WRITE, 0, 0},
    [KW_GET] = {v_get, STMT_OTHER, ROUTE_STATE, 0, STMT_F_DIAG},
    [KW_SIGNAL] = {scan_rest, STMT_OTHER, ROUTE_STATE, 0, 0},
    [KW_RESIGNAL] = {scan_rest, STMT_OTHER, ROUTE_STATE, 0, STMT_F_DIAG},
    [KW_HELP] = {scan_definition, STMT_OTHER, ROUTE_STATE, 0, 0},
    [KW_CREATE] = {v_create, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_ALTER] = {v_alter, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_DROP] = {v_drop, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_RENAME] = {v_rename, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_TRUNCATE] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_GRANT] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL | STMT_F_SECRET | STMT_F_DEFAULTS},
    [KW_REVOKE] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL | STMT_F_DEFAULTS},
    [KW_OPTIMIZE] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_REPAIR] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_CHECK] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_CACHE] = {scan_definition, STMT_DDL, ROUTE_WRITE, 0, F_DDL},
    [KW_CHECKSUM] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, 0},
    [KW_INSTALL] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, F_DDL},
    [KW_UNINSTALL] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, F_DDL},
    [KW_RESET] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, F_DDL},
    [KW_PURGE] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, 0},
    [KW_CHANGE] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, F_DDL | STMT_F_SECRET},
    [KW_STOP] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, F_DDL},
    [KW_SHUTDOWN] = {scan_definition, STMT_OTHER, ROUTE_WRITE, 0, 0},
    [KW_BINLOG] = {scan_definition, STMT_OTHER, ROUTE_WRITE, PIN(UNKNOWN), 0},
};

/* Is this kind of statement read off its tree? */
static bool
by_tree(const struct ast *n)
{
	switch (n->kind) {
	case AST_QUERY: case AST_INSERT: case AST_UPDATE: case AST_DELETE: case AST_LOAD: case AST_CALL: case AST_DO:
	case AST_SET: case AST_SET_STMT: case AST_SHOW: case AST_EXPLAIN: case AST_HANDLER: case AST_PREPARE:
	case AST_EXECUTE: case AST_CREATE_TABLE:
		return true;
	default:
		return false;
	}
}

void
verb_statement(struct cls *c, const struct ast *n)
{
	const struct verb *v;
	bool parens = false;
	u32 depth = 0;
	enum kw kw;

	for (; cls_tok(c)->kind == '('; cls_next(c), depth++)
		parens = true;
	c->depth = depth;
	kw = cls_tok(c)->kw;
	if (n != NULL && kw == KW_WITH && n->kind != AST_QUERY)
		kw = n->kind == AST_UPDATE ? KW_UPDATE : KW_DELETE;
	v = &verbs[kw];
	if (!v->run || (parens && v->run != v_select)) {
		c->kind = STMT_OTHER;
		cls_doubt(c);
		scan_rest(c);
		return;
	}
	c->node = n != NULL && by_tree(n) ? n : NULL;
	c->kind = v->kind;
	c->flags |= v->flags;
	c->pins |= v->pins;
	if (v->why != ROUTE_NONE)
		cls_deny(c, v->why);
	cls_next(c);
	v->run(c);
	if (n != NULL && !by_tree(n))
		tree_tables(c, n);
	if (n != NULL && n->kind == AST_OTHER)
		c->facts->flags &= ~STMT_K_WHOLE;
}
