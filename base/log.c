/* base/log.c: formats and writes log lines. Any process; one thread or many (health): each line is built
 * on the stack and written at once.
 */
#include "base/log.h"
#include "base/clock.h"
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048 /* below PIPE_BUF, so lines of several children never mix */

static struct {
	const char *role;
	int slot;
	int fd;
	enum log_level most;
	u64 gen;
	u64 *dropped;
	void (*sink)(void *arg, const char *line, size_t len);
	void *sink_arg;
} L = {"margay", -1, 2, LOG_NOTICE_, 0, NULL, NULL, NULL};

void
log_init(const char *role, int slot, int fd)
{
	L.role = role;
	L.slot = slot;
	L.fd = fd;
}

void
log_set_fd(int fd)
{
	L.fd = fd;
}

void
log_set_sink(void (*fn)(void *arg, const char *line, size_t len), void *arg)
{
	L.sink = fn;
	L.sink_arg = arg;
}

void
log_set_level(enum log_level most)
{
	L.most = most;
}

void
log_set_generation(u64 gen)
{
	__atomic_store_n(&L.gen, gen, __ATOMIC_RELAXED);
}

void
log_set_drop_counter(u64 *counter)
{
	L.dropped = counter;
}

enum log_level
log_level(void)
{
	return L.most;
}

/* Appends src to dst with control characters made visible; returns the new length. */
static size_t
append_visible(char *dst, size_t n, size_t size, const char *src)
{
	static const char hex[] = "0123456789abcdef";

	for (; *src != '\0'; src++) {
		unsigned char c = (unsigned char)*src;
		if (c >= 0x20 && c != 0x7f) {
			if (n + 4 >= size)
				return n;
			dst[n++] = (char)c;
		} else {
			if (n + 8 >= size)
				return n;
			dst[n++] = '\\';
			dst[n++] = 'x';
			dst[n++] = hex[c >> 4];
			dst[n++] = hex[c & 15];
		}
	}
	return n;
}

static void
put_line(const char *line, size_t n)
{
	if (L.sink != NULL)
		L.sink(L.sink_arg, line, n);
	else if (write(L.fd, line, n) < 0 && L.dropped != NULL)
		__atomic_store_n(L.dropped, *L.dropped + 1, __ATOMIC_RELAXED);
}

void
log_at(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	int m, saved = errno;
	size_t n;
	va_list ap;

	if (level > L.most)
		return;
	va_start(ap, fmt);
	m = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (m < 0)
		return;
	n = (size_t)snprintf(line, sizeof line, "<%d>%s", (int)level, L.role);
	if (L.slot >= 0)
		n += (size_t)snprintf(line + n, sizeof line - n, "/%d", L.slot);
	n += (size_t)snprintf(line + n, sizeof line - n, "[%d]", (int)getpid());
	if (__atomic_load_n(&L.gen, __ATOMIC_RELAXED) != 0)
		n += (size_t)snprintf(line + n, sizeof line - n, " gen=%llu",
		    (unsigned long long)__atomic_load_n(&L.gen, __ATOMIC_RELAXED));
	line[n++] = ' ';
	n = append_visible(line, n, sizeof line - 8, text);
	if ((size_t)m >= sizeof text || n + 16 >= sizeof line) {
		memcpy(line + n, "...", 3);
		n += 3;
	}
	line[n++] = '\n';
	put_line(line, n);
	errno = saved;
}

void
log_slow(const char *entry, size_t len)
{
	char line[LOG_SLOW_MOST];
	size_t n = 3;
	int saved = errno;

	memcpy(line, "<S>", 3);
	for (size_t i = 0; i < len; i++) {
		if (n + 8 > sizeof line) {
			memcpy(line + n, "...", 3);
			n += 3;
			break;
		}
		if (entry[i] == '\n' || entry[i] == '\\')
			line[n++] = '\\';
		line[n++] = entry[i] == '\n' ? 'n' : entry[i];
	}
	line[n++] = '\n';
	put_line(line, n);
	errno = saved;
}

bool
log_rate_ok(struct log_rate *r, u32 burst, u32 per_ms)
{
	u64 now = clock_ns();

	if (r->window_start_ns == 0 || now - r->window_start_ns > (u64)per_ms * 1000000) {
		u32 left_out = r->suppressed;

		r->window_start_ns = now;
		r->in_window = 0;
		r->suppressed = 0;
		if (left_out > 0)
			log_at(LOG_WARN_, "%u similar lines were left out", left_out);
	}
	if (r->in_window >= burst) {
		r->suppressed++;
		return false;
	}
	r->in_window++;
	return true;
}
