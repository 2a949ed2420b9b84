/* t/unit/test_worker_meta.c: clients that cache column definitions: told once, left out, told anew; pieces, too many of
 * them, servers and clients that go in the middle.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

static const char sql[] = "SELECT c FROM t";
#define ID_THERE 77u

struct def {
	const char *name;
	u32 n; /* columns of that name */
};

static void
defs_write(struct bytes *b, u8 *seq, const struct def *d)
{
	u8 buf[512];

	for (u32 i = 0; i < d->n; i++) {
		struct wr w = wr_init(buf, sizeof buf);

		pkt_column_write(&w, (*seq)++, d->name, 253, 33, 10, 0, 0);
		cr_assert(!w.bad);
		bytes_add(b, buf, w.len);
	}
}

static void
eof_write(struct bytes *b, u8 *seq, u32 caps, bool last)
{
	u8 buf[64];
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT};

	if (caps & CAP_DEPRECATE_EOF) {
		if (!last)
			return;
		pkt_ok_write(&w, (*seq)++, 0xfe, caps, &ok);
	} else {
		pkt_eof_write(&w, (*seq)++, 0, ST_AUTOCOMMIT);
	}
	bytes_add(b, buf, w.len);
}

/* The reply to an execution, one row. cached: for a client that caches; told: with definitions. */
static void
result_write(struct bytes *b, u32 caps, const struct def *d, bool cached, bool told)
{
	u8 buf[64], seq = 1;
	struct wr w = wr_init(buf, sizeof buf);

	if (cached)
		pkt_colcount_cached_write(&w, seq++, d->n, told);
	else
		pkt_colcount_write(&w, seq++, d->n);
	bytes_add(b, buf, w.len);
	if (!cached || told)
		defs_write(b, &seq, d);
	eof_write(b, &seq, caps, false);
	bytes_packet(b, seq++, "\0\0\1x", 4);
	eof_write(b, &seq, caps, true);
}

static void
prepared_write(struct bytes *b, u32 id, u32 caps, const struct def *d, u16 nparams)
{
	u8 buf[64], seq = 1;
	struct wr w = wr_init(buf, sizeof buf);
	struct pkt_prepare_ok ok = {.id = id, .ncols = (u16)d->n, .nparams = nparams};
	struct def p = {"?", nparams};

	pkt_prepare_ok_write(&w, seq++, &ok);
	bytes_add(b, buf, w.len);
	defs_write(b, &seq, &p);
	if (nparams > 0)
		eof_write(b, &seq, caps, false);
	defs_write(b, &seq, d);
	eof_write(b, &seq, caps, false);
}

static struct peer *
prepare(struct peer *c, const struct def *d, u16 nparams)
{
	struct bytes b = {0};

	client_com(c, COM_STMT_PREPARE, sql, sizeof sql - 1);
	struct peer *s = server_ready(1);
	server_expect(s, COM_STMT_PREPARE, sql, sizeof sql - 1);
	prepared_write(&b, ID_THERE, CAPS_NEW, d, nparams);
	peer_send(s, b.p, b.len);
	b.len = 0;
	prepared_write(&b, 1, c->caps, d, nparams);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
	return s;
}

/* EXECUTE of a statement without parameters. */
static void
execute(struct peer *c, struct peer *s, u32 there)
{
	u8 body[9] = {1, 0, 0, 0, 0, 1};

	client_com(c, COM_STMT_EXECUTE, body, sizeof body);
	wr32(body, there);
	server_expect(s, COM_STMT_EXECUTE, body, sizeof body);
}

static void
expect_result(struct peer *c, const struct def *d, bool told)
{
	struct bytes b = {0};

	result_write(&b, c->caps, d, true, told);
	peer_expect(c, b.p, b.len);
	bytes_free(&b);
}

/* step: bytes at a time, 0: all. */
static void
answer(struct peer *s, const struct def *d, size_t step)
{
	struct bytes b = {0};

	result_write(&b, CAPS_NEW, d, false, true);
	for (size_t at = 0; at < b.len; at += step == 0 ? b.len : step) {
		peer_send(s, b.p + at, MIN(step == 0 ? b.len : step, b.len - at));
		rig_run();
	}
	bytes_free(&b);
}

static struct peer *
caching_client(u32 caps)
{
	rig_start(NULL);
	R.mcaps = MCAP_CACHE_METADATA;
	return client_login(caps);
}

