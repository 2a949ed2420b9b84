/* parser/ast_stmt.c: a statement by its first keyword; SET, SHOW, EXPLAIN, HANDLER, PREPARE and the other small ones. Pure. */
#include "parser/parse.h"

struct ast *
parse_other(struct parse *p)
{
	struct ast *n = node_new(p, AST_OTHER);

	n->op = p->t.kw;
	/* the body of a routine has semicolons of its own: it is the rest of the text */
	bool body = at_kw(p, KW_PROCEDURE) || at_kw(p, KW_FUNCTION) || at_kw(p, KW_TRIGGER) || at_kw(p, KW_EVENT) ||
	    at_kw(p, KW_PACKAGE) || at_kw(p, KW_BEGIN) || at_kw(p, KW_IF) || at_kw(p, KW_CASE) || at_kw(p, KW_LOOP) ||
	    at_kw(p, KW_REPEAT) || at_kw(p, KW_WHILE) || at_kw(p, KW_FOR) || at_kw(p, KW_DECLARE) || n->op == NO_KW;

	p->semicolons = body;
	while (!at(p, TOK_END) && (body || !at(p, ';')))
		parse_next(p);
	p->semicolons = false;
	return node_end(p, n);
}

static struct ast *
rest(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	n->op = p->t.kw;
	parse_skip(p, ';', ';');
	while (!at_stmt_end(p)) /* a ) too many is the server's to tell */
		parse_next(p);
	return node_end(p, n);
}

/* ---- SET ---- */

/* [GLOBAL | SESSION | LOCAL] name, @@[scope.]name, @name = value */
static struct ast *
assignment(struct parse *p)
{
	struct ast *n = node_new(p, AST_ASSIGN);

	if (at_kw(p, KW_GLOBAL) || at_kw(p, KW_SESSION) || at_kw(p, KW_LOCAL)) {
		n->flags = at_kw(p, KW_GLOBAL) ? AST_GLOBAL : 0;
		parse_next(p);
	} else if ((at_word(p, "persist") || at_word(p, "persist_only")) && tok_names(parse_ahead(p))) { /* MySQL 8 */
		n->flags = AST_GLOBAL;
		parse_next(p);
	}
	if (at(p, TOK_USER_VAR)) {
		node_add(n, node_token(p, AST_USER_VAR));
	} else if (at(p, TOK_SYSTEM_VAR)) {
		node_add(n, parse_system_var(p));
	} else if (at_kw(p, KW_DEFAULT)) { /* a key cache called DEFAULT */
		parse_next(p);
		parse_want(p, '.', ".");
		node_add(n, parse_ref(p));
	} else {
		node_add(n, parse_ref(p));
	}
	if (!skip(p, '='))
		parse_want(p, TOK_ASSIGN, "=");
	switch (p->t.kw) {
	case KW_ON: case KW_ALL: case KW_BINARY: case KW_ROW: case KW_SYSTEM: case KW_DEFAULT:
		if (parse_ahead(p)->kind != '(' && (parse_ahead(p)->kind == ',' || parse_ahead(p)->kind == TOK_END ||
		    parse_ahead(p)->kind == ';' || ahead_kw(p, KW_FOR))) {
			node_add(n, node_token(p, AST_NAME));
			return node_end(p, n);
		}
		break;
	default:
		break;
	}
	node_add(n, parse_expr(p));
	return node_end(p, n);
}

static struct ast *
set_statement(struct parse *p, u32 off)
{
	struct ast *n = node_new(p, AST_SET_STMT);

	n->off = off;
	parse_next(p);
	while (!at_kw(p, KW_FOR) && !at_stmt_end(p)) {
		node_add(n, assignment(p));
		if (!skip(p, ','))
			break;
	}
	parse_want_kw(p, KW_FOR, "FOR");
	parse_down(p);
	node_add(n, parse_statement(p));
	parse_up(p);
	return node_end(p, n);
}

