/* conf/crypt.c: see crypt.h. The only file in conf/ that knows OpenSSL. */
#include "conf/crypt.h"
#include "base/err.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#define NONCE                                                                                      \
	12 /* what GCM is defined for without hashing it; random: 2^32 secrets for each key are    \
	      safe */
#define TAG      16
#define HEX_SIZE (2 * CRYPT_KEY_SIZE)

static const char *
fault(char *why, size_t size, const char *path, const char *text)
{
	(void)snprintf(why, size, "%s: %s", path, text);
	return why;
}

/* ---- the key file ---- */

/* What is wrong with an open key file, or NULL with its text in buf. */
static const char *
key_fd_read(int fd, char *buf, size_t size)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if ((st.st_mode & 077) != 0)
		return "others than its owner may read the key: chmod 600 it";
	n = read(fd, buf, size - 1);
	if (n < 0)
		return strerror(errno);
	while (n > 0 && (buf[n - 1] == '\n' || buf[n - 1] == '\r' || buf[n - 1] == ' '))
		n--;
	buf[n] = '\0';
	return n == HEX_SIZE ? NULL : "not a key: 64 hex digits are expected";
}

const char *
crypt_key_read(const char *path, struct crypt_key *k_r, char *why, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char buf[HEX_SIZE + 16];
	const char *text;

	if (fd < 0)
		return fault(why, size, path, strerror(errno));
	text = key_fd_read(fd, buf, sizeof buf);
	close(fd);
	if (text == NULL && hex_decode(k_r->bytes, CRYPT_KEY_SIZE, buf, HEX_SIZE) != 0)
		text = "not a key: 64 hex digits are expected";
	mem_wipe(buf, sizeof buf);
	return text == NULL ? NULL : fault(why, size, path, text);
}

static const char *
key_fd_write(int fd)
{
	u8 key[CRYPT_KEY_SIZE];
	char hex[HEX_SIZE + 2];
	const char *text = NULL;
	ssize_t n;

	if (RAND_bytes(key, sizeof key) != 1)
		return "no random bytes";
	hex_encode(hex, key, sizeof key);
	hex[HEX_SIZE] = '\n';
	n = write(fd, hex, HEX_SIZE + 1);
	if (n != HEX_SIZE + 1 || fsync(fd) != 0)
		text = n >= 0 && n != HEX_SIZE + 1 ? "written in part" : strerror(errno);
	mem_wipe(key, sizeof key);
	mem_wipe(hex, sizeof hex);
	return text;
}

const char *
crypt_key_make(const char *path, char *why, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	const char *text;

	if (fd < 0)
		return fault(why, size, path, strerror(errno));
	text = key_fd_write(fd);
	if (close(fd) != 0 && text == NULL)
		text = strerror(errno);
	if (text == NULL)
		return NULL;
	(void)fault(why, size, path, text);
	(void)unlink(path);
	return why;
}

/* ---- secrets ---- */

int
crypt_encrypt(const struct crypt_key *k, const void *secret, size_t len, char *text_r)
{
	u8 raw[NONCE + CRYPT_SECRET_MAX + TAG];
	EVP_CIPHER_CTX *c = NULL;
	int n = 0, m = 0, rc = ERR_SYSTEM;

	if (len > CRYPT_SECRET_MAX)
		return ERR_INVAL;
	if (RAND_bytes(raw, NONCE) == 1 && (c = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->bytes, raw) == 1 &&
	    EVP_EncryptUpdate(c, NULL, &n, (const u8 *)CRYPT_SCHEME, sizeof CRYPT_SCHEME - 1) ==
		1 &&
	    EVP_EncryptUpdate(c, raw + NONCE, &n, secret, (int)len) == 1 &&
	    EVP_EncryptFinal_ex(c, raw + NONCE + n, &m) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG, raw + NONCE + len) == 1) {
		memcpy(text_r, CRYPT_SCHEME, sizeof CRYPT_SCHEME - 1);
		(void)EVP_EncodeBlock((u8 *)text_r + sizeof CRYPT_SCHEME - 1, raw,
				      (int)(NONCE + len + TAG));
		rc = 0;
	}
	EVP_CIPHER_CTX_free(c);
	mem_wipe(raw, sizeof raw);
	return rc;
}

/* Base64 to raw; number of bytes, or -1. EVP_DecodeBlock skips blanks and counts the padding, so
 * both are looked at first. */
static int
base64_decode(const char *b64, u8 *raw, size_t size)
{
	size_t len = strlen(b64), pad;
	int n;

	pad = len >= 2 && b64[len - 1] == '=' ? (b64[len - 2] == '=' ? 2 : 1) : 0;
	if (len == 0 || len % 4 != 0 || len / 4 * 3 > size ||
	    strspn(b64, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
		len - pad)
		return -1;
	n = EVP_DecodeBlock(raw, (const u8 *)b64, (int)len);
	return n < 0 ? -1 : n - (int)pad;
}

int
crypt_decrypt(const struct crypt_key *k, const char *text, char *secret_r, size_t *len_r)
{
	u8 raw[NONCE + CRYPT_SECRET_MAX + TAG + 2]; /* 2: padding bytes of the last group */
	EVP_CIPHER_CTX *c;
	int len, n = 0, m = 0, rc = ERR_SYSTEM;

	if (strncmp(text, CRYPT_SCHEME, sizeof CRYPT_SCHEME - 1) != 0)
		return ERR_INVAL;
	len = base64_decode(text + sizeof CRYPT_SCHEME - 1, raw, sizeof raw);
	if (len < NONCE + TAG || len > NONCE + CRYPT_SECRET_MAX + TAG)
		return ERR_INVAL;
	len -= NONCE + TAG;
	c = EVP_CIPHER_CTX_new();
	if (c != NULL && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, k->bytes, raw) == 1 &&
	    EVP_DecryptUpdate(c, NULL, &n, (const u8 *)CRYPT_SCHEME, sizeof CRYPT_SCHEME - 1) ==
		1 &&
	    EVP_DecryptUpdate(c, (u8 *)secret_r, &n, raw + NONCE, len) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG, raw + NONCE + len) == 1)
		rc = EVP_DecryptFinal_ex(c, (u8 *)secret_r + n, &m) == 1 ? 0 : ERR_ACCESS;
	EVP_CIPHER_CTX_free(c);
	if (rc == 0) {
		secret_r[len] = '\0';
		*len_r = (size_t)len;
	} else {
		mem_wipe(secret_r, CRYPT_SECRET_MAX + 1);
	}
	return rc;
}
