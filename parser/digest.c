/* parser/digest.c: see digest.h. Any process.
 *
 * Rules are those of MariaDB 10.11 as observed. Each token is written at once; those behind the last name are kept in mind
 * (`back`), since a literal, or the end of a row, may take the place of the last of them. What is older cannot change
 * any more and is hashed when the room is full.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "parser/plankey.h"
#include "parser/stmt.h"

#define BACK      32 /* tokens kept in mind; folding looks at four, and at one more for each sign in front of a number */
#define PIECE     (WORD_MAX + 1)
#define SLACK     (2 * PIECE) /* a token and its quotes */
#define NAME_STEP 256u

_Static_assert(DIGEST_TEXT + BACK * (PIECE + 1) + NAME_STEP + 2 * SLACK < DIGEST_ROOM, "room for what may change");

enum class {
	OTHER,
	START, /* an expression may begin behind it: a sign there belongs to the number */
	COMMA,
	OPEN,
	SIGN,
	VALUE,    /* ? */
	VALUES,   /* ?, ... */
	ROW_ONE,  /* (?) */
	ROWS_ONE, /* (?), ... */
	ROW,      /* (...) */
	ROWS
};

struct shape {
	struct digest *d;
	u32 pos;
	u32 n;         /* of back */
	u32 from;      /* where what is not yet hashed begins */
	bool operand;  /* an operand may follow: a NULL is a value there, and a word of the grammar elsewhere */
	bool hashing;  /* in pieces */
	struct {
		u32 at;
		u8 class;
	} back[BACK];
	XXH3_state_t state;
};

#define BEGINS  1u /* class START */
#define OPERAND 2u
static const u8 traits[KW_COUNT] = {
    [KW_SELECT] = BEGINS | OPERAND, [KW_AND] = BEGINS | OPERAND,     [KW_OR] = BEGINS | OPERAND,
    [KW_XOR] = BEGINS | OPERAND,    [KW_NOT] = BEGINS,               [KW_BETWEEN] = BEGINS | OPERAND,
    [KW_LIKE] = BEGINS | OPERAND,   [KW_REGEXP] = BEGINS | OPERAND,  [KW_RLIKE] = BEGINS | OPERAND,
    [KW_DIV] = BEGINS | OPERAND,    [KW_MOD] = BEGINS | OPERAND,     [KW_INTERVAL] = BEGINS | OPERAND,
    [KW_CASE] = BEGINS | OPERAND,   [KW_WHEN] = BEGINS | OPERAND,    [KW_IF] = BEGINS | OPERAND,
    [KW_WHILE] = BEGINS | OPERAND,  [KW_UNTIL] = BEGINS | OPERAND,   [KW_ELSEIF] = BEGINS | OPERAND,
    [KW_RETURN] = BEGINS | OPERAND, [KW_DEFAULT] = BEGINS | OPERAND, [KW_EVERY] = BEGINS | OPERAND,
    [KW_AT] = BEGINS | OPERAND,     [KW_STARTS] = BEGINS | OPERAND,  [KW_ENDS] = BEGINS | OPERAND,
    [KW_THEN] = OPERAND,            [KW_ELSE] = OPERAND,             [KW_WHERE] = OPERAND,
    [KW_HAVING] = OPERAND,          [KW_ON] = OPERAND,               [KW_BY] = OPERAND,
    [KW_LIMIT] = OPERAND,           [KW_OFFSET] = OPERAND,           [KW_DISTINCT] = OPERAND,
    [KW_DISTINCTROW] = OPERAND,     [KW_ALL] = OPERAND,              [KW_FROM] = OPERAND,
    [KW_USING] = OPERAND,           [KW_DO] = OPERAND,               [KW_BINARY] = OPERAND,
    [KW_ESCAPE] = OPERAND,          [KW_IMMEDIATE] = OPERAND,        [KW_RETURNING] = OPERAND,
    [KW_BOTH] = OPERAND,            [KW_LEADING] = OPERAND,          [KW_TRAILING] = OPERAND,
    [KW_STRAIGHT_JOIN] = OPERAND,   [KW_HIGH_PRIORITY] = OPERAND,    [KW_SQL_NO_CACHE] = OPERAND,
    [KW_CONDITION] = OPERAND,       [KW_SQL_CACHE] = OPERAND,       [KW_SQL_CALC_FOUND_ROWS] = OPERAND,
    [KW_SQL_SMALL_RESULT] = OPERAND, [KW_SQL_BIG_RESULT] = OPERAND,  [KW_SQL_BUFFER_RESULT] = OPERAND,
};

