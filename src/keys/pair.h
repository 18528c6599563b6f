/* A pair: a certificate, which all may know, and its private key, which is only in a
 * file of memory that this process does not read. */
#ifndef SINKD_KEYS_PAIR_H
#define SINKD_KEYS_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "net/certificate.h"

struct pair {
	char *chain; /* PEM, on the heap */
	size_t chain_length;
	int key_fd; /* PEM; sealed */
	struct certificate_info info;
};

#define PAIR_NONE ((struct pair){.key_fd = -1})

/* Room for what is wrong. */
#define PAIR_ERROR_MAX 256

/* Which of the two files it is about. */
enum pair_part { PAIR_CERTIFICATE, PAIR_KEY };

/* Read and check both files: the certificate here, the key in a child; now_s is Unix
 * time. Returns 0, or a negative errno; ret_error and *ret_part then say what is wrong.
 */
int pair_read(const char *certificate, const char *key, int64_t now_s, struct pair *ret,
	char ret_error[PAIR_ERROR_MAX], enum pair_part *ret_part);

struct config;

/* Make a pair for a server with this configuration, in a child: its name, and the
 * addresses that it listens on for TLS.  Returns 0, or a negative errno and ret_error. */
int pair_make(const struct config *c, int64_t now_s, struct pair *ret,
	char ret_error[PAIR_ERROR_MAX]);

/* A copy, with descriptors of its own.  Returns 0 or a negative errno. */
int pair_copy(const struct pair *p, struct pair *ret);
void pair_done(struct pair *p);

/* "2026-01-02T03:04:05Z" of Unix time. */
#define PAIR_DATE_SIZE 24
void pair_format_date(int64_t unix_s, char ret[PAIR_DATE_SIZE]);

/* Read a file of certificates, 1 MiB at most, for the caller to free; *ret_length bytes,
 * terminated besides.  Private keys in it are overwritten.  The same results. */
int pair_read_file(
	const char *path, char **ret, size_t *ret_length, char ret_error[PAIR_ERROR_MAX]);

#endif
