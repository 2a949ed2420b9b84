// Work of a client of npm's mysql2: node mysql2.js HOST PORT USER PASSWORD. Prints what it sees.
'use strict';
const mysql = require('mysql2/promise');
const raw = require('mysql2');
const crypto = require('crypto');
const have = (process.env.HAVE || '').split(' ');
const [host, port, user, password] = process.argv.slice(2);
const base = {host, port: +port, user, password, database: 'shop', charset: 'utf8mb4', supportBigNumbers: true,
  bigNumberStrings: true, dateStrings: true, multipleStatements: true};

function plain(k, v) {
  if (v && v.type === 'Buffer') return 'buffer ' + Buffer.from(v.data).toString('hex').slice(0, 600);
  if (typeof v === 'bigint') return v + 'n';
  if (k === 'js' && v && !have.includes('extended')) return 'json'; // known as JSON by extended metadata only
  return v;
}
function show(step, ...what) {
  console.log(step.slice(0, 60), ...what.map((w) => JSON.stringify(w, plain)));
}
function columns(f) {
  if (!f) return f;
  return f.map((c) => Array.isArray(c) ? columns(c) : c && [c.name, c.columnType, c.columnLength, c.flags, c.characterSet, c.decimals]);
}
async function run(c, sql, args, how = 'query') {
  try {
    const [rows, fields] = await c[how](sql, args);
    show(sql, rows, columns(fields));
  } catch (e) {
    show(sql, e.errno, e.sqlState, e.code, e.message);
  }
}

async function login() {
  for (const more of [{password: 'wrong'}, {user: 'nobody'}, {database: 'nowhere'}]) {
    try {
      await mysql.createConnection({...base, ...more});
    } catch (e) {
      show('login', Object.keys(more), e.errno, e.sqlState, e.message);
    }
  }
}

const row = {ti: -128, si: 1, mi: 2, bi: '-9223372036854775808', ub: '18446744073709551615', f: 1.5, d: 1e-300,
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
    await run(c, 'SELECT id FROM types WHERE vc = ?', [row.vc], how);
    await run(c, 'INSERT INTO types () VALUES (), ()', [], how);
    const blob = Buffer.alloc(3000000, how);
    await run(c, 'REPLACE INTO big VALUES (1, ?)', [blob], how);
    const [[r]] = await c[how]('SELECT b, MD5(b) AS m FROM big WHERE id = 1');
    show('blob', r.b.length, crypto.createHash('md5').update(r.b).digest('hex') === r.m, r.b.equals(blob));
  }
  await run(c, 'INSERT INTO uniq (k, v) VALUES ?', [[['m', 1], ['n', 2], ['o', 3]]]);
  await run(c, 'DELETE FROM uniq');
}

async function transactions(c) {
  await c.beginTransaction();
  await run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
  await run(c, 'SELECT LAST_INSERT_ID() > 0', [], 'execute');
  await c.rollback();
  await run(c, 'SELECT COUNT(*) FROM uniq', [], 'execute');
  await c.beginTransaction();
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['a', 1], 'execute');
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['b', 2], 'execute');
  await c.commit();
  await run(c, 'INSERT INTO uniq (k, v) VALUES (?, ?)', ['b', 2], 'execute');
  await run(c, 'SELECT * FROM nowhere.nothing', [], 'execute');
  await run(c, 'SELEC 1');
  await run(c, "SELECT CAST('12x' AS INT) AS n, 1/0 AS z");
  await run(c, 'SHOW WARNINGS');
  await run(c, 'CALL two(?)', [7], 'query');
  await run(c, 'CALL two(?)', [7], 'execute');
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
    try {
      await c.changeUser({user, password: 'wrong'});
    } catch (e) {
      show('change user', e.errno, e.sqlState);
    }
    c.destroy();
    return;
  }
  await c.end();
}

function streams() {
  const c = raw.createConnection(base);
  let n = 0, sum = 0;
  return new Promise((done) => {
    c.query('SELECT id, txt FROM many ORDER BY id').stream({highWaterMark: 5})
      .on('data', (r) => { n++; sum += r.id; if (n % 5000 === 0) c.pause(), setTimeout(() => c.resume(), 5); })
      .on('end', () => {
        show('stream', n, sum);
        c.query('SELECT id FROM many').once('result', () => {
          c.destroy(); // in the middle of it
          done();
        }).on('error', () => {});
      });
  });
}

async function pool() {
  const p = mysql.createPool({...base, connectionLimit: 4});
  const right = [];
  async function work(who) {
    for (let n = 0; n < 25; n++) {
      const c = await p.getConnection();
      const [ins] = await c.execute('INSERT INTO pool (who, n) VALUES (?, ?)', [who, n]);
      const [[r]] = await c.execute('SELECT LAST_INSERT_ID() AS l, (SELECT COUNT(*) FROM pool WHERE who = ?) AS n', [who]);
      right.push(String(r.l) === String(ins.insertId) && r.n === n + 1);
      c.release();
    }
  }
  await Promise.all([...Array(8).keys()].map(work));
  show('pool', right.length, right.every((x) => x));
  await p.end();
}

(async () => {
  await login();
  const c = await mysql.createConnection(base);
  await values(c);
  await transactions(c);
  await session(c);
  await streams();
  await pool();
})().catch((e) => { console.log(e); process.exit(1); });
