/* t/fuzz/fuzz_stmt.c: the classifier. Any bytes in any mode get a verdict that agrees with itself, and a text that is
 * called a read withstands the second opinion of t/unit/parser_slow.h; facts point into the text; a plan that is found for it
 * says what its own text says. The first byte chooses the mode.
 */
#include "t/fuzz/fuzz_util.h"
#include "router/plan.h"
#include "t/unit/parser_slow.h"

static void
name_is_inside(const struct stmt_name *n, size_t size)
{
	MUST((u64)n->schema_off + n->schema_len <= size && (u64)n->off + n->len <= size && n->len > 0);
}

static void
facts_are_sound(const struct stmt_facts *f, size_t size)
{
	for (u32 i = 0; i < f->ntables; i++) {
		name_is_inside(&f->tables[i].name, size);
		MUST((u64)f->tables[i].alias_off + f->tables[i].alias_len <= size);
		MUST(f->tables[i].access != 0 && f->tables[i].access < 16);
	}
	for (u32 i = 0; i < f->ncalls; i++)
		name_is_inside(&f->calls[i], size);
	MUST(!(f->flags & STMT_K_READ_BUT_CALLS) || (f->flags & STMT_K_PIN_BY_CALLS && f->flags & STMT_K_WHOLE));
}

/* Plans stay from one input to the next. */
static void
plan_agrees(const u8 *text, size_t size, u32 mode, const struct stmt *st, const struct stmt_facts *f)
{
	static struct plan_cache cache;
	static struct plankey k;
	static struct digest d, alone;

	if (cache.way == NULL)
		MUST(plan_cache_init(&cache, 4096));
	shape_make(text, size, mode, &d, &k);
	digest_make(text, size, mode, &alone);
	MUST(d.hash == alone.hash && d.total == alone.total);
	for (u32 i = 0; i < k.tokens; i++)
		MUST((u64)k.at[i].off + k.at[i].len <= size);
	const struct plan *p = plan_find(&cache, &k);

	if (p == NULL)
		p = plan_add(&cache, &k, text, st, f);
	if (p == NULL)
		return;
	MUST(p->st.flags == st->flags && p->st.pins == st->pins && p->st.kind == st->kind && p->st.why == st->why);
	MUST(st->num == 0 && st->arg_len == 0 && st->hint_len == 0 && st->mask_off == 0);
	MUST(p->facts == f->flags && p->ntables == f->ntables && p->ncalls == f->ncalls);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 mode;
	struct stmt st, cut;
	struct stmt_facts f;
	struct arena a;

	if (size == 0)
		return 0;
	mode = data[0] % 16 | slow_charset(data[0] >> 5);
	data++;
	size--;
	arena_init(&a, STMT_ARENA);
	stmt_understand(&a, data, size, mode, &st, &f);
	facts_are_sound(&f, size);
	plan_agrees(data, size, mode, &st, &f);
	arena_fini(&a);
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
