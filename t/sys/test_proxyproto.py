"""The PROXY protocol: headers of proxies in front of Margay, compared with what a server makes of them, and HAProxy as a
real sender."""
import itertools
import json
import shutil
import socket
import ssl
import struct
import threading
import warnings

from margaytest import *
from mt_certs import Authority

warnings.filterwarnings("ignore", category=DeprecationWarning)
SIG = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 10.1.2.3 10.0.0.1 4711 3306\r\n"
TCP4 = bytes([10, 1, 2, 4, 10, 0, 0, 1]) + struct.pack(">HH", 4712, 3306)
UNIX = b"/tmp/a".ljust(108, b"\0") + b"/tmp/b".ljust(108, b"\0")


def v2(command, family, body, version=2):
    return SIG + bytes([version << 4 | command, family]) + struct.pack(">H", len(body)) + body


def setup():
    global db, ca, front
    ca = Authority("ca")
    crt = ca.issue("db.example", "DNS:db.example,IP:127.0.0.1")
    db = MariaDB("db", ["--proxy-protocol-networks=127.0.0.1,localhost", "--connect-timeout=5", "--ssl-ca=" + ca.pem,
                         "--ssl-cert=" + crt[0], "--ssl-key=" + crt[1]])
    accounts(db)
    db.sql("CREATE TABLE shop.t (id INT PRIMARY KEY)")
    front = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1")


def margay(nets="127.0.0.1, unix", **kw):
    opts = {"proxy_protocol_networks": nets, "tls_cert": front[0], "tls_key": front[1], **kw.pop("margay", {})}
    return Margay([db], margay=opts, **kw)


