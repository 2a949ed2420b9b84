/* worker/adopt.c: takes over a configuration generation between two events. What a session needs later it finds
 * by id or name in the generation then in force. Runs in a worker.
 */
#include "base/str.h"
#include "proto/auth.h"
#include "worker/sess.h"

static struct tls_ctx *
make_ctx(const struct cfg *c, const struct cfg_pem *pem, bool accept, bool verify)
{
	const struct cfg_margay *m = &c->r->margay;
	struct tls_opts o = {.cert = cfg_secret_text(c, pem->cert), .key = cfg_secret_text(c, pem->key), .ca = cfg_secret_text(c, pem->ca),
	    .crl = cfg_secret_text(c, pem->crl), .ciphers = cfg_text(c, m->tls_ciphers),
	    .suites = cfg_text(c, m->tls_ciphersuites), .accept = accept, .verify = verify,
	    .tls13 = m->tls_min_version == 1};
	char why[256];
	struct tls_ctx *t = tls_ctx_get(&o, accept ? cfg_secret_text(c, m->tls_ticket) : "", why, sizeof why);

	if (t == NULL)
		log_err("TLS: %s", why);
	return t;
}

static bool
offers_tls(const struct cfg *c)
{
	for (u32 i = 0; i < c->r->nlistens; i++) {
		u32 own = cfg_listens(c)[i].tls;

		if ((own != 0 ? own - 1 : c->r->margay.tls) != CFG_TLS_OFF)
			return true;
	}
	return false;
}

/* The contexts of a generation, before anything of it is in force. v: one for each server, and one for clients. */
static bool
make_contexts(const struct cfg *c, struct tls_ctx **v)
{
	const struct cfg_margay *m = &c->r->margay;
	u32 n = c->r->nservers;

	if (offers_tls(c) && m->pem.cert.off != 0 && (v[n] = make_ctx(c, &m->pem, true, false)) == NULL)
		return false;
	for (u32 i = 0; i < n; i++) {
		const struct cfg_server *s = &cfg_servers(c)[i];

		if (s->tls != CFG_STLS_OFF && (v[i] = make_ctx(c, &s->pem, false, s->tls >= CFG_STLS_CA)) == NULL)
			return false;
	}
	return true;
}

/* Takes the reference. Connections that were made under other settings are used up. */
static void
adopt_server_tls(struct wserver *s, const struct cfg_server *c, struct tls_ctx *ctx)
{
	const struct cfg *cfg = &s->w->cfg;
	char host[256], name[256];
	u32 port;

	if (address_split(cfg_text(cfg, c->address), host, sizeof host, &port) != 0 || host[0] == '/')
		host[0] = '\0';
	str_copy(name, sizeof name, c->tls_name.off != 0 ? cfg_text(cfg, c->tls_name) : host);
	if (ctx != s->tls || c->tls != s->tls_mode || strcmp(name, s->tls_name) != 0) {
		bpool_renew(s, "its TLS settings have changed");
		tls_resume_clear(&s->resume);
	}
	tls_ctx_put(s->tls);
	s->tls = ctx;
	s->tls_mode = (u32)c->tls;
	str_copy(s->tls_name, sizeof s->tls_name, name);
	/* a name is told to the server, a number is not */
	str_copy(s->tls_sni, sizeof s->tls_sni,
	    strspn(name, "0123456789.") == strlen(name) || strchr(name, ':') != NULL ? "" : name);
}

/* Connections that lack the tracker are used up. */
static void
adopt_track_trx(struct wserver *s, bool on)
{
	if (on && !s->track_trx)
		list_for_each_safe(k, t, &s->conns) {
			struct bconn *b = LIST_ENTRY(k, struct bconn, node);

			b->in_trouble = true;
			if (b->state == BCONN_IDLE)
				bconn_close(b, "replay_transactions was switched on");
		}
	s->track_trx = on;
}

