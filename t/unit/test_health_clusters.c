/* t/unit/test_health_clusters.c: who is primary and who may serve reads: replication topologies, Galera. */
#include "test_health.h"
#include "base/str.h"
#include <criterion/criterion.h>

static struct obs
replica(const struct world *w, u32 i, u32 of)
{
	struct obs o = good(w, i);

	o.facts.read_only = true;
	follow(&o, w, of);
	return o;
}

void
world_normal(struct world *w, u32 n)
{
	world_init(w, CFG_REPLICATION, n);
	feed(w, 0, good(w, 0), 1);
	for (u32 i = 1; i < n; i++)
		feed(w, i, replica(w, i, 0), 1);
	judge(w);
}

/* want: one text per server; then the primary (-1 none). */
#define EXPECT(w, prim, ...) expect_at(__LINE__, w, prim, (const char *const[]){__VA_ARGS__})
static void
expect_at(int line, struct world *w, int prim, const char *const *want)
{
	judge(w);
	for (u32 i = 0; i < w->c.n; i++)
		cr_assert_str_eq(seen(w, i), want[i], "line %d, server %u: %s, not %s", line, i, seen(w, i),
		    want[i]);
	cr_assert_eq(w->c.primary, prim, "line %d: primary %d, not %d", line, w->c.primary, prim);
}

Test(replication, normal)
{
	struct world w;

	world_normal(&w, 3);
	EXPECT(&w, 0, "up primary -", "up replica -", "up replica -");
	cr_assert_eq(w.c.epoch, 1u);
	cr_assert_eq(w.c.writable, 1u);
	cr_assert_eq(w.s[1].v.lag_ms, 0u);
}

Test(replication, newcomer_waits_until_all_were_looked_at)
{
	struct world w;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	EXPECT(&w, -1, "unknown - -", "unknown - -");
	feed(&w, 1, bad(SRV_CAUSE_TIMEOUT), 1);
	EXPECT(&w, 0, "up primary -", "down - timeout");
}

Test(replication, stopped_threads)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].sql = OBS_THREAD_NO;
	o.facts.channel[0].behind_known = false;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken replica sql-stopped");
	o.facts.channel[0].sql = OBS_THREAD_YES;
	o.facts.channel[0].io = OBS_THREAD_NO;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken replica io-stopped");
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

Test(replication, lag)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].behind_ms = 10000;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	cr_assert_eq(w.s[1].v.lag_ms, 10000u);
	o.facts.channel[0].behind_ms = 11000;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "lagging replica lag");
	w.c.o.max_lag_ms = 0;
	EXPECT(&w, 0, "up primary -", "up replica -");
}

/* The IO thread lost its primary, which is there all the same: the lag grows until reads end. */
Test(replication, lag_unknown_grows)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].io = OBS_THREAD_CONNECTING;
	o.facts.channel[0].behind_known = false;
	feed(&w, 1, o, 3);
	EXPECT(&w, 0, "up primary -", "up replica lag-unknown");
	cr_assert_eq(w.s[1].v.lag_ms, 3000u);
	feed(&w, 1, o, 8);
	EXPECT(&w, 0, "up primary -", "lagging replica lag-unknown");
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

Test(replication, lag_never_known)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	o = replica(&w, 1, 0);
	o.facts.channel[0].behind_known = false;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "lagging replica lag-unknown");
	cr_assert_eq(w.s[1].v.lag_ms, SRV_LAG_UNKNOWN);
}

/* Reads go on when the primary is gone, although IO threads have nobody to talk to. */
Test(replication, primary_dies_and_returns)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].io = OBS_THREAD_CONNECTING;
	o.facts.channel[0].behind_known = false;
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 2);
	EXPECT(&w, 0, "up primary -", "up replica -");
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 1);
	feed(&w, 1, o, 60);
	EXPECT(&w, -1, "down - refused", "up replica lag-unknown");
	cr_assert_eq(w.c.cause, SRV_CAUSE_REFUSED);
	for (u32 i = 0; i < 60; i++) {
		feed(&w, 1, o, 1);
		judge(&w);
	}
	EXPECT(&w, -1, "down - refused", "up replica lag-unknown");
	feed(&w, 0, good(&w, 0), 2);
	EXPECT(&w, 0, "up primary -", "up replica lag-unknown");
	cr_assert_eq(w.c.epoch, 1u);
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

