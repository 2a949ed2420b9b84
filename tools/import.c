/* tools/import.c: reads the accounts of a server, for import_text.c. The one file of margayctl that knows Connector/C. A
 * password is taken from the configuration or from who calls, and shown to no server that asks for it in clear text.
 */
#include <mysql.h> /* before base/poison.h: its macros use strcpy */
#include "tools/import.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/addr.h"
#include "conf/conf.h"
#include "proto/auth.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_S       10
#define ACCOUNTS_MOST   1000000 /* more are no answer of a server to what was asked */
#define ALTERNATIVES    8       /* IDENTIFIED VIA a OR b ..: MariaDB has fewer methods */
#define ER_NO_TABLE     1146
#define SAFE_METHODS    "mysql_native_password,client_ed25519"
#define SAFE_METHODS_CA SAFE_METHODS ",caching_sha2_password,sha256_password"

struct import {
	const struct import_args *a;
	struct conf_result conf;
	struct cfg cfg;
	const struct cfg_server *section; /* NULL: an address was given */
	const char *address, *user, *password, *cluster, *skip;
	MYSQL *m;
	MYSQL_RES *res; /* what the accounts point into */
	struct import_account *v;
	size_t n;
	char **made; /* texts of ours: names of other methods */
	size_t nmade;
};

