/* t/unit/test_worker_state.c: what a session leaves on a connection: kept while it lives, carried to another one, or
 * reset. The wrong answers of a pool are all here.
 */
#include "config.h"
#include "t/unit/worker_rig.h"

#define IN_TRX (ST_AUTOCOMMIT | ST_IN_TRANS)

static void
answer_state(struct peer *s, struct peer *c, u32 type, const char *name, const char *value)
{
	struct bytes state = {0};

	bytes_track(&state, type, name, value);
	struct pkt_ok ok = {.status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	bytes_free(&state);
	client_expect_ok(c);
}

/* SET of one variable, as a server reports it. */
static struct peer *
set_variable(struct peer *c, struct peer *s, const char *sql, const char *name, const char *value)
{
	client_query(c, sql);
	if (s == NULL)
		s = server_ready(0);
	server_expect_query(s, sql);
	answer_state(s, c, TRACK_SYSVAR, name, value);
	return s;
}

static struct peer *
use_db(struct peer *c, struct peer *s, const char *db)
{
	client_com(c, COM_INIT_DB, db, strlen(db));
	if (s == NULL)
		s = server_ready(0);
	server_expect(s, COM_INIT_DB, db, strlen(db));
	answer_state(s, c, TRACK_SCHEMA, NULL, db);
	return s;
}

/* A write that the replica is known to have, so that it does not tie reads to the primary. ahead: what goes in front of it, or
 * NULL. */
static struct peer *
wrote_behind(struct peer *c, const char *ahead, const char *sql, struct peer *s, u64 affected, u64 insert_id)
{
	struct bytes state = {0};

	rig_gtid(1, 0, 1000);
	bytes_track(&state, TRACK_SYSVAR, "last_gtid", "0-1-1");
	struct pkt_ok ok = {.affected = affected, .insert_id = insert_id,
	    .status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	if (ahead != NULL) {
		server_expect_query(s, ahead);
		server_ok(s);
	}
	server_expect_query(s, sql);
	server_ok_full(s, &ok);
	client_expect_ok(c);
	bytes_free(&state);
	return s;
}

static struct peer *
wrote(struct peer *c, const char *sql, struct peer *s, u64 affected, u64 insert_id)
{
	client_query(c, sql);
	return wrote_behind(c, NULL, sql, s == NULL ? server_ready(0) : s, affected, insert_id);
}

/* ---- transactions ---- */

TEST_WORKER(transaction_pins_and_releases)
{
	struct pkt_ok trx = {.status = IN_TRX}, end = {.status = ST_AUTOCOMMIT};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *other = client_login(CAPS_NEW);
	struct peer *s = rig_write_full(c, "BEGIN", NULL, &trx);

	cr_assert_eq(client_sess(c)->pins, 1u << PIN_TRX);
	cr_assert_eq(rig_counter("clients_pinned"), 1);
	/* reads stay inside it */
	client_query(c, "SELECT 1 FROM t");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, IN_TRX, 0);
	/* another client gets another connection */
	struct peer *s2 = rig_write(other, "INSERT INTO t VALUES (1)", NULL);
	cr_assert_neq(s, s2);
	rig_write_full(c, "COMMIT", s, &end);
	cr_assert_null(client_sess(c)->b);
	cr_assert_eq(rig_counter("clients_pinned"), 0);
	cr_assert_eq(R.w.srv[0].nidle, 2);
	rig_stop();
}

TEST_WORKER(client_leaves_in_a_transaction)
{
	struct pkt_ok trx = {.status = IN_TRX};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx);

	peer_close(c);
	server_expect(s, COM_RESET_CONNECTION, NULL, 0);
	server_expect_query(s, BCONN_SETUP_SQL);
	cr_assert_eq(R.w.srv[0].nidle, 0, "not in the pool before it is clean");
	server_ok(s);
	server_ok(s);
	rig_run();
	cr_assert_eq(R.w.srv[0].nidle, 1);
	/* the next client gets it */
	rig_write(client_login(CAPS_NEW), "INSERT INTO t VALUES (1)", s);
	rig_stop();
}

