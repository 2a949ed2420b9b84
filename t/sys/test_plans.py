#!/usr/bin/python3 -B
"""Plans that are kept: a statement that differs from an earlier one in nothing but its literals is not parsed again, what
is not the same is, and where a statement goes does not depend on whether its plan was kept."""
import itertools
import json
import random
import raw
from margaytest import *


def setup():
    global db, m, off
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (n INT PRIMARY KEY, word VARCHAR(300))", "INSERT INTO shop.t VALUES (1,'a'),(2,'b'),(3,'c')")
    m = Margay(db, margay={"workers": 1}, cluster={"catalog_interval": "300ms"})
    off = Margay(db, name="off", margay={"workers": 1, "max_plans": 0})
    for x in (m, off):
        wait_for(lambda: all(s["state"] == "up" for s in x.server_states().values()), 20, "both servers")
        wait_for(lambda: settled(x), 20, "the catalogue, a new version of which ends plans")


def settled(inst):
    c = (json.loads(inst.stat_text("-j", "-t").stdout)["catalog"] or {"clusters": []})["clusters"]
    return c and c[0]["functions_known"] and c[0]["current"]


def counts(inst=None):
    w = (inst or m).stat()["workers"][0]["counters"]
    return {k: w[k] for k in ("plan_hits", "parsed", "plans", "statements")}


def during(fn, inst=None):
    """What the counters grew by while fn ran."""
    a = counts(inst)
    fn()
    b = counts(inst)
    return b["plan_hits"] - a["plan_hits"], b["parsed"] - a["parsed"]


def kept(fn, hits=1):
    """All of it is found among the plans; at the second try, if a new version of the catalogue came in between."""
    wait_for(lambda: during(fn) == (hits, 0), 10, "%d statements to be found among the plans" % hits)


def with_option(name, value):
    m.margay[name] = value
    m.reload()


def test_literals_do_not_count():
    c = m.conn()
    query(c, "SELECT word FROM t WHERE n=0")

    def run():
        for i in range(100):
            eq(query(c, "select word from t where n = %d -- %d" % (i, i)), (("abc"[i - 1],),) if 0 < i < 4 else (), "row %d" % i)

    kept(run, 100)


def test_other_shapes_are_parsed():
    c = m.conn()
    query(c, "SELECT 1")
    eq(during(lambda: query(c, "SELECT 1, 2")), (0, 1))
    eq(during(lambda: query(c, "SELECT 1, '2'")), (0, 1))
    eq(during(lambda: query(c, "SELECT '2', 1")), (0, 1))
    kept(lambda: query(c, "SELECT 3,'x'"))


def test_modes_are_told_apart():
    c = m.conn()
    query(c, "SET sql_mode=''")
    eq(query(c, 'SELECT "word" FROM t WHERE n=1'), (("word",),))
    query(c, "SET sql_mode='ANSI_QUOTES'")
    eq(during(lambda: eq(query(c, 'SELECT "word" FROM t WHERE n=1'), (("a",),))), (0, 1))
    kept(lambda: query(c, 'SELECT "word" FROM t WHERE n=2'))


def test_hints_are_never_kept():
    c = m.conn()
    for i in range(3):
        eq(during(lambda: query(c, "/* margay: primary */ SELECT %d AS hinted" % i)), (0, 1))


def test_prepare_uses_them():
    c = m.conn()
    query(c, "SELECT word FROM t WHERE n=9")
    r = raw.Raw(m.port, *APP)
    r.prepared("SELECT 1 AS one")  # a text that shows where the answers end goes with each
    n = itertools.count(70)
    kept(lambda: r.prepared("SELECT word FROM t WHERE n=%d" % next(n)), 2)
    r.prepared("SELECT word FROM t WHERE n=7")
    kept(lambda: r.prepared("SELECT word FROM t WHERE n=7"))


def test_reload_ends_them():
    c = m.conn()
    query(c, "SELECT word FROM t WHERE n=11")
    kept(lambda: query(c, "SELECT word FROM t WHERE n=12"))
    with_option("log_level", "debug")
    eq(during(lambda: query(c, "SELECT word FROM t WHERE n=13")), (0, 1))
    with_option("max_plans", 0)
    eq(counts()["plans"], 0)
    eq(during(lambda: query(c, "SELECT word FROM t WHERE n=14")), (0, 1))
    with_option("max_plans", 64)
    query(c, "SELECT word FROM t WHERE n=14")
    kept(lambda: query(c, "SELECT word FROM t WHERE n=15"))


def test_a_changed_definition_ends_them():
    """A function that health finds changed: the catalogue has another version, and no plan from before is used."""
    c = m.conn()
    for i in range(2):
        query(c, "SELECT word FROM t WHERE n=%d" % (40 + i))
    kept(lambda: query(c, "SELECT word FROM t WHERE n=42"))
    db[0].sql("CREATE FUNCTION shop.fresh() RETURNS INT NO SQL RETURN 1")

    def parsed():
        before = counts()["parsed"]
        query(c, "SELECT word FROM t WHERE n=43")
        return counts()["parsed"] > before

    wait_for(parsed, 20, "the statement to be parsed again")
    db[0].sql("DROP FUNCTION shop.fresh")


def test_no_more_than_asked_for():
    with_option("max_plans", 16)
    c = m.conn()
    for i in range(200):
        query(c, "SELECT 1 AS c%d" % i)
    ok(counts()["plans"] <= 16, "plans: %r" % counts())


def texts(r, n):
    """Statements of few shapes, among them neighbours that go elsewhere."""
    word = lambda: r.choice(["n", "word", "1", "'x'", "NULL", "n+1"])
    tail = lambda: r.choice(["", "", " FOR UPDATE", " LOCK IN SHARE MODE", " INTO @a", " /* FOR UPDATE */"])
    forms = [lambda: "SELECT %s FROM t WHERE n = %d LIMIT 1%s" % (word(), r.randrange(5), tail()),
             lambda: "SELECT MAX(%s), @a FROM t%s" % (word(), tail()),
             lambda: "SELECT %s AS a, @@%s" % (word(), r.choice(["sql_mode", "session.sql_mode", "global.sql_mode", "version"])),
             lambda: "SELECT COUNT%s(%s) FROM t" % (r.choice(["", ""]), word()),
             lambda: "SET @a = %s" % r.choice(["1", "'y'", "(SELECT MAX(n) FROM t)"]),
             lambda: "UPDATE t SET word = '%s' WHERE n = %d" % (r.choice("pqr"), r.randrange(5)),
             lambda: "SELECT LAST_INSERT_ID(%s)" % r.choice(["", "3", "4"])]
    return [r.choice(forms)() for _ in range(n)]


def test_routes_are_the_same():
    """Two proxies, one of which keeps no plans: each statement goes to the same kind of server for the same reason."""
    with_option("max_plans", 64)
    r = random.Random(args.seed)

    def route(c, sql):
        try:
            query(c, sql)
        except pymysql.MySQLError as e:
            return e.args[0]
        text = query(c, "SHOW WARNINGS")[-1][2]
        t = dict(w.split("=", 1) for w in text.split() if "=" in w)
        return t["role"], t["reason"], t["pin"]

    cs = []
    for x in (m, off):
        c = x.conn()
        query(c, "SET margay_trace=1")
        cs.append(c)
    same = 0
    for sql in texts(r, 400):
        a, b = route(cs[0], sql), route(cs[1], sql)
        eq(a, b, "route of %r" % sql)
        same += 1
    eq(same, 400)


if __name__ == "__main__":
    main()
