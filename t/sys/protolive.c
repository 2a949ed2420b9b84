/* t/sys/protolive.c: proto/ against real peers, one blocking connection at a time; run by
 * test_protolive.py, which starts the peers and judges what is printed here. Not part of Margay:
 * nothing but proto/ is under test. protolive client PORT USER DB CAPS    logs in, runs what stdin
 * says, writes every packet again to compare protolive server HASH CAPS [switch]   prints its port,
 * serves one client, then ends Secrets come on stdin (client, first line: "plain PW", "empty", or
 * "hash *HEX PW": then a login of a client with PW is checked against the hash, and only what that
 * check recovered is used).
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/err.h"
#include "base/reasons.h"
#include "base/str.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "proto/packet.h"

#define BUF (1u << 20)

struct peer {
	int fd;
	u32 caps;
	u8 seq; /* of the packet read last */
	size_t len;
	u8 body[BUF], out[BUF];
};

static void
must(bool x, const char *what)
{
	if (!x)
		errx(1, "%s", what);
}

static void
peer_exactly(struct peer *p, u8 *to, size_t n)
{
	while (n > 0) {
		ssize_t got = read(p->fd, to, n);

		must(got > 0, "closed by the peer");
		to += got;
		n -= (size_t)got;
	}
}

static void
peer_read(struct peer *p)
{
	u8 head[PKT_HDR];

	peer_exactly(p, head, PKT_HDR);
	p->len = rd24(head);
	p->seq = head[3];
	must(p->len <= BUF, "packet too long for this program");
	peer_exactly(p, p->body, p->len);
}

static void
peer_send(struct peer *p, const struct wr *w)
{
	must(!w->bad, "does not fit");
	must(write(p->fd, w->p, w->len) == (ssize_t)w->len, "write");
}

static struct wr
peer_writer(struct peer *p)
{
	return wr_init(p->out, sizeof p->out);
}

/* Is what was written, byte for byte, the packet that was read? */
static const char *
same(const struct peer *p, const struct wr *w)
{
	return !w->bad && w->len == PKT_HDR + p->len && w->p[3] == p->seq && rd24(w->p) == p->len &&
		       memcmp(w->p + PKT_HDR, p->body, p->len) == 0
		   ? "same"
		   : "DIFFERS";
}

static int
text(struct slice s)
{
	return (int)s.len;
}

static void
show_ok(struct peer *p)
{
	static const char *const types[] = {"sysvar", "schema",    "state",
					    "gtid",   "trx_chars", "trx_state"};
	struct wr w = peer_writer(p);
	struct track_item it;
	struct pkt_ok ok;
	struct rd r;
	int rc;

	must(pkt_ok_parse(p->body, p->len, p->caps, &ok) == 0, "OK does not parse");
	pkt_ok_write(&w, p->seq, p->body[0], p->caps, &ok);
	printf("ok header=%02x affected=%llu insert_id=%llu status=%04x warnings=%u info=%.*s %s\n",
	       p->body[0], (unsigned long long)ok.affected, (unsigned long long)ok.insert_id,
	       ok.status, ok.warnings, text(ok.info), (const char *)ok.info.p, same(p, &w));
	r = rd_init(ok.state.p, ok.state.len);
	while ((rc = track_next(&r, &it)) == 1)
		printf("track %s %.*s=%.*s\n", it.type < ARRAY_LEN(types) ? types[it.type] : "?",
		       text(it.name), (const char *)it.name.p, text(it.value),
		       (const char *)it.value.p);
	must(rc == 0, "session tracking does not parse");
}

static void
show_err(struct peer *p)
{
	struct wr w = peer_writer(p);
	struct pkt_err e;
	char message[1024];

	must(pkt_err_parse(p->body, p->len, &e) == 0, "ERR does not parse");
	str_copy_slice(message, sizeof message, e.text.p, e.text.len);
	pkt_err_write(&w, p->seq, e.code, e.sqlstate, message);
	printf("err %u %s %s %s\n", e.code, e.sqlstate, message, same(p, &w));
}

