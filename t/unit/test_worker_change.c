/* t/unit/test_worker_change.c: COM_CHANGE_USER: the new user's account, limits and database, and what is left of the old
 * session after one that failed. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <unistd.h>
#include "proto/auth.h"

#define NATIVE "mysql_native_password"

static const char *program = ""; /* attribute program_name of what change_send sends, where the client has the capability */

static void
change_send(struct peer *c, const char *user, const char *db, u16 charset)
{
	u8 attrs[200];
	struct wr a = wr_init(attrs, sizeof attrs);
	u8 buf[1024];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_change_user u = {
	    .user = {(const u8 *)user, strlen(user)},
	    .auth = {(const u8 *)"01234567890123456789", 20}, /* nobody looks at it */
	    .db = {(const u8 *)db, strlen(db)},
	    .charset = charset,
	    .plugin = {(const u8 *)NATIVE, sizeof NATIVE - 1},
	};

	wr_lenenc_str(&a, (const u8 *)"program_name", 12);
	wr_lenenc_str(&a, (const u8 *)program, strlen(program));
	u.attrs = (struct slice){attrs, a.len};
	hs_change_user_write(&w, c->caps, &u);
	cr_assert(!w.bad);
	peer_send(c, buf, w.len);
}

/* Answers the question for the password. */
static void
change_answer(struct peer *c, const char *password, u8 seq)
{
	u8 pkt[PKT_HDR + 20], stage1[20];
	struct slice plugin, data;
	size_t len, n = 0;
	const u8 *p = peer_packet(c, &len);

	cr_assert_eq(p[3], 1);
	cr_assert_eq(hs_auth_switch_parse(p + PKT_HDR, len - PKT_HDR, &plugin, &data), 0);
	cr_assert_eq(plugin.len, sizeof NATIVE - 1);
	cr_assert_eq(data.len, 20);
	cr_assert_arr_eq(data.p, c->scramble, 20, "libmariadb answers the bytes of the greeting, whatever comes here");
	if (password[0] != '\0') {
		auth_native_stage1(password, strlen(password), stage1);
		auth_native_token(stage1, data.p, pkt + PKT_HDR);
		n = 20;
	}
	wr24(pkt, (u32)n);
	pkt[3] = seq;
	peer_send(c, pkt, PKT_HDR + n);
}

static void
change(struct peer *c, const char *user, const char *password, const char *db)
{
	change_send(c, user, db, 45);
	change_answer(c, password, 2);
}

static void
expect_ok_3(struct peer *c)
{
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert(p[3] == 3 && p[PKT_HDR] == 0, "OK, sequence 3: %u %02x", p[3], p[PKT_HDR]);
}

static u64
counted(const char *user)
{
	const struct cfg_user *u = cfg_user_find(&R.w.cfg, user, strlen(user));

	return R.w.users[u->id];
}

static void
answer_init_db(struct peer *s, const char *db)
{
	struct bytes state = {0};

	server_expect(s, COM_INIT_DB, db, strlen(db));
	bytes_track(&state, TRACK_SCHEMA, NULL, db);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
}

TEST_WORKER(change_user_right)
{
	struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx);
	cr_assert_eq(counted("app"), 1);
	change_send(c, "other", "", 8);
	rig_run();
	cr_assert_eq(client_state(c), SESS_SWITCH);
	change_answer(c, "o", 2);
	expect_ok_3(c);
	server_expect_reset(s); /* the transaction is ended before anybody gets that connection */
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(counted("app"), 0);
	cr_assert_eq(counted("other"), 1);
	cr_assert(!client_sess(c)->in_trx && client_sess(c)->pins == 0 && client_sess(c)->collation == 8);
	/* another account: a connection of its own */
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "deep", "d");
	peer_close(c);
	peer_close(s);
	rig_stop();
}

