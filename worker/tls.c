/* worker/tls.c: see tls.h. All sessions of the worker share one BIO: it reads from what was fed and writes into one
 * buffer, so that a session costs no BIO pair of its own, and one recv and one send carry many records. Runs in a worker.
 */
#include "worker/tls.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "base/check.h"
#include "base/str.h"

static struct {
	BIO *bio;
	const u8 *in;
	size_t in_len;
	u8 *out;
	size_t out_len, out_cap;
	struct tls_ctx *all;
	char why[256];
} T;

/* ---- the BIO ---- */

static int
on_bio_read(BIO *b, char *buf, size_t want, size_t *got_r)
{
	size_t n = MIN(want, T.in_len);

	BIO_clear_retry_flags(b);
	if (n == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	memcpy(buf, T.in, n);
	T.in += n;
	T.in_len -= n;
	*got_r = n;
	return 1;
}

static int
on_bio_write(BIO *b, const char *p, size_t len, size_t *done_r)
{
	BIO_clear_retry_flags(b);
	if (T.out_len + len > T.out_cap) {
		size_t cap = MAX(T.out_len + len, (size_t)65536);
		u8 *n = realloc(T.out, cap);

		if (n == NULL)
			return 0;
		T.out = n;
		T.out_cap = cap;
	}
	memcpy(T.out + T.out_len, p, len);
	T.out_len += len;
	*done_r = len;
	return 1;
}

static long
on_bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	(void)b, (void)num, (void)ptr;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO *
shared_bio(void)
{
	if (T.bio == NULL) {
		BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "margay");

		if (m == NULL)
			return NULL;
		BIO_meth_set_read_ex(m, on_bio_read);
		BIO_meth_set_write_ex(m, on_bio_write);
		BIO_meth_set_ctrl(m, on_bio_ctrl);
		T.bio = BIO_new(m);
		if (T.bio != NULL)
			BIO_set_init(T.bio, 1);
	}
	return T.bio;
}

u8 *
tls_out(size_t *len_r)
{
	*len_r = T.out_len;
	return T.out;
}

void
tls_out_clear(void)
{
	T.out_len = 0;
}

/* ---- contexts ---- */

static void
digest_text(EVP_MD_CTX *md, const char *s)
{
	size_t n = s == NULL ? 0 : strlen(s);
	u64 len = n;

	EVP_DigestUpdate(md, &len, sizeof len);
	EVP_DigestUpdate(md, s, n);
}

/* label: several keys out of one text. What decides whom we trust is part of it: a ticket from before an authority or
 * a revocation list changed is no longer good. */
