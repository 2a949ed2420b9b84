"""kill -9 at random under load: a worker, health, a replica, the primary, the master. Counts the errors of
clients that did not hang on the killed piece (must be none), compares the connection budgets with the servers'
process lists afterwards, and prints how long it took to serve again."""
from margaytest import *

KINDS = ("worker", "health", "replica", "primary", "master")
CLIENTS = 12


def setup():
    global db, m
    db = replication_set(2, durable=True)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
              "INSERT INTO shop.t (v) VALUES (1), (2), (3)", "CREATE TABLE shop.w (client INT, n INT)")
    for r in db[1:]:
        r.catch_up()
    # max_lag: on a slow disk the writers outrun the replicas, and the tests wait for servers that are up, not for that
    m = Margay(db, margay={"workers": 2, "drain_timeout": "20s"}, cluster={"probe_interval": "100ms", "fall": 2, "rise": 1, "max_lag": "0"},
               server={"max_connections": 40})


def is_writer(i):
    return i % 3 == 0


def step(c, i):
    """Two in three clients only read; the others write, one statement each, so that an error says nothing else."""
    if is_writer(i):
        query(c, "INSERT INTO w VALUES (%d, 1)" % i)
    else:
        ok(len(query(c, "SELECT * FROM t WHERE id <= 3")) == 3, "rows")


def budgets_right():
    """Connections that Margay counts are those that the servers have, and no cell is left over."""
    m.wait_budgets(30)


def all_up():
    m.wait_servers(40)


def kill_worker(load):
    w = rng.choice(wait_for(lambda: [w for w in m.stat()["workers"] if w["alive"]], 20, "a worker"))
    pid, slot = w["pid"], w["slot"]
    os.kill(pid, signal.SIGKILL)
    return "worker %d" % slot, lambda i, s, text: s == slot


def kill_health(load):
    os.kill(wait_for(m.health_pid, 20, "health to have been started again"), signal.SIGKILL)
    return "health", lambda i, s, text: False


def kill_replica(load):
    r = rng.choice(db[1:])
    r.kill()
    return r.name, lambda i, s, text: False


def kill_primary(load):
    db[0].kill()
    return "primary", lambda i, s, text: is_writer(i)


def recover(what):
    for s in db:
        if not s.proc.alive():
            s.start()
    all_up()


def one_round(load, kind):
    all_up()
    load.progress()
    first = len(load.errors)
    end = time.monotonic() + rng.random() * 0.3
    wait_for(lambda: time.monotonic() > end, 5, "a random moment")
    load.mark()
    what, excused = globals()["kill_" + kind](load)
    if kind == "primary":
        readers = [i for i in range(CLIENTS) if not is_writer(i)]
        before = list(load.done)
        wait_for(lambda: all(load.done[i] > before[i] + 20 for i in readers), 20, "readers to go on")
        db[0].start()
    load.progress(40)
    gap = max(load.gap)
    if kind == "replica":
        recover(what)
    all_up()
    load.progress()
    new = load.errors[first:]
    bad = [e for e in new if not excused(*e[1:])]
    note("%-9s %-9s longest time that a client was not served: %5.2f s; errors: %d of clients on it, %d of others" % (
        kind, what, gap, len(new) - len(bad), len(bad)))
    eq(bad[:5], [], "errors of clients not on the killed %s" % kind)
    budgets_right()


@limit(900)
def test_kill_at_random():
    order = [k for k in KINDS if k != "master"] * (1 if args.quick else 3)
    rng.shuffle(order)
    load = Load(CLIENTS, lambda i: m.conn(), step).start()
    try:
        for kind in order:
            one_round(load, kind)
    finally:
        load.stop()
    check_writes(load)


def check_writes(load):
    """Each write that was acknowledged is there."""
    got = dict(db[0].sql("SELECT client, COUNT(*) FROM shop.w GROUP BY client"))
    for i in range(CLIENTS):
        if is_writer(i):
            ok(got.get(i, 0) >= load.done[i], "client %d: %d writes acknowledged, %d found" % (
                i, load.done[i], got.get(i, 0)))
    db[0].sql("DELETE FROM shop.w")