TEST_WORKER(change_user_with_database_and_statements_gone)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;

	client_sess(c)->wrote = true;
	change(c, "hashed", "secret", "shop");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "hashed", "secret");
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};
	struct bytes b = {0};
	bytes_ok(&b, 2, CAPS_NEW, &ok);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
	server_expect_query(s, BCONN_SETUP_SQL);
	server_ok(s);
	answer_init_db(s, "shop");
	expect_ok_3(c);
	cr_assert_str_eq(client_sess(c)->db->text, "shop");
	cr_assert(client_sess(c)->wrote, "in the same cluster it still sees what it wrote");
	rig_stop();
}

TEST_WORKER(change_user_refused_leaves_the_old_one)
{
	rig_start(NULL);
	struct peer *c = client_connect(), *s;

	client_respond(c, "app", "secret", "shop", CAPS_NEW, NATIVE);
	s = server_ready(1);
	answer_init_db(s, "shop");
	client_expect_ok(c);
	change(c, "other", "wrong", "else");
	client_expect_err(c, 1045, "Access denied for user 'other'@'localhost' (using password: YES)");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_str_eq(client_sess(c)->user, "app");
	cr_assert_str_eq(client_sess(c)->db->text, "shop");
	cr_assert_eq(counted("app"), 1);
	cr_assert_eq(counted("other"), 0);
	/* its own account and database, and a connection with the server's own character set */
	cr_assert_eq(client_sess(c)->collation, 0);
	client_query(c, "SELECT 1 FROM t");
	s = server_ready(1);
	answer_init_db(s, "shop");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	change(c, "nobody", "secret", "");
	client_expect_err(c, 1045, "'nobody'");
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	change(c, "open", "x", "");
	client_expect_err(c, 1045, "'open'");
	/* three in vain are enough, as at a server */
	change_send(c, "other", "", 45);
	client_expect_err(c, 1047, "Unknown command");
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	cr_assert_str_eq(client_sess(c)->user, "app");
	rig_stop();
}

TEST_WORKER(change_user_without_the_database)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;

	change(c, "app", "secret", "nope"); /* the same user keeps its place */
	cr_assert_eq(counted("app"), 1);
	s = server_ready(1);
	server_expect(s, COM_INIT_DB, "nope", 4);
	server_err(s, 1049, "Unknown database 'nope'");
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 3 && p[PKT_HDR] == 0xff);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_null(client_sess(c)->db);
	cr_assert_eq(counted("app"), 1);
	/* and when no server answers */
	peer_close(s);
	rig_run();
	rig_server_down(0);
	rig_server_down(1);
	change(c, "open", "", "shop");
	p = peer_packet(c, &len);
	cr_assert(p[3] == 3 && p[PKT_HDR] == 0xff);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_str_eq(client_sess(c)->user, "app");
	cr_assert_eq(counted("open"), 0);
	cr_assert_eq(rig_counter("logins"), 1);
	rig_stop();
}

