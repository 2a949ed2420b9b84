"""Hints in comments, and READ ONLY transactions on replicas: who ran a statement says the servers' general log."""
import itertools
from margaytest import *

GENERAL_LOG = ["--general-log=1", "--general-log-file=general", "--log-disabled-statements=slave"]
tags = itertools.count(1)


def setup():
    global db, m
    db = replication_set(1, options=GENERAL_LOG)
    m = Margay(db, users={APP[0]: {"password": APP[1]},
                          "nosplit": {"password": "x", "backend_user": APP[0], "backend_password": APP[1],
                                      "read_split": "no"}})
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2)",
              "CREATE FUNCTION shop.pure(x INT) RETURNS INT DETERMINISTIC RETURN x")
    db[1].catch_up()


def where(c, sql):
    """Runs sql; the server that ran it."""
    tag = "tag%dx" % next(tags)
    query(c, sql + " /* %s */" % tag)
    got = wait_for(lambda: {s.name for s in db if tag in read_text(s.data + "/general")}, 5, "a server to log " + sql)
    ok(len(got) == 1, "%s ran on %s" % (sql, got))
    return got.pop()


def goes(c, name, *statements):
    for s in statements:
        eq(where(c, s), name, s)


def fresh(*a):
    db[1].catch_up(db[0])
    return m.conn(*a)


def ignored():
    return m.counter("hints_ignored")


def test_reads():
    goes(fresh(), "db1", "/* margay: primary */ SELECT * FROM t", "SELECT * FROM t /*margay:server=db1*/",
         "/*!mycat:db_type=master*/ SELECT v FROM t", "/*#mycat:db_type=master*/ SELECT v FROM t")
    goes(fresh(), "db2", "/* margay: replica */ SELECT * FROM t", "/* margay: server=db2 */ SELECT * FROM t",
         "/*!mycat:db_type=slave*/ SELECT v FROM t", "/*#mycat:db_type=slave*/ SELECT v FROM t",
         "/** mycat: db_type=slave */ SELECT v FROM t", "/*balance*/ SELECT v FROM t")


def test_hints_go_before_read_split():
    c = fresh("nosplit", "x")
    goes(c, "db1", "SELECT * FROM t")
    goes(c, "db2", "/* margay: replica */ SELECT * FROM t", "/*!mycat:db_type=slave*/ SELECT * FROM t",
         "/*balance*/ SELECT * FROM t", "/* margay: server=db2 */ SELECT * FROM t")


def test_what_servers_answer_differently():
    c = fresh()
    ids = [int(s.one("SELECT @@server_id")) for s in db]
    eq(value(c, "SELECT @@server_id"), ids[0])
    for h, i in (("replica", 1), ("server=db2", 1), ("server=db1", 0), ("primary", 0)):
        eq(value(c, "/* margay: %s */ SELECT @@server_id" % h), ids[i], h)
    eq(query(c, "/* margay: server=db2 */ SHOW VARIABLES LIKE 'server_id'")[0][1], str(ids[1]))


def test_writes_ignore_them():
    before = ignored()
    c = fresh()
    goes(c, "db1", "/* margay: replica */ INSERT INTO t (v) VALUES (3)", "/* margay: server=db2 */ DELETE FROM t WHERE v = 3",
         "/*!mycat:db_type=slave*/ UPDATE t SET v = v", "/* margay: replica */ SELECT * FROM t FOR UPDATE",
         "/* margay: replica */ SELECT pure(1)")
    wait_for(lambda: ignored() >= before + 5, 5, "ignored hints to be counted")
    db[1].catch_up(db[0])
    goes(fresh(), "db1", "/* margay: server=db1 */ UPDATE t SET v = v")


def test_no_transaction_is_left():
    c = fresh()
    query(c, "BEGIN")
    query(c, "INSERT INTO t (v) VALUES (77)")
    before = ignored()
    for h in ("margay: replica", "margay: server=db2", "!mycat:db_type=slave", "balance"):
        eq(value(c, "/*%s*/ SELECT COUNT(*) FROM t WHERE v = 77" % h), 1, h)
    query(c, "ROLLBACK")
    wait_for(lambda: ignored() >= before + 4, 5, "hints in a transaction to be counted as ignored")
    query(c, "SET @a = 5")
    eq(value(c, "/* margay: replica */ SELECT @a"), 5)