static bool
digest_opts(const struct tls_opts *o, const char *ticket, u8 label, u8 out[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	const u8 flags[4] = {label, o->accept, o->verify, o->tls13};
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	if (ok) {
		EVP_DigestUpdate(md, flags, sizeof flags);
		digest_text(md, ticket);
		digest_text(md, o->ca);
		digest_text(md, o->crl);
		if (label == 0) {
			digest_text(md, o->cert);
			digest_text(md, o->key);
			digest_text(md, o->ciphers);
			digest_text(md, o->suites);
		}
		ok = EVP_DigestFinal_ex(md, out, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok;
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_resume *r = SSL_get_app_data(ssl);

	if (r == NULL)
		return 0;
	tls_resume_clear(r);
	r->session = session;
	return 1; /* the reference is ours */
}

static bool
front_tickets(SSL_CTX *c, const struct tls_opts *o, const char *ticket)
{
	u8 keys[96];
	bool ok = true;

	/* no cache: a session is resumed by its ticket alone, at any worker */
	SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(c, (const u8 *)"margay", 6);
	if (ticket[0] == '\0') {
		SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(c, 0) == 1;
	}
	for (u8 i = 0; i < 3; i++)
		ok = ok && digest_opts(o, ticket, (u8)(i + 1), keys + 32 * i);
	ok = ok && SSL_CTX_set_num_tickets(c, 1) == 1 &&
	    SSL_CTX_set_tlsext_ticket_keys(c, keys, SSL_CTX_set_tlsext_ticket_keys(c, NULL, 0)) == 1;
	mem_wipe(keys, sizeof keys);
	return ok;
}

struct tls_ctx *
tls_ctx_get(const struct tls_opts *o, const char *ticket, char *why, size_t size)
{
	enum tls_part part;
	u8 digest[32];
	struct tls_ctx *c;

	snprintf(why, size, "out of memory");
	if (!digest_opts(o, ticket, 0, digest))
		return NULL;
	for (c = T.all; c != NULL; c = c->next)
		if (memcmp(c->digest, digest, sizeof digest) == 0) {
			c->refs++;
			return c;
		}
	c = calloc(1, sizeof *c);
	if (c == NULL)
		return NULL;
	c->ctx = tls_ctx_make(o, &part, why, size);
	if (c->ctx == NULL) {
		free(c);
		return NULL;
	}
	if (o->accept && !front_tickets(c->ctx, o, ticket)) {
		tls_ctx_drop(c->ctx);
		free(c);
		return NULL;
	}
	if (!o->accept) {
		SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(c->ctx, on_new_session);
	}
	memcpy(c->digest, digest, sizeof digest);
	c->refs = 1;
	c->next = T.all;
	T.all = c;
	return c;
}

void
tls_ctx_put(struct tls_ctx *c)
{
	struct tls_ctx **at = &T.all;

	if (c == NULL || --c->refs > 0)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	tls_ctx_drop(c->ctx); /* sessions under way hold their own reference */
	free(c);
}

void
tls_resume_clear(struct tls_resume *r)
{
	SSL_SESSION_free(r->session);
	r->session = NULL;
}

/* ---- sessions ---- */

static SSL *
session_new(struct tls_ctx *c)
{
	BIO *b = shared_bio();
	SSL *s = b == NULL ? NULL : SSL_new(c->ctx);

	if (s == NULL)
		return NULL;
	BIO_up_ref(b); /* SSL_set_bio takes one reference when both ways are the same */
	SSL_set_bio(s, b, b);
	return s;
}

struct ssl_st *
tls_accept(struct tls_ctx *c)
{
	SSL *s = session_new(c);

	if (s != NULL)
		SSL_set_accept_state(s);
	return s;
}

static bool
expect_name(SSL *s, const char *name)
{
	X509_VERIFY_PARAM *p = SSL_get0_param(s);

	if (X509_VERIFY_PARAM_set1_ip_asc(p, name) == 1)
		return true;
	ERR_clear_error();
	SSL_set_hostflags(s, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(s, name) == 1;
}

/* SSL_set_tlsext_host_name() is a macro that casts const away, which clang refuses. */
static bool
ask_name(SSL *s, const char *sni)
{
	union {
		const char *c;
		void *v;
	} u = {sni};

	return SSL_ctrl(s, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, u.v) == 1;
}

struct ssl_st *
tls_connect(struct tls_ctx *c, const char *name, const char *sni, struct tls_resume *resume)
{
	SSL *s = session_new(c);

	if (s == NULL)
		return NULL;
	SSL_set_connect_state(s);
	SSL_set_app_data(s, resume);
	if ((name != NULL && !expect_name(s, name)) || (sni != NULL && !ask_name(s, sni))) {
		SSL_free(s);
		return NULL;
	}
	if (resume->session != NULL)
		(void)SSL_set_session(s, resume->session); /* without it the handshake is a full one */
	return s;
}

void
tls_free(struct ssl_st *ssl)
{
	SSL_free(ssl);
}

/* ---- bytes ---- */

static enum tls_end
ended(SSL *ssl, int rc)
{
	int e = SSL_get_error(ssl, rc);
	unsigned long code;
	long v;

	if (e == SSL_ERROR_WANT_READ)
		return TLS_GO;
	if (e == SSL_ERROR_ZERO_RETURN)
		return TLS_EOF;
	code = ERR_peek_error();
	v = SSL_get_verify_result(ssl);
	snprintf(T.why, sizeof T.why, "TLS: %s%s%s", code != 0 ? ERR_reason_error_string(code) : "failed",
	    v != X509_V_OK ? ": " : "", v != X509_V_OK ? X509_verify_cert_error_string(v) : "");
	ERR_clear_error();
	return TLS_FAILED;
}

enum tls_end
tls_feed(struct ssl_st *ssl, const void *in, size_t inlen, u8 *out, size_t room, size_t *got_r)
{
	size_t n;
	int rc;

	*got_r = 0;
	T.in = in;
	T.in_len = inlen;
	ERR_clear_error();
	for (;;) {
		if (*got_r == room) {
			snprintf(T.why, sizeof T.why, "TLS: more plaintext than ciphertext");
			return TLS_FAILED;
		}
		rc = SSL_read_ex(ssl, out + *got_r, room - *got_r, &n);
		if (rc != 1)
			return ended(ssl, rc);
		*got_r += n;
	}
}

enum tls_end
tls_hello(struct ssl_st *ssl)
{
	T.in_len = 0;
	ERR_clear_error();
	int rc = SSL_do_handshake(ssl);
	return rc == 1 ? TLS_GO : ended(ssl, rc);
}

bool
tls_put(struct ssl_st *ssl, const void *p, size_t len)
{
	size_t n;

	T.in_len = 0;
	ERR_clear_error();
	int rc = SSL_write_ex(ssl, p, len, &n);
	if (rc == 1 && n == len)
		return true;
	(void)ended(ssl, rc);
	return false;
}

void
tls_bye(struct ssl_st *ssl)
{
	T.in_len = 0;
	ERR_clear_error();
	(void)SSL_shutdown(ssl);
	ERR_clear_error();
}

bool
tls_is_up(const struct ssl_st *ssl)
{
	return SSL_is_init_finished(ssl) == 1;
}

bool
tls_was_resumed(const struct ssl_st *ssl)
{
	return SSL_session_reused(ssl) == 1;
}

const char *
tls_why(void)
{
	return T.why;
}

bool
tls_peer_is(const struct ssl_st *ssl, const char *subject)
{
	X509 *x = SSL_get1_peer_certificate(ssl);
	char *line = NULL;
	bool ok = x != NULL && SSL_get_verify_result(ssl) == X509_V_OK;

	if (ok && subject[0] != '\0') {
		line = X509_NAME_oneline(X509_get_subject_name(x), NULL, 0);
		ok = line != NULL && strcmp(line, subject) == 0;
	}
	OPENSSL_free(line);
	X509_free(x);
	return ok;
}
