/* Message text on its way into a file; see text.h.
 *
 * Runs in workers.  Text is hostile: it is copied, and never looked at but for line ends,
 * and where it has none (RFC 3030, 3) not for these. */
#include "delivery/text.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "smtp/envelope.h"

enum line_ending text_line_ending(
	const struct delivery_settings *settings, const struct envelope *envelope)
{
	return envelope->body == BODY_BINARYMIME ? LINE_ENDING_CRLF
						 : settings->line_ending;
}

const char *text_eol(enum line_ending line_ending)
{
	return line_ending == LINE_ENDING_LF ? "\n" : "\r\n";
}

void text_start(struct text_writer *w, int fd, enum line_ending line_ending)
{
	w->fd = fd;
	w->line_ending = line_ending;
	w->holds_cr = false;
	w->has_text = false;
	w->size_bytes = 0;
	w->length = 0;
}

int text_flush(struct text_writer *w)
{
	size_t n = w->length;

	w->length = 0;
	return n > 0 ? fdio_write_all(w->fd, w->buffer, n) : 0;
}

int text_write_raw(struct text_writer *w, const char *p, size_t n)
{
	w->size_bytes += n;
	while (n > TEXT_BUFFER_SIZE - w->length) {
		size_t part = TEXT_BUFFER_SIZE - w->length;
		int err;

		/* More than an empty buffer takes: copying it would win nothing. */
		if (w->length == 0)
			return fdio_write_all(w->fd, p, n);
		memcpy(w->buffer + w->length, p, part);
		w->length += part;
		p += part;
		n -= part;
		err = text_flush(w);
		if (err < 0)
			return err;
	}
	if (n > 0)
		memcpy(w->buffer + w->length, p, n);
	w->length += n;
	return 0;
}

static int write_as_lf(struct text_writer *w, const char *p, size_t n)
{
	int err = 0;

	if (n > 0 && w->holds_cr) {
		w->holds_cr = false;
		if (p[0] != '\n')
			err = text_write_raw(w, "\r", 1);
	}
	while (err == 0 && n > 0) {
		const char *lf = memchr(p, '\n', n);
		size_t length = lf == NULL ? n : (size_t)(lf - p) + 1;

		if (lf == NULL && p[n - 1] == '\r') {
			w->holds_cr = true;
			err = text_write_raw(w, p, n - 1);
		} else if (lf != NULL && length > 1 && lf[-1] == '\r') {
			err = text_write_raw(w, p, length - 2);
			if (err == 0)
				err = text_write_raw(w, "\n", 1);
		} else {
			err = text_write_raw(w, p, length);
		}
		p += length;
		n -= length;
	}
	return err;
}

int text_write(struct text_writer *w, const char *p, size_t n)
{
	if (n > 0 && !w->has_text) {
		bool would_continue = w->size_bytes > 0 && (p[0] == ' ' || p[0] == '\t');
		const char *eol = text_eol(w->line_ending);
		int err = would_continue ? text_write_raw(w, eol, strlen(eol)) : 0;

		if (err < 0)
			return err;
		w->has_text = true;
	}
	return w->line_ending == LINE_ENDING_LF ? write_as_lf(w, p, n)
						: text_write_raw(w, p, n);
}

int text_finish(struct text_writer *w)
{
	int err = w->holds_cr ? text_write_raw(w, "\r", 1) : 0;

	w->holds_cr = false;
	return err < 0 ? err : text_flush(w);
}

int text_copy(struct text_writer *w, uint64_t offset, int to)
{
	uint64_t left = w->size_bytes - offset;

	/* Both ways use and move the positions of the files, so that the second
	 * goes on where the first one gave up. */
	if (lseek(w->fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = copy_file_range(w->fd, NULL, to, NULL, (size_t)left, 0);

		/* Not every file system can, and some say so with a zero; where it may
		 * be interrupted, reading and writing know how to go on. */
		if (n == 0 ||
			(n < 0 && (errno == ENOSYS || errno == EXDEV || errno == EINVAL ||
					  errno == EOPNOTSUPP || errno == EINTR)))
			break;
		if (n < 0)
			return -errno;
		left -= (uint64_t)n;
	}
	while (left > 0) {
		ssize_t n = fdio_read(w->fd, w->buffer, sizeof(w->buffer));
		int err = n > 0 ? fdio_write_all(to, w->buffer, (size_t)n)
				: (n < 0 ? (int)n : -EIO);

		if (err < 0)
			return err;
		left -= (uint64_t)n;
	}
	return 0;
}
