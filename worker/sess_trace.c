/* worker/sess_trace.c: the routing trace: SET margay_trace = 1 makes the reply to each statement carry one more warning,
 * which says where it went, why, and how long each stage took. Switched off it is one NULL pointer. Runs in a worker.
 */
#include "base/str.h"
#include "worker/sess.h"

#define TRACE_CODE  "1105" /* ER_UNKNOWN_ERROR: no server gives a note with it */
#define TRACE_TEXT  512

struct trace {
	u64 at[TRACE_STAGES]; /* when the stage began, 0: it did not */
	char text[TRACE_TEXT]; /* of the last statement that was none about diagnostics */
};

void
trace_stage(struct sess *s, enum trace_stage st)
{
	struct trace *t = s->trace;

	if (st == TRACE_PARSE)
		memset(t->at, 0, sizeof t->at);
	if (st != TRACE_REPLY || t->at[st] == 0)
		t->at[st] = clock_ns();
}

void
trace_off(struct sess *s)
{
	free(s->trace);
	s->trace = NULL;
}

static bool
asks_for_diagnostics(const struct sess *s)
{
	return (s->cmd.st.flags & STMT_F_DIAG) != 0;
}

/* Does the reply carry the trace's warning? */
bool
trace_counts(const struct sess *s)
{
	return cmd_runs(&s->cmd) && !asks_for_diagnostics(s) && !s->cmd.login;
}

static void
put_pins(struct wr *w, u64 pins)
{
	if (pins == 0)
		wr_str(w, "-");
	for (u32 i = 0, n = 0; i < 64 && pins >> i != 0; i++)
		if (pins >> i & 1) {
			wr_str(w, n++ > 0 ? "," : "");
			wr_str(w, pin_words[i]);
		}
}

static void
put_stages(struct wr *w, const struct trace *t, u64 end)
{
	static const char *const words[TRACE_STAGES] = {"parse", "route", "wait", "ahead", "run", "reply"};
	char text[48];
	u64 first = 0;

	wr_str(w, " us:");
	for (int i = 0; i < TRACE_STAGES; i++) {
		u64 next = end;

		if (t->at[i] == 0)
			continue;
		first = first == 0 ? t->at[i] : first;
		for (int k = TRACE_STAGES - 1; k > i; k--)
			next = t->at[k] != 0 ? t->at[k] : next;
		snprintf(text, sizeof text, " %s=%llu", words[i],
		    (unsigned long long)(next > t->at[i] ? (next - t->at[i]) / 1000 : 0));
		wr_str(w, text);
	}
	snprintf(text, sizeof text, " total=%llu", (unsigned long long)((end - (first != 0 ? first : end)) / 1000));
	wr_str(w, text);
}

/* The statement under way has ended. */
void
trace_end(struct sess *s)
{
	struct trace *t = s->trace;
	const struct cmd *c = &s->cmd;
	union {
		char *c;
		u8 *v;
	} u = {t->text};
	struct wr w = wr_init(u.v, sizeof t->text - 1);
	char text[96];

	if (asks_for_diagnostics(s) || c->com == COM_STMT_CLOSE)
		return;
	bool sent = s->b != NULL && t->at[TRACE_SERVER] != 0;
	wr_str(&w, "margay: server=");
	wr_str(&w, sent ? s->b->srv->name : "-");
	wr_str(&w, !sent ? "" : c->to_primary ? " role=primary" : " role=replica");
	snprintf(text, sizeof text, " reason=%s retries=%u%s pin=",
	    route_words[!sent && c->err_code == 0 && c->why == ROUTE_NONE ? ROUTE_LOCAL : c->why], c->retries,
	    c->hint_ignored ? " hint=ignored" : "");
	wr_str(&w, text);
	put_pins(&w, s->pins);
	put_stages(&w, t, clock_ns());
	t->text[w.bad ? 0 : w.len] = '\0';
}

/* ---- SHOW WARNINGS ---- */

static void
skip_blanks(struct slice *t)
{
	while (t->len > 0 && (*t->p == ' ' || (*t->p >= '\t' && *t->p <= '\r'))) {
		t->p++;
		t->len--;
	}
}

/* Steps over the word, in any case of letters, and the blanks behind it. */
static bool
skip_word(struct slice *t, const char *word)
{
	size_t n = strlen(word);

	if (t->len < n || !slice_ieq(t->p, n, word))
		return false;
	t->p += n;
	t->len -= n;
	skip_blanks(t);
	return true;
}