TEST_WORKER(reset_fails)
{
	struct pkt_ok trx = {.status = IN_TRX};

	rig_start(NULL);
	for (int i = 0; i < 3; i++) {
		struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx);

		peer_close(c);
		server_expect(s, COM_RESET_CONNECTION, NULL, 0);
		if (i == 0)
			server_err(s, 1047, "unknown command");
		else if (i == 1)
			server_gone(s);
		else {
			server_ok(s);
			server_err(s, 1193, "Unknown system variable");
		}
		rig_run();
		cr_assert_eq(R.w.srv[0].nidle, 0);
		cr_assert_eq(R.w.srv[0].nconns, 0, "round %d", i);
	}
	rig_stop();
}

/* With autocommit off an ERR packet cannot tell that a transaction was opened. */
TEST_WORKER(error_without_autocommit_keeps_the_connection)
{
	struct bytes state = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;
	bytes_track(&state, TRACK_SYSVAR, "autocommit", "OFF");
	client_query(c, "SET autocommit=0");
	s = server_ready(0);
	server_expect_query(s, "SET autocommit=0");
	struct pkt_ok ok = {.status = ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	client_expect_ok(c);
	bytes_free(&state);
	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_err(s, 1062, "Duplicate entry");
	client_expect_err(c, 1062, "Duplicate");
	cr_assert(client_sess(c)->pins & 1u << PIN_TRX);
	rig_stop();
}

/* ---- settings and database are carried ---- */

TEST_WORKER(variable_is_carried_to_another_connection)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *a, *b;

	a = set_variable(c, NULL, "SET time_zone='+03:00'", "time_zone", "+03:00");
	cr_assert_null(client_sess(c)->b);
	cr_assert_eq(client_sess(c)->set->n, 1);
	/* the read goes to a replica, which must know first */
	client_query(c, "SELECT NOW() FROM t");
	b = server_ready(1);
	server_expect_query(b, "SET time_zone='+03:00'");
	peer_expect_silence(b);
	server_ok(b);
	server_expect_query(b, "SELECT NOW() FROM t");
	server_row_for(b, c, ST_AUTOCOMMIT, 0);
	/* again: it knows */
	rig_read(c, "SELECT NOW() FROM t", b, 1);
	/* a session without the variable: the connection cannot unlearn but by a reset */
	client_query(d, "INSERT INTO t VALUES (NOW())");
	server_expect(a, COM_RESET_CONNECTION, NULL, 0);
	server_expect_query(a, BCONN_SETUP_SQL);
	server_ok(a);
	server_ok(a);
	server_expect_query(a, "INSERT INTO t VALUES (NOW())");
	server_ok(a);
	client_expect_ok(d);
	/* and back */
	client_query(c, "INSERT INTO t VALUES (NOW())");
	server_expect_query(a, "SET time_zone='+03:00'");
	server_ok(a);
	server_expect_query(a, "INSERT INTO t VALUES (NOW())");
	server_ok(a);
	client_expect_ok(c);
	rig_stop();
}

TEST_WORKER(database_is_carried)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s, *s2;

	s = use_db(c, NULL, "one");
	use_db(d, s, "two");
	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect(s, COM_INIT_DB, "one", 3);
	server_ok(s);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_ok(s);
	client_expect_ok(c);
	/* a session without a database must not see another's */
	struct peer *e = client_login(CAPS_NEW);
	client_query(e, "INSERT INTO t VALUES (1)");
	s2 = server_ready(0);
	server_expect_query(s2, "INSERT INTO t VALUES (1)");
	server_err(s2, 1046, "No database selected");
	client_expect_err(e, 1046, "No database selected");
	rig_stop();
}

