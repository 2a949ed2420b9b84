/* worker/bps.c: the statements prepared on one server connection: found by text, database and settings (names and
 * modes are resolved when a statement is prepared), least recently used closed first. Runs in a worker.
 */
#include "worker/bconn.h"
#include "proto/wire.h"

static u32
bucket(const struct istr *text)
{
	return (u32)(text->hash % BPS_BUCKETS);
}

struct bps *
bps_find(struct bconn *b, const struct istr *text, const struct istr *db, const struct settings *set)
{
	for (struct bps *p = b->bps[bucket(text)]; p != NULL; p = p->hnext)
		if (p->text == text && p->db == db && p->set == set) {
			list_del(&p->lru);
			list_push_front(&b->bps_lru, &p->lru);
			return p;
		}
	return NULL;
}

static void
bps_free(struct bconn *b, struct bps *p)
{
	struct bps **at = &b->bps[bucket(p->text)];

	while (*at != p)
		at = &(*at)->hnext;
	*at = p->hnext;
	list_del(&p->lru);
	istr_put(&b->w->in, p->text);
	istr_put(&b->w->in, p->db);
	settings_put(&b->w->in, p->set);
	free(p->types);
	free(p);
	b->nbps--;
}

void
bps_drop(struct bconn *b, struct bps *p)
{
	u8 pkt[PKT_HDR + 5];
	struct iovec iov = {pkt, sizeof pkt};

	wr24(pkt, 5);
	pkt[3] = 0;
	pkt[4] = COM_STMT_CLOSE;
	wr32(pkt + 5, p->id);
	bps_free(b, p);
	(void)bconn_send(b, &iov, 1, NULL, 0); /* a failure shows with the next statement */
}

struct bps *
bps_add(struct bconn *b, struct istr *text, struct istr *db, struct settings *set, u32 id, u16 nparams)
{
	struct bps *old = bps_find(b, text, db, set), *p;

	if (old != NULL)
		bps_drop(b, old);
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	p->text = istr_ref(text);
	p->db = istr_ref(db);
	p->set = settings_ref(set);
	p->id = id;
	p->nparams = nparams;
	p->hnext = b->bps[bucket(text)];
	b->bps[bucket(text)] = p;
	list_push_front(&b->bps_lru, &p->lru);
	b->nbps++;
	return p;
}

void
bps_types_set(struct bps *p, const u8 *types)
{
	size_t n = 2u * p->nparams;

	if (p->types == NULL)
		p->types = malloc(n);
	if (p->types != NULL)
		memcpy(p->types, types, n);
}

void
bps_clear(struct bconn *b)
{
	while (!list_empty(&b->bps_lru))
		bps_free(b, LIST_ENTRY(b->bps_lru.next, struct bps, lru));
}

void
bps_trim(struct bconn *b)
{
	while (b->nbps > b->srv->max_prepared)
		bps_drop(b, LIST_ENTRY(b->bps_lru.prev, struct bps, lru));
}
