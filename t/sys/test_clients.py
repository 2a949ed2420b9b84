"""The client libraries that people use, each doing the same kind of work (t/clients/) directly and through Margay:
what they print must be equal. Libraries come from Debian (dist/packages.txt) or from npm, into the directory of the test.
One that is not to be had is skipped, and said so."""
import difflib
import subprocess

from margaytest import *

HERE = os.path.join(SRC, "t", "clients")
OTHER = ("second", "Zwei\\tes 'Pass\"wort")  # the account that sessions change to
# Steps of the programs that need a feature of Margay; what is not here doc/PROTOCOL lists as missing
HAVE = "connid local_infile change_user bulk"

WORLD = """
CREATE OR REPLACE TABLE types (id INT AUTO_INCREMENT PRIMARY KEY, ti TINYINT, si SMALLINT, mi MEDIUMINT, bi BIGINT,
 ub BIGINT UNSIGNED, f FLOAT, d DOUBLE, de DECIMAL(30,10), da DATE, tm TIME(6), dt DATETIME(6), ts TIMESTAMP NULL, yr YEAR,
 ch CHAR(10), vc VARCHAR(200), tx MEDIUMTEXT, bl BLOB, bn VARBINARY(16), bt BIT(12), en ENUM('a','b'),
 st SET('x','y','z'), js JSON) CHARSET utf8mb4
CREATE OR REPLACE TABLE uniq (id INT AUTO_INCREMENT PRIMARY KEY, k VARCHAR(50) NOT NULL UNIQUE, v INT)
CREATE OR REPLACE TABLE big (id INT PRIMARY KEY, b LONGBLOB)
CREATE OR REPLACE TABLE pool (id INT AUTO_INCREMENT PRIMARY KEY, who INT, n INT, KEY (who))
CREATE OR REPLACE TABLE many (id INT PRIMARY KEY, txt VARCHAR(200)) AS SELECT seq AS id, REPEAT(CHAR(97 + seq % 26), 150) AS txt FROM seq_1_to_20000
CREATE OR REPLACE PROCEDURE two(n INT) BEGIN SELECT n, n + 1 AS m; UPDATE uniq SET v = v + n; SELECT k, v FROM uniq ORDER BY k; END
CREATE OR REPLACE PROCEDURE outp(IN a INT, OUT b INT, INOUT c INT) BEGIN SET b = a * 2; SET c = c + a; SELECT a, b; END
CREATE OR REPLACE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN n * 2
"""


def statements(text):
    return [s.replace("\n", " ") for s in re.split(r"\n(?=CREATE)", text.strip())]


def setup():
    global db, m, env, npm
    db = replication_set(1, options=["--max-allowed-packet=64M", "--log-bin-trust-function-creators=1"])
    accounts(db[0], {APP[0]: APP[1], OTHER[0]: OTHER[1]})
    m = Margay(db, server={"pool_size": 3}, users={n: {"password": quoted(p)} for n, p in (APP, OTHER)})
    db[0].sql("GRANT RELOAD, PROCESS ON *.* TO %s@'%%'" % APP[0])
    d = mkdir("clients")
    env = {**{k: v for k, v in os.environ.items() if re.match("(?i)(npm_config|node_extra|https?_proxy|no_proxy|ssl_cert)", k)},
           "PATH": os.environ["PATH"], "HOME": d, "TMP": d, "HAVE": HAVE, "LANG": "C.UTF-8", "OTHER_USER": OTHER[0],
           "OTHER_PASSWORD": OTHER[1]}


def quoted(s):
    return '"%s"' % s.replace("\\", "\\\\").replace('"', '\\"')


def fresh():
    db[0].sql("USE shop", *statements(WORLD))
    db[1].catch_up()


