"""KILL and KILL QUERY of a client of Margay, within and across workers, and SHOW PROCESSLIST."""
from margaytest import *

USERS = {APP[0]: {"password": APP[1]},
         "other": {"password": "other", "backend_user": APP[0], "backend_password": APP[1]},
         "boss": {"password": "boss", "backend_user": APP[0], "backend_password": APP[1], "process_admin": "yes"}}


def setup():
    global db, m
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t VALUES (1, 0), (2, 0)",
              "CREATE TABLE shop.n (id INT PRIMARY KEY)", "INSERT INTO shop.n SELECT seq FROM shop.seq_1_to_1000")
    db[1].catch_up()
    m = Margay(db, margay={"workers": 2, "handover": "no"}, users=USERS)


def pair(across, user=APP[0]):
    """Two clients on the same worker, or on different ones."""
    a, spare = m.conn(user), []
    for _ in range(200):
        b = m.conn(user)
        if (session_slot(a) != session_slot(b)) == across:
            for c in spare:
                c.close()
            return a, b
        spare.append(b)
    fail("no two clients on %s workers" % ("different" if across else "one"))


class Running(threading.Thread):
    """A statement that runs in the background; outcome() waits for its end."""

    def __init__(self, c, sql):
        super().__init__(daemon=True)
        self.c, self.sql, self.result = c, sql, None
        self.start()
        wait_for(lambda: self.result or any(sql in (p["INFO"] or "") for s in db for p in s.processlist()), 10,
                 "%s to run" % sql)

    def run(self):
        try:
            self.result = ("rows", query(self.c, self.sql))
        except Exception as e:
            self.result = ("error", e.args[0] if e.args else 0, str(e))

    def outcome(self):
        self.join(15 * SLOW)
        ok(not self.is_alive(), self.sql + " still runs")
        return self.result


def test_connection_id():
    """The id of the greeting is the one of the process list, until CONNECTION_ID() is asked for: from then on it is
    the server's, everywhere and for good, and KILL takes both."""
    c, k = m.conn(), m.conn()
    ids = [r[0] for r in query(c, "SHOW PROCESSLIST")]
    ok(c.thread_id() in ids, "SHOW PROCESSLIST shows %s, we are %d" % (ids, c.thread_id()))
    own = value(c, "SELECT CONNECTION_ID()")
    for other in [m.conn() for _ in range(5)]:
        query(other, "SELECT COUNT(*) FROM t")
        query(c, "UPDATE t SET v = v + 1")
    eq(value(c, "SELECT CONNECTION_ID() * 2"), 2 * own)
    eq(value(c, "SELECT @@pseudo_thread_id"), own)
    eq(value(c, "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()"), 1)
    ids = [r[0] for r in query(k, "SHOW PROCESSLIST")]
    ok(own in ids and c.thread_id() not in ids, "SHOW PROCESSLIST shows %s, we are %d" % (ids, own))
    eq(query(c, "SHOW WARNINGS"), ())
    query(c, "SET @x = 5")
    for victim in (own, c.thread_id()):
        r = Running(c, "SELECT COUNT(*) FROM seq_1_to_100000000 x%d, seq_1_to_1000 y" % victim)
        query(k, "KILL QUERY %d" % victim)
        eq(r.outcome()[:2], ("error", 1317))
    eq(value(c, "SELECT @x"), 5, "the session lives on")
    query(k, "KILL %d" % own)
    wait_for(lambda: raises((), query, c, "SELECT 1"), 5, "the client to be closed")


