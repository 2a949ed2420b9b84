/* base/tls.h: an OpenSSL context from PEM texts. One place for the master, which makes one to see whether the files of a
 * configuration can be used, and for the workers, which use it: what passes the check cannot fail later. Touches no file.
 */
#ifndef MARGAY_BASE_TLS_H
#define MARGAY_BASE_TLS_H
#include "base/base.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

struct tls_opts {
	const char *cert, *key, *ca, *crl; /* PEM texts; NULL or "": none */
	const char *ciphers, *suites;      /* NULL or "": OpenSSL's */
	bool accept;                       /* towards clients */
	bool verify;                       /* towards servers: their certificate must be valid */
	bool tls13;                        /* nothing older */
};
/* What is wrong with which option. */
enum tls_part { TLS_CERT, TLS_KEY, TLS_CA, TLS_CRL, TLS_CIPHERS, TLS_SUITES, TLS_ALL };

/* NULL: *part_r and why say what is wrong; no part of a key is in it. */
struct ssl_ctx_st *tls_ctx_make(const struct tls_opts *o, enum tls_part *part_r, char *why, size_t size);
void tls_ctx_drop(struct ssl_ctx_st *ctx);
/* A new RSA key of 2048 bits in PEM (a tenth of a second of computing). False: OpenSSL or the room did not give it. */
#define TLS_RSA_PEM 2048
bool tls_rsa_make(char pem_r[TLS_RSA_PEM]);
/* The RSA public key of a PEM text ("PUBLIC KEY"), of 1024 to 8192 bits: less protects nothing, more is no key of a server.
 * NULL: it is none. The caller frees it with EVP_PKEY_free (tls_key_drop). The text may come from the network. */
struct evp_pkey_st *tls_rsa_public(const char *pem, size_t len);
void tls_key_drop(struct evp_pkey_st *key);
/* Has the first certificate of the text run out, or does it not hold yet? */
bool tls_cert_outdated(const char *pem);
#endif
