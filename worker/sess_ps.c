/* worker/sess_ps.c: the client's prepared statements. The client has ids of its own; where a statement runs, it is
 * prepared when it is first needed there, and known by that connection's id. Runs in a worker.
 */
#include "worker/sess.h"

struct ps *
ps_get(struct sess *s, u32 id)
{
	if (id == 0 || id > s->ps_cap || s->ps[id - 1].text == NULL)
		return NULL;
	return &s->ps[id - 1];
}

u32
ps_new(struct sess *s, struct istr *text, u16 nparams)
{
	u32 i;

	for (i = 0; i < s->ps_cap && s->ps[i].text != NULL; i++)
		continue;
	if (i == s->ps_cap) {
		u32 cap = MAX(4, s->ps_cap * 2);
		struct ps *p = realloc(s->ps, cap * sizeof *p);

		if (p == NULL)
			return 0;
		memset(p + s->ps_cap, 0, (cap - s->ps_cap) * sizeof *p);
		s->ps = p;
		s->ps_cap = cap;
	}
	s->ps[i] = (struct ps){.text = istr_ref(text),
	    .db = istr_ref(s->db),
	    .set = settings_ref(s->set),
	    .nparams = nparams};
	text->ps_users++;
	s->ps_n++;
	s->ps_last = i + 1;
	return i + 1;
}

/* What the statement has on the kept connection. Another one may have some too, so the pins are counted. */
void
ps_mark(struct sess *s, struct ps *p, bool cursor, bool long_data)
{
	s->ncursors += (u32)cursor - (u32)p->cursor;
	s->nlong_data += (u32)long_data - (u32)p->long_data;
	p->cursor = cursor;
	p->long_data = long_data;
	s->pins &= ~(1ull << PIN_CURSOR | 1ull << PIN_LONG_DATA);
	s->pins |= (u64)(s->ncursors > 0) << PIN_CURSOR | (u64)(s->nlong_data > 0) << PIN_LONG_DATA;
}

/* Cursor and long data go with the connection's own copy of the statement. */
void
ps_forget_data(struct sess *s, struct ps *p)
{
	if ((p->cursor || p->long_data) && s->b != NULL) {
		struct bps *b = bps_find(s->b, p->text, p->db, p->set);

		if (b != NULL)
			bps_drop(s->b, b);
	}
	p->data_lost = false;
	ps_mark(s, p, false, false);
}

#define CLOSE_LOOK 16 /* idle connections of a pool, last used first: who prepares and closes again and again uses one or two */

/* No session of this worker has the statement any more: connections close it too. It holds memory there, a place in
 * max_prepared_stmt_count and the plug-ins that it uses. What is not found here goes by [server] max_prepared. */
static void
close_at_servers(struct sess *s, const struct ps *p)
{
	struct bps *at;

	if (s->b != NULL && s->b->exp_n == 0 && (at = bps_find(s->b, p->text, p->db, p->set)) != NULL)
		bps_drop(s->b, at);
	for (int i = 0; i < 2; i++) {
		int looked = 0;

		if (s->pool_cache[i] == NULL)
			continue;
		list_for_each(k, &s->pool_cache[i]->idle) {
			struct bconn *b = LIST_ENTRY(k, struct bconn, idle_node);

			if ((at = bps_find(b, p->text, p->db, p->set)) != NULL)
				bps_drop(b, at);
			if (++looked == CLOSE_LOOK)
				break;
		}
	}
}

void
ps_drop(struct sess *s, u32 id)
{
	struct ps *p = ps_get(s, id);

	if (p == NULL)
		return;
	if (s->ps_last == id)
		s->ps_last = 0;
	ps_forget_data(s, p);
	if (--p->text->ps_users == 0)
		close_at_servers(s, p);
	istr_put(&s->w->in, p->text);
	istr_put(&s->w->in, p->db);
	settings_put(&s->w->in, p->set);
	free(p->types);
	memset(p, 0, sizeof *p);
	s->ps_n--;
}

void
ps_drop_all(struct sess *s)
{
	for (u32 i = 0; i < s->ps_cap; i++)
		ps_drop(s, i + 1);
	free(s->ps);
	s->ps = NULL;
	s->ps_cap = 0;
}


/* Are the types of the parameters in the command, or those sent before to be used? It was checked. */
static bool
has_types(const struct cmd *c)
{
	const u8 *body = c->p + PKT_HDR;

	return c->com == COM_STMT_BULK_EXECUTE ? (rd16(body + 5) & PS_BULK_TYPES) != 0 :
						 body[EXECUTE_HEAD + (c->ps->nparams + 7u) / 8] != 0;
}

int
ps_execute_check(struct sess *s, struct ps *ps, const u8 *body, size_t len)
{
	struct ps_execute x = {.new_params = 0};
	size_t n = 2u * ps->nparams;

	if (s->cmd.com == COM_STMT_BULK_EXECUTE) {
		x.new_params = (rd16(body + 5) & PS_BULK_TYPES) != 0;
		x.types = body + BULK_HEAD;
		if (x.new_params && len < BULK_HEAD + n)
			return ERR_MALFORMED;
	} else if (ps->nparams > 0 && len < EXECUTE_HEAD + (ps->nparams + 7u) / 8 + 1) {
		return ERR_ARGUMENTS;
	} else if (ps_execute_parse(body, len, ps->nparams, &x) != 0) {
		return ERR_MALFORMED;
	}
	if (ps->nparams == 0)
		return 0;
	if (x.new_params == 0 && rd32(body + 1) == PS_ID_LAST)
		return ERR_MALFORMED; /* says 10.11 */
	if (x.new_params == 0)
		return ps->types != NULL || ps->long_data ? 0 : ERR_ARGUMENTS;
	if (ps->types == NULL)
		ps->types = malloc(n);
	if (ps->types == NULL)
		return ERR_NOMEM;
	memcpy(ps->types, x.types, n);
	return 0;
}

