/* t/unit/certs.h: an authority and what it has signed, made anew for a test, as PEM texts. */
#ifndef MARGAY_T_UNIT_CERTS_H
#define MARGAY_T_UNIT_CERTS_H
#include "base/base.h"

struct certs_ca {
	struct evp_pkey_st *key;
	struct x509_st *cert;
	char *pem;
};
struct certs_pair {
	char *cert, *key;
};
/* Both fail the test when they cannot. What they give lasts until certs_drop. */
struct certs_ca certs_authority(const char *name);
/* alt: names it is made out to, "DNS:db.example,IP:127.0.0.1"; NULL: none. */
struct certs_pair certs_issue(const struct certs_ca *ca, const char *name, const char *alt);
void certs_drop(void);
#endif
