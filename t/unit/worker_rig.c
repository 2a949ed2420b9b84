/* t/unit/worker_rig.c: the worker of a test, its configuration and what health says about its servers; see
 * worker_rig.h.
 */
#define _GNU_SOURCE 1
#include "proto/auth.h"
#include "config.h"
#include "t/unit/worker_rig.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/str.h"
#include "conf/conf.h"

struct rig R;

static const struct shm_caps caps = {
    .max_servers = RIG_SERVERS, .max_workers = 4, .max_users = 8, .max_sessions = RIG_SESSIONS, .max_cells = RIG_CELLS, .max_digests = 16, .catalog_size = 65536};

/* ---- watching ---- */

static void
on_step(void)
{
	list_for_each(i, &R.w.sessions)
		R.sess_seen |= 1u << LIST_ENTRY(i, struct sess, node)->state;
	for (u32 s = 0; s < R.w.max_servers; s++)
		list_for_each(i, &R.w.srv[s].conns)
			R.bconn_seen |= 1u << LIST_ENTRY(i, struct bconn, node)->state;
}

static void
on_log(void *arg, const char *line, size_t len)
{
	(void)arg;
	if (getenv("RIG_LOG") != NULL)
		fprintf(stderr, "%.*s", (int)len, line);
	if (R.log_len + len < sizeof R.log) {
		memcpy(R.log + R.log_len, line, len);
		R.log_len += len;
	}
}

bool
rig_logged(const char *part)
{
	R.log[R.log_len] = '\0';
	return strstr(R.log, part) != NULL;
}

u64
rig_counter(const char *name)
{
	for (size_t i = 0; i < shm_nworker_counters; i++)
		if (strcmp(shm_worker_counters[i].name, name) == 0)
			return *(u64 *)(void *)((u8 *)R.w.stat + shm_worker_counters[i].off);
	cr_assert_fail("no counter %s", name);
	return 0;
}

/* ---- configuration ---- */

static int
sealed_memfd(const void *p, size_t len)
{
	int fd = memfd_create("rig", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, p, len), (ssize_t)len);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
	return fd;
}

static void
write_conf(FILE *f, const struct rig_conf *c, u32 n)
{
	fprintf(f, "[margay]\nruntime_dir = /tmp/rig\nstate_dir = /tmp/rig-state\n%s\n", c->margay != NULL ? c->margay : "");
	for (u32 i = 0; i < n; i++)
		fprintf(f, "[server db%u]\naddress = 127.0.0.1:%u\n%s\n", i, 4000 + i, c->server != NULL ? c->server : "");
	/* what fails fails at once, but in the tests of what waits */
	fprintf(f, "[cluster main]\nmonitor_user = mon\nmonitor_password = x\n%s\n%s\nservers = ",
	    c->cluster != NULL ? c->cluster : "",
	    c->cluster != NULL && strstr(c->cluster, "failover_timeout") != NULL ? "" : "failover_timeout = 0");
	for (u32 i = 0; i < n; i++)
		fprintf(f, "%sdb%u", i > 0 ? ", " : "", i);
	/* hashed: *14E65567ABDB5135D0CFD9A70B3032C179A49EE7 is "secret" */
	fprintf(f,
	    "\n[user %s]\npassword = %s\ncluster = main\n%s\n"
	    "[user hashed]\npassword = *14E65567ABDB5135D0CFD9A70B3032C179A49EE7\ncluster = main\n"
	    "[user open]\npassword = \"\"\ncluster = main\n"
	    "[user other]\npassword = o\ncluster = main\nbackend_user = deep\nbackend_password = d\n"
	    "[user admin]\npassword = a\ncluster = main\nprocess_admin = yes\n",
	    c->user_name != NULL ? c->user_name : "app", c->password != NULL ? c->password : "secret", c->user != NULL ? c->user : "");
}

static void
load(const struct rig_conf *c)
{
	static u64 generation;
	char path[] = "/tmp/margay-rig-XXXXXX";
	struct conf_result r;
	struct conf_args a = {.generation = ++generation, .epoch = 2, .cpus = 1,
	    .previous = R.w.have_cfg ? &R.w.cfg : NULL};
	int fd = mkstemp(path), cfd, sfd;
	FILE *f = fdopen(fd, "w");

	cr_assert_not_null(f);
	write_conf(f, c, c->servers != 0 ? c->servers : 2);
	fclose(f);
	memset(&r, 0, sizeof r);
	int rc = conf_load(path, &a, &r);
	unlink(path);
	for (u32 i = 0; i < r.msgs.n; i++)
		if (r.msgs.v[i].severity == CONF_ERROR)
			fprintf(stderr, "line %u: %s\n", r.msgs.v[i].line, r.msgs.v[i].text);
	cr_assert_eq(rc, 0, "configuration: %s", err_text(rc));
	cfd = sealed_memfd(r.snap.cfg, r.snap.cfg_size);
	sfd = sealed_memfd(r.snap.secrets, r.snap.secrets_size);
	cr_assert(adopt_config(&R.w, cfd, sfd, a.generation));
	close(cfd);
	close(sfd);
	conf_result_free(&r);
	const struct cfg_server *all = cfg_servers(&R.w.cfg);
	for (u32 i = 0; i < R.w.cfg.r->nservers; i++)
		pool_limit_set(R.w.pool, all[i].pool_slot, (u32)all[i].max_connections);
}

