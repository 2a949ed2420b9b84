/* tools/stat_grid.c: tables of text, and numbers and times as people read them. margay-stat only. */
#include "base/reasons.h"
#include "tools/stat.h"
#include <stdarg.h>

void
grid_init(struct stat_grid *g, const char *const *heads, u32 n)
{
	memset(g, 0, sizeof *g);
	g->ncols = MIN(n, STAT_COLS);
	for (u32 i = 0; i < g->ncols; i++)
		g->head[i] = heads[i];
}

void
grid_row(struct stat_grid *g)
{
	if (g->nrows == g->room) {
		g->room = g->room == 0 ? 16 : g->room * 2;
		g->cell = realloc(g->cell, g->room * sizeof *g->cell);
		if (g->cell == NULL)
			abort();
	}
	memset(g->cell[g->nrows++], 0, sizeof *g->cell);
}

void
grid_set(struct stat_grid *g, u32 col, const char *fmt, ...)
{
	char *c = g->cell[g->nrows - 1][col];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c, STAT_CELL, fmt, ap);
	va_end(ap);
	/* Names and statements are a client's bytes: none may reach the terminal as a command. */
	for (; *c != '\0'; c++) {
		if ((u8)*c < ' ' || *c == 0x7f)
			*c = *c == '\n' || *c == '\t' ? ' ' : '?';
	}
}

/* Columns, not bytes, of UTF-8; a stray byte counts as it is. */
static u32
columns(const char *s)
{
	u32 n = 0;

	for (; *s != '\0'; s++)
		n += ((u8)*s & 0xc0) != 0x80;
	return n;
}

static void
line_print(const struct stat_grid *g, FILE *f, u32 width, const u32 *wide, char (*row)[STAT_CELL])
{
	char line[STAT_COLS * (STAT_CELL + 2) + 1];
	size_t n = 0;
	u32 cols = 0;

	for (u32 i = 0; i < g->ncols; i++) {
		bool right = g->head[i][0] == '-' && g->head[i][1] != '\0';
		const char *text = row != NULL ? row[i] : g->head[i] + right;
		u32 pad = wide[i] - MIN(wide[i], columns(text));

		n += (size_t)snprintf(line + n, sizeof line - n, "%s%*s%s%*s", i > 0 ? "  " : "",
		    right ? (int)pad : 0, "", text, right ? 0 : (int)pad, "");
	}
	while (n > 0 && line[n - 1] == ' ')
		n--;
	for (size_t i = 0; width > 0 && i < n; i++) {
		cols += ((u8)line[i] & 0xc0) != 0x80;
		if (cols > width)
			n = i;
	}
	fprintf(f, "%.*s\n", (int)n, line);
}

void
grid_print(struct stat_grid *g, FILE *f, u32 width)
{
	u32 wide[STAT_COLS];

	for (u32 i = 0; i < g->ncols; i++) {
		wide[i] = columns(g->head[i]) - (g->head[i][0] == '-' && g->head[i][1] != '\0');
		for (u32 r = 0; r < g->nrows; r++)
			wide[i] = MAX(wide[i], columns(g->cell[r][i]));
	}
	line_print(g, f, width, wide, NULL);
	for (u32 r = 0; r < g->nrows; r++)
		line_print(g, f, width, wide, g->cell[r]);
	free(g->cell);
	g->cell = NULL;
	g->nrows = g->room = 0;
}

const char *
stat_age(char *buf, size_t size, u64 ms)
{
	u64 s = ms / 1000;

	if (s >= 86400)
		snprintf(buf, size, "%llud%02lluh", (unsigned long long)(s / 86400),
		    (unsigned long long)(s / 3600 % 24));
	else if (s >= 3600)
		snprintf(buf, size, "%lluh%02llum", (unsigned long long)(s / 3600),
		    (unsigned long long)(s / 60 % 60));
	else if (s >= 60)
		snprintf(buf, size, "%llum%02llus", (unsigned long long)(s / 60),
		    (unsigned long long)(s % 60));
	else
		snprintf(buf, size, "%llu.%llus", (unsigned long long)s, (unsigned long long)(ms / 100 % 10));
	return buf;
}

const char *
stat_num(char *buf, size_t size, double v)
{
	static const char unit[] = " kMGTPE";
	u32 u = 0;

	while (v >= 999.5 && u < 6) {
		v /= 1000;
		u++;
	}
	if (u == 0)
		snprintf(buf, size, v < 10 && v != (double)(u64)v ? "%.1f" : "%.0f", v);
	else
		snprintf(buf, size, v < 9.995 ? "%.2f%c" : v < 99.95 ? "%.1f%c" : "%.0f%c", v, unit[u]);
	return buf;
}

const char *
stat_ns(char *buf, size_t size, u64 ns)
{
	double v = (double)ns;

	if (ns == 0)
		snprintf(buf, size, "-");
	else if (v < 999.5e3)
		snprintf(buf, size, "%.3gus", v / 1e3);
	else if (v < 999.5e6)
		snprintf(buf, size, "%.3gms", v / 1e6);
	else
		snprintf(buf, size, "%.3gs", v / 1e9);
	return buf;
}

const char *
stat_server_name(const struct stat_sample *s, int id)
{
	return id >= 0 && (u32)id < s->nservers && s->servers[id].n.used ? s->servers[id].n.name : "-";
}

const char *
stat_cluster_name(const struct stat_sample *s, u32 idx)
{
	return idx < s->nclusters && s->clusters[idx].n.used ? s->clusters[idx].n.name : "-";
}
