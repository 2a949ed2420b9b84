/* t/unit/test_worker_zip.c: worker/zip: frames made and read, in pieces and with little room; sequence ids; frames that lie. */
#include "config.h"
#include <criterion/criterion.h>
#include <zlib.h>
#include <zstd.h>
#include "proto/wire.h"
#include "worker/zip.h"

#define TEST_ZIP(name) Test(zip, name, .timeout = 120)
#define DATA_MAX (1u << 20)
static u8 data[DATA_MAX], wire[2 * DATA_MAX], out[DATA_MAX + 64];

static const enum zip_algo algos[] = {ZIP_ZLIB, ZIP_ZSTD};

/* Text that is easy to compress, or bytes that are not. */
static void
fill(size_t n, bool easy)
{
	u64 x = 88172645463325252u;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		data[i] = easy ? (u8)('a' + i % 23) : (u8)x;
	}
}

/* All of [p, p + len) as frames; how many bytes they take. */
static size_t
frames(struct zip *z, const u8 *p, size_t len, u32 *n_r)
{
	size_t n = 0, used;

	*n_r = 0;
	for (size_t at = 0; at < len; at += used, ++*n_r) {
		n += zip_frame(z, p + at, len - at, wire + n, &used);
		cr_assert(used > 0 && used <= ZIP_PAYLOAD);
	}
	return n;
}

/* Reads len bytes of wire in pieces, into pieces of room bytes. False: refused. */
static bool
feed(struct zip *z, size_t len, size_t piece, size_t room, size_t *n_r)
{
	size_t n = 0;

	*n_r = 0;
	for (size_t at = 0; at < len || zip_more(z);) {
		size_t k = MIN(piece, len - at), got;
		u8 *copy = malloc(k + 1);
		const u8 *p = copy, *end = copy + k;

		cr_assert_not_null(copy);
		memcpy(copy, wire + at, k);
		do {
			const u8 *before = p;

			cr_assert_leq(n + room, sizeof out);
			bool ok = zip_feed(z, &p, end, out + n, room, &got);
			cr_assert(got <= room && p >= before && p <= end);
			n += got;
			*n_r = n;
			if (!ok) {
				free(copy);
				return false;
			}
			cr_assert(p > before || got > 0 || p == end, "it stands still");
		} while (p < end || zip_more(z));
		free(copy);
		at += k;
	}
	return true;
}

static void
there_and_back(enum zip_algo algo, size_t len, bool easy, size_t piece, size_t room)
{
	struct zip a, b;
	u32 nframes;
	size_t n, got;

	fill(len, easy);
	zip_init(&a, algo, 6, 50, false); /* towards a client: packets are not looked at */
	zip_init(&b, algo, 6, 50, true);
	n = frames(&a, data, len, &nframes);
	if (!easy || len < 50)
		cr_assert_eq(n, len + nframes * ZIP_HDR, "plain frames");
	else
		cr_assert_lt(n, len);
	cr_assert(feed(&b, n, piece, room, &got), "%s", zip_why());
	cr_assert(got == len && memcmp(out, data, len) == 0, "%zu bytes of %zu", got, len);
	cr_assert(!zip_more(&b) && b.ctx == NULL, "nothing is lent when all is out");
	zip_fini(&a);
	zip_fini(&b);
}

TEST_ZIP(lengths)
{
	static const size_t lens[] = {1, 2, 49, 50, 51, 5000, ZIP_PAYLOAD - 1, ZIP_PAYLOAD, ZIP_PAYLOAD + 1, 300000};

	for (size_t a = 0; a < ARRAY_LEN(algos); a++)
		for (size_t i = 0; i < ARRAY_LEN(lens); i++)
			for (int easy = 0; easy < 2; easy++) {
				if (easy && lens[i] == 50 && algos[a] == ZIP_ZSTD)
					continue; /* hardly shorter: as it comes */
				there_and_back(algos[a], lens[i], easy != 0, 100000, DATA_MAX / 2);
			}
}

