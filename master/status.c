/* master/status.c: a short summary for people, keepalived and HAProxy checks. Reads only. Master only. */
#include "master/status.h"
#include "base/clock.h"
#include "base/err.h"
#include "config.h"
#include "master/child.h"
#include "master/super.h"
#include "shm/health.h"
#include "shm/seq.h"
#include <unistd.h>

static u64
clients_now(const struct master *m)
{
	u64 n = 0;

	for (u32 i = 0; i < m->segs.nworkers; i++)
		if (m->workers[i].state == CHILD_READY)
			n += STAT_GET(segs_worker(&m->segs, i)->stat.clients);
	return n;
}

static void
child_line(const struct child *c, struct text *t)
{
	const struct shm_slot *r = child_record(c);
	u64 now = clock_ns();

	if (c->state == CHILD_READY)
		return;
	if (c->state == CHILD_WAITING)
		text_add(t, "degraded: %s is down, next start in %llu ms; %u crashes; last: %.150s\n", c->name,
		    (unsigned long long)(r->next_start > now ? (r->next_start - now) / MS_NS : 0),
		    r->crashes, r->last_end);
	else if (c->state == CHILD_STARTING)
		text_add(t, "degraded: %s[%d] is starting\n", c->name, (int)c->pid);
	else
		text_add(t, "degraded: %s is not running\n", c->name);
}

static void
health_line(const struct master *m, struct text *t)
{
	u64 beat = STAT_GET(segs_health(&m->segs)->h.heartbeat), now = clock_ns();

	if (m->health.state == CHILD_READY && now > beat &&
	    now - beat > master_opts(m)->health_stale * MS_NS)
		text_add(t, "degraded: verdicts of health are %llu ms old\n",
		    (unsigned long long)((now - beat) / MS_NS));
}

static void
degraded(const struct master *m, struct text *t)
{
	for (u32 i = 0; i < m->segs.nworkers; i++) {
		const struct child *c = &m->workers[i];

		child_line(c, t);
		if (child_lives(c) && c->refused >= m->gen.number && c->refused != 0)
			text_add(t, "degraded: %s refused generation %llu\n", c->name,
			    (unsigned long long)c->refused);
	}
	child_line(&m->health, t);
	health_line(m, t);
	if (m->last_good)
		text_add(t, "degraded: runs on the last good configuration, %s is broken\n", m->conf_path);
	else if (!segs_names(&m->segs)->m.last_reload_ok)
		text_add(t, "degraded: the last reload failed, %s differs from what is in force\n",
		    m->conf_path);
	if (m->store_why[0] != '\0')
		text_add(t, "degraded: %s\n", m->store_why);
	if (m->nofile < m->nofile_wanted)
		text_add(t, "degraded: open files limit is %u, max_clients and the servers need %u\n",
		    m->nofile, m->nofile_wanted);
}

static void
server_lines(const struct master *m, struct text *t)
{
	const struct shm_srvname *v = shm_master_servers(segs_names(&m->segs));

	for (u32 i = 0; i < segs_names(&m->segs)->m.servers; i++) {
		struct srv_verdict s = srv_verdict_load(segs_health(&m->segs), i);

		if (v[i].used == 0)
			continue;
		text_add(t, "server %s %s: %s %s%s%s%s\n", v[i].name, v[i].address,
		    srv_state_words[MIN(s.state, SRV_STATES - 1)], srv_role_words[MIN(s.role, SRV_ROLES - 1)],
		    s.cause == SRV_CAUSE_NONE ? "" : ", ",
		    s.cause == SRV_CAUSE_NONE ? "" : srv_cause_words[MIN(s.cause, SRV_CAUSES - 1)],
		    v[i].admin == SHM_ADMIN_DRAIN ? ", drained" : "");
	}
}

int
status_text(const struct master *m, struct text *t)
{
	u32 ready = super_ready_workers(m);
	bool serves = ready > 0 && m->phase != MASTER_STOPPING;

	text_add(t, "margay %s: %s; pid %d, epoch %llu, generation %llu, up %llu s\n", PACKAGE_VERSION,
	    m->phase == MASTER_STOPPING ? "stopping" :
		!serves                 ? "not serving" :
		                          "serving",
	    (int)getpid(), (unsigned long long)m->segs.epoch, (unsigned long long)m->gen.number,
	    (unsigned long long)((clock_wall_ms() - m->started_ms) / 1000));
	text_add(t, "workers: %u of %u ready, %llu clients; health: %s; open files: %u\n", ready,
	    m->segs.nworkers, (unsigned long long)clients_now(m),
	    m->health.state == CHILD_READY ? "ready" : "not ready", m->nofile);
	if (segs_names(&m->segs)->m.reload_failed_changes > 0)
		text_add(t, "%u changed options wait for a restart\n",
		    segs_names(&m->segs)->m.reload_failed_changes);
	if (m->elders.n > 0)
		text_add(t, "earlier epochs: %u processes are finishing\n", m->elders.n);
	server_lines(m, t);
	if (STAT_GET(segs_health(&m->segs)->stat.catalog_differing) > 0)
		text_add(t, "tables: %llu of %llu differ between their shards (margay-stat -t)\n",
		    (unsigned long long)STAT_GET(segs_health(&m->segs)->stat.catalog_differing),
		    (unsigned long long)STAT_GET(segs_health(&m->segs)->stat.catalog_tables));
	degraded(m, t);
	return serves ? EXIT_OK : EXIT_FAIL;
}
