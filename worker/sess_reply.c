/* worker/sess_reply.c: a server's reply on its way to the client: bytes pass as they are; the packets that tell about the
 * session (OK, ERR, ends of results) are read, and changed where the client's protocol or its virtual session
 * differs from the connection's. Runs in a worker; the hottest code of all.
 */
#include "base/str.h"
#include "worker/catalog.h"

#define OUT_IOV 32
#define SCRATCH 2048 /* packets written anew between two flushes */

struct out {
	struct iovec iov[OUT_IOV];
	int n;
	size_t bytes;
	u8 scratch[SCRATCH];
	size_t used;
};

static bool
out_flush(struct sess *s, struct out *o)
{
	bool ok = true;

	if (o->n > 0) {
		STAT_ADD(s->w->stat->bytes_to_clients, o->bytes);
		s->cmd.bytes += o->bytes;
		s->cmd.sent_any = true;
		ok = conn_writev(&s->conn, o->iov, o->n);
		if (s->conn.out.head != NULL && s->wheel_at > ev_now(&s->w->loop) + 2000 * MS_NS)
			sess_watch_writes(s);
	}
	o->n = 0;
	o->bytes = 0;
	o->used = 0;
	return ok;
}

static bool
out_add(struct sess *s, struct out *o, u8 *p, size_t len)
{
	if (len == 0)
		return true;
	if (o->n > 0 && (u8 *)o->iov[o->n - 1].iov_base + o->iov[o->n - 1].iov_len == p) {
		o->iov[o->n - 1].iov_len += len;
		o->bytes += len;
		return true;
	}
	if (o->n == OUT_IOV && !out_flush(s, o))
		return false;
	o->iov[o->n++] = (struct iovec){p, len};
	o->bytes += len;
	return true;
}

/* A packet of our own making; at most SCRATCH / 2 bytes. */
static bool
out_made(struct sess *s, struct out *o, struct wr *w)
{
	size_t at = o->used;

	if (w->bad || !out_add(s, o, o->scratch + at, w->len))
		return false;
	o->used = at + w->len; /* out_add may have sent what was before: this one is still to be sent from there */
	return true;
}

static struct wr
out_room(struct sess *s, struct out *o, bool *ok)
{
	if (SCRATCH - o->used < SCRATCH / 2)
		*ok = out_flush(s, o);
	return wr_init(o->scratch + o->used, SCRATCH - o->used);
}

/* ---- what the server says about the session ---- */

static void
gtid_seen(struct sess *s, struct bconn *b, struct slice v)
{
	u64 part[3] = {0};
	int i = 0;

	/* domain-server-sequence; of several (never seen in last_gtid) the last */
	for (size_t k = 0; k < v.len; k++) {
		if (v.p[k] == '-' && i < 2)
			i++;
		else if (v.p[k] == ',')
			memset(part, 0, sizeof part), i = 0;
		else if (v.p[k] >= '0' && v.p[k] <= '9')
			part[i] = part[i] * 10 + (u64)(v.p[k] - '0');
	}
	if (i == 2) {
		s->gtid_domain = (u32)part[0];
		s->gtid_seq = part[2];
		s->cmd.gtid_seen = true;
		causal_wrote(s, b->srv);
	}
}

static void
set_setting(struct sess *s, struct bconn *b, struct slice name, const struct slice *value)
{
	struct settings *n = settings_with(&s->w->in, s->set, name, value);

	if (n == NULL) {
		s->pins |= 1u << PIN_SYSVAR;
		return;
	}
	settings_put(&s->w->in, s->set);
	s->set = n;
	bconn_settings_set(b, n);
}

static void
track_sysvar(struct sess *s, struct bconn *b, const struct track_item *it, bool *charset, bool *collation)
{
	enum sysvar_quote q = sysvar_lookup(it->name.p, it->name.len);

	if (q == SYSVAR_IGNORE) {
		gtid_seen(s, b, it->value);
		return;
	}
	if (slice_ieq(it->name.p, it->name.len, "character_set_client"))
		s->lex_charset = lex_mode_of_charset(it->value.p, it->value.len);
	if (slice_ieq(it->name.p, it->name.len, "character_set_connection"))
		*charset = true;
	if (slice_ieq(it->name.p, it->name.len, "collation_connection"))
		*collation = true;
	/* an empty value is NULL or a set without members: which of them cannot be told apart, except for the sets */
	bool empty_ok = slice_ieq(it->name.p, it->name.len, "sql_mode") ||
	    slice_ieq(it->name.p, it->name.len, "old_mode");
	if (q == SYSVAR_NO || (it->value.len == 0 && !empty_ok) ||
	    memchr(it->value.p, '\\', it->value.len) != NULL || it->value.len > 2000) {
		s->pins |= 1u << PIN_SYSVAR;
		return;
	}
	if (unlikely(slice_ieq(it->name.p, it->name.len, "wait_timeout")))
		idle_set(s, it->value);
	if (s->cmd.st.pins & 1u << PIN_UNKNOWN)
		return; /* SET STATEMENT reports values that hold for it alone; the session is kept anyway */
	set_setting(s, b, it->name, &it->value);
}

