/* master/child.h: one child process: its start, its channel and its end. What is to be done about an end is
 * super.c's business. Master only.
 */
#ifndef MARGAY_MASTER_CHILD_H
#define MARGAY_MASTER_CHILD_H
#include "master/ending.h"
#include "master/master.h"

void child_init(struct child *c, struct master *m, int slot);
/* Forks and executes. 0, or ERR_SYSTEM (logged; nothing is left behind). */
MUST_CHECK int child_start(struct child *c);
/* Adds to what it must be told (enum child_owed) and sends what goes. No-op without a process. */
void child_owe(struct child *c, u32 owed);
/* LINK_TAKEOVER: the sockets of `slot` are handed over. 0 or ERR_AGAIN, ERR_SYSTEM. */
MUST_CHECK int child_take_over(struct child *c, u32 slot);
void child_signal(struct child *c, int sig);
/* Reads what is left of its messages and log, reaps it and clears the object. *lived_ms_r: how long it was. */
struct ending child_reap(struct child *c, u64 *lived_ms_r);
/* Last sign of life, CLOCK_MONOTONIC ns. */
u64 child_last_sign(const struct child *c);
/* Moves the panic text of a dead child to buf; false if there is none. */
bool child_panic_take(struct child *c, char *buf, size_t size);
struct shm_slot *child_record(const struct child *c);
static inline bool
child_lives(const struct child *c)
{
	return c->state == CHILD_STARTING || c->state == CHILD_READY;
}
#endif
