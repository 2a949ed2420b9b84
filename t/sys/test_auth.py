"""Authentication: who a client is, and how it proves it. COM_CHANGE_USER against what a server does; methods with the
plug-ins of libmariadb as clients. Pains of users of other proxies (a census of their issue trackers), and their tests:

  12  caching_sha2, ed25519, copies of passwords          here, test_auth_server.py, test_import.py
  13  certificates after a restart of a child; CRL        test_tls.py: reload_and_respawn, revoked, servers
  14  the client's address is lost                        test_proxyproto.py
  15  compression and its corner cases                    test_compress.py"""
import hashlib
import struct

from margaytest import *
from mt_certs import Authority
from peer_wire import *
from peer_zip import ZipConn, frame
from test_basic import psclient
import peer

SECOND = ("second", "another")
USERS = {APP[0]: APP[1], SECOND[0]: SECOND[1], "open": ""}
ED25519 = "client_ed25519"
ED = ("ed", "Ed's \u00e4 secret")      # known by its password
EDHASH = ("edhash", "x" * 200)         # by its hash
SHA2 = "caching_sha2_password"
SHA = ("sha", "Sha's \u00e4 secret")   # known by its password
SHAHASH = ("shahash", "h" * 31)        # by the hash that MySQL has; with its NUL as long as a token
SHANATIVE = ("shanative", "n" * 100)   # by those of other methods
SHAED = ("shaed", "another secret")


def setup():
    global db, m, ca
    ca = Authority("ca")
    db = replication_set(1, ["--plugin-load-add=auth_ed25519"], users=USERS)
    for name, pw in ED, EDHASH:
        db[0].sql("CREATE USER %s@'%%' IDENTIFIED VIA ed25519 USING PASSWORD(%s)" % (name, quoted(pw)),
                  "GRANT ALL ON shop.* TO %s@'%%'" % name)
    for name, pw in SHA, SHAHASH, SHANATIVE, SHAED, ("shaopen", ""):  # no server here has the method: they are let in by native
        db[0].sql("CREATE USER %s@'%%' IDENTIFIED BY %s" % (name, quoted(pw)), "GRANT ALL ON shop.* TO %s@'%%'" % name)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t VALUES (1, 1), (2, 2)",
              "REVOKE ALL ON other.* FROM app@'%'")
    db[1].catch_up()
    m = margay()


def quoted(s):
    return '"%s"' % s.replace("\\", "\\\\").replace('"', '\\"')


def margay(opts=None, **kw):
    """In front of the servers, with users of all methods; those that no server lets in by native are app there."""
    front = ca.issue("proxy.example", "DNS:proxy.example,IP:127.0.0.1")
    users = {name: {"password": pw or '""'} for name, pw in USERS.items()}
    backend = {"backend_user": APP[0], "backend_password": APP[1]}
    users[ED[0]] = {"password": quoted(ED[1]), "auth_plugin": ED25519, **backend}
    users[EDHASH[0]] = {"password": "ed25519:" + ed25519_hash(EDHASH[1]), "auth_plugin": ED25519, **backend}
    for (name, _), secret in ((SHA, quoted(SHA[1])), (SHAHASH, "0x" + sha2_hash(SHAHASH[1], b"salt\n\t'\"\\$ 012345678").hex()),
                              (SHANATIVE, native_hash(SHANATIVE[1])), (SHAED, "ed25519:" + ed25519_hash(SHAED[1])),
                              (("shaopen", ""), '""')):
        users[name] = {"password": secret, "auth_plugin": SHA2}
    return Margay(db, margay={"tls_cert": front[0], "tls_key": front[1], **(opts or {})}, users=users, **kw)


_hashes = {}


def ed25519_hash(pw):
    """As MariaDB makes it."""
    if pw not in _hashes:
        db[0].sql("CREATE OR REPLACE USER hashed@nowhere IDENTIFIED VIA ed25519 USING PASSWORD(%s)" % quoted(pw))
        _hashes[pw] = db[0].one("SELECT authentication_string FROM mysql.user WHERE user = 'hashed'")
        eq(len(_hashes[pw]), 43)
    return _hashes[pw]


