/* base/buf: grows up to its limit, never past it, and says so. */
#include <string.h>

#include "base/buf.h"
#include "unit.h"

static void assert_sane_buf(const char *name, const struct buf *b)
{
	CHECK(name, b->len <= b->size);
	CHECK(name, b->size <= b->max);
	CHECK(name, (b->p == NULL) == (b->size == 0));
}

static void test_add(void)
{
	struct buf b = {.max = 40};

	assert_sane_buf("zeroed", &b);
	CHECK_STR("zeroed", buf_str(&b), STR(""));
	CHECK("bytes", buf_add(&b, "a\0b", 3));
	assert_sane_buf("bytes", &b);
	CHECK("slice", buf_add_str(&b, STR("cd")));
	CHECK("empty slice", buf_add_str(&b, (struct str){NULL, 0}));
	CHECK("text", buf_add_text(&b, "ef"));
	CHECK("format", buf_add_format(&b, "%d-%s", 42, "x"));
	assert_sane_buf("format", &b);
	memcpy(buf_extend(&b, 2), "yz", 2);
	assert_sane_buf("extend", &b);
	CHECK_STR("all", buf_str(&b), STR("a\0bcdef42-xyz"));
	buf_consume(&b, 3);
	assert_sane_buf("consume", &b);
	CHECK_STR("consume", buf_str(&b), STR("cdef42-xyz"));
	buf_consume(&b, b.len);
	CHECK_STR("consume all", buf_str(&b), STR(""));
	buf_done(&b);
	CHECK("done", b.p == NULL && b.len == 0 && b.size == 0);
	buf_done(NULL);
}

static void test_limit(void)
{
	struct buf b;

	buf_init(&b, 10);
	CHECK("up to the limit", buf_add_text(&b, "0123456789"));
	CHECK("not yet", !b.has_overflowed);
	CHECK("past the limit", !buf_add_text(&b, "x"));
	CHECK("nor this", buf_extend(&b, 1) == NULL);
	CHECK("marked", b.has_overflowed);
	CHECK_STR("nothing added", buf_str(&b), STR("0123456789"));
	buf_consume(&b, 5);
	CHECK("sticky", !buf_add_text(&b, "x"));
	CHECK("sticky", !buf_add_format(&b, "%c", 'x'));
	assert_sane_buf("overflow", &b);
	buf_reset(&b);
	CHECK("reset", !b.has_overflowed && b.len == 0);
	CHECK("a piece that does not fit", !buf_add_format(&b, "%s", "0123456789a"));
	CHECK("leaves nothing", b.len == 0);
	buf_reset(&b);
	/* A format takes a byte more while it is written. */
	CHECK("a format that fits", buf_add_format(&b, "%s", "012345678"));
	CHECK_STR("whole", buf_str(&b), STR("012345678"));
	assert_sane_buf("format", &b);
	buf_done(&b);
}

static void test_growth(void)
{
	struct buf b;
	bool is_same = true;

	buf_init(&b, 100000);
	for (unsigned i = 0; i < 100000; i++) {
		char c = (char)(i * 7);

		CU_ASSERT_FATAL(buf_add(&b, &c, 1));
	}
	assert_sane_buf("growth", &b);
	for (unsigned i = 0; i < 100000; i++)
		is_same &= b.p[i] == (char)(i * 7);
	CHECK("growth", is_same);
	CHECK("full", !buf_add(&b, "x", 1));
	buf_done(&b);
}

/* A format is written once when there is room, else again after growing: the same
 * text either way, whatever is left of the first memory. */
static void test_format_growth(void)
{
	char filler[300];

	memset(filler, '.', sizeof(filler));
	for (size_t before = 240; before < 264; before++) {
		struct buf b;

		buf_init(&b, 4096);
		CHECK("filler", buf_add(&b, filler, before));
		CHECK("format", buf_add_format(&b, "%s %d", "0123456789", 42));
		assert_sane_buf("format", &b);
		CHECK_STR("text", str_skip(buf_str(&b), before), STR("0123456789 42"));
		buf_done(&b);
	}
}

void suite_buf(void)
{
	CU_pSuite s = CU_add_suite("buf", NULL, NULL);

	CU_add_test(s, "add", test_add);
	CU_add_test(s, "limit", test_limit);
	CU_add_test(s, "growth", test_growth);
	CU_add_test(s, "growth for a format", test_format_growth);
}
