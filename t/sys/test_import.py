"""margayctl import-users: accounts of each kind made on a real server, imported, and Margay started with what came out; the
layout of MySQL 8's mysql.user, which no server of Debian has, made by hand and read through a relay that renames it."""
import stat
import tempfile

from margaytest import *
from mt_certs import Authority
import peer_server

HASH = {pw: "*" + peer_server.sha1(peer_server.sha1(pw.encode())).hex().upper() for pw in ("p1", "p2", "ed pw")}
ACCOUNTS = [
    ("plain", "'%'", "IDENTIFIED BY 'p1'", ""),
    ("nets", "'10.%'", "IDENTIFIED BY 'p1'", ""),
    ("nets", "'127.0.0.%'", "IDENTIFIED BY 'p1'", ""),
    ("nets", "'192.168.0.0/255.255.0.0'", "IDENTIFIED BY 'p1'", ""),
    ("far", "'10.1.1.1'", "IDENTIFIED BY 'p1'", ""),
    ("named", "'app.example.com'", "IDENTIFIED BY 'p1'", ""),
    ("differ", "'%'", "IDENTIFIED BY 'p1'", ""),
    ("differ", "'10.%'", "IDENTIFIED BY 'p2'", ""),
    ("ed", "'%'", "IDENTIFIED VIA ed25519 USING PASSWORD('ed pw')", ""),
    ("two", "'%'", "IDENTIFIED VIA ed25519 USING PASSWORD('p2') OR mysql_native_password USING PASSWORD('p1')", ""),
    ("sock", "'%'", "IDENTIFIED VIA unix_socket", ""),
    ("nobody", "'%'", "IDENTIFIED VIA mysql_native_password USING 'invalid'", ""),
    ("shut", "'%'", "IDENTIFIED BY 'p1'", "ACCOUNT LOCK"),
    ("old", "'%'", "IDENTIFIED BY 'p1'", "PASSWORD EXPIRE"),
    ("few", "'%'", "IDENTIFIED BY 'p1'", "WITH MAX_USER_CONNECTIONS 7 MAX_QUERIES_PER_HOUR 1000000"),
    ("none", "'%'", "IDENTIFIED BY 'p1'", "WITH MAX_USER_CONNECTIONS -1"),
    ("tls", "'%'", "IDENTIFIED BY 'p1'", "REQUIRE SSL"),
    ("cert", "'%'", "IDENTIFIED BY 'p1'", "REQUIRE SUBJECT '/CN=app' AND ISSUER '/CN=ca' AND CIPHER 'AES'"),
    ("open", "'%'", "IDENTIFIED BY ''", ""),
    ("we\"ird [x]\\ {;#", "'%'", "IDENTIFIED BY 'p1'", ""),
    ("evil\n[user evil2]\npassword=x", "'%'", "IDENTIFIED BY 'p1'", ""),
    ("", "'10.9.9.9'", "IDENTIFIED BY 'p1'", ""),
]
# comes out so: [option lines] of a section that is in force
WANT = {
    "plain": ["password = \"%s\"" % HASH["p1"]],
    "nets": ["password = \"%s\"" % HASH["p1"], "allow_from = 10.0.0.0/8, 127.0.0.0/24, 192.168.0.0/16"],
    "far": ["password = \"%s\"" % HASH["p1"], "allow_from = 10.1.1.1"],
    "differ": ["password = \"%s\"" % HASH["p1"]],
    "two": ["password = \"%s\"" % HASH["p1"]],
    "old": ["password = \"%s\"" % HASH["p1"]],
    "few": ["password = \"%s\"" % HASH["p1"], "max_connections = 7"],
    "tls": ["password = \"%s\"" % HASH["p1"], "tls = required"],
    "open": ["password = \"\""],
    "we\\\"ird [x]\\\\ {;#": ["password = \"%s\"" % HASH["p1"]],
    "reader": None, "repl": None, "app": None, "root": None,
}
REMARKS = [
    "# 'named'@'app.example.com': not in force: say in allow_from where it may come from",
    "# 'differ'@'10.%': has another password or method than the account below",
    "# 'ed'@'%': not in force: servers take the password itself, not its hash: write it as backend_password",
    "# auth_plugin = client_ed25519",
    "# 'two'@'%': other methods that it has are not carried over: ed25519",
    "# 'sock'@'%': Margay does not have its method: unix_socket",
    "# 'nobody'@'%': no password fits what is stored for it",
    "# 'shut'@'%': it is locked",
    "# 'none'@'%': it may open no connections",
    "# 'old'@'%': the password has expired: servers want a new one",
    "# 'few'@'%': limits by the hour stay with the servers, and hold for all clients together",
    "# 'cert'@'%': REQUIRE CIPHER is not carried over: AES",
    "# 'evil?[user evil2]?password=x'@'%': not in force: no section can have this name",
    "# ''@'10.9.9.9': not in force: anonymous accounts take any name: Margay needs to know it",
    "# 'people': a role; servers know it, Margay need not",
    "# '%s'@'%%': is monitor_user; left out" % MONITOR[0],
]


