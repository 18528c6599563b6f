/* The tables of options: what the configuration file may say. */
#ifndef SINKD_CONFIG_TABLES_H
#define SINKD_CONFIG_TABLES_H

#include "config/option.h"

struct option_section {
	const char *name; /* NULL ends the table */
	const struct option *options;
	const struct option_section *inner; /* with titles; NULL: none */
};

/* Members of struct config: of the top level, and of the sections without title. */
extern const struct option option_root[];
extern const struct option_section option_sections[];
extern const struct option option_tls[];
extern const struct option option_auth[];
extern const struct option option_policy[];
/* Sections with a title. */
extern const struct option_section option_titled[];
/* Members of struct listen_settings and of struct delivery_settings. */
extern const struct option option_listen[];
extern const struct option option_deliver[];
/* And of struct rule_text, and of struct module_settings. */
extern const struct option option_rule[];
extern const struct option option_module[];

/* Mechanisms of SASL, in the order of the bits of enum sasl_mechanism; the default has
 * the first so many. */
extern const char *const option_mechanism_words[];
#define OPTION_MECHANISMS_DEFAULT 5

/* What a listener may offer, in the order of enum smtp_extension. */
extern const char *const option_extension_words[];

/* Where a policy service may be asked; which stages of its own these are says
 * config/rule_section.h. */
extern const char *const option_policy_stage_words[];

/* Types of deliver sections, as bits, that some options are only for. */
#define OPTION_OF_MAILDIR 1U
#define OPTION_OF_PIPE    2U
#define OPTION_OF_MODULE  4U

/* What is wrong with the path of a file; NULL: nothing, also if it is empty. */
const char *option_check_file(const char *path);

#endif