/* Statements are prepared again under the settings that they were prepared with, and then run under the session's.
 * Where no SET leads from the one to the other, or on a kept connection back, the statement takes on the session's
 * settings, if its text means the same under them; if not: false. */
bool
ps_settle(struct sess *s, struct ps *ps)
{
	if (unlikely(ps->here_only))
		return s->b != NULL && bps_find(s->b, ps->text, ps->db, ps->set) != NULL;
	if (ps->set == s->set || (s->b != NULL && bps_find(s->b, ps->text, ps->db, ps->set) != NULL))
		return true;
	if (settings_reach(ps->set, s->set) && (s->b == NULL || settings_reach(s->set, ps->set)))
		return true;
	if (!settings_parse_alike(ps->set, s->set))
		return false;
	settings_put(&s->w->in, ps->set);
	ps->set = settings_ref(s->set);
	return true;
}

/* Packets of one command being written: a header goes in wherever the one before is full. */
struct split {
	u8 *p;
	size_t len, at; /* at: of the header of the packet under way */
	u8 seq;
};

static void
split_header(struct split *o)
{
	o->at = o->len;
	o->len += PKT_HDR;
}

static void
split_put(struct split *o, const u8 *p, size_t n)
{
	while (n > 0) {
		size_t fill = o->len - o->at - PKT_HDR, m = MIN(n, PKT_MAX_BODY - fill);

		memcpy(o->p + o->len, p, m);
		o->len += m;
		p += m;
		n -= m;
		if (fill + m == PKT_MAX_BODY) {
			wr24(o->p + o->at, PKT_MAX_BODY);
			o->p[o->at + 3] = o->seq++;
			split_header(o); /* an empty one if nothing follows */
		}
	}
}

static bool
send_split(struct sess *s, struct bconn *b, struct split *o, const u8 *h, size_t head, const struct ps *ps)
{
	const u8 *p = s->cmd.p, *end = p + s->cmd.len;
	u8 exp = EXP_CLIENT;

	split_header(o);
	for (bool first = true; p < end; first = false) {
		u32 len = rd24(p);

		p += PKT_HDR;
		if (first) {
			split_put(o, h, head);
			split_put(o, ps->types, 2u * ps->nparams);
		}
		split_put(o, p + (first ? head : 0), len - (first ? head : 0));
		p += len;
	}
	wr24(o->p + o->at, (u32)(o->len - o->at - PKT_HDR));
	o->p[o->at + 3] = o->seq;
	s->cmd.server_seq = o->seq;
	struct iovec iov = {o->p, o->len};
	return bconn_send(b, &iov, 1, &exp, 1);
}

/* Writes COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE anew with types, which the client left out since it has sent them before, but not on
 * this connection. */
static bool
send_with_types(struct sess *s, struct bconn *b, const struct bps *bp, struct ps *ps)
{
	bool bulk = s->cmd.com == COM_STMT_BULK_EXECUTE;
	size_t head = bulk ? BULK_HEAD : EXECUTE_HEAD + (ps->nparams + 7u) / 8 + 1; /* up to new_params and with it */
	size_t room = s->cmd.len + 2u * ps->nparams;
	u8 h[EXECUTE_HEAD + 65536 / 8 + 1];

	if (rd24(s->cmd.p) < head)
		return false;
	struct split o = {.p = malloc(room + (room / PKT_MAX_BODY + 2) * PKT_HDR)};
	if (o.p == NULL)
		return false;
	memcpy(h, s->cmd.p + PKT_HDR, head);
	wr32(h + 1, bp->id);
	if (bulk)
		wr16(h + 5, rd16(h + 5) | PS_BULK_TYPES);
	else
		h[head - 1] = 1;
	bool ok = send_split(s, b, &o, h, head, ps);
	free(o.p);
	return ok;
}

bool
ps_execute_send(struct sess *s, struct bconn *b)
{
	struct ps *ps = s->cmd.ps;
	struct bps *bp = bps_find(b, ps->text, ps->db, ps->set);
	u8 exp = EXP_CLIENT, head[PKT_HDR + 5];
	bool reply = s->cmd.com != COM_STMT_SEND_LONG_DATA;
	union {
		const u8 *c;
		u8 *v;
	} u = {s->cmd.p};

	s->cmd.server_seq = s->cmd.last_seq;
	if (bp == NULL || s->cmd.len < sizeof head)
		return false;
	if (cmd_runs(&s->cmd) && ps->nparams > 0) {
		if (has_types(&s->cmd))
			bps_types_set(bp, ps->types);
		else if (bp->types == NULL || memcmp(bp->types, ps->types, 2u * ps->nparams) != 0) {
			bps_types_set(bp, ps->types);
			return send_with_types(s, b, bp, ps);
		}
	}
	memcpy(head, s->cmd.p, sizeof head);
	wr32(head + PKT_HDR + 1, bp->id);
	struct iovec iov[2] = {{head, sizeof head}, {u.v + sizeof head, s->cmd.len - sizeof head}};
	return bconn_send(b, iov, iov[1].iov_len > 0 ? 2 : 1, &exp, reply ? 1 : 0);
}
