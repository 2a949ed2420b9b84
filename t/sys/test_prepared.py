"""Prepared statements and cursors: what hurts users of other proxies, one test for each pain (numbers: a census of their issue
trackers).

  1  state set by binary statements leaks or is lost     test_pain_1_*, and every seed of test_oracle.py
  2  max_prepared_stmt_count used up, caches that grow   test_pain_2_*, test_basic.py: prepared_many
  3  stale column metadata after DDL                     test_pain_3_*, test_metadata.py
  4  invalid ids crash; wrong binary decoding            test_pain_4_*, test_broken.py, t/fuzz
  5  no server-side cursors                              test_pain_5_*, test_oracle.py"""
from margaytest import *
from mt_wire import *


def setup():
    global db, m, others, wires, between
    db = replication_set(1, options=["--log-bin-trust-function-creators=1"])
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2), (3)")
    db[1].catch_up()
    m = Margay(db, server={"pool_size": 2, "max_prepared": 20})
    crowd = Crowd(db[0], m)
    others, wires, between = crowd.others, crowd.wires, crowd.between


def prep(sql, key=0):
    return lambda c: c.prepare_as(key, sql)


def run_(*params, key=0, **kw):
    return lambda c: c.execute(key, params, **kw)


def number(n):
    return LONGLONG, struct.pack("<q", n)


def test_pain_1_state_of_binary_statements():
    wires(prep("SET @a = ?"), run_(number(7)), "SELECT @a", prep("CREATE TEMPORARY TABLE b (x INT)"), run_(), "INSERT INTO b VALUES (5)", "SELECT * FROM b",
          prep("DROP TEMPORARY TABLE b"), run_(), "SELECT * FROM b", prep("SET sql_mode = 'ANSI_QUOTES'"), run_(), 'SELECT "v" FROM t WHERE id = 1',
          prep("SET NAMES latin1"), run_(), "SELECT @@character_set_client, @@sql_mode",
          prep("START TRANSACTION"), run_(), "SELECT v FROM t WHERE id = 1", "SELECT @@in_transaction", prep("ROLLBACK"), run_(), "SELECT @@in_transaction")
    c = m.conn()
    eq(query(c, "SELECT @a, @@sql_mode = @@global.sql_mode"), ((None, 1),), "another client")
    c.close()


def test_pain_1_counts_of_the_statement_before():
    """FOUND_ROWS() and ROW_COUNT() by themselves, prepared, are known also when the connection has gone to others."""
    for fn in ("FOUND_ROWS()", "row_count()"):
        ask = [run_(key="ask")] * 2
        # a server begins with what the thread had before
        wires("SELECT 1", prep("SELECT %s" % fn, "ask"), *ask, "SELECT v FROM t", *ask, "UPDATE t SET v = v + 1", *ask, "UPDATE t SET v = v - 1", prep("SELECT id FROM t"), run_(), *ask)


def test_pain_1_locks_of_binary_statements():
    a, b = [WireClient("127.0.0.1", m.port, *APP, "shop") for _ in range(2)]
    for c in (a, b):
        c.prepare_as(0, "SELECT GET_LOCK('prepared', 0)")
    eq(a.execute(0, [])[-2][1][2:], struct.pack("<i", 1))
    for _ in range(5):
        between()
        eq(b.execute(0, [])[-2][1][2:], struct.pack("<i", 0), "the lock of another")
    a.quit()
    wait_for(lambda: b.execute(0, [])[-2][1][2:] == struct.pack("<i", 1), 10, "the lock to be free")
    b.quit()


def test_pain_2_statements_at_servers_are_bounded():
    """Many sessions with many statements, each executed: what a connection keeps stays under max_prepared."""
    clients = [WireClient("127.0.0.1", m.port, *APP, "shop") for _ in range(8)]
    for n in range(40):
        for i, c in enumerate(clients):
            c.prepare_as(n, "SELECT v + %d FROM t WHERE id = ?" % (n * 8 + i))
            eq(len(c.execute(n, [number(1)])), 5)
    for n in (0, 39, 17):  # those that were closed at the server are prepared again
        for i, c in enumerate(clients):
            got = c.execute(n, [number(2)])
            eq(got[3][1][2:], struct.pack("<q", 2 + n * 8 + i), "statement %d of session %d" % (n, i))
    for s in db:
        conns = len(s.processlist(APP[0]))
        wait_for(lambda: s.status("Prepared_stmt_count") <= 21 * max(1, conns), 10,
                 lambda: "%s: %d statements on %d connections" % (s.name, s.status("Prepared_stmt_count"), conns))
    for c in clients:
        c.quit()


def test_pain_2_ids_are_used_again():
    c = WireClient("127.0.0.1", m.port, *APP, "shop")
    for n in range(3000):
        c.prepare_as(0, "SELECT ?")
        c.close_stmt(0)
    c.prepare_as(0, "SELECT 5")
    eq(len(c.execute(0, [])), 5)
    c.quit()


