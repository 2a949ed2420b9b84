/* t/unit/tools_fixture.c: see tools.h. */
#include "config.h"
#include "t/unit/tools.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/str.h"
#include "shm/digest.h"

char fix_dir[64];
struct shm_seg_master *fix_names;
struct shm_seg_health *fix_health;
struct shm_seg_pool *fix_pool;
struct shm_seg_worker *fix_worker[FIX_WORKERS];

static const struct shm_caps caps = {
    .max_servers = 4, .max_workers = 4, .max_users = 3, .max_sessions = 8, .max_cells = 16, .max_digests = 8};

static void *
segment(const char *name, u64 magic, size_t size)
{
	char path[128];
	struct shm_map m;
	int fd;

	snprintf(path, sizeof path, "%s/%s", fix_dir, name);
	cr_assert_eq(shm_create(path, magic, size, 3, 0640, &m, &fd), 0);
	close(fd);
	shm_writer_enter(m.p, 0);
	return m.p;
}

static void
fill_names(void)
{
	struct shm_srvname *v = shm_master_servers(fix_names);

	fix_names->h.generation = 5;
	fix_names->m.state = SHM_MASTER_SERVING;
	fix_names->m.workers = FIX_WORKERS;
	fix_names->m.servers = FIX_SERVERS;
	fix_names->m.clusters = 1;
	fix_names->m.last_reload_ok = 1;
	fix_names->stat.reloads = 7;
	fix_names->clusters[0].used = 1;
	str_copy(fix_names->clusters[0].name, 64, "main");
	for (u32 i = 0; i < FIX_SERVERS; i++) {
		snprintf(v[i].name, sizeof v[i].name, i == 2 ? "odd\"\\\033[2Jname" : "db%u", i);
		snprintf(v[i].address, sizeof v[i].address, "10.0.0.%u:3306", i + 1);
		v[i].used = 1;
		v[i].pool_slot = i;
		v[i].max_connections = 10;
		v[i].weight = 1;
	}
	v[1].admin = SHM_ADMIN_DRAIN;
	for (u32 i = 0; i < FIX_WORKERS; i++)
		shm_master_workers(fix_names)[i] =
		    (struct shm_slot){.pid = (u32)getpid(), .state = SHM_SLOT_SERVING, .starts = 1 + i};
}

static void
verdict(u32 i, enum srv_state st, enum srv_role role, enum srv_cause cause, u32 lag, const char *error)
{
	struct shm_srvhealth d = {0};

	d.word = srv_word_pack(
	    &(struct srv_verdict){.state = st, .role = role, .cause = cause, .lag_ms = lag, .epoch = 1});
	d.probed = clock_ns();
	d.probe_us = 1500;
	d.lag_source = 2;
	str_copy(d.version, sizeof d.version, "10.11.6-MariaDB");
	str_copy(d.error, sizeof d.error, error);
	srv_detail_publish(&fix_health->servers[i], &d);
}

static void
fill_session(u32 w, u32 k, u32 id, const char *user, enum sess_state st, enum pin_reason pin)
{
	struct shm_session *s = &shm_worker_sessions(fix_worker[w])[k];

	s->id = id;
	s->state = st;
	s->since = clock_ns();
	s->connected = clock_wall_ms();
	s->command = COM_QUERY;
	s->server = 1;
	s->pin = pin;
	s->statements = 4;
	str_copy(s->user, sizeof s->user, user);
	str_copy(s->addr, sizeof s->addr, "10.1.1.1:40000");
	str_copy(s->db, sizeof s->db, "shop");
	str_copy(s->info, sizeof s->info, "SELECT 'caf\xe9', \"\033\\\" \xe2\x82\xac");
}

/* Shape k: its figures are k + 1 times what it has in worker 0, and in worker 1 as much again. */
static void
fill_digest(u32 w, u64 k, const char *text)
{
	u32 at;
	struct shm_digest *d = shm_digest_begin(fix_worker[w], k + 100, clock_ns(), &at);

	cr_assert_not_null(d);
	d->hash = 0xabc0 + k;
	d->first = d->last - 1000;
	d->count = 10 * (k + 1);
	d->errors = 1;
	d->time_ns = 10000000 * (k + 1);
	d->server_ns = 5000000 * (k + 1);
	d->rows = 7;
	d->bytes = 2048;
	d->max_ns = 3000000;
	d->times[10] = d->count;
	d->len = (u32)strlen(text);
	d->total = k == 1 ? 5000 : d->len;
	str_copy(d->db, sizeof d->db, "shop");
	memcpy(d->text, text, d->len);
	seq_write_end(&d->seq);
}

static void
fill_worker(u32 i)
{
	struct shm_seg_worker *w = fix_worker[i];

	w->h.generation = 5;
	w->stat.clients = 3 + i;
	w->stat.statements = 1000 * (i + 1);
	w->stat.loop_ns_max = 2500000;
	w->stat.bytes_to_clients = 123456789;
	shm_worker_gtids(w)[0].pos[0] = 1; /* domain 0 */
	shm_worker_gtids(w)[0].pos[1] = 42;
	shm_worker_servers(w)[0].statements = 600;
	shm_worker_servers(w)[0].conns_idle = 2;
	shm_worker_servers(w)[0].time_ns = 1500000000;
	for (u64 n = 0; n < 1000; n++)
		shm_hist_add(&w->hist[SHM_HIST_statement], (n + 1) * 10000);
}

