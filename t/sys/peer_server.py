"""peer_server: the scripted server and its scripts (see peer.py)."""
import select
import socket
import struct
import threading

from peer_wire import *

SERVER_CAPS = (CAP_FOUND_ROWS | CAP_DB | CAP_LOCAL_FILES | CAP_41 | CAP_TRANSACTIONS | CAP_SECURE | CAP_MULTI_STATEMENTS |
               CAP_MULTI_RESULTS | CAP_PLUGIN_AUTH | CAP_ATTRS | CAP_LENENC | CAP_SESSION_TRACK | CAP_DEPRECATE_EOF | 4 | 0x40000)
SCRAMBLE = b"abcdefghABCDEFGHIJKL"


def greeting(version=b"5.5.5-10.11.19-MariaDB-peer", protocol=10, caps=SERVER_CAPS):
    return (bytes([protocol]) + version + b"\0" + struct.pack("<I", 77) + SCRAMBLE[:8] + b"\0" +
            struct.pack("<HBHHB", caps & 0xffff, 33, 2, caps >> 16, 21) + b"\0" * 10 + SCRAMBLE[8:] + b"\0" + NATIVE + b"\0")


def ok_body(header=0, status=2, tail=b""):
    return bytes([header]) + b"\0\0" + struct.pack("<HH", status, 0) + tail


def err_body(code, text, state=b"#HY000"):
    return b"\xff" + struct.pack("<H", code) + state + text


def column_body(name=b"1"):
    return lstr(b"def") + b"\0\0\0" + lstr(name) + b"\0" + b"\x0c" + struct.pack("<HIBHB", 63, 1, 3, 0x81, 0) + b"\0\0"


class Stop(Exception):
    """The script is at its end: the connection is closed."""


class Session:
    """One accepted connection of the fake server, as a script sees it."""

    def __init__(self, sock, caps=0):
        self.s, self.caps, self.seq = sock, caps, 0

    def send(self, data):
        self.s.sendall(data)

    def put(self, body, length=None, seq=None):
        """The next packet in sequence."""
        self.send(packet(body, self.seq if seq is None else seq, length))
        self.seq += 1

    def read(self):
        head = self._exactly(4)
        self.seq = (head[3] + 1) & 255
        return self._exactly(int.from_bytes(head[:3], "little"))

    def _exactly(self, n):
        b = b""
        while len(b) < n:
            more = self.s.recv(n - len(b))
            if not more:
                raise Stop
            b += more
        return b

    def wait_for_close(self):
        """Says nothing more until the other side closes."""
        while self.s.recv(65536):
            pass
        raise Stop

    def columns(self, n=1):
        self.put(lenenc(n))
        for i in range(n):
            self.put(column_body(b"c%d" % i))
        if not self.caps & CAP_DEPRECATE_EOF:
            self.put(b"\xfe\0\0\2\0")

    def end_rows(self, status=2):
        if self.caps & CAP_DEPRECATE_EOF:
            self.put(ok_body(0xfe, status))
        else:
            self.put(b"\xfe\0\0" + struct.pack("<H", status))

    def result(self, rows=1):
        self.columns()
        for _ in range(rows):
            self.put(lstr(b"1"))
        self.end_rows()


SCRIPTS = {}


def script(name):
    def deco(fn):
        SCRIPTS[name] = fn
        return fn
    return deco


def _bytes_script(name, *bodies, then="close"):
    """A script that sends these packets, in sequence, then closes, waits, or goes on."""
    def play(p):
        for b in bodies:
            p.put(b)
        if then == "close":
            raise Stop
        if then == "wait":
            p.wait_for_close()
    SCRIPTS[name] = play


_bytes_script("greet-protocol-9", greeting(protocol=9), then="wait")
_bytes_script("greet-cut", greeting()[:40], then="wait")
_bytes_script("greet-no-version-end", b"\x0a" + b"8" * 200, then="wait")
_bytes_script("greet-empty-packet", b"", then="wait")
_bytes_script("greet-no-41", greeting(caps=0), then="wait")
_bytes_script("greet-version-60000", greeting(version=b"8" * 60000), then="wait")
_bytes_script("greet-err-1040", err_body(1040, b"Too many connections", b""))
_bytes_script("greet-err-1129", err_body(1129, b"Host 'peer' is blocked because of many connection errors", b""))
_bytes_script("greet-then-silence", greeting(), then="wait")
_bytes_script("greet-then-close", greeting())
_bytes_script("greet-silence", then="wait")
_bytes_script("greet-close")


@script("greet-garbage")
def _(p):
    p.send(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 20)
    p.wait_for_close()


@script("greet-wrong-seq")
def _(p):
    p.put(greeting(), seq=3)
    p.wait_for_close()


@script("greet-huge-length")
def _(p):
    p.put(greeting(), MAX_BODY)
    p.wait_for_close()


