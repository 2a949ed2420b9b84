/* health/replication.c: who is primary of a replication cluster, and which replicas may serve reads. Pure.
 * Health only; called by judge.c. All that servers report may be wrong or change in any way: nothing here
 * relies on it for more than the verdict.
 */
#include "health/judge.h"
#include "base/str.h"

#define CHAIN_MAX 16 /* relays between a replica and its primary whose lags are summed */

/* ---- topology ---- */

static bool
host_matches(const struct judge_srv *t, const struct obs_channel *ch)
{
	if (t->port == ch->port) {
		if (str_ieq(t->host, ch->host))
			return true;
		for (u32 i = 0; i < t->naddr; i++)
			if (t->addr[i].text[0] != '\0' && str_ieq(t->addr[i].text, ch->host))
				return true;
	}
	return t->have_facts && t->facts.port == ch->port && t->facts.hostname[0] != '\0' &&
	    str_ieq(t->facts.hostname, ch->host);
}

/* Index of the server that a channel leads to, or -1: outside of the cluster. The server id decides if it
 * is known and belongs to one server only: replicas may know their primary by another name or through a
 * virtual address. */
static int
find_upstream(const struct judge_clu *c, u32 self, const struct obs_channel *ch)
{
	int by_id = -1, by_host = -1;
	u32 same_id = 0;

	for (u32 i = 0; i < c->n; i++) {
		const struct judge_srv *t = c->srv[i];

		if (i == self)
			continue;
		if (ch->server_id != 0 && t->have_facts && t->facts.server_id == ch->server_id) {
			by_id = (int)i;
			same_id++;
		}
		if (by_host < 0 && host_matches(t, ch))
			by_host = (int)i;
	}
	return same_id == 1 ? by_id : by_host;
}

static void
map_topology(struct judge_clu *c)
{
	for (u32 i = 0; i < c->n; i++) {
		struct judge_srv *s = c->srv[i];

		for (u32 k = 0; k < OBS_CHANNELS; k++)
			s->up[k] = s->have_facts && k < s->facts.nchannels
			    ? find_upstream(c, i, &s->facts.channel[k])
			    : -1;
		s->writable = s->alive && s->have_facts && !s->facts.read_only;
	}
}

/* Does `from` replicate from `to`, at any distance? */
static bool
reaches(const struct judge_clu *c, u32 from, u32 to)
{
	bool seen[JUDGE_MAX_SERVERS] = {false};
	u32 todo[JUDGE_MAX_SERVERS], n = 0;

	seen[from] = true;
	todo[n++] = from;
	while (n > 0) {
		const struct judge_srv *s = c->srv[todo[--n]];

		for (u32 k = 0; k < OBS_CHANNELS; k++) {
			if (s->up[k] < 0)
				continue;
			if ((u32)s->up[k] == to)
				return true;
			if (!seen[s->up[k]]) {
				seen[s->up[k]] = true;
				todo[n++] = (u32)s->up[k];
			}
		}
	}
	return false;
}

static bool
channel_is_active(const struct obs_channel *ch)
{
	return ch->io != OBS_THREAD_NO || ch->sql != OBS_THREAD_NO;
}

/* Is a writable server nevertheless a replica? It is if it replicates from another server of the cluster,
 * unless that one replicates from it in turn (a ring is decided by who is writable). A channel whose threads
 * are both stopped may be what a promotion left behind, or a replica under maintenance: it counts only while
 * its other end is writable and the server itself was not the last primary. With no memory of a primary it
 * does not count: two writable servers are then two primaries, and nobody is written to blindly. */
static bool
is_replica(const struct judge_clu *c, u32 i)
{
	const struct judge_srv *s = c->srv[i];

	for (u32 k = 0; k < s->facts.nchannels && k < OBS_CHANNELS; k++) {
		if (s->up[k] < 0 || reaches(c, (u32)s->up[k], i))
			continue;
		if (channel_is_active(&s->facts.channel[k]))
			return true;
		if (c->srv[s->up[k]]->writable && c->last_primary >= 0 && (int)s->id != c->last_primary)
			return true;
	}
	return false;
}

static int
index_of(const struct judge_clu *c, int id)
{
	for (u32 i = 0; i < c->n; i++)
		if ((int)c->srv[i]->id == id)
			return (int)i;
	return -1;
}

/* The one server that others replicate from and that replicates from nobody; -1 if not exactly one. */
static int
only_root(const struct judge_clu *c)
{
	int root = -1;

	for (u32 i = 0; i < c->n; i++)
		for (u32 k = 0; k < OBS_CHANNELS; k++) {
			int up = c->srv[i]->up[k];

			if (up < 0 || c->srv[up]->facts.nchannels > 0 || up == root)
				continue;
			if (root >= 0)
				return -1;
			root = up;
		}
	return root;
}

