"""Packets of 16 MiB and more, and all around that length, in every direction and command, as a server takes and gives them;
the memory of the workers stays what it was."""
import threading

from margaytest import *
from mt_certs import Authority
from raw import *

M16 = 1 << 24
SIZES = [M16 - 1, M16, M16 + 1, 64 << 20]  # of bodies; a packet holds M16 - 1
TYPES = (LONGLONG, BLOB)


def setup():
    global db, m, ca, crt
    ca = Authority("ca")
    crt = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1")
    db = replication_set(0, options=["--max-allowed-packet=128M", "--local-infile=1", "--skip-log-bin", "--long-query-time=1000"])
    m = Margay(db, margay={"max_packet_size": "128M", "workers": 1}, server={"pool_size": 3})
    db[0].sql("USE shop", "CREATE TABLE bl (a BIGINT PRIMARY KEY, b LONGBLOB) ENGINE=MyISAM", "CREATE TABLE tx (a INT)")


class Peak:
    """The most memory that the workers had meanwhile."""

    def __enter__(self):
        self.base = self.top = proc_pss(m.worker_pids())
        self.halt = threading.Event()
        self.t = threading.Thread(target=self.watch, daemon=True)
        self.t.start()
        return self

    def watch(self):
        while not self.halt.wait(0.01):
            self.top = max(self.top, proc_pss(m.worker_pids()))

    def __exit__(self, *e):
        self.halt.set()
        self.t.join()

    def check(self, what, most):
        note("%s: worker Pss %d KiB before, %d at most" % (what, self.base, self.top))
        ok(self.top < self.base + most, "%s: memory grew by %d KiB" % (what, self.top - self.base))


def short(packets):
    """Long bodies by length and digest; ids of statements are each side's own."""
    return [(q, (len(b), hashlib.sha1(b).hexdigest()) if len(b) > 200 else b"\0ID" + b[5:] if len(b) == 12 and b[:1] == b"\0" else b)
            for q, b in packets]


def sized(before, n, after=b""):
    return before + b"z" * (n - len(before) - len(after)) + after


def compare(what, steps, most=12 << 10, each=SIZES, **kw):
    """steps(c, size): a list of replies. The same directly and through Margay, in bounded memory."""
    kw.setdefault("mcaps", MCAP_BULK)
    kw.setdefault("timeout", 200)
    wants = []
    for size in each:
        db[0].sql("TRUNCATE shop.bl")
        c = Raw(db[0].port, *APP, **kw)
        wants.append([short(without_early_flags(r)) for r in steps(c, size)])
        c.close()
    with Peak() as peak:
        for size, want in zip(each, wants):
            db[0].sql("TRUNCATE shop.bl")
            c = Raw(m.port, *APP, **kw)
            got = [short(without_early_flags(r)) for r in steps(c, size)]
            for i, (g, w) in enumerate(zip(got, want)):
                eq(g, w, "%s of %d bytes, step %d" % (what, size, i))
            ok(any(b[:1] != b"\xff" for _, b in want[-1] if isinstance(b, bytes)), "it does something: %r" % want[:2])
            c.close()
    peak.check(what, most)


def times(n):
    """How often it is done: the longest once."""
    return (1, 2, 2) if n < 2 * M16 else (1,)


def table(c):
    return c.exchange(b"\x03SELECT a, LENGTH(b), MD5(b) FROM bl ORDER BY a")


def query_steps(c, n):
    return [c.exchange(sized(b"\x03SELECT 1, LENGTH('", n, b"')")), c.exchange(sized(b"\x03INSERT INTO bl VALUES (1, '", n, b"')")),
            table(c), c.exchange(sized(b"\x03SELEC '", n, b"'")), c.exchange(b"\x03SELECT 1")]


@limit(400)
def test_query():
    compare("COM_QUERY", query_steps)


def rows_steps(c, n):
    out = [c.exchange(b"\x03SELECT REPEAT('r', %d - 4) AS r UNION ALL SELECT 'x'" % n)]
    return out if n > 2 * M16 else out + [c.exchange(b"\x03SELECT 'x', REPEAT('r', %d - 6) AS r" % n)]


@limit(400)
def test_rows():
    for e in (0, CAP_DEPRECATE_EOF):
        compare("rows", rows_steps, caps_on=e)


