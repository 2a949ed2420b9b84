"""Silent clients: wait_timeout as a client sets it, as the server has it for its own connections, and connections that are kept."""
from pymysql.constants import CLIENT
from margaytest import *

GONE = (2006, 2013)


def setup():
    global db, m
    db = MariaDB("db1", ["--wait-timeout=2", "--interactive-timeout=3"])
    accounts(db)
    db.sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t VALUES (1, 0), (2, 0), (3, 0)")
    m = Margay([db])


def hears(c):
    """All that a silent client is told until its connection is closed; None: it is not."""
    c._sock.settimeout(10 * SLOW)
    got = b""
    try:
        while True:
            b = c._sock.recv(4096)
            if not b:
                return got
            got += b
    except ConnectionResetError:
        return got
    except TimeoutError:
        return None


def test_own_wait_timeout():
    """Closed without a word, with and without a connection at the server; as directly."""
    cs = [db.conn(*APP, database="shop"), m.conn(), m.conn(), m.conn(), m.conn(client_flag=CLIENT.INTERACTIVE)]
    for c in cs[:-1]:
        query(c, "SET wait_timeout=1")
    query(cs[-1], "SET SESSION wait_timeout=1")
    query(cs[2], "BEGIN")
    query(cs[2], "UPDATE t SET v = 1 WHERE id = 1")
    query(cs[3], "SET @x = 1")
    before = m.counter("idle_timeouts")
    for c in cs:
        eq(hears(c), b"")
    eq(m.counter("idle_timeouts") - before, 4, "it was Margay that closed them")
    eq(db.one("SELECT v FROM shop.t WHERE id = 1"), 0, "rolled back")
    for c in cs:
        raises(GONE, query, c, "SELECT 1")


def test_what_is_no_wait_timeout_of_the_client():
    """Sessions that go on: nothing was set, or it was taken back, or it was interactive_timeout, which new sessions have
    theirs from. In transactions, so that each has a connection that the server would close after two seconds."""
    names = ["", "SET interactive_timeout=1", "SET wait_timeout=1; COM_RESET_CONNECTION", "SET SESSION wait_timeout=28800"]
    cs = [m.conn() for _ in names] + [m.conn(client_flag=CLIENT.INTERACTIVE)]
    for c, sql in zip(cs, names):
        for part in filter(None, sql.split("; ")):
            if part.startswith("COM"):
                c._execute_command(0x1f, b"")
                c._read_ok_packet()
            else:
                query(c, part)
    eq(value(cs[0], "SELECT @@wait_timeout"), 2)
    eq(value(cs[-1], "SELECT @@wait_timeout"), 3)
    for i, c in enumerate(cs):
        query(c, "BEGIN")
        query(c, "INSERT IGNORE INTO t VALUES (1, 0), (%d, 0)" % (i + 100))
    before = m.counter("kept_alive")
    wait_for(lambda: m.counter("kept_alive") >= before + 5 * len(cs), 30, "their connections to be kept alive")
    for c in cs:
        eq(value(c, "SELECT ROW_COUNT()"), 1)
    for c in cs:
        query(c, "INSERT IGNORE INTO t VALUES (1, 0)")
    before = m.counter("kept_alive")
    wait_for(lambda: m.counter("kept_alive") >= before + 3 * len(cs), 30, "their connections to be kept alive")
    for c in cs:
        eq(query(c, "SHOW WARNINGS")[0][1], 1062)
        query(c, "ROLLBACK")


def test_pings_count():
    """A client that says no more than COM_PING is not silent, neither for its own wait_timeout nor at the server."""
    c = m.conn()
    query(c, "SET wait_timeout=2")
    query(c, "BEGIN")
    query(c, "UPDATE t SET v = 5 WHERE id = 2")
    before = m.counter("kept_alive")
    end = time.monotonic() + 60 * SLOW
    while m.counter("kept_alive") < before + 5:
        ok(time.monotonic() < end, "not kept alive")
        c.ping(reconnect=False)
        time.sleep(0.1)
    query(c, "COMMIT")
    eq(db.one("SELECT v FROM shop.t WHERE id = 2"), 5)
    c.close()


def test_not_reported():
    """SET @@wait_timeout is not reported by servers: the server closes the kept connection, and the session ends with it."""
    c = m.conn()
    query(c, "SET @@wait_timeout=1")
    eq(value(c, "SELECT @@wait_timeout"), 1)
    eq(hears(c), b"")


def test_under_load():
    """Statements that meet the command that keeps their connection alive."""
    def step(c, i):
        query(c, "SET @n = %d" % i)
        for _ in range(20):
            eq(value(c, "SELECT @n"), i)
            time.sleep(0.001 * (i % 3))
        time.sleep(1 + 0.02 * i)  # about when it comes
        eq(value(c, "SELECT @n + SUM(id) FROM t WHERE id <= 2"), i + 3)

    before = m.counter("kept_alive")
    load = Load(8, lambda i: m.conn(), step).start()
    try:
        wait_for(lambda: load.total >= 40 and m.counter("kept_alive") > before + 10, 60, "enough of them")
    finally:
        errors = load.stop()
    eq(errors, [])


if __name__ == '__main__':
    main()
