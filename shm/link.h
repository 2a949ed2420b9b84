/* shm/link.h: the contract between the master and its children: inherited descriptors, arguments, messages.
 *
 * A child is exec'ed as  margay-worker --slot N  or  margay-health , with nothing in its environment but PATH,
 * LANG, TZ and MARGAY_* variables, and these descriptors:
 *   0  /dev/null
 *   1,2 the log pipe (non-blocking, each line one write)
 *   3  the channel: a non-blocking SOCK_SEQPACKET Unix socket pair, one message each, descriptors by SCM_RIGHTS
 *      (SEQPACKET and not a stream: a message and its descriptors can neither be cut nor run together)
 * It is exec'ed by descriptor, so it names itself (PR_SET_NAME); it leads a process group of its own, and its
 * signals are as after a fresh start. All else comes by message, first LINK_START. The end of the channel means that the master is gone: see
 * "orphans" in doc/internals.md.
 *
 * For each worker slot the master makes, once, and keeps, so that they survive the worker:
 *   - an eventfd that anyone may ring: "look at your grants, your inbox, the health words"
 *   - an inbox: a SOCK_SEQPACKET pair would have one sender, so it is a SOCK_DGRAM Unix socket pair: the
 *     worker of the slot reads one end, all others send to the other (KILL, handed-over clients)
 *   - its listening sockets
 * Health has an eventfd too: 1 is added for "orphans to recover, a server failed, probe at once", LINK_BELL_DDL for
 * "definitions may have changed".
 */
#ifndef MARGAY_SHM_LINK_H
#define MARGAY_SHM_LINK_H
#include "base/base.h"

#define LINK_CHANNEL_FD  3
#define LINK_MAX_FDS     250 /* SCM_MAX_FD is 253 */
#define LINK_MAX_LISTEN  32  /* addresses in `listen` */
#define LINK_MAX_WORKERS 64

#define LINK_BELL_DDL (1ull << 32)

enum link_type {
	/* master -> child */
	LINK_START = 1, /* struct link_start; fds as listed there */
	LINK_LISTEN,    /* struct link_listen; fds: the slot's listening sockets; replaces the earlier set */
	LINK_CONFIG,    /* struct link_config; fds: snapshot, secrets */
	LINK_STOP,      /* struct link_stop: stop accepting, drain, exit 0 */
	LINK_LOG_LEVEL, /* struct link_u64 */
	LINK_ADMIN,     /* no body: admin states in the master segment have changed */
	LINK_TAKEOVER,  /* struct link_listen; fds: listening sockets of a throttled slot: accept from them until
	                 * the queue is empty, then close them */
	/* child -> master */
	LINK_HELLO = 64, /* struct link_hello: after LINK_START was understood */
	LINK_READY,      /* no body: first generation adopted; worker: accepting; health: first verdicts out */
	LINK_ADOPTED,    /* struct link_u64: generation adopted */
	LINK_REFUSED,    /* struct link_u64: generation that cannot be adopted (the log says why) */
	LINK_DRAINED,    /* no body: no session left; exit follows */
	/* worker -> worker, by inbox */
	LINK_KILL = 128, /* struct link_kill */
	LINK_CLIENT,     /* struct link_client; fd: an accepted client socket */
	LINK_KILL_USER,  /* struct link_kill_user */
	LINK_DEFAULTS,   /* no body: accounts, privileges or global variables of servers have changed */
};

struct link_msg {
	u32 type;
	u32 len; /* of the body */
};
struct link_start {
	u64 abi;
	u64 epoch;
	u32 slot;
	u32 instance;
	u32 nworkers;    /* slots in use */
	u32 max_workers; /* capacity */
	u32 has_inbox;
	u32 log_level;
	/* fds, in this order: pool (rw), names (ro), health (ro; rw for health), own worker segment (rw; absent
	 * for health), health's eventfd, then for each slot < nworkers: worker segment (ro), eventfd, inbox
	 * send end; then, for a worker: own inbox receive end, auth (rw); last the catalogue (ro; rw for health). */
};
struct link_listen {
	u32 n;
	u32 kind[LINK_MAX_LISTEN]; /* 4, 6, 1 (unix); fds in the same order */
	u32 tls[LINK_MAX_LISTEN];  /* struct cfg_listen */
};
struct link_config {
	u64 generation;
};
struct link_stop {
	u64 drain_ms;
};
struct link_u64 {
	u64 v;
};
struct link_hello {
	u64 abi;
	u32 pid;
	u32 pad;
};
struct link_kill {
	u32 id;         /* session id */
	u32 query_only; /* KILL QUERY */
	u64 deadline;   /* CLOCK_MONOTONIC ns: too old a message is dropped */
	u32 by;         /* session id of the requester, for the log */
	u32 mark_only;  /* the server will be asked: its connection is not to be used by another session after this */
};
struct link_kill_user {
	u64 deadline;   /* as above */
	u32 by;         /* session id of the requester, which is not meant */
	u32 query_only;
	u32 server;     /* id of the server that has carried it out for what runs there; UINT32_MAX: none */
	u32 pad;
	char user[84];  /* of the client, as it logged in */
	char host[64];  /* "": any */
};
struct link_client {
	u32 kind; /* as in link_listen */
	u32 tls;
	u32 hops; /* handed over so many times */
	u32 pad;
};

/* Sends one message; fds stay the sender's. 0, ERR_AGAIN (full), ERR_SYSTEM. Never blocks on a non-blocking fd. */
MUST_CHECK int link_send(int fd, u32 type, const void *body, size_t len, const int *fds, size_t nfds);
/* Receives one message into buf (body only; at most size). Returns body length; fds_r gets close-on-exec
 * descriptors that are the caller's; *nfds_r in: room, out: received. ERR_AGAIN: nothing there,
 * ERR_NOTFOUND: end of channel, ERR_PROTO: cut or malformed (its fds are closed), ERR_SYSTEM. */
MUST_CHECK int link_recv(int fd, u32 *type_r, void *buf, size_t size, int *fds_r, size_t *nfds_r);

/* Connection ids (32 bits): instance 3, epoch parity 1, a one, slot 6, sequence 21. The one keeps them apart from the
 * thread ids of servers, which begin at 1 (a server reaches 2^27 after years): KILL takes both kinds. */
#define LINK_SESSION_SEQ 0x1fffffu
static inline u32
link_session_id(u32 instance, u64 epoch, u32 slot, u32 seq)
{
	return (instance & 7) << 29 | (u32)(epoch & 1) << 28 | 1u << 27 | (slot & 63) << 21 | (seq & LINK_SESSION_SEQ);
}
static inline u32
link_session_slot(u32 id)
{
	return id >> 21 & 63;
}
static inline bool
link_session_is_ours(u32 id, u32 instance, u64 epoch)
{
	return id >> 29 == (instance & 7) && (id >> 28 & 1) == (epoch & 1) && (id >> 27 & 1) == 1;
}
#endif
