/* Unit tests of shm/map.c, shm/seq.h and shm/health.c: segments in a temporary directory, sequence-locked
 * records, histogram arithmetic.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/reasons.h"
#include "shm/health.h"
#include "shm/map.h"

static const struct shm_caps caps = {
    .max_servers = 5, .max_workers = 3, .max_users = 7, .max_sessions = 33, .max_cells = 20, .max_digests = 10};
static char dir[] = "/tmp/t_shm.XXXXXX";
static char path[64];

static void
dir_make(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/seg", dir);
}

static void
dir_remove(void)
{
	unlink(path);
	cr_assert_eq(rmdir(dir), 0, "something was left in the directory");
}

Test(map, create_and_open, .init = dir_make, .fini = dir_remove)
{
	struct shm_map m, r;
	struct shm_seg_worker *w;
	struct stat st;
	int fd, fd2;

	umask(077);
	cr_assert_eq(shm_create(path, SHM_MAGIC_WORKER, shm_size_worker(&caps), 9, 0640, &m, &fd), 0);
	w = m.p;
	shm_worker_setup(w, &caps);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_mode & 07777, 0640, "the umask must not matter");
	cr_assert_geq((size_t)st.st_blocks * 512, m.size, "sparse");
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	cr_assert_eq(w->h.epoch, 9);
	shm_writer_enter(&w->h, 2);
	STAT_ADD(w->stat.statements, 3);

	cr_assert_eq(shm_map_path(path, SHM_MAGIC_WORKER, false, &r, &fd2), 0);
	w = r.p;
	cr_assert_eq(STAT_GET(w->stat.statements), 3);
	cr_assert_eq(w->h.pid, (u32)getpid());
	cr_assert_eq(w->h.slot, 2);
	shm_unmap(&r);
	cr_assert_null(r.p);
	close(fd2);
	shm_unmap(&m);
	close(fd);
}

Test(map, create_replaces_and_old_stays_mapped, .init = dir_make, .fini = dir_remove)
{
	struct shm_map a, b;
	int fda, fdb, left;

	/* What a master that died in shm_create left behind. */
	snprintf(path, sizeof path, "%s/seg.tmp", dir);
	left = open(path, O_CREAT | O_WRONLY, 0600);
	cr_assert_geq(left, 0);
	close(left);
	snprintf(path, sizeof path, "%s/seg", dir);
	cr_assert_eq(shm_create(path, SHM_MAGIC_POOL, shm_size_pool(&caps), 1, 0600, &a, &fda), 0);
	((struct shm_seg_pool *)a.p)->p.serving_epoch = 77;
	cr_assert_eq(shm_create(path, SHM_MAGIC_POOL, shm_size_pool(&caps), 2, 0600, &b, &fdb), 0);
	cr_assert_eq(((struct shm_seg_pool *)a.p)->p.serving_epoch, 77);
	cr_assert_eq(((struct shm_seg_pool *)b.p)->p.serving_epoch, 0);
	shm_unmap(&a);
	shm_unmap(&b);
	close(fda);
	close(fdb);
}

Test(map, refuses, .init = dir_make, .fini = dir_remove)
{
	struct shm_map m, r;
	struct shm_seg_pool *p;
	char no[80];
	int fd;

	snprintf(no, sizeof no, "%s/none/seg", dir);
	cr_assert_eq(shm_create(no, SHM_MAGIC_POOL, 4096, 1, 0600, &m, &fd), ERR_SYSTEM);
	cr_assert_eq(errno, ENOENT);
	cr_assert_eq(shm_map_path(no, SHM_MAGIC_POOL, false, &r, NULL), ERR_NOTFOUND);

	cr_assert_eq(shm_create(path, SHM_MAGIC_POOL, shm_size_pool(&caps), 1, 0600, &m, &fd), 0);
	p = m.p;
	shm_pool_setup(p, &caps);
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_WORKER, false, &r), ERR_INVAL);
	p->h.abi ^= 1;
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, false, &r), ERR_ABI);
	p->h.abi ^= 1;
	p->p.max_cells++;
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, false, &r), ERR_INVAL, "arrays beyond the end");
	p->p.max_cells = UINT32_MAX;
	p->p.max_servers = UINT32_MAX;
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, false, &r), ERR_INVAL, "sizes that overflow");
	shm_pool_setup(p, &caps);
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, true, &r), 0);
	shm_unmap(&r);
	cr_assert_eq(ftruncate(fd, (off_t)m.size - 8), 0);
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, false, &r), ERR_INVAL, "cut short");
	cr_assert_eq(ftruncate(fd, 8), 0);
	cr_assert_eq(shm_map_fd(fd, SHM_MAGIC_POOL, false, &r), ERR_INVAL, "no header");
	munmap(m.p, m.size);
	close(fd);
}

