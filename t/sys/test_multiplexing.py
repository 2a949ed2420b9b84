#!/usr/bin/python3 -B
"""Multiplexing and session state: what hurts users of other proxies, one test for each pain (numbers: a census of their issue
trackers). Every packet that a session sees is compared with a server's, while others use the two connections.

  6   state lost or leaked                                test_pain_6_*, and every seed of test_oracle.py
  7   valid SET statements that the proxy cannot read     test_pain_7_*
  8   LAST_INSERT_ID() wrong or zero                      test_pain_8_*, test_fidelity.py: insert_id_*
  9   nobody can see why a connection is kept             test_pain_9_*, test_pins.py: each reason
  10  status flags that are not the session's             test_pain_10_*
  11  a connection given back inside a transaction        test_pain_11_*"""
from margaytest import *
from mt_wire import *


def setup():
    global db, m, others, wires, between
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2), (3)",
              "CREATE TABLE shop.w (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
    db[1].catch_up()
    m = Margay(db, server={"pool_size": 2})
    crowd = Crowd(db[0], m)
    others, wires, between = crowd.others, crowd.wires, crowd.between


def test_pain_6_state_is_the_sessions():
    wires("CREATE TEMPORARY TABLE tmp (x INT)", "INSERT INTO tmp VALUES (1), (2)", "SELECT * FROM tmp", "DROP TEMPORARY TABLE tmp", "SELECT * FROM tmp")
    wires("SET sql_safe_updates = 1", "UPDATE w SET v = 1", "DELETE FROM w", "SET sql_safe_updates = 0", "UPDATE w SET v = 1")
    wires("SET @a = 5, @b = 'x'", "SELECT @a, @b", "SELECT @a := @a + 1", "SELECT @a", "SELECT @c")
    wires("SET NAMES latin1", "SET time_zone = '+05:00'", "SET group_concat_max_len = 5", "SELECT GROUP_CONCAT(REPEAT('x', 9))",
          "SELECT @@time_zone, @@character_set_results, @@collation_connection", "USE information_schema", "SELECT DATABASE()", "USE shop")


def test_pain_6_nothing_is_left_to_others():
    c = m.conn()
    for s in ("SET @a = 5", "CREATE TEMPORARY TABLE left_behind (x INT)", "SET sql_safe_updates = 1, time_zone = '+07:00'", "USE information_schema",
              "SELECT GET_LOCK('left', 0)"):
        query(c, s)
    c.close()
    wait_for(lambda: m.counter("clients") == len(others), 10, "the client to be gone")
    for _ in range(6):
        d = m.conn()
        eq(query(d, "SELECT @a, @@sql_safe_updates, @@time_zone, DATABASE(), IS_FREE_LOCK('left')"), ((None, 0, "SYSTEM", "shop", 1),))
        raises(1146, query, d, "SELECT * FROM shop.left_behind")
        d.close()


SETS = ["SET @@session.sort_buffer_size = @@global.sort_buffer_size * 1, @z := (SELECT MAX(v) FROM t WHERE id < 3)",
        "SET /* a comment */ SESSION optimizer_switch = 'index_merge=off,mrr=on', LOCAL join_cache_level = 2",
        "SET @@optimizer_switch = REPLACE(@@optimizer_switch, 'mrr=on', 'mrr=off')",
        "SET @`odd name``x` = 'a;b', @'q' = CONCAT('\\'', @z), @@wait_timeout = 100 + 20 * 2",
        "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES'), character_set_results = NULL",
        "SET @@session.sql_mode = (SELECT REPLACE(@@sql_mode, 'ANSI_QUOTES', ''))",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", "SET SESSION TRANSACTION READ WRITE", "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
        "SET CHARACTER SET latin1", "SET autocommit = OFF, autocommit = ON", "SET STATEMENT max_statement_time = 5, sort_buffer_size = 100000 FOR SELECT 1",
        "SET @@local.timestamp = 1000000000, @t = NOW()", "SET timestamp = DEFAULT", "SET no_such_variable = 1", "SET @@global.no_such = 1",
        "SET sql_mode = 'NO_SUCH_MODE'", "SET PASSWORD = 1", "SET @a = 1,", "SET"]


