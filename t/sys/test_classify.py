#!/usr/bin/python3 -B
"""parser/ against a real server: whatever the classifier calls a read runs on a read-only server without writing,
locking or leaving anything; whatever it calls clean leaves nothing; the tables of words and functions are true."""
import ast
import random

from margaytest import *

TOOL = os.path.join(BUILD, "t", "bin", "classify")
SRC = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
NO_FUNCTION = (1305, 1630, 1128)  # it would be a stored one
REFUSED = (1290, 1792, 1836)      # read only


def read_def(name):
    with open(os.path.join(SRC, name), encoding="latin-1") as f:
        return f.read()


def cases():
    found = re.findall(r'^CASE\("((?:[^"\\]|\\.)*)", (\w+), (\w+), ', read_def("t/unit/parser_cases.def"), re.M)
    return [ast.literal_eval('b"%s"' % t) for t, kind, why in found]


def classify(texts, mode=0):
    """[(kind, is a read, why, pins, flags)] of byte strings without NULs."""
    out = subprocess.run([TOOL, "-m", str(mode)], input=b"\0".join(texts) + b"\0", capture_output=True, timeout=60)
    eq(out.returncode, 0, "classify")
    rows = re.findall(rb"^([a-z-]+) (read|-) (\S+) (\S+) (0x[0-9a-f]+) \d+ \[", out.stdout, re.M)
    eq(len(rows), len(texts), "lines of classify")
    return [(k.decode(), r == b"read", w.decode(), [] if p == b"-" else p.decode().split(","), int(f, 16))
            for k, r, w, p, f in rows]


def functions():
    return re.findall(r"^FUNCTION\((\w+), (\w+), (\w+)\)", read_def("tbl/functions.def"), re.M)


def keywords():
    return re.findall(r"^KEYWORD\((\w+), (\w+)\)", read_def("tbl/keywords.def"), re.M)


SCHEMA = [
    "CREATE DATABASE IF NOT EXISTS d1", "USE d1",
    "CREATE TABLE t(id INT AUTO_INCREMENT PRIMARY KEY, a INT, b INT, c VARCHAR(50) DEFAULT 'x')",
    "CREATE TABLE u(id INT PRIMARY KEY, a INT, c TEXT, FULLTEXT(c))",
    "CREATE TABLE json(js JSON, a INT)",
    "INSERT INTO t(a,b) VALUES (1,2),(3,4)", "INSERT INTO u VALUES (1,1,'x')", "INSERT INTO json VALUES ('{}',1)",
    "CREATE SEQUENCE s",
    "CREATE FUNCTION f(x INT) RETURNS INT NO SQL BEGIN SET @left = x; RETURN x; END",
    "CREATE USER app@'%' IDENTIFIED BY 'app'", "GRANT ALL ON d1.* TO app@'%'"]


def setup():
    global db
    if not os.path.exists(TOOL):
        skip("t/bin/classify is not built")
    db = MariaDB("db", ["--performance-schema=off"])
    db.sql(*SCHEMA)
    db.sql("SET GLOBAL read_only=1")


RAW = {"charset": "utf8mb4", "use_unicode": False, "conv": {}, "database": "d1"}  # results stay bytes


def app():
    return db.conn("app", "app", **RAW)


def errno_of(c, text):
    """Runs bytes as they are; 0 or the server's error."""
    try:
        c._execute_command(3, text)
        c._read_query_result()
        return 0
    except pymysql.MySQLError as e:
        return e.args[0]


def marks():
    return (db.one("SELECT @@gtid_binlog_pos"), db.one("SHOW MASTER STATUS"),
            db.sql("CHECKSUM TABLE d1.t, d1.u, d1.json, d1.s"))


def left_behind(c):
    """What the connection holds after a statement, by the server's own account."""
    left = []
    for probe, name in (("SELECT COUNT(*) FROM information_schema.user_variables WHERE variable_value IS NOT NULL", "user-variable"),
                        ("SELECT IS_USED_LOCK('a') IS NOT NULL", "user-lock"),
                        ("SELECT LASTVAL(s) IS NOT NULL", "sequence")):
        try:
            if int(value(c, probe)):
                left.append(name)
        except pymysql.MySQLError as e:
            if e.args[0] == 1100:  # t was not locked with LOCK TABLES
                left.append("lock-tables")
    return left


