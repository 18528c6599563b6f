/* Pairs; see pair.h.
 *
 * Runs in the master.  The files are the administrator's, and their certificates are read
 * here; a private key is opened, read and made only in a child (keys/errand.h), which
 * writes it into a file of memory.  One that stands in the file of its certificate is
 * wiped as soon as that is read. */
#include "keys/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/fdio.h"
#include "keys/errand.h"
#include "keys/private_key.h"
#include "keys/self_signed.h"

#define FILE_SIZE_MAX (1024 * 1024)

static void explain(char *ret_error, const char *what, int error)
{
	(void)snprintf(ret_error, PAIR_ERROR_MAX, "%s: %s", what, strerror(-error));
}

/* ------------------------------------------------------------ certificates */

/* Other servers want the key in one file with its certificate.  What stands between the
 * first and the last line of a key is not for this process to keep, and less for those
 * that inherit its memory. */
static void hide_keys(char *p, size_t n)
{
	static const char mark[] = "PRIVATE KEY-----";
	const size_t length = sizeof(mark) - 1;
	char *end = p + n, *from;

	while ((from = memmem(p, (size_t)(end - p), mark, length)) != NULL) {
		p = memmem(from + length, (size_t)(end - from) - length, mark, length);
		p = p == NULL ? end : p + length;
		memset(from, '\n', (size_t)(p - from));
	}
}

static int read_all(int fd, char **ret, size_t *ret_length)
{
	struct stat st;
	size_t size;
	char *p;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	if (st.st_size > FILE_SIZE_MAX)
		return -EFBIG;
	size = (size_t)st.st_size;
	p = malloc(size + 1);
	if (p == NULL)
		return -ENOMEM;
	n = fdio_read(fd, p, size);
	if (n < 0) {
		explicit_bzero(p, size);
		free(p);
		return (int)n;
	}
	hide_keys(p, (size_t)n);
	p[n] = '\0';
	*ret = p;
	*ret_length = (size_t)n;
	return 0;
}

