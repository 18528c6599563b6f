/* The spawner: runs the commands of pipe sections for workers, as one user.
 *
 * Which commands there are it knows from the configuration; workers name a section, and
 * give the message and its envelope (delivery/spawn_request.h). */
#ifndef SINKD_SPAWN_SPAWNER_H
#define SINKD_SPAWN_SPAWNER_H

#include <stdbool.h>
#include <stddef.h>

#include "delivery/delivery.h"

struct spawner_settings {
	const struct delivery_settings *deliveries;
	const bool *is_ours; /* for each section: its commands may be run here */
	size_t delivery_count;
	size_t questions_max; /* at the same time; those beyond get no answer */
};

/* Answer the questions on channel_fd, until nobody is left who could ask.  All commands
 * run as who we are, with our limits and nothing else of ours; signals with a handler
 * are default for them.  Returns a negative errno. */
int spawner_serve(const struct spawner_settings *settings, int channel_fd);

#endif
