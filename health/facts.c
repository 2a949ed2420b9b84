/* health/facts.c: see facts.h. Health only; pure. */
#include "health/facts.h"
#include "base/err.h"
#include "base/str.h"
#include <errno.h>

/* Numbers of servers (1000..1999, 3000...) and of Connector/C (2000..2099, 5000...) that decide a cause. */
enum {
	SRV_CON_COUNT = 1040,
	SRV_DBACCESS_DENIED = 1044,
	SRV_ACCESS_DENIED = 1045,
	SRV_HOST_BLOCKED = 1129,
	SRV_HOST_NOT_PRIVILEGED = 1130,
	SRV_TABLE_DENIED = 1142,
	SRV_COLUMN_DENIED = 1143,
	SRV_TOO_MANY_USER = 1203,
	SRV_USER_LIMIT = 1226,
	SRV_SPECIFIC_DENIED = 1227,
	SRV_AUTH_MODE = 1251,
	SRV_ROUTINE_DENIED = 1370,
	SRV_NO_PASSWORD = 1698,
	SRV_MUST_CHANGE = 1820,
	SRV_MUST_CHANGE_LOGIN = 1862,
	SRV_CHANGE_USER_DENIED = 1873,
	SRV_ACCOUNT_LOCKED_MYSQL = 3118,
	SRV_ACCOUNT_LOCKED = 4151,
	CLI_SOCKET = 2001,
	CLI_CONNECT = 2002,
	CLI_CONNECT_HOST = 2003,
	CLI_UNKNOWN_HOST = 2005,
	CLI_GONE = 2006,
	CLI_VERSION = 2007,
	CLI_HANDSHAKE = 2012,
	CLI_LOST = 2013,
	CLI_OUT_OF_SYNC = 2014,
	CLI_TOO_LARGE = 2020,
	CLI_MALFORMED = 2027,
	CLI_UNKNOWN_PROTOCOL = 2047,
	CLI_SECURE_AUTH = 2049,
	CLI_LOST_EXTENDED = 2055,
	CLI_PLUGIN_LOAD = 2059,
	CLI_PLUGIN = 2061,
	CLI_PLUGIN_NOT_ALLOWED = 5010,
	CLI_FIRST = 2000,
	CLI_LAST = 2999,
};

void
facts_gtid_merge(struct obs_gtid *set, u32 *n, const char *text, u64 server_id)
{
	const char *p = text;

	while (*p != '\0') {
		u64 v[3] = {0, 0, 0};
		u32 i;

		while (*p == ' ' || *p == ',' || *p == '\n')
			p++;
		for (i = 0; i < 3; i++) {
			if (*p < '0' || *p > '9')
				return;
			for (; *p >= '0' && *p <= '9'; p++)
				if (__builtin_mul_overflow(v[i], 10u, &v[i]) ||
				    __builtin_add_overflow(v[i], (u64)(*p - '0'), &v[i]))
					return;
			if (i < 2 && *p++ != '-')
				return;
		}
		if (*p != '\0' && *p != ',' && *p != ' ')
			return;
		if (server_id != 0 && v[1] != server_id)
			continue;
		for (i = 0; i < *n && set[i].domain != v[0]; i++)
			;
		if (i < *n)
			set[i].seq = MAX(set[i].seq, v[2]);
		else if (*n < OBS_DOMAINS)
			set[(*n)++] = (struct obs_gtid){v[0], v[2]};
	}
}

static enum srv_cause
cause_of_errno(int sys_errno)
{
	switch (sys_errno) {
	case ECONNREFUSED:
	case ENOENT: /* Unix socket: not there, so nothing listens */
		return SRV_CAUSE_REFUSED;
	case ETIMEDOUT:
		return SRV_CAUSE_TIMEOUT;
	default:
		return SRV_CAUSE_UNREACHABLE;
	}
}

