/* delivery/delivery: one message in several sections, each failing at each step. */
#include "unit.h"

#include "maildir_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TWO 2

/* Sections are named by a letter: a and b store, r and s run something, o stores and p
 * runs something without being required.  In the order of the table `sections`. */
static const char names[] = "abrsop";

/* What the sections were told in the case in hand, and what they are to answer. */
static char calls[1024];
static const char *faults;

static const char *name_of(const void *spied)
{
	return ((const struct delivery_settings *)spied)->name;
}

/* kept NULL: none is told; from nobody it is told as "-". */
static void note(const void *spied, const char *step, const bool *kept)
{
	size_t used = strlen(calls);

	(void)snprintf(calls + used, sizeof(calls) - used, "%s.%s%s ", name_of(spied),
		step,
		kept == NULL ? ""
		: kept[0]    ? (kept[1] ? "(11)" : "(10)")
			     : (kept[1] ? "(01)" : "(00)"));
}

/* Faults are "a.prepare=451", or "a.prepare1=550" for the second recipient alone. */
static struct smtp_result answer(const void *spied, const char *step, size_t recipient)
{
	const char *at;
	char key[32];
	long code = 250;

	(void)snprintf(key, sizeof(key), "%s.%s=", name_of(spied), step);
	at = strstr(faults, key);
	if (at == NULL) {
		(void)snprintf(
			key, sizeof(key), "%s.%s%zu=", name_of(spied), step, recipient);
		at = strstr(faults, key);
	}
	if (at != NULL)
		code = strtol(at + strlen(key), NULL, 10);
	return (struct smtp_result){code >= 500   ? RESULT_PERMANENT
				    : code >= 400 ? RESULT_TEMPORARY
						  : RESULT_OK,
		(int)code, "4.9.9", "no"};
}

static int spy_open(const struct delivery_settings *spied, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	union {
		const struct delivery_settings *settings;
		void *state;
	} u = {.settings = spied};

	(void)section;
	(void)env;
	*ret_state = u.state;
	return 0;
}

static void spy_close(void *spied)
{
	(void)spied;
}

static struct smtp_result spy_begin(void *spied, const struct envelope *e)
{
	CU_ASSERT_PTR_EQUAL(e, &envelope);
	note(spied, "begin", NULL);
	return answer(spied, "begin", 0);
}

static struct smtp_result spy_chunk(void *spied, const void *p, size_t n)
{
	CU_ASSERT_TRUE(n == 2 && memcmp(p, "hi", 2) == 0);
	note(spied, "chunk", NULL);
	return answer(spied, "chunk", 0);
}

/* Answers for those who were asked about, and for nobody else. */
static void fill(const void *spied, const char *step, const bool *kept,
	struct smtp_result *answers)
{
	note(spied, step, kept);
	for (size_t i = 0; i < TWO; i++)
		if (kept == NULL || kept[i])
			answers[i] = answer(spied, step, i);
		else
			answers[i] = (struct smtp_result){RESULT_PERMANENT, 599, "", ""};
}

static void spy_prepare(void *spied, struct smtp_result *answers)
{
	fill(spied, "prepare", NULL, answers);
}

static void spy_run(void *spied, const bool *kept, struct smtp_result *answers)
{
	fill(spied, "run", kept, answers);
}

static void spy_commit(void *spied, const bool *kept, struct smtp_result *answers)
{
	fill(spied, "commit", kept, answers);
}

static void spy_end(void *spied, const bool *kept)
{
	note(spied, kept == NULL ? "end(-)" : "end", kept);
}

static uint64_t spy_patience(const void *spied, size_t recipient_count)
{
	(void)spied;
	return recipient_count * 1000;
}

#define SPY                                                                              \
	.name = "spy", .open = spy_open, .close = spy_close, .begin = spy_begin,         \
	.chunk = spy_chunk, .prepare = spy_prepare, .commit = spy_commit, .end = spy_end

static const struct delivery_backend store = {SPY};
static const struct delivery_backend runner = {
	SPY, .run = spy_run, .patience_ms = spy_patience};

static const struct delivery_settings sections[] = {
	{.name = "a", .backend = &store, .is_required = true},
	{.name = "b", .backend = &store, .is_required = true},
	{.name = "r", .backend = &runner, .is_required = true},
	{.name = "s", .backend = &runner, .is_required = true},
	{.name = "o", .backend = &store},
	{.name = "p", .backend = &runner},
};

#define SECTIONS (sizeof(sections) / sizeof(sections[0]))

