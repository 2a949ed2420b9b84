/* master/super.c: supervision. Master only. Each child has one state (enum child_state), written here and in
 * child.c; the record in shared memory follows it.
 */
#include "master/super.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "master/child.h"
#include "master/elders.h"
#include "master/gen.h"
#include "shm/pool.h"
#include "shm/seq.h"
#include <errno.h>
#include <signal.h>

#define TICK_MS        1000
#define ABORT_GRACE_MS 5000  /* time to write a core before SIGKILL */
#define STOP_GRACE_MS  5000  /* after the drain time, before SIGTERM, and again before SIGKILL */
#define GIVE_AFTER_MS  1000  /* a pause longer than this: another worker drains the slot's sockets */
#define SERVE_WAIT_MS  10000 /* then the workers that are there take over from an earlier epoch */

static void on_start_due(void *arg);

static struct child *
child_at(struct master *m, u32 i)
{
	return i == m->segs.nworkers ? &m->health : &m->workers[i];
}
/* All children: the workers, then health. */
#define for_each_child(c, m)                                                                       \
	for (u32 i_ = 0; i_ <= (m)->segs.nworkers; i_++)                                           \
		for (struct child *c = child_at((m), i_), *once_ = c; once_ != NULL; once_ = NULL)

void
super_owe_all(struct master *m, u32 owed)
{
	for_each_child(c, m)
		child_owe(c, owed);
}

u32
super_ready_workers(const struct master *m)
{
	u32 n = 0;

	for (u32 i = 0; i < m->segs.nworkers; i++)
		n += m->workers[i].state == CHILD_READY;
	return n;
}

bool
super_all_ready(const struct master *m)
{
	return m->health.state == CHILD_READY && super_ready_workers(m) == m->segs.nworkers;
}

void
super_tell_status(struct master *m)
{
	u32 ready = super_ready_workers(m), all = m->segs.nworkers;

	sdnotify_send(&m->notify, "STATUS=%s: %u of %u workers, health %s, generation %llu%s",
	    m->phase == MASTER_STOPPING ? "stopping" : ready > 0 ? "serving" : "not serving", ready, all,
	    m->health.state == CHILD_READY ? "ready" : "not ready", (unsigned long long)m->gen.number,
	    m->last_good ? ", from the last good configuration" : "");
}

/* --- serving --- */

/* From here on clients come to us: earlier epochs stop accepting. */
static void
take_over_serving(struct master *m)
{
	if (m->serving_said)
		return;
	m->serving_said = true;
	loop_timer_clear(&m->serve_timer);
	listen_expose(&m->listen);
	segs_serve(&m->segs);
	elders_drain(m);
}

static void
on_serve_wait(void *arg)
{
	struct master *m = arg;

	if (super_ready_workers(m) > 0)
		take_over_serving(m);
	else
		loop_timer_set(&m->loop, &m->serve_timer, clock_ns() + TICK_MS * MS_NS, on_serve_wait, m);
}

void
super_on_ready(struct child *c)
{
	struct master *m = c->m;

	if (c->state != CHILD_STARTING || !c->hello)
		return;
	c->state = CHILD_READY;
	child_record(c)->state = SHM_SLOT_SERVING;
	log_info("%s[%d]: ready", c->name, (int)c->pid);
	if (super_ready_workers(m) == m->segs.nworkers)
		take_over_serving(m);
	if (m->phase == MASTER_STARTING && super_all_ready(m)) {
		m->phase = MASTER_SERVING;
		segs_names(&m->segs)->m.state = SHM_MASTER_SERVING;
		sdnotify_send(&m->notify, "READY=1");
		log_notice("serving: %u workers, epoch %llu", m->segs.nworkers,
		    (unsigned long long)m->segs.epoch);
	}
	super_tell_status(m);
}

void
super_on_adopted(struct child *c, u64 generation, bool refused)
{
	if (refused) {
		c->refused = generation;
		log_err("%s[%d]: cannot adopt generation %llu", c->name, (int)c->pid,
		    (unsigned long long)generation);
	} else {
		c->adopted = generation;
	}
	gen_on_adopted(c->m);
}

/* --- starting --- */

static void
schedule(struct child *c, u64 lived_ms)
{
	struct master *m = c->m;
	const struct cfg_margay *o = master_opts(m);
	struct shm_slot *r = child_record(c);

	c->pause_ms = throttle_next(c->pause_ms, o->respawn_min, o->respawn_max, lived_ms);
	c->state = CHILD_WAITING;
	r->pid = 0;
	r->state = SHM_SLOT_THROTTLED;
	r->next_start = clock_ns() + c->pause_ms * MS_NS;
	loop_timer_set(&m->loop, &c->start_timer, r->next_start, on_start_due, c);
}