void
sess_track_ok(struct sess *s, struct bconn *b, const struct pkt_ok *ok)
{
	struct rd r = rd_init(ok->state.p, ok->state.len);
	struct track_item it;
	bool charset = false, collation = false, named = false, changed = false, recorded = false;

	while (track_next(&r, &it) == 1) {
		switch (it.type) {
		case TRACK_SYSVAR:
			named |= sysvar_lookup(it.name.p, it.name.len) != SYSVAR_IGNORE;
			track_sysvar(s, b, &it, &charset, &collation);
			break;
		case TRACK_SCHEMA: {
			struct istr *db = it.value.len > 0 ? istr_get(&s->w->in, it.value.p, it.value.len) : NULL;

			named = true;
			istr_put(&s->w->in, s->db);
			s->db = db;
			s->db_local = db != NULL && stmt_schema_is_local(db->text, db->len);
			bconn_db_set(b, db);
			recorded = true;
			break;
		}
		case TRACK_STATE:
			changed = true;
			break;
		case TRACK_TRX_STATE:
			if (s->replay != NULL)
				replay_trx_state(s, it.value);
			break;
		default:
			break;
		}
	}
	if (charset && !collation) {
		static const char name[] = "collation_connection";

		set_setting(s, b, (struct slice){(const u8 *)name, sizeof name - 1}, NULL);
	}
	s->cmd.state_changed |= changed && !named;
	if (recorded)
		sess_record(s);
}

/* Items of the block that a client expects by the servers' defaults: the schema, and the variables of the default
 * of session_track_system_variables. A session that set trackers itself sees all. */
static bool
client_wants(const struct sess *s, const struct track_item *it)
{
	static const char *const vars[] = {"autocommit", "character_set_client", "character_set_connection",
	    "character_set_results", "time_zone"};

	if (s->own_trackers)
		return true;
	if (it->type == TRACK_SCHEMA)
		return true;
	for (size_t i = 0; it->type == TRACK_SYSVAR && i < ARRAY_LEN(vars); i++)
		if (slice_ieq(it->name.p, it->name.len, vars[i]))
			return true;
	return false;
}

static void
filter_state(const struct sess *s, struct slice state, struct wr *w)
{
	struct rd r = rd_init(state.p, state.len);
	struct track_item it;

	while (track_next(&r, &it) == 1) {
		if (!client_wants(s, &it))
			continue;
		wr_u8(w, it.type);
		if (it.type == TRACK_SYSVAR) {
			wr_lenenc(w, lenenc_size(it.name.len) + it.name.len + lenenc_size(it.value.len) + it.value.len);
			wr_lenenc_str(w, it.name.p, it.name.len);
			wr_lenenc_str(w, it.value.p, it.value.len);
		} else {
			wr_lenenc(w, lenenc_size(it.value.len) + it.value.len);
			wr_lenenc_str(w, it.value.p, it.value.len);
		}
	}
}

/* ---- control packets ---- */

