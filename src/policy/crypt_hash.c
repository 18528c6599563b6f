/* Hashes of crypt(3); see crypt_hash.h.
 *
 * Runs in the master (checks of form), in workers, where the password is a client's, and
 * in sinkctl.  crypt(3) itself wipes what it works with. */
#include "policy/crypt_hash.h"

#include <crypt.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(
	CRYPT_HASH_SIZE == CRYPT_OUTPUT_SIZE, "crypt has hashes of another length");
_Static_assert(CRYPT_HASH_PASSWORD_MAX < CRYPT_MAX_PASSPHRASE_SIZE, "crypt takes less");

/* Of the common methods we know what a hash looks like.  One that was cut or broken would
 * never fit a password, and nobody would know why. */
static const struct method {
	struct str prefix;
	size_t last_field, length; /* of these one is 0: any */
	bool has_any_salt;         /* of other characters than its own */
	const char *cost;          /* what stands before its cost; NULL: cannot be told */
	uint64_t cost_min, cost_max;
} methods[] = {
	{STR("$y$"), 43, 0, false, NULL, 0, 0},
	{STR("$gy$"), 43, 0, false, NULL, 0, 0},
	{STR("$6$"), 86, 0, true, "rounds=", 1000, CRYPT_HASH_ROUNDS_MAX},
	{STR("$5$"), 43, 0, true, "rounds=", 1000, CRYPT_HASH_ROUNDS_MAX},
	{STR("$2a$"), 0, 60, false, "", 4, CRYPT_HASH_BCRYPT_MAX},
	{STR("$2b$"), 0, 60, false, "", 4, CRYPT_HASH_BCRYPT_MAX},
	{STR("$2y$"), 0, 60, false, "", 4, CRYPT_HASH_BCRYPT_MAX},
};

static const struct method *find_method(struct str hash)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		struct str prefix = methods[i].prefix;

		if (hash.n >= prefix.n && memcmp(hash.p, prefix.p, prefix.n) == 0)
			return &methods[i];
	}
	return NULL;
}

static bool is_whole_hash(const struct method *m, struct str hash)
{
	struct str last = hash;

	for (size_t i = 0; i < hash.n; i++)
		if (hash.p[i] == '$')
			last = str_skip(hash, i + 1);
	return m->length != 0 ? hash.n == m->length : last.n == m->last_field;
}

static bool has_own_characters(const struct method *m, struct str hash)
{
	for (size_t i = 0; i < hash.n && !m->has_any_salt; i++)
		if (!str_is_alnum(hash.p[i]) && strchr("./$", hash.p[i]) == NULL)
			return false;
	return true;
}

/* crypt(3) does not take every cost; and whoever is not in the file pays for the first
 * hash in it, so that one of minutes would hold the workers. */
static bool is_cost_fine(const struct method *m, struct str hash)
{
	const char *cost = hash.p + m->prefix.n;
	uint64_t number = 0;

	if (m->cost == NULL || strncmp(cost, m->cost, strlen(m->cost)) != 0)
		return true;
	cost += strlen(m->cost);
	return str_parse_u64((struct str){cost, strcspn(cost, "$")}, &number) == 0 &&
	       number >= m->cost_min && number <= m->cost_max;
}

const char *crypt_hash_check(struct str hash)
{
	const struct method *m = find_method(hash);
	int method = crypt_checksalt(hash.p);

	if (hash.n >= CRYPT_OUTPUT_SIZE || method == CRYPT_SALT_INVALID ||
		method == CRYPT_SALT_METHOD_DISABLED)
		return "crypt(3) of this machine does not know this kind of hash";
	if (m != NULL && !is_whole_hash(m, hash))
		return "the hash is not whole";
	if (m != NULL && !has_own_characters(m, hash))
		return "the hash has a character that its kind has not";
	if (m != NULL && !is_cost_fine(m, hash))
		return "the cost of the hash is too small or too large";
	return NULL;
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
	/* It says EINVAL for want of memory, too. */
	r = made == NULL ? -ENOMEM : str_equal_secret(str_of(made), hash);
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
