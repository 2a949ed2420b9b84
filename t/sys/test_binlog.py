"""Replication clients: mariadb-binlog and a real replica read the primary's binary log through Margay."""
import subprocess

from margaytest import *
from raw import *

OTHER = ("other", "pw2")


def setup():
    global db, m
    db = replication_set(1, users={APP[0]: APP[1], OTHER[0]: OTHER[1]})
    for user in (APP, OTHER):
        db[0].sql("GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO %s@'%%'" % user[0])
    m = Margay(db, users={APP[0]: {"password": APP[1], "replication": "yes"}, OTHER[0]: {"password": OTHER[1]}})
    db[0].sql("USE shop", "CREATE TABLE lg (a INT PRIMARY KEY, b LONGBLOB)", "INSERT INTO lg SELECT seq, REPEAT('x', 1000) FROM seq_1_to_500",
              "INSERT INTO lg VALUES (1000, REPEAT('y', 3000000))", "UPDATE lg SET b = 'z' WHERE a < 50", "FLUSH LOGS", "DELETE FROM lg WHERE a = 1000")
    db[1].catch_up()


def logs():
    return [r[0] for r in query(db[0].conn(), "SHOW BINARY LOGS")]


def binlog(port, *words, user=APP):
    r = subprocess.run(["mariadb-binlog", "--no-defaults", "--read-from-remote-server", "-h127.0.0.1", "-P%d" % port, "-u" + user[0], "-p" + user[1], *words],
                       capture_output=True, text=True, errors="replace", timeout=100 * SLOW)
    return r.returncode, r.stdout, r.stderr


def test_mariadb_binlog():
    if not shutil.which("mariadb-binlog"):
        skip("mariadb-binlog is not installed")
    for words in ([logs()[0]], ["--to-last-log", logs()[0]], ["-vv", "--start-position=4", logs()[-1]], ["no-such-log"]):
        for _ in range(5):  # the last log may grow in between: then once more
            want = binlog(db[0].port, *words)
            got = binlog(m.port, *words)
            if got == want or binlog(db[0].port, *words) == want:
                break
        eq(got[0], want[0], "%s: %s" % (words, got[2]))
        ok(got[1] == want[1], "%s differs at byte %d of %d" % (words, len(os.path.commonprefix([got[1], want[1]])), len(want[1])))
        eq(got[2], want[2], words)
    ok(len(want[2]) > 10, "there is an error: %r" % want[2])
    ok(binlog(m.port, logs()[0])[1].count("INSERT") > 1, "there is a log")


def test_who_may_not():
    """The words of a server for an account without the privilege."""
    code, _, err = binlog(m.port, logs()[0], user=OTHER)
    ok(code != 0 and "REPLICATION SLAVE privilege" in err, err)
    db[0].sql("CREATE USER nobody@'%' IDENTIFIED BY 'n'", "GRANT SELECT ON shop.* TO nobody@'%'")
    register = b"\x15" + struct.pack("<I", 77) + b"\0\0\0" + struct.pack("<HII", 0, 0, 0)
    dump = b"\x12" + struct.pack("<IHI", 4, 1, 77) + logs()[0].encode()
    for com in (dump, b"\x1e" + dump[1:], b"\x13abc"):
        want = Raw(db[0].port, "nobody", "n").exchange(com)
        got = Raw(m.port, *OTHER).exchange(com)
        eq(got, want, com[:1])
    eq([b[:3] for _, b in Raw(m.port, *OTHER).exchange(register)], [b"\xff\xcb\x04"])


def test_packets_of_a_dump():
    """To the end of the log, with and without DEPRECATE_EOF, and what comes behind."""
    for kw in ({}, {"caps_on": CAP_DEPRECATE_EOF}, {"caps_on": CAP_DEPRECATE_EOF | CAP_SESSION_TRACK}):
        wants = []
        for port in (db[0].port, m.port):
            c = Raw(port, *APP, **kw)
            register = b"\x15" + struct.pack("<I", 77) + b"\0\0\0" + struct.pack("<HII", 0, 0, 0)
            out = c.exchange(b"\x03SET @mariadb_slave_capability=4, @master_binlog_checksum=@@global.binlog_checksum", register)
            c.send(packet(b"\x12" + struct.pack("<IHI", 4, 1, 77) + logs()[0].encode(), 0))
            try:
                while True:
                    out.append(c.read_packet())
            except Closed as e:
                out.append(str(e))
            wants.append(out)
            c.close()
        ok(len(wants[0]) > 20, "%d packets" % len(wants[0]))
        for i, (g, w) in enumerate(zip(wants[1], wants[0])):
            eq(g, w, "packet %d %s" % (i, kw))
        eq(len(wants[1]), len(wants[0]), kw)


REPLICA = "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='%s', MASTER_PASSWORD='%s', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"


@limit(200)
def test_a_replica():
    r = MariaDB("behind", options=["--server-id=99"])
    r.sql("STOP SLAVE", "SET GLOBAL gtid_slave_pos=''", REPLICA % (m.port, *APP), "START SLAVE")
    status = lambda: dict(zip([d[0] for d in cur.description], cur.fetchone() or ()))
    c = r.conn()
    cur = c.cursor()

    def caught_up():
        return r.one("SELECT @@gtid_slave_pos") == db[0].one("SELECT @@gtid_binlog_pos")
    try:
        wait_for(caught_up, 60, "the replica")
    except Failed:
        cur.execute("SHOW SLAVE STATUS")
        s = status()
        fail("%s" % {k: s[k] for k in ("Slave_IO_State", "Last_IO_Error", "Last_SQL_Error", "Gtid_IO_Pos")})
    eq(r.sql("CHECKSUM TABLE shop.lg"), db[0].sql("CHECKSUM TABLE shop.lg"))
    for i in range(5):
        db[0].sql("INSERT INTO shop.lg VALUES (%d, 'later')" % (2000 + i))
    wait_for(caught_up, 60, "what is written later")
    c2 = m.conn()
    eq(value(c2, "SELECT COUNT(*) FROM shop.lg WHERE b = 'later'"), 5, "others go on meanwhile")
    r.sql("STOP SLAVE")
    wait_for(lambda: not [p for p in db[0].processlist(APP[0]) if p["COMMAND"] == "Binlog Dump"], 30, "its connection to end")
    db[0].sql("INSERT INTO shop.lg VALUES (3000, 'last')")
    r.sql("START SLAVE")
    wait_for(caught_up, 60, "it to go on")
    r.sql("STOP SLAVE", "RESET SLAVE ALL")


def test_client_that_leaves():
    """The stream has no end: its connection is closed, not read to its end."""
    c = Raw(m.port, *APP)
    c.send(packet(b"\x12" + struct.pack("<IHI", 4, 0, 88) + logs()[0].encode(), 0))
    eq(c.read_packet()[1][:1], b"\0")
    c.close()
    wait_for(lambda: not [p for p in db[0].processlist(APP[0]) if p["COMMAND"] == "Binlog Dump"], 30, "its connection to end")


if __name__ == '__main__':
    main()
