/* Reading the configuration again; see reload.h.  Runs in the master; input is the
 * configuration, and a mistake in it must not end the server. */
#include "proc/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reload_log(enum log_level level, const char *action, const char *reason)
{
	log_event(level, EV_SERVER_RELOAD, LOG_TEXT("action", action),
		LOG_TEXT("reason", reason));
}

static void refuse(const char *reason)
{
	reload_log(LOG_ERROR, "refused, going on as before", reason);
}

struct config *reload_read(const char *file, const struct config_overrides *overrides)
{
	struct config *c = NULL;
	char *text = NULL, *line, *rest;
	size_t n = 0;
	FILE *errors = open_memstream(&text, &n);
	int r;

	if (errors == NULL) {
		refuse("out of memory");
		return NULL;
	}
	r = config_load(file, overrides, errors, &c);
	/* Without memory for the text there is none. */
	rest = fclose(errors) == 0 ? text : NULL;
	if (r < 0 && (rest == NULL || rest[0] == '\0'))
		refuse("out of memory");
	while (r < 0 && (line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			refuse(line);
	free(text);
	return r < 0 ? NULL : c;
}
