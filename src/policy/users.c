/* The users file; see users.h.
 *
 * Read by the master, as part of the configuration: the text is the operator's own.
 * Looked at in workers, where names and passwords come from clients; there the answer,
 * and the time it takes, must not tell whether a user exists.  Proofs are never written
 * anywhere, and wiped. */
#include "policy/users.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/fdio.h"
#include "base/siphash.h"
#include "policy/crypt_hash.h"
#include "policy/vault.h"

#define FILE_BYTES_MAX  (16L * 1024 * 1024)
#define NAME_SHOWN_SIZE 128

struct entry {
	struct user user;
	unsigned line;
};

struct users {
	char *text; /* what the strings of all entries are parts of */
	size_t size;
	size_t text_room;
	struct entry *entries; /* sorted by name */
	size_t count;
	size_t entry_room;
	/* For each kind that there is, one that stands for all: its work is done for
	 * those who have none of that kind. */
	struct user samples[USER_PROOFS];
	bool has_sample[USER_PROOFS];
	uint64_t salt_secret[2];
};

/* Where a mistake is told. */
struct reading {
	struct users *u;
	const char *path;
	FILE *errors;
	size_t mistakes;
};

static const struct str plain_prefix = STR(USERS_PLAIN_PREFIX);
static const struct str scram_prefix = STR(USERS_SCRAM_PREFIX);

/* ------------------------------------------------------------------ reading */

static void tell(struct reading *r, unsigned line, const char *text)
{
	r->mistakes++;
	(void)fprintf(r->errors, "%s:%u: %s\n", r->path, line, text);
}

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

const char *users_check_name(struct str name)
{
	if (name.n == 0)
		return "the name is empty";
	if (name.n > USERS_NAME_MAX)
		return "the name is longer than 255 bytes";
	if (has_control(name))
		return "the name has a control character in it";
	if (str_is_blank(name.p[0]) || str_is_blank(name.p[name.n - 1]))
		return "the name begins or ends with a blank";
	if (name.p[0] == '#' || memchr(name.p, ':', name.n) != NULL)
		return "a name cannot begin with '#' or have ':' in it";
	return NULL;
}

const char *users_check_password(struct str password)
{
	if (password.n == 0)
		return "the password is empty";
	if (password.n > USERS_PASSWORD_MAX)
		return "the password is longer than 511 bytes";
	if (has_control(password))
		return "the password has a control character in it";
	return NULL;
}

static const char *parse_crypt(struct str proof, struct user *user)
{
	user->kind = USER_CRYPT;
	user->secret = proof;
	return crypt_hash_check(proof);
}

static const char *parse_plain(struct str proof, struct user *user)
{
	user->kind = USER_PLAIN;
	user->secret = str_skip(proof, plain_prefix.n);
	return users_check_password(user->secret);
}

/* Decode a field of at most SCRAM_SALT_MAX bytes.  Returns how many, or 0. */
static size_t decode_field(struct str s, char out[SCRAM_SALT_MAX])
{
	char decoded[BASE64_DECODED_SIZE(BASE64_ENCODED_SIZE(SCRAM_SALT_MAX))];
	size_t n = 0;

	if (s.n > BASE64_ENCODED_SIZE(SCRAM_SALT_MAX) ||
		base64_decode(s, decoded, &n) < 0 || n > SCRAM_SALT_MAX)
		n = 0;
	memcpy(out, decoded, n);
	explicit_bzero(decoded, sizeof(decoded));
	return n;
}

/* The next field, up to a comma; false if there is none. */
static bool take_field(struct str *rest, struct str *ret)
{
	const char *comma = rest->p == NULL ? NULL : memchr(rest->p, ',', rest->n);

	if (rest->p == NULL)
		return false;
	*ret = *rest;
	if (comma == NULL) {
		*rest = (struct str){0};
		return true;
	}
	ret->n = (size_t)(comma - rest->p);
	*rest = str_skip(*rest, ret->n + 1);
	return true;
}

