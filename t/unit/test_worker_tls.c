/* t/unit/test_worker_tls.c: worker/tls over bytes in memory: both ends are here, and every byte between them passes through
 * the test.
 */
#include "config.h"
#include <criterion/criterion.h>
#include "t/unit/certs.h"
#include "worker/tls.h"

#define ROOM (256 * 1024) /* for all that comes out in one test */

static struct certs_ca ca;
static struct certs_pair srv, cli;

struct end {
	struct ssl_st *ssl;
	u8 *sent; /* ciphertext for the other end */
	size_t n, at;
	u8 *got; /* plaintext */
	size_t got_n;
	enum tls_end state;
	char why[256];
};

static void
init(void)
{
	ca = certs_authority("Authority");
	srv = certs_issue(&ca, "db.example", "DNS:db.example,IP:127.0.0.1");
	cli = certs_issue(&ca, "app", NULL);
}

#define TEST_TLS(name) Test(tls, name, .init = init, .fini = certs_drop, .timeout = 120)

/* What the last call has made is the end's to send. */
static void
take_out(struct end *e)
{
	size_t n;
	const u8 *p = tls_out(&n);

	e->sent = realloc(e->sent, e->n + n + 1);
	cr_assert_not_null(e->sent);
	if (n > 0)
		memcpy(e->sent + e->n, p, n);
	e->n += n;
	tls_out_clear();
}

/* Up to n bytes of what `from` has sent reach `to`. */
static void
pass(struct end *from, struct end *to, size_t n)
{
	u8 *copy;
	size_t got;

	n = MIN(n, from->n - from->at);
	if (n == 0 || to->state != TLS_GO)
		return;
	copy = malloc(n); /* exactly: ASan sees one byte too many */
	if (to->got == NULL)
		to->got = malloc(ROOM);
	cr_assert(copy != NULL && to->got != NULL);
	memcpy(copy, from->sent + from->at, n);
	from->at += n;
	to->state = tls_feed(to->ssl, copy, n, to->got + to->got_n, ROOM - to->got_n, &got);
	if (to->state == TLS_FAILED)
		snprintf(to->why, sizeof to->why, "%s", tls_why());
	to->got_n += got;
	free(copy);
	take_out(to);
}

static void
exchange(struct end *a, struct end *b, size_t piece)
{
	while ((a->at < a->n && b->state == TLS_GO) || (b->at < b->n && a->state == TLS_GO)) {
		pass(a, b, piece);
		pass(b, a, piece);
	}
}

static void
end_free(struct end *e)
{
	tls_free(e->ssl);
	free(e->sent);
	free(e->got);
	memset(e, 0, sizeof *e);
}

static struct tls_ctx *
context(struct tls_opts o, const char *ticket)
{
	char why[256];
	struct tls_ctx *c = tls_ctx_get(&o, ticket, why, sizeof why);

	cr_assert_not_null(c, "%s", why);
	return c;
}

static struct tls_ctx *
front(const char *client_ca)
{
	return context((struct tls_opts){.cert = srv.cert, .key = srv.key, .ca = client_ca, .accept = true}, "0123456789abcdef");
}

static void
begin(struct end *c, struct end *s, struct tls_ctx *cc, struct tls_ctx *sc, const char *name, struct tls_resume *r)
{
	memset(c, 0, sizeof *c);
	memset(s, 0, sizeof *s);
	c->ssl = tls_connect(cc, name, name, r);
	s->ssl = tls_accept(sc);
	cr_assert(c->ssl != NULL && s->ssl != NULL);
	cr_assert_eq(tls_hello(c->ssl), TLS_GO);
	take_out(c);
}

static void
say(struct end *e, const u8 *p, size_t n)
{
	for (size_t at = 0; at < n; at += TLS_RECORD)
		cr_assert(tls_put(e->ssl, p + at, MIN(n - at, (size_t)TLS_RECORD)));
	take_out(e);
}

static u8 data[100000];

TEST_TLS(handshake_and_bytes_in_pieces_of_all_sizes)
{
	static const size_t pieces[] = {1, 5, 1000, 16389, 65536};

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (u8)(i * 7 + i / 251);
	for (int tls13 = 0; tls13 < 2; tls13++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++) {
			struct tls_ctx *sc = front(NULL), *cc = context((struct tls_opts){.ca = ca.pem, .verify = true, .tls13 = tls13 != 0}, "");
			struct tls_resume r = {NULL};
			struct end c, s;

			begin(&c, &s, cc, sc, "db.example", &r);
			cr_assert(!tls_is_up(c.ssl) && !tls_is_up(s.ssl));
			exchange(&c, &s, pieces[k]);
			cr_assert(tls_is_up(c.ssl) && tls_is_up(s.ssl), "%s %s", c.why, s.why);
			cr_assert(!tls_was_resumed(c.ssl));
			say(&c, data, sizeof data);
			say(&s, data, 1);
			say(&s, data + 1, 40000);
			exchange(&c, &s, pieces[k]);
			cr_assert(s.got_n == sizeof data && memcmp(s.got, data, sizeof data) == 0);
			cr_assert(c.got_n == 40001 && memcmp(c.got, data, 40001) == 0);
			tls_bye(c.ssl);
			take_out(&c);
			exchange(&c, &s, pieces[k]);
			cr_assert_eq(s.state, TLS_EOF);
			end_free(&c);
			end_free(&s);
			tls_resume_clear(&r);
			tls_ctx_put(sc);
			tls_ctx_put(cc);
		}
}

