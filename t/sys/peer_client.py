"""peer_client: the scripted client's cases and what decides about their outcomes (see peer.py)."""
import fnmatch
import random
import select
import socket
import struct
import threading
import time

from peer_wire import *

CLOSED, ERR_CLOSED, ERR, USABLE, GONE, SILENT = "closed", "err-closed", "err", "usable", "gone", "silent"
REFUSED = {CLOSED, ERR_CLOSED}      # not let in, or thrown out
ANSWERED = {ERR, USABLE}            # the session goes on
ANY = REFUSED | ANSWERED            # all that is asked is an answer


class Case:
    def __init__(self, name, fn, right, phase, waits, heavy):
        self.name, self.fn, self.right, self.phase = name, fn, right, phase
        self.waits, self.heavy = waits, heavy


class Result:
    def __init__(self, case, outcome, detail, alive):
        self.name, self.outcome, self.detail, self.alive = case.name, outcome, detail, alive
        self.expected = sorted(case.right)
        self.right = outcome in case.right and alive

    def __repr__(self):
        return "%-4s %-28s %-10s expected %-28s %s%s" % (
            "ok" if self.right else "FAIL", self.name, self.outcome, "|".join(self.expected),
            self.detail, "" if self.alive else " NO LOGIN AFTERWARDS")


CASES = []


def case(name, right, waits=False, heavy=False, **param):
    """Declares a case. Names begin with hs- (fn gets a connection that has read the greeting) or cmd- (logged in).
    fn sends; it returns None when an answer is due, False when none is (then the marker follows at once), GONE
    after closing."""
    def deco(fn):
        phase = name.split("-")[0]
        CASES.append(Case(name, (lambda c, r: fn(c, r, **param)) if param else fn, set(right), phase, waits, heavy))
        return fn
    return deco


def settle_login(c):
    """What comes of bytes sent in place of a login."""
    try:
        c.after_login()
    except LoginError as e:
        if e.body[:1] != b"\xff":
            return CLOSED, str(e)
        code = int.from_bytes(e.body[1:3], "little")
        try:
            while True:
                c.read_packet()
        except Closed:
            return ERR_CLOSED, "error %d" % code
        except Silent:
            return SILENT, "error %d, but not closed" % code
    except Closed as e:
        return CLOSED, str(e)
    c.marker()
    return USABLE, ""


def settle_command(c, reply_due):
    """What comes of bytes sent in place of a command. The reply is read before the marker is sent: to send to a peer
    that closes would throw its last words away."""
    detail, err = "", False
    try:
        if reply_due:
            _, b = c.read_packet()
            if b[:1] == b"\xff":
                err, detail = True, "error %d" % int.from_bytes(b[1:3], "little")
        c.marker()
    except Closed:
        return (ERR_CLOSED if err else CLOSED), detail
    return (ERR if err else USABLE), detail


def run_case(case, target, rng, deadline=10):
    """(outcome, detail) of one case on a connection of its own."""
    try:
        c = Conn(target, deadline)
    except OSError as e:
        return CLOSED, "connect: %s" % e
    try:
        if case.phase == "cmd":
            c.login()
        else:
            c.read_greeting()
        done = case.fn(c, rng)
        if done is GONE:
            return GONE, ""
        return settle_login(c) if case.phase == "hs" else settle_command(c, done is None)
    except Silent as e:
        return SILENT, str(e)
    except Closed as e:
        return CLOSED, str(e)
    except ConnectionResetError:
        return CLOSED, "reset"
    finally:
        c.close()


def run_cases(target, only=None, seed=None, login_timeout=None, heavy=False, alive=True, deadline=10):
    """Yields a Result for each case whose name contains `only` (or matches it as a glob)."""
    seed = random.randrange(1 << 32) if seed is None else seed
    chosen = [k for k in CASES if not only or only in k.name or fnmatch.fnmatch(k.name, only)]
    for k in chosen:
        if k.waits or (k.heavy and not heavy):
            continue
        outcome, detail = run_case(k, target, random.Random("%d %s" % (seed, k.name)), deadline)
        if "random" in k.name:
            detail = ("%s seed %d" % (detail, seed)).strip()
        yield Result(k, outcome, detail, not alive or target.alive())
    if login_timeout is not None:
        yield from run_waiting([k for k in chosen if k.waits], target, login_timeout)


