/* Unit tests of router/place.h: odd values, errors in options and map files. That rows are placed as MyCat and DBLE place them is
 * shown by t/place/vectors.c.
 */
#include <criterion/criterion.h>
#include "router/place.h"
#include <stdarg.h>

static char err[256];

static struct place_fn *
fn_of(const char *type, const char *map, u32 nshards, ...)
{
	struct place_opt o[12];
	size_t n = 0;
	va_list ap;
	struct place_file f = {"m", map, map != NULL ? strlen(map) : 0};

	if (map != NULL)
		o[n++] = (struct place_opt){"mapFile", "m"};
	va_start(ap, nshards);
	for (const char *k; (k = va_arg(ap, const char *)) != NULL;)
		o[n++] = (struct place_opt){k, va_arg(ap, const char *)};
	va_end(ap);
	struct place_conf c = {.type = type, .opts = o, .nopts = n, .files = &f, .nfiles = map != NULL, .nshards = nshards};

	err[0] = 0;
	return place_open(&c, err, sizeof err);
}

/* The index; -100: none, -200: error */
static i64
at_len(struct place_fn *fn, const char *v, size_t len, bool null)
{
	i64 shard = -300;

	cr_assert_not_null(fn, "%s", err);
	switch (place(fn, v, len, null, 0, &shard, err, sizeof err)) {
	case PLACE_SHARD:
		return shard;
	case PLACE_NONE:
		return -100;
	case PLACE_ERROR:
		break;
	}
	return -200;
}

static i64
at(struct place_fn *fn, const char *v)
{
	return at_len(fn, v, strlen(v), false);
}

Test(place, numbers_beyond_64_bits_and_bytes_that_are_no_text)
{
	struct place_fn *fn = fn_of("mod", NULL, 0, "count", "3", NULL), *l = fn_of("long", NULL, 0, "partition_count", "8",
		"PARTITIONLENGTH", "128", NULL);

	cr_expect_eq(at(fn, "-99999999999999999999999999999999999999999999999999"), 0);
	cr_expect_eq(at_len(fn, NULL, 0, true), at(fn, "NULL"));
	cr_expect_eq(at(fn, "\xff"), at(fn, "\xef\xbf\xbd"));
	cr_expect_eq(at_len(fn, "\xf0\x9f", 2, false), at(fn, "\xef\xbf\xbd"));
	cr_expect_eq(at_len(fn, "1\0", 2, false), 1); /* a text, not the number 1 */
	cr_expect_eq(at(l, "9223372036854775807"), 0);
	cr_expect_eq(at(l, "9223372036854775808"), -200);
	cr_expect_str_eq(err, "'9223372036854775808' is no whole number of 64 bits");
	cr_expect_eq(at(l, "-9223372036854775808"), 0);
	cr_expect_eq(at(l, "-"), -200);
	cr_expect_eq(at(l, ""), -200);
	place_close(fn);
	place_close(l);
}

Test(place, old_placement_differs_where_it_did)
{
	struct place_fn *now = fn_of("PartitionByLong", NULL, 0, "partitionCount", "8", "partitionLength", "128", NULL);
	struct place_fn *old = fn_of("long", NULL, 0, "partitionCount", "8", "partitionLength", "128", "placement", "mycat-1.6.5", NULL);

	cr_expect_eq(at(now, "-1"), 0);
	cr_expect_eq(at(old, "-1"), 7);
	place_close(now);
	place_close(old);
}

Test(place, an_index_the_table_does_not_have_is_an_error)
{
	struct place_fn *fn = fn_of("range", "0-9=0\n10-1K=7\n", 4, NULL);

	cr_expect_eq(place_count(fn), 2);
	cr_expect_eq(at(fn, "9"), 0);
	cr_expect_eq(at(fn, "1000"), -200);
	cr_expect_str_eq(err, "'1000' belongs to index 7, but the table has 4 shards");
	cr_expect_eq(at(fn, "1001"), -100);
	place_close(fn);
}

Test(place, dates_roll_over_and_keep_to_both_calendars)
{
	struct place_fn *d = fn_of("date", NULL, 0, "dateFormat", "yyyyMMdd", "sBeginDate", "20140101", "sPartionDay", "1", NULL);
	struct place_fn *m = fn_of("month", NULL, 0, NULL);

	cr_expect_eq(at(d, "20140132"), 31);
	cr_expect_eq(at(d, "2014013"), 2); /* the last field takes what is there */
	cr_expect_eq(at(d, "201401"), -200);
	cr_expect_eq(at(d, "20150101 and more"), 365);
	cr_expect_eq(at(d, "15821015") - at(d, "15821004"), 1);
	cr_expect_eq(at(m, "2014-12-99"), 2);
	cr_expect_eq(at(m, "100000001-01-01"), -200);
	cr_expect_eq(at(m, "2014-01-1E1"), -200);
	cr_expect_eq(at(m, "2014-01-"), -200);
	place_close(d);
	place_close(m);
	d = fn_of("month", NULL, 0, "dateFormat", "yyyy\u5e74M\u6708", NULL);
	cr_expect_eq(at(d, "2014\u5e747\u6708"), 6);
	cr_expect_eq(at(d, "2014-7-"), -200);
	place_close(d);
}