static void
start(struct child *c)
{
	char why[320];

	if (c->slot >= 0 && !listen_slot_is_open(&c->m->listen, (u32)c->slot) &&
	    listen_slot_open(&c->m->listen, (u32)c->slot, why, sizeof why) != 0)
		log_err("%s: %s", c->name, why);
	c->gave_sockets = false;
	if (child_start(c) != 0)
		schedule(c, 0);
}

static void
on_start_due(void *arg)
{
	struct child *c = arg;

	if (c->m->phase != MASTER_STOPPING && c->state == CHILD_WAITING)
		start(c);
}

void
super_start(struct master *m)
{
	loop_timer_set(&m->loop, &m->serve_timer, clock_ns() + SERVE_WAIT_MS * MS_NS, on_serve_wait, m);
	for_each_child(c, m)
		start(c);
	super_tick(m);
}

/* --- ends --- */

/* Clients whose connections wait in the slot's queues would wait for the whole pause. */
static void
give_sockets(struct child *c)
{
	struct master *m = c->m;
	u32 n = m->segs.nworkers, slot = (u32)c->slot;
	struct link_listen l;
	int fds[LINK_MAX_LISTEN];

	if (listen_message(&m->listen, slot, true, &l, fds) == 0)
		return; /* only shared ones, or given already */
	for (u32 i = 1; i < n; i++) {
		struct child *to = &m->workers[(slot + i) % n];

		if (to->state != CHILD_READY || child_take_over(to, slot) != 0)
			continue;
		listen_slot_close(&m->listen, slot);
		c->gave_sockets = true;
		log_notice("%s: its listening sockets are drained by %s", c->name, to->name);
		return;
	}
}

static u32 dying_pid;

static bool
is_dying(u32 pid)
{
	return pid == dying_pid;
}

/* What it held in the connection budgets goes to health, which ends the server threads first. */
static u32
orphan_cells(struct master *m, const struct child *c, pid_t pid)
{
	struct shm_seg_pool *pool = segs_pool(&m->segs);
	u32 n = 0;

	if (c->slot >= 0)
		n = pool_orphan(pool, (u32)c->slot, m->segs.epoch, (u32)pid);
	dying_pid = (u32)pid; /* health's own cells name no slot */
	n += pool_orphan_dead(pool, is_dying);
	if (n > 0)
		segs_ring(m->segs.health_event);
	return n;
}

static void
report_end(struct child *c, const struct ending *e, pid_t pid, u32 cells)
{
	char how[128], panic[SHM_PANIC_SIZE];

	ending_text(e, how, sizeof how);
	str_copy(child_record(c)->last_end, sizeof child_record(c)->last_end, how);
	if (child_panic_take(c, panic, sizeof panic)) {
		log_err("%s[%d]: %s", c->name, (int)pid, panic);
		str_copy(child_record(c)->last_end, sizeof child_record(c)->last_end, panic);
	}
	if (!e->crash) {
		log_info("%s[%d]: %s", c->name, (int)pid, how);
		return;
	}
	child_record(c)->crashes++;
	STAT_ADD(master_stat(c->m)->child_crashes, 1);
	log_err("%s[%d]: %s; %u server connections to be taken back", c->name, (int)pid, how, cells);
}

static void stop_step(struct master *m);

void
super_on_end(struct child *c)
{
	struct master *m = c->m;
	pid_t pid = c->pid;
	u64 lived_ms;
	struct ending e = child_reap(c, &lived_ms);

	report_end(c, &e, pid, orphan_cells(m, c, pid));
	child_record(c)->pid = 0;
	child_record(c)->state = SHM_SLOT_EMPTY;
	if (m->phase == MASTER_STOPPING) {
		stop_step(m);
		return;
	}
	if (m->phase == MASTER_STARTING && e.stop) {
		log_err("%s cannot run here: stopping", c->name);
		super_stop(m, e.code);
		return;
	}
	schedule(c, lived_ms);
	if (c->pause_ms >= 10 * master_opts(m)->respawn_min || c->pause_ms > GIVE_AFTER_MS)
		log_warn("%s: next start in %llu ms", c->name, (unsigned long long)c->pause_ms);
	if (c->slot >= 0 && c->pause_ms > GIVE_AFTER_MS)
		give_sockets(c);
	gen_on_adopted(m);
	super_tell_status(m);
}

