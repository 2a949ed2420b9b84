"""mt_oracle: what the oracle of test_oracle.py does (Generator: steps of several sessions, from a seed alone) and where
(World: a server of its own, and Margay before a primary and a replica with the same data).

A step is a list: [client, kind, arguments...]. Statements never block: lock_wait_timeout and innodb_lock_wait_timeout are 0
at the primary and at the server alone, so who gets no lock has an error at once. A session ends its locks before it is closed
or becomes another (CLEAN): a server frees the locks of a connection that was closed in its own time."""
import struct

from margaytest import *
from mt_wire import *

CLIENTS = 4
POOL = 2  # idle connections to a server, for four sessions
USERS = {APP[0]: APP[1], "app2": "second-secret"}
# id, what a client may ask for in its handshake: utf8mb3, utf8mb4 (general, bin, unicode, uca1400), latin1, latin2, cp1251, binary
COLLATIONS = [33, 45, 46, 224, 8, 9, 51, 63, 83, 47, 5]
REFUSED = b"Margay: "
CLEAN = ["ROLLBACK", "XA END 'x{c}'", "XA ROLLBACK 'x{c}'", "UNLOCK TABLES", "BACKUP STAGE END", "HANDLER p{c} CLOSE",
         "SELECT RELEASE_ALL_LOCKS()"]

# FOUND_ROWS() of a thread's earlier user may shine through, and the error of a refused COM_CHANGE_USER is in SHOW WARNINGS
SETTLE = "SELECT 1 FROM shop.calm LIMIT 1"  # a table that nobody locks
# Reported by default. After SET STATEMENT a server reports the old value with the next change, whatever and whenever that is.
TRACKED = ("autocommit", "character_set_client", "character_set_connection", "character_set_results", "time_zone")

# ---- statements ----

