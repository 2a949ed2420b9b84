"""margay-stat and margayctl beside a live system, wedged workers, and nothing at all."""
from margaytest import *


def setup():
    global db, m
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1)")
    db[1].catch_up()
    m = Margay(db, margay={"workers": 2})


def test_table():
    c = m.conn()
    query(c, "SELECT * FROM t")
    for words in ([], ["-1"]):
        r = m.stat_text(*words)
        eq(r.returncode, 0, "margay-stat %s: %s" % (words, r.stderr))
        for w in ("db1", "db2", "primary", "replica", "up"):
            ok(w in r.stdout, "no %s in\n%s" % (w, r.stdout))
        ok("\x1b[" not in r.stdout, "escape sequences on a pipe")


def test_json():
    c = m.conn()
    before = m.counter("statements")
    for _ in range(10):
        query(c, "SELECT * FROM t")
    wait_for(lambda: m.counter("statements") >= before + 10, 5, "10 statements to be counted")
    s = m.stat()
    eq({x["name"]: (x["state"], x["role"]) for x in s["servers"]}, {"db1": ("up", "primary"), "db2": ("up", "replica")})
    eq(sorted(w["pid"] for w in s["workers"]), sorted(m.worker_pids()))
    eq(sum(w["counters"]["clients"] for w in s["workers"]), 1)


def test_prometheus():
    r = m.stat_text("--prometheus")
    eq(r.returncode, 0, r.stderr)
    types, names = {}, set()
    for line in r.stdout.splitlines():
        if line.startswith("# TYPE"):
            _, _, name, kind = line.split()
            ok(name not in types, "%s declared twice" % name)
            types[name] = kind
        elif line and not line.startswith("#"):
            got = re.fullmatch(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-z_]+="([^"\\]|\\.)*",?)*\})? '
                               r'([-+0-9.e]+|NaN|[+-]Inf)', line)
            ok(got, "not in the exposition format: " + line)
            names.add(re.sub(r"_(bucket|sum|count)$", "", got.group(1)) if got.group(1) not in types else got.group(1))
    ok(len(names) > 30, "%d metrics" % len(names))
    eq(names - set(types), set(), "metrics without a type")
    ok(all(n.startswith("margay_") for n in names), "names")
    if shutil.which("promtool"):
        r2 = subprocess.run(["promtool", "check", "metrics"], input=r.stdout, capture_output=True, text=True)
        eq(r2.returncode, 0, r2.stderr)


def test_sessions():
    c = m.conn()
    query(c, "BEGIN")
    query(c, "SELECT * FROM t FOR UPDATE")
    r = m.stat_text("-s")
    eq(r.returncode, 0, r.stderr)
    line = [x for x in r.stdout.splitlines() if str(c.thread_id()) in x]
    ok(line and "transaction" in line[0] and APP[0] in line[0], "no line for the session:\n" + r.stdout)
    ok(APP[1] not in r.stdout, "a password is shown")
    query(c, "ROLLBACK")


def test_wedged_workers():
    """SIGSTOP: the figures are still there, and it is said that the workers do not move."""
    pids = m.worker_pids()
    for p in pids:
        os.kill(p, signal.SIGSTOP)
    try:
        r = m.stat_text()
        eq(r.returncode, 0, r.stderr)
        ok("db1" in r.stdout, r.stdout)
        eq(len(m.stat()["workers"]), 2)
    finally:
        for p in pids:
            os.kill(p, signal.SIGCONT)
    eq(value(m.conn(), "SELECT 1"), 1)


def test_status():
    r = m.ctl("status")
    eq(r.returncode, 0, r.stdout + r.stderr)
    r = m.ctl("frobnicate")
    ok(r.returncode not in (0, 127) and r.stderr, "an unknown command: %d" % r.returncode)
    r = m.ctl("drain", "no-such-server")
    ok(r.returncode != 0 and "no-such-server" in r.stdout + r.stderr, "drain of an unknown server")


def test_rotate():
    n = Margay(db, name="logged", start=False)
    n.margay["log"] = n.dir + "/margay.log"
    n.start()
    n.wait_servers()
    wait_for(lambda: read_text(n.dir + "/margay.log"), 5, "the log file")
    os.rename(n.dir + "/margay.log", n.dir + "/margay.log.1")
    eq(n.ctl("rotate").returncode, 0)
    wait_for(lambda: os.path.exists(n.dir + "/margay.log"), 5, "a new log file")
    n.stop()


def test_encrypt():
    """A secret written encrypted works; the file does not contain it."""
    n = Margay(db, name="crypt", start=False)
    n.write_conf()
    key = n.dir + "/key"
    n.margay["key_file"] = key
    n.write_conf()
    r = n.ctl("encrypt", "--new-key", key)
    eq(r.returncode, 0, r.stdout + r.stderr)
    r = run([n.prog("margayctl"), "-c", n.conf, "encrypt"], stdin=None, input=APP[1] + "\n")
    eq(r.returncode, 0, r.stdout + r.stderr)
    n.users[APP[0]] = {"password": r.stdout.strip().splitlines()[-1]}
    n.write_conf()
    ok(APP[1] not in read_text(n.conf), "the secret stands in the file")
    n.start()
    n.wait_servers()
    c = pymysql.connect(host="127.0.0.1", port=n.port, user=APP[0], password=APP[1], database="shop")
    eq(value(c, "SELECT COUNT(*) FROM t"), 1)
    n.stop()


def test_nothing_runs():
    n = Margay(db, name="dead", start=False)
    n.write_conf()
    for r in (n.stat_text(), n.stat_text("-j"), n.ctl("status"), n.ctl("reload")):
        ok(r.returncode not in (0, -11), "exit 0 while nothing runs")
        ok(len((r.stdout + r.stderr).strip()) > 5 and "Traceback" not in r.stderr, "no clear word: %r" % (r,))
    r = run([n.prog("margay-stat"), "-c", n.dir + "/nofile"])
    ok(r.returncode != 0 and "nofile" in r.stderr, "a missing file: %r" % r.stderr)


def test_after_kill():
    """The master killed: margay-stat says so, and shows what the orphans do."""
    n = Margay(db, name="orphan")
    c = n.conn()
    n.kill_master()
    eq(value(c, "SELECT 1"), 1)
    r = n.stat_text()
    ok("db1" in r.stdout and "master" in r.stdout + r.stderr, r.stdout + r.stderr)
    n.kill_all()


if __name__ == '__main__':
    main()
