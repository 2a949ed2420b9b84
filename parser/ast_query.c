/* parser/ast_query.c: queries: WITH, set operations, SELECT and its clauses, tables and joins. Pure. */
#include "parser/parse.h"

static struct ast *join_from(struct parse *p, struct ast *left);

bool
at_query(const struct parse *p)
{
	return at_kw(p, KW_SELECT) || at_kw(p, KW_WITH) || at_kw(p, KW_VALUES) || at_kw(p, KW_TABLE);
}

bool
at_query_inside(struct parse *p)
{
	struct lex l;
	struct tok t;

	if (!at(p, '('))
		return false;
	t = *parse_ahead(p);
	for (l = p->l; t.kind == '(';)
		lex_next(&l, &t);
	return t.kw == KW_SELECT || t.kw == KW_WITH || t.kw == KW_VALUES || t.kw == KW_TABLE;
}

bool
at_set_op(const struct parse *p)
{
	return at_kw(p, KW_UNION) || at_kw(p, KW_EXCEPT) || at_kw(p, KW_INTERSECT) || at_kw(p, KW_MINUS);
}

struct ast *
parse_clause(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	parse_next(p);
	node_add(n, parse_expr(p));
	return node_end(p, n);
}

/* ---- tables ---- */

/* A keyword and names in parentheses: PARTITION (..), USING (..) */
static struct ast *
names(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	parse_next(p);
	parse_want(p, '(', "(");
	do
		node_add(n, parse_name(p));
	while (skip(p, ','));
	parse_want(p, ')', ")");
	return node_end(p, n);
}

struct ast *
parse_partitions(struct parse *p)
{
	return names(p, AST_PARTITIONS);
}

/* FOR SYSTEM_TIME ALL, AS OF e, BETWEEN e AND e, FROM e TO e; BEFORE SYSTEM_TIME e */
static struct ast *
system_time(struct parse *p)
{
	struct ast *n = node_new(p, AST_SYSTIME);

	parse_next(p);
	parse_next(p);
	if (skip_kw(p, KW_ALL))
		return node_end(p, n);
	if (skip_kw(p, KW_AS))
		parse_want_kw(p, KW_OF, "OF");
	bool two = at_kw(p, KW_BETWEEN) || at_kw(p, KW_FROM);

	if (two)
		parse_next(p);
	if (at_kw(p, KW_TRANSACTION))
		parse_next(p);
	struct ast *e = parse_expr(p); /* BETWEEN's AND is taken for an operator: both bounds in one */

	node_add(n, e);
	if (two && skip_kw(p, KW_TO))
		node_add(n, parse_expr(p));
	return node_end(p, n);
}

/* WINDOW is a name elsewhere, but not here: FROM t WINDOW w AS (..). */
static bool
at_alias(const struct parse *p)
{
	return at_kw(p, KW_AS) || (at_name(p) && !at_kw(p, KW_WINDOW));
}

struct ast *
parse_alias(struct parse *p)
{
	struct ast *n = node_new(p, AST_ALIAS);

	skip_kw(p, KW_AS);
	node_add(n, parse_name(p));
	return node_end(p, n);
}

static void
index_hints(struct parse *p)
{
	while (at_kw(p, KW_USE) || at_kw(p, KW_FORCE) || at_kw(p, KW_IGNORE)) {
		enum kw next = parse_ahead(p)->kw;

		if (next != KW_INDEX && next != KW_KEY)
			return;
		parse_next(p);
		parse_next(p);
		if (skip_kw(p, KW_FOR)) {
			if (!skip_kw(p, KW_JOIN)) { /* ORDER BY, GROUP BY */
				parse_next(p);
				parse_want_kw(p, KW_BY, "BY");
			}
		}
		parse_want(p, '(', "(");
		parse_skip_plain(p, ')', ')');
		parse_want(p, ')', ")");
	}
}

