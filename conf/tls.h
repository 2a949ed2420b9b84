/* conf/tls.h: the files that tls_ options name: read once, at a load, and judged as a whole. Master and tools.
 */
#ifndef MARGAY_CONF_TLS_H
#define MARGAY_CONF_TLS_H
#include "conf/tree.h"

/* Reads what [margay] and the [server] sections name into their `pem`; errors go to t->msgs. */
void conf_tls_check(struct conf_tree *t);
#define CONF_TICKET_DIGITS 64
/* Fresh hex digits with their NUL. false: no random numbers. */
bool conf_tls_ticket(char out[CONF_TICKET_DIGITS + 1]);
#endif