/* Names of character sets behind the underscore of an introducer; it is one token whichever it names. */
static const char *const charsets[] = {
    "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "cp932",
    "dec8", "eucjpms", "euckr", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "keybcs2", "koi8r", "koi8u",
    "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16",
    "utf16le", "utf32", "utf8", "utf8mb3", "utf8mb4"};

static void
hash_piece(struct shape *s, u32 end)
{
	if (!s->hashing)
		(void)XXH3_64bits_reset(&s->state);
	s->hashing = true;
	(void)XXH3_64bits_update(&s->state, s->d->text + s->from, end - s->from);
	s->d->total += end - s->from;
}

/* Hashes all that cannot change any more, and moves the rest to where the kept text ends. */
static void
make_room(struct shape *s)
{
	u32 end = s->n > 0 ? s->back[0].at : s->pos, moved = end - DIGEST_TEXT;

	hash_piece(s, end);
	memmove(s->d->text + DIGEST_TEXT, s->d->text + end, s->pos - end);
	s->from = DIGEST_TEXT;
	s->pos -= moved;
	for (u32 i = 0; i < s->n; i++)
		s->back[i].at -= moved;
}

static inline void
want_room(struct shape *s, u32 n)
{
	if (unlikely(s->pos + n + SLACK > DIGEST_ROOM))
		make_room(s);
}

static inline void
push(struct shape *s, enum class c)
{
	want_room(s, SLACK);
	if (unlikely(s->n == BACK)) {
		memmove(s->back, s->back + BACK / 2, sizeof s->back / 2);
		s->n = BACK / 2;
	}
	s->back[s->n].at = s->pos;
	s->back[s->n++].class = (u8)c;
}

/* piece: PIECE bytes may be read of it */
static inline void
put_word(struct shape *s, enum class c, const char *piece, u32 len)
{
	push(s, c);
	memcpy(s->d->text + s->pos, piece, PIECE);
	s->pos += len;
	s->d->text[s->pos++] = ' ';
}

#define PUT(s, c, literal)                                                                                             \
	do {                                                                                                           \
		static const char piece_[PIECE] = literal;                                                             \
		put_word(s, c, piece_, sizeof(literal) - 1);                                                           \
	} while (0)

static inline bool
last_is(const struct shape *s, u32 nth, enum class c)
{
	return s->n >= nth && s->back[s->n - nth].class == c;
}

static inline void
drop(struct shape *s, u32 n)
{
	s->n -= n;
	s->pos = s->back[s->n].at;
}

static inline bool
begins_expr(const struct shape *s, u32 nth)
{
	return s->n >= nth && s->back[s->n - nth].class >= START && s->back[s->n - nth].class <= SIGN;
}

static void
put_value(struct shape *s, bool number)
{
	while (number && last_is(s, 1, SIGN) && begins_expr(s, 2))
		drop(s, 1);
	s->operand = false;
	if (last_is(s, 1, COMMA) && (last_is(s, 2, VALUE) || last_is(s, 2, VALUES))) {
		drop(s, 2);
		PUT(s, VALUES, "?, ...");
	} else {
		PUT(s, VALUE, "?");
	}
}

/* Another row behind one of its kind and a comma joins it. True: it did. */
static bool
join_row(struct shape *s, enum class row, enum class rows)
{
	drop(s, 2);
	if (!last_is(s, 1, COMMA) || !(last_is(s, 2, row) || last_is(s, 2, rows)))
		return false;
	drop(s, 2);
	return true;
}

