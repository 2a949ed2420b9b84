/* conf/tls.c: see tls.h. Certificates and keys travel in the generation, as workers read no files; so they are read here,
 * and whatever is wrong with them refuses the load as a wrong option does. Master and tools.
 */
#include "conf/addr.h"
#include "conf/tls.h"
#include "base/str.h"
#include "base/tls.h"
#include "shm/cfg.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEM_MOST (1u << 20) /* the authorities of a whole distribution take a quarter of it */

/* The rows of one section that belong together. */
struct files {
	struct conf_section *s;
	const struct opt_value *cert, *key, *ca, *crl;
};

static const char *
read_all(struct conf_tree *t, const char *path, int fd, off_t size, char *why, size_t room)
{
	char *p = mem_alloc(t->mem, (size_t)size + 1);
	size_t n = 0;

	while (p != NULL && n < (size_t)size) {
		ssize_t r = read(fd, p + n, (size_t)size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	if (p == NULL || n != (size_t)size)
		snprintf(why, room, "%s: %s", path, p == NULL ? "out of memory" : "cannot be read to its end");
	else if (memchr(p, '\0', n) != NULL)
		snprintf(why, room, "%s: not a text", path);
	else
		return p;
	return NULL;
}

static const char *
file_text(struct conf_tree *t, const struct opt_value *v, bool is_key, char *why, size_t room)
{
	const char *text = NULL;
	struct stat st;
	int fd = open(v->text, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(why, room, "%s: %s", v->text, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > (off_t)PEM_MOST)
		snprintf(why, room, "%s: expected a file of 1 byte to 1 MiB", v->text);
	else
		text = read_all(t, v->text, fd, st.st_size, why, room);
	if (text != NULL && is_key && (st.st_mode & S_IROTH) != 0)
		msg_warn(t->msgs, v->pos, "%s: anyone may read this key: chmod o-r it", v->text);
	if (fd >= 0)
		close(fd);
	return text;
}

static bool
get(struct conf_tree *t, const struct opt_value *v, const char *name, bool is_key, const char **text_r)
{
	char why[512];

	*text_r = "";
	if (v->bad)
		return false;
	if (v->text[0] == '\0')
		return true;
	if (v->text[0] != '/') {
		msg_error(t->msgs, v->pos, "%s: a path that begins with / is needed", name);
		return false;
	}
	const char *text = file_text(t, v, is_key, why, sizeof why);
	if (text == NULL) {
		msg_error(t->msgs, v->pos, "%s: %s", name, why);
		return false;
	}
	*text_r = text;
	return true;
}

static bool
get_all(struct conf_tree *t, struct files *f)
{
	struct conf_pem *p = &f->s->pem;
	bool ok = get(t, f->cert, "tls_cert", f->key->text[0] == '\0', &p->cert);

	ok = get(t, f->key, "tls_key", true, &p->key) && ok;
	ok = get(t, f->ca, "tls_ca", false, &p->ca) && ok;
	ok = get(t, f->crl, "tls_crl", false, &p->crl) && ok;
	if (f->key->text[0] != '\0' && f->cert->text[0] == '\0') {
		msg_error(t->msgs, f->key->pos, "tls_key: there is no tls_cert that it belongs to");
		ok = false;
	}
	if (f->crl->text[0] != '\0' && f->ca->text[0] == '\0') {
		msg_error(t->msgs, f->crl->pos, "tls_crl: there is no tls_ca that it belongs to");
		ok = false;
	}
	return ok;
}

/* Makes what the workers will make. */
static void
try(struct conf_tree *t, struct files *f, bool accept, bool verify)
{
	const struct opt_value *m = t->margay.v;
	struct tls_opts o = {.cert = f->s->pem.cert, .key = f->s->pem.key, .ca = f->s->pem.ca, .crl = f->s->pem.crl,
	    .ciphers = m[MARGAY_tls_ciphers].text, .suites = m[MARGAY_tls_ciphersuites].text, .accept = accept,
	    .verify = verify, .tls13 = m[MARGAY_tls_min_version].num == 1};
	const struct opt_value *at = NULL;
	const char *name = NULL;
	enum tls_part part;
	char why[256];
	struct ssl_ctx_st *c = tls_ctx_make(&o, &part, why, sizeof why);

	if (c != NULL) {
		tls_ctx_drop(c);
		if (o.cert[0] != '\0' && tls_cert_outdated(o.cert))
			msg_warn(t->msgs, f->cert->pos, "tls_cert: %s: the certificate has run out, or does not hold yet",
			    f->cert->text);
		return;
	}
	switch (part) {
	case TLS_CERT: at = f->cert, name = "tls_cert"; break;
	case TLS_KEY: at = f->key->text[0] != '\0' ? f->key : f->cert, name = "tls_key"; break;
	case TLS_CA: at = f->ca, name = "tls_ca"; break;
	case TLS_CRL: at = f->crl, name = "tls_crl"; break;
	case TLS_CIPHERS: at = &m[MARGAY_tls_ciphers], name = "tls_ciphers"; break;
	case TLS_SUITES: at = &m[MARGAY_tls_ciphersuites], name = "tls_ciphersuites"; break;
	case TLS_ALL: at = &m[MARGAY_tls_min_version], name = "tls"; break;
	}
	/* ciphers are those of [margay] for every section: said once */
	if (!accept && (part == TLS_CIPHERS || part == TLS_SUITES))
		return;
	if (part <= TLS_CRL)
		msg_error(t->msgs, at->pos, "%s: %s: %s", name, at->text, why);
	else
		msg_error(t->msgs, at->given ? at->pos : f->s->pos, "%s: %s", name, why);
}

static void
check_listeners(struct conf_tree *t)
{
	const struct opt_value *v = &t->margay.v[MARGAY_listen];
	struct conf_addr a;
	size_t len;
	u32 tls;

	if (v->bad || t->margay.v[MARGAY_tls_cert].text[0] != '\0')
		return;
	for (u32 i = 0; i < v->nitems; i++)
		if (listen_parse(v->items[i].p, &a, &len, &tls) == NULL && tls == 1 + CFG_TLS_REQUIRED)
			msg_error(t->msgs, (struct conf_pos){.file = v->pos.file, .line = v->items[i].line},
			    "listen: %s needs tls_cert", v->items[i].p);
}

static void
check_front(struct conf_tree *t)
{
	struct conf_section *s = &t->margay;
	const struct opt_value *v = s->v;
	struct files f = {s, &v[MARGAY_tls_cert], &v[MARGAY_tls_key], &v[MARGAY_tls_ca], &v[MARGAY_tls_crl]};

	if (!get_all(t, &f))
		return;
	if (v[MARGAY_tls].num == CFG_TLS_REQUIRED && v[MARGAY_tls_cert].text[0] == '\0')
		msg_error(t->msgs, v[MARGAY_tls].pos, "tls: required needs tls_cert");
	check_listeners(t);
	try(t, &f, true, false);
}

static void
check_rsa_key(struct conf_tree *t, struct conf_section *s)
{
	const struct opt_value *v = &s->v[SERVER_auth_rsa_key];
	struct evp_pkey_st *key;

	if (!get(t, v, "auth_rsa_key", false, &s->pem.rsa) || s->pem.rsa[0] == '\0')
		return;
	key = tls_rsa_public(s->pem.rsa, strlen(s->pem.rsa));
	if (key == NULL)
		msg_error(t->msgs, v->pos, "auth_rsa_key: %s: no RSA public key of 1024 to 8192 bits", v->text);
	tls_key_drop(key);
}

static void
check_server(struct conf_tree *t, struct conf_section *s)
{
	const struct opt_value *v = s->v;
	struct files f = {s, &v[SERVER_tls_cert], &v[SERVER_tls_key], &v[SERVER_tls_ca], &v[SERVER_tls_crl]};
	bool verify = v[SERVER_tls].num >= CFG_STLS_CA;

	check_rsa_key(t, s);
	if (v[SERVER_auth_cleartext].num != 0 && v[SERVER_tls].num == CFG_STLS_OFF && v[SERVER_address].text[0] != '/')
		msg_warn(t->msgs, v[SERVER_auth_cleartext].pos, "auth_cleartext: no password is sent so without tls");
	if (!get_all(t, &f))
		return;
	if (verify && v[SERVER_tls_ca].text[0] == '\0') {
		msg_error(t->msgs, v[SERVER_tls].pos, "tls: verify-ca and verify-full need tls_ca");
		return;
	}
	if (v[SERVER_tls].num == CFG_STLS_FULL && v[SERVER_tls_name].text[0] == '\0' && v[SERVER_address].text[0] == '/')
		msg_error(t->msgs, v[SERVER_tls].pos, "tls: verify-full needs tls_name with a Unix socket");
	if (v[SERVER_tls].num != CFG_STLS_OFF)
		try(t, &f, false, verify);
}

static void
check_user(struct conf_tree *t, const struct conf_section *u)
{
	const struct opt_value *v = u->v, *m = t->margay.v;

	if (v[USER_tls_subject].text[0] != '\0' && v[USER_tls].num != CFG_UTLS_CERT)
		msg_error(t->msgs, v[USER_tls_subject].pos, "tls_subject: needs tls = certificate");
	if (v[USER_tls].num == CFG_UTLS_CERT && (m[MARGAY_tls_ca].text[0] == '\0' || m[MARGAY_tls_cert].text[0] == '\0'))
		msg_error(t->msgs, v[USER_tls].pos, "tls: certificate needs tls_cert and tls_ca in [margay]");
}

void
conf_tls_check(struct conf_tree *t)
{
	check_front(t);
	for (size_t i = 0; i < t->of[OPT_IN_SERVER].n; i++)
		check_server(t, t->of[OPT_IN_SERVER].v[i]);
	for (size_t i = 0; i < t->of[OPT_IN_USER].n; i++)
		check_user(t, t->of[OPT_IN_USER].v[i]);
}

bool
conf_tls_ticket(char out[CONF_TICKET_DIGITS + 1])
{
	u8 raw[CONF_TICKET_DIGITS / 2];

	if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
		return false;
	for (size_t i = 0; i < sizeof raw; i++)
		snprintf(out + 2 * i, 3, "%02x", raw[i]);
	mem_wipe(raw, sizeof raw);
	return true;
}
