"""Data paths: LOAD DATA LOCAL INFILE streamed from the client; statements that are too long. Pains of users of other proxies
(a census of their issue trackers), and their tests:

  16  LOAD DATA LOCAL refused, or of the proxy's files    here
  17  packets of 16 MiB and more                          test_packets.py, here: too_long
  18  memory grows with results and slow clients          test_stream.py, test_packets.py, test_compress.py: slow_client
  19  charsets and collations                             test_oracle.py (each session logs in with one of its own), test_fidelity.py"""
import io
import threading

from margaytest import *
from peer_wire import Conn, Target, long_packets, packet, Closed


def setup():
    global db, m, server
    db = replication_set(0, options=["--max-allowed-packet=64M", "--local-infile=1"])
    server = db[0]
    m = Margay(db, margay={"max_packet_size": "20M"},
               users={APP[0]: {"password": APP[1]},
                      "nofile": {"password": "n", "backend_user": APP[0], "backend_password": APP[1],
                                 "local_infile": "no"}})
    server.sql("CREATE TABLE shop.l (a INT PRIMARY KEY, b TEXT)")


def a_file(name, rows, width=10):
    path = os.path.join(tmp(), name)
    with open(path, "w") as f:
        for i in range(rows):
            f.write("%d\t%s\n" % (i, "x" * width))
    return path


def load(path):
    return "LOAD DATA LOCAL INFILE '%s' INTO TABLE l" % path


def both(**kw):
    return server.conn(*APP, database="shop", local_infile=True, **kw), m.conn(local_infile=True, **kw)


def test_load_data_local_like_a_server():
    path, empty = a_file("t1", 1000), a_file("t0", 0)
    d, c = both()
    for sql in (load(path), load(path), load(empty), "DELETE FROM l", load("/no/such/file"), load(path).replace(" l", " nix"),
                "SELECT COUNT(*), SUM(LENGTH(b)) FROM l"):
        server.sql("DELETE FROM shop.l")
        want = outcome(d, sql)
        server.sql("DELETE FROM shop.l")
        eq(outcome(c, sql), want, sql)
        eq(value(c, "SELECT 7"), 7, "the session after " + sql)


def test_in_several_statements():
    path = a_file("t2", 50)
    for c in both(client_flag=CLIENT.MULTI_STATEMENTS):
        server.sql("DELETE FROM shop.l")
        with c.cursor() as cur:
            cur.execute("SELECT 1; %s; SELECT COUNT(*) FROM l" % load(path))
            got = [cur.fetchall()]
            while cur.nextset():
                got.append(cur.fetchall() or cur.rowcount)
        eq(got, [((1,),), 50, ((50,),)])


def test_refused_for_a_user():
    c = m.conn("nofile", "n", local_infile=True)
    raises((4166, 1148), query, c, load(a_file("t3", 1)))
    eq(value(c, "SELECT 1"), 1)


def test_a_large_file_in_bounded_memory():
    """150 MB; the server is slower than the client, so somebody has to hold it back."""
    server.sql("DELETE FROM shop.l")
    path = a_file("t4", 15000, 10000)
    c = m.conn(local_infile=True)
    query(c, "SELECT 1")
    base, peak, halt = proc_pss(m.worker_pids()), [0], threading.Event()

    def watch():
        while not halt.wait(0.01):
            peak[0] = max(peak[0], proc_pss(m.worker_pids()))
    t = threading.Thread(target=watch, daemon=True)
    t.start()
    query(c, load(path))
    halt.set()
    t.join()
    eq(server.one("SELECT COUNT(*), 1 FROM shop.l"), 15000)
    note("150 MB file: worker Pss %d KiB before, %d at most" % (base, peak[0]))
    ok(peak[0] < base + 2048, "memory grew by %d KiB" % (peak[0] - base))


def test_client_that_dies_in_the_middle():
    server.sql("DELETE FROM shop.l")
    t = Target("127.0.0.1", m.port, APP[0], APP[1], "shop")
    c = Conn(t, 30 * SLOW)
    c.read_greeting()
    c.send(packet(c.response(caps_on=0x80), 1))
    c.after_login()
    eq(c.query(load("f"))[:1], b"\xfb")
    c.send(packet(b"1\tone\n2\ttwo\n", 2))
    c.close()
    wait_for(lambda: m.counter("clients") == 0, 10, "the session to end")
    wait_for(lambda: not any("LOAD" in (p["INFO"] or "") for p in server.processlist(APP[0])), 10, "its statement to end")
    eq(value(m.conn(), "SELECT 1"), 1)


def test_too_long():
    """The error comes when the client has sent all of it, with the sequence id that follows, and the connection ends."""
    for size in (21 << 20, 60 << 20):
        for com in (3, 22):
            c = Conn(Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), 60 * SLOW)
            c.login()
            body = bytes([com]) + b"SELECT '" + b"x" * size + b"'"
            c.send(long_packets(body, 0))
            seq, b = c.read_packet()
            eq((seq, b[:3]), (len(body) // 0xffffff + 1, b"\xff\x81\x04"))
            try:
                c.read_packet()
                fail("the connection goes on")
            except Closed:
                pass
            c.close()


if __name__ == '__main__':
    main()
