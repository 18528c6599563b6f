/* Capped bump memory; see arena.h.
 *
 * Runs in workers; how much is asked for depends on a hostile client, how much
 * is given on the cap.  Blocks form a list from the newest to the first. */
#include "base/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE_MIN 8192

struct arena_block {
	struct arena_block *previous;
	size_t size;
	size_t used;
	alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t cap)
{
	*a = (struct arena){.cap = cap};
}

void arena_done(struct arena *a)
{
	if (a == NULL)
		return;
	while (a->block != NULL) {
		struct arena_block *previous = a->block->previous;

		free(a->block);
		a->block = previous;
	}
	*a = (struct arena){0};
}

static struct arena_block *block_new(struct arena_block *previous, size_t n)
{
	size_t size = n > BLOCK_SIZE_MIN ? n : BLOCK_SIZE_MIN;
	struct arena_block *block = malloc(sizeof(*block) + size);

	if (block != NULL) {
		block->previous = previous;
		block->size = size;
		block->used = 0;
	}
	return block;
}

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t unit = alignof(max_align_t);
	struct arena_block *block = a->block;
	void *p;

	/* The cap is compared before rounding, so that rounding cannot wrap. */
	if (n > a->cap - a->used)
		return NULL;
	n = (n + unit - 1) / unit * unit;
	if (n > a->cap - a->used)
		return NULL;
	if (block == NULL || n > block->size - block->used) {
		block = block_new(a->block, n);
		if (block == NULL)
			return NULL;
		a->block = block;
	}
	p = block->bytes + block->used;
	block->used += n;
	a->used += n;
	memset(p, 0, n);
	return p;
}

struct str arena_copy(struct arena *a, struct str s)
{
	/* One byte more, so that an empty slice has a place of its own. */
	char *p = arena_alloc(a, s.n + 1);

	if (p == NULL)
		return (struct str){0};
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	return (struct str){p, s.n};
}

struct arena_mark arena_mark(const struct arena *a)
{
	return (struct arena_mark){
		a->block, a->block == NULL ? 0 : a->block->used, a->used};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
	/* A mark set before the first block still keeps that block. */
	while (a->block != mark.block && a->block->previous != NULL) {
		struct arena_block *previous = a->block->previous;

		free(a->block);
		a->block = previous;
	}
	assert(a->block == mark.block || mark.block == NULL);
	if (a->block != NULL)
		a->block->used = mark.block_used;
	a->used = mark.used;
}
