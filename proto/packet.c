/* proto/packet.c: see packet.h. Pure; runs in the worker. Bodies come from servers and clients
 * alike: all reads go through struct rd, and what is left over is either a field of a newer version
 * (ignored) or an error, as said at each place.
 */
#include "proto/packet.h"
#include "base/err.h"

/* The info of an OK without SESSION_TRACK. Servers send it length-encoded whatever the
 * documentation says. */
static struct slice
ok_info(struct rd *r)
{
	struct rd as_lenenc = *r;
	struct slice s = rd_lenenc_str(&as_lenenc);

	if (!as_lenenc.bad && rd_left(&as_lenenc) == 0) {
		*r = as_lenenc;
		return s;
	}
	return rd_rest(r);
}

int
pkt_ok_parse(const u8 *body, size_t len, u32 caps, struct pkt_ok *ok_r)
{
	struct rd r = rd_init(body, len);
	u8 header = rd_u8(&r);

	*ok_r = (struct pkt_ok){0};
	if (header != 0x00 && header != 0xfe)
		return ERR_PROTO;
	ok_r->affected = rd_lenenc(&r);
	ok_r->insert_id = rd_lenenc(&r);
	ok_r->status = rd_u16(&r);
	ok_r->warnings = rd_u16(&r);
	if (r.bad)
		return ERR_PROTO;
	if (rd_left(&r) == 0)
		return 0;
	if (!(caps & CAP_SESSION_TRACK)) {
		ok_r->info = ok_info(&r);
		return 0;
	}
	ok_r->info = rd_lenenc_str(&r);
	if (ok_r->status & ST_SESSION_CHANGED)
		ok_r->state = rd_lenenc_str(&r);
	/* 10.11 writes the length of an empty info as a character of the database's set: two zeros or four after USE of one
	 * in ucs2, utf16 or utf32 (measured). Connector/C takes that for an empty state and skips the rest. */
	for (int i = 0; i < 3 && ok_r->info.len == 0 && ok_r->state.len == 0 && !r.bad && rd_left(&r) > 0; i++)
		ok_r->state = rd_lenenc_str(&r);
	return r.bad || rd_left(&r) > 0 ? ERR_PROTO : 0;
}

void
pkt_ok_write(struct wr *w, u8 seq, u8 header, u32 caps, const struct pkt_ok *ok)
{
	size_t at = wr_pkt_begin(w);
	bool track = caps & CAP_SESSION_TRACK && ok->state.len > 0;

	wr_u8(w, header);
	wr_lenenc(w, ok->affected);
	wr_lenenc(w, ok->insert_id);
	wr_u16(w, track ? ok->status | ST_SESSION_CHANGED : ok->status & ~ST_SESSION_CHANGED);
	wr_u16(w, ok->warnings);
	if (track || ok->info.len > 0)
		wr_lenenc_str(w, ok->info.p, ok->info.len);
	if (track)
		wr_lenenc_str(w, ok->state.p, ok->state.len);
	wr_pkt_end(w, at, seq);
}

int
pkt_eof_parse(const u8 *body, size_t len, u16 *warnings_r, u16 *status_r)
{
	*warnings_r = *status_r = 0;
	if (len != 5 || body[0] != 0xfe)
		return ERR_PROTO;
	*warnings_r = rd16(body + 1);
	*status_r = rd16(body + 3);
	return 0;
}

void
pkt_eof_write(struct wr *w, u8 seq, u16 warnings, u16 status)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 0xfe);
	wr_u16(w, warnings);
	wr_u16(w, status);
	wr_pkt_end(w, at, seq);
}

/* Digits and capitals; anything else would be bytes of a peer in our logs and C strings: keep the
 * default. */
static void
copy_sqlstate(char out[6], const u8 *p)
{
	for (int i = 0; i < 5; i++)
		if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'A' && p[i] <= 'Z'))
			return;
	memcpy(out, p, 5);
}

int
pkt_err_parse(const u8 *body, size_t len, struct pkt_err *e_r)
{
	struct rd r = rd_init(body, len);

	*e_r = (struct pkt_err){.sqlstate = "HY000"};
	if (rd_u8(&r) != 0xff)
		return ERR_PROTO;
	e_r->code = rd_u16(&r);
	if (r.bad)
		return ERR_PROTO;
	if (rd_left(&r) >= 6 && r.p[0] == '#')
		copy_sqlstate(e_r->sqlstate, rd_take(&r, 6) + 1);
	e_r->text = rd_rest(&r);
	return 0;
}

