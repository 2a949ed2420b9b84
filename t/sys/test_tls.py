"""TLS on both sides: offered, required, certificates and names, reloads, long data, and what is refused."""
import shutil
import ssl
import warnings

from margaytest import *
from mt_certs import Authority, s_client

warnings.filterwarnings("ignore", category=DeprecationWarning)
SUBJECT = "/O=Margay tests/CN=app"


def setup():
    global db, ca, other_ca, front, app, crt
    ca, other_ca = Authority("ca"), Authority("other")
    front, app = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1"), ca.issue("app")
    crt = ca.issue("db.example", "DNS:db.example,IP:127.0.0.1")
    db = replication_set(1, ["--ssl-ca=" + ca.pem, "--ssl-cert=" + crt[0], "--ssl-key=" + crt[1],
                             "--max-allowed-packet=256M"])
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v LONGBLOB)", "INSERT INTO shop.t VALUES (1, 'one')",
              "CREATE USER x@'%' IDENTIFIED BY 'x' REQUIRE X509", "GRANT ALL ON shop.* TO x@'%'",
              "CREATE USER s@'%' IDENTIFIED BY 's' REQUIRE SSL", "GRANT ALL ON shop.* TO s@'%'")
    db[1].catch_up()


def margay(opts=None, **kw):
    return Margay(db, margay={"tls_cert": front[0], "tls_key": front[1], "tls_ca": ca.pem, **(opts or {})}, **kw)


def tls(m, cert=None, verify=True, **kw):
    """A client that speaks TLS."""
    c = ssl.create_default_context(cafile=ca.pem)
    c.check_hostname = verify
    if not verify:
        c.verify_mode = ssl.CERT_NONE
    if cert:
        c.load_cert_chain(*cert)
    if kw.pop("tls12", False):
        c.maximum_version = ssl.TLSVersion.TLSv1_2
    return m.conn(ssl=c, **kw)


def cipher(c):
    return c._sock.cipher()


def is_tls(c):
    return isinstance(c._sock, ssl.SSLSocket)


def works(c):
    eq(value(c, "SELECT v FROM t WHERE id = 1"), b"one")
    query(c, "BEGIN")
    query(c, "REPLACE INTO t VALUES (2, 'two')")
    query(c, "ROLLBACK")


def cli(m, *words, sql="SELECT 1"):
    return run(["mariadb", "--no-defaults", "-h127.0.0.1", "-P%d" % m.port, "-u" + APP[0], "-p" + APP[1], "-N", "-e", sql] +
               list(words))


def test_preferred():
    m = margay()
    for c in tls(m), tls(m, tls12=True), tls(m, verify=False), tls(m, app):
        ok(is_tls(c) and cipher(c), "spoken in TLS")
        works(c)
    works(m.conn())
    works(m.conn(unix=True))
    r = cli(m, "--ssl-ca=" + ca.pem, "--ssl-verify-server-cert")
    eq(r.stdout.strip(), "1", r.stderr)
    r = cli(m, "--ssl-ca=" + other_ca.pem, "--ssl-verify-server-cert")
    ok(r.returncode != 0 and "SSL" in r.stderr, "an authority that did not sign it: " + r.stderr)
    wait_for(lambda: m.counter("tls_failed") >= 1, 5, "the failure to be counted")
    ok(m.counter("tls_handshakes") >= 5, "counted")
    m.stop()


def test_without_certificate_nothing_is_offered():
    m = Margay(db)
    ok(not is_tls(tls(m)), "a client that would speak it does not")
    works(m.conn())
    m.stop()


def test_required():
    m = margay({"tls": "required"})
    no, text = raises((3159,), m.conn)
    ok("tls" in text, text)
    works(tls(m))
    works(m.conn(unix=True))
    raises((1045,), tls, m, password="wrong")
    m.stop()


