"""SET margay_trace: one more warning with each reply that says where the statement went, why, and how long it took."""
from margaytest import *


def setup():
    global db, m
    db = replication_set(1)
    m = Margay(db)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2)")
    db[1].catch_up()


def fresh(trace=1, **kw):
    db[1].catch_up(db[0])
    c = m.conn(**kw)
    if trace:
        query(c, "SET margay_trace = 1")
    return c


def count(c, sql):
    """Runs it; the number of warnings that its reply tells."""
    with c.cursor() as cur:
        cur.execute(sql)
        cur.fetchall()
        return cur.warning_count if hasattr(cur, "warning_count") else cur._result.warning_count


def traced(c, sql):
    n = count(c, sql)
    rows = query(c, "SHOW WARNINGS")
    eq(len(rows), n, "rows of SHOW WARNINGS after " + sql)
    level, code, text = rows[-1]
    eq((level, int(code)), ("Note", 1105))
    ok(text.startswith("margay: "), text)
    return dict(w.split("=", 1) for w in text.split() if "=" in w), rows[:-1], text


def test_where_and_why():
    c = fresh()
    t, _, text = traced(c, "SELECT * FROM t")
    note(text)
    eq((t["server"], t["role"], t["reason"], t["pin"]), ("db2", "replica", "read", "-"))
    for stage in ("parse", "route", "run", "reply", "total"):
        ok(int(t[stage]) >= 0, text)
    ok(int(t["total"]) >= int(t["run"]), text)
    t, _, text = traced(c, "INSERT INTO t (v) VALUES (3)")
    eq((t["server"], t["role"], t["reason"]), ("db1", "primary", "write"))
    t, _, _ = traced(fresh(), "SELECT @@version")
    eq((t["server"], t["reason"]), ("db1", "state"))
    t, _, _ = traced(c, "/* margay: replica */ UPDATE t SET v = v WHERE id = 1")
    eq(t["hint"], "ignored")


def test_character_sets_of_two_bytes():
    """A backslash that is half a character escapes nothing: what is a read goes where reads go, and nothing is kept for it."""
    c = fresh(use_unicode=False)
    c.encoding = "latin-1"  # names of columns are any bytes
    for charset, text, reason in (("gbk", b"SELECT '\x95\\', v FROM t", "read"), ("sjis", b"SELECT '\x95\\' FROM t", "read"),
                                  ("big5", b"SELECT '\xa5\\' FROM t", "read"), ("gbk", b"SELECT '\x95\\' FROM t FOR UPDATE -- '", "locking")):
        query(c, "SET NAMES " + charset)
        c._execute_command(3, text)
        c._read_query_result()
        row = query(c, "SHOW WARNINGS")[-1][2]
        t = dict(w.split("=", 1) for w in (row.decode() if isinstance(row, bytes) else row).split() if "=" in w)
        eq((t["reason"], t["pin"]), (reason, "-"), charset)


def test_pins():
    c = fresh()
    query(c, "BEGIN")
    t, _, text = traced(c, "SELECT * FROM t")
    eq((t["server"], t["reason"], t["pin"]), ("db1", "pinned", "transaction"), text)
    query(c, "SET @a = 1")
    t, _, text = traced(c, "SELECT @a")
    eq(t["pin"], "transaction,user-variable")
    query(c, "ROLLBACK")


def test_with_the_servers_own_warnings():
    c, d = fresh(), db[0].conn(APP[0], APP[1], database="shop")
    for s in ("SELECT 1/0, CAST('x' AS INT) FROM t", "SELECT 1/0", "CREATE TABLE IF NOT EXISTS t (a INT)",
              "INSERT INTO t (v) VALUES ('5x')"):
        query(c, "SET sql_mode = ''")
        query(d, "SET sql_mode = 'ERROR_FOR_DIVISION_BY_ZERO'")
        query(c, "SET sql_mode = 'ERROR_FOR_DIVISION_BY_ZERO'")
        n = count(d, s)
        ok(n > 0, s)
        want = query(d, "SHOW WARNINGS")
        t, own, text = traced(c, s)
        eq(own, want, s)
    # an error too
    for x in (c, d):
        raises(1146, query, x, "SELECT * FROM nope")
    rows = query(c, "SHOW WARNINGS")
    eq(rows[:-1], query(d, "SHOW WARNINGS"))
    ok("reason=" in rows[-1][2], rows)
    # asking does not change what is asked for
    eq(query(c, "SHOW WARNINGS"), rows)


def test_the_variable():
    c = fresh(0)
    eq(value(c, "SELECT @@margay_trace"), 0)
    eq(count(c, "SELECT * FROM t"), 0)
    eq(query(c, "SHOW WARNINGS"), ())
    for on, off in (("SET margay_trace=1", "SET margay_trace=0"), ("SET SESSION margay_trace = ON", "SET @@margay_trace = OFF"),
                    ("set @@session.margay_trace := true;", "SET margay_trace = DEFAULT")):
        query(c, on)
        eq(value(c, "SELECT @@session.margay_trace"), 1, on)
        eq(count(c, "SELECT * FROM t"), 1, on)
        query(c, off)
        eq(value(c, "select @@margay_trace"), 0, off)
        eq(count(c, "SELECT * FROM t"), 0, off)
    raises(1193, query, c, "SET margay_other = 1")
    raises(1193, query, c, "SELECT @@margay_other")
    # of one session only
    query(c, "SET margay_trace = 1")
    eq(count(m.conn(), "SELECT * FROM t"), 0)


def test_old_clients():
    """The mariadb client asks for no DEPRECATE_EOF: EOF packets, which carry the count too."""
    out = run(["mariadb", "-h127.0.0.1", "-P%d" % m.port, "-u" + APP[0], "-p" + APP[1], "-vv", "--show-warnings", "shop", "-e",
               "SET margay_trace=1; SELECT COUNT(*) FROM t; SELECT 1/0 FROM t LIMIT 1; SHOW WARNINGS"], check=True)
    text = out.stdout if isinstance(out.stdout, str) else out.stdout.decode()
    ok(text.count("Note (Code 1105): margay: server=db2") >= 1, text)
    ok("reason=read" in text, text)


def test_nothing_is_kept_for_it():
    c = fresh()
    for _ in range(5):
        traced(c, "SELECT * FROM t")
    wait_for(lambda: m.counter("clients_pinned") == 0, 5,
             "no connection kept")
    c.close()


if __name__ == '__main__':
    main()
