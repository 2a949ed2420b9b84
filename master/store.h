/* master/store.h: the record that outlives a restart, in state_dir/margay.mdb (LMDB): the last good
 * configuration and which servers an administrator has drained. Holds secrets: directory 0700, file 0600.
 * Master only. A store that cannot be used is reported and done without: serving goes before recording.
 */
#ifndef MARGAY_MASTER_STORE_H
#define MARGAY_MASTER_STORE_H
#include "base/base.h"

struct store;

struct store_config {
	u64 generation, saved_ms; /* wall */
	void *snap, *secrets;     /* malloc'ed; the caller's */
	size_t snap_size, secrets_size;
};

/* Opens or creates the record in dir (which must exist). NULL: why says what is wrong. */
struct store *store_open(const char *dir, char *why, size_t size);
void store_close(struct store *s);
/* All of these: 0 or ERR_STORE, then store_why tells. One transaction each, on disk when it returns. */
MUST_CHECK int store_put_config(struct store *s, u64 abi, const struct store_config *c);
/* ERR_NOTFOUND: none recorded; ERR_ABI: recorded by another version of Margay. */
MUST_CHECK int store_get_config(struct store *s, u64 abi, struct store_config *c_r);
void store_config_free(struct store_config *c);
/* drained: remember it; else forget it. */
MUST_CHECK int store_put_drained(struct store *s, const char *server, bool drained);
/* 1 drained, 0 not. */
MUST_CHECK int store_get_drained(struct store *s, const char *server);
/* The highest generation recorded, 0 if none. */
u64 store_generation(struct store *s);
const char *store_why(const struct store *s);
#endif
