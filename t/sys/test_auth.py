"""Authentication: who a client is, and how it proves it. COM_CHANGE_USER against what a server does; methods with the
plug-ins of libmariadb as clients."""
from margaytest import *
from peer_wire import *
from test_basic import psclient
import peer

SECOND = ("second", "another")
USERS = {APP[0]: APP[1], SECOND[0]: SECOND[1], "open": ""}


def setup():
    global db, m
    db = replication_set(1, users=USERS)
    db[0].sql("CREATE TABLE shop.t (id INT PRIMARY KEY, v INT)", "INSERT INTO shop.t VALUES (1, 1), (2, 2)",
              "REVOKE ALL ON other.* FROM app@'%'")
    db[1].catch_up()
    m = Margay(db, users={name: {"password": pw or '""'} for name, pw in USERS.items()})


# ---- COM_CHANGE_USER

WHO = "query SELECT USER() LIKE 'app@%' AS a, USER() LIKE 'second@%' AS b, DATABASE(), @a, @@autocommit, @@sql_mode, " \
    "@@character_set_client, @@collation_connection, @@in_transaction"
CHANGES = [
    ["changeuser second wrong shop", WHO, "changeuser nobody x shop", WHO],
    ["query SET @a = 5, autocommit = 0, sql_mode = 'ANSI'", "query SELECT * FROM t", WHO, "changeuser app secret_ shop", WHO],
    ["query SET @a = 5", "query BEGIN", "query UPDATE t SET v = v + 1", "changeuser app %s shop" % APP[1], WHO,
     "query SELECT * FROM t", "query SET NAMES latin1", WHO, "changeuser app %s shop" % APP[1], WHO],
    ["changeuser app %s other" % APP[1], WHO, "changeuser app %s nope" % APP[1], WHO, "changeuser app %s shop" % APP[1], WHO],
    ["query CREATE TEMPORARY TABLE tmp (i INT)", "query SELECT GET_LOCK('l', 0)", "changeuser app %s shop" % APP[1],
     "query SELECT * FROM tmp", "query SELECT IS_FREE_LOCK('l')", WHO],
    ["prepare 0 SELECT ?", "exec 0 i:1", "changeuser app %s shop" % APP[1], "exec 0 i:2", "prepare 1 SELECT ? + 1",
     "exec 1 i:2", "query PREPARE p FROM 'SELECT 1'", "changeuser app %s shop" % APP[1], "query EXECUTE p"],
    ["query SET NAMES latin1", "changeuser app wrong shop", WHO, "ping", "query SELECT 1; SELECT 2"],
    ["changeuser app a shop", "changeuser app b shop", "changeuser app c shop", WHO],
    ["query SELECT LAST_INSERT_ID(77)", "changeuser app %s shop" % APP[1], "query SELECT LAST_INSERT_ID()"],
]


@limit(120)
def test_change_user_as_at_a_server():
    for script in CHANGES:
        eq(psclient(m.port, script), psclient(db[0].port, script), "\n".join(script))


def test_change_user_to_another():
    """The new one's account runs the statements, in its database; then back."""
    c = peer.Conn(peer.Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), 20 * SLOW)
    c.login()
    for user, pw, name, first in ((*SECOND, "other", b"second@127.0.0.1"), ("open", "", "", b"open@127.0.0.1"),
                                  (*APP, "shop", b"app@127.0.0.1")):
        c.target.password = pw
        c.command(COM_CHANGE_USER, user.encode() + b"\0\0" + name.encode() + b"\0\x2d\0" + NATIVE + b"\0" + b"\0")
        c.after_login()
        for _ in range(3):
            c.command(COM_QUERY, b"SELECT CONCAT('<', USER(), '|', IFNULL(DATABASE(), ''), '>')")
            c.read_until(b"<" + first + b"|" + name.encode() + b">")
            c.read_packet(), c.read_packet(), c.read_packet(), c.read_packet(), c.read_packet()
    c.close()
    wait_for(lambda: m.counter("clients") == 0, 20, "clients to be gone")


def test_change_user_in_transaction_over_few_connections():
    """The server connection of an open transaction is reset, and others get it clean."""
    with m.conn() as c:
        query(c, "BEGIN")
        query(c, "UPDATE t SET v = 100 WHERE id = 1")
        raw = peer.Conn(peer.Target("127.0.0.1", m.port, APP[0], APP[1], "shop"), 20 * SLOW)
        raw.login()
        raw.query("BEGIN")
        raw.query("UPDATE t SET v = 100 WHERE id = 2")
        raw.command(COM_CHANGE_USER, SECOND[0].encode() + b"\0\0shop\0\x2d\0" + NATIVE + b"\0\0")
        raw.target.password = SECOND[1]
        raw.after_login()
        wait_for(lambda: query(c, "SELECT v FROM t WHERE id = 2 FOR UPDATE") == ((2,),), 20, "its lock to be gone")
        query(c, "ROLLBACK")
        raw.close()


if __name__ == '__main__':
    main()
