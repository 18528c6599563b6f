/* Where a message waits for its command: a file without a name, in memory while it is
 * small, else in the spool directory.  Whoever is given its descriptor can open it anew,
 * as whatever user (/proc/self/fd); nobody else finds it.
 *
 * All return a descriptor (close-on-exec, for writing) or 0, or a negative errno; none
 * logs. */
#ifndef SINKD_DELIVERY_SPOOL_H
#define SINKD_DELIVERY_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "delivery/text.h"

/* Longer ones are not kept in memory. */
#define SPOOL_MEMORY_MAX (256 * 1024)

struct spool_settings {
	int dir;        /* the spool directory */
	bool is_read;   /* whether we have to read what we have written there */
	const char *id; /* of the message in hand: no other process has it */
};

/* A file for so many bytes. */
int spool_make(const struct spool_settings *s, uint64_t size_bytes);

/* Copy what the writer has written from memory to the spool directory, where it goes on.
 * Returns the descriptor there; the one it had is left to the caller. */
int spool_move_out(const struct spool_settings *s, struct text_writer *w);

/* Nobody changes what is in a file of memory any more.  Returns 0 or a negative errno. */
int spool_seal(int fd);

#endif
