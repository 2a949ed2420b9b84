/* health/judge.c: rise and fall of one server, and the clusters whose primary is simple to tell: standalone
 * and Galera. Replication is in replication.c. Pure. Health only.
 */
#include "health/judge.h"
#include "base/str.h"

void
judge_srv_init(struct judge_srv *s, u32 id, const char *host, u32 port)
{
	memset(s, 0, sizeof *s);
	s->id = id;
	(void)str_copy(s->host, sizeof s->host, host);
	s->port = port;
	s->v.lag_ms = SRV_LAG_UNKNOWN;
}

void
judge_srv_restore(struct judge_srv *s, struct srv_verdict v)
{
	s->v = v;
	/* A primary stays one until it is seen otherwise: too many connections, say, must not cost a
	 * cluster its primary because health was restarted. It was writable and no replica. */
	if (v.state == SRV_UP && v.role == SRV_ROLE_PRIMARY) {
		s->alive = true;
		s->have_facts = true;
		s->facts.wsrep_on = s->facts.wsrep_ready = s->facts.wsrep_primary = true;
		s->facts.wsrep_state = 4;
	}
}

void
judge_clu_restore(struct judge_clu *c, int primary, u32 epoch)
{
	c->primary = c->last_primary = primary;
	c->epoch = epoch;
}

/* Causes that show a living server which does not let us look. */
static bool
is_unseen(enum srv_cause c)
{
	return c == SRV_CAUSE_AUTH || c == SRV_CAUSE_TOO_MANY || c == SRV_CAUSE_DENIED;
}

static void
probe_good(struct judge_srv *s, const struct obs *o, const struct judge_opts *opts)
{
	s->good++;
	s->bad = 0;
	s->facts = o->facts;
	s->have_facts = true;
	s->facts_ns = o->ended_ns;
	if (s->alive || !s->known || s->good >= opts->rise) {
		s->alive = true;
		s->answers = true;
		s->cause = SRV_CAUSE_NONE;
	}
}

static void
probe_bad(struct judge_srv *s, const struct obs *o, const struct judge_opts *opts)
{
	s->bad++;
	s->good = 0;
	if (s->alive && s->bad < opts->fall)
		return;
	s->cause = o->cause;
	s->answers = is_unseen(o->cause) || o->cause == SRV_CAUSE_ERROR;
	if (s->alive && is_unseen(o->cause))
		return; /* judge_cluster decides by its role */
	s->alive = false;
	s->lag_known = false;
}

void
judge_probe(struct judge_srv *s, const struct obs *o, const struct judge_opts *opts)
{
	if (o->naddr > 0) {
		memcpy(s->addr, o->addr, sizeof s->addr);
		s->naddr = MIN(o->naddr, SHM_ADDR_MAX);
	}
	if (o->cause == SRV_CAUSE_NONE)
		probe_good(s, o, opts);
	else
		probe_bad(s, o, opts);
	s->known = true;
}

enum srv_state
judge_dead_state(const struct judge_srv *s)
{
	return s->answers ? SRV_BROKEN : SRV_DOWN;
}

void
judge_set(struct judge_srv *s, enum srv_state state, enum srv_role role, enum srv_cause cause, u64 lag_ms)
{
	if (state != s->v.state || role != s->v.role)
		s->v.epoch = (s->v.epoch + 1) & 0xffffff;
	s->v.state = state;
	s->v.role = role;
	s->v.cause = cause;
	s->v.lag_ms = (u32)MIN(lag_ms, SRV_LAG_UNKNOWN);
}

/* p NULL: there is none now; the epoch is kept, since the same server may come back. */
void
judge_elect(struct judge_clu *c, const struct judge_srv *p)
{
	c->primary = p == NULL ? -1 : (int)p->id;
	if (p == NULL || c->primary == c->last_primary)
		return;
	c->last_primary = c->primary;
	c->epoch++;
}

static bool
all_known(const struct judge_clu *c)
{
	for (u32 i = 0; i < c->n; i++)
		if (!c->srv[i]->known)
			return false;
	return true;
}

static void
judge_standalone(struct judge_clu *c)
{
	struct judge_srv *first = c->srv[0];

	for (u32 i = 0; i < c->n; i++) {
		struct judge_srv *s = c->srv[i];

		if (!s->known)
			continue;
		if (!s->alive)
			judge_set(s, judge_dead_state(s), SRV_ROLE_NONE, s->cause, SRV_LAG_UNKNOWN);
		else if (i == 0)
			judge_set(s, SRV_UP, SRV_ROLE_PRIMARY, s->cause, 0);
		else
			judge_set(s, SRV_BROKEN, SRV_ROLE_NONE, SRV_CAUSE_NOT_REPLICA, SRV_LAG_UNKNOWN);
	}
	c->writable = first->alive;
	judge_elect(c, first->alive ? first : NULL);
	c->cause = first->alive ? SRV_CAUSE_NONE : first->cause;
}

