/* worker/sess.h: a client session: its machine (tbl/sess_states.def), its virtual state, the statement under way.
 * Runs in a worker.
 */
#ifndef MARGAY_WORKER_SESS_H
#define MARGAY_WORKER_SESS_H
#include <stdarg.h>
#include "parser/stmt.h"
#include "proto/packet.h"
#include "base/clock.h"
#include "worker/bconn.h"
#include "worker/worker.h"

/* A prepared statement of the client's. */
struct ps {
	struct istr *text;     /* NULL: free slot */
	struct istr *db;       /* as it was when prepared: names resolve in it */
	struct settings *set;
	u16 nparams;
	u8 *types;             /* last bound by the client, 2 * nparams; NULL: none */
	bool long_data;        /* COM_STMT_SEND_LONG_DATA on the kept connection */
	bool cursor;           /* open on the kept connection */
	bool here_only;        /* too long to be prepared again: it is on the kept connection, and its text is not here */
	u64 meta;              /* of the column definitions that a client with MCAP_CACHE_METADATA was told last; 0: none */
	bool data_lost;        /* a piece of long data could not be sent: it must not be executed without */
};
/* Stands for the statement prepared last: sent right behind its COM_STMT_PREPARE, whose reply has the id (MariaDB 10.2:
 * mariadb.com/kb/en/com_stmt_execute/, "direct execution"). */
#define PS_ID_LAST 0xffffffffu
/* Bodies up to what depends on the parameters: command, id, flags, iterations. */
#define EXECUTE_HEAD 10u
#define BULK_HEAD 7u
#define PS_BULK_TYPES 128 /* flag of COM_STMT_BULK_EXECUTE: types of the parameters follow */
#define PS_MAX 16382 /* the server's own default for all its clients: max_prepared_stmt_count */

/* Capabilities offered to clients. */
#define CAPS_CLIENT                                                                                \
	(CAP_FOUND_ROWS | CAP_LONG_FLAG | CAP_CONNECT_WITH_DB | CAP_NO_SCHEMA | CAP_ODBC | CAP_LOCAL_FILES |              \
	    CAP_IGNORE_SPACE | CAP_PROTOCOL_41 | CAP_INTERACTIVE | CAP_IGNORE_SIGPIPE |                \
	    CAP_TRANSACTIONS | CAP_RESERVED | CAP_SECURE_CONNECTION | CAP_MULTI_STATEMENTS |           \
	    CAP_MULTI_RESULTS | CAP_PS_MULTI_RESULTS | CAP_PLUGIN_AUTH | CAP_CONNECT_ATTRS |           \
	    CAP_PLUGIN_AUTH_LENENC | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF)

/* ... and of MariaDB's extended ones (proto/handshake.h), as far as the servers have them. */
#define MCAPS_CLIENT (MCAP_STMT_BULK | MCAP_EXTENDED_METADATA | MCAP_CACHE_METADATA)

#define CMD_RETRIES 64 /* tries of one statement */
#define INFO_LEN 128
#define HELD_MAX (64 * 1024) /* pipelined bytes read ahead of a running statement */

/* Positions that a read needs: pairs of domain and sequence number. */
#define CAUSAL_DOMAINS 5 /* four of an account (tbl/layout.def) and the session's own */
struct causal {
	u32 n;
	bool unknown; /* something was written that has no position: the primary alone has it for sure */
	u64 pos[2 * CAUSAL_DOMAINS];
};

