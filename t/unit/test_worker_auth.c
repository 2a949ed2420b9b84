/* t/unit/test_worker_auth.c: methods of authentication: what is asked, of whom, and which answers let in. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include "base/str.h"
#include "proto/auth.h"

#define NATIVE "mysql_native_password"
#define ED25519 "client_ed25519"

/* The question: its data; its number must be seq. */
static struct slice
expect_switch(struct peer *c, const char *method, size_t n, u8 seq)
{
	struct slice plugin, data;
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert_eq(p[3], seq);
	cr_assert_eq(hs_auth_switch_parse(p + PKT_HDR, len - PKT_HDR, &plugin, &data), 0);
	cr_assert(slice_eq(plugin.p, plugin.len, method, strlen(method)), "%.*s", (int)plugin.len, (const char *)plugin.p);
	cr_assert_eq(data.len, n);
	return data;
}

static void
answer(struct peer *c, const void *p, size_t n, u8 seq)
{
	u8 pkt[PKT_HDR + 512];

	wr24(pkt, (u32)n);
	pkt[3] = seq;
	memcpy(pkt + PKT_HDR, p, n);
	peer_send(c, pkt, PKT_HDR + n);
}

static void
answer_ed25519(struct peer *c, const char *password, u8 seq)
{
	struct slice nonce = expect_switch(c, ED25519, 32, (u8)(seq - 1));
	u8 sig[64];

	auth_ed25519_sign(password, strlen(password), nonce.p, sig);
	answer(c, sig, sizeof sig, seq);
}

/* The key of "secret" is MariaDB's own example. */
static const struct rig_conf plain = {.user = "auth_plugin = client_ed25519"},
	hash = {.user = "auth_plugin = client_ed25519\nbackend_password = b",
	    .password = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"};

TEST_WORKER(ed25519_with_password)
{
	struct peer *c, *s;

	rig_start(&plain);
	c = client_connect();
	client_respond(c, "app", "secret", NULL, CAPS_NEW, NATIVE); /* a right token of another method */
	answer_ed25519(c, "secret", 3);
	client_expect_ok(c);
	cr_assert_null(client_sess(c)->auth);
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "app", "secret");
	peer_close(s);
	rig_stop();
}

TEST_WORKER(ed25519_with_hash)
{
	struct peer *c, *s;

	rig_start(&hash);
	c = client_connect();
	client_respond(c, "app", "", NULL, CAPS_NEW, ED25519);
	answer_ed25519(c, "secret", 3);
	client_expect_ok(c);
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "app", "b");
	peer_close(s);
	rig_stop();
}

TEST_WORKER(ed25519_wrong)
{
	static const struct rig_conf *const both[] = {&plain, &hash};

	for (size_t i = 0; i < 2; i++) {
		rig_start(both[i]);
		struct peer *c = client_connect();
		client_respond(c, "app", "", NULL, CAPS_NEW, ED25519);
		answer_ed25519(c, "Secret", 3);
		client_expect_err(c, 1045, "Access denied for user 'app'@'localhost' (using password: YES)");
		peer_expect_closed(c);
		/* answers that are none; one that was right a while ago */
		u8 sig[65] = {0};
		for (size_t n = 0; n <= sizeof sig; n++) {
			c = client_connect();
			client_respond(c, "app", "", NULL, CAPS_NEW, ED25519);
			struct slice nonce = expect_switch(c, ED25519, 32, 2);
			u8 old[64];
			auth_ed25519_sign("secret", 6, nonce.p, old);
			answer(c, sig, n, 3);
			client_expect_err(c, 1045, n > 0 ? "YES" : "NO");
			peer_expect_closed(c);
			memcpy(sig, old, sizeof old);
		}
		rig_stop();
	}
}

/* It cannot be asked, and is told so in words that do not depend on there being such a user. */
TEST_WORKER(ed25519_without_plugin_auth)
{
	rig_start(&plain);
	struct peer *c = client_connect();

	client_respond(c, "app", "secret", NULL, CAPS_NEW, NULL);
	client_expect_err(c, 1251, ED25519);
	peer_expect_closed(c);
	rig_stop();
}

static void
change_to(struct peer *c, const char *user)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_change_user u = {.user = {(const u8 *)user, strlen(user)}, .charset = 45, .plugin = {(const u8 *)NATIVE, 21}};

	hs_change_user_write(&w, c->caps, &u);
	peer_send(c, buf, w.len);
}

TEST_WORKER(change_user_to_and_from_ed25519)
{
	u8 token[20], stage1[20];

	rig_start(&plain);
	struct peer *c = client_connect();
	client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	for (int i = 0; i < 2; i++) {
		change_to(c, "app");
		answer_ed25519(c, "secret", 2);
		client_expect_ok(c);
		cr_assert_str_eq(client_sess(c)->user, "app");
		change_to(c, "hashed");
		struct slice scramble = expect_switch(c, NATIVE, 20, 1);
		cr_assert_arr_eq(scramble.p, c->scramble, 20, "libmariadb answers the bytes of the greeting");
		auth_native_stage1("secret", 6, stage1);
		auth_native_token(stage1, c->scramble, token);
		answer(c, token, 20, 2);
		client_expect_ok(c);
		cr_assert_str_eq(client_sess(c)->user, "hashed");
	}
	change_to(c, "app");
	answer_ed25519(c, "wrong", 2);
	client_expect_err(c, 1045, "'app'");
	cr_assert_str_eq(client_sess(c)->user, "hashed");
	cr_assert_arr_eq(client_sess(c)->stage1, stage1, 20);
	/* the end of the client in the middle */
	change_to(c, "app");
	(void)expect_switch(c, ED25519, 32, 1);
	peer_close(c);
	rig_run();
	rig_stop();
}

/* What a name is asked; the connection ends. */
static bool
asks_ed25519(const char *name, const char *password)
{
	struct peer *c = client_connect();
	size_t len;

	client_respond(c, name, password, NULL, CAPS_NEW, NATIVE);
	const u8 *p = peer_packet(c, &len);
	if (p[PKT_HDR] == 0xfe) {
		struct slice plugin, nonce;
		u8 sig[64];

		cr_assert_eq(hs_auth_switch_parse(p + PKT_HDR, len - PKT_HDR, &plugin, &nonce), 0);
		cr_assert_eq(nonce.len, 32);
		auth_ed25519_sign(password, strlen(password), nonce.p, sig);
		answer(c, sig, sizeof sig, 3);
		client_expect_err(c, 1045, name);
		peer_expect_closed(c);
		return true;
	}
	cr_assert_eq(p[PKT_HDR], 0xff, "user %s is let in", name);
	peer_expect_closed(c);
	return false;
}

TEST_WORKER(unknown_users_are_asked_like_known_ones)
{
	int n[2] = {0};
	bool first[40];

	rig_start(&plain);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 40; i++) {
			char name[16];

			snprintf(name, sizeof name, "nobody%d", i);
			/* the passwords of those who stand in for it, with their methods: still nobody */
			bool ed = asks_ed25519(name, round == 0 ? "secret" : round == 1 ? "" : "o");
			if (round == 0)
				first[i] = ed;
			cr_assert_eq(ed, first[i], "%s is asked something else the next time", name);
			n[ed]++;
		}
		rig_reload(&plain);
	}
	cr_assert(n[0] > 0 && n[1] > 0, "%d native, %d ed25519: a method tells who is known", n[0], n[1]);
	rig_stop();
}
