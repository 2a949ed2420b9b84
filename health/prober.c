/* health/prober.c: the life of a prober and what its threads share with the publishing thread. Health only. */
#include "health/prober.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PROBE_STACK (512u << 10) /* rows and facts live on it; Connector/C runs on stacks of its own */
#define CHORE_STACK (8u << 20)   /* bodies of functions are parsed on it, and may nest as deep as the parser goes */

static void
ring(int fd)
{
	u64 one = 1;

	if (write(fd, &one, sizeof one) < 0) {
		/* EAGAIN: it is rung already. */
	}
}

static bool
thread_start(pthread_t *t, size_t stack, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack);
	rc = pthread_create(t, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return rc == 0;
}

static void
prober_fini(struct prober *p)
{
	int fds[] = {p->stop_fd, p->probe_fd, p->chore_fd};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&p->lock);
	def_list_put(p->cat_list);
	def_result_free(p->cat_done);
	mem_wipe(&p->conf, sizeof p->conf);
	p->magic = 0;
	free(p);
}

struct prober *
prober_new(const struct prober_env *env, const struct prober_conf *conf)
{
	struct prober *p = malloc(sizeof *p);

	if (p == NULL)
		return NULL;
	OBJ_INIT(p, PROBER_MAGIC);
	p->env = env;
	p->conf = *conf;
	p->version = 1;
	p->leaves_state = 2;
	pthread_mutex_init(&p->lock, NULL);
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->probe_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->chore_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->stop_fd < 0 || p->probe_fd < 0 || p->chore_fd < 0 ||
	    !thread_start(&p->probe_thread, PROBE_STACK, probe_main, p)) {
		prober_fini(p);
		return NULL;
	}
	if (!thread_start(&p->chore_thread, CHORE_STACK, chore_main, p)) {
		ring(p->stop_fd);
		pthread_join(p->probe_thread, NULL);
		prober_fini(p);
		return NULL;
	}
	return p;
}

void
prober_free(struct prober *p)
{
	CHECK_OBJ(p, PROBER_MAGIC);
	ring(p->stop_fd);
	pthread_join(p->probe_thread, NULL);
	pthread_join(p->chore_thread, NULL);
	prober_fini(p);
}

void
prober_set_conf(struct prober *p, const struct prober_conf *conf)
{
	CHECK_OBJ(p, PROBER_MAGIC);
	pthread_mutex_lock(&p->lock);
	p->conf = *conf;
	p->version++;
	pthread_mutex_unlock(&p->lock);
	ring(p->probe_fd);
	ring(p->chore_fd);
}

void
prober_hurry(struct prober *p)
{
	pthread_mutex_lock(&p->lock);
	p->hurry = true;
	pthread_mutex_unlock(&p->lock);
	ring(p->probe_fd);
}

void
prober_recover(struct prober *p)
{
	ring(p->chore_fd);
}

bool
prober_take(struct prober *p, struct obs *o_r)
{
	bool posted;

	pthread_mutex_lock(&p->lock);
	/* One of the time before a reload says nothing about what is configured now. */
	posted = p->posted && p->last.conf_version == p->version;
	if (posted)
		*o_r = p->last;
	p->posted = false;
	pthread_mutex_unlock(&p->lock);
	return posted;
}

bool
prober_stops(const struct prober *p)
{
	struct pollfd f = {.fd = p->stop_fd, .events = POLLIN};

	return poll(&f, 1, 0) > 0;
}

bool
prober_conf_newer(struct prober *p, u32 *version, struct prober_conf *conf)
{
	bool newer;

	pthread_mutex_lock(&p->lock);
	newer = p->version != *version;
	if (newer)
		*conf = p->conf;
	*version = p->version;
	pthread_mutex_unlock(&p->lock);
	return newer;
}

void
prober_wait(const struct prober *p, int fd, u64 due_ns)
{
	struct pollfd f[2] = {{.fd = p->stop_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	u64 now = clock_ns(), n;

	if (now < due_ns)
		(void)poll(f, 2, (int)MIN((due_ns - now) / MS_NS + 1, 3600000u));
	if (read(fd, &n, sizeof n) < 0) {
		/* Not rung. */
	}
}

int
prober_cell_take(const struct prober *p, u32 pool_slot)
{
	int cell = pool_take(p->env->pool, pool_slot, p->env->me, true);

	return cell >= 0 ? cell : -1;
}

void
prober_cell_note(const struct prober *p, u32 pool_slot, int cell, u64 thread_id)
{
	if (cell >= 0)
		__atomic_store_n(&shm_pool_cells(p->env->pool, pool_slot)[cell].thread_id, thread_id,
		    __ATOMIC_SEQ_CST);
}

void
prober_cell_give(const struct prober *p, u32 pool_slot, int cell)
{
	u32 slot;

	if (cell < 0)
		return;
	if (pool_give(p->env->pool, pool_slot, (u32)cell, p->env->me, &slot) && slot < p->env->nworkers)
		ring(p->env->worker_fd[slot]);
}

void
prober_catalog_ask(struct prober *p, struct def_list *list, u64 asked)
{
	struct def_list *old;

	pthread_mutex_lock(&p->lock);
	old = p->cat_list;
	p->cat_list = def_list_ref(list);
	p->cat_asked = asked;
	pthread_mutex_unlock(&p->lock);
	def_list_put(old);
	ring(p->chore_fd);
}

struct def_result *
prober_catalog_take(struct prober *p)
{
	struct def_result *r;

	pthread_mutex_lock(&p->lock);
	r = p->cat_done;
	p->cat_done = NULL;
	pthread_mutex_unlock(&p->lock);
	return r;
}

bool
prober_catalog_job(struct prober *p, u64 *asked, struct def_list **list_r)
{
	bool newer;

	pthread_mutex_lock(&p->lock);
	newer = p->cat_asked > *asked;
	if (newer) {
		*asked = p->cat_asked;
		*list_r = def_list_ref(p->cat_list);
	}
	pthread_mutex_unlock(&p->lock);
	return newer;
}

void
prober_catalog_done(struct prober *p, struct def_result *r)
{
	struct def_result *old;

	pthread_mutex_lock(&p->lock);
	old = p->cat_done;
	p->cat_done = r;
	pthread_mutex_unlock(&p->lock);
	def_result_free(old);
	ring(p->env->report_fd);
}
