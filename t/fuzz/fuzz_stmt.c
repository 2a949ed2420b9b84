/* t/fuzz/fuzz_stmt.c: the classifier and the parser. Any bytes in any mode get a verdict that agrees with itself, and a text that is
 * called a read withstands the second opinion of t/unit/parser_slow.h. The first byte chooses the mode.
 */
#include "t/fuzz/fuzz_util.h"
#include "parser/ast.h"
#include "parser/lex.h"
#include "t/unit/parser_slow.h"

static void
tokens_are_inside(const u8 *text, size_t len, u32 mode)
{
	u32 end = 0;
	struct lex l;
	struct tok t;

	lex_init(&l, text, len, mode);
	do {
		lex_next(&l, &t);
		MUST(t.off >= end && t.off <= len && t.len <= len - t.off);
		MUST(t.len > 0 || t.kind == TOK_END || t.kind == TOK_BAD);
		end = t.off + t.len;
		if (t.kind == TOK_WORD || t.kind == TOK_QUOTED || t.kind == TOK_SYSTEM_VAR)
			must_be_inside(tok_name(&l, &t), text, len);
	} while (t.kind != TOK_END && t.kind != TOK_BAD);
}

/* Children lie in order within their parent's span; heights and counts are true. */
static void
node_is_sound(const struct ast *n)
{
	u32 from = n->off, count = 0;

	MUST(n->kind < AST_KINDS && n->height <= AST_HEIGHT);
	for (const struct ast *c = n->first; c != NULL; c = c->next, count++) {
		MUST(c->off >= from && c->off + c->len <= n->off + n->len && c->height < n->height);
		MUST(c->next != NULL || c == n->last);
		from = c->off + c->len;
		node_is_sound(c);
	}
	MUST(count == n->n);
}

static void
tree_is_sound(const u8 *text, size_t len, u32 mode)
{
	static char buf[256];
	struct arena a;
	struct ast_result r;

	arena_init(&a, 4u << 20);
	ast_parse(&a, text, len, mode, &r);
	MUST(r.err_off <= len && (r.wanted == NULL || r.verdict != AST_OK));
	for (const struct ast *s = r.first; s != NULL; s = s->next) {
		MUST(s->off + s->len <= len);
		node_is_sound(s);
		ast_print(s, text, buf, sizeof buf);
	}
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 mode;
	struct stmt st, cut;

	if (size == 0)
		return 0;
	mode = data[0] % 16;
	data++;
	size--;
	tokens_are_inside(data, size, mode);
	tokens_are_inside(data, size, mode | LEX_SKIP_VERSIONED);
	tree_is_sound(data, size, mode);
	tree_is_sound(data, size, mode | LEX_PIPES_AS_CONCAT | LEX_HIGH_NOT);
	stmt_classify(data, size, mode, &st);
	MUST((unsigned)st.kind < STMT_KINDS);
	MUST(!(st.flags & STMT_F_READ) == (st.why != ROUTE_READ));
	MUST(st.why != ROUTE_NONE && (u64)st.arg_off + st.arg_len <= size);
	MUST(st.pins >> PIN_REASONS == 0);
	if (st.flags & STMT_F_READ) {
		MUST(st.kind == STMT_SELECT && st.pins == 0 && !(mode & LEX_TRUNCATED));
		MUST(!(st.flags & (STMT_F_MULTI | STMT_F_DML | STMT_F_INTO | STMT_F_USER_VAR)));
		MUST(slow_check((const char *)data, size, mode) == NULL);
	}
	stmt_classify(data, size, mode | LEX_TRUNCATED, &cut);
	MUST(!(cut.flags & STMT_F_READ) && cut.pins & 1ull << PIN_LONG);
	return 0;
}
