/* Jobs; see job.h.
 *
 * Runs in the spawner.  Commands are the administrator's, and may do what they like: end
 * or not, leave children behind, say nothing or far too much.  Nothing here waits for
 * one. */
#include "spawn/job.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/ipc.h"
#include "base/log.h"

#define LOG_FIELDS_MAX 9

static const char *const end_names[] = {
	[COMMAND_EXIT] = "exit",
	[COMMAND_SIGNAL] = "signal",
	[COMMAND_TIMEOUT] = "timeout",
	[COMMAND_START] = "start",
};

void job_init(struct job *j)
{
	*j = (struct job){
		.answer_fd = -1, .input_fd = -1, .output_fds = {-1, -1}, .pidfd = -1};
	arena_init(&j->arena, JOB_ARENA_MAX);
}

void job_done(struct job *j)
{
	job_drop(j);
	arena_done(&j->arena);
	start_done(&j->start);
}

void job_drop(struct job *j)
{
	(void)fdio_close(&j->input_fd);
	(void)fdio_close(&j->output_fds[0]);
	(void)fdio_close(&j->output_fds[1]);
	(void)fdio_close(&j->pidfd);
	(void)fdio_close(&j->answer_fd);
	/* Who asks may ask for much, and fill all places at once. */
	if (j->arena.used > JOB_ARENA_KEPT) {
		arena_done(&j->arena);
		arena_init(&j->arena, JOB_ARENA_MAX);
	}
	arena_rewind(&j->arena, (struct arena_mark){0});
	j->state = JOB_OVER;
}

/* ------------------------------------------------------------------- answer */

static void give_answer(struct job *j, const struct spawn_answer *a)
{
	struct ipc_question q = {.answer_fd = j->answer_fd};

	j->answer_fd = -1;
	/* Who is not there any more does not need it. */
	(void)ipc_answer(&q, a, sizeof(*a));
}

/* Real-time signals have no name. */
static struct log_field signal_field(int number)
{
	const char *name = sigabbrev_np(number);

	return name != NULL ? LOG_TEXT("signal", name) : LOG_NUM("signal", number);
}

static void log_end(struct job *j, enum command_end how, int number,
	const struct spawn_answer *a, uint64_t end_us)
{
	enum log_level level = a->code == 250 ? LOG_INFO : LOG_WARN;
	struct str output = output_head(&j->output);
	struct log_field f[LOG_FIELDS_MAX + 1] = {{0}};
	size_t n = 0;

	if (!log_is_on(level))
		return;
	f[n++] = LOG_TEXT("id", j->id);
	f[n++] = LOG_TEXT("delivery", j->settings->name);
	if (j->pid > 0)
		f[n++] = LOG_NUM("command_pid", j->pid);
	f[n++] = LOG_TEXT("how", end_names[how]);
	if (how == COMMAND_EXIT)
		f[n++] = LOG_NUM("status", number);
	else if (how == COMMAND_SIGNAL)
		f[n++] = signal_field(number);
	else if (how == COMMAND_START)
		f[n++] = LOG_ERRNO(number);
	if (how == COMMAND_START && j->pid > 0)
		f[n++] = LOG_TEXT("path", j->start.is_about_directory ? j->start.directory
								      : j->line.argv[0]);
	f[n++] = LOG_NUM("ms", (end_us - j->start_us) / 1000);
	f[n++] = LOG_NUM("code", a->code);
	if (output.n > 0)
		f[n++] = LOG_STR("output", output);
	log_write(level, EV_COMMAND_END, f);
}

/* Nobody waits for the log. */
static void conclude(struct job *j, enum command_end how, int number)
{
	const struct spawn_answer *said = j->output.has_said ? &j->output.said : NULL;
	uint64_t end_us = clock_monotonic_us();
	struct spawn_answer answer;

	verdict_make(how, number, said, &answer);
	give_answer(j, &answer);
	log_end(j, how, number, &answer, end_us);
	job_drop(j);
}

