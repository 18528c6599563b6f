/* Fuzz target: the users file.
 *
 * The input is the file, any bytes.  What is refused must say why, with a line that the
 * file has; what is accepted must say nothing, and each user must be found under its name
 * and have a proof in its limits.  Costs of proofs are the operator's, so passwords are
 * tried only where that is cheap. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "policy/users.h"

static void check_told(struct str told, struct str text)
{
	size_t line_count = 1;

	for (size_t i = 0; i < text.n; i++)
		line_count += text.p[i] == '\n';
	while (told.n > 0) {
		const char *end = memchr(told.p, '\n', told.n);

		assert(end != NULL);
		fuzz_check_mistake((struct str){told.p, (size_t)(end - told.p)},
			STR("FILE"), line_count);
		told = str_skip(told, (size_t)(end - told.p) + 1);
	}
}

static void check_user(const struct users *u, struct str name)
{
	const struct user *user = users_find(u, name);

	assert(user != NULL && str_equal(user->name, name));
	assert(users_check_name(name) == NULL);
	assert(users_have(u, user->kind));
	if (user->kind == USER_SCRAM_SHA_256) {
		assert(user->salt_n > 0 && user->salt_n <= SCRAM_SALT_MAX);
		assert(user->iterations >= SCRAM_ITERATIONS_LEAST);
		assert(user->iterations <= SCRAM_ITERATIONS_MAX);
	} else {
		assert(user->secret.n > 0 && user->secret.p[user->secret.n] == '\0');
		assert(strlen(user->secret.p) == user->secret.n);
	}
	if (users_have(u, USER_CRYPT) || users_have(u, USER_SCRAM_SHA_256))
		return;
	assert(users_check(u, user, user->secret) == 1);
	assert(users_check(u, NULL, user->secret) == 0);
}

/* Each line of an accepted file that says something is a user. */
static void check_users(const struct users *u, struct str text)
{
	size_t count = 0;

	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		struct str line = {text.p, end == NULL ? text.n : (size_t)(end - text.p)};
		const char *colon = memchr(line.p, ':', line.n);

		text = str_skip(text, line.n + 1);
		if (line.n == 0 || line.p[0] == '#' || str_trim_start(line).n == 0)
			continue;
		assert(colon != NULL);
		check_user(u, (struct str){line.p, (size_t)(colon - line.p)});
		count++;
	}
	assert(users_count(u) == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *copy = fuzz_exact_copy((struct str){(const char *)p, n}), *told = NULL;
	struct str text = {copy, n};
	struct users *u = NULL;
	size_t size = 0;
	FILE *errors = open_memstream(&told, &size);
	int result;

	assert(errors != NULL);
	result = users_parse(text, "FILE", errors, &u);
	assert(fclose(errors) == 0);
	assert(result == 0 || result == -EINVAL);
	assert((u != NULL) == (result == 0) && (size == 0) == (result == 0));
	check_told((struct str){told, size}, text);
	if (u != NULL)
		check_users(u, text);
	users_free(u);
	free(told);
	free(copy);
	return 0;
}
