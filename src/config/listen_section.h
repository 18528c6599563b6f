/* The sections listen of the configuration file. */
#ifndef SINKD_CONFIG_LISTEN_SECTION_H
#define SINKD_CONFIG_LISTEN_SECTION_H

struct listen_settings;
struct reader;
struct section;

/* Read one; l has its name and is among the listeners already, as its own addresses may
 * collide, too.  Where its mail goes is read elsewhere. */
void listen_section_read(
	struct reader *r, const struct section *s, struct listen_settings *l);

#endif
