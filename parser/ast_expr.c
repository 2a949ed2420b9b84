/* parser/ast_expr.c: expressions: operators by their strength (Pratt), literals, names, function calls. Rules are those of
 * MariaDB 10.11's sql_yacc.yy as observed: strengths of operators in sql_yacc.yy's order. Pure.
 */
#include "parser/parse.h"

/* Strengths; the right side of an operator is read with its strength + 1 (all group to the left). */
enum {
	S_OR = 10, S_XOR = 20, S_AND = 30, S_NOT = 40, S_COMPARE = 50, S_IS = 55, S_BETWEEN = 60, S_LIKE = 65, S_BIT_OR = 70,
	S_BIT_AND = 75, S_SHIFT = 80, S_ADD = 85, S_MUL = 90, S_BIT_XOR = 95, S_CONCAT = 97, S_UNARY = 100, S_COLLATE = 105
};

static struct ast *strength(struct parse *p, int least);
static struct ast *climb(struct parse *p, struct ast *left, int least);

struct ast *
parse_expr(struct parse *p)
{
	return strength(p, 0);
}

struct ast *
parse_name(struct parse *p)
{
	if (!at_name(p)) {
		parse_fail(p, "a name");
		return node_new(p, AST_NAME);
	}
	return node_token(p, AST_NAME);
}

struct ast *
parse_ref(struct parse *p)
{
	struct ast *n = node_new(p, AST_REF);

	skip(p, '.'); /* .t and .t.c */
	node_add(n, parse_name(p));
	while (at(p, '.') && parse_ahead(p)->kind != '*') {
		parse_next(p);
		node_add(n, parse_name(p));
	}
	return node_end(p, n);
}

void
parse_exprs(struct parse *p, struct ast *n)
{
	do
		node_add(n, parse_expr(p));
	while (skip(p, ','));
}

struct ast *
parse_order_items(struct parse *p, enum ast_kind k)
{
	struct ast *n = node_new(p, k);

	do {
		struct ast *item = node_new(p, AST_ORDER_ITEM);

		node_add(item, parse_expr(p));
		if (skip_kw(p, KW_DESC))
			item->flags = AST_DESC;
		else
			skip_kw(p, KW_ASC);
		node_add(n, node_end(p, item));
	} while (skip(p, ','));
	if (k == AST_GROUP && at_kw(p, KW_WITH) && (ahead_kw(p, KW_ROLLUP) || ahead_kw(p, KW_CUBE))) {
		parse_next(p);
		parse_next(p);
		n->flags = AST_ROLLUP; /* CUBE is read too, and refused by the server */
	}
	return node_end(p, n);
}

/* ---- literals ---- */

static bool
is_string_like(const struct tok *t)
{
	return t->kind == TOK_STRING || t->kind == TOK_HEX || t->kind == TOK_BIT;
}

/* _utf8'x': the character sets of 10.11. Another word with a _ in front of a string is a column with an alias. */
static bool
is_introducer(struct parse *p)
{
	static const char *const sets[] = {"armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257",
	    "cp850", "cp852", "cp866", "cp932", "dec8", "eucjpms", "euckr", "filename", "gb2312", "gbk", "geostd8", "greek",
	    "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "sjis",
	    "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32", "utf8", "utf8mb3", "utf8mb4"};
	char w[16];

	if (!at(p, TOK_WORD) || p->t.word != NULL || p->t.len < 4 || p->t.len >= sizeof w || p->l.text[p->t.off] != '_' ||
	    !is_string_like(parse_ahead(p)))
		return false;
	for (u32 i = 1; i < p->t.len; i++)
		w[i - 1] = (char)(p->l.text[p->t.off + i] | 0x20);
	w[p->t.len - 1] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (strcmp(w, sets[i]) == 0)
			return true;
	return false;
}