/* What a client that expects `name` from a server with these authorities makes of it. */
static void
verdict(const char *authority, const char *name, const char *part)
{
	struct tls_ctx *sc = front(NULL), *cc = context((struct tls_opts){.ca = authority, .verify = true}, "");
	struct tls_resume r = {NULL};
	struct end c, s;

	begin(&c, &s, cc, sc, name, &r);
	exchange(&c, &s, 65536);
	if (part == NULL) {
		cr_assert(tls_is_up(c.ssl), "%s", c.why);
	} else {
		cr_assert_eq(c.state, TLS_FAILED);
		cr_assert(!tls_is_up(c.ssl));
		cr_assert_not_null(strstr(c.why, part), "%s", c.why);
		cr_assert_eq(s.state, TLS_FAILED, "it is told");
	}
	end_free(&c);
	end_free(&s);
	tls_resume_clear(&r);
	tls_ctx_put(sc);
	tls_ctx_put(cc);
}

TEST_TLS(servers_are_who_they_should_be)
{
	struct certs_ca other = certs_authority("Other");

	verdict(ca.pem, NULL, NULL);
	verdict(ca.pem, "db.example", NULL);
	verdict(ca.pem, "127.0.0.1", NULL);
	verdict(ca.pem, "DB.example", NULL);
	verdict(ca.pem, "x.db.example", "mismatch");
	verdict(ca.pem, "127.0.0.2", "mismatch");
	verdict(other.pem, "db.example", "certificate verify failed");
	verdict(other.pem, NULL, "certificate verify failed");
}

TEST_TLS(clients_are_who_they_say)
{
	struct certs_ca other = certs_authority("Other");
	struct certs_pair stranger = certs_issue(&other, "app", NULL);
	const struct {
		struct certs_pair *pair;
		bool fails, any, app, else_;
	} cases[] = {{&cli, false, true, true, false}, {NULL, false, false, false, false}, {&stranger, true, false, false, false}};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_opts o = {0};
		struct tls_ctx *sc = front(ca.pem), *cc;
		struct tls_resume r = {NULL};
		struct end c, s;

		if (cases[i].pair != NULL) {
			o.cert = cases[i].pair->cert;
			o.key = cases[i].pair->key;
		}
		cc = context(o, "");
		begin(&c, &s, cc, sc, NULL, &r);
		exchange(&c, &s, 65536);
		cr_assert_eq(s.state, cases[i].fails ? TLS_FAILED : TLS_GO, "%zu: %s", i, s.why);
		cr_assert_eq(tls_peer_is(s.ssl, ""), cases[i].any);
		cr_assert_eq(tls_peer_is(s.ssl, "/CN=app"), cases[i].app);
		cr_assert_eq(tls_peer_is(s.ssl, "/CN=ap"), cases[i].else_);
		end_free(&c);
		end_free(&s);
		tls_resume_clear(&r);
		tls_ctx_put(sc);
		tls_ctx_put(cc);
	}
}

static bool
resumed(struct tls_ctx *cc, struct tls_ctx *sc, struct tls_resume *r)
{
	struct end c, s;

	begin(&c, &s, cc, sc, "db.example", r);
	exchange(&c, &s, 65536);
	cr_assert(tls_is_up(c.ssl) && tls_is_up(s.ssl));
	bool was = tls_was_resumed(c.ssl);
	cr_assert_eq(tls_was_resumed(s.ssl), was);
	tls_bye(c.ssl);
	tls_out_clear();
	end_free(&c);
	end_free(&s);
	return was;
}

