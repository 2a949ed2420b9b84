/* master/gen.c: the life of a generation. Master only; children get nothing but the sealed descriptors. */
#include "master/gen.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "master/child.h"
#include "master/ctl.h"
#include "master/elders.h"
#include "master/priv.h"
#include "master/super.h"
#include "shm/pool.h"
#include "shm/seq.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define ADOPT_WAIT_MS 5000 /* a child adopts between two events; later than this it is in trouble */
#define SHOWN_CHANGES 50   /* lines in the log for one reload */
#define POOL_SLOTS_MAX 512
#define NOFILE_SLACK   512 /* listeners, channels, segments, inboxes of 64 workers, and what libraries open */

void
gen_fini(struct gen *g)
{
	if (g->cfg.r != NULL)
		cfg_close(&g->cfg);
	if (g->fd >= 0)
		close(g->fd);
	if (g->sfd >= 0)
		close(g->sfd);
	memset(g, 0, sizeof *g);
	g->fd = g->sfd = -1;
}

/* --- saying what is wrong: in the log, and to who asked for the reload --- */

static void
say(struct master *m, enum log_level level, const char *line)
{
	log_at(level, "%s", line);
	text_add(&m->reload.said, "%s\n", line);
}

/* Returns how many options keep their value until a restart. */
static u32
say_messages(struct master *m, const struct conf_msgs *msgs)
{
	char line[1024];
	u32 kept = 0;

	for (u32 i = 0; i < msgs->n; i++) {
		msg_format(&msgs->v[i], line, sizeof line);
		say(m, msgs->v[i].severity == CONF_ERROR ? LOG_ERR_ : LOG_WARN_, line);
		kept += strstr(line, "needs a restart, kept") != NULL; /* conf/snap.c says so */
	}
	if (msgs->dropped > 0) {
		snprintf(line, sizeof line, "%u more messages", msgs->dropped);
		say(m, LOG_ERR_, line);
	}
	return kept;
}

/* --- the record --- */

void
gen_open_store(struct master *m, const char *state_dir)
{
	char why[256];

	m->store = store_open(state_dir, why, sizeof why);
	if (m->store != NULL)
		return;
	snprintf(m->store_why, sizeof m->store_why, "state_dir cannot be used: %s", why);
	/* Serving goes before recording: what is lost is --last-good and the memory of drained servers. */
	log_err("%s; going on without a record", m->store_why);
}

static void
store_failed(struct master *m)
{
	char line[400];

	snprintf(m->store_why, sizeof m->store_why, "state_dir cannot be written: %s", store_why(m->store));
	snprintf(line, sizeof line, "%s; this configuration is in force but not recorded", m->store_why);
	say(m, LOG_ERR_, line);
}

static void
record(struct master *m, const struct snap_out *s)
{
	struct store_config c = {.generation = m->gen.number,
	    .saved_ms = clock_wall_ms(),
	    .snap = s->cfg,
	    .secrets = s->secrets,
	    .snap_size = s->cfg_size,
	    .secrets_size = s->secrets_size};

	if (m->store == NULL)
		return;
	if (store_put_config(m->store, shm_abi, &c) != 0)
		store_failed(m);
	else
		m->store_why[0] = '\0';
}

/* --- sealing --- */

/* Pool slots belong to the pool segment of the moment, not to the file: claimed here, for a generation that
 * comes from the record too. */
static int
claim_slots(struct master *m, struct snap_out *s)
{
	struct cfg_root *r = s->cfg;
	struct cfg_server *v = (struct cfg_server *)(void *)((u8 *)s->cfg + r->servers_off);
	u32 in_use[2 * POOL_SLOTS_MAX];
	size_t n = 0;

	for (u32 i = 0; m->gen.number != 0 && i < m->gen.cfg.r->nservers && n < POOL_SLOTS_MAX; i++)
		in_use[n++] = cfg_servers(&m->gen.cfg)[i].pool_slot;
	for (u32 i = 0; i < r->nservers; i++) {
		const char *address = (const char *)s->cfg + v[i].address.off;
		int slot = pool_slot_claim(segs_pool(&m->segs), address, in_use, n);

		if (slot < 0)
			return slot;
		v[i].pool_slot = (u32)slot;
		if (n < ARRAY_LEN(in_use))
			in_use[n++] = (u32)slot;
	}
	return 0;
}

