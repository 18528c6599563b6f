/* delivery/pipe: when the spawner, the disk or the client does not do what it should.
 *
 * After each: the right reply, a line in the log where it is a fault of ours, and the
 * next message goes through. */
#include "unit.h"

#include "pipe_fixture.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "delivery/spool.h"

#define NOBODY 65534

static void wrong_answers(void)
{
	static const struct {
		const char *name;
		struct plan plan;
	} cases[] = {
		{"dropped", {.deed = DEED_DROP}},
		{"dead", {.deed = DEED_DIE}},
		{"short", {DEED_ANSWER_SHORT, {250, "2.0.0", "Ok"}}},
		{"long", {DEED_ANSWER_LONG, {250, "2.0.0", "Ok"}}},
		{"another success", {DEED_ANSWER, {252, "2.0.0", "Ok"}}},
		{"no code", {DEED_ANSWER, {0, "", ""}}},
		{"another class", {DEED_ANSWER, {250, "4.0.0", "Ok"}}},
		{"two lines", {DEED_ANSWER, {550, "5.0.0", "a\r\n250 b"}}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		struct bench b;

		bench_start(&b);
		CHECK(name, bench_pass(&b, &cases[i].plan, 1) == 451);
		CHECK(name, b.results[0].kind == RESULT_TEMPORARY);
		CHECK(name, b.notes->count == 1);
		CHECK(name, bench_logged(&b, "delivery.failed delivery=handler") == 1);
		bench_finish(&b);
	}
}

/* Who dies over one question has a successor for the next: here there is none. */
static void without_spawner(void)
{
	struct bench b;

	bench_start(&b);
	bench_start_spawner(&b, (const struct plan[]){{.deed = DEED_DIE}}, 1);
	bench_open(&b);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 451);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 451);
	CU_ASSERT_EQUAL(bench_logged(&b, "step=\"ask the spawner\""), 2);
	bench_finish(&b);
}

/* The answer comes when nobody waits for it any more, and must not be taken for that of
 * the next message. */
static void late_answer(void)
{
	static const struct plan plan[] = {
		{DEED_ANSWER_LATE, {250, "2.0.0", "Ok"}},
		{DEED_ANSWER, {550, "5.1.1", "Nobody"}},
	};
	struct bench b;
	const uint64_t timeout_ms = 10000;

	bench_start(&b);
	/* All that is waited for beyond the time of the command, and that, are 50 ms. */
	b.settings.pipe.timeout_ms =
		UINT64_MAX - (SPAWN_KILL_AFTER_MS + SPAWN_PATIENCE_MS) / 2 + 1 + 25;
	bench_start_spawner(&b, plan, 2);
	bench_open(&b);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 451);
	CU_ASSERT_EQUAL(bench_logged(&b, "step=\"ask the spawner\""), 1);
	b.settings.pipe.timeout_ms = timeout_ms;
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 550);
	bench_stop_spawner(&b);
	CU_ASSERT_EQUAL(b.notes->count, 2);
	bench_finish(&b);
}

/* Hard limits stay, so that they can be lifted again. */
static void set_limit(__rlimit_resource_t what, rlim_t soft, struct rlimit *ret_old)
{
	struct rlimit limit;

	CU_ASSERT_EQUAL(getrlimit(what, ret_old), 0);
	limit = *ret_old;
	limit.rlim_cur = soft;
	CU_ASSERT_EQUAL(setrlimit(what, &limit), 0);
}

/* A full disk, as RLIMIT_FSIZE makes one; files in memory have it too. */
static void disk_full(void)
{
	static const struct {
		const char *name;
		uint64_t declared;
		size_t size;
		rlim_t limit;
	} cases[] = {
		{"in memory, at the end", 0, 10000, 4096},
		{"in memory, in chunks", 0, 200000, 4096},
		{"on disk, in chunks", 400000, 400000, 4096},
		{"when it is moved", 0, SPOOL_MEMORY_MAX + 1, SPOOL_MEMORY_MAX - 4096},
		{"after it was moved", 0, SPOOL_MEMORY_MAX + 200000, SPOOL_MEMORY_MAX},
	};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_action;
	static char text[SPOOL_MEMORY_MAX + 200000];

	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &ignore, &old_action), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *name = cases[i].name;
		struct rlimit old;
		struct bench b;

		bench_start(&b);
		bench_start_spawner(&b, NULL, 0);
		bench_open(&b);
		b.envelope.declared_size = cases[i].declared;
		set_limit(RLIMIT_FSIZE, cases[i].limit, &old);
		CHECK(name, bench_deliver(&b, (struct str){text, cases[i].size}, 1000) ==
				    452);
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
		CHECK(name, bench_logged(&b, "delivery.failed delivery=handler "
					     "step=spool") == 1);
		CHECK(name, bench_deliver_short(&b) == 250);
		bench_stop_spawner(&b);
		CHECK(name, b.notes->count == 1);
		bench_finish(&b);
	}
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &old_action, NULL), 0);
}

