/* Which call fails, and the loops over all of them; see faults.h.
 *
 * The state is shared with children, so that a parent learns what its child has
 * reached; the pid in it keeps all others out. */
#include "faults.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef WITH_SANITIZERS
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

#define ERRORS_MAX   6
#define FAILURES_MAX 20

#define SEEN(e)                                                                          \
	{                                                                                \
		(e), false                                                               \
	}
#define HARMLESS(e)                                                                      \
	{                                                                                \
		(e), true                                                                \
	}

static const char *const names[] = {
#define FAULT_NAME(name) [CALL_##name] = #name,
	FAULT_CALLS(FAULT_NAME)
#undef FAULT_NAME
};

/* What each call may plausibly say, ended by a zeroed one that is not harmless. */
static const struct call_error {
	int error;
	bool is_harmless;
} errors[FAULT_CALL_COUNT][ERRORS_MAX] = {
	[CALL_malloc] = {SEEN(ENOMEM)},
	[CALL_calloc] = {SEEN(ENOMEM)},
	[CALL_realloc] = {SEEN(ENOMEM)},
	[CALL_write] = {SEEN(ENOSPC), SEEN(EIO), HARMLESS(EINTR), HARMLESS(FAULT_SHORT)},
	[CALL_log_write] = {HARMLESS(ENOSPC), HARMLESS(EINTR), HARMLESS(FAULT_SHORT)},
	[CALL_read] = {SEEN(EIO), HARMLESS(EINTR)},
	[CALL_fsync] = {SEEN(EIO), SEEN(ENOSPC), HARMLESS(EINTR)},
	[CALL_close] = {SEEN(EIO), SEEN(ENOSPC), HARMLESS(EINTR)},
	[CALL_lseek] = {SEEN(EIO)},
	[CALL_copy_file_range] = {SEEN(ENOSPC), SEEN(EIO), HARMLESS(EXDEV),
		HARMLESS(EINTR), HARMLESS(FAULT_SHORT)},
	[CALL_open] = {SEEN(EMFILE), SEEN(EACCES), SEEN(EIO)},
	[CALL_openat] = {SEEN(EMFILE), SEEN(ENOSPC), SEEN(EACCES)},
	[CALL_openat2] = {SEEN(EMFILE), SEEN(EIO), HARMLESS(ENOSYS)},
	[CALL_mkdirat] = {SEEN(ENOSPC), SEEN(EACCES)},
	[CALL_linkat] = {SEEN(EIO), SEEN(EMLINK)},
	[CALL_unlinkat] = {SEEN(EIO)},
	[CALL_renameat2] = {SEEN(EIO), SEEN(ENOSPC), HARMLESS(EINVAL), HARMLESS(ENOSYS)},
	[CALL_fchmod] = {SEEN(EPERM)},
	[CALL_fchownat] = {SEEN(EPERM)},
	[CALL_faccessat] = {SEEN(EACCES)},
	[CALL_socket] = {SEEN(EMFILE)},
	[CALL_bind] = {SEEN(EADDRINUSE), SEEN(EACCES)},
	[CALL_listen] = {SEEN(EADDRINUSE)},
	[CALL_getsockname] = {SEEN(ENOBUFS)},
	[CALL_setsockopt] = {SEEN(ENOMEM)},
	[CALL_accept4] = {HARMLESS(EMFILE), HARMLESS(ENOMEM), HARMLESS(ECONNABORTED),
		HARMLESS(EINTR), HARMLESS(EAGAIN)},
	[CALL_recv] = {SEEN(ECONNRESET), SEEN(ETIMEDOUT), HARMLESS(EINTR),
		HARMLESS(EAGAIN)},
	[CALL_send] = {SEEN(ECONNRESET), SEEN(EPIPE), HARMLESS(EINTR), HARMLESS(EAGAIN),
		HARMLESS(FAULT_SHORT)},
	[CALL_shutdown] = {SEEN(ENOTCONN)},
	[CALL_epoll_create1] = {SEEN(EMFILE)},
	[CALL_epoll_ctl] = {SEEN(ENOMEM), SEEN(ENOSPC)},
	[CALL_epoll_wait] = {SEEN(EINVAL), HARMLESS(EINTR)},
	[CALL_poll] = {SEEN(ENOMEM), HARMLESS(EINTR)},
	[CALL_ppoll] = {HARMLESS(EINTR), HARMLESS(ENOMEM)},
	[CALL_pipe2] = {SEEN(EMFILE)},
	[CALL_memfd_create] = {SEEN(EMFILE)},
	[CALL_ftruncate] = {SEEN(ENOMEM)},
	[CALL_mmap] = {SEEN(ENOMEM)},
	[CALL_madvise] = {SEEN(EINVAL)},
	[CALL_fcntl] = {SEEN(EINVAL)},
	[CALL_fork] = {SEEN(EAGAIN)},
	[CALL_signalfd] = {SEEN(EMFILE)},
	[CALL_sigaction] = {SEEN(EINVAL)},
	[CALL_sigprocmask] = {SEEN(EINVAL)},
	[CALL_close_range] = {SEEN(ENOMEM)},
	[CALL_prctl] = {SEEN(EINVAL)},
	[CALL_getrandom] = {SEEN(ENOSYS)},
	[CALL_setgroups] = {SEEN(EPERM)},
	[CALL_setresgid] = {SEEN(EAGAIN)},
	[CALL_setresuid] = {SEEN(EAGAIN)},
	[CALL_socketpair] = {SEEN(EMFILE), SEEN(ENOMEM)},
	[CALL_sendmsg] = {SEEN(ETOOMANYREFS), SEEN(EPIPE), HARMLESS(EINTR),
		HARMLESS(EAGAIN)},
	[CALL_recvmsg] = {SEEN(ENOMEM), HARMLESS(EINTR)},
	[CALL_pread] = {SEEN(EIO)},
	[CALL_fstat] = {SEEN(EIO)},
	[CALL_setrlimit] = {SEEN(EPERM)},
	[CALL_clone] = {SEEN(EAGAIN), SEEN(ENOMEM)},
	[CALL_waitid] = {HARMLESS(EINTR)},
};

