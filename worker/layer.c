/* worker/layer.c: see layer.h. */
#include "worker/layer.h"
#include <errno.h>
#include "worker/conn.h"

#define WIRE_MAX   (LAYER_ROOM - TLS_SLACK) /* one recv: what comes out of it always fits */
#define OUT_ENOUGH 49152                    /* ciphertext to send at once */

static u8 wire_buf[WIRE_MAX]; /* one thread, one event at a time */
static u8 gather_buf[TLS_RECORD];
static u8 plain_buf[LAYER_ROOM];   /* what TLS gives and compression takes */
static u8 packet_buf[ZIP_PAYLOAD]; /* what frames are made of */
static u8 frame_buf[ZIP_FRAME_MAX];

/* ---- towards the socket ---- */

/* What TLS has made goes out. */
static bool
emit_tls(struct conn *c)
{
	struct iovec iov;

	iov.iov_base = tls_out(&iov.iov_len);
	bool ok = iov.iov_len == 0 || conn_put(c, &iov, 1);

	tls_out_clear();
	return ok;
}

static bool
put(struct conn *c, const u8 *p, size_t len)
{
	size_t n;

	if (!tls_put(c->layer->ssl, p, len)) {
		c->layer->why = tls_why();
		return conn_fail(c, EPROTO);
	}
	(void)tls_out(&n);
	return n < OUT_ENOUGH || emit_tls(c);
}

/* Pieces are put together to records of full length: a header apart from its body would be a record of its own. */
static bool
encrypt(struct conn *c, const struct iovec *iov, int n)
{
	size_t have = 0;

	for (int i = 0; i < n; i++) {
		const u8 *p = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		while (len > 0) {
			size_t m = MIN(len, sizeof gather_buf - have);

			memcpy(gather_buf + have, p, m);
			have += m;
			p += m;
			len -= m;
			if (have == sizeof gather_buf) {
				if (!put(c, gather_buf, have))
					return false;
				have = 0;
			}
		}
	}
	return (have == 0 || put(c, gather_buf, have)) && emit_tls(c);
}

/* Frames of what is in packet_buf; unless it is the end, a piece that may become part of a better frame stays. */
static bool
send_frames(struct conn *c, size_t *have, bool all)
{
	struct layer *l = c->layer;
	size_t at = 0;

	while (at < *have && (all || at == 0)) {
		size_t used, n = zip_frame(&l->zip, packet_buf + at, *have - at, frame_buf, &used);
		struct iovec iov = {frame_buf, n};

		at += used;
		if (l->ssl == NULL && !conn_put(c, &iov, 1))
			return false;
		for (size_t k = 0; l->ssl != NULL && k < n; k += TLS_RECORD)
			if (!put(c, frame_buf + k, MIN(n - k, (size_t)TLS_RECORD)))
				return false;
	}
	memmove(packet_buf, packet_buf + at, *have - at);
	*have -= at;
	return true;
}

static bool
compress_out(struct conn *c, const struct iovec *iov, int n)
{
	size_t have = 0;

	for (int i = 0; i < n; i++) {
		const u8 *p = iov[i].iov_base;
		size_t len = iov[i].iov_len;

		while (len > 0) {
			size_t m = MIN(len, sizeof packet_buf - have);

			memcpy(packet_buf + have, p, m);
			have += m;
			p += m;
			len -= m;
			if (have == sizeof packet_buf && !send_frames(c, &have, false))
				return false;
		}
	}
	return send_frames(c, &have, true) && (c->layer->ssl == NULL || emit_tls(c));
}

bool
layer_writev(struct conn *c, const struct iovec *iov, int n)
{
	struct layer *l = c->layer;

	if (l->zip.algo != ZIP_OFF)
		return compress_out(c, iov, n);
	if (l->up)
		return encrypt(c, iov, n);
	for (int i = 0; i < n; i++)
		if (!outq_add(c->env->chunks, &l->early, iov[i].iov_base, iov[i].iov_len))
			return conn_fail(c, ENOMEM);
	return true;
}

static bool
send_early(struct conn *c)
{
	struct layer *l = c->layer;

	while (l->early.head != NULL) {
		struct iovec iov[8];
		int n = outq_iov(&l->early, iov, 8);
		size_t len = 0;

		for (int i = 0; i < n; i++)
			len += iov[i].iov_len;
		if (!encrypt(c, iov, n))
			return false;
		outq_drop(c->env->chunks, &l->early, len);
	}
	return true;
}

/* ---- from the socket ---- */

