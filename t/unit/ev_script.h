/* t/unit/ev_script.h: worker/ev.h without a loop: the test is the loop. It turns it, moves the clock, and says when
 * closed callbacks run. Descriptors are real (socket pairs, abstract Unix sockets: what one end sends the other has at
 * once, so nothing is ever waited for); readiness is asked of poll(2) in each turn, in the order of opening.
 * Same rules as libuv's: events are cut to what is wanted when they are delivered, an error stops the handle, and
 * memory may go only after the closed callback.
 */
#ifndef MARGAY_T_UNIT_EV_SCRIPT_H
#define MARGAY_T_UNIT_EV_SCRIPT_H
#include "worker/ev.h"

extern struct ev_loop *evs_loop;   /* of the last ev_init */
extern void (*evs_on_step)(void);  /* after each callback; NULL: nothing */
extern bool evs_stopped;           /* ev_stop was called */
extern bool evs_hold_closed;       /* closed callbacks wait */
extern u32 evs_opens_fail;         /* so many ev_io_open from now on fail */

/* One turn: events, the loop's turn callback, closed callbacks. Returns how many callbacks of descriptors ran. */
u32 evs_turn(void);
/* Turns until nothing happens. A descriptor that stays ready for ever is a failure: in a process it would burn a
 * core. */
void evs_settle(void);
/* Moves the clock: fast timer (while on) and tick fall due, the loop settles after each. */
void evs_pass(u64 ms, u64 tick_ms);
/* Descriptors open now. */
u32 evs_open(void);
#endif
