/* conf/check.c: see check.h. Pure; master and tools. */
#include "conf/check.h"
#include "base/str.h"
#include "conf/addr.h"
#include "conf/shards.h"
#include "shm/link.h"
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NAME_MAX_SHM 63  /* srvname.name and cluname.name with their NUL */
#define ADDR_MAX_SHM 127 /* srvname.address */
#define USER_MAX     128 /* bytes: MariaDB's user names have at most 128 characters, MySQL's 32 */
#define IDENT_MAX    64  /* names of schemas and tables at the servers */
#define CTL_NAME     "/margay.ctl" /* longest name of a socket in runtime_dir */
#define VERSION_MAX  60            /* server_version: fits the greeting with room to spare */

static struct conf_pos
item_pos(const struct opt_value *v, u32 i)
{
	return (struct conf_pos){.file = v->pos.file, .line = v->items[i].line};
}

static void
check_nets(struct conf_tree *t, const struct opt_value *v, const char *name)
{
	if (v->bad)
		return;
	for (u32 i = 0; i < v->nitems; i++) {
		struct conf_net net;
		const char *why = net_parse(v->items[i].p, &net);

		if (why != NULL)
			msg_error(t->msgs, item_pos(v, i), "%s: %s: %s", name, v->items[i].p, why);
	}
}

/* A required option that is missing, said at the section's header; one that stands there but is
 * wrong has had its error. */
static void
check_required(struct conf_tree *t, const struct conf_section *s)
{
	const struct opt *rows;
	size_t n;

	rows = opt_rows(s->kind, &n);
	for (size_t i = 0; i < n; i++) {
		const struct opt_value *v = &s->v[i];

		if (!opt_required(&rows[i]) || v->bad || v->set || v->nitems != 0)
			continue;
		if (v->given)
			msg_error(t->msgs, v->pos, "%s may not be empty", rows[i].name);
		else
			msg_error(t->msgs, s->pos, "[%s %s] needs the option %s",
				  opt_section_words[s->kind], s->name, rows[i].name);
	}
}

