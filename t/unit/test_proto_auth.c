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

/* ---- caching_sha2_password ---- */

Test(auth, sha2_token)
{
	/* hashlib: the formula of the protocol's page for "geheim" and the scramble 01..14 */
	static const u8 zeros[32];
	u8 key1[32], key2[32], token[32], want[32], got[32], scramble[20];

	for (int i = 0; i < 20; i++)
		scramble[i] = (u8)(i + 1);
	auth_sha256("geheim", 6, key1);
	auth_sha256(key1, 32, key2);
	auth_sha2_token(key1, scramble, token);
	cr_assert_eq(hex_decode(want, 32, "6473c806df99ceed81b3781c80e3e5434b38afc2004e452cb6ce5b1458a60404", 64), 0);
	cr_assert_arr_eq(token, want, 32);
	cr_assert(auth_sha2_check(token, key2, scramble, got));
	cr_assert_arr_eq(got, key1, 32);
	for (int bit = 0; bit < 256; bit++) {
		token[bit / 8] ^= (u8)(1 << bit % 8);
		memset(got, 0xaa, sizeof got);
		cr_assert(!auth_sha2_check(token, key2, scramble, got), "bit %d", bit);
		cr_assert_arr_eq(got, zeros, 32);
		token[bit / 8] ^= (u8)(1 << bit % 8);
	}
}

static void
crypt_whole(const char *password, size_t len, const u8 *salt, size_t salt_len, u32 rounds, char digest[AUTH_SHA2_DIGEST + 1])
{
	struct auth_crypt c;

	auth_crypt_begin(&c, password, len, salt, salt_len, rounds);
	for (u32 piece = 1; !auth_crypt_run(&c, piece); piece += 7)
		cr_assert_leq(piece, 7 * rounds);
	auth_crypt_end(&c, digest);
}

static bool
hash_check(const struct auth_sha2_hash *h, const char *password, size_t len)
{
	char digest[AUTH_SHA2_DIGEST + 1];

	crypt_whole(password, len, h->salt, sizeof h->salt, h->rounds, digest);
	return auth_sha2_same(h, digest);
}

Test(auth, sha2_crypt_as_published)
{
	/* from the specification of SHA-crypt: rounds in the text, salts of up to 16 bytes */
	static const struct {
		const char *password, *salt, *digest;
		u32 rounds;
	} v[] = {
	    {"Hello world!", "saltstring", "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 5000},
	    {"Hello world!", "saltstringsaltst", "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA", 10000},
	    {"we have a short salt string but not a short password", "short",
	        "JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/", 77777},
	};
	char digest[AUTH_SHA2_DIGEST + 1];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		crypt_whole(v[i].password, strlen(v[i].password), (const u8 *)v[i].salt, strlen(v[i].salt),
		    v[i].rounds, digest);
		cr_assert_str_eq(digest, v[i].digest);
	}
	char longer[200]; /* more blocks than one; crypt(3) of glibc gave the digest */
	memset(longer, 'x', sizeof longer);
	crypt_whole(longer, sizeof longer, (const u8 *)"saltsaltsalt", 12, 5000, digest);
	cr_assert_str_eq(digest, "HBj4bS4jL3HBHoH0R8clH1DDgPSnA.0s.ovYCPFMOnC");
}

Test(auth, sha2_stored_hash)
{
	/* a MySQL 8 server's hash of "password", as published for crackers. (hashcat's own example of mode 7401 has
	 * a wrong bit in a part that hashcat does not compare.) */
	static const char hex[] = "0x2441243030352406437A150142644D74187A6A2F0D7971094F2575"
				  "48667A67485366745A304F6A487A73704250663465337A7530325157687A51364A384D737554424939702E";
	struct auth_sha2_hash h;
	char raw[70], bad[2 + 140 + 1];

	cr_assert_eq(auth_sha2_hash_parse(hex, strlen(hex), &h), 0);
	cr_assert_eq(h.rounds, 5000);
	cr_assert(hash_check(&h, "password", 8));
	cr_assert(!hash_check(&h, "passworD", 8));
	cr_assert(!hash_check(&h, "", 0));
	cr_assert_eq(hex_decode(raw, sizeof raw, hex + 2, 140), 0);
	cr_assert_eq(auth_sha2_hash_parse(raw, sizeof raw, &h), 0);
	for (size_t len = 0; len < sizeof raw; len++)
		cr_assert_eq(auth_sha2_hash_parse(raw, len, &h), ERR_INVAL);
	memcpy(bad, hex, sizeof bad);
	bad[2] = '3'; /* another first letter */
	cr_assert_eq(auth_sha2_hash_parse(bad, strlen(bad), &h), ERR_INVAL);
	raw[3] = raw[4] = raw[5] = '0'; /* no rounds */
	cr_assert_eq(auth_sha2_hash_parse(raw, sizeof raw, &h), ERR_INVAL);
}

/* ---- client_ed25519 ---- */

Test(auth, ed25519_public_keys)
{
	/* MariaDB: its own test of ed25519_password(), and "secret" from its manual */
	static const char *const v[][2] = {
	    {"foo", "vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4TI"},
	    {"foobar", "qv2mG6HWCuy32Slb5xhV4THStewNz2VINVPbgk+XAJ8"},
	    {"foo bar", "Y5fV74JAVRMOK2cdnUsYS+WW9sXaaL/o+6WGKOgqnzc"},
	    {"secret", "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY"},
	};
	u8 want[32], got[32];

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		cr_assert_eq(auth_ed25519_parse(v[i][1], strlen(v[i][1]), want), 0);
		auth_ed25519_public(v[i][0], strlen(v[i][0]), got);
		cr_assert_arr_eq(got, want, 32, "%s", v[i][0]);
	}
	cr_assert_eq(auth_ed25519_parse(v[0][1], 42, got), ERR_INVAL);
	for (int c = 0; c < 256; c++) {
		char text[AUTH_ED25519_TEXT];
		bool digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';

		memcpy(text, v[0][1], sizeof text);
		text[7] = (char)c;
		cr_assert_eq(auth_ed25519_parse(text, sizeof text, got), digit ? 0 : ERR_INVAL, "byte %d", c);
	}
	cr_assert_eq(auth_ed25519_parse("vubFBzIrapbfHct1/J72dnUryz5VS7lA6XHH8sIx4T=", 43, got), ERR_INVAL);
}

