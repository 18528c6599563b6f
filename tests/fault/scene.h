/* Where a fault happens: a directory with a configuration, maildirs and the log,
 * and what is found in them afterwards. */
#ifndef SINKD_TESTS_SCENE_H
#define SINKD_TESTS_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/conf.h"

struct scene_settings {
	const char *path;      /* below the directory "mail" */
	const char *second;    /* that of a second section; NULL: there is none */
	const char *headers;   /* as in the configuration: "\"Received\"", or "" */
	const char *sync;      /* "full" or "none" */
	const char *file_mode; /* NULL: the default */
	bool is_discard;
	bool has_auth; /* for joe with the password "secret" */
	bool has_pipe; /* a second section, of which nobody makes use */
	bool has_pair; /* for TLS, in the files "certificate" and "key" */
};

struct scene {
	char dir[40];
	struct config *config;
};

/* Make the directory and load the configuration: one listener "unix:DIR/socket",
 * one deliver section or two of them, two workers. */
void scene_open(struct scene *s, const struct scene_settings *settings);
void scene_close(struct scene *s);

/* Remove all mail, and with_mailboxes the directories too; empty the log. */
void scene_clear(const struct scene *s, bool with_mailboxes);

/* What is in all mailboxes.  A whole file ends with the text and has the size that
 * its name tells. */
struct tally {
	unsigned tmp;
	unsigned delivered; /* in new */
	unsigned whole;
};

struct tally scene_count(const struct scene *s, const char *text);

/* How many whole files a power cut behind this many changes leaves of those that are
 * there now, and in *ret_broken how many that are not whole. */
unsigned scene_survivors(const struct scene *s, const char *text, size_t changes,
	unsigned fate, unsigned *ret_broken);

/* Whether count whole files are there whatever the fate of what is not durable. */
bool scene_is_durable(const struct scene *s, const char *text, unsigned count);

/* Lines of the log with this in them. */
unsigned scene_logged(const struct scene *s, const char *what);

/* In a child: standard error goes to a file.  Then, in the parent: lines of it with
 * this in them, and all of it on standard output. */
void scene_catch_errors(const struct scene *s);
unsigned scene_told(const struct scene *s, const char *what);
void scene_show_errors(const struct scene *s);

/* How many descriptors this process has. */
unsigned scene_descriptors(void);

#endif
