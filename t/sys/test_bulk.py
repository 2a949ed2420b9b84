"""COM_STMT_BULK_EXECUTE: many rows of parameters for one prepared statement, as a server takes them."""
from margaytest import *
from raw import *
from test_basic import psclient

TABLE = ["CREATE OR REPLACE TABLE bk (a BIGINT PRIMARY KEY, b VARCHAR(20) DEFAULT 'dd', n INT)",
         "CREATE OR REPLACE TABLE au (id INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(20))"]
TYPES = (LONGLONG, STRING)
INSERT = "INSERT INTO bk (a, b) VALUES (?, ?)"


def setup():
    global db, m
    db = replication_set(1, options=["--max-allowed-packet=64M"])
    m = Margay(db, server={"pool_size": 3})


def fresh():
    db[0].sql("USE shop", *TABLE)
    db[1].catch_up()


def test_with_connector_c():
    script = ["prepare 0 " + INSERT, "bulk 0 3 i:1 s:x", "bulk 0 3 i:10 z", "bulk 0 2 i:20 d", "bulk 0 3 i:30 s:y", "exec 0 i:50 s:one",
              "bulk 0 4 i:50 s:dup", "query SELECT * FROM bk ORDER BY a", "bulk 0 1 i:60 s:%s" % ("long" * 10), "query SHOW WARNINGS",
              "query SET sql_mode=''", "bulk 0 3 i:70 s:%s" % ("long" * 10), "query SHOW WARNINGS", "query SHOW COUNT(*) WARNINGS",
              "prepare 1 INSERT INTO au (b) VALUES (?)", "bulk 1 5 s:id", "query SELECT ROW_COUNT()", "bulk 1 5 s:id", "query SELECT LAST_INSERT_ID()", "query SELECT ROW_COUNT()",
              "prepare 2 UPDATE bk SET n = ? WHERE a = ?", "bulk 2 4 i:7 i:9", "query SELECT ROW_COUNT()",
              "prepare 3 DELETE FROM bk WHERE a = ?", "bulk 3 10 i:1", "query SELECT * FROM bk ORDER BY a",
              "prepare 4 INSERT INTO bk (a, b) VALUES (?, ?) RETURNING a, b", "bulk 4 3 i:100 s:ret", "query SELECT COUNT(*) FROM bk",
              "prepare 5 SELECT ?", "bulk 5 2 i:1", "exec 5 i:9", "prepare 6 REPLACE INTO bk (a, b) VALUES (?, ?)", "bulk 6 3 i:99 s:rep",
              "query BEGIN", "bulk 0 3 i:200 s:t", "query SELECT COUNT(*) FROM bk", "query ROLLBACK", "query SELECT COUNT(*) FROM bk",
              "close 0", "query SELECT * FROM bk ORDER BY a, b"]
    fresh()
    want = psclient(db[0].port, script)
    ok(want.count("err 1062") == 1 and "warnings=3" in want and "ret2" in want, want)
    fresh()
    eq(psclient(m.port, script), want)


def steps(c):
    """What raw sessions say to good and broken commands."""
    out = []

    def do(name, *commands):
        out.append((name, c.exchange(*commands)))
    s = c.prepared(INSERT)
    do("with types", bulk(s, TYPES, [(num(1), text(b"x")), (num(2), (NULL, b""))]))
    do("without", bulk(s, None, [(num(3), text(b"x")), (num(4), (DEFAULT, b""))]))
    do("other types", bulk(s, (STRING, LONGLONG), [(text(b"6"), num(8))]))
    do("and those again", bulk(s, None, [(text(b"7"), num(8))]), execute(s, [(STRING, lstr(b"8")), (LONGLONG, num(8)[1])], types=False))
    do("error in the middle", bulk(s, TYPES, [(num(9), text(b"x")), (num(4), (DEFAULT, b"")), (num(10), (NULL, b""))]))
    do("no rows", bulk(s, TYPES, []))
    do("cut", bulk(s, TYPES, [(num(11), text(b"x")), (num(12),)])[:-3])
    do("cut types", bulk(s, None, [], flags=128) + b"\x08")
    do("short", b"\xfa" + struct.pack("<I", s))
    do("empty", b"\xfa")
    for flags in (1, 64, 192, 0x8080):
        do("flags %d" % flags, bulk(s, TYPES, [(num(13), text(b"x"))], flags=flags))
    do("unknown id", bulk(999, TYPES, [(num(14), text(b"x"))]))
    do("unknown indicator", bulk(s, TYPES, [(num(15), (9, b""))]))
    t = c.prepared(INSERT)
    do("types never sent", bulk(t, None, [(num(16), text(b"x"))]), execute(t, [(LONGLONG, b""), (STRING, b"")], types=False))
    do("a read", b"\x16SELECT ?", bulk(0xffffffff, (LONGLONG,), [(num(1),)]))
    do("no parameters", b"\x16INSERT INTO bk VALUES (90, 'a', 1)", bulk(0xffffffff, None, []))
    do("id -1", b"\x16" + INSERT.encode(), bulk(0xffffffff, TYPES, [(num(17), text(b"x")), (num(18), text(b"y"))]))
    do("id -1 without types", bulk(0xffffffff, None, [(num(19), text(b"x"))]), execute(0xffffffff, [(LONGLONG, b""), (STRING, b"")], types=False))
    do("in a row", *[bulk(s, TYPES, [(num(n), text(b"p")), (num(n + 1), text(b"q"))]) for n in range(30, 50, 2)])
    do("what there is", b"\x03SELECT * FROM bk ORDER BY a")
    return out


