"""peer_wire: bytes of the MySQL protocol and a raw connection, for the scripted peers (see peer.py)."""
import hashlib
import random
import socket
import struct
import time

CAP_LONG_PASSWORD, CAP_FOUND_ROWS, CAP_DB = 0x1, 0x2, 0x8
CAP_COMPRESS, CAP_LOCAL_FILES, CAP_41, CAP_SSL = 0x20, 0x80, 0x200, 0x800
CAP_TRANSACTIONS, CAP_SECURE, CAP_MULTI_STATEMENTS, CAP_MULTI_RESULTS = 0x2000, 0x8000, 0x10000, 0x20000
CAP_PLUGIN_AUTH, CAP_ATTRS, CAP_LENENC = 0x80000, 0x100000, 0x200000
CAP_SESSION_TRACK, CAP_DEPRECATE_EOF = 0x800000, 0x1000000
(COM_QUIT, COM_INIT_DB, COM_QUERY, COM_FIELD_LIST, COM_STATISTICS, COM_PROCESS_KILL, COM_PING, COM_CHANGE_USER,
 COM_PREPARE, COM_EXECUTE, COM_LONG_DATA, COM_CLOSE, COM_RESET, COM_SET_OPTION, COM_FETCH) = (
    1, 2, 3, 4, 9, 12, 14, 17, 22, 23, 24, 25, 26, 27, 28)
MAX_BODY = 0xffffff
NATIVE = b"mysql_native_password"


def sha1(b):
    return hashlib.sha1(b).digest()


def native_token(password, scramble):
    if not password:
        return b""
    s1 = sha1(password.encode())
    return bytes(a ^ b for a, b in zip(s1, sha1(scramble + sha1(s1))))


def lenenc(n):
    if n < 251:
        return bytes([n])
    if n < 1 << 16:
        return b"\xfc" + struct.pack("<H", n)
    if n < 1 << 24:
        return b"\xfd" + struct.pack("<I", n)[:3]
    return b"\xfe" + struct.pack("<Q", n)


def lstr(b):
    return lenenc(len(b)) + b


def packet(body, seq, length=None):
    """One packet; length: what the header claims, if not the truth."""
    return struct.pack("<I", len(body) if length is None else length)[:3] + bytes([seq & 255]) + body


def long_packets(body, seq):
    """A body of any length, split as the protocol asks."""
    out = b""
    while True:
        out += packet(body[:MAX_BODY], seq)
        if len(body) < MAX_BODY:
            return out
        body, seq = body[MAX_BODY:], seq + 1


class Closed(Exception):
    """The peer closed the connection."""


class Silent(Exception):
    """The peer sent nothing until the deadline."""


# ---- a connection

