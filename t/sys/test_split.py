"""Where statements go: each carries a tag in a comment, and the servers' general logs say who ran it."""
import itertools
from margaytest import *

GENERAL_LOG = ["--general-log=1", "--general-log-file=general", "--log-disabled-statements=slave"]
tags = itertools.count(1)
LAG = "1s"


def setup():
    global db, m
    db = replication_set(1, options=GENERAL_LOG)
    m = Margay(db, cluster={"max_lag": LAG, "fall": 2, "rise": 1, "failover_timeout": "0"},
               users={APP[0]: {"password": APP[1]},
                      "nosplit": {"password": "x", "backend_user": APP[0], "backend_password": APP[1],
                                  "read_split": "no"}})
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
              "INSERT INTO shop.t (v) VALUES (1), (2), (3)",
              "CREATE SEQUENCE shop.s", "CREATE FUNCTION shop.pure(x INT) RETURNS INT DETERMINISTIC RETURN x")
    db[1].catch_up()


def ran_on(tag):
    """Names of the servers whose general log has the tag."""
    return {s.name for s in db if tag in read_text(s.data + "/general")}


def where(c, sql):
    """Runs sql; returns the server that ran it, and the rows."""
    tag = "tag%dx" % next(tags)
    rows = query(c, sql + " /* %s */" % tag)
    got = wait_for(lambda: ran_on(tag), 5, "a server to log " + sql)
    ok(len(got) == 1, "%s ran on %s" % (sql, got))
    return got.pop(), rows


def goes(c, name, *statements):
    for s in statements:
        eq(where(c, s)[0], name, s)


def fresh():
    """A session without writes of its own, all replicas caught up."""
    db[1].catch_up(db[0])
    return m.conn()


def up(name="db2", state="up"):
    wait_for(lambda: m.server_states()[name]["state"] == state, 20, lambda: "%s %s: %s" % (
        name, state, m.server_states()[name]))


def test_reads_to_the_replica():
    c = fresh()
    goes(c, "db2", "SELECT * FROM t", "SELECT COUNT(*) FROM t WHERE v > 1 GROUP BY v", "(SELECT 1)",
         "SELECT NOW(), ABS(-1), CONCAT('a', v) FROM t", "WITH x AS (SELECT * FROM t) SELECT * FROM x",
         "SELECT * FROM t UNION SELECT * FROM t", "select sql_no_cache id from t limit 1")


def test_writes_to_the_primary():
    for s in ("INSERT INTO t (v) VALUES (4)", "UPDATE t SET v = 5 WHERE v = 4", "DELETE FROM t WHERE v = 5",
              "REPLACE INTO t VALUES (99, 1)", "CREATE TABLE t2 (a INT)", "ALTER TABLE t2 ADD b INT",
              "DROP TABLE t2", "INSERT INTO t (v) SELECT v FROM t WHERE id = 99", "TRUNCATE TABLE t",
              "INSERT INTO t (v) VALUES (1), (2), (3)"):
        goes(fresh(), "db1", s)
    db[1].catch_up(db[0])


def test_reads_that_need_the_primary():
    for s in ("SELECT * FROM t FOR UPDATE", "SELECT * FROM t LOCK IN SHARE MODE", "SELECT GET_LOCK('split', 0)",
              "SELECT pure(1)", "SELECT UUID_SHORT()", "SELECT id INTO @x FROM t LIMIT 1", "SELECT @v := 1",
              "SELECT LAST_INSERT_ID(7)", "SELECT NEXTVAL(s)", "SELECT @@server_id", "SHOW STATUS LIKE 'Uptime'",
              "SELECT variable_value FROM information_schema.global_variables LIMIT 1"):
        goes(fresh(), "db1", s)


def test_transactions_stay_on_the_primary():
    c = fresh()
    goes(c, "db1", "BEGIN", "SELECT * FROM t", "INSERT INTO t (v) VALUES (7)", "SELECT COUNT(*) FROM t", "ROLLBACK")
    goes(fresh(), "db1", "START TRANSACTION", "SELECT 1", "COMMIT")
    c = fresh()
    query(c, "SET autocommit = 0")
    goes(c, "db1", "SELECT * FROM t")
    query(c, "COMMIT")
    query(c, "SET autocommit = 1")
    goes(fresh(), "db2", "SELECT * FROM t")


