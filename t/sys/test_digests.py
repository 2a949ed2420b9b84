#!/usr/bin/python3 -B
"""Statistics of statements by their shape: what margay-stat -d says is what clients did."""
from margaytest import *
import json
import struct
import raw

SHAPE = "SELECT `word` FROM `t` WHERE `n` = ?"


def setup():
    global db, m
    db = replication_set(0)
    db[0].sql("CREATE TABLE shop.t (n INT PRIMARY KEY, word VARCHAR(300))", "INSERT INTO shop.t VALUES (1,'a'),(2,'b'),(3,'c')",
              "CREATE TABLE other.t (n INT PRIMARY KEY, word VARCHAR(300))")
    m = Margay(db, margay={"workers": 2})


def digests(inst=None):
    r = (inst or m).stat_text("-j", "-d", "100000")
    eq(r.returncode, 0, r.stderr)
    return json.loads(r.stdout)["digests"]


def of(shape, schema="shop", inst=None):
    return next((d for d in digests(inst) if d["statement"] == shape and d["schema"] == schema), None)


def counted(shape, n, schema="shop", inst=None):
    """The record of a shape once it counts n; statements are counted when their reply is on its way."""
    wait_for(lambda: (of(shape, schema, inst) or {"count": 0})["count"] >= n, 10, "%s to be counted %d times" % (shape, n))
    d = of(shape, schema, inst)
    eq(d["count"], n, shape)
    return d


def test_counts():
    cs = [m.conn() for _ in range(8)]  # over both workers
    for i, c in enumerate(cs):
        for k in range(5):
            query(c, "SELECT word FROM t WHERE n=%d" % (k + 1))
            query(c, "select word from t -- %d\n where n = '%d'" % (k, i))
    d = counted(SHAPE, 80)
    eq((d["errors"], d["rows"]), (0, 8 * 3 + 5 * sum(1 for i in range(8) if 1 <= i <= 3)), "errors, rows")
    eq(sum(d["times"]), 80)
    ok(d["time_ns"] >= d["server_ns"] > 0 and d["max_ns"] <= d["time_ns"], "times: %r" % d)
    ok(d["p50_ns"] <= d["p95_ns"] <= d["p99_ns"] <= d["max_ns"], "quantiles: %r" % d)
    ok(d["bytes"] > 80 * 50, "bytes: %r" % d)
    ok(abs(d["last_ms"] - time.time() * 1000) < 60000 and d["first_ms"] <= d["last_ms"], "seen: %r" % d)


def test_errors_and_rows():
    c = m.conn()
    for sql in ("INSERT INTO t VALUES (10,'x'),(11,'y')", "INSERT INTO t VALUES (10,'x'),(12,'y')", "INSERT INTO t VALUES (13,NULL)"):
        try:
            query(c, sql)
        except pymysql.MySQLError:
            pass
    many, one = counted("INSERT INTO `t` VALUES (...) /* , ... */", 2), counted("INSERT INTO `t` VALUES (...)", 1)
    eq((many["errors"], many["rows"], one["errors"], one["rows"]), (1, 2, 0, 1))
    query(c, "DELETE FROM t WHERE n >= 10")
    eq(counted("DELETE FROM `t` WHERE `n` >= ?", 1)["rows"], 3)


def test_schemas_are_told_apart():
    c = m.conn()
    query(c, "SELECT COUNT(*) FROM t")
    query(c, "USE other")
    query(c, "SELECT COUNT(*) FROM t")
    query(c, "SELECT COUNT(*) FROM t")
    eq(counted("SELECT COUNT ( * ) FROM `t`", 1)["digest"], counted("SELECT COUNT ( * ) FROM `t`", 2, "other")["digest"])


def test_prepared():
    """Executions count, under the shape of what was prepared; the same as a text is the same shape."""
    text = "SELECT word, n FROM t WHERE n = ? AND word <> 'z'"
    r = raw.Raw(m.port, *APP)
    sid = r.prepared(text)
    for k in range(3):
        r.exchange(raw.execute(sid, [(raw.LONGLONG, struct.pack("<q", k + 1))]))
    r.close()
    query(m.conn(), text.replace("?", "5"))
    eq(counted("SELECT `word` , `n` FROM `t` WHERE `n` = ? AND `word` != ?", 4)["rows"], 3)