/* The copy for the second recipient is what fills it: its header is the longer one. */
static void disk_full_at_the_copy(void)
{
	static const char *const addresses[] = {
		"a@x.test", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@x.test", "c@x.test"};
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old_action;
	static char text[4060];

	memset(text, 'x', sizeof(text));
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &ignore, &old_action), 0);
	for (unsigned is_lmtp = 0; is_lmtp <= 1; is_lmtp++) {
		struct rlimit old;
		struct bench b;

		bench_start(&b);
		bench_set_recipients(&b, 3, addresses);
		b.settings.headers[0] = HEADER_DELIVERED_TO;
		b.settings.pipe.is_per_recipient = true;
		b.envelope.client.is_lmtp = is_lmtp;
		bench_start_spawner(&b, NULL, 0);
		bench_open(&b);
		set_limit(RLIMIT_FSIZE, 4096, &old);
		(void)bench_deliver(&b, (struct str){text, sizeof(text)}, SIZE_MAX);
		CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
		CU_ASSERT_EQUAL(b.results[0].code, 250);
		CU_ASSERT_EQUAL(b.results[1].code, 452);
		CU_ASSERT_EQUAL(b.results[2].code, is_lmtp ? 250 : 452);
		CU_ASSERT_EQUAL(bench_logged(&b, "step=copy"), 1);
		bench_stop_spawner(&b);
		CU_ASSERT_EQUAL(b.notes->count, is_lmtp ? 2 : 1);
		bench_finish(&b);
	}
	CU_ASSERT_EQUAL(sigaction(SIGXFSZ, &old_action, NULL), 0);
}

/* A directory that has gone is no loss for small messages. */
static void no_spool_directory(void)
{
	static char text[SPOOL_MEMORY_MAX + 1];
	struct bench b;

	memset(text, 'x', sizeof(text));
	bench_start(&b);
	b.env.spool_dir = "/nowhere";
	CU_ASSERT_EQUAL(delivery_pipe.open(&b.settings, 2, &b.env, &b.state), -ENOENT);
	b.env.spool_dir = "/dev/null";
	CU_ASSERT_EQUAL(delivery_pipe.open(&b.settings, 2, &b.env, &b.state), -ENOTDIR);
	b.env.spool_dir = b.spool_dir;
	bench_start_spawner(&b, NULL, 0);
	bench_open(&b);
	CU_ASSERT_EQUAL(rmdir(b.spool_dir), 0);
	CU_ASSERT_EQUAL(bench_deliver(&b, (struct str){text, sizeof(text)}, 10000), 451);
	CU_ASSERT_EQUAL(bench_logged(&b, "step=spool"), 1);
	b.envelope.declared_size = sizeof(text);
	CU_ASSERT_EQUAL(bench_begin(&b), 451);
	CU_ASSERT_EQUAL(bench_deliver(&b, STR(PIPE_TEXT), 10), 451);
	b.envelope.declared_size = 0;
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 250);
	CU_ASSERT_EQUAL(mkdir(b.spool_dir, 0700), 0);
	bench_finish(&b);
}

static void no_descriptors(void)
{
	struct bench b;
	struct rlimit old;

	bench_start(&b);
	bench_start_spawner(&b, NULL, 0);
	bench_open(&b);
	set_limit(RLIMIT_NOFILE, 0, &old);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 451);
	CU_ASSERT_EQUAL(delivery_pipe.check(b.state), -EMFILE);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	CU_ASSERT_EQUAL(bench_prepare(&b), 250);
	/* And when there was one for the message. */
	set_limit(RLIMIT_NOFILE, 0, &old);
	CU_ASSERT_EQUAL(bench_run(&b), 451);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &old), 0);
	bench_end(&b);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 250);
	CU_ASSERT_EQUAL(bench_logged(&b, "delivery.failed"), 2);
	bench_finish(&b);
}

static void check_rights(void)
{
	bool is_root = geteuid() == 0;
	struct bench b;

	bench_start(&b);
	bench_open(&b);
	CU_ASSERT_EQUAL(delivery_pipe.check(b.state), 0);
	CU_ASSERT_EQUAL(chmod(b.spool_dir, 0500), 0);
	/* Root may do what it wants. */
	CU_ASSERT_TRUE(!is_root || seteuid(NOBODY) == 0);
	CU_ASSERT_EQUAL(delivery_pipe.check(b.state), -EACCES);
	CU_ASSERT_TRUE(!is_root || seteuid(0) == 0);
	bench_finish(&b);
}

/* --------------------------------------------------------- what clients may say */

