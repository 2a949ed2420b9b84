/* conf/tree.c: see tree.h. Master and tools. */
#include "conf/tree.h"
#include "base/err.h"
#include "base/str.h"

/* Sections of later versions: known, so that nobody hunts for a typing error. */
static const char *const not_yet[] = {"function"};

static void
unknown_section(struct conf_tree *t, const struct ini_section *s)
{
	const char *near = opt_nearest(s->kind, opt_section_words, OPT_SECTIONS);

	for (size_t i = 0; i < ARRAY_LEN(not_yet); i++)
		if (strcmp(s->kind, not_yet[i]) == 0) {
			msg_error(t->msgs, s->pos, "[%s] sections (sharding) are not supported yet",
				  s->kind);
			return;
		}
	for (int i = 0; near == NULL && i < OPT_SECTIONS; i++) /* [server:db1], [server.db1] */
		if (strncmp(s->kind, opt_section_words[i], strlen(opt_section_words[i])) == 0)
			near = opt_section_words[i];
	if (near == NULL)
		msg_error(t->msgs, s->pos, "unknown section [%s]", s->kind);
	else
		msg_error(t->msgs, s->pos, "unknown section [%s]; did you mean [%s%s]?", s->kind,
			  near, strcmp(near, "margay") == 0 ? "" : " NAME");
}

static int
section_kind(const char *word)
{
	for (int i = 0; i < OPT_SECTIONS; i++)
		if (strcmp(word, opt_section_words[i]) == 0)
			return i;
	return -1;
}

/* A new section with the defaults of its kind. */
static struct conf_section *
section_new(struct conf_tree *t, enum opt_section kind, const struct ini_section *from)
{
	struct conf_sections *of = &t->of[kind];
	void *list = of->v;
	struct conf_section *s, **at;
	size_t n;

	(void)opt_rows(kind, &n);
	s = mem_alloc(t->mem, sizeof *s);
	at = mem_append(t->mem, &list, &of->n, &of->room, sizeof *at);
	if (s == NULL || at == NULL)
		return NULL;
	of->v = list;
	*at = s;
	s->kind = kind;
	s->name = from->name;
	s->pos = from->pos;
	s->file = from->file;
	s->v = mem_alloc(t->mem, n * sizeof *s->v);
	if (s->v == NULL)
		return NULL;
	memcpy(s->v, t->defaults[kind], n * sizeof *s->v);
	return s;
}

static void
on_section(void *arg, struct ini_section *s)
{
	struct conf_tree *t = arg;
	int kind = section_kind(s->kind);

	if (kind < 0) {
		unknown_section(t, s);
	} else if (kind == OPT_IN_MARGAY) {
		if (s->name != NULL) {
			msg_error(t->msgs, s->pos, "[margay] takes no name");
			return;
		}
		if (t->margay.file == s->file)
			msg_error(t->msgs, s->pos,
				  "[margay] stands in this file already, at line %u",
				  t->margay.pos.line);
		t->margay.file = s->file;
		t->margay.pos = s->pos;
		s->cookie = &t->margay;
	} else if (s->name == NULL || s->name[0] == '\0') {
		msg_error(t->msgs, s->pos, "the section needs a name: [%s NAME]", s->kind);
	} else {
		s->cookie = section_new(t, (enum opt_section)kind, s);
	}
}

static void
unknown_option(struct conf_tree *t, const struct conf_section *s, const struct ini_option *o)
{
	const char *words[MARGAY_ROWS + SERVER_ROWS + CLUSTER_ROWS + USER_ROWS + TABLE_ROWS], *near;
	const struct opt *rows;
	char where[256];
	size_t n;

	rows = opt_rows(s->kind, &n);
	for (size_t i = 0; i < n; i++)
		words[i] = rows[i].name;
	near = opt_nearest(o->name, words, n);
	for (int k = 0; k < OPT_SECTIONS; k++)
		if (opt_find((enum opt_section)k, o->name) != NULL) {
			msg_error(t->msgs, o->pos, "option %s belongs in [%s%s], not in [%s%s]",
				  o->name, opt_section_words[k], k == OPT_IN_MARGAY ? "" : " NAME",
				  opt_section_words[s->kind],
				  s->kind == OPT_IN_MARGAY ? "" : " NAME");
			return;
		}
	(void)snprintf(where, sizeof where, "[%s%s%s]", opt_section_words[s->kind],
		       s->kind == OPT_IN_MARGAY ? "" : " ", s->name);
	if (near == NULL)
		msg_error(t->msgs, o->pos, "unknown option %s in %s", o->name, where);
	else
		msg_error(t->msgs, o->pos, "unknown option %s in %s; did you mean %s?", o->name,
			  where, near);
}

