"""5,000 clients that say nothing: what each costs in memory, before and after large results."""
import ssl

from margaytest import *
from mt_certs import Authority

AIM_KIB = 6.0
TLS_AIM_KIB = 18.0


def setup():
    global db, m, n
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(1000 if args.quick else 5000, hard - 300)
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v VARCHAR(200))",
              "INSERT INTO shop.t SELECT seq, REPEAT('x', 100) FROM shop.seq_1_to_1000")
    db[1].catch_up()
    m = Margay(db, margay={"max_clients": 2 * n, "login_timeout": "60s"})


@limit(400)
def test_memory_per_idle_client():
    warm = m.conn()
    query(warm, "SELECT * FROM t")
    base, whole = proc_pss(m.worker_pids()), proc_pss(m.all_pids())
    clients = [m.conn(connect_timeout=60) for _ in range(n)]
    wait_for(lambda: m.counter("clients") == n + 1, 10, "all clients to be counted")

    def each():
        return (proc_pss(m.worker_pids()) - base) / n
    login = each()
    for c in clients:
        query(c, "SELECT 1")
    one = each()
    for c in clients:  # a result of 1,000 rows each
        eq(len(query(c, "SELECT * FROM t")), 1000)
    large = each()
    all_of_margay = (proc_pss(m.all_pids()) - whole) / n
    note("%d idle clients, KiB of worker Pss each: %.2f after login, %.2f after a statement, %.2f after a result of "
         "1,000 rows; all processes: %.2f" % (n, login, one, large, all_of_margay))
    ok(large <= AIM_KIB, "an idle client costs %.2f KiB after a large result, aim %.1f" % (large, AIM_KIB))
    before = proc_cpu(m.worker_pids())
    t0 = time.monotonic()
    wait_for(lambda: time.monotonic() > t0 + 2, 10, "two idle seconds")
    note("CPU of the worker with %d idle clients: %.1f%%" % (n, (proc_cpu(m.worker_pids()) - before) / 2 * 100))
    eq(value(warm, "SELECT 1"), 1)
    for c in clients:
        c._force_close()
    wait_for(lambda: m.counter("clients") == 1, 20, "all clients to be gone")
    note("after they left: %.2f KiB for each that was" % each())
    again = [m.conn(connect_timeout=60) for _ in range(n)]
    ok(each() <= AIM_KIB, "the second crowd costs %.2f KiB each" % each())
    for c in again:
        c._force_close()


@limit(400)
def test_memory_per_idle_tls_client():
    ca = Authority()
    cert, key = ca.issue("proxy.example", "IP:127.0.0.1")
    t = Margay(db, margay={"max_clients": 2 * n, "login_timeout": "60s", "tls_cert": cert, "tls_key": key})
    few = max(n // 5, 200)
    c = ssl.create_default_context(cafile=ca.pem)
    warm = [t.conn(ssl=c) for _ in range(20)]
    for w in warm:
        eq(len(query(w, "SELECT * FROM t")), 1000)
    base = proc_pss(t.worker_pids())
    clients = [t.conn(ssl=c, connect_timeout=60) for _ in range(few)]
    login = (proc_pss(t.worker_pids()) - base) / few
    for k in clients:
        eq(len(query(k, "SELECT * FROM t")), 1000)
    each = (proc_pss(t.worker_pids()) - base) / few
    note("%d idle TLS clients, KiB of worker Pss each: %.2f after login, %.2f after a result of 1,000 rows" % (few, login, each))
    ok(each <= TLS_AIM_KIB, "an idle TLS client costs %.2f KiB" % each)
    for k in clients + warm:
        k._force_close()
    t.stop()


if __name__ == '__main__':
    main()
