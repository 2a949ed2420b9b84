"""What one client sees: logins, statements of all shapes, errors, prepared statements; each compared with what
the server itself answers on a direct connection."""
from margaytest import *

USERS = {APP[0]: APP[1], "hashed": "hashed-secret", "empty": "", "strange": "p ;#\"'\\ü"}


def password_hash(password):
    return "*" + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


def setup():
    global db, m
    db = replication_set(1, users=USERS, options=["--max-allowed-packet=64M", "--local-infile=1"])
    m = Margay(db, users={
        APP[0]: {"password": APP[1]},
        "hashed": {"password": password_hash(USERS["hashed"])},
        "empty": {"password": '""'},
        "strange": {"password": '"' + USERS["strange"].replace("\\", "\\\\").replace('"', '\\"') + '"'},
        "mapped": {"password": "front", "backend_user": APP[0], "backend_password": APP[1]},
        "homed": {"password": "home", "backend_user": APP[0], "backend_password": APP[1],
                  "default_schema": "other"},
    })
    db[0].sql("""CREATE TABLE shop.types (id INT PRIMARY KEY, i BIGINT UNSIGNED, d DECIMAL(30,10), f DOUBLE,
        s VARCHAR(50), b BLOB, dt DATETIME(6), t TIME(3), e ENUM('x','y'), st SET('a','b'), y YEAR, bi BIT(10),
        j JSON, u UUID, g POINT)""",
              """INSERT INTO shop.types VALUES (1, 18446744073709551615, 12345678901234567890.0123456789, 1e308,
        'täxt', x'00ff00', '2024-02-29 12:34:56.789012', '-838:59:59.000', 'y', 'a,b', 2024, b'1010101010',
        '{"a": [1, null]}', '123e4567-e89b-12d3-a456-426655440000', POINT(1, 2)),
        (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
        (3, 0, 0, -0.0, '', '', '0000-00-00', '00:00:00', 'x', '', 0, b'0', '[]',
        '00000000-0000-0000-0000-000000000000', NULL)""",
              "CREATE TABLE shop.auto (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100) UNIQUE)",
              "CREATE TABLE shop.big (id INT PRIMARY KEY, v LONGTEXT)")
    db[1].catch_up()


def direct(**kw):
    kw.setdefault("database", "shop")
    return db[0].conn(*APP, **kw)


def test_logins():
    for user, password in [(APP[0], APP[1]), ("hashed", USERS["hashed"]), ("empty", ""),
                           ("strange", USERS["strange"].encode()), ("mapped", "front")]:
        c = m.conn(user, password)
        eq(query(c, "SELECT 1 + 1, DATABASE()"), ((2, "shop"),), "as " + user)
        c.close()
    c = m.conn(unix=True)
    eq(value(c, "SELECT 2"), 2, "over the Unix socket")
    c = m.conn("homed", "home", database=None)
    eq(value(c, "SELECT DATABASE()"), "other")


def test_logins_refused():
    texts = []
    for user, password in [(APP[0], "wrong"), (APP[0], ""), (APP[0], APP[1] + "x"), ("nobody-known", "x"),
                           ("empty", "x"), ("hashed", password_hash(USERS["hashed"])), ("mapped", APP[1])]:
        no, text = raises(1045, m.conn, user, password)
        texts.append(text.replace(user, "USER"))
    ok(len({re.sub(r"using password: \w+", "", t) for t in texts}) == 1,
       "an unknown user is told apart from a wrong password: %s" % texts)
    for secret in list(USERS.values()) + ["front"]:
        ok(not secret or secret not in m.log_text(), "a password is in the log")
    eq(value(m.conn(), "SELECT 1"), 1, "logins go on")


def test_databases():
    want = raises((), direct, database="not_there")
    eq(raises((), m.conn, database="not_there"), want)
    c = m.conn(database=None)
    eq(value(c, "SELECT DATABASE()"), None)
    raises(1046, query, c, "SELECT * FROM types")
    c.select_db("shop")
    eq(value(c, "SELECT COUNT(*) FROM types"), 3)
    eq(raises((), c.select_db, "not_there"), want)
    eq(value(c, "SELECT DATABASE()"), "shop")
    query(c, "USE other")
    eq(value(c, "SELECT DATABASE()"), "other")
    d = m.conn(database=None)
    eq(value(d, "SELECT DATABASE()"), None, "the database of another client")