/* Started while the primary is down: its replicas serve reads, nobody is written to. */
Test(replication, started_without_primary)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 3);
	feed(&w, 0, bad(SRV_CAUSE_TIMEOUT), 1);
	for (u32 i = 1; i < 3; i++) {
		o = replica(&w, i, 0);
		o.facts.channel[0].io = OBS_THREAD_CONNECTING;
		o.facts.channel[0].behind_known = false;
		o.facts.channel[0].server_id = 0;
		feed(&w, i, o, 1);
	}
	EXPECT(&w, -1, "down - timeout", "up replica lag-unknown", "up replica lag-unknown");
}

Test(replication, broken_before_the_primary_died_stays_broken)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].sql = OBS_THREAD_NO;
	o.facts.channel[0].behind_known = false;
	feed(&w, 1, o, 1);
	judge(&w);
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	EXPECT(&w, -1, "down - refused", "broken replica sql-stopped");
}

Test(replication, promotion)
{
	struct world w;
	struct obs o;

	world_normal(&w, 3);
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	EXPECT(&w, -1, "down - refused", "up replica -", "up replica -");
	/* STOP SLAVE and read_only = 0, the channel left as it was */
	o = good(&w, 1);
	follow(&o, &w, 0)->io = OBS_THREAD_NO;
	o.facts.channel[0].sql = OBS_THREAD_NO;
	feed(&w, 1, o, 1);
	EXPECT(&w, 1, "down - refused", "up primary -", "broken replica not-replica");
	cr_assert_eq(w.c.epoch, 2u);
	feed(&w, 2, replica(&w, 2, 1), 1);
	EXPECT(&w, 1, "down - refused", "up primary -", "up replica -");
	/* the old one returns beside it, writable, replicating from nobody */
	feed(&w, 0, good(&w, 0), 2);
	EXPECT(&w, -1, "broken - two-primaries", "broken - two-primaries", "up replica -");
	cr_assert_eq(w.c.cause, SRV_CAUSE_TWO_PRIMARIES);
	cr_assert_eq(w.c.epoch, 2u);
	cr_assert_eq(w.c.writable, 2u);
	/* made a replica of the new one */
	feed(&w, 0, replica(&w, 0, 1), 1);
	EXPECT(&w, 1, "up replica -", "up primary -", "up replica -");
	cr_assert_eq(w.c.epoch, 2u);
}

Test(replication, old_primary_returns_as_writable_replica)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	feed(&w, 1, good(&w, 1), 1);
	EXPECT(&w, 1, "down - refused", "up primary -");
	o = good(&w, 0);
	follow(&o, &w, 1);
	feed(&w, 0, o, 2);
	EXPECT(&w, 1, "up replica -", "up primary -");
	cr_assert_eq(w.c.writable, 2u);
}

Test(replication, switchover)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = good(&w, 0);
	o.facts.read_only = true;
	feed(&w, 0, o, 1);
	EXPECT(&w, -1, "up replica read-only", "up replica -");
	cr_assert_eq(w.c.cause, SRV_CAUSE_READ_ONLY);
	feed(&w, 1, good(&w, 1), 1);
	EXPECT(&w, 1, "broken - not-replica", "up primary -");
	feed(&w, 0, replica(&w, 0, 1), 1);
	EXPECT(&w, 1, "up replica -", "up primary -");
	cr_assert_eq(w.c.epoch, 2u);
}

Test(replication, two_writable_from_the_start)
{
	struct world w;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	feed(&w, 1, good(&w, 1), 1);
	EXPECT(&w, -1, "broken - two-primaries", "broken - two-primaries");
	cr_assert_eq(w.c.epoch, 0u);
}

/* A replica whose read_only was forgotten, running, stopped, and with its primary dead. */
Test(replication, writable_replica)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	o = good(&w, 1);
	follow(&o, &w, 0);
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	o.facts.channel[0].io = o.facts.channel[0].sql = OBS_THREAD_NO;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken replica sql-stopped");
	o.facts.channel[0].io = OBS_THREAD_CONNECTING;
	o.facts.channel[0].sql = OBS_THREAD_YES;
	o.facts.channel[0].behind_known = false;
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	feed(&w, 1, o, 1);
	EXPECT(&w, -1, "down - refused", "up replica lag-unknown");
}

/* With no memory of a primary a stopped channel proves nothing: nobody is written to. */
Test(replication, writable_stopped_replica_at_the_start)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	o = good(&w, 1);
	follow(&o, &w, 0)->io = OBS_THREAD_NO;
	o.facts.channel[0].sql = OBS_THREAD_NO;
	feed(&w, 1, o, 1);
	EXPECT(&w, -1, "broken - two-primaries", "broken - two-primaries");
}

