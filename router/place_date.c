/* router/place_date.c: dates as MyCat reads them: SimpleDateFormat.parse (lenient: fields roll over, what follows is ignored) over
 * Java's calendar, Julian before 15 October 1582, in a time zone given as the bytes of a TZif file (RFC 8536). Of a wall clock time
 * that comes twice the second is meant, one that never comes is counted from the offset before: Java's choice.
 */
#include "router/place_impl.h"
#include <limits.h>
#include <stdlib.h>

#define DAY_MS 86400000ll
#define CUTOVER 577736ll /* 15 October 1582, as days since 1 January 1 */
#define EPOCH 719163ll   /* 1 January 1970 */
#define FIELD_MAX 100000000

static i64
floor_div(i64 a, i64 b)
{
	return a / b - (a % b < 0);
}

/* Days since 0001-01-01 (that is day 1) of the first of a month in the Gregorian or the Julian calendar. */
static i64
month_day(i64 year, i64 month, bool julian)
{
	year += floor_div(month, 12);
	month -= floor_div(month, 12) * 12;
	i64 y = year - 1, days = 365 * y + floor_div(y, 4) - (julian ? 2 : floor_div(y, 100) - floor_div(y, 400));

	days += (367 * (month + 1) - 362) / 12;
	if (month > 1) {
		bool leap = julian ? (year & 3) == 0 : (year & 3) == 0 && (year % 100 != 0 || year % 400 == 0);

		days -= leap ? 1 : 2;
	}
	return days + 1;
}

static i64
fixed_day(i64 year, i64 month, i64 carry)
{
	i64 g = month_day(year, month, false) + carry, j;

	if (year > 1582 && g >= CUTOVER)
		return g;
	j = month_day(year, month, true) + carry;
	if (year < 1582 && j < CUTOVER)
		return j;
	if (year < 1582)
		g = j;
	return g >= CUTOVER ? g : j;
}

static void
day_parts(i64 day, struct date_parts *p)
{
	bool julian = day < CUTOVER;
	i64 year = floor_div(day * 400, 146097) + 2, month = 11;

	while (month_day(year, 0, julian) > day)
		year--;
	while (month_day(year, month, julian) > day)
		month--;
	p->day = day - month_day(year, month, julian) + 1;
	p->month = month;
	p->year = year > 0 ? year : 1 - year;
}

#define ZONE_LAST 2500                   /* year up to which the rule at the end of a zone file is laid out */
#define CYCLE (146097ll * 86400)         /* 400 years are whole weeks: later ones repeat */
#define CYCLE_END (15147129600ll)        /* 2450, well before ZONE_LAST */

static int32_t
offset_at(const struct place_zone *z, i64 sec, bool wall)
{
	size_t lo = 0, n = z->n;

	if (sec > CYCLE_END)
		sec -= ((sec - CYCLE_END) / CYCLE + 1) * CYCLE;
	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (z->steps[mid].at + (wall ? z->steps[mid].off : 0) <= sec)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo == 0 ? z->before : z->steps[lo - 1].off;
}

/* --- the format --- */

static bool
add_item(struct place_date *d, struct date_item it)
{
	struct date_item *more = realloc(d->items, (d->n + 1) * sizeof *more);

	if (more == NULL)
		return false;
	d->items = more;
	d->items[d->n++] = it;
	return true;
}

static bool
letters(struct place_date *d, char c, u32 count, char *err, size_t errlen)
{
	static const char known[] = "yMdHmsS";
	const char *at = strchr(known, c);

	if (at == NULL || (c == 'M' && count > 2)) {
		place_fail(err, errlen, "dateFormat: only y, M or MM, d, H, m, s and S are read here, not '%c'", c);
		return false;
	}
	if (c == 'y' && count <= 2) {
		place_fail(err, errlen, "dateFormat: a year of two digits means another century with time; write yyyy");
		return false;
	}
	if (!add_item(d, (struct date_item){.field = (u8)(at - known), .count = count})) {
		place_fail(err, errlen, "out of memory");
		return false;
	}
	return true;
}