void
rig_reload(const struct rig_conf *c)
{
	static const struct rig_conf none;

	load(c != NULL ? c : &none);
}

/* ---- segments ---- */

static void *
segment(u64 magic, size_t size)
{
	struct shm_header *h = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(h, MAP_FAILED);
	*h = (struct shm_header){.magic = magic, .abi = shm_abi, .size = size, .epoch = 2};
	shm_writer_enter(h, 0);
	return h;
}

static void
make_segments(struct worker *w)
{
	struct shm_seg_master *names = segment(SHM_MAGIC_MASTER, shm_size_master(&caps));

	shm_master_setup(names, &caps);
	names->m.workers = 1;
	names->m.servers = RIG_SERVERS;
	shm_master_workers(names)[0] = (struct shm_slot){.pid = (u32)getpid(), .state = SHM_SLOT_SERVING};
	w->names = names;
	w->health = segment(SHM_MAGIC_HEALTH, shm_size_health(&caps));
	w->pool = segment(SHM_MAGIC_POOL, shm_size_pool(&caps));
	shm_pool_setup(w->pool, &caps);
	w->auth = segment(SHM_MAGIC_AUTH, shm_size_auth(&caps));
	shm_auth_setup(w->auth, &caps);
	struct shm_seg_catalog *catalog = segment(SHM_MAGIC_CATALOG, shm_size_catalog(&caps));

	shm_catalog_setup(catalog, &caps);
	w->catalog = catalog;
	w->seg = segment(SHM_MAGIC_WORKER, shm_size_worker(&caps));
	shm_worker_setup(w->seg, &caps);
	w->stat = &w->seg->stat;
	w->sstat = shm_worker_servers(w->seg);
	w->users = shm_worker_users(w->seg);
	w->srec = shm_worker_sessions(w->seg);
	w->addrs = shm_worker_addrs(w->seg);
	w->free_rec = malloc(RIG_SESSIONS * sizeof *w->free_rec);
	cr_assert_not_null(w->free_rec);
	for (u32 i = 0; i < RIG_SESSIONS; i++)
		w->free_rec[w->nfree_rec++] = RIG_SESSIONS - 1 - i;
}

static void
on_turn(void *arg)
{
	sess_run_resumed(arg);
}

static void
make_worker(struct worker *w)
{
	int ch[2];

	w->magic = WORKER_MAGIC;
	w->epoch = 2;
	w->nworkers = 1;
	w->max_workers = caps.max_workers;
	w->max_servers = RIG_SERVERS;
	w->me = pool_owner(POOL_WORKER, 0, w->epoch, (u32)getpid());
	w->health_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->bells[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->inbox_fd = w->inboxes[0] = -1;
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ch), 0);
	w->channel.fd = ch[0];
	R.master = ch[1];
	w->env.chunks = &w->chunks;
	w->env.bytes_held = &w->bytes_held;
	w->env.rbuf = malloc(RBUF_SIZE);
	w->srv = calloc(w->max_servers, sizeof *w->srv);
	cr_assert(w->env.rbuf != NULL && w->srv != NULL);
	intern_init(&w->in);
	arena_init(&w->arena, STMT_ARENA);
	list_init(&w->sessions);
	list_init(&w->resume);
	list_init(&w->held);
	list_init(&w->proving);
	for (int i = 0; i < WHEEL_SLOTS; i++)
		list_init(&w->wheel[i]);
	for (u32 i = 0; i < w->max_servers; i++) {
		w->srv[i].w = w;
		w->srv[i].id = i;
		list_init(&w->srv[i].pools);
		list_init(&w->srv[i].conns);
	}
	ev_init(&w->loop, w, WORKER_TICK_MS, worker_on_tick, on_turn);
	w->wheel_now = ev_now(&w->loop) / (WORKER_TICK_MS * MS_NS);
}

/* ---- health ---- */

static struct shm_srvhealth *
health_of(u32 i)
{
	union {
		const struct shm_srvhealth *c;
		struct shm_srvhealth *v;
	} u = {&R.w.health->servers[i]};

	return u.v;
}

