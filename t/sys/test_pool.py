"""Many clients over few connections: budgets hold, nobody starves, and no client ever sees another's state."""
from margaytest import *

LIMIT = 8     # max_connections of a server; three of them are kept for control
USABLE = LIMIT - 3
ROW = ["--binlog-format=ROW"]  # of mixed replication a ROLLBACK behind a temporary table may drop that on the replica


def setup():
    global db
    db = replication_set(1, options=ROW)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
              "INSERT INTO shop.t (v) VALUES (1), (2), (3)")
    db[1].catch_up()


def margay(workers=1, margay=None, **server):
    return Margay(db, margay={"workers": workers, **(margay or {})}, server={"max_connections": LIMIT, **server})


class Watch(threading.Thread):
    """Samples how many connections of the application a server has, until stop()."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.most, self.samples, self.halt = server, 0, 0, threading.Event()
        self.start()

    def run(self):
        c = self.server.conn()
        while not self.halt.is_set():
            n = value(c, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app'")
            self.most, self.samples = max(self.most, n), self.samples + 1
            self.halt.wait(0.005)
        c.close()

    def stop(self):
        self.halt.set()
        self.join()
        return self.most


def mixed_step(c, i):
    n = rng.randrange(4)
    if n == 0:
        query(c, "UPDATE t SET v = v + 1 WHERE id = %d" % (1 + i % 3))
    elif n == 1:
        query(c, "BEGIN")
        query(c, "SELECT v FROM t WHERE id = %d FOR UPDATE" % (1 + i % 3))
        query(c, "COMMIT")
    else:
        ok(len(query(c, "SELECT * FROM t WHERE id <= 3")) == 3, "rows")


def many_over_few(workers):
    m = margay(workers)
    watch = [Watch(s) for s in db]
    load = Load(40, lambda i: m.conn(), mixed_step).start()
    load.progress()
    wait_for(lambda: min(w.samples for w in watch) > 10, 20, "the servers to be watched")
    load.progress()
    slots = {session_slot(c) for c in load.conns if c}
    eq(load.stop(), [], "errors")
    most = [w.stop() for w in watch]
    ok(max(most) <= USABLE, "connections at the servers: %s of %d" % (most, USABLE))
    note("%d workers: %d steps of 40 clients over at most %s connections" % (workers, load.total, most))
    eq(slots, set(range(workers)), "workers that served clients")
    m.stop()


def test_many_clients_few_connections():
    many_over_few(1)


def test_budget_across_two_workers():
    many_over_few(2)


def hold(m, n):
    """n sessions that keep a connection to the primary each."""
    out = []
    for _ in range(n):
        c = m.conn()
        query(c, "BEGIN")
        query(c, "INSERT INTO t (v) VALUES (0)")
        out.append(c)
    return out


def test_used_up_budget_names_the_limit():
    m = margay(margay={"queue_timeout": "300ms"})
    held = hold(m, USABLE)
    no, text = raises(1205, query, m.conn(), "INSERT INTO t (v) VALUES (1)")
    ok("max_connections" in text and "db1" in text, "the error names limit and server: " + text)
    eq(value(m.conn(), "SELECT 1"), 1, "reads go on")
    eq(m.counter("queue_timeouts"), 1)
    held.pop().close()
    c = m.conn()
    wait_for(lambda: query(c, "INSERT INTO t (v) VALUES (1)") == (), 5, "a statement after one was given back")
    eq(m.ctl("status").returncode, 0)
    m.stop()


def test_waiters_are_served_in_order():
    """Statements that wait get the connection one after another, oldest first."""
    m = margay(margay={"queue_timeout": "10s"})
    db[0].sql("CREATE OR REPLACE TABLE shop.served (n INT AUTO_INCREMENT PRIMARY KEY, i INT)")
    held, order, threads = hold(m, USABLE), [], []

    def waiter(i, c):
        try:
            query(c, "INSERT INTO served (i) VALUES (%d)" % i)
        except pymysql.err.MySQLError as e:
            order.append(str(e))
    for i in range(6):
        t = threading.Thread(target=waiter, args=(i, m.conn()), daemon=True)
        t.start()
        threads.append(t)
        wait_for(lambda: m.counter("clients_waiting") == i + 1, 10, "waiter %d to wait" % i)
    eq(order, [])
    query(held[0], "ROLLBACK")
    for t in threads:
        t.join(20)
    eq(order, [], "errors")
    # the server's order: the clients' threads are scheduled as they please
    query(held[1], "ROLLBACK")
    eq([r[0] for r in query(m.conn(), "SELECT i FROM served ORDER BY n FOR UPDATE")], [0, 1, 2, 3, 4, 5], "order of service")
    m.stop()


def test_waiters_of_another_worker():
    """One worker holds the whole budget; the other's waiter gets what the first gives back."""
    m = margay(2, margay={"queue_timeout": "30s", "handover": "no"})
    conns = [m.conn() for _ in range(24)]
    by_slot = {s: [c for c in conns if session_slot(c) == s] for s in (0, 1)}
    ok(len(by_slot[0]) >= USABLE and by_slot[1], "clients on both workers: %s" % {s: len(v) for s, v in by_slot.items()})
    for round_ in range(10):
        for c in by_slot[0][:USABLE]:
            query(c, "BEGIN")
            query(c, "INSERT INTO t (v) VALUES (0)")
        done = []
        t = threading.Thread(target=lambda: done.append(query(by_slot[1][0], "INSERT INTO t (v) VALUES (5)")),
                             daemon=True)
        t.start()
        wait_for(lambda: m.counter("clients_waiting") == 1, 10, "the other worker's statement to wait")
        eq(done, [])
        for c in by_slot[0][:USABLE]:
            query(c, "ROLLBACK")
        t.join(10)
        eq(len(done), 1, "round %d: served" % round_)
    # idle connections of one worker must not starve the other
    c = by_slot[1][0]
    for _ in range(20):
        query(c, "UPDATE t SET v = 1 WHERE id = 1")
    m.stop()


