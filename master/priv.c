/* master/priv.c: accounts, capabilities, limits. Master only. Capabilities by the system calls themselves: all
 * that is needed of libcap is one bit.
 */
#include "master/priv.h"
#include "base/err.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEFAULT_USER "margay"

static int
find_group(const char *group, struct priv *p, char *why, size_t size)
{
	const struct group *gr;

	p->status_gid = p->gid;
	if (group[0] == '\0')
		return 0;
	gr = getgrnam(group);
	if (gr == NULL) {
		snprintf(why, size, "group: there is no group %s", group);
		return ERR_CONFIG;
	}
	p->status_gid = gr->gr_gid;
	return 0;
}

int
priv_find(const char *user, const char *group, struct priv *p, char *why, size_t size)
{
	const struct passwd *pw;

	memset(p, 0, sizeof *p);
	p->root = geteuid() == 0;
	p->uid = geteuid();
	p->gid = getegid();
	if (!p->root)
		return find_group(group, p, why, size);
	str_copy(p->user, sizeof p->user, user[0] == '\0' ? DEFAULT_USER : user);
	pw = getpwnam(p->user);
	if (pw == NULL) {
		snprintf(why, size,
		    "%s: there is no account %s to serve as; make it with `useradd --system %s`, or "
		    "name another one with the option user",
		    user[0] == '\0' ? "started as root" : "user", p->user, p->user);
		return ERR_CONFIG;
	}
	if (pw->pw_uid == 0) {
		snprintf(why, size, "user: %s is root; margayd does not serve as root", p->user);
		return ERR_CONFIG;
	}
	p->uid = pw->pw_uid;
	p->gid = pw->pw_gid;
	return find_group(group, p, why, size);
}

static int
caps_set(u32 low)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {{.effective = low, .permitted = low}};

	return (int)syscall(SYS_capset, &h, d);
}

void
priv_keep_from_children(void)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return; /* a kernel without ambient capabilities has none to pass on */
}

void
priv_drop_low(void)
{
	if (caps_set(0) != 0)
		return; /* it was not there */
}

/* How many files are needed is known when the configuration has been read, and that is read by the service
 * account, which cannot raise the hard limit. */
static void
raise_hard_limit(void)
{
	struct rlimit r;
	char text[32];
	u64 most = 0;
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");

	if (f != NULL) {
		if (fgets(text, sizeof text, f) != NULL) {
			text[strcspn(text, "\n")] = '\0';
			if (str_to_u64(text, &most) != 0)
				most = 0;
		}
		fclose(f);
	}
	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_max >= most)
		return;
	r.rlim_max = most;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		return; /* priv_nofile says what is in force */
}

int
priv_drop(const struct priv *p, char *why, size_t size)
{
	gid_t groups[64];
	int n = ARRAY_LEN(groups) - 1;

	if (!p->root)
		return 0;
	if (getgrouplist(p->user, p->gid, groups, &n) < 0)
		n = ARRAY_LEN(groups) - 1; /* that many are enough for what we open */
	groups[n++] = p->status_gid;       /* so that we may give our files to it */
	raise_hard_limit();
	if (prctl(PR_SET_KEEPCAPS, 1) == 0 && setgroups((size_t)n, groups) == 0 &&
	    setresgid(p->gid, p->gid, p->gid) == 0 && setresuid(p->uid, p->uid, p->uid) == 0 &&
	    caps_set(1u << CAP_NET_BIND_SERVICE) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	snprintf(why, size, "changing to account %s: %s", p->user, strerror(errno));
	return ERR_SYSTEM;
}

u32
priv_nofile(u32 want)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 0;
	if (r.rlim_cur < want) {
		r.rlim_cur = MIN((rlim_t)want, r.rlim_max);
		if (setrlimit(RLIMIT_NOFILE, &r) != 0 && getrlimit(RLIMIT_NOFILE, &r) != 0)
			return 0;
	}
	return (u32)MIN(r.rlim_cur, (rlim_t)UINT32_MAX);
}
