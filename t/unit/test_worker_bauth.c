/* t/unit/test_worker_bauth.c: the methods of authentication that servers ask for. The rig's servers are behind Unix sockets,
 * where passwords may be sent as they are; what is different over TCP is in t/sys/test_auth_server.py.
 */
#include "config.h"
#include "t/unit/worker_rig.h"
#include "base/str.h"
#include "proto/auth.h"

static const char write_sql[] = "INSERT INTO t VALUES (1)";
static const u8 nonce[33] = "0123456789abcdefghijABCDEFGHIJ!?";
#define SHA2_ASK "\xfe" "caching_sha2_password\0" "ABCDEFGHIJKLMNOPQRST\0"
static const u8 *const sha2_scramble = (const u8 *)"ABCDEFGHIJKLMNOPQRST";

static void
say(struct peer *s, u8 seq, const void *body, size_t len)
{
	struct bytes b = {0};

	bytes_packet(&b, seq, body, len);
	peer_send(s, b.p, b.len);
	bytes_free(&b);
}
#define SAY(s, seq, text) say(s, seq, text, sizeof text - 1)

static void
ask_ed25519(struct peer *s, u8 seq)
{
	u8 body[1 + 15 + 32] = "\xfe" "client_ed25519";

	memcpy(body + 16, nonce, 32);
	say(s, seq, body, sizeof body);
}

static void
say_ok(struct peer *s, u8 seq)
{
	SAY(s, seq, "\0\0\0\2\0\0\0");
}

/* A client with a write that waits for server 0, which has greeted and seen the first answer. */
static struct peer *
begin(struct peer **s_r, const char *user, const char *pw, const char *account, const char *account_pw)
{
	struct peer *c = client_connect();

	client_respond(c, user, pw, NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(c);
	client_query(c, write_sql);
	*s_r = server_accept(0);
	server_greet(*s_r);
	server_expect_login(*s_r, account, account_pw);
	return c;
}

static void
expect_bytes(struct peer *s, u8 seq, const void *body, size_t len)
{
	struct bytes b = {0};

	bytes_packet(&b, seq, body, len);
	peer_expect(s, b.p, b.len);
	bytes_free(&b);
}

static void
expect_ed25519(struct peer *s, u8 seq, const char *pw)
{
	u8 pub[32];
	size_t len;
	const u8 *p = peer_packet(s, &len);

	cr_assert(len == PKT_HDR + 64 && p[3] == seq);
	auth_ed25519_public(pw, strlen(pw), pub);
	cr_assert(auth_ed25519_check(p + PKT_HDR, pub, nonce));
}

static void
expect_sha2(struct peer *s, u8 seq, const char *pw)
{
	u8 key1[32], key2[32], out[32];
	size_t len;
	const u8 *p = peer_packet(s, &len);

	cr_assert(len == PKT_HDR + 32 && p[3] == seq);
	auth_sha256(pw, strlen(pw), key1);
	auth_sha256(key1, 32, key2);
	cr_assert(auth_sha2_check(p + PKT_HDR, key2, sha2_scramble, out));
}

/* The login is through and the statement runs. */
static void
expect_served(struct peer *s, struct peer *c)
{
	server_expect_query(s, BCONN_SETUP_SQL);
	server_ok(s);
	server_expect_query(s, write_sql);
	server_ok(s);
	client_expect_ok(c);
	rig_stop();
}

static void
expect_refused(struct peer *s, struct peer *c, const char *part)
{
	client_expect_err(c, 1045, part);
	peer_expect_closed(s);
	cr_assert(rig_logged(part));
	cr_assert(!rig_logged("secret"));
	cr_assert_eq(R.w.srv[0].suspect_until, 0, "the server is well");
	cr_assert(!server_has_connect(0), "and is not asked again for nobody");
	rig_stop();
}

TEST_WORKER(server_asks_for_ed25519)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	ask_ed25519(s, 2);
	expect_ed25519(s, 3, "secret");
	say_ok(s, 4);
	expect_served(s, c);
}