def run_waiting(cases, target, login_timeout):
    """The cases that leave the peer waiting, all at once; meanwhile others must be served."""
    got = {}

    def one(k):
        got[k] = run_case(k, target, random.Random(0), login_timeout + 10)

    threads = [threading.Thread(target=one, args=(k,), daemon=True) for k in cases]
    for t in threads:
        t.start()
    served = target.alive()
    for t in threads:
        t.join()
    for k in cases:
        yield Result(k, got[k][0], got[k][1], served)


def silent_crowd(target, n):
    """n connections that say nothing."""
    return [Conn(target, 60) for _ in range(n)]


def wait_closed(crowd, timeout):
    """How many of them the peer closed within `timeout` seconds; closes all."""
    p = select.poll()
    left = {c.s.fileno(): c for c in crowd}
    for fd in left:
        p.register(fd, select.POLLIN)
    end = time.monotonic() + timeout
    while left and time.monotonic() < end:
        for fd, _ in p.poll(max(0, (end - time.monotonic()) * 1000)):
            try:
                closed = not left[fd].s.recv(65536)
            except ConnectionResetError:
                closed = True
            if closed:
                p.unregister(fd)
                del left[fd]
    for c in crowd:
        c.close()
    return len(crowd) - len(left)


# ---- handshakes that are wrong

@case("hs-right", {USABLE})
def _(c, r):
    c.send(packet(c.response(), 1))


@case("hs-byte-by-byte", {USABLE})
def _(c, r):
    for b in packet(c.response(), 1):
        c.send(bytes([b]))


@case("hs-close-at-once", {GONE})
def _(c, r):
    c.close()
    return GONE


@case("hs-reset-at-once", {GONE})
def _(c, r):
    c.close(reset=True)
    return GONE


@case("hs-silence", REFUSED, waits=True, n=0)
@case("hs-half-header", REFUSED, waits=True, n=2)
@case("hs-header-only", REFUSED, waits=True, n=4)
@case("hs-half-body", REFUSED, waits=True, n=40)
def _(c, r, n):
    c.send(packet(c.response(), 1)[:n])


@case("hs-length-too-long", REFUSED, waits=True)
def _(c, r):
    b = c.response()
    c.send(packet(b, 1, len(b) + 1))


@case("hs-half-body-close", {GONE})
def _(c, r):
    c.send(packet(c.response(), 1)[:50])
    c.close()
    return GONE


@case("hs-length-too-short", REFUSED)
def _(c, r):
    c.send(packet(c.response(), 1, 40))


@case("hs-huge-length", REFUSED, waits=True)
def _(c, r):
    c.send(packet(c.response() + b"a" * 4000, 1, MAX_BODY))


@case("hs-endless", REFUSED, heavy=True)
def _(c, r):
    chunk = packet(b"a" * 65532, 1, MAX_BODY)
    for _ in range(600):
        c.send(chunk)


@case("hs-empty-packet", REFUSED)
def _(c, r):
    c.send(packet(b"", 1))


@case("hs-seq-0", REFUSED, seq=0)
@case("hs-seq-2", REFUSED, seq=2)
@case("hs-seq-255", REFUSED, seq=255)
def _(c, r, seq):
    c.send(packet(c.response(), seq))


def _cuts():
    """The response with its header telling the truth, cut after n bytes; all are incomplete."""
    def cut(c, r, n):
        c.send(packet(c.response()[:n], 1))
    for n in (1, 2, 3, 4, 5, 8, 9, 31, 32, 33, 34):
        case("hs-cut-%d" % n, REFUSED, n=n)(cut)
    for n in (1, 2, 5, 10, 17, 20, 30, 40, 45, 50, 60):
        case("hs-cut-end-%d" % n, REFUSED, n=-n)(cut)


