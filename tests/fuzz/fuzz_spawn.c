/* Fuzz target: what a spawner is told, by workers and by the configuration.
 *
 * The first byte chooses.  0xff: the rest is an answer.  0xfe: an argument of a command.
 * Any other: all of it is a question.  What of a question is accepted must have the
 * bytes that it would be sent as, and be fit for a command line. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/macro.h"
#include "delivery/spawn_request.h"
#include "fuzz.h"

static void check_text(struct str s, struct str bytes)
{
	assert(s.n == 0 || memchr(s.p, '\0', s.n) == NULL);
	assert(s.n == 0 || (s.p >= bytes.p && s.p + s.n <= bytes.p + bytes.n));
}

static void check_question(const struct spawn_request *r, struct str bytes)
{
	const struct str texts[] = {r->sender, r->client_address, r->helo, r->user,
		r->listener, r->message_id, r->envid, r->protocol, r->tls_version,
		r->tls_cipher, r->tls_subject, r->local, r->domain};
	struct buf again;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check_text(texts[i], bytes);
	assert(r->recipient_count >= 1);
	assert(r->recipient_count == 1 || r->local.n + r->domain.n == 0);
	for (size_t i = 0; i < r->recipient_count; i++) {
		assert(r->recipients[i].n > 0);
		check_text(r->recipients[i], bytes);
	}
	buf_init(&again, SPAWN_REQUEST_MAX);
	spawn_request_encode(r, &again);
	assert(!again.has_overflowed);
	fuzz_compare("the question", "read", buf_str(&again), "sent", bytes);
	buf_done(&again);
}

static void run_question(struct str bytes)
{
	struct spawn_request r;
	struct arena arena;
	int result;

	/* A list of recipients has four times the size of what it is made of. */
	arena_init(&arena, 4 * bytes.n + 64);
	result = spawn_request_decode(bytes, &arena, &r);
	assert(result == 0 || result == -EBADMSG);
	if (result == 0)
		check_question(&r, bytes);
	arena_done(&arena);
	/* Without memory nothing is accepted. */
	arena_init(&arena, 0);
	result = spawn_request_decode(bytes, &arena, &r);
	assert(result == -ENOMEM || result == -EBADMSG);
	arena_done(&arena);
}

static void run_answer(struct str bytes)
{
	struct spawn_answer a = {.code = 0};

	memcpy(&a, bytes.p, bytes.n < sizeof(a) ? bytes.n : sizeof(a));
	if (!spawn_answer_is_right(&a))
		return;
	assert(a.code == 250 || (a.code >= 400 && a.code <= 599));
	assert(memchr(a.enhanced, '\0', sizeof(a.enhanced)) != NULL);
	assert(a.enhanced[0] == '0' + a.code / 100 && a.enhanced[1] == '.');
	assert(memchr(a.text, '\0', sizeof(a.text)) != NULL);
	for (const char *p = a.text; *p != '\0'; p++)
		assert(str_is_printable(*p));
}

/* Byte for byte, with what it is to have been. */
static void run_argument(struct str bytes)
{
	char *template = malloc(bytes.n + 1);
	struct str s;
	uint32_t used = 0;
	size_t count = 0;
	const char *error = NULL;

	assert(template != NULL);
	memcpy(template, bytes.p, bytes.n);
	template[bytes.n] = '\0';
	for (s = str_of(template); s.n > 0 && error == NULL; count++) {
		struct macro_token token = {0};
		size_t left = s.n;

		error = macro_take(&s, MACROS_OF_COMMANDS, &token);
		assert(error == NULL ? s.n < left : s.n == left);
		assert(token.macro >= MACRO_NONE && token.macro < MACRO_END);
		if (token.macro != MACRO_NONE)
			used |= MACRO_BIT(token.macro);
	}
	assert(macro_used(template) == used);
	if ((used & MACRO_BIT(MACRO_RECIPIENTS)) != 0 && count > 1)
		assert(macro_check_argument(template) != NULL);
	else
		assert((macro_check_argument(template) == NULL) == (error == NULL));
	free(template);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *copy = fuzz_exact_copy((struct str){(const char *)p, n});
	struct str bytes = {copy, n};

	if (n > 0 && p[0] == 0xff)
		run_answer(str_skip(bytes, 1));
	else if (n > 0 && p[0] == 0xfe)
		run_argument(str_skip(bytes, 1));
	else
		run_question(bytes);
	free(copy);
	return 0;
}
