#!/usr/bin/python3 -B
"""parser/digest against a real server: over the statements of mariadb-test's main suite and variants of them, two have one
digest exactly when performance_schema gives them one. doc/digest.md lists the differences."""
from margaytest import *
import random
import statements

TOOL = os.path.join(BUILD, "t", "bin", "digest")
BATCH = 50  # fewer than the server keeps for a thread
LENGTH = 4096
DIGESTS = ["--performance-schema=on", "--max-digest-length=%d" % LENGTH, "--performance-schema-max-digest-length=%d" % LENGTH,
           "--performance-schema-events-statements-history-size=%d" % (BATCH + 14), "--performance-schema-max-thread-instances=80",
           "--performance-schema-events-statements-history-long-size=10"]
HISTORY = ["UPDATE performance_schema.setup_consumers SET enabled='YES' WHERE name LIKE 'events_statements%'"]
# What changes how later texts are read, or is known to differ (doc/digest.md), or ends the server
LEFT_OUT = re.compile(r"""sql_mode|\bnames\b|charset|character|collation|/\*M?!|[xX]'|delimiter|old_mode|\bkill\b|password|identified|create\ user|default\ role|
    ;\s*/[*]|as\s\(\s*select\ 1\s*union\s*select\s+1\ >\ """, re.I | re.X)


def setup():
    global db
    db = MariaDB("db1", DIGESTS, binlog=False)
    # nearly everything is refused to this account, after it was understood
    db.sql("CREATE DATABASE test", "CREATE USER reader@localhost", "GRANT SELECT ON test.* TO reader@localhost",
           *HISTORY)


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def ours(texts, mode=0):
    """(hash, text) of each."""
    out = subprocess.run([TOOL, "-m", str(mode)], input=b"\0".join(encode(t) for t in texts) + b"\0", capture_output=True, timeout=100)
    eq(out.returncode, 0, "digest: %r" % out.stderr[-500:])
    lines = out.stdout.split(b"\n")[:-1]
    eq(len(lines), len(texts), "lines")
    return [(line.split(b" ", 2)[0].decode(), line.split(b" ", 2)[2].decode("utf-8", "replace")) for line in lines]


class Asked:
    """A connection whose statements are looked up in performance_schema."""

    def __init__(self, mode=""):
        self.mode, self.look = mode, db.conn()
        self.connect()

    def connect(self):
        self.c = pymysql.connect(unix_socket=db.socket, user="reader", database="test", autocommit=True, use_unicode=False, conv={}, read_timeout=30)
        self.fresh()
        self.thread = value(self.look, "SELECT thread_id FROM performance_schema.threads WHERE processlist_id=%d" % self.c.thread_id())

    def fresh(self):
        self.c._execute_command(0x1f, b"")  # COM_RESET_CONNECTION
        self.c._read_ok_packet()
        for s in ("SET NAMES utf8mb4", "SET sql_mode='%s'" % self.mode, "SET max_statement_time=0.5, lock_wait_timeout=1"):
            query(self.c, s)

    def again(self, s):
        """Behind a lost connection. A few statements end the server itself: what it was asked since the last look is lost."""
        wait_for(lambda: not db.proc.alive() or db.sql("SELECT 1"), 10, "the server to answer or be gone")
        if not db.proc.alive():
            print("    ends the server: %r" % s[:300])
            db.start()
            db.sql(*HISTORY)
            self.look = db.conn()
        self.connect()

    def run(self, texts):
        """{text: (digest, digest_text)} of those that the server understood."""
        try:
            self.fresh()
        except pymysql.MySQLError:
            self.connect()  # the last of those before may have ended the connection without an error: COMMIT RELEASE
        for s in texts:
            try:
                with self.c.cursor() as cur:
                    cur.execute(encode(s))
                    cur.fetchall()
            except pymysql.MySQLError:
                if not self.c.open:
                    self.again(s)
        rows = query(self.look, "SELECT sql_text, digest, digest_text FROM performance_schema.events_statements_history WHERE "
                     "thread_id=%d AND nesting_event_level=0 ORDER BY event_id DESC LIMIT %d" % (self.thread, len(texts)))
        rows = {text: (digest, shape) for text, digest, shape in rows if digest and text}
        # the server keeps their first 1,024 bytes; what does not come back as it was is left out
        return {s: rows[s] for s in texts if s in rows}


def ask(texts, mode=""):
    a, found = Asked(mode), {}
    for i in range(0, len(texts), BATCH):
        found.update(a.run(texts[i:i + BATCH]))
    return found


