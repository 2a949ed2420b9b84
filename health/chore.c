/* health/chore.c: the second thread of a prober. What may take its time is done here, over a connection of
 * its own, so that no verdict waits for it:
 *   - ending the server threads of dead workers and giving their cells back
 *   - writing the heartbeat row on the primary
 *   - looking for triggers and routines that may leave state on a connection
 *   - reading definitions of tables and functions for the catalogue
 * Health only.
 */
#include "health/prober.h"
#include "health/db.h"
#include "health/defs_read.h"
#include "health/facts.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <inttypes.h>
#include <unistd.h>

#define IDLE_CLOSE_MS   10000 /* the connection is a control cell: not kept for nothing */
#define ORPHAN_RETRY_MS 250   /* a killed thread that still rolls back; a server that does not answer */
#define ORPHAN_GRACE_MS 1000  /* a thread that cannot be ended: by then the server saw its client go */
#define CATALOG_SLICE_MS 50   /* of reading definitions, before the other chores are looked at again */
#define ROUTINE_LIMIT_S 8     /* information_schema opens every table's triggers: long on a large server */
#define RETRY_MS        1000  /* after a failed connect, for what is not urgent; doubled up to RETRY_MAX_MS: */
#define RETRY_MAX_MS    60000 /* a statement given up here may hang on there and hold its connection */

/* Numbers of the server that the chores act upon. */
enum {
	NO_SUCH_THREAD = 1094,
	KILL_DENIED = 1095,
	NO_SUCH_TABLE = 1146,
	SPECIFIC_DENIED = 1227,
};

struct chore {
	struct prober *p;
	struct prober_conf c;
	u32 version;
	struct db *db;
	int cell;
	u32 cell_slot;
	u64 connected_ns;
	u64 server_started_ns; /* latest possible start of the server, by this host's clock */
	bool mariadb;
	bool read_only;
	u64 used_ns; /* last use of the connection */
	u64 retry_ns, retry_ms; /* not urgent connects wait until then; the pause doubles */
	bool unreachable; /* in this turn: one attempt is enough */
	bool was_alive;
	u64 heartbeat_due_ns, routine_due_ns;
	u32 hb_errno;
	bool hb_made; /* CREATE TABLE was tried */
	u64 server_id;
	u64 *seen_ns; /* for each cell: since when it is known as an orphan */
	u32 ncells;
	u64 cat_asked;           /* the newest question about definitions that was taken */
	struct defs_read *reading; /* NULL: none under way */
	u64 count; /* scratch of on_count */
	bool counted;
};

static void
chore_close(struct chore *h)
{
	db_close(h->db);
	prober_cell_give(h->p, h->cell_slot, h->cell);
	h->cell = -1;
}

static u64
deadline_in(u64 ms)
{
	return clock_ns() + ms * MS_NS;
}

static void
put_off(struct chore *h)
{
	h->retry_ms = MIN(MAX(2 * h->retry_ms, RETRY_MS), RETRY_MAX_MS);
	h->retry_ns = deadline_in(h->retry_ms);
}

static void
on_hello(void *arg, const struct db_row *r)
{
	struct chore *h = arg;

	if (r->n < 2)
		return;
	h->mariadb = r->value[0] != NULL && strstr(r->value[0], "MariaDB") != NULL;
	h->server_id = facts_u64(r->value[1]);
}

static void
on_uptime(void *arg, const struct db_row *r)
{
	struct chore *h = arg;
	u64 now = clock_ns(), up;

	if (r->n < 2)
		return;
	up = facts_u64(r->value[1]) * 1000 * MS_NS;
	h->server_started_ns = up < now ? now - up : 0;
}

/* What the probe thread knows: where to connect, whether it is worth it, since when it is connected. */
struct lead {
	enum srv_cause cause;
	u64 started_ns, connected_ns;
	struct obs_addr addr; /* len 0: none yet */
};