def test_after_a_transaction_reads_leave_again():
    c = fresh()
    query(c, "BEGIN")
    query(c, "COMMIT")
    goes(c, "db2", "SELECT * FROM t")


class Writable:
    """Replicas that would take a write: it must not come to them. All servers have the same rows at the end."""

    def __enter__(self):
        db[1].catch_up(db[0])
        db[1].sql("SET GLOBAL read_only = 0")

    def __exit__(self, kind, *a):
        db[1].sql("SET GLOBAL read_only = 1")
        if kind is None:
            db[1].catch_up(db[0])
            for sql in "SELECT * FROM shop.t ORDER BY id", "SHOW TABLES IN shop":
                eq(db[1].sql(sql), db[0].sql(sql), sql)


def several(**kw):
    db[1].catch_up(db[0])
    return m.conn(client_flag=CLIENT.MULTI_STATEMENTS, **kw)


def test_a_text_that_begins_with_use():
    """... writes all the same: the replica whose diagnostics are kept does not run it."""
    with Writable():
        c = several()
        goes(c, "db2", "SELECT 1/0")
        goes(c, "db1", "USE shop; INSERT INTO t (v) VALUES (7000)")
        eq(db[0].one("SELECT COUNT(*) FROM shop.t WHERE v = 7000"), 1)


def test_writes_that_ask_what_a_replica_knows():
    """FOUND_ROWS() is known to the replica whose connection is kept: a write that asks for it runs on the primary, or not at all."""
    with Writable():
        for sql in ("INSERT INTO t (v) VALUES (7000 + FOUND_ROWS())", "SELECT FOUND_ROWS(); INSERT INTO t (v) VALUES (7000)", "UPDATE t SET v = FOUND_ROWS() WHERE id = 1",
                    "SELECT FOUND_ROWS(); DELETE FROM t", "CREATE TABLE made AS SELECT FOUND_ROWS()", "SELECT FOUND_ROWS(); CREATE TABLE made (a INT)",
                    "SELECT v, FOUND_ROWS() FROM t FOR UPDATE"):
            c = several()
            goes(c, "db2", "SELECT v FROM t LIMIT 1, 1")
            raises(1235, query, c, sql)
            c.close()


def test_row_count_at_the_beginning():
    """Nothing is set ahead of a text that asks for what the statement before has left."""
    c = several()
    query(c, "INSERT INTO t (v) VALUES (7100)")
    query(c, "SELECT COUNT(*) FROM t")
    raises(1054, query, c, "UPDATE t SET nothing = 1")
    try:
        eq(value(c, "SELECT ROW_COUNT(); DELETE FROM t WHERE v = 7100; INSERT INTO t (v) VALUES (7101)"), -1)
    except pymysql.MySQLError as e:
        eq(e.args[0], 1235)


def test_own_writes_are_read():
    """Straight after each write, on one session, with the replica as quick or slow as it is."""
    c = m.conn()
    query(c, "INSERT INTO t (id, v) VALUES (500, 0)")
    for i in range(1, 300):
        query(c, "UPDATE t SET v = %d WHERE id = 500" % i)
        eq(value(c, "SELECT v FROM t WHERE id = 500"), i)


def test_own_writes_are_read_from_a_late_replica():
    """The replica applies a second late: the session sees its writes, others read on the replica."""
    db[1].sql("STOP SLAVE", "CHANGE MASTER TO master_delay=1", "START SLAVE")
    try:
        m.cluster["max_lag"] = "60s"
        m.reload()
        up()
        c, other = m.conn(), m.conn()
        for i in range(5):
            query(c, "INSERT INTO t (v) VALUES (%d)" % (1000 + i))
            eq(value(c, "SELECT COUNT(*) FROM t WHERE v = %d" % (1000 + i)), 1)
            eq(where(other, "SELECT 1")[0], "db2", "another session's read")
        db[1].catch_up(db[0])
        wait_for(lambda: where(c, "SELECT 2 FROM t LIMIT 1")[0] == "db2", 20, "reads to go back to the replica")
    finally:
        db[1].sql("STOP SLAVE", "CHANGE MASTER TO master_delay=0", "START SLAVE")
        m.cluster["max_lag"] = LAG
        m.reload()
        up()


