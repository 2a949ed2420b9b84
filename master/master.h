/* master/master.h: the whole of a master process: what its parts share. One object, made in main.c. The parts:
 *   runtime  runtime_dir, lock, epochs      child    one child: start, messages, end
 *   segs     shared memory                  super    all children: throttle, hangs, stop
 *   listen   sockets                        elders   processes of earlier epochs
 *   gen      configuration generations      ctl      control socket; status: what it answers
 *   store    LMDB                           logs     log lines
 *   priv     user, capabilities, limits
 */
#ifndef MARGAY_MASTER_MASTER_H
#define MARGAY_MASTER_MASTER_H
#include "base/sdnotify.h"
#include "master/listen.h"
#include "master/logs.h"
#include "master/loop.h"
#include "master/runtime.h"
#include "master/segs.h"
#include "master/store.h"
#include "master/text.h"
#include <sys/types.h>

struct master;

enum child_state {
	CHILD_NONE,     /* no process, none planned */
	CHILD_WAITING,  /* no process; a start is due when the throttle lets it */
	CHILD_STARTING, /* a process that has not said READY */
	CHILD_READY
};
/* What a child must be told; sent in this order as its channel takes it. What is sent is the state of the
 * moment, so that nothing queues up behind a child that does not read. */
enum child_owed {
	OWE_START = 1,
	OWE_LOG = 2,
	OWE_LISTEN = 4,
	OWE_CONFIG = 8,
	OWE_ADMIN = 16,
	OWE_STOP = 32
};

struct child {
	struct master *m;
	int slot; /* -1: health */
	char name[24];
	enum child_state state;
	pid_t pid;
	int pidfd, channel;
	struct loop_fd pid_node, channel_node;
	struct log_pipe log;
	u32 owed;
	u64 born;          /* ns */
	u64 pause_ms;      /* before the latest start */
	u64 adopted;       /* generation */
	u64 refused;       /* generation */
	bool hello, stop_sent;
	bool aborted;      /* SIGABRT was sent because it hung */
	bool gave_sockets; /* throttled for long: another worker drained the slot's sockets */
	struct loop_timer start_timer, kill_timer;
};

struct gen { /* a configuration generation */
	u64 number; /* 0: none */
	int fd, sfd;
	struct cfg cfg;
};

#define ELDERS_MAX 256
struct elder { /* a process of an earlier epoch */
	struct master *m;
	u64 epoch;
	u32 slot;
	bool health;
	pid_t pid;
	int pidfd;
	struct loop_fd node;
	struct list link;
};
struct elders {
	struct list all;
	u32 n;
	struct loop_timer timer; /* end of their drain */
	bool termed;
};

struct reload {
	bool running, again; /* waiting for children; another one was asked for meanwhile */
	u64 changes;             /* counted while they are logged */
	struct text said;    /* errors and notes of the current attempt */
	struct loop_timer timer;
};

#define CTL_CLIENTS 16
struct ctl_client;
struct ctl {
	int fd;
	char path[4096];
	struct loop_fd node;
	struct ctl_client *client[CTL_CLIENTS];
};

enum master_phase { MASTER_STARTING, MASTER_SERVING, MASTER_STOPPING };

#define MASTER_MAGIC 0x6d617374u
struct master {
	u32 magic;
	const char *conf_path;
	bool last_good;   /* started from LMDB, as the file was broken */
	enum master_phase phase;
	int exit_code;
	bool ended;       /* leave the loop */
	bool hurried;     /* second stop signal */
	bool serving_said;
	struct loop loop;
	struct logs logs, slow; /* slow: the slow log, without a target while it is off */
	struct loop_fd signal_node;
	int signal_fd;
	struct runtime rt;
	struct segs segs;
	struct listen_set listen;
	struct store *store; /* NULL: done without, store_why says why */
	char store_why[320];
	struct gen gen;
	struct reload reload;
	struct child workers[LINK_MAX_WORKERS], health;
	int worker_exe, health_exe;
	struct elders elders;
	struct ctl ctl;
	struct sdnotify notify;
	struct loop_timer tick, watchdog, stop_timer, serve_timer;
	u64 last_tick;
	u64 drain_ms;     /* of the stop under way */
	u64 started_ms;   /* wall */
	u32 nofile, nofile_wanted;
	uid_t uid;        /* service account */
	gid_t gid, status_gid;
};

static inline const struct cfg_margay *
master_opts(const struct master *m)
{
	return &m->gen.cfg.r->margay;
}
static inline struct shm_mstat *
master_stat(const struct master *m)
{
	return &segs_names(&m->segs)->stat;
}
#endif
