/* Fuzz target: the DATA decoder, in one piece, in two pieces cut at every place, byte
 * by byte, and against a second decoder.
 *
 * The first byte chooses what becomes of lone line ends; the rest is what the client
 * sends.  It is decoded as it is, and again with an end of data behind it; and once more
 * as chunks.  All splits must emit the same text and leave the same state; the second
 * decoder must agree. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "fuzz.h"
#include "smtp/data.h"

/* Every cut of a longer input would take too long; only its beginning is cut. */
#define CUTS_MAX 100

/* What one way of decoding made of an input. */
struct decoded {
	struct data data;
	struct buf text;
	size_t used; /* with the end of data; 0: there is none */
};

static void emit(void *user, const char *p, size_t n)
{
	assert(n > 0);
	(void)buf_add(user, p, n);
}

static void decoded_init(struct decoded *d, enum bare_newline mode, size_t n)
{
	*d = (struct decoded){0};
	data_init(&d->data, mode);
	/* A lone LF becomes two octets, and nothing grows more than that. */
	buf_init(&d->text, 2 * n + 1);
}

/* Once more from the beginning. */
static void decoded_restart(struct decoded *d)
{
	data_init(&d->data, d->data.bare_newline);
	buf_reset(&d->text);
	d->used = 0;
}

/* Decode a piece at offset `at`, unless the end was found before. */
static void decode_piece(struct decoded *d, size_t at, struct str piece)
{
	size_t used = 0;
	enum data_outcome outcome;

	if (d->used > 0 || piece.n == 0)
		return;
	outcome = data_decode(&d->data, piece.p, piece.n, &used, emit, &d->text);
	assert(used > 0 && used <= piece.n);
	assert(outcome == DATA_END || used == piece.n);
	assert(!d->text.has_overflowed);
	if (outcome == DATA_END)
		d->used = at + used;
}

static void compare(const char *how, const struct decoded *a, const struct decoded *b)
{
	fuzz_compare(how, "whole", buf_str(&a->text), "other", buf_str(&b->text));
	assert(a->used == b->used);
	assert(a->data.state == b->data.state);
	assert(a->data.octets == b->data.octets);
	assert(a->data.has_bare_newline == b->data.has_bare_newline);
}

/* The next chunk. */
static void add_piece(struct decoded *d, size_t at, struct str piece)
{
	(void)at;
	data_add_chunk(&d->data, piece.p, piece.n, emit, &d->text);
	assert(!d->text.has_overflowed);
}

typedef void (*take_piece_fn)(struct decoded *d, size_t at, struct str piece);

/* The same input in other pieces. */
static void check_splits(const struct decoded *whole, struct str in, take_piece_fn take)
{
	struct decoded d;

	decoded_init(&d, whole->data.bare_newline, in.n);
	for (size_t cut = 1; cut < in.n && cut <= CUTS_MAX; cut++) {
		decoded_restart(&d);
		take(&d, 0, (struct str){in.p, cut});
		take(&d, cut, str_skip(in, cut));
		compare("cut in two", whole, &d);
	}
	decoded_restart(&d);
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		/* Alone, so that a checker sees a look at its neighbours. */
		take(&d, i, (struct str){&c, 1});
	}
	compare("byte by byte", whole, &d);
	buf_done(&d.text);
}

static bool is_after_crlf(struct str in, size_t i)
{
	return i == 0 || (i >= 2 && in.p[i - 2] == '\r' && in.p[i - 1] == '\n');
}

/* The rules for one octet after the other, with a look at its neighbours and no state.
 * There is always an end of data, which ends the loop. */
static void decode_by_the_rules(struct decoded *d, struct str in)
{
	enum bare_newline mode = d->data.bare_newline;

	for (size_t i = 0; i < in.n; i++) {
		bool after_crlf = is_after_crlf(in, i);
		bool after_lf = mode == BARE_NEWLINE_NORMALIZE && i > 0 && !after_crlf &&
				in.p[i - 1] == '\n';
		bool is_lone_lf = in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r');
		bool is_lone_cr = in.p[i] == '\r' && in.p[i + 1] != '\n';

		if (after_crlf && in.n - i >= 3 && memcmp(in.p + i, ".\r\n", 3) == 0) {
			d->used = i + 3;
			return;
		}
		if (in.p[i] == '.' && (after_crlf || (after_lf && in.p[i + 1] == '.')))
			continue;
		d->data.octets++;
		if (is_lone_lf || (is_lone_cr && mode == BARE_NEWLINE_REJECT))
			d->data.has_bare_newline = true;
		if (is_lone_lf && mode == BARE_NEWLINE_NORMALIZE)
			emit(&d->text, "\r\n", 2);
		else
			emit(&d->text, in.p + i, 1);
	}
	abort();
}

static void check_rules(const struct decoded *whole, struct str in)
{
	struct decoded rules;

	decoded_init(&rules, whole->data.bare_newline, in.n);
	decode_by_the_rules(&rules, in);
	fuzz_compare(
		"text", "decoder", buf_str(&whole->text), "rules", buf_str(&rules.text));
	assert(whole->used == rules.used);
	assert(whole->data.octets == rules.data.octets);
	assert(whole->data.has_bare_newline == rules.data.has_bare_newline);
	buf_done(&rules.text);
}

static void check(struct str text, enum bare_newline mode, bool has_end)
{
	char *copy = fuzz_exact_copy(text);
	struct str in = {copy, text.n};
	struct decoded whole;

	decoded_init(&whole, mode, in.n);
	decode_piece(&whole, 0, in);
	check_splits(&whole, in, decode_piece);
	if (has_end)
		check_rules(&whole, in);
	buf_done(&whole.text);
	free(copy);
}

/* The rules of chunks: line ends alone. */
static void check_chunks(struct str text, enum bare_newline mode)
{
	char *copy = fuzz_exact_copy(text);
	struct str in = {copy, text.n};
	struct decoded whole, rules;
	bool has_bare_newline = false;

	decoded_init(&whole, mode, in.n);
	decoded_init(&rules, mode, in.n);
	add_piece(&whole, 0, in);
	check_splits(&whole, in, add_piece);
	for (size_t i = 0; i < in.n; i++) {
		bool is_lone_lf = in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r');
		bool is_lone_cr =
			in.p[i] == '\r' && (i + 1 == in.n || in.p[i + 1] != '\n');

		has_bare_newline |= is_lone_lf || is_lone_cr;
		if (is_lone_lf && mode == BARE_NEWLINE_NORMALIZE)
			emit(&rules.text, "\r", 1);
		emit(&rules.text, in.p + i, 1);
	}
	assert(whole.data.octets == in.n);
	if (mode == BARE_NEWLINE_REJECT)
		assert(data_has_bare_newline(&whole.data) == has_bare_newline);
	fuzz_compare(
		"chunks", "decoder", buf_str(&whole.text), "rules", buf_str(&rules.text));
	buf_done(&whole.text);
	buf_done(&rules.text);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const struct str end = STR("\r\n.\r\n");
	enum bare_newline mode;
	struct buf in;

	if (n < 1)
		return 0;
	mode = (enum bare_newline)(p[0] % 3);
	buf_init(&in, n + end.n);
	(void)buf_add(&in, p + 1, n - 1);
	check(buf_str(&in), mode, false);
	check_chunks(buf_str(&in), mode);
	(void)buf_add_str(&in, end);
	check(buf_str(&in), mode, true);
	buf_done(&in);
	return 0;
}