TEST_WORKER(database_is_gone)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s;

	s = use_db(c, NULL, "one");
	use_db(d, s, "two");
	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect(s, COM_INIT_DB, "one", 3);
	server_err(s, 1049, "Unknown database 'one'");
	client_expect_err(c, 1049, "Unknown database 'one'");
	cr_assert_eq(client_state(c), SESS_READY);
	peer_expect_closed(s); /* what state it is in is not known */
	rig_stop();
}

TEST_WORKER(server_refuses_a_setting)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *b;

	set_variable(c, NULL, "SET time_zone='+03:00'", "time_zone", "+03:00");
	client_query(c, "SELECT NOW() FROM t");
	b = server_ready(1);
	server_expect_query(b, "SET time_zone='+03:00'");
	server_err(b, 1298, "Unknown or incorrect time zone");
	client_expect_err(c, 1158, "refused the session's settings");
	cr_assert_eq(client_state(c), SESS_READY);
	peer_expect_closed(b);
	rig_stop();
}

TEST_WORKER(server_dies_while_settings_are_sent_ahead)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *a, *b;

	a = set_variable(c, NULL, "SET time_zone='+03:00'", "time_zone", "+03:00");
	client_query(c, "SELECT NOW() FROM t");
	b = server_ready(1);
	server_expect_query(b, "SET time_zone='+03:00'");
	server_gone(b);
	/* a read: goes elsewhere */
	server_expect_query(a, "SELECT NOW() FROM t");
	server_row_for(a, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(rig_counter("retried"), 1);
	rig_stop();
}

/* ---- what cannot be carried is kept ---- */

static void
expect_pinned(const char *sql, enum pin_reason why)
{
	struct peer *c = client_login(CAPS_NEW), *s;

	client_query(c, sql);
	s = server_ready(0);
	if (why == PIN_ROUTINE || why == PIN_TEXT_PS) {
		server_expect_query(s, "SET last_insert_id=0"); /* it may ask for it */
		server_ok(s);
	}
	server_expect_query(s, sql);
	server_ok(s);
	client_expect_ok(c);
	cr_assert(client_sess(c)->pins & 1u << why, "%s: pins %llx", sql, (unsigned long long)client_sess(c)->pins);
	client_query(c, "SELECT 1 FROM t");
	server_expect_query(s, "SELECT 1 FROM t");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	cr_assert(client_sess(c)->pins & 1u << why);
	peer_close(c);
	if (why == PIN_STATE_CHANGE) {
		peer_expect_closed(s); /* a role survives a reset */
	} else {
		server_expect_reset(s);
		rig_run();
		peer_close(s);
	}
	rig_run();
	cr_assert_eq(R.w.srv[0].nconns, 0);
}

TEST_WORKER(state_that_cannot_be_carried_is_kept)
{
	rig_start(NULL);
	expect_pinned("SET @a=1", PIN_USER_VAR);
	expect_pinned("SELECT GET_LOCK('x',1) INTO @y", PIN_USER_LOCK);
	expect_pinned("CREATE TEMPORARY TABLE x (a int)", PIN_TEMP_TABLE);
	expect_pinned("LOCK TABLES t WRITE", PIN_LOCK_TABLES);
	expect_pinned("PREPARE s FROM 'SELECT 1'", PIN_TEXT_PS);
	expect_pinned("HANDLER t OPEN", PIN_HANDLER);
	expect_pinned("CALL p()", PIN_ROUTINE);
	expect_pinned("SET ROLE r", PIN_STATE_CHANGE);
	expect_pinned("SELECT NEXTVAL(s)", PIN_SEQUENCE);
	expect_pinned("SELECT CONNECTION_ID()", PIN_CONN_ID);
	expect_pinned("SET SESSION TRANSACTION_ISOLATION_X=1, @@x=2", PIN_SYSVAR);
	rig_stop();
}

TEST_WORKER(lock_tables_until_unlock)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, "LOCK TABLES t WRITE", NULL);

	cr_assert(client_sess(c)->pins & 1u << PIN_LOCK_TABLES);
	rig_write(c, "UNLOCK TABLES", s);
	cr_assert_null(client_sess(c)->b);
	rig_stop();
}

