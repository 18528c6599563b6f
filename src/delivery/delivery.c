/* The registry of backends, and the sink in front of them; see delivery.h.
 *
 * Runs in workers, but for delivery_prepare_host, which the master calls before
 * it forks.  Leads a message through the chosen deliver sections, in step, and must
 * not look into it.  Logs only what it does by itself: that a section which is not
 * required is left out. */
#include "delivery/delivery.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "delivery/routes.h"
#include "smtp/envelope.h"

/* Room for recipients: the least there is, and the most that is kept when a message
 * is over. */
#define ROOM_LEAST 16
#define ROOM_KEPT  1024

#define REPLY_MAX 300

static const struct delivery_backend *const backends[] = {
	&delivery_maildir,
	&delivery_pipe,
	&delivery_discard,
	&delivery_module,
};

/* What a section is asked for. */
enum step { STEP_BEGIN, STEP_CHUNK, STEP_PREPARE, STEP_RUN, STEP_COMMIT };

static const char *const step_names[] = {"begin", "chunk", "prepare", "run", "commit"};

/* An opened deliver section, and what it has of the message in hand. */
struct section {
	const struct delivery_settings *settings;
	void *state;
	const struct share *share;  /* its recipients; the next are of these */
	bool has_message;           /* begun, and not ended */
	bool *keep;                 /* for whom, from prepare on */
	struct smtp_result failure; /* why there is no message for any of them, or OK */
};

struct delivery {
	struct routes routes;
	const struct envelope *envelope; /* of the message in hand */
	size_t recipient_count;
	bool is_lmtp; /* each of them is a unit of its own */
	/* One block: of each of the next, and of the keep of all sections, `room`. */
	struct smtp_result *answers; /* to the question in hand: of its section, */
	bool *asked;                 /* and who it is about */
	size_t room;
	size_t count;
	struct section sections[];
};

const struct smtp_result delivery_taken = {RESULT_OK, 250, "2.0.0", "Ok"};

const struct delivery_backend *delivery_backend_find(const char *name)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i]->name, name) == 0)
			return backends[i];
	return NULL;
}

/* ------------------------------------------------------------ the sections' life */

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
	const struct delivery_env *env, struct delivery **ret, size_t *ret_failed)
{
	/* One block: each place of its own is a page that workers do not share. */
	struct delivery *d = calloc(
		1, sizeof(*d) + n * (sizeof(d->sections[0]) + sizeof(struct share)));

	if (d == NULL) {
		*ret_failed = 0;
		return -ENOMEM;
	}
	routes_init(&d->routes, (struct share *)&d->sections[n], n);
	for (; d->count < n; d->count++) {
		struct section *section = &d->sections[d->count];
		int err;

		section->settings = &settings[d->count];
		section->share = &d->routes.shares[d->count];
		err = section->settings->backend->open(
			section->settings, d->count, env, &section->state);
		if (err < 0) {
			*ret_failed = d->count;
			delivery_close(d);
			return err;
		}
	}
	*ret = d;
	return 0;
}

static const struct section *section_at(const struct delivery *d, size_t section)
{
	assert(section < d->count);
	return &d->sections[section];
}

bool delivery_root(const struct delivery *d, size_t section, struct delivery_root *ret)
{
	const struct section *s = section_at(d, section);

	if (s->settings->backend->root == NULL)
		return false;
	s->settings->backend->root(s->state, ret);
	return true;
}

int delivery_check(struct delivery *d, size_t *ret_failed)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct section *section = &d->sections[i];
		int err = 0;

		if (section->settings->backend->check != NULL)
			err = section->settings->backend->check(section->state);
		if (err < 0) {
			*ret_failed = i;
			return err;
		}
	}
	return 0;
}

int delivery_clean(struct delivery *d, size_t section, uint64_t *count)
{
	const struct section *s = section_at(d, section);

	return s->settings->backend->clean == NULL
		       ? 0
		       : s->settings->backend->clean(s->state, count);
}

