/* health/publish.h: the table of servers and clusters of the running configuration, and the health segment
 * that is its image. The publishing thread is the single writer of both. Health only.
 */
#ifndef MARGAY_HEALTH_PUBLISH_H
#define MARGAY_HEALTH_PUBLISH_H
#include "base/log.h"
#include "health/catalog.h"
#include "health/judge.h"
#include "health/prober.h"

struct hserver {
	bool used;
	bool keep;   /* scratch of a reload */
	u32 cluster; /* index in table.clusters */
	struct prober *prober;
	struct prober_conf conf;
	struct judge_srv j;
	struct shm_srvhealth rec; /* as published */
	struct log_rate rate;
	struct cat_server cat;
};
struct hcluster {
	bool used;
	char name[64];
	struct judge_clu j;
	int shown_primary;
	bool shown, shown_two; /* what the log says */
	struct log_rate rate;
	struct cat_watch cat;
};

struct table {
	struct shm_seg_health *seg;
	const struct shm_seg_master *names; /* admin states */
	struct prober_env env;
	u32 nservers; /* capacity of the segment */
	u64 generation;
	struct hserver servers[JUDGE_MAX_SERVERS];
	struct hcluster clusters[SHM_MAX_CLUSTERS];
	struct catalog cat;
};

/* Follows a configuration: probers of new servers start, of changed ones learn of it, of removed ones end. 0
 * or ERR_INVAL (the log says why): then nothing was changed. */
MUST_CHECK int table_adopt(struct table *t, const struct cfg *cfg);
/* Ends all probers. */
void table_clear(struct table *t);
/* Takes what the probers saw and publishes what follows. */
void table_update(struct table *t);
/* Judges all clusters anew: time has passed, or admin states have changed. */
void table_rejudge(struct table *t);
/* A worker saw a server fail, or a worker died. */
void table_alarm(struct table *t);
/* Have all servers been looked at? */
bool table_all_known(const struct table *t);
/* The longest probe_timeout. */
u64 table_longest_ms(const struct table *t);
#endif
