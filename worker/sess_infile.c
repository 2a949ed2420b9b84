/* worker/sess_infile.c: what a client sends that is no command: the file that LOAD DATA LOCAL INFILE asks for, passed on as it
 * comes with bounded memory (no file is ever opened here), and the rest of a statement or file that nobody
 * takes any more, read away so that the client finds the error where it looks for it. Runs in a worker.
 */
#include "worker/sess.h"

/* The server has asked for a file; its request is on its way to the client. */
void
infile_begin(struct sess *s, const struct bconn *b)
{
	s->stream_seq = b->reply.pkt[3]; /* as the client counts */
	s->stream_left = 0;
	s->stream_more = false;
	sess_set_state(s, SESS_INFILE);
	if (s->conn.paused)
		conn_pause(&s->conn, false);
	sess_resume(s);
}

/* The client has sent all that it had to send; nobody wants it, but it reads only now. */
void
say_last_words(struct sess *s)
{
	bool ok = true;

	if (s->last_words_len > 0) {
		s->last_words[3] = (u8)(s->stream_seq + 1);
		ok = sess_send(s, s->last_words, s->last_words_len);
	}
	if (!ok) {
		sess_close(s, "write to client failed");
	} else if (s->last_words_end) {
		sess_close_when_sent(s);
	} else {
		free(s->last_words);
		s->last_words = NULL;
		s->stream_left = 0;
		s->stream_more = false;
		sess_set_state(s, SESS_READY);
		sess_resume(s);
	}
}

/* Does the packet whose header is at h follow the one before? If not, the session is closed. */
static bool
in_order(struct sess *s, u8 *h)
{
	u8 want = (u8)(s->stream_seq + 1);

	if (conn_is_zip(&s->conn))
		h[3] = want; /* Connector/C numbers frames only */
	if (h[3] != want) {
		STAT_ADD(s->w->stat->bad_packets, 1);
		sess_close(s, "packets out of order");
		return false;
	}
	s->stream_seq = want;
	return true;
}

static void
take_header(struct sess *s, u8 **p)
{
	s->stream_left = rd24(*p);
	s->stream_more = s->stream_left == PKT_MAX_BODY;
	*p += PKT_HDR;
}

/* What is there of the packet under way; false: nothing. */
static bool
take_body(struct sess *s, u8 **p, const u8 *end)
{
	size_t n = MIN(s->stream_left, (size_t)(end - *p));

	*p += n;
	s->stream_left -= n;
	return n > 0;
}

/* The bytes [*p, end) of the file. Each packet's sequence id is made the server's, which lacks the packets put in
 * for the client so far. An empty packet that does not continue another is the end. */
void
infile_more(struct sess *s, u8 **p, u8 *end)
{
	struct bconn *b = s->b;
	u8 *start = *p, add = b != NULL ? b->reply.seq_add : 0;
	bool done = false;

	while (!done) {
		if (s->stream_left == 0) {
			if ((size_t)(end - *p) < PKT_HDR)
				break;
			if (!in_order(s, *p))
				return;
			(*p)[3] = (u8)((*p)[3] - add);
			done = rd24(*p) == 0 && !s->stream_more;
			take_header(s, p);
			continue;
		}
		if (!take_body(s, p, end))
			break;
	}
	if (*p == start)
		return;
	sess_renew(s);
	struct iovec iov = {start, (size_t)(*p - start)};
	if (b != NULL && !bconn_send(b, &iov, 1, NULL, 0)) {
		sess_on_backend_lost(s, b, "lost while a file was being sent");
		bconn_close(b, "could not send");
		return;
	}
	if (b == NULL) {
		if (done)
			say_last_words(s);
	} else if (done) {
		reply_after_infile(&b->reply, (u8)(s->stream_seq - add + 1));
		sess_set_state(s, SESS_BUSY);
	} else {
		sess_backpressure(s);
	}
}

/* A server answers when the file has ended. One that says something before (it shuts down, say) wants no more of it. */
void
infile_early(struct sess *s, struct bconn *b, u8 **p, u8 *end)
{
	size_t have = (size_t)(end - *p), len = have >= PKT_HDR ? rd24(*p) : 0;

	if (have < PKT_HDR || (len < 4096 && have < PKT_HDR + len))
		return;
	if (len == 0 || len >= 4096 || (*p)[PKT_HDR] != 0xff) {
		sess_on_backend_lost(s, b, "reply not understood");
		bconn_close(b, "reply before the end of a file");
		return;
	}
	if (!stream_refuse(s, *p, PKT_HDR + len, true))
		return;
	*p += PKT_HDR + len;
}

