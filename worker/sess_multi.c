/* worker/sess_multi.c: a text of several statements (COM_QUERY) whose statements go where each belongs, one after the other;
 * the client gets their replies as one server would send them. Owns sess.multi. Runs in a worker.
 *
 * Each part is a statement like any other: what is special is how it begins (here, not in the client's bytes), that its
 * packets are numbered on, and that its end, if it was no error, is the beginning of the next. Reads in a row are sent
 * together, to one server: each still begins and ends as a statement of its own, and one that fails there runs again alone.
 * Which texts are cut, and why others go as they are to the primary, says doc/routing.md.
 */
#include "parser/split.h"
#include "worker/sess.h"

#define MULTI_MOST (1u << 20)  /* bytes of a text: longer ones are kept nowhere */
#define MULTI_PARTS 256
#define HEAD (PKT_HDR + 1) /* in front of the text in a COM_QUERY */

struct part {
	u32 off, len;
	struct stmt st;
};

struct multi {
	u32 n, at;   /* statements; the one under way */
	u32 from, upto; /* those that were sent with it: [from, upto) */
	bool rest;   /* it and all behind it are under way, as one text */
	bool wrote;  /* one of the parts run so far is a write */
	bool killed; /* the one that has just ended was to be killed */
	u8 seq;      /* of the last packet that the client was sent */
	u32 mode;    /* the lexer's, by which it was cut */
	u32 len;
	u8 *text;    /* HEAD bytes, and the text: a packet is made in front of each part, over what has been run */
	struct part part[];
};

/* ---- which texts ---- */

/* What a part may be, and its text then: reads and writes that leave nothing but rows, and ask for nothing that the part before
 * has left. */
#define PLAIN (STMT_F_READ | STMT_F_DML | STMT_F_TABLES | STMT_F_OFFSET)

static bool
is_plain(const struct stmt *st)
{
	if (st->pins != 0 || (st->flags & ~PLAIN) != 0)
		return false;
	return (st->flags & STMT_F_READ) != 0 || st->kind == STMT_INSERT || st->kind == STMT_UPDATE || st->kind == STMT_DELETE ||
	    st->kind == STMT_REPLACE;
}

/* Are there servers that a read of the session may go to, apart from the primary? */
static bool
reads_elsewhere(struct sess *s)
{
	const struct cfg_user *u = sess_user(s);

	if (u == NULL || !s->read_split || s->db_local)
		return false;
	const struct cfg_cluster *c = &cfg_clusters(&s->w->cfg)[s->cluster_idx];

	return c->nservers > 1 && c->read_policy != CFG_READ_PRIMARY;
}

/* Is it so that a statement by itself may go anywhere, and are all of them plain, for what is known of them together? */
static bool
may_cut(struct sess *s, size_t len)
{
	const struct stmt *st = &s->cmd.st;
	bool free = (s->pins & ~(1ull << PIN_DIAGNOSTICS)) == 0 && !s->in_trx && !s->trx_unsure && s->replay == NULL &&
	    (s->status & ST_AUTOCOMMIT) != 0;

	/* a read that only follows a write stays with it */
	return free && st->kind == STMT_SELECT && st->pins == 0 && (st->flags & ~(PLAIN | STMT_F_MULTI)) == 0 && len <= MULTI_MOST &&
	    (s->caps & CAP_MULTI_STATEMENTS) != 0 && reads_elsewhere(s);
}

/* By its own text alone, in the memory that the worker has for trees. */
static void
classify_part(struct sess *s, const u8 *text, size_t len, u32 mode, struct stmt *st_r)
{
	stmt_understand(&s->w->arena, text, len, mode, st_r, NULL);
	arena_reset(&s->w->arena);
}

static struct multi *
multi_new(struct sess *s, const u8 *text, size_t len, const struct split_part *part, u32 n)
{
	struct multi *m = malloc(sizeof *m + n * sizeof m->part[0] + HEAD + len);

	if (m == NULL)
		return NULL;
	*m = (struct multi){.n = n, .mode = sess_lex_mode(s), .len = (u32)len, .text = (u8 *)&m->part[n]};
	memcpy(m->text + HEAD, text, len);
	for (u32 i = 0; i < n; i++) {
		struct part *p = &m->part[i];

		p->off = part[i].off;
		p->len = part[i].len;
		classify_part(s, text + p->off, p->len, m->mode, &p->st);
		if (!is_plain(&p->st) || (i == 0 && (p->st.flags & STMT_F_READ) == 0)) {
			free(m);
			return NULL;
		}
	}
	return m;
}