TEST_WORKER(set_transaction_holds_for_the_next)
{
	struct pkt_ok trx = {.status = IN_TRX};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	struct peer *s = rig_write(c, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NULL);

	cr_assert(client_sess(c)->pins & 1u << PIN_NEXT_TRX);
	rig_write_full(c, "START TRANSACTION", s, &trx);
	rig_write(c, "ROLLBACK", s);
	cr_assert_null(client_sess(c)->b);
	rig_stop();
}

TEST_WORKER(variable_that_is_not_on_the_list_pins)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	set_variable(c, NULL, "SET some_new_variable=1", "some_new_variable", "1");
	cr_assert(client_sess(c)->pins & 1u << PIN_SYSVAR);
	rig_stop();
}

TEST_WORKER(value_with_a_backslash_pins)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	set_variable(c, NULL, "SET time_zone='\\\\x'", "time_zone", "\\x");
	cr_assert(client_sess(c)->pins & 1u << PIN_SYSVAR);
	cr_assert_eq(client_sess(c)->set->n, 0);
	rig_stop();
}

TEST_WORKER(change_that_names_nothing_pins)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	client_query(c, "INSERT INTO t VALUES (1)");
	struct peer *s = server_ready(0);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	answer_state(s, c, TRACK_STATE, NULL, "1");
	cr_assert(client_sess(c)->pins & 1u << PIN_STATE_CHANGE);
	peer_close(c);
	peer_expect_closed(s);
	rig_stop();
}

static void
leaves_state(struct shm_srvhealth *d)
{
	d->leaves_state = 1;
}

TEST_WORKER(triggers_that_leave_state_pin)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, "INSERT INTO t VALUES (1)", NULL);
	cr_assert_eq(client_sess(c)->pins, 0);
	rig_detail(0, leaves_state);
	client_query(c, "INSERT INTO t VALUES (1)");
	server_expect_query(s, "SET last_insert_id=0"); /* in case that the trigger leaves it alone */
	server_ok(s);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	server_ok(s);
	client_expect_ok(c);
	cr_assert(client_sess(c)->pins & 1u << PIN_TRIGGER);
	rig_stop();
}

/* ---- diagnostics ---- */

TEST_WORKER(warnings_keep_the_connection_for_one_statement)
{
	struct pkt_ok warn = {.status = ST_AUTOCOMMIT, .warnings = 1};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "INSERT INTO t VALUES (1)", NULL, &warn);

	cr_assert_eq(client_sess(c)->pins, 1u << PIN_DIAGNOSTICS);
	client_query(c, "SHOW WARNINGS");
	server_expect_query(s, "SHOW WARNINGS");
	server_row_for(s, c, ST_AUTOCOMMIT, 1);
	cr_assert_not_null(client_sess(c)->b, "they may be asked for again");
	rig_read(c, "SELECT 1 FROM t", NULL, 1);
	cr_assert_null(client_sess(c)->b);
	cr_assert_eq(R.w.srv[0].nidle, 1);
	rig_stop();
}

TEST_WORKER(row_count_of_a_connection_that_was_given_back)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	wrote(c, "UPDATE t SET a=1", NULL, 3, 0);
	cr_assert_null(client_sess(c)->b);
	client_query(c, "SELECT ROW_COUNT()");
	size_t len;
	u8 last = 0;
	for (int i = 0; i < 4; i++) {
		const u8 *p = peer_packet(c, &len);

		if (i == 2)
			last = p[PKT_HDR + 1];
	}
	cr_assert_eq(last, '3');
	rig_read(c, "SELECT c FROM t", NULL, 1);
	client_query(c, "SELECT FOUND_ROWS()");
	for (int i = 0; i < 4; i++) {
		const u8 *p = peer_packet(c, &len);

		if (i == 2)
			last = p[PKT_HDR + 1];
	}
	cr_assert_eq(last, '1');
	rig_stop();
}

