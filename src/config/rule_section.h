/* The sections rule, module and policy of the configuration file. */
#ifndef SINKD_CONFIG_RULE_SECTION_H
#define SINKD_CONFIG_RULE_SECTION_H

struct config;
struct reader;
struct section;

/* All of them, after the deliver sections. */
void rule_section_read_all(struct reader *r, const struct section *file);

/* Those that are outside the arena. */
void rule_section_free_patterns(struct config *c);

#endif