TEST_WORKER(server_asks_for_ed25519_of_a_backend_password)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "other", "o", "deep", "d");
	ask_ed25519(s, 2);
	expect_ed25519(s, 3, "d");
	say_ok(s, 4);
	expect_served(s, c);
}

TEST_WORKER(server_asks_for_ed25519_without_password)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "open", "", "open", "");
	ask_ed25519(s, 2);
	expect_ed25519(s, 3, "");
	say_ok(s, 4);
	expect_served(s, c);
}

TEST_WORKER(a_hash_is_no_password)
{
	static const u8 none[64];
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "hashed", "secret", "hashed", "secret");
	ask_ed25519(s, 2);
	expect_bytes(s, 3, none, 64);
	SAY(s, 4, "\xff\x15\x04#28000Access denied");
	expect_refused(s, c, "client_ed25519 takes the password, not its hash: set backend_password of [user hashed]");
	/* an account with another method, for which the hash will do */
	rig_start(NULL);
	c = begin(&s, "hashed", "secret", "hashed", "secret");
	ask_ed25519(s, 2);
	expect_bytes(s, 3, none, 64);
	SAY(s, 4, "\xfe" "mysql_native_password\0" "ABCDEFGHIJKLMNOPQRST\0");
	size_t len;
	const u8 *p = peer_packet(s, &len);
	cr_assert(len == PKT_HDR + 20 && p[3] == 5);
	say_ok(s, 6);
	expect_served(s, c);
	/* what else a server may say keeps its words */
	rig_start(NULL);
	c = begin(&s, "hashed", "secret", "hashed", "secret");
	ask_ed25519(s, 2);
	expect_bytes(s, 3, none, 64);
	SAY(s, 4, "\xff\x10\x04#08004Too many");
	client_expect_err(c, 1429, "Too many");
	rig_stop();
	rig_start(NULL);
	c = begin(&s, "hashed", "secret", "hashed", "secret");
	SAY(s, 2, SHA2_ASK);
	expect_refused(s, c, "caching_sha2_password takes the password, not its hash");
}

TEST_WORKER(account_goes_with_a_reload_while_it_logs_in)
{
	static const struct rig_conf gone = {.user_name = "newer"}, moved = {.user = "backend_user = deep\nbackend_password = d"};
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	rig_reload(&gone);
	ask_ed25519(s, 2);
	peer_skip(s, peer_pending(s));
	SAY(s, 4, "\xff\x15\x04#28000Access denied");
	peer_expect_closed(s);
	client_expect_err(c, 1045, "client_ed25519");
	rig_stop();
	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	rig_reload(&moved);
	ask_ed25519(s, 2);
	peer_skip(s, peer_pending(s));
	SAY(s, 4, "\xff\x15\x04#28000Access denied");
	peer_expect_closed(s);
	client_expect_err(c, 1045, "client_ed25519");
	rig_stop();
}

TEST_WORKER(server_remembers_sha2)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, SHA2_ASK);
	expect_sha2(s, 3, "secret");
	SAY(s, 4, "\1\3");
	peer_expect_silence(s);
	say_ok(s, 5);
	expect_served(s, c);
}

TEST_WORKER(server_wants_to_see_the_password_of_sha2)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, SHA2_ASK);
	expect_sha2(s, 3, "secret");
	SAY(s, 4, "\1\4");
	expect_bytes(s, 5, "secret", 7); /* a Unix socket */
	say_ok(s, 6);
	expect_served(s, c);
}

TEST_WORKER(server_asks_for_sha2_without_password)
{
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "open", "", "open", "");
	SAY(s, 2, SHA2_ASK);
	expect_bytes(s, 3, "", 1);
	say_ok(s, 4);
	expect_served(s, c);
}

