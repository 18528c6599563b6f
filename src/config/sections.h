/* The configuration file: from its sections to a struct config. */
#ifndef SINKD_CONFIG_SECTIONS_H
#define SINKD_CONFIG_SECTIONS_H

struct config;
struct report;

/* Read r->file (NULL: everything is as by default) into c, whose arena is ready.  All
 * sections are checked, in themselves and against each other; no section is invented, and
 * an unset hostname stays NULL. Returns 0 (look at r->mistakes), or a negative errno when
 * the file could not be read, which is told, or -ENOMEM. */
int sections_read(struct report *r, struct config *c);

#endif
