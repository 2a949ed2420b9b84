/* t/unit/test_worker_auth.c: methods of authentication: what is asked, of whom, and which answers let in. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include "base/str.h"
#include "proto/auth.h"
#include "shm/auth.h"

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

/* ---- caching_sha2_password. The rig's clients come over Unix sockets, so passwords come as they are. ---- */

#define SHA2 "caching_sha2_password"
#define SHA2_CONF "auth_plugin = caching_sha2_password"
static const struct rig_conf sha2 = {.user = SHA2_CONF},
	sha2_hash = {.user = SHA2_CONF, .password =
	    "0x2441243030352473616c7473616c7473616c7473616c743b22237a5968685670787968"
	    "527050365a3644715669737274594d4a74654f6e667764354861314d4f68754a4a3444"},
	sha2_native = {.user = SHA2_CONF, .password = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"},
	sha2_ed = {.user = SHA2_CONF, .password = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"};
static const struct rig_conf *const sha2_all[] = {&sha2, &sha2_hash, &sha2_native, &sha2_ed};

static void
sha2_token(const char *password, const u8 *scramble, u8 token[32])
{
	u8 key1[32];

	auth_sha256(password, strlen(password), key1);
	auth_sha2_token(key1, scramble, token);
}

/* Logs in as far as the token. */
static struct peer *
sha2_begin(const char *user, const char *password)
{
	struct peer *c = client_connect();
	u8 token[32];

	client_respond(c, user, "", NULL, CAPS_NEW, NATIVE);
	struct slice scramble = expect_switch(c, SHA2, 20, 2);
	sha2_token(password, scramble.p, token);
	answer(c, token, sizeof token, 3);
	return c;
}

static void
say_password(struct peer *c, const char *password, u8 seq)
{
	answer(c, password, strlen(password) + 1, seq);
}

static void
expect_in(struct peer *c)
{
	rig_pass(500); /* as many pieces as it takes */
	client_expect_ok(c);
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_null(client_sess(c)->auth);
}

static void
expect_backend_login(struct peer *c, const char *password)
{
	client_query(c, "INSERT INTO t VALUES (1)");
	struct peer *s = server_accept(0);
	server_greet(s);
	server_expect_login(s, "app", password);
	peer_close(s);
}

TEST_WORKER(sha2_fast)
{
	rig_start(&sha2);
	struct peer *c = sha2_begin("app", "secret");

	peer_expect(c, "\x02\x00\x00\x04\x01\x03", 6);
	expect_in(c);
	expect_backend_login(c, "secret");
	rig_stop();
}

TEST_WORKER(sha2_full)
{
	for (size_t i = 1; i < ARRAY_LEN(sha2_all); i++) {
		rig_start(sha2_all[i]);
		struct peer *c = sha2_begin("app", "secret");
		peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
		cr_assert_eq(client_state(c), SESS_SWITCH);
		say_password(c, "secret", 5);
		rig_run();
		cr_assert_eq(client_state(c), i == 1 ? SESS_PROVE : SESS_READY);
		expect_in(c);
		expect_backend_login(c, "secret");
		rig_stop();
	}
}

TEST_WORKER(sha2_wrong)
{
	static const char *const said[] = {"wrong", "Secret", "secretsecret", "", "secre"};

	for (size_t i = 0; i < ARRAY_LEN(sha2_all); i++) {
		rig_start(sha2_all[i]);
		for (size_t k = 0; k < ARRAY_LEN(said); k++) {
			struct peer *c = sha2_begin("app", "wrong");
			peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
			say_password(c, said[k], 5);
			rig_pass(500);
			client_expect_err(c, 1045, "Access denied for user 'app'@'localhost' (using password: YES)");
			peer_expect_closed(c);
		}
		/* without its NUL; no password; too long for any */
		static u8 longer[600] = {'x'};
		static const size_t lens[] = {6, 0, 258, 600};
		for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
			struct peer *c = sha2_begin("app", "wrong");
			peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
			if (k == 0)
				answer(c, "secret", 6, 5);
			else if (k == 3)
				answer(c, longer, 500, 5);
			else
				answer(c, longer, lens[k], 5);
			rig_pass(500);
			client_expect_err(c, 1045, "app");
			peer_expect_closed(c);
		}
		rig_stop();
	}
}

/* A token is 32 bytes; none, or a zero, is a client without a password. */
TEST_WORKER(sha2_tokens_that_are_none)
{
	static const u8 zeros[64];

	for (size_t i = 0; i < ARRAY_LEN(sha2_all); i++) {
		rig_start(sha2_all[i]);
		for (size_t n = 0; n < sizeof zeros; n++) {
			struct peer *c = client_connect();
			client_respond(c, "app", "", NULL, CAPS_NEW, SHA2);
			(void)expect_switch(c, SHA2, 20, 2);
			answer(c, zeros, n, 3);
			if (n == 32) {
				peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
				peer_close(c);
			} else {
				client_expect_err(c, 1045, n < 2 ? "NO" : "YES");
				peer_expect_closed(c);
			}
		}
		rig_stop();
	}
}

TEST_WORKER(sha2_without_password)
{
	static const struct rig_conf none = {.user = SHA2_CONF, .password = "\"\""};

	rig_start(&none);
	for (size_t n = 0; n < 2; n++) {
		struct peer *c = client_connect();
		client_respond(c, "app", "", NULL, CAPS_NEW, "client_ed25519");
		(void)expect_switch(c, SHA2, 20, 2);
		answer(c, "", n, 3);
		client_expect_ok(c);
		expect_backend_login(c, "");
		rig_pass(1100);
	}
	rig_stop();
}

/* Greeted with the method, a client begins with it. */
TEST_WORKER(sha2_by_default)
{
	static const struct rig_conf by_default = {.margay = "default_auth_plugin = caching_sha2_password"};
	u8 buf[256], token[32];

	rig_start(&by_default);
	for (int right = 0; right < 2; right++) {
		struct peer *c = client_connect();
		struct wr w = wr_init(buf, sizeof buf);
		struct hs_response r = {.caps = CAPS_NEW, .charset = 45, .user = {(const u8 *)"app", 3},
		    .plugin = {(const u8 *)SHA2, sizeof SHA2 - 1}, .auth = {token, sizeof token}};

		sha2_token(right ? "secret" : "wrong", c->scramble, token);
		hs_response_write(&w, 1, &r);
		c->caps = r.caps;
		peer_send(c, buf, w.len);
		if (right) {
			peer_expect(c, "\x02\x00\x00\x02\x01\x03", 6);
			expect_in(c);
		} else {
			peer_expect(c, "\x02\x00\x00\x02\x01\x04", 6);
			cr_assert_eq(client_state(c), SESS_SWITCH);
			say_password(c, "secret", 3); /* it was mistaken */
			expect_in(c);
		}
	}
	/* without a password, and asked once more when it began with another method */
	struct peer *c = client_connect();
	client_respond(c, "open", "", NULL, CAPS_NEW, SHA2);
	client_expect_ok(c);
	c = client_connect();
	client_respond(c, "open", "", NULL, CAPS_NEW, NATIVE);
	(void)expect_switch(c, SHA2, 20, 2);
	answer(c, "", 0, 3);
	client_expect_ok(c);
	rig_stop();
}

/* The key, and what is no password under it. */
TEST_WORKER(sha2_key)
{
	size_t len;
	u8 cipher[AUTH_RSA_CIPHER_MAX + 1] = {0};
	static const size_t lens[] = {0, 1, 255, 256, 257, AUTH_RSA_CIPHER_MAX};

	rig_start(&sha2_hash);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct peer *c = sha2_begin("app", "secret");
		peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
		answer(c, "\x02", 1, 5);
		const u8 *p = peer_packet(c, &len);
		cr_assert(p[3] == 6 && p[PKT_HDR] == 1);
		cr_assert(len > 300 && memcmp(p + PKT_HDR + 1, "-----BEGIN PUBLIC ", 18) == 0);
		memset(cipher, (int)(2 + i), sizeof cipher);
		answer(c, cipher, lens[i], 7); /* i == 1: the key is sent once */
		rig_run();
		rig_pass(100);
		client_expect_err(c, 1045, "(using password: YES)");
		peer_expect_closed(c);
	}
	rig_stop();
}

