/* parser/stmt.h: what a statement is and what it leaves behind, from one pass of the lexer over its text.
 * Pure: no allocation, no clock, no globals. Doubt is always resolved towards the primary and towards keeping
 * the connection: a wrong "read" or a wrong "clean" would be a wrong answer.
 */
#ifndef MARGAY_PARSER_STMT_H
#define MARGAY_PARSER_STMT_H
#include "base/base.h"
#include "base/reasons.h"

enum stmt_kind {
	STMT_EMPTY,   /* nothing but comments and white space */
	STMT_OTHER,   /* understood by its verb only, or not at all */
	STMT_SELECT,  /* SELECT, VALUES, TABLE, WITH ... SELECT, parenthesised */
	STMT_SHOW,
	STMT_EXPLAIN, /* EXPLAIN, DESCRIBE, ANALYZE of a statement */
	STMT_INSERT, STMT_UPDATE, STMT_DELETE, STMT_REPLACE, STMT_LOAD, /* DML */
	STMT_DDL,     /* CREATE, ALTER, DROP, RENAME, TRUNCATE, ... */
	STMT_CALL,
	STMT_DO,
	STMT_SET,     /* SET of session variables, names, passwords, roles, ... */
	STMT_SET_TRX, /* SET TRANSACTION without SESSION or GLOBAL: holds for the next one */
	STMT_USE,     /* `arg` is the database name as written (with its quotes, if any) */
	STMT_BEGIN,   /* BEGIN [WORK], START TRANSACTION */
	STMT_COMMIT, STMT_ROLLBACK, STMT_SAVEPOINT,
	STMT_XA,
	STMT_LOCK, STMT_UNLOCK, /* LOCK TABLES, FLUSH TABLES WITH READ LOCK / UNLOCK TABLES */
	STMT_PREPARE, STMT_EXECUTE, STMT_DEALLOCATE,
	STMT_HANDLER,
	STMT_KILL,        /* num: id; flags KILL_QUERY, KILL_SOFT; `arg` empty unless KILL is of another form */
	STMT_PROCESSLIST, /* SHOW [FULL] PROCESSLIST, nothing else in the text */
	STMT_KINDS
};

/* flags */
#define STMT_F_READ       0x00000001u /* may run on a replica: see `why` otherwise */
#define STMT_F_MULTI      0x00000002u /* more than one statement in the text */
#define STMT_F_DIAG       0x00000004u /* asks for the diagnostics of the statement before: SHOW WARNINGS/ERRORS/
                                       * COUNT(*) of them, GET DIAGNOSTICS, @@warning_count, @@error_count,
                                       * ROW_COUNT(), RESIGNAL */
#define STMT_F_FOUND_ROWS 0x00000008u /* calls FOUND_ROWS() */
#define STMT_F_CALC_ROWS  0x00000010u /* SQL_CALC_FOUND_ROWS */
#define STMT_F_INSERT_ID  0x00000020u /* LAST_INSERT_ID() without argument, @@last_insert_id, @@identity; a routine
                                       * (PIN_ROUTINE), which may ask for it as well */
#define STMT_F_DML        0x00000040u /* may fire triggers */
#define STMT_F_SECRET     0x00000080u /* may hold a password: IDENTIFIED, PASSWORD, MASTER_PASSWORD, ... */
#define STMT_F_USER_VAR   0x00000100u /* a user variable occurs */
#define STMT_F_FULL       0x00000200u /* SHOW FULL PROCESSLIST */
#define STMT_F_KILL_QUERY 0x00000400u
#define STMT_F_KILL_SOFT  0x00000800u
#define STMT_F_ENDS_TRX   0x00001000u /* COMMIT, ROLLBACK, DDL with implicit commit */
#define STMT_F_IMPLICIT_COMMIT 0x00002000u
#define STMT_F_CHAIN      0x00004000u /* AND CHAIN: a new transaction is open at once */
#define STMT_F_RELEASE    0x00008000u /* RELEASE: the server closes the connection */
#define STMT_F_TRX_RO     0x00010000u /* START TRANSACTION READ ONLY */
#define STMT_F_HINT_PRIMARY 0x00020000u /* comment hint: margay: primary */
#define STMT_F_HINT_REPLICA 0x00040000u /* comment hint: margay: replica */
#define STMT_F_TEMP       0x00080000u /* CREATE TEMPORARY or DROP TEMPORARY */
#define STMT_F_LOCAL_FILE 0x00100000u /* LOAD ... LOCAL INFILE */
#define STMT_F_SESSION_FN 0x00200000u /* CONNECTION_ID() or another function whose value is the connection's */
#define STMT_F_INTO       0x00400000u /* SELECT ... INTO @var / OUTFILE / DUMPFILE */
#define STMT_F_TABLES     0x01000000u /* a FROM outside of parentheses that is not FROM DUAL: running it empties the
                                       * diagnostics area; a SELECT without tables leaves it as it is (measured) */
