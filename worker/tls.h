/* worker/tls.h: TLS over bytes in memory: ciphertext in, plaintext out, and the reverse. Knows no sockets; worker/layer
 * moves the bytes. Contexts are made once for a generation; a session holds no buffer while nothing is under way.
 * Runs in a worker.
 */
#ifndef MARGAY_WORKER_TLS_H
#define MARGAY_WORKER_TLS_H
#include "base/tls.h"

struct ssl_st;         /* OpenSSL's SSL */
struct ssl_session_st; /* and SSL_SESSION */

#define TLS_RECORD 16384 /* most plaintext in one record */
#define TLS_SLACK  (TLS_RECORD + 2048) /* plaintext that may come beyond what was fed: a record held from before */

/* A context in use; equal settings share one, also over generations. */
struct tls_ctx {
	struct tls_ctx *next;
	u32 refs;
	u8 digest[32];
	struct ssl_ctx_st *ctx;
};
/* ticket: text that the keys of session tickets are made from, "": no tickets. NULL: why says what is wrong. */
struct tls_ctx *tls_ctx_get(const struct tls_opts *o, const char *ticket, char *why, size_t size);
void tls_ctx_put(struct tls_ctx *c);

/* What to resume at a server: kept by whoever connects, filled here. */
struct tls_resume {
	struct ssl_session_st *session;
};
void tls_resume_clear(struct tls_resume *r);

/* Towards a client; NULL: out of memory. */
struct ssl_st *tls_accept(struct tls_ctx *c);
/* Towards a server. name: what its certificate must be made out to, NULL: not looked at; sni: NULL or a host name. */
struct ssl_st *tls_connect(struct tls_ctx *c, const char *name, const char *sni, struct tls_resume *resume);
void tls_free(struct ssl_st *ssl);

enum tls_end { TLS_GO, TLS_EOF, TLS_FAILED };
/* Takes all of in; plaintext goes to out. room >= inlen + TLS_SLACK. What must be sent to the peer waits in tls_out. */
enum tls_end tls_feed(struct ssl_st *ssl, const void *in, size_t inlen, u8 *out, size_t room, size_t *got_r);
/* Encrypts at most TLS_RECORD bytes into tls_out. Only when tls_is_up. */
bool tls_put(struct ssl_st *ssl, const void *p, size_t len);
/* The first step of the side that speaks first. */
enum tls_end tls_hello(struct ssl_st *ssl);
/* Says goodbye into tls_out. */
void tls_bye(struct ssl_st *ssl);
/* Ciphertext that waits to be sent, for the session that was used last; dropped by tls_out_clear. */
u8 *tls_out(size_t *len_r);
void tls_out_clear(void);

bool tls_is_up(const struct ssl_st *ssl);
bool tls_was_resumed(const struct ssl_st *ssl);
/* Why the last call on any session failed. */
const char *tls_why(void);
/* Did the peer show a certificate that was found valid, with this subject (/C=../CN=..; "": any)? */
bool tls_peer_is(const struct ssl_st *ssl, const char *subject);
#endif
