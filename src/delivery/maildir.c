/* maildir: one file per message and mailbox, durable before it is promised.
 *
 * This is the section: its root, its mailbox if all share one, what is left of
 * deliveries that never ended.  Messages are in maildir_message.c.
 *
 * Runs in workers, prepare_host in the master, clean in a process of its own.  Parts of
 * paths are hostile; they get there only through mailbox.c.
 *
 * Known limits: the directories of a mailbox for all stay open.  When it is
 * removed it is made again, but when it is renamed this worker follows it.  And of two
 * sections of one message that lead to the same mailbox the second finds its name taken,
 * which is a failure. */
#include "delivery/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "delivery/leftovers.h"

int maildir_make_place(const struct maildir *m, const char *mailbox, struct place *ret)
{
	const struct dirs_maker maker = {.has_sync = m->settings->has_sync};
	int err = place_open(m->root, mailbox, ret);

	if (err != -ENOENT)
		return err;
	err = dirs_make_maildir(m->root, mailbox, &maker);
	return err < 0 ? err : place_open(m->root, mailbox, ret);
}

/* "/" and ":" have meanings in the names of a maildir, so they are written as
 * maildir(5) says.  m is zeroed, and a host that is too long is cut. */
static void set_host(struct maildir *m, const char *hostname)
{
	size_t n = 0;

	for (const char *p = hostname; *p != '\0'; p++) {
		const char *code = *p == '/' ? "\\057" : *p == ':' ? "\\072" : NULL;
		size_t length = code == NULL ? 1 : strlen(code);

		if (n + length > MAILDIR_HOST_MAX)
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

static int maildir_open(const struct delivery_settings *settings, size_t section,
	const struct delivery_env *env, void **ret_state)
{
	struct maildir *m = calloc(1, sizeof(*m));
	mode_t mask = umask(0);
	int err = -ENOMEM;

	(void)section;
	(void)env;
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

	ret->fd = m->root;
	/* Of a message for several mailboxes copies may be made. */
	ret->reach = m->template.is_per_recipient ? DELIVERY_REACH_STORE_READ
						  : DELIVERY_REACH_STORE;
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
		err = maildir_make_place(m, m->shared.p, &m->place);
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

static int maildir_clean(void *state, uint64_t *count)
{
	struct maildir *m = state;
	time_t now = (time_t)(clock_wall_us() / 1000000);
	int err = 0;

	if (m->template.is_per_recipient)
		return leftovers_remove_below(m->root, m->template.below, now, count);
	if (m->place.tmp < 0)
		err = place_open(m->root, m->shared.p, &m->place);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	return leftovers_remove(m->place.tmp, now, count);
}

const struct delivery_backend delivery_maildir = {
	.name = "maildir",
	.prepare_host = maildir_prepare_host,
	.open = maildir_open,
	.root = maildir_root,
	.check = maildir_check,
	.clean = maildir_clean,
	.close = maildir_close,
	.begin = maildir_begin,
	.chunk = maildir_chunk,
	.prepare = maildir_prepare,
	.commit = maildir_commit,
	.end = maildir_end,
};