def test_kill_query():
    for across in (False, True):
        a, b = pair(across)
        r = Running(a, "SELECT SLEEP(97.%d)" % across)
        query(b, "KILL QUERY %d" % a.thread_id())
        got = r.outcome()
        # SLEEP() returns 1 when it is killed, or the statement fails with 1317: as the server has it
        ok(got == ("rows", ((1,),)) or got[1] == 1317, "killed statement gave %r" % (got,))
        eq(value(a, "SELECT 5"), 5, "the session lives on")
        r = Running(a, "SELECT COUNT(*) FROM seq_1_to_100000000 x%d, seq_1_to_1000 y" % across)
        query(b, "KILL QUERY %d" % a.thread_id())
        eq(r.outcome()[:2], ("error", 1317))
        eq(value(a, "SELECT 6"), 6)


def test_kill_query_of_an_idle_client():
    a, b = pair(True)
    query(b, "KILL QUERY %d" % a.thread_id())
    eq(value(a, "SELECT 1"), 1)


def test_kill():
    for across in (False, True):
        a, b = pair(across)
        query(a, "BEGIN")
        query(a, "UPDATE t SET v = 1 WHERE id = 1")
        r = Running(a, "SELECT SLEEP(98.%d)" % across)
        query(b, "KILL %d" % a.thread_id())
        got = r.outcome()
        ok(got[0] == "error" and got[1] in (1927, 2013, 2006, 1317), "killed client saw %r" % (got,))
        raises((), query, a, "SELECT 1")
        # its transaction is rolled back, its locks are free
        query(b, "SET SESSION innodb_lock_wait_timeout = 10")
        query(b, "UPDATE t SET v = 2 WHERE id = 1")
        wait_for(lambda: not any("SLEEP(98" in (p["INFO"] or "") for s in db for p in s.processlist()), 10,
                 "the killed statement to end at the server")
        c = m.conn()
        query(b, "KILL CONNECTION %d" % c.thread_id())
        wait_for(lambda: raises((), query, c, "SELECT 1"), 5, "the idle client to be closed")


def test_kill_oneself():
    a = m.conn()
    raises((), query, a, "KILL %d" % a.thread_id())
    raises((), query, a, "SELECT 1")
    a = m.conn()
    raises(1317, query, a, "KILL QUERY %d" % a.thread_id())
    eq(value(a, "SELECT 1"), 1)


def test_rights():
    a, stranger, boss = m.conn(), m.conn("other"), m.conn("boss")
    raises(1095, query, stranger, "KILL %d" % a.thread_id())
    raises(1095, query, stranger, "KILL QUERY %d" % a.thread_id())
    eq(value(a, "SELECT 1"), 1)
    for nobody in (1, 4294967295, a.thread_id() + 4000):
        raises(1094, query, boss, "KILL %d" % nobody)
    query(boss, "KILL %d" % a.thread_id())
    wait_for(lambda: raises((), query, a, "SELECT 1"), 5, "the client to be closed")


def test_server_thread_ids_are_not_ours():
    """An id of the server's own process list must not kill anybody behind Margay."""
    a = m.conn()
    query(a, "BEGIN")
    query(a, "SELECT * FROM t FOR UPDATE")
    for p in db[0].processlist("app"):
        raises((1094, 1095), query, m.conn("boss"), "KILL %d" % p["ID"])
    query(a, "COMMIT")


def test_threads_seen_in_the_servers_list():
    """Who has seen a statement in information_schema.PROCESSLIST may kill it by the id there: it is the same session's
    still. One that began there afterwards is not."""
    look = "SELECT id FROM information_schema.processlist WHERE info LIKE '%%%%seq_1_to_1000 y%d' AND command <> 'Sleep' AND id <> CONNECTION_ID()"
    for across in (False, True):
        victim, k = pair(across)
        r = Running(victim, "SELECT /* margay: primary */ COUNT(*) FROM seq_1_to_100000000 x, seq_1_to_1000 y%d" % across)
        seen = next(p["ID"] for s in db for p in s.processlist() if "y%d" % across in (p["INFO"] or "") and "COUNT" in p["INFO"])
        raises(1094, query, k, "KILL QUERY %d" % seen)
        eq(value(k, look % across), seen)
        query(k, "KILL QUERY %d" % seen)
        eq(r.outcome()[:2], ("error", 1317))
        eq(value(victim, "SELECT 5"), 5, "the session lives on")
        raises(1094, query, k, "KILL QUERY %d" % seen)


