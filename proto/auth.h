/* proto/auth.h: the digests of mysql_native_password, caching_sha2_password and client_ed25519 on both
 * sides, and the bytes of a scramble. auth.c and auth_rsa.c are the users of OpenSSL in
 * proto/, auth_ed25519.c that of libsodium. Callers wipe what they need no longer (mem_wipe): stage1 is as good as the
 * password.
 *
 *   stage1 = SHA1(password)   stage2 = SHA1(stage1), which mysql.user stores as "*" and 40 hex
 * digits token  = stage1 XOR SHA1(scramble + stage2) An empty password has no token: the client
 * sends 0 bytes, and the server compares nothing.
 */
#ifndef MARGAY_PROTO_AUTH_H
#define MARGAY_PROTO_AUTH_H
#include "base/base.h"

#define AUTH_SCRAMBLE 20

/* Random bytes 1 to 127 without '$' (it separates fields in later methods); 7 bits since old
 * connectors read the scramble as ASCII text. 0 or ERR_SYSTEM. */
MUST_CHECK int auth_scramble_new(u8 scramble[AUTH_SCRAMBLE]);
/* Any bytes. 0 or ERR_SYSTEM. */
MUST_CHECK int auth_random(void *p, size_t n);
/* Panics if libcrypto refuses SHA-1 (a FIPS-only build): no login could ever succeed. */
void auth_sha1(const void *p, size_t n, u8 out[20]);
void auth_native_stage1(const char *password, size_t len, u8 stage1[20]);
void auth_native_stage2(const u8 stage1[20], u8 stage2[20]);
void auth_native_token(const u8 stage1[20], const u8 scramble[AUTH_SCRAMBLE], u8 token[20]);
/* Is token the answer to scramble of who knows the password behind stage2? If so, stage1_r is what
 * logs in to a server with the same hash; if not, it is all zeros. Takes the same time either way.
 */
bool auth_native_check(const u8 token[20], const u8 stage2[20], const u8 scramble[AUTH_SCRAMBLE],
		       u8 stage1_r[20]);
/* "*" and 40 hex digits of either case. 0 or ERR_INVAL. */
MUST_CHECK int auth_hash_parse(const char *text, u8 stage2[20]);

/* caching_sha2_password. key1 = SHA256(password), key2 = SHA256(key1), which servers keep in memory once
 * the password was seen. token = key1 XOR SHA256(key2 + scramble). A client without a password sends
 * nothing, or a single zero byte. */
void auth_sha256(const void *p, size_t n, u8 out[32]);
void auth_sha2_token(const u8 key1[32], const u8 scramble[AUTH_SCRAMBLE], u8 token[32]);
/* Like auth_native_check: key1_r is what answers the next scramble of a server, all zeros if wrong. */
bool auth_sha2_check(const u8 token[32], const u8 key2[32], const u8 scramble[AUTH_SCRAMBLE], u8 key1_r[32]);

/* What MySQL stores: "$A$", three hex digits (thousands of rounds), "$", 20 bytes of salt (any but NUL),
 * 43 characters of digest: SHA-crypt with SHA-256, but for the longer salt. */
#define AUTH_SHA2_SALT   20
#define AUTH_SHA2_DIGEST 43
struct auth_sha2_hash {
	u32 rounds;
	u8 salt[AUTH_SHA2_SALT];
	char digest[AUTH_SHA2_DIGEST + 1];
};
/* As stored (70 bytes), or "0x" and its hex digits as SHOW CREATE USER prints it. 0 or ERR_INVAL. */
MUST_CHECK int auth_sha2_hash_parse(const char *text, size_t len, struct auth_sha2_hash *h_r);
/* The digest in pieces, since the usual 5,000 rounds take milliseconds: begin, run until it is true, end (which wipes c). */
#define AUTH_SHA2_PW_MAX 256 /* MAX_PLAINTEXT_LENGTH of the server's plug-in: it takes no longer ones */
struct auth_crypt {
	u32 at, rounds;
	size_t len, salt_len;
	u8 a[32], p[AUTH_SHA2_PW_MAX], s[AUTH_SHA2_SALT];
};
/* len is at most AUTH_SHA2_PW_MAX, salt_len AUTH_SHA2_SALT. */
void auth_crypt_begin(struct auth_crypt *c, const char *password, size_t len, const u8 *salt, size_t salt_len, u32 rounds);
bool auth_crypt_run(struct auth_crypt *c, u32 rounds);
void auth_crypt_end(struct auth_crypt *c, char digest[AUTH_SHA2_DIGEST + 1]);
bool auth_sha2_same(const struct auth_sha2_hash *h, const char digest[AUTH_SHA2_DIGEST + 1]);

/* Passwords that come encrypted: RSA with OAEP (SHA-1, as both sides have it), over the password and its NUL, each byte
 * XORed with the scramble's. */
struct auth_rsa;
#define AUTH_RSA_CIPHER_MAX 512 /* bytes: a key of 4096 bits */
/* From a private key in PEM. NULL: it is none. The caller's, until auth_rsa_put. */
struct auth_rsa *auth_rsa_get(const char *pem);
void auth_rsa_put(struct auth_rsa *r);
bool auth_rsa_is(const struct auth_rsa *r, const char *pem); /* made from that text? */
struct slice auth_rsa_public(const struct auth_rsa *r);      /* the public key in PEM */
/* The password's length; negative: cipher is none. A millisecond of computing. password_r holds the NUL too. */
MUST_CHECK int auth_rsa_open(const struct auth_rsa *r, struct slice cipher, const u8 scramble[AUTH_SCRAMBLE],
    u8 password_r[AUTH_RSA_CIPHER_MAX]);

/* The full authentication of caching_sha2_password and sha256_password without TLS: the password and its NUL, XOR the
 * scramble over and over, under the server's RSA key (PEM, "PUBLIC KEY") with OAEP and SHA-1. len without the NUL.
 * 0; ERR_INVAL: no key that tls_rsa_public takes; ERR_LIMIT: the password is too long for the key. */
#define AUTH_RSA_MOST 1024 /* bytes of the largest key taken */
MUST_CHECK int auth_rsa_seal(const char *pem, size_t pem_len, const char *password, size_t len,
    const u8 scramble[AUTH_SCRAMBLE], u8 out[AUTH_RSA_MOST], size_t *len_r);

/* client_ed25519 as MariaDB has it: the secret scalar is made of SHA-512 of the password itself, which
 * may be of any length; the server sends 32 random bytes and gets their signature. */
#define AUTH_ED25519_NONCE 32
#define AUTH_ED25519_SIG   64
#define AUTH_ED25519_TEXT  43 /* base64 of a public key without its padding, as mysql.global_priv has it */
void auth_ed25519_public(const char *password, size_t len, u8 public_r[32]);
void auth_ed25519_sign(const char *password, size_t len, const u8 nonce[AUTH_ED25519_NONCE],
    u8 sig_r[AUTH_ED25519_SIG]);
bool auth_ed25519_check(const u8 sig[AUTH_ED25519_SIG], const u8 public[32], const u8 nonce[AUTH_ED25519_NONCE]);
/* 0 or ERR_INVAL. */
MUST_CHECK int auth_ed25519_parse(const char *text, size_t len, u8 public_r[32]);
#endif
