/* What the files of the intruder share; see intruder.c. */
#ifndef SINKD_TESTS_INTRUDER_H
#define SINKD_TESTS_INTRUDER_H

#include <stddef.h>

struct board;

/* As many descriptors as go with one message. */
#define FDS_MAX 253

#define PATIENCE_MS 10000

/* All return 0 if it could be done, else -1 with errno. */
typedef long (*try_fn)(const struct board *board, const char *argument);

extern int listener_fd;
extern int spawner_fd; /* the channel to the spawner, which all workers share */

/* Into a channel, with copies of descriptors. */
int send_with(int to, const void *p, size_t n, const int *fds, size_t count);

/* Things to try upon the spawner: names and what they do; the end has no name. */
struct named_try {
	const char *name;
	try_fn try;
};
extern const struct named_try spawner_tries[];

#endif
