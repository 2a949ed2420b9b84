/* master/loop.c: ppoll and timers. Master only; nothing else of the master waits anywhere. */
#include "master/loop.h"
#include "base/clock.h"
#include "base/err.h"
#include <errno.h>

void
loop_init(struct loop *l)
{
	memset(l, 0, sizeof *l);
	list_init(&l->fds);
	list_init(&l->timers);
	l->now = clock_ns();
}

void
loop_fini(struct loop *l)
{
	free(l->polled);
	free(l->who);
	l->polled = NULL;
	l->who = NULL;
	l->room = l->npolled = 0;
}

/* Grows both arrays before a node is added, so that a turn cannot fail for want of memory. */
static int
make_room(struct loop *l)
{
	size_t room = l->room == 0 ? 32 : l->room * 2;
	struct pollfd *p;
	struct loop_fd **w;

	if (l->nfds < l->room)
		return 0;
	p = realloc(l->polled, room * sizeof *p);
	if (p == NULL)
		return ERR_NOMEM;
	l->polled = p;
	w = realloc(l->who, room * sizeof(struct loop_fd *));
	if (w == NULL)
		return ERR_NOMEM;
	l->who = w;
	l->room = room;
	return 0;
}

int
loop_add(struct loop *l, struct loop_fd *n, int fd, short events,
    void (*on_ready)(void *arg, short revents), void *arg)
{
	int rc = make_room(l);

	if (rc != 0)
		return rc;
	n->fd = fd;
	n->events = events;
	n->on_ready = on_ready;
	n->arg = arg;
	list_push_back(&l->fds, &n->link);
	l->nfds++;
	return 0;
}

void
loop_del(struct loop *l, struct loop_fd *n)
{
	if (!loop_has(n))
		return;
	list_del(&n->link);
	n->on_ready = NULL;
	l->nfds--;
	for (size_t i = 0; i < l->npolled; i++)
		if (l->who[i] == n)
			l->who[i] = NULL;
}

void
loop_timer_set(struct loop *l, struct loop_timer *t, u64 due, void (*on_due)(void *arg), void *arg)
{
	loop_timer_clear(t);
	t->due = due;
	t->on_due = on_due;
	t->arg = arg;
	list_push_back(&l->timers, &t->link);
}

void
loop_timer_clear(struct loop_timer *t)
{
	if (!loop_timer_pending(t))
		return;
	list_del(&t->link);
	t->on_due = NULL;
}

static struct loop_timer *
next_due(const struct loop *l)
{
	struct loop_timer *first = NULL;

	list_for_each(i, &l->timers) {
		struct loop_timer *t = LIST_ENTRY(i, struct loop_timer, link);

		if (first == NULL || t->due < first->due)
			first = t;
	}
	return first;
}

/* Only what is due at the beginning runs: a timer that sets itself again at once must not keep us here. */
static void
run_timers(struct loop *l)
{
	u64 now = clock_ns();
	struct loop_timer *t;

	l->now = now;
	for (size_t n = 0; n < 1000 && (t = next_due(l)) != NULL && t->due <= now; n++) {
		void (*fn)(void *arg) = t->on_due;

		loop_timer_clear(t);
		fn(t->arg);
	}
}

int
loop_turn(struct loop *l)
{
	const struct loop_timer *t = next_due(l);
	struct timespec wait = {0, 0};
	size_t n = 0;
	u64 now = clock_ns();
	int rc;

	list_for_each(i, &l->fds) {
		struct loop_fd *f = LIST_ENTRY(i, struct loop_fd, link);

		l->polled[n] = (struct pollfd){.fd = f->fd, .events = f->events};
		l->who[n++] = f;
	}
	l->npolled = n;
	if (t != NULL && t->due > now) {
		wait.tv_sec = (time_t)((t->due - now) / 1000000000u);
		wait.tv_nsec = (long)((t->due - now) % 1000000000u);
	}
	rc = ppoll(l->polled, n, t == NULL ? NULL : &wait, NULL);
	if (rc < 0 && errno != EINTR)
		return ERR_SYSTEM;
	l->now = clock_ns();
	for (size_t i = 0; rc > 0 && i < l->npolled; i++)
		if (l->polled[i].revents != 0 && l->who[i] != NULL)
			l->who[i]->on_ready(l->who[i]->arg, l->polled[i].revents);
	l->npolled = 0;
	run_timers(l);
	return 0;
}
