/* worker/adopt.c: takes over a configuration generation between two events. What a session needs later it finds
 * by id or name in the generation then in force. Runs in a worker.
 */
#include "base/str.h"
#include "worker/sess.h"

static void
adopt_servers(struct worker *w)
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
		s->cluster = c->cluster != UINT32_MAX ? cfg_clusters(&w->cfg)[c->cluster].id : 0;
	}
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
	if (w->have_cfg)
		cfg_close(&w->cfg);
	w->cfg = n;
	w->have_cfg = true;
	w->gen = gen;
	w->version_until = 0;
	log_set_generation(gen);
	adopt_servers(w);
	__atomic_store_n(&w->seg->h.generation, gen, __ATOMIC_RELEASE);
	return true;
}
