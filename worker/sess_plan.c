/* worker/sess_plan.c: what a statement is: from the plans that are kept, else from its text. Runs in a worker, which alone owns
 * its plans.
 */
#include "base/str.h"
#include "worker/sess.h"

/* Longer texts are seldom sent twice, and their keys would not fit (PLANKEY_ROOM). */
#define PLAN_TEXT_MAX 8192u

/* Does a SET name variables in a way that the server's trackers do not report? `@@x = ...` without SESSION is not
 * reported at all, nor is the collation of SET NAMES ... COLLATE (both measured on 10.11). *many_r: more than one
 * assignment, of which an error may leave some done. */
static bool
set_untracked(const char *t, size_t len, bool *many_r)
{
	bool untracked = false, target = false;
	int depth = 0;

	*many_r = false;
	for (size_t i = 0; i < len; i++) {
		char c = t[i];

		if (c == '\'' || c == '"' || c == '`') {
			for (i++; i < len && t[i] != c; i++)
				if (t[i] == '\\' && c != '`')
					i++;
		} else if (c == '(') {
			depth++;
		} else if (c == ')') {
			depth--;
		} else if (c == ',' && depth == 0) {
			*many_r = true;
			target = true;
			continue;
		} else if (c == '=') {
			target = false;
			continue;
		} else if (c == '@' && i + 1 < len && t[i + 1] == '@') {
			bool scoped = false;

			i++;
			for (size_t k = 0; k < 3; k++) {
				static const char *const scope[] = {"session.", "global.", "local."};
				size_t n = strlen(scope[k]);

				scoped |= len - i - 1 >= n && slice_ieq(t + i + 1, n, scope[k]);
			}
			/* a target stands after SET or a comma; a value may name what it likes */
			untracked |= !scoped && (target || i < 8);
		} else if ((c == '/' && i + 1 < len && t[i + 1] == '*') || c == '#') {
			untracked = true; /* comments: look no closer */
		} else if ((c == 'c' || c == 'C') && len - i >= 7 && slice_ieq(t + i, 7, "collate") &&
		    (i == 0 || t[i - 1] == ' ' || t[i - 1] == '\t' || t[i - 1] == '\n')) {
			untracked = true;
		}
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			target = false;
	}
	return untracked;
}

bool
text_has_word(const u8 *p, size_t len, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (slice_ieq(p + i, n, word))
			return true;
	return false;
}

/* What the verdict has to say to this session beyond its text. */
static void
add_session(struct sess *s, const u8 *text, size_t len)
{
	struct cmd *c = &s->cmd;

	if (c->st.kind == STMT_SET && set_untracked((const char *)text, len, &c->set_many)) {
		c->st.pins |= 1u << PIN_SYSVAR;
		c->sets_wait = text_has_word(text, len, "wait_timeout");
	}
	/* it goes on with the values that it had before it changed the global ones */
	if (c->st.flags & STMT_F_TRACKER || (c->st.kind == STMT_SET && c->st.flags & STMT_F_DEFAULTS))
		c->st.pins |= 1u << PIN_SYSVAR;
}

/* Parses the text. k: its key, under which the verdict is kept if that may be; NULL: it is not. */
static void
understand(struct sess *s, const u8 *text, size_t len, u32 mode, const struct plankey *k)
{
	struct worker *w = s->w;
	struct cmd *c = &s->cmd;
	struct stmt_facts f;

	stmt_understand(&w->arena, text, len, mode, &c->st, &f);
	STAT_ADD(w->stat->parsed, 1);
	/* hints of MyCat's that a server would run as code: read, then made comments that it skips. More than a few are
	 * nobody's hints, and the server says so */
	for (int i = 0; unlikely(c->st.mask_off != 0) && i < 4; i++) {
		union {
			const u8 *c;
			u8 *v;
		} u = {text}; /* the read buffer is ours to write to */

		u.v[c->st.mask_off] = ' ';
		arena_reset(&w->arena);
		stmt_understand(&w->arena, text, len, mode, &c->st, &f);
	}
	if (k != NULL)
		(void)plan_add(&w->plans, k, text, &c->st, &f);
	arena_reset(&w->arena);
	STAT_SET(w->stat->plans, w->plans.n);
}

/* From the plans that are kept, or parsed and kept. One pass over the text makes its key, and its digest if that is wanted. */
static void
look_up(struct sess *s, const u8 *text, size_t len, u32 mode, struct digest *shape)
{
	struct worker *w = s->w;
	const struct plan *p;

	shape_make(text, len, mode, shape, &w->key);
	p = plan_find(&w->plans, &w->key);
	if (likely(p != NULL)) {
		s->cmd.st = p->st;
		STAT_ADD(w->stat->plan_hits, 1);
	} else {
		understand(s, text, len, mode, w->key.usable ? &w->key : NULL);
	}
}

static bool
may_have_plan(const struct sess *s, size_t len)
{
	return len <= PLAN_TEXT_MAX && s->w->plans.way != NULL;
}

void
plan_classify(struct sess *s, const u8 *text, size_t len, u32 extra)
{
	if (len + 1 >= PKT_MAX_BODY) {
		/* headers of further packets stand within the text: only what is before them can be read */
		len = PKT_MAX_BODY - 1;
		extra |= LEX_TRUNCATED;
	}
	if (extra == 0 && may_have_plan(s, len))
		look_up(s, text, len, sess_lex_mode(s), NULL);
	else
		understand(s, text, len, sess_lex_mode(s) | extra, NULL);
	if (extra & LEX_TRUNCATED)
		s->cmd.st.pins |= 1u << PIN_LONG;
	add_session(s, text, len);
}

/* The text of a COM_QUERY. */
void
plan_query(struct sess *s, const u8 *text, size_t len)
{
	struct worker *w = s->w;
	bool digests = w->cfg.r->margay.digests;
	u32 mode = sess_lex_mode(s);

	if (unlikely(!may_have_plan(s, len))) {
		plan_classify(s, text, len, 0);
		if (digests)
			digest_text(s, text, MIN(len, (size_t)PKT_MAX_BODY - 1), mode);
		return;
	}
	look_up(s, text, len, mode, digests ? &w->shape : NULL);
	add_session(s, text, len);
	if (digests)
		digest_found(s, &w->shape);
}

void
plan_renew(struct worker *w)
{
	u32 max = (u32)w->cfg.r->margay.max_plans;

	if (max != w->max_plans || w->plans.way == NULL) {
		plan_cache_fini(&w->plans);
		if (!plan_cache_init(&w->plans, max))
			log_err("out of memory: plans are not kept");
		w->max_plans = max;
	}
	plan_cache_stamp(&w->plans, w->gen);
	STAT_SET(w->stat->plans, w->plans.n);
}
