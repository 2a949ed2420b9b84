/* conf/snap.c: see snap.h. Buffers grow while they are filled, so nothing holds a pointer into
 * them: records are filled beside them and copied to the place that was kept for them.
 */
#include "conf/snap.h"
#include "base/check.h"
#include "base/err.h"
#include "base/str.h"
#include "base/tls.h"
#include "conf/addr.h"
#include "conf/check.h"
#include "conf/cpus.h"
#include "conf/shards.h"
#include "conf/tls.h"

/* A session record takes about 500 bytes of each worker's segment: with very many clients twice
 * their number is no longer kept ready. */
#define SESSIONS_DOUBLED_TO 262144u

struct blob {
	u8 *p;
	size_t len, room;
	bool failed;
};
struct snap {
	struct conf_tree *t;
	const struct snap_args *a;
	struct blob cfg, secrets;
};

/* ---- buffers ---- */

/* Keeps n zeroed bytes, aligned to 8; their offset, 0 when it failed. */
static u32
blob_keep(struct blob *b, size_t n)
{
	size_t at = (b->len + 7) & ~(size_t)7, room;
	u8 *p;

	if (b->failed || n > UINT32_MAX / 2 || at + n > UINT32_MAX / 2) {
		b->failed = true;
		return 0;
	}
	if (at + n > b->room) {
		room = MAX(b->room * 2, at + n + 4096);
		p = calloc(1, room); /* not realloc: it would leave secrets in freed memory */
		if (p == NULL) {
			b->failed = true;
			return 0;
		}
		if (b->p != NULL) {
			memcpy(p, b->p, b->len);
			mem_wipe(b->p, b->room);
			free(b->p);
		}
		b->p = p;
		b->room = room;
	}
	b->len = at + n;
	return (u32)at;
}

static void
blob_set(struct blob *b, u32 off, const void *p, size_t n)
{
	if (!b->failed && n != 0)
		memcpy(b->p + off, p, n);
}

static u32
blob_put(struct blob *b, const void *p, size_t n)
{
	u32 off = blob_keep(b, n);

	blob_set(b, off, p, n);
	return off;
}

static void
blob_drop(struct blob *b)
{
	if (b->p != NULL)
		mem_wipe(b->p, b->room);
	free(b->p);
	memset(b, 0, sizeof *b);
}

static struct cfg_str
put_str(struct snap *s, const char *text, u32 len)
{
	return (struct cfg_str){.off = blob_put(&s->cfg, text, len + 1), .len = len};
}

/* ---- records ---- */

static struct cfg_list
put_list(struct snap *s, const struct opt_value *v)
{
	struct cfg_list l = {.n = v->nitems};

	if (v->nitems == 0)
		return l;
	l.off = blob_keep(&s->cfg, v->nitems * sizeof(struct cfg_str));
	for (u32 i = 0; i < v->nitems; i++) {
		struct cfg_str item = put_str(s, v->items[i].p, v->items[i].len);

		blob_set(&s->cfg, l.off + i * (u32)sizeof item, &item, sizeof item);
	}
	return l;
}

/* All options of a section into rec, one of struct cfg_margay ... cfg_user. */
static void
put_options(struct snap *s, const struct conf_section *from, void *rec)
{
	const struct opt *o;
	size_t n;

	o = opt_rows(from->kind, &n);
	for (size_t i = 0; i < n; i++) {
		const struct opt_value *v = &from->v[i];
		void *at = (u8 *)rec + o[i].off;

		if (o[i].type == OPT_TYPE_LIST) {
			struct cfg_list l = put_list(s, v);

			memcpy(at, &l, sizeof l);
		} else if (o[i].type == OPT_TYPE_STR && v->set) {
			struct cfg_str t = put_str(s, v->text, v->len);

			memcpy(at, &t, sizeof t);
		} else if (o[i].type == OPT_TYPE_SECRET && v->set) {
			struct cfg_secret t = {.off = blob_put(&s->secrets, v->text, v->len + 1),
					       .len = v->len};

			memcpy(at, &t, sizeof t);
		} else if (o[i].type < OPT_TYPE_STR) {
			memcpy(at, &v->num, sizeof v->num);
		}
	}
}

static u32
put_nets(struct snap *s, const struct opt_value *v)
{
	u32 off = blob_keep(&s->cfg, v->nitems * sizeof(struct cfg_net));

	for (u32 i = 0; i < v->nitems; i++) {
		struct conf_net n;
		struct cfg_net rec = {0};

		AZ(net_parse(v->items[i].p, &n));
		rec.family = n.family;
		rec.prefix = n.prefix;
		memcpy(rec.addr, n.addr, sizeof rec.addr);
		blob_set(&s->cfg, off + i * (u32)sizeof rec, &rec, sizeof rec);
	}
	return off;
}

