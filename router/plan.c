/* router/plan.c: see plan.h. */
#include "router/plan.h"
#include <stdlib.h>

bool
plan_cache_init(struct plan_cache *c, u32 max)
{
	*c = (struct plan_cache){0};
	if (max == 0)
		return true;
	for (c->sets = 1; c->sets * PLAN_WAYS < max && c->sets < 1u << 20;)
		c->sets *= 2;
	c->way = calloc((size_t)c->sets * PLAN_WAYS, sizeof *c->way);
	return c->way != NULL;
}

static size_t
size_of(const struct plan *p)
{
	size_t n = sizeof *p + ((p->key_len + 7u) & ~(size_t)7) + p->ntables * sizeof *p->tables + p->ncalls * sizeof *p->calls;

	for (u32 i = 0; i < p->ntables; i++)
		n += p->tables[i].name.schema_len + p->tables[i].name.len;
	for (u32 i = 0; i < p->ncalls; i++)
		n += p->calls[i].schema_len + p->calls[i].len;
	return n;
}

static void
drop(struct plan_cache *c, struct plan **at)
{
	if (*at == NULL)
		return;
	c->n--;
	c->bytes -= size_of(*at);
	free(*at);
	*at = NULL;
}

void
plan_cache_fini(struct plan_cache *c)
{
	for (u32 i = 0; c->way != NULL && i < c->sets * PLAN_WAYS; i++)
		drop(c, &c->way[i]);
	free(c->way);
	*c = (struct plan_cache){0};
}

void
plan_cache_stamp(struct plan_cache *c, u64 stamp)
{
	c->stamp = stamp;
}

static inline struct plan **
set_of(struct plan_cache *c, const struct plankey *k)
{
	return &c->way[(k->hash & (c->sets - 1)) * PLAN_WAYS];
}

static inline bool
is(const struct plan *p, const struct plankey *k)
{
	return p != NULL && p->hash == k->hash && p->key_len == k->len && memcmp(p->key, k->bytes, k->len) == 0;
}

const struct plan *
plan_find(struct plan_cache *c, const struct plankey *k)
{
	if (unlikely(c->way == NULL || !k->usable))
		return NULL;
	struct plan **set = set_of(c, k);

	for (u32 i = 0; i < PLAN_WAYS; i++)
		if (is(set[i], k)) {
			if (unlikely(set[i]->stamp != c->stamp))
				return NULL;
			set[i]->used = ++c->turn;
			return set[i];
		}
	return NULL;
}

bool
plan_may_keep(const struct stmt *st)
{
	switch (st->kind) {
	case STMT_EMPTY: case STMT_OTHER: case STMT_DDL: case STMT_USE: case STMT_XA: case STMT_PREPARE: case STMT_EXECUTE:
	case STMT_DEALLOCATE: case STMT_KILL: case STMT_PROCESSLIST: case STMT_LOAD: case STMT_KINDS:
		return false;
	default:
		return st->mask_off == 0 && st->hint_len == 0 && st->arg_len == 0 && st->num == 0 &&
		    (st->flags & (STMT_F_SECRET | STMT_F_MULTI)) == 0;
	}
}

/* Copies a name to *at, which moves on. */
static struct plan_name
keep_name(char **at, const char *text, const struct stmt_name *n)
{
	struct plan_name p = {.schema = *at, .schema_len = n->schema_len, .len = n->len};

	memcpy(*at, text + n->schema_off, n->schema_len);
	*at += n->schema_len;
	p.name = *at;
	memcpy(*at, text + n->off, n->len);
	*at += n->len;
	return p;
}

static struct plan *
make(const struct plankey *k, const char *text, const struct stmt *st, const struct stmt_facts *f)
{
	struct plan head = {.hash = k->hash, .key_len = k->len, .facts = f->flags, .ntables = f->ntables, .ncalls = f->ncalls, .st = *st};
	size_t key = (k->len + 7u) & ~(size_t)7, names = 0;

	for (u32 i = 0; i < f->ntables; i++)
		names += f->tables[i].name.schema_len + f->tables[i].name.len;
	for (u32 i = 0; i < f->ncalls; i++)
		names += f->calls[i].schema_len + f->calls[i].len;
	struct plan *p = malloc(sizeof *p + key + f->ntables * sizeof *p->tables + f->ncalls * sizeof *p->calls + names);

	if (p == NULL)
		return NULL;
	*p = head;
	memcpy(p->key, k->bytes, k->len);
	void *lists = p->key + key;

	p->tables = lists;
	lists = p->tables + p->ntables;
	p->calls = lists;
	char *at = (char *)(p->calls + p->ncalls);

	for (u32 i = 0; i < f->ntables; i++) {
		p->tables[i].name = keep_name(&at, text, &f->tables[i].name);
		p->tables[i].access = f->tables[i].access;
	}
	for (u32 i = 0; i < f->ncalls; i++)
		p->calls[i] = keep_name(&at, text, &f->calls[i]);
	return p;
}

const struct plan *
plan_add(struct plan_cache *c, const struct plankey *k, const void *text, const struct stmt *st, const struct stmt_facts *f)
{
	if (c->way == NULL || !k->usable || !plan_may_keep(st))
		return NULL;
	struct plan **set = set_of(c, k), **old = set, *p = make(k, text, st, f);

	if (p == NULL)
		return NULL;
	for (u32 i = 0; i < PLAN_WAYS; i++) {
		if (set[i] == NULL || is(set[i], k)) { /* with an older stamp */
			old = &set[i];
			if (set[i] != NULL)
				break;
		} else if (*old != NULL && set[i]->used < (*old)->used) {
			old = &set[i];
		}
	}
	drop(c, old);
	p->stamp = c->stamp;
	p->used = ++c->turn;
	*old = p;
	c->n++;
	c->bytes += size_of(p);
	return p;
}
