/* Unit tests of proto/packet: bytes of a real server, round trips, every cut, session tracking. */
#include "t/unit/proto_util.h"
#include "t/unit/proto_bytes.h"
#include "proto/packet.h"

static const struct {
	const u8 *p;
	size_t n;
} real_oks[] = {
    {BYTES(REAL_OK_SCHEMA)},   {BYTES(REAL_OK_VARS)},   {BYTES(REAL_OK_BEGIN)},
    {BYTES(REAL_OK_ROWS_END)}, {BYTES(REAL_OK_COMMIT)}, {BYTES(REAL_OK_INFO)},
};

/* Is the next item this one? */
static void
expect_item(struct rd *r, u32 type, const char *name, const char *value)
{
	struct track_item it;

	cr_assert_eq(track_next(r, &it), 1, "%s", value);
	cr_assert_eq(it.type, type);
	cr_assert(slice_is(it.name, name), "%s", name);
	cr_assert(slice_is(it.value, value), "%s", value);
}

static void
expect_end(struct rd *r)
{
	struct track_item it;

	cr_assert_eq(track_next(r, &it), 0);
	cr_assert_eq(track_next(r, &it), 0);
}

static struct rd
state_of(const u8 *body, size_t len, struct pkt_ok *ok)
{
	cr_assert_eq(pkt_ok_parse(body, len, CAP_SESSION_TRACK, ok), 0);
	return rd_init(ok->state.p, ok->state.len);
}

Test(ok, of_a_real_server)
{
	struct pkt_ok ok;
	struct rd r = state_of(BYTES(REAL_OK_SCHEMA), &ok);

	cr_assert_eq(ok.status, ST_AUTOCOMMIT | ST_SESSION_CHANGED);
	expect_item(&r, TRACK_SCHEMA, "", "test");
	expect_end(&r);
	r = state_of(BYTES(REAL_OK_VARS), &ok);
	expect_item(&r, TRACK_SYSVAR, "autocommit", "OFF");
	expect_item(&r, TRACK_SYSVAR, "time_zone", "+00:00");
	expect_item(&r, TRACK_SYSVAR, "sql_mode", "");
	expect_item(&r, TRACK_STATE, "", "1");
	expect_end(&r);
	r = state_of(BYTES(REAL_OK_BEGIN), &ok);
	cr_assert_eq(ok.status, ST_IN_TRANS | ST_AUTOCOMMIT | ST_SESSION_CHANGED);
	expect_item(&r, TRACK_TRX_STATE, "", "T_______");
	expect_item(&r, TRACK_TRX_CHARS, "", "START TRANSACTION;");
	expect_end(&r);
	r = state_of(BYTES(REAL_OK_ROWS_END), &ok);
	cr_assert_eq(ok.status, ST_IN_TRANS | ST_AUTOCOMMIT | ST_NO_INDEX | ST_SESSION_CHANGED);
	expect_item(&r, TRACK_TRX_STATE, "", "Tr___sS_");
	expect_end(&r);
	r = state_of(BYTES(REAL_OK_COMMIT), &ok);
	expect_item(&r, TRACK_TRX_STATE, "", "________");
	expect_item(&r, TRACK_TRX_CHARS, "", "");
	expect_end(&r);
}

Test(ok, info_with_and_without_tracking)
{
	struct pkt_ok ok;

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(pkt_ok_parse(BYTES(REAL_OK_INFO), i ? CAP_SESSION_TRACK : 0, &ok), 0);
		cr_assert_eq(ok.affected, 2);
		cr_assert_eq(ok.insert_id, 0);
		cr_assert_eq(ok.warnings, 0);
		cr_assert(slice_is(ok.info, "Rows matched: 2  Changed: 2  Warnings: 0"));
		cr_assert_eq(ok.state.len, 0);
	}
	cr_assert_eq(pkt_ok_parse(BYTES("\0\1\2\2\0\3\0plain text"), 0, &ok), 0);
	cr_assert(slice_is(ok.info, "plain text"));
	cr_assert_eq(pkt_ok_parse(BYTES("\0\1\2\2\0\3\0\3abcd"), 0, &ok), 0);
	cr_assert(slice_is(ok.info, "\3abcd"), "not length-encoded: its length ends too early");
	cr_assert_eq(ok.insert_id, 2);
	cr_assert_eq(ok.warnings, 3);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\1\2\2\0\3\0plain text"), CAP_SESSION_TRACK, &ok),
		     ERR_PROTO);
	cr_assert_eq(
	    pkt_ok_parse(BYTES("\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xfc\xfb\0\2\0\0\0"), 0, &ok),
	    0);
	cr_assert_eq(ok.affected, UINT64_MAX);
	cr_assert_eq(ok.insert_id, 251);
}

