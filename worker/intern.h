/* worker/intern.h: texts and settings kept once and compared by pointer: database names, prepared statements'
 * texts, and the sets of session variables that sessions have changed. Counted references; one table for each
 * kind in a worker. Runs in a worker.
 */
#ifndef MARGAY_WORKER_INTERN_H
#define MARGAY_WORKER_INTERN_H
#include "parser/stmt.h"
#include "proto/wire.h"

struct istr {
	struct istr *next;
	u64 hash;
	u32 refs;
	u32 ps_users;     /* prepared statements of sessions that have this text */
	u32 len;
	struct stmt st;   /* statements: classified once; kept with the text */
	bool classified;
	bool calls;       /* functions that are not built in: the verdict is another, once they are known */
	u32 lex_mode;     /* mode of that classification */
	u64 shape;        /* hash of its digest, 0: not made yet */
	char text[];      /* NUL-terminated */
};

/* One changed variable; the list is sorted by name. value as the server reported it. */
struct setting {
	const struct istr *name, *value;
};
struct settings {
	struct settings *next;
	u64 hash;
	u32 refs;
	u32 n;
	struct setting v[];
};

struct intern {
	struct istr **tab;
	u32 nbuckets, count;
	struct settings *sets;
	struct settings *empty;
};

void intern_init(struct intern *in);
/* Counted references; NULL only when memory is out. */
struct istr *istr_get(struct intern *in, const void *p, size_t len);
struct istr *istr_ref(struct istr *s);
void istr_put(struct intern *in, struct istr *s); /* NULL is fine */

struct settings *settings_ref(struct settings *s);
void settings_put(struct intern *in, struct settings *s);
/* A set equal to s but for name = value (value NULL: without name). Takes no reference from s. */
struct settings *settings_with(struct intern *in, const struct settings *s, struct slice name,
    const struct slice *value);

/* May a variable be carried over by SET, and how is its value written? */
enum sysvar_quote { SYSVAR_NO, SYSVAR_TEXT, SYSVAR_NUMBER, SYSVAR_IGNORE };
enum sysvar_quote sysvar_lookup(const void *name, size_t len);
/* Can `have` become `want` by SET alone? Not if it holds names that `want` lacks. */
bool settings_reach(const struct settings *have, const struct settings *want);
/* Does a text mean the same under both, whatever else they hold? */
bool settings_parse_alike(const struct settings *a, const struct settings *b);
/* Appends what turns `have` into `want`: "a='x',b=3". False: `have` holds names that `want` lacks, so only a
 * reset helps (nothing was written); w->bad on overflow. */
bool settings_diff(struct wr *w, const struct settings *have, const struct settings *want);
#endif
