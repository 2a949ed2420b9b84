/* parser/ast_ddl.c: CREATE, ALTER, DROP, TRUNCATE, RENAME and the statements that look after tables: as much as it takes to
 * know which tables and columns they are about. Pure.
 */
#include "parser/parse.h"

static void
tables(struct parse *p, struct ast *n)
{
	do
		node_add(n, parse_table(p, false));
	while (skip(p, ','));
}

static bool
if_exists(struct parse *p)
{
	if (!at_kw(p, KW_IF))
		return false;
	parse_next(p);
	skip_kw(p, KW_NOT);
	parse_want_kw(p, KW_EXISTS, "EXISTS");
	return true;
}

/* A statement that began at off, at TABLE, VIEW or INDEX: steps over that and IF [NOT] EXISTS. */
static struct ast *
statement(struct parse *p, enum ast_kind k, u32 off, u8 flags)
{
	struct ast *n = node_new(p, k);

	n->off = off;
	n->flags = flags;
	parse_next(p);
	if (if_exists(p))
		n->flags |= AST_IF;
	return n;
}

/* [WAIT n | NOWAIT] */
static void
wait_option(struct parse *p)
{
	if (skip_kw(p, KW_WAIT))
		parse_next(p);
	else
		skip_kw(p, KW_NOWAIT);
}

/* ---- columns and keys ---- */

/* Behind the type: attributes to the end of the definition. */
static void
attributes(struct parse *p, struct ast *n)
{
	u32 depth = 0;

	while (!at_stmt_end(p)) {
		if (depth == 0 && (at(p, ',') || at(p, ')')))
			return;
		if (at(p, '('))
			depth++;
		else if (at(p, ')'))
			depth--;
		if (depth == 0 && at_kw(p, KW_AUTO_INCREMENT))
			n->flags |= AST_AUTO_INC;
		else if (depth == 0 && at_kw(p, KW_PRIMARY))
			n->flags |= AST_KEY;
		else if (depth == 0 && at_kw(p, KW_UNIQUE))
			n->flags |= AST_UNIQUE;
		if (depth == 0 && at_kw(p, KW_REFERENCES)) {
			parse_next(p);
			node_add(n, parse_table(p, false));
		} else {
			parse_next(p);
		}
	}
}

/* A type and, in its parentheses, what it needs. */
static struct ast *
column_type(struct parse *p)
{
	struct ast *n = node_new(p, AST_TYPE);

	if (!at(p, TOK_WORD) && !at(p, TOK_QUOTED))
		parse_fail(p, "a type");
	parse_next(p);
	while (at_kw(p, KW_PRECISION) || at_kw(p, KW_VARYING) || at_kw(p, KW_CHAR) || at_kw(p, KW_VARCHAR) || at_kw(p, KW_CHARACTER)) {
		if (at_kw(p, KW_CHARACTER) && ahead_kw(p, KW_SET))
			break;
		parse_next(p);
	}
	if (skip(p, '(')) {
		parse_skip(p, ')', ')');
		parse_want(p, ')', ")");
	}
	return node_end(p, n);
}

static struct ast *
coldef(struct parse *p)
{
	struct ast *n = node_new(p, AST_COLDEF);

	node_add(n, parse_name(p));
	while (skip(p, '.')) { /* t.column, s.t.column: the last counts */
		n->first = n->last = NULL;
		n->n = 0;
		node_add(n, parse_name(p));
	}
	if (!at(p, ',') && !at(p, ')') && !at_stmt_end(p))
		node_add(n, column_type(p));
	attributes(p, n);
	return node_end(p, n);
}

static bool
at_keydef(struct parse *p)
{
	switch (p->t.kw) {
	case KW_CONSTRAINT: case KW_PRIMARY: case KW_UNIQUE: case KW_KEY: case KW_INDEX: case KW_FULLTEXT: case KW_SPATIAL:
	case KW_FOREIGN: case KW_CHECK: case KW_LIKE:
		return true;
	case KW_PERIOD:
		return ahead_kw(p, KW_FOR);
	default:
		return false;
	}
}

/* PRIMARY KEY (..), UNIQUE name (..), FOREIGN KEY (..) REFERENCES t (..), CHECK (..), ... */
static struct ast *
keydef(struct parse *p)
{
	struct ast *n = node_new(p, AST_KEYDEF);

	if (skip_kw(p, KW_CONSTRAINT)) {
		if_exists(p);
		if (at_name(p) && !at_keydef(p))
			parse_next(p);
	}
	n->op = p->t.kw;
	if (n->op == KW_CHECK || n->op == KW_PERIOD) {
		parse_skip(p, ',', ')');
		return node_end(p, n);
	}
	while (!at(p, '(') && !at(p, ',') && !at_stmt_end(p))
		parse_next(p);
	if (at(p, '(')) {
		if (parse_ahead(p)->kind == '(')
			parse_fail(p, "a column");
		node_add(n, parse_columns(p));
	}
	attributes(p, n);
	return node_end(p, n);
}

