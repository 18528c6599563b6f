/* The configuration file: from its text to a struct config. */
#ifndef SINKD_CONFIG_SCHEMA_H
#define SINKD_CONFIG_SCHEMA_H

struct config;
struct listen_settings;
struct report;

/* Read r->file (NULL: everything is as by default) into c, whose arena is ready.  All
 * sections are checked, in themselves and against each other; no section is invented, and
 * an unset hostname stays NULL. Returns 0 (look at r->mistakes), or a negative errno when
 * the file could not be read, which is told, or -ENOMEM. */
int schema_read(struct report *r, struct config *c);

#define SCHEMA_ERROR_MAX 512

/* Parse text and append its endpoints to l, a listener of c with room for two more.
 * Returns 0, or -EINVAL and in error what is wrong: not an address, or a listener
 * of c (l too) has it already. */
int schema_add_address(struct config *c, struct listen_settings *l, const char *text,
	char error[SCHEMA_ERROR_MAX]);

#endif
