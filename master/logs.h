/* master/logs.h: where log lines end up. The lines of the master and of all children go through one bounded
 * queue to stderr, the journal or a file; nothing here waits for a disk, a terminal or a reader. What cannot
 * be written is dropped and counted. Master only.
 */
#ifndef MARGAY_MASTER_LOGS_H
#define MARGAY_MASTER_LOGS_H
#include "master/loop.h"

#define LOGS_LINE_MAX 2304      /* a child's line (2,048 at most), the time and a word in front */
#define LOGS_QUEUE    (1u << 20) /* a reader that stands still for a moment costs no line; more is memory */

struct logs {
	struct loop *loop;
	struct loop_fd out; /* while the target takes no more */
	int fd, spare_fd;   /* target; stderr as it was at the start */
	enum { LOGS_FILE, LOGS_SOCKET, LOGS_SHARED } kind; /* how to write without waiting */
	bool journal;       /* the target understands "<N>" */
	bool mid, torn;     /* in the middle of a line; a line was cut there by an error */
	char path[4096];    /* "" for stderr */
	char *queue;
	size_t head, len;
	struct logs *slow;  /* where entries of the slow log go */
	u64 *lines, *errors; /* counters; own ones until there is a segment */
	u64 own_lines, own_errors;
};

/* Takes stderr as the target and becomes the sink of base/log. 0 or ERR_NOMEM. */
MUST_CHECK int logs_init(struct logs *g, struct loop *loop);
/* The same without stderr, for a file of its own: it has no target yet, and is nobody's sink. */
MUST_CHECK int logs_init_file(struct logs *g, struct loop *loop);
/* Writes what is queued as far as it goes without waiting. */
void logs_fini(struct logs *g);
/* Counters move into shared memory; what was counted before is carried over. */
void logs_count_in(struct logs *g, u64 *lines, u64 *errors);
/* Bytes as they are, whole lines; dropped and counted if there is no room, dropped if there is no target. */
void logs_queue(struct logs *g, const char *p, size_t len);
/* path: "stderr" or a file, opened for appending. On failure the old target stays: ERR_SYSTEM, errno. "": none, for one of
 * logs_init_file. */
MUST_CHECK int logs_target(struct logs *g, const char *path);
/* Opens the file again; stderr: nothing to do. 0 or ERR_SYSTEM (the old one stays). */
MUST_CHECK int logs_rotate(struct logs *g);
/* One line with or without "<N>" and newline; who: sender for lines that do not say ("worker/0[12]"). */
void logs_line(struct logs *g, const char *line, size_t len, const char *who);

/* One line as it is written, newline included; returns its length. Pure. dst: LOGS_LINE_MAX bytes. */
size_t logs_format(char *dst, const char *line, size_t len, const char *who, bool journal, u64 wall_ms);

/* The reading end of a child's log pipe, with the bytes of an unfinished line. */
struct log_pipe {
	struct loop_fd node;
	struct logs *logs;
	char who[48];
	size_t len;
	bool skip; /* inside an overlong line */
	char buf[4096 + 64]; /* the longest is an entry of the slow log */
};
MUST_CHECK int log_pipe_open(struct log_pipe *p, struct logs *g, int fd, const char *who);
/* Reads what is left and closes the descriptor. */
void log_pipe_close(struct log_pipe *p);
#endif