def test_pain_7_every_set_is_as_at_a_server():
    wires(*SETS, "SELECT @z, @`odd name``x`, @q, @@join_cache_level, @@wait_timeout, @@tx_isolation, @@sql_mode, @t",
          "SELECT @@collation_connection, @@character_set_results, @@optimizer_switch LIKE '%mrr=off%'")


def test_pain_8_last_insert_id():
    direct, through = ids(db[0].conn(*APP, database="shop")), ids(m.conn())
    for x, y in zip(through, direct):
        eq(x, y)


def ids(c):
    """What a session sees of insert ids; each runs from an empty table, one after the other."""
    db[0].sql("TRUNCATE shop.w")
    got = []
    for sql in ("INSERT INTO w (v) VALUES (1)", "SELECT LAST_INSERT_ID()", "INSERT INTO w (v) VALUES (2), (3), (4)", "SELECT LAST_INSERT_ID(), @@last_insert_id",
                "INSERT INTO w VALUES (20, 5)", "SELECT LAST_INSERT_ID()", "INSERT INTO w (v) SELECT v FROM t", "SELECT @@identity",
                "UPDATE w SET v = LAST_INSERT_ID(v + 70) WHERE id = 1", "SELECT LAST_INSERT_ID()", "REPLACE INTO w VALUES (1, 9)", "SELECT LAST_INSERT_ID()",
                "INSERT INTO w (v) VALUES (LAST_INSERT_ID())", "SELECT v FROM w WHERE id = LAST_INSERT_ID()", "INSERT INTO w (id, v) VALUES (1, 1)",
                "SELECT LAST_INSERT_ID()", "INSERT INTO w (v) VALUES (8) RETURNING id", "SELECT LAST_INSERT_ID()"):
        got.append((sql, outcome(c, sql)))
        between()
    c.close()
    return got


def test_pain_9_reasons_can_be_seen():
    """margay-stat says for each session whether, and why, it keeps a connection; counters say how many do."""
    c = m.conn()
    query(c, "SELECT 1")
    eq(m.counter("clients_pinned"), 0)
    query(c, "SET @why = 1")
    text = m.stat_text("-s", "--pinned").stdout
    ok("user-variable" in text, text)
    eq(m.counter("clients_pinned"), 1)
    c.close()
    wait_for(lambda: m.counter("clients_pinned") == 0, 10, "the pin to go")


def test_pain_10_flags_are_the_sessions():
    """Packets are compared with their status flags: in a transaction, no backslash escapes, ANSI quotes, read only."""
    wires("SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SELECT 'a\\'", "BEGIN", "SELECT 1", "COMMIT", "SET sql_mode = 'ANSI_QUOTES'", 'SELECT "v" FROM t LIMIT 1',
          "SET sql_mode = ''", "START TRANSACTION READ ONLY", "SELECT v FROM t LIMIT 1", "ROLLBACK", "SET autocommit = 0", "SELECT v FROM t LIMIT 1",
          "SELECT 1", "COMMIT", "SET autocommit = 1", "SELECT 1")


def test_pain_11_no_connection_is_given_back_in_a_transaction():
    """autocommit=0, hints to replicas in between, errors, many others: nothing of it is rolled back unseen."""
    a = m.conn()
    query(a, "TRUNCATE w")
    query(a, "SET autocommit = 0")
    for i in range(20):
        query(a, "INSERT INTO w (v) VALUES (%d)" % i)
        between()
        query(a, "/* margay: replica */ SELECT COUNT(*) FROM t")
        query(a, "/*!mycat:db_type=slave*/ SELECT COUNT(*) FROM t")
        raises(1146, query, a, "SELECT * FROM not_there")
        eq(value(a, "/* margay: replica */ SELECT COUNT(*) FROM w"), i + 1, "its own rows")
    eq(value(others[0], "SELECT COUNT(*) FROM w"), 0, "not committed")
    query(a, "COMMIT")
    a.close()
    eq(db[0].one("SELECT COUNT(*) FROM shop.w"), 20)


main()
