/* worker/zip.c: see zip.h. The one file that knows zlib and zstd. Sequence ids, measured on 10.11: frames of a command begin
 * with 0, those of its reply go on from there. A server takes one command from a frame (of two it loses count), and
 * numbers the packets of its reply from the frames, not from the packets of the command: whoever reads them must not rely
 * on that (reply.any_seq). Runs in a worker.
 */
#include "worker/zip.h"
#include <zlib.h>
#include <zstd.h>
#include "base/check.h"
#include "proto/wire.h"

#define WINDOW_LOG   24 /* zstd: a frame holds no more than 16 MiB, and so need no window */
#define CTX_KEPT     8  /* free contexts kept of each kind */
#define CTX_SMALL    (512 * 1024) /* a context that had to grow beyond is not kept */

struct zip_ctx {
	struct zip_ctx *next;
	z_stream z;
	ZSTD_DCtx *d;
};

static struct {
	struct zip_ctx *free[3];
	u32 nfree[3];
	z_stream deflate[ZIP_LEVEL_MAX + 1]; /* by level */
	bool have_deflate[ZIP_LEVEL_MAX + 1];
	ZSTD_CCtx *cctx;
	const char *why;
} Z;

const char *
zip_why(void)
{
	return Z.why;
}

static bool
bad(const char *why)
{
	Z.why = why;
	return false;
}

/* ---- contexts ---- */

static void
ctx_free(struct zip_ctx *c, u32 algo)
{
	if (algo == ZIP_ZLIB)
		inflateEnd(&c->z);
	else
		ZSTD_freeDCtx(c->d);
	free(c);
}

static void
ctx_put(struct zip *z)
{
	struct zip_ctx *c = z->ctx;

	if (c == NULL)
		return;
	z->ctx = NULL;
	if (Z.nfree[z->algo] >= CTX_KEPT || (z->algo == ZIP_ZSTD && ZSTD_sizeof_DCtx(c->d) > CTX_SMALL)) {
		ctx_free(c, z->algo);
		return;
	}
	c->next = Z.free[z->algo];
	Z.free[z->algo] = c;
	Z.nfree[z->algo]++;
}

static bool
ctx_get(struct zip *z)
{
	struct zip_ctx *c = Z.free[z->algo];

	if (c != NULL) {
		Z.free[z->algo] = c->next;
		Z.nfree[z->algo]--;
	} else {
		c = calloc(1, sizeof *c);
		if (c == NULL)
			return bad("out of memory");
		if (z->algo == ZIP_ZLIB) {
			if (inflateInit(&c->z) != Z_OK) {
				free(c);
				return bad("out of memory");
			}
		} else if ((c->d = ZSTD_createDCtx()) == NULL) {
			free(c);
			return bad("out of memory");
		}
	}
	z->ctx = c;
	if (z->algo == ZIP_ZLIB) {
		inflateReset(&c->z);
	} else {
		ZSTD_DCtx_reset(c->d, ZSTD_reset_session_only);
		ZSTD_DCtx_setParameter(c->d, ZSTD_d_windowLogMax, WINDOW_LOG);
	}
	return true;
}

void
zip_init(struct zip *z, enum zip_algo algo, u32 level, u32 least, bool server)
{
	memset(z, 0, sizeof *z);
	z->algo = (u8)algo;
	z->level = (u8)MAX(MIN(level, (u32)ZIP_LEVEL_MAX), 1u);
	z->least = least;
	z->server = server;
}

void
zip_fini(struct zip *z)
{
	ctx_put(z);
	z->algo = ZIP_OFF;
}

/* ---- in ---- */

enum step { STEP_GO, STEP_END, STEP_BAD };

static enum step
step_zlib(struct zip_ctx *c, const u8 *in, size_t inlen, u8 *out, size_t outlen, size_t *used_r, size_t *made_r)
{
	u8 nowhere;
	union {
		const u8 *c;
		u8 *v;
	} u = {in};

	c->z.next_in = u.v;
	c->z.avail_in = (uInt)inlen;
	c->z.next_out = outlen > 0 ? out : &nowhere;
	c->z.avail_out = (uInt)outlen;
	int rc = inflate(&c->z, Z_NO_FLUSH);
	*used_r = inlen - c->z.avail_in;
	*made_r = outlen - c->z.avail_out;
	if (rc == Z_STREAM_END)
		return STEP_END;
	return rc == Z_OK || rc == Z_BUF_ERROR ? STEP_GO : STEP_BAD;
}

static enum step
step_zstd(struct zip_ctx *c, const u8 *in, size_t inlen, u8 *out, size_t outlen, size_t *used_r, size_t *made_r)
{
	ZSTD_inBuffer i = {in, inlen, 0};
	ZSTD_outBuffer o = {out, outlen, 0};
	size_t rc = ZSTD_decompressStream(c->d, &o, &i);

	*used_r = i.pos;
	*made_r = o.pos;
	if (ZSTD_isError(rc))
		return STEP_BAD;
	return rc == 0 ? STEP_END : STEP_GO;
}

static bool
frame_begin(struct zip *z)
{
	u32 len = rd24(z->hdr), before = rd24(z->hdr + 4);
	u8 seq = z->hdr[3];

	z->hdr_n = 0;
	z->pkt_last = false;
	/* a command begins, or goes on, or the contents of a file that we asked for come */
	if (!z->server && seq != 0 && seq != z->next_in && seq != z->seq)
		return bad("compressed frames out of order");
	if (z->server || seq == z->seq)
		z->seq = (u8)(seq + 1);
	z->next_in = (u8)(seq + 1);
	z->left_in = len;
	z->left_out = before == 0 ? len : before;
	if (before == 0)
		return true;
	return len == 0 ? bad("an empty frame that should become something") : ctx_get(z);
}