/* The statement under way. */
struct cmd {
	u8 com;
	u8 last_seq;           /* of its last packet: the reply begins with the next */
	u8 server_seq;         /* the same as it was sent: types put in may make one packet more */
	struct stmt st;
	struct ps *ps;         /* STMT_*: which */
	u32 ps_id;
	u8 *buf;               /* saved bytes (malloc'd), packets with headers; NULL: not saved */
	size_t len;
	const u8 *p;           /* the bytes: buf, or in the read buffer during dispatch */
	u64 started;           /* last byte of the statement in */
	u64 waited_since;
	u64 exclude;           /* servers that failed it; bit = index in cluster */
	u32 retries;
	u8 server_index;
	u8 lost;               /* servers that were lost while they ran it */
	u64 hold_until;        /* waits for a primary no longer than this; 0: has not waited */
	bool asks_own;         /* a text of several statements, which asks for diagnostics of these alone */
	bool part;             /* of a text of several statements: not in the client's packet (sess_multi.c) */
	bool streamed;         /* its beginning is here, its end passes as it comes: it cannot run again */
	bool sent;             /* some of it may have reached a server */
	enum route_reason why;
	bool read;             /* may be run elsewhere */
	bool sent_any;         /* bytes of the reply went to the client */
	bool login;            /* COM_INIT_DB on behalf of the handshake */
	bool needs_reset;      /* diagnostics must be empty */
	bool kill_sent;
	bool timed_out;
	bool to_primary;
	bool no_wait;          /* a wait for a replica was in vain */
	struct causal wait_for; /* n > 0: positions that the replica chosen must reach first */
	bool trace_row;        /* SHOW WARNINGS: the trace follows the server's rows */
	bool hint_ignored;     /* the hint in its text could not be followed */
	bool set_many;         /* SET with several assignments */
	bool sets_wait;        /* SET that is not reported, perhaps of wait_timeout */
	bool state_changed;    /* the server said so, and named no variable or database */
	bool gtid_seen;
	u16 err_code;          /* of the server's ERR packet, 0: none */
	u16 warnings;
	u64 affected;
	u64 rows, bytes;       /* of the reply, so far */
	u64 digest;            /* key of its record of statistics, 0: none */
	u32 digest_at;         /* ... and where it was */
	u32 ddl_slot;          /* pool slot + 1 of the server that it may change definitions of, 0: it does not */
	bool calls;            /* functions that are not built in: what they are is looked up when it runs */
	bool failed;           /* ended by an error that is none of a server's, or by the end of the session */
	struct istr *text;     /* COM_STMT_PREPARE */
	struct link_kill_user *kill_user; /* KILL USER: what is done when the server has done it; NULL: nothing */
	u8 results;            /* MCAP_CACHE_METADATA: result sets so far, no more than 2 are counted */
	int refused; /* by the last server tried, or for want of something here: waiting changes nothing. The error; 0: it may wait */
	char last_error[160];  /* what the last server tried had to say */
};

struct sess {
	u32 magic;
#define SESS_MAGIC 0x53455331
	enum sess_state state;
	struct conn conn;
	struct worker *w;
	struct list node;       /* worker.sessions */
	struct list wheel_node;
	struct list wait_node;  /* bpool.waitq */
	struct list resume_node; /* worker.resume */
	struct list held_node;   /* worker.held */
	struct sess *hnext;
	u64 since, deadline, wheel_at;
	u64 wait_ms;            /* wait_timeout, if the client has set it; else 0 (sess_idle.c) */
	u32 id;
	u32 rec;                /* index of the shared record */
	u32 kind, listen_tls;   /* of the listener: 4, 6, 1; struct cfg_listen */
	u64 addr_hash;
	u8 addr_family;
	bool proxy_may;         /* nothing was read yet, and a PROXY header may come */
	bool addr_later;        /* max_clients_per_address is looked at when it is known who it is */
	u8 addr[16];
	char addr_text[56];     /* SESS_ADDR_UNIX, or address and port */
#define SESS_ADDR_UNIX "unix"
	u8 scramble[20];
	u8 next_seq;            /* of our next packet during login */
	u8 collation;
	u32 caps;               /* client's */
	u8 mcaps;               /* MariaDB's extended ones of MCAPS_CLIENT */
	u8 zip, zip_level;      /* compression that begins behind the login's OK */

	/* who */
	char user[84];          /* MySQL allows 80 */
	u32 user_id, user_idx, cluster_idx;
	u64 user_gen;           /* generation that the indices belong to */
	u8 stage1[20];          /* SHA1(password): what a login at a server takes */
	bool has_password;
	bool counted_user, counted_addr;
	u32 counted_user_id;
	struct auth *auth;      /* the question asked of the client, until it is answered; NULL: none */
	struct sess_before *before; /* who it was before the COM_CHANGE_USER under way; NULL: none is */
	u8 failed_changes;
	u8 refused_collation;   /* of the last COM_CHANGE_USER, if it was refused */
	struct istr *program;   /* program_name that servers are to see; NULL: Margay's */
	struct istr *login_db;  /* named by the handshake or default_schema, until the login is done */
	bool is_admin;
	bool read_split;

