"""Every command byte with empty, short and plausible bodies: what a fresh session is answered, byte by byte, is what a
server answers. What is meant to differ is in OWN, with its reason (doc/PROTOCOL, "Commands")."""
from margaytest import *
from raw import *

BODIES = [b"", b"\0", b"abc", b"SELECT 1", struct.pack("<I", 1) + b"\0" * 20, b"\xff" * 12]
OWN = {
    0x01: "COM_QUIT: the connection ends",
    0x0a: "COM_PROCESS_INFO: sessions of Margay",
    0x0c: "COM_PROCESS_KILL: ids are Margay's too, and the short ones are read as they came",
    0x11: "COM_CHANGE_USER: a conversation of its own (test_auth)",
    0x12: "COM_BINLOG_DUMP: refused by the option first (test_binlog)",
    0x15: "COM_REGISTER_SLAVE: the same",
}
# (command, body): a server reads what is not there
SHORT = {(0x1a, b"abc"): "COM_STMT_RESET without an id", (0x1c, b"abc"): "COM_STMT_FETCH without an id",
         (0x1b, b""): "COM_SET_OPTION without its number", (0x1b, b"\0"): "the same"}


def setup():
    global db, m
    db = replication_set(0, users={"plain": "p"})
    db[0].sql("CREATE TABLE shop.tb (a INT, b VARCHAR(10))", "INSERT INTO shop.tb VALUES (1, 'x')")
    m = Margay(db, users={"plain": {"password": "p"}})


def answers(port, commands, **kw):
    c = Raw(port, "plain", "p", mcaps=kw.pop("mcaps", 0), timeout=60, **kw)
    try:
        return without_early_flags(c.exchange(*commands))
    except (Closed, Silent) as e:
        return type(e).__name__
    finally:
        c.close()


def normal(com, packets):
    if com == 0x16 and isinstance(packets, list):  # ids of statements are each side's own
        return [(q, b"\0ID" + b[5:] if q == 1 and b[:1] == b"\0" else b) for q, b in packets]
    if com == 0x09 and packets != "Closed":  # figures of the server
        return [(q, re.sub(rb"[\d.]+", b"N", b)) for q, b in packets]
    return packets


def differences(kw):
    out = []
    for com in range(256):
        for body in BODIES:
            if com in OWN or (com, body) in SHORT:
                continue
            want, got = [normal(com, answers(p, [bytes([com]) + body], **dict(kw))) for p in (db[0].port, m.port)]
            if got != want:
                out.append("0x%02x %r: got %r, want %r" % (com, body, got, want))
    return out


@limit(400)
def test_every_byte():
    out = differences({})
    ok(not out, "%d differ:\n%s" % (len(out), "\n".join(out)[:6000]))


@limit(400)
def test_every_byte_with_all_capabilities():
    out = differences({"caps_on": CAP_DEPRECATE_EOF | CAP_SESSION_TRACK, "mcaps": MCAP_BULK | MCAP_EXTENDED | MCAP_CACHE})
    ok(not out, "%d differ:\n%s" % (len(out), "\n".join(out)[:6000]))


def test_plausible():
    """One after the other in one session."""
    sid = b"<ID>"
    steps = [b"\x02other", b"\x02shop", b"\x02nowhere", b"\x03SELECT 1", b"\x04tb\0", b"\x04tb\0b%", b"\x04nix\0", b"\x07\0", b"\x0d", b"\x0e", b"\x0etext",
             b"\x16SELECT ?, a FROM tb", b"\x17" + sid + b"\0\1\0\0\0\0\1\x08\0" + b"\1" * 8, b"\x1a" + sid, b"\x1c" + sid + b"\1\0\0\0", b"\x18" + sid + b"\0\0abc",
             b"\x17" + sid + b"\0\1\0\0\0\0\1\xfe\0", b"\x19" + sid, b"\x17" + sid + b"\0\1\0\0\0", b"\x1b\0\0", b"\x03SELECT 1; SELECT 2", b"\x1b\1\0",
             b"\x03SELECT 1; SELECT 2", b"\x1b\2\0", b"\x1f", b"\x1fabc", b"\x03SELECT DATABASE()", b"\x03", b"\x03 ", b"\x03;", b"\x16", b"\x16 "]
    for kw in ({}, {"caps_on": CAP_DEPRECATE_EOF | CAP_SESSION_TRACK, "mcaps": 0}):
        outs = []
        for port in (db[0].port, m.port):
            c, here, out = Raw(port, "plain", "p", **kw), b"", []
            for s in steps:
                got = c.exchange(s.replace(sid, here))
                here = got[0][1][1:5] if s[0] == 0x16 and got[0][1][:1] == b"\0" else here
                shown = b"(%d)" % struct.unpack("<I", here or b"\0\0\0\0")
                out.append((s, [(q, b.replace(shown, b"(ID)")) for q, b in normal(s[0], without_early_flags(got))]))
            outs.append(out)
            c.close()
        for (s, w), (_, g) in zip(*outs):
            for i in range(max(len(g), len(w))):
                eq(g[i:i + 1], w[i:i + 1], "%r %s, packet %d" % (s, kw, i))


if __name__ == '__main__':
    main()
