"""MariaDB's own test of the C API (program mysql_client_test of package mariadb-test), one of its functions at a time: what passes
directly must pass through Margay."""
import shutil

from margaytest import *

# Pass directly and not through Margay, with the reason.
KNOWN = {
    "test_bug31669": "a user name of 128 characters: Margay takes 80, as MySQL",
    "test_progress_reporting": "MARIADB_CLIENT_PROGRESS is not offered (doc/PROTOCOL)",
}
ACCOUNTS = {"test_grant": '""', "u": "password", "testbug": '""', "mysqltest_u1": '""', "mysqltest_pw": "password",
            "mysqltest_no_pw": '""'}


def setup():
    if shutil.which("mysql_client_test") is None:
        skip("package mariadb-test is not installed (dist/packages.txt)")
    global db, m
    db = replication_set(0, options=("--max-allowed-packet=32000000", "--log-bin-trust-function-creators=1", "--local-infile=1"))[0]
    db.sql("CREATE DATABASE IF NOT EXISTS test")
    users = {name: {"password": password} for name, password in ACCOUNTS.items()}
    m = Margay([db], cluster={"topology": "standalone"}, users={**users, "root": {"password": '""', "process_admin": "yes"}})


def passes(name, port):
    where = mkdir("client_test_" + name)
    for d in ("log", "tmp"):
        os.makedirs(where + "/" + d, exist_ok=True)
    return run(["mysql_client_test", "--no-defaults", "--testcase", "--vardir=" + where, "-h127.0.0.1", "-P%d" % port, "-uroot", "-s",
                name], timeout=120).returncode == 0


@limit(900)
def test_c_api():
    listed = run(["mysql_client_test", "--no-defaults", "-T"], timeout=30)
    names = re.findall(r"\b(test_\w+)", listed.stdout + (listed.stderr or ""))
    ok(len(names) > 250, "mysql_client_test -T lists %d functions" % len(names))
    failed, differ = [], set()
    for n in names:
        if passes(n, m.port):
            continue
        failed.append(n)
        # at once: some depend on what the ones before have left
        if passes(n, db.port) and not passes(n, m.port):
            differ.add(n)
    note("%d of %d functions pass through Margay, %d fail directly too" % (len(names) - len(failed), len(names), len(failed) - len(differ)))
    eq(differ - set(KNOWN), set(), "functions that pass directly and not through Margay")
    eq({n for n in KNOWN if n in names} - differ, set(), "known differences that are none")


RESULTS = """
DELIMITER $$;
CREATE PROCEDURE many() BEGIN
%s
END$$
DELIMITER ;$$
CALL many();
CALL many();
DROP PROCEDURE many;
""" % "\n".join("  SELECT %d AS c%d; SELECT %d AS long_name_%d WHERE 0;" % (i, i, i, i) for i in range(60))


def test_many_results_of_one_call():
    """Packets that Margay puts between results were overwritten by later ones before they were sent: the client waited for ever."""
    where = mkdir("many")
    with open(where + "/many.test", "w") as f:
        f.write(RESULTS)
    for protocol in ([], ["--ps-protocol"], ["--ps-protocol", "--cursor-protocol"]):
        got = []
        for port in (db.port, m.port):
            r = run(["mariadb-test", "--no-defaults", "-h127.0.0.1", "-P%d" % port, "-uroot", "--test-file=" + where + "/many.test",
                     "--tmpdir=" + where] + protocol + ["test"], timeout=20)
            got.append((r.returncode, r.stdout))
        eq(got[1], got[0], " ".join(protocol))
        eq(got[0][0], 0, got[0][1][-500:])


if __name__ == '__main__':
    main()
