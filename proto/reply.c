/* proto/reply.c: see reply.h. Pure; the hot path of every result: per row it looks at five bytes. */
#include "proto/reply.h"

enum reply_state {
	ST_FIRST,       /* first packet of a reply or of a further result */
	ST_COLS,        /* column definitions */
	ST_AFTER_COLS,  /* the next packet decides whether an EOF belongs between */
	ST_ROWS,
	ST_PREP_PARAMS, /* parameter definitions of COM_STMT_PREPARE */
	ST_PREP_COLS,
	ST_END,
};

/* OK and ERR packets are small; session-state blocks may hold values of variables. More than this is no
 * server's reply but a stream out of step. */
#define CONTROL_PACKET_MAX (1u << 20)

/* Of a result of COM_QUERY, whose count is no 16-bit number: a SELECT of 68,001 constants has as many. More do not fit into
 * a statement of 1 GiB, which is the largest max_allowed_packet. */
#define COLUMNS_MAX (1u << 29)

void
reply_init(struct reply *r, enum reply_kind kind, bool want_eof, bool cursor)
{
	memset(r, 0, sizeof *r);
	r->kind = (u8)kind;
	r->state = kind == REPLY_ROWS ? ST_ROWS : ST_FIRST;
	r->want_eof = want_eof;
	r->binary_cursor = cursor;
	r->next_seq = 1;
	r->packet_limit = CONTROL_PACKET_MAX;
}

void
reply_after_infile(struct reply *r, u8 next_seq)
{
	r->kind = REPLY_RESULT;
	r->state = ST_FIRST;
	r->next_seq = next_seq;
}

/* Takes the whole packet at p as the event's packet. */
static enum reply_ev
take_control(struct reply *r, u8 **p, u8 *at, u32 len, enum reply_ev ev, bool last)
{
	r->pkt = at;
	r->pkt_len = PKT_HDR + len;
	r->last = last;
	*p = at + r->pkt_len;
	if (last)
		r->state = ST_END;
	return ev;
}

/* Status flags and warnings of an OK packet (0x00 or 0xfe): after two length-encoded integers. 0 if cut. */
static u16
ok_status(const u8 *body, u32 len, u16 *warnings_r)
{
	struct rd rd = rd_init(body, len);

	rd_u8(&rd);
	rd_lenenc(&rd);
	rd_lenenc(&rd);
	u16 status = rd_u16(&rd);

	*warnings_r = rd_u16(&rd);
	return status;
}

static enum reply_ev
take_ok(struct reply *r, u8 **p, u8 *at, u32 len)
{
	u16 warnings, status = ok_status(at + PKT_HDR, len, &warnings);
	bool more = (status & ST_MORE_RESULTS) != 0 && r->kind == REPLY_RESULT;

	r->state = ST_FIRST;
	return take_control(r, p, at, len, REPLY_OK, !more);
}

/* First packet of a result. The caller has made sure that it is whole. */
static enum reply_ev
first_packet(struct reply *r, u8 **p, u8 *at, u32 len)
{
	const u8 *b = at + PKT_HDR;

	if (len == 0)
		return REPLY_BAD;
	if (b[0] == 0xff)
		return take_control(r, p, at, len, REPLY_ERR, true);
	if (r->kind == REPLY_STRING)
		return take_control(r, p, at, len, REPLY_OK, true);
	if (r->kind == REPLY_PREPARE) {
		if (b[0] != 0 || len < 12)
			return REPLY_BAD;
		r->cols_left = rd16(b + 5);
		r->params_left = rd16(b + 7);
		r->state = r->params_left > 0 ? ST_PREP_PARAMS : ST_PREP_COLS;
		return take_control(r, p, at, len, REPLY_PREPARED,
		    r->cols_left + r->params_left == 0);
	}
	if (b[0] == 0x00 || (b[0] == 0xfe && r->kind == REPLY_OK_ONLY))
		return take_ok(r, p, at, len);
	if (r->kind == REPLY_OK_ONLY)
		return REPLY_BAD;
	if (b[0] == 0xfb)
		return take_control(r, p, at, len, REPLY_INFILE, false);
	struct rd rd = rd_init(b, len);
	u64 n = rd_lenenc(&rd);

	if (rd.bad || n == 0 || n > COLUMNS_MAX)
		return REPLY_BAD;
	r->cols_left = (u32)n;
	r->rows = 0;
	r->state = ST_COLS;
	if (unlikely(r->metadata))
		return take_control(r, p, at, len, REPLY_COLUMNS, false);
	*p = at + PKT_HDR + len;
	return REPLY_MORE;
}

/* A definition packet ended; what comes after the last of its kind? */
static bool
definition_done(struct reply *r)
{
	u32 *left = r->state == ST_PREP_PARAMS ? &r->params_left : &r->cols_left;

	if (--*left > 0)
		return false;
	if (r->state == ST_COLS) {
		r->state = ST_AFTER_COLS;
		return false;
	}
	if (r->state == ST_PREP_PARAMS && r->cols_left > 0)
		r->state = ST_PREP_COLS;
	else
		r->state = ST_END;
	return true;
}

static enum reply_ev
put_eof(struct reply *r)
{
	r->eof_seq = (u8)(r->next_seq + r->seq_add);
	r->seq_add++;
	return REPLY_EOF;
}

/* Terminator of rows (0xfe and not a long row) or ERR in their place. */
static inline bool
is_terminator(const struct reply *r, const u8 *at, u32 len)
{
	return !r->row_cont && len > 0 &&
	    ((at[PKT_HDR] == 0xfe && len < PKT_MAX_BODY) || at[PKT_HDR] == 0xff);
}

