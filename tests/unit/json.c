/* A strict reader of one-line JSON objects; see json.h. */
#include "json.h"

#include <string.h>

/* Take c off the front. */
static bool take(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_skip(*s, 1);
	return true;
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *found = c == '\0' ? NULL : strchr(digits, c);

	return found == NULL ? -1 : (int)(found - digits);
}

/* What follows a backslash: another one, a quote, or u00NN.  The log uses no other. */
static bool take_escape(struct str *s, char *ret)
{
	int high, low;

	if (take(s, '\\') || take(s, '"')) {
		*ret = s->p[-1];
		return true;
	}
	if (s->n < 5 || memcmp(s->p, "u00", 3) != 0)
		return false;
	high = hex_value(s->p[3]);
	low = hex_value(s->p[4]);
	*s = str_skip(*s, 5);
	*ret = (char)(high * 16 + low);
	return high >= 0 && low >= 0;
}

static bool take_string(struct str *s, char *out, size_t size, size_t *ret_len)
{
	size_t len = 0;

	if (!take(s, '"'))
		return false;
	while (!take(s, '"')) {
		if (s->n == 0 || !str_is_printable(s->p[0]) || len + 1 == size)
			return false;
		out[len] = s->p[0];
		if (take(s, '\\') ? !take_escape(s, &out[len]) : !take(s, out[len]))
			return false;
		len++;
	}
	out[len] = '\0';
	*ret_len = len;
	return true;
}

/* Digits, and no zero before others. */
static bool take_number(struct str *s, char *out, size_t size, size_t *ret_len)
{
	size_t len = 0;

	while (s->n > 0 && str_is_digit(s->p[0]) && len + 1 < size) {
		out[len++] = s->p[0];
		*s = str_skip(*s, 1);
	}
	out[len] = '\0';
	*ret_len = len;
	return len == 1 || (len > 1 && out[0] != '0');
}

static bool take_member(struct str *s, struct json_member *m)
{
	size_t key_len;

	if (!take_string(s, m->key, sizeof(m->key), &key_len) || !take(s, ':'))
		return false;
	m->is_number = s->n > 0 && s->p[0] != '"';
	return m->is_number ? take_number(s, m->value, sizeof(m->value), &m->value_len)
			    : take_string(s, m->value, sizeof(m->value), &m->value_len);
}

bool json_read(struct str line, struct json_object *ret)
{
	ret->count = 0;
	if (!take(&line, '{'))
		return false;
	do {
		struct json_member *m = &ret->members[ret->count];

		if (ret->count == JSON_MEMBERS_MAX || !take_member(&line, m) ||
			json_find(ret, m->key) != NULL)
			return false;
		ret->count++;
	} while (take(&line, ','));
	return take(&line, '}') && take(&line, '\n') && line.n == 0;
}

const struct json_member *json_find(const struct json_object *object, const char *key)
{
	for (size_t i = 0; i < object->count; i++)
		if (strcmp(object->members[i].key, key) == 0)
			return &object->members[i];
	return NULL;
}
