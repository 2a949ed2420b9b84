/* shm/pool.c */
#include "shm/pool.h"
