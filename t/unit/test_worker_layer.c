/* t/unit/test_worker_layer.c: worker/conn with worker/layer between two sockets: TLS, compression, both, and the moment when
 * they begin. Both ends are connections of the kind that workers have, over the scripted loop.
 */
#include "config.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "t/unit/certs.h"
#include "t/unit/ev_script.h"
#include "worker/conn.h"

#define DATA (3u << 20)

static struct ev_loop loop;
static struct chunk_pool chunks;
static u64 held;
static struct conn_env env = {.chunks = &chunks, .bytes_held = &held};
static struct tls_ctx *front, *back;
static struct tls_resume resume;
static u8 data[DATA];

enum layers { NONE, TLS = 1, ZLIB = 2, ZSTD = 4 };

struct end {
	struct conn c;
	u8 *got;
	size_t n;
	size_t unit;  /* bytes are taken so many together, as packets are; 0: as they come */
	size_t begin; /* when so many have come in clear, the layers begin */
	u32 layers;
	bool server, closed, failed;
};

static void
nothing(void *arg)
{
	(void)arg;
}

static void
on_closed(void *arg)
{
	((struct end *)arg)->closed = true;
}

static void
init(void)
{
	struct certs_ca ca = certs_authority("Authority");
	struct certs_pair p = certs_issue(&ca, "db.example", "DNS:db.example");
	char why[256];

	env.rbuf = malloc(RBUF_SIZE);
	cr_assert_not_null(env.rbuf);
	ev_init(&loop, NULL, 100, nothing, nothing);
	front = tls_ctx_get(&(struct tls_opts){.cert = p.cert, .key = p.key, .accept = true}, "ticket", why, sizeof why);
	back = tls_ctx_get(&(struct tls_opts){.ca = ca.pem, .verify = true}, "", why, sizeof why);
	cr_assert(front != NULL && back != NULL, "%s", why);
	for (size_t i = 0; i < DATA; i++)
		data[i] = i % 5000 < 2500 ? (u8)(i / 100) : (u8)(i * i >> 7);
}

static void
fini(void)
{
	tls_ctx_put(front);
	tls_ctx_put(back);
	free(env.rbuf);
	certs_drop();
}

#define TEST_LAYER(name) Test(layer, name, .init = init, .fini = fini, .timeout = 120)

/* Compression over TLS begins when TLS is up, as at a login: call it once more then. */
static void
add_layers(struct end *e)
{
	bool ok = true;

	if ((e->layers & TLS) != 0 && !conn_is_tls(&e->c)) {
		ok = e->server ? conn_tls_accept(&e->c, front) : conn_tls_connect(&e->c, back, "db.example", NULL, &resume);
		e->failed |= !ok;
		return;
	}
	if (ok && (e->layers & (ZLIB | ZSTD)) != 0)
		ok = conn_zip(&e->c, (e->layers & ZLIB) != 0 ? ZIP_ZLIB : ZIP_ZSTD, 3, 50, !e->server);
	e->failed |= !ok;
}

static void
on_io(struct ev_io *io, u32 events)
{
	struct end *e = io->arg;
	u8 *p, *end;
	size_t n;

	if ((events & EV_WRITE) && e->c.out.head != NULL && !conn_flush(&e->c))
		e->failed = true;
	if ((events & EV_READ) == 0 || e->failed)
		return;
	if (conn_read(&e->c, 0, &p, &end, &n)) {
		size_t m = (size_t)(end - p);

		if (e->unit != 0)
			m -= m % e->unit; /* the rest is held */
		if (e->begin > 0)
			m = MIN(m, e->begin);
		e->got = realloc(e->got, e->n + m + 1);
		cr_assert_not_null(e->got);
		memcpy(e->got + e->n, p, m);
		e->n += m;
		if (e->begin > 0 && (e->begin -= m) == 0)
			add_layers(e);
		cr_assert(conn_keep(&e->c, p + m, end));
	}
	if (e->c.eof)
		ev_io_want(io, 0);
}

