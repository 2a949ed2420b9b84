/* base/reasons.h: enums and words of tbl/reasons.def, tbl/sess_states.def, tbl/bconn_states.def,
 * tbl/routines.def and tbl/commands.def: one vocabulary for code, logs, counters and tools. Any process.
 */
#ifndef MARGAY_BASE_REASONS_H
#define MARGAY_BASE_REASONS_H
#include "base/base.h"

enum pin_reason {
#define PIN_REASON(sym, word, until, meaning) PIN_##sym,
#include "tbl/reasons.def"
	PIN_REASONS
};
enum route_reason {
#define ROUTE_REASON(sym, word, meaning) ROUTE_##sym,
#include "tbl/reasons.def"
	ROUTE_REASONS
};
enum sess_state {
#define SESS_STATE(sym, word, next, timeout, meaning) SESS_##sym,
#include "tbl/sess_states.def"
#undef SESS_STATE
	SESS_STATES
};
enum bconn_state {
#define BCONN_STATE(sym, word, next, meaning) BCONN_##sym,
#include "tbl/bconn_states.def"
#undef BCONN_STATE
	BCONN_STATES
};
enum com {
#define COMDEF(sym, byte, word, reply, handling) COM_##sym = byte,
#include "tbl/commands.def"
#undef COMDEF
};
enum routine_verdict {
#define ROUTINE_VERDICT(sym, word, meaning) ROUTINE_##sym,
#include "tbl/routines.def"
#undef ROUTINE_VERDICT
	ROUTINE_VERDICTS
};
extern const char *const routine_words[ROUTINE_VERDICTS], *const routine_meanings[ROUTINE_VERDICTS];
extern const char *const pin_words[PIN_REASONS], *const pin_untils[PIN_REASONS],
    *const pin_meanings[PIN_REASONS];
extern const char *const route_words[ROUTE_REASONS], *const route_meanings[ROUTE_REASONS];
extern const char *const sess_state_words[SESS_STATES], *const bconn_state_words[BCONN_STATES];
extern const u32 sess_state_next[SESS_STATES], bconn_state_next[BCONN_STATES];
/* Word of a command byte, "?" if unknown. */
const char *com_word(u32 byte);
#endif
