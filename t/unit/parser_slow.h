/* t/unit/parser_slow.h: a second opinion on whether a text may be a read: written without the lexer, letter by letter,
 * slow, and only able to object. Used by the property test and the fuzzer.
 */
#ifndef MARGAY_T_UNIT_PARSER_SLOW_H
#define MARGAY_T_UNIT_PARSER_SLOW_H
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "parser/stmt.h"

/* The mode of charset number n: none, big5, sjis, gbk. */
static inline u32
slow_charset(u32 n)
{
	static const u32 modes[] = {0, LEX_BIG5, LEX_SJIS, LEX_GBK};

	return modes[n & 3];
}

/* Do these two bytes make one character? */
static bool
slow_pair(u32 mode, u8 a, u8 b)
{
	if (!(mode & LEX_TWO_BYTES) || a < 0x81 || b < 0x40 || b == 0x7f || b == 0xff)
		return false;
	if (mode & LEX_BIG5)
		return a > 0xa0 && a < 0xfa && (b < 0x7f || b > 0xa0);
	if (mode & LEX_SJIS)
		return (a < 0xa0 || (a > 0xdf && a < 0xfd)) && b < 0xfd;
	return a < 0xff;
}

/* Copies text to out (three times as long as text) with strings as "S", quoted names as "Q" and comments as blanks.
 * skip: executable comments that need a certain server are comments. Returns the length, or -1 if it cannot be read.
 */
static long
slow_strip(const char *t, size_t n, u32 mode, bool skip, char *out)
{
	size_t i = 0, o = 0;
	bool code = false;

	while (i < n) {
		char c = t[i], d = i + 1 < n ? t[i + 1] : 0;

		if (c == '\'' || c == '"' || c == '`') {
			bool name = c == '`' || (c == '"' && mode & LEX_ANSI_QUOTES);

			for (i++;; i++) {
				if (i >= n)
					return -1;
				if (i + 1 < n && slow_pair(mode, (u8)t[i], (u8)t[i + 1]))
					i++;
				else if (t[i] == '\\' && !name && !(mode & LEX_NO_BACKSLASH_ESCAPES))
					i++;
				else if (t[i] == c && i + 1 < n && t[i + 1] == c)
					i++;
				else if (t[i] == c)
					break;
			}
			i++;
			out[o++] = ' ';
			out[o++] = name ? 'Q' : 'S';
			out[o++] = ' ';
			continue;
		}
		if (c == '#' || (c == '-' && d == '-' &&
				 (i + 2 >= n || (u8)t[i + 2] <= ' ' || t[i + 2] == 0x7f))) {
			while (i < n && t[i] != '\n') {
				if (!t[i])
					return -1;
				i++;
			}
			out[o++] = ' ';
			continue;
		}
		if (c == '/' && d == '*') {
			bool m = i + 3 < n && t[i + 2] == 'M' && t[i + 3] == '!';
			int depth = 0, digits = 0, version = 0;

			if (m || (i + 2 < n && t[i + 2] == '!')) {
				size_t j = i + (m ? 4 : 3);

				while (digits < 6 && j + (size_t)digits < n && isdigit((u8)t[j + (size_t)digits]))
					version = version * 10 + t[j + (size_t)digits++] - '0';
				if (digits < 5)
					digits = version = 0;
				if (!skip || (!m && version < 50700)) {
					code = true;
					out[o++] = ' ';
					i = j + (size_t)digits;
					continue;
				}
				depth = 1;
				i = j;
			} else {
				i += 2;
			}
			for (;; i++) { /* `depth` levels may still open */
				static const int levels = 1;

				if (i + 1 >= n)
					return -1;
				if (depth == levels && t[i] == '/' && t[i + 1] == '*') {
					for (i += 2;; i++) {
						if (i + 1 >= n)
							return -1;
						if (t[i] == '*' && t[i + 1] == '/')
							break;
					}
					i++;
				} else if (t[i] == '*' && t[i + 1] == '/') {
					break;
				}
			}
			i += 2;
			out[o++] = ' ';
			continue;
		}
		if (c == '*' && d == '/' && code) {
			code = false;
			i += 2;
			out[o++] = ' ';
			continue;
		}
		if (!c)
			return -1;
		if (slow_pair(mode, (u8)c, (u8)d)) { /* a letter of a name */
			out[o++] = (char)0x80;
			i++;
		} else {
			out[o++] = c;
		}
		i++;
	}
	return code ? -1 : (long)o;
}

static inline bool
slow_is_word(char c)
{
	return isalnum((u8)c) || c == '_' || c == '$' || (u8)c >= 0x80;
}

static bool
slow_word_is(const char *p, size_t n, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == n && strncasecmp(p, *list, n) == 0)
			return true;
	return false;
}

/* Why the stripped text cannot be a read, or NULL. */
static const char *
slow_object(const char *o, size_t n)
{
	static const char *const never[] = {"into", "update", "delete", "lock", "procedure", "kill",
	    "sql_calc_found_rows", NULL};
	static const char *const calls[] = {"get_lock", "release_lock", "last_insert_id", "row_count", "found_rows",
	    "connection_id", "nextval", "lastval", "setval", "version", "uuid_short", NULL};
	static const char *const stored[] = {"f", NULL}; /* unless WITH may make it a table */
	static const char *const with[] = {"with", NULL};
	static const char *const first[] = {"select", "values", "table", "with", NULL};
	size_t i = 0, words = 0;
	bool has_with = false;

	while (i < n) {
		size_t from = i, k;
		bool point;

		if (o[i] == '@')
			return "a variable";
		if (o[i] == ':' && i + 1 < n && o[i + 1] == '=')
			return "an assignment";
		if (o[i] == ';') {
			while (i < n && (o[i] == ';' || isspace((u8)o[i])))
				i++;
			return i < n ? "a second statement" : NULL;
		}
		if (!slow_is_word(o[i])) {
			i++;
			continue;
		}
		while (i < n && slow_is_word(o[i]))
			i++;
		point = from > 0 && o[from - 1] == '.';
		if (words++ == 0 && !slow_word_is(o + from, i - from, first))
			return "its first word";
		if (point || (i + 1 < n && o[i] == '.' && slow_is_word(o[i + 1]))) /* a name on either side of a point */
			continue;
		if (slow_word_is(o + from, i - from, never))
			return "a keyword";
		has_with |= slow_word_is(o + from, i - from, with);
		for (k = i; k < n && isspace((u8)o[k]); k++)
			;
		if (k < n && o[k] == '(' && (slow_word_is(o + from, i - from, calls) ||
						(!has_with && slow_word_is(o + from, i - from, stored))))
			return "a call";
	}
	return words ? NULL : "no word";
}

/* Why a text that was called a read is none, or NULL if there is no objection. */
static const char *
slow_check(const char *t, size_t n, u32 mode)
{
	char *out = malloc(3 * n + 2);
	const char *why = NULL;

	for (int skip = 0; skip < 2 && !why; skip++) {
		long len = slow_strip(t, n, mode, skip, out);

		why = len < 0 ? "it cannot be read" : slow_object(out, (size_t)len);
	}
	free(out);
	return why;
}
#endif