def test_reads_change_nothing():
    texts = [t for t in cases() if b"\0" not in t]
    reads = [t for t, v in zip(texts, classify(texts)) if v[1]]
    ok(len(reads) > 100, "%d reads in the table" % len(reads))
    before, good, other = marks(), 0, {}
    for t in reads:
        c = app()
        e = errno_of(c, t)
        ok(e not in REFUSED, "%r is called a read and is refused: %d" % (t, e))
        ok(e not in NO_FUNCTION, "%r is called a read and calls a stored function: %d" % (t, e))
        eq(left_behind(c), [], "left by %r" % t)
        good += e == 0
        if e:
            other[t] = e
        c.close()
    eq(marks(), before, "binary log and tables after the reads")
    note("%d reads: %d ran, errors of the others: %s" % (len(reads), good, sorted(set(other.values()))))
    ok(good > len(reads) * 0.9, "too few of them ran: %r" % other)


# Not run: they end the server or the test's own connections, or write files.
LEAVE_OUT = rb"(?i)shutdown|reset master|purge|change master|outfile|dumpfile|start slave|kill|uninstall|backup|flush|set password|chain release"


def test_what_is_clean_leaves_nothing():
    texts = [t for t in cases() if b"\0" not in t and not re.search(LEAVE_OUT, t)]
    clean = [t for t, v in zip(texts, classify(texts)) if not v[3]]
    ran = 0
    scratch = MariaDB("scratch")
    scratch.sql(*SCHEMA)
    try:
        for t in clean:
            c = scratch.conn(**RAW)
            e = errno_of(c, t)
            told = c._result.insert_id if e == 0 else 0
            eq(left_behind(c), [], "left by %r, which is called clean" % t)
            if e == 0:  # after an error LAST_INSERT_ID() is undefined
                got = int(value(c, "SELECT LAST_INSERT_ID()"))
                ok(got == (told or 0), "%r leaves insert id %s and tells %s" % (t, got, told))
                ran += 1
            c.close()
    finally:
        scratch.stop()
    note("%d of %d clean statements ran" % (ran, len(clean)))
    ok(ran > len(clean) * 0.5, "too few ran")


VALUES_ = ["1", "'a'", "'it''s'", "'a\\'b'", "'\\\\'", "'\\'", '"a"', '"a\\"', '"\\\\"', "`a`", "`id`", "N'x\\''", "'--'",
           "'/*'", "'*/'", "'#'", "1--1", "1 - -1", "a/b", "a*/1", "_utf8'\\''", "'a' 'b'", "''", "''''", '"\'"', "'\"'",
           "`id` AS `'`", "`id` AS `\\`", "'\\\\\\'", "x'41'", "b'1'", "1e5", ".5", "t.a", "t . a", "t.`a`", "@@version",
           "@y", "'\u00e9'", "'\u4e2d\\'"]
GAPS = [" ", " ", "\n", "\t", "/**/", "/* ' */", "/* \" */", "/*'*/", "-- '\n", "--\n", "-- x\n", "#'\n", "/*!*/", "/*! */",
        "/*!50000 */", "/*!99999 ' */", "/*!99999 */", "/*M!100000 */", "/*M!999999 ' */", "/* /* */", "/*!99999 /* */ */",
        "/*+ x */", "--\x01'\n", "--x\n", "/*!50000", "*/", "/*! /* ' */ */", " -- ", "\\"]
TAILS = ["", "", "WHERE id=1", "FOR UPDATE", "LOCK IN SHARE MODE", "INTO @z", "/*!FOR UPDATE*/", "/*!99999 FOR UPDATE*/",
         "/*M!100000 FOR UPDATE*/", "/*!50000FOR UPDATE*/", "WHERE 1=(@z:=1)", "LIMIT 1", "WHERE a='\\' FOR UPDATE -- '",
         "WHERE a=\"\\\" FOR UPDATE -- \"", "FOR/**/UPDATE", "-- FOR UPDATE", "# FOR UPDATE", "/* FOR UPDATE */",
         "WHERE get_lock('a',0)", "AS `\\` FOR UPDATE", "/*!FOR*/ UPDATE", "FOR -- '\nUPDATE -- '", "FOR /* ' */ UPDATE",
         "WHERE nextval(s)", "WHERE 'a' = 'b\\' FOR UPDATE"]
