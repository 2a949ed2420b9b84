/* conf/msg.h: what a load has to say, all of it, each with its place. Master and tools. No secret
 * may be put into a message.
 */
#ifndef MARGAY_CONF_MSG_H
#define MARGAY_CONF_MSG_H
#include "base/base.h"

enum conf_severity { CONF_ERROR, CONF_WARNING };

/* Where in the configuration; line 0: the file as a whole; file NULL: no place at all (a default).
 */
struct conf_pos {
	const char *file;
	u32 line;
};
struct conf_msg {
	enum conf_severity severity;
	char *file; /* owned, as the operator named it; NULL: none */
	u32 line;
	u32 order; /* of discovery */
	char *text;
};
/* More than these are counted, not kept: nobody reads them, and a binary file makes one for each
 * line. */
#define CONF_MSGS_MAX 500
struct conf_msgs {
	struct conf_msg v[CONF_MSGS_MAX + 1]; /* 1: how many were dropped */
	u32 n;                                /* kept */
	u32 errors;                           /* found */
	u32 warnings;
	u32 dropped;
};

void msg_add(struct conf_msgs *m, enum conf_severity severity, struct conf_pos pos, const char *fmt,
	     ...) PRINTF(4, 5);
#define msg_error(m, pos, ...) msg_add(m, CONF_ERROR, pos, __VA_ARGS__)
#define msg_warn(m, pos, ...)  msg_add(m, CONF_WARNING, pos, __VA_ARGS__)
/* By file in order of first mention, then line, then discovery; behind them, how many were dropped.
 * Once, at the end. */
void msg_sort(struct conf_msgs *m);
/* "FILE:LINE: error: text"; without the file or the line when they are not known. */
void msg_format(const struct conf_msg *g, char *buf, size_t size);
void msg_free(struct conf_msgs *m);
#endif
