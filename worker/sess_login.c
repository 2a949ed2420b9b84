/* worker/sess_login.c: greeting, handshake response, and the limits that a client must pass. Runs in a worker.
 */
#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>
#include "base/str.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "worker/sess.h"

/* Before any server was seen and if server_version is not set. */
#define VERSION_UNKNOWN "10.11.0-MariaDB"

/* What clients are greeted with: the option, or the least version of the servers seen. Compares the numbers
 * before the first character that is neither digit nor dot. */
static u64
version_number(const char *v)
{
	u64 n[3] = {0};
	int i = 0;

	if (strncmp(v, "5.5.5-", 6) == 0) /* MariaDB 10 says so to old replicas */
		v += 6;
	for (; *v != '\0' && i < 3; v++) {
		if (*v >= '0' && *v <= '9')
			n[i] = n[i] * 10 + (u64)(*v - '0');
		else if (*v == '.')
			i++;
		else
			break;
	}
	return n[0] * 1000000 + n[1] * 1000 + n[2];
}

/* Of the servers seen. */
static const char *
least_version(struct worker *w)
{
	bool any = false;

	if (w->version[0] != '\0' && ev_now(&w->loop) <= w->version_until)
		return w->version;
	str_copy(w->version, sizeof w->version, VERSION_UNKNOWN);
	for (u32 i = 0; i < w->max_servers; i++) {
		struct shm_srvhealth d;

		if (!w->srv[i].configured || srv_detail_read(&w->health->servers[i], &d) != 0 || d.version[0] == '\0')
			continue;
		d.version[sizeof d.version - 1] = '\0';
		if (!any || version_number(d.version) < version_number(w->version))
			str_copy(w->version, sizeof w->version, d.version);
		any = true;
	}
	w->version_until = ev_now(&w->loop) + (any ? 10000 : 100) * MS_NS;
	return w->version;
}

static void
greeting_version(struct worker *w, char *buf, size_t size)
{
	const char *conf = cfg_text(&w->cfg, w->cfg.r->margay.server_version);

	str_copy(buf, size, conf[0] != '\0' ? conf : least_version(w));
	/* MariaDB 10 greets with the prefix; clients of MariaDB take it off and know then what it is */
	u64 n = version_number(buf);
	if (n >= 10000000 && n < 11000000 && strncmp(buf, "5.5.5-", 6) != 0 && strstr(buf, "MariaDB") != NULL) {
		char t[96];

		snprintf(t, sizeof t, "5.5.5-%s", buf);
		str_copy(buf, size, t);
	}
}

/* ---- limits across workers: each worker counts its own clients and reads the others' counts. It counts
 * itself in first and then looks, so the limit is never exceeded ---- */

u64
worker_clients_all(const struct worker *w)
{
	u64 n = w->nsess;

	for (u32 i = 0; i < w->nworkers; i++)
		if (i != w->slot && w->peer[i] != NULL &&
		    __atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) != 0)
			n += STAT_GET(w->peer[i]->stat.clients);
	return n;
}

static struct shm_addrcount *
addr_cell(struct shm_addrcount *t, u32 n, u64 hash, bool claim)
{
	for (u32 k = 0; k < 64; k++) {
		struct shm_addrcount *c = &t[(hash + k) % n];
		u64 h = __atomic_load_n(&c->hash, __ATOMIC_ACQUIRE);

		if (h == hash)
			return c;
		if (claim && (h == 0 || __atomic_load_n(&c->count, __ATOMIC_RELAXED) == 0)) {
			__atomic_store_n(&c->hash, hash, __ATOMIC_RELEASE);
			return c;
		}
		if (!claim && h == 0)
			return NULL;
	}
	return NULL;
}

static u64
addr_count_all(struct worker *w, u64 hash)
{
	u64 n = 0;

	for (u32 i = 0; i < w->nworkers; i++) {
		const struct shm_seg_worker *seg = i == w->slot ? w->seg : w->peer[i];

		if (seg == NULL || __atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) == 0)
			continue;
		struct shm_addrcount *c = addr_cell(shm_worker_addrs(seg), seg->max_addrs, hash, false);
		if (c != NULL)
			n += __atomic_load_n(&c->count, __ATOMIC_SEQ_CST);
	}
	return n;
}