/* Send a message for two the way the engine does.  The codes go into ret. */
static void send_message(struct delivery *d, char ret[16])
{
	const struct smtp_sink *sink = &delivery_sink;
	struct smtp_result r = sink->begin(d, &envelope);
	size_t kept = 0;

	if (r.kind == RESULT_OK) {
		r = sink->chunk(d, "hi", 2);
		if (r.kind != RESULT_OK)
			sink->abort(d);
	}
	if (r.kind != RESULT_OK) {
		(void)snprintf(ret, 16, "%d", r.code);
		return;
	}
	sink->prepare(d, results);
	for (size_t i = 0; i < TWO; i++) {
		keep[i] = results[i].kind == RESULT_OK;
		kept += keep[i];
	}
	if (kept == TWO || (kept > 0 && envelope.client.is_lmtp))
		sink->commit(d, keep, results);
	else
		sink->abort(d);
	(void)snprintf(ret, 16, "%d %d", results[0].code, results[1].code);
}

/* What all of a selection are told, up to a step. */
#define A_BEGUN   "a.begin a.chunk "
#define ARB_BEGUN "a.begin r.begin b.begin a.chunk r.chunk b.chunk "
#define ARB_READY ARB_BEGUN "a.prepare r.prepare b.prepare "
#define RSA_READY                                                                        \
	"r.begin s.begin a.begin r.chunk s.chunk a.chunk r.prepare s.prepare a.prepare "
#define OA_BEGUN "o.begin a.begin o.chunk a.chunk "
#define OA_READY OA_BEGUN "o.prepare a.prepare "
#define PA_READY "p.begin a.begin p.chunk a.chunk p.prepare a.prepare p.run(11) "
#define ARB_GONE "a.end(-) r.end(-) b.end(-) "
#define RSA_GONE "r.end(-) s.end(-) a.end(-) "

struct several_case {
	const char *name;
	bool is_lmtp;
	const char *selection;
	const char *faults;
	const char *codes;
	const char *calls;
	int skipped; /* lines in the log */
};

static const struct several_case smtp_cases[] = {
	{"one", false, "a", "", "250 250", A_BEGUN "a.prepare a.commit(11) a.end(11) ",
		0},
	{"in order", false, "arb", "", "250 250",
		ARB_READY "r.run(11) a.commit(11) r.commit(11) b.commit(11) "
			  "a.end(11) r.end(11) b.end(11) ",
		0},
	{"first begin", false, "arb", "a.begin=452", "452", "a.begin ", 0},
	{"last begin", false, "arb", "b.begin=451", "451",
		"a.begin r.begin b.begin a.end(-) r.end(-) ", 0},
	{"first chunk", false, "arb", "a.chunk=452", "452",
		"a.begin r.begin b.begin a.chunk " ARB_GONE, 0},
	{"last chunk", false, "arb", "b.chunk=452", "452", ARB_BEGUN ARB_GONE, 0},
	{"first prepare", false, "arb", "a.prepare=452", "452 452",
		ARB_BEGUN "a.prepare " ARB_GONE, 0},
	{"last prepare", false, "arb", "b.prepare=451", "451 451", ARB_READY ARB_GONE, 0},
	{"prepare for one", false, "arb", "a.prepare1=451", "250 451",
		ARB_BEGUN "a.prepare " ARB_GONE, 0},
	{"run", false, "arb", "r.run=550", "550 550", ARB_READY "r.run(11) " ARB_GONE, 0},
	{"first of two runs", false, "rsa", "r.run=451", "451 451",
		RSA_READY "r.run(11) " RSA_GONE, 0},
	{"second of two runs", false, "rsa", "s.run0=550", "550 250",
		RSA_READY "r.run(11) s.run(11) " RSA_GONE, 0},
	{"first commit", false, "arb", "a.commit=451", "451 451",
		ARB_READY "r.run(11) a.commit(11) " ARB_GONE, 0},
	{"last commit", false, "arb", "b.commit1=452", "250 452",
		ARB_READY "r.run(11) a.commit(11) r.commit(11) b.commit(11) " ARB_GONE,
		0},
};

