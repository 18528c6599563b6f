/* smtp/data against second decoders, written from the rules and not for speed:
 * every short text over a small alphabet, in every mode, in every split; as DATA and
 * as chunks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/data.h"
#include "unit.h"

struct decoded {
	char text[300];
	size_t n;
	size_t used; /* with the end of data; 0: no end */
	uint64_t octets;
	bool has_bare_newline;
};

/* The rules, one line at a time.  A line begins after CR LF or, when lone LFs count,
 * after LF.  Text that the end of data does not follow is not looked at. */
static struct decoded decode_by_the_rules(struct str in, enum bare_newline mode)
{
	struct decoded d = {0};
	bool is_after_crlf = true;
	size_t at = 0;

	while (at < in.n) {
		size_t end = at;
		bool is_crlf;

		if (is_after_crlf && in.n - at >= 3 &&
			memcmp(in.p + at, ".\r\n", 3) == 0) {
			d.used = at + 3;
			return d;
		}
		/* The end of this line: CR LF, or LF where that counts. */
		while (end < in.n &&
			!(end > at && in.p[end] == '\n' && in.p[end - 1] == '\r') &&
			!(mode != BARE_NEWLINE_PRESERVE && in.p[end] == '\n'))
			end++;
		if (end == in.n)
			return d;
		is_crlf = end > at && in.p[end - 1] == '\r';
		if (is_after_crlf && in.p[at] == '.')
			at++;
		else if (!is_after_crlf && in.p[at] == '.' && in.p[at + 1] == '.')
			at++;
		d.octets += end + 1 - at;
		for (; at < end + 1 - (is_crlf ? 2 : 1); at++) {
			d.has_bare_newline |= in.p[at] == '\r' || in.p[at] == '\n';
			d.text[d.n++] = in.p[at];
		}
		d.has_bare_newline |= !is_crlf;
		d.text[d.n++] = '\r';
		d.text[d.n++] = '\n';
		is_after_crlf = is_crlf;
		at = end + 1;
	}
	return d;
}

static void emit(void *user, const char *p, size_t n)
{
	CU_ASSERT(n > 0);
	(void)buf_add(user, p, n);
}

/* Decode in pieces of `step` bytes, or for step 0 in two pieces cut at `cut`. */
static size_t decode(struct data *d, struct str in, size_t cut, struct buf *out)
{
	size_t done = 0;

	while (done < in.n) {
		size_t n = cut > 0 && done == 0 ? cut : in.n - done;
		size_t used = 0;
		enum data_outcome outcome;

		outcome = data_decode(d, in.p + done, n, &used, emit, out);
		CU_ASSERT_FATAL(used <= n);
		done += used;
		if (outcome == DATA_END)
			return done;
		CU_ASSERT_FATAL(used == n);
	}
	return 0;
}

static bool is_as_expected(const struct data *d, const struct buf *out, size_t used,
	const struct decoded *expected)
{
	struct str text = {expected->text, expected->n};

	if (used != expected->used)
		return false;
	/* Text that is refused may look as it likes. */
	if (expected->used == 0 ||
		(d->bare_newline == BARE_NEWLINE_REJECT && expected->has_bare_newline))
		return expected->used == 0 || d->has_bare_newline;
	if (d->bare_newline == BARE_NEWLINE_REJECT && d->has_bare_newline)
		return false;
	return str_equal(buf_str(out), text) && d->octets == expected->octets;
}

/* In every cut from first to last, 0 for none; returns whether all were right. */
static bool check_cuts(
	struct str in, enum bare_newline mode, size_t first_cut, size_t last_cut)
{
	struct decoded expected = decode_by_the_rules(in, mode);
	bool is_good = true;

	for (size_t cut = first_cut; cut <= last_cut && is_good; cut++) {
		struct data d;
		struct buf out;
		size_t used;

		buf_init(&out, 256);
		data_init(&d, mode);
		used = decode(&d, in, cut, &out);
		is_good = is_as_expected(&d, &out, used, &expected);
		if (!is_good) {
			char name[900];
			char text[400];
			char got[400];

			(void)str_printable(text, sizeof(text), in);
			(void)str_printable(got, sizeof(got), buf_str(&out));
			(void)snprintf(name, sizeof(name),
				"mode %d '%s' cut %zu: '%s' octets %u", (int)mode, text,
				cut, got, (unsigned)d.octets);
			CHECK(name, is_good);
		}
		buf_done(&out);
	}
	return is_good;
}

