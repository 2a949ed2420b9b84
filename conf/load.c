/* conf/load.c: see conf.h. Puts reader, checks, decryption and snapshot together. */
#include "base/err.h"
#include "base/str.h"
#include "conf/check.h"
#include "conf/conf.h"
#include "conf/cpus.h"
#include "conf/crypt.h"
#include "conf/tls.h"

/* ---- encrypted secrets ---- */

struct decrypter {
	struct conf_tree *t;
	struct crypt_key key;
	bool have_key, key_failed;
};

/* The key is read when the first secret asks for it; its errors are told once. */
static bool
key_get(struct decrypter *d, const struct opt_value *wanted_by)
{
	const struct opt_value *file = &d->t->margay.v[MARGAY_key_file];
	char why[512];

	if (d->have_key || d->key_failed)
		return d->have_key;
	if (file->bad) {
		d->key_failed = true;
	} else if (!file->set) {
		d->key_failed = true;
		msg_error(d->t->msgs, wanted_by->pos, "encrypted, but [margay] has no key_file");
	} else if (crypt_key_read(file->text, &d->key, why, sizeof why) != NULL) {
		d->key_failed = true;
		msg_error(d->t->msgs, file->pos, "key_file: %s", why);
	} else {
		d->have_key = true;
	}
	return d->have_key;
}

static void
secret_decrypt(struct decrypter *d, const struct opt *o, struct opt_value *v)
{
	char plain[CRYPT_SECRET_MAX + 1];
	size_t len;
	int rc;

	if (!key_get(d, v)) {
		v->bad = true;
		return;
	}
	rc = crypt_decrypt(&d->key, v->text, plain, &len);
	if (rc == 0 && memchr(plain, '\0', len) != NULL)
		rc = ERR_INVAL;
	if (rc == 0) {
		v->text = mem_dup(d->t->mem, plain, len);
		v->len = (u32)len;
		if (v->text == NULL)
			v->text = "";
	} else {
		v->bad = true;
		msg_error(d->t->msgs, v->pos, "%s: %s", o->name,
			  rc == ERR_ACCESS
			      ? "cannot be decrypted: another key, or the text was changed"
			  : rc == ERR_INVAL ? "not what margayctl encrypt writes"
					    : "decryption failed");
	}
	mem_wipe(plain, sizeof plain);
}

static void
secrets_decrypt(struct conf_tree *t)
{
	struct decrypter d = {.t = t};

	for (int k = OPT_IN_SERVER; k < OPT_SECTIONS; k++) {
		size_t n;
		const struct opt *o = opt_rows((enum opt_section)k, &n);

		for (size_t i = 0; i < t->of[k].n; i++)
			for (size_t j = 0; j < n; j++)
				if (o[j].type == OPT_TYPE_SECRET && t->of[k].v[i]->v[j].encrypted)
					secret_decrypt(&d, &o[j], &t->of[k].v[i]->v[j]);
	}
	mem_wipe(&d.key, sizeof d.key);
}

/* ---- loading ---- */

static void
tree_judge(struct conf_tree *t, const struct cfg *previous)
{
	struct conf_room room = check_room_asked(t);

	secrets_decrypt(t);
	check_tree(t);
	conf_tls_check(t);
	check_room(t, &room);
	/* a file that was cut to nothing must not take everything away at a reload */
	if (previous != NULL && previous->r->nservers > 0 && t->of[OPT_IN_SERVER].n == 0 &&
	    t->of[OPT_IN_CLUSTER].n == 0 && t->of[OPT_IN_USER].n == 0)
		msg_error(t->msgs, (struct conf_pos){.file = t->path},
			  "no [server], [cluster] or [user] section is left: an empty file is not taken");
	if (previous == NULL || t->msgs->errors != 0)
		return;
	snap_keep_restart(t, previous);
	room = check_room_asked(t);
	room.kept = true;
	check_room(t, &room);
}

int
conf_load(const char *path, const struct conf_args *a, struct conf_result *r)
{
	struct mem mem = {0};
	struct conf_tree t = {.mem = &mem, .msgs = &r->msgs};
	struct snap_args sa = {.previous = a->previous,
			       .generation = a->generation,
			       .epoch = a->epoch,
			       .cpus = a->cpus != 0 ? a->cpus : cpus_usable(),
			       .pool_slot = a->pool_slot,
			       .arg = a->arg};
	int rc;

	memset(r, 0, sizeof *r);
	rc = tree_read(&t, path);
	if (rc == 0)
		tree_judge(&t, a->previous);
	if (rc == 0 && mem.oom)
		rc = ERR_NOMEM;
	if (rc == 0 && r->msgs.errors != 0)
		rc = ERR_CONFIG;
	if (rc == 0)
		rc = snap_build(&t, &sa, &r->snap);
	msg_sort(&r->msgs);
	mem_free(&mem);
	return rc;
}

