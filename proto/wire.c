/* proto/wire.c: bounded readers and writers of wire.h. Pure; runs in the worker, tests and fuzzers.
 * Nothing here may trust a length that it did not compare with what is left.
 */
#include "proto/wire.h"

const u8 *
rd_take(struct rd *r, size_t n)
{
	const u8 *p = r->p;

	if (r->bad || n > rd_left(r)) {
		r->bad = true;
		return NULL;
	}
	if (n > 0) /* p may be NULL when nothing was given */
		r->p += n;
	return p;
}

u8
rd_u8(struct rd *r)
{
	const u8 *p = rd_take(r, 1);

	return p != NULL ? p[0] : 0;
}

u16
rd_u16(struct rd *r)
{
	const u8 *p = rd_take(r, 2);

	return p != NULL ? rd16(p) : 0;
}

u32
rd_u24(struct rd *r)
{
	const u8 *p = rd_take(r, 3);

	return p != NULL ? rd24(p) : 0;
}

u32
rd_u32(struct rd *r)
{
	const u8 *p = rd_take(r, 4);

	return p != NULL ? rd32(p) : 0;
}

u64
rd_u64(struct rd *r)
{
	const u8 *p = rd_take(r, 8);

	return p != NULL ? rd64(p) : 0;
}

u64
rd_lenenc(struct rd *r)
{
	u8 first = rd_u8(r);

	switch (first) {
	case 0xfc:
		return rd_u16(r);
	case 0xfd:
		return rd_u24(r);
	case 0xfe:
		return rd_u64(r);
	case 0xfb:
	case 0xff:
		r->bad = true;
		return 0;
	default:
		return first;
	}
}

struct slice
rd_lenenc_str(struct rd *r)
{
	u64 n = rd_lenenc(r);

	if (n > rd_left(r)) /* compared as u64: the length may not fit in size_t */
		r->bad = true;
	if (r->bad)
		return (struct slice){NULL, 0};
	return (struct slice){rd_take(r, (size_t)n), (size_t)n};
}

struct slice
rd_nul_str(struct rd *r)
{
	const u8 *at = r->p, *nul;

	if (r->bad || rd_left(r) == 0 || (nul = memchr(at, 0, rd_left(r))) == NULL) {
		r->bad = true;
		return (struct slice){NULL, 0};
	}
	r->p = nul + 1;
	return (struct slice){at, (size_t)(nul - at)};
}

struct slice
rd_rest(struct rd *r)
{
	size_t n = rd_left(r);

	if (r->bad)
		return (struct slice){NULL, 0};
	return (struct slice){rd_take(r, n), n};
}

/* Room for n more bytes, or NULL and bad. */
static u8 *
wr_room(struct wr *w, size_t n)
{
	if (w->bad || n > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	w->len += n;
	return w->p + (w->len - n);
}

void
wr_bytes(struct wr *w, const void *p, size_t n)
{
	u8 *at = wr_room(w, n);

	if (at != NULL && n > 0) /* p may be NULL when n is 0 */
		memcpy(at, p, n);
}

void
wr_zero(struct wr *w, size_t n)
{
	u8 *at = wr_room(w, n);

	if (at != NULL && n > 0)
		memset(at, 0, n);
}

void
wr_u8(struct wr *w, u32 v)
{
	u8 *at = wr_room(w, 1);

	if (at != NULL)
		at[0] = (u8)v;
}

void
wr_u16(struct wr *w, u32 v)
{
	u8 *at = wr_room(w, 2);

	if (at != NULL)
		wr16(at, v);
}

void
wr_u24(struct wr *w, u32 v)
{
	u8 *at = wr_room(w, 3);

	if (at != NULL)
		wr24(at, v);
}

void
wr_u32(struct wr *w, u32 v)
{
	u8 *at = wr_room(w, 4);

	if (at != NULL)
		wr32(at, v);
}

void
wr_u64(struct wr *w, u64 v)
{
	u8 *at = wr_room(w, 8);

	if (at != NULL)
		wr64(at, v);
}

void
wr_lenenc(struct wr *w, u64 v)
{
	u8 *at = wr_room(w, lenenc_size(v));

	if (at == NULL)
		return;
	switch (lenenc_size(v)) {
	case 1:
		at[0] = (u8)v;
		break;
	case 3:
		at[0] = 0xfc;
		wr16(at + 1, (u32)v);
		break;
	case 4:
		at[0] = 0xfd;
		wr24(at + 1, (u32)v);
		break;
	default:
		at[0] = 0xfe;
		wr64(at + 1, v);
	}
}

void
wr_lenenc_str(struct wr *w, const void *p, size_t n)
{
	wr_lenenc(w, n);
	wr_bytes(w, p, n);
}

void
wr_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s));
}

void
wr_nul_str(struct wr *w, const char *s)
{
	wr_bytes(w, s, strlen(s) + 1);
}

size_t
wr_pkt_begin(struct wr *w)
{
	size_t at = w->len;

	wr_zero(w, PKT_HDR);
	return at;
}

void
wr_pkt_end(struct wr *w, size_t at, u8 seq)
{
	size_t n;

	if (w->bad)
		return;
	n = w->len - at - PKT_HDR;
	if (n >= PKT_MAX_BODY) {
		w->bad = true;
		return;
	}
	wr24(w->p + at, (u32)n);
	w->p[at + 3] = seq;
}
