/* The bench for routes; see routes_fixture.h. */
#include "routes_fixture.h"

#include "unit.h"

#include "maildir_fixture.h"

#include <stdio.h>
#include <string.h>

static const size_t usual[] = {A, R}, other[] = {B, A}, third[] = {O, B, R};
static const struct delivery_route routes[] = {{other, 2}, {third, 3}};

struct routes_case current;

/* What a section has of the message; recipients are bits. */
static struct spied {
	char name[2];
	const struct envelope *envelope; /* NULL: there is no message */
	size_t count, who[TO];
	unsigned prepared, ran, published;
	bool is_right;
} spies[SECTIONS];

static const char mailboxes[] = "xyz";
char order[400];

/* --------------------------------------------------------------- what must be */

static bool is_on_route(size_t section, size_t i)
{
	static const bool table[FATES][SECTIONS] = {
		[USUAL] = {[A] = true, [R] = true},
		[OTHER] = {[A] = true, [B] = true},
		[THIRD] = {[B] = true, [R] = true, [O] = true},
		[DISCARDED_LATE] = {[A] = true, [R] = true},
	};

	return i < current.n && table[current.fates[i]][section];
}

static unsigned share_of(size_t section)
{
	unsigned set = 0;

	for (size_t i = 0; i < current.n; i++)
		set |= (unsigned)is_on_route(section, i) << i;
	return set;
}

static unsigned everyone(void)
{
	return (1U << current.n) - 1;
}

static bool is_early(const struct fault *f)
{
	return f->step <= CHUNK;
}

/* Whether recipient i is one of those for whom it fails. */
static bool hits(const struct fault *f, size_t i)
{
	if (f->code == 0 || !is_on_route(f->section, i))
		return false;
	if (is_early(f))
		return true;
	return (f->who == ALL || f->who == i) && current.fates[i] != DISCARDED_LATE &&
	       (f->step != RUN || f->section == R);
}

static bool hits_any(const struct fault *f)
{
	bool is_any = false;

	for (size_t i = 0; i < current.n; i++)
		is_any |= hits(f, i);
	return is_any;
}

/* Whether the unit of recipient i fails by this. */
static bool fails(const struct fault *f, size_t i)
{
	if (f->section == O)
		return false;
	if (!current.is_lmtp)
		return hits_any(f);
	/* Who is discarded later than it fails has lost nothing by that, unless it was
	 * refused with all others. */
	return hits(f, i) &&
	       (current.fates[i] != DISCARDED_LATE || share_of(f->section) == everyone());
}

/* Whether recipient i is missing from the section that is not required. */
static bool is_skipped(const struct fault *f, size_t i)
{
	return f->section == O &&
	       (current.is_lmtp && !is_early(f) ? hits(f, i) : hits_any(f));
}

static bool is_failed(size_t i)
{
	return fails(&current.faults[0], i) || fails(&current.faults[1], i);
}

static unsigned expected(size_t section)
{
	unsigned set = 0;

	for (size_t i = 0; i < current.n; i++)
		if (is_on_route(section, i) && current.fates[i] != DISCARDED_LATE &&
			!is_failed(i) &&
			(section != O || (!is_skipped(&current.faults[0], i) &&
						 !is_skipped(&current.faults[1], i))))
			set |= 1U << i;
	return set;
}

/* Nothing is run for a unit of which something could not be staged. */
static unsigned may_run(void)
{
	unsigned set = 0;

	for (size_t i = 0; i < current.n; i++) {
		bool is_staged = true;

		for (size_t k = 0; k < 2; k++)
			is_staged &= current.faults[k].step >= RUN ||
				     !fails(&current.faults[k], i);
		if (is_on_route(R, i) && current.fates[i] != DISCARDED_LATE && is_staged)
			set |= 1U << i;
	}
	return set;
}

/* ------------------------------------------------------------------ the spies */

static struct smtp_result result_of(int code)
{
	return (struct smtp_result){code == 0     ? RESULT_OK
				    : code >= 500 ? RESULT_PERMANENT
						  : RESULT_TEMPORARY,
		code == 0 ? 250 : code, "4.9.9", "no"};
}