static struct ast *
set(struct parse *p)
{
	struct ast *n = node_new(p, AST_SET);
	u32 off = p->t.off;

	parse_next(p);
	if (at_kw(p, KW_STATEMENT) && parse_ahead(p)->kind != '=')
		return set_statement(p, off);
	do {
		enum kw kw = p->t.kw;
		u8 ahead = parse_ahead(p)->kind;

		if ((kw == KW_NAMES || kw == KW_CHARACTER || kw == KW_CHARSET || kw == KW_PASSWORD || kw == KW_ROLE ||
		        kw == KW_TRANSACTION || (kw == KW_DEFAULT && ahead_kw(p, KW_ROLE)) ||
		        ((kw == KW_SESSION || kw == KW_GLOBAL || kw == KW_LOCAL) && ahead_kw(p, KW_TRANSACTION))) &&
		    (ahead != '=' || kw == KW_PASSWORD) && ahead != TOK_ASSIGN && ahead != '.') {
			n->op = kw;
			while (!at(p, ',') && !at_stmt_end(p)) {
				if (skip(p, '(')) {
					parse_skip(p, ')', ')');
					parse_want(p, ')', ")");
					continue;
				}
				if (kw == KW_TRANSACTION || kw == KW_SESSION || kw == KW_GLOBAL || kw == KW_LOCAL) {
					parse_skip(p, ';', ';');
					break;
				}
				parse_next(p);
			}
			continue;
		}
		node_add(n, assignment(p));
	} while (skip(p, ','));
	return node_end(p, n);
}

/* ---- SHOW, EXPLAIN ---- */

static struct ast *
show(struct parse *p)
{
	struct ast *n = node_new(p, AST_SHOW);

	parse_next(p);
	n->op = p->t.kw;
	while (!at_stmt_end(p) && !at_kw(p, KW_WHERE)) {
		if ((at_kw(p, KW_FROM) || at_kw(p, KW_IN) || at_kw(p, KW_TABLE)) && tok_names(parse_ahead(p)) &&
		    !ahead_kw(p, KW_STATUS)) {
			parse_next(p);
			node_add(n, parse_table(p, false));
			continue;
		}
		parse_next(p);
	}
	if (at_kw(p, KW_WHERE))
		node_add(n, parse_clause(p, AST_WHERE));
	if (!at_stmt_end(p))
		parse_skip(p, ';', ';');
	return node_end(p, n);
}

static bool
explains(const struct parse *p)
{
	switch (p->t.kw) {
	case KW_SELECT: case KW_WITH: case KW_VALUES: case KW_INSERT: case KW_REPLACE: case KW_UPDATE: case KW_DELETE:
	case KW_TABLE:
		return true;
	default:
		return at(p, '(');
	}
}

static struct ast *
explain(struct parse *p)
{
	struct ast *n = node_new(p, AST_EXPLAIN);

	n->op = p->t.kw;
	parse_next(p);
	skip_kw(p, KW_ANALYZE); /* MySQL 8 */
	if (at_kw(p, KW_FORMAT) && parse_ahead(p)->kind == '=') {
		parse_next(p);
		parse_next(p);
		parse_next(p);
	} else if (at_kw(p, KW_EXTENDED) || at_kw(p, KW_PARTITIONS)) {
		parse_next(p);
		skip_kw(p, KW_ALL);
	}
	if (explains(p)) {
		parse_down(p);
		node_add(n, parse_statement(p));
		parse_up(p);
	} else if (at_kw(p, KW_FOR)) { /* CONNECTION */
		parse_skip(p, ';', ';');
	} else {
		node_add(n, parse_table(p, false));
		parse_skip(p, ';', ';');
	}
	return node_end(p, n);
}

/* ---- the others ---- */

static struct ast *
call(struct parse *p)
{
	struct ast *n = node_new(p, AST_CALL);

	parse_next(p);
	node_add(n, parse_ref(p));
	if (skip(p, '(')) {
		if (!at(p, ')'))
			parse_exprs(p, n);
		parse_want(p, ')', ")");
	}
	return node_end(p, n);
}

static struct ast *
do_exprs(struct parse *p)
{
	struct ast *n = node_new(p, AST_DO);

	parse_next(p);
	do {
		node_add(n, parse_expr(p));
		bool as = skip_kw(p, KW_AS);

		if (at_name(p) || at(p, TOK_STRING)) /* an alias, of no use */
			parse_next(p);
		else if (as)
			parse_fail(p, "a name");
	} while (skip(p, ','));
	return node_end(p, n);
}

static struct ast *
handler(struct parse *p)
{
	struct ast *n = node_new(p, AST_HANDLER);

	parse_next(p);
	node_add(n, parse_table(p, false));
	while (!at_kw(p, KW_WHERE) && !at_kw(p, KW_LIMIT) && !at_stmt_end(p))
		parse_next(p);
	if (at_kw(p, KW_WHERE))
		node_add(n, parse_clause(p, AST_WHERE));
	if (at_kw(p, KW_LIMIT))
		node_add(n, parse_limit(p));
	return node_end(p, n);
}

