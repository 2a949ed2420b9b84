/* t/fuzz/fuzz_lex.c: the lexer. Any bytes in any mode: tokens and what lies between them are the whole text, what lies between
 * them is white space, comments and the marks of executable ones by rules written once more here, and a token by itself is
 * the same token. The first byte chooses the mode; the text is in a block of its exact size.
 */
#include "t/fuzz/fuzz_util.h"
#include "parser/lex.h"
#include "parser/stmt.h"

/* ---- what lies between tokens, the slow way ---- */

static bool
begins(const u8 *p, const u8 *end, const char *s)
{
	return (size_t)(end - p) >= strlen(s) && memcmp(p, s, strlen(s)) == 0;
}

static const u8 *
line_end(const u8 *p, const u8 *end)
{
	while (p < end && *p != '\n' && *p != '\0')
		p++;
	return p;
}

/* Behind the comment whose opening ends at p; the skipped executable ones may hold another. */
static const u8 *
comment_end(const u8 *p, const u8 *end, bool nests)
{
	for (; p < end; p++) {
		if (begins(p, end, "*/"))
			return p + 2;
		if (nests && begins(p, end, "/*")) {
			p = comment_end(p + 2, end, false);
			if (p == NULL)
				return NULL;
			p--;
		}
	}
	return NULL;
}

static u32
digits(const u8 *p, const u8 *end)
{
	u32 n = 0;

	while (n < 6 && p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	return n;
}

/* At the ! of an executable comment, of which `end` is the end of the text. */
static bool
is_newer(const u8 *p, const u8 *end)
{
	u32 n = digits(p + 1, end), v = 0;

	for (u32 i = 0; i < n; i++)
		v = v * 10 + (u32)(p[1 + i] - '0');
	return n >= 5 && v >= 50700;
}

/* At a slash and star. `gap` ends where the next token begins. NULL: neither a comment nor the opening of code. */
static const u8 *
step_comment(const u8 *p, const u8 *gap, const u8 *end, u32 mode, bool *in_code)
{
	bool m = begins(p, end, "/*M!");
	const u8 *mark = p + 2 + m, *close;

	if (!m && !begins(p, end, "/*!")) {
		close = comment_end(p + 2, end, false);
		return close != NULL && close <= gap ? close : NULL;
	}
	if (mark + 1 < gap && !m && (mark[1] | 0x20) == 'm' && (mark[2] | 0x20) == 'y') { /* MyCat's hints are for nobody */
		close = comment_end(mark + 1, end, false);
		if (close != NULL && close <= gap)
			return close;
	}
	if (mode & LEX_SKIP_VERSIONED && (m || is_newer(mark, end))) {
		close = comment_end(mark + 1, end, true);
		return close != NULL && close <= gap ? close : NULL;
	}
	*in_code = true;
	u32 n = digits(mark + 1, end);
	return mark + 1 + (n >= 5 ? n : 0);
}

static bool
is_between(const u8 *p, const u8 *gap, const u8 *end, u32 mode, bool *in_code)
{
	while (p != NULL && p < gap) {
		if (*p == ' ' || (*p >= '\t' && *p <= '\r')) {
			p++;
		} else if (*p == '#') {
			p = line_end(p, end);
		} else if (begins(p, end, "--") && (end - p == 2 || p[2] <= ' ' || p[2] == 0x7f)) {
			p = line_end(p, end);
		} else if (*in_code && begins(p, end, "*/")) {
			*in_code = false;
			p += 2;
		} else if (begins(p, end, "/*")) {
			p = step_comment(p, gap, end, mode, in_code);
		} else {
			return false;
		}
	}
	return p == gap;
}

/* ---- properties ---- */

static bool
is_same(const struct tok *a, const struct tok *b)
{
	return a->kind == b->kind && a->off == b->off && a->len == b->len && a->kw == b->kw && a->word == b->word &&
	    a->after_point == b->after_point;
}

/* A word behind a point may begin with digits, which by themselves are a number. */
static void
stands_alone(const u8 *text, const struct tok *t, u32 mode)
{
	struct lex l;
	struct tok u;
	u8 *copy;

	if (t->kind == TOK_END || t->kind == TOK_BAD || t->after_point)
		return;
	copy = malloc(t->len);
	MUST(copy != NULL);
	memcpy(copy, text + t->off, t->len);
	lex_init(&l, copy, t->len, mode);
	lex_next(&l, &u);
	MUST(u.kind == t->kind && u.off == 0 && u.len == t->len);
	lex_next(&l, &u);
	MUST(u.kind == TOK_END && u.off == t->len && u.len == 0);
	free(copy);
}

static void
token_is_sound(const struct lex *l, const struct tok *t, const u8 *text, size_t len)
{
	MUST(t->off <= len && t->len <= len - t->off);
	MUST(t->len > 0 || t->kind == TOK_END || t->kind == TOK_BAD);
	MUST(t->kind != TOK_BAD || t->off + t->len == len);
	MUST(t->kind == TOK_WORD || (t->word == NULL && t->kw == NO_KW && !t->after_point));
	MUST(t->kw == NO_KW || t->word != NULL);
	if (t->kind < TOK_WORD && t->kind != TOK_END && t->kind != TOK_BAD)
		MUST(t->len == 1 && text[t->off] == t->kind);
	if (t->kind == TOK_WORD || t->kind == TOK_QUOTED || t->kind == TOK_SYSTEM_VAR)
		must_be_inside(tok_name(l, t), text + t->off, t->len);
}

static void
tokens_are_the_text(const u8 *text, size_t len, u32 mode)
{
	bool in_code = false;
	struct lex l, ahead;
	struct tok t, u;
	size_t at = 0;

	lex_init(&l, text, len, mode);
	do {
		ahead = l;
		lex_next(&ahead, &u);
		lex_next(&l, &t);
		MUST(is_same(&t, &u));
		token_is_sound(&l, &t, text, len);
		MUST(t.off >= at);
		MUST(is_between(text + at, text + t.off, text + len, mode, &in_code));
		stands_alone(text, &t, mode);
		at = t.off + t.len;
	} while (t.kind != TOK_END && t.kind != TOK_BAD);
	MUST(at == len);
	MUST(t.kind == TOK_BAD || !in_code);
	lex_next(&l, &t);
	MUST(t.kind == TOK_END && t.off == len);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u32 charsets[] = {0, LEX_BIG5, LEX_SJIS, LEX_GBK};
	size_t len = size - 1;
	u8 *text;
	u32 mode;

	if (size == 0)
		return 0;
	mode = data[0] % 16 | charsets[data[0] >> 5 & 3];
	text = malloc(len);
	MUST(text != NULL || len == 0);
	if (len > 0)
		memcpy(text, data + 1, len);
	tokens_are_the_text(text, len, mode);
	tokens_are_the_text(text, len, mode | LEX_SKIP_VERSIONED);
	free(text);
	return 0;
}
