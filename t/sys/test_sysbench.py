"""sysbench while the primary is killed with -9 and a replica is promoted by the test, replay_transactions on: what it sees of
that. The only error that cannot be kept from it is that of a COMMIT, or of a write in autocommit mode, whose reply was lost."""
from margaytest import *

THREADS = 8
TABLES, ROWS = 4, 5000
SYSBENCH = "/usr/bin/sysbench"
UNKNOWN = 1158  # a COMMIT, or a statement in autocommit mode, was under way: its outcome is not known
COUNTERS = ["replays"] + ["replays_" + x for x in ("unfit", "budget", "nontrx", "error", "commit", "differ", "attempts")]


def setup():
    global db, m
    if not os.path.exists(SYSBENCH):
        skip("sysbench is not installed")
    db = replication_set(2, durable=True)
    m = Margay(db, cluster={"failover_timeout": "30s", "replay_transactions": "yes"}, server={"connect_timeout": "1s"})


def sysbench(load, command, *options):
    # uniform: transactions that meet are lost by right (1213), and here most should not
    return [SYSBENCH, load, "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=%d" % m.port,
            "--mysql-user=" + APP[0], "--mysql-password=" + APP[1], "--mysql-db=shop", "--tables=%d" % TABLES,
            "--table-size=%d" % ROWS, "--rand-type=uniform", *options, command]


def fresh():
    """New tables on all servers: one that was killed, and is back, has not what was written meanwhile (come_back)."""
    db[0].sql("DROP TABLE IF EXISTS shop.seen, shop.probe", *["DROP TABLE IF EXISTS shop.sbtest%d" % (i + 1) for i in range(TABLES)])
    run(sysbench("oltp_read_write", "prepare"), check=True)
    # seen: a row for each transaction of oltp_read_write that is committed, since each has one INSERT
    db[0].sql("CREATE TABLE shop.seen (id INT)", "CREATE TABLE shop.probe (id INT PRIMARY KEY, v INT)",
              "INSERT INTO shop.probe VALUES (1, 0)",
              *["CREATE TRIGGER shop.seen%d AFTER INSERT ON shop.sbtest%d FOR EACH ROW INSERT INTO seen VALUES (NEW.id)" %
                (i + 1, i + 1) for i in range(TABLES)])
    for s in db[1:]:
        s.catch_up(db[0])


class Probe:
    """A client in autocommit mode beside sysbench that reads with a lock, which only a primary does: how long it stands still."""

    def __init__(self):
        self.load = Load(1, lambda i: m.conn(autocommit=True),
                         lambda c, i: (query(c, "SELECT v FROM probe WHERE id = 1 FOR UPDATE"), time.sleep(0.005)))

    def __enter__(self):
        self.load.start()
        self.load.mark()
        return self

    def __exit__(self, *_):
        self.errors = self.load.stop()
        self.gap = max(self.load.gap)


def number(text, what):
    return float(re.search(r"^ *%s: +([0-9.]+)" % re.escape(what), text, re.M).group(1))


