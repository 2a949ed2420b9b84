/* t/fuzz/replay.c: runs a fuzz target over each file of its corpus, whole and cut at every length,
 * without libFuzzer: so every compiler and sanitizer of `make check` sees the inputs that once
 * mattered.
 */
#include <dirent.h>
#include <errno.h>
#include "t/fuzz/fuzz_util.h"

#define FILE_MAX 65536

static long
replay_file(const char *path)
{
	static u8 buf[FILE_MAX];
	FILE *f = fopen(path, "rb");
	size_t len;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	len = fread(buf, 1, sizeof buf, f);
	fclose(f);
	for (size_t n = 0; n <= len; n++) {
		u8 *copy = malloc(n); /* exact size: ASan sees one byte too many */

		MUST(copy != NULL || n == 0);
		if (n > 0)
			memcpy(copy, buf, n);
		LLVMFuzzerTestOneInput(copy, n);
		free(copy);
	}
	return (long)len + 1;
}

int
main(void)
{
	const char *top = getenv("top_srcdir");
	char dir[1024], path[2048];
	long inputs = 0, files = 0;
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof dir, "%s/t/fuzz/corpus/%s", top != NULL ? top : ".", FUZZ_CORPUS);
	d = opendir(dir);
	if (d == NULL) {
		fprintf(stderr, "%s: %s\n", dir, strerror(errno));
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		long n;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		n = replay_file(path);
		if (n < 0)
			return 1;
		inputs += n;
		files++;
	}
	closedir(d);
	printf("%s: %ld files, %ld inputs\n", FUZZ_CORPUS, files, inputs);
	return files > 0 ? 0 : 1;
}
