/* base/tls.c: see tls.h. */
#include "base/tls.h"
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct making {
	SSL_CTX *ctx;
	enum tls_part part;
	char *why;
	size_t size;
};

static bool
given(const char *s)
{
	return s != NULL && s[0] != '\0';
}

/* The first reason of OpenSSL's that names a fact, or our own words. */
static bool
fail(struct making *m, enum tls_part part, const char *what)
{
	unsigned long e = ERR_get_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	m->part = part;
	if (reason != NULL)
		snprintf(m->why, m->size, "%s: %s", what, reason);
	else
		snprintf(m->why, m->size, "%s", what);
	ERR_clear_error();
	return false;
}

static BIO *
text_bio(const char *pem)
{
	return BIO_new_mem_buf(pem, (int)strlen(pem));
}

/* Nobody is there to type a passphrase. */
static int
on_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)arg = true;
	return -1;
}

static bool
use_cert(struct making *m, const char *pem)
{
	BIO *b = text_bio(pem);
	X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
	bool ok;

	if (x == NULL) {
		BIO_free(b);
		return fail(m, TLS_CERT, "no certificate in PEM");
	}
	ok = SSL_CTX_use_certificate(m->ctx, x) == 1;
	X509_free(x);
	while (ok && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL)
		ok = SSL_CTX_add0_chain_cert(m->ctx, x) == 1;
	BIO_free(b);
	if (!ok)
		return fail(m, TLS_CERT, "certificate cannot be used");
	ERR_clear_error(); /* the end of the text */
	return true;
}

static bool
use_key(struct making *m, const char *pem)
{
	bool locked = false;
	BIO *b = text_bio(pem);
	EVP_PKEY *k = b == NULL ? NULL : PEM_read_bio_PrivateKey(b, NULL, on_passphrase, &locked);
	bool ok;

	BIO_free(b);
	if (k == NULL)
		return fail(m, TLS_KEY, locked ? "the key has a passphrase" : "no key in PEM");
	ok = X509_check_private_key(SSL_CTX_get0_certificate(m->ctx), k) == 1 && SSL_CTX_use_PrivateKey(m->ctx, k) == 1;
	EVP_PKEY_free(k);
	return ok || fail(m, TLS_KEY, "the key does not fit the certificate");
}

static bool
use_ca(struct making *m, const char *pem, bool accept)
{
	X509_STORE *store = SSL_CTX_get_cert_store(m->ctx);
	BIO *b = text_bio(pem);
	X509 *x;
	int n = 0;
	bool ok = b != NULL;

	while (ok && (x = PEM_read_bio_X509(b, NULL, NULL, NULL)) != NULL) {
		ok = X509_STORE_add_cert(store, x) == 1 && (!accept || SSL_CTX_add_client_CA(m->ctx, x) == 1);
		X509_free(x);
		n++;
	}
	BIO_free(b);
	if (!ok || n == 0)
		return fail(m, TLS_CA, n == 0 ? "no certificate in PEM" : "certificate cannot be used");
	ERR_clear_error();
	return true;
}

static bool
use_crl(struct making *m, const char *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(m->ctx);
	BIO *b = text_bio(pem);
	X509_CRL *x;
	int n = 0;
	bool ok = b != NULL;

	while (ok && (x = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL) {
		ok = X509_STORE_add_crl(store, x) == 1;
		X509_CRL_free(x);
		n++;
	}
	BIO_free(b);
	if (!ok || n == 0)
		return fail(m, TLS_CRL, n == 0 ? "no revocation list in PEM" : "revocation list cannot be used");
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	ERR_clear_error();
	return true;
}

static bool
fill(struct making *m, const struct tls_opts *o)
{
	SSL_CTX *c = m->ctx;

	if (SSL_CTX_set_min_proto_version(c, o->tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1)
		return fail(m, TLS_ALL, "OpenSSL lacks this version of TLS");
	SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* a quiet connection holds no buffers; the worker's write BIO takes everything at once */
	SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
	if (given(o->ciphers) && SSL_CTX_set_cipher_list(c, o->ciphers) != 1)
		return fail(m, TLS_CIPHERS, "not understood");
	if (given(o->suites) && SSL_CTX_set_ciphersuites(c, o->suites) != 1)
		return fail(m, TLS_SUITES, "not understood");
	if (given(o->cert) && (!use_cert(m, o->cert) || !use_key(m, given(o->key) ? o->key : o->cert)))
		return false;
	if (given(o->ca) && !use_ca(m, o->ca, o->accept))
		return false;
	if (given(o->crl) && !use_crl(m, o->crl))
		return false;
	/* a client that shows a certificate shows a valid one; who must show one is the user's affair */
	SSL_CTX_set_verify(c, (o->accept ? given(o->ca) : o->verify) ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	return true;
}

struct ssl_ctx_st *
tls_ctx_make(const struct tls_opts *o, enum tls_part *part_r, char *why, size_t size)
{
	struct making m = {.why = why, .size = size, .part = TLS_ALL};

	ERR_clear_error();
	m.ctx = SSL_CTX_new(o->accept ? TLS_server_method() : TLS_client_method());
	if (m.ctx == NULL)
		(void)fail(&m, TLS_ALL, "no context");
	else if (!fill(&m, o)) {
		SSL_CTX_free(m.ctx);
		m.ctx = NULL;
	}
	*part_r = m.part;
	return m.ctx;
}

void
tls_ctx_drop(struct ssl_ctx_st *ctx)
{
	SSL_CTX_free(ctx);
}

bool
tls_cert_outdated(const char *pem)
{
	BIO *b = text_bio(pem);
	X509 *x = b == NULL ? NULL : PEM_read_bio_X509(b, NULL, NULL, NULL);
	bool out = x != NULL && (X509_cmp_current_time(X509_get0_notAfter(x)) < 0 ||
	    X509_cmp_current_time(X509_get0_notBefore(x)) > 0);

	X509_free(x);
	BIO_free(b);
	return out;
}

bool
tls_rsa_make(char pem_r[TLS_RSA_PEM])
{
	EVP_PKEY *k = EVP_RSA_gen(2048);
	BIO *b = BIO_new(BIO_s_secmem());
	int n = k != NULL && b != NULL && PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) == 1 ?
	    BIO_read(b, pem_r, TLS_RSA_PEM - 1) : 0;
	bool ok = n > 0 && n < TLS_RSA_PEM - 1;

	pem_r[ok ? n : 0] = '\0';
	BIO_free(b);
	EVP_PKEY_free(k);
	ERR_clear_error();
	return ok;
}

#define RSA_LEAST_BITS 1024
#define RSA_MOST_BITS  8192

EVP_PKEY *
tls_rsa_public(const char *pem, size_t len)
{
	BIO *b = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *key = b == NULL ? NULL : PEM_read_bio_PUBKEY(b, NULL, NULL, NULL);

	BIO_free(b);
	ERR_clear_error();
	if (key == NULL)
		return NULL;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= RSA_LEAST_BITS &&
	    EVP_PKEY_get_bits(key) <= RSA_MOST_BITS)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

void
tls_key_drop(EVP_PKEY *key)
{
	EVP_PKEY_free(key);
}
