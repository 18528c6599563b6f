/* Message text on its way into a file: line ends as configured, few and large writes.
 * For every backend that stores.  Header fields in front of it are in headers.h. */
#ifndef SINKD_DELIVERY_TEXT_H
#define SINKD_DELIVERY_TEXT_H

#include "delivery/delivery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct envelope;

/* A 10 KiB message is one write.  Pages that are not touched cost no memory. */
#define TEXT_BUFFER_SIZE 65536

struct text_writer {
	int fd; /* borrowed */
	enum line_ending line_ending;
	bool holds_cr; /* a CR at the end of a chunk may belong to a CR LF */
	bool has_text; /* the message itself has begun */
	uint64_t size_bytes;
	size_t length;
	char buffer[TEXT_BUFFER_SIZE];
};

/* The line ends of a message: as configured, but binary text (RFC 3030) is stored as it
 * came, with header fields that end as it does. */
enum line_ending text_line_ending(
	const struct delivery_settings *settings, const struct envelope *envelope);

const char *text_eol(enum line_ending line_ending);

/* Begin a file.  Forgets whatever the writer held. */
void text_start(struct text_writer *w, int fd, enum line_ending line_ending);

/* Write bytes as they are / text whose line ends are CR LF, any split; lone CRs
 * and LFs stay.  Text that begins with a blank would continue the last header
 * field of ours, so an empty line goes first.  text_finish writes what is left in the
 * buffer. size_bytes counts what was taken.  Return 0 or a negative errno; after a
 * failure the file is good for nothing. */
int text_write_raw(struct text_writer *w, const char *p, size_t n);
int text_write(struct text_writer *w, const char *p, size_t n);
int text_finish(struct text_writer *w);

/* Write what is in the buffer, while more may follow. */
int text_flush(struct text_writer *w);

/* Append the finished file from byte `offset` on to the file `to`.  The writer's
 * descriptor must be readable. */
int text_copy(struct text_writer *w, uint64_t offset, int to);

#endif
