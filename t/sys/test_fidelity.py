"""Session state and diagnostics, as seen through Margay and on a connection of its own: what MariaDB's own suite (t/mtr)
found, one small test each."""
import re
import struct

from margaytest import *
from mt_wire import *
from raw import Raw


def setup():
    global db, m
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2), (3)")
    db[0].sql("GRANT RELOAD ON *.* TO app@'%'")
    db[1].catch_up()
    m = Margay(db, server={"pool_size": 4})


def both(*statements, **kw):
    """The same statements on a direct connection and through Margay: all that a client sees must be equal. Between any two
    of them other sessions use Margay's connections."""
    direct, through, other = db[0].conn("app", APP[1], database="shop", **kw), m.conn(**kw), [m.conn(), m.conn()]
    for s in statements:
        same(direct, through, [s], "")
        for o in other:
            query(o, "SET @@session.sql_mode = 'ANSI'")
            query(o, "DO 1")
    for c in (direct, through, *other):
        c.close()


def test_connection_id_in_expressions():
    both("SELECT CONNECTION_ID() > 0 AS x", "SELECT CONNECTION_ID() = @@pseudo_thread_id", "SET @a = CONNECTION_ID()",
         "SELECT @a = CONNECTION_ID()", "DO CONNECTION_ID()",
         "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()",
         "PREPARE p FROM 'SELECT CONNECTION_ID() = @a'", "EXECUTE p", "KILL 0", "PREPARE p FROM 'KILL 0'", "EXECUTE p",
         "KILL USER nobody@nowhere")


def test_tracker_settings_are_the_sessions():
    """Who asks for them sees the servers' defaults, not what Margay sets for itself; who sets them sees what they say."""
    both("SELECT @@session_track_system_variables, @@session_track_state_change, @@session_track_schema",
         "SET SESSION session_track_state_change = 1", "SELECT @@session.session_track_state_change", "SET NAMES latin1",
         "SET session_track_system_variables = 'nothing_such'", "SHOW VARIABLES LIKE 'session_track%'",
         "SET session_track_system_variables = 'sql_mode'", "SET @@session.sql_mode = 'ANSI'", "USE mysql", "SELECT @@sql_mode",
         "SET @@session.session_track_transaction_info = 'CHARACTERISTICS'", "SELECT @@session_track_transaction_info")


def test_databases_in_wide_character_sets():
    for cs in ("ucs2", "utf16", "utf32"):
        name = "wide_" + cs
        db[0].sql("CREATE DATABASE %s CHARACTER SET %s" % (name, cs), "GRANT SELECT ON %s.* TO app@'%%'" % name)
        db[1].catch_up()
        both("USE " + name, "SELECT DATABASE()", "USE shop", "SELECT DATABASE()", "USE " + name, "SELECT @@character_set_database")


def test_unknown_command_is_no_lost_primary():
    direct, through = db[0].conn("app", APP[1], database="shop"), m.conn()
    for _ in range(2):
        eq(command(through, 0x04, b"t" * 60000), command(direct, 0x04, b"t" * 60000))


def test_new_sessions_know_new_privileges():
    """A connection has the privileges of its login: who logs in after a change gets a newer one."""
    db[0].sql("CREATE USER adm@'%' IDENTIFIED BY 'adm'", "GRANT ALL ON *.* TO adm@'%' WITH GRANT OPTION", "CREATE DATABASE privs",
              "CREATE TABLE privs.x (a INT)")
    g = Margay([db[0]], users={"app": {"password": APP[1]}, "adm": {"password": "adm"}}, margay={"workers": 2}, cluster={"topology": "standalone"})
    adm = g.conn("adm", "adm")
    try:
        for may in (True, False, True):
            crowd = [g.conn() for _ in range(6)]  # idle connections that know the old privileges
            for c in crowd:
                query(c, "SELECT 1 FROM t LIMIT 1")
            query(adm, "GRANT SELECT ON *.* TO app@'%'" if may else "REVOKE SELECT ON *.* FROM app@'%'")
            for _ in range(6):
                with g.conn() as c:
                    got = outcome(c, "SELECT COUNT(*) FROM privs.x")
                    eq(got[0][0], ((0,),) if may else "error", "after the change: %r" % (got,))
            for c in crowd:
                c.close()
    finally:
        adm.close()
        g.stop()