_cuts()


@case("hs-auth-length-255", REFUSED, caps_off=CAP_LENENC, auth=b"\xff" + b"x" * 20)
@case("hs-auth-beyond-end", REFUSED, auth=b"\xfc\xff\xff" + b"x" * 20)
@case("hs-auth-16M", REFUSED, auth=b"\xfd\xff\xff\xff" + b"x" * 20)
@case("hs-auth-2^64", REFUSED, auth=b"\xfe" + b"\xff" * 8 + b"x" * 20)
@case("hs-auth-2^63", REFUSED, auth=b"\xfe" + b"\0" * 7 + b"\x80" + b"x" * 20)
@case("hs-auth-2^32+20", REFUSED, auth=b"\xfe\x14\0\0\0\1\0\0\0" + b"x" * 20)
@case("hs-auth-null", REFUSED, auth=b"\xfb" + b"x" * 20)
@case("hs-auth-ff", REFUSED, auth=b"\xff" + b"x" * 20)
@case("hs-auth-1-byte", REFUSED, auth=lstr(b"x"))
@case("hs-auth-19-bytes", REFUSED, auth=lstr(b"x" * 19))
@case("hs-auth-21-bytes", REFUSED, auth=lstr(b"x" * 21))
@case("hs-auth-5000-bytes", REFUSED, auth=lstr(b"x" * 5000))
@case("hs-auth-zeros", REFUSED, auth=lstr(b"\0" * 20))
@case("hs-user-10000", REFUSED, user=b"u" * 10000 + b"\0")
@case("hs-user-60000", REFUSED, user=b"u" * 60000 + b"\0")
@case("hs-user-control-bytes", REFUSED, user=b"\n\r\x1b[2J<0>\xff\xfe%n%s\0")
@case("hs-user-unknown", REFUSED, user=b"no-such-user\0")
@case("hs-db-10000", REFUSED, db=b"d" * 10000 + b"\0")
@case("hs-db-60000", REFUSED, db=b"d" * 60000 + b"\0")
@case("hs-db-unknown", REFUSED, db=b"no such db`'\"\0")
@case("hs-db-missing", REFUSED, db=b"", plugin=b"", attrs=b"")
@case("hs-db-control-bytes", REFUSED, db=b"\x01\n\x80\xff\0")
@case("hs-db-empty", {USABLE}, db=b"\0")
@case("hs-plugin-5000", REFUSED | {USABLE}, plugin=b"p" * 5000 + b"\0")
@case("hs-plugin-empty", {USABLE}, plugin=b"\0")
@case("hs-plugin-control", REFUSED | {USABLE}, plugin=b"\xff\n\x1b\0")
@case("hs-plugin-unknown", {USABLE}, plugin=b"no_such_plugin\0")
@case("hs-attrs-missing", REFUSED, attrs=b"")
@case("hs-attrs-2^64", REFUSED, attrs=b"\xfe" + b"\xff" * 8 + b"\4abcd")
@case("hs-attrs-beyond-end", REFUSED, attrs=b"\xfc\xff\xff\4abcd")
@case("hs-attrs-null", REFUSED | {USABLE}, attrs=b"\xfb\4abcd")
@case("hs-attrs-garbage", ANY, attrs=lstr(b"\xfe" + b"\xff" * 8 + b"abc"))
@case("hs-attrs-odd", ANY, attrs=lstr(lstr(b"name only")))
@case("hs-attrs-60000", ANY, attrs=lstr(lstr(b"a") + lstr(b"b" * 60000)))
@case("hs-attrs-many", ANY, attrs=lstr(b"".join(lstr(b"k%d" % i) + lstr(b"v") for i in range(8000))))
@case("hs-trailing-bytes", ANY, attrs=lstr(b"") + b"z" * 100)
@case("hs-caps-0", REFUSED, caps=0)
@case("hs-caps-no-41", REFUSED, caps_off=CAP_41)
@case("hs-caps-only-41", REFUSED | {USABLE}, caps=CAP_41)
@case("hs-caps-all", ANY, caps=0xffffffff & ~CAP_SSL & ~CAP_COMPRESS)
@case("hs-caps-ssl-bit", ANY, caps_on=CAP_SSL)
@case("hs-charset-0", ANY, charset=0)
@case("hs-charset-255", ANY, charset=255)
@case("hs-charset-ucs2", ANY, charset=35)
@case("hs-max-packet-0", {USABLE}, max_packet=0)
@case("hs-filler-ff", ANY, fill=b"\xff" * 23)
@case("hs-no-plugin-auth", {USABLE}, caps_off=CAP_PLUGIN_AUTH)
@case("hs-no-attrs", {USABLE}, caps_off=CAP_ATTRS)
@case("hs-one-byte-auth", {USABLE}, caps_off=CAP_LENENC)
def _(c, r, **change):
    c.send(packet(c.response(**change), 1))