PRINTF(2, 3) static int
failed(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("margayctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	return code;
}

/* What a server says, without control characters. */
static int
server_failed(struct import *im, const char *what)
{
	char text[512];

	(void)str_copy(text, sizeof text, mysql_error(im->m));
	for (char *p = text; *p != '\0'; p++)
		if ((u8)*p < 32 || *p == 127)
			*p = '?';
	return failed(EXIT_FAIL, "%s: %s: %s", im->address, what, text);
}

/* ---- where to ---- */

static int
from_section(struct import *im)
{
	const struct import_args *a = im->a;
	int rc = conf_load(a->conf, &(struct conf_args){.generation = 1, .epoch = 1}, &im->conf);

	for (u32 i = 0; rc != 0 && i < im->conf.msgs.n; i++)
		if (im->conf.msgs.v[i].severity == CONF_ERROR)
			return failed(EXIT_CONF, "%s:%u: %s", im->conf.msgs.v[i].file, im->conf.msgs.v[i].line,
			    im->conf.msgs.v[i].text);
	if (rc != 0)
		return failed(EXIT_CONF, "%s: %s", a->conf, err_text(rc));
	if (cfg_open_mem(im->conf.snap.cfg, im->conf.snap.cfg_size, im->conf.snap.secrets, im->conf.snap.secrets_size, &im->cfg) != 0)
		return failed(EXIT_CONF, "%s: cannot be used", a->conf);
	for (u32 i = 0; i < im->cfg.r->nservers; i++)
		if (strcmp(cfg_text(&im->cfg, cfg_servers(&im->cfg)[i].section_name), a->server) == 0)
			im->section = &cfg_servers(&im->cfg)[i];
	if (im->section == NULL)
		return failed(EXIT_FAIL, "%s has no [server %s]; an address is host:port or the path of a socket", a->conf, a->server);
	im->address = cfg_text(&im->cfg, im->section->address);
	if (im->section->cluster == UINT32_MAX) {
		im->cluster = "main";
		return a->user != NULL ? EXIT_OK : failed(EXIT_FAIL, "[server %s] is in no cluster: --user is needed", a->server);
	}
	const struct cfg_cluster *k = &cfg_clusters(&im->cfg)[im->section->cluster];
	im->cluster = cfg_text(&im->cfg, k->section_name);
	im->skip = im->user = cfg_text(&im->cfg, k->monitor_user);
	im->password = cfg_secret_text(&im->cfg, k->monitor_password);
	return EXIT_OK;
}

static bool
opt(MYSQL *m, enum mysql_option o, const char *text)
{
	return text[0] == '\0' || mysql_options(m, o, text) == 0;
}

static bool
set_options(struct import *im, const struct conf_addr *to)
{
	unsigned int s = im->a->timeout_s > 0 ? (unsigned)im->a->timeout_s : CONNECT_S, off = 0;
	const struct cfg_server *c = im->section;
	u64 mode = c != NULL ? c->tls : CFG_STLS_OFF;
	const struct cfg *g = &im->cfg;
	my_bool verify = mode == CFG_STLS_FULL, enforce = 1;
	bool cover = to->kind == ADDR_UNIX || mode >= CFG_STLS_REQUIRED;

	if (mysql_options(im->m, MYSQL_OPT_CONNECT_TIMEOUT, &s) != 0 || mysql_options(im->m, MYSQL_OPT_READ_TIMEOUT, &s) != 0 ||
	    mysql_options(im->m, MYSQL_OPT_WRITE_TIMEOUT, &s) != 0 || mysql_options(im->m, MYSQL_OPT_LOCAL_INFILE, &off) != 0 ||
	    mysql_options(im->m, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
	    mysql_options(im->m, MARIADB_OPT_RESTRICTED_AUTH, cover ? SAFE_METHODS_CA : SAFE_METHODS) != 0 ||
	    mysql_optionsv(im->m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "margayctl") != 0 ||
	    mysql_options(im->m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) != 0)
		return false;
	if (mode == CFG_STLS_PREFERRED) /* hashes are worth it where the server has it */
		return mysql_ssl_set(im->m, NULL, NULL, NULL, NULL, NULL) == 0;
	if (mode == CFG_STLS_OFF)
		return true;
	return mysql_options(im->m, MYSQL_OPT_SSL_ENFORCE, &enforce) == 0 &&
	    (mode < CFG_STLS_CA || opt(im->m, MYSQL_OPT_SSL_CA, cfg_text(g, c->tls_ca))) &&
	    (mode < CFG_STLS_CA || opt(im->m, MYSQL_OPT_SSL_CRL, cfg_text(g, c->tls_crl))) &&
	    opt(im->m, MYSQL_OPT_SSL_CERT, cfg_text(g, c->tls_cert)) &&
	    opt(im->m, MYSQL_OPT_SSL_KEY, cfg_text(g, c->tls_key.off != 0 ? c->tls_key : c->tls_cert));
}

static int
connect_to(struct import *im)
{
	struct conf_addr to;
	const char *why = addr_parse(im->address, true, &to);

	if (why != NULL)
		return failed(EXIT_USAGE_, "%s: %s", im->address, why);
	im->m = mysql_init(NULL);
	if (im->m == NULL || !set_options(im, &to))
		return failed(EXIT_FAIL, "out of memory");
	bool is_unix = to.kind == ADDR_UNIX;
	if (mysql_real_connect(im->m, is_unix ? NULL : to.host, im->user, im->password, NULL, to.port, is_unix ? to.host : NULL, 0) == NULL)
		return server_failed(im, "cannot connect");
	return EXIT_OK;
}

/* ---- rows ---- */

/* The row's value of the column with that name, "" if it has none or is NULL. */
static const char *
col(const struct import *im, MYSQL_ROW row, const char *name)
{
	MYSQL_FIELD *f = mysql_fetch_fields(im->res);

	for (unsigned i = 0; i < mysql_num_fields(im->res); i++)
		if (strcasecmp(f[i].name, name) == 0)
			return row[i] != NULL ? row[i] : "";
	return "";
}

static bool
is_yes(const char *v)
{
	return v[0] == 'Y' || v[0] == '1' || strcmp(v, "true") == 0;
}

static i64
number(const char *v)
{
	u64 n = 0;

	return v[0] == '-' ? -1 : str_to_u64(v, &n) == 0 && n < INT64_MAX ? (i64)n : 0;
}

/* A word in mysql.user, a number in mysql.global_priv (enum SSL_type). */
static enum import_tls
tls_of(const char *v)
{
	if (strcmp(v, "ANY") == 0 || strcmp(v, "1") == 0)
		return IMPORT_TLS_ANY;
	if (strcmp(v, "X509") == 0 || strcmp(v, "2") == 0)
		return IMPORT_TLS_CERT;
	return strcmp(v, "SPECIFIED") == 0 || strcmp(v, "3") == 0 ? IMPORT_TLS_SPECIFIED : IMPORT_TLS_NONE;
}

/* Which of an account's alternatives is imported, and the names of the others. */
static bool
choose_method(struct import *im, MYSQL_ROW row, struct import_account *a)
{
	char name[32], *text = NULL, **more;
	const char *plugin[ALTERNATIVES], *auth[ALTERNATIVES];
	size_t n = 0, size = 0, best = 0;
	FILE *out;

	for (size_t i = 0; i < ALTERNATIVES; i++) {
		snprintf(name, sizeof name, "alt%zu", i);
		if (!is_yes(col(im, row, name)))
			break;
		snprintf(name, sizeof name, "plugin%zu", i);
		plugin[n] = col(im, row, name);
		snprintf(name, sizeof name, "auth%zu", i);
		auth[n] = col(im, row, name);
		if (plugin[n][0] == '\0') { /* {}: the one of the account itself */
			plugin[n] = a->plugin;
			auth[n] = a->auth;
		}
		n++;
	}
	if (n == 0)
		return true;
	for (size_t i = 1; i < n; i++)
		if (import_better(plugin[i], auth[i], plugin[best], auth[best]))
			best = i;
	out = open_memstream(&text, &size);
	if (out == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		if (i != best)
			fprintf(out, "%s%s", ftell(out) > 0 ? ", " : "", plugin[i]);
	if (fclose(out) != 0)
		return false;
	more = realloc(im->made, (im->nmade + 1) * sizeof *im->made);
	if (more == NULL) {
		free(text);
		return false;
	}
	im->made = more;
	im->made[im->nmade++] = text;
	a->plugin = plugin[best];
	a->auth = auth[best];
	a->others = text;
	return true;
}

static bool
account(struct import *im, MYSQL_ROW row)
{
	struct import_account *a = &im->v[im->n++];
	const char *stored = col(im, row, "authentication_string"), *changed = col(im, row, "password_last_changed");

	*a = (struct import_account){.user = col(im, row, "User"), .host = col(im, row, "Host"), .plugin = col(im, row, "plugin"),
	    .auth = stored[0] != '\0' ? stored : col(im, row, "Password"), .others = "", .tls = tls_of(col(im, row, "ssl_type")),
	    .subject = col(im, row, "x509_subject"), .issuer = col(im, row, "x509_issuer"), .cipher = col(im, row, "ssl_cipher"),
	    .max_user_connections = number(col(im, row, "max_user_connections")), .role = is_yes(col(im, row, "is_role")),
	    .locked = is_yes(col(im, row, "account_locked")),
	    /* MariaDB writes 0 for EXPIRE; MySQL has a column */
	    .expired = is_yes(col(im, row, "password_expired")) || strcmp(changed, "0") == 0,
	    .hourly = number(col(im, row, "max_questions")) > 0 || number(col(im, row, "max_updates")) > 0 ||
	        number(col(im, row, "max_connections")) > 0};
	return choose_method(im, row, a);
}

/* MariaDB since 10.4: one JSON text for each account. */
static int
ask_global_priv(struct import *im)
{
	static const char *const keys[] = {"plugin", "authentication_string", "ssl_type", "ssl_cipher", "x509_issuer", "x509_subject",
	    "max_questions", "max_updates", "max_connections", "max_user_connections", "account_locked", "is_role",
	    "password_last_changed"};
	char sql[4096];
	size_t n = (size_t)snprintf(sql, sizeof sql, "SELECT User, Host");

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		n += (size_t)snprintf(sql + n, sizeof sql - n, ", JSON_VALUE(Priv, '$.%s') AS %s", keys[i], keys[i]);
	for (size_t i = 0; i < ALTERNATIVES; i++)
		n += (size_t)snprintf(sql + n, sizeof sql - n,
		    ", JSON_EXISTS(Priv, '$.auth_or[%zu]') AS alt%zu, JSON_VALUE(Priv, '$.auth_or[%zu].plugin') AS plugin%zu"
		    ", JSON_VALUE(Priv, '$.auth_or[%zu].authentication_string') AS auth%zu", i, i, i, i, i, i);
	n += (size_t)snprintf(sql + n, sizeof sql - n, " FROM mysql.global_priv");
	AN(n < sizeof sql);
	return mysql_real_query(im->m, sql, (unsigned long)n);
}

static int
read_accounts(struct import *im)
{
	static const char older[] = "SELECT * FROM mysql.user";
	MYSQL_ROW row;

	if (ask_global_priv(im) != 0 &&
	    (mysql_errno(im->m) != ER_NO_TABLE || mysql_real_query(im->m, older, sizeof older - 1) != 0))
		return server_failed(im, "its accounts cannot be read (SELECT on mysql.* is needed)");
	im->res = mysql_store_result(im->m);
	if (im->res == NULL)
		return server_failed(im, "no accounts");
	u64 rows = mysql_num_rows(im->res);
	if (rows > ACCOUNTS_MOST || (im->v = calloc(rows + 1, sizeof *im->v)) == NULL)
		return failed(EXIT_FAIL, "%s: too many accounts", im->address);
	while (im->n < rows && (row = mysql_fetch_row(im->res)) != NULL)
		if (!account(im, row))
			return failed(EXIT_FAIL, "out of memory");
	qsort(im->v, im->n, sizeof *im->v, import_cmp);
	return EXIT_OK;
}

/* ---- the file ---- */

static int
write_all(struct import *im, FILE *out, size_t *n_r)
{
	fprintf(out, "# Users of %s (%s), written by margayctl import-users\n", im->address, mysql_get_server_info(im->m));
	fprintf(out, "# Servers see Margay's address and not a client's: accounts there must be allowed to come from it.\n");
	fprintf(out, "# Take out what is not meant for Margay, and include this file in margay.conf.\n");
	*n_r = import_write(out, im->v, im->n, im->a->cluster != NULL ? im->a->cluster : im->cluster, im->skip);
	return fflush(out) == 0 && ferror(out) == 0 ? EXIT_OK : failed(EXIT_FAIL, "write: %s", strerror(errno));
}

static int
write_out(struct import *im)
{
	const char *path = im->a->out;
	size_t n = 0;

	if (path == NULL)
		return write_all(im, stdout, &n);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (out == NULL)
		return failed(EXIT_FAIL, "%s: %s", path, strerror(errno));
	int code = write_all(im, out, &n);
	if (fclose(out) != 0 && code == EXIT_OK)
		code = failed(EXIT_FAIL, "%s: %s", path, strerror(errno));
	if (code != EXIT_OK)
		(void)unlink(path);
	else
		fprintf(stderr, "margayctl: %zu users written to %s\n", n, path);
	return code;
}

int
import_users(const struct import_args *a)
{
	struct import im = {.a = a, .address = a->server, .cluster = "main"};
	bool is_address = strchr(a->server, ':') != NULL || a->server[0] == '/';
	int code = is_address ? EXIT_OK : from_section(&im);

	if (code == EXIT_OK && is_address && a->user == NULL)
		code = failed(EXIT_USAGE_, "with an address --user is needed");
	if (a->user != NULL) {
		im.user = a->user;
		im.password = a->password;
	}
	if (code == EXIT_OK)
		code = connect_to(&im);
	if (code == EXIT_OK)
		code = read_accounts(&im);
	if (code == EXIT_OK)
		code = write_out(&im);
	for (size_t i = 0; i < im.nmade; i++)
		free(im.made[i]);
	free(im.made);
	free(im.v);
	mysql_free_result(im.res);
	if (im.m != NULL)
		mysql_close(im.m);
	conf_result_free(&im.conf);
	return code;
}
