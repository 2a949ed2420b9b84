/* tools/margaygen.c: runs at build time only. Prints from tbl/ what would otherwise be written twice: the tables of
 * the manual pages (mdoc), the sample configuration, the graphs of the two state machines (DOT). Standard
 * output only; no file but the template it is given is read.
 */
#include "base/base.h"
#include "base/err.h"
#include "config.h"

enum opt_type { T_BOOL, T_UINT, T_MSEC, T_BYTES, T_ENUM, T_STR, T_SECRET, T_LIST };

struct opt {
	enum opt_type type;
	const char *name, *def;
	u64 min, max;
	const char *reload, *extra, *summary, *prose;
};
#define ROW(type, name, def, min, max, reload, extra, summary, prose)                              \
	{T_##type, #name, def, min, max, #reload, extra, summary, prose},

#define OPT_MARGAY ROW
static const struct opt opts_margay[] = {
#include "tbl/options.def"
};
#define OPT_SERVER ROW
static const struct opt opts_server[] = {
#include "tbl/options.def"
};
#define OPT_CLUSTER ROW
static const struct opt opts_cluster[] = {
#include "tbl/options.def"
};
#define OPT_USER ROW
static const struct opt opts_user[] = {
#include "tbl/options.def"
};
#define OPT_SCHEMA ROW
static const struct opt opts_schema[] = {
#include "tbl/options.def"
};
#define OPT_SHARD ROW
static const struct opt opts_shard[] = {
#include "tbl/options.def"
};
#define OPT_TABLE ROW
static const struct opt opts_table[] = {
#include "tbl/options.def"
};

static const struct section {
	const char *name, *head;
	const struct opt *opts;
	size_t n;
} sections[] = {{"margay", "[margay]", opts_margay, ARRAY_LEN(opts_margay)},
    {"server", "[server db1]", opts_server, ARRAY_LEN(opts_server)},
    {"cluster", "[cluster main]", opts_cluster, ARRAY_LEN(opts_cluster)},
    {"user", "[user app]", opts_user, ARRAY_LEN(opts_user)},
    {"schema", "[schema shop]", opts_schema, ARRAY_LEN(opts_schema)},
    {"shard", "[shard s0]", opts_shard, ARRAY_LEN(opts_shard)},
    {"table", "[table shop.orders]", opts_table, ARRAY_LEN(opts_table)}};

struct counter {
	const char *name, *kind, *unit, *summary;
};
#define CTR(name, kind, unit, summary) {#name, #kind, #unit, summary},
#define CTR_WORKER CTR
static const struct counter ctr_worker[] = {
#include "tbl/counters.def"
};
#define CTR_SERVER CTR
static const struct counter ctr_server[] = {
#include "tbl/counters.def"
};
#define CTR_MASTER CTR
static const struct counter ctr_master[] = {
#include "tbl/counters.def"
};
#define CTR_HEALTH CTR
static const struct counter ctr_health[] = {
#include "tbl/counters.def"
};

struct word {
	const char *sym, *word, *note, *meaning;
	u32 next;
};
#define HIST(name, summary) {#name, #name, "", summary, 0},
static const struct word hists[] = {
#include "tbl/counters.def"
};
#define SRV_STATE(sym, word, takes, meaning) {#sym, word, takes ? "takes statements" : "", meaning, 0},
static const struct word srv_states[] = {
#include "tbl/server_states.def"
};
#define SRV_CAUSE(sym, word, meaning) {#sym, word, "", meaning, 0},
static const struct word srv_causes[] = {
#include "tbl/server_states.def"
};
#define SRV_ROLE(sym, word, meaning) {#sym, word, "", meaning, 0},
static const struct word srv_roles[] = {
#include "tbl/server_states.def"
};
#define PIN_REASON(sym, word, until, meaning) {#sym, word, until, meaning, 0},
static const struct word pins[] = {
#include "tbl/reasons.def"
};
#define ROUTE_REASON(sym, word, meaning) {#sym, word, "", meaning, 0},
static const struct word routes[] = {
#include "tbl/reasons.def"
};
/* The bit numbers in the successor columns. */
enum {
#define SESS_STATE(sym, word, next, timeout, meaning) SESS_##sym,
#include "tbl/sess_states.def"
#undef SESS_STATE
};
enum {
#define BCONN_STATE(sym, word, next, meaning) BCONN_##sym,
#include "tbl/bconn_states.def"
#undef BCONN_STATE
};
static const struct word sess_states[] = {
#define SESS_STATE(sym, word, next, timeout, meaning) {#sym, word, #timeout, meaning, next},
#include "tbl/sess_states.def"
#undef SESS_STATE
};
static const struct word bconn_states[] = {
#define BCONN_STATE(sym, word, next, meaning) {#sym, word, "", meaning, next},
#include "tbl/bconn_states.def"
#undef BCONN_STATE
};
static const struct {
	int code;
	const char *text;
} exits[] = {
#define EXITDEF(sym, code, reaction, text) {code, text},
#include "tbl/exits.def"
#undef EXITDEF
};
static const struct {
	u32 no;
	const char *state, *text;
} errors[] = {
#define ERRDEF(sym, no, state, text) {no, state, text},
#include "tbl/errors.def"
#undef ERRDEF
};

/* --- mdoc --- */

/* Text of a table as mdoc text: the first sentence begins with a capital, the last ends in a full stop, and each
 * has its own line, as roff wants it. */
static void
mdoc_text(const char *s, bool sentence)
{
	bool first = true;
	char last = '\0';

	for (; *s != '\0'; s++) {
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (first && (*s == '.' || *s == '\''))
			printf("\\&%c", *s);
		else if (first && last == '\0' && sentence && *s >= 'a' && *s <= 'z')
			putchar(*s - 'a' + 'A');
		else
			putchar(*s);
		first = *s == '.' && s[1] == ' ';
		last = *s;
		if (first) {
			putchar('\n');
			s++;
		}
	}
	if (sentence && last != '.' && last != '\0')
		putchar('.');
	putchar('\n');
}

/* A word for a macro line: mdoc's own words and blanks are kept from being read as macros. */
static void
mdoc_word(const char *s)
{
	putchar('"');
	if (*s == '-' && s[1] == '\0')
		fputs("\\(hy", stdout);
	else
		for (; *s != '\0'; s++)
			fputs(*s == '"' ? "\\(dq" : *s == '\\' ? "\\e" : (char[]){*s, '\0'}, stdout);
	putchar('"');
}

static void
unit_print(const struct opt *o, u64 v)
{
	if (o->type == T_MSEC && v % 3600000 == 0 && v != 0)
		printf("%lluh", (unsigned long long)(v / 3600000));
	else if (o->type == T_MSEC && v % 60000 == 0 && v != 0)
		printf("%llum", (unsigned long long)(v / 60000));
	else if (o->type == T_MSEC && v % 1000 == 0 && v != 0)
		printf("%llus", (unsigned long long)(v / 1000));
	else if (o->type == T_MSEC && v != 0)
		printf("%llums", (unsigned long long)v);
	else if (o->type == T_BYTES && v % (1 << 20) == 0 && v != 0)
		printf("%lluM", (unsigned long long)(v >> 20));
	else if (o->type == T_BYTES && v % 1024 == 0 && v != 0)
		printf("%lluk", (unsigned long long)(v >> 10));
	else
		printf("%llu", (unsigned long long)v);
}

static void
type_print(const struct opt *o)
{
	static const char *const words[] = {
	    "yes or no", "number", "duration", "size", "", "text", "secret", "list"};

	if (o->type == T_ENUM) {
		fputs("one of ", stdout);
		for (const char *p = o->extra; *p != '\0'; p++)
			fputs(*p == '|' ? ", " : (char[]){*p, '\0'}, stdout);
	} else {
		fputs(words[o->type], stdout);
	}
	if (o->max > 0) {
		fputs(" from ", stdout);
		unit_print(o, o->min);
		fputs(" to ", stdout);
		unit_print(o, o->max);
	} else if (o->min > 0) {
		fputs(", at least ", stdout);
		unit_print(o, o->min);
	}
}

static const char *
reload_text(const char *word)
{
	static const char *const rows[][2] = {{"LIVE", "at once"},
	    {"SESSION", "for clients that log in afterwards"}, {"CONNECT", "for new connections to servers"},
	    {"LISTEN", "listeners are opened and closed"}, {"RESTART", "after a restart only"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i][0], word) == 0)
			return rows[i][1];
	}
	return word;
}

