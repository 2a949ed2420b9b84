/* tools/margayctl.c: short commands to a running margayd, through its control socket, and `encrypt` and `import-users`
 * (import.c), which need none. Runs as whoever calls it and holds nothing but one connection; a master that does not answer is
 * waited for no longer than --timeout.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "conf/crypt.h"
#include "config.h"
#include "shm/link.h"
#include "shm/map.h"
#include "shm/seq.h"
#include "tools/import.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define EXIT_NOT_RUNNING 3 /* as systemctl status has it */
#define ORPHAN_FRESH_MS  20000 /* age of a heartbeat of a worker that serves without a master */

static const char usage[] =
    "usage: margayctl [-c FILE] [--timeout SECONDS] COMMAND\n"
    "  status           short summary; exit code 0 only while clients are served\n"
    "  reload           read the configuration again; prints what is wrong with it, if anything\n"
    "  stop             stop after the drain time; returns when margayd has ended\n"
    "  drain SERVER     give a server no new statements, until further notice and over restarts\n"
    "  online SERVER    use it again\n"
    "  rotate           reopen the log file\n"
    "  encrypt [--key FILE]      read a secret, print it as the configuration may hold it\n"
    "  encrypt --new-key FILE    make a key file\n"
    "  import-users [-o FILE] [--cluster NAME] [--user NAME] SERVER\n"
    "                   print the accounts of a server as sections of the configuration; SERVER is the name\n"
    "                   of a [server] or an address; the password of --user is read from standard input\n"
    "  -c FILE          configuration (" SYSCONFDIR "/margay/margay.conf)\n"
    "Exit codes: 0 done, 1 failed, 3 margayd does not run, 64 wrong usage.\n";

struct args {
	const char *conf, *key, *new_key;
	const char *user, *cluster, *out; /* import-users */
	char **words;
	int nwords;
	u64 timeout_s; /* 0: that of the command */
};

/* --- encrypt --- */

/* The terminal's echo is put back also when the reading is interrupted. */
static struct termios tty_was;

static void
on_interrupt(int sig)
{
	tcsetattr(0, TCSANOW, &tty_was);
	signal(sig, SIG_DFL);
	raise(sig);
}

static bool
read_secret(const char *what, char *buf, size_t size, size_t *len_r)
{
	bool tty = isatty(0) && tcgetattr(0, &tty_was) == 0;
	struct termios quiet;
	size_t n = 0;
	ssize_t got = 1;

	if (tty) {
		signal(SIGINT, on_interrupt);
		signal(SIGTERM, on_interrupt);
		quiet = tty_was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(0, TCSANOW, &quiet);
		fprintf(stderr, "%s: ", what);
	}
	while (n < size && memchr(buf, '\n', n) == NULL && (got = read(0, buf + n, size - n)) > 0)
		n += (size_t)got;
	if (tty) {
		tcsetattr(0, TCSANOW, &tty_was);
		fputs("\n", stderr);
	}
	if (memchr(buf, '\n', n) != NULL)
		n = (size_t)((char *)memchr(buf, '\n', n) - buf);
	*len_r = n;
	return got >= 0 && n <= CRYPT_SECRET_MAX;
}

static int
encrypt_with(const char *key_file)
{
	char secret[CRYPT_SECRET_MAX + 2], text[CRYPT_TEXT_SIZE], why[512];
	struct crypt_key key;
	const char *bad = crypt_key_read(key_file, &key, why, sizeof why);
	size_t len = 0;
	int rc;

	if (bad != NULL) {
		fprintf(stderr, "margayctl: %s\n", bad);
		return EXIT_FAIL;
	}
	if (!read_secret("secret", secret, sizeof secret, &len) || len == 0) {
		fprintf(stderr, "margayctl: a secret of 1 to %d bytes is expected on standard input\n",
		    CRYPT_SECRET_MAX);
		rc = ERR_INVAL;
	} else {
		rc = crypt_encrypt(&key, secret, len, text);
		if (rc == 0)
			puts(text);
		else
			fprintf(stderr, "margayctl: %s\n", err_text(rc));
	}
	mem_wipe(secret, sizeof secret);
	mem_wipe(&key, sizeof key);
	return rc == 0 ? EXIT_OK : EXIT_FAIL;
}

static int
do_encrypt(const struct args *a)
{
	char why[512];
	struct conf_dirs d;
	const char *bad;

	if (a->new_key != NULL) {
		bad = crypt_key_make(a->new_key, why, sizeof why);
		if (bad == NULL)
			return EXIT_OK;
		fprintf(stderr, "margayctl: %s\n", bad);
		return EXIT_FAIL;
	}
	if (a->key != NULL)
		return encrypt_with(a->key);
	if (conf_quick(a->conf, &d, why, sizeof why) != 0) {
		fprintf(stderr, "margayctl: %s\n", why);
		return EXIT_CONF;
	}
	if (d.key_file[0] != '\0')
		return encrypt_with(d.key_file);
	fprintf(stderr,
	    "margayctl: %s sets no key_file; make one with `margayctl encrypt --new-key FILE`, "
	    "or name it with --key\n",
	    a->conf);
	return EXIT_CONF;
}