def test_new_sessions_begin_with_new_global_values():
    was = db[0].sql("SELECT @@sql_select_limit")
    db[0].sql("GRANT SUPER ON *.* TO app@'%'")
    g = Margay([db[0]], cluster={"topology": "standalone"})
    try:
        old, adm = g.conn(), g.conn()
        for c in (old, adm):
            query(c, "SELECT 1 FROM t LIMIT 1")
        query(adm, "SET GLOBAL sql_select_limit = 7")
        eq(query(adm, "SELECT @@sql_select_limit"), tuple(was), "in the session that has set the global value")
        query(adm, "DO 1")
        with g.conn() as new:
            eq(query(new, "SELECT @@sql_select_limit"), ((7,),), "in a new session")
    finally:
        db[0].sql("SET GLOBAL sql_select_limit = DEFAULT", "REVOKE SUPER ON *.* FROM app@'%'")
        g.stop()


def command(c, com, body=b""):
    """The reply to a command, as bytes or as an error."""
    try:
        c._execute_command(com, body)
        return c._read_packet().get_all_data()
    except pymysql.err.MySQLError as e:
        return e.args


def test_commands_of_administration():
    direct, through = db[0].conn("app", APP[1], database="shop"), m.conn()
    for com, body in ((0x07, b"\x04"), (0x07, b"\x01"), (0x0d, b""), (0x08, b"\x00")):
        eq(command(through, com, body), command(direct, com, body), "command %d" % com)
    eq(query(through, "SELECT 1"), ((1,),))


def test_found_rows_that_only_the_server_knows():
    """After SQL_CALC_FOUND_ROWS, and after LIMIT with an offset, where a server may count the rows left out: the session keeps
    its connection for it, and when others need that, it is asked first."""
    db[0].sql("CREATE TABLE shop.plain (v INT)", "CREATE TABLE shop.many (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.many SELECT seq, seq % 7 FROM shop.seq_1_to_60")
    db[1].catch_up()
    script = []
    for i, limit in enumerate(("1, 1", "1 OFFSET 1", "59, 5", "61, 5", "2", "1,5", "3,0")):
        for calc in ("", "SQL_CALC_FOUND_ROWS "):
            script += ["SELECT %sid FROM many ORDER BY v, id LIMIT %s" % (calc, limit), "SET @@sql_mode = ''", "SELECT FOUND_ROWS()",
                       "SELECT %sid FROM many LIMIT %s" % (calc, limit), "INSERT INTO plain (v) VALUES (1)", "SELECT FOUND_ROWS()"]
    for k in range(0, len(script), 3):
        both(*script[k:k+3])
    for between in ("SHOW WARNINGS", "SELECT id FROM many LIMIT 1 INTO @x", "INSERT INTO plain (v) VALUES (2) RETURNING v", "EXPLAIN SELECT * FROM t", "DO 1",
                    "UPDATE plain SET v = v LIMIT 1", "SET @a = 1", "SHOW STATUS LIKE 'uptime'", "USE shop", "SELECT 1 WHERE 0"):
        both("SELECT id FROM many", "DO 0", between, "SELECT FOUND_ROWS()")
        both("SELECT id FROM many WHERE id < 9", "SET @b = 1", "SELECT FOUND_ROWS()", "SELECT id FROM many", between, "SELECT FOUND_ROWS()")
    few = Margay(db, server={"pool_size": 1, "max_connections": 8})
    try:
        direct = db[0].conn("app", APP[1], database="shop")
        crowd, other = [few.conn() for _ in range(12)], few.conn()
        for sql in ("SELECT SQL_CALC_FOUND_ROWS id FROM many LIMIT 1", "SELECT id FROM many ORDER BY v LIMIT 2, 1",
                    "SELECT SQL_CALC_FOUND_ROWS id FROM many ORDER BY v LIMIT 5, 2"):
            query(direct, sql)
            want = query(direct, "SELECT FOUND_ROWS()")
            for c in crowd:
                query(c, sql)
            for _ in range(8):
                query(other, "SELECT SQL_CALC_FOUND_ROWS 1 LIMIT 0")
            for c in crowd:
                eq(query(c, "SELECT FOUND_ROWS()"), want, "after " + sql)
        for c in (direct, other, *crowd):
            c.close()
    finally:
        few.stop()


