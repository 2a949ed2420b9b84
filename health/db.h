/* health/db.h: one connection to a server through Connector/C, with a deadline in milliseconds for
 * everything it does. It uses the library's non-blocking calls, since its own timeouts count seconds, start
 * anew with each read (a server that sends a byte a second would hold a probe for ever), and cannot be
 * interrupted. Used by one thread at a time. The only user of mysql.h here. Health only.
 */
#ifndef MARGAY_HEALTH_DB_H
#define MARGAY_HEALTH_DB_H
#include "base/base.h"

#define DB_MAX_COLUMNS 256      /* SHOW ALL SLAVES STATUS has 58; a peer that claims more is cut off */
#define DB_MAX_ROWS    4096
#define DB_MAX_PACKET  (1u << 20) /* nothing asked for is near it; bounds what a hostile peer can make us hold */

struct db;

/* TLS towards the server: enum cfg_tls_server, and paths of PEM files ("": none). name: the certificate must be made out
 * to the host that is connected to (which is a number: Connector/C knows no other name). */
struct db_tls {
	u32 mode;
	bool name;
	char ca[32], crl[32], cert[32], key[32];
	char rsa[32]; /* auth_rsa_key */
	bool rsa_ask;
};

struct db_row {
	u32 n;
	const char *const *name; /* printable as far as the server is; foreign */
	const char *const *value; /* NUL-terminated, NULL for NULL */
};
typedef void db_row_fn(void *arg, const struct db_row *row);

enum db_end {
	DB_OK,
	DB_ERROR,   /* db_errno, db_text */
	DB_TIMEOUT, /* the deadline passed; the connection is closed */
	DB_ABORTED, /* abort_fd became readable; the connection is closed */
};

/* Once per process, before any thread; once per thread that uses connections, at its end. */
MUST_CHECK int db_library_init(void);
void db_library_end(void);
void db_thread_end(void);

/* abort_fd: when it is readable, whatever is under way ends with DB_ABORTED; not read. NULL: no memory. */
struct db *db_new(int abort_fd);
void db_free(struct db *d);
/* host: numeric address, or path of a Unix socket when port is 0. */
/* proxy: the connection begins with a PROXY header, which says that it is our own. */
enum db_end db_connect(struct db *d, const char *host, u32 port, const char *user, const char *password,
    const struct db_tls *tls, bool proxy, u64 deadline_ns);
/* fn is called for each row; NULL: rows are dropped. An error of the server leaves the connection open. */
enum db_end db_query(struct db *d, const char *sql, u64 deadline_ns, db_row_fn *fn, void *arg);
void db_close(struct db *d);
bool db_is_open(const struct db *d);
u64 db_thread_id(const struct db *d);
/* Of the last call that ended with DB_ERROR; text is the server's, unsafe to print as it is. */
u32 db_errno(const struct db *d);
const char *db_text(const struct db *d);
/* Value of the column with that name (no case), or NULL; for rows of SHOW. */
const char *db_col(const struct db_row *r, const char *name);
#endif
