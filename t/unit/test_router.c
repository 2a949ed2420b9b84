/* Unit tests of router/: each fallback, each reason. */
#include <criterion/criterion.h>
#include "router/route.h"

static struct route_server sv[3];
static struct route_in in;
static struct route_out out;
static struct stmt rd = {.flags = STMT_F_READ, .kind = STMT_SELECT, .why = ROUTE_READ};
static struct stmt wr = {.kind = STMT_INSERT, .why = ROUTE_WRITE};

static void
setup(void)
{
	memset(sv, 0, sizeof sv);
	for (u32 i = 0; i < 3; i++)
		sv[i] = (struct route_server){.id = 10 + i, .weight = 1,
		    .v = {.state = SRV_UP, .role = i == 0 ? SRV_ROLE_PRIMARY : SRV_ROLE_REPLICA}};
	in = (struct route_in){.policy = CFG_READ_REPLICAS, .read_split = true, .hint_server = -1, .primary = 10, .n = 3, .servers = sv};
}
TestSuite(route, .init = setup);

static void
expect(const struct stmt *st, int index, enum route_reason why)
{
	route_statement(st, &in, &out);
	cr_assert_eq(out.index, index, "index %d, expected %d", out.index, index);
	cr_assert_eq(out.why, why, "why %s, expected %s", route_words[out.why], route_words[why]);
}

Test(route, write_to_primary)
{
	expect(&wr, 0, ROUTE_WRITE);
	cr_assert(!out.read);
	in.primary = -1;
	expect(&wr, -1, ROUTE_NO_PRIMARY);
}

Test(route, read_to_least_outstanding_replica)
{
	sv[1].outstanding = 5;
	expect(&rd, 2, ROUTE_READ);
	cr_assert(out.read);
	sv[2].outstanding = 9;
	expect(&rd, 1, ROUTE_READ);
}

Test(route, weight_shares)
{
	int n[3] = {0};

	sv[1].weight = 3;
	for (u32 k = 0; k < 400; k++) {
		in.turn = k;
		route_statement(&rd, &in, &out);
		n[out.index]++;
		sv[out.index].outstanding++;
	}
	cr_assert_eq(n[0], 0);
	cr_assert_eq(n[1], 300, "%d", n[1]);
	cr_assert_eq(n[2], 100);
}

Test(route, ties_go_round)
{
	int n[3] = {0};

	for (in.turn = 0; in.turn < 300; in.turn++) {
		route_statement(&rd, &in, &out);
		n[out.index]++;
	}
	cr_assert_gt(n[1], 90);
	cr_assert_gt(n[2], 90);
}

Test(route, weight_zero_is_last_resort)
{
	sv[1].weight = 0;
	sv[2].weight = 0;
	route_statement(&rd, &in, &out);
	cr_assert_neq(out.index, 0);
	sv[2].weight = 1;
	for (in.turn = 0; in.turn < 9; in.turn++)
		expect(&rd, 2, ROUTE_READ);
}

Test(route, no_replica_then_primary)
{
	sv[1].v.state = SRV_LAGGING;
	sv[2].drain = true;
	expect(&rd, 0, ROUTE_NO_REPLICA);
}

Test(route, reads_survive_the_primary)
{
	in.primary = -1;
	sv[0].v.state = SRV_DOWN;
	sv[1].v = (struct srv_verdict){.state = SRV_BROKEN, .cause = SRV_CAUSE_IO_STOPPED};
	sv[2].v.state = SRV_DOWN;
	expect(&rd, 1, ROUTE_LAGGING);
	sv[1].v.cause = SRV_CAUSE_SQL_STOPPED;
	expect(&rd, -1, ROUTE_NO_SERVER);
	sv[2].v.state = SRV_LAGGING;
	expect(&rd, 2, ROUTE_LAGGING);
}

Test(route, own_writes)
{
	in.wrote = true;
	expect(&rd, 0, ROUTE_OWN_WRITES);
	sv[2].has_writes = true;
	expect(&rd, 2, ROUTE_READ);
	in.primary = -1;
	sv[2].v.state = SRV_DOWN;
	expect(&rd, -1, ROUTE_NO_SERVER);
}

Test(route, policies)
{
	int n[3] = {0};

	in.policy = CFG_READ_PRIMARY;
	expect(&rd, 0, ROUTE_POLICY);
	in.primary = -1;
	route_statement(&rd, &in, &out);
	cr_assert_neq(out.index, -1);
	setup();
	in.read_split = false;
	expect(&rd, 0, ROUTE_POLICY);
	in.primary = -1;
	expect(&rd, -1, ROUTE_NO_PRIMARY);
	setup();
	in.policy = CFG_READ_ALL;
	for (in.turn = 0; in.turn < 30; in.turn++) {
		route_statement(&rd, &in, &out);
		cr_assert_eq(out.why, ROUTE_READ_ALL);
		n[out.index]++;
	}
	cr_assert_eq(n[0], 10);
}

