/* Which sections a message goes to; see routes.h.
 *
 * Runs in workers.  Numbers of routes come from hooks, which may be user code: they are
 * looked up, and never believed.  When all recipients go the same way, which is the rule,
 * nothing is copied and no memory asked for. */
#include "delivery/routes.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>

static const size_t first_section;

void routes_init(struct routes *r, struct share *shares, size_t sections)
{
	*r = (struct routes){
		.usual = {&first_section, 1}, .shares = shares, .share_count = sections};
	/* The session's memory, which holds the recipients, has its limit. */
	arena_init(&r->arena, SIZE_MAX);
	r->empty = arena_mark(&r->arena);
}

void routes_done(struct routes *r)
{
	arena_done(&r->arena);
	*r = (struct routes){0};
}

/* NULL: there is none of that number. */
static const struct delivery_route *find(const struct routes *r, size_t number)
{
	if (number == 0)
		return &r->usual;
	return number <= r->other_count ? &r->others[number - 1] : NULL;
}

/* Whether all go the same way, somewhere. */
static bool is_one(const struct envelope *e)
{
	const struct recipient *r = e->recipients, *end = r + e->recipient_count;
	unsigned first = r->route, other = e->is_discarded;

	for (; r < end; r++)
		other |= (r->route ^ first) | r->is_discarded;
	return other == 0;
}

static int give_all(struct routes *r, const struct envelope *e)
{
	const struct delivery_route *route = find(r, e->recipients[0].route);

	if (route == NULL)
		return -EINVAL;
	for (size_t i = 0; i < route->count; i++) {
		struct share *s = &r->shares[route->sections[i]];

		s->envelope = e;
		s->indexes = NULL;
		s->count = e->recipient_count;
	}
	r->sections = route->sections;
	r->section_count = route->count;
	return 0;
}

static bool is_for_nobody(const struct envelope *e, size_t i)
{
	return e->is_discarded || e->recipients[i].is_discarded;
}

/* Count the recipients of each section, and mark their routes by number. */
static int count(struct routes *r, const struct envelope *e, bool *is_used)
{
	for (size_t i = 0; i < r->share_count; i++) {
		r->shares[i].envelope = NULL;
		r->shares[i].count = 0;
	}
	for (size_t i = 0; i < e->recipient_count; i++) {
		const struct delivery_route *route = find(r, e->recipients[i].route);

		if (is_for_nobody(e, i))
			continue;
		if (route == NULL)
			return -EINVAL;
		for (size_t k = 0; k < route->count; k++)
			r->shares[route->sections[k]].count++;
		is_used[e->recipients[i].route] = true;
	}
	return 0;
}

/* The envelope for a section, with room for its recipients, who come later; the count
 * starts anew for them. */
static int make_view(struct routes *r, const struct envelope *e, struct share *s)
{
	size_t n = s->count, *indexes;
	struct recipient *recipients;

	s->view = NULL;
	if (n == e->recipient_count) {
		s->envelope = e;
		s->indexes = NULL;
		return 0;
	}
	indexes = arena_alloc(&r->arena, n * sizeof(*indexes));
	recipients = arena_alloc(&r->arena, n * sizeof(*recipients));
	s->view = arena_alloc(&r->arena, sizeof(*s->view));
	if (indexes == NULL || recipients == NULL || s->view == NULL)
		return -ENOMEM;
	*s->view = *e;
	s->view->whole = e;
	s->view->recipients = recipients;
	s->view->recipient_count = s->view->recipient_size = n;
	r->has_views = true;
	s->envelope = s->view;
	s->indexes = indexes;
	s->count = 0;
	return 0;
}

/* Make the list of the message's sections, and their envelopes. */
static int choose(struct routes *r, const struct envelope *e, const bool *is_used)
{
	size_t *sections = arena_alloc(&r->arena, r->share_count * sizeof(*sections));

	if (sections == NULL)
		return -ENOMEM;
	r->sections = sections;
	for (size_t i = 0; i <= r->other_count; i++) {
		const struct delivery_route *route = find(r, i);

		for (size_t k = 0; is_used[i] && k < route->count; k++) {
			struct share *s = &r->shares[route->sections[k]];
			int err;

			if (s->envelope != NULL)
				continue;
			err = make_view(r, e, s);
			if (err < 0)
				return err;
			sections[r->section_count++] = route->sections[k];
		}
	}
	return 0;
}

static void fill(struct routes *r, const struct envelope *e)
{
	for (size_t i = 0; i < e->recipient_count; i++) {
		const struct delivery_route *route = find(r, e->recipients[i].route);

		for (size_t k = 0; !is_for_nobody(e, i) && k < route->count; k++) {
			struct share *s = &r->shares[route->sections[k]];

			if (s->indexes == NULL)
				continue;
			s->indexes[s->count] = i;
			s->view->recipients[s->count++] = e->recipients[i];
		}
	}
}

static int give_each(struct routes *r, const struct envelope *e)
{
	bool *is_used = arena_alloc(&r->arena, r->other_count + 1);
	int err = is_used == NULL ? -ENOMEM : count(r, e, is_used);

	if (err == 0)
		err = choose(r, e, is_used);
	if (err == 0)
		fill(r, e);
	return err;
}

int routes_distribute(struct routes *r, const struct envelope *envelope)
{
	int err = is_one(envelope) ? give_all(r, envelope) : give_each(r, envelope);

	if (err < 0)
		routes_forget(r);
	return err;
}

bool routes_lead_to(const struct routes *r, const struct envelope *envelope, size_t first,
	size_t count, size_t section)
{
	assert(r != NULL);
	for (size_t i = first; i < first + count; i++) {
		const struct delivery_route *route =
			find(r, envelope->recipients[i].route);

		for (size_t k = 0; route != NULL && k < route->count; k++)
			if (route->sections[k] == section && !is_for_nobody(envelope, i))
				return true;
	}
	return false;
}

void routes_forget(struct routes *r)
{
	r->section_count = 0;
	r->has_views = false;
	if (r->arena.block != NULL)
		arena_rewind(&r->arena, r->empty);
}

void routes_update(struct routes *r, const struct envelope *envelope)
{
	for (size_t i = 0; r->has_views && i < r->section_count; i++) {
		struct share *s = &r->shares[r->sections[i]];

		if (s->view != NULL)
			s->view->size_bytes = envelope->size_bytes;
	}
}