MODES = [(0, ""), (1, "ANSI_QUOTES"), (2, "NO_BACKSLASH_ESCAPES"), (3, "ANSI_QUOTES,NO_BACKSLASH_ESCAPES")]


def connect(settings):
    sql_mode, charset = settings if isinstance(settings, tuple) else (settings, None)
    c = app()
    query(c, "SET sql_mode=" + sql_str(sql_mode))
    if charset:
        query(c, "SET NAMES " + charset)
        c.encoding = "latin-1"  # names of columns are any bytes
    return c, int(value(c, "SELECT CONNECTION_ID()"))


def soup(rnd, value=lambda rnd: rnd.choice(VALUES_)):
    words = ["SELECT", value(rnd)]
    for _ in range(rnd.randrange(3)):
        words += [",", value(rnd)]
    words += ["FROM", "t", rnd.choice(TAILS)] + ([rnd.choice(TAILS)] if rnd.random() < 0.2 else [])
    return "".join(w + (rnd.choice(GAPS) if rnd.random() < 0.5 else " ") for w in words)


def look(c, me, watch, t, read, seen):
    """Runs one text on a connection; whether the server still speaks on it."""
    query(c, "BEGIN")
    e = errno_of(c, t)
    rows = query(watch, "SELECT trx_tables_locked + trx_rows_locked FROM information_schema.innodb_trx "
                 "WHERE trx_mysql_thread_id = %s", (me,))
    left = left_behind(c) + ["row locks"] * bool(rows and rows[0][0])
    if read:
        eq(left, [], "left by %r, which is called a read" % t)
        ok(e not in REFUSED + NO_FUNCTION, "%r is called a read: error %d" % (t, e))
        seen["reads"] += 1
        seen["ran"] += e == 0
    else:
        seen["others"] += bool(left)
        seen["doubts"] += e == 0 and not left
    query(c, "ROLLBACK")
    return not left


def compare(rnd, modes, make, n):
    """Texts full of quotes, comments and escapes: none that is called a read locks a row, sets a variable, takes a lock or
    steps a sequence when the server runs it."""
    watch, seen = db.conn(), dict.fromkeys(("reads", "ran", "others", "doubts"), 0)
    for mode, settings in modes:
        texts = [make(rnd) for _ in range(n)]
        verdicts = classify(texts, mode)
        c, me = connect(settings)
        for t, v in zip(texts, verdicts):
            if not v[1] and rnd.random() > 0.3:
                continue
            if not look(c, me, watch, t, v[1], seen):
                c.close()
                c, me = connect(settings)
        c.close()
    watch.close()
    note("%(reads)d texts called reads, %(ran)d of them ran; %(others)d others locked or left something, %(doubts)d others did not" % seen)
    ok(seen["ran"] > 1000 and seen["others"] > 100, "the texts prove too little: %r" % seen)
    return seen


def test_the_server_reads_the_same_tokens():
    compare(random.Random(rng.getrandbits(32)), MODES, lambda rnd: soup(rnd).encode(), 4000)


# Character sets of two bytes: lead bytes, second bytes that look like something, and what is none
CHARSETS = [(0x10, "big5"), (0x20, "sjis"), (0x20, "cp932"), (0x40, "gbk"), (0x41, "gbk"), (0x42, "gbk")]
LEADS = ["\x81", "\x95", "\x9f", "\xa0", "\xa1", "\xb1", "\xdf", "\xe0", "\xf9", "\xfa", "\xfc", "\xfe", "\xff", "\x80"]
SECONDS = ["\\", "`", "@", "|", "~", "[", "A", "z", "\x7f", "\x80", "\xa0", "\xa1", "\xfc", "\xfe", "\xff", "?", "'", "\"", " ", "\\'"]


