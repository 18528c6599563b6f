/* delivery/leftovers: what goes, and all that stays. */
#include "unit.h"

#include "maildir_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/leftovers.h"

#define HOUR 3600
#define OLD  (37 * HOUR)

/* Nobody can set the time of the last change, so the clock goes on instead. */
static time_t later(time_t seconds)
{
	return time(NULL) + seconds;
}

static void make_maildir(const char *path)
{
	static const char *const parts[] = {"", "/tmp", "/new", "/cur"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char part[64];

		(void)snprintf(part, sizeof(part), "%s%s", path, parts[i]);
		CU_ASSERT_EQUAL(mkdir(at(part), 0700), 0);
	}
}

static void make_files(const char *maildir)
{
	static const char *const parts[] = {"tmp", "new", "cur"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "%s/%s/file", maildir, parts[i]);
		make_file(path);
	}
}

static int open_at(const char *path)
{
	int fd = open(at(path), O_PATH | O_DIRECTORY | O_CLOEXEC);

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	return fd;
}

static void only_old_files(void)
{
	const struct timespec long_ago[2] = {{1, 0}, {1, 0}};
	uint64_t removed = 1;
	int tmp;

	start(SHARED);
	make_maildir(SHARED);
	make_files(SHARED);
	make_file("outside");
	CU_ASSERT_EQUAL(mkdir(at(SHARED "/tmp/directory"), 0700), 0);
	CU_ASSERT_EQUAL(symlink(at("outside"), at(SHARED "/tmp/link")), 0);
	CU_ASSERT_EQUAL(mkfifo(at(SHARED "/tmp/fifo"), 0600), 0);
	tmp = open_at(SHARED "/tmp");
	CU_ASSERT_EQUAL(leftovers_remove(tmp, later(0), &removed), 0);
	CU_ASSERT_EQUAL(leftovers_remove(tmp, later(35 * HOUR), &removed), 0);
	CU_ASSERT_EQUAL(removed, 1);
	/* Written long ago, but renamed or linked since. */
	CU_ASSERT_EQUAL(utimensat(tmp, "file", long_ago, 0), 0);
	CU_ASSERT_EQUAL(leftovers_remove(tmp, later(0), &removed), 0);
	CU_ASSERT_EQUAL(removed, 1);
	check_counts("young", SHARED, 4, 1);
	CU_ASSERT_EQUAL(leftovers_remove(tmp, later(OLD), &removed), 0);
	CU_ASSERT_EQUAL(removed, 2);
	check_counts("old", SHARED, 3, 1);
	CU_ASSERT_EQUAL(count(SHARED "/cur"), 1);
	CU_ASSERT_EQUAL(access(at(SHARED "/tmp/file"), F_OK), -1);
	CU_ASSERT_EQUAL(access(at("outside"), F_OK), 0);
	(void)close(tmp);
	finish_mail();
}

/* Written to since: a message that has come for very long. */
static void written_lately(void)
{
	struct timespec times[2] = {{0, UTIME_OMIT}, {later(OLD - HOUR), 0}};
	uint64_t removed = 0;
	int tmp;

	start(SHARED);
	make_maildir(SHARED);
	make_files(SHARED);
	tmp = open_at(SHARED "/tmp");
	CU_ASSERT_EQUAL(utimensat(tmp, "file", times, 0), 0);
	CU_ASSERT_EQUAL(leftovers_remove(tmp, later(OLD), &removed), 0);
	CU_ASSERT_EQUAL(removed, 0);
	check_counts("written to", SHARED, 1, 1);
	(void)close(tmp);
	finish_mail();
}

/* A directory tmp that is no part of a maildir is somebody's. */
static void no_maildir(void)
{
	static const char *const parts[] = {"/new", "/cur"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (int kind = 0; kind < 3; kind++) {
			char part[32];
			uint64_t removed = 0;
			int tmp;

			start(SHARED);
			make_maildir(SHARED);
			make_files(SHARED);
			(void)snprintf(part, sizeof(part), SHARED "%s", parts[i]);
			remove_tree(at(part));
			if (kind == 1)
				make_file(part);
			if (kind == 2)
				CU_ASSERT_EQUAL(symlink(at(SHARED "/tmp"), at(part)), 0);
			tmp = open_at(SHARED "/tmp");
			CHECK(part, leftovers_remove(tmp, later(OLD), &removed) == 0);
			CHECK(part, removed == 0 && count(SHARED "/tmp") == 1);
			(void)close(tmp);
			finish_mail();
		}
	}
}

