/* Unit tests of proto/auth. The vectors were computed with python3's hashlib; PASSWORD() of a
 * MariaDB 10.11 gave the same stage2 for the three passwords that are not empty. */
#include "t/unit/proto_util.h"
#include "base/str.h"
#include "proto/auth.h"

static const struct vector {
	const char *password, *stage1, *stage2, *scramble, *token;
} vectors[] = {
    {"geheim", "906072001efddf3e11e6d2b5782f4777fe038739",
     "462366917EEDD1970A48E87D8EF59EB67D2CA26F", "0102030405060708090a0b0c0d0e0f1011121314",
     "1dbf8316f278106244cf82d3e90677edc9a371e6"},
    {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "BE1BDEC0AA74B4DCB079943E70528096CCA985F8",
     "4141414141414141414141414141414141414141", "41843480c89095e82f397bbe33ac92c6b7b5c91f"},
    {"p\xc3\xa4ssw\xc3\xb6rd \xe2\x82\xac", "58baec5f058a0ffe07b5a21d23918d828f645749",
     "D027AD51A51AEC3438576BE6B74D8DAEF904D8F1", "7f7e7d7c7b7a797877767574737271706f6e6d6c",
     "a57c7941e561e2a3b592a79d6014e40ddc4abe38"},
    {NULL /* 300 times x */, "02fd68253071f895718c8d41f7ff665abe1a6290",
     "9C4DB0FA95428210D936C1F8798A4C32A96EA773", "6162636465666768696a6b6c6d6e6f7071727374",
     "1936635cc56483c064515f50196b9baa8b4c0b09"},
};

struct vector_bytes {
	u8 stage1[20], stage2[20], scramble[20], token[20];
	char password[301];
};

static void
vector_load(const struct vector *v, struct vector_bytes *b)
{
	cr_assert_eq(hex_decode(b->stage1, 20, v->stage1, 40), 0);
	cr_assert_eq(hex_decode(b->stage2, 20, v->stage2, 40), 0);
	cr_assert_eq(hex_decode(b->scramble, 20, v->scramble, 40), 0);
	cr_assert_eq(hex_decode(b->token, 20, v->token, 40), 0);
	memset(b->password, 'x', 300);
	b->password[300] = '\0';
	if (v->password != NULL)
		cr_assert(str_copy(b->password, sizeof b->password, v->password));
}

Test(auth, known_answers)
{
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		struct vector_bytes b;
		u8 got[20];

		vector_load(&vectors[i], &b);
		auth_native_stage1(b.password, strlen(b.password), got);
		cr_assert_arr_eq(got, b.stage1, 20);
		auth_native_stage2(b.stage1, got);
		cr_assert_arr_eq(got, b.stage2, 20);
		auth_native_token(b.stage1, b.scramble, got);
		cr_assert_arr_eq(got, b.token, 20);
		cr_assert(auth_native_check(b.token, b.stage2, b.scramble, got));
		cr_assert_arr_eq(got, b.stage1, 20);
	}
}

Test(auth, every_flipped_bit_is_refused)
{
	static const u8 zeros[20];
	struct vector_bytes b;
	u8 got[20];

	vector_load(&vectors[0], &b);
	for (int bit = 0; bit < 480; bit++) {
		u8 *field = bit < 160 ? b.token : bit < 320 ? b.stage2 : b.scramble;
		u8 mask = (u8)(1 << bit % 8);

		field[bit % 160 / 8] ^= mask;
		memset(got, 0xaa, sizeof got);
		cr_assert(!auth_native_check(b.token, b.stage2, b.scramble, got), "bit %d", bit);
		cr_assert_arr_eq(got, zeros, 20);
		field[bit % 160 / 8] ^= mask;
	}
	cr_assert(auth_native_check(b.token, b.stage2, b.scramble, got));
}

Test(auth, check_may_write_over_its_token)
{
	struct vector_bytes b;

	vector_load(&vectors[2], &b);
	cr_assert(auth_native_check(b.token, b.stage2, b.scramble, b.token));
	cr_assert_arr_eq(b.token, b.stage1, 20);
}

Test(auth, sha1)
{
	u8 got[20], want[20];

	cr_assert_eq(hex_decode(want, 20, "a9993e364706816aba3e25717850c26c9cd0d89d", 40), 0);
	auth_sha1("abc", 3, got); /* FIPS 180 example */
	cr_assert_arr_eq(got, want, 20);
}

Test(auth, hash_text)
{
	static const char *const bad[] = {
	    "",
	    "*",
	    "462366917EEDD1970A48E87D8EF59EB67D2CA26F",
	    "*462366917EEDD1970A48E87D8EF59EB67D2CA26",
	    "*462366917EEDD1970A48E87D8EF59EB67D2CA26F0",
	    "*462366917EEDD1970A48E87D8EF59EB67D2CA26G",
	    " *462366917EEDD1970A48E87D8EF59EB67D2CA26F",
	    "*462366917EEDD1970A48E87D8EF59EB67D2CA26F ",
	    "*462366917EEDD1970A48E87D8EF59EB67D2C-26F",
	    "565491d704013245", /* the 16 digits of before 4.1 */
	};
	struct vector_bytes b;
	u8 got[20];

	vector_load(&vectors[0], &b);
	cr_assert_eq(auth_hash_parse("*462366917EEDD1970A48E87D8EF59EB67D2CA26F", got), 0);
	cr_assert_arr_eq(got, b.stage2, 20);
	memset(got, 0, sizeof got);
	cr_assert_eq(auth_hash_parse("*462366917eedd1970a48e87d8ef59eb67d2ca26f", got), 0);
	cr_assert_arr_eq(got, b.stage2, 20);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_assert_eq(auth_hash_parse(bad[i], got), ERR_INVAL, "%s", bad[i]);
}

Test(auth, scrambles)
{
	u8 last[20] = {0}, s[20];
	bool seen[256] = {false};
	int used = 0;

	for (int i = 0; i < 2000; i++) {
		cr_assert_eq(auth_scramble_new(s), 0);
		for (int k = 0; k < 20; k++)
			seen[s[k]] = true;
		cr_assert_neq(memcmp(s, last, 20), 0);
		memcpy(last, s, 20);
	}
	cr_assert(!seen[0] && !seen['$']);
	for (int c = 128; c < 256; c++)
		cr_assert(!seen[c]);
	for (int c = 1; c < 128; c++)
		used += seen[c];
	cr_assert_eq(used, 126, "each byte occurs in 40,000 (one is missing once in 10^138)");
}
