/* t/unit/ev_script.c: see ev_script.h. */
#include "t/unit/ev_script.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"

#define MAX_IO    4096
#define MAX_TURNS 200000 /* far more than the longest scenario takes: a 64 MiB statement in socket buffers */

struct ev_loop *evs_loop;
void (*evs_on_step)(void);
bool evs_stopped, evs_hold_closed;
u32 evs_opens_fail;

static struct ev_io *ios[MAX_IO];
static u32 nios;
static struct ev_io *closed[MAX_IO];
static u32 nclosed;
static u64 fast_ms;

void
ev_init(struct ev_loop *l, void *arg, u64 tick_ms, ev_f *tick_cb, ev_f *turn_cb)
{
	(void)tick_ms;
	memset(l, 0, sizeof *l);
	l->arg = arg;
	l->tick_cb = tick_cb;
	l->turn_cb = turn_cb;
	list_init(&l->again);
	l->now_ns = 1000000 * MS_NS; /* not 0: times of 0 mean "never" in places */
	evs_loop = l;
}

void
ev_run(struct ev_loop *l)
{
	(void)l;
	abort(); /* tests turn the loop themselves */
}

void
ev_stop(struct ev_loop *l)
{
	(void)l;
	evs_stopped = true;
}

u64
ev_now(struct ev_loop *l)
{
	return l->now_ns;
}

void
ev_fast(struct ev_loop *l, ev_f *cb, u64 ms, bool on)
{
	l->fast_on = on;
	l->fast_cb = cb;
	fast_ms = ms;
}

int
ev_io_open(struct ev_loop *l, struct ev_io *io, int fd, ev_io_f *cb, void *arg)
{
	if (evs_opens_fail > 0) {
		evs_opens_fail--;
		errno = EMFILE;
		return ERR_SYSTEM;
	}
	cr_assert_lt(nios, MAX_IO);
	memset(io, 0, sizeof *io);
	io->loop = l;
	io->fd = fd;
	list_init(&io->again);
	io->cb = cb;
	io->arg = arg;
	io->active = true;
	ios[nios++] = io;
	return 0;
}

void
ev_io_want(struct ev_io *io, u32 events)
{
	if (io->active)
		io->want = events;
}

void
ev_io_again(struct ev_io *io)
{
	if (io->active && list_empty(&io->again))
		list_push_back(&io->loop->again, &io->again);
}

int
ev_io_take_fd(struct ev_io *io, ev_f *closed_cb)
{
	int fd = io->fd;
	u32 i;

	if (!io->active)
		return -1;
	for (i = 0; i < nios && ios[i] != io; i++)
		continue;
	cr_assert_lt(i, nios, "a descriptor that was never opened");
	memmove(&ios[i], &ios[i + 1], (nios - i - 1) * sizeof ios[0]);
	nios--;
	list_del(&io->again);
	io->active = false;
	io->want = 0;
	io->fd = -1;
	io->closed_cb = closed_cb;
	closed[nclosed++] = io;
	return fd;
}

void
ev_io_close(struct ev_io *io, ev_f *closed_cb)
{
	int fd = ev_io_take_fd(io, closed_cb);

	if (fd >= 0)
		close(fd);
}

static void
step(void)
{
	if (evs_on_step != NULL)
		evs_on_step();
}

static void
deliver(struct ev_io *io, short got)
{
	u32 ev = 0;

	if (got & POLLERR) {
		io->want = 0;
		io->cb(io, EV_READ | EV_WRITE);
		step();
		return;
	}
	if (got & (POLLIN | POLLHUP))
		ev |= io->want & EV_READ;
	if (got & (POLLOUT | POLLHUP))
		ev |= io->want & EV_WRITE;
	if (ev == 0)
		return;
	io->cb(io, ev);
	step();
}

static u32
run_closed(void)
{
	u32 n = 0;

	while (!evs_hold_closed && nclosed > 0) {
		struct ev_io *io = closed[0];

		memmove(&closed[0], &closed[1], --nclosed * sizeof closed[0]);
		if (io->closed_cb != NULL)
			io->closed_cb(io->arg);
		step();
		n++;
	}
	return n;
}

u32
evs_turn(void)
{
	static struct pollfd pfd[MAX_IO];
	static struct ev_io *of[MAX_IO];
	u32 n = 0, ran = 0;

	for (u32 i = 0; i < nios; i++) {
		if (ios[i]->want == 0)
			continue;
		pfd[n] = (struct pollfd){.fd = ios[i]->fd,
		    .events = (short)((ios[i]->want & EV_READ ? POLLIN : 0) | (ios[i]->want & EV_WRITE ? POLLOUT : 0))};
		of[n++] = ios[i];
	}
	cr_assert_geq(poll(pfd, n, 0), 0);
	for (u32 i = 0; i < n; i++) {
		if (pfd[i].revents == 0 || !of[i]->active || of[i]->want == 0)
			continue;
		deliver(of[i], pfd[i].revents);
		ran++;
	}
	for (u32 left = nios; left > 0 && !list_empty(&evs_loop->again); left--) {
		struct ev_io *io = LIST_ENTRY(evs_loop->again.next, struct ev_io, again);

		list_del(&io->again);
		if ((io->want & EV_READ) == 0)
			continue;
		io->cb(io, EV_READ);
		step();
		ran++;
	}
	if (evs_loop->turn_cb != NULL)
		evs_loop->turn_cb(evs_loop->arg);
	step();
	return ran + run_closed();
}

void
evs_settle(void)
{
	for (u32 i = 0; evs_turn() > 0; i++)
		cr_assert_lt(i, MAX_TURNS, "the loop never comes to rest: an event is not taken");
}

void
evs_pass(u64 ms, u64 tick_ms)
{
	u64 left = ms;

	while (left > 0) {
		u64 at = evs_loop->now_ns / MS_NS, to_tick = tick_ms - at % tick_ms;
		u64 n = evs_loop->fast_on ? MIN(fast_ms, to_tick) : to_tick;

		n = MIN(n, left);
		left -= n;
		evs_loop->now_ns += n * MS_NS;
		if (evs_loop->fast_on)
			evs_loop->fast_cb(evs_loop->arg);
		step();
		if (n == to_tick)
			evs_loop->tick_cb(evs_loop->arg);
		step();
		evs_settle();
	}
}

u32
evs_open(void)
{
	return nios;
}
