/* Unit tests of shm/auth.c and the setup of its segment. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "shm/auth.h"

static const struct shm_caps caps = {.max_servers = 1, .max_workers = 1, .max_users = 40, .max_sessions = 1, .max_cells = 1};

static struct shm_seg_auth *
segment(void)
{
	struct shm_seg_auth *s = aligned_alloc(64, (shm_size_auth(&caps) + 63) / 64 * 64);

	cr_assert_not_null(s);
	memset(s, 0, shm_size_auth(&caps));
	s->h.size = shm_size_auth(&caps);
	shm_auth_setup(s, &caps);
	cr_assert_eq(s->a.entries, 128);
	return s;
}

static u64
value(const struct shm_seg_auth *s, u64 a, u64 b)
{
	u64 key[2] = {a, b}, words[SHM_AUTH_WORDS];

	if (!shm_auth_get(s, key, words))
		return 0;
	for (u32 i = 0; i < SHM_AUTH_WORDS; i++)
		cr_assert_eq(words[i], words[0] + i);
	return words[0];
}

static void
put(struct shm_seg_auth *s, u64 a, u64 b, u64 v, u64 stamp)
{
	u64 key[2] = {a, b}, words[SHM_AUTH_WORDS];

	for (u32 i = 0; i < SHM_AUTH_WORDS; i++)
		words[i] = v + i;
	shm_auth_put(s, key, words, stamp);
}

Test(auth_table, put_and_get)
{
	struct shm_seg_auth *s = segment();

	cr_assert_eq(value(s, 1, 2), 0);
	for (u64 i = 1; i <= 100; i++)
		put(s, i * 0x9e3779b97f4a7c15u, i, i * 1000, i);
	for (u64 i = 1; i <= 100; i++)
		cr_assert_eq(value(s, i * 0x9e3779b97f4a7c15u, i), i * 1000);
	cr_assert_eq(value(s, 5 * 0x9e3779b97f4a7c15u, 6), 0, "both words are the key");
	put(s, 5 * 0x9e3779b97f4a7c15u, 5, 77, 5);
	cr_assert_eq(value(s, 5 * 0x9e3779b97f4a7c15u, 5), 77, "in its own place");
	free(s);
}

/* Nine keys for eight places: what was used least lately goes; at the end of the table they go on at its beginning. */
Test(auth_table, the_oldest_goes)
{
	for (u64 base = 1; base < 256; base += 126) {
		struct shm_seg_auth *s = segment();
		for (u64 i = 0; i < 8; i++)
			put(s, base, 10 + i, 1000 * (i + 1), 50 + i);
		u64 key[2] = {base, 10};
		shm_auth_touch(s, key, 100);
		put(s, base, 99, 5000000, 60);
		cr_assert_eq(value(s, base, 11), 0);
		for (u64 i = 0; i < 8; i++)
			if (i != 1)
				cr_assert_eq(value(s, base, 10 + i), 1000 * (i + 1));
		cr_assert_eq(value(s, base, 99), 5000000);
		u64 none[2] = {base, 5};
		shm_auth_touch(s, none, 1);
		free(s);
	}
}