def pipelined(c, *commands):
    """Sends all at once, and a query behind them: all that comes back."""
    raw = b"".join(struct.pack("<I", len(b))[:3] + b"\0" + b for b in commands)
    c._sock.sendall(raw + b"\x11\0\0\0\x03SELECT 'the end'")
    got, rows = b"", b"\x07the end"
    while rows not in got or not got.endswith(END_OF_ROWS):
        got += c._sock.recv(65536)
    return re.sub(rb"(\x0c\0\0\x01\0)....", rb"\1id", got, flags=re.S)  # PREPARE_OK: ids are each side's own


END_OF_ROWS = b"\xfe\0\0\x02\0"  # EOF packet: no warnings, autocommit


def test_statement_prepared_last():
    """Id -1: sent behind COM_STMT_PREPARE before its reply is there, as npm's mariadb and mysql_stmt_execute_direct do."""
    last = struct.pack("<I", 0xffffffff)
    prepare = lambda sql: b"\x16" + sql.encode()
    execute = b"\x17" + last + b"\0" + struct.pack("<I", 1)
    number = lambda n: execute + b"\0\x01\x08\0" + struct.pack("<q", n)
    close, reset = b"\x19" + last, b"\x1a" + last
    for script in ((prepare("SELECT 7"), execute), (prepare("SELECT ? + 1"), number(41), number(1), reset, number(2)),
                   (execute,), (prepare("SELECT 1"), prepare("no such statement"), execute),
                   (prepare("SELECT 1"), close, execute), (prepare("SELECT 1"), prepare("SELECT 2"), close, execute),
                   (prepare("SELECT id FROM t WHERE id = ?"), number(2), b"\x0e", number(3)),
                   (prepare("SELECT LENGTH(?)"), b"\x18" + last + b"\0\0" + b"x" * 500, execute + b"\0\x01\xfc\0")):
        direct, through, others = db[0].conn("app", APP[1], database="shop"), m.conn(), [m.conn(), m.conn()]
        for o in others:
            query(o, "SELECT 1")
        eq(pipelined(through, *script), pipelined(direct, *script), repr(script))
        for c in (direct, through, *others):
            c.close()


def test_client_flags_that_set_variables():
    """CLIENT_IGNORE_SPACE and CLIENT_INTERACTIVE set sql_mode and wait_timeout at login, and a reset ends that: the client's, not
    one of Margay's own."""
    db[0].sql("SET GLOBAL interactive_timeout = 1234")
    ask = "SELECT @@sql_mode, @@wait_timeout"
    try:
        for flags in (0, 0x100, 0x400, 0x500):
            for _ in range(3):
                both(ask, "SELECT COUNT (*) FROM t", "SET @a = 1", ask, client_flag=flags)
                for who in (db[0].conn("app", APP[1], database="shop", client_flag=flags), m.conn(client_flag=flags)):
                    query(who, "SET @a = 1")
                    who._execute_command(0x1f, b"")
                    who._read_ok_packet()
                    eq(value(who, ask)[:1], value(who, "SELECT @@global.sql_mode")[:1])
                    eq(value(who, "SELECT @@wait_timeout"), value(who, "SELECT @@global.wait_timeout"))
                    who.close()
    finally:
        db[0].sql("SET GLOBAL interactive_timeout = DEFAULT")


