/* The sections rule, module and policy of the configuration file. */
#ifndef SINKD_CONFIG_RULE_SECTION_H
#define SINKD_CONFIG_RULE_SECTION_H

#include <stdbool.h>

struct config;
struct reader;
struct section;

/* All of them, after the deliver sections. */
void rule_section_read_all(struct reader *r, const struct section *file);

/* Whether a policy service is asked at a stage: stages as service_settings has them, word
 * an index of option_policy_stage_words. */
bool rule_section_has_stage(unsigned stages, unsigned word);

/* Those that are outside the arena. */
void rule_section_free_patterns(struct config *c);

#endif