TRX = """
BEGIN
START TRANSACTION
START TRANSACTION WITH CONSISTENT SNAPSHOT
START TRANSACTION READ WRITE
COMMIT
COMMIT
ROLLBACK
ROLLBACK
COMMIT AND CHAIN
ROLLBACK AND CHAIN
COMMIT AND NO CHAIN NO RELEASE
SAVEPOINT a
SAVEPOINT b{d}
ROLLBACK TO a
ROLLBACK TO SAVEPOINT b{d}
RELEASE SAVEPOINT a
SET autocommit = 0
SET autocommit = 1
SET @@autocommit = 1
SET SESSION autocommit = 0|SELECT COUNT(*) FROM p{c}|SET SESSION autocommit = 1
SET TRANSACTION READ ONLY
SET TRANSACTION READ WRITE
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY
SET SESSION TRANSACTION ISOLATION LEVEL {iso}
SET SESSION TRANSACTION READ ONLY
SET SESSION TRANSACTION READ WRITE
SET tx_isolation = 'READ-COMMITTED'
SET @@tx_isolation = 'REPEATABLE-READ'
SET tx_read_only = 0
SET completion_type = {cmp}
SELECT @@in_transaction, @@autocommit
SELECT @@tx_isolation, @@tx_read_only, @@completion_type
SELECT v FROM p{c} WHERE id = {d} FOR UPDATE
SELECT v FROM s WHERE id = {d} FOR UPDATE
SELECT v FROM s WHERE id = {d} LOCK IN SHARE MODE
SELECT v FROM s WHERE id = {d} FOR UPDATE NOWAIT
SELECT v FROM s WHERE id < 5 FOR UPDATE SKIP LOCKED
UPDATE s SET v = v + 1 WHERE id = {d}
/* margay: primary */ SELECT * FROM s ORDER BY id
BEGIN|SELECT * FROM s ORDER BY id LIMIT 5|COMMIT
"""
READ_ONLY = """
START TRANSACTION READ ONLY|SELECT * FROM p{c} ORDER BY id LIMIT 9|SELECT COUNT(*) FROM p{c}|COMMIT
START TRANSACTION READ ONLY|SELECT 1/0|SHOW WARNINGS|SELECT @@in_transaction|ROLLBACK
START TRANSACTION READ ONLY|UPDATE p{c} SET v = 1|SELECT COUNT(*) FROM p{c}|COMMIT
START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT|SELECT MAX(id) FROM p{c}|COMMIT
"""
DATA = """
INSERT INTO p{c} (v) VALUES ({n})
INSERT INTO p{c} (v, s) VALUES ({n}, 'a'), ({d}, 'é')
INSERT INTO p{c} (id, v) VALUES ({n}, {n})
INSERT INTO p{c} (id, v) VALUES ({n}, {n})|SELECT LAST_INSERT_ID()
INSERT INTO p{c} (v) VALUES ({n})|SELECT COUNT(*) FROM p{c}|INSERT INTO p{c} (id, v) VALUES ({n}, {d})|SELECT COUNT(*) FROM p{c}|SELECT LAST_INSERT_ID()
REPLACE INTO p{c} (id, v) VALUES ({d}, {n})|SELECT LAST_INSERT_ID()
INSERT IGNORE INTO p{c} (id, v) VALUES ({d}, 'x')
INSERT INTO p{c} (id, v) VALUES ({d}, 1) ON DUPLICATE KEY UPDATE v = v + 1
INSERT INTO p{c} (v) VALUES ({n}) RETURNING id, v
INSERT INTO p{c} (v) SELECT v + 1 FROM p{c} ORDER BY id LIMIT 2
REPLACE INTO p{c} (id, v) VALUES ({d}, {n})
REPLACE INTO p{c} (id, v) VALUES ({d}, {n}) RETURNING id
UPDATE p{c} SET v = v + 1 WHERE v < {n}
UPDATE p{c} SET v = v WHERE id < 4
UPDATE p{c} SET s = 'ß' WHERE id = {d}
UPDATE p{c} SET v = LAST_INSERT_ID(v + 1) WHERE id = {d}
DELETE FROM p{c} WHERE v = {d}
DELETE FROM p{c} WHERE id > 12
DELETE FROM p{c} WHERE id = {d} RETURNING id
DELETE FROM p{c} ORDER BY id LIMIT 1
TRUNCATE TABLE p{c}
SELECT * FROM p{c} ORDER BY id LIMIT 14
SELECT id, v, s FROM p{c} WHERE id = {d}
SELECT COUNT(*), SUM(v) FROM p{c}
SELECT a.id FROM p{c} a JOIN p{c} b ON a.id = b.id ORDER BY 1 LIMIT 3
SELECT v, COUNT(*) FROM p{c} GROUP BY v ORDER BY v LIMIT 5
(SELECT id FROM p{c} WHERE id = 1) UNION (SELECT 7)
WITH x AS (SELECT id FROM p{c} WHERE id < 3) SELECT * FROM x ORDER BY id
VALUES (1, 'a'), (2, 'b')
TABLE p{c} ORDER BY id LIMIT 3
SELECT * FROM other.p{c} ORDER BY id LIMIT 5
INSERT INTO other.p{c} (v) VALUES ({n})
INSERT INTO trg{c} VALUES ({n})
SELECT * FROM my{c} ORDER BY a LIMIT 5
INSERT INTO my{c} VALUES ({n})
"""
IDS = """
SELECT LAST_INSERT_ID()
SELECT LAST_INSERT_ID({n})
SELECT LAST_INSERT_ID(), @@identity, @@last_insert_id
SELECT LAST_INSERT_ID() + 1 AS x FROM p{c} LIMIT 1
INSERT INTO p{c} (v) VALUES (LAST_INSERT_ID())
SET @x = LAST_INSERT_ID()
SET last_insert_id = {n}
SET insert_id = {n}|INSERT INTO p{c} (v) VALUES (3)
SELECT ROW_COUNT()
UPDATE p{c} SET v = v + 1 WHERE id < 3|SELECT ROW_COUNT()
SELECT 1|SELECT ROW_COUNT()
UPDATE p{c} SET v = v + 1|SELECT ROW_COUNT(), LAST_INSERT_ID()
SELECT * FROM p{c} LIMIT 2|SELECT FOUND_ROWS()
SELECT SQL_CALC_FOUND_ROWS id FROM p{c} LIMIT 1|SELECT FOUND_ROWS()
SELECT SQL_CALC_FOUND_ROWS id FROM p{c} LIMIT 1|SELECT 1|SELECT FOUND_ROWS()
SELECT NEXTVAL(seq{c})
SELECT LASTVAL(seq{c})
SELECT SETVAL(seq{c}, {n})
"""
DIAG = """
SHOW WARNINGS
SHOW ERRORS
SHOW COUNT(*) WARNINGS
SHOW COUNT(*) ERRORS
SHOW WARNINGS LIMIT 1
SELECT @@warning_count, @@error_count
SELECT 1/0
SELECT 1/0|SHOW WARNINGS
SELECT 1/0|SELECT @@warning_count|SHOW WARNINGS
SELECT CAST('12x' AS INT)|SHOW COUNT(*) WARNINGS
SELECT CAST('12x' AS INT), id FROM p{c} LIMIT 2|SHOW WARNINGS
INSERT INTO p{c} (v) VALUES ('x{d}')|SHOW WARNINGS
INSERT IGNORE INTO p{c} (id, v) VALUES (1, 1), (1, 'y')|SHOW WARNINGS|GET DIAGNOSTICS @n = NUMBER|SELECT @n
SELECT * FROM nowhere_such|GET DIAGNOSTICS CONDITION 1 @no = MYSQL_ERRNO, @tx = MESSAGE_TEXT|SELECT @no, @tx
GET DIAGNOSTICS @n = NUMBER, @r = ROW_COUNT
SELECT @n, @r
DROP TABLE IF EXISTS nowhere_such|SHOW WARNINGS
SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sig {d}'|SHOW ERRORS
SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'warn'|SHOW WARNINGS
RESIGNAL
SELECT @@margay_none
SET max_error_count = {d}|SELECT 1/0, 2/0, 3/0|SHOW WARNINGS
SET sql_notes = 0|DROP TABLE IF EXISTS nowhere_such|SHOW WARNINGS|SET sql_notes = 1
"""
ERRORS = """
SELEC
SELECT * FROM nowhere_such
SELECT nothing FROM p{c}
SELECT no_such_function(1)
SELECT (SELECT id FROM p{c} UNION SELECT 99)
INSERT INTO p{c} (id) VALUES (1), (1)
INSERT INTO p{c} (v, s) VALUES (1)
INSERT INTO p{c} (s) VALUES (REPEAT('x', 200))
SELECT * FROM mysql.user
CREATE TABLE p{c} (a INT)
CREATE TABLE t_{c} (a NOTYPE)
CALL no_such()
SET no_such_variable = 1
SET sql_mode = 'NO_SUCH'
SET GLOBAL sql_mode = ''
SET NAMES nonsense
USE nowhere
GRANT SELECT ON shop.* TO app2@'%'
KILL 0
SELECT 1 INTO @x, @y
SELECT SLEEP('a')

/* nothing */
-- nothing
;
SELECT 1;
SELECT 'unclosed
"""
VARS = """
SET @x = {n}
SET @x = 'é', @y = NULL
SET @X := @x + 1, @z = 1.50
SELECT @x
SELECT @x, @y, @z
SELECT @x := COALESCE(@x, 0) + 1
SELECT {n} INTO @y
SELECT id, v INTO @x, @y FROM p{c} ORDER BY id LIMIT 1
DO @x := {n}
SELECT @x COLLATE utf8mb4_bin
SELECT COLLATION(@x), CHARSET(@y)
SELECT id FROM p{c} WHERE (@x := id) < 4 ORDER BY id
UPDATE p{c} SET v = (@x := v) + 1 WHERE id = {d}
SET @`a b` = 5|SELECT @`a b`, @'a b'
SELECT 1 AS `@notvar`
"""
CHARSETS = """
SET NAMES {cs}
SET NAMES {cs}
SET NAMES utf8mb4
SET NAMES utf8mb4 COLLATE utf8mb4_{co}
SET NAMES DEFAULT
SET CHARACTER SET {cs}
SET character_set_client = {cs}
SET character_set_results = {cs}
SET character_set_results = NULL
SET collation_connection = 'utf8mb4_{co}'
SET collation_connection = latin1_swedish_ci
SET character_set_connection = {cs}
SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection
SHOW VARIABLES LIKE 'collation%'
SHOW VARIABLES LIKE 'character_set_c%'
SELECT 'é', HEX('é'), CHARSET('x'), COLLATION('x')
SELECT s FROM p{c} WHERE s = 'É' ORDER BY id LIMIT 3
SELECT s AS `ü` FROM p{c} ORDER BY id LIMIT 2
SELECT _latin1'x' = 'x', N'y', 'a' 'b'
SELECT "dq"
SELECT 'back\\\\slash', 'q''q'
"""
SCHEMAS = """
USE shop
USE other
USE `other`
USE information_schema
USE nowhere
SELECT DATABASE()
SELECT SCHEMA(), USER(), CURRENT_USER(), CURRENT_ROLE()
SELECT COUNT(*) FROM p{c}
SHOW TABLES LIKE 'p{c}'
SELECT @@character_set_database, @@collation_database
SET ROLE NONE
CREATE DATABASE IF NOT EXISTS other
SHOW CREATE DATABASE other
"""
TEMP = """
CREATE TEMPORARY TABLE tt (a INT)
CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT)
CREATE OR REPLACE TEMPORARY TABLE tt AS SELECT {n} AS a
CREATE TEMPORARY TABLE p{c} (id INT, hidden INT)
DROP TEMPORARY TABLE p{c}
DROP TEMPORARY TABLE IF EXISTS p{c}
INSERT INTO tt VALUES ({n})
SELECT * FROM tt ORDER BY a LIMIT 5
ALTER TABLE tt ADD b INT
DROP TEMPORARY TABLE tt
DROP TEMPORARY TABLE IF EXISTS tt
DROP TABLE IF EXISTS tt
TRUNCATE TABLE tt
"""
LOCKS = """
SELECT GET_LOCK('l{c}', 0)
SELECT GET_LOCK('l{d4}', 0)
SELECT RELEASE_LOCK('l{c}')
SELECT RELEASE_LOCK('l{d4}')
SELECT RELEASE_ALL_LOCKS()
SELECT IS_FREE_LOCK('l0'), IS_FREE_LOCK('l1'), IS_FREE_LOCK('l2'), IS_FREE_LOCK('l3')
SELECT IS_USED_LOCK('l{d4}') IS NULL
SELECT IS_USED_LOCK('l{c}') = CONNECTION_ID()
DO GET_LOCK('l{c}', 0)
LOCK TABLES p{c} WRITE
LOCK TABLES p{c} READ, s READ
LOCK TABLES s WRITE
LOCK TABLES p{c} AS x READ
UNLOCK TABLES
UNLOCK TABLES
UNLOCK TABLES
FLUSH TABLES WITH READ LOCK|SELECT COUNT(*) FROM p{c}|UNLOCK TABLES
FLUSH TABLES WITH READ LOCK
FLUSH TABLES p{c} WITH READ LOCK
BACKUP STAGE START|BACKUP STAGE FLUSH|BACKUP STAGE BLOCK_DDL|BACKUP STAGE BLOCK_COMMIT|BACKUP STAGE END
BACKUP STAGE START
BACKUP STAGE END
BACKUP LOCK p{c}|BACKUP UNLOCK
HANDLER p{c} OPEN
HANDLER p{c} OPEN AS h
HANDLER p{c} READ FIRST
HANDLER p{c} READ NEXT
HANDLER p{c} READ `PRIMARY` >= ({d}) LIMIT 2
HANDLER h READ FIRST
HANDLER h CLOSE
HANDLER p{c} CLOSE
"""
TEXT_PS = """
PREPARE q FROM 'SELECT {n} + ?'
PREPARE q FROM 'INSERT INTO p{c} (v) VALUES (?)'
PREPARE q FROM 'SELECT id FROM p{c} WHERE id < ? ORDER BY id'
PREPARE q FROM 'SET sql_mode = ANSI_QUOTES'
PREPARE q FROM 'SELEC'
EXECUTE q USING @x
EXECUTE q USING {n}
EXECUTE q
DEALLOCATE PREPARE q
DROP PREPARE q
EXECUTE IMMEDIATE 'SELECT @@sql_mode, ?' USING {n}
EXECUTE IMMEDIATE 'SELECT 1/0'|SHOW WARNINGS
EXECUTE IMMEDIATE CONCAT('SELECT ', {n})
"""
ROUTINES = """
CALL two({n})
CALL setx({n})
CALL outp({n}, @o, @x)|SELECT @o, @x
CALL ins{c}({n})|SELECT ROW_COUNT(), LAST_INSERT_ID()
CALL fails({d})
CALL fails({d})|SHOW WARNINGS
CALL tmp({n})|SELECT * FROM made
CALL trx{c}({n})
CALL nested({d})
SELECT fx({n})
SELECT pure({n})
SELECT insf{c}({n})|SELECT LAST_INSERT_ID()
DO fx({d})
SET @x = fx({n})
BEGIN NOT ATOMIC DECLARE x INT DEFAULT {n}; SELECT x; SELECT x + 1; END
BEGIN NOT ATOMIC SET @x = {n}; INSERT INTO p{c} (v) VALUES ({n}); END
IF {d} > 4 THEN SELECT 'more'; ELSE SELECT 'less'; END IF
SELECT * FROM view{c} ORDER BY 1 LIMIT 5
"""
SET_STATEMENT = """
SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT @@sql_mode, "id" FROM p{c} LIMIT 1
SET STATEMENT max_statement_time = 90 FOR SELECT @@max_statement_time
SET STATEMENT lc_time_names = 'de_DE' FOR SELECT @@lc_time_names, DAYNAME('2020-01-0{d}')
SET STATEMENT sql_select_limit = 1 FOR SELECT id FROM p{c} ORDER BY id
SET STATEMENT group_concat_max_len = 8 FOR INSERT INTO p{c} (v) VALUES ({n})
SET STATEMENT sql_mode = 'NO_SUCH' FOR SELECT 1
SELECT @@sql_mode, @@time_zone, @@sql_select_limit
"""
XA = """
XA START 'x{c}'|INSERT INTO p{c} (v) VALUES ({n})|XA END 'x{c}'|XA PREPARE 'x{c}'|XA COMMIT 'x{c}'
XA START 'x{c}'|UPDATE p{c} SET v = {n}|XA END 'x{c}'|XA ROLLBACK 'x{c}'
XA START 'x{c}'|INSERT INTO p{c} (v) VALUES ({n})|XA END 'x{c}'|XA COMMIT 'x{c}' ONE PHASE
XA START 'x{c}'|COMMIT|XA END 'x{c}'|XA PREPARE 'x{c}'|XA ROLLBACK 'x{c}'
XA BEGIN 'x{c}'|SELECT COUNT(*) FROM p{c}|XA END 'x{c}'|XA ROLLBACK 'x{c}'
XA COMMIT 'nosuch{c}'
"""
MULTI = """
SELECT 1; SELECT 2
SELECT @x := {n}; SELECT @x
INSERT INTO p{c} (v) VALUES ({n}); SELECT LAST_INSERT_ID(); SELECT ROW_COUNT()
SET @x = {n}; SELECT @x; SET @y = @x
BEGIN; INSERT INTO p{c} (v) VALUES ({n}); COMMIT; SELECT COUNT(*) FROM p{c}
BEGIN; UPDATE p{c} SET v = v + 1
SELECT 1/0; SHOW WARNINGS
SELECT 1; SELEC; SELECT 2
SELECT 1; SELECT * FROM nowhere_such; SELECT 2
USE other; SELECT COUNT(*) FROM p{c}
SET sql_mode = 'ANSI_QUOTES'; SELECT 1; SET time_zone = '+02:00'
CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT); INSERT INTO tt VALUES ({n}); SELECT * FROM tt LIMIT 3
CALL two({n}); SELECT 5
SELECT * FROM p{c} ORDER BY id LIMIT 4; DELETE FROM p{c} WHERE id = {d}; SELECT ROW_COUNT()
SELECT 1;
SELECT 1; ;
"""
DDL = """
CREATE TABLE IF NOT EXISTS d{c} (a INT AUTO_INCREMENT PRIMARY KEY, b INT)
CREATE OR REPLACE TABLE d{c} (a INT PRIMARY KEY, b VARCHAR(9)) AS SELECT {n} AS a, 'x' AS b
INSERT INTO d{c} (b) VALUES ({d})
SELECT * FROM d{c} LIMIT 5
ALTER TABLE d{c} ADD COLUMN e{d} INT
ALTER TABLE d{c} ADD COLUMN IF NOT EXISTS e{d} INT
DROP TABLE d{c}
DROP TABLE IF EXISTS d{c}
RENAME TABLE d{c} TO e{c}, e{c} TO d{c}
CREATE OR REPLACE VIEW view{c} AS SELECT id, {n} AS n FROM p{c}
CREATE INDEX IF NOT EXISTS i ON p{c} (v)
DROP INDEX IF EXISTS i ON p{c}
ANALYZE TABLE my{c}
CHECK TABLE my{c}
OPTIMIZE TABLE my{c}
FLUSH TABLES
CREATE OR REPLACE SEQUENCE seq{c} START WITH {n}
"""
OTHER = """
SELECT CONNECTION_ID() > 0, CONNECTION_ID() = @@pseudo_thread_id
SELECT @@version, @@version_comment, @@max_allowed_packet
SET rand_seed1 = {n}, rand_seed2 = {d}|SELECT RAND()
SET timestamp = {n}000000|SELECT NOW(), UNIX_TIMESTAMP()|SET timestamp = DEFAULT
SELECT FROM_UNIXTIME({n}00000), CAST('2020-01-01 00:00:00' AS DATETIME)
SELECT DAYNAME('2020-01-0{d}'), WEEK('2008-02-20'), 1/3
SELECT GROUP_CONCAT(seq SEPARATOR '') FROM seq_1_to_40
SHOW CREATE TABLE p{c}
SHOW COLUMNS FROM p{c}
SHOW INDEX FROM my{c}
SHOW SESSION STATUS LIKE 'Com_nothing'
DESCRIBE p{c}
EXPLAIN SELECT 1
SHOW ENGINES LIKE 'x'
SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' AND table_name LIKE 'p%' ORDER BY 1
SELECT BENCHMARK(1, 1), SLEEP(0), UUID() IS NOT NULL
SELECT * FROM p{c} PROCEDURE ANALYSE()
SELECT SUM(id) FROM p{c} INTO @x
SHOW GRANTS
"""
GROUPS = {"trx": (TRX, 12), "read_only": (READ_ONLY, 1), "data": (DATA, 14), "ids": (IDS, 8), "diag": (DIAG, 9), "errors": (ERRORS, 4),
          "vars": (VARS, 6), "charsets": (CHARSETS, 7), "schemas": (SCHEMAS, 4), "temp": (TEMP, 4), "locks": (LOCKS, 7),
          "text_ps": (TEXT_PS, 4), "routines": (ROUTINES, 5), "set_statement": (SET_STATEMENT, 2), "xa": (XA, 2), "multi": (MULTI, 4),
          "ddl": (DDL, 3), "other": (OTHER, 3)}

