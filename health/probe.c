/* health/probe.c: the probe thread of one server: keeps a connection to it, asks it at its interval, hands
 * what it saw to the publishing thread. A probe, name lookup and login included, takes no longer than
 * probe_timeout. It judges nothing. Health only.
 */
#include "health/prober.h"
#include "health/db.h"
#include "health/facts.h"
#include "health/resolve.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <inttypes.h>
#include <unistd.h>

/* Figures that no verdict needs are read this often: SHOW STATUS sums over all threads of the server. */
#define FIGURES_MS 5000

struct probe {
	struct prober *p;
	struct prober_conf c;
	u32 version;
	struct db *db;
	struct resolver res;
	int cell;
	u32 cell_slot; /* pool slot of cell */
	bool mariadb;
	bool replica_syntax_old; /* MySQL before 8.0.22: SHOW SLAVE STATUS */
	bool fresh;              /* a worker saw it fail: look at new connections too */
	bool channels_cut;       /* said so */
	u32 hb_errno;            /* last complaint, so that it is logged once */
	struct obs_addr at;      /* the address connected to */
	u64 connected_ns;
	u64 figures_ns;
	u32 threads_connected;
	char binlog_pos[1024];   /* @@gtid_binlog_pos, as long as OBS_DOMAINS need */
	u64 deadline_ns;
	struct obs o;
};

static void
probe_close(struct probe *b)
{
	db_close(b->db);
	prober_cell_give(b->p, b->cell_slot, b->cell);
	b->cell = -1;
}

/* Notes why the probe failed. in_login: no statement was answered yet. */
static int
probe_failed(struct probe *b, enum db_end end, bool in_login)
{
	struct obs *o = &b->o;

	if (end == DB_ABORTED)
		return ERR_AGAIN;
	if (end == DB_TIMEOUT) {
		o->cause = SRV_CAUSE_TIMEOUT;
		(void)snprintf(o->error, sizeof o->error, "no answer within %" PRIu64 " ms%s",
		    b->c.timeout_ms, in_login ? " (connecting)" : "");
		return ERR_IO;
	}
	o->mysql_errno = db_errno(b->db);
	facts_text(o->error, sizeof o->error, db_text(b->db));
	o->cause = facts_cause(o->mysql_errno, facts_errno_in(db_text(b->db)), in_login);
	return ERR_IO;
}

/* ---- connecting ---- */

static void
on_version(void *arg, const struct db_row *r)
{
	struct probe *b = arg;

	if (r->n >= 1 && r->value[0] != NULL)
		b->mariadb = strstr(r->value[0], "MariaDB") != NULL;
}

/* Settings of the server must not change what our statements mean. */
static int
session_setup(struct probe *b)
{
	enum db_end end;

	if (b->c.topology == CFG_GALERA) {
		/* A node outside the primary component answers SELECT only so. MySQL knows no such
		 * variable: its error does not matter. */
		end = db_query(b->db, "SET wsrep_dirty_reads=1", b->deadline_ns, NULL, NULL);
		if (end != DB_OK && !db_is_open(b->db))
			return probe_failed(b, end, true);
	}
	end = db_query(b->db, "SET autocommit=1, sql_mode='', time_zone='+00:00', lock_wait_timeout=1",
	    b->deadline_ns, NULL, NULL);
	if (end == DB_OK)
		end = db_query(b->db, "SELECT @@version", b->deadline_ns, on_version, b);
	return end == DB_OK ? 0 : probe_failed(b, end, true);
}

static bool
address_is_current(const struct probe *b)
{
	for (u32 i = 0; i < b->res.naddr; i++)
		if (b->res.addr[i].len == b->at.len &&
		    memcmp(b->res.addr[i].sa, b->at.sa, b->at.len) == 0)
			return true;
	return false;
}

/* The addresses as they are published: the one that was connected to first. */
static void
put_addresses(struct probe *b)
{
	b->o.naddr = 0;
	if (b->at.len > 0 && address_is_current(b))
		b->o.addr[b->o.naddr++] = b->at;
	for (u32 i = 0; i < b->res.naddr && b->o.naddr < SHM_ADDR_MAX; i++)
		if (b->o.naddr == 0 || b->res.addr[i].len != b->at.len ||
		    memcmp(b->res.addr[i].sa, b->at.sa, b->at.len) != 0)
			b->o.addr[b->o.naddr++] = b->res.addr[i];
}