/* What comes meanwhile waits; a client that leaves takes its proof with it. */
TEST_WORKER(sha2_pipelined_and_gone)
{
	rig_start(&sha2_hash);
	struct peer *c = sha2_begin("app", "secret"), *gone[3];

	for (int i = 0; i < 3; i++) {
		gone[i] = sha2_begin("app", "secret");
		peer_expect(gone[i], "\x02\x00\x00\x04\x01\x04", 6);
		say_password(gone[i], i == 2 ? "wrong" : "secret", 5);
		rig_run();
		cr_assert_eq(client_state(gone[i]), SESS_PROVE);
	}
	peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
	say_password(c, "secret", 5);
	client_com(c, COM_PING, NULL, 0);
	rig_run();
	peer_expect_silence(c);
	peer_close(gone[0]);
	rig_run();
	rig_pass(5);
	peer_close(gone[1]);
	expect_in(c);
	client_expect_ok(c); /* the ping */
	client_expect_err(gone[2], 1045, "app");
	rig_stop();
}

/* The work of strangers is bounded: a turn of the timer never does all of it, and others are served meanwhile. */
TEST_WORKER(sha2_flood)
{
	struct peer *flood[20];
	u32 proving = 0;

	rig_start(&sha2_hash);
	for (size_t i = 0; i < ARRAY_LEN(flood); i++) {
		flood[i] = sha2_begin("app", "wrong");
		peer_expect(flood[i], "\x02\x00\x00\x04\x01\x04", 6);
		say_password(flood[i], "wrong", 5);
	}
	rig_run();
	rig_pass(10);
	for (size_t i = 0; i < ARRAY_LEN(flood); i++)
		proving += client_state(flood[i]) == SESS_PROVE;
	cr_assert_gt(proving, 10);
	struct peer *c = client_connect();
	client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
	client_expect_ok(c);
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	rig_pass(1000);
	for (size_t i = 0; i < ARRAY_LEN(flood); i++)
		client_expect_err(flood[i], 1045, "app");
	cr_assert(list_empty(&R.w.proving) && !R.w.loop.fast_on);
	/* what does not get its turn within login_timeout ends */
	c = sha2_begin("app", "secret");
	peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
	say_password(c, "secret", 5);
	rig_run();
	cr_assert(R.w.loop.fast_on);
	R.w.loop.fast_on = false;
	rig_pass(11000);
	peer_expect_closed(c);
	cr_assert_eq(rig_counter("login_timeouts"), 1);
	rig_stop();
}