TEST_WORKER(diagnostics_are_not_made_up)
{
	struct pkt_ok warn = {.status = ST_AUTOCOMMIT, .warnings = 1};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "INSERT INTO t VALUES (1)", NULL, &warn);

	/* the connection that could tell is lost while nothing runs */
	server_gone(s);
	cr_assert_eq(client_state(c), SESS_READY);
	client_query(c, "SHOW WARNINGS");
	rig_run();
	cr_assert(!server_has_connect(0) && !server_has_connect(1), "a fresh connection does not know");
	client_expect_err(c, 1235, "");
	rig_stop();
}

/* ---- LAST_INSERT_ID() ---- */

TEST_WORKER(insert_id_is_learned)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7), *r;

	cr_assert_not_null(client_sess(c)->b);
	/* a read elsewhere lets the connection go, which is asked before it goes to the pool */
	client_query(c, "SELECT 1 FROM t");
	r = server_ready(1);
	server_expect_query(r, "SELECT 1 FROM t");
	server_row_for(r, c, ST_AUTOCOMMIT, 0);
	cr_assert_eq(R.w.srv[0].nidle, 0);
	server_learn(s, "7");
	cr_assert_eq(R.w.srv[0].nidle, 1);
	cr_assert_eq(client_sess(c)->insert_id, 7);
	client_query(c, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	server_expect_query(s, "SET last_insert_id=7");
	server_ok(s);
	server_expect_query(s, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	server_ok(s);
	client_expect_ok(c);
	rig_stop();
}

TEST_WORKER(insert_id_asked_for_on_its_connection)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);

	client_query(c, "SELECT LAST_INSERT_ID()");
	server_expect_query(s, "SELECT LAST_INSERT_ID()");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	rig_stop();
}

/* A statement that needs the id while it is being learned waits for it. */
TEST_WORKER(statement_waits_for_the_insert_id)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7), *s2;

	rig_read(c, "SELECT 1 FROM t", NULL, 1);
	client_query(c, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	rig_run();
	cr_assert_eq(client_state(c), SESS_WAIT);
	cr_assert(!server_has_connect(0));
	server_learn(s, "7");
	s2 = s;
	server_expect_query(s2, "SET last_insert_id=7");
	server_ok(s2);
	server_expect_query(s2, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	server_ok(s2);
	client_expect_ok(c);
	rig_stop();
}

/* FOUND_ROWS() of another connection is not asked for while the insert id is: its answer would be taken for that one. */
TEST_WORKER(insert_id_is_not_missed_for_found_rows)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *a, *b;

	a = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);
	rig_read(c, "SELECT a FROM t LIMIT 1 OFFSET 1", NULL, 1);
	b = wrote(c, "UPDATE t SET a=1", NULL, 1, 0);
	cr_assert_neq(a, b);
	cr_assert_neq(client_sess(c)->learning, 0);
	server_learn(a, "7");
	cr_assert_eq(client_sess(c)->insert_id, 7);
	rig_stop();
}

/* Two inserts on two connections; the older answer comes last, or first: it must not win. */
TEST_WORKER(insert_id_of_the_newest_insert)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *a = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7), *r;

	r = rig_read(c, "SELECT 1 FROM t", NULL, 1);
	/* what it may leave alone has to be there, and is on its way */
	client_query(c, "INSERT INTO t VALUES (2)");
	server_learn(a, "7");
	wrote_behind(c, "SET last_insert_id=7", "INSERT INTO t VALUES (2)", a, 1, 8);
	rig_read(c, "SELECT 1 FROM t", r, 1);
	client_query(c, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	server_learn(a, "8");
	wrote_behind(c, "SET last_insert_id=8", "INSERT INTO u VALUES (LAST_INSERT_ID())", a, 1, 0);
	rig_stop();
}

/* An INSERT with a value for the column tells it, and leaves LAST_INSERT_ID() alone: the connection must have the session's, also
 * that of a session that has none. */
