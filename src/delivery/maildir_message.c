/* maildir: a message on its way into mailboxes; see maildir.h.
 *
 * It is written to tmp under a name that no other can have, made durable, and renamed
 * into new; that directory is made durable too, or a power cut after the 250 could lose
 * the name.  The name is SECONDS.ID.HOST,S=SIZE.
 *
 *   begin    create the file in tmp of the first mailbox, put the headers
 *   chunk    through one buffer, line ends changed on the way
 *   prepare  the other mailboxes get a link (equal headers) or a copy; fsync
 *   commit   rename, fsync of new
 *   end      remove what is in tmp, and in new what nobody keeps
 *
 * All or nothing, and with LMTP mailbox by mailbox: of what failed nothing stays in tmp
 * or new, and its recipients get a 4xx.  An fsync that failed is not tried again: the
 * kernel may have dropped the pages that it could not write.
 *
 * Runs in workers.  Text and addresses are hostile; they reach paths only through
 * mailbox.c and the file only through headers.c and text.c. */
#include "delivery/maildir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "delivery/headers.h"

static void log_failure(const struct maildir *m, size_t i, const char *step, int err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", m->root_path.p,
		i < m->message.plan.count ? m->message.plan.mailboxes[i].path : "");
	log_event(LOG_ERROR, EV_DELIVERY_FAILED, LOG_TEXT("delivery", m->settings->name),
		LOG_TEXT("step", step), LOG_TEXT("path", path), LOG_ERRNO(err));
}

/* The first failure sticks. */
static void set_failure(struct smtp_result *result, int err)
{
	if (result->kind == RESULT_OK)
		*result = delivery_local_fault(err);
}

/* Make a failure of the whole message known, which showed at mailbox i: in the log, and
 * as its result.  Returns err, which is negative. */
static int fail_all(struct maildir *m, size_t i, const char *step, int err)
{
	log_failure(m, i, step, err);
	set_failure(&m->message.result, err);
	return err;
}

/* The same of mailbox i, which with LMTP concerns no other. */
static int fail(struct maildir *m, size_t i, const char *step, int err)
{
	if (!m->message.envelope->client.is_lmtp)
		return fail_all(m, i, step, err);
	log_failure(m, i, step, err);
	set_failure(&m->message.copies[i].failure, err);
	return err;
}

static bool has_failed(const struct maildir *m)
{
	return m->message.result.kind != RESULT_OK;
}

static bool is_good(const struct maildir *m, size_t i)
{
	return !has_failed(m) && m->message.copies[i].failure.kind == RESULT_OK;
}

/* Fill in the results of recipients, of those of keep if it is not NULL. */
static void tell_results(
	const struct maildir *m, const bool *keep, struct smtp_result *results)
{
	const struct maildir_message *msg = &m->message;

	for (size_t i = 0; i < msg->plan.count; i++) {
		const struct mailbox *mailbox = &msg->plan.mailboxes[i];
		const struct smtp_result *result = has_failed(m) ? &msg->result
						   : is_good(m, i)
							   ? &delivery_taken
							   : &msg->copies[i].failure;

		for (size_t k = 0; k < mailbox->recipient_count; k++)
			if (keep == NULL || keep[mailbox->recipients[k]])
				results[mailbox->recipients[k]] = *result;
	}
}

/* Make m->place that of mailbox i. */
static int enter(struct maildir *m, size_t i)
{
	if (m->place.tmp >= 0 && m->place_index == i)
		return 0;
	place_close(&m->place);
	m->place_index = i;
	return maildir_make_place(m, m->message.plan.mailboxes[i].path, &m->place);
}

/* After ENOENT: the directories that are open here have been removed; find or make
 * those that took their place.  The old ones stay when that fails: a worker may
 * hold a mailbox open that it has no right to reach again. */
static int enter_again(struct maildir *m, size_t i)
{
	struct place fresh;
	int err = maildir_make_place(m, m->message.plan.mailboxes[i].path, &fresh);

	if (err < 0)
		return err;
	place_close(&m->place);
	m->place = fresh;
	return 0;
}

/* Create the message's file in tmp of mailbox i.
 * Returns a descriptor or a negative errno. */
static int create(struct maildir *m, size_t i)
{
	/* Only what may be copied to a further mailbox is ever read. */
	const int flags = (m->template.is_per_recipient ? O_RDWR : O_WRONLY) | O_CREAT |
			  O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	struct maildir_message *msg = &m->message;
	mode_t mode = m->settings->file_mode;
	int fd, err = enter(m, i);

	if (err < 0)
		return fail(m, i, "mailbox", err);
	fd = openat(m->place.tmp, msg->name, flags, mode);
	if (fd < 0 && errno == ENOENT) {
		err = enter_again(m, i);
		if (err < 0)
			return fail(m, i, "mailbox", err);
		fd = openat(m->place.tmp, msg->name, flags, mode);
	}
	if (fd < 0)
		return fail(m, i, "create", -errno);
	msg->copies[i].is_in_tmp = true;
	if (m->needs_chmod && fchmod(fd, mode) < 0) {
		err = fail(m, i, "chmod", -errno);
		(void)fdio_close(&fd);
		return err;
	}
	return fd;
}

