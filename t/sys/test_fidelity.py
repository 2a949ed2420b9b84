"""Session state and diagnostics, as seen through Margay and on a connection of its own: what MariaDB's own suite (t/mtr)
found, one small test each."""
from margaytest import *


def setup():
    global db, m
    db = replication_set(1)
    db[0].sql("CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO shop.t (v) VALUES (1), (2), (3)")
    db[1].catch_up()
    m = Margay(db, server={"pool_size": 4})


def both(*statements, **kw):
    """The same statements on a direct connection and through Margay: all that a client sees must be equal. Between any two
    of them other sessions use Margay's connections."""
    direct, through, other = db[0].conn("app", APP[1], database="shop", **kw), m.conn(**kw), [m.conn(), m.conn()]
    for s in statements:
        same(direct, through, [s], "")
        for o in other:
            query(o, "SET @@session.sql_mode = 'ANSI'")
            query(o, "DO 1")
    for c in (direct, through, *other):
        c.close()


def test_connection_id_in_expressions():
    both("SELECT CONNECTION_ID() > 0 AS x", "SELECT CONNECTION_ID() = @@pseudo_thread_id", "SET @a = CONNECTION_ID()",
         "SELECT @a = CONNECTION_ID()", "DO CONNECTION_ID()",
         "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()",
         "PREPARE p FROM 'SELECT CONNECTION_ID() = @a'", "EXECUTE p", "KILL 0", "PREPARE p FROM 'KILL 0'", "EXECUTE p",
         "KILL USER nobody@nowhere")


if __name__ == '__main__':
    main()
