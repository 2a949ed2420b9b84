/* parser/tree.c: what a statement means, read off its tree: function calls, variables, locks, tables. Pure. */
#include "parser/cls.h"

/* Common table expressions from `with` to `until`, which is not among them. */
struct scope {
	const struct ast *first, *until;
	const struct scope *up;
};

static void query(struct cls *c, const struct ast *n, bool top);

/* ---- names ---- */

/* Without its quotes. */
static struct slice
name_of(const struct cls *c, const struct ast *n)
{
	const u8 *p = c->l.text + n->off;

	if (n->len >= 2 && (*p == '`' || *p == '"' || *p == '\''))
		return (struct slice){p + 1, n->len - 2};
	return (struct slice){p, n->len};
}

static bool
same(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		u8 x = a.p[i] >= 'A' && a.p[i] <= 'Z' ? a.p[i] | 0x20 : a.p[i];
		u8 y = b.p[i] >= 'A' && b.p[i] <= 'Z' ? b.p[i] | 0x20 : b.p[i];

		if (x != y)
			return false;
	}
	return true;
}

static bool
is_cte(const struct cls *c, const struct ast *name)
{
	struct slice s = name_of(c, name);

	for (const struct scope *sc = c->scope; sc != NULL; sc = sc->up)
		for (const struct ast *e = sc->first; e != NULL && e != sc->until; e = e->next)
			if (same(s, name_of(c, e->first)))
				return true;
	return false;
}

/* Names in front of a point: tables of the server's own schemas describe that server. */
static void
qualifiers(struct cls *c, const struct ast *first, u32 n)
{
	for (; n > 1 && first != NULL && first->kind == AST_NAME; first = first->next, n--) {
		struct slice s = name_of(c, first);

		if (stmt_schema_is_local(s.p, s.len))
			cls_deny(c, ROUTE_STATE);
	}
}

/* ---- facts ---- */

static bool
grow(struct cls *c, void *list, u32 n, u32 *cap, size_t size)
{
	if (n < *cap)
		return true;
	void *old, *p = arena_get(c->a, MAX(*cap * 2, 8u) * size);

	memcpy(&old, list, sizeof old);
	if (p == NULL) {
		c->facts->flags &= ~STMT_K_WHOLE;
		return false;
	}
	if (n > 0)
		memcpy(p, old, n * size);
	memcpy(list, &p, sizeof p);
	*cap = MAX(*cap * 2, 8u);
	return true;
}

static struct stmt_name
span_of(const struct ast *schema, const struct ast *name)
{
	struct stmt_name s = {.off = name->off, .len = name->len};

	if (schema != NULL) {
		s.schema_off = schema->off;
		s.schema_len = schema->len;
	}
	return s;
}

static void
add_call(struct cls *c, const struct ast *ref)
{
	struct stmt_facts *f = c->facts;

	if (ref->first == NULL || !grow(c, &f->calls, f->ncalls, &f->capcalls, sizeof *f->calls))
		return;
	f->calls[f->ncalls++] = span_of(ref->n > 1 ? ref->first : NULL, ref->last);
}

static void
add_table(struct cls *c, const struct ast *n, u32 access)
{
	struct stmt_facts *f = c->facts;
	const struct ast *schema = NULL, *name = n->first, *alias = ast_child(n, AST_ALIAS);

	if (name != NULL && name->next != NULL && name->next->kind == AST_NAME) {
		schema = name;
		name = name->next;
	}
	if (name == NULL || (schema == NULL && is_cte(c, name)) ||
	    !grow(c, &f->tables, f->ntables, &f->captables, sizeof *f->tables))
		return;
	f->tables[f->ntables] = (struct stmt_table){.name = span_of(schema, name), .access = access};
	if (alias != NULL && alias->first != NULL) {
		f->tables[f->ntables].alias_off = alias->first->off;
		f->tables[f->ntables].alias_len = alias->first->len;
	}
	f->ntables++;
}

static void
table(struct cls *c, const struct ast *n, u32 access)
{
	if (n->n > 1 && n->first->next->kind == AST_NAME)
		qualifiers(c, n->first, 2);
	add_table(c, n, access);
	for (const struct ast *e = n->first; e != NULL; e = e->next)
		if (e->kind == AST_SYSTIME)
			tree_look(c, e);
}

