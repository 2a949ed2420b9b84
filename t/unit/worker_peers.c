/* t/unit/worker_peers.c: the clients and servers that a test of the worker plays; see worker_rig.h. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/str.h"
#include "proto/auth.h"

/* ---- both kinds ---- */

static struct peer *
peer_new(int fd, bool is_server)
{
	struct peer *p = calloc(1, sizeof *p);

	cr_assert_not_null(p);
	cr_assert_lt(R.npeers, ARRAY_LEN(R.peers));
	p->fd = fd;
	p->is_server = is_server;
	R.peers[R.npeers++] = p;
	return p;
}

void
peer_close(struct peer *p)
{
	close(p->fd);
	p->fd = -1;
	p->eof = true;
}

size_t
peer_take_raw(struct peer *p, size_t most)
{
	size_t got = 0;

	while (p->fd >= 0 && !p->eof && got < most) {
		if (p->at > 0 && p->at == p->len)
			p->at = p->len = 0;
		if (p->cap - p->len < 65536) {
			p->cap = p->cap * 2 + 131072;
			p->in = realloc(p->in, p->cap);
			cr_assert_not_null(p->in);
		}
		ssize_t n = recv(p->fd, p->in + p->len, MIN(p->cap - p->len, most - got), MSG_DONTWAIT);

		if (n > 0) {
			p->len += (size_t)n;
			got += (size_t)n;
			continue;
		}
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			p->eof = true;
		break;
	}
	return got;
}

/* The worker runs and the peer takes, until neither has anything more. */
static void
exchange(struct peer *p)
{
	do
		rig_run();
	while (peer_take_raw(p, SIZE_MAX) > 0);
}

void
peer_send(struct peer *p, const void *bytes, size_t len)
{
	const u8 *b = bytes;
	int idle = 0;

	while (len > 0) {
		ssize_t n = send(p->fd, b, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0) {
			b += n;
			len -= (size_t)n;
			idle = 0;
			continue;
		}
		if (errno != EAGAIN)
			return; /* the worker closed: the test will see */
		rig_run();
		/* what makes room may be the far side's reading */
		for (u32 i = 0; i < R.npeers; i++)
			if (R.peers[i] != p)
				(void)peer_take_raw(R.peers[i], SIZE_MAX);
		cr_assert_lt(++idle, 1000, "the worker does not take %zu bytes", len);
	}
}

static size_t
packet_size(const struct peer *p)
{
	if (p->len - p->at < PKT_HDR)
		return SIZE_MAX;
	size_t n = PKT_HDR + (size_t)rd24(p->in + p->at);

	return p->len - p->at < n ? SIZE_MAX : n;
}

bool
peer_has_packet(struct peer *p)
{
	exchange(p);
	return packet_size(p) != SIZE_MAX;
}

const u8 *
peer_packet(struct peer *p, size_t *len_r)
{
	exchange(p);
	size_t n = packet_size(p);

	cr_assert_neq(n, SIZE_MAX, "no packet for the %s: %zu bytes%s", p->is_server ? "server" : "client",
	    p->len - p->at, p->eof ? ", closed" : "");
	const u8 *at = p->in + p->at;

	p->at += n;
	*len_r = n;
	return at;
}

size_t
peer_pending(struct peer *p)
{
	exchange(p);
	return p->len - p->at;
}

void
peer_skip(struct peer *p, size_t n)
{
	cr_assert_leq(n, p->len - p->at);
	p->at += n;
}

static const char *
show(const u8 *p, size_t len)
{
	static char buf[4][400];
	static int turn;
	char *b = buf[turn++ % 4];
	size_t at = 0;

	for (size_t i = 0; i < len && at + 5 < sizeof buf[0]; i++)
		at += (size_t)(p[i] >= 32 && p[i] < 127 ? snprintf(b + at, 5, "%c", p[i]) : snprintf(b + at, 5, "\\%02x", p[i]));
	b[at] = '\0';
	return b;
}

void
peer_expect_silence(struct peer *p)
{
	exchange(p);
	cr_assert(p->len == p->at, "not silent: %s", show(p->in + p->at, p->len - p->at));
	cr_assert(!p->eof, "closed");
}

void
peer_expect_closed(struct peer *p)
{
	exchange(p);
	cr_assert(p->len == p->at, "not silent: %s", show(p->in + p->at, p->len - p->at));
	cr_assert(p->eof, "not closed");
}