static bool
read_format(struct place_date *d, const char *f, char *err, size_t errlen)
{
	bool quoted = false;

	while (*f != 0) {
		char c = *f;

		if (c == '\'' && f[1] != '\'') {
			quoted = !quoted;
			f++;
			continue;
		}
		if (!quoted && c != '\'' && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) {
			u32 n = 1;

			while (f[n] == c)
				n++;
			if (!letters(d, c, n, err, errlen))
				return false;
			f += n;
			continue;
		}
		if ((u8)c >= 0x80) { /* as in yyyy + U+5E74 */
			struct units u = units_of(f, strlen(f));

			do {
				if (!add_item(d, (struct date_item){.field = DATE_LITERAL, .literal = (u16)units_next(&u)})) {
					place_fail(err, errlen, "out of memory");
					return false;
				}
			} while (u.low != 0);
			f = (const char *)u.p;
			continue;
		}
		f += c == '\'' ? 2 : 1;
		if (!add_item(d, (struct date_item){.field = DATE_LITERAL, .literal = (u16)c})) {
			place_fail(err, errlen, "out of memory");
			return false;
		}
	}
	if (quoted || d->n == 0) {
		place_fail(err, errlen, quoted ? "dateFormat: a quote is not closed" : "dateFormat is empty");
		return false;
	}
	for (size_t i = 0; i + 1 < d->n; i++)
		d->items[i].exact = d->items[i + 1].field != DATE_LITERAL;
	return true;
}

/* --- TZif --- */

static i64
be(const u8 *p, int n)
{
	u64 v = (p[0] & 0x80) != 0 ? ~0ull : 0;

	while (n-- > 0)
		v = v << 8 | *p++;
	return (i64)v;
}

struct rule {
	int month, week, wday;
	i64 time;
};

static bool
number(const char **s, i64 *v)
{
	i64 n = 0;
	const char *from = *s;

	while (**s >= '0' && **s <= '9' && *s - from < 6)
		n = n * 10 + (*(*s)++ - '0');
	*v = n;
	return *s > from;
}

static bool
clock_of(const char **s, i64 *v)
{
	bool neg = **s == '-';
	i64 part, unit = 3600;

	*s += **s == '-' || **s == '+';
	for (*v = 0; unit > 0; unit /= 60) {
		if (!number(s, &part))
			return false;
		*v += part * unit;
		if (**s != ':')
			break;
		++*s;
	}
	if (neg)
		*v = -*v;
	return true;
}

static bool
zone_name(const char **s)
{
	const char *from = *s;

	if (**s == '<') {
		while (**s != 0 && **s != '>')
			++*s;
		return *(*s)++ == '>';
	}
	while ((**s >= 'a' && **s <= 'z') || (**s >= 'A' && **s <= 'Z'))
		++*s;
	return *s > from;
}

static bool
rule_of(const char **s, struct rule *r)
{
	i64 m, w, d;

	if (*(*s)++ != ',' || *(*s)++ != 'M' || !number(s, &m) || *(*s)++ != '.' || !number(s, &w) || *(*s)++ != '.' || !number(s, &d))
		return false;
	if (m < 1 || m > 12 || w < 1 || w > 5 || d > 6)
		return false;
	*r = (struct rule){.month = (int)m - 1, .week = (int)w, .wday = (int)d, .time = 7200};
	if (**s != '/')
		return true;
	++*s;
	return clock_of(s, &r->time);
}

static i64
rule_at(const struct rule *r, i64 year)
{
	i64 first = month_day(year, r->month, false), next = month_day(year, r->month + 1, false);
	i64 day = first + ((r->wday - first % 7) + 7) % 7 + (r->week - 1) * 7; /* day 7 was a Sunday */

	while (day >= next)
		day -= 7;
	return (day - EPOCH) * 86400 + r->time;
}



