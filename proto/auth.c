/* proto/auth.c: see auth.h. The one file of proto/ that includes OpenSSL. Runs in the worker. No
 * secret is logged or kept here; intermediate values on the stack are wiped.
 */
#include "proto/auth.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/random.h>
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

#define SHA1_LEN 20

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
