/* health/pem.h: PEM texts of a generation as files for Connector/C, which takes certificates by path alone: memory files,
 * named by /proc/self/fd. Health's main thread makes and ends them; other threads only open the paths.
 */
#ifndef MARGAY_HEALTH_PEM_H
#define MARGAY_HEALTH_PEM_H
#include "base/base.h"

#define PEM_PATH 32

/* The same text gets the same file. path_r: "" for an empty text. 0 or ERR_SYSTEM. */
MUST_CHECK int pem_file(const char *text, char path_r[PEM_PATH]);
/* A generation was taken over: files that neither it nor the one before asked for are ended. A thread may still be
 * connecting with the paths of the one before. */
void pem_generation(void);
#endif
