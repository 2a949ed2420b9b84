<?php
// Work of a client of PHP's PDO: php pdo.php HOST PORT USER PASSWORD. Prints what it sees.
[, $host, $port, $user, $password] = $argv;

function show($step, ...$what)
{
	echo substr($step, 0, 60), ' ', implode(' ', array_map(fn ($w) => json_encode($w, JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR), $what)), "\n";
}

function connect($options = [], $user = null, $password = null, $db = 'shop')
{
	global $host, $port, $argv;
	return new PDO("mysql:host=$host;port=$port;dbname=$db;charset=utf8mb4", $user ?? $argv[3], $password ?? $argv[4],
		$options + [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function run($c, $sql, $args = [])
{
	try {
		$s = $c->prepare($sql);
		$s->execute($args);
		do {
			$n = $s->columnCount();
			$rows = $n ? $s->fetchAll(PDO::FETCH_NUM) : null;
			$rows = $rows === null ? null : array_map(fn ($r) => array_map(fn ($v) => is_string($v) && !preg_match('//u', $v) ? 'hex ' . bin2hex($v) : $v, $r), $rows);
			$meta = array_map(fn ($i) => $s->getColumnMeta($i), $n ? range(0, $n - 1) : []);
			show($sql, $meta, $rows, $s->rowCount(), $c->lastInsertId());
		} while ($s->nextRowset());
	} catch (PDOException $e) {
		show($sql, $e->errorInfo, $e->getMessage());
	}
}

foreach ([[null, 'wrong'], ['nobody', 'x'], [null, null, 'nowhere']] as $a) {
	try {
		connect([], ...$a);
	} catch (PDOException $e) {
		show('login', $e->getCode(), $e->getMessage());
	}
}
$row = ['ti' => -128, 'si' => -32768, 'mi' => 8388607, 'bi' => PHP_INT_MIN, 'ub' => '18446744073709551615', 'f' => 1.5, 'd' => 1e-300,
	'de' => '12345678901234567890.0123456789', 'da' => '1999-12-31', 'tm' => '-838:00:00.000001',
	'dt' => '2038-01-19 03:14:07.999999', 'ts' => '2020-02-29 12:00:00', 'yr' => 2155, 'ch' => "a\u{e9}\u{1f600}",
	'vc' => "o'neil \\ \"x\" \u{1f40b}%_", 'tx' => str_repeat('x', 70000), 'en' => 'b', 'st' => 'x,z', 'js' => '{"a": [1, null]}'];
$names = implode(', ', array_keys($row));
$insert = "INSERT INTO types ($names) VALUES (" . implode(', ', array_fill(0, count($row), '?')) . ')';

foreach ([true, false] as $emulate) {
	$c = connect([PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::MYSQL_ATTR_INIT_COMMAND => "SET time_zone = '+05:00'",
		PDO::MYSQL_ATTR_FOUND_ROWS => $emulate, PDO::MYSQL_ATTR_LOCAL_INFILE => true]);
	show('attributes', $c->getAttribute(PDO::ATTR_SERVER_VERSION), $c->getAttribute(PDO::ATTR_AUTOCOMMIT));
	run($c, $insert, array_values($row));
	run($c, $insert, array_fill(0, count($row), null));
	run($c, 'INSERT INTO types () VALUES (), ()');
	run($c, 'SELECT * FROM types ORDER BY id');
	run($c, 'SELECT ?, ?, @@time_zone', [null, "\u{20ac}"]);
	$blob = str_repeat(implode('', array_map('chr', range(0, 255))), 12000);
	$s = $c->prepare('REPLACE INTO big VALUES (1, ?)');
	$s->bindValue(1, $blob, PDO::PARAM_LOB);
	show('blob', $s->execute(), $s->rowCount());
	[$b, $md5] = $c->query('SELECT b, MD5(b) FROM big WHERE id = 1')->fetch(PDO::FETCH_NUM);
	show('blob', strlen($b), md5($b) === $md5, $b === $blob);
	$c->beginTransaction();
	run($c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
	show('in transaction', $c->inTransaction());
	$c->rollBack();
	run($c, 'SELECT COUNT(*) FROM uniq');
	$c->beginTransaction();
	run($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['a', 1]);
	run($c, 'CREATE TABLE IF NOT EXISTS implicit (a INT)');
	show('in transaction', $c->inTransaction()); // the status flag: CREATE has committed
	$c->inTransaction() && $c->commit();
	run($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['a', 1]);
	run($c, 'UPDATE uniq SET v = v');
	run($c, 'SELECT * FROM nowhere.nothing');
	run($c, 'SELEC 1');
	run($c, "SELECT CAST('12x' AS INT)");
	run($c, 'SHOW WARNINGS');
	run($c, 'CALL two(?)', [7]);
	run($c, "SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', @v = 9");
	run($c, 'SELECT @v AS "v", @@sql_mode, ?', ["back\\slash 'quoted'"]);
	run($c, 'SET SESSION sql_mode = DEFAULT');
	run($c, 'CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a');
	run($c, 'SELECT * FROM tmp');
	run($c, 'DROP TABLE implicit');
	run($c, 'DELETE FROM uniq');
	$c->setAttribute(PDO::MYSQL_ATTR_USE_BUFFERED_QUERY, false);
	$s = $c->query('SELECT id, txt FROM many ORDER BY id');
	for ($sum = 0; $r = $s->fetch(PDO::FETCH_NUM);)
		$sum += $r[0];
	show('stream', $sum);
	$s = $c->prepare('SELECT id, txt FROM many ORDER BY id');
	$s->execute();
	show('stream', $s->fetch(PDO::FETCH_NUM));
	$s->closeCursor();
	$s = null;
	run($c, 'SELECT 1');
	$c = null;
}
for ($i = 0; $i < 2; $i++) {
	$c = connect([PDO::ATTR_PERSISTENT => true]);
	run($c, 'SELECT 5');
	$c = null;
}