def test_threads_that_are_not_margays():
    """Ids that neither a session nor a connection of Margay's has: the server is asked."""
    direct, mine, boss = db[0].conn(*APP), m.conn(), m.conn("boss")
    query(mine, "KILL QUERY %d" % direct.thread_id())
    eq(value(direct, "SELECT 1"), 1)
    query(mine, "KILL %d" % direct.thread_id())
    raises((), query, direct, "SELECT 1")
    root = db[0].conn()
    raises(1095, query, mine, "KILL %d" % root.thread_id())
    eq(value(root, "SELECT 1"), 1)
    query(mine, "SELECT COUNT(*) FROM t")  # the error of before keeps no connection for it any more
    query(boss, "SELECT COUNT(*) FROM information_schema.processlist")
    for p in db[0].processlist():
        if p["USER"] == "margay" or p["COMMAND"] == "Sleep" and p["USER"] == APP[0]:
            raises((1094, 1095), query, boss, "KILL %d" % p["ID"])


def test_rights_at_the_server():
    """Another user's session, by the server's id: what the account may do there counts."""
    db[0].sql("CREATE USER admin@'%' IDENTIFIED BY 'admin'", "GRANT PROCESS, CONNECTION ADMIN ON *.* TO admin@'%'",
              "CREATE USER nobody@'%' IDENTIFIED BY 'nobody'")
    g = Margay([db[0]], margay={"workers": 2}, cluster={"topology": "standalone"},
               users={**USERS, "admin": {"password": "admin"}, "nobody": {"password": "nobody"}})
    try:
        admin, nobody = [g.conn("admin", "admin", database=None) for _ in range(4)], g.conn("nobody", "nobody", database=None)
        for i, k in enumerate(admin):
            a = g.conn()
            thread = value(a, "SELECT CONNECTION_ID()")
            query(a, "SET @x = 1")
            raises(1095, query, nobody, "KILL QUERY %d" % thread)
            query(k, "KILL QUERY %d" % thread)
            eq(value(a, "SELECT @x"), 1)
            query(k, "KILL %d" % thread)
            raises((), query, a, "SELECT 1")
            eq(value(k, "SELECT 1"), 1)
    finally:
        g.stop()


@limit(300)
def test_never_the_next_user():
    """Kills race with the end of statements on shared connections; bystanders on the same connections must
    never see one."""
    one = Margay(db, margay={"workers": 2}, server={"pool_size": 1, "max_connections": 8}, users=USERS)
    victims = [one.conn() for _ in range(4)]
    stop, hit, errors, done = threading.Event(), [0], [], [0]

    def victim(c):
        while not stop.is_set():
            try:
                query(c, "SELECT COUNT(*) FROM n a, n b WHERE a.id < %d" % rng.randrange(2, 100))
            except pymysql.err.MySQLError as e:
                if e.args[0] != 1317:
                    errors.append("victim: %s" % (e.args,))
                hit[0] += 1

    def bystander(c):
        while not stop.is_set():
            try:
                if rng.randrange(2):
                    query(c, "SELECT v FROM t WHERE id = 2")
                else:
                    query(c, "SELECT COUNT(*) FROM n a, n b WHERE a.id < 20")
                done[0] += 1
            except Exception as e:
                errors.append("bystander: %s" % (e.args,))

    def killer(c):
        while not stop.is_set():
            try:
                query(c, "KILL QUERY %d" % rng.choice(victims).thread_id())
            except pymysql.MySQLError as e:  # more of them than a worker on a busy machine looks at
                if "not now" not in str(e):
                    errors.append("killer: %s" % (e.args,))
                    return
                time.sleep(0.01)
    threads = [threading.Thread(target=f, args=(c,), daemon=True) for f, c in
               [(victim, c) for c in victims] + [(bystander, one.conn()) for _ in range(6)] +
               [(killer, one.conn()) for _ in range(2)]]
    for t in threads:
        t.start()
    want = 60 if args.quick else 300
    try:
        wait_for(lambda: errors or (hit[0] > want and done[0] > want), 120,
                 lambda: "%d hits, %d statements of bystanders" % (hit[0], done[0]))
    finally:
        stop.set()
        for t in threads:
            t.join(20)
    eq(errors[:5], [])
    note("%d statements killed, %d of bystanders untouched" % (hit[0], done[0]))
    one.stop()


