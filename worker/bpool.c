/* worker/bpool.c: pools of server connections, the lines of sessions that wait for one, and this worker's part
 * in the global budgets. Runs in a worker.
 *
 * A pool opens connections freely up to pool_size; beyond, only for a statement that has waited for
 * pool_grow_delay: few busy connections carry many clients at less cost, in the proxy and in the server, than
 * many do. When the budget of a server is used up, an idle connection of another pool is closed to make room;
 * else the worker marks itself as waiting in the pool segment, and whoever frees a cell hands it over.
 */
#include <errno.h>
#include <xxhash.h>
#include "worker/sess.h"

#define RING_NS   (20 * MS_NS) /* between two calls to other workers for their idle connections */
#define LEND_NS   (5 * MS_NS)  /* wait of another worker before it gets a place that nobody here waits for */
#define FAIR_NS   (50 * MS_NS) /* and before it gets one that somebody here waits for too */
#define PICK_LOOK 8 /* idle connections looked at for one that needs no change of settings */

static void rebalance(struct wserver *srv);
static u32 connecting(const struct bpool *bp);

/* What pools are told apart by, but for the names. */
struct pool_key {
	u32 user_id, caps;
	u8 mcaps, collation, family, pad[5];
	u8 addr[16];
	struct istr *program;
};

static struct pool_key
key_of(const struct wserver *srv, const struct sess *s)
{
	struct pool_key k;

	memset(&k, 0, sizeof k); /* it is hashed as a whole */
	k.user_id = s->user_id;
	k.caps = s->caps & CAPS_KEY;
	k.mcaps = s->mcaps & MCAPS_KEY;
	k.collation = s->collation;
	k.program = s->program;
	if (srv->proxy) {
		k.family = s->addr_family;
		memcpy(k.addr, s->addr, sizeof k.addr);
	}
	return k;
}

static bool
pool_is(const struct bpool *p, const struct pool_key *k, const char *user, const char *backend_user)
{
	return p->user_id == k->user_id && p->caps == k->caps && p->mcaps == k->mcaps && p->collation == k->collation && p->family == k->family &&
	    p->program == k->program &&
	    memcmp(p->addr, k->addr, sizeof p->addr) == 0 && strcmp(p->user_name->text, user) == 0 &&
	    strcmp(p->backend_user->text, backend_user) == 0;
}

void
bpool_ref(struct bpool *bp)
{
	if (bp->refs++ == 0)
		bp->srv->npools_unused--;
}

void
bpool_unref(struct bpool *bp)
{
	AN(bp->refs);
	if (--bp->refs == 0)
		bp->srv->npools_unused++;
}

void
bpool_forget(struct sess *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->pool_cache[i] != NULL)
			bpool_unref(s->pool_cache[i]);
		s->pool_cache[i] = NULL;
	}
}

static struct bpool *
pool_new(struct wserver *srv, const struct pool_key *k, u64 hash, const char *user, const char *backend_user)
{
	struct worker *w = srv->w;
	struct bpool *bp = calloc(1, sizeof *bp);

	if (bp == NULL)
		return NULL;
	bp->srv = srv;
	bp->user_id = k->user_id;
	bp->user_name = istr_get(&w->in, user, strlen(user));
	bp->backend_user = istr_get(&w->in, backend_user, strlen(backend_user));
	AN(bp->user_name);
	AN(bp->backend_user);
	bp->program = istr_ref(k->program);
	bp->caps = k->caps;
	bp->mcaps = k->mcaps;
	bp->collation = k->collation;
	bp->family = k->family;
	memcpy(bp->addr, k->addr, sizeof bp->addr);
	list_init(&bp->idle);
	list_init(&bp->waitq);
	list_push_front(&srv->pools, &bp->node);
	bp->hash = hash;
	bp->hnext = srv->pool_hash[hash % POOL_HASH];
	srv->pool_hash[hash % POOL_HASH] = bp;
	srv->npools_unused++;
	return bp;
}

