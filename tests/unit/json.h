/* A strict reader of one-line JSON objects (RFC 8259) whose values are strings and
 * whole numbers: what the log writes, and nothing that it should not.  And a check for
 * what sinkctl writes, which is nested. */
#ifndef SINKD_TESTS_JSON_H
#define SINKD_TESTS_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

#define JSON_MEMBERS_MAX 32
#define JSON_VALUE_MAX   2048

struct json_member {
	char key[64];
	char value[JSON_VALUE_MAX]; /* decoded: \u00NN is the byte NN */
	size_t value_len;
	bool is_number;
};

struct json_object {
	struct json_member members[JSON_MEMBERS_MAX];
	size_t count;
};

/* Whether line is an object and a newline, in printable ASCII, without blanks and
 * without a key that comes twice. */
bool json_read(struct str line, struct json_object *ret);

/* Whether text is one JSON value of any kind (RFC 8259) in printable ASCII, and a
 * newline. */
bool json_is_valid(struct str text);

/* The member with this key, or NULL. */
const struct json_member *json_find(const struct json_object *object, const char *key);

#endif
