#!/usr/bin/python3 -B
"""The slow log: what is written of which statement, and that the servers' tools read it."""
from margaytest import *
import json
import raw
import struct


def setup():
    global db, m, log
    db = replication_set(0)
    db[0].sql("CREATE TABLE shop.t (n INT PRIMARY KEY, word VARCHAR(9000))", "INSERT INTO shop.t VALUES (1,'a'),(2,'b'),(3,'c')")
    m = Margay(db, name="slow", margay={"workers": 2}, start=False)
    log = m.dir + "/run/slow.log"
    m.margay.update({"slow_log": log, "slow_log_time": "0"})
    m.start()
    m.wait_servers()


def entries(path=None):
    """What stands between two lines "# Time", as (head, statement)."""
    out = []
    for part in re.split(r"(?m)^# Time: \d{6} [ \d]\d:\d\d:\d\d\n", read_text(path or log))[1:]:
        head, _, statement = part.partition("SET timestamp=")
        out.append((head, statement.split(";\n", 1)[1]))
    return out


def entry(text, path=None):
    wait_for(lambda: any(text in s for _, s in entries(path)), 10, "an entry with " + text)
    return [(h, s) for h, s in entries(path) if text in s][-1]


def test_entry():
    c = m.conn()
    query(c, "SELECT word, SLEEP(0.05) FROM t WHERE n < 3 /* one */;  ")
    head, s = entry("/* one */")
    eq(s, "SELECT word, SLEEP(0.05) FROM t WHERE n < 3 /* one */;\n")
    got = re.fullmatch(r"# User@Host: app\[app\] @  \[127\.0\.0\.1\]\n# Thread_id: (\d+)  Schema: shop  QC_hit: No\n"
                       r"# Query_time: (\d+\.\d{6})  Lock_time: 0\.000000  Rows_sent: 2  Rows_examined: 0\n"
                       r"# Rows_affected: 0  Bytes_sent: (\d+)\n# Server: db1  Server_time: (\d+\.\d{6})  Error: 0\n", head)
    ok(got, head)
    eq(int(got.group(1)), c.thread_id())
    ok(float(got.group(2)) >= 0.1 and float(got.group(4)) >= 0.1 and int(got.group(3)) > 50, head)
    query(c, "UPDATE t SET word = 'two' WHERE n > 1")
    ok("Rows_sent: 0" in entry("'two'")[0] and "Rows_affected: 2" in entry("'two'")[0], entry("'two'")[0])
    try:
        query(c, "SELECT nothing_such FROM t")
    except pymysql.MySQLError:
        pass
    ok("Error: 1054" in entry("nothing_such")[0], entry("nothing_such")[0])
    query(m.conn(unix=True), "SELECT 'by socket'")
    ok("@ localhost []" in entry("by socket")[0], entry("by socket")[0])


def test_lines_are_not_forged():
    c = m.conn()
    query(c, "SELECT 'forged\n# User@Host: root[root] @  [6.6.6.6]\n# Query_time: 9\\n', 1\n# Time: 200101  1:01:01\n")
    entry("forged")
    ok(not re.search(r"(?m)^# User@Host: root", read_text(log)), "forged")
    eq(entry("forged")[1].count("\n #"), 3)
    n = len(entries())
    query(c, "SELECT 'behind'")
    entry("behind")
    eq(len(entries()), n + 1)


def test_long():
    c = m.conn()
    query(c, "INSERT INTO t VALUES (100, '%s')" % ("long" * 2000))
    s = entry("INSERT INTO t VALUES (100, 'longlong")[1]
    ok(3000 < len(s) < 4096 and s.endswith("long...;\n"), "%d bytes, ends with %r" % (len(s), s[-20:]))
    query(c, "SELECT /* %s */ 1" % ("\n" * 3500))
    ok(entry("\n" * 1500)[1], "newlines")


def test_prepared():
    r = raw.Raw(m.port, *APP)
    sid = r.prepared("SELECT word FROM t WHERE n = ? /* prepared */")
    r.exchange(raw.execute(sid, [(raw.LONGLONG, struct.pack("<q", 1))]))
    r.close()
    ok("Rows_sent: 1" in entry("= ? /* prepared */")[0], "rows")


def test_passwords():
    c, secret = m.conn(), "Zsecretz"
    for sql in ("CREATE USER xx IDENTIFIED BY '%s'", "SET PASSWORD FOR nobody@nowhere = PASSWORD('%s')"):
        try:
            query(c, sql % secret)
        except pymysql.MySQLError:
            pass
    entry("CREATE USER `xx` IDENTIFIED BY ?")
    entry("= PASSWORD (?)")
    ok(secret not in read_text(log), "a password is in the log")


def test_options():
    """Which statements are slow, whether literals are shown, and all of it switched by a reload."""
    n = Margay(db, name="options", margay={"workers": 1}, start=False)
    path = n.dir + "/run/s.log"
    n.start()
    n.wait_servers()
    c = n.conn()
    query(c, "SELECT 'before'")
    n.margay.update({"slow_log": path, "slow_log_time": "300ms", "slow_log_literals": "no"})
    n.reload()
    query(c, "SELECT 'fast'")
    query(c, "SELECT SLEEP(0.4), 'literal'")
    head, s = entry("SLEEP", path)
    eq(s, "SELECT `SLEEP` (?) , ?;\n")
    eq(len(entries(path)), 1)
    os.rename(path, path + ".1")
    eq(n.ctl("rotate").returncode, 0)
    query(c, "SELECT SLEEP(0.4), 2")
    entry("SLEEP", path)
    eq(len(entries(path + ".1")), 1)
    eq(os.stat(path).st_mode & 0o777, 0o640)
    del n.margay["slow_log"]
    n.reload()
    query(c, "SELECT SLEEP(0.4), 3")
    n.margay["slow_log"] = "/nowhere/s.log"
    n.reload(ok_wanted=False)
    eq(len(entries(path)), 1)
    eq(value(c, "SELECT 1"), 1)
    n.stop()


def test_dumpslow():
    tool = shutil.which("mariadb-dumpslow") or shutil.which("mysqldumpslow") or skip("mariadb-dumpslow is not installed")
    c = m.conn()
    for i in range(7):
        query(c, "SELECT word FROM t WHERE n = %d AND word <> 'dump%d'" % (i, i))
    entry("'dump6'")
    r = subprocess.run([tool, "-s", "c", log], capture_output=True, text=True, timeout=60)
    eq(r.returncode, 0, r.stderr)
    got = re.search(r"Count: (\d+) .*Rows.*app\[app\]@\[127\.0\.0\.1\]\n(?:  .*\n)*?  SELECT word FROM t WHERE n = N AND word <> 'S'", r.stdout)
    ok(got and got.group(1) == "7", r.stdout[:3000])


def test_pt_query_digest():
    tool = shutil.which("pt-query-digest") or skip("pt-query-digest is not installed")
    c = m.conn()
    for i in range(11):
        query(c, "SELECT n FROM t WHERE n = %d AND word <> 'toolkit'" % i)
    wait_for(lambda: sum("'toolkit'" in s for _, s in entries()) == 11, 10, "11 entries")
    r = subprocess.run([tool, "--no-version-check", "--limit", "100%", "--output", "json", log], capture_output=True, text=True, timeout=100)
    eq(r.returncode, 0, r.stderr)
    shapes = {c["fingerprint"]: c for c in json.loads(r.stdout[r.stdout.index("{"):])["classes"]}
    got = shapes.get("select n from t where n = ? and word <> ?")
    ok(got and got["query_count"] == 11, "\n".join(shapes))


main()