Test(ok, written_as_the_server_writes_it)
{
	for (size_t i = 0; i < ARRAY_LEN(real_oks); i++) {
		struct pkt_ok ok;
		u8 buf[256];
		struct wr w = wr_init(buf, sizeof buf);

		cr_assert_eq(pkt_ok_parse(real_oks[i].p, real_oks[i].n, CAP_SESSION_TRACK, &ok), 0);
		pkt_ok_write(&w, 5, real_oks[i].p[0], CAP_SESSION_TRACK, &ok);
		cr_assert(!w.bad);
		cr_assert_eq(w.len, PKT_HDR + real_oks[i].n, "case %zu", i);
		cr_assert_eq(rd24(buf), real_oks[i].n);
		cr_assert_eq(buf[3], 5);
		cr_assert_arr_eq(buf + PKT_HDR, real_oks[i].p, real_oks[i].n);
	}
}

Test(ok, for_a_receiver_without_tracking)
{
	struct pkt_ok ok, back;
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);

	cr_assert_eq(pkt_ok_parse(BYTES(REAL_OK_BEGIN), CAP_SESSION_TRACK, &ok), 0);
	ok.info = SLICE("info");
	pkt_ok_write(&w, 1, 0, CAP_PROTOCOL_41, &ok);
	cr_assert_eq(pkt_ok_parse(buf + PKT_HDR, w.len - PKT_HDR, 0, &back), 0);
	cr_assert_eq(back.status, ST_IN_TRANS | ST_AUTOCOMMIT);
	cr_assert_eq(back.state.len, 0);
	cr_assert(slice_is(back.info, "info"));
	/* with tracking but nothing to report, the status must not promise a block */
	w = wr_init(buf, sizeof buf);
	ok.state = (struct slice){NULL, 0};
	pkt_ok_write(&w, 1, 0, CAP_SESSION_TRACK, &ok);
	cr_assert_eq(pkt_ok_parse(buf + PKT_HDR, w.len - PKT_HDR, CAP_SESSION_TRACK, &back), 0);
	cr_assert_eq(back.status, ST_IN_TRANS | ST_AUTOCOMMIT);
	cr_assert(slice_is(back.info, "info"));
}

static int
parse_ok_tracking(const u8 *p, size_t n)
{
	struct pkt_ok ok;

	return pkt_ok_parse(p, n, CAP_SESSION_TRACK, &ok);
}

Test(ok, cut)
{
	/* 7 bytes (header, two small numbers, status, warnings) are an OK without info */
	static const size_t seven[] = {7, SIZE_MAX};

	for (size_t i = 0; i < ARRAY_LEN(real_oks); i++)
		cut_everywhere(real_oks[i].p, real_oks[i].n, parse_ok_tracking,
			       real_oks[i].p[0] == 0 || real_oks[i].n > 7 ? seven : NULL);
}

Test(ok, what_is_none)
{
	struct pkt_ok ok;

	cr_assert_eq(pkt_ok_parse(NULL, 0, 0, &ok), ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\1\0\0\2\0\0\0"), 0, &ok), ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\xff\0\0\2\0\0\0"), 0, &ok), ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\xfb\0\2\0\0\0"), 0, &ok), ERR_PROTO);
	/* state block longer than the packet; bytes after it */
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\x05\1\2\1a"), CAP_SESSION_TRACK, &ok),
		     ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\x04\1\2\1az"), CAP_SESSION_TRACK, &ok),
		     ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\x04\1\2\1a"), CAP_SESSION_TRACK, &ok),
		     0);
}

static void
write_ok(struct wr *w)
{
	struct pkt_ok ok = {.affected = 300,
			    .insert_id = 1u << 30,
			    .status = 2,
			    .warnings = 7,
			    .info = SLICE("info"),
			    .state = SLICE("\1\2\1a")};

	pkt_ok_write(w, 1, 0, CAP_SESSION_TRACK, &ok);
}

static void
write_eof(struct wr *w)
{
	pkt_eof_write(w, 3, 0x0102, 0x0304);
}

