/* t/fuzz/fuzz_digest.c: the shape of a statement. Any bytes in any mode; what stands inside of strings and numbers changes
 * nothing, nor do blanks in front and behind. The first byte chooses the mode.
 */
#include "t/fuzz/fuzz_util.h"
#include "parser/digest.h"
#include "parser/lex.h"
#include "parser/stmt.h"

static bool
is_alnum(u8 c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Other letters and digits in all literals. */
static void
change_literals(u8 *text, size_t len, u32 mode)
{
	struct lex l;
	struct tok t;

	lex_init(&l, text, len, mode);
	for (lex_next(&l, &t); t.kind != TOK_END && t.kind != TOK_BAD; lex_next(&l, &t)) {
		bool string = t.kind == TOK_STRING;

		if (!string && t.kind != TOK_INT)
			continue;
		for (u32 i = t.off + string; i < t.off + t.len - string; i++)
			if (is_alnum(text[i]))
				text[i] = string ? 'q' : '7';
	}
}

static void
is_same(const u8 *text, size_t len, u32 mode, const struct digest *d)
{
	static struct digest e;

	digest_make(text, len, mode, &e);
	MUST(e.hash == d->hash && e.total == d->total && e.len == d->len && memcmp(e.text, d->text, d->len) == 0);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct digest d;
	size_t len = size - 1;
	u32 mode;
	u8 *copy;

	if (size == 0)
		return 0;
	mode = data[0] % 16;
	digest_make(data + 1, len, mode, &d);
	MUST(d.len == MIN(d.total, (u64)DIGEST_TEXT));
	MUST((d.total == 0) == (d.hash == 0));
	MUST(d.len == 0 || d.text[0] != ' ');
	copy = malloc(len + 2);
	MUST(copy != NULL);
	copy[0] = ' ';
	memcpy(copy + 1, data + 1, len);
	copy[len + 1] = '\n';
	is_same(copy, len + 2, mode, &d);
	change_literals(copy + 1, len, mode);
	is_same(copy + 1, len, mode, &d);
	free(copy);
	return 0;
}
