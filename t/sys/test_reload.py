"""Reloads under load, good and broken files in turn: no client sees an error, no memory grows, a broken file
changes nothing and each of its errors is named with file and line."""
from margaytest import *

BROKEN = [
    ("%(good)s\n[user y]\npassword = x\ncluster = main\nallow_form = any\n", "allow_from"),
    ("%(good)s\n[user zed]\npassword = x\ncluster = nowhere\n", "nowhere"),
    ("%(good)s\nthis is no option\n", "line|:[0-9]+"),
    ("%(good)s\n[server db9]\naddress = 127.0.0.1:1\nweight = many\n", "weight"),
    ("", "cluster|server|empty"),
    ("%(good)s\n[user app]\npassword = twice\ncluster = main\n", "app"),
]


def setup():
    global db, m
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
              "INSERT INTO shop.t (v) VALUES (1), (2), (3)")
    db[1].catch_up()
    m = Margay(db, margay={"workers": 2})


def step(c, i):
    if i % 4 == 0:
        query(c, "BEGIN")
        query(c, "UPDATE t SET v = v + 1 WHERE id = 1")
        query(c, "COMMIT")
    else:
        ok(len(query(c, "SELECT * FROM t WHERE id <= 3")) == 3, "rows")


def broken_file(n):
    text, named = BROKEN[n % len(BROKEN)]
    return text % {"port": m.port, "good": m.conf_text()}, named


def margay_now():
    """Figures of the instance; the tools find it by a file, and the one under test may be empty."""
    good = m.dir + "/good.conf"
    with open(good, "w") as f:
        f.write(m.conf_text())
    os.chmod(good, 0o644)
    return m.stat_of(good)["margay"]


def hup_refused():
    """margayctl finds the instance by the file: where that is empty, a signal asks for the reload."""
    def failed():
        return margay_now()["counters"]["reloads_failed"]
    before = failed()
    m.proc.send(signal.SIGHUP)
    wait_for(lambda: failed() > before, 10, "the empty file to be refused")
    return subprocess.CompletedProcess([], 1, "", "")


@limit(900)
def test_200_reloads_under_load():
    count = 40 if args.quick else 200
    load = Load(10, lambda i: m.conn(), step).start()
    sizes = []
    for n in range(count):
        before = margay_now()["generation"] if n % 20 in (0, 1) else None
        if n % 2:
            text, named = broken_file(n // 2)
            m.write_conf(text)
            r = m.ctl("reload") if "runtime_dir" in text else hup_refused()
            ok(r.returncode != 0, "a broken file was accepted")
            ok(re.search(named, r.stdout + r.stderr + m.log_text()[-4000:]), "the error does not name %s: %s%s" % (
                named, r.stdout, r.stderr))
        else:
            m.cluster["max_lag"] = "%ds" % (5 + n)
            m.users["u%d" % (n % 6)] = {"password": "p%d" % n, "backend_user": APP[0], "backend_password": APP[1]}
            m.users.pop("u%d" % ((n + 2) % 6), None)
            m.reload()
        if before is not None:
            after = margay_now()["generation"]
            ok(after == before if n % 2 else after > before, "generation %d after %d" % (after, before))
        if n in (count // 4, count - 1):
            load.progress()
            sizes.append({p: proc_pss(p) for p in m.all_pids()})
    m.write_conf()
    load.progress()
    eq(load.stop(), [], "errors of clients")
    note("%d reloads, %d steps of clients, 0 errors; Pss KiB of master, workers, health after a quarter: %s, at the "
         "end: %s" % (count, load.total, list(sizes[0].values()), list(sizes[1].values())))
    for p in sizes[0]:
        grown = sizes[1][p] - sizes[0][p]
        ok(grown < 600, "%s grew by %d KiB over %d reloads" % (proc_name(p), grown, count * 3 // 4))
    eq(set(sizes[0]), set(sizes[1]), "processes")
    fds = {p: proc_fds(p) for p in m.all_pids()}
    for _ in range(6):
        m.reload()
    wait_for(lambda: {p: proc_fds(p) for p in m.all_pids()} == fds or all(
        proc_fds(p) <= fds[p] + 1 for p in m.all_pids()), 10, "descriptors not to grow")


def test_what_a_reload_changes():
    m.reload()
    raises(1045, m.conn, "newcomer", "n1")
    m.users["newcomer"] = {"password": "n1", "backend_user": APP[0], "backend_password": APP[1]}
    m.reload()
    old = m.conn("newcomer", "n1")
    eq(value(old, "SELECT 1"), 1)
    m.users["newcomer"]["password"] = "n2"
    m.reload()
    raises(1045, m.conn, "newcomer", "n1")
    eq(value(m.conn("newcomer", "n2"), "SELECT 1"), 1)
    eq(value(old, "SELECT 2"), 2, "a session that logged in before")
    del m.users["newcomer"]
    m.reload()
    raises(1045, m.conn, "newcomer", "n2")


def test_listeners_come_and_go():
    more, listen = free_port(), m.margay["listen"]
    m.margay["listen"] = "%s, 127.0.0.1:%d" % (listen, more)
    m.reload()
    old = m.conn()
    c = pymysql.connect(host="127.0.0.1", port=more, user=APP[0], password=APP[1])
    m.margay["listen"] = listen
    m.reload()
    raises(2003, pymysql.connect, host="127.0.0.1", port=more, user=APP[0], password=APP[1])
    eq((value(c, "SELECT 1"), value(old, "SELECT 2")), (1, 2), "sessions of both")
    eq(value(m.conn(), "SELECT 3"), 3)


def test_server_added_and_removed():
    third = MariaDB("db3")
    accounts(third)
    third.sql("SET GLOBAL gtid_slave_pos = ''", "RESET MASTER")
    third.replicate_from(db[0])
    third.catch_up()
    m.servers.append(third)
    m.cluster["servers"] = "db1, db2, db3"
    load = Load(6, lambda i: m.conn(), step).start()
    m.reload()
    m.wait_servers()
    wait_for(lambda: third.processlist("app"), 10, "the new server to get statements")
    m.servers.remove(third)
    m.cluster["servers"] = "db1, db2"
    m.reload()
    wait_for(lambda: not third.processlist("app"), 20, "its connections to be closed")
    load.progress()
    eq(load.stop(), [], "errors of clients")
    ok("db3" not in m.server_states(), "the server is still shown")
    third.stop()


def test_broken_file_at_start():
    """Refused with every error; --last-good starts from the record."""
    n = Margay(db, name="second")
    n.stop()
    n.write_conf(n.conf_text() + "\n[user z]\npasword = 1\n[server q]\nweight = x\n")
    r = run([n.prog("margayd"), "-t", "-c", n.conf])
    text = r.stdout + r.stderr
    ok(r.returncode != 0 and all(w in text for w in ("pasword", "password", "weight", "margay.conf:")),
       "margayd -t: %d %s" % (r.returncode, text))
    n.start(wait=False, write=False)
    eq(n.proc.p.wait(20 * SLOW), 78, "exit code of a start with a broken file")
    n.start(write=False, extra=["--last-good"])
    n.wait_servers()
    eq(value(n.conn(), "SELECT 1"), 1, "from the last good configuration")
    n.stop()


def test_sighup():
    g = m.generation()
    m.proc.send(signal.SIGHUP)
    wait_for(lambda: m.generation() > g, 10, "a new generation by SIGHUP")


if __name__ == '__main__':
    main()
