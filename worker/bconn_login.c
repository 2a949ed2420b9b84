/* worker/bconn_login.c: the login at a server: greeting, handshake response, and what is said to those who wait when it fails
 * (bconn_auth.c: the methods). Runs in a worker.
 */
#include "config.h"
#include <unistd.h>
#include "base/str.h"
#include "proto/handshake.h"
#include "proto/packet.h"
#include "worker/sess.h"

#define LOGIN_PACKET_MAX 65536 /* greetings, OK and ERR packets of a login are far smaller */

void
bconn_login_failed(struct bconn *b, int code, const char *text)
{
	struct wserver *srv = b->srv;
	struct worker *w = b->w;

	STAT_ADD(w->sstat[srv->id].connect_errors, 1);
	log_limited(LOG_WARN_, "server %s, account %s: %s after %llu ms: %s", srv->name, b->bp->backend_user->text,
	    err_text(code), (unsigned long long)((ev_now(&w->loop) - b->connect_started) / MS_NS), text);
	if (code != ERR_BACKEND_AUTH) {
		srv->suspect_until = ev_now(&w->loop) + SUSPECT_NS;
		chan_ring(w->health_bell);
	}
	/* first those who wait: the place that becomes free would be used to try once more, for nobody, and servers count that */
	if (b->job == BJOB_POOL)
		bpool_on_failure(b->bp, code, text);
	bconn_close(b, NULL);
}

void
bconn_timeout(struct bconn *b)
{
	bconn_login_failed(b, ERR_CONNECT, "connect_timeout");
}

static void
login_failed_err(struct bconn *b, int code, const u8 *body, size_t len)
{
	struct pkt_err e;
	char text[300];

	if (pkt_err_parse(body, len, &e) != 0)
		str_copy(text, sizeof text, "malformed error packet");
	else
		snprintf(text, sizeof text, "error %u: %.*s", e.code, (int)MIN(e.text.len, 240),
		    (const char *)e.text.p);
	/* 1045, 1698: wrong password or method; 1862: it has expired; 4151: the account is locked */
	if (b->state == BCONN_AUTH && e.code != 1045 && e.code != 1698 && e.code != 1862 && e.code != 4151)
		code = ERR_CONNECT_REFUSED; /* it is there, and has its reasons */
	if (code == ERR_BACKEND_AUTH)
		(void)bconn_auth_lack(b, text, sizeof text);
	bconn_login_failed(b, code, text);
}

/* Bulk commands cost nothing until they are used. */
static u32
mcaps(const struct bconn *b, const struct hs_greeting *g)
{
	return (MCAP_STMT_BULK | b->bp->mcaps) & g->mariadb_caps;
}

/* What the server's greeting and [server] tls make of the connection. What is written from here on waits for the
 * handshake, so the login goes to nobody whose certificate was not found good. false: the login has failed. */
static bool
begin_tls(struct bconn *b, const struct hs_greeting *g, u32 caps)
{
	struct wserver *srv = b->srv;
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_response r = {.caps = caps | CAP_SSL, .max_packet = 1u << 30, .mariadb_caps = mcaps(b, g),
	    .charset = b->bp->collation, .ssl_request = true};

	if (srv->tls == NULL || ((g->caps & CAP_SSL) == 0 && srv->tls_mode == CFG_STLS_PREFERRED))
		return true;
	if ((g->caps & CAP_SSL) == 0) {
		bconn_login_failed(b, ERR_CONNECT, "the server does not offer TLS");
		return false;
	}
	hs_response_write(&w, 1, &r);
	AZ(w.bad);
	if (conn_write(&b->conn, buf, w.len) &&
	    conn_tls_connect(&b->conn, srv->tls, srv->tls_mode == CFG_STLS_FULL ? srv->tls_name : NULL,
		srv->tls_sni[0] != '\0' ? srv->tls_sni : NULL, &srv->resume))
		return true;
	bconn_login_failed(b, ERR_CONNECT, conn_why(&b->conn));
	return false;
}

/* What performance_schema.session_connect_attrs of the server shows. */
static struct slice
own_attributes(const struct bconn *b, u8 *room, size_t size)
{
	struct wr w = wr_init(room, size);
	char pid[24];
	const char *const pairs[] = {"_client_name", "margay", "_client_version", PACKAGE_VERSION, "_pid", pid, "program_name",
	    b->bp->program != NULL ? b->bp->program->text : "margay"};

	snprintf(pid, sizeof pid, "%d", (int)getpid());
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		wr_lenenc_str(&w, (const u8 *)pairs[i], strlen(pairs[i]));
	AZ(w.bad);
	return (struct slice){room, w.len};
}

