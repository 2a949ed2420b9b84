/* base/sdnotify.h: tells the service manager how the service is (sd_notify(3)'s protocol, without
 * libsystemd): one datagram to the socket named in NOTIFY_SOCKET. Never blocks. Master only.
 */
#ifndef MARGAY_BASE_SDNOTIFY_H
#define MARGAY_BASE_SDNOTIFY_H
#include "base/base.h"

struct sdnotify {
	int fd;          /* -1: nobody listens */
	u32 addr_len;
	u64 watchdog_us; /* 0: no watchdog asked for */
	u8 addr[112];    /* struct sockaddr_un; kept as bytes so that users need no socket headers */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and removes them from the environment, so that no
 * child reports in our name. 0 also when nobody listens; ERR_INVAL: an address that cannot be used. */
MUST_CHECK int sdnotify_init(struct sdnotify *n);
void sdnotify_fini(struct sdnotify *n);
/* Sends "NAME=value" lines. Errors are not reported: there is nobody to tell, and the manager acts on
 * what it does not hear. */
void sdnotify_send(const struct sdnotify *n, const char *fmt, ...) PRINTF(2, 3);
#endif