static void
write_err(struct wr *w)
{
	pkt_err_write(w, 3, 1064, "42000", "text");
}

static void
write_prepare_ok(struct wr *w)
{
	struct pkt_prepare_ok p = {1, 0, 2, 0};

	pkt_prepare_ok_write(w, 1, &p);
}

static void
write_rset(struct wr *w)
{
	struct rset rs;
	struct slice row[3] = {SLICE("7"), {NULL, 0}, SLICE("")};

	rset_begin(&rs, w, 1, 0, 0, ST_AUTOCOMMIT, 3);
	rset_column_int(&rs, "n");
	rset_column_str(&rs, "s", 64);
	rset_column_str(&rs, "t", 1);
	rset_columns_end(&rs);
	rset_row(&rs, row, 3);
	rset_end(&rs, 1);
}

Test(packets, overflow)
{
	overflow_everywhere(write_ok);
	overflow_everywhere(write_eof);
	overflow_everywhere(write_err);
	overflow_everywhere(write_prepare_ok);
	overflow_everywhere(write_rset);
}

static int
parse_eof(const u8 *p, size_t n)
{
	u16 warnings, status;

	return pkt_eof_parse(p, n, &warnings, &status);
}

Test(eof, both_ways)
{
	u8 buf[16];
	struct wr w = wr_init(buf, sizeof buf);
	u16 warnings, status;

	write_eof(&w);
	cr_assert_arr_eq(buf, "\5\0\0\3\xfe\2\1\4\3", 9);
	cr_assert_eq(pkt_eof_parse(buf + 4, 5, &warnings, &status), 0);
	cr_assert_eq(warnings, 0x0102);
	cr_assert_eq(status, 0x0304);
	cut_everywhere(buf + 4, 5, parse_eof, NULL);
	cr_assert_eq(parse_eof(BYTES("\xfe\0\0\0\0\0")), ERR_PROTO);
	cr_assert_eq(parse_eof(BYTES("\x00\0\0\0\0")), ERR_PROTO);
}

static int
parse_err(const u8 *p, size_t n)
{
	struct pkt_err e;

	return pkt_err_parse(p, n, &e);
}

Test(err, of_a_real_server)
{
	struct pkt_err e;
	u8 buf[128];
	struct wr w = wr_init(buf, sizeof buf);
	char text[128];

	cr_assert_eq(pkt_err_parse(BYTES(REAL_ERR_1040), &e), 0);
	cr_assert_eq(e.code, 1040);
	cr_assert_str_eq(e.sqlstate, "HY000");
	cr_assert(slice_is(e.text, "Too many connections"));
	cr_assert_eq(pkt_err_parse(BYTES(REAL_ERR_1045), &e), 0);
	cr_assert_eq(e.code, 1045);
	cr_assert_str_eq(e.sqlstate, "28000");
	cr_assert(slice_is(e.text, "Access denied for user 'n'@'localhost' (using password: YES)"));
	memcpy(text, e.text.p, e.text.len);
	text[e.text.len] = '\0';
	pkt_err_write(&w, 2, e.code, e.sqlstate, text);
	cr_assert_eq(w.len, PKT_HDR + sizeof REAL_ERR_1045 - 1);
	cr_assert_arr_eq(buf + PKT_HDR, REAL_ERR_1045, sizeof REAL_ERR_1045 - 1);
}

Test(err, cut_and_odd)
{
	struct pkt_err e;
	size_t fine[128], n = 0;

	for (size_t at = 3; at < sizeof REAL_ERR_1045 - 1; at++)
		fine[n++] = at; /* text may be any */
	fine[n] = SIZE_MAX;
	cut_everywhere(BYTES(REAL_ERR_1045), parse_err, fine);
	cr_assert_eq(parse_err(BYTES("\xfe\x15\x04#28000x")), ERR_PROTO);
	cr_assert_eq(pkt_err_parse(BYTES("\xff\x15\x04#28"), &e), 0);
	cr_assert_str_eq(e.sqlstate, "HY000");
	cr_assert(slice_is(e.text, "#28"));
	cr_assert_eq(pkt_err_parse(BYTES("\xff\x15\x04#0AZ90"), &e), 0);
	cr_assert_str_eq(e.sqlstate, "0AZ90");
	cr_assert_eq(e.text.len, 0);
	/* a sqlstate of control bytes must not get into logs or C strings */
	cr_assert_eq(pkt_err_parse(BYTES("\xff\x15\x04#\0\n\x1b[mtext"), &e), 0);
	cr_assert_str_eq(e.sqlstate, "HY000");
	cr_assert(slice_is(e.text, "text"));
}