static void free_room(struct delivery *d)
{
	free(d->answers);
	d->answers = NULL;
	d->room = 0;
}

void delivery_close(struct delivery *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->count; i++)
		d->sections[i].settings->backend->close(d->sections[i].state);
	free_room(d);
	routes_done(&d->routes);
	free(d);
}

/* A mistake here would be ours: the configuration has been checked. */
static void check_route(const struct delivery *d, const size_t *sections, size_t n)
{
	assert(n > 0);
	for (size_t i = 0; i < n; i++)
		assert(sections[i] < d->count);
}

void delivery_select(struct delivery *d, const size_t *sections, size_t n)
{
	check_route(d, sections, n);
	d->routes.usual = (struct delivery_route){sections, n};
}

void delivery_set_routes(
	struct delivery *d, const struct delivery_route *routes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_route(d, routes[i].sections, routes[i].count);
	d->routes.others = routes;
	d->routes.other_count = n;
}

bool delivery_has_detour(const struct envelope *envelope)
{
	bool has = envelope->is_discarded;

	for (size_t i = 0; i < envelope->recipient_count; i++)
		has |= envelope->recipients[i].route != 0 ||
		       envelope->recipients[i].is_discarded;
	return has;
}

void delivery_write_names(const struct delivery *d, const struct envelope *envelope,
	size_t first, size_t count, char *out, size_t size)
{
	size_t n = str_copy(out, size, STR(""));

	for (size_t i = 0; i < d->count; i++) {
		if (!routes_lead_to(&d->routes, envelope, first, count, i))
			continue;
		if (n > 0)
			n += str_copy(out + n, size - n, STR(","));
		n += str_copy(out + n, size - n, str_of(d->sections[i].settings->name));
	}
}

/* How many sections the message in hand has, and which. */
static size_t section_count(const struct delivery *d)
{
	return d->routes.section_count;
}

static struct section *chosen(struct delivery *d, size_t i)
{
	return &d->sections[d->routes.sections[i]];
}

uint64_t delivery_patience_ms(const struct delivery *d)
{
	uint64_t ms = 0;

	for (size_t i = 0; i < section_count(d); i++) {
		const struct section *s = &d->sections[d->routes.sections[i]];

		if (s->has_message && s->settings->backend->patience_ms != NULL)
			ms += s->settings->backend->patience_ms(
				s->state, s->share->count);
	}
	return ms;
}

/* ------------------------------------------------------- a message in one section */

/* Room for what is kept about n recipients.  Returns false when there is none. */
static bool make_room(struct delivery *d, size_t n)
{
	size_t room = ROOM_LEAST;
	bool *flags;

	if (n <= d->room)
		return true;
	while (room < n)
		room *= 2;
	free_room(d);
	d->answers = malloc(room * (sizeof(*d->answers) + 1 + d->count));
	if (d->answers == NULL)
		return false;
	flags = (bool *)(d->answers + room);
	d->asked = flags;
	for (size_t i = 0; i < d->count; i++)
		d->sections[i].keep = flags + (i + 1) * room;
	d->room = room;
	return true;
}

static void end(struct section *s, const bool *keep)
{
	s->has_message = false;
	s->settings->backend->end(s->state, keep);
}

/* The message is over: what is kept of it in each section, or nothing of it. */
static void end_all(struct delivery *d, bool is_kept)
{
	for (size_t i = 0; i < section_count(d); i++) {
		struct section *s = chosen(d, i);

		if (s->has_message)
			end(s, is_kept ? s->keep : NULL);
	}
	routes_forget(&d->routes);
	if (d->room > ROOM_KEPT)
		free_room(d);
}

/* A section that is not required has failed. */
static void log_skipped(
	const struct section *s, enum step step, const struct smtp_result *why)
{
	char reply[REPLY_MAX];

	(void)snprintf(reply, sizeof(reply), "%s %s", why->enhanced, why->text);
	log_event(LOG_WARN, EV_DELIVERY_SKIPPED, LOG_TEXT("delivery", s->settings->name),
		LOG_TEXT("step", step_names[step]), LOG_NUM("code", why->code),
		LOG_TEXT("reply", reply));
}

