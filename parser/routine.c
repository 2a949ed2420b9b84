/* parser/routine.c: see routine.h. Recursive descent over the statements of a body; what stands between their keywords is
 * handed to stmt_classify as a SELECT of its own. After a doubt the token looked at is TOK_END for good, so that nothing
 * loops and no caller has to look. Pure.
 */
#include "parser/routine.h"
#include "base/str.h"
#include "parser/lex.h"
#include "parser/stmt.h"

#define DEPTH_MAX  64  /* of statements in statements */
#define LOCALS_MAX 256 /* variables in scope */

struct body {
	struct lex l;
	struct tok t; /* looked at */
	const char *text;
	char *scratch;
	enum routine_verdict doubt; /* ROUTINE_HARMLESS: none yet */
	u32 depth, n;
	struct slice local[LOCALS_MAX]; /* parameters and variables in scope */
};

/* ---- tokens ---- */

static void
doubt(struct body *b, enum routine_verdict why)
{
	if (b->doubt == ROUTINE_HARMLESS)
		b->doubt = why;
	b->t = (struct tok){.kind = TOK_END, .off = b->t.off};
}

static void
step(struct body *b)
{
	if (b->doubt != ROUTINE_HARMLESS)
		return;
	lex_next(&b->l, &b->t);
	if (b->t.kind == TOK_USER_VAR || b->t.kind == TOK_SYSTEM_VAR)
		doubt(b, ROUTINE_VARIABLE);
	else if (b->t.kind == TOK_BAD)
		doubt(b, ROUTINE_TEXT);
}

static bool
at_kw(const struct body *b, enum kw kw)
{
	return b->t.kw == kw;
}

static bool
at_name(const struct body *b)
{
	return b->t.kind == TOK_WORD || b->t.kind == TOK_QUOTED;
}

static bool
skip(struct body *b, enum kw kw)
{
	if (!at_kw(b, kw))
		return false;
	step(b);
	return true;
}

static void
want(struct body *b, enum kw kw)
{
	if (!skip(b, kw))
		doubt(b, ROUTINE_TEXT);
}

static void
want_name(struct body *b)
{
	if (!at_name(b))
		doubt(b, ROUTINE_TEXT);
	step(b);
}

/* ---- expressions and queries ---- */

/* Flags of what is a read, or not one, but asks for state or leaves some. */
#define NOT_PLAIN                                                                                                      \
	(STMT_F_MULTI | STMT_F_DIAG | STMT_F_FOUND_ROWS | STMT_F_CALC_ROWS | STMT_F_INSERT_ID | STMT_F_DML |           \
	    STMT_F_SECRET | STMT_F_USER_VAR | STMT_F_ENDS_TRX | STMT_F_SESSION_FN | STMT_F_INTO | STMT_F_LEAVES_ID |   \
	    STMT_F_TRACKER | STMT_F_DEFAULTS | STMT_F_TEMP | STMT_F_SET_STATEMENT | STMT_F_MARGAY)

/* What is in the scratch buffer must be a plain read. */
static void
judge(struct body *b, size_t len)
{
	struct stmt st;

	stmt_classify(b->scratch, len, 0, &st);
	if ((st.flags & STMT_F_READ) == 0 || st.kind != STMT_SELECT || (st.flags & NOT_PLAIN) != 0 || st.pins != 0)
		doubt(b, ROUTINE_EFFECT);
}

static size_t
put(struct body *b, size_t at, const char *p, size_t len)
{
	memcpy(b->scratch + at, p, len);
	return at + len;
}

/* Steps to one of the keywords, or to a token of kind `end` or ';', outside of parentheses and CASE .. END. */
static void
step_to(struct body *b, enum kw kw1, enum kw kw2, u8 end)
{
	u32 parens = 0, cases = 0;

	for (; b->t.kind != TOK_END; step(b)) {
		if (parens == 0 && cases == 0 &&
		    (b->t.kind == ';' || b->t.kind == end || (b->t.kw != NO_KW && (b->t.kw == kw1 || b->t.kw == kw2))))
			return;
		if (b->t.kind == '(')
			parens++;
		else if (b->t.kind == ')' && parens-- == 0)
			break;
		else if (b->t.kind == ';')
			break;
		else if (at_kw(b, KW_CASE))
			cases++;
		else if (at_kw(b, KW_END) && cases-- == 0)
			break;
	}
	if (b->t.kind != TOK_END || parens != 0 || cases != 0)
		doubt(b, ROUTINE_TEXT);
}

