/* health/catalog.h: the catalogue as health keeps it: asks the probers for definitions, compares shards, publishes. Part of the
 * publishing thread's table (health/publish.h). Health's main thread only. How it works: doc/catalog.md.
 */
#ifndef MARGAY_HEALTH_CATALOG_H
#define MARGAY_HEALTH_CATALOG_H
#include "health/defs.h"
#include "shm/cfg.h"

struct table;
struct hserver;
struct hcluster;

/* What is known of one server. */
struct cat_server {
	u64 asked, asked_ns;   /* the question under way, 0: none */
	u64 due_ns;            /* the next one, if nothing happens before */
	u64 not_before_ns;
	u64 urgent_ns; /* since when it is outdated, 0: it was not seen to be */
	u32 in_a_row;  /* urgent questions */
	u32 nseen, nasked;     /* counters of its cluster's servers when result, and when the question, was asked for */
	struct cat_seen *seen, *asked_seen;
	struct def_result *result; /* the last good one; NULL: none since it takes statements */
	bool complained;
	bool took; /* it took statements when its cluster was judged last */
};
/* What is watched of one cluster. */
struct cat_watch {
	u64 interval_ns; /* catalog_interval; 0: nothing is read */
	struct def_list *list;
	int server;      /* whose tables are published: id, -1: nobody's */
};
/* A configured table. */
struct cat_conf_place {
	const char *shard, *database;
	u32 cluster; /* id */
};
struct cat_conf {
	const char *schema, *name, *key;
	u32 kind, nplaces;
	struct cat_conf_place *place;
	char *shown; /* differences that the log has told; NULL: none */
};
struct catalog {
	struct shm_seg_catalog *seg;
	struct arena a;          /* of tables */
	struct cat_conf *tables; /* sorted as the catalogue is */
	u32 ntables;
	u64 questions;           /* asked so far */
	void *blob;              /* as published */
	size_t size;
	bool dirty;              /* something may have changed since it was published */
	u32 omitted;             /* what the log has told */
};

/* Takes over the tables and intervals of a generation. 0 or ERR_NOMEM. */
MUST_CHECK int catalog_adopt(struct table *t, const struct cfg *cfg);
/* Asks for what is due. Returns when to look again at the latest, UINT64_MAX: nothing is urgent. */
u64 catalog_look(struct table *t);
/* Takes a server's answer, if there is one. */
void catalog_take(struct table *t, struct hserver *h);
/* The cluster was judged, and the verdicts are about to be published. */
void catalog_servers(struct table *t, struct hcluster *c);
/* Publishes what has changed. */
void catalog_publish(struct table *t);
void catalog_server_forget(struct cat_server *s);
void catalog_watch_end(struct cat_watch *w);
#endif
