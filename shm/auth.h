/* shm/auth.h: the table of what logins have taught, shared by all workers and epochs. Words only: what is in an entry, and
 * whether it is whole, is for worker/sess_learn.c, which has the means to seal it. Workers run it; nothing waits, and each
 * of them may die between any two instructions.
 *
 * An entry is written in place, word by word. Who reads while it is written, or after its writer died, or where two wrote at
 * once, gets a mixture: the checksum in the words tells.
 */
#ifndef MARGAY_SHM_AUTH_H
#define MARGAY_SHM_AUTH_H
#include "shm/map.h"

#define SHM_AUTH_WORDS 10 /* of an entry, besides its key and stamp */
_Static_assert((3 + SHM_AUTH_WORDS) * sizeof(u64) <= sizeof(struct shm_autent), "autent");

/* The words under key (key[0] is not 0), which may be a mixture. False: there are none. */
bool shm_auth_get(const struct shm_seg_auth *s, const u64 key[2], u64 words_r[SHM_AUTH_WORDS]);
/* In the place of those that were there under this key, or of what was not used for the longest time. stamp: when, rising. */
void shm_auth_put(struct shm_seg_auth *s, const u64 key[2], const u64 words[SHM_AUTH_WORDS], u64 stamp);
/* It was used. */
void shm_auth_touch(struct shm_seg_auth *s, const u64 key[2], u64 stamp);
#endif
