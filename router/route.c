/* router/route.c: see route.h. Order of the fallbacks for a read: replicas that are up, the primary, and only
 * while there is no primary replicas that lag or are cut off from it (peers lose all reads with the primary).
 */
#include "router/route.h"

static bool
reachable(const struct route_in *in, u32 i)
{
	const struct route_server *s = &in->servers[i];

	return !s->drain && (in->exclude >> i & 1) == 0;
}

/* Leaves out servers that this worker could not reach a moment ago, unless no other is left. */
static void
avoid_suspects(const struct route_in *in, bool *ok)
{
	bool better = false;

	for (u32 i = 0; i < in->n; i++)
		better |= ok[i] && !in->servers[i].suspect;
	for (u32 i = 0; better && i < in->n; i++)
		ok[i] = ok[i] && !in->servers[i].suspect;
}

/* Weight and fewest outstanding: least (outstanding + 1) / weight; ties go round by turn. */
static int
least_loaded(const struct route_in *in, bool *ok)
{
	int best = -1;
	u64 best_load = 0;
	bool weighted = false;

	avoid_suspects(in, ok);
	for (u32 i = 0; i < in->n; i++)
		weighted |= ok[i] && in->servers[i].weight > 0;
	for (u32 k = 0; k < in->n; k++) {
		u32 i = (k + in->turn) % in->n;
		const struct route_server *s = &in->servers[i];

		if (!ok[i] || (weighted && s->weight == 0))
			continue;
		u64 load = ((u64)s->outstanding + 1) * 1000000 / MAX(s->weight, 1);
		if (best < 0 || load < best_load) {
			best = (int)i;
			best_load = load;
		}
	}
	return best;
}

static int
primary_index(const struct route_in *in)
{
	for (u32 i = 0; i < in->n; i++)
		if ((int)in->servers[i].id == in->primary)
			return in->servers[i].drain || (in->exclude >> i & 1) != 0 ? -1 : (int)i;
	return -1;
}

static void
to_primary(const struct route_in *in, enum route_reason why, struct route_out *out)
{
	out->index = primary_index(in);
	out->why = out->index < 0 ? ROUTE_NO_PRIMARY : why;
}

/* A replica that may serve: up, and not behind the session's own writes. */
static int
pick_replica(const struct route_in *in, bool with_primary, bool *lacked_writes)
{
	bool ok[ROUTE_MAX_SERVERS] = {false};

	for (u32 i = 0; i < in->n; i++) {
		const struct route_server *s = &in->servers[i];
		bool is_primary = (int)s->id == in->primary;

		ok[i] = reachable(in, i) && s->v.state == SRV_UP && (with_primary || !is_primary);
		if (ok[i] && in->wrote && !is_primary && !s->has_writes) {
			*lacked_writes = true;
			ok[i] = false;
		}
	}
	return least_loaded(in, ok);
}

/* The primary is gone: replicas that lag, or whose replication stands still because it is gone. */
static int
pick_stale(const struct route_in *in)
{
	bool ok[ROUTE_MAX_SERVERS] = {false};

	for (u32 i = 0; i < in->n; i++) {
		const struct route_server *s = &in->servers[i];

		ok[i] = reachable(in, i) && (!in->wrote || s->has_writes) &&
		    (s->v.state == SRV_LAGGING ||
			(s->v.state == SRV_BROKEN && (s->v.cause == SRV_CAUSE_IO_STOPPED ||
			    s->v.cause == SRV_CAUSE_LAG_UNKNOWN)));
	}
	return least_loaded(in, ok);
}

static void
route_read(const struct route_in *in, struct route_out *out)
{
	bool lacked_writes = false;
	int i;

	i = pick_replica(in, in->policy == CFG_READ_ALL, &lacked_writes);
	if (i >= 0) {
		out->index = i;
		out->why = in->retry ? ROUTE_RETRY :
		    in->policy == CFG_READ_ALL ? ROUTE_READ_ALL : ROUTE_READ;
		return;
	}
	out->lacked_writes = lacked_writes;
	to_primary(in, lacked_writes ? ROUTE_OWN_WRITES : ROUTE_NO_REPLICA, out);
	if (out->index >= 0)
		return;
	i = pick_stale(in);
	if (i >= 0) {
		out->index = i;
		out->why = ROUTE_LAGGING;
		return;
	}
	out->why = ROUTE_NO_SERVER;
}

/* A transaction that says that it only reads may do so on a replica. */
static bool
begins_read_only(const struct stmt *st)
{
	return st->kind == STMT_BEGIN && (st->flags & STMT_F_TRX_RO) != 0 && (st->flags & STMT_F_MULTI) == 0;
}

/* A read whose hint names a server or asks for a replica. The hint goes before read_policy and read_split, as it does in
 * MyCat, but not before the session's own writes. True: out is set. */
static bool
follow_hint(const struct stmt *st, const struct route_in *in, struct route_out *out)
{
	bool lacked_writes = false;
	int i = in->hint_server;

	if (i >= 0) {
		const struct route_server *s = &in->servers[i];

		if (in->wrote && (int)s->id != in->primary && !s->has_writes)
			return false;
		out->index = reachable(in, (u32)i) && s->v.state != SRV_DOWN ? i : -1;
		out->why = out->index < 0 ? ROUTE_NO_SERVER : ROUTE_HINT;
		return true;
	}
	if ((st->flags & STMT_F_HINT_REPLICA) == 0 || (i = pick_replica(in, false, &lacked_writes)) < 0)
		return false;
	out->index = i;
	out->why = in->retry ? ROUTE_RETRY : ROUTE_HINT;
	return true;
}

void
route_statement(const struct stmt *st, const struct route_in *in, struct route_out *out)
{
	bool away = (st->flags & (STMT_F_HINT_REPLICA | STMT_F_HINT_SERVER)) != 0 &&
	    (st->flags & STMT_F_HINT_PRIMARY) == 0;
	bool read = (st->flags & STMT_F_READ) != 0 || begins_read_only(st) ||
	    (away && (st->flags & STMT_F_STATE_READ) != 0);

	out->read = read;
	out->index = -1;
	out->hint_ignored = out->lacked_writes = false;
	if (!read || in->pinned_trx) {
		out->read = false;
		to_primary(in, read ? ROUTE_TRX : st->why, out);
		out->hint_ignored = away && (in->hint_server < 0 || in->hint_server != out->index);
		return;
	}
	if (away && follow_hint(st, in, out))
		return;
	out->hint_ignored = away;
	if ((st->flags & STMT_F_READ) == 0 && !begins_read_only(st)) {
		to_primary(in, st->why, out);
		return;
	}
	if (!in->read_split || (in->policy == CFG_READ_PRIMARY && in->primary >= 0) ||
	    (st->flags & STMT_F_HINT_PRIMARY) != 0) {
		to_primary(in, ROUTE_POLICY, out);
		if (out->index >= 0 || (st->flags & STMT_F_HINT_PRIMARY) != 0 || !in->read_split)
			return;
	}
	route_read(in, out);
}