static void
put_close(struct shape *s)
{
	s->operand = false;
	if (last_is(s, 1, VALUE) && last_is(s, 2, OPEN)) {
		if (join_row(s, ROW_ONE, ROWS_ONE))
			PUT(s, ROWS_ONE, "(?) /* , ... */");
		else
			PUT(s, ROW_ONE, "(?)");
	} else if (last_is(s, 1, VALUES) && last_is(s, 2, OPEN)) {
		if (join_row(s, ROW, ROWS))
			PUT(s, ROWS, "(...) /* , ... */");
		else
			PUT(s, ROW, "(...)");
	} else {
		PUT(s, OTHER, ")");
	}
}

static void
put_long_name(struct shape *s, const u8 *p, size_t len, bool double_it)
{
	while (len > 0) {
		size_t n = MIN(len, (size_t)NAME_STEP / 2);

		want_room(s, NAME_STEP);
		len -= n;
		for (; n > 0; n--) {
			if (double_it && *p == '`')
				s->d->text[s->pos++] = '`';
			s->d->text[s->pos++] = *p++;
		}
	}
}

/* Contents of the name between backticks. `quote`: what it was written in. Nothing folds across a name. */
static void
put_name(struct shape *s, const u8 *p, size_t len, u8 quote)
{
	s->n = 0;
	s->operand = false;
	want_room(s, SLACK);
	s->d->text[s->pos++] = '`';
	if (len <= PIECE && quote != '"') {
		memcpy(s->d->text + s->pos, p, len);
		s->pos += (u32)len;
	} else {
		put_long_name(s, p, len, quote == '"');
		want_room(s, SLACK);
	}
	s->d->text[s->pos++] = '`';
	s->d->text[s->pos++] = ' ';
}

static bool
is_charset(const u8 *p, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
		size_t j = 0;

		while (j < len && charsets[i][j] != '\0' && (p[j] >= 'A' && p[j] <= 'Z' ? p[j] | 0x20 : p[j]) == charsets[i][j])
			j++;
		if (j == len && charsets[i][j] == '\0')
			return true;
	}
	return false;
}

static void
put_keyword(struct shape *s, const struct word *w)
{
	const struct word_shape *shape = word_shape(w);
	u8 t = traits[w->kw];

	if (w->kw == KW_NULL && s->operand) {
		put_value(s, false);
		return;
	}
	/* NOT is an operator where an operand may follow, and part of IS NOT NULL, NOT LIKE or INT NOT NULL elsewhere */
	if (w->kw != KW_NOT)
		s->operand = (t & OPERAND) != 0;
	put_word(s, t & BEGINS ? START : OTHER, shape->text, shape->len);
}

static inline void
put_a_word(struct shape *s, const struct lex *l, const struct tok *t)
{
	const u8 *p = l->text + t->off;

	if (t->word != NULL && (t->word->kw != NO_KW ||
	    (t->word->form == FN_TIGHT && l->cur < l->end && *l->cur == '('))) {
		put_keyword(s, t->word);
	} else if (unlikely(*p == '_') && !t->after_point && is_charset(p + 1, t->len - 1)) {
		s->operand = true;
		PUT(s, OTHER, "(_charset)");
	} else {
		put_name(s, p, t->len, 0);
	}
}

static void
put_at(struct shape *s)
{
	push(s, OTHER);
	s->d->text[s->pos++] = '@';
}

/* The server reads @ and then a name, a string or what it takes for the name of a host. */
static void
put_variable(struct shape *s, const struct lex *l, const struct tok *t)
{
	const u8 *p = l->text + t->off + 1;
	struct slice name = tok_name(l, t);

	put_at(s);
	if (t->kind == TOK_SYSTEM_VAR) {
		const struct word *w = p[1] == '`' ? NULL : word_find(name.p, name.len, l->end);

		put_at(s);
		if (w != NULL && w->kw != NO_KW)
			put_keyword(s, w);
		else
			put_name(s, name.p, name.len, '`');
	} else if (t->len > 2 && (*p == '`' || (*p == '"' && l->mode & LEX_ANSI_QUOTES))) {
		put_name(s, p + 1, t->len - 3, *p);
	} else {
		put_value(s, false);
	}
}