def normal(got):
    """Statement ids are each side's own."""
    return [(name, [(q, b"\0ID" + b[5:] if q == 1 and len(b) == 12 and b[:1] == b"\0" else b)
                   for q, b in without_early_flags(ps)]) for name, ps in got]


def test_raw_replies():
    for kw in ({"mcaps": MCAP_BULK}, {}, {"mcaps": MCAP_BULK, "caps_on": CAP_DEPRECATE_EOF}):
        fresh()
        want = normal(steps(Raw(db[0].port, *APP, **kw)))
        fresh()
        for w, g in zip(want, normal(steps(Raw(m.port, *APP, **kw)))):
            eq(g, w, "%s %s" % (w[0], kw))
    eq(Raw(m.port, *APP).mcaps_offered & MCAP_BULK, MCAP_BULK)


def test_on_connections_that_have_not_seen_it():
    """The statement and its types follow the session to whatever connection is free."""
    fresh()
    c = Raw(m.port, *APP, mcaps=MCAP_BULK)
    s = c.prepared(INSERT)
    again, holders = m.counter("prepares_again"), []
    for i in range(6):
        sent = bulk(s, TYPES if i == 0 else None, [(num(10 * i + k), text(b"%d" % k)) for k in range(10)])
        eq(c.exchange(sent)[0][1][:2], b"\0\x0a", i)
        if i % 2 == 0 and len(holders) < 2:  # whose transaction takes the connection that was used
            holders.append(Raw(m.port, *APP, mcaps=MCAP_BULK))
            holders[-1].exchange(b"\x03BEGIN", b"\x03DELETE FROM au")
    ok(m.counter("prepares_again") > again, "prepared on another connection")
    eq(db[0].one("SELECT COUNT(*) FROM shop.bk"), 60)


def test_never_at_a_replica():
    fresh()
    before = m.counter("reads_replica")
    c = Raw(m.port, *APP, mcaps=MCAP_BULK)
    c.exchange(b"\x16SELECT a FROM bk WHERE a = ?")
    after_prepare = m.counter("reads_replica")
    eq([p[1][:3] for p in c.exchange(bulk(1, (LONGLONG,), [(num(1),)]))], [b"\xff\x0f\x05"])
    ok(m.counter("reads_replica") <= after_prepare + 1, "the mark alone: %d %d" % (before, after_prepare))


def test_rows_before_an_error_are_seen():
    """Each row of an UPDATE is committed by itself, and so is what a routine did: no position comes with the error."""
    fresh()
    db[0].sql("USE shop", "INSERT INTO bk VALUES (1, 'old', 1), (2, 'old', 2)",
              "CREATE OR REPLACE PROCEDURE half() BEGIN UPDATE bk SET b = 'call' WHERE a = 2; SIGNAL SQLSTATE '45000'; END")
    db[1].catch_up()
    c = Raw(m.port, *APP, mcaps=MCAP_BULK)
    s = c.prepared("UPDATE bk SET b = ? WHERE a = ?")
    hold = db[1].conn(database="shop")
    query(hold, "LOCK TABLES bk READ")  # the replica does not get on
    got = c.exchange(bulk(s, (STRING, LONGLONG), [(text(b"new"), num(1)), (text(b"too long for the column it is"), num(2))]))
    eq([b[:3] for _, b in got], [b"\xff\x7e\x05"])
    eq(c.exchange(b"\x03SELECT b FROM bk WHERE a = 1")[-2][1], b"\3new")
    d = Raw(m.port, *APP)
    eq(d.exchange(b"\x03CALL half()")[0][1][:1], b"\xff")
    eq(d.exchange(b"\x03SELECT b FROM bk WHERE a = 2")[-2][1], b"\4call")
    hold.close()


def test_many_rows():
    """More than one packet holds, and types that are put in ahead of it."""
    fresh()
    rows = [(num(i), text(b"%018d" % i)) for i in range(600000)]
    c = Raw(m.port, *APP, mcaps=MCAP_BULK, timeout=200)
    s = c.prepared("INSERT INTO bk (a, b) VALUES (?, ?)")
    eq(c.exchange(bulk(s, TYPES, rows[:2]))[0][1][:2], b"\0\x02")
    again = m.counter("prepares_again")
    h = Raw(m.port, *APP, mcaps=MCAP_BULK)
    h.exchange(b"\x03BEGIN", b"\x03DELETE FROM au")  # its connection is not to be had
    body = bulk(s, None, rows[2:])
    ok(len(body) > 16 << 20, "%d bytes" % len(body))
    got = c.exchange(body)
    eq([(q, b[:1]) for q, b in got], [(2, b"\0")])
    eq(m.counter("prepares_again"), again + 1)
    eq(db[0].one("SELECT COUNT(*) FROM shop.bk"), 600000)
    note("%d bytes in one command" % len(body))


if __name__ == '__main__':
    main()