/* Tries each address, the last good one first; each gets its share of what time is left. */
static int
connect_any(struct probe *b)
{
	enum db_end end = DB_TIMEOUT;

	put_addresses(b);
	b->cell_slot = b->c.pool_slot;
	b->cell = prober_cell_take(b->p, b->cell_slot);
	for (u32 i = 0; i < b->o.naddr; i++) {
		u64 now = clock_ns(), left = b->deadline_ns > now ? b->deadline_ns - now : 0;

		end = db_connect(b->db, b->c.port == 0 ? b->c.host : b->o.addr[i].text, b->c.port, b->c.user,
		    b->c.password, &b->c.tls, b->c.proxy, now + left / (b->o.naddr - i));
		if (end == DB_OK) {
			b->at = b->o.addr[i];
			b->connected_ns = now;
			prober_cell_note(b->p, b->cell_slot, b->cell, db_thread_id(b->db));
			put_addresses(b);
			return 0;
		}
		if (end == DB_ABORTED)
			break;
	}
	return probe_failed(b, end, true);
}

static int
probe_connect(struct probe *b)
{
	int rc = resolver_get(&b->res, b->c.host, b->c.port, b->deadline_ns, b->p->stop_fd);

	if (rc == ERR_AGAIN)
		return rc;
	if (rc != 0) {
		b->o.cause = SRV_CAUSE_DNS;
		(void)str_copy(b->o.error, sizeof b->o.error, b->res.error);
		return ERR_IO;
	}
	if (db_is_open(b->db) && !address_is_current(b))
		probe_close(b); /* the name means another host now */
	if (db_is_open(b->db)) {
		put_addresses(b);
		return 0;
	}
	probe_close(b);
	rc = connect_any(b);
	b->figures_ns = 0;
	return rc != 0 ? rc : session_setup(b);
}

/* ---- looking ---- */

static void
on_basics(void *arg, const struct db_row *r)
{
	struct probe *b = arg;
	struct obs_facts *f = &b->o.facts;

	if (r->n < 7)
		return;
	f->read_only = facts_true(r->value[0]);
	f->server_id = facts_u64(r->value[1]);
	facts_text(f->version, sizeof f->version, r->value[2]);
	facts_text(f->hostname, sizeof f->hostname, r->value[3]);
	f->port = (u32)facts_u64(r->value[4]);
	f->wait_timeout_s = facts_u64(r->value[5]);
	f->max_connections = (u32)facts_u64(r->value[6]);
	if (r->n < 9 || r->value[7] == NULL || r->value[8] == NULL)
		return;
	facts_gtid_merge(f->gtid, &f->ngtid, r->value[7], 0);
	facts_gtid_merge(f->gtid, &f->ngtid, r->value[8], f->server_id);
	(void)str_copy(b->binlog_pos, sizeof b->binlog_pos, r->value[8]);
}

/* What others wrote to its log counts when nothing is being applied: while a transaction is, its position is in the log
 * before its rows can be read. (A read that had to see a write did not, on a slow disk.) Channels are looked at after the
 * positions, so what was under way then has ended if none is at work now. */
static void
merge_binlog_pos(struct probe *b)
{
	struct obs_facts *f = &b->o.facts;

	for (u32 i = 0; i < f->nchannels; i++)
		if (f->channel[i].sql != OBS_THREAD_NO)
			return;
	if (f->nchannels < OBS_CHANNELS)
		facts_gtid_merge(f->gtid, &f->ngtid, b->binlog_pos, 0);
}

