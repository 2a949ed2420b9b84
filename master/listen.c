/* master/listen.c: opens, shares, hands out and closes listening sockets. Master only. */
#include "master/listen.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void
listen_init(struct listen_set *s, u32 nslots)
{
	memset(s, 0, sizeof *s);
	s->nslots = nslots;
	for (u32 i = 0; i < LINK_MAX_LISTEN; i++)
		for (u32 k = 0; k < LINK_MAX_WORKERS; k++)
			s->l[i].fd[k] = -1;
}

static u32
fds_of(const struct listen_set *s, const struct listener *l)
{
	return l->addr.kind == ADDR_UNIX ? 1 : s->nslots;
}

static void
listener_close(struct listener *l)
{
	for (u32 k = 0; k < LINK_MAX_WORKERS; k++) {
		if (l->fd[k] >= 0)
			close(l->fd[k]);
		l->fd[k] = -1;
	}
}

static int
say(char *why, size_t size, const struct listener *l, const char *what)
{
	snprintf(why, size, "listen %s:%u: %s", l->addr.host, l->addr.port, what);
	if (l->addr.kind == ADDR_UNIX)
		snprintf(why, size, "listen %s: %s", l->addr.host, what);
	return ERR_SYSTEM;
}

static const char *
bind_why(const struct listener *l, int err)
{
	if (err == EACCES && l->addr.kind != ADDR_UNIX && l->addr.port < 1024)
		return "ports below 1024 need CAP_NET_BIND_SERVICE: start as root, or let the service "
		       "manager give it (AmbientCapabilities)";
	return strerror(err);
}

static socklen_t
sockaddr_of(const struct conf_addr *a, struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ss;

	memset(ss, 0, sizeof *ss);
	if (a->kind == ADDR_V4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(a->port);
		memcpy(&v4->sin_addr, a->ip, 4);
		return sizeof *v4;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(a->port);
	memcpy(&v6->sin6_addr, a->ip, 16);
	return sizeof *v6;
}

static int
inet_open(const struct listener *l, int backlog)
{
	const int one = 1;
	struct sockaddr_storage ss;
	socklen_t len = sockaddr_of(&l->addr, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* REUSEADDR: a restart must not wait for old connections in TIME_WAIT. V6ONLY: [::] and 0.0.0.0
	 * may stand side by side, whatever the system's default is. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
	    (l->addr.kind == ADDR_V4 ||
	        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) == 0) &&
	    bind(fd, (struct sockaddr *)&ss, len) == 0 && listen(fd, backlog) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool
unix_addr(const char *path, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof *sa);
	sa->sun_family = AF_UNIX;
	return str_copy(sa->sun_path, sizeof sa->sun_path, path);
}

/* Does somebody accept there? A connection that is closed at once does no harm. */
static bool
unix_is_served(const char *path)
{
	struct sockaddr_un sa;
	int fd, rc;

	if (!unix_addr(path, &sa))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return true;
	rc = connect(fd, (struct sockaddr *)&sa, sizeof sa);
	rc = rc == 0 || errno == EAGAIN ? 0 : errno;
	close(fd);
	return rc == 0;
}

/* Sockets of earlier epochs are recorded below runtime_dir: their workers still accept there, and we take
 * the path over from them. */
static bool
recorded_in(const char *file, dev_t dev, ino_t ino)
{
	unsigned long long d, i;
	char line[512];
	bool found = false;
	FILE *f = fopen(file, "re");

	if (f == NULL)
		return false;
	while (!found && fgets(line, sizeof line, f) != NULL)
		found = sscanf(line, "%llu %llu", &d, &i) == 2 && d == (unsigned long long)dev &&
		    i == (unsigned long long)ino;
	fclose(f);
	return found;
}

static bool
is_predecessors(const char *runtime_dir, const struct stat *st)
{
	DIR *d = opendir(runtime_dir);
	char path[4600];
	struct dirent *e;
	bool found = false;

	if (d == NULL)
		return false;
	while (!found && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != 'e')
			continue;
		snprintf(path, sizeof path, "%s/%s/unix", runtime_dir, e->d_name);
		found = recorded_in(path, st->st_dev, st->st_ino);
	}
	closedir(d);
	return found;
}

