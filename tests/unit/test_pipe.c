/* delivery/pipe: what the spawner is asked, and what is made of its answers.  The text is
 * in test_pipe_text.c, failures are in test_pipe_faults.c. */
#include "unit.h"

#include "pipe_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OK                                                                               \
	{                                                                                \
		DEED_ANSWER,                                                             \
		{                                                                        \
			250, "2.0.0", "Ok"                                               \
		}                                                                        \
	}
#define SAY(code, enhanced, text)                                                        \
	{                                                                                \
		DEED_ANSWER,                                                             \
		{                                                                        \
			(code), (enhanced), (text)                                       \
		}                                                                        \
	}

static const char *const three[] = {"a@x.test", "b+c@y.test", "a@x.test"};

static void one_message(void)
{
	struct bench b;
	const struct question *q;

	bench_start(&b);
	b.envelope.envid = STR("envid");
	b.envelope.client.user = STR("ann");
	b.envelope.client.tls.version = STR("TLSv1.3");
	b.envelope.client.tls.cipher = STR("AES");
	b.envelope.client.tls.subject = STR("CN=joe");
	CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
	CU_ASSERT_EQUAL(b.notes->count, 1);
	q = &b.notes->questions[0];
	CU_ASSERT_EQUAL(q->error, 0);
	CU_ASSERT_EQUAL(q->section, 2);
	CU_ASSERT_EQUAL(q->port, 4711);
	CU_ASSERT_TRUE(q->has_size);
	CHECK_STR("recipients", str_of(q->recipients), STR("joe+x@example.test "));
	CHECK_STR("texts", str_of(q->texts),
		STR("from@example.test|192.0.2.7|client.example.test|ann|mx|"
		    "00064b1e2f3a5c-00126f-9a3b|envid|ESMTPSA|TLSv1.3|AES|CN=joe|joe+x|"
		    "example.test"));
	CU_ASSERT_EQUAL(q->fd_count, SPAWN_FDS);
	CU_ASSERT_TRUE(S_ISREG(q->mode));
	CU_ASSERT_FALSE(q->has_name);
	CU_ASSERT_TRUE(q->is_writable);
	CU_ASSERT_TRUE(q->is_in_memory);
	CHECK_STR("text", str_of(q->message), STR(PIPE_TEXT_LF));
	CU_ASSERT_EQUAL(bench_logged(&b, ""), 0);
	bench_finish(&b);
}

/* Nobody is asked before the end of the message, and after it nobody if it has failed
 * elsewhere. */
static void not_asked(void)
{
	struct bench b;

	bench_start(&b);
	bench_start_spawner(&b, NULL, 0);
	bench_open(&b);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	bench_end(&b);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR(PIPE_TEXT), 3), 250);
	bench_end(&b);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_write(&b, STR(PIPE_TEXT), 3), 250);
	CU_ASSERT_EQUAL(bench_prepare(&b), 250);
	bench_end(&b);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_prepare(&b), 250);
	b.keep[0] = false;
	(void)bench_run(&b);
	bench_end(&b);
	bench_stop_spawner(&b);
	CU_ASSERT_EQUAL(b.notes->count, 0);
	bench_finish(&b);
}

