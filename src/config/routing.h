/* Where the mail of each listener goes, and what follows from that. */
#ifndef SINKD_CONFIG_ROUTING_H
#define SINKD_CONFIG_ROUTING_H

struct config;
struct listen_settings;
struct reader;
struct report;
struct rule_text;
struct section;

/* Read the deliveries that the section s names into *l; the sections deliver were read.
 * Without any l goes by the default. */
void routing_read(struct reader *r, const struct section *s, struct listen_settings *l);

/* The same for a rule that delivers. */
void routing_read_rule(struct reader *r, const struct section *s, struct rule_text *t);

/* The same for a file without listeners: there will be one by default. */
void routing_check_default(struct reader *r, const struct section *file);

/* When listeners and deliveries are complete: the first delivery for listeners that name
 * none, and of all of them what is told and asked by their deliveries.  Returns 0 or
 * -ENOMEM. */
int routing_settle(struct report *r, struct config *c);

#endif
