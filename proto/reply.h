/* proto/reply.h: follows one server reply through a stream of bytes, without copying: says which bytes pass
 * unchanged and stops at the packets that somebody must look at (OK, ERR, the end of a result set). Pure.
 *
 * Servers are always asked for CLIENT_DEPRECATE_EOF: after a result set comes an OK packet with header 0xfe,
 * which carries the session-state block (an EOF packet could not). Towards a client without that capability
 * the difference is made here: `want_eof` asks for REPLY_EOF events where such a client expects an EOF packet,
 * and sequence ids are moved on in place by the packets put in so far.
 * Rules: mariadb.com/kb/en/result-set-packets/, dev.mysql.com page_protocol_com_query_response.
 */
#ifndef MARGAY_PROTO_REPLY_H
#define MARGAY_PROTO_REPLY_H
#include "proto/wire.h"

enum reply_kind {
	REPLY_RESULT,  /* COM_QUERY, COM_STMT_EXECUTE: OK, ERR, INFILE or result sets */
	REPLY_OK_ONLY, /* OK or ERR (also 0xfe as OK, for COM_SET_OPTION and the like) */
	REPLY_PREPARE, /* COM_STMT_PREPARE */
	REPLY_ROWS,    /* COM_STMT_FETCH, COM_FIELD_LIST: packets up to 0xfe or ERR */
	REPLY_STRING,  /* COM_STATISTICS: one packet of text */
};

enum reply_ev {
	REPLY_MORE,     /* all bytes given are used up (or kept back, see reply_next) */
	REPLY_OK,       /* r->pkt is an OK packet; r->last says whether it ends the reply */
	REPLY_ERR,      /* r->pkt is an ERR packet; ends the reply */
	REPLY_EOF,      /* want_eof: an EOF packet belongs here, with r->eof_seq */
	REPLY_PREPARED, /* r->pkt is COM_STMT_PREPARE_OK; r->last if no definitions follow */
	REPLY_END,      /* the reply ended with the bytes passed */
	REPLY_INFILE,   /* r->pkt asks for a local file */
	REPLY_COLUMNS,  /* metadata: r->pkt has the number of columns, r->cols_left; definitions follow */
	REPLY_DEFS,     /* metadata: the definitions of one kind have ended with the bytes passed */
	REPLY_BAD,      /* not the protocol */
};

struct reply {
	u8 kind, state;
	bool want_eof;
	bool last;          /* the event's packet ends the reply */
	bool metadata;      /* REPLY_COLUMNS and REPLY_DEFS are asked for; set after reply_init */
	bool defs_told;     /* REPLY_DEFS was given: what belongs behind them comes next */
	bool row_cont;      /* the packet under way continues one of PKT_MAX_BODY bytes */
	bool any_seq;       /* the server numbers its packets otherwise (compression): they are numbered here */
	bool binary_cursor; /* COM_STMT_EXECUTE that asked for a cursor */
	u8 seq_add;         /* packets put in so far */
	u8 eof_seq;         /* REPLY_EOF: sequence id for the client's EOF packet */
	u8 next_seq;        /* sequence id the server's next packet must have */
	u32 body_left;      /* of the packet under way, bytes not yet passed */
	bool under_way_full;/* that packet has PKT_MAX_BODY bytes: the next continues it */
	u32 cols_left, params_left;
	u64 rows;           /* in the result set under way */
	u64 packet_limit;   /* largest control packet, bytes */
	u8 *pkt;            /* event's packet, header included; in the caller's buffer */
	size_t pkt_len;
};

void reply_init(struct reply *r, enum reply_kind kind, bool want_eof, bool cursor);

/* Goes on at *p (end excluded). On return [start, *pass_end) may be sent on as it is, start being *p at entry.
 * MORE: *p is where the caller continues with more bytes: [*p, end) must be kept and given again, in front
 *   of what comes next (less than one control packet).
 * OK, ERR, PREPARED, INFILE, COLUMNS: r->pkt, r->pkt_len (its sequence id is already the client's); *pass_end is where it
 *   begins and *p is behind it.
 * EOF, DEFS: *p == *pass_end: call again for what follows. After DEFS the caller may take definitions out, by seq_add.
 * The buffer is written to: sequence ids are changed in place. */
enum reply_ev reply_next(struct reply *r, u8 **p, u8 *end, u8 **pass_end);
/* Behind a REPLY_EOF that is not the last, at most REPLY_PEEK packets from p: the status flags with which the result under way
 * ends, and its count of warnings if it has no row, else 0 (a server's own EOF packet between the definitions and the rows
 * has the same flags, and the warnings that there are before the first row, measured on 10.11). False: its end is not among
 * them. */
#define REPLY_PEEK 16 /* most results that are asked for in one piece; a longer look would cost more than it is worth */
bool reply_peek_status(const struct reply *r, const u8 *p, const u8 *end, u16 *status_r, u16 *warnings_r);
/* After REPLY_INFILE was answered: the server's OK or ERR follows with this sequence id. */
void reply_after_infile(struct reply *r, u8 next_seq);
#endif
