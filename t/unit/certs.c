/* t/unit/certs.c: see certs.h. */
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "t/unit/certs.h"

#define MADE_MAX 64
static struct {
	char *text[MADE_MAX];
	EVP_PKEY *key[MADE_MAX];
	X509 *cert[MADE_MAX];
	size_t ntexts, nkeys, ncerts;
} made;

static char *
text_of(BIO *b)
{
	char *p, *copy;
	long n = BIO_get_mem_data(b, &p);

	copy = calloc(1, (size_t)n + 1);
	cr_assert(copy != NULL && made.ntexts < MADE_MAX);
	made.text[made.ntexts++] = copy;
	memcpy(copy, p, (size_t)n);
	BIO_free(b);
	return copy;
}

static void
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	cr_assert_not_null(e);
	cr_assert_eq(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509 *
certificate(EVP_PKEY *key, const char *name)
{
	static long serial = 1;
	X509 *x = X509_new();

	cr_assert(x != NULL && key != NULL && made.ncerts < MADE_MAX && made.nkeys < MADE_MAX);
	made.cert[made.ncerts++] = x;
	made.key[made.nkeys++] = key;
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	cr_assert_eq(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const u8 *)name, -1, -1, 0), 1);
	return x;
}

static char *
pem_of(X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());

	cr_assert_eq(PEM_write_bio_X509(b, x), 1);
	return text_of(b);
}

struct certs_ca
certs_authority(const char *name)
{
	struct certs_ca ca = {.key = EVP_EC_gen("P-256")};

	ca.cert = certificate(ca.key, name);
	X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert));
	extend(ca.cert, NID_basic_constraints, "critical,CA:TRUE");
	extend(ca.cert, NID_key_usage, "keyCertSign,cRLSign");
	cr_assert_gt(X509_sign(ca.cert, ca.key, EVP_sha256()), 0);
	ca.pem = pem_of(ca.cert);
	return ca;
}

struct certs_pair
certs_issue(const struct certs_ca *ca, const char *name, const char *alt)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = certificate(key, name);
	BIO *b = BIO_new(BIO_s_mem());
	struct certs_pair p;

	X509_set_issuer_name(x, X509_get_subject_name(ca->cert));
	if (alt != NULL)
		extend(x, NID_subject_alt_name, alt);
	cr_assert_gt(X509_sign(x, ca->key, EVP_sha256()), 0);
	p.cert = pem_of(x);
	cr_assert_eq(PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL), 1);
	p.key = text_of(b);
	return p;
}

void
certs_drop(void)
{
	while (made.ntexts > 0)
		free(made.text[--made.ntexts]);
	while (made.nkeys > 0)
		EVP_PKEY_free(made.key[--made.nkeys]);
	while (made.ncerts > 0)
		X509_free(made.cert[--made.ncerts]);
}
