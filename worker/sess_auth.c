/* worker/sess_auth.c: the authentication of a client: methods, the switch from one to another, and what a login teaches
 * about the password that the servers want. Runs in a worker.
 */
#include "base/str.h"
#include "proto/auth.h"
#include "proto/handshake.h"
#include "worker/sess.h"

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

/* Checks the answer to the scramble; learns SHA1(password), which logs in at the servers. */
static bool
check_password(struct sess *s, const struct cfg_user *u, struct slice token)
{
	const char *pw = cfg_secret_text(&s->w->cfg, u->password);
	u8 stage2[20];

	if (pw[0] == '\0') {
		s->has_password = false;
		return token.len == 0;
	}
	if (token.len != 20)
		return false;
	s->has_password = true;
	if (pw[0] == '*' && strlen(pw) == 41 && auth_hash_parse(pw, stage2) == 0)
		return auth_native_check(token.p, stage2, s->scramble, s->stage1);
	auth_native_stage1(pw, strlen(pw), s->stage1);
	auth_native_stage2(s->stage1, stage2);
	u8 stage1[20];
	return auth_native_check(token.p, stage2, s->scramble, stage1);
}

static void
verify(struct sess *s, struct slice token)
{
	const struct cfg_user *u = sess_user(s);

	if (u == NULL || !check_password(s, u, token))
		denied(s, token.len > 0);
	else
		login_admit(s);
}

static void
ask(struct sess *s)
{
	u8 buf[128];
	struct wr w = wr_init(buf, sizeof buf);

	hs_auth_switch_write(&w, s->next_seq, "mysql_native_password", s->scramble);
	AZ(w.bad);
	sess_set_state(s, SESS_SWITCH);
	if (!sess_send(s, buf, w.len))
		sess_close(s, "write to client failed");
}

void
auth_begin(struct sess *s, struct slice plugin, struct slice token)
{
	if (plugin.len == 0 || slice_eq(plugin.p, plugin.len, "mysql_native_password", 21))
		verify(s, token);
	else if (auth_scramble_new(s->scramble) != 0)
		sess_close(s, "no random numbers");
	else
		ask(s);
}

void
auth_change(struct sess *s)
{
	ask(s);
}

void
auth_more(struct sess *s, const u8 *body, size_t len)
{
	verify(s, (struct slice){body, len});
}
