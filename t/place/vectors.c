/* t/place/vectors.c: places every row of t/data/mycat-vectors.tar.xz and compares with what the Java classes of MyCat and DBLE gave.
 * Prints rows and mismatches. A `range` row is not computed here: without pruning a range goes to all shards, which loses no row; the
 * rows are counted as widened.
 */
#include "router/place.h"
#include <stdlib.h>
#include <unistd.h>

#define NOW 1456835696789ll /* the clock of the rows of PartitionByHotDate */

static u8 *tar;
static size_t tar_len;
static struct place_file files[64];
static size_t nfiles;
static char zones[2][16384];
static size_t zone_len[2];
static unsigned long points, placed, errors, nones, widened, refused_rows, opens_refused, bad, moves;

static void
die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void
unpack(const char *path)
{
	char cmd[1024];
	size_t room = 8u << 20, n;
	FILE *f;

	snprintf(cmd, sizeof cmd, "xz -dc '%s'", path);
	if ((f = popen(cmd, "r")) == NULL || (tar = malloc(room)) == NULL)
		die("cannot run xz");
	while ((n = fread(tar + tar_len, 1, room - tar_len, f)) > 0)
		tar_len += n;
	if (pclose(f) != 0 || tar_len < 1024 || tar_len == room)
		die("cannot read the vectors");
}

static void
zone(int i, const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL)
		die("/usr/share/zoneinfo is needed: Asia/Shanghai and America/New_York");
	zone_len[i] = fread(zones[i], 1, sizeof zones[i], f);
	fclose(f);
}

struct set {
	const char *file;
	char *class, *config, *tz, *init_error;
	struct place_opt opts[16];
	size_t nopts;
	char count[16], slots[80];
	struct place_fn *fn;
	char err[256];
};

static const char *
type_of(const char *class)
{
	static const char *const dble[][2] = {{"PartitionByLong", "dble-hash"}, {"PartitionByString", "dble-string-hash"},
		{"PartitionByFileMap", "dble-enum"}, {"PartitionByJumpConsistentHash", "dble-jump-string-hash"},
		{"AutoPartitionByLong", "dble-number-range"}, {"PartitionByPattern", "dble-pattern-range"}, {"PartitionByDate", "dble-date"}};
	const char *base = strrchr(class, '.');

	base = base != NULL ? base + 1 : class;
	for (size_t i = 0; strstr(class, "dble") != NULL && i < sizeof dble / sizeof *dble; i++)
		if (strcmp(base, dble[i][0]) == 0)
			return dble[i][1];
	return base;
}

static void
add(struct set *s, const char *key, const char *value)
{
	if (s->nopts == 16)
		die("too many options in a vector file");
	s->opts[s->nopts++] = (struct place_opt){key, value};
}

/* {a=b, c=d,e} : a comma with a blank and a name behind it ends an option */
static void
config(struct set *s)
{
	char *p = s->config + strcspn(s->config, "{");

	p += *p == '{';
	p[strcspn(p, "}")] = 0;
	while (*p != 0) {
		char *eq = strchr(p, '='), *end;

		if (eq == NULL)
			die("bad config line");
		for (end = eq + 1; *end != 0; end++)
			if (end[0] == ',' && end[1] == ' ' && strcspn(end + 2, "=") < strcspn(end + 2, ","))
				break;
		char *next = *end != 0 ? end + 2 : end;

		*eq = *end = 0;
		if (strcmp(p, "_dn") == 0) {
			int n = 1;

			for (char *c = eq + 1; *c != 0; c++)
				n += *c == ',';
			snprintf(s->count, sizeof s->count, "%d", n);
			add(s, "count", s->count);
		} else if (strcmp(p, "_rule") == 0) {
			snprintf(s->slots, sizeof s->slots, "%s.properties", eq + 1);
			add(s, "slotFile", s->slots);
		} else {
			add(s, p, eq + 1);
		}
		p = next;
	}
}

static void
open_set(struct set *s)
{
	if (s->config == NULL || s->class == NULL)
		die("a vector file without class or config");
	config(s);
	if (strstr(s->file, "mycat165_") != NULL)
		add(s, "placement", "mycat-1.6.5");
	bool sh = s->tz != NULL && strstr(s->tz, "Shanghai") != NULL, ny = s->tz != NULL && strstr(s->tz, "New_York") != NULL;
	struct place_conf c = {.type = type_of(s->class), .opts = s->opts, .nopts = s->nopts, .files = files, .nfiles = nfiles,
		.zone = sh ? zones[0] : ny ? zones[1] : NULL, .zone_len = sh ? zone_len[0] : ny ? zone_len[1] : 0};

	s->fn = place_open(&c, s->err, sizeof s->err);
	if (s->init_error != NULL) {
		bad += s->fn != NULL;
		opens_refused++;
		if (s->fn != NULL)
			printf("%s: should be refused: %s\n", s->file, s->init_error);
	} else if (s->fn == NULL) {
		printf("%s: not opened: %s\n", s->file, s->err);
	}
}