/* --- hangs --- */

static void
on_abort_grace(void *arg)
{
	struct child *c = arg;

	log_err("%s[%d]: did not abort, is killed", c->name, (int)c->pid);
	child_signal(c, SIGKILL);
}

static void
check_hang(struct child *c, u64 now)
{
	u64 sign, limit = master_opts(c->m)->hang_timeout * MS_NS;

	if (!child_lives(c) || c->aborted)
		return;
	sign = child_last_sign(c);
	if (sign >= now || now - sign <= limit)
		return;
	log_err("%s[%d]: no sign of life for %llu ms, is aborted", c->name, (int)c->pid,
	    (unsigned long long)((now - sign) / MS_NS));
	STAT_ADD(master_stat(c->m)->child_hangs, 1);
	c->aborted = true;
	child_signal(c, SIGABRT);
	loop_timer_set(&c->m->loop, &c->kill_timer, now + ABORT_GRACE_MS * MS_NS, on_abort_grace, c);
}

static void
on_tick(void *arg)
{
	super_tick(arg);
}

void
super_tick(struct master *m)
{
	u64 now = clock_ns();
	/* If we ourselves stood still (machine paused, disk stuck), the children may have too: they get
	 * another turn before their heartbeats are judged. */
	bool late = m->last_tick != 0 && now - m->last_tick > 3 * TICK_MS * MS_NS;

	m->last_tick = now;
	shm_heartbeat(&segs_names(&m->segs)->h, now);
	if (!late)
		for_each_child(c, m)
			check_hang(c, now);
	super_tell_status(m);
	loop_timer_set(&m->loop, &m->tick, now + TICK_MS * MS_NS, on_tick, m);
}

/* --- stopping --- */

static void
on_stop_deadline(void *arg)
{
	struct master *m = arg;
	int sig = m->hurried ? SIGKILL : SIGTERM;

	for_each_child(c, m) {
		if (!child_lives(c))
			continue;
		log_warn("%s[%d]: still there, gets signal %d", c->name, (int)c->pid, sig);
		child_signal(c, sig);
	}
	m->hurried = true;
	loop_timer_set(&m->loop, &m->stop_timer, clock_ns() + STOP_GRACE_MS * MS_NS, on_stop_deadline, m);
}

/* Workers first; health gives verdicts until the last one is gone. */
static void
stop_step(struct master *m)
{
	bool workers = false;

	for (u32 i = 0; i < m->segs.nworkers; i++)
		workers = workers || child_lives(&m->workers[i]);
	if (workers)
		return;
	if (child_lives(&m->health)) {
		if (!m->health.stop_sent)
			child_owe(&m->health, OWE_STOP);
		return;
	}
	m->ended = true;
}

void
super_stop(struct master *m, int code)
{
	u64 grace = STOP_GRACE_MS;

	if (m->phase == MASTER_STOPPING) {
		log_notice("asked to stop again: no more time for sessions");
		m->drain_ms = 0;
		for (u32 i = 0; i < m->segs.nworkers; i++)
			child_owe(&m->workers[i], OWE_STOP);
		if (child_lives(&m->health))
			child_owe(&m->health, OWE_STOP);
		loop_timer_set(&m->loop, &m->stop_timer, clock_ns() + 2000 * MS_NS, on_stop_deadline, m);
		return;
	}
	/* Where nobody has been served yet there is nothing to drain. */
	m->drain_ms = super_ready_workers(m) == 0 ? 0 : master_opts(m)->drain_timeout;
	m->phase = MASTER_STOPPING;
	m->exit_code = code;
	segs_names(&m->segs)->m.state = SHM_MASTER_STOPPING;
	sdnotify_send(&m->notify, "STOPPING=1");
	log_notice("stopping: sessions get %llu ms", (unsigned long long)m->drain_ms);
	loop_timer_clear(&m->serve_timer);
	gen_on_stop(m);
	/* Workers of earlier epochs would go on without us: right when our start has failed, wrong when the
	 * service is to stop. */
	if (code == EXIT_OK)
		take_over_serving(m);
	for_each_child(c, m)
		loop_timer_clear(&c->start_timer);
	for (u32 i = 0; i < m->segs.nworkers; i++)
		child_owe(&m->workers[i], OWE_STOP);
	listen_close(&m->listen);
	grace += m->drain_ms;
	loop_timer_set(&m->loop, &m->stop_timer, clock_ns() + grace * MS_NS, on_stop_deadline, m);
	super_tell_status(m);
	stop_step(m);
}