Test(replication, chain)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 3);
	feed(&w, 0, good(&w, 0), 1);
	o = replica(&w, 1, 0);
	o.facts.channel[0].behind_ms = 6000;
	feed(&w, 1, o, 1);
	o = replica(&w, 2, 1);
	o.facts.channel[0].behind_ms = 5000;
	feed(&w, 2, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -", "lagging replica lag");
	cr_assert_eq(w.s[2].v.lag_ms, 11000u, "lags of a chain add up");
	/* The relay stands still: its replica looks well but falls behind. */
	feed(&w, 2, replica(&w, 2, 1), 1);
	judge(&w);
	o = replica(&w, 1, 0);
	o.facts.channel[0].sql = OBS_THREAD_NO;
	feed(&w, 1, o, 12);
	EXPECT(&w, 0, "up primary -", "broken replica sql-stopped", "lagging replica lag-unknown");
}

Test(replication, ring)
{
	struct world w;
	struct obs a, b;

	world_init(&w, CFG_REPLICATION, 2);
	a = good(&w, 0);
	follow(&a, &w, 1);
	b = replica(&w, 1, 0);
	feed(&w, 0, a, 1);
	feed(&w, 1, b, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	/* The passive half dies: nothing changes for the active one. */
	feed(&w, 1, bad(SRV_CAUSE_REFUSED), 3);
	a.facts.channel[0].io = OBS_THREAD_CONNECTING;
	feed(&w, 0, a, 1);
	EXPECT(&w, 0, "up primary -", "down - refused");
	/* Both writable. */
	b.facts.read_only = false;
	feed(&w, 1, b, 2);
	EXPECT(&w, -1, "broken - two-primaries", "broken - two-primaries");
	/* Roles exchanged. */
	a.facts.read_only = true;
	feed(&w, 0, a, 1);
	EXPECT(&w, 1, "lagging replica lag-unknown", "up primary -");
	cr_assert_eq(w.c.epoch, 2u);
}

Test(replication, known_by_another_name)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	o = replica(&w, 1, 0);
	(void)str_copy(o.facts.channel[0].host, sizeof o.facts.channel[0].host, "vip.example");
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	/* never connected: by the name it gives itself */
	o.facts.channel[0].server_id = 0;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken replica not-replica");
	(void)str_copy(o.facts.channel[0].host, sizeof o.facts.channel[0].host, "DB1");
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

/* All with the default server id 1: names must do. */
Test(replication, equal_server_ids)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 3);
	o = good(&w, 0);
	feed(&w, 0, o, 1);
	for (u32 i = 1; i < 3; i++) {
		o = replica(&w, i, 0);
		o.facts.server_id = 1;
		o.facts.channel[0].server_id = 1;
		feed(&w, i, o, 1);
	}
	EXPECT(&w, 0, "up primary -", "up replica -", "up replica -");
}

Test(replication, multi_source)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, good(&w, 0), 1);
	o = good(&w, 1);
	o.facts.read_only = true;
	follow(&o, &w, 0);
	o.facts.channel[0].server_id = 99;
	(void)str_copy(o.facts.channel[0].host, sizeof o.facts.channel[0].host, "elsewhere");
	o.facts.channel[0].sql = OBS_THREAD_NO;
	follow(&o, &w, 0);
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

/* A primary that replicates from outside of the cluster (a migration) is one. */
Test(replication, primary_with_outside_source)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	o = good(&w, 0);
	follow(&o, &w, 0);
	o.facts.channel[0].server_id = 99;
	(void)str_copy(o.facts.channel[0].host, sizeof o.facts.channel[0].host, "elsewhere");
	feed(&w, 0, o, 1);
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
}

Test(replication, replica_of_nobody)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = good(&w, 1);
	o.facts.read_only = true;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken - not-replica");
}

Test(replication, all_read_only)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_REPLICATION, 2);
	o = good(&w, 0);
	o.facts.read_only = true;
	feed(&w, 0, o, 1);
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, -1, "up replica read-only", "up replica -");
	world_init(&w, CFG_REPLICATION, 2);
	feed(&w, 0, o, 1);
	o.facts.server_id = 2;
	feed(&w, 1, o, 1);
	EXPECT(&w, -1, "broken - read-only", "broken - read-only");
}

