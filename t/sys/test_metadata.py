"""What clients are told about columns: MariaDB's extended metadata, for those who ask for it and nobody else; definitions
that a client has already, and may be left out."""
from margaytest import *
from raw import *

TABLE = """CREATE OR REPLACE TABLE mt (a INT PRIMARY KEY, j JSON, g GEOMETRY, p POINT, n INET6, n4 INET4, u UUID, b VARCHAR(10), c DECIMAL(5,2),
 e ENUM('x','y'), t TIMESTAMP(3) NULL, bl BLOB)"""
READS = ["SELECT * FROM mt", "SELECT j, b AS k FROM mt AS m2", "SELECT JSON_ARRAY(1), JSON_EXTRACT(j, '$.a'), 1 FROM mt", "SELECT POINT(1, 2), ST_AsText(p) FROM mt",
         "SELECT * FROM (SELECT j, n FROM mt) AS d", "SELECT a FROM mt UNION SELECT 2", "SELECT j FROM mt UNION SELECT '[]'", "SHOW COLUMNS FROM mt",
         "SELECT a FROM mt; SELECT j FROM mt; DELETE FROM mt WHERE a = 99", "CALL pj()", "SELECT ROW_COUNT()", "SELECT FOUND_ROWS()",
         "SHOW WARNINGS", "SELECT CAST('::1' AS INET6), UUID()='', CAST('{}' AS CHAR)", "INSERT INTO mt (a, j) VALUES (50, '{}') RETURNING j, a",
         "DELETE FROM mt WHERE a = 50 RETURNING a, j"]


def setup():
    global db, m
    db = replication_set(1)
    m = Margay(db, server={"pool_size": 1})
    db[0].sql("USE shop", TABLE.replace("\n", ""), "INSERT INTO mt (a, j, g, p, n, b, c) VALUES (1, '{\"a\":1}', POINT(1,1), POINT(2,3), '::1', 'x', 1.5)",
              "CREATE OR REPLACE PROCEDURE pj() SELECT j, p, a FROM mt")
    db[1].catch_up()


def all_replies(c):
    out = []
    for sql in READS:
        out.append((sql, without_early_flags(c.exchange(b"\x03" + sql.encode()))))
        if ";" not in sql:
            p = c.exchange(b"\x16" + sql.encode())
            sid = p[0][1][1:5]
            out.append(("PREPARE " + sql, [(p[0][0], p[0][1][5:])] + without_early_flags(p[1:])))
            out.append(("EXECUTE " + sql, without_early_flags(c.exchange(execute(struct.unpack("<I", sid)[0])))))
    out.append(("COM_FIELD_LIST", c.exchange(b"\x04mt\0")))
    return out


SHAPES = [{"mcaps": x, "caps_on": e | CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS} for x in (0, MCAP_EXTENDED) for e in (0, CAP_DEPRECATE_EOF)]


def test_extended_metadata():
    wants = [all_replies(Raw(db[0].port, *APP, **kw)) for kw in SHAPES]
    ok(any(b"json" in b for _, b in wants[2][0][1]) and not any(b"json" in b for _, b in wants[0][0][1]), "the server tells them apart")
    for rounds in range(3):  # by turns, through few connections
        for kw, want in zip(SHAPES, wants):
            for w, g in zip(want, all_replies(Raw(m.port, *APP, **kw))):
                eq(g[1], w[1], "%s %s" % (w[0], kw))
    for kw in SHAPES:
        eq(Raw(m.port, *APP, **kw).mcaps_offered & MCAP_EXTENDED, MCAP_EXTENDED)


def test_what_margay_answers_itself():
    """SHOW PROCESSLIST: every definition carries the string, empty."""
    for kw in SHAPES:
        c = Raw(m.port, *APP, **kw)
        defs = [b for _, b in c.exchange(b"\x03SHOW PROCESSLIST") if b[:4] == b"\x03def"]
        eq(len(defs), 9)
        for b in defs:
            at = b.index(b"\x0c", 8)
            eq(b[at - 2 if kw["mcaps"] else at - 1:at], b"\0\0" if kw["mcaps"] else b"\0")
        eq(c.exchange(b"\x03SET margay_trace = 1", b"\x03SELECT 1", b"\x03SHOW WARNINGS")[-1][1][:1], b"\xfe")