static bool
footer(struct place_zone *z, const char *s)
{
	struct rule on, off;
	i64 std, dst;
	i64 last = z->n > 0 ? z->steps[z->n - 1].at : INT64_MIN;

	if (*s == 0)
		return true;
	if (!zone_name(&s) || !clock_of(&s, &std))
		return false;
	std = -std;
	if (std < -100000 || std > 100000)
		return false;
	if (*s == 0) {
		if (z->n == 0)
			z->before = (int32_t)std;
		return true;
	}
	if (!zone_name(&s))
		return false;
	dst = std + 3600;
	if (*s != ',') {
		if (!clock_of(&s, &dst))
			return false;
		dst = -dst;
	}
	if (!rule_of(&s, &on) || !rule_of(&s, &off) || dst < -100000 || dst > 100000)
		return false;
	for (i64 y = 1970; y <= ZONE_LAST; y++) {
		i64 a = rule_at(&on, y) - std, b = rule_at(&off, y) - dst;
		struct zone_step two[2] = {{a, (int32_t)dst}, {b, (int32_t)std}};

		if (b < a) {
			two[0] = (struct zone_step){b, (int32_t)std};
			two[1] = (struct zone_step){a, (int32_t)dst};
		}
		for (int i = 0; i < 2; i++)
			if (two[i].at > last)
				z->steps[z->n++] = two[i];
	}
	return true;
}

/* Java keeps no step before 1900: until then the offset is today's standard one, from then on what the file says. */
#define Y1900 (-2208988800ll)

static void
forget_early(struct place_zone *z, int32_t standard)
{
	size_t early = 0;
	int32_t at_1900 = z->before;

	while (early < z->n && z->steps[early].at < Y1900)
		at_1900 = z->steps[early++].off;
	z->before = standard;
	if (early == 0) {
		memmove(z->steps + 1, z->steps, z->n * sizeof *z->steps);
		z->n++;
	} else {
		z->n -= early - 1;
		memmove(z->steps + 1, z->steps + early, (z->n - 1) * sizeof *z->steps);
	}
	z->steps[0] = (struct zone_step){Y1900, at_1900};
}

static bool
read_zone(struct place_zone *z, const u8 *p, size_t len)
{
	i64 n[6];
	char tail[128];
	size_t width = 4;
	int32_t standard;

	for (int pass = 0; pass < 2; pass++) {
		if (len < 44 || memcmp(p, "TZif", 4) != 0)
			return false;
		for (int i = 0; i < 6; i++)
			if ((n[i] = be(p + 20 + 4 * i, 4)) < 0 || n[i] > 100000)
				return false;
		width = pass == 0 ? 4 : 8;
		size_t body = 44 + (size_t)n[3] * width + (size_t)n[3] + (size_t)n[4] * 6 + (size_t)n[5] + (size_t)n[2] * (width + 4) +
			(size_t)n[1] + (size_t)n[0];

		if (body > len || (pass == 0 && p[4] < '2') || n[4] < 1)
			return false;
		if (pass == 0) {
			p += body;
			len -= body;
			continue;
		}
		size_t rest = len - body;

		if (rest < 2 || rest - 2 >= sizeof tail || p[body] != '\n' || p[len - 1] != '\n')
			return false;
		memcpy(tail, p + body + 1, rest - 2);
		tail[rest - 2] = 0;
	}
	const u8 *at = p + 44, *kind = at + (size_t)n[3] * 8, *types = kind + n[3];

	z->steps = calloc((size_t)n[3] + 2 * (ZONE_LAST - 1970 + 1) + 1, sizeof *z->steps);
	if (z->steps == NULL)
		return false;
	standard = z->before = (int32_t)be(types, 4);
	for (i64 i = 0; i < n[3]; i++) {
		if (kind[i] >= n[4])
			return false;
		z->steps[z->n].at = be(at + 8 * i, 8);
		z->steps[z->n].off = (int32_t)be(types + 6 * kind[i], 4);
		if (z->steps[z->n].at < -(1ll << 40) || z->steps[z->n].at > 1ll << 40 || z->steps[z->n].off < -100000 ||
			z->steps[z->n].off > 100000 || (z->n > 0 && z->steps[z->n].at <= z->steps[z->n - 1].at))
			return false;
		if (types[6 * kind[i] + 4] == 0)
			standard = z->steps[z->n].off;
		z->n++;
	}
	if (z->before < -100000 || z->before > 100000 || !footer(z, tail))
		return false;
	forget_early(z, standard);
	return true;
}

