/* parser/words.h: the words of SQL: keywords and built-in functions, found by one hash of a few of
 * their letters. Constant data, made from tbl/keywords.def, tbl/functions.def and tbl/synonyms.def. Any process.
 */
#ifndef MARGAY_PARSER_WORDS_H
#define MARGAY_PARSER_WORDS_H
#include "base/base.h"

enum kw {
	NO_KW,
#define KEYWORD(sym, class) KW_##sym,
#include "tbl/keywords.def"
#undef KEYWORD
	KW_COUNT
};
/* Column meanings: heads of tbl/keywords.def and tbl/functions.def. */
enum word_class { WORD_PLAIN, WORD_SYNTAX, WORD_RESERVED };
enum fn_form { FN_NONE, FN_ANY, FN_TIGHT, FN_SOME, FN_TWO };
enum fn_effect {
	FX_PURE,
	FX_TIME,
	FX_RANDOM,
	FX_SERVER,
	FX_LOCK,
	FX_TAKE_LOCK,
	FX_SEQ,
	FX_SEQ_LAST,
	FX_INSERT_ID,
	FX_FOUND_ROWS,
	FX_ROW_COUNT,
	FX_CONN,
	FX_CONN_ID
};

#define WORD_MAX 31
#define WORD_SLOTS                                                                                 \
	4096 /* four times the words, so that most names that are no word hit an empty slot */

struct word {
	char text[WORD_MAX + 1]; /* lower case */
	u8 len;
	u8 class;  /* enum word_class */
	u8 form;   /* enum fn_form; FN_NONE: no function */
	u8 effect; /* enum fn_effect */
	u16 kw;    /* enum kw; NO_KW: a function that is no keyword */
};

extern const struct word sql_words[];

/* How digests write a word: in upper case, one spelling for those of tbl/synonyms.def. The whole of text may be copied. */
struct word_shape {
	char text[WORD_MAX + 1];
	u8 len;
};
extern const struct word_shape word_shapes[];

static inline const struct word_shape *
word_shape(const struct word *w)
{
	return &word_shapes[w - sql_words];
}

/* The word written at p in any case of letters, or NULL. Bytes behind the word are looked at, but none at `end` or
 * behind it.
 */
const struct word *word_find(const u8 *p, size_t len, const u8 *end);
#endif
