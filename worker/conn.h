/* worker/conn.h: transport of one connection, client's or server's: bytes in, bytes out, watermarks. Owns
 * the descriptor and the bytes that wait; holds no memory while none do. Knows packets only by length.
 * Runs in a worker.
 */
#ifndef MARGAY_WORKER_CONN_H
#define MARGAY_WORKER_CONN_H
#include "worker/chunk.h"
#include "worker/ev.h"
#include "worker/layer.h"

/* All reads of a worker go into one buffer; what is left over when the event has been handled is kept in
 * the connection until the rest comes. */
#define RBUF_SIZE (128 * 1024)

struct conn_env { /* one per worker */
	struct chunk_pool *chunks;
	u8 *rbuf;        /* RBUF_SIZE */
	u64 *bytes_held; /* gauge: memory lent */
};

struct conn {
	struct ev_io io;
	struct conn_env *env;
	u8 *held;        /* malloc'd: bytes read and not consumed */
	size_t held_len, held_cap;
	struct outq out;
	struct layer *layer; /* TLS, compression; NULL: bytes are the socket's */
	bool switching;      /* a layer began: what is left of the bytes read so far is its input */
	bool eof;        /* the peer has ended, or an error */
	bool paused;     /* not read from */
	int err;         /* errno of the failure, 0 for an orderly end */
};

MUST_CHECK int conn_open(struct conn *c, struct ev_loop *l, struct conn_env *env, int fd, ev_io_f *cb,
    void *arg);
/* Reads once. *p_r .. *end_r: held bytes and new ones, one run, writable, valid until conn_keep. Returns
 * false when nothing new came (EAGAIN) or the peer ended (c->eof). want: expected length of the packet
 * whose beginning is held, 0 if not known. */
bool conn_read(struct conn *c, size_t want, u8 **p_r, u8 **end_r, size_t *new_r);
/* Held bytes without reading. */
void conn_held(struct conn *c, u8 **p_r, u8 **end_r);
/* After handling: [p, end) are kept for the next time. false: out of memory. */
bool conn_keep(struct conn *c, const u8 *p, const u8 *end);
/* Sends now what the socket takes, queues the rest. False: the connection has failed (c->err). */
bool conn_writev(struct conn *c, const struct iovec *iov, int n);
static inline bool
conn_write(struct conn *c, const void *p, size_t len)
{
	union {
		const void *c;
		void *v;
	} u = {p};
	struct iovec iov = {u.v, len};

	return conn_writev(c, &iov, 1);
}
/* For worker/layer, which lies between: the socket itself. conn_put sends what it takes and queues the rest. conn_fail
 * returns false. */
bool conn_put(struct conn *c, const struct iovec *iov, int n);
ssize_t conn_recv(struct conn *c, void *at, size_t room);
bool conn_fail(struct conn *c, int err);
/* Writable again: sends from the queue. False: failed. */
bool conn_flush(struct conn *c);
/* Bytes sent that the peer's kernel has not acknowledged (Unix sockets: that the peer has not read), 0 if not known. */
size_t conn_unsent(const struct conn *c);
/* From the next byte on, in both directions, it speaks TLS. What is written before the handshake has been done waits
 * for it. Bytes that came with the last read and were not taken yet belong to TLS: the reader stops at c->switching and
 * gives them to conn_keep as always. false: out of memory, or c->err. */
bool conn_tls_accept(struct conn *c, struct tls_ctx *ctx);
/* name, sni, resume: see tls_connect. */
bool conn_tls_connect(struct conn *c, struct tls_ctx *ctx, const char *name, const char *sni, struct tls_resume *resume);
static inline bool
conn_is_tls(const struct conn *c)
{
	return c->layer != NULL && c->layer->ssl != NULL;
}
/* From the next byte on, in both directions, it speaks compressed frames; under TLS, if that is on. Bytes read and not taken
 * yet: as above. level, least, server: see zip_init. */
bool conn_zip(struct conn *c, enum zip_algo algo, u32 level, u32 least, bool server);
static inline bool
conn_is_zip(const struct conn *c)
{
	return c->layer != NULL && c->layer->zip.algo != ZIP_OFF;
}
/* What is written next answers the command that was read last: frames are numbered on from the command's. */
static inline void
conn_reply_begins(struct conn *c)
{
	if (unlikely(c->layer != NULL))
		c->layer->zip.begin = true;
}
/* What made it fail or end, in words. */
const char *conn_why(const struct conn *c);
/* May a password be sent over it as it is? True for TLS and for Unix sockets. */
bool conn_secure(const struct conn *c);
void conn_pause(struct conn *c, bool paused);
/* The peer sees the end of what is sent, and what it sends is still read. False: not all of it has been sent yet. */
bool conn_half_close(struct conn *c);
void conn_close(struct conn *c, ev_f *closed_cb);
/* Sets TCP_NODELAY, keepalive and user timeout (ms, 0: leave); harmless on Unix sockets. */
void conn_tune(int fd, u64 keepalive_ms, u64 user_timeout_ms);
#endif