Test(auth, ed25519_signatures)
{
	char password[200];
	u8 nonce[32], sig[64], pub[32];

	for (size_t len = 0; len < sizeof password; len += 7) {
		memset(password, 'p', sizeof password);
		for (int i = 0; i < 32; i++)
			nonce[i] = (u8)(len * 31 + (size_t)i);
		auth_ed25519_public(password, len, pub);
		auth_ed25519_sign(password, len, nonce, sig);
		cr_assert(auth_ed25519_check(sig, pub, nonce));
		nonce[len % 32] ^= 1;
		cr_assert(!auth_ed25519_check(sig, pub, nonce));
		nonce[len % 32] ^= 1;
		sig[len % 64] ^= 4;
		cr_assert(!auth_ed25519_check(sig, pub, nonce));
	}
	/* a signature as python's cryptography makes it: a password of 32 bytes is a seed of RFC 8032 */
	for (int i = 0; i < 32; i++)
		nonce[i] = (u8)i;
	u8 want[64];
	cr_assert_eq(hex_decode(want, 64, "bcb423b81f80c21c8d47db7c0b6873aa3a2779ba7b4a01c32c04a1eb974c83926200298969e5f50f2a0d0c5264b319c3530b115b270d819a60191ee19ad27301", 128), 0);
	auth_ed25519_sign("0123456789abcdef0123456789ABCDEF", 32, nonce, sig);
	cr_assert_arr_eq(sig, want, 64);
}

/* ---- under a server's RSA key: that what comes out can be read is shown with a peer (t/sys/test_auth_server.py) ---- */

static const char rsa_2048[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAwsJBdkNVQjjgI+tcLPkf\n"
    "Az2D0gYckIRKCSZsSFGsHdtozzeAr+PmajQiaGRrI45aNbMl2BK2BddQ9wItQMjX\n"
    "PanUTGoFbpkqLnhfjKM9L37k8Lrj9VKe8dPBe2Sc0AdMDJk72pCxLUNd2Jgo6gdA\n"
    "Ld/0qmu07mIyI3uACoiZwQelOaJPrFSHtuVc87wlSkah4S6/tmrZbLsRbluzUsrk\n"
    "4/SCqTKwzKtiXKAlO92mVbVDnWpBWaiYZM1PXG43jzaF5J5D1qUQPHzOI0KJczTK\n"
    "oQlktjArHK00wI2ow28npIF2t40ELuQsaSbXXZNbBNXpiWq0zJ7IbJNscU1iMUcA\n"
    "gQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

Test(auth, rsa_seal)
{
	u8 a[AUTH_RSA_MOST], b[AUTH_RSA_MOST];
	size_t n = 0, len = sizeof rsa_2048 - 1;
	char pw[601];

	memset(pw, 'x', sizeof pw);
	cr_assert_eq(auth_rsa_seal(rsa_2048, len, "secret", 6, (const u8 *)"01234567890123456789", a, &n), 0);
	cr_assert_eq(n, 256);
	cr_assert_eq(auth_rsa_seal(rsa_2048, len, "secret", 6, (const u8 *)"01234567890123456789", b, &n), 0);
	cr_assert(memcmp(a, b, 256) != 0, "OAEP is random");
	cr_assert_eq(auth_rsa_seal(rsa_2048, len, pw, 213, a, b, &n), 0, "256 - 42 with the NUL");
	cr_assert_eq(auth_rsa_seal(rsa_2048, len, pw, 214, a, b, &n), ERR_LIMIT);
	cr_assert_eq(auth_rsa_seal(rsa_2048, len, pw, 600, a, b, &n), ERR_LIMIT);
	/* cut anywhere in the base64, and what is none at all */
	for (size_t i = 0; i < len - 30; i++)
		cr_assert_eq(auth_rsa_seal(rsa_2048, i, pw, 6, a, b, &n), ERR_INVAL, "cut at %zu", i);
	cr_assert_eq(auth_rsa_seal("\1\2\3", 3, pw, 6, a, b, &n), ERR_INVAL);
	/* an elliptic curve, and 512 bits */
	static const char ec[] = "-----BEGIN PUBLIC KEY-----\n"
	    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENUP8nuLNtrn2739V0LrWSXqlW3vW\n"
	    "VYI7Af5E8g/G82KYwFsu+SieJA1i5W6RUXNPCxxdUoNmoo7cYYm5Fn4jTg==\n"
	    "-----END PUBLIC KEY-----\n",
	    small[] = "-----BEGIN PUBLIC KEY-----\n"
	    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAOL+wOIm4mWnsl56l61k8s5jPc0YkAYV\n"
	    "oqk+LesciCC39Apsw57HEJJAOgqUyZF/99xCihnegv69KJ+zQ9tDgL8CAwEAAQ==\n"
	    "-----END PUBLIC KEY-----\n";
	cr_assert_eq(auth_rsa_seal(ec, sizeof ec - 1, pw, 6, a, b, &n), ERR_INVAL);
	cr_assert_eq(auth_rsa_seal(small, sizeof small - 1, pw, 6, a, b, &n), ERR_INVAL);
}