static void
expression(struct body *b, enum kw stop, u8 end)
{
	u32 from = b->t.off;
	size_t n;

	step_to(b, stop, NO_KW, end);
	if (b->doubt != ROUTINE_HARMLESS)
		return;
	if (b->t.off == from) {
		doubt(b, ROUTINE_TEXT);
		return;
	}
	n = put(b, 0, "SELECT ", 7);
	judge(b, put(b, n, b->text + from, b->t.off - from));
}

/* A query up to its semicolon. The variables behind its INTO are its own: a user variable was met as a token. */
static void
query(struct body *b)
{
	u32 from = b->t.off, into = 0;
	size_t n;

	step_to(b, KW_INTO, NO_KW, ';');
	into = b->t.off;
	n = b->doubt == ROUTINE_HARMLESS ? put(b, 0, b->text + from, into - from) : 0;
	if (at_kw(b, KW_INTO)) {
		do {
			step(b);
			if (at_kw(b, KW_OUTFILE) || at_kw(b, KW_DUMPFILE))
				doubt(b, ROUTINE_STATEMENT);
			want_name(b);
		} while (b->t.kind == ',');
		from = b->t.off;
		step_to(b, KW_INTO, NO_KW, ';');
		if (at_kw(b, KW_INTO))
			doubt(b, ROUTINE_TEXT);
		if (b->doubt == ROUTINE_HARMLESS) {
			n = put(b, n, " ", 1);
			n = put(b, n, b->text + from, b->t.off - from);
		}
	}
	if (b->doubt == ROUTINE_HARMLESS)
		judge(b, n);
}

/* ---- variables ---- */

static bool
slice_same(struct slice a, struct slice c)
{
	if (a.len != c.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		u8 x = a.p[i], y = c.p[i];

		x |= x >= 'A' && x <= 'Z' ? 0x20 : 0;
		y |= y >= 'A' && y <= 'Z' ? 0x20 : 0;
		if (x != y)
			return false;
	}
	return true;
}

static void
local_add(struct body *b, struct slice name)
{
	if (b->n == LOCALS_MAX)
		doubt(b, ROUTINE_TEXT);
	else
		b->local[b->n++] = name;
}

/* Is the name looked at a parameter or variable in scope? Any other could be a system variable. */
static bool
at_local(const struct body *b)
{
	struct slice name = tok_name(&b->l, &b->t);

	if (!at_name(b))
		return false;
	for (u32 i = 0; i < b->n; i++)
		if (slice_same(b->local[i], name))
			return true;
	return false;
}

static void
params_read(struct body *b, const char *params, size_t len)
{
	struct lex l;
	struct tok t;
	u32 depth = 0;
	bool first = true;

	lex_init(&l, params, len, 0);
	for (lex_next(&l, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&l, &t)) {
		if (first && t.kw != KW_IN && t.kw != KW_OUT && t.kw != KW_INOUT) {
			if (t.kind == TOK_WORD || t.kind == TOK_QUOTED)
				local_add(b, tok_name(&l, &t));
			first = false;
		}
		if (t.kind == '(')
			depth++;
		else if (t.kind == ')')
			depth -= depth > 0;
		else if (t.kind == ',' && depth == 0)
			first = true;
	}
}

/* ---- statements ---- */

static void statement(struct body *b);
static void statements(struct body *b);

/* DECLARE .. HANDLER FOR conditions statement: at what stands behind HANDLER FOR. */
static void
handler(struct body *b)
{
	do {
		if (b->t.kind == ',')
			step(b);
		if (skip(b, KW_SQLSTATE))
			skip(b, KW_VALUE);
		else
			skip(b, KW_NOT);
		if (b->t.kind == TOK_END || b->t.kind == ';')
			doubt(b, ROUTINE_TEXT);
		step(b);
	} while (b->t.kind == ',');
	statement(b);
}

