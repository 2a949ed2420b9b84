/* tools/import_text.c: see import.h. Whatever a server has for names and hosts, the text is a configuration that loads, or
 * comments: what cannot be carried over, or only by giving up something, is left to a person, with the reason beside it.
 */
#include "tools/import.h"
#include "base/str.h"
#include "conf/addr.h"
#include "proto/auth.h"
#include <arpa/inet.h>

#define NETS_IN_LINE 6

static const char native[] = "mysql_native_password", sha2[] = "caching_sha2_password", ed25519[] = "ed25519";
static const char no_method[] = "Margay does not have its method: "; /* its name follows */

int
import_cmp(const void *a, const void *b)
{
	const struct import_account *x = a, *y = b;
	int d = strcmp(x->user, y->user);

	return d != 0 ? d : strcmp(x->host, y->host);
}

/* ---- what there is of a password ---- */

static bool
is_native(const struct import_account *a)
{
	/* "": servers before 5.5.7 */
	return strcmp(a->plugin, native) == 0 || a->plugin[0] == '\0';
}

static int
rank(const char *plugin, const char *auth)
{
	struct import_account a = {.plugin = plugin, .auth = auth};
	u8 key[32];
	struct auth_sha2_hash h;

	if (is_native(&a))
		return auth[0] == '\0' || auth_hash_parse(auth, key) == 0 ? 4 : 0;
	if (strcmp(plugin, ed25519) == 0)
		return auth_ed25519_parse(auth, strlen(auth), key) == 0 ? 3 : 0;
	if (strcmp(plugin, sha2) == 0)
		return auth[0] == '\0' || auth_sha2_hash_parse(auth, strlen(auth), &h) == 0 ? 2 : 0;
	return 0;
}

bool
import_better(const char *plugin, const char *auth, const char *that_plugin, const char *that_auth)
{
	return that_plugin == NULL || rank(plugin, auth) > rank(that_plugin, that_auth);
}

/* Why the account is of no use; NULL: it is. */
static const char *
why_not(const struct import_account *a)
{
	if (a->locked)
		return "it is locked";
	if (a->max_user_connections < 0)
		return "it may open no connections";
	if (rank(a->plugin, a->auth) > 0)
		return NULL;
	if (is_native(a) || strcmp(a->plugin, ed25519) == 0 || strcmp(a->plugin, sha2) == 0)
		return "no password fits what is stored for it";
	return no_method;
}

static bool
same_password(const struct import_account *a, const struct import_account *b)
{
	return strcmp(a->auth, b->auth) == 0 && (strcmp(a->plugin, b->plugin) == 0 || (is_native(a) && is_native(b)));
}

/* ---- hosts ---- */

/* "10.1.%", "10.%.%.%": all behind a whole number. */
static bool
host_pattern(const char *host, char nets[64])
{
	u8 ip[4] = {0};
	unsigned n = 0;
	const char *p = host;

	while (n < 3 && *p >= '0' && *p <= '9') {
		unsigned v = 0, digits = 0;

		for (; *p >= '0' && *p <= '9' && digits < 4; digits++)
			v = v * 10 + (unsigned)(*p++ - '0');
		if (*p++ != '.' || v > 255)
			return false;
		ip[n++] = (u8)v;
	}
	if (n == 0)
		return false;
	for (unsigned rest = 0; *p == '%' && rest < 4 - n; rest++) {
		if (p[1] == '\0') {
			snprintf(nets, 64, "%u.%u.%u.0/%u", ip[0], ip[1], ip[2], n * 8);
			return true;
		}
		if (p[1] != '.')
			return false;
		p += 2;
	}
	return false;
}

/* "10.1.0.0/255.255.0.0", and MySQL 8's "10.1.0.0/16" */
static bool
host_mask(const char *host, char nets[64])
{
	const char *slash = strchr(host, '/');
	char base[INET_ADDRSTRLEN];
	struct conf_net net;
	struct in_addr mask;
	u64 bits;

	if (slash == NULL || !str_copy_slice(base, sizeof base, host, (size_t)(slash - host)))
		return false;
	if (inet_pton(AF_INET, slash + 1, &mask) == 1) {
		u32 m = ntohl(mask.s_addr);

		bits = m == 0 ? 0 : 32u - (u32)__builtin_ctz(m);
		if (bits < 32 && m != (bits == 0 ? 0 : ~0u << (32 - bits)))
			return false;
	} else if (str_to_u64(slash + 1, &bits) != 0 || bits > 32) {
		return false;
	}
	snprintf(nets, 64, "%s/%u", base, (unsigned)bits);
	return net_parse(nets, &net) == NULL && net.family == 4;
}

enum import_host
import_host(const char *host, char nets[64])
{
	struct conf_net net;

	nets[0] = '\0';
	if (strcmp(host, "%") == 0 || host[0] == '\0')
		return HOST_ANY;
	if (strcmp(host, "localhost") == 0) {
		(void)str_copy(nets, 64, "unix, 127.0.0.1, ::1");
		return HOST_NETS;
	}
	if (host_pattern(host, nets) || host_mask(host, nets))
		return HOST_NETS;
	if (strchr(host, '/') == NULL && strcmp(host, "unix") != 0 && net_parse(host, &net) == NULL &&
	    str_copy(nets, 64, host))
		return HOST_NETS;
	return HOST_NONE;
}

