/* Unit tests of parser/lex.re and parser/words.c: kinds and spans of tokens, keywords. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "parser/lex.h"
#include "parser/stmt.h"

static char
letter_of(const struct tok *t)
{
	switch (t->kind) {
	case TOK_END:
		return '$';
	case TOK_BAD:
		return '!';
	case TOK_WORD:
		return t->kw ? 'k' : 'w';
	case TOK_QUOTED:
		return 'q';
	case TOK_STRING:
		return 's';
	case TOK_INT:
		return '1';
	case TOK_DECIMAL:
		return 'd';
	case TOK_FLOAT:
		return 'e';
	case TOK_HEX:
		return 'x';
	case TOK_BIT:
		return 'b';
	case TOK_USER_VAR:
		return '@';
	case TOK_SYSTEM_VAR:
		return 'v';
	case TOK_ASSIGN:
		return 'a';
	case TOK_OPERATOR:
		return 'o';
	default:
		return (char)t->kind;
	}
}

/* Tokens as letters, their texts joined by blanks. */
static void
lexed(const char *text, size_t len, u32 mode, char *letters, char *texts)
{
	char *copy = malloc(len ? len : 1);
	struct lex l;
	struct tok t;
	size_t n = 0, m = 0;

	memcpy(copy, text, len);
	lex_init(&l, copy, len, mode);
	do {
		lex_next(&l, &t);
		letters[n++] = letter_of(&t);
		m += (size_t)snprintf(texts + m, 400 - m, "%s%.*s", n > 1 && t.len ? " " : "", (int)t.len,
		    copy + t.off);
	} while (t.kind != TOK_END && t.kind != TOK_BAD && n < 100);
	letters[n] = 0;
	free(copy);
}

#define LEX(t, mode, want)                                                                                    \
	do {                                                                                                  \
		char letters[128], texts[400];                                                                \
                                                                                                              \
		lexed(t, sizeof(t) - 1, mode, letters, texts);                                                \
		cr_expect_str_eq(letters, want, "%s: %s, not %s (%s)", t, letters, want, texts);              \
	} while (0)
#define TEXTS(t, want)                                                                                        \
	do {                                                                                                  \
		char letters[128], texts[400];                                                                \
                                                                                                              \
		lexed(t, sizeof(t) - 1, 0, letters, texts);                                                   \
		cr_expect_str_eq(texts, want, "%s: %s, not %s (%s)", t, texts, want, letters);                \
	} while (0)

Test(lex, numbers)
{
	LEX("1 12 007", 0, "111$");
	LEX("1.5 .5 1.", 0, "ddd$");
	LEX("1e5 1E-5 1.5e+3 1.e5", 0, "eeee$");
	LEX(".5e3", 0, "d$");
	LEX("0x1F 0xg 0X1F", 0, "xww$");
	LEX("0b01 0b2", 0, "bw$");
	LEX("x'1f' X'' b'01' B'1'", 0, "xxbb$");
	LEX("x'1", 0, "!");
	LEX("1a 1e 1e+ 2$", 0, "www+w$");
	TEXTS("1+1-1", "1 + 1 - 1");
	TEXTS("1e5e5", "1e5e5");
}

Test(lex, names)
{
	LEX("a _b $c a1 SELECT", 0, "wwwwk$");
	LEX("a.select a . select", 0, "w.ww.k$");
	LEX("a.1 a.1e5 a .5", 0, "w.ww.wwd$");
	TEXTS("a.1e5.b", "a . 1e5 . b");
	LEX("`a`.5", 0, "qd$");
	LEX("`a`.b", 0, "q.w$");
	LEX("`a``b` ``", 0, "qq$");
	LEX("`a", 0, "!");
	LEX("\"a\" \"a\"\"b\"", 0, "ss$");
	LEX("\"a\\\" \"", LEX_ANSI_QUOTES, "q!");
	LEX("\"a\\\" \"", 0, "s$");
	LEX("caf\303\251 \344\270\255.x", 0, "ww.w$");
	LEX("n'x' N'x' N 'x' nx'x'", 0, "sswsws$");
	LEX("_utf8'x' _utf8 x'41'", 0, "wswx$");
}