static void
show_eof(struct peer *p)
{
	struct wr w = peer_writer(p);
	u16 warnings, status;

	must(pkt_eof_parse(p->body, p->len, &warnings, &status) == 0, "EOF does not parse");
	pkt_eof_write(&w, p->seq, warnings, status);
	printf("eof warnings=%u status=%04x %s\n", warnings, status, same(p, &w));
}

/* Definitions of n columns or parameters, and the EOF after them. */
static void
skip_definitions(struct peer *p, u64 n)
{
	for (u64 i = 0; i < n; i++)
		peer_read(p);
	if (n > 0 && !(p->caps & CAP_DEPRECATE_EOF)) {
		peer_read(p);
		show_eof(p);
	}
}

static void
show_result(struct peer *p)
{
	struct rd r = rd_init(p->body, p->len);
	struct wr w = peer_writer(p);
	u64 cols = rd_lenenc(&r), rows = 0;

	pkt_colcount_write(&w, p->seq, cols);
	printf("columns %llu %s\n", (unsigned long long)cols, same(p, &w));
	skip_definitions(p, cols);
	for (peer_read(p); p->body[0] != 0xff && !(p->body[0] == 0xfe && p->len < 9000);
	     peer_read(p))
		rows++;
	printf("rows %llu\n", (unsigned long long)rows);
	if (p->body[0] == 0xff)
		show_err(p);
	else if (p->caps & CAP_DEPRECATE_EOF)
		show_ok(p);
	else
		show_eof(p);
}

static void
command(struct peer *p, u8 com, const void *arg, size_t n)
{
	struct wr w = peer_writer(p);
	size_t at = wr_pkt_begin(&w);

	wr_u8(&w, com);
	wr_bytes(&w, arg, n);
	wr_pkt_end(&w, at, 0);
	peer_send(p, &w);
}

static void
query(struct peer *p, const char *sql)
{
	command(p, COM_QUERY, sql, strlen(sql));
	peer_read(p);
	if (p->body[0] == 0)
		show_ok(p);
	else if (p->body[0] == 0xff)
		show_err(p);
	else
		show_result(p);
}

static void
prepare(struct peer *p, const char *sql)
{
	struct wr w = peer_writer(p);
	struct pkt_prepare_ok ok;

	command(p, COM_STMT_PREPARE, sql, strlen(sql));
	peer_read(p);
	if (p->body[0] == 0xff) {
		show_err(p);
		return;
	}
	must(pkt_prepare_ok_parse(p->body, p->len, &ok) == 0, "PREPARE's OK does not parse");
	pkt_prepare_ok_write(&w, p->seq, &ok);
	printf("prepared columns=%u params=%u warnings=%u %s\n", ok.ncols, ok.nparams, ok.warnings,
	       same(p, &w));
	skip_definitions(p, ok.nparams);
	skip_definitions(p, ok.ncols);
}

/* What logs in, from a line of stdin; false: an empty password. */
static bool
read_secret(const char *line, u8 stage1[20])
{
	u8 stage2[20], scramble[20], token[20];
	char hash[64];
	const char *pw;

	if (strcmp(line, "empty") == 0)
		return false;
	pw = strchr(line, ' ');
	must(pw != NULL, "what secret?");
	pw++;
	if (strncmp(line, "plain ", 6) == 0) {
		auth_native_stage1(pw, strlen(pw), stage1);
		return true;
	}
	must(strncmp(line, "hash ", 5) == 0 && strlen(pw) > 42, "what secret?");
	must(str_copy_slice(hash, sizeof hash, pw, 41), "hash");
	must(auth_hash_parse(hash, stage2) == 0 && auth_scramble_new(scramble) == 0, "hash");
	auth_native_stage1(pw + 42, strlen(pw + 42), stage1); /* the client's side */
	auth_native_token(stage1, scramble, token);
	if (!auth_native_check(token, stage2, scramble, stage1)) {
		printf("hash refused\n");
		exit(0);
	}
	return true;
}

