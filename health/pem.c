/* health/pem.c: see pem.h. */
#define _GNU_SOURCE 1 /* memfd_create */
#include "health/pem.h"
#include "base/err.h"
#include "base/str.h"
#include <sys/mman.h>
#include <unistd.h>

struct file {
	struct file *next;
	int fd;
	u64 used; /* generation that asked last */
	size_t len;
	char text[];
};
static struct file *files;
static u64 now = 1;

static int
fd_of(const char *text, size_t len)
{
	int fd = memfd_create("margay-pem", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n <= 0) {
			close(fd);
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

int
pem_file(const char *text, char path_r[PEM_PATH])
{
	size_t len = strlen(text);
	struct file *f;

	path_r[0] = '\0';
	if (len == 0)
		return 0;
	for (f = files; f != NULL && (f->len != len || memcmp(f->text, text, len) != 0); f = f->next)
		continue;
	if (f == NULL) {
		f = malloc(sizeof *f + len);
		if (f == NULL || (f->fd = fd_of(text, len)) < 0) {
			free(f);
			return ERR_SYSTEM;
		}
		f->len = len;
		memcpy(f->text, text, len);
		f->next = files;
		files = f;
	}
	f->used = now;
	snprintf(path_r, PEM_PATH, "/proc/self/fd/%d", f->fd);
	return 0;
}

void
pem_generation(void)
{
	struct file **at = &files;

	while (*at != NULL) {
		struct file *f = *at;

		if (f->used + 1 >= now) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		close(f->fd);
		mem_wipe(f->text, f->len);
		free(f);
	}
	now++;
}