/* One step of the compressed frame under way. *stuck_r: nothing moves without more input or room. */
static bool
frame_step(struct zip *z, const u8 **in, const u8 *end, u8 *out, size_t room, size_t *made_r, bool *stuck_r)
{
	size_t inlen = MIN((size_t)(end - *in), z->left_in), outlen = MIN(room, z->left_out), used;
	enum step s = z->algo == ZIP_ZLIB ? step_zlib(z->ctx, *in, inlen, out, outlen, &used, made_r) :
	                                    step_zstd(z->ctx, *in, inlen, out, outlen, &used, made_r);

	*in += used;
	z->left_in -= (u32)used;
	z->left_out -= (u32)*made_r;
	*stuck_r = used == 0 && *made_r == 0;
	if (s == STEP_BAD)
		return bad("compressed data cannot be read");
	if (s == STEP_END) {
		if (z->left_in != 0 || z->left_out != 0)
			return bad("a compressed frame of another length than it says");
		ctx_put(z);
		*stuck_r = false;
		return true;
	}
	/* all of it went in, or all that may come is out, and it has not ended */
	if (*stuck_r && ((z->left_in == 0 && room > 0) || (z->left_out == 0 && inlen > 0)))
		return bad("a compressed frame of another length than it says");
	return true;
}

bool
zip_feed(struct zip *z, const u8 **in, const u8 *end, u8 *out, size_t room, size_t *got_r)
{
	*got_r = 0;
	z->full = false;
	for (;;) {
		size_t left = room - *got_r, n;
		bool stuck;

		if (z->ctx != NULL) {
			if (!frame_step(z, in, end, out + *got_r, left, &n, &stuck))
				return false;
			*got_r += n;
			if (stuck) {
				z->full = *got_r == room;
				return true;
			}
			continue;
		}
		if (z->left_in > 0) {
			n = MIN(MIN((size_t)(end - *in), left), z->left_in);
			if (n == 0)
				return true;
			memcpy(out + *got_r, *in, n);
			*in += n;
			*got_r += n;
			z->left_in -= (u32)n;
			continue;
		}
		if (*in == end)
			return true;
		z->hdr[z->hdr_n++] = *(*in)++;
		if (z->hdr_n == ZIP_HDR && !frame_begin(z))
			return false;
	}
}

bool
zip_more(const struct zip *z)
{
	return z->ctx != NULL && (z->left_in == 0 || z->full);
}

/* ---- out ---- */

/* How much of [p, p + len) goes into the next frame to a server: a command has a frame of its own, with sequence id 0. */
static size_t
take(struct zip *z, const u8 *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		if (z->pkt_left > 0) {
			size_t n = MIN(len - at, z->pkt_left);

			z->pkt_left -= (u32)n;
			at += n;
			continue;
		}
		u8 had = z->pkt_hdr_n;
		size_t n = MIN(len - at, (size_t)(PKT_HDR - had));

		if (at > 0 && n < PKT_HDR)
			return at; /* headers stay whole */
		memcpy(z->pkt_hdr + had, p + at, n);
		if (had + n < PKT_HDR) {
			z->pkt_hdr_n = (u8)(had + n);
			return len;
		}
		/* not the 257th packet of a file that the server reads */
		if (z->pkt_hdr[3] == 0 && !(z->pkt_last && z->pkt_seq == 255)) {
			if (at > 0)
				return at; /* looked at again then */
			z->seq = 0;
		}
		z->pkt_hdr_n = 0;
		z->pkt_seq = z->pkt_hdr[3];
		z->pkt_last = true;
		z->pkt_left = rd24(z->pkt_hdr);
		at += n;
	}
	return at;
}

static size_t
deflate_into(u32 level, const u8 *p, size_t len, u8 *out, size_t room)
{
	z_stream *d = &Z.deflate[level];
	union {
		const u8 *c;
		u8 *v;
	} u = {p};

	if (!Z.have_deflate[level]) {
		if (deflateInit(d, (int)level) != Z_OK)
			return 0;
		Z.have_deflate[level] = true;
	} else {
		deflateReset(d);
	}
	d->next_in = u.v;
	d->avail_in = (uInt)len;
	d->next_out = out;
	d->avail_out = (uInt)room;
	return deflate(d, Z_FINISH) == Z_STREAM_END ? room - d->avail_out : 0;
}

static size_t
zstd_into(u32 level, const u8 *p, size_t len, u8 *out, size_t room)
{
	size_t n;

	if (Z.cctx == NULL && (Z.cctx = ZSTD_createCCtx()) == NULL)
		return 0;
	n = ZSTD_compressCCtx(Z.cctx, out, room, p, len, (int)level);
	return ZSTD_isError(n) ? 0 : n;
}

size_t
zip_frame(struct zip *z, const u8 *p, size_t len, u8 *out, size_t *used_r)
{
	size_t used = MIN(len, (size_t)ZIP_PAYLOAD), n = 0;

	if (z->server)
		used = take(z, p, used);
	if (z->begin)
		z->seq = z->next_in;
	z->begin = false;
	/* what does not become shorter is sent as it is */
	if (used >= z->least && used > 1)
		n = z->algo == ZIP_ZLIB ? deflate_into(z->level, p, used, out + ZIP_HDR, used - 1) :
		                          zstd_into(z->level, p, used, out + ZIP_HDR, used - 1);
	wr24(out + 4, n > 0 ? (u32)used : 0);
	if (n == 0) {
		memcpy(out + ZIP_HDR, p, used);
		n = used;
	}
	wr24(out, (u32)n);
	out[3] = z->seq++;
	*used_r = used;
	return ZIP_HDR + n;
}