static void
greet_sha2(struct peer *s)
{
	u8 buf[256];
	struct wr w = wr_init(buf, sizeof buf);
	struct hs_greeting g = {.protocol = 10, .version = {(const u8 *)"8.4.0", 5}, .thread_id = s->thread_id,
	    .caps = CAPS_CLIENT, .charset = 45, .status = ST_AUTOCOMMIT, .plugin = {(const u8 *)"caching_sha2_password", 21}};

	memcpy(g.scramble, sha2_scramble, 20);
	memcpy(s->scramble, sha2_scramble, 20);
	hs_greeting_write(&w, &g);
	cr_assert(!w.bad);
	peer_send(s, buf, w.len);
}

/* The login packet for a server whose greeting names caching_sha2_password. */
static struct hs_response
first_answer(struct peer *s)
{
	struct hs_response r;
	size_t len;

	s = server_accept(0);
	greet_sha2(s);
	const u8 *p = peer_packet(s, &len);
	cr_assert_eq(hs_response_parse(p + PKT_HDR, len - PKT_HDR, CAPS_CLIENT, &r), 0);
	return r;
}

TEST_WORKER(greeting_names_sha2)
{
	u8 key1[32], key2[32], out[32];
	struct hs_response r;
	struct peer *c, *s = NULL;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	r = first_answer(s);
	cr_assert(slice_eq(r.plugin.p, r.plugin.len, "caching_sha2_password", 21));
	cr_assert_eq(r.auth.len, 32);
	auth_sha256("secret", 6, key1);
	auth_sha256(key1, 32, key2);
	cr_assert(auth_sha2_check(r.auth.p, key2, sha2_scramble, out));
	rig_stop();
	/* with a hash the old method is all there is to begin with */
	rig_start(NULL);
	c = client_connect();
	client_respond(c, "hashed", "secret", NULL, CAPS_NEW, "mysql_native_password");
	client_expect_ok(c);
	client_query(c, write_sql);
	r = first_answer(s);
	cr_assert(slice_eq(r.plugin.p, r.plugin.len, "mysql_native_password", 21));
	cr_assert_eq(r.auth.len, 20);
	rig_stop();
}

TEST_WORKER(greeting_names_sha2_and_the_server_remembers)
{
	struct peer *c, *s;
	size_t len;

	rig_start(NULL);
	c = client_login(CAPS_NEW);
	client_query(c, write_sql);
	s = server_accept(0);
	greet_sha2(s);
	(void)peer_packet(s, &len);
	SAY(s, 2, "\1\3");
	say_ok(s, 3);
	expect_served(s, c);
}

TEST_WORKER(one_method_after_the_other)
{
	struct peer *c, *s;
	u8 seq = 2;

	/* IDENTIFIED VIA ed25519 OR mysql_native_password */
	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	ask_ed25519(s, 2);
	expect_ed25519(s, 3, "secret");
	SAY(s, 4, SHA2_ASK);
	expect_sha2(s, 5, "secret");
	SAY(s, 6, "\1\3");
	SAY(s, 7, "\xfe" "mysql_native_password\0" "ABCDEFGHIJKLMNOPQRST\0");
	size_t len;
	const u8 *p = peer_packet(s, &len);
	cr_assert(len == PKT_HDR + 20 && p[3] == 8);
	say_ok(s, 9);
	expect_served(s, c);
	/* but not for ever */
	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	for (int i = 0; i < 8; i++, seq += 2) {
		ask_ed25519(s, seq);
		expect_ed25519(s, (u8)(seq + 1), "secret");
	}
	ask_ed25519(s, seq);
	expect_refused(s, c, "asks for one method after the other");
}

TEST_WORKER(clear_text_is_refused_unless_allowed)
{
	static const struct rig_conf allowed = {.server = "auth_cleartext = yes"};
	struct peer *c, *s;

	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, "\xfe" "mysql_clear_password\0");
	expect_refused(s, c, "asks for the password in clear text: that takes auth_cleartext of [server db0]");
	rig_start(&allowed);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, "\xfe" "mysql_clear_password\0");
	expect_bytes(s, 3, "secret", 7);
	say_ok(s, 4);
	expect_served(s, c);
	rig_start(&allowed);
	c = begin(&s, "hashed", "secret", "hashed", "secret");
	SAY(s, 2, "\xfe" "mysql_clear_password\0");
	expect_refused(s, c, "mysql_clear_password takes the password, not its hash");
}

