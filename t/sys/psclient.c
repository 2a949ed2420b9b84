/* t/sys/psclient.c: a client with binary prepared statements for the system tests, driven line by line on
 * stdin; every answer goes to stdout and ends with a line ".". A test program: it exits when used wrongly.
 *
 *   query SQL              all results of a text statement
 *   prepare N SQL          N: 0..15                exec N [i:NUM|s:TEXT|f:NUM|z (NULL)]...
 *   long N PARAM SIZE      SIZE bytes of long data cursor N ROWS   server-side cursor, ROWS ahead
 *   bulk N ROWS [i:BASE|s:TEXT|z (NULL)|d (DEFAULT)]...  an array: row r has BASE + r, TEXT and r; COM_STMT_BULK_EXECUTE
 *   first N K              fetch K rows, leave the rest where they are       reset N      close N
 * Words behind the database: compress; plugin=NAME, the method to begin with; tls=FILE, the authority that must have signed
 * the server's certificate. A HOST with a slash is a Unix socket. PASSWORD - is none.
 *
 *   ping | db NAME | resetconn | changeuser USER PASSWORD DB | id
 */
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NSTMT  16
#define NPARAM 16
#define NCOL   64
#define COLBUF 4096

static MYSQL *my;
static MYSQL_STMT *stmts[NSTMT];
static char colbuf[NCOL][COLBUF];
static unsigned long collen[NCOL];
static my_bool colnull[NCOL];

static void
print_error(unsigned no, const char *state, const char *text)
{
	printf("err %u %s %s\n", no, state, text);
}

static void
print_columns(MYSQL_RES *res)
{
	printf("cols");
	for (unsigned i = 0; i < mysql_num_fields(res); i++) {
		const MYSQL_FIELD *f = mysql_fetch_field_direct(res, i);

		printf(" %s:%d", f->name, (int)f->type);
	}
	printf("\n");
}

/* Long values by length and sum, so that a difference anywhere shows. */
static void
print_value(const char *p, unsigned long len)
{
	unsigned long sum = 5381;

	if (len <= 200) {
		printf(" [%.*s]", (int)len, p);
		return;
	}
	for (unsigned long i = 0; i < len; i++)
		sum = sum * 33 + (unsigned char)p[i];
	printf(" <%lu:%lx>", len, sum);
}