/* At a tick, when nobody walks the lists. */
static void
free_unused(struct wserver *srv)
{
	list_for_each_safe(i, t, &srv->pools) {
		struct bpool *bp = LIST_ENTRY(i, struct bpool, node), **at = &srv->pool_hash[bp->hash % POOL_HASH];

		if (bp->refs > 0)
			continue;
		AZ(bp->nconns + bp->nidle + bp->nwaiting);
		while (*at != bp)
			at = &(*at)->hnext;
		*at = bp->hnext;
		list_del(&bp->node);
		istr_put(&srv->w->in, bp->user_name);
		istr_put(&srv->w->in, bp->backend_user);
		istr_put(&srv->w->in, bp->program);
		free(bp);
		srv->npools_unused--;
	}
}

struct bpool *
bpool_find(struct worker *w, struct wserver *srv, struct sess *s)
{
	u32 caps = s->caps & CAPS_KEY;
	u8 mcaps = s->mcaps & MCAPS_KEY;

	for (int i = 0; i < 2; i++) {
		struct bpool *c = s->pool_cache[i];

		if (c != NULL && c->srv == srv && c->caps == caps && c->mcaps == mcaps)
			return c;
	}
	const struct cfg_user *u = sess_user(s);
	if (u == NULL)
		return NULL;
	const char *name = u->backend_user.off != 0 ? cfg_text(&w->cfg, u->backend_user) : s->user;
	struct pool_key k = key_of(srv, s);
	u64 hash = XXH3_64bits(&k, sizeof k);
	struct bpool *bp = srv->pool_hash[hash % POOL_HASH];

	while (bp != NULL && (bp->hash != hash || !pool_is(bp, &k, s->user, name)))
		bp = bp->hnext;
	if (bp == NULL)
		bp = pool_new(srv, &k, hash, s->user, name);
	if (bp == NULL)
		return NULL;
	bpool_ref(bp);
	if (s->pool_cache[1] != NULL)
		bpool_unref(s->pool_cache[1]);
	s->pool_cache[1] = s->pool_cache[0];
	s->pool_cache[0] = bp;
	return bp;
}

void
bpool_renew(struct wserver *srv, const char *why)
{
	list_for_each_safe(k, t, &srv->conns) {
		struct bconn *b = LIST_ENTRY(k, struct bconn, node);

		b->in_trouble = true;
		if (b->state == BCONN_IDLE)
			bconn_close(b, why);
	}
	list_for_each(i, &srv->pools) {
		struct bpool *bp = LIST_ENTRY(i, struct bpool, node);

		while (!list_empty(&bp->waitq)) {
			struct sess *s = LIST_ENTRY(bp->waitq.next, struct sess, wait_node);

			bpool_unwait(s);
			s->parked = true;
			sess_resume(s);
		}
	}
}

static void
idle_out(struct bconn *b)
{
	list_del(&b->idle_node);
	b->bp->nidle--;
	b->srv->nidle--;
}

/* A connection knows the privileges of the time of its login, and has the global variables' values of then: a session that
 * logged in later needs a newer one.
 * A database can be changed but not left (COM_RESET_CONNECTION keeps it, measured): a session without one needs
 * a connection without one. */
static bool
can_serve(const struct bconn *b, const struct sess *s)
{
	return (s->db != NULL || b->db == NULL || s->cmd.com == COM_INIT_DB) && b->defaults >= s->defaults;
}

struct bconn *
bpool_get(struct bpool *bp, struct sess *s)
{
	struct bconn *best = NULL;
	int looked = 0, best_score = -1;

	if (!list_empty(&bp->waitq))
		return NULL; /* first come, first served */
	list_for_each(i, &bp->idle) {
		struct bconn *b = LIST_ENTRY(i, struct bconn, idle_node);

		if (!can_serve(b, s))
			continue;
		int score = (b->defaults == s->defaults ? 8 : 0) + (b->set == s->set ? 4 : b->set->n == 0 ? 1 : 0) +
		    (b->db == s->db ? 2 : 0);

		if (score > best_score) {
			best = b;
			best_score = score;
		}
		if (score == 14 || ++looked == PICK_LOOK)
			break;
	}
	if (best != NULL)
		idle_out(best);
	else if (!list_empty(&bp->idle))
		bconn_close(LIST_ENTRY(bp->idle.prev, struct bconn, idle_node), "one without database, or a newer one, is needed");
	return best;
}

/* ---- opening ---- */

static u64
head_since(const struct bpool *bp)
{
	return LIST_ENTRY(bp->waitq.next, struct sess, wait_node)->cmd.waited_since;
}

