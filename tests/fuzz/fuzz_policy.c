/* Fuzz target: the policy delegation protocol.
 *
 * The first byte chooses.  0xff: the rest is split at NULs into what a client says, and a
 * request is made of it, which must be read back as what it is: so many lines, each value
 * in its own.  Any other: the rest is an answer, and what is found does not depend on
 * what follows it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz.h"
#include "policy/service_answer.h"
#include "policy/service_request.h"
#include "smtp/envelope.h"
#include "smtp/reply.h"

/* Trying them all takes a time that grows with the square. */
#define BEGINNINGS_MAX 300

static bool is_part(struct str s, struct str bytes)
{
	return s.n == 0 || (s.p >= bytes.p && s.p + s.n <= bytes.p + bytes.n);
}

static void check_answer(const struct service_answer *a, struct str bytes)
{
	bool is_refused = a->action == SERVICE_REFUSE;

	assert(a->length >= sizeof("action=x\n\n") - 1 && a->length <= bytes.n);
	assert(a->length <= SERVICE_ANSWER_MAX);
	assert(bytes.p[a->length - 1] == '\n');
	assert(is_refused == (a->code >= 400 && a->code <= 599));
	assert(is_refused || a->code == 0);
	assert(a->enhanced[0] == '\0' || reply_enhanced_fits(a->enhanced, a->code));
	assert(a->said.n > 0 && is_part(a->said, bytes) && is_part(a->text, a->said));
	assert(memchr(a->said.p, '\n', a->said.n) == NULL);
}

static enum service_outcome parse(struct str s, size_t *ret_length)
{
	char *copy = fuzz_exact_copy(s);
	struct service_answer a = {0};
	const char *error = NULL;
	enum service_outcome outcome =
		service_answer_parse((struct str){copy, s.n}, &a, &error);

	assert((outcome == SERVICE_BAD) == (error != NULL));
	assert(outcome == SERVICE_DONE || a.length == 0);
	if (outcome == SERVICE_DONE)
		check_answer(&a, (struct str){copy, s.n});
	*ret_length = a.length;
	free(copy);
	return outcome;
}

static void run_answer(struct str s)
{
	size_t length, n;
	enum service_outcome outcome = parse(s, &length);
	bool is_bad = false;

	assert(outcome != SERVICE_MORE || s.n < SERVICE_ANSWER_MAX);
	for (size_t i = 0; i < s.n && i < BEGINNINGS_MAX; i++) {
		enum service_outcome before = parse((struct str){s.p, i}, &n);

		if (outcome == SERVICE_DONE)
			assert(i < length ? before == SERVICE_MORE
					  : before == SERVICE_DONE && n == length);
		else
			assert(before == (is_bad ? SERVICE_BAD : before) &&
				before != SERVICE_DONE);
		is_bad = before == SERVICE_BAD;
	}
	assert(!is_bad || outcome == SERVICE_BAD);
	if (outcome == SERVICE_DONE)
		assert(parse((struct str){s.p, length}, &n) == SERVICE_DONE &&
			n == length);
}

static struct str take_piece(struct str *s)
{
	const char *end = s->n > 0 ? memchr(s->p, '\0', s->n) : NULL;
	struct str piece = *s;

	if (end != NULL)
		piece.n = (size_t)(end - s->p);
	*s = str_skip(*s, piece.n + (end != NULL));
	return piece;
}

/* Lines of printable text, each with a value, and an empty one behind them. */
static size_t check_request(struct str s)
{
	size_t lines = 0;

	assert(s.n >= 2 && s.p[s.n - 1] == '\n' && s.p[s.n - 2] == '\n');
	for (s.n--; s.n > 0; lines++) {
		struct str line = {s.p, (size_t)((char *)memchr(s.p, '\n', s.n) - s.p)};
		const char *equal = memchr(line.p, '=', line.n);

		assert(equal != NULL && equal > line.p);
		assert(utf8_is_printable(line));
		s = str_skip(s, line.n + 1);
	}
	return lines;
}

static void run_request(struct str s)
{
	struct recipient recipient = {0};
	struct envelope e = {.recipients = &recipient, .recipient_count = 1};
	const struct envelope nobody = {0};
	struct service_question q = {.envelope = &nobody};
	struct buf out;
	size_t lines;

	buf_init(&out, SERVICE_REQUEST_MAX);
	service_request_add(&q, &out);
	lines = check_request(buf_str(&out));
	e.client.helo = q.helo = take_piece(&s);
	e.sender.mailbox = take_piece(&s);
	q.recipient = recipient.address.mailbox = take_piece(&s);
	e.client.name = e.client.address = take_piece(&s);
	e.client.user = e.auth_sender = take_piece(&s);
	e.client.tls.subject = take_piece(&s);
	e.client.tls.version = e.client.tls.cipher = take_piece(&s);
	q.envelope = &e;
	for (q.stage = SERVICE_CONNECT; q.stage <= SERVICE_MESSAGE; q.stage++) {
		buf_reset(&out);
		service_request_add(&q, &out);
		assert(!out.has_overflowed);
		assert(check_request(buf_str(&out)) == lines);
	}
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct str s = {(const char *)p, n};

	if (n > 0 && p[0] == 0xff)
		run_request(str_skip(s, 1));
	else
		run_answer(str_skip(s, 1));
	return 0;
}
