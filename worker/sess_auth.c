/* worker/sess_auth.c: the authentication of a client: methods, the switch from one to another, and what a login teaches
 * about the password that the servers want. Owns sess.auth. Runs in a worker.
 *
 * Nobody may learn from here which users exist: a name that nobody has is asked as one of the users would be, always the
 * same one, and its answer is checked against that user's secret, with the same work, before it is found wrong.
 */
#include <stdlib.h>
#include "base/str.h"
#include "proto/handshake.h"
#include "worker/sess_auth.h"

#define REQUEST_KEY   2 /* caching_sha2_password: from a client */
#define FAST_DONE     3 /* to it: the token was right; OK follows */
#define FULL_WANTED   4 /* to it: it has to send the password */
#define SHA2_TOKEN   32

/* By enum cfg_auth. */
static const char *const method_name[] = {"mysql_native_password", "caching_sha2_password", "client_ed25519"};

static void
denied(struct sess *s, bool with_password)
{
	struct worker *w = s->w;

	STAT_ADD(w->stat->logins_failed, 1);
	log_limited(LOG_WARN_, "login refused: user %s from %s (using password: %s)", s->user, s->addr_text,
	    with_password ? "YES" : "NO");
	char host[sizeof s->addr_text];
	peer_host(s, host, sizeof host);
	login_refuse(s, ERR_ACCESS, "Access denied for user '%s'@'%s' (using password: %s)", s->user, host,
	    with_password ? "YES" : "NO");
}

/* Which of the users a name that nobody has is taken for. The key keeps a client from computing it; it is the same for all
 * workers and over reloads. NULL: there are no users. */
static const struct cfg_user *
stand_in(const struct sess *s)
{
	const struct cfg *c = &s->w->cfg;
	const char *key = cfg_secret_text(c, c->r->margay.tls_ticket);
	char text[sizeof s->user + 160];
	u8 d[32];
	u64 n;

	if (c->r->nusers == 0)
		return NULL;
	snprintf(text, sizeof text, "unknown user:%.128s:%s", key, s->user);
	auth_sha256(text, strlen(text), d);
	mem_wipe(text, sizeof text);
	memcpy(&n, d, sizeof n);
	return &cfg_users(c)[n % c->r->nusers];
}

/* The user, or the one that stands in for an unknown name. */
static const struct cfg_user *
whose(struct sess *s, bool *known_r)
{
	const struct cfg_user *u = sess_user(s);

	*known_r = u != NULL;
	return u != NULL ? u : stand_in(s);
}

/* ---- answers ---- */

static bool
native_ok(struct sess *s, const char *pw, struct slice token)
{
	u8 stage1[20], stage2[20];
	bool ok;

	if (pw[0] == '\0')
		return token.len == 0;
	if (token.len != 20)
		return false;
	s->has_password = true;
	if (cfg_secret_kind(pw) == CFG_NATIVE_HASH && auth_hash_parse(pw, stage2) == 0)
		return auth_native_check(token.p, stage2, s->scramble, s->stage1);
	auth_native_stage1(pw, strlen(pw), s->stage1);
	auth_native_stage2(s->stage1, stage2);
	ok = auth_native_check(token.p, stage2, s->scramble, stage1);
	mem_wipe(stage1, sizeof stage1);
	return ok;
}

/* A hash teaches nothing that a server would take: conf/check.c asks such users for backend_password. */
static bool
ed25519_ok(struct sess *s, const char *pw, struct slice sig)
{
	enum cfg_secret_kind kind = cfg_secret_kind(pw);
	u8 key[32];

	if (kind == CFG_ED25519_HASH) {
		if (auth_ed25519_parse(cfg_ed25519_key(pw), AUTH_ED25519_TEXT, key) != 0)
			return false;
	} else if (kind == CFG_PLAIN) {
		auth_ed25519_public(pw, strlen(pw), key);
		auth_native_stage1(pw, strlen(pw), s->stage1);
		s->has_password = pw[0] != '\0';
	} else {
		return false; /* a reload between question and answer */
	}
	return sig.len == AUTH_ED25519_SIG && s->auth != NULL && auth_ed25519_check(sig.p, key, s->auth->nonce);
}