def killed(load, counter, events, *options, ignore=()):
    """`events` of sysbench; in their middle the primary is killed. Returns the new primary, and the errors that sysbench's
    sessions were sent, as Margay's log has them."""
    fresh()
    old, new, other = db
    semi_sync(old, (new, other))
    log, counts = len(m.log_text()), {k: m.counter(k) for k in COUNTERS}
    done = lambda: sum(s.status(counter) for s in db)  # noqa: E731; reads may all be on replicas
    at = done()
    p = Proc(sysbench(load, "run", "--threads=%d" % THREADS, "--time=0", "--events=%d" % events,
                      *(["--mysql-ignore-errors=" + ",".join(map(str, ignore))] if ignore else []), *options),
             "%s/%s.%d.log" % (tmp(), load, log))
    try:
        with Probe() as probe:
            wait_for(lambda: done() > at + events // 8, 60, "sysbench at work")
            t0 = time.monotonic()
            old.kill()
            ok(p.alive(), "sysbench was through before")
            best, rest = promote_best((new, other))
            t1 = time.monotonic()
            wait_for(lambda: not p.alive(), 120, lambda: "sysbench to come to its end:\n" + read_text(p.log))
            probe.load.progress(30)
    finally:
        p.end(signal.SIGKILL)
    text = read_text(p.log)
    errors = [x for x in m.log_text()[log:].splitlines() if re.search(r"session .* error \d", x)]
    got = {k[8:]: m.counter(k) - n for k, n in counts.items() if m.counter(k) > n}
    ok(p.p.returncode == 0 and "FATAL" not in text, "sysbench ended with %d:\n%s" % (p.p.returncode, text[-1500:]))
    eq(probe.errors, [], "of a client in autocommit mode beside it")
    eq(number(text, "total number of events"), events)
    eq(number(text, "reconnects"), 0)
    deadlocks = number(text, "ignored errors") - len(errors)
    ok(deadlocks == 0 or 1213 in ignore and deadlocks > 0, "errors seen, more than sent: %d; sent: %s" % (deadlocks, errors))
    unknown = [e for e in errors if re.search(r"error %d .* is not known" % UNKNOWN, e)]
    note("%s: killed at 0, promoted at %.2f s; %d events, the longest %.2f s; a client beside it stood still for %.2f s; replayed: "
         "%s; errors: %d of unknown outcome, %d others" % (" ".join((load, *options)), t1 - t0, events, number(text, "max") / 1000, probe.gap,
                                                         got, len(unknown), len(errors) - len(unknown)))
    old.come_back(best)
    db[:] = [best, old, rest]
    for s in db[1:]:
        s.catch_up(best)
    wait_for(lambda: all(v["state"] == "up" for v in m.server_states().values()), 30, "all up")
    ok(len(unknown) <= THREADS, errors)
    return best, unknown, [e for e in errors if e not in unknown], got


def transactions(*options):
    """All that sysbench was told to be committed is there, in whole and once."""
    n = 1600
    # 1213: its rows are others on the new server, or the two met there; 1205, 1020: as with any server
    best, unknown, others, got = killed("oltp_read_write", "Com_update", n, *options, ignore=(1213, 1205, 1020, UNKNOWN))
    for e in others:
        ok("error 1213 " in e, e)
    ok(got.get("", 0) > 0, "nothing was run again")
    eq(got.get("commit", 0), len(unknown), "COMMITs under way")
    eq(set(got) - {"", "commit", "differ"}, set(), "transactions lost for other reasons")
    rows = best.one("SELECT COUNT(*) FROM shop.seen")
    ok(n <= rows <= n + len(unknown), "%d transactions, of which %d committed, and %d of unknown outcome" % (n, rows, len(unknown)))
    for i in range(TABLES):
        eq(best.one("SELECT COUNT(*) FROM shop.sbtest%d" % (i + 1)), ROWS, "each deletes and inserts a row")


def test_transactions():
    transactions()


def test_transactions_text():
    transactions("--db-ps-mode=disable")


def test_autocommit_reads():
    """Not an error."""
    _, unknown, others, _ = killed("oltp_read_only", "Com_select", 4000, "--skip-trx=on")
    eq(unknown + others, [])


def test_autocommit_reads_of_the_primary():
    m.users[APP[0]]["read_split"] = "no"
    m.reload()
    try:
        _, unknown, others, _ = killed("oltp_point_select", "Com_select", 20000)
        eq(unknown + others, [])
    finally:
        del m.users[APP[0]]["read_split"]
        m.reload()


def test_autocommit_writes():
    """Those see an error whose statement was under way, and no others."""
    n = 3000
    best, unknown, others, _ = killed("oltp_insert", "Com_insert", n, ignore=(UNKNOWN,))
    eq(others, [])
    rows = best.one("SELECT COUNT(*) FROM shop.seen")
    ok(n <= rows <= n + len(unknown), "%d rows were told to be written, %d are there, %d of unknown outcome" % (n, rows, len(unknown)))


if __name__ == '__main__':
    main()
