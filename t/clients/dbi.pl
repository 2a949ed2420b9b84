# Work of a client of Perl's DBI: perl dbi.pl MariaDB|mysql HOST PORT USER PASSWORD. Prints what it sees.
use strict;
use warnings;
use utf8;
use DBI;
use Digest::MD5 qw(md5_hex);
use Data::Dumper;

my ($driver, $host, $port, $user, $password) = @ARGV;
my $p = $driver eq 'MariaDB' ? 'mariadb_' : 'mysql_';
my $have = $ENV{HAVE} // '';
$Data::Dumper::Indent = 0;
$Data::Dumper::Terse = 1;
$Data::Dumper::Useqq = 1;
$Data::Dumper::Sortkeys = 1;
$| = 1;

sub show {
	my $step = substr(shift, 0, 60);
	print Dumper($step), ' ', join(' ', map { Dumper($_) } @_), "\n";
}

sub conn {
	my ($more, $u, $pw, $db) = @_;
	my $dsn = "DBI:$driver:database=" . ($db // 'shop') . ";host=$host;port=$port$more";
	my %attr = (RaiseError => 0, PrintError => 0, AutoCommit => 1);
	$attr{mysql_enable_utf8mb4} = 1 if $driver eq 'mysql';
	return DBI->connect($dsn, $u // $user, $pw // $password, \%attr);
}

sub run {
	my ($c, $sql, @args) = @_;
	my $s = $c->prepare($sql);
	if (!$s) {
		show($sql, 'prepare', $c->err, $c->errstr, $c->state);
		return;
	}
	my $n = $s->execute(@args);
	if (!defined $n) {
		show($sql, $s->err, $s->errstr, $s->state);
		return;
	}
	do {
		if ($s->{NUM_OF_FIELDS}) {
			show($sql, $s->{NAME}, $s->{TYPE}, $s->{"${p}length"}, $s->fetchall_arrayref());
		} else {
			show($sql, $n, $s->{"${p}insertid"});
		}
	} while ($s->more_results());
	show($sql, 'after', $s->{"${p}warning_count"}, $s->rows) if $driver eq 'MariaDB';
}

for my $try (['wrong', 'password'], ['nobody', 'user'], ['nowhere', 'database']) {
	my $c = conn('', $try->[1] eq 'user' ? 'nobody' : undef, $try->[1] eq 'password' ? 'wrong' : undef,
		$try->[1] eq 'database' ? 'nowhere' : undef);
	show('login', $try, $DBI::err, $DBI::errstr, $DBI::state) if !$c;
}

my %row = (ti => -128, si => -32768, mi => 8388607, bi => '-9223372036854775808', ub => '18446744073709551615', f => 1.5,
	d => '1e-300', de => '12345678901234567890.0123456789', da => '1999-12-31', tm => '-838:00:00.000001',
	dt => '2038-01-19 03:14:07.999999', ts => '2020-02-29 12:00:00', yr => 2155, ch => "a\x{e9}\x{1f600}",
	vc => "o'neil \\ \"x\" \x{1f40b}%_", tx => 'x' x 70000, en => 'b', st => 'x,z', js => '{"a": [1, null]}');

for my $server (0, 1) {
	my $c = conn(";${p}server_prepare=$server") or die $DBI::errstr;
	my @names = sort keys %row;
	my $insert = 'INSERT INTO types (' . join(', ', @names) . ') VALUES (' . join(', ', ('?') x @names) . ')';
	run($c, $insert, map { $row{$_} } @names);
	run($c, $insert, map { undef } @names);
	run($c, 'INSERT INTO types () VALUES (), ()');
	run($c, 'SELECT * FROM types ORDER BY id');
	run($c, 'SELECT ? AS a, ? AS b', undef, "\x{20ac}");
	my $blob = join('', map { chr } 0 .. 255) x 12000;
	my $s = $c->prepare('REPLACE INTO big VALUES (1, ?)');
	$s->bind_param(1, $blob, DBI::SQL_BLOB);
	show('blob', $s->execute());
	my ($b, $m) = $c->selectrow_array('SELECT b, MD5(b) FROM big WHERE id = 1');
	show('blob', length $b, md5_hex($b) eq $m, $b eq $blob);

	$c->begin_work();
	run($c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
	run($c, 'SELECT LAST_INSERT_ID() > 0');
	$c->rollback();
	run($c, 'SELECT COUNT(*) FROM uniq');
	$c->begin_work();
	run($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'a', 1);
	show('last id', $c->last_insert_id(undef, undef, undef, undef) > 0);
	$c->commit();
	run($c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'a', 1);
	run($c, 'SELECT * FROM nowhere.nothing');
	run($c, 'SELEC 1');
	run($c, "SELECT CAST('12x' AS INT), 1/0");
	run($c, 'SHOW WARNINGS');
	run($c, 'CALL two(7)');
	run($c, 'SELECT 1');
	run($c, "SET sql_mode = 'ANSI_QUOTES', \@v = 9");
	run($c, 'SELECT @v AS "v", @@sql_mode');
	run($c, 'CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a');
	run($c, 'SELECT * FROM tmp');
	my @status;
	my $bulk = $c->prepare('INSERT INTO uniq (k, v) VALUES (?, ?)');
	show('bulk', $bulk->execute_array({ArrayTupleStatus => \@status}, [map { "k$_" } 1 .. 20], [1 .. 20]), \@status);
	run($c, 'SELECT k, v FROM uniq ORDER BY k');
	run($c, 'DELETE FROM uniq');
	show('ping', $c->ping());
	$c->disconnect();
	show('ping', $c->ping());
}

my $c = conn('');
my $s = $c->prepare('SELECT id, txt FROM many ORDER BY id', {"${p}use_result" => 1});
$s->execute();
my ($n, $sum) = (0, 0);
while (my @r = $s->fetchrow_array()) {
	$n++;
	$sum += $r[0];
}
show('stream', $n, $sum);
$s->execute();
show('stream', $s->fetchrow_array());
$s->finish();
run($c, 'SELECT 1');
$c->disconnect();

# a fork has connections of its own
my @pids;
for my $i (1 .. 4) {
	my $pid = fork() // die;
	if ($pid == 0) {
		my $c = conn('');
		my $right = 0;
		for my $n (1 .. 25) {
			$c->do('INSERT INTO pool (who, n) VALUES (?, ?)', undef, $i, $n);
			my ($l, $m) = $c->selectrow_array('SELECT LAST_INSERT_ID(), (SELECT COUNT(*) FROM pool WHERE who = ?)', undef, $i);
			$right += $l == $c->last_insert_id(undef, undef, undef, undef) && $m == $n;
		}
		exit($right == 25 ? 0 : 1);
	}
	push @pids, $pid;
}
for (@pids) {
	waitpid($_, 0);
	show('fork', $?);
}