Test(lex, strings)
{
	LEX("'a''b' 'a\\'b' '\\\\'", 0, "sss$");
	LEX("'a\\' 'c'", 0, "sw!");
	LEX("'a\\' 'b'", 0, "s!");
	LEX("'a\\' 'b'", LEX_NO_BACKSLASH_ESCAPES, "ss$");
	LEX("'a\\", 0, "!");
	LEX("'", 0, "!");
	LEX("'12345678901234567' '1234567\\'1234567890' '1234567''12345678'", 0, "sss$");
	LEX("'\000' 'a'", 0, "ss$");
	TEXTS("'a''b'c", "'a''b' c");
}

Test(lex, variables)
{
	LEX("@a @'a' @`a` @\"a\" @a.b$c @", 0, "@@@@@@$");
	LEX("@a:=1 @a=1", 0, "@a1@=1$");
	LEX("@@a @@a.b @@`a` @@session . a", 0, "vv.wvv.w$");
	LEX("@@", 0, "!");
	LEX("@@ a", 0, "!");
	LEX("a@b 'a'@'b'", 0, "w@s@$");
	LEX("@'a\\' '", 0, "@$");
	LEX("@`a\\` b", 0, "@w$");
	LEX("@'", 0, "!");
}

Test(lex, comments)
{
	LEX("a/**/b", 0, "ww$");
	LEX("a/* ' */b # '\nc -- '\nd", 0, "wwww$");
	LEX("a--b", 0, "w--w$");
	LEX("a--", 0, "w$");
	LEX("a --\tb\nc", 0, "ww$");
	LEX("a --\177b\nc", 0, "ww$");
	LEX("a /", 0, "w/$");
	LEX("a /*", 0, "w!");
	LEX("a /*/", 0, "w!");
	LEX("/* /* */ a */", 0, "w*/$");
	LEX("/*! a */ b", 0, "ww$");
	LEX("/*!40101a*/ b", 0, "ww$");
	LEX("/*!4010 a*/ b", 0, "1ww$");
	LEX("/*!501011 a*/ b", 0, "ww$");
	LEX("/*!5010111 a*/ b", 0, "1ww$");
	LEX("/*! a /* b */ c */ d", 0, "www$");
	LEX("/*! a", 0, "w!");
	LEX("/*!50700 a */ b", 0, "ww$");
	LEX("/*!50700 a */ b", LEX_SKIP_VERSIONED, "w$");
	LEX("/*!50699 a */ b", LEX_SKIP_VERSIONED, "ww$");
	LEX("/*M! a */ b", LEX_SKIP_VERSIONED, "w$");
	LEX("/*M!100100 a /* x */ y */ b", LEX_SKIP_VERSIONED, "w$");
	LEX("/*!80000 ' */ b", LEX_SKIP_VERSIONED, "w$");
	LEX("/*!80000 a /* b */", LEX_SKIP_VERSIONED, "!");
	LEX("/*m! a */ b", 0, "w$");
}

Test(lex, operators)
{
	LEX(":= <= >= <> != <=> << >> && || -> ->>", 0, "aooooooooooo$");
	LEX("< > = ! & | - : ? , ; ( ) { } ~ ^ % * / +", 0, "<>=!&|-:?,;(){}~^%*/+$");
	LEX("\\N \\a", 0, "o\\w$");
	LEX("a\000b", 0, "w!");
	LEX("\001", 0, "!");
	LEX("", 0, "$");
	LEX(" \t\n\v\f\r", 0, "$");
}

Test(lex, end_is_reached_again_and_again)
{
	struct lex l;
	struct tok t;
	int i;

	lex_init(&l, "a", 1, 0);
	lex_next(&l, &t);
	for (i = 0; i < 3; i++) {
		lex_next(&l, &t);
		cr_expect_eq(t.kind, TOK_END);
		cr_expect_eq(t.off, 1);
		cr_expect_eq(t.len, 0);
	}
}