struct ast *
parse_table(struct parse *p, bool more)
{
	struct ast *n = node_new(p, AST_TABLE);

	skip(p, '.');
	node_add(n, parse_name(p));
	if (at(p, '.') && parse_ahead(p)->kind != '*') {
		parse_next(p);
		node_add(n, parse_name(p));
	}
	if (!more)
		return node_end(p, n);
	if (at_kw(p, KW_PARTITION))
		node_add(n, parse_partitions(p));
	if (at_kw(p, KW_FOR) && ahead_kw(p, KW_SYSTEM_TIME))
		node_add(n, system_time(p));
	if (at_alias(p))
		node_add(n, parse_alias(p));
	index_hints(p);
	return node_end(p, n);
}

/* JSON_TABLE(expression, path COLUMNS (..)) [AS] alias */
static struct ast *
json_table(struct parse *p)
{
	struct ast *n = node_new(p, AST_TABLE_FN);

	parse_next(p);
	parse_want(p, '(', "(");
	node_add(n, parse_expr(p));
	parse_skip_plain(p, ')', ')');
	parse_want(p, ')', ")");
	if (at_alias(p))
		node_add(n, parse_alias(p));
	return node_end(p, n);
}

struct ast *
parse_columns(struct parse *p)
{
	struct ast *n = node_new(p, AST_COLUMNS);

	parse_want(p, '(', "(");
	while (!at(p, ')') && !at_stmt_end(p)) {
		if (at(p, TOK_USER_VAR)) {
			node_add(n, node_token(p, AST_USER_VAR));
		} else {
			node_add(n, parse_ref(p));
			if (at(p, '('))  { /* length of a key's part */
				parse_next(p);
				parse_want(p, TOK_INT, "a length");
				parse_want(p, ')', ")");
			}
			if (!skip_kw(p, KW_ASC) && !skip_kw(p, KW_DESC) && skip_kw(p, KW_WITHOUT))
				parse_next(p); /* OVERLAPS */
		}
		if (!skip(p, ','))
			break;
	}
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* A query was read, its opening parenthesis at off: the rest of a derived table. */
static struct ast *
derived(struct parse *p, struct ast *n)
{
	n->kind = AST_DERIVED;
	parse_want(p, ')', ")");
	if (at_kw(p, KW_FOR) && ahead_kw(p, KW_SYSTEM_TIME))
		node_add(n, system_time(p));
	if (at_alias(p)) {
		node_add(n, parse_alias(p));
		if (at(p, '('))
			node_add(n, parse_columns(p));
	}
	return node_end(p, n);
}

static struct ast *table_list(struct parse *p, struct ast *n);

/* (query) alias, (tables) or ((query) UNION ..) alias */
static struct ast *
in_parentheses(struct parse *p)
{
	struct ast *n = node_new(p, AST_TABLES), *first;

	parse_next(p);
	if (at_query(p)) {
		node_add(n, parse_query(p));
		return derived(p, n);
	}
	parse_down(p);
	first = join_from(p, NULL);
	parse_up(p);
	if (first->kind == AST_DERIVED && first->n == 1 && (at_set_op(p) || at_kw(p, KW_ORDER) || at_kw(p, KW_LIMIT))) {
		first->kind = AST_SUBQUERY;
		node_add(n, parse_query_from(p, first));
		return derived(p, n);
	}
	if (first->kind == AST_DERIVED && first->n == 1 && at(p, ')')) { /* ((SELECT ..)) alias */
		first->kind = AST_SUBQUERY;
		node_add(n, parse_query_from(p, first));
		return derived(p, n);
	}
	node_add(n, first);
	if (skip(p, ','))
		table_list(p, n);
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* {OJ tables} */
static struct ast *
outer_join_braces(struct parse *p)
{
	struct ast *n = node_new(p, AST_TABLES);

	parse_next(p);
	parse_name(p);
	parse_down(p);
	node_add(n, join_from(p, NULL));
	parse_up(p);
	parse_want(p, '}', "}");
	return node_end(p, n);
}

static struct ast *
table_factor(struct parse *p)
{
	if (at(p, '('))
		return in_parentheses(p);
	if (at(p, '{'))
		return outer_join_braces(p);
	if (at_kw(p, KW_JSON_TABLE) && parse_ahead(p)->kind == '(')
		return json_table(p);
	if (at_word(p, "lateral") && parse_ahead(p)->kind == '(') { /* MySQL 8 */
		parse_next(p);
		return in_parentheses(p);
	}
	return parse_table(p, true);
}

static bool
at_join(const struct parse *p)
{
	switch (p->t.kw) {
	case KW_JOIN: case KW_INNER: case KW_CROSS: case KW_LEFT: case KW_RIGHT: case KW_NATURAL: case KW_STRAIGHT_JOIN:
		return true;
	default:
		return false;
	}
}

/* JOIN and the words in front of it. */
static void
join_words(struct parse *p, struct ast *n)
{
	n->op = KW_JOIN;
	if (skip_kw(p, KW_STRAIGHT_JOIN)) {
		n->op = KW_STRAIGHT_JOIN;
		return;
	}
	if (skip_kw(p, KW_NATURAL))
		n->flags = AST_NATURAL;
	if (n->flags != 0 && skip_kw(p, KW_STRAIGHT_JOIN)) {
		n->op = KW_STRAIGHT_JOIN;
		return;
	}
	if (at_kw(p, KW_LEFT) || at_kw(p, KW_RIGHT)) {
		n->op = p->t.kw;
		parse_next(p);
		skip_kw(p, KW_OUTER);
	} else if (!skip_kw(p, KW_INNER)) {
		skip_kw(p, KW_CROSS);
	}
	parse_want_kw(p, KW_JOIN, "JOIN");
}

/* A row of joins, which group to the left; one whose ON has not come yet takes those behind it into its right side, as in
 * the server's grammar: a JOIN b JOIN c ON x ON y. left: what was read already, or NULL. */
static struct ast *
join_from(struct parse *p, struct ast *left)
{
	if (left == NULL)
		left = table_factor(p);
	while (at_join(p)) {
		struct ast *n = node_around(p, AST_JOIN, left), *right;

		join_words(p, n);
		right = table_factor(p);
		if (n->flags == 0 && at_join(p)) {
			parse_down(p);
			right = join_from(p, right);
			parse_up(p);
		}
		node_add(n, right);
		if (n->flags == 0 && at_kw(p, KW_ON))
			node_add(n, parse_clause(p, AST_ON));
		else if (n->flags == 0 && at_kw(p, KW_USING))
			node_add(n, names(p, AST_USING));
		left = node_end(p, n);
	}
	return left;
}

static struct ast *
table_list(struct parse *p, struct ast *n)
{
	do
		node_add(n, join_from(p, NULL));
	while (skip(p, ','));
	return node_end(p, n);
}

struct ast *
parse_from(struct parse *p)
{
	struct ast *n = node_new(p, AST_FROM);

	if (skip_kw(p, KW_DUAL))
		return node_end(p, n);
	return table_list(p, n);
}

/* ---- SELECT ---- */

static struct ast *
star(struct parse *p)
{
	struct ast *n = node_new(p, AST_STAR);

	while (!at(p, '*') && !at_stmt_end(p)) {
		node_add(n, parse_name(p));
		parse_want(p, '.', ".");
	}
	parse_next(p);
	return node_end(p, n);
}

/* Is a star behind this name and its points? t.*, s.t.* */
static bool
at_star(struct parse *p)
{
	struct lex l;
	struct tok t;

	if (at(p, '*'))
		return true;
	if (!at_name(p) || parse_ahead(p)->kind != '.')
		return false;
	l = p->l; /* behind the point */
	lex_next(&l, &t);
	if (t.kind == '*')
		return true;
	if (!tok_names(&t))
		return false;
	lex_next(&l, &t);
	if (t.kind != '.')
		return false;
	lex_next(&l, &t);
	return t.kind == '*';
}

struct ast *
parse_items(struct parse *p)
{
	struct ast *n = node_new(p, AST_ITEMS), *item;

	do {
		if (at_star(p)) {
			node_add(n, star(p));
			if (at_kw(p, KW_AS) || at(p, TOK_STRING)) { /* allowed, and without effect */
				parse_next(p);
				if (!at(p, TOK_STRING) && !at_name(p))
					parse_fail(p, "a name");
				parse_next(p);
			}
			continue;
		}
		item = node_new(p, AST_ITEM);
		node_add(item, parse_expr(p));
		if (skip_kw(p, KW_AS) || at(p, TOK_STRING) || (at_name(p) && !at_kw(p, KW_WINDOW)))
			node_add(item, at(p, TOK_STRING) ? node_token(p, AST_NAME) : parse_name(p));
		node_add(n, node_end(p, item));
	} while (skip(p, ','));
	return node_end(p, n);
}

static struct ast *
into(struct parse *p)
{
	struct ast *n = node_new(p, AST_INTO);

	parse_next(p);
	if (at_kw(p, KW_OUTFILE) || at_kw(p, KW_DUMPFILE)) {
		parse_next(p);
		parse_want(p, TOK_STRING, "a file's name");
		if (skip_kw(p, KW_CHARACTER) || skip_kw(p, KW_CHARSET)) {
			skip_kw(p, KW_SET);
			parse_next(p);
		}
		while (at_kw(p, KW_FIELDS) || at_kw(p, KW_COLUMNS) || at_kw(p, KW_LINES) || at_kw(p, KW_TERMINATED) ||
		    at_kw(p, KW_BY) || at(p, TOK_STRING) || at(p, TOK_HEX) || at(p, TOK_BIT) || at_kw(p, KW_ENCLOSED) ||
		    at_kw(p, KW_OPTIONALLY) || at_kw(p, KW_ESCAPED) || at_kw(p, KW_STARTING))
			parse_next(p);
		return node_end(p, n);
	}
	do
		node_add(n, at(p, TOK_USER_VAR) ? node_token(p, AST_USER_VAR) : parse_ref(p));
	while (skip(p, ','));
	return node_end(p, n);
}

static void
select_words(struct parse *p, struct ast *n)
{
	for (;;) {
		switch (p->t.kw) {
		case KW_DISTINCT: case KW_DISTINCTROW:
			n->flags |= AST_DISTINCT;
			break;
		case KW_STRAIGHT_JOIN:
			n->flags |= AST_STRAIGHT;
			break;
		case KW_SQL_CALC_FOUND_ROWS:
			n->flags |= AST_CALC;
			break;
		case KW_SQL_CACHE: case KW_SQL_NO_CACHE: case KW_SQL_BUFFER_RESULT:
			/* names too */
			if (parse_ahead(p)->kind == ',' || parse_ahead(p)->kind == '.' || ahead_kw(p, KW_FROM))
				return;
			break;
		case KW_ALL: case KW_HIGH_PRIORITY: case KW_SQL_SMALL_RESULT: case KW_SQL_BIG_RESULT:
			break;
		default:
			return;
		}
		parse_next(p);
	}
}

static struct ast *
windows(struct parse *p)
{
	struct ast *n = node_new(p, AST_WINDOWS);

	parse_next(p);
	do {
		node_add(n, parse_name(p));
		parse_want_kw(p, KW_AS, "AS");
		parse_want(p, '(', "(");
		node_add(n, parse_window(p));
	} while (skip(p, ','));
	return node_end(p, n);
}

static struct ast *
select_core(struct parse *p)
{
	struct ast *n = node_new(p, AST_SELECT);

	parse_next(p);
	select_words(p, n);
	node_add(n, parse_items(p));
	if (at_kw(p, KW_INTO))
		node_add(n, into(p));
	if (skip_kw(p, KW_FROM))
		node_add(n, parse_from(p));
	if (at_kw(p, KW_WHERE))
		node_add(n, parse_clause(p, AST_WHERE));
	if (skip_kw(p, KW_GROUP)) {
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_GROUP));
	}
	if (at_kw(p, KW_HAVING))
		node_add(n, parse_clause(p, AST_HAVING));
	if (at_kw(p, KW_WINDOW))
		node_add(n, windows(p));
	return node_end(p, n);
}

