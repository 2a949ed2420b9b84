#!/usr/bin/python3 -B
"""Stored functions: a SELECT that calls only such as are known to read at most and to leave nothing goes where reads go, and
nothing is kept for it; any other call is for the primary and keeps the connection. As text and prepared."""
import struct

import raw
from margaytest import *


def setup():
    global db, m
    db = replication_set(1)
    for d in db:
        d.sql("SET GLOBAL log_bin_trust_function_creators=1")
    db[0].sql("CREATE TABLE shop.t (n INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1),(2),(3)",
              "CREATE FUNCTION shop.pure(x INT) RETURNS INT NO SQL RETURN x + 1",
              "CREATE FUNCTION shop.`rea d`(x INT) RETURNS INT READS SQL DATA RETURN (SELECT MAX(n) FROM shop.t WHERE n <= x)",
              "CREATE FUNCTION shop.leaves(x INT) RETURNS INT NO SQL BEGIN SET @left = x; RETURN x; END",
              "CREATE FUNCTION shop.plain(x INT) RETURNS INT DETERMINISTIC RETURN x",
              "CREATE FUNCTION other.pure(x INT) RETURNS INT NO SQL BEGIN SET @other = x; RETURN x; END")
    db[1].catch_up()
    m = Margay(db, margay={"workers": 1}, cluster={"catalog_interval": "300ms"})
    settled()


def settled():
    """Until health has read the functions as they are now."""
    wait_for(lambda: all(s["state"] == "up" for s in m.server_states().values()), 20, "both servers")

    def known():
        c = traced()
        got = route(c, "SELECT pure(1)")
        c.close()
        return got[0] == "replica"

    wait_for(known, 20, "pure() to be known")


def route(c, sql):
    query(c, sql)
    text = query(c, "SHOW WARNINGS")[-1][2]
    t = dict(w.split("=", 1) for w in text.split() if "=" in w)
    return t["role"], t["reason"], t["pin"].split(",")[0]  # a kept connection has its diagnostics too


def traced(**kw):
    c = m.conn(**kw)
    query(c, "SET margay_trace=1")
    return c


READ, ROUTINE = ("replica", "read", "-"), ("primary", "function", "routine")


def test_where_calls_go():
    """(A write may fire triggers, and with leaves() there something in this cluster that they may call.)"""
    for sql, want in [("SELECT pure(1)", READ), ("SELECT n, PURE(n) FROM t WHERE shop.pure(n) > 1", READ), ("SELECT `rea d`(2)", READ),
                      ("SELECT `shop`.`pure`(`rea d`(2))", READ), ("WITH c AS (SELECT pure(1) a) SELECT * FROM c", READ),
                      ("SELECT leaves(1)", ROUTINE), ("SELECT plain(1)", ROUTINE), ("SELECT pure(1), leaves(2)", ROUTINE),
                      ("SELECT other.pure(1)", ROUTINE), ("SELECT pure(1) FROM t FOR UPDATE", ("primary", "locking", "-")),
                      ("SELECT pure(@a)", ("primary", "state", "-")), ("INSERT INTO t VALUES (pure(10))", ("primary", "write", "trigger")),
                      ("DELETE FROM t WHERE n >= plain(10)", ("primary", "write", "routine"))]:
        for _ in range(2):  # parsed, and from the plan that was kept
            db[1].catch_up(db[0])
            c = traced()
            got = route(c, sql) if not sql.startswith("INSERT") else route(c, sql.replace("10", str(11 + _)))
            eq(got, want, sql)
            c.close()


def test_names_resolve_in_the_sessions_database():
    c = traced()
    eq(route(c, "SELECT pure(1)"), READ)
    query(c, "USE other")
    eq(route(c, "SELECT pure(1)"), ROUTINE)


def test_oracle_mode():
    """shop.pure() may be a function of a package there."""
    c = traced()
    eq(route(c, "SELECT shop.pure(1)"), READ)
    query(c, "SET sql_mode='ORACLE'")
    eq(route(c, "SELECT shop.pure(1)"), ROUTINE)


def test_prepared():
    """What is looked up is looked up when it runs, in the database that it was prepared in."""
    def reads(r, fn):
        before = m.counter("reads_replica")
        r.exchange(fn())  # a text that shows where the answer ends goes with it
        return m.counter("reads_replica") - before

    for text, n, pinned in [("SELECT pure(5)", 2, 0), ("SELECT leaves(5)", 0, 1), ("SELECT pure(?)", 2, 0)]:
        wait_for(lambda: m.counter("clients_pinned") == 0, 5, "no session to keep a connection")
        r = raw.Raw(m.port, *APP)
        r.exchange(b"\x02shop")
        sid = r.prepared(text)
        r.exchange(b"\x03USE other")
        eq(reads(r, lambda: raw.execute(sid, [(raw.LONGLONG, struct.pack("<q", 7))] if "?" in text else [])), n, text)
        eq(m.counter("clients_pinned"), pinned, text)
        r.close()


def test_redefined():
    """From the moment that it is redefined through Margay nobody believes what was known; a prepared statement neither."""
    db[0].sql("GRANT ALTER ROUTINE, CREATE ROUTINE ON shop.* TO app@'%'")
    c, d = traced(), traced()
    eq(route(c, "SELECT pure(1)"), READ)
    query(d, "CREATE OR REPLACE FUNCTION pure(x INT) RETURNS INT NO SQL BEGIN SET @now = x; RETURN x + 1; END")
    for _ in range(20):
        c = traced()
        eq(route(c, "SELECT pure(1)"), ROUTINE)
        eq(query(c, "SELECT @now"), ((1,),))
        c.close()
    query(d, "CREATE OR REPLACE FUNCTION pure(x INT) RETURNS INT NO SQL RETURN x + 1")
    settled()
    c = traced()
    eq(route(c, "SELECT pure(1)"), READ)


def test_left_state_stays_with_its_session():
    """leaves() sets a user variable: each session sees its own, whoever had the connection before."""
    cs = [m.conn() for _ in range(4)]
    for i, c in enumerate(cs):
        eq(query(c, "SELECT leaves(%d)" % i), ((i,),))
    for i, c in enumerate(cs):
        eq(query(c, "SELECT pure(%d), @left" % i), ((i + 1, i),))


if __name__ == "__main__":
    main()