static int
look_basics(struct probe *b)
{
	static const char basics[] = "SELECT @@global.read_only, @@global.server_id, @@version, @@hostname,"
	                             " @@port, @@global.wait_timeout, @@global.max_connections";
	char sql[400];
	enum db_end end;

	/* What is applied: the larger of both positions in each domain, as far as merge_binlog_pos lets it. gtid_current_pos
	 * leaves out what a former replica wrote to its own log from another server. */
	b->binlog_pos[0] = '\0';
	(void)snprintf(sql, sizeof sql, "%s%s", basics,
	    b->mariadb ? ", @@global.gtid_slave_pos, @@global.gtid_binlog_pos" : "");
	end = db_query(b->db, sql, b->deadline_ns, on_basics, b);
	if (end != DB_OK)
		return probe_failed(b, end, false);
	if (b->o.facts.version[0] == '\0') {
		b->o.cause = SRV_CAUSE_PROTOCOL;
		(void)str_copy(b->o.error, sizeof b->o.error, "an answer that does not fit the question");
		return ERR_IO;
	}
	return 0;
}

static const char *
col2(const struct db_row *r, const char *name, const char *newer)
{
	const char *v = db_col(r, name);

	return v != NULL ? v : db_col(r, newer);
}

static void
on_channel(void *arg, const struct db_row *r)
{
	struct probe *b = arg;
	struct obs_facts *f = &b->o.facts;
	struct obs_channel *ch;
	const char *behind;

	if (f->nchannels >= OBS_CHANNELS) {
		if (!b->channels_cut)
			log_warn("server %s: more than %d replication channels: the rest is not looked at",
			    b->c.name, OBS_CHANNELS);
		b->channels_cut = true;
		return;
	}
	ch = &f->channel[f->nchannels++];
	memset(ch, 0, sizeof *ch);
	facts_text(ch->host, sizeof ch->host, col2(r, "Master_Host", "Source_Host"));
	ch->port = (u32)facts_u64(col2(r, "Master_Port", "Source_Port"));
	ch->server_id = facts_u64(col2(r, "Master_Server_Id", "Source_Server_Id"));
	ch->io = facts_thread(col2(r, "Slave_IO_Running", "Replica_IO_Running"));
	ch->sql = facts_thread(col2(r, "Slave_SQL_Running", "Replica_SQL_Running"));
	behind = col2(r, "Seconds_Behind_Master", "Seconds_Behind_Source");
	ch->behind_known = behind != NULL;
	ch->behind_ms = MIN(facts_u64(behind), UINT32_MAX) * 1000;
}

static int
look_channels(struct probe *b)
{
	enum { SYNTAX_ERROR = 1064 };
	enum db_end end;

	if (b->c.topology != CFG_REPLICATION)
		return 0;
	if (b->mariadb) {
		end = db_query(b->db, "SHOW ALL SLAVES STATUS", b->deadline_ns, on_channel, b);
		return end == DB_OK ? 0 : probe_failed(b, end, false);
	}
	if (!b->replica_syntax_old) {
		end = db_query(b->db, "SHOW REPLICA STATUS", b->deadline_ns, on_channel, b);
		if (end == DB_OK)
			return 0;
		if (end != DB_ERROR || db_errno(b->db) != SYNTAX_ERROR)
			return probe_failed(b, end, false);
		b->replica_syntax_old = true;
	}
	end = db_query(b->db, "SHOW SLAVE STATUS", b->deadline_ns, on_channel, b);
	return end == DB_OK ? 0 : probe_failed(b, end, false);
}

static void
on_figure(void *arg, const struct db_row *r)
{
	struct probe *b = arg;
	struct obs_facts *f = &b->o.facts;
	const char *name, *v;

	if (r->n < 2 || r->value[0] == NULL || r->value[1] == NULL)
		return;
	name = r->value[0];
	v = r->value[1];
	if (str_ieq(name, "Threads_connected")) {
		b->threads_connected = (u32)facts_u64(v);
	} else if (str_ieq(name, "wsrep_ready")) {
		f->wsrep_ready = facts_true(v);
	} else if (str_ieq(name, "wsrep_cluster_status")) {
		f->wsrep_on = v[0] != '\0';
		f->wsrep_primary = str_ieq(v, "Primary");
	} else if (str_ieq(name, "wsrep_local_state")) {
		f->wsrep_state = (u32)facts_u64(v);
	} else if (str_ieq(name, "wsrep_local_state_comment")) {
		facts_text(f->wsrep_comment, sizeof f->wsrep_comment, v);
	} else if (str_ieq(name, "wsrep_cluster_state_uuid")) {
		facts_text(f->wsrep_uuid, sizeof f->wsrep_uuid, v);
	}
}

