/* router/route.h: the decision where a statement goes. Pure: the caller brings what is known about the statement,
 * the session and the servers; the answer always has a reason (tbl/reasons.def). Runs in a worker.
 */
#ifndef MARGAY_ROUTER_ROUTE_H
#define MARGAY_ROUTER_ROUTE_H
#include "base/base.h"
#include "base/reasons.h"
#include "parser/stmt.h"
#include "shm/cfg.h"
#include "shm/health.h"

#define ROUTE_MAX_SERVERS 64 /* of one cluster; a read choice looks at each */

struct route_server {
	u32 id;               /* shared-memory index */
	u32 weight;
	u32 outstanding;      /* statements of this worker running there */
	struct srv_verdict v; /* health's word */
	bool drain;           /* margayctl drain: no new work */
	bool suspect;         /* this worker could not connect a moment ago */
	bool has_writes;      /* known to have applied the session's last write */
};

struct route_in {
	enum cfg_topology topology;
	enum cfg_read_policy policy;
	bool read_split;   /* the user's option */
	int hint_server;   /* index into servers that a hint names, -1: none */
	bool wrote;        /* the session has written something that a replica may lack */
	bool pinned_trx;   /* reads must stay with the primary (autocommit = 0) */
	bool retry;        /* runs again after its server was lost */
	int primary;       /* server id, -1: none */
	u64 exclude;       /* bit i: servers[i] has failed this statement */
	u32 turn;          /* anything that changes: breaks ties among equal servers */
	u32 n;
	const struct route_server *servers;
};

struct route_out {
	int index;             /* into servers, -1: none (why says what is missing) */
	enum route_reason why;
	bool read;             /* may be run again elsewhere */
	bool lacked_writes;    /* a read, and replicas that are up are not known to have what it must see */
	bool hint_ignored;     /* the statement's hint could not be followed */
};

void route_statement(const struct stmt *st, const struct route_in *in, struct route_out *out);
#endif
