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
	bool is_waiting;      /* see starter_init */
};

/* Answer the questions on channel_fd, until nobody is left who could ask; commands that
 * run then go on to their end.  All commands run as who we are, with our limits and
 * nothing else of ours; signals are default for them.  For a process of its own, whose
 * signals and umask are set here; 0, 1 and 2 are open, all else that is open closes by
 * itself.  Returns a negative errno: -EPIPE at the end, or what went wrong. */
int spawner_serve(const struct spawner_settings *settings, int channel_fd);

#endif