/* One literal, with an introducer and with the strings behind it that the server joins to it. */
static struct ast *
literal(struct parse *p)
{
	struct ast *n = node_new(p, AST_LITERAL);

	if (!at(p, TOK_STRING) && !is_string_like(&p->t) && at(p, TOK_WORD)) {
		n->op = p->t.kw != NO_KW ? p->t.kw : TOK_STRING;
		parse_next(p); /* introducer, DATE, TIME, TIMESTAMP */
	} else {
		n->op = p->t.kind;
	}
	bool joins = at(p, TOK_STRING);

	parse_next(p);
	while (joins && at(p, TOK_STRING) && !((p->mode & LEX_ANSI_QUOTES) != 0 && p->l.text[p->t.off] == '"'))
		parse_next(p);
	return node_end(p, n);
}

static struct ast *
keyword_literal(struct parse *p)
{
	struct ast *n = node_new(p, AST_LITERAL);

	n->op = p->t.kw;
	parse_next(p);
	return node_end(p, n);
}

/* ---- types: CAST, CONVERT, COLUMN_GET ---- */

static struct ast *
type(struct parse *p)
{
	struct ast *n = node_new(p, AST_TYPE);

	if (!at(p, TOK_WORD) && !at(p, TOK_QUOTED) && !at(p, TOK_STRING))
		parse_fail(p, "a type");
	parse_skip_plain(p, ',', ')');
	return node_end(p, n);
}

/* ---- functions ---- */

static bool
is_unit(enum kw kw)
{
	switch (kw) {
	case KW_MICROSECOND: case KW_SECOND: case KW_MINUTE: case KW_HOUR: case KW_DAY: case KW_WEEK: case KW_MONTH:
	case KW_QUARTER: case KW_YEAR: case KW_DAY_HOUR: case KW_DAY_MICROSECOND: case KW_DAY_MINUTE: case KW_DAY_SECOND:
	case KW_HOUR_MICROSECOND: case KW_HOUR_MINUTE: case KW_HOUR_SECOND: case KW_MINUTE_MICROSECOND:
	case KW_MINUTE_SECOND: case KW_SECOND_MICROSECOND: case KW_YEAR_MONTH: case KW_SQL_TSI_DAY: case KW_SQL_TSI_HOUR:
	case KW_SQL_TSI_MINUTE: case KW_SQL_TSI_MONTH: case KW_SQL_TSI_QUARTER: case KW_SQL_TSI_SECOND:
	case KW_SQL_TSI_WEEK: case KW_SQL_TSI_YEAR:
		return true;
	default:
		return false;
	}
}

static struct ast *
unit(struct parse *p)
{
	struct ast *n = node_new(p, AST_UNIT);

	n->op = p->t.kw;
	if (!is_unit(p->t.kw))
		parse_fail(p, "a unit of time");
	parse_next(p);
	return node_end(p, n);
}

/* INTERVAL, then an expression and a unit, or INTERVAL(a, b, ..): they differ at the first comma. */
static struct ast *
interval(struct parse *p)
{
	struct ast *n = node_new(p, AST_INTERVAL), *e;

	parse_next(p);
	if (at(p, '(')) {
		e = node_new(p, AST_PAREN);
		parse_next(p);
		if (at_query(p)) {
			e->kind = AST_SUBQUERY;
			node_add(e, parse_query(p));
		} else {
			node_add(e, parse_expr(p));
		}
		if (at(p, ',')) {
			n->kind = AST_CALL_FN;
			n->op = KW_INTERVAL;
			node_add(n, e->first);
			parse_next(p);
			parse_exprs(p, n);
			parse_want(p, ')', ")");
			return node_end(p, n);
		}
		parse_want(p, ')', ")");
		e = climb(p, node_end(p, e), 0);
	} else {
		e = parse_expr(p);
	}
	node_add(n, e);
	node_add(n, unit(p));
	return node_end(p, n);
}

struct ast *
parse_limit(struct parse *p)
{
	struct ast *n = node_new(p, AST_LIMIT);

	parse_next(p);
	if (!at_kw(p, KW_ROWS)) {
		node_add(n, strength(p, S_UNARY));
		if (skip(p, ',') || skip_kw(p, KW_OFFSET))
			node_add(n, strength(p, S_UNARY));
	}
	if (at_kw(p, KW_ROWS) && ahead_kw(p, KW_EXAMINED)) {
		parse_next(p);
		parse_next(p);
		n->flags |= AST_EXAMINED;
		node_add(n, strength(p, S_UNARY));
	}
	return node_end(p, n);
}