void
rig_detail(u32 i, void (*edit)(struct shm_srvhealth *d))
{
	struct shm_srvhealth d = *health_of(i);

	edit(&d);
	d.probed++;
	srv_detail_publish(health_of(i), &d);
}

void
rig_verdict(u32 i, enum srv_state st, enum srv_role role, enum srv_cause cause)
{
	struct srv_verdict v = {.state = st, .role = role, .cause = cause};

	__atomic_store_n(&health_of(i)->word, srv_word_pack(&v), __ATOMIC_RELEASE);
}

void
rig_primary(int server)
{
	union {
		const struct shm_cluhealth *c;
		struct shm_cluhealth *v;
	} u = {&R.w.health->clusters[0]};

	__atomic_store_n(&u.v->word, (u64)(u32)(server + 1), __ATOMIC_RELEASE);
	u.v->writable = server >= 0 ? 1 : 0;
}

void
rig_gtid(u32 server, u64 domain, u64 seq)
{
	struct shm_srvhealth d = *health_of(server);

	d.probed++;
	d.ngtid = 1;
	d.gtid[0] = domain;
	d.gtid[1] = seq;
	srv_detail_publish(health_of(server), &d);
}

static socklen_t
address(u32 i, struct sockaddr_un *sa)
{
	memset(sa, 0, sizeof *sa);
	sa->sun_family = AF_UNIX;
	/* abstract: gone with the process */
	int n = snprintf(sa->sun_path + 1, sizeof sa->sun_path - 1, "margay-rig-%d-%u", (int)getpid(), i);

	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

void
rig_server_up(u32 i)
{
	struct sockaddr_un sa;
	socklen_t len = address(i, &sa);

	R.listen[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	cr_assert_geq(R.listen[i], 0);
	cr_assert_eq(bind(R.listen[i], (struct sockaddr *)&sa, len), 0);
	cr_assert_eq(listen(R.listen[i], 128), 0);
}

void
rig_server_down(u32 i)
{
	close(R.listen[i]);
	R.listen[i] = -1;
}

static void
publish_server(u32 i)
{
	struct shm_srvhealth d = *health_of(i);
	struct sockaddr_un sa;
	u32 len = address(i, &sa);
	struct srv_verdict v = {.state = SRV_UP, .role = i == 0 ? SRV_ROLE_PRIMARY : SRV_ROLE_REPLICA};

	d.naddr = 1;
	memcpy(d.addr, &len, 4);
	memcpy(d.addr + 4, &sa, len);
	d.word = srv_word_pack(&v);
	d.probed = 1;
	str_copy(d.version, sizeof d.version, "10.11.6-MariaDB");
	srv_detail_publish(health_of(i), &d);
}

/* ---- begin and end ---- */

void
rig_start(const struct rig_conf *c)
{
	static const struct rig_conf none;

	memset(&R, 0, sizeof R);
	log_init("worker", 0, 2);
	log_set_sink(on_log, NULL);
	log_set_level(LOG_INFO_);
	make_segments(&R.w);
	make_worker(&R.w);
	evs_on_step = on_step;
	for (u32 i = 0; i < RIG_SERVERS; i++) {
		publish_server(i);
		rig_server_up(i);
	}
	rig_primary(0);
	load(c != NULL ? c : &none);
}

void
rig_run(void)
{
	for (bool again = true; again;) {
		again = false;
		evs_settle();
		for (u32 i = 0; i < R.npeers; i++) {
			struct peer *p = R.peers[i];

			if (p->fd < 0 || !p->is_server)
				continue;
			again |= peer_take_raw(p, SIZE_MAX) > 0;
			if (p->len - p->at == 5 && p->in[p->at + 4] == COM_QUIT && p->in[p->at] == 1) {
				p->at = p->len;
				peer_close(p);
				again = true;
			}
		}
	}
}

void
rig_pass(u64 ms)
{
	while (ms > 0) {
		u64 n = MIN(ms, 100);

		evs_pass(n, WORKER_TICK_MS);
		rig_run();
		ms -= n;
	}
}

/* Whatever is in the pool goes after its idle time; connections of clients that left are reset before. */
static void
end_servers(void)
{
	for (int round = 0; round < 8; round++) {
		rig_run();
		for (u32 i = 0; i < R.npeers; i++) {
			struct peer *p = R.peers[i];

			if (p->fd >= 0 && p->is_server && peer_has_packet(p) && p->in[p->at + 4] == COM_RESET_CONNECTION)
				server_expect_reset(p);
		}
	}
	rig_pass(R.w.srv[0].pool_idle_ns / MS_NS + 2500);
	for (u32 s = 0; s < R.w.max_servers; s++)
		list_for_each(i, &R.w.srv[s].conns) {
			struct bconn *b = LIST_ENTRY(i, struct bconn, node);

			cr_expect_fail("server %u: connection %u left in state %s", s, b->thread_id,
			    bconn_state_words[b->state]);
		}
}

static void
end_clients(void)
{
	for (u32 i = 0; i < R.npeers; i++)
		if (R.peers[i]->fd >= 0 && !R.peers[i]->is_server)
			peer_close(R.peers[i]);
	rig_run();
	list_for_each(i, &R.w.sessions) {
		struct sess *s = LIST_ENTRY(i, struct sess, node);

		cr_expect_fail("session %u left in state %s", s->id, sess_state_words[s->state]);
	}
}

static void
expect_nothing_left(struct worker *w)
{
	cr_expect_eq(w->nsess, 0, "%u sessions counted", w->nsess);
	cr_expect_eq(w->nfree_rec, RIG_SESSIONS, "%u records in use", RIG_SESSIONS - w->nfree_rec);
	cr_expect_eq(w->chunks.in_use, 0, "%llu chunks lent", (unsigned long long)w->chunks.in_use);
	cr_expect_eq(w->bytes_held, 0, "%llu bytes held", (unsigned long long)w->bytes_held);
	cr_expect(list_empty(&w->resume));
	cr_expect_eq(rig_counter("clients"), 0);
	cr_expect_eq((i64)rig_counter("clients_active"), 0, "clients_active %lld", (long long)rig_counter("clients_active"));
	cr_expect_eq((i64)rig_counter("clients_waiting"), 0);
	cr_expect_eq((i64)rig_counter("clients_pinned"), 0, "clients_pinned %lld", (long long)rig_counter("clients_pinned"));
	for (u32 i = 0; i < caps.max_users; i++)
		cr_expect_eq(w->users[i], 0, "user %u counts %llu", i, (unsigned long long)w->users[i]);
	for (u32 i = 0; i < w->seg->max_addrs; i++)
		cr_expect_eq(w->addrs[i].count, 0);
	for (u32 i = 0; i < RIG_SERVERS; i++) {
		struct wserver *s = &w->srv[i];

		cr_expect_eq(pool_used(w->pool, s->pool_slot), 0, "server %u: %u cells in use", i,
		    pool_used(w->pool, s->pool_slot));
		cr_expect_eq(s->nconns + s->nidle + s->nbusy + s->npinned + s->nwaiting + s->nconnecting + s->ncontrol, 0,
		    "server %u: conns %u idle %u busy %u pinned %u waiting %u connecting %u control %u", i, s->nconns,
		    s->nidle, s->nbusy, s->npinned, s->nwaiting, s->nconnecting, s->ncontrol);
		cr_expect_eq(s->wait_marked, 0);
	}
}

/* Pools go with the last that refers to them; no text may be left. */
static void
end_pools(struct worker *w)
{
	rig_pass(2 * WORKER_TICK_MS);
	for (u32 i = 0; i < RIG_SERVERS; i++) {
		list_for_each(k, &w->srv[i].pools) {
			struct bpool *bp = LIST_ENTRY(k, struct bpool, node);

			cr_expect_fail("pool of %s: %u references, idle %u conns %u waiting %u", bp->backend_user->text,
			    bp->refs, bp->nidle, bp->nconns, bp->nwaiting);
		}
		for (u32 k = 0; k < POOL_HASH; k++)
			cr_expect_null(w->srv[i].pool_hash[k]);
		cr_expect_eq(w->srv[i].npools_unused, 0);
	}
	for (u32 i = 0; i < w->in.nbuckets; i++)
		for (struct istr *s = w->in.tab[i]; s != NULL; s = s->next)
			cr_expect_fail("text left with %u references: %s", s->refs, s->text);
	cr_expect_null(w->in.sets, "settings left");
	cr_expect_eq(w->in.empty->refs, 1, "empty settings have %u references", w->in.empty->refs);
}

void
rig_stop(void)
{
	struct worker *w = &R.w;

	end_clients();
	end_servers();
	expect_nothing_left(w);
	end_pools(w);
	listen_close(w, false);
	evs_settle();
	cr_expect_eq(evs_open(), 0, "%u descriptors watched", evs_open());
	for (u32 i = 0; i < R.npeers; i++) {
		if (R.peers[i]->fd >= 0)
			close(R.peers[i]->fd);
		free(R.peers[i]->in);
		free(R.peers[i]);
	}
	for (u32 i = 0; i < RIG_SERVERS; i++)
		if (R.listen[i] >= 0)
			close(R.listen[i]);
	auth_rsa_put(w->rsa);
	cfg_close(&w->cfg);
	free(w->in.tab);
	free(w->in.empty);
	free(w->env.rbuf);
	free(w->srv);
	free(w->free_rec);
	log_set_sink(NULL, NULL);
}
