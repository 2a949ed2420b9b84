// Work of a client of JDBC: java -cp DRIVER Work.java HOST PORT USER PASSWORD. Prints what it sees.
import java.math.BigDecimal;
import java.sql.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.mariadb.jdbc.MariaDbPoolDataSource;

public class Work {
	static String base, user, password;

	static Connection connect(String more) throws SQLException {
		return DriverManager.getConnection(base + "shop?" + more, user, password);
	}

	static String text(Object o) {
		if (o instanceof byte[]) {
			StringBuilder b = new StringBuilder("hex ");
			for (byte x : (byte[]) o)
				b.append(String.format("%02x", x));
			o = b;
		}
		String s = String.valueOf(o);
		return s.length() > 600 ? s.substring(0, 600) + " " + s.length() + " " + s.hashCode() : s;
	}

	static void show(String step, Object... what) {
		StringBuilder b = new StringBuilder(step.length() > 60 ? step.substring(0, 60) : step);
		for (Object o : what)
			b.append(" | ").append(text(o));
		System.out.println(b);
	}

	static void error(String sql, SQLException e) {
		show(sql, e.getClass().getSimpleName(), e.getErrorCode(), e.getSQLState(), e.getMessage().replaceAll("\\(conn=\\d+\\)", "(conn)"));
	}

	static void warnings(String sql, SQLWarning w) {
		for (; w != null; w = w.getNextWarning())
			show(sql, "warning", w.getErrorCode(), w.getMessage());
	}

	static void rows(String sql, ResultSet r) throws SQLException {
		ResultSetMetaData m = r.getMetaData();
		StringBuilder b = new StringBuilder();
		for (int i = 1; i <= m.getColumnCount(); i++)
			b.append(m.getColumnLabel(i)).append(' ').append(m.getColumnTypeName(i)).append(' ').append(m.getPrecision(i)).append(' ')
				.append(m.getTableName(i)).append(' ').append(m.isNullable(i)).append("; ");
		show(sql, b);
		while (r.next()) {
			Object[] v = new Object[m.getColumnCount()];
			for (int i = 0; i < v.length; i++)
				v[i] = r.getObject(i + 1);
			show("  row", v);
		}
	}

	static void results(String sql, Statement s, boolean isRows) throws SQLException {
		for (;; isRows = s.getMoreResults()) {
			if (isRows) {
				rows(sql, s.getResultSet());
			} else {
				if (s.getUpdateCount() < 0)
					break;
				show(sql, s.getUpdateCount());
			}
		}
		warnings(sql, s.getWarnings());
	}

	static void run(Connection c, String sql) throws SQLException {
		try (Statement s = c.createStatement()) {
			results(sql, s, s.execute(sql));
		} catch (SQLException e) {
			error(sql, e);
		}
	}

	static void execute(Connection c, String sql, Object... args) throws SQLException {
		try (PreparedStatement s = c.prepareStatement(sql)) {
			for (int turn = 0; turn < 2; turn++) {
				for (int i = 0; i < args.length; i++)
					s.setObject(i + 1, args[i]);
				results(sql, s, s.execute());
			}
		} catch (SQLException e) {
			error(sql, e);
		}
	}

	static void login() {
		for (String[] a : new String[][] {{user, "wrong", "shop"}, {"nobody", "x", "shop"}, {user, password, "nowhere"}})
			try {
				DriverManager.getConnection(base + a[2], a[0], a[1]);
			} catch (SQLException e) {
				error("login " + a[2], e);
			}
	}

	static final Object[] ROW = {-128, -32768, 8388607, Long.MIN_VALUE, new java.math.BigInteger("18446744073709551615"), 1.5f, 2.25e-300,
		new BigDecimal("12345678901234567890.0123456789"), java.sql.Date.valueOf("1999-12-31"), Timestamp.valueOf("2037-01-19 03:14:07.999999"),
		2155, "a\u00e9\ud83d\ude00", "o'neil \\ \"x\" \ud83d\udc0b%_", "x".repeat(70000), new byte[] {0, -1, 39, 92}, "b", "x,z", "{\"a\": [1, null]}"};
	static final String INSERT = "INSERT INTO types (ti,si,mi,bi,ub,f,d,de,da,dt,yr,ch,vc,tx,bl,en,st,js) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";

