/* worker/sess_auth.c: the authentication of a client: methods, the switch from one to another, and what a login teaches
 * about the password that the servers want. Owns sess.auth. Runs in a worker.
 *
 * Nobody may learn from here which users exist: a name that nobody has is asked as one of the users would be, always the
 * same one, and its answer is checked against that user's secret, with the same work, before it is found wrong.
 */
#include <stdlib.h>
#include "base/str.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "worker/sess.h"

/* The question under way. */
struct auth {
	enum cfg_auth method;
	u8 nonce[AUTH_ED25519_NONCE];
};

/* By enum cfg_auth. */
static const char *const method_name[] = {"mysql_native_password", "client_ed25519"};

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
	return sig.len == AUTH_ED25519_SIG && auth_ed25519_check(sig.p, key, s->auth->nonce);
}

static void
verify(struct sess *s, const struct cfg_user *u, bool known, enum cfg_auth method, struct slice answer)
{
	bool ok = false;

	s->has_password = false;
	if (u != NULL) {
		const char *pw = cfg_secret_text(&s->w->cfg, u->password);

		ok = method == CFG_AUTH_ED25519 ? ed25519_ok(s, pw, answer) : native_ok(s, pw, answer);
	}
	auth_forget(s);
	if (ok && known) {
		login_admit(s);
		return;
	}
	s->has_password = false;
	mem_wipe(s->stage1, sizeof s->stage1);
	denied(s, answer.len > 0);
}

/* ---- questions ---- */

static void
ask(struct sess *s, enum cfg_auth method)
{
	struct auth *a = calloc(1, sizeof *a);
	u8 buf[128];
	struct wr w = wr_init(buf, sizeof buf);

	if (method != CFG_AUTH_NATIVE && (s->caps & CAP_PLUGIN_AUTH) == 0) {
		free(a);
		login_refuse(s, ERR_AUTH_METHOD, "%s", method_name[method]);
		return;
	}
	if (a == NULL || (method == CFG_AUTH_ED25519 && auth_random(a->nonce, sizeof a->nonce) != 0)) {
		free(a);
		sess_close(s, a == NULL ? "out of memory" : "no random numbers");
		return;
	}
	a->method = method;
	s->auth = a;
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

void
auth_begin(struct sess *s, struct slice plugin, struct slice token)
{
	bool known;
	const struct cfg_user *u = whose(s, &known);
	enum cfg_auth method = method_of(s, u);

	if (method == CFG_AUTH_NATIVE &&
	    (plugin.len == 0 || slice_eq(plugin.p, plugin.len, method_name[method], strlen(method_name[method]))))
		verify(s, u, known, method, token);
	/* not for others: after COM_CHANGE_USER libmariadb answers the bytes that its native plug-in saw last */
	else if (method == CFG_AUTH_NATIVE && auth_scramble_new(s->scramble) != 0)
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

	verify(s, u, known, s->auth->method, (struct slice){body, len});
}

void
auth_forget(struct sess *s)
{
	if (s->auth == NULL)
		return;
	mem_wipe(s->auth, sizeof *s->auth);
	free(s->auth);
	s->auth = NULL;
}