TEST_WORKER(sha2_change_user)
{
	for (size_t i = 0; i < ARRAY_LEN(sha2_all); i++) {
		rig_start(sha2_all[i]);
		struct peer *c = client_connect();
		client_respond(c, "hashed", "secret", NULL, CAPS_NEW, NATIVE);
		client_expect_ok(c);
		for (int k = 0; k < 3; k++) {
			u8 token[32];
			change_to(c, "app");
			struct slice scramble = expect_switch(c, SHA2, 20, 1);
			sha2_token(k == 1 ? "wrong" : "secret", scramble.p, token);
			answer(c, token, sizeof token, 2);
			if ((i > 0 && k == 0) || k == 1) { /* then it is known */
				peer_expect(c, "\x02\x00\x00\x03\x01\x04", 6);
				say_password(c, k == 1 ? "wrong" : "secret", 4);
			} else {
				peer_expect(c, "\x02\x00\x00\x03\x01\x03", 6);
			}
			client_com(c, COM_PING, NULL, 0); /* behind it */
			rig_pass(500);
			if (k == 1)
				client_expect_err(c, 1045, "'app'");
			else
				client_expect_ok(c);
			client_expect_ok(c);
			cr_assert_str_eq(client_sess(c)->user, "app");
		}
		rig_stop();
	}
}