def native_hash(pw):
    return "*" + sha1(sha1(pw.encode())).hex().upper()


def sha256(b):
    return hashlib.sha256(b).digest()


def sha2_hash(pw, salt, thousands=5):
    """What MySQL stores: SHA-crypt, from its description (Drepper, 2007), but for the longer salt."""
    pw = pw.encode()
    eq(len(salt), 20)

    def spread(d, n):
        return (d * (n // 32 + 1))[:n]
    b = sha256(pw + salt + pw)
    a, n = pw + salt + spread(b, len(pw)), len(pw)
    while n:
        a, n = a + (b if n & 1 else pw), n >> 1
    a = sha256(a)
    p, s = spread(sha256(pw * len(pw)), len(pw)), spread(sha256(salt * (16 + a[0])), 20)
    for i in range(thousands * 1000):
        a = sha256((p if i & 1 else a) + (s if i % 3 else b"") + (p if i % 7 else b"") + (a if i & 1 else p))
    out, (x, y, z) = "", (0, 10, 20)
    for _ in range(10):
        out, (x, y, z) = out + crypt64(a[x] << 16 | a[y] << 8 | a[z], 4), (z + 1, x + 1, y + 1)
    return b"$A$%03x$" % thousands + salt + (out + crypt64(a[31] << 8 | a[30], 3)).encode()


def crypt64(v, n):
    return "".join("./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[v >> 6 * i & 63] for i in range(n))


def client(where, user, script, *words):
    """What psclient, a client on libmariadb, prints. where: a port, or the path of a socket."""
    local = isinstance(where, str)
    r = subprocess.run([os.path.join(BUILD, "t", "bin", "psclient"), where if local else "127.0.0.1",
                        "0" if local else str(where), user[0], user[1] or "-", "shop", *words],
                       input="\n".join(script) + "\n", capture_output=True, text=True, errors="replace", timeout=60 * SLOW)
    if r.returncode > 1 or r.stderr:
        raise Failed("psclient: exit %d\n%s%s" % (r.returncode, r.stdout[-2000:], r.stderr))
    return r.stdout


ME = "query SELECT 'in', DATABASE()"
IN = "connected\n.\ncols in:253 DATABASE():253\nrow [in] [shop]\nend warnings=0\n.\n"


# ---- methods

WAYS = [(), ("compress",), ("tls",), ("tls", "compress"), ("unix",), ("unix", "compress")]


def through(m, user, script, way, *words):
    """Through Margay in one of the WAYS."""
    words = list(words) + ["compress"] * ("compress" in way) + ["tls=" + ca.pem] * ("tls" in way)
    return client(m.socket if "unix" in way else m.port, user, script, *words)


def test_ed25519_every_way():
    for user in ED, EDHASH:
        eq(client(db[0].port, user, [ME]), IN, "the server itself")
        for way in WAYS:
            eq(through(m, user, [ME], way), IN, "%s %s" % (user[0], way))
            for begin in ED25519, "caching_sha2_password":
                eq(through(m, user, [ME], way, "plugin=" + begin), IN, "%s %s begins with %s" % (user[0], way, begin))


def test_wrong_passwords_as_at_a_server():
    for user in ED, EDHASH, SHA, SHAHASH, SHANATIVE, SHAED, APP, SECOND:
        for pw in "wrong", "":
            want = client(db[0].port, (user[0], pw), [])
            ok(want.startswith("err 1045 28000 Access denied for user '%s'" % user[0]), want)
            for way in WAYS:
                # libmariadb's word for the host is the server's: by address there, by name from a socket
                got = through(m, (user[0], pw), [], way)
                eq(got.replace("'localhost'", "'127.0.0.1'"), want, "%s %s" % (user[0], way))


def test_exchange_as_at_a_server():
    """The packets of client_ed25519 and their numbers, and what becomes of answers that are none."""
    def ask(port, user):
        c = peer.Conn(peer.Target("127.0.0.1", port, user, "", "shop"), 20 * SLOW)
        c.read_greeting()
        c.send(packet(c.response(), 1))
        seq, b = c.read_packet()
        eq(b[:1], b"\xfe")
        name, data = b[1:].split(b"\0", 1)
        return c, (seq, name, len(data)), data

    def end(c, what):
        c.send(packet(what, 3))
        seq, b = c.read_packet()
        try:
            c.read_packet()
            closed = False
        except Closed:
            closed = True
        return seq, b[0], struct.unpack("<H", b[1:3])[0], closed

    nonces = set()
    for user in ED[0], EDHASH[0]:
        for what in b"\0" * 64, b"\xff" * 64, bytes(range(64)):
            c, first, data = ask(db[0].port, user)
            want = first, end(c, what)
            c, first, data = ask(m.port, user)
            nonces.add(data)
            eq((first, end(c, what)), want, "%s %r" % (user, what))
        for n in 0, 1, 20, 32, 63, 65, 1000, 60000:  # a server says 1045 too, or that the packet is malformed
            c, first, data = ask(m.port, user)
            eq(end(c, b"x" * n), (4, 255, 1045, True), "%s, %d bytes" % (user, n))
    eq(len(nonces), 6, "each one is asked something else")


def test_sha2_every_way():
    """libmariadb's plug-in: fast, in full over TLS and a Unix socket, in full by RSA."""
    for user in SHA, SHAHASH, SHANATIVE, SHAED, ("shaopen", ""):
        for way in WAYS:
            for begin in (), ("plugin=" + SHA2,):
                eq(through(m, user, [ME], way, *begin), IN, "%s %s %s" % (user[0], way, begin))


# ---- scripted clients of caching_sha2_password

def sha2_token(pw, scramble):
    k = sha256(pw.encode())
    return bytes(a ^ b for a, b in zip(k, sha256(sha256(k) + scramble)))


def sealed(pem, data):
    """Under an RSA public key, by OpenSSL's program."""
    path = tmp() + "/key.pem"
    with open(path, "wb") as f:
        f.write(pem)
    os.chmod(path, 0o644)
    r = subprocess.run(["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", path, "-pkeyopt", "rsa_padding_mode:oaep"],
                       input=data, capture_output=True)
    eq(r.returncode, 0, r.stderr.decode())
    return r.stdout


def xored(data, scramble):
    return bytes(b ^ scramble[i % 20] for i, b in enumerate(data))


def sha2_client(m, user, token=None, unix=False):
    """A client that has answered the question: (connection, scramble, sequence id and body of the answer to it)."""
    c = peer.Conn(peer.Target(m.socket if unix else "127.0.0.1", None if unix else m.port, user[0], "", "shop"), 20 * SLOW)
    c.read_greeting()
    c.send(packet(c.response(), 1))
    seq, b = c.read_packet()
    eq((seq, b[:22], len(b), b[-1]), (2, b"\xfecaching_sha2_password", 44, 0))
    scramble = b[23:43]
    c.send(packet(sha2_token(user[1], scramble) if token is None else token, 3))
    return c, scramble, c.read_packet()


def expect_denied(c, seq, what):
    s, b = c.read_packet()
    eq((s, b[0], struct.unpack("<H", b[1:3])[0]), (seq, 255, 1045), what)
    try:
        c.read_packet()
        raise Failed("not closed: " + what)
    except Closed:
        pass


def test_sha2_exchange_step_by_step():
    for unix in False, True:
        c, _, got = sha2_client(m, SHA, unix=unix)
        eq(got, (4, b"\1\3"), "fast: the token is right")
        eq(c.read_packet()[0], 5, "and OK follows")
        c.marker()
        c.close()
        for user in SHAHASH, SHANATIVE, SHAED, SHA:
            c, scramble, got = sha2_client(m, user, token=b"x" * 32, unix=unix)
            eq(got, (4, b"\1\4"), "the password is wanted")
            c.send(packet(b"\2", 5))
            seq, key = c.read_packet()
            eq((seq, key[:27]), (6, b"\1-----BEGIN PUBLIC KEY-----"))
            c.send(packet(sealed(key[1:], xored(user[1].encode() + b"\0", scramble)), 7))
            seq, b = c.read_packet()
            eq((seq, b[:1]), (8, b"\0"), "%s by RSA" % user[0])
            c.marker()
            c.close()
            # a client that has the key already
            c, scramble, got = sha2_client(m, user, token=b"x" * 32)
            c.send(packet(sealed(key[1:], xored(user[1].encode() + b"\0", scramble)), 5))
            seq, b = c.read_packet()
            eq((seq, b[:1]), (6, b"\0"))
            c.close()
    c, _, got = sha2_client(m, SHAHASH, token=b"x" * 32, unix=True)
    c.send(packet(SHAHASH[1].encode() + b"\0", 5))
    eq(c.read_packet()[1][:1], b"\0", "clear text where nobody listens")
    c.close()


def test_sha2_broken_bytes():
    nobody = next(n for n in ("nobody%d" % i for i in range(1000)) if asked(m, n) == SHA2.encode())
    for user in SHA, SHAHASH, SHANATIVE, SHAED, (nobody, "x"):
        for n in 0, 1, 31, 33, 100, 60000:
            c, _, (seq, b) = sha2_client(m, user, token=b"\0" * n)
            eq((seq, b[0], struct.unpack("<H", b[1:3])[0]), (4, 255, 1045), "%s: a token of %d bytes" % (user[0], n))
            c.close()
        pw = user[1].encode()
        for unix in False, True:
            c, scramble, got = sha2_client(m, user, token=b"x" * 32)
            eq(got, (4, b"\1\4"))
            c.send(packet(b"\2", 5))
            key = c.read_packet()[1][1:]
            c.close()
            right = sealed(key, xored(pw + b"\0", scramble))
            bad = [b"", b"\0", b"\2\0", pw, pw + b"\0\0", b"\0" + pw + b"\0", b"\0" * 256, b"\xff" * 256, right[:-1], right + b"\0",
                   right, os.urandom(256), b"x" * 600, b"x" * 60000 + b"\0"]
            bad += [] if unix else [pw + b"\0"]  # clear text over TCP: too late to save it, but it is no proof
            for what in bad:
                c, _, got = sha2_client(m, user, token=b"x" * 32, unix=unix)
                c.send(packet(what, 5))
                expect_denied(c, 6, "%s %s says %r" % (user[0], unix, what[:40]))
                c, scramble, got = sha2_client(m, user, token=b"x" * 32, unix=unix)
                c.send(packet(b"\2", 5))
                c.read_packet()
                c.send(packet(what, 7))
                expect_denied(c, 8, "%s %s, asked for the key, says %r" % (user[0], unix, what[:40]))
            for plain in pw, b"\0" * 20, b"wrong\0":  # under the key, but not what belongs there
                c, scramble, got = sha2_client(m, user, token=b"x" * 32)
                c.send(packet(sealed(key, xored(plain, scramble)), 5))
                expect_denied(c, 6, "%s %r" % (user[0], plain))
            c, _, got = sha2_client(m, user, token=b"x" * 32)
            c.send(packet(b"\2", 6))
            seq, b = c.read_packet()
            eq((b[0], struct.unpack("<H", b[1:3])[0]), (255, 1043), "out of order")
            c.close()
    c, _, got = sha2_client(m, (nobody, "x"), unix=True)
    c.send(packet(b"x\0", 5))
    expect_denied(c, 6, "nobody")
    eq(client(m.port, SHAHASH, [ME]), IN, "all is well")
    wait_for(lambda: m.counter("clients") == 0, 20, "clients to be gone")


def test_sha2_key_lasts():
    """The same for all workers, after a reload, and in the successor of a worker that died."""
    n = margay({"workers": 2}, name="two")

    def key():
        c, _, _ = sha2_client(n, SHAHASH, token=b"x" * 32)
        c.send(packet(b"\2", 5))
        k = c.read_packet()[1]
        c.close()
        return k
    keys = {key() for _ in range(10)}
    n.reload()
    keys |= {key() for _ in range(5)}
    for p in n.worker_pids():
        os.kill(p, signal.SIGKILL)
    wait_for(lambda: len(n.worker_pids()) == 2, 20, "workers to come back")
    keys |= {key() for _ in range(10)}
    eq(len(keys), 1)
    n.stop()


def fast(m, user, where=None):
    """Does a token alone let it in?"""
    c, _, (seq, b) = sha2_client(m, user)
    c.close()
    ok(b in (b"\1\3", b"\1\4"), b)
    return b == b"\1\3"


HASHED = SHAHASH, SHANATIVE, SHAED


def test_learned_at_a_login_known_everywhere():
    """For all workers; after kill -9 of a worker, of all of them, and of the master; not after the password has changed."""
    n = margay({"workers": 3}, name="learned")

    def everywhere(user):
        return {fast(n, user) for _ in range(12)}
    for user in HASHED:
        eq(everywhere(user), {False})
        eq(through(n, user, [ME], ("tls",)), IN)
        eq(everywhere(user), {True})
    eq(n.counter("passwords_learned"), 3)
    os.kill(n.worker_pids()[0], signal.SIGKILL)
    wait_for(lambda: len(n.worker_pids()) == 3, 20, "a successor")
    for p in n.worker_pids():
        os.kill(p, signal.SIGKILL)
    wait_for(lambda: len(n.worker_pids()) == 3, 20, "successors")
    for user in HASHED:
        eq(everywhere(user), {True}, "after workers were killed")
    # at the servers too: no connection is left from before
    for user in HASHED:
        c, _, got = sha2_client(n, user)
        eq(got[1], b"\1\3")
        eq(c.read_packet()[1][:1], b"\0")
        c.marker()
        c.close()
    n.kill_master()
    n.start()
    wait_for(lambda: len(n.worker_pids()) == 3 and all(proc_state(p) in (None, "Z") for p in n.old_pids), 30, "orphans to end")
    for user in HASHED:
        eq(everywhere(user), {True}, "with another master")
    n.users[SHANATIVE[0]]["password"] = native_hash("changed")
    n.reload()
    eq(everywhere(SHANATIVE), {False}, "its password is another one")
    eq(everywhere(SHAHASH), {True})
    n.kill_all()
    n.start()
    eq(everywhere(SHAHASH), {True}, "after all died")
    n.stop()


def test_learned_is_kept_from_others():
    n = margay({"workers": 1}, name="kept")
    for user in HASHED:
        eq(through(n, user, [ME], ("unix",)), IN)
        ok(fast(n, user), user[0])
    files = [f for f in os.listdir(n.dir + "/run") if f.startswith("auth.")]
    eq(len(files), 1, files)
    path = n.dir + "/run/" + files[0]
    eq(os.stat(path).st_mode & 0o7777, 0o600)
    with open(path, "rb") as f:
        data = f.read()
    for user in HASHED:
        for what in user[1].encode(), sha1(user[1].encode()), sha256(sha256(user[1].encode())), sha256(user[1].encode()), \
                user[0].encode(), sha1(sha1(user[1].encode())):
            ok(what[:10] not in data, "%s: %r can be read in the segment" % (user[0], what))
    # a core of a worker leaves it out: VmFlags "dd"
    with open("/proc/%d/smaps" % n.worker_pids()[0]) as f:
        parts = f.read().split("VmFlags:")
    flags = [b.split("\n")[0] for a, b in zip(parts, parts[1:]) if files[0] in a]
    ok(flags and all(" dd" in x for x in flags), flags)
    # anybody's bytes there: no harm
    with open(path, "r+b") as f:
        f.seek(4096)
        f.write(os.urandom(len(data) - 4096))
    for user in HASHED:
        fast(n, user)
        eq(through(n, user, [ME], ("unix",)), IN)
    eq(n.ctl("status").returncode, 0)
    n.stop()


def test_sha2_python():
    """PyMySQL's own implementation."""
    for user in SHA, SHAHASH, SHANATIVE:
        for kw in {"unix": True}, {"ssl": {"ca": ca.pem}}, {}:
            try:
                c = m.conn(user[0], user[1].encode(), **kw)  # it takes latin1 for texts
            except RuntimeError as e:
                ok("cryptography" in str(e), str(e))  # RSA needs that package
                continue
            eq(value(c, "SELECT 1"), 1)
            c.close()


def test_change_user_between_methods():
    """The server has native where Margay has caching_sha2_password: what the client sees is the same."""
    script = ["changeuser %s %s shop" % APP, ME, "changeuser %s %s shop" % EDHASH, ME, "changeuser %s wrong shop" % EDHASH[0], ME,
              "changeuser %s %s shop" % SHAHASH, ME, "changeuser %s %s shop" % SECOND, ME, "changeuser %s wrong shop" % SHAHASH[0], ME,
              "changeuser %s %s shop" % SHANATIVE, ME, "changeuser shaopen - shop", ME, "changeuser %s %s shop" % EDHASH, ME,
              "changeuser nobody x shop", ME]
    for user in EDHASH, APP, SHA, SHAHASH:
        want = client(db[0].port, user, script)
        eq(want.count("row [in]"), 10, want)
        for way in WAYS:
            # (told to begin with another method, and never sent a scramble, libmariadb answers one of its own making: see below)
            for begin in [()] if way or user == EDHASH else [(), ("plugin=" + SHA2,)]:
                got = through(m, user, script, way, *begin)
                eq(got.replace("'localhost'", "'127.0.0.1'"), want, "%s %s %s" % (user[0], way, begin))
    for port in db[0].port, m.port:
        got = client(port, EDHASH, ["changeuser %s %s shop" % APP, ME], "plugin=" + SHA2)
        ok("err 1045" in got, "libmariadb has learned it: " + got)
    wait_for(lambda: m.counter("clients") == 0, 20, "clients to be gone")


def test_change_user_by_a_client_that_numbers_frames_only():
    """Under compression, whatever number the packet with the answer has."""
    for number in 0, 2, 9:
        c = ZipConn(peer.Target("127.0.0.1", m.port, *APP, "shop"), 20 * SLOW)
        z = c.login_zip()
        for user in SHA, APP, SHA:
            z.write(packet(bytes([COM_CHANGE_USER]) + user[0].encode() + b"\0\0shop\0\x2d\0" + NATIVE + b"\0\0", 0))
            _, b = z.read_packet()
            eq(b[:1], b"\xfe")
            name, data = b[1:].split(b"\0", 1)
            answer = sha2_token(user[1], data[:20]) if name == SHA2.encode() else native_token(user[1], data[:20])
            c.s.sendall(frame("zlib", packet(answer, number), 2, plain=True))
            seq, b = z.read_packet()
            if name == SHA2.encode():
                eq((seq, b), (3, b"\1\3"))
                seq, b = z.read_packet()
            eq(b[:1], b"\0", "%s, numbered %d: %r" % (user[0], number, b))
        ok(any(b"in" in b for _, b in c.zquery("SELECT 'in'")), "it goes on")
        c.close()


def asked(m, name):
    """The method that a name is asked for, b'' if it is refused at once."""
    c = peer.Conn(peer.Target("127.0.0.1", m.port, name, "wrong"), 20 * SLOW)
    try:
        c.read_greeting()
        c.send(packet(c.response(), 1))
        _, b = c.read_packet()
        return b[1:].split(b"\0")[0] if b[:1] == b"\xfe" else b""
    finally:
        c.close()


def test_unknown_users_see_what_known_ones_see():
    names = ["nobody%d" % i for i in range(60)]
    first = [asked(m, n) for n in names]
    eq(set(first), {asked(m, n) for n in (APP[0], ED[0], SHA[0])}, "methods that only names nobody has are asked for, or never are")
    m.reload()
    for p in m.worker_pids():
        os.kill(p, signal.SIGKILL)
    m.wait_serving()
    eq([asked(m, n) for n in names], first, "the same after a reload and in another worker")


def test_default_method_and_reload():
    n = margay({"default_auth_plugin": ED25519}, name="default")
    eq(asked(n, APP[0]), ED25519.encode())
    eq(client(n.port, APP, [ME]), IN, "and its password logs in at the servers")
    n.users[APP[0]]["auth_plugin"] = "mysql_native_password"
    n.reload()
    eq(asked(n, APP[0]), b"")
    eq(client(n.port, APP, [ME]), IN)
    n.users[EDHASH[0]].pop("backend_password")
    r = n.reload(ok_wanted=False)
    ok(r.returncode and "backend_password" in r.stdout + r.stderr, r.stdout + r.stderr)
    n.stop()


# ---- COM_CHANGE_USER

WHO = "query SELECT USER() LIKE 'app@%' AS a, USER() LIKE 'second@%' AS b, DATABASE(), @a, @@autocommit, @@sql_mode, " \
    "@@character_set_client, @@collation_connection, @@in_transaction"
CHANGES = [
    ["changeuser second wrong shop", WHO, "changeuser nobody x shop", WHO],
    ["query SET @a = 5, autocommit = 0, sql_mode = 'ANSI'", "query SELECT * FROM t", WHO, "changeuser app secret_ shop", WHO],
    ["query SET @a = 5", "query BEGIN", "query UPDATE t SET v = v + 1", "changeuser app %s shop" % APP[1], WHO,
     "query SELECT * FROM t", "query SET NAMES latin1", WHO, "changeuser app %s shop" % APP[1], WHO],
    ["changeuser app %s other" % APP[1], WHO, "changeuser app %s nope" % APP[1], WHO, "changeuser app %s shop" % APP[1], WHO],
    ["query CREATE TEMPORARY TABLE tmp (i INT)", "query SELECT GET_LOCK('l', 0)", "changeuser app %s shop" % APP[1],
     "query SELECT * FROM tmp", "query SELECT IS_FREE_LOCK('l')", WHO],
    ["prepare 0 SELECT ?", "exec 0 i:1", "changeuser app %s shop" % APP[1], "exec 0 i:2", "prepare 1 SELECT ? + 1",
     "exec 1 i:2", "query PREPARE p FROM 'SELECT 1'", "changeuser app %s shop" % APP[1], "query EXECUTE p"],
    ["query SET NAMES latin1", "changeuser app wrong shop", WHO, "ping", "query SELECT 1; SELECT 2"],
    ["changeuser app a shop", "changeuser app b shop", "changeuser app c shop", WHO],
    ["query SELECT LAST_INSERT_ID(77)", "changeuser app %s shop" % APP[1], "query SELECT LAST_INSERT_ID()"],
]


@limit(120)
def test_change_user_as_at_a_server():
    for script in CHANGES:
        eq(psclient(m.port, script), psclient(db[0].port, script), "\n".join(script))


def test_change_user_to_another():
    """The new one's account runs the statements, in its database; then back."""
    c = peer.Conn(peer.Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), 20 * SLOW)
    c.login()
    for user, pw, name, first in ((*SECOND, "other", b"second@127.0.0.1"), ("open", "", "", b"open@127.0.0.1"),
                                  (*APP, "shop", b"app@127.0.0.1")):
        c.target.password = pw
        c.command(COM_CHANGE_USER, user.encode() + b"\0\0" + name.encode() + b"\0\x2d\0" + NATIVE + b"\0" + b"\0")
        c.after_login()
        for _ in range(3):
            c.command(COM_QUERY, b"SELECT CONCAT('<', USER(), '|', IFNULL(DATABASE(), ''), '>')")
            c.read_until(b"<" + first + b"|" + name.encode() + b">")
            c.read_packet(), c.read_packet(), c.read_packet(), c.read_packet(), c.read_packet()
    c.close()
    wait_for(lambda: m.counter("clients") == 0, 20, "clients to be gone")


def test_change_user_in_transaction_over_few_connections():
    """The server connection of an open transaction is reset, and others get it clean."""
    with m.conn() as c:
        query(c, "BEGIN")
        query(c, "UPDATE t SET v = 100 WHERE id = 1")
        raw = peer.Conn(peer.Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), 20 * SLOW)
        raw.login()
        raw.query("BEGIN")
        raw.query("UPDATE t SET v = 100 WHERE id = 2")
        raw.command(COM_CHANGE_USER, SECOND[0].encode() + b"\0\0shop\0\x2d\0" + NATIVE + b"\0\0")
        raw.target.password = SECOND[1]
        raw.after_login()
        wait_for(lambda: query(c, "SELECT v FROM t WHERE id = 2 FOR UPDATE") == ((2,),), 20, "its lock to be gone")
        query(c, "ROLLBACK")
        raw.close()


if __name__ == '__main__':
    main()
