/* health/facts.h: turns what servers say into values: GTID positions, error numbers, names. Pure: no
 * sockets, no clock. All input is foreign and may be anything. Health only.
 */
#ifndef MARGAY_HEALTH_FACTS_H
#define MARGAY_HEALTH_FACTS_H
#include "health/obs.h"

/* Merges a MariaDB position ("0-1-7,5-2-9") into set: per domain the larger sequence number. Entries that
 * are no GTID end the reading; domains beyond OBS_DOMAINS are left out, which only makes readers wait. server_id: of that
 * server only, 0: of all. */
void facts_gtid_merge(struct obs_gtid *set, u32 *n, const char *text, u64 server_id);
/* Why a connect or a statement failed. in_login: before the server accepted the login. sys_errno: what
 * facts_errno_in found in the message. */
enum srv_cause facts_cause(u32 mysql_errno, int sys_errno, bool in_login);
/* The errno at the end of Connector/C's message, "(111)" or "system error: 104"; 0 if there is none. */
int facts_errno_in(const char *message);
/* Copies with everything but printable ASCII as '?'; NULL gives "". */
void facts_text(char *dst, size_t size, const char *src);
/* ON, 1, YES, and the values of MariaDB 12's read_only other than OFF. */
bool facts_true(const char *value);
enum obs_thread facts_thread(const char *value);
/* Decimal number with or without a fraction; 0 for anything else. */
u64 facts_u64(const char *value);
/* "schema.table" as two quoted identifiers; 0 or ERR_INVAL. */
MUST_CHECK int facts_quote_table(const char *name, char *quoted, size_t size);
#endif
