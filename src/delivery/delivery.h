/* Delivery backends and the sink that puts a message into them.
 *
 * A worker opens every deliver section once, before it gives up its rights.  Then one
 * message at a time goes into the sections that were selected for it, in three steps:
 * all of them stage it (begin, chunk..., prepare), then those that run commands do so
 * (run), then all publish it (commit); end says what of it stays.
 * To add a backend: one file, one line in the registry of delivery.c; discard.c
 * is the one to copy. */
#ifndef SINKD_DELIVERY_DELIVERY_H
#define SINKD_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "smtp/sink.h"

struct envelope;
struct sinkd_backend;

enum line_ending { LINE_ENDING_LF, LINE_ENDING_CRLF };

/* Header fields a delivery can put in front of the message, as bits. */
enum header_field {
	HEADER_RETURN_PATH = 1,
	HEADER_DELIVERED_TO = 2,
	HEADER_RECEIVED = 4,
	HEADER_ORIGINAL_TO = 8, /* X-Original-To: recipients as they were sent */
	HEADER_ENVELOPE = 16,   /* X-Sinkd-Envelope: all that is known of the envelope */
};
#define DELIVERY_HEADERS_MAX 5

/* Where commands, and what they call, are looked for; not where we look ourselves, so
 * that the same file means the same for anyone. */
#define PIPE_PATH "/usr/local/bin:/usr/bin:/bin"

/* What a section of type "pipe" says of its command.  Lists end with NULL. */
struct pipe_settings {
	/* The program, an absolute path, and its arguments, with macros (macro.h). */
	const char *const *command;
	const char *const *environment; /* NAME=VALUE, besides what every command gets */
	const char *directory;          /* absolute; where it runs */
	const char *user;               /* NULL: that of the workers */
	uint64_t timeout_ms;            /* for a run, and before that for its turn */
	unsigned max_running;           /* at the same time */
	bool is_per_recipient;          /* a run for each, or one for all */
};

/* One deliver section.  Strings belong to the configuration. */
struct delivery_settings {
	const char *name;
	const struct delivery_backend *backend;
	const char *hostname; /* for file names, and for recipients without domain */
	bool is_required;     /* else its failures do not decide */
	/* all that write text */
	enum line_ending line_ending;
	enum header_field headers[DELIVERY_HEADERS_MAX]; /* in this order, then 0 */
	/* maildir */
	const char *path; /* template; see mailbox.h */
	bool has_sync;    /* fsync file and directory before OK */
	mode_t file_mode;
	struct pipe_settings pipe;
	/* module */
	const char *module;   /* its path */
	size_t module_number; /* among the modules of the configuration */
};

/* Who the workers will be, for directories that the master makes. */
struct delivery_owner {
	uid_t uid;
	gid_t gid;
};

/* What a worker has for its deliveries, besides their settings. */
struct delivery_env {
	const char *spool_dir; /* for large messages on their way to a command */
	/* One for each section: where its commands are asked for (spawn_request.h), or
	 * -1.  They stay the caller's. */
	const int *spawn_fds;
	/* One for each section, where the backend of its module will be before the first
	 * message; NULL: there are no modules. */
	const struct sinkd_backend *const *modules;
};

/* What a backend may do below its root. */
enum delivery_reach {
	DELIVERY_REACH_STORE,      /* make, write, move and remove */
	DELIVERY_REACH_STORE_READ, /* and read */
	DELIVERY_REACH_SPOOL,      /* make, write and remove files */
};

/* A directory below which a backend stores messages once its process may reach nothing
 * else: the descriptor, which stays the backend's, and what it needs there. */
struct delivery_root {
	int fd;
	enum delivery_reach reach;
};

/* A backend.  `state` is what open returned: one per worker and section.
 *
 *  prepare_host  in the master, before any fork, with its rights: make what is
 *                missing and give it to owner.  0 or a negative errno.  NULL:
 *                nothing to prepare.
 *  open          in the worker, before it gives up its rights; section is its number
 *                among the settings.  0 or a negative errno.
 *  root          after open: the root.  NULL: it needs none.
 *  check         in a process with a worker's rights: can a message be stored?
 *                0 or a negative errno.  NULL: always.
 *  clean         in a process with a worker's rights and time: remove what deliveries
 *                that never ended have left.  Adds how many files to *count.  0 or a
 *                negative errno.  NULL: nothing can be left.
 *  patience_ms   how long run may take for this message at the most.  NULL with run.
 *  close         frees state; takes NULL.
 *
 * For each message, results and keep being one for each recipient of the envelope:
 *
 *  begin    the envelope stays as it is, and where it is, until end.  Its recipients are
 *           those who are delivered here; who else there is shows in `whole`.  Not OK:
 *           there is no message in this section, and nothing more is asked of it.
 *  chunk    decoded text, line ends CR LF, any split.  Not OK: end follows.
 *  prepare  all that can fail without being seen outside: afterwards the message is on
 *           disk, unpublished.  Fills results[0..n).
 *  run      what cannot be taken back, for recipients with keep[i]; fills results for
 *           those.  NULL: nothing of the kind.
 *  commit   publish for recipients with keep[i], so that it can still be withdrawn;
 *           fills results for those.  OK means durable.
 *  end      the message is over, at whatever point: it stays published for those with
 *           keep[i], is withdrawn from others, and leaves nothing else behind.  keep
 *           NULL: from all.  Texts of results live until the next begin, or close. */
