/* worker/bconn_auth.c: the methods by which a server may want to know who logs in: what it gets for an answer, and what it
 * does not get. Owns auth_method, auth_step and auth_asked of a connection. Runs in a worker.
 *
 * Digests of a session's SHA1(password) serve mysql_native_password only; all else takes the password itself, which the
 * configuration has or has not. A password leaves as it is over TLS and Unix sockets only, or under an RSA key that the
 * administrator has given or said to trust.
 */
#include <stdarg.h>
#include "base/str.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "worker/sess.h"

/* MariaDB goes through all methods of an account (IDENTIFIED VIA a OR b ..), one request each; it has fewer than these. */
#define ASKED_MOST    8
#define PASSWORD_MOST 512 /* of the methods that send it; servers take 256 (MAX_PLAINTEXT_LENGTH) */

static const char *const method_names[] = {
    [METHOD_NATIVE] = "mysql_native_password",
    [METHOD_SHA2] = "caching_sha2_password",
    [METHOD_ED25519] = "client_ed25519",
    [METHOD_CLEAR] = "mysql_clear_password",
};

__attribute__((format(printf, 2, 3))) static void
refuse(struct bconn *b, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	bconn_login_failed(b, ERR_BACKEND_AUTH, text);
}

/* NULL: the section is gone with a reload. */
static const struct cfg_server *
section(const struct bconn *b)
{
	const struct cfg *c = &b->w->cfg;

	for (u32 i = 0; i < c->r->nservers; i++)
		if (cfg_servers(c)[i].id == b->srv->id)
			return &cfg_servers(c)[i];
	return NULL;
}

/* The account's password at the servers; NULL: the configuration has its hash, or the user no more. */
static const char *
password(const struct bconn *b)
{
	const struct cfg *c = &b->w->cfg;
	const struct cfg_user *u = cfg_user_find(c, b->bp->user_name->text, strlen(b->bp->user_name->text));

	/* a reload may have given the user another account since */
	if (u == NULL || (u->backend_user.off != 0 ? strcmp(cfg_text(c, u->backend_user), b->bp->backend_user->text) != 0
	                                           : b->bp->backend_user != b->bp->user_name))
		return NULL;
	if (u->backend_password.off != 0)
		return cfg_secret_text(c, u->backend_password);
	const char *pw = cfg_secret_text(c, u->password);
	return cfg_secret_kind(pw) != CFG_PLAIN ? NULL : pw;
}

static void
say_lack(const struct bconn *b, enum bauth_method m, char *text, size_t size)
{
	snprintf(text, size, "%s takes the password, not its hash: set backend_password of [user %s]", method_names[m],
	    b->bp->user_name->text);
}

/* The same, for a method that does not work without; NULL: the login has been refused. */
static const char *
need_password(struct bconn *b)
{
	const char *pw = password(b);
	char text[300];

	if (pw == NULL) {
		say_lack(b, (enum bauth_method)b->auth_method, text, sizeof text);
		refuse(b, "%s", text);
	}
	return pw;
}

bool
bconn_auth_lack(const struct bconn *b, char *text, size_t size)
{
	if (b->auth_lack)
		say_lack(b, METHOD_ED25519, text, size);
	return b->auth_lack;
}

/* The next packet of the login. buf has room for the header in front of n bytes, and may hold a secret. */
static void
answer(struct bconn *b, u8 *buf, size_t n, u8 seq)
{
	wr24(buf, (u32)n);
	buf[3] = (u8)(seq + 1);
	bool ok = conn_write(&b->conn, buf, PKT_HDR + n);

	mem_wipe(buf, PKT_HDR + n);
	if (!ok)
		bconn_login_failed(b, ERR_CONNECT, "login could not be sent");
}

