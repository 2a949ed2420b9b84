# Work of a client of Ruby's mysql2: ruby work.rb HOST PORT USER PASSWORD. Prints what it sees.
require 'mysql2'
require 'digest'
require 'bigdecimal'

HOST, PORT, USER, PASSWORD = ARGV
HAVE = (ENV['HAVE'] || '').split
$stdout.sync = true

def connect(more = {})
  Mysql2::Client.new({host: HOST, port: PORT.to_i, username: USER, password: PASSWORD, database: 'shop', encoding: 'utf8mb4',
                      flags: Mysql2::Client::MULTI_STATEMENTS}.merge(more))
end

def show(step, *what)
  puts "#{step[0, 60]} #{what.map(&:inspect).join(' ')}"
end

def seen(c, sql, r)
  if r
    show(sql, r.fields, (r.field_types rescue nil), r.to_a)
  else
    show(sql, c.affected_rows, c.last_id, c.query_info)
  end
end

def run(c, sql, opts = {})
  seen(c, sql, c.query(sql, opts))
  while c.next_result
    seen(c, sql, c.store_result)
  end
  show(sql, 'warnings', c.warning_count)
rescue Mysql2::Error => e
  show(sql, e.error_number, e.sql_state, e.message)
end

def execute(c, sql, *args)
  s = c.prepare(sql)
  r = s.execute(*args)
  show(sql, r ? [r.fields, r.to_a] : nil, s.affected_rows, s.last_id)
  s.close
rescue Mysql2::Error => e
  show(sql, e.error_number, e.sql_state, e.message)
end

[{password: 'wrong'}, {username: 'nobody'}, {database: 'nowhere'}].each do |more|
  connect(more)
rescue Mysql2::Error => e
  show('login', more.keys, e.error_number, e.sql_state, e.message)
end

ROW = {ti: -128, si: -32768, mi: 8388607, bi: -2**63, f: 1.5, d: 1e-300, de: BigDecimal('12345678901234567890.0123456789'),
       da: Date.new(1999, 12, 31), dt: '2038-01-19 03:14:07.999999', ts: '2020-02-29 12:00:00', yr: 2155,
       ch: "a\u00e9\u{1f600}", vc: "o'neil \\ \"x\" \u{1f40b}%_", tx: 'x' * 70000, en: 'b', st: 'x,z', js: '{"a": [1, null]}'}
INSERT = "INSERT INTO types (#{ROW.keys.join(', ')}) VALUES (#{(['?'] * ROW.size).join(', ')})"

c = connect(init_command: 'SET @init = 5')
run(c, 'SELECT @init, @@character_set_client, @@collation_connection')
show('info', c.server_info)
execute(c, INSERT, *ROW.values)
execute(c, INSERT, *ROW.values.map { nil })
run(c, "INSERT INTO types (ti, vc) VALUES (5, '#{c.escape(ROW[:vc])}')")
run(c, 'INSERT INTO types () VALUES (), (), ()')
run(c, 'SELECT * FROM types ORDER BY id')
run(c, 'SELECT * FROM types ORDER BY id', cast: false)
execute(c, 'SELECT * FROM types ORDER BY id')
execute(c, 'SELECT ? AS a, ? AS b, ? AS c', nil, "\u20ac", 12)
blob = (0..255).map(&:chr).join.b * 12000
execute(c, 'REPLACE INTO big VALUES (1, ?)', blob)
r = c.query('SELECT b, MD5(b) AS m FROM big WHERE id = 1').first
show('blob', r['b'].bytesize, Digest::MD5.hexdigest(r['b']) == r['m'], r['b'].b == blob)

run(c, 'BEGIN')
run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)")
run(c, 'SELECT LAST_INSERT_ID() > 0')
run(c, 'ROLLBACK')
run(c, 'SELECT COUNT(*) FROM uniq')
run(c, 'START TRANSACTION')
execute(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'a', 1)
run(c, 'COMMIT')
execute(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', 'a', 1)
run(c, 'SELECT * FROM nowhere.nothing')
execute(c, 'SELECT * FROM nowhere.nothing')
run(c, 'SELEC 1')
run(c, "SELECT CAST('12x' AS INT), 1/0")
run(c, 'SHOW WARNINGS')
run(c, 'CALL two(7)')
run(c, 'SELECT k FROM uniq; UPDATE uniq SET v = 3; SELECT v FROM uniq')
run(c, 'SELECT 1; SELEC 2')
run(c, "SET sql_mode = 'ANSI_QUOTES', @v = 9")
run(c, 'SELECT @v AS "v", @@sql_mode')
run(c, 'CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a')
run(c, 'SELECT * FROM tmp')
show('ping', c.ping)
c.select_db('other')
run(c, 'SELECT DATABASE()')
c.close

c = connect
n = sum = 0
c.query('SELECT id, txt FROM many ORDER BY id', stream: true, cache_rows: false).each { |r| n += 1; sum += r['id'] }
show('stream', n, sum)
c.query('SELECT id, txt FROM many ORDER BY id', stream: true, cache_rows: false).each { |r| break show('stream', r) }
c.close

c = connect(reconnect: true)
c.query('SELECT SLEEP(0.01)', async: true)
show('async', c.async_result.to_a)
c.close

right = Queue.new
8.times.map do |i; c|
  Thread.new(i) do |who; c|
    c = connect
    25.times do |n|
      c.query("INSERT INTO pool (who, n) VALUES (#{i}, #{n})")
      id = c.last_id
      r = c.query("SELECT LAST_INSERT_ID() AS l, (SELECT COUNT(*) FROM pool WHERE who = #{i}) AS n").first
      right << (r['l'] == id && r['n'] == n + 1)
    end
    c.close
  end
end.each(&:join)
show('threads', right.size, right.size.times.all? { right.pop })