/* Names of servers and clusters appear in commands, metrics and file names. */
static void
check_name(struct conf_tree *t, const struct conf_section *s)
{
	static const char legal[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	size_t len = strlen(s->name);

	if (s->kind == OPT_IN_USER) {
		if (len > USER_MAX)
			msg_error(t->msgs, s->pos, "user name of %zu bytes; %d is the most", len,
				  USER_MAX);
	} else if (s->kind == OPT_IN_SCHEMA || s->kind == OPT_IN_TABLE) {
		; /* names of SQL: conf/shards.c */
	} else if (strspn(s->name, legal) != len) {
		msg_error(t->msgs, s->pos, "a %s's name has letters, digits and _ . - only",
			  opt_section_words[s->kind]);
	} else if (len > NAME_MAX_SHM) {
		msg_error(t->msgs, s->pos, "name of %zu bytes; %d is the most", len, NAME_MAX_SHM);
	}
}

/* ---- [margay] ---- */

bool
check_workers(const char *text, u64 *n_r)
{
	*n_r = 0;
	return strcmp(text, "auto") == 0 || (str_to_u64(text, n_r) == 0 && *n_r != 0);
}

static void
check_listen(struct conf_tree *t)
{
	const struct opt_value *v = &t->margay.v[MARGAY_listen];
	struct conf_addr a[LINK_MAX_LISTEN];
	u32 n = 0;

	if (v->bad)
		return;
	if (v->nitems == 0)
		msg_error(t->msgs, v->pos, "listen: at least one address is needed");
	if (v->nitems > LINK_MAX_LISTEN)
		msg_error(t->msgs, v->pos, "listen: %u addresses; %d is the most", v->nitems,
			  LINK_MAX_LISTEN);
	for (u32 i = 0; i < MIN(v->nitems, (u32)LINK_MAX_LISTEN); i++) {
		size_t len;
		u32 tls;
		const char *why = listen_parse(v->items[i].p, &a[n], &len, &tls);

		if (why != NULL) {
			msg_error(t->msgs, item_pos(v, i), "listen: %s: %s", v->items[i].p, why);
			continue;
		}
		for (u32 k = 0; k < n; k++)
			if (addr_equal(&a[k], &a[n])) {
				msg_error(t->msgs, item_pos(v, i), "listen: %s stands twice",
					  v->items[i].p);
				break;
			}
		n++;
	}
}

static void
check_dir(struct conf_tree *t, enum opt_margay_row row, const char *name, size_t most)
{
	const struct opt_value *v = &t->margay.v[row];

	if (v->bad)
		return;
	if (v->text[0] != '/')
		msg_error(t->msgs, v->pos, "%s: a path that begins with / is needed", name);
	else if (v->len > most)
		msg_error(t->msgs, v->pos, "%s: path of %u bytes; %zu is the most", name, v->len,
			  most);
}

static void
check_version(struct conf_tree *t)
{
	const struct opt_value *v = &t->margay.v[MARGAY_server_version];
	const char *p = v->text;

	if (v->bad || !v->set)
		return;
	/* what every connector parses: three numbers */
	for (int i = 0; i < 3; i++) {
		size_t n = strspn(p, "0123456789");

		if (n == 0 || n > 3 || (i < 2 && p[n] != '.')) {
			msg_error(
			    t->msgs, v->pos,
			    "server_version: begins with three numbers, such as 10.11.6-MariaDB");
			return;
		}
		p += i < 2 ? n + 1 : n;
	}
	if (v->len > VERSION_MAX)
		msg_error(t->msgs, v->pos, "server_version: %u bytes; %d is the most", v->len,
			  VERSION_MAX);
}

static void
check_margay(struct conf_tree *t)
{
	const struct opt_value *v = t->margay.v;
	u64 n;

	check_listen(t);
	if (!v[MARGAY_workers].bad && !check_workers(v[MARGAY_workers].text, &n))
		msg_error(t->msgs, v[MARGAY_workers].pos, "workers: auto or a number from 1");
	check_dir(t, MARGAY_runtime_dir, "runtime_dir",
		  sizeof((struct sockaddr_un *)0)->sun_path - sizeof CTL_NAME);
	check_dir(t, MARGAY_state_dir, "state_dir", 1024);
	if (!v[MARGAY_runtime_dir].bad && !v[MARGAY_state_dir].bad &&
	    strcmp(v[MARGAY_runtime_dir].text, v[MARGAY_state_dir].text) == 0)
		msg_error(t->msgs, v[MARGAY_state_dir].pos,
			  "state_dir: must not be runtime_dir, which is emptied");
	if (v[MARGAY_key_file].set)
		check_dir(t, MARGAY_key_file, "key_file", 1024);
	if (v[MARGAY_slow_log].text[0] != '\0' && v[MARGAY_slow_log].text[0] != '/' && !v[MARGAY_slow_log].bad)
		msg_error(t->msgs, v[MARGAY_slow_log].pos, "slow_log: a path that begins with /");
	if (strcmp(v[MARGAY_log].text, "stderr") != 0 && v[MARGAY_log].text[0] != '/' &&
	    !v[MARGAY_log].bad)
		msg_error(t->msgs, v[MARGAY_log].pos, "log: stderr or a path that begins with /");
	check_version(t);
	check_nets(t, &v[MARGAY_proxy_protocol_networks], "proxy_protocol_networks");
	if (!v[MARGAY_respawn_min].bad && !v[MARGAY_respawn_max].bad &&
	    v[MARGAY_respawn_min].num > v[MARGAY_respawn_max].num)
		msg_error(
		    t->msgs,
		    v[v[MARGAY_respawn_min].given ? MARGAY_respawn_min : MARGAY_respawn_max].pos,
		    "respawn_min is larger than respawn_max");
}

/* ---- [server] ---- */

struct server_addr {
	struct conf_addr a;
	const struct conf_section *s;
};

static int
by_addr(const void *x, const void *y)
{
	const struct server_addr *a = x, *b = y;
	int d = (int)a->a.kind - (int)b->a.kind;

	if (d == 0)
		d = (int)a->a.port - (int)b->a.port;
	if (d == 0)
		d = memcmp(a->a.ip, b->a.ip, sizeof a->a.ip);
	if (d == 0 && (a->a.kind == ADDR_NAME || a->a.kind == ADDR_UNIX))
		d = strcmp(a->a.host, b->a.host);
	if (d == 0)
		d = strcmp(a->s->name, b->s->name);
	return d;
}

/* Two names for one server would share its budget and count it twice. */
static void
check_servers(struct conf_tree *t)
{
	const struct conf_sections *of = &t->of[OPT_IN_SERVER];
	struct server_addr *list = mem_alloc(t->mem, (of->n + 1) * sizeof *list);
	size_t n = 0;

	for (size_t i = 0; list != NULL && i < of->n; i++) {
		const struct opt_value *v = &of->v[i]->v[SERVER_address];
		const char *why;

		if (v->bad || !v->set)
			continue;
		why = v->len > ADDR_MAX_SHM ? "too long" : addr_parse(v->text, true, &list[n].a);
		if (why == NULL)
			list[n++].s = of->v[i];
		else
			msg_error(t->msgs, v->pos, "address: %s", why);
	}
	if (n > 1)
		qsort(list, n, sizeof *list, by_addr);
	for (size_t i = 1; i < n; i++)
		if (addr_equal(&list[i - 1].a, &list[i].a) &&
		    strcmp(list[i - 1].s->name, list[i].s->name) != 0)
			msg_error(t->msgs, list[i].s->v[SERVER_address].pos,
				  "address: [server %s] has the same", list[i - 1].s->name);
}

/* ---- [cluster] ---- */

void
check_unknown_name(struct conf_tree *t, struct conf_pos pos, enum opt_section kind, const char *option,
	     const char *name)
{
	/* no hints for what is not shown: many names against many would take long */
	const char *near = t->msgs->n == CONF_MSGS_MAX ? NULL : tree_nearest(t, kind, name);

	if (near == NULL)
		msg_error(t->msgs, pos, "%s: there is no [%s %s]", option, opt_section_words[kind],
			  name);
	else
		msg_error(t->msgs, pos, "%s: there is no [%s %s]; did you mean %s?", option,
			  opt_section_words[kind], name, near);
}

static void
check_cluster_servers(struct conf_tree *t, const struct conf_section *c,
		      const struct conf_section **owner)
{
	const struct opt_value *v = &c->v[CLUSTER_servers];
	size_t k;

	if (v->bad)
		return;
	for (u32 i = 0; i < v->nitems; i++) {
		if (tree_find(t, OPT_IN_SERVER, v->items[i].p, &k) == NULL)
			check_unknown_name(t, item_pos(v, i), OPT_IN_SERVER, "servers", v->items[i].p);
		else if (owner[k] == c)
			msg_error(t->msgs, item_pos(v, i), "servers: %s stands twice",
				  v->items[i].p);
		else if (owner[k] != NULL)
			msg_error(t->msgs, item_pos(v, i), "servers: %s is in [cluster %s] already",
				  v->items[i].p, owner[k]->name);
		else
			owner[k] = c;
	}
	if (c->v[CLUSTER_topology].num == CFG_STANDALONE && !c->v[CLUSTER_topology].bad &&
	    v->nitems > 1)
		msg_error(t->msgs, v->pos, "servers: a standalone cluster has one server, not %u",
			  v->nitems);
}

/* schema.table, of characters that need no quotes in SQL. */
static bool
table_name_ok(const char *s)
{
	static const char legal[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$";
	size_t schema = strspn(s, legal), table;

	if (schema == 0 || schema > IDENT_MAX || s[schema] != '.')
		return false;
	s += schema + 1;
	table = strspn(s, legal);
	return table != 0 && table <= IDENT_MAX && s[table] == '\0';
}

static void
check_no_hash(struct conf_tree *t, const struct opt_value *v, const char *name)
{
	if (!v->bad && cfg_secret_kind(v->text) != CFG_PLAIN)
		msg_error(t->msgs, v->pos,
			  "%s: a hash cannot log in at a server; the password itself is needed",
			  name);
}

/* A transaction waits for its next primary as a statement does. */
static void
check_replay(struct conf_tree *t, const struct conf_section *c)
{
	const struct opt_value *v = &c->v[CLUSTER_replay_transactions], *wait = &c->v[CLUSTER_failover_timeout],
			       *buffer = &c->v[CLUSTER_failover_buffer];

	if (!v->bad && v->num != 0 && ((!wait->bad && wait->num == 0) || (!buffer->bad && buffer->num == 0)))
		msg_error(t->msgs, v->pos, "replay_transactions: needs failover_timeout and failover_buffer above 0");
}

static void
check_clusters(struct conf_tree *t)
{
	const struct conf_sections *of = &t->of[OPT_IN_CLUSTER], *servers = &t->of[OPT_IN_SERVER];
	const struct conf_section **owner = mem_alloc(t->mem, (servers->n + 1) * sizeof *owner);
	bool all_known = true; /* else "in no cluster" may be untrue */

	if (owner == NULL)
		return;
	for (size_t i = 0; i < of->n; i++) {
		const struct opt_value *beat = &of->v[i]->v[CLUSTER_heartbeat_table];

		check_cluster_servers(t, of->v[i], owner);
		all_known = all_known && !of->v[i]->v[CLUSTER_servers].bad;
		check_no_hash(t, &of->v[i]->v[CLUSTER_monitor_password], "monitor_password");
		check_replay(t, of->v[i]);
		if (beat->set && !table_name_ok(beat->text))
			msg_error(
			    t->msgs, beat->pos,
			    "heartbeat_table: expected schema.table, of letters, digits, _ and $");
	}
	if (!all_known)
		return;
	for (size_t i = 0; i < servers->n; i++) {
		bool twin = i > 0 && strcmp(servers->v[i - 1]->name, servers->v[i]->name) == 0;

		if (owner[i] == NULL && !twin)
			msg_warn(t->msgs, servers->v[i]->pos,
				 "[server %s] is in no cluster: nothing uses it",
				 servers->v[i]->name);
	}
}

/* ---- [user] ---- */

enum cfg_auth
check_auth(const struct conf_tree *t, const struct conf_section *u)
{
	u64 own = u->v[USER_auth_plugin].num;

	return (enum cfg_auth)(own == 0 ? t->margay.v[MARGAY_default_auth_plugin].num : own - 1);
}

/* What a text that begins so should have been; NULL: nothing of the kind. */
static const char *
hash_form(const struct opt_value *pw)
{
	if (pw->text[0] == '*' && pw->len == 41)
		return "40 hex digits";
	if (strncmp(pw->text, CFG_ED25519_PREFIX, strlen(CFG_ED25519_PREFIX)) == 0)
		return "43 digits of base64";
	if (strncmp(pw->text, "$A$", 3) == 0 || strncmp(pw->text, "0x244124", 8) == 0)
		return "70 bytes that caching_sha2_password would store, or their hex digits";
	return NULL;
}

/* By enum cfg_auth and by enum cfg_secret_kind: methods that can be checked with a kind of secret. */
static const char *const auth_words[] = {"mysql_native_password", "caching_sha2_password", "client_ed25519"};
static const struct {
	const char *what, *fits;
	u32 methods;
} secret_kinds[] = {
    [CFG_PLAIN] = {"the password itself", NULL, ~0u},
    [CFG_NATIVE_HASH] = {"a hash of mysql_native_password", "mysql_native_password or caching_sha2_password",
	1u << CFG_AUTH_NATIVE | 1u << CFG_AUTH_SHA2},
    [CFG_SHA2_HASH] = {"a hash of caching_sha2_password", "caching_sha2_password", 1u << CFG_AUTH_SHA2},
    [CFG_ED25519_HASH] = {"a hash of client_ed25519", "client_ed25519 or caching_sha2_password",
	1u << CFG_AUTH_ED25519 | 1u << CFG_AUTH_SHA2},
};

/* Can a client's answer be checked with what is known of the password, and can it log in at a server? */
static void
check_user_auth(struct conf_tree *t, const struct conf_section *u)
{
	const struct opt_value *pw = &u->v[USER_password];
	enum cfg_secret_kind kind = cfg_secret_kind(pw->text);
	enum cfg_auth auth = check_auth(t, u);

	if (pw->bad || u->v[USER_auth_plugin].bad || t->margay.v[MARGAY_default_auth_plugin].bad)
		return;
	if (kind == CFG_PLAIN && hash_form(pw) != NULL)
		msg_warn(t->msgs, pw->pos, "password: looks like a hash but is not %s; it is taken as it stands",
			 hash_form(pw));
	if ((secret_kinds[kind].methods & 1u << auth) == 0)
		msg_error(t->msgs, pw->pos,
			  "password: %s cannot be checked with %s: write the password itself, or set auth_plugin = %s",
			  auth_words[auth], secret_kinds[kind].what, secret_kinds[kind].fits);
	else if (auth == CFG_AUTH_ED25519 && kind != CFG_PLAIN && !u->v[USER_backend_password].given)
		msg_error(t->msgs, pw->pos,
			  "password: with client_ed25519 and a hash the password never comes by, so that nothing logs "
			  "in at the servers: add backend_password (and backend_user)");
}

static void
check_user(struct conf_tree *t, const struct conf_section *u)
{
	const struct opt_value *pw = &u->v[USER_password], *cluster = &u->v[USER_cluster];

	if (cluster->set && tree_find(t, OPT_IN_CLUSTER, cluster->text, NULL) == NULL)
		check_unknown_name(t, cluster->pos, OPT_IN_CLUSTER, "cluster", cluster->text);
	if (!pw->given)
		msg_error(t->msgs, u->pos,
			  "[user %s] has no password; password = \"\" lets it in without one",
			  u->name);
	else if (!pw->bad && pw->len == 0 && u->v[USER_allow_from].nitems == 0)
		msg_warn(t->msgs, pw->pos,
			 "[user %s] may log in without a password from anywhere: set allow_from",
			 u->name);
	if (pw->given)
		check_user_auth(t, u);
	check_no_hash(t, &u->v[USER_backend_password], "backend_password");
	check_nets(t, &u->v[USER_allow_from], "allow_from");
}

/* ---- secrets that others may read ---- */

static const struct opt_value *
plain_secret(const struct conf_section *s)
{
	const struct opt *rows;
	size_t n;

	rows = opt_rows(s->kind, &n);
	for (size_t i = 0; i < n; i++)
		if (rows[i].type == OPT_TYPE_SECRET && s->v[i].len != 0 && !s->v[i].encrypted)
			return &s->v[i];
	return NULL;
}

/* Said once for each file, at its first plain secret. */
static void
check_readable(struct conf_tree *t)
{
	const struct ini_file *told = NULL;

	for (int k = OPT_IN_SERVER; k < OPT_SECTIONS; k++)
		for (size_t i = 0; i < t->of[k].n; i++) {
			const struct conf_section *s = t->of[k].v[i];
			const struct opt_value *v = plain_secret(s);

			if (v == NULL || (s->file->mode & S_IROTH) == 0 || s->file == told)
				continue;
			told = s->file;
			msg_warn(t->msgs, v->pos,
				 "this file holds passwords and anyone may read it: chmod o-r it");
		}
}

/* ---- all ---- */

void
check_tree(struct conf_tree *t)
{
	check_margay(t);
	for (int k = OPT_IN_SERVER; k < OPT_SECTIONS; k++)
		for (size_t i = 0; i < t->of[k].n; i++) {
			check_name(t, t->of[k].v[i]);
			check_required(t, t->of[k].v[i]);
		}
	check_servers(t);
	check_clusters(t);
	for (size_t i = 0; i < t->of[OPT_IN_USER].n; i++)
		check_user(t, t->of[OPT_IN_USER].v[i]);
	shards_check(t);
	if (t->of[OPT_IN_USER].n == 0)
		msg_warn(t->msgs, (struct conf_pos){.file = t->path},
			 "no [user NAME] section: nobody can log in");
	check_readable(t);
}

struct conf_room
check_room_asked(const struct conf_tree *t)
{
	const struct opt_value *v = t->margay.v;

	return (struct conf_room){.workers = v[MARGAY_max_workers].num,
				  .servers = v[MARGAY_max_servers].num,
				  .users = v[MARGAY_max_users].num,
				  .server_connections = v[MARGAY_max_server_connections].num};
}

static void
check_count(struct conf_tree *t, enum opt_section kind, u64 most, const char *option,
	    const char *until)
{
	const struct conf_sections *of = &t->of[kind];

	if (of->n > most)
		msg_error(t->msgs, of->v[0]->pos, "%zu [%s] sections; %s%s is %" PRIu64, of->n,
			  opt_section_words[kind], option, until, most);
}

void
check_room(struct conf_tree *t, const struct conf_room *room)
{
	const char *until = room->kept ? " (until a restart)" : "";
	const struct opt_value *w = &t->margay.v[MARGAY_workers], *max;
	u64 n;

	check_count(t, OPT_IN_SERVER, room->servers, "max_servers", until);
	check_count(t, OPT_IN_USER, room->users, "max_users", until);
	if (!room->kept)
		check_count(t, OPT_IN_CLUSTER, SHM_MAX_CLUSTERS, "the most", until);
	if (!room->kept && check_workers(w->text, &n) && n > room->workers)
		msg_error(t->msgs, w->pos, "workers: %" PRIu64 "; max_workers is %" PRIu64, n,
			  room->workers);
	for (size_t i = 0; i < t->of[OPT_IN_SERVER].n; i++) {
		const struct conf_section *s = t->of[OPT_IN_SERVER].v[i];

		max = &s->v[SERVER_max_connections];
		if (!max->bad && max->num > room->server_connections)
			msg_error(t->msgs, max->given ? max->pos : s->pos,
				  "[server %s] max_connections is %" PRIu64
				  "; max_server_connections%s is %" PRIu64,
				  s->name, max->num, until, room->server_connections);
	}
}
