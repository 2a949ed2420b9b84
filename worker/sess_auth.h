/* worker/sess_auth.h: a client's proof of who it is, while it is under way. For sess_auth.c and sess_prove.c. Runs in a worker.
 */
#ifndef MARGAY_WORKER_SESS_AUTH_H
#define MARGAY_WORKER_SESS_AUTH_H
#include "proto/auth.h"
#include "worker/sess.h"

enum auth_step { /* what the client's next packet is */
	AUTH_ANSWER, /* the answer to the question */
	AUTH_FULL,   /* caching_sha2_password: the password itself, or the request for the key */
	AUTH_KEY,    /* the password under the key that was sent */
};

struct auth {
	struct sess *s;
	enum cfg_auth method;
	enum auth_step step;
	u8 nonce[AUTH_ED25519_NONCE];
	/* state PROVE */
	struct list node; /* worker.proving */
	bool sealed;      /* text is under the RSA key; else it is a password, and crypt works on it */
	size_t len;
	u8 text[AUTH_RSA_CIPHER_MAX];
	struct auth_sha2_hash hash;
	struct auth_crypt crypt;
};

/* sess_auth.c: the client has said its password; it is compared with what is known of the user's. */
void auth_said(struct sess *s, struct slice password);
/* The end of the proof. password: what it was done with, if it has come. */
void auth_done(struct sess *s, bool right, struct slice password, bool with_password);
/* sess_learn.c: what logins with this secret (a hash, of this name) have taught: SHA256(SHA256(password)), SHA1(password).
 * False: nothing. All of it is for the name and secret of the moment: a changed password is forgotten. */
struct learned {
	u8 key2[32], stage1[20];
};
bool learn_get(struct worker *w, const char *name, const char *secret, struct learned *l_r);
void learn_put(struct worker *w, const char *name, const char *secret, struct slice password);
/* sess_prove.c: s->auth says what is to be done. */
void prove_begin(struct sess *s);
#endif
