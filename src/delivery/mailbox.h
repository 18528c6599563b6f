/* From the path of a deliver section and a recipient to directories.
 *
 * A path is fixed text with macros: %{recipient}, %{recipient.local},
 * %{recipient.domain}, %% for a percent sign.  Its root is the fixed text up to
 * the last '/' before the first macro (without a macro: before the last
 * component); the root is opened once, and everything else is resolved below it
 * without symbolic links, whatever a client put into an address.  Pure. */
#ifndef SINKD_DELIVERY_MAILBOX_H
#define SINKD_DELIVERY_MAILBOX_H

#include "base/buf.h"
#include "base/str.h"
#include "smtp/address.h"

#include <stdbool.h>
#include <stddef.h>

struct envelope;

/* Whether template is a usable path: known macros, closed braces, not empty, no
 * component "..", no macro in the first component.  Returns 0, or -EINVAL and
 * *ret_error, static text. */
int mailbox_template_check(const char *template, const char **ret_error);

/* The two parts of a template that passed the check; slices of it, unexpanded.
 * root ends in '/' and is empty for the current directory; below has no '/' at
 * either end. */
struct mailbox_template {
	struct str root;
	struct str below;
	bool is_per_recipient;
};

struct mailbox_template mailbox_template_split(const char *template);

/* Append a part of a template with its macros filled in.  hostname stands in for
 * a missing domain.  Returns false when out is full. */
bool mailbox_expand(struct str part, const struct address *recipient,
	const char *hostname, struct buf *out);

/* Append text from an address as part of one path component: bytes outside
 * [A-Za-z0-9_+=@.-] and a leading dot or hyphen as %XX, what would be longer
 * than 200 bytes cut and marked with a hash, an empty text as "%".  The result
 * is never empty, ".", ".." or with a '/', and different texts stay different.
 * Returns false when out is full. */
bool mailbox_path_piece(struct str raw, struct buf *out);

/* A mailbox of a message, and which recipients of the envelope it serves. */
struct mailbox {
	const char *path; /* below the root */
	const size_t *recipients;
	size_t recipient_count;
};

/* All mailboxes of one message, each once. */
struct mailbox_plan {
	struct mailbox *mailboxes;
	size_t count;
	size_t *recipients;
	struct buf paths;
};

/* Sort the recipients of an envelope by mailbox.  *ret_plan is freed with
 * mailbox_plan_done.  Returns 0, or -ENOMEM and leaves *ret_plan alone. */
int mailbox_plan_init(const struct mailbox_template *template, const char *hostname,
	const struct envelope *envelope, struct mailbox_plan *ret_plan);
void mailbox_plan_done(struct mailbox_plan *plan);

#endif