/* The reply is the first temporary failure, else the first permanent one. */
static struct smtp_result worse(const struct smtp_result *a, const struct smtp_result *b)
{
	bool is_b = a->kind == RESULT_OK ||
		    (a->kind == RESULT_PERMANENT && b->kind == RESULT_TEMPORARY);

	return is_b ? *b : *a;
}

/* Note what a section has answered for those it was asked about. */
static void take_answers(struct delivery *d, struct section *s, enum step step,
	struct smtp_result *results)
{
	const struct smtp_result *failure = NULL;
	bool is_left = false;

	for (size_t k = 0; k < s->share->count; k++) {
		const struct smtp_result *answer = &d->answers[k];
		struct smtp_result *result = &results[share_index(s->share, k)];

		if (d->asked[k] && answer->kind != RESULT_OK) {
			if (s->settings->is_required)
				*result = worse(result, answer);
			if (failure == NULL)
				failure = answer;
			s->keep[k] = false;
		}
		is_left |= s->keep[k];
	}
	if (failure == NULL || s->settings->is_required)
		return;
	log_skipped(s, step, failure);
	if (!is_left || !d->is_lmtp)
		end(s, NULL);
}

/* Take a step with a section, for those of keep (NULL: all) who have not failed; what
 * prepares for one of them does so for all. */
static void ask(struct delivery *d, struct section *s, enum step step, const bool *keep,
	struct smtp_result *results)
{
	const struct delivery_backend *backend = s->settings->backend;
	bool is_any = false;

	for (size_t k = 0; k < s->share->count; k++) {
		size_t i = share_index(s->share, k);
		bool is_kept = s->keep[k] && (keep == NULL || keep[i]);
		bool is_due = is_kept && results[i].kind == RESULT_OK;

		d->asked[k] = is_due || (is_kept && step == STEP_PREPARE);
		is_any |= is_due;
	}
	if (!is_any)
		return;
	if (step == STEP_PREPARE)
		backend->prepare(s->state, d->answers);
	else if (step == STEP_RUN)
		backend->run(s->state, d->asked, d->answers);
	else
		backend->commit(s->state, d->asked, d->answers);
	take_answers(d, s, step, results);
}

/* Whether a unit of keep (NULL: all) can still succeed. */
static bool is_alive(
	const struct delivery *d, const bool *keep, const struct smtp_result *results)
{
	/* It takes one who succeeds, or one who fails. */
	for (size_t i = 0; i < d->recipient_count; i++) {
		bool is_ok = results[i].kind == RESULT_OK;

		if ((keep == NULL || keep[i]) && is_ok == d->is_lmtp)
			return is_ok;
	}
	return !d->is_lmtp;
}

/* ------------------------------------------------------------------- the sink */

/* There is no memory to begin with, or no such route. */
static struct smtp_result cannot_begin(const struct delivery *d, int err)
{
	const struct section *s = &d->sections[d->routes.usual.sections[0]];

	log_event(LOG_ERROR, EV_DELIVERY_FAILED, LOG_TEXT("delivery", s->settings->name),
		LOG_TEXT("step", err == -EINVAL ? "route" : "recipients"),
		LOG_ERRNO(err));
	return delivery_local_fault(err);
}

/* Whether nobody has the message when it fails in this section, which is required. */
static bool decides_for_all(const struct delivery *d, const struct section *s)
{
	return !d->is_lmtp || s->share->count == d->recipient_count;
}

static struct smtp_result sink_begin(void *user, const struct envelope *envelope)
{
	struct delivery *d = user;
	int err = routes_distribute(&d->routes, envelope);

