/* worker/sess_plan.c: what a statement is: from the plans that are kept, else from its text. Runs in a worker, which alone owns
 * its plans.
 */
#include "base/str.h"
#include "worker/catalog.h"
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

/* ---- functions that are not built in ---- */

static bool
bare(const char **p, u32 *len)
{
	if (*len >= 2 && (**p == '`' || **p == '"')) {
		(*p)++;
		*len -= 2;
	}
	return *len > 0 && memchr(*p, '`', *len) == NULL && memchr(*p, '"', *len) == NULL;
}

/* With sql_mode ORACLE p.f() may be a function of a package. */
static bool
mode_is_oracle(const struct settings *set)
{
	for (u32 i = 0; i < set->n; i++)
		if (slice_ieq(set->v[i].name->text, set->v[i].name->len, "sql_mode"))
			return text_has_word((const u8 *)set->v[i].value->text, set->v[i].value->len, "oracle");
	return false;
}

/* Is the function known to read at most, and to leave nothing behind? */
static bool
harmless(struct sess *s, const struct istr *db, const char *schema, u32 schema_len, const char *name, u32 len)
{
	const struct cfg_user *u = sess_user(s);

	if (schema_len == 0 && db != NULL) {
		schema = db->text;
		schema_len = db->len;
	} else if (schema_len == 0 || mode_is_oracle(s->set) || !bare(&schema, &schema_len)) {
		return false;
	}
	if (u == NULL || !bare(&name, &len))
		return false;
	const struct cat_routine *r =
	    wcat_routine(s->w, cfg_clusters(&s->w->cfg)[u->cluster_idx].id, schema, schema_len, name, len);

	return r != NULL && r->verdict == ROUTINE_HARMLESS;
}

static bool
all_harmless(struct sess *s, const struct istr *db, const u8 *text, const struct stmt_facts *f)
{
	for (u32 i = 0; i < f->ncalls; i++) {
		const struct stmt_name *n = &f->calls[i];

		if (!harmless(s, db, (const char *)text + n->schema_off, n->schema_len, (const char *)text + n->off, n->len))
			return false;
	}
	return true;
}

static bool
plan_harmless(struct sess *s, const struct istr *db, const struct plan *p)
{
	for (u32 i = 0; i < p->ncalls; i++)
		if (!harmless(s, db, p->calls[i].schema, p->calls[i].schema_len, p->calls[i].name, p->calls[i].len))
			return false;
	return true;
}

/* ---- verdicts ---- */

/* Parses the text. db: where names of functions are looked up. k: its key, under which the verdict is kept if that may be; NULL: it is not. */
static void
understand(struct sess *s, const struct istr *db, const u8 *text, size_t len, u32 mode, const struct plankey *k)
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
	c->calls = (f.flags & STMT_K_PIN_BY_CALLS) != 0;
	if (unlikely(c->calls) && all_harmless(s, db, text, &f))
		stmt_calls_are_harmless(&c->st, f.flags);
	arena_reset(&w->arena);
	STAT_SET(w->stat->plans, w->plans.n);
}

/* From the plans that are kept, or parsed and kept. One pass over the text makes its key, and its digest if that is wanted. */
static void
look_up(struct sess *s, const struct istr *db, const u8 *text, size_t len, u32 mode, struct digest *shape)
{
	struct worker *w = s->w;
	const struct plan *p;

	shape_make(text, len, mode, shape, &w->key);
	p = plan_find(&w->plans, &w->key);
	if (likely(p != NULL)) {
		s->cmd.st = p->st;
		s->cmd.calls = (p->facts & STMT_K_PIN_BY_CALLS) != 0;
		if (unlikely(s->cmd.calls) && plan_harmless(s, db, p))
			stmt_calls_are_harmless(&s->cmd.st, p->facts);
		STAT_ADD(w->stat->plan_hits, 1);
	} else {
		understand(s, db, text, len, mode, w->key.usable ? &w->key : NULL);
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
		look_up(s, s->db, text, len, sess_lex_mode(s), NULL);
	else
		understand(s, s->db, text, len, sess_lex_mode(s) | extra, NULL);
	if (extra & LEX_TRUNCATED)
		s->cmd.st.pins |= 1u << PIN_LONG;
	add_session(s, text, len);
}

/* The text of a COM_QUERY, with its digest; that of several statements is made when it is known whether it is cut
 * (cmd_query_begins). */
void
plan_query(struct sess *s, const u8 *text, size_t len)
{
	struct worker *w = s->w;
	bool digests = w->cfg.r->margay.digests;
	u32 mode = sess_lex_mode(s);

	if (unlikely(!may_have_plan(s, len))) {
		plan_classify(s, text, len, 0);
		if (digests && !(s->cmd.st.flags & STMT_F_MULTI))
			digest_text(s, text, MIN(len, (size_t)PKT_MAX_BODY - 1), mode);
		return;
	}
	look_up(s, s->db, text, len, mode, digests ? &w->shape : NULL);
	add_session(s, text, len);
	if (digests && likely(!(s->cmd.st.flags & STMT_F_MULTI)))
		digest_found(s, &w->shape);
}

/* A prepared statement that calls functions is about to be run: what they are is known now, and was not, or another, when it was
 * prepared. */
void
plan_execute(struct sess *s, const struct ps *ps)
{
	const struct istr *t = ps->text;
	u32 mode = sess_lex_mode(s);

	if (t->lex_mode != mode || ps->here_only) { /* the verdict on its text may be of another mode */
		s->cmd.st.flags = (s->cmd.st.flags & ~STMT_F_READ) | STMT_F_INSERT_ID;
		s->cmd.st.pins |= 1ull << PIN_ROUTINE;
		s->cmd.st.why = ROUTE_FUNCTION;
		return;
	}
	if (may_have_plan(s, t->len))
		look_up(s, ps->db, (const u8 *)t->text, t->len, mode, NULL);
	else
		understand(s, ps->db, (const u8 *)t->text, t->len, mode, NULL);
	add_session(s, (const u8 *)t->text, t->len);
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
	plan_stamp(w);
	STAT_SET(w->stat->plans, w->plans.n);
}

/* Generations and versions only grow, and not by billions. */
void
plan_stamp(struct worker *w)
{
	plan_cache_stamp(&w->plans, w->gen << 32 ^ w->cat.version);
}