/* ---- writing ---- */

struct section {
	FILE *out;
	const char *mark; /* "# ": as a comment */
	const struct import_account *v; /* of one user */
	size_t n;
	const struct import_account *like; /* whose password it is */
};

/* In a comment: nothing that ends the line. */
static void
put_safe(FILE *out, const char *text)
{
	for (; *text != '\0'; text++)
		putc((u8)*text < 32 || *text == 127 ? '?' : *text, out);
}

static void
remark(FILE *out, const struct import_account *a, const char *what, const char *more)
{
	fputs("# '", out);
	put_safe(out, a->user);
	if (!a->role) {
		fputs("'@'", out);
		put_safe(out, a->host);
	}
	fprintf(out, "': %s", what);
	put_safe(out, more);
	putc('\n', out);
}

static bool
can_be_written(const char *text)
{
	for (; *text != '\0'; text++)
		if ((u8)*text < 32 || *text == 127)
			return false;
	return true;
}

static void
put_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\' || (*p == '{' && p == text))
			putc('\\', out);
		putc(*p, out);
	}
	putc('"', out);
}

static void
put_option(const struct section *s, const char *name, const char *value)
{
	fprintf(s->out, "%s%s = ", s->mark, name);
	put_quoted(s->out, value);
	putc('\n', s->out);
}

static void
put_password(const struct section *s)
{
	const struct import_account *a = s->like;

	if (a->auth[0] == '\0') {
		put_option(s, "password", "");
	} else if (is_native(a)) {
		put_option(s, "password", a->auth);
	} else if (strcmp(a->plugin, ed25519) == 0) {
		fprintf(s->out, "%spassword = \"ed25519:%s\"\n", s->mark, a->auth);
		fprintf(s->out, "%sauth_plugin = client_ed25519\n", s->mark);
	} else {
		/* its salt may hold any byte: in hex, as SHOW CREATE USER has it */
		fprintf(s->out, "%spassword = 0x", s->mark);
		for (const char *p = a->auth; *p != '\0'; p++)
			fprintf(s->out, "%02X", (u8)*p);
		fprintf(s->out, "\n%sauth_plugin = caching_sha2_password\n", s->mark);
	}
	if (!is_native(a))
		fprintf(s->out, "%sbackend_password = ...\n", s->mark);
}

static bool
counts(const struct section *s, const struct import_account *a)
{
	return why_not(a) == NULL && same_password(a, s->like);
}

static void
put_networks(const struct section *s)
{
	char nets[64];
	size_t k = 0;

	for (size_t i = 0; i < s->n; i++)
		if (counts(s, &s->v[i]) && import_host(s->v[i].host, nets) == HOST_ANY)
			return;
	for (size_t i = 0; i < s->n; i++) {
		if (!counts(s, &s->v[i]) || import_host(s->v[i].host, nets) != HOST_NETS)
			continue;
		if (k == 0)
			fprintf(s->out, "%sallow_from = %s", s->mark, nets);
		else if (k % NETS_IN_LINE == 0)
			fprintf(s->out, ",\n%s    %s", s->mark, nets);
		else
			fprintf(s->out, ", %s", nets);
		k++;
	}
	if (k > 0)
		putc('\n', s->out);
}

/* Of accounts that differ the strictest. */
static void
put_tls(const struct section *s)
{
	const struct import_account *most = s->like;
	bool differ = false;

	for (size_t i = 0; i < s->n; i++) {
		if (!counts(s, &s->v[i]))
			continue;
		differ = differ || s->v[i].tls != most->tls || strcmp(s->v[i].subject, most->subject) != 0;
		if (s->v[i].tls > most->tls)
			most = &s->v[i];
	}
	if (most->tls == IMPORT_TLS_NONE)
		return;
	if (differ)
		remark(s->out, most, "is the strictest of those with this name: tls is its own", "");
	fprintf(s->out, "%stls = %s\n", s->mark,
	    most->tls == IMPORT_TLS_ANY || (most->tls == IMPORT_TLS_SPECIFIED && most->subject[0] == '\0' && most->issuer[0] == '\0')
	        ? "required" : "certificate");
	if (most->tls == IMPORT_TLS_SPECIFIED && most->subject[0] != '\0' && can_be_written(most->subject))
		put_option(s, "tls_subject", most->subject);
	if (most->issuer[0] != '\0')
		remark(s->out, most, "REQUIRE ISSUER is not carried over: tls_ca of [margay] decides; ", most->issuer);
	if (most->cipher[0] != '\0')
		remark(s->out, most, "REQUIRE CIPHER is not carried over: ", most->cipher);
	remark(s->out, most, "servers want it of Margay too: tls of [server]", most->tls == IMPORT_TLS_ANY ? "" : ", and tls_cert");
}