def test_own_writes_by_call_and_ddl():
    db[0].sql("CREATE OR REPLACE PROCEDURE shop.ins(x INT) INSERT INTO t (v) VALUES (x)")
    for i in range(20):
        c = m.conn()
        query(c, "CREATE TABLE own%d AS SELECT %d AS a" % (i, i))
        eq(query(c, "SELECT a FROM own%d" % i), ((i,),))
        query(c, "CALL ins(%d)" % (2000 + i))
        eq(value(c, "SELECT COUNT(*) FROM t WHERE v = %d" % (2000 + i)), 1)
        query(c, "DROP TABLE own%d" % i)
        c.close()


def test_locks():
    a, b = m.conn(), m.conn()
    eq(value(a, "SELECT GET_LOCK('mine', 0)"), 1)
    eq(value(b, "SELECT GET_LOCK('mine', 0)"), 0)
    for _ in range(20):  # other clients' statements do not pass over the connection that holds it
        value(m.conn(), "SELECT COUNT(*) FROM t FOR UPDATE")
    eq(value(a, "SELECT IS_USED_LOCK('mine') IS NOT NULL"), 1)
    a.close()
    wait_for(lambda: value(b, "SELECT GET_LOCK('mine', 0)") == 1, 10, "the lock to be free")
    b.close()


def test_temporary_tables():
    a, b = m.conn(), m.conn()
    query(a, "CREATE TEMPORARY TABLE tmp (x INT)")
    query(a, "INSERT INTO tmp VALUES (1), (2)")
    for _ in range(10):
        eq(value(a, "SELECT SUM(x) FROM tmp"), 3)
        raises(1146, query, b, "SELECT * FROM tmp")
        eq(value(a, "SELECT COUNT(*) FROM t WHERE id < 0"), 0)
    a.close()
    for _ in range(10):
        raises(1146, query, m.conn(), "SELECT * FROM tmp")


def test_user_variables():
    a, b = m.conn(), m.conn()
    query(a, "SET @v = 'a'")
    query(b, "SELECT 'b' INTO @v")
    for i in range(20):
        eq((value(a, "SELECT @v"), value(b, "SELECT @v"), value(m.conn(), "SELECT @v")), ("a", "b", None))
        if i == 10:
            query(a, "SELECT @v := 'a'")


def test_settings_follow_the_session():
    a, b = m.conn(), m.conn()
    query(a, "SET SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'")
    query(b, "SET NAMES latin1")
    for _ in range(10):
        eq(query(a, 'SELECT @@sql_mode, @@time_zone, @@character_set_client FROM t LIMIT 1'),
           (("ANSI_QUOTES", "+03:00", "utf8mb4"),))
        eq(value(b, "SELECT @@character_set_client FROM t LIMIT 1"), "latin1")
        eq(value(m.conn(), "SELECT @@sql_mode = @@global.sql_mode FROM t LIMIT 1"), 1)


def test_last_insert_id_and_row_counts():
    a, b = m.conn(), m.conn()
    for _ in range(30):
        with a.cursor() as ca, b.cursor() as cb:
            ca.execute("INSERT INTO t (v) VALUES (1)")
            cb.execute("INSERT INTO t (v) VALUES (2), (3)")
            ia, ib = ca.lastrowid, cb.lastrowid
        eq((value(a, "SELECT LAST_INSERT_ID()"), value(b, "SELECT LAST_INSERT_ID()")), (ia, ib))
        query(a, "UPDATE t SET v = v + 1 WHERE id = %d" % ia)
        query(b, "DELETE FROM t WHERE id IN (%d, %d)" % (ib, ib + 1))
        eq((value(b, "SELECT ROW_COUNT()"), value(a, "SELECT ROW_COUNT()")), (2, 1))
        eq(value(a, "SELECT LAST_INSERT_ID()"), ia, "after another statement")


def test_policies():
    c = m.conn("nosplit", "x")
    goes(c, "db1", "SELECT * FROM t")
    try:
        m.cluster["read_policy"] = "primary"
        m.reload()
        goes(fresh(), "db1", "SELECT * FROM t")
        m.cluster["read_policy"] = "all"
        m.reload()
        seen = {where(fresh(), "SELECT * FROM t LIMIT 1")[0] for _ in range(40)}
        eq(seen, {"db1", "db2"}, "read_policy = all")
    finally:
        m.cluster["read_policy"] = "replicas"
        m.reload()
    goes(fresh(), "db2", "SELECT * FROM t")


