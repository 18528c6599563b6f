/* What a worker asks of the spawner: run the command of a deliver section for this
 * message.  Which command that is only the configuration says.
 *
 * The question is one message on the channel (base/ipc.h) with one descriptor, the
 * message text: an ordinary file, without a name and open for writing.  The spawner
 * opens it anew, for reading, for each command. */
#ifndef SINKD_DELIVERY_SPAWN_REQUEST_H
#define SINKD_DELIVERY_SPAWN_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "smtp/reply.h"
#include "smtp/sink.h"

/* Of a question as a whole.  A command line has room for less (execve(2): 128 KiB for a
 * string), and all recipients of one have SPAWN_RECIPIENTS_MAX, each counted as its
 * text and SPAWN_RECIPIENT_EXTRA. */
#define SPAWN_REQUEST_MAX     (128 * 1024)
#define SPAWN_RECIPIENTS_MAX  (96 * 1024)
#define SPAWN_RECIPIENT_EXTRA 8

/* A question of this length is none but whether somebody is there; the answer is as
 * long. */
#define SPAWN_PING_SIZE 1

/* Of a descriptor with a question. */
#define SPAWN_FDS 1

/* Between TERM and KILL for a command that took too long. */
#define SPAWN_KILL_AFTER_MS 5000

/* Longest wait for an answer beyond what the command may take: for the spawner. */
#define SPAWN_PATIENCE_MS 5000

/* Texts are empty where there is nothing to say. */
struct spawn_request {
	uint32_t section;
	uint16_t client_port;
	uint64_t asked_ms; /* monotonic clock: whoever is late is not asked any more */
	uint64_t size_bytes;
	struct str sender;
	struct str client_address;
	struct str helo;
	struct str user;
	struct str listener;
	struct str message_id;
	struct str envid;
	struct str protocol;
	struct str tls_version;
	struct str tls_cipher;
	struct str tls_subject;
	/* Of the only recipient; empty when there are several. */
	struct str local;
	struct str domain;
	const struct str *recipients; /* mailboxes, one at least */
	size_t recipient_count;
};

/* Append its bytes; overflow shows in out. */
void spawn_request_encode(const struct spawn_request *r, struct buf *out);

/* Read what a worker sent, maybe a hostile one.  Texts are slices of bytes without NUL,
 * the list of recipients is in the arena.  Returns 0, -EBADMSG or -ENOMEM. */
int spawn_request_decode(
	struct str bytes, struct arena *arena, struct spawn_request *ret);

/* The answer: what is said to the client.  code is 250, 4xx or 5xx; enhanced has the
 * class of code; both texts are terminated, and text is printable. */
struct spawn_answer {
	int32_t code;
	char enhanced[12];
	char text[256];
};

/* Whether an answer is one that can be given. */
bool spawn_answer_is_right(const struct spawn_answer *a);

#endif