void job_give_up(struct job *j)
{
	const struct spawn_answer answer = {
		451, "4.3.2", "Too many commands are running"};

	give_answer(j, &answer);
	log_event(LOG_WARN, EV_COMMAND_REFUSED, LOG_TEXT("id", j->id),
		LOG_TEXT("delivery", j->settings->name),
		LOG_TEXT("reason", "too many are running"));
	job_drop(j);
}

/* ---------------------------------------------------------------------- run */

/* Returns 0 or a negative errno; the descriptors are closed with the job. */
static int start(struct job *j, const struct starter *starter, const char *directory)
{
	int r;

	/* The other end stays open: else its being closed, which comes just before a
	 * process ends, would wake us once more for each. */
	if (pipe2(j->output_fds, O_CLOEXEC) < 0)
		return -errno;
	j->start.starter = starter;
	j->start.line = &j->line;
	j->start.directory = directory;
	j->start.input_fd = j->input_fd;
	j->start.output_fd = j->output_fds[1];
	r = start_command(&j->start, &j->pid, &j->pidfd);
	(void)fdio_close(&j->input_fd);
	return r;
}

void job_start(struct job *j, const struct starter *starter, const char *directory)
{
	int r;

	j->pid = 0;
	j->is_output_non_blocking = false;
	j->is_held = false;
	j->start_us = clock_monotonic_us();
	output_init(&j->output);
	r = start(j, starter, directory);
	if (r < 0) {
		conclude(j, COMMAND_START, -r);
		return;
	}
	j->state = JOB_RUNNING;
	j->deadline_ms = j->start_us / 1000 + j->settings->pipe.timeout_ms;
}

void job_read(struct job *j, char *scratch, size_t size)
{
	ssize_t n;

	/* A command can open its output for reading too, and be there before us.  The
	 * flag is that of our end alone. */
	if (!j->is_output_non_blocking &&
		fcntl(j->output_fds[0], F_SETFL, O_NONBLOCK) < 0)
		return;
	j->is_output_non_blocking = true;
	n = fdio_read(j->output_fds[0], scratch, size);
	if (n > 0)
		output_add(&j->output, scratch, (size_t)n);
}

static void signal_group(const struct job *j, int signal)
{
	/* The pid is ours until it is reaped, and the group has its name for ever: who
	 * leads a session cannot leave. */
	if (kill(-j->pid, signal) < 0 && errno == ESRCH)
		/* It has not come as far as that. */
		(void)kill(j->pid, signal);
}

void job_hurry(struct job *j, uint64_t now_ms)
{
	if (j->state == JOB_RUNNING) {
		signal_group(j, SIGTERM);
		j->state = JOB_TERMINATED;
		j->deadline_ms = now_ms + SPAWN_KILL_AFTER_MS;
	} else {
		signal_group(j, SIGKILL);
		j->state = JOB_KILLED;
		j->deadline_ms = UINT64_MAX;
	}
}

void job_end(struct job *j)
{
	bool is_late = j->state != JOB_RUNNING;
	siginfo_t info = {0};
	int r;

	/* What is left of it. */
	if (is_late)
		signal_group(j, SIGKILL);
	do
		r = waitid(P_PIDFD, (id_t)j->pidfd, &info, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	/* Whoever traces it is told first (ptrace(2)), and may take its time. */
	j->is_held = r == 0 && info.si_pid == 0;
	if (j->is_held)
		return;
	/* It is our child, nobody else reaps, and it has ended. */
	assert(r == 0 && info.si_pid == j->pid);
	output_end(&j->output);
	if (j->start.error != 0)
		conclude(j, COMMAND_START, j->start.error);
	else if (is_late)
		conclude(j, COMMAND_TIMEOUT, 0);
	else if (info.si_code == CLD_EXITED)
		conclude(j, COMMAND_EXIT, info.si_status);
	else
		conclude(j, COMMAND_SIGNAL, info.si_status);
}
