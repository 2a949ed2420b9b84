/* health/resolve.c: see resolve.h. Health only. */
#include "health/resolve.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define RESOLVE_STACK (256u << 10) /* NSS modules are hungry */

/* Owned by two: the resolver and the thread. Whoever lets go last frees it. */
struct resolve_job {
	int refs; /* atomic */
	int done_fd;
	char host[OBS_TEXT];
	u32 port;
	/* written by the thread before done_fd is rung */
	struct obs_addr addr[SHM_ADDR_MAX];
	u32 naddr;
	int rc; /* EAI_* */
};

void
resolver_init(struct resolver *r)
{
	memset(r, 0, sizeof *r);
}

static void
job_put(struct resolve_job *j)
{
	if (__atomic_sub_fetch(&j->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	close(j->done_fd);
	free(j);
}

void
resolver_fini(struct resolver *r)
{
	if (r->job != NULL)
		job_put(r->job);
	r->job = NULL;
}

void
resolver_expire(struct resolver *r)
{
	r->at_ns = 0;
}

/* Looks up with getaddrinfo; flags AI_NUMERICHOST: without asking anybody. Returns its code. */
static int
look_up(const char *host, u32 port, int flags, struct obs_addr *addr, u32 *n_r)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV}, *list;
	char service[8];
	int rc;

	*n_r = 0;
	(void)snprintf(service, sizeof service, "%u", port);
	rc = getaddrinfo(host, service, &hints, &list);
	if (rc != 0)
		return rc;
	for (struct addrinfo *a = list; a != NULL && *n_r < SHM_ADDR_MAX; a = a->ai_next) {
		struct obs_addr *to = &addr[*n_r];

		if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || a->ai_addrlen > sizeof to->sa)
			continue;
		memset(to, 0, sizeof *to);
		to->len = a->ai_addrlen;
		memcpy(to->sa, a->ai_addr, a->ai_addrlen);
		if (getnameinfo(a->ai_addr, a->ai_addrlen, to->text, sizeof to->text, NULL, 0,
		        NI_NUMERICHOST) == 0)
			++*n_r;
	}
	freeaddrinfo(list);
	return *n_r > 0 ? 0 : EAI_NONAME;
}

static void *
job_thread(void *arg)
{
	struct resolve_job *j = arg;
	u64 one = 1;

	j->rc = look_up(j->host, j->port, 0, j->addr, &j->naddr);
	if (write(j->done_fd, &one, sizeof one) < 0) {
		/* An eventfd takes a first 1; if not, the waiter's deadline ends the wait. */
	}
	job_put(j);
	return NULL;
}

static void
job_start(struct resolver *r, const char *host, u32 port)
{
	struct resolve_job *j = calloc(1, sizeof *j);
	pthread_attr_t attr;
	pthread_t t;

	if (j == NULL)
		return;
	j->refs = 2;
	j->port = port;
	(void)str_copy(j->host, sizeof j->host, host);
	j->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, RESOLVE_STACK);
	if (j->done_fd < 0 || pthread_create(&t, &attr, job_thread, j) != 0) {
		(void)str_copy(r->error, sizeof r->error, "no descriptor or thread for a lookup");
		if (j->done_fd >= 0)
			close(j->done_fd);
		free(j);
	} else {
		r->job = j;
	}
	pthread_attr_destroy(&attr);
}

/* Takes the result of a lookup that has ended. */
static void
job_collect(struct resolver *r)
{
	struct resolve_job *j = r->job;
	u64 n;

	if (j == NULL || read(j->done_fd, &n, sizeof n) < 0)
		return;
	if (j->rc == 0) {
		memcpy(r->addr, j->addr, sizeof r->addr);
		r->naddr = j->naddr;
	} else {
		(void)snprintf(r->error, sizeof r->error, "cannot resolve %s: %s", j->host,
		    gai_strerror(j->rc));
	}
	/* Failed or not: the next try is due after the same time, or when a probe fails. */
	r->at_ns = clock_ns();
	job_put(j);
	r->job = NULL;
}

static int
get_unix(struct resolver *r, const char *path)
{
	struct obs_addr *a = &r->addr[0];
	sa_family_t family = AF_UNIX;
	size_t len = strlen(path), head = offsetof(struct sockaddr_un, sun_path);

	if (head + len + 1 > sizeof a->sa) {
		(void)snprintf(r->error, sizeof r->error, "path of the socket is too long");
		return ERR_NOTFOUND;
	}
	memset(a, 0, sizeof *a);
	memcpy(a->sa, &family, sizeof family);
	memcpy(a->sa + head, path, len + 1);
	a->len = (u32)(head + len + 1);
	r->naddr = 1;
	return 0;
}

int
resolver_get(struct resolver *r, const char *host, u32 port, u64 deadline_ns, int abort_fd)
{
	u64 now = clock_ns();
	struct obs_addr numeric[SHM_ADDR_MAX];
	u32 n;

	if (port == 0)
		return get_unix(r, host);
	if (look_up(host, port, AI_NUMERICHOST, numeric, &n) == 0) {
		memcpy(r->addr, numeric, sizeof r->addr);
		r->naddr = n;
		return 0;
	}
	job_collect(r);
	if (r->job == NULL && (r->at_ns == 0 || now - r->at_ns > RESOLVE_REFRESH_MS * MS_NS))
		job_start(r, host, port);
	while (r->naddr == 0 && r->job != NULL && now < deadline_ns) {
		struct pollfd p[2] = {{.fd = r->job->done_fd, .events = POLLIN},
		    {.fd = abort_fd, .events = POLLIN}};

		(void)poll(p, 2, (int)((deadline_ns - now) / MS_NS + 1));
		if (p[1].revents != 0)
			return ERR_AGAIN;
		job_collect(r);
		now = clock_ns();
	}
	if (r->naddr > 0)
		return 0;
	if (r->job != NULL)
		(void)snprintf(r->error, sizeof r->error, "no answer from the resolver in time");
	return ERR_NOTFOUND;
}
