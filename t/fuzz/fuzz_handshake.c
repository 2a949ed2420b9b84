/* t/fuzz/fuzz_handshake.c: greeting, response, authentication switch, COM_CHANGE_USER. Whatever parses must point
 * into the input and survive being written and parsed again. Input: which parser, 3 bytes that are
 * taken out of the offered capabilities, the body.
 */
#include "t/fuzz/fuzz_util.h"
#include "base/err.h"
#include "proto/handshake.h"

#define BODY_MAX 65536
static u8 out[2 * BODY_MAX];

static void
one_greeting(const u8 *body, size_t len)
{
	struct hs_greeting g, back;
	struct wr w = wr_init(out, sizeof out);
	int rc = hs_greeting_parse(body, len, &g);

	MUST(rc == 0 || rc == ERR_BACKEND_PROTO || (rc == ERR_CONNECT && body[0] == 0xff));
	if (rc != 0)
		return;
	must_be_inside(g.version, body, len);
	must_be_inside(g.plugin, body, len);
	hs_greeting_write(&w, &g);
	MUST(!w.bad);
	MUST(hs_greeting_parse(out + PKT_HDR, w.len - PKT_HDR, &back) == 0);
	MUST(back.thread_id == g.thread_id && back.caps == g.caps);
	MUST(back.mariadb_caps == g.mariadb_caps && back.charset == g.charset);
	MUST(back.status == g.status && memcmp(back.scramble, g.scramble, 20) == 0);
	must_be_same(back.version, g.version);
	must_be_same(back.plugin, g.plugin);
}

static void
one_attrs(struct slice attrs, const u8 *body, size_t len)
{
	struct slice v = hs_attr(attrs, "program_name");

	if (v.p != NULL)
		must_be_inside(v, body, len);
}

static void
one_response(const u8 *body, size_t len, u32 offered)
{
	struct hs_response r, back;
	struct wr w = wr_init(out, sizeof out);
	int rc = hs_response_parse(body, len, offered, &r);

	MUST(rc == 0 || rc == ERR_PROTO);
	if (rc != 0)
		return;
	MUST((r.caps & ~offered) == 0);
	must_be_inside(r.user, body, len);
	must_be_inside(r.auth, body, len);
	must_be_inside(r.db, body, len);
	must_be_inside(r.plugin, body, len);
	must_be_inside(r.attrs, body, len);
	one_attrs(r.attrs, body, len);
	if (!(r.caps & CAP_PROTOCOL_41))
		return; /* not offered, so not in caps; what was sent had it */
	hs_response_write(&w, 1, &r);
	MUST(!w.bad);
	MUST(hs_response_parse(out + PKT_HDR, w.len - PKT_HDR, offered, &back) == 0);
	MUST(back.caps == r.caps && back.max_packet == r.max_packet && back.charset == r.charset);
	MUST(back.ssl_request == r.ssl_request);
	must_be_same(back.user, r.user);
	must_be_same(back.auth, r.auth);
	must_be_same(back.db, r.db);
	must_be_same(back.plugin, r.plugin);
	must_be_same(back.attrs, r.attrs);
}

static void
one_switch(const u8 *body, size_t len)
{
	struct slice plugin, data;
	int rc = hs_auth_switch_parse(body, len, &plugin, &data);

	MUST(rc == 0 || rc == ERR_BACKEND_PROTO);
	if (rc != 0)
		return;
	must_be_inside(plugin, body, len);
	must_be_inside(data, body, len);
	MUST(memchr(plugin.p, 0, plugin.len + 1) == plugin.p + plugin.len);
	struct slice plugin2, data2;
	struct wr w = wr_init(out, sizeof out);
	hs_auth_switch_write(&w, 2, (const char *)plugin.p, data.p, data.len);
	MUST(!w.bad && hs_auth_switch_parse(out + PKT_HDR, w.len - PKT_HDR, &plugin2, &data2) == 0);
	must_be_same(plugin2, plugin);
	must_be_same(data2, data);
}

static void
one_change_user(const u8 *body, size_t len, u32 caps)
{
	struct hs_change_user u, back;
	struct wr w = wr_init(out, sizeof out);
	int rc = hs_change_user_parse(body, len, caps, &u);

	MUST(rc == 0 || rc == ERR_PROTO);
	if (rc != 0)
		return;
	must_be_inside(u.user, body, len);
	must_be_inside(u.auth, body, len);
	must_be_inside(u.db, body, len);
	must_be_inside(u.plugin, body, len);
	must_be_inside(u.attrs, body, len);
	hs_change_user_write(&w, caps, &u);
	MUST(!w.bad);
	MUST(hs_change_user_parse(out + PKT_HDR, w.len - PKT_HDR, caps, &back) == 0);
	MUST(back.charset == u.charset);
	must_be_same(back.user, u.user);
	must_be_same(back.auth, u.auth);
	must_be_same(back.db, u.db);
	must_be_same(back.plugin, u.plugin);
	must_be_same(back.attrs, u.attrs);
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const u8 *body;
	size_t len;

	if (size < 4)
		return 0;
	body = data + 4;
	len = MIN(size - 4, (size_t)BODY_MAX);
	switch (data[0] % 4) {
	case 0:
		one_greeting(body, len);
		break;
	case 1:
		one_response(body, len, ~rd24(data + 1));
		break;
	case 3:
		one_change_user(body, len, ~rd24(data + 1));
		break;
	default:
		one_switch(body, len);
	}
	return 0;
}