struct delivery_backend {
	const char *name;
	int (*prepare_host)(const struct delivery_settings *settings,
		const struct delivery_owner *owner);
	int (*open)(const struct delivery_settings *settings, size_t section,
		const struct delivery_env *env, void **ret_state);
	void (*root)(const void *state, struct delivery_root *ret);
	int (*check)(void *state);
	int (*clean)(void *state, uint64_t *count);
	uint64_t (*patience_ms)(const void *state, size_t recipient_count);
	void (*close)(void *state);
	struct smtp_result (*begin)(void *state, const struct envelope *envelope);
	struct smtp_result (*chunk)(void *state, const void *p, size_t n);
	void (*prepare)(void *state, struct smtp_result *results);
	void (*run)(void *state, const bool *keep, struct smtp_result *results);
	void (*commit)(void *state, const bool *keep, struct smtp_result *results);
	void (*end)(void *state, const bool *keep);
};

extern const struct delivery_backend delivery_discard;
extern const struct delivery_backend delivery_maildir;
extern const struct delivery_backend delivery_pipe;
extern const struct delivery_backend delivery_module;

/* The backend of that name in the configuration, or NULL. */
const struct delivery_backend *delivery_backend_find(const char *name);

/* All deliver sections, opened. */
struct delivery;

/* Make what is missing for all sections; see prepare_host.  On failure
 * *ret_failed is the section.  Does not log. */
int delivery_prepare_host(const struct delivery_settings *settings, size_t n,
	const struct delivery_owner *owner, size_t *ret_failed);

/* settings[0..n) and what env names are kept by reference.  Returns 0 or a negative
 * errno, and then *ret_failed is the section that could not be opened. */
int delivery_open(const struct delivery_settings *settings, size_t n,
	const struct delivery_env *env, struct delivery **ret, size_t *ret_failed);

/* The root of a section; false if it has none. */
bool delivery_root(const struct delivery *d, size_t section, struct delivery_root *ret);

int delivery_check(struct delivery *d, size_t *ret_failed);
void delivery_close(struct delivery *d);

/* Remove what deliveries that never ended have left in a section; see clean. */
int delivery_clean(struct delivery *d, size_t section, uint64_t *count);

/* Where recipients go that a hook has sent elsewhere (struct recipient, route): route 1
 * is routes[0], and so on; kept by reference.  None until then.  A message with a route
 * that there is not is refused with 451. */
struct delivery_route {
	const size_t *sections; /* each once, in this order */
	size_t count;           /* one at least */
};
void delivery_set_routes(
	struct delivery *d, const struct delivery_route *routes, size_t n);

/* Choose the sections for following messages, each once, in this order; kept by
 * reference.  Until then it is the first one. */
void delivery_select(struct delivery *d, const size_t *sections, size_t n);

/* Whether any of the recipients goes another way than the chosen one, or nowhere. */
bool delivery_has_detour(const struct envelope *envelope);

/* Write the names of the sections that these recipients of the envelope go to, each once,
 * with commas between; as many as there is room for. */
void delivery_write_names(const struct delivery *d, const struct envelope *envelope,
	size_t first, size_t count, char *out, size_t size);

/* How long the commands for the message in hand may take at the most; 0: there are
 * none. */
uint64_t delivery_patience_ms(const struct delivery *d);

/* The sink whose `user` is the struct delivery.
 *
 * The unit is the message, over all its routes, and with LMTP the recipient: a unit is as
 * good as the worst of its required sections, commands of a unit that has failed are not
 * run, and nothing stays published of it.  A section that is not required and fails is
 * left out, with a line in the log.  With LMTP a section that does not take the message,
 * and does not have all its recipients, is a failure of those it has, told by prepare.
 *
 * A recipient that is discarded is in no section, and OK.  With LMTP it may become so as
 * late as before prepare: then there is no command for it, and nothing published. */
extern const struct smtp_sink delivery_sink;

/* The backend has taken it. */
extern const struct smtp_result delivery_taken;

/* Results for local faults: 452 4.3.1 for a full disk (ENOSPC, EDQUOT, EFBIG),
 * 451 4.3.0 for all else.  error is a positive or negative errno. */
struct smtp_result delivery_local_fault(int error);

#endif