void
peer_expect(struct peer *p, const void *bytes, size_t len)
{
	exchange(p);
	size_t have = MIN(p->len - p->at, len), i = 0;
	const u8 *a = p->in + p->at, *b = bytes;

	while (i < have && a[i] == b[i])
		i++;
	cr_assert(i == len, "of %zu bytes %zu came, and differ at %zu:\n got  %s\n want %s", len, p->len - p->at, i,
	    show(a + i, have - i), show(b + i, len - i));
	p->at += len;
}

/* ---- clients ---- */

struct peer *
client_connect_fd(int fds[2])
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	return peer_new(fds[0], false);
}

static void
read_greeting(struct peer *c)
{
	struct hs_greeting g;
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert_eq(hs_greeting_parse(p + PKT_HDR, len - PKT_HDR, &g), 0);
	memcpy(c->scramble, g.scramble, 20);
	c->id = g.thread_id;
}

struct peer *
client_connect(void)
{
	int fds[2];
	struct peer *c = client_connect_fd(fds);

	listen_client(&R.w, fds[1], 1, 0, 0);
	read_greeting(c);
	return c;
}

void
client_respond(struct peer *c, const char *user, const char *password, const char *db, u32 caps, const char *plugin)
{
	u8 buf[1024], stage1[20], token[20];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_response r = {
	    .caps = caps | (db != NULL ? CAP_CONNECT_WITH_DB : 0), .max_packet = 1u << 24, .charset = 45,
	    .mariadb_caps = R.mcaps};

	r.user = (struct slice){(const u8 *)user, strlen(user)};
	if (db != NULL)
		r.db = (struct slice){(const u8 *)db, strlen(db)};
	if (plugin != NULL)
		r.plugin = (struct slice){(const u8 *)plugin, strlen(plugin)};
	else
		r.caps &= ~CAP_PLUGIN_AUTH;
	if (password[0] != '\0') {
		auth_native_stage1(password, strlen(password), stage1);
		auth_native_token(stage1, c->scramble, token);
		r.auth = (struct slice){token, 20};
	}
	hs_response_write(&w, 1, &r);
	cr_assert(!w.bad);
	c->caps = r.caps;
	peer_send(c, buf, w.len);
}

struct peer *
client_login(u32 caps)
{
	struct peer *c = client_connect();

	client_respond(c, "app", "secret", NULL, caps, "mysql_native_password");
	client_expect_ok(c);
	return c;
}

void
client_com(struct peer *c, u8 com, const void *arg, size_t len)
{
	struct bytes b = {0};
	u8 *body = malloc(len + 1);

	cr_assert_not_null(body);
	body[0] = com;
	if (len > 0)
		memcpy(body + 1, arg, len);
	bytes_packet(&b, 0, body, len + 1);
	peer_send(c, b.p, b.len);
	free(body);
	bytes_free(&b);
}

void
client_query(struct peer *c, const char *sql)
{
	client_com(c, COM_QUERY, sql, strlen(sql));
}

void
client_expect_ok(struct peer *c)
{
	size_t len;
	const u8 *p = peer_packet(c, &len);
	struct pkt_ok ok;

	cr_assert_eq(p[PKT_HDR], 0x00, "not OK: %s", show(p, len));
	cr_assert_eq(pkt_ok_parse(p + PKT_HDR, len - PKT_HDR, c->caps, &ok), 0);
}

void
client_expect_err(struct peer *c, u16 code, const char *part)
{
	size_t len;
	const u8 *p = peer_packet(c, &len);
	struct pkt_err e;
	char text[600];

	cr_assert_eq(p[PKT_HDR], 0xff, "no error: %s", show(p, len));
	cr_assert_eq(pkt_err_parse(p + PKT_HDR, len - PKT_HDR, &e), 0);
	str_copy_slice(text, sizeof text, e.text.p, e.text.len);
	cr_assert_eq(e.code, code, "error %u %s", e.code, text);
	cr_assert(strstr(text, part) != NULL, "'%s' is not in: %s", part, text);
}

struct sess *
client_sess(struct peer *c)
{
	struct sess *s = sess_by_id(&R.w, c->id);

	cr_assert_not_null(s, "session %u is gone", c->id);
	return s;
}

/* ---- servers ---- */

static int
try_accept(u32 server)
{
	return R.listen[server] < 0 ? -1 : accept(R.listen[server], NULL, NULL);
}

