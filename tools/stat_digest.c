/* tools/stat_digest.c: statistics of statements: the tables of all workers added up. margay-stat only. Formats what it has
 * copied; decides nothing.
 */
#include "shm/digest.h"
#include "shm/seq.h"
#include "tools/stat.h"
#include <inttypes.h>
#include <stdlib.h>

static void
add(struct stat_digest *to, const struct stat_digest *d)
{
	to->count += d->count;
	to->errors += d->errors;
	to->time_ns += d->time_ns;
	to->server_ns += d->server_ns;
	to->rows += d->rows;
	to->bytes += d->bytes;
	to->max_ns = MAX(to->max_ns, d->max_ns);
	to->first = MIN(to->first, d->first);
	to->last = MAX(to->last, d->last);
	for (u32 i = 0; i < SHM_DIGEST_TIMES; i++)
		to->times[i] += d->times[i];
}

static int
by_key(const void *a, const void *b)
{
	u64 x = ((const struct stat_digest *)a)->key, y = ((const struct stat_digest *)b)->key;

	return x < y ? -1 : x > y;
}

static int
by_time(const void *a, const void *b)
{
	u64 x = ((const struct stat_digest *)a)->time_ns, y = ((const struct stat_digest *)b)->time_ns;

	return x > y ? -1 : x < y;
}

/* The records of one worker behind the n that are there. */
static u32
take(const struct shm_seg_worker *w, struct stat_digest *v, u32 n)
{
	const struct shm_digest *all = shm_worker_digests(w);
	struct shm_digest d;

	for (u32 i = 0; i < w->max_digests; i++) {
		if (__atomic_load_n(&all[i].key, __ATOMIC_RELAXED) == 0 || seq_read(&all[i].seq, &d, &all[i], sizeof d) != 0 ||
		    d.key == 0 || d.count == 0)
			continue;
		v[n] = (struct stat_digest){.from = &all[i], .key = d.key, .hash = d.hash, .count = d.count, .errors = d.errors,
		    .time_ns = d.time_ns, .server_ns = d.server_ns, .rows = d.rows, .bytes = d.bytes, .max_ns = d.max_ns,
		    .first = d.first, .last = d.last};
		memcpy(v[n++].times, d.times, sizeof d.times);
	}
	return n;
}

u32
stat_digests(const struct stat_inst *in, u32 top, struct stat_digest **v_r)
{
	struct stat_digest *v;
	size_t room = 0;
	u32 n = 0, m = 0;

	for (u32 i = 0; i < in->nworkers; i++)
		if (in->workers[i].p != NULL)
			room += ((const struct shm_seg_worker *)in->workers[i].p)->max_digests;
	*v_r = v = calloc(room + 1, sizeof *v);
	if (v == NULL)
		abort();
	for (u32 i = 0; i < in->nworkers; i++)
		if (in->workers[i].p != NULL)
			n = take(in->workers[i].p, v, n);
	qsort(v, n, sizeof *v, by_key);
	for (u32 i = 0; i < n; i++) {
		if (m > 0 && v[m - 1].key == v[i].key)
			add(&v[m - 1], &v[i]);
		else
			v[m++] = v[i];
	}
	qsort(v, m, sizeof *v, by_time);
	return MIN(m, top);
}

void
stat_digest_text(const struct stat_digest *d, char db[65], char text[DIGEST_SHOWN])
{
	struct shm_digest r;

	db[0] = text[0] = '\0';
	if (seq_read(&d->from->seq, &r, d->from, sizeof r) != 0 || r.key != d->key)
		return; /* it gave up its place meanwhile */
	memcpy(db, r.db, sizeof r.db);
	db[sizeof r.db] = '\0';
	u32 len = MIN(r.len, (u32)sizeof r.text);
	memcpy(text, r.text, len);
	memcpy(text + len, r.total > len ? "..." : "", r.total > len ? 4 : 1);
}

u64
stat_digest_quantile(const struct stat_digest *d, double q)
{
	double rank = q * (double)d->count;
	u64 before = 0;

	for (u32 i = 0; i < SHM_DIGEST_TIMES; i++) {
		u64 lower = i == 0 ? 0 : 1ull << (i + 9), upper = 1ull << (i + 10);

		if (d->times[i] > 0 && (double)(before + d->times[i]) >= rank)
			return MIN(d->max_ns, lower + (u64)((double)(upper - lower) * (rank - (double)before) / (double)d->times[i]));
		before += d->times[i];
	}
	return d->max_ns;
}

void
stat_table_digests(const struct stat_inst *in, const struct stat_sample *s, u32 top, FILE *f)
{
	static const char *const head[] = {"-COUNT", "-ERRORS", "-TOTAL", "-MEAN", "-P95", "-MAX", "-SERVER%", "-ROWS", "-BYTES",
	    "-LAST", "SCHEMA", "DIGEST", "STATEMENT"};
	char a[32], db[65], text[DIGEST_SHOWN];
	struct stat_digest *v;
	u32 n = stat_digests(in, top, &v);
	struct stat_grid g;

	grid_init(&g, head, ARRAY_LEN(head));
	for (u32 i = 0; i < n; i++) {
		const struct stat_digest *d = &v[i];

		stat_digest_text(d, db, text);
		grid_row(&g);
		grid_set(&g, 0, "%" PRIu64, d->count);
		grid_set(&g, 1, "%" PRIu64, d->errors);
		grid_set(&g, 2, "%s", stat_ns(a, sizeof a, d->time_ns));
		grid_set(&g, 3, "%s", stat_ns(a, sizeof a, d->time_ns / d->count));
		grid_set(&g, 4, "%s", stat_ns(a, sizeof a, stat_digest_quantile(d, 0.95)));
		grid_set(&g, 5, "%s", stat_ns(a, sizeof a, d->max_ns));
		grid_set(&g, 6, "%u", d->time_ns > 0 ? (u32)(100.0 * (double)d->server_ns / (double)d->time_ns) : 0);
		grid_set(&g, 7, "%s", stat_num(a, sizeof a, (double)d->rows));
		grid_set(&g, 8, "%s", stat_num(a, sizeof a, (double)d->bytes));
		grid_set(&g, 9, "%s", stat_age(a, sizeof a, stat_since_ms(s, d->last)));
		grid_set(&g, 10, "%s", db[0] != '\0' ? db : "-");
		grid_set(&g, 11, "%016" PRIx64, d->hash);
		grid_set(&g, 12, "%s", text);
	}
	grid_print(&g, f, 0);
	free(v);
}
