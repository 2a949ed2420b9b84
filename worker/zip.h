/* worker/zip.h: the compressed protocol over bytes in memory: frames of 7 bytes (length, sequence id, length before) and a
 * body that zlib or zstd has made, or that is plain (length before 0). A frame may hold many packets, and a packet many
 * frames. Each frame is compressed for itself, so contexts belong to the worker and are lent while a frame is under way: a
 * connection that is silent costs these few bytes. Knows no sockets. Runs in a worker.
 */
#ifndef MARGAY_WORKER_ZIP_H
#define MARGAY_WORKER_ZIP_H
#include "base/base.h"

enum zip_algo { ZIP_OFF, ZIP_ZLIB, ZIP_ZSTD };

#define ZIP_HDR       7
#define ZIP_PAYLOAD   32768 /* bytes of packets in one frame of ours */
#define ZIP_FRAME_MAX (ZIP_HDR + ZIP_PAYLOAD)
#define ZIP_LEVEL_MAX 9

struct zip_ctx;
struct zip {
	u8 algo, level;
	bool server;      /* the peer is a server: sequence ids are ours to begin */
	u32 least;        /* shorter frames are not compressed */
	/* in */
	u8 hdr[ZIP_HDR], hdr_n;
	u32 left_in;      /* bytes of the body under way to come */
	u32 left_out;     /* what they must become */
	bool full;        /* there was no room: it may hold more */
	struct zip_ctx *ctx; /* NULL: none under way, or a plain one */
	u8 next_in;       /* sequence id of the next frame in, if it goes on with what came last */
	/* out */
	u8 seq;           /* of our next frame */
	bool begin;       /* a client: the next frame begins the reply to what was read last */
	/* a server: the packets that we send, to find where commands begin */
	u8 pkt_hdr[4], pkt_hdr_n;
	u8 pkt_seq;       /* of the last one */
	bool pkt_last;    /* nothing was read since */
	u32 pkt_left;
};

/* level 1 to ZIP_LEVEL_MAX. Payloads shorter than least stay plain. */
void zip_init(struct zip *z, enum zip_algo algo, u32 level, u32 least, bool server);
void zip_fini(struct zip *z);

/* Takes from [*in, end) what fits into room bytes at out. false: not the protocol; zip_why. */
bool zip_feed(struct zip *z, const u8 **in, const u8 *end, u8 *out, size_t room, size_t *got_r);
/* More comes out without anything going in. */
bool zip_more(const struct zip *z);
/* Makes one frame of a beginning of [p, p + len); *used_r says how much. Returns its length in out[ZIP_FRAME_MAX]. */
size_t zip_frame(struct zip *z, const u8 *p, size_t len, u8 *out, size_t *used_r);
const char *zip_why(void);
#endif