def test_each_address_has_its_own():
    ports = [free_port() for _ in range(4)]
    m = margay({"tls": "preferred", "workers": 2})
    base = m.margay["listen"]

    def listen(*modes):
        m.margay["listen"] = ", ".join([base] + ["127.0.0.1:%d%s" % (p, mode and "?tls=" + mode) for p, mode in zip(ports, modes)])
        m.reload()

    def at(port, fn=m.conn, **kw):
        """Several times: workers hand clients to one another."""
        out = []
        for _ in range(4):
            was, m.port = m.port, port
            try:
                out.append(fn(**kw))
            finally:
                m.port = was
        return out

    def is_off(port):
        for c in at(port) + at(port, lambda: tls(m)):
            ok(not is_tls(c), "no TLS there")
            works(c)

    def is_required(port):
        for _ in range(4):
            raises((3159,), at, port)
        for c in at(port, lambda: tls(m)):
            ok(is_tls(c), "TLS")
            works(c)

    def is_preferred(port):
        eq([is_tls(c) for c in at(port) + at(port, lambda: tls(m))], [False] * 4 + [True] * 4)
    listen("off", "required", "preferred", "")
    is_off(ports[0])
    is_required(ports[1])
    is_preferred(ports[2])
    is_preferred(ports[3])
    is_preferred(m.port)
    held, was = [], m.port
    while m.counter("handed_over") == 0:  # the mode goes with a client that a worker hands over
        ok(len(held) < 200, "workers hand clients over")
        m.port = ports[0]
        held += [tls(m) for _ in range(10)]
    m.port = was
    ok(not any(is_tls(c) for c in held), "no TLS there")
    for c in held:
        c.close()
    listen("required", "off", "", "off")  # the sockets stay
    is_required(ports[0])
    is_off(ports[1])
    is_preferred(ports[2])
    is_off(ports[3])
    m.margay["tls"] = "off"
    listen("required", "preferred", "off", "")
    is_required(ports[0])
    is_preferred(ports[1])
    is_off(ports[2])
    is_off(ports[3])
    m.margay["tls"] = "required"
    listen("", "off", "preferred")
    is_required(ports[0])
    is_off(ports[1])
    is_preferred(ports[2])
    works(m.conn(unix=True))
    del m.margay["tls_cert"], m.margay["tls_key"], m.margay["tls_ca"]
    m.margay["tls"] = "off"
    m.margay["listen"] = base + ", 127.0.0.1:%d?tls=required" % ports[0]
    r = m.reload(ok_wanted=False)
    ok(r.returncode != 0 and "needs tls_cert" in r.stdout + r.stderr, r.stdout + r.stderr)
    m.stop()


def test_users():
    users = {APP[0]: {"password": APP[1]}}
    for name, opts in {"u": {"tls": "required"}, "c": {"tls": "certificate"},
                       "n": {"tls": "certificate", "tls_subject": '"%s"' % SUBJECT}}.items():
        users[name] = {"password": name, "backend_user": APP[0], "backend_password": APP[1], **opts}
    m = margay(users=users)
    foreign = ca.issue("other")
    works(m.conn())
    raises((3159,), m.conn, "u")
    raises((1045,), m.conn, "u", "wrong")
    works(tls(m, user="u"))
    works(m.conn("u", unix=True))
    for name in "c", "n":
        raises((1045,), m.conn, name)
        raises((1045,), m.conn, name, unix=True)
        raises((1045,), tls, m, user=name)
        works(tls(m, app, user=name))
    works(tls(m, foreign, user="c"))
    raises((1045,), tls, m, foreign, user="n")
    stranger = other_ca.issue("app")
    for v in False, True:  # a certificate that nobody here has signed ends the handshake (TLS 1.3: with the first read)
        raises((2013, 2003, 2006, 2026), tls, m, stranger, tls12=v)
    m.stop()


def test_revoked():
    one, two = ca.issue("app"), ca.issue("app")
    users = {APP[0]: {"password": APP[1], "tls": "certificate"}}
    m = margay({"tls_crl": ca.revoke()}, users=users)
    works(tls(m, one))
    held = tls(m, two)
    m.margay["tls_crl"] = ca.revoke(two[0])
    m.reload()
    works(tls(m, one))
    raises((2013, 2003, 2006, 2026), tls, m, two)
    works(held)
    m.stop()


