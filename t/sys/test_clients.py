"""The client libraries that people use, each doing the same kind of work (t/clients/) directly and through Margay:
what they print must be equal. A library that is not installed is skipped, and said so."""
import difflib
import glob
import json
import subprocess

from margaytest import *

HERE = os.path.join(SRC, "t", "clients")
OTHER = ("second", "Zwei\\tes 'Pass\"wort")  # the account that sessions change to
# Steps of the programs that need a feature of Margay
HAVE = ""

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
    db = replication_set(1, options=["--max-allowed-packet=32M"])
    accounts(db[0], {APP[0]: APP[1], OTHER[0]: OTHER[1]})
    m = Margay(db, server={"pool_size": 3}, users={n: {"password": quoted(p)} for n, p in (APP, OTHER)})
    db[0].sql(*["GRANT RELOAD, PROCESS, SHOW VIEW ON *.* TO %s@'%%'" % APP[0]])
    d = mkdir("clients")
    env = {"PATH": os.environ["PATH"], "HOME": d, "TMP": d, "HAVE": HAVE, "LANG": "C.UTF-8", "OTHER_USER": OTHER[0],
           "OTHER_PASSWORD": OTHER[1]}


def quoted(s):
    return '"%s"' % s.replace("\\", "\\\\").replace('"', '\\"')


def fresh():
    db[0].sql("USE shop", *statements(WORLD))
    db[1].catch_up()


def call(argv, timeout=100, stdin=None, **more):
    """A client program's output; it ends with an exit status of 0."""
    r = subprocess.run(as_user(argv), env={**env, **more}, stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=timeout * SLOW, cwd=env["HOME"])
    text = r.stdout.decode(errors="backslashreplace")
    if r.returncode:
        raise Failed("%s: exit %d\n%s" % (" ".join(argv)[:200], r.returncode, text[-3000:]))
    return text


def compare(argv, mask=None, known=(), **more):
    """Runs it at the primary and through Margay. mask: what differs by its nature (ids, times)."""
    texts = []
    for port in (db[0].port, m.port):
        fresh()
        t = call([a.format(host="127.0.0.1", port=port, user=APP[0], password=APP[1]) for a in argv], **more)
        texts.append(re.sub(r"\b%d\b" % port, "PORT", re.sub(mask, "MASK", t) if mask else t))
    ok(texts[0].count("\n") > 10, "the program did something:\n" + texts[0])
    if args.verbose:
        print(texts[0])
    diff = [d for d in difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), "direct", "through", lineterm="", n=2)]
    if diff:
        raise Failed("differs:\n" + "\n".join(d[:1500] for d in diff[:60]))
    note("%s: %d lines equal" % (os.path.basename(argv[0]) + " " + os.path.basename(argv[1]), texts[0].count("\n")))


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


if __name__ == '__main__':
    main()