static int
look_figures(struct probe *b)
{
	bool galera = b->c.topology == CFG_GALERA;
	u64 now = clock_ns();

	if (galera || b->figures_ns == 0 || now - b->figures_ns > FIGURES_MS * MS_NS) {
		enum db_end end = db_query(b->db,
		    galera ? "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected',"
			     "'wsrep_ready','wsrep_cluster_status','wsrep_local_state',"
			     "'wsrep_local_state_comment','wsrep_cluster_state_uuid')"
			   : "SHOW GLOBAL STATUS LIKE 'Threads_connected'",
		    b->deadline_ns, on_figure, b);

		if (end != DB_OK)
			return probe_failed(b, end, false);
		b->figures_ns = now;
	}
	b->o.facts.threads_connected = b->threads_connected;
	return 0;
}

static void
on_heartbeat(void *arg, const struct db_row *r)
{
	struct obs_facts *f = arg;

	if (r->n < 1 || r->value[0] == NULL)
		return;
	f->hb_row_ms = facts_u64(r->value[0]);
	f->hb_read = f->hb_row_ms != 0;
}

/* A table that cannot be read makes the probe no bad one: the lag is then taken from the server's status. */
static int
look_heartbeat(struct probe *b)
{
	char sql[600];
	enum db_end end;

	if (b->c.hb_table[0] == '\0' || b->c.topology != CFG_REPLICATION || b->o.facts.nchannels == 0)
		return 0;
	/* DDL on the table must not hold up the probe. */
	(void)snprintf(sql, sizeof sql, "%sSELECT %sts_ms FROM %s WHERE instance=%u",
	    b->mariadb ? "SET STATEMENT max_statement_time=0.2 FOR " : "",
	    b->mariadb ? "" : "/*+ MAX_EXECUTION_TIME(200) */ ", b->c.hb_table, b->p->env->instance);
	end = db_query(b->db, sql, b->deadline_ns, on_heartbeat, &b->o.facts);
	b->o.facts.hb_at_ms = clock_wall_ms();
	if (end == DB_OK) {
		b->hb_errno = 0;
		return 0;
	}
	if (end != DB_ERROR || !db_is_open(b->db))
		return probe_failed(b, end, false);
	if (db_errno(b->db) != b->hb_errno)
		log_notice("server %s: heartbeat table cannot be read: %s", b->c.name, db_text(b->db));
	b->hb_errno = db_errno(b->db);
	return 0;
}

static int
probe_look(struct probe *b)
{
	int rc = look_basics(b);

	rc = rc != 0 ? rc : look_channels(b);
	if (rc == 0)
		merge_binlog_pos(b);
	rc = rc != 0 ? rc : look_figures(b);
	return rc != 0 ? rc : look_heartbeat(b);
}

/* A worker could not use the server, and it may be new connections that fail while the one we keep goes on
 * (a firewall, a listener that hangs): makes one and closes it again. The old one is kept, as it shows since
 * when the server runs. One that is full or refuses the account is not worse than before. */
static int
look_fresh(struct probe *b)
{
	struct db *kept = b->db;
	int cell = b->cell, rc;
	u64 since = b->connected_ns;

	b->db = db_new(b->p->stop_fd);
	AN(b->db != NULL);
	rc = connect_any(b);
	db_free(b->db);
	prober_cell_give(b->p, b->cell_slot, b->cell);
	b->db = kept;
	b->cell = cell;
	b->connected_ns = since;
	if (rc == 0 || (b->o.cause != SRV_CAUSE_TOO_MANY && b->o.cause != SRV_CAUSE_AUTH))
		return rc;
	b->o.cause = SRV_CAUSE_NONE;
	b->o.mysql_errno = 0;
	b->o.error[0] = '\0';
	return 0;
}