	static void values(Connection c) throws SQLException {
		execute(c, INSERT, ROW);
		execute(c, INSERT, new Object[ROW.length]);
		run(c, "INSERT INTO types () VALUES (), ()");
		run(c, "SELECT * FROM types ORDER BY id");
		execute(c, "SELECT * FROM types WHERE id < ? ORDER BY id", 99);
		execute(c, "SELECT ? AS a, ? AS b, ? AS c", null, "\u20ac", 12);
		byte[] blob = new byte[3000000];
		for (int i = 0; i < blob.length; i++)
			blob[i] = (byte) i;
		try (PreparedStatement s = c.prepareStatement("REPLACE INTO big VALUES (1, ?)")) {
			s.setBinaryStream(1, new java.io.ByteArrayInputStream(blob));
			show("blob", s.executeUpdate());
		}
		try (ResultSet r = c.createStatement().executeQuery("SELECT b FROM big WHERE id = 1")) {
			r.next();
			show("blob", Arrays.equals(blob, r.getBytes(1)));
		}
	}

	static void transactions(Connection c) throws SQLException {
		c.setAutoCommit(false);
		run(c, "INSERT INTO uniq (k, v) VALUES ('a', 1), ('b', 2), ('c', 3)");
		c.rollback();
		run(c, "SELECT COUNT(*) FROM uniq");
		try (PreparedStatement s = c.prepareStatement("INSERT INTO uniq (k, v) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
			for (int i = 0; i < 5; i++) {
				s.setString(1, "k" + i);
				s.setInt(2, i);
				s.addBatch();
			}
			show("batch", Arrays.toString(s.executeBatch()));
			rows("keys", s.getGeneratedKeys());
		}
		Savepoint sp = c.setSavepoint("sp");
		run(c, "DELETE FROM uniq");
		c.rollback(sp);
		c.commit();
		c.setAutoCommit(true);
		run(c, "SELECT k, v FROM uniq ORDER BY k");
		try (PreparedStatement s = c.prepareStatement("INSERT INTO uniq (k, v) VALUES (?, ?)")) {
			for (String k : new String[] {"x", "k1", "y"}) {
				s.setString(1, k);
				s.setNull(2, Types.INTEGER);
				s.addBatch();
			}
			s.executeBatch();
		} catch (BatchUpdateException e) {
			show("batch", Arrays.toString(e.getUpdateCounts()), e.getErrorCode());
		}
		c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
		c.setReadOnly(true);
		run(c, "SELECT @@tx_isolation, @@tx_read_only");
		show("isolation", c.getTransactionIsolation(), c.isReadOnly());
		c.setReadOnly(false);
		c.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
		execute(c, "INSERT INTO uniq (k, v) VALUES (?, ?)", "k1", 2);
		execute(c, "SELECT * FROM nowhere.nothing");
		run(c, "SELEC 1");
		run(c, "SELECT CAST('12x' AS INT) AS n, 1/0 AS z");
		run(c, "SHOW WARNINGS");
		run(c, "SELECT k FROM uniq ORDER BY k; UPDATE uniq SET v = v + 1; SELECT v FROM uniq ORDER BY k; SELECT @x := 4");
		run(c, "CALL two(3)");
		try (CallableStatement s = c.prepareCall("{CALL outp(?, ?, ?)}")) {
			s.setInt(1, 7);
			s.registerOutParameter(2, Types.INTEGER);
			s.setInt(3, 5);
			s.registerOutParameter(3, Types.INTEGER);
			s.execute();
			show("out", s.getInt(2), s.getInt(3));
		} catch (SQLException e) {
			error("out", e);
		}
		try (CallableStatement s = c.prepareCall("{? = CALL twice(?)}")) {
			s.registerOutParameter(1, Types.INTEGER);
			s.setInt(2, 21);
			s.execute();
			show("function", s.getInt(1));
		}
		run(c, "DELETE FROM uniq");
	}

	static void session(Connection c) throws SQLException {
		run(c, "SET sql_mode = 'ANSI_QUOTES', @v = 9");
		execute(c, "SELECT @v AS \"v\", @@sql_mode");
		run(c, "CREATE TEMPORARY TABLE tmp AS SELECT 1 AS a");
		run(c, "SELECT * FROM tmp");
		c.setCatalog("other");
		show("catalog", c.getCatalog());
		run(c, "SELECT DATABASE()");
		c.setCatalog("shop");
		DatabaseMetaData m = c.getMetaData();
		show("meta", m.getDatabaseProductVersion(), m.getDriverVersion(), m.getURL().replaceAll("user=.*|password=.*", ""));
		rows("tables", m.getTables("shop", null, "u%", null));
		rows("columns", m.getColumns("shop", null, "uniq", null));
		rows("indexes", m.getIndexInfo("shop", null, "uniq", false, false));
		rows("procedures", m.getProcedures("shop", null, "%"));
		show("valid", c.isValid(5), c.isClosed());
	}

	static void streams(Connection c) throws SQLException {
		for (String sql : new String[] {"SELECT id, txt FROM many ORDER BY id", "SELECT id, txt FROM many WHERE id > ? ORDER BY id"})
			try (PreparedStatement s = c.prepareStatement(sql)) {
				s.setFetchSize(100);
				if (sql.contains("?"))
					s.setInt(1, 10);
				long sum = 0;
				try (ResultSet r = s.executeQuery()) {
					while (r.next())
						sum += r.getInt(1);
				}
				show("stream", sum);
				try (ResultSet r = s.executeQuery()) {
					r.next();
					show("stream", r.getInt(1));
				}
				run(c, "SELECT 1");
			}
		try (Statement s = c.createStatement()) {
			s.setQueryTimeout(1);
			s.executeQuery("SELECT SLEEP(30)").next();
			show("timeout", "none");
		} catch (SQLException e) {
			error("timeout", e);
		}
		try (Statement s = c.createStatement()) {
			s.setMaxRows(3);
			rows("max rows", s.executeQuery("SELECT id FROM many ORDER BY id"));
		}
	}

	static void pool(String more) throws Exception {
		MariaDbPoolDataSource ds = new MariaDbPoolDataSource(base + "shop?user=" + user + "&maxPoolSize=4" + more);
		ds.setPassword(password);
		AtomicInteger right = new AtomicInteger();
		ExecutorService e = Executors.newFixedThreadPool(8);
		List<Future<?>> all = new ArrayList<>();
		for (int i = 0; i < 8; i++) {
			int who = i;
			all.add(e.submit(() -> {
				for (int n = 0; n < 25; n++)
					try (Connection c = ds.getConnection();
						PreparedStatement s = c.prepareStatement("INSERT INTO pool (who, n) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS);
						PreparedStatement q = c.prepareStatement("SELECT LAST_INSERT_ID(), (SELECT COUNT(*) FROM pool WHERE who = ?), @left")) {
						s.setInt(1, who);
						s.setInt(2, n);
						s.executeUpdate();
						ResultSet k = s.getGeneratedKeys();
						k.next();
						q.setInt(1, who);
						ResultSet r = q.executeQuery();
						r.next();
						if (r.getLong(1) == k.getLong(1) && r.getInt(2) % 25 == (n + 1) % 25 && (more.isEmpty() || r.getObject(3) == null))
							right.incrementAndGet();
						c.createStatement().execute("SET @left = 1");
					}
				return null;
			}));
		}
		for (Future<?> f : all)
			f.get();
		e.shutdown();
		ds.close();
		show("pool", right.get());
	}

	public static void main(String[] a) throws Exception {
		base = "jdbc:mariadb://" + a[0] + ":" + a[1] + "/";
		user = a[2];
		password = a[3];
		TimeZone.setDefault(TimeZone.getTimeZone("UTC"));
		login();
		for (String more : new String[] {"useServerPrepStmts=false&allowMultiQueries=true", "useServerPrepStmts=true&allowMultiQueries=true",
			"rewriteBatchedStatements=true&allowMultiQueries=true&sessionVariables=group_concat_max_len=99"}) {
			show("options", more);
			try (Connection c = connect(more)) {
				run(c, "SELECT @@group_concat_max_len, @@character_set_client, @@collation_connection, DATABASE()");
				values(c);
				transactions(c);
				session(c);
				streams(c);
			}
		}
		pool("");
		if (Arrays.asList(System.getenv("HAVE").split(" ")).contains("reset"))
			pool("&useResetConnection=true");
		System.exit(0);
	}
}
