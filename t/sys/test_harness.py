"""The harness itself: servers start, replicate, are killed and restarted; what a broken expectation gives."""
from margaytest import *


def setup():
    global db
    db = replication_set(1)


def test_unprivileged():
    for s in db:
        with open("/proc/%d/status" % s.pid) as f:
            uid = int(re.search(r"^Uid:\s+(\d+)", f.read(), re.M).group(1))
        ok(uid != 0, "server runs as root")


def test_replication():
    db[0].sql("CREATE TABLE shop.h(a INT PRIMARY KEY)", "INSERT INTO shop.h VALUES (1),(2)")
    db[1].catch_up()
    eq(db[1].sql("SELECT a FROM shop.h ORDER BY a"), ((1,), (2,)))
    eq(db[1].one("SELECT @@read_only"), 1)
    c = db[1].conn(*APP)
    raises(1290, query, c, "INSERT INTO shop.h VALUES (3)")


def test_kill_and_restart():
    port = db[1].port
    db[1].kill()
    raises((2002, 2003, 2006, 2013), db[1].sql, "SELECT 1")
    db[1].start()
    eq(db[1].port, port)
    db[0].sql("INSERT INTO shop.h VALUES (9)")
    db[1].sql("START SLAVE")
    db[1].catch_up()
    eq(db[1].one("SELECT COUNT(*) FROM shop.h"), 3)


def test_freeze():
    db[1].freeze()
    try:
        raises((2013, 2003), lambda: db[1].conn(*APP, connect_timeout=1, read_timeout=1))
    finally:
        db[1].thaw()
    wait_for(lambda: db[1].one("SELECT 1") == 1, 10, "thawed server to answer")


def test_expectations_fail():
    for broken in (lambda: eq(1, 2), lambda: ok(False, "x"), lambda: raises(1, db[0].sql, "SELECT 1"),
                   lambda: raises(1064, db[0].sql, "SELECT * FROM shop.none"),
                   lambda: wait_for(lambda: False, 0.05)):
        try:
            broken()
        except Failed:
            continue
        fail("a broken expectation passed")


if __name__ == '__main__':
    main()