/* ---- expressions ---- */

static u32
arguments(const struct ast *ref)
{
	u32 n = 0;

	for (const struct ast *e = ref->next; e != NULL; e = e->next)
		n += e->kind != AST_ORDER && e->kind != AST_SEPARATOR && e->kind != AST_LIMIT;
	return MIN(n, 3);
}

static void
function(struct cls *c, const struct ast *n)
{
	const struct ast *ref = n->first, *name;
	const u8 *text = c->l.text;

	if (n->op == KW_INTERVAL || ref == NULL || ref->kind != AST_REF || ref->first == NULL)
		return;
	name = ref->first;
	if (ref->n == 1) {
		struct slice s = name_of(c, name);
		bool quoted = s.len != name->len;
		u32 end = name->off + name->len; /* of CURRENT_ROLE alone perhaps that of the text */
		const struct word *w = word_find(s.p, s.len, c->l.end);

		if (quoted && w != NULL && w->form == FN_NONE)
			w = NULL; /* `in`(1): quoted, no keyword */
		if (w != NULL && w->form != FN_NONE &&
		    call_builtin(c, w, !quoted && end < n->off + n->len && text[end] == '(', arguments(ref)))
			return;
		if ((w != NULL && w->class != WORD_PLAIN && w->form == FN_NONE) || n->len == ref->len)
			return;
	} else {
		qualifiers(c, ref->first, ref->n);
	}
	c->pins |= PIN(ROUTINE);
	cls_deny(c, ROUTE_FUNCTION);
	add_call(c, ref);
}

static void
system_variable(struct cls *c, const struct ast *n)
{
	struct lex at = c->l;
	struct tok t;

	at.cur = at.text + n->off;
	lex_next(&at, &t);
	system_var(c, tok_name(&at, &t), at);
}

static void
sequence(struct cls *c, const struct ast *n)
{
	if (n->op == KW_NEXT) {
		cls_deny(c, ROUTE_WRITE);
		c->pins |= PIN(SEQUENCE);
	} else {
		cls_deny(c, ROUTE_STATE);
	}
	if (n->first != NULL && n->first->kind == AST_TABLE)
		table(c, n->first, n->op == KW_NEXT ? STMT_T_WRITE : STMT_T_READ);
}

static void
set_variables(struct cls *c, const struct ast *n)
{
	for (const struct ast *e = n->first; e != NULL; e = e->next)
		if (e->kind == AST_USER_VAR)
			c->pins |= PIN(USER_VAR);
}

static void
limit(struct cls *c, const struct ast *n)
{
	bool two = n->n - ((n->flags & AST_EXAMINED) != 0) > 1;

	if (two || ((n->flags & AST_FETCH) != 0 && (c->l.text[n->off] | 0x20) == 'o'))
		c->flags |= STMT_F_OFFSET;
}

static void
reference(struct cls *c, const struct ast *n)
{
	if (n->n < 2)
		return;
	qualifiers(c, n->first, n->n);
	if (n->last->len == 7 || n->last->len == 9)
		name_after_point(c, name_of(c, n->last));
}

static void
children(struct cls *c, const struct ast *n)
{
	for (const struct ast *e = n->first; e != NULL; e = e->next)
		if (e->first != NULL || (e->kind != AST_NAME && e->kind != AST_LITERAL))
			tree_look(c, e);
}

