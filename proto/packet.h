/* proto/packet.h: the packets of the command phase that Margay reads or makes itself: OK, EOF, ERR,
 * session tracking, small result sets, prepared statements. Pure: bodies in, slices that point into
 * them out; values in, whole packets out. Runs in the worker. Rows of servers are never taken apart
 * here. Sources: mariadb.com/kb/en/4-server-response-packets/, dev.mysql.com "Generic Response
 * Packets"; what a real 10.11 sends was compared (t/sys/protolive.py).
 */
#ifndef MARGAY_PROTO_PACKET_H
#define MARGAY_PROTO_PACKET_H
#include "base/base.h"
#include "proto/wire.h"

struct pkt_ok {
	u64 affected, insert_id;
	u16 status, warnings;
	struct slice info;
	struct slice
	    state; /* contents of the session tracking block for track_next; len 0 if none */
};
/* Header 0x00, or 0xfe (the OK that ends rows under DEPRECATE_EOF). caps: those of the connection
 * that it came over. The info is length-encoded with and without SESSION_TRACK, as servers send it
 * and clients read it; the documentation's "rest of the packet" is taken too when it is not. 0 or
 * ERR_PROTO. */
MUST_CHECK int pkt_ok_parse(const u8 *body, size_t len, u32 caps, struct pkt_ok *ok_r);
/* A whole packet for a receiver with these caps: state and ST_SESSION_CHANGED are left out if it
 * has no SESSION_TRACK or state is empty. */
void pkt_ok_write(struct wr *w, u8 seq, u8 header, u32 caps, const struct pkt_ok *ok);
/* 5 bytes, 0xfe. 0 or ERR_PROTO. */
MUST_CHECK int pkt_eof_parse(const u8 *body, size_t len, u16 *warnings_r, u16 *status_r);
void pkt_eof_write(struct wr *w, u8 seq, u16 warnings, u16 status);

struct pkt_err {
	u16 code; /* 0xffff from MariaDB: a progress report, only if MCAP_PROGRESS was set */
	char sqlstate[6]; /* "HY000" when the packet has none (before login) or a malformed one */
	struct slice text;
};
MUST_CHECK int pkt_err_parse(const u8 *body, size_t len, struct pkt_err *e_r);
#define PKT_ERR_TEXT 512 /* MYSQL_ERRMSG_SIZE: clients keep no more */
/* sqlstate: five characters (else "HY000"). text is cut at PKT_ERR_TEXT bytes, before a UTF-8
 * character that would be split. */
void pkt_err_write(struct wr *w, u8 seq, u16 code, const char *sqlstate, const char *text);

enum track_type {
	TRACK_SYSVAR = 0,
	TRACK_SCHEMA = 1,
	TRACK_STATE = 2,
	TRACK_GTID = 3,
	TRACK_TRX_CHARS = 4,
	TRACK_TRX_STATE = 5
};
struct track_item {
	u32 type; /* may be one that is not in enum track_type: value is then its raw data */
	struct slice name; /* TRACK_SYSVAR only */
	struct slice value;
};
/* r: rd_init(ok.state.p, ok.state.len). 1 with the next item; 0 at the end; ERR_PROTO, after which
 * r gives nothing more. */
MUST_CHECK int track_next(struct rd *r, struct track_item *it_r);

/* Column definition 41: catalog "def", schema, table and original names empty. For a client that
 * has not negotiated MCAP_EXTENDED_METADATA. */
void pkt_column_write(struct wr *w, u8 seq, const char *name, u8 type, u16 charset, u32 length,
		      u16 flags, u8 decimals);
void pkt_colcount_write(struct wr *w, u8 seq, u64 n);
/* For a client that has negotiated MCAP_CACHE_METADATA. follow: the definitions come behind it. */
void pkt_colcount_cached_write(struct wr *w, u8 seq, u64 n, bool follow);

/* Builder of a text result set that is answered here: begin, n times column, columns_end, rows,
 * end. Numbers the packets and sends EOF or OK as the client's caps ask. As everywhere, an overflow
 * shows in w->bad. */
struct rset {
	struct wr *w;
	u32 caps, mcaps;
	u16 status;
	u8 seq; /* of the next packet */
};
/* Column types and character sets of what is answered here (include/mysql_com.h, charset numbers of
 * SHOW COLLATION). */
#define PKT_TYPE_LONGLONG   8
#define PKT_TYPE_VAR_STRING 253
#define PKT_CHARSET_UTF8    33
#define PKT_CHARSET_BINARY  63
/* seq: of the first packet (the command's sequence id + 1). mcaps: MCAP_* of the receiver. status: ST_* of the session. */
void rset_begin(struct rset *rs, struct wr *w, u8 seq, u32 caps, u32 mcaps, u16 status, u64 ncols);
/* A utf8 string of at most `chars` characters. */
void rset_column_str(struct rset *rs, const char *name, u32 chars);
void rset_column_int(struct rset *rs, const char *name);
void rset_columns_end(struct rset *rs);
/* p == NULL: SQL NULL; an empty string has p != NULL and len 0. */
void rset_row(struct rset *rs, const struct slice *values, size_t n);
/* A row of one rset_column_int, as text or, of a prepared statement, binary. */
void rset_row_int(struct rset *rs, i64 v, bool binary);
void rset_end(struct rset *rs, u16 warnings);

struct pkt_prepare_ok {
	u32 id;
	u16 ncols, nparams, warnings;
};
MUST_CHECK int pkt_prepare_ok_parse(const u8 *body, size_t len, struct pkt_prepare_ok *p_r);
void pkt_prepare_ok_write(struct wr *w, u8 seq, const struct pkt_prepare_ok *p);

struct ps_execute {
	u32 id;
	u8 flags;
	u32 iterations;
	const u8 *nullmap; /* NULL when nparams is 0 */
	size_t nullmap_len;
	u8 new_params;   /* 1: types follow; 0: those of the last execute hold */
	const u8 *types; /* 2 bytes for each parameter; NULL unless new_params */
	size_t types_len;
	const u8 *values; /* the rest, unchecked */
	size_t values_len;
};
/* body[0] must be 0x17; nparams as the PREPARE's reply gave it. 0 or ERR_PROTO. */
MUST_CHECK int ps_execute_parse(const u8 *body, size_t len, u32 nparams, struct ps_execute *x_r);
#endif
