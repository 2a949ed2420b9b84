/* worker/sess_kill.c: KILL .. USER: the sessions of a user, in all workers. Owns cmd.kill_user. Runs in a worker.
 *
 * Whether the client may do it is for its server to say, which gets the statement and ends what it has of the account: pooled
 * connections, and clients that are not Margay's. A server passes over threads that the asking account may not end, and tells
 * how many it has ended (measured on 10.11): none is no permission, unless the user ends its own sessions. With process_admin
 * Margay says it, and no server is asked if there are such sessions.
 */
#include <stdio.h>
#include "base/str.h"
#include "worker/sess.h"

#define NO_SERVER UINT32_MAX

static bool
is_meant(const struct link_kill_user *k, const char *user, const char *host)
{
	return strcmp(k->user, user) == 0 && (k->host[0] == '\0' || strcmp(k->host, host) == 0);
}

/* The server that carried the statement out has already ended what runs there. */
static bool
was_ended(const struct link_kill_user *k, const struct sess *t)
{
	return k->query_only && k->host[0] == '\0' && t->b != NULL && t->b->srv->id == k->server &&
	    strcmp(t->b->bp->backend_user->text, k->user) == 0;
}

/* Those of this worker, but for the session that asked. */
void
kill_user_here(struct worker *w, const struct link_kill_user *k)
{
	list_for_each_safe(i, n, &w->sessions) {
		struct sess *t = LIST_ENTRY(i, struct sess, node);
		char host[64];

		peer_host(t, host, sizeof host);
		/* before that nobody knows whether it is who it says */
		if (t->id != k->by && (t->logged_in || t->cmd.login) && is_meant(k, t->user, host) && !was_ended(k, t))
			local_kill_session(w, t->id, k->query_only != 0, k->by);
	}
}

static void
tell_all(struct worker *w, const struct link_kill_user *k)
{
	for (u32 i = 0; i < w->nworkers; i++)
		if (i != w->slot && __atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) != 0 &&
		    link_send(w->inboxes[i], LINK_KILL_USER, k, sizeof *k, NULL, 0) != 0)
			log_warn("KILL USER %s by session %u could not be handed to worker %u", k->user, k->by, i);
	kill_user_here(w, k);
}

static u64
count_all(struct worker *w, const struct link_kill_user *k)
{
	struct shm_session r;
	char host[64];
	u64 n = 0, at = 0;

	while (local_session_next(w, &at, &r)) {
		peer_host_text(r.addr, host, sizeof host);
		n += r.state != SESS_LOGIN && is_meant(k, r.user, host);
	}
	return n;
}

static bool
is_self(struct sess *s, const struct link_kill_user *k)
{
	char host[64];

	peer_host(s, host, sizeof host);
	return is_meant(k, s->user, host);
}

static void
answer(struct sess *s, u64 rows, bool end)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_ok ok = {.status = s->status, .affected = rows};

	pkt_ok_write(&w, (u8)(s->cmd.last_seq + 1), 0x00, s->caps, &ok);
	STAT_ADD(s->w->stat->local_answers, 1);
	sess_cmd_clear(s);
	s->row_count = (i64)rows;
	if (w.bad || !sess_send(s, buf, w.len))
		sess_close(s, "write to client failed");
	else if (end)
		sess_close_when_sent(s);
}

bool
kill_user(struct sess *s, const void *arg, size_t len)
{
	struct cmd *c = &s->cmd;
	const struct cfg_user *u = sess_user(s);
	struct link_kill_user k = {.by = s->id, .server = NO_SERVER, .query_only = (c->st.flags & STMT_F_KILL_QUERY) != 0};
	struct slice user, host;

	if (!stmt_kill_user(arg, len, sess_lex_mode(s), &user, &host) || user.len >= sizeof k.user || host.len >= sizeof k.host)
		return false; /* for the server alone */
	if (user.p == NULL)
		str_copy(k.user, sizeof k.user, s->user);
	else
		str_copy_slice(k.user, sizeof k.user, user.p, user.len);
	if (host.len != 1 || host.p[0] != '%') /* as good as none (measured) */
		str_copy_slice(k.host, sizeof k.host, host.p != NULL ? (const void *)host.p : "", host.len);
	if (u != NULL && u->process_admin) {
		u64 n = count_all(s->w, &k);

		k.deadline = ev_now(&s->w->loop) + KILL_HAND_OVER_NS;
		if (n == 0)
			return false;
		tell_all(s->w, &k);
		answer(s, n, !k.query_only && is_self(s, &k));
		return true;
	}
	c->kill_user = malloc(sizeof k);
	if (c->kill_user == NULL) {
		cmd_fail(s, ERR_NOMEM, "KILL USER");
		return true;
	}
	*c->kill_user = k;
	if (!k.query_only)
		c->st.flags |= STMT_F_DEFAULTS; /* who logs in from then on gets none of the connections that have ended */
	return false;
}

bool
kill_user_done(struct sess *s, struct link_kill_user *k, u32 server, u64 rows)
{
	bool self = is_self(s, k);

	if (rows > 0 || self) {
		k->server = server;
		k->deadline = ev_now(&s->w->loop) + KILL_HAND_OVER_NS;
		tell_all(s->w, k);
	}
	bool end = self && !k->query_only;
	free(k);
	return end;
}
