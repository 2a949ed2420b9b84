"""Logins at servers whose accounts have other methods than mysql_native_password: client_ed25519 of a real server, and
caching_sha2_password of a scripted one (peer_sha2), as no server of Debian has it."""
from margaytest import *
from mt_certs import Authority
import peer_sha2

ED, EDPW = "ed", "a password of any length, with \u00fc and ' in it: " + "x" * 80
SHA, SHAPW = "sha", "sha secret"
USERS = {APP[0]: APP[1], SHA: SHAPW, "shanull": ""}
HASHED = "*" + peer_sha2.sha1(peer_sha2.sha1(b"hashed")).hex().upper()


def quoted(pw):
    return '"%s"' % pw.replace("\\", "\\\\").replace('"', '\\"')


def setup():
    global db, m, ca
    db = replication_set(1, users=USERS)
    for s in db:
        try:
            s.sql("INSTALL SONAME 'auth_ed25519'")
        except pymysql.err.MySQLError as e:
            skip("the server has no plug-in auth_ed25519: %s" % e)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY)", "INSERT INTO shop.t VALUES (1), (2)")
    for name, how in ((ED, "VIA ed25519 USING PASSWORD(%s)" % sql_str(EDPW)),
                      ("edhash", "VIA ed25519 USING PASSWORD('hashed')"),
                      ("edback", "VIA ed25519 USING PASSWORD('back')"),
                      ("two", "VIA ed25519 USING PASSWORD('other') OR mysql_native_password USING PASSWORD('two')"),
                      ("two2", "VIA mysql_native_password USING PASSWORD('other') OR ed25519 USING PASSWORD('two')"),
                      ("edmon", "VIA ed25519 USING PASSWORD('edmon secret')")):
        db[0].sql("CREATE USER %s@'%%' IDENTIFIED %s" % (name, how), "GRANT ALL ON shop.* TO %s@'%%'" % name)
    db[0].sql("GRANT SLAVE MONITOR, BINLOG MONITOR, CONNECTION ADMIN, PROCESS, TRIGGER, SELECT ON *.* TO edmon@'%'")
    db[1].catch_up()
    ca = Authority()
    users = {APP[0]: {"password": APP[1]}, ED: {"password": quoted(EDPW)}, "edhash": {"password": HASHED},
             "front": {"password": HASHED, "backend_user": "edback", "backend_password": "back"},
             "two": {"password": "two"}, "two2": {"password": "two"},
             "twohash": {"password": "*" + peer_sha2.sha1(peer_sha2.sha1(b"two")).hex(), "backend_user": "two"}}
    m = Margay(db, users=users, cluster={"monitor_user": "edmon", "monitor_password": quoted("edmon secret")})


def both(margay, user, password):
    """A write and reads as that user; the reads are answered by the replica."""
    with margay.conn(user=user, password=password) as c:
        query(c, "DELETE FROM t WHERE id = 77")
    with margay.conn(user=user, password=password) as c:
        eq(query(c, "SELECT COUNT(*) FROM t"), ((2,),))
        return value(c, "SELECT USER()").split("@")[0]


# ---- client_ed25519

