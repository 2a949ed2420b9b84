/* master/slow.h: the log of slow statements, a file of its own in the servers' format. Master only; no call here may block. */
#ifndef MARGAY_MASTER_SLOW_H
#define MARGAY_MASTER_SLOW_H
#include "master/logs.h"

/* An entry as a worker sent it (log_slow), behind its "<S>". g NULL: it is dropped. */
void slow_entry(struct logs *g, const char *p, size_t len);
#endif
