/* base/list.h: intrusive doubly linked list with a head that is itself a node. An empty or unlinked node
 * points to itself, so list_del is harmless twice.
 */
#ifndef MARGAY_BASE_LIST_H
#define MARGAY_BASE_LIST_H
#include "base/base.h"

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}
static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}
static inline void
list_add_after(struct list *at, struct list *n)
{
	n->next = at->next;
	n->prev = at;
	at->next->prev = n;
	at->next = n;
}
static inline void
list_push_front(struct list *head, struct list *n)
{
	list_add_after(head, n);
}
static inline void
list_push_back(struct list *head, struct list *n)
{
	list_add_after(head->prev, n);
}
static inline void
list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = n;
}
#define LIST_ENTRY(n, type, member)   CONTAINER_OF(n, type, member)
#define list_for_each(i, head)         for (struct list *i = (head)->next; i != (head); i = i->next)
#define list_for_each_safe(i, t, head)                                                             \
	for (struct list *i = (head)->next, *t = i->next; i != (head); i = t, t = i->next)
#endif