bool
date_open(struct place_date *d, const char *format, const void *zone, size_t zone_len, char *err, size_t errlen)
{
	if (!read_format(d, format, err, errlen))
		return false;
	if (zone != NULL && !read_zone(&d->zone, zone, zone_len)) {
		place_fail(err, errlen, "the time zone file is not one of version 2 or later (RFC 8536), or broken");
		return false;
	}
	return true;
}

void
date_close(struct place_date *d)
{
	free(d->items);
	free(d->zone.steps);
}

/* --- reading a value --- */

struct text {
	struct units u;
	int c; /* the unit at hand, -1: end */
};

static void
step(struct text *t)
{
	t->c = units_next(&t->u);
}

/* DecimalFormat for integers: a minus, digits; the value of a field is Number.intValue(). */
static bool
read_field(struct text *t, u32 most, i64 *v_r)
{
	bool neg, over = false;
	u64 v = 0;
	u32 left = most, digits = 0;

	if (most > 0) { /* as many units as the format has letters must be there, whatever they are */
		struct text ahead = *t;

		for (u32 i = 0; i < most; i++, step(&ahead))
			if (ahead.c < 0)
				return false;
	}
	for (; t->c == ' ' || t->c == '\t'; left--) {
		if (most > 0 && left == 0)
			return false;
		step(t);
	}
	neg = t->c == '-' && (most == 0 || left > 0);
	if (neg) {
		step(t);
		left--;
	}
	for (int d; (most == 0 || left > 0) && (d = java_digit(t->c)) >= 0; step(t), left--, digits++) {
		over |= v > FIELD_MAX;
		if (!over)
			v = v * 10 + (u64)d;
	}
	/* beyond FIELD_MAX Java wraps around, and an E makes the number one with an exponent: refused both */
	if (digits == 0 || over || v > FIELD_MAX || (t->c == 'E' && (most == 0 || left > 0)))
		return false;
	*v_r = neg ? -(i64)v : (i64)v;
	return true;
}

bool
date_read(const struct place_date *d, const char *text, size_t len, struct date_parts *parts_r)
{
	struct text t = {.u = units_of(text, len)};
	i64 f[DATE_LITERAL] = {1970, 1, 1, 0, 0, 0, 0}, clock, local;

	step(&t);
	for (size_t i = 0; i < d->n; i++) {
		const struct date_item *it = &d->items[i];

		if (it->field == DATE_LITERAL) {
			if (t.c != it->literal)
				return false;
			step(&t);
		} else if (!read_field(&t, it->exact ? it->count : 0, &f[it->field])) {
			return false;
		}
	}
	clock = ((f[DATE_H] * 60 + f[DATE_MIN]) * 60 + f[DATE_S]) * 1000 + f[DATE_MS];
	i64 day = fixed_day(f[DATE_Y], f[DATE_MON] - 1, floor_div(clock, DAY_MS) + f[DATE_D] - 1);

	local = (day - EPOCH) * DAY_MS + (clock - floor_div(clock, DAY_MS) * DAY_MS);
	parts_r->ms = local - offset_at(&d->zone, floor_div(local, 1000), true) * 1000ll;
	local = parts_r->ms + offset_at(&d->zone, floor_div(parts_r->ms, 1000), false) * 1000ll;
	day_parts(floor_div(local, DAY_MS) + EPOCH, parts_r);
	return true;
}
