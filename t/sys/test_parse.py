#!/usr/bin/python3 -B
"""parser/ast against a real server: of the statements in mariadb-test's main suite, those that the server accepts parse; what
is cut apart at tables' names and put together again is the same statement."""
from margaytest import *
import statements

TOOL = os.path.join(BUILD, "t", "bin", "parse")
REFUSED = (1064, 1295)  # syntax; not to be prepared
LEAST = 99.5


def setup():
    global db, cases
    if not os.path.isdir(statements.SUITE + "/main"):
        skip("mariadb-test-data is not there")
    db = MariaDB("db1")
    db.sql("CREATE DATABASE test")
    cases = [(f, s) for f, s in statements.of_suite() if "\0" not in s]


def parse(texts, *options):
    out = subprocess.run([TOOL, *options], input=b"\0".join(encode(t) for t in texts) + b"\0", capture_output=True, timeout=100)
    eq(out.returncode, 0, "parse: %r" % out.stderr[-500:])
    lines = out.stdout.split(b"\n")[:-1]
    eq(len(lines), len(texts), "lines")
    return [line.decode("utf-8", "replace") for line in lines]


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def is_dml(s):
    word = re.match(r"[(\s]*(\w*)", s).group(1).upper()
    return word in statements.VERBS


def prepare(cur, s):
    """The server's error, 0: none."""
    try:
        cur.execute(b"PREPARE s FROM '" + encode(s.replace("\\", "\\\\").replace("'", "\\'")) + b"'")
        return 0
    except pymysql.MySQLError as e:
        return e.args[0]


def connect():
    c = db.conn(database="test")
    cur = c.cursor()
    cur.execute("SET NAMES utf8mb4")
    return cur


@limit(400)
def test_what_the_server_accepts_parses():
    """PREPARE says 1064 to what is no statement; whatever else it says, the text was understood."""
    mine = [(f, s) for f, s in cases if is_dml(s)]
    cur, accepted, parsed, missed = connect(), 0, 0, []
    for (f, s), line in zip(mine, parse([s for f, s in mine], "-q")):
        e = prepare(cur, s)
        if e in (2006, 2013, 0) and not cur.connection.open:
            cur = connect()
        if e in REFUSED:
            continue
        accepted += 1
        if line.startswith("ok "):
            parsed += 1
        else:
            missed.append("%s: %s: %s" % (f, line[:80], s[:120].replace("\n", " ")))
    for m in missed[:30]:
        print("    not parsed: " + m)
    share = 100.0 * parsed / accepted
    print("    %d statements of SELECT, INSERT, REPLACE, UPDATE, DELETE, WITH, VALUES accepted by the server, %d parse: %.3f%%"
          % (accepted, parsed, share))
    ok(accepted > 30000, "found only %d statements" % accepted)
    ok(share >= LEAST, "%.3f%% parse" % share)


BETWEEN = re.compile(rb"(?:[ \t\n\v\f\r]|/\*M?!(?:\d{5,6})?|\*/|/\*(?!M?!).*?\*/|#[^\n]*(?:\n|$)|--(?=[\x00-\x20\x7f]|$)[^\n]*(?:\n|$))*", re.S)


def test_no_byte_is_lost():
    """Tokens, and between them blanks, comments and the signs around executable ones, are the whole text of each statement."""
    texts = list(dict.fromkeys(s for f, s in cases))
    bad, n = [], 0
    for s, line in zip(texts, parse(texts, "-t")):
        text, at, joined = encode(s), 0, b""
        *spans, end = line.split()
        for off, size in (map(int, x.split(":")) for x in spans):
            ok(BETWEEN.fullmatch(text, at, off), "between tokens of %r: %r" % (s[:200], text[at:off]))
            joined += text[at:off] + text[off:off + size]
            at = off + size
            n += 1
        if end == "bad":
            bad.append(s)
        else:
            ok(BETWEEN.fullmatch(text, at), "behind the last token of %r: %r" % (s[:200], text[at:]))
            eq(joined + text[at:], text)
    # what has no token somewhere is nothing that the server could read
    cur = connect()
    for s in bad:
        ok(prepare(cur, s) != 0, "the server reads %r" % s[:300])
    note("%d statements, %d tokens, no byte lost; %d more have a byte in them that begins no token, for the server neither" % (len(texts) - len(bad), n, len(bad)))
    ok(len(texts) > 50000 and len(bad) < 200, "%d texts, %d unreadable" % (len(texts), len(bad)))


def test_names_by_themselves():
    """Each table's name taken out by its span and put in again: the text is what it was."""
    texts = [s for f, s in cases if "\n" not in s and "\r" not in s]
    n = 0
    for s, line in zip(texts, parse(texts, "-s", "")):
        if line.startswith("ok "):
            eq(line.split(" ", 4)[4].encode("utf-8", "surrogateescape"), encode(s).decode("utf-8", "replace").encode("utf-8"), "spliced")
            n += 1
    note("%d statements" % n)


def test_all_statements_have_an_end():
    """Each text of the suite, also DDL and the broken ones, gives a verdict, and trees whose spans lie within each other."""
    lines = parse([s for f, s in cases], "-q")
    bad = [(f, s[:100], line) for (f, s), line in zip(cases, lines) if line.split()[0] not in ("ok", "syntax")]
    eq(bad[:3], [], "verdicts")
    print("    %d statements, %d parse" % (len(cases), sum(line.startswith("ok ") for line in lines)))


@limit(300)
def test_names_can_be_replaced():
    """The same prefix in front of each table's name: what was prepared before is prepared then, with the other tables."""
    tables = {"t%d" % i for i in range(1, 6)}
    for t in tables:
        for name in (t, "zz_" + t):
            db.sql("USE test", "CREATE TABLE %s (a INT, b INT, c INT, id INT, pk INT, i INT, x INT, y INT, name CHAR(9), "
                   "f1 INT, f2 INT, d INT, e INT, v INT, k INT, g INT)" % name)
    mine = [s for f, s in cases if is_dml(s) and "\n" not in s and "/*" not in s and "--" not in s and "#" not in s]
    cur, n = connect(), 0
    works = [s for s in mine if prepare(cur, s) == 0]
    # targets of DELETE may be aliases
    works = [s for s, line in zip(works, parse(works)) if "(targets " not in line]
    for s, line in zip(works, parse(works, "-s", "zz_")):
        verdict, rest = line.split(" ", 1)
        if verdict != "ok":
            continue
        changed = rest.split(" ", 3)[3]
        if "zz_" not in changed or re.search(r"\bt\d\.|`t\d`\.", s):  # columns named with their tables are names too
            continue
        e = prepare(cur, changed)
        n += e == 0
        if e == 0 or re.search(r"information_schema|mysql\.|seq_|WITH", s, re.I) or e == 1146 and not set(re.findall(r"zz_(\w+)", changed)) <= tables:
            continue
        raise Failed("%s: %s, was %s" % (e, changed, s))
    print("    %d statements with other tables prepare as they did" % n)
    ok(n > 1000, "%d" % n)


main()