static struct smtp_result answer(const struct spied *s, enum step step, size_t who)
{
	int code = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct fault *f = &current.faults[i];

		if (code == 0 && f->section == (size_t)(s - spies) && f->step == step &&
			(f->who == ALL || f->who == who || is_early(f)))
			code = f->code;
	}
	return result_of(code);
}

static void note(struct spied *s, const char *step)
{
	size_t used = strlen(order);

	(void)snprintf(order + used, sizeof(order) - used, "%s.%s", s->name, step);
	used = strlen(order);
	for (size_t k = 0; k < s->count && used + 2 < sizeof(order); k++)
		order[used++] = mailboxes[s->who[k]];
	order[used] = ' ';
	order[used + 1] = '\0';
}

static int spy_open(const struct delivery_settings *spied, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	(void)spied;
	(void)env;
	*ret_state = &spies[section];
	return 0;
}

static void spy_close(void *spied)
{
	(void)spied;
}

/* Who is in the envelope, in the order of the message, and only who belongs here. */
static struct smtp_result spy_begin(void *spied, const struct envelope *e)
{
	struct spied *s = spied;
	size_t section = (size_t)(s - spies);
	unsigned set = 0;

	*s = (struct spied){.name = {"abro"[section]}, .count = e->recipient_count};
	s->is_right = s->count <= TO && s->count > 0;
	for (size_t k = 0; s->is_right && k < s->count; k++) {
		s->who[k] = (size_t)(e->recipients[k].address.mailbox.p - mailboxes);
		s->is_right = k == 0 || s->who[k] > s->who[k - 1];
		set |= 1U << s->who[k];
	}
	s->is_right &= set == share_of(section);
	s->is_right &= set == everyone() ? e == &envelope : e->whole == &envelope;
	s->is_right &= str_equal(e->sender.mailbox, envelope.sender.mailbox);
	s->envelope = e;
	note(s, "");
	if (answer(s, BEGIN, ALL).kind != RESULT_OK)
		s->envelope = NULL;
	return answer(s, BEGIN, ALL);
}

static struct smtp_result spy_chunk(void *spied, const void *p, size_t n)
{
	struct spied *s = spied;

	s->is_right &= s->envelope != NULL && n == 2 && memcmp(p, "hi", 2) == 0;
	return answer(s, CHUNK, ALL);
}

static unsigned take(
	struct spied *s, enum step step, const bool *kept, struct smtp_result *answers)
{
	unsigned set = 0;

	s->is_right &= s->envelope != NULL;
	for (size_t k = 0; k < s->count; k++) {
		if (kept != NULL && !kept[k])
			continue;
		answers[k] = answer(s, step, s->who[k]);
		if (answers[k].kind == RESULT_OK || step == RUN)
			set |= 1U << s->who[k];
	}
	return set;
}

static void spy_prepare(void *spied, struct smtp_result *answers)
{
	struct spied *s = spied;

	s->is_right &= s->envelope->size_bytes == 77;
	s->prepared = take(s, PREPARE, NULL, answers);
	note(s, "prepare-");
}

static void spy_run(void *spied, const bool *kept, struct smtp_result *answers)
{
	struct spied *s = spied;

	s->ran = take(s, RUN, kept, answers);
	note(s, "run-");
}

static void spy_commit(void *spied, const bool *kept, struct smtp_result *answers)
{
	struct spied *s = spied;

	s->published = take(s, COMMIT, kept, answers);
	s->is_right &= (s->published & ~s->prepared) == 0;
	note(s, "commit-");
}

static void spy_end(void *spied, const bool *kept)
{
	struct spied *s = spied;

	s->is_right &= s->envelope != NULL;
	s->envelope = NULL;
	for (size_t k = 0; k < s->count; k++)
		if (kept == NULL || !kept[k])
			s->published &= ~(1U << s->who[k]);
	note(s, "end-");
}

static uint64_t spy_patience(const void *spied, size_t recipient_count)
{
	(void)spied;
	return recipient_count;
}

