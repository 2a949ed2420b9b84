/* t/unit/test_worker_clock.c: every timeout, by a clock that the test moves; and the end of a worker. */
#include "config.h"
#include "t/unit/worker_rig.h"
#include <sys/socket.h>
#include <unistd.h>

static const char read_sql[] = "SELECT c FROM t WHERE id=1", write_sql[] = "INSERT INTO t VALUES (1)";
static const struct pkt_ok trx_open = {.status = ST_AUTOCOMMIT | ST_IN_TRANS};

TEST_WORKER(login_timeout)
{
	struct rig_conf conf = {.margay = "login_timeout = 2s"};

	rig_start(&conf);
	struct peer *silent = client_connect(), *half = client_connect(), *sw = client_connect(), *good = client_login(CAPS_NEW);

	peer_send(half, "\x20\x00\x00\x01half", 8);
	client_respond(sw, "app", "secret", NULL, CAPS_NEW, "caching_sha2_password");
	size_t len;
	(void)peer_packet(sw, &len);
	rig_pass(1800);
	peer_expect_silence(silent);
	rig_pass(400);
	peer_expect_closed(silent);
	peer_expect_closed(half);
	rig_pass(2000); /* asking for another method gives it a new period */
	peer_expect_closed(sw);
	peer_expect_silence(good);
	cr_assert_eq(rig_counter("login_timeouts"), 3);
	rig_stop();
}

