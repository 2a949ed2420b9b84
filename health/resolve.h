/* health/resolve.h: the addresses of one server. getaddrinfo(3) blocks for as long as the resolver likes, so
 * each lookup runs in a thread of its own, one at a time for each server, and is waited for no longer than a
 * deadline. What was found is kept: a name server that is down does not take a known server down. Used by
 * the probe thread of the server. Health only.
 */
#ifndef MARGAY_HEALTH_RESOLVE_H
#define MARGAY_HEALTH_RESOLVE_H
#include "health/obs.h"

/* How old an answer may get before it is asked for again: getaddrinfo does not tell how long it is good,
 * and a server that moved is also found as soon as a probe fails (resolver_expire). */
#define RESOLVE_REFRESH_MS 30000

struct resolver {
	struct resolve_job *job; /* under way, or NULL */
	struct obs_addr addr[SHM_ADDR_MAX];
	u32 naddr;
	u64 at_ns; /* when addr was found; 0: expired */
	char error[256];
};

void resolver_init(struct resolver *r);
void resolver_fini(struct resolver *r);
/* The next resolver_get asks again, without waiting if there are old addresses. */
void resolver_expire(struct resolver *r);
/* Addresses of host:port (port 0: a Unix socket's path) are in r->addr then. Waits until deadline_ns at most,
 * and only when nothing is known yet. 0; ERR_NOTFOUND: no address (r->error says why); ERR_AGAIN: abort_fd. */
MUST_CHECK int resolver_get(struct resolver *r, const char *host, u32 port, u64 deadline_ns, int abort_fd);
#endif