/* --- import-users --- */

static int
do_import(const struct args *a)
{
	char secret[CRYPT_SECRET_MAX + 2] = "";
	struct import_args im = {.conf = a->conf, .server = a->words[1], .user = a->user, .password = secret,
	    .cluster = a->cluster, .out = a->out, .timeout_s = a->timeout_s};
	size_t len = 0;
	int code;

	if (a->user != NULL && !read_secret("password", secret, sizeof secret - 1, &len)) {
		fprintf(stderr, "margayctl: a password of at most %d bytes is expected on standard input\n", CRYPT_SECRET_MAX);
		return EXIT_FAIL;
	}
	secret[len] = '\0';
	code = import_users(&im);
	mem_wipe(secret, sizeof secret);
	return code;
}

/* --- without a master --- */

static bool
worker_serves(const char *dir, u32 slot)
{
	char path[CONF_PATH_MAX + 128];
	struct shm_map m;
	const struct shm_header *h;
	bool serves;
	u64 beat;

	snprintf(path, sizeof path, "%s/worker.%u", dir, slot);
	if (shm_map_path(path, SHM_MAGIC_WORKER, false, &m, NULL) != 0)
		return false;
	h = m.p;
	beat = __atomic_load_n(&h->heartbeat, __ATOMIC_RELAXED);
	serves = h->pid != 0 && (kill((pid_t)h->pid, 0) == 0 || errno == EPERM) &&
	    beat + ORPHAN_FRESH_MS * MS_NS > clock_ns();
	shm_unmap(&m);
	return serves;
}

/* Workers go on serving when their master is gone: for a load balancer that asks, they count. They are looked
 * for in all epochs, since a master may have died before its own workers served. */
static u32
orphans_serving(const char *runtime_dir, u64 *epoch_r)
{
	char dir[CONF_PATH_MAX + 64];
	DIR *d = opendir(runtime_dir);
	struct dirent *e;
	u32 n = 0;
	u64 epoch;

	while (d != NULL && n == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != 'e' || str_to_u64(e->d_name + 1, &epoch) != 0)
			continue;
		snprintf(dir, sizeof dir, "%s/e%llu", runtime_dir, (unsigned long long)epoch);
		for (u32 i = 0; i < LINK_MAX_WORKERS; i++)
			n += worker_serves(dir, i);
		*epoch_r = epoch;
	}
	if (d != NULL)
		closedir(d);
	return n;
}

static int
no_master(const char *runtime_dir, const char *verb, int err)
{
	u64 epoch;
	u32 n;

	if (err == EACCES || err == EPERM) {
		fprintf(stderr, "margayctl: %s/margay.ctl: %s (root, the service account and members of its "
				"group may ask)\n",
		    runtime_dir, strerror(err));
		return EXIT_FAIL;
	}
	n = orphans_serving(runtime_dir, &epoch);
	if (n == 0) {
		fprintf(stderr, "margayctl: no margayd runs on %s\n", runtime_dir);
		return EXIT_NOT_RUNNING;
	}
	fprintf(stderr,
	    "margayctl: no margayd runs on %s, but %u workers of epoch %llu go on serving; a new "
	    "margayd takes over from them\n",
	    runtime_dir, n, (unsigned long long)epoch);
	return strcmp(verb, "status") == 0 ? EXIT_OK : EXIT_NOT_RUNNING;
}

/* --- talking --- */

static bool
wait_for(int fd, short events, u64 deadline)
{
	struct pollfd p = {.fd = fd, .events = events};
	u64 now = clock_ns();

	while (now < deadline) {
		int rc = poll(&p, 1, (int)MIN((deadline - now) / MS_NS + 1, 1000000));

		if (rc > 0)
			return true;
		if (rc < 0 && errno != EINTR)
			return false;
		now = clock_ns();
	}
	return false;
}

