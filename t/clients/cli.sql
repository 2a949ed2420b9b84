-- Work of the mariadb command line client; what it prints is compared.
SELECT @@character_set_client, @@collation_connection, DATABASE(), CURRENT_USER();
INSERT INTO types (ti, bi, ub, f, d, de, da, tm, dt, ts, yr, ch, vc, tx, bl, bn, bt, en, st, js) VALUES
 (-128, -9223372036854775808, 18446744073709551615, 1.5, 2.25e-300, 12345678901234567890.0123456789, '1999-12-31',
  '-838:00:00.000001', '2038-01-19 03:14:07.999999', '2020-02-29 12:00:00', 2155, 'aé😀', 'o''neil \\ "x" 🐋%_', REPEAT('x', 300),
  UNHEX('00ff275c'), UNHEX('00ff'), b'101010111100', 'b', 'x,z', '{"a": [1, null]}'), (), ();
SELECT * FROM types ORDER BY id;
SELECT * FROM types ORDER BY id\G
SELECT NULL AS n, 1 = 1, 'a	tab', 'a
newline';
INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3);
UPDATE uniq SET v = 9 WHERE v > 1;
UPDATE uniq SET v = 9 WHERE v > 1;
DELETE FROM uniq WHERE k = 'c';
INSERT INTO uniq (k, v) VALUES ('a', 1);
INSERT IGNORE INTO uniq (k, v) VALUES ('a', 1), ('z', 'x');
SHOW WARNINGS;
SELECT ROW_COUNT(), LAST_INSERT_ID();
SELEC 1;
SELECT * FROM nowhere.nothing;
SHOW ERRORS;
SELECT CAST('12x' AS INT), 1/0;
SHOW COUNT(*) WARNINGS;
BEGIN; INSERT INTO uniq (k) VALUES ('t'); SELECT @@in_transaction; ROLLBACK; SELECT COUNT(*) FROM uniq;
SET autocommit = 0; DELETE FROM uniq; ROLLBACK; SET autocommit = 1; SELECT COUNT(*) FROM uniq;
PREPARE s FROM 'SELECT ? + ?'; SET @a = 1, @b = 2; EXECUTE s USING @a, @b; DEALLOCATE PREPARE s; EXECUTE s;
DELIMITER $$
CREATE OR REPLACE PROCEDURE clip(IN n INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO SELECT i, n; SET i = i + 1; END WHILE; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'enough'; END$$
CALL clip(3)$$
BEGIN NOT ATOMIC DECLARE x INT DEFAULT 5; SELECT x; END$$
DELIMITER ;
CALL two(5);
SET @i = 3; CALL outp(4, @o, @i); SELECT @o, @i;
CREATE TEMPORARY TABLE tmp (a INT); INSERT INTO tmp VALUES (1), (2); SELECT * FROM tmp; DROP TEMPORARY TABLE tmp;
HANDLER uniq OPEN; HANDLER uniq READ FIRST; HANDLER uniq READ NEXT; HANDLER uniq CLOSE;
LOCK TABLES uniq WRITE; INSERT INTO uniq (k) VALUES ('l'); SELECT COUNT(*) FROM pool; UNLOCK TABLES;
SELECT GET_LOCK('cli', 1), IS_USED_LOCK('cli') = CONNECTION_ID(), RELEASE_LOCK('cli');
SHOW CREATE TABLE uniq\G
SHOW TABLES;
DESCRIBE types;
SHOW VARIABLES LIKE 'sql_mode';
EXPLAIN SELECT * FROM uniq WHERE k = 'a';
SET sql_mode = 'ANSI_QUOTES'; SELECT "k" FROM uniq ORDER BY 1 LIMIT 1; SET sql_mode = DEFAULT;
SET STATEMENT max_statement_time = 100 FOR SELECT 1;
SELECT SQL_CALC_FOUND_ROWS id FROM many ORDER BY id LIMIT 2; SELECT FOUND_ROWS();
WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r;
USE other
SELECT DATABASE();
USE nowhere
\u shop
\C latin1
SELECT @@character_set_client, HEX('café');
\C utf8mb4
ANALYZE TABLE uniq;
CHECKSUM TABLE many;
SHOW FULL COLUMNS FROM uniq;
XA START 'cli'; INSERT INTO uniq (k) VALUES ('xa'); XA END 'cli'; XA PREPARE 'cli'; XA COMMIT 'cli'; SELECT COUNT(*) FROM uniq;
SELECT id, LENGTH(txt) FROM many WHERE id <= 1500 ORDER BY id;
GET DIAGNOSTICS @n = NUMBER; SELECT @n;
resetconnection
SELECT @n, DATABASE();
