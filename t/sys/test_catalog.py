#!/usr/bin/python3 -B
"""The catalogue: what health reads of tables and functions from real servers, as margay-stat -t shows it: definitions, DDL through
Margay and behind its back, shards that differ, functions that leave something behind, crashes, reloads."""
from margaytest import *
import json

TYPES = """CREATE TABLE {} (
 id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT, ti TINYINT(1), si SMALLINT UNSIGNED ZEROFILL, mi MEDIUMINT, i INT DEFAULT 5, de DECIMAL(20,6) NOT NULL DEFAULT 0.5,
 fl FLOAT, dbl DOUBLE(10,2), bi BIT(13), d DATE, t TIME(3), dt DATETIME(6), ts TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
 y YEAR, c CHAR(10) CHARACTER SET latin1 COLLATE latin1_german2_ci NOT NULL, vc VARCHAR(200) COLLATE utf8mb4_bin, tx TEXT, mt MEDIUMTEXT CHARACTER SET ucs2,
 b BINARY(16), vb VARBINARY(300), bl LONGBLOB, e ENUM('a','it''s','c') COLLATE utf8mb4_swedish_ci DEFAULT 'c', s SET('x','y'), js JSON, u UUID, ip INET6,
 g GEOMETRY NOT NULL, v INT GENERATED ALWAYS AS (i + 1) VIRTUAL, st BIGINT AS (i * 2) STORED, inv INT INVISIBLE DEFAULT 7, ` odd ``name` INT,
 PRIMARY KEY (id, c), UNIQUE KEY uq (vc(20), i), KEY d1 (de DESC, d), FULLTEXT KEY ft (tx), SPATIAL KEY sp (g), KEY st (st)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci"""

CLUSTER = "[cluster %s]\ntopology = standalone\nservers = %s\nmonitor_user = %s\nmonitor_password = %s\nprobe_interval = 100ms\ncatalog_interval = %s\n"


def sections(interval="1h"):
    """The second and third server as clusters of their own; s0 and s3 lie on the first."""
    out = []
    for d in db[1:]:
        out += ["[server %s]\naddress = 127.0.0.1:%d\n" % (d.name, d.port), CLUSTER % (("c" + d.name, d.name) + MONITOR + (interval,))]
    out += ["[schema shop]\nshard = s0\n"]
    for i, (cluster, base) in enumerate([("main", "shop_0"), ("c" + db[1].name, "shop_1"), ("c" + db[2].name, "shop_2"), ("main", "shop_3")]):
        out += ["[shard s%d]\ncluster = %s\ndatabase = %s\n" % (i, cluster, base)]
    return "\n" + "\n".join(out)


def table(name, kind="sharded", shards="s0..s3", key="id"):
    return "[table shop.%s]\nkind = %s\nshards = %s\n" % (name, kind, shards) + ("key = %s\n" % key if kind == "sharded" else "")


HOMES = [(0, "shop_0"), (1, "shop_1"), (2, "shop_2"), (0, "shop_3")]


def everywhere(sql):
    """On all shards; {} stands for the table's database."""
    for server, base in HOMES:
        db[server].sql("USE " + base, sql)


def setup():
    global db
    db = [MariaDB("db%d" % i, binlog=False, start=False) for i in range(3)]
    for d in db:
        d.start(wait=False)
    for d in db:
        d.wait_up()
        accounts(d)
    for server, base in HOMES:
        db[server].sql("CREATE DATABASE " + base, "GRANT ALL ON %s.* TO %s@'%%'" % (base, APP[0]))


def margay(interval="1h", tables="", name="margay", **kw):
    return Margay(db[:1], name=name, cluster={"catalog_interval": interval, **kw.pop("cluster", {})}, extra=sections(interval) + tables,
                  users={APP[0]: {"password": APP[1]}, "app1": {"password": APP[1], "backend_user": APP[0], "cluster": "c" + db[1].name}}, **kw)


def catalog(m):
    r = m.stat_text("-j", "-t")
    eq(r.returncode, 0, r.stderr)
    return json.loads(r.stdout)["catalog"]


