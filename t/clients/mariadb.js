// Work of a client of npm's mariadb: node mariadb.js HOST PORT USER PASSWORD. Prints what it sees.
'use strict';
const mariadb = require('mariadb');
const crypto = require('crypto');
const have = (process.env.HAVE || '').split(' ');
const [host, port, user, password] = process.argv.slice(2);
const base = {host, port: +port, user, password, database: 'shop', dateStrings: true, multipleStatements: true,
  bulk: have.includes('bulk'), pipelining: true};

function plain(k, v) {
  if (v && v.type === 'Buffer') return 'buffer ' + Buffer.from(v.data).toString('hex').slice(0, 600);
  if (typeof v === 'bigint') return v + 'n';
  if (k === 'js' && v && !have.includes('extended')) return 'json'; // known as JSON by extended metadata only
  return v;
}
function show(step, ...what) {
  console.log(step.slice(0, 60), ...what.map((w) => JSON.stringify(w, plain)));
}
function columns(m) {
  return m && m.map && m.map((c) => Array.isArray(c) ? columns(c) : [c.name(), c.table(), c.type, c.columnLength, c.flags, c.collation && c.collation.index]);
}
async function run(c, sql, args, how = 'query') {
  try {
    const r = await c[how](sql, args);
    show(sql, r, columns(r && r.meta));
  } catch (e) {
    show(sql, e.errno, e.sqlState, e.code, e.sqlMessage);
  }
}

async function login() {
  for (const more of [{password: 'wrong'}, {user: 'nobody'}, {database: 'nowhere'}]) {
    try {
      await mariadb.createConnection({...base, ...more});
    } catch (e) {
      show('login', Object.keys(more), e.errno, e.sqlState, e.sqlMessage);
    }
  }
  const c = await mariadb.createConnection({...base, initSql: ['SET @i = 5', "SET time_zone = '+02:00'"],
    sessionVariables: {group_concat_max_len: 99}, collation: 'utf8mb4_bin'});
  await run(c, 'SELECT @i, @@time_zone, @@group_concat_max_len, @@collation_connection');
  show('server', c.serverVersion());
  await c.end();
}

const row = {ti: -128, si: 1, mi: 2, bi: -9223372036854775808n, ub: 18446744073709551615n, f: 1.5, d: 1e-300,
  de: '12345678901234567890.0123456789', da: '1999-12-31', tm: '-838:00:00.000001', dt: '2038-01-19 03:14:07.999999',
  ts: '2020-02-29 12:00:00', yr: 2155, ch: 'a\u00e9\u{1f600}', vc: "o'neil \\ \"x\" \u{1f40b}", tx: 'x'.repeat(70000),
  bl: Buffer.from([...Array(256).keys()]), bn: Buffer.from([0, 255, 39, 92]), bt: Buffer.from([10, 188]), en: 'b',
  st: 'x,z', js: '{"a": [1, null]}'};

async function values(c) {
  const names = Object.keys(row);
  const insert = `INSERT INTO types (${names}) VALUES (${names.map(() => '?')})`;
  for (const how of ['query', 'execute']) {
    await run(c, insert, Object.values(row), how);
    await run(c, insert, names.map(() => null), how);
    await run(c, 'SELECT * FROM types ORDER BY id', [], how);
    await run(c, 'SELECT ? AS a, ? AS b, ? AS c', [null, '\u20ac', 12], how);
    await run(c, 'INSERT INTO types () VALUES (), ()', [], how);
    const blob = Buffer.alloc(3000000, how);
    await run(c, 'REPLACE INTO big VALUES (1, ?)', [blob], how);
    const [r] = await c[how]('SELECT b, MD5(b) AS m FROM big WHERE id = 1');
    show('blob', r.b.length, crypto.createHash('md5').update(r.b).digest('hex') === r.m, r.b.equals(blob));
  }
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', [['m', 1], ['n', 2], ['o', null]], 'batch');
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', [['p', 1], ['n', 2]], 'batch');
  await run(c, 'UPDATE uniq SET v = ? WHERE k = ?', [[5, 'm'], [6, 'n']], 'batch');
  await run(c, 'SELECT k, v FROM uniq ORDER BY k', [], 'execute');
  await run(c, 'DELETE FROM uniq');
  const p = await c.prepare('SELECT ? + ? AS s');
  show('prepared', await p.execute([1, 2]), await p.execute([1.5, '2']), await p.execute([null, 1]));
  p.close();
}

