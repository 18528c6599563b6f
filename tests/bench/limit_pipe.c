/* limit_pipe: how many commands a second this machine can run, one per message.
 *
 *   limit_pipe [-c AT-ONCE] [-s SIZE] [-t SECONDS] [-n TOTAL] COMMAND [ARGUMENT...]
 *
 * Keeps AT-ONCE commands running: each gets a new memfd with SIZE octets as its
 * standard input, is started by vfork(2) and execve(2), and is waited for.  Its output
 * goes nowhere, its environment is empty.  Prints JSON.  Exit status: 0, 1 when a
 * command did not succeed, 2 for wrong options.
 *
 * No client, no reply, no reading of output: what a server does for a message comes on
 * top of this. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "limit.h"

#define USAGE                                                                            \
	"limit_pipe [-c AT-ONCE] [-s SIZE] [-t SECONDS] [-n TOTAL] COMMAND "             \
	"[ARGUMENT...]"

static void start_command(char **argv, const char *text, size_t n)
{
	static char *const environment[] = {NULL};
	int message = memfd_create("message", MFD_CLOEXEC);
	pid_t pid;

	/* At a place: the command reads from the beginning. */
	if (message < 0 || pwrite(message, text, n, 0) != (ssize_t)n)
		limit_fail("memfd");
	pid = vfork();
	if (pid == 0) {
		if (dup2(message, STDIN_FILENO) == STDIN_FILENO)
			(void)execve(argv[0], argv, environment);
		_exit(127);
	}
	if (pid < 0)
		limit_fail("vfork");
	(void)fdio_close(&message);
}

static void wait_for_one(void)
{
	int status;

	if (wait(&status) < 0)
		limit_fail("wait");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		errno = ECHILD;
		limit_fail("a command did not succeed");
	}
}

/* What we print goes on to where it should, what the commands print to nowhere. */
static int turn_output_away(void)
{
	int ours = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (ours < 0 || nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0)
		limit_fail("output");
	return ours;
}

int main(int argc, char **argv)
{
	struct limit_options o = {.at_once = 16, .size_bytes = 1024, .seconds = 2};
	uint64_t start_us, running = 0, begun = 0;
	const char *text;
	int output;

	limit_take_options(argc, argv, USAGE, &o);
	text = limit_make_message(o.size_bytes);
	output = turn_output_away();
	start_us = clock_monotonic_us();
	while (limit_allows(&o, begun, start_us)) {
		if (running == o.at_once) {
			wait_for_one();
			running--;
		}
		start_command(o.rest, text, o.size_bytes);
		begun++;
		running++;
	}
	for (; running > 0; running--)
		wait_for_one();
	if (dup2(output, STDOUT_FILENO) < 0)
		limit_fail("output");
	limit_report(begun, clock_monotonic_us() - start_us);
	return 0;
}