/* How far into its packets is the statement whose beginning is [p, end)? Returns where the next header or the end of
 * what is there is. */
u8 *
stream_position(struct sess *s, u8 *p, u8 *end)
{
	while ((size_t)(end - p) >= PKT_HDR) {
		u32 len = rd24(p);
		size_t have = (size_t)(end - p) - PKT_HDR;

		s->stream_more = len == PKT_MAX_BODY;
		s->stream_seq = p[3];
		if (have <= len) {
			s->stream_left = len - have;
			return end;
		}
		p += PKT_HDR + len;
	}
	return p;
}

/* The client is still sending the statement: it reads the error when it has done so. */
bool
keep_last_words(struct sess *s, const u8 *err, size_t len)
{
	free(s->last_words);
	s->last_words = malloc(MAX(len, (size_t)1));
	if (s->last_words == NULL)
		return false;
	if (len > 0)
		memcpy(s->last_words, err, len);
	s->last_words_len = len;
	s->last_words_end = true;
	return true;
}

/* What is being sent by the client will not be used. The rest of it is read and dropped, then it gets this error (len 0:
 * none), and with `end` its connection ends, as at a server: an error in the middle would be overtaken by the reset that
 * the kernel sends for unread bytes. false: the session was closed. */
bool
stream_refuse(struct sess *s, const u8 *err, size_t len, bool end)
{
	if (!keep_last_words(s, err, len)) {
		sess_close(s, "out of memory");
		return false;
	}
	s->last_words_end = end;
	stream_skip(s);
	return true;
}

/* last_words are set: nobody takes what is still coming. */
void
stream_skip(struct sess *s)
{
	struct bconn *b = s->b;

	if (b != NULL && s->last_words_end)
		bconn_close(b, "refused what its client was sending");
	bpool_unwait(s);
	sess_cmd_clear(s);
	if (s->last_words_end) {
		s->pins = 0;
		s->in_trx = false;
	}
	sess_record_pin(s);
	if (s->state != SESS_INFILE && s->state != SESS_STREAM)
		sess_set_state(s, SESS_STREAM);
	if (s->conn.paused)
		conn_pause(&s->conn, false);
	sess_renew(s);
	sess_resume(s);
}

/* The rest of a refused statement. */
static void
skip_more(struct sess *s, u8 **p, u8 *end)
{
	sess_renew(s);
	while (s->stream_left > 0 || s->stream_more) {
		if (s->stream_left == 0) {
			if ((size_t)(end - *p) < PKT_HDR)
				return;
			s->stream_seq = (*p)[3];
			take_header(s, p);
			continue;
		}
		if (!take_body(s, p, end))
			return;
	}
	say_last_words(s);
}

/* The next bytes of a statement that is being streamed. */
void
cmd_stream_more(struct sess *s, u8 **p, u8 *end)
{
	struct bconn *b = s->b;
	u8 *start = *p;

	if (s->last_words != NULL) {
		skip_more(s, p, end);
		return;
	}
	while (s->stream_left > 0 || s->stream_more) {
		if (s->stream_left == 0) {
			if ((size_t)(end - *p) < PKT_HDR)
				break;
			if (!in_order(s, *p))
				return;
			take_header(s, p);
			s->stream_body += s->stream_left;
			if (s->stream_body > s->w->cfg.r->margay.max_packet_size) {
				cmd_fail(s, ERR_PACKET_SIZE, "max_packet_size is %llu",
				    (unsigned long long)s->w->cfg.r->margay.max_packet_size);
				return;
			}
			continue;
		}
		if (!take_body(s, p, end))
			break;
	}
	struct iovec iov = {start, (size_t)(*p - start)};
	if (*p > start && !bconn_send(b, &iov, 1, NULL, 0)) {
		sess_on_backend_lost(s, b, "lost while a long statement was being sent");
		bconn_close(b, "could not send");
		return;
	}
	if (s->stream_left == 0 && !s->stream_more && s->cmd.com == COM_STMT_SEND_LONG_DATA) {
		cmd_finished(s); /* nothing answers it */
		if (s->state == SESS_READY)
			sess_resume(s);
	} else if (s->stream_left == 0 && !s->stream_more) {
		s->cmd.last_seq = s->stream_seq;
		b->reply.next_seq = (u8)(s->stream_seq + 1);
		sess_set_state(s, SESS_BUSY);
	} else {
		sess_backpressure(s);
	}
}
