/* A worker: the life of one child process. */
#ifndef SINKD_PROC_WORKER_H
#define SINKD_PROC_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/conf.h"
#include "net/listener.h"
#include "proc/identity.h"
#include "proc/sandbox.h"

/* Exit statuses, a protocol with the master: ended as it should, could not start, or
 * could not go on (it has logged why).  2 is SANDBOX_EXIT_TRAPPED. */
#define WORKER_EXIT_DONE   0
#define WORKER_EXIT_SETUP  1
#define WORKER_EXIT_FAILED 3

/* All that a worker gets from its master; what is pointed to never changes. */
struct worker_env {
	const struct config *config;
	const struct listener *listeners;
	size_t listener_count;
	const struct identity *identity;
	const struct sandbox *sandbox;
	pid_t master;
	bool is_daemon;  /* standard error is for the start only */
	unsigned number; /* from 1; for its title and its slot */
	uint32_t generation;
	int quit_fd;  /* non-blocking; see worker.c */
	int ready_fd; /* takes our pid, once, when we are idle */
	int board_fd;
	int slots_fd; /* our page is the one at number - 1 */
	int wake_fd;  /* non-blocking: an eventfd for the master's attention */
	int counters_fd;
	const struct tls *tls; /* NULL: no listener has TLS */
	struct sasl *sasl;     /* this worker's copy; NULL: no listener has AUTH */
	int keys_fd;           /* its keys are asked for there; -1 without TLS */
	/* For commands: the channels of all spawners, and that of each deliver section.
	 */
	const int *spawner_fds;
	size_t spawner_count;
	const int *section_fds;
	int connector_fd;              /* to policy services; -1: there is none */
	const uint16_t *rule_numbers;  /* of the rules of config, see rulebook.h */
	uint64_t client_key_secret[2]; /* for the keys of clients, see counters.h */
};

/* Never returns. */
void worker_main(const struct worker_env *env) __attribute__((noreturn));

#endif