void
tree_look(struct cls *c, const struct ast *n)
{
	switch (n->kind) {
	case AST_QUERY:
		query(c, n, false);
		return;
	case AST_TABLE:
		table(c, n, STMT_T_READ);
		return;
	case AST_REF:
		reference(c, n);
		return;
	case AST_STAR:
		qualifiers(c, n->first, n->n + 1);
		return;
	case AST_CALL_FN:
		function(c, n);
		break;
	case AST_USER_VAR:
		c->flags |= STMT_F_USER_VAR;
		cls_deny(c, ROUTE_STATE);
		return;
	case AST_ASSIGN_VAR:
		c->pins |= PIN(USER_VAR);
		cls_deny(c, ROUTE_STATE);
		break;
	case AST_SYSTEM_VAR:
		system_variable(c, n);
		return;
	case AST_SEQ_VALUE:
		sequence(c, n);
		return;
	case AST_LIMIT:
		limit(c, n);
		break;
	case AST_INTO:
		if (c->kind == STMT_SELECT)
			c->flags |= STMT_F_INTO;
		cls_deny(c, ROUTE_WRITE);
		set_variables(c, n);
		break;
	case AST_LOCKING:
		cls_deny(c, ROUTE_LOCKING);
		return;
	case AST_PROCEDURE:
		cls_deny(c, ROUTE_FUNCTION);
		c->why_else = c->why_else == ROUTE_NONE ? ROUTE_FUNCTION : c->why_else;
		return;
	case AST_SELECT:
		if ((n->flags & AST_CALC) != 0) { /* the next statement asks for it with FOUND_ROWS() */
			c->flags |= STMT_F_CALC_ROWS;
			c->pins |= PIN(DIAGNOSTICS);
			cls_deny(c, ROUTE_STATE);
		}
		break;
	case AST_RETURNING: /* the reply is a result set and does not tell the insert id it leaves (measured) */
		if (c->kind == STMT_INSERT || c->kind == STMT_REPLACE)
			leaves_insert_id(c);
		break;
	default:
		break;
	}
	children(c, n);
}

/* ---- queries ---- */

/* A SELECT from tables, outside of parentheses. */
static bool
has_tables(const struct ast *body)
{
	if (body->kind == AST_SETOP)
		return has_tables(body->first) || has_tables(body->last);
	const struct ast *from = body->kind == AST_SELECT ? ast_child(body, AST_FROM) : NULL;

	return from != NULL && from->n > 0;
}

/* Tables that stand in FROM itself were added from the `first` on. */
static void
mark(struct cls *c, u32 first, u32 access)
{
	for (u32 i = first; i < c->facts->ntables; i++)
		c->facts->tables[i].access |= access;
}

static void
with_clause(struct cls *c, const struct ast *with, struct scope *sc)
{
	sc->first = with->first;
	sc->until = (with->flags & AST_RECURSIVE) != 0 ? NULL : with->first;
	for (const struct ast *e = with->first; e != NULL; e = e->next) {
		children(c, e);
		if ((with->flags & AST_RECURSIVE) == 0)
			sc->until = e->next;
	}
	sc->until = NULL;
}

static void
query(struct cls *c, const struct ast *n, bool top)
{
	struct scope sc = {.up = c->scope};
	u32 first = c->facts->ntables;

	for (const struct ast *e = n->first; e != NULL; e = e->next) {
		if (e->kind == AST_WITH) {
			c->scope = &sc;
			with_clause(c, e, &sc);
			continue;
		}
		if (e->kind == AST_LOCKING)
			mark(c, first, STMT_T_LOCK);
		if (top && (e->kind == AST_SELECT || e->kind == AST_SETOP) && has_tables(e))
			c->flags |= STMT_F_TABLES;
		tree_look(c, e);
	}
	c->scope = sc.up;
}

/* ---- statements that write ---- */

static bool
same_name(const struct cls *c, const struct ast *n, u32 off, u32 len)
{
	const struct ast other = {.off = off, .len = len};

	return len > 0 && same(name_of(c, n), name_of(c, &other));
}

/* Of the tables from `first` to `end`: the one that the name stands for is written; all, if none is found. */
static void
written(struct cls *c, const struct ast *name, u32 first, u32 end)
{
	struct stmt_facts *f = c->facts;
	bool found = false;

	for (u32 i = first; name != NULL && i < end; i++) {
		struct stmt_table *t = &f->tables[i];

		if (t->alias_len > 0 ? same_name(c, name, t->alias_off, t->alias_len) : same_name(c, name, t->name.off, t->name.len)) {
			t->access |= STMT_T_WRITE;
			found = true;
		}
	}
	for (u32 i = first; !found && i < end; i++)
		f->tables[i].access |= STMT_T_WRITE;
}

/* FROM of an UPDATE or DELETE. */
static void
tables_from(struct cls *c, const struct ast *from, u32 *first_r, u32 *end_r)
{
	*first_r = c->facts->ntables;
	children(c, from);
	*end_r = c->facts->ntables;
}

