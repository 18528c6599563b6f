/* smtp/line: lines out of any split of the bytes (RFC 5321, 2.3.8, 4.5.3.1.4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "smtp/line.h"
#include "unit.h"

#define LINE_MAX_TEST 16

#define COUNT_OF(table) (sizeof(table) / sizeof((table)[0]))

/* The store is a block of its own here, so that a checker sees its end. */
static void init(struct line *line, size_t max)
{
	char *store = malloc(line_store_size(max));

	CU_ASSERT_PTR_NOT_NULL_FATAL(store);
	line_init(line, max, store);
}

/* What came out of the input, as text: "[line]" CR LF, "<line>" lone LF, "!" too
 * long, "F" flood, "L" before one that is long. */
static void run(struct str in, size_t step, size_t max, struct buf *out)
{
	struct line line = {0};
	bool is_flooded = false;

	init(&line, max);
	while (in.n > 0 && !is_flooded) {
		size_t n = step < in.n ? step : in.n;
		/* An exact copy, so that a checker sees a read past its end. */
		char *copy = malloc(n);
		size_t at = 0;

		CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
		memcpy(copy, in.p, n);
		while (at < n && !is_flooded) {
			struct str got = {0};
			size_t used = 0;
			enum line_outcome outcome =
				line_next(&line, copy + at, n - at, &used, &got);

			CU_ASSERT_FATAL(used > 0 && used <= n - at);
			at += used;
			switch (outcome) {
			case LINE_MORE:
				CU_ASSERT(at == n);
				CU_ASSERT(line.is_mid);
				break;
			case LINE_LONG:
			case LINE_READY:
				if (outcome == LINE_LONG)
					(void)buf_add_text(out, "L");
				(void)buf_add_text(
					out, line.has_bare_newline ? "<" : "[");
				(void)buf_add_str(out, got);
				(void)buf_add_text(
					out, line.has_bare_newline ? ">" : "]");
				CU_ASSERT(!line.is_mid);
				break;
			case LINE_TOO_LONG:
				(void)buf_add_text(out, "!");
				CU_ASSERT(got.n > 0 && got.n <= LINE_LONG_BYTES);
				CU_ASSERT(got.p[0] == 'x');
				CU_ASSERT(!line.is_mid);
				break;
			case LINE_FLOOD:
				(void)buf_add_text(out, "F");
				CU_ASSERT(got.n > 0 && got.p[0] == 'x');
				is_flooded = true;
				break;
			}
		}
		free(copy);
		in = str_skip(in, n);
	}
	free(line.store);
}

static void test_lines(void)
{
	static const struct {
		const char *name;
		struct str in;
		struct str out;
	} cases[] = {
		{"one", STR("NOOP\r\n"), STR("[NOOP]")},
		{"two", STR("a\r\nb\r\n"), STR("[a][b]")},
		{"unfinished", STR("a\r\nb"), STR("[a]")},
		{"unfinished CR", STR("a\r\nb\r"), STR("[a]")},
		{"empty", STR("\r\n\r\n"), STR("[][]")},
		{"lone LF", STR("a\nb\r\n\n"), STR("<a>[b]<>")},
		{"lone CR stays", STR("a\rb\r\n"), STR("[a\rb]")},
		{"CR CR LF", STR("a\r\r\n"), STR("[a\r]")},
		{"NUL", STR("a\0b\r\n"), STR("[a\0b]")},
		{"at the limit", STR("0123456789abcd\r\n"), STR("[0123456789abcd]")},
		{"over the limit", STR("0123456789abcde\r\nx\r\n"),
			STR("L[0123456789abcde][x]")},
		{"at the limit, lone LF", STR("0123456789abcde\n"),
			STR("<0123456789abcde>")},
		{"over the limit, lone LF", STR("0123456789abcdef\nx\n"),
			STR("L<0123456789abcdef><x>")},
		{"long with CR", STR("0123456789abcde\rxxxxxxxx\r\r\nx\r\n"),
			STR("L[0123456789abcde\rxxxxxxxx\r][x]")},
		{"long twice", STR("0123456789abcdefg\r\n0123456789abcdefg\r\n"),
			STR("L[0123456789abcdefg]L[0123456789abcdefg]")},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t step = 1; step <= cases[i].in.n; step++) {
			struct buf out;
			char name[80];

			buf_init(&out, 4096);
			run(cases[i].in, step, LINE_MAX_TEST, &out);
			(void)snprintf(
				name, sizeof(name), "%s by %zu", cases[i].name, step);
			CHECK_STR(name, buf_str(&out), cases[i].out);
			buf_done(&out);
		}
	}
}