static size_t
err_text_len(const char *text)
{
	u8 buf[1024];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_err e;

	pkt_err_write(&w, 1, 1105, "HY000", text);
	cr_assert(!w.bad);
	cr_assert_eq(pkt_err_parse(buf + PKT_HDR, w.len - PKT_HDR, &e), 0);
	cr_assert_eq(memcmp(e.text.p, text, e.text.len), 0);
	return e.text.len;
}

Test(err, text_is_cut_at_a_character)
{
	char text[700];

	memset(text, 'a', sizeof text);
	text[511] = '\0';
	cr_assert_eq(err_text_len(text), 511);
	text[511] = 'a';
	text[512] = '\0';
	cr_assert_eq(err_text_len(text), 512);
	text[512] = 'a';
	text[513] = '\0';
	cr_assert_eq(err_text_len(text), 512);
	text[513] = 'a';
	text[699] = '\0';
	cr_assert_eq(err_text_len(text), 512);
	memcpy(text + 509, "\xf0\x9f\x98\x80", 4); /* ends at 513: left out whole */
	cr_assert_eq(err_text_len(text), 509);
	memcpy(text + 508, "\xf0\x9f\x98\x80z", 5); /* ends at 512: fits */
	cr_assert_eq(err_text_len(text), 512);
	memcpy(text + 511, "\xc3\xa4", 2);
	cr_assert_eq(err_text_len(text), 511);
	memcpy(text + 508, "\xf0\x80\x80\x80\x80", 5); /* no character is that long */
	cr_assert_eq(err_text_len(text), 512);
	memset(text, 0x80, 699); /* not UTF-8: cut anywhere, but cut */
	cr_assert_eq(err_text_len(text), 512);
}

Test(err, wrong_sqlstate_of_a_caller)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);

	pkt_err_write(&w, 1, 1, "", "t");
	cr_assert_arr_eq(buf, "\x0a\0\0\1\xff\1\0#HY000t", 14);
}

Test(track, every_type)
{
	struct rd r = rd_init(BYTES("\x00\x05\x01"
				    "n\x02vv"
				    "\x01\x03\x02"
				    "db"
				    "\x02\x01"
				    "1"
				    "\x03\x05\x00\x03"
				    "0-1"
				    "\x04\x01\x00"
				    "\x05\x09\x08T_______"
				    "\x77\x03xyz"));

	expect_item(&r, TRACK_SYSVAR, "n", "vv");
	expect_item(&r, TRACK_SCHEMA, "", "db");
	expect_item(&r, TRACK_STATE, "", "1");
	expect_item(&r, TRACK_GTID, "", "0-1");
	expect_item(&r, TRACK_TRX_CHARS, "", "");
	expect_item(&r, TRACK_TRX_STATE, "", "T_______");
	expect_item(&r, 0x77, "", "xyz");
	expect_end(&r);
}

static int
track_all(const u8 *p, size_t n)
{
	struct rd r = rd_init(p, n);
	struct track_item it;
	int rc;

	while ((rc = track_next(&r, &it)) > 0)
		;
	if (rc < 0)
		cr_assert_eq(track_next(&r, &it), ERR_PROTO,
			     "an error must not end as a clean end");
	return rc;
}

Test(track, malformed)
{
	static const size_t entry_ends[] = {0, 17, 36, 48, SIZE_MAX};
	const u8 *state = (const u8 *)REAL_OK_VARS + 9;

	cut_everywhere(state, 51, track_all, entry_ends);
	cr_assert_eq(track_all(BYTES("\x00")), ERR_PROTO);
	cr_assert_eq(track_all(BYTES("\x00\x00")), ERR_PROTO);
	cr_assert_eq(track_all(BYTES("\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff")), ERR_PROTO);
	/* inner length beyond its entry, though inside the block */
	cr_assert_eq(track_all(BYTES("\x01\x02\x05"
				     "a\x02\x02\x01"
				     "1")),
		     ERR_PROTO);
	/* bytes left over in an entry */
	cr_assert_eq(track_all(BYTES("\x01\x04\x02"
				     "dbX")),
		     ERR_PROTO);
	cr_assert_eq(track_all(BYTES("\x00\x06\x01"
				     "n\x02vvX")),
		     ERR_PROTO);
	cr_assert_eq(track_all(BYTES("\x00\x02\x01"
				     "n")),
		     ERR_PROTO, "name without value");
}