SHAPES = [
    "SELECT 1", "SELECT NULL, 'a', 1.5, 1e3, x'00ff', DATE '2024-01-01' FROM DUAL WHERE 1 = 0",
    "SELECT * FROM types ORDER BY id", "SELECT id, s AS `näme` FROM types ORDER BY id DESC LIMIT 1, 1",
    "select t.*, a.* from types t left join auto a on a.id = t.id order by t.id",
    "SELECT COUNT(*), MAX(i), GROUP_CONCAT(s) FROM types GROUP BY y ORDER BY 1, 2",
    "(SELECT 1 AS a) UNION ALL (SELECT 2) ORDER BY a", "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1"
    " FROM n WHERE i < 500) SELECT SUM(i), COUNT(*) FROM n", "SELECT seq FROM shop.types, seq_1_to_3 ORDER BY 1",
    "VALUES (1, 'a'), (2, 'b')", "TABLE types", "DO 1 + 1", "SELECT 1;", " \n\t/* comment */ SELECT 2 -- end",
    "# only a comment", "", ";", "SELECT /*! 7 */", "SELECT /*M!100000 8 */, 9",
    "INSERT INTO auto (v) VALUES ('one')", "SELECT LAST_INSERT_ID()", "INSERT INTO auto (v) VALUES ('two'), ('3')",
    "SELECT LAST_INSERT_ID()", "SELECT ROW_COUNT()", "INSERT INTO auto (v) VALUES ('one')", "SHOW WARNINGS",
    "INSERT IGNORE INTO auto (v) VALUES ('one'), ('four')", "SHOW WARNINGS", "SELECT @@warning_count",
    "REPLACE INTO auto (id, v) VALUES (1, 'ONE')", "UPDATE auto SET v = CONCAT(v, '!') WHERE id < 3",
    "UPDATE auto SET v = v", "DELETE FROM auto WHERE id = 2", "SELECT * FROM auto ORDER BY id",
    "INSERT INTO auto (v) VALUES ('ret') RETURNING id, v", "DELETE FROM auto WHERE v = 'ret' RETURNING v",
    "SELECT SQL_CALC_FOUND_ROWS id FROM types LIMIT 1", "SELECT FOUND_ROWS()",
    "BEGIN", "INSERT INTO auto (v) VALUES ('in trx')", "SELECT COUNT(*) FROM auto", "ROLLBACK",
    "SELECT COUNT(*) FROM auto", "START TRANSACTION READ ONLY", "SELECT 1", "COMMIT",
    "SET @a = 5, @b := 'x'", "SELECT @a, @b", "SELECT @a := @a + 1", "SELECT @a",
    "SELECT 7, 8 INTO @c, @d", "SELECT @c + @d", "SET autocommit = 0", "SELECT COUNT(*) FROM auto",
    "COMMIT", "SET autocommit = 1", "CREATE TEMPORARY TABLE tmp_a (x INT)", "INSERT INTO tmp_a VALUES (1), (2)",
    "SELECT SUM(x) FROM tmp_a", "DROP TEMPORARY TABLE tmp_a", "SELECT 1 FROM tmp_a",
    "PREPARE p FROM 'SELECT ? + 1'", "SET @v = 41", "EXECUTE p USING @v", "DEALLOCATE PREPARE p", "EXECUTE p",
    "CREATE OR REPLACE PROCEDURE two() BEGIN SELECT 1 AS a; SELECT 2 AS b, 3 AS c; END", "CALL two()",
    "CREATE OR REPLACE FUNCTION f1(x INT) RETURNS INT NO SQL RETURN x * 2", "SELECT f1(21)",
    "SELECT GET_LOCK('basic', 1)", "SELECT RELEASE_LOCK('basic')", "SHOW TABLES", "SHOW CREATE TABLE auto",
    "SHOW COLUMNS FROM auto", "DESCRIBE types", "EXPLAIN SELECT * FROM auto WHERE id = 1",
    "SHOW VARIABLES LIKE 'sql_mode'", "SELECT @@sql_mode, @@autocommit", "SET sql_mode = 'ANSI_QUOTES'",
    'SELECT "id" FROM types ORDER BY "id"', "SELECT @@sql_mode", "SET sql_mode = DEFAULT", "SELECT \"id\"",
    "SET NAMES latin1", "SELECT 'ä', LENGTH('ä'), @@character_set_client", "SET NAMES utf8mb4", "SELECT 'ä😀'",
    "SET time_zone = '+05:00'", "SELECT FROM_UNIXTIME(0)", "SET time_zone = DEFAULT",
    "SELEC 1", "SELECT * FROM not_there", "SELECT nope FROM types", "SELECT 1/0", "SHOW WARNINGS", "SELECT f9()",
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 7777", "INSERT INTO types (id) VALUES (1)",
    "DROP TABLE not_there", "TRUNCATE TABLE auto", "ALTER TABLE auto ADD COLUMN n INT", "ALTER TABLE auto DROP n",
    "ANALYZE TABLE auto", "CHECK TABLE auto", "LOCK TABLES auto WRITE", "SELECT COUNT(*) FROM types",
    "UNLOCK TABLES", "HANDLER auto OPEN", "HANDLER auto READ FIRST", "HANDLER auto CLOSE", "GRANT ALL ON x.* TO y",
    "SELECT " + ", ".join("%d AS c%d" % (i, i) for i in range(500)),
    "SELECT * FROM types WHERE id IN (" + ",".join(map(str, range(2000))) + ") ORDER BY id",
    "SELECT REPEAT('x', 65535)", "SELECT REPEAT('y', 70000), REPEAT('z', 100)",
    "SET STATEMENT max_statement_time = 5 FOR SELECT 1", "BEGIN NOT ATOMIC SELECT 1; SELECT 2; END",
    "XA START 'x1'", "INSERT INTO auto (v) VALUES ('xa')", "XA END 'x1'", "XA ROLLBACK 'x1'",
    "SAVEPOINT s", "ROLLBACK TO s", "SELECT * FROM types PROCEDURE ANALYSE()",
]


