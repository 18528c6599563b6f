/* Asking the hook table (api/sinkd_module.h): one function per hook.
 *
 * Those that return bool say whether the hook accepts; if not, *ret_refusal is
 * the reply to give, complete with the defaults of its stage.  A delay has then
 * been noted in the engine already, and so has the wish to say nothing (then the reply
 * goes nowhere) or to discard the message, which is accepted. */
#ifndef SINKD_SMTP_HOOKS_H
#define SINKD_SMTP_HOOKS_H

#include <stdbool.h>

#include "base/str.h"
#include "smtp/reply.h"

struct command;
struct recipient;
struct smtp;

bool hooks_connect(struct smtp *s, struct reply *ret_refusal);
/* Of AUTH no more than the mechanism is shown. */
bool hooks_command(
	struct smtp *s, const struct command *command, struct reply *ret_refusal);
bool hooks_ehlo_domain(struct smtp *s, struct str domain, struct reply *ret_refusal);
/* Whether there is somebody to ask. */
bool hooks_have_plain_auth(const struct smtp *s);
bool hooks_plain_auth(
	struct smtp *s, struct str name, struct str password, struct reply *ret_refusal);
bool hooks_sender(struct smtp *s, struct str path, struct str parameters,
	struct reply *ret_refusal);
/* recipient: what becomes of it if it is accepted. */
bool hooks_recipient(struct smtp *s, struct str path, struct str parameters,
	struct recipient *recipient, struct reply *ret_refusal);
bool hooks_data_command(struct smtp *s, struct reply *ret_refusal);
bool hooks_data_chunk(struct smtp *s, struct str bytes, struct reply *ret_refusal);
bool hooks_message(struct smtp *s, struct reply *ret_refusal);
/* Whether there is somebody to ask; and of one recipient, who may be discarded then. */
bool hooks_have_message_recipient(const struct smtp *s);
bool hooks_message_recipient(
	struct smtp *s, struct recipient *recipient, struct reply *ret_refusal);

void hooks_reset(struct smtp *s);
void hooks_transaction(struct smtp *s);
void hooks_connection_ended(struct smtp *s);

/* The name we go by; always fit for a reply and a header.  Valid until the
 * next hook is called. */
struct str hooks_server_domain(struct smtp *s);

/* Append the text behind "220 " to out, expanded. */
void hooks_add_greeting(struct smtp *s, struct buf *out);

#endif