void
conf_snap_free(struct snap_out *s)
{
	if (s->cfg != NULL)
		mem_wipe(s->cfg, s->cfg_size);
	if (s->secrets != NULL)
		mem_wipe(s->secrets, s->secrets_size);
	free(s->cfg);
	free(s->secrets);
	memset(s, 0, sizeof *s);
}

void
conf_result_free(struct conf_result *r)
{
	conf_snap_free(&r->snap);
	msg_free(&r->msgs);
}

/* ---- for tools ---- */

struct quick {
	struct conf_dirs *d;
	struct mem *mem;
	struct conf_msgs *msgs; /* of the options that matter */
};

static void
on_quick_section(void *arg UNUSED, struct ini_section *s UNUSED)
{
}

/* Where the value of an option goes, and its room; NULL: it does not matter here. */
static char *
quick_place(struct conf_dirs *d, const char *name, size_t *room_r)
{
	const struct {
		const char *name;
		char *p;
		size_t room;
	} places[] = {{"runtime_dir", d->runtime_dir, sizeof d->runtime_dir},
		      {"state_dir", d->state_dir, sizeof d->state_dir},
		      {"key_file", d->key_file, sizeof d->key_file},
		      {"user", d->user, sizeof d->user},
		      {"group", d->group, sizeof d->group}};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		*room_r = places[i].room;
		if (strcmp(places[i].name, name) == 0)
			return places[i].p;
	}
	return NULL;
}

static void
on_quick_option(void *arg, const struct ini_section *s, const struct ini_option *o)
{
	struct quick *q = arg;
	size_t room;
	char *to = quick_place(q->d, o->name, &room);
	bool path = to != q->d->user && to != q->d->group;
	struct opt_value v;

	if (strcmp(s->kind, "margay") != 0 || to == NULL)
		return;
	opt_parse(opt_find(OPT_IN_MARGAY, o->name), o, q->mem, q->msgs, &v);
	if (v.bad)
		return;
	if (path && v.text[0] != '/' && (v.set || to != q->d->key_file))
		msg_error(q->msgs, v.pos, "%s: a path that begins with / is needed", o->name);
	else if (!str_copy(to, room, v.text))
		msg_error(q->msgs, v.pos, "%s: too long", o->name);
}

static bool
on_quick_is_list(void *arg UNUSED, const char *kind UNUSED, const char *name UNUSED)
{
	return false;
}

int
conf_quick(const char *path, struct conf_dirs *d_r, char *why, size_t size)
{
	struct mem mem = {0};
	struct conf_msgs *all = mem_alloc(&mem, sizeof *all), *ours = mem_alloc(&mem, sizeof *ours);
	struct quick q = {.d = d_r, .mem = &mem, .msgs = ours};
	struct ini_user u = {.arg = &q,
			     .on_section = on_quick_section,
			     .on_option = on_quick_option,
			     .is_list = on_quick_is_list,
			     .skip_unreadable = true};
	int rc = ERR_NOMEM;

	memset(d_r, 0, sizeof *d_r);
	(void)str_copy(d_r->runtime_dir, CONF_PATH_MAX,
		       opt_find(OPT_IN_MARGAY, "runtime_dir")->def);
	(void)str_copy(d_r->state_dir, CONF_PATH_MAX, opt_find(OPT_IN_MARGAY, "state_dir")->def);
	(void)snprintf(why, size, "out of memory");
	if (all != NULL && ours != NULL) {
		rc = ini_read(path, &mem, all, &u);
		if (rc == 0 && mem.oom)
			rc = ERR_NOMEM;
		else if (rc == 0 && ours->errors != 0)
			rc = ERR_CONFIG;
		if (rc == ERR_SYSTEM || rc == ERR_CONFIG)
			msg_format(rc == ERR_CONFIG ? &ours->v[0] : &all->v[0], why, size);
		msg_free(all);
		msg_free(ours);
	}
	mem_free(&mem);
	return rc;
}
