#!/usr/bin/python3 -B
"""proto/ against real peers: t/bin/protolive logs in to a MariaDB server with plaintext, empty and hashed
passwords, reads what it sends in every form and writes it again byte for byte; and it serves the mariadb client,
PyMySQL and a client of our own that asks for DEPRECATE_EOF."""
import hashlib

from margaytest import *
import peer

TOOL = os.path.join(BUILD, "t", "bin", "protolive")
BASE = peer.CAP_41 | peer.CAP_SECURE | peer.CAP_PLUGIN_AUTH | peer.CAP_DB | peer.CAP_TRANSACTIONS
LENENC, TRACK, NOEOF = peer.CAP_LENENC | peer.CAP_ATTRS, peer.CAP_SESSION_TRACK, peer.CAP_DEPRECATE_EOF
ALL = BASE | LENENC | TRACK | NOEOF
PASSWORDS = ["geheim", "with space", "p\u00e4ssw\u00f6rd \u20ac", "x" * 300, "*", "'\"\\"]


def setup():
    global db, hashes
    if not os.path.exists(TOOL):
        skip("t/bin/protolive is not built")
    db = MariaDB("db", ["--max-connections=10", "--max-connect-errors=100000"])
    db.sql("CREATE DATABASE live", "CREATE TABLE live.t(a INT)", "CREATE USER none@'%' IDENTIFIED BY ''",
           "GRANT ALL ON live.* TO none@'%'")
    hashes = []
    for i, pw in enumerate(PASSWORDS):
        hashes.append(db.one("SELECT PASSWORD(%s)" % sql_str(pw)))
        db.sql("CREATE USER u%d@'%%' IDENTIFIED BY PASSWORD %s" % (i, sql_str(hashes[i])),
               "GRANT ALL ON live.* TO u%d@'%%'" % i)


def feed(user, caps, text):
    return subprocess.run([TOOL, "client", str(db.port), user, "live", "%x" % caps], input=text,
                          capture_output=True, text=True, timeout=60)


def client(user, secret, *queries, caps=ALL):
    """The lines that protolive prints, those of each query apart: [login, query, ...]."""
    r = feed(user, caps, "".join(x + "\n" for x in (secret,) + queries))
    eq(r.returncode, 0, r.stdout + r.stderr)
    ok("DIFFERS" not in r.stdout, "a packet was not written as it was read:\n" + r.stdout)
    return [part.strip().split("\n") for part in re.split(r"^> .*\n", r.stdout, flags=re.M)]


def test_passwords():
    for i, pw in enumerate(PASSWORDS):
        for secret in ("plain " + pw, "hash %s %s" % (hashes[i], pw)):
            for caps in (BASE, BASE | LENENC, ALL):
                lines = client("u%d" % i, secret, caps=caps)[0]
                ok(lines[-1].startswith(("ok", "track schema =live")), "%s: %r" % (secret[:20], lines))
        ok("err 1045 28000" in client("u%d" % i, "plain " + pw + "x")[0][-1], "a wrong password was let in")
        eq(client("u%d" % i, "hash %s %s" % (hashes[i], pw + "x"))[0], ["hash refused"])
    ok(client("none", "empty")[0][1].startswith("ok"), "empty password")
    ok("err 1045" in client("none", "plain x")[0][-1], "a password where there is none")
    ok("err 1045" in client("u0", "empty")[0][-1], "an empty password where there is one")


def test_greeting_and_schema():
    lines = client("none", "empty")[0]
    ok(re.match(r"greeting \S*10\.\S+ mysql_native_password same$", lines[0]), lines[0])
    eq(lines[2], "track schema =live")


def test_session_tracking():
    got = client("none", "empty",
                 "SET session_track_system_variables='*', session_track_state_change=1, "
                 "session_track_transaction_info='CHARACTERISTICS'",
                 "SET autocommit=0, sql_mode='', time_zone='+00:00'",
                 "SET NAMES latin1",
                 "SET autocommit=1",
                 "USE mysql", "USE live",
                 "BEGIN", "INSERT INTO live.t VALUES (1),(2)", "SELECT * FROM live.t", "COMMIT",
                 "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION READ ONLY", "ROLLBACK")[2:]
    eq(sorted(got[0][1:]), ["track state =1", "track sysvar autocommit=OFF", "track sysvar sql_mode=",
                            "track sysvar time_zone=+00:00"])
    eq(sorted(got[1][1:]), ["track state =1", "track sysvar character_set_client=latin1",
                            "track sysvar character_set_connection=latin1",
                            "track sysvar character_set_results=latin1"])
    ok("track sysvar autocommit=ON" in got[2], got[2])
    ok(got[4][1:2] == ["track schema =live"], got[4])
    eq(got[5][1:], ["track trx_state =T_______", "track trx_chars =START TRANSACTION;"])
    eq(got[6][0][:26], "ok header=00 affected=2 in")
    eq(got[6][1:], ["track trx_state =T___W___"])
    eq(got[7][:2], ["columns 1 same", "rows 2"])
    ok(got[7][2].startswith("ok header=fe") and got[7][3].startswith("track trx_state =T"), got[7])
    ok(re.fullmatch(r"track sysvar last_gtid=0-\d+-\d+", got[8][1]), got[8])
    eq(got[8][2:], ["track trx_state =________", "track trx_chars ="])
    eq(got[10][2], "track trx_chars =SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; START TRANSACTION READ ONLY;")