def setup():
    global db, m
    db = MariaDB("db")
    accounts(db)
    db.sql("INSTALL SONAME 'auth_ed25519'", "CREATE USER reader@'%' IDENTIFIED BY 'r'", "GRANT SELECT ON *.* TO reader@'%'",
           "CREATE ROLE people", "CREATE TABLE shop.t (id INT)", "INSERT INTO shop.t VALUES (1)")
    for name, host, how, more in ACCOUNTS:
        db.sql("CREATE USER %s@%s %s %s" % (sql_str(name), host, how, more))
        if name and name != "none":
            db.sql("GRANT SELECT ON shop.* TO %s@%s" % (sql_str(name), host))
    m = Margay([db], start=False)
    m.write_conf()


def ctl(*words, password=""):
    with tempfile.TemporaryFile("w+") as f:  # standard input of the tool
        f.write(password)
        f.seek(0)
        return run([m.prog("margayctl"), "-c", m.conf, "import-users"] + list(words), stdin=f)


def sections(text):
    """{name as written: [lines]} of what is in force, without the cluster."""
    got, at = {}, None
    for line in text.splitlines():
        if line.startswith("[user \""):
            at = got.setdefault(line[7:-2], [])
        elif line and line[0] != "#":
            at.append(line)
    for name, lines in got.items():
        ok('cluster = "main"' in lines, name)
        lines.remove('cluster = "main"')
    return got


def imported():
    r = ctl("db")
    eq(r.returncode, 0, r.stderr)
    return r.stdout


def test_what_comes_out():
    text = imported()
    got = sections(text)
    eq(sorted(k for k in got if k != "cert"), sorted(WANT), text)
    for name, lines in WANT.items():
        if lines is not None:
            eq(got[name], lines, name)
    eq(got["cert"], ["password = \"%s\"" % HASH["p1"], "tls = certificate", 'tls_subject = "/CN=app"'])
    lines = text.splitlines()
    for r in REMARKS:
        ok(r in lines, "%s\nis not in\n%s" % (r, text))
    ok("password = \"ed25519:" in text and MONITOR[1] not in text, text)


def test_margay_with_what_came_out():
    """Every account that is in force logs in through Margay, and its statements run; the others' reasons are true."""
    path = m.dir + "/users.conf"
    r = ctl("-o", path, "db")
    eq(r.returncode, 0, r.stderr)
    eq(stat.S_IMODE(os.stat(path).st_mode), 0o600)
    ok("users written to" in r.stderr, r.stderr)
    eq(ctl("-o", path, "db").returncode, 1)  # an existing file is not touched
    eq(sections(read_text(path)), sections(imported()))
    text = read_text(path)
    text = text[:text.index("\n[user \"cert\"]")] + text[text.index("tls_subject = \"/CN=app\"") + 23:]  # without certificates here
    # what the remark for ed says to do
    lines, at = text.splitlines(), None
    at = next(i for i, line in enumerate(lines) if line == '# [user "ed"]')
    lines[at:at + 5] = ['[user "ed"]', "password = " + HASH["ed pw"], 'backend_password = "ed pw"', "cluster = main"]
    with open(path, "w") as f:
        f.write("\n".join(lines))
    own(path)
    own_app = dict(m.users)
    m.users = {"other": {"password": "x", "backend_user": "plain", "backend_password": "p1"}}
    m.margay["include"] = path
    try:
        m.start()
        m.wait_servers()
        for name, pw in (("plain", "p1"), ("nets", "p1"), ("differ", "p1"), ("two", "p1"), ("few", "p1"), ("open", ""),
                         ("we\"ird [x]\\ {;#", "p1"), ("ed", "ed pw"), (APP[0], APP[1])):
            with m.conn(user=name, password=pw) as c:
                eq(query(c, "SELECT * FROM t"), ((1,),), name)
            raises(1045, m.conn, user=name, password="wrong")
        raises(1130, m.conn, user="far", password="p1")
        raises(3159, m.conn, user="tls", password="p1")
        raises(1045, m.conn, user="differ", password="p2")
        for name in ("named", "shut", "sock", "nobody", "none", "people", "evil"):
            raises(1045, m.conn, user=name, password="p1")
        held = [m.conn(user="few", password="p1", database=None) for _ in range(7)]
        raises(1226, m.conn, user="few", password="p1", database=None)
        for c in held:
            c.close()
        eq(m.stop(), 0)
    finally:
        del m.margay["include"]
        m.users = own_app
        m.write_conf()


