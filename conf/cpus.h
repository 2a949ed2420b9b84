/* conf/cpus.h: how many cores the service may use, for `workers = auto`. Master, at a start. */
#ifndef MARGAY_CONF_CPUS_H
#define MARGAY_CONF_CPUS_H
#include "base/base.h"

/* At least 1: the affinity mask, cut by the quotas of the cgroup (v2) and its parents, rounded up.
 */
u32 cpus_usable(void);
/* The same quotas from a tree at `root` for the cgroup `path` ("/a/b"); UINT32_MAX: none. For
 * tests. */
u32 cpus_quota(const char *root, const char *path);
#endif