static void
wait_mark(struct wserver *srv, u64 since)
{
	struct worker *w = srv->w;

	if (since == srv->wait_marked)
		return;
	srv->wait_marked = since;
	pool_wait_set(w->pool, srv->pool_slot, w->slot, w->epoch, since);
	if (since == 0) {
		/* a grant may have crossed */
		int cell;

		while ((cell = pool_take_granted(w->pool, srv->pool_slot, w->me)) >= 0) {
			u32 to;

			if (pool_give(w->pool, srv->pool_slot, (u32)cell, w->me, &to) && to < w->nworkers)
				chan_ring(w->bells[to]);
		}
	}
}

static void
cell_give(struct wserver *srv, int cell)
{
	struct worker *w = srv->w;
	u32 to;

	if (pool_give(w->pool, srv->pool_slot, (u32)cell, w->me, &to) && to < w->nworkers)
		chan_ring(w->bells[to]);
}

/* Closes the longest unused connection of any pool of the server but bp. */
static bool
evict_idle(struct wserver *srv, const struct bpool *keep)
{
	struct bconn *oldest = NULL;

	list_for_each(i, &srv->pools) {
		struct bpool *bp = LIST_ENTRY(i, struct bpool, node);

		if (bp == keep || list_empty(&bp->idle))
			continue;
		struct bconn *b = LIST_ENTRY(bp->idle.prev, struct bconn, idle_node);
		if (oldest == NULL || b->since < oldest->since)
			oldest = b;
	}
	if (oldest == NULL)
		return false;
	bconn_close(oldest, "its place is needed for another account");
	return true;
}

/* A connection that a session keeps only for what its next statement may ask (insert id, warnings) goes to those
 * who wait: an insert id is asked for and remembered; warnings and errors are given up when the session has been
 * silent for KEPT_NS, and a later question for them is refused. */
static bool
take_kept(struct wserver *srv)
{
	u64 now = ev_now(&srv->w->loop);

	list_for_each(i, &srv->conns) {
		struct bconn *b = LIST_ENTRY(i, struct bconn, node);

		if (b->state == BCONN_LINKED && b->sess != NULL && sess_may_let_go(b->sess, now)) {
			sess_release_backend(b->sess);
			return true;
		}
	}
	return false;
}

static void
ring_others(struct wserver *srv)
{
	struct worker *w = srv->w;
	u64 now = ev_now(&w->loop);

	if (now - srv->last_ring < RING_NS)
		return;
	srv->last_ring = now;
	for (u32 i = 0; i < w->nworkers; i++)
		if (i != w->slot)
			chan_ring(w->bells[i]);
}

static int
cell_take(struct bpool *bp)
{
	struct wserver *srv = bp->srv;
	struct worker *w = srv->w;
	int cell = pool_take_granted(w->pool, srv->pool_slot, w->me);

	if (cell < 0)
		cell = pool_take(w->pool, srv->pool_slot, w->me, false);
	if (cell < 0) {
		if (srv->nquitting == 0)
			(void)evict_idle(srv, bp); /* its cell comes in a moment */
		wait_mark(srv, head_since(bp));
		ring_others(srv);
		cell = pool_take(w->pool, srv->pool_slot, w->me, false);
	}
	return cell;
}

/* Opens one connection for those who wait. False: not possible now. */
static bool
open_one(struct bpool *bp)
{
	struct wserver *srv = bp->srv;
	struct sess *head = LIST_ENTRY(bp->waitq.next, struct sess, wait_node);
	int cell = cell_take(bp);

	if (cell < 0)
		return false;
	if (bconn_connect(bp, head, cell) != NULL) {
		srv->last_grow = ev_now(&srv->w->loop);
		return true;
	}
	int e = errno;
	bool own = e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM; /* no fault of the server's */

	cell_give(srv, cell);
	STAT_ADD(srv->w->sstat[srv->id].connect_errors, 1);
	if (!own) {
		srv->suspect_until = ev_now(&srv->w->loop) + SUSPECT_NS;
		chan_ring(srv->w->health_bell);
	}
	bpool_on_failure(bp, own ? ERR_EXHAUSTED : ERR_CONNECT, e == EADDRNOTAVAIL ? "its address is not known yet" : strerror(e));
	return false;
}

