// SPDX-License-Identifier: BSD-2-Clause
/* In libFuzzer's place, for any compiler: gives the target each file that is
 * named or lies in a named folder, in turn, and says how many there were. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_BYTES_MAX (1 << 20)

static unsigned inputs;

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(INPUT_BYTES_MAX);
	uint8_t *exact = NULL;
	size_t size;

	if (f && data) {
		size = fread(data, 1, INPUT_BYTES_MAX, f);
		/* Of just that size, so that a sanitizer sees its end. */
		exact = malloc(size ? size : 1);
		if (exact) {
			memcpy(exact, data, size);
			LLVMFuzzerTestOneInput(exact, size);
			inputs++;
		}
	}
	if (!exact)
		perror(path);
	if (f)
		fclose(f);
	free(data);
	free(exact);
	return exact ? 0 : -1;
}

static int run_folder(DIR *folder, const char *path)
{
	char name[4096];
	struct dirent *entry;
	int rc = 0;

	while (rc == 0 && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		rc = run_file(name);
	}
	return rc;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; rc == 0 && i < argc; i++) {
		DIR *folder = opendir(argv[i]);

		if (!folder) {
			rc = run_file(argv[i]);
			continue;
		}
		rc = run_folder(folder, argv[i]);
		closedir(folder);
	}
	printf("%u inputs\n", inputs);
	return rc == 0 && inputs ? 0 : 1;
}
