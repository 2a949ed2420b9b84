/* master/listen.h: listening sockets. For each address one SO_REUSEPORT socket for every worker slot, kept
 * open here over a worker's crash, so that its accept queue survives; for a Unix path one that all workers
 * share, as such sockets do not balance. Master only; must be called by the service user: a socket bound by
 * another user keeps ours out (EADDRINUSE).
 */
#ifndef MARGAY_MASTER_LISTEN_H
#define MARGAY_MASTER_LISTEN_H
#include "conf/addr.h"
#include "shm/cfg.h"
#include "shm/link.h"
#include <sys/types.h>

struct listener {
	struct conf_addr addr;
	u32 tls;                  /* struct cfg_listen: of the generation in force */
	int fd[LINK_MAX_WORKERS]; /* unix: fd[0] is for all; -1: closed */
	dev_t dev;                /* unix: which file is ours */
	ino_t ino;
	bool hidden;              /* unix: still under its other name */
};
struct listen_set {
	u32 n, nslots;
	int backlog;
	bool hide; /* new Unix sockets keep out of sight until listen_expose */
	struct listener l[LINK_MAX_LISTEN];
};

void listen_init(struct listen_set *s, u32 nslots);
/* Makes the sockets of generation c: those of `old` with the same address are shared (the same descriptors),
 * the others are bound now. 0; ERR_SYSTEM: `why` names the first address that failed, nothing was kept.
 * old_dir: epoch directories are below; sockets recorded there are our predecessor's. */
MUST_CHECK int listen_open(struct listen_set *s, const struct cfg *c, const struct listen_set *old,
    const char *runtime_dir, char *why, size_t size);
/* Gives hidden Unix sockets their path. While workers of an earlier epoch serve it, that has to wait until ours
 * do: should we fail, the path must still lead to them. Failures are logged. */
void listen_expose(struct listen_set *s);
/* Undoes listen_open: closes what `old` does not share. */
void listen_abandon(struct listen_set *s, const struct listen_set *old);
/* After the workers were told: closes what `s` no longer has, and removes Unix paths that are no longer ours. */
void listen_retire(struct listen_set *old, const struct listen_set *s);
/* Closes all and removes our Unix paths. */
void listen_close(struct listen_set *s);
/* A throttled slot gives up its sockets (unix ones are shared and stay); opens them again. */
void listen_slot_close(struct listen_set *s, u32 slot);
MUST_CHECK int listen_slot_open(struct listen_set *s, u32 slot, char *why, size_t size);
/* Does the slot have all its sockets? */
bool listen_slot_is_open(const struct listen_set *s, u32 slot);
/* Body and descriptors of LINK_LISTEN for a slot; own_only: without the shared ones (LINK_TAKEOVER).
 * fds_r: LINK_MAX_LISTEN. Returns how many. */
u32 listen_message(const struct listen_set *s, u32 slot, bool own_only, struct link_listen *m_r, int *fds_r);
/* Writes which Unix sockets are ours into epoch_dir/unix, for a successor. */
void listen_record(const struct listen_set *s, const char *epoch_dir);
#endif
