/* conf/ini.c: see ini.h. The only file that knows inih. Master and tools.
 *
 * inih as packaged cuts lines at 200 characters, section names at 49 and values at " ;", takes ':'
 * for '=', gives its handler no line number and says nothing about empty sections. So this file
 * reads and checks every physical line itself and hands inih, through its stream interface, short
 * lines that it cannot misread: a section is named by its number, a value by the number of its
 * line, and each section begins with an entry of our own. inih keeps the state (which section an
 * entry belongs to) and calls back in order.
 */
#include "conf/ini.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/text.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <ini.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_ENTRY "/" /* cannot be an option's name */

/* A section header or an option, in the order of the file. */
struct entry {
	struct ini_section *section; /* header: its own; option: NULL, inih says */
	struct ini_option option;
	size_t raw_room;
	bool open; /* nothing behind '=' yet: the next indented line is its value, whatever it looks
		      like */
};
struct reader {
	struct mem *m;
	struct conf_msgs *msgs;
	const struct ini_user *u;
	size_t bytes;
	struct ini_file **files;
	size_t nfiles, files_room;
};
/* One file under way. */
struct file_read {
	struct reader *r;
	const struct ini_file *file;
	struct file_read *parent; /* that includes it */
	u32 depth;
	void *entries; /* struct entry * */
	size_t n, room;
	struct ini_section before; /* the part before any section */
	struct ini_section *section;
	/* feeding inih */
	size_t fed;
	bool fed_header;
};

static struct conf_pos
at_line(const struct file_read *f, u32 line)
{
	return (struct conf_pos){.file = f->file->path, .line = line};
}

/* ---- physical lines ---- */

static struct entry *
entry_at(const struct file_read *f, size_t i)
{
	return (struct entry *)f->entries + i;
}

static struct entry *
entry_add(struct file_read *f)
{
	return mem_append(f->r->m, &f->entries, &f->n, &f->room, sizeof(struct entry));
}

static void
raw_add(struct file_read *f, struct entry *e, const char *p, size_t len, u32 line)
{
	void *v = e->option.raw;
	struct ini_raw *raw = mem_append(f->r->m, &v, &e->option.nraw, &e->raw_room, sizeof *raw);

	if (raw == NULL)
		return;
	e->option.raw = v;
	*raw = (struct ini_raw){.p = p, .len = (u32)len, .line = line};
	e->open = text_is_open(p, len) &&
		  (f->r->u->is_list(f->r->u->arg, f->section->kind, e->option.name) ||
		   text_only_comment(p, len, 0));
}

static inline bool
name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '.';
}

/* Length of the option name at p if a '=' (or, wrongly, ':') follows it; else 0. */
static size_t
name_before(const char *p, size_t len, char *sign_r)
{
	size_t n = 0, at;

	while (n < len && name_char(p[n]))
		n++;
	for (at = n; at < len && (p[at] == ' ' || p[at] == '\t');)
		at++;
	if (n == 0 || at == len || (p[at] != '=' && p[at] != ':'))
		return 0;
	*sign_r = p[at];
	return n;
}

/* "[kind name]": fills s; NULL or what is wrong. */
static const char *
header_parse(struct mem *m, const char *p, size_t len, struct ini_section *s)
{
	struct text_value kind, name;
	size_t at = 1;
	const char *why = text_word(m, p, len, &at, "]", &kind);

	if (why != NULL)
		return why;
	if (kind.p == NULL || kind.quoted)
		return "a section is written [margay], [server NAME], [cluster NAME] or [user "
		       "NAME]";
	why = text_word(m, p, len, &at, "]", &name);
	if (why != NULL)
		return why;
	while (at < len && (p[at] == ' ' || p[at] == '\t'))
		at++;
	if (at == len || p[at] != ']')
		return "no ']' after the section's name (a name with blanks is put in quotes)";
	if (!text_only_comment(p, len, at + 1))
		return "text after the section's ']'";
	s->kind = kind.p;
	s->name = name.p;
	return NULL;
}

static void
line_section(struct file_read *f, const char *p, size_t len, u32 line)
{
	struct ini_section *s = mem_alloc(f->r->m, sizeof *s);
	struct entry *e = entry_add(f);
	const char *why;

	if (s == NULL || e == NULL)
		return;
	s->pos = at_line(f, line);
	s->file = f->file;
	why = header_parse(f->r->m, p, len, s);
	if (why != NULL) {
		msg_error(f->r->msgs, s->pos, "%s", why);
		s->kind = NULL; /* what follows belongs to nothing known; the error is told once */
	}
	e->section = s;
	f->section = s;
}

