/* base/check.c: panics. Any process; async-signal-unsafe on purpose (we are about to abort). */
#include "base/check.h"
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

static char *sink;
static size_t sink_size;
static void (*context_fn)(char *buf, size_t size);

void
panic_set_sink(char *buf, size_t size)
{
	sink = buf;
	sink_size = size;
}

void
panic_set_context(void (*fn)(char *buf, size_t size))
{
	context_fn = fn;
}

void
panic_at(const char *file, int line, const char *func, const char *fmt, ...)
{
	static bool again;
	char text[1024];
	int n, saved = errno;
	va_list ap;

	n = snprintf(text, sizeof text, "panic at %s:%d %s(): ", file, line, func);
	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof text)
		n += vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof text)
		n += snprintf(text + n, sizeof text - (size_t)n, " (errno %d)", saved);
	if (!again && context_fn != NULL && n > 0 && (size_t)n + 2 < sizeof text) {
		again = true; /* a panic in the context function ends here */
		text[n++] = ' ';
		text[n] = '\0';
		context_fn(text + n, sizeof text - (size_t)n);
	}
	n = (int)strlen(text);
	if (sink != NULL && sink_size > 0) {
		size_t m = MIN((size_t)n, sink_size - 1);
		memcpy(sink, text, m);
		sink[m] = '\0';
	}
	text[MIN((size_t)n, sizeof text - 1)] = '\n';
	if (write(2, text, MIN((size_t)n + 1, sizeof text)) < 0)
		errno = saved;
	abort();
}