static void
on_option(void *arg, const struct ini_section *is, const struct ini_option *o)
{
	struct conf_tree *t = arg;
	struct conf_section *s = is->cookie;
	const struct opt *row, *first;
	struct opt_value *v;
	size_t n;
	u64 def;

	if (s == NULL) {
		if (is->kind[0] == '\0')
			msg_error(t->msgs, o->pos, "option %s before any section", o->name);
		return; /* in a section that has its error already */
	}
	row = opt_find(s->kind, o->name);
	if (row == NULL) {
		unknown_option(t, s, o);
		return;
	}
	first = opt_rows(s->kind, &n);
	v = &s->v[row - first];
	if (v->given) {
		msg_error(t->msgs, o->pos, "option %s stands twice; first at %s:%u", o->name,
			  v->pos.file, v->pos.line);
		return;
	}
	def = v->num;
	opt_parse(row, o, t->mem, t->msgs, v);
	if (v->bad)
		v->num = def; /* so that no other rule trips over it */
}

static bool
on_is_list(void *arg UNUSED, const char *kind, const char *name)
{
	int k = section_kind(kind);
	const struct opt *o = k < 0 ? NULL : opt_find((enum opt_section)k, name);

	return o != NULL && o->type == OPT_TYPE_LIST;
}

static int
by_name(const void *a, const void *b)
{
	const struct conf_section *x = *(struct conf_section *const *)a,
				  *y = *(struct conf_section *const *)b;
	int d = strcmp(x->name, y->name);

	if (d == 0 && x->file != y->file)
		d = strcmp(x->pos.file, y->pos.file);
	if (d == 0)
		d = x->pos.line < y->pos.line ? -1 : 1;
	return d;
}

static void
duplicates_report(struct conf_tree *t, enum opt_section kind)
{
	const struct conf_sections *of = &t->of[kind];

	for (size_t i = 1; i < of->n; i++)
		if (strcmp(of->v[i]->name, of->v[i - 1]->name) == 0)
			msg_error(t->msgs, of->v[i]->pos, "[%s %s] stands twice; also at %s:%u",
				  opt_section_words[kind], of->v[i]->name, of->v[i - 1]->pos.file,
				  of->v[i - 1]->pos.line);
}

static bool
defaults_fill(struct conf_tree *t, const char *path)
{
	t->path = path;
	for (int k = 0; k < OPT_SECTIONS; k++) {
		size_t n;
		const struct opt *rows = opt_rows((enum opt_section)k, &n);

		t->defaults[k] = mem_alloc(t->mem, n * sizeof *t->defaults[k]);
		for (size_t i = 0; t->defaults[k] != NULL && i < n; i++)
			opt_default(&rows[i], t->mem, &t->defaults[k][i]);
	}
	t->margay.kind = OPT_IN_MARGAY;
	t->margay.pos.file = t->path;
	t->margay.name = "";
	t->margay.v = t->defaults[OPT_IN_MARGAY]; /* there is one: it needs no copy */
	return !t->mem->oom;
}

static int
tree_finish(struct conf_tree *t)
{
	if (t->mem->oom)
		return ERR_NOMEM;
	for (int k = OPT_IN_SERVER; k < OPT_SECTIONS; k++) {
		if (t->of[k].n != 0)
			qsort(t->of[k].v, t->of[k].n, sizeof *t->of[k].v, by_name);
		duplicates_report(t, (enum opt_section)k);
	}
	return 0;
}

int
tree_read(struct conf_tree *t, const char *path)
{
	struct ini_user u = {
	    .arg = t, .on_section = on_section, .on_option = on_option, .is_list = on_is_list};
	int rc;

	if (!defaults_fill(t, path))
		return ERR_NOMEM;
	rc = ini_read(path, t->mem, t->msgs, &u);
	return rc != 0 ? rc : tree_finish(t);
}

int
tree_read_mem(struct conf_tree *t, const char *path, const void *bytes, size_t len)
{
	struct ini_user u = {.arg = t,
			     .on_section = on_section,
			     .on_option = on_option,
			     .is_list = on_is_list,
			     .no_includes = true};

	if (!defaults_fill(t, path))
		return ERR_NOMEM;
	ini_read_mem(path, bytes, len, t->mem, t->msgs, &u);
	return tree_finish(t);
}

struct conf_section *
tree_find(const struct conf_tree *t, enum opt_section kind, const char *name, size_t *index_r)
{
	const struct conf_sections *of = &t->of[kind];
	size_t lo = 0, hi = of->n;

	while (lo < hi) { /* the first of equal names */
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(of->v[mid]->name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == of->n || strcmp(of->v[lo]->name, name) != 0)
		return NULL;
	if (index_r != NULL)
		*index_r = lo;
	return of->v[lo];
}

const char *
tree_nearest(const struct conf_tree *t, enum opt_section kind, const char *name)
{
	const struct conf_sections *of = &t->of[kind];
	const char *best = NULL, *near;

	/* one word at a time with the nearest so far: no array of names is needed */
	for (size_t i = 0; i < of->n; i++) {
		const char *pair[2] = {best, of->v[i]->name};

		near = best == NULL ? opt_nearest(name, pair + 1, 1) : opt_nearest(name, pair, 2);
		if (near != NULL)
			best = near;
	}
	return best;
}
