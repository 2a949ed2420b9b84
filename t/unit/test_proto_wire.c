/* Unit tests of proto/wire: integers, length-encoded values, bounded readers and writers. */
#include "t/unit/proto_util.h"

static const struct lenenc_case {
	u64 v;
	size_t len;
	u8 bytes[9];
} lenenc_cases[] = {
    {0, 1, {0}},
    {1, 1, {1}},
    {250, 1, {250}},
    {251, 3, {0xfc, 251, 0}},
    {252, 3, {0xfc, 252, 0}},
    {255, 3, {0xfc, 255, 0}},
    {256, 3, {0xfc, 0, 1}},
    {65535, 3, {0xfc, 255, 255}},
    {65536, 4, {0xfd, 0, 0, 1}},
    {16777215, 4, {0xfd, 255, 255, 255}},
    {16777216, 9, {0xfe, 0, 0, 0, 1, 0, 0, 0, 0}},
    {UINT32_MAX, 9, {0xfe, 255, 255, 255, 255, 0, 0, 0, 0}},
    {UINT64_MAX, 9, {0xfe, 255, 255, 255, 255, 255, 255, 255, 255}},
};

Test(wire, lenenc_both_ways_at_each_boundary)
{
	for (size_t i = 0; i < ARRAY_LEN(lenenc_cases); i++) {
		const struct lenenc_case *c = &lenenc_cases[i];
		u8 buf[9];
		struct wr w = wr_init(buf, sizeof buf);
		struct rd r;

		wr_lenenc(&w, c->v);
		cr_assert_eq(w.len, c->len);
		cr_assert_eq(lenenc_size(c->v), c->len);
		cr_assert_arr_eq(buf, c->bytes, c->len);
		r = rd_init(buf, w.len);
		cr_assert_eq(rd_lenenc(&r), c->v);
		cr_assert(!r.bad && rd_left(&r) == 0);
	}
}

static int
read_lenenc(const u8 *p, size_t n)
{
	struct rd r = rd_init(p, n);

	rd_lenenc(&r);
	return r.bad ? ERR_PROTO : 0;
}

Test(wire, lenenc_cut)
{
	for (size_t i = 0; i < ARRAY_LEN(lenenc_cases); i++)
		cut_everywhere(lenenc_cases[i].bytes, lenenc_cases[i].len, read_lenenc, NULL);
}

Test(wire, lenenc_null_and_ff_are_bad)
{
	cr_assert_eq(read_lenenc(BYTES("\xfb")), ERR_PROTO);
	cr_assert_eq(read_lenenc(BYTES("\xff")), ERR_PROTO);
	cr_assert_eq(read_lenenc(BYTES("\xfb\x01\x02\x03\x04\x05\x06\x07\x08")), ERR_PROTO);
	/* a longer encoding than needed is accepted, as servers do */
	cr_assert_eq(read_lenenc(BYTES("\xfc\x01\x00")), 0);
}

Test(wire, integers)
{
	struct rd r = rd_init(
	    BYTES("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x80"));

	cr_assert_eq(rd_u8(&r), 0x01);
	cr_assert_eq(rd_u16(&r), 0x0302);
	cr_assert_eq(rd_u24(&r), 0x060504u);
	cr_assert_eq(rd_u32(&r), 0x0a090807u);
	cr_assert_eq(rd_u64(&r), 0x8011100f0e0d0c0bull);
	cr_assert(!r.bad && rd_left(&r) == 0);
}

Test(wire, a_failed_read_is_sticky)
{
	u8 *two = exact_copy(BYTES("\x01\x02"));
	struct rd r = rd_init(two, 2);

	cr_assert_eq(rd_u32(&r), 0);
	cr_assert(r.bad);
	cr_assert_eq(rd_u8(&r), 0);
	cr_assert_eq(rd_u16(&r), 0);
	cr_assert_eq(rd_u24(&r), 0);
	cr_assert_eq(rd_u64(&r), 0);
	cr_assert_eq(rd_lenenc(&r), 0);
	cr_assert(rd_take(&r, 0) == NULL);
	cr_assert(rd_lenenc_str(&r).p == NULL && rd_nul_str(&r).p == NULL && rd_rest(&r).p == NULL);
	cr_assert(r.bad);
	free(two);
}

Test(wire, empty_input)
{
	struct rd r = rd_init(NULL, 0);

	cr_assert_eq(rd_left(&r), 0);
	cr_assert_eq(rd_rest(&r).len, 0);
	cr_assert(!r.bad);
	cr_assert_eq(rd_nul_str(&r).len, 0);
	cr_assert(r.bad);
}