static void
opt_man(const struct opt *o)
{
	printf(".It Ic %s\n", o->name);
	mdoc_text(o->summary, true);
	if (o->prose[0] != '\0')
		mdoc_text(o->prose, true);
	fputs(".br\nType: ", stdout);
	type_print(o);
	fputs(".\n", stdout);
	if (o->type != T_ENUM && strstr(o->extra, "required") != NULL)
		puts("Required.");
	else if (o->def[0] != '\0')
		printf("Default:\n.Li %s .\n", o->def);
	else
		puts("Not set by default.");
	printf("A changed value is used: %s.\n", reload_text(o->reload));
}

static int
gen_options(const char *section)
{
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (strcmp(sections[i].name, section) != 0)
			continue;
		puts(".Bl -tag -width Ds");
		for (size_t k = 0; k < sections[i].n; k++)
			opt_man(&sections[i].opts[k]);
		puts(".El");
		return 0;
	}
	return 1;
}

static int
gen_counters(const char *scope)
{
	static const struct {
		const char *name;
		const struct counter *c;
		size_t n;
	} scopes[] = {{"worker", ctr_worker, ARRAY_LEN(ctr_worker)},
	    {"server", ctr_server, ARRAY_LEN(ctr_server)}, {"master", ctr_master, ARRAY_LEN(ctr_master)},
	    {"health", ctr_health, ARRAY_LEN(ctr_health)}};

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
		if (strcmp(scopes[i].name, scope) != 0)
			continue;
		puts(".Bl -tag -width Ds");
		for (size_t k = 0; k < scopes[i].n; k++) {
			const struct counter *c = &scopes[i].c[k];

			printf(".It Va %s Pq %s%s%s\n", c->name, c->kind[0] == 'C' ? "counter" : "gauge",
			    strcmp(c->unit, "count") == 0 ? "" : ", ",
			    strcmp(c->unit, "count") == 0 ? "" : c->unit);
			mdoc_text(c->summary, true);
		}
		puts(".El");
		return 0;
	}
	return 1;
}

