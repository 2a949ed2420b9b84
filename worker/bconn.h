/* worker/bconn.h: a connection to a server: its machine (tbl/bconn_states.def), what is expected on it, what
 * state it is in, and the pool it belongs to. Runs in a worker.
 */
#ifndef MARGAY_WORKER_BCONN_H
#define MARGAY_WORKER_BCONN_H
#include "proto/reply.h"
#include "worker/worker.h"

/* What the next replies on the connection belong to, in order. */
enum expect {
	EXP_SETUP,   /* session trackers */
	EXP_RESET,   /* COM_RESET_CONNECTION */
	EXP_SET,     /* settings */
	EXP_DB,      /* COM_INIT_DB */
	EXP_INSERT_ID, /* SET last_insert_id */
	EXP_PREPARE, /* a statement prepared again */
	EXP_WAIT,    /* SELECT MASTER_GTID_WAIT(): the statement follows when it says 0 */
	EXP_LEARN,   /* SELECT LAST_INSERT_ID(), and FOUND_ROWS() if it is wanted */
	EXP_REPLAY,  /* a statement of a transaction that is run again (sess_rerun.c) */
	EXP_ALIVE,   /* COM_STATISTICS, so that the server does not take a kept connection for idle */
	EXP_KILL,    /* KILL on a control connection */
	EXP_CLIENT,  /* the client's statement: passed on */
};
#define EXP_MAX 12 /* the longest sequence: reset, trackers, wait, db, set, prepare, db, set, insert id, statement; an EXP_ALIVE has no reset behind it */

/* A statement prepared on this connection. */
struct bps {
	struct list lru;
	struct bps *hnext;
	struct istr *text;
	struct istr *db;
	struct settings *set;
	u32 id;
	u16 nparams;
	u8 *types; /* last bound, 2 * nparams; NULL: none */
};
#define BPS_BUCKETS 64

/* Methods of authentication that Margay answers. */
enum bauth_method { METHOD_NATIVE, METHOD_SHA2, METHOD_ED25519, METHOD_CLEAR };
/* What may come next while a login is judged, beside OK, ERR and the request for another method. */
enum bauth_step {
	AUTHS_ANSWERED, /* caching_sha2_password: whether the server remembers the password */
	AUTHS_KEY,      /* its RSA key */
	AUTHS_LAST,     /* nothing */
};

enum bconn_job { BJOB_POOL, BJOB_KILL };

struct bconn {
	u32 magic;
#define BCONN_MAGIC 0x42434e31
	enum bconn_state state;
	struct conn conn;
	struct worker *w;
	struct wserver *srv;
	struct bpool *bp;
	struct list node;      /* in wserver.conns */
	struct list idle_node; /* in bpool.idle */
	int cell;
	u32 thread_id;
	u64 born, since, deadline;
	u64 defaults;          /* worker.defaults when it was opened: what was changed later it does not know */

	/* login */
	u8 scramble[20];
	u8 stage1[20];
	bool has_password;
	u8 auth_method;        /* enum bauth_method of the last answer */
	u8 auth_step;          /* enum bauth_step */
	u8 auth_asked;         /* methods that the server has asked for */
	bool auth_lack;        /* one was answered wrongly, for lack of a password */
	u8 zip;                /* enum zip_algo that the login has asked for */
	bool quitting;         /* COM_QUIT sent, waiting for the server to close */
	bool in_trouble;       /* not to be pooled again: closed when it is given back */
	u8 job;

	/* what is expected */
	u8 exp[EXP_MAX];
	u8 exp_head, exp_n;
	struct reply reply;
	bool reply_open;       /* reply belongs to exp[exp_head] and is initialised */
	bool hold_cmd;         /* the session's statement follows when the commands before it succeeded */

	/* what the connection is like */
	struct istr *db;        /* NULL: none */
	bool ran;               /* a statement of its session: ROW_COUNT() and the like are that one's */
	bool knows_id;          /* its LAST_INSERT_ID() is its session's */
	bool id_left;           /* its LAST_INSERT_ID() may be another than 0, of whatever session */
	bool db_reset;          /* a reset since: the server kept it, but not @@collation_database (measured) */
	struct settings *set;
	u16 status;             /* of the last OK or EOF */
	bool diag_left;         /* warnings or errors of the session before are in its diagnostics area */
	bool tracks_trx;        /* reports what kind of tables a transaction has written */
	bool set_unknown;       /* something was changed that is not in set: reset before the pool */
	struct sess *sess;      /* linked */
	u32 kills;              /* KILLs under way at the server against this connection */
	u64 uses;

	/* pending prepare */
	struct istr *prep_text, *prep_db;
	struct settings *prep_set;

	/* prepared statements */
	struct bps *bps[BPS_BUCKETS];
	struct list bps_lru;
	u32 nbps;

	/* the statement as sent, while it may have to run elsewhere */
#define REQ_KEEP 65536 /* a larger buffer does not stay with the connection */
	u8 *req;
	size_t req_len, req_cap;

	/* EXP_LEARN: the reply's bytes; for whom */
	u8 small[512];
	u32 small_len;
	u32 learn_for, learn_no;
	bool learn_found;

