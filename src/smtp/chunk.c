/* BDAT; see chunk.h.
 *
 * Runs in workers on hostile numbers: what is announced is counted down, compared and
 * never allocated.  Octets that were announced are octets, whatever becomes of the
 * command: none of them is ever taken for a command.
 *
 * A message that has lost a chunk must not be taken for whole: after any BDAT that was
 * not accepted the transaction is dead (RFC 3030, 2). */
#include "smtp/chunk.h"

#include "smtp/engine.h"
#include "smtp/transaction.h"

/* So much more than a message may have is read to be thrown away; a client that wants
 * to send more is not worth its time. */
#define DISCARD_SLACK_BYTES (UINT64_C(1) << 20)

/* chunk-size = 1*20DIGIT, as SIZE has it; end-marker = "LAST" (RFC 3030, 2) */
static bool parse_chunk(struct str argument, struct chunk *ret)
{
	size_t digits = 0;
	struct chunk chunk = {0};
	struct str rest;

	while (digits < argument.n && str_is_digit(argument.p[digits]))
		digits++;
	rest = str_skip(argument, digits);
	if (rest.n > 0) {
		struct str marker = str_trim_start(rest);

		chunk.is_last =
			marker.n < rest.n && str_equal_nocase(marker, STR("LAST"));
		if (!chunk.is_last)
			return false;
	}
	if (digits > 20 ||
		str_parse_u64((struct str){argument.p, digits}, &chunk.size) < 0)
		return false;
	chunk.left = chunk.size;
	*ret = chunk;
	return true;
}

static bool is_too_much(const struct smtp *s, uint64_t size)
{
	uint64_t max = s->settings->message_size_max;

	return size > max && size - max > DISCARD_SLACK_BYTES;
}

/* How large this chunk may be. */
static uint64_t room(const struct smtp *s)
{
	uint64_t used = s->chunks == CHUNKS_BEGUN ? s->data.octets : 0;

	return s->settings->message_size_max - used;
}

/* Without this chunk there will be no message. */
static void lose_message(struct smtp *s)
{
	if (!s->has_sender)
		return;
	transaction_abort_message(s);
	s->chunks = CHUNKS_FAILED;
}

static void end_chunk(struct smtp *s)
{
	char text[STR_DECIMAL_MAX + sizeof(" octets received")];
	size_t n;

	s->mode = MODE_COMMAND;
	if (s->chunk.is_discarded)
		return;
	if (s->chunk.is_last) {
		transaction_end_message(s);
	} else if (s->failure.code != 0) {
		transaction_end_failed_chunk(s);
	} else {
		n = str_decimal(text, s->chunk.size);
		(void)str_copy(text + n, sizeof(text) - n, STR(" octets received"));
		engine_reply(s, 250, "2.0.0", text);
	}
}

void chunk_run(struct smtp *s, struct str argument)
{
	if (!parse_chunk(argument, &s->chunk)) {
		lose_message(s);
		engine_error(s, 501, "5.5.4", "Syntax: BDAT octets [LAST]");
		return;
	}
	if (s->chunks == CHUNKS_NONE)
		s->failure.code = 0;
	if (s->chunk.size > room(s))
		transaction_fail_by_size(s);
	else if (s->chunks == CHUNKS_NONE)
		transaction_begin_chunks(s);
	if (s->mode != MODE_COMMAND)
		/* A hook has dropped the connection. */
		return;
	if (is_too_much(s, s->chunk.size)) {
		transaction_end_failed_chunk(s);
		s->mode = MODE_CLOSING;
	} else if (s->chunk.left > 0) {
		s->mode = MODE_CHUNK;
	} else {
		end_chunk(s);
	}
}

void chunk_discard(struct smtp *s, struct str argument)
{
	if (s->mode != MODE_COMMAND)
		return;
	lose_message(s);
	if (!parse_chunk(argument, &s->chunk))
		return;
	s->chunk.is_discarded = true;
	if (is_too_much(s, s->chunk.size))
		s->mode = MODE_CLOSING;
	else if (s->chunk.left > 0)
		s->mode = MODE_CHUNK;
}

size_t chunk_feed(struct smtp *s, const char *p, size_t n)
{
	struct chunk *chunk = &s->chunk;

	if (n > chunk->left)
		n = (size_t)chunk->left;
	chunk->left -= n;
	if (!chunk->is_discarded)
		transaction_add_chunk(s, p, n);
	/* A hook may have dropped the connection in the middle of the text. */
	if (chunk->left > 0 || s->mode != MODE_CHUNK)
		return n;
	end_chunk(s);
	if (!chunk->is_discarded)
		engine_tell_answer(s, VERB_BDAT);
	engine_leave_if_due(s);
	return n;
}