def prepare_steps(c, n):
    out = [c.exchange(sized(b"\x16SELECT ? + 1, LENGTH('", n, b"')"))]
    s = struct.unpack("<I", out[0][0][1][1:5])[0]
    if n > 2 * M16:
        return out + [c.exchange(execute(s, [(LONGLONG, b"\1" * 8)]))]
    out += [c.exchange(execute(s, [(LONGLONG, b"\1" * 8)])), c.exchange(execute(0xffffffff, [(LONGLONG, b"\1" * 8)]))]
    out += [c.exchange(execute(s, [(LONGLONG, b"\2" * 8)], types=False)), c.exchange(b"\x03SELECT 5")]
    out += [c.exchange(sized(b"\x16SELEC '", n, b"'")), c.exchange(b"\x16SELECT 7"), c.exchange(execute(0xffffffff))]
    out += [c.exchange(sized(b"\x16INSERT INTO bl VALUES (?, '", n, b"')")), c.exchange(execute(0xffffffff, [(LONGLONG, b"\3" * 8)])), table(c)]
    return out + [c.exchange(b"\x1f", execute(0xffffffff))]


@limit(400)
def test_prepare():
    compare("COM_STMT_PREPARE", prepare_steps)


def value(n, head):
    """A length-encoded string that makes a body of n bytes behind head."""
    size = n - head
    return next(v for k in (4, 9) for v in [lenenc(size - k)] if len(v) == k) + b"v" * (size - (4 if size - 4 < M16 else 9))


def execute_steps(c, n):
    s = c.prepared("INSERT INTO bl VALUES (?, ?)")
    head = len(execute(s, [(LONGLONG, b"\1" * 8), (BLOB, b"")]))
    out = [c.exchange(execute(s, [(LONGLONG, struct.pack("<q", k)), (BLOB, value(n, head))])) for k in times(n)]
    return out + [table(c), c.exchange(execute(999, [(LONGLONG, b"\1" * 8), (BLOB, value(n, head))])), c.exchange(b"\x03SELECT 1")]


@limit(400)
def test_execute():
    compare("COM_STMT_EXECUTE", execute_steps)


def without_types_steps(c, n):
    s = c.prepared("INSERT INTO bl VALUES (?, ?)")
    head = len(execute(s, [(LONGLONG, b"\1" * 8), (BLOB, b"")], types=False))
    out = [c.exchange(execute(s, [(LONGLONG, b"\1" * 8), (BLOB, b"\1a")]))]
    if c.target.port == m.port:  # another session has the connection that knows the types
        h = Raw(m.port, *APP, mcaps=MCAP_BULK)
        h.exchange(b"\x03BEGIN", b"\x03INSERT INTO tx VALUES (77)")
    out.append(c.exchange(execute(s, [(LONGLONG, b"\2" * 8), (BLOB, value(n, head))], types=False)))
    if c.target.port == m.port:
        h.close()
    return out + [table(c)]


@limit(400)
def test_execute_without_types():
    """Read whole, since types may have to be put in: as long as max_packet_size lets them be."""
    compare("COM_STMT_EXECUTE without types", without_types_steps, most=300 << 10, each=SIZES[:3])


def long_data_steps(c, n):
    """Twice, of which RESET takes away the second; for a statement that there is not; with its execution behind it."""
    s = c.prepared("INSERT INTO bl VALUES (?, ?)")
    data = sized(b"\x18" + struct.pack("<IH", s, 1), n)
    p = [(LONGLONG, b"\1" * 8), (BLOB, None)]
    run = execute(s, [(LONGLONG, b"\1" * 8), (BLOB, b"")])
    out = [c.exchange(data), c.exchange(run), table(c)]
    if n > 2 * M16:
        return out
    out.append(c.exchange(data, b"\x1a" + struct.pack("<I", s)))
    out += [c.exchange(execute(s, [(LONGLONG, b"\2" * 8), (BLOB, b"\1b")])), table(c)]
    return out + [c.exchange(sized(b"\x18" + struct.pack("<IH", 999, 1), n)), c.exchange(b"\x03SELECT 1", data, run), c.exchange(b"\x03SELECT 2")]


@limit(400)
def test_long_data():
    compare("COM_STMT_SEND_LONG_DATA", long_data_steps)


def bulk_steps(c, n):
    s = c.prepared("INSERT INTO bl VALUES (?, ?)")
    head = len(bulk(s, TYPES, [(num(1), (NONE, b""))]))
    out = [c.exchange(bulk(s, TYPES, [(num(k), (NONE, value(n, head)))])) for k in times(n)]
    return out + [table(c)]


@limit(400)
def test_bulk():
    compare("COM_STMT_BULK_EXECUTE", bulk_steps)