def serial(m):
    c = tls(m)
    return ssl.DER_cert_to_PEM_cert(c._sock.getpeercert(True)).strip()


def pem(path):
    with open(path) as f:
        return f.read().strip()


def test_reload_and_respawn():
    m = margay()
    cert, key = m.dir + "/cert.pem", m.dir + "/key.pem"

    def put(pair):
        for a, b in zip(pair, (cert, key)):
            shutil.copy(a, b)
            own(b)
    put(front)
    m.margay.update(tls_cert=cert, tls_key=key)
    m.reload()
    eq(serial(m), pem(front[0]))
    held = tls(m)
    second = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1", key_type="rsa")
    put(second)
    eq(serial(m), pem(front[0]), "nothing changes before a reload")
    os.kill(m.pid, signal.SIGHUP)
    wait_for(lambda: serial(m) == pem(second[0]), 10, "the new certificate")
    works(held)
    generation = m.generation()

    def line(option):
        return next(i for i, l in enumerate(read_text(m.conf).splitlines(), 1) if l.startswith(option + " "))

    def refused(option, *words):
        r = m.reload(ok_wanted=False)
        said = r.stdout + r.stderr
        ok(r.returncode != 0 and "margay.conf:%d" % line(option) in said, "refused with its line: " + said)
        for w in words:
            ok(w in said, "%s in %s" % (w, said))
        eq(m.generation(), generation, "nothing was published")
        eq(serial(m), pem(second[0]))
    put((second[0], front[1]))
    refused("tls_key", "does not fit the certificate")
    put((crt[1], second[1]))
    refused("tls_cert", "no certificate")
    os.unlink(cert)
    refused("tls_cert", "No such file")
    put(second)
    with open(key, "w") as f:
        f.write("")
    refused("tls_key", "1 byte")
    put(second)
    os.chmod(key, 0)
    refused("tls_key", "Permission denied")
    os.unlink(cert)
    os.unlink(key)
    # nothing of it is there any more: a successor lives from the published generation
    old = m.worker_pids()
    os.kill(old[0], signal.SIGKILL)
    wait_for(lambda: m.worker_pids() and m.worker_pids() != old, 10, "a successor")
    wait_for(lambda: serial(m) == pem(second[0]), 10, "the same certificate from the successor")
    m.stop()


def test_tickets_serve_all_workers():
    m = margay({"workers": 2, "handover": "no"})
    saved = m.dir + "/session"
    s_client(m.port, "-sess_out", saved, "-tls1_2", "-CAfile", ca.pem)
    ok(os.path.exists(saved), "a session was saved")
    for _ in range(8):
        out = s_client(m.port, "-sess_in", saved, "-tls1_2", "-CAfile", ca.pem)
        ok("Reused, TLSv1.2" in out, "resumed: " + out[-800:])
    m.reload()
    ok("Reused" in s_client(m.port, "-sess_in", saved, "-tls1_2", "-CAfile", ca.pem), "also after a reload")
    ok("Reused" not in s_client(m.port, "-tls1_2", "-CAfile", ca.pem), "a new one is none")
    m.margay["tls_ca"] = other_ca.pem
    m.reload()
    ok("Reused" not in s_client(m.port, "-sess_in", saved, "-tls1_2", "-CAfile", ca.pem),
       "not when those that are trusted have changed")
    m.stop()


def test_versions_and_ciphers():
    m = margay({"tls_min_version": "TLSv1.3"})
    raises((2013, 2003, 2006, 2026), tls, m, tls12=True)
    eq(cipher(tls(m))[1], "TLSv1.3")
    m.margay.update(tls_min_version="TLSv1.2", tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384",
                    tls_ciphersuites="TLS_CHACHA20_POLY1305_SHA256")
    m.reload()
    eq(cipher(tls(m, tls12=True))[0], "ECDHE-ECDSA-AES256-GCM-SHA384")
    eq(cipher(tls(m))[0], "TLS_CHACHA20_POLY1305_SHA256")
    m.margay.update(tls_ciphers="NO-SUCH-CIPHER")
    r = m.reload(ok_wanted=False)
    ok(r.returncode != 0 and "tls_ciphers" in r.stdout + r.stderr, r.stdout + r.stderr)
    m.stop()


