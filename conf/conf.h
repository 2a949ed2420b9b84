/* conf/conf.h: the way in: a file to a snapshot, or to a list of all that is wrong with it. Master
 * (conf_load) and tools (conf_quick, conf_load for a check). What the file looks like: conf/README.
 */
#ifndef MARGAY_CONF_CONF_H
#define MARGAY_CONF_CONF_H
#include "conf/msg.h"
#include "conf/snap.h"

struct conf_args {
	const struct cfg *previous; /* generation in force, with its secrets; NULL at a start */
	u64 generation, epoch;
	/* Index in the pool segment for the address, or negative; called only when all else is
	 * right. NULL: none is claimed (margayd -t). */
	int (*pool_slot)(void *arg, const char *address);
	void *arg;
	u32 cpus; /* for `workers = auto`; 0: ask the kernel */
};
struct conf_result {
	struct snap_out snap;  /* all zero unless conf_load returned 0; take the buffers or let
				  conf_result_free */
	struct conf_msgs msgs; /* in the order of the files; may hold warnings beside a snapshot */
};

/* Reads, checks and flattens the file. 0; ERR_CONFIG: errors, in r->msgs; ERR_SYSTEM: the file
 * cannot be read (message there too); ERR_NOMEM; ERR_LIMIT: no pool slot. Decrypted secrets are
 * left in r->snap only. */
MUST_CHECK int conf_load(const char *path, const struct conf_args *a, struct conf_result *r);
/* Wipes and frees what is left in r. */
void conf_result_free(struct conf_result *r);
/* A snapshot's buffers, wiped and freed. */
void conf_snap_free(struct snap_out *s);

/* What tools need to find the instance. */
#define CONF_PATH_MAX 1025
struct conf_dirs {
	char runtime_dir[CONF_PATH_MAX], state_dir[CONF_PATH_MAX],
	    key_file[CONF_PATH_MAX]; /* key_file "": none */
	char user[64], group[64];    /* "": the default; who the master must become before it may read more */
};
/* Reads [margay] alone, forgiving everything else: a file broken elsewhere or an include that this
 * user may not read does not keep an operator from asking for the status. 0; ERR_SYSTEM or
 * ERR_CONFIG with a line to print in why. */
MUST_CHECK int conf_quick(const char *path, struct conf_dirs *d_r, char *why, size_t size);
#endif