static bool parse_key(struct str field, unsigned char key[SCRAM_KEY_BYTES])
{
	char decoded[SCRAM_SALT_MAX];
	size_t n = decode_field(field, decoded);

	if (n == SCRAM_KEY_BYTES)
		memcpy(key, decoded, SCRAM_KEY_BYTES);
	explicit_bzero(decoded, sizeof(decoded));
	return n == SCRAM_KEY_BYTES;
}

/* ITERATIONS,SALT,STOREDKEY,SERVERKEY */
static const char *parse_scram(struct str proof, struct user *user)
{
	struct str rest = str_skip(proof, scram_prefix.n), fields[4];
	uint64_t iterations = 0;

	for (size_t i = 0; i < 4; i++)
		if (!take_field(&rest, &fields[i]))
			return "{SCRAM-SHA-256} has four fields";
	if (rest.p != NULL)
		return "{SCRAM-SHA-256} has four fields";
	if (str_parse_u64(fields[0], &iterations) < 0 ||
		iterations < SCRAM_ITERATIONS_LEAST || iterations > SCRAM_ITERATIONS_MAX)
		return "the iterations are not a number from 4096 to 10000000";
	user->salt_n = decode_field(fields[1], user->salt);
	if (user->salt_n == 0)
		return "the salt is not 1 to 64 bytes in base64";
	if (!parse_key(fields[2], user->keys.stored) ||
		!parse_key(fields[3], user->keys.server))
		return "a key is not 32 bytes in base64";
	user->kind = USER_SCRAM_SHA_256;
	user->iterations = (uint32_t)iterations;
	return NULL;
}

static bool starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

/* line is terminated. */
static const char *parse_line(struct str line, struct user *user)
{
	const char *colon = memchr(line.p, ':', line.n);
	const char *error;
	struct str proof;

	if (line.p[line.n - 1] == '\r')
		return "the line ends in CR LF, not in LF";
	if (colon == NULL)
		return "a line is 'name:proof'";
	user->name = (struct str){line.p, (size_t)(colon - line.p)};
	error = users_check_name(user->name);
	if (error != NULL)
		return error;
	proof = str_skip(line, user->name.n + 1);
	if (starts(proof, plain_prefix))
		return parse_plain(proof, user);
	if (starts(proof, scram_prefix))
		return parse_scram(proof, user);
	if (proof.n > 0 && proof.p[0] == '$')
		return parse_crypt(proof, user);
	return "the proof is neither a hash of crypt(3) nor {PLAIN} nor {SCRAM-SHA-256}";
}

static void take_line(struct reading *r, unsigned number, struct str line)
{
	struct entry entry = {.line = number};
	struct users *u = r->u;
	const char *error;

	if (str_trim_start(line).n == 0 || line.p[0] == '#')
		return;
	error = parse_line(line, &entry.user);
	if (error != NULL) {
		tell(r, number, error);
	} else {
		u->entries[u->count++] = entry;
		if (!u->has_sample[entry.user.kind]) {
			u->has_sample[entry.user.kind] = true;
			u->samples[entry.user.kind] = entry.user;
		}
	}
	explicit_bzero(&entry, sizeof(entry));
}

static int compare_names(struct str a, struct str b)
{
	int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;
	int order = compare_names(a->user.name, b->user.name);

	return order != 0 ? order : (a->line > b->line) - (a->line < b->line);
}

static void tell_twice(struct reading *r)
{
	const struct users *u = r->u;

	for (size_t i = 1; i < u->count; i++) {
		const struct entry *a = &u->entries[i - 1], *b = &u->entries[i];
		char name[NAME_SHOWN_SIZE];

		if (!str_equal(a->user.name, b->user.name))
			continue;
		r->mistakes++;
		(void)str_printable(name, sizeof(name), b->user.name);
		(void)fprintf(r->errors, "%s:%u: line %u has a user '%s' already\n",
			r->path, b->line, a->line, name);
	}
}