static void
definitions(struct parse *p, struct ast *n)
{
	do
		node_add(n, at_keydef(p) ? keydef(p) : coldef(p));
	while (skip(p, ','));
	parse_want(p, ')', "a comma or )");
}

/* ---- CREATE ---- */

/* Options and partitioning up to a query or the end. */
static void
table_options(struct parse *p)
{
	u32 depth = 0;

	while (!at_stmt_end(p)) {
		if (depth == 0 && (at_kw(p, KW_SELECT) || at_kw(p, KW_WITH)) && !ahead_kw(p, KW_SYSTEM))
			return;
		if (depth == 0 && at_kw(p, KW_VALUES) && parse_ahead(p)->kind == '(')
			return;
		if (depth == 0 && at_query_inside(p))
			return;
		if (at(p, '('))
			depth++;
		else if (at(p, ')') && depth > 0)
			depth--;
		parse_next(p);
	}
}

static struct ast *
create_table(struct parse *p, u32 off, u8 flags)
{
	struct ast *n = statement(p, AST_CREATE_TABLE, off, flags);

	node_add(n, parse_table(p, false));
	if (at_kw(p, KW_LIKE) || (at(p, '(') && ahead_kw(p, KW_LIKE))) {
		bool inside = skip(p, '(');

		parse_next(p);
		n->flags |= AST_LIKE;
		node_add(n, parse_table(p, false));
		if (inside)
			parse_want(p, ')', ")");
		return node_end(p, n);
	}
	if (at(p, '(') && !at_query_inside(p)) {
		parse_next(p);
		definitions(p, n);
	}
	table_options(p);
	if (!at_stmt_end(p))
		node_add(n, parse_query(p));
	return node_end(p, n);
}

static struct ast *
create_view(struct parse *p, u32 off, u8 flags)
{
	struct ast *n = statement(p, AST_CREATE_VIEW, off, flags);

	node_add(n, parse_table(p, false));
	if (at(p, '('))
		node_add(n, parse_columns(p));
	parse_want_kw(p, KW_AS, "AS");
	node_add(n, parse_query(p));
	if (at_kw(p, KW_WITH)) /* CHECK OPTION */
		parse_skip(p, ';', ';');
	return node_end(p, n);
}

/* At INDEX. */
static struct ast *
index_statement(struct parse *p, u32 off, enum kw op)
{
	struct ast *n = statement(p, AST_CREATE_INDEX, off, 0);

	n->op = op;
	node_add(n, at_kw(p, KW_PRIMARY) ? node_token(p, AST_NAME) : parse_name(p));
	if (skip_kw(p, KW_USING))
		parse_next(p); /* BTREE, HASH */
	parse_want_kw(p, KW_ON, "ON");
	node_add(n, parse_table(p, false));
	parse_skip(p, ';', ';');
	return node_end(p, n);
}

static struct ast *
other_from(struct parse *p, u32 off)
{
	struct ast *n = parse_other(p);

	n->off = off;
	return node_end(p, n); /* nothing may have followed: the span ends with the last token all the same */
}

struct ast *
parse_create(struct parse *p)
{
	u32 off = p->t.off;
	u8 flags = 0;

	parse_next(p);
	while (!at_stmt_end(p)) {
		switch (p->t.kw) {
		case KW_TABLE:
			return create_table(p, off, flags);
		case KW_VIEW:
			return create_view(p, off, flags);
		case KW_INDEX:
			return index_statement(p, off, KW_CREATE);
		case KW_TEMPORARY:
			flags |= AST_TEMPORARY;
			break;
		case KW_OR:
			flags |= AST_OR_REPLACE;
			break;
		case KW_PROCEDURE: case KW_FUNCTION: case KW_TRIGGER: case KW_EVENT: case KW_PACKAGE: case KW_DATABASE: case KW_SCHEMA:
		case KW_USER: case KW_ROLE: case KW_SERVER: case KW_SEQUENCE:
			return other_from(p, off);
		default:
			break;
		}
		parse_next(p);
	}
	return other_from(p, off);
}

/* ---- the others ---- */