static struct ast *
lock_tables(struct parse *p)
{
	struct ast *n = node_new(p, AST_LOCK);

	parse_next(p);
	parse_next(p);
	do {
		struct ast *t = parse_table(p, false);

		if (at_kw(p, KW_AS) || at_name(p)) {
			node_add(t, parse_alias(p));
			node_end(p, t);
		}
		node_add(n, t);
		while (!at(p, ',') && !at_stmt_end(p))
			parse_next(p); /* READ LOCAL, WRITE, LOW_PRIORITY WRITE, WAIT n */
	} while (skip(p, ','));
	return node_end(p, n);
}

static struct ast *
prepare(struct parse *p)
{
	struct ast *n = node_new(p, AST_PREPARE);

	parse_next(p);
	node_add(n, parse_name(p));
	parse_want_kw(p, KW_FROM, "FROM");
	node_add(n, parse_expr(p));
	return node_end(p, n);
}

static struct ast *
execute(struct parse *p)
{
	struct ast *n = node_new(p, AST_EXECUTE);

	parse_next(p);
	if (skip_kw(p, KW_IMMEDIATE))
		node_add(n, parse_expr(p));
	else
		node_add(n, parse_name(p));
	if (skip_kw(p, KW_USING))
		parse_exprs(p, n);
	return node_end(p, n);
}

static struct ast *
one_name(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	parse_next(p);
	if (k == AST_DEALLOCATE)
		parse_want_kw(p, KW_PREPARE, "PREPARE");
	node_add(n, parse_name(p));
	return node_end(p, n);
}

/* ANALYZE, CHECK, OPTIMIZE, REPAIR, CHECKSUM, FLUSH: of tables or not. */
static struct ast *
admin(struct parse *p)
{
	enum kw next = parse_ahead(p)->kw;

	if (next == KW_TABLE || next == KW_TABLES)
		return parse_admin(p);
	if (next == KW_LOCAL || next == KW_NO_WRITE_TO_BINLOG) {
		struct lex l = p->l;
		struct tok t;

		lex_next(&l, &t);
		if (t.kw == KW_TABLE || t.kw == KW_TABLES)
			return parse_admin(p);
	}
	return at_kw(p, KW_ANALYZE) ? explain(p) : rest(p, AST_OTHER);
}

static bool
begins_block(struct parse *p)
{
	const struct tok *t = parse_ahead(p);

	return t->kind != TOK_END && t->kind != ';' && t->kw != KW_WORK;
}

struct ast *
parse_statement(struct parse *p)
{
	switch (p->t.kw) {
	case KW_SELECT: case KW_WITH: case KW_VALUES: case KW_TABLE: return parse_query(p);
	case KW_INSERT: case KW_REPLACE: return parse_insert(p);
	case KW_UPDATE: return parse_update(p);
	case KW_DELETE: return parse_delete(p);
	case KW_LOAD: return ahead_kw(p, KW_DATA) || ahead_kw(p, KW_XML) ? parse_load(p) : rest(p, AST_OTHER);
	case KW_CALL: return call(p);
	case KW_DO: return do_exprs(p);
	case KW_SET: return set(p);
	case KW_SHOW: return show(p);
	case KW_EXPLAIN: case KW_DESCRIBE: case KW_DESC: return explain(p);
	case KW_HANDLER: return handler(p);
	case KW_BEGIN: return begins_block(p) ? parse_other(p) : rest(p, AST_TRX);
	case KW_START: return rest(p, ahead_kw(p, KW_TRANSACTION) ? AST_TRX : AST_OTHER);
	case KW_COMMIT: case KW_ROLLBACK: case KW_SAVEPOINT: case KW_RELEASE: case KW_XA: return rest(p, AST_TRX);
	case KW_LOCK:
		return ahead_kw(p, KW_TABLE) || ahead_kw(p, KW_TABLES) ? lock_tables(p) : rest(p, AST_OTHER);
	case KW_UNLOCK: return rest(p, AST_UNLOCK);
	case KW_PREPARE: return prepare(p);
	case KW_EXECUTE: return execute(p);
	case KW_DEALLOCATE: return one_name(p, AST_DEALLOCATE);
	case KW_USE: return one_name(p, AST_USE);
	case KW_CREATE: return parse_create(p);
	case KW_ALTER: return parse_alter(p);
	case KW_DROP: return ahead_kw(p, KW_PREPARE) ? one_name(p, AST_DEALLOCATE) : parse_drop(p);
	case KW_TRUNCATE: return parse_truncate(p);
	case KW_RENAME: return parse_rename(p);
	case KW_ANALYZE: case KW_CHECK: case KW_OPTIMIZE: case KW_REPAIR: case KW_CHECKSUM: case KW_FLUSH: return admin(p);
	default:
		if (at_stmt_end(p))
			parse_fail(p, "a statement");
		return at(p, '(') ? parse_query(p) : parse_other(p);
	}
}
