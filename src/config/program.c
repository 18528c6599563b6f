/* Commands of pipe deliveries; see program.h.
 *
 * Runs in the master; the input is the operator's own, not a client's. */
#include "config/program.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/tables.h"
#include "delivery/macro.h"

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

#define NOWHERE "there is no such program in /usr/local/bin, /usr/bin and /bin"

/* What a shell would take apart. */
#define ALL_IN_ONE "each argument is a string of its own; no shell takes them apart"

/* is_here: a name with a slash would be one in the current directory. */
static const char *look_for(const char *name, bool is_here, char ret[PATH_MAX])
{
	for (const char *at = PIPE_PATH; *at != '\0'; at += strspn(at, ":")) {
		size_t length = strcspn(at, ":");
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%.*s/%s", (int)length, at, name);

		at += length;

		if (n > 0 && (size_t)n < sizeof(path) && is_program(path)) {
			memcpy(ret, path, (size_t)n + 1);
			return NULL;
		}
	}
	if (strchr(name, ' ') != NULL)
		return ALL_IN_ONE;
	return is_here && access(name, F_OK) == 0 ? NOWHERE
		       "; one in the current directory is written with './'"
						  : NOWHERE;
}

const char *program_find(const char *name, const char *directory, char ret[PATH_MAX])
{
	const char *wrong = option_check_file(name);
	int n;

	if (wrong != NULL)
		return wrong;
	if (*name == '\0')
		return "a program is expected";
	/* It would look like a macro, and there are none here: what is run is never
	 * for a client to choose. */
	if (strchr(name, '%') != NULL && strchr(name, ' ') != NULL)
		return ALL_IN_ONE;
	if (strchr(name, '%') != NULL)
		return "the path of a program must not have a percent sign";
	if (strchr(name, '/') == NULL)
		return look_for(name, directory != NULL, ret);
	if (*name == '/') {
		(void)strlcpy(ret, name, PATH_MAX);
		return NULL;
	}
	if (directory == NULL)
		return "an absolute path, or a name without '/', is expected";
	if (strchr(directory, '%') != NULL)
		return "a relative path, and the current directory has a percent sign";
	n = snprintf(ret, PATH_MAX, "%s/%s", directory, name);
	if (n < 0 || n >= PATH_MAX)
		return "longer than a path can be";
	return option_check_file(ret);
}

uint32_t program_macros(const char *const *command)
{
	uint32_t used = 0;

	for (size_t i = 1; command[0] != NULL && command[i] != NULL; i++)
		used |= macro_used(command[i]);
	return used;
}
