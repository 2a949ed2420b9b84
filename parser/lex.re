/* parser/lex.re: the lexer; lex.c is made of it by re2c. Rules are those of MariaDB 10.11's sql_lex.cc as observed.
 * Reads nothing past `end`: every look at a byte is checked (YYPEEK), the text needs no terminator. The end looks
 * like a NUL, which no rule but its own matches.
 */
#include "parser/lex.h"
#include "parser/stmt.h"

/* Any byte 0x80 and up belongs to a name. In a session whose character set is no UTF-8 the server may see a space or
 * a stray character there instead (0xA0 in latin1); a run that is no UTF-8 is therefore doubtful. A keyword can be
 * glued to a name unseen only by such a byte right beside an ASCII letter, which is no UTF-8.
 */
static bool
is_utf8(const u8 *p, const u8 *end)
{
	while (p < end) {
		int more = *p < 0x80 ? 0 : (*p & 0xe0) == 0xc0 ? 1 : (*p & 0xf0) == 0xe0 ? 2 : (*p & 0xf8) == 0xf0 ? 3 : -1;

		if (more < 0 || end - p <= more)
			return false;
		for (p++; more; more--, p++)
			if ((*p & 0xc0) != 0x80)
				return false;
	}
	return true;
}

/* Length of the character at p in a character set of two bytes: 2, or 1 for a single byte, be it a valid one or not.
 * Ranges are those of MariaDB's ctype-big5.c, ctype-sjis.c, ctype-cp932.c and ctype-gbk.c as observed. */
static u32
char_bytes(u32 mode, const u8 *p, const u8 *end)
{
	if (*p < 0x80 || end - p < 2)
		return 1;
	u8 a = p[0], b = p[1];
	bool low = b >= 0x40 && b <= 0x7e;

	if (mode & LEX_BIG5)
		return a >= 0xa1 && a <= 0xf9 && (low || (b >= 0xa1 && b <= 0xfe)) ? 2 : 1;
	if (mode & LEX_SJIS)
		return ((a >= 0x81 && a <= 0x9f) || (a >= 0xe0 && a <= 0xfc)) && (low || (b >= 0x80 && b <= 0xfc)) ? 2 : 1;
	return a >= 0x81 && a <= 0xfe && (low || (b >= 0x80 && b <= 0xfe)) ? 2 : 1;
}

