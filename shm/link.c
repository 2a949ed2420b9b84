/* shm/link.c */
#include "shm/link.h"
