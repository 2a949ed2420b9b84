/* worker/sess_digest.c: statistics of statements by their shape: the digest is made when the statement comes in, the account
 * when it has ended. Runs in a worker, which alone writes the table in its segment.
 */
#include "base/str.h"
#include "shm/digest.h"
#include "worker/sess.h"

/* A statement of some bytes is lexed in less than the time of a system call; one of megabytes was so once already, and is
 * looked at again only as far as this. Rows of VALUES are the same shape however many there are, so that little is lost. */
#define LOOK_MOST (1u << 20)

/* One shape in two schemas is two statements. */
static u64
key_of(u64 shape, const struct istr *db)
{
	u64 key = db == NULL ? shape : shape ^ (db->hash << 1 | db->hash >> 63);

	return key != 0 ? key : 1;
}

/* Words of a record; size is a multiple of 8. */
static void
put_text(char *to, size_t size, const void *p, size_t len)
{
	char word[8];

	for (size_t i = 0; i < size; i += 8) {
		memset(word, 0, sizeof word);
		if (i < len)
			memcpy(word, (const char *)p + i, MIN(len - i, sizeof word));
		seq_words_store(to + i, word, sizeof word);
	}
}

static void
begin_record(struct sess *s, const struct digest *shape, u64 key, const struct istr *db)
{
	u64 now = ev_now(&s->w->loop);
	struct shm_digest *d = shm_digest_begin(s->w->seg, key, now, &s->cmd.digest_at);
	u32 len[2] = {shape->len, (u32)MIN(shape->total, (u64)UINT32_MAX)};

	if (d == NULL)
		return;
	STAT_SET(d->hash, shape->hash);
	STAT_SET(d->first, now);
	seq_words_store(&d->len, len, sizeof len);
	if (db != NULL)
		put_text(d->db, sizeof d->db, db->text, MIN(db->len, sizeof d->db - 1));
	put_text(d->text, (shape->len + 7) & ~7u, shape->text, shape->len);
	seq_write_end(&d->seq);
	s->cmd.digest = key;
}

/* Its record, which may have to be made. */
static void
find_record(struct sess *s, const struct digest *shape, const struct istr *db)
{
	u64 key;

	if (shape->hash == 0)
		return;
	key = key_of(shape->hash, db);
	if (likely(shm_digest_find(s->w->seg, key, &s->cmd.digest_at) != NULL))
		s->cmd.digest = key;
	else
		begin_record(s, shape, key, db);
}

/* The text of a statement that is about to be run. */
void
digest_text(struct sess *s, const void *text, size_t len, u32 lex_mode)
{
	if (len > LOOK_MOST) {
		len = LOOK_MOST;
		lex_mode |= LEX_TRUNCATED;
	}
	digest_make(text, len, lex_mode, &s->w->shape);
	find_record(s, &s->w->shape, s->db);
}

/* The same of one whose shape was made already. */
void
digest_found(struct sess *s, const struct digest *shape)
{
	find_record(s, shape, s->db);
}

/* A prepared statement is about to be run. */
void
digest_execute(struct sess *s, const struct ps *ps)
{
	struct istr *t = ps->text;
	struct digest *shape = &s->w->shape;

	if (t->shape != 0 && shm_digest_find(s->w->seg, key_of(t->shape, ps->db), &s->cmd.digest_at) != NULL) {
		s->cmd.digest = key_of(t->shape, ps->db);
		return;
	}
	digest_make(t->text, MIN(t->len, LOOK_MOST), t->lex_mode | (ps->here_only || t->len > LOOK_MOST ? LEX_TRUNCATED : 0),
	    shape);
	t->shape = shape->hash;
	find_record(s, shape, ps->db);
}

/* It has ended, one way or the other. */
void
digest_end(struct sess *s)
{
	const struct cmd *c = &s->cmd;
	struct shm_digest *d = shm_digest_at(s->w->seg, c->digest_at, c->digest);
	u64 now = ev_now(&s->w->loop), ns = now - c->started;
	u32 bucket = shm_digest_bucket(ns);

	if (d == NULL)
		return; /* another shape took its place */
	STAT_SET(d->last, now);
	STAT_ADD(d->count, 1);
	STAT_ADD(d->time_ns, ns);
	if (c->sent && s->b != NULL)
		STAT_ADD(d->server_ns, now - MAX(s->b->stmt_started, c->started));
	STAT_ADD(d->rows, c->rows + c->affected);
	STAT_ADD(d->bytes, c->bytes);
	STAT_ADD(d->times[bucket], 1);
	if (c->err_code != 0 || c->failed)
		STAT_ADD(d->errors, 1);
	if (ns > d->max_ns)
		STAT_SET(d->max_ns, ns);
}