/* Close a file that we are going to promise.  If it is the first one, other mailboxes
 * have links to it. */
static int keep_file(struct maildir *m, size_t i, int *fd)
{
	int (*const fail_file)(struct maildir *, size_t, const char *, int) =
		i == m->message.first ? fail_all : fail;
	int err = m->settings->has_sync ? fdio_fsync(*fd) : 0;

	if (err < 0) {
		(void)fdio_close(fd);
		return fail_file(m, i, "fsync", err);
	}
	err = fdio_close(fd);
	return err < 0 ? fail_file(m, i, "close", err) : 0;
}

/* Header text of mailbox i. */
static int make_headers(struct maildir *m, size_t i, struct buf *headers)
{
	const struct mailbox *mailbox = &m->message.plan.mailboxes[i];

	headers_init(headers, m->message.envelope);
	headers_add(m->settings, m->message.envelope, mailbox->recipients,
		mailbox->recipient_count, headers);
	return headers->has_overflowed ? fail(m, i, "headers", -ENOMEM) : 0;
}

static int stage_copy(struct maildir *m, size_t i, const struct buf *headers)
{
	struct maildir_message *msg = &m->message;
	int err, fd = create(m, i);

	if (fd < 0)
		return fd;
	err = fdio_write_all(fd, headers->p, headers->len);
	if (err == 0)
		err = text_copy(&m->writer, msg->headers.len, fd);
	if (err < 0) {
		(void)fdio_close(&fd);
		return fail(m, i, "copy", err);
	}
	msg->copies[i].size_bytes =
		msg->copies[msg->first].size_bytes - msg->headers.len + headers->len;
	return keep_file(m, i, &fd);
}

/* Put the message into tmp of mailbox i too; first_tmp is where it is already. */
static int stage(struct maildir *m, size_t i, int first_tmp)
{
	struct maildir_message *msg = &m->message;
	struct buf headers = {0};
	int err = make_headers(m, i, &headers);

	if (err < 0)
		goto out;
	if (str_equal(buf_str(&headers), buf_str(&msg->headers))) {
		err = enter(m, i);
		if (err < 0) {
			err = fail(m, i, "mailbox", err);
			goto out;
		}
		if (linkat(first_tmp, msg->name, m->place.tmp, msg->name, 0) == 0) {
			msg->copies[i].size_bytes = msg->copies[msg->first].size_bytes;
			msg->copies[i].is_in_tmp = true;
			goto out;
		}
		/* Another file system, or too many links: a copy does as well. */
	}
	err = stage_copy(m, i, &headers);
out:
	buf_done(&headers);
	return err;
}

/* Put the message into all mailboxes but the first; stops when it has failed. */
static void stage_others(struct maildir *m)
{
	struct maildir_message *msg = &m->message;
	struct place first = m->place;

	if (msg->plan.count == 1)
		return; /* and stay where we are */
	m->place = PLACE_CLOSED;
	for (size_t i = 0; i < msg->plan.count && !has_failed(m); i++)
		if (i != msg->first && is_good(m, i))
			(void)stage(m, i, first.tmp);
	place_close(&first);
}

static void make_final_name(const struct maildir *m, size_t i, char name[NAME_MAX + 1])
{
	int n = snprintf(name, NAME_MAX + 1, "%s,S=%" PRIu64, m->message.name,
		m->message.copies[i].size_bytes);

	assert(n > 0 && n <= NAME_MAX);
}

/* Move a copy from tmp to final in new, which must not exist.  It says where it is
 * after a failure too, so that it can be withdrawn from there. */
static int move_to_new(const struct place *place, struct maildir_copy *copy,
	const char *name, const char *final)
{
	if (renameat2(place->tmp, name, place->new, final, RENAME_NOREPLACE) == 0) {
		copy->is_in_tmp = false;
		copy->is_in_new = true;
		return 0;
	}
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without RENAME_NOREPLACE; a link does not replace either. */
	if (linkat(place->tmp, name, place->new, final, 0) < 0)
		return -errno;
	copy->is_in_new = true;
	if (unlinkat(place->tmp, name, 0) < 0)
		return -errno;
	copy->is_in_tmp = false;
	return 0;
}

static int publish(struct maildir *m, size_t i)
{
	struct maildir_copy *copy = &m->message.copies[i];
	char final[NAME_MAX + 1];
	int err = enter(m, i);

	if (err < 0)
		return fail(m, i, "mailbox", err);
	make_final_name(m, i, final);
	err = move_to_new(&m->place, copy, m->message.name, final);
	if (err == -ENOENT) {
		err = enter_again(m, i);
		if (err == 0)
			err = move_to_new(&m->place, copy, m->message.name, final);
	}
	if (err < 0)
		return fail(m, i, "rename", err);
	err = m->settings->has_sync ? fdio_fsync(m->place.new) : 0;
	return err < 0 ? fail(m, i, "fsync directory", err) : 0;
}

