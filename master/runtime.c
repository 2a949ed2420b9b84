/* master/runtime.c: files and directories of runtime_dir. Master only; segments themselves are made by
 * segs.c.
 */
#include "master/runtime.h"
#include "base/err.h"
#include "base/str.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int
runtime_mkdir(const char *path, mode_t mode, uid_t uid, gid_t gid, char *why, size_t size)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		snprintf(why, size, "%s: not a directory", path);
		return ERR_SYSTEM;
	}
	if (mkdir(path, 0700) != 0) {
		snprintf(why, size, "%s cannot be made: %s", path, strerror(errno));
		return ERR_SYSTEM;
	}
	if ((uid != (uid_t)-1 && chown(path, uid, gid) != 0) || chmod(path, mode) != 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return ERR_SYSTEM;
	}
	return 0;
}

int
runtime_lock(struct runtime *rt, pid_t *pid_r)
{
	char path[4096], text[24];
	ssize_t n;
	u64 pid = 0;
	int fd;

	*pid_r = 0;
	snprintf(path, sizeof path, "%s/lock", rt->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return ERR_SYSTEM;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		n = errno == EWOULDBLOCK ? pread(fd, text, sizeof text - 1, 0) : -1;
		close(fd);
		if (n < 0)
			return ERR_SYSTEM;
		text[n] = '\0';
		text[strcspn(text, "\n")] = '\0';
		if (str_to_u64(text, &pid) == 0)
			*pid_r = (pid_t)pid;
		return ERR_LIMIT;
	}
	n = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		close(fd);
		return ERR_SYSTEM;
	}
	rt->lock_fd = fd;
	return 0;
}

void
runtime_unlock(struct runtime *rt)
{
	if (rt->lock_fd < 0)
		return;
	if (ftruncate(rt->lock_fd, 0) != 0)
		rt->lock_fd = rt->lock_fd + 0; /* a stale pid in a free lock misleads nobody */
	close(rt->lock_fd);
	rt->lock_fd = -1;
}

/* "e12" -> 12; 0: not an epoch's directory. */
static u64
epoch_of(const char *name)
{
	u64 v;

	return name[0] == 'e' && str_to_u64(name + 1, &v) == 0 ? v : 0;
}

void
runtime_each_old(const struct runtime *rt, void (*fn)(void *arg, u64 epoch, const char *dir), void *arg)
{
	DIR *d = opendir(rt->dir);
	struct dirent *e;
	char path[4096];

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		u64 epoch = epoch_of(e->d_name);

		if (epoch == 0 || epoch == rt->epoch)
			continue;
		snprintf(path, sizeof path, "%s/e%llu", rt->dir, (unsigned long long)epoch);
		fn(arg, epoch, path);
	}
	closedir(d);
}

static void
take_newest(void *arg, u64 epoch, const char *dir)
{
	u64 *most = arg;

	(void)dir;
	*most = MAX(*most, epoch);
}

static u64
read_current(const struct runtime *rt)
{
	char path[4096], text[32];
	u64 v = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "%s/current", rt->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	text[MAX(n, 0)] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, &v) == 0 ? v : 0;
}

int
runtime_epoch(struct runtime *rt)
{
	u64 last = read_current(rt);

	rt->epoch = 0;
	/* A master that died between making its directory and publishing it has used up its number. */
	runtime_each_old(rt, take_newest, &last);
	rt->epoch = last + 1;
	snprintf(rt->epoch_dir, sizeof rt->epoch_dir, "%s/e%llu", rt->dir,
	    (unsigned long long)rt->epoch);
	if (mkdir(rt->epoch_dir, 0700) != 0)
		return errno == ENOSPC || errno == EDQUOT ? ERR_LIMIT : ERR_SYSTEM;
	if (rt->gid != (gid_t)-1 && chown(rt->epoch_dir, (uid_t)-1, rt->gid) != 0)
		return ERR_SYSTEM;
	return chmod(rt->epoch_dir, 0750) == 0 ? 0 : ERR_SYSTEM;
}

int
runtime_publish(const struct runtime *rt, u64 epoch)
{
	char path[4096], tmp[4096], text[32];
	int fd, n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)epoch);

	snprintf(path, sizeof path, "%s/current", rt->dir);
	snprintf(tmp, sizeof tmp, "%s/current.tmp", rt->dir);
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return ERR_SYSTEM;
	if (write(fd, text, (size_t)n) != n || fchmod(fd, 0644) != 0) {
		close(fd);
		unlink(tmp);
		return ERR_LIMIT;
	}
	close(fd);
	return rename(tmp, path) == 0 ? 0 : ERR_SYSTEM;
}

void
runtime_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(dir);
}

/* /proc/PID/stat after the name, which may hold anything: state is field 3, the start field 22. */
static bool
read_stat(pid_t pid, char *state_r, unsigned long long *ticks_r)
{
	char path[64], text[1024], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof text - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p != NULL && sscanf(p + 1,
	    " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
	    state_r, ticks_r) == 2;
}

u64
runtime_started_ms(pid_t pid)
{
	struct timespec real, boot;
	unsigned long long ticks;
	long hz = sysconf(_SC_CLK_TCK);
	i64 now;
	char state;

	if (pid <= 0 || hz <= 0 || !read_stat(pid, &state, &ticks) || state == 'Z' || state == 'X')
		return 0;
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	now = ((i64)real.tv_sec - (i64)boot.tv_sec) * 1000 + (real.tv_nsec - boot.tv_nsec) / 1000000;
	now += (i64)(ticks * 1000 / (unsigned long long)hz);
	return now <= 0 ? 1 : (u64)now;
}

bool
runtime_lives(pid_t pid, u64 started_ms)
{
	/* The kernel counts starts in ticks, and the wall clock may be set while we run: only a process
	 * that began clearly later than the writer announced itself is another one. Taken for living by
	 * mistake, it only keeps a directory; taken for dead, cells of living connections would be given
	 * away. */
	u64 began = runtime_started_ms(pid);

	return began != 0 && (started_ms == 0 || began <= started_ms + 60000);
}
