/* Message text on its way into a file: header fields in front, line ends as
 * configured, few and large writes.  For every backend that stores. */
#ifndef SINKD_DELIVERY_TEXT_H
#define SINKD_DELIVERY_TEXT_H

#include "base/buf.h"
#include "delivery/delivery.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* Append the header fields of settings for the recipients with these indexes.
 * Client text in them is printable ASCII.  Overflow shows in out. */
void text_add_headers(const struct delivery_settings *settings,
	const struct envelope *envelope, const size_t *recipients, size_t n,
	struct buf *out);

#endif