TEST_WORKER(definitions_are_told_when_they_are_news)
{
	static const struct def one = {"c", 1}, other = {"d", 1}, more = {"c", 3};

	for (u32 k = 0; k < 12; k++) {
		struct peer *c = caching_client(k % 2 ? CAPS_OLD : CAPS_NEW);
		struct peer *s = prepare(c, &one, 0);
		const struct {
			const struct def *d;
			bool told;
		} t[] = {{&one, false}, {&one, false}, {&other, true}, {&other, false}, {&more, true}, {&more, false}, {&one, true}};

		for (size_t i = 0; i < ARRAY_LEN(t); i++) {
			execute(c, s, ID_THERE);
			answer(s, t[i].d, k / 2);
			expect_result(c, t[i].d, t[i].told);
			cr_assert_null(client_sess(c)->meta);
		}
		rig_stop();
	}
}

TEST_WORKER(definitions_of_parameters_do_not_count)
{
	static const struct def one = {"c", 1};
	u64 meta[2];

	for (u32 k = 0; k < 4; k++) {
		struct peer *c = caching_client(k / 2 ? CAPS_OLD : CAPS_NEW);

		(void)prepare(c, &one, k % 2 ? 2 : 0);
		meta[k % 2] = client_sess(c)->ps[0].meta;
		cr_assert_neq(meta[k % 2], 0);
		rig_stop();
		if (k % 2)
			cr_assert_eq(meta[0], meta[1]);
	}
}

TEST_WORKER(too_many_definitions_to_hold)
{
	static const struct def many = {"a_name_of_some_length_that_a_column_may_well_have", 2000};
	struct peer *c = caching_client(CAPS_OLD);
	struct peer *s = prepare(c, &many, 0);

	for (int i = 0; i < 2; i++) {
		execute(c, s, ID_THERE);
		answer(s, &many, i == 0 ? 0 : 5000);
		expect_result(c, &many, true);
	}
	rig_stop();
}

TEST_WORKER(server_goes_in_the_middle_of_definitions)
{
	static const struct def three = {"c", 3};
	struct peer *c = caching_client(CAPS_NEW);
	struct peer *s = prepare(c, &three, 0);
	struct bytes b = {0};

	execute(c, s, ID_THERE);
	result_write(&b, CAPS_NEW, &three, false, true);
	peer_send(s, b.p, 60);
	rig_run();
	cr_assert_not_null(client_sess(c)->meta);
	server_gone(s);
	/* nothing had reached the client: the read runs elsewhere */
	s = server_ready(0);
	server_expect(s, COM_STMT_PREPARE, sql, sizeof sql - 1);
	b.len = 0;
	prepared_write(&b, 5, CAPS_NEW, &three, 0);
	peer_send(s, b.p, b.len);
	u8 body[9] = {5, 0, 0, 0, 0, 1};
	server_expect(s, COM_STMT_EXECUTE, body, sizeof body);
	answer(s, &three, 0);
	expect_result(c, &three, false);
	bytes_free(&b);
	rig_stop();
}

TEST_WORKER(client_goes_in_the_middle_of_definitions)
{
	static const struct def three = {"c", 3};
	struct peer *c = caching_client(CAPS_NEW);
	struct peer *s = prepare(c, &three, 0);
	struct bytes b = {0};

	execute(c, s, ID_THERE);
	result_write(&b, CAPS_NEW, &three, false, true);
	peer_send(s, b.p, 60);
	rig_run();
	peer_close(c);
	rig_run();
	peer_send(s, b.p + 60, b.len - 60);
	bytes_free(&b);
	server_expect_reset(s);
	rig_stop();
}

/* Text results have the mark too, and are always told; so are results that Margay makes. */
TEST_WORKER(text_results_are_told)
{
	static const struct def one = {"c", 1};
	struct peer *c = caching_client(CAPS_NEW);
	struct bytes b = {0};

	for (int i = 0; i < 2; i++) {
		client_query(c, sql);
		struct peer *s = i == 0 ? server_ready(1) : R.peers[R.npeers - 1];
		server_expect_query(s, sql);
		answer(s, &one, 0);
		expect_result(c, &one, true);
	}
	client_query(c, "SELECT ROW_COUNT()");
	size_t len;
	const u8 *p = peer_packet(c, &len);
	cr_assert_eq(len, PKT_HDR + 2);
	cr_assert_eq(p[PKT_HDR + 1], 1);
	peer_skip(c, peer_pending(c));
	bytes_free(&b);
	rig_stop();
}
