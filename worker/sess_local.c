/* worker/sess_local.c: what Margay answers itself: the process list, KILL, ROW_COUNT() and FOUND_ROWS() of a
 * statement whose connection has been given back. Runs in a worker.
 */
#include "base/str.h"
#include "worker/sess.h"

#define ROW_MAX 1024 /* one row of the process list: its fields are bounded by the record */

static void
finish(struct sess *s, bool ok)
{
	STAT_ADD(s->w->stat->local_answers, 1);
	sess_cmd_clear(s);
	if (!ok)
		sess_close(s, "write to client failed");
	else if (s->state == SESS_WAIT)
		sess_set_state(s, SESS_READY);
}

/* ---- SHOW PROCESSLIST ---- */

static const char *
state_text(const struct shm_session *r)
{
	switch (r->state) {
	case SESS_WAIT:
		return "waiting for a connection";
	case SESS_BUSY:
		return "running";
	case SESS_STREAM:
	case SESS_INFILE:
		return "receiving";
	case SESS_LOGIN:
	case SESS_SWITCH:
	case SESS_PROVE:
		return "login";
	default:
		return "";
	}
}

static struct slice
text_slice(const char *t)
{
	return (struct slice){(const u8 *)t, strlen(t)};
}

static void
process_row(struct rset *rs, const struct shm_session *r, u64 now, bool full, bool self)
{
	char id[16], secs[24];
	struct slice v[9];
	bool runs = self || r->state == SESS_BUSY || r->state == SESS_WAIT || r->state == SESS_STREAM ||
	    r->state == SESS_INFILE;
	const char *command = r->state == SESS_LOGIN || r->state == SESS_SWITCH || r->state == SESS_PROVE ? "Connect" :
	    runs ? com_word(r->command) : "Sleep";
	size_t info = strnlen(r->info, sizeof r->info);

	while (info > 0 && (r->info[info - 1] == ';' || (u8)r->info[info - 1] <= ' '))
		info--; /* as servers cut a statement before they show it */

	snprintf(id, sizeof id, "%u", r->other_id != 0 ? r->other_id : r->id);
	snprintf(secs, sizeof secs, "%llu", (unsigned long long)(now > r->since ? (now - r->since) / 1000000000u : 0));
	v[0] = text_slice(id);
	v[1] = text_slice(r->user[0] != '\0' ? r->user : "unauthenticated user");
	v[2] = text_slice(strcmp(r->addr, SESS_ADDR_UNIX) == 0 ? "localhost" : r->addr);
	v[3] = r->db[0] != '\0' ? text_slice(r->db) : (struct slice){NULL, 0};
	v[4] = text_slice(command);
	v[5] = text_slice(secs);
	v[6] = text_slice(self ? "starting" : state_text(r)); /* what 10.11 says of the statement itself */
	v[7] = runs && info > 0 ? (struct slice){(const u8 *)r->info, full ? info : MIN(info, 100)} : (struct slice){NULL, 0};
	v[8] = text_slice("0.000");
	rset_row(rs, v, 9);
}

bool
local_session_next(struct worker *w, u64 *at, struct shm_session *r)
{
	u32 k = (u32)*at;

	for (u32 i = (u32)(*at >> 32); i < w->nworkers; i++, k = 0) {
		const struct shm_seg_worker *seg = i == w->slot ? w->seg : w->peer[i];

		if (seg == NULL || __atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) == 0)
			continue;
		while (k < seg->max_sessions) {
			const struct shm_session *t = &shm_worker_sessions(seg)[k++];

			if (__atomic_load_n(&t->id, __ATOMIC_RELAXED) == 0 || seq_read(&t->seq, r, t, sizeof *r) != 0 || r->id == 0)
				continue;
			r->user[sizeof r->user - 1] = r->addr[sizeof r->addr - 1] = r->db[sizeof r->db - 1] = '\0';
			*at = (u64)i << 32 | k;
			return true;
		}
	}
	return false;
}

/* The user's own sessions, or all for a process_admin. */
void
local_processlist(struct sess *s, bool full)
{
	struct worker *w = s->w;
	u8 buf[4096];
	struct wr wr = wr_init(buf, sizeof buf);
	struct shm_session r;
	struct rset rs;
	u64 at = 0;
	bool ok;
	const struct cfg_user *u = sess_user(s);
	bool all = u != NULL && u->process_admin;

	rset_begin(&rs, &wr, 1, s->caps, s->mcaps, s->status, 9);
	rset_column_int(&rs, "Id");
	rset_column_str(&rs, "User", 128);
	rset_column_str(&rs, "Host", 64);
	rset_column_str(&rs, "db", 64);
	rset_column_str(&rs, "Command", 16);
	rset_column_int(&rs, "Time");
	rset_column_str(&rs, "State", 64);
	rset_column_str(&rs, "Info", 100);
	rset_column_str(&rs, "Progress", 8);
	rset_columns_end(&rs);
	ok = !wr.bad && sess_send(s, buf, wr.len);
	while (ok && local_session_next(w, &at, &r)) {
		if (!all && strcmp(r.user, s->user) != 0)
			continue;
		wr.len = 0;
		process_row(&rs, &r, ev_now(&w->loop), full, r.id == s->id);
		ok = !wr.bad && sess_send(s, buf, wr.len);
	}
	wr.len = 0;
	rset_end(&rs, 0);
	finish(s, ok && sess_send(s, buf, wr.len));
}

