/* parser/parse.h: the parser at work; shared by the files ast_*.c, nobody else. Pure.
 *
 * Recursive descent, one token ahead, and one more when it is asked for. After an error the token looked at is TOK_END for
 * good and every new node is the same spare one: nothing loops, and no caller has to look.
 */
#ifndef MARGAY_PARSER_PARSE_H
#define MARGAY_PARSER_PARSE_H
#include "parser/ast.h"
#include "parser/stmt.h"

struct parse {
	struct lex l;
	struct tok t;     /* looked at */
	struct tok ahead; /* the one behind it, if have_ahead */
	bool have_ahead;
	bool semicolons;  /* may be stepped over: between statements, in bodies of routines; else nobody can pass the end */
	bool in_ondup;    /* ON DUPLICATE KEY UPDATE: VALUES( is the function, not rows */
	u32 end;          /* end of the token before t */
	u32 depth;
	u32 mode;
	struct arena *a;
	struct ast_result *r;
	struct ast spare;
};

/* ---- tokens (ast.c) ---- */
void parse_next(struct parse *p);
const struct tok *parse_ahead(struct parse *p);
void parse_fail(struct parse *p, const char *wanted);
void parse_want(struct parse *p, u8 kind, const char *wanted);
void parse_want_kw(struct parse *p, enum kw kw, const char *wanted);
/* Steps over everything up to the token of kind `stop` outside of parentheses, or to the end of the statement. */
void parse_skip(struct parse *p, u8 stop1, u8 stop2);
/* The same of what has no expression in it, though types, hints and frames may look like calls of harmless functions. */
void parse_skip_plain(struct parse *p, u8 stop1, u8 stop2);

static inline bool
at(const struct parse *p, u8 kind)
{
	return p->t.kind == kind;
}
static inline bool
at_kw(const struct parse *p, enum kw kw)
{
	return p->t.kw == kw;
}
static inline bool
ahead_kw(struct parse *p, enum kw kw)
{
	return parse_ahead(p)->kw == kw;
}
static inline bool
skip(struct parse *p, u8 kind)
{
	if (p->t.kind != kind)
		return false;
	parse_next(p);
	return true;
}
static inline bool
skip_kw(struct parse *p, enum kw kw)
{
	if (p->t.kw != kw)
		return false;
	parse_next(p);
	return true;
}
static inline bool
at_stmt_end(const struct parse *p)
{
	return p->t.kind == TOK_END || p->t.kind == ';';
}
/* A word without quotes that is no keyword, compared with lower-case text. */
bool at_word(const struct parse *p, const char *lower);
static inline bool
tok_names(const struct tok *t)
{
	return t->kind == TOK_QUOTED ||
	    (t->kind == TOK_WORD && (t->word == NULL || t->word->class != WORD_RESERVED || t->after_point));
}
static inline bool
at_name(const struct parse *p)
{
	return tok_names(&p->t);
}

/* ---- nodes (ast.c) ---- */
/* Begins at the token looked at. */
struct ast *node_new(struct parse *p, enum ast_kind k);
/* Begins where `first` does, which becomes its first child. */
struct ast *node_around(struct parse *p, enum ast_kind k, struct ast *first);
void node_add(struct ast *n, struct ast *child);
/* Ends with the token before the one looked at. */
struct ast *node_end(struct parse *p, struct ast *n);
/* One token as a node. */
struct ast *node_token(struct parse *p, enum ast_kind k);
/* A level deeper, which the caller leaves again by parse_up. */
void parse_down(struct parse *p);
static inline void
parse_up(struct parse *p)
{
	p->depth--;
}

/* ---- ast_expr.c ---- */
struct ast *parse_expr(struct parse *p);
struct ast *parse_name(struct parse *p);      /* one name */
struct ast *parse_ref(struct parse *p);       /* name[.name[.name]] */
struct ast *parse_system_var(struct parse *p); /* at TOK_SYSTEM_VAR */
void parse_exprs(struct parse *p, struct ast *n); /* one or more, separated by commas */
struct ast *parse_order_items(struct parse *p, enum ast_kind k); /* behind BY */
struct ast *parse_window(struct parse *p);    /* behind the opening parenthesis, to the closing one */
struct ast *parse_limit(struct parse *p);     /* at LIMIT */

/* ---- ast_query.c ---- */
bool at_query(const struct parse *p);         /* SELECT, WITH, VALUES */
bool at_query_inside(struct parse *p);        /* the same behind one or more opening parentheses */
struct ast *parse_query(struct parse *p);
/* Goes on behind a query in parentheses, which was read as `operand`. */
struct ast *parse_query_from(struct parse *p, struct ast *operand);
struct ast *parse_items(struct parse *p);
struct ast *parse_table(struct parse *p, bool alias); /* a table's name; with what may follow in FROM, if alias */
struct ast *parse_alias(struct parse *p);     /* at AS or the name */
struct ast *parse_from(struct parse *p);      /* behind FROM */
struct ast *parse_clause(struct parse *p, enum ast_kind k); /* at its keyword: WHERE, HAVING, ON: an expression */
struct ast *parse_partitions(struct parse *p);
struct ast *parse_rows(struct parse *p, enum ast_kind k); /* at VALUES, or VALUE of INSERT */
struct ast *parse_columns(struct parse *p);   /* at the opening parenthesis */
void parse_order_limit(struct parse *p, struct ast *n);
bool at_set_op(const struct parse *p);

/* ---- ast_dml.c, ast_ddl.c, ast_stmt.c ---- */
struct ast *parse_statement(struct parse *p);
struct ast *parse_insert(struct parse *p);
struct ast *parse_update(struct parse *p);
struct ast *parse_delete(struct parse *p);
struct ast *parse_load(struct parse *p);
struct ast *parse_create(struct parse *p);
struct ast *parse_alter(struct parse *p);
struct ast *parse_drop(struct parse *p);
struct ast *parse_truncate(struct parse *p);
struct ast *parse_rename(struct parse *p);
struct ast *parse_admin(struct parse *p);     /* ANALYZE, CHECK, OPTIMIZE, REPAIR, CHECKSUM: at TABLE; FLUSH TABLES */
/* The rest of the statement as it is: known by its first keyword. */
struct ast *parse_other(struct parse *p);
#endif