static void
line_option(struct file_read *f, const char *p, size_t len, u32 line)
{
	char sign = '\0';
	size_t n = name_before(p, len, &sign);
	const char *value;
	struct entry *e;

	if (n == 0 || n > INI_NAME_MAX) {
		/* not shown: it may be a password that lost its name */
		msg_error(f->r->msgs, at_line(f, line),
			  n == 0 ? "neither [section] nor name = value nor a comment"
				 : "name too long");
		e = entry_add(f); /* takes its indented lines along */
		return;
	}
	if (sign == ':')
		msg_error(f->r->msgs, at_line(f, line),
			  "%.*s: write \"name = value\", not \"name: value\"", (int)n, p);
	e = entry_add(f);
	if (e == NULL)
		return;
	value = (const char *)memchr(p, sign, len) + 1;
	e->option.name = sign == ':' ? NULL : mem_dup(f->r->m, p, n);
	e->option.pos = at_line(f, line);
	if (e->option.name != NULL && f->section->kind != NULL)
		raw_add(f, e, value, len - (size_t)(value - p), line);
}

/* A line that begins with a blank: an option written with an indent, or more of the one before. */
static void
line_indented(struct file_read *f, const char *p, size_t len, u32 line)
{
	struct entry *last = f->n == 0 ? NULL : entry_at(f, f->n - 1);
	bool list;
	char sign;

	if (last == NULL || last->section != NULL) {
		if (name_before(p, len, &sign) != 0)
			line_option(f, p, len, line);
		else if (p[0] == '[')
			msg_error(f->r->msgs, at_line(f, line),
				  "a section starts at the beginning of its line");
		else
			msg_error(f->r->msgs, at_line(f, line),
				  "an indented line with no list before it");
		return;
	}
	list = last->option.nraw != 0 &&
	       f->r->u->is_list(f->r->u->arg, f->section->kind, last->option.name);
	/* host:port is no "name: value" where a list may go on */
	if (!last->open && name_before(p, len, &sign) != 0 && (sign == '=' || !list))
		line_option(f, p, len, line);
	else if (last->option.nraw == 0)
		return; /* an error was told for the line that this one belongs to */
	else if (p[0] == '[' && !last->open && !list)
		msg_error(f->r->msgs, at_line(f, line),
			  "a section starts at the beginning of its line");
	else
		raw_add(f, last, p, len, line);
}

/* Bytes that no line of text holds, whatever the option. */
static const char *
line_fault(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		u8 c = (u8)p[i];

		if (c == '\0')
			return "a NUL byte: this is not a text file";
		if (c == '\r')
			return "a carriage return inside the line";
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "a control character";
	}
	return NULL;
}

static void
line_read(struct file_read *f, const char *p, size_t len, u32 line)
{
	const char *why;
	size_t at = 0;

	if (len > 0 && p[len - 1] == '\r')
		len--;
	if (len > INI_LINE_MAX)
		msg_error(f->r->msgs, at_line(f, line), "line of %zu bytes; %d is the most", len,
			  INI_LINE_MAX);
	else if ((why = line_fault(p, len)) != NULL)
		msg_error(f->r->msgs, at_line(f, line), "%s", why);
	if (len > INI_LINE_MAX || line_fault(p, len) != NULL) {
		(void)entry_add(f); /* so that its indented lines do not go to the option before */
		return;
	}
	while (at < len && (p[at] == ' ' || p[at] == '\t'))
		at++;
	if (at == len || p[at] == ';' || p[at] == '#')
		return;
	if (at > 0)
		line_indented(f, p + at, len - at, line);
	else if (p[0] == '[')
		line_section(f, p, len, line);
	else
		line_option(f, p, len, line);
}

static bool
encoding_ok(struct file_read *f, const u8 *p, size_t len)
{
	if (len >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
		msg_error(f->r->msgs, at_line(f, 1), "this is UTF-16; UTF-8 is needed");
		return false;
	}
	return true;
}

static void
lines_read(struct file_read *f, const char *p, size_t len)
{
	const char *end = p + len, *nl;
	u32 line = 1;

	if (!encoding_ok(f, (const u8 *)p, len))
		return;
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p < end && !f->r->m->oom; p = nl + 1, line++) {
		nl = memchr(p, '\n', (size_t)(end - p));
		if (nl == NULL)
			nl = end;
		line_read(f, p, (size_t)(nl - p), line);
	}
}

/* ---- includes ---- */

