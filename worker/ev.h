/* worker/ev.h: the event loop as the worker sees it: descriptors that become readable or writable, a tick,
 * tasks that run at the end of a turn. Knows no MySQL. The only files that include uv.h are ev.c and this
 * header's private part; runs in a worker.
 *
 * Descriptors are watched with uv_poll_t, not with uv_tcp_t: reads go straight into the place where the bytes are
 * looked at, writes go out of it, and memory is held only while bytes are in flight.
 */
#ifndef MARGAY_WORKER_EV_H
#define MARGAY_WORKER_EV_H
#include <uv.h>
#include "base/base.h"
#include "base/list.h"

#define EV_READ  1u
#define EV_WRITE 2u

struct ev_loop;
struct ev_io;
typedef void ev_io_f(struct ev_io *io, u32 events);
typedef void ev_f(void *arg);

struct ev_io {
	uv_poll_t poll; /* first: handles are cast back */
	struct ev_loop *loop;
	ev_io_f *cb;
	ev_f *closed_cb;
	void *arg;
	int fd;
	u32 want;
	struct list again; /* in ev_loop.again */
	bool active; /* handle initialised and not closed */
};

struct ev_loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t tick;
	uv_timer_t fast;
	uv_idle_t idle;
	struct list again; /* bytes of theirs wait here, not in the kernel */
	ev_f *tick_cb, *fast_cb, *turn_cb;
	void *arg;
	u64 now_ns;      /* read once in a turn */
	bool now_fresh;
	bool fast_on;
	u64 turn_start_ns;
	u64 turn_max_ns; /* longest turn since the caller last reset it */
};

/* Panics on failure: a worker without a loop is of no use. turn_cb runs after the events of each turn. */
void ev_init(struct ev_loop *l, void *arg, u64 tick_ms, ev_f *tick_cb, ev_f *turn_cb);
void ev_run(struct ev_loop *l);
void ev_stop(struct ev_loop *l);
/* Time of this turn, CLOCK_MONOTONIC ns: one clock read for all events that came together. */
u64 ev_now(struct ev_loop *l);
/* A second timer with a finer step, on only while somebody waits for a short time. */
void ev_fast(struct ev_loop *l, ev_f *cb, u64 ms, bool on);

/* fd must be non-blocking; it stays the caller's until ev_io_close, which closes it. ERR_SYSTEM on failure
 * (the fd is not closed then). */
MUST_CHECK int ev_io_open(struct ev_loop *l, struct ev_io *io, int fd, ev_io_f *cb, void *arg);
void ev_io_want(struct ev_io *io, u32 events);
/* EV_READ once more in the next turn, though the descriptor may have nothing: bytes of it are held above the kernel.
 * Nothing happens while reading is not wanted. */
void ev_io_again(struct ev_io *io);
/* Stops, closes the fd, and calls closed_cb(arg) in a later turn: only then may the memory go. Idempotent. */
void ev_io_close(struct ev_io *io, ev_f *closed_cb);
/* The same, but the descriptor stays open and is the caller's again. */
int ev_io_take_fd(struct ev_io *io, ev_f *closed_cb);
#endif
