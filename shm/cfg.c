/* shm/cfg.c */
#include "shm/cfg.h"
