/* t/fuzz/fuzz_stmt.c: the classifier. Any bytes in any mode get a verdict that agrees with itself, and a text that is
 * called a read withstands the second opinion of t/unit/parser_slow.h. The first byte chooses the mode.
 */
#include "t/fuzz/fuzz_util.h"
#include "t/unit/parser_slow.h"

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
