/* limit_maildir: how many messages a second can be stored here so that they outlive a
 * loss of power.
 *
 *   limit_maildir [-c AT-ONCE] [-s SIZE] [-t SECONDS] [-n TOTAL] DIRECTORY
 *
 * AT-ONCE processes, each of which writes SIZE octets to a new file in DIRECTORY/tmp,
 * syncs it, renames it to DIRECTORY/new and syncs that directory, again and again.  The
 * two directories are made; what is stored stays.  Prints JSON.  Exit status: 0, 1 when
 * anything went wrong, 2 for wrong options.
 *
 * No client and no reply: what a server does for a message comes on top of this. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "limit.h"

#define USAGE "limit_maildir [-c AT-ONCE] [-s SIZE] [-t SECONDS] [-n TOTAL] DIRECTORY"

struct maildir {
	int tmp_fd, new_fd;
};

/* Of all processes. */
struct tally {
	_Atomic uint64_t begun;
	_Atomic uint64_t stored;
	_Atomic uint64_t last_us; /* when a message was on the disk */
};

static int make_directory(const char *parent, const char *name)
{
	int parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (parent_fd < 0 || mkdirat(parent_fd, name, 0700) < 0)
		limit_fail(name);
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		limit_fail(name);
	(void)fdio_close(&parent_fd);
	return fd;
}

static void store(const struct maildir *m, const char *name, const char *text, size_t n)
{
	int fd = openat(m->tmp_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || fdio_write_all(fd, text, n) < 0 || fdio_fsync(fd) < 0 ||
		fdio_close(&fd) < 0)
		limit_fail(name);
	if (renameat(m->tmp_fd, name, m->new_fd, name) < 0 || fdio_fsync(m->new_fd) < 0)
		limit_fail(name);
}

/* One of the processes. */
static void store_all(const struct limit_options *o, const struct maildir *m,
	struct tally *tally, uint64_t start_us)
{
	const char *text = limit_make_message(o->size_bytes);

	for (;;) {
		uint64_t number = atomic_fetch_add(&tally->begun, 1);
		char name[64];

		if (!limit_allows(o, number, start_us))
			return;
		/* As long as names in a maildir are. */
		(void)snprintf(name, sizeof(name), "%" PRIu64 ".P%dQ%" PRIu64 ".limit",
			start_us, getpid(), number);
		store(m, name, text, o->size_bytes);
		atomic_store(&tally->last_us, clock_monotonic_us());
		(void)atomic_fetch_add(&tally->stored, 1);
	}
}

static bool have_all_succeeded(uint64_t processes)
{
	bool is_right = true;
	int status;

	for (; processes > 0; processes--)
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			is_right = false;
	return is_right;
}

int main(int argc, char **argv)
{
	struct limit_options o = {.at_once = 50, .size_bytes = 10240, .seconds = 2};
	struct tally *tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct maildir m;
	uint64_t start_us;

	limit_take_options(argc, argv, USAGE, &o);
	if (tally == MAP_FAILED)
		limit_fail("memory");
	m.tmp_fd = make_directory(o.rest[0], "tmp");
	m.new_fd = make_directory(o.rest[0], "new");
	start_us = clock_monotonic_us();
	for (uint64_t i = 0; i < o.at_once; i++) {
		pid_t pid = fork();

		if (pid < 0)
			limit_fail("fork");
		if (pid == 0) {
			/* Whoever ends us ends all. */
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			store_all(&o, &m, tally, start_us);
			_exit(0);
		}
	}
	if (!have_all_succeeded(o.at_once))
		return 1;
	limit_report(tally->stored, tally->last_us - start_us);
	return 0;
}
