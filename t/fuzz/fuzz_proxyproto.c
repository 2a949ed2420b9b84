/* t/fuzz/fuzz_proxyproto.c: the PROXY protocol's header, whole and as it comes in: what more bytes make of it must not
 * contradict what fewer said. Input: the bytes.
 */
#include "t/fuzz/fuzz_util.h"
#include "proto/proxyproto.h"

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct proxy_header whole, part;
	enum proxy_found f = proxy_parse(data, size, &whole);

	MUST(f != PROXY_BAD || whole.why != NULL);
	MUST(f != PROXY_MORE || size < PROXY_V2_MAX);
	if (f == PROXY_WHOLE) {
		MUST(whole.len >= 15 && whole.len <= size && whole.len <= PROXY_V2_MAX);
		MUST(whole.family == 0 || whole.family == 1 || whole.family == 4 || whole.family == 6);
		MUST(whole.port == 0 || whole.family > 1);
		u8 out[PROXY_OUT];
		size_t len = proxy_write(out, whole.family, whole.addr);

		MUST(proxy_parse(out, len, &part) == PROXY_WHOLE && part.len == len);
		MUST(part.family == (whole.family > 1 ? whole.family : 0) && memcmp(part.addr, whole.addr, sizeof part.addr) == 0);
	}
	for (size_t n = 0; n < size; n++) {
		enum proxy_found g = proxy_parse(data, n, &part);

		MUST(g == PROXY_MORE || g == f);
		if (g == PROXY_WHOLE)
			MUST(part.len == whole.len && part.family == whole.family && part.port == whole.port &&
			    memcmp(part.addr, whole.addr, sizeof part.addr) == 0);
		MUST(f != PROXY_WHOLE || (g == PROXY_MORE) == (n < whole.len));
	}
	return 0;
}
