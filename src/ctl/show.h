/* What sinkctl shows of a snapshot, in each of its forms. */
#ifndef SINKD_CTL_SHOW_H
#define SINKD_CTL_SHOW_H

#include <stdio.h>

#include "ctl/snapshot.h"

enum show_format { SHOW_TABLE, SHOW_JSON, SHOW_PROMETHEUS, SHOW_FORMATS };

/* The pool, the listeners, totals, and rates since the configuration was loaded.
 * SHOW_PROMETHEUS is for show_metrics alone.  Errors stay with the file. */
void show_status(FILE *file, enum show_format format, const struct control_snapshot *s);

/* A row for each worker. */
void show_sessions(FILE *file, enum show_format format, const struct control_snapshot *s);

/* A row for each rule. */
void show_rules(FILE *file, enum show_format format, const struct control_snapshot *s);

/* All numbers, as OpenMetrics 1.0 has them. */
void show_metrics(FILE *file, enum show_format format, const struct control_snapshot *s);

/* The word for the state of the server. */
const char *show_state(const struct control_snapshot *s);
extern const char *const show_states[CONTROL_STATES];

#endif