#define SPY                                                                              \
	.name = "spy", .open = spy_open, .close = spy_close, .begin = spy_begin,         \
	.chunk = spy_chunk, .prepare = spy_prepare, .commit = spy_commit, .end = spy_end

static const struct delivery_backend store = {SPY};
static const struct delivery_backend runner = {
	SPY, .run = spy_run, .patience_ms = spy_patience};

static const struct delivery_settings sections[SECTIONS] = {
	[A] = {.name = "a", .backend = &store, .is_required = true},
	[B] = {.name = "b", .backend = &store, .is_required = true},
	[R] = {.name = "r", .backend = &runner, .is_required = true},
	[O] = {.name = "o", .backend = &store},
};

/* ------------------------------------------------------------------ a message */

struct delivery *open_sections(void)
{
	static const struct delivery_env none;
	struct delivery *d = NULL;
	size_t failed;

	start(SHARED);
	CU_ASSERT_EQUAL_FATAL(delivery_open(sections, SECTIONS, &none, &d, &failed), 0);
	delivery_select(d, usual, 2);
	delivery_set_routes(d, routes, 2);
	return d;
}

void close_sections(struct delivery *d)
{
	delivery_close(d);
	finish_mail();
}

void prepare_case(void)
{
	memset(spies, 0, sizeof(spies));
	for (size_t i = 0; i < SECTIONS; i++)
		spies[i].is_right = true;
	memset(results, 0, sizeof(results));
	order[0] = '\0';
	set_envelope(current.n, (const char *const[]){"x", "y", "z"});
	envelope.client.is_lmtp = current.is_lmtp;
	envelope.size_bytes = 0;
	for (size_t i = 0; i < current.n; i++) {
		envelope.recipients[i].address.mailbox = (struct str){mailboxes + i, 1};
		envelope.recipients[i].route =
			current.fates[i] >= DISCARDED ? 0 : (unsigned)current.fates[i];
		envelope.recipients[i].is_discarded = current.fates[i] == DISCARDED;
	}
}

static void set_all(struct smtp_result result)
{
	for (size_t i = 0; i < current.n; i++)
		results[i] = result;
}

void send_message(struct delivery *d)
{
	const struct smtp_sink *sink = &delivery_sink;
	struct smtp_result r;
	size_t kept = 0;

	prepare_case();
	r = sink->begin(d, &envelope);
	if (r.kind != RESULT_OK) {
		set_all(r);
		return;
	}
	r = sink->chunk(d, "hi", 2);
	if (r.kind != RESULT_OK) {
		set_all(r);
		sink->abort(d);
		return;
	}
	for (size_t i = 0; i < current.n; i++)
		envelope.recipients[i].is_discarded |= current.fates[i] == DISCARDED_LATE;
	envelope.size_bytes = 77;
	sink->prepare(d, results);
	for (size_t i = 0; i < current.n; i++) {
		keep[i] = results[i].kind == RESULT_OK;
		kept += keep[i];
	}
	if (kept == current.n || (kept > 0 && current.is_lmtp))
		sink->commit(d, keep, results);
	else
		sink->abort(d);
}

/* It has failed as it must, and with the code of something that failed. */
static bool is_told_right(size_t i, int code)
{
	bool is_known = !is_failed(i) && code == 250;

	for (size_t k = 0; k < 2; k++)
		is_known |=
			fails(&current.faults[k], i) && code == current.faults[k].code;
	return is_known;
}

bool is_right(void)
{
	int worst = 250;
	bool holds = true;

	for (size_t i = 0; i < current.n; i++) {
		worst = worst == 250 ? results[i].code : worst;
		holds &= current.is_lmtp ? is_told_right(i, results[i].code)
					 : results[i].code != 0;
	}
	holds &= current.is_lmtp || is_told_right(0, worst);
	for (size_t s = 0; s < SECTIONS; s++)
		holds &= spies[s].is_right && spies[s].envelope == NULL &&
			 spies[s].published == expected(s);
	holds &= (spies[R].ran & ~may_run()) == 0 &&
		 (spies[R].published & ~spies[R].ran) == 0;
	return holds;
}