/* ---- lag ---- */

/* By the heartbeat table: the age of the newest row applied. Both times are of this host's clock, so clocks
 * of servers do not matter. While nobody writes heartbeats (no primary) the age stops growing, one interval
 * after the last row written. false: not to be told this way. */
static bool
heartbeat_lag(const struct judge_clu *c, const struct judge_srv *s, int primary, u64 now_ms, u64 *lag_r)
{
	u64 written = 0, upto, quiet = 3 * c->o.probe_interval_ms + c->o.probe_timeout_ms;

	if (!c->o.heartbeat || !s->facts.hb_read)
		return false;
	for (u32 i = 0; i < c->n; i++)
		written = MAX(written, c->srv[i]->hb_written_ms);
	/* Before the first row of this process, and when the primary is there but takes no rows, old rows
	 * say nothing. A row from the future was written before the clock was set back. */
	if (written == 0 || (primary >= 0 && now_ms > written + quiet) ||
	    s->facts.hb_row_ms > s->facts.hb_at_ms + 1000)
		return false;
	upto = MIN(s->facts.hb_at_ms, written + c->o.probe_interval_ms);
	*lag_r = upto > s->facts.hb_row_ms ? upto - s->facts.hb_row_ms : 0;
	return true;
}

/* The channel by which s gets what `anchor` writes, or -1. anchor < 0: the first. */
static int
main_channel(const struct judge_clu *c, u32 i, int anchor)
{
	const struct judge_srv *s = c->srv[i];

	for (u32 k = 0; k < s->facts.nchannels && k < OBS_CHANNELS; k++)
		if (anchor < 0 || s->up[k] == anchor ||
		    (s->up[k] >= 0 && reaches(c, (u32)s->up[k], (u32)anchor)))
			return (int)k;
	return -1;
}

static bool
channel_runs(const struct obs_channel *ch)
{
	return ch->io == OBS_THREAD_YES && ch->sql == OBS_THREAD_YES;
}

/* By Seconds_Behind_Master, summed over relays: a relay that stands still looks healthy from below. */
static bool
seconds_lag(const struct judge_clu *c, u32 i, int anchor, u64 *lag_r)
{
	*lag_r = 0;
	for (u32 depth = 0; depth < CHAIN_MAX; depth++) {
		const struct judge_srv *s = c->srv[i];
		int k = main_channel(c, i, anchor);
		const struct obs_channel *ch;

		if (!s->alive || !s->have_facts || k < 0)
			return false;
		ch = &s->facts.channel[k];
		if (!channel_runs(ch) || !ch->behind_known)
			return false;
		*lag_r += ch->behind_ms;
		if (s->up[k] < 0 || s->up[k] == anchor)
			return true;
		i = (u32)s->up[k];
		if (c->srv[i]->facts.nchannels == 0)
			return true;
	}
	return false;
}

/* ---- verdicts ---- */

static enum srv_cause
stopped_cause(const struct obs_channel *ch)
{
	if (ch->sql != OBS_THREAD_YES)
		return SRV_CAUSE_SQL_STOPPED;
	return ch->io == OBS_THREAD_NO ? SRV_CAUSE_IO_STOPPED : SRV_CAUSE_NONE;
}

/* A replica that gets the anchor's writes. gone: there is no primary and no two either, so nothing is
 * written that it could miss. */
static void
judge_lag(struct judge_clu *c, u32 i, int primary, int anchor, bool gone, u64 now_ns, u64 now_ms)
{
	struct judge_srv *s = c->srv[i];
	int k = main_channel(c, i, anchor);
	enum srv_cause cause = k < 0 ? SRV_CAUSE_NONE : stopped_cause(&s->facts.channel[k]);
	u64 lag = SRV_LAG_UNKNOWN, seen;
	bool known;

	if (cause != SRV_CAUSE_NONE && !(gone && s->v.state == SRV_UP)) {
		s->lag_known = false;
		judge_set(s, SRV_BROKEN, SRV_ROLE_REPLICA, cause, SRV_LAG_UNKNOWN);
		return;
	}
	known = heartbeat_lag(c, s, primary, now_ms, &seen) || seconds_lag(c, i, anchor, &seen);
	if (known) {
		s->lag_known = true;
		s->lag_ms = lag = seen;
		s->lag_ns = s->facts_ns;
	} else if (s->lag_known) {
		/* It was there, lost sight of its primary, and falls behind from then on, at worst; but
		 * not behind a primary that is gone. */
		cause = cause != SRV_CAUSE_NONE ? cause : SRV_CAUSE_LAG_UNKNOWN;
		if (now_ns > s->lag_ns && !gone)
			s->lag_ms += (now_ns - s->lag_ns) / 1000000;
		s->lag_ns = MAX(now_ns, s->lag_ns);
		lag = s->lag_ms;
	} else {
		cause = cause != SRV_CAUSE_NONE ? cause : SRV_CAUSE_LAG_UNKNOWN;
	}
	if (c->o.max_lag_ms != 0 && lag > c->o.max_lag_ms && !(lag == SRV_LAG_UNKNOWN && gone))
		judge_set(s, SRV_LAGGING, SRV_ROLE_REPLICA, known ? SRV_CAUSE_LAG : SRV_CAUSE_LAG_UNKNOWN,
		    lag);
	else
		judge_set(s, SRV_UP, SRV_ROLE_REPLICA, cause, lag);
}

