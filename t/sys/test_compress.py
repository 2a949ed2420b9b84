#!/usr/bin/python3 -B
"""Compression on each side: zlib with real servers and clients, zstd with scripted ones; with TLS, long statements and results,
slow clients; hostile frames."""
import zlib

from margaytest import *
from mt_certs import Authority
import peer
from peer_zip import *


def setup():
    global db, ca, m, front
    ca = Authority("ca")
    front, crt = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1"), ca.issue("db", "DNS:db,IP:127.0.0.1")
    db = replication_set(1, ["--ssl-ca=" + ca.pem, "--ssl-cert=" + crt[0], "--ssl-key=" + crt[1], "--max-allowed-packet=256M"])
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO shop.t VALUES (1, 'one'), (2, REPEAT('two', 1000))",
              "CREATE TABLE shop.w (id INT PRIMARY KEY, v LONGBLOB)",
              "CREATE PROCEDURE shop.two() BEGIN SELECT 1; SELECT seq, REPEAT('p', 100) FROM seq_1_to_500; END")
    db[1].catch_up()
    m = margay()


def margay(opts=None, **kw):
    return Margay(db, margay={"tls_cert": front[0], "tls_key": front[1], "max_packet_size": "128M", **(opts or {})}, **kw)


def zip_client(m, algo="zlib", **kw):
    c = ZipConn(Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), timeout=60 * SLOW)
    c.login_zip(algo, **kw)
    return c


def rows(r):
    return [b for _, b in r[2 + r[0][1][0]:-1]]  # behind count, definitions and their EOF


def in_order(r, first=1):
    eq([s for s, _ in r], [(first + i) & 255 for i in range(len(r))], "packets are numbered on")


ASKED = ["SELECT 1", "SELECT v FROM t WHERE id = 2", "SELECT seq, REPEAT(MD5(seq), 3) FROM seq_1_to_3000", "SELEC", "SET @a = 1",
         "SELECT REPEAT('x', 70000), seq FROM seq_1_to_30", "SELECT * FROM t WHERE id < 0"]


def test_scripted_clients_see_what_others_see():
    """Each algorithm, byte for byte what a client without compression sees; frames small where it pays."""
    plain = ZipConn(Target("127.0.0.1", m.port, APP[0], APP[1], "shop"))
    plain.login()
    for algo in "zlib", "zstd":
        c = zip_client(m, algo)
        for q in ASKED:
            plain.command(3, q.encode())
            c.z.seen.clear()
            got = c.zquery(q)
            for p in got:
                eq(plain.read_packet(), p, q[:60])
            in_order(got)
            eq([f[0] for f in c.z.seen], [1 + i for i in range(len(c.z.seen))], "frames are numbered on")
            size, before = sum(f[1] for f in c.z.seen), sum(len(b) + 4 for _, b in got)
            ok(before < 500 or size < before / 2, "%s: %d bytes of %d" % (q, size, before))
            for _, n, whole in c.z.seen:
                ok(whole == 0 or n < whole, "a frame that grew")
        c.close()
    plain.close()


def test_two_commands_at_once():
    c = zip_client(m)
    c.s.sendall(b"".join(frame("zlib", packet(b"\3SELECT %d, REPEAT('y', 200)" % i, 0), 0) for i in range(3)))
    c.s.sendall(frame("zlib", packet(b"\x19\1\0\0\0", 0), 0, plain=True) + frame("zlib", packet(b"\3SELECT 3", 0), 0, plain=True))
    for i in range(4):
        c.z.seen.clear()
        r = c.z.reply()
        in_order(r)
        eq(rows(r)[0][1:2], b"%d" % i)
        eq(c.z.seen[0][0], 1, "each reply's frames begin behind its command's")
    # one frame for all of them
    c.s.sendall(frame("zlib", b"".join(packet(b"\3SELECT %d" % i, 0) for i in range(5)), 0))
    for i in range(5):
        eq(rows(c.z.reply())[0][1:2], b"%d" % i)
    # a command in pieces: its reply is numbered behind the last
    q = packet(b"\3SELECT 'in pieces'", 0)
    c.z.seen.clear()
    for i, at in enumerate(range(0, len(q), 5)):
        c.s.sendall(frame("zlib", q[at:at + 5], i, plain=True))
    in_order(c.z.reply())
    eq(c.z.seen[0][0], i + 1)
    c.close()


