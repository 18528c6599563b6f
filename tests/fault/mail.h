/* Messages that go straight into the deliver sections, the way the engine sends them. */
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

/* How a message goes. */
struct mail_way {
	size_t recipients; /* different addresses */
	bool is_lmtp;
	bool is_aborted; /* all the way but for commit, which becomes abort */
	bool is_routed;  /* recipient number i by route i */
};

/* What was said of it. */
struct mail_outcome {
	int code;          /* the worst reply; 0: aborted */
	unsigned accepted; /* recipients that have it: a bit for each */
};

/* All recipients, as bits. */
unsigned mail_everyone(const struct mail_way *way);

/* Deliver to the selected sections, each time under a new name. */
struct mail_outcome mail_deliver(
	struct delivery *d, const struct mail_text *text, const struct mail_way *way);

#endif