static void
update(struct cls *c, const struct ast *n)
{
	u32 first = 0, end = 0;

	for (const struct ast *e = n->first; e != NULL; e = e->next) {
		if (e->kind == AST_FROM) {
			tables_from(c, e, &first, &end);
		} else if (e->kind == AST_ASSIGNS) {
			for (const struct ast *a = e->first; a != NULL; a = a->next) {
				const struct ast *to = a->first;

				written(c, to != NULL && to->n > 1 ? to->first->next == to->last ? to->first : to->first->next : NULL,
				    first, end);
				children(c, a);
			}
		} else if (e->kind != AST_WITH) {
			tree_look(c, e);
		}
	}
}

static void
delete(struct cls *c, const struct ast *n)
{
	const struct ast *targets = ast_child(n, AST_TARGETS);
	u32 first = 0, end = 0;

	for (const struct ast *e = n->first; e != NULL; e = e->next) {
		if (e->kind == AST_FROM) {
			if (c->kind == STMT_DELETE)
				c->flags |= STMT_F_TABLES;
			tables_from(c, e, &first, &end);
			if (targets == NULL)
				mark(c, first, STMT_T_WRITE);
		} else if (e->kind != AST_TARGETS && e->kind != AST_WITH) {
			tree_look(c, e);
		}
	}
	for (const struct ast *t = targets != NULL ? targets->first : NULL; t != NULL; t = t->next) {
		if (t->n > 1 && t->first->next->kind == AST_NAME)
			qualifiers(c, t->first, 2);
		written(c, t->n > 1 ? t->first->next : t->first, first, end);
	}
}

/* INSERT, REPLACE, LOAD: the first table is the one written. */
static void
insert(struct cls *c, const struct ast *n)
{
	bool load = n->kind == AST_LOAD;

	for (const struct ast *e = n->first; e != NULL; e = e->next) {
		if (e->kind == AST_TABLE && e == n->first)
			table(c, e, STMT_T_WRITE);
		else if (e->kind == AST_QUERY)
			query(c, e, true);
		else
			tree_look(c, e);
		if (load && e->kind == AST_COLUMNS)
			set_variables(c, e);
	}
}

static void
with_of_dml(struct cls *c, const struct ast *n, struct scope *sc)
{
	const struct ast *with = ast_child(n, AST_WITH);

	sc->up = c->scope;
	if (with == NULL)
		return;
	c->scope = sc;
	with_clause(c, with, sc);
}

void
tree_statement(struct cls *c, const struct ast *n)
{
	struct scope sc = {0};

	switch (n->kind) {
	case AST_QUERY:
		query(c, n, true);
		break;
	case AST_UPDATE:
		with_of_dml(c, n, &sc);
		update(c, n);
		c->scope = sc.up;
		break;
	case AST_DELETE:
		with_of_dml(c, n, &sc);
		delete(c, n);
		c->scope = sc.up;
		break;
	case AST_INSERT:
	case AST_LOAD:
		insert(c, n);
		break;
	case AST_CALL:
		if (n->first != NULL)
			add_call(c, n->first);
		children(c, n);
		break;
	case AST_CREATE_TABLE: { /* CREATE TABLE ... SELECT f(x) calls f now; defaults and checks wait */
		const struct ast *q = ast_child(n, AST_QUERY);

		tree_tables(c, n);
		if (q != NULL)
			query(c, q, true);
		break;
	}
	default:
		children(c, n);
	}
}

/* What a view reads when it is used is no more than names now. */
static void
view(struct cls *c, const struct ast *q)
{
	struct cls before = *c;

	query(c, q, false);
	c->flags = before.flags;
	c->pins = before.pins;
	c->why = before.why;
	c->denied = before.denied;
	c->why_else = before.why_else;
}

void
tree_tables(struct cls *c, const struct ast *n)
{
	u32 access = n->kind == AST_LOCK ? STMT_T_LOCK : STMT_T_DDL;

	for (const struct ast *e = n->first; e != NULL; e = e->next) {
		if (e->kind == AST_TABLE)
			add_table(c, e, n->kind == AST_CREATE_TABLE && e != n->first ? STMT_T_READ : access);
		else if (e->kind == AST_COLDEF || e->kind == AST_KEYDEF || e->kind == AST_ALTER)
			tree_tables(c, e); /* REFERENCES, RENAME TO, EXCHANGE PARTITION .. WITH TABLE */
		else if (e->kind == AST_QUERY && n->kind == AST_CREATE_VIEW)
			view(c, e);
	}
}
