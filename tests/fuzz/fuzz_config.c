/* Fuzz target: the configuration file.
 *
 * The input is the file, any bytes.  What is refused must say why, each time with the
 * file and a line that it has; what is accepted must say nothing, and its printed form
 * must load again and print the same. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "config/conf.h"
#include "fuzz.h"

/* A file without a directory, made once. */
static int file = -1;
static char path[32];

static void write_file(struct str text)
{
	if (file < 0) {
		file = memfd_create("sinkd.conf", MFD_CLOEXEC);
		assert(file >= 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	}
	assert(ftruncate(file, 0) == 0 && lseek(file, 0, SEEK_SET) == 0);
	assert(fdio_write_all(file, text.p, text.n) == 0);
}

/* A file that is not text has no lines. */
static bool is_about_reading(struct str line)
{
	return str_starts_nocase(line, STR("sinkd: cannot read '/proc/self/fd/"));
}

/* The file of users has messages of its own, and then one about the line with its
 * name. */
static bool has_wrong_users(struct str told)
{
	static const char name[] = ": auth: users-file: '";
	const char *p = memmem(told.p, told.n, name, sizeof(name) - 1);

	return p != NULL && strstr(p, "': cannot be used\n") != NULL;
}

static void check_told(struct str told, struct str text, int result)
{
	bool is_about_users = has_wrong_users(told);
	size_t line_count = 1;

	for (size_t i = 0; i < text.n; i++)
		line_count += text.p[i] == '\n';
	assert((told.n == 0) == (result == 0));
	while (told.n > 0) {
		const char *end = memchr(told.p, '\n', told.n);
		struct str line;

		assert(end != NULL);
		line = (struct str){told.p, (size_t)(end - told.p)};
		if (is_about_reading(line))
			assert(result == -EILSEQ || result == -EFBIG);
		else if (!is_about_users || str_starts_nocase(line, str_of(path)))
			fuzz_check_mistake(line, str_of(path), line_count);
		told = str_skip(told, line.n + 1);
	}
}

/* Load text; NULL if it is refused. */
static struct config *load(struct str text)
{
	struct config *c = NULL;
	char *told = NULL;
	size_t size = 0;
	FILE *errors = open_memstream(&told, &size);
	int result;

	assert(errors != NULL);
	write_file(text);
	result = config_load(path, NULL, errors, &c);
	assert(fclose(errors) == 0);
	assert((c != NULL) == (result == 0));
	check_told((struct str){told, size}, text, result);
	free(told);
	return c;
}

/* The caller frees the text. */
static char *print(const struct config *c, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);

	assert(out != NULL);
	config_print(c, out);
	assert(fclose(out) == 0);
	return text;
}

/* The parser puts variables of the environment into strings, so an input must mean the
 * same everywhere.  PATH is for the programs that explain a crash. */
static void set_environment(void)
{
	static char name[] = "NAME=mx.example.test", where[] = "PATH=/usr/bin:/bin";
	static char *variables[] = {name, where, NULL};

	environ = variables;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct config *c, *again;
	char *printed, *reprinted;
	size_t printed_size = 0, reprinted_size = 0;

	set_environment();
	c = load((struct str){(const char *)p, n});
	if (c == NULL)
		return 0;
	printed = print(c, &printed_size);
	again = load((struct str){printed, printed_size});
	if (again == NULL) {
		(void)fprintf(stderr, "refused when printed:\n%s", printed);
		abort();
	}
	reprinted = print(again, &reprinted_size);
	fuzz_compare("print", "first", (struct str){printed, printed_size}, "again",
		(struct str){reprinted, reprinted_size});
	free(printed);
	free(reprinted);
	config_free(c);
	config_free(again);
	return 0;
}
