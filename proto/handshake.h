/* proto/handshake.h: the packets before a session is logged in: greeting, handshake response (and
 * the SSLRequest that may come before it), authentication switch. Pure: bodies in, slices that
 * point into them out; values in, whole packets out. Runs in the worker. Sources:
 * mariadb.com/kb/en/connection/, dev.mysql.com "Connection Phase"; what real peers do
 * differently is in proto/README.
 */
#ifndef MARGAY_PROTO_HANDSHAKE_H
#define MARGAY_PROTO_HANDSHAKE_H
#include "base/base.h"
#include "proto/wire.h"

struct hs_greeting {
	u8 protocol;          /* 10; the writer always sends 10 */
	struct slice version; /* without NUL */
	u32 thread_id;
	u8 scramble[20];
	u32 caps;
	u32 mariadb_caps; /* 0 when caps has CAP_LONG_PASSWORD: then the field is none */
	u8 charset;
	u16 status;
	struct slice plugin; /* len 0 if the server names none: mysql_native_password */
};
/* 0; ERR_BACKEND_PROTO; ERR_CONNECT for an ERR packet in place of a greeting (pkt_err_parse reads
 * it). Servers older than 4.1 (no PROTOCOL_41, no 20-byte scramble) are ERR_BACKEND_PROTO. */
MUST_CHECK int hs_greeting_parse(const u8 *body, size_t len, struct hs_greeting *g_r);
/* A whole packet, sequence 0. A NUL in version or plugin makes w bad. */
void hs_greeting_write(struct wr *w, const struct hs_greeting *g);

struct hs_response {
	u32 caps; /* what both sides have: the client's and server_caps */
	u32 max_packet;
	u8 charset;
	u32 mariadb_caps;
	bool ssl_request; /* caps, max_packet and charset are set; the rest comes again after TLS */
	struct slice user;
	struct slice auth;   /* len 0: empty password */
	struct slice db;     /* len 0 if none */
	struct slice plugin; /* len 0 if the client names none */
	u8 zstd_level;      /* CAP_ZSTD: what the client asks for; 0 if it did not say */
	struct slice attrs; /* contents of the connect attributes block, unchecked; len 0 if none */
};
/* Slices point into body. server_caps: what our greeting offered; a capability that it did not
 * offer counts as not set, as in the server (so an SSL bit that was not offered is no SSLRequest).
 * 0 or ERR_PROTO; a client of the 320 format (before 4.1) is ERR_PROTO. */
MUST_CHECK int hs_response_parse(const u8 *body, size_t len, u32 server_caps,
				 struct hs_response *r_r);
/* A whole packet. Fields whose capability is not in r->caps are left out; ssl_request writes the 32
 * bytes only. A NUL in user, db or plugin (it would shift what follows), or an auth too long for
 * its encoding, makes w bad. */
void hs_response_write(struct wr *w, u8 seq, const struct hs_response *r);

/* The value of a connection attribute (attrs of hs_response, hs_change_user); p NULL: there is none of that name, or the block
 * breaks off before it. Of several the first. */
struct slice hs_attr(struct slice attrs, const char *name);

struct hs_change_user {
	struct slice user, auth, db;
	u32 charset;         /* 0: none was sent */
	struct slice plugin; /* len 0 if the client names none */
	struct slice attrs;
};
/* body: COM_CHANGE_USER with its command byte. caps: what both sides have. What 10.11 refuses is refused: a database
 * without its NUL, attributes that were promised and are cut or missing. 0 or ERR_PROTO. */
MUST_CHECK int hs_change_user_parse(const u8 *body, size_t len, u32 caps, struct hs_change_user *u_r);
/* A whole packet, sequence 0, with all fields that caps ask for. */
void hs_change_user_write(struct wr *w, u32 caps, const struct hs_change_user *u);

/* A scramble of 20 bytes is ended by a NUL, as servers do it; other data (client_ed25519: 32 bytes) is not. */
void hs_auth_switch_write(struct wr *w, u8 seq, const char *plugin, const u8 *data, size_t len);
/* body[0] must be 0xfe. 0 or ERR_BACKEND_PROTO (also for the one-byte switch to the pre-4.1 method,
 * which is not safe). The NUL that ends a 20-byte scramble is not part of data_r. */
MUST_CHECK int hs_auth_switch_parse(const u8 *body, size_t len, struct slice *plugin_r,
				    struct slice *data_r);
#endif
