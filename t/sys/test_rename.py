#!/usr/bin/python3 -B
"""Statements of mariadb-test's main suite on a server, in two databases: as they are, and with other names for all tables, put in
by spans (t/bin/rename). Errors, rows, names of columns and affected rows are the same; but a column named after its text, with
a subquery in it, has the new name of the subquery's table in its own. Some files, always the same; with
MARGAY_RENAME_SECONDS files by the seed, for so long."""
import glob
import random
import time
from margaytest import *
import statements

TOOL = os.path.join(BUILD, "t", "bin", "rename")
SECONDS = int(os.environ.get("MARGAY_RENAME_SECONDS", "0"))
SOME = 50  # files, always the same ones, unless it says more
# Not asked at all: it stops servers and clients, waits, or speaks of other databases and of files.
NEVER = re.compile(r"`#mysql50#|\w{50}|\.{20}|create\s+table\s+(\w+)\s*\(\s*\1\.|\b(?:seq_\d+_to_\w+|sleep|get_lock|benchmark|shutdown|kill|master_\w+|outfile|dumpfile|load_file|information_schema|performance_schema|"
                   r"mysql\s*\.|sys\s*\.|global|connection_id|ansi\w*|oracle|mssql|no_backslash\w*|lower_case\w*|big_tables|debug\w*|"
                   r"(?:repair|check|analyze|optimize|rebuild)\s+partition|data\s+directory|index\s+directory|max_statement_time|innodb_\w+\s*=|union\s*=|exchange|xa|merge|mrg\w*|grant|revoke|password|user|flush|install|uninstall|privileges|server|role|delayed|alter\s+table\s+\S+\s+order)\b", re.I)
# Another answer each time
CHANCE = re.compile(r"\b(?:rand|uuid\w*|now|sysdate|curdate|curtime|current_\w+|utc_\w+|unix_timestamp|found_rows|last_insert_id|database|schema|"
                    r"@@\w+|limit|random_bytes|format_bytes|row_number|user|encrypt|group_concat|json_\w*agg)\b|@@", re.I)


def setup():
    global db
    if not os.path.isdir(statements.SUITE + "/main"):
        skip("mariadb-test-data is not there")
    db = MariaDB("db1", binlog=False)
    db.sql("SET GLOBAL max_statement_time=5", "SET GLOBAL lock_wait_timeout=2", "SET GLOBAL innodb_lock_wait_timeout=2")


def renamed(texts):
    out = subprocess.run([TOOL], input=b"\0".join(t.encode("utf-8", "surrogateescape") for t in texts) + b"\0", capture_output=True, timeout=100)
    eq(out.returncode, 0, "rename: %r" % out.stderr[-300:])
    answers = out.stdout.split(b"\0")[:-1]
    eq(len(answers), len(texts), "answers")
    return [(a[:1].decode(), a[1:]) for a in answers]


def connect(name):
    c = db.conn(autocommit=True, use_unicode=False, conv={})
    c.encoding = "latin-1"  # names of columns are any bytes
    cur = c.cursor()
    cur.execute("SET NAMES utf8mb4")
    cur.execute("DROP DATABASE IF EXISTS " + name)
    cur.execute("CREATE DATABASE " + name)
    cur.execute("USE " + name)
    cur.execute("SET timestamp=1700000000, rand_seed1=1, rand_seed2=2")
    return cur


def outcome(cur, text):
    try:
        n = cur.execute(text)
        names = [re.sub(r"(\w)_r(`?)( AS \S+?\b`?)?", r"\1\2", d[0]) for d in cur.description or ()]
        return "ok", n, names, sorted(repr(r) for r in cur.fetchall())
    except pymysql.MySQLError as e:
        return "error", e.args[0]


class Differs(Exception):
    pass


def one_file(path, count, left):
    with open(path, "rb") as f:
        texts = [t for t in statements.split(f.read().decode("utf-8", "surrogateescape")) if "\0" not in t]
    a, b = connect("da"), connect("db")
    for text, (how, other) in zip(texts, renamed(texts)) if texts else ():
        if how == "-" or NEVER.search(text):
            why = other.decode() if how == "-" else "never"
            left[why] = left.get(why, 0) + 1
            continue
        plain = text.encode("utf-8", "surrogateescape")
        x, y = outcome(a, plain), outcome(b, other if how == "r" else plain)
        if 2006 in (x[1], y[1]) or 2013 in (x[1], y[1]) or 1969 in (x[1], y[1]):
            break
        if how == "=":
            continue
        if CHANCE.search(text):
            x, y = x[:1], y[:1]
            left["chance"] = left.get("chance", 0) + 1
        else:
            count["ok" if x[0] == "ok" else "error"] += 1
        if x != y:
            yield text, other.decode("utf-8", "replace"), x, y
    a.connection.close()
    b.connection.close()


@limit(4000)
def test_other_names_same_meaning():
    files = sorted(glob.glob(statements.SUITE + "/main/*.test"))
    (rng if SECONDS > 0 else random.Random(1)).shuffle(files)
    count, left, differ, n, end = {"ok": 0, "error": 0}, {}, [], 0, time.monotonic() + SECONDS
    for path in files:
        if time.monotonic() > end if SECONDS > 0 else n == SOME:
            break
        n += 1
        for text, other, x, y in one_file(path, count, left):
            differ.append(os.path.basename(path))
            if len(differ) <= 20:
                note("%s: %.150s | %.150s | %.120r | %.120r" % (os.path.basename(path), text, other, x, y))
            break  # what follows may differ by it
    note("%d files, %d statements answered alike with other tables, %d with the same error; %d files differ; left out: %s" % (
        n, count["ok"], count["error"], len(differ), ", ".join("%s %d" % kv for kv in sorted(left.items()))))
    eq(differ, [], "files that differ")
    ok(count["ok"] > 1000, "too few: %r" % count)


main()