static void verdicts(void)
{
	static const struct {
		const char *name;
		struct plan plan;
		enum result_kind kind;
	} cases[] = {
		{"success", OK, RESULT_OK},
		{"temporary", SAY(450, "4.2.0", "Busy"), RESULT_TEMPORARY},
		{"close", SAY(421, "4.3.2", "Bye"), RESULT_TEMPORARY},
		{"permanent", SAY(550, "5.1.1", "User unknown"), RESULT_PERMANENT},
		{"no text", SAY(599, "5.999.999", ""), RESULT_PERMANENT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct spawn_answer *a = &cases[i].plan.answer;
		struct bench b;

		bench_start(&b);
		CHECK(cases[i].name, bench_pass(&b, &cases[i].plan, 1) == a->code);
		CHECK(cases[i].name, b.results[0].kind == cases[i].kind);
		CHECK_STR(cases[i].name, str_of(b.results[0].enhanced),
			str_of(a->enhanced));
		CHECK_STR(cases[i].name, str_of(b.results[0].text), str_of(a->text));
		/* The spawner has told what the command said. */
		CHECK(cases[i].name, bench_logged(&b, "") == 0);
		bench_finish(&b);
	}
}

/* One run for those who are kept. */
static void one_run_for_all(void)
{
	static const struct plan plan[] = {OK, SAY(452, "4.2.2", "Full")};
	struct bench b;
	const struct question *q;

	bench_start(&b);
	bench_set_recipients(&b, 3, three);
	bench_start_spawner(&b, plan, 2);
	bench_open(&b);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 250);
	b.envelope.client.is_lmtp = true;
	b.keep[1] = false;
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_prepare(&b), 250);
	CU_ASSERT_EQUAL(bench_run(&b), 452);
	CU_ASSERT_EQUAL(b.results[1].code, 250);
	bench_end(&b);
	bench_stop_spawner(&b);
	CU_ASSERT_EQUAL(b.notes->count, 2);
	q = b.notes->questions;
	CU_ASSERT_EQUAL(q[0].recipient_count, 3);
	CHECK_STR("all", str_of(q[0].recipients), STR("a@x.test b+c@y.test a@x.test "));
	CHECK("none of one alone", strcmp(strchr(q[0].texts, 0) - 5, "|||||") == 0);
	CHECK_STR("kept", str_of(q[1].recipients), STR("a@x.test a@x.test "));
	bench_finish(&b);
}

/* A run for each; after a failure no more, with SMTP. */
static void runs_for_each(void)
{
	static const struct plan plan[] = {
		OK, SAY(550, "5.1.1", "Nobody"), SAY(451, "4.3.0", "Later")};
	static const struct {
		const char *name;
		bool is_lmtp;
		bool keep[3];
		int codes[3]; /* 250 also for those who are not asked for */
		size_t runs;
	} cases[] = {
		{"smtp", false, {true, true, true}, {250, 550, 550}, 2},
		{"lmtp", true, {true, true, true}, {250, 550, 451}, 3},
		{"lmtp, the first", true, {true, false, false}, {250, 250, 250}, 1},
		{"lmtp, without the first", true, {false, true, true}, {250, 250, 550},
			2},
		{"lmtp, none", true, {false, false, false}, {250, 250, 250}, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		struct bench b;

		bench_start(&b);
		bench_set_recipients(&b, 3, three);
		b.settings.pipe.is_per_recipient = true;
		b.envelope.client.is_lmtp = cases[i].is_lmtp;
		bench_start_spawner(&b, plan, 3);
		bench_open(&b);
		CHECK(name, bench_begin(&b) == 250);
		CHECK(name, bench_write(&b, STR(PIPE_TEXT), 5) == 250);
		CHECK(name, bench_prepare(&b) == 250);
		memcpy(b.keep, cases[i].keep, sizeof(cases[i].keep));
		(void)bench_run(&b);
		for (size_t k = 0; k < 3; k++)
			CHECK(name, b.results[k].code == cases[i].codes[k]);
		bench_end(&b);
		/* Texts live on. */
		for (size_t k = 0; k < 3; k++)
			CHECK(name, b.results[k].code != 550 ||
					    strcmp(b.results[k].text, "Nobody") == 0);
		bench_stop_spawner(&b);
		CHECK(name, b.notes->count == cases[i].runs);
		for (size_t k = 0; k < b.notes->count; k++) {
			CHECK(name, b.notes->questions[k].recipient_count == 1);
			CHECK_STR(name, str_of(b.notes->questions[k].message),
				STR(PIPE_TEXT_LF));
		}
		bench_finish(&b);
	}
}

static void one_recipient_at_a_time(void)
{
	static const char *const expected[] = {"|a|x.test", "|b+c|y.test", "|a|x.test"};
	struct bench b;

	bench_start(&b);
	bench_set_recipients(&b, 3, three);
	b.settings.pipe.is_per_recipient = true;
	CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
	CU_ASSERT_EQUAL(b.notes->count, 3);
	for (size_t i = 0; i < 3; i++)
		CHECK(expected[i],
			strstr(b.notes->questions[i].texts, expected[i]) != NULL);
	bench_finish(&b);
}

/* <postmaster> is at the server's name. */
static void without_domain(void)
{
	static const char *const addresses[] = {"postmaster", "a@x.test"};

	for (size_t n = 1; n <= 2; n++) {
		struct bench b;

		bench_start(&b);
		bench_set_recipients(&b, n, addresses);
		CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 250);
		CHECK_STR("mailbox", str_of(b.notes->questions[0].recipients),
			n == 1 ? STR("postmaster@mx.example.test ")
			       : STR("postmaster@mx.example.test a@x.test "));
		CHECK("parts", n == 2 || strstr(b.notes->questions[0].texts,
						 "|postmaster|mx.example.test") != NULL);
		bench_finish(&b);
	}
}

