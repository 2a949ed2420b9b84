/* worker/sess_peer.c: where a client comes from: the far end of its socket, or what a proxy says in a PROXY header, if the
 * configuration trusts it. Owns the addr_ fields of struct sess. Runs in a worker.
 *
 * As at 10.11 (measured) the greeting does not wait for the header, and who is trusted may do without one: the first packet
 * of a login cannot be taken for one. Unlike there a second header is refused: it would be the client's own.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "base/str.h"
#include "proto/proxyproto.h"
#include "worker/sess.h"

#define SEQ_AFTER_LOGIN 2 /* what the client will read as the answer to its login */

/* family 4, 6, or 1; addr in network order. An IPv4 address mapped into IPv6 is one of IPv4. */
static void
peer_set(struct sess *s, u8 family, const u8 *addr, u32 port)
{
	static const u8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char ip[INET6_ADDRSTRLEN] = "?";

	memset(s->addr, 0, sizeof s->addr);
	if (family == 6 && memcmp(addr, mapped, sizeof mapped) == 0) {
		family = 4;
		addr += sizeof mapped;
	}
	s->addr_family = family;
	if (family == 1) {
		str_copy(s->addr_text, sizeof s->addr_text, SESS_ADDR_UNIX);
		return;
	}
	memcpy(s->addr, addr, family == 4 ? 4 : 16);
	inet_ntop(family == 4 ? AF_INET : AF_INET6, s->addr, ip, sizeof ip);
	snprintf(s->addr_text, sizeof s->addr_text, family == 4 ? "%s:%u" : "[%s]:%u", ip, port);
}

void
peer_of_socket(struct sess *s)
{
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof ss;

	if (getpeername(s->conn.io.fd, (struct sockaddr *)&ss, &len) == 0 && ss.ss_family == AF_INET) {
		const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)&ss;

		peer_set(s, 4, (const u8 *)&a->sin_addr, ntohs(a->sin_port));
	} else if (ss.ss_family == AF_INET6) {
		const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)(const void *)&ss;

		peer_set(s, 6, (const u8 *)&a->sin6_addr, ntohs(a->sin6_port));
	} else {
		peer_set(s, 1, NULL, 0);
	}
}

bool
peer_header(struct sess *s, u8 **p, u8 *end)
{
	struct proxy_header h;
	char proxy[sizeof s->addr_text];

	switch (proxy_parse(*p, (size_t)(end - *p), &h)) {
	case PROXY_MORE:
		return false;
	case PROXY_BAD:
		s->proxy_may = false;
		STAT_ADD(s->w->stat->bad_packets, 1);
		log_limited(LOG_WARN_, "client %s: PROXY header: %s", s->addr_text, h.why);
		sess_error_close(s, SEQ_AFTER_LOGIN, ERR_PROTO, "PROXY header: %s", h.why);
		return false;
	case PROXY_WHOLE:
		*p += h.len;
		if (h.family == 0)
			break;
		str_copy(proxy, sizeof proxy, s->addr_text);
		peer_set(s, h.family, h.addr, h.port);
		sess_record(s);
		STAT_ADD(s->w->stat->proxied, 1);
		log_info("session %u: %s by way of %s", s->id, s->addr_text, proxy);
		break;
	case PROXY_NONE:
		break;
	}
	s->proxy_may = false;
	return true;
}

const char *
peer_stray_header(const struct sess *s, const u8 *p, const u8 *end)
{
	struct proxy_header h;

	if (s->state != SESS_LOGIN || conn_is_tls(&s->conn) || proxy_parse(p, (size_t)(end - p), &h) == PROXY_NONE)
		return NULL;
	return s->addr_later ? "second PROXY header" : "PROXY header from outside of proxy_protocol_networks";
}

void
peer_host(const struct sess *s, char *buf, size_t size)
{
	peer_host_text(s->addr_text, buf, size);
}

void
peer_host_text(const char *addr, char *buf, size_t size)
{
	const char *ip = addr + (addr[0] == '['), *end = strrchr(ip, addr[0] == '[' ? ']' : ':');

	if (end == NULL) /* a Unix socket has no port */
		str_copy(buf, size, "localhost");
	else
		str_copy_slice(buf, size, ip, (size_t)(end - ip));
}
