/* master/text.h: a growing text for replies and collected errors; bounded, never fails: what does not fit is
 * left out and the end says so. Master only.
 */
#ifndef MARGAY_MASTER_TEXT_H
#define MARGAY_MASTER_TEXT_H
#include "base/base.h"

#define TEXT_MAX (256u << 10) /* a reply: 500 messages of a broken file fit */

struct text {
	char *p; /* NUL-terminated; NULL while empty */
	size_t len, room;
};

void text_add(struct text *t, const char *fmt, ...) PRINTF(2, 3);
void text_free(struct text *t);
static inline const char *
text_str(const struct text *t)
{
	return t->p == NULL ? "" : t->p;
}
#endif