/* The values of a row of nothing but literals and parameters are given up. */
static void
forget_values(struct parse *p, struct ast *row, struct arena_mark mark)
{
	for (const struct ast *e = row->first; e != NULL; e = e->next) {
		const struct ast *v = e->kind == AST_UNARY ? e->first : e;

		if (v->kind != AST_LITERAL && v->kind != AST_PARAM)
			return;
	}
	arena_back(p->a, mark);
	row->first = row->last = NULL;
	row->n = row->height = 0;
	row->flags |= AST_PLAIN;
}

struct ast *
parse_rows(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	parse_next(p);
	do {
		struct ast *row = node_new(p, AST_ROW);
		struct arena_mark mark = arena_mark(p->a);

		skip_kw(p, KW_ROW); /* MySQL 8: VALUES ROW(1), ROW(2) */
		parse_want(p, '(', "(");
		if (!at(p, ')'))
			parse_exprs(p, row);
		parse_want(p, ')', ")");
		node_end(p, row);
		if (n->n >= AST_ROWS_WHOLE && p->r->verdict == AST_OK)
			forget_values(p, row, mark);
		node_add(n, row);
	} while (skip(p, ','));
	return node_end(p, n);
}

/* ---- around it ---- */

static struct ast *
with(struct parse *p)
{
	struct ast *n = node_new(p, AST_WITH);

	parse_next(p);
	if (skip_kw(p, KW_RECURSIVE))
		n->flags = AST_RECURSIVE;
	do {
		struct ast *c = node_new(p, AST_CTE);

		node_add(c, parse_name(p));
		if (at(p, '('))
			node_add(c, parse_columns(p));
		parse_want_kw(p, KW_AS, "AS");
		parse_want(p, '(', "(");
		node_add(c, parse_query(p));
		parse_want(p, ')', ")");
		if (skip_kw(p, KW_CYCLE)) {
			do
				parse_name(p);
			while (skip(p, ','));
			parse_want_kw(p, KW_RESTRICT, "RESTRICT");
		}
		node_add(n, node_end(p, c));
	} while (skip(p, ','));
	return node_end(p, n);
}

