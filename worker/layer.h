/* worker/layer.h: what lies between a connection's bytes and its socket: TLS, compression. A connection without either has
 * no layer and pays one test of a pointer. Bytes that a layer holds are not seen by epoll: layer_more says so, and
 * worker/conn asks for another turn. Runs in a worker.
 */
#ifndef MARGAY_WORKER_LAYER_H
#define MARGAY_WORKER_LAYER_H
#include "worker/chunk.h"
#include "worker/tls.h"
#include "worker/zip.h"

#define LAYER_ROOM (64 * 1024) /* least room that layer_read is given */

struct conn;
struct layer {
	struct ssl_st *ssl;  /* NULL: no TLS */
	bool up;             /* its handshake is done */
	struct outq early;   /* written before that */
	u8 *wire;            /* bytes that were read before TLS began, and belong to it */
	size_t wire_len;
	struct zip zip;      /* algo ZIP_OFF: no compression */
	u8 *zin;             /* compressed bytes that there was no room for */
	size_t zin_at, zin_len;
	const char *why;     /* of a failure */
};

/* Bytes for the session above: > 0; 0: the peer ended; -1: errno (EAGAIN: nothing yet). room >= LAYER_ROOM. */
ssize_t layer_read(struct conn *c, u8 *at, size_t room);
/* Bytes from above, to the socket or c->out. false: failed, c->err says why. */
bool layer_writev(struct conn *c, const struct iovec *iov, int n);
/* Bytes from the socket are held that were not given out yet. */
bool layer_more(const struct layer *l);
/* [p, p + len) were read before the layer began, and are its input. false: out of memory. */
bool layer_unread(struct conn *c, const u8 *p, size_t len);
/* TLS: this side speaks first. */
bool layer_hello(struct conn *c);
/* Says goodbye if it can, and frees. */
void layer_close(struct conn *c);
#endif
