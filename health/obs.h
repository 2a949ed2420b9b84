/* health/obs.h: what one probe of one server found out: plain facts, no opinion. Filled by the probe thread
 * of that server (probe.c), judged by the publishing thread (judge.c, cluster.c). Health only.
 */
#ifndef MARGAY_HEALTH_OBS_H
#define MARGAY_HEALTH_OBS_H
#include "shm/health.h"

#define OBS_CHANNELS 8   /* replication channels looked at; more are cut and logged */
#define OBS_DOMAINS  8   /* pairs that fit in srvhealth.gtid */
#define OBS_TEXT     128 /* host names, versions */

enum obs_thread { OBS_THREAD_NO, OBS_THREAD_CONNECTING, OBS_THREAD_YES };

/* One row of SHOW ALL SLAVES STATUS. */
struct obs_channel {
	char host[OBS_TEXT];
	u32 port;
	u64 server_id; /* of its primary, 0: never connected */
	enum obs_thread io, sql;
	bool behind_known; /* Seconds_Behind_Master is not NULL */
	u64 behind_ms;
};

struct obs_gtid {
	u64 domain, seq;
};

/* A resolved address; also kept as text, as replicas may name it so. */
struct obs_addr {
	u32 len;
	u8 sa[SHM_ADDR_SIZE - 4];
	char text[64]; /* numeric, without port; "" for a Unix socket */
};

/* What a good probe read. */
struct obs_facts {
	bool mariadb;
	bool read_only;
	bool hb_read; /* the heartbeat table had this instance's row */
	u64 server_id;
	char version[64];
	char hostname[OBS_TEXT]; /* as the server calls itself */
	u32 port;
	u32 nchannels;
	struct obs_channel channel[OBS_CHANNELS];
	u32 ngtid;
	struct obs_gtid gtid[OBS_DOMAINS];
	u32 threads_connected, max_connections;
	u64 wait_timeout_s;
	u64 hb_row_ms, hb_at_ms; /* time in the row, and when it was read: both by the clock of this host */
	/* Galera */
	bool wsrep_on, wsrep_ready, wsrep_primary;
	u32 wsrep_state; /* wsrep_local_state: 4 synced, 2 donor */
	char wsrep_comment[64];
	char wsrep_uuid[64];
};

struct obs {
	enum srv_cause cause; /* SRV_CAUSE_NONE: a good probe, facts hold */
	u32 mysql_errno;
	char error[256]; /* printable ASCII */
	u64 started_ns, ended_ns;
	u64 connected_ns; /* when the connection that was used was made */
	u32 conf_version; /* of the prober_conf it was made with */
	u32 naddr; /* of failed probes too; the one that was connected to is the first */
	struct obs_addr addr[SHM_ADDR_MAX];
	struct obs_facts facts;
};
#endif