def test_own_answers():
    """What Margay answers itself, and errors of its own."""
    c = m.conn()
    query(c, "SHOW PROCESSLIST")
    query(c, "SET margay_trace = 1")
    eq(counted("SHOW PROCESSLIST", 1)["server_ns"], 0)
    eq(counted("SET `margay_trace` = ?", 1)["errors"], 0)


def test_client_leaves():
    c = m.conn()
    c._execute_command(3, "SELECT SLEEP(20), 'x'")  # COM_QUERY, and no look at its reply
    wait_for(lambda: db[0].sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(20)%'")[0][0], 10, "the statement to run")
    c._force_close()
    eq(counted("SELECT `SLEEP` (?) , ?", 1)["errors"], 1)


def test_no_literal_is_kept():
    c, secret = m.conn(), "Zsecretz%d" % os.getpid()
    for sql in ("SELECT word FROM t WHERE word = %s'%s'", "SELECT /* */ %s'a' FROM t WHERE word IN ('%s', 1)", "UPDATE t SET word = %s'%s' WHERE n = 99",
                "SELECT word FROM t WHERE %s word = 'x%s", "SELECT %s x'00', N'%s'", "SELECT %s@`v`, \"%s\""):
        try:
            query(c, sql % (" " * 200, secret))
        except pymysql.MySQLError:
            pass
    counted("UPDATE `t` SET `word` = ? WHERE `n` = ?", 1)
    found = subprocess.run(["grep", "-rlaF", secret, m.margay["runtime_dir"]], capture_output=True, text=True).stdout
    eq(found, "", "files with a literal in them")
    ok(secret not in m.stat_text("-j", "-d", "1000").stdout, "shown")


def test_table():
    for i in range(30):
        query(m.conn(), "SELECT %s FROM t" % ", ".join(["n"] * (i + 1)))
    r = m.stat_text("-d")
    eq(r.returncode, 0, r.stderr)
    eq(len(r.stdout.splitlines()), 21, r.stdout)
    r = m.stat_text("-d", "3")
    eq(len(r.stdout.splitlines()), 4, r.stdout)
    eq(m.stat_text("-d", "x").returncode, 64)


def test_room():
    """With little room the oldest go, and what is there is right."""
    n = Margay(db, name="small", margay={"workers": 1, "max_digests": 10})
    c = n.conn()
    for k in range(100):
        query(c, "SELECT %s FROM t" % ", ".join(["n"] * (k + 1)))
        query(c, "SELECT word FROM t WHERE n = %d" % k)
    all_ = digests(n)
    ok(8 <= len(all_) <= 16, "%d digests" % len(all_))
    eq(counted(SHAPE, 100, inst=n)["count"], 100)  # seen again and again: it stays
    ok(n.counter("digests_evicted") >= 80, "evicted: %d" % n.counter("digests_evicted"))
    n.stop()
    n = Margay(db, name="none", margay={"workers": 1, "max_digests": 0})
    eq(value(n.conn(), "SELECT 1"), 1)
    eq(digests(n), [])
    n.stop()


def test_switch_and_crash():
    n = Margay(db, name="switch", margay={"workers": 1})
    c = n.conn()
    query(c, "SELECT word FROM t WHERE n = 1")
    counted(SHAPE, 1, inst=n)
    n.margay["digests"] = "no"
    n.reload()
    query(c, "SELECT word FROM t WHERE n = 1")
    n.margay["digests"] = "yes"
    n.reload()
    query(c, "SELECT word FROM t WHERE n = 1")
    counted(SHAPE, 2, inst=n)
    os.kill(n.worker_pids()[0], signal.SIGKILL)
    wait_for(lambda: value(n.conn(), "SELECT 1") == 1, 20, "a new worker")
    query(n.conn(), "SELECT word FROM t WHERE n = 1")
    counted(SHAPE, 3, inst=n)
    n.stop()


main()