BINARY = """
SELECT ? AS a, ? AS b
SELECT ?, @x, LAST_INSERT_ID()
SELECT LENGTH(?), ? IS NULL
SELECT * FROM p{c} WHERE id = ?
SELECT id, v FROM p{c} WHERE id < 9 ORDER BY id
SELECT id, v, s FROM p{c} WHERE id > 0 AND v <> ? ORDER BY id LIMIT 12
SELECT seq FROM seq_1_to_9 WHERE seq <> ?
INSERT INTO p{c} (v, s) VALUES (?, ?)
INSERT INTO p{c} (v) VALUES (?) RETURNING id
UPDATE p{c} SET v = v + 1 WHERE v < ?
DELETE FROM p{c} WHERE id = ?
SET @x = ?
SET NAMES latin1
SET sql_mode = 'ANSI_QUOTES'
CALL two(?)
CALL outp(?, ?, ?)
CALL setx(?)
CALL ins{c}(?)
SELECT LAST_INSERT_ID(), ROW_COUNT()
SELECT ROW_COUNT()
SHOW WARNINGS
SELECT 1/0
SELECT CAST(? AS INT)
CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT)
INSERT INTO tt VALUES (?)
SELECT * FROM tt ORDER BY a LIMIT 5
DROP TEMPORARY TABLE tt
SELECT GET_LOCK('l{c}', 0), ?
SELECT RELEASE_LOCK('l{c}')
START TRANSACTION
COMMIT
ROLLBACK
SELECT * FROM d{c} LIMIT 5
SELECT DATABASE(), ?
SELECT @@sql_mode, @@character_set_client, 'é'
SELECT * FROM s WHERE id = ? FOR UPDATE
SELECT NEXTVAL(seq{c})
SELEC ?
SELECT ?; SELECT 2
USE other
DO ?
EXPLAIN SELECT ?
"""


