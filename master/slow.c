/* master/slow.c: see slow.h. The time above each entry is the master's, in local time as servers write it, since workers read
 * no file after their start, not even that of the time zone.
 */
#include "master/slow.h"
#include "base/log.h"
#include <stdio.h>
#include <time.h>

void
slow_entry(struct logs *g, const char *p, size_t len)
{
	char out[LOG_SLOW_MOST + 64];
	time_t now = time(NULL);
	struct tm tm;
	size_t n;

	if (g == NULL || len > LOG_SLOW_MOST || localtime_r(&now, &tm) == NULL)
		return;
	n = (size_t)snprintf(out, 64, "# Time: %02d%02d%02d %2d:%02d:%02d\n", tm.tm_year % 100, tm.tm_mon + 1, tm.tm_mday,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
	for (size_t i = 0; i < len; i++) {
		bool escaped = p[i] == '\\' && i + 1 < len;

		i += escaped;
		out[n++] = escaped && p[i] == 'n' ? '\n' : p[i];
	}
	out[n++] = '\n';
	logs_queue(g, out, n);
}