int pair_read_file(
	const char *path, char **ret, size_t *ret_length, char ret_error[PAIR_ERROR_MAX])
{
	/* Not to wait for somebody who writes, should it be a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r = fd < 0 ? -errno : read_all(fd, ret, ret_length);

	(void)fdio_close(&fd);
	if (r == -ENOTSUP)
		(void)str_copy(ret_error, PAIR_ERROR_MAX, STR("is not a file"));
	else if (r < 0)
		explain(ret_error, "cannot read", r);
	return r;
}

void pair_format_date(int64_t unix_s, char ret[PAIR_DATE_SIZE])
{
	struct date d = date_of(unix_s > 0 ? (uint64_t)unix_s : 0);

	(void)snprintf(ret, PAIR_DATE_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ",
		d.year % 10000, d.month % 100, d.day % 100, d.hour % 100, d.minute % 100,
		d.second % 100);
}

static int check_dates(const struct certificate_info *info, int64_t now_s,
	char ret_error[PAIR_ERROR_MAX])
{
	bool is_early = now_s < info->not_before_s;
	int64_t when_s = is_early ? info->not_before_s : info->not_after_s;
	char date[PAIR_DATE_SIZE];

	if (!is_early && now_s <= info->not_after_s)
		return 0;
	pair_format_date(when_s, date);
	(void)snprintf(ret_error, PAIR_ERROR_MAX, "%s %s",
		is_early ? "not valid before" : "expired on", date);
	return -EINVAL;
}

static int read_certificate(
	const char *path, int64_t now_s, struct pair *p, char ret_error[PAIR_ERROR_MAX])
{
	int r = pair_read_file(path, &p->chain, &p->chain_length, ret_error);
	const char *wrong = NULL;

	if (r < 0)
		return r;
	r = certificate_read((struct str){p->chain, p->chain_length}, &p->info, &wrong);
	if (r < 0) {
		(void)snprintf(ret_error, PAIR_ERROR_MAX, "%s", wrong);
		return r;
	}
	return check_dates(&p->info, now_s, ret_error);
}

/* -------------------------------------------------------------------- keys */

static int make_key_file(struct pair *p)
{
	p->key_fd = memfd_create("sinkd-key", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return p->key_fd < 0 ? -errno : 0;
}

/* From here on nobody changes it. */
static int seal(int fd)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	return fcntl(fd, F_ADD_SEALS, seals) < 0 ? -errno : 0;
}

static int run_errand(errand_fn fn, const void *user, struct pair *p, struct buf *report,
	char ret_error[PAIR_ERROR_MAX])
{
	int r = errand_run(fn, user, report);

	if (r == -EINVAL && report->len > 0)
		(void)str_copy(ret_error, PAIR_ERROR_MAX, buf_str(report));
	else if (r == -ECHILD)
		(void)snprintf(ret_error, PAIR_ERROR_MAX,
			"the process for it died, of a signal or a limit");
	else if (r < 0)
		explain(ret_error, "the process for it failed", r);
	else if ((r = seal(p->key_fd)) < 0)
		explain(ret_error, "cannot be sealed", r);
	return r;
}

static int read_key(const char *path, struct pair *p, char ret_error[PAIR_ERROR_MAX])
{
	const struct private_key_file file = {
		.path = path,
		.certificate = {p->chain, p->chain_length},
		.out = p->key_fd,
	};
	struct buf report;
	int r = run_errand(private_key_read, &file, p, &report, ret_error);

	buf_done(&report);
	return r;
}

int pair_read(const char *certificate, const char *key, int64_t now_s, struct pair *ret,
	char ret_error[PAIR_ERROR_MAX], enum pair_part *ret_part)
{
	struct pair p = PAIR_NONE;
	int r = read_certificate(certificate, now_s, &p, ret_error);

	*ret_part = PAIR_CERTIFICATE;
	if (r == 0) {
		*ret_part = PAIR_KEY;
		if ((r = make_key_file(&p)) < 0)
			explain(ret_error, "cannot be kept", r);
		else
			r = read_key(key, &p, ret_error);
	}
	if (r == 0)
		*ret = p;
	else
		pair_done(&p);
	return r;
}

/* ------------------------------------------------------------------- making */

/* All n bytes, whatever they are; terminated besides. */
static char *copy_text(const char *p, size_t n)
{
	char *copy = malloc(n + 1);

	if (copy == NULL)
		return NULL;
	memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

static int take_certificate(
	struct pair *p, const struct buf *report, char ret_error[PAIR_ERROR_MAX])
{
	const char *wrong = NULL;
	int r;

	p->chain = copy_text(report->p, report->len);
	if (p->chain == NULL) {
		explain(ret_error, "cannot be kept", -ENOMEM);
		return -ENOMEM;
	}
	p->chain_length = report->len;
	r = certificate_read(buf_str(report), &p->info, &wrong);
	if (r < 0)
		(void)snprintf(ret_error, PAIR_ERROR_MAX, "%s", wrong);
	return r;
}

int pair_make(const struct config *c, int64_t now_s, struct pair *ret,
	char ret_error[PAIR_ERROR_MAX])
{
	struct pair p = PAIR_NONE;
	struct self_signed_order order = {.config = c, .now_s = now_s};
	struct buf report = {0};
	int r = make_key_file(&p);

	order.out = p.key_fd;
	if (r < 0)
		explain(ret_error, "cannot be kept", r);
	else
		r = run_errand(self_signed_make, &order, &p, &report, ret_error);
	if (r == 0)
		r = take_certificate(&p, &report, ret_error);
	buf_done(&report);
	if (r == 0)
		*ret = p;
	else
		pair_done(&p);
	return r;
}

int pair_copy(const struct pair *p, struct pair *ret)
{
	struct pair copy = {.chain_length = p->chain_length, .info = p->info};

	copy.key_fd = fcntl(p->key_fd, F_DUPFD_CLOEXEC, 3);
	if (copy.key_fd < 0)
		return -errno;
	copy.chain = copy_text(p->chain, p->chain_length);
	if (copy.chain == NULL) {
		pair_done(&copy);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

/* What was no certificate may have been anything. */
void pair_done(struct pair *p)
{
	if (p->chain != NULL)
		explicit_bzero(p->chain, p->chain_length);
	free(p->chain);
	(void)fdio_close(&p->key_fd);
	*p = PAIR_NONE;
}
