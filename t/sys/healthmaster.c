/* t/sys/healthmaster.c: as much of a master as margay-health needs: segments, a configuration from a file, the
 * channel. Driven by lines on stdin, answers on stdout; used by t/sys/test_health.py. Tests only.
 *
 *   healthmaster DIR PROGRAM CONF
 *   idle                    no sign of life from the workers any more
 *   start | config FILE | ring | stop | hangup | kill | admin ID drain|online
 *   show                    one line for each server and cluster, then "end"
 *   cell ID THREAD          a connection of a dead worker; answers "cell N"
 *   wait ID | granted ID | used ID | serve EPOCH
 * Messages of health are printed as "msg TYPE VALUE" as they come; its end as "exit STATUS".
 */
#include "config.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf.h"
#include "shm/cfg.h"
#include "shm/health.h"
#include "shm/catalog.h"
#include "shm/link.h"
#include "shm/pool.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2 /* slot 1 waits, while the cells of slot 0 are orphaned; both have the same eventfd */
#define EPOCH   5

static struct {
	const char *dir, *program;
	struct shm_caps caps;
	struct shm_map pool, names, health, worker, catalog;
	int pool_fd, names_fd, health_fd, worker_fd, catalog_fd, alarm_fd, ring_fd, inbox[2];
	int channel;
	pid_t pid;
	u64 generation;
	bool idle; /* the workers are dead */
	struct conf_result conf;
	struct cfg cfg;
} H = {.channel = -1};

static void
must(bool ok, const char *what)
{
	if (!ok) {
		(void)printf("failed %s: errno %d\n", what, errno);
		(void)fflush(stdout);
		exit(1);
	}
}

static void
make_one(const char *name, u64 magic, size_t size, struct shm_map *m, int *fd_r)
{
	char path[512];

	(void)snprintf(path, sizeof path, "%s/%s", H.dir, name);
	must(shm_create(path, magic, size, EPOCH, 0600, m, fd_r) == 0, path);
}

static void
make_segments(void)
{
	make_one("pool", SHM_MAGIC_POOL, shm_size_pool(&H.caps), &H.pool, &H.pool_fd);
	make_one("names", SHM_MAGIC_MASTER, shm_size_master(&H.caps), &H.names, &H.names_fd);
	make_one("health", SHM_MAGIC_HEALTH, shm_size_health(&H.caps), &H.health, &H.health_fd);
	make_one("worker", SHM_MAGIC_WORKER, shm_size_worker(&H.caps), &H.worker, &H.worker_fd);
	make_one("catalog", SHM_MAGIC_CATALOG, shm_size_catalog(&H.caps), &H.catalog, &H.catalog_fd);
	shm_catalog_setup(H.catalog.p, &H.caps);
	shm_pool_setup(H.pool.p, &H.caps);
	shm_master_setup(H.names.p, &H.caps);
	shm_worker_setup(H.worker.p, &H.caps);
	H.alarm_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	H.ring_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, H.inbox) == 0, "inbox");
}

static int
pool_slot(void *arg UNUSED, const char *address)
{
	return pool_slot_claim(H.pool.p, address, NULL, 0);
}

/* A new generation from a file; false: the messages were printed. */
static bool
load(const char *path)
{
	struct conf_args a = {.previous = H.generation > 0 ? &H.cfg : NULL,
	    .generation = H.generation + 1,
	    .epoch = EPOCH,
	    .pool_slot = H.pool.p != NULL ? pool_slot : NULL,
	    .cpus = 1};
	struct conf_result r;
	struct cfg c;

	memset(&r, 0, sizeof r);
	if (conf_load(path, &a, &r) != 0) {
		for (u32 i = 0; i < r.msgs.n; i++)
			(void)printf("conf %s\n", r.msgs.v[i].text);
		conf_result_free(&r);
		return false;
	}
	must(cfg_open_mem(r.snap.cfg, r.snap.cfg_size, r.snap.secrets, r.snap.secrets_size, &c) == 0, "snapshot");
	if (H.generation > 0)
		conf_result_free(&H.conf);
	H.conf = r;
	H.cfg = c;
	H.generation++;
	return true;
}