/* It lets nobody in any more: the primary goes on, a replica cannot prove its lag. */
Test(replication, unseen)
{
	struct world w;

	world_normal(&w, 2);
	feed(&w, 0, bad(SRV_CAUSE_TOO_MANY), 3);
	feed(&w, 1, bad(SRV_CAUSE_AUTH), 2);
	EXPECT(&w, 0, "up primary too-many", "up replica -");
	feed(&w, 1, bad(SRV_CAUSE_AUTH), 1);
	EXPECT(&w, 0, "up primary too-many", "broken replica auth");
	feed(&w, 1, replica(&w, 1, 0), 1);
	EXPECT(&w, 0, "up primary too-many", "up replica -");
}

Test(replication, heartbeat)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	w.c.o.heartbeat = true;
	o = replica(&w, 1, 0);
	o.facts.channel[0].behind_ms = 3000;
	o.facts.hb_read = true;
	/* nothing written by this process yet: old rows say nothing */
	o.facts.hb_row_ms = w.now_ms - 60000;
	o.facts.hb_at_ms = w.now_ms;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	cr_assert_eq(w.s[1].v.lag_ms, 3000u);
	w.s[0].hb_written_ms = w.now_ms;
	o.facts.hb_at_ms = w.now_ms + 250;
	o.facts.hb_row_ms = w.now_ms;
	feed(&w, 1, o, 1);
	judge(&w);
	cr_assert_eq(w.s[1].v.lag_ms, 250u);
	o.facts.hb_row_ms = w.now_ms - 12000;
	w.s[0].hb_written_ms = o.facts.hb_at_ms = w.now_ms;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "lagging replica lag");
	cr_assert_eq(w.s[1].v.lag_ms, 12000u);
	/* the row is from the future: the clock was set back */
	o.facts.hb_row_ms = o.facts.hb_at_ms + 5000;
	feed(&w, 1, o, 1);
	judge(&w);
	cr_assert_eq(w.s[1].v.lag_ms, 3000u);
}

/* Nobody writes heartbeats when the primary is gone: what was applied by then is no lag. */
Test(replication, heartbeat_without_primary)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	w.c.o.heartbeat = true;
	w.s[0].hb_written_ms = w.now_ms;
	o = replica(&w, 1, 0);
	o.facts.hb_read = true;
	o.facts.hb_row_ms = w.now_ms;
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	o.facts.channel[0].io = OBS_THREAD_CONNECTING;
	o.facts.channel[0].behind_known = false;
	o.facts.hb_at_ms = w.now_ms + 60000;
	feed(&w, 1, o, 1);
	EXPECT(&w, -1, "down - refused", "up replica -");
	cr_assert_leq(w.s[1].v.lag_ms, 1000u);
}

/* The primary is there but takes no rows: the server's own figure is used. */
Test(replication, heartbeat_not_written)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	w.c.o.heartbeat = true;
	w.s[0].hb_written_ms = w.now_ms;
	o = replica(&w, 1, 0);
	o.facts.hb_read = true;
	o.facts.hb_row_ms = w.now_ms;
	o.facts.hb_at_ms = w.now_ms + 20000;
	o.facts.channel[0].behind_ms = 11000;
	feed(&w, 1, o, 20);
	EXPECT(&w, 0, "up primary -", "lagging replica lag");
	cr_assert_eq(w.s[1].v.lag_ms, 11000u);
}

/* A relay that is not configured lies between; heartbeats that arrive are the proof. */
Test(replication, heartbeat_proves_the_chain)
{
	struct world w;
	struct obs o;

	world_normal(&w, 2);
	o = replica(&w, 1, 0);
	o.facts.channel[0].server_id = 77;
	(void)str_copy(o.facts.channel[0].host, sizeof o.facts.channel[0].host, "relay");
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "broken replica not-replica");
	w.c.o.heartbeat = true;
	w.s[0].hb_written_ms = o.facts.hb_at_ms = w.now_ms;
	o.facts.hb_read = true;
	o.facts.hb_row_ms = w.now_ms - 700;
	feed(&w, 1, o, 1);
	EXPECT(&w, 0, "up primary -", "up replica -");
	cr_assert_eq(w.s[1].v.lag_ms, 700u);
}