/* Only where the template leads, and not through links. */
static void below(void)
{
	static const struct {
		const char *template;
		const char *maildir;
		bool is_cleaned;
	} cases[] = {
		{EACH, "x.test/a", true},
		{EACH, "x.test/..b", true},
		{EACH, "x.test", false},
		{EACH, "x.test/c/d", false},
		{EACH, "", false},
		{"%{recipient}", "a@x.test", true},
		{"mail%%/%{recipient.local}//%{recipient.domain}/", "mail%/a/x.test",
			true},
		{"mail%%/%{recipient.local}", "other/a", false},
		{"%{recipient.local}/Mail", "a/Mail", true},
		{"%{recipient.local}/Mail", "a/Mailbox", false},
		{"home-%{recipient.local}", "home-a", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].maildir;
		char command[64], path[64];
		uint64_t removed = 0;
		int root;

		start(SHARED);
		/* The parents, one by one. */
		for (const char *p = name; (p = strchr(p, '/')) != NULL; p++) {
			(void)snprintf(path, sizeof(path), "%.*s", (int)(p - name), name);
			CHECK(name, mkdir(at(path), 0700) == 0);
		}
		if (name[0] == '\0') {
			CHECK(name, mkdir(at("tmp"), 0700) == 0);
			CHECK(name, mkdir(at("new"), 0700) == 0);
			CHECK(name, mkdir(at("cur"), 0700) == 0);
		} else {
			make_maildir(name);
		}
		make_files(name[0] == '\0' ? "." : name);
		root = open_at("");
		CHECK(name, leftovers_remove_below(root, str_of(cases[i].template),
				    later(OLD), &removed) == 0);
		(void)snprintf(
			command, sizeof(command), "%s/tmp", name[0] == '\0' ? "." : name);
		CHECK(name, removed == cases[i].is_cleaned);
		CHECK(name, count(command) == !cases[i].is_cleaned);
		(void)close(root);
		finish_mail();
	}
}

static void links_below(void)
{
	static const char *const links[] = {"x.test", "x.test/a", "x.test/a/tmp"};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const char *name = links[i];
		static const char *const targets[] = {"else", "else/a", "else/a/tmp"};
		uint64_t removed = 0;
		int root;

		start(SHARED);
		CHECK(name, mkdir(at("else"), 0700) == 0);
		make_maildir("else/a");
		make_files("else/a");
		if (i > 0)
			CHECK(name, mkdir(at("x.test"), 0700) == 0);
		if (i > 1)
			make_maildir("x.test/a");
		if (i > 1)
			remove_tree(at(name));
		CHECK(name, symlink(at(targets[i]), at(name)) == 0);
		root = open_at("");
		CHECK(name, leftovers_remove_below(root, STR("x.test/%{recipient.local}"),
				    later(OLD), &removed) == 0);
		CHECK(name, removed == 0 && count("else/a/tmp") == 1);
		(void)close(root);
		finish_mail();
	}
}

/* One mailbox that cannot be cleaned does not keep the others from it. */
static void no_permission(void)
{
	uint64_t removed = 0;
	int root;

	if (getuid() != 0)
		return;
	start(SHARED);
	for (int i = 0; i < 3; i++) {
		static const char *const mailboxes[] = {"a", "b", "c"};

		make_maildir(mailboxes[i]);
		make_files(mailboxes[i]);
		if (i != 1)
			for (int k = 0; k < 4; k++) {
				static const char *const parts[] = {
					"", "/tmp", "/new", "/cur"};
				char path[16];

				(void)snprintf(path, sizeof(path), "%s%s", mailboxes[i],
					parts[k]);
				CU_ASSERT_EQUAL(chown(at(path), 65534, 65534), 0);
			}
	}
	CU_ASSERT_EQUAL(chmod(at(""), 0755), 0);
	root = open_at("");
	CU_ASSERT_EQUAL_FATAL(seteuid(65534), 0);
	CU_ASSERT_EQUAL(leftovers_remove_below(
				root, STR("%{recipient.local}"), later(OLD), &removed),
		-EACCES);
	CU_ASSERT_EQUAL_FATAL(seteuid(0), 0);
	CU_ASSERT_EQUAL(removed, 2);
	check_counts("b", "b", 1, 1);
	(void)close(root);
	finish_mail();
}

/* The whole way; what is young stays. */
static void by_section(void)
{
	static const char *const paths[] = {SHARED, EACH};
	static const char *const mailboxes[] = {SHARED, "x.test/a"};

	for (size_t i = 0; i < 2; i++) {
		const char *name = paths[i];
		uint64_t removed = 0;

		start(paths[i]);
		open_section();
		CHECK(name, backend->clean(state, &removed) == 0);
		set_recipient("a@x.test");
		CHECK(name, deliver_short() == 250);
		envelope.stamp.unix_seconds++;
		CHECK(name, write_message(STR(MESSAGE), SIZE_MAX) == 250);
		check_counts(name, mailboxes[i], 1, 1);
		CHECK(name, backend->clean(state, &removed) == 0);
		CHECK(name, removed == 0);
		check_counts(name, mailboxes[i], 1, 1);
		end(false);
		finish_mail();
	}
}

void suite_leftovers(void)
{
	CU_pSuite s = CU_add_suite("leftovers", NULL, NULL);

	CU_add_test(s, "only old files", only_old_files);
	CU_add_test(s, "written to lately", written_lately);
	CU_add_test(s, "no maildir", no_maildir);
	CU_add_test(s, "below a root", below);
	CU_add_test(s, "links below a root", links_below);
	CU_add_test(s, "no permission", no_permission);
	CU_add_test(s, "by section", by_section);
}