/* Text of the reading's users is there. */
static int parse_text(struct reading *r)
{
	struct users *u = r->u;
	char *p = u->text, *end = u->text + u->size;
	size_t lines = 1;

	if (memchr(p, '\0', u->size) != NULL) {
		tell(r, 1, "not a text file");
		return -EINVAL;
	}
	for (const char *q = p; (q = memchr(q, '\n', (size_t)(end - q))) != NULL; q++)
		lines++;
	u->entries = vault_alloc(lines * sizeof(u->entries[0]));
	if (u->entries == NULL)
		return -ENOMEM;
	u->entry_room = lines;
	for (unsigned number = 1; p < end; number++) {
		char *stop = memchr(p, '\n', (size_t)(end - p));

		if (stop == NULL)
			stop = end;
		*stop = '\0';
		take_line(r, number, (struct str){p, (size_t)(stop - p)});
		p = stop + 1;
	}
	qsort(u->entries, u->count, sizeof(u->entries[0]), compare_entries);
	tell_twice(r);
	return r->mistakes > 0 ? -EINVAL : 0;
}

/* What the kernel gave this program at its start; all that it forks have the same. */
static int learn_secret(struct users *u)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	uint64_t seed[2];

	if (random != NULL)
		memcpy(seed, random, sizeof(seed));
	else if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -EIO;
	/* The C library guards its stacks with it as well: keep it apart. */
	u->salt_secret[0] = siphash(seed, "salt 0", 6);
	u->salt_secret[1] = siphash(seed, "salt 1", 6);
	explicit_bzero(seed, sizeof(seed));
	return 0;
}

static struct users *new_users(size_t size)
{
	struct users *u = vault_alloc(sizeof(*u));

	if (u == NULL)
		return NULL;
	u->text = vault_alloc(size + 1);
	u->size = size;
	u->text_room = size + 1;
	if (u->text == NULL) {
		users_free(u);
		return NULL;
	}
	return u;
}

/* Takes u over. */
static int finish(struct users *u, const char *path, FILE *errors, struct users **ret)
{
	struct reading reading = {.u = u, .path = path, .errors = errors};
	int r = learn_secret(u);

	if (r == 0)
		r = parse_text(&reading);
	if (r < 0)
		users_free(u);
	else
		*ret = u;
	return r;
}

int users_parse(struct str text, const char *path, FILE *errors, struct users **ret)
{
	struct users *u = new_users(text.n);

	if (u == NULL)
		return -ENOMEM;
	if (text.n > 0)
		memcpy(u->text, text.p, text.n);
	return finish(u, path, errors, ret);
}

/* Into memory that never moves, so that no copy is left behind. */
static int read_text(int fd, struct users **ret, const char **ret_error)
{
	struct users *u;
	struct stat st;
	size_t size = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_error = !S_ISREG(st.st_mode)          ? "it is not a file"
		     : (st.st_mode & S_IRWXO) != 0 ? "it holds secrets and others may "
						     "use it; chmod o= mends that"
		     : st.st_size > FILE_BYTES_MAX ? "it is larger than 16 MiB"
						   : NULL;
	if (*ret_error != NULL)
		return -EINVAL;
	u = new_users((size_t)st.st_size);
	if (u == NULL)
		return -ENOMEM;
	while (n > 0 && size < u->size) {
		n = fdio_read(fd, u->text + size, u->size - size);
		size += n > 0 ? (size_t)n : 0;
	}
	if (n < 0) {
		users_free(u);
		return (int)n;
	}
	u->size = size;
	*ret = u;
	return 0;
}