TEST_ZIP(pieces_and_little_room)
{
	static const size_t sizes[] = {1, 2, 7, 8, 100, 4096};

	for (size_t a = 0; a < ARRAY_LEN(algos); a++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
			for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
				for (int easy = 0; easy < 2; easy++)
					there_and_back(algos[a], 40000, easy != 0, sizes[i], sizes[k]);
}

TEST_ZIP(many_connections_lend_contexts_to_each_other)
{
	struct zip a, in[64];
	size_t got, used, n;
	u8 first[200];

	fill(20000, true);
	for (size_t k = 0; k < ARRAY_LEN(algos); k++) {
		zip_init(&a, algos[k], 1, 50, false);
		n = zip_frame(&a, data, 20000, wire, &used);
		cr_assert_eq(used, 20000);
		cr_assert_gt(n, 20);
		/* half a frame in each, then the rest: none sees another's bytes */
		for (size_t i = 0; i < ARRAY_LEN(in); i++) {
			const u8 *p = wire;

			zip_init(&in[i], algos[k], 1, 50, true);
			cr_assert(zip_feed(&in[i], &p, wire + n / 2, first, 0, &got));
			cr_assert(got == 0 && in[i].ctx != NULL);
			memmove(first, p, (size_t)(wire + n / 2 - p));
			if (i % 3 == 0) { /* ends in the middle */
				zip_fini(&in[i]);
				continue;
			}
			cr_assert(zip_feed(&in[i], &p, wire + n, out, 20000, &got));
			cr_assert(got == 20000 && memcmp(out, data, got) == 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(in); i++)
			zip_fini(&in[i]);
	}
}

/* ---- sequence ids ---- */

static size_t
packet(u8 *at, u8 seq, size_t len)
{
	wr24(at, (u32)len);
	at[3] = seq;
	memset(at + PKT_HDR, 'x', len);
	return PKT_HDR + len;
}

/* Sequence ids of the n frames at wire. */
static void
expect_ids(const u8 *want, u32 n, size_t len)
{
	size_t at = 0;

	for (u32 i = 0; i < n; i++) {
		cr_assert_leq(at + ZIP_HDR, len);
		cr_assert_eq(wire[at + 3], want[i], "frame %u has %u, not %u", i, wire[at + 3], want[i]);
		at += ZIP_HDR + rd24(wire + at);
	}
	cr_assert_eq(at, len);
}

TEST_ZIP(commands_to_a_server_have_frames_of_their_own)
{
	struct zip z;
	u32 n;
	size_t len = 0;

	zip_init(&z, ZIP_ZLIB, 1, 1u << 20, true);
	len += packet(data + len, 0, 10);
	len += packet(data + len, 0, 20);
	len += packet(data + len, 0, ZIP_PAYLOAD); /* longer than one frame */
	len += packet(data + len, 0, 1);
	size_t out_len = frames(&z, data, len, &n);
	expect_ids((const u8[]){0, 0, 0, 1, 0}, n, out_len);
	/* the packets of one command go on, also when they come apart */
	zip_init(&z, ZIP_ZLIB, 1, 1u << 20, true);
	len = packet(data, 0, 10);
	len += packet(data + len, 1, 10);
	out_len = frames(&z, data, len, &n);
	cr_assert_eq(n, 1);
	len = packet(data, 2, 10);
	out_len = frames(&z, data, 2, &n); /* half a header */
	cr_assert_eq(n, 1);
	cr_assert_eq(wire[3], 1);
	out_len = frames(&z, data + 2, len - 2, &n);
	cr_assert_eq(wire[3], 2);
	len = packet(data, 0, 10);
	(void)frames(&z, data, len, &n);
	cr_assert_eq(wire[3], 0);
	(void)out_len;
}

TEST_ZIP(the_257th_packet_is_no_command)
{
	struct zip z;
	u32 n;

	zip_init(&z, ZIP_ZLIB, 1, 1u << 20, true);
	for (u32 i = 0; i <= 256; i++) {
		size_t len = packet(data, (u8)i, 5);

		(void)frames(&z, data, len, &n);
		cr_assert_eq(n, 1);
		cr_assert_eq(wire[3], (u8)i);
	}
}

static void
plain_frame(u8 *at, u8 seq, const char *text)
{
	wr24(at, (u32)strlen(text));
	at[3] = seq;
	wr24(at + 4, 0);
	memcpy(at + ZIP_HDR, text, strlen(text));
}

TEST_ZIP(frames_of_a_client_come_in_order)
{
	static const struct {
		u8 ids[4];
		u32 n;
		bool ok;
	} cases[] = {{{0, 1, 2, 3}, 4, true}, {{0, 0, 0}, 3, true}, {{0, 1, 0, 1}, 4, true}, {{1}, 1, false}, {{0, 2}, 2, false},
	    {{0, 255}, 2, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct zip z;
		size_t got;

		zip_init(&z, ZIP_ZLIB, 1, 50, false);
		z.seq = 77; /* of a reply under way: an id that nobody sends here */
		for (u32 k = 0; k < cases[i].n; k++)
			plain_frame(wire + k * (ZIP_HDR + 1), cases[i].ids[k], "x");
		cr_assert_eq(feed(&z, cases[i].n * (ZIP_HDR + 1), 1000, 1000, &got), cases[i].ok, "case %zu", i);
		if (!cases[i].ok)
			cr_assert_not_null(strstr(zip_why(), "out of order"));
		zip_fini(&z);
	}
}

TEST_ZIP(replies_go_on_from_their_command)
{
	struct zip z;
	size_t got, used;

	zip_init(&z, ZIP_ZLIB, 1, 50, false);
	plain_frame(wire, 0, "x");
	plain_frame(wire + 8, 1, "y");
	cr_assert(feed(&z, 16, 100, 100, &got));
	z.begin = true;
	(void)zip_frame(&z, data, 10, wire, &used);
	cr_assert_eq(wire[3], 2);
	(void)zip_frame(&z, data, 10, wire, &used);
	cr_assert_eq(wire[3], 3);
	z.begin = true; /* the reply to the next command, which was in the same frames */
	(void)zip_frame(&z, data, 10, wire, &used);
	cr_assert_eq(wire[3], 2);
}

/* ---- frames that lie ---- */

/* A frame of n bytes of data, compressed by the library, with these lengths in its header. */
static size_t
lie(enum zip_algo algo, size_t n, int len_off, int before_off, size_t cut)
{
	uLongf room = sizeof wire - ZIP_HDR;
	size_t len;

	if (algo == ZIP_ZLIB) {
		cr_assert_eq(compress2(wire + ZIP_HDR, &room, data, n, 6), Z_OK);
		len = room;
	} else {
		len = ZSTD_compress(wire + ZIP_HDR, room, data, n, 1);
		cr_assert(!ZSTD_isError(len));
	}
	wr24(wire, (u32)((int)len + len_off));
	wire[3] = 0;
	wr24(wire + 4, (u32)((int)n + before_off));
	return ZIP_HDR + len - cut;
}

static void
refused(enum zip_algo algo, size_t len, const char *part)
{
	for (size_t piece = 1; piece <= len; piece = piece * 3 + 1) {
		struct zip z;
		size_t got;

		zip_init(&z, algo, 1, 50, false);
		cr_assert(!feed(&z, len, piece, 100, &got), "in pieces of %zu", piece);
		cr_assert_leq(got, 5000);
		cr_assert_not_null(strstr(zip_why(), part), "%s", zip_why());
		zip_fini(&z);
	}
}

TEST_ZIP(frames_that_lie)
{
	struct zip z;
	size_t got, n;

	fill(5000, true);
	for (size_t a = 0; a < ARRAY_LEN(algos); a++) {
		enum zip_algo algo = algos[a];

		refused(algo, lie(algo, 5000, 0, -1, 0), "another length");
		refused(algo, lie(algo, 5000, 0, +1, 0), "another length");
		refused(algo, lie(algo, 5000, 0, -4999, 0), "another length");
		n = lie(algo, 5000, +1, 0, 0);
		wire[n] = 0;
		refused(algo, n + 1, "another length");
		n = lie(algo, 5000, 0, 0, 0);
		memset(wire + ZIP_HDR, 'g', n - ZIP_HDR);
		refused(algo, n, "cannot be read");
		wr24(wire, 0);
		wire[3] = 0;
		wr24(wire + 4, 100);
		refused(algo, ZIP_HDR, "empty frame");
		/* cut: nothing is wrong yet, and what is out was in it */
		n = lie(algo, 5000, 0, 0, 3);
		zip_init(&z, algo, 1, 50, false);
		cr_assert(feed(&z, n, 10, 100, &got));
		cr_assert_leq(got, 5000);
		cr_assert_eq(memcmp(out, data, got), 0);
		zip_fini(&z);
		/* an end that the frame's length leaves no room for */
		n = lie(algo, 5000, -2, 0, 0);
		plain_frame(wire + n - 2, 1, "x");
		zip_init(&z, algo, 1, 50, false);
		cr_assert(!feed(&z, n + 6, 1000, 1000, &got));
		zip_fini(&z);
	}
}

/* 16 MiB out of some KiB are given out in what room there is, and wait for it. */
TEST_ZIP(bombs)
{
	u8 *big = calloc(1, 0xffffff);
	uLongf len = sizeof wire - ZIP_HDR;

	cr_assert_not_null(big);
	for (size_t a = 0; a < ARRAY_LEN(algos); a++) {
		struct zip z;
		size_t n, total = 0, got;

		if (algos[a] == ZIP_ZLIB) {
			len = sizeof wire - ZIP_HDR;
			cr_assert_eq(compress2(wire + ZIP_HDR, &len, big, 0xffffff, 9), Z_OK);
			n = len;
		} else {
			n = ZSTD_compress(wire + ZIP_HDR, sizeof wire - ZIP_HDR, big, 0xffffff, 1);
		}
		cr_assert_lt(n, 40000);
		wr24(wire, (u32)n);
		wire[3] = 0;
		wr24(wire + 4, 0xffffff);
		zip_init(&z, algos[a], 1, 50, false);
		const u8 *p = wire, *end = wire + ZIP_HDR + n;
		do {
			cr_assert(zip_feed(&z, &p, end, out, 4096, &got));
			cr_assert(got > 0 || p == end);
			total += got;
		} while (p < end || zip_more(&z));
		cr_assert_eq(total, 0xffffff);
		cr_assert_null(z.ctx);
		zip_fini(&z);
	}
	free(big);
}