def test_results_in_every_form():
    for caps in (BASE, BASE | NOEOF, BASE | TRACK, ALL):
        got = client("none", "empty", "SELECT 1, 'a', NULL", "UPDATE live.t SET a = a + 1", "SELECT * FROM none",
                     "SELECT 1 FROM live.t WHERE 1/0", "prepare SELECT ?, ? FROM live.t", "prepare DO 1",
                     "prepare nonsense", "CREATE TABLE IF NOT EXISTS live.t(a INT)",
                     "SELECT " + ",".join(["1"] * 300), caps=caps)[1:]
        eq(got[0][:1], ["columns 3 same"])
        ok("rows 1" in got[0] and got[0][-1].startswith("ok header=fe" if caps & NOEOF else "eof"), got[0])
        ok(re.search(r"info=Rows matched: 2  Changed: 2  Warnings: 0 same$", got[1][0]), got[1])
        ok(got[2][0].startswith("err 1146 42S02 Table 'live.none' doesn't exist"), got[2])
        ok("warnings=1" in got[3][-1] or "warnings=2" in got[3][-1], got[3])
        eq(got[4][0], "prepared columns=2 params=2 warnings=0 same")
        eq(got[5][0], "prepared columns=0 params=0 warnings=0 same")
        ok(got[6][0].startswith("err 1064 42000"), got[6])
        ok("warnings=1" in got[7][0], got[7])
        eq(got[8][0], "columns 300 same")


def test_error_in_place_of_a_greeting():
    held = [db.conn() for _ in range(10)]
    try:
        r = feed("none", ALL, "empty\n")
        # the server allows one more, for root; take that too
        if r.stdout.startswith("greeting"):
            held.append(db.conn())
            r = feed("none", ALL, "empty\n")
        ok(r.stdout.startswith("err 1040 HY000 Too many connections"), r.stdout + r.stderr)
    finally:
        for c in held:
            c.close()


class Served:
    """protolive as a server for one client."""

    def __init__(self, caps, *more, password="geheim"):
        h = "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()
        self.p = subprocess.Popen([TOOL, "server", h, "%x" % caps] + list(more), stdout=subprocess.PIPE, text=True)
        self.port = int(self.p.stdout.readline().split()[1])

    def lines(self):
        out, _ = self.p.communicate(timeout=60)
        eq(self.p.returncode, 0, out)
        return out.strip().split("\n")


def test_serves_the_mariadb_client():
    for caps in (BASE, BASE | LENENC, ALL, BASE | peer.CAP_LONG_PASSWORD):
        for more in ((), ("switch",)):
            s = Served(caps, *more)
            r = run([sbin("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % s.port, "-usomeone", "-Ne",
                     "SELECT a; USE other; SELECT b", "shop"], env=dict(os.environ, MYSQL_PWD="geheim"))
            eq(r.returncode, 0, r.stderr)
            rows = r.stdout.strip().split("\n")
            eq((rows[0], rows[-1], len(rows)), ("-7\tNULL\tSELECT a", "-7\tNULL\tSELECT b", 4), r.stdout)
            lines = s.lines()
            ok(lines[0].startswith("response user=someone db=shop plugin=mysql_native_password auth=20"), lines)
            eq(lines[0].endswith("attrs=yes"), bool(caps & peer.CAP_ATTRS))
            eq(lines[1:], (["switched auth=20"] if more else []) + ["let in", "quit"])


def test_refuses():
    for more in ((), ("switch",)):
        for pw in ("wrong", ""):
            s = Served(ALL, *more)
            raises(1045, pymysql.connect, host="127.0.0.1", port=s.port, user="someone", password=pw)
            eq(s.lines()[-1], "refused")


def test_serves_pymysql():
    s = Served(ALL)
    c = pymysql.connect(host="127.0.0.1", port=s.port, user="someone", password="geheim", database="shop")
    eq(query(c, "SELECT x"), ((-7, None, "SELECT x"),) * 2)
    raises(1235, query, c, "fail")
    c.ping(reconnect=False)
    eq(query(c, "SELECT y")[0][2], "SELECT y")
    c.close()
    eq(s.lines()[-1], "quit")


def test_serves_without_eof():
    s = Served(ALL)
    c = peer.Conn(peer.Target("127.0.0.1", s.port, "someone", "geheim", "shop"))
    c.read_greeting()
    c.send(peer.packet(c.response(caps_on=NOEOF | TRACK), 1))
    c.after_login()
    c.command(peer.COM_QUERY, b"SELECT z")
    bodies = [c.read_packet() for _ in range(7)]
    eq([q for q, _ in bodies], list(range(1, 8)))
    eq(bodies[0][1], b"\3")
    eq(bodies[4][1], b"\2-7\xfb\x08SELECT z")
    eq(bodies[6][1], b"\xfe\0\0\2\0\0\0")
    c.command(peer.COM_QUIT)
    eq(s.lines()[-1], "quit")


if __name__ == '__main__':
    main()
