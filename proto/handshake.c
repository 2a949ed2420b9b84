/* proto/handshake.c: see handshake.h. Pure; runs in the worker. Every length here was written by a
 * peer that has not logged in yet: all reads go through struct rd.
 */
#include "proto/handshake.h"
#include "base/err.h"
#include "base/str.h"

#define SCRAMBLE_1 8  /* bytes of the scramble before the capabilities */
#define SCRAMBLE_2 12 /* and after them */

/* The field after the status: length of the scramble with its NUL. Short or absurd values occur (0
 * when the server has no PLUGIN_AUTH), so the second part has 13 bytes at least, as every client
 * assumes. */
static size_t
second_part(u8 auth_len)
{
	return auth_len > SCRAMBLE_1 + SCRAMBLE_2 + 1 ? (size_t)auth_len - SCRAMBLE_1
						      : SCRAMBLE_2 + 1;
}

static int
greeting_tail(struct rd *r, struct hs_greeting *g_r)
{
	u8 auth_len = rd_u8(r);
	const u8 *part;

	rd_take(r, 6);
	g_r->mariadb_caps = rd_u32(r);
	if (g_r->caps & CAP_LONG_PASSWORD)
		g_r->mariadb_caps = 0; /* MySQL: four more bytes of filler */
	if (!(g_r->caps & CAP_PROTOCOL_41) || !(g_r->caps & CAP_SECURE_CONNECTION))
		return ERR_BACKEND_PROTO;
	part = rd_take(r, second_part(auth_len));
	if (part == NULL)
		return ERR_BACKEND_PROTO;
	memcpy(g_r->scramble + SCRAMBLE_1, part, SCRAMBLE_2);
	if (g_r->caps & CAP_PLUGIN_AUTH) {
		/* MySQL 5.5.7 to 5.5.9 sent the name without its NUL (bug 59453) */
		bool terminated = memchr(r->p, 0, rd_left(r)) != NULL;

		g_r->plugin = terminated ? rd_nul_str(r) : rd_rest(r);
	}
	return r->bad ? ERR_BACKEND_PROTO : 0;
}

int
hs_greeting_parse(const u8 *body, size_t len, struct hs_greeting *g_r)
{
	struct rd r = rd_init(body, len);
	const u8 *part;

	*g_r = (struct hs_greeting){0};
	if (len > 0 && body[0] == 0xff)
		return ERR_CONNECT;
	g_r->protocol = rd_u8(&r);
	if (g_r->protocol != 10)
		return ERR_BACKEND_PROTO;
	g_r->version = rd_nul_str(&r);
	g_r->thread_id = rd_u32(&r);
	part = rd_take(&r, SCRAMBLE_1);
	if (part == NULL)
		return ERR_BACKEND_PROTO;
	memcpy(g_r->scramble, part, SCRAMBLE_1);
	rd_take(&r, 1);
	g_r->caps = rd_u16(&r);
	g_r->charset = rd_u8(&r);
	g_r->status = rd_u16(&r);
	g_r->caps |= (u32)rd_u16(&r) << 16;
	return greeting_tail(&r, g_r);
}

/* A string that its NUL ends on the wire, so it must not hold one itself. */
static void
wr_nul_slice(struct wr *w, struct slice s)
{
	if (s.len > 0 && memchr(s.p, 0, s.len) != NULL)
		w->bad = true;
	wr_bytes(w, s.p, s.len);
	wr_u8(w, 0);
}

void
hs_greeting_write(struct wr *w, const struct hs_greeting *g)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 10);
	wr_nul_slice(w, g->version);
	wr_u32(w, g->thread_id);
	wr_bytes(w, g->scramble, SCRAMBLE_1);
	wr_u8(w, 0);
	wr_u16(w, g->caps & 0xffff);
	wr_u8(w, g->charset);
	wr_u16(w, g->status);
	wr_u16(w, g->caps >> 16);
	wr_u8(w, g->caps & CAP_PLUGIN_AUTH ? SCRAMBLE_1 + SCRAMBLE_2 + 1 : 0);
	wr_zero(w, 6);
	wr_u32(w, g->caps & CAP_LONG_PASSWORD ? 0 : g->mariadb_caps);
	wr_bytes(w, g->scramble + SCRAMBLE_1, SCRAMBLE_2);
	wr_u8(w, 0);
	if (g->caps & CAP_PLUGIN_AUTH)
		wr_nul_slice(w, g->plugin);
	wr_pkt_end(w, at, 0);
}

/* The last string of a response may lack its NUL: servers accept that, and clients rely on it. */
static struct slice
rd_nul_or_rest(struct rd *r)
{
	if (rd_left(r) > 0 && memchr(r->p, 0, rd_left(r)) == NULL)
		return rd_rest(r);
	return rd_nul_str(r);
}

static struct slice
rd_auth(struct rd *r, u32 caps)
{
	size_t n;
	const u8 *p;

	if (!(caps & CAP_SECURE_CONNECTION))
		return rd_nul_str(r);
	if (caps & CAP_PLUGIN_AUTH_LENENC)
		return rd_lenenc_str(r);
	n = rd_u8(r);
	p = rd_take(r, n);
	return (struct slice){p, p != NULL ? n : 0};
}

