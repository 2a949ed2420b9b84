/* master/super.h: all children together: starting, throttled respawn, hangs, being ready, stopping. Master
 * only.
 */
#ifndef MARGAY_MASTER_SUPER_H
#define MARGAY_MASTER_SUPER_H
#include "master/master.h"

/* Starts everything; failures are retried like crashes. */
void super_start(struct master *m);
/* What child.c reports. */
void super_on_ready(struct child *c);
void super_on_adopted(struct child *c, u64 generation, bool refused);
void super_on_end(struct child *c);
/* Once a second: hangs, heartbeat of the master, state for status and the service manager. */
void super_tick(struct master *m);
/* Begins to stop; a second call hurries. code: exit code of the master. */
void super_stop(struct master *m, int code);
void super_owe_all(struct master *m, u32 owed);
u32 super_ready_workers(const struct master *m);
bool super_all_ready(const struct master *m);
/* Service manager's status line. */
void super_tell_status(struct master *m);
#endif