def test_idle_connections_are_given_back():
    m = margay(pool_idle_timeout="300ms")
    load = Load(20, lambda i: m.conn(), mixed_step).start()
    load.progress()
    eq(load.stop(), [])
    wait_for(lambda: not db[1].processlist("app") and not db[0].processlist("app"), 15,
             "idle connections to be closed")
    eq(value(m.conn(), "SELECT 1 FROM t LIMIT 1"), 1)
    m.stop()


def test_old_connections_are_replaced():
    m = margay(pool_max_age="1s")
    c = m.conn()
    first = {p["ID"] for p in db[1].processlist("app")} if query(c, "SELECT * FROM t") else set()
    ok(first, "a connection was made")

    def replaced():
        query(c, "SELECT * FROM t")
        return not first & {p["ID"] for p in db[1].processlist("app")}
    wait_for(replaced, 15, "the connection to be replaced")
    m.stop()


def test_budget_is_what_the_servers_see():
    m = margay()
    load = Load(12, lambda i: m.conn(), mixed_step).start()
    load.progress()
    load.stop()
    m.wait_budgets(10)
    m.stop()


# ---- the oracle of two clients ----

STATEMENTS = [
    "SET @x = {n}", "SELECT @x", "SELECT @x := COALESCE(@x, 0) + 1", "SELECT {n} INTO @y", "SELECT @x, @y",
    "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = DEFAULT", "SELECT @@sql_mode", "SET time_zone = '+0{d}:00'",
    "SELECT @@time_zone, @@sql_mode, @@autocommit", "SET NAMES latin1", "SET NAMES utf8mb4",
    "SELECT @@character_set_client, @@collation_connection", "SET SESSION group_concat_max_len = {n}",
    "SELECT @@group_concat_max_len", "SET SESSION group_concat_max_len = DEFAULT",
    "CREATE TEMPORARY TABLE tt (a INT)", "INSERT INTO tt VALUES ({n})", "SELECT * FROM tt ORDER BY a",
    "DROP TEMPORARY TABLE tt", "DROP TEMPORARY TABLE IF EXISTS tt", "SHOW WARNINGS",
    "BEGIN", "START TRANSACTION", "COMMIT", "ROLLBACK", "SELECT @@in_transaction", "SAVEPOINT a", "ROLLBACK TO a",
    "SET autocommit = 0", "SET autocommit = 1", "SET TRANSACTION READ ONLY",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SELECT @@tx_isolation, @@tx_read_only",
    "INSERT INTO p{c} (v) VALUES ({n})", "INSERT INTO p{c} (v) VALUES ({n}), ({d})", "SELECT LAST_INSERT_ID()",
    "UPDATE p{c} SET v = v + 1 WHERE v < {n}", "DELETE FROM p{c} WHERE v = {d}", "SELECT ROW_COUNT()",
    "SELECT * FROM p{c} ORDER BY id", "SELECT COUNT(*) FROM p{c}", "SELECT v FROM p{c} WHERE v = {d} FOR UPDATE",
    "INSERT INTO p{c} (id) VALUES (1)", "SHOW ERRORS", "SELECT @@error_count, @@warning_count",
    # after the bar: this client's next statement, whatever the other does between (on a fresh connection the
    # server's own FOUND_ROWS() is that of a thread's earlier user)
    "SELECT SQL_CALC_FOUND_ROWS id FROM p{c} LIMIT 1|SELECT FOUND_ROWS()", "SELECT 1/0|SHOW WARNINGS",
    "UPDATE p{c} SET v = v + 1|SELECT ROW_COUNT()", "SELECT * FROM p{c} LIMIT 2|SELECT FOUND_ROWS()", "SELEC",
    "USE other", "USE shop", "SELECT DATABASE()", "PREPARE s FROM 'SELECT {n} + ?'", "EXECUTE s USING @x",
    "DEALLOCATE PREPARE s", "SELECT GET_LOCK('l{c}', 0)", "SELECT RELEASE_LOCK('l{c}')",
    "SELECT IS_FREE_LOCK('l0'), IS_FREE_LOCK('l1')", "SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT 1",
    "HANDLER p{c} OPEN", "HANDLER p{c} READ FIRST", "HANDLER p{c} CLOSE", "CALL shop.setx({n})",
    "LOCK TABLES p{c} WRITE", "UNLOCK TABLES", "SELECT shop.fx({n})", "RECONNECT", "RECONNECT",
    "INSERT INTO trg{c} VALUES ({n})", "SET ROLE NONE", "SELECT CURRENT_ROLE()", "DO @x := {n}",
]


