/* System calls that fail when a test wants them to.
 *
 * The linker puts the functions of wraps.c before those of libc (--wrap), for the
 * code under test and for the tests; a call fails only in the process that armed a
 * fault and until it is disarmed.  A sweep fails the first, the second, ... of each
 * call, until a run gets by without reaching it. */
#ifndef SINKD_TESTS_FAULTS_H
#define SINKD_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All that can fail, by the names of libc; log_write is write(2) to the log, and
 * openat2 has no name there.  A new one needs a wrap and a line in local.mk. */
#define FAULT_CALLS(X)                                                                   \
	X(malloc)                                                                        \
	X(calloc)                                                                        \
	X(realloc)                                                                       \
	X(write)                                                                         \
	X(log_write)                                                                     \
	X(read)                                                                          \
	X(fsync)                                                                         \
	X(close)                                                                         \
	X(lseek)                                                                         \
	X(copy_file_range)                                                               \
	X(open)                                                                          \
	X(openat)                                                                        \
	X(openat2)                                                                       \
	X(mkdirat)                                                                       \
	X(linkat)                                                                        \
	X(unlinkat)                                                                      \
	X(renameat2)                                                                     \
	X(fchmod)                                                                        \
	X(fchownat)                                                                      \
	X(faccessat)                                                                     \
	X(socket)                                                                        \
	X(bind)                                                                          \
	X(listen)                                                                        \
	X(getsockname)                                                                   \
	X(setsockopt)                                                                    \
	X(accept4)                                                                       \
	X(recv)                                                                          \
	X(send)                                                                          \
	X(shutdown)                                                                      \
	X(epoll_create1)                                                                 \
	X(epoll_ctl)                                                                     \
	X(epoll_wait)                                                                    \
	X(poll)                                                                          \
	X(ppoll)                                                                         \
	X(pipe2)                                                                         \
	X(memfd_create)                                                                  \
	X(ftruncate)                                                                     \
	X(mmap)                                                                          \
	X(madvise)                                                                       \
	X(fcntl)                                                                         \
	X(fork)                                                                          \
	X(signalfd)                                                                      \
	X(sigaction)                                                                     \
	X(sigprocmask)                                                                   \
	X(close_range)                                                                   \
	X(prctl)                                                                         \
	X(getrandom)                                                                     \
	X(setgroups)                                                                     \
	X(setresgid)                                                                     \
	X(setresuid)                                                                     \
	X(socketpair)                                                                    \
	X(sendmsg)                                                                       \
	X(recvmsg)                                                                       \
	X(pread)                                                                         \
	X(fstat)                                                                         \
	X(setrlimit)                                                                     \
	X(clone)                                                                         \
	X(waitid)

enum fault_call {
#define FAULT_ENUM(name) CALL_##name,
	FAULT_CALLS(FAULT_ENUM)
#undef FAULT_ENUM
		FAULT_CALL_COUNT,
};
_Static_assert(FAULT_CALL_COUNT <= 64, "a set of calls has 64 bits");

#define FAULT_BIT(call) (UINT64_C(1) << (call))

/* Instead of an errno: the call does half of what it was asked for. */
#define FAULT_SHORT 0

/* The nth of these calls fails; is_lasting: and all that follow.
 * is_harmless: nobody may notice. */
struct fault {
	uint64_t calls;
	int error;
	unsigned nth;
	bool is_lasting;
	bool is_harmless;
};

/* Before anything else; children share what is counted. */
void faults_init(void);

/* In this process: fault, and the weakness (calls 0: none), which is how a
 * machine is and not what is tested. */
void faults_arm(const struct fault *fault, const struct fault *weakness);
void faults_disarm(void);

/* In the child that this process forks next; or in this process, from now on. */
void faults_arm_in_child(const struct fault *fault);
void faults_arm_process(pid_t pid, const struct fault *fault);

/* Whether the fault has been met since it was armed, by a call that was not the
 * log's. */
bool faults_has_struck(void);

/* For what a test does itself in the middle of the code under test. */
void faults_pause(bool is_paused);

/* For wraps.c: whether this call fails; errno is set then.  And in a child. */
bool faults_strike(enum fault_call call);
void faults_note_child(void);

/* Called before each recv that waits on this descriptor, or the poll in its stead, for a
 * client that lives in the same process. */
extern void (*faults_before_recv)(int fd);

/* One run of a scene with a fault that is to be armed in it.  It checks what it
 * finds afterwards. */
typedef void (*fault_run_fn)(void *user, const struct fault *fault);

/* Fail the calls one by one, with all that each may say.  Prints how many places
 * it reached. */
void faults_sweep(const char *scene, uint64_t calls, fault_run_fn run, void *user);

/* All of the calls fail from the nth on: a disk that died. */
void faults_sweep_lasting(
	const char *scene, uint64_t calls, int error, fault_run_fn run, void *user);

/* The end of a program: the exit status, 1 when a check failed or one of these
 * calls was reached nowhere. */
int faults_conclude(uint64_t calls);

/* A claim about what a run left behind.  A false one is printed with the scene
 * and the fault, and the program will fail. */
void faults_check(bool holds, const char *claim, const char *file, int line);
#define FAIL(text)   faults_check(false, (text), __FILE__, __LINE__)
#define CHECK(claim) faults_check((claim), #claim, __FILE__, __LINE__)

#endif
