/* Capped bump memory: what belongs to a session or a transaction.
 *
 * Pieces are never freed one by one; arena_rewind gives back all that came
 * after a mark.  The cap counts what was asked for, so that a client's appetite
 * is limited whatever the block size.  The first block is kept for reuse. */
#ifndef SINKD_BASE_ARENA_H
#define SINKD_BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *block;
	size_t used;
	size_t cap;
};

struct arena_mark {
	struct arena_block *block;
	size_t block_used;
	size_t used;
};

void arena_init(struct arena *a, size_t cap);
void arena_done(struct arena *a);

/* n bytes, aligned for any type, zeroed.  NULL when the cap or memory is
 * reached; the arena stays usable. */
void *arena_alloc(struct arena *a, size_t n);

/* A copy of s.  Its p is NULL when there was no room (and never NULL else). */
struct str arena_copy(struct arena *a, struct str s);

/* Where the arena stands, and back to there: later pieces become invalid. */
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);

#endif
