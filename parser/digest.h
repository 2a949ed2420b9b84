/* parser/digest.h: the shape of a statement: its text without literals, comments and white space, and a hash of that. Two
 * statements have one shape when performance_schema.events_statements_summary_by_digest of MariaDB 10.11 counts them as
 * one; where this differs, doc/digest.md says why. Pure: no allocation, no clock, no globals.
 */
#ifndef MARGAY_PARSER_DIGEST_H
#define MARGAY_PARSER_DIGEST_H
#include "base/base.h"

#define DIGEST_TEXT 1024 /* of the shape's text that is kept: as much as the server's own default (max_digest_length) */
#define DIGEST_ROOM 4096 /* what one statement in a thousand is longer than is hashed in pieces */

struct digest {
	u64 hash;  /* of the whole shape, however long; 0 for a text without any token */
	u64 total; /* bytes of the whole shape */
	u32 len;   /* bytes in text: total, or DIGEST_TEXT */
	u8 text[DIGEST_ROOM];
};

/* The shape of `len` bytes of text, in a lexer mode of parser/stmt.h. No byte of a literal gets into it: what cannot be
 * told from one (an unclosed string, LEX_UNSAFE_CHARSET with bytes of 0x80 and up) ends the shape with "...". With
 * LEX_TRUNCATED it ends behind the last token that is certain, for rows of VALUES behind the last whole one.
 */
void digest_make(const void *text, size_t len, u32 lex_mode, struct digest *d_r);
#endif
