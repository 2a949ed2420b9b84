"""What clients are told about columns: MariaDB's extended metadata, for those who ask for it and nobody else."""
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
    for version, want in (("8.0.30", 0), ("10.4.9-MariaDB", MCAP_BULK | MCAP_EXTENDED)):
        n = Margay(db, margay={"server_version": version}, name="other")
        eq(Raw(n.port, *APP).mcaps_offered, want, version)
        n.stop()


if __name__ == '__main__':
    main()