static void
open_pair(struct end *a, struct end *b, int buffer)
{
	int fd[2];

	memset(a, 0, sizeof *a);
	memset(b, 0, sizeof *b);
	b->server = true;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	for (int i = 0; i < 2 && buffer > 0; i++)
		cr_assert_eq(setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
	cr_assert_eq(conn_open(&a->c, &loop, &env, fd[0], on_io, a), 0);
	cr_assert_eq(conn_open(&b->c, &loop, &env, fd[1], on_io, b), 0);
}

static void
close_both(struct end *a, struct end *b)
{
	conn_close(&a->c, on_closed);
	evs_settle();
	conn_close(&b->c, on_closed);
	evs_settle();
	cr_assert(a->closed && b->closed);
	free(a->got);
	free(b->got);
	cr_assert_eq(chunks.in_use, 0, "%llu chunks lent", (unsigned long long)chunks.in_use);
	cr_assert_eq(held, 0, "%llu bytes held", (unsigned long long)held);
	cr_assert_eq(evs_open(), 0);
	tls_resume_clear(&resume);
}

static void
say(struct end *e, const u8 *p, size_t n, size_t piece)
{
	for (size_t at = 0; at < n; at += piece) {
		size_t m = MIN(piece, n - at);
		union {
			const u8 *c;
			u8 *v;
		} u = {p + at};
		/* a header and a body, as packets come */
		struct iovec iov[2] = {{u.v, MIN(m, (size_t)4)}, {u.v + MIN(m, (size_t)4), m - MIN(m, (size_t)4)}};

		cr_assert(conn_writev(&e->c, iov, m > 4 ? 2 : 1), "%s", conn_why(&e->c));
	}
}

/* Packets with headers, so that compression towards a server finds where commands begin. */
static void
number_packets(size_t body)
{
	for (size_t at = 0; at + 4 + body <= DATA; at += 4 + body) {
		data[at] = (u8)body;
		data[at + 1] = (u8)(body >> 8);
		data[at + 2] = (u8)(body >> 16);
		data[at + 3] = 0;
	}
}

static void
both_add(struct end *a, struct end *b)
{
	add_layers(a);
	add_layers(b);
	if ((a->layers & TLS) != 0 && a->layers != TLS) {
		evs_settle();
		add_layers(a);
		add_layers(b);
	}
}

static void
both_ways(u32 layers, size_t n, size_t piece, int buffer, size_t unit)
{
	struct end a, b;

	open_pair(&a, &b, buffer);
	a.layers = b.layers = layers;
	a.unit = b.unit = unit;
	both_add(&a, &b);
	say(&a, data, n, piece);
	say(&b, data, n, piece); /* some of it before the handshake is done */
	evs_settle();
	cr_assert(!a.failed && !b.failed && !a.c.eof && !b.c.eof, "%s %s", conn_why(&a.c), conn_why(&b.c));
	cr_assert(a.n == n && memcmp(a.got, data, n) == 0, "layers %u: %zu of %zu", layers, a.n, n);
	cr_assert(b.n == n && memcmp(b.got, data, n) == 0, "layers %u: %zu of %zu", layers, b.n, n);
	close_both(&a, &b);
}

TEST_LAYER(bytes_go_through)
{
	static const u32 layers[] = {NONE, TLS, ZLIB, ZSTD, TLS | ZLIB, TLS | ZSTD};

	number_packets(996);
	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		both_ways(layers[i], 1000, 1000, 0, 0);
		both_ways(layers[i], 100000, 1000, 0, 0);
		both_ways(layers[i], 3000000, 100000, 4096, 0); /* hardly any of it is taken at once */
		both_ways(layers[i], 300000, 50000, 4096, 1000);
		both_ways(layers[i], 3000000, 50000, 4096, 300000); /* longer than any buffer */
	}
}

/* The first bytes are in clear; what follows them in the same read belongs to the layer. */
TEST_LAYER(layers_begin_in_the_middle_of_a_read)
{
	static const u32 layers[] = {TLS, ZLIB, ZSTD};

	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		struct end a, b;

		open_pair(&a, &b, 0);
		number_packets(96);
		a.layers = b.layers = layers[i];
		b.begin = 100;
		say(&a, data, 100, 100);
		add_layers(&a);
		if (layers[i] != TLS)
			say(&a, data + 100, 5000, 100);
		else
			say(&a, data + 100, 5000, 5000); /* waits for the handshake, the beginning of which is sent */
		evs_settle();
		cr_assert(!a.failed && !b.failed);
		cr_assert(b.n == 5100 && memcmp(b.got, data, b.n) == 0, "layers %u: %zu", layers[i], b.n);
		cr_assert_eq(conn_is_tls(&b.c), layers[i] == TLS);
		cr_assert_eq(conn_is_zip(&b.c), layers[i] != TLS);
		close_both(&a, &b);
	}
}