/* May the path be ours? */
static int
unix_claim(const struct listener *l, const char *runtime_dir, char *why, size_t size)
{
	struct stat st;

	if (lstat(l->addr.host, &st) != 0)
		return errno == ENOENT ? 0 : say(why, size, l, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return say(why, size, l, "exists and is not a socket");
	if (is_predecessors(runtime_dir, &st) || !unix_is_served(l->addr.host))
		return 0;
	return say(why, size, l, "another program listens there");
}

#define TMP_SIZE (ADDR_HOST_MAX + 8)

static void
tmp_name(const struct listener *l, char *buf)
{
	snprintf(buf, TMP_SIZE, "%s.new", l->addr.host);
}

static int
expose(struct listener *l)
{
	char tmp[TMP_SIZE];

	tmp_name(l, tmp);
	if (rename(tmp, l->addr.host) != 0)
		return ERR_SYSTEM;
	l->hidden = false;
	return 0;
}

void
listen_expose(struct listen_set *s)
{
	s->hide = false;
	for (u32 i = 0; i < s->n; i++)
		if (s->l[i].hidden && expose(&s->l[i]) != 0)
			log_err("listen %s: %s", s->l[i].addr.host, strerror(errno));
}

/* Bound under another name, given its mode, then renamed: there is no moment without a socket, and none in
 * which it has the wrong mode. */
static int
unix_open(struct listener *l, int backlog, bool hide, char *why, size_t size)
{
	char tmp[TMP_SIZE];
	struct sockaddr_un sa;
	struct stat st;
	int fd, saved;

	tmp_name(l, tmp);
	if (!unix_addr(tmp, &sa))
		return say(why, size, l, "path too long");
	unlink(tmp);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0 && chmod(tmp, 0666) == 0 &&
	    listen(fd, backlog) == 0 && stat(tmp, &st) == 0 && (hide || expose(l) == 0)) {
		l->hidden = hide;
		l->dev = st.st_dev;
		l->ino = st.st_ino;
		l->fd[0] = fd;
		return 0;
	}
	saved = errno;
	if (fd >= 0)
		close(fd);
	unlink(tmp);
	return say(why, size, l, strerror(saved));
}

static int
listener_open(struct listen_set *s, struct listener *l, const char *runtime_dir, char *why, size_t size)
{
	int rc;

	if (l->addr.kind == ADDR_UNIX) {
		rc = unix_claim(l, runtime_dir, why, size);
		return rc != 0 ? rc : unix_open(l, s->backlog, s->hide, why, size);
	}
	for (u32 k = 0; k < s->nslots; k++) {
		l->fd[k] = inet_open(l, s->backlog);
		if (l->fd[k] < 0)
			return say(why, size, l, bind_why(l, errno));
	}
	return 0;
}

static const struct listener *
find_equal(const struct listen_set *s, const struct conf_addr *a)
{
	for (u32 i = 0; s != NULL && i < s->n; i++)
		if (addr_equal(&s->l[i].addr, a))
			return &s->l[i];
	return NULL;
}

/* The kernel takes a new backlog for a socket that listens already. */
static void
share(struct listen_set *s, struct listener *l, const struct listener *from, int old_backlog)
{
	*l = *from;
	if (s->backlog == old_backlog)
		return;
	for (u32 k = 0; k < fds_of(s, l); k++)
		if (l->fd[k] >= 0 && listen(l->fd[k], s->backlog) != 0)
			log_warn("listen_backlog: %s", strerror(errno));
}