static int
gen_words(const char *table)
{
	static const struct {
		const char *name;
		const struct word *w;
		size_t n;
		const char *note; /* what the note column says, printed before it */
	} tables[] = {{"latency", hists, ARRAY_LEN(hists), ""},
	    {"server_states", srv_states, ARRAY_LEN(srv_states), "It "},
	    {"server_causes", srv_causes, ARRAY_LEN(srv_causes), ""},
	    {"server_roles", srv_roles, ARRAY_LEN(srv_roles), ""},
	    {"pin_reasons", pins, ARRAY_LEN(pins), "Until: "},
	    {"route_reasons", routes, ARRAY_LEN(routes), ""},
	    {"session_states", sess_states, ARRAY_LEN(sess_states), "Bounded by "},
	    {"backend_states", bconn_states, ARRAY_LEN(bconn_states), ""}};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (strcmp(tables[i].name, table) != 0)
			continue;
		puts(".Bl -tag -width Ds");
		for (size_t k = 0; k < tables[i].n; k++) {
			const struct word *w = &tables[i].w[k];

			fputs(".It Li ", stdout);
			mdoc_word(w->word);
			putchar('\n');
			mdoc_text(w->meaning, true);
			if (w->note[0] != '\0' && strcmp(w->note, "NONE") != 0)
				printf("%s%s.\n", tables[i].note, w->note);
		}
		puts(".El");
		return 0;
	}
	return 1;
}

static int
gen_exits(void)
{
	puts(".Bl -tag -width Ds -compact");
	for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
		printf(".It %d\n", exits[i].code);
		mdoc_text(exits[i].text, true);
	}
	puts(".El");
	return 0;
}

static int
gen_errors(void)
{
	puts(".Bl -column \"99999\" \"HY000\" \"text\" -compact\n.It Em errno Ta Em SQLSTATE Ta Em text");
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		printf(".It %u Ta %s Ta ", errors[i].no, errors[i].state);
		mdoc_text(errors[i].text, false);
	}
	puts(".El");
	return 0;
}

/* --- sample configuration --- */

/* Comment lines of at most 100 columns. */
static void
comment_print(const char *text)
{
	size_t col = 0, n;

	for (; *text != '\0'; text += n) {
		while (*text == ' ')
			text++;
		n = strcspn(text, " ");
		if (n == 0)
			break;
		if (col == 0 || col + 1 + n > 100) {
			printf("%s#", col == 0 ? "" : "\n");
			col = 1;
		}
		printf(" %.*s", (int)n, text);
		col += 1 + n;
	}
	putchar('\n');
}

static void
opt_sample(const struct opt *o)
{
	char text[1024];

	snprintf(text, sizeof text, "%s%s%s%s%s", o->summary,
	    o->type != T_ENUM && strstr(o->extra, "required") != NULL ? " (required)" : "",
	    o->prose[0] != '\0' ? ". " : "", o->prose, o->type == T_ENUM ? "" : "");
	comment_print(text);
	if (o->type == T_ENUM)
		printf("# one of: %s\n", o->extra);
	printf("#%s =%s%s\n\n", o->name, o->def[0] != '\0' ? " " : "", o->def);
}

