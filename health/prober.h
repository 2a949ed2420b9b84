/* health/prober.h: all that is done to one server, by two threads: one probes it, the other (chores) writes
 * heartbeats, looks for triggers, reads definitions, and ends connections of dead workers, so that none of these ever delays
 * a verdict. The publishing thread makes and ends probers, tells them what is configured, and takes what
 * they saw; nothing else is shared. Health only.
 */
#ifndef MARGAY_HEALTH_PROBER_H
#define MARGAY_HEALTH_PROBER_H
#include "health/db.h"
#include "health/defs.h"
#include "health/obs.h"
#include "shm/cfg.h"
#include "shm/pool.h"
#include <pthread.h>

/* Pause between two probes when a worker saw the server fail: short, so that `fall` of them take little time,
 * and long enough that workers which ring all the time cost a server next to nothing. */
#define PROBER_QUICK_MS 100

/* What all probers share; fixed after start. */
struct prober_env {
	struct shm_seg_pool *pool;
	u64 me; /* owner word of this process */
	u32 instance;
	int report_fd; /* eventfd of the publishing thread */
	u32 nworkers;
	int worker_fd[64]; /* eventfd of each worker slot */
};

struct prober_conf {
	u32 id, pool_slot;
	char name[64]; /* section, for logs */
	char host[OBS_TEXT];
	u32 port; /* 0: host is the path of a socket */
	char user[256];
	char password[1100]; /* the configuration takes 1,024 bytes */
	enum cfg_topology topology;
	u32 fall;
	struct db_tls tls;
	bool proxy; /* proxy_protocol */
	u64 interval_ms, timeout_ms, routine_ms;
	char hb_table[300]; /* quoted; "" none */
};

#define PROBER_MAGIC 0x9b0be001u
struct prober {
	u32 magic;
	const struct prober_env *env;
	int stop_fd, probe_fd, chore_fd; /* eventfds; stop_fd is written once and never read */
	pthread_t probe_thread, chore_thread;
	pthread_mutex_t lock;
	/* under lock */
	struct prober_conf conf;
	u32 version; /* of conf */
	bool hurry;  /* a worker saw it fail */
	bool posted;
	struct obs last; /* the newest; posted: not taken yet */
	u32 overwritten; /* outcomes that were not taken in time */
	u64 cat_asked;   /* definitions: number of the newest question, 0: none yet */
	struct def_list *cat_list;
	struct def_result *cat_done; /* an answer that was not taken yet */
	/* atomic */
	bool primary;       /* main: write heartbeats there */
	bool alive;         /* main: chores are worth a connection */
	u32 leaves_state;   /* chores */
	u64 hb_written_ms;  /* chores */
	u32 recovered;      /* chores: cells given back since the last look */
	u32 orphans_left;   /* chores */
};

/* NULL: no memory, descriptor or thread. */
struct prober *prober_new(const struct prober_env *env, const struct prober_conf *conf);
/* Ends both threads; whatever they wait for is cut short. */
void prober_free(struct prober *p);
void prober_set_conf(struct prober *p, const struct prober_conf *conf);
/* Probe soon, and a few times in quick succession while it fails. */
void prober_hurry(struct prober *p);
/* There are orphans in its pool slot. */
void prober_recover(struct prober *p);
/* The newest outcome that was not taken yet; false: none. */
bool prober_take(struct prober *p, struct obs *o_r);
/* Definitions are wanted: of the tables in list (NULL: none; a reference is taken) and of functions. asked: the number by which
 * the answer is known; larger than any before. */
void prober_catalog_ask(struct prober *p, struct def_list *list, u64 asked);
/* The answer, which is the caller's then; NULL: none that was not taken yet. */
struct def_result *prober_catalog_take(struct prober *p);

/* For the two threads. */
bool prober_stops(const struct prober *p);
/* Copies conf if it is newer than *version. */
bool prober_conf_newer(struct prober *p, u32 *version, struct prober_conf *conf);
/* Sleeps until due_ns, a ring of fd, or the end. */
void prober_wait(const struct prober *p, int fd, u64 due_ns);
/* Takes a cell for a connection of health; -1: none is left, and the connection is made all the same, since
 * a server must not be called down for want of a cell. */
int prober_cell_take(const struct prober *p, u32 pool_slot);
void prober_cell_note(const struct prober *p, u32 pool_slot, int cell, u64 thread_id);
void prober_cell_give(const struct prober *p, u32 pool_slot, int cell);
/* The newest question, if it is newer than *asked; a reference to the list is the caller's then. */
bool prober_catalog_job(struct prober *p, u64 *asked, struct def_list **list_r);
/* Hands over an answer. */
void prober_catalog_done(struct prober *p, struct def_result *r);
void *chore_main(void *prober);
void *probe_main(void *prober);
#endif