static size_t
sha2_token(const char *pw, const u8 scramble[20], u8 out[32])
{
	u8 key1[32];

	if (pw[0] == '\0') {
		out[0] = 0; /* no password */
		return 1;
	}
	auth_sha256(pw, strlen(pw), key1);
	auth_sha2_token(key1, scramble, out);
	mem_wipe(key1, sizeof key1);
	return 32;
}

/* With the method that the server's greeting names where that is possible: it saves the server's asking. */
void
bconn_auth_first(struct bconn *b, struct slice offered, struct slice *method_r, struct slice *answer_r, u8 room[32])
{
	const char *pw = NULL;
	size_t n = 0;

	b->auth_method = METHOD_NATIVE;
	if (slice_eq(offered.p, offered.len, method_names[METHOD_SHA2], strlen(method_names[METHOD_SHA2])))
		pw = password(b);
	if (pw != NULL) {
		b->auth_method = METHOD_SHA2;
		n = sha2_token(pw, b->scramble, room);
	} else if (b->has_password) {
		auth_native_token(b->stage1, b->scramble, room);
		n = 20;
	}
	*method_r = (struct slice){(const u8 *)method_names[b->auth_method], strlen(method_names[b->auth_method])};
	*answer_r = (struct slice){room, n};
}

static void
answer_native(struct bconn *b, struct slice data, u8 seq)
{
	u8 buf[PKT_HDR + 20];

	if (data.len < 20) {
		refuse(b, "mysql_native_password without a scramble");
		return;
	}
	memcpy(b->scramble, data.p, 20);
	if (b->has_password)
		auth_native_token(b->stage1, b->scramble, buf + PKT_HDR);
	answer(b, buf, b->has_password ? 20 : 0, seq);
}

static void
answer_sha2(struct bconn *b, struct slice data, u8 seq)
{
	u8 buf[PKT_HDR + 32];

	if (data.len != 20) {
		refuse(b, "caching_sha2_password without a scramble");
		return;
	}
	const char *pw = need_password(b);
	if (pw == NULL)
		return;
	memcpy(b->scramble, data.p, 20);
	answer(b, buf, sha2_token(pw, b->scramble, buf + PKT_HDR), seq);
}

static void
answer_ed25519(struct bconn *b, struct slice data, u8 seq)
{
	u8 buf[PKT_HDR + AUTH_ED25519_SIG];

	if (data.len != AUTH_ED25519_NONCE) {
		refuse(b, "client_ed25519 without its 32 bytes to sign");
		return;
	}
	const char *pw = password(b);
	if (pw != NULL) {
		auth_ed25519_sign(pw, strlen(pw), data.p, buf + PKT_HDR);
	} else {
		/* what fits no password: the account may have another method, for which the hash will do, and the server
		 * asks for it next. Closing would do for the others, but servers count it against the host. */
		memset(buf + PKT_HDR, 0, AUTH_ED25519_SIG);
		b->auth_lack = true;
	}
	answer(b, buf, AUTH_ED25519_SIG, seq);
}

/* The password as it is; who calls has made sure that nobody else can read it. */
static void
send_password(struct bconn *b, const char *pw, u8 seq)
{
	u8 buf[PKT_HDR + PASSWORD_MOST + 1];
	size_t n = strlen(pw) + 1;

	if (n > PASSWORD_MOST + 1) {
		refuse(b, "the password is too long for %s", method_names[b->auth_method]);
		return;
	}
	memcpy(buf + PKT_HDR, pw, n);
	b->auth_step = AUTHS_LAST;
	answer(b, buf, n, seq);
}

static void
answer_clear(struct bconn *b, u8 seq)
{
	const struct cfg_server *s = section(b);

	if (s == NULL || !s->auth_cleartext || !conn_secure(&b->conn)) {
		refuse(b, "asks for the password in clear text: that takes auth_cleartext of [server %s], and TLS", b->srv->name);
		return;
	}
	const char *pw = need_password(b);
	if (pw != NULL)
		send_password(b, pw, seq);
}