def test_shapes():
    """Every statement gives what the server gives: rows, columns, flags, counts, ids, warnings, errors."""
    want = []
    d = direct()
    for s in SHAPES:
        want.append(outcome(d, s))
    d.close()
    reset_tables()
    c, bad = m.conn(), []
    for s, w in zip(SHAPES, want):
        got = outcome(c, s)
        if got != w:
            bad.append("%s\n      direct:  %s\n      through: %s" % (s[:120], str(w)[:600], str(got)[:600]))
    ok(not bad, "%d of %d differ:\n    %s" % (len(bad), len(SHAPES), "\n    ".join(bad[:12])))


def reset_tables():
    db[0].sql("DROP PROCEDURE IF EXISTS shop.two", "DROP FUNCTION IF EXISTS shop.f1", "DROP TABLE shop.auto",
              "CREATE TABLE shop.auto (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100) UNIQUE)")
    db[1].catch_up()


def test_shapes_on_fresh_connections():
    """The same, each statement on a connection that knows nothing of the one before."""
    stateless = [s for s in SHAPES if re.match(r"(SELECT (?!@|LAST|ROW_C|FOUND|SQL_C|.*_LOCK|7, 8 INTO)|SHOW (?!W)|\(|WITH|VALUES|DESC)", s)]
    d = direct()
    db[1].catch_up(db[0])  # with what the statements before have made of the tables
    for s in stateless:
        c = m.conn()
        same(d, c, [s])
        c.close()


def test_charsets():
    for charset in ("utf8mb4", "latin1", "cp1251", "sjis"):
        d, c = direct(charset=charset), m.conn(charset=charset)
        same(d, c, ["SELECT @@character_set_client, @@collation_connection, @@character_set_results",
                    "SELECT s, LENGTH(s) FROM types ORDER BY id"], charset)


def test_client_flags():
    """FOUND_ROWS changes what UPDATE counts; IGNORE_SPACE what parses; both belong to the connection."""
    d = db[0].conn(*APP, database="shop", client_flag=CLIENT.FOUND_ROWS)
    found, plain = m.conn(client_flag=CLIENT.FOUND_ROWS), m.conn()
    for _ in range(3):
        for c in (found, plain):
            query(c, "REPLACE INTO auto (id, v) VALUES (77, 'same')")
        with found.cursor() as a, plain.cursor() as b:
            eq((a.execute("UPDATE auto SET v = 'same' WHERE id = 77"),
                b.execute("UPDATE auto SET v = 'same' WHERE id = 77")), (1, 0), "rows matched and changed")
    same(d, found, ["UPDATE auto SET v = 'same' WHERE id = 77"])
    a, b = m.conn(client_flag=CLIENT.IGNORE_SPACE), m.conn()
    for _ in range(3):
        eq(value(a, "SELECT COUNT (*) FROM types"), 3)
        raises((1064, 1630), query, b, "SELECT COUNT (*) FROM types")