static void
judge_one(struct judge_clu *c, u32 i, int primary, int anchor, bool two, u64 now_ns, u64 now_ms)
{
	struct judge_srv *s = c->srv[i];
	bool gone = primary < 0 && !two;
	u64 unused;

	if (!s->alive) {
		judge_set(s, judge_dead_state(s), SRV_ROLE_NONE, s->cause, SRV_LAG_UNKNOWN);
	} else if ((int)i == primary) {
		judge_set(s, SRV_UP, SRV_ROLE_PRIMARY, s->cause, 0);
	} else if (s->cause != SRV_CAUSE_NONE) {
		/* Cannot be looked at any more: its lag is not known. */
		judge_set(s, SRV_BROKEN, s->v.role, s->cause, SRV_LAG_UNKNOWN);
	} else if (s->candidate) {
		/* One of two, or one that must wait until all were looked at. */
		judge_set(s, two ? SRV_BROKEN : SRV_UNKNOWN, SRV_ROLE_NONE,
		    two ? SRV_CAUSE_TWO_PRIMARIES : SRV_CAUSE_NONE, SRV_LAG_UNKNOWN);
	} else if ((int)i == anchor) {
		/* It was primary, or all others replicate from it, and it is read-only now: its data is
		 * the newest there is. */
		judge_set(s, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_READ_ONLY, 0);
	} else if (s->facts.nchannels == 0) {
		judge_set(s, SRV_BROKEN, SRV_ROLE_NONE,
		    gone ? SRV_CAUSE_READ_ONLY : SRV_CAUSE_NOT_REPLICA, SRV_LAG_UNKNOWN);
	} else if (anchor >= 0 && main_channel(c, i, anchor) < 0 &&
	    !heartbeat_lag(c, s, primary, now_ms, &unused)) {
		/* Replicates, but not from here as far as can be seen. Heartbeats would be a proof. */
		judge_set(s, SRV_BROKEN, SRV_ROLE_REPLICA, SRV_CAUSE_NOT_REPLICA, SRV_LAG_UNKNOWN);
	} else {
		judge_lag(c, i, primary, anchor, gone, now_ns, now_ms);
	}
}

/* Why there is no primary. */
static enum srv_cause
none_cause(const struct judge_clu *c, int last)
{
	if (last >= 0 && !c->srv[last]->alive && c->srv[last]->cause != SRV_CAUSE_NONE)
		return c->srv[last]->cause;
	for (u32 i = 0; i < c->n; i++)
		if (c->srv[i]->alive)
			return SRV_CAUSE_READ_ONLY;
	return c->srv[0]->cause;
}

void
judge_replication(struct judge_clu *c, u64 now_ns, u64 now_ms)
{
	int primary = -1, last = index_of(c, c->last_primary), anchor;
	u32 candidates = 0;
	bool all_known = true;

	map_topology(c);
	c->writable = 0;
	for (u32 i = 0; i < c->n; i++) {
		struct judge_srv *s = c->srv[i];

		all_known = all_known && s->known;
		c->writable += s->writable;
		s->candidate = s->writable && !is_replica(c, i);
		if (s->candidate) {
			candidates++;
			primary = (int)i;
		}
	}
	/* A newcomer waits until every server was looked at once: there may be a second one. */
	if (candidates != 1 || (primary != last && !all_known))
		primary = -1;
	anchor = primary >= 0 ? primary : last >= 0 ? last : only_root(c);
	for (u32 i = 0; i < c->n; i++)
		if (c->srv[i]->known)
			judge_one(c, i, primary, anchor, candidates > 1, now_ns, now_ms);
	judge_elect(c, primary < 0 ? NULL : c->srv[primary]);
	c->cause = primary >= 0 ? SRV_CAUSE_NONE
	    : candidates > 1    ? SRV_CAUSE_TWO_PRIMARIES
	                        : none_cause(c, last);
}