/* ---- one part after the other ---- */

/* Makes a packet of what is to be sent from the part that comes next on. */
static void
make_packet(struct sess *s)
{
	struct multi *m = s->multi;
	const struct part *p = &m->part[m->at], *last = &m->part[m->upto - 1];
	size_t len = (m->rest ? m->len : last->off + last->len) - p->off;
	u8 *pkt = m->text + p->off;

	wr24(pkt, (u32)len + 1);
	pkt[3] = 0;
	pkt[PKT_HDR] = COM_QUERY;
	s->cmd.p = pkt;
	s->cmd.len = HEAD + len;
	m->from = m->at;
}

static void
count_part(struct sess *s)
{
	struct shm_session *r = &s->w->srec[s->rec];

	STAT_ADD(s->w->stat->statements, 1);
	__atomic_store_n(&r->statements, r->statements + 1, __ATOMIC_RELAXED);
}

/* The part that comes next, with reads that follow it, or all that is left, is the statement under way. */
static void
begin(struct sess *s)
{
	struct multi *m = s->multi;
	const struct part *p = &m->part[m->at];

	m->upto = m->at + 1;
	/* the trace speaks of one statement */
	while (s->trace == NULL && m->upto < m->n && (p->st.flags & m->part[m->upto].st.flags & STMT_F_READ) != 0)
		m->upto++;
	trace_begin(s, TRACE_PARSE);
	memset(&s->cmd, 0, sizeof s->cmd);
	make_packet(s);
	s->cmd.com = COM_QUERY;
	s->cmd.part = true;
	s->cmd.last_seq = m->seq;
	s->cmd.started = ev_now(&s->w->loop);
	if (m->rest)
		classify_part(s, s->cmd.p + HEAD, s->cmd.len - HEAD, sess_lex_mode(s), &s->cmd.st);
	else
		s->cmd.st = p->st;
	/* no replica has had the time for it: to wait there costs the client more than the primary */
	s->cmd.no_wait = m->wrote;
	m->wrote |= (p->st.flags & STMT_F_READ) == 0;
	if (m->at > 0)
		count_part(s);
	cmd_query_begins(s, s->cmd.p + HEAD, m->rest ? s->cmd.len - HEAD : p->len);
}

/* Of the diagnostics and the FOUND_ROWS() that the text asks for, does each part ask for what another has left? */
static bool
asks_own(struct sess *s, const u8 *text, const struct split_part *part, u32 n)
{
	bool diag = false, found = false;

	for (u32 i = 0; i < n; i++) {
		struct stmt st;

		classify_part(s, text + part[i].off, part[i].len, sess_lex_mode(s), &st);
		if (((st.flags & STMT_F_DIAG) != 0 && !diag) || ((st.flags & STMT_F_FOUND_ROWS) != 0 && !found))
			return false;
		diag |= stmt_clears_diagnostics(&st);
		found |= st.kind == STMT_SELECT;
	}
	return n > 1;
}

/* The text of the statement under way is of several. True: it was cut, and its first part is under way. */
bool
multi_begin(struct sess *s, const u8 *text, size_t len)
{
	struct split_part part[MULTI_PARTS];
	u32 n;

	if ((s->cmd.st.flags & (STMT_F_DIAG | STMT_F_FOUND_ROWS)) != 0 && len <= MULTI_MOST) {
		n = split_text(text, len, sess_lex_mode(s), part, MULTI_PARTS);
		s->cmd.asks_own = asks_own(s, text, part, n);
		return false;
	}
	if (!may_cut(s, len))
		return false;
	n = split_text(text, len, sess_lex_mode(s), part, MULTI_PARTS);
	struct multi *m = n > 1 ? multi_new(s, text, len, part, n) : NULL;

	if (m == NULL)
		return false;
	s->multi = m;
	s->w->bytes_held += m->len;
	STAT_ADD(s->w->stat->texts_cut, 1);
	begin(s);
	cmd_dispatch(s);
	return true;
}

/* Do results follow that of the part under way? (Of the rest of a text the server says so itself.) */
bool
multi_more(const struct sess *s)
{
	const struct multi *m = s->multi;

	return m != NULL && !m->rest && m->at + 1 < m->n;
}

