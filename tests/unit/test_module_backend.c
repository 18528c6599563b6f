/* delivery/module: messages that go to the backend of a module. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "api/sinkd_module.h"
#include "delivery/delivery.h"
#include "smtp/envelope.h"

/* A backend that notes what it is told, and answers as it is told to. */
static struct {
	char calls[1000];
	struct sinkd_result begin, chunk, prepare, commit; /* of the second recipient */
} spy;

static void note(const char *call)
{
	size_t used = strlen(spy.calls);

	(void)snprintf(spy.calls + used, sizeof(spy.calls) - used, "%s ", call);
}

static void note_keep(const char *call, const bool *keep)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%s(%s)", call,
		keep == NULL ? "none"
		: !keep[0]   ? keep[1] ? "second" : "neither"
		: keep[1]    ? "both"
			     : "first");
	note(text);
}

static void *spy_begin(void *user, struct sinkd_str section,
	const struct sinkd_envelope *envelope, struct sinkd_result *result)
{
	const struct envelope *e = (const struct envelope *)envelope;
	char text[64];

	CU_ASSERT_PTR_EQUAL(user, &spy);
	CU_ASSERT(result->code == 0 && result->text[0] == '\0');
	(void)snprintf(text, sizeof(text), "begin(%.*s,%zu)", (int)section.len,
		section.data, e->recipient_count);
	note(text);
	*result = spy.begin;
	return spy.calls;
}

static void spy_chunk(
	void *user, void *message, struct sinkd_str bytes, struct sinkd_result *result)
{
	char text[64];

	CU_ASSERT_PTR_EQUAL(user, &spy);
	CU_ASSERT_PTR_EQUAL(message, spy.calls);
	(void)snprintf(text, sizeof(text), "chunk(%.*s)",
		(int)bytes.len - (bytes.data[bytes.len - 1] == '\n' ? 2 : 0), bytes.data);
	note(text);
	*result = spy.chunk;
}

static void spy_prepare(void *user, void *message, struct sinkd_result *results)
{
	CU_ASSERT(user == &spy && message == spy.calls);
	CU_ASSERT(results[0].code == 0 && results[1].code == 0);
	note("prepare");
	results[1] = spy.prepare;
}

static void spy_commit(
	void *user, void *message, const bool *keep, struct sinkd_result *results)
{
	CU_ASSERT(user == &spy && message == spy.calls);
	note_keep("commit", keep);
	if (keep[1])
		results[1] = spy.commit;
}

static void spy_end(void *user, void *message, const bool *keep)
{
	CU_ASSERT(user == &spy && message == spy.calls);
	note_keep("end", keep);
}

static const struct sinkd_backend backend = {
	.abi = SINKD_ABI,
	.size = sizeof(backend),
	.user = &spy,
	.begin = spy_begin,
	.chunk = spy_chunk,
	.prepare = spy_prepare,
	.commit = spy_commit,
	.end = spy_end,
};

static void only_commit(
	void *user, void *message, const bool *keep, struct sinkd_result *results)
{
	(void)user;
	(void)keep;
	(void)results;
	CU_ASSERT_PTR_NULL(message);
	note("commit");
}

static const struct sinkd_backend least = {
	.abi = SINKD_ABI, .size = sizeof(least), .commit = only_commit};

static const struct delivery_settings section = {
	.name = "json", .backend = &delivery_module, .is_required = true};

/* The message goes in; *ret are the results.  Returns the code of begin and chunk. */
static int deliver(const struct sinkd_backend *b, bool is_lmtp, const char *prepended,
	struct smtp_result ret[2])
{
	static const bool all[] = {true, true};
	const struct sinkd_backend *const modules[] = {b};
	const struct delivery_env env = {.modules = modules};
	struct recipient recipients[2] = {0};
	const struct envelope e = {
		.client.is_lmtp = is_lmtp,
		.prepended = str_of(prepended),
		.recipients = recipients,
		.recipient_count = 2,
	};
	struct delivery *d = NULL;
	struct smtp_result r;
	size_t failed = 0;

	CU_ASSERT_FATAL(delivery_open(&section, 1, &env, &d, &failed) == 0);
	r = delivery_sink.begin(d, &e);
	if (r.kind == RESULT_OK) {
		r = delivery_sink.chunk(d, "text\r\n", 6);
		if (r.kind != RESULT_OK) {
			delivery_sink.abort(d);
		} else {
			bool keep[2];

			delivery_sink.prepare(d, ret);
			for (size_t i = 0; i < 2; i++)
				keep[i] = ret[i].kind == RESULT_OK;
			if (is_lmtp || memcmp(keep, all, sizeof(all)) == 0)
				delivery_sink.commit(d, keep, ret);
			else
				delivery_sink.abort(d);
		}
	}
	/* Texts are looked at before they go with the delivery. */
	for (size_t i = 0; i < 2 && r.kind == RESULT_OK; i++)
		CHECK("texts", strlen(ret[i].text) < 256);
	delivery_close(d);
	return r.code;
}

static void check_calls(const char *name, const char *expected)
{
	CHECK_STR(name, str_of(spy.calls), str_of(expected));
	memset(&spy, 0, sizeof(spy));
}

