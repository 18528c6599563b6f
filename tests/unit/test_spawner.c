/* Unit tests of room spawn: commands, what they find, how they end, and what is left of
 * them.  A spawner runs in a process of its own; see spawn_fixture.h. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "spawn/job.h"
#include "spawn_fixture.h"
#include "unit.h"

#define CHECK_REPLY(name, reply, expected)                                               \
	CHECK_STR((name), str_of(reply), str_of(expected))

/* A spawner with one script. */
static struct delivery_settings *open_script(
	struct spawn_fixture *f, const char *const *command)
{
	spawn_open(f);
	return spawn_add(f, command);
}

static void end(struct spawn_fixture *f)
{
	CU_ASSERT(spawn_end(f));
	spawn_close(f);
}

/* ----------------------------------------------------------------- verdicts */

static void test_statuses(void)
{
	struct spawn_fixture f;

	(void)open_script(&f, SPAWN_SCRIPT("exit $1"));
	spawn_start(&f);
	for (int status = 0; status < 256; status++) {
		char number[8];
		const char *reply;

		(void)snprintf(number, sizeof(number), "%d", status);
		reply = spawn_reply(&f, 0, number);
		if (status == 0)
			CHECK_REPLY(number, reply, "250 2.0.0 Ok");
		else if (status == 67)
			CHECK_REPLY(number, reply, "550 5.1.1 User unknown");
		else if (status == 75)
			CHECK_REPLY(number, reply, "451 4.3.0 Temporary failure");
		else if (status < 64 || status > 78)
			CHECK_REPLY(number, reply, "451 4.3.0 The command failed");
		else
			CHECK(number,
				strncmp(reply, status == 71 ? "451" : "550", 3) == 0);
	}
	CU_ASSERT(spawn_end(&f));
	CU_ASSERT_EQUAL(spawn_logged(&f, "event=command.end"), 256);
	CU_ASSERT_EQUAL(spawn_logged(&f, "how=exit status=67"), 1);
	CU_ASSERT_EQUAL(spawn_logged(&f, "level=info"), 1);
	CU_ASSERT_EQUAL(
		spawn_logged(&f, "id=0123-45-67 delivery=handler command_pid="), 256);
	spawn_close(&f);
}

static void test_signals(void)
{
	static const int harmless[] = {
		SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH};
	struct spawn_fixture f;
	unsigned killed = 0;

	(void)open_script(&f, SPAWN_SCRIPT("echo 5.1.1 no; kill -$1 $$; exit 0"));
	spawn_start(&f);
	for (int number = 1; number <= SIGSYS; number++) {
		bool is_harmless = false;
		char text[16];

		for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
			is_harmless = is_harmless || harmless[i] == number;
		if (is_harmless)
			continue;
		killed++;
		(void)snprintf(text, sizeof(text), "%d", number);
		CHECK_REPLY(text, spawn_reply(&f, 0, text),
			"451 4.3.0 The command was killed");
	}
	CU_ASSERT(spawn_end(&f));
	CU_ASSERT_EQUAL(spawn_logged(&f, "how=signal signal="), killed);
	spawn_close(&f);
}

static void write_program(const struct spawn_fixture *f, const char *name,
	const char *text, mode_t mode, char *path, size_t size)
{
	FILE *file;

	(void)snprintf(path, size, "%s/%s", f->dir, name);
	file = fopen(path, "we");
	CU_ASSERT_FATAL(file != NULL);
	(void)fputs(text, file);
	(void)fclose(file);
	CU_ASSERT(chmod(path, mode) == 0);
}