@case("hs-user-without-nul", REFUSED)
def _(c, r):
    c.send(packet(c.response()[:32] + b"someone", 1))


@case("hs-before-4.1", REFUSED)
def _(c, r):
    c.send(packet(b"\x85\x24\0\0\0" + c.target.user.encode() + b"\0_]QDsR\\C\0", 1))


@case("hs-wrong-password", {ERR_CLOSED})
def _(c, r):
    c.send(packet(c.response(auth=lstr(native_token("not the password", c.scramble))), 1))


@case("hs-no-password", {ERR_CLOSED})
def _(c, r):
    c.send(packet(c.response(auth=b"\0"), 1))


@case("hs-switch-garbage", REFUSED, answer=b"\xff" * 77)
@case("hs-switch-empty", REFUSED, answer=b"")
@case("hs-switch-64k", REFUSED, answer=b"x" * 65536)
def _(c, r, answer):
    """A method that needs a switch, then no proper answer to it."""
    c.send(packet(c.response(plugin=b"no_such_plugin\0", auth=b"\0"), 1))
    seq, b = c.read_packet()
    if b[:1] != b"\xfe":
        raise LoginError(b)
    c.send(packet(answer, seq + 1))


@case("hs-switch-silence", REFUSED, waits=True)
def _(c, r):
    c.send(packet(c.response(plugin=b"no_such_plugin\0", auth=b"\0"), 1))
    c.read_packet()


@case("hs-ssl-request-garbage", REFUSED)
def _(c, r):
    """An SSLRequest, then no TLS."""
    c.send(packet(c.response(caps_on=CAP_SSL)[:32], 1))
    c.send(packet(c.response(caps_on=CAP_SSL), 2) + b"\xff" * 100)


@case("hs-command-first", REFUSED)
def _(c, r):
    c.send(packet(bytes([COM_QUERY]) + b"SELECT 1", 0))


@case("hs-pipelined-query", {USABLE})
def _(c, r):
    """Login and the first command in one segment."""
    c.send(packet(c.response(), 1) + packet(bytes([COM_PING]), 0))


