/* shm/map.c */
#include "shm/map.h"
