/* t/fuzz/fuzz_auth.c: secrets of the configuration and answers of clients to methods of authentication. What the snapshot
 * calls a hash, the worker can use, and the other way round; no bytes open a lock but the right ones. Input: which, the rest.
 */
#include "config.h"
#include "t/fuzz/fuzz_util.h"
#include "base/str.h"
#include "base/tls.h"
#include "proto/auth.h"
#include "shm/cfg.h"

static void
one_secret(const u8 *p, size_t n)
{
	struct auth_sha2_hash h;
	char text[256];
	u8 key[32];

	(void)str_copy_slice(text, sizeof text, (const char *)p, n);
	enum cfg_secret_kind kind = cfg_secret_kind(text);
	MUST((kind == CFG_NATIVE_HASH) == (auth_hash_parse(text, key) == 0));
	MUST((kind == CFG_SHA2_HASH) == (auth_sha2_hash_parse(text, strlen(text), &h) == 0));
	if (kind == CFG_ED25519_HASH)
		MUST(auth_ed25519_parse(cfg_ed25519_key(text), strlen(cfg_ed25519_key(text)), key) == 0);
	else if (strncmp(text, CFG_ED25519_PREFIX, strlen(CFG_ED25519_PREFIX)) == 0)
		MUST(auth_ed25519_parse(text + strlen(CFG_ED25519_PREFIX), strlen(text) - strlen(CFG_ED25519_PREFIX), key) != 0);
}

static void
one_cipher(const u8 *p, size_t n)
{
	static struct auth_rsa *rsa;
	static char pem[TLS_RSA_PEM];
	static const u8 scramble[20] = {1, 2, 3};
	u8 pw[AUTH_RSA_CIPHER_MAX];

	if (rsa == NULL) {
		MUST(tls_rsa_make(pem));
		rsa = auth_rsa_get(pem);
		MUST(rsa != NULL && auth_rsa_is(rsa, pem));
	}
	MUST(auth_rsa_open(rsa, (struct slice){p, n}, scramble, pw) < 0);
}

/* As a key in PEM. */
static void
one_key(const u8 *p, size_t n)
{
	char text[2048];

	(void)str_copy_slice(text, sizeof text, (const char *)p, n);
	auth_rsa_put(auth_rsa_get(text));
}

static void
one_answer(const u8 *p, size_t n)
{
	u8 token[64] = {0}, nonce[32] = {7}, key[32], out[32], stage2[20] = {9};

	memcpy(token, p, MIN(n, sizeof token));
	auth_ed25519_public("secret", 6, key);
	MUST(!auth_ed25519_check(token, key, nonce));
	MUST(!auth_sha2_check(token, key, nonce, out));
	MUST(!auth_native_check(token, stage2, nonce, out));
	for (size_t i = 0; i < 20; i++)
		MUST(out[i] == 0);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		one_secret(data + 1, size - 1);
		break;
	case 1:
		one_cipher(data + 1, size - 1);
		break;
	case 2:
		one_key(data + 1, size - 1);
		break;
	default:
		one_answer(data + 1, size - 1);
	}
	return 0;
}