static const struct several_case lmtp_cases[] = {
	{"all", true, "arb", "", "250 250",
		ARB_READY "r.run(11) a.commit(11) r.commit(11) b.commit(11) "
			  "a.end(11) r.end(11) b.end(11) ",
		0},
	{"begin", true, "arb", "r.begin=451", "451", "a.begin r.begin a.end(-) ", 0},
	{"chunk", true, "arb", "r.chunk=451", "451",
		"a.begin r.begin b.begin a.chunk r.chunk " ARB_GONE, 0},
	{"prepare for one", true, "arb", "a.prepare1=452", "250 452",
		ARB_READY "r.run(10) a.commit(10) r.commit(10) b.commit(10) "
			  "a.end(10) r.end(10) b.end(10) ",
		0},
	{"prepare for each", true, "arb", "a.prepare1=452 b.prepare0=451", "451 452",
		ARB_READY ARB_GONE, 0},
	{"prepare for all", true, "arb", "a.prepare=452", "452 452",
		ARB_BEGUN "a.prepare " ARB_GONE, 0},
	{"temporary before permanent", true, "arb", "a.prepare0=550 b.prepare0=451",
		"451 250",
		ARB_READY "r.run(01) a.commit(01) r.commit(01) b.commit(01) "
			  "a.end(01) r.end(01) b.end(01) ",
		0},
	{"run for one", true, "rsa", "r.run0=550", "550 250",
		RSA_READY "r.run(11) s.run(01) r.commit(01) s.commit(01) a.commit(01) "
			  "r.end(01) s.end(01) a.end(01) ",
		0},
	{"run for each", true, "rsa", "r.run0=550 s.run1=451", "550 451",
		RSA_READY "r.run(11) s.run(01) " RSA_GONE, 0},
	{"first commit", true, "arb", "a.commit0=451", "451 250",
		ARB_READY "r.run(11) a.commit(11) r.commit(01) b.commit(01) "
			  "a.end(01) r.end(01) b.end(01) ",
		0},
	{"last commit", true, "arb", "b.commit1=451", "250 451",
		ARB_READY "r.run(11) a.commit(11) r.commit(11) b.commit(11) "
			  "a.end(10) r.end(10) b.end(10) ",
		0},
	{"commit for each", true, "arb", "a.commit0=451 r.commit1=452", "451 452",
		ARB_READY "r.run(11) a.commit(11) r.commit(01) " ARB_GONE, 0},
};

static const struct several_case optional_cases[] = {
	{"begin", false, "oa", "o.begin=451", "250 250",
		"o.begin a.begin a.chunk a.prepare a.commit(11) a.end(11) ", 1},
	{"begin, LMTP", true, "oa", "o.begin=451", "250 250",
		"o.begin a.begin a.chunk a.prepare a.commit(11) a.end(11) ", 1},
	{"chunk", false, "oa", "o.chunk=452", "250 250",
		"o.begin a.begin o.chunk o.end(-) a.chunk a.prepare a.commit(11) "
		"a.end(11) ",
		1},
	{"prepare for one", false, "oa", "o.prepare1=452", "250 250",
		OA_BEGUN "o.prepare o.end(-) a.prepare a.commit(11) a.end(11) ", 1},
	{"prepare for one, LMTP", true, "oa", "o.prepare1=452", "250 250",
		OA_READY "o.commit(10) a.commit(11) o.end(10) a.end(11) ", 1},
	{"prepare for all, LMTP", true, "oa", "o.prepare=452", "250 250",
		OA_BEGUN "o.prepare o.end(-) a.prepare a.commit(11) a.end(11) ", 1},
	{"run", false, "pa", "p.run=550", "250 250",
		PA_READY "p.end(-) a.commit(11) a.end(11) ", 1},
	{"run for one, LMTP", true, "pa", "p.run0=550", "250 250",
		PA_READY "p.commit(01) a.commit(11) p.end(01) a.end(11) ", 1},
	{"commit", false, "oa", "o.commit=451", "250 250",
		OA_READY "o.commit(11) o.end(-) a.commit(11) a.end(11) ", 1},
	{"commit for one, LMTP", true, "oa", "o.commit1=451", "250 250",
		OA_READY "o.commit(11) a.commit(11) o.end(10) a.end(11) ", 1},
	{"step by step, LMTP", true, "pa", "p.prepare0=451 p.run1=451", "250 250",
		"p.begin a.begin p.chunk a.chunk p.prepare a.prepare p.run(01) "
		"p.end(-) a.commit(11) a.end(11) ",
		2},
	{"the required one fails", false, "oa", "a.commit=451", "451 451",
		OA_READY "o.commit(11) a.commit(11) o.end(-) a.end(-) ", 0},
	{"the required one fails for one, LMTP", true, "oa", "a.commit0=451", "451 250",
		OA_READY "o.commit(11) a.commit(11) o.end(01) a.end(01) ", 0},
	{"the required one fails first", false, "ao", "a.begin=451", "451", "a.begin ",
		0},
};

static void run_cases(const struct several_case *cases, size_t n)
{
	const struct delivery_env none = {0};

	for (size_t i = 0; i < n; i++) {
		const struct several_case *c = &cases[i];
		size_t selection[SECTIONS], selected = 0, failed;
		struct delivery *d = NULL;
		char codes[16];

		start(SHARED);
		CU_ASSERT_EQUAL_FATAL(
			delivery_open(sections, SECTIONS, &none, &d, &failed), 0);
		for (const char *p = c->selection; *p != '\0'; p++)
			selection[selected++] = (size_t)(strchr(names, *p) - names);
		delivery_select(d, selection, selected);
		set_envelope(TWO, (const char *const[]){"a@x.test", "b@x.test"});
		envelope.client.is_lmtp = c->is_lmtp;
		/* Twice: nothing of a failure may stay. */
		for (int round = 0; round < 2; round++) {
			calls[0] = '\0';
			faults = c->faults;
			send_message(d, codes);
			CHECK_STR(c->name, str_of(codes), str_of(c->codes));
			CHECK_STR(c->name, str_of(calls), str_of(c->calls));
		}
		CHECK(c->name, logged_lines() == 2 * c->skipped);
		delivery_close(d);
		finish_mail();
	}
}