def test_pain_3_metadata_after_ddl():
    """In between the statement's connection is another's, or has prepared it before the change."""
    db[0].sql("CREATE OR REPLACE TABLE shop.chg (a INT PRIMARY KEY)", "INSERT INTO shop.chg VALUES (1)")
    db[1].catch_up()
    c, admin = WireClient("127.0.0.1", m.port, *APP, "shop"), m.conn()
    d = WireClient("127.0.0.1", db[0].port, *APP, "shop")
    for x in (c, d):
        x.prepare_as(0, "SELECT * FROM chg ORDER BY a")
    for ddl in ("ADD b VARCHAR(9) DEFAULT '5'", "MODIFY b BIGINT DEFAULT 3", "ADD c DATE", "DROP c", "CHANGE b z TEXT", "DROP z"):
        eq(c.execute(0, []), d.execute(0, []), "before " + ddl)
        query(admin, "ALTER TABLE chg " + ddl)
        db[1].catch_up()
        between()
        eq(c.execute(0, []), d.execute(0, []), "after " + ddl)
    for x in (c, d):
        x.quit()
    admin.close()


def test_pain_4_unknown_ids():
    def of(com, body):
        return lambda c: [[s, b[:9]] for s, b in c.simple(com, body)]
    wires(of(COM_EXECUTE, struct.pack("<IBI", 77, 0, 1)), of(COM_FETCH, struct.pack("<II", 77, 1)), of(COM_RESET, struct.pack("<I", 77)),
          of(COM_EXECUTE, struct.pack("<IBI", 0, 0, 1)), of(COM_EXECUTE, struct.pack("<IBI", 0xfffffffe, 0, 1)), "SELECT 1")


TYPES = [(TINY, b"\x80"), (TINY | UNSIGNED, b"\xff"), (SHORT, b"\0\x80"), (SHORT | UNSIGNED, b"\xff\xff"), (LONG, b"\0\0\0\x80"),
         (LONG | UNSIGNED, b"\xff" * 4), (LONGLONG, bytes(7) + b"\x80"), (LONGLONG | UNSIGNED, b"\xff" * 8), (FLOAT, struct.pack("<f", -1.5)),
         (DOUBLE, struct.pack("<d", 2.25e-300)), (NEWDECIMAL, lstr(b"-12345678901234567890.0123456789")), (DATE, b"\x04\xe4\x07\x02\x1d"),
         (DATETIME, b"\x0b\xe4\x07\x02\x1d\x17\x3b\x3b\x3f\x42\x0f\0"), (TIMESTAMP, b"\x07\xe4\x07\x02\x1d\x0c\x22\x38"), (TIME, b"\x0c\x01\x22\0\0\0\x16\x3b\x3b\x3f\x42\x0f\0"),
         (VAR_STRING, lstr("caf\u00e9".encode())), (STRING, lstr(b"")), (BLOB, lstr(bytes(range(256)))), (BLOB, lstr(b"x" * 70000)), (NULL, None), (LONG, None)]


def test_pain_4_every_type_and_null():
    for t, v in TYPES:
        wires(prep("SELECT ? AS a, CAST(? AS CHAR), ? IS NULL, HEX(?)"), run_(*[(t, v)] * 4), run_(*[(t, v)] * 4, bound=False))
    for n in (1, 7, 8, 9, 63, 64, 65):  # around the bytes of the NULL bitmap
        params = [number(i) if i % 3 else (NULL, None) for i in range(n)]
        wires(prep("SELECT CONCAT_WS(',', %s)" % ", ".join("?" * n)), run_(*params), flavours=("new",))


def test_pain_4_65535_parameters():
    n = 65535
    wires(prep("SELECT %s IN (%s)" % ("?", ", ".join("?" * (n - 1)))), run_(*[number(i) for i in range(n)]), flavours=("new",))


def test_pain_5_cursors():
    """Fetched in pieces while other sessions use Margay's connections; several at once, inside of transactions, to their ends."""
    db[0].sql("CREATE OR REPLACE TABLE shop.c AS SELECT seq AS id, REPEAT('x', seq) AS s FROM shop.seq_1_to_200")
    db[1].catch_up()
    fetch = lambda n, key=0: lambda c: c.fetch(key, n)
    wires(prep("SELECT * FROM c WHERE id > ? ORDER BY id"), run_(number(10), cursor=True), fetch(1), fetch(5), fetch(0), "SELECT 1", fetch(50),
          prep("SELECT id FROM c ORDER BY id DESC", key=1), run_(key=1, cursor=True), fetch(3, 1), fetch(7), fetch(1000), fetch(1), fetch(1000, 1),
          run_(number(195), cursor=True), fetch(2), lambda c: c.reset_stmt(0), fetch(1), "BEGIN", run_(number(190), cursor=True), fetch(4),
          "COMMIT", fetch(4), run_(number(199), cursor=True), fetch(10))
    c = WireClient("127.0.0.1", m.port, *APP, "shop")
    c.prepare_as(0, "SELECT id FROM c ORDER BY id")
    c.execute(0, [], cursor=True)
    eq(len(c.fetch(0, 10)), 11)
    c.close()  # a client that goes with an open cursor
    between()


if __name__ == '__main__':
    main()