/* ---- the end ---- */

static void
finish(struct sess *s, bool right, bool with_password)
{
	auth_forget(s);
	if (right && sess_user(s) != NULL) {
		login_admit(s);
		return;
	}
	s->has_password = false;
	mem_wipe(s->stage1, sizeof s->stage1);
	denied(s, with_password);
}

/* The password has come, and was right: the next logins need less. */
static void
learn(struct sess *s, struct slice password)
{
	const struct cfg_user *u = sess_user(s);
	const char *pw = u == NULL ? "" : cfg_secret_text(&s->w->cfg, u->password);
	struct learned l;

	if (u == NULL || cfg_secret_kind(pw) == CFG_PLAIN)
		return;
	if (!learn_get(s->w, s->user, pw, &l))
		learn_put(s->w, s->user, pw, password);
	mem_wipe(&l, sizeof l);
}

void
auth_done(struct sess *s, bool right, struct slice password, bool with_password)
{
	s->has_password = password.len > 0;
	if (right)
		auth_native_stage1((const char *)password.p, password.len, s->stage1);
	if (right && password.len > 0)
		learn(s, password);
	finish(s, right, with_password);
}

/* ---- caching_sha2_password ---- */

static bool
auth_new(struct sess *s, enum cfg_auth method)
{
	if (s->auth == NULL && (s->auth = calloc(1, sizeof *s->auth)) == NULL) {
		sess_close(s, "out of memory");
		return false;
	}
	s->auth->s = s;
	s->auth->method = method;
	s->auth->step = AUTH_ANSWER;
	list_init(&s->auth->node);
	return true;
}

static bool
say(struct sess *s, const void *p, size_t n)
{
	u8 buf[PKT_HDR + 1024];

	AN(n <= sizeof buf - PKT_HDR);
	wr24(buf, (u32)n);
	buf[3] = s->next_seq;
	memcpy(buf + PKT_HDR, p, n);
	if (sess_send(s, buf, PKT_HDR + n))
		return true;
	sess_close(s, "write to client failed");
	return false;
}

/* What is known of the password besides the hash: derived, or learned. */
static bool
known_of(struct sess *s, const struct cfg_user *u, const char *pw, struct learned *l_r)
{
	u8 key1[32];

	if (u == NULL)
		return false;
	if (cfg_secret_kind(pw) != CFG_PLAIN)
		return learn_get(s->w, cfg_text(&s->w->cfg, u->section_name), pw, l_r);
	auth_sha256(pw, strlen(pw), key1);
	auth_sha256(key1, sizeof key1, l_r->key2);
	auth_native_stage1(pw, strlen(pw), l_r->stage1);
	mem_wipe(key1, sizeof key1);
	return true;
}

/* A right token leaves in s->stage1 what logs in at servers. */
static bool
token_ok(struct sess *s, const struct cfg_user *u, const char *pw, struct slice token)
{
	struct learned l;
	u8 key1[32];
	bool ok = token.len == SHA2_TOKEN && known_of(s, u, pw, &l) && auth_sha2_check(token.p, l.key2, s->scramble, key1);

	if (ok)
		memcpy(s->stage1, l.stage1, sizeof s->stage1);
	mem_wipe(key1, sizeof key1);
	mem_wipe(&l, sizeof l);
	return ok;
}

static bool
same_text(const char *pw, struct slice said)
{
	u8 a[32], b[32];

	/* of digests: the time tells nothing about the text */
	auth_sha256(pw, strlen(pw), a);
	auth_sha256(said.p, said.len, b);
	return memcmp(a, b, sizeof a) == 0;
}

