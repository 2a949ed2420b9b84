/* worker/sess_change.c: COM_CHANGE_USER: the session becomes another user's, or stays its old one's. Runs in a worker.
 *
 * What 10.11 does (measured): a packet that is malformed, or names a character set that no client can have, changes
 * nothing. Else the session's state ends, whatever comes of the rest; the client is asked to prove who it is, by the new
 * account's method, always; if it fails, or may not have the database, it gets the error and goes on as who it was, in its
 * old database, with the server's own character set. After three such failures the command is unknown, and still ends the
 * session's state.
 */
#include <stdlib.h>
#include "base/str.h"
#include "proto/handshake.h"
#include "worker/sess.h"

#define FAILED_MAX 3

struct sess_before {
	char user[84];
	u8 stage1[20];
	bool has_password, db_local;
	u32 counted_user_id; /* UINT32_MAX: not counted */
	u32 cluster_id;      /* UINT32_MAX: none */
	struct istr *db, *program;
};

static u32
cluster_id(struct sess *s)
{
	return sess_user(s) == NULL ? UINT32_MAX : cfg_clusters(&s->w->cfg)[s->cluster_idx].id;
}

static bool
remember(struct sess *s)
{
	struct sess_before *b = calloc(1, sizeof *b);

	if (b == NULL)
		return false;
	str_copy(b->user, sizeof b->user, s->user);
	memcpy(b->stage1, s->stage1, sizeof b->stage1);
	b->has_password = s->has_password;
	b->db_local = s->db_local;
	b->db = s->db;
	b->program = istr_ref(s->program);
	b->cluster_id = cluster_id(s);
	b->counted_user_id = s->counted_user ? s->counted_user_id : UINT32_MAX;
	s->before = b;
	return true;
}

static void
forget(struct sess *s)
{
	struct sess_before *b = s->before;

	s->before = NULL;
	istr_put(&s->w->in, b->db);
	istr_put(&s->w->in, b->program);
	mem_wipe(b, sizeof *b);
	free(b);
}

/* 0: what the server has for a client that names none, which may be any. */
static void
charset_set(struct sess *s, u8 collation)
{
	s->collation = collation;
	s->lex_charset = s->lex_login = collation == 0 ? LEX_UNSAFE_CHARSET : login_lex_mode(collation);
}

/* ... of a session that goes on: with connections of other pools. */
static void
charset_change(struct sess *s, u8 collation)
{
	charset_set(s, collation);
	s->user_gen = UINT64_MAX;
	(void)sess_user(s);
}

static void
as_new(struct sess *s, const struct hs_change_user *u, struct istr *db)
{
	sess_reset(s);
	sess_cmd_clear(s);
	str_copy_slice(s->user, sizeof s->user, u->user.p != NULL ? (const void *)u->user.p : "", u->user.len);
	s->user_gen = UINT64_MAX;
	mem_wipe(s->stage1, sizeof s->stage1);
	s->has_password = false;
	/* the same user keeps its place */
	const struct cfg_user *c = sess_user(s);
	s->counted_user = s->before->counted_user_id != UINT32_MAX && c != NULL && c->id == s->before->counted_user_id;
	s->db = NULL;
	s->db_local = false;
	istr_put(&s->w->in, s->login_db);
	s->login_db = db;
	login_program(s, u->attrs);
	charset_set(s, u->charset > 255 ? 0 : (u8)u->charset);
}

void
change_begin(struct sess *s, const u8 *body, size_t len)
{
	struct hs_change_user u;
	struct istr *db = NULL;

	if (s->failed_changes >= FAILED_MAX) {
		charset_change(s, 0);
		sess_reset(s);
		cmd_fail(s, ERR_UNKNOWN_COM, "Unknown command");
		return;
	}
	if (hs_change_user_parse(body, len, s->caps, &u) != 0 || u.user.len >= sizeof s->user || u.db.len > 192) {
		STAT_ADD(s->w->stat->bad_packets, 1);
		cmd_fail(s, ERR_UNKNOWN_COM, "Unknown command");
		return;
	}
	if (login_no_client_charset(u.charset) || u.charset > 1024) { /* the last: pools know those of a handshake alone */
		cmd_fail(s, ERR_CHARSET, "collation %u", u.charset);
		return;
	}
	if (u.db.len > 0)
		db = istr_get(&s->w->in, u.db.p, u.db.len);
	if ((u.db.len > 0 && db == NULL) || !remember(s)) {
		istr_put(&s->w->in, db);
		cmd_fail(s, ERR_NOMEM, "COM_CHANGE_USER");
		return;
	}
	s->refused_collation = u.charset > 255 ? 0 : (u8)u.charset;
	as_new(s, &u, db);
	s->next_seq = 1;
	auth_change(s);
}

void
change_done(struct sess *s)
{
	struct sess_before *b = s->before;

	s->refused_collation = 0;
	if (b->counted_user_id != UINT32_MAX && !(s->counted_user && s->counted_user_id == b->counted_user_id))
		login_uncount(s->w, b->counted_user_id);
	if (cluster_id(s) != b->cluster_id)
		s->wrote = s->gtid_known = false; /* positions of another cluster */
	forget(s);
}

void
change_undo(struct sess *s)
{
	struct sess_before *b = s->before;

	s->failed_changes++;
	if (s->counted_user && s->counted_user_id != b->counted_user_id)
		login_uncount(s->w, s->counted_user_id);
	s->counted_user = b->counted_user_id != UINT32_MAX;
	s->counted_user_id = b->counted_user_id;
	str_copy(s->user, sizeof s->user, b->user);
	s->user_gen = UINT64_MAX;
	memcpy(s->stage1, b->stage1, sizeof s->stage1);
	s->has_password = b->has_password;
	charset_set(s, 0);
	s->db_local = b->db_local;
	istr_put(&s->w->in, s->db);
	s->db = istr_ref(b->db);
	istr_put(&s->w->in, s->program);
	s->program = istr_ref(b->program);
	istr_put(&s->w->in, s->login_db);
	s->login_db = NULL;
	sess_reset(s);
	forget(s);
	(void)sess_user(s);
	sess_record(s);
	if (s->state != SESS_READY)
		sess_set_state(s, SESS_READY);
	if (s->conn.held_len > 0 || s->conn.paused)
		sess_resume(s);
}

void
change_left_collation(struct sess *s)
{
	if (s->refused_collation == 0)
		return;
	charset_change(s, s->refused_collation);
	s->refused_collation = 0;
}

void
change_forget(struct sess *s)
{
	struct sess_before *b = s->before;

	if (b == NULL)
		return;
	if (b->counted_user_id != UINT32_MAX && !(s->counted_user && s->counted_user_id == b->counted_user_id))
		login_uncount(s->w, b->counted_user_id);
	forget(s);
}
