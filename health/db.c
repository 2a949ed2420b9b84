/* health/db.c: see db.h. Health only. */
#include <errmsg.h>
#include <mysql.h> /* before base/poison.h: its macros use strcpy */
#include "health/db.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "proto/proxyproto.h"
#include "shm/cfg.h"
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* Plugins that never show a password to whoever asks: a stand-in for the server must not get it by asking
 * for mysql_clear_password or dialog. Those with RSA take the key of whoever answers, if they have no other. */
#define SAFE_PLUGINS "mysql_native_password,client_ed25519"
#define RSA_PLUGINS  SAFE_PLUGINS ",caching_sha2_password,sha256_password"
/* A call that was told of a timeout gives up after a few more turns; more of them would be a bug of the
 * library, and then the connection is abandoned. */
#define TURNS_AFTER_TIMEOUT 64

struct db {
	MYSQL *m; /* NULL: closed */
	int abort_fd;
	u32 err;
	char text[512];
	u8 header[PROXY_OUT]; /* the library keeps a pointer to it */
};

int
db_library_init(void)
{
	return mysql_library_init(0, NULL, NULL) == 0 ? 0 : ERR_NOMEM;
}

void
db_library_end(void)
{
	mysql_library_end();
}

void
db_thread_end(void)
{
	mysql_thread_end();
}

struct db *
db_new(int abort_fd)
{
	struct db *d = calloc(1, sizeof *d);

	if (d != NULL)
		d->abort_fd = abort_fd;
	return d;
}

void
db_free(struct db *d)
{
	if (d == NULL)
		return;
	db_close(d);
	free(d);
}

bool
db_is_open(const struct db *d)
{
	return d->m != NULL;
}

u64
db_thread_id(const struct db *d)
{
	return d->m == NULL ? 0 : mysql_thread_id(d->m);
}

u32
db_errno(const struct db *d)
{
	return d->err;
}

const char *
db_text(const struct db *d)
{
	return d->text;
}

void
db_close(struct db *d)
{
	if (d->m == NULL)
		return;
	mysql_close(d->m);
	d->m = NULL;
}

/* Ends it without the farewell, which a peer that does not read could delay. */
static void
db_drop(struct db *d)
{
	my_socket fd = mysql_get_socket(d->m);

	if (fd != MARIADB_INVALID_SOCKET)
		(void)shutdown(fd, SHUT_RDWR);
	db_close(d);
}

static enum db_end
db_fail(struct db *d)
{
	d->err = mysql_errno(d->m);
	/* the library's own words do not name the method (3.3.20) */
	(void)str_copy(d->text, sizeof d->text, d->err == CR_PLUGIN_NOT_ALLOWED
	    ? "its method needs TLS, auth_rsa_key or auth_rsa_ask (caching_sha2_password), or is not supported" : mysql_error(d->m));
	return DB_ERROR;
}

/* A pending call of the library: which one, and where its result goes. */
enum pending_kind { PENDING_CONNECT, PENDING_QUERY, PENDING_ROW, PENDING_FREE };
struct pending {
	enum pending_kind kind;
	MYSQL *connected;
	int rc;
	MYSQL_RES *res;
	MYSQL_ROW row;
};

static int
pending_cont(struct db *d, struct pending *p, int events)
{
	switch (p->kind) {
	case PENDING_CONNECT:
		return mysql_real_connect_cont(&p->connected, d->m, events);
	case PENDING_QUERY:
		return mysql_real_query_cont(&p->rc, d->m, events);
	case PENDING_ROW:
		return mysql_fetch_row_cont(&p->row, p->res, events);
	default:
		return mysql_free_result_cont(p->res, events);
	}
}