static void
adopt_servers(struct worker *w, struct tls_ctx **ctx)
{
	const struct cfg_server *all = cfg_servers(&w->cfg);

	for (u32 i = 0; i < w->max_servers; i++)
		w->srv[i].configured = false;
	for (u32 i = 0; i < w->cfg.r->nservers; i++) {
		const struct cfg_server *c = &all[i];

		if (c->id >= w->max_servers)
			continue;
		struct wserver *s = &w->srv[c->id];

		/* another address under the same name: connections to the old one are used up as they are
		 * given back */
		if (s->nconns > 0 && s->pool_slot != c->pool_slot)
			list_for_each(k, &s->conns)
				LIST_ENTRY(k, struct bconn, node)->in_trouble = true;
		s->configured = true;
		if (s->nconns == 0)
			s->pool_slot = c->pool_slot;
		str_copy(s->name, sizeof s->name, cfg_text(&w->cfg, c->section_name));
		s->weight = (u32)c->weight;
		s->max_connections = c->max_connections;
		s->pool_size = c->pool_size;
		s->pool_grow_ns = c->pool_grow_delay * MS_NS;
		s->pool_idle_ns = c->pool_idle_timeout * MS_NS;
		s->pool_age_ns = c->pool_max_age * MS_NS;
		s->max_prepared = c->max_prepared;
		s->connect_ns = c->connect_timeout * MS_NS;
		s->zip = (u32)c->compression;
		s->zip_level = (u32)c->compression_level;
		adopt_server_tls(s, c, ctx[i]);
		if (s->proxy != (c->proxy_protocol == CFG_PROXY_V2)) {
			s->proxy = !s->proxy;
			bpool_renew(s, "its proxy_protocol has changed");
		}
		ctx[i] = NULL;
		s->cluster = c->cluster != UINT32_MAX ? cfg_clusters(&w->cfg)[c->cluster].id : 0;
		adopt_track_trx(s, c->cluster != UINT32_MAX && cfg_clusters(&w->cfg)[c->cluster].replay_transactions);
	}
}

/* What clients have encrypted for the key of before is read by the key of now: they are the same but after a restart. */
static void
adopt_rsa(struct worker *w)
{
	const char *pem = cfg_secret_text(&w->cfg, w->cfg.r->margay.rsa_key);

	if (auth_rsa_is(w->rsa, pem))
		return;
	auth_rsa_put(w->rsa);
	w->rsa = pem[0] == '\0' ? NULL : auth_rsa_get(pem);
	if (w->rsa == NULL && pem[0] != '\0')
		log_err("the RSA key cannot be used: passwords of caching_sha2_password cannot come encrypted");
}

static void
drop_contexts(struct tls_ctx **v, u32 n)
{
	for (u32 i = 0; v != NULL && i < n; i++)
		tls_ctx_put(v[i]);
	free(v);
}

bool
adopt_config(struct worker *w, int fd, int sfd, u64 gen)
{
	struct cfg n;
	int rc = cfg_open(fd, sfd, &n);

	if (rc != 0) {
		log_err("generation %llu cannot be adopted: %s", (unsigned long long)gen, err_text(rc));
		return false;
	}
	u32 nctx = n.r->nservers + 1;
	struct tls_ctx **ctx = calloc(nctx, sizeof *ctx);
	bool ok = ctx != NULL && make_contexts(&n, ctx);

	if (!ok) {
		log_err("generation %llu cannot be adopted", (unsigned long long)gen);
		drop_contexts(ctx, nctx);
		cfg_close(&n);
		return false;
	}
	if (w->have_cfg)
		cfg_close(&w->cfg);
	w->cfg = n;
	w->have_cfg = true;
	w->gen = gen;
	w->version_until = 0;
	w->slow_ns = cfg_text(&n, n.r->margay.slow_log)[0] == '\0' ? UINT64_MAX : n.r->margay.slow_log_time * MS_NS;
	plan_renew(w);
	log_set_generation(gen);
	tls_ctx_put(w->tls);
	w->tls = ctx[nctx - 1];
	ctx[nctx - 1] = NULL;
	adopt_rsa(w);
	adopt_servers(w, ctx);
	drop_contexts(ctx, nctx);
	__atomic_store_n(&w->seg->h.generation, gen, __ATOMIC_RELEASE);
	return true;
}