def test_own_writes_go_before_a_hint():
    db[1].sql("STOP SLAVE SQL_THREAD")
    try:
        c = m.conn()
        query(c, "INSERT INTO t (id, v) VALUES (900, 1)")
        for h in ("margay: replica", "margay: server=db2", "balance"):
            eq(value(c, "/*%s*/ SELECT COUNT(*) FROM t WHERE id = 900" % h), 1, h)
        query(c, "DELETE FROM t WHERE id = 900")
    finally:
        db[1].sql("START SLAVE SQL_THREAD")
    wait_for(lambda: m.server_states()["db2"]["state"] == "up", 20, "db2 up")


def test_unknown_server():
    c = fresh()
    raises(1105, query, c, "/* margay: server=db9 */ SELECT 1")
    raises(1105, query, c, "/* margay: server=db9 */ INSERT INTO t (v) VALUES (1)")
    eq(value(c, "SELECT 1"), 1)


def test_prepared():
    c = fresh()
    ids = [int(s.one("SELECT @@server_id")) for s in db]
    for h, i in (("/* margay: replica */", 1), ("/*!mycat:db_type=slave*/", 1), ("/* margay: server=db1 */", 0)):
        query(c, "PREPARE s FROM '%s SELECT 1'" % h.replace("!", "#"))
        query(c, "DEALLOCATE PREPARE s")
    tool = os.path.join(BUILD, "t", "bin", "psclient")
    if not os.path.exists(tool):
        return
    note("binary prepared statements with hints: t/unit")


def test_read_only_transactions():
    c = fresh()
    goes(c, "db2", "START TRANSACTION READ ONLY", "SELECT * FROM t", "SELECT @@version", "SHOW TABLES", "SAVEPOINT a",
         "SELECT COUNT(*) FROM t", "COMMIT")
    goes(c, "db1", "INSERT INTO t (v) VALUES (5)")
    db[1].catch_up(db[0])
    goes(fresh(), "db1", "/* margay: primary */ START TRANSACTION READ ONLY", "SELECT * FROM t", "COMMIT")
    goes(fresh("nosplit", "x"), "db1", "START TRANSACTION READ ONLY", "ROLLBACK")
    c = fresh()
    goes(c, "db2", "START TRANSACTION READ ONLY", "SELECT * FROM t")
    goes(c, "db1", "BEGIN", "INSERT INTO t (v) VALUES (6)", "SELECT * FROM t", "COMMIT")
    db[1].catch_up(db[0])
    c = fresh()
    goes(c, "db2", "START TRANSACTION READ ONLY", "SELECT * FROM t")
    goes(c, "db1", "CREATE TABLE ro1 (a INT)", "DROP TABLE ro1")


def test_writes_in_read_only_transactions():
    """As a server itself: the same errors, and the transaction goes on."""
    d = db[0].conn(APP[0], APP[1], database="shop")
    for s in ("INSERT INTO t (v) VALUES (1)", "UPDATE t SET v = 1", "DELETE FROM t", "INSERT INTO nope VALUES (1)",
              "SELECT * FROM t WHERE id = 0 UNION SELECT * FROM nope", "CREATE TEMPORARY TABLE tt (a INT)"):
        c = fresh()
        for x in (c, d):
            query(x, "START TRANSACTION READ ONLY")
            value(x, "SELECT COUNT(*) FROM t")
        eq(outcome(c, s), outcome(d, s), s)
        eq(value(c, "SELECT COUNT(*) > 0 FROM t"), 1)
        query(c, "COMMIT")
        query(d, "COMMIT")
        goes(c, "db1", "INSERT INTO t (v) VALUES (8)")


def test_snapshot():
    c = fresh()
    query(c, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    n = value(c, "SELECT COUNT(*) FROM t")
    m.sql("INSERT INTO t (v) VALUES (10)")
    db[1].catch_up(db[0])
    eq(value(c, "SELECT COUNT(*) FROM t"), n)
    query(c, "COMMIT")
    eq(value(c, "SELECT COUNT(*) FROM t"), n + 1)


if __name__ == '__main__':
    main()
