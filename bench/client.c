/* bench/client.c: what sysbench cannot do cheaply: a connection for each query, and large results read and
 * dropped. Prints "operations bytes seconds cpu_seconds". A benchmark program, linked with Connector/C.
 *   client HOST PORT USER PASSWORD DB reconnect COUNT SQL [tls=CA] [zip]     client ... stream COUNT SQL [tls=CA] [zip]
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static char **conn_args;
static const char *tls_ca; /* Connector/C would read the system's authorities for each connection */
static int use_zip;

static void
die(MYSQL *my)
{
	fprintf(stderr, "client: %u %s\n", mysql_errno(my), mysql_error(my));
	exit(1);
}

static MYSQL *
open_one(void)
{
	MYSQL *my = mysql_init(NULL);
	my_bool yes = 1, no = 0;

	/* whoever the server is: this measures, it trusts nobody with anything */
	mysql_options(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
	if (tls_ca != NULL) {
		mysql_options(my, MYSQL_OPT_SSL_ENFORCE, &yes);
		mysql_options(my, MYSQL_OPT_SSL_CA, tls_ca);
	}
	if (use_zip)
		mysql_options(my, MYSQL_OPT_COMPRESS, NULL);
	if (mysql_real_connect(my, conn_args[0], conn_args[2], conn_args[3], conn_args[4],
		(unsigned)strtoul(conn_args[1], NULL, 10), NULL, 0) == NULL)
		die(my);
	return my;
}

/* Bytes of all values of the result; rows are dropped as they come. */
static unsigned long long
run_query(MYSQL *my, const char *sql)
{
	unsigned long long bytes = 0;
	MYSQL_RES *res;

	if (mysql_real_query(my, sql, strlen(sql)) != 0 || (res = mysql_use_result(my)) == NULL)
		die(my);
	while (mysql_fetch_row(res) != NULL) {
		const unsigned long *len = mysql_fetch_lengths(res);

		for (unsigned i = 0; i < mysql_num_fields(res); i++)
			bytes += len[i];
	}
	if (mysql_errno(my) != 0)
		die(my);
	mysql_free_result(res);
	return bytes;
}

static double
seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int
main(int argc, char **argv)
{
	unsigned long long bytes = 0;
	unsigned long count;
	struct timespec a, b;
	struct rusage ru;
	MYSQL *my = NULL;
	int reconnect;

	if (argc < 9) {
		fprintf(stderr, "usage: client HOST PORT USER PASSWORD DB reconnect|stream COUNT SQL [tls=CA] [zip]\n");
		return 2;
	}
	conn_args = argv + 1;
	for (int i = 9; i < argc; i++) {
		if (strncmp(argv[i], "tls=", 4) == 0)
			tls_ca = argv[i] + 4;
		use_zip |= strcmp(argv[i], "zip") == 0;
	}
	reconnect = strcmp(argv[6], "reconnect") == 0;
	count = strtoul(argv[7], NULL, 10);
	if (!reconnect)
		my = open_one();
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned long i = 0; i < count; i++) {
		if (reconnect)
			my = open_one();
		bytes += run_query(my, argv[8]);
		if (reconnect)
			mysql_close(my);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (!reconnect)
		mysql_close(my);
	getrusage(RUSAGE_SELF, &ru);
	printf("%lu %llu %.6f %.6f\n", count, bytes,
	    (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9,
	    seconds(ru.ru_utime) + seconds(ru.ru_stime));
	return 0;
}