/* The OK packet for this client. */
static bool
pass_ok(struct sess *s, struct bconn *b, struct out *o, struct pkt_ok *ok)
{
	u8 *pkt = b->reply.pkt;
	u8 header = pkt[PKT_HDR];
	bool eof_form = header == 0xfe && (s->caps & CAP_DEPRECATE_EOF) == 0;
	bool same = !eof_form && ok->state.len == 0 &&
	    ((s->caps & CAP_SESSION_TRACK) != 0 || ok->info.len == 0);
	bool room = true;

	if (s->cmd.login)
		return true; /* the login's own OK follows */
	if (unlikely(s->trace != NULL)) {
		if (s->cmd.trace_row && header == 0xfe) {
			struct wr row = out_room(s, o, &room);

			trace_row(s, &row, pkt[3]++);
			if (!room || !out_made(s, o, &row))
				return false;
		}
		if (trace_counts(s)) {
			ok->warnings++;
			same = false;
		}
	}
	if (same)
		return out_add(s, o, pkt, b->reply.pkt_len);
	struct wr w = out_room(s, o, &room);
	if (!room)
		return false;
	if (eof_form) {
		pkt_eof_write(&w, pkt[3], ok->warnings, (u16)(ok->status & ~ST_SESSION_CHANGED));
		return out_made(s, o, &w);
	}
	u8 state[1024];
	struct wr sw = wr_init(state, sizeof state);

	if (ok->state.len > 0 && (s->caps & CAP_SESSION_TRACK) != 0)
		filter_state(s, ok->state, &sw);
	if (sw.bad || ok->info.len > 512) {
		/* longer than what is written here: pass it whole, a client skips what it does not ask for */
		return out_add(s, o, pkt, b->reply.pkt_len);
	}
	ok->state = (struct slice){state, sw.len};
	if (sw.len == 0)
		ok->status &= (u16)~ST_SESSION_CHANGED;
	pkt_ok_write(&w, pkt[3], header, s->caps, ok);
	return out_made(s, o, &w);
}

/* Before the client hears that it is done: who logs in from then on gets connections that know of it. */
static void
defaults_changed(struct worker *w)
{
	w->defaults++;
	for (u32 i = 0; i < w->nworkers; i++)
		if (i != w->slot && link_send(w->inboxes[i], LINK_DEFAULTS, NULL, 0, NULL, 0) != 0)
			log_limited(LOG_WARN_, "worker %u could not be told that accounts or global variables changed", i);
}

/* Of many rows at once ROW_COUNT() counts what the last one did only, but for INSERT and REPLACE (measured on 10.11). */
static bool
counts_last_row(const struct cmd *c)
{
	return c->com == COM_STMT_BULK_EXECUTE && c->st.kind != STMT_INSERT && c->st.kind != STMT_REPLACE;
}

/* What has become of FOUND_ROWS() (measured on 10.11): a SELECT makes it, INTO variables too; EXPLAIN, INSERT ... RETURNING and SHOW
 * WARNINGS leave it; routines may do either. */
static void
found_rows_of(struct sess *s, bool rows, u64 n)
{
	const struct stmt *st = &s->cmd.st;
	const u64 opaque = 1ull << PIN_ROUTINE | 1ull << PIN_TEXT_PS | 1ull << PIN_UNKNOWN | 1ull << PIN_LONG;

	if (st->kind == STMT_SELECT || (rows && st->kind == STMT_SHOW && (st->flags & STMT_F_DIAG) == 0)) {
		s->found_rows = n;
		s->found_unsure = !rows || (st->flags & (STMT_F_OFFSET | STMT_F_CALC_ROWS)) != 0;
		s->found_here = true;
		s->learning_found = false;
	} else if ((st->pins & opaque) != 0 || st->kind == STMT_CALL || (st->flags & STMT_F_MULTI) != 0) {
		s->found_unsure = true; /* if it was known here, it still is */
	}
}

static void
status_seen(struct sess *s, u16 status)
{
	const u16 modes = ST_ANSI_QUOTES | ST_NO_BACKSLASH_ESCAPES;

	status &= ST_LASTING;
	/* a SELECT of a sequence tells of the transaction that it is alone in, and that ends behind its reply (measured) */
	if ((status & (ST_IN_TRANS | ST_AUTOCOMMIT)) == (ST_IN_TRANS | ST_AUTOCOMMIT) && !s->in_trx &&
	    !s->trx_unsure && s->cmd.st.kind == STMT_SELECT && (s->cmd.st.flags & STMT_F_MULTI) == 0)
		status &= (u16) ~(ST_IN_TRANS | ST_IN_TRANS_READONLY);
	s->mode_unsure = false;
	if (unlikely((s->cmd.st.flags & STMT_F_SET_STATEMENT) != 0) && s->cmd.com != COM_STMT_PREPARE) {
		/* beside other statements nobody can tell whose mode it is: the next reply will */
		s->mode_unsure = (s->cmd.st.flags & STMT_F_MULTI) != 0;
		status = (u16)((status & ~modes) | (s->status & modes));
	}
	s->status = status;
}

