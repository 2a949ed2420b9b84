/* t/sys/rename.c: other names for tables by splicing spans, as a filter for t/sys/test_rename.py. Statements on stdin and answers
 * on stdout, each ended by a NUL. An answer is a letter and a text: r and the statement with _r behind each table's name, = for one
 * without tables, - and the kind of one that is left out. In FROM the old name becomes the alias, so that columns, expressions'
 * names and targets of DELETE stay as they are; INSERT, DELETE of one table and FOR PORTION take no alias: there the columns that
 * are written with the table's name get the new one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "parser/ast.h"
#include "parser/facts.h"
#include "t/sys/filter.h"

#define EDITS_MOST 4096
#define ARENA_MOST (64u << 20)

struct edit {
	u32 at;
	const struct ast *alias; /* NULL: _r; a name: that, behind AS */
};

struct work {
	const char *text;
	struct edit edits[EDITS_MOST];
	u32 n;
	struct stmt_facts facts;
	struct slice own; /* the table whose name columns are written with, where it has no alias */
	const char *left_out;
};

static struct arena arena, facts_arena;

static struct slice
name_of(const struct work *w, const struct ast *n)
{
	const u8 *p = (const u8 *)w->text + n->off;
	bool quoted = n->len >= 2 && (*p == '`' || *p == '"');

	return (struct slice){p + quoted, n->len - 2 * quoted};
}

static bool
same(struct slice a, struct slice b, bool any_case)
{
	return a.len == b.len && a.len > 0 &&
	    (any_case ? strncasecmp((const char *)a.p, (const char *)b.p, a.len) == 0 : memcmp(a.p, b.p, a.len) == 0);
}

static void
add(struct work *w, u32 at, const struct ast *alias)
{
	if (w->n < EDITS_MOST)
		w->edits[w->n++] = (struct edit){at, alias};
	else
		w->left_out = "long";
}

static void
add_suffix(struct work *w, const struct ast *name)
{
	add(w, name->off + name->len - (name->len > name_of(w, name).len), NULL);
}

/* The name of a common table expression here, by the classifier's own account. */
static bool
is_cte(const struct work *w, const struct ast *name)
{
	for (u32 i = 0; i < w->facts.ntables; i++)
		if (w->facts.tables[i].name.off == name->off)
			return false;
	return true;
}

static void
table(struct work *w, const struct ast *t, bool may_alias)
{
	const struct ast *last = t->first;

	if (t->first->next != NULL && t->first->next->kind == AST_NAME) {
		w->left_out = "schema";
		return;
	}
	if (is_cte(w, t->first))
		return;
	add_suffix(w, t->first);
	while (last->next != NULL && last->next->kind != AST_ALIAS)
		last = last->next;
	if (may_alias && last->next == NULL)
		add(w, last->off + last->len, t->first);
}

/* Whether a table of this name, or so called, is among those of a FROM. */
static bool
exposes(const struct work *w, const struct ast *n, struct slice name)
{
	if (n->kind == AST_TABLE || n->kind == AST_DERIVED) {
		const struct ast *alias = ast_child(n, AST_ALIAS);

		return alias != NULL ? same(name_of(w, alias->first), name, true) :
		    n->kind == AST_TABLE && same(name_of(w, n->first), name, true);
	}
	for (const struct ast *c = n->first; c != NULL; c = c->next)
		if (exposes(w, c, name))
			return true;
	return false;
}

static void
walk(struct work *w, const struct ast *n, enum ast_kind parent, bool may_alias)
{
	struct slice own = w->own;
	const struct ast *from;

	switch ((enum ast_kind)n->kind) {
	case AST_CREATE_VIEW: case AST_OTHER: case AST_SHOW: case AST_EXPLAIN: case AST_ADMIN_TABLE: case AST_CALL: case AST_LOCK:
	case AST_PREPARE: case AST_EXECUTE: case AST_DEALLOCATE: case AST_HANDLER: case AST_LOAD: case AST_USE: case AST_SEQ_VALUE:
	case AST_SET_STMT: case AST_PROCEDURE:
		w->left_out = ast_word(n->kind);
		return;
	case AST_TABLE:
		table(w, n, may_alias && (parent == AST_FROM || parent == AST_JOIN || parent == AST_TABLES));
		return;
	case AST_TARGETS:
		return; /* names of FROM, which stay */
	case AST_INSERT:
		w->own = name_of(w, n->first->first);
		break;
	case AST_UPDATE: case AST_DELETE:
		from = ast_child(n, AST_FROM);
		may_alias = ast_child(n, AST_PORTION) == NULL && (n->kind == AST_UPDATE || (n->flags & AST_MULTI) != 0);
		if (!may_alias && from->first->kind == AST_TABLE && ast_child(from->first, AST_ALIAS) == NULL)
			w->own = name_of(w, from->first->first);
		break;
	case AST_SELECT:
		may_alias = true;
		from = ast_child(n, AST_FROM);
		if (from != NULL && exposes(w, from, w->own))
			w->own = (struct slice){0};
		break;
	case AST_REF:
		if (parent != AST_CALL_FN && n->n > 2)
			w->left_out = "schema";
		/* fall through */
	case AST_STAR:
		if (n->n > (n->kind == AST_REF) && parent != AST_CALL_FN && same(name_of(w, n->first), w->own, false))
			add_suffix(w, n->first);
		return;
	default:
		break;
	}
	for (const struct ast *c = n->first; c != NULL; c = c->next)
		walk(w, c, n->kind, may_alias);
	w->own = own;
}

static int
by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;

	return x->at != y->at ? (x->at < y->at ? -1 : 1) : (x->alias != NULL) - (y->alias != NULL);
}

static void
each(const char *text, size_t len, u32 mode)
{
	static struct work w;
	struct ast_result r;
	struct stmt st;
	u32 done = 0;

	w = (struct work){.text = text};
	arena_reset(&arena);
	if (ast_parse(&arena, text, len, mode, &r) != AST_OK || r.versioned > 0)
		w.left_out = "syntax";
	stmt_understand(&facts_arena, text, len, mode, &st, &w.facts);
	for (const struct ast *s = r.first; s != NULL && w.left_out == NULL; s = s->next)
		walk(&w, s, AST_KINDS, false);
	arena_reset(&facts_arena);
	if (w.left_out != NULL) {
		printf("-%s%c", w.left_out, 0);
		return;
	}
	qsort(w.edits, w.n, sizeof w.edits[0], by_place);
	putchar(w.n > 0 ? 'r' : '=');
	for (u32 i = 0; i < w.n; i++) {
		const struct edit *e = &w.edits[i];

		fwrite(text + done, 1, e->at - done, stdout);
		done = e->at;
		if (e->alias == NULL)
			printf("_r");
		else
			printf(" AS %.*s", (int)e->alias->len, text + e->alias->off);
	}
	fwrite(text + done, 1, len - done, stdout);
	putchar('\0');
}

int
main(int argc, char **argv)
{
	arena_init(&arena, ARENA_MOST);
	arena_init(&facts_arena, ARENA_MOST);
	int rc = filter_run(&(struct filter){.each = each, .more = ""}, argc, argv);
	arena_fini(&arena);
	arena_fini(&facts_arena);
	return rc;
}