def test_query_attributes():
    """MySQL 8's, which no MariaDB server has: who asks for them all the same gets the answers of a MariaDB server, with a
    statement in the new form (no attributes, one set of them) and in the old one."""
    attributes = 0x08000000
    got = []
    for port in db[0].port, m.port:
        c = Raw(port, *APP, caps_on=attributes)
        ok(not c.caps & attributes, "not offered")
        got.append([c.exchange(b"\x03SELECT 1 AS one"), c.exchange(b"\x03\0\1SELECT 1 AS one"), c.exchange(b"\x03SELECT 2 AS two")])
        c.close()
    eq(got[1], got[0])


def test_warnings_of_results_without_rows():
    """Connector/C takes the warnings of an execution without rows from the EOF packet behind the definitions."""
    for sql in ("SELECT 1 FROM dual WHERE 1/0", "SELECT id FROM t WHERE id = 'x' AND id = 77", "SELECT 1 FROM t WHERE 0"):
        last = b"\x17" + struct.pack("<I", 0xffffffff) + b"\0" + struct.pack("<I", 1)
        direct, through = db[0].conn("app", APP[1], database="shop"), m.conn()
        eq(pipelined(through, b"\x16" + sql.encode(), last, b"\x03" + sql.encode()),
           pipelined(direct, b"\x16" + sql.encode(), last, b"\x03" + sql.encode()), sql)
        direct.close(), through.close()


def test_wide_character_sets_of_clients():
    """Nobody can log in with one, and no server counts as unreachable for it."""
    g = Margay([db[0]], cluster={"topology": "standalone"})
    try:
        for collation in (35, 54, 56, 60, 101, 128, 159):
            got = []
            for port in (db[0].port, g.port):
                c = pymysql.Connection(host="127.0.0.1", port=port, user="app", password=APP[1], defer_connect=True)
                c.charset, c.collation = "utf8mb4", None
                real = pymysql.connections.charset_by_name
                pymysql.connections.charset_by_name = lambda name: type("C", (), {"id": collation, "encoding": "utf8"})
                try:
                    got.append(raises((), c.connect)[0])
                finally:
                    pymysql.connections.charset_by_name = real
            eq(got, [1231, 1231], "collation %d" % collation)
        eq(g.sql("SELECT 1"), ((1,),))
        ok("cannot connect" not in g.log_text(), g.log_text()[-1500:])
    finally:
        g.stop()


def test_cursors_that_cannot_be_opened():
    """Connector/C is out of step when an EOF packet comes before the error."""
    for sql in (b"SELECT 1 < (SELECT v FROM t)", b"SELECT id < (SELECT v FROM t) FROM t", b"SELECT id FROM t", b"SHOW TABLES", b"DO 1"):
        script = b"\x16" + sql, b"\x17" + struct.pack("<I", 0xffffffff) + b"\1" + struct.pack("<I", 1)
        direct, through = db[0].conn("app", APP[1], database="shop"), m.conn()
        eq(pipelined(through, *script), pipelined(direct, *script), repr(sql))
        direct.close(), through.close()


def test_long_database_names():
    for name in ("d" * 193, "x" * 300):
        eq(raises(1102, m.conn, database=name), raises(1102, db[0].conn, "app", APP[1], database=name))


