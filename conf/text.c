/* conf/text.c: see text.h. */
#include "conf/text.h"

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static size_t
skip_blanks(const char *raw, size_t len, size_t at)
{
	while (at < len && is_blank(raw[at]))
		at++;
	return at;
}

/* A ';' or '#' that would start a comment: at the start of the value or after a blank. */
static inline bool
starts_comment(const char *raw, size_t at)
{
	return (raw[at] == ';' || raw[at] == '#') && (at == 0 || is_blank(raw[at - 1]));
}

bool
text_only_comment(const char *raw, size_t len, size_t at)
{
	size_t p = skip_blanks(raw, len, at);

	return p == len || (raw[p] == ';' && starts_comment(raw, p));
}

/* raw[*at] is the opening quote; *at moves behind the closing one. */
static const char *
quoted(struct mem *m, const char *raw, size_t len, size_t *at, struct text_value *v)
{
	char *d = mem_alloc(m, len - *at + 1);
	size_t i = *at + 1;
	u32 n = 0;

	if (d == NULL)
		return "out of memory";
	v->quoted = true;
	for (; i < len && raw[i] != '"'; i++) {
		if (raw[i] == '\\') {
			if (++i == len)
				break;
			if (raw[i] != '"' && raw[i] != '\\' && raw[i] != '{')
				return "unknown escape in a quoted value: only \\\" \\\\ and \\{ "
				       "exist";
			if (raw[i] == '{' && n == 0)
				v->literal_brace = true;
		}
		d[n++] = raw[i];
	}
	if (i >= len)
		return "no closing quote on this line";
	*at = i + 1;
	v->p = d;
	v->len = n;
	return NULL;
}

/* A bare value that starts at `at` and ends at `end` (exclusive), to be checked and copied. */
static const char *
bare(struct mem *m, const char *raw, size_t at, size_t end, struct text_value *v)
{
	while (end > at && is_blank(raw[end - 1]))
		end--;
	if (raw[at] == '\'')
		return "single quotes do not quote: use \"...\"";
	if (memchr(raw + at, '"', end - at) != NULL)
		return "a quote inside a value: put the whole value in quotes and write \\\" for "
		       "it";
	v->p = mem_dup(m, raw + at, end - at);
	v->len = (u32)(end - at);
	return v->p == NULL ? "out of memory" : NULL;
}

/* Where a bare value that starts at `at` ends: at a comment, at `stop` (0: none), at the end. */
static size_t
bare_end(const char *raw, size_t len, size_t at, char stop)
{
	while (at < len && !starts_comment(raw, at) && (stop == '\0' || raw[at] != stop))
		at++;
	return at;
}

static const char hash_comment[] =
    "a comment after a value starts with \" ;\"; put a value that holds \" #\" in quotes";
static const char no_value[] = "no value (write \"\" for an empty one)";

const char *
text_scalar(struct mem *m, const char *raw, size_t len, bool secret, struct text_value *v_r)
{
	size_t at = skip_blanks(raw, len, 0), end;
	const char *why;

	memset(v_r, 0, sizeof *v_r);
	if (at == len)
		return no_value;
	if (raw[at] == '"') {
		why = quoted(m, raw, len, &at, v_r);
		if (why == NULL && !text_only_comment(raw, len, at))
			why = "text after the closing quote (write \\\" for a quote inside)";
		return why;
	}
	end = bare_end(raw, len, at, '\0');
	if (end < len && secret)
		return "a blank and then ';' or '#' in a secret: put the secret in quotes";
	if (end < len && raw[end] == '#')
		return hash_comment;
	if (end == at)
		return no_value;
	return bare(m, raw, at, end, v_r);
}

const char *
text_item(struct mem *m, const char *raw, size_t len, size_t *at, struct text_value *v_r,
	  bool *comma_r)
{
	const char *why;
	size_t end, p = skip_blanks(raw, len, *at);

	memset(v_r, 0, sizeof *v_r);
	if (text_only_comment(raw, len, p)) {
		*at = len;
		return NULL;
	}
	if (raw[p] == ',')
		return "an empty item in the list";
	if (raw[p] == '"') {
		why = quoted(m, raw, len, &p, v_r);
		if (why != NULL)
			return why;
		p = skip_blanks(raw, len, p);
	} else {
		end = bare_end(raw, len, p, ',');
		if (end == p)
			return hash_comment;
		why = bare(m, raw, p, end, v_r);
		if (why != NULL)
			return why;
		if (strpbrk(v_r->p, " \t") != NULL)
			return "a blank inside an item: separate items by commas";
		p = end;
	}
	*comma_r = p < len && raw[p] == ',';
	if (*comma_r)
		p++;
	else if (p < len && raw[p] == '#')
		return hash_comment;
	else if (!text_only_comment(raw, len, p))
		return "text after the closing quote (write \\\" for a quote inside)";
	*at = p;
	return NULL;
}

bool
text_is_open(const char *raw, size_t len)
{
	size_t end;
	bool in_quotes = false;

	/* the end without a comment; quotes are followed so that a " ;" inside them is none */
	for (end = 0; end < len; end++) {
		if (in_quotes && raw[end] == '\\' && end + 1 < len)
			end++;
		else if (raw[end] == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes && starts_comment(raw, end))
			break;
	}
	end = MIN(end, len);
	while (end > 0 && is_blank(raw[end - 1]))
		end--;
	return end == 0 || raw[end - 1] == ',';
}

const char *
text_word(struct mem *m, const char *raw, size_t len, size_t *at, const char *stop,
	  struct text_value *v_r)
{
	size_t p = skip_blanks(raw, len, *at), end = p;

	memset(v_r, 0, sizeof *v_r);
	*at = p;
	if (p == len)
		return NULL;
	if (raw[p] == '"')
		return quoted(m, raw, len, at, v_r);
	while (end < len && !is_blank(raw[end]) && strchr(stop, raw[end]) == NULL)
		end++;
	if (end == p)
		return NULL;
	*at = end;
	return bare(m, raw, p, end, v_r);
}
