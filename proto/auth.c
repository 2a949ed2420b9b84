/* proto/auth.c: see auth.h. The one file of proto/ that includes OpenSSL. Runs in the worker. No
 * secret is logged or kept here; intermediate values on the stack are wiped.
 */
#include "proto/auth.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

#define SHA1_LEN         20
#define SHA256_LEN       32
#define SHA2_STORED      (3 + 3 + 1 + AUTH_SHA2_SALT + AUTH_SHA2_DIGEST)

static const char crypt64[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Fetched once: EVP_sha1() would look the provider up at every login. */
static EVP_MD *sha1_md;
static pthread_once_t sha1_once = PTHREAD_ONCE_INIT;

static void
sha1_fetch(void)
{
	sha1_md = EVP_MD_fetch(NULL, "SHA1", NULL);
}

void
auth_sha1(const void *p, size_t n, u8 out[20])
{
	unsigned len = 0;

	pthread_once(&sha1_once, sha1_fetch);
	if (sha1_md == NULL || EVP_Digest(p, n, out, &len, sha1_md, NULL) != 1 || len != SHA1_LEN)
		PANIC("libcrypto gives no SHA1, which mysql_native_password needs");
}

int
auth_random(void *p, size_t n)
{
	ssize_t got;

	AN(n <= 256); /* up to here getrandom gives all or nothing */
	do
		got = getrandom(p, n, 0);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)n ? 0 : ERR_SYSTEM;
}

int
auth_scramble_new(u8 scramble[AUTH_SCRAMBLE])
{
	u8 raw[32]; /* 12 to spare: 1 byte in 64 is not used */
	size_t have = 0;

	while (have < AUTH_SCRAMBLE) {
		ssize_t n = getrandom(raw, sizeof raw, 0);

		if (n < 0 && errno != EINTR)
			return ERR_SYSTEM;
		for (ssize_t i = 0; i < n && have < AUTH_SCRAMBLE; i++) {
			u8 c = raw[i] & 0x7f;

			if (c != 0 && c != '$')
				scramble[have++] = c;
		}
	}
	return 0;
}

void
auth_native_stage1(const char *password, size_t len, u8 stage1[20])
{
	auth_sha1(password, len, stage1);
}

void
auth_native_stage2(const u8 stage1[20], u8 stage2[20])
{
	auth_sha1(stage1, SHA1_LEN, stage2);
}

/* out = in XOR SHA1(scramble + stage2): makes a token of a stage1, and a stage1 of a token. */
static void
native_xor(const u8 in[20], const u8 stage2[20], const u8 scramble[20], u8 out[20])
{
	u8 both[AUTH_SCRAMBLE + SHA1_LEN], mask[SHA1_LEN];

	memcpy(both, scramble, AUTH_SCRAMBLE);
	memcpy(both + AUTH_SCRAMBLE, stage2, SHA1_LEN);
	auth_sha1(both, sizeof both, mask);
	for (int i = 0; i < SHA1_LEN; i++)
		out[i] = in[i] ^ mask[i];
	mem_wipe(both, sizeof both);
	mem_wipe(mask, sizeof mask);
}

void
auth_native_token(const u8 stage1[20], const u8 scramble[20], u8 token[20])
{
	u8 stage2[SHA1_LEN];

	auth_native_stage2(stage1, stage2);
	native_xor(stage1, stage2, scramble, token);
	mem_wipe(stage2, sizeof stage2);
}

bool
auth_native_check(const u8 token[20], const u8 stage2[20], const u8 scramble[20], u8 stage1_r[20])
{
	u8 hashed[SHA1_LEN];
	bool same;

	native_xor(token, stage2, scramble, stage1_r);
	auth_native_stage2(stage1_r, hashed);
	same = CRYPTO_memcmp(hashed, stage2, SHA1_LEN) == 0;
	if (!same)
		mem_wipe(stage1_r, SHA1_LEN);
	mem_wipe(hashed, sizeof hashed);
	return same;
}

int
auth_hash_parse(const char *text, u8 stage2[20])
{
	if (text[0] != '*')
		return ERR_INVAL;
	return hex_decode(stage2, SHA1_LEN, text + 1, strlen(text + 1));
}

/* ---- caching_sha2_password ---- */