static void
declare_rest(struct body *b, struct slice *name, u32 n)
{
	if (skip(b, KW_CURSOR)) {
		want(b, KW_FOR);
		query(b);
		return;
	}
	if (skip(b, KW_CONDITION)) {
		step_to(b, NO_KW, NO_KW, ';');
		return;
	}
	step_to(b, KW_DEFAULT, NO_KW, TOK_ASSIGN);
	if (b->t.kind != ';' && b->t.kind != TOK_END) {
		step(b);
		expression(b, NO_KW, ';');
	}
	for (u32 i = 0; i < n && b->doubt == ROUTINE_HARMLESS; i++)
		local_add(b, name[i]);
}

static void
declare(struct body *b)
{
	struct slice name[32];
	u32 n = 0;

	if (at_kw(b, KW_CONTINUE) || at_kw(b, KW_EXIT) || at_kw(b, KW_UNDO)) {
		struct lex ahead = b->l;
		struct tok t;

		lex_next(&ahead, &t);
		if (t.kw == KW_HANDLER) {
			step(b);
			step(b);
			want(b, KW_FOR);
			handler(b);
			return;
		}
	}
	for (;;) {
		if (n == ARRAY_LEN(name))
			doubt(b, ROUTINE_TEXT);
		else if (at_name(b))
			name[n++] = tok_name(&b->l, &b->t);
		want_name(b);
		if (b->t.kind != ',')
			break;
		step(b);
	}
	declare_rest(b, name, n);
}

/* SET of variables of its own only. */
static void
set(struct body *b)
{
	for (;;) {
		if (!at_local(b) || at_kw(b, KW_SESSION) || at_kw(b, KW_GLOBAL) || at_kw(b, KW_LOCAL) || at_kw(b, KW_NAMES))
			doubt(b, ROUTINE_VARIABLE);
		step(b);
		if (b->t.kind != '=' && b->t.kind != TOK_ASSIGN)
			doubt(b, ROUTINE_VARIABLE);
		step(b);
		expression(b, NO_KW, ',');
		if (b->t.kind != ',')
			return;
		step(b);
	}
}

static void
if_(struct body *b)
{
	do {
		expression(b, KW_THEN, ';');
		want(b, KW_THEN);
		statements(b);
	} while (skip(b, KW_ELSEIF));
	if (skip(b, KW_ELSE))
		statements(b);
	want(b, KW_END);
	want(b, KW_IF);
}

static void
case_(struct body *b)
{
	if (!at_kw(b, KW_WHEN))
		expression(b, KW_WHEN, ';');
	if (!at_kw(b, KW_WHEN))
		doubt(b, ROUTINE_TEXT);
	while (skip(b, KW_WHEN)) {
		expression(b, KW_THEN, ';');
		want(b, KW_THEN);
		statements(b);
	}
	if (skip(b, KW_ELSE))
		statements(b);
	want(b, KW_END);
	want(b, KW_CASE);
}

static void
end_label(struct body *b)
{
	if (at_name(b))
		step(b);
}

static void
block(struct body *b)
{
	u32 outside = b->n;

	statements(b);
	want(b, KW_END);
	end_label(b);
	b->n = outside;
}

static void
while_(struct body *b)
{
	expression(b, KW_DO, ';');
	want(b, KW_DO);
	statements(b);
	want(b, KW_END);
	want(b, KW_WHILE);
	end_label(b);
}

static void
repeat(struct body *b)
{
	statements(b);
	want(b, KW_UNTIL);
	expression(b, KW_END, ';');
	want(b, KW_END);
	want(b, KW_REPEAT);
	end_label(b);
}

static void
loop(struct body *b)
{
	statements(b);
	want(b, KW_END);
	want(b, KW_LOOP);
	end_label(b);
}

static void
fetch(struct body *b)
{
	if (skip(b, KW_NEXT))
		want(b, KW_FROM);
	else
		skip(b, KW_FROM);
	want_name(b);
	if (!at_kw(b, KW_INTO))
		doubt(b, ROUTINE_STATEMENT);
	do {
		step(b);
		want_name(b);
	} while (b->t.kind == ',');
}

/* `name:` before a block or a loop. */
static void
label(struct body *b)
{
	struct lex ahead = b->l;
	struct tok t;

	if (!at_name(b))
		return;
	lex_next(&ahead, &t);
	if (t.kind != ':')
		return;
	step(b);
	step(b);
	if (!at_kw(b, KW_BEGIN) && !at_kw(b, KW_LOOP) && !at_kw(b, KW_WHILE) && !at_kw(b, KW_REPEAT))
		doubt(b, ROUTINE_TEXT);
}

