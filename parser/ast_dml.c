/* parser/ast_dml.c: INSERT, REPLACE, UPDATE, DELETE, LOAD. Pure. */
#include "parser/parse.h"

static void
words_before(struct parse *p, struct ast *n)
{
	for (;;) {
		switch (p->t.kw) {
		case KW_IGNORE:
			n->flags |= AST_IGNORE;
			break;
		case KW_QUICK: case KW_CONCURRENT: /* names too */
			if (!tok_names(parse_ahead(p)) && !ahead_kw(p, KW_FROM) && !ahead_kw(p, KW_IGNORE) && !ahead_kw(p, KW_INFILE) &&
			    !ahead_kw(p, KW_LOW_PRIORITY))
				return;
			break;
		case KW_LOW_PRIORITY: case KW_DELAYED: case KW_HIGH_PRIORITY:
			break;
		default:
			return;
		}
		parse_next(p);
	}
}

/* target = value, ... */
static struct ast *
assigns(struct parse *p)
{
	struct ast *n = node_new(p, AST_ASSIGNS);

	do {
		struct ast *a = node_new(p, AST_ASSIGN);

		node_add(a, at(p, TOK_USER_VAR) ? node_token(p, AST_USER_VAR) : parse_ref(p));
		if (!skip(p, '='))
			parse_want(p, TOK_ASSIGN, "=");
		node_add(a, parse_expr(p));
		node_add(n, node_end(p, a));
	} while (skip(p, ','));
	return node_end(p, n);
}

static struct ast *
returning(struct parse *p)
{
	struct ast *n = node_new(p, AST_RETURNING);

	parse_next(p);
	node_add(n, parse_items(p));
	return node_end(p, n);
}

static void
insert_source(struct parse *p, struct ast *n)
{
	if (at(p, '(') && !at_query_inside(p))
		node_add(n, parse_columns(p));
	if (skip_kw(p, KW_SET)) {
		node_add(n, assigns(p));
	} else if ((at_kw(p, KW_VALUES) || at_kw(p, KW_VALUE)) && parse_ahead(p)->kind == '(') {
		node_add(n, parse_rows(p, AST_ROWS));
	} else {
		node_add(n, parse_query(p));
	}
}

struct ast *
parse_insert(struct parse *p)
{
	struct ast *n = node_new(p, AST_INSERT);

	n->op = p->t.kw;
	parse_next(p);
	words_before(p, n);
	skip_kw(p, KW_INTO);
	node_add(n, parse_table(p, false));
	if (at_kw(p, KW_PARTITION))
		node_add(n, parse_partitions(p));
	insert_source(p, n);
	if (at_kw(p, KW_AS)) { /* MySQL 8: VALUES (..) AS new(a, b) */
		node_add(n, parse_alias(p));
		if (at(p, '('))
			node_add(n, parse_columns(p));
	}
	if (at_kw(p, KW_ON) && ahead_kw(p, KW_DUPLICATE)) {
		struct ast *d = node_new(p, AST_ONDUP);

		parse_next(p);
		parse_next(p);
		parse_want_kw(p, KW_KEY, "KEY");
		parse_want_kw(p, KW_UPDATE, "UPDATE");
		p->in_ondup = true;
		node_add(d, assigns(p));
		p->in_ondup = false;
		node_add(n, node_end(p, d));
	}
	if (at_kw(p, KW_RETURNING))
		node_add(n, returning(p));
	return node_end(p, n);
}

/* FOR PORTION OF period FROM a TO b */
static struct ast *
portion(struct parse *p)
{
	struct ast *n = node_new(p, AST_PORTION);

	parse_next(p);
	parse_next(p);
	parse_want_kw(p, KW_OF, "OF");
	node_add(n, parse_name(p));
	parse_want_kw(p, KW_FROM, "FROM");
	node_add(n, parse_expr(p));
	parse_want_kw(p, KW_TO, "TO");
	node_add(n, parse_expr(p));
	return node_end(p, n);
}

static bool
at_portion(struct parse *p)
{
	return at_kw(p, KW_FOR) && ahead_kw(p, KW_PORTION);
}

struct ast *
parse_update(struct parse *p)
{
	struct ast *n = node_new(p, AST_UPDATE), *from;

	parse_next(p);
	words_before(p, n);
	from = parse_from(p);
	node_add(n, from);
	if (from->n > 1 || (from->first != NULL && from->first->kind != AST_TABLE))
		n->flags |= AST_MULTI;
	if (at_portion(p))
		node_add(n, portion(p));
	parse_want_kw(p, KW_SET, "SET");
	node_add(n, assigns(p));
	if (at_kw(p, KW_WHERE))
		node_add(n, parse_clause(p, AST_WHERE));
	parse_order_limit(p, n);
	return node_end(p, n);
}

