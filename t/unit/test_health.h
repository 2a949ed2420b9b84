/* t/unit/test_health.h: a cluster made of lines, for the tables of scenarios. Tests only. */
#ifndef MARGAY_T_TEST_HEALTH_H
#define MARGAY_T_TEST_HEALTH_H
#include "health/judge.h"

#define SEC 1000000000ull

struct world {
	struct judge_clu c;
	struct judge_srv s[8];
	u64 now_ns, now_ms;
};

/* n servers 10.0.0.1:3306, 10.0.0.2:3306, ... with ids 0.. and server ids 1.. */
void world_init(struct world *w, enum cfg_topology topology, u32 n);
/* What a good probe of server i sees: writable, no channels. */
struct obs good(const struct world *w, u32 i);
struct obs bad(enum srv_cause cause);
/* A channel of o to server `to`, both threads running, no lag. */
struct obs_channel *follow(struct obs *o, const struct world *w, u32 to);
/* Outcome for server i, `times` of them a second apart, without judging the cluster. */
void feed(struct world *w, u32 i, struct obs o, u32 times);
/* Judges the cluster. */
void judge(struct world *w);
/* "up primary -", "broken replica sql-stopped": state, role, cause. Static storage, per server. */
const char *seen(const struct world *w, u32 i);
/* A replication cluster in its normal state: 0 is primary, the others replicate from it. */
void world_normal(struct world *w, u32 n);
#endif
