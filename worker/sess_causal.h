/* worker/sess_causal.h: reads that must see writes: sess_causal.c for those who route and send. Runs in a worker. */
#ifndef MARGAY_WORKER_SESS_CAUSAL_H
#define MARGAY_WORKER_SESS_CAUSAL_H
#include "worker/sess.h"

struct route_in;

/* What a read of the session needs; n 0 and known: any server will do. */
void causal_need(struct sess *s, const struct cfg_cluster *c, struct causal *k);
bool causal_reached(struct worker *w, struct wserver *srv, const struct causal *k);
int causal_pick(struct sess *s, const struct cfg_cluster *c, const struct route_in *in, const struct causal *k);
size_t causal_sql(struct sess *s, char *buf, size_t size);
#define CAUSAL_SQL_MAX 320 /* CAUSAL_DOMAINS times a GTID of numbers of 20 digits */
#endif
