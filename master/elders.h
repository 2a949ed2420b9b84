/* master/elders.h: processes of earlier epochs, whose master died: they serve until our workers do, then drain
 * and end by themselves. We watch them, take back what they leave behind, and end those that stay too long.
 * Master only.
 */
#ifndef MARGAY_MASTER_ELDERS_H
#define MARGAY_MASTER_ELDERS_H
#include "master/master.h"

void elders_init(struct elders *e);
/* Finds them in the directories of earlier epochs; removes directories nobody lives in. */
void elders_find(struct master *m);
/* With the pool mapped: cells of processes that no longer live become orphans. */
void elders_orphan_cells(struct master *m);
/* Ours serve now: from here on they have drain_timeout and a little more. */
void elders_drain(struct master *m);
/* The newest epoch of which a process lives; 0 if none. */
u64 elders_epoch(const struct master *m);
void elders_fini(struct master *m);
#endif
