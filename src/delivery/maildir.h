/* What the two files of the maildir backend share: the section (maildir.c), and the
 * message in it (maildir_message.c). */
#ifndef SINKD_DELIVERY_MAILDIR_H
#define SINKD_DELIVERY_MAILDIR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "delivery/delivery.h"
#include "delivery/dirs.h"
#include "delivery/mailbox.h"
#include "delivery/text.h"
#include "smtp/envelope.h"

/* What "SECONDS.", "ID.", ",S=" and SIZE leave of a file name. */
#define MAILDIR_HOST_MAX (NAME_MAX - 21 - MESSAGE_ID_SIZE - 3 - 20)

/* The message as it is in one mailbox. */
struct maildir_copy {
	uint64_t size_bytes;
	bool is_in_tmp;
	bool is_in_new;
	struct smtp_result failure; /* zeroed: none of this one alone */
};

/* The message in hand; zeroed, but for fd, while there is none. */
struct maildir_message {
	const struct envelope *envelope; /* lives until end */
	struct mailbox_plan plan;
	struct maildir_copy *copies; /* one per mailbox of the plan */
	size_t first;                /* of them: it takes the text */
	char name[NAME_MAX + 1];     /* in tmp */
	struct buf headers;          /* of the first copy */
	int fd;                      /* of the first copy */
	struct smtp_result result;   /* of the message as a whole */
};

/* One per worker and deliver section. */
struct maildir {
	const struct delivery_settings *settings;
	struct mailbox_template template;
	struct buf root_path; /* terminated; ends in '/', or is empty */
	struct buf shared;    /* terminated; the mailbox that is for all, if one is */
	char host[MAILDIR_HOST_MAX + 1];
	bool needs_chmod; /* the umask takes bits that file_mode has */
	int root;
	struct place place; /* where we are: one mailbox at a time */
	size_t place_index; /* which of the plan */
	struct maildir_message message;
	struct text_writer writer;
};

/* Open the directories of a mailbox, and make what is missing.  Returns 0 or a negative
 * errno. */
int maildir_make_place(const struct maildir *m, const char *mailbox, struct place *ret);

/* The steps of a message; see struct delivery_backend. */
struct smtp_result maildir_begin(void *state, const struct envelope *envelope);
struct smtp_result maildir_chunk(void *state, const void *p, size_t n);
void maildir_prepare(void *state, struct smtp_result *results);
void maildir_commit(void *state, const bool *keep, struct smtp_result *results);
void maildir_end(void *state, const bool *keep);

#endif