def recv_all(s):
    out = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return out
            out += part
    except OSError:
        return out


def test_clear_text_behind_the_request_is_refused():
    """What a stranger puts between SSLRequest and handshake must not be taken for what the client says inside of TLS."""
    import socket
    import struct
    m = margay()
    caps = 0x0081aa05 | 0x800
    request = struct.pack("<IIB19xI", caps, 1 << 24, 45, 0)

    def packet(seq, body):
        return struct.pack("<I", len(body) | seq << 24) + body
    login = struct.pack("<IIB19xI", caps, 1 << 24, 45, 0) + APP[0].encode() + b"\0\0" + b"mysql_native_password\0"
    for tail in (packet(2, login), packet(0, b"\x03SELECT 1"), b"\x16\x03\x01\x00\x05hello"):
        s = socket.create_connection(("127.0.0.1", m.port), 10)
        s.recv(4096)
        s.sendall(packet(1, request) + tail)
        out = recv_all(s)
        ok(len(out) < 64 and b"Margay" not in out and b"Access" not in out, "nothing but an alert: %r" % out)
    # bytes of the handshake itself may come at once
    c, buf_in, buf_out = ssl.create_default_context(cafile=ca.pem), ssl.MemoryBIO(), ssl.MemoryBIO()
    t = c.wrap_bio(buf_in, buf_out, server_hostname="127.0.0.1")
    s = socket.create_connection(("127.0.0.1", m.port), 10)
    s.recv(4096)
    try:
        t.do_handshake()
    except ssl.SSLWantReadError:
        pass
    s.sendall(packet(1, request) + buf_out.read())
    while True:
        buf_in.write(s.recv(65536))
        try:
            t.do_handshake()
            break
        except ssl.SSLWantReadError:
            pass
    t.write(packet(2, request))  # no second one
    s.sendall(buf_out.read())
    buf_in.write(recv_all(s))
    ok(b"malformed packet" in t.read(4096), "the second request is a malformed response")
    works(tls(m))
    m.stop()


BACK = {"tls": "verify-full", "tls_ca": None}


