/* master/ctl.c: serves margayctl. Master only. */
#include "master/ctl.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "master/gen.h"
#include "master/master.h"
#include "master/status.h"
#include "master/super.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENT_WAIT_MS 5000 /* for a request to come, for a reply to be taken */

struct ctl_client {
	struct master *m;
	u32 place, uid;
	int fd;
	struct loop_fd node;
	struct loop_timer timer;
	enum { CTL_READS, CTL_WAITS_RELOAD, CTL_WAITS_STOP, CTL_WRITES } state;
	char in[CTL_LINE_MAX];
	size_t in_len, out_at;
	bool next; /* waits for the reload after the one under way */
	struct text out;
};

const char *
ctl_parse(const char *line, size_t len, struct ctl_request *r)
{
	static const struct {
		const char *word;
		bool arg;
	} verbs[CTL_VERBS] = {{"status", false}, {"reload", false}, {"stop", false}, {"drain", true},
	    {"online", true}, {"rotate", false}};
	const char *sp = memchr(line, ' ', len);
	size_t n = sp == NULL ? len : (size_t)(sp - line), rest = sp == NULL ? 0 : len - n - 1;

	memset(r, 0, sizeof *r);
	if (memchr(line, '\0', len) != NULL)
		return "malformed request";
	for (int i = 0; i < CTL_VERBS; i++) {
		if (!slice_eq(line, n, verbs[i].word, strlen(verbs[i].word)))
			continue;
		r->verb = (enum ctl_verb)i;
		if (verbs[i].arg && rest == 0)
			return "the name of a server is needed";
		if (!verbs[i].arg && sp != NULL)
			return "too many arguments";
		if (rest > 0 && !str_copy_slice(r->arg, sizeof r->arg, sp + 1, rest))
			return "no server has such a long name";
		return NULL;
	}
	return "unknown command";
}

bool
ctl_may(enum ctl_verb verb, u32 peer_uid, u32 service_uid)
{
	return verb == CTL_STATUS || peer_uid == 0 || peer_uid == service_uid;
}

static void
client_free(struct ctl_client *k)
{
	loop_del(&k->m->loop, &k->node);
	loop_timer_clear(&k->timer);
	close(k->fd);
	text_free(&k->out);
	k->m->ctl.client[k->place] = NULL;
	free(k);
}

static void
on_client_timeout(void *arg)
{
	client_free(arg);
}

/* Frees the client when all is written, but for one that waits for the end. */
static void
client_write(struct ctl_client *k)
{
	while (k->out_at < k->out.len) {
		ssize_t n = send(k->fd, k->out.p + k->out_at, k->out.len - k->out_at,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			k->node.events = POLLOUT;
			return;
		}
		if (n < 0) {
			client_free(k);
			return;
		}
		k->out_at += (size_t)n;
	}
	if (k->state == CTL_WAITS_STOP)
		k->node.events = 0; /* the end of the connection is the end of the master */
	else
		client_free(k);
}

static void
reply(struct ctl_client *k, int code, const char *text)
{
	size_t n = strlen(text);

	text_add(&k->out, "exit %d\n", code);
	for (size_t at = 0; at < n; at += 2000)
		text_add(&k->out, "%.2000s", text + at);
	if (k->state == CTL_WAITS_STOP) {
		loop_timer_clear(&k->timer);
	} else {
		k->state = CTL_WRITES;
		loop_timer_set(&k->m->loop, &k->timer, clock_ns() + CLIENT_WAIT_MS * MS_NS,
		    on_client_timeout, k);
	}
	client_write(k);
}

static void
do_admin(struct ctl_client *k, const char *server, bool drain)
{
	char text[512];
	int rc = gen_server_admin(k->m, server, drain);

	if (rc == ERR_NOTFOUND)
		snprintf(text, sizeof text, "no server is named %s\n", server);
	else
		snprintf(text, sizeof text, "%s: %s%s%s\n", server, drain ? "drained" : "online",
		    rc == 0 ? "" : "; a restart will forget it: ", rc == 0 ? "" : k->m->store_why);
	reply(k, rc == ERR_NOTFOUND ? EXIT_FAIL : EXIT_OK, text);
}

static void
do_rotate(struct ctl_client *k)
{
	char text[4400] = "";
	struct logs *bad = logs_rotate(&k->m->logs) != 0 ? &k->m->logs : logs_rotate(&k->m->slow) != 0 ? &k->m->slow : NULL;
	int rc = bad != NULL;

	if (bad != NULL)
		snprintf(text, sizeof text, "%s: %s: the old file is still written\n", bad->path, strerror(errno));
	reply(k, rc == 0 ? EXIT_OK : EXIT_FAIL, text);
}

static void
do_status(struct ctl_client *k)
{
	struct text t = {0};
	int code = status_text(k->m, &t);

	reply(k, code, text_str(&t));
	text_free(&t);
}

static void
do_reload(struct ctl_client *k)
{
	if (k->m->phase == MASTER_STOPPING) {
		reply(k, EXIT_FAIL, "stopping: not reloaded\n");
		return;
	}
	k->node.events = 0; /* only its end is of interest */
	loop_timer_clear(&k->timer);
	/* When one is under way already, the file may have changed since it was read: the answer is that of
	 * the next one. */
	k->state = CTL_WAITS_RELOAD;
	k->next = k->m->reload.running;
	gen_reload(k->m);
}