static int file_read(struct reader *r, const char *path, struct file_read *parent,
		     struct conf_pos from);

/* The include's pattern, made relative to the file it stands in. */
static char *
include_path(struct file_read *f, const struct text_value *v)
{
	const char *slash = strrchr(f->file->path, '/');
	size_t dir = slash == NULL || v->p[0] == '/' ? 0 : (size_t)(slash - f->file->path) + 1;
	char *s = mem_alloc(f->r->m, dir + v->len + 1);

	if (s != NULL) {
		memcpy(s, f->file->path, dir);
		memcpy(s + dir, v->p, v->len);
	}
	return s;
}

static void
include_glob(struct file_read *f, const struct ini_option *o, const char *pattern)
{
	glob_t g;
	int rc = glob(pattern, GLOB_ERR, NULL, &g);

	if (rc == 0) {
		for (size_t i = 0; i < g.gl_pathc; i++)
			(void)file_read(f->r, g.gl_pathv[i], f, o->pos);
		globfree(&g);
	} else if (rc == GLOB_NOSPACE) {
		f->r->m->oom = true;
	} else if (rc == GLOB_ABORTED && !f->r->u->skip_unreadable) {
		msg_error(f->r->msgs, o->pos, "include: cannot read the directory of %s: %s",
			  pattern, strerror(errno));
	}
	/* GLOB_NOMATCH: an empty conf.d is no mistake */
}

static void
on_include(struct file_read *f, const struct ini_section *s, const struct ini_option *o)
{
	struct text_value v;
	const char *why;
	char *path;

	if (s->kind[0] != '\0' && strcmp(s->kind, "margay") != 0) {
		msg_error(f->r->msgs, o->pos,
			  "include stands in [margay] or before the first section");
		return;
	}
	why = o->nraw > 1 ? "one path for each include"
			  : text_scalar(f->r->m, o->raw[0].p, o->raw[0].len, false, &v);
	if (why == NULL && v.len == 0)
		why = "an empty path";
	if (why != NULL) {
		msg_error(f->r->msgs, o->pos, "include: %s", why);
		return;
	}
	path = include_path(f, &v);
	if (path == NULL || f->r->u->no_includes)
		return;
	if (strpbrk(path, "*?[") != NULL)
		include_glob(f, o, path);
	else
		(void)file_read(f->r, path, f, o->pos);
}

/* ---- through inih ---- */

/* The stream that inih reads: one short line for each call. */
static char *
on_line_wanted(char *str, int num, void *stream)
{
	struct file_read *f = stream;

	for (; f->fed < f->n; f->fed++) {
		const struct entry *e = entry_at(f, f->fed);

		if (e->section != NULL && !f->fed_header) {
			f->fed_header = true;
			(void)snprintf(str, (size_t)num, "[%zu]\n", f->fed);
			return str;
		}
		if (e->section != NULL) {
			f->fed_header = false;
			(void)snprintf(str, (size_t)num, HEADER_ENTRY "=%zu\n", f->fed++);
			return str;
		}
		if (e->option.name != NULL && e->option.nraw != 0) {
			(void)snprintf(str, (size_t)num, "%s=%zu\n", e->option.name, f->fed++);
			return str;
		}
	}
	return NULL;
}

/* inih's handler: returns 1 for "understood". */
static int
on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct file_read *f = user;
	const struct ini_user *u = f->r->u;
	struct ini_section *s = &f->before;
	u64 i, k;

	if (str_to_u64(value, &i) != 0 || i >= f->n)
		return 0;
	if (section[0] != '\0') {
		if (str_to_u64(section, &k) != 0 || k >= f->n || entry_at(f, k)->section == NULL)
			return 0;
		s = entry_at(f, k)->section;
	}
	if (s->kind == NULL)
		return 1;
	if (strcmp(name, HEADER_ENTRY) == 0)
		u->on_section(u->arg, s);
	else if (strcmp(name, "include") == 0)
		on_include(f, s, &entry_at(f, i)->option);
	else if (strcmp(name, entry_at(f, i)->option.name) == 0)
		u->on_option(u->arg, s, &entry_at(f, i)->option);
	else
		return 0;
	return 1;
}

static void
file_parse(struct file_read *f, const char *p, size_t len)
{
	int rc;

	f->before = (struct ini_section){.kind = "", .pos = at_line(f, 1), .file = f->file};
	f->section = &f->before;
	lines_read(f, p, len);
	if (f->r->m->oom)
		return;
	rc = ini_parse_stream(on_line_wanted, f, on_pair, f);
	/* only an inih built with smaller limits than any known one can do this */
	if (rc != 0)
		msg_error(f->r->msgs, at_line(f, 0), "inih cannot read it (its line %d)", rc);
}

