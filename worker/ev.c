/* worker/ev.c: libuv behind ev.h. Callbacks translate and return; nothing here knows what a descriptor is
 * for. Runs in a worker, one loop.
 */
#include "worker/ev.h"
#include <errno.h>
#include <unistd.h>
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

static void
on_prepare(uv_prepare_t *h)
{
	struct ev_loop *l = h->data;

	if (l->turn_start_ns != 0) {
		u64 d = clock_ns() - l->turn_start_ns;

		if (d > l->turn_max_ns)
			l->turn_max_ns = d;
	}
	l->turn_start_ns = 0;
	l->now_fresh = false;
}

static void
on_check(uv_check_t *h)
{
	struct ev_loop *l = h->data;

	if (l->turn_cb != NULL)
		l->turn_cb(l->arg);
}

static void
on_tick(uv_timer_t *h)
{
	struct ev_loop *l = h->data;

	l->tick_cb(l->arg);
}

static void
on_fast(uv_timer_t *h)
{
	struct ev_loop *l = h->data;

	l->fast_cb(l->arg);
}

/* Each of those that are in the list now has its turn once; what is added meanwhile waits for the next. */
static void
on_idle(uv_idle_t *h)
{
	struct ev_loop *l = h->data;
	struct list now;

	l->now_fresh = false;
	if (list_empty(&l->again)) {
		uv_idle_stop(h);
		return;
	}
	now = l->again;
	now.next->prev = &now;
	now.prev->next = &now;
	list_init(&l->again);
	while (!list_empty(&now)) {
		struct ev_io *io = LIST_ENTRY(now.next, struct ev_io, again);

		list_del(&io->again);
		if (io->want & EV_READ)
			io->cb(io, EV_READ);
	}
}

void
ev_io_again(struct ev_io *io)
{
	struct ev_loop *l = io->loop;

	if (!io->active || !list_empty(&io->again))
		return;
	list_push_back(&l->again, &io->again);
	if (!uv_is_active((uv_handle_t *)&l->idle))
		AZ(uv_idle_start(&l->idle, on_idle));
}

void
ev_init(struct ev_loop *l, void *arg, u64 tick_ms, ev_f *tick_cb, ev_f *turn_cb)
{
	memset(l, 0, sizeof *l);
	AZ(uv_loop_init(&l->uv));
	l->arg = arg;
	l->tick_cb = tick_cb;
	l->turn_cb = turn_cb;
	AZ(uv_prepare_init(&l->uv, &l->prepare));
	AZ(uv_check_init(&l->uv, &l->check));
	AZ(uv_timer_init(&l->uv, &l->tick));
	AZ(uv_timer_init(&l->uv, &l->fast));
	AZ(uv_idle_init(&l->uv, &l->idle));
	list_init(&l->again);
	l->idle.data = l->prepare.data = l->check.data = l->tick.data = l->fast.data = l;
	AZ(uv_prepare_start(&l->prepare, on_prepare));
	AZ(uv_check_start(&l->check, on_check));
	AZ(uv_timer_start(&l->tick, on_tick, tick_ms, tick_ms));
}

void
ev_run(struct ev_loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void
ev_stop(struct ev_loop *l)
{
	uv_stop(&l->uv);
}

u64
ev_now(struct ev_loop *l)
{
	if (!l->now_fresh) {
		l->now_ns = clock_ns();
		l->now_fresh = true;
		if (l->turn_start_ns == 0)
			l->turn_start_ns = l->now_ns;
	}
	return l->now_ns;
}

void
ev_fast(struct ev_loop *l, ev_f *cb, u64 ms, bool on)
{
	if (on == l->fast_on)
		return;
	l->fast_on = on;
	l->fast_cb = cb;
	if (on)
		AZ(uv_timer_start(&l->fast, on_fast, ms, ms));
	else
		uv_timer_stop(&l->fast);
}

static void
on_poll(uv_poll_t *h, int status, int events)
{
	struct ev_io *io = (struct ev_io *)(void *)h;
	u32 ev = 0;

	if (status < 0) {
		/* POLLERR: libuv has stopped the handle; the error itself comes out of read or write */
		io->want = 0;
		io->cb(io, EV_READ | EV_WRITE);
		return;
	}
	if (events & (UV_READABLE | UV_DISCONNECT))
		ev |= EV_READ;
	if (events & UV_WRITABLE)
		ev |= EV_WRITE;
	io->cb(io, ev);
}

int
ev_io_open(struct ev_loop *l, struct ev_io *io, int fd, ev_io_f *cb, void *arg)
{
	memset(io, 0, sizeof *io);
	io->loop = l;
	io->fd = fd;
	list_init(&io->again);
	io->cb = cb;
	io->arg = arg;
	int rc = uv_poll_init(&l->uv, &io->poll, fd);
	if (rc != 0) {
		errno = -rc;
		return ERR_SYSTEM;
	}
	io->active = true;
	return 0;
}

void
ev_io_want(struct ev_io *io, u32 events)
{
	int uvev = 0;

	if (!io->active || events == io->want)
		return;
	io->want = events;
	if (events & EV_READ)
		uvev |= UV_READABLE;
	if (events & EV_WRITE)
		uvev |= UV_WRITABLE;
	if (uvev == 0)
		AZ(uv_poll_stop(&io->poll));
	else
		AZ(uv_poll_start(&io->poll, uvev, on_poll));
}

static void
on_closed(uv_handle_t *h)
{
	struct ev_io *io = (struct ev_io *)(void *)h;

	if (io->closed_cb != NULL)
		io->closed_cb(io->arg);
}

int
ev_io_take_fd(struct ev_io *io, ev_f *closed_cb)
{
	int fd = io->fd;

	if (!io->active)
		return -1;
	list_del(&io->again);
	io->active = false;
	io->want = 0;
	io->fd = -1;
	io->closed_cb = closed_cb;
	uv_close((uv_handle_t *)&io->poll, on_closed);
	return fd;
}

void
ev_io_close(struct ev_io *io, ev_f *closed_cb)
{
	/* uv_close takes the descriptor out of epoll, so it must still be open then */
	int fd = ev_io_take_fd(io, closed_cb);

	if (fd >= 0)
		close(fd);
}