def table_of(m, name):
    return next((t for t in (catalog(m) or {"tables": []})["tables"] if t["name"] == name), None)


def cluster_of(m, name="main"):
    return next((c for c in (catalog(m) or {"clusters": []})["clusters"] if c["name"] == name), None)


def wait_table(m, name, what, timeout=15):
    """Waits until the table is known and current everywhere and what(it) holds."""
    def good():
        t = table_of(m, name)
        return t and t["known"] and all(c["current"] for c in catalog(m)["clusters"]) and what(t) and t
    return wait_for(good, timeout, lambda: "table %s: %s" % (name, json.dumps(table_of(m, name))[:3000]))


def column_names(t):
    return [c["name"] for c in t["columns"]]


def health_counter(m, name):
    return m.stat()["health"]["counters"][name]


def test_definitions():
    """Every column and key is what information_schema says on the server itself."""
    everywhere(TYPES.format("types"))
    m = margay(tables=table("types"))
    t = wait_table(m, "types", lambda t: t["agrees"])
    eq([(s["name"], s["database"], s["state"]) for s in t["shards"]], [("s%d" % i, "shop_%d" % i, "same") for i in range(4)])
    eq((t["engine"], t["collation"], t["type"], t["differences"]), ("InnoDB", "utf8mb4_unicode_ci", "BASE TABLE", []))
    want = db[0].sql("SELECT column_name, data_type, column_type, character_set_name, collation_name FROM information_schema.columns WHERE table_schema='shop_0' "
                     "AND table_name='types' ORDER BY ordinal_position")
    eq([(c["name"], c["data_type"], c["type"], c["charset"], c["collation"]) for c in t["columns"]], [tuple(r) for r in want])
    flags = {c["name"]: c["is"] for c in t["columns"]}
    eq({k: flags[k] for k in ("id", "ti", "de", "ts", "c", "v", "st", "inv")},
       {"id": "not-null auto-increment", "ti": "null default", "de": "not-null default", "ts": "not-null default on-update", "c": "not-null",
        "v": "null generated", "st": "null generated", "inv": "null default invisible"})
    eq(sorted((k["name"], k["unique"], k["type"], k["columns"]) for k in t["keys"]),
       sorted([("PRIMARY", True, "BTREE", "id, c"), ("uq", True, "BTREE", "vc(20), i"), ("d1", False, "BTREE", "de desc, d"), ("ft", False, "FULLTEXT", "tx"),
               ("sp", False, "SPATIAL", "g(32)"), ("st", False, "BTREE", "st")]))
    text = m.stat_text("-t")
    eq(text.returncode, 0)
    for word in ("shop.types", "varchar(200)", "latin1_german2_ci", "vc(20), i", "current"):
        ok(word in text.stdout, "%s in %s" % (word, text.stdout))
    m.stop()