/* Each array lies inside the segment, behind the one before it, and the last one ends where the segment does. */
Test(map, arrays_do_not_overlap)
{
	static u64 mem[400000 / 8];
	struct shm_seg_worker *w = (void *)mem;
	struct shm_seg_master *n = (void *)mem;
	struct shm_seg_pool *p = (void *)mem;
	u8 *base = (void *)mem;

	cr_assert_leq(shm_size_worker(&caps), sizeof mem);
	w->h.size = shm_size_worker(&caps);
	shm_worker_setup(w, &caps);
	cr_assert_geq((u8 *)shm_worker_servers(w), base + sizeof *w);
	cr_assert_geq((void *)shm_worker_users(w), (void *)(shm_worker_servers(w) + caps.max_servers));
	cr_assert_geq((void *)shm_worker_sessions(w), (void *)(shm_worker_users(w) + caps.max_users));
	cr_assert_geq((void *)shm_worker_addrs(w), (void *)(shm_worker_sessions(w) + caps.max_sessions));
	cr_assert_geq((void *)shm_worker_digest_keys(w), (void *)(shm_worker_addrs(w) + w->max_addrs));
	cr_assert_eq((uintptr_t)shm_worker_digest_keys(w) % 64, (uintptr_t)base % 64);
	cr_assert_geq((void *)shm_worker_digests(w), (void *)(shm_worker_digest_keys(w) + w->max_digests));
	cr_assert_eq((u8 *)(shm_worker_digests(w) + w->max_digests), base + shm_size_worker(&caps));
	cr_assert_geq(w->max_addrs, 2 * caps.max_sessions);
	cr_assert_eq(w->max_addrs & (w->max_addrs - 1), 0);

	memset(mem, 0, sizeof mem);
	n->h.size = shm_size_master(&caps);
	shm_master_setup(n, &caps);
	cr_assert_geq((u8 *)shm_master_workers(n), base + sizeof *n);
	cr_assert_geq((void *)shm_master_servers(n), (void *)(shm_master_workers(n) + caps.max_workers));
	cr_assert_eq((u8 *)(shm_master_servers(n) + caps.max_servers), base + shm_size_master(&caps));

	memset(mem, 0, sizeof mem);
	p->h.size = shm_size_pool(&caps);
	shm_pool_setup(p, &caps);
	cr_assert_geq((void *)shm_pool_cells(p, 0), (void *)(shm_pool_srv(p) + caps.max_servers));
	cr_assert_eq(shm_pool_cells(p, 1) - shm_pool_cells(p, 0), caps.max_cells);
	cr_assert_eq((u8 *)shm_pool_cells(p, caps.max_servers), base + shm_size_pool(&caps));
}

Test(map, reclaim_clears_gauges_and_keeps_counters)
{
	static u64 mem[400000 / 8];
	struct shm_seg_worker *w = (void *)mem;
	struct shm_session *s;

	w->h.size = shm_size_worker(&caps);
	shm_worker_setup(w, &caps);
	s = shm_worker_sessions(w);
	w->stat.clients = 4;
	w->stat.accepted = 9;
	w->hist[SHM_HIST_wait].n[3] = 5;
	shm_worker_servers(w)[4].conns_busy = 2;
	shm_worker_servers(w)[4].errors = 8;
	shm_worker_users(w)[6] = 3;
	shm_worker_addrs(w)[w->max_addrs - 1] = (struct shm_addrcount){.hash = 1, .count = 2};
	s[32] = (struct shm_session){.seq = 7, .id = 11, .state = SESS_BUSY};
	s[0] = (struct shm_session){.seq = 6, .id = 12, .state = SESS_READY};
	shm_worker_reclaim(w);
	cr_assert_eq(w->stat.clients, 0);
	cr_assert_eq(w->stat.accepted, 9);
	cr_assert_eq(w->hist[SHM_HIST_wait].n[3], 5);
	cr_assert_eq(shm_worker_servers(w)[4].conns_busy, 0);
	cr_assert_eq(shm_worker_servers(w)[4].errors, 8);
	cr_assert_eq(shm_worker_users(w)[6], 0);
	cr_assert_eq(shm_worker_addrs(w)[w->max_addrs - 1].hash, 0);
	cr_assert_eq(shm_worker_addrs(w)[w->max_addrs - 1].count, 0);
	cr_assert_eq(s[32].id, 0);
	cr_assert_eq(s[0].id, 0);
	cr_assert_eq(s[32].seq & 1, 0);
	cr_assert_eq(s[0].seq & 1, 0);
}

