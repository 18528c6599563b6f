/* delivery/maildir: what is on disk when a message stays for some, or for nobody: by
 * LMTP, and beside another section. */
#include "unit.h"

#include "maildir_fixture.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const three[] = {"a@x.test", "b@x.test", "c@x.test"};
static const char *const mailboxes[] = {"x.test/a", "x.test/b", "x.test/c"};

static void set_three(bool is_lmtp)
{
	set_envelope(3, three);
	envelope.client.is_lmtp = is_lmtp;
}

/* What is published can be taken back until the end. */
static void withdrawn(void)
{
	start(SHARED);
	open_section();
	set_recipient("a@x.test");
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), SIZE_MAX), 250);
	CU_ASSERT_EQUAL(prepare(), 250);
	CU_ASSERT_EQUAL(commit(), 250);
	check_counts("published", SHARED, 0, 1);
	end(false);
	check_counts("withdrawn", SHARED, 0, 0);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("the next one", SHARED, 0, 1);
	CU_ASSERT_EQUAL(logged_lines(), 0);
	finish_mail();
}

static void withdrawn_from_some(void)
{
	start(EACH);
	open_section();
	set_three(true);
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), SIZE_MAX), 250);
	CU_ASSERT_EQUAL(prepare(), 250);
	keep[1] = false;
	CU_ASSERT_EQUAL(commit(), 250);
	CU_ASSERT_EQUAL(results[1].code, 0);
	check_counts("a, published", "x.test/a", 0, 1);
	check_counts("b, not asked for", "x.test/b", 1, 0);
	keep[0] = false;
	end(true);
	check_counts("a, withdrawn", "x.test/a", 0, 0);
	check_counts("b, not kept", "x.test/b", 0, 0);
	check_counts("c, kept", "x.test/c", 0, 1);
	CU_ASSERT_EQUAL(logged_lines(), 0);
	finish_mail();
}

/* A file for all stays as long as it is good for one. */
static void shared_by_some(void)
{
	start(SHARED);
	open_section();
	set_three(true);
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), SIZE_MAX), 250);
	CU_ASSERT_EQUAL(prepare(), 250);
	CU_ASSERT_EQUAL(commit(), 250);
	keep[0] = keep[2] = false;
	end(true);
	check_counts("for b", SHARED, 0, 1);
	finish_mail();
}

/* Goes all the way, and keeps what was stored. */
static void deliver_for_some(const char *name)
{
	CHECK(name, write_message(STR(MESSAGE), 5) == 250);
	(void)prepare();
	for (size_t i = 0; i < 3; i++)
		keep[i] = results[i].kind == RESULT_OK;
	backend->commit(state, keep, results);
	for (size_t i = 0; i < 3; i++)
		keep[i] = results[i].kind == RESULT_OK;
	end(true);
}

static void check_some(const char *name, size_t broken)
{
	for (size_t i = 0; i < 3; i++) {
		CHECK(name, results[i].code == (i == broken ? 451 : 250));
		if (i != broken)
			check_counts(name, mailboxes[i], 0, 1);
	}
	CHECK(name, logged_lines() == 1);
}

/* One mailbox of three is broken, be it the one that would take the text. */
static void broken_mailbox(void)
{
	static const char *const headers[] = {"linked", "copied"};

	for (size_t k = 0; k < 2; k++)
		for (size_t broken = 0; broken < 3; broken++) {
			char file[128];

			start(EACH);
			if (k == 1)
				settings.headers[0] = HEADER_DELIVERED_TO;
			open_section();
			CHECK(headers[k], mkdir(at("x.test"), 0700) == 0);
			make_file(mailboxes[broken]);
			set_three(true);
			deliver_for_some(headers[k]);
			check_some(headers[k], broken);
			for (size_t i = 0; k == 1 && i < 3; i++) {
				char text[64];

				(void)snprintf(text, sizeof(text),
					"Delivered-To: %s\n" MESSAGE_LF, three[i]);
				(void)snprintf(file, sizeof(file),
					"%s/new/" BASE ",S=%zu", mailboxes[i],
					strlen(text));
				if (i != broken)
					check_file(headers[k], file, str_of(text));
			}
			/* By SMTP it is nobody's. */
			set_three(false);
			envelope.stamp.unix_seconds++;
			CHECK(headers[k], deliver_short() == 451);
			for (size_t i = 0; i < 3; i++)
				if (i != broken)
					check_counts(headers[k], mailboxes[i], 0, 1);
			finish_mail();
		}
}

static void broken_at_commit(void)
{
	for (size_t broken = 0; broken < 3; broken++) {
		const char *name = mailboxes[broken];
		char path[64];

		start(EACH);
		open_section();
		set_three(true);
		CHECK(name, write_message(STR(MESSAGE), 5) == 250);
		CHECK(name, prepare() == 250);
		(void)snprintf(path, sizeof(path), "%s/new", name);
		remove_tree(at(path));
		make_file(path);
		CHECK(name, commit() == -1);
		for (size_t i = 0; i < 3; i++)
			keep[i] = results[i].kind == RESULT_OK;
		end(true);
		check_some(name, broken);
		(void)snprintf(path, sizeof(path), "%s/tmp", name);
		CHECK(name, count(path) == 0);
		finish_mail();
	}
}

