/* Which deliver sections a message goes to, and with which of its recipients.
 *
 * A hook can send a recipient by another route than the listener's, or have it accepted
 * and stored nowhere.  A section that is on the routes of some recipients only sees an
 * envelope of its own, with these. */
#ifndef SINKD_DELIVERY_ROUTES_H
#define SINKD_DELIVERY_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "delivery/delivery.h"
#include "smtp/envelope.h"

/* What one section has of the message in hand. */
struct share {
	const struct envelope *envelope; /* as the section sees it */
	size_t *indexes; /* its recipients among those of the message; NULL: all of them
			  */
	size_t count;
	struct envelope *view; /* the envelope, if it is not the message's own */
};

struct routes {
	struct delivery_route usual;         /* route 0 */
	const struct delivery_route *others; /* from 1 on */
	size_t other_count;
	struct share *shares; /* one for each section there is */
	size_t share_count;
	/* The message in hand: its sections, in their order. */
	const size_t *sections;
	size_t section_count;
	bool has_views;     /* not all of them have the envelope itself */
	struct arena arena; /* what the views need */
	struct arena_mark empty;
};

/* For so many sections, a zeroed share for each; every message goes to the first.
 * shares are the caller's, kept by reference. */
void routes_init(struct routes *r, struct share *shares, size_t sections);
void routes_done(struct routes *r);

/* Distribute a message, which has a recipient at least, and fill in the shares of its
 * sections; the envelope stays where it is until routes_forget.  Its sections are those
 * of route 0, then what others add, as far as a recipient goes there; each once.  Returns
 * 0, -ENOMEM, or -EINVAL when a recipient has a route that there is not; then there is no
 * message. */
int routes_distribute(struct routes *r, const struct envelope *envelope);
void routes_forget(struct routes *r);

/* The views follow the size of the message, which is known at its end. */
void routes_update(struct routes *r, const struct envelope *envelope);

/* Whether one of these recipients of the envelope goes to the section. */
bool routes_lead_to(const struct routes *r, const struct envelope *envelope, size_t first,
	size_t count, size_t section);

/* Where in the message the recipient is that is a section's number k. */
static inline size_t share_index(const struct share *s, size_t k)
{
	return s->indexes == NULL ? k : s->indexes[k];
}

#endif