/* Passes what is there of the packet under way. True if it has ended. */
static inline bool
pass_body(struct reply *r, u8 **p, u8 *end)
{
	size_t n = MIN((size_t)(end - *p), r->body_left);

	*p += n;
	r->body_left -= (u32)n;
	return r->body_left == 0;
}

static enum reply_ev
after_definitions(struct reply *r)
{
	if (r->want_eof) {
		enum reply_ev ev = put_eof(r);

		r->last = r->state == ST_END;
		return ev;
	}
	return r->state == ST_END ? REPLY_END : REPLY_MORE;
}

/* The packet that was under way has ended: account for it. REPLY_MORE to go on. */
static enum reply_ev
packet_passed(struct reply *r)
{
	if (r->under_way_full) {
		r->row_cont = true;
		return REPLY_MORE;
	}
	r->row_cont = false;
	if (r->state == ST_ROWS) {
		r->rows++;
		return REPLY_MORE;
	}
	bool kind_done = definition_done(r);

	if (unlikely(r->metadata) && (kind_done || r->state == ST_AFTER_COLS)) {
		r->defs_told = kind_done;
		r->last = false;
		return REPLY_DEFS;
	}
	return kind_done ? after_definitions(r) : REPLY_MORE;
}

/* Looks at the packet that begins at *p; needs its header and, for control packets, all of it. Returns
 * true with *ev_r when the loop must stop. */
static bool
begin_packet(struct reply *r, u8 **p, u8 *end, enum reply_ev *ev_r)
{
	u8 *at = *p;
	size_t have = (size_t)(end - at);
	u32 len;
	bool control;

	*ev_r = REPLY_MORE;
	if (have < PKT_HDR)
		return true;
	len = rd24(at);
	if (len > 0 && have < PKT_HDR + 1)
		return true;
	if (unlikely(at[3] != r->next_seq)) {
		if (!r->any_seq) {
			*ev_r = REPLY_BAD;
			return true;
		}
		at[3] = r->next_seq;
	}
	if (r->state == ST_AFTER_COLS || r->state == ST_ROWS)
		control = is_terminator(r, at, len);
	else
		control = r->state == ST_FIRST;
	if (control) {
		if (len > r->packet_limit) {
			*ev_r = REPLY_BAD;
			return true;
		}
		if (have < PKT_HDR + len)
			return true;
	}
	if (r->state == ST_AFTER_COLS) {
		u16 warnings;
		/* a cursor that cannot be opened: the error stands right behind the definitions (measured on 10.11) */
		bool cursor = control && r->binary_cursor &&
		    (at[PKT_HDR] == 0xff || (ok_status(at + PKT_HDR, len, &warnings) & ST_CURSOR_EXISTS) != 0);

		r->state = ST_ROWS;
		if (r->want_eof && !cursor) {
			*ev_r = put_eof(r);
			r->last = false;
			return true;
		}
	}
	at[3] = (u8)(at[3] + r->seq_add);
	r->next_seq++;
	if (!control) {
		r->body_left = len;
		r->under_way_full = len == PKT_MAX_BODY;
		*p += PKT_HDR;
		return false;
	}
	if (r->state == ST_FIRST)
		*ev_r = first_packet(r, p, at, len);
	else if (at[PKT_HDR] == 0xff)
		*ev_r = take_control(r, p, at, len, REPLY_ERR, true);
	else
		*ev_r = take_ok(r, p, at, len);
	return *ev_r != REPLY_MORE;
}

enum reply_ev
reply_next(struct reply *r, u8 **p, u8 *end, u8 **pass_end)
{
	enum reply_ev ev;

	if (unlikely(r->defs_told)) {
		r->defs_told = false;
		ev = after_definitions(r);
		if (ev != REPLY_MORE) {
			*pass_end = *p;
			return ev;
		}
	}
	for (;;) {
		bool in_packet = r->body_left > 0;

		if (!in_packet) {
			if (r->state == ST_END) {
				*pass_end = *p;
				return REPLY_BAD;
			}
			u8 *at = *p;
			enum reply_state before = (enum reply_state)r->state;

			if (begin_packet(r, p, end, &ev)) {
				*pass_end = at;
				return ev;
			}
			/* the column count passed through first_packet: no body is left to pass */
			if (before == ST_FIRST)
				continue;
		}
		if (!pass_body(r, p, end)) {
			*pass_end = *p;
			return REPLY_MORE;
		}
		ev = packet_passed(r);
		if (ev != REPLY_MORE) {
			*pass_end = *p;
			return ev;
		}
	}
}

bool
reply_peek_status(const struct reply *r, const u8 *p, const u8 *end, u16 *status_r, u16 *warnings_r)
{
	if (r->state != ST_ROWS)
		return false;
	for (u32 i = 0; i < REPLY_PEEK && (size_t)(end - p) > PKT_HDR; i++) {
		u32 len = rd24(p);

		if (len >= PKT_MAX_BODY || (size_t)(end - p) < PKT_HDR + (size_t)len)
			return false;
		if (is_terminator(r, p, len)) {
			if (p[PKT_HDR] != 0xfe)
				return false;
			u16 warnings;

			*status_r = ok_status(p + PKT_HDR, len, &warnings);
			*warnings_r = i == 0 ? warnings : 0;
			return true;
		}
		p += PKT_HDR + len;
	}
	return false;
}