static void test_programs(void)
{
	static const char failed[] = "451 4.3.0 The command cannot be started";
	const char *const nowhere[] = {"/nonexistent/program", NULL};
	const char *const directory[] = {"/", NULL};
	char locked_path[64], text_path[64], good_path[64];
	const char *const locked[] = {locked_path, NULL};
	const char *const text[] = {text_path, NULL};
	const char *const good[] = {good_path, NULL};
	struct spawn_fixture f;

	spawn_open(&f);
	write_program(
		&f, "locked", "#!/bin/sh\n", 0600, locked_path, sizeof(locked_path));
	write_program(&f, "text", "true\n", 0700, text_path, sizeof(text_path));
	write_program(
		&f, "good", "#!/bin/sh\nexit 67\n", 0700, good_path, sizeof(good_path));
	(void)spawn_add(&f, nowhere);
	(void)spawn_add(&f, directory);
	(void)spawn_add(&f, locked);
	(void)spawn_add(&f, text);
	(void)spawn_add(&f, good);
	spawn_add(&f, good)->pipe.directory = "/nonexistent";
	spawn_start(&f);
	CHECK_REPLY("missing", spawn_reply(&f, 0, ""), failed);
	CHECK_REPLY("directory", spawn_reply(&f, 1, ""), failed);
	CHECK_REPLY("no execute bit", spawn_reply(&f, 2, ""), failed);
	CHECK_REPLY("no format", spawn_reply(&f, 3, ""), failed);
	CHECK_REPLY("good", spawn_reply(&f, 4, ""), "550 5.1.1 User unknown");
	CHECK_REPLY("no directory", spawn_reply(&f, 5, ""), failed);
	CU_ASSERT(spawn_end(&f));
	CHECK("told at the start", spawn_logged(&f, "event=command.refused") == 4);
	CHECK("told at the start",
		spawn_logged(&f, "path=/nonexistent reason=\"No such file") == 1);
	CHECK("told at the start",
		spawn_logged(&f, "path=/nonexistent/program reason=") == 1);
	CHECK("log",
		spawn_logged(&f, "how=start reason=\"No such file or directory\"") == 2);
	CHECK("log", spawn_logged(&f, "directory\" path=/nonexistent/program ms=") == 1);
	CHECK("log", spawn_logged(&f, "directory\" path=/nonexistent ms=") == 1);
	CHECK("log", spawn_logged(&f, "how=start reason=\"Permission denied\"") == 2);
	CHECK("log", spawn_logged(&f, "how=start reason=\"Exec format error\"") == 1);
	spawn_close(&f);
}

static void test_output(void)
{
	struct spawn_fixture f;

	(void)open_script(&f, SPAWN_SCRIPT("printf \"$1\"; exit 1"));
	(void)spawn_add(&f, SPAWN_SCRIPT("printf \"$1\" >&2; exit 0"));
	(void)spawn_add(&f, SPAWN_SCRIPT("exec >&- 2>&-; exit 67"));
	spawn_start(&f);
	CHECK_REPLY("line", spawn_reply(&f, 0, "452 4.2.2 Mailbox full\\n"),
		"452 4.2.2 Mailbox full");
	CHECK_REPLY("not the first",
		spawn_reply(&f, 0, "hm\\n5.7.1 No\\033 entry\\n4.0.0 x\\n"),
		"550 5.7.1 No? entry");
	CHECK_REPLY("other text", spawn_reply(&f, 0, "hm \\\\ \\042x\\042\\n"),
		"451 4.3.0 The command failed");
	CHECK_REPLY("success", spawn_reply(&f, 1, "5.7.1 but fine\\n"), "250 2.0.0 Ok");
	CHECK_REPLY("closed", spawn_reply(&f, 2, ""), "550 5.1.1 User unknown");
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "code=452 output=\"452 4.2.2 Mailbox full\"") == 1);
	CHECK("log", spawn_logged(&f, "output=\"hm \\\\ \\\"x\\\"\"") == 1);
	CHECK("log", spawn_logged(&f, "code=250 output=\"5.7.1 but fine\"") == 1);
	CHECK("log", spawn_logged(&f, "output=") == 4);
	spawn_close(&f);
}