/* ------------------------------------------------------------------ the section */

static void reach(void)
{
	static const struct {
		const char *name;
		bool is_per_recipient;
		enum header_field header;
		enum delivery_reach reach;
	} cases[] = {
		{"for all", false, HEADER_DELIVERED_TO, DELIVERY_REACH_SPOOL},
		{"for each", true, HEADER_RECEIVED, DELIVERY_REACH_SPOOL},
		{"for each, with all of them", true, HEADER_ENVELOPE,
			DELIVERY_REACH_SPOOL},
		{"for each, with a header of its own", true, HEADER_DELIVERED_TO,
			DELIVERY_REACH_STORE_READ},
		{"for each, as it was sent", true, HEADER_ORIGINAL_TO,
			DELIVERY_REACH_STORE_READ},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct delivery_root root;
		struct stat a, c;
		struct bench b;

		bench_start(&b);
		b.settings.pipe.is_per_recipient = cases[i].is_per_recipient;
		b.settings.headers[0] = cases[i].header;
		bench_open(&b);
		delivery_pipe.root(b.state, &root);
		CHECK(cases[i].name, root.reach == cases[i].reach);
		CHECK(cases[i].name, fstat(root.fd, &a) == 0);
		CHECK(cases[i].name, stat(b.spool_dir, &c) == 0);
		CHECK(cases[i].name, a.st_ino == c.st_ino && a.st_dev == c.st_dev);
		bench_finish(&b);
	}
}

static void patience(void)
{
	struct bench b;

	bench_start(&b);
	bench_open(&b);
	CU_ASSERT_EQUAL(delivery_pipe.patience_ms(b.state, 1), 30000);
	CU_ASSERT_EQUAL(delivery_pipe.patience_ms(b.state, 100), 30000);
	b.settings.pipe.is_per_recipient = true;
	CU_ASSERT_EQUAL(delivery_pipe.patience_ms(b.state, 100), 3000000);
	bench_finish(&b);
}

void suite_pipe(void)
{
	CU_pSuite s = CU_add_suite("pipe", NULL, NULL);

	CU_add_test(s, "one message", one_message);
	CU_add_test(s, "not asked", not_asked);
	CU_add_test(s, "verdicts", verdicts);
	CU_add_test(s, "one run for all", one_run_for_all);
	CU_add_test(s, "runs for each", runs_for_each);
	CU_add_test(s, "one recipient at a time", one_recipient_at_a_time);
	CU_add_test(s, "without a domain", without_domain);
	CU_add_test(s, "reach", reach);
	CU_add_test(s, "patience", patience);
	add_pipe_text(s);
	add_pipe_faults(s);
}
