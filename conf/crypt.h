/* conf/crypt.h: secrets at rest. AES-256-GCM under a key of 32 bytes that stands in a file of its
 * own: {aes}BASE64(12 bytes of nonce, the ciphertext, 16 bytes of tag) The word {aes} itself is
 * authenticated with it. Master (at a load) and margayctl encrypt; keys and secrets are wiped by
 * their callers. The only file in conf/ that knows OpenSSL is crypt.c.
 */
#ifndef MARGAY_CONF_CRYPT_H
#define MARGAY_CONF_CRYPT_H
#include "base/base.h"

#define CRYPT_SCHEME   "{aes}"
#define CRYPT_KEY_SIZE 32
#define CRYPT_SECRET_MAX                                                                           \
	1024 /* bytes of one secret: MariaDB hashes longer passwords, nobody types them */
/* Room for any encrypted secret with its NUL. */
#define CRYPT_TEXT_SIZE (sizeof CRYPT_SCHEME + (12 + CRYPT_SECRET_MAX + 16 + 2) / 3 * 4)

struct crypt_key {
	u8 bytes[CRYPT_KEY_SIZE];
};

/* Reads 64 hex digits. The file must be a regular one that its owner alone may read. NULL, or what
 * is wrong (in why). */
MUST_CHECK const char *crypt_key_read(const char *path, struct crypt_key *k_r, char *why,
				      size_t size);
/* Makes a key and a file for it, mode 0600; an existing file is not touched. NULL, or what is
 * wrong. */
MUST_CHECK const char *crypt_key_make(const char *path, char *why, size_t size);
/* text_r of CRYPT_TEXT_SIZE. 0; ERR_INVAL: too long; ERR_SYSTEM: OpenSSL failed. */
MUST_CHECK int crypt_encrypt(const struct crypt_key *k, const void *secret, size_t len,
			     char *text_r);
/* secret_r of CRYPT_SECRET_MAX + 1, NUL-terminated. 0; ERR_INVAL: not such a text; ERR_ACCESS:
 * another key, or the text was changed; ERR_SYSTEM. */
MUST_CHECK int crypt_decrypt(const struct crypt_key *k, const char *text, char *secret_r,
			     size_t *len_r);
#endif
