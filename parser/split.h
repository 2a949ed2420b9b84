/* parser/split.h: where the statements of a text begin and end, as the server cuts it. Pure: no allocation, no clock, no
 * globals.
 */
#ifndef MARGAY_PARSER_SPLIT_H
#define MARGAY_PARSER_SPLIT_H
#include "parser/lex.h"

struct split_part {
	u32 off, len; /* without the semicolon; blanks in front of it are left out, comments are part of it */
	u16 kw;       /* the word that it begins with, behind parentheses; of a query in parentheses too */
};

/* Cuts the text. Returns how many statements it has; 0: there are more than `most`, or it is not certain that the server
 * would cut it so, or an empty one is among them (behind which nothing runs, or which has a reply of its own). Blanks and
 * semicolons at the end of the text make no statement: servers cut them off first.
 * What a statement is apart from its beginning is not looked at: one that the server does not understand ends all. */
u32 split_text(const void *text, size_t len, u32 lex_mode, struct split_part *part, u32 most);
#endif
