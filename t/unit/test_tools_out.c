/* Unit tests of margay-stat: JSON as Python reads it, Prometheus text against the rules of its format. */
#include "config.h"
#include <criterion/criterion.h>
#include <ctype.h>
#include <unistd.h>
#include "t/unit/tools.h"

TestSuite(out, .init = fix_make, .fini = fix_remove);

/* Feeds text to a Python program that asserts. */
static int
python(const char *text, const char *program)
{
	char path[96], cmd[8192];
	FILE *f;
	int rc;

	snprintf(path, sizeof path, "%s/text", fix_dir);
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fputs(text, f);
	fclose(f);
	snprintf(cmd, sizeof cmd, "python3 - %s <<'EOF'\nimport json,sys\nj=json.load(open(sys.argv[1]))\n%s\nEOF\n",
	    path, program);
	rc = system(cmd);
	unlink(path);
	return rc;
}

Test(out, json)
{
	struct ran r = fix_run("-j -s --info", false);

	cr_assert_eq(r.code, 0, "%s", r.err);
	cr_assert_eq(python(r.out,
			 "assert j['margay']['epoch'] == 3 and j['margay']['alive'] is True\n"
			 "s = {x['name']: x for x in j['servers']}\n"
			 "assert s['db0']['role'] == 'primary' and s['db0']['lag_ms'] is None\n"
			 "assert s['db1']['lag_ms'] == 1234 and s['db1']['drained'] is True\n"
			 "assert s['db0']['pool']['used'] == 5 and s['db0']['pool']['health'] == 1\n"
			 "assert s['db0']['counters']['statements'] == 1200\n"
			 "o = [x for x in j['servers'] if x['name'].startswith('odd')][0]\n"
			 "assert o['name'] == 'odd\"\\\\\\x1b[2Jname' and o['state'] == 'down'\n"
			 "assert o['error'] == \"Can't connect (111)\" and o['cause'] == 'refused'\n"
			 "assert j['clusters'][0]['primary'] == 'db0'\n"
			 "assert [w['counters']['clients'] for w in j['workers']] == [3, 4]\n"
			 "assert j['workers'][1]['servers']['db0']['conns_idle'] == 2\n"
			 "assert j['totals']['statements'] == 3000\n"
			 "l = j['latency']['statement']\n"
			 "assert l['count'] == 2000 and 9e6 < l['p95_ns'] < 1e7 <= l['p999_ns'] * 1.01\n"
			 "assert j['latency']['wait']['count'] == 0\n"
			 "a = {x['id']: x for x in j['sessions']}\n"
			 "assert set(a) == {101, 102, 103} and a[102]['pinned'] == 'transaction'\n"
			 "assert a[101]['pinned'] is None and a[101]['server'] == 'db0'\n"
			 "assert a[103]['statement'] == 'SELECT \\'caf\\ufffd\\', \"\\x1b\\\\\" \\u20ac'\n"),
	    0, "%s", r.out);
	ran_free(&r);
	r = fix_run("-j", false);
	cr_assert_eq(python(r.out, "assert 'sessions' not in j"), 0);
	ran_free(&r);
	r = fix_run("-j -s --user batch", false);
	cr_assert_eq(
	    python(r.out, "assert len(j['sessions']) == 1 and 'statement' not in j['sessions'][0]"), 0);
	ran_free(&r);
}

/* --- a checker of the text exposition format 0.0.4 --- */

struct prom {
	char family[128], type[16];
	char seen[512][128]; /* families that are complete */
	int nseen;
	char series[4096][256];
	int nseries;
	double last_le, last_n; /* of the histogram series being read */
};

static struct prom prom;

static size_t
name_len(const char *s)
{
	size_t n = 0;

	while (isalnum((u8)s[n]) || s[n] == '_' || s[n] == ':')
		n++;
	return n == 0 || isdigit((u8)s[0]) ? 0 : n;
}

static void
check_comment(const char *line)
{
	char word[8], name[128], rest[512];

	cr_assert_eq(sscanf(line, "# %7s %127s %511[^\n]", word, name, rest), 3, "%s", line);
	cr_assert_eq(name_len(name), strlen(name), "%s", line);
	if (strcmp(word, "HELP") == 0) {
		for (int i = 0; i < prom.nseen; i++)
			cr_assert_str_neq(prom.seen[i], name, "family twice: %s", line);
		snprintf(prom.family, sizeof prom.family, "%s", name);
		snprintf(prom.seen[prom.nseen++], 128, "%s", name);
		prom.type[0] = '\0';
		cr_assert(strncmp(name, "margay_", 7) == 0);
		return;
	}
	cr_assert_str_eq(word, "TYPE", "%s", line);
	cr_assert_str_eq(name, prom.family, "TYPE without its HELP: %s", line);
	snprintf(prom.type, sizeof prom.type, "%.15s", rest);
	cr_assert(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0 || strcmp(rest, "histogram") == 0);
	if (strcmp(rest, "counter") == 0)
		cr_assert(strcmp(name + strlen(name) - 6, "_total") == 0, "%s", line);
	else
		cr_assert_null(strstr(name, "_total"), "%s", line);
}

