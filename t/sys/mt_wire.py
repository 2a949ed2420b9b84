"""mt_wire: a client that sees every byte: commands of the protocol in, whole replies out as lists of packets, so that two
of them can be compared. What differs by its nature is masked here, with its reason."""
import struct

from mt_base import APP, eq
from mt_mariadb import query
from peer_wire import *

ST_MORE, ST_CURSOR, ST_CHANGED = 0x0008, 0x0040, 0x4000
TRACK_SCHEMA = 1
# An index was not used, a statement was slow: of each server's statistics, and of the machine.
ST_MASK = 0x0010 | 0x0020 | 0x0800
PEEK_ROWS = 15  # doc/PROTOCOL: of longer results the EOF packet between definitions and rows has other flags

TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, DATE, TIME, DATETIME = 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12
NEWDECIMAL, BLOB, VAR_STRING, STRING = 246, 252, 253, 254
UNSIGNED = 0x8000
COM_RESET_CONNECTION, COM_DEBUG = 31, 13
FLAVOURS = {"classic": 0, "found_rows": CAP_FOUND_ROWS, "new": CAP_DEPRECATE_EOF, "track": CAP_DEPRECATE_EOF | CAP_SESSION_TRACK,
            "classic_track": CAP_SESSION_TRACK}


def rd_lenenc(b, at):
    n = b[at]
    if n < 251:
        return n, at + 1
    size = {0xfc: 2, 0xfd: 3, 0xfe: 8}[n]
    return int.from_bytes(b[at + 1:at + 1 + size], "little"), at + 1 + size


