/* shm/link.c: messages with descriptors over Unix sockets that keep message bounds. Master and children.
 * A message is a struct link_msg and its body in one packet. Nothing here blocks or looks into a body.
 */
#include "shm/link.h"
#include "base/err.h"
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for all that the kernel lets through (SCM_MAX_FD), so that too many are seen and closed. */
#define KERNEL_MAX_FDS 253

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int) * KERNEL_MAX_FDS)];
};

int
link_send(int fd, u32 type, const void *body, size_t len, const int *fds, size_t nfds)
{
	struct link_msg m = {.type = type, .len = (u32)len};
	struct iovec iov[2] = {{&m, sizeof m}, {(void *)(uintptr_t)body, len}};
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = len > 0 ? 2 : 1};
	union control c;
	ssize_t n;

	if (nfds > LINK_MAX_FDS || len > UINT32_MAX)
		return ERR_INVAL;
	if (nfds > 0) {
		struct cmsghdr *k;

		memset(&c, 0, sizeof c);
		h.msg_control = c.bytes;
		h.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		k = CMSG_FIRSTHDR(&h);
		k->cmsg_level = SOL_SOCKET;
		k->cmsg_type = SCM_RIGHTS;
		k->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(k), fds, sizeof(int) * nfds);
	}
	do
		n = sendmsg(fd, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
	return (size_t)n == sizeof m + len ? 0 : ERR_SYSTEM;
}

/* Collects every descriptor that came, wanted or not. all_r holds KERNEL_MAX_FDS. */
static size_t
fds_collect(struct msghdr *h, int *all_r)
{
	size_t n = 0, k;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c != NULL; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (k > KERNEL_MAX_FDS - n)
			k = KERNEL_MAX_FDS - n;
		memcpy(all_r + n, CMSG_DATA(c), k * sizeof(int));
		n += k;
	}
	return n;
}

static void
fds_close(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Nothing was read: the end of a connected channel, but only an empty message on a datagram socket. */
static int
empty_means(int fd)
{
	int type = 0;
	socklen_t len = sizeof type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM)
		return ERR_PROTO;
	return ERR_NOTFOUND;
}

int
link_recv(int fd, u32 *type_r, void *buf, size_t size, int *fds_r, size_t *nfds_r)
{
	struct link_msg m;
	struct iovec iov[2] = {{&m, sizeof m}, {buf, size}};
	union control c;
	struct msghdr h = {.msg_iov = iov,
	    .msg_iovlen = size > 0 ? 2 : 1,
	    .msg_control = c.bytes,
	    .msg_controllen = sizeof c.bytes};
	size_t room = nfds_r != NULL ? *nfds_r : 0, nall;
	int all[KERNEL_MAX_FDS];
	ssize_t n;

	if (nfds_r != NULL)
		*nfds_r = 0;
	do
		n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		/* A peer that died with messages of ours unread. */
		if (errno == ECONNRESET)
			return ERR_NOTFOUND;
		return errno == EAGAIN ? ERR_AGAIN : ERR_SYSTEM;
	}
	nall = fds_collect(&h, all);
	if (n == 0) {
		fds_close(all, nall);
		return empty_means(fd);
	}
	if (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (size_t)n < sizeof m ||
	    m.len != (size_t)n - sizeof m || nall > room) {
		fds_close(all, nall);
		return ERR_PROTO;
	}
	if (nall > 0)
		memcpy(fds_r, all, nall * sizeof(int));
	if (nfds_r != NULL)
		*nfds_r = nall;
	*type_r = m.type;
	return (int)m.len;
}
