/* The mail transaction: from MAIL to its end, and the message in flight. */
#ifndef SINKD_SMTP_TRANSACTION_H
#define SINKD_SMTP_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>

struct recipient;
struct smtp;

/* Forget sender, recipients and their memory (RFC 5321, 4.1.1.5), abort the message in
 * flight, and tell the hook `transaction`. */
void transaction_reset(struct smtp *s);

/* A recipient was accepted: it joins the envelope, and room for its result is set
 * aside, so that no recipient with a 250 is one too many later.  Its text lives in the
 * session's arena.  Returns false when that is full; then nothing has changed. */
bool transaction_add_recipient(struct smtp *s, const struct recipient *r);

/* DATA was accepted by order and hook: begin the message.  Replies 354, or why
 * not, and then the transaction stays as it was. */
void transaction_begin_message(struct smtp *s);

/* The first BDAT was accepted by order and size: ask the hook, begin the message.  If it
 * does not, s->failure says why. */
void transaction_begin_chunks(struct smtp *s);

/* Octets of a chunk; of no use when the message has failed. */
void transaction_add_chunk(struct smtp *s, const char *p, size_t n);

/* The message is, or would become, too large. */
void transaction_fail_by_size(struct smtp *s);

/* The last chunk is there: as at the end of data.  A message that failed before it began
 * has replies, too. */
void transaction_end_message(struct smtp *s);

/* A chunk that is not the last is there, and the message has failed: say so.  It cannot
 * go on. */
void transaction_end_failed_chunk(struct smtp *s);

/* Message bytes of DATA; returns how many were used.  At the end of data the message is
 * delivered, and the replies begin. */
size_t transaction_feed(struct smtp *s, const char *p, size_t n);

/* Go on with the replies to a message, one to each recipient with LMTP, as far as there
 * is room in the output.  With the last one the transaction is reset. */
void transaction_add_replies(struct smtp *s);

/* The message in flight will not be completed: nothing of it stays. */
void transaction_abort_message(struct smtp *s);

#endif
