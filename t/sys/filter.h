/* t/sys/filter.h: what the filters of the tests have in common (classify, digest, parse): statements on stdin, each ended by a
 * NUL, go to a function one after the other. -m MODE: lexer mode (LEX_*). -b N: nanoseconds of N times of each instead.
 */
#ifndef MARGAY_T_SYS_FILTER_H
#define MARGAY_T_SYS_FILTER_H

#include "parser/stmt.h"

struct filter {
	void (*each)(const char *text, size_t len, u32 mode);
	void (*bench)(const char *text, size_t len, u32 mode, long rounds);
	const char *more;                         /* options of its own, as getopt takes them; "": none */
	bool (*option)(int opt, const char *arg); /* takes one of these */
};

/* The exit code of main. */
int filter_run(const struct filter *f, int argc, char **argv);
/* Of the monotonic clock. */
double filter_ns(void);

#endif