static void
statement_at(struct body *b)
{
	switch (b->t.kw) {
	case KW_SELECT:
	case KW_WITH:
		query(b);
		return;
	case KW_RETURN:
		step(b);
		expression(b, NO_KW, ';');
		return;
	case KW_BEGIN:
		step(b);
		block(b);
		return;
	case KW_DECLARE:
		step(b);
		declare(b);
		return;
	case KW_SET:
		step(b);
		set(b);
		return;
	case KW_IF:
		step(b);
		if_(b);
		return;
	case KW_CASE:
		step(b);
		case_(b);
		return;
	case KW_WHILE:
		step(b);
		while_(b);
		return;
	case KW_REPEAT:
		step(b);
		repeat(b);
		return;
	case KW_LOOP:
		step(b);
		loop(b);
		return;
	case KW_FETCH:
		step(b);
		fetch(b);
		return;
	case KW_LEAVE:
	case KW_ITERATE:
	case KW_OPEN:
	case KW_CLOSE:
		step(b);
		want_name(b);
		return;
	default:
		if (b->t.kind != TOK_END || b->doubt != ROUTINE_HARMLESS)
			doubt(b, ROUTINE_STATEMENT);
		else
			doubt(b, ROUTINE_TEXT);
	}
}

static void
statement(struct body *b)
{
	if (++b->depth > DEPTH_MAX)
		doubt(b, ROUTINE_TEXT);
	label(b);
	statement_at(b);
	b->depth--;
}

/* Up to the keyword that ends the list. */
static void
statements(struct body *b)
{
	while (b->t.kind != TOK_END && !at_kw(b, KW_END) && !at_kw(b, KW_ELSE) && !at_kw(b, KW_ELSEIF) && !at_kw(b, KW_WHEN) &&
	    !at_kw(b, KW_UNTIL)) {
		statement(b);
		if (b->t.kind != ';')
			doubt(b, ROUTINE_TEXT);
		step(b);
	}
}

/* Executable comments are code on some servers and none on others. */
static bool
has_executable_comment(const char *p, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++)
		if (p[i] == '/' && p[i + 1] == '*' && (p[i + 2] == '!' || p[i + 2] == 'M' || p[i + 2] == '+'))
			return true;
	return false;
}

enum routine_verdict
routine_judge(const char *body, size_t len, const char *params, size_t plen, void *scratch, size_t size)
{
	struct body b = {.text = body, .scratch = scratch, .doubt = ROUTINE_HARMLESS};

	if (size < ROUTINE_SCRATCH || size - ROUTINE_SCRATCH < len || len > UINT32_MAX)
		return ROUTINE_LONG;
	if (has_executable_comment(body, len))
		return ROUTINE_TEXT;
	params_read(&b, params, plen);
	lex_init(&b.l, body, len, 0);
	step(&b);
	statement(&b);
	if (b.t.kind == ';')
		step(&b);
	if (b.t.kind != TOK_END || b.l.seen & LEX_S_DOUBT)
		doubt(&b, ROUTINE_TEXT);
	return b.doubt;
}

bool
routine_mode_ok(const char *sql_mode)
{
	static const char *const same[] = {"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE",
	    "ERROR_FOR_DIVISION_BY_ZERO", "TRADITIONAL", "NO_AUTO_CREATE_USER", "NO_ENGINE_SUBSTITUTION", "ONLY_FULL_GROUP_BY",
	    "NO_AUTO_VALUE_ON_ZERO", "ALLOW_INVALID_DATES", "NO_UNSIGNED_SUBTRACTION", "PAD_CHAR_TO_FULL_LENGTH",
	    "TIME_ROUND_FRACTIONAL", "TIME_TRUNCATE_FRACTIONAL", "SIMULTANEOUS_ASSIGNMENT", "NO_DIR_IN_CREATE"};

	while (*sql_mode != '\0') {
		size_t len = strcspn(sql_mode, ","), i = 0;

		while (i < ARRAY_LEN(same) && !slice_ieq(sql_mode, len, same[i]))
			i++;
		if (i == ARRAY_LEN(same) && len != 0)
			return false;
		sql_mode += len + (sql_mode[len] == ',');
	}
	return true;
}