	/* virtual state */
	u64 defaults;           /* worker.defaults at its login: no older connection will do */
	struct istr *db;
	bool db_local;          /* information_schema and its like */
	struct settings *set;
	u64 pins;               /* bit for each PIN_ reason */
	u16 status;             /* server status flags as last reported, those of ST_LASTING */
	bool mode_unsure;       /* ... but whose sql_mode they show is not known */
	bool in_trx;
	bool trx_unsure;        /* a routine that failed may have left one open, DDL may have ended it: an ERR packet has no flags */
	bool ro_trx;            /* ... which began READ ONLY on a replica */
	bool wrote;             /* since then reads need has_writes */
	bool gtid_known;
	u32 gtid_domain;
	u64 gtid_seq;
	u64 insert_id;          /* LAST_INSERT_ID(), when known */
	u32 lex_charset, lex_login; /* LEX_GBK and the like, now and after a reset: multi-byte characters may end in a backslash */
	bool diag_open;         /* warnings or an error may be asked for on the kept connection */
	bool diag_lost;         /* they were given up, since others waited for the connection */
	bool found_here;        /* FOUND_ROWS() of the connection it keeps is the session's */
	bool row_unsure;        /* ROW_COUNT() is known to the server alone */
	bool insert_id_open;    /* its value is on the kept connection only */
	u32 learning;           /* number of the EXP_LEARN whose answer counts, 0: none under way */
	u32 learn_no;           /* the last such number */
	bool learning_id, learning_found; /* which of its values are still of use */
	bool insert_id_lost;    /* the connection that alone knew it is gone */
	bool insert_id_unsure;  /* ... and a reply has told an id since, which LAST_INSERT_ID() may not have become */
	bool parked;            /* the statement waits for learning */
	bool held;              /* ... for a primary (sess_wait.c) */
	bool replays;           /* ... replay_transactions */
	bool hold_writes;       /* the cluster has failover_timeout: kept with the user's indices */
	u64 looked;             /* when it last asked what may show threads of the server: SHOW, information_schema and the like */
	bool wait_unsure;       /* ... it may have, in a form that servers do not report: to what is known to its connection alone */
	bool own_trackers;      /* it has asked for the trackers' settings, or set them: the connection it keeps has its own */
	bool keeps_diag;        /* asks for ROW_COUNT() and the like: keep the connection after each statement */
	i64 row_count;          /* ROW_COUNT(); ROW_COUNT_UNSURE: known to the server alone */
#define ROW_COUNT_UNSURE INT64_MIN
	u64 found_rows;         /* FOUND_ROWS() */
	bool found_unsure;      /* ... is known to the server alone: SQL_CALC_FOUND_ROWS; it may count what an offset left out */

	/* connections */
	struct bconn *b;        /* linked: busy, or kept */
	struct bpool *waiting;  /* in line there */
	struct bpool *pool_cache[2];

	/* statement under way */
	struct cmd cmd;
	bool logged_in;
	bool uncounted;         /* taken out of worker.nsess */
	size_t want;            /* length of the statement whose beginning is held */
	u8 stream_seq;
	u64 stream_body;        /* bytes of it so far */
	u64 stream_left;        /* STREAM, INFILE: bytes of the packet under way */
	bool stream_more;       /* STREAM, INFILE: another packet follows it */
	u8 *last_words;         /* ERR packet for the client when the rest of what it sends was read away; NULL: none */
	bool last_words_end;    /* ... and the session ends with it */
	size_t last_words_len;
	u64 out_since;          /* last progress while bytes wait for the client */
	size_t out_last;

	/* prepared statements */
	struct ps *ps;
	u32 ps_n, ps_cap;
	u32 ps_last;            /* id of the one prepared last, 0: it failed, or was closed */
	u32 ncursors, nlong_data; /* statements with such */
	struct meta *meta;      /* definitions of the reply under way, for who caches them; else NULL */
	struct replay *replay;  /* log of the open transaction (sess_replay.h); NULL: none */
	struct multi *multi;    /* the text of several statements that is run one by one (sess_multi.c); NULL: none */
	struct trace *trace;    /* SET margay_trace; NULL: off */
	struct slow *slow;      /* text of the statement under way, for the slow log; NULL: none is kept */
	char info[INFO_LEN];
};

/* What survives COM_RESET_CONNECTION (measured): a role; a prepared XA transaction, behind which InnoDB refuses every write
 * on that connection (1031). */
