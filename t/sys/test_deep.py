#!/usr/bin/python3 -B
"""Depth and size of statements: whatever is nested, and however often, parser, classifier and digest give a verdict, on an eighth
of the stack that a worker has. What is long without being nested parses. No server."""
from margaytest import *

STACK_KIB = 1024
MANY = 100000

# What nests, over and over. None of it has an end, so that only a limit can stop the parser, or an error of the text.
NESTED = {
    "parentheses": ("SELECT ", "("), "statements in parentheses": ("", "("), "tables in parentheses": ("SELECT * FROM ", "("),
    "subqueries": ("SELECT ", "(SELECT "), "derived tables": ("SELECT * FROM ", "(SELECT * FROM "), "EXISTS": ("SELECT ", "EXISTS (SELECT "),
    "ANY": ("SELECT ", "1 = ANY (SELECT "), "IN": ("SELECT ", "1 IN ("), "rows": ("SELECT ", "ROW(1,"), "CASE": ("SELECT ", "CASE "),
    "WHEN": ("SELECT ", "CASE WHEN "), "THEN": ("SELECT ", "CASE WHEN 1 THEN "), "functions": ("SELECT ", "f("), "CAST": ("SELECT ", "CAST("),
    "TRIM": ("SELECT ", "TRIM("), "NOT": ("SELECT ", "NOT "), "!": ("SELECT ", "!"), "unary minus": ("SELECT ", "- "), "BINARY": ("SELECT ", "BINARY "),
    "INTERVAL": ("SELECT ", "INTERVAL "), "assignments": ("SELECT ", "@a:="), "BETWEEN": ("SELECT ", "1 BETWEEN "), "LIKE": ("SELECT ", "1 LIKE "),
    "windows": ("SELECT ", "f() OVER (ORDER BY "), "GROUP_CONCAT": ("SELECT ", "GROUP_CONCAT(1 ORDER BY "), "MATCH": ("SELECT ", "MATCH a AGAINST ("),
    "VALUES()": ("INSERT INTO t VALUES ", "(VALUES("), "CTEs": ("", "WITH a AS ("), "CTEs in subqueries": ("SELECT ", "(WITH a AS (SELECT "),
    "joins": ("SELECT 1 FROM ", "t JOIN "), "joins with ON": ("SELECT 1 FROM ", "t JOIN t ON "), "outer joins in braces": ("SELECT * FROM ", "{a "),
    "dates in braces": ("SELECT ", "{d "), "JSON_TABLE": ("SELECT * FROM ", "JSON_TABLE("), "EXPLAIN": ("", "EXPLAIN "), "ANALYZE": ("", "ANALYZE "),
    "SET STATEMENT": ("", "SET STATEMENT a=1 FOR "), "strengths": ("SELECT ", "1 OR 1 AND 1 = 1 | 1 & 1 << 1 + 1 * 1 ^ "), "comments": ("SELECT ", "/*! "),
    "unions in parentheses": ("SELECT 1 UNION ", "("), "SET": ("SET ", "@a="), "PREPARE": ("PREPARE s FROM ", "("), "CREATE": ("CREATE TABLE t ", "("),
}
# A head, what is repeated, the rest, the verdict: rows that only grow in height or in breadth.
ROWS = {
    "AND": ("SELECT 1", " AND 1", "", "ok"), "OR of AND": ("SELECT 1", " AND 1 OR 1", "", "ok"), "+": ("SELECT 1", "+1", "", "ok"),
    "IN list of a million": ("SELECT 1 IN (1", 10 * ",1", ")", "ok"), "VALUES of megabytes": ("INSERT INTO t VALUES (1,'')", ",(1,'" + 40 * "x" + "')", "", "ok"),
    "items": ("SELECT 1", ",a", " FROM t", "ok"), "tables": ("SELECT 1 FROM t", ",t", "", "ok"), "CTEs": ("WITH a AS (SELECT 1)", ",a AS (SELECT 1)", " SELECT 1", "ok"),
    "WHEN": ("SELECT CASE", " WHEN 1 THEN 1", " END", "ok"), "strings": ("SELECT 'a'", " 'a'", "", "ok"), "statements": ("", "DO 1;", "", "ok"),
    "parentheses one by one": ("SELECT (((1)))", ",(((1)))", "", "ok"), "semicolons": ("", ";", "", "ok"), "comments": ("SELECT ", "/**/", "1", "ok"),
    "string of megabytes": ("SELECT '", 50 * "x", "'", "ok"), "% and *": ("SELECT 1", "*1%1", "", "deep"), "UNION": ("SELECT 1", " UNION SELECT 1", "", "deep"),
    "UNION and EXCEPT": ("SELECT 1", " UNION SELECT 1 EXCEPT SELECT 1", "", "deep"), "joins with ON": ("SELECT 1 FROM t", " JOIN t ON 1", "", "deep"),
    "COLLATE": ("SELECT 1", " COLLATE a", "", "deep"), "IS NULL": ("SELECT 1", " IS NULL", "", "deep"), "LIKE": ("SELECT 1", " LIKE 1", "", "deep"),
}


def tool(name, text, *options):
    t = os.path.join(BUILD, "t", "bin", name)
    out = subprocess.run(["/bin/bash", "-c", 'ulimit -s %d; exec "$0" "$@"' % STACK_KIB, t, *options], input=text.encode() + b"\0",
                         capture_output=True, timeout=100)
    eq(out.returncode, 0, "%s of %s..: %s" % (name, text[:60], out.stderr[-300:]))
    lines = out.stdout.split(b"\n")[:-1]
    eq(len(lines), 1, "lines of %s" % name)
    return lines[0].decode("utf-8", "replace")


def all_tools(text):
    for name in ("classify", "digest"):
        tool(name, text)
    tool("classify", text, "-f")
    return tool("parse", text, "-q").split(" ")[0]


@limit(300)
def test_nesting_has_a_limit():
    seen = {}
    for what, (head, again) in NESTED.items():
        v = all_tools(head + MANY * again)
        ok(v in ("deep", "syntax"), "%s: %s" % (what, v))
        seen[v] = seen.get(v, 0) + 1
    ok(seen["deep"] > 30, "most are stopped by the limit: %r" % seen)


@limit(300)
def test_what_is_closed_nests_as_deep_as_the_limit():
    """The same, closed again: fine below the limit, too deep above, never anything else."""
    for head, again, close in (("SELECT ", "(", ")"), ("SELECT ", "f(", ")"), ("SELECT ", "NOT ", ""), ("SELECT ", "- ", ""), ("SELECT ", "1 IN (", ")"),
                               ("SELECT ", "(SELECT ", ")"), ("SELECT ", "CASE WHEN 1 THEN ", " END")):
        seen = [tool("parse", head + n * again + "1" + n * close, "-q").split(" ")[0] for n in (50, 150, 1000)]
        eq(seen[0] + seen[2], "okdeep", again)
        ok(seen[1] in ("ok", "deep"), "%s: %s" % (again, seen[1]))


@limit(300)
def test_long_is_not_deep():
    for what, (head, again, rest, want) in ROWS.items():
        eq(all_tools(head + MANY * again + rest), want, what)


def test_memory_has_a_limit():
    text = "SELECT 1 IN (1" + MANY * ",1" + ")"
    eq(tool("parse", text, "-q", "-a", "1000000").split(" ")[0], "full", "IN list in 1 MB")
    eq(tool("parse", text, "-q", "-a", "0").split(" ")[0], "full", "without any")
    eq(tool("parse", "SELECT 1", "-q", "-a", "1000000").split(" ")[0], "ok", "a short one in 1 MB")


main()