static bool check_text(struct str in, enum bare_newline mode)
{
	return check_cuts(in, mode, 0, in.n - 1);
}

/* All beginnings of up to 7 octets of the alphabet, each followed by an end of data
 * and more.  The first mistake ends it: the others are of its kind. */
static void test_against_the_rules(void)
{
	static const char alphabet[] = {'\r', '\n', '.', 'x', '\0'};
	static const char tail[] = "\r\n.\r\nQ";
	unsigned total = 1;

	for (size_t length = 0; length <= 7; length++, total *= 5) {
		for (unsigned number = 0; number < total; number++) {
			char text[32];
			unsigned rest = number;

			for (size_t i = 0; i < length; i++, rest /= 5)
				text[i] = alphabet[rest % 5];
			memcpy(text + length, tail, sizeof(tail) - 1);
			for (int mode = 0; mode < 3; mode++)
				if (!check_text(
					    (struct str){text, length + sizeof(tail) - 1},
					    (enum bare_newline)mode))
					return;
		}
	}
}

/* Plain lines are passed over in blocks: every three octets of the alphabet, at every
 * place up to the second block, cut there and not at all. */
static void test_amid_plain_lines(void)
{
	static const char alphabet[] = {'\r', '\n', '.', 'x', '\0'};
	static const char line[] = "plain lines\r\n";
	static const char tail[] = "\r\n.\r\nQ";
	enum { LENGTH = 200, PLACES = 90 };

	for (size_t at = 0; at < PLACES; at++) {
		for (unsigned number = 0; number < 125; number++) {
			char text[LENGTH + sizeof(tail) - 1];
			struct str in = {text, sizeof(text)};

			for (size_t i = 0; i < LENGTH; i++)
				text[i] = line[i % (sizeof(line) - 1)];
			text[at] = alphabet[number % 5];
			text[at + 1] = alphabet[number / 5 % 5];
			text[at + 2] = alphabet[number / 25];
			memcpy(text + LENGTH, tail, sizeof(tail) - 1);
			for (int mode = 0; mode < 3; mode++)
				if (!check_cuts(in, (enum bare_newline)mode, 0, 0) ||
					!check_cuts(in, (enum bare_newline)mode, at + 1,
						at + 3))
					return;
		}
	}
}