static void
put_pem(struct snap *s, const struct conf_pem *from, struct cfg_pem *to)
{
	const char *const texts[] = {from->cert, from->key, from->ca, from->crl, from->rsa};
	struct cfg_secret *const places[] = {&to->cert, &to->key, &to->ca, &to->crl, &to->rsa};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t n = texts[i] == NULL ? 0 : strlen(texts[i]);

		if (n > 0)
			*places[i] = (struct cfg_secret){.off = blob_put(&s->secrets, texts[i], n + 1), .len = (u32)n};
	}
}

/* Tickets stay good over reloads: what their keys are made from is that of the generation before. */
static void
put_ticket(struct snap *s, struct cfg_margay *m)
{
	const struct cfg *prev = s->a->previous;
	char made[CONF_TICKET_DIGITS + 1];
	const char *text = prev != NULL && prev->s != NULL ? cfg_secret_text(prev, prev->r->margay.tls_ticket) : "";

	if (text[0] == '\0') {
		if (!conf_tls_ticket(made))
			return; /* no tickets */
		text = made;
	}
	m->tls_ticket.len = (u32)strlen(text);
	m->tls_ticket.off = blob_put(&s->secrets, text, m->tls_ticket.len + 1);
	mem_wipe(made, sizeof made);
}

/* A client that has kept the public key goes on with it after a reload. */
static void
put_rsa(struct snap *s, struct cfg_margay *m)
{
	const struct conf_sections *users = &s->t->of[OPT_IN_USER];
	const struct cfg *prev = s->a->previous;
	char made[TLS_RSA_PEM] = "";
	const char *text = prev != NULL && prev->s != NULL ? cfg_secret_text(prev, prev->r->margay.rsa_key) : "";
	bool used = false;

	for (size_t i = 0; i < users->n && !used; i++)
		used = check_auth(s->t, users->v[i]) == CFG_AUTH_SHA2;
	if (used && text[0] == '\0') {
		if (!tls_rsa_make(made))
			msg_warn(s->t->msgs, s->t->margay.pos,
				 "no RSA key could be made: caching_sha2_password works over TLS and Unix sockets only");
		text = made;
	}
	if (text[0] != '\0') {
		m->rsa_key.len = (u32)strlen(text);
		m->rsa_key.off = blob_put(&s->secrets, text, m->rsa_key.len + 1);
	}
	mem_wipe(made, sizeof made);
}

/* ---- ids that last ---- */

struct named {
	const char *name;
	u32 id;
};

/* Names and ids of one kind in the previous generation. */
static struct named *
previous_names(struct snap *s, enum opt_section kind, size_t *n_r)
{
	const struct cfg *c = s->a->previous;
	struct named *v;
	u32 n = 0;

	*n_r = 0;
	if (c == NULL)
		return NULL;
	n = kind == OPT_IN_SERVER    ? c->r->nservers
	    : kind == OPT_IN_CLUSTER ? c->r->nclusters
				     : c->r->nusers;
	v = mem_alloc(s->t->mem, (n + 1) * sizeof *v);
	if (v == NULL)
		return NULL;
	for (u32 i = 0; i < n; i++) {
		if (kind == OPT_IN_SERVER)
			v[i] = (struct named){cfg_text(c, cfg_servers(c)[i].section_name),
					      cfg_servers(c)[i].id};
		else if (kind == OPT_IN_CLUSTER)
			v[i] = (struct named){cfg_text(c, cfg_clusters(c)[i].section_name),
					      cfg_clusters(c)[i].id};
		else
			v[i] = (struct named){cfg_text(c, cfg_users(c)[i].section_name),
					      cfg_users(c)[i].id};
	}
	*n_r = n;
	return v;
}

