/* base/err.h: Margay's own error codes, from tbl/errors.def, and exit codes, from tbl/exits.def. */
#ifndef MARGAY_BASE_ERR_H
#define MARGAY_BASE_ERR_H
#include "base/base.h"

enum err_row {
#define ERRDEF(sym, no, state, text) sym##_ROW,
#include "tbl/errors.def"
#undef ERRDEF
	ERR_ROWS
};
enum err_code {
#define ERRDEF(sym, no, state, text) sym = -1 - (int)sym##_ROW,
#include "tbl/errors.def"
#undef ERRDEF
};
enum exit_code {
#define EXITDEF(sym, code, reaction, text) sym = code,
#include "tbl/exits.def"
#undef EXITDEF
};
enum exit_reaction { EXIT_REACT_RESPAWN, EXIT_REACT_STOP };

struct err_info {
	const char *name;     /* "ERR_NO_PRIMARY" */
	u16 mysql_errno;
	const char *sqlstate; /* five characters */
	const char *text;
};

/* Never NULL; an unknown code gives the row of ERR_IO. Static storage. */
const struct err_info *err_info(int code);
static inline const char *
err_text(int code)
{
	return err_info(code)->text;
}
/* What the master does about a child that ended with this exit code; unknown codes: respawn. */
enum exit_reaction exit_reaction(int code);
const char *exit_text(int code);
#endif