static u64
user_count_all(struct worker *w, u32 user_id)
{
	u64 n = 0;

	for (u32 i = 0; i < w->nworkers; i++) {
		const struct shm_seg_worker *seg = i == w->slot ? w->seg : w->peer[i];

		if (seg != NULL && __atomic_load_n(&shm_master_workers(w->names)[i].pid, __ATOMIC_RELAXED) != 0)
			n += __atomic_load_n(&shm_worker_users(seg)[user_id], __ATOMIC_SEQ_CST);
	}
	return n;
}

void
login_uncount(struct worker *w, u32 user_id)
{
	__atomic_fetch_sub(&w->users[user_id], 1, __ATOMIC_SEQ_CST);
}

void
login_counts_drop(struct sess *s)
{
	struct worker *w = s->w;

	if (s->counted_user)
		login_uncount(w, s->counted_user_id);
	if (s->counted_addr) {
		struct shm_addrcount *c = addr_cell(w->addrs, w->seg->max_addrs, s->addr_hash, false);

		if (c != NULL)
			__atomic_fetch_sub(&c->count, 1, __ATOMIC_SEQ_CST);
	}
	s->counted_user = s->counted_addr = false;
}

static bool
count_address(struct sess *s)
{
	struct worker *w = s->w;
	u64 limit = w->cfg.r->margay.max_clients_per_address;

	s->addr_later = false;
	if (s->addr_family == 1)
		return true;
	s->addr_hash = XXH3_64bits(s->addr, sizeof s->addr) | 1;
	struct shm_addrcount *c = addr_cell(w->addrs, w->seg->max_addrs, s->addr_hash, true);
	if (c == NULL)
		return true;
	__atomic_fetch_add(&c->count, 1, __ATOMIC_SEQ_CST);
	s->counted_addr = true;
	if (limit == 0 || addr_count_all(w, s->addr_hash) <= limit)
		return true;
	STAT_ADD(w->stat->refused_limit, 1);
	sess_error_close(s, s->next_seq, ERR_ADDR_LIMIT, "%s has max_clients_per_address = %llu", s->addr_text,
	    (unsigned long long)limit);
	return false;
}

/* enum cfg_tls_front, of the address that the client came to. */
static u64
tls_mode(const struct sess *s)
{
	return s->listen_tls != 0 ? s->listen_tls - 1 : s->w->cfg.r->margay.tls;
}

/* Not twice: inside of TLS the bit means nothing, so that an SSLRequest there is a malformed response. */
static u32
caps_offered(const struct sess *s)
{
	u64 zip = s->w->cfg.r->margay.compression;

	return CAPS_CLIENT | (s->w->tls != NULL && tls_mode(s) != CFG_TLS_OFF && !conn_is_tls(&s->conn) ? CAP_SSL : 0) |
	    (zip == CFG_ZIP_ZLIB || zip == CFG_ZIP_ANY ? CAP_COMPRESS : 0) |
	    (zip == CFG_ZIP_ZSTD || zip == CFG_ZIP_ANY ? CAP_ZSTD : 0);
}

/* What the oldest of the servers has too (mariadb.com/kb/en/connection/, result-set-packets/: since 10.2, 10.5.2 and 10.6). */
static u32
mcaps_offered(struct worker *w)
{
	const char *least = least_version(w), *conf = cfg_text(&w->cfg, w->cfg.r->margay.server_version);

	if (strstr(least, "MariaDB") == NULL || (conf[0] != '\0' && strstr(conf, "MariaDB") == NULL))
		return 0;
	u64 n = version_number(least);

	return (n >= 10002000 ? MCAP_STMT_BULK : 0) | (n >= 10005002 ? MCAP_EXTENDED_METADATA : 0) |
	    (n >= 10006000 ? MCAP_CACHE_METADATA : 0);
}