/* The OK packet at hand ends the result of such a part. */
void
multi_mark(struct reply *r, struct pkt_ok *ok)
{
	struct rd rd = rd_init(r->pkt + PKT_HDR, r->pkt_len - PKT_HDR);

	rd_u8(&rd);
	rd_lenenc(&rd);
	rd_lenenc(&rd);
	ok->status |= ST_MORE_RESULTS;
	r->pkt[rd.p - r->pkt] |= ST_MORE_RESULTS; /* of its low byte */
}

/* The result of the part under way has ended, and that of the next, which was sent with it, follows; `unsent` bytes of what
 * has come are still to be passed on. */
void
multi_next_result(struct sess *s, u8 seq, size_t unsent)
{
	struct multi *m = s->multi;
	struct cmd *c = &s->cmd;

	if (m->rest || m->at + 1 >= m->upto)
		return;
	c->bytes += unsent;
	cmd_part_ended(s);
	m->seq = seq;
	m->at++;
	const struct part *p = &m->part[m->at];

	c->st = p->st;
	c->started = ev_now(&s->w->loop);
	c->warnings = 0;
	c->affected = c->rows = 0;
	c->bytes = 0 - (u64)unsent; /* 0 when they are gone */
	c->digest = 0;
	count_part(s);
	cmd_query_begins(s, m->text + HEAD + p->off, p->len);
	if (!c->timed_out)
		sess_renew(s);
}

/* The part under way cannot go on where it was sent, and `unsent` bytes are still to be passed on. Those in front of it are done: if
 * nothing of its own result is among these bytes or has been passed on, it stands alone from here on, and may run again.
 * True: so it does. */
bool
multi_alone(struct sess *s, size_t unsent)
{
	struct multi *m = s->multi;
	struct cmd *c = &s->cmd;

	if (m->rest || m->at == m->from || c->bytes + unsent != 0)
		return false;
	if (c->buf != NULL) {
		s->w->bytes_held -= c->len;
		free(c->buf);
		c->buf = NULL;
	}
	m->upto = m->at + 1;
	make_packet(s);
	c->last_seq = m->seq;
	c->sent_any = false;
	c->exclude = 0;
	c->retries = 0;
	if (s->pins == 1u << PIN_DIAGNOSTICS && stmt_clears_diagnostics(&c->st)) { /* those of the part before end with it, wherever it runs */
		s->pins = 0;
		s->diag_open = false;
	}
	return true;
}

/* The part under way has ended, and its connection is still linked. True: multi_go_on is next; else the text is done with. */
bool
multi_next(struct sess *s, bool err)
{
	struct multi *m = s->multi;
	const struct reply *r = &s->b->reply;

	if (err || !multi_more(s)) {
		multi_drop(s);
		return false;
	}
	m->seq = (u8)(r->next_seq - 1 + r->seq_add);
	m->killed = s->cmd.kill_sent;
	m->at++;
	return true;
}

/* As with commands that a client sends ahead, at the end of the turn: the bytes of the reply are still in use. */
void
multi_go_on(struct sess *s)
{
	struct multi *m = s->multi;
	bool killed = m->killed;

	m->rest = m->mode != sess_lex_mode(s);
	begin(s);
	sess_set_state(s, SESS_WAIT);
	if (killed) { /* too late for that one, but the kill was meant for all of them */
		cmd_fail(s, ERR_INTERRUPTED, "KILL QUERY behind statement %u of a text", m->at);
		return;
	}
	s->parked = true;
	sess_resume(s);
}

/* The server does not understand the part under way, and has done nothing: with all that follows it says the same in other
 * words, since it shows where in the text. Should it have been cut wrongly, that is right too. True: so it is done. */
bool
multi_refused(struct sess *s, struct bconn *b, u16 code)
{
	struct multi *m = s->multi;

	if (!multi_more(s) || code != 1064 || s->cmd.sent_any || s->cmd.kill_sent)
		return false;
	bconn_expect_done(b);
	bconn_set_state(b, BCONN_LINKED);
	if (s->pins == 0) {
		b->diag_left = true;
		sess_release_backend(s);
	}
	s->cmd.digest = 0;
	slow_off(s);
	if (s->cmd.buf != NULL) {
		s->w->bytes_held -= s->cmd.len;
		free(s->cmd.buf);
	}
	m->rest = true;
	begin(s);
	sess_set_state(s, SESS_WAIT);
	cmd_dispatch(s);
	return true;
}

void
multi_drop(struct sess *s)
{
	s->w->bytes_held -= s->multi->len;
	free(s->multi);
	s->multi = NULL;
}
