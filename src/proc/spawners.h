/* The spawner processes of one generation: they run the commands of its pipe sections,
 * one process for each user that these name.  Seen from the master, which starts them,
 * and again when one has died. */
#ifndef SINKD_PROC_SPAWNERS_H
#define SINKD_PROC_SPAWNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/conf.h"
#include "proc/helper.h"
#include "proc/identity.h"

/* Exit statuses: it could not start, or not go on (it has logged why). */
#define SPAWNER_EXIT_SETUP  1
#define SPAWNER_EXIT_FAILED 3

/* Users of pipe sections. */
#define SPAWNERS_MAX 32

struct spawner {
	struct helper helper;
	struct identity identity;
	bool *is_ours; /* for each deliver section: its commands are run here */
	/* Both ends of the channel (base/ipc.h) stay open in the master: the next process
	 * takes the same one, with the questions that wait in it. */
	int asker_fd, helper_fd;
	/* Whether it is there: when it was last known to be, and when it was asked, 0:
	 * not yet. */
	uint64_t heard_ms, asked_ms;
	int ping_fd; /* for its answer, or -1 */
	bool is_doubted;
};

/* A zeroed one is empty. */
struct spawners {
	const struct config *config;
	bool is_daemon; /* standard error is for the start only */
	struct spawner *list;
	size_t count;
	int asker_fds[SPAWNERS_MAX]; /* one each, for who has to know them all */
	int *section_fds;            /* for each deliver section, or -1 */
};

/* s is zeroed, but for is_daemon: find the users, open the channels.  worker is who runs
 * the commands of sections that name nobody.  The configuration is kept by reference.
 * Returns 0, or a negative errno and in *ret_subject the user it is about (or "");
 * spawners_done is to be called in both cases. */
int spawners_open(struct spawners *s, const struct config *config,
	const struct identity *worker, const char **ret_subject);
/* The processes end too, and their commands with them; waits for that. */
void spawners_done(struct spawners *s);

/* Start the processes, and wait until each can answer.  Returns 0 or a negative errno;
 * what stopped one is in the log. */
int spawners_start(struct spawners *s);

/* See proc/helper.h.  One that does not answer any more is ended, and so replaced. */
bool spawners_note_exit(struct spawners *s, pid_t pid, int status, bool is_expected);
uint64_t spawners_tend(struct spawners *s, uint64_t now_ms);

#endif