static struct lead
last_probe(struct prober *p)
{
	struct lead l = {0};

	pthread_mutex_lock(&p->lock);
	if (p->last.ended_ns != 0) {
		l.cause = p->last.cause;
		l.started_ns = p->last.started_ns;
		l.connected_ns = p->last.connected_ns;
	}
	if (p->last.naddr > 0)
		l.addr = p->last.addr[0];
	pthread_mutex_unlock(&p->lock);
	return l;
}

static enum db_end
chore_connect(struct chore *h)
{
	struct lead l = last_probe(h->p);
	u64 deadline = deadline_in(h->c.timeout_ms);
	enum db_end end;

	h->used_ns = clock_ns();
	if (db_is_open(h->db))
		return DB_OK;
	chore_close(h);
	if (l.addr.len == 0 || h->unreachable)
		return DB_TIMEOUT;
	h->cell_slot = h->c.pool_slot;
	h->cell = prober_cell_take(h->p, h->cell_slot);
	h->connected_ns = clock_ns();
	end = db_connect(h->db, h->c.port == 0 ? h->c.host : l.addr.text, h->c.port, h->c.user, h->c.password,
	    &h->c.tls, h->c.proxy, deadline);
	if (end == DB_OK) {
		prober_cell_note(h->p, h->cell_slot, h->cell, db_thread_id(h->db));
		end = db_query(h->db, "SET autocommit=1, sql_mode='', time_zone='+00:00', lock_wait_timeout=1,"
		                      " innodb_lock_wait_timeout=1",
		    deadline, NULL, NULL);
	}
	if (end == DB_OK)
		end = db_query(h->db, "SELECT @@version, @@global.server_id", deadline, on_hello, h);
	if (end == DB_OK)
		end = db_query(h->db, "SHOW GLOBAL STATUS LIKE 'Uptime'", deadline, on_uptime, h);
	if (end != DB_OK) {
		chore_close(h);
		h->unreachable = true;
		put_off(h);
	}
	return end;
}

/* ---- orphans ---- */

static void
orphan_done(struct chore *h, u32 cell)
{
	struct prober *p = h->p;

	h->seen_ns[cell] = 0;
	if (!pool_orphan_take(p->env->pool, h->c.pool_slot, cell, p->env->me))
		return;
	prober_cell_give(p, h->c.pool_slot, (int)cell);
	__atomic_fetch_add(&p->recovered, 1, __ATOMIC_RELAXED);
}

/* May the thread be one of before a restart of the server? Its id may be another client's now, so it is not
 * touched then. It is not if the probe's connection is older than the sighting and was still good after ours
 * was made; else Uptime tells, which counts whole seconds. */
static bool
may_be_former(const struct chore *h, u64 seen_ns)
{
	struct lead l = last_probe(h->p);

	if (l.cause == SRV_CAUSE_NONE && l.connected_ns != 0 && l.connected_ns < seen_ns &&
	    l.started_ns > h->connected_ns)
		return false;
	return h->server_started_ns > seen_ns;
}

/* Tries to end one thread. true: the cell can be given back. */
static bool
orphan_end(struct chore *h, u32 cell, u64 thread_id)
{
	char sql[64];
	u64 now = clock_ns();
	enum db_end end;
	bool waited = now - h->seen_ns[cell] > ORPHAN_GRACE_MS * MS_NS;

	if (chore_connect(h) != DB_OK) {
		/* Alive but closed to us: nothing can be done about the thread but to wait for it. */
		enum srv_cause cause = last_probe(h->p).cause;

		return waited && (cause == SRV_CAUSE_AUTH || cause == SRV_CAUSE_TOO_MANY);
	}
	if (may_be_former(h, h->seen_ns[cell]))
		return waited;
	(void)snprintf(sql, sizeof sql, "KILL CONNECTION %" PRIu64, thread_id);
	end = db_query(h->db, sql, deadline_in(h->c.timeout_ms), NULL, NULL);
	if (end == DB_OK)
		return false; /* asked again until it is unknown: only then is the connection free */
	if (end != DB_ERROR)
		return false;
	switch (db_errno(h->db)) {
	case NO_SUCH_THREAD:
		return true;
	case KILL_DENIED:
	case SPECIFIC_DENIED:
		if (waited)
			log_notice("server %s: may not end thread %" PRIu64 " of a dead worker (%s)", h->c.name,
			    thread_id, db_text(h->db));
		return waited;
	default:
		return false;
	}
}

