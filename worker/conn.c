/* worker/conn.c: see conn.h. */
#include "worker/conn.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "base/err.h"

#define IOV_FLUSH   16
#define HELD_SMALL  4096 /* held bytes up to this are put in front of the shared buffer, for one long read */

int
conn_open(struct conn *c, struct ev_loop *l, struct conn_env *env, int fd, ev_io_f *cb, void *arg)
{
	memset(c, 0, sizeof *c);
	c->env = env;
	int rc = ev_io_open(l, &c->io, fd, cb, arg);
	if (rc == 0)
		ev_io_want(&c->io, EV_READ);
	return rc;
}

static void
held_free(struct conn *c)
{
	if (c->held != NULL) {
		*c->env->bytes_held -= c->held_cap;
		free(c->held);
		c->held = NULL;
		c->held_len = c->held_cap = 0;
	}
}

static bool
held_reserve(struct conn *c, size_t cap)
{
	if (cap <= c->held_cap)
		return true;
	u8 *p = realloc(c->held, cap);
	if (p == NULL)
		return false;
	*c->env->bytes_held += cap - c->held_cap;
	c->held = p;
	c->held_cap = cap;
	return true;
}

/* Bytes read before a layer began are its input. */
static bool
switch_held(struct conn *c, const u8 *p, size_t n)
{
	c->switching = false;
	bool ok = n == 0 || layer_unread(c, p, n);
	held_free(c);
	return ok;
}

ssize_t
conn_recv(struct conn *c, void *at, size_t room)
{
	ssize_t n;

	do
		n = recv(c->io.fd, at, room, 0);
	while (n < 0 && errno == EINTR);
	return n;
}

static void
watch(struct conn *c)
{
	ev_io_want(&c->io, (c->paused ? 0 : EV_READ) | (c->out.head != NULL ? EV_WRITE : 0));
	if (c->layer != NULL && !c->paused && layer_more(c->layer))
		ev_io_again(&c->io);
}

static ssize_t
receive(struct conn *c, u8 *at, size_t room)
{
	if (c->layer == NULL)
		return conn_recv(c, at, room);
	ssize_t n = layer_read(c, at, room);

	/* also when the loop has stopped watching for an error of the socket: what is held is taken first, then the error.
	 * And reading may have made something to send: a handshake's next step, what waited for it. */
	if (layer_more(c->layer) || c->out.head != NULL)
		watch(c);
	return n;
}

bool
conn_read(struct conn *c, size_t want, u8 **p_r, u8 **end_r, size_t *new_r)
{
	u8 *at;
	ssize_t n;

	*new_r = 0;
	if (c->switching && !switch_held(c, c->held, c->held_len)) {
		c->eof = true;
		c->err = ENOMEM;
		return false;
	}
	size_t room, have = c->held_len;
	bool shared = have <= HELD_SMALL;
	if (shared) {
		if (have > 0)
			memcpy(c->env->rbuf, c->held, have);
		at = c->env->rbuf;
		room = RBUF_SIZE - have;
	} else {
		/* a long statement coming in: read where it is kept, grow to its length at once */
		size_t cap = MAX(MAX(want, have + 8192), c->held_cap);

		if (c->held_cap - have < 4096 && cap < have + have / 2)
			cap = have + have / 2;
		if (c->layer != NULL && cap < have + LAYER_ROOM)
			cap = have + LAYER_ROOM;
		if (!held_reserve(c, cap)) {
			c->eof = true;
			c->err = ENOMEM;
			return false;
		}
		at = c->held;
		room = c->held_cap - have;
	}
	n = receive(c, at + have, room);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
			c->eof = true;
			c->err = n == 0 ? 0 : errno;
		}
		return false;
	}
	*new_r = (size_t)n;
	*p_r = at;
	*end_r = at + have + (size_t)n;
	return true;
}

void
conn_held(struct conn *c, u8 **p_r, u8 **end_r)
{
	if (c->held_len <= HELD_SMALL) {
		memcpy(c->env->rbuf, c->held != NULL ? c->held : c->env->rbuf, c->held_len);
		*p_r = c->env->rbuf;
	} else {
		*p_r = c->held;
	}
	*end_r = *p_r + c->held_len;
}

bool
conn_keep(struct conn *c, const u8 *p, const u8 *end)
{
	size_t n = (size_t)(end - p);

	if (c->switching) {
		bool ok = switch_held(c, p, n);

		if (layer_more(c->layer))
			ev_io_again(&c->io);
		return ok;
	}
	if (n == 0) {
		if (c->held != NULL)
			held_free(c);
		return true;
	}
	if (c->held != NULL && p >= c->held && p < c->held + c->held_cap) {
		if (p != c->held)
			memmove(c->held, p, n);
		c->held_len = n;
		return true;
	}
	if (!held_reserve(c, MAX(n, 256)))
		return false;
	memcpy(c->held, p, n);
	c->held_len = n;
	return true;
}