/* Checks {a="b",...} and returns what is behind it. */
static const char *
check_labels(const char *p, const char *line, double *le)
{
	if (*p != '{')
		return p;
	for (p++; *p != '}'; p++) {
		size_t n = name_len(p);

		cr_assert_gt(n, 0, "%s", line);
		cr_assert(strncmp(p + n, "=\"", 2) == 0, "%s", line);
		if (strncmp(p, "le=", 3) == 0)
			*le = strncmp(p + 4, "+Inf", 4) == 0 ? 1e300 : strtod(p + 4, NULL);
		for (p += n + 2; *p != '"'; p++) {
			cr_assert(*p != '\0' && *p != '\n', "%s", line);
			if (*p == '\\') {
				p++;
				cr_assert(*p == '\\' || *p == '"' || *p == 'n', "%s", line);
			}
		}
		if (p[1] != ',')
			p++;
		else
			p++;
		if (*p == '}')
			break;
	}
	return p + 1;
}

static void
check_bucket(const char *line, double le, double v)
{
	cr_assert_neq(le, 0, "bucket without le: %s", line);
	if (le <= prom.last_le)
		prom.last_n = 0; /* another worker's */
	cr_assert_geq(v, prom.last_n, "not cumulative: %s", line);
	prom.last_le = le;
	prom.last_n = v;
}

static void
check_sample(const char *line)
{
	size_t n = name_len(line), fam = strlen(prom.family);
	double le = 0, v;
	const char *p;
	char *end;

	cr_assert_gt(n, 0, "%s", line);
	cr_assert(strncmp(line, prom.family, fam) == 0, "outside its family: %s", line);
	cr_assert_gt(strlen(prom.type), 0);
	p = check_labels(line + n, line, &le);
	cr_assert_lt(p - line, 255);
	snprintf(prom.series[prom.nseries], 256, "%.*s", (int)(p - line), line);
	for (int i = 0; i < prom.nseries; i++)
		cr_assert_str_neq(prom.series[i], prom.series[prom.nseries], "series twice: %s", line);
	prom.nseries++;
	cr_assert_lt(prom.nseries, 4096);
	cr_assert_eq(*p, ' ', "%s", line);
	v = strtod(p + 1, &end);
	cr_assert(end != p + 1 && *end == '\0', "%s", line);
	if (strcmp(prom.type, "histogram") != 0)
		cr_assert_eq(n, fam, "%s", line);
	else if (strncmp(line + fam, "_bucket", 7) == 0)
		check_bucket(line, le, v);
	else if (strncmp(line + fam, "_count", 6) == 0)
		cr_assert_eq(v, prom.last_n, "count is not that of +Inf: %s", line);
	else
		cr_assert(strncmp(line + fam, "_sum", 4) == 0, "%s", line);
}

static void
check_text(char *text)
{
	memset(&prom, 0, sizeof prom);
	cr_assert_eq(text[strlen(text) - 1], '\n');
	for (char *l = text, *nl; (nl = strchr(l, '\n')) != NULL; l = nl + 1) {
		*nl = '\0';
		if (*l == '#')
			check_comment(l);
		else
			check_sample(l);
	}
}

static bool
has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = strstr(text, line); p != NULL; p = strstr(p + 1, line)) {
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	}
	return false;
}

Test(out, prometheus)
{
	struct ran r = fix_run("--prometheus", false);

	cr_assert_eq(r.code, 0, "%s", r.err);
	cr_assert(has_line(r.out, "# TYPE margay_worker_statements_total counter"));
	cr_assert(has_line(r.out, "margay_worker_statements_total{worker=\"1\"} 2000"));
	cr_assert(has_line(r.out, "margay_worker_loop_max_seconds{worker=\"0\"} 0.0025"));
	cr_assert(has_line(r.out,
	    "margay_server_time_seconds_total{server=\"db0\",cluster=\"main\",worker=\"0\"} 1.5"));
	cr_assert(has_line(r.out, "margay_server_up{server=\"odd\\\"\\\\\033[2Jname\",cluster=\"main\"} 0"));
	cr_assert(has_line(r.out, "margay_server_primary{server=\"db0\",cluster=\"main\"} 1"));
	cr_assert(has_line(r.out, "margay_server_lag_seconds{server=\"db1\",cluster=\"main\"} 1.234"));
	cr_assert_null(strstr(r.out, "margay_server_lag_seconds{server=\"db0\""), "a primary has no lag");
	cr_assert(has_line(
	    r.out, "margay_server_connections_used{server=\"db0\",cluster=\"main\",owner=\"worker\"} 4"));
	cr_assert(has_line(r.out, "margay_statement_seconds_count{worker=\"0\"} 1000"));
	cr_assert(has_line(r.out, "margay_statement_seconds_bucket{worker=\"0\",le=\"+Inf\"} 1000"));
	check_text(r.out);
	ran_free(&r);
}
