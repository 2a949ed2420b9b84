/* t/unit/test_health.c: facts from foreign text; rise and fall of one server. */
#include "test_health.h"
#include "base/err.h"
#include "base/str.h"
#include "health/facts.h"
#include <criterion/criterion.h>
#include <errno.h>

void
world_init(struct world *w, enum cfg_topology topology, u32 n)
{
	memset(w, 0, sizeof *w);
	judge_clu_restore(&w->c, -1, 0);
	w->c.o = (struct judge_opts){.topology = topology, .rise = 2, .fall = 3, .max_lag_ms = 10000,
	    .probe_interval_ms = 1000, .probe_timeout_ms = 2000};
	w->c.n = n;
	w->now_ns = 100 * SEC;
	w->now_ms = 1700000000000;
	for (u32 i = 0; i < n; i++) {
		char host[32];

		(void)snprintf(host, sizeof host, "10.0.0.%u", i + 1);
		judge_srv_init(&w->s[i], i, host, 3306);
		w->c.srv[i] = &w->s[i];
	}
}

struct obs
good(const struct world *w, u32 i)
{
	struct obs o = {.cause = SRV_CAUSE_NONE, .started_ns = w->now_ns, .ended_ns = w->now_ns};

	o.facts.mariadb = true;
	o.facts.server_id = i + 1;
	o.facts.port = 3306;
	(void)snprintf(o.facts.hostname, sizeof o.facts.hostname, "db%u", i + 1);
	return o;
}

struct obs
bad(enum srv_cause cause)
{
	return (struct obs){.cause = cause};
}

struct obs_channel *
follow(struct obs *o, const struct world *w, u32 to)
{
	struct obs_channel *ch = &o->facts.channel[o->facts.nchannels++];

	(void)str_copy(ch->host, sizeof ch->host, w->s[to].host);
	ch->port = 3306;
	ch->server_id = to + 1;
	ch->io = ch->sql = OBS_THREAD_YES;
	ch->behind_known = true;
	return ch;
}

void
feed(struct world *w, u32 i, struct obs o, u32 times)
{
	for (u32 k = 0; k < times; k++) {
		w->now_ns += SEC;
		w->now_ms += 1000;
		o.ended_ns = w->now_ns;
		judge_probe(&w->s[i], &o, &w->c.o);
	}
}

void
judge(struct world *w)
{
	judge_cluster(&w->c, w->now_ns, w->now_ms);
}

const char *
seen(const struct world *w, u32 i)
{
	static char text[8][64];
	struct srv_verdict v = w->s[i].v;

	(void)snprintf(text[i], sizeof text[i], "%s %s %s", srv_state_words[v.state], srv_role_words[v.role],
	    srv_cause_words[v.cause]);
	return text[i];
}

static void
expect(struct world *w, const char *state)
{
	judge(w);
	cr_assert_str_eq(seen(w, 0), state);
}

Test(facts, gtid)
{
	struct obs_gtid set[OBS_DOMAINS];
	u32 n = 0;

	facts_gtid_merge(set, &n, "0-1-7,5-2-9", 0);
	facts_gtid_merge(set, &n, "0-3-12,5-2-3,7-1-1", 0);
	cr_assert_eq(n, 3u);
	cr_assert(set[0].domain == 0 && set[0].seq == 12);
	cr_assert(set[1].domain == 5 && set[1].seq == 9);
	cr_assert(set[2].domain == 7 && set[2].seq == 1);
	facts_gtid_merge(set, &n, "", 0);
	facts_gtid_merge(set, &n, "3-1", 0);
	facts_gtid_merge(set, &n, "x", 0);
	facts_gtid_merge(set, &n, "1-2-99999999999999999999999999", 0);
	facts_gtid_merge(set, &n, "9-9-9x", 0);
	cr_assert_eq(n, 3u);
	facts_gtid_merge(set, &n, "10-1-1,11-1-1,12-1-1,13-1-1,14-1-1,15-1-1,0-1-20", 0);
	cr_assert_eq(n, (u32)OBS_DOMAINS, "more domains than fit are left out");
	cr_assert_eq(set[0].seq, 20u, "but known ones still move");
	facts_gtid_merge(set, &n, "0-1-21,5-4-30", 4);
	cr_assert_eq(set[0].seq, 20u, "written by another server");
	cr_assert_eq(set[1].seq, 30u);
}