static void
send_login(struct bconn *b, const struct hs_greeting *g)
{
	u8 buf[1024], attrs[128 + PROGRAM_MOST], token[32];
	struct wr w = wr_init(buf, sizeof buf);
	const char *user = b->bp->backend_user->text;
	struct hs_response r = {
	    .caps = (CAP_LONG_FLAG | CAP_PROTOCOL_41 | CAP_TRANSACTIONS | CAP_SECURE_CONNECTION |
	                CAP_PLUGIN_AUTH | CAP_CONNECT_ATTRS | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF | b->bp->caps),
	    .mariadb_caps = mcaps(b, g),
	    .max_packet = 1u << 30,
	    .charset = b->bp->collation,
	    .user = {(const u8 *)user, strlen(user)},
	};

	r.caps |= b->srv->zip == CFG_ZIP_ZLIB ? CAP_COMPRESS : b->srv->zip == CFG_ZIP_ZSTD ? CAP_ZSTD : 0;
	r.zstd_level = (u8)b->srv->zip_level;
	r.caps &= g->caps | CAP_SECURE_CONNECTION | CAP_FOUND_ROWS;
	b->zip = (r.caps & CAP_COMPRESS) != 0 ? ZIP_ZLIB : (r.caps & CAP_ZSTD) != 0 ? ZIP_ZSTD : ZIP_OFF;
	if (!begin_tls(b, g, r.caps))
		return;
	if (conn_is_tls(&b->conn))
		r.caps |= CAP_SSL;
	r.attrs = own_attributes(b, attrs, sizeof attrs);
	bconn_auth_first(b, g->plugin, &r.plugin, &r.auth, token);
	hs_response_write(&w, conn_is_tls(&b->conn) ? 2 : 1, &r);
	bconn_set_state(b, BCONN_AUTH);
	if (w.bad || !conn_write(&b->conn, buf, w.len))
		bconn_login_failed(b, ERR_CONNECT, "login could not be sent");
}

static void
on_greeting(struct bconn *b, const u8 *body, size_t len)
{
	struct hs_greeting g;
	int rc = hs_greeting_parse(body, len, &g);

	if (rc == ERR_CONNECT) {
		login_failed_err(b, ERR_CONNECT, body, len);
		return;
	}
	if (rc != 0 || (g.caps & (CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION)) != (CAP_PROTOCOL_41 | CAP_SECURE_CONNECTION)) {
		bconn_login_failed(b, ERR_BACKEND_PROTO, "greeting not understood");
		return;
	}
	if ((g.caps & CAP_DEPRECATE_EOF) == 0 || (g.caps & CAP_SESSION_TRACK) == 0) {
		bconn_login_failed(b, ERR_BACKEND_PROTO,
		    "server lacks DEPRECATE_EOF or SESSION_TRACK: MariaDB 10.2 or MySQL 5.7 is needed");
		return;
	}
	if ((b->bp->mcaps & ~g.mariadb_caps) != 0) {
		bconn_login_failed(b, ERR_BACKEND_PROTO,
		    "server lacks extended metadata, which its clients were offered: it is older than the others");
		return;
	}
	b->thread_id = g.thread_id;
	memcpy(b->scramble, g.scramble, sizeof b->scramble);
	__atomic_store_n(&shm_pool_cells(b->w->pool, b->srv->pool_slot)[b->cell].thread_id,
	    (u64)g.thread_id, __ATOMIC_RELEASE);
	send_login(b, &g);
}

static void
logged_in(struct bconn *b)
{
	struct worker *w = b->w;

	bconn_set_state(b, BCONN_SETUP);
	shm_hist_add(&w->seg->hist[SHM_HIST_connect], ev_now(&w->loop) - b->connect_started);
	STAT_ADD(w->sstat[b->srv->id].connects, 1);
	if (b->zip != ZIP_OFF && !conn_zip(&b->conn, (enum zip_algo)b->zip, b->srv->zip_level,
	        (u32)w->cfg.r->margay.compression_threshold, true))
		b->conn.eof = true; /* the event that follows closes it */
	if (b->job == BJOB_KILL) {
		char sql[64];
		int n = snprintf(sql, sizeof sql, "KILL %s %u", b->kill_query ? "QUERY" : "CONNECTION",
		    b->kill_thread);

		bconn_send_com(b, COM_QUERY, sql, (size_t)n, EXP_KILL);
		return;
	}
	(void)bconn_send_setup(b, false);
}

static void
on_login_packet(struct bconn *b, const u8 *body, size_t len, u8 seq)
{
	if (b->state == BCONN_GREETING) {
		on_greeting(b, body, len);
		return;
	}
	if (len == 0)
		bconn_login_failed(b, ERR_BACKEND_PROTO, "empty packet during login");
	else if (body[0] == 0x00)
		logged_in(b);
	else if (body[0] == 0xff)
		login_failed_err(b, ERR_BACKEND_AUTH, body, len);
	else if (body[0] == 0xfe)
		bconn_auth_switch(b, body, len, seq);
	else if (body[0] == 0x01)
		bconn_auth_more(b, body, len, seq);
	else
		bconn_login_failed(b, ERR_BACKEND_PROTO, "not understood what it wants for the login");
}

void
bconn_login_data(struct bconn *b, u8 **p, u8 *end)
{
	while ((b->state == BCONN_GREETING || b->state == BCONN_AUTH) && !b->conn.switching) {
		size_t have = (size_t)(end - *p);
		u32 len;

		if (have < PKT_HDR)
			return;
		len = rd24(*p);
		if (len > LOGIN_PACKET_MAX) {
			bconn_login_failed(b, ERR_BACKEND_PROTO, "not a MySQL server, or out of step");
			return;
		}
		if (have < PKT_HDR + len)
			return;
		u8 *pkt = *p;

		*p += PKT_HDR + len;
		on_login_packet(b, pkt + PKT_HDR, len, pkt[3]);
	}
}