class WireClient(Conn):
    """One session. charset: a collation's id, flavour: a name of FLAVOURS."""

    def __init__(self, host, port, user, password, db="", charset=45, flavour="classic", timeout=60):
        super().__init__(Target(host, port, user, password, db), timeout)
        self.timeout = timeout
        self.read_greeting()
        body = self.response(charset=charset, caps_on=FLAVOURS[flavour] & self.caps)
        self.client_caps = struct.unpack("<I", body[:4])[0]
        self.new = bool(self.client_caps & CAP_DEPRECATE_EOF)
        self.send(packet(body, 1))
        self.welcome = self.after_login()
        self.stmts = {}  # key -> (id, number of parameters)
        self.texts = {}
        self.longs = {}  # key -> parameters that were sent as long data
        self.bound = {}  # key -> parameters of the last execution with types

    # packets

    def _take(self, out):
        """The next packet, noted in out."""
        seq, b = self.read_packet()
        if b[:3] in (b"\xff\xdb\x04", b"\xff\x8d\x05"):  # 1243, 1421 name a statement by its id, which is each server's own
            b = b[:9]
        out.append([seq, b])
        return b

    def _ok_status(self, b):
        _, at = rd_lenenc(b, 1)
        _, at = rd_lenenc(b, at)
        return at, struct.unpack("<H", b[at:at + 2])[0]

    def _masked_ok(self, out):
        """The packet last noted is an OK packet: its status."""
        b = out[-1][1]
        at, status = self._ok_status(b)
        rest = b[at + 2:]
        if self.client_caps & CAP_SESSION_TRACK:
            rest, changed = self._readable_block(rest, status & ST_CHANGED)
            status = status | ST_CHANGED if changed else status & ~ST_CHANGED
        out[-1][1] = b[:at] + struct.pack("<H", status & ~ST_MASK) + rest
        return status

    def _readable_block(self, rest, changed):
        """Warnings, text, and the session's changes: these come in the order of a table of hashes. A schema is told again
        by a server when a routine or a view of another one was left, with the next change, whatever and whenever that is."""
        n, at = rd_lenenc(rest, 2) if len(rest) > 2 else (0, 2)
        head, at = rest[:2] + rest[at:at + n], at + n
        if not changed:
            return head, False
        _, at = rd_lenenc(rest, at)
        items = []
        while at < len(rest):
            n, to = rd_lenenc(rest, at + 1)
            if rest[at] != TRACK_SCHEMA or self.uses:
                items.append(rest[at:to + n])
            at = to + n
        return head + b"".join(sorted(items)), bool(items)

    def _masked_eof(self, out, at=-1, mask=ST_MASK | ST_CHANGED):
        b = out[at][1]
        status = struct.unpack("<H", b[3:5])[0]
        out[at][1] = b[:3] + struct.pack("<H", status & ~mask) + b[5:]
        return status

    def _rows(self, out):
        """Rows up to their end: the status there, None after an error."""
        while True:
            b = self._take(out)
            if b[:1] == b"\xff":
                return None
            if b[:1] == b"\xfe" and self.new and len(b) < MAX_BODY:
                return self._masked_ok(out)
            if b[:1] == b"\xfe" and not self.new and len(b) < 9:
                return self._masked_eof(out)

    def _result(self, out, cursor):
        """One result: its status, None when it ends the reply whatever it is."""
        b = self._take(out)
        if b[:1] in (b"\xff", b"\xfb"):
            return None
        if b[:1] == b"\0":
            return self._masked_ok(out)
        ncols, _ = rd_lenenc(b, 0)
        for _ in range(ncols):
            self._take(out)
        between = None
        if not self.new:
            self._take(out)
            between = len(out) - 1
            status = self._masked_eof(out)
            out[-1][1] = b"\xfe\0\0" + out[-1][1][3:]  # doc/PROTOCOL: warnings are not counted there
            if cursor and status & ST_CURSOR:
                return status & ~ST_MORE
        status = self._rows(out)
        if between is not None and (status is None or len(out) - 2 - between > PEEK_ROWS):
            self._masked_eof(out, between, 0xffff)
        return status

    def _reply(self, cursor=False):
        out = []
        while True:
            status = self._result(out, cursor)
            if status is None or not status & ST_MORE:
                return out

    def _one(self):
        """A reply of one packet: OK, EOF in its place, ERR, a text."""
        out = []
        b = self._take(out)
        if b[:1] == b"\0":
            self._masked_ok(out)
        return out

    # commands

    def ask(self, com, body=b""):
        self.deadline = time.monotonic() + self.timeout
        self.uses = com == COM_INIT_DB or body[:4].upper() == b"USE "
        self.command(com, body)

    def query_all(self, sql):
        self.ask(COM_QUERY, sql if isinstance(sql, bytes) else sql.encode())
        return self._reply()

    def simple(self, com, body=b""):
        self.ask(com, body)
        return self._one()

    def field_list(self, table):
        self.ask(COM_FIELD_LIST, table.encode() + b"\0")
        out = []
        self._rows(out)
        return out

    def prepare_as(self, key, sql):
        self.ask(COM_PREPARE, sql.encode())
        out = []
        b = self._take(out)
        self.longs.pop(key, None)
        self.bound.pop(key, None)
        if b[:1] != b"\0":
            self.stmts.pop(key, None)
            return out
        sid, ncols, nparams = struct.unpack("<IHH", b[1:9])
        out[0][1] = b[:1] + b"\0\0\0\0" + b[5:]  # ids are each server's own
        for n in (nparams, ncols):
            for _ in range(n + (not self.new) if n else 0):
                if self._take(out)[:1] == b"\xfe":
                    self._masked_eof(out, mask=0xffff)  # doc/PROTOCOL: as the session was before
        self.stmts[key] = (sid, nparams)
        self.texts[key] = sql
        return out

    def execute(self, key, params, bound=True, cursor=False):
        """params: (type, bytes of the value or None) each; bound False: types are not sent, values are those of before."""
        sid, nparams = self.stmts[key]
        bound = bound or key not in self.bound
        params = self.bound[key] = params if bound else self.bound[key]
        body = struct.pack("<IBI", sid, int(cursor), 1)
        params = (list(params) + [(NULL, None)] * nparams)[:nparams]
        long = self.longs.pop(key, ())
        if nparams:
            bits = bytearray((nparams + 7) // 8)
            for i, (_, v) in enumerate(params):
                if v is None and i not in long:
                    bits[i // 8] |= 1 << i % 8
            body += bytes(bits) + bytes([bound])
            if bound:
                body += b"".join(struct.pack("<H", t) for t, _ in params)
            body += b"".join(v for i, (_, v) in enumerate(params) if v is not None and i not in long)
        self.ask(COM_EXECUTE, body)
        return self._reply(cursor)

    def fetch(self, key, rows):
        self.ask(COM_FETCH, struct.pack("<II", self.stmts[key][0], rows))
        out = []
        self._rows(out)
        return out

    def long_data(self, key, param, data):
        self.longs.setdefault(key, set()).add(param)
        self.ask(COM_LONG_DATA, struct.pack("<IH", self.stmts[key][0], param) + data)
        return []

    def reset_stmt(self, key):
        self.longs.pop(key, None)
        return self.simple(COM_RESET, struct.pack("<I", self.stmts[key][0]))

    def close_stmt(self, key):
        self.longs.pop(key, None)
        self.ask(COM_CLOSE, struct.pack("<I", self.stmts.pop(key)[0]))
        return []

    def reset_connection(self):
        self.stmts.clear()
        self.longs.clear()
        self.bound.clear()
        return self.simple(COM_RESET_CONNECTION)

    def change_user(self, user, password, db, charset):
        """The reply behind the switch of the method that servers ask for."""
        self.stmts.clear()
        self.longs.clear()
        self.bound.clear()
        self.ask(COM_CHANGE_USER, user.encode() + b"\0" + lstr(native_token(password, self.scramble)) + db.encode() + b"\0" +
                 struct.pack("<H", charset) + NATIVE + b"\0" + (lstr(b"") if self.client_caps & CAP_ATTRS else b""))
        seq, b = self.read_packet()
        if b[:1] == b"\xfe":
            self.send(packet(native_token(password, b[1:].split(b"\0", 1)[1][:20]), seq + 1))
            seq, b = self.read_packet()
        return [[seq, b]]

    def quit(self):
        self.ask(COM_QUIT)
        self.close()


def alike(ports, steps, between=lambda: None, flavour="classic", user=None, db="shop"):
    """The same steps (SQL, or a function of the client) at the server and through Margay: every byte must be equal. between:
    what happens after each step, other sessions on Margay's connections say. ports: (the server's, Margay's)."""
    direct, through = [WireClient("127.0.0.1", p, *(user or APP), db, flavour=flavour) for p in ports]
    for s in steps:
        want, got = [s(c) if callable(s) else c.query_all(s) for c in (direct, through)]
        eq(got, want, "%s, %s" % (flavour, s))
        between()
    for c in (direct, through):
        c.close()


class Crowd:
    """A Margay with few connections, and clients that use and change them between the steps of those that are compared."""

    def __init__(self, server, margay, n=2):
        self.ports, self.others = (server.port, margay.port), [margay.conn() for _ in range(n)]

    def between(self):
        for o in self.others:
            query(o, "SET @@session.sql_mode = 'ANSI'")
            query(o, "DO 1")
            query(o, "SELECT COUNT(*) FROM t")

    def wires(self, *steps, flavours=("classic", "new")):
        for f in flavours:
            alike(self.ports, steps, self.between, f)
