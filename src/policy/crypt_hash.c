/* Hashes of crypt(3); see crypt_hash.h.
 *
 * Runs in the master (checks of form), in workers, where the password is a client's, and
 * in sinkctl.  crypt(3) itself wipes what it works with. */
#include "policy/crypt_hash.h"

#include <crypt.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(
	CRYPT_HASH_SIZE == CRYPT_OUTPUT_SIZE, "crypt has hashes of another length");
_Static_assert(CRYPT_HASH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt takes less");

/* Of the common methods we know how long a whole hash is.  One that was cut would never
 * fit a password, and nobody would know why. */
static bool is_whole_hash(struct str hash)
{
	static const struct {
		struct str prefix;
		size_t last_field, length;
	} methods[] = {
		{STR("$y$"), 43, 0},
		{STR("$gy$"), 43, 0},
		{STR("$6$"), 86, 0},
		{STR("$5$"), 43, 0},
		{STR("$2a$"), 0, 60},
		{STR("$2b$"), 0, 60},
		{STR("$2y$"), 0, 60},
	};
	const char *last = memrchr(hash.p, '$', hash.n);

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct str prefix = methods[i].prefix;

		if (hash.n < prefix.n || memcmp(hash.p, prefix.p, prefix.n) != 0)
			continue;
		if (methods[i].length != 0)
			return hash.n == methods[i].length;
		return hash.n - (size_t)(last + 1 - hash.p) == methods[i].last_field;
	}
	return true;
}

const char *crypt_hash_check(struct str hash)
{
	int method = crypt_checksalt(hash.p);

	if (hash.n >= CRYPT_OUTPUT_SIZE || method == CRYPT_SALT_INVALID ||
		method == CRYPT_SALT_METHOD_DISABLED)
		return "crypt(3) of this machine does not know this kind of hash";
	return is_whole_hash(hash) ? NULL : "the hash is not whole";
}

/* The room that crypt works in is too large for a stack. */
struct crypt_work {
	struct crypt_data data;
	char phrase[CRYPT_MAX_PASSPHRASE_SIZE];
};

static struct crypt_work *new_work(struct str password)
{
	struct crypt_work *work = calloc(1, sizeof(*work));

	if (work != NULL)
		(void)str_copy(work->phrase, sizeof(work->phrase), password);
	return work;
}

static void free_work(struct crypt_work *work)
{
	explicit_bzero(work, sizeof(*work));
	free(work);
}

int crypt_hash_fits(struct str hash, struct str password)
{
	struct crypt_work *work = new_work(password);
	const char *made;
	int r;

	if (work == NULL)
		return -ENOMEM;
	made = crypt_rn(work->phrase, hash.p, &work->data, sizeof(work->data));
	if (made == NULL)
		r = errno == ENOMEM ? -ENOMEM : -EIO;
	else
		r = str_equal_secret(str_of(made), hash);
	free_work(work);
	return r;
}

int crypt_hash_make(const char *prefix, unsigned long count, struct str password,
	char hash[CRYPT_HASH_SIZE])
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_work *work = new_work(password);
	const char *made = NULL;

	if (work == NULL)
		return -ENOMEM;
	if (crypt_gensalt_rn(prefix, count, NULL, 0, setting, sizeof(setting)) != NULL)
		made = crypt_rn(work->phrase, setting, &work->data, sizeof(work->data));
	if (made != NULL)
		(void)str_copy(hash, CRYPT_HASH_SIZE, str_of(made));
	free_work(work);
	return made == NULL ? -ENOTSUP : 0;
}
