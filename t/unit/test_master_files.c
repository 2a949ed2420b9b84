/* t/unit/test_master_files.c: the parts of the master that own files and sockets: record, runtime directory,
 * listeners, service manager's messages.
 */
#include "base/err.h"
#include "base/sdnotify.h"
#include "master/listen.h"
#include "master/runtime.h"
#include "master/store.h"
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static void
dir_make(void)
{
	snprintf(dir, sizeof dir, "/tmp/margay-t.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void
dir_remove(void)
{
	runtime_remove(dir);
}

static const char *
in_dir(const char *name)
{
	static char path[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(path[i], sizeof path[i], "%s/%s", dir, name);
	return path[i];
}

/* --- store --- */

static struct store_config
sample(u64 generation)
{
	static char snap[] = "a snapshot", secrets[] = "its secrets";

	return (struct store_config){.generation = generation,
	    .saved_ms = 5,
	    .snap = snap,
	    .secrets = secrets,
	    .snap_size = sizeof snap,
	    .secrets_size = sizeof secrets};
}

Test(store, round_trip, .init = dir_make, .fini = dir_remove)
{
	struct store_config c = sample(7), got;
	struct stat st;
	char why[256];
	struct store *s = store_open(dir, why, sizeof why);

	cr_assert_not_null(s, "%s", why);
	cr_assert_eq(store_get_config(s, 1, &got), ERR_NOTFOUND);
	cr_assert_eq(store_generation(s), 0);
	cr_assert_eq(store_put_config(s, 1, &c), 0);
	store_close(s);
	s = store_open(dir, why, sizeof why);
	cr_assert_not_null(s, "%s", why);
	cr_assert_eq(store_generation(s), 7);
	cr_assert_eq(store_get_config(s, 1, &got), 0);
	cr_assert_eq(got.generation, 7);
	cr_assert_str_eq(got.snap, "a snapshot");
	cr_assert_str_eq(got.secrets, "its secrets");
	store_config_free(&got);
	cr_assert_eq(store_get_config(s, 2, &got), ERR_ABI);
	store_close(s);
	cr_assert_eq(stat(in_dir("margay.mdb"), &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0600);
}

Test(store, drained_servers, .init = dir_make, .fini = dir_remove)
{
	char why[256];
	struct store *s = store_open(dir, why, sizeof why);

	cr_assert_not_null(s, "%s", why);
	cr_assert_eq(store_get_drained(s, "db1"), 0);
	cr_assert_eq(store_put_drained(s, "db1", true), 0);
	cr_assert_eq(store_put_drained(s, "db1", true), 0);
	cr_assert_eq(store_get_drained(s, "db1"), 1);
	cr_assert_eq(store_get_drained(s, "db"), 0);
	cr_assert_eq(store_put_drained(s, "db1", false), 0);
	cr_assert_eq(store_put_drained(s, "db1", false), 0);
	cr_assert_eq(store_get_drained(s, "db1"), 0);
	store_close(s);
}

Test(store, second_instance_is_refused, .init = dir_make, .fini = dir_remove)
{
	char why[256] = "";
	struct store *s = store_open(dir, why, sizeof why);

	cr_assert_not_null(s);
	cr_assert_null(store_open(dir, why, sizeof why));
	cr_assert_not_null(strstr(why, "another instance"));
	store_close(s);
}

Test(store, unusable_directories_say_why, .init = dir_make, .fini = dir_remove)
{
	char why[256] = "";
	int fd;

	cr_assert_null(store_open("/proc/self/nowhere", why, sizeof why));
	cr_assert_gt(strlen(why), 0);
	/* Not a database. */
	fd = open(in_dir("margay.mdb"), O_WRONLY | O_CREAT, 0600);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(write(fd, "garbage ", 8), 8);
	close(fd);
	cr_assert_null(store_open(dir, why, sizeof why));
	cr_assert_not_null(strstr(why, "margay.mdb"), "%s", why);
}

Test(store, a_file_cut_short_is_refused_not_touched, .init = dir_make, .fini = dir_remove)
{
	struct store_config c = sample(1);
	static char big[200000];
	char why[256] = "";
	struct store *s = store_open(dir, why, sizeof why);

	cr_assert_not_null(s);
	c.snap = big;
	c.snap_size = sizeof big;
	cr_assert_eq(store_put_config(s, 1, &c), 0);
	store_close(s);
	cr_assert_eq(truncate(in_dir("margay.mdb"), 16384), 0);
	cr_assert_null(store_open(dir, why, sizeof why));
	cr_assert_not_null(strstr(why, "margay.mdb"), "%s", why);
}

/* --- runtime directory --- */

static struct runtime
runtime_of_dir(void)
{
	struct runtime rt = {.lock_fd = -1, .gid = (gid_t)-1};

	snprintf(rt.dir, sizeof rt.dir, "%s", dir);
	return rt;
}

Test(runtime, one_master_at_a_time, .init = dir_make, .fini = dir_remove)
{
	struct runtime a = runtime_of_dir(), b = runtime_of_dir();
	pid_t pid;

	cr_assert_eq(runtime_lock(&a, &pid), 0);
	cr_assert_eq(runtime_lock(&b, &pid), ERR_LIMIT);
	cr_assert_eq(pid, getpid());
	runtime_unlock(&a);
	cr_assert_eq(runtime_lock(&b, &pid), 0);
	runtime_unlock(&b);
}

Test(runtime, epochs_only_grow, .init = dir_make, .fini = dir_remove)
{
	struct runtime rt = runtime_of_dir();

	cr_assert_eq(runtime_epoch(&rt), 0);
	cr_assert_eq(rt.epoch, 1);
	cr_assert_eq(runtime_epoch(&rt), 0); /* died before it published */
	cr_assert_eq(rt.epoch, 2);
	cr_assert_eq(runtime_publish(&rt, rt.epoch), 0);
	runtime_remove(in_dir("e1"));
	runtime_remove(in_dir("e2"));
	cr_assert_eq(runtime_epoch(&rt), 0);
	cr_assert_eq(rt.epoch, 3);
	runtime_remove(in_dir("e3"));
}

Test(runtime, who_lives)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	cr_assert(runtime_lives(pid, 0));
	/* Somebody announced itself under this pid long before this process began. */
	cr_assert(!runtime_lives(pid, 1000));
	kill(pid, SIGKILL);
	siginfo_t si;
	cr_assert_eq(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
	cr_assert(!runtime_lives(pid, 0), "a zombie lives");
	waitpid(pid, NULL, 0);
	cr_assert(!runtime_lives(pid, 0));
	cr_assert(!runtime_lives(0, 0));
}

/* --- listeners: a snapshot made by hand --- */

static struct {
	struct cfg_root r;
	struct cfg_listen l[4];
	char text[4][128];
} snap;
static struct cfg snap_cfg;

static void
snap_listen(u32 n, const char *const *text)
{
	memset(&snap, 0, sizeof snap);
	snap.r.margay.listen_backlog = 16;
	snap.r.nlistens = n;
	snap.r.listens_off = (u32)((u8 *)snap.l - (u8 *)&snap);
	for (u32 i = 0; i < n; i++) {
		snprintf(snap.text[i], sizeof snap.text[i], "%s", text[i]);
		snap.l[i].text.off = (u32)((u8 *)snap.text[i] - (u8 *)&snap);
	}
	snap_cfg.r = &snap.r;
}

static int
try_connect(u16 port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), rc;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	rc = connect(fd, (struct sockaddr *)&sa, sizeof sa);
	close(fd);
	return rc;
}

/* A port that was free a moment ago, as text. */
static u16
free_port(char *text, size_t size)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	socklen_t len = sizeof sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	close(fd);
	snprintf(text, size, "127.0.0.1:%u", ntohs(sa.sin_port));
	return ntohs(sa.sin_port);
}

Test(listen, open_share_and_retire, .init = dir_make, .fini = dir_remove)
{
	static struct listen_set a, b;
	char t1[64], t2[64], why[256];
	const char *one[2] = {t1, in_dir("sock")}, *two[2] = {t1, t2};
	u16 p1 = free_port(t1, sizeof t1), p2 = free_port(t2, sizeof t2);
	struct link_listen m;
	int fds[LINK_MAX_LISTEN];
	struct stat st;

	snap_listen(2, one);
	listen_init(&a, 3);
	cr_assert_eq(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0, "%s", why);
	cr_assert_eq(try_connect(p1), 0);
	cr_assert_eq(stat(one[1], &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0666);
	cr_assert_eq(listen_message(&a, 1, false, &m, fds), 2);
	cr_assert(m.kind[0] == 4 && m.kind[1] == 1);
	cr_assert(m.tls[0] == 0 && m.tls[1] == 0);
	cr_assert_eq(listen_message(&a, 1, true, &m, fds), 1);
	snap_listen(2, two);
	snap.l[0].tls = 3;
	listen_init(&b, 3);
	cr_assert_eq(listen_open(&b, &snap_cfg, &a, dir, why, sizeof why), 0, "%s", why);
	cr_assert_eq(listen_message(&b, 1, false, &m, fds), 2);
	cr_assert(m.tls[0] == 3 && m.tls[1] == 0, "a shared socket has the new mode");
	cr_assert_eq(b.l[0].fd[2], a.l[0].fd[2]);
	listen_retire(&a, &b);
	cr_assert_eq(try_connect(p1), 0);
	cr_assert_eq(try_connect(p2), 0);
	cr_assert_neq(stat(one[1], &st), 0);
	listen_close(&b);
	cr_assert_neq(try_connect(p1), 0);
	cr_assert_neq(try_connect(p2), 0);
}

Test(listen, a_failure_keeps_the_old_set_and_nothing_of_the_new, .init = dir_make, .fini = dir_remove)
{
	static struct listen_set a, b;
	char t1[64], t2[64], why[256] = "";
	const char *one[1] = {t1}, *two[3] = {t1, t2, "192.0.2.1:1"};
	u16 p1 = free_port(t1, sizeof t1), p2 = free_port(t2, sizeof t2);

	snap_listen(1, one);
	listen_init(&a, 2);
	cr_assert_eq(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0);
	snap_listen(3, two);
	listen_init(&b, 2);
	cr_assert_lt(listen_open(&b, &snap_cfg, &a, dir, why, sizeof why), 0);
	cr_assert_not_null(strstr(why, "192.0.2.1:1"), "%s", why);
	cr_assert_eq(try_connect(p1), 0);
	cr_assert_neq(try_connect(p2), 0);
	listen_close(&a);
}

static ino_t
inode(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_ino : 0;
}

Test(listen, unix_paths, .init = dir_make, .fini = dir_remove)
{
	static struct listen_set a, b;
	const char *path[1] = {in_dir("sock")};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char why[256] = "";
	int fd;

	snap_listen(1, path);
	listen_init(&a, 2);
	listen_init(&b, 2);
	/* A file that is no socket is not touched. */
	fd = open(path[0], O_CREAT | O_WRONLY, 0600);
	close(fd);
	cr_assert_lt(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0);
	cr_assert_not_null(strstr(why, "not a socket"), "%s", why);
	cr_assert_eq(access(path[0], F_OK), 0);
	unlink(path[0]);
	/* A stale one is replaced. */
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path[0]);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	close(fd);
	cr_assert_eq(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0, "%s", why);
	/* A living one is another program's, unless an earlier epoch recorded it. */
	cr_assert_lt(listen_open(&b, &snap_cfg, NULL, dir, why, sizeof why), 0);
	cr_assert_not_null(strstr(why, "another program"), "%s", why);
	cr_assert_eq(mkdir(in_dir("e1"), 0700), 0);
	listen_record(&a, in_dir("e1"));
	cr_assert_eq(listen_open(&b, &snap_cfg, NULL, dir, why, sizeof why), 0, "%s", why);
	/* Hidden: the path still leads to a until b is exposed, and leaves no trace if it never is. */
	listen_close(&b);
	cr_assert_eq(access(path[0], F_OK), -1);
	listen_init(&a, 2);
	cr_assert_eq(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0);
	listen_record(&a, in_dir("e1"));
	listen_init(&b, 2);
	b.hide = true;
	cr_assert_eq(listen_open(&b, &snap_cfg, NULL, dir, why, sizeof why), 0, "%s", why);
	cr_assert_eq(inode(path[0]), a.l[0].ino);
	listen_close(&b);
	cr_assert_eq(inode(path[0]), a.l[0].ino);
	b.hide = true;
	cr_assert_eq(listen_open(&b, &snap_cfg, NULL, dir, why, sizeof why), 0, "%s", why);
	listen_expose(&b);
	cr_assert_eq(inode(path[0]), b.l[0].ino);
	/* The path is no longer a's to remove. */
	listen_close(&a);
	cr_assert_eq(access(path[0], F_OK), 0);
	listen_close(&b);
	cr_assert_neq(access(path[0], F_OK), 0);
	runtime_remove(in_dir("e1"));
}

Test(listen, a_slot_gives_up_its_sockets_and_gets_new_ones, .init = dir_make, .fini = dir_remove)
{
	static struct listen_set a;
	char t1[64], why[256] = "";
	const char *one[2] = {t1, in_dir("sock")};

	free_port(t1, sizeof t1);
	snap_listen(2, one);
	listen_init(&a, 2);
	cr_assert_eq(listen_open(&a, &snap_cfg, NULL, dir, why, sizeof why), 0);
	listen_slot_close(&a, 1);
	cr_assert(!listen_slot_is_open(&a, 1));
	cr_assert(listen_slot_is_open(&a, 0));
	cr_assert_eq(listen_slot_open(&a, 1, why, sizeof why), 0, "%s", why);
	cr_assert(listen_slot_is_open(&a, 1));
	listen_close(&a);
}

/* --- service manager --- */

Test(sdnotify, speaks_to_the_socket_and_leaves_no_environment, .init = dir_make, .fini = dir_remove)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	struct sdnotify n;
	char buf[256], pid[16];
	ssize_t got;

	snprintf(sa.sun_path, sizeof sa.sun_path, "%s", in_dir("notify"));
	cr_assert_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", sa.sun_path, 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	cr_assert_eq(sdnotify_init(&n), 0);
	cr_assert_eq(n.watchdog_us, 3000000);
	cr_assert_null(getenv("NOTIFY_SOCKET"));
	cr_assert_null(getenv("WATCHDOG_USEC"));
	sdnotify_send(&n, "READY=1\nSTATUS=%s", "here");
	got = recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT);
	cr_assert_gt(got, 0);
	buf[got] = '\0';
	cr_assert_str_eq(buf, "READY=1\nSTATUS=here");
	sdnotify_fini(&n);
	sdnotify_send(&n, "nobody hears");
	close(fd);
}

Test(sdnotify, somebody_elses_watchdog_and_bad_addresses)
{
	struct sdnotify n;

	setenv("NOTIFY_SOCKET", "relative", 1);
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	cr_assert_eq(sdnotify_init(&n), ERR_INVAL);
	cr_assert_eq(n.watchdog_us, 0);
	sdnotify_send(&n, "nobody hears");
	cr_assert_eq(sdnotify_init(&n), 0);
}