def test_accounts_that_the_server_does_not_know():
    """Its refusal is told at once and as one, also of a read: no other server, and no waiting, would help."""
    g = Margay([db[0]], cluster={"topology": "standalone", "failover_timeout": "600s"}, users={"app": {"password": APP[1]},
               "stranger": {"password": "x"}, "locked": {"password": "x"}, "expired": {"password": "x"}})
    db[0].sql("CREATE USER locked IDENTIFIED BY 'x' ACCOUNT LOCK", "CREATE USER expired IDENTIFIED BY 'x' PASSWORD EXPIRE",
              "GRANT SELECT ON shop.* TO locked, expired", "SET GLOBAL disconnect_on_expired_password = 1")
    try:
        for user, word in ("stranger", "stranger"), ("locked", "is locked"), ("expired", "expired"):
            no, text = raises(1045, g.conn, user, "x", database="shop")
            ok(word in text, text)
            no, text = raises(1045, query, g.conn(user, "x", database=None), "SELECT 1")
            ok(word in text, text)
            eq(g.sql("SELECT 1"), ((1,),))
        c = g.conn("stranger", "x", database=None)
        for sql in ("SELECT 1", "SELECT 1 FROM shop.t", "DO 1", "SELECT @@version"):
            no, text = raises(1045, query, c, sql)
            ok("stranger" in text, text)
        eq(g.sql("SELECT 1"), ((1,),))
    finally:
        db[0].sql("SET GLOBAL disconnect_on_expired_password = 0", "DROP USER locked, expired")
        g.stop()


def test_options_that_prevent_a_read():
    """Error 1290 of the primary is the answer to a read: there is no server that could do better."""
    d = replication_set(0)[0]
    d.sql("CREATE TABLE shop.parts (id INT) PARTITION BY HASH (id)")
    d.stop()
    d.start(extra=("--skip-partition",))
    for timeout in ("0s", "600s"):
        g = Margay([d], cluster={"topology": "standalone", "failover_timeout": timeout})
        try:
            with d.conn("app", APP[1], database="shop") as direct, g.conn() as through:
                eq(raises(1290, query, through, "SELECT * FROM parts"), raises(1290, query, direct, "SELECT * FROM parts"))
        finally:
            g.stop()
    d.stop()


def test_warnings_of_a_prepare():
    """PREPARE leaves warnings of its own, and takes away those before it."""
    prepare, ask, execute = lambda t: b"\x16" + t, b"\x03SHOW WARNINGS", b"\x17" + struct.pack("<I", 0xffffffff) + b"\0" + struct.pack("<I", 1)
    notes = b"SELECT 1 LIKE (1 IN (SELECT 1))"
    with db[0].conn("app", APP[1], database="shop") as direct, m.conn() as through:
        for sql in (notes, b"SELECT ? LIKE (1 IN (SELECT 1))", b"DO 1 LIKE (1 IN (SELECT 1))"):
            eq(pipelined(through, prepare(sql)), pipelined(direct, prepare(sql)), "EOF packets of a prepare")
    for script in ((prepare(notes), ask), (prepare(notes), execute, ask), (prepare(notes), prepare(b"SELECT 1"), ask),
                   (b"\x03SELECT 1/0", prepare(b"SELECT 1"), ask), (b"\x03SELECT nosuch FROM t", prepare(b"SELECT id FROM t"), ask),
                   (prepare(b"SELECT nosuch"), ask),
                   (prepare(b"SELECT nosuch"), prepare(b"SELECT 1"), ask), (prepare(notes), ask, b"\x03SELECT id FROM t", ask)):
        direct, through, others = db[0].conn("app", APP[1], database="shop"), m.conn(), [m.conn(), m.conn()]
        for o in others:
            query(o, "SELECT 1")
        eq(pipelined(through, *script), pipelined(direct, *script), repr(script))
        for c in (direct, through, *others):
            c.close()


def test_statements_that_are_closed():
    """A prepared statement that its client has closed is not kept at the server."""
    few = Margay([db[0]], cluster={"topology": "standalone"})
    try:
        count = lambda: int(db[0].status("Prepared_stmt_count"))
        before = count()
        one, two = few.conn(), few.conn()
        reply = lambda c, n: [c._read_packet() for _ in range(n)][0].get_all_data()
        ids = []
        for c in (one, two):
            c._execute_command(0x16, b"SELECT id FROM t")
            ids.append(reply(c, 3)[1:5])
            query(c, "SELECT 1")
        ok(count() > before, "nothing is prepared")
        one._execute_command(0x19, ids[0])
        query(one, "SELECT 1")
        ok(count() > before, "the other one has it still")
        two._execute_command(0x19, ids[1])
        query(two, "SELECT 1")
        wait_for(lambda: count() == before, 10, lambda: "%d prepared, %d before" % (count(), before))
        one.close(), two.close()
    finally:
        few.stop()