static void test_cases(void)
{
	static const struct {
		const char *name;
		enum bare_newline mode;
		struct str in;
		struct str out;
		bool has_ended;
	} cases[] = {
		{"nothing", BARE_NEWLINE_NORMALIZE, STR(".\r\n"), STR(""), true},
		{"line", BARE_NEWLINE_NORMALIZE, STR("a\r\n.\r\n"), STR("a\r\n"), true},
		{"stuffed", BARE_NEWLINE_NORMALIZE, STR("..\r\n.\r\n"), STR(".\r\n"),
			true},
		{"not stuffed", BARE_NEWLINE_NORMALIZE, STR(".a\r\n.\r\n"), STR("a\r\n"),
			true},
		{"dot, then CR", BARE_NEWLINE_NORMALIZE, STR(".\rx\r\n.\r\n"),
			STR("\rx\r\n"), true},
		{"dot, then two CR", BARE_NEWLINE_NORMALIZE, STR(".\r\r\n.\r\n"),
			STR("\r\r\n"), true},
		{"LF.LF", BARE_NEWLINE_NORMALIZE, STR("a\n.\nb\r\n.\r\n"),
			STR("a\r\n.\r\nb\r\n"), true},
		{"LF..LF", BARE_NEWLINE_NORMALIZE, STR("a\n..\nb\r\n.\r\n"),
			STR("a\r\n.\r\nb\r\n"), true},
		{"LF..LF", BARE_NEWLINE_PRESERVE, STR("a\n..\nb\r\n.\r\n"),
			STR("a\n..\nb\r\n"), true},
		{"no end", BARE_NEWLINE_NORMALIZE, STR("a\n.\r\n"), STR("a\r\n.\r\n"),
			false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct data d;
		struct buf out;

		buf_init(&out, 256);
		data_init(&d, cases[i].mode);
		CHECK(cases[i].name,
			(decode(&d, cases[i].in, 0, &out) > 0) == cases[i].has_ended);
		CHECK_STR(cases[i].name, buf_str(&out), cases[i].out);
		buf_done(&out);
	}
}

/* --- chunks ---------------------------------------------------------------------- */

/* One octet after the other: no dots, and no end. */
static struct decoded add_by_the_rules(struct str in, enum bare_newline mode)
{
	struct decoded d = {.octets = in.n};

	for (size_t i = 0; i < in.n; i++) {
		char before = i > 0 ? in.p[i - 1] : '\0';
		char after = i + 1 < in.n ? in.p[i + 1] : '\0';
		bool is_lone_lf = in.p[i] == '\n' && before != '\r';
		bool is_lone_cr = in.p[i] == '\r' && after != '\n';

		d.has_bare_newline |= is_lone_lf || is_lone_cr;
		if (is_lone_lf && mode == BARE_NEWLINE_NORMALIZE)
			d.text[d.n++] = '\r';
		d.text[d.n++] = in.p[i];
	}
	return d;
}

/* In chunks of `step` octets, after a first one of `cut`. */
static bool check_chunks(struct str in, enum bare_newline mode, size_t cut, size_t step)
{
	struct decoded expected = add_by_the_rules(in, mode);
	struct str text = {expected.text, expected.n};
	struct data d;
	struct buf out;
	bool is_good;

	buf_init(&out, 512);
	data_init(&d, mode);
	for (size_t at = 0, n = cut; at < in.n; at += n, n = step) {
		if (n > in.n - at)
			n = in.n - at;
		data_add_chunk(&d, in.p + at, n, emit, &out);
	}
	if (mode == BARE_NEWLINE_REJECT)
		is_good = data_has_bare_newline(&d) == expected.has_bare_newline;
	else
		is_good = d.octets == expected.octets && str_equal(buf_str(&out), text);
	if (mode == BARE_NEWLINE_REJECT && !expected.has_bare_newline)
		is_good &= d.octets == in.n && str_equal(buf_str(&out), in);
	if (mode == BARE_NEWLINE_PRESERVE)
		is_good &= str_equal(buf_str(&out), in) && !data_has_bare_newline(&d);
	if (!is_good) {
		char name[500];
		char printable[400];

		(void)str_printable(printable, sizeof(printable), in);
		(void)snprintf(name, sizeof(name), "mode %d '%s' cut %zu step %zu",
			(int)mode, printable, cut, step);
		CHECK_STR(name, buf_str(&out), text);
		CHECK(name, is_good);
	}
	buf_done(&out);
	return is_good;
}

/* All texts of up to 6 octets, cut everywhere, and octet by octet. */
static void test_short_chunks(void)
{
	static const char alphabet[] = {'\r', '\n', '.', 'x', '\0'};
	unsigned total = 1;

	for (size_t length = 0; length <= 6; length++, total *= 5) {
		for (unsigned number = 0; number < total * 3; number++) {
			enum bare_newline mode = (enum bare_newline)(number % 3);
			char text[8];
			unsigned rest = number / 3;

			for (size_t i = 0; i < length; i++, rest /= 5)
				text[i] = alphabet[rest % 5];
			for (size_t cut = 0; cut <= length; cut++)
				if (!check_chunks((struct str){text, length}, mode, cut,
					    cut == 0 ? 1 : length))
					return;
		}
	}
}

/* Every three octets of the alphabet, at every place up to the second block. */
static void test_chunks_of_plain_lines(void)
{
	static const char alphabet[] = {'\r', '\n', '.', 'x', '\0'};
	static const char line[] = "plain lines\r\n";
	enum { LENGTH = 200, PLACES = 90 };

	for (size_t at = 0; at < PLACES; at++) {
		for (unsigned number = 0; number < 125 * 3; number++) {
			enum bare_newline mode = (enum bare_newline)(number % 3);
			char text[LENGTH];

			for (size_t i = 0; i < LENGTH; i++)
				text[i] = line[i % (sizeof(line) - 1)];
			for (size_t i = 0, rest = number / 3; i < 3; i++, rest /= 5)
				text[at + i] = alphabet[rest % 5];
			for (size_t cut = at + 1; cut <= at + 3; cut++)
				if (!check_chunks((struct str){text, LENGTH}, mode, cut,
					    LENGTH))
					return;
			if (!check_chunks((struct str){text, LENGTH}, mode, LENGTH, 1))
				return;
		}
	}
}

void suite_data(void)
{
	CU_pSuite s = CU_add_suite("data", NULL, NULL);

	CU_add_test(s, "cases", test_cases);
	CU_add_test(s, "against the rules", test_against_the_rules);
	CU_add_test(s, "amid plain lines", test_amid_plain_lines);
	CU_add_test(s, "short chunks", test_short_chunks);
	CU_add_test(s, "chunks of plain lines", test_chunks_of_plain_lines);
}