static int
by_named(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

/* An id for each section of a kind. A name keeps its id; a new name gets one that nobody has or had
 * in the generation before, if there is such, so that the two generations in use at once never mean
 * two things by it. */
static u32 *
ids_assign(struct snap *s, enum opt_section kind, size_t room)
{
	enum { FREE, HAD, TAKEN };
	const struct conf_sections *of = &s->t->of[kind];
	u32 *ids = mem_alloc(s->t->mem, (of->n + 1) * sizeof *ids);
	u8 *state = mem_alloc(s->t->mem, room + 1);
	size_t n, next[2] = {0, 0};
	struct named *prev = previous_names(s, kind, &n), *found;

	if (ids == NULL || state == NULL || (prev == NULL && s->a->previous != NULL))
		return NULL;
	if (n > 1)
		qsort(prev, n, sizeof *prev, by_named);
	for (size_t i = 0; i < n; i++)
		if (prev[i].id < room)
			state[prev[i].id] = HAD;
	for (size_t i = 0; i < of->n; i++) {
		struct named key = {of->v[i]->name, 0};

		found = n == 0 ? NULL : bsearch(&key, prev, n, sizeof *prev, by_named);
		ids[i] = found != NULL && found->id < room ? found->id : UINT32_MAX;
		if (ids[i] != UINT32_MAX)
			state[ids[i]] = TAKEN;
	}
	for (size_t i = 0; i < of->n; i++)
		for (u8 want = FREE; ids[i] == UINT32_MAX && want <= HAD; want++) {
			while (next[want] < room && state[next[want]] != want)
				next[want]++;
			if (next[want] < room) {
				ids[i] = (u32)next[want];
				state[ids[i]] = TAKEN;
			}
		}
	return ids;
}

/* ---- sections ---- */

static int
put_servers(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of = &s->t->of[OPT_IN_SERVER];
	u32 *ids = ids_assign(s, OPT_IN_SERVER, r->caps.max_servers);
	u32 *cluster = mem_alloc(s->t->mem, (of->n + 1) * sizeof *cluster);
	size_t k;

	if (ids == NULL || cluster == NULL)
		return ERR_NOMEM;
	memset(cluster, 0xff, (of->n + 1) * sizeof *cluster);
	for (size_t i = 0; i < s->t->of[OPT_IN_CLUSTER].n; i++) {
		const struct opt_value *v = &s->t->of[OPT_IN_CLUSTER].v[i]->v[CLUSTER_servers];

		for (u32 j = 0; j < v->nitems; j++)
			if (tree_find(s->t, OPT_IN_SERVER, v->items[j].p, &k) != NULL)
				cluster[k] = (u32)i;
	}
	r->nservers = (u32)of->n;
	r->servers_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_server));
	for (size_t i = 0; i < of->n; i++) {
		struct cfg_server rec = {.id = ids[i], .pool_slot = ids[i], .cluster = cluster[i]};

		if (s->a->pool_slot != NULL) {
			int slot = s->a->pool_slot(s->a->arg, of->v[i]->v[SERVER_address].text);

			if (slot < 0)
				return slot;
			rec.pool_slot = (u32)slot;
		}
		put_options(s, of->v[i], &rec);
		put_pem(s, &of->v[i]->pem, &rec.pem);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		blob_set(&s->cfg, r->servers_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
	return 0;
}

static int
put_clusters(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of = &s->t->of[OPT_IN_CLUSTER];
	u32 *ids = ids_assign(s, OPT_IN_CLUSTER, SHM_MAX_CLUSTERS);
	size_t k;

	if (ids == NULL)
		return ERR_NOMEM;
	r->nclusters = (u32)of->n;
	r->clusters_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_cluster));
	for (size_t i = 0; i < of->n; i++) {
		const struct opt_value *v = &of->v[i]->v[CLUSTER_servers];
		struct cfg_cluster rec = {.id = ids[i], .nservers = v->nitems};

		put_options(s, of->v[i], &rec);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		rec.servers_off = blob_keep(&s->cfg, v->nitems * sizeof(u32));
		for (u32 j = 0; j < v->nitems; j++) {
			u32 index;

			AN(tree_find(s->t, OPT_IN_SERVER, v->items[j].p, &k));
			index = (u32)k;
			blob_set(&s->cfg, rec.servers_off + j * (u32)sizeof index, &index,
				 sizeof index);
		}
		blob_set(&s->cfg, r->clusters_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
	return 0;
}

static int
put_users(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of =
	    &s->t->of[OPT_IN_USER]; /* sorted by name, as the reader wants them */
	u32 *ids = ids_assign(s, OPT_IN_USER, r->caps.max_users);
	size_t k;

	if (ids == NULL)
		return ERR_NOMEM;
	r->nusers = (u32)of->n;
	r->users_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_user));
	for (size_t i = 0; i < of->n; i++) {
		const struct opt_value *v = of->v[i]->v;
		struct cfg_user rec = {.id = ids[i], .nnets = v[USER_allow_from].nitems};

		put_options(s, of->v[i], &rec);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		AN(tree_find(s->t, OPT_IN_CLUSTER, v[USER_cluster].text, &k));
		rec.cluster_idx = (u32)k;
		rec.nets_off = put_nets(s, &v[USER_allow_from]);
		blob_set(&s->cfg, r->users_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
	return 0;
}

static void
put_schemas(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of = &s->t->of[OPT_IN_SCHEMA];
	size_t k;

	r->nschemas = (u32)of->n;
	r->schemas_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_schema));
	for (size_t i = 0; i < of->n; i++) {
		struct cfg_schema rec = {0};

		put_options(s, of->v[i], &rec);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		AN(tree_find(s->t, OPT_IN_SHARD, of->v[i]->v[SCHEMA_shard].text, &k));
		rec.shard_idx = (u32)k;
		blob_set(&s->cfg, r->schemas_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
}

static void
put_shards(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of = &s->t->of[OPT_IN_SHARD];
	size_t k;

	r->nshards = (u32)of->n;
	r->shards_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_shard));
	for (size_t i = 0; i < of->n; i++) {
		struct cfg_shard rec = {0};

		put_options(s, of->v[i], &rec);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		AN(tree_find(s->t, OPT_IN_CLUSTER, of->v[i]->v[SHARD_cluster].text, &k));
		rec.cluster_idx = (u32)k;
		blob_set(&s->cfg, r->shards_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
}

static int
put_tables(struct snap *s, struct cfg_root *r)
{
	const struct conf_sections *of = &s->t->of[OPT_IN_TABLE];
	u32 *places;

	r->ntables = (u32)of->n;
	r->tables_off = blob_keep(&s->cfg, of->n * sizeof(struct cfg_table));
	for (size_t i = 0; i < of->n; i++) {
		const char *point = strchr(of->v[i]->name, '.');
		struct cfg_table rec = {0};
		size_t n, k;

		places = shards_of_table(s->t, of->v[i], &n);
		if (places == NULL)
			return ERR_NOMEM;
		put_options(s, of->v[i], &rec);
		rec.section_name = put_str(s, of->v[i]->name, (u32)strlen(of->v[i]->name));
		rec.name = put_str(s, point + 1, (u32)strlen(point + 1));
		AN(shards_schema_of(s->t, of->v[i], &k));
		rec.schema_idx = (u32)k;
		rec.nplaces = (u32)n;
		rec.places_off = blob_put(&s->cfg, places, n * sizeof *places);
		blob_set(&s->cfg, r->tables_off + (u32)(i * sizeof rec), &rec, sizeof rec);
	}
	return 0;
}

static void
put_listens(struct snap *s, struct cfg_root *r)
{
	const struct opt_value *v = &s->t->margay.v[MARGAY_listen];

	r->nlistens = v->nitems;
	r->listens_off = blob_keep(&s->cfg, v->nitems * sizeof(struct cfg_listen));
	for (u32 i = 0; i < v->nitems; i++) {
		struct cfg_listen rec = {.fd_index = i};
		struct conf_addr a;

		char address[ADDR_HOST_MAX + 16];
		size_t len;

		AZ(listen_parse(v->items[i].p, &a, &len, &rec.tls));
		rec.kind = a.kind;
		(void)str_copy_slice(address, sizeof address, v->items[i].p, len);
		rec.text = put_str(s, address, (u32)len);
		blob_set(&s->cfg, r->listens_off + i * (u32)sizeof rec, &rec, sizeof rec);
	}
}

/* ---- capacities ---- */

static u32
sessions_room(u64 max_clients)
{
	u64 n = MAX(MIN(2 * max_clients, (u64)SESSIONS_DOUBLED_TO), max_clients);

	return (u32)n;
}

static void
caps_set(struct snap *s, struct cfg_root *r)
{
	struct opt_value *v = s->t->margay.v, *clients = &v[MARGAY_max_clients];
	u64 n;

	if (s->a->previous != NULL) {
		r->caps = s->a->previous->r->caps;
		r->margay.nworkers = s->a->previous->r->margay.nworkers;
	} else {
		r->caps = (struct shm_caps){.max_servers = (u32)v[MARGAY_max_servers].num,
					    .max_workers = (u32)v[MARGAY_max_workers].num,
					    .max_users = (u32)v[MARGAY_max_users].num,
					    .max_sessions = sessions_room(clients->num),
					    .max_cells = (u32)v[MARGAY_max_server_connections].num,
					    .max_digests = (u32)v[MARGAY_max_digests].num,
					    .catalog_size = (u32)v[MARGAY_catalog_size].num};
		AN(check_workers(v[MARGAY_workers].text, &n));
		r->margay.nworkers =
		    (u32)MIN(n != 0 ? n : MAX(s->a->cpus, 1u), v[MARGAY_max_workers].num);
	}
	if (clients->num > r->caps.max_sessions) {
		msg_warn(s->t->msgs, clients->pos,
			 "max_clients: room for %u was made at start; that many until a restart",
			 r->caps.max_sessions);
		clients->num = r->caps.max_sessions;
	}
}

/* ---- RESTART options ---- */

/* Takes one value out of the previous generation; true if the file says something else. */
static bool
keep_one(struct conf_tree *t, const struct opt *o, struct opt_value *v, const struct cfg *prev,
	 char *kept, size_t size)
{
	const void *at = (const u8 *)&prev->r->margay + o->off;
	struct cfg_str old;
	u64 num;
	bool differs;

	if (o->type == OPT_TYPE_STR) {
		memcpy(&old, at, sizeof old);
		differs = strcmp(cfg_text(prev, old), v->text) != 0;
		(void)str_copy(kept, size, old.off == 0 ? "\"\"" : cfg_text(prev, old));
		v->text = mem_dup(t->mem, cfg_text(prev, old), old.len);
		v->len = old.len;
		v->set = old.off != 0;
		if (v->text == NULL)
			v->text = "";
	} else {
		AN(o->type < OPT_TYPE_STR); /* a list or secret that needs a restart: write its
					       comparison first */
		memcpy(&num, at, sizeof num);
		differs = num != v->num;
		opt_num_print(o, num, kept, size);
		v->num = num;
	}
	return differs;
}

void
snap_keep_restart(struct conf_tree *t, const struct cfg *previous)
{
	const struct opt *o;
	size_t n;

	o = opt_rows(OPT_IN_MARGAY, &n);
	for (size_t i = 0; i < n; i++) {
		struct opt_value *v = &t->margay.v[i];
		char kept[256];

		if (o[i].reload != OPT_RELOAD_RESTART ||
		    !keep_one(t, &o[i], v, previous, kept, sizeof kept))
			continue;
		msg_warn(t->msgs, v->given ? v->pos : t->margay.pos,
			 "changed %s needs a restart, kept %s", o[i].name, kept);
	}
}

/* ---- the whole ---- */

static int
snap_fill(struct snap *s)
{
	struct cfg_root r = {0};
	struct cfg_secrets sec = {
	    .magic = SHM_MAGIC_SECRET, .abi = shm_abi, .generation = s->a->generation};
	int rc;

	(void)blob_keep(&s->cfg, sizeof r);
	(void)blob_keep(&s->secrets, sizeof sec);
	caps_set(s, &r);
	put_options(s, &s->t->margay, &r.margay);
	r.margay.nproxy_nets = s->t->margay.v[MARGAY_proxy_protocol_networks].nitems;
	r.margay.proxy_nets_off = put_nets(s, &s->t->margay.v[MARGAY_proxy_protocol_networks]);
	put_pem(s, &s->t->margay.pem, &r.margay.pem);
	put_ticket(s, &r.margay);
	put_rsa(s, &r.margay);
	rc = put_servers(s, &r);
	if (rc == 0)
		rc = put_clusters(s, &r);
	if (rc == 0)
		rc = put_users(s, &r);
	put_listens(s, &r);
	put_schemas(s, &r);
	put_shards(s, &r);
	if (rc == 0)
		rc = put_tables(s, &r);
	(void)blob_keep(&s->cfg, 0); /* sizes are multiples of 8 */
	(void)blob_keep(&s->secrets, 0);
	r.h.magic = SHM_MAGIC_CONFIG;
	r.h.abi = shm_abi;
	r.h.size = s->cfg.len;
	r.h.epoch = s->a->epoch;
	r.h.generation = s->a->generation;
	sec.size = s->secrets.len;
	blob_set(&s->cfg, 0, &r, sizeof r);
	blob_set(&s->secrets, 0, &sec, sizeof sec);
	return rc;
}

int
snap_build(struct conf_tree *t, const struct snap_args *a, struct snap_out *out_r)
{
	struct snap s = {.t = t, .a = a};
	int rc = snap_fill(&s);

	if (rc == 0 && (s.cfg.failed || s.secrets.failed || t->mem->oom))
		rc = ERR_NOMEM;
	if (rc != 0) {
		blob_drop(&s.cfg);
		blob_drop(&s.secrets);
		return rc;
	}
	*out_r = (struct snap_out){.cfg = s.cfg.p,
				   .cfg_size = s.cfg.len,
				   .secrets = s.secrets.p,
				   .secrets_size = s.secrets.len};
	return 0;
}
