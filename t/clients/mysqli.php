<?php
// Work of a client of PHP's mysqli: php mysqli.php HOST PORT USER PASSWORD. Prints what it sees.
[, $host, $port, $user, $password] = $argv;
$have = explode(' ', getenv('HAVE') ?: '');
mysqli_report(MYSQLI_REPORT_OFF);

function show($step, ...$what)
{
	echo substr($step, 0, 60), ' ', implode(' ', array_map(fn ($w) => var_export_short($w), $what)), "\n";
}

function var_export_short($w)
{
	return str_replace("\n", ' ', json_encode($w, JSON_UNESCAPED_UNICODE | JSON_PARTIAL_OUTPUT_ON_ERROR) . (is_string($w) && !preg_match('//u', $w) ? bin2hex($w) : ''));
}

function hexed($rows)
{
	return array_map(fn ($r) => array_map(fn ($v) => is_string($v) && !preg_match('//u', $v) ? 'hex ' . bin2hex($v) : $v, $r), $rows);
}

function fields($r)
{
	return array_map(fn ($f) => [$f->name, $f->table, $f->type, $f->length, $f->flags, $f->charsetnr, $f->decimals], $r->fetch_fields());
}

function connect($more = [])
{
	global $host, $port, $user, $password;
	$a = array_merge(['user' => $user, 'password' => $password, 'db' => 'shop'], $more);
	$c = mysqli_init();
	$c->options(MYSQLI_INIT_COMMAND, "SET @init = 'done'");
	if (!@$c->real_connect($host, $a['user'], $a['password'], $a['db'], (int)$port)) {
		show('login', array_keys($more), $c->connect_errno, $c->connect_error);
		return null;
	}
	$c->set_charset('utf8mb4');
	return $c;
}

function run($c, $sql)
{
	if (!$c->multi_query($sql)) {
		show($sql, $c->errno, $c->sqlstate, $c->error);
		return;
	}
	do {
		$r = $c->store_result();
		if ($r)
			show($sql, fields($r), hexed($r->fetch_all()));
		else
			show($sql, $c->errno, $c->error, $c->affected_rows, $c->insert_id, $c->info);
		show($sql, 'warnings', $c->warning_count);
	} while ($c->more_results() && $c->next_result());
	if ($c->errno)
		show($sql, $c->errno, $c->sqlstate, $c->error);
}

function execute($c, $sql, $types, $args)
{
	$s = $c->prepare($sql);
	if (!$s) {
		show($sql, 'prepare', $c->errno, $c->sqlstate, $c->error);
		return;
	}
	if ($types)
		$s->bind_param($types, ...$args);
	if (!$s->execute()) {
		show($sql, $s->errno, $s->sqlstate, $s->error);
		return;
	}
	do {
		$r = $s->get_result();
		if ($r)
			show($sql, fields($r), hexed($r->fetch_all()));
		else
			show($sql, $s->affected_rows, $s->insert_id);
	} while ($s->more_results() && $s->next_result());
	$s->close();
}

connect(['password' => 'wrong']);
connect(['user' => 'nobody']);
connect(['db' => 'nowhere']);
$c = connect();
run($c, 'SELECT @init, @@character_set_client, @@collation_connection');
show('info', $c->server_info, $c->server_version, $c->protocol_version, $c->character_set_name());

$row = ['ti' => -128, 'si' => -32768, 'mi' => 8388607, 'bi' => PHP_INT_MIN, 'ub' => '18446744073709551615', 'f' => 1.5, 'd' => 1e-300,
	'de' => '12345678901234567890.0123456789', 'da' => '1999-12-31', 'tm' => '-838:00:00.000001',
	'dt' => '2038-01-19 03:14:07.999999', 'ts' => '2020-02-29 12:00:00', 'yr' => 2155, 'ch' => "a\u{e9}\u{1f600}",
	'vc' => "o'neil \\ \"x\" \u{1f40b}%_", 'tx' => str_repeat('x', 70000), 'bn' => "\0\xff'\\", 'en' => 'b', 'st' => 'x,z',
	'js' => '{"a": [1, null]}'];
$names = implode(', ', array_keys($row));
$insert = "INSERT INTO types ($names) VALUES (" . implode(', ', array_fill(0, count($row), '?')) . ')';
execute($c, $insert, 'iiiisdds' . str_repeat('s', count($row) - 8), array_values($row));
execute($c, $insert, str_repeat('s', count($row)), array_fill(0, count($row), null));
run($c, "INSERT INTO types ($names) VALUES (" . implode(', ', array_map(fn ($v) => is_string($v) ? "'" . $c->real_escape_string($v) . "'" : $v, $row)) . ')');
run($c, 'INSERT INTO types () VALUES (), (), ()');
run($c, 'SELECT * FROM types ORDER BY id');
execute($c, 'SELECT * FROM types ORDER BY id', '', []);
execute($c, 'SELECT ? AS a, ? AS b, ? AS c', 'sid', [null, 12, 1.25]);

