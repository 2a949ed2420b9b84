/* Unit tests of base/: strings, lists, error table, log lines. */
#include <criterion/criterion.h>
#include <signal.h>
#include <unistd.h>
#include "base/check.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/reasons.h"
#include "base/str.h"

Test(str, to_u64)
{
	u64 v = 7;

	cr_assert_eq(str_to_u64("0", &v), 0);
	cr_assert_eq(v, 0);
	cr_assert_eq(str_to_u64("18446744073709551615", &v), 0);
	cr_assert_eq(v, UINT64_MAX);
	cr_assert_eq(str_to_u64("18446744073709551616", &v), ERR_INVAL);
	cr_assert_eq(str_to_u64("", &v), ERR_INVAL);
	cr_assert_eq(str_to_u64("12x", &v), ERR_INVAL);
	cr_assert_eq(str_to_u64("-1", &v), ERR_INVAL);
}

Test(str, copy_terminates_and_tells)
{
	char b[4];

	cr_assert(str_copy(b, sizeof b, "abc"));
	cr_assert_str_eq(b, "abc");
	cr_assert(!str_copy(b, sizeof b, "abcd"));
	cr_assert_str_eq(b, "abc");
}

Test(str, hex_round_trip)
{
	u8 in[3] = {0x00, 0x9f, 0xff}, out[3];
	char h[7];

	hex_encode(h, in, 3);
	cr_assert_str_eq(h, "009FFF");
	cr_assert_eq(hex_decode(out, 3, "009fFF", 6), 0);
	cr_assert_arr_eq(in, out, 3);
	cr_assert_eq(hex_decode(out, 3, "009fFG", 6), ERR_INVAL);
	cr_assert_eq(hex_decode(out, 3, "009f", 4), ERR_INVAL);
}

Test(str, distance)
{
	cr_assert_eq(str_distance("lisetn", "listen"), 2);
	cr_assert_eq(str_distance("weight", "weight"), 0);
	cr_assert_eq(str_distance("", "abc"), 3);
}

Test(list, push_del)
{
	struct list h, a, b;
	int n = 0;

	list_init(&h);
	list_push_back(&h, &a);
	list_push_front(&h, &b);
	cr_assert_eq(h.next, &b);
	list_del(&b);
	list_del(&b);
	list_for_each(i, &h) n++;
	cr_assert_eq(n, 1);
	list_for_each_safe(i, t, &h) list_del(i);
	cr_assert(list_empty(&h));
}

Test(err, rows)
{
	cr_assert_eq(err_info(ERR_ACCESS)->mysql_errno, 1045);
	cr_assert_str_eq(err_info(ERR_ACCESS)->sqlstate, "28000");
	cr_assert_str_eq(err_info(12345)->name, "ERR_IO");
	for (int i = 0; i < ERR_ROWS; i++) {
		u32 n = err_info(-1 - i)->mysql_errno;

		cr_assert_eq(strlen(err_info(-1 - i)->sqlstate), 5);
		/* libmariadb takes those of client libraries for a malformed packet */
		cr_assert(!(n >= 2000 && n < 3000) && !(n >= 5000 && n < 6000), "%s: %u", err_info(-1 - i)->name, n);
	}
	cr_assert_eq(exit_reaction(EXIT_CONF), EXIT_REACT_STOP);
	cr_assert_eq(exit_reaction(134), EXIT_REACT_RESPAWN);
}

Test(reasons, states_have_successors)
{
	for (int i = 0; i < SESS_CLOSED; i++)
		cr_assert_neq(sess_state_next[i], 0, "%s", sess_state_words[i]);
	for (int i = 0; i < BCONN_CLOSED; i++)
		cr_assert_neq(bconn_state_next[i], 0, "%s", bconn_state_words[i]);
	cr_assert_str_eq(com_word(3), "Query");
	cr_assert_str_eq(com_word(200), "?");
}

Test(log, one_line_with_control_characters_shown)
{
	int p[2];
	char b[4096];
	ssize_t n;

	cr_assert_eq(pipe(p), 0);
	log_init("worker", 3, p[1]);
	log_warn("a\nb %s", "c\x01");
	n = read(p[0], b, sizeof b - 1);
	cr_assert_gt(n, 0);
	b[n] = '\0';
	cr_assert(strstr(b, "<4>worker/3[") == b);
	cr_assert(strstr(b, "a\\x0ab c\\x01\n") != NULL);
	cr_assert_eq(strchr(b, '\n'), b + n - 1);
}

Test(check, panic_reaches_the_sink, .signal = SIGABRT)
{
	static char sink[64];

	panic_set_sink(sink, sizeof sink);
	WRONG("on purpose");
}