TEST_WORKER(methods_that_are_not_there)
{
	static const struct {
		const char *body;
		size_t len;
		const char *says;
	} asks[] = {
	    {"\xfe", 1, "mysql_old_password"},
	    {"\xfe" "dialog\0\4Password: ", 19, "asks for dialog, which is not supported"},
	    {"\xfe" "\0", 2, "asks for , which is not supported"},
	    {"\xfe" "sha256_password\0" "ABCDEFGHIJKLMNOPQRST\0", 38, "asks for sha256_password"},
	    {"\xfe" "mysql_native_password\0" "ABC\0", 27, "without a scramble"},
	    {"\xfe" "caching_sha2_password\0" "ABC\0", 27, "without a scramble"},
	    {"\xfe" "client_ed25519\0" "ABCDEFGHIJKLMNOPQRST\0", 37, "32 bytes to sign"},
	};

	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		struct peer *c, *s;

		rig_start(NULL);
		c = begin(&s, "app", "secret", "app", "secret");
		say(s, 2, asks[i].body, asks[i].len);
		expect_refused(s, c, asks[i].says);
	}
}

TEST_WORKER(steps_that_a_method_has_not)
{
	static const char *const native[] = {"\1", "\1\3", "\1\4", "\1\2", "\2", "\xfb" "x", "\xfe" "no_end"};
	static const char *const sha2[] = {"\1", "\1\5", "\1\3\3", "\1\4\4", "\1-----BEGIN PUBLIC KEY-----"};
	struct peer *c, *s;

	for (size_t i = 0; i < ARRAY_LEN(native); i++) {
		rig_start(NULL);
		c = begin(&s, "app", "secret", "app", "secret");
		say(s, 2, native[i], strlen(native[i]));
		client_expect_err(c, 1835, "");
		peer_expect_closed(s);
		rig_stop();
	}
	for (size_t i = 0; i < ARRAY_LEN(sha2); i++) {
		rig_start(NULL);
		c = begin(&s, "app", "secret", "app", "secret");
		SAY(s, 2, SHA2_ASK);
		expect_sha2(s, 3, "secret");
		say(s, 4, sha2[i], strlen(sha2[i]));
		client_expect_err(c, 1835, "authentication step");
		peer_expect_closed(s);
		rig_stop();
	}
	/* a second one of a kind */
	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, SHA2_ASK);
	expect_sha2(s, 3, "secret");
	SAY(s, 4, "\1\3");
	SAY(s, 5, "\1\4");
	client_expect_err(c, 1835, "authentication step");
	peer_expect_closed(s);
	rig_stop();
	rig_start(NULL);
	c = begin(&s, "app", "secret", "app", "secret");
	SAY(s, 2, SHA2_ASK);
	expect_sha2(s, 3, "secret");
	SAY(s, 4, "\1\4");
	expect_bytes(s, 5, "secret", 7);
	SAY(s, 6, "\1\4");
	client_expect_err(c, 1835, "authentication step");
	peer_expect_closed(s);
	rig_stop();
}

TEST_WORKER(password_longer_than_any_server_takes)
{
	char conf[700], pw[601];
	struct peer *c, *s;

	memset(pw, 'p', 600);
	pw[600] = '\0';
	snprintf(conf, sizeof conf, "backend_password = %s", pw);
	rig_start(&(struct rig_conf){.user = conf});
	c = begin(&s, "app", "secret", "app", pw);
	SAY(s, 2, SHA2_ASK);
	expect_sha2(s, 3, pw);
	SAY(s, 4, "\1\4");
	client_expect_err(c, 1045, "too long");
	peer_expect_closed(s);
	rig_stop();
}
