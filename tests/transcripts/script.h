/* A transcript file: one conversation between a client and the server, with
 * what is said, what must be answered and what must be stored.  README.md of the
 * tests has the format. */
#ifndef SINKD_TESTS_SCRIPT_H
#define SINKD_TESTS_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "smtp/settings.h"

enum step_kind {
	STEP_SEND,   /* bytes: what the client sends, as far as the next answer */
	STEP_LINE,   /* bytes: pattern of one reply line */
	STEP_REPLY,  /* bytes: the code on each line of whole replies; number of them */
	STEP_LINES,  /* bytes: patterns, each ended by LF; the rest of a reply */
	STEP_SILENT, /* no answer is waiting */
	STEP_CLOSED, /* the server has closed */
	STEP_DISCONNECT, /* the client goes away */
	STEP_TLS,        /* the client shakes hands */
	STEP_MESSAGE,    /* bytes: the next stored message */
	STEP_STORED,     /* number: so many messages are stored */
};

struct step {
	enum step_kind kind;
	unsigned line;
	size_t number;
	struct buf bytes;
};

struct script {
	const char *path;
	struct smtp_settings settings;
	struct smtp_listen_settings listen;
	bool may_xclient;
	/* The same settings, as sinkd.conf has them in the sections limits, auth, and
	 * that of the listener. */
	struct buf limits;
	struct buf auth;
	struct buf listener;
	struct step *steps;
	size_t step_count;
	bool is_stepwise; /* makes no sense when all is sent at once */
};

/* Read a file.  Complains on stderr as FILE:LINE and returns -EINVAL, or another
 * negative errno.  path is kept by reference.  Free in either case. */
int script_load(struct script *s, const char *path);
void script_free(struct script *s);

#endif
