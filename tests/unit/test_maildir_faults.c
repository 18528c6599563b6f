/* delivery/maildir: what is on disk after a failure, and how it goes on.
 *
 * After each: a 4xx, one line in the log, nothing of the message anywhere. */
#include "unit.h"

#include "maildir_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static void abort_message(void)
{
	start(SHARED);
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 3), 250);
	check_counts("begun", SHARED, 1, 0);
	end(false);
	check_counts("aborted after chunks", SHARED, 0, 0);
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 3), 250);
	CU_ASSERT_EQUAL(prepare(), 250);
	end(false);
	check_counts("aborted after prepare", SHARED, 0, 0);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("the next one", SHARED, 0, 1);
	finish_mail();
}

static void abort_several(void)
{
	static const char *const addresses[] = {"a@x.test", "b@x.test"};

	start(EACH);
	open_section();
	set_envelope(2, addresses);
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 3), 250);
	CU_ASSERT_EQUAL(prepare(), 250);
	check_counts("a", "x.test/a", 1, 0);
	check_counts("b", "x.test/b", 1, 0);
	end(false);
	check_counts("a", "x.test/a", 0, 0);
	check_counts("b", "x.test/b", 0, 0);
	finish_mail();
}

/* A mailbox, or a part of it, that vanishes between messages is made again. */
static void vanished(void)
{
	static const char *const parts[] = {"", "/tmp", "/new"};

	start(SHARED);
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), SHARED "%s", parts[i]);
		remove_tree(at(path));
		remove_tree(at(SHARED "/new/" BASE ",S=17"));
		CHECK(path, deliver_short() == 250);
		check_counts(path, SHARED, 0, 1);
	}
	CU_ASSERT_EQUAL(logged_lines(), 0);
	finish_mail();
}

/* In the middle of a message it is a failure: the text is gone. */
static void vanished_in_data(void)
{
	start(SHARED);
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 3), 250);
	remove_tree(at(SHARED));
	CU_ASSERT_EQUAL(prepare(), 250);
	CU_ASSERT_EQUAL(commit(), 451);
	end(false);
	CU_ASSERT_EQUAL(logged_lines(), 1);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	check_counts("the next one", SHARED, 0, 1);
	finish_mail();
}

static void replaced_by_files(void)
{
	static const struct {
		const char *name, *path;
		bool is_open; /* replaced when the section is open already */
	} cases[] = {
		{"tmp, before", SHARED "/tmp", false},
		{"new, before", SHARED "/new", false},
		{"mailbox, before", SHARED, false},
		{"tmp, since", SHARED "/tmp", true},
		{"new, since", SHARED "/new", true},
		{"mailbox, since", SHARED, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		const struct delivery_owner owner = {geteuid(), getegid()};

		start(SHARED);
		CHECK(name, backend->prepare_host(&settings, &owner) == 0);
		if (cases[i].is_open)
			open_section();
		remove_tree(at(cases[i].path));
		make_file(cases[i].path);
		if (!cases[i].is_open)
			open_section();
		set_recipient("a@example.test");
		CHECK(name, deliver_short() == 451);
		CHECK(name, logged_lines() == 1);
		CHECK(name, count(SHARED "/tmp") <= 0);
		CHECK(name, count(SHARED "/new") <= 0);
		CHECK(name, cases[i].is_open || backend->check(state) < 0);
		/* When it has been put right, it works without a new start. */
		CHECK(name, unlink(at(cases[i].path)) == 0);
		CHECK(name, deliver_short() == 250);
		check_counts(name, SHARED, 0, 1);
		finish_mail();
	}
}

/* No symbolic link below the root is followed. */
static void symbolic_links(void)
{
	static const struct {
		const char *path, *link;
	} cases[] = {
		{SHARED, SHARED},
		{SHARED, SHARED "/tmp"},
		{SHARED, SHARED "/new"},
		{EACH, "x.test"},
		{EACH, "x.test/a"},
		{EACH, "x.test/a/new"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].link;

		start(cases[i].path);
		open_section();
		set_recipient("a@x.test");
		CHECK(name, deliver_short() == 250);
		backend->close(state);
		remove_tree(at(cases[i].link));
		CHECK(name, mkdir(at("elsewhere"), 0700) == 0);
		CHECK(name, symlink(at("elsewhere"), at(cases[i].link)) == 0);
		open_section();
		CHECK(name, deliver_short() == 451);
		CHECK(name, logged_lines() == 1);
		CHECK(name, count("elsewhere") == 0);
		finish_mail();
	}
}

/* RLIMIT_FSIZE is a full disk for everybody. */
static void disk_full(void)
{
	static const struct {
		const char *name;
		size_t size, chunk_size;
	} cases[] = {
		{"when the buffer is full", 200000, 1000},
		{"past the buffer", 200000, SIZE_MAX},
		{"at the end", 10000, SIZE_MAX},
	};
	static char text[200000];
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_action;
	struct rlimit old, small = {4096, 0};

	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &ignore, &old_action), 0);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(SHARED);
		open_section();
		set_recipient("a@example.test");
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
		CHECK(cases[i].name, deliver((struct str){text, cases[i].size},
					     cases[i].chunk_size) == 452);
		CHECK(cases[i].name, logged_lines() == 1);
		check_counts(cases[i].name, SHARED, 0, 0);
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
		CHECK(cases[i].name, deliver_short() == 250);
		finish_mail();
	}
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &old_action, NULL), 0);
}

