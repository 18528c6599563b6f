/* The section auth of the configuration file. */
#ifndef SINKD_CONFIG_AUTH_SECTION_H
#define SINKD_CONFIG_AUTH_SECTION_H

struct listen_settings;
struct reader;
struct section;

/* Read the mechanisms and the file of users; the members of option_auth are set
 * already. */
void auth_section_read(struct reader *r, const struct section *s);

/* After tls and auth: whether any mechanism can work for clients of l, a listener that
 * requires it; s is its section. */
void auth_section_check(
	struct reader *r, const struct section *s, const struct listen_settings *l);

#endif