/* Without any server it waits for one, as a statement does, and is undone when that is in vain. */
TEST_WORKER(change_user_waits_for_a_server)
{
	struct rig_conf conf = {.cluster = "failover_timeout = 10s"};
	size_t len;

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s;
	for (u32 in_vain = 0; in_vain < 2; in_vain++) {
		rig_primary(-1);
		rig_verdict(0, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
		rig_verdict(1, SRV_DOWN, SRV_ROLE_REPLICA, SRV_CAUSE_REFUSED);
		change(c, "app", "secret", in_vain ? "else" : "shop");
		peer_expect_silence(c);
		cr_assert_eq(client_state(c), SESS_WAIT);
		cr_assert_eq(rig_counter("clients_held"), 1);
		if (in_vain)
			break;
		rig_verdict(0, SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE);
		rig_primary(0);
		rig_pass(100);
		s = server_ready(0);
		answer_init_db(s, "shop");
		expect_ok_3(c);
	}
	rig_pass(10200);
	const u8 *p = peer_packet(c, &len);
	cr_assert(p[3] == 3 && p[PKT_HDR] == 0xff);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_str_eq(client_sess(c)->db->text, "shop");
	cr_assert_eq(rig_counter("clients_held"), 0);
	rig_stop();
}

TEST_WORKER(change_user_limits_of_the_new_one)
{
	struct rig_conf conf = {.user = "max_connections = 1"};

	rig_start(&conf);
	struct peer *a = client_login(CAPS_NEW), *c = client_connect();

	client_respond(c, "open", "", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	change(c, "app", "secret", "");
	client_expect_err(c, 1226, "user app has max_connections = 1");
	cr_assert_str_eq(client_sess(c)->user, "open");
	cr_assert_eq(counted("app"), 1);
	cr_assert_eq(counted("open"), 1);
	change(a, "app", "secret", ""); /* to itself: not one more */
	expect_ok_3(a);
	cr_assert_eq(counted("app"), 1);
	conf.user = "tls = required\nallow_from = 10.0.0.0/8, unix";
	rig_reload(&conf);
	/* a Unix socket is as good as TLS */
	peer_close(a);
	rig_run();
	change(c, "app", "secret", "");
	expect_ok_3(c);
	conf.user = "allow_from = 10.0.0.0/8";
	rig_reload(&conf);
	change(c, "open", "", "");
	expect_ok_3(c);
	rig_stop();
}

TEST_WORKER(change_user_malformed_changes_nothing)
{
	static const struct {
		const char *p;
		size_t len;
	} bad[] = {{"", 0}, {"app", 3}, {"app\0\024abc", 8}, {"app\0\0shop", 9}, {"app\0", 4}};
	struct pkt_ok trx = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};
	char name[120];

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		client_com(c, COM_CHANGE_USER, bad[i].p, bad[i].len);
		client_expect_err(c, 1047, "Unknown command");
	}
	memset(name, 'u', sizeof name);
	name[119] = '\0';
	change_send(c, name, "", 45);
	client_expect_err(c, 1047, "Unknown command");
	change_send(c, "other", "", 35); /* ucs2 */
	client_expect_err(c, 1231, "collation 35");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert(client_sess(c)->in_trx);
	rig_write(c, "COMMIT", s);
	rig_stop();
}

TEST_WORKER(change_user_and_then_nothing_or_nonsense)
{
	struct rig_conf conf = {.margay = "login_timeout = 2s"};
	u8 ping[] = {1, 0, 0, 0, COM_PING};
	size_t len;

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	change_send(c, "other", "", 45);
	(void)peer_packet(c, &len);
	rig_pass(3000);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("login_timeouts"), 1);
	c = client_login(CAPS_NEW);
	change_send(c, "other", "", 45);
	peer_send(c, ping, sizeof ping); /* a command in place of the proof */
	(void)peer_packet(c, &len);
	client_expect_err(c, 1043, "");
	peer_expect_closed(c);
	c = client_login(CAPS_NEW);
	change_send(c, "other", "", 45);
	rig_run();
	peer_close(c); /* goes away in the middle: nothing is left (rig_stop) */
	rig_run();
	/* the proof, and the next command in the same segment */
	c = client_login(CAPS_NEW);
	change(c, "other", "o", "");
	peer_send(c, ping, sizeof ping);
	expect_ok_3(c);
	client_expect_ok(c);
	rig_stop();
}

TEST_WORKER(change_of_the_program)
{
	struct rig_conf conf = {.user = "pass_program_name = yes"};

	rig_start(&conf);
	struct peer *c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW | CAP_CONNECT_ATTRS, NATIVE);
	client_expect_ok(c);
	cr_assert_null(client_sess(c)->program);
	program = "backup";
	change(c, "app", "secret", "");
	expect_ok_3(c);
	cr_assert_str_eq(client_sess(c)->program->text, "backup");
	/* refused: as before */
	program = "webshop";
	change(c, "app", "wrong", "");
	client_expect_err(c, 1045, "app");
	cr_assert_str_eq(client_sess(c)->program->text, "backup");
	/* to a user without the option */
	change(c, "hashed", "secret", "");
	expect_ok_3(c);
	cr_assert_null(client_sess(c)->program);
	rig_stop();
}