static void
put_limits(const struct section *s)
{
	i64 most = s->like->max_user_connections;
	bool differ = false, hourly = false, expired = false;

	for (size_t i = 0; i < s->n; i++) {
		if (!counts(s, &s->v[i]))
			continue;
		i64 n = s->v[i].max_user_connections;

		differ = differ || n != s->like->max_user_connections;
		most = n == 0 || most == 0 ? 0 : MAX(n, most);
		hourly = hourly || s->v[i].hourly;
		expired = expired || s->v[i].expired;
	}
	if (differ)
		remark(s->out, s->like, "the accounts of this name differ in MAX_USER_CONNECTIONS; the largest is taken", "");
	if (most > 0) {
		fprintf(s->out, "%smax_connections = %lld\n", s->mark, (long long)most);
		remark(s->out, s->like, "servers count Margay's connections against MAX_USER_CONNECTIONS", "");
	}
	if (hourly)
		remark(s->out, s->like, "limits by the hour stay with the servers, and hold for all clients together", "");
	if (expired)
		remark(s->out, s->like, "the password has expired: servers want a new one", "");
}

/* All that is said of accounts of the name, ahead of its section. */
static void
put_remarks(const struct section *s)
{
	char nets[64];

	for (size_t i = 0; i < s->n; i++) {
		const struct import_account *a = &s->v[i];
		const char *why = why_not(a);

		if (a->role)
			remark(s->out, a, "a role; servers know it, Margay need not", "");
		else if (why != NULL)
			remark(s->out, a, why, why == no_method ? a->plugin : "");
		else if (s->like != NULL && !same_password(a, s->like))
			remark(s->out, a, "has another password or method than the account below", "");
		else if (import_host(a->host, nets) == HOST_NONE)
			remark(s->out, a, "its host is no network that allow_from could name", "");
		if (!a->role && a->others[0] != '\0')
			remark(s->out, a, "other methods that it has are not carried over: ", a->others);
		if (strcmp(a->host, "localhost") == 0 && s->like != NULL)
			remark(s->out, a, "local clients of Margay; a server sees Margay's address", "");
	}
}

/* The password that most accounts have; with equal numbers that of '%', then the first. */
static const struct import_account *
choose(const struct import_account *v, size_t n)
{
	const struct import_account *best = NULL;
	size_t most = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		if (v[i].role || why_not(&v[i]) != NULL)
			continue;
		for (size_t j = 0; j < n; j++)
			k += 2 * (size_t)(why_not(&v[j]) == NULL && same_password(&v[i], &v[j]));
		k += strcmp(v[i].host, "%") == 0;
		if (k > most) {
			most = k;
			best = &v[i];
		}
	}
	return best;
}

/* Why the section must not be in force as it stands; NULL: it may be. */
static const char *
why_comment(const struct section *s)
{
	char nets[64];
	bool any = false, nets_known = false;

	for (size_t i = 0; i < s->n; i++) {
		enum import_host h = counts(s, &s->v[i]) ? import_host(s->v[i].host, nets) : HOST_NONE;

		any = any || h == HOST_ANY;
		nets_known = nets_known || h == HOST_NETS;
	}
	if (s->like->user[0] == '\0')
		return "anonymous accounts take any name: Margay needs to know it";
	if (!can_be_written(s->like->user))
		return "no section can have this name";
	if (!is_native(s->like))
		return "servers take the password itself, not its hash: write it as backend_password";
	if (!any && !nets_known)
		return "say in allow_from where it may come from";
	return NULL;
}

static size_t
put_user(FILE *out, const struct import_account *v, size_t n, const char *cluster, const char *skip)
{
	struct section s = {.out = out, .mark = "", .v = v, .n = n, .like = choose(v, n)};

	putc('\n', out);
	if (skip != NULL && strcmp(v->user, skip) == 0) {
		remark(out, v, "is monitor_user; left out", "");
		return 0;
	}
	put_remarks(&s);
	if (s.like == NULL)
		return 0;
	const char *why = why_comment(&s);
	if (why != NULL) {
		remark(out, s.like, "not in force: ", why);
		s.mark = "# ";
	}
	fprintf(out, "%s[user ", s.mark);
	if (can_be_written(s.like->user))
		put_quoted(out, s.like->user);
	else
		put_safe(out, s.like->user);
	fputs("]\n", out);
	put_password(&s);
	put_option(&s, "cluster", cluster);
	put_networks(&s);
	put_tls(&s);
	put_limits(&s);
	return why == NULL;
}

size_t
import_write(FILE *out, const struct import_account *v, size_t n, const char *cluster, const char *skip)
{
	size_t in_force = 0;

	for (size_t i = 0; i < n;) {
		size_t k = i + 1;

		while (k < n && strcmp(v[k].user, v[i].user) == 0)
			k++;
		in_force += put_user(out, v + i, k - i, cluster, skip);
		i = k;
	}
	return in_force;
}