@limit(300)
def test_master_killed():
    """Sessions and new clients go on without a master; a new one takes over; then the orphans end."""
    for _ in range(1 if args.quick else 3):
        all_up()
        load = Load(CLIENTS, lambda i: m.conn(), step).start()
        load.progress()
        t0 = time.monotonic()
        m.kill_master()
        orphans = list(m.old_pids)
        load.progress()
        eq(value(m.conn(), "SELECT 1"), 1, "a new client without a master")
        eq(load.errors, [], "errors while there is no master")
        t1 = time.monotonic()
        m.start(write=False)
        t2 = time.monotonic()
        m.wait_servers()
        new = m.conn()
        eq(value(new, "SELECT COUNT(*) FROM t WHERE id <= 3"), 3)
        load.progress()
        eq(load.errors, [], "errors during the take-over")
        writes = load.total
        load.stop()
        check_writes(load)
        wait_for(lambda: (reap() or True) and all(proc_state(p) in (None, "Z") for p in orphans), 40,
                 "workers of the dead master to end")
        m.old_pids = []
        budgets_right()
        note("master: orphans served %d steps, new clients too; successor serving %.2f s after its start; 0 errors" % (
            writes, t2 - t1))


@limit(300)
def test_no_client_before_the_first_verdict():
    """A worker is ready before health has looked at the servers: who connects as early as that waits, and is served."""
    for _ in range(2 if args.quick else 5):
        m.stop()
        m.start(wait=False, write=False)

        def first():
            try:
                return m.conn()
            except pymysql.err.OperationalError as e:
                if e.args[0] in (2003, 2013):  # nothing listens yet
                    return None
                raise Failed("the first client: %s" % e)
        c = wait_for(first, 20, "the first client")
        eq(value(c, "SELECT COUNT(*) FROM t WHERE id <= 3"), 3)
        c.close()
        m.wait_serving()
        all_up()


@limit(300)
def test_everything_killed():
    """The whole Margay at once: it starts again on the same directories, the budgets are right."""
    load = Load(CLIENTS, lambda i: m.conn(), step).start()
    load.progress()
    m.kill_all()
    m.start(write=False)
    m.wait_servers()
    load.progress()
    load.stop()
    check_writes(load)
    budgets_right()


@limit(300)
def test_worker_that_crashes_again_and_again():
    """Its starts are throttled; the other worker serves all who come; its queue is not a trap."""
    load = Load(6, lambda i: m.conn(connect_timeout=5), step).start()
    for _ in range(5):
        slot0 = [w["pid"] for w in m.stat()["workers"] if w["slot"] == 0]
        if slot0 and slot0[0] and proc_state(slot0[0]) not in (None, "Z"):
            os.kill(slot0[0], signal.SIGKILL)
        for _ in range(20):
            eq(value(m.conn(connect_timeout=5), "SELECT 1"), 1, "a new client meanwhile")
    load.progress()
    load.stop()
    ok(m.ctl("status").returncode == 0, "status")
    eq(len(wait_for(lambda: len(m.worker_pids()) == 2 and m.worker_pids(), 60, "both workers")), 2)
    budgets_right()


def test_panic_is_reported():
    """A child that aborts is named in the log, with its signal."""
    start = len(m.log_text())
    os.kill(m.worker_pids()[0], signal.SIGABRT)
    m.wait_log(r"worker.*(signal 6|SIGABRT|Aborted)", 10, start)
    wait_for(lambda: len(m.worker_pids()) == 2, 40, "the worker to be started again")


@limit(200)
def test_hanging_worker_is_aborted():
    m.margay["hang_timeout"] = "1s"
    m.reload()
    pid = m.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: proc_state(pid) in (None, "Z"), 30, "the hanging worker to be aborted")
    wait_for(lambda: len(m.worker_pids()) == 2 and m.ctl("status").returncode == 0, 40, "a new worker")
    eq(value(m.conn(), "SELECT 1"), 1)
    del m.margay["hang_timeout"]
    m.reload()


if __name__ == '__main__':
    main()
