/* worker/intern.c: see intern.h. */
#include "worker/intern.h"
#include <xxhash.h>
#include "base/check.h"
#include "base/str.h"

#define BUCKETS 4096 /* texts of a worker: schemas, variables, prepared statements */

void
intern_init(struct intern *in)
{
	memset(in, 0, sizeof *in);
	in->nbuckets = BUCKETS;
	in->tab = calloc(in->nbuckets, sizeof *in->tab);
	in->empty = calloc(1, sizeof *in->empty);
	AN(in->tab);
	AN(in->empty);
	in->empty->refs = 1;
}

struct istr *
istr_get(struct intern *in, const void *p, size_t len)
{
	u64 h = XXH3_64bits(p, len);
	struct istr **at = &in->tab[h % in->nbuckets], *s;

	for (s = *at; s != NULL; s = s->next)
		if (s->hash == h && slice_eq(s->text, s->len, p, len)) {
			s->refs++;
			return s;
		}
	s = malloc(sizeof *s + len + 1);
	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s);
	s->hash = h;
	s->refs = 1;
	s->len = (u32)len;
	memcpy(s->text, p, len);
	s->text[len] = '\0';
	s->next = *at;
	*at = s;
	in->count++;
	return s;
}

struct istr *
istr_ref(struct istr *s)
{
	if (s != NULL)
		s->refs++;
	return s;
}

void
istr_put(struct intern *in, struct istr *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	struct istr **at = &in->tab[s->hash % in->nbuckets];

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	in->count--;
	free(s);
}

struct settings *
settings_ref(struct settings *s)
{
	s->refs++;
	return s;
}

static void
setting_put(struct intern *in, const struct istr *s)
{
	union {
		const struct istr *c;
		struct istr *m;
	} u = {s}; /* the set hands out const; the reference is ours */

	istr_put(in, u.m);
}

void
settings_put(struct intern *in, struct settings *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	struct settings **at = &in->sets;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	for (u32 i = 0; i < s->n; i++) {
		setting_put(in, s->v[i].name);
		setting_put(in, s->v[i].value);
	}
	free(s);
}

/* Sets with the same members are one object: finds it or keeps s. */
static struct settings *
settings_unify(struct intern *in, struct settings *s)
{
	s->hash = XXH3_64bits(s->v, s->n * sizeof s->v[0]);
	for (struct settings *o = in->sets; o != NULL; o = o->next)
		if (o->hash == s->hash && o->n == s->n &&
		    memcmp(o->v, s->v, s->n * sizeof s->v[0]) == 0) {
			for (u32 i = 0; i < s->n; i++) {
				setting_put(in, s->v[i].name);
				setting_put(in, s->v[i].value);
			}
			free(s);
			return settings_ref(o);
		}
	s->next = in->sets;
	in->sets = s;
	return s;
}

static int
name_cmp(const struct istr *a, struct slice b)
{
	int c = memcmp(a->text, b.p, MIN(a->len, b.len));

	return c != 0 ? c : (int)a->len - (int)b.len;
}

struct settings *
settings_with(struct intern *in, const struct settings *s, struct slice name, const struct slice *value)
{
	struct settings *r = calloc(1, sizeof *r + (s->n + 1) * sizeof r->v[0]);
	bool placed = value == NULL;

	if (r == NULL)
		return NULL;
	r->refs = 1;
	for (u32 i = 0; i <= s->n; i++) {
		int c = i < s->n ? name_cmp(s->v[i].name, name) : 1;

		if (!placed && c >= 0) {
			r->v[r->n].name = istr_get(in, name.p, name.len);
			r->v[r->n].value = istr_get(in, value->p, value->len);
			if (r->v[r->n].name == NULL || r->v[r->n].value == NULL)
				PANIC("out of memory");
			r->n++;
			placed = true;
		}
		if (i < s->n && c != 0) {
			r->v[r->n] = s->v[i];
			for (int k = 0; k < 2; k++) {
				const struct istr *t = k == 0 ? s->v[i].name : s->v[i].value;
				union {
					const struct istr *c;
					struct istr *m;
				} u = {t};
				istr_ref(u.m);
			}
			r->n++;
		}
	}
	if (r->n == 0) {
		free(r);
		return settings_ref(in->empty);
	}
	return settings_unify(in, r);
}

static const struct {
	const char *name;
	enum sysvar_quote q;
} sysvars[] = {
#define SYSVAR(name, q) {name, SYSVAR_##q},
#include "tbl/sysvars.def"
#undef SYSVAR
};

enum sysvar_quote
sysvar_lookup(const void *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(sysvars); i++)
		if (slice_ieq(name, len, sysvars[i].name))
			return sysvars[i].q;
	return SYSVAR_NO;
}

static void
write_value(struct wr *w, const struct setting *v)
{
	wr_bytes(w, v->name->text, v->name->len);
	wr_u8(w, '=');
	if (sysvar_lookup(v->name->text, v->name->len) == SYSVAR_NUMBER) {
		wr_bytes(w, v->value->text, v->value->len);
		return;
	}
	wr_u8(w, '\'');
	for (u32 i = 0; i < v->value->len; i++) {
		/* doubling is right with and without NO_BACKSLASH_ESCAPES; a backslash is not, so such values are
		 * never taken into settings */
		if (v->value->text[i] == '\'')
			wr_u8(w, '\'');
		wr_u8(w, (u8)v->value->text[i]);
	}
	wr_u8(w, '\'');
}

bool
settings_reach(const struct settings *have, const struct settings *want)
{
	u32 j = 0;

	for (u32 i = 0; i < have->n; i++) {
		while (j < want->n && want->v[j].name != have->v[i].name)
			j++;
		if (j == want->n)
			return false;
	}
	return true;
}

static const struct istr *
value_of(const struct settings *s, const char *name)
{
	for (u32 i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name->text, name) == 0)
			return s->v[i].value;
	return NULL;
}

bool
settings_parse_alike(const struct settings *a, const struct settings *b)
{
	static const char *const names[] = {"character_set_client", "character_set_connection", "collation_connection",
	    "old_mode", "sql_mode"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (value_of(a, names[i]) != value_of(b, names[i]))
			return false;
	return true;
}

bool
settings_diff(struct wr *w, const struct settings *have, const struct settings *want)
{
	u32 i, j;
	bool first = true;

	if (!settings_reach(have, want))
		return false;
	for (i = 0, j = 0; j < want->n; j++) {
		while (i < have->n && strcmp(have->v[i].name->text, want->v[j].name->text) < 0)
			i++;
		/* a connection character set sets the collation too, so a collation always follows it */
		if (i < have->n && have->v[i].name == want->v[j].name &&
		    have->v[i].value == want->v[j].value &&
		    strcmp(want->v[j].name->text, "collation_connection") != 0)
			continue;
		if (!first)
			wr_u8(w, ',');
		first = false;
		write_value(w, &want->v[j]);
	}
	return true;
}