Test(seq, odd_count_is_stale_until_repaired)
{
	u64 rec[5] = {0}, out[4], in[4] = {1, 2, 3, 4};

	seq_write_begin(&rec[0]);
	seq_words_store(&rec[1], in, sizeof in);
	cr_assert_eq(seq_read(&rec[0], out, &rec[1], sizeof out), ERR_STALE, "its writer died here");
	seq_repair(&rec[0]);
	cr_assert_eq(seq_read(&rec[0], out, &rec[1], sizeof out), 0);
	cr_assert_arr_eq(in, out, sizeof in);
	seq_repair(&rec[0]);
	cr_assert_eq(rec[0], 2, "repair of an even count changes nothing");
}

Test(health, word_round_trip)
{
	struct srv_verdict v = {SRV_BROKEN, SRV_ROLE_REPLICA, SRV_CAUSE_NON_PRIMARY, 123456, 0xabcdef}, w;

	w = srv_word_unpack(srv_word_pack(&v));
	cr_assert_eq(w.state, v.state);
	cr_assert_eq(w.role, v.role);
	cr_assert_eq(w.cause, v.cause);
	cr_assert_eq(w.lag_ms, v.lag_ms);
	cr_assert_eq(w.epoch, v.epoch);
	v.lag_ms = UINT32_MAX;
	v.epoch = 0x1000001;
	w = srv_word_unpack(srv_word_pack(&v));
	cr_assert_eq(w.lag_ms, SRV_LAG_UNKNOWN);
	cr_assert_eq(w.epoch, 1);
	cr_assert_eq(w.cause, v.cause, "a large lag must not reach its neighbours");
}

Test(health, details_and_a_writer_that_died)
{
	struct shm_srvhealth rec = {0}, in = {0}, out;

	in.word = srv_word_pack(&(struct srv_verdict){SRV_UP, SRV_ROLE_PRIMARY, SRV_CAUSE_NONE, 5, 1});
	in.probe_us = 42;
	in.wait_timeout_s = 28800;
	memcpy(in.version, "10.11", 6);
	srv_detail_publish(&rec, &in);
	cr_assert_eq(srv_detail_read(&rec, &out), 0);
	cr_assert_eq(out.word, in.word);
	cr_assert_eq(out.probe_us, 42);
	cr_assert_eq(out.wait_timeout_s, 28800);
	cr_assert_str_eq(out.version, "10.11");
	seq_write_begin(&rec.seq);
	cr_assert_eq(srv_detail_read(&rec, &out), ERR_STALE);
	srv_detail_publish(&rec, &in);
	cr_assert_eq(srv_detail_read(&rec, &out), 0);
}

Test(health, words)
{
	cr_assert_str_eq(srv_state_words[SRV_DOWN], "down");
	cr_assert_str_eq(srv_cause_words[SRV_CAUSE_NON_PRIMARY], "non-primary");
	cr_assert_str_eq(srv_role_words[SRV_ROLE_REPLICA], "replica");
}

Test(hist, buckets_cover_everything_once)
{
	u64 low = 0;

	for (u32 b = 0; b < SHM_HIST_BUCKETS; b++) {
		u64 up = shm_hist_upper(b);

		cr_assert_gt(up, low, "bucket %u", b);
		cr_assert_eq(shm_hist_bucket(low), b, "lower end of %u", b);
		cr_assert_eq(shm_hist_bucket(up - 1), b, "upper end of %u", b);
		if (b > 0 && b < SHM_HIST_BUCKETS - 1)
			cr_assert_leq((up - low) * 8, low, "bucket %u is wider than 12.5%%", b);
		low = up;
	}
	cr_assert_eq(shm_hist_bucket(UINT64_MAX), SHM_HIST_BUCKETS - 1);
	cr_assert_gt(shm_hist_upper(SHM_HIST_BUCKETS - 2), 70ull * 1000 * 1000 * 1000);
}

Test(hist, quantiles)
{
	static struct shm_hist h, sum;
	u64 q;

	cr_assert_eq(shm_hist_quantile(&h, 0.5), 0);
	for (u64 us = 1; us <= 10000; us++)
		shm_hist_add(&h, us * 1000);
	for (int i = 0; i <= 1000; i++) {
		double want = (double)i / 1000 * 10000 * 1000;

		q = shm_hist_quantile(&h, i / 1000.0);
		if (want > 2000)
			cr_assert((double)q > want * 0.87 && (double)q < want * 1.13, "%d: %lu", i, q);
	}
	shm_hist_sum(&sum, &h);
	shm_hist_sum(&sum, &h);
	cr_assert_eq(sum.sum, 2 * h.sum);
	cr_assert_eq(shm_hist_quantile(&sum, 0.9), shm_hist_quantile(&h, 0.9));
	memset(&h, 0, sizeof h);
	shm_hist_add(&h, UINT64_MAX);
	cr_assert_eq(shm_hist_quantile(&h, 0.5), shm_hist_upper(SHM_HIST_BUCKETS - 2));
}