def variants(texts, seed):
    """Other spaces, comments, numbers and cases of letters, longer and shorter lists. Whether they still mean anything, and
    the same, is for the server to say."""
    r = random.Random(seed)
    changes = [
        lambda s: re.sub(r" ", lambda m: r.choice([" ", "  ", "\n", " /* x */ ", "\t"]), s),
        lambda s: re.sub(r"(?<![\w.`@])\d+(?![\w.])", lambda m: r.choice(["7", "-3", "0x1F", "1.5", "2e3", "NULL", "'x'", "b'01'", "-0b1", "+ 4"]), s),
        lambda s: re.sub(r"(?<![\w.`@'])(\d+)(?=\s*[,)])", lambda m: m.group(1) + r.choice([", 5", ",6,7", "", ",NULL", ",-1"]), s),
        lambda s: re.sub(r"'[^'\\]*'", lambda m: r.choice(["N'q'", "'it''s'", '"z"', "_latin1'y'", "_utf8mb4 'y'", "@v", "@`v`"]), s),
        lambda s: re.sub(r"\b[a-z]+\b", lambda m: r.choice([m.group(0), m.group(0).upper(), m.group(0).capitalize()]), s),
        lambda s: re.sub(r"(\([^()]*\))(?=\s*$)", lambda m: m.group(1) + "," + m.group(1), s),
        lambda s: re.sub(r"\b(t\d|[a-f]|id|c\d)\b", lambda m: "`%s`" % m.group(0), s),
        lambda s: re.sub(r"= *", lambda m: r.choice(["= -", "=+", "<> ", "!=", "<=> ", "= NOT "]), s),
    ]
    out = []
    for s in texts:
        for _ in range(r.choice([1, 1, 2])):
            s = r.choice(changes)(s)
        out.append(s)
    return out


def same_partition(texts, mode=0, sql_mode=""):
    texts = list(dict.fromkeys(texts))
    theirs = ask(texts, sql_mode)
    mine = dict(zip(texts, ours(texts, mode)))
    by_theirs, by_ours, apart, together = {}, {}, [], []
    for s, (digest, shape) in theirs.items():
        if len(shape) > LENGTH - 1500:  # the server looks at a beginning only
            continue
        other = by_theirs.setdefault(digest, s)
        if mine[other][0] != mine[s][0]:
            apart.append("%r: %s\n      %r: %s\n      server: %s" % (other, mine[other][1], s, mine[s][1], shape))
        other = by_ours.setdefault(mine[s][0], s)
        if theirs[other][0] != digest:
            together.append("%r: %s\n      %r: %s\n      ours: %s" % (other, theirs[other][1], s, shape, mine[s][1]))
    for line in apart[:20]:
        print("    apart: " + line)
    for line in together[:20]:
        print("    together: " + line)
    print("    %d statements, %d digests; apart that the server counts together: %d, together that it counts apart: %d"
          % (len(theirs), len(by_theirs), len(apart), len(together)))
    eq((len(apart), len(together)), (0, 0), "differences")
    return len(theirs), len(by_theirs)


def suite():
    if not os.path.isdir(statements.SUITE + "/main"):
        skip("mariadb-test-data is not there")
    return [s for f, s in statements.of_suite() if "\0" not in s and len(s) < 1000 and not LEFT_OUT.search(s)]


@limit(300)
def test_suite():
    n, shapes = same_partition(suite())
    ok(n > 30000 and shapes > 10000, "only %d statements, %d digests" % (n, shapes))


@limit(300)
def test_variants():
    texts = suite()
    n, shapes = same_partition(texts[::6] + variants(texts[args.seed % 3::3], args.seed))
    ok(n > 15000, "only %d statements" % n)


def words(name):
    with open(os.path.join(SRC, "tbl", name)) as f:
        return re.findall(r"^(?:KEYWORD|FUNCTION|SYNONYM)\((\w+), *(\w+)", f.read(), re.M)


def test_words():
    """Each word of the tables where a name, a function or an option of a name may stand; synonyms share a digest because
    the server says so, and nothing else does."""
    all_words = sorted(set(w for w, _ in words("keywords.def") + words("functions.def")))
    texts = []
    for w in all_words:
        for form in ("SELECT %s FROM t", "SELECT %s(a) FROM t", "SELECT %s (1) FROM t", "SELECT a %s FROM t", "SELECT 1 %s 2", "SELECT %s -1",
                     "CREATE TABLE t (a %s)", "SELECT a FROM %s", "SELECT t.%s FROM t", "SELECT %s.a FROM t", "SHOW %s", "SELECT @@%s",
                     "SELECT a + INTERVAL -1 %s", "SELECT a = %s (SELECT 1)", "%s SELECT 1", "CREATE %s x", "SELECT %s()"):
            texts.append(form % w)
            texts.append(form % w.lower())
    same_partition(texts)


def test_modes():
    texts = ['SELECT "a"', "SELECT `a`", 'SELECT "b"', "SELECT 'a'", 'SELECT "a""b"', "SELECT 'a\\'", "SELECT '\\\\'", "SELECT '', '\\', ''",
             "SELECT 1 || 2", "SELECT -1 || -2", "SELECT a || -2", "SELECT @a", 'SELECT @"a"', 'SELECT @"b"', "SELECT @`a`", "SELECT @'a'", "SELECT count (1)"]
    same_partition(texts)
    same_partition(texts, 1, "ANSI_QUOTES")
    same_partition(texts, 2, "NO_BACKSLASH_ESCAPES")
    same_partition(texts, 3, "ANSI_QUOTES,NO_BACKSLASH_ESCAPES")


main()