static void hyphens(void)
{
	static const char *const plain = "a@x.test", *const local = "-a@x.test",
				 *const extension = "a+-x@x.test";
	static const struct {
		const char *name;
		const char *const *recipient;
		const char *sender, *helo, *user, *envid;
		const char *command[5];
		bool is_refused;
	} cases[] = {
		{"none", &plain, "a@b", "x", "u", "e",
			{"%{sender}", "%{helo}", "%{user}", "%{envid}", "%{recipients}"},
			false},
		{"not used", &local, "-a@b", "-x", "-u", "-e", {"%{size}"}, false},
		{"helo", &plain, "a@b", "-x", "", "", {"%{helo}"}, true},
		{"user", &plain, "a@b", "x", "-u", "", {"-a", "%{user}"}, true},
		{"envid", &plain, "a@b", "x", "", "-e", {"%{envid}x"}, true},
		{"sender", &plain, "-a@b", "x", "", "", {"%{sender}"}, true},
		{"another one", &plain, "-a@b", "x", "", "", {"%{helo}"}, false},
		{"behind text", &plain, "-a@b", "-x", "-u", "-e",
			{"-f%{sender}", "h=%{helo}", ".%{user}", "--envid=%{envid}"},
			false},
		{"behind --", &plain, "-a@b", "-x", "-u", "-e",
			{"--", "%{sender}", "%{helo}", "%{user}", "%{envid}"}, false},
		{"before --", &plain, "a@b", "-x", "", "", {"%{helo}", "--"}, true},
		{"inside", &plain, "a-@b", "x-y", "u-", "e-",
			{"%{sender}", "%{helo}", "%{user}", "%{envid}"}, false},
		{"nothing", &plain, "", "", "", "",
			{"%{sender}", "%{helo}", "%{user}", "%{envid}"}, false},
		{"local part", &local, "a@b", "x", "", "", {"%{recipients}"}, true},
		{"local part, behind", &local, "a@b", "x", "", "",
			{"--", "%{recipients}"}, false},
		{"extension", &extension, "a@b", "x", "", "", {"%{recipient.extension}"},
			true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bench b;
		int code;

		bench_start(&b);
		memcpy(b.command + 1, cases[i].command, sizeof(cases[i].command));
		bench_set_recipients(&b, 1, cases[i].recipient);
		b.envelope.sender.mailbox = str_of(cases[i].sender);
		b.envelope.client.helo = str_of(cases[i].helo);
		b.envelope.client.user = str_of(cases[i].user);
		b.envelope.envid = str_of(cases[i].envid);
		code = bench_pass(&b, NULL, 0);
		CHECK(cases[i].name, code == (cases[i].is_refused ? 550 : 250));
		CHECK(cases[i].name, b.notes->count == (cases[i].is_refused ? 0 : 1));
		CHECK(cases[i].name, bench_logged(&b, "") == 0);
		bench_finish(&b);
	}
}

/* All recipients of one command have to fit its line. */
static void many_recipients(void)
{
	const size_t most = SPAWN_RECIPIENTS_MAX / (8 + SPAWN_RECIPIENT_EXTRA);
	const char **addresses = calloc(most + 1, sizeof(*addresses));
	struct bench b;

	CU_ASSERT_PTR_NOT_NULL_FATAL(addresses);
	CU_ASSERT_TRUE_FATAL(most + 1 <= BENCH_RECIPIENTS);
	for (size_t i = 0; i <= most; i++)
		addresses[i] = "a@x.test";
	bench_start(&b);
	bench_start_spawner(&b, NULL, 0);
	bench_open(&b);
	bench_set_recipients(&b, most, addresses);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 250);
	bench_set_recipients(&b, most + 1, addresses);
	CU_ASSERT_EQUAL(bench_deliver_short(&b), 452);
	/* For a run each there may be any number. */
	b.settings.pipe.is_per_recipient = true;
	CU_ASSERT_EQUAL(bench_begin(&b), 250);
	bench_end(&b);
	bench_stop_spawner(&b);
	CU_ASSERT_EQUAL(b.notes->count, 1);
	CU_ASSERT_EQUAL(b.notes->questions[0].error, 0);
	CU_ASSERT_EQUAL(b.notes->questions[0].recipient_count, most);
	bench_finish(&b);
	free(addresses);
}

/* More text than a question may have, which no client of the engine has room for. */
static void long_texts(void)
{
	static char text[SPAWN_REQUEST_MAX];
	struct bench b;

	memset(text, 'x', sizeof(text));
	bench_start(&b);
	b.envelope.client.helo = (struct str){text, sizeof(text)};
	CU_ASSERT_EQUAL(bench_pass(&b, NULL, 0), 451);
	CU_ASSERT_EQUAL(b.notes->count, 0);
	CU_ASSERT_EQUAL(bench_logged(&b, "step=\"ask the spawner\""), 1);
	bench_finish(&b);
}

void add_pipe_faults(CU_pSuite s)
{
	CU_add_test(s, "wrong answers", wrong_answers);
	CU_add_test(s, "without a spawner", without_spawner);
	CU_add_test(s, "late answer", late_answer);
	CU_add_test(s, "disk full", disk_full);
	CU_add_test(s, "disk full at the copy", disk_full_at_the_copy);
	CU_add_test(s, "no spool directory", no_spool_directory);
	CU_add_test(s, "no descriptors", no_descriptors);
	CU_add_test(s, "check", check_rights);
	CU_add_test(s, "hyphens", hyphens);
	CU_add_test(s, "many recipients", many_recipients);
	CU_add_test(s, "long texts", long_texts);
}
