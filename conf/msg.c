/* conf/msg.c: see msg.h. */
#include "conf/msg.h"
#include <stdarg.h>

void
msg_add(struct conf_msgs *m, enum conf_severity severity, struct conf_pos pos, const char *fmt, ...)
{
	struct conf_msg *g = &m->v[m->n];
	char text[1024];
	va_list ap;

	if (severity == CONF_ERROR)
		m->errors++;
	else
		m->warnings++;
	if (m->n == CONF_MSGS_MAX) {
		m->dropped++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	g->severity = severity;
	g->line = pos.line;
	g->order = m->n;
	g->file = pos.file == NULL ? NULL : strdup(pos.file);
	g->text = strdup(text); /* NULL: msg_format still prints the place */
	m->n++;
}

/* Rank of a file: the place of its first message; files number few, messages at most CONF_MSGS_MAX.
 */
static u32
file_rank(const struct conf_msgs *m, const struct conf_msg *g)
{
	for (u32 i = 0; g->file != NULL && i < m->n; i++)
		if (m->v[i].file != NULL && strcmp(m->v[i].file, g->file) == 0)
			return m->v[i].order;
	return UINT32_MAX; /* what has no place comes last */
}

struct ranked {
	u32 rank;
	struct conf_msg g;
};

static int
by_place(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->g.line != y->g.line)
		return x->g.line < y->g.line ? -1 : 1;
	return x->g.order < y->g.order ? -1 : 1;
}

static void
tell_dropped(struct conf_msgs *m)
{
	char text[64];

	if (m->dropped == 0)
		return;
	(void)snprintf(text, sizeof text, "%u more are not shown", m->dropped);
	m->v[m->n++] = (struct conf_msg){.severity = CONF_ERROR, .text = strdup(text)};
	m->dropped = 0;
}

void
msg_sort(struct conf_msgs *m)
{
	struct ranked *r = calloc(m->n + 1, sizeof *r);

	if (r == NULL)
		goto out; /* order of discovery, then */
	for (u32 i = 0; i < m->n; i++)
		r[i] = (struct ranked){.rank = file_rank(m, &m->v[i]), .g = m->v[i]};
	qsort(r, m->n, sizeof *r, by_place);
	for (u32 i = 0; i < m->n; i++)
		m->v[i] = r[i].g;
	free(r);
out:
	tell_dropped(m);
}

void
msg_format(const struct conf_msg *g, char *buf, size_t size)
{
	const char *sev = g->severity == CONF_ERROR ? "error" : "warning";
	const char *text = g->text != NULL ? g->text : "(no memory for the text)";

	if (g->file == NULL)
		(void)snprintf(buf, size, "%s: %s", sev, text);
	else if (g->line == 0)
		(void)snprintf(buf, size, "%s: %s: %s", g->file, sev, text);
	else
		(void)snprintf(buf, size, "%s:%u: %s: %s", g->file, g->line, sev, text);
}

void
msg_free(struct conf_msgs *m)
{
	for (u32 i = 0; i < m->n; i++) {
		free(m->v[i].file);
		free(m->v[i].text);
	}
	m->n = m->errors = m->warnings = m->dropped = 0;
}
