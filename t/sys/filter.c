/* t/sys/filter.c: see filter.h. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "t/sys/filter.h"

double
filter_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int
filter_run(const struct filter *f, int argc, char **argv)
{
	char options[32], *text = NULL;
	long rounds = 0;
	size_t size = 0;
	ssize_t n;
	u32 mode = 0;
	int opt;

	snprintf(options, sizeof options, "b:m:%s", f->more);
	while ((opt = getopt(argc, argv, options)) != -1) {
		if (opt == 'b')
			rounds = strtol(optarg, NULL, 10);
		else if (opt == 'm')
			mode = (u32)strtoul(optarg, NULL, 0);
		else if (opt == '?' || !f->option(opt, optarg))
			return 2;
	}
	while ((n = getdelim(&text, &size, 0, stdin)) > 0) {
		size_t len = (size_t)n - (text[n - 1] == '\0');

		if (rounds > 0)
			f->bench(text, len, mode, rounds);
		else
			f->each(text, len, mode);
	}
	free(text);
	return 0;
}