Test(route, drained_primary)
{
	sv[0].drain = true;
	expect(&wr, -1, ROUTE_NO_PRIMARY);
	route_statement(&rd, &in, &out);
	cr_assert_gt(out.index, 0);
}

Test(route, suspects_come_last)
{
	sv[1].suspect = true;
	for (in.turn = 0; in.turn < 9; in.turn++)
		expect(&rd, 2, ROUTE_READ);
	sv[2].v.state = SRV_DOWN;
	expect(&rd, 1, ROUTE_READ);
}

Test(route, exclude_and_retry)
{
	in.exclude = 1u << 1;
	in.retry = true;
	expect(&rd, 2, ROUTE_RETRY);
	in.exclude = 1u << 1 | 1u << 2;
	expect(&rd, 0, ROUTE_NO_REPLICA);
	in.exclude = 7;
	expect(&rd, -1, ROUTE_NO_SERVER);
}

Test(route, autocommit_off_and_hint)
{
	struct stmt hinted = rd;

	in.pinned_trx = true;
	expect(&rd, 0, ROUTE_TRX);
	cr_assert(!out.read);
	in.pinned_trx = false;
	hinted.flags |= STMT_F_HINT_PRIMARY;
	expect(&hinted, 0, ROUTE_POLICY);
}

Test(route, hints)
{
	struct stmt r = rd, w = wr, state = {.flags = STMT_F_STATE_READ, .kind = STMT_SHOW, .why = ROUTE_STATE};

	r.flags |= STMT_F_HINT_REPLICA;
	sv[1].outstanding = 3;
	expect(&r, 2, ROUTE_HINT);
	cr_assert(out.read && !out.hint_ignored);
	in.policy = CFG_READ_PRIMARY; /* a hint goes before the policy */
	in.read_split = false;
	expect(&r, 2, ROUTE_HINT);
	in.wrote = true; /* but not before the session's own writes */
	expect(&r, 0, ROUTE_POLICY);
	cr_assert(out.hint_ignored);
	sv[1].has_writes = true;
	expect(&r, 1, ROUTE_HINT);
	in.wrote = false;
	in.pinned_trx = true;
	expect(&r, 0, ROUTE_TRX);
	cr_assert(out.hint_ignored);
	in.pinned_trx = false;
	w.flags |= STMT_F_HINT_REPLICA;
	expect(&w, 0, ROUTE_WRITE);
	cr_assert(out.hint_ignored && !out.read);
	expect(&state, 0, ROUTE_STATE);
	cr_assert(!out.hint_ignored && !out.read);
	state.flags |= STMT_F_HINT_REPLICA;
	expect(&state, 2, ROUTE_HINT);
	sv[1].v.state = sv[2].v.state = SRV_DOWN;
	expect(&state, 0, ROUTE_STATE);
	cr_assert(out.hint_ignored);
	state.flags |= STMT_F_HINT_PRIMARY; /* of two the one that is never wrong */
	expect(&state, 0, ROUTE_STATE);
}

Test(route, hint_server)
{
	struct stmt r = rd, w = wr;

	r.flags |= STMT_F_HINT_SERVER;
	w.flags |= STMT_F_HINT_SERVER;
	in.hint_server = 2;
	sv[2].v.state = SRV_LAGGING; /* whoever names it wants it */
	expect(&r, 2, ROUTE_HINT);
	expect(&w, 0, ROUTE_WRITE);
	cr_assert(out.hint_ignored);
	in.wrote = true;
	expect(&r, 0, ROUTE_OWN_WRITES);
	cr_assert(out.hint_ignored);
	in.wrote = false;
	sv[2].v.state = SRV_DOWN;
	expect(&r, -1, ROUTE_NO_SERVER);
	in.hint_server = 0;
	expect(&r, 0, ROUTE_HINT);
	expect(&w, 0, ROUTE_WRITE);
	cr_assert(!out.hint_ignored);
}

Test(route, read_only_transaction)
{
	struct stmt b = {.flags = STMT_F_TRX_RO, .kind = STMT_BEGIN, .why = ROUTE_TRX};

	sv[1].outstanding = 3;
	expect(&b, 2, ROUTE_READ);
	in.wrote = true;
	expect(&b, 0, ROUTE_OWN_WRITES);
	in.wrote = false;
	in.read_split = false;
	expect(&b, 0, ROUTE_POLICY);
	in.read_split = true;
	b.flags |= STMT_F_MULTI;
	expect(&b, 0, ROUTE_TRX);
}