static bool
is_network_errno(int sys_errno)
{
	switch (sys_errno) {
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ENOTCONN:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

enum srv_cause
facts_cause(u32 mysql_errno, int sys_errno, bool in_login)
{
	switch (mysql_errno) {
	case SRV_CON_COUNT:
	case SRV_TOO_MANY_USER:
	case SRV_USER_LIMIT:
		return SRV_CAUSE_TOO_MANY;
	case SRV_ACCESS_DENIED:
	case SRV_HOST_BLOCKED:
	case SRV_HOST_NOT_PRIVILEGED:
	case SRV_AUTH_MODE:
	case SRV_NO_PASSWORD:
	case SRV_MUST_CHANGE:
	case SRV_MUST_CHANGE_LOGIN:
	case SRV_CHANGE_USER_DENIED:
	case SRV_ACCOUNT_LOCKED:
	case SRV_ACCOUNT_LOCKED_MYSQL:
	case CLI_SECURE_AUTH:
	case CLI_PLUGIN_LOAD:
	case CLI_PLUGIN:
	case CLI_PLUGIN_NOT_ALLOWED:
		return SRV_CAUSE_AUTH;
	case SRV_DBACCESS_DENIED:
	case SRV_TABLE_DENIED:
	case SRV_COLUMN_DENIED:
	case SRV_SPECIFIC_DENIED:
	case SRV_ROUTINE_DENIED:
		return SRV_CAUSE_DENIED;
	case CLI_UNKNOWN_HOST:
		return SRV_CAUSE_DNS;
	case CLI_SOCKET:
	case CLI_CONNECT:
	case CLI_CONNECT_HOST:
		return cause_of_errno(sys_errno);
	case CLI_GONE:
	case CLI_LOST:
	case CLI_LOST_EXTENDED:
		/* Garbage in place of a greeting and an orderly close without one are the same to
		 * Connector/C, which shows whatever errno was left over then; a reset it does tell. */
		return in_login && !is_network_errno(sys_errno) ? SRV_CAUSE_PROTOCOL
		                                                : SRV_CAUSE_UNREACHABLE;
	case CLI_VERSION:
	case CLI_HANDSHAKE:
	case CLI_OUT_OF_SYNC:
	case CLI_TOO_LARGE:
	case CLI_MALFORMED:
	case CLI_UNKNOWN_PROTOCOL:
		return SRV_CAUSE_PROTOCOL;
	default:
		/* What Connector/C cannot make sense of while it logs in is no MySQL server's doing. */
		if (in_login && mysql_errno >= CLI_FIRST && mysql_errno <= CLI_LAST)
			return SRV_CAUSE_PROTOCOL;
		return SRV_CAUSE_ERROR;
	}
}

int
facts_errno_in(const char *message)
{
	const char *p = strstr(message, "system error: ");
	u32 v = 0;

	if (p != NULL) {
		p += strlen("system error: ");
	} else {
		p = strrchr(message, '(');
		if (p == NULL)
			return 0;
		p++;
	}
	for (u32 i = 0; i < 5 && *p >= '0' && *p <= '9'; i++, p++)
		v = v * 10 + (u32)(*p - '0');
	return (int)v;
}

void
facts_text(char *dst, size_t size, const char *src)
{
	size_t i = 0;

	if (src != NULL)
		for (; src[i] != '\0' && i + 1 < size; i++)
			dst[i] = src[i] >= 0x20 && src[i] < 0x7f ? src[i] : '?';
	dst[i] = '\0';
}

bool
facts_true(const char *value)
{
	return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0 &&
	    !str_ieq(value, "off") && !str_ieq(value, "no");
}

enum obs_thread
facts_thread(const char *value)
{
	if (value == NULL || str_ieq(value, "no"))
		return OBS_THREAD_NO;
	return str_ieq(value, "yes") ? OBS_THREAD_YES : OBS_THREAD_CONNECTING;
}

u64
facts_u64(const char *value)
{
	u64 v = 0;

	if (value == NULL)
		return 0;
	for (; *value >= '0' && *value <= '9'; value++)
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (u64)(*value - '0'), &v))
			return 0;
	return *value == '\0' || *value == '.' ? v : 0;
}

/* One identifier in backticks; a backtick inside is doubled. Returns the new length, 0 if it does not fit. */
static size_t
quote(char *dst, size_t size, size_t n, const char *s, size_t len)
{
	if (len == 0 || n + 2 * len + 3 > size)
		return 0;
	dst[n++] = '`';
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '`')
			dst[n++] = '`';
		dst[n++] = s[i];
	}
	dst[n++] = '`';
	dst[n] = '\0';
	return n;
}

int
facts_quote_table(const char *name, char *quoted, size_t size)
{
	const char *dot = strchr(name, '.');
	size_t n;

	if (dot == NULL)
		return ERR_INVAL;
	n = quote(quoted, size, 0, name, (size_t)(dot - name));
	if (n == 0 || n + 2 > size)
		return ERR_INVAL;
	quoted[n++] = '.';
	return quote(quoted, size, n, dot + 1, strlen(dot + 1)) != 0 ? 0 : ERR_INVAL;
}