Test(wire, lenenc_str_with_hostile_lengths)
{
	static const struct {
		const u8 *p;
		size_t n;
	} cases[] = {
	    {BYTES("\x04"
		   "abc")},
	    {BYTES("\xfc\xff\xff"
		   "abc")},
	    {BYTES("\xfd\xff\xff\xff"
		   "abc")},
	    {BYTES("\xfe\xff\xff\xff\xff\xff\xff\xff\xff"
		   "abc")},
	    {BYTES("\xfe\x03\x00\x00\x00\x01\x00\x00\x00"
		   "abc")}, /* 2^32 + 3: would pass if cut to 32 bits */
	    {BYTES("\xfb"
		   "abc")},
	    {BYTES("\xff"
		   "abc")},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		u8 *copy = exact_copy(cases[i].p, cases[i].n);
		struct rd r = rd_init(copy, cases[i].n);
		struct slice s = rd_lenenc_str(&r);

		cr_assert(r.bad, "case %zu", i);
		cr_assert(s.p == NULL && s.len == 0);
		free(copy);
	}
}

Test(wire, strings)
{
	struct rd r = rd_init(BYTES("\x03"
				    "abc\0xy\0\0rest"));

	cr_assert(slice_is(rd_lenenc_str(&r), "abc"));
	cr_assert(slice_is(rd_lenenc_str(&r), ""));
	cr_assert(slice_is(rd_nul_str(&r), "xy"));
	cr_assert(slice_is(rd_nul_str(&r), ""));
	cr_assert(!r.bad);
	cr_assert(slice_is(rd_rest(&r), "rest"));
	cr_assert(!r.bad && rd_left(&r) == 0);
	r = rd_init("abc", 3);
	cr_assert(rd_nul_str(&r).p == NULL && r.bad);
}

static void
write_one_of_each(struct wr *w)
{
	size_t at = wr_pkt_begin(w);

	wr_u8(w, 1);
	wr_u16(w, 0x0302);
	wr_u24(w, 0x060504);
	wr_u32(w, 0x0a090807);
	wr_u64(w, 0x1211100f0e0d0c0bull);
	wr_zero(w, 2);
	wr_zero(w, 0);
	wr_bytes(w, NULL, 0);
	wr_lenenc(w, 251);
	wr_lenenc(w, 65536);
	wr_lenenc(w, 1u << 24);
	wr_lenenc_str(w, "ab", 2);
	wr_str(w, "cd");
	wr_nul_str(w, "e");
	wr_pkt_end(w, at, 7);
}

Test(wire, writer)
{
	static const u8 want[] = {44,   0,   0,  7,    1,  2,   3,   4,    5,   6,   7, 8,
				  9,    10,  11, 12,   13, 14,  15,  16,   17,  18,  0, 0,
				  0xfc, 251, 0,  0xfd, 0,  0,   1,   0xfe, 0,   0,   0, 1,
				  0,    0,   0,  0,    2,  'a', 'b', 'c',  'd', 'e', 0};
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);

	write_one_of_each(&w);
	cr_assert(!w.bad);
	cr_assert_eq(w.len, sizeof want);
	cr_assert_eq(buf[0], sizeof want - PKT_HDR);
	cr_assert_arr_eq(buf + 1, want + 1, sizeof want - 1);
	overflow_everywhere(write_one_of_each);
}

Test(wire, writer_stays_bad)
{
	u8 buf[4] = "zzz";
	struct wr w = wr_init(buf, 2);

	wr_u32(&w, 0);
	cr_assert(w.bad);
	wr_u8(&w, 1); /* would fit */
	cr_assert(w.bad);
	cr_assert_eq(w.len, 0);
	cr_assert_str_eq((char *)buf, "zzz");
}

Test(wire, writer_length_near_the_top_of_size_t)
{
	u8 buf[8];
	struct wr w = wr_init(buf, sizeof buf);

	wr_u8(&w, 1);
	wr_zero(&w, SIZE_MAX); /* len + n wraps */
	cr_assert(w.bad);
	cr_assert_eq(w.len, 1);
}

Test(wire, packet_of_the_largest_body)
{
	size_t cap = PKT_HDR + (size_t)PKT_MAX_BODY;
	u8 *big = malloc(cap);
	struct wr w = wr_init(big, cap);
	size_t at = wr_pkt_begin(&w);

	wr_zero(&w, PKT_MAX_BODY - 1);
	wr_pkt_end(&w, at, 9);
	cr_assert(!w.bad);
	cr_assert_eq(rd24(big), PKT_MAX_BODY - 1);
	cr_assert_eq(big[3], 9);
	w = wr_init(big, cap);
	at = wr_pkt_begin(&w);
	wr_zero(&w, PKT_MAX_BODY);
	cr_assert(!w.bad);
	wr_pkt_end(&w, at, 0);
	cr_assert(w.bad, "a body of PKT_MAX_BODY needs a second packet");
	free(big);
}

Test(wire, two_packets_in_one_buffer)
{
	u8 buf[32];
	struct wr w = wr_init(buf, sizeof buf);
	size_t at = wr_pkt_begin(&w);

	wr_str(&w, "abc");
	wr_pkt_end(&w, at, 0);
	at = wr_pkt_begin(&w);
	wr_pkt_end(&w, at, 255);
	cr_assert_eq(w.len, 11);
	cr_assert_arr_eq(buf, "\3\0\0\0abc\0\0\0\xff", 11);
}
