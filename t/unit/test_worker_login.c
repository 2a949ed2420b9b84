/* t/unit/test_worker_login.c: from the greeting to the first statement. */
#include "config.h"
#include "t/unit/worker_rig.h"

TEST_WORKER(login_right)
{
	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);

	cr_assert_eq(client_state(c), SESS_READY);
	cr_assert_eq(rig_counter("logins"), 1);
	cr_assert(!server_has_connect(0) && !server_has_connect(1), "a login without database needs no server");
	rig_stop();
}

TEST_WORKER(point_select)
{
	struct bytes rows = {0};

	rig_start(NULL);
	struct peer *c = client_login(CAPS_NEW);
	client_query(c, "SELECT c FROM t WHERE id=1");
	struct peer *s = server_ready(1);
	server_expect_query(s, "SELECT c FROM t WHERE id=1");
	bytes_result(&rows, 1, CAPS_NEW, ST_AUTOCOMMIT, 0, 1);
	peer_send(s, rows.p, rows.len);
	peer_expect(c, rows.p, rows.len);
	peer_expect_silence(c);
	bytes_free(&rows);
	rig_stop();
}