static u32
connecting(const struct bpool *bp)
{
	u32 n = 0;

	if (bp->srv->nconnecting == 0)
		return 0;
	list_for_each(i, &bp->srv->conns) {
		const struct bconn *b = LIST_ENTRY(i, struct bconn, node);

		n += b->bp == bp && b->job == BJOB_POOL && b->state <= BCONN_SETUP;
	}
	return n;
}

/* Those who wait and can go elsewhere do so; the others are told, unless connections of the pool are left that
 * will serve them. */
void
bpool_on_failure(struct bpool *bp, int code, const char *text)
{
	bool all = bp->nconns <= connecting(bp);

	list_for_each_safe(i, t, &bp->waitq) {
		struct sess *s = LIST_ENTRY(i, struct sess, wait_node);

		if (!all && !s->cmd.read)
			continue;
		bpool_unwait(s);
		sess_on_connect_failed(s, bp->srv, code, text);
	}
}

static void
maybe_open(struct bpool *bp)
{
	struct wserver *srv = bp->srv;

	if (bp->nwaiting > 0 && srv->npinned > 0 && take_kept(srv) && bp->nwaiting == 0)
		return;

	while (bp->nwaiting > connecting(bp)) {
		u64 now = ev_now(&srv->w->loop);

		/* no storm on a server that does not answer while others of the pool still do */
		if (srv->suspect_until > now && bp->nconns > connecting(bp))
			return;
		/* where there is none nobody will give one back */
		if (bp->nconns > 0 && srv->nconns - srv->ncontrol >= srv->pool_size &&
		    (now - head_since(bp) < srv->pool_grow_ns || now - srv->last_grow < srv->pool_grow_ns / 16))
			return;
		if (!open_one(bp))
			return;
	}
}

void
bpool_wait(struct bpool *bp, struct sess *s)
{
	struct worker *w = s->w;

	AZ(s->waiting);
	s->waiting = bp;
	bpool_ref(bp);
	s->cmd.waited_since = ev_now(&w->loop);
	list_push_back(&bp->waitq, &s->wait_node);
	bp->nwaiting++;
	bp->srv->nwaiting++;
	STAT_ADD(w->stat->clients_waiting, 1);
	STAT_SET(w->sstat[bp->srv->id].waiting, bp->srv->nwaiting);
	maybe_open(bp);
	worker_fast(w);
}

void
bpool_unwait(struct sess *s)
{
	struct bpool *bp = s->waiting;

	if (bp == NULL)
		return;
	list_del(&s->wait_node);
	s->waiting = NULL;
	bp->nwaiting--;
	bp->srv->nwaiting--;
	STAT_ADD(s->w->stat->clients_waiting, -1);
	STAT_SET(s->w->sstat[bp->srv->id].waiting, bp->srv->nwaiting);
	if (bp->srv->nwaiting == 0)
		wait_mark(bp->srv, 0);
	bpool_unref(bp);
}

/* ---- giving back ---- */

/* Another worker of this epoch has been waiting clearly longer than anybody here: what is handed over costs a new
 * connection, so a little unfairness is cheaper than passing places to and fro. */
static bool
others_wait(struct wserver *srv)
{
	struct worker *w = srv->w;
	const struct shm_poolsrv *ps = &shm_pool_srv(w->pool)[srv->pool_slot];
	u64 mine = UINT64_MAX;

	if (w->nworkers < 2 && !w->orphan)
		return false;
	for (u32 i = 0; i < w->nworkers; i++) {
		u64 t = __atomic_load_n(&ps->waiting[(w->epoch & 1) * POOL_SLOTS + i], __ATOMIC_RELAXED);

		if (i == w->slot || t == 0)
			continue;
		if (mine == UINT64_MAX) {
			mine = UINT64_MAX - 1;
			list_for_each(k, &srv->pools) {
				struct bpool *bp = LIST_ENTRY(k, struct bpool, node);

				if (!list_empty(&bp->waitq))
					mine = MIN(mine, head_since(bp));
			}
		}
		if (t + (mine >= UINT64_MAX - 1 ? LEND_NS : FAIR_NS) < MIN(mine, ev_now(&w->loop)))
			return true;
	}
	return false;
}