static void test_calls(void)
{
	struct smtp_result results[2] = {0};

	CHECK("good", deliver(&backend, false, "", results) == 250);
	CHECK("good", results[0].code == 250 && results[1].code == 250);
	check_calls("good", "begin(json,2) chunk(text) prepare commit(both) end(both) ");

	CHECK("headers", deliver(&backend, false, "X-A: 1\nX-B: 2\n", results) == 250);
	check_calls("headers", "begin(json,2) chunk(X-A: 1) chunk() chunk(X-B: 2) "
			       "chunk() chunk(text) prepare commit(both) end(both) ");

	CHECK("least", deliver(&least, false, "X-A: 1\n", results) == 250);
	CHECK("least", results[0].code == 250 && results[1].code == 250);
	check_calls("least", "commit ");

	CHECK("none", deliver(NULL, false, "", results) == 451);
	check_calls("none", "");
}

static void test_failures(void)
{
	struct smtp_result results[2] = {0};

	spy.begin.code = 550;
	CHECK("begin", deliver(&backend, false, "", results) == 550);
	check_calls("begin", "begin(json,2) ");

	spy.chunk.code = 552;
	CHECK("chunk", deliver(&backend, false, "", results) == 552);
	check_calls("chunk", "begin(json,2) chunk(text) end(none) ");

	spy.chunk.code = 552;
	CHECK("header", deliver(&backend, false, "X-A: 1\n", results) == 552);
	check_calls("header", "begin(json,2) chunk(X-A: 1) end(none) ");

	spy.prepare.code = 452;
	CHECK("prepare", deliver(&backend, false, "", results) == 250);
	CHECK("prepare", results[1].code == 452);
	check_calls("prepare", "begin(json,2) chunk(text) prepare end(none) ");

	spy.prepare.code = 452;
	CHECK("prepare by LMTP", deliver(&backend, true, "", results) == 250);
	CHECK("prepare by LMTP", results[0].code == 250 && results[1].code == 452);
	check_calls("prepare by LMTP",
		"begin(json,2) chunk(text) prepare commit(first) end(first) ");

	spy.commit.code = 550;
	CHECK("commit", deliver(&backend, false, "", results) == 250);
	CHECK("commit", results[1].code == 550);
	check_calls(
		"commit", "begin(json,2) chunk(text) prepare commit(both) end(none) ");

	spy.commit.code = 550;
	CHECK("commit by LMTP", deliver(&backend, true, "", results) == 250);
	CHECK("commit by LMTP", results[0].code == 250 && results[1].code == 550);
	check_calls("commit by LMTP",
		"begin(json,2) chunk(text) prepare commit(both) end(first) ");
}

static void test_answers(void)
{
	static const struct {
		const char *name;
		struct sinkd_result given;
		struct smtp_result expected;
	} cases[] = {
		{"stored", {0, "5.1.1", "x"}, {RESULT_OK, 250, "2.0.0", "Ok"}},
		{"all of it", {552, "5.2.2", "Full"},
			{RESULT_PERMANENT, 552, "5.2.2", "Full"}},
		{"code alone", {550, "", ""},
			{RESULT_PERMANENT, 550, "5.3.0", "Message refused"}},
		{"temporary", {450, "", ""},
			{RESULT_TEMPORARY, 450, "4.3.0", "Local error in processing"}},
		{"another class", {450, "5.1.1", "Later"},
			{RESULT_TEMPORARY, 450, "4.3.0", "Later"}},
		{"refused", {SINKD_REFUSE, "5.1.1", "No"},
			{RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"}},
		{"250", {250, "2.0.0", "Ok"},
			{RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"}},
		{"600", {600, "", ""},
			{RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"}},
		{"negative", {-1, "", ""},
			{RESULT_TEMPORARY, 451, "4.3.0", "Local error in processing"}},
	};
	const struct sinkd_backend *const modules[] = {&backend};
	const struct delivery_env env = {.modules = modules};
	struct recipient recipient = {0};
	const struct envelope e = {.recipients = &recipient, .recipient_count = 1};
	size_t failed = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		struct delivery *d = NULL;
		struct smtp_result r;

		CU_ASSERT_FATAL(delivery_open(&section, 1, &env, &d, &failed) == 0);
		spy.begin = cases[i].given;
		r = delivery_sink.begin(d, &e);
		CHECK(name, r.kind == cases[i].expected.kind);
		CHECK(name, r.code == cases[i].expected.code);
		CHECK_STR(name, str_of(r.enhanced), str_of(cases[i].expected.enhanced));
		CHECK_STR(name, str_of(r.text), str_of(cases[i].expected.text));
		if (r.kind == RESULT_OK)
			delivery_sink.abort(d);
		memset(&spy, 0, sizeof(spy));
		/* To the brim, without an end. */
		spy.begin.code = 550;
		memset(spy.begin.text, 'x', sizeof(spy.begin.text));
		memset(spy.begin.enhanced, '5', sizeof(spy.begin.enhanced));
		r = delivery_sink.begin(d, &e);
		CHECK(name, strlen(r.text) == sizeof(spy.begin.text) - 1);
		CHECK_STR(name, str_of(r.enhanced), STR("5.3.0"));
		delivery_close(d);
		memset(&spy, 0, sizeof(spy));
	}
}

void suite_module_backend(void)
{
	CU_pSuite suite = CU_add_suite("module backend", NULL, NULL);

	CU_add_test(suite, "calls", test_calls);
	CU_add_test(suite, "failures", test_failures);
	CU_add_test(suite, "answers", test_answers);
}