@case("hs-http", REFUSED, data=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
@case("hs-tls", REFUSED, data=b"\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03" + b"\x55" * 241)
@case("hs-ssh", REFUSED, data=b"SSH-2.0-OpenSSH_9.2p1\r\n")
@case("hs-proxy-v1", REFUSED, data=b"PROXY TCP4 10.0.0.1 10.0.0.2 5000 3306\r\n")
@case("hs-proxy-v2", REFUSED, data=b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + b"\x7f\0\0\1" * 2 + b"\1\2\3\4")
def _(c, r, data):
    c.send(data)
    c.end_writing()


@case("hs-random-packet", REFUSED)
def _(c, r):
    c.send(packet(r.randbytes(r.randrange(1, 400)), 1))


@case("hs-random-tail", ANY)
def _(c, r):
    c.send(packet(c.response()[:32] + r.randbytes(r.randrange(1, 400)), 1))
    c.end_writing()


@case("hs-random-flips", ANY)
def _(c, r):
    b = bytearray(packet(c.response(), 1))
    for _ in range(r.randrange(1, 8)):
        b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    c.send(bytes(b))
    c.end_writing()


# ---- commands that are wrong

@case("cmd-right", {USABLE})
def _(c, r):
    c.command(COM_PING)


@case("cmd-empty-packet", REFUSED | {ERR})
def _(c, r):
    c.send(packet(b"", 0))


@case("cmd-seq-1", REFUSED, seq=1)
@case("cmd-seq-255", REFUSED, seq=255)
def _(c, r, seq):
    c.command(COM_PING, seq=seq)


@case("cmd-unknown-0x60", REFUSED | {ERR}, com=0x60)
@case("cmd-unknown-0xff", REFUSED | {ERR}, com=0xff)
@case("cmd-unknown-0xf0", REFUSED | {ERR}, com=0xf0)
@case("cmd-sleep", REFUSED | {ERR}, com=0)
@case("cmd-query-empty", {ERR}, com=COM_QUERY)
@case("cmd-query-nul", {ERR}, com=COM_QUERY, body=b"\0\0\0")
@case("cmd-query-nul-inside", {ERR}, com=COM_QUERY, body=b"SELECT \0 1")
@case("cmd-query-bad-utf8", ANSWERED, com=COM_QUERY, body=b"SELECT '\xff\xfe\x80'")
@case("cmd-query-control", {ERR}, com=COM_QUERY, body=b"\n\x1b[2J<0>%n%s\x01")
@case("cmd-query-open-string", {ERR}, com=COM_QUERY, body=b"SELECT 'abc")
@case("cmd-query-open-comment", {ERR}, com=COM_QUERY, body=b"SELECT 1 /* abc")
@case("cmd-query-parens", {ERR}, com=COM_QUERY, body=b"SELECT " + b"(" * 20000)
@case("cmd-query-spaces", {ERR}, com=COM_QUERY, body=b" " * 60000)
@case("cmd-init-db-empty", {ERR, ERR_CLOSED, CLOSED}, com=COM_INIT_DB)
@case("cmd-init-db-60000", {ERR, ERR_CLOSED, CLOSED}, com=COM_INIT_DB, body=b"d" * 60000)
@case("cmd-init-db-nul", {ERR, ERR_CLOSED, CLOSED}, com=COM_INIT_DB, body=b"no\0such\0db")
@case("cmd-field-list-empty", ANY, com=COM_FIELD_LIST)
@case("cmd-field-list-no-nul", ANY, com=COM_FIELD_LIST, body=b"no_such_table")
@case("cmd-field-list-60000", ANY, com=COM_FIELD_LIST, body=b"t" * 60000)
@case("cmd-kill-cut", ANY, com=COM_PROCESS_KILL, body=b"\1\2")
@case("cmd-kill-unknown", ANY, com=COM_PROCESS_KILL, body=b"\xfe\xff\xff\x7f")
@case("cmd-change-user-cut", REFUSED | {ERR}, com=COM_CHANGE_USER, body=b"someone")
@case("cmd-change-user-auth-255", REFUSED | {ERR}, com=COM_CHANGE_USER, body=b"someone\0\xffabc")
@case("cmd-change-user-empty", ANY, com=COM_CHANGE_USER)
@case("cmd-change-user-no-db-nul", REFUSED | {ERR}, com=COM_CHANGE_USER, body=b"someone\0\0shop")
@case("cmd-change-user-no-attrs", REFUSED | {ERR}, com=COM_CHANGE_USER, body=b"someone\0\0shop\0\x2d\0" + NATIVE + b"\0")
@case("cmd-change-user-attrs-cut", REFUSED | {ERR}, com=COM_CHANGE_USER,
      body=b"someone\0\0shop\0\x2d\0" + NATIVE + b"\0\x40abc")
@case("cmd-change-user-ucs2", {ERR}, com=COM_CHANGE_USER, body=b"someone\0\0shop\0\x23\0" + NATIVE + b"\0\0")
@case("cmd-prepare-empty", {ERR}, com=COM_PREPARE)
@case("cmd-prepare-bad", {ERR}, com=COM_PREPARE, body=b"SELEC ?")
@case("cmd-execute-empty", REFUSED | {ERR}, com=COM_EXECUTE)
@case("cmd-execute-cut-3", REFUSED | {ERR}, com=COM_EXECUTE, body=b"\1\0\0")
@case("cmd-execute-cut-8", REFUSED | {ERR}, com=COM_EXECUTE, body=b"\1\0\0\0\0\1\0\0")
@case("cmd-execute-unknown", {ERR}, com=COM_EXECUTE, body=b"\x77\x77\x77\x77\0\1\0\0\0")
@case("cmd-reset-empty", REFUSED | {ERR}, com=COM_RESET)
@case("cmd-reset-unknown", {ERR}, com=COM_RESET, body=b"\x77\x77\x77\x77")
@case("cmd-fetch-empty", REFUSED | {ERR}, com=COM_FETCH)
@case("cmd-fetch-cut", REFUSED | {ERR}, com=COM_FETCH, body=b"\1\0\0\0\1")
@case("cmd-fetch-unknown", {ERR}, com=COM_FETCH, body=b"\x77\x77\x77\x77\1\0\0\0")
@case("cmd-set-option-empty", ANY, com=COM_SET_OPTION)
@case("cmd-set-option-77", {ERR, ERR_CLOSED, CLOSED}, com=COM_SET_OPTION, body=b"\x4d\0")
@case("cmd-quit-with-bytes", {CLOSED}, com=COM_QUIT, body=b"and more")
def _(c, r, com, body=b""):
    c.command(com, body)


@case("cmd-close-empty", ANY, com=COM_CLOSE)
@case("cmd-close-cut", ANY, com=COM_CLOSE, body=b"\1\0")
@case("cmd-close-unknown", {USABLE}, com=COM_CLOSE, body=b"\x77\x77\x77\x77")
@case("cmd-long-data-empty", ANY, com=COM_LONG_DATA)
@case("cmd-long-data-cut", ANY, com=COM_LONG_DATA, body=b"\1\0\0\0\0")
@case("cmd-long-data-unknown", {USABLE}, com=COM_LONG_DATA, body=b"\x77\x77\x77\x77\0\0abc")
def _(c, r, com, body=b""):
    c.command(com, body)
    return False  # no answer to these


@case("cmd-execute-no-null-map", REFUSED | {ERR}, tail=b"")
@case("cmd-execute-no-bound-flag", REFUSED | {ERR}, tail=b"\0")
@case("cmd-execute-types-missing", REFUSED | {ERR}, tail=b"\0\1")
@case("cmd-execute-types-cut", REFUSED | {ERR}, tail=b"\0\1\x08\0\xfd")
@case("cmd-execute-no-types-ever", REFUSED | {ERR}, tail=b"\0\0" + b"\1\0\0\0\0\0\0\0" + b"\1a")
@case("cmd-execute-values-missing", REFUSED | {ERR}, tail=b"\0\1\x08\0\xfd\0")
@case("cmd-execute-value-cut", REFUSED | {ERR}, tail=b"\0\1\x08\0\xfd\0\1\0\0")
@case("cmd-execute-string-2^64", ANY, tail=b"\0\1\x08\0\xfd\0" + b"\1\0\0\0\0\0\0\0" + b"\xfe" + b"\xff" * 8)
@case("cmd-execute-string-beyond", ANY, tail=b"\0\1\x08\0\xfd\0" + b"\1\0\0\0\0\0\0\0" + b"\xfd\0\0\1abc")
@case("cmd-execute-unknown-type", REFUSED | ANSWERED, tail=b"\0\1\x55\0\x66\0" + b"\1\0\0\0\0\0\0\0" + b"\1a")
@case("cmd-execute-both-null", {USABLE}, tail=b"\3\1\x08\0\xfd\0")
def _(c, r, tail):
    """EXECUTE of a statement with two parameters: a bigint and a string."""
    sid = c.prepare("SELECT ?, ?")
    c.command(COM_EXECUTE, struct.pack("<IBI", sid, 0, 1) + tail)


CHANGE = b"someone\0\0shop\0\x2d\0" + NATIVE + b"\0\0"


@case("cmd-change-user-wrong", {ERR}, answer=b"x" * 20)
@case("cmd-change-user-short", REFUSED | {ERR}, answer=b"xyz")
@case("cmd-change-user-long", REFUSED | {ERR}, answer=b"x" * 60000)
@case("cmd-change-user-other-seq", REFUSED, answer=b"x" * 20, seq=7)
@case("cmd-change-user-command", REFUSED, answer=bytes([COM_PING]), seq=0)
def _(c, r, answer, seq=2):
    c.command(COM_CHANGE_USER, CHANGE)
    c.read_packet()
    c.send(packet(answer, seq))


@case("cmd-change-user-close", {GONE})
def _(c, r):
    c.command(COM_CHANGE_USER, CHANGE)
    c.read_packet()
    c.close()
    return GONE


@case("cmd-half-packet-close", {GONE})
def _(c, r):
    c.send(packet(bytes([COM_QUERY]) + b"SELECT 1", 0)[:9])
    c.close()
    return GONE


@case("cmd-huge-length-close", {GONE})
def _(c, r):
    c.send(packet(bytes([COM_QUERY]) + b"SELECT 1", 0, MAX_BODY))
    c.close()
    return GONE


@case("cmd-reset-while-busy", {GONE})
def _(c, r):
    c.command(COM_QUERY, b"SELECT 1 FROM seq_1_to_200000")
    c.close(reset=True)
    return GONE


@case("cmd-stops-reading", {GONE}, heavy=True)
def _(c, r):
    c.command(COM_QUERY, b"SELECT REPEAT('x', 1000) FROM seq_1_to_200000")
    c.fill()
    c.close()
    return GONE


@case("cmd-pipelined", {USABLE})
def _(c, r):
    """50 queries in one segment: 50 answers, in order."""
    c.send(b"".join(packet(bytes([COM_QUERY]) + b"SELECT 'pipe%d'" % i, 0) for i in range(50)))
    for i in range(50):
        c.read_until(b"\x00\x00" if i < 0 else b"pipe%d" % i)
        c.buf = c.buf[c.buf.index(b"pipe%d" % i):]
    return False


@case("cmd-pipelined-then-garbage", REFUSED | {ERR})
def _(c, r):
    c.send(packet(bytes([COM_PING]), 0) + packet(b"\xff\xff\xff\xff", 0))
    c.read_packet()


@case("cmd-16M-query", {USABLE, ERR, ERR_CLOSED}, heavy=True, extra=0)
@case("cmd-16M+1-query", {USABLE, ERR, ERR_CLOSED}, heavy=True, extra=1)
def _(c, r, extra):
    """A body of exactly 2^24-1 bytes is followed by an empty packet."""
    text = b"SELECT LENGTH('" + b"a" * (MAX_BODY - 1 - 17 + extra) + b"')"
    c.send(long_packets(bytes([COM_QUERY]) + text, 0))


@case("cmd-16M-wrong-seq", REFUSED, heavy=True)
def _(c, r):
    c.send(packet(bytes([COM_QUERY]) + b"a" * (MAX_BODY - 1), 0) + packet(b"rest", 9))


# Commands that stop the server, dump its logs, or have no reply to wait for are not drawn by chance.
SAFE_COMS = [k for k in range(256) if k not in (1, 8, 13, 18, 21, 24, 25, 29, 30)]


@case("cmd-random-bodies", ANY)
def _(c, r):
    c.command(r.choice(SAFE_COMS), r.randbytes(r.randrange(200)))


@case("cmd-random-executes", ANY)
def _(c, r):
    sid = c.prepare("SELECT ?, ?, ?")
    c.command(COM_EXECUTE, struct.pack("<IBI", sid, 0, 1) + r.randbytes(r.randrange(80)))


@case("cmd-random-stream", REFUSED | {GONE})
def _(c, r):
    c.send(b"\x05" + r.randbytes(3000)[1:])
    c.close()
    return GONE