#define PINS_NO_RESET (1ull << PIN_STATE_CHANGE | 1ull << PIN_XA | 1ull << PIN_REPLICATION)

/* Stages of a statement, in their order. */
enum trace_stage { TRACE_PARSE, TRACE_ROUTE, TRACE_WAIT, TRACE_AHEAD, TRACE_SERVER, TRACE_REPLY, TRACE_STAGES };

/* sess.c */
/* tls: of the listener, as in struct cfg_listen */
void sess_new(struct worker *w, int fd, u32 kind, u32 tls);
void sess_set_state(struct sess *s, enum sess_state st);
void sess_renew(struct sess *s);
/* Ends the session: its connection, its place in lines, its records. why for the log, NULL: orderly. */
void sess_close(struct sess *s, const char *why);
/* Sends an error made here; fmt adds details. Returns false if the connection failed. */
bool sess_error(struct sess *s, u8 seq, int code, const char *fmt, ...) PRINTF(4, 5);
/* The same as a packet, for later. */
void sess_error_write(struct sess *s, struct wr *w, u8 seq, int code, const char *fmt, va_list ap) PRINTF(5, 0);
void sess_error_close(struct sess *s, u8 seq, int code, const char *fmt, ...) PRINTF(4, 5);
bool sess_send(struct sess *s, const void *p, size_t len);
bool sess_ok(struct sess *s, u8 seq);
void sess_close_when_sent(struct sess *s);
void sess_on_tick(struct worker *w);
struct sess *sess_by_id(struct worker *w, u32 id);
void sess_record(struct sess *s);       /* publishes who and where */
void sess_record_pin(struct sess *s);
void sess_resume(struct sess *s);
void sess_run_resumed(struct worker *w);
void sess_cmd_clear(struct sess *s);
void sess_account(struct sess *s);
void sess_backpressure(struct sess *s);
void sess_look_by(struct sess *s, u64 at); /* the tick looks at the session no later than at this time */
void sess_watch_writes(struct sess *s); /* bytes wait for the client: look at them once a second */
const struct cfg_user *sess_user(struct sess *s);

/* sess_idle.c */
/* The client has set wait_timeout: its value as the server reports it; in a form that is not reported; and no more. */
void idle_set(struct sess *s, struct slice value);
void idle_set_unseen(struct sess *s);
void idle_reset(struct sess *s);
/* Milliseconds that the client may be silent, of which Margay's options allow `limit`. 0: no limit. */
u64 idle_limit_ms(const struct sess *s, u64 limit);
/* It was silent for as long as it said itself, and is closed as a server does: without a word. */
bool idle_is_own(const struct sess *s);
/* A statement has ended, and the session keeps its connection, which must not look idle to the server. */
void idle_kept(struct sess *s);
void idle_look(struct sess *s, u64 now); /* the tick, for a session that has a connection */
/* The connection that the silent session kept was closed by the server: by a wait_timeout, for all that is known? */
bool idle_ended_by_server(const struct sess *s);

/* sess_login.c */
void login_greet(struct sess *s);
void login_packet(struct sess *s, const u8 *body, size_t len, u8 seq);
#define PROGRAM_MOST 128 /* bytes of a program_name that is passed on; servers keep 512 of all attributes together */
/* What servers are to see as program_name, of the client's connection attributes. */
void login_program(struct sess *s, struct slice attrs);
void login_finish(struct sess *s, bool ok);
void login_tls_failed(struct sess *s);
void login_counts_drop(struct sess *s);
void login_admit(struct sess *s);
void login_uncount(struct worker *w, u32 user_id); /* one session less of that user */
/* The login, or the COM_CHANGE_USER, is refused: the session ends, or is who it was. */
void login_refuse(struct sess *s, int code, const char *fmt, ...) PRINTF(3, 4);
u32 login_lex_mode(u8 id);
bool login_no_client_charset(u32 id);

/* sess_peer.c: where the client comes from */
void peer_of_socket(struct sess *s);
/* The first bytes of a client that may begin with a PROXY header. False: more of them must come, or the session is closed. */
bool peer_header(struct sess *s, u8 **p, u8 *end);
/* Why bytes that no login begins with are none, for the log; NULL: no idea. */
const char *peer_stray_header(const struct sess *s, const u8 *p, const u8 *end);
/* The host that errors name. */
void peer_host(const struct sess *s, char *buf, size_t size);
/* The same from the text of the address. */
void peer_host_text(const char *addr, char *buf, size_t size);