static void
apply_limits(void)
{
	for (u32 i = 0; i < H.cfg.r->nservers; i++)
		pool_limit_set(H.pool.p, cfg_servers(&H.cfg)[i].pool_slot,
		    (u32)cfg_servers(&H.cfg)[i].max_connections);
}

static int
sealed(const void *p, size_t size)
{
	int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && write(fd, p, size) == (ssize_t)size, "memfd");
	must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0, "seal");
	return fd;
}

static void
send_config(void)
{
	struct link_config m = {.generation = H.generation};
	int fds[2] = {sealed(H.conf.snap.cfg, H.conf.snap.cfg_size),
	    sealed(H.conf.snap.secrets, H.conf.snap.secrets_size)};

	must(link_send(H.channel, LINK_CONFIG, &m, sizeof m, fds, 2) == 0, "send config");
	close(fds[0]);
	close(fds[1]);
}

static void
start(void)
{
	int pair[2];
	struct link_start s = {.abi = shm_abi, .epoch = EPOCH, .instance = 1, .nworkers = WORKERS,
	    .max_workers = H.caps.max_workers, .log_level = 7};
	int fds[] = {H.pool_fd, H.names_fd, H.health_fd, H.alarm_fd, H.worker_fd, H.ring_fd, H.inbox[1],
	    H.worker_fd, H.ring_fd, H.inbox[1], H.catalog_fd};

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0, "channel");
	H.pid = fork();
	must(H.pid >= 0, "fork");
	if (H.pid == 0) {
		char *argv[] = {(char[]){"margay-health"}, NULL};

		/* Its log goes where our stderr goes. */
		if (dup2(open("/dev/null", O_RDWR), 0) < 0 || dup2(2, 1) < 0 ||
		    dup2(pair[1], LINK_CHANNEL_FD) < 0)
			_exit(126);
		if (pair[1] == LINK_CHANNEL_FD)
			(void)fcntl(pair[1], F_SETFD, 0);
		execv(H.program, argv);
		_exit(127);
	}
	close(pair[1]);
	H.channel = pair[0];
	must(link_send(H.channel, LINK_START, &s, sizeof s, fds, ARRAY_LEN(fds)) == 0, "send start");
	send_config();
}

/* ---- answers ---- */

static void
show_server(const struct cfg_server *s)
{
	const struct shm_seg_health *h = H.health.p;
	struct shm_srvhealth d;
	struct srv_verdict v;

	while (srv_detail_read(&h->servers[s->id], &d) != 0)
		;
	v = srv_word_unpack(d.word);
	(void)printf("server\t%s\tid=%u\tstate=%s\trole=%s\tcause=%s\tlag=%d\tepoch=%u\terrno=%u\terror=%s\t"
	             "version=%s\tupstream=%s\twsrep=%s\tserver_id=%llu\tread_only=%u\tleaves=%u\tsource=%u\t"
	             "naddr=%u\tgtid=%llu-%llu\tngtid=%u\tstreak=%u\tconns=%u\tmax=%u\twait=%llu\tprobe_us=%u\n",
	    cfg_text(&H.cfg, s->section_name), s->id, srv_state_words[v.state], srv_role_words[v.role],
	    srv_cause_words[v.cause], v.lag_ms == SRV_LAG_UNKNOWN ? -1 : (int)v.lag_ms, v.epoch,
	    d.mysql_errno, d.error, d.version, d.upstream, d.wsrep, (unsigned long long)d.server_id,
	    d.read_only, d.leaves_state, d.lag_source, d.naddr, (unsigned long long)d.gtid[0],
	    (unsigned long long)d.gtid[1], d.ngtid, d.streak, d.threads_connected, d.server_max_connections,
	    (unsigned long long)d.wait_timeout_s, d.probe_us);
}