TEST_LAYER(compression_begins_under_tls)
{
	struct end a, b;

	open_pair(&a, &b, 0);
	number_packets(96);
	a.layers = b.layers = TLS;
	add_layers(&a);
	add_layers(&b);
	evs_settle();
	cr_assert(a.c.layer->up && b.c.layer->up);
	cr_assert(conn_secure(&a.c));
	a.layers = b.layers = ZLIB;
	b.begin = 100; /* plaintext of TLS, and behind it frames */
	say(&a, data, 100, 100);
	add_layers(&a);
	say(&a, data + 100, 200000, 1000);
	evs_settle();
	cr_assert(b.n == 200100 && memcmp(b.got, data, b.n) == 0, "%zu: %s", b.n, conn_why(&b.c));
	close_both(&a, &b);
}

TEST_LAYER(a_paused_reader_holds_nothing_up_for_ever)
{
	struct end a, b;

	open_pair(&a, &b, 0);
	memset(data, 'z', DATA);
	number_packets(60000);
	a.layers = b.layers = ZLIB;
	add_layers(&a);
	add_layers(&b);
	conn_pause(&b.c, true);
	say(&a, data, 60004 * 20, 60004); /* a few KiB on the wire, a megabyte for the reader */
	evs_settle();
	cr_assert_eq(b.n, 0);
	conn_pause(&b.c, false);
	evs_turn();
	conn_pause(&b.c, true); /* in the middle of frames that have come */
	evs_settle();
	size_t n = b.n;
	cr_assert_lt(n, 60004 * 20);
	evs_settle();
	cr_assert_eq(b.n, n, "a paused one is given nothing");
	conn_pause(&b.c, false);
	evs_settle();
	cr_assert_eq(b.n, 60004 * 20);
	close_both(&a, &b);
}

TEST_LAYER(ends)
{
	static const u32 layers[] = {TLS, ZLIB, TLS | ZLIB};

	for (size_t i = 0; i < ARRAY_LEN(layers); i++) {
		struct end a, b;

		open_pair(&a, &b, 0);
		number_packets(96);
		a.layers = b.layers = layers[i];
		both_add(&a, &b);
		evs_settle();
		say(&a, data, 1000, 100);
		conn_close(&a.c, on_closed); /* with its last words and, in TLS, a goodbye */
		evs_settle();
		cr_assert(b.n == 1000 && b.c.eof && b.c.err == 0, "orderly: %s", conn_why(&b.c));
		cr_assert(!conn_write(&b.c, data, 100) || true, "a write to nobody is no crash");
		close_both(&a, &b);
	}
}

static void
garbage(u32 layers, bool server, const char *bytes, size_t n, const char *why)
{
	struct end a, b;

	open_pair(&a, &b, 0);
	b.layers = layers;
	b.server = server;
	add_layers(&b);
	cr_assert(conn_write(&a.c, bytes, n));
	evs_settle();
	cr_assert(b.c.eof && b.c.err == EPROTO, "layers %u", layers);
	cr_assert_not_null(strstr(conn_why(&b.c), why), "%s", conn_why(&b.c));
	cr_assert_eq(b.n, 0);
	close_both(&a, &b);
}

TEST_LAYER(bytes_that_the_layer_does_not_know)
{
	garbage(TLS, true, "GET / HTTP/1.1\r\n\r\n", 18, "http");
	garbage(TLS, false, "\x4a\0\0\0\x0a" "5.5.5-10.11", 16, "TLS:");
	garbage(ZLIB, true, "\x05\0\0\x09\0\0\0hello", 12, "out of order");
	garbage(ZLIB, true, "\x05\0\0\0\x09\0\0hello", 12, "cannot be read");
	garbage(ZSTD, true, "\x05\0\0\0\x09\0\0hello", 12, "cannot be read");
	garbage(ZLIB, false, "\0\0\0\0\x09\0\0", 7, "empty frame");
}

TEST_LAYER(writes_before_a_handshake_that_fails)
{
	struct end a, b;

	open_pair(&a, &b, 0);
	b.layers = TLS;
	add_layers(&b);
	say(&b, data, 200000, 1000);
	evs_settle();
	cr_assert_eq(a.n, 0, "nothing goes out in clear");
	cr_assert_gt(chunks.in_use, 0);
	cr_assert(conn_write(&a.c, "no TLS at all", 13));
	evs_settle();
	cr_assert(b.c.eof);
	cr_assert(a.n < 100, "an alert, and nothing of what was to be said");
	cr_assert(!conn_write(&b.c, "x", 1));
	close_both(&a, &b);
}
