/* t/unit/worker_rig.h: a worker in a test: real sessions, pools and server connections over the scripted loop of
 * ev_script.h, segments in memory, configuration read from text; the test plays the clients and the servers.
 * Each test runs in its own process, so there is one rig. rig_stop fails the test when anything is left: a session, a
 * connection, a chunk, a held byte, a cell, a text.
 */
#ifndef MARGAY_T_UNIT_WORKER_RIG_H
#define MARGAY_T_UNIT_WORKER_RIG_H
#include <criterion/criterion.h>
#include "proto/handshake.h"
#include "proto/packet.h"
#include "t/unit/ev_script.h"
#include "worker/sess.h"

#define RIG_SERVERS  3
#define RIG_SESSIONS 64
#define RIG_CELLS    32

/* The far end of a connection of the worker: a client of ours, or a server of ours. */
struct peer {
	int fd;
	bool eof;     /* the worker has closed */
	u8 *in;       /* received, not taken yet: in[at..len) */
	size_t at, len, cap;
	bool is_server;
	/* client */
	u32 caps, id; /* id: connection id of the greeting */
	/* server */
	u32 server, thread_id;
	u8 scramble[20];
	char user[84], db[256];
};

struct rig {
	struct worker w;
	int listen[RIG_SERVERS];
	struct peer *peers[1024];
	u32 npeers;
	u32 sess_seen, bconn_seen; /* bit for each state seen after a callback */
	u64 sessions_closed;
	char log[65536];
	size_t log_len;
	int master; /* the master's end of the channel */
	u32 mcaps;  /* MariaDB's extended capabilities that clients ask for from now on */
	u8 proxy_header[64]; /* that servers expect ahead of a login */
	size_t proxy_header_len;
};
extern struct rig R;

/* Lines added to the sections of the configuration; NULL: none. */
struct rig_conf {
	const char *margay, *server, *cluster, *user;
	const char *user_name; /* NULL: app */
	const char *password;  /* its; NULL: secret */
	u32 servers; /* 0: two: db0 primary, db1 replica */
};
void rig_start(const struct rig_conf *c);
void rig_reload(const struct rig_conf *c);
void rig_stop(void);
/* Everything that can happen happens; servers take a COM_QUIT by closing. */
void rig_run(void);
void rig_pass(u64 ms);

/* What health says. */
void rig_verdict(u32 server, enum srv_state st, enum srv_role role, enum srv_cause cause);
void rig_primary(int server);
void rig_gtid(u32 server, u64 domain, u64 seq);
void rig_detail(u32 server, void (*edit)(struct shm_srvhealth *d));
/* Connections to it are refused from now on; those that are there stay. */
void rig_server_down(u32 server);
void rig_server_up(u32 server);

/* ---- both kinds ---- */
void peer_send(struct peer *p, const void *bytes, size_t len);
/* The next packet from the worker, header included; fails the test if there is none. Valid until the next call. */
const u8 *peer_packet(struct peer *p, size_t *len_r);
bool peer_has_packet(struct peer *p);
/* The worker has sent nothing that was not taken, and keeps the connection. */
void peer_expect_silence(struct peer *p);
void peer_expect_closed(struct peer *p);
/* Exactly these bytes come next. */
void peer_expect(struct peer *p, const void *bytes, size_t len);
size_t peer_pending(struct peer *p); /* bytes there now, after rig_run */
void peer_skip(struct peer *p, size_t n);
/* Takes what the socket holds, up to n bytes, without letting the worker run. */
size_t peer_take_raw(struct peer *p, size_t n);
void peer_close(struct peer *p);

/* ---- clients ---- */
#define CAPS_OLD                                                                                   \
	(CAP_LONG_FLAG | CAP_PROTOCOL_41 | CAP_TRANSACTIONS | CAP_SECURE_CONNECTION | CAP_PLUGIN_AUTH |    \
	    CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS)
#define CAPS_NEW (CAPS_OLD | CAP_DEPRECATE_EOF | CAP_SESSION_TRACK)
struct peer *client_connect(void);
struct peer *client_connect_fd(int fds_r[2]); /* the same, with both ends given back for socket options */
/* Answers the greeting; does not look at the reply. plugin NULL: none named. */
void client_respond(struct peer *c, const char *user, const char *password, const char *db, u32 caps,
    const char *plugin);
struct peer *client_login(u32 caps); /* app/secret, no database */
void client_com(struct peer *c, u8 com, const void *arg, size_t len);
void client_query(struct peer *c, const char *sql);
void client_expect_ok(struct peer *c);
/* An ERR packet with this number, whose text contains `part`. */
void client_expect_err(struct peer *c, u16 code, const char *part);
struct sess *client_sess(struct peer *c);
#define client_state(c) (client_sess(c)->state)

/* ---- servers ---- */
struct peer *server_accept(u32 server); /* the worker has connected; fails the test if it has not */
bool server_has_connect(u32 server);
void server_greet(struct peer *s);
void server_expect_login(struct peer *s, const char *user, const char *password);
struct peer *server_up_to_setup(u32 server); /* logged in, the tracker settings not answered yet */
struct peer *server_ready(u32 server);       /* all of it: accept, login, trackers */
void server_expect(struct peer *s, u8 com, const void *arg, size_t len);
void server_expect_query(struct peer *s, const char *sql);
void server_ok(struct peer *s);
void server_ok_full(struct peer *s, const struct pkt_ok *ok);
/* Expects to be asked for LAST_INSERT_ID() and answers with it. */
void server_learn(struct peer *s, const char *id);
void server_err(struct peer *s, u16 code, const char *text);
void server_gone(struct peer *s); /* closes */
/* COM_RESET_CONNECTION and the trackers, answered. */
void server_expect_reset(struct peer *s);

/* A whole statement: the server (s, or a connection it gets ready) answers OK, or one row. */
struct peer *rig_write(struct peer *c, const char *sql, struct peer *s);
struct peer *rig_write_full(struct peer *c, const char *sql, struct peer *s, const struct pkt_ok *ok);
struct peer *rig_read(struct peer *c, const char *sql, struct peer *s, u32 server);
/* Only the reply: one row from s, and the client has it. */
void server_row_for(struct peer *s, struct peer *c, u16 status, u16 warnings);

/* ---- bytes of replies ---- */
struct bytes {
	u8 *p;
	size_t len, cap;
};
void bytes_add(struct bytes *b, const void *p, size_t len);
void bytes_free(struct bytes *b);
/* A text result of one column and n rows as a server sends it to somebody with these caps. */
void bytes_result(struct bytes *b, u8 seq, u32 caps, u16 status, u16 warnings, u32 rows);
void bytes_ok(struct bytes *b, u8 seq, u32 caps, const struct pkt_ok *ok);
/* Session state block: kind of item, name for TRACK_SYSVAR. */
void bytes_track(struct bytes *b, u32 type, const char *name, const char *value);
void bytes_packet(struct bytes *b, u8 seq, const void *body, size_t len); /* splits at PKT_MAX_BODY */

bool rig_logged(const char *part);
u64 rig_counter(const char *name);

#define TEST_WORKER(name, ...) Test(worker, name, .timeout = 120, ##__VA_ARGS__)
#endif
