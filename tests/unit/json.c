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

static bool skip_value(struct str *s, unsigned depth);

static bool skip_string(struct str *s)
{
	static char value[JSON_VALUE_MAX * 4];
	size_t len;

	return take_string(s, value, sizeof(value), &len);
}

static bool skip_digits(struct str *s)
{
	size_t n = 0;

	while (n < s->n && str_is_digit(s->p[n]))
		n++;
	*s = str_skip(*s, n);
	return n > 0;
}

/* RFC 8259, 6, without exponents, which nobody writes here. */
static bool skip_number(struct str *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !skip_digits(s))
		return false;
	if (s->n > 0 && str_is_digit(s->p[0]))
		return false;
	return !take(s, '.') || skip_digits(s);
}

static bool skip_word(struct str *s, struct str word)
{
	if (s->n < word.n || memcmp(s->p, word.p, word.n) != 0)
		return false;
	*s = str_skip(*s, word.n);
	return true;
}

static bool skip_members(struct str *s, bool has_keys, char end, unsigned depth)
{
	if (take(s, end))
		return true;
	do {
		if (has_keys && (!skip_string(s) || !take(s, ':')))
			return false;
		if (!skip_value(s, depth - 1))
			return false;
	} while (take(s, ','));
	return take(s, end);
}

static bool skip_value(struct str *s, unsigned depth)
{
	if (s->n == 0 || depth == 0)
		return false;
	if (take(s, '{'))
		return skip_members(s, true, '}', depth);
	if (take(s, '['))
		return skip_members(s, false, ']', depth);
	if (s->p[0] == '"')
		return skip_string(s);
	return skip_word(s, STR("true")) || skip_word(s, STR("false")) ||
	       skip_word(s, STR("null")) || skip_number(s);
}

bool json_is_valid(struct str text)
{
	return skip_value(&text, 16) && take(&text, '\n') && text.n == 0;
}

const struct json_member *json_find(const struct json_object *object, const char *key)
{
	for (size_t i = 0; i < object->count; i++)
		if (strcmp(object->members[i].key, key) == 0)
			return &object->members[i];
	return NULL;
}
