/* master/text.c: growing texts. Master only. */
#include "master/text.h"
#include <stdarg.h>

static bool
make_room(struct text *t, size_t n)
{
	size_t room = MAX(t->room, 1024u);
	char *p;

	while (room < t->len + n + 1)
		room *= 2;
	if (room > TEXT_MAX)
		return false;
	if (room == t->room)
		return true;
	p = realloc(t->p, room);
	if (p == NULL)
		return false;
	t->p = p;
	t->room = room;
	return true;
}

void
text_add(struct text *t, const char *fmt, ...)
{
	static const char cut[] = "...\n";
	char line[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	n = MIN(n, (int)sizeof line - 1);
	if (make_room(t, (size_t)n)) {
		memcpy(t->p + t->len, line, (size_t)n + 1);
		t->len += (size_t)n;
	} else if (t->len >= sizeof cut) {
		memcpy(t->p + t->len - (sizeof cut - 1), cut, sizeof cut);
	}
}

void
text_free(struct text *t)
{
	free(t->p);
	memset(t, 0, sizeof *t);
}
