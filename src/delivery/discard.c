/* discard: takes every message and keeps none.
 *
 * The smallest backend, and the one to copy for a new one.  A backend fills in
 * struct delivery_backend (delivery.h has the contract) and is named in the
 * registry of delivery.c; nothing else knows of it.
 *
 * Runs in workers; the text it is given is hostile and never looked at. */
#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>

#include "smtp/envelope.h"

/* One per worker and deliver section. */
struct discard {
	size_t recipient_count; /* of the message in hand */
};

static int discard_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	struct discard *d = calloc(1, sizeof(*d));

	(void)settings;
	(void)section;
	(void)env;
	if (d == NULL)
		return -ENOMEM;
	*ret_state = d;
	return 0;
}

static void discard_close(void *state)
{
	free(state);
}

static struct smtp_result discard_begin(void *state, const struct envelope *envelope)
{
	struct discard *d = state;

	d->recipient_count = envelope->recipient_count;
	return delivery_taken;
}

static struct smtp_result discard_chunk(void *state, const void *p, size_t n)
{
	(void)state;
	(void)p;
	(void)n;
	return delivery_taken;
}

static void discard_prepare(void *state, struct smtp_result *results)
{
	const struct discard *d = state;

	for (size_t i = 0; i < d->recipient_count; i++)
		results[i] = delivery_taken;
}

static void discard_commit(void *state, const bool *keep, struct smtp_result *results)
{
	const struct discard *d = state;

	for (size_t i = 0; i < d->recipient_count; i++)
		if (keep[i])
			results[i] = delivery_taken;
}

/* Nothing was stored, so there is nothing to take back. */
static void discard_end(void *state, const bool *keep)
{
	(void)state;
	(void)keep;
}

const struct delivery_backend delivery_discard = {
	.name = "discard",
	.open = discard_open,
	.close = discard_close,
	.begin = discard_begin,
	.chunk = discard_chunk,
	.prepare = discard_prepare,
	.commit = discard_commit,
	.end = discard_end,
};
