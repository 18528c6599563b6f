/* A spawner with commands for tests: in a process of its own, asked as workers do. */
#ifndef SINKD_TESTS_SPAWN_FIXTURE_H
#define SINKD_TESTS_SPAWN_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "delivery/delivery.h"
#include "delivery/spawn_request.h"
#include "spawn/spawner.h"

#define SPAWN_SECTIONS_MAX 8
#define SPAWN_TIMEOUT_MS   20000 /* of commands, where a test says nothing else */

/* What the spawner's process found wrong with itself, after an orderly end. */
#define SPAWN_EXIT_CLEAN 0

struct spawn_fixture {
	char dir[40]; /* where the spawner is, and its log */
	struct delivery_settings sections[SPAWN_SECTIONS_MAX];
	bool is_ours[SPAWN_SECTIONS_MAX];
	struct spawner_settings settings;
	int asker_fd;
	pid_t spawner;
};

/* Make the directory; then add sections, and start. */
void spawn_open(struct spawn_fixture *f);

/* A section with this command, ended by NULL and kept by reference: it runs in the
 * directory.  Returns what may still be changed; its number is its place. */
struct delivery_settings *spawn_add(struct spawn_fixture *f, const char *const *command);

/* A shell runs the script, with the arguments %{helo} and %{recipients}. */
#define SPAWN_SCRIPT(script)                                                             \
	((const char *const[]){"/bin/sh", "-c", (script), "sh", "%{helo}", "--",         \
		"%{recipients}", NULL})

void spawn_start(struct spawn_fixture *f);

/* Let nobody ask any more, and wait until the spawner has ended.  False if it did not
 * end as it should, with a child or a descriptor left over. */
bool spawn_end(struct spawn_fixture *f);

/* Remove the directory. */
void spawn_close(struct spawn_fixture *f);

/* A question as it should be, asked now. */
struct spawn_request spawn_request(size_t section, const char *helo);

/* A message with this text, as workers spool it. */
int spawn_message(const char *text);

/* Ask with any descriptors; as ipc_ask. */
ssize_t spawn_ask_with(const struct spawn_fixture *f, const struct spawn_request *r,
	const int *fds, size_t fd_count, struct spawn_answer *ret);

/* Ask with a message.  False when there was no answer. */
bool spawn_ask(const struct spawn_fixture *f, const struct spawn_request *r,
	struct spawn_answer *ret);

/* The same with spawn_request, and the answer as a line "451 4.3.0 text"; "none" without.
 * Valid until the next call. */
const char *spawn_reply(const struct spawn_fixture *f, size_t section, const char *helo);

/* Ask now, and hear the answer later: with the descriptor that the first returns, which
 * the second closes. */
int spawn_post(const struct spawn_fixture *f, const struct spawn_request *r);
const char *spawn_hear(int fd);

/* Whether there is anything to hear already. */
bool spawn_has_answer(int fd);

/* A FIFO "gate" in the directory, open for both: for what commands wait. */
int spawn_gate(const struct spawn_fixture *f);

/* What a file in the directory holds, "" if there is none; valid until the next call. */
const char *spawn_file(const struct spawn_fixture *f, const char *name);

/* Wait until a command has written a whole line into that file; then the number in it. */
long spawn_wait_number(const struct spawn_fixture *f, const char *name);

/* Wait until this process has ended, which need not be a child.  False if it does not. */
bool spawn_wait_end(long pid);

/* Lines of the log with this in them. */
unsigned spawn_logged(const struct spawn_fixture *f, const char *what);

#endif