def test_ddl_through_margay():
    """Nothing is believed from the moment that DDL is sent; then what there is now. The interval is an hour, so that nothing
    but the statement itself can be the cause."""
    everywhere("CREATE TABLE d (id INT PRIMARY KEY, a INT)")
    m = margay(tables=table("d", shards="s0, s1"))
    wait_table(m, "d", lambda t: t["agrees"])
    changes = [("ALTER TABLE d ADD COLUMN b INT", ["id", "a", "b"]), ("/* x */ ALTER TABLE d DROP COLUMN b", ["id", "a"]),
               ("EXECUTE IMMEDIATE 'ALTER TABLE d ADD COLUMN c INT'", ["id", "a", "c"]), ("CALL change_d()", ["id", "a"]),
               ("RENAME TABLE d TO d2; CREATE TABLE d (id INT PRIMARY KEY, z INT); DROP TABLE d2", ["id", "z"]),
               ("CREATE OR REPLACE TABLE d (id INT PRIMARY KEY, a INT)", ["id", "a"])]
    db[0].sql("CREATE PROCEDURE shop_0.change_d() ALTER TABLE d DROP COLUMN c")
    c = m.conn(database="shop_0", client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS)
    for sql, names in changes:
        health = m.health_pid()
        os.kill(health, signal.SIGSTOP)
        try:
            with c.cursor() as cur:
                cur.execute(sql)
                while cur.nextset():
                    pass
            eq((cluster_of(m)["current"], cluster_of(m, "c" + db[1].name)["current"]), (False, True), sql)
        finally:
            os.kill(health, signal.SIGCONT)
        wait_table(m, "d", lambda t: column_names(t) == names)
    # what can change no definition costs no reading
    wait_for(lambda: cluster_of(m)["current"], 10, "it to be current")
    reads = health_counter(m, "catalog_reads")
    for sql in ("INSERT INTO d VALUES (1,1)", "UPDATE d SET a=2", "SELECT * FROM d", "CREATE TEMPORARY TABLE tmp (a INT)", "DROP TEMPORARY TABLE tmp",
                "SET @x=1", "BEGIN", "DELETE FROM d", "COMMIT", "LOCK TABLES d WRITE", "UNLOCK TABLES", "SELECT 1; SELECT 2"):
        with c.cursor() as cur:
            cur.execute(sql)
            while cur.nextset():
                pass
        ok(cluster_of(m)["current"], sql)
    eq(health_counter(m, "catalog_reads"), reads)
    # prepared, and one that fails half-way
    import raw
    r = raw.Raw(m.port, *APP)
    r.exchange(b"\x02shop_0")
    sid = r.prepared("ALTER TABLE d ADD COLUMN p INT")
    time.sleep(0.3)
    eq(health_counter(m, "catalog_reads"), reads, "a PREPARE")
    r.exchange(raw.execute(sid, []))
    r.close()
    wait_table(m, "d", lambda t: column_names(t) == ["id", "a", "p"])
    ok(health_counter(m, "catalog_reads") > reads, "an EXECUTE")
    m.stop()


def test_ddl_behind_margay():
    everywhere("CREATE TABLE e (id INT PRIMARY KEY)")
    m = margay("300ms", table("e", shards="s0..s2"))
    wait_table(m, "e", lambda t: t["agrees"])
    everywhere("ALTER TABLE e ADD COLUMN n VARCHAR(3)")
    wait_table(m, "e", lambda t: t["agrees"] and column_names(t) == ["id", "n"])
    m.stop()


DIFFERENT = [
    ("ALTER TABLE f MODIFY a BIGINT", "column a: type bigint(20), on s0 int(11)"), ("ALTER TABLE f MODIFY a INT NOT NULL", "column a: NOT NULL, on s0 NULL"),
    ("ALTER TABLE f MODIFY b VARCHAR(10) COLLATE utf8mb4_bin", "column b: collation utf8mb4_bin, on s0 utf8mb4_general_ci"),
    ("ALTER TABLE f DROP COLUMN b", "column b is missing"), ("ALTER TABLE f ADD COLUMN x INT", "column x is not on s0"),
    ("ALTER TABLE f MODIFY a INT AFTER b", "columns are in another order than on s0"), ("ALTER TABLE f ALTER a SET DEFAULT 3", "column a: default 3, on s0 NULL"),
    ("ALTER TABLE f ENGINE=MyISAM", "engine MyISAM, on s0 InnoDB"), ("ALTER TABLE f DROP KEY k", "key k is missing"),
    ("ALTER TABLE f DROP KEY k, ADD UNIQUE KEY k (a, b)", "key k: UNIQUE BTREE (a, b), on s0 BTREE (a, b)"),
    ("ALTER TABLE f DROP KEY k, ADD KEY k (a, b(3))", "key k: BTREE (a, b(3)), on s0 BTREE (a, b)"), ("ALTER TABLE f ADD KEY l (b)", "key l is not on s0"),
    ("ALTER TABLE f COLLATE utf8mb4_bin", "collation utf8mb4_bin, on s0 utf8mb4_general_ci"), ("DROP TABLE f", "the table is missing"),
    ("RENAME TABLE f TO f_; CREATE VIEW f AS SELECT * FROM f_", "type VIEW, on s0 BASE TABLE"), ("DROP DATABASE shop_1", "the table is missing")]