def wide(rnd):
    """A value in which characters of two bytes, and halves of them, stand among quotes and escapes."""
    inside = "".join(rnd.choice([rnd.choice(LEADS) + rnd.choice(SECONDS), rnd.choice(LEADS) + rnd.choice(SECONDS), "a", "\\\\", "''", "\\'"])
                     for _ in range(rnd.randrange(1, 4)))
    name = "".join(rnd.choice(LEADS) + rnd.choice(SECONDS[:13]) for _ in range(rnd.randrange(1, 3)))
    return rnd.choice(["'%s'" % inside, "'%s'" % inside, '"%s"' % inside, "1 AS `%s`" % inside.replace("`", ""), "1 AS %s" % name,
                       "_binary'%s'" % inside, "1 -- %s\n" % inside.replace("\n", ""), "1 /* %s */" % inside, rnd.choice(VALUES_[:20])])


def test_character_sets_of_two_bytes():
    rnd = random.Random(rng.getrandbits(32))
    names = {0x41: "ANSI_QUOTES", 0x42: "NO_BACKSLASH_ESCAPES"}
    modes = [(m, (names.get(m, ""), cs)) for m, cs in CHARSETS]
    seen = compare(rnd, modes, lambda rnd: soup(rnd, wide).encode("latin-1", "replace"), 2500)
    ok(seen["doubts"] < seen["ran"], "most of what the server runs is in doubt: %r" % seen)


ARGS = ["()", "(1)", "(1,1)", "(1,1,1)", "(1,1,1,1)", "('a')", "('a','b')", "(*)", "(DAY FROM 1)", "(1, INTERVAL 1 DAY)",
        "(1 IN 2)", "(1 AS INT)", "(1) OVER ()", "() OVER ()", "(1,1) OVER ()", "(0.5) WITHIN GROUP (ORDER BY 1) OVER ()",
        "(s)", "(s,1)", "(a)", "(DAY,1,1)", "(DATE,'EUR')", "('x','a' AS INT)", "(DISTINCT 1)"]


def errors_of(c, name, gap=""):
    out = set()
    for args in ARGS:
        e = errno_of(c, ("PREPARE p FROM %s" % sql_str("SELECT %s%s%s FROM t" % (name, gap, args))).encode())
        out.add(e)
    return out


def test_functions_are_built_in():
    c = db.conn(database="d1")
    wrong = []
    for name, form, effect in functions():
        near = errors_of(c, name)
        if near <= {1064, *NO_FUNCTION}:
            wrong.append("%s is no built-in function: %s" % (name, sorted(near)))
        if form == "ANY" and near & set(NO_FUNCTION):
            wrong.append("%s may be a stored function: %s" % (name, sorted(near)))
        far = errors_of(c, name, " ")
        if form == "ANY" and far & set(NO_FUNCTION):
            wrong.append("%s with a space may be a stored function" % name)
        if form == "TIGHT" and not far & set(NO_FUNCTION):
            wrong.append("%s with a space is the built-in one as well" % name)
    eq(wrong, [])
    note("%d functions" % len(functions()))


def test_functions_are_complete():
    have = {n for n, f, e in functions()} | {n for n, k in keywords()}
    server = {r[0] for r in db.sql("SELECT FUNCTION FROM information_schema.SQL_FUNCTIONS")}
    eq(sorted(server - have), [], "functions of this server that tbl/functions.def does not have")
    words = {r[0] for r in db.sql("SELECT WORD FROM information_schema.KEYWORDS") if re.match("[A-Z]", r[0])}
    eq(sorted(words - have), [], "keywords of this server that tbl/keywords.def does not have")


def test_keywords_before_a_parenthesis():
    """A word whose class says that `word(` is grammar must never be a call of a stored function."""
    c = db.conn(database="d1")
    known = {n for n, f, e in functions()}
    wrong = []
    for name, kind in keywords():
        if name in known:
            continue
        called = errors_of(c, name) | errors_of(c, "1," + name) | errors_of(c, "1+" + name)
        if kind != "PLAIN" and called & set(NO_FUNCTION):
            wrong.append("%s is %s and can be a stored function" % (name, kind))
        if kind == "RESERVED" and errno_of(c, b"PREPARE p FROM 'CREATE TABLE x (" + name.encode() + b" INT)'") == 0:
            wrong.append("%s is called reserved and can be a name" % name)
    eq(wrong, [])
    note("%d keywords" % len(keywords()))


if __name__ == '__main__':
    main()