TEST_WORKER(idle_timeout)
{
	struct rig_conf conf = {.margay = "idle_timeout = 3s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *active = client_login(CAPS_NEW), *asking = client_login(CAPS_NEW);
	struct peer *s = rig_read(active, read_sql, NULL, 1);
	for (int i = 0; i < 4; i++) {
		rig_pass(1000);
		rig_read(active, read_sql, s, 1);
		/* who is answered here is not idle either */
		client_com(asking, COM_PING, NULL, 0);
		client_expect_ok(asking);
	}
	client_expect_err(c, 4031, "idle_timeout");
	peer_expect_closed(c);
	peer_expect_silence(asking);
	peer_expect_silence(active);
	rig_pass(4000);
	client_expect_err(asking, 4031, "idle_timeout");
	client_expect_err(active, 4031, "idle_timeout");
	cr_assert_eq(rig_counter("idle_timeouts"), 3);
	rig_stop();
}

TEST_WORKER(idle_transaction_timeout)
{
	struct rig_conf conf = {.margay = "idle_timeout = 100s\nidle_transaction_timeout = 2s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *d = client_login(CAPS_NEW), *s = rig_write_full(c, "BEGIN", NULL, &trx_open);

	rig_pass(2200);
	client_expect_err(c, 4031, "idle_transaction_timeout");
	peer_expect_closed(c);
	server_expect_reset(s);
	peer_expect_silence(d);
	rig_stop();
}

/* Answers a login of the worker's for a KILL. */
static void
answer_kill(struct peer *s, u16 err)
{
	char sql[64];
	struct peer *k = server_accept(s->server);
	struct bytes ok = {0};
	struct pkt_ok o = {.status = ST_AUTOCOMMIT};

	server_greet(k);
	server_expect_login(k, "app", "secret");
	bytes_ok(&ok, 2, CAP_SESSION_TRACK, &o);
	peer_send(k, ok.p, ok.len);
	bytes_free(&ok);
	snprintf(sql, sizeof sql, "KILL QUERY %u", s->thread_id);
	server_expect_query(k, sql);
	if (err != 0)
		server_err(k, err, "no");
	else
		server_ok(k);
	rig_run();
	peer_close(k);
	rig_run();
}

TEST_WORKER(statement_timeout)
{
	struct rig_conf conf = {.margay = "statement_timeout = 1s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s;
	client_query(c, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	rig_pass(800);
	cr_assert(!server_has_connect(0));
	rig_pass(400);
	answer_kill(s, 0);
	server_err(s, 1317, "Query execution was interrupted");
	client_expect_err(c, 1969, "statement_timeout exceeded: 1000 ms");
	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(rig_counter("statement_timeouts"), 1);
	rig_stop();
}

/* The statement ends by itself while the KILL is under way. */
TEST_WORKER(statement_timeout_too_late)
{
	struct rig_conf conf = {.margay = "statement_timeout = 1s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s;
	client_query(c, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	rig_pass(1200);
	server_ok(s);
	client_expect_ok(c);
	struct peer *k = server_accept(0);
	server_greet(k);
	peer_close(k);
	rig_run();
	rig_stop();
}

/* The KILL cannot be carried out, or does not help: after a period of grace the connection is given up. */
TEST_WORKER(statement_timeout_when_the_kill_fails)
{
	struct rig_conf conf = {.margay = "statement_timeout = 1s"};

	for (int how = 0; how < 3; how++) {
		rig_start(&conf);
		struct peer *c = client_login(CAPS_NEW), *s;
		client_query(c, write_sql);
		s = server_ready(0);
		server_expect_query(s, write_sql);
		if (how == 1)
			rig_server_down(0);
		rig_pass(1200);
		if (how == 0)
			peer_close(server_accept(0));
		if (how == 2)
			answer_kill(s, 0);
		rig_run();
		peer_expect_silence(c);
		rig_pass(2200);
		client_expect_err(c, 1158, "statement_timeout, and the server does not answer");
		cr_assert_eq(client_state(c), SESS_READY);
		cr_assert_eq(rig_counter("statement_timeouts"), 1);
		rig_stop();
	}
}

TEST_WORKER(write_timeout)
{
	struct rig_conf conf = {.margay = "write_timeout = 5s"};
	struct bytes rows = {0};
	int small = 8192;

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s;
	client_query(c, read_sql);
	s = server_ready(1);
	server_expect_query(s, read_sql);
	cr_assert_eq(setsockopt(client_sess(c)->conn.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 5000);
	peer_send(s, rows.p, rows.len);
	rig_run();
	cr_assert_gt(R.w.chunks.in_use, 0);
	/* a client that takes a little now and then is only slow */
	for (int i = 0; i < 5; i++) {
		rig_pass(3000);
		cr_assert_gt(peer_take_raw(c, 4500), 0);
		rig_run();
	}
	cr_assert_eq(rig_counter("write_timeouts"), 0);
	rig_pass(8000);
	cr_assert_eq(rig_counter("write_timeouts"), 1);
	cr_assert_eq(R.w.nsess, 0);
	cr_assert_eq(R.w.chunks.in_use, 0);
	bytes_free(&rows);
	rig_stop();
}

/* The last words are not waited for for ever either. */
TEST_WORKER(write_timeout_of_last_words)
{
	struct rig_conf conf = {.margay = "write_timeout = 1s\nidle_timeout = 1s"};
	struct bytes rows = {0};
	int small = 4096;

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s;
	client_query(c, read_sql);
	s = server_ready(1);
	server_expect_query(s, read_sql);
	cr_assert_eq(setsockopt(client_sess(c)->conn.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1500);
	peer_send(s, rows.p, rows.len);
	rig_run();
	client_query(c, "SELECT nothing that is ever configured");
	rig_pass(6000);
	cr_assert_eq(R.w.nsess, 0);
	bytes_free(&rows);
	for (u32 i = 0; i < R.npeers; i++)
		if (R.peers[i]->is_server && R.peers[i]->fd >= 0)
			peer_close(R.peers[i]);
	rig_run();
	while (server_has_connect(1))
		peer_close(server_accept(1));
	rig_stop();
}

TEST_WORKER(connect_timeout)
{
	struct rig_conf conf = {.server = "connect_timeout = 1s"};

	for (int far = 0; far < 3; far++) {
		rig_start(&conf);
		struct peer *c = client_login(CAPS_NEW), *s;
		client_query(c, write_sql);
		s = server_accept(0);
		if (far > 0)
			server_greet(s);
		if (far > 1) {
			struct bytes ok = {0};
			struct pkt_ok o = {.status = ST_AUTOCOMMIT};

			server_expect_login(s, "app", "secret");
			bytes_ok(&ok, 2, CAP_SESSION_TRACK, &o);
			peer_send(s, ok.p, ok.len);
			bytes_free(&ok);
		}
		rig_pass(1200);
		client_expect_err(c, 1053, "connect_timeout");
		rig_stop();
	}
}

TEST_WORKER(pool_idle_timeout_and_age)
{
	struct rig_conf conf = {.server = "pool_idle_timeout = 10s\npool_max_age = 30s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW), *s = rig_write(c, write_sql, NULL);
	rig_pass(9000);
	cr_assert_eq(R.w.srv[0].nidle, 1);
	rig_write(c, write_sql, s);
	rig_pass(9000);
	rig_write(c, write_sql, s);
	rig_pass(9000);
	rig_write(c, write_sql, s);
	rig_pass(4000);
	cr_assert_eq(R.w.srv[0].nconns, 0, "thirty seconds old");
	s = rig_write(c, write_sql, NULL);
	rig_pass(11000);
	cr_assert_eq(R.w.srv[0].nconns, 0, "ten seconds idle");
	rig_stop();
}

TEST_WORKER(long_deadlines_go_round_the_wheel)
{
	struct rig_conf conf = {.margay = "idle_timeout = 200s"};

	rig_start(&conf);
	struct peer *c = client_login(CAPS_NEW);
	rig_pass(199000);
	peer_expect_silence(c);
	rig_pass(1500);
	client_expect_err(c, 4031, "idle_timeout");
	rig_stop();
}

/* ---- the end ---- */

TEST_WORKER(stop_waits_for_what_runs)
{
	rig_start(NULL);
	struct peer *idle = client_login(CAPS_NEW), *busy = client_login(CAPS_NEW), *trx = client_login(CAPS_NEW);
	struct peer *fresh = client_connect(), *s, *t = rig_write_full(trx, "BEGIN", NULL, &trx_open);
	client_query(busy, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	worker_stop(&R.w, 30000);
	rig_pass(200);
	client_expect_err(idle, 1053, "shutting down");
	peer_expect_closed(fresh);
	peer_expect_silence(busy);
	peer_expect_silence(trx);
	server_ok(s);
	client_expect_ok(busy);
	rig_pass(200);
	client_expect_err(busy, 1053, "");
	cr_assert(!evs_stopped);
	server_ok(t);
	rig_run();
	peer_close(trx);
	rig_pass(200);
	cr_assert(evs_stopped);
	rig_pass(200);
	rig_stop();
}

TEST_WORKER(stop_has_an_end)
{
	rig_start(NULL);
	struct peer *busy = client_login(CAPS_NEW), *trx = client_login(CAPS_NEW), *s;
	rig_write_full(trx, "BEGIN", NULL, &trx_open);
	client_query(busy, write_sql);
	s = server_ready(0);
	server_expect_query(s, write_sql);
	worker_stop(&R.w, 1000);
	rig_pass(900);
	peer_expect_silence(busy);
	rig_pass(300);
	client_expect_err(busy, 1053, "");
	client_expect_err(trx, 1053, "");
	cr_assert(evs_stopped);
	server_gone(s);
	rig_stop();
}

TEST_WORKER(no_clients_while_stopping)
{
	int fds[2];

	rig_start(NULL);
	client_login(CAPS_NEW);
	struct peer *trx = client_login(CAPS_NEW);
	rig_write_full(trx, "BEGIN", NULL, &trx_open);
	worker_stop(&R.w, 30000);
	struct peer *c = client_connect_fd(fds);
	listen_client(&R.w, fds[1], 1, 0, 0);
	peer_expect_closed(c);
	rig_stop();
}