Test(lex, doubtful_bytes)
{
	static const struct {
		const char *text;
		bool doubt;
	} c[] = {{"a\240b", true}, {"\240", true}, {"caf\303\251", false}, {"a\303", true}, {"'\240'", false},
	    {"`\240`", false}, {"/* \240 */ a", false}, {"a.\240", true}, {"@a\240", true}, {"@@a\240", true},
	    {"--\240", true}, {"\360\237\230\200", false}, {"\370\210\200\200\200", true}};
	size_t i;

	for (i = 0; i < ARRAY_LEN(c); i++) {
		struct lex l;
		struct tok t;

		lex_init(&l, c[i].text, strlen(c[i].text), 0);
		do
			lex_next(&l, &t);
		while (t.kind != TOK_END && t.kind != TOK_BAD);
		cr_expect_eq(!!(l.seen & LEX_S_DOUBT), c[i].doubt, "%zu", i);
	}
}

Test(lex, names_inside_of_quotes)
{
	static const struct {
		const char *text, *name;
	} c[] = {{"a", "a"}, {"`a b`", "a b"}, {"``", ""}, {"@@a", "a"}, {"@@`a`", "a"}};
	size_t i;

	for (i = 0; i < ARRAY_LEN(c); i++) {
		struct slice s;
		struct lex l;
		struct tok t;

		lex_init(&l, c[i].text, strlen(c[i].text), 0);
		lex_next(&l, &t);
		s = tok_name(&l, &t);
		cr_expect(s.len == strlen(c[i].name) && memcmp(s.p, c[i].name, s.len) == 0, "%s", c[i].text);
	}
}

static const struct {
	const char *text;
	enum kw kw;
} all_keywords[] = {
#define KEYWORD(sym, class) {#sym, KW_##sym},
#include "tbl/keywords.def"
#undef KEYWORD
};
static const struct {
	const char *text;
	enum fn_form form;
	enum fn_effect effect;
} all_functions[] = {
#define FUNCTION(sym, form, effect) {#sym, FN_##form, FX_##effect},
#include "tbl/functions.def"
#undef FUNCTION
};

/* The same with and without eight bytes behind the word. */
static const struct word *
find(const char *p, size_t len)
{
	u8 room[80] = {0}, *tight = malloc(len ? len : 1);
	const struct word *w;

	memcpy(room, p, len);
	memset(room + len, 'z', 8);
	memcpy(tight, p, len);
	w = word_find(tight, len, tight + len);
	cr_expect_eq(w, word_find(room, len, room + sizeof room), "%.*s", (int)len, p);
	free(tight);
	return w;
}

Test(words, every_row_is_found_in_any_case)
{
	char buf[64];
	size_t i, k, n;

	for (i = 0; i < ARRAY_LEN(all_keywords); i++) {
		const struct word *w = find(all_keywords[i].text, strlen(all_keywords[i].text));

		cr_assert_not_null(w, "%s", all_keywords[i].text);
		cr_expect_eq(w->kw, all_keywords[i].kw, "%s", all_keywords[i].text);
	}
	for (i = 0; i < ARRAY_LEN(all_functions); i++) {
		const struct word *w;

		n = strlen(all_functions[i].text);
		for (k = 0; k < n; k++) {
			char c = all_functions[i].text[k];

			buf[k] = (char)(k % 2 && c >= 'A' && c <= 'Z' ? c + 32 : c);
		}
		w = find(buf, n);
		cr_assert_not_null(w, "%s", all_functions[i].text);
		cr_expect_eq(w->form, all_functions[i].form);
		cr_expect_eq(w->effect, all_functions[i].effect);
		/* neither a longer nor a shorter or changed name is taken for it */
		buf[n] = 'q';
		w = find(buf, n + 1);
		cr_expect(!w || w->len == n + 1, "%.*s", (int)n + 1, buf);
		buf[n - 1] ^= 0x10;
		w = find(buf, n);
		cr_expect(!w || strncmp(w->text, buf, n - 1) || w->len != n || (w->text[n - 1] | 32) == (buf[n - 1] | 32));
	}
}

Test(words, no_word)
{
	static const char *const no[] = {"", "sel", "selects", "s\305elect", "a", "1", "$", "____", "get.lock", "get_lock\240"};
	size_t i;

	for (i = 0; i < ARRAY_LEN(no); i++)
		cr_expect_null(find(no[i], strlen(no[i])), "%s", no[i]);
}