Test(place, what_is_wrong_with_options_is_said)
{
	static const struct {
		const char *type, *map, *key, *value, *key2, *value2, *says;
	} t[] = {
		{"nodulo", NULL, NULL, NULL, NULL, NULL, "there is no function type nodulo"},
		{"mod", NULL, NULL, NULL, NULL, NULL, "count is missing"},
		{"mod", NULL, "count", "0", NULL, NULL, "count = 0: must be a whole number from 1 to 65535"},
		{"mod", NULL, "count", "3", "Count", "4", "Count is given twice"},
		{"mod", NULL, "cuont", "3", NULL, NULL, "function type mod has no option cuont; it has: count "},
		{"mod", NULL, "count", "3", "placement", "mycat-1.5", "placement = mycat-1.5: must be current or mycat-1.6.5"},
		{"long", NULL, "partitionCount", "10", "partitionLength", "100",
			"the sum of partitionCount times partitionLength must be 1024"},
		{"long", NULL, "partitionCount", "1,2880,2880", "partitionLength", "1024,0", /* lists of two lengths */
			"partitionCount and partitionLength must be lists of as many numbers"},
		{"dble-hash", NULL, "partitionCount", "2881", "partitionLength", "1",
			"the sum of partitionCount times partitionLength may be 2880 at most, that of partitionCount 65535"},
		{"long", NULL, "partitionCount", "1,2147483647,9", "partitionLength", "1024,0,100",
			"the sum of partitionCount times partitionLength may be 1024 at most, that of partitionCount 65535"},
		{"range", NULL, NULL, NULL, NULL, NULL, "mapFile is missing"},
		{"range", NULL, "mapFile", "gone", NULL, NULL, "the file gone was not read"},
		{"range", "# c\n0-9=0\n10..19=1\n", NULL, NULL, NULL, NULL,
			"m:3: a line must read FIRST-LAST=INDEX (numbers; K is times 1000, M times 10000)"},
		{"range", "0-9223372036854775807M=0", NULL, NULL, NULL, NULL,
			"m:1: a line must read FIRST-LAST=INDEX (numbers; K is times 1000, M times 10000)"},
		{"range-mod", "0-9=0\n", NULL, NULL, NULL, NULL, "line 1 of the map: a group must have 1 to 65535 shards"},
		{"month", NULL, "dateFormat", "yy-MM", NULL, NULL,
			"dateFormat: a year of two digits means another century with time; write yyyy"},
		{"month", NULL, "dateFormat", "yyyy-MM'x", NULL, NULL, "dateFormat: a quote is not closed"},
		{"month", NULL, "sBeginDate", "2015-05-01", "sEndDate", "2015-01-01", "sEndDate is before sBeginDate"},
		{"month", NULL, "sBeginDate", "soon", NULL, NULL, "sBeginDate = soon is no date of dateFormat"},
		{"latest-month", NULL, "splitOneDay", "48", NULL, NULL, "splitOneDay = 48: must be a whole number from 1 to 24"},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct place_fn *fn = fn_of(t[i].type, t[i].map, 0, t[i].key, t[i].value, t[i].key2, t[i].value2, NULL);

		cr_expect_null(fn, "%s", t[i].says);
		cr_expect_str_eq(err, t[i].says);
		place_close(fn);
	}
}

Test(place, slots_must_be_all_there_and_once)
{
	static const struct {
		const char *text, *says;
	} t[] = {
		{"0=0-51199\n1=51200-102398\n", "s: slot 102399 of 102400 is on no shard"},
		{"0=0-51200\n1=51200-102399\n",
			"s:2: a line must read INDEX=FIRST-LAST,FIRST-LAST with an index below 2 and each slot once"},
		{"2=0-102399\n", "s:1: a line must read INDEX=FIRST-LAST,FIRST-LAST with an index below 2 and each slot once"},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct place_file f = {"s", t[i].text, strlen(t[i].text)};
		struct place_opt o = {"slotFile", "s"};

		cr_expect_null(place_open(&(struct place_conf){.type = "crc32-slot", .opts = &o, .nopts = 1, .files = &f, .nfiles = 1, .nshards = 2},
			err, sizeof err));
		cr_expect_str_eq(err, t[i].says);
	}
}

Test(place, a_broken_zone_file_is_refused)
{
	char zone[100] = "TZif2";

	for (size_t n = 0; n <= sizeof zone; n++)
		cr_expect_null(place_open(&(struct place_conf){.type = "month", .zone = zone, .zone_len = n}, err, sizeof err));
}
