/* conf/ini.h: margay.conf and its includes to sections and raw options, each with its exact place.
 * Syntax only: what the names mean is the caller's business. The rules an operator sees are in
 * conf/README.
 */
#ifndef MARGAY_CONF_INI_H
#define MARGAY_CONF_INI_H
#include "conf/mem.h"
#include "conf/msg.h"
#include <sys/types.h>

#define INI_LINE_MAX  4096                /* bytes of one line: longer is a mistake, not a value */
#define INI_NAME_MAX  40                  /* bytes of an option's name: inih keeps 49 */
#define INI_BYTES_MAX (16u * 1024 * 1024) /* of all files: 65,536 users take a third of it */
#define INI_DEPTH_MAX 8                   /* includes within includes */
#define INI_FILES_MAX 1000

/* A file that was read. */
struct ini_file {
	const char *path;
	mode_t mode;
	dev_t dev;
	ino_t ino;
};
/* What stands behind `name =`: one raw line, or several for a list. Comments and quotes are still
 * in it. */
struct ini_raw {
	const char *p;
	u32 len, line;
};
struct ini_section {
	const char *kind; /* "server"; "" for what stands before any section */
	const char *name; /* "db1"; NULL: none */
	struct conf_pos pos;
	const struct ini_file *file;
	void *cookie; /* the caller's */
};
struct ini_option {
	const char *name;
	struct conf_pos pos;
	struct ini_raw *raw;
	size_t nraw;
};
struct ini_user {
	void *arg;
	/* May set s->cookie. */
	void (*on_section)(void *arg, struct ini_section *s);
	void (*on_option)(void *arg, const struct ini_section *s, const struct ini_option *o);
	/* Is this option a list, which goes on on indented lines? */
	bool (*is_list)(void *arg, const char *kind, const char *name);
	bool no_includes;     /* fuzzing: reads no files */
	bool skip_unreadable; /* an included file that may not be read is left out without an error
			       */
};

/* Reads path. Everything found wrong is in msgs; 0, or ERR_SYSTEM (errno set) when path itself
 * cannot be read, then with a message too. Strings live in m. */
MUST_CHECK int ini_read(const char *path, struct mem *m, struct conf_msgs *msgs,
			const struct ini_user *u);
/* The same from memory, under the name `path`. */
void ini_read_mem(const char *path, const void *bytes, size_t len, struct mem *m,
		  struct conf_msgs *msgs, const struct ini_user *u);
#endif
