/* conf/text.h: values as they stand in the file: quotes, escapes, comments, lists. Pure; master and
 * tools. The error texts never show the value, which may be a password.
 *
 *   bare value     to the end of the line, blanks at its ends cut; " ;" (blank, semicolon) starts a
 * comment "quoted value" \" \\ and \{ stand for the character; nothing else is special; then blanks
 * or a comment list           such values separated by commas or by going on on the next, indented
 * line
 */
#ifndef MARGAY_CONF_TEXT_H
#define MARGAY_CONF_TEXT_H
#include "conf/mem.h"

struct text_value {
	const char *p; /* NUL-terminated, in mem */
	u32 len;
	bool quoted;
	bool literal_brace; /* its first character was written \{ */
};

/* Decodes the one value of a raw line. secret: a comment after a bare value is refused, as it could
 * as well be part of the password. Returns NULL, or what is wrong (static text); an empty bare
 * value is wrong. */
const char *text_scalar(struct mem *m, const char *raw, size_t len, bool secret,
			struct text_value *v_r);
/* The next item of a list at *at (start with 0). Returns NULL with v_r->p NULL at the end of the
 * line; *comma_r tells whether a comma stands before that end. */
const char *text_item(struct mem *m, const char *raw, size_t len, size_t *at,
		      struct text_value *v_r, bool *comma_r);
/* Is the value still to come: nothing but a comment here, or a comma at the end? */
bool text_is_open(const char *raw, size_t len);
/* A word in quotes or up to a blank or one of `stop`; for section headers. */
const char *text_word(struct mem *m, const char *raw, size_t len, size_t *at, const char *stop,
		      struct text_value *v_r);
/* Only blanks and a comment from `at` on? */
bool text_only_comment(const char *raw, size_t len, size_t at);
#endif
