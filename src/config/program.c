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

/* PATH of every command; not ours, so that the same file means the same for anyone. */
static const char *const directories[] = {"/usr/local/bin", "/usr/bin", "/bin"};

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static const char *look_for(const char *name, char ret[PATH_MAX])
{
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s/%s", directories[i], name);

		if (n > 0 && (size_t)n < sizeof(path) && is_program(path)) {
			memcpy(ret, path, (size_t)n + 1);
			return NULL;
		}
	}
	return "there is no such program in /usr/local/bin, /usr/bin and /bin";
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
	if (strchr(name, '%') != NULL)
		return "the path of a program must not have a percent sign";
	if (strchr(name, '/') == NULL)
		return look_for(name, ret);
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
