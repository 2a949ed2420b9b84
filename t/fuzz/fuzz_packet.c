/* t/fuzz/fuzz_packet.c: OK, EOF, ERR, session tracking, PREPARE's OK, EXECUTE. Whatever parses must
 * point into the input and survive being written and parsed again. Input: which parser, a byte of
 * capabilities, two bytes for a parameter count, the body.
 */
#include "t/fuzz/fuzz_util.h"
#include "proto/packet.h"

#define BODY_MAX 65536 /* libFuzzer's inputs are smaller; a larger one is cut */
static u8 out[2 * BODY_MAX];

static void
walk_state(struct slice state)
{
	struct rd r = rd_init(state.p, state.len);
	struct track_item it;
	size_t left = rd_left(&r);
	int rc;

	while ((rc = track_next(&r, &it)) == 1) {
		must_be_inside(it.name, state.p, state.len);
		must_be_inside(it.value, state.p, state.len);
		MUST(it.name.len == 0 || it.type == TRACK_SYSVAR);
		MUST(rd_left(&r) < left); /* it must get to an end */
		left = rd_left(&r);
	}
	MUST(rc == 0 ? left == 0 : track_next(&r, &it) < 0);
}

static void
ok_again(const struct pkt_ok *ok, u8 header, u32 caps)
{
	struct pkt_ok back;
	struct wr w = wr_init(out, sizeof out);

	pkt_ok_write(&w, 1, header, caps, ok);
	MUST(!w.bad);
	MUST(pkt_ok_parse(out + PKT_HDR, w.len - PKT_HDR, caps, &back) == 0);
	MUST(back.affected == ok->affected && back.insert_id == ok->insert_id);
	MUST(back.warnings == ok->warnings);
	MUST((back.status & ~ST_SESSION_CHANGED) == (ok->status & ~ST_SESSION_CHANGED));
	must_be_same(back.info, ok->info);
	if (caps & CAP_SESSION_TRACK)
		must_be_same(back.state, ok->state);
	else
		MUST(back.state.len == 0 && !(back.status & ST_SESSION_CHANGED));
}

static void
one_ok(const u8 *body, size_t len, u32 caps)
{
	struct pkt_ok ok;

	if (pkt_ok_parse(body, len, caps, &ok) != 0)
		return;
	must_be_inside(ok.info, body, len);
	must_be_inside(ok.state, body, len);
	walk_state(ok.state);
	ok_again(&ok, body[0], CAP_SESSION_TRACK);
	ok_again(&ok, body[0], 0);
}

static void
one_err(const u8 *body, size_t len)
{
	struct pkt_err e, back;
	struct wr w = wr_init(out, sizeof out);
	char text[BODY_MAX + 1];

	if (pkt_err_parse(body, len, &e) != 0)
		return;
	must_be_inside(e.text, body, len);
	MUST(strlen(e.sqlstate) == 5);
	if (e.text.len > 0)
		memcpy(text, e.text.p, e.text.len);
	text[e.text.len] = '\0';
	pkt_err_write(&w, 1, e.code, e.sqlstate, text);
	MUST(!w.bad);
	MUST(pkt_err_parse(out + PKT_HDR, w.len - PKT_HDR, &back) == 0);
	MUST(back.code == e.code && memcmp(back.sqlstate, e.sqlstate, 6) == 0);
	MUST(back.text.len <= PKT_ERR_TEXT && back.text.len <= strlen(text));
	MUST(back.text.len + 4 > MIN(strlen(text), PKT_ERR_TEXT));
	MUST(memcmp(back.text.p, text, back.text.len) == 0);
}

static void
one_prepare_ok(const u8 *body, size_t len)
{
	struct pkt_prepare_ok p;
	struct wr w = wr_init(out, sizeof out);

	if (pkt_prepare_ok_parse(body, len, &p) != 0)
		return;
	pkt_prepare_ok_write(&w, 1, &p);
	MUST(!w.bad && w.len == PKT_HDR + 12);
	MUST(memcmp(out + PKT_HDR, body, 9) == 0 && memcmp(out + PKT_HDR + 10, body + 10, 2) == 0);
}

static void
one_execute(const u8 *body, size_t len, u32 nparams)
{
	struct ps_execute x;
	size_t sum;

	if (ps_execute_parse(body, len, nparams, &x) != 0)
		return;
	sum = 10 + x.nullmap_len + (nparams > 0) + x.types_len + x.values_len;
	MUST(sum == len);
	MUST(x.nullmap_len * 8 >= nparams && (x.types == NULL || x.types_len == nparams * 2u));
	must_be_inside((struct slice){x.nullmap, x.nullmap_len}, body, len);
	must_be_inside((struct slice){x.types, x.types_len}, body, len);
	must_be_inside((struct slice){x.values, x.values_len}, body, len);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u16 warnings, status;
	const u8 *body;
	size_t len;

	if (size < 4)
		return 0;
	body = data + 4;
	len = MIN(size - 4, (size_t)BODY_MAX);
	switch (data[0] % 6) {
	case 0:
		one_ok(body, len, data[1] & 1 ? CAP_SESSION_TRACK : 0);
		break;
	case 1:
		one_err(body, len);
		break;
	case 2:
		walk_state((struct slice){body, len});
		break;
	case 3:
		one_prepare_ok(body, len);
		break;
	case 4:
		one_execute(body, len, rd16(data + 2));
		break;
	default:
		MUST(pkt_eof_parse(body, len, &warnings, &status) != 0 || len == 5);
	}
	return 0;
}
