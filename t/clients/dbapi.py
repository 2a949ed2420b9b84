"""Work of a client of Python's DB API: dbapi.py pymysql|MySQLdb HOST PORT USER PASSWORD. Prints what it sees."""
import datetime
import decimal
import hashlib
import importlib
import os
import queue
import sys
import threading

lib = importlib.import_module(sys.argv[1])
cursors = importlib.import_module(sys.argv[1] + ".cursors")
have = os.environ.get("HAVE", "").split()


def connect(**kw):
    args = dict(host=sys.argv[2], port=int(sys.argv[3]), user=sys.argv[4], password=sys.argv[5], database="shop",
                charset="utf8mb4")
    args.update(kw)
    return lib.connect(**args)


def show(step, *what):
    print(step, *[repr(w) for w in what], flush=True)


def run(c, sql, args=None, many=False):
    """Everything that is to be seen of one statement."""
    step = sql[:60]
    cur = c.cursor()
    try:
        cur.executemany(sql, args) if many else cur.execute(sql, args)
        while True:
            show(step, cur.description, cur.fetchall() if cur.description else None, cur.rowcount, cur.lastrowid)
            if not cur.nextset():
                break
    except lib.MySQLError as e:
        show(step, type(e).__name__, e.args)
    cur.close()


def login():
    for kw in ({"password": "wrong"}, {"user": "nobody"}, {"database": "nowhere"}):
        try:
            connect(**kw)
        except lib.MySQLError as e:
            show("login", sorted(kw), e.args)
    c = connect(init_command="SET @init = 'done', time_zone = '+03:00'")
    run(c, "SELECT @init, @@time_zone, @@character_set_client, @@collation_connection, DATABASE()")
    show("info", c.get_server_info(), c.character_set_name(), c.get_host_info().startswith("127") or "socket")
    c.close()
    c = connect(database="", charset="latin1")
    run(c, "SELECT DATABASE(), @@character_set_results, 'caf\xe9', HEX('caf\xe9')")
    c.select_db("other")
    run(c, "SELECT DATABASE()")
    c.close()


ROW = dict(ti=-128, si=-32768, mi=8388607, bi=-2 ** 63, ub=2 ** 64 - 1, f=1.5, d=2.25e-300,
           de=decimal.Decimal("12345678901234567890.0123456789"), da=datetime.date(1999, 12, 31),
           tm=datetime.timedelta(hours=-838, microseconds=999999), dt=datetime.datetime(2038, 1, 19, 3, 14, 7, 999999),
           ts=datetime.datetime(2020, 2, 29, 12, 0), yr=2155, ch="a\u00e9\U0001f600", vc="o'neil \\ \"x\" \U0001f40b%_",
           tx="x" * 70000, bl=bytes(range(256)), bn=b"\0\xff'\\", bt=b"\x0a\xbc", en="b", st="x,z", js='{"a": [1, null]}')


def values(c):
    names = ", ".join(ROW)
    run(c, "INSERT INTO types (%s) VALUES (%s)" % (names, ", ".join(["%s"] * len(ROW))), list(ROW.values()))
    run(c, "INSERT INTO types (%s) VALUES (%s)" % (names, ", ".join(["%s"] * len(ROW))), [None] * len(ROW))
    run(c, "INSERT INTO types () VALUES (), (), ()")
    run(c, "SELECT * FROM types ORDER BY id")
    run(c, "SELECT vc FROM types WHERE vc = %s", [ROW["vc"]])
    run(c, "SELECT %s, %s, %s", [None, True, "\u20ac"])
    c.commit()
    blob = os.urandom(1) * 3000000
    run(c, "REPLACE INTO big VALUES (1, %s)", [blob])
    c.commit()
    with c.cursor() as cur:
        cur.execute("SELECT b, MD5(b) FROM big WHERE id = 1")
        b, md5 = cur.fetchone()
        show("blob", len(b), hashlib.md5(b).hexdigest() == md5 and b == blob)