static void
login(struct peer *p, const char *user, const char *db, const u8 *stage1)
{
	struct hs_greeting g;
	struct hs_response r;
	struct slice plugin, data;
	struct wr w = peer_writer(p);
	u8 token[20];

	peer_read(p);
	if (hs_greeting_parse(p->body, p->len, &g) == ERR_CONNECT) {
		show_err(p);
		exit(0);
	}
	must(hs_greeting_parse(p->body, p->len, &g) == 0, "greeting does not parse");
	hs_greeting_write(&w, &g);
	printf("greeting %.*s %.*s %s\n", text(g.version), (const char *)g.version.p,
	       text(g.plugin), (const char *)g.plugin.p, same(p, &w));
	p->caps &= g.caps;
	r = (struct hs_response){.caps = p->caps,
				 .max_packet = 1 << 24,
				 .charset = 45,
				 .user = {(const u8 *)user, strlen(user)},
				 .db = {(const u8 *)db, strlen(db)},
				 .plugin = {(const u8 *)"mysql_native_password", 21},
				 .attrs = {(const u8 *)"\2ab\1c", 5}};
	if (stage1 != NULL) {
		auth_native_token(stage1, g.scramble, token);
		r.auth = (struct slice){token, 20};
	}
	w = peer_writer(p);
	hs_response_write(&w, 1, &r);
	peer_send(p, &w);
	peer_read(p);
	if (p->body[0] == 0xfe) {
		must(hs_auth_switch_parse(p->body, p->len, &plugin, &data) == 0,
		     "switch does not parse");
		must(data.len == 20, "switch without a scramble");
		w = peer_writer(p);
		hs_auth_switch_write(&w, p->seq, "mysql_native_password", data.p, 20);
		printf("switch %.*s %s\n", text(plugin), (const char *)plugin.p, same(p, &w));
		w = peer_writer(p);
		auth_native_token(stage1 != NULL ? stage1 : token, data.p, token);
		wr_bytes(&w, "\x14\0\0\3", 4);
		wr_bytes(&w, token, 20);
		peer_send(p, &w);
		peer_read(p);
	}
}

static int
client(struct peer *p, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char line[4096];
	u8 stage1[20];
	bool secret;

	sa.sin_port = htons((u16)strtoul(argv[0], NULL, 10));
	p->caps = (u32)strtoul(argv[3], NULL, 16);
	must(fgets(line, sizeof line, stdin) != NULL, "a secret is needed on stdin");
	line[strcspn(line, "\n")] = '\0';
	secret = read_secret(line, stage1);
	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(p->fd, (struct sockaddr *)&sa, sizeof sa) == 0, "connect");
	login(p, argv[1], argv[2], secret ? stage1 : NULL);
	if (p->body[0] == 0xff) {
		show_err(p);
		return 0;
	}
	show_ok(p);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		printf("> %s\n", line);
		if (strncmp(line, "prepare ", 8) == 0)
			prepare(p, line + 8);
		else
			query(p, line);
	}
	return 0;
}

/* Greets, reads the response, checks it against stage2. True when let in. */
static bool
let_in(struct peer *p, const u8 stage2[20], u32 caps, bool ask_again, struct hs_response *r)
{
	struct hs_greeting g = {.version = {(const u8 *)"10.11.99-margay-test", 20},
				.thread_id = 9,
				.caps = caps,
				.charset = 45,
				.status = ST_AUTOCOMMIT,
				.plugin = {(const u8 *)"mysql_native_password", 21}};
	struct wr w = peer_writer(p);
	struct slice token;
	u8 stage1[20];

	must(auth_scramble_new(g.scramble) == 0, "scramble");
	hs_greeting_write(&w, &g);
	peer_send(p, &w);
	peer_read(p);
	must(hs_response_parse(p->body, p->len, caps, r) == 0, "response does not parse");
	p->caps = r->caps;
	printf("response user=%.*s db=%.*s plugin=%.*s auth=%zu attrs=%s\n", text(r->user),
	       (const char *)r->user.p, text(r->db), (const char *)r->db.p, text(r->plugin),
	       (const char *)r->plugin.p, r->auth.len, r->attrs.len > 0 ? "yes" : "no");
	token = r->auth;
	if (ask_again) {
		u8 seq = p->seq;

		must(auth_scramble_new(g.scramble) == 0, "scramble");
		w = peer_writer(p);
		hs_auth_switch_write(&w, seq + 1, "mysql_native_password", g.scramble, 20);
		peer_send(p, &w);
		peer_read(p);
		printf("switched auth=%zu\n", p->len);
		token = (struct slice){p->body, p->len};
	}
	return token.len == 20 && auth_native_check(token.p, stage2, g.scramble, stage1);
}