static struct shared {
	pid_t armed; /* 0: nobody */
	bool is_for_child;
	bool is_paused;
	bool has_struck;
	struct fault fault;
	struct fault weakness;
	unsigned count;          /* calls of the fault */
	unsigned weakness_count; /* calls of the weakness */
} * shared;

void (*faults_before_recv)(int fd);

/* For what is printed. */
static const char *scene_name = "";
static const struct fault *scene_fault;
static unsigned failures;
static unsigned total_places;
static unsigned places_of[FAULT_CALL_COUNT];

void faults_init(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		exit(99);
	}
}

void faults_arm(const struct fault *fault, const struct fault *weakness)
{
	*shared = (struct shared){
		.fault = *fault, .weakness = *weakness, .armed = getpid()};
}

void faults_disarm(void)
{
	shared->armed = 0;
	shared->is_for_child = false;
}

void faults_arm_in_child(const struct fault *fault)
{
	*shared = (struct shared){.fault = *fault, .is_for_child = true};
}

void faults_arm_process(pid_t pid, const struct fault *fault)
{
	*shared = (struct shared){.fault = *fault, .armed = pid};
}

void faults_note_child(void)
{
	if (shared == NULL || !shared->is_for_child)
		return;
	shared->is_for_child = false;
	shared->armed = getpid();
}

bool faults_has_struck(void)
{
	return shared->has_struck;
}

void faults_pause(bool is_paused)
{
	shared->is_paused = is_paused;
}

#ifdef WITH_SANITIZERS
/* What has been freed is kept to be watched, 256 MB of it after hundreds of runs, and
 * each fork copies their page tables.  A run does not free as much as this. */
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4";
}

/* LeakSanitizer asks at the end of each process.  What leaks when a call fails, leaks
 * where it fails; to look through the others, all forked by that one, takes half of the
 * time. */
int __lsan_is_turned_off(void)
{
	return shared != NULL && shared->armed != 0 && shared->armed != getpid();
}
#endif