def login(where, header, user=APP[0], password=APP[1], pieces=1, **kw):
    """A client that sends this header first. where: a port or the path of a socket."""
    s = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET)
    s.settimeout(20 * SLOW)
    c = pymysql.connect(user=user, password=password, defer_connect=True, host="127.0.0.1", read_timeout=20 * SLOW, **kw)
    try:
        s.connect(where if isinstance(where, str) else ("127.0.0.1", where))
        size = -(-len(header) // pieces) or 1
        for i in range(0, len(header), size):
            s.sendall(header[i:i + size])
            if pieces > 1:
                time.sleep(0.002)  # one packet each, most of the time
        c.connect(s)
    except BaseException:
        s.close()
        raise
    return c


def seen(m, c):
    """The address that margay-stat and SHOW PROCESSLIST have of a client."""
    mine = [s["address"] for s in json.loads(m.stat_text("-s", "-j").stdout)["sessions"] if s["id"] == c.thread_id()]
    eq([r[2] for r in query(c, "SHOW PROCESSLIST") if r[0] == c.thread_id()], ["localhost" if a == "unix" else a for a in mine])
    return mine[0]


asked = itertools.count()


def at_server(c):
    """As the server has it; nothing in the question makes the session keep its connection. Each question has a
    number: a server shows the text of a statement for a moment after its reply, also to the next client's."""
    return value(c, "SELECT host FROM information_schema.processlist WHERE info LIKE '%%FROM %% /* %d */'"
                    " /* %d */" % ((next(asked),) * 2))


def what_comes_of(fn, own):
    """The address as it was taken, `own` for that of the socket, or `refused`."""
    try:
        return {own: "own"}.get(host := fn(), host)
    except (pymysql.err.MySQLError, OSError):
        return "refused"


# header, what a server makes of it, what Margay makes of it if that is something else
HEADERS = [
    (b"", "own", None),
    (V1, "10.1.2.3:4711", None),
    (b"PROXY TCP6 fd00::7 ::1 4711 3306\r\n", "fd00::7:4711", "[fd00::7]:4711"),
    (b"PROXY TCP6 ::ffff:10.1.2.3 ::1 4711 3306\r\n", "10.1.2.3:4711", None),
    (b"PROXY UNKNOWN\r\n", "own", None),
    (b"PROXY UNKNOWN x y z\r\n", "own", None),
    (b"PROXY TCP4 10.1.2.999 10.0.0.1 4711 3306\r\n", "refused", None),
    (b"PROXY UDP4 10.1.2.3 10.0.0.1 4711 3306\r\n", "refused", None),
    (b"PROXY TCP4 10.1.2.3 10.0.0.1 70000 3306\r\n", "refused", None),
    (v2(1, 0x11, TCP4), "10.1.2.4:4712", None),
    (v2(1, 0x11, TCP4 + b"\x04\0\x03abc"), "10.1.2.4:4712", None),
    (v2(1, 0x11, TCP4 + b"\x04\0\x33abc"), "10.1.2.4:4712", None),
    (v2(1, 0x21, bytes(range(32)) + b"\x12\x34\0\1"), "1:203:405:607:809:a0b:c0d:e0f:4660", "[1:203:405:607:809:a0b:c0d:e0f]:4660"),
    (v2(1, 0x31, UNIX), "localhost", "unix"),
    (v2(0, 0, b""), "own", None),
    (v2(0, 0x11, TCP4), "own", None),
    (v2(1, 0x12, TCP4), "refused", None),
    (v2(1, 0x11, TCP4[:8]), "refused", None),
    (v2(1, 0x11, TCP4, version=3), "refused", None),
    (v2(2, 0x11, TCP4), "refused", None),
    # a second header is the client's own: a server takes it, and with it any address that the client likes
    (V1 + b"PROXY TCP4 10.6.6.6 10.0.0.1 1 2\r\n", "10.6.6.6:1", "refused"),
    # the specification asks for CR LF, for UNSPEC, for at most 107 bytes, and for any number of extras
    (V1.replace(b"\r\n", b"\n"), "10.1.2.3:4711", "refused"),
    (v2(1, 0, b""), "refused", "own"),
    (b"PROXY UNKNOWN " + b"x" * 120 + b"\r\n", "own", "refused"),
    (v2(1, 0x11, TCP4 + b"\x04\x02\x58" + b"x" * 600), "refused", "10.1.2.4:4712"),
]


def test_headers_as_a_server_takes_them():
    m = margay()
    for header, want, other in HEADERS:
        def own(c):
            return "127.0.0.1:%d" % c._sock.getsockname()[1]

        def direct():
            c = login(db.port, header)
            return "own" if (host := at_server(c)) == own(c) else host

        def through():
            c = login(m.port, header)
            return "own" if (host := seen(m, c)) == own(c) else host
        eq(what_comes_of(direct, ""), want, "the server with %r" % header)
        eq(what_comes_of(through, ""), other or want, "Margay with %r" % header)
    for header, want in (V1, "10.1.2.3:4711"), (b"", "unix"), (v2(0, 0, b""), "unix"):
        eq(seen(m, login(m.socket, header)), want, "over the Unix socket")
    for n in 2, 7, 28:
        eq(seen(m, login(m.port, v2(1, 0x11, TCP4), pieces=n)), "10.1.2.4:4712")
        eq(seen(m, login(m.port, V1, pieces=n)), "10.1.2.3:4711")
    m.wait_log("10.1.2.3:4711 by way of 127.0.0.1:")
    for why in "malformed address", "unknown version", "second PROXY header", "line without end":
        m.wait_log(why)
    m.stop()


def test_tls_behind_the_header():
    m = margay(margay={"tls": "required"})
    raises((3159,), login, m.port, V1)
    c = login(m.port, V1, ssl=ssl.create_default_context(cafile=ca.pem))
    ok(isinstance(c._sock, ssl.SSLSocket), "TLS")
    eq(seen(m, c), "10.1.2.3:4711")
    raises((), login, m.port, b"PROXY TCP4 \r\n", ssl=ssl.create_default_context(cafile=ca.pem))
    m.stop()


def test_nobody_is_trusted_unasked():
    for nets in None, "10.0.0.0/8":
        m = margay(nets)
        for header in V1, v2(1, 0x11, TCP4), v2(0, 0, b""):
            raises((), login, m.port, header)
            m.wait_log("PROXY header from outside of proxy_protocol_networks")
        eq(seen(m, c := login(m.port, b"")), "127.0.0.1:%d" % c._sock.getsockname()[1])
        m.margay["proxy_protocol_networks"] = "127.0.0.0/8"
        m.reload()
        eq(seen(m, login(m.port, V1)), "10.1.2.3:4711", "after a reload")
        m.stop()


def test_who_may_come_and_how_many():
    users = {APP[0]: {"password": APP[1], "allow_from": "10.1.2.0/24"}}
    m = margay(users=users, margay={"max_clients_per_address": 2})
    a = login(m.port, V1)
    no, text = raises((1045,), login, m.port, V1, password="wrong")
    ok("'app'@'10.1.2.3'" in text, text)
    raises((1130,), login, m.port, b"")
    raises((1130,), login, m.port, V1.replace(b"10.1.2.3", b"10.1.3.3"))
    m.wait_log("login refused: user app from 10.1.3.3:4711: not in allow_from")
    b = login(m.port, V1)
    raises((1226,), login, m.port, V1)
    others = [login(m.port, V1.replace(b"10.1.2.3", b"10.1.2.%d" % i)) for i in range(4, 8)]
    for c in [a, b] + others:
        c.close()
    wait_for(lambda: m.counter("clients") == 0, 5, "all to be gone")
    login(m.port, V1).close()
    m.stop()


def test_half_a_header_does_not_stay():
    m = margay(margay={"login_timeout": "300ms"})
    held = []
    for part in (b"PROX", V1[:-1], SIG[:5], v2(1, 0x11, TCP4)[:-1], b"P"):
        s = socket.create_connection(("127.0.0.1", m.port), 20 * SLOW)
        s.sendall(part)
        held.append(s)
    for s in held:
        while s.recv(4096):
            pass
    eq(m.counter("login_timeouts"), 5)
    m.wait_log("closed: login_timeout")
    m.stop()


def haproxy(ports, how, extra=""):
    """HAProxy before these ports; how: words behind `server`."""
    if not shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        skip("haproxy is not installed")
    port, d = free_port(), mkdir("haproxy")
    with open(d + "/conf", "w") as f:
        f.write("global\n nbthread 1\n maxconn 500\ndefaults\n mode tcp\n timeout connect 5s\n timeout client 1h\n"
                " timeout server 1h\nlisten db\n bind 127.0.0.1:%d\n%s" % (port, extra))
        for i, p in enumerate(ports):
            f.write(" server s%d 127.0.0.1:%d %s\n" % (i, p, how))
    h = Proc([sbin("haproxy"), "-db", "-f", d + "/conf"], d + "/log")

    def listens():
        ok(h.alive(), "haproxy runs:\n" + tail(d + "/log"))
        socket.create_connection(("127.0.0.1", port), 5).close()
        return True
    wait_for(listens, 10, "HAProxy to listen")
    return h, port


def via(port, source="127.0.0.2", **kw):
    return pymysql.connect(host="127.0.0.1", port=port, user=APP[0], password=APP[1], bind_address=source,
                           read_timeout=20 * SLOW, **kw)


def test_haproxy():
    m = margay("127.0.0.1", users={APP[0]: {"password": APP[1]}, "probe": {"password": '""', "allow_from": "127.0.0.1"}})
    for how in ("send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options unique-id",
                "check check-send-proxy send-proxy-v2", "check send-proxy"):
        h, port = haproxy([m.port], how)
        for kw in {}, {"ssl": ssl.create_default_context(cafile=ca.pem)}:
            c = via(port, **kw)
            eq(seen(m, c), "127.0.0.2:%d" % c._sock.getsockname()[1], how)
            query(c, "SELECT * FROM shop.t")
            c.close()
        no, text = raises((1045,), pymysql.connect, host="127.0.0.1", port=port, user="nobody", password="x",
                          bind_address="127.0.0.3")
        ok("'nobody'@'127.0.0.3'" in text, text)
        h.end(signal.SIGTERM)
    # an HAProxy that looks whether there is a MySQL server, without and with a header, takes Margay for one
    for how in "check", "check send-proxy-v2", "check check-send-proxy send-proxy-v2", "check check-send-proxy send-proxy":
        h, port = haproxy([m.port], how + " inter 50ms fall 1 rise 1", " option mysql-check user probe\n")
        before = m.counter("logins")
        wait_for(lambda: m.counter("logins") >= before + 3, 10, "the check to succeed: " + how)
        via(port).close()
        h.end(signal.SIGTERM)
    m.stop()


# ---- towards servers ----

def header(ip, port=4711):
    return b"PROXY TCP%c %s %s %d 3306\r\n" % (b"64"["." in ip], ip.encode(), ip.encode(), port)


def out(server=None, **kw):
    return margay(server={"proxy_protocol": "v2", **(server or {})}, **kw)


def hosts(user=APP[0]):
    return sorted(r["HOST"] for r in db.processlist(user))


def test_servers_see_the_client():
    m = out()
    clients = {ip: login(m.port, header(ip)) for ip in ("10.1.2.3", "10.1.2.4", "fd00::7")}
    for ip, c in clients.items():
        eq(value(c, "SELECT USER()"), "%s@%s" % (APP[0], ip))
        eq(at_server(c), ip, "no port: another client of this address may be served next")
    eq(hosts(), sorted(clients))
    for ip in clients:  # who comes from the same address gets the same connection
        eq(value(login(m.port, header(ip, 99)), "SELECT USER()"), "%s@%s" % (APP[0], ip))
    eq(hosts(), sorted(clients))
    # clients of the Unix socket, and those that name nobody, are Margay's own or themselves
    eq(value(m.conn(unix=True), "SELECT USER()"), APP[0] + "@127.0.0.1")
    c = m.conn()
    eq(value(c, "SELECT USER()"), APP[0] + "@127.0.0.1")
    ok(all(h.startswith("127.0.0.1") or h in clients for h in hosts()), hosts())
    # a kept connection, a killed statement
    c = clients["10.1.2.3"]
    query(c, "SET @a = USER()")
    eq(value(c, "SELECT @a"), APP[0] + "@10.1.2.3")
    held = threading.Thread(target=lambda: what_comes_of(lambda: query(c, "SELECT SLEEP(60)"), ""))
    held.start()
    wait_for(lambda: any("SLEEP" in (r["INFO"] or "") for r in db.processlist(APP[0])), 10, "the statement to run")
    query(login(m.port, header("10.1.2.3")), "KILL %d" % c.thread_id())
    held.join(30 * SLOW)
    ok(not held.is_alive(), "killed")
    m.stop()


def test_accounts_of_hosts():
    db.sql("CREATE OR REPLACE USER h@'10.1.%' IDENTIFIED BY 'h'", "GRANT SELECT ON shop.* TO h@'10.1.%'",
           "CREATE OR REPLACE USER h@'10.2.%' IDENTIFIED BY 'h'", "GRANT ALL ON shop.* TO h@'10.2.%'")
    m = out(users={"h": {"password": "h"}})
    one, two = (login(m.port, header(ip), "h", "h") for ip in ("10.1.0.1", "10.2.0.1"))
    eq(value(one, "SELECT CURRENT_USER()"), "h@10.1.%")
    eq(value(two, "SELECT CURRENT_USER()"), "h@10.2.%")
    query(two, "REPLACE INTO shop.t VALUES (1)")
    raises((1142,), query, one, "REPLACE INTO shop.t VALUES (2)")
    no, text = raises((1045,), login, m.port, header("10.3.0.1"), "h", "h")
    ok("'h'@'10.3.0.1'" in text, text)
    m.stop()


@limit(240)
def test_no_connection_is_shared_by_addresses():
    """Random statements of many clients over few connections; each sees itself only."""
    m = out(server={"max_connections": 12, "pool_size": 4}, margay={"max_clients_per_address": 0})
    ips = ["10.7.%d.%d" % (i // 8, i) for i in range(24)]
    clients = [(ip, login(m.port, header(ip, 1000 + k))) for ip in ips for k in range(2)]
    for step in range(150 if args.quick else 600):
        ip, c = rng.choice(clients)
        me = "%s@%s" % (APP[0], ip)
        kind = rng.randrange(4)
        if kind == 0:
            query(c, "BEGIN")
            eq(value(c, "SELECT USER()"), me)
            query(c, "ROLLBACK")
        elif kind == 1:
            with c.cursor() as cur:
                cur.execute("SELECT USER(), SLEEP(0)")
                eq(cur.fetchall(), ((me, 0),))
        elif kind == 2:
            eq(at_server(c), ip)
        else:
            eq(value(c, "SELECT USER()"), me)
    m.wait_budgets(10)
    for _, c in clients:
        c.close()
    m.stop()


def test_chain():
    """HAProxy in front, Margay, the server: the client's address goes all the way, also when both legs are TLS."""
    for tls_mode in "off", "required":
        m = out(server={"tls": tls_mode})
        h, port = haproxy([m.port], "send-proxy")
        for source in "127.0.0.2", "127.0.0.3":
            c = via(port, source, ssl=ssl.create_default_context(cafile=ca.pem))
            eq(value(c, "SELECT USER()"), APP[0] + "@" + source)
            eq(at_server(c), source)
            eq(query(c, "SHOW STATUS LIKE 'Ssl_cipher'")[0][1] != "", tls_mode == "required")
        h.end(signal.SIGTERM)
        m.stop()


def test_switched_on_and_off():
    m = margay()
    c = login(m.port, header("10.1.2.3"))
    eq(value(c, "SELECT USER()"), APP[0] + "@127.0.0.1")
    for how, host in ("v2", "10.1.2.3"), ("off", "127.0.0.1"), ("v2", "10.1.2.3"):
        m.server["proxy_protocol"] = how
        m.reload()
        wait_for(lambda: value(c, "SELECT USER()") == APP[0] + "@" + host, 10, "the change to reach the worker")
    m.stop()


def test_server_that_trusts_nobody():
    plain = MariaDB("plain")
    accounts(plain)
    m = Margay([plain], server={"proxy_protocol": "v2"}, wait_servers=False)
    m.wait_log("Proxy header is not accepted from 127.0.0.1")
    eq(m.server_states()["plain"]["state"], "broken")
    raises((), m.sql, "SELECT 1")
    plain.sql("SET GLOBAL proxy_protocol_networks = '127.0.0.1'")
    m.wait_servers()
    eq(m.sql("SELECT 1"), ((1,),))
    m.stop()


if __name__ == '__main__':
    main()
