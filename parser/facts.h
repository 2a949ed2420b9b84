/* parser/facts.h: what the statements of a text touch: tables, functions, values that differ from call to call. Made by
 * stmt_understand together with the verdict of parser/stmt.h. Pure. Any process.
 */
#ifndef MARGAY_PARSER_FACTS_H
#define MARGAY_PARSER_FACTS_H
#include "base/arena.h"
#include "parser/stmt.h"

/* Spans in the text, with the quotes, if any; schema_len 0: the session's default. */
struct stmt_name {
	u32 schema_off, schema_len;
	u32 off, len;
};

#define STMT_T_READ  1u
#define STMT_T_WRITE 2u /* rows of it are inserted, changed or deleted */
#define STMT_T_LOCK  4u /* FOR UPDATE, LOCK IN SHARE MODE, LOCK TABLES */
#define STMT_T_DDL   8u /* made, changed, renamed or dropped; also ANALYZE, OPTIMIZE and their like */

struct stmt_table {
	struct stmt_name name;
	u32 alias_off, alias_len; /* 0: none */
	u32 access;               /* STMT_T_*, or-ed */
};

/* All statements of the text are covered by the grammar (tbl/nodes.def: OTHER is not), and tables and calls are all of those that stand in it. What runs
 * elsewhere because of it (routines, triggers, views, prepared text) is not in it. */
#define STMT_K_WHOLE  1u
/* It would be a read but for calls of functions that are not built in. */
#define STMT_K_READ_BUT_CALLS 2u
/* PIN_ROUTINE stands for such calls and nothing else. */
#define STMT_K_PIN_BY_CALLS 4u
#define STMT_K_TIME   8u  /* NOW() and its like: one value for the statement */
#define STMT_K_ASKS_ID 32u /* LAST_INSERT_ID() stands in it */
#define STMT_K_WHY 16 /* bits from here on: why it is no read beside those calls, with STMT_K_PIN_BY_CALLS; enum route_reason */
#define STMT_K_RANDOM 16u /* RAND(), UUID(), SYSDATE() and their like: another value with each call */

struct stmt_facts {
	u32 flags;            /* STMT_K_* */
	u32 ntables, ncalls;
	u32 captables, capcalls;
	struct stmt_table *tables; /* in the order of the text; the same table as often as it stands there */
	struct stmt_name *calls;   /* functions that are not built in, and procedures of CALL */
	u32 nodes;
};

/* Most memory for the tree of one text: some 70,000 nodes; what is longer is not covered. (A statement of everyday size needs
 * one or two KiB. Rows of INSERT beyond the first few cost a node each, whatever their values.) */
#define STMT_ARENA (4u << 20)

/* As stmt_classify; a is where the tree and the facts are put, and belongs to the caller: nothing in it is freed. When it is
 * full, the text counts as not covered. facts_r may be NULL. */
void stmt_understand(struct arena *a, const void *text, size_t len, u32 lex_mode, struct stmt *st_r, struct stmt_facts *facts_r);
/* The calls are all of functions that leave no state and write nothing, as the caller knows from elsewhere. facts: STMT_K_* of
 * the same text. */
void stmt_calls_are_harmless(struct stmt *st, u32 facts);
#endif