struct peer *
server_accept(u32 server)
{
	static u32 threads = 100;

	rig_run();
	int fd = try_accept(server);

	cr_assert_geq(fd, 0, "nobody connects to server %u", server);
	struct peer *s = peer_new(fd, true);

	s->server = server;
	s->thread_id = ++threads;
	return s;
}

bool
server_has_connect(u32 server)
{
	rig_run();
	struct pollfd p = {.fd = R.listen[server], .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

void
server_greet(struct peer *s)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_greeting g = {.protocol = 10,
	    .version = {(const u8 *)"5.5.5-10.11.6-MariaDB", 21},
	    .thread_id = s->thread_id,
	    .caps = CAPS_CLIENT | CAP_LOCAL_FILES,
	    .mariadb_caps = MCAPS_CLIENT,
	    .charset = 45,
	    .status = ST_AUTOCOMMIT,
	    .plugin = {(const u8 *)"mysql_native_password", 21}};

	cr_assert_eq(auth_scramble_new(s->scramble), 0);
	memcpy(g.scramble, s->scramble, 20);
	hs_greeting_write(&w, &g);
	cr_assert(!w.bad);
	peer_send(s, buf, w.len);
}

void
server_expect_login(struct peer *s, const char *user, const char *password)
{
	struct hs_response r;
	size_t len;
	const u8 *p = peer_packet(s, &len);
	u8 stage1[20], stage2[20], out[20];

	cr_assert_eq(p[3], 1);
	cr_assert_eq(hs_response_parse(p + PKT_HDR, len - PKT_HDR, CAPS_CLIENT, &r), 0);
	cr_assert(slice_eq(r.user.p, r.user.len, user, strlen(user)), "logs in as %.*s", (int)r.user.len, (const char *)r.user.p);
	cr_assert((r.caps & (CAP_DEPRECATE_EOF | CAP_SESSION_TRACK)) == (CAP_DEPRECATE_EOF | CAP_SESSION_TRACK));
	if (password[0] == '\0') {
		cr_assert_eq(r.auth.len, 0);
		return;
	}
	cr_assert_eq(r.auth.len, 20);
	auth_native_stage1(password, strlen(password), stage1);
	auth_native_stage2(stage1, stage2);
	cr_assert(auth_native_check(r.auth.p, stage2, s->scramble, out), "wrong password for %s", user);
}

static void
send_ok(struct peer *s, u8 seq, const struct pkt_ok *ok)
{
	struct bytes b = {0};

	bytes_ok(&b, seq, CAP_SESSION_TRACK, ok);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
}

struct peer *
server_up_to_setup(u32 server)
{
	struct peer *s = server_accept(server);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

	peer_expect(s, R.proxy_header, R.proxy_header_len);
	server_greet(s);
	server_expect_login(s, "app", "secret");
	send_ok(s, 2, &ok);
	server_expect_query(s, R.w.srv[server].track_trx ? BCONN_SETUP_TRX_SQL : BCONN_SETUP_SQL);
	return s;
}

struct peer *
server_ready(u32 server)
{
	struct peer *s = server_up_to_setup(server);

	server_ok(s);
	return s;
}

void
server_expect(struct peer *s, u8 com, const void *arg, size_t len)
{
	size_t n;
	const u8 *p = peer_packet(s, &n);

	cr_assert_eq(p[3], 0, "command with sequence id %u", p[3]);
	cr_assert(p[PKT_HDR] == com && n == PKT_HDR + 1 + len && (len == 0 || memcmp(p + PKT_HDR + 1, arg, len) == 0),
	    "got %s %s, want %s %s", com_word(p[PKT_HDR]), show(p + PKT_HDR + 1, n - PKT_HDR - 1), com_word(com), show(arg, len));
}

void
server_expect_query(struct peer *s, const char *sql)
{
	server_expect(s, COM_QUERY, sql, strlen(sql));
}

void
server_ok_full(struct peer *s, const struct pkt_ok *ok)
{
	send_ok(s, 1, ok);
}

void
server_ok(struct peer *s)
{
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

	send_ok(s, 1, &ok);
}

void
server_err(struct peer *s, u16 code, const char *text)
{
	u8 buf[PKT_ERR_TEXT + 64];
	struct wr w = wr_init(buf, sizeof buf);

	pkt_err_write(&w, 1, code, "HY000", text);
	peer_send(s, buf, w.len);
}

void
server_gone(struct peer *s)
{
	peer_close(s);
	rig_run();
}

void
server_expect_reset(struct peer *s)
{
	server_expect(s, COM_RESET_CONNECTION, NULL, 0);
	server_expect_query(s, R.w.srv[s->server].track_trx ? BCONN_SETUP_TRX_SQL : BCONN_SETUP_SQL);
	server_ok(s);
	server_ok(s);
}

void
server_learn(struct peer *s, const char *id)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;
	struct slice v = {(const u8 *)id, strlen(id)};

	server_expect_query(s, "SELECT LAST_INSERT_ID()");
	rset_begin(&rs, &w, 1, CAPS_NEW, 0, ST_AUTOCOMMIT, 1);
	rset_column_int(&rs, "LAST_INSERT_ID()");
	rset_columns_end(&rs);
	rset_row(&rs, &v, 1);
	rset_end(&rs, 0);
	peer_send(s, buf, w.len);
	rig_run();
}