/* ---- KILL ---- */

/* Ends a session of this worker, or what it runs. by: session that asked, for the log. */
void
local_kill_session(struct worker *w, u32 id, bool query_only, u32 by)
{
	struct sess *t = sess_by_id(w, id);

	if (t == NULL || t->state >= SESS_CLOSING)
		return;
	STAT_ADD(w->stat->kills, 1);
	log_info("session %u %s@%s: KILL%s by session %u", id, t->user, t->addr_text, query_only ? " QUERY" : "", by);
	if (t->state == SESS_WAIT) {
		if (query_only)
			cmd_fail(t, ERR_INTERRUPTED, "KILL QUERY while waiting for a connection");
		else
			sess_error_close(t, t->cmd.login ? t->next_seq : (u8)(t->cmd.last_seq + 1), ERR_KILLED, "KILL");
		return;
	}
	if (t->b != NULL && t->b->state == BCONN_BUSY) {
		t->cmd.kill_sent = true;
		t->cmd.read = false;
		bconn_kill(t->b, t, query_only);
	}
	if (!query_only)
		sess_close(t, "KILL");
}

/* Server and its slot in the pool segment of the primary of the session's cluster; NULL: there is none. */
static struct wserver *
primary_of(struct sess *s)
{
	struct worker *w = s->w;
	const struct cfg_user *u = sess_user(s);
	int prim = u == NULL ? -1 : clu_primary_load(w->health, cfg_clusters(&w->cfg)[u->cluster_idx].id, NULL);

	return prim < 0 ? NULL : &w->srv[prim];
}

/* Has the session of this record been on its connection, without a break, since before `looked`? */
static bool
was_there(const struct shm_session *r, u64 looked)
{
	u32 st = __atomic_load_n(&r->state, __ATOMIC_RELAXED);
	bool has = st == SESS_BUSY || st == SESS_STREAM || st == SESS_INFILE ||
	    (st == SESS_READY && __atomic_load_n(&r->pin, __ATOMIC_RELAXED) != PIN_NONE);

	return has && __atomic_load_n(&r->since, __ATOMIC_RELAXED) < looked;
}

/* The session that a server's thread id stands for, 0: none. It knows its connection to the primary by this id
 * (CONNECTION_ID()), or it has been there since before the asking one looked at the server's process list: then it is the
 * one that was seen there, and not the next on a shared connection. */
static u32
session_of_thread(struct sess *s, const struct wserver *prim, u32 thread)
{
	struct worker *w = s->w;

	for (u32 i = 0; thread != 0 && prim != NULL && i < w->nworkers; i++) {
		const struct shm_seg_worker *seg = i == w->slot ? w->seg : w->peer[i];
		const struct shm_session *tab = shm_worker_sessions(seg);

		if (__atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) == 0)
			continue;
		for (u32 k = 0; k < seg->max_sessions; k++)
			if (__atomic_load_n(&tab[k].server, __ATOMIC_RELAXED) == prim->id + 1 &&
			    (__atomic_load_n(&tab[k].other_id, __ATOMIC_RELAXED) == thread ||
				(__atomic_load_n(&tab[k].thread_id, __ATOMIC_RELAXED) == thread && was_there(&tab[k], s->looked))))
				return __atomic_load_n(&tab[k].id, __ATOMIC_RELAXED);
	}
	return 0;
}

/* Is it one of Margay's own connections to that server, of any worker, or health's? */
static bool
thread_is_pooled(const struct worker *w, const struct wserver *srv, u32 thread)
{
	const struct shm_poolcell *c = shm_pool_cells(w->pool, srv->pool_slot);

	for (u32 i = 0; i < w->pool->p.max_cells; i++)
		if (__atomic_load_n(&c[i].owner, __ATOMIC_ACQUIRE) != 0 &&
		    __atomic_load_n(&c[i].thread_id, __ATOMIC_RELAXED) == thread)
			return true;
	return false;
}

static bool
record_find(struct worker *w, u32 id, struct shm_session *r)
{
	u32 slot = link_session_slot(id);

	if (!link_session_is_ours(id, w->instance, w->epoch) || slot >= w->nworkers)
		return false;
	const struct shm_seg_worker *seg = slot == w->slot ? w->seg : w->peer[slot];
	const struct shm_session *tab = shm_worker_sessions(seg);
	for (u32 k = 0; k < seg->max_sessions; k++)
		if (__atomic_load_n(&tab[k].id, __ATOMIC_RELAXED) == id && seq_read(&tab[k].seq, r, &tab[k], sizeof *r) == 0 &&
		    r->id == id) {
			r->user[sizeof r->user - 1] = '\0';
			return true;
		}
	return false;
}