static size_t
unhex(const char *h, size_t n, char *out)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		char two[3] = {h[i], h[i + 1], 0};

		out[i / 2] = (char)strtoul(two, NULL, 16);
	}
	return n / 2;
}

static void
point(struct set *s, const char *row, const char *hex, size_t hex_len, const char *want)
{
	char *value = malloc(hex_len / 2 + 1), got[64], err[256] = "";
	size_t len = unhex(hex, hex_len, value);
	i64 shard;

	points++;
	if (s->fn == NULL) { /* what Java fails at row by row, as a division by zero, is refused at once */
		snprintf(got, sizeof got, "ERROR");
		refused_rows++;
	} else {
		switch (place(s->fn, value, len, false, NOW, &shard, err, sizeof err)) {
		case PLACE_SHARD:
			snprintf(got, sizeof got, "%lld", (long long)shard);
			placed++;
			break;
		case PLACE_NONE:
			snprintf(got, sizeof got, "null");
			nones++;
			break;
		case PLACE_ERROR:
			snprintf(got, sizeof got, "ERROR");
			errors++;
			break;
		}
	}
	size_t n = strcspn(want, " :");

	if (strlen(got) != n || strncmp(got, want, n) != 0) {
		bad++;
		if (bad < 200)
			printf("%s: %s: got %s %s\n", s->file, row, got, err);
	}
	free(value);
}

/* A row ends at a line end outside quotes. */
static void
rows(struct set *s, char *p, const char *end)
{
	while (p < end) {
		char *field[5], *at = p;
		bool quoted = false;
		int n = 1;

		field[0] = at;
		for (; at < end && (quoted || *at != '\n'); at++) {
			if (*at == '"')
				quoted = !quoted;
			else if (*at == ',' && !quoted && n < 5)
				field[n++] = at + 1;
		}
		*at = 0;
		if (at > p && at[-1] == '\r')
			at[-1] = 0;
		p = at + 1;
		if (n == 5 && strncmp(field[0], "point,", 6) == 0)
			point(s, field[0], field[2], (size_t)(field[3] - field[2] - 1), field[4]);
		else if (n == 5 && strncmp(field[0], "range,", 6) == 0)
			widened++;
		else if (strncmp(field[0], "kind,", 5) != 0 && *field[0] != 0)
			die(field[0]);
	}
}

static void
vector_file(const char *name, char *p, char *end)
{
	struct set s = {.file = name};

	while (p < end && *p == '#') {
		char *nl = memchr(p, '\n', (size_t)(end - p));

		if (nl == NULL)
			nl = end;
		*nl = 0;
		if (strncmp(p, "# class=", 8) == 0)
			s.class = p + 8;
		else if (strncmp(p, "# config=", 9) == 0)
			s.config = p + 9;
		else if (strncmp(p, "# tz=", 5) == 0)
			s.tz = p + 5;
		else if (strncmp(p, "# INIT ERROR", 12) == 0)
			s.init_error = p;
		p = nl + 1;
	}
	if (strstr(name, "MigrateUtils") != NULL) {
		moves++;
		return; /* the plan of an expansion, no placement */
	}
	open_set(&s);
	rows(&s, p, end);
	place_close(s.fn);
}

static void
each(bool maps)
{
	for (size_t at = 0; at + 512 <= tar_len && tar[at] != 0;) {
		char *h = (char *)tar + at, *base = strrchr(h, '/');
		size_t size = strtoul(h + 124, NULL, 8);

		base = base != NULL ? base + 1 : h;
		if (maps && strstr(h, "/mapfiles/") != NULL && *base != 0)
			files[nfiles++] = (struct place_file){base, h + 512, size};
		else if (!maps && strstr(base, ".csv") != NULL) {
			char *copy = malloc(size + 1);

			memcpy(copy, h + 512, size);
			copy[size] = 0;
			vector_file(base, copy, copy + size);
			free(copy);
		}
		at += 512 + (size + 511) / 512 * 512;
	}
}

int
main(void)
{
	const char *top = getenv("top_srcdir");
	char path[512];

	snprintf(path, sizeof path, "%s/t/data/mycat-vectors.tar.xz", top != NULL ? top : ".");
	unpack(path);
	zone(0, "/usr/share/zoneinfo/Asia/Shanghai");
	zone(1, "/usr/share/zoneinfo/America/New_York");
	each(true);
	each(false);
	printf("sharding vectors: %lu rows: %lu points (%lu placed, %lu on no shard, %lu errors, %lu refused with their function), %lu ranges "
		   "widened to all shards; %lu configurations refused; %lu mismatches\n",
		points + widened, points, placed, nones, errors, refused_rows, widened, opens_refused, bad);
	free(tar);
	return bad != 0 || points + widened < 38505;
}