/* Waits for what the library waits for. Returns its event bits, or 0 with *end_r set. */
static int
wait_events(struct db *d, int want, u64 deadline_ns, enum db_end *end_r)
{
	struct pollfd p[2] = {{.fd = mysql_get_socket(d->m)}, {.fd = d->abort_fd, .events = POLLIN}};

	p[0].events = (short)((want & MYSQL_WAIT_READ ? POLLIN : 0) |
	    (want & MYSQL_WAIT_WRITE ? POLLOUT : 0) | (want & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
	for (;;) {
		u64 now = clock_ns();
		int n, got = 0;

		if (now >= deadline_ns) {
			*end_r = DB_TIMEOUT;
			return 0;
		}
		n = poll(p, 2, (int)MIN((deadline_ns - now) / MS_NS + 1, 3600000u));
		if (n < 0 && errno != EINTR) {
			*end_r = DB_TIMEOUT;
			return 0;
		}
		if (n <= 0)
			continue;
		if (p[1].revents != 0) {
			*end_r = DB_ABORTED;
			return 0;
		}
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
			got |= want & MYSQL_WAIT_READ;
		if (p[0].revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL))
			got |= want & MYSQL_WAIT_WRITE;
		if (p[0].revents & (POLLPRI | POLLERR))
			got |= want & MYSQL_WAIT_EXCEPT;
		if (got != 0)
			return got;
	}
}

/* Runs a pending call to its end. On DB_TIMEOUT and DB_ABORTED the call is told of a timeout, so that it
 * unwinds and frees what it holds (closing underneath it would leak), then the connection is closed. */
static enum db_end
pending_run(struct db *d, struct pending *p, int want, u64 deadline_ns)
{
	enum db_end end = DB_OK;

	while (want != 0) {
		int got = wait_events(d, want, deadline_ns, &end);

		if (end != DB_OK)
			break;
		want = pending_cont(d, p, got);
	}
	if (end == DB_OK)
		return DB_OK;
	for (int i = 0; want != 0 && i < TURNS_AFTER_TIMEOUT; i++)
		want = pending_cont(d, p, MYSQL_WAIT_TIMEOUT);
	return end;
}

static int
on_infile_init(void **ptr, const char *name UNUSED, void *arg UNUSED)
{
	*ptr = NULL;
	return 1; /* whoever asks for a file of this host is refused */
}
static int
on_infile_read(void *ptr UNUSED, char *buf UNUSED, unsigned int len UNUSED)
{
	return -1;
}
static void
on_infile_end(void *ptr UNUSED)
{
}
static int
on_infile_error(void *ptr UNUSED, char *text, unsigned int len)
{
	(void)str_copy(text, len, "LOAD DATA LOCAL is refused");
	return CR_UNKNOWN_ERROR;
}

static bool
set_options(MYSQL *m)
{
	unsigned int local_infile = 0;
	size_t max_packet = DB_MAX_PACKET;

	if (mysql_options(m, MYSQL_OPT_NONBLOCK, 0) != 0 ||
	    mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4") != 0 ||
	    mysql_options(m, MYSQL_OPT_LOCAL_INFILE, &local_infile) != 0 ||
	    mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &max_packet) != 0 ||
	    mysql_optionsv(m, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "margay-health") != 0)
		return false;
	mysql_set_local_infile_handler(m, on_infile_init, on_infile_read, on_infile_end,
	    on_infile_error, NULL);
	return true;
}

static bool
path_option(MYSQL *m, enum mysql_option o, const char *path)
{
	return path[0] == '\0' || mysql_options(m, o, path) == 0;
}

/* With authorities the library checks the certificate's chain in any case (measured, 3.3.20); `verify` adds the name. */
static bool
set_tls(MYSQL *m, const struct db_tls *t)
{
	my_bool verify = t->name, enforce = 1;

	/* also when none is asked for: newer libraries would insist on it otherwise */
	if (mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify) != 0)
		return false;
	if (t->mode == CFG_STLS_OFF)
		return true;
	if (t->mode != CFG_STLS_PREFERRED && mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &enforce) != 0)
		return false;
	if (t->mode == CFG_STLS_PREFERRED && t->cert[0] == '\0')
		return true; /* the probes' own words need no cover where none is required */
	return (t->mode < CFG_STLS_CA || path_option(m, MYSQL_OPT_SSL_CA, t->ca)) &&
	    (t->mode < CFG_STLS_CA || path_option(m, MYSQL_OPT_SSL_CRL, t->crl)) &&
	    path_option(m, MYSQL_OPT_SSL_CERT, t->cert) &&
	    path_option(m, MYSQL_OPT_SSL_KEY, t->key[0] != '\0' ? t->key : t->cert);
}

static bool
set_methods(MYSQL *m, const struct db_tls *t, bool is_socket)
{
	bool rsa = is_socket || t->mode >= CFG_STLS_REQUIRED || t->rsa[0] != '\0' || t->rsa_ask;

	return mysql_options(m, MARIADB_OPT_RESTRICTED_AUTH, rsa ? RSA_PLUGINS : SAFE_PLUGINS) == 0 &&
	    path_option(m, MYSQL_SERVER_PUBLIC_KEY, t->rsa);
}

static bool
set_proxy(struct db *d)
{
	return mysql_optionsv(d->m, MARIADB_OPT_PROXY_HEADER, d->header, proxy_write(d->header, 0, NULL)) == 0;
}

