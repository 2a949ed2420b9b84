/* master/runtime.h: runtime_dir: the lock that makes us the only master, epochs, and the processes that an
 * earlier master left behind. Master only.
 */
#ifndef MARGAY_MASTER_RUNTIME_H
#define MARGAY_MASTER_RUNTIME_H
#include "base/base.h"
#include <sys/types.h>

struct runtime {
	char dir[4000];       /* runtime_dir; room is left for names inside */
	char epoch_dir[4032]; /* dir/e<epoch> */
	u64 epoch;
	int lock_fd;
	gid_t gid;            /* group of what status readers may see; (gid_t)-1: leave it */
};

/* Makes the directory if it is missing (mode, owner uid:gid unless -1). 0, or ERR_SYSTEM: why tells. */
MUST_CHECK int runtime_mkdir(const char *path, mode_t mode, uid_t uid, gid_t gid, char *why, size_t size);
/* Takes the lock. 0; ERR_LIMIT: another master lives, *pid_r is its pid (0 if not known); ERR_SYSTEM. */
MUST_CHECK int runtime_lock(struct runtime *rt, pid_t *pid_r);
/* The next epoch's directory, made empty. `current` still names the previous one. 0, ERR_SYSTEM, ERR_LIMIT
 * (file system full). */
MUST_CHECK int runtime_epoch(struct runtime *rt);
/* Names an epoch in `current`: ours when its segments are there, that of our elders when we leave them behind. */
MUST_CHECK int runtime_publish(const struct runtime *rt, u64 epoch);
void runtime_unlock(struct runtime *rt);

/* Directories of earlier epochs: calls fn for each; fn may remove it. */
void runtime_each_old(const struct runtime *rt, void (*fn)(void *arg, u64 epoch, const char *dir), void *arg);
/* Removes a directory of segments (no subdirectories). */
void runtime_remove(const char *dir);

/* When the process began, wall ms; 0: there is no such process (a zombie counts as none). */
u64 runtime_started_ms(pid_t pid);
/* Does the writer that announced itself in a segment's header (pid, started) still live? A pid that was
 * given to another process since does not count. */
bool runtime_lives(pid_t pid, u64 started_ms);
#endif