static struct slice
text_of(const struct sess *s)
{
	struct slice t = {s->cmd.p + PKT_HDR + 1, s->cmd.len - PKT_HDR - 1};

	skip_blanks(&t);
	return t;
}

static bool
at_end(struct slice *t)
{
	(void)skip_word(t, ";");
	return t->len == 0;
}

static bool
is_show_warnings(const struct sess *s)
{
	struct slice t = text_of(s);

	return s->cmd.com == COM_QUERY && s->cmd.st.kind == STMT_SHOW && skip_word(&t, "show") &&
	    skip_word(&t, "warnings") && at_end(&t);
}

/* A row of SHOW WARNINGS with what is known of the statement before; put in front of the end of the server's. */
void
trace_row(struct sess *s, struct wr *w, u8 seq)
{
	size_t at = wr_pkt_begin(w);

	wr_lenenc_str(w, "Note", 4);
	wr_lenenc_str(w, TRACE_CODE, sizeof TRACE_CODE - 1);
	wr_lenenc_str(w, s->trace->text, strlen(s->trace->text));
	wr_pkt_end(w, at, seq);
}

static void
finish(struct sess *s, const struct wr *w)
{
	bool ok = !w->bad && sess_send(s, w->p, w->len);

	STAT_ADD(s->w->stat->local_answers, 1);
	sess_cmd_clear(s);
	if (!ok)
		sess_close(s, "write to client failed");
}

/* SHOW WARNINGS of a traced session. True: answered here, as no server has anything to add; else the row follows the
 * server's own. */
bool
trace_show(struct sess *s)
{
	u8 buf[2048];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;

	if (!is_show_warnings(s) || s->trace->text[0] == '\0')
		return false;
	s->cmd.trace_row = true;
	if (s->diag_open || s->diag_lost)
		return false;
	rset_begin(&rs, &w, 1, s->caps, s->mcaps, s->status, 3);
	rset_column_str(&rs, "Level", 7);
	rset_column_int(&rs, "Code");
	rset_column_str(&rs, "Message", 512);
	rset_columns_end(&rs);
	trace_row(s, &w, rs.seq++);
	rset_end(&rs, 0);
	finish(s, &w);
	return true;
}

/* ---- the variable ---- */

static bool
skip_name(struct slice *t)
{
	bool at = skip_word(t, "@@");

	if (at && skip_word(t, "session."))
		;
	else if (at)
		(void)skip_word(t, "local.");
	else if (!skip_word(t, "session"))
		(void)skip_word(t, "local");
	return skip_word(t, "margay_trace");
}

static bool
set_trace(struct sess *s, struct slice *t)
{
	static const char *const on[] = {"1", "on", "true"}, *const off[] = {"0", "off", "false", "default"};
	int want = -1;
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_ok ok = {.status = s->status};

	if (!skip_name(t))
		return false;
	(void)skip_word(t, ":");
	if (!skip_word(t, "="))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(off) && want < 0; i++)
		if (i < ARRAY_LEN(on) && skip_word(t, on[i]))
			want = 1;
		else if (skip_word(t, off[i]))
			want = 0;
	if (want < 0 || !at_end(t))
		return false;
	if (want == 1 && s->trace == NULL)
		s->trace = calloc(1, sizeof *s->trace);
	if (want == 0)
		trace_off(s);
	pkt_ok_write(&w, 1, 0x00, s->caps, &ok);
	finish(s, &w);
	return true;
}

static bool
select_trace(struct sess *s, struct slice *t)
{
	u8 buf[512];
	char name[32];
	struct wr w = wr_init(buf, sizeof buf);
	struct rset rs;
	const u8 *from = t->p;
	struct slice row = {(const u8 *)(s->trace != NULL ? "1" : "0"), 1};

	if (!skip_name(t))
		return false;
	str_copy_slice(name, sizeof name, from, MIN((size_t)(t->p - from), sizeof name - 1));
	if (!at_end(t))
		return false;
	rset_begin(&rs, &w, 1, s->caps, s->mcaps, s->status, 1);
	rset_column_int(&rs, name);
	rset_columns_end(&rs);
	rset_row(&rs, &row, 1);
	rset_end(&rs, 0);
	finish(s, &w);
	return true;
}

/* A statement that names a variable margay_*. True: it was about the trace, and is answered. All else is the server's
 * to refuse. */
bool
trace_variable(struct sess *s)
{
	struct slice t = text_of(s);

	if (s->cmd.st.kind == STMT_SET && skip_word(&t, "set"))
		return set_trace(s, &t);
	if (s->cmd.st.kind == STMT_SELECT && skip_word(&t, "select"))
		return select_trace(s, &t);
	return false;
}