/* Goes through all orphans of the server. Returns how many are left. */
static u32
recover(struct chore *h)
{
	struct shm_seg_pool *pool = h->p->env->pool;
	struct lead l = last_probe(h->p);
	u32 left = 0;

	for (int i = pool_next_orphan(pool, h->c.pool_slot, 0); i >= 0 && !prober_stops(h->p);
	     i = (u32)i + 1 < h->ncells ? pool_next_orphan(pool, h->c.pool_slot, (u32)i + 1) : -1) {
		u64 id = __atomic_load_n(&shm_pool_cells(pool, h->c.pool_slot)[i].thread_id,
		    __ATOMIC_SEQ_CST);

		if (h->seen_ns[i] == 0)
			h->seen_ns[i] = clock_ns();
		/* No id: its login never ended, and the server drops it now that the client is gone.
		 * Refused after we saw the orphan: the server is gone, and its threads with it. */
		if (id == 0 || (l.cause == SRV_CAUSE_REFUSED && l.started_ns > h->seen_ns[i]) ||
		    orphan_end(h, (u32)i, id))
			orphan_done(h, (u32)i);
		else
			left++;
	}
	__atomic_store_n(&h->p->orphans_left, left, __ATOMIC_RELAXED);
	return left;
}

/* ---- heartbeat ---- */

static void
on_read_only(void *arg, const struct db_row *r)
{
	struct chore *h = arg;

	h->read_only = r->n < 1 || facts_true(r->value[0]);
}

static enum db_end
heartbeat_create(struct chore *h)
{
	char sql[600];

	h->hb_made = true;
	(void)snprintf(sql, sizeof sql,
	    "CREATE TABLE IF NOT EXISTS %s (instance TINYINT UNSIGNED NOT NULL PRIMARY KEY,"
	    " ts_ms BIGINT UNSIGNED NOT NULL, server_id BIGINT UNSIGNED NOT NULL)"
	    " ENGINE=InnoDB COMMENT='written by margay-health'",
	    h->c.hb_table);
	return db_query(h->db, sql, deadline_in(h->c.timeout_ms), NULL, NULL);
}

/* The time is this host's and travels as a literal: the same host compares it when it reads it back. */
static enum db_end
heartbeat_replace(struct chore *h, u64 ts_ms)
{
	char sql[600];

	(void)snprintf(sql, sizeof sql,
	    "REPLACE INTO %s (instance, ts_ms, server_id) VALUES (%u, %" PRIu64 ", %" PRIu64 ")",
	    h->c.hb_table, h->p->env->instance, ts_ms, h->server_id);
	return db_query(h->db, sql, deadline_in(h->c.timeout_ms), NULL, NULL);
}

static void
heartbeat(struct chore *h)
{
	u64 ts_ms;
	enum db_end end;

	if (chore_connect(h) != DB_OK)
		return;
	/* The verdict may be older than a switchover, and an account with READ ONLY ADMIN would write all
	 * the same. */
	h->read_only = true;
	end = db_query(h->db, "SELECT @@global.read_only", deadline_in(h->c.timeout_ms), on_read_only, h);
	if (end != DB_OK || h->read_only)
		return;
	ts_ms = clock_wall_ms();
	end = heartbeat_replace(h, ts_ms);
	if (end == DB_ERROR && db_errno(h->db) == NO_SUCH_TABLE && !h->hb_made && heartbeat_create(h) == DB_OK)
		end = heartbeat_replace(h, ts_ms);
	if (end == DB_OK) {
		__atomic_store_n(&h->p->hb_written_ms, ts_ms, __ATOMIC_RELEASE);
		h->hb_errno = 0;
		h->retry_ms = 0;
	} else if (end == DB_TIMEOUT) {
		put_off(h);
	} else if (end == DB_ERROR) {
		if (db_errno(h->db) != h->hb_errno)
			log_warn("server %s: no heartbeat can be written: %s; lag is taken from"
			         " Seconds_Behind_Master",
			    h->c.name, db_text(h->db));
		h->hb_errno = db_errno(h->db);
	}
}