enum db_end
db_connect(struct db *d, const char *host, u32 port, const char *user, const char *password,
    const struct db_tls *tls, bool proxy, u64 deadline_ns)
{
	struct pending p = {.kind = PENDING_CONNECT};
	enum db_end end;
	int want;

	db_close(d);
	errno = 0; /* error messages of the library show it, also when no call has failed */
	d->m = mysql_init(NULL);
	if (d->m == NULL || !set_options(d->m) || !set_tls(d->m, tls) || !set_methods(d->m, tls, port == 0) ||
	    (proxy && !set_proxy(d))) {
		d->err = CR_OUT_OF_MEMORY;
		(void)str_copy(d->text, sizeof d->text, "out of memory");
		db_close(d);
		return DB_ERROR;
	}
	want = mysql_real_connect_start(&p.connected, d->m, port == 0 ? NULL : host, user, password, NULL,
	    port, port == 0 ? host : NULL, 0);
	end = pending_run(d, &p, want, deadline_ns);
	if (end == DB_OK && p.connected == NULL)
		end = db_fail(d);
	if (end == DB_TIMEOUT || end == DB_ABORTED)
		db_drop(d);
	else if (end != DB_OK)
		db_close(d);
	return end;
}

/* A result that no server would send to what was asked. */
static enum db_end
db_refuse(struct db *d)
{
	d->err = CR_MALFORMED_PACKET;
	(void)str_copy(d->text, sizeof d->text, "a result larger than any expected one");
	return DB_ERROR;
}

/* Is the connection of no use after this error? Those of the server's own leave it open. */
static bool
is_fatal(u32 err)
{
	return err >= CR_MIN_ERROR && err <= CR_MAX_ERROR;
}

/* Reads rows until the end. The caller frees p->res. */
static enum db_end
fetch_rows(struct db *d, struct pending *p, u64 deadline_ns, db_row_fn *fn, void *arg)
{
	const char *name[DB_MAX_COLUMNS];
	struct db_row row = {.n = mysql_num_fields(p->res), .name = name};
	const MYSQL_FIELD *f = mysql_fetch_fields(p->res);

	if (row.n > DB_MAX_COLUMNS)
		return db_refuse(d);
	for (u32 i = 0; i < row.n; i++)
		name[i] = f[i].name != NULL ? f[i].name : "";
	for (u32 rows = 0;; rows++) {
		enum db_end end;

		p->kind = PENDING_ROW;
		p->row = NULL;
		end = pending_run(d, p, mysql_fetch_row_start(&p->row, p->res), deadline_ns);
		if (end != DB_OK)
			return end;
		if (p->row == NULL)
			return mysql_errno(d->m) == 0 ? DB_OK : db_fail(d);
		if (rows >= DB_MAX_ROWS)
			return db_refuse(d);
		row.value = (const char *const *)p->row;
		if (fn != NULL)
			fn(arg, &row);
	}
}

enum db_end
db_query(struct db *d, const char *sql, u64 deadline_ns, db_row_fn *fn, void *arg)
{
	struct pending p = {.kind = PENDING_QUERY};
	enum db_end end;

	if (d->m == NULL)
		return DB_ERROR; /* an error before ended it, which db_errno still tells */
	end = pending_run(d, &p, mysql_real_query_start(&p.rc, d->m, sql, strlen(sql)), deadline_ns);
	if (end == DB_OK && p.rc != 0)
		end = db_fail(d);
	else if (end == DB_OK) {
		p.res = mysql_use_result(d->m);
		if (p.res == NULL && mysql_errno(d->m) != 0)
			end = db_fail(d);
	}
	if (p.res != NULL) {
		enum db_end freed = DB_OK;

		end = fetch_rows(d, &p, deadline_ns, fn, arg);
		/* Rows not read yet would be waited for: cut the connection first. */
		if (end == DB_TIMEOUT || end == DB_ABORTED || (end == DB_ERROR && is_fatal(d->err)))
			(void)shutdown(mysql_get_socket(d->m), SHUT_RDWR);
		p.kind = PENDING_FREE;
		freed = pending_run(d, &p, mysql_free_result_start(p.res), deadline_ns);
		end = end == DB_OK ? freed : end;
	}
	if (end == DB_TIMEOUT || end == DB_ABORTED)
		db_drop(d);
	else if (end == DB_ERROR && is_fatal(d->err))
		db_close(d);
	return end;
}

const char *
db_col(const struct db_row *r, const char *name)
{
	for (u32 i = 0; i < r->n; i++)
		if (str_ieq(r->name[i], name))
			return r->value[i];
	return NULL;
}