def test_multi_statements():
    sql = "SELECT 1; SELECT 2, 3; INSERT INTO auto (v) VALUES ('multi'); DELETE FROM auto WHERE v = 'multi'; SELECT 4"
    d, c = direct(client_flag=CLIENT.MULTI_STATEMENTS), m.conn(client_flag=CLIENT.MULTI_STATEMENTS)
    want, got = outcome(d, sql), outcome(c, sql)
    for r in (want, got):  # the insert id differs by nature
        r[2] = r[2][:3] + r[2][4:]
    eq(got, want)
    same(d, c, ["SELECT 1; SELEC 2; SELECT 3", "SELECT 1", "CALL two()", "SELECT ';'; SELECT 2"])
    no, text = raises(1064, query, m.conn(), "SELECT 1; SELECT 2")


def test_large_results():
    c = m.conn()
    query(c, "SET @x = 1")
    eq(value(c, "SELECT LENGTH(REPEAT('x', 40000000))"), 40000000)
    for size in (16777214, 16777215, 16777216, 33554430, 40000000):
        got = value(m.conn(), "SELECT REPEAT('abcdefgh', %d)" % (size // 8))
        eq((len(got), got[-8:]), (size // 8 * 8, "abcdefgh"), "a row of %d bytes" % size)
    rows = query(m.conn(), "SELECT seq, REPEAT('z', 100) FROM seq_1_to_200000")
    eq((len(rows), rows[-1]), (200000, (200000, "z" * 100)))


def test_large_statements():
    for size in (1000000, 1100000, 16777100, 16777215, 20000000):
        c = m.conn()
        query(c, "REPLACE INTO big VALUES (%d, '%s')" % (size, "q" * size))
        eq(value(c, "SELECT LENGTH(v) FROM big WHERE id = %d" % size), size)
        c.close()
        eq(db[0].one("SELECT LENGTH(v) FROM shop.big WHERE id = %d" % size), size)
    db[0].sql("DELETE FROM shop.big")


def test_statement_over_max_packet_size():
    m.margay["max_packet_size"] = "1M"
    m.reload()
    try:
        no, text = raises((1153, 2013, 2006), query, m.conn(), "SELECT LENGTH('%s')" % ("x" * 3000000))
        ok(no != 1153 or "max_packet_size" in text, "the error names the limit: " + text)
        eq(value(m.conn(), "SELECT LENGTH('%s')" % ("x" * 900000)), 900000)
    finally:
        del m.margay["max_packet_size"]
        m.reload()


def test_local_infile():
    """Through to the server."""
    path = m.dir + "/data.csv"
    with open(path, "w") as f:
        f.write("".join("%d,line %d\n" % (i, i) for i in range(1000, 3000)))
    sql = "LOAD DATA LOCAL INFILE '%s' INTO TABLE big FIELDS TERMINATED BY ','" % path
    c = m.conn(local_infile=True)
    query(c, "DELETE FROM big WHERE id >= 1000")
    query(c, sql)
    eq(value(c, "SELECT COUNT(*) FROM big WHERE id BETWEEN 1000 AND 2999"), 2000)
    query(c, "DELETE FROM big WHERE id >= 1000")


def test_command_line_client():
    def cli(port, *words, **kw):
        return subprocess.run(["mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(port), "-u", APP[0],
                               "-p" + APP[1], *words], capture_output=True, text=True, errors="replace",
                              timeout=60 * SLOW, **kw)
    for words in (["-e", "SELECT * FROM types\\G", "shop"], ["-t", "-e", "SHOW TABLES", "shop"],
                  ["-vv", "-e", "SELECT 1; UPDATE auto SET v=v; SELECT nope", "shop"], ["nowhere"],
                  ["--skip-column-names", "-e", "SELECT 1; SELECT 2; USE other; SELECT DATABASE()"]):
        want, got = cli(db[0].port, *words), cli(m.port, *words)
        hide = lambda s: re.sub(r"\d+\.\d+ sec", "T", s)
        eq((got.returncode, hide(got.stdout), got.stderr), (want.returncode, hide(want.stdout), want.stderr), words)
    r = cli(m.port, "shop", input="SELECT 1;\nSELECT 2;\nSELECT COUNT(*) FROM types;\n")
    eq((r.returncode, r.stdout), (0, "1\n1\n2\n2\nCOUNT(*)\n3\n"))


def psclient(host_port, script, user=APP):
    prog = os.path.join(BUILD, "t", "bin", "psclient")
    if not os.path.exists(prog):
        skip("t/bin/psclient is not built")
    r = subprocess.run([prog, "127.0.0.1", str(host_port), user[0], user[1], "shop"], input="\n".join(script) + "\n",
                       capture_output=True, text=True, errors="replace", timeout=60 * SLOW)
    if r.returncode:
        raise Failed("psclient: exit %d\n%s%s" % (r.returncode, r.stdout[-2000:], r.stderr))
    return r.stdout


PREPARED = [
    ["prepare 0 SELECT ? + 1 AS a, ? AS b, ? AS c", "exec 0 i:41 s:x z", "exec 0 i:1 f:1.5 s:y", "close 0"],
    ["prepare 0 SELECT * FROM types WHERE id = ?", "exec 0 i:1", "exec 0 i:2", "exec 0 i:3", "exec 0 i:4"],
    ["prepare 0 INSERT INTO auto (v) VALUES (?)", "prepare 1 SELECT COUNT(*) FROM auto WHERE v LIKE ?",
     "exec 0 s:ps1", "exec 1 s:ps%", "exec 0 s:ps1", "exec 0 s:ps2", "exec 1 s:ps%", "query SHOW WARNINGS",
     "query DELETE FROM auto WHERE v LIKE 'ps%'"],
    ["prepare 0 SELEC", "exec 0", "prepare 0 SELECT * FROM not_there", "prepare 0 SELECT 1", "exec 0"],
    ["prepare 0 SELECT LENGTH(?), LEFT(?, 5)", "long 0 0 1000000", "exec 0 b: s:abcdefgh", "exec 0 b:xy s:abc",
     "long 0 0 10", "reset 0", "exec 0 b:z s:q"],
    ["prepare 0 SELECT seq FROM seq_1_to_10", "cursor 0 3", "exec 0", "first 0 4", "query SELECT 'between'",
     "first 0 3", "first 0 10", "exec 0", "first 0 2", "reset 0", "exec 0", "first 0 1", "close 0", "ping"],
    ["prepare 0 CALL two()", "exec 0", "exec 0"],
    ["query BEGIN", "prepare 0 INSERT INTO auto (v) VALUES (?)", "exec 0 s:t1", "query ROLLBACK",
     "prepare 1 SELECT COUNT(*) FROM auto WHERE v = 't1'", "exec 1"],
    ["prepare 0 SELECT @u", "query SET @u = 5", "exec 0", "query SET @u = 6", "exec 0"],
    ["prepare 0 SELECT ?", "prepare 1 SELECT ?, ?", "exec 1 i:1 i:2", "exec 0 i:3", "close 0", "exec 1 i:4 i:5",
     "prepare 0 SELECT 9", "exec 0"],
    ["prepare 0 SELECT REPEAT('x', ?)", "exec 0 i:70000", "exec 0 i:200000", "exec 0 i:3"],
    ["db other", "query SELECT DATABASE()", "ping", "query SELECT 1; SELECT 2; SELECT nope; SELECT 3",
     "query CALL shop.two()"],
    ["prepare 0 SELECT DATABASE()", "exec 0", "db other", "exec 0", "prepare 1 SELECT DATABASE()", "exec 1"],
    ["query SET @k = 1", "query CREATE TEMPORARY TABLE tr (a INT)", "resetconn", "query SELECT @k",
     "query SELECT * FROM tr", "query SELECT DATABASE()"],
    ["prepare 0 UPDATE auto SET v = v WHERE id = ?", "exec 0 i:1", "prepare 1 DELETE FROM auto WHERE id = ?",
     "exec 1 i:99999", "prepare 2 SET @z = ?", "exec 2 i:3", "query SELECT @z"],
    ["prepare 0 SELECT COUNT(*) FROM auto FOR UPDATE", "exec 0", "prepare 1 BEGIN", "exec 1", "prepare 2 COMMIT",
     "exec 2"],
]


def test_prepared_statements():
    query(direct(), SHAPES[SHAPES.index("CALL two()") - 1])
    db[1].catch_up()
    for script in PREPARED:
        want = psclient(db[0].port, script)
        reset = [s for s in ("TRUNCATE TABLE shop.auto",) if any("auto" in line for line in script)]
        reset and db[0].sql(*reset)
        again = psclient(db[0].port, script)  # what an empty table gives
        reset and db[0].sql(*reset)
        got = psclient(m.port, script)
        eq(got, again if reset else want, "; ".join(script)[:150])


def test_prepared_many():
    """More statements than one server connection keeps; all stay usable."""
    m.server["max_prepared"] = 4
    m.reload()
    try:
        script = ["prepare %d SELECT %d + ?" % (i, i * 100) for i in range(12)]
        for rounds in range(3):
            script += ["exec %d i:%d" % (i, rounds) for i in range(12)]
        eq(psclient(m.port, script), psclient(db[0].port, script))
    finally:
        del m.server["max_prepared"]
        m.reload()


if __name__ == '__main__':
    main()
