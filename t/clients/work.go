// Work of a client of Go's driver: work HOST PORT USER PASSWORD. Prints what it sees.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
)

func config() *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = os.Args[3], os.Args[4], "tcp", os.Args[1]+":"+os.Args[2], "shop"
	c.MultiStatements, c.ParseTime = true, true
	return c
}

func open(c *mysql.Config) *sql.DB {
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		panic(err)
	}
	return db
}

func show(step string, what ...interface{}) {
	if len(step) > 60 {
		step = step[:60]
	}
	fmt.Print(step)
	for _, w := range what {
		s := fmt.Sprintf("%#v", w)
		if len(s) > 600 {
			s = s[:600] + fmt.Sprint(" ", len(s))
		}
		fmt.Print(" | ", s)
	}
	fmt.Println()
}

func failed(step string, err error) {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		show(step, e.Number, e.Message)
	} else {
		show(step, err.Error())
	}
}

type conn interface {
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
}

var ctx = context.Background()

// A statement that fails behind a result set in one text is left out: go-sql-driver 1.7 waits for ever for packets after
// the error when the rows are closed, at a server just as well.
// With arguments and without interpolateParams the driver prepares at the server.
func query(c conn, q string, args ...interface{}) {
	r, err := c.QueryContext(ctx, q, args...)
	if err != nil {
		failed(q, err)
		return
	}
	defer r.Close()
	for {
		types, _ := r.ColumnTypes()
		for _, t := range types {
			null, okNull := t.Nullable()
			p, s, okSize := t.DecimalSize()
			show("  column", t.Name(), t.DatabaseTypeName(), t.ScanType().String(), null, okNull, p, s, okSize)
		}
		for r.Next() {
			vals := make([]interface{}, len(types))
			for i := range vals {
				vals[i] = new(interface{})
			}
			if err := r.Scan(vals...); err != nil {
				failed("scan", err)
			}
			out := make([]interface{}, len(vals))
			for i := range vals {
				out[i] = *(vals[i].(*interface{}))
				if t, is := out[i].(time.Time); is {
					out[i] = t.Format(time.RFC3339Nano)
				}
			}
			show(q, out...)
		}
		if !r.NextResultSet() {
			break
		}
	}
	if err := r.Err(); err != nil {
		failed(q, err)
	}
}

func exec(c conn, q string, args ...interface{}) {
	r, err := c.ExecContext(ctx, q, args...)
	if err != nil {
		failed(q, err)
		return
	}
	n, _ := r.RowsAffected()
	id, _ := r.LastInsertId()
	show(q, n, id)
}

func login() {
	for i := 0; i < 3; i++ {
		c := config()
		switch i {
		case 0:
			c.Passwd = "wrong"
		case 1:
			c.User = "nobody"
		case 2:
			c.DBName = "nowhere"
		}
		db := open(c)
		if err := db.Ping(); err != nil {
			failed("login", err)
		}
		db.Close()
	}
	c := config()
	c.Params = map[string]string{"group_concat_max_len": "99", "sql_mode": "'ANSI_QUOTES'"}
	c.Collation = "utf8mb4_bin"
	db := open(c)
	query(db, "SELECT @@group_concat_max_len, @@sql_mode, @@collation_connection")
	db.Close()
}

func values(c conn) {
	row := []interface{}{-128, -32768, 8388607, int64(-1 << 63), "18446744073709551615", 1.5, 2.25e-300, "12345678901234567890.0123456789",
		time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), "-838:00:00.000001", time.Date(2038, 1, 19, 3, 14, 7, 999999000, time.UTC), 2155,
		"a\u00e9\U0001f600", "o'neil \\ \"x\" \U0001f40b%_", strings.Repeat("x", 70000), []byte{0, 255, 39, 92}, "b", "x,z", `{"a": [1, null]}`}
	insert := "INSERT INTO types (ti,si,mi,bi,ub,f,d,de,da,tm,dt,yr,ch,vc,tx,bl,en,st,js) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
	exec(c, insert, row...)
	exec(c, insert, make([]interface{}, len(row))...)
	exec(c, "INSERT INTO types () VALUES (), ()")
	query(c, "SELECT * FROM types ORDER BY id")
	query(c, "SELECT * FROM types WHERE id < ? ORDER BY id", 99)
	query(c, "SELECT ? AS a, ? AS b, ? AS c", nil, "\u20ac", true)
	blob := bytes.Repeat([]byte{0, 1, 2, 255}, 750000)
	exec(c, "REPLACE INTO big VALUES (1, ?)", blob)
	r, err := c.QueryContext(ctx, "SELECT b FROM big WHERE id = ?", 1)
	if err != nil {
		failed("blob", err)
		return
	}
	var b []byte
	r.Next()
	r.Scan(&b)
	r.Close()
	show("blob", bytes.Equal(b, blob))
}

