/* conf/addr.h: addresses and networks as they stand in the file. Pure: no name is ever resolved
 * here. */
#ifndef MARGAY_CONF_ADDR_H
#define MARGAY_CONF_ADDR_H
#include "base/base.h"

enum addr_kind { ADDR_UNIX = 1, ADDR_V4 = 4, ADDR_V6 = 6, ADDR_NAME = 7 };
#define ADDR_HOST_MAX 108 /* sun_path with its NUL; host names are checked against it too */

struct conf_addr {
	enum addr_kind kind;
	u16 port;                 /* 0 for a Unix socket */
	u8 ip[16];                /* network order; V4: the first four */
	char host[ADDR_HOST_MAX]; /* name in lower case or path; for V4 and V6 the text */
};
struct conf_net {
	u8 family, prefix; /* family 4, 6, 1 (Unix sockets) */
	u8 addr[16];
};

/* "host:port", "[v6]:port", "/path". names: host names are allowed. NULL, or what is wrong (static
 * text). */
MUST_CHECK const char *addr_parse(const char *text, bool names, struct conf_addr *a_r);
/* An address to listen on, behind it perhaps "?tls=off", "?tls=preferred" or "?tls=required". len_r: of the address in text;
 * tls_r: 0: nothing said, else 1 + enum cfg_tls_front. NULL, or what is wrong. */
MUST_CHECK const char *listen_parse(const char *text, struct conf_addr *a_r, size_t *len_r, u32 *tls_r);
bool addr_equal(const struct conf_addr *a, const struct conf_addr *b);
/* "10.0.0.0/8", "::1", "unix". NULL, or what is wrong. A v4-mapped v6 network becomes the v4 one.
 */
MUST_CHECK const char *net_parse(const char *text, struct conf_net *n_r);
#endif
