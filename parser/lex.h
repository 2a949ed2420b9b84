/* parser/lex.h: the lexer of MariaDB's SQL: text to tokens, one at a time. Pure: no allocation, no
 * copy, reads only the bytes it is given. White space and comments are skipped; the contents of
 * executable comments are tokens. A lexer is a small value: copy it to look ahead.
 */
#ifndef MARGAY_PARSER_LEX_H
#define MARGAY_PARSER_LEX_H
#include "base/base.h"
#include "parser/words.h"

/* Kinds of tokens. Punctuation of one character is its own ASCII code. */
enum tok_kind {
	TOK_END, /* end of the text, again and again */
	TOK_BAD, /* no token: an unclosed string or comment, a NUL, a control character; the text
		    ends here */
	TOK_WORD =
	    128,      /* a keyword, function or name without quotes; `word` if it is one of tbl/ */
	TOK_QUOTED,   /* `name`, or "name" with LEX_ANSI_QUOTES */
	TOK_STRING,   /* '..' ".." N'..'; an introducer such as _utf8 is a word of its own */
	TOK_INT,      /* 12 */
	TOK_DECIMAL,  /* 1.5 .5 1. */
	TOK_FLOAT,    /* 1e5 */
	TOK_HEX,      /* 0x1F x'1F' */
	TOK_BIT,      /* 0b01 b'01' */
	TOK_USER_VAR, /* @a @'a' @`a` */
	TOK_SYSTEM_VAR, /* @@a @@`a`: up to the first point; what follows are tokens of their own */
	TOK_ASSIGN,     /* := */
	TOK_OPERATOR    /* <= >= <> != <=> << >> && || -> ->> \N */
};

struct tok {
	const struct word *word; /* TOK_WORD: its row of tbl/, or NULL */
	u32 off, len;            /* span in the text, quotes and prefixes included */
	u16 kw;                  /* TOK_WORD: enum kw, NO_KW after a point */
	u8 kind;
	u8 after_point; /* TOK_WORD: written right after a point, so never a keyword */
};

/* What was met on the way, or-ed together. */
#define LEX_S_DOUBT 1u /* bytes that the server may split otherwise, as its character set decides  \
			*/
#define LEX_S_HINT_PRIMARY 2u /* comment: margay: primary */
#define LEX_S_HINT_REPLICA 4u
#define LEX_S_HINT_SERVER  8u /* comment: margay: server=NAME: hint_off, hint_len */

struct lex {
	const u8 *text, *cur, *end;
	const u8 *name_end; /* where the last TOK_WORD ended: a point there is a separator, not a
			       decimal point */
	u32 mode;           /* LEX_* of parser/stmt.h, LEX_SKIP_VERSIONED */
	u32 seen;           /* LEX_S_* */
	u32 hint_off, hint_len; /* the name in the last server=NAME */
	u32 mask_off;       /* of the ! of the first MyCat hint that a server would run; 0: none */
	u32 versioned;      /* executable comments that some servers run and others skip */
	bool in_code;       /* inside an executable comment */
	bool after_point;
};

/* Beside the modes of parser/stmt.h: executable comments that depend on the server's kind and
 * version (a version of 50700 or more, or M!) are comments, not code.
 */
#define LEX_SKIP_VERSIONED 0x100u

/* Text of at most 4 GiB - 1. */
void lex_init(struct lex *l, const void *text, size_t len, u32 mode);
/* Reads the next token. */
void lex_next(struct lex *l, struct tok *t);
/* The name within a TOK_WORD, TOK_QUOTED or TOK_SYSTEM_VAR, without quotes and @@; doubled quotes
 * stay doubled. */
struct slice tok_name(const struct lex *l, const struct tok *t);
#endif