static void all_broken(void)
{
	start(EACH);
	open_section();
	make_file("x.test");
	set_three(true);
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 5), 451);
	CU_ASSERT_EQUAL(logged_lines(), 3);
	CU_ASSERT_EQUAL(unlink(at("x.test")), 0);
	deliver_for_some("put right");
	CU_ASSERT_EQUAL(results[0].code, 250);
	check_counts("put right", "x.test/c", 0, 1);
	finish_mail();
}

/* ------------------------------------------------------------------ two sections */

/* The second section, in the same directory. */
static struct delivery_settings pair[2];
static char second_path[128];

static struct delivery *open_pair(const char *first, const char *second)
{
	static const size_t both[] = {0, 1};
	static const struct delivery_env none;
	struct delivery *d = NULL;
	size_t failed;

	start(first);
	settings.is_required = true;
	(void)snprintf(second_path, sizeof(second_path), "%s", at(second));
	pair[0] = pair[1] = settings;
	pair[1].name = "archive";
	pair[1].path = second_path;
	CU_ASSERT_EQUAL_FATAL(delivery_open(pair, 2, &none, &d, &failed), 0);
	delivery_select(d, both, 2);
	return d;
}

/* The way of the engine. */
static void send_message(struct delivery *d, bool is_lmtp)
{
	const struct smtp_sink *sink = &delivery_sink;
	size_t kept = 0;

	set_three(is_lmtp);
	CU_ASSERT_EQUAL_FATAL(sink->begin(d, &envelope).kind, RESULT_OK);
	CU_ASSERT_EQUAL(sink->chunk(d, MESSAGE, strlen(MESSAGE)).kind, RESULT_OK);
	sink->prepare(d, results);
	for (size_t i = 0; i < 3; i++) {
		keep[i] = results[i].kind == RESULT_OK;
		kept += keep[i];
	}
	if (kept == 3 || (is_lmtp && kept > 0))
		sink->commit(d, keep, results);
	else
		sink->abort(d);
}

static void two_sections(void)
{
	struct delivery *d = open_pair(SHARED, EACH);

	send_message(d, false);
	check_counts("first", SHARED, 0, 1);
	for (size_t i = 0; i < 3; i++) {
		CHECK(three[i], results[i].code == 250);
		check_counts("second", mailboxes[i], 0, 1);
	}
	delivery_close(d);
	finish_mail();
}

/* What the second cannot publish the first takes back: for all, or with LMTP for the
 * one whose message it is. */
static void second_fails(void)
{
	for (int is_lmtp = 0; is_lmtp < 2; is_lmtp++) {
		const char *name = is_lmtp ? "LMTP" : "SMTP";
		struct delivery *d = open_pair(EACH, "archive-%{recipient.local}");
		struct stat st;

		/* In the way of the rename, once the message has its name. */
		set_three(is_lmtp);
		CHECK(name, mkdir(at("archive-b"), 0700) == 0);
		CHECK(name, mkdir(at("archive-b/tmp"), 0700) == 0);
		CHECK(name, mkdir(at("archive-b/new"), 0700) == 0);
		make_file("archive-b/new/" BASE ",S=17");
		send_message(d, is_lmtp);
		for (size_t i = 0; i < 3; i++) {
			bool is_kept = is_lmtp && i != 1;
			char path[16];

			CHECK(name, results[i].code == (is_kept ? 250 : 451));
			check_counts(name, mailboxes[i], 0, is_kept);
			(void)snprintf(path, sizeof(path), "archive-%c", three[i][0]);
			check_counts(name, path, 0, is_kept || i == 1);
		}
		/* It is not ours. */
		CHECK(name, stat(at("archive-b/new/" BASE ",S=17"), &st) == 0 &&
				    st.st_size == 0);
		CHECK(name, logged_lines() == 1);
		delivery_close(d);
		finish_mail();
	}
}

/* The same failure of a section that is not required costs its copies alone. */
static void second_is_not_required(void)
{
	for (int is_lmtp = 0; is_lmtp < 2; is_lmtp++) {
		const char *name = is_lmtp ? "LMTP" : "SMTP";
		struct delivery *d = open_pair(EACH, "archive-%{recipient.local}");

		pair[1].is_required = false;
		CHECK(name, mkdir(at("archive-b"), 0700) == 0);
		CHECK(name, mkdir(at("archive-b/tmp"), 0700) == 0);
		CHECK(name, mkdir(at("archive-b/new"), 0700) == 0);
		make_file("archive-b/new/" BASE ",S=17");
		send_message(d, is_lmtp);
		for (size_t i = 0; i < 3; i++) {
			char path[16];

			CHECK(name, results[i].code == 250);
			check_counts(name, mailboxes[i], 0, 1);
			(void)snprintf(path, sizeof(path), "archive-%c", three[i][0]);
			check_counts(name, path, 0, i == 1 || is_lmtp);
		}
		/* What is wrong, and that it goes on. */
		CHECK(name, logged_lines() == 2);
		delivery_close(d);
		finish_mail();
	}
}

void add_maildir_keep(CU_pSuite s)
{
	CU_add_test(s, "withdrawn", withdrawn);
	CU_add_test(s, "withdrawn from some", withdrawn_from_some);
	CU_add_test(s, "shared by some", shared_by_some);
	CU_add_test(s, "broken mailbox", broken_mailbox);
	CU_add_test(s, "broken at commit", broken_at_commit);
	CU_add_test(s, "all broken", all_broken);
	CU_add_test(s, "two sections", two_sections);
	CU_add_test(s, "second section fails", second_fails);
	CU_add_test(s, "second section is not required", second_is_not_required);
}