/* Hands it to the session's worker, which may be this one. False: the client was told that it could not be. */
static bool
kill_hand_over(struct sess *s, u32 id, bool query, bool mark)
{
	struct worker *w = s->w;
	u32 slot = link_session_slot(id);
	struct link_kill k = {.id = id,
	    .query_only = query,
	    .mark_only = mark,
	    .deadline = ev_now(&w->loop) + KILL_HAND_OVER_NS,
	    .by = s->id};

	if (slot == w->slot && mark)
		local_kill_mark(w, id);
	else if (slot == w->slot)
		local_kill_session(w, id, query, s->id);
	else if (link_send(w->inboxes[slot], LINK_KILL, &k, sizeof k, NULL, 0) != 0) {
		cmd_fail(s, ERR_AGAIN, "KILL could not be handed to worker %u", slot);
		return false;
	}
	return true;
}

/* The server is asked to end what runs on the session's connection, or to close it: whoever were the next there could be
 * hit in its place. */
void
local_kill_mark(struct worker *w, u32 id)
{
	struct sess *t = sess_by_id(w, id);

	if (t != NULL && t->b != NULL)
		t->b->in_trouble = true;
}

bool
local_kill(struct sess *s, u64 asked, u32 flags)
{
	struct worker *w = s->w;
	struct shm_session r;
	bool query = (flags & STMT_F_KILL_QUERY) != 0;
	bool thread = asked <= UINT32_MAX && !link_session_is_ours((u32)asked, w->instance, w->epoch);
	struct wserver *prim = thread ? primary_of(s) : NULL;
	u32 id = thread ? session_of_thread(s, prim, (u32)asked) : (u32)asked;

	if (thread && id == 0 && prim != NULL && !thread_is_pooled(w, prim, (u32)asked))
		return false; /* a direct client's, or a thread of the server's own */
	if (asked > UINT32_MAX || !record_find(w, id, &r)) {
		cmd_fail(s, ERR_NO_SUCH_THREAD, "Unknown thread id: %llu", (unsigned long long)asked);
		return true;
	}
	const struct cfg_user *u = sess_user(s);
	if (strcmp(r.user, s->user) != 0 && (u == NULL || !u->process_admin)) {
		if (thread) {
			/* may the account do it, for all that the server knows? */
			return !kill_hand_over(s, id, query, true);
		}
		cmd_fail(s, ERR_KILL_DENIED, "You are not owner of thread %llu", (unsigned long long)asked);
		return true;
	}
	if (id == s->id) {
		/* as a server does: the answer is the error itself */
		if (query)
			cmd_fail(s, ERR_INTERRUPTED, "KILL QUERY of itself");
		else
			sess_error_close(s, 1, ERR_KILLED, "KILL of itself");
		return true;
	}
	if (kill_hand_over(s, id, query, false))
		finish(s, sess_ok(s, 1));
	return true;
}

/* ---- ROW_COUNT() and FOUND_ROWS() by themselves ---- */

static bool
is_call(struct slice text, const char *fn)
{
	const u8 *t = text.p;
	size_t len = text.len, n = strlen(fn);

	while (len > 0 && (t[len - 1] == ' ' || t[len - 1] == ';' || t[len - 1] == '\n'))
		len--;
	return len == 7 + n && slice_ieq(t, 7, "select ") && slice_ieq(t + 7, n, fn);
}

bool
local_row_count(struct sess *s)
{
	bool prepared = s->cmd.com == COM_STMT_EXECUTE && s->cmd.ps != NULL;
	struct slice text = {s->cmd.p + PKT_HDR + 1, s->cmd.len - PKT_HDR - 1};
	u8 buf[512];
	char name[20];
	struct wr wr = wr_init(buf, sizeof buf);
	struct rset rs;
	const char *fn;
	i64 n;

	if (s->cmd.com != COM_QUERY && !prepared)
		return false;
	if (prepared)
		text = (struct slice){(const u8 *)s->cmd.ps->text->text, s->cmd.ps->text->len};
	if (s->row_count != ROW_COUNT_UNSURE && is_call(text, fn = "row_count()"))
		n = s->row_count;
	else if (!s->found_unsure && is_call(text, fn = "found_rows()"))
		n = (i64)s->found_rows;
	else
		return false;
	str_copy_slice(name, sizeof name, text.p + 7, strlen(fn));
	rset_begin(&rs, &wr, 1, s->caps, s->mcaps, s->status, 1);
	rset_column_int(&rs, name);
	rset_columns_end(&rs);
	rset_row_int(&rs, n, prepared);
	rset_end(&rs, 0);
	s->row_count = -1;
	s->found_rows = 1;
	s->found_unsure = false;
	finish(s, !wr.bad && sess_send(s, buf, wr.len));
	return true;
}
