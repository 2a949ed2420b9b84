"""peer_sha2: a server whose accounts have caching_sha2_password, for tests (see peer.py). No server of Debian has that method:
this one is written from the protocol's pages (dev.mysql.com, "Caching_sha2_password information"; mariadb.com/kb, the page of the
same name), and libmariadb's plug-in logs in to it in t/sys/test_auth_server.py. Statements are relayed to a real server, where
the accounts have mysql_native_password."""
import hashlib
import os
import select
import socket
import ssl
import subprocess

from peer_server import *
from peer_wire import *

SHA2 = b"caching_sha2_password"
SCRAMBLE2 = b"klmnopqrstKLMNOPQRST"


def sha256(b):
    return hashlib.sha256(b).digest()


def sha2_token(password, scramble):
    key1 = sha256(password)
    return bytes(a ^ b for a, b in zip(key1, sha256(sha256(key1) + scramble)))


def rsa_pair(directory, bits=2048):
    """(secret key file, public key file)"""
    at = "%s/rsa%d-%d" % (directory, bits, len(os.listdir(directory)))
    for words in (["genrsa", "-out", at, str(bits)], ["rsa", "-in", at, "-pubout", "-out", at + ".pub"]):
        subprocess.run(["openssl"] + words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return at, at + ".pub"


def rsa_open(key, sealed):
    r = subprocess.run(["openssl", "pkeyutl", "-decrypt", "-inkey", key, "-pkeyopt", "rsa_padding_mode:oaep"], input=sealed,
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return r.stdout if r.returncode == 0 else None


class Sha2Server(FakeServer):
    """accounts: {name: password} that log in with caching_sha2_password here; others as the upstream wants.
    rsa: (secret, public) key files; tls: (certificate, key) files; names_it: the greeting names the method.
    known: whom it remembers; steps: what was done for whom, in order: (name, word)."""

    def __init__(self, upstream, accounts, rsa, tls=None, names_it=False):
        self.accounts, self.rsa, self.names_it = accounts, rsa, names_it
        self.known, self.steps, self.tls, self.gives = set(), [], None, None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        super().__init__(upstream=upstream)

    def _greet(self, p, g):
        """Sends the upstream's greeting as ours; its scramble."""
        at = g.index(0, 1) + 1
        low = at + 13
        caps = int.from_bytes(g[low:low + 2], "little") & ~CAP_COMPRESS & ~CAP_SSL | (CAP_SSL if self.tls else 0)
        out = g[:low] + struct.pack("<H", caps) + g[low + 2:]
        if self.names_it:
            out = out[:out.rindex(NATIVE)] + SHA2 + b"\0"
        p.send(packet(out, 0))
        tail = low + 2 + 1 + 2 + 2 + 1 + 10
        return g[at + 4:at + 12] + g[tail:tail + 12]

    def _relay(self, p, up):
        try:
            self._relay_all(p, up)
        finally:
            self.socks.discard(p.s)  # the one that TLS has wrapped
            p.s.close()

    def _relay_all(self, p, up):
        scramble = self._greet(p, up.read())
        body = p.read()
        if self.tls and int.from_bytes(body[:4], "little") & CAP_SSL:
            p.s = self.tls.wrap_socket(p.s, server_side=True)
            self.socks.add(p.s)
            body = p.read()
        end = body.index(0, 32)
        name = body[32:end].decode()
        if name in self.accounts:
            n = body[end + 1]
            rest = body[end + 2 + n:]
            at = 0
            if int.from_bytes(body[:4], "little") & CAP_DB:
                at = rest.index(0) + 1
            method, _, tail = rest[at:].partition(b"\0")
            self._judge(p, name, method, body[end + 2:end + 2 + n], scramble)
            token = native_token(self.accounts[name], scramble)
            body = body[:end + 1] + bytes([len(token)]) + token + rest[:at] + NATIVE + b"\0" + tail
        caps = int.from_bytes(body[:4], "little") & ~CAP_SSL
        up.send(packet(struct.pack("<I", caps) + body[4:], 1))
        if name in self.accounts:
            p.put(up.read())  # OK, in our sequence
        self._pump(p, up)

    def _judge(self, p, name, method, token, scramble):
        """Ends the connection unless it is who it says."""
        password = self.accounts[name].encode()
        if method != SHA2:
            scramble = SCRAMBLE2
            p.put(b"\xfe" + SHA2 + b"\0" + SCRAMBLE2 + b"\0")
            token = p.read()
        if token in (b"", b"\0"):
            self._is(p, name, not password, "empty")
        elif name in self.known and token == sha2_token(password, scramble):
            self.steps.append((name, "known"))
            p.put(b"\1\3")
        else:
            p.put(b"\1\4")
            self._full(p, name, password, scramble)
            self.known.add(name)

    def _full(self, p, name, password, scramble):
        got = p.read()
        if isinstance(p.s, ssl.SSLSocket):
            self._is(p, name, got == password + b"\0", "clear")
            return
        word = "rsa"
        if got == b"\2":
            word = "asked-rsa"
            p.put(b"\1" + (self.gives if self.gives is not None else open(self.rsa[1], "rb").read()))
            got = p.read()
        plain = rsa_open(self.rsa[0], got) or b"?"
        plain = bytes(c ^ scramble[i % 20] for i, c in enumerate(plain))
        self._is(p, name, plain == password + b"\0", word)

    def _is(self, p, name, right, word):
        self.steps.append((name, word if right else "wrong-" + word))
        if not right:
            p.put(err_body(1045, b"Access denied for user '%s'@'peer' (using password: YES)" % name.encode(), b"#28000"))
            raise Stop

    def _pump(self, p, up):
        while True:
            ready = select.select([p.s, up.s], [], [])[0]
            for a, b in ((p.s, up.s), (up.s, p.s)):
                while a in ready:
                    data = a.recv(65536)
                    if not data:
                        return
                    b.sendall(data)
                    if not getattr(a, "pending", int)():
                        break
