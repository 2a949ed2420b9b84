/* master/store.c: the only file that knows LMDB. Master only, one thread; the environment never crosses a
 * fork that does not exec. Nothing here may be called by a child.
 */
#include "master/store.h"
#include "base/clock.h"
#include "base/err.h"
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_MAP_SIZE (256u << 20) /* address space only; a configuration is some hundred KiB */

struct store {
	MDB_env *env;
	MDB_dbi dbi;
	int lock_fd;
	char why[256];
};
struct store_meta {
	u64 abi, generation, saved_ms;
};

static const char KEY_META[] = "config.meta", KEY_SNAP[] = "config.snapshot",
                  KEY_SECRETS[] = "config.secrets", KEY_DRAINED[] = "drained.";

static int
failed(struct store *s, const char *what, int rc)
{
	snprintf(s->why, sizeof s->why, "%s: %s", what, mdb_strerror(rc));
	return ERR_STORE;
}

/* LMDB's own lock file is a sparse mapping: on a full file system touching it ends in SIGBUS. We are one
 * process with one thread, so MDB_NOLOCK and a flock against a second instance do the same. */
static int
lock_dir(const char *dir, char *why, size_t size)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof path, "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		snprintf(why, size, "%s: another instance uses this state_dir", path);
		close(fd);
		return -1;
	}
	return fd;
}

/* A file cut short (a disk that was full, a bad copy) would end in SIGBUS when its pages are touched. */
static bool
is_whole(MDB_env *env, const char *path)
{
	MDB_envinfo info;
	MDB_stat ms;
	struct stat st;

	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &ms) != 0 || stat(path, &st) != 0)
		return false;
	return (u64)st.st_size >= (u64)(info.me_last_pgno + 1) * ms.ms_psize;
}

static int
open_env(struct store *s, const char *dir)
{
	char path[4096];
	MDB_txn *txn;
	int rc = mdb_env_create(&s->env);

	snprintf(path, sizeof path, "%s/margay.mdb", dir);
	if (rc != 0)
		return rc;
	rc = mdb_env_set_mapsize(s->env, STORE_MAP_SIZE);
	if (rc == 0)
		rc = mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
	if (rc == 0 && !is_whole(s->env, path))
		rc = MDB_CORRUPTED;
	if (rc != 0)
		return rc;
	rc = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &s->dbi);
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	return mdb_txn_commit(txn);
}

struct store *
store_open(const char *dir, char *why, size_t size)
{
	struct store *s = calloc(1, sizeof *s);
	int rc;

	if (s == NULL) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	s->lock_fd = lock_dir(dir, why, size);
	if (s->lock_fd < 0) {
		free(s);
		return NULL;
	}
	rc = open_env(s, dir);
	if (rc != 0) {
		snprintf(why, size, "%s/margay.mdb: %s", dir, mdb_strerror(rc));
		store_close(s);
		return NULL;
	}
	return s;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->env != NULL)
		mdb_env_close(s->env);
	close(s->lock_fd);
	free(s);
}

const char *
store_why(const struct store *s)
{
	return s->why;
}

/* The caller's bytes; LMDB's struct has no const. */
static MDB_val
val_of(const void *p, size_t n)
{
	MDB_val v = {.mv_size = n};

	memcpy(&v.mv_data, &p, sizeof p);
	return v;
}

static int
put(MDB_txn *txn, MDB_dbi dbi, const char *key, const void *p, size_t n)
{
	MDB_val k = val_of(key, strlen(key)), v = val_of(p, n);

	return mdb_put(txn, dbi, &k, &v, 0);
}

int
store_put_config(struct store *s, u64 abi, const struct store_config *c)
{
	struct store_meta m = {abi, c->generation, c->saved_ms};
	MDB_txn *txn;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return failed(s, "last good configuration", rc);
	rc = put(txn, s->dbi, KEY_META, &m, sizeof m);
	if (rc == 0)
		rc = put(txn, s->dbi, KEY_SNAP, c->snap, c->snap_size);
	if (rc == 0)
		rc = put(txn, s->dbi, KEY_SECRETS, c->secrets, c->secrets_size);
	if (rc != 0)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return rc == 0 ? 0 : failed(s, "last good configuration", rc);
}

