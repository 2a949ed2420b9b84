/* parser/plankey.h: the second key of a statement, beside its digest: what a plan for it may be kept under. It folds nothing that
 * a plan may depend on: all tokens in their order, names and variables as they are written, the kinds of literals, the lexer's
 * mode. Left out are white space, comments, the case of keywords and what the literals say; of these the tokens' spans are kept,
 * so that a plan finds its slots in the text at hand. Pure. Any process.
 */
#ifndef MARGAY_PARSER_PLANKEY_H
#define MARGAY_PARSER_PLANKEY_H
#include "parser/digest.h"
#include "parser/lex.h"

#define PLANKEY_ROOM   2048u /* bytes; a statement that needs more is parsed each time */
#define PLANKEY_TOKENS 512u

struct span {
	u32 off, len;
};

struct plankey {
	u64 hash;    /* of bytes */
	u32 len;
	u32 tokens;
	bool usable; /* else: too long, unreadable, or other texts with the same tokens may mean something else (hints, executable
	              * comments that only some servers run, bytes in doubt) */
	u8 bytes[PLANKEY_ROOM];
	struct span at[PLANKEY_TOKENS]; /* of each token in the text that was looked at */
};

/* One pass over the text for both keys; either may be NULL. As digest_make. */
void shape_make(const void *text, size_t len, u32 lex_mode, struct digest *d_r, struct plankey *k_r);

/* First byte of each token: ASCII punctuation as it is; 0x80 and above: the high byte of a keyword's number. */
enum plankey_tag {
	KEY_NAME = 1,  /* length, bytes as written */
	KEY_VARIABLE,  /* the same */
	KEY_OPERATOR,  /* length, bytes */
	KEY_ASSIGN,
	KEY_CALL,      /* an opening parenthesis right behind a word that is a function only so */
	KEY_LITERAL = 0x10, /* plus the token's kind less TOK_STRING; 8 more for N'..', 0x.. and 0b.. */
};
#endif
