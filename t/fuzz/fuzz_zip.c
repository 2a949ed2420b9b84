/* t/fuzz/fuzz_zip.c: the reader of compressed frames. Input: algorithm and side, room, length of a piece, the frames. However
 * they are cut and however little room there is, the same comes out; what comes out is no more than the headers say; and it
 * goes into frames and out of them again.
 */
#include "t/fuzz/fuzz_util.h"
#include "worker/zip.h"

#define OUT_MAX (1u << 20)
static u8 whole[OUT_MAX], pieces[OUT_MAX], again[OUT_MAX], wire[2 * OUT_MAX];

/* Feeds [p, p + len) in pieces; what there is no room for waits, as in worker/layer. False: refused. */
static bool
feed(struct zip *z, const u8 *p, size_t len, size_t piece, size_t room, u8 *out, size_t *n_r)
{
	size_t at = 0, n = 0;

	while (at < len || zip_more(z)) {
		const u8 *q = p + at, *end = q + MIN(piece, len - at);

		for (;;) {
			const u8 *before = q;
			size_t got, space = MIN(room, OUT_MAX - n);

			if (space == 0)
				goto full;
			if (!zip_feed(z, &q, end, out + n, space, &got)) {
				*n_r = n + got;
				return false;
			}
			MUST(got <= space && q >= before && q <= end);
			n += got;
			if (q == end && !zip_more(z))
				break;
			MUST(q > before || got > 0); /* it moves */
		}
		at += MIN(piece, len - at);
	}
full:
	*n_r = n;
	return true;
}

static void
round_trip(enum zip_algo algo, const u8 *p, size_t len)
{
	struct zip a, b;
	size_t n = 0, used, got;

	zip_init(&a, algo, 1, 50, false);
	zip_init(&b, algo, 1, 50, true);
	for (size_t at = 0; at < len; at += used) {
		n += zip_frame(&a, p + at, len - at, wire + n, &used);
		MUST(used > 0 && n <= sizeof wire);
	}
	MUST(feed(&b, wire, n, n + 1, OUT_MAX, again, &got));
	MUST(got == len && memcmp(again, p, len) == 0);
	zip_fini(&a);
	zip_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zip z;
	size_t n, m;

	if (size < 3)
		return 0;
	enum zip_algo algo = (data[0] & 1) != 0 ? ZIP_ZLIB : ZIP_ZSTD;
	bool server = (data[0] & 2) != 0;
	size_t room = 1 + data[1] * 5u, piece = 1 + data[2];
	zip_init(&z, algo, 6, 50, server);
	bool ok = feed(&z, data + 3, size - 3, size, OUT_MAX, whole, &n);
	zip_fini(&z);
	zip_init(&z, algo, 6, 50, server);
	bool same = feed(&z, data + 3, size - 3, piece, room, pieces, &m);
	zip_fini(&z);
	if (n < OUT_MAX && m < OUT_MAX) {
		MUST(ok == same);
		MUST(!ok || n == m); /* before an error a decoder may have given more or less */
		MUST(memcmp(whole, pieces, MIN(n, m)) == 0);
	}
	round_trip(algo, whole, MIN(n, (size_t)200000));
	return 0;
}
