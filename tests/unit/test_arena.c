/* base/arena: pieces stay apart, the cap counts what was asked for, and a rewind
 * gives it back. */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "unit.h"

static void assert_sane_arena(const char *name, const struct arena *a)
{
	CHECK(name, a->used <= a->cap);
}

static void test_alloc(void)
{
	static const size_t sizes[] = {1, 3, 8, 17, 100, 4096, 5000, 70000, 1};
	char *pieces[sizeof(sizes) / sizeof(sizes[0])];
	const size_t count = sizeof(sizes) / sizeof(sizes[0]);
	struct arena a;

	arena_init(&a, 1 << 20);
	for (size_t i = 0; i < count; i++) {
		pieces[i] = arena_alloc(&a, sizes[i]);
		CU_ASSERT_PTR_NOT_NULL_FATAL(pieces[i]);
		CHECK("aligned", (uintptr_t)pieces[i] % _Alignof(max_align_t) == 0);
		for (size_t k = 0; k < sizes[i]; k++)
			CU_ASSERT_FATAL(pieces[i][k] == 0);
		memset(pieces[i], 'a' + (int)i, sizes[i]);
		assert_sane_arena("alloc", &a);
	}
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			CU_ASSERT_FATAL(pieces[i][k] == 'a' + (int)i);
	arena_done(&a);
}

static void test_cap(void)
{
	struct arena a;

	arena_init(&a, 1000);
	CHECK("over", arena_alloc(&a, 1001) == NULL);
	CHECK("no overflow of sizes", arena_alloc(&a, SIZE_MAX) == NULL);
	CHECK("no overflow of sizes", arena_alloc(&a, SIZE_MAX - 15) == NULL);
	CHECK("still usable", arena_alloc(&a, 500) != NULL);
	CHECK("over in sum", arena_alloc(&a, 501) == NULL);
	CHECK("still usable", arena_alloc(&a, 100) != NULL);
	assert_sane_arena("cap", &a);
	arena_done(&a);
}

static void test_rewind(void)
{
	struct arena a;
	struct arena_mark start;
	struct arena_mark mark;
	char *kept;

	arena_init(&a, 100000);
	start = arena_mark(&a);
	kept = arena_alloc(&a, 100);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
	memset(kept, 'k', 100);
	mark = arena_mark(&a);
	/* Were a rewind to forget what it gives back, the cap would end this loop. */
	for (int i = 0; i < 1000; i++) {
		char *p = arena_alloc(&a, 50000);

		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT_FATAL(p[0] == 0 && p[49999] == 0);
		memset(p, 'x', 50000);
		CU_ASSERT_PTR_NOT_NULL_FATAL(arena_alloc(&a, 49000));
		arena_rewind(&a, mark);
		assert_sane_arena("rewind", &a);
	}
	for (size_t k = 0; k < 100; k++)
		CU_ASSERT_FATAL(kept[k] == 'k');
	arena_rewind(&a, start);
	CHECK("all is back", arena_alloc(&a, 100000) != NULL);
	arena_done(&a);
	arena_done(NULL);
}

static void test_copy(void)
{
	static const char too_much[65];
	struct arena a;
	struct str copy;

	arena_init(&a, 64);
	copy = arena_copy(&a, STR("a\0b"));
	CHECK_STR("NUL is a byte", copy, STR("a\0b"));
	copy = arena_copy(&a, (struct str){NULL, 0});
	CHECK("empty is not NULL", copy.n == 0 && copy.p != NULL);
	CHECK("no room",
		arena_copy(&a, (struct str){too_much, sizeof(too_much)}).p == NULL);
	arena_done(&a);
}

void suite_arena(void)
{
	CU_pSuite s = CU_add_suite("arena", NULL, NULL);

	CU_add_test(s, "alloc", test_alloc);
	CU_add_test(s, "cap", test_cap);
	CU_add_test(s, "rewind", test_rewind);
	CU_add_test(s, "copy", test_copy);
}