/* t, s.t, t.*, s.t.* */
static struct ast *
target(struct parse *p)
{
	struct ast *n = parse_table(p, false);

	if (skip(p, '.'))
		parse_want(p, '*', "*");
	return node_end(p, n);
}

static struct ast *
targets(struct parse *p)
{
	struct ast *n = node_new(p, AST_TARGETS);

	do
		node_add(n, target(p));
	while (skip(p, ','));
	return node_end(p, n);
}

/* [PARTITION (..)] [AS alias] */
static void
more_of_target(struct parse *p, struct ast *t)
{
	if (at_kw(p, KW_PARTITION))
		node_add(t, parse_partitions(p));
	if (at_kw(p, KW_AS) || at_name(p))
		node_add(t, parse_alias(p));
	node_end(p, t);
}

/* DELETE FROM t .. of one table, or DELETE FROM t, u USING .. */
static void
delete_from(struct parse *p, struct ast *n)
{
	struct ast *t = targets(p), *from;

	if (skip_kw(p, KW_USING)) {
		n->flags |= AST_MULTI;
		node_add(n, t);
		node_add(n, parse_from(p));
		return;
	}
	if (t->n > 1)
		parse_fail(p, "USING");
	t = t->first != NULL ? t->first : t;
	more_of_target(p, t); /* before it gets a parent, which is to know its height */
	from = node_around(p, AST_FROM, t);
	if (at_kw(p, KW_USE) || at_kw(p, KW_FORCE) || at_kw(p, KW_IGNORE)) {
		while (!at_kw(p, KW_WHERE) && !at_kw(p, KW_ORDER) && !at_kw(p, KW_LIMIT) && !at_kw(p, KW_RETURNING) && !at_stmt_end(p))
			parse_next(p);
	}
	node_add(n, node_end(p, from));
	if (at_portion(p))
		node_add(n, portion(p));
}

struct ast *
parse_delete(struct parse *p)
{
	struct ast *n = node_new(p, AST_DELETE);

	parse_next(p);
	words_before(p, n);
	if (at_kw(p, KW_HISTORY) && ahead_kw(p, KW_FROM)) {
		parse_next(p);
		n->flags |= AST_HISTORY;
	}
	if (skip_kw(p, KW_FROM)) {
		delete_from(p, n);
	} else {
		n->flags |= AST_MULTI;
		node_add(n, targets(p));
		parse_want_kw(p, KW_FROM, "FROM");
		node_add(n, parse_from(p));
	}
	if ((n->flags & AST_HISTORY) != 0 && at_kw(p, KW_BEFORE)) {
		struct ast *s = node_new(p, AST_SYSTIME);

		parse_next(p);
		parse_want_kw(p, KW_SYSTEM_TIME, "SYSTEM_TIME");
		skip_kw(p, KW_TRANSACTION);
		node_add(s, parse_expr(p));
		node_add(n, node_end(p, s));
	}
	if (at_kw(p, KW_WHERE))
		node_add(n, parse_clause(p, AST_WHERE));
	parse_order_limit(p, n);
	if (at_kw(p, KW_RETURNING))
		node_add(n, returning(p));
	return node_end(p, n);
}

struct ast *
parse_load(struct parse *p)
{
	struct ast *n = node_new(p, AST_LOAD);

	parse_next(p);
	parse_next(p); /* DATA, XML */
	words_before(p, n);
	if (skip_kw(p, KW_LOCAL))
		n->flags |= AST_LOCAL;
	parse_want_kw(p, KW_INFILE, "INFILE");
	parse_want(p, TOK_STRING, "a file's name");
	if (!skip_kw(p, KW_REPLACE) && skip_kw(p, KW_IGNORE))
		n->flags |= AST_IGNORE;
	parse_want_kw(p, KW_INTO, "INTO");
	parse_want_kw(p, KW_TABLE, "TABLE");
	node_add(n, parse_table(p, false));
	if (at_kw(p, KW_PARTITION))
		node_add(n, parse_partitions(p));
	while (!at(p, '(') && !at_kw(p, KW_SET) && !at_stmt_end(p)) { /* CHARACTER SET, FIELDS, LINES, IGNORE n LINES */
		if (skip_kw(p, KW_CHARACTER) && !at_kw(p, KW_SET))
			parse_fail(p, "SET");
		parse_next(p);
	}
	if (at(p, '('))
		node_add(n, parse_columns(p));
	if (skip_kw(p, KW_SET))
		node_add(n, assigns(p));
	return node_end(p, n);
}
