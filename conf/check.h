/* conf/check.h: the rules that one option alone cannot break. Pure: looks at nothing but the tree;
 * reports all errors, not the first.
 */
#ifndef MARGAY_CONF_CHECK_H
#define MARGAY_CONF_CHECK_H
#include "conf/tree.h"
#include "shm/cfg.h"

/* Room in the shared memory; from the options max_*, or as it was made at start. */
struct conf_room {
	u64 workers, servers, users, server_connections;
	bool kept; /* made at start: a change needs a restart */
};
void check_tree(struct conf_tree *t);
/* Do the sections fit? Once with the file's own max_*, at a reload once more with what there is. */
void check_room(struct conf_tree *t, const struct conf_room *room);
struct conf_room check_room_asked(const struct conf_tree *t);
/* The error that `option` names a section that is not there, with the one that may have been meant. */
void check_unknown_name(struct conf_tree *t, struct conf_pos pos, enum opt_section kind, const char *option,
			const char *name);
/* How the clients of a [user] prove who they are. */
enum cfg_auth check_auth(const struct conf_tree *t, const struct conf_section *u);
/* Number of workers that `workers` asks for: 0: auto. false: neither auto nor a number from 1. */
bool check_workers(const char *text, u64 *n_r);
#endif