static void
put_operator(struct shape *s, const u8 *p, u32 len)
{
	char piece[PIECE] = {0};
	bool begins = len == 2 && (p[0] == p[1]) && strchr("<>&|", p[0]) != NULL;

	if (len == 2 && p[0] == '\\') {
		if (s->operand)
			put_value(s, false);
		else
			PUT(s, OTHER, "NULL");
		return;
	}
	s->operand = true;
	if (len == 2 && p[0] == '<' && p[1] == '>')
		p = (const u8 *)"!=";
	memcpy(piece, p, len);
	put_word(s, begins ? START : OTHER, piece, len);
}

static void
put_mark(struct shape *s, u8 c)
{
	push(s, c == ',' ? COMMA : c == '(' ? OPEN : c == '-' || c == '+' ? SIGN : memchr("|&*/%^", c, 6) != NULL ? START : OTHER);
	s->operand = true;
	s->d->text[s->pos++] = c;
	s->d->text[s->pos++] = ' ';
}

static void
put_token(struct shape *s, const struct lex *l, const struct tok *t)
{
	const u8 *p = l->text + t->off;

	switch (t->kind) {
	case TOK_WORD:
		put_a_word(s, l, t);
		break;
	case TOK_QUOTED:
		put_name(s, p + 1, t->len - 2, *p);
		break;
	case TOK_INT:
	case TOK_DECIMAL:
	case TOK_FLOAT:
	case TOK_BIT:
		put_value(s, true);
		break;
	case TOK_HEX:
		put_value(s, *p == '0');
		break;
	case TOK_STRING:
	case '?':
		put_value(s, false);
		break;
	case TOK_USER_VAR:
	case TOK_SYSTEM_VAR:
		put_variable(s, l, t);
		break;
	case TOK_ASSIGN:
	case TOK_OPERATOR:
		put_operator(s, p, t->len);
		break;
	case ')':
		put_close(s);
		break;
	default:
		put_mark(s, t->kind);
	}
}

/* The text goes on beyond what is known: the last row, name or value may be a part of one. */
static void
cut(struct shape *s)
{
	u32 i = s->n;

	while (i > 0 && (s->back[i - 1].class < ROW_ONE))
		i--;
	if (i > 0 && i < s->n)
		drop(s, s->n - i);
	PUT(s, OTHER, "...");
}

static bool
has_high_bytes(const u8 *p, size_t len)
{
	while (len-- > 0)
		if (*p++ >= 0x80)
			return true;
	return false;
}

static void
finish(struct shape *s)
{
	struct digest *d = s->d;

	if (s->hashing) {
		hash_piece(s, s->pos);
		d->hash = XXH3_64bits_digest(&s->state);
		d->total--;
		d->len = DIGEST_TEXT;
	} else if (s->pos > 0) {
		d->hash = XXH3_64bits(d->text, s->pos);
		d->total = s->pos - 1;
		d->len = MIN(s->pos - 1, DIGEST_TEXT);
	}
}

/* ---- the plan key ---- */

_Static_assert(TOK_STRING + 4 == TOK_HEX && TOK_BIT == TOK_HEX + 1 && TOK_INT == TOK_STRING + 1, "kinds of literals in a row");
_Static_assert(KW_COUNT < 0x7f00, "keywords in two bytes");

static inline u32
key_bytes(struct plankey *k, u32 n, enum plankey_tag tag, const u8 *p, u32 len)
{
	k->bytes[n++] = (u8)tag;
	k->bytes[n++] = (u8)len;
	memcpy(k->bytes + n, p, len);
	return n + len;
}

static inline u8
key_literal(u8 kind, u8 first)
{
	bool other = kind == TOK_STRING ? first != '\'' && first != '"' : (kind == TOK_HEX || kind == TOK_BIT) && first == '0';

	return (u8)(KEY_LITERAL + (kind - TOK_STRING) + (other ? 8 : 0));
}