struct ast *
parse_window(struct parse *p)
{
	struct ast *n = node_new(p, AST_WINDOW);

	if (at_name(p) && !at_kw(p, KW_PARTITION))
		node_add(n, parse_name(p));
	if (skip_kw(p, KW_PARTITION)) {
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_GROUP));
	}
	if (skip_kw(p, KW_ORDER)) {
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_ORDER));
	}
	if (at_kw(p, KW_ROWS) || at_kw(p, KW_RANGE)) {
		struct ast *f = node_new(p, AST_FRAME);

		parse_skip_plain(p, ')', ')');
		node_add(n, node_end(p, f));
	}
	node_end(p, n);
	parse_want(p, ')', ")");
	return n;
}

static struct ast *
over(struct parse *p, struct ast *fn)
{
	struct ast *n = node_around(p, AST_OVER, fn);

	parse_next(p);
	if (skip(p, '('))
		node_add(n, parse_window(p));
	else
		node_add(n, parse_name(p));
	return node_end(p, n);
}

/* What may stand between arguments beside commas: CAST(x AS t), CHAR(x USING c), TRIM(x FROM y), SUBSTRING(x FROM y FOR z),
 * POSITION(x IN y), WEIGHT_STRING(x AS CHAR(3) LEVEL 1), a UDF's f(x AS name), COLUMN_CREATE('a', 1 AS INT). */
static void
between_arguments(struct parse *p, struct ast *n)
{
	if (skip_kw(p, KW_AS)) {
		node_add(n, type(p));
	} else if (skip_kw(p, KW_USING)) {
		struct ast *t = node_new(p, AST_TYPE);

		parse_skip_plain(p, ',', ')');
		node_add(n, node_end(p, t));
	} else if (skip_kw(p, KW_FROM) || skip_kw(p, KW_FOR) || skip_kw(p, KW_IN)) {
		node_add(n, parse_expr(p));
	} else if (n->op != NO_KW && at_word(p, "level")) {
		parse_skip_plain(p, ',', ')'); /* WEIGHT_STRING's: LEVEL 1 DESC REVERSE, 2-3 */
	} else if (at_name(p)) {
		node_add(n, parse_name(p)); /* a UDF's name for its argument */
	} else if (at(p, TOK_STRING)) {
		parse_next(p);
	}
}

static bool
is_fn(const struct ast *n, const struct parse *p, const char *lower)
{
	const struct ast *name = n->first != NULL ? n->first->first : NULL;

	if (name == NULL || name->next != NULL || name->len != strlen(lower))
		return false;
	const u8 *s = p->l.text + name->off;

	for (u32 i = 0; i < name->len; i++)
		if ((s[i] | 0x20) != (u8)lower[i])
			return false;
	return true;
}

static bool
at_modifier(struct parse *p, const struct ast *n)
{
	return (at_kw(p, KW_LEADING) || at_kw(p, KW_TRAILING) || at_kw(p, KW_BOTH)) && is_fn(n, p, "trim");
}