Test(facts, causes)
{
	static const struct {
		u32 no;
		int sys;
		bool login;
		enum srv_cause want;
	} t[] = {
	    {2002, ECONNREFUSED, true, SRV_CAUSE_REFUSED},
	    {2002, ENOENT, true, SRV_CAUSE_REFUSED},
	    {2003, ETIMEDOUT, true, SRV_CAUSE_TIMEOUT},
	    {2002, EHOSTUNREACH, true, SRV_CAUSE_UNREACHABLE},
	    {2002, ENETUNREACH, true, SRV_CAUSE_UNREACHABLE},
	    {2002, 0, true, SRV_CAUSE_UNREACHABLE},
	    {2013, ECONNRESET, true, SRV_CAUSE_UNREACHABLE},
	    {2013, EAGAIN, true, SRV_CAUSE_PROTOCOL},
	    {2013, 0, false, SRV_CAUSE_UNREACHABLE},
	    {2006, 0, false, SRV_CAUSE_UNREACHABLE},
	    {2007, 0, true, SRV_CAUSE_PROTOCOL},
	    {2027, 0, false, SRV_CAUSE_PROTOCOL},
	    {2000, 0, true, SRV_CAUSE_PROTOCOL},
	    {1045, 0, true, SRV_CAUSE_AUTH},
	    {1129, 0, true, SRV_CAUSE_AUTH},
	    {1130, 0, true, SRV_CAUSE_AUTH},
	    {4151, 0, true, SRV_CAUSE_AUTH},
	    {5010, 0, true, SRV_CAUSE_AUTH},
	    {1040, 0, true, SRV_CAUSE_TOO_MANY},
	    {1203, 0, true, SRV_CAUSE_TOO_MANY},
	    {1226, 0, true, SRV_CAUSE_TOO_MANY},
	    {1227, 0, false, SRV_CAUSE_DENIED},
	    {1142, 0, false, SRV_CAUSE_DENIED},
	    {1193, 0, false, SRV_CAUSE_ERROR},
	    {1053, 0, false, SRV_CAUSE_ERROR},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		cr_assert_eq(facts_cause(t[i].no, t[i].sys, t[i].login), t[i].want, "row %zu (%u): %s", i,
		    t[i].no, srv_cause_words[facts_cause(t[i].no, t[i].sys, t[i].login)]);
}

Test(facts, errno_in_messages)
{
	cr_assert_eq(facts_errno_in("Can't connect to server on '127.0.0.1' (111)"), 111);
	cr_assert_eq(facts_errno_in("Can't connect to local server through socket '/a(5)b' (2)"), 2);
	cr_assert_eq(facts_errno_in("Lost connection to server at 'x', system error: 104"), 104);
	cr_assert_eq(facts_errno_in("Lost connection"), 0);
	cr_assert_eq(facts_errno_in("("), 0);
	cr_assert_eq(facts_errno_in("(abc)"), 0);
}

Test(facts, texts)
{
	char b[8];

	facts_text(b, sizeof b, "a\x01\xff\nz");
	cr_assert_str_eq(b, "a???z");
	facts_text(b, sizeof b, "longer than that");
	cr_assert_str_eq(b, "longer ");
	facts_text(b, sizeof b, NULL);
	cr_assert_str_eq(b, "");
	cr_assert(facts_true("1") && facts_true("ON") && facts_true("NO_LOCK"));
	cr_assert(!facts_true("0") && !facts_true("off") && !facts_true("") && !facts_true(NULL));
	cr_assert_eq(facts_thread("Yes"), OBS_THREAD_YES);
	cr_assert_eq(facts_thread("Connecting"), OBS_THREAD_CONNECTING);
	cr_assert_eq(facts_thread("Preparing"), OBS_THREAD_CONNECTING);
	cr_assert_eq(facts_thread("No"), OBS_THREAD_NO);
	cr_assert_eq(facts_thread(NULL), OBS_THREAD_NO);
	cr_assert_eq(facts_u64("12"), 12u);
	cr_assert_eq(facts_u64("12.5"), 12u);
	cr_assert_eq(facts_u64("-1"), 0u);
	cr_assert_eq(facts_u64("99999999999999999999"), 0u);
	cr_assert_eq(facts_u64(NULL), 0u);
}

Test(facts, addresses)
{
	char host[OBS_TEXT], q[64];
	u32 port;

	cr_assert(address_split("db1:3307", host, sizeof host, &port) == 0 && port == 3307);
	cr_assert_str_eq(host, "db1");
	cr_assert(address_split("db1", host, sizeof host, &port) == 0 && port == 3306);
	cr_assert(address_split("[::1]:4000", host, sizeof host, &port) == 0 && port == 4000);
	cr_assert_str_eq(host, "::1");
	cr_assert(address_split("::1", host, sizeof host, &port) == 0 && port == 3306);
	cr_assert(address_split("/run/x.sock", host, sizeof host, &port) == 0 && port == 0);
	cr_assert_str_eq(host, "/run/x.sock");
	cr_assert_neq(address_split("", host, sizeof host, &port), 0);
	cr_assert_neq(address_split(":1", host, sizeof host, &port), 0);
	cr_assert_neq(address_split("a:0", host, sizeof host, &port), 0);
	cr_assert_neq(address_split("a:70000", host, sizeof host, &port), 0);
	cr_assert_neq(address_split("[::1", host, sizeof host, &port), 0);
	cr_assert_eq(facts_quote_table("a.b", q, sizeof q), 0);
	cr_assert_str_eq(q, "`a`.`b`");
	cr_assert_eq(facts_quote_table("a`.b.c", q, sizeof q), 0);
	cr_assert_str_eq(q, "`a```.`b.c`");
	cr_assert_neq(facts_quote_table("ab", q, sizeof q), 0);
	cr_assert_neq(facts_quote_table(".b", q, sizeof q), 0);
	cr_assert_neq(facts_quote_table("a.", q, sizeof q), 0);
	cr_assert_neq(facts_quote_table("a.b", q, 7), 0);
}

Test(judge, rise_and_fall)
{
	struct world w;

	world_init(&w, CFG_STANDALONE, 1);
	expect(&w, "unknown - -");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "up primary -");
	cr_assert_eq(w.c.primary, 0);
	cr_assert_eq(w.c.epoch, 1u);
	feed(&w, 0, bad(SRV_CAUSE_TIMEOUT), 2);
	expect(&w, "up primary -");
	feed(&w, 0, good(&w, 0), 1);
	feed(&w, 0, bad(SRV_CAUSE_TIMEOUT), 2);
	expect(&w, "up primary -");
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 1);
	expect(&w, "down - refused");
	cr_assert_eq(w.c.primary, -1);
	cr_assert_eq(w.c.cause, SRV_CAUSE_REFUSED);
	cr_assert_eq(w.c.epoch, 1u, "no other primary: the epoch is kept");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "down - refused");
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 1);
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "down - refused");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "up primary -");
	cr_assert_eq(w.c.epoch, 1u);
}

