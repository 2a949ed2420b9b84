/* base/poison.h: calls that do not build here, each with what to use instead. Included by base/base.h,
 * after the system headers that declare them.
 *   strcpy strcat sprintf vsprintf gets  -> str_copy, snprintf
 *   strtok                               -> str_next
 *   atoi atol atoll                      -> str_to_u64
 *   strncpy strncat                      -> str_copy (always terminates)
 */
#ifndef MARGAY_BASE_POISON_H
#define MARGAY_BASE_POISON_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef __cplusplus
#undef strcpy
#undef strcat
#undef sprintf
#undef vsprintf
#undef strncpy
#undef strncat
#undef strtok
#pragma GCC poison strcpy strcat sprintf vsprintf strncpy strncat strtok gets atoi atol atoll
#endif
#endif