int
hs_response_parse(const u8 *body, size_t len, u32 server_caps, struct hs_response *r_r)
{
	struct rd r = rd_init(body, len);
	u32 sent;

	*r_r = (struct hs_response){0};
	sent = rd_u32(&r);
	r_r->max_packet = rd_u32(&r);
	r_r->charset = rd_u8(&r);
	rd_take(&r, 19);
	r_r->mariadb_caps = rd_u32(&r);
	if (r.bad || !(sent & CAP_PROTOCOL_41))
		return ERR_PROTO;
	if (sent & CAP_LONG_PASSWORD)
		r_r->mariadb_caps = 0; /* a MySQL client: filler */
	r_r->caps = sent & server_caps;
	if (r_r->caps & CAP_SSL && rd_left(&r) == 0) {
		r_r->ssl_request = true;
		return 0;
	}
	r_r->user = rd_nul_str(&r);
	r_r->auth = rd_auth(&r, r_r->caps);
	if (r_r->caps & CAP_CONNECT_WITH_DB)
		r_r->db = rd_nul_or_rest(&r);
	if (r_r->caps & CAP_PLUGIN_AUTH && rd_left(&r) > 0) /* may be missing, says 10.11 */
		r_r->plugin = rd_nul_or_rest(&r);
	if (r_r->caps & CAP_CONNECT_ATTRS)
		r_r->attrs = rd_lenenc_str(&r);
	if (r_r->caps & CAP_ZSTD && rd_left(&r) > 0)
		r_r->zstd_level = rd_u8(&r);
	return r.bad ? ERR_PROTO : 0;
}

static void
wr_auth(struct wr *w, u32 caps, struct slice auth)
{
	if (!(caps & CAP_SECURE_CONNECTION)) {
		wr_nul_slice(w, auth);
	} else if (caps & CAP_PLUGIN_AUTH_LENENC) {
		wr_lenenc_str(w, auth.p, auth.len);
	} else {
		if (auth.len > 255)
			w->bad = true;
		wr_u8(w, (u32)auth.len);
		wr_bytes(w, auth.p, auth.len);
	}
}

void
hs_response_write(struct wr *w, u8 seq, const struct hs_response *r)
{
	size_t at = wr_pkt_begin(w);

	wr_u32(w, r->caps);
	wr_u32(w, r->max_packet);
	wr_u8(w, r->charset);
	wr_zero(w, 19);
	wr_u32(w, r->caps & CAP_LONG_PASSWORD ? 0 : r->mariadb_caps);
	if (!r->ssl_request) {
		wr_nul_slice(w, r->user);
		wr_auth(w, r->caps, r->auth);
		if (r->caps & CAP_CONNECT_WITH_DB)
			wr_nul_slice(w, r->db);
		if (r->caps & CAP_PLUGIN_AUTH)
			wr_nul_slice(w, r->plugin);
		if (r->caps & CAP_CONNECT_ATTRS)
			wr_lenenc_str(w, r->attrs.p, r->attrs.len);
		if (r->caps & CAP_ZSTD)
			wr_u8(w, r->zstd_level);
	}
	wr_pkt_end(w, at, seq);
}

struct slice
hs_attr(struct slice attrs, const char *name)
{
	struct rd r = rd_init(attrs.p, attrs.len);

	while (rd_left(&r) > 0) {
		struct slice k = rd_lenenc_str(&r), v = rd_lenenc_str(&r);

		if (r.bad)
			break;
		if (slice_eq(k.p, k.len, name, strlen(name)))
			return v;
	}
	return (struct slice){NULL, 0};
}

int
hs_change_user_parse(const u8 *body, size_t len, u32 caps, struct hs_change_user *u_r)
{
	struct rd r = rd_init(body, len);
	size_t n;
	const u8 *p;

	*u_r = (struct hs_change_user){0};
	rd_take(&r, 1);
	u_r->user = rd_nul_str(&r);
	if (caps & CAP_SECURE_CONNECTION) {
		n = rd_u8(&r);
		p = rd_take(&r, n);
		u_r->auth = (struct slice){p, p != NULL ? n : 0};
	} else {
		u_r->auth = rd_nul_str(&r);
	}
	u_r->db = rd_nul_str(&r);
	if (rd_left(&r) >= 2) /* clients before 5.1 end here */
		u_r->charset = rd_u16(&r);
	if (caps & CAP_PLUGIN_AUTH && rd_left(&r) > 0)
		u_r->plugin = rd_nul_or_rest(&r);
	if (caps & CAP_CONNECT_ATTRS)
		u_r->attrs = rd_lenenc_str(&r);
	return r.bad ? ERR_PROTO : 0;
}

void
hs_change_user_write(struct wr *w, u32 caps, const struct hs_change_user *u)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 0x11);
	wr_nul_slice(w, u->user);
	wr_auth(w, caps & ~CAP_PLUGIN_AUTH_LENENC, u->auth);
	wr_nul_slice(w, u->db);
	wr_u16(w, u->charset);
	if (caps & CAP_PLUGIN_AUTH)
		wr_nul_slice(w, u->plugin);
	if (caps & CAP_CONNECT_ATTRS)
		wr_lenenc_str(w, u->attrs.p, u->attrs.len);
	wr_pkt_end(w, at, 0);
}

void
hs_auth_switch_write(struct wr *w, u8 seq, const char *plugin, const u8 *data, size_t len)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 0xfe);
	wr_nul_str(w, plugin);
	wr_bytes(w, data, len);
	if (len == SCRAMBLE_1 + SCRAMBLE_2)
		wr_u8(w, 0);
	wr_pkt_end(w, at, seq);
}

int
hs_auth_switch_parse(const u8 *body, size_t len, struct slice *plugin_r, struct slice *data_r)
{
	struct rd r = rd_init(body, len);

	*plugin_r = *data_r = (struct slice){NULL, 0};
	if (rd_u8(&r) != 0xfe || r.bad)
		return ERR_BACKEND_PROTO;
	*plugin_r = rd_nul_str(&r);
	*data_r = rd_rest(&r);
	if (data_r->len == SCRAMBLE_1 + SCRAMBLE_2 + 1 && data_r->p[data_r->len - 1] == 0)
		data_r->len--;
	return r.bad ? ERR_BACKEND_PROTO : 0;
}