/* What keeps a Galera server that answers from serving. */
static enum srv_cause
galera_cause(const struct judge_srv *s)
{
	const struct obs_facts *f = &s->facts;

	if (!f->wsrep_on)
		return SRV_CAUSE_NOT_READY;
	if (!f->wsrep_primary)
		return SRV_CAUSE_NON_PRIMARY;
	if (f->wsrep_state == 2)
		return SRV_CAUSE_DONOR;
	if (f->wsrep_state != 4)
		return SRV_CAUSE_NOT_SYNCED;
	return f->wsrep_ready ? SRV_CAUSE_NONE : SRV_CAUSE_NOT_READY;
}

static bool
galera_serves(const struct judge_srv *s)
{
	/* One that cannot be looked at any more serves on only as the writer. */
	return s->alive && galera_cause(s) == SRV_CAUSE_NONE &&
	    (s->cause == SRV_CAUSE_NONE || s->v.role == SRV_ROLE_PRIMARY);
}

/* Two states of the group, each of which calls itself the primary component. */
static bool
galera_is_split(const struct judge_clu *c)
{
	const char *uuid = "";

	for (u32 i = 0; i < c->n; i++) {
		const struct judge_srv *s = c->srv[i];

		if (!galera_serves(s) || s->facts.wsrep_uuid[0] == '\0')
			continue;
		if (uuid[0] != '\0' && strcmp(uuid, s->facts.wsrep_uuid) != 0)
			return true;
		uuid = s->facts.wsrep_uuid;
	}
	return false;
}

/* The server that takes the writes: the one that did, else the first in the list. One writer, although all
 * could, since certification failures of two would be the clients' trouble. */
static struct judge_srv *
galera_writer(struct judge_clu *c)
{
	struct judge_srv *first = NULL, *drained = NULL;

	c->writable = 0;
	for (u32 i = 0; i < c->n; i++) {
		struct judge_srv *s = c->srv[i];

		if (!galera_serves(s) || s->facts.read_only)
			continue;
		c->writable++;
		if (s->drained)
			drained = drained != NULL ? drained : s;
		else if ((int)s->id == c->last_primary)
			return s;
		else if (first == NULL)
			first = s;
	}
	return first != NULL ? first : drained;
}

static void
judge_galera(struct judge_clu *c)
{
	bool split = galera_is_split(c);
	struct judge_srv *w = galera_writer(c);

	/* A newcomer waits until every server was looked at once: the writer of before may be among them. */
	if (split || (w != NULL && (int)w->id != c->last_primary && !all_known(c)))
		w = NULL;
	c->cause = SRV_CAUSE_NONE;
	for (u32 i = 0; i < c->n; i++) {
		struct judge_srv *s = c->srv[i];
		enum srv_cause why = !s->alive || s->cause != SRV_CAUSE_NONE ? s->cause : galera_cause(s);

		if (!s->known)
			continue;
		if (!s->alive)
			judge_set(s, judge_dead_state(s), SRV_ROLE_NONE, why, SRV_LAG_UNKNOWN);
		else if (!galera_serves(s))
			judge_set(s, SRV_BROKEN, SRV_ROLE_NONE, why, SRV_LAG_UNKNOWN);
		else if (split)
			judge_set(s, SRV_BROKEN, SRV_ROLE_NONE, SRV_CAUSE_TWO_PRIMARIES, SRV_LAG_UNKNOWN);
		else
			judge_set(s, SRV_UP, s == w ? SRV_ROLE_PRIMARY : SRV_ROLE_REPLICA, why, 0);
		if (c->cause == SRV_CAUSE_NONE)
			c->cause = why;
	}
	judge_elect(c, w);
	if (split)
		c->cause = SRV_CAUSE_TWO_PRIMARIES;
	else if (w != NULL)
		c->cause = SRV_CAUSE_NONE;
	else if (c->cause == SRV_CAUSE_NONE)
		c->cause = SRV_CAUSE_READ_ONLY;
}

void
judge_cluster(struct judge_clu *c, u64 now_ns, u64 now_ms)
{
	if (c->n == 0)
		return;
	switch (c->o.topology) {
	case CFG_STANDALONE:
		judge_standalone(c);
		break;
	case CFG_GALERA:
		judge_galera(c);
		break;
	case CFG_REPLICATION:
		judge_replication(c, now_ns, now_ms);
		break;
	}
}