/* ---- what logins teach ---- */

static bool
fast(const char *user, const char *password)
{
	struct peer *c = sha2_begin(user, password);
	size_t len;
	const u8 *p = peer_packet(c, &len);

	cr_assert(len == PKT_HDR + 2 && p[PKT_HDR] == 1);
	bool yes = p[PKT_HDR + 1] == 3;
	if (yes)
		expect_in(c);
	peer_close(c);
	rig_run();
	return yes;
}

static void
full(const char *password)
{
	struct peer *c = sha2_begin("app", password);

	peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
	say_password(c, password, 5);
	rig_run();
	expect_in(c);
	peer_close(c);
	rig_run();
}

TEST_WORKER(sha2_learned)
{
	static const struct rig_conf another = {.user = SHA2_CONF, .password = "*77F5A7D2AF0E3B4B6A9C6C7B0C7B9B4D2B6F0D5E"};

	for (size_t i = 1; i < ARRAY_LEN(sha2_all); i++) {
		rig_start(sha2_all[i]);
		cr_assert(!fast("app", "secret"));
		full("secret");
		cr_assert_eq(rig_counter("passwords_learned"), 1);
		cr_assert(fast("app", "secret"));
		cr_assert(!fast("app", "Secret"));
		/* what it learned logs in at servers */
		struct peer *c = sha2_begin("app", "secret");
		peer_expect(c, "\x02\x00\x00\x04\x01\x03", 6);
		client_expect_ok(c);
		expect_backend_login(c, "secret");
		peer_close(c);
		rig_run();
		/* a wrong password costs no rounds any more */
		c = sha2_begin("app", "wrong");
		peer_expect(c, "\x02\x00\x00\x04\x01\x04", 6);
		say_password(c, "wrong", 5);
		rig_run();
		cr_assert(list_empty(&R.w.proving));
		client_expect_err(c, 1045, "app");
		/* a changed hash, and back */
		rig_reload(&another);
		cr_assert(!fast("app", "secret"));
		rig_reload(sha2_all[i]);
		cr_assert(fast("app", "secret"));
		cr_assert_eq(rig_counter("passwords_learned"), 1);
		rig_stop();
	}
}

/* Whatever stands in the segment lets nobody in who does not know the password. */
TEST_WORKER(sha2_learned_and_spoilt)
{
	rig_start(&sha2_native);
	full("secret");
	struct shm_autent *e = shm_auth_entries(R.w.auth), *used = NULL;
	for (u32 i = 0; i < R.w.auth->a.entries; i++)
		if (e[i].word[0] != 0) {
			cr_assert_null(used);
			used = &e[i];
		}
	cr_assert_not_null(used);
	/* nothing of it can be read there */
	u8 stage1[20], key[32];
	auth_native_stage1("secret", 6, stage1);
	cr_assert_null(memmem(e, R.w.auth->a.entries * sizeof *e, stage1, 8));
	auth_sha256("secret", 6, key);
	auth_sha256(key, 32, key);
	cr_assert_null(memmem(e, R.w.auth->a.entries * sizeof *e, key, 8));
	for (u32 w = 3; w < 13; w++) {
		struct shm_autent was = *used;
		used->word[w] ^= 1ull << (w * 7 % 64);
		cr_assert(!fast("app", "secret"), "word %u", w);
		*used = was;
		cr_assert(fast("app", "secret"));
	}
	used->word[5] ^= 1;
	full("secret"); /* learned once more, in the same place */
	cr_assert(fast("app", "secret"));
	/* another user's entry under its key */
	struct shm_autent was = *used;
	for (u32 w = 3; w < 13; w++)
		used->word[w] = 0;
	cr_assert(!fast("app", "secret") && !fast("app", ""));
	*used = was;
	/* another segment: nothing is found */
	R.w.auth->a.salt[3] ^= 1;
	cr_assert(!fast("app", "secret"));
	rig_stop();
}