func transactions(db *sql.DB) {
	for _, o := range []*sql.TxOptions{nil, {Isolation: sql.LevelReadCommitted}, {ReadOnly: true}} {
		tx, err := db.BeginTx(ctx, o)
		if err != nil {
			failed("begin", err)
			continue
		}
		exec(tx, "INSERT INTO uniq (k, v) VALUES (?, ?)", "a", 1)
		query(tx, "SELECT LAST_INSERT_ID() > 0, @@in_transaction")
		query(tx, "SELECT k, v FROM uniq WHERE v < ?", 100)
		failedOr("rollback", tx.Rollback())
	}
	query(db, "SELECT COUNT(*) FROM uniq")
	tx, _ := db.Begin()
	s, err := tx.Prepare("INSERT INTO uniq (k, v) VALUES (?, ?)")
	if err != nil {
		failed("prepare", err)
		return
	}
	for i := 0; i < 5; i++ {
		if _, err := s.Exec(fmt.Sprint("k", i), i); err != nil {
			failed("exec", err)
		}
	}
	s.Close()
	failedOr("commit", tx.Commit())
	query(db, "SELECT k, v FROM uniq ORDER BY k")
	exec(db, "INSERT INTO uniq (k, v) VALUES (?, ?)", "k1", 2)
	query(db, "SELECT * FROM nowhere.nothing WHERE a = ?", 1)
	query(db, "SELEC 1")
	query(db, "SELECT k FROM uniq ORDER BY k; SELECT v FROM uniq ORDER BY k")
	query(db, "CALL two(3)")
	query(db, "CALL two(?)", 3)
	exec(db, "UPDATE uniq SET v = v + ?", 1)
	exec(db, "DELETE FROM uniq; INSERT INTO uniq (k) VALUES ('z')")
}

func failedOr(step string, err error) {
	if err != nil {
		failed(step, err)
	} else {
		show(step, "done")
	}
}

// One connection, whatever state it has.
func session(db *sql.DB) {
	c, err := db.Conn(ctx)
	if err != nil {
		failed("conn", err)
		return
	}
	defer c.Close()
	exec(c, "SET sql_mode = 'ANSI_QUOTES', @v = 9")
	query(c, `SELECT @v AS "v", @@sql_mode, ?`, 1)
	exec(c, "SET sql_mode = DEFAULT")
	exec(c, "CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a")
	query(c, "SELECT * FROM tmp")
	exec(c, "USE other")
	query(c, "SELECT DATABASE()")
	exec(c, "USE shop")
	failedOr("ping", c.PingContext(ctx))
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = c.ExecContext(short, "DO SLEEP(20)")
	failedOr("timeout", err)
}

func streams(db *sql.DB) {
	r, err := db.Query("SELECT id, txt FROM many WHERE id > ? ORDER BY id", 10)
	if err != nil {
		failed("stream", err)
		return
	}
	sum, n := 0, 0
	for r.Next() {
		var id int
		var txt string
		r.Scan(&id, &txt)
		sum += id
		n += len(txt)
	}
	show("stream", sum, n)
	r, _ = db.Query("SELECT id, txt FROM many ORDER BY id")
	r.Next()
	r.Close()
	query(db, "SELECT 1")
}

func pool(db *sql.DB) {
	db.SetMaxOpenConns(4)
	var wg sync.WaitGroup
	right := make(chan bool, 1000)
	s, err := db.Prepare("INSERT INTO pool (who, n) VALUES (?, ?)")
	if err != nil {
		failed("pool", err)
		return
	}
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(who int) {
			defer wg.Done()
			for n := 0; n < 25; n++ {
				tx, err := db.Begin()
				if err != nil {
					right <- false
					continue
				}
				res, err := tx.Stmt(s).Exec(who, n)
				if err != nil {
					right <- false
					tx.Rollback()
					continue
				}
				id, _ := res.LastInsertId()
				var last, count int64
				tx.QueryRow("SELECT LAST_INSERT_ID(), (SELECT COUNT(*) FROM pool WHERE who = ?)", who).Scan(&last, &count)
				right <- tx.Commit() == nil && last == id && count == int64(n+1)
			}
		}(i)
	}
	wg.Wait()
	close(right)
	count := 0
	for b := range right {
		if b {
			count++
		}
	}
	show("pool", count)
}

func main() {
	login()
	for _, interpolate := range []bool{false, true} {
		c := config()
		c.InterpolateParams = interpolate
		c.ClientFoundRows = interpolate
		db := open(c)
		db.SetMaxOpenConns(1)
		values(db)
		transactions(db)
		session(db)
		db.Close()
		db = open(c)
		streams(db)
		exec(db, "DELETE FROM pool")
		exec(db, "DELETE FROM uniq")
		pool(db)
		db.Close()
	}
}
