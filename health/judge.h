/* health/judge.h: from what probes saw to verdicts. Two steps, both pure (the time comes in as an argument):
 * judge_probe counts good and bad probes of one server and decides whether it is alive; judge_cluster looks
 * at all servers of a cluster, decides which one is primary and what each may serve. The rules are told in
 * doc/health.md. Run by the publishing thread alone. Health only.
 */
#ifndef MARGAY_HEALTH_JUDGE_H
#define MARGAY_HEALTH_JUDGE_H
#include "health/obs.h"
#include "shm/cfg.h"

#define JUDGE_MAX_SERVERS 512 /* the largest max_servers */

struct judge_opts {
	enum cfg_topology topology;
	u32 rise, fall;
	u64 max_lag_ms; /* 0: no limit */
	u64 probe_interval_ms, probe_timeout_ms;
	bool heartbeat; /* heartbeat_table is set */
};

/* What is remembered of a server. */
struct judge_srv {
	u32 id;
	char host[OBS_TEXT]; /* of the address option */
	u32 port;
	bool drained;        /* margayctl drain */
	bool known;          /* a probe has ended since this process began to look */
	bool alive;          /* answers; facts may be relied on */
	bool answers;        /* not alive, but something answered (auth, too-many, error) */
	bool have_facts;
	u32 good, bad;       /* equal outcomes in a row; one of them is 0 */
	enum srv_cause cause; /* why not alive, or why it cannot be looked at any more although it is */
	struct obs_facts facts; /* of the last good probe */
	struct obs_addr addr[SHM_ADDR_MAX];
	u32 naddr;
	u64 facts_ns;
	bool lag_known;      /* the lag as it was last seen, and when */
	u64 lag_ms, lag_ns;
	struct srv_verdict v; /* out */
	u64 hb_written_ms;    /* last heartbeat written there, 0 none */
	/* scratch of judge_cluster: which server of the cluster each channel leads to, -1 none */
	int up[OBS_CHANNELS];
	bool writable, candidate;
};

struct judge_clu {
	struct judge_opts o;
	u32 n;
	struct judge_srv *srv[JUDGE_MAX_SERVERS]; /* in the order of the `servers` option */
	int primary;      /* server id, -1 none: out, and remembered */
	int last_primary; /* the newest that ever was, -1 none */
	u32 epoch;        /* counts changes of last_primary */
	enum srv_cause cause; /* why there is none */
	u32 writable;
};

void judge_srv_init(struct judge_srv *s, u32 id, const char *host, u32 port);
/* Takes over what an earlier process of this master published: nothing changes until a probe says so. */
void judge_srv_restore(struct judge_srv *s, struct srv_verdict v);
void judge_clu_restore(struct judge_clu *c, int primary, u32 epoch);
void judge_probe(struct judge_srv *s, const struct obs *o, const struct judge_opts *opts);
/* Sets v of each server that is known, and primary, epoch, cause. now_ms: wall clock of this host. */
void judge_cluster(struct judge_clu *c, u64 now_ns, u64 now_ms);
/* Why a server that is not alive does not answer: shown as its state. */
enum srv_state judge_dead_state(const struct judge_srv *s);
/* judge_cluster's parts, for its own use (replication.c). */
void judge_replication(struct judge_clu *c, u64 now_ns, u64 now_ms);
void judge_set(struct judge_srv *s, enum srv_state state, enum srv_role role, enum srv_cause cause,
    u64 lag_ms);
void judge_elect(struct judge_clu *c, const struct judge_srv *p);
#endif
