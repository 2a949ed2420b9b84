/* t/fuzz/fuzz_stmt.c: the classifier. Any bytes in any mode get a verdict that agrees with itself, and a text that is
 * called a read withstands the second opinion of t/unit/parser_slow.h. The first byte chooses the mode.
 */
#include "t/fuzz/fuzz_util.h"
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