/* Begin the message in mailbox i. */
static int begin_in(struct maildir *m, size_t i)
{
	struct maildir_message *msg = &m->message;
	int err;

	msg->first = i;
	buf_done(&msg->headers);
	err = make_headers(m, i, &msg->headers);
	if (err < 0)
		return err;
	msg->fd = create(m, i);
	if (msg->fd < 0)
		return msg->fd;
	text_start(&m->writer, msg->fd, text_line_ending(m->settings, msg->envelope));
	err = text_write_raw(&m->writer, msg->headers.p, msg->headers.len);
	return err < 0 ? fail_all(m, i, "write", err) : 0;
}

struct smtp_result maildir_begin(void *state, const struct envelope *envelope)
{
	struct maildir *m = state;
	struct maildir_message *msg = &m->message;
	struct smtp_result result;
	int err;

	msg->envelope = envelope;
	msg->result = delivery_taken;
	(void)snprintf(msg->name, sizeof(msg->name), "%" PRIu64 ".%.*s.%s",
		envelope->stamp.unix_seconds, MESSAGE_ID_SIZE - 1, envelope->stamp.id,
		m->host);
	err = mailbox_plan_init(
		&m->template, m->settings->hostname, envelope, &msg->plan);
	if (err == 0)
		msg->copies = calloc(msg->plan.count, sizeof(*msg->copies));
	if (msg->copies == NULL) {
		(void)fail_all(m, 0, "recipients", -ENOMEM);
		result = msg->result;
		maildir_end(m, NULL);
		return result;
	}
	/* The first mailbox takes the text, or with LMTP the first that can. */
	for (size_t i = 0; !has_failed(m) && msg->fd < 0 && i < msg->plan.count; i++)
		(void)begin_in(m, i);
	result = msg->fd < 0 && !has_failed(m) ? msg->copies[0].failure : msg->result;
	if (result.kind != RESULT_OK)
		maildir_end(m, NULL);
	return result;
}

struct smtp_result maildir_chunk(void *state, const void *p, size_t n)
{
	struct maildir *m = state;
	int err = text_write(&m->writer, p, n);

	if (err < 0)
		(void)fail_all(m, m->message.first, "write", err);
	return m->message.result;
}

void maildir_prepare(void *state, struct smtp_result *results)
{
	struct maildir *m = state;
	struct maildir_message *msg = &m->message;
	int err = text_finish(&m->writer);

	if (err < 0)
		(void)fail_all(m, msg->first, "write", err);
	msg->copies[msg->first].size_bytes = m->writer.size_bytes;
	if (!has_failed(m))
		stage_others(m);
	if (!has_failed(m))
		(void)keep_file(m, msg->first, &msg->fd);
	tell_results(m, NULL, results);
}

static bool is_kept(const struct mailbox *mailbox, const bool *keep)
{
	for (size_t i = 0; keep != NULL && i < mailbox->recipient_count; i++)
		if (keep[mailbox->recipients[i]])
			return true;
	return false;
}

void maildir_commit(void *state, const bool *keep, struct smtp_result *results)
{
	struct maildir *m = state;
	const struct maildir_message *msg = &m->message;

	for (size_t i = 0; i < msg->plan.count; i++)
		if (is_good(m, i) && is_kept(&msg->plan.mailboxes[i], keep))
			(void)publish(m, i);
	tell_results(m, keep, results);
}

/* Remove a file from sub, which is tmp or new of mailbox i.  It is opened by itself
 * unless it is held open: whatever is wrong with the other one, nothing may be left
 * here; and it is not made: a mailbox that is gone needs no cleaning. */
static void withdraw(
	const struct maildir *m, size_t i, const char *sub, int held, const char *name)
{
	const char *mailbox = m->message.plan.mailboxes[i].path;
	int opened = held < 0 ? dirs_open_sub(m->root, mailbox, sub, O_PATH) : -1;
	int dir = held < 0 ? opened : held;
	int err = dir < 0 ? dir : 0;

	if (err == 0 && unlinkat(dir, name, 0) < 0)
		err = -errno;
	(void)fdio_close(&opened);
	if (err < 0 && err != -ENOENT)
		log_failure(m, i, "unlink", err);
}

/* Remove what is left in tmp, and from new what is not kept; forget the message. */
void maildir_end(void *state, const bool *keep)
{
	struct maildir *m = state;
	struct maildir_message *msg = &m->message;

	(void)fdio_close(&msg->fd);
	for (size_t i = 0; msg->copies != NULL && i < msg->plan.count; i++) {
		struct place held = m->place_index == i ? m->place : PLACE_CLOSED;
		char final[NAME_MAX + 1];

		if (msg->copies[i].is_in_tmp)
			withdraw(m, i, "tmp", held.tmp, msg->name);
		if (msg->copies[i].is_in_new && !is_kept(&msg->plan.mailboxes[i], keep)) {
			make_final_name(m, i, final);
			withdraw(m, i, "new", held.new, final);
		}
	}
	if (m->template.is_per_recipient)
		place_close(&m->place);
	mailbox_plan_done(&msg->plan);
	free(msg->copies);
	buf_done(&msg->headers);
	*msg = (struct maildir_message){.fd = -1};
}
