/* Private keys; see private_key.h.  Runs in a child of the master; the file is the
 * administrator's. */
#include "keys/private_key.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "net/certificate.h"
#include "net/remote_key.h"

/* The largest RSA keys have some KiB. */
#define KEY_FILE_MAX 65536

#define KEY_ID_BYTES 32

static bool fail(struct buf *report, const char *text)
{
	(void)buf_add_text(report, text);
	return false;
}

static bool fail_errno(struct buf *report, const char *what)
{
	(void)buf_add_format(report, "%s: %s", what, strerror(errno));
	return false;
}

/* The file; wiped as soon as it is done with. */
struct secret {
	unsigned char bytes[KEY_FILE_MAX];
	size_t n;
};

static bool check_mode(int fd, struct buf *report)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail_errno(report, "cannot read");
	if (!S_ISREG(st.st_mode))
		return fail(report, "is not a file");
	if ((st.st_mode & 07) != 0)
		return fail(report, "everybody may get at it: it should be readable for "
				    "its owner alone (chmod 600)");
	if (st.st_size > KEY_FILE_MAX)
		return fail(report, "is too long for a key");
	return true;
}

static bool read_file(const char *path, struct secret *secret, struct buf *report)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	bool is_fine =
		fd < 0 ? fail_errno(report, "cannot read") : check_mode(fd, report);
	ssize_t n;

	if (is_fine) {
		n = fdio_read(fd, secret->bytes, sizeof(secret->bytes));
		if (n < 0)
			is_fine = fail_errno(report, "cannot read");
		else
			secret->n = (size_t)n;
	}
	(void)fdio_close(&fd);
	return is_fine;
}

static bool check_kind(gnutls_privkey_t key, struct buf *report)
{
	unsigned bits = 0;
	int kind = gnutls_privkey_get_pk_algorithm(key, &bits);

	if (kind >= 0 && remote_key_is_possible((gnutls_pk_algorithm_t)kind, bits))
		return true;
	(void)buf_add_format(report,
		"this kind of key is not supported (%s, %u bits): take ECDSA, or RSA up "
		"to 8192 bits",
		kind >= 0 ? gnutls_pk_get_name((gnutls_pk_algorithm_t)kind) : "unknown",
		bits);
	return false;
}

/* Whether both have the same public key. */
static bool check_fit(gnutls_privkey_t key, struct str certificate, struct buf *report)
{
	unsigned char ours[KEY_ID_BYTES], theirs[KEY_ID_BYTES];
	size_t our_size = sizeof(ours), their_size = sizeof(theirs);
	gnutls_pubkey_t public = NULL, expected = NULL;
	const char *wrong = NULL;
	bool is_fine = false;

	if (certificate_public_key(certificate, &expected, &wrong) < 0)
		(void)buf_add_text(report, wrong);
	else if (gnutls_pubkey_init(&public) != 0 ||
		 gnutls_pubkey_import_privkey(public, key, 0, 0) != 0 ||
		 gnutls_pubkey_get_key_id(
			 public, GNUTLS_KEYID_USE_SHA256, ours, &our_size) != 0 ||
		 gnutls_pubkey_get_key_id(
			 expected, GNUTLS_KEYID_USE_SHA256, theirs, &their_size) != 0)
		(void)buf_add_text(report, "cannot be compared with the certificate");
	else if (our_size != their_size || memcmp(ours, theirs, our_size) != 0)
		(void)buf_add_text(report, "does not fit the certificate");
	else
		is_fine = true;
	if (public != NULL)
		gnutls_pubkey_deinit(public);
	if (expected != NULL)
		gnutls_pubkey_deinit(expected);
	return is_fine;
}

static bool import(gnutls_privkey_t key, struct secret *secret, struct buf *report)
{
	const gnutls_datum_t text = {secret->bytes, (unsigned)secret->n};
	int r = gnutls_privkey_import_x509_raw(key, &text, GNUTLS_X509_FMT_PEM, NULL, 0);

	if (r == 0)
		return true;
	if (r == GNUTLS_E_DECRYPTION_FAILED)
		return fail(report, "is encrypted: sinkd has nobody to ask for the "
				    "password; remove it");
	return fail(report, "no private key in PEM form");
}

static bool check(
	const struct private_key_file *f, struct secret *secret, struct buf *report)
{
	gnutls_privkey_t key;
	bool is_fine;

	if (gnutls_privkey_init(&key) != 0)
		return fail(report, strerror(ENOMEM));
	is_fine = import(key, secret, report) && check_kind(key, report) &&
		  check_fit(key, f->certificate, report);
	gnutls_privkey_deinit(key);
	return is_fine;
}

bool private_key_read(const void *user, struct buf *report)
{
	const struct private_key_file *f = user;
	struct secret *secret = calloc(1, sizeof(*secret));
	bool is_fine;

	if (secret == NULL)
		return fail(report, strerror(ENOMEM));
	is_fine = read_file(f->path, secret, report) && check(f, secret, report);
	if (is_fine && fdio_write_all(f->out, secret->bytes, secret->n) < 0)
		is_fine = fail(report, "cannot be kept");
	explicit_bzero(secret, sizeof(*secret));
	free(secret);
	return is_fine;
}