class Generator:
    """Scripts from a random source alone. sysvars: what the server says of its session variables."""

    def __init__(self, rng, sysvars):
        self.rng, self.sysvars = rng, sysvars
        self.groups = [(text.replace("\n\n", "\n\0\n").strip("\n").split("\n"), weight) for text, weight in GROUPS.values()]
        self.weights = [w for _, w in self.groups] + [8, 9, 4]
        self.binary = BINARY.strip().split("\n")
        self.nexts = [[] for _ in range(CLIENTS)]
        self.open_to = [False] * CLIENTS

    def fill(self, text, c):
        r = self.rng
        return text.format(c=c, n=r.randrange(1, 50), d=r.randrange(1, 9), d4=r.randrange(CLIENTS), cmp=r.choice((0, 1, "CHAIN", "NO_CHAIN")),
                           iso=r.choice(("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "READ UNCOMMITTED")),
                           cs=r.choice(("latin1", "utf8mb4", "utf8mb3", "cp1251", "binary", "koi8r", "latin2", "sjis", "gbk", "ucs2", "utf8")),
                           co=r.choice(("bin", "general_ci", "unicode_ci", "swedish_ci", "nopad_bin"))).replace("\0", "")

    def variable(self, c):
        r = self.rng
        name, default, values = r.choice(self.sysvars)
        v = r.choice(values + ["DEFAULT", "@@global." + name, default])
        forms = ["SET {0} = {1}", "SET SESSION {0} = {1}", "SET @@{0} = {1}", "SET @@session.{0} = {1}", "SET LOCAL {0} = {1}",
                 "SET @x = 1, {0} = {1}", "SET {0} = {1}, sql_mode = DEFAULT", "SET {0} = {1}, nothing_such = 1",
                 "SET STATEMENT {0} = {1} FOR SELECT @@{0}", "SET {0} = (SELECT @@global.{0})", "SET {0} = {1}; SELECT @@{0}"]
        if name in TRACKED:
            del forms[8]
        asks = ["SELECT @@{0}", "SELECT @@session.{0}, @@global.{0}", "SHOW VARIABLES LIKE '{0}'", "SHOW SESSION VARIABLES WHERE variable_name = '{0}'",
                "SELECT variable_value FROM information_schema.session_variables WHERE variable_name = '{0}'", "SELECT @@{0} FROM p%d LIMIT 1" % c]
        out = [r.choice(forms).format(name, v), r.choice(asks).format(name)]
        if r.randrange(4) == 0:
            out += ["SET {0} = DEFAULT".format(name), r.choice(asks).format(name)]
        return [["query", s] for s in out]

    def value(self):
        r = self.rng
        n = r.choice((0, 1, -1, 7, 127, -128, 250, 1 << 31, -(1 << 40)))
        text = r.choice((b"", b"abc", b"12", b"12x", "\u00e9".encode(), b"x" * 300, b"\0\1'\"\\"))
        return r.choice((
            (LONGLONG, struct.pack("<q", n)), (LONGLONG | UNSIGNED, struct.pack("<Q", n & (1 << 64) - 1)), (LONG, struct.pack("<i", n % 99)),
            (SHORT, struct.pack("<h", n % 99)), (TINY, struct.pack("<b", n % 99)), (TINY | UNSIGNED, b"\xc8"), (DOUBLE, struct.pack("<d", n / 3)),
            (FLOAT, struct.pack("<f", 0.5)), (VAR_STRING, lstr(text)), (STRING, lstr(text)), (BLOB, lstr(text)), (NEWDECIMAL, lstr(b"12.50")),
            (DATE, b"\x04\xe4\x07\x02\x1d"), (DATETIME, b"\x07\xe4\x07\x02\x1d\x0c\x22\x38"), (DATETIME, b"\x00"),
            (TIME, b"\x08\x01\x01\x00\x00\x00\x0a\x0b\x0c"), (NULL, None), (VAR_STRING, None), (LONG, None)))

    def prepared(self, c):
        r, key = self.rng, self.rng.randrange(3)
        kind = r.choice(("prepare", "prepare", "execute", "execute", "execute", "execute", "execute", "cursor", "cursor", "fetch", "fetch", "fetch", "reset", "close", "long", "life"))
        if kind == "prepare":
            return [["prepare", key, self.fill(r.choice(self.binary), c)]]
        if kind in ("execute", "cursor"):
            return [["execute", key, [[t, v if v is None else v.hex()] for t, v in (self.value() for _ in range(3))], r.randrange(5) > 0, kind == "cursor"]]
        if kind == "fetch":
            return [["fetch", key, r.choice((1, 2, 5, 100))]]
        if kind == "long":
            return [["long", key, 0, "6c6f6e67" * r.choice((1, 2, 40))], ["execute", key, [[BLOB, None], [LONG, "07000000"], [NULL, None]], True, False]]
        if kind == "life":
            return [["prepare", key, self.fill(r.choice(self.binary), c)], ["execute", key, [[LONG, "03000000"], [VAR_STRING, "0131"], [NULL, None]], True, False],
                    ["query", self.fill(r.choice(("ALTER TABLE d{c} ADD COLUMN z{d} INT", "SELECT 1", "SELECT @x, @o", "SELECT LAST_INSERT_ID()", "SHOW WARNINGS",
                                                  "SELECT FOUND_ROWS()", "SELECT ROW_COUNT()")), c)],
                    ["execute", key, [[LONG, "04000000"], [VAR_STRING, "0132"], [NULL, None]], r.randrange(2) == 0, False]]
        return [[kind, key]]

    def command(self, c):
        r = self.rng
        kind = r.choice(("reconnect", "reconnect", "reset_connection", "change_user", "init_db", "init_db", "ping", "field_list", "option", "debug"))
        clean = [["query", self.fill(s, c)] for s in CLEAN]
        if kind == "reconnect":
            return clean + [["connect", r.choice(("shop", "shop", "shop", "other", "")), r.choice(COLLATIONS + [45] * 8), r.choice(sorted(FLAVOURS)), r.choice(sorted(USERS))]]
        if kind == "reset_connection":
            return (clean if r.randrange(2) else []) + [["reset_connection"]]
        if kind == "change_user":
            return clean + [["change_user", r.choice(sorted(USERS)), r.randrange(12) > 0, r.choice(("shop", "other", "", "shop", "nowhere" if r.randrange(4) == 0 else "shop")), r.choice(COLLATIONS)]]
        if kind == "init_db":
            return [["init_db", r.choice(("shop", "other", "shop", "other", "nowhere", "information_schema"))]]
        if kind == "option":
            return [["option", r.randrange(2)], ["query", "SELECT 1; SELECT 2"], ["option", 0]]
        return [[kind] + (["p%d" % c] if kind == "field_list" else [])]

    def some(self, c):
        i = self.rng.choices(range(len(self.weights)), self.weights)[0]
        if i == len(self.groups):
            return self.variable(c)
        if i == len(self.groups) + 1:
            return self.prepared(c)
        if i == len(self.groups) + 2:
            return self.command(c)
        return [["query", s] for s in self.fill(self.rng.choice(self.groups[i][0]), c).split("|")]

    def script(self, steps):
        out = [[c, "connect", "shop", 45, f, APP[0]] for c, f in zip(range(CLIENTS), ("classic", "new", "classic", "track"))]
        while len(out) < steps:
            c = self.rng.randrange(CLIENTS)
            if not self.nexts[c]:
                self.nexts[c] = self.some(c)
            out.append([c] + self.nexts[c].pop(0))
        return out


def step_text(step):
    c, kind, *rest = step
    return "%d: %s" % (c, rest[0] if kind == "query" else " ".join([kind] + [str(a) for a in rest]))


# ---- the servers ----

# Session variables that cannot be set in such a test, and why.
LEFT_OUT = {
    "lock_wait_timeout": "statements must not wait", "innodb_lock_wait_timeout": "statements must not wait",
    "wait_timeout": "the connection may end", "interactive_timeout": "the connection may end", "net_read_timeout": "the connection may end",
    "net_write_timeout": "the connection may end", "idle_transaction_timeout": "the connection may end", "idle_readonly_transaction_timeout": "the connection may end",
    "idle_write_transaction_timeout": "the connection may end", "max_statement_time": "of the machine's speed", "max_session_mem_used": "of the machine's speed",
    "pseudo_thread_id": "the connection's id", "server_id": "each server's own", "gtid_seq_no": "replication stops", "gtid_domain_id": "each server's own",
    "timestamp": "tells the time", "rand_seed1": "of the thread's past", "rand_seed2": "of the thread's past", "last_gtid": "each server's own",
    "warning_count": "asked for elsewhere", "error_count": "asked for elsewhere", "in_transaction": "asked for elsewhere", "insert_id": "of the thread's past",
    "proxy_user": "read only", "external_user": "read only", "skip_parallel_replication": "of replication", "completion_type": "RELEASE ends the connection",
    "session_track_system_variables": "is Margay's until asked for (test_fidelity)", "session_track_state_change": "the same", "session_track_schema": "the same",
    "session_track_transaction_info": "the same", "sql_select_limit": "set elsewhere", "character_set_client": "set elsewhere",
    "character_set_database": "its DEFAULT is of the connection's past", "collation_database": "the same",
    "debug_no_thread_alarm": "debug", "tcp_nodelay": "the connection's own", "socket": "each server's own",
}


def session_variables(server):
    """[(name, default, values to try)] of every variable that a session may set."""
    rows = server.sql("SELECT variable_name, variable_type, default_value, global_value, numeric_min_value, numeric_max_value, enum_value_list, read_only FROM "
                      "information_schema.system_variables WHERE variable_scope IN ('SESSION', 'SESSION ONLY') ORDER BY 1")
    out = []
    for name, kind, default, now, low, high, words, ro in rows:
        name = name.lower()
        if name in LEFT_OUT or name.startswith(("wsrep", "debug", "performance_schema")):
            continue
        now = now if now is not None else default or ""
        if "INT" in kind or kind == "DOUBLE":
            number = lambda x: str(x or 0)
            small = int(float(low or 0))
            values = [number(low), str(small + 1), str(small + 8), "-1", "'x'", "1.5"]
            default = now or "0"
            if kind == "BIGINT UNSIGNED" and "size" not in name and "mem" not in name:
                values.append("1000")
        elif kind in ("BOOLEAN", "ENUM"):
            values = ["'%s'" % w for w in (words or "OFF,ON").split(",")][:6] + ["0", "1", "99", "'nonsense'"]
            default = "'%s'" % now
        elif kind in ("SET", "FLAGSET"):
            w = (words or "").split(",")
            values = ["''", "'%s'" % w[0], "'%s,%s'" % (w[0], w[-1]), "1", "'nonsense'"] if kind == "SET" else ["'%s=off'" % w[0], "'%s=on'" % w[1], "'nonsense'", "'default'"]
            default = "'%s'" % now
        else:
            values = {"time_zone": ["'+03:00'", "'SYSTEM'", "'nowhere'"], "lc_time_names": ["'de_DE'", "'fr_FR'", "5"], "lc_messages": ["'de_DE'", "'en_US'"],
                      "default_storage_engine": ["MyISAM", "InnoDB", "'nonsense'"]}.get(name, ["'%s'" % now, "NULL", "'nonsense'", "1"])
            default = "'%s'" % now if now else "DEFAULT"
        out.append((name, default, values))
    return out


def schema():
    st = ["DROP DATABASE IF EXISTS shop", "DROP DATABASE IF EXISTS other", "CREATE DATABASE shop", "CREATE DATABASE other CHARACTER SET latin1", "USE shop",
          "CREATE TABLE calm (a INT PRIMARY KEY)", "INSERT INTO calm VALUES (1)", "CREATE TABLE s (id INT PRIMARY KEY, v INT)", "INSERT INTO s SELECT seq, seq FROM seq_1_to_9",
          "CREATE PROCEDURE two(n INT) BEGIN SELECT n, n + 1 AS m; SELECT n * 2 AS d; END",
          "CREATE PROCEDURE setx(n INT) SET @x = n",
          "CREATE PROCEDURE outp(IN a INT, OUT b INT, INOUT c INT) BEGIN SET b = a * 2; SET c = COALESCE(c, 0) + a; SELECT a, b; END",
          "CREATE PROCEDURE fails(n INT) BEGIN SELECT n; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'failed here'; END",
          "CREATE PROCEDURE tmp(n INT) BEGIN CREATE OR REPLACE TEMPORARY TABLE made AS SELECT n AS a; END",
          "CREATE PROCEDURE nested(n INT) BEGIN CALL two(n); SELECT 1/0; CALL setx(n); SHOW WARNINGS; END",
          "CREATE FUNCTION fx(n INT) RETURNS INT NO SQL BEGIN SET @y = n; RETURN n; END",
          "CREATE FUNCTION pure(n INT) RETURNS INT DETERMINISTIC NO SQL RETURN n + 1"]
    for c in range(CLIENTS):
        st += ["CREATE TABLE p%d (id INT AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 0, s VARCHAR(20) DEFAULT 'a')" % c, "INSERT INTO p%d (v) VALUES (1), (2), (3), (4)" % c,
               "CREATE TABLE other.p%d (id INT AUTO_INCREMENT PRIMARY KEY, v INT DEFAULT 5)" % c, "CREATE TABLE my%d (a INT, KEY (a)) ENGINE=MyISAM" % c,
               "CREATE TABLE trg%d (v INT)" % c, "CREATE TRIGGER tr%d BEFORE INSERT ON trg%d FOR EACH ROW SET @x = NEW.v" % (c, c),
               "CREATE PROCEDURE ins%d(n INT) INSERT INTO p%d (v) VALUES (n)" % (c, c),
               "CREATE PROCEDURE trx%d(n INT) BEGIN START TRANSACTION; INSERT INTO p%d (v) VALUES (n); COMMIT; END" % (c, c),
               "CREATE FUNCTION insf%d(n INT) RETURNS INT BEGIN INSERT INTO p%d (v) VALUES (n); RETURN n; END" % (c, c),
               "CREATE VIEW view%d AS SELECT id, v FROM p%d" % (c, c), "CREATE SEQUENCE seq%d" % c]
    return st


class Difference:
    def __init__(self, at, step, want, got):
        self.at, self.step, self.want, self.got = at, step, want, got

    def signature(self):
        """What kind of difference it is: the shorter script must show the same."""
        n = self.first()
        head = lambda ps: bytes(ps[n][1][:3]) if n < len(ps) else b"-"
        return self.step[1], head(self.want), head(self.got)

    def first(self):
        return next((i for i, (a, b) in enumerate(zip(self.want, self.got)) if a != b), min(len(self.want), len(self.got)))

    def text(self):
        n = self.first()
        show = lambda ps: "\n".join("        %s%d %r" % ("* " if i == n else "  ", seq, bytes(b)[:300]) for i, (seq, b) in list(enumerate(ps))[:24])
        return "%s\n    alone:\n%s\n    through Margay:\n%s" % (step_text(self.step), show(self.want), show(self.got))


class World:
    def __init__(self):
        # ROW: of mixed replication temporary tables may stay behind on the replica and hide others
        options = ["--log-bin-trust-function-creators=1", "--binlog-format=ROW"]
        self.db = replication_set(1, users=USERS, options=options)
        self.alone = MariaDB("alone", options)
        accounts(self.alone, USERS)
        for s in (self.db[0], self.alone):
            s.sql("SET GLOBAL lock_wait_timeout = 0", "SET GLOBAL innodb_lock_wait_timeout = 0",
                  *["GRANT RELOAD ON *.* TO %s@'%%'" % u for u in USERS])
        self.sysvars = session_variables(self.alone)
        self.margays = {}
        self.done, self.refused = 0, []

    def margay(self, causal):
        if causal not in self.margays or not self.margays[causal].proc.alive():  # it ends with the test that started it
            self.margays[causal] = Margay(self.db, name="margay-" + causal, server={"pool_size": POOL}, cluster={"causal_reads": causal},
                                          users={u: {"password": p} for u, p in USERS.items()})
        return self.margays[causal]

    def fresh(self, m):
        """Both worlds as in the beginning. Sessions of the run before may still hold locks."""
        for s in (self.db[0], self.alone):
            def made():
                for x in s.sql("XA RECOVER"):
                    s.sql("XA ROLLBACK '%s'" % (x[3].decode() if isinstance(x[3], bytes) else x[3]))
                s.sql("SET lock_wait_timeout = 1", *schema())
                return True
            wait_for(made, 5, "the schema of %s" % s.name)
        self.db[1].catch_up()
        m.wait_servers()

    def run(self, script, causal, go_on=None):
        """The script from its beginning; None, or the first Difference. go_on: a list that takes all of them."""
        m = self.margay(causal)
        self.fresh(m)
        self.done, self.refused = 0, []
        pairs = {}
        try:
            for at, step in enumerate(script):
                d = self.step(m, pairs, at, step)
                if d and go_on is None:
                    return d
                if d:
                    go_on.append(d)
                    self.restart(m, pairs, step[0])
        finally:
            for pair in pairs.values():
                for c in pair:
                    c.close()
        return None

    def connect(self, m, pairs, c, db, charset, flavour, user):
        for old in pairs.pop(c, ()):
            old.quit()
        if db:
            self.db[1].catch_up(self.db[0])  # a new session is promised its own writes, not those of an earlier one
        pairs[c] = [WireClient("127.0.0.1", port, user, USERS[user], db, charset, flavour) for port in (self.alone.port, m.port)]
        for client in pairs[c]:
            client.query_all(SETTLE)

    def step(self, m, pairs, at, step):
        c, kind, *rest = step
        if kind == "connect":
            self.connect(m, pairs, c, *rest)
            return None
        if c not in pairs:
            return None
        replies = []
        for client in reversed(pairs[c]):  # Margay first: what it refuses has not been done, and is not done alone either
            try:
                replies.append(self.act(client, kind, rest))
            except Closed as e:
                replies.append([[0, b"closed: " + str(e).encode()]])
            except Silent as e:
                replies.append([[0, b"silent: " + str(e).encode()]])
            if self.is_refused(replies[0]):
                self.refused.append("%s: %s" % (step_text(step)[3:60], replies[0][-1][1][9:].decode(errors="replace")))
                self.restart(m, pairs, c)
                return None
        self.done += 1
        got, want = replies
        if want == got:
            if want and want[-1][1].startswith((b"closed", b"silent")):
                self.connect(m, pairs, c, "shop", 45, "classic", APP[0])
            return None
        return Difference(at, step, want, got)

    def is_refused(self, reply):
        return reply and reply[-1][1][:1] == b"\xff" and REFUSED in reply[-1][1]

    def restart(self, m, pairs, c):
        """On from a state that both have again."""
        for client in pairs[c]:
            try:
                for s in CLEAN:
                    client.query_all(s.format(c=c))
            except (Closed, Silent):
                pass
        self.connect(m, pairs, c, "shop", 45, "classic", APP[0])

    def act(self, client, kind, rest):
        out = self.act_once(client, kind, rest)
        if kind in ("reset_connection", "change_user"):
            client.query_all(SETTLE)
        return out

    def act_once(self, client, kind, rest):
        if kind == "query":
            return client.query_all(rest[0])
        if kind == "prepare":
            return client.prepare_as(*rest)
        if kind in ("execute", "fetch", "reset", "close", "long"):
            if rest[0] not in client.stmts:
                return []
            if kind == "execute":
                key, params, bound, cursor = rest
                params = [(t, None if v is None else bytes.fromhex(v)) for t, v in params]
                return client.execute(key, params, bound, cursor)
            if kind == "fetch":
                return client.fetch(*rest)
            if kind == "reset":
                return client.reset_stmt(rest[0])
            if kind == "close":
                return client.close_stmt(rest[0])
            if not client.stmts[rest[0]][1] or not client.texts[rest[0]].startswith(("INSERT", "UPDATE", "SELECT LENGTH")):
                return []  # 10.11 answers SELECT ? and its like with an address in its memory
            return client.long_data(rest[0], rest[1], bytes.fromhex(rest[2]))
        if kind == "reset_connection":
            return client.reset_connection() + self.use_again(client)
        if kind == "change_user":
            user, right, db, charset = rest
            out = client.change_user(user, USERS[user] if right else "wrong", db, charset)
            return out + (self.use_again(client) if out[-1][1][:1] == b"\xff" else [])
        if kind == "init_db":
            return client.simple(COM_INIT_DB, rest[0].encode())
        if kind == "ping":
            return client.simple(COM_PING)
        if kind == "field_list":
            return client.field_list(rest[0])
        if kind == "option":
            return client.simple(COM_SET_OPTION, struct.pack("<H", rest[0] ^ 1))
        if kind == "debug":
            return client.simple(COM_DEBUG)
        raise Failed("no such step: " + kind)

    def use_again(self, client):
        """A server that has reset a session keeps its database, but not @@collation_database (doc/PROTOCOL)."""
        out = client.query_all("SELECT DATABASE()")
        return out + client.simple(COM_INIT_DB, out[-2][1][1:] if out[-2][1][:1] != b"\xfb" else b"shop")