def psclient(m, script, *words):
    r = subprocess.run([os.path.join(BUILD, "t", "bin", "psclient"), "127.0.0.1", str(m.port), *APP, "shop", *words],
                       input="\n".join(script) + "\n", capture_output=True, text=True, errors="replace", timeout=120 * SLOW)
    eq(r.returncode, 0, r.stdout[-500:] + r.stderr)
    return r.stdout


SCRIPT = ["query SELECT 1; SELECT 2; SELECT seq FROM seq_1_to_400", "query CALL two()", "ping", "db shop", "query SELECT DATABASE()",
          "prepare 0 SELECT ? + 1 AS a, ? AS b, ? AS c", "exec 0 i:41 s:x z", "exec 0 i:1 f:1.5 s:y", "close 0",
          "prepare 0 SELECT LENGTH(?), LEFT(?, 5)", "long 0 0 3000000", "exec 0 b: s:abcdefgh", "close 0",
          "prepare 0 SELECT seq FROM seq_1_to_10", "cursor 0 3", "exec 0", "first 0 4", "query SELECT 'between'", "first 0 9", "close 0",
          "prepare 0 CALL two()", "exec 0", "query SELECT nope", "resetconn", "query SELECT REPEAT('z', 5000000)",
          "query BEGIN", "query INSERT INTO w VALUES (5, 'x')", "query SELECT * FROM w WHERE id = 5", "query ROLLBACK"]


def test_connector_c():
    """libmariadb with MYSQL_OPT_COMPRESS against servers with and without compression: the same as a direct connection."""
    want = psclient(db[0], SCRIPT)
    eq(psclient(db[0], SCRIPT, "compress"), want, "the server itself")
    eq(psclient(m, SCRIPT, "compress"), want, "client compressed")
    n = margay(server={"compression": "zlib", "pool_size": 2}, name="far")
    eq(psclient(n, SCRIPT), want, "server compressed")
    eq(psclient(n, SCRIPT, "compress"), want, "both")
    ok(n.counter("resets") > 0, "connections went back and were used again")
    n.stop()


def test_servers_are_spoken_to_compressed():
    n = margay(server={"compression": "zlib"}, name="far")
    c = n.conn()
    eq(query(c, "SHOW SESSION STATUS LIKE 'Compression'")[0][1], "ON")
    before = db[0].status("Bytes_sent"), db[1].status("Bytes_sent")
    eq(len(query(c, "SELECT REPEAT('x', 8000000)")[0][0]), 8000000)
    after = db[0].status("Bytes_sent"), db[1].status("Bytes_sent")
    ok(sum(map(int, after)) - sum(map(int, before)) < 1000000, "sent by the servers: %s, before %s" % (after, before))
    plain = m.conn()
    eq(query(plain, "SHOW SESSION STATUS LIKE 'Compression'")[0][1], "OFF")
    n.stop()


