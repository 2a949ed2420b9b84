/* parser/split.c: see split.h. Statements whose first words say that they have no body end at the first semicolon that is a
 * token, whatever stands between: there the server's grammar either ends them or finds an error. Of all others nothing is
 * said. Pure.
 */
#include "parser/split.h"
#include "parser/stmt.h"

struct cut {
	struct lex l;
	struct tok t;
	bool shifts; /* a statement met may change how the server reads what follows it */
};

static bool
is_blank(u8 c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
step(struct cut *c)
{
	lex_next(&c->l, &c->t);
}

static bool
skip_word(struct cut *c, enum kw kw)
{
	if (c->t.kw != kw)
		return false;
	step(c);
	return true;
}

/* Behind CREATE, ALTER: things whose definition has no statement in it. */
static bool
defines_no_body(struct cut *c)
{
	if (skip_word(c, KW_OR) && !skip_word(c, KW_REPLACE))
		return false;
	(void)skip_word(c, KW_TEMPORARY);
	switch (c->t.kw) {
	case KW_UNIQUE:
	case KW_FULLTEXT:
	case KW_SPATIAL:
	case KW_INDEX:
	case KW_TABLE:
	case KW_VIEW:
	case KW_DATABASE:
	case KW_SCHEMA:
	case KW_SEQUENCE:
	case KW_USER:
	case KW_ROLE:
		return true;
	default:
		return false;
	}
}

/* The statement begins with the token looked at: does it end at its first semicolon? */
static bool
has_no_body(struct cut *c)
{
	u16 kw = c->t.kw;

	switch (kw) {
	case KW_SELECT: case KW_WITH: case KW_VALUES: case KW_TABLE: case KW_INSERT: case KW_REPLACE: case KW_UPDATE:
	case KW_DELETE: case KW_TRUNCATE: case KW_CALL: case KW_DO: case KW_SHOW: case KW_USE: case KW_LOAD: case KW_HANDLER:
	case KW_COMMIT: case KW_ROLLBACK: case KW_SAVEPOINT: case KW_RELEASE: case KW_START: case KW_XA: case KW_LOCK:
	case KW_UNLOCK: case KW_EXPLAIN: case KW_DESCRIBE: case KW_DESC: case KW_ANALYZE: case KW_CHECK: case KW_OPTIMIZE:
	case KW_REPAIR: case KW_CHECKSUM: case KW_FLUSH: case KW_RESET: case KW_KILL: case KW_DROP: case KW_RENAME:
	case KW_GRANT: case KW_REVOKE: case KW_PREPARE: case KW_DEALLOCATE: case KW_SIGNAL: case KW_GET:
		return true;
	case KW_SET:
		step(c);
		c->shifts = true;
		return c->t.kw != KW_STATEMENT;
	case KW_EXECUTE:
		c->shifts = true;
		return true;
	case KW_CREATE:
	case KW_ALTER:
		step(c);
		return defines_no_body(c);
	case KW_BEGIN: /* else BEGIN NOT ATOMIC, or a block of ORACLE's */
		step(c);
		(void)skip_word(c, KW_WORK);
		return c->t.kind == ';' || c->t.kind == TOK_END;
	default:
		return false;
	}
}

/* From the first token of a statement up to its semicolon or the end of the text. */
static bool
one(struct cut *c, struct split_part *part)
{
	bool parens = false;

	for (; c->t.kind == '('; parens = true)
		step(c);
	part->kw = c->t.kw;
	if (parens && c->t.kw != KW_SELECT && c->t.kw != KW_WITH && c->t.kw != KW_VALUES && c->t.kw != KW_TABLE)
		return false;
	if (!has_no_body(c))
		return false;
	while (c->t.kind != ';' && c->t.kind != TOK_END && c->t.kind != TOK_BAD)
		step(c);
	return c->t.kind != TOK_BAD;
}

/* Bytes that sql_mode and character sets give a meaning to. */
static bool
depends_on_mode(const u8 *p, const u8 *end)
{
	for (; p < end; p++)
		if (*p == '"' || *p == '\\' || *p >= 0x80)
			return true;
	return false;
}

u32
split_text(const void *text, size_t len, u32 lex_mode, struct split_part *part, u32 most)
{
	const u8 *p = text;
	struct cut c = {.shifts = false};
	u32 n = 0, from = 0;

	if (len > UINT32_MAX || (lex_mode & (LEX_TRUNCATED | LEX_UNSAFE_CHARSET)) != 0)
		return 0;
	while (len > 0 && (p[len - 1] == ';' || is_blank(p[len - 1])))
		len--;
	lex_init(&c.l, text, len, lex_mode);
	step(&c);
	for (;;) {
		if (n == most || c.t.kind == TOK_END)
			return 0;
		while (is_blank(p[from]))
			from++;
		if (!one(&c, &part[n]))
			return 0;
		part[n].off = from;
		part[n++].len = c.t.off - from;
		if (c.t.kind == TOK_END)
			break;
		/* code of a comment ends with the statement; `--;` is two signs, and at the end of a text a comment */
		if (c.l.in_code || p[c.t.off - 1] == '-' || (c.shifts && depends_on_mode(p + c.t.off, p + len)))
			return 0;
		from = c.t.off + 1;
		step(&c);
	}
	part[n - 1].len = (u32)len - part[n - 1].off; /* with a comment at its end */
	return c.l.versioned != 0 || c.l.mask_off != 0 || c.l.seen != 0 ? 0 : n;
}
