/* parser/kill.c: the account in KILL .. USER, of a text that stmt_classify found to be a KILL with `arg`. Pure.
 */
#include "parser/lex.h"
#include "parser/stmt.h"
#include "parser/words.h"

static bool
is_quote(u8 c)
{
	return c == '\'' || c == '"' || c == '`';
}

/* What is between quotes, or all of it. False: something in it stands for something else. */
static bool
plain(struct slice v, struct slice *v_r)
{
	if (v.len >= 2 && is_quote(v.p[0]) && v.p[v.len - 1] == v.p[0]) {
		v.p++;
		v.len -= 2;
	}
	for (size_t i = 0; i < v.len; i++)
		if (is_quote(v.p[i]) || v.p[i] == '\\')
			return false;
	*v_r = v;
	return true;
}

static struct slice
tok_text(const struct lex *l, const struct tok *t)
{
	return (struct slice){l->text + t->off, t->len};
}

static bool
current_user(struct lex *l, struct tok *t, struct slice *user_r)
{
	lex_next(l, t);
	if (t->kind == '(') {
		lex_next(l, t);
		if (t->kind != ')')
			return false;
		lex_next(l, t);
	}
	*user_r = (struct slice){NULL, 0};
	return t->kind == TOK_END;
}

/* mariadb.com/kb/en/kill/: USER user_name; the host may be left out, and is then any. */
bool
stmt_kill_user(const void *arg, size_t len, u32 mode, struct slice *user_r, struct slice *host_r)
{
	struct lex l;
	struct tok t;

	*host_r = (struct slice){NULL, 0};
	if (mode & (LEX_UNSAFE_CHARSET | LEX_TRUNCATED))
		return false;
	lex_init(&l, arg, len, mode);
	lex_next(&l, &t);
	if (t.kind != TOK_WORD || t.kw != KW_USER)
		return false;
	lex_next(&l, &t);
	if (t.kind == TOK_WORD && t.kw == KW_CURRENT_USER)
		return current_user(&l, &t, user_r);
	if ((t.kind != TOK_WORD && t.kind != TOK_QUOTED && t.kind != TOK_STRING) || !plain(tok_text(&l, &t), user_r))
		return false;
	lex_next(&l, &t);
	if (t.kind == TOK_USER_VAR) {
		struct slice at = tok_text(&l, &t);

		if (!plain((struct slice){at.p + 1, at.len - 1}, host_r))
			return false;
		lex_next(&l, &t);
	}
	return t.kind == TOK_END;
}