void
ctl_on_reload(struct master *m, bool ok, const char *said)
{
	char end[64];

	snprintf(end, sizeof end, ok ? "reloaded: generation %llu\n" : "reload failed: generation %llu stays\n",
	    (unsigned long long)m->gen.number);
	for (u32 i = 0; i < CTL_CLIENTS; i++) {
		struct ctl_client *k = m->ctl.client[i];
		struct text t = {0};
		size_t n = strlen(said);

		if (k == NULL || k->state != CTL_WAITS_RELOAD)
			continue;
		if (k->next && m->reload.again) {
			k->next = false;
			continue;
		}
		for (size_t at = 0; at < n; at += 2000)
			text_add(&t, "%.2000s", said + at);
		text_add(&t, "%s", end);
		reply(k, ok ? EXIT_OK : EXIT_FAIL, text_str(&t));
		text_free(&t);
	}
}

static void
handle(struct ctl_client *k, size_t len)
{
	struct ctl_request r;
	char text[160];
	const char *bad = ctl_parse(k->in, len, &r);

	if (bad == NULL && !ctl_may(r.verb, k->uid, (u32)k->m->uid))
		bad = "only root and the service account may do that";
	if (bad != NULL) {
		snprintf(text, sizeof text, "%s\n", bad);
		reply(k, EXIT_USAGE_, text);
		return;
	}
	switch (r.verb) {
	case CTL_STATUS:
		do_status(k);
		break;
	case CTL_RELOAD:
		do_reload(k);
		break;
	case CTL_STOP:
		k->state = CTL_WAITS_STOP;
		log_notice("stop asked for by uid %u", k->uid);
		super_stop(k->m, EXIT_OK);
		reply(k, EXIT_OK, "stopping\n");
		break;
	case CTL_ROTATE:
		do_rotate(k);
		break;
	default:
		do_admin(k, r.arg, r.verb == CTL_DRAIN);
	}
}

static void
on_client(void *arg, short revents)
{
	struct ctl_client *k = arg;
	const char *nl;
	ssize_t n;

	if (k->state == CTL_WRITES || (k->state == CTL_WAITS_STOP && (revents & POLLOUT))) {
		client_write(k);
		return;
	}
	if (k->state != CTL_READS) { /* POLLHUP, POLLERR: it waits no more */
		client_free(k);
		return;
	}
	n = recv(k->fd, k->in + k->in_len, sizeof k->in - k->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_free(k);
		return;
	}
	k->in_len += (size_t)n;
	nl = memchr(k->in, '\n', k->in_len);
	if (nl != NULL)
		handle(k, (size_t)(nl - k->in));
	else if (k->in_len == sizeof k->in)
		reply(k, EXIT_USAGE_, "request too long\n");
}

static void
client_add(struct master *m, u32 place, int fd)
{
	struct ctl_client *k = calloc(1, sizeof *k);
	struct ucred peer;
	socklen_t len = sizeof peer;

	if (k == NULL || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 ||
	    loop_add(&m->loop, &k->node, fd, POLLIN, on_client, k) != 0) {
		free(k);
		close(fd);
		return;
	}
	k->m = m;
	k->place = place;
	k->fd = fd;
	k->uid = (u32)peer.uid;
	m->ctl.client[place] = k;
	loop_timer_set(&m->loop, &k->timer, clock_ns() + CLIENT_WAIT_MS * MS_NS, on_client_timeout, k);
}

static void
on_connect(void *arg, short revents)
{
	static const char busy[] = "exit 1\ntoo many margayctl at once\n";
	struct master *m = arg;
	int fd = accept4(m->ctl.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd < 0)
		return;
	for (u32 i = 0; i < CTL_CLIENTS; i++) {
		if (m->ctl.client[i] != NULL)
			continue;
		client_add(m, i, fd);
		return;
	}
	if (send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_info("ctl: %s", strerror(errno));
	close(fd);
}

/* The path is free for us: we hold the lock. Bound under another name, so that nobody meets it before its
 * mode is set. */
static int
bind_ctl(struct master *m)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char tmp[4100];

	snprintf(tmp, sizeof tmp, "%s/margay.ctl.new", m->rt.dir);
	snprintf(m->ctl.path, sizeof m->ctl.path, "%s/margay.ctl", m->rt.dir);
	if (!str_copy(sa.sun_path, sizeof sa.sun_path, tmp)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	unlink(tmp);
	if (bind(m->ctl.fd, (struct sockaddr *)&sa, sizeof sa) != 0)
		return -1;
	if (m->status_gid != (gid_t)-1 && chown(tmp, (uid_t)-1, m->status_gid) != 0)
		log_warn("%s: group: %s", m->ctl.path, strerror(errno));
	if (chmod(tmp, 0660) != 0 || listen(m->ctl.fd, 16) != 0 || rename(tmp, m->ctl.path) != 0)
		return -1;
	return 0;
}

int
ctl_open(struct master *m)
{
	m->ctl.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->ctl.fd >= 0 && bind_ctl(m) == 0 &&
	    loop_add(&m->loop, &m->ctl.node, m->ctl.fd, POLLIN, on_connect, m) == 0)
		return 0;
	log_err("control socket %s: %s", m->ctl.path, strerror(errno));
	if (m->ctl.fd >= 0)
		close(m->ctl.fd);
	m->ctl.fd = -1;
	m->ctl.path[0] = '\0';
	return ERR_SYSTEM;
}

void
ctl_close(struct master *m)
{
	/* Those who wait for our end see it when the process is gone, lock and all: who starts the next one
	 * then must not meet us. */
	for (u32 i = 0; i < CTL_CLIENTS; i++)
		if (m->ctl.client[i] != NULL && m->ctl.client[i]->state != CTL_WAITS_STOP)
			client_free(m->ctl.client[i]);
	if (m->ctl.fd < 0)
		return;
	loop_del(&m->loop, &m->ctl.node);
	unlink(m->ctl.path);
	close(m->ctl.fd);
	m->ctl.fd = -1;
}