/* A hundred megabytes, of which nothing is kept. */
static void test_flood(void)
{
	struct spawn_fixture f;
	char path[40], text[2048];
	const char *peak;
	ssize_t n;
	int fd;

	(void)open_script(&f,
		SPAWN_SCRIPT("echo 5.7.1 early; head -c 100000000 /dev/zero; exit 1"));
	(void)spawn_add(&f,
		SPAWN_SCRIPT("head -c 100000 /dev/zero; echo; echo 5.7.1 late; exit 1"));
	spawn_start(&f);
	CHECK_REPLY("early", spawn_reply(&f, 0, ""), "550 5.7.1 early");
	CHECK_REPLY("late", spawn_reply(&f, 1, ""), "451 4.3.0 The command failed");
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)f.spawner);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fdio_read(fd, text, sizeof(text) - 1);
	(void)fdio_close(&fd);
	text[n > 0 ? n : 0] = '\0';
	peak = strstr(text, "VmRSS:");
	CHECK("memory",
		peak != NULL && strtol(peak + strlen("VmRSS:"), NULL, 10) < 100000);
	end(&f);
}

/* ----------------------------------------------------- what a command finds */

/* The message from its beginning, to be read only; and as often as it is asked for. */
static void test_input(void)
{
	static const char message[] = "Subject: test\n\ntext\n";
	struct spawn_fixture f;

	(void)open_script(
		&f, SPAWN_SCRIPT("cat >copy; (echo x >&0) 2>/dev/null && exit 67; "
				 "stat -L -c %%F /proc/self/fd/0 >kind"));
	(void)spawn_add(&f, SPAWN_SCRIPT("read line; echo \"$line\" >first"));
	(void)spawn_add(&f, SPAWN_SCRIPT(":"));
	spawn_start(&f);
	CHECK_REPLY("all", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	CHECK_STR("all", str_of(spawn_file(&f, "copy")), str_of(message));
	CHECK_STR("all", str_of(spawn_file(&f, "kind")), STR("regular file\n"));
	CHECK_REPLY("a line", spawn_reply(&f, 1, ""), "250 2.0.0 Ok");
	CHECK_STR("a line", str_of(spawn_file(&f, "first")), STR("Subject: test\n"));
	CHECK_REPLY("nothing", spawn_reply(&f, 2, ""), "250 2.0.0 Ok");
	end(&f);
}

static void test_arguments(void)
{
	static const struct str recipients[] = {
		STR("a;id@x"), STR("b$HOME@y"), STR("-c@z")};
	struct spawn_request r;
	struct spawn_fixture f;
	struct spawn_answer a;

	(void)open_script(
		&f, SPAWN_SCRIPT("for a; do echo \"<$a>\"; done >arguments; env >env"));
	spawn_start(&f);
	r = spawn_request(0, "x `id` \"$(id)\" ;*");
	r.local = r.domain = STR("");
	r.recipients = recipients;
	r.recipient_count = 3;
	CU_ASSERT(spawn_ask(&f, &r, &a) && a.code == 250);
	CHECK_STR("arguments", str_of(spawn_file(&f, "arguments")),
		STR("<x `id` \"$(id)\" ;*>\n<-->\n<a;id@x>\n<b$HOME@y>\n<-c@z>\n"));
	CHECK("environment", strstr(spawn_file(&f, "env"),
				     "RECIPIENTS=a;id@x\nb$HOME@y\n-c@z\n") != NULL);
	CHECK("environment", strstr(spawn_file(&f, "env"), "RECIPIENT=") == NULL);
	CHECK("environment", strstr(spawn_file(&f, "env"), "HOME=/") == NULL);
	end(&f);
}

static void set_signal(int number, void (*handler)(int))
{
	const struct sigaction action = {.sa_handler = handler};

	CU_ASSERT(sigaction(number, &action, NULL) == 0);
}

/* Nothing of ours: three descriptors, no signal, a session of its own. */
static void test_surroundings(void)
{
	static const int ignored[] = {SIGPIPE, SIGUSR1, SIGQUIT, SIGALRM, SIGSYS};
	struct spawn_fixture f;
	char where[64];
	long pid, group, session;

	(void)open_script(&f,
		SPAWN_SCRIPT("ls /proc/self/fd >fds; "
			     "grep -E '^Sig(Pnd|Blk|Ign)' /proc/self/status >signals; "
			     "cut -d' ' -f1,5,6 /proc/$$/stat >ids; "
			     "umask >umask; pwd >where"));
	spawn_add(&f, SPAWN_SCRIPT("test $(pwd) = / || exit 67"))->pipe.directory = "/";
	/* As some who start us leave it. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		set_signal(ignored[i], SIG_IGN);
	spawn_start(&f);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		set_signal(ignored[i], SIG_DFL);
	CHECK_REPLY("here", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	/* The last is that of the directory which ls reads. */
	CHECK_STR("descriptors", str_of(spawn_file(&f, "fds")), STR("0\n1\n2\n3\n"));
	CHECK_STR("signals", str_of(spawn_file(&f, "signals")),
		STR("SigPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n"
		    "SigIgn:\t0000000000000000\n"));
	CU_ASSERT(sscanf(spawn_file(&f, "ids"), "%ld %ld %ld", &pid, &group, &session) ==
		  3);
	CHECK("session", pid == group && pid == session);
	CHECK_STR("umask", str_of(spawn_file(&f, "umask")), STR("0077\n"));
	(void)snprintf(where, sizeof(where), "%s\n", f.dir);
	CHECK_STR("directory", str_of(spawn_file(&f, "where")), str_of(where));
	CHECK_REPLY("elsewhere", spawn_reply(&f, 1, ""), "250 2.0.0 Ok");
	end(&f);
}

/* Enough for 8 questions, and not for 700. */
#define FILES_MAX 128

/* How many descriptors a command of a spawner for so many questions may have. */
static long files_limit(size_t questions_max)
{
	struct rlimit usual, low;
	struct spawn_fixture f;
	long limit;

	(void)open_script(&f, SPAWN_SCRIPT("ulimit -n >limit"));
	f.settings.questions_max = questions_max;
	CU_ASSERT(getrlimit(RLIMIT_NOFILE, &usual) == 0);
	low = (struct rlimit){FILES_MAX, usual.rlim_max};
	CU_ASSERT(setrlimit(RLIMIT_NOFILE, &low) == 0);
	spawn_start(&f);
	CU_ASSERT(setrlimit(RLIMIT_NOFILE, &usual) == 0);
	CHECK_REPLY("limit", spawn_reply(&f, 0, ""), "250 2.0.0 Ok");
	limit = spawn_wait_number(&f, "limit");
	end(&f);
	return limit;
}

/* What the spawner itself needs does not matter. */
static void test_limit(void)
{
	CU_ASSERT_EQUAL(files_limit(700), files_limit(8));
}

/* A command does not outlive the spawner. */
static void test_death_of_the_spawner(void)
{
	struct spawn_fixture f;
	struct spawn_request r;
	int asker;
	long pid;

	(void)open_script(&f, SPAWN_SCRIPT("echo $$ >pid; exec sleep 1000"));
	spawn_start(&f);
	r = spawn_request(0, "");
	asker = spawn_post(&f, &r);
	pid = spawn_wait_number(&f, "pid");
	CU_ASSERT(kill(f.spawner, SIGKILL) == 0);
	CHECK_REPLY("the asker knows", spawn_hear(asker), "none");
	CHECK("the command", spawn_wait_end(pid));
	CU_ASSERT(waitpid(f.spawner, NULL, 0) == f.spawner);
	(void)fdio_close(&f.asker_fd);
	spawn_close(&f);
}

/* Signals of whoever ends the whole server do nothing to it, nor to commands. */
static void test_signals_to_the_spawner(void)
{
	static const int sent[] = {
		SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
	struct spawn_fixture f;

	(void)open_script(&f, SPAWN_SCRIPT("exit 67"));
	spawn_start(&f);
	CHECK_REPLY("before", spawn_reply(&f, 0, ""), "550 5.1.1 User unknown");
	for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		CU_ASSERT(kill(f.spawner, sent[i]) == 0);
	CHECK_REPLY("after", spawn_reply(&f, 0, ""), "550 5.1.1 User unknown");
	end(&f);
}

/* ----------------------------------------------------------------- timeouts */

#define SHORT_MS 100

/* TERM is obeyed by the command, and what is left of its group is killed. */
static void test_timeout(void)
{
	struct spawn_fixture f;
	uint64_t start_ms = clock_monotonic_ms();
	long child;

	open_script(&f,
		SPAWN_SCRIPT(
			"sh -c 'trap \"\" TERM; echo $$ >pid; sleep 1000; sleep 1000' &"
			"trap 'echo 5.7.1 late; exit 0' TERM; wait"))
		->pipe.timeout_ms = SHORT_MS;
	/* The command has to come as far as its trap. */
	spawn_add(&f, SPAWN_SCRIPT("exec sleep 1000"))->pipe.timeout_ms = SHORT_MS;
	f.sections[0].pipe.timeout_ms = 1000;
	spawn_start(&f);
	CHECK_REPLY(
		"handled", spawn_reply(&f, 0, ""), "451 4.3.0 The command took too long");
	child = spawn_wait_number(&f, "pid");
	CHECK("what it left", spawn_wait_end(child));
	CHECK_REPLY("not handled", spawn_reply(&f, 1, ""),
		"451 4.3.0 The command took too long");
	CHECK("in time", clock_monotonic_ms() - start_ms < SPAWN_KILL_AFTER_MS);
	CU_ASSERT(spawn_end(&f));
	CHECK("log", spawn_logged(&f, "how=timeout ms=") == 2);
	CHECK("log", spawn_logged(&f, "output=\"5.7.1 late\"") == 1);
	spawn_close(&f);
}

/* Then comes KILL.  Meanwhile others are answered. */
static void test_kill(void)
{
	struct spawn_fixture f;
	uint64_t start_ms = clock_monotonic_ms();
	struct spawn_request r;
	int asker;

	open_script(&f, SPAWN_SCRIPT("trap '' TERM; sleep 1000; sleep 1000"))
		->pipe.timeout_ms = SHORT_MS;
	(void)spawn_add(&f, SPAWN_SCRIPT("exit 67"));
	spawn_start(&f);
	r = spawn_request(0, "");
	asker = spawn_post(&f, &r);
	CHECK_REPLY("others", spawn_reply(&f, 1, ""), "550 5.1.1 User unknown");
	CHECK("others do not wait",
		clock_monotonic_ms() - start_ms < SPAWN_KILL_AFTER_MS);
	CHECK_REPLY("killed", spawn_hear(asker), "451 4.3.0 The command took too long");
	CHECK("not before",
		clock_monotonic_ms() - start_ms >= SHORT_MS + SPAWN_KILL_AFTER_MS);
	end(&f);
}

/* It holds the output, and is nobody's business when the command has ended. */
static void test_grandchild(void)
{
	struct spawn_fixture f;
	uint64_t start_ms = clock_monotonic_ms();
	long pid;

	(void)open_script(
		&f, SPAWN_SCRIPT("echo 5.7.1 said; (echo begun; exec sleep 1000) & "
				 "echo $! >pid; exit 1"));
	spawn_start(&f);
	CHECK_REPLY("at once", spawn_reply(&f, 0, ""), "550 5.7.1 said");
	CHECK("at once", clock_monotonic_ms() - start_ms < SPAWN_TIMEOUT_MS);
	pid = spawn_wait_number(&f, "pid");
	CHECK("left alone", kill((pid_t)pid, 0) == 0);
	end(&f);
	CHECK("still", kill((pid_t)pid, SIGKILL) == 0);
	CHECK("gone", spawn_wait_end(pid));
}

/* Who looks into a command with a debugger hears of its end first, maybe long before it
 * lets go of it.  Nobody else waits for that. */
static void test_traced(void)
{
	struct spawn_fixture f;
	struct spawn_request r;
	int asker, gate, status = 0;
	pid_t pid;

	(void)open_script(&f, SPAWN_SCRIPT("echo $$ >pid; read line <gate; exit 67"));
	(void)spawn_add(&f, SPAWN_SCRIPT("exit 0"));
	gate = spawn_gate(&f);
	spawn_start(&f);
	r = spawn_request(0, "");
	asker = spawn_post(&f, &r);
	pid = (pid_t)spawn_wait_number(&f, "pid");
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
		CU_ASSERT(fdio_write_all(gate, "\n", 1) == 0);
		CHECK("it has ended", spawn_wait_end(pid));
		for (int i = 0; i < 3; i++)
			CHECK_REPLY("others", spawn_reply(&f, 1, ""), "250 2.0.0 Ok");
		CHECK("not answered", !spawn_has_answer(asker));
		/* That lets it go. */
		CHECK("traced", waitpid(pid, &status, __WALL) == pid);
		CHECK("traced", WIFEXITED(status) && WEXITSTATUS(status) == 67);
	} else {
		/* Not everywhere may one do so. */
		CU_ASSERT(fdio_write_all(gate, "\n", 1) == 0);
	}
	CHECK_REPLY("in the end", spawn_hear(asker), "550 5.1.1 User unknown");
	(void)fdio_close(&gate);
	end(&f);
}

/* A command can open what it says for reading, and be there before us: then there is
 * nothing, and nobody waits for more. */
static void test_stolen_output(void)
{
	static const char said[] = "5.7.1 said\n";
	char scratch[64];
	struct job j;

	job_init(&j);
	output_init(&j.output);
	CU_ASSERT_FATAL(pipe2(j.output_fds, O_CLOEXEC) == 0);
	job_read(&j, scratch, sizeof(scratch));
	CHECK("nothing", output_head(&j.output).n == 0);
	CHECK("its own end is as it was",
		(fcntl(j.output_fds[1], F_GETFL) & O_NONBLOCK) == 0);
	CU_ASSERT(fdio_write_all(j.output_fds[1], said, sizeof(said) - 1) == 0);
	job_read(&j, scratch, sizeof(scratch));
	CHECK("something", j.output.has_said);
	job_done(&j);
}

/* One that has not even made its session can be ended too. */
static void test_kill_before_it_begins(void)
{
	struct job j;
	int status = 0;

	job_init(&j);
	j.state = JOB_TERMINATED;
	j.pid = fork();
	CU_ASSERT_FATAL(j.pid >= 0);
	if (j.pid == 0) {
		(void)pause();
		_exit(0);
	}
	job_hurry(&j, 0);
	CHECK("hurried", j.state == JOB_KILLED && j.deadline_ms == UINT64_MAX);
	CU_ASSERT(waitpid(j.pid, &status, 0) == j.pid);
	CHECK("killed", WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	job_done(&j);
}

/* What a large question needed is given back, what all need is kept. */
static void test_memory(void)
{
	struct job j;

	job_init(&j);
	CU_ASSERT(arena_alloc(&j.arena, JOB_ARENA_KEPT / 2) != NULL);
	job_drop(&j);
	CHECK("kept", j.arena.block != NULL && j.arena.used == 0);
	CU_ASSERT(arena_alloc(&j.arena, JOB_ARENA_MAX / 2) != NULL);
	job_drop(&j);
	CHECK("given back", j.arena.block == NULL && j.arena.used == 0);
	CU_ASSERT(arena_alloc(&j.arena, JOB_ARENA_MAX) != NULL);
	CHECK("the limit is as it was", arena_alloc(&j.arena, 1) == NULL);
	job_done(&j);
}

void suite_spawner(void)
{
	CU_pSuite s = CU_add_suite("spawner", NULL, NULL);

	CU_add_test(s, "statuses", test_statuses);
	CU_add_test(s, "signals", test_signals);
	CU_add_test(s, "programs", test_programs);
	CU_add_test(s, "output", test_output);
	CU_add_test(s, "flood", test_flood);
	CU_add_test(s, "input", test_input);
	CU_add_test(s, "arguments", test_arguments);
	CU_add_test(s, "surroundings", test_surroundings);
	CU_add_test(s, "limit", test_limit);
	CU_add_test(s, "death of the spawner", test_death_of_the_spawner);
	CU_add_test(s, "signals to the spawner", test_signals_to_the_spawner);
	CU_add_test(s, "timeout", test_timeout);
	CU_add_test(s, "kill", test_kill);
	CU_add_test(s, "grandchild", test_grandchild);
	CU_add_test(s, "kill before it begins", test_kill_before_it_begins);
	CU_add_test(s, "memory", test_memory);
	CU_add_test(s, "traced", test_traced);
	CU_add_test(s, "stolen output", test_stolen_output);
}