static EVP_MD *sha256_md;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void
sha256_fetch(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* One digest of several parts; the context is the caller's, so that thousands of rounds allocate once. */
static void
sha256_parts(EVP_MD_CTX *ctx, const struct slice *part, size_t n, u8 out[32])
{
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, sha256_md, NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(ctx, part[i].p, part[i].len) == 1;
	if (!ok || EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		PANIC("libcrypto gives no SHA256, which caching_sha2_password needs");
}

void
auth_sha256(const void *p, size_t n, u8 out[32])
{
	unsigned len = 0;

	pthread_once(&sha256_once, sha256_fetch);
	if (sha256_md == NULL || EVP_Digest(p, n, out, &len, sha256_md, NULL) != 1 || len != SHA256_LEN)
		PANIC("libcrypto gives no SHA256, which caching_sha2_password needs");
}

static void
sha2_xor(const u8 in[32], const u8 key2[32], const u8 scramble[20], u8 out[32])
{
	u8 both[SHA256_LEN + AUTH_SCRAMBLE], mask[SHA256_LEN];

	memcpy(both, key2, SHA256_LEN);
	memcpy(both + SHA256_LEN, scramble, AUTH_SCRAMBLE);
	auth_sha256(both, sizeof both, mask);
	for (int i = 0; i < SHA256_LEN; i++)
		out[i] = in[i] ^ mask[i];
	mem_wipe(both, sizeof both);
	mem_wipe(mask, sizeof mask);
}

void
auth_sha2_token(const u8 key1[32], const u8 scramble[20], u8 token[32])
{
	u8 key2[SHA256_LEN];

	auth_sha256(key1, SHA256_LEN, key2);
	sha2_xor(key1, key2, scramble, token);
	mem_wipe(key2, sizeof key2);
}

bool
auth_sha2_check(const u8 token[32], const u8 key2[32], const u8 scramble[20], u8 key1_r[32])
{
	u8 hashed[SHA256_LEN];
	bool same;

	sha2_xor(token, key2, scramble, key1_r);
	auth_sha256(key1_r, SHA256_LEN, hashed);
	same = CRYPTO_memcmp(hashed, key2, SHA256_LEN) == 0;
	if (!same)
		mem_wipe(key1_r, SHA256_LEN);
	mem_wipe(hashed, sizeof hashed);
	return same;
}

int
auth_sha2_hash_parse(const char *text, size_t len, struct auth_sha2_hash *h_r)
{
	char raw[SHA2_STORED];
	u8 mult[2];
	char digits[4] = "0";

	if (len == 2 + 2 * SHA2_STORED && text[0] == '0' && text[1] == 'x') {
		if (hex_decode(raw, sizeof raw, text + 2, len - 2) != 0)
			return ERR_INVAL;
	} else if (len == SHA2_STORED) {
		memcpy(raw, text, sizeof raw);
	} else {
		return ERR_INVAL;
	}
	memcpy(digits + 1, raw + 3, 3);
	/* fourth digit in front: hex_decode takes whole bytes */
	if (memcmp(raw, "$A$", 3) != 0 || raw[6] != '$' || hex_decode(mult, 2, digits, 4) != 0)
		return ERR_INVAL;
	h_r->rounds = ((u32)mult[0] << 8 | mult[1]) * 1000;
	memcpy(h_r->salt, raw + 7, AUTH_SHA2_SALT);
	memcpy(h_r->digest, raw + 7 + AUTH_SHA2_SALT, AUTH_SHA2_DIGEST);
	h_r->digest[AUTH_SHA2_DIGEST] = '\0';
	if (h_r->rounds == 0 || memchr(h_r->salt, 0, AUTH_SHA2_SALT) != NULL ||
	    strspn(h_r->digest, crypt64) != AUTH_SHA2_DIGEST)
		return ERR_INVAL;
	return 0;
}

/* SHA-crypt's order of the digest's bytes in its base64: each group of three is the one before, turned. */
static void
crypt_text(const u8 d[32], char *out)
{
	for (u32 g = 0, a = 0, b = 10, c = 20; g < 10; g++) {
		u32 v = (u32)d[a] << 16 | (u32)d[b] << 8 | d[c], t = a;

		for (int i = 0; i < 4; i++, v >>= 6)
			*out++ = crypt64[v & 63];
		a = c + 1;
		c = b + 1;
		b = t + 1;
	}
	u32 v = (u32)d[31] << 8 | d[30];
	for (int i = 0; i < 3; i++, v >>= 6)
		*out++ = crypt64[v & 63];
	*out = '\0';
}

/* The first digest: password, salt, and the second digest spread over the password's length and bits. */
static void
crypt_begin(EVP_MD_CTX *ctx, struct slice pw, struct slice salt, u8 out[32])
{
	struct slice part[3 + 64 + AUTH_SHA2_PW_MAX / SHA256_LEN];
	u8 b[SHA256_LEN];
	size_t n = 0, left;

	sha256_parts(ctx, (struct slice[]){pw, salt, pw}, 3, b);
	part[n++] = pw;
	part[n++] = salt;
	for (left = pw.len; left > 0; left -= MIN(left, (size_t)SHA256_LEN))
		part[n++] = (struct slice){b, MIN(left, (size_t)SHA256_LEN)};
	for (left = pw.len; left > 0; left >>= 1)
		part[n++] = left & 1 ? (struct slice){b, SHA256_LEN} : pw;
	sha256_parts(ctx, part, n, out);
	mem_wipe(b, sizeof b);
}

/* The digest of `times` copies of what, repeated or cut to len bytes. */
static void
crypt_spread(EVP_MD_CTX *ctx, struct slice what, size_t times, u8 *out, size_t len)
{
	u8 d[SHA256_LEN];
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, sha256_md, NULL) == 1;

	for (size_t i = 0; ok && i < times; i++)
		ok = EVP_DigestUpdate(ctx, what.p, what.len) == 1;
	if (!ok || EVP_DigestFinal_ex(ctx, d, NULL) != 1)
		PANIC("libcrypto gives no SHA256");
	for (size_t i = 0; i < len; i++)
		out[i] = d[i % SHA256_LEN];
	mem_wipe(d, sizeof d);
}

void
auth_crypt_begin(struct auth_crypt *c, const char *password, size_t len, const u8 *salt, size_t salt_len, u32 rounds)
{
	struct slice pw = {(const u8 *)password, len}, sl = {salt, salt_len};

	AN(len <= sizeof c->p && salt_len <= sizeof c->s);
	pthread_once(&sha256_once, sha256_fetch);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	c->at = 0;
	c->rounds = rounds;
	c->len = len;
	c->salt_len = salt_len;
	crypt_begin(ctx, pw, sl, c->a);
	crypt_spread(ctx, pw, len, c->p, len);
	crypt_spread(ctx, sl, 16 + (size_t)c->a[0], c->s, salt_len);
	EVP_MD_CTX_free(ctx);
}

bool
auth_crypt_run(struct auth_crypt *c, u32 rounds)
{
	u32 end = c->rounds - c->at > rounds ? c->at + rounds : c->rounds;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	for (u32 i = c->at; i < end; i++) {
		struct slice part[4], word = {c->p, c->len}, last = {c->a, SHA256_LEN};
		size_t n = 0;

		part[n++] = i & 1 ? word : last;
		if (i % 3 != 0)
			part[n++] = (struct slice){c->s, c->salt_len};
		if (i % 7 != 0)
			part[n++] = word;
		part[n++] = i & 1 ? last : word;
		sha256_parts(ctx, part, n, c->a);
	}
	EVP_MD_CTX_free(ctx);
	c->at = end;
	return end == c->rounds;
}

void
auth_crypt_end(struct auth_crypt *c, char digest[AUTH_SHA2_DIGEST + 1])
{
	crypt_text(c->a, digest);
	mem_wipe(c, sizeof *c);
}

bool
auth_sha2_same(const struct auth_sha2_hash *h, const char digest[AUTH_SHA2_DIGEST + 1])
{
	return CRYPTO_memcmp(digest, h->digest, AUTH_SHA2_DIGEST) == 0;
}

/* ---- RSA ---- */

struct auth_rsa {
	EVP_PKEY *key;
	u8 digest[SHA256_LEN]; /* of the text it was made from */
	size_t len;
	char public[1024];
};

static bool
rsa_public_text(struct auth_rsa *r)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n = b != NULL && PEM_write_bio_PUBKEY(b, r->key) == 1 ? BIO_read(b, r->public, sizeof r->public) : 0;

	BIO_free(b);
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0 && (size_t)n < sizeof r->public;
}

