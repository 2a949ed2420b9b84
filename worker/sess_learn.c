/* worker/sess_learn.c: what a login teaches about a password of which the configuration has but a hash, for the next logins at
 * all workers: caching_sha2_password is then checked by its token, and SHA1(password) logs in at servers. Owns the contents of
 * the auth segment's entries. Runs in a worker.
 *
 * The place of an entry, its checksum and the mask over its contents are digests of the segment's salt with the user's name
 * and hash. So an entry is of no use to who has the segment and not the configuration; one that is a mixture of two, or that
 * anybody made up who does not know the hash, is none; and after the hash has changed nothing of the old password is found.
 * The mask hides one value only, as there is one password for a hash, so it may be the same each time.
 */
#include "base/str.h"
#include "shm/auth.h"
#include "worker/sess_auth.h"

#define TOUCH_MS 60000 /* how exactly it is known when an entry was used */

struct seal {
	u64 key[2];
	u8 mask[64];
};
struct sealed { /* the words of an entry */
	u8 sum[16];
	u8 masked[64];
};
_Static_assert(sizeof(struct sealed) == SHM_AUTH_WORDS * sizeof(u64) && sizeof(struct learned) <= 64, "entry");

/* SHA256(what, salt, length of name, name, secret, extra) */
static void
digest(const struct worker *w, u8 what, const char *name, const char *secret, const void *extra, size_t n, u8 out[32])
{
	u8 buf[2048];
	struct wr t = wr_init(buf, sizeof buf);

	wr_u8(&t, what);
	wr_bytes(&t, w->auth->a.salt, sizeof w->auth->a.salt);
	wr_u32(&t, (u32)strlen(name));
	wr_bytes(&t, name, strlen(name));
	wr_nul_str(&t, secret);
	wr_bytes(&t, extra, n);
	AZ(t.bad); /* hashes have 142 characters at most, names 128 */
	auth_sha256(buf, t.len, out);
	mem_wipe(buf, sizeof buf);
}

static void
seal_for(const struct worker *w, const char *name, const char *secret, struct seal *l)
{
	u8 d[32];

	digest(w, 0, name, secret, NULL, 0, d);
	memcpy(l->key, d, sizeof l->key);
	l->key[0] |= 1; /* 0 is a free place */
	digest(w, 1, name, secret, NULL, 0, l->mask);
	digest(w, 2, name, secret, NULL, 0, l->mask + 32);
}

static void
mask(u8 p[64], const struct seal *l)
{
	for (size_t i = 0; i < sizeof l->mask; i++)
		p[i] ^= l->mask[i];
}

bool
learn_get(struct worker *w, const char *name, const char *secret, struct learned *l_r)
{
	u64 words[SHM_AUTH_WORDS];
	struct sealed e;
	struct seal l;
	u8 sum[32];
	bool ok;

	seal_for(w, name, secret, &l);
	if (!shm_auth_get(w->auth, l.key, words))
		return false;
	memcpy(&e, words, sizeof e);
	mask(e.masked, &l);
	digest(w, 3, name, secret, e.masked, sizeof e.masked, sum);
	ok = memcmp(sum, e.sum, sizeof e.sum) == 0;
	memcpy(l_r, e.masked, sizeof *l_r);
	if (ok)
		shm_auth_touch(w->auth, l.key, clock_wall_ms() / TOUCH_MS);
	else
		mem_wipe(l_r, sizeof *l_r);
	mem_wipe(&e, sizeof e);
	mem_wipe(&l, sizeof l);
	return ok;
}

void
learn_put(struct worker *w, const char *name, const char *secret, struct slice password)
{
	u64 words[SHM_AUTH_WORDS];
	struct sealed e = {0};
	struct learned v;
	struct seal l;
	u8 sum[32];

	auth_sha256(password.p, password.len, sum);
	auth_sha256(sum, sizeof sum, v.key2);
	auth_native_stage1((const char *)password.p, password.len, v.stage1);
	memcpy(e.masked, &v, sizeof v);
	seal_for(w, name, secret, &l);
	digest(w, 3, name, secret, e.masked, sizeof e.masked, sum);
	memcpy(e.sum, sum, sizeof e.sum);
	mask(e.masked, &l);
	memcpy(words, &e, sizeof words);
	shm_auth_put(w->auth, l.key, words, clock_wall_ms() / TOUCH_MS);
	STAT_ADD(w->stat->passwords_learned, 1);
	mem_wipe(&v, sizeof v);
	mem_wipe(&e, sizeof e);
	mem_wipe(&l, sizeof l);
}