def test_ed25519_as_libmariadb_does():
    """The accounts are what they are meant to be: the client library logs in to the servers themselves."""
    for name, pw in ((ED, EDPW), ("two", "two"), ("two2", "two")):
        r = run([sbin("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % db[0].port, "-u" + name, "-p" + pw, "-Ne", "SELECT 1"])
        eq((r.returncode, r.stdout.strip()), (0, "1"), r.stderr)
    raises(1045, db[0].conn, user=APP[0], password="wrong")


def test_ed25519():
    """Health logged in with it as well (edmon), else no server would be up."""
    eq(both(m, ED, EDPW.encode()), ED)
    before = db[1].status("Com_select")
    with m.conn(user=ED, password=EDPW.encode()) as c:
        query(c, "SELECT id FROM t")
    ok(db[1].status("Com_select") > before, "the replica answers too")
    eq(both(m, "front", "hashed"), "edback")
    eq(db[1].one("SELECT plugin FROM mysql.user WHERE user = 'edmon'"), "ed25519")


def test_ed25519_with_a_hash_alone():
    with m.conn(user="edhash", password="hashed", database=None) as c:
        e = raises(1045, query, c, "INSERT INTO shop.t VALUES (5)")
        ok("client_ed25519 takes the password, not its hash: set backend_password of [user edhash]" in str(e), str(e))
    wait_for(lambda: "account edhash: server refused the login" in m.log_text(), 20, "the line in the log")
    ok(EDPW[:10] not in m.log_text() and HASHED not in m.log_text(), "secrets in the log")
    eq(both(m, ED, EDPW.encode()), ED)  # the servers are well


def test_accounts_with_two_methods():
    """The server asks for one after the other, as long as they do not fit."""
    eq(both(m, "two", "two"), "two")
    eq(both(m, "two2", "two"), "two2")
    eq(both(m, "twohash", "two"), "two")  # a hash of mysql_native_password will do for the second


def test_over_tls_and_compressed():
    pem, key = ca.issue("db", "IP:127.0.0.1")
    s = MariaDB("tls", ["--ssl-cert=" + pem, "--ssl-key=" + key])
    s.sql("INSTALL SONAME 'auth_ed25519'")
    accounts(s)
    s.sql("CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')", "GRANT ALL ON shop.* TO ed@'%'")
    t = Margay([s], name="mtls", users={"ed": {"password": "x"}},
               server={"tls": "verify-ca", "tls_ca": ca.pem, "compression": "zlib"})
    with t.conn(user="ed", password="x") as c:
        query(c, "BEGIN")
        eq(query(c, "SHOW STATUS LIKE 'Compression'"), (("Compression", "ON"),))
        ok(query(c, "SHOW STATUS LIKE 'Ssl_cipher'")[0][1] != "", "TLS")
    eq(t.stop(), 0)
    s.stop()


# ---- caching_sha2_password

class Sha2:
    """Margay before a scripted server that relays to the first one."""

    def __init__(self, options=None, tls=False, password=None, start=True, **kw):
        self.dir = mkdir("rsa")
        self.rsa = peer_sha2.rsa_pair(self.dir)
        for f in self.rsa:
            own(f)
        self.fake = peer_sha2.Sha2Server(("127.0.0.1", db[0].port), {SHA: SHAPW, "shanull": ""}, self.rsa,
                                         ca.issue("db", "IP:127.0.0.1") if tls else None, **kw)
        opts = {"address": "127.0.0.1:%d" % self.fake.port, "connect_timeout": "2s"}
        opts.update({k: v % {"pub": self.rsa[1]} if isinstance(v, str) else v for k, v in (options or {}).items()})
        self.m = Margay([db[0]], name="msha", server_options={db[0].name: opts}, start=start,
                        users={SHA: {"password": quoted(password or SHAPW)}, "shanull": {"password": '""'}, APP[0]: {"password": APP[1]}})

    def ask(self, user=SHA, password=SHAPW):
        with self.m.conn(user=user, password=password, database=None) as c:
            return value(c, "SELECT USER() FROM DUAL FOR UPDATE").split("@")[0]

    def fresh(self):
        """Connections from now on are new ones."""
        self.fake.drop_all()
        self.m.wait_servers()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.fake.close()
        eq(self.m.stop(), 0, "exit status of Margay")


def test_the_scripted_server_is_one():
    """libmariadb's plug-in logs in to it: with the server's key, by what it remembers, over TLS, and not with a wrong password."""
    with Sha2(tls=True) as x:
        def cli(pw, *words, user=SHA):
            r = run([sbin("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % x.fake.port, "-u" + user, "-p" + pw, "-Ne",
                     "SELECT 7"] + list(words))
            return r.stdout.strip() or re.search(r"ERROR (\d+)", r.stderr).group(1)
        eq(cli(SHAPW, "--skip-ssl"), "7")
        eq(cli(SHAPW, "--skip-ssl"), "7")
        eq(cli("wrong", "--skip-ssl"), "1045")
        x.fake.known.clear()
        eq(cli(SHAPW, "--ssl"), "7")
        eq(cli("", "--skip-ssl", user="shanull"), "7")
        eq(cli("wrong", "--ssl"), "1045")
        eq(x.fake.steps, [(SHA, "asked-rsa"), (SHA, "known"), (SHA, "wrong-asked-rsa"), (SHA, "clear"), ("shanull", "empty"),
                          (SHA, "wrong-clear")])


def test_sha2_without_cover():
    """Over plain TCP the password is not shown; what the server remembers works."""
    with Sha2() as x:
        e = raises(1045, x.ask)
        ok("caching_sha2_password needs TLS, auth_rsa_key or auth_rsa_ask of [server db1]" in str(e), str(e))
        eq(x.fake.steps, [])
        x.fake.known.add(SHA)
        eq(x.ask(), SHA)
        eq(x.ask("shanull", ""), "shanull")
        eq(x.ask(*APP), APP[0])
        eq(set(x.fake.steps), {(SHA, "known"), ("shanull", "empty")})
        ok(SHAPW not in x.m.log_text(), "the password is in the log")


def test_sha2_with_a_key_from_the_configuration():
    with Sha2({"auth_rsa_key": "%(pub)s"}) as x:
        eq(x.ask(), SHA)
        eq(x.fake.steps, [(SHA, "rsa")])
        x.fresh()
        eq(x.ask(), SHA)
        eq(x.fake.steps[-1], (SHA, "known"))
        # a server with another key cannot read it
        x.fake.known.clear()
        x.fake.rsa = peer_sha2.rsa_pair(x.dir)
        x.fresh()
        raises(1045, x.ask)
        eq(x.fake.steps[-1], (SHA, "wrong-rsa"))
        # and takes it after a reload with its own
        own(x.fake.rsa[1])
        x.m.server_options[db[0].name]["auth_rsa_key"] = x.fake.rsa[1]
        x.m.reload()
        eq(x.ask(), SHA)
        eq(x.fake.steps[-1], (SHA, "rsa"))


def test_sha2_with_a_key_that_the_server_gives():
    with Sha2({"auth_rsa_ask": "yes"}, names_it=True) as x:
        eq(x.ask(), SHA)
        eq(x.fake.steps, [(SHA, "asked-rsa")])
        for what in (b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"\xff" * 60000,
                     open(peer_sha2.rsa_pair(x.dir, 512)[1], "rb").read()):
            x.fake.known.clear()
            x.fake.gives = what
            x.fresh()
            e = raises(1045, x.ask)
            ok("is no RSA key of 1024 to 8192 bits" in str(e), str(e))
        x.fake.gives = None
        eq(x.ask(), SHA)


def test_sha2_over_tls():
    for mode in ({"tls": "required"}, {"tls": "verify-full", "tls_ca": None}):
        if "tls_ca" in mode:
            mode["tls_ca"] = ca.pem
        with Sha2(mode, tls=True) as x:
            eq(x.ask(), SHA)
            x.fresh()
            eq(x.ask(), SHA)
            eq([s for s in x.fake.steps if s[0] == SHA], [(SHA, "clear"), (SHA, "known")])


def test_sha2_of_the_monitor():
    """Health shows its password as little as workers do."""
    for options, tls, word in (({}, False, None), ({"auth_rsa_ask": "yes"}, False, "asked-rsa"),
                               ({"auth_rsa_key": "%(pub)s"}, False, "rsa"), ({"tls": "required"}, True, "clear")):
        with Sha2(options, tls=tls, start=False) as x:
            x.fake.accounts[MONITOR[0]] = MONITOR[1]
            x.m.start()
            if word:
                x.m.wait_servers()
                eq(set(x.fake.steps), {(MONITOR[0], word), (MONITOR[0], "known")} & set(x.fake.steps) | {(MONITOR[0], word)})
            else:
                wait_for(lambda: "its method needs TLS, auth_rsa_key" in x.m.log_text(), 20, "health to say what the server asks for")
                eq(x.fake.steps, [])


def test_sha2_wrong_password():
    with Sha2({"auth_rsa_ask": "yes"}, password="another") as x:
        e = raises(1045, x.ask, SHA, "another")
        ok("error 1045: Access denied for user 'sha'@'peer'" in str(e), str(e))
        eq(x.ask(*APP), APP[0])


def test_keys_that_are_none_refuse_the_load():
    with Sha2({"auth_rsa_key": "%(pub)s"}) as x:
        for text, says in (("nothing\n", "no RSA public key"), (read_text(peer_sha2.rsa_pair(x.dir, 512)[1]), "1024 to 8192"),
                           (read_text(x.rsa[0]), "no RSA public key")):
            with open(x.dir + "/bad", "w") as f:
                f.write(text)
            own(x.dir + "/bad")
            x.m.server_options[db[0].name]["auth_rsa_key"] = x.dir + "/bad"
            r = x.m.reload(False)
            ok(r.returncode != 0 and says in r.stdout + r.stderr, r.stdout + r.stderr)
        eq(x.ask(), SHA)


# ---- connection attributes

def attributes(s, user):
    """Of the server's connections of that user: [{name: value}]"""
    got = {}
    for pid, k, v in s.sql("SELECT a.processlist_id, attr_name, attr_value FROM performance_schema.session_connect_attrs a "
                           "JOIN information_schema.processlist p ON p.id = a.processlist_id WHERE p.user = '%s'" % user):
        got.setdefault(pid, {})[k] = v
    return list(got.values())


def test_connection_attributes():
    s = MariaDB("ps", ["--performance-schema=on"])
    accounts(s, {APP[0]: APP[1], "named": "named"})
    x = Margay([s], name="mps", users={APP[0]: {"password": APP[1]}, "named": {"password": "named", "pass_program_name": "yes"}})
    version = run([x.prog("margayd"), "--version"]).stdout.split()[-1]
    for program in ("backup", "webshop"):
        with x.conn(program_name=program) as c:
            query(c, "SET @a = 1")  # a kept connection, which is reset afterwards
        with x.conn(user="named", password="named", program_name=program) as c:
            query(c, "SET @a = 1")
    wait_for(lambda: x.counter("clients") == 0, 20, "clients to be gone")
    own = {"_client_name": "margay", "_client_version": version, "_pid": str(x.worker_pids()[0])}
    eq(attributes(s, APP[0]), [dict(own, program_name="margay")])
    eq(sorted(a["program_name"] for a in attributes(s, "named")), ["backup", "webshop"])
    ok(all(dict(a, program_name="") == dict(own, program_name="") for a in attributes(s, "named")), attributes(s, "named"))
    with x.conn(user="named", password="named", program_name="backup", database=None) as c:
        eq(query(c, "SELECT attr_value FROM performance_schema.session_account_connect_attrs WHERE attr_name = 'program_name' "
                 "AND processlist_id = CONNECTION_ID()"), (("backup",),))
    eq(len(attributes(s, "named")), 2, "a connection was there for it")
    eq([a["program_name"] for a in attributes(s, MONITOR[0])][:1], ["margay-health"])
    eq(x.stop(), 0)
    s.stop()


if __name__ == '__main__':
    main()
