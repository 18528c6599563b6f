/* Lines for the users file; see passwd.h.
 *
 * Runs in sinkctl, and needs no server.  The password is in memory of ours only, which is
 * wiped, and never in a core file. */
#include "ctl/passwd.h"

#include <errno.h>
#include <readpassphrase.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fdio.h"

/* One byte more than a password may have, so that one that is longer is seen to be. */
#define TYPED_SIZE (USERS_PASSWORD_MAX + 2)

static int complain(const char *text)
{
	(void)fprintf(stderr, "sinkctl: %s\n", text);
	return EXIT_FAILURE;
}

static int ask(const char *prompt, char typed[TYPED_SIZE])
{
	if (readpassphrase(prompt, typed, TYPED_SIZE, RPP_REQUIRE_TTY) != NULL)
		return EXIT_SUCCESS;
	return complain("cannot read a password from the terminal");
}

static int ask_twice(char typed[TYPED_SIZE])
{
	char again[TYPED_SIZE] = "";
	int status = ask("Password: ", typed);

	if (status == EXIT_SUCCESS)
		status = ask("Once more: ", again);
	if (status == EXIT_SUCCESS && strcmp(typed, again) != 0)
		status = complain("the two passwords differ");
	explicit_bzero(again, sizeof(again));
	return status;
}

/* The first line, or all if it has no end.  *ret_n is larger than it may be if there is
 * more than typed holds. */
static int read_line(char typed[TYPED_SIZE], size_t *ret_n)
{
	size_t n = 0;
	ssize_t got = 1;
	const char *end = NULL;

	while (got > 0 && end == NULL && n < TYPED_SIZE) {
		got = fdio_read(STDIN_FILENO, typed + n, TYPED_SIZE - n);
		if (got > 0)
			end = memchr(typed + n, '\n', (size_t)got);
		n += got > 0 ? (size_t)got : 0;
	}
	if (got < 0) {
		(void)fprintf(stderr, "sinkctl: cannot read standard input: %s\n",
			strerror((int)-got));
		return EXIT_FAILURE;
	}
	*ret_n = end == NULL ? n : (size_t)(end - typed);
	return EXIT_SUCCESS;
}

static int write_line(enum users_scheme scheme, struct str name, struct str password)
{
	char line[USERS_LINE_SIZE + 1];
	const char *error = NULL;
	size_t n;
	int r = users_make_line(scheme, name, password, line, &error);

	if (r < 0)
		return complain(error != NULL ? error : strerror(-r));
	n = strlen(line);
	line[n] = '\n';
	r = fdio_write_all(STDOUT_FILENO, line, n + 1);
	explicit_bzero(line, sizeof(line));
	return r < 0 ? complain("cannot write to standard output") : EXIT_SUCCESS;
}

int passwd_run(enum users_scheme scheme, const char *name)
{
	const struct rlimit none = {0, 0};
	const char *error = users_check_name(str_of(name));
	char typed[TYPED_SIZE] = "";
	size_t n = 0;
	int status;

	/* Before anybody has typed anything. */
	if (error != NULL)
		return complain(error);
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return complain("cannot forbid a core file");
	if (isatty(STDIN_FILENO)) {
		status = ask_twice(typed);
		n = strlen(typed);
	} else {
		status = read_line(typed, &n);
	}
	if (status == EXIT_SUCCESS)
		status = write_line(scheme, str_of(name), (struct str){typed, n});
	explicit_bzero(typed, sizeof(typed));
	return status;
}
