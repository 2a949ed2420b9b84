/* master/ctl.h: the control socket runtime_dir/margay.ctl, as margayctl speaks it: one line in, then
 * "exit N\n" and text out, then the end. Master only. Clients are never waited for.
 *
 *   status | reload | stop | drain SERVER | online SERVER | rotate
 *
 * Root and the service account may do all; others that reach the socket (members of `group`) `status` only.
 */
#ifndef MARGAY_MASTER_CTL_H
#define MARGAY_MASTER_CTL_H
#include "base/base.h"

struct master;

enum ctl_verb { CTL_STATUS, CTL_RELOAD, CTL_STOP, CTL_DRAIN, CTL_ONLINE, CTL_ROTATE, CTL_VERBS };
struct ctl_request {
	enum ctl_verb verb;
	char arg[64];
};
#define CTL_LINE_MAX 256

/* A request line without its newline. NULL, or what is wrong with it (static text). Pure. */
const char *ctl_parse(const char *line, size_t len, struct ctl_request *r);
/* May a peer with this uid do it? Pure. */
bool ctl_may(enum ctl_verb verb, u32 peer_uid, u32 service_uid);

/* Opens the socket. 0 or ERR_SYSTEM (logged). */
MUST_CHECK int ctl_open(struct master *m);
/* Closes and removes the socket; clients that wait for a stop keep their connection until the process ends. */
void ctl_close(struct master *m);
/* A reload ended: answers those who wait for it. */
void ctl_on_reload(struct master *m, bool ok, const char *said);
#endif