def test_more_columns_than_16_bits_count():
    both("SELECT " + ",".join("'a'" for _ in range(68001)), "SELECT 1")


def test_prepared_xa_of_a_client_that_left():
    """InnoDB refuses writes on a connection that had a prepared XA transaction when it was reset."""
    one = Margay([db[0]], server={"pool_size": 1, "max_connections": 8}, cluster={"topology": "standalone"})
    try:
        for i, leave in enumerate((lambda c: c.close(), lambda c: c._execute_command(0x1f, b""), lambda c: None)):
            a = one.conn()
            for s in ("XA START 'left%d'", "INSERT INTO t (v) VALUES (%d)", "XA END 'left%d'", "XA PREPARE 'left%d'"):
                query(a, s % i)
            leave(a)
            with one.conn() as b:
                for _ in range(3):
                    query(b, "INSERT INTO t (v) VALUES (77)")
                ok([r for r in query(b, "XA RECOVER") if str(r[3]) in ("left%d" % i, repr(b"left%d" % i))], "left%d is lost: %r" % (i, query(b, "XA RECOVER")))
                if i < 2:
                    query(b, "XA ROLLBACK 'left%d'" % i)
            if i == 2:
                query(a, "XA COMMIT 'left2'")
    finally:
        one.stop()


def leave_in(c, sql):
    """Sends the statement and goes, without a word, when the server has begun with it."""
    c._execute_command(0x03, sql)
    wait_for(lambda: any(p["INFO"] == sql for p in db[0].processlist()), 10, "%s to run" % sql)
    c._sock.close()


def test_what_a_client_leaves_behind():
    """Servers give up waits when their client is gone, and go on with what is not a wait."""
    direct = db[0].conn("app", APP[1], database="shop")
    one = Margay([db[0]], cluster={"topology": "standalone"})
    for i, connect in enumerate((lambda: db[0].conn("app", APP[1], database="shop"), one.conn)):
        gone = lambda sql: wait_for(lambda: not any(p["INFO"] == sql for p in db[0].processlist()), 20, "the end of %s" % sql)
        query(direct, "SELECT GET_LOCK('left', 0)")
        query(direct, "CREATE TABLE left_%d (a INT)" % i)
        query(direct, "BEGIN")
        query(direct, "SELECT * FROM left_%d" % i)
        for sql in ("SELECT GET_LOCK('left', 100)", "ALTER TABLE left_%d ADD b INT" % i):
            leave_in(connect(), sql)
            gone(sql)
        query(direct, "COMMIT")
        query(direct, "SELECT RELEASE_LOCK('left')")
        eq([r[0] for r in query(direct, "SHOW COLUMNS FROM left_%d" % i)], ["a"], "an ALTER whose client was gone")
        sql = "INSERT INTO left_%d SELECT seq FROM seq_1_to_1000000" % i
        leave_in(connect(), sql)
        gone(sql)
        eq(value(direct, "SELECT COUNT(*) FROM left_%d" % i), 1000000)
    direct.close()
    one.stop()


# What the oracle of random sessions found (test_oracle.py), one small test each.

def test_insert_id_that_was_set():
    both("SET last_insert_id = 33", "SELECT LAST_INSERT_ID()", "SET identity = 7", "SELECT LAST_INSERT_ID(), @@identity, @@last_insert_id",
         "SET @a = 1, last_insert_id = 5", "SELECT LAST_INSERT_ID()")


