/* module: messages go to user code, the backend of a module (api/sinkd_module.h).
 *
 * Runs in workers.  What the module answers is brought into a valid form here; a backend
 * that does not know what it says keeps nothing, and the client tries again. */
#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/sinkd_module.h"
#include "base/str.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

/* One per worker and deliver section. */
struct relay {
	const char *section;
	const struct sinkd_backend *const *backend; /* where it will be; or NULL */
	/* the message in hand */
	const struct sinkd_backend *in_use;
	void *message;
	size_t recipient_count;
	/* What the module has answered; smtp_results point there. */
	struct sinkd_result first; /* to begin and chunk */
	struct sinkd_result *results;
	size_t room;
};

static int module_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->section = settings->name;
	if (env->modules != NULL)
		r->backend = &env->modules[section];
	*ret_state = r;
	return 0;
}

static void module_close(void *state)
{
	struct relay *r = state;

	if (r != NULL)
		free(r->results);
	free(r);
}

/* An answer of the module, which may have filled the arrays to the brim. */
static struct smtp_result take(struct sinkd_result *r)
{
	struct smtp_result taken = delivery_local_fault(EIO);

	if (r->code == 0)
		return delivery_taken;
	r->enhanced[sizeof(r->enhanced) - 1] = '\0';
	r->text[sizeof(r->text) - 1] = '\0';
	if (r->code < 400 || r->code > 599)
		return taken;
	taken.code = r->code;
	if (r->code >= 500) {
		taken.kind = RESULT_PERMANENT;
		taken.enhanced = "5.3.0";
		taken.text = "Message refused";
	}
	if (reply_enhanced_fits(r->enhanced, r->code))
		taken.enhanced = r->enhanced;
	if (r->text[0] != '\0')
		taken.text = r->text;
	return taken;
}

/* Answers for all recipients, none given yet.  Returns false without memory. */
static bool make_room(struct relay *r, size_t n)
{
	if (n > r->room) {
		free(r->results);
		r->results = calloc(n, sizeof(*r->results));
		r->room = r->results != NULL ? n : 0;
	}
	return n <= r->room;
}

static void clear_results(struct relay *r)
{
	memset(r->results, 0, r->recipient_count * sizeof(*r->results));
}

static struct smtp_result module_chunk(void *state, const void *p, size_t n)
{
	struct relay *r = state;
	const struct sinkd_backend *b = r->in_use;

	if (b->chunk == NULL)
		return delivery_taken;
	r->first = (struct sinkd_result){0};
	b->chunk(b->user, r->message, (struct sinkd_str){p, n}, &r->first);
	return take(&r->first);
}

/* Header lines of hooks come first; these end in LF, text in CR LF. */
static struct smtp_result put_headers(struct relay *r, struct str lines)
{
	struct smtp_result taken = delivery_taken;

	while (lines.n > 0 && taken.kind == RESULT_OK) {
		const char *end = memchr(lines.p, '\n', lines.n);
		size_t n = end != NULL ? (size_t)(end - lines.p) : lines.n;

		taken = module_chunk(r, lines.p, n);
		if (taken.kind == RESULT_OK)
			taken = module_chunk(r, "\r\n", 2);
		lines = str_skip(lines, n + 1);
	}
	return taken;
}

static void module_end(void *state, const bool *keep)
{
	struct relay *r = state;
	const struct sinkd_backend *b = r->in_use;

	if (b->end != NULL)
		b->end(b->user, r->message, keep);
}

static struct smtp_result module_begin(void *state, const struct envelope *envelope)
{
	struct relay *r = state;
	const struct sinkd_backend *b = r->backend != NULL ? *r->backend : NULL;
	struct str section = str_of(r->section);
	struct smtp_result taken = delivery_taken;

	if (b == NULL)
		return delivery_local_fault(ENOENT);
	r->in_use = b;
	r->message = NULL;
	r->recipient_count = envelope->recipient_count;
	if (!make_room(r, r->recipient_count))
		return delivery_local_fault(ENOMEM);
	r->first = (struct sinkd_result){0};
	if (b->begin != NULL) {
		r->message = b->begin(b->user, (struct sinkd_str){section.p, section.n},
			(const struct sinkd_envelope *)envelope, &r->first);
		taken = take(&r->first);
	}
	if (taken.kind != RESULT_OK)
		return taken;
	taken = put_headers(r, envelope->prepended);
	if (taken.kind != RESULT_OK)
		module_end(r, NULL);
	return taken;
}

static void module_prepare(void *state, struct smtp_result *results)
{
	struct relay *r = state;
	const struct sinkd_backend *b = r->in_use;

	clear_results(r);
	if (b->prepare != NULL)
		b->prepare(b->user, r->message, r->results);
	for (size_t i = 0; i < r->recipient_count; i++)
		results[i] = take(&r->results[i]);
}

static void module_commit(void *state, const bool *keep, struct smtp_result *results)
{
	struct relay *r = state;
	const struct sinkd_backend *b = r->in_use;

	/* Those that are not kept have answers that are still to be told. */
	for (size_t i = 0; i < r->recipient_count; i++)
		if (keep[i])
			r->results[i] = (struct sinkd_result){0};
	b->commit(b->user, r->message, keep, r->results);
	for (size_t i = 0; i < r->recipient_count; i++)
		if (keep[i])
			results[i] = take(&r->results[i]);
}

const struct delivery_backend delivery_module = {
	.name = "module",
	.open = module_open,
	.close = module_close,
	.begin = module_begin,
	.chunk = module_chunk,
	.prepare = module_prepare,
	.commit = module_commit,
	.end = module_end,
};