static bool
on_ok(struct sess *s, struct bconn *b, struct out *o)
{
	struct reply *r = &b->reply;
	struct pkt_ok ok;

	/* the end of a binary log is an EOF packet of old, whatever was agreed */
	if (r->kind == REPLY_STRING || s->cmd.com == COM_BINLOG_DUMP)
		return out_add(s, o, r->pkt, r->pkt_len);
	if (pkt_ok_parse(r->pkt + PKT_HDR, r->pkt_len - PKT_HDR, CAP_SESSION_TRACK, &ok) != 0)
		return false;
	if (ok.state.len > 0)
		sess_track_ok(s, b, &ok);
	status_seen(s, ok.status);
	b->status = (u16)(ok.status & ~(ST_SESSION_CHANGED | ST_MORE_RESULTS));
	s->in_trx = (s->status & ST_IN_TRANS) != 0;
	s->trx_unsure = false;
	s->cmd.warnings = ok.warnings;
	if (unlikely(s->replay != NULL))
		replay_reply_ok(s, &ok);
	if (unlikely((s->cmd.st.flags & STMT_F_DEFAULTS) != 0) && s->cmd.com != COM_STMT_PREPARE)
		defaults_changed(s->w);
	wcat_result(s, r->last);
	if (r->pkt[PKT_HDR] == 0x00) {
		s->cmd.affected += ok.affected;
		s->row_count = counts_last_row(&s->cmd) ? ROW_COUNT_UNSURE : (i64)ok.affected;
		if (ok.insert_id != 0) {
			s->insert_id_open = b->id_left = true;
			s->insert_id_unsure |= s->insert_id_lost;
			s->insert_id_lost = false;
			s->learning_id = false; /* of an older one */
		}
	} else {
		s->row_count = -1;
		s->cmd.rows += r->rows;
	}
	found_rows_of(s, r->pkt[PKT_HDR] != 0x00, r->rows);
	if (s->cmd.ps != NULL) {
		bool open = (ok.status & ST_CURSOR_EXISTS) != 0 && (ok.status & ST_LAST_ROW_SENT) == 0;

		ps_mark(s, s->cmd.ps, open, s->cmd.com == COM_STMT_FETCH && s->cmd.ps->long_data);
	}
	if (unlikely(s->multi != NULL) && r->last && multi_more(s))
		multi_mark(r, &ok);
	u8 seq = r->pkt[3];

	if (!pass_ok(s, b, o, &ok))
		return false;
	if (unlikely(s->multi != NULL) && !r->last)
		multi_next_result(s, seq, o->bytes);
	return true;
}

/* A read that the server refused for what it is, not for what the statement is: to run it elsewhere is right. */
static bool
refused_for_server(u16 code)
{
	return code == 1290 || /* --read-only: not a read after all */
	    code == 1836 ||    /* read-only mode */
	    code == 1053 ||    /* shutdown in progress */
	    code == 1047 ||    /* Galera: WSREP not ready for queries */
	    code == 1927;      /* connection was killed */
}

/* The connection goes back, the statement is routed once more. */
static void
run_again(struct sess *s, struct bconn *b)
{
	bool saved = s->cmd.buf != NULL;

	replay_free(s); /* no transaction is open: this statement was to begin one */
	if (!saved) {
		s->cmd.p = b->req;
		s->cmd.len = b->req_len;
		saved = cmd_save(s);
	}
	bconn_expect_done(b);
	bconn_set_state(b, BCONN_LINKED);
	b->diag_left = true;
	sess_release_backend(s); /* which asks for the insert id, if it was kept for that */
	if (!saved)
		return; /* the client was told */
	STAT_ADD(s->w->stat->retried, 1);
	s->cmd.retries++;
	s->cmd.sent = false;
	sess_set_state(s, SESS_WAIT);
	cmd_dispatch(s);
}

/* After these the server closes the connection, as its input is out of step: so does it end for the client. */
static bool
net_error(u16 code)
{
	return code == 1153 || (code >= 1156 && code <= 1161);
}

/* True: the statement runs again, nothing was passed on. */
static bool
retry_refused(struct sess *s, struct bconn *b, u16 code)
{
	if (!s->cmd.read || s->cmd.sent_any || s->pins != 0 || s->in_trx || !refused_for_server(code) ||
	    s->cmd.kill_sent || (s->cmd.buf == NULL && b->req_len == 0))
		return false;
	if (code == 1290 && s->cmd.to_primary)
		return false; /* an option of the server that has the last word: nobody else could do it */
	if (code == 1290)
		s->cmd.st.flags &= ~(STMT_F_READ | STMT_F_STATE_READ | STMT_F_TRX_RO);
	else
		b->in_trouble = true;
	s->cmd.exclude |= 1ull << s->cmd.server_index;
	run_again(s, b);
	return true;
}