/* ---- files ---- */

static struct ini_file *
file_add(struct reader *r, const char *path, const struct stat *st)
{
	struct ini_file *file = mem_alloc(r->m, sizeof *file);
	void *v = r->files;
	struct ini_file **at = mem_append(r->m, &v, &r->nfiles, &r->files_room, sizeof *at);

	if (file == NULL || at == NULL)
		return NULL;
	r->files = v;
	*at = file;
	file->path = mem_dup(r->m, path, strlen(path));
	file->mode = st->st_mode;
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	return file->path == NULL ? NULL : file;
}

/* Reads all of fd into mem. NULL with errno, or with errno 0 when a limit is passed. */
static char *
file_bytes(struct reader *r, int fd, size_t size, size_t *len_r)
{
	size_t n = 0;
	char *p;

	errno = 0;
	if (size > INI_BYTES_MAX - r->bytes)
		return NULL;
	p = mem_alloc(r->m, size + 1);
	if (p == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	while (n < size) {
		ssize_t got = read(fd, p + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return NULL;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	r->bytes += n;
	*len_r = n;
	return p;
}

/* May this file be read here? NULL or why not. */
static const char *
include_fault(struct reader *r, const struct stat *st, const struct file_read *parent)
{
	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	for (const struct file_read *f = parent; f != NULL; f = f->parent)
		if (f->file->dev == st->st_dev && f->file->ino == st->st_ino)
			return "it includes itself";
	for (size_t i = 0; i < r->nfiles; i++)
		if (r->files[i]->dev == st->st_dev && r->files[i]->ino == st->st_ino)
			return "it was read already";
	if (parent != NULL && parent->depth + 1 >= INI_DEPTH_MAX)
		return "too many includes within one another";
	if (r->nfiles >= INI_FILES_MAX)
		return "too many files";
	return NULL;
}

/* from: the include line, or no place for the first file. */
static int
file_read(struct reader *r, const char *path, struct file_read *parent, struct conf_pos from)
{
	struct file_read f = {
	    .r = r, .parent = parent, .depth = parent == NULL ? 0 : parent->depth + 1};
	struct conf_pos pos = parent == NULL ? (struct conf_pos){.file = path} : from;
	const char *why = NULL;
	struct stat st;
	char *p = NULL;
	size_t len = 0;
	/* O_NONBLOCK: a FIFO would hold up a reload */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;

	if (fd < 0 || fstat(fd, &st) != 0) {
		err = errno;
		if (parent == NULL || !r->u->skip_unreadable)
			msg_error(r->msgs, pos,
				  parent == NULL ? "cannot read%s: %s" : "cannot read %s: %s",
				  parent == NULL ? "" : path, strerror(err));
		if (fd >= 0)
			close(fd);
		errno = err;
		return ERR_SYSTEM;
	}
	err = 0;
	why = include_fault(r, &st, parent);
	if (why == NULL) {
		p = file_bytes(r, fd, (size_t)st.st_size, &len);
		err = errno;
		if (p == NULL)
			why = err != 0 ? strerror(err) : "files too large";
		else
			f.file = file_add(r, path, &st);
	}
	close(fd);
	if (why != NULL) {
		msg_error(r->msgs, pos,
			  parent == NULL ? "cannot read%s: %s" : "cannot include %s: %s",
			  parent == NULL ? "" : path, why);
		errno = err != 0 ? err : EINVAL;
		return ERR_SYSTEM;
	}
	if (f.file != NULL)
		file_parse(&f, p, len);
	return 0;
}

int
ini_read(const char *path, struct mem *m, struct conf_msgs *msgs, const struct ini_user *u)
{
	struct reader r = {.m = m, .msgs = msgs, .u = u};

	return file_read(&r, path, NULL, (struct conf_pos){NULL, 0});
}

void
ini_read_mem(const char *path, const void *bytes, size_t len, struct mem *m, struct conf_msgs *msgs,
	     const struct ini_user *u)
{
	struct reader r = {.m = m, .msgs = msgs, .u = u};
	struct file_read f = {.r = &r};
	struct stat none = {.st_mode = S_IFREG | 0600};
	char *p = mem_dup(m, bytes, len); /* raw values point into it */

	f.file = file_add(&r, path, &none);
	if (f.file != NULL && p != NULL)
		file_parse(&f, p, len);
}
