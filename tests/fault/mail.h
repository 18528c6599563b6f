/* Messages that go straight into a deliver section, the way the engine sends them. */
#ifndef SINKD_TESTS_MAIL_H
#define SINKD_TESTS_MAIL_H

#include <stdbool.h>
#include <stddef.h>

#include "delivery/delivery.h"

#define MAIL_RECIPIENTS 3

/* Text as it comes and as it is stored: of a line, or of more than a buffer. */
struct mail_text {
	char *sent;
	char *stored;
};

struct mail_text mail_text_make(const char *subject, size_t lines);
void mail_text_free(struct mail_text *t);

/* Deliver to `recipients` different addresses, each time under a new name; or go all
 * the way but for commit, which becomes abort.  Returns the code of the reply, 0 after
 * an abort. */
int mail_deliver(const struct delivery_backend *backend, void *state,
	const struct mail_text *text, size_t recipients, bool is_aborted);

#endif
