/* tools/margay-stat.c: shows a running instance from its shared memory: arguments, where to look, what to
 * print. Asks no process and changes nothing, so it works while workers are wedged.
 */
#include "base/err.h"
#include "base/reasons.h"
#include "base/str.h"
#include "conf/conf.h"
#include "config.h"
#include "tools/stat.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGESTS 20 /* shown: a screen of them */

enum mode { MODE_TABLE, MODE_SESSIONS, MODE_DIGESTS, MODE_CATALOG, MODE_RAW, MODE_JSON, MODE_PROMETHEUS, MODE_LIVE };

struct args {
	const char *conf, *dir, *out;
	enum mode mode;
	bool sessions, catalog, force;
	u32 interval_ms;
	u32 digests; /* so many, 0: none */
	struct stat_filter filter;
};

static const char usage[] =
    "usage: margay-stat [-c FILE | -r DIRECTORY] [-1 | -s | -d [N] | -t | -w | -j | --prometheus | -l] [OPTION ...]\n"
    "  -1               servers, clusters, workers, latency, counters (default)\n"
    "  -s, --sessions   client sessions; with -j: beside the rest\n"
    "  -d, --digests    statements by their shape, the N (20) that took the most time; with -j: beside the rest\n"
    "  -t, --tables     the catalogue: tables, where their shards differ, stored functions; with -j: beside the rest\n"
    "  -w, --raw        every record, a line for each field\n"
    "  -j, --json       everything as one JSON object\n"
    "  --prometheus     Prometheus text format\n"
    "  -l, --live       full screen; keys: q, s, p, +, -\n"
    "  -i SECONDS       pause of the live view (1)\n"
    "  --user NAME, --state STATE, --pinned   show these sessions only\n"
    "  --info           show the beginning of each session's statement\n"
    "  -o FILE          write to FILE, which is replaced at once when all is written\n"
    "  --force          show what a dead instance left\n"
    "  -c FILE          configuration (" SYSCONFDIR "/margay/margay.conf)\n"
    "  -r DIRECTORY     runtime_dir, instead of -c\n"
    "Exit codes: 0 shown, 3 nothing runs, 64 wrong usage, 76 another version, 77 no permission.\n";

static int
wrong(const char *what, const char *arg)
{
	fprintf(stderr, "margay-stat: %s%s\n%s", what, arg, usage);
	return EXIT_USAGE_;
}

static int
parse_state(const char *word, struct args *a)
{
	for (int i = 0; i < (int)SESS_STATES; i++) {
		if (strcmp(word, sess_state_words[i]) == 0) {
			a->filter.state = i;
			return -1;
		}
	}
	return wrong("no such state: ", word);
}

static int
parse_interval(const char *text, struct args *a)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end != '\0' || !(s >= 0.2 && s <= 60))
		return wrong("-i takes seconds from 0.2 to 60, not ", text);
	a->interval_ms = (u32)(s * 1000);
	return -1;
}

static int
parse_top(const char *text, struct args *a)
{
	u64 n;

	if (str_to_u64(text, &n) != 0 || n == 0 || n > 1000000)
		return wrong("-d takes a number of digests, not ", text);
	a->digests = (u32)n;
	return -1;
}

enum { O_PROMETHEUS = 256, O_USER, O_STATE, O_PINNED, O_INFO, O_FORCE };

/* <0: go on; else exit code. */
static int
parse_option(int o, struct args *a)
{
	switch (o) {
	case 'c':
		a->conf = optarg;
		return -1;
	case 'r':
		a->dir = optarg;
		return -1;
	case 'o':
		a->out = optarg;
		return -1;
	case 'i':
		return parse_interval(optarg, a);
	case '1':
		a->mode = MODE_TABLE;
		return -1;
	case 's':
		a->sessions = true;
		return -1;
	case 'd':
		a->digests = DIGESTS;
		return -1;
	case 't':
		a->catalog = true;
		return -1;
	case 'w':
		a->mode = MODE_RAW;
		return -1;
	case 'j':
		a->mode = MODE_JSON;
		return -1;
	case 'l':
		a->mode = MODE_LIVE;
		return -1;
	case O_PROMETHEUS:
		a->mode = MODE_PROMETHEUS;
		return -1;
	case O_USER:
		a->filter.user = optarg;
		return -1;
	case O_STATE:
		return parse_state(optarg, a);
	case O_PINNED:
		a->filter.pinned = true;
		return -1;
	case O_INFO:
		a->filter.info = true;
		return -1;
	case O_FORCE:
		a->force = true;
		return -1;
	case 'V':
		printf("margay-stat %s\n", PACKAGE_VERSION);
		return EXIT_OK;
	case 'h':
		fputs(usage, stdout);
		return EXIT_OK;
	default:
		fputs(usage, stderr);
		return EXIT_USAGE_;
	}
}