void
login_greet(struct sess *s)
{
	struct worker *w = s->w;
	u8 buf[256];
	char version[80];
	struct wr wr = wr_init(buf, sizeof buf);

	peer_of_socket(s);
	s->proxy_may = s->addr_later = cfg_net_proxies(&w->cfg, s->addr_family, s->addr);
	sess_record(s);
	u64 all = worker_clients_all(w), max = w->cfg.r->margay.max_clients;
	if (all > max) {
		STAT_ADD(w->stat->refused_limit, 1);
		sess_error_close(s, 0, ERR_TOO_MANY, "max_clients = %llu", (unsigned long long)max);
		return;
	}
	if (!s->addr_later && !count_address(s))
		return;
	if (auth_scramble_new(s->scramble) != 0) {
		sess_error_close(s, 0, ERR_SYSTEM, "no random numbers");
		return;
	}
	greeting_version(w, version, sizeof version);
	struct hs_greeting g = {
	    .protocol = 10,
	    .version = {(const u8 *)version, strlen(version)},
	    .thread_id = s->id,
	    .caps = caps_offered(s),
	    .mariadb_caps = mcaps_offered(w),
	    .charset = 45, /* utf8mb4_general_ci: a client names its own */
	    .status = ST_AUTOCOMMIT,
	    .plugin = auth_greets(w),
	};
	memcpy(g.scramble, s->scramble, sizeof g.scramble);
	hs_greeting_write(&wr, &g);
	AZ(wr.bad);
	sess_set_state(s, SESS_LOGIN);
	if (!sess_send(s, buf, wr.len))
		sess_close(s, "greeting could not be sent");
}

/* ---- the response ---- */