TEST_WORKER(insert_id_that_is_not_one)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *a, *r;

	a = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);
	r = rig_read(c, "SELECT 1 FROM t", NULL, 1);
	server_learn(a, "7");
	client_query(d, "INSERT INTO t VALUES (20, 1)");
	wrote_behind(d, "SET last_insert_id=0", "INSERT INTO t VALUES (20, 1)", a, 1, 20);
	rig_read(d, "SELECT 1 FROM t", r, 1);
	server_learn(a, "0");
	cr_assert_eq(client_sess(d)->insert_id, 0);
	cr_assert_eq(client_sess(c)->insert_id, 7);
	wrote(d, "INSERT INTO t VALUES (21, 1)", a, 1, 21); /* it is known to be 0 now */
	rig_stop();
}

/* Another session's settings are sent over the connection that was asked once: its answer is not an insert id. */
TEST_WORKER(other_answers_teach_no_insert_id)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *a, *b, *r;

	a = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);
	r = rig_read(c, "SELECT 1 FROM t", NULL, 1);
	server_learn(a, "7");
	/* a is taken by another, so that the next insert of c is elsewhere */
	client_query(d, "INSERT INTO x VALUES (1)");
	server_expect_query(a, "SET last_insert_id=0");
	server_ok(a);
	server_expect_query(a, "INSERT INTO x VALUES (1)");
	client_query(c, "INSERT INTO t VALUES (2)");
	b = server_ready(0);
	cr_assert_neq(a, b);
	wrote_behind(c, "SET last_insert_id=7", "INSERT INTO t VALUES (2)", b, 1, 9);
	server_ok(a);
	client_expect_ok(d);
	rig_read(c, "SELECT 1 FROM t", r, 1); /* b is being asked */
	/* d changes the database of a */
	use_db(d, a, "two");
	struct peer *e = client_login(CAPS_NEW);
	client_com(e, COM_INIT_DB, "three", 5);
	server_expect(a, COM_INIT_DB, "three", 5);
	answer_state(a, e, TRACK_SCHEMA, NULL, "three");
	client_query(d, "INSERT INTO x VALUES (2)");
	server_expect(a, COM_INIT_DB, "two", 3);
	server_ok(a);
	server_expect_query(a, "INSERT INTO x VALUES (2)");
	server_ok(a);
	client_expect_ok(d);
	server_learn(b, "9");
	cr_assert_eq(client_sess(c)->insert_id, 9, "insert id %llu", (unsigned long long)client_sess(c)->insert_id);
	rig_stop();
}

/* The connection that knows the id is lost: an error, never an older id. */
static void
insert_id_lost(int how)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);

	if (how == 0) {
		server_gone(s); /* while nothing runs */
	} else {
		rig_read(c, "SELECT 1 FROM t", NULL, 1);
		server_expect_query(s, "SELECT LAST_INSERT_ID()");
	}
	if (how == 1)
		server_gone(s);
	if (how == 2)
		server_err(s, 1927, "Connection was killed");
	client_query(c, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	rig_run();
	if (how == 3)
		server_gone(s); /* while the statement waits */
	client_expect_err(c, 1158, "");
	cr_assert_eq(client_state(c), SESS_READY);
	/* after the next insert all is well again */
	s = wrote(c, "INSERT INTO t VALUES (3)", NULL, 1, 7);
	client_query(c, "SELECT LAST_INSERT_ID()");
	server_expect_query(s, "SELECT LAST_INSERT_ID()");
	server_row_for(s, c, ST_AUTOCOMMIT, 0);
	rig_stop();
}

TEST_WORKER(insert_id_lost_with_its_connection)
{
	for (int how = 0; how < 4; how++)
		insert_id_lost(how);
}

/* Statements that may leave an insert id, or may not: if they do not, the session's is still the one from before,
 * not that of whoever had the connection last. */