def test_insert_id_behind_a_set_that_fails():
    """The SET runs on another connection than the insert did, and ties the session to it."""
    c, other = m.conn(), m.conn()
    query(c, "SELECT LAST_INSERT_ID(46)")
    query(c, "SELECT id FROM t LIMIT 1")  # on a replica: the other connection is let go
    raises(1231, query, c, "SET @x = 1, log_queries_not_using_indexes = 99")
    for o in (other, m.conn()):
        query(o, "DO 1")
    eq(query(c, "SELECT LAST_INSERT_ID()"), ((46,),))


def test_insert_id_that_was_lost():
    """An INSERT with a value of its own is not LAST_INSERT_ID(): what that was went with its connection."""
    for own in "900", "NULL":
        c = m.conn()
        query(c, "INSERT IGNORE INTO t (v) VALUES ('x')")  # kept for its warning
        for p in db[0].processlist(APP[0]):
            db[0].sql("KILL %d" % p["ID"])
        wait_for(lambda: not db[0].processlist(APP[0]), 10, "the connections to go")
        query(c, "BEGIN")
        query(c, "INSERT INTO t (id, v) VALUES (%s, 2)" % own)
        if own == "NULL":
            eq(value(c, "SELECT LAST_INSERT_ID()"), value(c, "SELECT MAX(id) FROM t"))
        else:
            raises((1158,), value, c, "SELECT LAST_INSERT_ID()")
        eq(value(c, "SELECT v FROM t WHERE v = 2"), 2, "still in its transaction")
        query(c, "ROLLBACK")
        query(c, "INSERT INTO t (v) VALUES (1)")
        ok(value(c, "SELECT LAST_INSERT_ID()") > 0, "an id")
        c.close()
    db[0].sql("DELETE FROM shop.t WHERE id > 3")
    db[1].catch_up()


def test_a_set_does_not_tie_the_session_to_a_replica():
    """A warning keeps the replica's connection; a SET of what cannot be carried over must not run there."""
    both("SELECT 1/0 FROM t", "SET keep_files_on_create = 1", "UPDATE t SET v = v WHERE id = 1", "SELECT @@keep_files_on_create")


def test_next_transaction_after_single_statements():
    """Which single statements use SET TRANSACTION up depends on engines; only COMMIT and ROLLBACK are sure."""
    for s in ("SELECT variable_name FROM information_schema.session_variables LIMIT 0", "SELECT seq FROM seq_1_to_2", "SELECT * FROM t LIMIT 1",
              "SET @a = 1"):
        both("SET TRANSACTION READ ONLY", s, "BEGIN", "SELECT @@in_transaction", "COMMIT", "BEGIN", "ROLLBACK")
    both("SET TRANSACTION READ ONLY", "SET autocommit = 0", "SELECT COUNT(*) FROM t", "SET autocommit = 1", "UPDATE t SET v = v WHERE id = 1")


def wire(port, flavour="classic", **kw):
    return WireClient("127.0.0.1", port, *APP, "shop", flavour=flavour, **kw)


def wires(*steps, flavour="classic"):
    """Both sides step by step, byte by byte; other sessions use Margay's connections between."""
    other = [m.conn(), m.conn()]
    alike((db[0].port, m.port), steps, lambda: [query(o, s) for o in other for s in ("SET @@session.sql_mode = 'ANSI'", "DO 1")], flavour)
    for c in other:
        c.close()


def test_mode_of_one_statement():
    """SET STATEMENT sql_mode: its reply has that mode's flags, the session goes on with its own."""
    wires("SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT @@sql_mode", lambda c: c.simple(COM_PING), 'SELECT "a"',
          "SET STATEMENT sql_mode = 'NO_BACKSLASH_ESCAPES' FOR UPDATE t SET v = v WHERE id = 1", lambda c: c.simple(COM_PING), "SELECT 'a\\'b'")


def test_flags_of_a_sequences_own_transaction():
    db[0].sql("CREATE OR REPLACE SEQUENCE shop.sq")
    wires("SELECT SETVAL(sq, 5)", lambda c: c.simple(COM_PING))
    wires("BEGIN", "CREATE TABLE t (a INT)", lambda c: c.simple(COM_PING))  # it fails, and has ended the transaction