/* An error of a replica may come from its being behind (a table that it does not have yet), and the next
 * statement may ask for it: the primary has the last word. */
static bool
retry_on_primary(struct sess *s, struct bconn *b, u16 code)
{
	bool limit = code == 1317 || code == 1969 || code == 3024; /* interrupted, timed out */

	if (limit || s->cmd.to_primary || !s->cmd.read || s->cmd.sent_any || s->pins != 0 || s->in_trx ||
	    s->cmd.kill_sent || s->cmd.login || !sess_has_primary(s) || (s->cmd.buf == NULL && b->req_len == 0))
		return false;
	s->cmd.st.flags &= ~(STMT_F_READ | STMT_F_STATE_READ | STMT_F_TRX_RO);
	s->cmd.st.why = ROUTE_RETRY;
	run_again(s, b);
	return true;
}

/* A write came to a server that is primary no longer, or not yet again: it waits for one. */
static bool
hold_write(struct sess *s, struct bconn *b, const struct pkt_err *e)
{
	if (!hold_refused(s, e->code, &e->text) || s->cmd.sent_any || (s->pins & ~(1ull << PIN_DIAGNOSTICS)) != 0 ||
	    s->in_trx || s->cmd.kill_sent || s->cmd.login || (s->cmd.buf == NULL && b->req_len == 0) ||
	    s->cmd.retries >= CMD_RETRIES)
		return false;
	chan_ring(s->w->health_bell);
	if (s->cmd.why != ROUTE_PINNED)
		s->cmd.exclude |= 1ull << s->cmd.server_index; /* of the others it is not known which */
	s->diag_open = false; /* of the statement before: this one has emptied it */
	run_again(s, b);
	return true;
}

static bool
on_err(struct sess *s, struct bconn *b, struct out *o, bool *again)
{
	struct reply *r = &b->reply;
	struct pkt_err e;

	if (pkt_err_parse(r->pkt + PKT_HDR, r->pkt_len - PKT_HDR, &e) != 0)
		return false;
	if (unlikely(s->multi != NULL) && multi_alone(s, o->bytes)) {
		if (!out_flush(s, o) || !cmd_save(s))
			return false;
		s->cmd.sent_any = false;
	}
	*again = o->n == 0 && (retry_refused(s, b, e.code) || retry_on_primary(s, b, e.code) || hold_write(s, b, &e) ||
	    (unlikely(s->replay != NULL) && replay_refused(s, b, &e)) ||
	    (unlikely(s->multi != NULL) && multi_refused(s, b, e.code)));
	if (*again)
		return true;
	s->cmd.err_code = e.code != 0 ? e.code : 1105;
	if (unlikely(s->replay != NULL))
		replay_reply_err(s, &e);
	if (net_error(e.code))
		b->in_trouble = true;
	s->row_count = -1;
	if (unlikely((s->cmd.st.flags & STMT_F_DEFAULTS) != 0) && s->cmd.com != COM_STMT_PREPARE)
		defaults_changed(s->w); /* some of it may have been done */
	wcat_result(s, true);
	STAT_ADD(s->w->stat->errors_server, 1);
	if (e.code == 1290 || e.code == 1836 || e.code == 1047)
		chan_ring(s->w->health_bell); /* the primary is none any more? */
	if (s->cmd.ps != NULL)
		ps_mark(s, s->cmd.ps, s->cmd.com == COM_STMT_FETCH && s->cmd.ps->cursor, false);
	if (s->cmd.timed_out && e.code == 1317) {
		bool room = true;
		struct wr w = out_room(s, o, &room);
		const struct err_info *i = err_info(ERR_STMT_TIMEOUT);
		char text[128];

		snprintf(text, sizeof text, "Margay: %s: %llu ms", i->text,
		    (unsigned long long)s->w->cfg.r->margay.statement_timeout);
		pkt_err_write(&w, r->pkt[3], i->mysql_errno, i->sqlstate, text);
		return room && out_made(s, o, &w);
	}
	if (s->cmd.login)
		r->pkt[3] = s->next_seq;
	if (unlikely(s->ro_trx)) {
		bool room = true;
		struct wr w = out_room(s, o, &room);

		if (ro_error(s, e.code, r->pkt[3], &w))
			return room && out_made(s, o, &w);
	}
	if (s->state == SESS_STREAM)
		return keep_last_words(s, r->pkt, r->pkt_len);
	return out_add(s, o, r->pkt, r->pkt_len);
}

