/* t/unit/test_conf.h: helpers of the tests of conf/: a scratch directory with files in it, a load,
 * and its messages compared line by line. Each test runs in its own process.
 */
#ifndef MARGAY_T_UNIT_TEST_CONF_H
#define MARGAY_T_UNIT_TEST_CONF_H
#include "config.h"
#include <criterion/criterion.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "conf/conf.h"

struct conf_test {
	char dir[64], path[128]; /* of margay.conf */
	struct conf_result r;
	struct cfg cfg;
};

static inline void
test_begin(struct conf_test *t)
{
	memset(t, 0, sizeof *t);
	(void)snprintf(t->dir, sizeof t->dir, "/tmp/margay-conf-XXXXXX");
	cr_assert_not_null(mkdtemp(t->dir));
	(void)snprintf(t->path, sizeof t->path, "%s/margay.conf", t->dir);
}

static inline const char *
test_path(struct conf_test *t, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof path, "%s/%s", t->dir, name);
	return path;
}

static inline void
test_file_bytes(struct conf_test *t, const char *name, const void *p, size_t len, mode_t mode)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", t->dir, name);
	(void)unlink(path);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	cr_assert_eq(fwrite(p, 1, len, f), len);
	cr_assert_eq(fchmod(fileno(f), mode), 0);
	cr_assert_eq(fclose(f), 0);
}

static inline void
test_file(struct conf_test *t, const char *name, const char *text)
{
	test_file_bytes(t, name, text, strlen(text), 0600);
}

/* Loads margay.conf again, with what was loaded before as the previous generation if keep. */
static inline int
test_load_as(struct conf_test *t, const struct conf_args *a)
{
	int rc;

	conf_result_free(&t->r);
	rc = conf_load(t->path, a, &t->r);
	memset(&t->cfg, 0, sizeof t->cfg);
	if (rc == 0)
		cr_assert_eq(cfg_open_mem(t->r.snap.cfg, t->r.snap.cfg_size, t->r.snap.secrets,
					  t->r.snap.secrets_size, &t->cfg),
			     0, "snapshot does not open");
	return rc;
}

static inline int
test_load(struct conf_test *t, const char *text)
{
	struct conf_args a = {.generation = 1, .epoch = 1, .cpus = 2};

	test_file(t, "margay.conf", text);
	return test_load_as(t, &a);
}

/* All messages, one on a line, with the scratch directory written as "D". */
static inline char *
test_messages(const struct conf_test *t)
{
	static char out[65536];
	char line[2048];
	size_t n = 0, dir = strlen(t->dir);

	out[0] = '\0';
	for (u32 i = 0; i < t->r.msgs.n; i++) {
		msg_format(&t->r.msgs.v[i], line, sizeof line);
		for (char *p = line; *p != '\0' && n + 2 < sizeof out;) {
			if (strncmp(p, t->dir, dir) == 0) {
				out[n++] = 'D';
				p += dir;
			} else {
				out[n++] = *p++;
			}
		}
		out[n++] = '\n';
		out[n] = '\0';
	}
	return out;
}

#define EXPECT_MESSAGES(t, want) cr_expect_str_eq(test_messages(t), want, "%s", test_messages(t))
/* text gives exactly these messages; rc follows from whether one is an error. */
#define EXPECT_LOAD(t, text, want)                                                                 \
	do {                                                                                       \
		int rc_ = test_load(t, text);                                                      \
		EXPECT_MESSAGES(t, want);                                                          \
		cr_expect_eq(rc_, strstr(want, "error: ") != NULL ? ERR_CONFIG : 0, "rc %d", rc_); \
	} while (0)

static inline void
test_end(struct conf_test *t)
{
	char cmd[128];

	conf_result_free(&t->r);
	(void)snprintf(cmd, sizeof cmd, "rm -r %s", t->dir);
	cr_assert_eq(system(cmd), 0);
}

/* A file with one of everything that is required, to hang single lines on. */
#define GOOD_SERVER  "[server db1]\naddress = 10.0.0.1:3306\n"
#define GOOD_CLUSTER "[cluster main]\nservers = db1\nmonitor_user = mon\n"
#define GOOD_USER    "[user app]\npassword = secret\ncluster = main\n"
#define GOOD         GOOD_SERVER GOOD_CLUSTER GOOD_USER /* 8 lines */
#endif
