/* tools/import.h: `margayctl import-users`: the accounts of a server as sections of margay.conf. import.c reads them,
 * import_text.c writes the sections and knows no server.
 */
#ifndef MARGAY_TOOLS_IMPORT_H
#define MARGAY_TOOLS_IMPORT_H
#include "base/base.h"

/* One row of mysql.global_priv or mysql.user; texts are the server's and may hold anything. */
struct import_account {
	const char *user, *host;
	const char *plugin; /* of methods that are alternatives the one to take: import_better */
	const char *auth;   /* what is stored for it */
	const char *others; /* names of the alternatives; "": none */
	enum import_tls { IMPORT_TLS_NONE, IMPORT_TLS_ANY, IMPORT_TLS_CERT, IMPORT_TLS_SPECIFIED } tls;
	const char *subject, *issuer, *cipher;
	i64 max_user_connections;
	bool role, locked, expired, hourly; /* hourly: limits on what is done in an hour */
};

/* By user, then host, as import_write wants them; for qsort. */
int import_cmp(const void *a, const void *b);
/* Of an account's alternatives: is this method of more use than that one? A hash of mysql_native_password logs in at
 * servers too, the others need the password there. that: NULL: none yet. */
bool import_better(const char *plugin, const char *auth, const char *that_plugin, const char *that_auth);
/* What allow_from makes of the host part of an account. */
enum import_host { HOST_ANY, HOST_NETS, HOST_NONE };
enum import_host import_host(const char *host, char nets_r[64]);
/* skip: the account that health uses, NULL: none. Returns the number of sections that are in force as they stand. */
size_t import_write(FILE *out, const struct import_account *v, size_t n, const char *cluster, const char *skip);

struct import_args {
	const char *conf;     /* margay.conf */
	const char *server;   /* name of a [server], or an address */
	const char *user;     /* NULL: the monitor_user of the server's cluster */
	const char *password; /* with user */
	const char *cluster;  /* NULL: the server's, or "main" */
	const char *out;      /* NULL: stdout */
	u64 timeout_s;
};
/* An exit code; what is wrong is said on stderr. */
int import_users(const struct import_args *a);
#endif