static void
arguments(struct parse *p, struct ast *n)
{
	bool position = is_fn(n, p, "position"), convert = is_fn(n, p, "convert");

	if (skip_kw(p, KW_DISTINCT))
		n->flags |= AST_DISTINCT;
	else
		skip_kw(p, KW_ALL);
	if (at_modifier(p, n)) {
		parse_next(p);
		if (skip_kw(p, KW_FROM))
			node_add(n, parse_expr(p));
	}
	while (!at(p, ')') && !at_stmt_end(p)) {
		if (at_kw(p, KW_ORDER) || at_kw(p, KW_SEPARATOR) || at_kw(p, KW_LIMIT))
			break;
		if (at(p, '*') && n->n == 1)
			node_add(n, node_token(p, AST_ARG_STAR));
		else if (is_unit(p->t.kw) && (parse_ahead(p)->kind == ',' || ahead_kw(p, KW_FROM)))
			node_add(n, unit(p));
		else if (convert && n->n == 2)
			node_add(n, type(p));
		else if (at_query(p) && !at_kw(p, KW_VALUES)) {
			struct ast *q = node_new(p, AST_SUBQUERY); /* IF(SELECT ..)? no: f((SELECT ..)); COLUMN lists do it */

			node_add(q, parse_query(p));
			node_add(n, node_end(p, q));
		} else
			node_add(n, strength(p, position && n->n == 1 ? S_LIKE + 1 : 0));
		while (!at(p, ',') && !at(p, ')') && !at_stmt_end(p)) {
			u32 off = p->t.off;

			if (at_kw(p, KW_ORDER) || at_kw(p, KW_SEPARATOR) || at_kw(p, KW_LIMIT))
				break;
			between_arguments(p, n);
			if (p->t.off == off) {
				parse_fail(p, "a comma or )");
				return;
			}
		}
		if (at(p, ',') && parse_ahead(p)->kind == ')')
			parse_fail(p, "an argument");
		if (!skip(p, ','))
			break;
	}
}

/* Behind the opening parenthesis. */
static struct ast *
call(struct parse *p, struct ast *n)
{
	arguments(p, n);
	if (skip_kw(p, KW_ORDER)) {
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_ORDER));
	}
	if (at_kw(p, KW_SEPARATOR)) {
		struct ast *s = node_new(p, AST_SEPARATOR);

		parse_next(p);
		node_add(s, literal(p));
		node_add(n, node_end(p, s));
	}
	if (at_kw(p, KW_LIMIT))
		node_add(n, parse_limit(p));
	parse_want(p, ')', "a comma or )");
	node_end(p, n);
	if (at_kw(p, KW_WITHIN) && ahead_kw(p, KW_GROUP)) {
		parse_next(p);
		parse_next(p);
		parse_want(p, '(', "(");
		parse_want_kw(p, KW_ORDER, "ORDER");
		parse_want_kw(p, KW_BY, "BY");
		node_add(n, parse_order_items(p, AST_ORDER));
		parse_want(p, ')', ")");
		node_end(p, n);
	}
	return at_kw(p, KW_OVER) ? over(p, n) : n;
}

/* A reserved word as a function's name: IF(, LEFT(, VALUES(, .. */
static struct ast *
keyword_call(struct parse *p)
{
	struct ast *n = node_new(p, AST_CALL_FN), *ref = node_new(p, AST_REF);

	n->op = p->t.kw;
	node_add(ref, node_token(p, AST_NAME));
	node_add(n, node_end(p, ref));
	if (!skip(p, '(')) {
		/* CURRENT_DATE, UTC_TIME, .. without parentheses */
		return node_end(p, n);
	}
	return call(p, n);
}

static struct ast *
name_or_call(struct parse *p)
{
	enum kw kw = p->t.kw;
	struct ast *ref = parse_ref(p);

	if (!at(p, '('))
		return ref;
	struct ast *n = node_around(p, AST_CALL_FN, ref);

	n->op = ref->n == 1 ? kw : NO_KW;
	parse_next(p);
	return call(p, n);
}

static struct ast *
match(struct parse *p)
{
	struct ast *n = node_new(p, AST_MATCH);

	parse_next(p);
	if (skip(p, '(')) {
		parse_exprs(p, n);
		parse_want(p, ')', ")");
	} else {
		parse_exprs(p, n);
	}
	parse_want_kw(p, KW_AGAINST, "AGAINST");
	parse_want(p, '(', "(");
	node_add(n, strength(p, S_LIKE + 1));
	parse_skip_plain(p, ')', ')');
	parse_want(p, ')', ")");
	return node_end(p, n);
}

static struct ast *
case_when(struct parse *p)
{
	struct ast *n = node_new(p, AST_CASE), *w;

	parse_next(p);
	if (!at_kw(p, KW_WHEN))
		node_add(n, parse_expr(p));
	if (!at_kw(p, KW_WHEN))
		parse_fail(p, "WHEN");
	while (at_kw(p, KW_WHEN)) {
		w = node_new(p, AST_WHEN);
		parse_next(p);
		node_add(w, parse_expr(p));
		parse_want_kw(p, KW_THEN, "THEN");
		node_add(w, parse_expr(p));
		node_add(n, node_end(p, w));
	}
	if (at_kw(p, KW_ELSE)) {
		w = node_new(p, AST_ELSE);
		parse_next(p);
		node_add(w, parse_expr(p));
		node_add(n, node_end(p, w));
	}
	parse_want_kw(p, KW_END, "END");
	return node_end(p, n);
}