/* ---- triggers and routines ---- */

#define SYSTEM_SCHEMAS "('mysql','sys','information_schema','performance_schema')"
/* What may outlive the statement: user variables, locks, temporary tables. System variables (@@x) are caught
 * too, wrongly; that costs pooling, never an answer. */
#define LEAVES_STATE(col) "(" col " LIKE '%@%' OR " col " LIKE '%get_lock%' OR " col " LIKE '%temporary%')"

static void
on_count(void *arg, const struct db_row *r)
{
	struct chore *h = arg;

	h->counted = r->n >= 1 && r->value[0] != NULL;
	h->count = h->counted ? facts_u64(r->value[0]) : 0;
}

/* Value of a query that counts, or -1: not to be known. */
static i64
count_of(struct chore *h, const char *what)
{
	char sql[700];
	enum db_end end;

	h->counted = false;
	(void)snprintf(sql, sizeof sql, "%s%s",
	    h->mariadb ? "SET STATEMENT max_statement_time=8 FOR " : "", what);
	end = db_query(h->db, sql, deadline_in((ROUTINE_LIMIT_S + 2) * 1000), on_count, h);
	return end == DB_OK && h->counted ? (i64)MIN(h->count, INT32_MAX) : -1;
}

/* 0 none, 1 some, 2 not known. Without the privileges the views of information_schema are empty, not an
 * error: so these are looked at first. */
static u32
look_routines(struct chore *h)
{
	i64 n = count_of(h, "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES"
	                " WHERE PRIVILEGE_TYPE='TRIGGER'");
	if (n <= 0)
		return 2;
	n = count_of(h, "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA NOT IN"
	                " " SYSTEM_SCHEMAS " AND " LEAVES_STATE("ACTION_STATEMENT"));
	if (n != 0)
		return n > 0 ? 1 : 2;
	/* A body that we may not read is NULL. */
	n = count_of(h, "SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA NOT IN"
	                " " SYSTEM_SCHEMAS " AND " LEAVES_STATE("ROUTINE_DEFINITION"));
	if (n != 0)
		return n > 0 ? 1 : 2;
	n = count_of(h, "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES"
	                " WHERE PRIVILEGE_TYPE IN ('SELECT','SHOW_ROUTINE','SHOW CREATE ROUTINE')");
	if (n <= 0 && h->mariadb)
		n = count_of(h, "SELECT COUNT(*) FROM mysql.proc LIMIT 1") >= 0;
	return n > 0 ? 0 : 2;
}

/* ---- definitions ---- */

static void
catalog_end(struct chore *h)
{
	struct def_result *r = defs_end(h->reading);

	if (r->denied)
		chore_close(h); /* global privileges are those of the login: the next one may have more */
	prober_catalog_done(h->p, r);
	h->reading = NULL;
}

static void
catalog_begin(struct chore *h)
{
	struct def_list *list = NULL;

	if (h->reading != NULL || !prober_catalog_job(h->p, &h->cat_asked, &list))
		return;
	h->reading = defs_begin(list, h->cat_asked);
	def_list_put(list);
	AN(h->reading != NULL);
}

