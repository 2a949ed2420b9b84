"""Limits and timeouts: what each refuses, with which error, and that nobody else notices."""
from margaytest import *


def setup():
    global db
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t VALUES (1, 0), (2, 0)")
    db[1].catch_up()


def margay(margay=None, users=None, **kw):
    return Margay(db, margay=margay, users=users, **kw)


def serves(m, **kw):
    eq(value(m.conn(**kw), "SELECT 1"), 1, "another client")


def refused(errnos, fn, *words):
    no, text = raises(errnos, fn)
    for w in words:
        ok(w in text, "the error does not name %s: %d %s" % (w, no, text))
    return text


def test_max_clients():
    m = margay({"max_clients": 5})
    held = [m.conn() for _ in range(5)]
    refused(1040, m.conn, "max_clients")
    for c in held:
        eq(value(c, "SELECT 1"), 1)
    held.pop().close()
    wait_for(m.conn, 5, "a place to be free again")
    ok(m.counter("refused_limit") >= 1, "counted")
    m.stop()


def test_max_clients_over_two_workers():
    m = margay({"max_clients": 6, "workers": 2})
    held = [m.conn() for _ in range(6)]
    refused(1040, m.conn, "max_clients")
    ok(len({session_slot(c) for c in held}) == 2, "both workers had clients")
    m.stop()


def test_per_user_and_per_address():
    users = {"a": {"password": "a", "backend_user": APP[0], "backend_password": APP[1], "max_connections": 2},
             "b": {"password": "b", "backend_user": APP[0], "backend_password": APP[1]}, APP[0]: {"password": APP[1]}}
    m = margay({"max_clients_per_user": 4, "max_clients_per_address": 8, "workers": 2}, users)
    held = [m.conn("a", "a") for _ in range(2)]
    refused(1226, lambda: m.conn("a", "a"), "max_connections", "a")
    held += [m.conn("b", "b") for _ in range(4)]
    refused(1226, lambda: m.conn("b", "b"), "max_clients_per_user")
    held += [m.conn() for _ in range(2)]
    refused(1226, m.conn, "max_clients_per_address")
    serves(m, unix=True)
    for c in held:
        c.close()
    wait_for(lambda: m.conn("a", "a"), 5, "a place to be free again")
    m.stop()


def test_allow_from():
    def user(nets):
        return {"password": "x", "backend_user": APP[0], "backend_password": APP[1], "allow_from": nets}
    m = margay(users={APP[0]: {"password": APP[1]}, "near": user("10.0.0.0/8, 127.0.0.0/8"),
                      "far": user("10.0.0.0/8, fd00::/8"), "sock": user("unix")})
    eq(value(m.conn("near", "x"), "SELECT 1"), 1)
    eq(value(m.conn("sock", "x", unix=True), "SELECT 1"), 1)
    raises((1130, 1045), m.conn, "far", "x")
    raises((1130, 1045), m.conn, "sock", "x")
    raises((1130, 1045), m.conn, "near", "x", unix=True)
    ok(m.counter("refused_network") >= 3, "counted")
    m.stop()


def silent(m, n):
    out = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", m.port))
        s.setblocking(False)
        out.append(s)
    return out


def closed(s):
    """True when the peer has closed; reads what is there."""
    try:
        while s.recv(4096):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_login_timeout():
    """300 silent connections go away by themselves, while others are served."""
    m = margay({"login_timeout": "1s"})
    pss, socks = proc_pss(m.worker_pids()), silent(m, 300)
    for s in socks[:100]:
        wait_for(lambda: s.recv(4096), 5, "greeting")
        s.send(b"\x20\x00\x00")  # a part of a header
    load = Load(4, lambda i: m.conn(), lambda c, i: query(c, "SELECT * FROM t")).start()
    wait_for(lambda: all(closed(s) for s in socks), 20, "silent connections to be closed")
    load.progress()
    eq(load.stop(), [])
    wait_for(lambda: m.counter("login_timeouts") == 300, 5, "300 counted")
    note("300 silent connections dropped, %d steps of others; worker Pss %d -> %d KiB" % (
        load.total, pss, proc_pss(m.worker_pids())))
    m.stop()


def test_idle_timeout():
    m = margay({"idle_timeout": "700ms"})
    idle, busy = m.conn(), m.conn()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        eq(value(busy, "SELECT 1 FROM t WHERE id = 1"), 1)
    raises((), query, idle, "SELECT 1")
    eq(m.counter("idle_timeouts"), 1)
    m.stop()