def test_from_an_address():
    for to in ("127.0.0.1:%d" % db.port, db.socket):
        r = ctl("--user", "reader", "--cluster", 'odd "name"', to, password="r\n")
        eq(r.returncode, 0, r.stderr)
        ok('cluster = "odd \\"name\\""' in r.stdout and "monitor_user" not in r.stdout and '[user "%s"]' % MONITOR[0] in r.stdout, r.stdout)
    r = ctl("--user", "reader", "127.0.0.1:%d" % db.port, password="wrong\n")
    ok(r.returncode == 1 and "Access denied" in r.stderr and r.stdout == "", r.stderr)
    r = ctl("--user", "plain", "-o", m.dir + "/never", "127.0.0.1:%d" % db.port, password="p1")
    ok(r.returncode == 1 and "SELECT on mysql.* is needed" in r.stderr and not os.path.exists(m.dir + "/never"), r.stderr)


def test_over_tls():
    """As the [server] section says; a certificate of another authority is refused."""
    ca, other = Authority(), Authority("other")
    cert, key = ca.issue("db", "IP:127.0.0.1")
    s = MariaDB("tls", ["--ssl-cert=" + cert, "--ssl-key=" + key])
    accounts(s)
    for options, n, code in (({"tls": "off"}, 0, 0), ({"tls": "preferred"}, 1, 0), ({"tls": "required"}, 1, 0),
                             ({"tls": "verify-ca", "tls_ca": ca.pem}, 1, 0), ({"tls": "verify-full", "tls_ca": ca.pem}, 1, 0),
                             ({"tls": "verify-ca", "tls_ca": other.pem}, 0, 1)):
        x = Margay([s], name="mtls", server=options, start=False)
        x.write_conf()
        before = s.status("Ssl_finished_accepts")
        r = run([x.prog("margayctl"), "-c", x.conf, "import-users", "tls"])
        eq(r.returncode, code, "%s: %s" % (options, r.stderr))
        eq(s.status("Ssl_finished_accepts") - before, n, str(options))
        ok(code == 1 or '[user "app"]' in r.stdout, r.stdout)
    s.stop()
    x = Margay([db], name="mplain", server={"tls": "preferred"}, start=False)
    x.write_conf()
    r = run([x.prog("margayctl"), "-c", x.conf, "import-users", "db"])
    eq(r.returncode, 0, "preferred where the server has no TLS: " + r.stderr)


def test_wrong_usage():
    for words, code in ((["127.0.0.1:1"], 64), (["nope"], 1), ([], 64), (["db", "db"], 64), (["--key", "x", "db"], 64),
                        (["--user", "x", "127.0.0.1:0"], 64)):
        eq(ctl(*words, password="").returncode, code, str(words))
    eq(run([m.prog("margayctl"), "-c", m.conf, "--user", "x", "status"]).returncode, 64)
    r = ctl("--user", "x", "--timeout", "1", "127.0.0.1:%d" % free_port(), password="")
    ok(r.returncode == 1 and "cannot connect" in r.stderr, r.stderr)