	d->envelope = envelope;
	d->recipient_count = envelope->recipient_count;
	d->is_lmtp = envelope->client.is_lmtp;
	if (err == 0 && !make_room(d, d->recipient_count))
		err = -ENOMEM;
	if (err < 0) {
		routes_forget(&d->routes);
		return cannot_begin(d, err);
	}
	for (size_t i = 0; i < section_count(d); i++) {
		struct section *s = chosen(d, i);
		struct smtp_result r =
			s->settings->backend->begin(s->state, s->share->envelope);

		s->has_message = r.kind == RESULT_OK;
		s->failure.kind = RESULT_OK;
		if (s->has_message)
			continue;
		if (!s->settings->is_required) {
			log_skipped(s, STEP_BEGIN, &r);
		} else if (decides_for_all(d, s)) {
			end_all(d, false);
			return r;
		} else {
			s->failure = r;
		}
	}
	return delivery_taken;
}

static struct smtp_result sink_chunk(void *user, const void *p, size_t n)
{
	struct delivery *d = user;

	for (size_t i = 0; i < section_count(d); i++) {
		struct section *s = chosen(d, i);
		struct smtp_result r;

		if (!s->has_message)
			continue;
		r = s->settings->backend->chunk(s->state, p, n);
		if (r.kind == RESULT_OK)
			continue;
		if (!s->settings->is_required)
			log_skipped(s, STEP_CHUNK, &r);
		else if (decides_for_all(d, s))
			return r;
		else
			s->failure = r;
		end(s, NULL);
	}
	return delivery_taken;
}

/* Who is in a section when all of the text is there.  With LMTP some may have been
 * discarded since, or the section may have failed before. */
static void start_keep(
	const struct delivery *d, struct section *s, struct smtp_result *results)
{
	const struct recipient *recipients = d->envelope->recipients;

	memset(s->keep, true, s->share->count);
	for (size_t k = 0; d->is_lmtp && k < s->share->count; k++) {
		size_t i = share_index(s->share, k);

		s->keep[k] = !recipients[i].is_discarded;
		if (s->keep[k] && s->failure.kind != RESULT_OK)
			results[i] = worse(&results[i], &s->failure);
	}
}

static void sink_prepare(void *user, struct smtp_result *results)
{
	struct delivery *d = user;

	for (size_t i = 0; i < d->recipient_count; i++)
		results[i] = delivery_taken;
	for (size_t i = 0; i < section_count(d); i++)
		start_keep(d, chosen(d, i), results);
	routes_update(&d->routes, d->envelope);
	/* What has failed need not be made durable in the sections that follow. */
	for (size_t i = 0; i < section_count(d) && is_alive(d, NULL, results); i++)
		if (chosen(d, i)->has_message)
			ask(d, chosen(d, i), STEP_PREPARE, NULL, results);
	for (size_t i = 0; i < section_count(d) && is_alive(d, NULL, results); i++) {
		struct section *s = chosen(d, i);

		if (s->has_message && s->settings->backend->run != NULL)
			ask(d, s, STEP_RUN, NULL, results);
	}
}

static void sink_commit(void *user, const bool *keep, struct smtp_result *results)
{
	struct delivery *d = user;
	bool is_kept;

	for (size_t i = 0; i < d->recipient_count; i++)
		if (keep[i])
			results[i] = delivery_taken;
	for (size_t i = 0; i < section_count(d) && is_alive(d, keep, results); i++)
		if (chosen(d, i)->has_message)
			ask(d, chosen(d, i), STEP_COMMIT, keep, results);
	is_kept = is_alive(d, keep, results);
	for (size_t i = 0; i < section_count(d) && is_kept; i++) {
		struct section *s = chosen(d, i);

		for (size_t k = 0; s->has_message && k < s->share->count; k++) {
			size_t at = share_index(s->share, k);

			s->keep[k] =
				s->keep[k] && keep[at] && results[at].kind == RESULT_OK;
		}
	}
	end_all(d, is_kept);
}

static void sink_abort(void *user)
{
	end_all(user, false);
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