def oracle_world(server):
    """The same tables and routines in the real servers and the oracle."""
    st = ["CREATE OR REPLACE PROCEDURE shop.setx(n INT) SET @x = n",
          "CREATE OR REPLACE FUNCTION shop.fx(n INT) RETURNS INT NO SQL BEGIN SET @y = n; RETURN n; END"]
    for c in (0, 1):
        st += ["CREATE OR REPLACE TABLE shop.p%d (id INT AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 0)" % c,
               "CREATE OR REPLACE TABLE shop.trg%d (v INT)" % c,
               "CREATE OR REPLACE TABLE other.p%d (id INT AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 5)" % c,
               "CREATE OR REPLACE TRIGGER shop.tr%d BEFORE INSERT ON shop.trg%d FOR EACH ROW SET @x = NEW.v" % (c, c)]
    server.sql(*st)


@limit(600)
def test_two_client_oracle():
    """Two clients interleave random statements over one pooled connection (or few); each sees exactly what it
    would see alone on a connection of its own to one server."""
    oracle = MariaDB("oracle", ROW)
    accounts(oracle)
    steps, refused = 400 if args.quick else 2500, 0
    for pool_size in (1, 3):
        m = margay(pool_size=pool_size)
        oracle_world(oracle)
        oracle_world(db[0])
        db[1].catch_up()
        wait_for(lambda: m.server_states()["db2"]["state"] == "up", 10, "db2")
        real, proxied, history, nexts = [None, None], [None, None], [], ["", ""]

        def connect(c):
            for conns, make in ((real, lambda: oracle.conn(*APP, database="shop")), (proxied, m.conn)):
                if conns[c]:
                    conns[c].close()
                conns[c] = make()
            if history:  # locks and temporary tables of the closed connections go away in their own time
                name = "SELECT IS_FREE_LOCK('l%d')" % c
                wait_for(lambda: oracle.one(name) == db[0].one(name) == 1, 10, "locks to be free")
                db[1].catch_up(db[0])  # a new session is promised its own writes, not those of an earlier one
        connect(0)
        connect(1)
        for i in range(steps):
            c = rng.randrange(2)
            s = rng.choice(STATEMENTS).format(n=rng.randrange(1, 50), d=rng.randrange(1, 9), c=c)
            s, _, nexts[c] = (nexts[c] or s).partition("|")
            history.append("client %d: %s" % (c, s))
            if s == "RECONNECT":
                connect(c)
                continue
            want, got = outcome(real[c], s), outcome(proxied[c], s)
            if want != got and "were given up" in str(got):
                refused += 1  # never a wrong answer, or a refusal that says why
                connect(c)
                continue
            if want != got:
                fail("pool_size %d, step %d, seed %d: %s\n    alone:   %s\n    through: %s\n    before:\n      %s" % (
                    pool_size, i, args.seed, history[-1], str(want)[:800], str(got)[:800],
                    "\n      ".join(history[-40:-1])))
        for c in real + proxied:
            c.close()
        m.stop()
    note("2 x %d random steps of two clients equal to connections of their own, %d refused" % (steps, refused))
    ok(refused * 200 < steps, "refusals are rare")
    oracle.stop()


if __name__ == '__main__':
    main()