static void
do_query(const char *sql)
{
	int more;

	if (mysql_real_query(my, sql, strlen(sql)) != 0) {
		print_error(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
		return;
	}
	do {
		MYSQL_RES *res = mysql_store_result(my);

		if (res != NULL) {
			MYSQL_ROW row;

			print_columns(res);
			while ((row = mysql_fetch_row(res)) != NULL) {
				unsigned long *len = mysql_fetch_lengths(res);

				printf("row");
				for (unsigned i = 0; i < mysql_num_fields(res); i++) {
					if (row[i] == NULL)
						printf(" NULL");
					else
						print_value(row[i], len[i]);
				}
				printf("\n");
			}
			printf("end warnings=%u\n", mysql_warning_count(my));
			mysql_free_result(res);
		} else if (mysql_errno(my) != 0) {
			print_error(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
		} else {
			printf("ok affected=%llu insert_id=%llu warnings=%u info=%s\n",
			    (unsigned long long)mysql_affected_rows(my),
			    (unsigned long long)mysql_insert_id(my), mysql_warning_count(my),
			    mysql_info(my) ? mysql_info(my) : "");
		}
		more = mysql_next_result(my);
		if (more > 0)
			print_error(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
	} while (more == 0);
}

static void
stmt_error(MYSQL_STMT *st)
{
	print_error(mysql_stmt_errno(st), mysql_stmt_sqlstate(st), mysql_stmt_error(st));
}

static MYSQL_STMT *
stmt_at(char **words)
{
	char *w = strtok_r(NULL, " ", words);
	unsigned long n = w ? strtoul(w, NULL, 10) : NSTMT;

	if (n >= NSTMT) {
		fprintf(stderr, "bad statement number\n");
		exit(2);
	}
	if (stmts[n] == NULL)
		stmts[n] = mysql_stmt_init(my);
	return stmts[n];
}

/* Fetches at most `most` rows; true when all are read. */
static bool
fetch_rows(MYSQL_STMT *st, unsigned long most)
{
	unsigned cols = mysql_stmt_field_count(st);

	for (unsigned long k = 0; k < most; k++) {
		int rc = mysql_stmt_fetch(st);

		if (rc == 1) {
			stmt_error(st);
			return true;
		}
		if (rc == MYSQL_NO_DATA) {
			printf("end warnings=%u\n", mysql_stmt_warning_count(st));
			return true;
		}
		printf("row");
		for (unsigned i = 0; i < cols; i++) {
			if (colnull[i])
				printf(" NULL");
			else if (collen[i] > COLBUF)
				printf(" <%lu cut>", collen[i]);
			else
				print_value(colbuf[i], collen[i]);
		}
		printf("\n");
	}
	return false;
}

static void
show_results(MYSQL_STMT *st, bool fetch)
{
	int more;

	do {
		MYSQL_RES *meta = mysql_stmt_result_metadata(st);
		MYSQL_BIND out[NCOL];
		unsigned cols = mysql_stmt_field_count(st);

		if (meta == NULL) {
			printf("ok affected=%llu insert_id=%llu warnings=%u\n",
			    (unsigned long long)mysql_stmt_affected_rows(st),
			    (unsigned long long)mysql_stmt_insert_id(st), mysql_stmt_warning_count(st));
		} else {
			print_columns(meta);
			mysql_free_result(meta);
			memset(out, 0, sizeof out);
			for (unsigned i = 0; i < cols && i < NCOL; i++) {
				out[i].buffer_type = MYSQL_TYPE_STRING;
				out[i].buffer = colbuf[i];
				out[i].buffer_length = COLBUF;
				out[i].length = &collen[i];
				out[i].is_null = &colnull[i];
			}
			if (cols > NCOL || mysql_stmt_bind_result(st, out) != 0) {
				stmt_error(st);
				return;
			}
			if (!fetch)
				return;
			fetch_rows(st, (unsigned long)-1);
			mysql_stmt_free_result(st);
		}
		more = mysql_stmt_next_result(st);
		if (more > 0)
			stmt_error(st);
	} while (more == 0);
}

static void
do_exec(MYSQL_STMT *st, char **words)
{
	static MYSQL_BIND in[NPARAM];
	static long long ints[NPARAM];
	static double floats[NPARAM];
	unsigned n = 0;
	unsigned long cursor = 0;
	char *w;

	memset(in, 0, sizeof in);
	while ((w = strtok_r(NULL, " ", words)) != NULL && n < NPARAM) {
		if (w[0] == 'z') {
			in[n].buffer_type = MYSQL_TYPE_NULL;
		} else if (w[0] == 'i') {
			ints[n] = strtoll(w + 2, NULL, 10);
			in[n].buffer_type = MYSQL_TYPE_LONGLONG;
			in[n].buffer = &ints[n];
		} else if (w[0] == 'f') {
			floats[n] = strtod(w + 2, NULL);
			in[n].buffer_type = MYSQL_TYPE_DOUBLE;
			in[n].buffer = &floats[n];
		} else {
			in[n].buffer_type = w[0] == 'b' ? MYSQL_TYPE_BLOB : MYSQL_TYPE_STRING;
			in[n].buffer = w + 2;
			in[n].buffer_length = strlen(w) < 2 ? 0 : strlen(w + 2);
		}
		n++;
	}
	if (n < mysql_stmt_param_count(st)) {
		printf("err 0 HY000 psclient: too few parameters\n");
		return;
	}
	if ((n > 0 && mysql_stmt_bind_param(st, in) != 0) || mysql_stmt_execute(st) != 0) {
		stmt_error(st);
		return;
	}
	mysql_stmt_attr_get(st, STMT_ATTR_CURSOR_TYPE, &cursor);
	show_results(st, cursor == CURSOR_TYPE_NO_CURSOR);
	if (cursor != CURSOR_TYPE_NO_CURSOR)
		printf("open\n");
}

/* A column of an array. False: no room. */
static bool
fill_column(MYSQL_BIND *b, const char *w, unsigned rows)
{
	char *ind = malloc(rows), **texts = malloc(rows * sizeof *texts);
	long long *nums = malloc(rows * sizeof *nums);
	unsigned long *len = malloc(rows * sizeof *len);

	if (ind == NULL || texts == NULL || nums == NULL || len == NULL)
		return false;
	memset(ind, w[0] == 'z' ? STMT_INDICATOR_NULL : w[0] == 'd' ? STMT_INDICATOR_DEFAULT : STMT_INDICATOR_NONE, rows);
	for (unsigned r = 0; r < rows; r++) {
		texts[r] = malloc(strlen(w) + 16);
		len[r] = (unsigned long)sprintf(texts[r], "%s%u", strlen(w) > 2 ? w + 2 : "", r);
		nums[r] = strlen(w) > 2 ? strtoll(w + 2, NULL, 10) + r : r;
	}
	b->u.indicator = ind;
	b->buffer_type = w[0] == 'i' ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_STRING;
	b->buffer = w[0] == 'i' ? (void *)nums : (void *)texts;
	b->length = len;
	return true; /* the process is short: nothing is freed */
}

static void
do_bulk(MYSQL_STMT *st, char **words)
{
	static MYSQL_BIND in[NPARAM];
	char *w = strtok_r(NULL, " ", words);
	unsigned n = 0, rows = w ? (unsigned)strtoul(w, NULL, 10) : 0;

	memset(in, 0, sizeof in);
	while ((w = strtok_r(NULL, " ", words)) != NULL && n < NPARAM)
		if (!fill_column(&in[n++], w, rows))
			exit(2);
	if (mysql_stmt_attr_set(st, STMT_ATTR_ARRAY_SIZE, &rows) != 0 || mysql_stmt_bind_param(st, in) != 0 ||
	    mysql_stmt_execute(st) != 0)
		stmt_error(st);
	else
		show_results(st, true);
	rows = 0;
	mysql_stmt_attr_set(st, STMT_ATTR_ARRAY_SIZE, &rows);
}

static void
do_long(MYSQL_STMT *st, char **words)
{
	char *p = strtok_r(NULL, " ", words), *s = strtok_r(NULL, " ", words);
	unsigned param = p ? (unsigned)strtoul(p, NULL, 10) : 0;
	unsigned long size = s ? strtoul(s, NULL, 10) : 0;
	char *data = malloc(size + 1);

	for (unsigned long i = 0; i < size; i++)
		data[i] = (char)('a' + i % 26);
	/* two pieces: the server has to put them together */
	if (mysql_stmt_send_long_data(st, param, data, size / 2) != 0 ||
	    mysql_stmt_send_long_data(st, param, data + size / 2, size - size / 2) != 0)
		stmt_error(st);
	else
		printf("sent %lu\n", size);
	free(data);
}

static void
do_prepare(MYSQL_STMT *st, char **words)
{
	const char *sql = strtok_r(NULL, "", words);

	if (sql == NULL || mysql_stmt_prepare(st, sql, strlen(sql)) != 0)
		stmt_error(st);
	else
		printf("prepared params=%lu columns=%u\n", mysql_stmt_param_count(st),
		    mysql_stmt_field_count(st));
}

static void
do_cursor(MYSQL_STMT *st, char **words)
{
	char *w = strtok_r(NULL, " ", words);
	unsigned long type = CURSOR_TYPE_READ_ONLY, rows = w ? strtoul(w, NULL, 10) : 1;

	if (mysql_stmt_attr_set(st, STMT_ATTR_CURSOR_TYPE, &type) != 0 ||
	    mysql_stmt_attr_set(st, STMT_ATTR_PREFETCH_ROWS, &rows) != 0)
		stmt_error(st);
	else
		printf("cursor %lu\n", rows);
}

static void
done(int rc)
{
	if (rc != 0)
		print_error(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
	else
		printf("ok\n");
}

static void
do_stmt(const char *verb, char **words)
{
	MYSQL_STMT *st = stmt_at(words);

	if (strcmp(verb, "prepare") == 0) {
		do_prepare(st, words);
	} else if (strcmp(verb, "exec") == 0) {
		do_exec(st, words);
	} else if (strcmp(verb, "bulk") == 0) {
		do_bulk(st, words);
	} else if (strcmp(verb, "long") == 0) {
		do_long(st, words);
	} else if (strcmp(verb, "cursor") == 0) {
		do_cursor(st, words);
	} else if (strcmp(verb, "first") == 0) {
		char *w = strtok_r(NULL, " ", words);

		if (!fetch_rows(st, w ? strtoul(w, NULL, 10) : 1))
			printf("more\n");
	} else if (strcmp(verb, "reset") == 0) {
		done(mysql_stmt_reset(st));
	} else if (strcmp(verb, "close") == 0) {
		done(mysql_stmt_close(st));
		for (unsigned i = 0; i < NSTMT; i++)
			if (stmts[i] == st)
				stmts[i] = NULL;
	} else {
		fprintf(stderr, "unknown command %s\n", verb);
		exit(2);
	}
}

static const char *
no_dash(const char *word)
{
	return word == NULL || strcmp(word, "-") == 0 ? NULL : word;
}

static void
do_line(char *line)
{
	char *words, *verb = strtok_r(line, " ", &words), *arg;

	if (verb == NULL)
		return;
	if (strcmp(verb, "query") == 0) {
		arg = strtok_r(NULL, "", &words);
		do_query(arg ? arg : "");
	} else if (strcmp(verb, "ping") == 0) {
		done(mysql_ping(my));
	} else if (strcmp(verb, "id") == 0) {
		printf("id %lu\n", mysql_thread_id(my));
	} else if (strcmp(verb, "db") == 0) {
		done(mysql_select_db(my, strtok_r(NULL, " ", &words)));
	} else if (strcmp(verb, "resetconn") == 0) {
		done(mysql_reset_connection(my));
	} else if (strcmp(verb, "changeuser") == 0) {
		const char *u = strtok_r(NULL, " ", &words), *p = strtok_r(NULL, " ", &words);

		done(mysql_change_user(my, u, no_dash(p), strtok_r(NULL, " ", &words)));
	} else {
		do_stmt(verb, &words);
	}
}

static bool
option(const char *word)
{
	if (strcmp(word, "compress") == 0)
		mysql_options(my, MYSQL_OPT_COMPRESS, NULL);
	else if (strncmp(word, "plugin=", 7) == 0)
		mysql_options(my, MYSQL_DEFAULT_AUTH, word + 7);
	else if (strncmp(word, "tls=", 4) == 0)
		mysql_options(my, MYSQL_OPT_SSL_CA, word + 4);
	else
		return false;
	return true;
}

int
main(int argc, char **argv)
{
	static char line[1 << 20];
	bool good = argc >= 6;

	my = mysql_init(NULL);
	for (int i = 6; i < argc; i++)
		good = good && option(argv[i]);
	if (!good) {
		fprintf(stderr, "usage: psclient HOST PORT USER PASSWORD DATABASE [WORD..] <commands\n");
		return 2;
	}
	bool local = strchr(argv[1], '/') != NULL;
	if (mysql_real_connect(my, local ? NULL : argv[1], argv[3], no_dash(argv[4]), argv[5],
		(unsigned)strtoul(argv[2], NULL, 10), local ? argv[1] : NULL,
		CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS) == NULL) {
		print_error(mysql_errno(my), mysql_sqlstate(my), mysql_error(my));
		return 1;
	}
	printf("connected\n.\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		do_line(line);
		printf(".\n");
		fflush(stdout);
	}
	for (unsigned i = 0; i < NSTMT; i++)
		if (stmts[i] != NULL)
			mysql_stmt_close(stmts[i]);
	mysql_close(my);
	return 0;
}