/* TABLE t, of MySQL 8: SELECT * FROM t */
static struct ast *
table_core(struct parse *p)
{
	struct ast *n = node_new(p, AST_SELECT), *from;

	parse_next(p);
	from = node_new(p, AST_FROM);
	node_add(from, parse_table(p, false));
	node_add(n, node_end(p, from));
	return node_end(p, n);
}

static struct ast *
query_primary(struct parse *p)
{
	if (at_kw(p, KW_SELECT))
		return select_core(p);
	if (at_kw(p, KW_TABLE))
		return table_core(p);
	if (at_kw(p, KW_VALUES))
		return parse_rows(p, AST_VALUES);
	struct ast *n = node_new(p, AST_SUBQUERY);

	if (!skip(p, '(')) {
		parse_fail(p, "SELECT");
		return n;
	}
	node_add(n, parse_query(p));
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* INTERSECT goes before UNION and EXCEPT. */
static struct ast *
set_ops(struct parse *p, struct ast *left, bool intersect)
{
	while (intersect ? at_kw(p, KW_INTERSECT) : at_set_op(p)) {
		enum kw op = at_kw(p, KW_MINUS) ? KW_EXCEPT : p->t.kw;
		struct ast *n = node_around(p, AST_SETOP, left), *right;

		n->op = op;
		parse_next(p);
		if (skip_kw(p, KW_ALL))
			n->flags = AST_ALL;
		else
			skip_kw(p, KW_DISTINCT);
		right = query_primary(p);
		node_add(n, op == KW_INTERSECT ? right : set_ops(p, right, true));
		left = node_end(p, n);
	}
	return left;
}

/* FETCH FIRST n ROWS ONLY | WITH TIES, perhaps with OFFSET n ROWS in front */
static struct ast *
fetch(struct parse *p)
{
	struct ast *n = node_new(p, AST_LIMIT);

	n->flags = AST_FETCH;
	if (skip_kw(p, KW_OFFSET)) {
		node_add(n, parse_expr(p));
		if (!skip_kw(p, KW_ROWS))
			parse_want_kw(p, KW_ROW, "ROWS");
	}
	if (skip_kw(p, KW_FETCH)) {
		parse_next(p); /* FIRST, NEXT */
		if (!at_kw(p, KW_ROW) && !at_kw(p, KW_ROWS))
			node_add(n, parse_expr(p));
		parse_next(p);
		if (skip_kw(p, KW_WITH)) {
			n->flags |= AST_TIES;
			parse_want_kw(p, KW_TIES, "TIES");
		} else {
			parse_want_kw(p, KW_ONLY, "ONLY");
		}
	}
	return node_end(p, n);
}

static struct ast *
locking(struct parse *p)
{
	struct ast *n = node_new(p, AST_LOCKING);

	n->op = KW_SHARE;
	if (skip_kw(p, KW_FOR)) {
		if (!skip_kw(p, KW_SHARE)) { /* MySQL 8: FOR SHARE, OF t */
			n->op = KW_UPDATE;
			parse_want_kw(p, KW_UPDATE, "UPDATE");
		}
		if (skip_kw(p, KW_OF)) {
			do
				parse_name(p);
			while (skip(p, ','));
		}
	} else {
		parse_next(p);
		parse_want_kw(p, KW_IN, "IN");
		parse_want_kw(p, KW_SHARE, "SHARE");
		parse_want_kw(p, KW_MODE, "MODE");
	}
	if (skip_kw(p, KW_WAIT))
		parse_want(p, TOK_INT, "seconds");
	else if (!skip_kw(p, KW_NOWAIT) && skip_kw(p, KW_SKIP))
		parse_want_kw(p, KW_LOCKED, "LOCKED");
	return node_end(p, n);
}

static struct ast *
procedure(struct parse *p)
{
	struct ast *n = node_new(p, AST_PROCEDURE);

	parse_next(p);
	parse_name(p);
	parse_want(p, '(', "(");
	parse_skip_plain(p, ')', ')');
	parse_want(p, ')', ")");
	return node_end(p, n);
}

void
parse_order_limit(struct parse *p, struct ast *n)
{
	if (skip_kw(p, KW_ORDER)) {
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_ORDER));
	}
	if (at_kw(p, KW_LIMIT))
		node_add(n, parse_limit(p));
	else if (at_kw(p, KW_OFFSET) || at_kw(p, KW_FETCH))
		node_add(n, fetch(p));
}