void
login_refuse(struct sess *s, int code, const char *fmt, ...)
{
	char text[PKT_ERR_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (s->before == NULL)
		sess_error_close(s, s->next_seq, code, "%s", text);
	else if (sess_error(s, s->next_seq, code, "%s", text))
		change_undo(s);
	else
		sess_close(s, "write to client failed");
}

static bool
user_limit(struct sess *s, const struct cfg_user *u)
{
	struct worker *w = s->w;
	u64 limit = u->max_connections != 0 ? u->max_connections : w->cfg.r->margay.max_clients_per_user;

	if (u->id >= w->seg->max_users)
		return true;
	if (s->counted_user)
		return true; /* COM_CHANGE_USER to the same one */
	s->counted_user_id = u->id;
	__atomic_fetch_add(&w->users[u->id], 1, __ATOMIC_SEQ_CST);
	s->counted_user = true;
	if (limit == 0 || user_count_all(w, u->id) <= limit)
		return true;
	STAT_ADD(w->stat->refused_limit, 1);
	login_refuse(s, ERR_USER_LIMIT, "user %s has %s = %llu", s->user,
	    u->max_connections != 0 ? "max_connections" : "max_clients_per_user", (unsigned long long)limit);
	return false;
}

/* The database that the handshake names must exist for the user, as at a server: a connection that is in it
 * says so at once, else one is asked. */
static void
login_database(struct sess *s)
{
	struct stmt st = {.kind = STMT_USE, .why = ROUTE_STATE, .flags = STMT_F_READ};
	size_t n = strlen(s->login_db->text);
	u8 pkt[PKT_HDR + 1 + 256];

	s->cmd.com = COM_INIT_DB;
	s->cmd.login = true;
	s->cmd.st = st;
	s->cmd.started = ev_now(&s->w->loop);
	wr24(pkt, (u32)n + 1);
	pkt[3] = 0;
	pkt[4] = COM_INIT_DB;
	memcpy(pkt + 5, s->login_db->text, n);
	s->cmd.p = pkt;
	s->cmd.len = PKT_HDR + 1 + n;
	cmd_dispatch(s);
}

/* Of a client that asks for both, zlib: so do servers. */
static void
choose_zip(struct sess *s, const struct hs_response *r)
{
	u32 level = (u32)s->w->cfg.r->margay.compression_level;

	s->zip = (r->caps & CAP_COMPRESS) != 0 ? ZIP_ZLIB : (r->caps & CAP_ZSTD) != 0 ? ZIP_ZSTD : ZIP_OFF;
	s->zip_level = (u8)(s->zip == ZIP_ZSTD && r->zstd_level != 0 ? MIN(level, (u32)r->zstd_level) : level);
}

static bool
login_zip(struct sess *s)
{
	u8 algo = s->zip;

	s->zip = ZIP_OFF; /* once */
	return algo == ZIP_OFF || conn_zip(&s->conn, (enum zip_algo)algo, s->zip_level,
	    (u32)s->w->cfg.r->margay.compression_threshold, false);
}

/* The login's OK: a client that tracks its session is told the database, as by a server. */
static bool
login_ok(struct sess *s)
{
	u8 buf[1024], block[512]; /* a database's name has up to 192 bytes (login_response) */
	struct wr w = wr_init(buf, sizeof buf), state = wr_init(block, sizeof block);
	struct pkt_ok ok = {.status = s->status};

	if (s->db != NULL && (s->caps & CAP_SESSION_TRACK) != 0) {
		wr_u8(&state, TRACK_SCHEMA);
		wr_lenenc(&state, lenenc_size(s->db->len) + s->db->len);
		wr_lenenc_str(&state, s->db->text, s->db->len);
		ok.status |= ST_SESSION_CHANGED;
		ok.state = (struct slice){block, state.len};
	}
	pkt_ok_write(&w, s->next_seq, 0x00, s->caps, &ok);
	return !state.bad && !w.bad && sess_send(s, buf, w.len);
}

void
login_finish(struct sess *s, bool ok)
{
	if (!ok)
		return;
	s->logged_in = true;
	if (s->before != NULL)
		change_done(s);
	STAT_ADD(s->w->stat->logins, 1);
	sess_record(s);
	if (s->state != SESS_READY)
		sess_set_state(s, SESS_READY);
	if (!login_ok(s) || !login_zip(s))
		sess_close(s, "write to client failed");
	/* a driver may send its first statement with its login */
	else if (s->conn.held_len > 0 || s->conn.switching)
		sess_resume(s);
}

/* What [user] tls asks of the connection. Looked at when the password was right, so that it tells nobody who is known. */
static bool
user_transport(struct sess *s, const struct cfg_user *u)
{
	const char *subject = cfg_text(&s->w->cfg, u->tls_subject);

	if (u->tls == CFG_UTLS_ANY || (u->tls == CFG_UTLS_REQUIRED && conn_secure(&s->conn)) ||
	    (u->tls == CFG_UTLS_CERT && conn_is_tls(&s->conn) && tls_peer_is(s->conn.layer->ssl, subject)))
		return true;
	STAT_ADD(s->w->stat->logins_failed, 1);
	log_limited(LOG_WARN_, "login refused: user %s from %s: %s", s->user, s->addr_text,
	    u->tls == CFG_UTLS_REQUIRED ? "without TLS" : "without the client certificate that it must show");
	if (u->tls == CFG_UTLS_REQUIRED)
		login_refuse(s, ERR_TLS_NEEDED, "user %s has tls = required", s->user);
	else
		login_refuse(s, ERR_TLS_CERT, "user %s", s->user);
	return false;
}

/* The client is who it says: may it come from there, and is there room for it? */
void
login_admit(struct sess *s)
{
	struct worker *w = s->w;
	const struct cfg_user *u = sess_user(s);

	s->defaults = w->defaults;
	if (u == NULL) {
		sess_close(s, "user is no longer configured");
		return;
	}
	if (!cfg_net_allows(&w->cfg, u, s->addr_family, s->addr)) {
		STAT_ADD(w->stat->refused_network, 1);
		log_limited(LOG_WARN_, "login refused: user %s from %s: not in allow_from", s->user, s->addr_text);
		login_refuse(s, ERR_NETWORK, "user %s, address %s", s->user, s->addr_text);
		return;
	}
	if (!user_transport(s, u) || !user_limit(s, u))
		return;
	/* without the capability it is the server that refuses */
	if (!w->cfg.r->margay.local_infile || !u->local_infile)
		s->caps &= ~CAP_LOCAL_FILES;
	if (s->login_db == NULL && u->default_schema.off != 0)
		s->login_db = istr_get(&w->in, cfg_text(&w->cfg, u->default_schema), u->default_schema.len);
	if (s->login_db != NULL)
		login_database(s);
	else
		login_finish(s, true);
}

static void
bad_handshake(struct sess *s)
{
	STAT_ADD(s->w->stat->bad_packets, 1);
	log_limited(LOG_WARN_, "malformed handshake from %s", s->addr_text);
	sess_error_close(s, s->next_seq, ERR_PROTO, "handshake");
}

/* By the collation (numbers of information_schema.COLLATIONS): character sets in which a character may end in a byte that looks
 * like a backslash or a quote. */
u32
login_lex_mode(u8 id)
{
	switch (id) {
	case 1: case 84:
		return LEX_BIG5;
	case 13: case 88: case 95: case 96: /* sjis, cp932 */
		return LEX_SJIS;
	case 28: case 87:
		return LEX_GBK;
	case 248: case 249: case 250: /* MySQL's gb18030 */
		return LEX_UNSAFE_CHARSET;
	default:
		return 0;
	}
}

/* ucs2, utf16, utf16le, utf32: nothing that SQL could be written in */
bool
login_no_client_charset(u32 id)
{
	return id == 35 || id == 90 || (id >= 54 && id <= 56) || (id >= 60 && id <= 62) || (id >= 101 && id <= 183 && id != 152);
}

/* The response comes again, inside of TLS. */
static void
ssl_request(struct sess *s)
{
	if (!conn_tls_accept(&s->conn, s->w->tls))
		sess_close(s, conn_why(&s->conn));
}

void
login_tls_failed(struct sess *s)
{
	STAT_ADD(s->w->stat->tls_failed, 1);
	log_limited(LOG_WARN_, "client %s: %s", s->addr_text, conn_why(&s->conn));
}

/* True: it may go on as it is. */
static bool
login_transport(struct sess *s)
{
	if (conn_is_tls(&s->conn)) {
		STAT_ADD(s->w->stat->tls_handshakes, 1);
		if (tls_was_resumed(s->conn.layer->ssl))
			STAT_ADD(s->w->stat->tls_resumed, 1);
		return true;
	}
	if (tls_mode(s) != CFG_TLS_REQUIRED || conn_secure(&s->conn))
		return true;
	STAT_ADD(s->w->stat->logins_failed, 1);
	sess_error_close(s, s->next_seq, ERR_TLS_NEEDED, "tls = required");
	return false;
}

/* Before the user is known to be who it says: nothing is done with the name until then. */
void
login_program(struct sess *s, struct slice attrs)
{
	const struct cfg_user *u = sess_user(s);
	struct slice v = {NULL, 0};

	if (u != NULL && u->pass_program_name)
		v = hs_attr(attrs, "program_name");
	istr_put(&s->w->in, s->program);
	s->program = NULL;
	if (v.len > 0 && v.len <= PROGRAM_MOST && memchr(v.p, '\0', v.len) == NULL)
		s->program = istr_get(&s->w->in, v.p, v.len); /* without memory: Margay's */
}

static void
login_response(struct sess *s, const u8 *body, size_t len)
{
	struct hs_response r;

	if (hs_response_parse(body, len, caps_offered(s), &r) != 0) {
		bad_handshake(s);
		return;
	}
	if (r.ssl_request) {
		ssl_request(s);
		return;
	}
	if (!login_transport(s) || (s->addr_later && !count_address(s)))
		return;
	s->caps = r.caps & ~CAP_SSL;
	s->mcaps = (u8)(r.mariadb_caps & mcaps_offered(s->w));
	choose_zip(s, &r);
	if (login_no_client_charset(r.charset)) {
		/* as a server; its refusal of Margay's connection would be taken for trouble of the server */
		sess_error_close(s, s->next_seq, ERR_CHARSET, "collation %u", r.charset);
		return;
	}
	s->collation = r.charset != 0 ? r.charset : 45;
	s->lex_charset = s->lex_login = login_lex_mode(s->collation);
	if (r.db.len > 192) { /* 64 characters, of three bytes at most: no database has such a name; cut as servers do */
		sess_error_close(s, s->next_seq, ERR_DB_NAME, "Incorrect database name '%.97s...'", (const char *)r.db.p);
		return;
	}
	if (r.user.len >= sizeof s->user) {
		bad_handshake(s);
		return;
	}
	str_copy_slice(s->user, sizeof s->user, r.user.p != NULL ? (const void *)r.user.p : "", r.user.len);
	s->user_gen = UINT64_MAX;
	if (r.db.len > 0) {
		s->login_db = istr_get(&s->w->in, r.db.p, r.db.len);
		if (s->login_db == NULL) {
			sess_close(s, "out of memory");
			return;
		}
	}
	login_program(s, r.attrs);
	auth_begin(s, (r.caps & CAP_PLUGIN_AUTH) != 0 ? r.plugin : (struct slice){NULL, 0}, r.auth);
}

void
login_packet(struct sess *s, const u8 *body, size_t len, u8 seq)
{
	u8 want = s->state != SESS_LOGIN ? (u8)(s->next_seq + 1) : conn_is_tls(&s->conn) ? 2 : 1;

	if (conn_is_zip(&s->conn))
		seq = want; /* COM_CHANGE_USER under compression: as in statement_length */
	s->next_seq = (u8)(seq + 1);
	if (seq != want) {
		bad_handshake(s);
		return;
	}
	if (s->state == SESS_LOGIN)
		login_response(s, body, len);
	else
		auth_more(s, body, len);
}
