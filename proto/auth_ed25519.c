/* proto/auth_ed25519.c: client_ed25519, see auth.h. The one file that includes libsodium: OpenSSL takes a
 * seed of exactly 32 bytes and hashes it itself, but MariaDB hashes the password, of whatever length, so
 * the arithmetic of the curve is needed. Pure; runs in the worker. Intermediate secrets are wiped.
 */
#include "proto/auth.h"
#include <sodium.h>
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

_Static_assert(crypto_core_ed25519_SCALARBYTES == 32 && crypto_hash_sha512_BYTES == 64, "libsodium");

/* SHA-512 of the password: the secret scalar, clamped, and 32 bytes that make nonces (RFC 8032, 5.1.5). */
static void
expand(const char *password, size_t len, u8 az[64])
{
	crypto_hash_sha512(az, (const u8 *)password, len);
	az[0] &= 248;
	az[31] &= 127;
	az[31] |= 64;
}

static void
base_times(u8 out[32], const u8 scalar[32])
{
	/* fails for a multiple of the group's order alone, which no hash is */
	if (crypto_scalarmult_ed25519_base_noclamp(out, scalar) != 0)
		PANIC("a scalar of zero");
}

void
auth_ed25519_public(const char *password, size_t len, u8 public_r[32])
{
	u8 az[64];

	expand(password, len, az);
	base_times(public_r, az);
	mem_wipe(az, sizeof az);
}

static void
hash_mod_l(const u8 *a, size_t alen, const u8 *b, size_t blen, const u8 *c, size_t clen, u8 out[32])
{
	crypto_hash_sha512_state h;
	u8 wide[64];

	crypto_hash_sha512_init(&h);
	crypto_hash_sha512_update(&h, a, alen);
	crypto_hash_sha512_update(&h, b, blen);
	crypto_hash_sha512_update(&h, c, clen);
	crypto_hash_sha512_final(&h, wide);
	crypto_core_ed25519_scalar_reduce(out, wide);
	mem_wipe(wide, sizeof wide);
	mem_wipe(&h, sizeof h);
}

void
auth_ed25519_sign(const char *password, size_t len, const u8 nonce[32], u8 sig[64])
{
	u8 az[64], wide[64] = {0}, a[32], r[32], k[32], ka[32], pub[32];

	expand(password, len, az);
	base_times(pub, az);
	hash_mod_l(az + 32, 32, nonce, AUTH_ED25519_NONCE, NULL, 0, r);
	base_times(sig, r);
	hash_mod_l(sig, 32, pub, 32, nonce, AUTH_ED25519_NONCE, k);
	memcpy(wide, az, 32);
	crypto_core_ed25519_scalar_reduce(a, wide);
	crypto_core_ed25519_scalar_mul(ka, k, a);
	crypto_core_ed25519_scalar_add(sig + 32, r, ka);
	mem_wipe(az, sizeof az);
	mem_wipe(wide, sizeof wide);
	mem_wipe(a, sizeof a);
	mem_wipe(r, sizeof r);
	mem_wipe(ka, sizeof ka);
}

bool
auth_ed25519_check(const u8 sig[64], const u8 public[32], const u8 nonce[32])
{
	return crypto_sign_verify_detached(sig, nonce, AUTH_ED25519_NONCE, public) == 0;
}

/* libsodium takes some bytes from 128 on for digits (found by the fuzzer). */
static bool
all_digits(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
			return false;
	}
	return true;
}

int
auth_ed25519_parse(const char *text, size_t len, u8 public_r[32])
{
	size_t n = 0;

	if (!all_digits(text, len) || len != AUTH_ED25519_TEXT ||
	    sodium_base642bin(public_r, 32, text, len, NULL, &n, NULL,
		sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
	    n != 32)
		return ERR_INVAL;
	return 0;
}