@script("greet-half")
def _(p):
    p.send(packet(greeting(), 0)[:30])
    p.wait_for_close()


@script("greet-byte-by-byte")
def _(p):
    for b in packet(greeting(), 0):
        p.send(bytes([b]))
    p.seq = 1


_bytes_script("login-never", then="wait")
_bytes_script("login-close")
_bytes_script("login-err-1045", err_body(1045, b"Access denied for user 'peer'"))
_bytes_script("login-err-no-state", err_body(1045, b"Access denied", b""))
_bytes_script("login-err-cut", b"\xff\x15")
_bytes_script("login-empty-packet", b"", then="wait")
_bytes_script("login-garbage", b"\x77" * 50, then="wait")
_bytes_script("login-switch-unknown", b"\xfeno_such_plugin\0" + SCRAMBLE + b"\0", then="wait")
_bytes_script("login-switch-old", b"\xfe", then="wait")
_bytes_script("login-switch-no-nul", b"\xfemysql_native_password", then="wait")
_bytes_script("login-switch-clear", b"\xfemysql_clear_password\0", then="wait")
_bytes_script("login-switch-short", b"\xfe" + NATIVE + b"\0abc\0", then="wait")
_bytes_script("login-more-data", b"\x01\x04", then="wait")
_bytes_script("login-switch-nothing", b"\xfe\0", then="wait")
_bytes_script("login-switch-dialog", b"\xfedialog\0\4Password: \0", then="wait")
_bytes_script("login-switch-control", b"\xfe\n<0>forged\x1b[2J\xff\0", then="wait")
_bytes_script("login-switch-name-60000", b"\xfe" + b"x" * 60000 + b"\0", then="wait")
_bytes_script("login-ed25519-short", b"\xfeclient_ed25519\0" + SCRAMBLE + b"\0", then="wait")
_bytes_script("login-ed25519-long", b"\xfeclient_ed25519\0" + SCRAMBLE * 3000, then="wait")
_bytes_script("login-ed25519-never", b"\xfeclient_ed25519\0" + b"n" * 32, then="wait")
_bytes_script("login-sha2-short", b"\xfecaching_sha2_password\0abc\0", then="wait")
_bytes_script("login-sha2-key-unasked", b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0", b"\1-----BEGIN PUBLIC KEY-----\n", then="wait")
_bytes_script("login-sha2-odd-step", b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0", b"\1\7", then="wait")
_bytes_script("login-sha2-full", b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0", b"\1\4", then="wait")
_bytes_script("login-sha2-then-never", b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0", b"\1\3", then="wait")
_bytes_script("login-ok-cut", b"\0\0\0", then="wait")
_bytes_script("login-ok-bad-track", ok_body(0, 0x4002, b"\0" + b"\xfe" + b"\xff" * 8), then="wait")


@script("login-switch-loop")
def _(p):
    """Asks for the method again after each answer, as long as the client plays along."""
    while True:
        p.put(b"\xfe" + NATIVE + b"\0" + SCRAMBLE + b"\0")
        p.read()


@script("login-methods-loop")
def _(p):
    """Another method each time."""
    while True:
        p.put(b"\xfeclient_ed25519\0" + b"n" * 32)
        p.read()
        p.put(b"\xfecaching_sha2_password\0" + SCRAMBLE + b"\0")
        p.read()


@script("login-wrong-seq")
def _(p):
    p.put(ok_body(), seq=p.seq + 4)
    p.wait_for_close()


@script("login-ok-then-unsolicited")
def _(p):
    """A second OK that nobody asked for."""
    p.put(ok_body())
    p.put(ok_body())
    p.wait_for_close()


_bytes_script("reply-never", then="wait")
_bytes_script("reply-close")
_bytes_script("reply-empty-packet", b"", then="wait")
_bytes_script("reply-ok-cut", b"\0\0\0\2", then="wait")
_bytes_script("reply-ok-hostile", b"\0\xfe\xff\xff", then="wait")
_bytes_script("reply-ok-bad-track", ok_body(0, 0x4002, b"\0" + b"\xfc\xff\xff\0\1"), then="wait")
_bytes_script("reply-ok-track-inner", ok_body(0, 0x4002, b"\0" + lstr(b"\0\4\xfe\xff\xff\xff")), then="wait")
_bytes_script("reply-ok-track-state", ok_body(0, 0x4002, b"\0" + lstr(b"\1\5\xfbdbx\0")), then="wait")
_bytes_script("reply-err-cut", b"\xff\x28", then="wait")
_bytes_script("reply-err", err_body(1105, b"scripted error"), then="go on")
_bytes_script("reply-err-control", err_body(1105, b"\n<0>forged line\x1b[2J\0\xff"), then="go on")
_bytes_script("reply-columns-2^63", b"\xfe" + b"\0" * 7 + b"\x80", then="wait")
_bytes_script("reply-columns-65535", lenenc(65535), column_body(), then="wait")
_bytes_script("reply-columns-cut", b"\xfc\1", then="wait")
_bytes_script("reply-columns-extra", b"\1zzz", then="wait")
_bytes_script("reply-local-infile", b"\xfb/etc/passwd", then="wait")
_bytes_script("reply-column-garbage", b"\1", b"\xff" * 30, then="wait")


@script("reply-cut-column")
def _(p):
    p.put(lenenc(1))
    p.send(packet(column_body(), p.seq)[:12])
    raise Stop


@script("reply-cut-row")
def _(p):
    p.columns()
    p.put(lstr(b"1"))
    p.send(packet(lstr(b"x" * 100), p.seq)[:50])
    raise Stop


@script("reply-cut-row-silence")
def _(p):
    p.columns()
    p.send(packet(lstr(b"x" * 100), p.seq)[:50])
    p.wait_for_close()


@script("reply-cut-between-rows")
def _(p):
    p.columns()
    p.put(lstr(b"1"))
    raise Stop


@script("reply-rows-silence")
def _(p):
    p.columns()
    p.put(lstr(b"1"))
    p.wait_for_close()


@script("reply-wrong-seq")
def _(p):
    p.put(lenenc(1), seq=9)
    p.wait_for_close()


@script("reply-row-wrong-seq")
def _(p):
    p.columns()
    p.put(lstr(b"1"), seq=p.seq + 5)
    p.end_rows()
    p.wait_for_close()


@script("reply-err-mid-rows")
def _(p):
    """Allowed by the protocol: the result ends with an error, the session goes on."""
    p.columns()
    p.put(lstr(b"1"))
    p.put(err_body(1317, b"scripted error in the middle", b"#70100"))


@script("reply-row-too-long")
def _(p):
    """A row that claims 2^24-1 bytes, and ends early."""
    p.columns()
    p.put(lstr(b"x" * 1000), MAX_BODY)
    raise Stop


@script("reply-row-endless")
def _(p):
    """One value of endless length: full packets until the other side closes."""
    p.columns()
    body = b"\xfe" + b"\xff" * 7 + b"\x7f" + b"x" * (MAX_BODY - 9)
    while True:
        p.put(body)


@script("reply-rows-endless")
def _(p):
    p.columns()
    while True:
        start, p.seq = p.seq, p.seq + 1000
        p.send(b"".join(packet(lstr(b"x" * 200), start + i) for i in range(1000)))


@script("reply-two-results")
def _(p):
    """More results than were announced: the second is nobody's answer."""
    p.result()
    p.seq = 1
    p.result()


@script("reply-more-never")
def _(p):
    """Announces another result that does not come."""
    p.columns()
    p.put(lstr(b"1"))
    p.end_rows(status=2 | 8)
    p.wait_for_close()


@script("reply-row-short")
def _(p):
    """A row with fewer values than columns. A relay of rows need not see that."""
    p.columns(3)
    p.put(lstr(b"1"))
    p.end_rows()


@script("reply-after-close-wait")
def _(p):
    """A right answer, then the server closes: the connection must not go back to a pool."""
    p.result()
    raise Stop


@script("reply-unsolicited-later")
def _(p):
    """A right answer and, in the same segment, an ERR that belongs to no command (as the server's own timeout
    sends: error 4031 or 1927), then close."""
    parts, send = [], p.s.sendall
    p.send = parts.append
    p.result()
    p.put(err_body(1927, b"Connection was killed", b"#70100"), seq=0)
    del p.send
    send(b"".join(parts))
    raise Stop


def _close_after():
    def play(p, n):
        whole = []
        p.send = whole.append
        p.result(3)
        del p.send
        p.send(b"".join(whole)[:n])
        raise Stop
    for n in (1, 3, 4, 5, 6, 12, 30, 40, 45, 50):
        SCRIPTS["reply-close-after-%d" % n] = lambda p, n=n: play(p, n)


_close_after()


class FakeServer:
    """See the top of the file. One thread per connection; close() ends them all."""

    def __init__(self, name=None, upstream=None, port=0, host="127.0.0.1", times=None):
        self.upstream, self.connections, self.queries, self.played = upstream, 0, [], []
        self.lock, self.socks, self.threads, self.closing = threading.Lock(), set(), [], False
        self.script, self.times = None, None
        if name:
            self.play(name, times)
        self.l = socket.create_server((host, port), backlog=128)
        self.port = self.l.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def __enter__(self):
        return self

    def __exit__(self, *a):
        self.close()

    def play(self, name, times=None):
        """The script from now on, for `times` connections or replies (None: all); None: none."""
        if name is not None and name not in SCRIPTS:
            raise KeyError(name)
        with self.lock:
            self.script, self.times = name, times

    def _take(self, phase):
        """The script to play now, if it is of this phase; counts it."""
        with self.lock:
            name = self.script
            if name is None or not name.startswith(phase + "-") or self.times == 0:
                return None
            if self.times is not None:
                self.times -= 1
            self.played.append(name)
            return SCRIPTS[name]

    def close(self):
        self.closing = True
        for s in [self.l] + list(self.socks):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.l.close()
        self.acceptor.join(10)
        for t in self.threads:
            t.join(10)

    def drop_all(self):
        """Closes the connections, not the listener."""
        for s in list(self.socks):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while not self.closing:
            try:
                s, _ = self.l.accept()
            except OSError:
                return
            self.connections += 1
            self.socks.add(s)
            t = threading.Thread(target=self._serve, args=(s,), daemon=True)
            self.threads = [x for x in self.threads if x.is_alive()] + [t]
            t.start()

    def _serve(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = None
        try:
            fn = self._take("greet")
            p = Session(s)
            if fn is not None:
                fn(p)
            if self.upstream is not None and fn is None:
                up = socket.create_connection(self.upstream, 10)
                up.settimeout(None)
                self.socks.add(up)
                self._relay(p, Session(up))
            else:
                self._fake(p, greeted=fn is not None)
        except (Stop, OSError):
            pass
        finally:
            for x in (s, up):
                if x is not None:
                    self.socks.discard(x)
                    x.close()

    def _login(self, p, body):
        p.caps = int.from_bytes(body[:4], "little") & SERVER_CAPS
        fn = self._take("login")
        if fn is not None:
            fn(p)
        return fn is not None

    def _fake(self, p, greeted):
        if not greeted:
            p.put(greeting())
        if not self._login(p, p.read()):
            p.put(ok_body())
        while True:
            body = p.read()
            com = body[0] if body else None
            if com == COM_QUIT:
                return
            if com == COM_QUERY:
                self.queries.append(body[1:])
            if not self._scripted(p, body):
                if com == COM_QUERY and body[1:7].upper() in (b"SELECT", b"SHOW G", b"SHOW S", b"SHOW A"):
                    p.result()
                elif com in (COM_CLOSE, COM_LONG_DATA):
                    pass
                elif com == COM_STATISTICS:
                    p.put(b"Uptime: 1")
                elif com == COM_PREPARE:
                    p.put(err_body(1295, b"the scripted server prepares nothing"))
                else:
                    p.put(ok_body())

    def _scripted(self, p, body):
        """Plays the script named in a query, or the one that is set for replies."""
        if body[:1] not in (bytes([COM_QUERY]), bytes([COM_PREPARE]), bytes([COM_EXECUTE])):
            return False
        fn = None
        at = body.find(b"peer:")
        if at >= 0:
            name = body[at + 5:at + 60].split(b"*")[0].split()[0].decode()
            fn = SCRIPTS.get(name)
            if fn is None:
                p.put(err_body(1105, b"no script " + name.encode()))
                return True
            self.played.append(name)
        elif self.upstream is None:
            fn = self._take("reply")
        if fn is None:
            return False
        fn(p)
        return True

    def _relay(self, p, up):
        """Packets of the client are looked at, those of the server go through as bytes."""
        g = up.read()
        at = g.index(0, 1) + 14  # capabilities, low half: no TLS, no compression, so that packets can be read
        low = int.from_bytes(g[at:at + 2], "little") & ~CAP_SSL & ~CAP_COMPRESS
        p.send(packet(g[:at] + struct.pack("<H", low) + g[at + 2:], 0))
        body = p.read()
        if self._login(p, body):
            return self._fake_rest(p)
        up.send(packet(body, p.seq - 1))
        buf = b""
        while True:
            ready, _, _ = select.select([p.s, up.s], [], [])
            if up.s in ready:
                data = up.s.recv(65536)
                if not data:
                    return
                p.send(data)
            if p.s in ready:
                data = p.s.recv(65536)
                if not data:
                    return
                buf = self._forward(p, up, buf + data)

    def _forward(self, p, up, buf):
        """Sends whole packets of the client on, or plays a script on them; returns what is left."""
        while len(buf) >= 4 and len(buf) >= 4 + int.from_bytes(buf[:3], "little"):
            n = 4 + int.from_bytes(buf[:3], "little")
            head, body, rest = buf[:4], buf[4:n], buf[n:]
            p.seq = (head[3] + 1) & 255
            if head[3] == 0 and body[:1] == bytes([COM_QUERY]):
                self.queries.append(body[1:])
            if not (head[3] == 0 and self._scripted(p, body)):
                up.send(head + body)
            buf = rest
        return buf

    def _fake_rest(self, p):
        """After a login script that let the client in: nothing more is right."""
        p.wait_for_close()