static bool
on_prepared(struct sess *s, struct bconn *b, struct out *o)
{
	struct reply *r = &b->reply;
	struct pkt_prepare_ok ok;
	struct istr *t = s->cmd.text;
	u32 id;

	if (pkt_prepare_ok_parse(r->pkt + PKT_HDR, r->pkt_len - PKT_HDR, &ok) != 0)
		return false;
	id = ps_new(s, t, ok.nparams);
	if (id == 0 || bps_add(b, t, s->db, s->set, ok.id, ok.nparams) == NULL)
		return false;
	ps_get(s, id)->here_only = s->cmd.streamed;
	s->cmd.warnings = ok.warnings;
	wr32(r->pkt + PKT_HDR + 1, id);
	if (r->metadata && ok.ncols > 0 && !meta_begin(s, 0, ok.ncols, false))
		return false;
	return out_add(s, o, r->pkt, r->pkt_len);
}

/* ---- clients that cache column definitions ---- */

static bool
put_columns(struct sess *s, struct out *o, u8 seq, u32 ncols, bool follow)
{
	bool room = true;
	struct wr w = out_room(s, o, &room);

	pkt_colcount_cached_write(&w, seq, ncols, follow);
	return room && out_made(s, o, &w);
}

/* A result set begins. What it consists of may be left out of the first of an execution; results of routines are always
 * told in full, as 10.11 does. */
static bool
on_columns(struct sess *s, struct bconn *b, struct out *o)
{
	const struct reply *r = &b->reply;
	struct ps *ps = s->cmd.ps;

	if (s->cmd.results < 2)
		s->cmd.results++;
	if (ps == NULL || s->cmd.st.kind == STMT_CALL || s->cmd.results > 1) {
		if (ps != NULL)
			ps->meta = 0;
		return put_columns(s, o, r->pkt[3], r->cols_left, true);
	}
	return meta_begin(s, r->pkt[3], r->cols_left, true);
}

/* What is held goes out behind the number of columns. */
static bool
put_held(struct sess *s, struct out *o)
{
	struct meta *m = s->meta;
	bool ok = put_columns(s, o, m->seq, m->ncols, true) && out_add(s, o, m->p, m->len) && out_flush(s, o);

	meta_drop(s);
	return ok;
}

/* Definitions as they come in. */
static bool
take_definitions(struct sess *s, struct out *o, u8 *p, size_t len)
{
	bool held = s->meta->held;

	if (meta_add(s, p, len))
		return held || out_add(s, o, p, len);
	/* too many to hold: told in full, this time and the next */
	if (s->cmd.ps != NULL)
		s->cmd.ps->meta = 0;
	if (held && !put_held(s, o))
		return false;
	meta_drop(s);
	return out_add(s, o, p, len);
}

/* All definitions of a kind are there. */
static bool
on_definitions(struct sess *s, struct bconn *b, struct out *o)
{
	struct meta *m = s->meta;

	if (m == NULL)
		return true;
	if (!m->held) { /* of PREPARE: parameters, then columns */
		if (b->reply.cols_left > 0) {
			m->len = 0;
			return true;
		}
		struct ps *ps = ps_get(s, s->ps_last);

		if (ps != NULL)
			ps->meta = meta_hash(s);
		meta_drop(s);
		return true;
	}
	u64 hash = meta_hash(s);

	if (s->cmd.ps->meta != hash) {
		s->cmd.ps->meta = hash;
		return put_held(s, o);
	}
	b->reply.seq_add = (u8)(b->reply.seq_add - m->ncols);
	bool ok = put_columns(s, o, m->seq, m->ncols, false);
	meta_drop(s);
	return ok;
}

static void
reply_broken(struct sess *s, struct bconn *b)
{
	log_limited(LOG_ERR_, "server %s: reply to session %u is out of step: connection closed", b->srv->name, s->id);
	sess_on_backend_lost(s, b, "reply not understood");
	bconn_close(b, "reply not understood");
}