def test_after_change_of_user():
    for kw in SHAPES:
        outs = []
        for port in (db[0].port, m.port):
            c = Raw(port, *APP, **kw)
            c.send(packet(b"\x11" + APP[0].encode() + b"\0\0shop\0" + b"\x21\0" + NATIVE + b"\0" + b"\0", 0))
            c.after_login()
            outs.append(without_early_flags(c.exchange(b"\x03SELECT j, p FROM mt")))
        eq(outs[1], outs[0], kw)


def test_server_version_of_mysql():
    """Who is told that this is MySQL, or an old MariaDB, is not offered what they have not."""
    for version, want in (("8.0.30", 0), ("10.4.9-MariaDB", MCAP_BULK | MCAP_EXTENDED | MCAP_CACHE)):
        n = Margay(db, margay={"server_version": version}, name="other")
        eq(Raw(n.port, *APP).mcaps_offered, want, version)
        n.stop()


CACHING = [{"mcaps": x | MCAP_CACHE, "caps_on": e | CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS} for x in (0, MCAP_EXTENDED)
           for e in (0, CAP_DEPRECATE_EOF)]
OFTEN = ["SELECT a, b FROM cm", "SELECT * FROM cm", "CALL pc()", "SHOW TABLES LIKE 'cm'", "SHOW COLUMNS FROM cm", "DESCRIBE cm", "SELECT 1",
         "INSERT INTO cm (a) VALUES (4) RETURNING a", "SHOW CREATE TABLE cm", "SELECT @u", "EXPLAIN SELECT * FROM cm", "SHOW WARNINGS",
         "SELECT a FROM cm WHERE a < (SELECT 1 UNION SELECT 2)", "DELETE FROM cm WHERE a = 4", "SELECT JSON_ARRAY(a) FROM cm", "CHECKSUM TABLE cm",
         "SELECT %s FROM cm" % ", ".join("a AS a_rather_long_name_of_a_column_%d" % i for i in range(300))]


TOLD_AGAIN = ["after ALTER TABLE cm ADD d INT, time 0"]  # by the server, which has prepared it anew: the same (doc/PROTOCOL)


def told(packets):
    """Does the reply to an execution tell its columns? Then the packet with their number ends in 1."""
    return packets[0][1][:1] != b"\0" and packets[0][1][-1] == 1


def caching_steps(c, fresh=True):
    out = []

    def do(name, *commands):
        out.append((name, without_early_flags(c.exchange(*commands))))
    q = lambda sql: b"\x03" + sql.encode()
    fresh and c.exchange(q("CREATE OR REPLACE TABLE cm (a INT, b VARCHAR(10), c DECIMAL(5,2))"), q("INSERT INTO cm VALUES (1, 'x', 2)"),
                         q("CREATE OR REPLACE PROCEDURE pc() SELECT * FROM cm"))
    do("text", q("SELECT a, b FROM cm"), q("SELECT 1; SELECT 2"), q("CALL pc()"), b"\x04cm\0")
    for sql in OFTEN:
        s = c.prepared(sql)
        for n in range(3):
            do("%s, time %d" % (sql[:60], n), execute(s))
        c.exchange(b"\x19" + struct.pack("<I", s))
    s, i = c.prepared("SELECT a, b FROM cm"), c.prepared("SELECT a FROM cm")
    for sql in ("SET NAMES latin1", "SET NAMES utf8mb4", "ALTER TABLE cm ADD d INT", "ALTER TABLE cm MODIFY b VARCHAR(20)", "ALTER TABLE cm MODIFY a BIGINT",
                "FLUSH TABLES", "SET @u = 1"):
        c.exchange(q(sql))
        for n in range(2):
            do("after %s, time %d" % (sql, n), execute(s))
    do("a cursor", execute(s, flags=1), b"\x1c" + struct.pack("<II", s, 1), b"\x1c" + struct.pack("<II", s, 9))
    do("a cursor again", execute(s, flags=1), b"\x1a" + struct.pack("<I", s))
    do("without", execute(s), execute(i))
    p = c.prepared("SELECT ?")
    for t, v in ((LONGLONG, b"\1" * 8), (LONGLONG, b"\2" * 8), (STRING, b"\1a"), (STRING, b"\2ab"), (STRING, b"\2cd")):
        do("? as %d" % t, execute(p, [(t, v)]))
    u = c.prepared("SELECT @u")
    for v in ("1", "2", "'x'", "'y'", "NULL"):
        c.exchange(q("SET @u = " + v))
        do("@u = " + v, execute(u), execute(u))
    do("errors", execute(c.prepared("SELECT (SELECT 1 UNION SELECT 2)")), execute(c.prepared("SELECT a, (SELECT 1 UNION SELECT 2) FROM cm")))
    do("id -1", b"\x16SELECT b FROM cm", execute(0xffffffff), execute(0xffffffff))
    return out