static void test_flood(void)
{
	static const size_t steps[] = {1, 1000, LINE_FLOOD_BYTES, 1 << 20};
	size_t n = LINE_FLOOD_BYTES + 10;
	char *in = malloc(n);

	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct buf out;

		buf_init(&out, 4096);
		memset(in, 'x', n);
		run((struct str){in, n}, steps[i], 4096, &out);
		CHECK_STR("no end", buf_str(&out), STR("F"));
		buf_reset(&out);
		/* The end comes after all, too late. */
		in[n - 1] = '\n';
		run((struct str){in, n}, steps[i], 4096, &out);
		CHECK_STR("late end", buf_str(&out), STR("F"));
		buf_reset(&out);
		in[LINE_FLOOD_BYTES - 2] = '\n';
		run((struct str){in, LINE_FLOOD_BYTES - 1}, steps[i], 4096, &out);
		CHECK_STR("long, no flood", buf_str(&out), STR("!"));
		buf_done(&out);
	}
	free(in);
}

/* A line of LINE_LONG_BYTES is still whole, and the one behind it is not hurt. */
static void test_long(void)
{
	static const size_t steps[] = {1, 1000, LINE_LONG_BYTES - 1, 1 << 20};
	static const size_t maxima[] = {16, 512, 4096, LINE_LONG_BYTES, 20000};

	for (size_t i = 0; i < COUNT_OF(steps) * COUNT_OF(maxima); i++) {
		size_t step = steps[i % COUNT_OF(steps)];
		size_t max = maxima[i / COUNT_OF(steps)];

		for (size_t n = LINE_LONG_BYTES - 1; n <= LINE_LONG_BYTES + 1; n++) {
			char *in = malloc(n + 3);
			bool is_ready = n <= max;
			bool is_long = !is_ready && n <= LINE_LONG_BYTES;
			struct buf out;

			CU_ASSERT_PTR_NOT_NULL_FATAL(in);
			buf_init(&out, 1 << 20);
			memset(in, 'x', n);
			memcpy(in + n - 2, "\r\ny\r\n", 5);
			run((struct str){in, n + 3}, step, max, &out);
			CHECK("outcome", out.p[0] == (is_ready         ? '['
							     : is_long ? 'L'
								       : '!'));
			CHECK("length", out.len == (is_ready         ? n
							   : is_long ? n + 1
								     : 1) +
							   3);
			CHECK_STR(
				"next", str_skip(buf_str(&out), out.len - 3), STR("[y]"));
			buf_done(&out);
			free(in);
		}
	}
}

static bool is_zero(const char *p, size_t n)
{
	while (n > 0 && p[n - 1] == '\0')
		n--;
	return n == 0;
}

static void test_wipe(void)
{
	struct line line = {0};
	struct str got = {0};
	size_t used = 0;

	init(&line, LINE_MAX_TEST);
	memset(line.store, 0, line.size);
	CHECK_STR("nothing begun", line_begun(&line), STR(""));
	(void)line_next(&line, "AUTH PL", 7, &used, &got);
	CHECK_STR("begun", line_begun(&line), STR("AUTH PL"));
	(void)line_next(&line, "AIN x\r\nNOOP", 10, &used, &got);
	CHECK_STR("whole", got, STR("AUTH PLAIN x"));
	CHECK_STR("none begun", line_begun(&line), STR(""));
	line_wipe(&line);
	CHECK("wiped", is_zero(line.store, line.size));
	(void)line_next(&line, "secret", 6, &used, &got);
	line_wipe(&line);
	line_reset(&line);
	CHECK("wiped in the middle", is_zero(line.store, line.size));
	(void)line_next(&line, "NOOP\r\n", 6, &used, &got);
	CHECK_STR("goes on", got, STR("NOOP"));
	free(line.store);
}

static void test_reset(void)
{
	struct line line = {0};
	struct str got = {0};
	size_t used = 0;

	init(&line, LINE_MAX_TEST);
	CHECK("begun",
		line_next(&line, "RC", 2, &used, &got) == LINE_MORE && line.is_mid);
	line_reset(&line);
	CHECK("forgotten", !line.is_mid);
	CHECK("next", line_next(&line, "NOOP\r\n", 6, &used, &got) == LINE_READY);
	CHECK_STR("next", got, STR("NOOP"));
	free(line.store);
}

void suite_line(void)
{
	CU_pSuite s = CU_add_suite("line", NULL, NULL);

	CU_add_test(s, "lines", test_lines);
	CU_add_test(s, "flood", test_flood);
	CU_add_test(s, "long", test_long);
	CU_add_test(s, "wipe", test_wipe);
	CU_add_test(s, "reset", test_reset);
}