/* sess_auth.c: ends in login_admit, or in an error and the end of the session. token: what came with the handshake
 * response or COM_CHANGE_USER for `plugin` (len 0: mysql_native_password). */
void auth_begin(struct sess *s, struct slice plugin, struct slice token);
/* COM_CHANGE_USER: as servers do, the client is always asked, with the scramble of before: libmariadb answers that, whatever
 * is sent (measured). */
void auth_change(struct sess *s);
/* The client's next packet in state SWITCH. */
void auth_more(struct sess *s, const u8 *body, size_t len);
void auth_forget(struct sess *s);
struct slice auth_greets(const struct worker *w); /* the method that the greeting names */
/* sess_prove.c: what takes milliseconds. False: nothing is under way. */
bool prove_on_fast(struct worker *w);

/* sess_change.c: COM_CHANGE_USER */
void change_begin(struct sess *s, const u8 *body, size_t len);
void change_done(struct sess *s);   /* the new user is in */
void change_undo(struct sess *s);   /* the client has been told why not: the session is its old user's again */
void change_forget(struct sess *s); /* the session ends */
/* COM_RESET_CONNECTION behind a COM_CHANGE_USER that was refused: its collation is the session's now (measured). */
void change_left_collation(struct sess *s);

/* sess_cmd.c */
void cmd_packet(struct sess *s, const u8 *pkt, size_t len);
void cmd_dispatch(struct sess *s);
void cmd_part_ended(struct sess *s); /* sess_com.c */
void cmd_query_begins(struct sess *s, const u8 *text, size_t len); /* sess_com.c */
bool cmd_save(struct sess *s);
void cmd_run_on(struct sess *s, struct bconn *b);
void cmd_send_now(struct sess *s, struct bconn *b);
void cmd_fail(struct sess *s, int code, const char *fmt, ...) PRINTF(3, 4);
void cmd_finished(struct sess *s);
bool cmd_may_fire(struct sess *s);
void cmd_lost_diagnostics(struct sess *s);
bool cmd_may_have_committed(const struct sess *s);
bool cmd_stream(struct sess *s, u8 **p, u8 *end);
void sess_on_backend(struct sess *s, struct bconn *b);
void sess_on_connect_failed(struct sess *s, struct wserver *srv, int code, const char *text);
void sess_on_backend_lost(struct sess *s, struct bconn *b, const char *why);
void sess_release_backend(struct sess *s);
/* May the connection that the session keeps go to somebody who waits? */
bool sess_has_primary(struct sess *s);
bool sess_may_let_go(struct sess *s, u64 now);
u32 sess_lex_mode(const struct sess *s);
bool cmd_has_word(const struct sess *s, const char *word);

void sess_reset(struct sess *s); /* all state is as after a login, but for who, where and the database */

/* Does it run a statement, and not only speak about one? */
static inline bool
cmd_runs(const struct cmd *c)
{
	return c->com == COM_QUERY || c->com == COM_STMT_EXECUTE || c->com == COM_STMT_BULK_EXECUTE;
}

/* Running the statement empties the diagnostics area first; without tables it stays as it is (measured). */
static inline bool
stmt_clears_diagnostics(const struct stmt *st)
{
	return (st->flags & (STMT_F_TABLES | STMT_F_DML)) != 0 || st->kind == STMT_DDL;
}

/* sess_ahead.c */
/* May the statement look at LAST_INSERT_ID(), and the connection not have the session's? */
bool cmd_wants_insert_id(struct sess *s);
/* May the statement look at a LAST_INSERT_ID() that was lost with its connection? Told once: from then on the session has inserted
 * nothing. */
bool cmd_asks_lost_id(struct sess *s);
void cmd_fail_lost_id(struct sess *s);
bool cmd_may_tell_id(const struct sess *s);
bool cmd_sets_insert_id(struct sess *s, const struct bconn *b); /* ahead of it, on b */
/* True: something was sent, the statement follows when it succeeded. own_connection: the session keeps it. */
bool cmd_send_ahead(struct sess *s, struct bconn *b, bool own_connection);

