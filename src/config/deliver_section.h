/* The sections deliver of the configuration file. */
#ifndef SINKD_CONFIG_DELIVER_SECTION_H
#define SINKD_CONFIG_DELIVER_SECTION_H

#include <stdbool.h>

struct delivery_settings;
struct option;
struct reader;
struct section;

/* Read and check the section s into *d, which is zeroed but for its name. */
void deliver_section_read(
	struct reader *r, const struct section *s, struct delivery_settings *d);

/* Whether sections of the type of d have this option. */
bool deliver_section_has(const struct delivery_settings *d, const struct option *o);

#endif
