/* Delivery backends and the sink that puts a message into one of them.
 *
 * A worker opens every deliver section once, before it gives up its rights;
 * then one message at a time goes begin, chunk..., prepare, commit or abort.
 * To add a backend: one file, one line in the registry of delivery.c; discard.c
 * is the one to copy. */
#ifndef SINKD_DELIVERY_DELIVERY_H
#define SINKD_DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "smtp/sink.h"

struct envelope;

enum line_ending { LINE_ENDING_LF, LINE_ENDING_CRLF };

/* Header fields a delivery can put in front of the message, as bits. */
enum header_field {
	HEADER_RETURN_PATH = 1,
	HEADER_DELIVERED_TO = 2,
	HEADER_RECEIVED = 4,
};
#define DELIVERY_HEADERS_MAX 3

/* One deliver section.  Strings belong to the configuration. */
struct delivery_settings {
	const char *name;
	const struct delivery_backend *backend;
	const char *hostname; /* for file names, and for recipients without domain */
	/* maildir */
	const char *path; /* template; see mailbox.h */
	bool has_sync;    /* fsync file and directory before OK */
	enum line_ending line_ending;
	enum header_field headers[DELIVERY_HEADERS_MAX]; /* in this order, then 0 */
	mode_t file_mode;
};

/* Who the workers will be, for directories that the master makes. */
struct delivery_owner {
	uid_t uid;
	gid_t gid;
};

/* A directory below which a backend stores messages once its process may reach nothing
 * else: the descriptor, which stays the backend's, and whether it reads there too. */
struct delivery_root {
	int fd;
	bool is_read;
};

/* A backend.  `state` is what open returned: one per worker and section.
 *
 *  prepare_host  in the master, before any fork, with its rights: make what is
 *                missing and give it to owner.  0 or a negative errno.  NULL:
 *                nothing to prepare.
 *  open          in the worker, before it gives up its rights.  0 or a negative
 *                errno.
 *  root          after open: the root.  NULL: it needs none.
 *  check         in a process with a worker's rights: can a message be stored?
 *                0 or a negative errno.  NULL: always.
 *  close         frees state; takes NULL.
 *  begin..abort  as in smtp/sink.h. */
struct delivery_backend {
	const char *name;
	int (*prepare_host)(const struct delivery_settings *settings,
		const struct delivery_owner *owner);
	int (*open)(const struct delivery_settings *settings, void **ret_state);
	void (*root)(const void *state, struct delivery_root *ret);
	int (*check)(void *state);
	void (*close)(void *state);
	struct smtp_result (*begin)(void *state, const struct envelope *envelope);
	struct smtp_result (*chunk)(void *state, const void *p, size_t n);
	void (*prepare)(void *state, struct smtp_result *results);
	void (*commit)(void *state, const bool *keep, struct smtp_result *results);
	void (*abort)(void *state);
};

extern const struct delivery_backend delivery_discard;
extern const struct delivery_backend delivery_maildir;

/* The backend of that name in the configuration, or NULL. */
const struct delivery_backend *delivery_backend_find(const char *name);

/* All deliver sections, opened. */
struct delivery;

/* Make what is missing for all sections; see prepare_host.  On failure
 * *ret_failed is the section.  Does not log. */
int delivery_prepare_host(const struct delivery_settings *settings, size_t n,
	const struct delivery_owner *owner, size_t *ret_failed);

/* settings[0..n) are kept by reference.  Returns 0 or a negative errno, and
 * then *ret_failed is the section that could not be opened. */
int delivery_open(const struct delivery_settings *settings, size_t n,
	struct delivery **ret, size_t *ret_failed);

/* The root of a section; false if it has none. */
bool delivery_root(const struct delivery *d, size_t section, struct delivery_root *ret);

int delivery_check(struct delivery *d, size_t *ret_failed);
void delivery_close(struct delivery *d);

/* Choose the section for following messages. */
void delivery_select(struct delivery *d, size_t section);

/* The sink whose `user` is the struct delivery. */
extern const struct smtp_sink delivery_sink;

/* Results for local faults: 452 4.3.1 for a full disk (ENOSPC, EDQUOT, EFBIG),
 * 451 4.3.0 for all else.  error is a positive or negative errno. */
struct smtp_result delivery_local_fault(int error);

#endif
