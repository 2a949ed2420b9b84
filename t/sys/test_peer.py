#!/usr/bin/python3 -B
"""The scripted peers themselves: the client's expectations hold for a real server, and every script of the fake
server plays and ends. What is expected of Margay is thereby known to be what MariaDB does."""
import concurrent.futures
import struct

from margaytest import *
import peer

WAITS = 3  # seconds after which the server drops a client that does not log in


def setup():
    global db, target
    db = MariaDB("db", ["--connect-timeout=%d" % WAITS, "--max-allowed-packet=64M", "--max-connect-errors=100000"])
    db.sql("CREATE DATABASE IF NOT EXISTS shop", "CREATE USER peer@'%' IDENTIFIED BY 'peer-secret'",
           "GRANT ALL ON shop.* TO peer@'%'")
    target = peer.Target("127.0.0.1", db.port, "peer", "peer-secret", "shop")


# where 10.11 does otherwise than Margay must (test_broken): it waits on after a command in the middle of COM_CHANGE_USER
SERVERS_OWN = {"cmd-change-user-command": "silent"}


@limit(300)
def test_every_case_against_a_real_server():
    results = list(peer.run_cases(target, seed=args.seed, login_timeout=WAITS, heavy=True))
    for r in results:
        if not r.right:
            note(repr(r))
    eq({r.name: r.outcome for r in results if not r.right}, SERVERS_OWN, "cases with a wrong outcome")
    eq(len(results), len(peer.CASES), "cases run")


def test_a_wrong_outcome_shows():
    def of(name, right):
        k = next(k for k in peer.CASES if k.name == name)
        k = peer.Case(k.name, k.fn, right, k.phase, k.waits, k.heavy)
        outcome, detail = peer.run_case(k, target, random.Random(1), 3)
        return peer.Result(k, outcome, detail, True)
    ok(not of("hs-wrong-password", {"usable"}).right, "a refused login passed as usable")
    ok(not of("hs-right", {"err-closed"}).right, "a login passed as refused")
    ok(not of("cmd-query-nul", {"usable"}).right, "an ERR passed as none")
    eq(of("cmd-query-nul", {"err"}).outcome, "err")
    with peer.FakeServer("reply-never") as srv:
        mute = peer.Target("127.0.0.1", srv.port, "u", "p")
        ok(not mute.alive(timeout=0.5), "a server that never answers passed as alive")
        k = next(k for k in peer.CASES if k.name == "cmd-query-nul")
        eq(peer.run_case(k, mute, random.Random(1), 0.5)[0], "silent")


def test_a_fake_server_is_a_server():
    with peer.FakeServer() as srv:
        c = pymysql.connect(host="127.0.0.1", port=srv.port, user="any", password="thing", connect_timeout=5,
                            read_timeout=5)
        eq(query(c, "SELECT 1"), ((1,),))
        c.ping(reconnect=False)
        c.close()
        eq(srv.queries[-1], b"SELECT 1")
        r = run([sbin("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % srv.port, "-uany", "-Ne", "SELECT 1"])
        eq((r.returncode, r.stdout.strip()), (0, "1"), r.stderr)


def play(name):
    """Connects, logs in, asks; reads until the server closes, is silent for a while, or 2 MB have come."""
    got = 0
    with peer.FakeServer(name) as srv:
        c = peer.Conn(peer.Target("127.0.0.1", srv.port, "u", "p"), 0.7)
        try:
            c.read_greeting()
            c.send(peer.packet(c.response(), 1))
            c.after_login()
            c.send(peer.packet(b"\x03SELECT 1", 0))
            while got < 2 << 20:
                c.fill()
                got, c.buf = got + len(c.buf), b""
        except (peer.Closed, peer.Silent, ValueError, struct.error):
            pass
        finally:
            c.close()
        played = srv.played
    return played, [t for t in srv.threads if t.is_alive()]


@limit(120)
def test_every_script_plays_and_ends():
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for name, (played, left) in zip(peer.SCRIPTS, pool.map(play, peer.SCRIPTS)):
            ok(name in played, "%s was not played: %r" % (name, played))
            eq(left, [], "threads left by " + name)


def test_relay_breaks_only_what_it_is_told():
    with peer.FakeServer(upstream=("127.0.0.1", db.port)) as srv:
        t = peer.Target("127.0.0.1", srv.port, "peer", "peer-secret", "shop")
        ok(t.alive(), "relay")
        c = pymysql.connect(host="127.0.0.1", port=srv.port, user="peer", password="peer-secret", read_timeout=5)
        eq(query(c, "SELECT 7"), ((7,),))
        raises(1105, query, c, "SELECT 1 /*peer:reply-err*/")
        eq(query(c, "SELECT REPEAT('x', 300000)"), (("x" * 300000,),))
        raises(1317, query, c, "SELECT 1 /* peer:reply-err-mid-rows */")
        raises(1105, query, c, "SELECT 1 /*peer:no-such-script*/")
        raises(2013, query, c, "SELECT 1 /*peer:reply-cut-row*/")
        srv.play("greet-err-1040", times=1)
        ok(not t.alive(), "a refused greeting")
        ok(t.alive(), "only one was to be refused")
        srv.play("login-err-1045", times=1)
        ok(not t.alive(), "a refused login")
        ok(t.alive(), "only one was to be refused")
        eq(srv.played, ["reply-err", "reply-err-mid-rows", "reply-cut-row", "greet-err-1040", "login-err-1045"])


def test_silent_crowd():
    crowd = peer.silent_crowd(target, 50)
    ok(target.alive(), "served beside 50 silent ones")
    eq(peer.wait_closed(crowd, WAITS + 15), 50, "closed by the server")


def test_command_line():
    tool = os.path.join(SRC, "t", "sys", "peer.py")
    env = dict(os.environ, PEER_PASSWORD="peer-secret")
    argv = [sys.executable, "-B", tool, "client", "127.0.0.1:%d" % db.port, "--user", "peer"]
    r = run(argv + ["--only", "hs-seq", "-v"], env=env)
    eq(r.returncode, 0, r.stdout + r.stderr)
    ok("3 cases, 0 wrong" in r.stdout, r.stdout)
    r = run(argv + ["--only", "hs-right"], env=dict(env, PEER_PASSWORD="wrong"))
    eq(r.returncode, 1, "exit status")
    ok("FAIL hs-right" in r.stdout, r.stdout)
    eq(run([sys.executable, "-B", tool, "server", "no-such-script"]).returncode, 2)


if __name__ == '__main__':
    main()
