/* delivery/maildir: what is on disk after a message that was accepted. */
#include "unit.h"

#include "maildir_fixture.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

static void one_recipient(void)
{
	struct stat st;

	start(SHARED);
	settings.headers[0] = HEADER_RETURN_PATH;
	settings.headers[1] = HEADER_DELIVERED_TO;
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("one", SHARED, 0, 1);
	CU_ASSERT_EQUAL(count(SHARED "/cur"), 0);
	check_file("one", SHARED "/new/" BASE ",S=79",
		STR("Return-Path: <from@example.test>\n"
		    "Delivered-To: a@example.test\n" MESSAGE_LF));
	CU_ASSERT_EQUAL(lstat(at(SHARED "/new/" BASE ",S=79"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFREG | 0600);
	CU_ASSERT_EQUAL(st.st_nlink, 1);
	CU_ASSERT_EQUAL(lstat(at(SHARED "/tmp"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFDIR | 0700);
	CU_ASSERT_EQUAL(logged_lines(), 0);
	finish_mail();
}

static void header_fields(void)
{
	static const char *const addresses[] = {
		"a@x.test", "Postmaster", "b\n\x7f@y.test"};
	struct buf received;
	char path[PATH_MAX];

	buf_init(&received, 4096);
	start(SHARED);
	settings.headers[0] = HEADER_RECEIVED;
	settings.headers[1] = HEADER_DELIVERED_TO;
	settings.headers[2] = HEADER_RETURN_PATH;
	settings.line_ending = LINE_ENDING_CRLF;
	open_section();
	set_envelope(3, addresses);
	envelope.sender.mailbox = (struct str){NULL, 0};
	CU_ASSERT_EQUAL(deliver_short(), 250);
	envelope_add_received(&envelope, "\r\n", &received);
	(void)buf_add_text(&received, "Delivered-To: a@x.test\r\n"
				      "Delivered-To: Postmaster@mx.example.test\r\n"
				      "Delivered-To: b??@y.test\r\n"
				      "Return-Path: <>\r\n" MESSAGE);
	(void)snprintf(path, sizeof(path), SHARED "/new/" BASE ",S=%zu", received.len);
	check_file("headers", path, buf_str(&received));
	buf_done(&received);
	finish_mail();
}

/* Behind what hooks put in front, text that begins with a blank is no part of it; and
 * mailboxes still share a file. */
static void put_in_front(void)
{
	static const char *const two[] = {"a@x.test", "b@x.test"};
	struct stat st;

	start(EACH);
	open_section();
	set_envelope(2, two);
	envelope.prepended = STR("X-Spam: no\n");
	CU_ASSERT_EQUAL(deliver(STR("\tx\r\n"), SIZE_MAX), 250);
	check_file("a", "x.test/a/new/" BASE ",S=15", STR("X-Spam: no\n\n\tx\n"));
	check_file("b", "x.test/b/new/" BASE ",S=15", STR("X-Spam: no\n\n\tx\n"));
	CU_ASSERT_EQUAL(stat(at("x.test/a/new/" BASE ",S=15"), &st), 0);
	CU_ASSERT_EQUAL(st.st_nlink, 2);
	finish_mail();
}

/* What CR LF becomes, by the simplest means. */
static size_t as_lf(struct str in, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++)
		if (in.p[i] != '\r' || i + 1 == in.n || in.p[i + 1] != '\n')
			out[n++] = in.p[i];
	return n;
}

static void check_text(const char *name, struct str text, size_t chunk_size)
{
	char *lf = malloc(text.n + 1);

	if (lf == NULL) {
		CU_FAIL("out of memory");
		return;
	}
	for (int k = 0; k < 2; k++) {
		struct str expected = text;
		char path[PATH_MAX];

		settings.line_ending = k == 0 ? LINE_ENDING_LF : LINE_ENDING_CRLF;
		if (k == 0)
			expected = (struct str){lf, as_lf(text, lf)};
		(void)snprintf(
			path, sizeof(path), SHARED "/new/" BASE ",S=%zu", expected.n);
		CHECK(name, deliver(text, chunk_size) == 250);
		check_file(name, path, expected);
		CHECK(name, unlink(at(path)) == 0);
	}
	free(lf);
}

static void line_endings(void)
{
	static const char text[] = "a\r\n\r\nb\r\r\n\rc\n\nd\r\n\n\r\r";
	static char big[300000];
	unsigned random = 1;

	start(SHARED);
	settings.has_sync = false;
	open_section();
	set_recipient("a@example.test");
	for (size_t n = 0; n < sizeof(text); n++)
		for (size_t chunk = 1; chunk <= n + 1; chunk++)
			check_text("short", (struct str){text, n}, chunk);
	/* Over the edges of the buffer, with line ends anywhere. */
	for (size_t i = 0; i < sizeof(big); i++) {
		random = random * 1103515245 + 12345;
		big[i] = "abcdef\r\n\r\n\r"[(random >> 16) % 11];
	}
	check_text("long", (struct str){big, sizeof(big)}, 1000);
	check_text("long", (struct str){big, sizeof(big)}, 65536);
	check_text("long", (struct str){big, sizeof(big)}, 65537);
	check_text("long", (struct str){big, sizeof(big)}, SIZE_MAX);
	memset(big, 'x', sizeof(big));
	check_text("one line", (struct str){big, sizeof(big)}, SIZE_MAX);
	finish_mail();
}

/* Text that begins with a blank would belong to our last header field. */
static void text_that_begins_with_a_blank(void)
{
	static const struct {
		const char *name, *text, *stored;
		enum header_field header;
		enum body_type body;
	} cases[] = {
		{"space", " x\r\n", "Return-Path: <from@example.test>\n\n x\n",
			HEADER_RETURN_PATH, 0},
		{"tab", "\tx\r\n", "Return-Path: <from@example.test>\n\n\tx\n",
			HEADER_RETURN_PATH, 0},
		{"later", "x\r\n y\r\n", "Return-Path: <from@example.test>\nx\n y\n",
			HEADER_RETURN_PATH, 0},
		{"no headers of ours", " x\r\n", " x\n", 0, 0},
		{"binary", " x\n", "Return-Path: <from@example.test>\r\n\r\n x\n",
			HEADER_RETURN_PATH, BODY_BINARYMIME},
		{"binary, no headers of ours", "\tx", "\tx", 0, BODY_BINARYMIME},
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(SHARED);
		memset(settings.headers, 0, sizeof(settings.headers));
		settings.headers[0] = cases[i].header;
		open_section();
		set_recipient("a@example.test");
		envelope.body = cases[i].body;
		CHECK(cases[i].name, deliver(str_of(cases[i].text), 1) == 250);
		(void)snprintf(path, sizeof(path), SHARED "/new/" BASE ",S=%zu",
			strlen(cases[i].stored));
		check_file(cases[i].name, path, str_of(cases[i].stored));
		finish_mail();
	}
}

/* A body that is all bytes, of which none is a line end. */
static void binary(void)
{
	static const char *const addresses[] = {"a@x.test", "b@x.test"};
	static const char ends[][4] = {"\n", "\r", "\r\n", "x", ".\r\n", "\r\n."};
	static char text[70000], expected[sizeof(text) + 100];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 / 3);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t n = strlen(ends[i]), length = 0;

		memcpy(text + sizeof(text) - n, ends[i], n);
		for (size_t k = 0; k < 2; k++) {
			char path[PATH_MAX];

			start(EACH);
			settings.has_sync = false;
			settings.headers[0] = HEADER_DELIVERED_TO;
			open_section();
			set_envelope(2, addresses);
			envelope.body = BODY_BINARYMIME;
			CHECK(ends[i], deliver((struct str){text, sizeof(text)},
					       k == 0 ? 1 : SIZE_MAX) == 250);
			for (size_t to = 0; to < 2; to++) {
				length = (size_t)snprintf(expected, sizeof(expected),
					"Delivered-To: %s\r\n", addresses[to]);
				memcpy(expected + length, text, sizeof(text));
				length += sizeof(text);
				(void)snprintf(path, sizeof(path),
					"x.test/%c/new/" BASE ",S=%zu", addresses[to][0],
					length);
				check_file(ends[i], path, (struct str){expected, length});
			}
			/* It is not remembered for the next one. */
			envelope.body = BODY_8BITMIME;
			CHECK(ends[i], deliver_short() == 250);
			check_file("after it", "x.test/a/new/" BASE ",S=40",
				STR("Delivered-To: a@x.test\n" MESSAGE_LF));
			finish_mail();
		}
	}
}

static void file_mode(void)
{
	mode_t old = umask(0077);
	struct stat st;

	start(SHARED);
	settings.file_mode = 0644;
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(lstat(at(SHARED "/new/" BASE ",S=17"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0644);
	finish_mail();
	(void)umask(old);
}

/* The host is written so that it cannot upset who reads the name, and cut. */
static void file_names(void)
{
	static char host[400] = "a/b:c";
	DIR *d;

	start(SHARED);
	settings.hostname = host;
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(
		access(at(SHARED "/new/1700000000." ID ".a\\057b\\072c,S=17"), F_OK), 0);
	backend->close(state);
	memset(host, ':', sizeof(host) - 1);
	open_section();
	envelope.stamp.unix_seconds = UINT64_MAX;
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("long host", SHARED, 0, 2);
	d = opendir(at(SHARED "/new"));
	for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		CU_ASSERT_PTR_NULL(strchr(e->d_name, ':'));
	if (d != NULL)
		(void)closedir(d);
	finish_mail();
}

static void mailbox_each(void)
{
	static const char *const addresses[] = {"b@y.test", "a@x.test", "b@Y.test"};
	struct stat st;

	start(EACH);
	settings.headers[0] = HEADER_DELIVERED_TO;
	open_section();
	set_envelope(3, addresses);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("a", "x.test/a", 0, 1);
	check_counts("b", "y.test/b", 0, 1);
	check_file("a", "x.test/a/new/" BASE ",S=40",
		STR("Delivered-To: a@x.test\n" MESSAGE_LF));
	check_file("b", "y.test/b/new/" BASE ",S=63",
		STR("Delivered-To: b@y.test\nDelivered-To: b@Y.test\n" MESSAGE_LF));
	CU_ASSERT_EQUAL(lstat(at("x.test/a/new/" BASE ",S=40"), &st), 0);
	CU_ASSERT_EQUAL(st.st_mode, S_IFREG | 0600);
	finish_mail();
}

/* Without headers that differ one file serves all. */
static void mailbox_each_linked(void)
{
	static const char *const addresses[] = {"b@y.test", "a@x.test", "c@x.test"};
	struct stat a, b;

	start(EACH);
	settings.headers[0] = HEADER_RETURN_PATH;
	open_section();
	set_envelope(3, addresses);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("a", "x.test/a", 0, 1);
	check_counts("b", "y.test/b", 0, 1);
	check_counts("c", "x.test/c", 0, 1);
	CU_ASSERT_EQUAL(lstat(at("x.test/a/new/" BASE ",S=50"), &a), 0);
	CU_ASSERT_EQUAL(lstat(at("y.test/b/new/" BASE ",S=50"), &b), 0);
	CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	CU_ASSERT_EQUAL(a.st_nlink, 3);
	finish_mail();
}

/* Who else has got it is in each copy, and whom it was for as that was sent. */
static void mailbox_each_with_envelope(void)
{
	static const char *const addresses[] = {"a@x.test", "Postmaster"};
	static const struct {
		const char *mailbox, *original;
	} copies[] = {
		{"x.test/a", "X-Original-To: a@x.test\n"},
		{"mx.example.test/Postmaster", "X-Original-To: Postmaster\n"},
	};
	char path[PATH_MAX], expected[1000];

	start(EACH);
	settings.headers[0] = HEADER_ORIGINAL_TO;
	settings.headers[1] = HEADER_ENVELOPE;
	open_section();
	set_envelope(2, addresses);
	envelope.argument = STR("FROM:<from@example.test>");
	envelope.recipients[0].argument = STR("TO:<a@x.test>");
	envelope.recipients[1].argument = STR("TO:<Postmaster> NOTIFY=NEVER");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	for (size_t i = 0; i < 2; i++) {
		int n = snprintf(expected, sizeof(expected),
			"%sX-Sinkd-Envelope: client=192.0.2.7\n"
			"X-Sinkd-Envelope: port=4711\n"
			"X-Sinkd-Envelope: helo=client.example.test\n"
			"X-Sinkd-Envelope: protocol=SMTP\n"
			"X-Sinkd-Envelope: id=" ID "\n"
			"X-Sinkd-Envelope: mail=FROM:<from@example.test>\n"
			"X-Sinkd-Envelope: rcpt=TO:<a@x.test>\n"
			"X-Sinkd-Envelope: rcpt=TO:<Postmaster> "
			"NOTIFY=NEVER\n" MESSAGE_LF,
			copies[i].original);

		(void)snprintf(
			path, sizeof(path), "%s/new/" BASE ",S=%d", copies[i].mailbox, n);
		check_file(copies[i].original, path, str_of(expected));
	}
	finish_mail();
}

/* More than the buffer of a file holds, all of it in front of the message. */
static void long_arguments(void)
{
	static const char *addresses[RECIPIENTS];
	static char argument[1000];
	char path[PATH_MAX];
	size_t n, found = 0;
	FILE *f;
	char *all;

	start(SHARED);
	settings.headers[0] = HEADER_ENVELOPE;
	open_section();
	memset(argument, 'x', sizeof(argument));
	for (size_t i = 0; i < RECIPIENTS; i++)
		addresses[i] = "a@x.test";
	set_envelope(RECIPIENTS, addresses);
	for (size_t i = 0; i < RECIPIENTS; i++)
		envelope.recipients[i].argument = (struct str){argument, 900 + i % 60};
	CU_ASSERT_EQUAL(deliver_short(), 250);
	n = strlen(MESSAGE_LF) + strlen("X-Sinkd-Envelope: client=192.0.2.7\n"
					"X-Sinkd-Envelope: port=4711\n"
					"X-Sinkd-Envelope: helo=client.example.test\n"
					"X-Sinkd-Envelope: protocol=SMTP\n"
					"X-Sinkd-Envelope: id=" ID "\n");
	for (size_t i = 0; i < RECIPIENTS; i++)
		n += strlen("X-Sinkd-Envelope: rcpt=\n") + 900 + i % 60;
	(void)snprintf(path, sizeof(path), SHARED "/new/" BASE ",S=%zu", n);
	all = calloc(1, n + 1);
	f = fopen(at(path), "re");
	if (CHECK("name", f != NULL) && all != NULL)
		CU_ASSERT_EQUAL(fread(all, 1, n, f), n);
	for (const char *p = all; p != NULL && (p = strstr(p, "rcpt=")) != NULL; p++)
		found++;
	CU_ASSERT_EQUAL(found, RECIPIENTS);
	if (CHECK("end", all != NULL))
		CHECK_STR("end", str_of(all + n - strlen(MESSAGE_LF)), STR(MESSAGE_LF));
	if (f != NULL)
		(void)fclose(f);
	free(all);
	finish_mail();
}

static void mailbox_each_copied_whole(void)
{
	static const char *const addresses[] = {"a@x.test", "bb@x.test"};
	static const char head[] = "Delivered-To: bb@x.test\n";
	static char text[300000], expected[sizeof(text) + sizeof(head) - 1];
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i % 26);
	memcpy(expected, head, sizeof(head) - 1);
	memcpy(expected + sizeof(head) - 1, text, sizeof(text));
	start(EACH);
	settings.headers[0] = HEADER_DELIVERED_TO;
	open_section();
	set_envelope(2, addresses);
	CU_ASSERT_EQUAL(deliver((struct str){text, sizeof(text)}, 5000), 250);
	(void)snprintf(
		path, sizeof(path), "x.test/bb/new/" BASE ",S=%zu", sizeof(expected));
	check_file("copy", path, (struct str){expected, sizeof(expected)});
	finish_mail();
}

static void keep_some(void)
{
	static const char *const addresses[] = {"a@x.test", "b@x.test", "c@x.test"};

	start(EACH);
	open_section();
	set_envelope(3, addresses);
	keep[0] = keep[2] = false;
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(results[0].code, 0);
	check_counts("a", "x.test/a", 0, 0);
	check_counts("b", "x.test/b", 0, 1);
	check_counts("c", "x.test/c", 0, 0);
	finish_mail();
}

static void thousand_mailboxes(void)
{
	static const char *addresses[RECIPIENTS];
	static char text[RECIPIENTS][24];
	struct rlimit old, few = {64, 64};

	start(EACH);
	settings.has_sync = false;
	settings.headers[0] = HEADER_DELIVERED_TO;
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &old), 0);
	few.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	open_section();
	for (size_t i = 0; i < RECIPIENTS; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "u%03zu@example.test", i);
		addresses[i] = text[i];
	}
	set_envelope(RECIPIENTS, addresses);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(count("example.test"), RECIPIENTS);
	for (size_t i = 0; i < RECIPIENTS; i++) {
		char mailbox[64];

		(void)snprintf(mailbox, sizeof(mailbox), "example.test/u%03zu", i);
		check_counts(mailbox, mailbox, 0, 1);
	}
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	finish_mail();
}

void suite_maildir(void)
{
	CU_pSuite s = CU_add_suite("maildir", NULL, NULL);

	CU_add_test(s, "one recipient", one_recipient);
	CU_add_test(s, "header fields", header_fields);
	CU_add_test(s, "put in front", put_in_front);
	CU_add_test(s, "line endings", line_endings);
	CU_add_test(s, "text that begins with a blank", text_that_begins_with_a_blank);
	CU_add_test(s, "binary", binary);
	CU_add_test(s, "file mode", file_mode);
	CU_add_test(s, "file names", file_names);
	CU_add_test(s, "a mailbox each", mailbox_each);
	CU_add_test(s, "a mailbox each, linked", mailbox_each_linked);
	CU_add_test(s, "a mailbox each, with the envelope", mailbox_each_with_envelope);
	CU_add_test(s, "a mailbox each, copied whole", mailbox_each_copied_whole);
	CU_add_test(s, "long arguments", long_arguments);
	CU_add_test(s, "keep some", keep_some);
	CU_add_test(s, "a thousand mailboxes", thousand_mailboxes);
	add_maildir_faults(s);
	add_maildir_keep(s);
}