/* A statement of a transaction that is run again. */
struct replay_ahead {
	bool first;           /* nothing of the transaction was sent on this connection */
	struct istr *db;
	struct settings *set;
	struct ps *ps;        /* NULL: no prepared statement */
	u64 id;               /* first: LAST_INSERT_ID() */
	u64 insert_id;        /* for the rows that it makes; 0: none was told */
};
/* 1: something was sent, what comes next waits for it; 0: nothing is needed; -1: no way leads to these settings. */
int cmd_replay_ahead(struct sess *s, struct bconn *b, const struct replay_ahead *x);

/* sess_infile.c */
void cmd_stream_more(struct sess *s, u8 **p, u8 *end);
u8 *stream_position(struct sess *s, u8 *p, u8 *end);
void say_last_words(struct sess *s);
void stream_skip(struct sess *s);
bool keep_last_words(struct sess *s, const u8 *err, size_t len); /* false: out of memory */
bool stream_refuse(struct sess *s, const u8 *err, size_t len, bool end);
void infile_begin(struct sess *s, const struct bconn *b);
void infile_more(struct sess *s, u8 **p, u8 *end);
void infile_early(struct sess *s, struct bconn *b, u8 **p, u8 *end);

/* sess_ps.c */
struct ps *ps_get(struct sess *s, u32 id);
u32 ps_new(struct sess *s, struct istr *text, u16 nparams); /* 0: out of memory */
void ps_drop(struct sess *s, u32 id);
void ps_drop_all(struct sess *s);
void ps_forget_data(struct sess *s, struct ps *p);
bool ps_settle(struct sess *s, struct ps *ps);
void ps_mark(struct sess *s, struct ps *p, bool cursor, bool long_data);
/* Lengths and types of COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE fit the statement; remembers bound types. 0 or the
 * error that a server has for it. */
int ps_execute_check(struct sess *s, struct ps *ps, const u8 *body, size_t len);
/* Sends the session's COM_STMT_* with the connection's own id, with types if this connection has not seen them. */
bool ps_execute_send(struct sess *s, struct bconn *b);

/* sess_meta.c */
struct meta {
	u8 seq;     /* of the packet with the number of columns, as the client counts */
	u32 ncols;
	bool held;  /* the client has not got them yet; else they are on their way, and this is a copy */
	size_t len, cap;
	u8 p[];     /* packets */
};
/* Definitions begin. False: out of memory. */
bool meta_begin(struct sess *s, u8 seq, u32 ncols, bool held);
bool meta_add(struct sess *s, const u8 *p, size_t len); /* false: too long, or out of memory; what was there is kept */
u64 meta_hash(const struct sess *s);                    /* of all definitions so far; never 0 */
void meta_drop(struct sess *s);

/* sess_reply.c */
void sess_on_reply(struct sess *s, struct bconn *b, u8 **p, u8 *end);
void sess_track_ok(struct sess *s, struct bconn *b, const struct pkt_ok *ok);

/* sess_ro.c: the session's transaction is READ ONLY, on a replica. True: the client was answered. */
bool ro_dispatch(struct sess *s);
/* True: w has the error that the client gets instead of the server's. */
bool ro_error(struct sess *s, u16 code, u8 seq, struct wr *w);

/* sess_replay.c, sess_rerun.c: but for the first, replay_free, replay_waits and replay_first_done, only for a session with a log */
/* The statement is about to be sent: into the log. True: what was sent ahead was for a transaction that is run again. */
bool replay_before_send(struct sess *s, struct bconn *b);
void replay_free(struct sess *s);
void replay_reply_bytes(struct sess *s, const u8 *p, size_t len);
void replay_reply_ok(struct sess *s, const struct pkt_ok *ok);
void replay_reply_err(struct sess *s, const struct pkt_err *e);
void replay_trx_state(struct sess *s, struct slice state);
bool replay_state_is_nontrx(struct slice state);
void replay_finished(struct sess *s);
/* The connection is lost, and is no longer linked. True: the session has been seen to. */
bool replay_lost(struct sess *s, struct bconn *b, bool under_way, const char *why);
/* The server has refused its statement since it is not primary (any more). True: the transaction goes to the next one. */
bool replay_refused(struct sess *s, struct bconn *b, const struct pkt_err *e);
bool replay_waits(const struct sess *s); /* its transaction must be run again before its statement */
/* Of those who wait for a primary: has it told its client auto-increment values, which others might take? */
bool replay_goes_first(const struct sess *s);
void replay_first(struct sess *s);
void replay_first_done(struct sess *s);
bool replay_dispatch(struct sess *s);    /* true: the client was answered */
void replay_run(struct sess *s, struct bconn *b);
void replay_reply(struct bconn *b, u8 **p, u8 *end);
bool replay_ahead_refused(struct sess *s, struct bconn *b, const char *text);

