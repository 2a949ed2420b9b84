/* tools/stat.h: what the files of margay-stat share: an attached instance, a sample of it, the ways to show
 * a sample. Only reads shared memory; everything shown is first copied, so that a writer that stops in the
 * middle of anything holds nobody up.
 */
#ifndef MARGAY_TOOLS_STAT_H
#define MARGAY_TOOLS_STAT_H
#include "base/clock.h"
#include "shm/catalog.h"
#include "shm/health.h"
#include "shm/link.h"
#include "shm/map.h"
#include "shm/pool.h"

#define STAT_DIR_MAX 1025

struct stat_inst {
	char dir[STAT_DIR_MAX];
	u64 epoch;
	u32 nworkers;
	struct shm_map names, health, pool, catalog, workers[LINK_MAX_WORKERS];
};

struct stat_server {
	u32 id;
	struct shm_srvname n;
	struct srv_verdict v;
	struct shm_srvhealth d;
	bool d_ok; /* d could be read whole */
	struct shm_sstat sum; /* over all workers */
	u32 limit, used, kind[POOL_HEALTH + 1];
};
struct stat_cluster {
	struct shm_cluname n;
	int primary; /* server id, -1 */
	u32 epoch, writable, cause;
};
struct stat_worker {
	bool mapped, alive;
	u32 slot;
	struct shm_slot rec;
	struct shm_header h;
	struct shm_wstat stat;
	struct shm_hist hist[SHM_HISTS];
	struct shm_sstat *srv; /* nservers */
	char panic[SHM_PANIC_SIZE];
};
struct stat_sample {
	u64 wall_ms, mono_ns;
	struct shm_header h; /* of the master */
	struct shm_master m;
	struct shm_mstat mstat;
	struct shm_slot health_rec;
	struct shm_header health_h;
	struct shm_hstat hstat;
	char health_panic[SHM_PANIC_SIZE];
	bool master_alive, health_alive, pool_known, names_torn;
	u32 nservers, nclusters, nworkers, alive_workers;
	struct stat_server *servers; /* index is the server's id; n.used says whether there is one */
	struct stat_cluster clusters[SHM_MAX_CLUSTERS];
	struct stat_worker *workers;
	struct shm_wstat total;
	struct shm_hist hist[SHM_HISTS];
};

/* Finds the newest epoch and maps its segments. 0 or an exit code; why holds a line for the user. */
MUST_CHECK int stat_attach(struct stat_inst *in, const char *dir, char *why, size_t size);
void stat_detach(struct stat_inst *in);
/* Has another epoch begun since the attach? */
bool stat_outdated(const struct stat_inst *in);
/* Copies everything. 0, or EXIT_DOWN with a line in why when neither the master nor any worker lives: the
 * sample then shows what they left. */
MUST_CHECK int stat_take(const struct stat_inst *in, struct stat_sample *s, char *why, size_t size);
void stat_free(struct stat_sample *s);

struct stat_filter {
	const char *user;
	int state; /* enum sess_state, -1: any */
	bool pinned, info;
};
/* Calls fn for each session that the filter lets through, with a copy that stays valid during the call;
 * without filter->info its statement text is empty. */
void stat_sessions(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter,
    void (*fn)(void *arg, const struct stat_worker *w, const struct shm_session *ss), void *arg);

/* A shape of statements, added up over workers. */
#define DIGEST_SHOWN (1024 + 4) /* its text and the dots of one that was cut */
struct stat_digest {
	const struct shm_digest *from; /* a record that has its text */
	u64 key, hash, count, errors, time_ns, server_ns, rows, bytes, max_ns, first, last, times[32];
};
/* Those that took the most time, at most top of them; *v_r is the caller's to free. */
u32 stat_digests(const struct stat_inst *in, u32 top, struct stat_digest **v_r);
/* Both empty if the record serves another shape by now. */
void stat_digest_text(const struct stat_digest *d, char db[65], char text[DIGEST_SHOWN]);
u64 stat_digest_quantile(const struct stat_digest *d, double q);
void stat_table_digests(const struct stat_inst *in, const struct stat_sample *s, u32 top, FILE *f);

/* A copy of what is published, to be ended with cat_copy_fini. false: there is none. */
bool stat_catalog(const struct stat_inst *in, struct cat_copy *c);
/* Was no statement sent since it was read that may have changed it? */
bool stat_catalog_current(const struct stat_inst *in, const struct cat *c, const struct cat_cluster *k);
u64 stat_catalog_checked(const struct stat_inst *in, const struct cat_cluster *k); /* when it was true last, 0: never */
extern const char *const stat_table_kinds[3], *const stat_place_states[CAT_STATES];
/* "not-null auto-increment"; "a, b(10) desc" */
void stat_column_words(const struct cat_column *k, char *buf, size_t size);
void stat_key_parts(const struct cat *c, const struct cat_def *d, const struct cat_key *k, char *buf, size_t size);
void stat_table_catalog(const struct stat_inst *in, const struct stat_sample *s, FILE *f);

/* A table whose columns are as wide as what they hold. Cells are cut to STAT_CELL and cleaned of control
 * characters: names and statements come from clients. */
#define STAT_COLS 18
#define STAT_CELL 132
struct stat_grid {
	u32 ncols, nrows, room;
	const char *head[STAT_COLS]; /* "-name": aligned to the right */
	char (*cell)[STAT_COLS][STAT_CELL];
};
void grid_init(struct stat_grid *g, const char *const *heads, u32 n);
/* The next row; its cells are empty. */
void grid_row(struct stat_grid *g);
void grid_set(struct stat_grid *g, u32 col, const char *fmt, ...) PRINTF(3, 4);
/* Prints and frees. width: cut lines there; 0: do not. */
void grid_print(struct stat_grid *g, FILE *f, u32 width);

/* "3d04h", "2h05m", "12m03s", "4.2s" */
const char *stat_age(char *buf, size_t size, u64 ms);
/* "1.2k", "34M" */
const char *stat_num(char *buf, size_t size, double v);
/* "830us", "1.20ms" */
const char *stat_ns(char *buf, size_t size, u64 ns);
static inline u64
stat_since_ms(const struct stat_sample *s, u64 mono_ns)
{
	return mono_ns != 0 && s->mono_ns > mono_ns ? (s->mono_ns - mono_ns) / MS_NS : 0;
}
/* Text of a cell as shown: "-" where a record is not known. */
const char *stat_server_name(const struct stat_sample *s, int id);
const char *stat_cluster_name(const struct stat_sample *s, u32 idx);
static inline u64
stat_counter(const void *rec, const struct shm_counter *c)
{
	u64 v;

	memcpy(&v, (const u8 *)rec + c->off, sizeof v);
	return v;
}

void stat_head(const struct stat_sample *s, FILE *f);
void stat_table(const struct stat_inst *in, const struct stat_sample *s, FILE *f);
void stat_table_sessions(const struct stat_inst *in, const struct stat_sample *s,
    const struct stat_filter *filter, FILE *f, u32 width);
void stat_raw(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter,
    FILE *f);
/* sessions: NULL filter: left out; digests: so many, 0: left out. */
void stat_json(const struct stat_inst *in, const struct stat_sample *s, const struct stat_filter *filter,
    u32 digests, bool catalog, FILE *f);
void stat_prometheus(const struct stat_sample *s, FILE *f);
/* Full screen until q or a signal; an exit code. */
int stat_live(struct stat_inst *in, const struct stat_filter *filter, u32 interval_ms);
#endif
