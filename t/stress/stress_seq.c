/* t/stress/stress_seq.c: sequence-locked records and single-writer counters under many readers. A copy that
 * seq_read returns must be whole: every word of it from the same write. Run under TSan it also shows that no
 * access is a data race.
 */
#include "t/stress/stress.h"
#include "shm/health.h"
#include "shm/map.h"
#include <pthread.h>

enum { READERS = 3 };

static struct shm_srvhealth rec;
static struct shm_hist hist;
static u64 counter;
static bool stop;

static bool
stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

/* Every field of write n is derived from n. */
static void
fill(struct shm_srvhealth *r, u64 n)
{
	memset(r, (int)(n & 0xff), sizeof *r);
	r->probed = n;
	r->wait_timeout_s = n;
	r->word = srv_word_pack(&(struct srv_verdict){.state = SRV_UP, .epoch = (u32)n & 0xffffff});
}

static void *
write_loop(void *arg)
{
	struct shm_srvhealth r;

	for (u64 n = 1; !stopped(); n++) {
		fill(&r, n);
		srv_detail_publish(&rec, &r);
		STAT_ADD(counter, 1);
		shm_hist_add(&hist, n % 5000000);
	}
	return arg;
}

static void
check_whole(struct shm_srvhealth *got, u64 *last)
{
	struct shm_srvhealth want;

	if (got->probed == 0)
		return;
	fill(&want, got->probed);
	want.word = got->word; /* published apart from the rest */
	want.seq = 0;
	MUST(memcmp(&want, got, sizeof want) == 0, "torn copy of write %lu", (unsigned long)got->probed);
	MUST(got->probed >= *last, "went back from %lu to %lu", (unsigned long)*last,
	    (unsigned long)got->probed);
	*last = got->probed;
}

static void *
read_loop(void *arg)
{
	u64 *reads = arg, last = 0, count = 0, stale = 0, c;
	struct shm_srvhealth got;

	while (!stopped()) {
		if (srv_detail_read(&rec, &got) == 0) {
			check_whole(&got, &last);
			(*reads)++;
		} else {
			stale++;
		}
		c = STAT_GET(counter);
		MUST(c >= count, "counter went back");
		count = c;
	}
	printf("reader: %lu whole copies, %lu stale\n", (unsigned long)*reads, (unsigned long)stale);
	return NULL;
}

int
main(void)
{
	pthread_t w, r[READERS];
	u64 reads[READERS] = {0}, end = clock_ns() + stress_ns(3000), in_hist = 0;
	struct timespec nap = {0, 50 * (long)MS_NS};

	MUST(pthread_create(&w, NULL, write_loop, NULL) == 0, "thread");
	for (int i = 0; i < READERS; i++)
		MUST(pthread_create(&r[i], NULL, read_loop, &reads[i]) == 0, "thread");
	while (clock_ns() < end)
		nanosleep(&nap, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(w, NULL);
	for (int i = 0; i < READERS; i++) {
		pthread_join(r[i], NULL);
		MUST(reads[i] > 0, "reader %d never got a copy", i);
	}
	for (u32 i = 0; i < SHM_HIST_BUCKETS; i++)
		in_hist += hist.n[i];
	MUST(in_hist == counter, "histogram %lu, counter %lu", (unsigned long)in_hist,
	    (unsigned long)counter);
	printf("%lu writes\n", (unsigned long)counter);
	return 0;
}
