/* A job of the spawner: one question, and the run of a command that answers it. */
#ifndef SINKD_SPAWN_JOB_H
#define SINKD_SPAWN_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "delivery/delivery.h"
#include "spawn/command_line.h"
#include "spawn/output.h"
#include "spawn/start.h"
#include "spawn/verdict.h"

#define JOB_ID_SIZE 64

enum job_state {
	JOB_FREE,
	JOB_WAITING,    /* for its turn */
	JOB_RUNNING,    /* the command, until the deadline */
	JOB_TERMINATED, /* TERM was sent, and is obeyed until the deadline */
	JOB_KILLED,
	JOB_OVER, /* nothing is left of it but its place */
};

/* Lies in memory that is shared with children; but they write nothing else than the
 * error in start.  Descriptors are -1 when there is none. */
struct job {
	enum job_state state;
	size_t section;
	const struct delivery_settings *settings; /* of the section */
	char id[JOB_ID_SIZE];                     /* of the message */
	struct arena arena;                       /* for the command line */
	struct command_line line;
	struct start start;
	int answer_fd;
	int input_fd;                /* the message */
	int output_fds[2];           /* a pipe */
	bool is_output_non_blocking; /* our end of it */
	bool is_held;                /* it has ended, and a tracer has not let go of it */
	int pidfd;
	pid_t pid; /* 0: it was not started */
	uint64_t start_us;
	uint64_t deadline_ms; /* of the state; monotonic clock */
	struct output output;
};

/* Most memory for a command line; and what a place keeps of it for the next one. */
#define JOB_ARENA_MAX  (2 * 1024 * 1024)
#define JOB_ARENA_KEPT (32 * 1024)

void job_init(struct job *j);
void job_done(struct job *j);

/* Start the command of one that waits; directory NULL: where we are.  When that fails,
 * the answer says so, and the job is over. */
void job_start(struct job *j, const struct starter *starter, const char *directory);

/* There is output: take as much of it as there is, but for the size of scratch. */
void job_read(struct job *j, char *scratch, size_t size);

/* Its process has ended; what it said is read.  Give the answer; the job is over.  While
 * somebody traces the process the job is held instead: then try again after a while. */
void job_end(struct job *j);

/* Its deadline has come: go on to the next state.  For one that runs. */
void job_hurry(struct job *j, uint64_t now_ms);

/* Answer that nothing has been run: it took too long for its turn to come. */
void job_give_up(struct job *j);

/* Without an answer: who asked sees that.  For one that does not run. */
void job_drop(struct job *j);

static inline bool job_is_running(const struct job *j)
{
	return j->state == JOB_RUNNING || j->state == JOB_TERMINATED ||
	       j->state == JOB_KILLED;
}

#endif