def long_data(m, c, note_of):
    """Long statements, long results, and a reader that is slow."""
    for n in (10, 4096, 16384, 65536, 1 << 20, (1 << 24) - 30, 1 << 24, 20 << 20):
        blob = bytes(rng.randrange(256) for _ in range(997)) * (n // 997 + 1)
        blob = blob[:n].replace(b"\0", b"\1").replace(b"'", b"a").replace(b"\\", b"b")
        with c.cursor() as cur:
            cur.execute(b"REPLACE INTO t VALUES (9, _binary'" + blob + b"')")
        eq(value(c, "SELECT MD5(v) FROM t WHERE id = 9"), hashlib.md5(blob).hexdigest(), "%s: %d bytes sent" % (note_of, n))
        query(c, "BEGIN")
        eq(value(c, "SELECT v FROM t WHERE id = 9") == blob, True, "%s: %d bytes read" % (note_of, n))
        query(c, "COMMIT")
    c.ping()
    with c.cursor(pymysql.cursors.SSCursor) as cur:  # many rows, taken slowly at first
        cur.execute("SELECT seq, REPEAT('x', 200) FROM seq_1_to_100000")
        for i in range(1, 100001):
            eq(cur.fetchone(), (i, "x" * 200))
    eq(m.counter("clients_waiting"), 0)


@limit(400)
def test_long_data():
    m = margay({"max_packet_size": "200M", "client_buffer": "64k"},
               server={"tls": "verify-full", "tls_ca": ca.pem})
    long_data(m, tls(m), "both sides in TLS")
    long_data(m, m.conn(), "servers only")
    many = [tls(m) for _ in range(20)]
    for _ in range(5):
        for c in many:
            with c.cursor() as cur:
                cur._query = cur._query
            c._execute_command(3, "SELECT seq, REPEAT('y', 300) FROM seq_1_to_2000")
        for c in many:
            c._result = None
            c._read_query_result()
            eq(len(c._result.rows), 2000)
    m.stop()


def backend_tls(m, **kw):
    c = m.conn(**kw)
    query(c, "BEGIN")  # the session's own connection, at the primary
    got = query(c, "SHOW STATUS LIKE 'Ssl_cipher'")[0][1]
    query(c, "COMMIT")
    return got


def test_servers():
    users = {APP[0]: {"password": APP[1]}, "x": {"password": "x"}, "s": {"password": "s"}}
    m = Margay(db, users=users)
    eq(backend_tls(m), "")
    raises((1045, 1053), backend_tls, m, user="s")
    for opts in ({"tls": "preferred"}, {"tls": "required"}, {"tls": "verify-ca", "tls_ca": ca.pem},
                 {"tls": "verify-full", "tls_ca": ca.pem}, {"tls": "verify-full", "tls_ca": ca.pem, "tls_name": "db.example"},
                 {"tls": "verify-full", "tls_ca": ca.pem, "tls_crl": ca.revoke()}):
        m.server = opts
        m.reload()
        ok(backend_tls(m), "TLS with %s" % opts)
        ok(backend_tls(m, user="s"), "an account that asks for it")
        raises((1045, 1053), backend_tls, m, user="x")
    m.server = {"tls": "required", "tls_cert": app[0], "tls_key": app[1]}
    m.reload()
    ok(backend_tls(m, user="x"), "an account that asks for a certificate")
    m.server = {"tls": "off"}
    m.reload()
    eq(backend_tls(m), "", "no connection of before is used")
    m.stop()


def test_servers_that_are_not_who_they_should_be():
    m = Margay(db)
    for opts, why in (({"tls": "verify-ca", "tls_ca": other_ca.pem}, "certificate verify failed"),
                      ({"tls": "verify-full", "tls_ca": ca.pem, "tls_name": "else.example"}, "mismatch"),
                      ({"tls": "verify-full", "tls_ca": ca.pem, "tls_crl": ca.revoke(crt[0])}, "revoked")):
        m.server, start = opts, len(m.log_text())
        m.reload()
        raises((1429, 1053, 1158, 1205), backend_tls, m)
        m.wait_log(why, start=start)
    for opts in ({"tls": "verify-ca"}, {"tls": "verify-full", "tls_ca": "/nowhere"}, {"tls": "required", "tls_ca": "x"}):
        m.server = opts
        ok(m.reload(ok_wanted=False).returncode != 0, "refused: %s" % opts)
    m.stop()


def test_server_without_tls():
    plain = MariaDB("plain", ["--skip-ssl"])
    accounts(plain)
    m = Margay([plain], server={"tls": "preferred"})
    eq(backend_tls(m), "")
    m.server = {"tls": "required"}
    m.reload()
    raises((1429, 1053), backend_tls, m)
    m.wait_log("does not offer TLS")
    m.stop()


def test_health_uses_it():
    db[0].sql("ALTER USER %s@'%%' REQUIRE SSL" % MONITOR[0])
    db[1].catch_up()
    try:
        m = Margay(db, server={"tls": "verify-full", "tls_ca": ca.pem, "tls_name": "db.example"})
        ok(backend_tls(m), "served")
        m.server = {"tls": "verify-ca", "tls_ca": other_ca.pem}
        m.reload()
        wait_for(lambda: all(s["state"] == "down" for s in m.server_states().values()), 20,
                 lambda: "servers that cannot be trusted to be down: %s" % m.server_states())
        m.server = {"tls": "verify-ca", "tls_ca": ca.pem}
        m.reload()
        m.wait_servers()
        m.stop()
    finally:
        db[0].sql("ALTER USER %s@'%%' REQUIRE NONE" % MONITOR[0])
        db[1].catch_up()


if __name__ == '__main__':
    main()