static ssize_t
send_iov(int fd, struct iovec *iov, int n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)n};
	ssize_t r;

	do {
		if (n == 1)
			r = send(fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL);
		else
			r = sendmsg(fd, &m, MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	if (r < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return r;
}

bool
conn_fail(struct conn *c, int err)
{
	c->eof = true;
	c->err = err;
	return false;
}

bool
conn_put(struct conn *c, const struct iovec *iov, int n)
{
	struct iovec tmp[64];
	size_t sent = 0;

	if (c->out.head == NULL && n <= (int)ARRAY_LEN(tmp)) {
		memcpy(tmp, iov, sizeof *iov * (size_t)n);
		ssize_t r = send_iov(c->io.fd, tmp, n);
		if (r < 0)
			return conn_fail(c, errno);
		sent = (size_t)r;
	}
	for (int i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (sent >= len) {
			sent -= len;
			continue;
		}
		if (!outq_add(c->env->chunks, &c->out, (const u8 *)iov[i].iov_base + sent, len - sent))
			return conn_fail(c, ENOMEM);
		sent = 0;
	}
	return true;
}

bool
conn_writev(struct conn *c, const struct iovec *iov, int n)
{
	if (c->eof && c->err != 0)
		return false;
	bool ok = c->layer != NULL ? layer_writev(c, iov, n) : conn_put(c, iov, n);

	if (c->out.head != NULL)
		watch(c);
	return ok;
}

bool
conn_flush(struct conn *c)
{
	while (c->out.head != NULL) {
		struct iovec iov[IOV_FLUSH];
		int n = outq_iov(&c->out, iov, IOV_FLUSH);
		ssize_t r = send_iov(c->io.fd, iov, n);

		if (r < 0)
			return conn_fail(c, errno);
		if (r == 0)
			break;
		outq_drop(c->env->chunks, &c->out, (size_t)r);
	}
	watch(c);
	return true;
}

size_t
conn_unsent(const struct conn *c)
{
	int n = 0;

	return ioctl(c->io.fd, TIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static struct layer *
layer_get(struct conn *c)
{
	if (c->layer == NULL)
		c->layer = calloc(1, sizeof *c->layer);
	if (c->layer == NULL)
		(void)conn_fail(c, ENOMEM);
	return c->layer;
}

bool
conn_tls_accept(struct conn *c, struct tls_ctx *ctx)
{
	struct layer *l = layer_get(c);

	if (l == NULL)
		return false;
	l->ssl = tls_accept(ctx);
	c->switching = true;
	return l->ssl != NULL || conn_fail(c, ENOMEM);
}

bool
conn_tls_connect(struct conn *c, struct tls_ctx *ctx, const char *name, const char *sni, struct tls_resume *resume)
{
	struct layer *l = layer_get(c);

	if (l == NULL)
		return false;
	l->ssl = tls_connect(ctx, name, sni, resume);
	c->switching = true;
	if (l->ssl == NULL)
		return conn_fail(c, ENOMEM);
	if (!layer_hello(c))
		return false;
	if (c->out.head != NULL)
		watch(c);
	return true;
}

bool
conn_zip(struct conn *c, enum zip_algo algo, u32 level, u32 least, bool server)
{
	struct layer *l = layer_get(c);

	if (l == NULL)
		return false;
	zip_init(&l->zip, algo, level, least, server);
	c->switching = true;
	return true;
}

const char *
conn_why(const struct conn *c)
{
	if (c->layer != NULL && c->layer->why != NULL)
		return c->layer->why;
	return c->err != 0 ? strerror(c->err) : "closed";
}

bool
conn_secure(const struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	if (conn_is_tls(c))
		return true;
	return getsockname(c->io.fd, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family == AF_UNIX;
}

void
conn_pause(struct conn *c, bool paused)
{
	c->paused = paused;
	watch(c);
}

bool
conn_half_close(struct conn *c)
{
	if (c->out.head != NULL)
		return false;
	(void)shutdown(c->io.fd, SHUT_WR);
	return true;
}

void
conn_close(struct conn *c, ev_f *closed_cb)
{
	layer_close(c);
	outq_clear(c->env->chunks, &c->out);
	held_free(c);
	ev_io_close(&c->io, closed_cb);
}

void
conn_tune(int fd, u64 keepalive_ms, u64 user_timeout_ms)
{
	int one = 1, idle = (int)MAX(keepalive_ms / 1000, 1), ut = (int)MIN(user_timeout_ms, 1u << 30);
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) != 0 || ss.ss_family == AF_UNIX)
		return;
	/* failures only cost latency or late detection, never correctness */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (keepalive_ms > 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	}
	if (user_timeout_ms > 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ut, sizeof ut);
}
