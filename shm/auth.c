/* shm/auth.c: see auth.h. Workers. */
#include "shm/auth.h"

#define WINDOW 8 /* places that an entry may stand in: the table is at most half full, so one of them is nearly always free */

static u64
get(const u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void
set(u64 *p, u64 v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static struct shm_autent *
place(const struct shm_seg_auth *s, const u64 key[2], u32 i)
{
	return &shm_auth_entries(s)[(key[0] + i) & (s->a.entries - 1)];
}

static struct shm_autent *
find(const struct shm_seg_auth *s, const u64 key[2])
{
	for (u32 i = 0; i < WINDOW; i++) {
		struct shm_autent *e = place(s, key, i);

		if (get(&e->word[0]) == key[0] && get(&e->word[1]) == key[1])
			return e;
	}
	return NULL;
}

bool
shm_auth_get(const struct shm_seg_auth *s, const u64 key[2], u64 words_r[SHM_AUTH_WORDS])
{
	const struct shm_autent *e = find(s, key);

	for (u32 i = 0; e != NULL && i < SHM_AUTH_WORDS; i++)
		words_r[i] = get(&e->word[3 + i]);
	return e != NULL;
}

void
shm_auth_put(struct shm_seg_auth *s, const u64 key[2], const u64 words[SHM_AUTH_WORDS], u64 stamp)
{
	struct shm_autent *e = find(s, key), *p;

	for (u32 i = 0; e == NULL && i < WINDOW; i++)
		if (get(&(p = place(s, key, i))->word[0]) == 0)
			e = p;
	if (e == NULL) {
		e = place(s, key, 0);
		for (u32 i = 1; i < WINDOW; i++)
			if (get(&(p = place(s, key, i))->word[2]) < get(&e->word[2]))
				e = p;
	}
	set(&e->word[0], key[0]);
	set(&e->word[1], key[1]);
	set(&e->word[2], stamp);
	for (u32 i = 0; i < SHM_AUTH_WORDS; i++)
		set(&e->word[3 + i], words[i]);
}

void
shm_auth_touch(struct shm_seg_auth *s, const u64 key[2], u64 stamp)
{
	struct shm_autent *e = find(s, key);

	if (e != NULL)
		set(&e->word[2], stamp);
}
