/* shm/health.c */
#include "shm/health.h"
