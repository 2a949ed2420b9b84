/* worker/sess_prove.c: what of a client's proof takes milliseconds: RSA, and the thousands of rounds behind a hash of
 * caching_sha2_password. Owns worker.proving and the state PROVE. Runs in a worker.
 *
 * Anybody may ask for this work without being anybody, so it is bounded: sessions take turns with pieces of a fraction of a
 * millisecond, and all of them together get PROVE_NS (and what the last piece is longer) in each WORKER_FAST_MS. However
 * many logins come, statements wait no longer than one piece and lose no more than that share of the worker's time; what
 * does not get done within login_timeout fails. Users whose password is known, or was learned, need none of it.
 */
#include "base/str.h"
#include "worker/sess_auth.h"

#define PROVE_NS     (1 * MS_NS)
#define PROVE_ROUNDS 1000 /* about 0.15 ms; RSA takes 0.25 ms (both measured) */

void
prove_begin(struct sess *s)
{
	list_del(&s->auth->node);
	list_push_back(&s->w->proving, &s->auth->node);
	if (s->state != SESS_PROVE)
		sess_set_state(s, SESS_PROVE);
	worker_fast(s->w);
}

static void
unseal(struct sess *s)
{
	struct auth *a = s->auth;
	u8 pw[AUTH_RSA_CIPHER_MAX];
	int n = s->w->rsa == NULL ? ERR_INVAL : auth_rsa_open(s->w->rsa, (struct slice){a->text, a->len}, s->scramble, pw);

	a->sealed = false;
	if (n < 0)
		auth_done(s, false, (struct slice){NULL, 0}, true);
	else
		auth_said(s, (struct slice){pw, (size_t)n});
	mem_wipe(pw, sizeof pw);
}

static void
rounds(struct sess *s)
{
	struct auth *a = s->auth;
	char digest[AUTH_SHA2_DIGEST + 1];

	if (!auth_crypt_run(&a->crypt, PROVE_ROUNDS)) {
		list_del(&a->node);
		list_push_back(&s->w->proving, &a->node);
		return;
	}
	auth_crypt_end(&a->crypt, digest);
	auth_done(s, auth_sha2_same(&a->hash, digest), (struct slice){a->text, a->len}, true);
}

bool
prove_on_fast(struct worker *w)
{
	u64 until = clock_ns() + PROVE_NS;

	while (!list_empty(&w->proving) && clock_ns() < until) {
		struct auth *a = LIST_ENTRY(w->proving.next, struct auth, node);
		struct sess *s = a->s;

		w->at_session = s->id;
		if (s->state != SESS_PROVE)
			list_del(&a->node); /* it is being closed */
		else if (a->sealed)
			unseal(s);
		else
			rounds(s);
	}
	return !list_empty(&w->proving);
}