/* One more token. before: the one before it. */
static inline void
key_token(struct plankey *k, const struct lex *l, const struct tok *t, const struct tok *before)
{
	const u8 *p = l->text + t->off;
	u32 n = k->len;

	if (t->kind == ';') /* those at the end mean nothing; several statements have no key */
		return;
	if (unlikely(n + 2 + UINT8_MAX > PLANKEY_ROOM || k->tokens == PLANKEY_TOKENS || before->kind == ';')) {
		k->usable = false;
		return;
	}
	k->at[k->tokens++] = (struct span){t->off, t->len};
	switch (t->kind) {
	case TOK_WORD:
		if (t->kw != NO_KW) {
			k->bytes[n++] = (u8)(0x80u | t->kw >> 8);
			k->bytes[n++] = (u8)t->kw;
			break;
		}
		/* fallthrough */
	case TOK_QUOTED:
	case TOK_USER_VAR:
	case TOK_SYSTEM_VAR:
		if (unlikely(t->len > UINT8_MAX))
			k->usable = false;
		else
			n = key_bytes(k, n, t->kind == TOK_WORD || t->kind == TOK_QUOTED ? KEY_NAME : KEY_VARIABLE, p, t->len);
		break;
	case TOK_STRING: case TOK_INT: case TOK_DECIMAL: case TOK_FLOAT: case TOK_HEX: case TOK_BIT:
		k->bytes[n++] = key_literal(t->kind, *p);
		break;
	case TOK_ASSIGN:
		k->bytes[n++] = KEY_ASSIGN;
		break;
	case TOK_OPERATOR:
		n = key_bytes(k, n, KEY_OPERATOR, p, t->len);
		break;
	case '(':
		k->bytes[n++] = before->word != NULL && before->word->form == FN_TIGHT && t->off == before->off + before->len ?
		    KEY_CALL : '(';
		break;
	default:
		k->bytes[n++] = t->kind;
	}
	k->len = n;
}

static void
key_end(struct plankey *k, const struct lex *l)
{
	if (l->versioned > 0 || l->mask_off != 0 || l->seen != 0)
		k->usable = false;
	if (k->usable)
		k->hash = XXH3_64bits(k->bytes, k->len);
}

/* ---- both ---- */

static inline void
make(const void *text, size_t len, u32 mode, struct digest *d_r, struct plankey *k)
{
	bool first_only = mode & LEX_UNSAFE_CHARSET && has_high_bytes(text, len), apart = false;
	struct shape s;
	struct lex l;
	struct tok t = {0}, before;

	if (d_r != NULL)
		d_r->hash = d_r->total = d_r->len = 0;
	s.d = d_r;
	s.pos = s.n = s.from = 0;
	s.operand = s.hashing = false;
	if (k != NULL) {
		k->tokens = 0;
		k->usable = !first_only && !(mode & LEX_TRUNCATED);
		k->bytes[0] = (u8)mode;
		k->bytes[1] = (u8)(mode >> 8);
		k->len = 2;
	}
	lex_init(&l, text, len, mode);
	for (;;) {
		before = t;
		lex_next(&l, &t);
		if (t.kind == TOK_END)
			break;
		if (k != NULL && k->usable)
			key_token(k, &l, &t, &before);
		if (t.kind == TOK_BAD && k != NULL)
			k->usable = false;
		if (d_r == NULL) {
			if (t.kind == TOK_BAD || !k->usable)
				break;
			continue;
		}
		if (t.kind == ';') { /* of several statements; those at the end mean nothing */
			apart = s.pos > 0;
			continue;
		}
		if (unlikely(apart)) {
			put_mark(&s, ';');
			s.operand = apart = false;
		}
		if (t.kind == TOK_BAD || (first_only && s.pos > 0)) {
			mode |= LEX_TRUNCATED;
			break;
		}
		put_token(&s, &l, &t);
	}
	if (k != NULL)
		key_end(k, &l);
	if (d_r == NULL)
		return;
	if (mode & LEX_TRUNCATED)
		cut(&s);
	finish(&s);
}

void
digest_make(const void *text, size_t len, u32 mode, struct digest *d_r)
{
	make(text, len, mode, d_r, NULL);
}

void
shape_make(const void *text, size_t len, u32 mode, struct digest *d_r, struct plankey *k_r)
{
	if (k_r == NULL)
		make(text, len, mode, d_r, NULL);
	else if (d_r == NULL)
		make(text, len, mode, NULL, k_r);
	else
		make(text, len, mode, d_r, k_r);
}