void
fix_make(void)
{
	char path[128], name[32];
	FILE *f;

	snprintf(fix_dir, sizeof fix_dir, "/tmp/t_tools.XXXXXX");
	cr_assert_not_null(mkdtemp(fix_dir));
	chmod(fix_dir, 0755);
	snprintf(path, sizeof path, "%s/e3", fix_dir);
	cr_assert_eq(mkdir(path, 0755), 0);
	fix_names = segment("e3/names", SHM_MAGIC_MASTER, shm_size_master(&caps));
	shm_master_setup(fix_names, &caps);
	fill_names();
	fix_health = segment("e3/health", SHM_MAGIC_HEALTH, shm_size_health(&caps));
	verdict(0, SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE, 0, "");
	verdict(1, SRV_UP, SRV_ROLE_REPLICA, SRV_CAUSE_NONE, 1234, "");
	verdict(2, SRV_DOWN, SRV_ROLE_NONE, SRV_CAUSE_REFUSED, SRV_LAG_UNKNOWN, "Can't connect (111)");
	fix_health->clusters[0].word = 1 | 9ull << 32;
	fix_health->clusters[0].writable = 1;
	for (u32 i = 0; i < FIX_WORKERS; i++) {
		snprintf(name, sizeof name, "e3/worker.%u", i);
		fix_worker[i] = segment(name, SHM_MAGIC_WORKER, shm_size_worker(&caps));
		shm_worker_setup(fix_worker[i], &caps);
		fill_worker(i);
		fill_digest(i, 0, "UPDATE `t` SET `a` = ?");
		fill_digest(i, 1, "DELETE FROM `odd\"\033[2Jname`");
	}
	fill_digest(1, 2, "DO ?");
	fill_session(0, 0, 101, "app", SESS_READY, PIN_NONE);
	fill_session(0, 3, 102, "app", SESS_BUSY, PIN_TRX);
	fill_session(1, 7, 103, "batch", SESS_BUSY, PIN_NONE);
	snprintf(name, sizeof name, "pool.%08x", (u32)(shm_abi >> 32));
	fix_pool = segment(name, SHM_MAGIC_POOL, shm_size_pool(&caps));
	shm_pool_setup(fix_pool, &caps);
	shm_pool_srv(fix_pool)[0].key = 1;
	pool_limit_set(fix_pool, 0, 10);
	for (int i = 0; i < 4; i++)
		cr_assert_geq(pool_take(fix_pool, 0, pool_owner(POOL_WORKER, 0, 3, (u32)getpid()), false), 0);
	cr_assert_geq(pool_take(fix_pool, 0, pool_owner(POOL_HEALTH, 255, 3, (u32)getpid()), true), 0);
	snprintf(path, sizeof path, "%s/current", fix_dir);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs("3\n", f);
	fclose(f);
}

void
fix_remove(void)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -rf %s", fix_dir);
	cr_assert_eq(system(cmd), 0);
}

u32
fix_dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
	return (u32)pid;
}

static char *
file_text(FILE *f)
{
	char *text = NULL;
	size_t n = 0, room = 0, got;

	rewind(f);
	do {
		room += 65536;
		text = realloc(text, room + 1);
		got = fread(text + n, 1, room - n, f);
		n += got;
	} while (got > 0);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void
child(char **argv, int exe, FILE *out, FILE *err, bool as_nobody)
{
	static char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};

	dup2(fileno(out), 1);
	dup2(fileno(err), 2);
	/* The executable was opened before: the build tree may be closed to nobody. */
	if (as_nobody && geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
		_exit(126);
	fexecve(exe, argv, env);
	_exit(127);
}

struct ran
fix_run(const char *args, bool as_nobody)
{
	static char name[] = "margay-stat", r[] = "-r";
	char *argv[16] = {name, r, fix_dir}, *words = strdup(args), *save = NULL, path[4096];
	const char *top = getenv("top_builddir");
	int n = 3, exe, how;
	FILE *out = tmpfile(), *err = tmpfile();
	struct ran res;
	pid_t pid;

	snprintf(path, sizeof path, "%s/margay-stat", top != NULL ? top : ".");
	exe = open(path, O_RDONLY);
	cr_assert_geq(exe, 0, "%s", path);
	for (char *w = strtok_r(words, " ", &save); w != NULL && n < 15; w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	pid = fork();
	if (pid == 0)
		child(argv, exe, out, err, as_nobody);
	cr_assert_eq(waitpid(pid, &how, 0), pid);
	cr_assert(WIFEXITED(how), "margay-stat %s: status %x", args, (unsigned)how);
	res = (struct ran){.code = WEXITSTATUS(how), .out = file_text(out), .err = file_text(err)};
	close(exe);
	free(words);
	return res;
}

void
ran_free(struct ran *r)
{
	free(r->out);
	free(r->err);
}
