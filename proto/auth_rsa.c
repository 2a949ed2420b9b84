/* proto/auth_rsa.c: a password under a server's RSA key, see auth.h. Pure; runs in the worker. Keys of servers come from the
 * network: base/tls says which are taken.
 */
#include "proto/auth.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include "base/err.h"
#include "base/str.h"
#include "base/tls.h"

#define PASSWORD_MOST 512 /* more does not fit under any key with OAEP's 42 bytes but the largest ones; servers take 256 */

static int
seal(EVP_PKEY_CTX *ctx, const u8 *in, size_t len, u8 out[AUTH_RSA_MOST], size_t *len_r)
{
	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1)
		return ERR_INVAL;
	*len_r = AUTH_RSA_MOST;
	return EVP_PKEY_encrypt(ctx, out, len_r, in, len) == 1 ? 0 : ERR_LIMIT;
}

int
auth_rsa_seal(const char *pem, size_t pem_len, const char *password, size_t len, const u8 scramble[AUTH_SCRAMBLE],
    u8 out[AUTH_RSA_MOST], size_t *len_r)
{
	u8 in[PASSWORD_MOST + 1];

	if (len > PASSWORD_MOST)
		return ERR_LIMIT;
	EVP_PKEY *key = tls_rsa_public(pem, pem_len);
	if (key == NULL)
		return ERR_INVAL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	for (size_t i = 0; i <= len; i++)
		in[i] = (u8)((i < len ? (u8)password[i] : 0) ^ scramble[i % AUTH_SCRAMBLE]);
	int rc = seal(ctx, in, len + 1, out, len_r);
	mem_wipe(in, sizeof in);
	EVP_PKEY_CTX_free(ctx);
	tls_key_drop(key);
	ERR_clear_error();
	return rc;
}