/* The pool of this server whose first in line has waited longest. */
static struct bpool *
longest_waiting(struct wserver *srv)
{
	struct bpool *best = NULL;

	list_for_each(i, &srv->pools) {
		struct bpool *bp = LIST_ENTRY(i, struct bpool, node);

		if (!list_empty(&bp->waitq) && (best == NULL || head_since(bp) < head_since(best)))
			best = bp;
	}
	return best;
}

/* A connection is known clean: to whom? Its own pool's line first, unless somebody of another pool has
 * waited longer and no cell is free for him, or another worker has. */
static void
serve(struct bconn *b)
{
	struct bpool *bp = b->bp;
	struct wserver *srv = b->srv;

	bconn_set_state(b, BCONN_IDLE); /* also if it is closed at once: it is counted as connecting no more */
	if (srv->nwaiting > bp->nwaiting) {
		struct bpool *longest = longest_waiting(srv);

		if (longest != bp && connecting(longest) == 0 &&
		    (list_empty(&bp->waitq) || head_since(longest) < head_since(bp))) {
			bconn_close(b, "its place is needed for another account");
			rebalance(srv);
			return;
		}
	}
	if (others_wait(srv)) {
		bconn_close(b, "its place is handed to another worker");
		rebalance(srv);
		return;
	}
	if (!list_empty(&bp->waitq) &&
	    !can_serve(b, LIST_ENTRY(bp->waitq.next, struct sess, wait_node))) {
		bconn_close(b, "one without database, or a newer one, is needed");
		rebalance(srv);
		return;
	}
	b->since = ev_now(&b->w->loop);
	list_push_front(&bp->idle, &b->idle_node);
	bp->nidle++;
	srv->nidle++;
	if (!list_empty(&bp->waitq)) {
		struct sess *s = LIST_ENTRY(bp->waitq.next, struct sess, wait_node);

		bpool_unwait(s);
		idle_out(b);
		sess_on_backend(s, b);
	}
}

static void
rebalance(struct wserver *srv)
{
	struct bpool *bp = longest_waiting(srv);

	if (bp != NULL)
		maybe_open(bp);
}

static bool
must_close(const struct bconn *b)
{
	const struct wserver *srv = b->srv;
	struct worker *w = b->w;

	/* a login without a collation (COM_CHANGE_USER that was refused): no reset would bring the character set back (measured) */
	return b->bp->collation == 0 || b->in_trouble || b->kills > 0 || !srv->configured || b->conn.eof ||
	    (b->status & (ST_IN_TRANS | ST_CURSOR_EXISTS)) != 0 ||
	    ev_now(&w->loop) - b->born > srv->pool_age_ns ||
	    shm_master_servers(w->names)[srv->id].admin == SHM_ADMIN_DRAIN ||
	    (w->stopping && srv->nwaiting == 0);
}

void
bpool_give(struct bconn *b)
{
	AZ(b->sess);
	b->set_unknown |= b->exp_n > 0; /* COM_STATISTICS is under way: nobody is served before its reply, and a reset waits for it */
	if (b->status & ST_IN_TRANS && b->set_unknown)
		b->status &= (u16)~ST_IN_TRANS; /* the reset rolls back */
	if (must_close(b)) {
		struct wserver *srv = b->srv;

		bconn_close(b, NULL);
		rebalance(srv);
		return;
	}
	if (b->set_unknown) {
		bconn_set_state(b, BCONN_RESET);
		STAT_ADD(b->w->stat->resets, 1);
		b->db_reset = true;
		if (!bconn_send_com(b, COM_RESET_CONNECTION, NULL, 0, EXP_RESET) ||
		    !bconn_send_setup(b, true))
			b->conn.eof = true; /* the event that follows closes it */
		return;
	}
	if (b->nbps > b->srv->max_prepared)
		bps_trim(b);
	serve(b);
}

void
bpool_on_ready(struct bconn *b)
{
	if (b->in_trouble) {
		struct wserver *srv = b->srv;

		bconn_close(b, "bytes without a question");
		rebalance(srv);
		return;
	}
	if (b->state == BCONN_SETUP) {
		b->srv->nconnecting--;
		b->deadline = 0;
		b->srv->suspect_until = 0;
		STAT_SET(b->w->sstat[b->srv->id].conns, b->srv->nconns);
	}
	b->status = ST_AUTOCOMMIT;
	serve(b);
}

