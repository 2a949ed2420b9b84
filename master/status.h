/* master/status.h: what `margayctl status` answers. Master only. */
#ifndef MARGAY_MASTER_STATUS_H
#define MARGAY_MASTER_STATUS_H
#include "master/master.h"

/* EXIT_OK while clients are served (at least one worker is ready and we are not stopping), else EXIT_FAIL. */
int status_text(const struct master *m, struct text *t);
#endif