static int
gen_sample(void)
{
	puts("# margay.conf: every option at its default, for margayd " PACKAGE_VERSION
	     "; see margay.conf(5).\n"
	     "# To use one, remove the # before its name. `margayd -t` checks the file, `margayctl reload`\n"
	     "# puts it in force. All sections but [margay] may stand any number of times.\n");
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		printf("%s%s\n\n", i > 0 ? "#" : "", sections[i].head);
		for (size_t k = 0; k < sections[i].n; k++)
			opt_sample(&sections[i].opts[k]);
	}
	return 0;
}

/* --- state machines --- */

static void
graph_print(const char *name, const struct word *w, size_t n)
{
	printf("\tsubgraph cluster_%s {\n\t\tlabel=\"%s\";\n", name, name);
	for (size_t i = 0; i < n; i++)
		printf("\t\t%s_%s [label=\"%s\", tooltip=\"%s\"];\n", name, w[i].sym, w[i].word, w[i].meaning);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			if (w[i].next & 1u << k)
				printf("\t\t%s_%s -> %s_%s;\n", name, w[i].sym, name, w[k].sym);
		}
	}
	puts("\t}");
}

static int
gen_dot(void)
{
	puts("/* made from tbl/sess_states.def and tbl/bconn_states.def by margaygen: dot -Tsvg */\n"
	     "digraph margay {\n\tnode [shape=box, fontname=\"monospace\"];");
	graph_print("session", sess_states, ARRAY_LEN(sess_states));
	graph_print("backend", bconn_states, ARRAY_LEN(bconn_states));
	puts("}");
	return 0;
}

/* --- templates --- */

static int
gen(const char *what, const char *which)
{
	if (strcmp(what, "options") == 0)
		return gen_options(which);
	if (strcmp(what, "counters") == 0)
		return gen_counters(which);
	if (strcmp(what, "words") == 0)
		return gen_words(which);
	if (strcmp(what, "exits") == 0)
		return gen_exits();
	if (strcmp(what, "errors") == 0)
		return gen_errors();
	if (strcmp(what, "sample") == 0)
		return gen_sample();
	if (strcmp(what, "dot") == 0)
		return gen_dot();
	return 1;
}

/* A line with @VERSION@ and @SYSCONFDIR@ filled in. */
static void
line_print(const char *l)
{
	static const char *const names[][2] = {
	    {"@VERSION@", PACKAGE_VERSION}, {"@SYSCONFDIR@", SYSCONFDIR}};

	while (*l != '\0') {
		bool hit = false;

		for (size_t i = 0; i < ARRAY_LEN(names) && !hit; i++) {
			if (strncmp(l, names[i][0], strlen(names[i][0])) == 0) {
				fputs(names[i][1], stdout);
				l += strlen(names[i][0]);
				hit = true;
			}
		}
		if (!hit)
			putchar(*l++);
	}
}

/* Lines "@GEN what which@" become what gen prints; all others are copied. */
static int
fill(const char *path)
{
	char line[4096], what[32], which[32];
	int no = 0;
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		perror(path);
		return 1;
	}
	while (fgets(line, sizeof line, f) != NULL) {
		no++;
		which[0] = '\0';
		if (strncmp(line, "@GEN ", 5) != 0) {
			line_print(line);
		} else if (sscanf(line, "@GEN %31[a-z] %31[a-z_]@", what, which) < 1 ||
		    gen(what, which) != 0) {
			fprintf(stderr, "%s:%d: nothing is generated by %s", path, no, line);
			fclose(f);
			return 1;
		}
	}
	fclose(f);
	return 0;
}

int
main(int argc, char **argv)
{
	int rc = 2;

	if (argc == 3 && strcmp(argv[1], "fill") == 0)
		rc = fill(argv[2]);
	else if (argc == 2 || argc == 3)
		rc = gen(argv[1], argc == 3 ? argv[2] : "");
	if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
		perror("margaygen");
		return 1;
	}
	if (rc == 2 || (rc == 1 && argc > 1 && strcmp(argv[1], "fill") != 0))
		fprintf(stderr, "usage: margaygen fill TEMPLATE | options SECTION | counters SCOPE | words TABLE | "
				"exits | errors | sample | dot\n");
	return rc;
}