def test_shards_differ():
    """Each difference is told once, with its shard; and so is its end."""
    make = "CREATE OR REPLACE TABLE f (id INT PRIMARY KEY, a INT, b VARCHAR(10), KEY k (a, b)) COLLATE utf8mb4_general_ci"
    everywhere(make)
    m = margay("200ms", table("f", shards="s0..s2"))
    wait_table(m, "f", lambda t: t["agrees"])
    eq(health_counter(m, "catalog_differing"), 0)
    ok("differ" not in m.ctl("status").stdout, "status")
    for change, told in DIFFERENT:
        start = len(m.log_text())
        db[1].sql("USE shop_1", *change.split("; "))
        t = wait_table(m, "f", lambda t: any(d["text"] == told for d in t["differences"]))
        eq({d["shard"] for d in t["differences"]}, {"s1"}, change)
        ok(not t["agrees"] and [s["state"] for s in t["shards"]] == ["same", "missing" if "missing" in told and "table" in told else "differs", "same"], t)
        eq(health_counter(m, "catalog_differing"), 1)
        m.wait_log(re.escape("table shop.f: shard s1: " + told), start=start)
        ok("1 of 1 differ" in m.ctl("status").stdout, "status")
        ok(told in m.stat_text("-t").stdout, told)
        reads = health_counter(m, "catalog_reads")
        wait_for(lambda: health_counter(m, "catalog_reads") > reads + 6, 10, "it to be read again")
        eq(m.log_text()[start:].count(told), 1, "told once")
        db[1].sql("CREATE DATABASE IF NOT EXISTS shop_1", "USE shop_1", "DROP TABLE IF EXISTS f_", "DROP VIEW IF EXISTS f", make)
        wait_table(m, "f", lambda t: t["agrees"] and t["differences"] == [])
        m.wait_log("table shop.f: its shards agree again", start=start)
        eq(health_counter(m, "catalog_differing"), 0)
    m.stop()


def test_no_privilege_on_a_shard():
    everywhere("CREATE OR REPLACE TABLE p (id INT PRIMARY KEY)")
    db[2].sql("REVOKE SELECT ON *.* FROM %s@'%%'" % MONITOR[0])
    m = margay("200ms", table("p", shards="s0..s2", key="nothing"))
    t = wait_table(m, "p", lambda t: t["differences"])
    eq([s["state"] for s in t["shards"]], ["differs", "same", "denied"])
    eq([(d["shard"], d["text"]) for d in t["differences"]],
       [("s2", "monitor_user may not see it: it needs SELECT there"), ("s0", "its key, the column nothing, is missing")])
    db[2].sql("GRANT SELECT ON *.* TO %s@'%%'" % MONITOR[0])
    wait_table(m, "p", lambda t: [s["state"] for s in t["shards"]] == ["differs", "same", "same"])
    m.stop()


FUNCTIONS = [  # verdict, characteristics and body
    ("harmless", "NO SQL RETURN 1"), ("harmless", "DETERMINISTIC NO SQL RETURN CONCAT(p, 'x')"), ("harmless", "READS SQL DATA RETURN (SELECT MAX(id) FROM shop.g)"),
    ("harmless", "NO SQL BEGIN DECLARE i INT DEFAULT 0; WHILE i < 5 DO SET i = i + 1; END WHILE; SET p = i; RETURN p; END"),
    ("harmless", "READS SQL DATA BEGIN DECLARE v INT; SELECT id INTO v FROM shop.g WHERE id = p LIMIT 1; RETURN v; END"),
    ("declared", "RETURN 1"), ("declared", "CONTAINS SQL RETURN 1"), ("declared", "MODIFIES SQL DATA RETURN 1"),
    ("variable", "NO SQL BEGIN SET @x = 1; RETURN 1; END"), ("variable", "NO SQL RETURN @x := 5"), ("variable", "NO SQL RETURN @@server_id"),
    ("variable", "NO SQL BEGIN SET sql_mode = ''; RETURN 1; END"), ("variable", "NO SQL BEGIN SET GLOBAL max_connections = 400; RETURN 1; END"),
    ("variable", "READS SQL DATA BEGIN SELECT 1 INTO @x; RETURN 1; END"), ("effect", "NO SQL RETURN GET_LOCK('a', 0)"),
    ("effect", "NO SQL RETURN shop.f0(p)"), ("effect", "READS SQL DATA RETURN (SELECT MAX(shop.f0(id)) FROM shop.g)"),
    ("effect", "READS SQL DATA RETURN NEXTVAL(shop.sq)"), ("effect", "READS SQL DATA RETURN (SELECT COUNT(*) FROM information_schema.tables)"),
    ("effect", "NO SQL RETURN LAST_INSERT_ID(5)"), ("effect", "NO SQL RETURN CONNECTION_ID()"),
    ("effect", "READS SQL DATA BEGIN DECLARE v INT; SELECT id INTO v FROM shop.g LIMIT 1 FOR UPDATE; RETURN v; END"),
    ("statement", "READS SQL DATA BEGIN INSERT INTO shop.g VALUES (99); RETURN 1; END"), ("statement", "NO SQL BEGIN CREATE TEMPORARY TABLE x (a INT); RETURN 1; END"),
    ("statement", "NO SQL BEGIN CALL shop.pr(); RETURN 1; END"), ("statement", "NO SQL BEGIN DO SLEEP(0); RETURN 1; END"),
    ("long", "NO SQL RETURN /* %s */ 1" % ("x" * 70000))]


