/* The registry of backends, and the sink in front of them; see delivery.h.
 *
 * Runs in workers, but for delivery_prepare_host, which the master calls before
 * it forks.  Hands each call on to the chosen deliver section and must not look
 * into the message.  Never logs: the backend that meets a fault knows more. */
#include "delivery/delivery.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct delivery_backend *const backends[] = {
	&delivery_maildir,
	&delivery_discard,
};

/* An opened deliver section. */
struct section {
	const struct delivery_backend *backend;
	void *state;
};

struct delivery {
	const struct section *selected;
	size_t count;
	struct section sections[];
};

const struct delivery_backend *delivery_backend_find(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

int delivery_prepare_host(const struct delivery_settings *settings, size_t n,
	const struct delivery_owner *owner, size_t *ret_failed)
{
	for (size_t i = 0; i < n; i++) {
		const struct delivery_backend *backend = settings[i].backend;
		int err = 0;

		if (backend->prepare_host != NULL)
			err = backend->prepare_host(&settings[i], owner);
		if (err < 0) {
			*ret_failed = i;
			return err;
		}
	}
	return 0;
}

int delivery_open(const struct delivery_settings *settings, size_t n,
	struct delivery **ret, size_t *ret_failed)
{
	struct delivery *d = calloc(1, sizeof(*d) + n * sizeof(d->sections[0]));

	if (d == NULL) {
		*ret_failed = 0;
		return -ENOMEM;
	}
	for (; d->count < n; d->count++) {
		struct section *section = &d->sections[d->count];
		int err;

		section->backend = settings[d->count].backend;
		err = section->backend->open(&settings[d->count], &section->state);
		if (err < 0) {
			*ret_failed = d->count;
			delivery_close(d);
			return err;
		}
	}
	d->selected = d->sections;
	*ret = d;
	return 0;
}

bool delivery_root(const struct delivery *d, size_t section, struct delivery_root *ret)
{
	const struct section *s = &d->sections[section];

	assert(section < d->count);
	if (s->backend->root == NULL)
		return false;
	s->backend->root(s->state, ret);
	return true;
}

int delivery_check(struct delivery *d, size_t *ret_failed)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct section *section = &d->sections[i];
		int err = 0;

		if (section->backend->check != NULL)
			err = section->backend->check(section->state);
		if (err < 0) {
			*ret_failed = i;
			return err;
		}
	}
	return 0;
}

void delivery_close(struct delivery *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->count; i++)
		d->sections[i].backend->close(d->sections[i].state);
	free(d);
}

void delivery_select(struct delivery *d, size_t section)
{
	assert(section < d->count);
	d->selected = &d->sections[section];
}

static struct smtp_result sink_begin(void *user, const struct envelope *envelope)
{
	const struct section *s = ((struct delivery *)user)->selected;

	return s->backend->begin(s->state, envelope);
}

static struct smtp_result sink_chunk(void *user, const void *p, size_t n)
{
	const struct section *s = ((struct delivery *)user)->selected;

	return s->backend->chunk(s->state, p, n);
}

static void sink_prepare(void *user, struct smtp_result *results)
{
	const struct section *s = ((struct delivery *)user)->selected;

	s->backend->prepare(s->state, results);
}

static void sink_commit(void *user, const bool *keep, struct smtp_result *results)
{
	const struct section *s = ((struct delivery *)user)->selected;

	s->backend->commit(s->state, keep, results);
}

static void sink_abort(void *user)
{
	const struct section *s = ((struct delivery *)user)->selected;

	s->backend->abort(s->state);
}

const struct smtp_sink delivery_sink = {
	.begin = sink_begin,
	.chunk = sink_chunk,
	.prepare = sink_prepare,
	.commit = sink_commit,
	.abort = sink_abort,
};

struct smtp_result delivery_local_fault(int error)
{
	switch (error < 0 ? -error : error) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return (struct smtp_result){
			RESULT_TEMPORARY, 452, "4.3.1", "Insufficient system storage"};
	default:
		return (struct smtp_result){
			RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"};
	}
}