Test(column, as_the_server_writes_it)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);

	pkt_column_write(&w, 2, "1", 3, 63, 1, 0x81, 0);
	cr_assert(!w.bad);
	cr_assert_eq(w.len, PKT_HDR + sizeof REAL_COLUMN - 1);
	cr_assert_arr_eq(buf + PKT_HDR, REAL_COLUMN, sizeof REAL_COLUMN - 1);
	w = wr_init(buf, sizeof buf);
	pkt_colcount_write(&w, 1, 251);
	cr_assert_arr_eq(buf, "\3\0\0\1\xfc\xfb\0", 7);
}

/* Headers (length, sequence id) and first body bytes of all packets in buf. */
static size_t
packets(const u8 *buf, size_t len, u8 *first)
{
	size_t n = 0;

	for (size_t at = 0; at < len; at += PKT_HDR + rd24(buf + at)) {
		cr_assert(at + PKT_HDR < len);
		cr_assert_eq(buf[at + 3], n + 1, "sequence");
		first[n++] = buf[at + PKT_HDR];
	}
	return n;
}

Test(rset, packets_for_both_kinds_of_client)
{
	u8 buf[512], first[16];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;
	struct slice row = SLICE("x");

	write_rset(&w);
	cr_assert(!w.bad);
	cr_assert_eq(packets(buf, w.len, first), 7);
	cr_assert_arr_eq(first, "\3\3\3\3\xfe\1\xfe", 7);
	cr_assert_arr_eq(buf + w.len - 9, "\5\0\0\7\xfe\1\0\2\0", 9);
	cr_assert_arr_eq(buf + w.len - 9 - 8,
			 "\4\0\0\6\1"
			 "7\xfb\0",
			 8);
	w = wr_init(buf, sizeof buf);
	rset_begin(&rs, &w, 1, CAP_DEPRECATE_EOF | CAP_SESSION_TRACK, 0, ST_IN_TRANS, 1);
	rset_column_str(&rs, "c", 10);
	rset_columns_end(&rs);
	rset_row(&rs, &row, 1);
	rset_end(&rs, 2);
	cr_assert_eq(packets(buf, w.len, first), 4);
	cr_assert_arr_eq(first, "\1\3\1\xfe", 4);
	cr_assert_arr_eq(buf + w.len - 11, "\7\0\0\4\xfe\0\0\1\0\2\0", 11);
	cr_assert_eq(rs.seq, 5);
}

Test(rset, sequence_ids_wrap)
{
	u8 *buf = malloc(4096);
	struct wr w = wr_init(buf, 4096);
	struct rset rs;
	struct slice row = SLICE("x");

	rset_begin(&rs, &w, 1, CAP_DEPRECATE_EOF, 0, 0, 1);
	rset_column_int(&rs, "c");
	for (int i = 0; i < 300; i++)
		rset_row(&rs, &row, 1);
	rset_end(&rs, 0);
	cr_assert(!w.bad);
	cr_assert_eq(rs.seq, (u8)(1 + 2 + 300 + 1));
	cr_assert_eq(buf[w.len - 11 + 3], (u8)(2 + 300 + 1));
	free(buf);
}

static int
parse_prepare_ok(const u8 *p, size_t n)
{
	struct pkt_prepare_ok r;

	return pkt_prepare_ok_parse(p, n, &r);
}