static void by_smtp(void)
{
	run_cases(smtp_cases, sizeof(smtp_cases) / sizeof(smtp_cases[0]));
}

static void by_lmtp(void)
{
	run_cases(lmtp_cases, sizeof(lmtp_cases) / sizeof(lmtp_cases[0]));
}

static void not_required(void)
{
	run_cases(optional_cases, sizeof(optional_cases) / sizeof(optional_cases[0]));
}

static void skipped_line(void)
{
	static const size_t selection[] = {4, 0};
	const struct delivery_env none = {0};
	struct delivery *d = NULL;
	char line[512] = "", codes[16];
	size_t failed;
	FILE *f;

	start(SHARED);
	CU_ASSERT_EQUAL_FATAL(delivery_open(sections, SECTIONS, &none, &d, &failed), 0);
	delivery_select(d, selection, 2);
	set_envelope(TWO, (const char *const[]){"a@x.test", "b@x.test"});
	faults = "o.prepare1=452";
	calls[0] = '\0';
	send_message(d, codes);
	f = fopen(at("log"), "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), f));
	(void)fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "level=warn"));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "delivery.skipped delivery=o step=prepare "
					    "code=452 reply=\"4.9.9 no\""));
	delivery_close(d);
	finish_mail();
}

/* Only commands take time, and only those that are still asked. */
static void patience(void)
{
	static const size_t selection[] = {2, 0, 5};
	const struct smtp_sink *sink = &delivery_sink;
	const struct delivery_env none = {0};
	struct delivery *d = NULL;
	size_t failed;

	start(SHARED);
	CU_ASSERT_EQUAL_FATAL(delivery_open(sections, SECTIONS, &none, &d, &failed), 0);
	set_envelope(TWO, (const char *const[]){"a@x.test", "b@x.test"});
	faults = "";
	calls[0] = '\0';
	CU_ASSERT_EQUAL(sink->begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(delivery_patience_ms(d), 0);
	sink->abort(d);
	delivery_select(d, selection, 3);
	CU_ASSERT_EQUAL(sink->begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(delivery_patience_ms(d), 4000);
	sink->abort(d);
	faults = "p.begin=451";
	CU_ASSERT_EQUAL(sink->begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(delivery_patience_ms(d), 2000);
	sink->abort(d);
	CU_ASSERT_EQUAL(delivery_patience_ms(d), 0);
	delivery_close(d);
	finish_mail();
}

/* Few, many, few: room for all of them each time. */
static void many_recipients(void)
{
	static const size_t counts[] = {1, 17, 100000, 3};
	static struct recipient recipients[100000];
	static struct smtp_result many[100000];
	static bool kept[100000];
	const struct delivery_settings discards[] = {
		{.name = "x", .backend = &delivery_discard, .is_required = true},
		{.name = "y", .backend = &delivery_discard, .is_required = true}};
	static const size_t both[] = {0, 1};
	const struct smtp_sink *sink = &delivery_sink;
	const struct delivery_env none = {0};
	struct delivery *d = NULL;
	size_t failed;

	CU_ASSERT_EQUAL_FATAL(delivery_open(discards, 2, &none, &d, &failed), 0);
	delivery_select(d, both, 2);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t n = counts[i], ok = 0;

		envelope =
			(struct envelope){.recipients = recipients, .recipient_count = n};
		memset(many, 0, sizeof(many));
		memset(kept, true, sizeof(kept));
		CU_ASSERT_EQUAL(sink->begin(d, &envelope).kind, RESULT_OK);
		sink->prepare(d, many);
		sink->commit(d, kept, many);
		while (ok < 100000 && many[ok].code == 250)
			ok++;
		CU_ASSERT_EQUAL(ok, n);
	}
	delivery_close(d);
}

void suite_delivery_several(void)
{
	CU_pSuite s = CU_add_suite("delivery in several sections", NULL, NULL);

	CU_add_test(s, "by SMTP", by_smtp);
	CU_add_test(s, "by LMTP", by_lmtp);
	CU_add_test(s, "not required", not_required);
	CU_add_test(s, "line in the log", skipped_line);
	CU_add_test(s, "patience", patience);
	CU_add_test(s, "many recipients", many_recipients);
}
