/* proto/proxyproto.h: the header of the PROXY protocol, in which a proxy tells whom it speaks for: text (version 1) and
 * binary (version 2). Pure: bytes in, an address out. Read by workers, from peers that the configuration trusts; written by workers
 * and health.
 * Source: haproxy.org/download/2.6/doc/proxy-protocol.txt; where 10.11 differs is measured (t/sys/test_proxyproto.py).
 */
#ifndef MARGAY_PROTO_PROXYPROTO_H
#define MARGAY_PROTO_PROXYPROTO_H
#include "base/base.h"

#define PROXY_V1_MAX 107  /* the longest line there can be, with its CR LF */
#define PROXY_V2_MAX 4096 /* proxies send up to some hundred bytes of extras (TLVs), which are skipped */

struct proxy_header {
	size_t len;      /* bytes that it takes */
	u8 family;       /* 4, 6, 1 (Unix socket); 0: it names nobody (LOCAL, UNKNOWN, UNSPEC), the peer speaks for itself */
	u8 addr[16];     /* network order; family 4: the first four */
	u16 port;        /* 0 with families 1 and 0 */
	const char *why; /* PROXY_BAD: what is wrong, static text */
};
enum proxy_found {
	PROXY_NONE, /* the bytes are something else */
	PROXY_MORE, /* they may be one, and are not all there yet */
	PROXY_WHOLE,
	PROXY_BAD   /* they began like one */
};
/* What stands at the beginning of the len bytes at p. No packet of a login begins so: its sequence id is another. */
enum proxy_found proxy_parse(const u8 *p, size_t len, struct proxy_header *h_r);

#define PROXY_OUT 52 /* the longest that is written: two addresses of IPv6 and ports */
/* A header of version 2 that names the address (family 4 or 6), or LOCAL for every other family: the connection is the
 * sender's own. The port is 0 and the destination all zeros: connections are shared by clients of one address, so neither is
 * known. Returns its length. */
size_t proxy_write(u8 out[PROXY_OUT], u8 family, const u8 *addr);
#endif