struct auth_rsa *
auth_rsa_get(const char *pem)
{
	struct auth_rsa *r = calloc(1, sizeof *r);
	BIO *b = BIO_new_mem_buf(pem, (int)strlen(pem));

	if (r != NULL && b != NULL)
		r->key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
	BIO_free(b);
	if (r == NULL || r->key == NULL || EVP_PKEY_get_base_id(r->key) != EVP_PKEY_RSA ||
	    EVP_PKEY_get_size(r->key) > AUTH_RSA_CIPHER_MAX || !rsa_public_text(r)) {
		ERR_clear_error();
		auth_rsa_put(r);
		return NULL;
	}
	auth_sha256(pem, strlen(pem), r->digest);
	return r;
}

void
auth_rsa_put(struct auth_rsa *r)
{
	if (r != NULL)
		EVP_PKEY_free(r->key);
	free(r);
}

bool
auth_rsa_is(const struct auth_rsa *r, const char *pem)
{
	u8 d[SHA256_LEN];

	auth_sha256(pem, strlen(pem), d);
	return r != NULL && memcmp(d, r->digest, sizeof d) == 0;
}

struct slice
auth_rsa_public(const struct auth_rsa *r)
{
	return (struct slice){(const u8 *)r->public, r->len};
}

int
auth_rsa_open(const struct auth_rsa *r, struct slice cipher, const u8 scramble[AUTH_SCRAMBLE],
    u8 password_r[AUTH_RSA_CIPHER_MAX])
{
	size_t n = AUTH_RSA_CIPHER_MAX;
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(r->key, NULL);
	bool ok = c != NULL && EVP_PKEY_decrypt_init(c) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_OAEP_PADDING) == 1 &&
	    EVP_PKEY_decrypt(c, password_r, &n, cipher.p, cipher.len) == 1 && n > 0;

	EVP_PKEY_CTX_free(c);
	ERR_clear_error();
	for (size_t i = 0; ok && i < n; i++)
		password_r[i] ^= scramble[i % AUTH_SCRAMBLE];
	return ok && password_r[n - 1] == '\0' ? (int)n - 1 : ERR_INVAL;
}
