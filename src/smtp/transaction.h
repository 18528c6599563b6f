/* The mail transaction: from MAIL to its end, and the message in flight. */
#ifndef SINKD_SMTP_TRANSACTION_H
#define SINKD_SMTP_TRANSACTION_H

#include <stdbool.h>
#include <stddef.h>

struct address;
struct smtp;

/* Forget sender, recipients and their memory (RFC 5321, 4.1.1.5), and tell the
 * hook `transaction`. */
void transaction_reset(struct smtp *s);

/* A recipient was accepted: it joins the envelope, and room for its result is set
 * aside, so that no recipient with a 250 is one too many later.  a lives in the
 * session's arena.  Returns false when that is full; then nothing has changed. */
bool transaction_add_recipient(struct smtp *s, const struct address *a);

/* DATA was accepted by order and hook: begin the message.  Replies 354, or why
 * not, and then the transaction stays as it was. */
void transaction_begin_message(struct smtp *s);

/* Message bytes; returns how many were used.  At the end of data the message is
 * delivered, and the replies begin. */
size_t transaction_feed(struct smtp *s, const char *p, size_t n);

/* Go on with the replies to a message, one to each recipient with LMTP, as far as there
 * is room in the output.  With the last one the transaction is reset. */
void transaction_add_replies(struct smtp *s);

/* The message in flight will not be completed: nothing of it stays. */
void transaction_abort_message(struct smtp *s);

#endif