def test_idle_transaction_timeout():
    m = margay({"idle_transaction_timeout": "500ms"})
    a, b, plain = m.conn(), m.conn(), m.conn()
    query(a, "BEGIN")
    query(a, "UPDATE t SET v = 5 WHERE id = 1")
    eq(query(b, "UPDATE t SET v = 6 WHERE id = 1"), (), "another client gets the lock when the first is closed")
    raises((), query, a, "COMMIT")
    eq(db[0].one("SELECT v FROM shop.t WHERE id = 1"), 6)
    eq(value(plain, "SELECT 1"), 1, "a client outside a transaction")
    m.stop()


def test_statement_timeout():
    m = margay({"statement_timeout": "500ms"})
    c = m.conn()
    refused(1969, lambda: query(c, "SELECT SLEEP(60)"), "statement_timeout")
    eq(value(c, "SELECT 1"), 1, "the session lives on")
    refused(1969, lambda: query(c, "SELECT COUNT(*) FROM seq_1_to_100000000 a, seq_1_to_1000 b"), "statement_timeout")
    wait_for(lambda: not any("SLEEP" in (p["INFO"] or "") or "seq_1" in (p["INFO"] or "")
                             for s in db for p in s.processlist("app")), 10, "the statement to end at the server")
    eq(m.counter("statement_timeouts"), 2)
    m.stop()


@limit(200)
def test_write_timeout():
    """A client that does not take its result is closed, its server connection comes back, memory stays bounded."""
    m = margay({"write_timeout": "1s"})
    base = proc_pss(m.worker_pids())
    c = m.conn()
    c._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c._execute_command(3, "SELECT REPEAT('x', 1000) FROM seq_1_to_200000")
    wait_for(lambda: m.counter("write_timeouts") == 1, 20, "the client to be dropped")
    serves(m)
    wait_for(lambda: not any("seq_1" in (p["INFO"] or "") for s in db for p in s.processlist("app")), 20,
             "the statement to end at the server")
    ok(proc_pss(m.worker_pids()) < base + 3000, "Pss %d -> %d KiB" % (base, proc_pss(m.worker_pids())))
    m.stop()


@limit(200)
def test_server_that_stops_answering():
    """SIGSTOP of the replica: its reads fail or go elsewhere in bounded time; then nobody is sent there."""
    m = margay({"statement_timeout": "2s"}, cluster={"probe_timeout": "500ms", "fall": 2, "rise": 1})
    c = m.conn()
    query(c, "SELECT * FROM t")
    db[1].freeze()
    try:
        t0 = time.monotonic()
        wait_for(lambda: m.server_states()["db2"]["state"] == "down", 20, "the frozen server to be down")
        note("frozen server down after %.1f s" % (time.monotonic() - t0))
        for _ in range(10):
            serves(m)
            query(m.conn(), "SELECT * FROM t")
    finally:
        db[1].thaw()
    wait_for(lambda: m.server_states()["db2"]["state"] == "up", 20, "the server to be up again")
    m.stop()


def test_statement_at_a_server_that_stops_answering():
    """A statement that runs when its server freezes ends by statement_timeout, though the server does not even
    answer the KILL."""
    m = margay({"statement_timeout": "1s"}, cluster={"probe_timeout": "500ms", "fall": 2, "rise": 1})
    c = m.conn(read_timeout=15 * SLOW)
    got = []
    t = threading.Thread(target=lambda: got.append(raises((), query, c, "SELECT SLEEP(30)")), daemon=True)
    t.start()
    wait_for(lambda: any("SLEEP" in (p["INFO"] or "") for s in db for p in s.processlist("app")), 5, "it to run")
    where = next(s for s in db if any("SLEEP" in (p["INFO"] or "") for p in s.processlist("app")))
    where.freeze()
    try:
        t.join(20 * SLOW)
        ok(got and "timed out" not in got[0][1], "the client of the frozen server waits for ever: %s" % got)
    finally:
        where.thaw()
    m.stop()


def test_frozen_primary_delays_no_reads():
    m = margay(cluster={"probe_timeout": "500ms", "fall": 2, "rise": 1})
    c = m.conn()
    query(c, "SELECT * FROM t")
    db[0].freeze()
    try:
        for _ in range(50):
            t0 = time.monotonic()
            eq(len(query(c, "SELECT * FROM t")), 2)
            ok(time.monotonic() - t0 < 5 * SLOW, "a read waited for the frozen primary")
    finally:
        db[0].thaw()
    wait_for(lambda: m.server_states()["db1"]["state"] == "up", 20, "the primary to be up again")
    m.stop()