	/* BJOB_KILL */
	u32 kill_thread;
	bool kill_query;
	struct bconn *kill_target;
	u64 connect_started;
	u64 rests_since;       /* kept for a session that is silent (sess_idle.c) */
	u64 stmt_started;
};

/* bconn.c */
struct bconn *bconn_connect(struct bpool *bp, struct sess *creds, int cell);
struct bconn *bconn_kill(struct bconn *target, struct sess *creds, bool query_only);
void bconn_set_state(struct bconn *b, enum bconn_state s);
void bconn_close(struct bconn *b, const char *why);
void bconn_gone(struct bconn *b);    /* closes at once what was being closed */
bool bconn_send(struct bconn *b, const struct iovec *iov, int n, const u8 *exp, u32 nexp);
bool bconn_send_com(struct bconn *b, u8 com, const void *arg, size_t len, enum expect e);
void bconn_link(struct bconn *b, struct sess *s);
void bconn_unlink(struct bconn *b);
void bconn_expect_done(struct bconn *b);
void bconn_settings_set(struct bconn *b, struct settings *s);
void bconn_db_set(struct bconn *b, struct istr *db);
/* The tracker settings that every connection gets, and gets again after a reset. */
#define BCONN_TRACK_DEFAULT_SQL                                                                    \
	"SET session_track_system_variables=DEFAULT,session_track_state_change=DEFAULT,session_track_schema=DEFAULT," \
	"session_track_transaction_info=DEFAULT"
#define BCONN_SETUP_SQL                                                                            \
	"SET session_track_system_variables='*',session_track_state_change=ON,session_track_schema=ON"
#define BCONN_SETUP_TRX_SQL BCONN_SETUP_SQL ",session_track_transaction_info=STATE"
/* The one of these for this connection, which from here on is taken to have it. again: behind a reset, with what the login
 * had made of CLIENT_IGNORE_SPACE and CLIENT_INTERACTIVE: it ends by a reset (measured). */
const char *bconn_setup_sql(struct bconn *b, bool again);
bool bconn_send_setup(struct bconn *b, bool again);
/* EXP_LEARN and the like: bytes of a small result, and the n values of its one row. */
void bconn_small_add(struct bconn *b, const u8 *p, size_t len);
bool bconn_small_values(const struct bconn *b, struct slice *v_r, int n);

/* bconn_login.c: from the greeting to the first OK */
void bconn_login_data(struct bconn *b, u8 **p, u8 *end);
/* Says why in the log, to those who wait, and closes. */
void bconn_login_failed(struct bconn *b, int code, const char *text);
void bconn_timeout(struct bconn *b); /* login took longer than connect_timeout */

/* bconn_auth.c: answers to what a server wants to know. Each refuses by bconn_login_failed. */
/* For the login packet; answer_r points into room. */
void bconn_auth_first(struct bconn *b, struct slice offered, struct slice *method_r, struct slice *answer_r, u8 room[32]);
void bconn_auth_switch(struct bconn *b, const u8 *body, size_t len, u8 seq); /* 0xfe */
/* Why the login failed, if it is for lack of a password. */
bool bconn_auth_lack(const struct bconn *b, char *text, size_t size);
void bconn_auth_more(struct bconn *b, const u8 *body, size_t len, u8 seq);   /* 0x01 */

/* bps: prepared statements of a connection */
struct bps *bps_find(struct bconn *b, const struct istr *text, const struct istr *db,
    const struct settings *set);
struct bps *bps_add(struct bconn *b, struct istr *text, struct istr *db, struct settings *set, u32 id,
    u16 nparams);
void bps_types_set(struct bps *p, const u8 *types);
void bps_clear(struct bconn *b);
void bps_drop(struct bconn *b, struct bps *p); /* closes it at the server too */
/* Closes the least recently used beyond the limit: COM_STMT_CLOSE, no reply. */
void bps_trim(struct bconn *b);

/* bpool.c */
struct bpool *bpool_find(struct worker *w, struct wserver *srv, struct sess *s);
void bpool_ref(struct bpool *bp);
void bpool_unref(struct bpool *bp);
/* The session remembers no pool any more. */
void bpool_forget(struct sess *s);
/* Other settings of the server: its connections are used up, and those who wait look for a pool again. */
void bpool_renew(struct wserver *srv, const char *why);
/* An idle connection for the session (best match first), or NULL: then the session is in line and will be
 * called by sess_on_backend or sess_on_wait_failed. */
struct bconn *bpool_get(struct bpool *bp, struct sess *s);
void bpool_wait(struct bpool *bp, struct sess *s);
void bpool_unwait(struct sess *s);
/* The session is done with it: resets, discards, or puts it back and serves who waits. */
void bpool_give(struct bconn *b);
void bpool_on_ready(struct bconn *b);  /* login done */
void bpool_on_failure(struct bpool *bp, int code, const char *text); /* a connection could not be opened */
void bpool_on_closed(struct bconn *b); /* serves nobody any more: lists and counters */
void bpool_on_gone(struct bconn *b);   /* its socket is closed: the cell */
void bpool_on_bell(struct worker *w);
bool bpool_on_fast(struct worker *w); /* false: nobody waits */
void bpool_on_tick(struct worker *w);
#endif
