/* worker/worker.h: what a worker process is made of. One thread, one loop; every struct here belongs to it.
 * sess.h is the client side, bconn.h the server side; they meet only in bconn_link and bconn_unlink.
 */
#ifndef MARGAY_WORKER_WORKER_H
#define MARGAY_WORKER_WORKER_H
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/reasons.h"
#include "router/plan.h"
#include "shm/catalog.h"
#include "shm/cfg.h"
#include "shm/health.h"
#include "shm/link.h"
#include "shm/pool.h"
#include "worker/conn.h"
#include "worker/ev.h"
#include "worker/intern.h"

#define WORKER_TICK_MS   100 /* timeouts are kept to this; also the heartbeat */
#define WORKER_FAST_MS   5   /* while statements wait (pool_grow_delay, grants of another epoch) or passwords are checked */
#define WHEEL_SLOTS      512 /* times WORKER_TICK_MS: deadlines further away go round again */
#define SESS_HASH        4096
#define POOL_HASH        256 /* pools of one server: one for each account, or for each client address */
#define SUSPECT_NS       (1000 * MS_NS) /* a server that refused a connection is left alone so long */

struct sess;
struct bconn;

struct gtid_pos { /* what a server is known to have applied */
	u64 probed; /* health's record that this came from */
	u32 n;
	u64 pos[16];
};

/* A server as this worker uses it. Indexed by shared-memory id; kept over generations. */
struct wserver {
	struct worker *w;
	u32 id;
	u32 pool_slot;
	bool configured;
	char name[64];
	struct list pools;
	struct bpool *pool_hash[POOL_HASH];
	u32 npools_unused;    /* nobody refers to them: freed at the next tick */
	struct list conns;    /* all bconns */
	u32 nconns, nidle, nbusy, npinned, nwaiting, nconnecting;
	u32 ncontrol;
	u32 nquitting;        /* closed here, not yet by the server */
	u64 suspect_until;    /* a connect failed */
	u64 wait_marked;      /* value in the pool segment, 0: none */
	u64 last_grow, last_ring;
	struct gtid_pos gtid;
	bool gives_gtid;      /* it has reported one */
	u64 alive_ns, alive_until; /* time after which a kept connection is used (sess_idle.c); when it is looked up anew */
	u64 no_wait_until;    /* no read waits there for a position: it was in vain */
	/* options of the generation in force */
	u64 pool_size, pool_grow_ns, pool_idle_ns, pool_age_ns, max_prepared, connect_ns, max_connections;
	u32 weight, cluster;
	bool track_trx;          /* its cluster has replay_transactions */
	u32 zip, zip_level;      /* enum cfg_compression */
	bool proxy;              /* connections begin with a PROXY header */
	u32 tls_mode;            /* enum cfg_tls_server */
	struct tls_ctx *tls;     /* NULL: off */
	struct tls_resume resume;
	char tls_name[256];      /* that verify-full expects */
	char tls_sni[256];       /* "": the address is a number or a path */
};

/* Connections that answer alike: same server, account, capabilities and collation, and client address if the server is told
 * of it. Lives while a connection, a session in line or one that has found it before refers to it. */
struct bpool {
	struct list node; /* in wserver.pools */
	struct bpool *hnext;
	u64 hash;
	u32 refs;
	struct wserver *srv;
	u8 family;                 /* 0: the server is told of nobody; 1: of Margay itself; 4, 6: of addr */
	u8 addr[16];
	u32 user_id;
	struct istr *user_name;    /* section */
	struct istr *backend_user;
	struct istr *program;      /* [user] pass_program_name; NULL: Margay's own */
	u32 caps;                  /* CAPS_KEY bits */
	u8 mcaps;                  /* MCAPS_KEY bits */
	u8 collation;
	struct list idle;  /* LIFO */
	struct list waitq; /* sessions, FIFO */
	u32 nidle, nconns, nwaiting;
};
/* Capabilities that change answers and survive a reset: part of the pool's key (CLIENT_FOUND_ROWS does,
 * measured; the others by the same reasoning). */
#define CAPS_KEY                                                                                   \
	(CAP_FOUND_ROWS | CAP_IGNORE_SPACE | CAP_INTERACTIVE | CAP_LOCAL_FILES | CAP_MULTI_STATEMENTS |   \
	    CAP_MULTI_RESULTS | CAP_PS_MULTI_RESULTS | CAP_NO_SCHEMA | CAP_ODBC)

/* Of MariaDB's extended ones: column definitions are of the form that the client asked for, and pass as they are. */
#define MCAPS_KEY MCAP_EXTENDED_METADATA