def verdicts(m, cluster="main"):
    c = cluster_of(m, cluster)
    return {f["name"]: f["verdict"] for f in c["functions"] if f["schema"] == "shop"} if c and c["functions_known"] and c["current"] else {}


def make_functions(d):
    d.sql("CREATE OR REPLACE TABLE shop.g (id INT PRIMARY KEY)", "CREATE OR REPLACE SEQUENCE shop.sq", "CREATE OR REPLACE PROCEDURE shop.pr() SELECT 1 INTO @y")
    c = d.conn(database="shop")
    for i, (_, body) in enumerate(FUNCTIONS):
        query(c, "CREATE OR REPLACE FUNCTION f%d(p VARCHAR(20)) RETURNS VARCHAR(20) %s" % (i, body))
    for mode in ("ANSI_QUOTES", "IGNORE_SPACE", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT"):
        query(c, "SET sql_mode = '%s'" % mode)
        query(c, "CREATE OR REPLACE FUNCTION m_%s() RETURNS INT NO SQL RETURN 1" % mode)
    query(c, "SET sql_mode = 'ORACLE'")
    query(c, "CREATE OR REPLACE FUNCTION m_oracle RETURN INT NO SQL AS BEGIN RETURN 1; END")
    query(c, "SET sql_mode = ''")
    query(c, "CREATE OR REPLACE AGGREGATE FUNCTION agg(p INT) RETURNS INT NO SQL BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN 1; LOOP FETCH GROUP NEXT ROW; END LOOP; END")
    c.close()


def test_functions():
    make_functions(db[0])
    m = margay()
    wait_for(lambda: verdicts(m), 15, lambda: "functions: %s" % cluster_of(m))
    got = verdicts(m)
    eq([(v, got["f%d" % i], body[:100]) for i, (v, body) in enumerate(FUNCTIONS) if got["f%d" % i] != v], [], "wanted, got")
    eq({k: v for k, v in got.items() if k.startswith("m_")}, {"m_" + k: "sql-mode" for k in ("ANSI_QUOTES", "IGNORE_SPACE", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "oracle")})
    eq(got["agg"], "aggregate")
    text = m.stat_text("-t").stdout
    ok("shop.f0" in text and "harmless" in text and "leaves nothing behind" in text, text)
    # changed through Margay, seen at once; in any way that leaves the name
    c = m.conn()
    for sql, verdict in [("ALTER FUNCTION f0 MODIFIES SQL DATA", "declared"), ("ALTER FUNCTION f0 NO SQL", "harmless"),
                         ("CREATE OR REPLACE FUNCTION f0(p INT) RETURNS INT NO SQL BEGIN SET @z = 1; RETURN 1; END", "variable"), ("DROP FUNCTION f0", None),
                         ("CREATE FUNCTION f0(p INT) RETURNS INT NO SQL RETURN p", "harmless")]:
        query(c, sql)
        wait_for(lambda: verdicts(m) and verdicts(m).get("f0") == verdict, 10, lambda: "%s: %s" % (sql, verdicts(m).get("f0")))
    m.stop()


def test_functions_without_privilege():
    make_functions(db[0])
    db[0].sql("REVOKE SELECT ON *.* FROM %s@'%%'" % MONITOR[0])
    try:
        m = margay("200ms")
        wait_for(lambda: cluster_of(m) and cluster_of(m)["functions_known"], 15, "functions")
        ok("harmless" not in verdicts(m).values(), verdicts(m))
        db[0].sql("GRANT EXECUTE ON shop.* TO %s@'%%'" % MONITOR[0])  # names may be seen then, bodies not
        wait_for(lambda: verdicts(m).get("f0") == "hidden", 10, lambda: "hidden: %s" % verdicts(m))
        ok("harmless" not in verdicts(m).values(), verdicts(m))
        db[0].sql("GRANT SELECT ON mysql.proc TO %s@'%%'" % MONITOR[0])  # but a loadable function may have that name
        wait_for(lambda: verdicts(m).get("f0") == "loadable", 10, lambda: "loadable: %s" % verdicts(m))
        ok("harmless" not in verdicts(m).values(), verdicts(m))
        db[0].sql("GRANT SELECT ON mysql.func TO %s@'%%'" % MONITOR[0])
        wait_for(lambda: verdicts(m).get("f0") == "harmless", 10, lambda: "harmless: %s" % verdicts(m))
        m.stop()
    finally:
        db[0].sql("GRANT SELECT ON *.* TO %s@'%%'" % MONITOR[0])


def test_functions_of_replicas():
    """Harmless is what is so on every server that may run it."""
    r = replication_set(1)
    r[0].sql("CREATE FUNCTION shop.a() RETURNS INT NO SQL RETURN 1", "CREATE FUNCTION shop.b() RETURNS INT NO SQL RETURN 1")
    r[1].catch_up()
    m = Margay(r, name="repl", cluster={"catalog_interval": "300ms"})
    wait_for(lambda: verdicts(m) == {"a": "harmless", "b": "harmless"}, 15, lambda: "both: %s" % verdicts(m))
    r[1].sql("SET sql_log_bin=0", "DROP FUNCTION shop.a", "CREATE OR REPLACE FUNCTION shop.b() RETURNS INT NO SQL BEGIN SET @b = 1; RETURN 1; END")
    wait_for(lambda: verdicts(m) == {"a": "unknown", "b": "variable"}, 15, lambda: "as on the replica: %s" % verdicts(m))
    r[1].stop()
    wait_for(lambda: verdicts(m) == {"a": "harmless", "b": "harmless"}, 15, lambda: "without it: %s" % verdicts(m))
    # when it comes back nothing is believed before it was looked at
    r[1].start()
    wait_for(lambda: m.server_states()[r[1].name]["state"] == "up", 30, "the replica")
    wait_for(lambda: verdicts(m) in ({}, {"a": "unknown", "b": "variable"}), 10, lambda: "with it again: %s" % verdicts(m))
    wait_for(lambda: verdicts(m) == {"a": "unknown", "b": "variable"}, 15, lambda: "with it again: %s" % verdicts(m))
    # another primary: what it has counts
    r[0].kill()
    r[1].promote()
    wait_for(lambda: verdicts(m) == {"b": "variable"}, 30, lambda: "of the new primary: %s" % verdicts(m))
    m.stop()


def test_health_killed():
    everywhere("CREATE OR REPLACE TABLE h (id INT PRIMARY KEY)")
    m = margay("300ms", table("h"))
    wait_table(m, "h", lambda t: t["agrees"])
    for i in range(3):
        pid = m.health_pid()
        os.kill(pid, signal.SIGKILL)
        eq(column_names(table_of(m, "h")), ["id"] + ["c%d" % k for k in range(i)])  # what was published stands
        everywhere("ALTER TABLE h ADD COLUMN c%d INT" % i)
        wait_table(m, "h", lambda t: t["agrees"] and column_names(t) == ["id"] + ["c%d" % k for k in range(i + 1)], 30)
        ok(m.health_pid() not in (None, pid), "another process")
    m.stop()


def test_worker_killed():
    """A worker that dies while it runs DDL does not live to tell of its end."""
    everywhere("CREATE OR REPLACE TABLE w (id INT PRIMARY KEY)")
    m = margay(tables=table("w", shards="s0"))
    wait_table(m, "w", lambda t: t["agrees"])
    hold = db[0].conn()
    query(hold, "LOCK TABLES shop_0.w WRITE")
    c = m.conn(database="shop_0")
    c._execute_command(3, "ALTER TABLE w ADD COLUMN a INT")
    wait_for(lambda: db[0].sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE w %'")[0][0], 10, "it to run")
    wait_table(m, "w", lambda t: column_names(t) == ["id"])  # read while it waits
    reads = health_counter(m, "catalog_reads")
    os.kill(m.worker_pids()[0], signal.SIGKILL)
    wait_for(lambda: health_counter(m, "catalog_reads") > reads, 15, "a look when its connection was ended")
    hold.close()
    wait_for(lambda: m.worker_pids() and m.ctl("status").returncode == 0, 15, "another worker")
    query(m.conn(database="shop_0"), "ALTER TABLE w ADD COLUMN b INT")
    wait_table(m, "w", lambda t: "b" in column_names(t))
    m.stop()


def test_reload():
    everywhere("CREATE OR REPLACE TABLE r1 (id INT PRIMARY KEY)")
    everywhere("CREATE OR REPLACE TABLE r2 (id INT PRIMARY KEY, x INT)")
    m = margay(tables=table("r1"))
    wait_table(m, "r1", lambda t: t["agrees"])
    eq(table_of(m, "r2"), None)
    m.extra = sections() + table("r1") + table("r2", "global", "s0..s1")
    m.reload()
    ok(table_of(m, "r1")["known"], "what was known stays known")
    t = wait_table(m, "r2", lambda t: t["agrees"])
    eq((t["kind"], len(t["shards"]), t["key"]), ("global", 2, None))
    m.extra = sections() + table("r2", "single", "s2")
    m.reload()
    t = wait_table(m, "r2", lambda t: t["agrees"] and t["kind"] == "single")
    eq([s["name"] for s in t["shards"]], ["s2"])
    eq(table_of(m, "r1"), None)
    m.extra = sections() + table("r2", shards="s0..s9")
    r = m.reload(ok_wanted=False)
    ok(r.returncode != 0 and "there is no [shard s4]" in r.stdout + r.stderr, r.stdout + r.stderr)
    m.cluster["catalog_interval"] = "0"
    m.extra = sections("0") + table("r2", shards="s0")
    m.reload()
    wait_for(lambda: table_of(m, "r2") and not table_of(m, "r2")["known"], 10, "it to be unknown when nothing is read")
    m.stop()


def test_room():
    """What does not fit is counted; what is there is right."""
    n = 120
    c = db[0].conn(database="shop_0")
    for i in range(n):
        query(c, "CREATE OR REPLACE TABLE big%03d (id INT PRIMARY KEY, a INT, b INT, c INT, d VARCHAR(30), e VARCHAR(30))" % i)
    m = margay(tables="".join(table("big%03d" % i, shards="s0") for i in range(n)), margay={"catalog_size": "64k"})
    wait_table(m, "big000", lambda t: t["agrees"])
    k = catalog(m)
    ok(0 < len(k["tables"]) < n and k["bytes"] <= 65536, "%d tables, %d bytes" % (len(k["tables"]), k["bytes"]))
    ok(k["omitted"] >= n - len(k["tables"]), k["omitted"])
    eq(health_counter(m, "catalog_omitted"), k["omitted"])
    eq(len(m.log_text().split("do not fit")), 2)
    ok(all(column_names(t) == ["id", "a", "b", "c", "d", "e"] for t in k["tables"]), "columns")
    m.stop()


if __name__ == '__main__':
    main()
