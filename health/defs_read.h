/* health/defs_read.h: reads definitions from one server, a table at a time, so that a prober's other chores are not kept
 * waiting. Used by the thread of that server's chores. Health only.
 */
#ifndef MARGAY_HEALTH_DEFS_READ_H
#define MARGAY_HEALTH_DEFS_READ_H
#include "health/db.h"
#include "health/defs.h"

struct defs_read;
/* list: tables to read, NULL: functions only; takes a reference of its own. NULL: no memory. */
struct defs_read *defs_begin(struct def_list *list, u64 asked);
/* Reads one more piece over a connection that is open. true: there is more to read. */
bool defs_step(struct defs_read *d, struct db *db, bool mariadb);
/* It cannot go on. */
void defs_fail(struct defs_read *d, const char *why);
/* Ends it; what was read is the caller's. */
struct def_result *defs_end(struct defs_read *d);
#endif