def test_login_tells_the_schema():
    for flavour in ("track", "classic_track", "new"):
        wires(lambda c: c.welcome, lambda c: c.change_user(*APP, "other", 45), lambda c: c.change_user(*APP, "", 45), flavour=flavour)


def test_no_cursor():
    wires(lambda c: c.prepare_as(0, "SELECT 1"), lambda c: c.fetch(0, 1), lambda c: c.execute(0, [], cursor=True), lambda c: c.fetch(0, 1))


def test_row_count_of_a_prepared_statement():
    """Right, or refused: never that of the connection's own past."""
    c, other = m.conn(), m.conn()
    w = wire(m.port)
    for first, want in (("SELECT 1", b"\xff" * 8), ("UPDATE t SET v = v + 1 WHERE id <= 3", b"\3" + bytes(7))):
        w.query_all(first)
        query(other, "UPDATE t SET v = v + 1 WHERE id = 1")
        w.prepare_as(0, "SELECT ROW_COUNT()")
        got = w.execute(0, [])
        ok(got[-2][1][2:] == want if len(got) > 1 else b"ROW_COUNT()" in got[0][1], "after %s: %r" % (first, got))
    w.query_all("UPDATE t SET v = v + 1 WHERE id <= 3")
    got = w.query_all("SELECT ROW_COUNT(), LAST_INSERT_ID()")
    ok(got[-2][1] == b"\1" b"3\1" b"0" if len(got) > 1 else b"ROW_COUNT()" in got[0][1], "with LAST_INSERT_ID(): %r" % (got,))
    for x in (c, other, w):
        x.close()


def test_charset_of_the_database_on_reset_connections():
    """COM_RESET_CONNECTION leaves @@collation_database at the server's own: who gets that connection next must see the database's."""
    db[0].sql("CREATE DATABASE IF NOT EXISTS latin CHARACTER SET latin1", "GRANT ALL ON latin.* TO app@'%'")
    db[1].catch_up()
    g = Margay([db[0]], cluster={"topology": "standalone"}, server={"pool_size": 1})
    for _ in range(3):
        with g.conn(database="latin") as c:
            eq(query(c, "SELECT @@collation_database"), (("latin1_swedish_ci",),))
            query(c, "SET @a = 1")  # its connection is reset before the next session has it
    g.stop()


def test_collation_of_a_refused_change_of_user():
    wires(lambda c: c.change_user(APP[0], "wrong", "shop", 224), lambda c: c.simple(COM_RESET_CONNECTION), "SELECT 'a', @@collation_connection")


def test_no_stale_diagnostics_after_an_error_of_margay():
    """SHOW WARNINGS behind an error made here: never that of an older statement."""
    w = wire(m.port)
    w.query_all("DROP TABLE IF EXISTS no_such_table_1")
    eq(w.simple(COM_EXECUTE, struct.pack("<IBI", 99, 0, 1))[0][1][:3], b"\xff\xdb\x04")
    got = w.query_all("SHOW WARNINGS")
    ok(b"given up" in got[0][1], got)
    w.query_all("SELECT id FROM t LIMIT 1")
    eq(len(w.query_all("SHOW WARNINGS")), 6, "no rows")
    w.close()


def test_row_count_after_ping():
    wires("UPDATE t SET v = v + 1", lambda c: c.simple(COM_PING), "SELECT ROW_COUNT()", "SELECT @q := 1", lambda c: c.simple(COM_PING),
          "SELECT ROW_COUNT()")


def test_execute_immediate_asks_for_diagnostics_that_are_gone():
    c = m.conn()
    query(c, "SELECT 1/0")
    try:
        eq(len(query(c, "EXECUTE IMMEDIATE 'SHOW WARNINGS'")), 1)
    except pymysql.err.MySQLError as e:
        ok("given up" in str(e) or "told ahead" in str(e), e)
    c.close()


if __name__ == '__main__':
    main()