async function transactions(c) {
  await c.beginTransaction();
  await run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
  await run(c, 'SELECT LAST_INSERT_ID() > 0', [], 'execute');
  await c.rollback();
  await run(c, 'SELECT COUNT(*) FROM uniq', [], 'execute');
  await c.beginTransaction();
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['a', 1], 'execute');
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?) RETURNING id, k', ['b', 2], 'execute');
  await c.commit();
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['b', 2], 'execute');
  await run(c, 'SELECT * FROM nowhere.nothing', [], 'execute');
  await run(c, 'SELEC 1');
  await run(c, "SELECT CAST('12x' AS INT) AS n, 1/0 AS z");
  await run(c, 'SHOW WARNINGS');
  await run(c, 'CALL two(?)', [7], 'query');
  await run(c, 'CALL two(?)', [7], 'execute');
  await run(c, 'CALL outp(?, ?, ?)', [7, null, 3], 'execute');
  await run(c, 'SELECT k FROM uniq ORDER BY k; UPDATE uniq SET v = v + 1; SELECT v FROM uniq ORDER BY k; SELECT @x := 4');
  await run(c, 'SELECT @x', [], 'execute');
}

async function session(c) {
  await run(c, "SET sql_mode = 'ANSI_QUOTES', @v = 9");
  await run(c, 'SELECT @v AS "v", @@sql_mode', [], 'execute');
  await run(c, 'CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a');
  await run(c, 'SELECT * FROM tmp', [], 'execute');
  await c.ping();
  await c.reset();
  await run(c, 'SELECT @v, @@sql_mode, @@character_set_client, DATABASE()');
  await run(c, 'SELECT * FROM tmp');
  await run(c, 'USE other');
  await run(c, 'SELECT DATABASE()', [], 'execute');
  if (have.includes('change_user')) {
    await c.changeUser({user: process.env.OTHER_USER, password: process.env.OTHER_PASSWORD, database: 'shop'});
    await run(c, 'SELECT CURRENT_USER(), DATABASE(), @v');
  }
  await c.end();
}

async function streams() {
  const c = await mariadb.createConnection(base);
  let n = 0, sum = 0;
  for await (const r of c.queryStream('SELECT id, txt FROM many ORDER BY id')) {
    n++;
    sum += r.id;
  }
  show('stream', n, sum);
  const s = c.queryStream('SELECT id, txt FROM many ORDER BY id');
  for await (const r of s) {
    show('first', r);
    break;
  }
  c.destroy(); // in the middle of it
}

async function pool() {
  const p = mariadb.createPool({...base, connectionLimit: 4, resetAfterUse: true});
  const right = [];
  async function work(who) {
    for (let n = 0; n < 25; n++) {
      const c = await p.getConnection();
      const ins = await c.execute('INSERT INTO pool (who, n) VALUES (?, ?)', [who, n]);
      const [r] = await c.execute('SELECT LAST_INSERT_ID() AS l, (SELECT COUNT(*) FROM pool WHERE who = ?) AS n', [who]);
      right.push(String(r.l) === String(ins.insertId) && Number(r.n) === n + 1);
      await c.release();
    }
  }
  await Promise.all([...Array(8).keys()].map(work));
  show('pool', right.length, right.every((x) => x));
  await p.end();
}

(async () => {
  await login();
  const c = await mariadb.createConnection(base);
  await values(c);
  await transactions(c);
  await session(c);
  await streams();
  await pool();
})().catch((e) => { console.log(e); process.exit(1); });
