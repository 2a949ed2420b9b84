"""raw: sessions by raw bytes, the same at a server and through Margay, for tests that compare replies packet by packet."""
import random
import struct
import time

from peer_wire import *

MCAP_BULK, MCAP_EXTENDED, MCAP_CACHE = 4, 8, 16
COM_BULK = 0xfa
LONGLONG, STRING, BLOB = 8, 254, 252
NONE, NULL, DEFAULT, IGNORE = 0, 1, 2, 3  # indicators of bulk rows


class Raw(Conn):
    """A session that may ask for MariaDB's extended capabilities."""

    def __init__(self, port, user, password, db="shop", mcaps=0, timeout=60, **change):
        super().__init__(Target("127.0.0.1", port, user, password, db), timeout)
        self.greeted = self.read_greeting()
        i = self.greeted.index(0, 1) + 1
        self.mcaps_offered = struct.unpack("<I", self.greeted[i + 13 + 14:i + 13 + 18])[0]
        change.setdefault("fill", b"\0" * 19 + struct.pack("<I", mcaps))
        self.sent = self.response(**change)
        self.send(packet(self.sent, 1))
        self.after_login()

    def take(self, n):
        out, self.buf = bytearray(self.buf[:n]), self.buf[n:]
        while len(out) < n:
            self.s.settimeout(max(0.01, self.deadline - time.monotonic()))
            try:
                more = self.s.recv(min(n - len(out), 1 << 20))
            except ConnectionResetError:
                more = b""
            except TimeoutError:
                raise Silent("%d bytes of %d" % (len(out), n))
            if not more:
                raise Closed("after %d bytes of %d" % (len(out), n))
            out += more
        return bytes(out)

    def read_packet(self):
        """As Conn's, and fast for long ones."""
        head = self.take(4)
        return head[3], self.take(int.from_bytes(head[:3], "little"))

    def exchange(self, *commands):
        """All packets that commands (each bytes: command byte and body, any length) are answered with: (sequence id,
        body). A statement of our own behind them shows where the answers end."""
        word = b"mark%016x" % random.getrandbits(64)
        for c in commands:
            self.send(long_packets(c, 0))
        self.send(packet(b"\x03SELECT '" + word + b"'", 0))
        out = []
        while True:
            p = self.read_packet()
            out.append(p)
            if p[1] == bytes([len(word)]) + word:
                break
        self.read_packet()
        # of the mark: the column count, its definition, the row, and an EOF packet before that for those who get one
        eof = struct.unpack("<I", self.sent[:4])[0] & CAP_DEPRECATE_EOF == 0
        return out[:-4 if eof else -3]

    def prepared(self, text):
        """A prepared statement: its id."""
        first = self.exchange(bytes([COM_PREPARE]) + text.encode())[0][1]
        if first[:1] != b"\0":
            raise Closed("PREPARE refused: %r" % first[:80])
        return struct.unpack("<I", first[1:5])[0]


def without_early_flags(packets):
    """An EOF packet behind definitions says whether an index was used and whether more results follow; Margay's, written
    before that is known, does not (doc/PROTOCOL)."""
    return [(q, b[:3] + bytes([b[3] & ~0x38]) + b[4:] if len(b) == 5 and b[:1] == b"\xfe" and i + 1 < len(packets) else b)
            for i, (q, b) in enumerate(packets)]


def execute(sid, params=(), types=True, flags=0):
    """COM_STMT_EXECUTE. params: (type, bytes of the value on the wire, None for NULL)."""
    body = bytes([COM_EXECUTE]) + struct.pack("<IBI", sid, flags, 1)
    if params:
        bits = sum(1 << i for i, (_, v) in enumerate(params) if v is None)
        body += bits.to_bytes((len(params) + 7) // 8, "little") + bytes([types])
        if types:
            body += b"".join(struct.pack("<H", t) for t, _ in params)
        body += b"".join(v for _, v in params if v is not None)
    return body


def bulk(sid, types, rows, flags=None):
    """COM_STMT_BULK_EXECUTE. types: None: left out; rows: tuples of (indicator, bytes)."""
    body = bytes([COM_BULK]) + struct.pack("<IH", sid, (128 if types else 0) if flags is None else flags)
    body += b"".join(struct.pack("<H", t) for t in types or ())
    return body + b"".join(bytes([i]) + v for row in rows for i, v in row)


def num(n):
    return (NONE, struct.pack("<q", n))


def text(b):
    return (NONE, lstr(b))
