/* base/reasons.c: expands the vocabulary tables. Any process. */
#include "base/reasons.h"

const char *const pin_words[] = {
#define PIN_REASON(sym, word, until, meaning) word,
#include "tbl/reasons.def"
};
const char *const pin_untils[] = {
#define PIN_REASON(sym, word, until, meaning) until,
#include "tbl/reasons.def"
};
const char *const pin_meanings[] = {
#define PIN_REASON(sym, word, until, meaning) meaning,
#include "tbl/reasons.def"
};
const char *const route_words[] = {
#define ROUTE_REASON(sym, word, meaning) word,
#include "tbl/reasons.def"
};
const char *const route_meanings[] = {
#define ROUTE_REASON(sym, word, meaning) meaning,
#include "tbl/reasons.def"
};
const char *const sess_state_words[] = {
#define SESS_STATE(sym, word, next, timeout, meaning) word,
#include "tbl/sess_states.def"
#undef SESS_STATE
};
const u32 sess_state_next[] = {
#define SESS_STATE(sym, word, next, timeout, meaning) next,
#include "tbl/sess_states.def"
#undef SESS_STATE
};
const char *const bconn_state_words[] = {
#define BCONN_STATE(sym, word, next, meaning) word,
#include "tbl/bconn_states.def"
#undef BCONN_STATE
};
const u32 bconn_state_next[] = {
#define BCONN_STATE(sym, word, next, meaning) next,
#include "tbl/bconn_states.def"
#undef BCONN_STATE
};
const char *const routine_words[] = {
#define ROUTINE_VERDICT(sym, word, meaning) word,
#include "tbl/routines.def"
#undef ROUTINE_VERDICT
};
const char *const routine_meanings[] = {
#define ROUTINE_VERDICT(sym, word, meaning) meaning,
#include "tbl/routines.def"
#undef ROUTINE_VERDICT
};

const char *
com_word(u32 byte)
{
	switch (byte) {
#define COMDEF(sym, b, word, reply, handling)                                                      \
	case b:                                                                                    \
		return word;
#include "tbl/commands.def"
#undef COMDEF
	default:
		return "?";
	}
}