/* Reads for a while; true: there is more, for when the other chores have had their turn. */
static bool
catalog(struct chore *h)
{
	u64 until = deadline_in(CATALOG_SLICE_MS);

	catalog_begin(h);
	if (h->reading == NULL)
		return false;
	if (clock_ns() < h->retry_ns || chore_connect(h) != DB_OK) {
		defs_fail(h->reading, "no connection to it");
		catalog_end(h);
		return false;
	}
	do {
		if (!defs_step(h->reading, h->db, h->mariadb)) {
			catalog_end(h);
			return false;
		}
	} while (clock_ns() < until && !prober_stops(h->p));
	return true;
}

/* ---- the thread ---- */

static void
take_conf(struct chore *h)
{
	struct prober_conf old = h->c;

	if (!prober_conf_newer(h->p, &h->version, &h->c))
		return;
	chore_close(h);
	h->retry_ns = h->retry_ms = 0;
	h->hb_made = false;
	if (strcmp(old.hb_table, h->c.hb_table) != 0)
		h->hb_errno = 0;
	h->heartbeat_due_ns = h->routine_due_ns = 0;
	if (old.pool_slot != h->c.pool_slot)
		memset(h->seen_ns, 0, h->ncells * sizeof *h->seen_ns);
	mem_wipe(&old, sizeof old);
}

static bool
wants_heartbeat(const struct chore *h)
{
	return h->c.hb_table[0] != '\0' && h->c.topology == CFG_REPLICATION &&
	    __atomic_load_n(&h->p->primary, __ATOMIC_ACQUIRE);
}

static bool
wants_routines(const struct chore *h)
{
	return h->c.routine_ms != 0 && __atomic_load_n(&h->p->alive, __ATOMIC_ACQUIRE);
}

static void
routines(struct chore *h)
{
	u64 now = clock_ns();

	/* A server that comes back may not be what it was. */
	if (!h->was_alive)
		h->routine_due_ns = 0;
	h->was_alive = true;
	if (now < h->routine_due_ns || now < h->retry_ns || chore_connect(h) != DB_OK)
		return;
	h->routine_due_ns = now + h->c.routine_ms * MS_NS;
	__atomic_store_n(&h->p->leaves_state, look_routines(h), __ATOMIC_RELEASE);
}

/* Does what is due; returns when to come again. */
static u64
chore_turn(struct chore *h)
{
	u64 now, next = deadline_in(1000); /* cells of a worker that died are looked for even if nobody rings */

	h->unreachable = false;
	if (recover(h) > 0)
		next = deadline_in(ORPHAN_RETRY_MS);
	now = clock_ns();
	if (wants_heartbeat(h) && now >= h->retry_ns) {
		if (now >= h->heartbeat_due_ns) {
			h->heartbeat_due_ns = now + h->c.interval_ms * MS_NS;
			heartbeat(h);
		}
		next = MIN(next, h->heartbeat_due_ns);
	}
	if (wants_routines(h))
		routines(h);
	else
		h->was_alive = false;
	if (catalog(h))
		next = clock_ns();
	if (h->c.routine_ms == 0)
		__atomic_store_n(&h->p->leaves_state, 1, __ATOMIC_RELEASE);
	if (db_is_open(h->db) && clock_ns() - h->used_ns > IDLE_CLOSE_MS * MS_NS)
		chore_close(h);
	return next;
}

void *
chore_main(void *arg)
{
	struct chore h;
	struct prober *p;

	CAST_OBJ(p, arg, PROBER_MAGIC);
	memset(&h, 0, sizeof h);
	h.p = p;
	h.cell = -1;
	h.ncells = p->env->pool->p.max_cells;
	h.seen_ns = calloc(h.ncells, sizeof *h.seen_ns);
	h.db = db_new(p->stop_fd);
	AN(h.db != NULL && h.seen_ns != NULL);
	while (!prober_stops(p)) {
		take_conf(&h);
		prober_wait(p, p->chore_fd, chore_turn(&h));
	}
	if (h.reading != NULL)
		def_result_free(defs_end(h.reading));
	chore_close(&h);
	db_free(h.db);
	free(h.seen_ns);
	mem_wipe(&h, sizeof h);
	db_thread_end();
	return NULL;
}