/* EXCHANGE PARTITION p WITH TABLE t, CONVERT TABLE t TO PARTITION p .., CONVERT PARTITION p TO TABLE t */
static void
other_table(struct parse *p, struct ast *n)
{
	while (!at_stmt_end(p) && !at(p, ',') && !at_kw(p, KW_TABLE))
		parse_next(p);
	if (at_kw(p, KW_TABLE) && tok_names(parse_ahead(p))) {
		parse_next(p);
		node_add(n, parse_table(p, false));
	}
}

/* One change of ALTER TABLE. */
static struct ast *
alter_spec(struct parse *p)
{
	struct ast *n = node_new(p, AST_ALTER);

	n->op = p->t.kw;
	if (skip_kw(p, KW_RENAME)) {
		if (!at_kw(p, KW_INDEX) && !at_kw(p, KW_KEY) && !at_kw(p, KW_COLUMN)) {
			if (!skip_kw(p, KW_TO) && !skip_kw(p, KW_AS))
				skip(p, '=');
			node_add(n, parse_table(p, false));
		}
	} else if ((at_kw(p, KW_ADD) || at_kw(p, KW_MODIFY) || at_kw(p, KW_CHANGE)) && !at_stmt_end(p)) {
		bool change = at_kw(p, KW_CHANGE);

		parse_next(p);
		skip_kw(p, KW_COLUMN);
		if_exists(p);
		if (at_keydef(p)) {
			node_add(n, keydef(p));
		} else if (at(p, '(')) {
			parse_next(p);
			definitions(p, n);
		} else if (!at_kw(p, KW_PARTITION) && at_name(p)) {
			if (change)
				parse_name(p);
			node_add(n, coldef(p));
		}
	} else if (at_kw(p, KW_EXCHANGE) || at_kw(p, KW_CONVERT)) {
		other_table(p, n);
	}
	parse_skip(p, ',', ',');
	return node_end(p, n);
}

struct ast *
parse_alter(struct parse *p)
{
	u32 off = p->t.off;

	parse_next(p);
	skip_kw(p, KW_ONLINE);
	skip_kw(p, KW_IGNORE);
	if (!at_kw(p, KW_TABLE))
		return other_from(p, off);
	struct ast *n = statement(p, AST_ALTER_TABLE, off, 0);

	node_add(n, parse_table(p, false));
	wait_option(p);
	while (!at_stmt_end(p)) {
		node_add(n, alter_spec(p));
		if (!skip(p, ','))
			break;
	}
	return node_end(p, n);
}

struct ast *
parse_drop(struct parse *p)
{
	u32 off = p->t.off;

	parse_next(p);
	u8 flags = skip_kw(p, KW_TEMPORARY) ? AST_TEMPORARY : 0;

	if (at_kw(p, KW_INDEX))
		return index_statement(p, off, KW_DROP);
	if (!at_kw(p, KW_TABLE) && !at_kw(p, KW_TABLES) && !at_kw(p, KW_VIEW) && !at_kw(p, KW_SEQUENCE))
		return other_from(p, off);
	enum kw op = at_kw(p, KW_TABLES) ? KW_TABLE : p->t.kw;
	struct ast *n = statement(p, AST_DROP_TABLE, off, flags);

	n->op = op;
	tables(p, n);
	if (!skip_kw(p, KW_RESTRICT))
		skip_kw(p, KW_CASCADE);
	wait_option(p);
	return node_end(p, n);
}

struct ast *
parse_truncate(struct parse *p)
{
	struct ast *n = node_new(p, AST_TRUNCATE);

	parse_next(p);
	skip_kw(p, KW_TABLE);
	node_add(n, parse_table(p, false));
	wait_option(p);
	return node_end(p, n);
}

struct ast *
parse_rename(struct parse *p)
{
	u32 off = p->t.off;

	parse_next(p);
	if (!at_kw(p, KW_TABLE) && !at_kw(p, KW_TABLES))
		return other_from(p, off);
	struct ast *n = statement(p, AST_RENAME_TABLE, off, 0);

	do {
		node_add(n, parse_table(p, false));
		wait_option(p);
		parse_want_kw(p, KW_TO, "TO");
		node_add(n, parse_table(p, false));
	} while (skip(p, ','));
	return node_end(p, n);
}

struct ast *
parse_admin(struct parse *p)
{
	struct ast *n = node_new(p, AST_ADMIN_TABLE);

	n->op = p->t.kw;
	while (!at_kw(p, KW_TABLE) && !at_kw(p, KW_TABLES) && !at_stmt_end(p))
		parse_next(p);
	parse_next(p);
	if (at_name(p) && !at_kw(p, KW_WITH))
		tables(p, n);
	parse_skip(p, ';', ';');
	return node_end(p, n);
}
