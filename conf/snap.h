/* conf/snap.h: a checked tree to the snapshot of shm/cfg.h, and two snapshots to what changed
 * between them. Master. Pure but for the callback that claims pool slots.
 */
#ifndef MARGAY_CONF_SNAP_H
#define MARGAY_CONF_SNAP_H
#include "conf/tree.h"
#include "shm/cfg.h"

struct snap_args {
	const struct cfg *previous; /* generation in force, or NULL at a start */
	u64 generation, epoch;
	u32 cpus; /* what `workers = auto` means */
	/* Index in the pool segment for a server's address, or negative. NULL: ids serve as slots.
	 */
	int (*pool_slot)(void *arg, const char *address);
	void *arg;
};
struct snap_out {
	void *cfg, *secrets; /* malloc'ed, the caller's; struct cfg_root, struct cfg_secrets */
	size_t cfg_size, secrets_size;
};

/* At a reload: gives every RESTART option of t the value it had in `previous`, with a warning for
 * each that was changed. */
void snap_keep_restart(struct conf_tree *t, const struct cfg *previous);
/* t has no errors. 0, ERR_NOMEM, or the error of pool_slot; nothing is allocated then. What had to
 * be cut to the room made at start is a warning in t->msgs. */
MUST_CHECK int snap_build(struct conf_tree *t, const struct snap_args *a, struct snap_out *out_r);

/* One difference. before or after NULL: the section is new, or gone, then opt is NULL. */
struct conf_change {
	enum opt_section section;
	const char *name; /* of the section; "" for [margay] */
	const struct opt *opt;
	const char *before, *after; /* as in the file; secrets: "(secret)" */
};
/* Calls emit for every difference, in the order of sections and options. */
void conf_diff(const struct cfg *before, const struct cfg *after,
	       void (*emit)(void *arg, const struct conf_change *c), void *arg);
#endif
