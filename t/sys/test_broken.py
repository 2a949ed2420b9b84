"""Broken bytes from clients and from servers (t/sys/peer.py): the worker lives, serves everybody else, keeps no
memory and no socket."""
import concurrent.futures
from margaytest import *
import peer

LOGIN_TIMEOUT = 2
SILENT = 10  # seconds without an answer, with all timeouts of Margay's at 2 s or less


def setup():
    global db, fake, m, target
    db = replication_set(1, options=["--max-allowed-packet=64M"])
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1), (2), (3)")
    db[1].catch_up()
    fake = peer.FakeServer(upstream=("127.0.0.1", db[1].port))
    m = Margay(db, margay={"login_timeout": "%ds" % LOGIN_TIMEOUT, "statement_timeout": "2s", "workers": 2},
               server={"connect_timeout": "1s"}, cluster={"probe_timeout": "1s", "rise": 1, "fall": 3},
               server_options={"db2": {"address": "127.0.0.1:%d" % fake.port}})
    target = peer.Target("127.0.0.1", m.port, APP[0], APP[1], "shop")


def teardown():
    fake.close()
    eq(m.stop(), 0, "exit status of Margay")


class Unharmed:
    """Around a test: the same processes before and after, no client left, memory flat."""

    def __enter__(self):
        wait_for(lambda: m.counter("clients") == 0, 20, "earlier clients to be gone")
        self.pids, self.pss = set(m.worker_pids()), proc_pss(m.worker_pids())
        self.fds = sum(proc_fds(p) for p in m.worker_pids())

    def __exit__(self, kind, e, tb):
        if e:
            return
        eq(set(m.worker_pids()), self.pids, "worker processes")
        wait_for(lambda: m.counter("clients") == 0, 20, "clients to be gone")
        pss = proc_pss(m.worker_pids())
        kept = 300 << 10 if any("libasan" in read_text("/proc/%d/maps" % p) for p in self.pids) else 0
        ok(pss < self.pss + 3000 + kept,  # AddressSanitizer keeps freed memory for a while: its quarantine
           "worker Pss grew from %d to %d KiB" % (self.pss, pss))
        # connections to servers stay in pools; nothing else may
        most = sum(s["pool"]["workers"] for s in m.stat()["servers"])
        wait_for(lambda: sum(proc_fds(p) for p in m.worker_pids()) <= self.fds + most, 10, "sockets to be closed")
        m.wait_servers(30)
        eq(m.sql("SELECT COUNT(*) FROM t"), ((3,),))


def cases(**kw):
    bad, n = [], 0
    for r in peer.run_cases(target, seed=args.seed, **kw):
        n += 1
        if not r.right:
            bad.append(repr(r))
    ok(not bad, "%d of %d:\n    %s" % (len(bad), n, "\n    ".join(bad[:25])))
    return n


@limit(300)
def test_broken_clients():
    with Unharmed():
        n = cases(login_timeout=LOGIN_TIMEOUT)
    note("%d cases of broken clients" % n)
    ok(m.counter("bad_packets") > 10, "bad packets counted")


@limit(300)
def test_broken_clients_beside_load():
    load = Load(6, lambda i: m.conn(), lambda c, i: query(c, "SELECT * FROM t")).start()
    cases()
    load.progress()
    eq(load.stop(), [], "errors of other clients")


@limit(300)
def test_large_broken_packets():
    with Unharmed():
        note("%d heavy cases" % cases(heavy=True, only="long"))


def test_300_silent_connections():
    with Unharmed():
        crowd = peer.silent_crowd(target, 300)
        ok(target.alive(), "served beside 300 silent ones")
        eq(peer.wait_closed(crowd, LOGIN_TIMEOUT * SLOW + 15), 300, "closed by Margay")


def ask(name):
    """A read that the replica answers as the script says. Right: an error, a closed connection, or the answer
    from elsewhere, or the rows that the script made up; wrong: silence."""
    try:
        c = m.conn(read_timeout=SILENT * SLOW)
    except pymysql.err.MySQLError as e:
        return "silent" if "timed out" in str(e) else "error %s at login" % e.args[0]
    try:
        rows = query(c, "SELECT id FROM t WHERE id = 2 /*peer:%s*/" % name)
    except pymysql.err.MySQLError as e:
        return "silent" if "timed out" in str(e) else "error %s" % e.args[0]
    except Exception as e:  # the client library on bytes that were to be passed on
        return type(e).__name__
    finally:
        try:
            c._force_close()
        except Exception:
            pass
    return "%d rows" % len(rows)


@limit(400)
def test_broken_replies():
    """Each script of the fake server, as the reply to one client's read; others are served by the primary."""
    names = [n for n in peer.SCRIPTS if n.startswith("reply-") and "endless" not in n]
    with Unharmed():
        load = Load(3, lambda i: m.conn(), lambda c, i: query(c, "SELECT id FROM t WHERE id = 3 FOR UPDATE")).start()
        with concurrent.futures.ThreadPoolExecutor(25) as pool:
            got = dict(zip(names, pool.map(ask, names)))
        load.progress()
        errors = load.stop()
        fake.drop_all()  # connections that have gone deaf after a reply that looked well
    played = set(fake.played)
    ok(len(played & set(names)) > len(names) * 0.9, "scripts that were played: %d of %d" % (len(played), len(names)))
    eq(sorted(n for n, g in got.items() if g == "silent"), [], "scripts after which the client waits for ever")
    eq(errors, [], "errors of other clients")
    note("%d scripts of broken replies: %s" % (len(names), sorted(set(got.values()))))


def test_endless_replies():
    """Passed on while the client takes them, in bounded memory; over when the client goes away."""
    with Unharmed():
        for name in [n for n in peer.SCRIPTS if "endless" in n]:
            c, got = m.conn(), 0
            c._execute_command(3, "SELECT id FROM t WHERE id = 2 /*peer:%s*/" % name)
            c._sock.settimeout(SILENT * SLOW)
            while got < 30 << 20:
                data = c._sock.recv(1 << 20)
                if not data:
                    break  # ended by statement_timeout
                got += len(data)
            note("%s: %d MB taken" % (name, got >> 20))
            c._force_close()
            fake.drop_all()


@limit(400)
def test_broken_greetings_and_logins():
    names = [n for n in peer.SCRIPTS if n.startswith(("greet-", "login-"))]
    for name in names:
        fake.play(name)
        fake.drop_all()
        try:
            for _ in range(3):
                eq(m.sql("SELECT COUNT(*) FROM t"), ((3,),), "a read while the replica plays " + name)
        finally:
            fake.play(None)
            fake.drop_all()
    m.wait_servers(40)
    wait_for(lambda: m.sql("SELECT id FROM t WHERE id = 3") and b"WHERE id = 3" in fake.queries[-1], 20,
             "reads to go to the replica again")
    note("%d scripts of broken greetings and logins" % len(names))


if __name__ == '__main__':
    main()