/* Copies out of the map, which moves with the next write. 0, ERR_NOTFOUND, ERR_STORE. */
static int
get_copy(struct store *s, MDB_txn *txn, const char *key, void **p_r, size_t *n_r)
{
	MDB_val k = val_of(key, strlen(key)), v;
	int rc = mdb_get(txn, s->dbi, &k, &v);

	if (rc == MDB_NOTFOUND)
		return ERR_NOTFOUND;
	if (rc != 0)
		return failed(s, key, rc);
	*p_r = malloc(v.mv_size + 1);
	if (*p_r == NULL)
		return failed(s, key, ENOMEM);
	memcpy(*p_r, v.mv_data, v.mv_size);
	*n_r = v.mv_size;
	return 0;
}

static int
get_meta(struct store *s, MDB_txn *txn, struct store_meta *m)
{
	void *p;
	size_t n;
	int rc = get_copy(s, txn, KEY_META, &p, &n);

	if (rc != 0)
		return rc;
	if (n != sizeof *m)
		rc = ERR_ABI;
	else
		memcpy(m, p, n);
	free(p);
	return rc;
}

int
store_get_config(struct store *s, u64 abi, struct store_config *c)
{
	struct store_meta m;
	MDB_txn *txn;
	int rc;

	memset(c, 0, sizeof *c);
	rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return failed(s, "reading", rc);
	rc = get_meta(s, txn, &m);
	if (rc == 0 && m.abi != abi)
		rc = ERR_ABI;
	if (rc == 0)
		rc = get_copy(s, txn, KEY_SNAP, &c->snap, &c->snap_size);
	if (rc == 0)
		rc = get_copy(s, txn, KEY_SECRETS, &c->secrets, &c->secrets_size);
	mdb_txn_abort(txn);
	if (rc != 0) {
		store_config_free(c);
		return rc;
	}
	c->generation = m.generation;
	c->saved_ms = m.saved_ms;
	return 0;
}

void
store_config_free(struct store_config *c)
{
	if (c->secrets != NULL)
		explicit_bzero(c->secrets, c->secrets_size);
	free(c->snap);
	free(c->secrets);
	memset(c, 0, sizeof *c);
}

u64
store_generation(struct store *s)
{
	struct store_meta m;
	MDB_txn *txn;
	int rc;

	if (mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	rc = get_meta(s, txn, &m);
	mdb_txn_abort(txn);
	return rc == 0 ? m.generation : 0;
}

int
store_put_drained(struct store *s, const char *server, bool drained)
{
	char key[128];
	MDB_txn *txn;
	MDB_val k;
	int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (rc != 0)
		return failed(s, "drained servers", rc);
	k = val_of(key, (size_t)snprintf(key, sizeof key, "%s%.100s", KEY_DRAINED, server));
	rc = drained ? put(txn, s->dbi, key, "1", 1) : mdb_del(txn, s->dbi, &k, NULL);
	if (rc == MDB_NOTFOUND)
		rc = 0;
	if (rc != 0)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
	return rc == 0 ? 0 : failed(s, "drained servers", rc);
}

int
store_get_drained(struct store *s, const char *server)
{
	char key[128];
	MDB_txn *txn;
	MDB_val k, v;
	int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);

	if (rc != 0)
		return failed(s, "drained servers", rc);
	k = val_of(key, (size_t)snprintf(key, sizeof key, "%s%.100s", KEY_DRAINED, server));
	rc = mdb_get(txn, s->dbi, &k, &v);
	mdb_txn_abort(txn);
	if (rc == MDB_NOTFOUND)
		return 0;
	return rc == 0 ? 1 : failed(s, "drained servers", rc);
}
