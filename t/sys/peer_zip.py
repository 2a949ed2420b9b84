"""peer_zip: the compressed protocol for the scripted peers: frames of 7 bytes header (length, sequence id, length before) around
packets. Works on a peer_wire.Conn and on a peer_server.Session alike: both send by send() and read the socket s."""
import socket
import struct
import threading
import zlib

from peer_wire import *

CAP_ZSTD = 1 << 26


def pack(algo, data, level=6):
    if algo == "zlib":
        return zlib.compress(data, level)
    import zstandard
    return zstandard.ZstdCompressor(level=level).compress(data)


def unpack(algo, data, before):
    if algo == "zlib":
        return zlib.decompress(data)
    import zstandard
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=before)


def frame(algo, data, seq, before=None, plain=False, length=None):
    """One frame; before, length: what its header claims, if not the truth. plain: not compressed."""
    body = data if plain else pack(algo, data)
    b = (0 if plain else len(data)) if before is None else before
    n = len(body) if length is None else length
    return struct.pack("<I", n)[:3] + bytes([seq & 255]) + struct.pack("<I", b)[:3] + body


class Frames:
    """The frames of one connection. .seen: (sequence id, length, length before) of each that was read."""

    def __init__(self, sock, algo, buf=b""):
        self.s, self.algo, self.raw, self.plain, self.seq, self.seen = sock, algo, buf, b"", 0, []

    def write(self, data, seq=None, **kw):
        """Splits data into frames that go on from seq (default: 0, a command)."""
        seq = 0 if seq is None else seq
        at, out = 0, b""
        while True:
            piece = data[at:at + MAX_BODY]
            out += frame(self.algo, piece, seq, plain=kw.get("plain", len(piece) < 50))
            at, seq = at + len(piece), seq + 1
            if at >= len(data):
                break
        self.seq = seq & 255
        self.s.sendall(out)

    def fill(self):
        while len(self.raw) < 7 or len(self.raw) < 7 + int.from_bytes(self.raw[:3], "little"):
            try:
                more = self.s.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                raise Closed("%d bytes left over" % len(self.raw) if self.raw else "")
            self.raw += more
        n, before = int.from_bytes(self.raw[:3], "little"), int.from_bytes(self.raw[4:7], "little")
        self.seen.append((self.raw[3], n, before))
        body, self.raw = self.raw[7:7 + n], self.raw[7 + n:]
        self.seq = (self.seen[-1][0] + 1) & 255
        if before:
            body = unpack(self.algo, body, before)
            assert len(body) == before, "a frame of %d bytes that says %d" % (len(body), before)
        self.plain += body

    def read_packet(self):
        """(sequence id, body); long packets are not joined."""
        while len(self.plain) < 4 or len(self.plain) < 4 + int.from_bytes(self.plain[:3], "little"):
            self.fill()
        n = 4 + int.from_bytes(self.plain[:3], "little")
        seq, body, self.plain = self.plain[3], self.plain[4:n], self.plain[n:]
        return seq, body

    def reply(self):
        """All packets of the reply to a statement, as (sequence id, body)."""
        out = [self.read_packet()]
        if out[0][1][:1] in (b"\0", b"\xff", b"\xfb"):
            return out
        ends = 0
        while ends < 2:
            out.append(self.read_packet())
            b = out[-1][1]
            if b[:1] == b"\xff":
                return out
            ends += b[:1] == b"\xfe" and len(b) < 9
        return out


class ZipConn(Conn):
    """A client that compresses."""

    def login_zip(self, algo="zlib", level=3):
        self.read_greeting()
        cap = CAP_COMPRESS if algo == "zlib" else CAP_ZSTD
        body = self.response(caps_on=cap)
        if algo == "zstd":
            body += bytes([level])
        self.offered = bool(self.caps & cap)
        self.send(packet(body, 1))
        self.after_login()
        self.z = Frames(self.s, algo, self.buf)
        return self.z

    def zquery(self, text):
        self.z.write(packet(b"\x03" + (text if isinstance(text, bytes) else text.encode()), 0))
        return self.z.reply()


class ZstdServer:
    """A server that speaks zstd: a relay before one that does not (MariaDB has no zstd). .faults: what the other side did
    against the protocol. .connections: how many asked for zstd, with which levels."""

    def __init__(self, port):
        self.upstream, self.faults, self.levels, self.threads, self.socks = port, [], [], [], []
        self.break_next = None  # bytes to send in place of the next reply
        self.l = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.l.getsockname()[1]
        self._run(self._accept)

    def _run(self, fn, *a):
        t = threading.Thread(target=fn, args=a, daemon=True)
        t.start()
        self.threads.append(t)

    def close(self):
        for s in [self.l] + self.socks:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.l.close()
        for t in self.threads:
            t.join(10)

    def _accept(self):
        while True:
            try:
                s = self.l.accept()[0]
            except OSError:
                return
            self.socks.append(s)
            self._run(self._one, s)

    @staticmethod
    def _packet(s):
        """One packet, exactly, with its header."""
        b = b""
        while len(b) < 4 or len(b) < 4 + int.from_bytes(b[:3], "little"):
            more = s.recv((4 if len(b) < 4 else 4 + int.from_bytes(b[:3], "little")) - len(b))
            if not more:
                raise Closed
            b += more
        return b

    def _one(self, c):
        u = socket.create_connection(("127.0.0.1", self.upstream))
        self.socks.append(u)
        try:
            g = bytearray(self._packet(u))
            at = g.index(0, 5) + 1 + 4 + 8 + 1 + 2 + 1 + 2  # the upper half of the capabilities
            g[at + 1] |= CAP_ZSTD >> 24
            c.sendall(g)
            r = self._packet(c)
            caps = struct.unpack("<I", r[4:8])[0]
            zstd = bool(caps & CAP_ZSTD)
            if zstd:
                self.levels.append(r[-1])
                r = packet(struct.pack("<I", caps & ~CAP_ZSTD) + r[8:-1], r[3])
            u.sendall(r)
            while True:
                p = self._packet(u)
                c.sendall(p)
                if p[4] in (0, 255):
                    break
                u.sendall(self._packet(c))
            if p[4] == 0:
                self._relay(c, u, Frames(c, "zstd") if zstd else None)
        except (Closed, OSError):
            pass
        finally:
            for s in c, u:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _relay(self, c, u, z):
        lock = threading.Lock()

        def back():
            try:
                while True:
                    b = u.recv(1 << 18)
                    if not b:
                        break
                    with lock:
                        broken, self.break_next = self.break_next, None
                        if broken:
                            c.sendall(broken)
                        elif z:
                            z.write(b, seq=z.seq, plain=len(b) < 50)
                        else:
                            c.sendall(b)
            except OSError:
                pass
            for s in c, u:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self._run(back)
        while True:
            if z is None:
                b = c.recv(1 << 18)
                if not b:
                    raise Closed
                u.sendall(b)
                continue
            want = z.seen[-1][0] + 1 & 255 if z.seen else 0
            z.fill()
            seq, n, before = z.seen[-1]
            if seq == 0 and want != 0 and z.plain[3:4] != b"\0":
                self.faults.append("a frame numbered 0 that begins no command")
            if seq and seq != want:
                self.faults.append("frame %d where %d was due" % (seq, want))
            end = 4 + int.from_bytes(z.plain[:3], "little") if len(z.plain) >= 4 else 1 << 30
            if seq == 0 and len(z.plain) > end and end < MAX_BODY:
                self.faults.append("more than one command in a frame")
            b, z.plain = z.plain, b""
            u.sendall(b)