/* Bytes of the wire: those held from before, or one recv. */
static ssize_t
wire(struct conn *c)
{
	struct layer *l = c->layer;

	if (l->wire_len > 0) {
		size_t m = MIN(l->wire_len, sizeof wire_buf);

		memcpy(wire_buf, l->wire, m);
		l->wire_len -= m;
		if (l->wire_len > 0) {
			memmove(l->wire, l->wire + m, l->wire_len);
		} else {
			free(l->wire);
			l->wire = NULL;
		}
		return (ssize_t)m;
	}
	return conn_recv(c, wire_buf, sizeof wire_buf);
}

static ssize_t
decrypt(struct conn *c, u8 *at, size_t room)
{
	struct layer *l = c->layer;
	ssize_t n = wire(c);
	size_t got;

	if (n <= 0)
		return n;
	enum tls_end end = tls_feed(l->ssl, wire_buf, (size_t)n, at, room, &got);
	if (end == TLS_FAILED)
		l->why = tls_why();
	/* an alert, a ticket, the next step of the handshake */
	if (!emit_tls(c)) {
		errno = c->err;
		return -1;
	}
	if (end == TLS_FAILED) {
		errno = EPROTO;
		return -1;
	}
	if (!l->up && tls_is_up(l->ssl)) {
		l->up = true;
		if (!send_early(c)) {
			errno = c->err;
			return -1;
		}
	}
	if (got > 0)
		return (ssize_t)got; /* an end behind them comes again with the next recv */
	if (end == TLS_EOF)
		return 0;
	errno = EAGAIN;
	return -1;
}

static ssize_t
unzipped(struct layer *l, bool ok, size_t got)
{
	if (ok && got > 0)
		return (ssize_t)got;
	if (!ok)
		l->why = zip_why();
	errno = ok ? EAGAIN : EPROTO;
	return -1;
}

/* What there was no room for is taken first, and nothing is read meanwhile. */
static ssize_t
unzip_held(struct layer *l, u8 *at, size_t room)
{
	const u8 *p = l->zin_len > 0 ? l->zin + l->zin_at : plain_buf, *start = p, *end = p + l->zin_len;
	size_t got;
	bool ok = zip_feed(&l->zip, &p, end, at, room, &got);

	l->zin_at += (size_t)(p - start);
	l->zin_len = (size_t)(end - p);
	if (l->zin_len == 0) {
		free(l->zin);
		l->zin = NULL;
		l->zin_at = 0;
	}
	return unzipped(l, ok, got);
}

static ssize_t
unzip(struct conn *c, u8 *at, size_t room)
{
	struct layer *l = c->layer;
	const u8 *p = l->ssl != NULL ? plain_buf : wire_buf;
	size_t got;

	if (l->zin_len > 0 || zip_more(&l->zip))
		return unzip_held(l, at, room);
	ssize_t n = l->ssl != NULL ? decrypt(c, plain_buf, sizeof plain_buf) : wire(c);
	if (n <= 0)
		return n;
	const u8 *end = p + n;
	bool ok = zip_feed(&l->zip, &p, end, at, room, &got);
	if (ok && p < end && !layer_unread(c, p, (size_t)(end - p))) {
		errno = ENOMEM;
		return -1;
	}
	return unzipped(l, ok, got);
}

ssize_t
layer_read(struct conn *c, u8 *at, size_t room)
{
	return c->layer->zip.algo != ZIP_OFF ? unzip(c, at, room) : decrypt(c, at, room);
}

bool
layer_hello(struct conn *c)
{
	if (tls_hello(c->layer->ssl) != TLS_GO) {
		c->layer->why = tls_why();
		return conn_fail(c, EPROTO);
	}
	return emit_tls(c);
}

bool
layer_more(const struct layer *l)
{
	return l->wire_len > 0 || l->zin_len > 0 || zip_more(&l->zip);
}

bool
layer_unread(struct conn *c, const u8 *p, size_t len)
{
	struct layer *l = c->layer;

	u8 *copy = malloc(len);

	if (copy == NULL)
		return false;
	memcpy(copy, p, len);
	if (l->zip.algo != ZIP_OFF) {
		l->zin = copy;
		l->zin_len = len;
	} else {
		l->wire = copy;
		l->wire_len = len;
	}
	return true;
}

void
layer_close(struct conn *c)
{
	struct layer *l = c->layer;

	if (l == NULL)
		return;
	if (l->ssl != NULL) {
		if (l->up && !c->eof && c->out.head == NULL) {
			tls_bye(l->ssl);
			(void)emit_tls(c);
		}
		tls_free(l->ssl);
	}
	outq_clear(c->env->chunks, &l->early);
	zip_fini(&l->zip);
	free(l->zin);
	free(l->wire);
	free(l);
	c->layer = NULL;
}