static void
show(void)
{
	const struct shm_seg_health *h = H.health.p;

	for (u32 i = 0; i < H.cfg.r->nservers; i++)
		show_server(&cfg_servers(&H.cfg)[i]);
	for (u32 i = 0; i < H.cfg.r->nclusters; i++) {
		const struct cfg_cluster *k = &cfg_clusters(&H.cfg)[i];
		u32 epoch;
		int primary = clu_primary_load(h, k->id, &epoch);

		(void)printf("cluster\t%s\tprimary=%d\tepoch=%u\twritable=%u\tcause=%s\n",
		    cfg_text(&H.cfg, k->section_name), primary, epoch, h->clusters[k->id].writable,
		    srv_cause_words[h->clusters[k->id].cause]);
	}
	(void)printf("health\t-\tage=%llu\tgeneration=%llu\tprobes=%llu\tfailures=%llu\trecovered=%llu\t"
	             "pid=%u\n",
	    (unsigned long long)((clock_ns() - h->h.heartbeat) / MS_NS),
	    (unsigned long long)h->h.generation, (unsigned long long)h->stat.probes,
	    (unsigned long long)h->stat.probe_failures, (unsigned long long)h->stat.cells_recovered,
	    h->h.pid);
	(void)printf("end\n");
}

static u32
slot_of(u32 id)
{
	for (u32 i = 0; i < H.cfg.r->nservers; i++)
		if (cfg_servers(&H.cfg)[i].id == id)
			return cfg_servers(&H.cfg)[i].pool_slot;
	must(false, "no such server");
	return 0;
}

/* The cell of a worker that held `thread` and died. */
static void
orphan(u32 id, u64 thread)
{
	u32 slot = slot_of(id), pid = 0x7ffffffe;
	int cell = pool_take(H.pool.p, slot, pool_owner(POOL_WORKER, 0, EPOCH, pid), false);

	if (cell >= 0) {
		shm_pool_cells(H.pool.p, slot)[cell].thread_id = thread;
		(void)pool_orphan(H.pool.p, 0, EPOCH, pid);
	}
	(void)printf("cell %d\n", cell);
}

static u32
granted(u32 slot)
{
	const struct shm_poolcell *c = shm_pool_cells(H.pool.p, slot);
	u32 n = 0;

	for (u32 i = 0; i < H.caps.max_cells; i++)
		n += pool_owner_kind(__atomic_load_n(&c[i].owner, __ATOMIC_SEQ_CST)) == POOL_GRANTED;
	return n;
}

static void
ring(int fd)
{
	u64 one = 1;

	must(write(fd, &one, sizeof one) == sizeof one, "ring");
}