#define STMT_F_LEAVES_ID  0x02000000u /* leaves an insert id that its reply does not tell (measured): INSERT and
                                       * REPLACE ... RETURNING; LAST_INSERT_ID(expr) outside of INSERT, REPLACE and
                                       * UPDATE; SET last_insert_id. PIN_SYSVAR is set for it */
#define STMT_F_HINT_SERVER 0x04000000u /* comment hint: margay: server=NAME; `hint` is the name */
#define STMT_F_STATE_READ 0x08000000u /* a SELECT, SHOW or EXPLAIN that is no read only because it asks what differs from
                                       * server to server (variables, information_schema): a hint may send it anywhere */
#define STMT_F_MARGAY     0x10000000u /* sets or reads a system variable margay_* */
#define STMT_F_DEFAULTS   0x40000000u /* changes what new connections begin with: accounts, privileges, roles, global
                                       * variables */
#define STMT_F_SET_STATEMENT 0x80000000u /* SET STATEMENT .. FOR: the status flags of its reply may hold for it alone */
#define STMT_F_OFFSET     0x20000000u /* LIMIT with an offset: FOUND_ROWS() may count the rows left out too (measured) */
#define STMT_F_HINTS      (STMT_F_HINT_PRIMARY | STMT_F_HINT_REPLICA | STMT_F_HINT_SERVER)
#define STMT_F_TRACKER    0x00800000u /* sets or reads session_track_* variables */

struct stmt {
	u32 mask_off;           /* a byte of MyCat's hint comments (the !) that must be a blank before a server sees it; 0: none */
	u32 flags;
	u64 pins;               /* bit (1 << PIN_x) for each kind of state it may leave on the connection */
	enum stmt_kind kind;    /* of the first statement that is not empty */
	enum route_reason why;  /* why it is not a read; ROUTE_READ when STMT_F_READ */
	u64 num;                /* KILL: id */
	u32 arg_off, arg_len;   /* USE: span of the name */
	u32 hint_off, hint_len; /* HINT_SERVER: span of the name */
};

/* Lexer modes, from the session's status flags and character set. */
#define LEX_ANSI_QUOTES          1u /* "x" is an identifier */
#define LEX_NO_BACKSLASH_ESCAPES 2u
#define LEX_UNSAFE_CHARSET       4u /* a multi-byte character may end in a backslash or quote byte, and which is not known
                                     * (gb18030): nothing but the verb is trusted, so the statement is no
                                     * read and pins with PIN_UNKNOWN */
#define LEX_TRUNCATED            8u /* the text is only the beginning of the statement: no read, PIN_LONG */

/* Character sets of two bytes, whose second may look like ASCII, a backslash or a backquote among it. At most one. */
#define LEX_BIG5 0x10u
#define LEX_SJIS 0x20u /* cp932 too */
#define LEX_GBK  0x40u
#define LEX_TWO_BYTES (LEX_BIG5 | LEX_SJIS | LEX_GBK)
/* The mode for a character set or a collation of a client, by its name; 0: ASCII bytes are ASCII in it. */
u32 lex_mode_of_charset(const void *name, size_t len);

/* Looks through `len` bytes of text. Never fails: what is not understood says so in kind, why and pins. */
void stmt_classify(const void *text, size_t len, u32 lex_mode, struct stmt *st_r);
/* The account in KILL .. USER, of the `arg` of a STMT_KILL: user_r empty (NULL) for CURRENT_USER, host_r empty if none is named.
 * Both point into arg. False: it is no such KILL, or not one that is easily read. */
bool stmt_kill_user(const void *arg, size_t len, u32 lex_mode, struct slice *user_r, struct slice *host_r);
const char *stmt_kind_word(enum stmt_kind k);
/* information_schema, performance_schema, mysql, sys: their tables describe one server. A SELECT that names them with
 * a point is no read; one in a session whose default schema is one of them must be sent to the primary by the caller.
 */
bool stmt_schema_is_local(const void *name, size_t len);
#endif