class Renamed(peer_server.FakeServer):
    """A server of which mysql.user is another table, and mysql.global_priv none."""

    def _forward(self, p, up, buf):
        return super()._forward(p, up, buf.replace(b"mysql.global_priv", b"mysq8.global_priv").replace(b"mysql.user", b"mysq8.user"))


def test_mysql_8():
    salt = bytes([1, 34, 10, 92, 123, 39, 59, 35]) + b"abcdefghijkl"
    sha = b"$A$005$" + salt + b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
    priv = "".join(", %s_priv ENUM('N','Y') NOT NULL DEFAULT 'N'" % p for p in ("Select", "Insert", "Super"))
    rows = [("nat", "%", "mysql_native_password", HASH["p1"].encode(), "", "", 0, "N", "N"),
            ("sha", "10.0.0.0/8", "caching_sha2_password", sha, "", "", 0, "N", "N"),
            ("shanull", "10.0.0.1", "caching_sha2_password", b"", "", "", 0, "N", "N"),
            ("x", "%", "mysql_native_password", HASH["p1"].encode(), "SPECIFIED", "/CN=x", 5, "N", "Y"),
            ("any", "%", "mysql_native_password", HASH["p1"].encode(), "ANY", "", 0, "N", "N"),
            ("boss", "%", "caching_sha2_password", b"", "", "", 0, "Y", "Y"),
            ("old", "%", "sha256_password", b"$5$x", "", "", 0, "N", "N")]
    db.sql("CREATE DATABASE mysq8",
           "CREATE TABLE mysq8.user (Host CHAR(255) NOT NULL, User CHAR(32) COLLATE utf8mb3_bin NOT NULL" + priv +
           ", ssl_type ENUM('','ANY','X509','SPECIFIED') NOT NULL, ssl_cipher BLOB NOT NULL, x509_issuer BLOB NOT NULL"
           ", x509_subject BLOB NOT NULL, max_questions INT UNSIGNED NOT NULL DEFAULT 0, max_updates INT UNSIGNED NOT NULL DEFAULT 0"
           ", max_connections INT UNSIGNED NOT NULL DEFAULT 0, max_user_connections INT UNSIGNED NOT NULL DEFAULT 0"
           ", plugin CHAR(64) NOT NULL, authentication_string TEXT COLLATE utf8mb3_bin, password_expired ENUM('N','Y') NOT NULL"
           ", password_last_changed TIMESTAMP NULL, password_lifetime SMALLINT UNSIGNED, account_locked ENUM('N','Y') NOT NULL"
           ", Create_role_priv ENUM('N','Y') NOT NULL DEFAULT 'N', User_attributes JSON, PRIMARY KEY (Host, User)) CHARSET utf8mb3")
    with db.conn() as c, c.cursor() as cur:
        for u, h, plugin, stored, tls, subject, most, locked, expired in rows:
            cur.execute("INSERT INTO mysq8.user (User, Host, plugin, authentication_string, ssl_type, x509_subject, x509_issuer, "
                        "ssl_cipher, max_user_connections, account_locked, password_expired) VALUES (%s,%s,%s,%s,%s,%s,'','',%s,%s,%s)",
                        (u, h, plugin, stored, tls, subject, most, locked, expired))
    with Renamed(upstream=("127.0.0.1", db.port)) as srv:
        r = ctl("--user", "reader", "127.0.0.1:%d" % srv.port, password="r")
    eq(r.returncode, 0, r.stderr)
    native = 'password = "%s"' % HASH["p1"]
    eq(sections(r.stdout), {"nat": [native], "x": [native, "tls = certificate", 'tls_subject = "/CN=x"', "max_connections = 5"],
                            "any": [native, "tls = required"]})
    lines = r.stdout.splitlines()
    for line in ("# password = 0x" + sha.hex().upper(), "# allow_from = 10.0.0.0/8", "# 'boss'@'%': it is locked",
                 "# 'old'@'%': Margay does not have its method: sha256_password",
                 "# 'x'@'%': the password has expired: servers want a new one", '# [user "shanull"]', '# password = ""'):
        ok(line in lines, "%s\nis not in\n%s" % (line, r.stdout))


if __name__ == '__main__':
    main()