static void
command(char *line)
{
	char *w[4] = {NULL}, *save = NULL;
	u64 a = 0, b = 0;
	int n = 0;

	for (char *p = strtok_r(line, " \n", &save); p != NULL && n < 4; p = strtok_r(NULL, " \n", &save))
		w[n++] = p;
	if (n == 0)
		return;
	if (n > 1 && str_to_u64(w[1], &a) != 0)
		a = 0;
	if (n > 2 && str_to_u64(w[2], &b) != 0)
		b = 0;
	if (strcmp(w[0], "start") == 0) {
		start();
	} else if (strcmp(w[0], "config") == 0 && n == 2) {
		bool ok = load(w[1]);

		if (ok) {
			apply_limits();
			send_config();
		}
		(void)printf("config %s\n", ok ? "ok" : "bad");
	} else if (strcmp(w[0], "show") == 0) {
		show();
	} else if (strcmp(w[0], "ring") == 0) {
		ring(H.alarm_fd);
	} else if (strcmp(w[0], "kill") == 0) {
		kill(H.pid, SIGKILL);
	} else if (strcmp(w[0], "hangup") == 0) {
		close(H.channel);
		H.channel = -1;
	} else if (strcmp(w[0], "stop") == 0) {
		struct link_stop m = {.drain_ms = 0};

		must(link_send(H.channel, LINK_STOP, &m, sizeof m, NULL, 0) == 0, "send stop");
	} else if (strcmp(w[0], "admin") == 0 && n == 3) {
		shm_master_servers(H.names.p)[a].admin =
		    strcmp(w[2], "drain") == 0 ? SHM_ADMIN_DRAIN : SHM_ADMIN_ONLINE;
		must(link_send(H.channel, LINK_ADMIN, NULL, 0, NULL, 0) == 0, "send admin");
	} else if (strcmp(w[0], "cell") == 0 && n == 3) {
		orphan((u32)a, b);
	} else if (strcmp(w[0], "wait") == 0) {
		pool_wait_set(H.pool.p, slot_of((u32)a), 1, EPOCH, clock_ns());
	} else if (strcmp(w[0], "used") == 0) {
		(void)printf("used %u\n", pool_used(H.pool.p, slot_of((u32)a)));
	} else if (strcmp(w[0], "idle") == 0) {
		H.idle = true;
	} else if (strcmp(w[0], "granted") == 0) {
		(void)printf("granted %u\n", granted(slot_of((u32)a)));
	} else if (strcmp(w[0], "serve") == 0) {
		__atomic_store_n(&((struct shm_seg_pool *)H.pool.p)->p.serving_epoch, a, __ATOMIC_RELEASE);
	} else {
		(void)printf("unknown %s\n", w[0]);
	}
}

static void
message(void)
{
	struct link_u64 u = {0};
	union {
		struct link_u64 u;
		u8 bytes[256];
	} b;
	u32 type;
	size_t nfds = 0;
	int len = link_recv(H.channel, &type, &b, sizeof b, NULL, &nfds);

	if (len < 0) {
		close(H.channel);
		H.channel = -1;
		return;
	}
	if (len >= (int)sizeof u)
		u = b.u;
	(void)printf("msg %s %llu\n",
	    type == LINK_HELLO         ? "HELLO"
	        : type == LINK_READY   ? "READY"
	        : type == LINK_ADOPTED ? "ADOPTED"
	        : type == LINK_REFUSED ? "REFUSED"
	                               : "?",
	    (unsigned long long)u.v);
}

int
main(int argc, char **argv)
{
	char line[1024];

	must(argc == 4, "usage: healthmaster DIR PROGRAM CONF");
	H.dir = argv[1];
	H.program = argv[2];
	if (!load(argv[3]))
		return 2;
	H.caps = H.cfg.r->caps;
	make_segments();
	/* Once more, now that there are pool slots to claim. */
	conf_result_free(&H.conf);
	H.generation = 0;
	must(load(argv[3]), "load");
	apply_limits();
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	for (;;) {
		struct pollfd p[2] = {{.fd = 0, .events = POLLIN}, {.fd = H.channel, .events = POLLIN}};
		int st;

		(void)fflush(stdout);
		(void)poll(p, 2, 20);
		if (!H.idle)
			shm_heartbeat(&((struct shm_seg_worker *)H.worker.p)->h, clock_ns());
		if (p[1].revents != 0)
			message();
		if (H.pid > 0 && waitpid(H.pid, &st, WNOHANG) == H.pid) {
			(void)printf("exit %d\n", WIFEXITED(st) ? WEXITSTATUS(st) : -WTERMSIG(st));
			(void)pool_orphan(H.pool.p, 0, EPOCH, (u32)H.pid);
			H.pid = 0;
		}
		if (p[0].revents != 0) {
			if (fgets(line, sizeof line, stdin) == NULL)
				break;
			command(line);
		}
	}
	if (H.pid > 0)
		kill(H.pid, SIGKILL);
	return 0;
}