struct peer *
rig_write_full(struct peer *c, const char *sql, struct peer *s, const struct pkt_ok *ok)
{
	client_query(c, sql);
	if (s == NULL)
		s = server_ready(0);
	server_expect_query(s, sql);
	server_ok_full(s, ok);
	client_expect_ok(c);
	return s;
}

struct peer *
rig_write(struct peer *c, const char *sql, struct peer *s)
{
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

	return rig_write_full(c, sql, s, &ok);
}

void
server_row_for(struct peer *s, struct peer *c, u16 status, u16 warnings)
{
	struct bytes b = {0};

	bytes_result(&b, 1, CAPS_NEW, status, warnings, 1);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	bytes_result(&b, 1, c->caps, status, warnings, 1);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
}

struct peer *
rig_read(struct peer *c, const char *sql, struct peer *s, u32 server)
{
	client_query(c, sql);
	if (s == NULL)
		s = server_ready(server);
	server_expect_query(s, sql);
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	return s;
}

/* ---- bytes ---- */

void
bytes_add(struct bytes *b, const void *p, size_t len)
{
	if (b->cap - b->len < len) {
		b->cap = (b->cap + len) * 2;
		b->p = realloc(b->p, b->cap);
		cr_assert_not_null(b->p);
	}
	if (len > 0)
		memcpy(b->p + b->len, p, len);
	b->len += len;
}

void
bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){0};
}

void
bytes_result(struct bytes *b, u8 seq, u32 caps, u16 status, u16 warnings, u32 rows)
{
	static u8 buf[1 << 20];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;

	rset_begin(&rs, &w, seq, caps, 0, status, 1);
	rset_column_str(&rs, "c", 100);
	rset_columns_end(&rs);
	for (u32 i = 0; i < rows; i++) {
		char text[32];
		struct slice v = {(const u8 *)text, (size_t)snprintf(text, sizeof text, "row %u", i)};

		rset_row(&rs, &v, 1);
	}
	rset_end(&rs, warnings);
	cr_assert(!w.bad);
	bytes_add(b, buf, w.len);
}

void
bytes_ok(struct bytes *b, u8 seq, u32 caps, const struct pkt_ok *ok)
{
	u8 buf[8192];
	struct wr w = wr_init(buf, sizeof buf);

	pkt_ok_write(&w, seq, 0x00, caps, ok);
	cr_assert(!w.bad);
	bytes_add(b, buf, w.len);
}

void
bytes_track(struct bytes *b, u32 type, const char *name, const char *value)
{
	u8 buf[4096];
	struct wr w = wr_init(buf, sizeof buf);
	size_t nn = name != NULL ? strlen(name) : 0, nv = strlen(value);

	wr_u8(&w, type);
	wr_lenenc(&w, (type == TRACK_SYSVAR ? lenenc_size(nn) + nn : 0) + lenenc_size(nv) + nv);
	if (type == TRACK_SYSVAR)
		wr_lenenc_str(&w, name, nn);
	wr_lenenc_str(&w, value, nv);
	cr_assert(!w.bad);
	bytes_add(b, buf, w.len);
}

void
bytes_packet(struct bytes *b, u8 seq, const void *body, size_t len)
{
	const u8 *p = body;

	for (;;) {
		size_t n = MIN(len, PKT_MAX_BODY);
		u8 h[PKT_HDR];

		wr24(h, (u32)n);
		h[3] = seq++;
		bytes_add(b, h, sizeof h);
		bytes_add(b, p, n);
		p += n;
		len -= n;
		if (n < PKT_MAX_BODY)
			return;
	}
}
