/* master/ending.c: exit status decoding and the respawn throttle. Pure; master only. */
#include "master/ending.h"
#include <sys/wait.h>

struct ending
ending_of(int wstatus, bool asked)
{
	struct ending e = {.code = -1};

	if (WIFSIGNALED(wstatus)) {
		e.sig = WTERMSIG(wstatus);
		e.core = WCOREDUMP(wstatus);
		e.crash = true;
		return e;
	}
	e.code = WEXITSTATUS(wstatus);
	/* An exit with 0 that nobody asked for is a fault of the child, but one that a new start may mend. */
	e.crash = !asked || e.code != EXIT_OK;
	e.stop = e.code != EXIT_OK && exit_reaction(e.code) == EXIT_REACT_STOP;
	return e;
}

void
ending_text(const struct ending *e, char *buf, size_t size)
{
	if (e->sig != 0) {
		const char *name = sigabbrev_np(e->sig);

		snprintf(buf, size, "killed by signal %d (%s)%s", e->sig, name == NULL ? "?" : name,
		    e->core ? ", core dumped" : "");
	} else if (e->code == EXIT_OK && e->crash) {
		snprintf(buf, size, "exit code 0 without being asked");
	} else {
		snprintf(buf, size, "exit code %d: %s", e->code, exit_text(e->code));
	}
}

u64
throttle_next(u64 last_ms, u64 min_ms, u64 max_ms, u64 lived_ms)
{
	if (lived_ms >= THROTTLE_RESET_MS || last_ms == 0)
		return MIN(min_ms, max_ms);
	if (last_ms >= max_ms / 2)
		return max_ms;
	return MAX(last_ms * 2, MIN(min_ms, max_ms));
}