class Conn:
    """A raw connection. Every read ends at `deadline` (time.monotonic) with Silent."""

    def __init__(self, target, timeout=10):
        self.deadline = time.monotonic() + timeout
        self.target, self.buf = target, b""
        if target.port is None:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.settimeout(timeout)
            self.s.connect(target.host)
        else:
            self.s = socket.create_connection((target.host, target.port), timeout)
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.caps, self.scramble = 0, b""

    def close(self, reset=False):
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def end_writing(self):
        """The peer reads our end, and may still answer."""
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already

    def send(self, data):
        """A send to a peer that has closed is no error here: its last words may still be read."""
        self.s.settimeout(max(0.01, self.deadline - time.monotonic()))
        try:
            self.s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        except socket.timeout:
            raise Silent("send: the peer does not read")

    def fill(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Silent("deadline")
        self.s.settimeout(left)
        try:
            more = self.s.recv(65536)
        except ConnectionResetError:
            more = b""
        except socket.timeout:
            raise Silent("nothing received")
        if not more:
            raise Closed("%d bytes left over" % len(self.buf) if self.buf else "")
        self.buf += more

    def read_packet(self):
        """(sequence id, body); long packets are not joined."""
        while len(self.buf) < 4 or len(self.buf) < 4 + int.from_bytes(self.buf[:3], "little"):
            self.fill()
        n = 4 + int.from_bytes(self.buf[:3], "little")
        seq, body, self.buf = self.buf[3], self.buf[4:n], self.buf[n:]
        return seq, body

    def read_until(self, text):
        while text not in self.buf:
            self.fill()

    def read_greeting(self):
        _, g = self.read_packet()
        if g[:1] == b"\xff":
            raise Closed("ERR instead of a greeting: %r" % g[:80])
        i = g.index(0, 1) + 1
        self.id = struct.unpack("<I", g[i:i + 4])[0]
        tail = g[i + 13:]
        lo, self.charset, _, hi, _ = struct.unpack("<HBHHB", tail[:8])
        self.caps = lo | hi << 16
        self.scramble = g[i + 4:i + 12] + tail[18:30]
        return g

    def response(self, **change):
        """The body of a correct login; `change` replaces parts: caps, caps_off, caps_on, max_packet, charset, fill,
        user, auth (the bytes on the wire, with their length), db, plugin, attrs (with their length)."""
        t = self.target
        caps = CAP_41 | CAP_SECURE | CAP_PLUGIN_AUTH | CAP_LENENC | CAP_ATTRS | CAP_TRANSACTIONS | \
            CAP_MULTI_STATEMENTS | CAP_MULTI_RESULTS | (CAP_DB if t.db or "db" in change else 0)
        caps = change.get("caps", caps & self.caps & ~change.get("caps_off", 0) | change.get("caps_on", 0))
        auth = lstr(native_token(t.password, self.scramble))
        body = struct.pack("<IIB", caps, change.get("max_packet", 1 << 24), change.get("charset", 33))
        body += change.get("fill", b"\0" * 23) + change.get("user", t.user.encode() + b"\0")
        body += change.get("auth", auth)
        if caps & CAP_DB:
            body += change.get("db", t.db.encode() + b"\0")
        if caps & CAP_PLUGIN_AUTH:
            body += change.get("plugin", NATIVE + b"\0")
        if caps & CAP_ATTRS:
            body += change.get("attrs", lstr(lstr(b"_client_name") + lstr(b"peer")))
        return body

    def login(self):
        self.read_greeting()
        self.send(packet(self.response(), 1))
        self.after_login()

    def after_login(self):
        """Reads the answer to a login, follows one switch to the native method. Returns its OK; raises Closed if not let in."""
        seq, b = self.read_packet()
        if b[:1] == b"\xfe" and len(b) > 1:
            name, data = b[1:].split(b"\0", 1)
            if name != NATIVE:
                raise Closed("asked for %r" % name)
            self.send(packet(native_token(self.target.password, data[:20]), seq + 1))
            _, b = self.read_packet()
        if b[:1] != b"\0":
            raise LoginError(b)
        return b

    def command(self, com, body=b"", seq=0):
        self.send(packet(bytes([com]) + body, seq))

    def query(self, text):
        """The first packet of the answer."""
        self.command(COM_QUERY, text.encode())
        return self.read_packet()[1]

    def prepare(self, text):
        """A prepared statement: its id; the definitions that follow are read."""
        self.command(COM_PREPARE, text.encode())
        _, b = self.read_packet()
        if b[:1] != b"\0":
            raise Closed("PREPARE refused: %r" % b[:80])
        sid, ncols, nparams = struct.unpack("<IHH", b[1:9])
        for n in (nparams, ncols):
            for _ in range(n + 1 if n else 0):
                self.read_packet()
        return sid

    def marker(self):
        """Is the session usable? A query of its own, whose answer is looked for in all that comes."""
        word = b"mark%016x" % random.getrandbits(64)
        self.command(COM_QUERY, b"SELECT '" + word + b"'")
        self.read_until(word)


class LoginError(Closed):
    def __init__(self, body):
        super().__init__("%r" % body[:90])
        self.body = body


class Target:
    """Where to connect, and as whom. port None: host is the path of a unix socket."""

    def __init__(self, host, port, user, password, db=""):
        self.host, self.port, self.user, self.password, self.db = host, port, user, password, db

    def alive(self, timeout=10):
        """Does a fresh login and query work?"""
        c = Conn(self, timeout)
        try:
            c.login()
            c.marker()
            return True
        except (Closed, Silent, OSError):
            return False
        finally:
            c.close()