/* The copy is what fills it: its headers are the longer ones. */
static void disk_full_at_the_copy(void)
{
	static const char *const addresses[] = {
		"a@x.test", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@x.test"};
	static char text[4060];
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_action;
	struct rlimit old, small = {4096, 0};

	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &ignore, &old_action), 0);
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	start(EACH);
	settings.headers[0] = HEADER_DELIVERED_TO;
	open_section();
	set_envelope(2, addresses);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	CU_ASSERT_EQUAL(deliver((struct str){text, sizeof(text)}, SIZE_MAX), 452);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
	CU_ASSERT_EQUAL(logged_lines(), 1);
	check_counts("a", "x.test/a", 0, 0);
	check_counts("b", "x.test/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 0, 0);
	finish_mail();
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &old_action, NULL), 0);
}

/* What has our name already is somebody's mail: it stays as it is. */
static void name_taken(void)
{
	start(SHARED);
	open_section();
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(deliver(STR("subject: y\r\n\r\ntext\r\n"), SIZE_MAX), 451);
	check_counts("in new", SHARED, 0, 1);
	check_file("in new", SHARED "/new/" BASE ",S=17", STR(MESSAGE_LF));
	CU_ASSERT_EQUAL(unlink(at(SHARED "/new/" BASE ",S=17")), 0);
	make_file(SHARED "/tmp/" BASE);
	CU_ASSERT_EQUAL(deliver_short(), 451);
	check_counts("in tmp", SHARED, 1, 0);
	CU_ASSERT_EQUAL(logged_lines(), 2);
	finish_mail();
}

/* The second mailbox cannot be published: the first takes its copy back. */
static void second_mailbox_fails(void)
{
	static const char *const addresses[] = {"a@x.test", "b@x.test"};

	for (int is_linked = 0; is_linked < 2; is_linked++) {
		const char *name = is_linked ? "linked" : "copied";

		start(EACH);
		if (!is_linked)
			settings.headers[0] = HEADER_DELIVERED_TO;
		open_section();
		set_envelope(2, addresses);
		CHECK(name, write_message(STR(MESSAGE), SIZE_MAX) == 250);
		CHECK(name, prepare() == 250);
		remove_tree(at("x.test/b/new"));
		make_file("x.test/b/new");
		CHECK(name, commit() == 451);
		end(false);
		check_counts(name, "x.test/a", 0, 0);
		CHECK(name, count("x.test/b/tmp") == 0);
		CHECK(name, logged_lines() == 1);
		CHECK(name, unlink(at("x.test/b/new")) == 0);
		CHECK(name, deliver_short() == 250);
		finish_mail();

		start(EACH);
		open_section();
		CHECK(name, mkdir(at("x.test"), 0700) == 0);
		make_file("x.test/b");
		CHECK(name, write_message(STR(MESSAGE), SIZE_MAX) == 250);
		CHECK(name, prepare() == 451);
		end(false);
		check_counts(name, "x.test/a", 0, 0);
		CHECK(name, logged_lines() == 1);
		finish_mail();
	}
}

static void long_path(void)
{
	static char address[5000];

	memset(address, '-', sizeof(address));
	memcpy(address + sizeof(address) - 8, "@x.test", 8);
	start("%{recipient.local}%{recipient.local}");
	open_section();
	set_recipient(address);
	CU_ASSERT_EQUAL(deliver_short(), 451);
	CU_ASSERT_EQUAL(logged_lines(), 1);
	finish_mail();
}

/* Be nobody for a while, if we are root: root may do everything. */
static void become(uid_t uid)
{
	if (getuid() == 0)
		CU_ASSERT_EQUAL_FATAL(seteuid(uid), 0);
}

static void no_permission(void)
{
	start(SHARED);
	open_section();
	CU_ASSERT_EQUAL(backend->check(state), 0);
	CU_ASSERT_EQUAL(count(SHARED "/tmp"), 0);
	CU_ASSERT_EQUAL(chmod(at(""), 0755), 0);
	CU_ASSERT_EQUAL(chmod(at(SHARED), 0755), 0);
	CU_ASSERT_EQUAL(chmod(at(SHARED "/tmp"), 0555), 0);
	become(NOBODY);
	CU_ASSERT_EQUAL(backend->check(state), -EACCES);
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(deliver_short(), 451);
	CU_ASSERT_EQUAL(logged_lines(), 1);
	become(0);
	CU_ASSERT_EQUAL(chmod(at(SHARED "/tmp"), 0755), 0);
	check_counts("unchanged", SHARED, 0, 0);
	finish_mail();
}

