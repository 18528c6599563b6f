/* BDAT; see chunk.h. */
#include "smtp/chunk.h"

#include "smtp/engine.h"

void chunk_run(struct smtp *s, struct str argument)
{
	(void)argument;
	engine_error(s, 502, "5.5.1", "BDAT is not offered here");
}

void chunk_discard(struct smtp *s, struct str argument)
{
	(void)s;
	(void)argument;
}

size_t chunk_feed(struct smtp *s, const char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}