def test_show_processlist():
    a, stranger, boss = m.conn(), m.conn("other"), m.conn("boss")
    r = Running(a, "SELECT SLEEP(96)")
    rows = query(boss, "SHOW FULL PROCESSLIST")
    mine = [row for row in rows if row[0] == a.thread_id()]
    ok(mine, "the boss sees %s" % (rows,))
    row = mine[0]
    eq((row[1], row[3], row[4]), (APP[0], "shop", "Query"))
    ok("127.0.0.1:" in row[2] and "SLEEP(96)" in row[7], "row: %s" % (row,))
    ok({stranger.thread_id(), boss.thread_id(), a.thread_id()} <= {x[0] for x in rows}, "all sessions")
    eq({x[1] for x in query(stranger, "SHOW PROCESSLIST")}, {"other"}, "users a stranger sees")
    with boss.cursor() as cur:
        cur.execute("SHOW PROCESSLIST")
        eq([d[0] for d in cur.description][:8], ["Id", "User", "Host", "db", "Command", "Time", "State", "Info"])
    query(boss, "KILL QUERY %d" % a.thread_id())
    r.outcome()
    near, server = m.conn(unix=True), db[0].conn(*APP, database="shop", unix_socket=db[0].socket)
    for text in ("SHOW PROCESSLIST", "SHOW FULL PROCESSLIST;", "SHOW PROCESSLIST ; \n"):
        of = [[r[1:5] + r[6:8] for r in query(c, text) if r[0] == c.thread_id()] for c in (near, server)]
        eq(*of, "the asking session over a Unix socket: %r" % text)


class Crowd:
    """Sessions of users on both workers: silent, in a transaction, and with a statement at the primary or at the replica."""

    def __init__(self, *users):
        self.all = []
        for u in users:
            for _ in range(2):
                a, b = pair(True, u)
                self.all += [(u, a), (u, b)]
        for i, (_, c) in enumerate(self.all):
            if i % 2:
                query(c, "BEGIN")
                query(c, "SELECT * FROM t FOR UPDATE") if i == 1 else query(c, "SELECT 1 FROM t")

    def alive(self):
        """How many of each user's are."""
        n = {}
        for u, c in self.all:
            n[u] = n.get(u, 0) + (outcome(c, "SELECT 1")[0][0] != "error")
        return n

    def close(self):
        for _, c in self.all:
            try:
                c.close()
            except Exception:
                pass


def accounts_of_their_own():
    """chief may end others' threads, joe and ann may not."""
    if "joe" in m.users:
        return
    for name, grants in (("joe", ()), ("ann", ()), ("chief", ("GRANT CONNECTION ADMIN ON *.* TO chief@'%'",))):
        db[0].sql("CREATE USER %s@'%%' IDENTIFIED BY '%s'" % (name, name), "GRANT ALL ON shop.* TO %s@'%%'" % name, *grants)
        m.users[name] = {"password": name}
    db[1].catch_up()
    m.reload()