int
listen_open(struct listen_set *s, const struct cfg *c, const struct listen_set *old,
    const char *runtime_dir, char *why, size_t size)
{
	const struct cfg_listen *v = cfg_listens(c);
	int rc = 0;

	s->backlog = (int)c->r->margay.listen_backlog;
	if (c->r->nlistens > LINK_MAX_LISTEN) {
		snprintf(why, size, "listen: more than %d addresses", LINK_MAX_LISTEN);
		return ERR_SYSTEM;
	}
	for (u32 i = 0; i < c->r->nlistens && rc == 0; i++) {
		struct listener *l = &s->l[s->n];
		const struct listener *same;
		const char *bad = addr_parse(cfg_text(c, v[i].text), false, &l->addr);

		if (bad != NULL) {
			snprintf(why, size, "listen %s: %s", cfg_text(c, v[i].text), bad);
			rc = ERR_SYSTEM;
			break;
		}
		s->n++;
		same = find_equal(old, &l->addr);
		if (same != NULL)
			share(s, l, same, old->backlog);
		else
			rc = listener_open(s, l, runtime_dir, why, size);
		l->tls = v[i].tls;
	}
	if (rc != 0)
		listen_abandon(s, old);
	return rc;
}

/* A path that was renamed over or made anew by somebody else is not ours to remove. */
static void
unlink_ours(const struct listener *l)
{
	char tmp[TMP_SIZE];
	const char *path = l->addr.host;
	struct stat st;

	if (l->addr.kind != ADDR_UNIX || l->fd[0] < 0)
		return;
	if (l->hidden) {
		tmp_name(l, tmp);
		path = tmp;
	}
	if (lstat(path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(path);
}

static void
close_unshared(struct listen_set *s, const struct listen_set *kept)
{
	for (u32 i = 0; i < s->n; i++) {
		if (find_equal(kept, &s->l[i].addr) != NULL)
			continue;
		unlink_ours(&s->l[i]);
		listener_close(&s->l[i]);
	}
	listen_init(s, s->nslots);
}

void
listen_abandon(struct listen_set *s, const struct listen_set *old)
{
	close_unshared(s, old);
}

void
listen_retire(struct listen_set *old, const struct listen_set *s)
{
	close_unshared(old, s);
}

void
listen_close(struct listen_set *s)
{
	close_unshared(s, NULL);
}

void
listen_slot_close(struct listen_set *s, u32 slot)
{
	for (u32 i = 0; i < s->n; i++) {
		struct listener *l = &s->l[i];

		if (l->addr.kind == ADDR_UNIX || l->fd[slot] < 0)
			continue;
		close(l->fd[slot]);
		l->fd[slot] = -1;
	}
}

int
listen_slot_open(struct listen_set *s, u32 slot, char *why, size_t size)
{
	int rc = 0;

	for (u32 i = 0; i < s->n; i++) {
		struct listener *l = &s->l[i];

		if (l->addr.kind == ADDR_UNIX || l->fd[slot] >= 0)
			continue;
		l->fd[slot] = inet_open(l, s->backlog);
		if (l->fd[slot] < 0)
			rc = say(why, size, l, bind_why(l, errno));
	}
	return rc;
}

bool
listen_slot_is_open(const struct listen_set *s, u32 slot)
{
	for (u32 i = 0; i < s->n; i++)
		if (s->l[i].addr.kind != ADDR_UNIX && s->l[i].fd[slot] < 0)
			return false;
	return true;
}

u32
listen_message(const struct listen_set *s, u32 slot, bool own_only, struct link_listen *m, int *fds)
{
	memset(m, 0, sizeof *m);
	for (u32 i = 0; i < s->n; i++) {
		const struct listener *l = &s->l[i];
		bool shared = l->addr.kind == ADDR_UNIX;
		int fd = l->fd[shared ? 0 : slot];

		if (fd < 0 || (shared && own_only))
			continue;
		m->kind[m->n] = (u32)l->addr.kind;
		m->tls[m->n] = l->tls;
		fds[m->n++] = fd;
	}
	return m->n;
}

void
listen_record(const struct listen_set *s, const char *epoch_dir)
{
	char path[4600];
	FILE *f;

	snprintf(path, sizeof path, "%s/unix", epoch_dir);
	f = fopen(path, "we");
	for (u32 i = 0; f != NULL && i < s->n; i++)
		if (s->l[i].addr.kind == ADDR_UNIX)
			fprintf(f, "%llu %llu %s\n", (unsigned long long)s->l[i].dev,
			    (unsigned long long)s->l[i].ino, s->l[i].addr.host);
	if (f == NULL || fclose(f) != 0)
		log_warn("%s: %s: a successor will not know our Unix sockets", path, strerror(errno));
}