/* sess_wait.c */
bool hold_statement(struct sess *s, const char **why_r);
void hold_end(struct sess *s);
void hold_look(struct worker *w);
void hold_timeout(struct sess *s);
u64 hold_left_ms(const struct sess *s);
bool hold_refused(const struct sess *s, u16 code, const struct slice *text);
bool wserver_suspect(struct wserver *srv, u64 now); /* sess_cmd.c */
bool wserver_drained(const struct worker *w, u32 id);

/* sess_causal.c (and sess_causal.h) */
void causal_wrote(struct sess *s, struct wserver *srv);
void causal_wrote_unknown(struct sess *s, struct wserver *srv);
void causal_waited(struct bconn *b, struct slice value);
void causal_wait_error(struct bconn *b);

/* sess_trace.c: all but trace_variable and trace_off for a session with a trace only */
void trace_stage(struct sess *s, enum trace_stage st);
void trace_end(struct sess *s);
void trace_off(struct sess *s);
bool trace_counts(const struct sess *s);
void trace_row(struct sess *s, struct wr *w, u8 seq);
bool trace_show(struct sess *s);
bool trace_variable(struct sess *s);
static inline void
trace_begin(struct sess *s, enum trace_stage st)
{
	if (unlikely(s->trace != NULL))
		trace_stage(s, st);
}

/* sess_multi.c: all but multi_begin only for a session with a text that was cut */
bool multi_begin(struct sess *s, const u8 *text, size_t len);
bool multi_more(const struct sess *s);
void multi_mark(struct reply *r, struct pkt_ok *ok);
void multi_next_result(struct sess *s, u8 seq, size_t unsent);
bool multi_alone(struct sess *s, size_t unsent);
bool multi_next(struct sess *s, bool err);
void multi_go_on(struct sess *s);
bool multi_refused(struct sess *s, struct bconn *b, u16 code);
void multi_drop(struct sess *s);

/* sess_slow.c */
void slow_keep(struct sess *s, const void *text, size_t len);
void slow_end(struct sess *s, u64 ns);
void slow_off(struct sess *s);

/* sess_digest.c */
/* sess_plan.c: what the statement is, into cmd.st; plan_query: its digest too. extra: LEX_TRUNCATED */
void plan_query(struct sess *s, const u8 *text, size_t len);
void plan_execute(struct sess *s, const struct ps *ps);
void plan_classify(struct sess *s, const u8 *text, size_t len, u32 extra);
bool text_has_word(const u8 *p, size_t len, const char *word);
void digest_text(struct sess *s, const void *text, size_t len, u32 lex_mode);
void digest_found(struct sess *s, const struct digest *shape);
void digest_execute(struct sess *s, const struct ps *ps);
void digest_end(struct sess *s);

/* sess_local.c */
void local_processlist(struct sess *s, bool full);
/* KILL with a number: as the session was greeted, what CONNECTION_ID() told it, or what the server's process list shows.
 * False: it is for the server to do, and the statement not answered yet. */
bool local_kill(struct sess *s, u64 id, u32 flags);
#define KILL_HAND_OVER_NS (5000 * MS_NS) /* another worker does it within this time or not at all: later an id may be another's */
/* The record of the next session of all workers of this epoch; *at, which begins at 0, is where to go on. False: there is none. */
bool local_session_next(struct worker *w, u64 *at, struct shm_session *r);
/* sess_kill.c: KILL .. USER, of a text with this `arg`. True: it was answered. */
bool kill_user(struct sess *s, const void *arg, size_t len);
/* The server has carried it out, and ended `rows` threads. Takes k. True: the session itself is to end. */
bool kill_user_done(struct sess *s, struct link_kill_user *k, u32 server, u64 rows);
void kill_user_here(struct worker *w, const struct link_kill_user *k);
void local_kill_mark(struct worker *w, u32 id);
void local_kill_session(struct worker *w, u32 id, bool query_only, u32 by);
bool local_row_count(struct sess *s);
#endif
