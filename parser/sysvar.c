/* parser/sysvar.c: system variables that stand for state of the connection. Pure.
 * What the server's trackers report and what setting the reported value again restores needs no row
 * here. The rows were found by setting every session variable of MariaDB 10.11 and reading what it
 * reported.
 */
#include "parser/cls.h"

u32
lex_mode_of_charset(const void *name, size_t len)
{
	static const struct {
		const char *name;
		u32 mode;
	} sets[] = {
	    {"big5", LEX_BIG5}, {"sjis", LEX_SJIS}, {"cp932", LEX_SJIS}, {"gbk", LEX_GBK}, {"gb18030", LEX_UNSAFE_CHARSET},
	};
	const u8 *end = len > 0 ? memchr(name, '_', len) : NULL;
	struct slice s = {name, end != NULL ? (size_t)(end - (const u8 *)name) : len};

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		if (name_is(s, sets[i].name))
			return sets[i].mode;
	return 0;
}

/* System variables whose value a connection makes for itself. */
enum sysvar_means { SV_DIAG, SV_INSERT_ID, SV_CONN, SV_CONN_ID };
static const struct {
	const char *name;
	enum sysvar_means means;
} sysvars_read[] = {
    {"warning_count", SV_DIAG},  {"error_count", SV_DIAG}, {"last_insert_id", SV_INSERT_ID},
    {"identity", SV_INSERT_ID},  {"last_gtid", SV_CONN},   {"pseudo_thread_id", SV_CONN_ID},
    {"in_transaction", SV_CONN}, {"insert_id", SV_CONN},   {"rand_seed1", SV_CONN},
    {"rand_seed2", SV_CONN},
};

static void
on_prefix(struct cls *c, struct slice name)
{
	if (name.len >= 14 && name_is((struct slice){name.p, 14}, "session_track_"))
		c->flags |= STMT_F_TRACKER;
	if (name.len >= 7 && name_is((struct slice){name.p, 7}, "margay_"))
		c->flags |= STMT_F_MARGAY;
}

void
sysvar_read(struct cls *c, struct slice name, bool global)
{
	size_t i;

	on_prefix(c, name);
	for (i = 0; i < ARRAY_LEN(sysvars_read) && !global; i++)
		if (name_is(name, sysvars_read[i].name)) {
			enum sysvar_means m = sysvars_read[i].means;

			c->flags |= m == SV_DIAG        ? STMT_F_DIAG
				    : m == SV_INSERT_ID ? STMT_F_INSERT_ID
							: STMT_F_SESSION_FN;
			if (m == SV_CONN_ID)
				c->pins |= PIN(CONN_ID);
		}
}

/* Set, these cannot be carried over to another connection by setting the value that was reported:
 *   collation_*          reported alone, while SET NAMES reports the character sets alone: the
 * order is lost timestamp            SET timestamp=DEFAULT reports the time of the moment, which
 * would stop the clock *insert_id, identity, *gtid_seq_no, rand_seed*   used up by a later
 * statement, unreported sql_auto_is_null     makes WHERE id IS NULL ask for the last insert id
 *   profiling            the profiles stay on the connection
 *   wsrep_osu_method     not reported
 */
static const char *const sysvars_stay[] = {
    "collation_connection",
    "collation_database",
    "collation_server",
    "timestamp",
    "insert_id",
    "last_insert_id",
    "identity",
    "gtid_seq_no",
    "rand_seed1",
    "rand_seed2",
    "sql_auto_is_null",
    "profiling",
    "wsrep_osu_method",
    "wsrep_gtid_seq_no",
    "pseudo_thread_id",
    "pseudo_slave_mode",
};
static const char *const sysvars_trx[] = {
    "tx_isolation",
    "transaction_isolation",
    "tx_read_only",
    "transaction_read_only",
};

void
sysvar_set(struct cls *c, struct slice name, bool next_trx)
{
	size_t i;

	on_prefix(c, name);
	if (name_is(name, "last_insert_id") || name_is(name, "identity"))
		c->flags |= STMT_F_LEAVES_ID;
	if (name_is(name, "autocommit"))
		c->flags |= STMT_F_ENDS_TRX | STMT_F_IMPLICIT_COMMIT;
	for (i = 0; i < ARRAY_LEN(sysvars_stay); i++)
		if (name_is(name, sysvars_stay[i]))
			c->pins |= PIN(SYSVAR);
	for (i = 0; i < ARRAY_LEN(sysvars_trx) && next_trx; i++)
		if (name_is(name, sysvars_trx[i]))
			c->pins |= PIN(NEXT_TRX);
}
