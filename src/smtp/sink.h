/* The way out of the engine: where decoded messages go.
 *
 * Order of calls for one message: begin; if that is OK any number of chunk;
 * then prepare and, for what is kept, commit; or abort at any point after
 * begin instead.  One result per recipient of the envelope.
 *
 *  begin    after the DATA command, or the first BDAT, is accepted, before the reply.
 *           Not OK: there is no message, and neither abort nor anything else
 *           follows.  The envelope stays as it is, and where it is, until commit or
 *           abort; but see prepare.
 *  chunk    decoded text, line ends CR LF, any split.  Not OK sticks: the
 *           engine calls abort and sends the result as the reply to the dot or chunk.
 *  prepare  all that can fail: afterwards the message is on disk, unpublished, and
 *           commands have run.  Fills results[0..n).  Commit or abort follows.  With
 *           LMTP recipients may have come to be is_discarded since begin: nothing of
 *           the kind is done for those, who are not kept.
 *  commit   publish for each recipient with keep[i], all of them unless it came by
 *           LMTP; fills results[0..n) for those.  OK means durable.  What is not OK is
 *           not published.  Ends the message, also when it fails.
 *  abort    forget the message and leave nothing behind.
 *
 * Recipients that are is_discarded are OK, and nothing is stored for them.  A message
 * that has no others is never begun, or is aborted once that is known.
 *
 * A message whose bytes do not end in CR LF has none added: DATA always ends a
 * line.  Results are 4xx for every local fault, so that the client tries again. */
#ifndef SINKD_SMTP_SINK_H
#define SINKD_SMTP_SINK_H

#include <stdbool.h>
#include <stddef.h>

struct envelope;

enum result_kind { RESULT_OK, RESULT_TEMPORARY, RESULT_PERMANENT };

/* enhanced and text are static, or live until the next begin. */
struct smtp_result {
	enum result_kind kind;
	int code;
	const char *enhanced;
	const char *text;
};

struct smtp_sink {
	struct smtp_result (*begin)(void *user, const struct envelope *envelope);
	struct smtp_result (*chunk)(void *user, const void *p, size_t n);
	void (*prepare)(void *user, struct smtp_result *results);
	void (*commit)(void *user, const bool *keep, struct smtp_result *results);
	void (*abort)(void *user);
};

#endif