def test_kill_user():
    """By one who may, from the server's view; all sessions of that user in all workers, and none of others."""
    accounts_of_their_own()
    for how in ("USER joe", "HARD CONNECTION USER 'joe'@'%'", "SOFT USER `joe`"):
        crowd = Crowd("joe", "ann")
        k = m.conn("chief")
        query(k, "KILL " + how)
        wait_for(lambda: crowd.alive() == {"joe": 0, "ann": 4}, 20, lambda: "joe's sessions to end: %s" % crowd.alive())
        eq(value(k, "SELECT 1"), 1)
        c = m.conn("joe")  # new ones are let in
        query(c, "UPDATE t SET v = v + 1 WHERE id = 2")
        for x in (c, k, crowd):
            x.close()


def test_kill_user_without_privilege():
    """As at a server: OK, no rows, nothing ended. Of another host than the user's: nothing."""
    accounts_of_their_own()
    crowd = Crowd("joe", "ann")
    for sql in ("KILL USER joe", "KILL QUERY USER joe", "KILL USER nobody"):
        eq(outcome(crowd.all[-1][1], sql)[0][2], 0)
    k = m.conn("chief")
    query(k, "KILL USER joe@'10.1.2.3'")
    raises(1064, query, k, "KILL USER joe, ann")
    eq(crowd.alive(), {"joe": 4, "ann": 4})
    crowd.close()
    k.close()


def test_kill_user_of_ones_own():
    """Everybody may, and ends with it, after the answer."""
    accounts_of_their_own()
    for sql in ("KILL USER joe", "KILL USER CURRENT_USER()", "KILL USER CURRENT_USER"):
        crowd = Crowd("joe", "ann")
        c = crowd.all[0][1]
        eq(outcome(c, sql)[0][0], ())
        wait_for(lambda: crowd.alive() == {"joe": 0, "ann": 4}, 20, lambda: "joe's sessions to end: %s" % crowd.alive())
        crowd.close()


def test_kill_user_by_process_admin():
    """Margay says who may: of users that share an account at the servers, those of the name end, and they are counted. In a
    prepared statement, too."""
    crowd = Crowd("other", APP[0])
    k = m.conn("boss")
    eq(outcome(k, "KILL USER other")[0][2], 4)
    wait_for(lambda: crowd.alive() == {"other": 0, APP[0]: 4}, 20, lambda: "others to end: %s" % crowd.alive())
    crowd.close()
    crowd = Crowd("other")
    query(k, "EXECUTE IMMEDIATE 'KILL USER other'")  # for the server alone, which knows nobody of that name
    eq(crowd.alive(), {"other": 4})
    eq(outcome(k, "KILL USER other@'10.1.2.3'")[0][2], 0)
    eq(outcome(k, "KILL USER other@'127.0.0.1'")[0][2], 4)
    crowd.close()
    own = m.conn("boss")
    eq(outcome(k, "KILL USER boss")[0][2], 2)
    for c in (k, own):
        wait_for(lambda c=c: raises((), query, c, "SELECT 1"), 5, "boss's sessions to end")


def test_kill_query_user():
    """What runs is ended, at whatever server, and so is what waits; sessions and their transactions go on."""
    accounts_of_their_own()
    for k, user, bystander in ((m.conn("chief"), "joe", "ann"), (m.conn("boss"), "other", APP[0])):
        crowd = Crowd(user, bystander)
        runs = [Running(c, "SELECT SLEEP(90 + %d)%s" % (i, " FROM t WHERE id = 1" if i % 2 == 0 else ""))
                for i, (_, c) in enumerate(crowd.all)]
        query(k, "KILL QUERY USER " + user)
        for (u, c), r in zip(crowd.all, runs):
            if u == user:
                ok(r.outcome()[:2] == ("error", 1317) or r.outcome() == ("rows", ((1,),)), r.outcome())
        eq([r.result for (u, _), r in zip(crowd.all, runs) if u != user], [None] * 4)
        query(k, "KILL USER " + bystander)
        k.close()
        eq({u: n for u, n in crowd.alive().items() if u == user}, {user: 4})
        crowd.close()


if __name__ == '__main__':
    main()
