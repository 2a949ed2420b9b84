/* worker/sess_replay.h: an open transaction that may be run again on another server: its log (sess_replay.c) and its run
 * (sess_rerun.c). Runs in a worker.
 */
#ifndef MARGAY_WORKER_SESS_REPLAY_H
#define MARGAY_WORKER_SESS_REPLAY_H
#include <xxhash.h>
#include "worker/sess.h"

/* Why a transaction is not, or was not, run again. Each is counted. */
enum replay_why {
	REPLAY_FIT,
	REPLAY_UNFIT,    /* a statement in it cannot be repeated, or is not in the log */
	REPLAY_BUDGET,   /* longer than replay_budget */
	REPLAY_NONTRX,   /* it wrote to a table without transactions, or may have */
	REPLAY_ERROR,    /* after an error it is not clear what is left of it */
	REPLAY_COMMIT,   /* what was under way may have committed it */
	REPLAY_DIFFERS,  /* the new server answered otherwise */
	REPLAY_ATTEMPTS, /* its servers were lost one after the other */
	REPLAY_WHYS
};

/* A statement of the log. The command follows: one packet, a COM_STMT_EXECUTE with its parameters' types. */
struct replay_entry {
	u64 hash;              /* of its reply */
	u64 insert_id;         /* that the reply told: the next server has to take the same */
	struct istr *db;
	struct settings *set;
	struct istr *text;     /* COM_STMT_EXECUTE: what was prepared, where and how; else NULL */
	struct istr *ps_db;
	struct settings *ps_set;
	u32 len;               /* bytes of the command */
	u16 nparams;
	bool unsure;           /* it failed: whether it wrote to a table without transactions comes with the next OK */
	bool asks_id;          /* writes LAST_INSERT_ID(), which must be one of this transaction */
};
#define REPLAY_ENTRY_SIZE(len) (sizeof(struct replay_entry) + (((size_t)(len) + 7) & ~(size_t)7))

enum replay_step { REPLAY_STEP_ENTRY, REPLAY_STEP_ID, REPLAY_STEP_PREPARE, REPLAY_STEP_EXPLAIN };

struct replay {
	/* the log */
	u8 *buf;
	size_t len, cap;
	size_t last;           /* offset of the newest entry */
	u32 n;
	enum replay_why why;   /* not FIT: there are no entries any more, but for an open BEGIN */
	u32 cluster;           /* id */
	bool open;             /* the newest entry's reply is under way */
	bool restart;          /* ... and it is a BEGIN: what was before it is committed */
	bool unsure;           /* there are unsure entries */
	bool last_kept;        /* the newest entry is the session's last statement: its diagnostics come again with it */
	bool id_known, ids;    /* LAST_INSERT_ID() when it began; an entry has told an insert id */
	u64 id;
	XXH64_state_t *hash;
	u32 hash_left;         /* bytes of the packet under way */
	/* its run */
	bool goes_first;       /* counted in worker.nfirst */
	bool pending;          /* the connection is lost: to be run before the session's next statement */
	bool running;
	bool again;            /* the session's statement was under way on the lost connection */
	bool first, ahead_done, id_done, explained;
	bool nontrx;           /* the new server reports a table without transactions */
	enum replay_step step;
	size_t at;
	u32 done, attempts, prepared;
	const u8 *explain;     /* the command that is looked at: an entry, or the session's */
	size_t explain_len;
	u64 since;
};

static inline struct replay_entry *
replay_entry_at(const struct replay *r, size_t at)
{
	union {
		u8 *b;
		struct replay_entry *e; /* entries begin at multiples of 8 of a malloc'd buffer */
	} u = {r->buf + at};

	return u.e;
}

static inline const u8 *
replay_entry_bytes(const struct replay_entry *e)
{
	return (const u8 *)(e + 1);
}

/* ---- sess_replay.c ---- */

/* The transaction is over as far as the session is concerned: no state on any connection. */
void replay_forget(struct sess *s);
/* ... and its client is told so, with an error after which programs begin their transaction anew. */
void replay_trx_lost(struct sess *s, enum replay_why why, const char *fmt, ...) PRINTF(3, 4);
void replay_spoil(struct sess *s, enum replay_why why);
void replay_hash_begin(struct replay *r);
/* Bytes of a reply as reply_next passes them: a packet's header is never cut. */
void replay_hash_packets(struct replay *r, const u8 *p, size_t len);
void replay_hash_ok(struct replay *r, const struct pkt_ok *ok);
void replay_hash_err(struct replay *r, const struct pkt_err *e);
u64 replay_hash_end(struct replay *r);
void replay_count(struct sess *s, enum replay_why why);
/* A statement that writes rows. */
bool replay_writes(const struct stmt *st);

/* ---- sess_rerun.c ---- */
void rerun_go_on(struct sess *s, struct bconn *b);
/* The run cannot go on at b, which is closed; another try if there is one left. */
void rerun_lost(struct sess *s, const char *why);
#endif
