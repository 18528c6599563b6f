/* maildir: one file per message and mailbox, durable before it is promised.
 *
 * A message is written to tmp under a name that no other can have, made durable,
 * and renamed into new; that directory is made durable too, or a power cut after
 * the 250 could lose the name.  The name is SECONDS.ID.HOST,S=SIZE.
 *
 *   begin    create the file in tmp of the first mailbox, put the headers
 *   chunk    through one buffer, line ends changed on the way
 *   prepare  the other mailboxes get a link (equal headers) or a copy; fsync
 *   commit   rename, fsync of new
 *
 * All or nothing: whatever fails, nothing of the message stays in tmp or new, and
 * all its recipients get a 4xx.  An fsync that failed is not tried again: the
 * kernel may have dropped the pages that it could not write.
 *
 * Runs in workers, prepare_host in the master.  Text and addresses are hostile;
 * they reach paths only through mailbox.c and the file only through text.c.
 *
 * Known limit: the directories of a mailbox for all stay open.  When it is
 * removed it is made again, but when it is renamed this worker follows it. */
#include "delivery/delivery.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "delivery/dirs.h"
#include "delivery/mailbox.h"
#include "delivery/text.h"
#include "smtp/envelope.h"

/* What "SECONDS.", "ID.", ",S=" and SIZE leave of a file name. */
#define HOST_MAX (NAME_MAX - 21 - MESSAGE_ID_SIZE - 3 - 20)

/* The message as it is in one mailbox. */
struct copy {
	uint64_t size_bytes;
	bool is_in_tmp;
	bool is_in_new;
};

/* The message in hand; zeroed, but for fd, while there is none. */
struct message {
	const struct envelope *envelope; /* lives until commit or abort */
	struct mailbox_plan plan;
	struct copy *copies;     /* one per mailbox of the plan */
	char name[NAME_MAX + 1]; /* in tmp */
	struct buf headers;      /* of the first copy */
	int fd;                  /* of the first copy */
	struct smtp_result result;
};

/* One per worker and deliver section. */
struct maildir {
	const struct delivery_settings *settings;
	struct mailbox_template template;
	struct buf root_path; /* terminated; ends in '/', or is empty */
	struct buf shared;    /* terminated; the mailbox that is for all, if one is */
	char host[HOST_MAX + 1];
	bool needs_chmod; /* the umask takes bits that file_mode has */
	int root;
	struct place place; /* where we are: one mailbox at a time */
	size_t place_index; /* which of the plan */
	struct message message;
	struct text_writer writer;
};

static const struct smtp_result stored = {RESULT_OK, 250, "2.0.0", "Ok"};

/* Make a failure at mailbox i known: in the log, and as the result of the
 * message, where the first one sticks.  Returns err, which is negative. */
static int fail(struct maildir *m, size_t i, const char *step, int err)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s%s", m->root_path.p,
		i < m->message.plan.count ? m->message.plan.mailboxes[i].path : "");
	log_event(LOG_ERROR, EV_DELIVERY_FAILED, LOG_TEXT("delivery", m->settings->name),
		LOG_TEXT("step", step), LOG_TEXT("path", path), LOG_ERRNO(err));
	if (m->message.result.kind == RESULT_OK)
		m->message.result = delivery_local_fault(err);
	return err;
}

/* Open the directories of a mailbox, and make what is missing. */
static int place_make(const struct maildir *m, const char *mailbox, struct place *ret)
{
	const struct dirs_maker maker = {.has_sync = m->settings->has_sync};
	int err = place_open(m->root, mailbox, ret);

	if (err != -ENOENT)
		return err;
	err = dirs_make_maildir(m->root, mailbox, &maker);
	return err < 0 ? err : place_open(m->root, mailbox, ret);
}

/* Make m->place that of mailbox i. */
static int enter(struct maildir *m, size_t i)
{
	if (m->place.tmp >= 0 && m->place_index == i)
		return 0;
	place_close(&m->place);
	m->place_index = i;
	return place_make(m, m->message.plan.mailboxes[i].path, &m->place);
}