Test(judge, first_bad_probe_counts_at_once)
{
	struct world w;

	world_init(&w, CFG_STANDALONE, 1);
	feed(&w, 0, bad(SRV_CAUSE_DNS), 1);
	expect(&w, "down - dns");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "down - dns");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "up primary -");
}

/* Every cause: of a server never seen, and of one that was primary. */
Test(judge, causes)
{
	static const struct {
		enum srv_cause cause;
		const char *fresh, *was_up;
	} t[] = {
	    {SRV_CAUSE_REFUSED, "down - refused", "down - refused"},
	    {SRV_CAUSE_TIMEOUT, "down - timeout", "down - timeout"},
	    {SRV_CAUSE_UNREACHABLE, "down - unreachable", "down - unreachable"},
	    {SRV_CAUSE_DNS, "down - dns", "down - dns"},
	    {SRV_CAUSE_AUTH, "broken - auth", "up primary auth"},
	    {SRV_CAUSE_TOO_MANY, "broken - too-many", "up primary too-many"},
	    {SRV_CAUSE_DENIED, "broken - denied", "up primary denied"},
	    {SRV_CAUSE_PROTOCOL, "down - protocol", "down - protocol"},
	    {SRV_CAUSE_ERROR, "broken - error", "broken - error"},
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		struct world w;

		world_init(&w, CFG_STANDALONE, 1);
		feed(&w, 0, bad(t[i].cause), 1);
		expect(&w, t[i].fresh);
		world_init(&w, CFG_STANDALONE, 1);
		feed(&w, 0, good(&w, 0), 1);
		judge(&w);
		feed(&w, 0, bad(t[i].cause), 3);
		expect(&w, t[i].was_up);
		feed(&w, 0, good(&w, 0), 2);
		expect(&w, "up primary -");
	}
}

Test(judge, unseen_primary_that_dies)
{
	struct world w;

	world_init(&w, CFG_STANDALONE, 1);
	feed(&w, 0, good(&w, 0), 1);
	feed(&w, 0, bad(SRV_CAUSE_TOO_MANY), 5);
	expect(&w, "up primary too-many");
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 1);
	expect(&w, "down - refused");
}

Test(judge, epochs_of_verdicts)
{
	struct world w;
	u32 e;

	world_init(&w, CFG_STANDALONE, 1);
	feed(&w, 0, good(&w, 0), 1);
	judge(&w);
	e = w.s[0].v.epoch;
	judge(&w);
	cr_assert_eq(w.s[0].v.epoch, e);
	feed(&w, 0, bad(SRV_CAUSE_REFUSED), 3);
	judge(&w);
	cr_assert_eq(w.s[0].v.epoch, e + 1);
}

/* Health was killed and came again: what its predecessor said stands until a probe says otherwise. */
Test(judge, restored)
{
	struct world w;
	struct srv_verdict v = {SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE, 0, 7};

	world_init(&w, CFG_STANDALONE, 1);
	judge_srv_restore(&w.s[0], v);
	judge_clu_restore(&w.c, 0, 4);
	expect(&w, "up primary -");
	feed(&w, 0, bad(SRV_CAUSE_TOO_MANY), 4);
	expect(&w, "up primary too-many");
	feed(&w, 0, good(&w, 0), 1);
	expect(&w, "up primary -");
	cr_assert_eq(w.c.epoch, 4u);
	cr_assert_eq(w.s[0].v.epoch, 7u);
}