TEST_TLS(tickets)
{
	struct tls_opts o = {.cert = srv.cert, .key = srv.key, .accept = true};
	struct tls_ctx *sc = context(o, "one"), *cc = context((struct tls_opts){.ca = ca.pem, .verify = true}, ""), *c2, *c3, *c4;
	struct tls_resume r = {NULL};

	cr_assert(!resumed(cc, sc, &r));
	cr_assert_not_null(r.session);
	cr_assert(resumed(cc, sc, &r));
	cr_assert(resumed(cc, sc, &r), "and again");
	/* another worker, another generation: the same text makes the same keys, with another certificate too */
	struct certs_pair renewed = certs_issue(&ca, "db.example", "DNS:db.example");
	o.cert = renewed.cert;
	o.key = renewed.key;
	c2 = context(o, "one");
	cr_assert_neq(c2, sc);
	cr_assert(resumed(cc, c2, &r));
	c3 = context(o, "two");
	cr_assert(!resumed(cc, c3, &r), "other keys");
	/* who is trusted has changed */
	o.ca = ca.pem;
	c4 = context(o, "two");
	cr_assert(!resumed(cc, c4, &r));
	tls_resume_clear(&r);
	cr_assert(!resumed(cc, c4, &r));
	tls_resume_clear(&r);
	/* no tickets at all */
	struct tls_ctx *none = context(o, "");
	cr_assert(!resumed(cc, none, &r));
	cr_assert(!resumed(cc, none, &r));
	tls_resume_clear(&r);
	tls_ctx_put(none);
	tls_ctx_put(c4);
	tls_ctx_put(c3);
	tls_ctx_put(c2);
	tls_ctx_put(sc);
	tls_ctx_put(cc);
}

TEST_TLS(equal_settings_share_a_context)
{
	struct tls_ctx *a = front(NULL), *b = front(NULL), *c = front(ca.pem);

	cr_assert_eq(a, b);
	cr_assert_neq(a, c);
	cr_assert_eq(a->refs, 2);
	tls_ctx_put(a);
	cr_assert_eq(b->refs, 1);
	/* a session lives longer than the context's last reference */
	struct tls_ctx *cc = context((struct tls_opts){.ca = NULL}, "");
	struct tls_resume r = {NULL};
	struct end x, y;
	begin(&x, &y, cc, b, NULL, &r);
	tls_ctx_put(b);
	tls_ctx_put(cc);
	exchange(&x, &y, 65536);
	cr_assert(tls_is_up(x.ssl) && tls_is_up(y.ssl));
	end_free(&x);
	end_free(&y);
	tls_resume_clear(&r);
	tls_ctx_put(c);
}

TEST_TLS(settings_that_cannot_be_used)
{
	const struct tls_opts bad[] = {
	    {.cert = "x", .key = srv.key, .accept = true},
	    {.cert = srv.cert, .key = "x", .accept = true},
	    {.cert = srv.cert, .key = cli.key, .accept = true},
	    {.ca = srv.key},
	    {.ciphers = "NO-SUCH"},
	    {.suites = "NO-SUCH"},
	};
	char why[256];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		why[0] = '\0';
		cr_assert_null(tls_ctx_get(&bad[i], "", why, sizeof why), "%zu", i);
		cr_assert_neq(why[0], '\0');
		cr_assert_null(strstr(why, "BEGIN"), "%s", why);
	}
}

TEST_TLS(bytes_that_are_no_tls)
{
	static const struct {
		const char *bytes;
		size_t n;
		bool refused; /* else more is waited for */
	} bad[] = {{"GET / HTTP/1.1\r\n\r\n", 18, true}, {"\x16\x03\x01\x00\x05hello", 10, true}, {"\x16\x03\x01\xff\xff", 5, true},
	    {"\x17\x03\x03\x00\x01x", 6, true}, {"\x20\x00\x00\x01\x85\xa6\xff\x20", 8, true}, {"\x16\x03\x01\x10\x00hello", 10, false}};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct tls_ctx *sc = front(NULL);
		struct end s = {.ssl = tls_accept(sc)}, c = {.sent = malloc(bad[i].n), .n = bad[i].n};

		cr_assert_not_null(c.sent);
		memcpy(c.sent, bad[i].bytes, bad[i].n);
		while (c.at < c.n && s.state == TLS_GO)
			pass(&c, &s, 1);
		cr_assert_eq(s.state, bad[i].refused ? TLS_FAILED : TLS_GO, "%zu", i);
		cr_assert(!tls_is_up(s.ssl));
		cr_assert_eq(s.got_n, 0);
		if (i == 0)
			cr_assert_not_null(strstr(s.why, "http"), "%s", s.why);
		end_free(&s);
		free(c.sent);
		tls_ctx_put(sc);
	}
}

/* A byte changed on the way is found, wherever it is; nothing of the record comes out. */
TEST_TLS(changed_bytes)
{
	for (size_t at = 0; at < 60; at++) {
		struct tls_ctx *sc = front(NULL), *cc = context((struct tls_opts){0}, "");
		struct tls_resume r = {NULL};
		struct end c, s;

		begin(&c, &s, cc, sc, NULL, &r);
		exchange(&c, &s, 65536);
		say(&c, (const u8 *)"a statement of some length, in one record", 41);
		if (c.at + at < c.n) {
			c.sent[c.at + at] ^= 1;
			pass(&c, &s, 65536);
			cr_assert(s.state == TLS_FAILED || (s.state == TLS_GO && at < 5), "byte %zu", at);
			cr_assert_eq(s.got_n, 0, "byte %zu", at);
		}
		end_free(&c);
		end_free(&s);
		tls_resume_clear(&r);
		tls_ctx_put(sc);
		tls_ctx_put(cc);
	}
}