/* Reads "exit N\n" and text to the end. */
static int
read_reply(int fd, u64 deadline)
{
	char buf[8192], *nl = NULL;
	size_t n = 0;
	u64 code = EXIT_FAIL;
	bool headed = false;
	FILE *out = stdout;

	for (;;) {
		ssize_t got;

		if (!wait_for(fd, POLLIN, deadline)) {
			fflush(out);
			fprintf(stderr, "margayctl: no answer in time\n");
			return EXIT_FAIL;
		}
		got = recv(fd, buf + n, sizeof buf - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
		buf[n] = '\0';
		if (!headed) {
			nl = memchr(buf, '\n', n);
			if (nl == NULL)
				continue;
			*nl = '\0';
			headed = strncmp(buf, "exit ", 5) == 0 && str_to_u64(buf + 5, &code) == 0;
			if (!headed)
				break;
			out = code == EXIT_OK ? stdout : stderr;
			n -= (size_t)(nl + 1 - buf);
			memmove(buf, nl + 1, n);
		}
		fwrite(buf, 1, n, out);
		n = 0;
	}
	if (!headed) {
		fprintf(stderr, "margayctl: margayd has ended before it answered\n");
		return EXIT_FAIL;
	}
	return (int)code;
}

static u64
timeout_of(const struct args *a)
{
	u64 s = 5; /* what a health check of a load balancer may wait */

	if (strcmp(a->words[0], "reload") == 0)
		s = 60;
	else if (strcmp(a->words[0], "stop") == 0)
		s = 86400; /* drain_timeout is what bounds it */
	return clock_ns() + (a->timeout_s > 0 ? a->timeout_s : s) * 1000 * MS_NS;
}

static int
talk(const struct args *a, const char *runtime_dir)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char path[CONF_PATH_MAX + 16], line[256];
	u64 deadline = timeout_of(a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), code, n;

	snprintf(path, sizeof path, "%s/margay.ctl", runtime_dir);
	n = snprintf(line, sizeof line, "%s%s%s\n", a->words[0], a->nwords > 1 ? " " : "",
	    a->nwords > 1 ? a->words[1] : "");
	if (n < 0 || (size_t)n >= sizeof line || !str_copy(sa.sun_path, sizeof sa.sun_path, path)) {
		fprintf(stderr, "margayctl: path or name too long\n");
		return EXIT_USAGE_;
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0)
		code = no_master(runtime_dir, a->words[0], errno);
	else if (send(fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		code = no_master(runtime_dir, a->words[0], errno);
	else
		code = read_reply(fd, deadline);
	if (fd >= 0)
		close(fd);
	return code;
}

/* --- arguments --- */

static int
wrong(const char *what)
{
	fprintf(stderr, "margayctl: %s\n%s", what, usage);
	return EXIT_USAGE_;
}

/* <0: go on; else exit code. */
static int
parse_options(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {{"config", 1, NULL, 'c'}, {"timeout", 1, NULL, 't'},
	    {"key", 1, NULL, 'k'}, {"new-key", 1, NULL, 'n'},
	    {"user", 1, NULL, 'u'}, {"cluster", 1, NULL, 'C'}, {"output", 1, NULL, 'o'}, {"version", 0, NULL, 'V'},
	    {"help", 0, NULL, 'h'}, {0}};
	int o;

	a->conf = SYSCONFDIR "/margay/margay.conf";
	while ((o = getopt_long(argc, argv, "c:t:o:hV", longs, NULL)) != -1) {
		switch (o) {
		case 'c':
			a->conf = optarg;
			break;
		case 't':
			if (str_to_u64(optarg, &a->timeout_s) != 0 || a->timeout_s == 0 ||
			    a->timeout_s > 86400)
				return wrong("--timeout takes seconds from 1 to 86400");
			break;
		case 'k':
			a->key = optarg;
			break;
		case 'n':
			a->new_key = optarg;
			break;
		case 'u':
			a->user = optarg;
			break;
		case 'C':
			a->cluster = optarg;
			break;
		case 'o':
			a->out = optarg;
			break;
		case 'V':
			printf("margayctl %s\n", PACKAGE_VERSION);
			return EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE_;
		}
	}
	a->words = argv + optind;
	a->nwords = argc - optind;
	return -1;
}

/* Number of words that a command takes, itself included; 0: unknown. */
static int
words_of(const char *verb)
{
	static const char *const one[] = {"status", "reload", "stop", "rotate", "encrypt"},
	                         *const two[] = {"drain", "online", "import-users"};

	for (size_t i = 0; i < ARRAY_LEN(one); i++)
		if (strcmp(verb, one[i]) == 0)
			return 1;
	for (size_t i = 0; i < ARRAY_LEN(two); i++)
		if (strcmp(verb, two[i]) == 0)
			return 2;
	return 0;
}

int
main(int argc, char **argv)
{
	struct args a = {0};
	struct conf_dirs d;
	char why[512];
	int code = parse_options(argc, argv, &a), words;

	if (code >= 0)
		return code;
	if (a.nwords == 0)
		return wrong("a command is needed");
	words = words_of(a.words[0]);
	if (words == 0)
		return wrong("unknown command");
	if (words != a.nwords)
		return wrong(words == 2 ? "the name of one server is needed" : "too many arguments");
	bool import = strcmp(a.words[0], "import-users") == 0;
	if (!import && (a.user != NULL || a.cluster != NULL || a.out != NULL))
		return wrong("--user, --cluster and -o belong to import-users");
	if (import && (a.key != NULL || a.new_key != NULL))
		return wrong("--key and --new-key belong to encrypt");
	if (import)
		return do_import(&a);
	if (strcmp(a.words[0], "encrypt") == 0)
		return do_encrypt(&a);
	if (a.key != NULL || a.new_key != NULL)
		return wrong("--key and --new-key belong to encrypt");
	if (conf_quick(a.conf, &d, why, sizeof why) != 0) {
		fprintf(stderr, "margayctl: %s\n", why);
		return EXIT_CONF;
	}
	return talk(&a, d.runtime_dir);
}
