/* conf/cpus.c: see cpus.h. */
#include "config.h"
#include "conf/cpus.h"
#include "base/str.h"
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

static bool
file_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return false;
	buf[n] = '\0';
	return true;
}

/* cpu.max: "max 100000" or "QUOTA PERIOD", in microseconds. */
static u32
quota_parse(char *text)
{
	char *period = strchr(text, ' ');
	u64 q, p;

	if (period == NULL)
		return UINT32_MAX;
	*period++ = '\0';
	period[strcspn(period, "\n")] = '\0';
	if (str_to_u64(text, &q) != 0 || str_to_u64(period, &p) != 0 || p == 0 || q == 0 ||
	    q / p >= UINT32_MAX)
		return UINT32_MAX;
	return (u32)((q + p - 1) / p);
}

u32
cpus_quota(const char *root, const char *path)
{
	char dir[PATH_MAX], file[PATH_MAX + 16], text[64];
	u32 least = UINT32_MAX;

	if (!str_copy(dir, sizeof dir, path))
		return least;
	for (;;) {
		char *slash = strrchr(dir, '/');

		(void)snprintf(file, sizeof file, "%s%s/cpu.max", root, dir);
		if (file_text(file, text, sizeof text)) {
			u32 q = quota_parse(text);

			least = MIN(least, q);
		}
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

static u32
cpus_affinity(void)
{
	/* larger than any machine that runs this: the call fails on a mask too small */
	cpu_set_t *set = CPU_ALLOC(8192);
	size_t size = CPU_ALLOC_SIZE(8192);
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	u32 n = online > 0 ? (u32)online : 1;

	if (set == NULL)
		return n;
	if (sched_getaffinity(0, size, set) == 0)
		n = (u32)MAX(CPU_COUNT_S(size, set), 1);
	CPU_FREE(set);
	return n;
}

u32
cpus_usable(void)
{
	char text[PATH_MAX];
	u32 n = cpus_affinity(), quota;
	char *own;

	/* "0::/path" is the unified hierarchy */
	if (!file_text("/proc/self/cgroup", text, sizeof text) ||
	    (own = strstr(text, "0::/")) == NULL)
		return n;
	own[strcspn(own, "\n")] = '\0';
	own += 3;
	if (strcmp(own, "/") == 0)
		own += 1;
	quota = cpus_quota("/sys/fs/cgroup", own);
	return MIN(n, quota);
}