def plain(steps):
    """Ids of statements are each side's own."""
    return [(name, [(q, b"ID" if len(b) == 12 and q == 1 and b[:1] == b"\0" else b) for q, b in ps]) for name, ps in steps]


def test_cached_metadata():
    """Packet by packet what 10.11 sends."""
    left_out = 0
    for kw in CACHING:
        want = plain(caching_steps(Raw(db[0].port, *APP, **kw)))
        db[1].catch_up()
        got = plain(caching_steps(Raw(m.port, *APP, **kw)))
        for w, g in zip(want, got):
            if w[0] in TOLD_AGAIN:
                eq((told(w[1]), told(g[1]), w[1][-2:][0][1]), (True, False, g[1][-2:][0][1]), w[0])
                continue
            eq(g[1], w[1], "%s %s" % (w[0], kw))
        left_out += sum(len(ps[0][1]) < 4 and ps[0][1][-1] == 0 for _, ps in got)
        eq(Raw(m.port, *APP, **kw).mcaps_offered & MCAP_CACHE, MCAP_CACHE)
    note("%d replies without definitions" % left_out)


def test_cached_metadata_over_shared_connections():
    """What a client was told counts, not what its connection has told others, nor that the statement is prepared anew."""
    db[0].sql("USE shop", "CREATE OR REPLACE TABLE cs (a INT, b VARCHAR(10))", "INSERT INTO cs VALUES (1, 'x')")
    db[1].catch_up()
    n = Margay(db, server={"pool_size": 4, "max_prepared": 1}, name="shared")
    kw = CACHING[0]
    one, two, plain_one = Raw(n.port, *APP, **kw), Raw(n.port, *APP, **kw), Raw(n.port, *APP)
    sql = "SELECT a, b FROM cs"
    a, b, p = one.prepared(sql), two.prepared(sql), plain_one.prepared(sql)
    others = [two.prepared("SELECT %d" % i) for i in range(3)]
    for i in range(5):
        ok(not told(one.exchange(execute(a))), i)
        eq(two.exchange(execute(others[i % 3]))[0][1], b"\1\0")
        ok(not told(two.exchange(execute(b))), i)
        eq(len(plain_one.exchange(execute(p))), 6, "definitions for who does not cache them")
        for x in (one, two):
            x.exchange(b"\x03BEGIN", b"\x03COMMIT")
    ok(n.counter("prepares_again") > 0, "prepared again")
    db[0].sql("ALTER TABLE shop.cs MODIFY b VARCHAR(11)")
    db[1].catch_up()
    for c, s in ((one, a), (two, b)):
        eq([told(c.exchange(execute(s))) for _ in range(3)], [True, False, False])
    n.stop()


if __name__ == '__main__':
    main()