/* How much of text fits in max bytes without splitting a UTF-8 character. */
static size_t
cut_utf8(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1), i = max;

	if (n <= max)
		return n;
	while (max - i < 3 && ((u8)text[i] & 0xc0) == 0x80)
		i--;
	return ((u8)text[i] & 0xc0) == 0x80 ? max : i; /* not UTF-8 at all: any place will do */
}

void
pkt_err_write(struct wr *w, u8 seq, u16 code, const char *sqlstate, const char *text)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 0xff);
	wr_u16(w, code);
	wr_u8(w, '#');
	wr_bytes(w, strlen(sqlstate) == 5 ? sqlstate : "HY000", 5);
	wr_bytes(w, text, cut_utf8(text, PKT_ERR_TEXT));
	wr_pkt_end(w, at, seq);
}

/* One entry's data. Fields after those that are known make the entry bad: what they change is not
 * known, and a change of session state that goes unseen would give a wrong answer later. */
static void
track_data(struct rd *d, struct track_item *it)
{
	switch (it->type) {
	case TRACK_SYSVAR:
		it->name = rd_lenenc_str(d);
		it->value = rd_lenenc_str(d);
		break;
	case TRACK_GTID:
		rd_u8(d); /* encoding of the set; 0 is the only one */
		it->value = rd_lenenc_str(d);
		break;
	case TRACK_SCHEMA:
	case TRACK_TRX_CHARS:
	case TRACK_TRX_STATE:
		it->value = rd_lenenc_str(d);
		break;
	case TRACK_STATE: /* one character; no length of its own, unlike all others */
	default:
		it->value = rd_rest(d);
	}
	if (rd_left(d) > 0)
		d->bad = true;
}

int
track_next(struct rd *r, struct track_item *it_r)
{
	struct slice data;
	struct rd d;

	*it_r = (struct track_item){0};
	if (!r->bad && rd_left(r) == 0)
		return 0;
	it_r->type = rd_u8(r);
	data = rd_lenenc_str(r);
	if (r->bad)
		return ERR_PROTO;
	d = rd_init(data.p, data.len);
	track_data(&d, it_r);
	if (d.bad) {
		r->bad = true;
		return ERR_PROTO;
	}
	return 1;
}

/* extended: the receiver has MCAP_EXTENDED_METADATA; there is nothing more to say of these types. */
static void
column_write(struct wr *w, u8 seq, const char *name, u8 type, u16 charset, u32 length, u16 flags, u8 decimals,
    bool extended)
{
	size_t at = wr_pkt_begin(w);

	wr_lenenc_str(w, "def", 3);
	wr_zero(w, 3); /* schema, table, original table */
	wr_lenenc_str(w, name, strlen(name));
	wr_zero(w, 1); /* original name */
	wr_zero(w, extended);
	wr_u8(w, 12);  /* length of what follows */
	wr_u16(w, charset);
	wr_u32(w, length);
	wr_u8(w, type);
	wr_u16(w, flags);
	wr_u8(w, decimals);
	wr_zero(w, 2);
	wr_pkt_end(w, at, seq);
}

void
pkt_column_write(struct wr *w, u8 seq, const char *name, u8 type, u16 charset, u32 length,
		 u16 flags, u8 decimals)
{
	column_write(w, seq, name, type, charset, length, flags, decimals, false);
}

void
pkt_colcount_write(struct wr *w, u8 seq, u64 n)
{
	size_t at = wr_pkt_begin(w);

	wr_lenenc(w, n);
	wr_pkt_end(w, at, seq);
}

void
pkt_colcount_cached_write(struct wr *w, u8 seq, u64 n, bool follow)
{
	size_t at = wr_pkt_begin(w);

	wr_lenenc(w, n);
	wr_u8(w, follow);
	wr_pkt_end(w, at, seq);
}

void
rset_begin(struct rset *rs, struct wr *w, u8 seq, u32 caps, u32 mcaps, u16 status, u64 ncols)
{
	*rs = (struct rset){.w = w, .caps = caps, .mcaps = mcaps, .status = status, .seq = seq};
	if (mcaps & MCAP_CACHE_METADATA)
		pkt_colcount_cached_write(w, rs->seq++, ncols, true);
	else
		pkt_colcount_write(w, rs->seq++, ncols);
}

