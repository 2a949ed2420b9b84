/* base/check.h: assertions about our own code (never about bytes from a peer), and object magic.
 * A failed check writes a panic text to stderr and to the sink of this process (in a worker: its shared
 * memory segment, where the master finds it), then aborts. Any process.
 */
#ifndef MARGAY_BASE_CHECK_H
#define MARGAY_BASE_CHECK_H
#include "base/base.h"

/* Where panic texts go besides stderr: `size` bytes, ours until the process ends; NULL for none. */
void panic_set_sink(char *buf, size_t size);
/* Extra context appended to a panic text (session and state); called in the dying process. May be NULL. */
void panic_set_context(void (*fn)(char *buf, size_t size));
NORETURN void panic_at(const char *file, int line, const char *func, const char *fmt, ...)
    PRINTF(4, 5);

#define PANIC(...) panic_at(__FILE__, __LINE__, __func__, __VA_ARGS__)
#define AN(x)                                                                                      \
	do {                                                                                       \
		if (unlikely(!(x)))                                                                \
			PANIC("false: %s", #x);                                                    \
	} while (0)
#define AZ(x)                                                                                      \
	do {                                                                                       \
		if (unlikely(!!(x)))                                                               \
			PANIC("not zero: %s", #x);                                                 \
	} while (0)
#define WRONG(why) PANIC("%s", why)

/* Magic: first member `u32 magic;`, one value per struct (t/lint checks that they are unique). */
#define OBJ_INIT(o, m)                                                                             \
	do {                                                                                       \
		memset((o), 0, sizeof *(o));                                                       \
		(o)->magic = (m);                                                                  \
	} while (0)
#define CHECK_OBJ(o, m)                                                                            \
	do {                                                                                       \
		if (unlikely((o) == NULL || (o)->magic != (m)))                                    \
			PANIC("bad object: %s is not %s", #o, #m);                                 \
	} while (0)
#define CAST_OBJ(to, from, m)                                                                      \
	do {                                                                                       \
		(to) = (from);                                                                     \
		CHECK_OBJ((to), (m));                                                              \
	} while (0)
#endif
