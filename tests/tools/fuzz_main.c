/* The main of a fuzz target without libFuzzer: each file named on the command line is
 * run once, so that the corpus is a test with any compiler. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static int run_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	FILE *file = fopen(path, "re");
	size_t n;

	if (file == NULL) {
		(void)fprintf(stderr, "cannot open '%s': %s\n", path, strerror(errno));
		return -1;
	}
	n = fread(bytes, 1, sizeof(bytes), file);
	(void)fclose(file);
	/* Before the run, since a run that fails does not come back. */
	(void)printf("%s\n", path);
	(void)fflush(stdout);
	(void)LLVMFuzzerTestOneInput(bytes, n);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (run_file(argv[i]) != 0)
			return 1;
	}
	(void)printf("%d passed\n", argc - 1);
	return argc > 1 ? 0 : 2;
}