struct wlisten {
	struct ev_io io;
	struct worker *w;
	u32 kind, tls;
	bool used;
	bool takeover; /* of a throttled slot: closed when its queue is empty */
};

struct worker {
	u32 magic;
#define WORKER_MAGIC 0x57524b31
	struct ev_loop loop;
	struct conn_env env;
	struct chunk_pool chunks;
	u64 bytes_held;
	struct intern in;

	u32 slot, instance, nworkers, max_workers;
	u64 epoch;
	u64 me; /* pool owner word */
	struct ev_io channel, bell, inbox;
	bool orphan;       /* the master is gone */
	bool stopping;     /* no new clients; sessions finish */
	u64 stop_deadline;
	bool ready_sent, drained_sent, have_listen;
	int inbox_fd;
	u32 handed[LINK_MAX_WORKERS]; /* since the last tick */

	struct shm_map m_pool, m_auth, m_catalog, m_names, m_health, m_self, m_peer[LINK_MAX_WORKERS];
	struct shm_seg_pool *pool;
	struct shm_seg_auth *auth;
	const struct shm_seg_catalog *catalog;
	struct cat_copy cat;
	const struct shm_seg_master *names;
	const struct shm_seg_health *health;
	struct shm_seg_worker *seg;
	const struct shm_seg_worker *peer[LINK_MAX_WORKERS];
	int bells[LINK_MAX_WORKERS], inboxes[LINK_MAX_WORKERS], health_bell;
	struct shm_wstat *stat;
	struct shm_sstat *sstat;
	struct shm_session *srec;
	struct shm_addrcount *addrs;
	u64 *users;
	u32 *free_rec; /* stack of free indices into srec */
	u32 nfree_rec;

	struct cfg cfg;
	bool have_cfg;
	u64 gen;

	u64 slow_ns; /* slow_log_time, UINT64_MAX: there is no slow log */
	u64 defaults; /* counts changes of what new server connections begin with (STMT_F_DEFAULTS) */
	struct wserver *srv; /* max_servers */
	u32 max_servers;

	struct wlisten listen[2 * LINK_MAX_LISTEN];
	bool accepting;   /* health has said enough for the first client */
	u64 listen_since; /* when that was asked first */

	struct list sessions; /* all */
	struct sess *by_id[SESS_HASH];
	u32 nsess;
	u32 next_seq;
	struct list wheel[WHEEL_SLOTS];
	u64 wheel_now; /* tick number */
	struct list held;   /* sessions whose statement waits for a primary, FIFO */
	u32 nheld;
	u32 nfirst;         /* of these, woken ahead of the others and not yet done */
	u64 first_until;
	struct list resume; /* sessions with held bytes to look at */
	u32 at_session; /* whose event is being handled, for a panic text */
	u32 turn;
	struct tls_ctx *tls; /* towards clients; NULL: not offered */
	struct auth_rsa *rsa; /* passwords come encrypted for it; NULL: they cannot */
	struct list proving;  /* struct auth of sessions in state PROVE, FIFO */
	struct digest shape;  /* of the statement looked at last */
	struct plankey key;   /* the same */
	struct plan_cache plans;
	u32 max_plans;
	struct arena arena;   /* trees, while a text is looked at */
	char version[80]; /* greeting, when not configured */
	u64 version_until;
};

/* listen.c: accepting */
void listen_adopt(struct worker *w, const int *fds, const struct link_listen *m, bool takeover);
void listen_enable(struct worker *w);
void listen_close(struct worker *w, bool takeover_only);
void listen_client(struct worker *w, int fd, u32 kind, u32 tls, u32 hops);
u64 worker_clients_all(const struct worker *w);
/* chan.c: the master, the bell, the inbox */
void chan_open(struct worker *w);
void chan_say(struct worker *w, u32 type, const void *body, size_t len);
void chan_ring(int fd);
/* adopt.c: configuration generations */
bool adopt_config(struct worker *w, int fd, int sfd, u64 gen);
/* sess_plan.c: a generation was adopted */
void plan_renew(struct worker *w);
/* ... or another version of the catalogue. */
void plan_stamp(struct worker *w);
/* tick.c */
void worker_on_tick(void *worker);
void worker_stop(struct worker *w, u64 drain_ms);
void worker_fast(struct worker *w); /* somebody waits for a short time: WORKER_FAST_MS */
void worker_check_drained(struct worker *w);

/* Health word of a server, with what this worker saw itself. */
static inline struct srv_verdict
wserver_verdict(const struct wserver *s)
{
	return srv_verdict_load(s->w->health, s->id);
}
#endif