static struct ast *
query_tail(struct parse *p, struct ast *n)
{
	parse_order_limit(p, n);
	if (at_kw(p, KW_PROCEDURE))
		node_add(n, procedure(p));
	for (;;) {
		if (at_kw(p, KW_INTO))
			node_add(n, into(p));
		else if ((at_kw(p, KW_FOR) && (ahead_kw(p, KW_UPDATE) || ahead_kw(p, KW_SHARE))) || (at_kw(p, KW_LOCK) && ahead_kw(p, KW_IN)))
			node_add(n, locking(p));
		else
			return node_end(p, n);
	}
}

/* WITH .. UPDATE, WITH .. DELETE: MySQL 8, MariaDB 12 */
static struct ast *
dml_with(struct parse *p, struct ast *w)
{
	struct ast *n = at_kw(p, KW_UPDATE) ? parse_update(p) : parse_delete(p);

	w->next = n->first;
	n->first = w;
	n->n++;
	n->height = MAX(n->height, (u16)(w->height + 1));
	n->off = w->off;
	return node_end(p, n);
}

struct ast *
parse_query(struct parse *p)
{
	struct ast *n = node_new(p, AST_QUERY), *left;

	parse_down(p);
	if (at_kw(p, KW_WITH)) {
		left = with(p);
		if (p->depth == 1 && (at_kw(p, KW_UPDATE) || at_kw(p, KW_DELETE))) {
			n = dml_with(p, left);
			parse_up(p);
			return n;
		}
		node_add(n, left);
	}
	left = query_primary(p);
	node_add(n, set_ops(p, set_ops(p, left, true), false));
	parse_up(p);
	return query_tail(p, n);
}

struct ast *
parse_query_from(struct parse *p, struct ast *operand)
{
	u32 off = operand->off;
	struct ast *n = node_new(p, AST_QUERY);

	n->off = off;
	node_add(n, set_ops(p, set_ops(p, operand, true), false));
	return query_tail(p, n);
}