int users_read(const char *path, FILE *errors, struct users **ret)
{
	/* Not to wait for somebody who writes, if it is a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *error = NULL;
	struct users *u = NULL;
	int r = fd < 0 ? -errno : read_text(fd, &u, &error);

	(void)fdio_close(&fd);
	if (u != NULL) {
		r = finish(u, path, errors, ret);
		if (r == 0 || r == -EINVAL)
			return r;
	}
	(void)fprintf(errors, "sinkd: cannot read '%s': %s\n", path,
		error != NULL ? error : strerror(-r));
	return r;
}

void users_free(struct users *u)
{
	if (u == NULL)
		return;
	vault_free(u->text, u->text_room);
	vault_free(u->entries, u->entry_room * sizeof(u->entries[0]));
	vault_free(u, sizeof(*u));
}

/* ------------------------------------------------------------------ looking */

size_t users_count(const struct users *u)
{
	return u == NULL ? 0 : u->count;
}

bool users_have(const struct users *u, enum user_proof kind)
{
	return u != NULL && u->has_sample[kind];
}

static int compare_to_name(const void *key, const void *entry)
{
	const struct str *name = key;

	return compare_names(*name, ((const struct entry *)entry)->user.name);
}

const struct user *users_find(const struct users *u, struct str name)
{
	const struct entry *entry;

	if (u == NULL || u->count == 0 || name.n == 0)
		return NULL;
	entry = bsearch(
		&name, u->entries, u->count, sizeof(u->entries[0]), compare_to_name);
	return entry == NULL ? NULL : &entry->user;
}

static int check_scram(const struct user *user, struct str password)
{
	struct scram_keys keys = {0};
	int r = scram_derive(password, (struct str){user->salt, user->salt_n},
		user->iterations, &keys);

	if (r == -EINVAL)
		return 0;
	if (r == 0)
		r = str_equal_secret(
			(struct str){(const char *)keys.stored, SCRAM_KEY_BYTES},
			(struct str){(const char *)user->keys.stored, SCRAM_KEY_BYTES});
	explicit_bzero(&keys, sizeof(keys));
	return r;
}

static int check_proof(const struct user *user, struct str password)
{
	switch (user->kind) {
	case USER_CRYPT:
		return crypt_hash_fits(user->secret, password);
	case USER_SCRAM_SHA_256:
		return check_scram(user, password);
	case USER_PLAIN:
		return str_equal_secret(password, user->secret);
	case USER_PROOFS:
		break;
	}
	assert(user->kind < USER_PROOFS);
	return -EINVAL;
}

int users_check(const struct users *u, const struct user *user, struct str password)
{
	/* No proof is made of such a password, and its work could be less. */
	bool can_be = users_check_password(password) == NULL;
	int r = 0;

	if (u == NULL || !can_be)
		return 0;
	/* Each kind that there is costs everybody the same. */
	for (int kind = 0; kind < USER_PROOFS; kind++) {
		bool is_own = user != NULL && user->kind == (enum user_proof)kind;
		int answer;

		if (!u->has_sample[kind])
			continue;
		answer = check_proof(is_own ? user : &u->samples[kind], password);
		if (answer < 0)
			return answer;
		if (is_own)
			r = answer;
	}
	return r;
}

size_t users_make_salt(const struct users *u, struct str name, char salt[SCRAM_SALT_MAX])
{
	const struct user *like = users_have(u, USER_SCRAM_SHA_256)
					  ? &u->samples[USER_SCRAM_SHA_256]
					  : NULL;
	size_t n = like == NULL ? SCRAM_SALT_BYTES : like->salt_n;
	uint64_t none[2] = {0}, words[SCRAM_SALT_MAX / sizeof(uint64_t)];
	uint64_t whole = siphash(u == NULL ? none : u->salt_secret, name.p, name.n);

	for (uint64_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t input[2] = {whole, i};

		words[i] =
			siphash(u == NULL ? none : u->salt_secret, input, sizeof(input));
	}
	memcpy(salt, words, n);
	return n;
}

uint32_t users_iterations(const struct users *u)
{
	return users_have(u, USER_SCRAM_SHA_256)
		       ? u->samples[USER_SCRAM_SHA_256].iterations
		       : SCRAM_ITERATIONS;
}
