/* base/log.h: one line, one write(2): `role/slot[pid] gen=N text`. Children write to the master's pipe,
 * which is non-blocking: what does not fit is dropped and counted, never waited for. Each line starts with
 * "<N>", the syslog priority, as systemd's journal understands it; the master strips or keeps it.
 */
#ifndef MARGAY_BASE_LOG_H
#define MARGAY_BASE_LOG_H
#include "base/base.h"

enum log_level { LOG_ERR_ = 3, LOG_WARN_ = 4, LOG_NOTICE_ = 5, LOG_INFO_ = 6, LOG_DEBUG_ = 7 };

/* role: static string ("worker"); slot < 0 for none. fd stays the caller's. */
void log_init(const char *role, int slot, int fd);
void log_set_fd(int fd);
/* Lines go to fn instead of the descriptor; NULL: back to it. Not for processes with threads. */
void log_set_sink(void (*fn)(void *arg, const char *line, size_t len), void *arg);
void log_set_level(enum log_level most);
void log_set_generation(u64 gen);
/* Incremented (relaxed store, this process is the only writer) for each line that a full pipe dropped. */
void log_set_drop_counter(u64 *counter);
enum log_level log_level(void);
/* A line longer than 2,000 bytes (PIPE_BUF is 4,096, so that one write is one line) is cut with "...".
 * Control characters are shown as \xNN: a peer's bytes cannot forge a line. */
void log_at(enum log_level level, const char *fmt, ...) PRINTF(2, 3);

/* An entry of several lines for the log of slow statements: "<S>", newlines and backslashes behind a backslash, in one write
 * of at most PIPE_BUF. The master keeps it apart from the log's lines. What does not fit is cut with "...". */
#define LOG_SLOW_MOST 4096
void log_slow(const char *entry, size_t len);

#define log_err(...)    log_at(LOG_ERR_, __VA_ARGS__)
#define log_warn(...)   log_at(LOG_WARN_, __VA_ARGS__)
#define log_notice(...) log_at(LOG_NOTICE_, __VA_ARGS__)
#define log_info(...)                                                                              \
	do {                                                                                       \
		if (unlikely(log_level() >= LOG_INFO_))                                            \
			log_at(LOG_INFO_, __VA_ARGS__);                                            \
	} while (0)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (unlikely(log_level() >= LOG_DEBUG_))                                           \
			log_at(LOG_DEBUG_, __VA_ARGS__);                                           \
	} while (0)

/* Rate limit for lines that a peer can provoke: at most `burst` in `per_ms`; the first line let through
 * after a pause is preceded by one that says how many were left out. */
struct log_rate {
	u64 window_start_ns;
	u32 in_window;
	u32 suppressed;
};
bool log_rate_ok(struct log_rate *r, u32 burst, u32 per_ms);
#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_rate rate_here;                                                  \
		if (log_rate_ok(&rate_here, 10, 10000))                                            \
			log_at(level, __VA_ARGS__);                                                \
	} while (0)
#endif