Test(prepare_ok, both_ways)
{
	struct pkt_prepare_ok p;
	u8 buf[32];
	struct wr w = wr_init(buf, sizeof buf);

	cr_assert_eq(pkt_prepare_ok_parse(BYTES(REAL_PREPARE_OK), &p), 0);
	cr_assert(p.id == 1 && p.ncols == 2 && p.nparams == 2 && p.warnings == 0);
	pkt_prepare_ok_write(&w, 1, &p);
	cr_assert_eq(w.len, PKT_HDR + 12);
	cr_assert_arr_eq(buf + PKT_HDR, REAL_PREPARE_OK, 12);
	cut_everywhere(BYTES(REAL_PREPARE_OK), parse_prepare_ok, NULL);
	cr_assert_eq(parse_prepare_ok(BYTES("\xff\1\0\0\0\2\0\2\0\0\0\0")), ERR_PROTO);
	p = (struct pkt_prepare_ok){0xfffffffe, 0xfffd, 0xfffc, 0xfffb};
	w = wr_init(buf, sizeof buf);
	pkt_prepare_ok_write(&w, 1, &p);
	cr_assert_eq(pkt_prepare_ok_parse(buf + PKT_HDR, 12, &p), 0);
	cr_assert(p.id == 0xfffffffe && p.ncols == 0xfffd && p.nparams == 0xfffc &&
		  p.warnings == 0xfffb);
}

#define EXECUTE "\x17\x07\0\0\0\1\1\0\0\0"

static int
parse_execute_9(const u8 *p, size_t n)
{
	struct ps_execute x;

	return ps_execute_parse(p, n, 9, &x);
}

Test(execute, parts)
{
	struct ps_execute x;
	static const u8 nine[] = EXECUTE "\x01\x01" /* NULL: the first and the ninth */
					 "\x01"     /* types follow */
					 "\3\0\3\0\3\0\3\0\3\0\3\0\3\0\3\0\xfd\x80"
					 "values";
	static const size_t fine[] = {31, 32, 33,      34,
				      35, 36, SIZE_MAX}; /* values may be cut: not looked at */

	cr_assert_eq(ps_execute_parse(BYTES(EXECUTE), 0, &x), 0);
	cr_assert(x.id == 7 && x.flags == 1 && x.iterations == 1);
	cr_assert(x.nullmap == NULL && x.nullmap_len == 0 && x.types == NULL && x.values_len == 0);
	cr_assert_eq(ps_execute_parse(nine, sizeof nine - 1, 9, &x), 0);
	cr_assert_eq(x.nullmap_len, 2);
	cr_assert_arr_eq(x.nullmap, "\1\1", 2);
	cr_assert_eq(x.new_params, 1);
	cr_assert_eq(x.types_len, 18);
	cr_assert_eq(x.types[16], 0xfd);
	cr_assert(slice_is((struct slice){x.values, x.values_len}, "values"));
	cut_everywhere(nine, sizeof nine - 1, parse_execute_9, fine);
	/* no new types: those of the last execute hold */
	cr_assert_eq(ps_execute_parse(BYTES(EXECUTE "\0\0\0val"), 9, &x), 0);
	cr_assert(x.new_params == 0 && x.types == NULL && x.types_len == 0 && x.values_len == 3);
}

/* 10.11 after USE of a database in ucs2, and in utf32: the length of the empty info has two bytes, four */
Test(ok, wide_empty_info)
{
	struct pkt_ok ok;

	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\0\x08\1\3\2d1\2\1\x31"), CAP_SESSION_TRACK, &ok), 0);
	cr_assert(ok.info.len == 0 && ok.state.len == 8);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\0\0\0\x08\1\3\2d1\2\1\x31"), CAP_SESSION_TRACK, &ok), 0);
	cr_assert(ok.info.len == 0 && ok.state.len == 8);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\0\0\0\0\0\x08\1\3\2d1\2\1\x31"), CAP_SESSION_TRACK, &ok),
	    ERR_PROTO);
	cr_assert_eq(pkt_ok_parse(BYTES("\0\0\0\2\x40\0\0\1x\0\x08"), CAP_SESSION_TRACK, &ok), ERR_PROTO);
}

Test(execute, hostile)
{
	struct ps_execute x;
	static const u32 counts[] = {1, 8, 9, 65535, 0x7fffffff, 0xfffffff8, 0xffffffff};

	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		cr_assert_eq(ps_execute_parse(BYTES(EXECUTE), counts[i], &x), ERR_PROTO);
		cr_assert_eq(ps_execute_parse(BYTES(EXECUTE "\0"), counts[i], &x), ERR_PROTO);
		cr_assert_eq(ps_execute_parse(BYTES(EXECUTE "\0\1\3"), counts[i], &x), ERR_PROTO);
	}
	cr_assert_eq(ps_execute_parse(BYTES("\x18\x07\0\0\0\1\1\0\0\0"), 0, &x), ERR_PROTO);
	cr_assert_eq(ps_execute_parse(NULL, 0, 0, &x), ERR_PROTO);
}