/* ---- parentheses ---- */

/* A query in parentheses, from its opening one. */
static struct ast *
subquery(struct parse *p)
{
	struct ast *n = node_new(p, AST_SUBQUERY);

	parse_want(p, '(', "(");
	if (!at_query(p) && !at(p, '('))
		parse_fail(p, "a query");
	node_add(n, parse_query(p));
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* (query), (expression) or (expression, ..). ((SELECT 1) UNION SELECT 2) shows what it is only behind its first operand. */
static struct ast *
parentheses(struct parse *p)
{
	struct ast *n = node_new(p, AST_PAREN), *e;

	parse_next(p);
	if (at_query(p) && !(p->in_ondup && at_kw(p, KW_VALUES))) {
		n->kind = AST_SUBQUERY;
		node_add(n, parse_query(p));
	} else {
		e = parse_expr(p);
		if (e->kind == AST_SUBQUERY && (at_set_op(p) || at_kw(p, KW_ORDER) || at_kw(p, KW_LIMIT))) {
			n->kind = AST_SUBQUERY;
			node_add(n, parse_query_from(p, e));
		} else {
			node_add(n, e);
			if (at(p, ',')) {
				n->kind = AST_ROW;
				while (skip(p, ','))
					node_add(n, parse_expr(p));
			}
		}
	}
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* ---- operands ---- */

struct ast *
parse_system_var(struct parse *p)
{
	struct ast *n = node_token(p, AST_SYSTEM_VAR);

	while (skip(p, '.'))
		node_add(n, at_kw(p, KW_DEFAULT) ? node_token(p, AST_NAME) : parse_name(p));
	return node_end(p, n);
}

static struct ast *
user_var(struct parse *p)
{
	struct ast *v = node_token(p, AST_USER_VAR);

	if (!at(p, TOK_ASSIGN))
		return v;
	struct ast *n = node_around(p, AST_ASSIGN_VAR, v);

	parse_next(p);
	node_add(n, parse_expr(p));
	return node_end(p, n);
}

/* NEXT VALUE FOR s, PREVIOUS VALUE FOR s */
static struct ast *
sequence_value(struct parse *p)
{
	struct ast *n = node_new(p, AST_SEQ_VALUE);

	n->op = p->t.kw;
	parse_next(p);
	parse_next(p);
	parse_want_kw(p, KW_FOR, "FOR");
	node_add(n, parse_table(p, false));
	return node_end(p, n);
}

static struct ast *
odbc(struct parse *p)
{
	struct ast *n = node_new(p, AST_ODBC);

	parse_next(p);
	node_add(n, parse_name(p));
	node_add(n, parse_expr(p));
	parse_want(p, '}', "}");
	return node_end(p, n);
}

static struct ast *
default_value(struct parse *p)
{
	struct ast *n = node_new(p, AST_DEFAULT);

	n->op = p->t.kw;
	parse_next(p);
	if (skip(p, '(')) {
		node_add(n, parse_ref(p));
		parse_want(p, ')', ")");
	}
	return node_end(p, n);
}

static struct ast *
exists(struct parse *p)
{
	struct ast *n = node_new(p, AST_EXISTS);

	parse_next(p);
	node_add(n, subquery(p));
	return node_end(p, n);
}

static struct ast *
row(struct parse *p)
{
	struct ast *n = node_new(p, AST_ROW);

	parse_next(p);
	parse_want(p, '(', "(");
	parse_exprs(p, n);
	parse_want(p, ')', ")");
	return node_end(p, n);
}

/* An operand that begins with a keyword. NULL: the keyword is a name here. */
static struct ast *
keyword_operand(struct parse *p)
{
	u8 behind;

	switch (p->t.kw) {
	case KW_NULL: case KW_TRUE: case KW_FALSE:
		return keyword_literal(p);
	case KW_DATE: case KW_TIME: case KW_TIMESTAMP:
		return parse_ahead(p)->kind == TOK_STRING ? literal(p) : NULL;
	case KW_CASE:
		return case_when(p);
	case KW_EXISTS:
		return exists(p);
	case KW_INTERVAL:
		return interval(p);
	case KW_MATCH:
		return match(p);
	case KW_DEFAULT: case KW_IGNORE:
		return default_value(p);
	case KW_NEXT: case KW_PREVIOUS:
		return ahead_kw(p, KW_VALUE) ? sequence_value(p) : NULL;
	case KW_ROW:
		return parse_ahead(p)->kind == '(' ? row(p) : NULL;
	case KW_CURRENT_DATE: case KW_CURRENT_TIME: case KW_CURRENT_TIMESTAMP: case KW_CURRENT_USER: case KW_CURRENT_ROLE:
	case KW_LOCALTIME: case KW_LOCALTIMESTAMP: case KW_UTC_DATE: case KW_UTC_TIME: case KW_UTC_TIMESTAMP:
		return keyword_call(p);
	default:
		behind = parse_ahead(p)->kind;
		if (p->t.word->class == WORD_RESERVED && (p->t.word->form != FN_NONE || p->t.kw == KW_VALUES) && behind == '(')
			return keyword_call(p);
		if (p->t.kw == KW_ROW_NUMBER)
			return keyword_call(p);
		return NULL;
	}
}

static struct ast *
operand(struct parse *p)
{
	struct ast *n;

	switch (p->t.kind) {
	case TOK_INT: case TOK_DECIMAL: case TOK_FLOAT: case TOK_HEX: case TOK_BIT: case TOK_STRING:
		return literal(p);
	case '?':
		return node_token(p, AST_PARAM);
	case '(':
		return parentheses(p);
	case '{':
		return odbc(p);
	case TOK_USER_VAR:
		return user_var(p);
	case TOK_SYSTEM_VAR:
		return parse_system_var(p);
	case TOK_OPERATOR:
		if (p->l.text[p->t.off] == '\\') {
			n = node_token(p, AST_LITERAL); /* \N */
			n->op = KW_NULL;
			return n;
		}
		break;
	case TOK_WORD:
		if (is_introducer(p))
			return literal(p);
		if (p->t.kw != NO_KW && (n = keyword_operand(p)) != NULL)
			return n;
		break;
	default:
		break;
	}
	if (at_name(p) || at(p, '.'))
		return name_or_call(p);
	parse_fail(p, "an expression");
	return node_new(p, AST_LITERAL);
}

static struct ast *
unary(struct parse *p, enum ast_op op, int right)
{
	struct ast *n = node_new(p, AST_UNARY);

	n->op = (u16)op;
	parse_next(p);
	node_add(n, strength(p, right));
	return node_end(p, n);
}

static struct ast *
prefixed(struct parse *p)
{
	switch (p->t.kind) {
	case '-': return unary(p, OP_NEG, S_UNARY);
	case '+': return unary(p, OP_PLUS, S_UNARY);
	case '~': return unary(p, OP_BIT_NOT, S_UNARY);
	case '!': return unary(p, OP_NOT, S_UNARY);
	case TOK_WORD:
		if (p->t.kw == KW_NOT)
			return unary(p, OP_NOT, (p->mode & LEX_HIGH_NOT) != 0 ? S_UNARY : S_NOT);
		if (p->t.kw == KW_BINARY)
			return unary(p, OP_TO_BINARY, S_UNARY);
		break;
	default:
		break;
	}
	return operand(p);
}

/* ---- operators ---- */

/* Two and three characters, as an integer. */
#define C2(a, b) ((u32)(a) << 8 | (u32)(b))

static enum ast_op
operator_token(const struct parse *p, int *s_r)
{
	const u8 *c = p->l.text + p->t.off;

	*s_r = S_COMPARE;
	switch (C2(c[0], c[1])) {
	case C2('<', '='): return p->t.len == 3 ? OP_NULL_EQ : OP_LE;
	case C2('>', '='): return OP_GE;
	case C2('<', '>'): case C2('!', '='): return OP_NE;
	case C2('<', '<'): *s_r = S_SHIFT; return OP_SHL;
	case C2('>', '>'): *s_r = S_SHIFT; return OP_SHR;
	case C2('&', '&'): *s_r = S_AND; return OP_AND;
	case C2('|', '|'):
		*s_r = (p->mode & LEX_PIPES_AS_CONCAT) != 0 ? S_CONCAT : S_OR;
		return *s_r == S_OR ? OP_OR : OP_CONCAT;
	case C2('-', '>'): *s_r = S_COLLATE; return p->t.len == 3 ? OP_JSON_TEXT : OP_JSON;
	default: return OP_NONE;
	}
}

/* The binary operator looked at, and its strength. */
static enum ast_op
operator(const struct parse *p, int *s_r)
{
	switch (p->t.kind) {
	case '=': *s_r = S_COMPARE; return OP_EQ;
	case '<': *s_r = S_COMPARE; return OP_LT;
	case '>': *s_r = S_COMPARE; return OP_GT;
	case '|': *s_r = S_BIT_OR; return OP_BIT_OR;
	case '&': *s_r = S_BIT_AND; return OP_BIT_AND;
	case '+': *s_r = S_ADD; return OP_ADD;
	case '-': *s_r = S_ADD; return OP_SUB;
	case '*': *s_r = S_MUL; return OP_MUL;
	case '/': *s_r = S_MUL; return OP_DIV;
	case '%': *s_r = S_MUL; return OP_MOD;
	case '^': *s_r = S_BIT_XOR; return OP_BIT_XOR;
	case TOK_OPERATOR: return operator_token(p, s_r);
	case TOK_WORD:
		switch (p->t.kw) {
		case KW_OR: *s_r = S_OR; return OP_OR;
		case KW_XOR: *s_r = S_XOR; return OP_XOR;
		case KW_AND: *s_r = S_AND; return OP_AND;
		case KW_DIV: *s_r = S_MUL; return OP_INT_DIV;
		case KW_MOD: *s_r = S_MUL; return OP_MOD;
		default: return OP_NONE;
		}
	default: return OP_NONE;
	}
}

static struct ast *
is_test(struct parse *p, struct ast *left)
{
	struct ast *n = node_around(p, AST_IS, left);

	parse_next(p);
	if (skip_kw(p, KW_NOT))
		n->flags = AST_NOT;
	n->op = p->t.kw;
	if (at(p, TOK_OPERATOR) && p->l.text[p->t.off] == '\\')
		n->op = KW_NULL;
	else if (!at_kw(p, KW_NULL) && !at_kw(p, KW_TRUE) && !at_kw(p, KW_FALSE) && !at_kw(p, KW_UNKNOWN) && !at_kw(p, KW_JSON))
		parse_fail(p, "NULL, TRUE, FALSE or UNKNOWN");
	parse_next(p);
	return node_end(p, n);
}

static struct ast *
in_list(struct parse *p, struct ast *left, bool not)
{
	struct ast *n = node_around(p, AST_IN, left), *e;

	n->flags = not ? AST_NOT : 0;
	parse_next(p);
	if (!at(p, '(')) {
		parse_fail(p, "(");
		return n;
	}
	e = parentheses(p);
	if (e->kind == AST_SUBQUERY) {
		node_add(n, e);
	} else {
		for (struct ast *c = e->first, *next; c != NULL; c = next) {
			next = c->next;
			node_add(n, c);
		}
	}
	return node_end(p, n);
}

static struct ast *
between(struct parse *p, struct ast *left, bool not)
{
	struct ast *n = node_around(p, AST_BETWEEN, left);

	n->flags = not ? AST_NOT : 0;
	parse_next(p);
	node_add(n, strength(p, S_BIT_OR));
	parse_want_kw(p, KW_AND, "AND");
	node_add(n, strength(p, S_BETWEEN));
	return node_end(p, n);
}

static struct ast *
like(struct parse *p, struct ast *left, bool not)
{
	struct ast *n = node_around(p, AST_LIKE, left);

	n->flags = not ? AST_NOT : 0;
	n->op = p->t.kw == KW_RLIKE ? KW_REGEXP : p->t.kw;
	parse_next(p);
	if (n->op == KW_SOUNDS)
		parse_want_kw(p, KW_LIKE, "LIKE");
	node_add(n, strength(p, S_BIT_OR));
	if (n->op == KW_LIKE && skip_kw(p, KW_ESCAPE))
		node_add(n, strength(p, S_UNARY));
	return node_end(p, n);
}

/* IN, BETWEEN, LIKE and their like, with NOT in front or not. NULL: none of them, or not strong enough. */
static struct ast *
predicate(struct parse *p, struct ast *left, int least)
{
	bool not = at_kw(p, KW_NOT);
	enum kw kw = not ? parse_ahead(p)->kw : p->t.kw;
	int s = kw == KW_BETWEEN ? S_BETWEEN : S_LIKE;

	if ((kw != KW_IN && kw != KW_BETWEEN && kw != KW_LIKE && kw != KW_REGEXP && kw != KW_RLIKE &&
	        (kw != KW_SOUNDS || not || !ahead_kw(p, KW_LIKE))) ||
	    s < least)
		return NULL;
	if (not)
		parse_next(p);
	return kw == KW_IN ? in_list(p, left, not) : kw == KW_BETWEEN ? between(p, left, not) : like(p, left, not);
}

static struct ast *
quantified(struct parse *p, struct ast *left, enum ast_op op)
{
	struct ast *n = node_around(p, AST_QUANTIFIED, left);

	n->op = (u16)op;
	n->flags = at_kw(p, KW_ALL) ? AST_ALL : 0;
	parse_next(p);
	node_add(n, subquery(p));
	return node_end(p, n);
}

static struct ast *
binary(struct parse *p, struct ast *left, enum ast_op op, int s)
{
	struct ast *n;

	parse_next(p);
	if (s == S_COMPARE && (at_kw(p, KW_ALL) || at_kw(p, KW_ANY) || at_kw(p, KW_SOME)) && parse_ahead(p)->kind == '(')
		return quantified(p, left, op);
	/* a AND b AND c: one node */
	n = left->kind == AST_BINARY && left->op == op && (s < S_COMPARE || s == S_ADD || s == S_CONCAT) ?
	    left : node_around(p, AST_BINARY, left);
	n->op = (u16)op;
	node_add(n, strength(p, s + 1));
	return node_end(p, n);
}

/* Operators of at least this strength behind left. */
static struct ast *
climb(struct parse *p, struct ast *left, int least)
{
	for (;;) {
		int s = 0;
		enum ast_op op = operator(p, &s);
		struct ast *n;

		if (op != OP_NONE) {
			if (s < least)
				return left;
			left = binary(p, left, op, s);
		} else if (!at(p, TOK_WORD)) {
			return left;
		} else if (at_kw(p, KW_IS)) {
			if (S_IS < least)
				return left;
			left = is_test(p, left);
		} else if (at_kw(p, KW_COLLATE)) {
			left = node_around(p, AST_COLLATE, left);
			parse_next(p);
			node_add(left, at_kw(p, KW_DEFAULT) || at(p, TOK_STRING) || at_kw(p, KW_BINARY) ?
			    node_token(p, AST_NAME) : parse_name(p));
			node_end(p, left);
		} else if (at_word(p, "member") && ahead_kw(p, KW_OF)) { /* MySQL 8: value MEMBER OF (document) */
			left = node_around(p, AST_BINARY, left);
			left->op = OP_JSON;
			parse_next(p);
			parse_next(p);
			node_add(left, strength(p, S_LIKE + 1));
			node_end(p, left);
		} else if ((n = predicate(p, left, least)) != NULL) {
			left = n;
		} else {
			return left;
		}
	}
}

static struct ast *
strength(struct parse *p, int least)
{
	parse_down(p);
	struct ast *n = climb(p, prefixed(p), least);

	parse_up(p);
	return n;
}