Test(replication, senseless_topologies_do_no_harm)
{
	struct world w;

	for (u32 seed = 1; seed < 3000; seed++) {
		u32 r = seed * 2654435761u;

		world_init(&w, CFG_REPLICATION, 5);
		for (u32 round = 0; round < 3; round++)
			for (u32 i = 0; i < 5; i++) {
				struct obs o = good(&w, i);

				r = r * 1664525 + 1013904223;
				o.facts.read_only = r >> 31;
				o.facts.server_id = r >> 28 & 3;
				for (u32 k = 0; k < (r >> 24 & 3); k++) {
					struct obs_channel *ch = follow(&o, &w, (r >> (3 * k)) % 5);

					ch->io = (enum obs_thread)((r >> (5 + k)) % 3);
					ch->sql = (enum obs_thread)((r >> (9 + k)) % 3);
					ch->server_id = r >> (11 + k) & 7;
					ch->behind_known = r >> (13 + k) & 1;
				}
				feed(&w, i, (r >> 20 & 7) == 0 ? bad(SRV_CAUSE_TIMEOUT) : o, 1);
				judge(&w);
			}
		if (w.c.primary >= 0) {
			cr_assert_eq(w.s[w.c.primary].v.role, SRV_ROLE_PRIMARY);
			cr_assert_eq(w.s[w.c.primary].v.state, SRV_UP);
			cr_assert(!w.s[w.c.primary].facts.read_only);
		}
		for (u32 i = 0; i < 5; i++)
			cr_assert(w.s[i].v.role != SRV_ROLE_PRIMARY || w.c.primary == (int)i);
	}
}

static struct obs
node(const struct world *w, u32 i)
{
	struct obs o = good(w, i);

	o.facts.wsrep_on = o.facts.wsrep_ready = o.facts.wsrep_primary = true;
	o.facts.wsrep_state = 4;
	(void)str_copy(o.facts.wsrep_uuid, sizeof o.facts.wsrep_uuid, "one");
	return o;
}

Test(galera, writer_is_sticky)
{
	struct world w;

	world_init(&w, CFG_GALERA, 3);
	feed(&w, 1, node(&w, 1), 1);
	feed(&w, 2, node(&w, 2), 1);
	EXPECT(&w, -1, "unknown - -", "up replica -", "up replica -");
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 1);
	EXPECT(&w, 1, "down - refused", "up primary -", "up replica -");
	feed(&w, 0, node(&w, 0), 2);
	EXPECT(&w, 1, "up replica -", "up primary -", "up replica -");
	cr_assert_eq(w.c.epoch, 1u);
	feed(&w, 1, bad(SRV_CAUSE_TIMEOUT), 3);
	EXPECT(&w, 0, "up primary -", "down - timeout", "up replica -");
	cr_assert_eq(w.c.epoch, 2u);
	feed(&w, 1, node(&w, 1), 2);
	EXPECT(&w, 0, "up primary -", "up replica -", "up replica -");
}

Test(galera, states)
{
	static const struct {
		bool on, ready, prim;
		u32 state;
		const char *want;
	} t[] = {
	    {true, true, true, 4, "up primary -"},
	    {true, false, true, 4, "broken - not-ready"},
	    {true, false, true, 1, "broken - not-synced"},
	    {true, true, true, 2, "broken - donor"},
	    {true, true, true, 3, "broken - not-synced"},
	    {true, false, false, 0, "broken - non-primary"},
	    {false, false, false, 0, "broken - not-ready"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct world w;
		struct obs o;

		world_init(&w, CFG_GALERA, 1);
		o = node(&w, 0);
		o.facts.wsrep_on = t[i].on;
		o.facts.wsrep_ready = t[i].ready;
		o.facts.wsrep_primary = t[i].prim;
		o.facts.wsrep_state = t[i].state;
		feed(&w, 0, o, 1);
		EXPECT(&w, i == 0 ? 0 : -1, t[i].want);
	}
}

Test(galera, read_only_drained_and_split)
{
	struct world w;
	struct obs o;

	world_init(&w, CFG_GALERA, 3);
	o = node(&w, 0);
	o.facts.read_only = true;
	feed(&w, 0, o, 1);
	feed(&w, 1, node(&w, 1), 1);
	feed(&w, 2, node(&w, 2), 1);
	EXPECT(&w, 1, "up replica -", "up primary -", "up replica -");
	w.s[1].drained = true;
	EXPECT(&w, 2, "up replica -", "up replica -", "up primary -");
	w.s[2].drained = true;
	EXPECT(&w, 1, "up replica -", "up primary -", "up replica -");
	o = node(&w, 2);
	(void)str_copy(o.facts.wsrep_uuid, sizeof o.facts.wsrep_uuid, "two");
	feed(&w, 2, o, 1);
	EXPECT(&w, -1, "broken - two-primaries", "broken - two-primaries", "broken - two-primaries");
}