/* After ENOENT: the directories that are open here have been removed; find or make
 * those that took their place.  The old ones stay when that fails: a worker may
 * hold a mailbox open that it has no right to reach again. */
static int enter_again(struct maildir *m, size_t i)
{
	struct place fresh;
	int err = place_make(m, m->message.plan.mailboxes[i].path, &fresh);

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
	struct message *msg = &m->message;
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

/* Close a file that we are going to promise. */
static int keep_file(struct maildir *m, size_t i, int *fd)
{
	int err = m->settings->has_sync ? fdio_fsync(*fd) : 0;

	if (err < 0) {
		(void)fdio_close(fd);
		return fail(m, i, "fsync", err);
	}
	err = fdio_close(fd);
	return err < 0 ? fail(m, i, "close", err) : 0;
}

/* Header text of mailbox i. */
static int make_headers(struct maildir *m, size_t i, struct buf *headers)
{
	const struct mailbox *mailbox = &m->message.plan.mailboxes[i];

	/* Far above what the addresses can come to: the session's memory, which
	 * holds them, has its own limit. */
	buf_init(headers, (mailbox->recipient_count + 2) * TEXT_BUFFER_SIZE);
	text_add_headers(m->settings, m->message.envelope, mailbox->recipients,
		mailbox->recipient_count, headers);
	return headers->has_overflowed ? fail(m, i, "headers", -ENOMEM) : 0;
}

static int stage_copy(struct maildir *m, size_t i, const struct buf *headers)
{
	struct message *msg = &m->message;
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
		msg->copies[0].size_bytes - msg->headers.len + headers->len;
	return keep_file(m, i, &fd);
}

/* Put the message into tmp of mailbox i too; first_tmp is where it is already. */
static int stage(struct maildir *m, size_t i, int first_tmp)
{
	struct message *msg = &m->message;
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
			msg->copies[i].size_bytes = msg->copies[0].size_bytes;
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

static int stage_others(struct maildir *m)
{
	struct place first = m->place;
	int err = 0;

	if (m->message.plan.count == 1)
		return 0; /* and stay where we are */
	m->place = PLACE_CLOSED;
	for (size_t i = 1; err == 0 && i < m->message.plan.count; i++)
		err = stage(m, i, first.tmp);
	place_close(&first);
	return err;
}

static void make_final_name(const struct maildir *m, size_t i, char name[NAME_MAX + 1])
{
	int n = snprintf(name, NAME_MAX + 1, "%s,S=%" PRIu64, m->message.name,
		m->message.copies[i].size_bytes);

	assert(n > 0 && n <= NAME_MAX);
}

/* Move a copy from tmp to final in new, which must not exist.  It says where it is
 * after a failure too, so that it can be withdrawn from there. */
static int move_to_new(
	const struct place *place, struct copy *copy, const char *name, const char *final)
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
	struct copy *copy = &m->message.copies[i];
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

/* Remove a file from sub, which is tmp or new of mailbox i.  It is opened by itself
 * unless it is held open: whatever is wrong with the other one, nothing may be left
 * here; and it is not made: a mailbox that is gone needs no cleaning. */
static void withdraw(
	struct maildir *m, size_t i, const char *sub, int held, const char *name)
{
	const char *mailbox = m->message.plan.mailboxes[i].path;
	int opened = held < 0 ? dirs_open_sub(m->root, mailbox, sub, O_PATH) : -1;
	int dir = held < 0 ? opened : held;
	int err = dir < 0 ? dir : 0;

	if (err == 0 && unlinkat(dir, name, 0) < 0)
		err = -errno;
	(void)fdio_close(&opened);
	if (err < 0 && err != -ENOENT)
		(void)fail(m, i, "unlink", err);
}

/* Forget the message; remove what is left in tmp, and after a failure from new. */
static void end_message(struct maildir *m, bool has_failed)
{
	struct message *msg = &m->message;

	(void)fdio_close(&msg->fd);
	for (size_t i = 0; msg->copies != NULL && i < msg->plan.count; i++) {
		struct place held = m->place_index == i ? m->place : PLACE_CLOSED;
		char final[NAME_MAX + 1];

		if (msg->copies[i].is_in_tmp)
			withdraw(m, i, "tmp", held.tmp, msg->name);
		if (msg->copies[i].is_in_new && has_failed) {
			make_final_name(m, i, final);
			withdraw(m, i, "new", held.new, final);
		}
	}
	if (m->template.is_per_recipient)
		place_close(&m->place);
	mailbox_plan_done(&msg->plan);
	free(msg->copies);
	buf_done(&msg->headers);
	*msg = (struct message){.fd = -1};
}

static struct smtp_result maildir_begin(void *state, const struct envelope *envelope)
{
	struct maildir *m = state;
	struct message *msg = &m->message;
	struct smtp_result result;
	int err;

	msg->envelope = envelope;
	msg->result = stored;
	(void)snprintf(msg->name, sizeof(msg->name), "%" PRIu64 ".%.*s.%s",
		envelope->stamp.unix_seconds, MESSAGE_ID_SIZE - 1, envelope->stamp.id,
		m->host);
	err = mailbox_plan_init(
		&m->template, m->settings->hostname, envelope, &msg->plan);
	if (err == 0)
		msg->copies = calloc(msg->plan.count, sizeof(*msg->copies));
	if (msg->copies == NULL) {
		(void)fail(m, 0, "recipients", -ENOMEM);
		goto out;
	}
	err = make_headers(m, 0, &msg->headers);
	if (err < 0)
		goto out;
	msg->fd = create(m, 0);
	if (msg->fd < 0)
		goto out;
	text_start(&m->writer, msg->fd, m->settings->line_ending);
	err = text_write_raw(&m->writer, msg->headers.p, msg->headers.len);
	if (err < 0)
		(void)fail(m, 0, "write", err);
out:
	result = msg->result;
	if (result.kind != RESULT_OK)
		end_message(m, true);
	return result;
}

static struct smtp_result maildir_chunk(void *state, const void *p, size_t n)
{
	struct maildir *m = state;
	int err = text_write(&m->writer, p, n);

	if (err < 0)
		(void)fail(m, 0, "write", err);
	return m->message.result;
}

static void maildir_prepare(void *state, struct smtp_result *results)
{
	struct maildir *m = state;
	struct message *msg = &m->message;
	int err = 0;

	if (msg->result.kind == RESULT_OK)
		err = text_finish(&m->writer);
	if (err < 0)
		(void)fail(m, 0, "write", err);
	msg->copies[0].size_bytes = m->writer.size_bytes;
	if (msg->result.kind == RESULT_OK && stage_others(m) == 0)
		(void)keep_file(m, 0, &msg->fd);
	for (size_t i = 0; i < msg->envelope->recipient_count; i++)
		results[i] = msg->result;
}

static bool is_kept(const struct mailbox *mailbox, const bool *keep)
{
	for (size_t i = 0; i < mailbox->recipient_count; i++)
		if (keep[mailbox->recipients[i]])
			return true;
	return false;
}

static void maildir_commit(void *state, const bool *keep, struct smtp_result *results)
{
	struct maildir *m = state;
	const struct message *msg = &m->message;

	for (size_t i = 0; i < msg->plan.count && msg->result.kind == RESULT_OK; i++)
		if (is_kept(&msg->plan.mailboxes[i], keep))
			(void)publish(m, i);
	for (size_t i = 0; i < msg->envelope->recipient_count; i++)
		if (keep[i])
			results[i] = msg->result;
	end_message(m, msg->result.kind != RESULT_OK);
}

static void maildir_abort(void *state)
{
	end_message(state, true);
}

/* "/" and ":" have meanings in the names of a maildir, so they are written as
 * maildir(5) says.  m is zeroed, and a host that is too long is cut. */
static void set_host(struct maildir *m, const char *hostname)
{
	size_t n = 0;

	for (const char *p = hostname; *p != '\0'; p++) {
		const char *code = *p == '/' ? "\\057" : *p == ':' ? "\\072" : NULL;
		size_t length = code == NULL ? 1 : strlen(code);

		if (n + length > HOST_MAX)
			break;
		memcpy(m->host + n, code == NULL ? p : code, length);
		n += length;
	}
}

/* What of a path is the same for all messages, terminated; shared only if all
 * recipients share a mailbox. */
static bool expand_fixed(
	const struct mailbox_template *t, struct buf *root_path, struct buf *shared)
{
	const struct address none = {0};

	buf_init(root_path, t->root.n + 1);
	buf_init(shared, t->below.n + 1);
	if (!mailbox_expand(t->root, &none, "", root_path) || !buf_add(root_path, "", 1))
		return false;
	return t->is_per_recipient ||
	       (mailbox_expand(t->below, &none, "", shared) && buf_add(shared, "", 1));
}

static int maildir_prepare_host(
	const struct delivery_settings *settings, const struct delivery_owner *owner)
{
	const struct dirs_maker maker = {owner, settings->has_sync};
	struct mailbox_template template = mailbox_template_split(settings->path);
	struct buf root_path, shared;
	int root = -ENOMEM, err;

	if (expand_fixed(&template, &root_path, &shared))
		root = dirs_make(root_path.p, &maker);
	err = root < 0 ? root : 0;
	if (err == 0 && !template.is_per_recipient)
		err = dirs_make_maildir(root, shared.p, &maker);
	(void)fdio_close(&root);
	buf_done(&root_path);
	buf_done(&shared);
	return err;
}

static void maildir_close(void *state)
{
	struct maildir *m = state;

	if (m == NULL)
		return;
	place_close(&m->place);
	(void)fdio_close(&m->root);
	buf_done(&m->root_path);
	buf_done(&m->shared);
	free(m);
}

static int maildir_open(const struct delivery_settings *settings, void **ret_state)
{
	struct maildir *m = calloc(1, sizeof(*m));
	mode_t mask = umask(0);
	int err = -ENOMEM;

	(void)umask(mask);
	if (m == NULL)
		return -ENOMEM;
	m->settings = settings;
	m->template = mailbox_template_split(settings->path);
	m->needs_chmod = (settings->file_mode & mask) != 0;
	m->root = -1;
	m->place = PLACE_CLOSED;
	m->message.fd = -1;
	set_host(m, settings->hostname);
	if (!expand_fixed(&m->template, &m->root_path, &m->shared))
		goto out;
	m->root = open(m->root_path.p[0] == '\0' ? "." : m->root_path.p,
		O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = m->root < 0 ? -errno : 0;
	/* Now, while we may still pass through directories that are closed to a
	 * worker.  If it is missing or broken, that is for check, or for the first
	 * message, to find: somebody may have put it right by then. */
	if (err == 0 && !m->template.is_per_recipient)
		(void)place_open(m->root, m->shared.p, &m->place);
out:
	if (err < 0)
		maildir_close(m);
	else
		*ret_state = m;
	return err;
}

static void maildir_root(const void *state, struct delivery_root *ret)
{
	const struct maildir *m = state;

	*ret = (struct delivery_root){m->root, m->template.is_per_recipient};
}

static int maildir_check(void *state)
{
	struct maildir *m = state;
	char name[NAME_MAX + 1];
	int fd, err = 0;

	if (m->template.is_per_recipient) {
		err = faccessat(m->root, ".", R_OK | W_OK | X_OK, AT_EACCESS);
		return err < 0 ? -errno : 0;
	}
	if (m->place.tmp < 0)
		err = place_make(m, m->shared.p, &m->place);
	if (err < 0)
		return err;
	/* Permission bits do not tell all: read-only file systems, quotas. */
	(void)snprintf(name, sizeof(name), "%" PRIu64 ".check-%ld.%s", clock_wall_us(),
		(long)getpid(), m->host);
	fd = openat(m->place.tmp, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = fdio_close(&fd);
	if (unlinkat(m->place.tmp, name, 0) < 0 && err == 0)
		err = -errno;
	return err;
}

const struct delivery_backend delivery_maildir = {
	.name = "maildir",
	.prepare_host = maildir_prepare_host,
	.open = maildir_open,
	.root = maildir_root,
	.check = maildir_check,
	.close = maildir_close,
	.begin = maildir_begin,
	.chunk = maildir_chunk,
	.prepare = maildir_prepare,
	.commit = maildir_commit,
	.abort = maildir_abort,
};