void
auth_said(struct sess *s, struct slice said)
{
	bool known, ok = false;
	const struct cfg_user *u = whose(s, &known);
	const char *pw = u == NULL ? "" : cfg_secret_text(&s->w->cfg, u->password);
	struct learned l;
	u8 key[32], want[32];

	switch (cfg_secret_kind(pw)) {
	case CFG_PLAIN:
		ok = u != NULL && same_text(pw, said);
		break;
	case CFG_NATIVE_HASH:
		auth_native_stage1((const char *)said.p, said.len, key);
		auth_native_stage2(key, key);
		ok = auth_hash_parse(pw, want) == 0 && memcmp(key, want, 20) == 0;
		break;
	case CFG_ED25519_HASH:
		auth_ed25519_public((const char *)said.p, said.len, key);
		ok = auth_ed25519_parse(cfg_ed25519_key(pw), AUTH_ED25519_TEXT, want) == 0 && memcmp(key, want, 32) == 0;
		break;
	case CFG_SHA2_HASH:
		if (known_of(s, u, pw, &l)) { /* learned meanwhile, or the token was wrong */
			auth_sha256(said.p, said.len, key);
			auth_sha256(key, sizeof key, key);
			ok = memcmp(key, l.key2, sizeof key) == 0;
			break;
		}
		if (said.len > AUTH_SHA2_PW_MAX || auth_sha2_hash_parse(pw, strlen(pw), &s->auth->hash) != 0)
			break;
		memcpy(s->auth->text, said.p, said.len);
		s->auth->len = said.len;
		auth_crypt_begin(&s->auth->crypt, (const char *)said.p, said.len, s->auth->hash.salt, AUTH_SHA2_SALT,
		    s->auth->hash.rounds);
		prove_begin(s);
		return;
	}
	mem_wipe(key, sizeof key);
	mem_wipe(&l, sizeof l);
	auth_done(s, ok, said, true);
}

/* A wrong token, and one that nothing is known for, get the same answer: the password is asked for. */
static void
sha2_token(struct sess *s, const struct cfg_user *u, const char *pw, bool known, struct slice token)
{
	static const u8 done[] = {1, FAST_DONE}, full[] = {1, FULL_WANTED};

	if (token.len == 0 || (token.len == 1 && token.p[0] == 0)) {
		auth_done(s, pw[0] == '\0', (struct slice){NULL, 0}, false);
		return;
	}
	if (token_ok(s, u, pw, token) && known) {
		s->has_password = true;
		if (!say(s, done, sizeof done))
			return;
		s->next_seq++;
		finish(s, true, true);
		return;
	}
	if (token.len != SHA2_TOKEN) {
		auth_done(s, false, (struct slice){NULL, 0}, true);
		return;
	}
	if (!auth_new(s, CFG_AUTH_SHA2))
		return;
	s->auth->step = AUTH_FULL;
	if (s->state != SESS_SWITCH)
		sess_set_state(s, SESS_SWITCH);
	(void)say(s, full, sizeof full);
}

static void
send_key(struct sess *s)
{
	struct slice pem = auth_rsa_public(s->w->rsa);
	u8 body[1024];

	AN(pem.len < sizeof body);
	body[0] = 1;
	memcpy(body + 1, pem.p, pem.len);
	s->auth->step = AUTH_KEY;
	(void)say(s, body, 1 + pem.len);
}

/* Over TLS and Unix sockets the password comes as it is, with its NUL; else under the key, which the client may have already. */
static void
sha2_full(struct sess *s, struct slice body)
{
	struct auth *a = s->auth;
	bool key = body.len == 1 && body.p[0] == REQUEST_KEY, clear = a->step == AUTH_FULL && conn_secure(&s->conn);

	if (key && a->step == AUTH_FULL && s->w->rsa != NULL) {
		send_key(s);
	} else if (clear && body.len > 0 && body.p[body.len - 1] == '\0') {
		auth_said(s, (struct slice){body.p, body.len - 1});
	} else if (!clear && s->w->rsa != NULL && body.len <= sizeof a->text) {
		memcpy(a->text, body.p, body.len);
		a->len = body.len;
		a->sealed = true;
		prove_begin(s);
	} else {
		auth_done(s, false, (struct slice){NULL, 0}, true);
	}
}

/* ---- questions ---- */

