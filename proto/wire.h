/* proto/wire.h: bytes of the MySQL protocol: constants, integers, length-encoded values, bounded readers and
 * writers. Pure. Sources: mariadb.com/kb/en/clientserver-protocol/, dev.mysql.com protocol pages.
 */
#ifndef MARGAY_PROTO_WIRE_H
#define MARGAY_PROTO_WIRE_H
#include "base/base.h"

#define PKT_HDR      4
#define PKT_MAX_BODY 0xffffffu /* a body of this length is continued in the next packet */

/* Capabilities, low 32 bits (handshake) */
#define CAP_LONG_PASSWORD     0x00000001u /* CLIENT_MYSQL: not set by MariaDB servers */
#define CAP_FOUND_ROWS        0x00000002u
#define CAP_LONG_FLAG         0x00000004u
#define CAP_CONNECT_WITH_DB   0x00000008u
#define CAP_NO_SCHEMA         0x00000010u
#define CAP_COMPRESS          0x00000020u
#define CAP_ODBC              0x00000040u
#define CAP_LOCAL_FILES       0x00000080u
#define CAP_IGNORE_SPACE      0x00000100u
#define CAP_PROTOCOL_41       0x00000200u
#define CAP_INTERACTIVE       0x00000400u
#define CAP_SSL               0x00000800u
#define CAP_IGNORE_SIGPIPE    0x00001000u
#define CAP_TRANSACTIONS      0x00002000u
#define CAP_RESERVED          0x00004000u
#define CAP_SECURE_CONNECTION 0x00008000u
#define CAP_MULTI_STATEMENTS  0x00010000u
#define CAP_MULTI_RESULTS     0x00020000u
#define CAP_PS_MULTI_RESULTS  0x00040000u
#define CAP_PLUGIN_AUTH       0x00080000u
#define CAP_CONNECT_ATTRS     0x00100000u
#define CAP_PLUGIN_AUTH_LENENC 0x00200000u
#define CAP_EXPIRED_PASSWORDS 0x00400000u
#define CAP_SESSION_TRACK     0x00800000u
#define CAP_DEPRECATE_EOF     0x01000000u
#define CAP_OPTIONAL_METADATA 0x02000000u
#define CAP_ZSTD              0x04000000u
#define CAP_QUERY_ATTRIBUTES  0x08000000u
#define CAP_SSL_VERIFY_CERT   0x40000000u
#define CAP_REMEMBER_OPTIONS  0x80000000u

/* Extended capabilities of MariaDB (mariadb_caps: the upper 32 bits of its 64) */
#define MCAP_PROGRESS          0x01u
#define MCAP_COM_MULTI         0x02u
#define MCAP_STMT_BULK         0x04u
#define MCAP_EXTENDED_METADATA 0x08u /* column definitions carry one more string */
#define MCAP_CACHE_METADATA    0x10u /* metadata may be left out of replies to EXECUTE */

/* Server status flags */
#define ST_IN_TRANS             0x0001u
#define ST_AUTOCOMMIT           0x0002u
#define ST_MORE_RESULTS         0x0008u
#define ST_NO_GOOD_INDEX        0x0010u
#define ST_NO_INDEX             0x0020u
#define ST_CURSOR_EXISTS        0x0040u
#define ST_LAST_ROW_SENT        0x0080u
#define ST_DB_DROPPED           0x0100u
#define ST_NO_BACKSLASH_ESCAPES 0x0200u
#define ST_METADATA_CHANGED     0x0400u
#define ST_QUERY_WAS_SLOW       0x0800u
#define ST_PS_OUT_PARAMS        0x1000u
#define ST_IN_TRANS_READONLY    0x2000u
#define ST_SESSION_CHANGED      0x4000u
#define ST_ANSI_QUOTES          0x8000u /* MariaDB only */
/* What is true of a session between statements; the others tell about one statement. */
#define ST_LASTING (ST_IN_TRANS | ST_AUTOCOMMIT | ST_NO_BACKSLASH_ESCAPES | ST_IN_TRANS_READONLY | ST_ANSI_QUOTES)

static inline u16
rd16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}
static inline u32
rd24(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16;
}
static inline u32
rd32(const u8 *p)
{
	return rd24(p) | (u32)p[3] << 24;
}
static inline u64
rd64(const u8 *p)
{
	return (u64)rd32(p) | (u64)rd32(p + 4) << 32;
}
static inline void
wr16(u8 *p, u32 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}
static inline void
wr24(u8 *p, u32 v)
{
	wr16(p, v);
	p[2] = (u8)(v >> 16);
}
static inline void
wr32(u8 *p, u32 v)
{
	wr24(p, v);
	p[3] = (u8)(v >> 24);
}
static inline void
wr64(u8 *p, u64 v)
{
	wr32(p, (u32)v);
	wr32(p + 4, (u32)(v >> 32));
}

/* Bounded reader: after a failed read `bad` stays set and every further read gives zeros. */
struct rd {
	const u8 *p, *end;
	bool bad;
};
static inline struct rd
rd_init(const void *p, size_t len)
{
	/* an empty slice may be NULL, and NULL + 0 is undefined */
	return (struct rd){p, len > 0 ? (const u8 *)p + len : p, false};
}
static inline size_t
rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}
const u8 *rd_take(struct rd *r, size_t n); /* NULL and bad when fewer are left */
u8 rd_u8(struct rd *r);
u16 rd_u16(struct rd *r);
u32 rd_u24(struct rd *r);
u32 rd_u32(struct rd *r);
u64 rd_u64(struct rd *r);
/* Length-encoded integer; 0xfb (NULL) and 0xff are bad here. */
u64 rd_lenenc(struct rd *r);
struct slice rd_lenenc_str(struct rd *r);
/* NUL-terminated string without its NUL; bad when there is none. */
struct slice rd_nul_str(struct rd *r);
struct slice rd_rest(struct rd *r);

/* Bounded writer: past cap nothing is written and `bad` is set; len then is not to be used. */
struct wr {
	u8 *p;
	size_t len, cap;
	bool bad;
};
static inline struct wr
wr_init(void *p, size_t cap)
{
	return (struct wr){p, 0, cap, false};
}
void wr_bytes(struct wr *w, const void *p, size_t n);
void wr_zero(struct wr *w, size_t n);
void wr_u8(struct wr *w, u32 v);
void wr_u16(struct wr *w, u32 v);
void wr_u24(struct wr *w, u32 v);
void wr_u32(struct wr *w, u32 v);
void wr_u64(struct wr *w, u64 v);
void wr_lenenc(struct wr *w, u64 v);
void wr_lenenc_str(struct wr *w, const void *p, size_t n);
void wr_str(struct wr *w, const char *s);     /* without NUL */
void wr_nul_str(struct wr *w, const char *s); /* with NUL */
/* Packets: begin reserves the header and remembers where; end fills in length and sequence id. A body of
 * PKT_MAX_BODY bytes or more sets bad (callers that build large packets split them themselves). */
size_t wr_pkt_begin(struct wr *w);
void wr_pkt_end(struct wr *w, size_t at, u8 seq);
/* Length of the encoding of v. */
static inline size_t
lenenc_size(u64 v)
{
	return v < 251 ? 1 : v < 65536 ? 3 : v < 16777216 ? 4 : 9;
}
#endif