static void
serve_query(struct peer *p)
{
	struct slice row[3] = {{(const u8 *)"-7", 2}, {NULL, 0}, {p->body + 1, p->len - 1}};
	struct wr w = peer_writer(p);
	struct rset rs;

	rset_begin(&rs, &w, p->seq + 1, p->caps, 0, ST_AUTOCOMMIT, 3);
	rset_column_int(&rs, "number");
	rset_column_str(&rs, "nothing", 10);
	rset_column_str(&rs, "query", 200);
	rset_columns_end(&rs);
	rset_row(&rs, row, 3);
	rset_row(&rs, row, 3);
	rset_end(&rs, 0);
	peer_send(p, &w);
}

static void
serve_commands(struct peer *p)
{
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

	for (;;) {
		struct wr w = peer_writer(p);

		peer_read(p);
		must(p->len > 0, "empty command");
		if (p->body[0] == COM_QUIT)
			return;
		if (p->body[0] == COM_QUERY &&
		    slice_ieq(p->body + 1, MIN(p->len - 1, 6u), "SELECT")) {
			serve_query(p);
			continue;
		}
		if (p->body[0] == COM_QUERY && slice_ieq(p->body + 1, p->len - 1, "fail"))
			pkt_err_write(&w, p->seq + 1, 1235, "42000", "as you wish");
		else
			pkt_ok_write(&w, p->seq + 1, 0, p->caps, &ok);
		peer_send(p, &w);
	}
}

static int
server(struct peer *p, int argc, char **argv)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t sa_len = sizeof sa;
	int l = socket(AF_INET, SOCK_STREAM, 0);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	struct hs_response r;
	struct wr w;
	u8 stage2[20];

	must(auth_hash_parse(argv[0], stage2) == 0, "hash");
	must(bind(l, (struct sockaddr *)&sa, sizeof sa) == 0 && listen(l, 1) == 0, "listen");
	must(getsockname(l, (struct sockaddr *)&sa, &sa_len) == 0, "getsockname");
	printf("port %u\n", ntohs(sa.sin_port));
	fflush(stdout);
	p->fd = accept(l, NULL, NULL);
	must(p->fd >= 0, "accept");
	if (!let_in(p, stage2, (u32)strtoul(argv[1], NULL, 16), argc > 2, &r)) {
		w = peer_writer(p);
		pkt_err_write(&w, p->seq + 1, 1045, "28000", "not let in");
		peer_send(p, &w);
		printf("refused\n");
		return 0;
	}
	w = peer_writer(p);
	pkt_ok_write(&w, p->seq + 1, 0, p->caps, &ok);
	peer_send(p, &w);
	printf("let in\n");
	serve_commands(p);
	printf("quit\n");
	return 0;
}

int
main(int argc, char **argv)
{
	static struct peer p;

	alarm(60); /* a test program must not outlive its test */
	if (argc == 6 && strcmp(argv[1], "client") == 0)
		return client(&p, argv + 2);
	if (argc >= 4 && strcmp(argv[1], "server") == 0)
		return server(&p, argc - 2, argv + 2);
	errx(2, "usage: see the head of the source");
}