def long_values(write, read, *sizes):
    """Around the limits of packets, and beyond, hardly compressible."""
    for size in sizes:
        v = random.Random(size).randbytes(size // 2).hex()[:size]
        write(size % 1000003, v)
        eq(read(size % 1000003), hashlib.md5(v.encode()).hexdigest(), "a value of %d bytes" % size)


@limit(300)
def test_long_statements_and_results():
    far = margay(server={"compression": "zlib"}, name="far")
    one, two = MAX_BODY, 2 * MAX_BODY
    for proxy, algo, sizes in ((m, "zlib", [one + 30]), (m, "zstd", [one - 30, one - 29, two + 5]), (far, None, [one - 28, two + 5]),
                               (far, "zstd", [one + 30])):
        if algo:
            c = zip_client(proxy, algo)

            def write(i, v):
                c.z.write(long_packets(b"\3REPLACE INTO w VALUES (%d, '%s')" % (i, v.encode()), 0))
                r = c.z.reply()
                eq(r[0][1][0], 0, r[0][1][:100])

            def read(i):
                body = b""
                c.z.write(packet(b"\3SELECT v FROM w WHERE id = %d" % i, 0))
                r = c.z.reply()
                in_order(r)
                body = b"".join(rows(r))
                return hashlib.md5(body[9 if body[0] == 0xfe else 4:]).hexdigest()
        else:
            k = proxy.conn(read_timeout=120 * SLOW, max_allowed_packet=1 << 28)
            write = lambda i, v: query(k, "REPLACE INTO w VALUES (%d, '%s')" % (i, v))
            read = lambda i: hashlib.md5(value(k, "SELECT v FROM w WHERE id = %d" % i)).hexdigest()
        long_values(write, read, *sizes)
    far.stop()


@limit(120)
def test_slow_client():
    """A result of 60 MB that nobody takes: the server is not read from, the worker stays small; then all of it comes."""
    for far in False, True:
        n = margay({"write_timeout": "120s"}, server={"compression": "zlib"} if far else None, name="slow%d" % far)
        c = zip_client(n)
        c.zquery("SELECT 1")
        base = proc_pss(n.worker_pids())
        q = "SELECT seq, MD5(seq), MD5(seq + 1), SHA2(seq, 512), SHA2(seq + 1, 512) FROM seq_1_to_150000"
        c.z.write(packet(b"\3" + q.encode(), 0))
        wait_for(lambda: n.counter("paused_reads") > 0, 20, "the server to be held up")
        ok(proc_pss(n.worker_pids()) < base + 4000, "worker at %d KiB, before %d" % (proc_pss(n.worker_pids()), base))
        eq(len(n.sql("SELECT id FROM t")), 2, "others are served")
        eq(len(rows(c.z.reply())), 150000)
        eq(rows(c.zquery("SELECT 7")), [b"\0017"])
        n.stop()


def test_with_tls():
    n = margay({"tls": "required"}, server={"compression": "zlib", "tls": "verify-full", "tls_ca": ca.pem, "tls_name": "db"}, name="tls")
    words = ["mariadb", "--no-defaults", "-h127.0.0.1", "-P%d" % n.port, "-u" + APP[0], "-p" + APP[1], "-N", "--ssl-ca=" + ca.pem,
             "--ssl-verify-server-cert", "--compress", "--max-allowed-packet=128M", "shop"]
    v = random.Random(5).randbytes(9 << 20).hex()
    r = subprocess.run(words, text=True, capture_output=True, timeout=120 * SLOW, input="SELECT 1;\nREPLACE INTO w VALUES (77, '%s');\nSELECT MD5(v), LENGTH(v) FROM w WHERE id = 77;\n"
            "SELECT COUNT(*), SUM(LENGTH(x)) FROM (SELECT REPEAT(MD5(seq), 100) x FROM seq_1_to_5000) d;\n"
            "SELECT REPEAT(MD5(seq), 1000) FROM seq_1_to_300;\nSHOW STATUS LIKE 'Ssl_version';\nSHOW STATUS LIKE 'Compression';\n" % v)
    eq(r.returncode, 0, r.stderr[-500:])
    lines = r.stdout.split("\n")
    eq(lines[:3], ["1", hashlib.md5(v.encode()).hexdigest() + "\t%d" % len(v), "5000\t16000000"])
    eq(hashlib.md5("".join(lines[3:303]).encode()).hexdigest(),
       hashlib.md5("".join(hashlib.md5(b"%d" % i).hexdigest() * 1000 for i in range(1, 301)).encode()).hexdigest())
    ok("TLSv1" in lines[303] and "ON" in lines[304], lines[303:305])
    n.stop()


@limit(120)
def test_unix_sockets_on_both_sides():
    """Compressed, with and without TLS, with libmariadb and a scripted client."""
    for tls_mode in "off", "required":
        u = Margay([db[0]], margay={"tls_cert": front[0], "tls_key": front[1]},
                   server={"address": db[0].socket, "compression": "zlib", "tls": tls_mode})

        def cli(sql, *words):
            r = run(["mariadb", "--no-defaults", "-S", u.socket, "-u" + APP[0], "-p" + APP[1], "-N", "-e", sql, *words, "shop"])
            eq(r.returncode, 0, r.stderr)
            return r.stdout
        for words in (), ("--compress",), ("--compress", "--ssl"):
            eq(cli("SELECT USER()", *words).strip(), APP[0] + "@localhost", "over the server's socket")
            status = dict(l.split("\t") for l in cli("BEGIN; SHOW STATUS WHERE Variable_name IN ('Compression', 'Ssl_cipher')",
                                                     *words).splitlines())
            eq((status["Compression"], status["Ssl_cipher"] != ""), ("ON", tls_mode == "required"))
            before = u.counter("bytes_to_clients"), sum(w["counters"]["bytes_from_clients"] for w in u.stat()["workers"])
            want = "".join("%d\t%s\n" % (i, "abc" * 300) for i in range(1, 3001))
            eq(cli("SELECT seq, REPEAT('abc', 300) FROM seq_1_to_3000", *words), want)
            eq(cli("SELECT LENGTH('%s')" % ("q" * 50000), *words).strip(), "50000")
            ok(u.counter("bytes_to_clients") > before[0] and u.counter("bytes_from_clients") > before[1], "counted")
        c = ZipConn(Target(u.socket, None, APP[0], APP[1], "shop"), timeout=60 * SLOW)
        c.login_zip("zstd")
        c.z.seen.clear()
        got = c.zquery("SELECT seq, REPEAT('abc', 300) FROM seq_1_to_3000")
        in_order(got)
        eq(len(rows(got)), 3000)
        ok(sum(f[1] for f in c.z.seen) < 3000 * 100, "small")
        c.close()
        u.stop()


def test_local_files():
    """LOAD DATA LOCAL INFILE of Connector/C, which numbers frames but no packets."""
    far = margay(server={"compression": "zlib"}, name="far")
    with open(tmp() + "/rows", "w") as f:
        for i in range(200000):
            f.write("%d\t%s\n" % (i + 1000, hashlib.md5(b"%d" % i).hexdigest()))
    for proxy in m, far:
        for words in ["--compress"], []:
            r = subprocess.run(["mariadb", "--no-defaults", "-h127.0.0.1", "-P%d" % proxy.port, "-u" + APP[0], "-p" + APP[1], "-N",
                                "--local-infile", *words, "shop"], text=True, capture_output=True, timeout=120 * SLOW,
                               input="DELETE FROM w; LOAD DATA LOCAL INFILE '%s/rows' INTO TABLE w; SELECT COUNT(*), SUM(LENGTH(v)) "
                               "FROM w;" % tmp())
            eq((r.stderr, r.stdout), ("", "200000\t6400000\n"), words)
    far.stop()


def test_what_is_offered():
    for opts, zl, zs in ({"compression": "off"}, 0, 0), ({"compression": "zlib"}, 1, 0), ({"compression": "zstd"}, 0, 1), ({}, 1, 1):
        m.margay.pop("compression", None)
        m.margay.update(opts)
        m.reload()
        c = ZipConn(Target("127.0.0.1", m.port, APP[0], APP[1], "shop"))
        c.read_greeting()
        eq((bool(c.caps & CAP_COMPRESS), bool(c.caps & CAP_ZSTD)), (bool(zl), bool(zs)), opts)
        # a client that asks for what was not offered gets a session without
        c.send(packet(c.response(caps_on=CAP_COMPRESS), 1))
        c.after_login()
        if not zl:
            c.marker()
        c.close()


def test_level_of_zstd_clients():
    for level in 1, 3, 22, 0:
        c = zip_client(m, "zstd", level=level)
        eq(len(rows(c.zquery("SELECT seq FROM seq_1_to_1000"))), 1000)
        c.close()


@limit(120)
def test_zstd_towards_a_server():
    """By a scripted server, as MariaDB has no zstd: all the commands of the others, numbered as the protocol asks."""
    z = ZstdServer(db[0].port)
    n = Margay(db[:1], margay={"max_packet_size": "128M"}, server={"compression": "zstd", "compression_level": 2, "pool_size": 3},
               server_options={db[0].name: {"address": "127.0.0.1:%d" % z.port}}, cluster={"topology": "standalone"}, name="zstd")
    eq(psclient(n, SCRIPT), psclient(db[0], SCRIPT))
    eq(psclient(n, SCRIPT, "compress"), psclient(db[0], SCRIPT))
    c = n.conn(read_timeout=120 * SLOW, max_allowed_packet=1 << 28)
    long_values(lambda i, v: query(c, "REPLACE INTO w VALUES (%d, '%s')" % (i, v)),
                lambda i: hashlib.md5(value(c, "SELECT v FROM w WHERE id = %d" % i)).hexdigest(), MAX_BODY + 7)
    ok(z.levels and set(z.levels) == {2}, "levels asked for: %s" % z.levels)
    eq(z.faults, [])
    # what a server may do wrong
    for name, b in BAD_FRAMES:
        z.break_next = b("zstd", 1)
        try:
            eq(query(n.conn(read_timeout=30 * SLOW), "SELECT v FROM t WHERE id = 1 FOR UPDATE"), ((b"one",),))
        except pymysql.err.MySQLError as e:
            ok("timed out" not in str(e), "%s: %s" % (name, e))
        eq(z.break_next, None, "sent")
        eq(n.sql("SELECT 5"), ((5,),), "others, after " + name)
    eq(n.stop(), 0)
    z.close()


Q = packet(b"\3SELECT 'hostile'", 0)
BOMB = packet(b"\3SELECT '" + b"x" * 5000000 + b"'", 0)
BAD_FRAMES = [
    ("longer than it says", lambda a, s: frame(a, Q, s, before=5)),
    ("shorter than it says", lambda a, s: frame(a, Q, s, before=500)),
    ("a bomb", lambda a, s: frame(a, BOMB, s, before=100)),
    ("garbage", lambda a, s: struct.pack("<I", 40)[:3] + bytes([s]) + b"\x50\0\0" + b"\x99" * 40),
    ("nothing that becomes something", lambda a, s: b"\0\0\0" + bytes([s]) + b"\x50\0\0"),
    ("cut short", lambda a, s: frame(a, Q * 5, s, length=len(pack(a, Q * 5)) - 3)[:-3] + frame(a, Q, s + 1)),
    ("two in one", lambda a, s: struct.pack("<I", 2 * len(pack(a, Q)))[:3] + bytes([s]) + struct.pack("<I", 2 * len(Q))[:3] + 2 * pack(a, Q)),
]
BAD_ORDER = [("a number out of order", lambda a, s: frame(a, Q, 7)),
             ("a gap", lambda a, s: frame(a, Q[:9], 0, plain=True) + frame(a, Q[9:], 2, plain=True))]


def test_hostile_clients():
    """Frames that lie end the session; nobody else notices, nothing is kept."""
    others = m.conn()
    wait_for(lambda: m.counter("clients") == 1, 10, "earlier clients to be gone")
    base, bad = proc_pss(m.worker_pids()), m.counter("bad_packets")
    pids = m.worker_pids()
    n = 0
    for algo in "zlib", "zstd":
        for name, b in BAD_FRAMES + BAD_ORDER:
            for ahead in b"", frame(algo, packet(b"\3SELECT 1", 0), 0):
                c = zip_client(m, algo)
                c.s.sendall(ahead + b(algo, 0))
                try:
                    while True:
                        c.z.read_packet()
                        ok(ahead, name + ": answered")
                except Closed:
                    n += 1
                c.close()
        # endless: a statement beyond every limit, of a few bytes
        c = zip_client(m, algo)
        piece = frame(algo, b"\xff\xff\xff\0\3SELECT '" + b"x" * (MAX_BODY - 13), 0)
        c.s.sendall(piece)
        more = b"\xff\xff\xff\1" + b"x" * (MAX_BODY - 4)
        try:
            for i in range(1, 30):
                c.s.sendall(frame(algo, more[:-1], i))
            c.z.read_packet()
        except (Closed, OSError):
            pass
        c.close()
    # random garbage behind a login
    r = random.Random(args.seed)
    for i in range(60):
        c = zip_client(m, r.choice(["zlib", "zstd"]))
        b = bytearray(frame(c.z.algo, packet(b"\3SELECT REPEAT('x', 100)", 0) * 3, 0))
        for _ in range(r.randint(1, 6)):
            b[r.randrange(len(b))] = r.randrange(256)
        c.s.sendall(b[:r.randint(1, len(b))])
        c.end_writing()
        try:
            while True:
                c.z.fill()
        except (Closed, OSError, zlib.error):
            pass
        c.close()
    eq(value(others, "SELECT 5"), 5)
    eq(m.worker_pids(), pids, "the worker lives")
    ok(m.counter("bad_packets") >= bad + n - 4, "counted: %d of %d" % (m.counter("bad_packets") - bad, n))
    wait_for(lambda: m.counter("clients") == 1, 20, "the clients to be gone")
    # session records that were never used before, contexts kept for reuse; no buffer of a long packet
    ok(proc_pss(m.worker_pids()) < base + 9000, "worker at %d KiB, before %d" % (proc_pss(m.worker_pids()), base))


@limit(120)
def test_memory_of_idle_sessions():
    n = margay({"max_clients": 2000}, name="idle")
    warm = [zip_client(n, a) for a in ("zlib", "zstd") * 12]
    for c in warm:
        c.zquery(ASKED[2])
    base = proc_pss(n.worker_pids())
    crowd = [zip_client(n, a) for a in ("zlib", "zstd") * 150]
    for c in crowd:
        eq(len(c.zquery(ASKED[2])), 3005)
    each = (proc_pss(n.worker_pids()) - base) / len(crowd)
    note("%d idle compressed clients: %.2f KiB of worker Pss each" % (len(crowd), each))
    ok(each <= 6.0, "an idle compressed client costs %.2f KiB" % each)
    for c in crowd + warm:
        c.close()
    n.stop()


if __name__ == '__main__':
    main()
