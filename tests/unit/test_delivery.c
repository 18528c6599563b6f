/* delivery/delivery: the registry, the sink, and the results of local faults. */
#include "unit.h"

#include "delivery/delivery.h"

#include <errno.h>
#include <string.h>

#include "smtp/envelope.h"

static const struct delivery_env here = {.spool_dir = "/spool"};

/* A backend that records what it is told and can be made to fail. */
static struct {
	char calls[256];
	int open_error, check_error, prepare_error;
} spy;

static void note(const char *call, const void *state)
{
	const struct delivery_settings *settings = state;
	size_t used = strlen(spy.calls);

	(void)snprintf(spy.calls + used, sizeof(spy.calls) - used, "%s(%s) ", call,
		settings->name);
}

static int spy_prepare_host(
	const struct delivery_settings *settings, const struct delivery_owner *owner)
{
	CU_ASSERT_EQUAL(owner->uid, 7);
	note("prepare_host", settings);
	return strcmp(settings->name, "b") == 0 ? spy.prepare_error : 0;
}

static int spy_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	union {
		const struct delivery_settings *settings;
		void *state;
	} u = {.settings = settings};

	CU_ASSERT_PTR_EQUAL(env, &here);
	CU_ASSERT_EQUAL(section, (size_t)(settings->name[0] - 'a'));
	note("open", settings);
	*ret_state = u.state;
	return strcmp(settings->name, "b") == 0 ? spy.open_error : 0;
}

static void spy_root(const void *state, struct delivery_root *ret)
{
	const struct delivery_settings *settings = state;

	*ret = (struct delivery_root){settings->name[0], DELIVERY_REACH_SPOOL};
}

static int spy_check(void *state)
{
	const struct delivery_settings *settings = state;

	note("check", state);
	return strcmp(settings->name, "b") == 0 ? spy.check_error : 0;
}

static void spy_close(void *state)
{
	note("close", state);
}

static int spy_clean(void *state, uint64_t *count)
{
	note("clean", state);
	*count += 3;
	return -EROFS;
}

static const struct delivery_backend spy_backend = {
	.name = "spy",
	.prepare_host = spy_prepare_host,
	.open = spy_open,
	.root = spy_root,
	.check = spy_check,
	.clean = spy_clean,
	.close = spy_close,
};

static const struct delivery_settings sections[] = {
	{.name = "a", .backend = &spy_backend},
	{.name = "b", .backend = &spy_backend},
	{.name = "c", .backend = &delivery_discard, .is_required = true},
};

static void check_calls(const char *name, const char *expected)
{
	CHECK_STR(name, str_of(spy.calls), str_of(expected));
	memset(&spy, 0, sizeof(spy));
}

static void registry(void)
{
	CU_ASSERT_PTR_EQUAL(delivery_backend_find("maildir"), &delivery_maildir);
	CU_ASSERT_PTR_EQUAL(delivery_backend_find("discard"), &delivery_discard);
	CU_ASSERT_PTR_NULL(delivery_backend_find("Discard"));
	CU_ASSERT_PTR_NULL(delivery_backend_find(""));
}

static void local_fault(void)
{
	static const struct {
		const char *name;
		int error, code;
	} cases[] = {
		{"ENOSPC", ENOSPC, 452},
		{"EDQUOT", EDQUOT, 452},
		{"EFBIG", EFBIG, 452},
		{"EIO", EIO, 451},
		{"EACCES", EACCES, 451},
		{"ENOENT", ENOENT, 451},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int sign = -1; sign <= 1; sign += 2) {
			struct smtp_result r =
				delivery_local_fault(sign * cases[i].error);

			CHECK(cases[i].name, r.kind == RESULT_TEMPORARY);
			CHECK(cases[i].name, r.code == cases[i].code);
			CHECK_STR(cases[i].name, str_of(r.enhanced),
				r.code == 452 ? STR("4.3.1") : STR("4.3.0"));
		}
	}
}

