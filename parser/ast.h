/* parser/ast.h: the syntax tree of statements. Made by ast_parse from the lexer's tokens; every node has its span in the
 * text. Statements are changed by splicing spans of the text, never by printing the tree. Pure: the memory is the caller's
 * arena; no clock, no globals. Any process.
 */
#ifndef MARGAY_PARSER_AST_H
#define MARGAY_PARSER_AST_H
#include "base/arena.h"
#include "parser/lex.h"

enum ast_kind {
#define NODE(sym, word, children) AST_##sym,
#include "tbl/nodes.def"
#undef NODE
	AST_KINDS
};

/* Operators of AST_BINARY, AST_UNARY and AST_QUANTIFIED. */
enum ast_op {
	OP_NONE,
	OP_OR, OP_XOR, OP_AND,
	OP_EQ, OP_NULL_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, /* comparisons: in one row */
	OP_BIT_OR, OP_BIT_AND, OP_SHL, OP_SHR, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_INT_DIV, OP_MOD, OP_BIT_XOR,
	OP_CONCAT,            /* || with LEX_PIPES_AS_CONCAT */
	OP_JSON, OP_JSON_TEXT, /* -> and ->> */
	OP_NOT, OP_NEG, OP_PLUS, OP_BIT_NOT, OP_TO_BINARY, /* of one operand; ! is OP_NOT too */
	OP_COUNT
};

/* Flags; those of one row belong to nodes of different kinds. */
#define AST_NOT       0x01u
#define AST_ALL       0x01u
#define AST_DISTINCT  0x02u
#define AST_RECURSIVE 0x01u
#define AST_STRAIGHT  0x04u
#define AST_CALC      0x08u /* SQL_CALC_FOUND_ROWS */
#define AST_NATURAL   0x01u
#define AST_ROLLUP    0x01u
#define AST_DESC      0x01u
#define AST_FETCH     0x01u
#define AST_TIES      0x02u
#define AST_EXAMINED  0x04u
#define AST_IGNORE    0x04u /* INSERT, UPDATE, DELETE, LOAD .. IGNORE */
#define AST_MULTI     0x08u /* UPDATE or DELETE of the form for several tables */
#define AST_HISTORY   0x10u /* DELETE HISTORY */
#define AST_LOCAL     0x08u
#define AST_TEMPORARY 0x01u
#define AST_IF        0x02u /* IF EXISTS, IF NOT EXISTS */
#define AST_LIKE      0x04u
#define AST_OR_REPLACE 0x08u
#define AST_AUTO_INC  0x01u
#define AST_KEY       0x02u /* PRIMARY KEY */
#define AST_UNIQUE    0x04u
#define AST_GLOBAL    0x01u /* of an assignment in SET */
#define AST_PLAIN     0x01u /* a row of literals and parameters, of which only the span is kept */

struct ast {
	u8 kind;      /* enum ast_kind */
	u8 flags;     /* AST_* above */
	u16 op;       /* enum kw or enum ast_op, as tbl/nodes.def says */
	u32 off, len; /* span in the text */
	u32 n;        /* children */
	u16 height;   /* of the tree below: 0 without children; at most AST_HEIGHT */
	struct ast *first, *last; /* children */
	struct ast *next;         /* sibling */
};

enum ast_verdict {
	AST_OK,
	AST_SYNTAX, /* not understood at err_off: either an error of the text, or grammar that is not covered */
	AST_DEEP,   /* nested deeper than AST_DEPTH */
	AST_FULL    /* the arena is full */
};

/* Deepest nesting of expressions, queries and joins: a level takes about half a KiB of stack. MariaDB gives up at a depth of
 * some thousands, by its thread_stack. */
#define AST_DEPTH 800
/* Highest tree, so that it can be walked by recursion: a row of operators of the same strength grows to the left without
 * nesting. (One and the same operator again and again makes one node.) */
#define AST_HEIGHT 4000

/* Rows of VALUES that have their values as children; those behind them that are literals alone are AST_PLAIN: an INSERT of
 * megabytes costs a node for each row. */
#define AST_ROWS_WHOLE 16u

struct ast_result {
	enum ast_verdict verdict;
	u32 err_off;       /* of the token that did not fit */
	const char *wanted; /* what was expected there, for people; constant text */
	struct ast *first, *last; /* statements, in order; on an error those before it */
	u32 statements;
	u32 params;        /* parameter markers in all */
	u32 nodes;
	u32 versioned;     /* executable comments whose contents only some servers run; they were read as code */
};

/* Beside the modes of parser/stmt.h */
#define LEX_PIPES_AS_CONCAT 0x200u /* sql_mode PIPES_AS_CONCAT */
#define LEX_HIGH_NOT        0x400u /* sql_mode HIGH_NOT_PRECEDENCE */

/* Parses all statements of the text. The tree holds no pointer into the text, and lives as long as the arena's pieces. */
enum ast_verdict ast_parse(struct arena *a, const void *text, size_t len, u32 mode, struct ast_result *r);
const char *ast_word(enum ast_kind k);
/* The first child of a kind, or NULL. */
struct ast *ast_child(const struct ast *n, enum ast_kind k);
/* As an s-expression, for tests and people: at most size - 1 bytes and a NUL; returns how many it would have been. */
size_t ast_print(const struct ast *n, const void *text, char *buf, size_t size);
#endif
