/* master/ending.h: what the end of a child means and when its successor may start. Pure. */
#ifndef MARGAY_MASTER_ENDING_H
#define MARGAY_MASTER_ENDING_H
#include "base/base.h"
#include "base/err.h"

struct ending {
	bool crash;  /* not what was asked of it */
	bool stop;   /* of no use to start it again: an exit code whose reaction is STOP */
	int code;    /* exit code, -1 when it was a signal */
	int sig;     /* signal, 0 when it exited */
	bool core;
};

/* wstatus as waitpid gives it; asked: it had been told to stop. */
struct ending ending_of(int wstatus, bool asked);
/* "killed by signal 9 (KILL)", "exit code 78: configuration error"; always terminated. */
void ending_text(const struct ending *e, char *buf, size_t size);

/* Pause before a start: min, doubled by each crash up to max; a life of THROTTLE_RESET_MS resets it. */
#define THROTTLE_RESET_MS 60000u
/* last_ms: the pause before the start of the process that ended, 0: none. Returns the next one, ms. */
u64 throttle_next(u64 last_ms, u64 min_ms, u64 max_ms, u64 lived_ms);
#endif