void
bpool_on_closed(struct bconn *b)
{
	struct wserver *srv = b->srv;

	if (b->state == BCONN_IDLE && !list_empty(&b->idle_node))
		idle_out(b);
	if (b->state <= BCONN_SETUP)
		srv->nconnecting--;
	srv->nconns--;
	if (b->job == BJOB_KILL)
		srv->ncontrol--;
	else
		b->bp->nconns--;
	STAT_SET(b->w->sstat[srv->id].conns, srv->nconns);
}

void
bpool_on_gone(struct bconn *b)
{
	cell_give(b->srv, b->cell);
	b->cell = -1;
	if (b->srv->nwaiting > 0)
		rebalance(b->srv);
}

/* ---- from outside ---- */

/* Health says that the server is down: reads wait no longer for it, and what waits for a primary does so elsewhere. */
static void
reads_elsewhere(struct bpool *bp)
{
	list_for_each_safe(i, t, &bp->waitq) {
		struct sess *s = LIST_ENTRY(i, struct sess, wait_node);

		if (!s->cmd.read && !s->hold_writes)
			continue;
		bpool_unwait(s);
		sess_on_connect_failed(s, bp->srv, ERR_CONNECT, "down");
	}
}

/* Somebody handed us cells, or a cell may be free: those who wait, longest first. */
static void
retry_waiting(struct worker *w)
{
	for (u32 i = 0; i < w->max_servers; i++) {
		struct wserver *srv = &w->srv[i];

		if (srv->nwaiting == 0)
			continue;
		list_for_each_safe(k, t, &srv->pools) {
			struct bpool *bp = LIST_ENTRY(k, struct bpool, node);

			if (!list_empty(&bp->waitq) && wserver_verdict(srv).state == SRV_DOWN)
				reads_elsewhere(bp);
			if (!list_empty(&bp->waitq))
				maybe_open(bp);
		}
		if (srv->nwaiting > 0 && srv->wait_marked != 0) {
			struct bpool *bp = longest_waiting(srv);

			wait_mark(srv, head_since(bp));
		}
	}
}

void
bpool_on_bell(struct worker *w)
{
	retry_waiting(w);
	/* another worker waits for a place that is idle here? */
	for (u32 i = 0; i < w->max_servers; i++) {
		struct wserver *srv = &w->srv[i];

		if (srv->nconns > 0 && srv->nwaiting == 0 && others_wait(srv) && !evict_idle(srv, NULL))
			(void)take_kept(srv);
	}
}

bool
bpool_on_fast(struct worker *w)
{
	if (STAT_GET(w->stat->clients_waiting) == 0)
		return false;
	retry_waiting(w);
	return true;
}

/* Idle and old connections, logins that take too long, servers to drain. */
void
bpool_on_tick(struct worker *w)
{
	u64 now = ev_now(&w->loop);

	for (u32 i = 0; i < w->max_servers; i++) {
		struct wserver *srv = &w->srv[i];

		if (unlikely(srv->npools_unused > 0))
			free_unused(srv);
		if (list_empty(&srv->conns))
			continue;
		bool drain = !srv->configured ||
		    shm_master_servers(w->names)[srv->id].admin == SHM_ADMIN_DRAIN;

		list_for_each_safe(k, t, &srv->conns) {
			struct bconn *b = LIST_ENTRY(k, struct bconn, node);

			if (b->state == BCONN_IDLE &&
			    (drain || now - b->since > srv->pool_idle_ns || now - b->born > srv->pool_age_ns))
				bconn_close(b, NULL);
			else if (b->deadline != 0 && now > b->deadline && b->state <= BCONN_SETUP)
				bconn_timeout(b);
			else if (b->quitting && now > b->deadline)
				bconn_gone(b);
			else if (b->state == BCONN_DRAIN && b->deadline != 0 && now > b->deadline && conn_half_close(&b->conn)) {
				/* its place is free when the server has come to the end of the statement */
				b->deadline = 0;
				b->in_trouble = true;
			}
		}
		STAT_SET(w->sstat[i].conns_idle, srv->nidle);
		STAT_SET(w->sstat[i].conns_busy, srv->nbusy);
		STAT_SET(w->sstat[i].conns_pinned, srv->npinned);
	}
}