TEST_WORKER(insert_id_goes_ahead_of_who_may_change_it)
{
	static const char *const sql[] = {"INSERT INTO t VALUES (2) RETURNING a", "CALL p()", "INSERT INTO t VALUES (2)"};

	for (int i = 0; i < 3; i++) {
		rig_start(NULL);
		struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);

		rig_read(c, "SELECT 1 FROM t", NULL, 1);
		server_learn(s, "7");
		if (i == 2)
			rig_detail(0, leaves_state); /* a trigger may change it */
		client_query(c, sql[i]);
		server_expect_query(s, "SET last_insert_id=7");
		server_ok(s);
		server_expect_query(s, sql[i]);
		server_ok(s);
		client_expect_ok(c);
		cr_assert(client_sess(c)->insert_id_open);
		rig_stop();
	}
}

/* A waiting statement that is given up must not run when the id comes after all. */
TEST_WORKER(statement_killed_while_it_waits_for_the_insert_id)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = wrote(c, "INSERT INTO t VALUES (1)", NULL, 1, 7);
	struct peer *k = client_login(CAPS_NEW);
	char kill[64];

	rig_read(c, "SELECT 1 FROM t", NULL, 1);
	client_query(c, "INSERT INTO u VALUES (LAST_INSERT_ID())");
	rig_run();
	cr_assert_eq(client_state(c), SESS_WAIT);
	snprintf(kill, sizeof kill, "KILL QUERY %u", c->id);
	client_query(k, kill);
	client_expect_ok(k);
	client_expect_err(c, 1317, "");
	server_learn(s, "7");
	peer_expect_silence(c);
	peer_expect_silence(s);
	cr_assert_eq(client_state(c), SESS_READY);
	client_com(c, COM_PING, NULL, 0);
	client_expect_ok(c);
	rig_stop();
}

/* ---- COM_RESET_CONNECTION ---- */

TEST_WORKER(client_resets)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s;

	s = set_variable(c, NULL, "SET time_zone='+03:00'", "time_zone", "+03:00");
	rig_write(c, "SET @a=1", s);
	client_com(c, COM_RESET_CONNECTION, NULL, 0);
	client_expect_ok(c);
	server_expect_reset(s);
	cr_assert_eq(client_sess(c)->pins, 0);
	cr_assert_eq(client_sess(c)->set->n, 0);
	rig_write(c, "INSERT INTO t VALUES (1)", s);
	rig_stop();
}

/* ---- reads after writes ---- */

TEST_WORKER(session_reads_its_own_writes)
{
	struct bytes state = {0};

	rig_start(&(struct rig_conf){.cluster = "causal_timeout = 0"});
	struct peer *c = client_login(CAPS_NEW), *s, *r;
	client_query(c, "INSERT INTO t VALUES (1)");
	s = server_ready(0);
	server_expect_query(s, "INSERT INTO t VALUES (1)");
	bytes_track(&state, TRACK_SYSVAR, "last_gtid", "0-1-42");
	struct pkt_ok ok = {.affected = 1, .status = ST_AUTOCOMMIT | ST_SESSION_CHANGED, .state = {state.p, state.len}};
	server_ok_full(s, &ok);
	client_expect_ok(c);
	bytes_free(&state);
	cr_assert_eq(client_sess(c)->gtid_seq, 42);
	rig_read(c, "SELECT 1 FROM t", s, 0); /* no replica is known to have it */
	rig_gtid(1, 0, 41);
	rig_read(c, "SELECT 1 FROM t", s, 0);
	rig_gtid(1, 0, 42);
	r = rig_read(c, "SELECT 1 FROM t", NULL, 1);
	cr_assert_neq(r, s);
	/* another session does not care */
	rig_read(client_login(CAPS_NEW), "SELECT 1 FROM t", r, 1);
	rig_stop();
}

TEST_WORKER(write_without_gtid_ties_reads_to_the_primary)
{
	struct pkt_ok one = {.affected = 1, .status = ST_AUTOCOMMIT};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write_full(c, "INSERT INTO t VALUES (1)", NULL, &one);

	rig_gtid(1, 0, 1000);
	rig_read(c, "SELECT 1 FROM t", s, 0);
	rig_stop();
}
