/* worker/sess_slow.c: statements that took long, for the slow log: their text is kept while they run, and an entry in the
 * servers' format is handed to the master when they end. Switched off it is one comparison. Runs in a worker.
 */
#include "base/str.h"
#include "worker/sess.h"

#define SLOW_TEXT 3584 /* of a statement: with what stands above it, it fits one write (LOG_SLOW_MOST) */

struct slow {
	size_t len; /* of the whole statement */
	char text[SLOW_TEXT];
};

void
slow_keep(struct sess *s, const void *text, size_t len)
{
	slow_off(s);
	s->slow = malloc(sizeof *s->slow);
	if (s->slow == NULL)
		return; /* it is not logged */
	s->slow->len = len;
	memcpy(s->slow->text, text, MIN(len, sizeof s->slow->text));
}

void
slow_off(struct sess *s)
{
	free(s->slow);
	s->slow = NULL;
}

struct entry {
	char p[LOG_SLOW_MOST];
	size_t n;
};

static void PRINTF(2, 3)
put(struct entry *e, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(e->p + e->n, sizeof e->p - e->n, fmt, ap);
	va_end(ap);
	e->n += n < 0 ? 0 : MIN((size_t)n, sizeof e->p - 1 - e->n);
}

/* A name within a line. */
static void
put_name(struct entry *e, const char *name, size_t len)
{
	for (size_t i = 0; i < len && i < 128 && e->n < sizeof e->p; i++)
		e->p[e->n++] = (u8)name[i] <= ' ' || name[i] == 0x7f ? '?' : name[i];
}

/* A line of a statement that begins with # would be read as one of the log's own: it gets a blank in front. */
static void
put_statement(struct entry *e, const char *p, size_t len)
{
	for (size_t i = 0; i < len && e->n + 2 < sizeof e->p; i++) {
		if (p[i] == '#' && e->p[e->n - 1] == '\n')
			e->p[e->n++] = ' ';
		e->p[e->n++] = p[i] == '\0' ? ' ' : p[i];
	}
}

/* The statement's text, or its shape where literals must not be shown. */
static void
put_text(struct sess *s, struct entry *e)
{
	const struct ps *ps = s->cmd.ps;
	const char *text = ps != NULL ? ps->text->text : s->slow->text;
	size_t len = ps != NULL ? ps->text->len : s->slow->len, have = ps != NULL ? len : MIN(len, sizeof s->slow->text);
	bool plain = s->w->cfg.r->margay.slow_log_literals && (s->cmd.st.flags & STMT_F_SECRET) == 0;

	while (plain && have > 0 && have == len && (text[have - 1] == ';' || (u8)text[have - 1] <= ' '))
		len = --have;
	if (plain) {
		put_statement(e, text, have);
	} else {
		struct digest *d = &s->w->shape;

		digest_make(text, have, sess_lex_mode(s) | (have < len ? LEX_TRUNCATED : 0), d);
		put_statement(e, (const char *)d->text, d->len);
		have = d->len;
		len = d->total;
	}
	put(e, have < len ? "...;" : ";");
}

static void
put_seconds(struct entry *e, const char *name, u64 ns)
{
	put(e, "%s: %llu.%06llu", name, (unsigned long long)(ns / 1000000000u), (unsigned long long)(ns / 1000 % 1000000));
}

/* The statement under way has ended, and took ns. */
void
slow_end(struct sess *s, u64 ns)
{
	const struct cmd *c = &s->cmd;
	char host[64];
	struct entry e = {.n = 0};

	if (!cmd_runs(c) || c->login || (c->ps == NULL && s->slow == NULL))
		return;
	peer_host(s, host, sizeof host);
	put(&e, "# User@Host: ");
	put_name(&e, s->user, strlen(s->user));
	put(&e, "[");
	put_name(&e, s->user, strlen(s->user));
	put(&e, s->addr_family == 1 ? "] @ %s []\n" : "] @  [%s]\n", host);
	put(&e, "# Thread_id: %u  Schema: ", s->id);
	put_name(&e, s->db != NULL ? s->db->text : "", s->db != NULL ? s->db->len : 0);
	put(&e, "  QC_hit: No\n# ");
	put_seconds(&e, "Query_time", ns);
	put(&e, "  Lock_time: 0.000000  Rows_sent: %llu  Rows_examined: 0\n# Rows_affected: %llu  Bytes_sent: %llu\n",
	    (unsigned long long)c->rows, (unsigned long long)c->affected, (unsigned long long)c->bytes);
	if (c->sent && s->b != NULL) {
		put(&e, "# Server: ");
		put_name(&e, s->b->srv->name, strlen(s->b->srv->name));
		put_seconds(&e, "  Server_time", ev_now(&s->w->loop) - MAX(s->b->stmt_started, c->started));
		put(&e, "  Error: %u\n", c->err_code);
	}
	put(&e, "SET timestamp=%llu;\n", (unsigned long long)((clock_wall_ms() - ns / MS_NS) / 1000));
	put_text(s, &e);
	STAT_ADD(s->w->stat->slow_statements, 1);
	log_slow(e.p, e.n);
}