static void life(void)
{
	const struct delivery_owner owner = {7, 7};
	struct delivery *d = NULL;
	struct delivery_root root;
	size_t failed = 99;
	uint64_t removed = 2;

	CU_ASSERT_EQUAL(delivery_prepare_host(sections, 3, &owner, &failed), 0);
	check_calls("prepare", "prepare_host(a) prepare_host(b) ");
	spy.prepare_error = -EROFS;
	CU_ASSERT_EQUAL(delivery_prepare_host(sections, 3, &owner, &failed), -EROFS);
	CU_ASSERT_EQUAL(failed, 1);
	check_calls("prepare fails", "prepare_host(a) prepare_host(b) ");

	spy.open_error = -EACCES;
	failed = 99;
	CU_ASSERT_EQUAL(delivery_open(sections, 3, &here, &d, &failed), -EACCES);
	CU_ASSERT_EQUAL(failed, 1);
	CU_ASSERT_PTR_NULL(d);
	check_calls("open fails", "open(a) open(b) close(a) ");

	CU_ASSERT_EQUAL_FATAL(delivery_open(sections, 3, &here, &d, &failed), 0);
	CU_ASSERT_TRUE(delivery_root(d, 1, &root));
	CU_ASSERT_EQUAL(root.fd, 'b');
	CU_ASSERT_EQUAL(root.reach, DELIVERY_REACH_SPOOL);
	CU_ASSERT_FALSE(delivery_root(d, 2, &root));
	CU_ASSERT_EQUAL(delivery_check(d, &failed), 0);
	spy.check_error = -ENOSPC;
	failed = 99;
	CU_ASSERT_EQUAL(delivery_check(d, &failed), -ENOSPC);
	CU_ASSERT_EQUAL(failed, 1);
	check_calls(
		"open and check", "open(a) open(b) check(a) check(b) check(a) check(b) ");
	CU_ASSERT_EQUAL(delivery_clean(d, 1, &removed), -EROFS);
	CU_ASSERT_EQUAL(removed, 5);
	CU_ASSERT_EQUAL(delivery_clean(d, 2, &removed), 0);
	delivery_close(d);
	check_calls("clean and close", "clean(b) close(a) close(b) ");
	delivery_close(NULL);
}

static void discard(void)
{
	const struct smtp_sink *sink = &delivery_sink;
	struct smtp_result results[2] = {
		{RESULT_PERMANENT, 1, "", ""}, {RESULT_PERMANENT, 1, "", ""}};
	struct recipient recipients[2] = {0};
	struct envelope envelope = {
		.client.is_lmtp = true, .recipients = recipients, .recipient_count = 2};
	bool keep[2] = {false, true};
	struct delivery *d;
	size_t failed;

	CU_ASSERT_EQUAL_FATAL(delivery_open(&sections[2], 1, &here, &d, &failed), 0);
	CU_ASSERT_EQUAL(delivery_check(d, &failed), 0);
	CU_ASSERT_EQUAL(sink->begin(d, &envelope).code, 250);
	CU_ASSERT_EQUAL(delivery_patience_ms(d), 0);
	CU_ASSERT_EQUAL(sink->chunk(d, "text\r\n", 6).code, 250);
	sink->prepare(d, results);
	CU_ASSERT_EQUAL(results[0].code, 250);
	CU_ASSERT_EQUAL(results[1].code, 250);
	results[0].code = results[1].code = 1;
	sink->commit(d, keep, results);
	CU_ASSERT_EQUAL(results[0].code, 1);
	CU_ASSERT_EQUAL(results[1].code, 250);
	CU_ASSERT_EQUAL(sink->begin(d, &envelope).code, 250);
	sink->abort(d);
	delivery_close(d);
}

void suite_delivery(void)
{
	CU_pSuite s = CU_add_suite("delivery", NULL, NULL);

	CU_add_test(s, "registry", registry);
	CU_add_test(s, "local fault", local_fault);
	CU_add_test(s, "prepare, open, check, close", life);
	CU_add_test(s, "discard", discard);
}
