/* t/fuzz/fuzz_ini.c: the configuration reader. Any bytes are read, judged and, if nothing is wrong
 * with them, flattened; what comes out must open, and a reload of the same bytes must find nothing
 * changed. Reads no files.
 */
#include "t/fuzz/fuzz_util.h"
#include "conf/check.h"
#include "conf/conf.h"

static void
on_change(void *arg UNUSED, const struct conf_change *c)
{
	fprintf(stderr, "[%s %s] changed by a reload of the same file\n",
		opt_section_words[c->section], c->name);
	abort();
}

/* One load; false when there are errors. The caller frees what is in out. */
static bool
load(const u8 *data, size_t size, const struct cfg *previous, struct conf_msgs *msgs,
     struct snap_out *out)
{
	struct mem mem = {0};
	struct conf_tree t = {.mem = &mem, .msgs = msgs};
	struct snap_args a = {.previous = previous, .generation = 1, .cpus = 2};
	struct conf_room room;
	bool ok;

	MUST(tree_read_mem(&t, "dir/margay.conf", data, size) == 0);
	check_tree(&t);
	room = check_room_asked(&t);
	check_room(&t, &room);
	if (previous != NULL && msgs->errors == 0)
		snap_keep_restart(&t, previous);
	ok = msgs->errors == 0;
	if (ok)
		MUST(snap_build(&t, &a, out) == 0);
	msg_sort(msgs);
	for (u32 i = 0; i < msgs->n; i++) {
		char line[2048];

		msg_format(&msgs->v[i], line, sizeof line);
		MUST(line[0] != '\0');
	}
	mem_free(&mem);
	return ok;
}

int
LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct conf_msgs msgs; /* large; emptied by msg_free */
	struct snap_out first = {0}, second = {0};
	struct cfg c, again;

	if (load(data, size, NULL, &msgs, &first)) {
		MUST(cfg_open_mem(first.cfg, first.cfg_size, first.secrets, first.secrets_size,
				  &c) == 0);
		msg_free(&msgs);
		MUST(load(data, size, &c, &msgs, &second));
		MUST(cfg_open_mem(second.cfg, second.cfg_size, second.secrets, second.secrets_size,
				  &again) == 0);
		conf_diff(&c, &again, on_change, NULL);
	}
	msg_free(&msgs);
	conf_snap_free(&first);
	conf_snap_free(&second);
	return 0;
}
