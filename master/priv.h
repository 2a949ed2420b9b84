/* master/priv.h: who we run as and how many files we may open. Master only, before the first bind and before
 * any key is read.
 */
#ifndef MARGAY_MASTER_PRIV_H
#define MARGAY_MASTER_PRIV_H
#include "base/base.h"
#include <sys/types.h>

struct priv {
	bool root;        /* started as root: will change to uid */
	uid_t uid;        /* service account */
	gid_t gid;
	gid_t status_gid; /* `group`, else gid */
	char user[64];
};

/* Looks up the options user and group ("" for unset). 0, or ERR_CONFIG: why says what to do. */
MUST_CHECK int priv_find(const char *user, const char *group, struct priv *p_r, char *why, size_t size);
/* Changes to the account for good, keeping nothing but the right to bind ports below 1024. The hard limit of
 * open files is raised as far as the kernel lets root. 0, or ERR_SYSTEM with why. No-op unless p->root. */
MUST_CHECK int priv_drop(const struct priv *p, char *why, size_t size);
/* What a service manager gave us as ambient is ours alone. */
void priv_keep_from_children(void);
/* Gives the right to low ports up. */
void priv_drop_low(void);
/* Raises the soft limit of open files to `want` as far as the hard one allows; returns the one in force. */
u32 priv_nofile(u32 want);
#endif
