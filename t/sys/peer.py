#!/usr/bin/python3
"""peer: scripted MySQL peers that send broken bytes: a client and a server. Standard library only.

It owns its sockets and threads, nothing else; it may not sleep where it can wait for a byte. Used by the tests
of whole processes (import peer), and by hand.

Client: connects to a server or proxy, does one wrong thing per connection, and says what came of it.

    peer.py client 127.0.0.1:3306 --user app --password secret [--db d] [--only WORD] [--login-timeout 3]
                   [--heavy] [--seed N] [--list]

  Each case has a name, and a set of outcomes that are right:
    closed      the peer closed the connection without a word
    err-closed  an ERR packet, then closed
    err         an ERR packet, and the session goes on: a marker query was answered
    usable      no ERR, and the session goes on
    gone        the case itself closes the connection; all that is asked is that the peer lives on
    silent      nothing until the deadline: never right
  After each case a fresh login must work (--no-alive leaves that out). Cases marked "waits" leave the peer
  waiting; they run only with --login-timeout, the limit after which the peer is expected to close, side by side.
  Cases marked "heavy" send tens of megabytes; they run only with --heavy. Random cases print their seed.
  Exit status: 0 all right, 1 some wrong, 2 usage.

    import peer
    target = peer.Target("127.0.0.1", 3306, "app", "secret")     # or Target("/path/to.sock", None, ...)
    for r in peer.run_cases(target, login_timeout=3): assert r.right, r
    crowd = peer.silent_crowd(target, 300); peer.wait_closed(crowd, 10)  # number closed by the peer

Server: listens on loopback and plays a script on every connection that it accepts.

    peer.py server SCRIPT [--port N] [--upstream 127.0.0.1:3307] [--times N] [--list]     prints "listening PORT"

  Without an upstream it is a whole fake server: it greets, accepts any password, answers each query with one row
  (1), unless the script breaks that: scripts "greet-*" break the greeting, "login-*" the login, "reply-*" the
  answer to each query. With an upstream it relays to a real server, so that health checks and ordinary queries
  work, and breaks only
    - the answer to a query that contains peer:NAME, for example  SELECT 1 /*peer:reply-cut-row*/
    - the greeting or login of the next connections, when set:  srv.play("greet-err-1040", times=2)

    srv = peer.FakeServer("reply-never")               # srv.port; with srv: ... or srv.close()
    srv = peer.FakeServer(upstream=("127.0.0.1", 3307)); srv.play("login-switch-unknown", times=1)
    srv.connections, srv.queries, srv.played           # what came in; names of the scripts that were played
"""
import argparse
import os
import random
import sys

from peer_client import *
from peer_server import *


def address(text):
    if "/" in text:
        return text, None
    host, _, port = text.rpartition(":")
    return host or "127.0.0.1", int(port)


def main_client(a):
    if a.list:
        for k in CASES:
            print("%-28s %-28s%s%s" % (k.name, "|".join(sorted(k.right)), " waits" if k.waits else "",
                                       " heavy" if k.heavy else ""))
        return 0
    if not a.address:
        print("peer.py client: an address is needed", file=sys.stderr)
        return 2
    seed = a.seed if a.seed is not None else random.randrange(1 << 32)
    print("seed %d" % seed)
    host, port = address(a.address)
    target = Target(host, port, a.user, a.password, a.db)
    wrong = n = 0
    for res in run_cases(target, a.only, seed, a.login_timeout, a.heavy, not a.no_alive):
        n, wrong = n + 1, wrong + (not res.right)
        if a.verbose or not res.right:
            print(res, flush=True)
    print("%d cases, %d wrong" % (n, wrong))
    return 1 if wrong or not n else 0


def main_server(a):
    if a.list:
        print("\n".join(SCRIPTS))
        return 0
    try:
        srv = FakeServer(a.script, address(a.upstream) if a.upstream else None, a.port, times=a.times)
    except KeyError:
        print("peer.py server: no script %r (see --list)" % a.script, file=sys.stderr)
        return 2
    print("listening %d" % srv.port, flush=True)
    try:
        srv.acceptor.join()
    except KeyboardInterrupt:
        srv.close()
    return 0


def main():
    ap = argparse.ArgumentParser(description="scripted MySQL peers that send broken bytes")
    sub = ap.add_subparsers(dest="what", required=True)
    c = sub.add_parser("client")
    c.add_argument("address", nargs="?")
    c.add_argument("--user", default="root")
    c.add_argument("--password", default=os.environ.get("PEER_PASSWORD", ""))
    c.add_argument("--db", default="")
    c.add_argument("--only")
    c.add_argument("--seed", type=int)
    c.add_argument("--login-timeout", type=float)
    c.add_argument("--heavy", action="store_true")
    c.add_argument("--no-alive", action="store_true")
    c.add_argument("--list", action="store_true")
    c.add_argument("-v", "--verbose", action="store_true")
    s = sub.add_parser("server")
    s.add_argument("script", nargs="?")
    s.add_argument("--port", type=int, default=0)
    s.add_argument("--upstream")
    s.add_argument("--times", type=int)
    s.add_argument("--list", action="store_true")
    a = ap.parse_args()
    return main_client(a) if a.what == "client" else main_server(a)


if __name__ == "__main__":
    sys.exit(main())