static int
seal(const char *name, const void *p, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), saved;
	size_t done = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while (done < size) {
		n = write(fd, (const u8 *)p + done, size - done);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (done == size &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* The buffers of a load to a generation that can be handed out. 0 or an error, then g is empty. */
static int
gen_make(struct master *m, struct snap_out *s, u64 number, struct gen *g)
{
	struct cfg_root *r = s->cfg;
	struct cfg_secrets *sec = s->secrets;
	int rc = claim_slots(m, s);

	memset(g, 0, sizeof *g);
	g->fd = g->sfd = -1;
	if (rc != 0)
		return rc;
	r->h.generation = sec->generation = number;
	r->h.epoch = m->rt.epoch;
	g->fd = seal("margay-config", s->cfg, s->cfg_size);
	if (g->fd >= 0)
		g->sfd = seal("margay-secrets", s->secrets, s->secrets_size);
	rc = g->sfd < 0 ? ERR_SYSTEM : cfg_open(g->fd, g->sfd, &g->cfg);
	if (rc != 0) {
		memset(&g->cfg, 0, sizeof g->cfg);
		gen_fini(g);
		return rc;
	}
	g->number = number;
	return 0;
}

/* --- publishing --- */

static bool
is_drained(void *arg, const char *name)
{
	struct master *m = arg;
	int i = segs_server_find(&m->segs, name);

	if (i >= 0)
		return shm_master_servers(segs_names(&m->segs))[i].admin == SHM_ADMIN_DRAIN;
	return m->store != NULL && store_get_drained(m->store, name) == 1;
}

static void
log_level_apply(struct master *m)
{
	/* The words of log_level in tbl/options.def, in their order. */
	static const enum log_level levels[] = {LOG_ERR_, LOG_WARN_, LOG_NOTICE_, LOG_INFO_, LOG_DEBUG_};
	enum log_level was = log_level();

	log_set_level(levels[MIN(master_opts(m)->log_level, ARRAY_LEN(levels) - 1)]);
	if (log_level() != was)
		super_owe_all(m, OWE_LOG);
}

/* A worker may get all clients and all connections, however unlikely that is. */
static void
nofile_apply(struct master *m)
{
	const struct cfg *c = &m->gen.cfg;
	u64 want = master_opts(m)->nofile;
	struct rlimit r;

	if (want == 0) {
		want = master_opts(m)->max_clients + NOFILE_SLACK;
		for (u32 i = 0; i < c->r->nservers; i++)
			want += cfg_servers(c)[i].max_connections;
	}
	m->nofile_wanted = (u32)MIN(want, UINT32_MAX);
	m->nofile = priv_nofile(m->nofile_wanted);
	segs_names(&m->segs)->m.nofile = m->nofile;
	if (m->nofile < m->nofile_wanted)
		log_warn("open files: the hard limit allows %u, %u are needed (LimitNOFILE)", m->nofile,
		    m->nofile_wanted);
	for (u32 i = 0; i < m->segs.nworkers; i++)
		if (child_lives(&m->workers[i]) &&
		    prlimit(m->workers[i].pid, RLIMIT_NOFILE, NULL, &r) == 0 && r.rlim_cur < m->nofile) {
			r.rlim_cur = MIN((rlim_t)m->nofile, r.rlim_max);
			if (prlimit(m->workers[i].pid, RLIMIT_NOFILE, &r, NULL) != 0)
				log_warn("%s: open files: %s", m->workers[i].name, strerror(errno));
		}
}

static void
publish(struct master *m, struct gen *g)
{
	gen_fini(&m->gen);
	m->gen = *g;
	for (u32 i = 0; i < m->gen.cfg.r->nservers; i++) {
		const struct cfg_server *v = &cfg_servers(&m->gen.cfg)[i];

		pool_limit_set(segs_pool(&m->segs), v->pool_slot, (u32)v->max_connections);
	}
	segs_names_update(&m->segs, &m->gen.cfg, is_drained, m);
	log_set_generation(m->gen.number);
	log_level_apply(m);
	nofile_apply(m);
}

/* --- the first one --- */

/* Until it is published, the first generation is what a load left, opened in memory. */
static struct conf_result first;
static struct snap_out first_snap;

static int
first_from_store(struct master *m)
{
	struct store_config c;
	int rc = m->store == NULL ? ERR_STORE : store_get_config(m->store, shm_abi, &c);

	if (rc != 0) {
		log_err("--last-good: %s",
		    rc == ERR_NOTFOUND   ? "no configuration was ever recorded" :
			rc == ERR_ABI    ? "the record was written by another version of Margay" :
			m->store == NULL ? m->store_why :
			                   store_why(m->store));
		return EXIT_CONF;
	}
	first_snap = (struct snap_out){c.snap, c.secrets, c.snap_size, c.secrets_size};
	rc = cfg_open_mem(c.snap, c.snap_size, c.secrets, c.secrets_size, &m->gen.cfg);
	if (rc != 0) {
		log_err("--last-good: the record is damaged");
		conf_snap_free(&first_snap);
		return EXIT_CONF;
	}
	m->last_good = true;
	log_warn("the file is broken: starting from the configuration of generation %llu",
	    (unsigned long long)c.generation);
	return EXIT_OK;
}

int
gen_first(struct master *m, bool last_good)
{
	struct conf_args a = {.generation = 1};
	int rc = conf_load(m->conf_path, &a, &first), code = EXIT_CONF;

	m->gen.fd = m->gen.sfd = -1;
	(void)say_messages(m, &first.msgs);
	text_free(&m->reload.said);
	if (rc == 0) {
		first_snap = first.snap;
		memset(&first.snap, 0, sizeof first.snap);
		rc = cfg_open_mem(first_snap.cfg, first_snap.cfg_size, first_snap.secrets,
		    first_snap.secrets_size, &m->gen.cfg);
		code = rc == 0 ? EXIT_OK : EXIT_FAIL;
		if (rc != 0)
			log_err("%s: the snapshot cannot be used: %s", m->conf_path, err_text(rc));
	} else if (last_good) {
		code = first_from_store(m);
	} else {
		log_err("%s: not started; `margayd --last-good` starts from the last good configuration",
		    m->conf_path);
	}
	conf_result_free(&first);
	return code;
}

int
gen_first_publish(struct master *m)
{
	u64 number = 1 + (m->store == NULL ? 0 : store_generation(m->store));
	struct gen g;
	char why[320];
	int rc = gen_make(m, &first_snap, number, &g);

	if (rc != 0) {
		log_err("configuration cannot be published: %s (%s)", err_text(rc), strerror(errno));
		return EXIT_FAIL;
	}
	memset(&m->gen.cfg, 0, sizeof m->gen.cfg); /* the view of first_snap */
	publish(m, &g);
	m->listen.hide = m->elders.n > 0;
	rc = listen_open(&m->listen, &m->gen.cfg, NULL, m->rt.dir, why, sizeof why);
	if (rc != 0) {
		log_err("%s", why);
		conf_snap_free(&first_snap);
		return EXIT_FAIL;
	}
	if (!m->last_good)
		record(m, &first_snap);
	conf_snap_free(&first_snap);
	listen_record(&m->listen, m->rt.epoch_dir);
	segs_names(&m->segs)->m.last_reload = clock_wall_ms();
	segs_names(&m->segs)->m.last_reload_ok = !m->last_good;
	return EXIT_OK;
}

/* --- reload --- */

static void
reload_end(struct master *m, bool ok)
{
	struct shm_seg_master *s = segs_names(&m->segs);
	struct text said = m->reload.said;

	m->reload.running = false;
	loop_timer_clear(&m->reload.timer);
	s->m.last_reload_ok = ok;
	if (ok) {
		s->m.last_reload = clock_wall_ms();
		STAT_ADD(s->stat.reloads, 1);
		log_notice("reloaded: generation %llu", (unsigned long long)m->gen.number);
	} else {
		STAT_ADD(s->stat.reloads_failed, 1);
		log_err("reload failed: generation %llu stays in force", (unsigned long long)m->gen.number);
	}
	if (m->phase == MASTER_SERVING)
		sdnotify_send(&m->notify, "READY=1");
	memset(&m->reload.said, 0, sizeof m->reload.said);
	ctl_on_reload(m, ok, text_str(&said));
	text_free(&said);
	super_tell_status(m);
	if (m->reload.again && m->phase != MASTER_STOPPING) {
		m->reload.again = false;
		gen_reload(m);
	}
}

static void
say_change(void *arg, const struct conf_change *c)
{
	struct master *m = arg;
	const char *kind = opt_section_words[c->section];

	if (m->reload.changes++ >= SHOWN_CHANGES)
		return;
	if (c->opt == NULL)
		log_notice("[%s %s] %s", kind, c->name, c->before == NULL ? "added" : "removed");
	else
		log_notice("[%s%s%s] %s: %s -> %s", kind, c->name[0] == '\0' ? "" : " ", c->name,
		    c->opt->name, c->before == NULL ? "" : c->before, c->after == NULL ? "" : c->after);
}

static void
say_changes(struct master *m, const struct cfg *after)
{
	m->reload.changes = 0;
	conf_diff(&m->gen.cfg, after, say_change, m);
	if (m->reload.changes > SHOWN_CHANGES)
		log_notice("%llu more changes", (unsigned long long)(m->reload.changes - SHOWN_CHANGES));
}

/* Sockets first, the log file last: the first thing that cannot be undone comes after everything that may
 * fail. 0, or an error that was said. */
static int
reload_prepare(struct master *m, const struct gen *g, struct listen_set *set)
{
	const char *log = cfg_text(&g->cfg, g->cfg.r->margay.log);
	const char *slow = cfg_text(&g->cfg, g->cfg.r->margay.slow_log);
	char why[512];

	listen_init(set, m->segs.nworkers);
	set->hide = m->listen.hide;
	if (listen_open(set, &g->cfg, &m->listen, m->rt.dir, why, sizeof why) != 0) {
		say(m, LOG_ERR_, why);
		return ERR_SYSTEM;
	}
	if (logs_target(&m->slow, slow) != 0) {
		snprintf(why, sizeof why, "slow_log %s: %s", slow, strerror(errno));
		say(m, LOG_ERR_, why);
		listen_abandon(set, &m->listen);
		return ERR_SYSTEM;
	}
	if (logs_target(&m->logs, log) != 0) {
		snprintf(why, sizeof why, "log %s: %s", log, strerror(errno));
		say(m, LOG_ERR_, why);
		slow = cfg_text(&m->gen.cfg, m->gen.cfg.r->margay.slow_log); /* as it was */
		if (logs_target(&m->slow, slow) != 0)
			log_err("slow_log %s: %s", slow, strerror(errno));
		listen_abandon(set, &m->listen);
		return ERR_SYSTEM;
	}
	return 0;
}

static void
listen_apply(struct master *m, struct listen_set *set)
{
	struct listen_set old = m->listen;

	m->listen = *set;
	for (u32 i = 0; i < m->segs.nworkers; i++)
		if (m->workers[i].gave_sockets)
			listen_slot_close(&m->listen, i); /* nobody accepts there before its start */
	listen_record(&m->listen, m->rt.epoch_dir);
	super_owe_all(m, OWE_LISTEN);
	listen_retire(&old, &m->listen);
}

static void
on_adopt_wait(void *arg)
{
	struct master *m = arg;
	char line[128];

	for (u32 i = 0; i <= m->segs.nworkers; i++) {
		const struct child *c = i == m->segs.nworkers ? &m->health : &m->workers[i];

		if (!child_lives(c) || c->adopted >= m->gen.number || c->refused >= m->gen.number)
			continue;
		snprintf(line, sizeof line, "%s[%d] has not adopted generation %llu yet", c->name,
		    (int)c->pid, (unsigned long long)m->gen.number);
		say(m, LOG_WARN_, line);
	}
	reload_end(m, true);
}

void
gen_on_adopted(struct master *m)
{
	bool refused = false;

	if (!m->reload.running)
		return;
	for (u32 i = 0; i <= m->segs.nworkers; i++) {
		const struct child *c = i == m->segs.nworkers ? &m->health : &m->workers[i];

		if (child_lives(c) && c->adopted < m->gen.number && c->refused < m->gen.number)
			return;
		refused = refused || (child_lives(c) && c->refused >= m->gen.number);
	}
	if (refused)
		text_add(&m->reload.said, "a child refused generation %llu: see the log\n",
		    (unsigned long long)m->gen.number);
	reload_end(m, true);
}

static void
reload_publish(struct master *m, struct gen *g, struct listen_set *set, const struct snap_out *s)
{
	say_changes(m, &g->cfg);
	publish(m, g);
	m->last_good = false;
	record(m, s);
	listen_apply(m, set);
	super_owe_all(m, OWE_CONFIG);
	m->reload.running = true;
	loop_timer_set(&m->loop, &m->reload.timer, clock_ns() + ADOPT_WAIT_MS * MS_NS, on_adopt_wait, m);
	gen_on_adopted(m);
}

static void
reload_try(struct master *m)
{
	struct conf_args a = {.previous = &m->gen.cfg,
	    .generation = m->gen.number + 1,
	    .epoch = m->rt.epoch};
	struct conf_result *r = calloc(1, sizeof *r);
	struct listen_set *set = malloc(sizeof *set);
	struct gen g = {.fd = -1, .sfd = -1};
	char line[256];
	int rc = r == NULL || set == NULL ? ERR_NOMEM : conf_load(m->conf_path, &a, r);
	u32 kept = r == NULL ? 0 : say_messages(m, &r->msgs);

	if (rc == 0)
		rc = gen_make(m, &r->snap, a.generation, &g);
	if (rc != 0 && rc != ERR_CONFIG) {
		snprintf(line, sizeof line, "%s: %s", m->conf_path, err_text(rc));
		say(m, LOG_ERR_, line);
	}
	if (rc == 0)
		rc = reload_prepare(m, &g, set);
	if (rc == 0) {
		segs_names(&m->segs)->m.reload_failed_changes = kept;
		reload_publish(m, &g, set, &r->snap);
	} else {
		gen_fini(&g);
		reload_end(m, false);
	}
	if (r != NULL)
		conf_result_free(r);
	free(r);
	free(set);
}

void
gen_reload(struct master *m)
{
	if (m->reload.running) {
		m->reload.again = true;
		return;
	}
	if (m->phase == MASTER_SERVING)
		sdnotify_send(&m->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
		    (unsigned long long)(clock_ns() / US_NS));
	reload_try(m);
}

void
gen_on_stop(struct master *m)
{
	m->reload.again = false;
	if (m->reload.running)
		reload_end(m, true);
}

int
gen_server_admin(struct master *m, const char *name, bool drain)
{
	int i = segs_server_find(&m->segs, name), rc = 0;
	struct shm_srvname *v;

	if (i < 0)
		return ERR_NOTFOUND;
	v = &shm_master_servers(segs_names(&m->segs))[i];
	__atomic_store_n(&v->admin, drain ? SHM_ADMIN_DRAIN : SHM_ADMIN_ONLINE, __ATOMIC_SEQ_CST);
	super_owe_all(m, OWE_ADMIN);
	log_notice("server %s: %s", name, drain ? "drained by margayctl" : "online again");
	if (m->store == NULL)
		return ERR_STORE;
	rc = store_put_drained(m->store, name, drain);
	if (rc != 0)
		snprintf(m->store_why, sizeof m->store_why, "state_dir cannot be written: %s",
		    store_why(m->store));
	return rc;
}