$blob = str_repeat(implode('', array_map('chr', range(0, 255))), 12000);
$s = $c->prepare('REPLACE INTO big VALUES (1, ?)');
$null = null;
$s->bind_param('b', $null);
foreach (str_split($blob, 500000) as $part)
	$s->send_long_data(0, $part);
show('blob', $s->execute(), $s->affected_rows, $s->error);
$s->close();
[$b, $md5] = $c->query('SELECT b, MD5(b) FROM big WHERE id = 1')->fetch_row();
show('blob', strlen($b), md5($b) === $md5, $b === $blob);

$c->autocommit(false);
run($c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
run($c, 'SELECT LAST_INSERT_ID() > 0');
$c->rollback();
run($c, 'SELECT COUNT(*) FROM uniq');
$c->begin_transaction(MYSQLI_TRANS_START_READ_WRITE);
execute($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'si', ['a', 1]);
$c->savepoint('s');
execute($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'si', ['b', 1]);
run($c, 'ROLLBACK TO SAVEPOINT s');
$c->commit();
$c->autocommit(true);
run($c, 'SELECT k, v FROM uniq ORDER BY k');
execute($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'si', ['a', 1]);
run($c, 'SELECT * FROM nowhere.nothing');
execute($c, 'SELECT * FROM nowhere.nothing', '', []);
run($c, 'SELEC 1');
$c->query("SELECT CAST('12x' AS INT)");
$w = $c->get_warnings();
show('warnings', $c->warning_count, $w ? [$w->errno, $w->sqlstate, $w->message] : null);
run($c, "UPDATE uniq SET v = 10; SELECT 1; SELEC 2; SELECT 3");
run($c, 'CALL two(7)');
execute($c, 'CALL two(?)', 'i', [7]);
execute($c, 'CALL outp(?, @b, @c)', 'i', [7]);
run($c, 'SELECT @b, @c');
execute($c, 'SELECT id, LENGTH(txt) FROM many WHERE id < 3', '', []);

$s = $c->prepare('SELECT id FROM many WHERE id < ? ORDER BY id');
$s->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
$n = 1000;
$s->bind_param('i', $n);
$s->execute();
$s->bind_result($id);
for ($sum = 0; $s->fetch();)
	$sum += $id;
show('cursor', $sum, $s->error);
$n = 50;
$s->execute();
$s->bind_result($id);
$s->fetch();
show('cursor', $id);
$s->reset();
run($c, 'SELECT 1');
$s->close();

$r = $c->query('SELECT id, txt FROM many ORDER BY id', MYSQLI_USE_RESULT);
for ($sum = 0, $n = 0; $line = $r->fetch_row(); $n++)
	$sum += $line[0];
show('stream', $n, $sum);
$r = $c->query('SELECT id, txt FROM many ORDER BY id', MYSQLI_USE_RESULT);
show('stream', $r->fetch_row());
show('out of sync', $c->query('SELECT 1'), $c->errno);
$r->free();
run($c, "SET SESSION sql_mode = 'ANSI_QUOTES', @v = 9");
run($c, 'SELECT @v AS "v", @@sql_mode');
run($c, 'CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a; SELECT * FROM tmp');
show('select_db', $c->select_db('other'), $c->select_db('nowhere'), $c->errno, $c->error);
run($c, 'SELECT DATABASE()');
show('set_charset', $c->set_charset('latin1'), $c->character_set_name());
run($c, 'SELECT @@character_set_results');
show('stat', preg_replace('/\d+(\.\d+)?/', 'N', $c->stat()));
show('ping', @$c->ping());
if (in_array('change_user', $have)) {
	show('change user', $c->change_user(getenv('OTHER_USER'), getenv('OTHER_PASSWORD'), 'shop'), $c->error);
	run($c, 'SELECT CURRENT_USER(), DATABASE(), @v, @@sql_mode');
	show('change user', @$c->change_user(getenv('OTHER_USER'), 'wrong', 'shop'), $c->errno);
}
$c->close();

// persistent connections are given back to the pool of the process, and change user when they are taken out again
if (in_array('change_user', $have)) {
	for ($i = 0; $i < 3; $i++) {
		$c = new mysqli('p:' . $host, $user, $password, 'shop', (int)$port);
		run($c, 'SELECT @left, @@sql_mode');
		run($c, "SET @left = $i, sql_mode = ''");
		$c->close();
	}
}
$two = [connect(), connect()];
foreach ($two as $i => $c)
	$c->query("SELECT $i, SLEEP(0.01)", MYSQLI_ASYNC);
$left = $two;
while (count($left) > 0) {
	[$read, $error, $reject] = [$left, [], []];
	mysqli_poll($read, $error, $reject, 5);
	foreach ($read as $c) {
		$left = array_values(array_filter($left, fn ($x) => $x !== $c));
		$got[array_search($c, $two, true)] = $c->reap_async_query()->fetch_row();
	}
}
ksort($got);
show('async', $got);
