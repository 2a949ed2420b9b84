/* master/main.c: margayd: arguments, the order in which things come up and go down. Foreground, one thread.
 * What is needed of root is done first; the configuration, keys and all sockets are the service account's.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/conf.h"
#include "config.h"
#include "master/child.h"
#include "master/ctl.h"
#include "master/elders.h"
#include "master/gen.h"
#include "master/master.h"
#include "master/priv.h"
#include "master/super.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct args {
	const char *conf;
	bool check, last_good;
};

static const char usage[] =
    "usage: margayd [-c FILE] [--last-good]   serve, in the foreground\n"
    "       margayd [-c FILE] -t              check the file and say everything that is wrong with it\n"
    "       margayd --version | --help\n"
    "  -c FILE       configuration (" SYSCONFDIR "/margay/margay.conf)\n"
    "  --last-good   if the file is broken, start from the last configuration that was in force\n"
    "Signals: HUP reload, TERM or INT stop (twice: at once), USR1 reopen the log.\n";

/* <0: go on; else exit code. */
static int
parse_args(int argc, char **argv, struct args *a)
{
	static const struct option longs[] = {{"config", 1, NULL, 'c'}, {"check", 0, NULL, 't'},
	    {"last-good", 0, NULL, 'l'}, {"version", 0, NULL, 'V'}, {"help", 0, NULL, 'h'}, {0}};
	int o;

	a->conf = SYSCONFDIR "/margay/margay.conf";
	while ((o = getopt_long(argc, argv, "c:thV", longs, NULL)) != -1) {
		switch (o) {
		case 'c':
			a->conf = optarg;
			break;
		case 't':
			a->check = true;
			break;
		case 'l':
			a->last_good = true;
			break;
		case 'V':
			printf("margayd %s\n", PACKAGE_VERSION);
			return EXIT_OK;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE_;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "margayd: %s: no argument was expected here\n%s", argv[optind], usage);
	return EXIT_USAGE_;
}

static int
check_file(const char *path)
{
	static struct conf_result r;
	struct conf_args a = {.generation = 1};
	char line[1024];
	int rc = conf_load(path, &a, &r);

	for (u32 i = 0; i < r.msgs.n; i++) {
		msg_format(&r.msgs.v[i], line, sizeof line);
		fprintf(stderr, "%s\n", line);
	}
	if (r.msgs.dropped > 0)
		fprintf(stderr, "%u more messages\n", r.msgs.dropped);
	if (rc == 0)
		printf("%s: no errors, %u warnings\n", path, r.msgs.warnings);
	else if (r.msgs.errors == 0)
		fprintf(stderr, "%s: %s\n", path, err_text(rc));
	conf_result_free(&r);
	return rc == 0 ? EXIT_OK : EXIT_CONF;
}

/* Descriptors 0 to 2 must be something, or a socket of ours would become "stderr". */
static void
fill_std_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* --- the children's executables --- */

/* Opened now and executed later by descriptor: a package upgrade while we run must not give us children of
 * another version. Beside our own executable first, so that a build tree runs its own. */
static int
open_exe(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
	char *slash;
	int fd = -1;

	path[MAX(n, 0)] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL) {
		snprintf(slash + 1, 64, "%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0) {
		snprintf(path, sizeof path, PKGLIBEXECDIR "/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0)
		log_err("%s: %s", path, strerror(errno));
	return fd;
}

/* --- signals --- */

static void
on_signal(void *arg, short revents)
{
	struct master *m = arg;
	struct signalfd_siginfo si;

	(void)revents;
	while (read(m->signal_fd, &si, sizeof si) == sizeof si) {
		switch (si.ssi_signo) {
		case SIGHUP:
			log_notice("SIGHUP: reload");
			if (m->phase != MASTER_STOPPING)
				gen_reload(m);
			break;
		case SIGUSR1:
			if (logs_rotate(&m->logs) != 0)
				log_err("%s: %s: the old file is still written", m->logs.path,
				    strerror(errno));
			if (logs_rotate(&m->slow) != 0)
				log_err("%s: %s: the old file is still written", m->slow.path, strerror(errno));
			break;
		case SIGUSR2:
			log_warn("SIGUSR2: hot upgrade is not part of this version; "
				 "a restart keeps connections for drain_timeout");
			break;
		default:
			log_notice("signal %u from pid %u: stop", si.ssi_signo, si.ssi_pid);
			super_stop(m, EXIT_OK);
		}
	}
}

static int
take_signals(struct master *m)
{
	static const int caught[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++)
		sigaddset(&set, caught[i]);
	if (sigprocmask(SIG_SETMASK, &set, NULL) != 0)
		return ERR_SYSTEM;
	/* A reader of our log that is gone, a file at its size limit: errors of a write, not our end. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd < 0)
		return ERR_SYSTEM;
	return loop_add(&m->loop, &m->signal_node, m->signal_fd, POLLIN, on_signal, m);
}

static void
on_watchdog(void *arg)
{
	struct master *m = arg;

	sdnotify_send(&m->notify, "WATCHDOG=1");
	loop_timer_set(&m->loop, &m->watchdog, clock_ns() + m->notify.watchdog_us * US_NS / 2, on_watchdog,
	    m);
}

/* --- coming up --- */

/* Directories and account, as root if we are. What the file says about them is read with forgiveness: with
 * --last-good the rest of it may be broken. */
static int
become_service(struct master *m, struct conf_dirs *d)
{
	struct priv p;
	char why[512];

	if (conf_quick(m->conf_path, d, why, sizeof why) != 0) {
		log_err("%s", why);
		return EXIT_CONF;
	}
	if (priv_find(d->user, d->group, &p, why, sizeof why) != 0) {
		log_err("%s: %s", m->conf_path, why);
		return EXIT_CONF;
	}
	m->uid = p.uid;
	m->gid = p.gid;
	m->status_gid = m->rt.gid = p.status_gid;
	if (runtime_mkdir(d->runtime_dir, 0755, p.root ? p.uid : (uid_t)-1, p.gid, why, sizeof why) != 0) {
		log_err("runtime_dir: %s", why);
		return EXIT_FAIL;
	}
	if (runtime_mkdir(d->state_dir, 0700, p.root ? p.uid : (uid_t)-1, p.gid, why, sizeof why) != 0)
		log_err("state_dir: %s", why);
	if (priv_drop(&p, why, sizeof why) != 0) {
		log_err("%s", why);
		return EXIT_FAIL;
	}
	/* As root we could have read it; the reloads to come are made by the service account. */
	if (access(m->conf_path, R_OK) != 0) {
		log_err("%s: %s: the account that serves (uid %u) must be able to read it, as it does at "
			"each reload",
		    m->conf_path, strerror(errno), (unsigned)p.uid);
		return EXIT_CONF;
	}
	return EXIT_OK;
}

static int
take_runtime_dir(struct master *m, const struct conf_dirs *d)
{
	pid_t pid;
	int rc;

	if (!str_copy(m->rt.dir, sizeof m->rt.dir, d->runtime_dir))
		return EXIT_CONF;
	rc = runtime_lock(&m->rt, &pid);
	if (rc == ERR_LIMIT) {
		log_err("%s: another margayd runs here, pid %d", m->rt.dir, (int)pid);
		return EXIT_RUNNING;
	}
	if (rc != 0) {
		log_err("%s/lock: %s", m->rt.dir, strerror(errno));
		return EXIT_FAIL;
	}
	return EXIT_OK;
}

static bool
asks_low_port(const struct cfg *c)
{
	struct conf_addr a;

	for (u32 i = 0; i < c->r->nlistens; i++)
		if (addr_parse(cfg_text(c, cfg_listens(c)[i].text), false, &a) == NULL &&
		    a.kind != ADDR_UNIX && a.port < 1024)
			return true;
	return false;
}

/* The shared memory of our epoch. `current` names it only when all of it is there. */
static int
make_epoch(struct master *m)
{
	int rc = runtime_epoch(&m->rt);

	if (rc != 0) {
		log_err("%s: %s", m->rt.epoch_dir, strerror(errno));
		return EXIT_FAIL;
	}
	elders_find(m);
	segs_init(&m->segs);
	if (segs_make(&m->segs, &m->rt, &m->gen.cfg.r->caps, m->gen.cfg.r->margay.nworkers) != 0)
		return EXIT_FAIL;
	elders_orphan_cells(m);
	logs_count_in(&m->logs, &master_stat(m)->log_lines, &master_stat(m)->log_errors);
	m->slow.errors = &master_stat(m)->slow_log_errors;
	for (u32 i = 0; i < LINK_MAX_WORKERS; i++)
		child_init(&m->workers[i], m, (int)i);
	child_init(&m->health, m, -1);
	listen_init(&m->listen, m->segs.nworkers);
	return EXIT_OK;
}

static int
open_log(struct master *m)
{
	const char *log = cfg_text(&m->gen.cfg, m->gen.cfg.r->margay.log);

	const char *slow = cfg_text(&m->gen.cfg, m->gen.cfg.r->margay.slow_log);

	if (logs_target(&m->logs, log) != 0)
		log_err("log %s: %s", log, strerror(errno));
	else if (logs_target(&m->slow, slow) != 0)
		log_err("slow_log %s: %s", slow, strerror(errno));
	else
		return EXIT_OK;
	return EXIT_FAIL;
}

static int
come_up(struct master *m, const struct args *a)
{
	static struct conf_dirs dirs;
	int code;

	priv_keep_from_children();
	code = become_service(m, &dirs);
	if (code == EXIT_OK)
		code = take_runtime_dir(m, &dirs);
	if (code != EXIT_OK)
		return code;
	gen_open_store(m, dirs.state_dir);
	code = gen_first(m, a->last_good);
	if (code == EXIT_OK)
		code = open_log(m);
	if (code == EXIT_OK)
		code = make_epoch(m);
	if (code != EXIT_OK)
		return code;
	m->worker_exe = open_exe("margay-worker");
	m->health_exe = open_exe("margay-health");
	if (m->worker_exe < 0 || m->health_exe < 0)
		return EXIT_FAIL;
	code = gen_first_publish(m);
	if (!asks_low_port(&m->gen.cfg))
		priv_drop_low();
	if (code == EXIT_OK && (runtime_publish(&m->rt, m->rt.epoch) != 0 || ctl_open(m) != 0)) {
		log_err("%s: %s", m->rt.dir, strerror(errno));
		code = EXIT_FAIL;
	}
	return code;
}

/* --- going down --- */

static void
go_down(struct master *m)
{
	u64 left = elders_epoch(m);

	listen_close(&m->listen);
	if (left != 0 && runtime_publish(&m->rt, left) != 0)
		log_warn("%s: %s", m->rt.dir, strerror(errno));
	elders_fini(m);
	ctl_close(m);
	/* Our own epoch's files show nothing that lives; those of workers that outlive us stay. */
	if (m->segs.names.map.p != NULL)
		runtime_remove(m->rt.epoch_dir);
	logs_count_in(&m->logs, &m->logs.own_lines, &m->logs.own_errors);
	m->slow.errors = &m->slow.own_errors;
	segs_fini(&m->segs);
	gen_fini(&m->gen);
	store_close(m->store);
	sdnotify_fini(&m->notify);
	runtime_unlock(&m->rt);
	logs_fini(&m->slow);
	logs_fini(&m->logs);
	loop_fini(&m->loop);
}

static int
serve(struct master *m, const struct args *a)
{
	int code = come_up(m, a);

	if (code == EXIT_OK) {
		if (m->notify.watchdog_us > 0)
			on_watchdog(m);
		super_start(m);
		while (!m->ended) {
			if (loop_turn(&m->loop) != 0) {
				log_err("ppoll: %s", strerror(errno));
				m->exit_code = EXIT_FAIL;
				break;
			}
		}
		code = m->exit_code;
		log_notice("stopped");
	}
	go_down(m);
	return code;
}

int
main(int argc, char **argv)
{
	static struct master master;
	struct master *m = &master;
	struct args a = {0};
	int code = parse_args(argc, argv, &a);

	if (code >= 0)
		return code;
	if (a.check)
		return check_file(a.conf);
	fill_std_fds();
	m->magic = MASTER_MAGIC;
	m->conf_path = a.conf;
	m->started_ms = clock_wall_ms();
	m->rt.lock_fd = m->ctl.fd = m->gen.fd = m->gen.sfd = m->signal_fd = -1;
	segs_init(&m->segs);
	listen_init(&m->listen, 0);
	elders_init(&m->elders);
	loop_init(&m->loop);
	log_init("master", -1, 2);
	if (logs_init(&m->logs, &m->loop) != 0 || logs_init_file(&m->slow, &m->loop) != 0 || take_signals(m) != 0) {
		fprintf(stderr, "margayd: cannot start: %s\n", strerror(errno));
		return EXIT_SYSTEM;
	}
	if (sdnotify_init(&m->notify) != 0)
		log_warn("NOTIFY_SOCKET cannot be used");
	m->logs.slow = &m->slow;
	return serve(m, &a);
}