def test_drained_server_gets_no_statement():
    eq(m.ctl("drain", "db2").returncode, 0, "margayctl drain")
    try:
        wait_for(lambda: where(fresh(), "SELECT 1 FROM t LIMIT 1")[0] == "db1", 10, "reads to leave db2")
        goes(fresh(), "db1", *["SELECT * FROM t LIMIT %d" % i for i in range(5)])
    finally:
        eq(m.ctl("online", "db2").returncode, 0, "margayctl online")
    wait_for(lambda: where(fresh(), "SELECT 1 FROM t LIMIT 1")[0] == "db2", 10, "reads to come back")


def test_lagging_replica_is_left_out():
    lock = db[1].conn()
    query(lock, "LOCK TABLES shop.t READ")
    try:
        db[0].sql("INSERT INTO shop.t (v) VALUES (123)")
        up("db2", "lagging")
        eq(where(m.conn(), "SELECT COUNT(*) FROM t WHERE v = 123"), ("db1", ((1,),)))
    finally:
        lock.close()
    up()
    goes(fresh(), "db2", "SELECT * FROM t")


def test_stopped_replication():
    db[1].sql("STOP SLAVE SQL_THREAD")
    try:
        up("db2", "broken")
        goes(m.conn(), "db1", "SELECT * FROM t")
    finally:
        db[1].sql("START SLAVE")
    up()
    goes(fresh(), "db2", "SELECT * FROM t")


def test_replica_gone():
    """From the very statement on that finds it dead."""
    c = fresh()
    goes(c, "db2", "SELECT * FROM t")
    db[1].kill()
    try:
        for i in range(20):
            ok(value(c, "SELECT COUNT(*) FROM t") > 0, "reads go on")
        up("db2", "down")
        goes(c, "db1", "SELECT * FROM t")
    finally:
        db[1].start()
    up()
    wait_for(lambda: where(fresh(), "SELECT * FROM t LIMIT 1")[0] == "db2", 10, "reads to come back")


def test_primary_gone():
    c = fresh()
    rows = query(c, "SELECT * FROM t ORDER BY id")
    db[0].kill()
    try:
        for i in range(20):
            eq(query(c, "SELECT * FROM t ORDER BY id"), rows)
        up("db1", "down")
        eq(query(m.conn(), "SELECT * FROM t ORDER BY id"), rows, "a new client's read")
        no, text = raises((), query, m.conn(), "INSERT INTO t (v) VALUES (1)")
        ok("primary" in text, "the error says what is missing: %d %s" % (no, text))
        ok(not query(m.conn(), "SELECT 1 FROM t WHERE id < 0"), "reads still go on")
    finally:
        db[0].start()
    up("db1")
    c = m.conn()
    wait_for(lambda: query(c, "INSERT INTO t (v) VALUES (1)") == (), 10, "writes to work again")


def refused_write():
    """What a write fails with, None while it is still taken."""
    try:
        return query(m.conn(), "UPDATE t SET v = v WHERE id = 1") and None
    except pymysql.err.MySQLError as e:
        return e.args


def test_two_writable_servers():
    """Nothing is written while it is not clear where."""
    db[1].sql("STOP SLAVE", "SET GLOBAL read_only = 0")
    db[1].sql("RESET SLAVE ALL")
    try:
        wait_for(lambda: re.search("primar|writable", str(refused_write())), 10, "writes to be refused")
        before = [s.gtid() for s in db]
        for _ in range(10):
            raises((), lambda: m.sql("INSERT INTO t (v) VALUES (9)"))
        eq([s.gtid() for s in db], before, "nothing was written")
        m.wait_log("two-primaries|more than one writable", 10)
    finally:
        db[1].replicate_from(db[0])
    up("db2")
    wait_for(lambda: query(m.conn(), "UPDATE t SET v = v WHERE id = 1") == (), 10, "writes to be taken again")


def test_promotion():
    """Last: db2 becomes primary, db1 follows it."""
    db[1].catch_up(db[0])
    db[0].sql("SET GLOBAL read_only = 1")
    db[1].promote()
    db[0].sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
    db[0].replicate_from(db[1])
    wait_for(lambda: where(m.conn(), "UPDATE t SET v = 1 WHERE id = 1")[0] == "db2", 15, "writes to go to db2")
    db[0].catch_up(db[1])
    wait_for(lambda: where(m.conn(), "SELECT * FROM t LIMIT 1")[0] == "db1", 15, "reads to go to db1")


if __name__ == '__main__':
    main()
