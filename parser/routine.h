/* parser/routine.h: does the body of a stored function leave anything behind? Servers take a declaration (NO SQL, READS SQL
 * DATA) as it stands and do not check it, so the text decides. Pure: no clock, no globals; memory only for the time of the call (stmt_classify).
 */
#ifndef MARGAY_PARSER_ROUTINE_H
#define MARGAY_PARSER_ROUTINE_H
#include "base/base.h"
#include "base/reasons.h"

#define ROUTINE_SCRATCH 32u /* bytes of scratch beside the length of the body */

/* Goes through the body with a list of statements and forms that are known to leave nothing; whatever is not on it is a
 * doubt, and a doubt is a verdict other than ROUTINE_HARMLESS. Their expressions and queries must be reads in the eyes of
 * stmt_classify. body: as the server keeps it, under a sql_mode that routine_mode_ok takes; params: its list of parameters
 * without the parentheses (mysql.proc has it; empty: none is known, and none may be assigned then). scratch: at least
 * len + ROUTINE_SCRATCH bytes. */
enum routine_verdict routine_judge(const char *body, size_t len, const char *params, size_t plen, void *scratch, size_t size);
/* Does no mode in the list ("STRICT_TRANS_TABLES,ANSI_QUOTES") change how a text is read? */
bool routine_mode_ok(const char *sql_mode);
#endif