def transactions(c):
    c.autocommit(False)
    run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)")
    run(c, "SELECT LAST_INSERT_ID()")
    c.rollback()
    run(c, "SELECT COUNT(*) FROM uniq")
    run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)")
    run(c, "SAVEPOINT s")
    run(c, "DELETE FROM uniq WHERE k = 'a'")
    run(c, "ROLLBACK TO s")
    c.commit()
    c.autocommit(True)
    run(c, "SELECT * FROM uniq ORDER BY id")
    run(c, "INSERT INTO uniq (k, v) VALUES ('a', 9)")
    run(c, "SELECT * FROM nowhere.nothing")
    run(c, "SELEC 1")
    run(c, "INSERT INTO uniq (k, v) VALUES (NULL, 'x')")
    run(c, "SHOW WARNINGS")
    run(c, "INSERT INTO uniq (k, v) VALUES (%s, %s) ON DUPLICATE KEY UPDATE v = v + VALUES(v)",
        [("a", 10), ("d", 4), ("e", 5)], many=True)
    run(c, "UPDATE uniq SET v = v + 1 WHERE v > %s", [100])
    run(c, "UPDATE uniq SET v = v WHERE v > 0")
    run(c, "DELETE FROM uniq WHERE k = 'e'")
    run(c, "SELECT ROW_COUNT()")
    run(c, "SELECT SQL_CALC_FOUND_ROWS k FROM uniq ORDER BY k LIMIT 2")
    run(c, "SELECT FOUND_ROWS()")
    run(c, "CALL two(7)")
    run(c, "SELECT CAST('12x' AS INT), 1/0")
    run(c, "SHOW WARNINGS")
    with c.cursor() as cur:
        show("callproc", cur.callproc("outp", (1, 0, 5)), cur.fetchall())
    run(c, "SELECT @_outp_0, @_outp_1, @_outp_2")


def session(c):
    run(c, "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', group_concat_max_len = 77")
    run(c, "SELECT 'a\\' AS \"b\", @@group_concat_max_len, @@sql_mode")
    run(c, "SET sql_mode = DEFAULT, @x = 5")
    run(c, "SELECT @x, @y := @x + 1")
    run(c, "SELECT @y")
    run(c, "CREATE TEMPORARY TABLE tmp (a INT)")
    run(c, "INSERT INTO tmp VALUES (1), (2)")
    run(c, "SELECT * FROM tmp ORDER BY a")
    run(c, "DROP TEMPORARY TABLE tmp")
    run(c, "SELECT GET_LOCK('clients', 1), IS_USED_LOCK('clients') = CONNECTION_ID()") if "connid" in have else None
    run(c, "SET NAMES latin1")
    run(c, "SELECT @@character_set_client, @@character_set_connection")
    run(c, "SET NAMES utf8mb4 COLLATE utf8mb4_bin")
    run(c, "SELECT @@collation_connection, 'A' = 'a'")
    run(c, "SELECT CONNECTION_ID() > 0") if "connid" in have else None
    c.ping()
    c.close()
    try:
        c.ping(False) if sys.argv[1] == "pymysql" else c.ping()
    except lib.MySQLError as e:
        show("ping closed", e.args)
    except AttributeError:
        show("ping closed")


def streams():
    c = connect(cursorclass=cursors.SSCursor)
    cur = c.cursor()
    cur.execute("SELECT id, txt FROM many ORDER BY id")
    show("stream", cur.fetchone(), cur.fetchmany(3), sum(r[0] for r in cur.fetchall()))
    cur.close()
    cur = c.cursor()
    cur.execute("SELECT id, txt FROM many ORDER BY id")
    show("stream", cur.fetchone())
    cur.close()
    run(c, "SELECT 1")
    cur = c.cursor()
    cur.execute("SELECT id, txt FROM many ORDER BY id")
    cur.fetchone()
    c.close()  # in the middle of it
    c = connect()
    run(c, "SELECT 2")
    c.close()


def infile(path):
    with open(path, "w") as f:
        f.write("".join("f%d\t%d\n" % (i, i) for i in range(5000)))
    c = connect(local_infile=True, autocommit=True)
    run(c, "LOAD DATA LOCAL INFILE '%s' INTO TABLE uniq (k, v)" % path)
    run(c, "LOAD DATA LOCAL INFILE '%s.none' INTO TABLE uniq (k, v)" % path)
    run(c, "SELECT COUNT(*), SUM(v) FROM uniq WHERE k LIKE 'f%'")
    c.close()
    os.unlink(path)


def pool():
    """Eight threads over four connections."""
    q, out = queue.Queue(), []
    for _ in range(4):
        q.put(connect(autocommit=True))

    def work(i):
        for n in range(25):
            c = q.get()
            with c.cursor() as cur:
                cur.execute("INSERT INTO pool (who, n) VALUES (%s, %s)", (i, n))
                first = cur.lastrowid
                cur.execute("SELECT LAST_INSERT_ID(), (SELECT COUNT(*) FROM pool WHERE who = %s)", (i,))
                last, count = cur.fetchone()
                out.append((i, n, first == last, count == n + 1))
            q.put(c)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    show("pool", len(out), all(o[2] and o[3] for o in out))


login()
con = connect()
values(con)
transactions(con)
session(con)
streams()
if "local_infile" in have:
    infile(os.path.join(os.environ["TMP"], "infile.txt"))
pool()
