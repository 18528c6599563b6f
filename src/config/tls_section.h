/* The section tls of the configuration file. */
#ifndef SINKD_CONFIG_TLS_SECTION_H
#define SINKD_CONFIG_TLS_SECTION_H

struct reader;
struct section;

/* Read the certificates, and check what option_tls cannot; its members are set already.
 */
void tls_section_read(struct reader *r, const struct section *s);

#endif
