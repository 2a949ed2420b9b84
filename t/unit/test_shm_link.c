/* Unit tests of shm/link.c: messages, descriptors, what is cut, what is too much. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/err.h"
#include "shm/link.h"

static int sv[2];

static void
pair_open(int type)
{
	cr_assert_eq(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
}

static size_t
fds_open(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
recv_into(u64 *v, int *fds, size_t *nfds)
{
	u32 type = 0;
	int rc = link_recv(sv[1], &type, v, sizeof *v, fds, nfds);

	if (rc >= 0)
		cr_assert_eq(type, LINK_ADOPTED);
	return rc;
}

Test(link, body_and_descriptors)
{
	u64 v = 42, r = 0;
	int fds[2], got[4];
	size_t n = 4;
	struct stat a, b;

	pair_open(SOCK_SEQPACKET);
	fds[0] = open("/dev/null", O_RDONLY);
	fds[1] = open("/dev/zero", O_RDONLY);
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, fds, 2), 0);
	cr_assert_eq(recv_into(&r, got, &n), sizeof v);
	cr_assert_eq(r, 42);
	cr_assert_eq(n, 2);
	for (int i = 0; i < 2; i++) {
		cr_assert_neq(got[i], fds[i]);
		cr_assert_eq(fstat(got[i], &a), 0);
		cr_assert_eq(fstat(fds[i], &b), 0);
		cr_assert_eq(a.st_rdev, b.st_rdev, "order");
		cr_assert(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
	}
	n = 4;
	cr_assert_eq(recv_into(&r, got, &n), ERR_AGAIN);
	cr_assert_eq(n, 0);
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, NULL, 0, NULL, 0), 0);
	n = 0;
	cr_assert_eq(recv_into(&r, NULL, &n), 0, "no body");
	close(sv[0]);
	cr_assert_eq(recv_into(&r, NULL, NULL), ERR_NOTFOUND, "end of the channel");
}

Test(link, most_descriptors)
{
	int fds[LINK_MAX_FDS + 1], got[LINK_MAX_FDS];
	size_t n = LINK_MAX_FDS, before;
	u64 v = 1;

	pair_open(SOCK_SEQPACKET);
	for (int i = 0; i <= LINK_MAX_FDS; i++)
		fds[i] = sv[0];
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, fds, LINK_MAX_FDS + 1), ERR_INVAL);
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, fds, LINK_MAX_FDS), 0);
	before = fds_open();
	cr_assert_eq(recv_into(&v, got, &n), sizeof v);
	cr_assert_eq(n, LINK_MAX_FDS);
	cr_assert_eq(fds_open(), before + LINK_MAX_FDS);
}

Test(link, unwanted_descriptors_are_closed)
{
	int fds[3], got[2];
	size_t n = 2, before;
	u64 v = 1;

	pair_open(SOCK_SEQPACKET);
	for (int i = 0; i < 3; i++)
		fds[i] = open("/dev/null", O_RDONLY);
	before = fds_open();
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, fds, 3), 0);
	cr_assert_eq(recv_into(&v, got, &n), ERR_PROTO, "three where there is room for two");
	cr_assert_eq(n, 0);
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, fds, 1), 0);
	cr_assert_eq(recv_into(&v, NULL, NULL), ERR_PROTO);
	cr_assert_eq(fds_open(), before);
}

Test(link, cut_and_malformed)
{
	u64 two[2] = {1, 2}, v;
	struct link_msg m = {LINK_ADOPTED, 8};
	int fd, got[2];
	size_t n = 2, before;

	pair_open(SOCK_SEQPACKET);
	fd = open("/dev/null", O_RDONLY);
	before = fds_open();
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, two, sizeof two, &fd, 1), 0);
	cr_assert_eq(recv_into(&v, got, &n), ERR_PROTO, "body longer than the buffer");
	cr_assert_eq(fds_open(), before);
	cr_assert_eq(send(sv[0], &m, sizeof m, 0), sizeof m);
	n = 2;
	cr_assert_eq(recv_into(&v, got, &n), ERR_PROTO, "says 8 bytes, has none");
	cr_assert_eq(send(sv[0], &m, 5, 0), 5);
	cr_assert_eq(recv_into(&v, NULL, NULL), ERR_PROTO, "half a header");
	m.len = UINT32_MAX;
	cr_assert_eq(send(sv[0], &m, sizeof m, 0), sizeof m);
	cr_assert_eq(recv_into(&v, NULL, NULL), ERR_PROTO);
}

Test(link, datagrams)
{
	u64 v = 9, r = 0;
	int sent = 0;

	pair_open(SOCK_DGRAM);
	cr_assert_eq(send(sv[0], "", 0, 0), 0);
	cr_assert_eq(recv_into(&r, NULL, NULL), ERR_PROTO, "an empty datagram is not the end");
	while (link_send(sv[0], LINK_ADOPTED, &v, sizeof v, NULL, 0) == 0)
		sent++;
	cr_assert_gt(sent, 0);
	cr_assert_eq(link_send(sv[0], LINK_ADOPTED, &v, sizeof v, NULL, 0), ERR_AGAIN, "full");
	for (; sent > 0; sent--)
		cr_assert_eq(recv_into(&r, NULL, NULL), sizeof r);
	cr_assert_eq(recv_into(&r, NULL, NULL), ERR_AGAIN);
}

Test(link, peer_gone)
{
	u64 v = 9;

	pair_open(SOCK_SEQPACKET);
	cr_assert_eq(link_send(sv[1], LINK_ADOPTED, &v, sizeof v, NULL, 0), 0);
	close(sv[0]);
	cr_assert_eq(recv_into(&v, NULL, NULL), ERR_NOTFOUND, "reset, as it left a message unread");
	cr_assert_eq(link_send(sv[1], LINK_ADOPTED, &v, sizeof v, NULL, 0), ERR_SYSTEM);
	cr_assert_eq(errno, EPIPE);
}

Test(link, session_ids)
{
	u32 id = link_session_id(5, 3, 37, 0x1fffff);

	cr_assert_eq(link_session_slot(id), 37);
	cr_assert(link_session_is_ours(id, 5, 1));
	cr_assert(!link_session_is_ours(id, 5, 2));
	cr_assert(!link_session_is_ours(id, 4, 3));
	for (u32 thread = 1; thread < 1u << 27; thread = thread * 3 + 1)
		cr_assert(!link_session_is_ours(thread, 0, 0), "%u may be a server's", thread);
}