def call(argv, timeout=100, stdin=None, encoding="utf-8", **more):
    """A client program's output; it ends with an exit status of 0."""
    try:
        r = subprocess.run(as_user(argv), env={**env, **more}, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=timeout * SLOW, cwd=env["HOME"])
    except subprocess.TimeoutExpired as e:
        raise Failed("%s: not done in time, after\n%s" % (" ".join(argv)[:200], (e.stdout or b"").decode(errors="replace")[-3000:]))
    text = (r.stdout + r.stderr).decode(encoding, errors="backslashreplace")  # the two are not ordered between them
    if r.returncode:
        raise Failed("%s: exit %d\n%s" % (" ".join(argv)[:200], r.returncode, text[-3000:]))
    return text


MASK = r"0x[0-9a-f]{8,}"  # addresses of objects in messages


def fill(word, port):
    return word.format(host="127.0.0.1", port=port, user=APP[0], password=APP[1])


def compare(argv, mask=MASK, stdin=None, lines=10, **more):
    """Runs it at the primary and through Margay. mask: what differs by its nature (ids, times)."""
    texts = []
    for port in (db[0].port, m.port):
        fresh()
        with open(stdin or os.devnull) as f:
            t = call([fill(a, port) for a in argv], stdin=f, **more)
        texts.append(re.sub(r"\b%d\b" % port, "PORT", re.sub(mask, "MASK", t)))
    ok(texts[0].count("\n") >= lines, "the program did something:\n" + texts[0])
    if args.verbose:
        print(texts[0])
    diff = [d for d in difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), "direct", "through", lineterm="", n=2)]
    if diff:
        pair = next(((a, b) for a, b in zip(*[t.splitlines() for t in texts]) if a != b), ("", ""))
        at = max(0, len(os.path.commonprefix(pair)) - 100)
        raise Failed("differs:\n%s\nfirst at %d:\n%s\n%s" % ("\n".join(d[:300] for d in diff[:60]), at, *[t[at:at + 300] for t in pair]))
    name = [os.path.basename(a) for a in argv if os.path.basename(a).partition(".")[0] not in ("", "python3", "env")]
    note("%s: %d lines equal" % (" ".join(n for n in name[:2] if n[0] not in "-{"), texts[0].count("\n")))


def have_program(name):
    return shutil.which(name) or skip(name + " is not installed")


TARGET = ["{host}", "{port}", "{user}", "{password}"]


def python_with(module):
    if subprocess.run(["/usr/bin/python3", "-c", "import " + module], stderr=subprocess.DEVNULL).returncode:
        skip("python module %s is not installed" % module)
    compare(["/usr/bin/python3", "-B", copy("dbapi.py"), module] + TARGET)


def copy(name):
    """Where the unprivileged account can read it."""
    shutil.copy(os.path.join(HERE, name), env["HOME"])
    os.chmod(os.path.join(env["HOME"], name), 0o644)
    return os.path.join(env["HOME"], name)


def test_pymysql():
    python_with("pymysql")


def test_mysqlclient():
    python_with("MySQLdb")