def fetch_steps(c, n):
    s = c.prepared("SELECT REPEAT('c', ? - 6) UNION ALL SELECT 'end'")
    out = [c.exchange(execute(s, [(LONGLONG, struct.pack("<q", n))], flags=1))]
    return out + [c.exchange(b"\x1c" + struct.pack("<II", s, k)) for k in (1, 5)]


@limit(400)
def test_fetch():
    compare("COM_STMT_FETCH", fetch_steps, each=SIZES[:3])


def infile_steps(c, n):
    """Each packet of the file as long as a packet may be, and what is left."""
    c.send(packet(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE bl", 0))
    first = c.read_packet()
    c.send(long_packets(sized(b"5\t", n, b"\n"), first[0] + 1))
    last = first[0] + 1 + n // (M16 - 1)
    c.send(packet(b"", last + 1))
    return [[first, c.read_packet()], table(c)]


@limit(400)
def test_load_data():
    compare("LOAD DATA LOCAL INFILE", infile_steps, caps_on=CAP_LOCAL_FILES)


def test_errors_of_long_commands_leave_the_session():
    """A statement that does not exist; one whose table is gone where it is prepared again: told when all was read, and the
    session goes on."""
    c = Raw(m.port, *APP, mcaps=MCAP_BULK, timeout=100)
    c.exchange(b"\x03SET @keep = 1")
    for body in (execute(4242, [(LONGLONG, b"\1" * 8), (BLOB, value(M16 + 5, 40))]), bulk(4242, TYPES, [(num(1), (NONE, value(M16 + 5, 40)))])):
        eq([p[1][:3] for p in c.exchange(body)], [b"\xff\xdb\x04"])
    eq(c.exchange(b"\x03SELECT @keep")[-2][1], b"\x011")
    db[0].sql("CREATE OR REPLACE TABLE shop.gone (a BIGINT, b LONGBLOB)")
    c = Raw(m.port, *APP, mcaps=MCAP_BULK, timeout=100)
    s = c.prepared("INSERT INTO gone VALUES (?, ?)")
    h = Raw(m.port, *APP, mcaps=MCAP_BULK)
    h.exchange(b"\x03BEGIN", b"\x03INSERT INTO tx VALUES (99)")  # has the connection where it is prepared
    db[0].sql("DROP TABLE shop.gone")
    eq([p[1][:3] for p in c.exchange(execute(s, [(LONGLONG, b"\1" * 8), (BLOB, value(M16 + 5, 40))]))], [b"\xff\x7a\x04"])
    data = sized(b"\x18" + struct.pack("<IH", s, 1), M16 + 5)
    eq(c.exchange(data), [])
    eq([p[1][:1] for p in c.exchange(execute(s, [(LONGLONG, b"\1" * 8), (BLOB, b"")]))], [b"\xff"])
    eq(c.exchange(b"\x03SELECT 3")[-2][1], b"\x013")


def layered(server):
    """All of it through two of them, one the server of the other; what is between as `server` says: one writes it, the other reads it."""
    global m
    alone = m
    users = {name: {"password": password} for name, password in (APP, MONITOR)}
    back = Margay(db, margay={"max_packet_size": "128M", "tls_cert": crt[0], "tls_key": crt[1]}, server={"pool_size": 3}, users=users, name="back")
    m = Margay([back], margay={"max_packet_size": "128M"}, server={"pool_size": 3, **server}, name="front")
    try:
        some = [M16 - 1, M16 + 1]
        compare("COM_QUERY", query_steps, each=some)
        compare("rows", rows_steps, each=some)
        compare("COM_STMT_PREPARE", prepare_steps, each=some)
        compare("COM_STMT_EXECUTE", execute_steps, each=some)
        compare("COM_STMT_SEND_LONG_DATA", long_data_steps, each=some)
        compare("COM_STMT_BULK_EXECUTE", bulk_steps, each=some)
        compare("COM_STMT_FETCH", fetch_steps, each=some)
        compare("LOAD DATA LOCAL INFILE", infile_steps, each=some, caps_on=CAP_LOCAL_FILES)
    finally:
        m.stop()
        m = alone
        back.stop()


@limit(400)
def test_tls():
    layered({"tls": "verify-ca", "tls_ca": ca.pem})


@limit(400)
def test_zlib():
    layered({"compression": "zlib", "compression_level": 1})


@limit(400)
def test_zstd_in_tls():
    layered({"compression": "zstd", "tls": "required"})


if __name__ == '__main__':
    main()