static void
verify(struct sess *s, const struct cfg_user *u, bool known, enum cfg_auth method, struct slice answer)
{
	const char *pw = u == NULL ? "" : cfg_secret_text(&s->w->cfg, u->password);
	bool ok;

	s->has_password = false;
	if (method == CFG_AUTH_SHA2) {
		sha2_token(s, u, pw, known, answer);
		return;
	}
	ok = method == CFG_AUTH_ED25519 ? ed25519_ok(s, pw, answer) : native_ok(s, pw, answer);
	finish(s, ok, answer.len > 0);
}

static void
ask(struct sess *s, enum cfg_auth method)
{
	u8 buf[128];
	struct wr w = wr_init(buf, sizeof buf);

	if (method != CFG_AUTH_NATIVE && (s->caps & CAP_PLUGIN_AUTH) == 0) {
		login_refuse(s, ERR_AUTH_METHOD, "%s", method_name[method]);
		return;
	}
	if (!auth_new(s, method))
		return;
	struct auth *a = s->auth;
	if (method == CFG_AUTH_ED25519 && auth_random(a->nonce, sizeof a->nonce) != 0) {
		sess_close(s, "no random numbers");
		return;
	}
	if (method == CFG_AUTH_ED25519)
		hs_auth_switch_write(&w, s->next_seq, method_name[method], a->nonce, sizeof a->nonce);
	else
		hs_auth_switch_write(&w, s->next_seq, method_name[method], s->scramble, sizeof s->scramble);
	AZ(w.bad);
	sess_set_state(s, SESS_SWITCH);
	if (!sess_send(s, buf, w.len))
		sess_close(s, "write to client failed");
}

static enum cfg_auth
method_of(const struct sess *s, const struct cfg_user *u)
{
	return u == NULL ? (enum cfg_auth)s->w->cfg.r->margay.default_auth_plugin : cfg_user_auth(&s->w->cfg, u);
}

struct slice
auth_greets(const struct worker *w)
{
	enum cfg_auth m = (enum cfg_auth)w->cfg.r->margay.default_auth_plugin;
	const char *name = method_name[m == CFG_AUTH_ED25519 ? CFG_AUTH_NATIVE : m]; /* its question is no scramble */

	return (struct slice){(const u8 *)name, strlen(name)};
}

static bool
is_method(struct slice name, enum cfg_auth method)
{
	return slice_eq(name.p, name.len, method_name[method], strlen(method_name[method]));
}

void
auth_begin(struct sess *s, struct slice plugin, struct slice token)
{
	static const struct slice native = {(const u8 *)"mysql_native_password", 21};
	bool known;
	const struct cfg_user *u = whose(s, &known);
	enum cfg_auth method = method_of(s, u);
	struct slice greeted = auth_greets(s->w), begun = plugin.len == 0 ? native : plugin;

	/* libmariadb has nothing to say yet when it is to begin with another method than the greeting's: no token is no answer */
	bool answered = is_method(begun, method) && method != CFG_AUTH_ED25519 &&
	    (token.len > 0 || plugin.len == 0 || slice_eq(begun.p, begun.len, (const char *)greeted.p, greeted.len));
	if (answered)
		verify(s, u, known, method, token);
	/* not for client_ed25519: after COM_CHANGE_USER libmariadb answers the scramble that it saw last */
	else if (method != CFG_AUTH_ED25519 && auth_scramble_new(s->scramble) != 0)
		sess_close(s, "no random numbers");
	else
		ask(s, method);
}

void
auth_change(struct sess *s)
{
	bool known;

	ask(s, method_of(s, whose(s, &known)));
}

void
auth_more(struct sess *s, const u8 *body, size_t len)
{
	bool known;
	const struct cfg_user *u = whose(s, &known);
	struct slice packet = {body, len};

	if (s->auth->step == AUTH_ANSWER)
		verify(s, u, known, s->auth->method, packet);
	else
		sha2_full(s, packet);
}

void
auth_forget(struct sess *s)
{
	if (s->auth == NULL)
		return;
	list_del(&s->auth->node);
	mem_wipe(s->auth, sizeof *s->auth);
	free(s->auth);
	s->auth = NULL;
}