def npm_with(package, program):
    """The package in the newest version that npm gives, in a directory that goes with the test."""
    have_program("node"), have_program("npm")
    try:
        call(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", env["HOME"], package], timeout=120)
    except Failed as e:
        skip("npm gives no %s: %s" % (package, str(e)[-200:]))
    compare(["node", copy(program)] + TARGET)


def test_node_mysql2():
    npm_with("mysql2", "mysql2.js")


def test_node_mariadb():
    npm_with("mariadb", "mariadb.js")


def perl_with(driver):
    have_program("perl")
    if subprocess.run(["perl", "-MDBI", "-MDBD::" + driver, "-e1"], stderr=subprocess.DEVNULL).returncode:
        skip("DBD::%s is not installed" % driver)
    compare(["perl", copy("dbi.pl"), driver] + TARGET)


def test_perl_dbd_mariadb():
    perl_with("MariaDB")


def test_perl_dbd_mysql():
    perl_with("mysql")


def php_with(extension, program):
    have_program("php")
    if extension not in subprocess.check_output(["php", "-m"], text=True).split():
        skip("PHP's %s is not installed" % extension)
    compare(["php", copy(program)] + TARGET)


def test_php_mysqli():
    php_with("mysqli", "mysqli.php")


def test_php_pdo():
    php_with("pdo_mysql", "pdo.php")


def test_ruby_mysql2():
    have_program("ruby")
    if subprocess.run(["ruby", "-e", "require 'mysql2'"], stderr=subprocess.DEVNULL).returncode:
        skip("Ruby's mysql2 is not installed")
    compare(["ruby", copy("work.rb")] + TARGET)


def test_jdbc():
    """The source is compiled by the java program itself, which needs the compiler's module."""
    driver = "/usr/share/java/mariadb-java-client.jar"
    if not os.path.exists(driver):
        skip("libmariadb-java is not installed")
    if "jdk.compiler" not in subprocess.check_output([have_program("java"), "--list-modules"], text=True):
        skip("java has no compiler")
    compare(["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", driver, copy("Work.java")] + TARGET)


def test_go():
    have_program("go")
    if not os.path.isdir("/usr/share/gocode/src/github.com/go-sql-driver/mysql"):
        skip("golang-github-go-sql-driver-mysql-dev is not installed")
    program = os.path.join(env["HOME"], "work")
    call(["go", "build", "-o", program, copy("work.go")], GO111MODULE="off", GOPATH="/usr/share/gocode",
         GOCACHE=env["HOME"] + "/gocache", GOFLAGS="-p=1", timeout=200)
    compare([program] + TARGET)


def test_connector_c():
    compare([psclient()] + TARGET + ["shop"], stdin=copy("connc.txt"))


def psclient():
    program = os.path.join(BUILD, "t", "bin", "psclient")
    if not os.path.exists(program):
        skip("t/bin/psclient is not built")
    shutil.copy2(program, env["HOME"])
    return os.path.join(env["HOME"], "psclient")


CLI = ["-h{host}", "-P{port}", "-u{user}", "-p{password}"]
TIMES = r"(?m)\d+\.\d+ sec|^Current connection:.*|^Connection id:.*|[^|\n]*\(PID.*|(?<=Dump completed on ).*|Host: .*|^Time: .*| \| *\d+ \| app .*"


def test_mariadb_cli():
    have_program("mariadb")
    for how in (["-t", "-vvv", "--force"], ["-t", "--force", "--show-warnings"], ["-t", "--force", "--column-type-info"],
                ["-t", "--force", "--quick", "--show-warnings", "--column-type-info"], ["--batch", "--raw", "--force", "--quick"], ["-X", "--force", "-C"], ["-E", "--force", "--default-character-set=latin1"]):
        compare(["mariadb", *CLI, "--comments", *how, "shop"], mask=TIMES, stdin=copy("cli.sql"))


def test_admin_programs():
    have_program("mariadb-admin")
    compare(["mariadb-show", *CLI, "-vv", "shop"], mask=TIMES, lines=5)
    compare(["mariadb-check", *CLI, "--analyze", "shop"], mask=TIMES, lines=5)
    compare(["mariadb-check", *CLI, "--databases", "shop", "--verbose", "--check"], mask=TIMES, lines=5)
    for words in (["ping"], ["status"], ["extended-status"], ["variables"], ["version"]):
        outs = [call(["mariadb-admin", *[fill(a, port) for a in CLI], *words]) for port in (db[0].port, m.port)]
        eq(*[re.sub(r"[\d. ]+", "", o.splitlines()[0]) for o in outs], words)
    for port in (db[0].port, m.port):
        call(["mariadb-admin", *[fill(a, port) for a in CLI], "flush-tables"])
        ok("Query" in call(["mariadb-admin", *[fill(a, port) for a in CLI], "processlist"]), "a process list")


STORED = """
CREATE OR REPLACE VIEW evens AS SELECT id, txt FROM many WHERE id % 2 = 0
CREATE OR REPLACE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(100) CHARACTER SET latin1 DEFAULT 'caf\u00e9') COMMENT 'o''neil'
CREATE OR REPLACE TRIGGER after_uniq AFTER INSERT ON uniq FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('uniq ', NEW.k))
CREATE OR REPLACE EVENT never ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01 00:00:00' DISABLE DO DELETE FROM log
CREATE OR REPLACE SEQUENCE seq START WITH 5
"""


def all_of(schema):
    """Contents and definitions of a schema."""
    c = db[0].conn(database=schema)
    tables = [r[0] for r in query(c, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1")]
    out = {t: query(c, "SHOW CREATE TABLE `%s`" % t)[0][1].replace("`%s`" % schema, "`DB`") for t in tables}
    out.update({"sum of " + t: query(c, "CHECKSUM TABLE `%s`" % t)[0][1] for t in tables if t not in ("evens", "seq")})
    out["routines"] = query(c, "SELECT routine_name, routine_type, routine_definition, sql_mode, definer FROM information_schema.routines "
                            "WHERE routine_schema = DATABASE() ORDER BY 1")
    out["triggers"] = query(c, "SELECT trigger_name, event_object_table, action_statement, sql_mode, definer FROM "
                            "information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY 1")
    out["events"] = query(c, "SELECT event_name, event_definition, starts, status, definer FROM information_schema.events WHERE event_schema = DATABASE()")
    out["seq"] = query(c, "SELECT next_not_cached_value, minimum_value FROM seq")
    c.close()
    return out


@limit(300)
def test_dump_and_restore():
    """A dump through Margay is the dump of the server, byte for byte, and what is restored from it through Margay is the same."""
    have_program("mariadb-dump")
    fresh()
    c = m.conn(password=APP[1], charset="utf8mb4")
    for s in statements(WORLD + STORED.strip()):  # the restoring account owns what it restores
        query(c, s)
    query(c, "INSERT INTO uniq (k, v) VALUES ('\u00e9\u00fc', 1), ('b\\\\', NULL)")
    query(c, "INSERT INTO types (vc, bl, bt, f, ts) VALUES ('o''neil', UNHEX('00FF270A0D5C1A22'), b'101', 1.1, '2020-01-01 00:00:00'), (NULL, NULL, NULL, NULL, NULL)")
    query(c, "INSERT INTO big VALUES (1, REPEAT(UNHEX('00FF'), 3000000))")
    c.close()
    want = all_of("shop")
    ok(len(want["routines"]) >= 3 and len(want["triggers"]) == 1 and len(want["events"]) == 1, "a world to dump: %s" % want.keys())
    for how in (["--single-transaction"], ["--lock-tables"], ["--lock-all-tables", "--hex-blob"],
                ["--single-transaction", "--skip-extended-insert", "--quick", "--compress", "--complete-insert"]):
        words = ["--routines", "--triggers", "--events", "--max-allowed-packet=64M", *how, "shop"]
        dumps = [re.sub(r"(?m)^-- (Host: |Dump completed on ).*", "", call(["mariadb-dump", *[fill(a, port) for a in CLI], *words], encoding="latin-1"))
                 for port in (db[0].port, m.port)]
        at = len(os.path.commonprefix(dumps))
        ok(dumps[0] == dumps[1], "the dumps differ with %s at byte %d:\n%r\n%r" % (how, at, *[d[max(0, at - 200):at + 200] for d in dumps]))
        db[0].sql("DROP DATABASE other", "CREATE DATABASE other")
        path = os.path.join(env["HOME"], "dump.sql")
        with open(path, "w", encoding="latin-1") as f:
            f.write(dumps[1])
        with open(path) as f:
            call(["mariadb", *[fill(a, m.port) for a in CLI], "--max-allowed-packet=64M", "other"], stdin=f)
        got = all_of("other")
        for k in want:
            eq(got.get(k), want[k], "%s after a restore with %s" % (k, how))
        note("mariadb-dump %s: %d bytes equal, restored equal" % (" ".join(how), len(dumps[0])))
    db[0].sql("DROP TRIGGER shop.after_uniq")


if __name__ == '__main__':
    main()