static void
reply_done(struct sess *s, struct bconn *b, struct out *o, bool more)
{
	bool stream = s->state == SESS_STREAM;

	b->in_trouble |= more; /* bytes that nobody asked for: not to be taken for the next one's reply */
	bconn_expect_done(b);
	if (!out_flush(s, o)) {
		sess_close(s, "write to client failed");
		return;
	}
	if (b->conn.paused)
		conn_pause(&b->conn, false);
	if (stream) {
		/* an error before the statement was sent to its end, of which the server still waits for the rest */
		if (s->last_words == NULL) {
			bconn_close(b, "answered a statement before its end");
			sess_close_when_sent(s);
		} else {
			stream_skip(s);
		}
		return;
	}
	cmd_finished(s);
}

/* The flags of an EOF packet that only clients without DEPRECATE_EOF get, and its warnings: those with which its result ends, or,
 * when that is not here yet, those of the session, and none. Connector/C looks there for whether more results follow, and for
 * the warnings of an execution without rows. */
static u16
eof_status(const struct sess *s, const struct bconn *b, const u8 *p, const u8 *end, u16 *warnings_r)
{
	u16 status;

	if (b->reply.kind == REPLY_PREPARE)
		*warnings_r = s->cmd.warnings; /* Connector/C takes those of the last EOF packet */
	if (!b->reply.last && reply_peek_status(&b->reply, p, end, &status, warnings_r))
		return (u16)(status & ~ST_SESSION_CHANGED);
	status = s->status;
	if (!b->reply.last && (s->cmd.st.kind == STMT_CALL || (s->cmd.st.flags & STMT_F_MULTI) != 0))
		status |= ST_MORE_RESULTS; /* of a CALL none is the last, of several statements most are not */
	return status;
}

void
sess_on_reply(struct sess *s, struct bconn *b, u8 **p, u8 *end)
{
	struct out o;
	bool ok = true, again = false;

	if (s->state == SESS_INFILE) {
		infile_early(s, b, p, end);
		return;
	}

	o.n = 0;
	o.bytes = o.used = 0;
	trace_begin(s, TRACE_REPLY);
	for (;;) {
		u8 *start = *p, *pass;
		enum reply_ev ev = reply_next(&b->reply, p, end, &pass);

		if (unlikely(s->meta != NULL))
			ok = take_definitions(s, &o, start, (size_t)(pass - start));
		else if (pass > start && !s->cmd.login)
			ok = out_add(s, &o, start, (size_t)(pass - start));
		if (unlikely(s->replay != NULL) && pass > start)
			replay_reply_bytes(s, start, (size_t)(pass - start));
		switch (ev) {
		case REPLY_MORE:
			if (!ok || !out_flush(s, &o))
				sess_close(s, "write to client failed");
			else
				sess_backpressure(s);
			return;
		case REPLY_EOF: {
			struct wr w = out_room(s, &o, &ok);

			u16 warnings = 0, status = eof_status(s, b, *p, end, &warnings);

			if (unlikely(s->multi != NULL) && multi_more(s))
				status |= ST_MORE_RESULTS;

			pkt_eof_write(&w, b->reply.eof_seq, warnings, status);
			ok = ok && out_made(s, &o, &w);
			if (b->reply.last) {
				reply_done(s, b, &o, *p < end);
				return;
			}
			break;
		}
		case REPLY_OK:
			ok = ok && on_ok(s, b, &o);
			break;
		case REPLY_ERR:
			ok = ok && on_err(s, b, &o, &again);
			if (again)
				return;
			break;
		case REPLY_PREPARED:
			ok = ok && on_prepared(s, b, &o);
			break;
		case REPLY_END:
			reply_done(s, b, &o, *p < end);
			return;
		case REPLY_INFILE:
			ok = ok && (s->caps & CAP_LOCAL_FILES) != 0 && out_add(s, &o, b->reply.pkt, b->reply.pkt_len) &&
			    out_flush(s, &o);
			if (!ok)
				break;
			infile_begin(s, b);
			return;
		case REPLY_COLUMNS:
			ok = ok && on_columns(s, b, &o);
			break;
		case REPLY_DEFS:
			ok = ok && on_definitions(s, b, &o);
			break;
		case REPLY_BAD:
			ok = false;
			break;
		}
		if (!ok) {
			(void)out_flush(s, &o);
			reply_broken(s, b);
			return;
		}
		if (ev != REPLY_EOF && b->reply.last) {
			reply_done(s, b, &o, *p < end);
			return;
		}
	}
}
