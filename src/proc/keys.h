/* The keys processes: they have the private keys of one generation, and sign for its
 * workers.  Seen from the master, which starts them, and again when one has died.
 *
 * Each takes the next question when it has answered one.  A signature of RSA keeps a
 * processor busy for a millisecond or more, so there are as many as can be at it at the
 * same time, within reason. */
#ifndef SINKD_PROC_KEYS_H
#define SINKD_PROC_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "keys/keyring.h"
#include "proc/helper.h"
#include "proc/identity.h"
#include "proc/sandbox.h"

/* Exit statuses: it could not start, or not go on (it has logged why).  2 is
 * SANDBOX_EXIT_TRAPPED; it never ends by itself. */
#define KEYS_EXIT_SETUP  1
#define KEYS_EXIT_FAILED 3

#define KEYS_PROCESSES_MAX 8

struct keys {
	struct helper helpers[KEYS_PROCESSES_MAX];
	unsigned count; /* of those in use */
	/* Both ends of the channel (base/ipc.h) stay open in the master: the next process
	 * takes the same one, with the questions that wait in it. */
	int asker_fd, helper_fd; /* -1: no keys, no process */
	struct sandbox sandbox;
};

#define KEYS_NONE ((struct keys){.asker_fd = -1, .helper_fd = -1})

/* k is KEYS_NONE: open the channel, and build the sandbox.  Returns 0 or a negative
 * errno; keys_done is to be called in both cases. */
int keys_open(struct keys *k, enum sandbox_level level);
/* The processes end too; waits for that. */
void keys_done(struct keys *k);

/* What a process gets from its master. */
struct keys_env {
	const struct keyring *keyring;
	const struct identity *identity;
	bool is_daemon; /* standard error is for the start only */
};

/* Start the processes, and wait until each can sign.  Returns 0, or a negative errno;
 * what stopped one is in the log. */
int keys_start(struct keys *k, const struct keys_env *env);

/* A child has ended.  Returns whether it was one of these, which then is logged;
 * is_expected: that it was killed is nothing odd. */
bool keys_note_exit(struct keys *k, pid_t pid, int status, bool is_expected);

/* Start the next ones, if some are due.  Returns when to look again, UINT64_MAX for
 * never.
 */
uint64_t keys_tend(struct keys *k, const struct keys_env *env, uint64_t now_ms);

#endif
