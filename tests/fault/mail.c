/* Messages without a session; see mail.h. */
#include "mail.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "smtp/envelope.h"

static char *repeat(const char *subject, const char *line, size_t lines, const char *eol)
{
	size_t length = strlen(subject) + (strlen(line) + 2) * lines + 32;
	char *p = malloc(length);
	size_t n = 0;

	assert(p != NULL);
	n += (size_t)snprintf(p, length, "Subject: %s%s%s", subject, eol, eol);
	for (size_t i = 0; i < lines; i++)
		n += (size_t)snprintf(p + n, length - n, "%s%s", line, eol);
	return p;
}

struct mail_text mail_text_make(const char *subject, size_t lines)
{
	static const char line[] = "The quick brown fox jumps over the lazy dog.";

	return (struct mail_text){
		repeat(subject, line, lines, "\r\n"), repeat(subject, line, lines, "\n")};
}

void mail_text_free(struct mail_text *t)
{
	free(t->sent);
	free(t->stored);
}

static struct address make_address(const char *text)
{
	const char *sign = strrchr(text, '@');
	struct str s = str_of(text);

	return (struct address){s, {s.p, (size_t)(sign - s.p)}, str_of(sign + 1)};
}

static struct envelope make_envelope(struct recipient *recipients, size_t n)
{
	static const char *const addresses[MAIL_RECIPIENTS] = {
		"a@x.test", "b@x.test", "c@y.test"};
	static unsigned serial;
	struct envelope e = {
		.client = {.address = STR("192.0.2.7"),
			.port = 4711,
			.server = STR("mx.example.test"),
			.helo = STR("client.example.test")},
		.stamp = {.unix_seconds = 1700000000},
		.sender = make_address("from@example.test"),
		.argument = STR("FROM:<from@example.test>"),
		.recipients = recipients,
		.recipient_count = n,
	};

	(void)snprintf(e.stamp.id, sizeof(e.stamp.id), "%014x-00126f-9a3b", serial++);
	for (size_t i = 0; i < n; i++) {
		recipients[i].address = make_address(addresses[i]);
		recipients[i].argument = STR("TO:<a@x.test> NOTIFY=NEVER");
	}
	return e;
}

unsigned mail_everyone(const struct mail_way *way)
{
	return (1U << way->recipients) - 1;
}

/* The first reply that is not 250. */
static int worst_code(const struct smtp_result *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (results[i].kind != RESULT_OK)
			return results[i].code;
	return 250;
}

/* keep: those who are accepted so far.  Returns them as bits. */
static unsigned take_accepted(
	const struct mail_way *way, const struct smtp_result *results, bool *keep)
{
	unsigned accepted = 0;

	for (size_t i = 0; i < way->recipients; i++) {
		keep[i] = results[i].kind == RESULT_OK;
		accepted |= (unsigned)keep[i] << i;
	}
	return way->is_lmtp || accepted == mail_everyone(way) ? accepted : 0;
}

struct mail_outcome mail_deliver(
	struct delivery *d, const struct mail_text *text, const struct mail_way *way)
{
	const struct smtp_sink *sink = &delivery_sink;
	struct recipient recipients[MAIL_RECIPIENTS] = {0};
	struct smtp_result results[MAIL_RECIPIENTS] = {0};
	bool keep[MAIL_RECIPIENTS] = {false};
	struct envelope envelope = make_envelope(recipients, way->recipients);
	struct smtp_result r;
	size_t length = strlen(text->sent), half = length / 2;
	unsigned accepted;

	envelope.client.is_lmtp = way->is_lmtp;
	for (unsigned i = 0; way->is_routed && i < way->recipients; i++)
		recipients[i].route = i;
	r = sink->begin(d, &envelope);
	if (r.kind != RESULT_OK)
		return (struct mail_outcome){r.code, 0};
	r = sink->chunk(d, text->sent, half);
	if (r.kind == RESULT_OK)
		r = sink->chunk(d, text->sent + half, length - half);
	if (r.kind != RESULT_OK) {
		sink->abort(d);
		return (struct mail_outcome){r.code, 0};
	}
	sink->prepare(d, results);
	accepted = take_accepted(way, results, keep);
	if (accepted == 0 || way->is_aborted) {
		int code = worst_code(results, way->recipients);

		sink->abort(d);
		return (struct mail_outcome){code == 250 ? 0 : code, 0};
	}
	sink->commit(d, keep, results);
	accepted = take_accepted(way, results, keep);
	return (struct mail_outcome){worst_code(results, way->recipients), accepted};
}