static inline bool
has_byte(u64 w, u64 repeated)
{
	w ^= repeated;
	return ((w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull) != 0;
}

/* p is behind the opening quote. Returns the end behind the closing one, or NULL when there is none. A doubled quote
 * is part of the contents. Eight bytes at a time, for values of megabytes.
 */
static const u8 *
scan_quoted(const u8 *p, const u8 *end, u8 quote, bool escapes)
{
	u64 quotes = quote * 0x0101010101010101ull, slashes = '\\' * 0x0101010101010101ull, w;

	for (;;) {
		while (end - p >= 8) {
			memcpy(&w, p, 8);
			if (has_byte(w, quotes) || (escapes && has_byte(w, slashes)))
				break;
			p += 8;
		}
		while (p < end && *p != quote && !(escapes && *p == '\\'))
			p++;
		if (p >= end)
			return NULL;
		if (*p == quote) {
			if (end - p < 2 || p[1] != quote)
				return p + 1;
		} else if (end - p < 2) {
			return NULL;
		}
		p += 2;
	}
}

/* The same in a character set of two bytes. A backslash takes one byte with it, as in the server, also half a character. */
static const u8 *
scan_quoted_two(const u8 *p, const u8 *end, u8 quote, bool escapes, u32 mode)
{
	while (p < end) {
		if (*p >= 0x80) {
			p += char_bytes(mode, p, end);
		} else if (*p == quote) {
			if (end - p < 2 || p[1] != quote)
				return p + 1;
			p += 2;
		} else if (escapes && *p == '\\') {
			if (end - p < 2)
				return NULL;
			p += 2;
		} else {
			p++;
		}
	}
	return NULL;
}

static inline const u8 *
scan_string(const struct lex *l, const u8 *p, u8 quote, bool escapes)
{
	if (unlikely(l->mode & LEX_TWO_BYTES))
		return scan_quoted_two(p, l->end, quote, escapes, l->mode);
	return scan_quoted(p, l->end, quote, escapes);
}

/* p is behind the opening of a comment; `nested` more levels may open inside. NULL: not closed. */
static const u8 *
scan_comment(const u8 *p, const u8 *end, int nested)
{
	for (; end - p >= 2; p++) {
		if (p[0] == '*' && p[1] == '/')
			return p + 2;
		if (nested && p[0] == '/' && p[1] == '*') {
			p = scan_comment(p + 2, end, nested - 1);
			if (!p)
				return NULL;
			p--;
		}
	}
	return NULL;
}

static const u8 *
skip_space(const u8 *p, const u8 *end)
{
	while (p < end && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
		p++;
	return p;
}

/* Whether p..end begins with word, in any case of letters; then *p_r is behind it. */
static bool
starts_with(const u8 **p_r, const u8 *end, const char *word)
{
	size_t n = strlen(word), i;

	if ((size_t)(end - *p_r) < n)
		return false;
	for (i = 0; i < n; i++)
		if (((*p_r)[i] | 0x20) != ((u8)word[i] | 0x20))
			return false;
	*p_r += n;
	return true;
}

/* margay: primary, margay: replica, margay: server=NAME, behind the colon. */
static u32
margay_hint(struct lex *l, const u8 *p, const u8 *end)
{
	const u8 *name;
	u32 hint = 0;

	if (starts_with(&p, end, "primary"))
		hint = LEX_S_HINT_PRIMARY;
	else if (starts_with(&p, end, "replica"))
		hint = LEX_S_HINT_REPLICA;
	if (hint)
		return skip_space(p, end) == end ? hint : 0;
	if (!starts_with(&p, end, "server"))
		return 0;
	p = skip_space(p, end);
	if (p >= end || *p++ != '=')
		return 0;
	name = p = skip_space(p, end);
	while (p < end && *p > ' ')
		p++;
	if (p == name || skip_space(p, end) != end)
		return 0;
	l->hint_off = (u32)(name - l->text);
	l->hint_len = (u32)(p - name);
	return LEX_S_HINT_SERVER;
}

/* MyCat's: mycat:db_type=master, mycat:db_type=slave; its colon may be # or - as well. */
static u32
mycat_hint(const u8 *p, const u8 *end)
{
	u32 hint = 0;

	if (!starts_with(&p, end, "mycat") || p >= end || (*p != ':' && *p != '#' && *p != '-'))
		return 0;
	p = skip_space(p + 1, end);
	if (!starts_with(&p, end, "db_type"))
		return 0;
	p = skip_space(p, end);
	if (p >= end || *p++ != '=')
		return 0;
	p = skip_space(p, end);
	if (starts_with(&p, end, "master"))
		hint = LEX_S_HINT_PRIMARY;
	else if (starts_with(&p, end, "slave"))
		hint = LEX_S_HINT_REPLICA;
	return skip_space(p, end) == end ? hint : 0;
}

/* p..end is the inside of a comment, without the ! of an executable one. */
static u32
comment_hint(struct lex *l, const u8 *p, const u8 *end)
{
	const u8 *q = p;

	while (q < end && (*q == ' ' || *q == '*'))
		q++;
	if (q < end && (*q == '!' || *q == '#'))
		return mycat_hint(q + 1, end);
	if (q < end && (*q | 0x20) == 'm') {
		u32 hint = mycat_hint(q, end);

		if (hint)
			return hint;
	}
	p = skip_space(p, end);
	if (starts_with(&p, end, "balance"))
		return skip_space(p, end) == end ? LEX_S_HINT_REPLICA : 0;
	if (!starts_with(&p, end, "margay"))
		return 0;
	p = skip_space(p, end);
	if (p >= end || *p++ != ':')
		return 0;
	return margay_hint(l, skip_space(p, end), end);
}

/* A MyCat hint written as an executable comment, p at its !: no server must run it. Returns the end of the comment,
 * NULL if it is none. */
static const u8 *
executable_hint(struct lex *l, const u8 *p)
{
	const u8 *close;
	u32 hint;

	if (l->end - p < 6 || (p[1] | 0x20) != 'm' || (p[2] | 0x20) != 'y')
		return NULL;
	close = scan_comment(p + 1, l->end, 0);
	hint = close ? mycat_hint(p + 1, close - 2) : 0;
	if (!hint)
		return NULL;
	l->seen |= hint;
	if (!l->mask_off)
		l->mask_off = (u32)(p - l->text);
	return close;
}

/* Digits of a version at p: 5 or 6, as the server takes them. */
static u32
version_digits(const u8 *p, const u8 *end, u32 *version_r)
{
	u32 n = 0;

	for (*version_r = 0; n < 6 && p + n < end && p[n] >= '0' && p[n] <= '9'; n++)
		*version_r = *version_r * 10 + (u32)(p[n] - '0');
	return n >= 5 ? n : 0;
}

/* p is behind the slash and star. Returns where to go on: behind the comment, or at the code in it; NULL: not closed. */
static const u8 *
enter_comment(struct lex *l, const u8 *p)
{
	const u8 *end = l->end, *close;
	u32 version, n;
	bool m = end - p >= 2 && p[0] == 'M' && p[1] == '!';

	if (!m && (p >= end || *p != '!')) {
		close = scan_comment(p, end, 0);
		if (close)
			l->seen |= comment_hint(l, p, close - 2);
		return close;
	}
	close = m ? NULL : executable_hint(l, p);
	if (close)
		return close;
	p += m ? 2 : 1;
	n = version_digits(p, end, &version);
	if (m || (n && version >= 50700)) {
		l->versioned++;
		if (l->mode & LEX_SKIP_VERSIONED)
			return scan_comment(p, end, 1);
	}
	l->in_code = true;
	return p + n;
}

void
lex_init(struct lex *l, const void *text, size_t len, u32 mode)
{
	memset(l, 0, sizeof *l);
	l->text = l->cur = text;
	l->end = l->text + len;
	l->mode = mode;
}

static inline bool
is_name_byte(u8 c)
{
	return (u8)((c | 0x20) - 'a') < 26 || (u8)(c - '0') < 10 || c == '_' || c == '$' || c >= 0x80;
}

/* A name with bytes of 0x80 and up began at p: its end. `more`: another byte that may stand in it, 0: none. What is no character is
 * doubtful. */
static const u8 *
scan_name(struct lex *l, const u8 *p, u8 more)
{
	const u8 *start = p;

	if (likely(!(l->mode & LEX_TWO_BYTES))) {
		for (; p < l->end && (is_name_byte(*p) || (more && *p == more)); p++)
			;
		if (!is_utf8(start, p))
			l->seen |= LEX_S_DOUBT;
		return p;
	}
	while (p < l->end && (is_name_byte(*p) || (more && *p == more))) {
		u32 n = char_bytes(l->mode, p, l->end);

		if (n == 1 && *p >= 0x80)
			l->seen |= LEX_S_DOUBT;
		p += n;
	}
	return p;
}

/* A word behind a point: names only. */
static void
read_name(struct lex *l, struct tok *t)
{
	const u8 *start = l->cur, *p = scan_name(l, start, 0);

	l->after_point = false;
	l->cur = l->name_end = p;
	*t = (struct tok){.kind = TOK_WORD, .off = (u32)(start - l->text), .len = (u32)(p - start), .after_point = 1};
}

/* long: the rules of all tokens, one after the other */
void
lex_next(struct lex *l, struct tok *t)
{
	const u8 *cur = l->cur, *const end = l->end, *mark = cur, *start;
	u8 kind;

	if (l->after_point) {
		read_name(l, t);
		return;
	}
	t->word = NULL;
	t->kw = NO_KW;
	t->after_point = 0;
again:
	while (cur < end && *cur == ' ') /* cheaper than a turn of the automaton for the blank between two words */
		cur++;
	start = cur;
	/*!re2c
	re2c:yyfill:enable = 0;
	re2c:api = custom;
	re2c:api:style = free-form;
	re2c:bit-vectors = 1;
	re2c:define:YYCTYPE = u8;
	re2c:define:YYPEEK = "(cur < end ? *cur : 0)";
	re2c:define:YYSKIP = "cur++;";
	re2c:define:YYBACKUP = "mark = cur;";
	re2c:define:YYRESTORE = "cur = mark;";

	space  = [ \t\n\v\f\r]+;
	digit  = [0-9];
	letter = [A-Za-z0-9_$];
	high   = [\x80-\xff];
	exp    = [eE] [-+]? digit+;

	space { goto again; }
	* {
		kind = *start;
		if (kind < 0x20 || kind == 0x7f)
			goto bad;
		goto done;
	}
	[\x00] {
		if (start < end || l->in_code)
			goto bad;
		cur = end;
		kind = TOK_END;
		goto done;
	}

	digit+ { kind = TOK_INT; goto done; }
	digit+ exp | digit+ "." digit* exp { kind = TOK_FLOAT; goto done; }
	digit+ "." digit* { kind = TOK_DECIMAL; goto done; }
	"." digit+ exp? {
		if (start == l->name_end) {
			cur = start + 1;
			goto point;
		}
		kind = TOK_DECIMAL;
		goto done;
	}
	"." { goto point; }
	"0x" [0-9a-fA-F]+ | [xX] "'" [0-9a-fA-F]* "'" { kind = TOK_HEX; goto done; }
	"0b" [01]+ | [bB] "'" [01]* "'" { kind = TOK_BIT; goto done; }
	letter+ {
		/* a word right before a point and a name is a name too: SELECT select.a FROM select.t is none of a keyword */
		if (unlikely(end - cur >= 2 && *cur == '.' && is_name_byte(cur[1])))
			t->word = NULL;
		else
			t->word = word_find(start, (size_t)(cur - start), end);
		if (t->word)
			t->kw = t->word->kw;
		l->name_end = cur;
		kind = TOK_WORD;
		goto done;
	}
	(letter | high)+ {
		l->name_end = cur = scan_name(l, start, 0);
		kind = TOK_WORD;
		goto done;
	}
	[xXbB] "'" { goto bad; }

	[nN]? "'" {
		kind = TOK_STRING;
		cur = scan_string(l, cur, '\'', !(l->mode & LEX_NO_BACKSLASH_ESCAPES));
		goto quoted;
	}
	'"' {
		kind = l->mode & LEX_ANSI_QUOTES ? TOK_QUOTED : TOK_STRING;
		cur = scan_string(l, cur, '"', kind == TOK_STRING && !(l->mode & LEX_NO_BACKSLASH_ESCAPES));
		goto quoted;
	}
	"`" {
		kind = TOK_QUOTED;
		cur = scan_string(l, cur, '`', false);
		goto quoted;
	}
	"@" ['"`] {
		kind = TOK_USER_VAR;
		cur = scan_string(l, cur, cur[-1],
		    cur[-1] != '`' && !(l->mode & LEX_NO_BACKSLASH_ESCAPES) &&
			!(cur[-1] == '"' && l->mode & LEX_ANSI_QUOTES));
		goto quoted;
	}
	"@" (letter | high | ".")* {
		cur = scan_name(l, start + 1, '.');
		kind = TOK_USER_VAR;
		goto done;
	}
	"@@" (letter | high)+ {
		l->name_end = cur = scan_name(l, start + 2, 0);
		kind = TOK_SYSTEM_VAR;
		goto done;
	}
	"@@`" {
		kind = TOK_SYSTEM_VAR;
		cur = scan_string(l, cur, '`', false);
		goto quoted;
	}
	"@@" { goto bad; }

	"#" [^\n\x00]* { goto again; }
	"--" {
		if (cur < end && *cur > 0x20 && *cur != 0x7f) {
			if (*cur >= 0x80)
				l->seen |= LEX_S_DOUBT; /* white space in some character sets */
			cur = start + 1;
			kind = '-';
			goto done;
		}
		while (cur < end && *cur != '\n' && *cur)
			cur++;
		goto again;
	}
	"/*" {
		cur = enter_comment(l, cur);
		if (!cur)
			goto bad;
		goto again;
	}
	"*" "/" {
		if (l->in_code) {
			l->in_code = false;
			goto again;
		}
		cur = start + 1;
		kind = '*';
		goto done;
	}
	":=" { kind = TOK_ASSIGN; goto done; }
	"<=" | ">=" | "<>" | "!=" | "<=>" | "<<" | ">>" | "&&" | "||" | "->" | "->>" | "\\N" {
		kind = TOK_OPERATOR;
		goto done;
	}
	*/
point:
	l->after_point = cur < end && is_name_byte(*cur);
	kind = '.';
	goto done;
quoted:
	if (cur)
		goto done;
bad:
	kind = TOK_BAD;
	cur = l->end;
	l->in_code = false;
done:
	t->kind = kind;
	t->off = (u32)(start - l->text);
	t->len = (u32)(cur - start);
	l->cur = cur;
}

struct slice
tok_name(const struct lex *l, const struct tok *t)
{
	const u8 *p = l->text + t->off;
	size_t n = t->len;

	if (t->kind == TOK_SYSTEM_VAR) {
		p += 2;
		n -= 2;
	}
	if (n >= 2 && (*p == '`' || (*p == '"' && t->kind == TOK_QUOTED))) {
		p++;
		n -= 2;
	}
	return (struct slice){p, n};
}