static int
parse_args(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {{"config", 1, NULL, 'c'}, {"runtime-dir", 1, NULL, 'r'},
	    {"sessions", 0, NULL, 's'}, {"digests", 0, NULL, 'd'}, {"tables", 0, NULL, 't'}, {"raw", 0, NULL, 'w'}, {"json", 0, NULL, 'j'}, {"live", 0, NULL, 'l'},
	    {"interval", 1, NULL, 'i'}, {"output", 1, NULL, 'o'}, {"prometheus", 0, NULL, O_PROMETHEUS},
	    {"user", 1, NULL, O_USER}, {"state", 1, NULL, O_STATE}, {"pinned", 0, NULL, O_PINNED},
	    {"info", 0, NULL, O_INFO}, {"force", 0, NULL, O_FORCE}, {"version", 0, NULL, 'V'},
	    {"help", 0, NULL, 'h'}, {0}};
	int o, rc;

	*a = (struct args){
	    .conf = SYSCONFDIR "/margay/margay.conf", .interval_ms = 1000, .filter = {.state = -1}};
	while ((o = getopt_long(argc, argv, "c:r:o:i:1sdtwjlhV", longs, NULL)) != -1) {
		rc = parse_option(o, a);
		if (rc >= 0)
			return rc;
	}
	if (a->digests > 0 && optind < argc && (rc = parse_top(argv[optind++], a)) >= 0)
		return rc;
	if (optind < argc)
		return wrong("no argument was expected here: ", argv[optind]);
	if (a->digests > 0 && a->mode == MODE_TABLE)
		a->mode = MODE_DIGESTS;
	if (a->catalog && a->mode == MODE_TABLE)
		a->mode = MODE_CATALOG;
	if (a->sessions && a->mode == MODE_TABLE)
		a->mode = MODE_SESSIONS;
	if (a->out != NULL && a->mode == MODE_LIVE)
		return wrong("-o does not go with --live", "");
	return -1;
}

static void
print(const struct args *a, const struct stat_inst *in, const struct stat_sample *s, FILE *f)
{
	switch (a->mode) {
	case MODE_SESSIONS:
		stat_table_sessions(in, s, &a->filter, f, 0);
		break;
	case MODE_DIGESTS:
		stat_table_digests(in, s, a->digests, f);
		break;
	case MODE_CATALOG:
		stat_table_catalog(in, s, f);
		break;
	case MODE_RAW:
		stat_raw(in, s, &a->filter, f);
		break;
	case MODE_JSON:
		stat_json(in, s, a->sessions ? &a->filter : NULL, a->digests, a->catalog, f);
		break;
	case MODE_PROMETHEUS:
		stat_prometheus(s, f);
		break;
	default:
		stat_table(in, s, f);
	}
}

static int
print_failed(const char *name)
{
	fprintf(stderr, "margay-stat: %s: %s\n", name, strerror(errno));
	return EXIT_FAIL;
}

static int
print_and_close(const struct args *a, const struct stat_inst *in, const struct stat_sample *s, FILE *f,
    const char *name)
{
	int rc = 0;

	print(a, in, s, f);
	if (fflush(f) != 0 || ferror(f))
		rc = print_failed(name);
	if (fclose(f) != 0 && rc == 0)
		rc = print_failed(name);
	return rc;
}

/* A reader of the file sees the old text or the new one, never half of it. What is no plain file (a device, a
 * pipe, a link) is written to as it is: a rename would put a file in its place. */
static int
print_to(const struct args *a, const struct stat_inst *in, const struct stat_sample *s)
{
	char tmp[4096];
	struct stat st;
	bool replace = lstat(a->out, &st) != 0 || S_ISREG(st.st_mode);
	FILE *f;
	int n, rc;

	n = snprintf(tmp, sizeof tmp, "%s.%ld.tmp", a->out, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof tmp) {
		errno = ENAMETOOLONG;
		return print_failed(a->out);
	}
	f = fopen(replace ? tmp : a->out, replace ? "wxe" : "we");
	if (f == NULL)
		return print_failed(a->out);
	rc = print_and_close(a, in, s, f, a->out);
	if (!replace)
		return rc;
	if (rc == 0 && rename(tmp, a->out) != 0)
		rc = print_failed(a->out);
	if (rc != 0)
		unlink(tmp);
	return rc;
}

static int
show_once(const struct args *a, const struct stat_inst *in)
{
	struct stat_sample s;
	char why[512];
	int rc = stat_take(in, &s, why, sizeof why);

	if (rc != 0)
		fprintf(stderr, "margay-stat: %s\n", why);
	if (rc == 0 || a->force) {
		rc = 0;
		if (a->out != NULL)
			rc = print_to(a, in, &s);
		else
			print(a, in, &s, stdout);
	}
	stat_free(&s);
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		return print_failed("standard output");
	return rc;
}

int
main(int argc, char **argv)
{
	static struct stat_inst in;
	struct conf_dirs d;
	struct args a;
	char why[1600];
	int rc = parse_args(argc, argv, &a);

	if (rc >= 0)
		return rc;
	if (a.dir == NULL) {
		if (conf_quick(a.conf, &d, why, sizeof why) != 0) {
			fprintf(stderr, "margay-stat: %s\n", why);
			return EXIT_CONF;
		}
		a.dir = d.runtime_dir;
	}
	rc = stat_attach(&in, a.dir, why, sizeof why);
	if (rc != 0) {
		fprintf(stderr, "margay-stat: %s\n", why);
		return rc;
	}
	rc = a.mode == MODE_LIVE ? stat_live(&in, &a.filter, a.interval_ms) : show_once(&a, &in);
	stat_detach(&in);
	return rc;
}
