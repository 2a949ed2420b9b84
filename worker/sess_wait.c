/* worker/sess_wait.c: statements that wait while their cluster has no primary: who may wait, for how long, and what wakes them.
 * A login that names a database is one too: a server has to say whether its user may have it. Only statements that have
 * reached no server wait here, or that a server has refused before doing anything. Runs in a worker.
 *
 * Health rings every worker when a verdict changes; the tick looks too, for what this worker alone has seen (a server that
 * refused a connection is tried again after a second).
 */
#include "router/route.h"
#include "worker/sess.h"

#define FIRST_NS (1000 * MS_NS) /* nobody waits longer for those who go first */
#define LOST_MAX 2 /* servers lost while they ran a statement, before it may be the statement that ends them */

static const struct cfg_cluster *
cluster_of(struct sess *s)
{
	return sess_user(s) == NULL ? NULL : &cfg_clusters(&s->w->cfg)[s->cluster_idx];
}

static bool
is_usable(struct worker *w, u32 id)
{
	return id < w->max_servers && !wserver_suspect(&w->srv[id], ev_now(&w->loop)) && !wserver_drained(w, id);
}

/* Is there a server that may take the statement now? */
static bool
has_server(struct sess *s, const struct cfg_cluster *c)
{
	struct worker *w = s->w;
	const u32 *idx = cfg_cluster_servers(&w->cfg, c);
	int prim = clu_primary_load(w->health, c->id, NULL);

	if (prim >= 0 && is_usable(w, (u32)prim))
		return true;
	/* a read waits since not even a replica could take it */
	for (u32 i = 0; s->cmd.read && i < c->nservers && i < ROUTE_MAX_SERVERS; i++) {
		u32 id = cfg_servers(&w->cfg)[idx[i]].id;

		if (is_usable(w, id) && wserver_verdict(&w->srv[id]).state == SRV_UP)
			return true;
	}
	return false;
}

/* Milliseconds that a held session has left; for its deadline. */
u64
hold_left_ms(const struct sess *s)
{
	u64 now = ev_now(&s->w->loop);

	return s->cmd.hold_until > now ? (s->cmd.hold_until - now) / MS_NS + 1 : 1;
}

/* The statement under way is put aside until there is a primary. False: it may not wait, and fails as the caller says;
 * *why_r is what to add. */
bool
hold_statement(struct sess *s, const char **why_r)
{
	struct worker *w = s->w;
	const struct cfg_cluster *c = cluster_of(s);
	u64 now = ev_now(&w->loop);

	*why_r = "";
	if (c == NULL || c->failover_timeout == 0 || c->failover_buffer == 0 || s->cmd.lost > LOST_MAX || s->cmd.kill_sent ||
	    w->stopping)
		return false;
	if (s->cmd.hold_until == 0) {
		if (w->nheld >= c->failover_buffer) {
			STAT_ADD(w->stat->failover_refused, 1);
			*why_r = "; as many statements as failover_buffer allows wait for one";
			return false;
		}
		s->cmd.hold_until = now + c->failover_timeout * MS_NS;
		STAT_ADD(w->stat->failover_waits, 1);
	} else if (now >= s->cmd.hold_until) {
		STAT_ADD(w->stat->failover_timeouts, 1);
		*why_r = "; failover_timeout is over";
		return false;
	}
	if (!cmd_save(s))
		return true; /* the client was told */
	trace_begin(s, TRACE_WAIT);
	replay_first_done(s);
	s->held = true;
	list_push_back(&w->held, &s->held_node);
	w->nheld++;
	STAT_SET(w->stat->clients_held, w->nheld);
	if (s->state != SESS_WAIT)
		sess_set_state(s, SESS_WAIT);
	else
		sess_renew(s);
	if (s->cmd.login)
		sess_record(s); /* so that its user may KILL it */
	chan_ring(w->health_bell);
	return true;
}

void
hold_end(struct sess *s)
{
	if (!s->held)
		return;
	s->held = false;
	list_del(&s->held_node);
	s->w->nheld--;
	STAT_SET(s->w->stat->clients_held, s->w->nheld);
}

void
hold_timeout(struct sess *s)
{
	const struct cfg_cluster *c = cluster_of(s);

	STAT_ADD(s->w->stat->failover_timeouts, 1);
	cmd_fail(s, ERR_NO_PRIMARY, "cluster %s: none for %llu ms (failover_timeout)%s",
	    c != NULL ? cfg_text(&s->w->cfg, c->section_name) : "?",
	    (unsigned long long)((ev_now(&s->w->loop) - s->cmd.started) / MS_NS), s->cmd.last_error);
}

static void
wake(struct worker *w, bool first)
{
	list_for_each_safe(i, t, &w->held) {
		struct sess *s = LIST_ENTRY(i, struct sess, held_node);
		const struct cfg_cluster *c = cluster_of(s);

		if ((first && !replay_goes_first(s)) || (c != NULL && !has_server(s, c)))
			continue;
		hold_end(s);
		if (first)
			replay_first(s);
		s->cmd.exclude = 0;
		sess_renew(s); /* from here on it waits for a connection */
		s->parked = true;
		sess_resume(s);
	}
}

/* Verdicts may have changed: those who find a primary now go on, in the order in which they came; ahead of all, transactions
 * that need the auto-increment values that they had. */
void
hold_look(struct worker *w)
{
	u64 now = ev_now(&w->loop);

	if (likely(w->nheld == 0))
		return;
	if (w->nfirst == 0)
		w->first_until = now + FIRST_NS;
	wake(w, true);
	if (w->nfirst == 0 || now >= w->first_until)
		wake(w, false);
}

/* A server that is not primary (any more) has refused a statement before it did anything. */
bool
hold_refused(const struct sess *s, u16 code, const struct slice *text)
{
	static const char ro[] = "read-only";
	const u64 unseen = 1ull << PIN_ROUTINE | 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG;
	/* Galera says 1047 (WSREP not ready) of statements; of other commands it is what it says: unknown */
	bool statement = cmd_runs(&s->cmd) || s->cmd.com == COM_STMT_PREPARE;
	bool said = code == 1836 || (code == 1047 && statement);

	/* 1290 is said of other options too */
	for (size_t i = 0; code == 1290 && !said && i + sizeof ro - 1 <= text->len; i++)
		said = memcmp(text->p + i, ro, sizeof ro - 1) == 0;
	/* alone, it is no former primary: there will be no other, and who may write all the same is for it to say */
	if (s->hold_writes && code == 1290 && cfg_clusters(&s->w->cfg)[s->cluster_idx].topology == CFG_STANDALONE)
		return false;
	/* a log: it was sent to what was primary when the transaction began */
	return said && s->hold_writes && !s->cmd.read && !s->cmd.streamed && (s->cmd.st.flags & STMT_F_MULTI) == 0 &&
	    (s->cmd.st.pins & unseen) == 0 && s->cmd.st.kind != STMT_CALL && (s->cmd.to_primary || s->replay != NULL);
}
