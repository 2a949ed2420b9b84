/* conf/addr.c: see addr.h. */
#include "conf/addr.h"
#include "base/str.h"
#include <arpa/inet.h>

static const char *
port_parse(const char *s, u16 *port_r)
{
	u64 v;

	if (str_to_u64(s, &v) != 0 || v == 0 || v > 65535)
		return "the port is a number from 1 to 65535";
	*port_r = (u16)v;
	return NULL;
}

static bool
name_ok(const char *s)
{
	size_t label = 0;
	bool letter = false;

	for (; *s != '\0'; s++) {
		bool digit = *s >= '0' && *s <= '9';

		if (*s == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!digit && !(*s >= 'a' && *s <= 'z') && *s != '-' && *s != '_')
			return false;
		letter = letter || !digit;
		if (++label > 63)
			return false;
	}
	return letter; /* digits and dots alone: an IPv4 address with a mistake in it */
}

static const char *
host_parse(bool names, struct conf_addr *a)
{
	if (inet_pton(AF_INET, a->host, a->ip) == 1) {
		a->kind = ADDR_V4;
		return NULL;
	}
	for (char *c = a->host; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	if (!names)
		return "an address in numbers is needed here, such as 127.0.0.1:3306, 0.0.0.0:3306 "
		       "or [::]:3306";
	if (!name_ok(a->host))
		return "neither an IPv4 address nor a host name";
	a->kind = ADDR_NAME;
	return NULL;
}

const char *
addr_parse(const char *text, bool names, struct conf_addr *a_r)
{
	const char *colon = strrchr(text, ':'), *why;
	bool v6 = text[0] == '[';
	size_t len;

	memset(a_r, 0, sizeof *a_r);
	if (text[0] == '/') {
		a_r->kind = ADDR_UNIX;
		return str_copy(a_r->host, sizeof a_r->host, text)
			   ? NULL
			   : "a socket's path has at most 107 bytes";
	}
	if (colon == NULL || (v6 && colon[-1] != ']'))
		return "expected host:port, [v6]:port or the path of a Unix socket (which begins "
		       "with /)";
	if (!v6 && memchr(text, ':', (size_t)(colon - text)) != NULL)
		return "an IPv6 address stands in brackets: [::1]:3306";
	why = port_parse(colon + 1, &a_r->port);
	if (why != NULL)
		return why;
	len = (size_t)(colon - text) - (v6 ? 2 : 0);
	if (len == 0 || !str_copy_slice(a_r->host, sizeof a_r->host, text + (v6 ? 1 : 0), len))
		return len == 0 ? "no host before the port" : "the host name is too long";
	if (!v6)
		return host_parse(names, a_r);
	a_r->kind = ADDR_V6;
	return inet_pton(AF_INET6, a_r->host, a_r->ip) == 1 ? NULL : "not an IPv6 address";
}

const char *
listen_parse(const char *text, struct conf_addr *a_r, size_t *len_r, u32 *tls_r)
{
	static const char *const words[] = {"off", "preferred", "required"}; /* enum cfg_tls_front */
	const char *mark = strrchr(text, '?');
	char address[ADDR_HOST_MAX + 16];

	*tls_r = 0;
	*len_r = strlen(text);
	if (mark != NULL) {
		for (u32 i = 0; i < ARRAY_LEN(words); i++)
			if (strncmp(mark, "?tls=", 5) == 0 && strcmp(mark + 5, words[i]) == 0)
				*tls_r = i + 1;
		if (*tls_r == 0)
			return "behind the address stands ?tls=off, ?tls=preferred, ?tls=required or nothing";
		*len_r = (size_t)(mark - text);
	}
	if (!str_copy_slice(address, sizeof address, text, *len_r))
		return "too long";
	return addr_parse(address, false, a_r);
}

bool
addr_equal(const struct conf_addr *a, const struct conf_addr *b)
{
	if (a->kind != b->kind || a->port != b->port)
		return false;
	if (a->kind == ADDR_V4 || a->kind == ADDR_V6)
		return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
	return strcmp(a->host, b->host) == 0;
}

/* Are all bits behind the prefix 0? */
static bool
host_bits_clear(const struct conf_net *n)
{
	for (unsigned bit = n->prefix; bit < (n->family == 4 ? 32u : 128u); bit++)
		if (n->addr[bit / 8] & (0x80u >> bit % 8))
			return false;
	return true;
}

static void
unmap_v4(struct conf_net *n)
{
	static const u8 mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (n->family != 6 || n->prefix < 96 || memcmp(n->addr, mapped, sizeof mapped) != 0)
		return;
	memmove(n->addr, n->addr + 12, 4);
	memset(n->addr + 4, 0, 12);
	n->family = 4;
	n->prefix = (u8)(n->prefix - 96);
}

const char *
net_parse(const char *text, struct conf_net *n_r)
{
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char host[INET6_ADDRSTRLEN];
	u64 prefix, most;

	memset(n_r, 0, sizeof *n_r);
	if (strcmp(text, "unix") == 0) {
		n_r->family = 1;
		return NULL;
	}
	if (strcmp(text, "localhost") == 0)
		return "write 127.0.0.1, ::1 or unix: names are not resolved";
	if (!str_copy_slice(host, sizeof host, text, len))
		return "not an address or network";
	if (inet_pton(AF_INET, host, n_r->addr) == 1)
		n_r->family = 4;
	else if (inet_pton(AF_INET6, host, n_r->addr) == 1)
		n_r->family = 6;
	else
		return "not an address, a network such as 10.0.0.0/8, or unix";
	prefix = most = n_r->family == 4 ? 32 : 128;
	if (slash != NULL && (str_to_u64(slash + 1, &prefix) != 0 || prefix > most))
		return n_r->family == 4 ? "the prefix is a number from 0 to 32"
					: "the prefix is a number from 0 to 128";
	n_r->prefix = (u8)prefix;
	if (!host_bits_clear(n_r))
		return "bits are set behind the prefix: a single address has none or the longest, "
		       "a network zeros";
	unmap_v4(n_r);
	return NULL;
}
