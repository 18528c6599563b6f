/* Reading the configuration again; see reload.h.  Runs in the master. */
#include "proc/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void reload_log(enum log_level level, const char *action, const char *reason)
{
	log_event(level, EV_SERVER_RELOAD, LOG_TEXT("action", action),
		LOG_TEXT("reason", reason));
}

/* Each mistake in the file is a line of the log. */
static void log_mistakes(char *text)
{
	char *line, *rest = text;

	while ((line = strsep(&rest, "\n")) != NULL)
		if (line[0] != '\0')
			reload_log(LOG_ERROR, "refused, going on as before", line);
}

struct config *reload_read(const char *file, const struct config_overrides *overrides,
	const struct keyring *before, struct keyring **ret_keyring, char *ret_mistake,
	size_t size)
{
	static const char no_memory[] = "out of memory";
	struct config *c = NULL;
	char *text = NULL;
	size_t n = 0;
	FILE *errors = open_memstream(&text, &n);
	bool has_text;
	int r;

	if (errors == NULL) {
		(void)str_copy(ret_mistake, size, str_of(no_memory));
		reload_log(LOG_ERROR, "refused, going on as before", no_memory);
		return NULL;
	}
	r = config_load(file, overrides, errors, &c);
	if (r == 0 && (r = keyring_load(c, before, errors, ret_keyring)) < 0)
		config_free(c);
	/* Without memory for what is wrong there is no text. */
	has_text = fclose(errors) == 0 && text != NULL && text[0] != '\0';
	if (r < 0 && has_text) {
		(void)str_copy(
			ret_mistake, size, (struct str){text, strcspn(text, "\n")});
		log_mistakes(text);
	} else if (r < 0) {
		(void)str_copy(ret_mistake, size, str_of(no_memory));
		reload_log(LOG_ERROR, "refused, going on as before", no_memory);
	}
	free(text);
	return r < 0 ? NULL : c;
}

void reload_note_unchangeable(const struct config *before, const struct config *now)
{
	const char *old = before->runtime_dir, *new = now->runtime_dir;

	if (old != new && (old == NULL || new == NULL || strcmp(old, new) != 0))
		reload_log(LOG_WARN, "runtime-dir stays as it was, going on",
			"it is read at the start only");
}