def test_too_many_open_files():
    """With few descriptors a worker refuses clients, says so in the log, and goes on."""
    m = margay({"nofile": 100}, start=False)
    m.start(wrap=["prlimit", "--nofile=100:100"])
    m.wait_servers()
    refused_, held = 0, []
    while len(held) < 110 and refused_ < 4:
        try:
            held.append(m.conn(connect_timeout=1))
        except pymysql.err.MySQLError:
            refused_ += 1
    ok(refused_ > 0, "110 clients fitted into 100 descriptors")
    for c in held[:5]:
        eq(value(c, "SELECT 1"), 1, "clients that are in")
    for c in held:
        c.close()
    wait_for(lambda: value(m.conn(connect_timeout=3), "SELECT 1") == 1, 10, "new clients to be served again")
    m.stop()


def full_disk(size="1M"):
    """A small tmpfs, full. Needs root."""
    if os.geteuid() != 0:
        skip("mounting a small file system needs root")
    d = mkdir("full")
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%s,mode=755,uid=%d" % (size, NOBODY), "none", d],
                       capture_output=True, text=True)
    if r.returncode:
        skip("mount: " + r.stderr.strip())
    return d


def fill(d):
    with open(d + "/filler", "wb", buffering=0) as f:
        try:
            while True:
                f.write(b"x" * 4096)
        except OSError:
            pass


def test_full_disk_for_the_state_dir():
    """Service and reload go on or fail clearly; nothing is lost; room again means well again."""
    d = full_disk("4M")
    try:
        m = margay({"state_dir": d})
        fill(d)
        start = len(m.log_text())
        m.cluster["max_lag"] = "33s"
        r = m.reload(ok_wanted=False)
        if r.returncode:
            m.wait_log(r"(?i)state_dir|state directory|no space", 5, start)
        serves(m)
        eq(m.ctl("status").returncode, 0)
        os.unlink(d + "/filler")
        m.cluster["max_lag"] = "34s"
        m.reload()
        serves(m)
        m.stop()
        fill(d)
        n = margay({"state_dir": d}, start=False)
        n.start(wait=False)
        wait_for(lambda: not n.proc.alive() or n.ctl("status").returncode == 0, 20, "a start on a full disk")
        ok(re.search(r"(?i)state_dir|state directory|no space", n.log_text()), "the log says so:\n" + n.log_text())
        n.stop()
    finally:
        subprocess.run(["umount", "-l", d])


def test_full_disk_for_the_runtime_dir():
    """No room for shared memory: refused at start with a clear line, not a SIGBUS later."""
    d = full_disk("256k")
    try:
        m = margay({"runtime_dir": d}, start=False)
        m.start(wait=False)
        status = m.proc.p.wait(20 * SLOW)
        ok(status > 0, "exit status %d" % status)
        ok(re.search(r"(?i)runtime_dir|full|no space|limit", m.log_text()), "the log: " + m.log_text())
    finally:
        subprocess.run(["umount", "-l", d])


def test_stop_is_bounded():
    """SIGTERM: idle clients are told, a running statement ends, one that runs too long does not hold it up."""
    m = margay({"drain_timeout": "1s"})
    idle, busy = m.conn(), m.conn()
    t = threading.Thread(target=lambda: raises((), query, busy, "SELECT SLEEP(60)"), daemon=True)
    t.start()
    wait_for(lambda: m.counter("clients_active") == 1, 5, "the statement to run")
    t0 = time.monotonic()
    eq(m.stop(), 0, "exit status")
    ok(time.monotonic() - t0 < 10 * SLOW, "the stop took %.1f s" % (time.monotonic() - t0))
    t.join(10)
    ok(not t.is_alive(), "the client of the long statement hangs")
    raises((), query, idle, "SELECT 1")
    ok(m.ctl("status").returncode != 0, "status of a stopped Margay")
    wait_for(lambda: not any(s.processlist("app") for s in db), 10, "server connections to be closed")


def test_stop_lets_a_statement_end():
    m = margay({"drain_timeout": "20s"})
    busy, got = m.conn(), []
    t = threading.Thread(target=lambda: got.append(value(busy, "SELECT SLEEP(1.5)")), daemon=True)
    t.start()
    wait_for(lambda: m.counter("clients_active") == 1, 5, "the statement to run")
    eq(m.stop(), 0)
    t.join(10)
    eq(got, [0], "the running statement's result")


if __name__ == '__main__':
    main()
