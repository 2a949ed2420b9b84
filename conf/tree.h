/* conf/tree.h: the configuration as read: sections with typed values and their places. Lives in one
 * struct mem and dies with the load. Built by tree_read, judged by conf/check, flattened by
 * conf/snap.
 */
#ifndef MARGAY_CONF_TREE_H
#define MARGAY_CONF_TREE_H
#include "conf/opt.h"

/* Texts of the files that tls_ options name, read by conf/tls; "" if none. */
struct conf_pem {
	const char *cert, *key, *ca, *crl, *rsa;
};
struct conf_section {
	enum opt_section kind;
	const char *name; /* "" for [margay] */
	struct conf_pos pos;
	const struct ini_file *file;
	struct opt_value *v; /* one for each option of the kind: v[SERVER_weight] */
	struct conf_pem pem;
};
struct conf_sections {
	struct conf_section *
	    *v; /* sorted by name (memcmp); of equal names the first in the files comes first */
	size_t n, room;
};
struct conf_tree {
	const char *path; /* the first file, as named */
	struct mem *mem;
	struct conf_msgs *msgs;
	struct conf_section margay;
	struct conf_sections of[OPT_SECTIONS]; /* [OPT_IN_MARGAY] stays empty */
	struct opt_value *defaults[OPT_SECTIONS];
};

/* Reads path into t (whose mem and msgs are set, the rest zero). What is wrong is in msgs. 0;
 * ERR_SYSTEM: the file cannot be read; ERR_NOMEM. */
MUST_CHECK int tree_read(struct conf_tree *t, const char *path);
/* The same from memory, without includes. */
MUST_CHECK int tree_read_mem(struct conf_tree *t, const char *path, const void *bytes, size_t len);
/* Section by name, or NULL; *index_r (may be NULL) gets its index in of[kind].v. */
struct conf_section *tree_find(const struct conf_tree *t, enum opt_section kind, const char *name,
			       size_t *index_r);
/* Name of the section of that kind that may have been meant, or NULL. */
const char *tree_nearest(const struct conf_tree *t, enum opt_section kind, const char *name);
#endif
