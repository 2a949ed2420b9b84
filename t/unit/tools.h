/* t/unit/tools.h: an instance made of segments in a temporary directory, without any process of Margay, and
 * margay-stat run on it. Unit tests of tools/ only.
 */
#ifndef MARGAY_UNIT_TOOLS_H
#define MARGAY_UNIT_TOOLS_H
#include "base/reasons.h"
#include "shm/health.h"
#include "shm/map.h"
#include "shm/pool.h"
#include "shm/seq.h"

enum { FIX_WORKERS = 2, FIX_SERVERS = 3 };

extern char fix_dir[64];
extern struct shm_seg_master *fix_names;
extern struct shm_seg_health *fix_health;
extern struct shm_seg_pool *fix_pool;
extern struct shm_seg_worker *fix_worker[FIX_WORKERS];

void fix_make(void);   /* everything filled; all pids are that of this process */
void fix_remove(void);
u32 fix_dead_pid(void); /* of a process that has ended */

struct ran {
	int code;
	char *out, *err; /* allocated */
};
/* Runs margay-stat -r fix_dir with the words of args; as_nobody: without root's powers. */
struct ran fix_run(const char *args, bool as_nobody);
void ran_free(struct ran *r);
#endif