void
rset_column_str(struct rset *rs, const char *name, u32 chars)
{
	column_write(rs->w, rs->seq++, name, PKT_TYPE_VAR_STRING, PKT_CHARSET_UTF8, chars * 3, 0,
	    39 /* NOT_FIXED_DEC, as the server says for strings */, (rs->mcaps & MCAP_EXTENDED_METADATA) != 0);
}

void
rset_column_int(struct rset *rs, const char *name)
{
	column_write(rs->w, rs->seq++, name, PKT_TYPE_LONGLONG, PKT_CHARSET_BINARY, 21, 0x81 /* BINARY_FLAG, NOT_NULL_FLAG */,
	    0, (rs->mcaps & MCAP_EXTENDED_METADATA) != 0);
}

void
rset_columns_end(struct rset *rs)
{
	if (!(rs->caps & CAP_DEPRECATE_EOF))
		pkt_eof_write(rs->w, rs->seq++, 0, rs->status);
}

void
rset_row(struct rset *rs, const struct slice *values, size_t n)
{
	size_t at = wr_pkt_begin(rs->w);

	for (size_t i = 0; i < n; i++) {
		if (values[i].p == NULL)
			wr_u8(rs->w, 0xfb);
		else
			wr_lenenc_str(rs->w, values[i].p, values[i].len);
	}
	wr_pkt_end(rs->w, at, rs->seq++);
}

void
rset_row_int(struct rset *rs, i64 v, bool binary)
{
	char text[24];
	size_t at;

	if (!binary) {
		snprintf(text, sizeof text, "%lld", (long long)v);
		rset_row(rs, &(struct slice){(const u8 *)text, strlen(text)}, 1);
		return;
	}
	at = wr_pkt_begin(rs->w);
	wr_u8(rs->w, 0);
	wr_u8(rs->w, 0); /* no NULL */
	wr_u64(rs->w, (u64)v);
	wr_pkt_end(rs->w, at, rs->seq++);
}

void
rset_end(struct rset *rs, u16 warnings)
{
	struct pkt_ok ok = {.status = rs->status, .warnings = warnings};

	if (rs->caps & CAP_DEPRECATE_EOF)
		pkt_ok_write(rs->w, rs->seq++, 0xfe, rs->caps, &ok);
	else
		pkt_eof_write(rs->w, rs->seq++, warnings, rs->status);
}

int
pkt_prepare_ok_parse(const u8 *body, size_t len, struct pkt_prepare_ok *p_r)
{
	struct rd r = rd_init(body, len);
	u8 header = rd_u8(&r);

	*p_r = (struct pkt_prepare_ok){0};
	p_r->id = rd_u32(&r);
	p_r->ncols = rd_u16(&r);
	p_r->nparams = rd_u16(&r);
	rd_take(&r, 1);
	p_r->warnings = rd_u16(&r);
	return r.bad || header != 0 ? ERR_PROTO : 0;
}

void
pkt_prepare_ok_write(struct wr *w, u8 seq, const struct pkt_prepare_ok *p)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 0);
	wr_u32(w, p->id);
	wr_u16(w, p->ncols);
	wr_u16(w, p->nparams);
	wr_zero(w, 1);
	wr_u16(w, p->warnings);
	wr_pkt_end(w, at, seq);
}

int
ps_execute_parse(const u8 *body, size_t len, u32 nparams, struct ps_execute *x_r)
{
	struct rd r = rd_init(body, len);
	struct slice rest;
	u8 com = rd_u8(&r);

	*x_r = (struct ps_execute){0};
	x_r->id = rd_u32(&r);
	x_r->flags = rd_u8(&r);
	x_r->iterations = rd_u32(&r);
	if (nparams > 0) {
		x_r->nullmap_len = ((size_t)nparams + 7) / 8;
		x_r->nullmap = rd_take(&r, x_r->nullmap_len);
		x_r->new_params = rd_u8(&r) != 0;
		if (x_r->new_params) {
			x_r->types_len = (size_t)nparams * 2;
			x_r->types = rd_take(&r, x_r->types_len);
		}
	}
	rest = rd_rest(&r);
	x_r->values = rest.p;
	x_r->values_len = rest.len;
	return r.bad || com != 0x17 ? ERR_PROTO : 0;
}
