/* base/err.c: expands tbl/errors.def and tbl/exits.def. */
#include "base/err.h"

static const struct err_info rows[] = {
#define ERRDEF(sym, no, state, text) {#sym, no, state, text},
#include "tbl/errors.def"
#undef ERRDEF
};

static const struct {
	int code;
	enum exit_reaction reaction;
	const char *text;
} exits[] = {
#define EXITDEF(sym, code, reaction, text) {code, EXIT_REACT_##reaction, text},
#include "tbl/exits.def"
#undef EXITDEF
};

const struct err_info *
err_info(int code)
{
	if (code >= 0 || -1 - code >= ERR_ROWS)
		code = ERR_IO;
	return &rows[-1 - code];
}

enum exit_reaction
exit_reaction(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (exits[i].code == code)
			return exits[i].reaction;
	return EXIT_REACT_RESPAWN;
}

const char *
exit_text(int code)
{
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		if (exits[i].code == code)
			return exits[i].text;
	return "unknown exit code";
}