/* One probe. ERR_AGAIN: the thread must end. */
static int
probe_run(struct probe *b)
{
	bool kept = db_is_open(b->db);
	int rc;

	memset(&b->o, 0, sizeof b->o);
	b->o.started_ns = clock_ns();
	b->o.conf_version = b->version;
	b->deadline_ns = b->o.started_ns + b->c.timeout_ms * MS_NS;
	rc = probe_connect(b);
	if (rc == 0)
		rc = probe_look(b);
	if (rc == 0 && kept && b->fresh)
		rc = look_fresh(b);
	b->fresh = false;
	/* A kept connection that was closed meanwhile (wait_timeout, KILL, a restart) says nothing about
	 * the server: what a new one finds does. */
	if (rc == ERR_IO && kept && !db_is_open(b->db) && b->o.cause == SRV_CAUSE_UNREACHABLE) {
		u64 started = b->o.started_ns;

		memset(&b->o, 0, sizeof b->o);
		b->o.started_ns = started;
		b->o.conf_version = b->version;
		rc = probe_connect(b);
		if (rc == 0)
			rc = probe_look(b);
	}
	if (rc != 0) {
		/* An open connection after an error of the server is dropped too: it may be the cause. */
		probe_close(b);
		resolver_expire(&b->res);
	}
	b->o.connected_ns = b->connected_ns;
	b->o.ended_ns = clock_ns();
	return rc == ERR_AGAIN ? rc : 0;
}

static void
probe_post(struct probe *b)
{
	struct prober *p = b->p;
	u64 one = 1;

	pthread_mutex_lock(&p->lock);
	p->overwritten += p->posted;
	p->last = b->o;
	p->posted = true;
	pthread_mutex_unlock(&p->lock);
	if (write(p->env->report_fd, &one, sizeof one) < 0) {
		/* EAGAIN: it is rung already. */
	}
}

static void
take_conf(struct probe *b)
{
	struct prober_conf old = b->c;

	if (!prober_conf_newer(b->p, &b->version, &b->c))
		return;
	if (strcmp(old.host, b->c.host) != 0 || old.port != b->c.port) {
		resolver_fini(&b->res);
		resolver_init(&b->res);
		memset(&b->at, 0, sizeof b->at);
	}
	if (strcmp(old.host, b->c.host) != 0 || old.port != b->c.port || old.pool_slot != b->c.pool_slot ||
	    strcmp(old.user, b->c.user) != 0 || strcmp(old.password, b->c.password) != 0 ||
	    old.topology != b->c.topology || memcmp(&old.tls, &b->c.tls, sizeof old.tls) != 0)
		probe_close(b);
	mem_wipe(&old, sizeof old);
}

static bool
take_hurry(struct prober *p)
{
	bool hurry;

	pthread_mutex_lock(&p->lock);
	hurry = p->hurry;
	p->hurry = false;
	pthread_mutex_unlock(&p->lock);
	return hurry;
}

/* Probes until the end. After a worker's alarm it goes on in quick succession while the server fails, so
 * that `fall` is reached soon, but no longer than that. */
static void
probe_loop(struct probe *b)
{
	u32 quick = 0;

	while (!prober_stops(b->p)) {
		u64 due, soonest;

		take_conf(b);
		if (probe_run(b) != 0)
			break;
		probe_post(b);
		due = b->o.started_ns + b->c.interval_ms * MS_NS;
		soonest = b->o.started_ns + PROBER_QUICK_MS * MS_NS;
		quick = b->o.cause == SRV_CAUSE_NONE || quick == 0 ? 0 : quick - 1;
		while (!prober_stops(b->p) && clock_ns() < (quick > 0 ? MIN(soonest, due) : due)) {
			prober_wait(b->p, b->p->probe_fd, quick > 0 ? MIN(soonest, due) : due);
			if (take_hurry(b->p)) {
				quick = b->c.fall;
				b->fresh = true;
			}
			take_conf(b);
			due = b->o.started_ns + b->c.interval_ms * MS_NS;
		}
	}
}

void *
probe_main(void *arg)
{
	struct probe b;
	struct prober *p;

	CAST_OBJ(p, arg, PROBER_MAGIC);
	memset(&b, 0, sizeof b);
	b.p = p;
	b.cell = -1;
	b.db = db_new(p->stop_fd);
	AN(b.db != NULL);
	resolver_init(&b.res);
	probe_loop(&b);
	probe_close(&b);
	resolver_fini(&b.res);
	db_free(b.db);
	mem_wipe(&b, sizeof b);
	db_thread_end();
	return NULL;
}