static void no_permission_each(void)
{
	start(EACH);
	open_section();
	CU_ASSERT_EQUAL(backend->check(state), 0);
	CU_ASSERT_EQUAL(chmod(at(""), 0555), 0);
	become(NOBODY);
	CU_ASSERT_EQUAL(backend->check(state), -EACCES);
	set_recipient("a@x.test");
	CU_ASSERT_EQUAL(deliver_short(), 451);
	become(0);
	CU_ASSERT_EQUAL(chmod(at(""), 0755), 0);
	CU_ASSERT_EQUAL(count("x.test"), -1);
	finish_mail();
}

/* Root's server in a directory that only root may enter: a worker reaches its
 * mailbox through what it opened before it gave up its rights. */
static void behind_closed_doors(void)
{
	const struct delivery_owner owner = {NOBODY, NOBODY};
	uint64_t removed = 0;
	struct stat st;

	if (getuid() != 0)
		return;
	start("made/too/" SHARED);
	CU_ASSERT_EQUAL(backend->prepare_host(&settings, &owner), 0);
	CU_ASSERT_EQUAL(stat(at(""), &st), 0);
	CU_ASSERT_EQUAL(st.st_uid, 0);
	CU_ASSERT_EQUAL(stat(at("made/too/" SHARED "/cur"), &st), 0);
	CU_ASSERT_EQUAL(st.st_uid, NOBODY);
	CU_ASSERT_EQUAL(st.st_gid, NOBODY);
	open_section();
	become(NOBODY);
	CU_ASSERT_EQUAL(faccessat(AT_FDCWD, at("made"), F_OK, AT_EACCESS), -1);
	CU_ASSERT_EQUAL(backend->check(state), 0);
	set_recipient("a@example.test");
	CU_ASSERT_EQUAL(write_message(STR(MESSAGE), 3), 250);
	CU_ASSERT_EQUAL(backend->clean(state, &removed), 0);
	CU_ASSERT_EQUAL(removed, 0);
	end(false);
	CU_ASSERT_EQUAL(deliver_short(), 250);
	CU_ASSERT_EQUAL(deliver_short(), 451);
	envelope.stamp.unix_seconds++;
	CU_ASSERT_EQUAL(deliver_short(), 250);
	become(0);
	check_counts("delivered", "made/too/" SHARED, 0, 2);
	finish_mail();
}

static void prepare_host(void)
{
	const struct delivery_owner owner = {geteuid(), getegid()};
	static const char *const made[] = {
		"a", "a/b", "a/b/c", "a/b/c/tmp", "a/b/c/new", "a/b/c/cur"};
	struct stat st;

	start("a/b//c/");
	for (int round = 0; round < 2; round++) {
		CU_ASSERT_EQUAL(backend->prepare_host(&settings, &owner), 0);
		for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
			CHECK(made[i], stat(at(made[i]), &st) == 0);
			CHECK(made[i], st.st_mode == (S_IFDIR | 0700));
		}
	}
	finish_mail();
	start("mail/%{recipient}");
	CU_ASSERT_EQUAL(backend->prepare_host(&settings, &owner), 0);
	CU_ASSERT_EQUAL(count("mail"), 0);
	finish_mail();
	start("file/" SHARED);
	make_file("file");
	CU_ASSERT_EQUAL(backend->prepare_host(&settings, &owner), -ENOTDIR);
	CU_ASSERT_EQUAL(open_state(), -ENOTDIR);
	finish_mail();
	start("missing/" SHARED);
	CU_ASSERT_EQUAL(open_state(), -ENOENT);
	finish_mail();
}

void add_maildir_faults(CU_pSuite s)
{
	CU_add_test(s, "abort", abort_message);
	CU_add_test(s, "abort with several mailboxes", abort_several);
	CU_add_test(s, "vanished", vanished);
	CU_add_test(s, "vanished in data", vanished_in_data);
	CU_add_test(s, "replaced by files", replaced_by_files);
	CU_add_test(s, "symbolic links", symbolic_links);
	CU_add_test(s, "disk full", disk_full);
	CU_add_test(s, "disk full at the copy", disk_full_at_the_copy);
	CU_add_test(s, "name taken", name_taken);
	CU_add_test(s, "second mailbox fails", second_mailbox_fails);
	CU_add_test(s, "path too long", long_path);
	CU_add_test(s, "no permission", no_permission);
	CU_add_test(s, "no permission at the root", no_permission_each);
	CU_add_test(s, "behind closed doors", behind_closed_doors);
	CU_add_test(s, "prepare host", prepare_host);
}
