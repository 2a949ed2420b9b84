/* base/sdnotify.c: the sender's side of sd_notify(3). Master only; nothing here may block. */
#include "base/sdnotify.h"
#include "base/err.h"
#include "base/str.h"
#include <errno.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_un) <= sizeof(((struct sdnotify *)0)->addr), "addr room");

static u64
env_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	u64 us, p;

	if (usec == NULL || str_to_u64(usec, &us) != 0)
		return 0;
	/* The variables are inherited: without this check a program started by the service would think
	 * that the watchdog is its own. */
	if (pid != NULL && (str_to_u64(pid, &p) != 0 || p != (u64)getpid()))
		return 0;
	return us;
}

static int
open_socket(struct sdnotify *n, const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof sa.sun_path)
		return ERR_INVAL;
	memcpy(sa.sun_path, path, len);
	if (path[0] == '@')
		sa.sun_path[0] = '\0'; /* abstract name space */
	n->addr_len = (u32)(offsetof(struct sockaddr_un, sun_path) + len);
	memcpy(n->addr, &sa, sizeof sa);
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return n->fd < 0 ? ERR_SYSTEM : 0;
}

int
sdnotify_init(struct sdnotify *n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	int rc = 0;

	memset(n, 0, sizeof *n);
	n->fd = -1;
	n->watchdog_us = env_watchdog();
	if (path != NULL && path[0] != '\0')
		rc = open_socket(n, path);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return rc;
}

void
sdnotify_fini(struct sdnotify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

void
sdnotify_send(const struct sdnotify *n, const char *fmt, ...)
{
	struct sockaddr_un sa;
	char text[1024];
	va_list ap;
	int len;

	if (n->fd < 0)
		return;
	va_start(ap, fmt);
	len = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	memcpy(&sa, n->addr, sizeof sa);
	while (sendto(n->fd, text, MIN((size_t)len, sizeof text - 1), MSG_NOSIGNAL,
	           (const struct sockaddr *)&sa, n->addr_len) < 0 && errno == EINTR)
		;
}