void
bconn_auth_switch(struct bconn *b, const u8 *body, size_t len, u8 seq)
{
	struct slice name, data;
	size_t m = 0;

	if (len == 1) { /* the request of servers before 4.1.1 */
		refuse(b, "asks for mysql_old_password: give the account a password of a newer kind");
		return;
	}
	if (hs_auth_switch_parse(body, len, &name, &data) != 0) {
		bconn_login_failed(b, ERR_BACKEND_PROTO, "malformed request for another method");
		return;
	}
	while (m < ARRAY_LEN(method_names) && !slice_eq(name.p, name.len, method_names[m], strlen(method_names[m])))
		m++;
	if (m == ARRAY_LEN(method_names)) {
		refuse(b, "asks for %.*s, which is not supported", (int)MIN(name.len, 60), (const char *)name.p);
		return;
	}
	if (++b->auth_asked > ASKED_MOST) {
		refuse(b, "asks for one method after the other, %s now", method_names[m]);
		return;
	}
	b->auth_method = (u8)m;
	b->auth_step = AUTHS_ANSWERED;
	switch ((enum bauth_method)m) {
	case METHOD_NATIVE: answer_native(b, data, seq); break;
	case METHOD_SHA2: answer_sha2(b, data, seq); break;
	case METHOD_ED25519: answer_ed25519(b, data, seq); break;
	case METHOD_CLEAR: answer_clear(b, seq); break;
	}
}

static void
seal_password(struct bconn *b, const char *key, size_t key_len, const char *whose, u8 seq)
{
	u8 buf[PKT_HDR + AUTH_RSA_MOST];
	const char *pw = need_password(b);
	size_t n;

	if (pw == NULL)
		return;
	int rc = auth_rsa_seal(key, key_len, pw, strlen(pw), b->scramble, buf + PKT_HDR, &n);
	if (rc == ERR_LIMIT) {
		refuse(b, "the password is too long for %s", whose);
	} else if (rc != 0) {
		refuse(b, "%s is no RSA key of 1024 to 8192 bits", whose);
	} else {
		b->auth_step = AUTHS_LAST;
		answer(b, buf, n, seq);
	}
}

/* The server does not remember the password: it wants to see it. */
static void
full_sha2(struct bconn *b, u8 seq)
{
	const struct cfg_server *s = section(b);
	u8 ask[PKT_HDR + 1] = {[PKT_HDR] = 0x02};

	if (conn_secure(&b->conn)) {
		const char *pw = need_password(b);

		if (pw != NULL)
			send_password(b, pw, seq);
	} else if (s != NULL && s->pem.rsa.off != 0) {
		const char *key = cfg_secret_text(&b->w->cfg, s->pem.rsa);

		seal_password(b, key, strlen(key), "auth_rsa_key", seq);
	} else if (s != NULL && s->auth_rsa_ask) {
		b->auth_step = AUTHS_KEY;
		answer(b, ask, 1, seq);
	} else {
		refuse(b, "caching_sha2_password needs TLS, auth_rsa_key or auth_rsa_ask of [server %s]", b->srv->name);
	}
}

void
bconn_auth_more(struct bconn *b, const u8 *body, size_t len, u8 seq)
{
	if (b->auth_method == METHOD_SHA2 && b->auth_step == AUTHS_KEY)
		seal_password(b, (const char *)body + 1, len - 1, "what the server gives", seq);
	else if (b->auth_method == METHOD_SHA2 && b->auth_step == AUTHS_ANSWERED && len == 2 && body[1] == 0x03)
		b->auth_step = AUTHS_LAST; /* it remembers: OK follows */
	else if (b->auth_method == METHOD_SHA2 && b->auth_step == AUTHS_ANSWERED && len == 2 && body[1] == 0x04)
		full_sha2(b, seq);
	else
		bconn_login_failed(b, ERR_BACKEND_PROTO, "an authentication step that its method has not");
}
