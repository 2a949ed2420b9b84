/* master/gen.h: configuration generations: read, check, record, publish, wait for the children. A reload is a
 * transaction: whatever fails before the publishing leaves the old generation in force. Master only.
 */
#ifndef MARGAY_MASTER_GEN_H
#define MARGAY_MASTER_GEN_H
#include "master/master.h"

struct conf_result;

/* The first generation, not yet published: from the file, or, if that is broken and `last_good` is asked for,
 * from the record. It needs no segment. EXIT_OK, or the exit code; all errors are logged. */
MUST_CHECK int gen_first(struct master *m, bool last_good);
/* With the segments made: claims pool slots, seals, records and publishes it. EXIT_OK or the exit code. */
MUST_CHECK int gen_first_publish(struct master *m);
/* Begins a reload, or notes that another one is wanted. The end is told to ctl. */
void gen_reload(struct master *m);
/* A child has adopted or refused, or is gone: is the reload under way complete? */
void gen_on_adopted(struct master *m);
/* A stop ends the wait. */
void gen_on_stop(struct master *m);
/* Drains a server or puts it back; remembered. 0; ERR_NOTFOUND; ERR_STORE: done, but not remembered. */
MUST_CHECK int gen_server_admin(struct master *m, const char *name, bool drain);
/* Opens the store, or notes why not. */
void gen_open_store(struct master *m, const char *state_dir);
void gen_fini(struct gen *g);
#endif
