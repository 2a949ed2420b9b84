/* master/loop.h: the master's event loop: ppoll over a few dozen descriptors, and timers. The nodes belong
 * to their users and stay where they are while added. Master only; callbacks may add and remove any node.
 */
#ifndef MARGAY_MASTER_LOOP_H
#define MARGAY_MASTER_LOOP_H
#include "base/base.h"
#include "base/list.h"
#include <poll.h>

struct loop_fd {
	struct list link;
	int fd; /* stays the user's */
	short events;
	void (*on_ready)(void *arg, short revents);
	void *arg;
};
struct loop_timer {
	struct list link;
	u64 due; /* CLOCK_MONOTONIC ns */
	void (*on_due)(void *arg);
	void *arg;
};
struct loop {
	struct list fds, timers;
	size_t nfds, room;
	struct pollfd *polled;
	struct loop_fd **who; /* of polled[]; NULL: removed in this turn */
	size_t npolled;
	u64 now; /* when this turn began */
};

void loop_init(struct loop *l);
void loop_fini(struct loop *l);
/* 0 or ERR_NOMEM. */
MUST_CHECK int loop_add(struct loop *l, struct loop_fd *n, int fd, short events,
    void (*on_ready)(void *arg, short revents), void *arg);
/* Harmless on a node that is not added but was zeroed or removed. */
void loop_del(struct loop *l, struct loop_fd *n);
static inline bool
loop_has(const struct loop_fd *n)
{
	return n->on_ready != NULL;
}
/* One shot; set again to move it. */
void loop_timer_set(struct loop *l, struct loop_timer *t, u64 due, void (*on_due)(void *arg), void *arg);
void loop_timer_clear(struct loop_timer *t);
static inline bool
loop_timer_pending(const struct loop_timer *t)
{
	return t->on_due != NULL;
}
/* Waits for something and handles it. 0 or ERR_SYSTEM. */
MUST_CHECK int loop_turn(struct loop *l);
#endif