static bool is_due(const struct fault *f, enum fault_call call, unsigned *count)
{
	if ((f->calls & FAULT_BIT(call)) == 0)
		return false;
	++*count;
	return *count == f->nth || (f->is_lasting && *count > f->nth);
}

bool faults_strike(enum fault_call call)
{
	if (shared == NULL || shared->armed == 0 || shared->is_paused ||
		shared->armed != getpid())
		return false;
	if (is_due(&shared->fault, call, &shared->count)) {
		shared->has_struck = true;
		errno = shared->fault.error;
		return true;
	}
	if (is_due(&shared->weakness, call, &shared->weakness_count)) {
		errno = shared->weakness.error;
		return true;
	}
	return false;
}

static void print_fault(const struct fault *f)
{
	for (unsigned call = 0; call < FAULT_CALL_COUNT; call++)
		if (f->calls & FAULT_BIT(call))
			printf("%s ", names[call]);
	printf("%u: %s%s", f->nth,
		f->error == FAULT_SHORT ? "short" : strerrorname_np(f->error),
		f->is_lasting ? " from there on" : "");
}

void faults_check(bool holds, const char *claim, const char *file, int line)
{
	if (holds)
		return;
	printf("\n%s:%d: [%s", file, line, scene_name);
	if (scene_fault != NULL && scene_fault->nth > 0) {
		printf(", ");
		print_fault(scene_fault);
	}
	printf("] %s\n", claim);
	(void)fflush(stdout);
	if (++failures == FAILURES_MAX) {
		printf("and so on\n");
		exit(1);
	}
}

/* Returns how many places were reached with this fault. */
static unsigned sweep_one(struct fault fault, fault_run_fn run, void *user)
{
	scene_fault = &fault;
	for (fault.nth = 1;; fault.nth++) {
		shared->has_struck = false;
		run(user, &fault);
		faults_disarm();
		if (!faults_has_struck())
			break;
	}
	scene_fault = NULL;
	return fault.nth - 1;
}

static unsigned sweep_call(enum fault_call call, fault_run_fn run, void *user)
{
	unsigned most = 0;

	for (size_t i = 0; i < ERRORS_MAX; i++) {
		const struct call_error *e = &errors[call][i];
		struct fault fault = {.calls = FAULT_BIT(call),
			.error = e->error,
			.is_harmless = e->is_harmless};
		unsigned places;

		if (e->error == 0 && !e->is_harmless)
			break;
		places = sweep_one(fault, run, user);
		if (places > most)
			most = places;
		if (places == 0)
			break;
	}
	return most;
}

void faults_sweep(const char *scene, uint64_t calls, fault_run_fn run, void *user)
{
	scene_name = scene;
	printf("%s:", scene);
	(void)fflush(stdout); /* or children would print it too */
	for (unsigned call = 0; call < FAULT_CALL_COUNT; call++) {
		unsigned places;

		if ((calls & FAULT_BIT(call)) == 0)
			continue;
		places = sweep_call((enum fault_call)call, run, user);
		places_of[call] += places;
		total_places += places;
		if (places > 0)
			printf(" %s %u", names[call], places);
		(void)fflush(stdout);
	}
	printf("\n");
	(void)fflush(stdout);
}

void faults_sweep_lasting(
	const char *scene, uint64_t calls, int error, fault_run_fn run, void *user)
{
	const struct fault fault = {.calls = calls, .error = error, .is_lasting = true};
	unsigned places;

	scene_name = scene;
	places = sweep_one(fault, run, user);
	total_places += places;
	printf("%s: %s from the Nth call on, %u places\n", scene, strerrorname_np(error),
		places);
	(void)fflush(stdout);
}

int faults_conclude(uint64_t calls)
{
	for (unsigned call = 0; call < FAULT_CALL_COUNT; call++)
		if ((calls & FAULT_BIT(call)) != 0 && places_of[call] == 0) {
			printf("%s was reached nowhere\n", names[call]);
			failures++;
		}
	printf("%u places, %u failures\n", total_places, failures);
	return failures == 0 ? 0 : 1;
}
