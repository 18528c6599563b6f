/* Reads transcript files.  Strict: what it does not know is an error, so that a
 * misspelt expectation never passes as a comment.  Input is our own files. */
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define SCRIPT_BYTES_MAX ((size_t)64 << 20)

static int complain(const struct script *s, unsigned line, const char *what)
{
	(void)fprintf(stderr, "%s:%u: %s\n", s->path, line, what);
	return -EINVAL;
}

/* The step that the line belongs to: the last one if it is of that kind and
 * `joins`, else a new one.  NULL without memory. */
static struct step *step_of(
	struct script *s, enum step_kind kind, unsigned line, bool joins)
{
	struct step *steps;

	if (joins && s->step_count > 0 && s->steps[s->step_count - 1].kind == kind)
		return &s->steps[s->step_count - 1];
	steps = reallocarray(s->steps, s->step_count + 1, sizeof(*steps));
	if (steps == NULL)
		return NULL;
	s->steps = steps;
	steps += s->step_count++;
	*steps = (struct step){.kind = kind, .line = line};
	buf_init(&steps->bytes, SCRIPT_BYTES_MAX);
	return steps;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, str_lower(c));

	return at == NULL ? -1 : (int)(at - digits);
}

/* Append text with its escapes: \r \n \t \0 \\ \xNN. */
static bool add_raw(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '\\') {
			static const char names[] = "rnt0\\";
			static const char values[] = "\r\n\t\0\\";
			const char *at;

			if (++i == text.n)
				return false;
			at = memchr(names, text.p[i], sizeof(names) - 1);
			if (at != NULL) {
				c = values[at - names];
			} else if (text.p[i] == 'x' && i + 2 < text.n &&
				   hex_digit(text.p[i + 1]) >= 0 &&
				   hex_digit(text.p[i + 2]) >= 0) {
				c = (char)(hex_digit(text.p[i + 1]) * 16 +
					   hex_digit(text.p[i + 2]));
				i += 2;
			} else {
				return false;
			}
		}
		if (!buf_add(out, &c, 1))
			return false;
	}
	return true;
}

/* "N text": text with escapes, N times. */
static bool add_repeated(struct buf *out, struct str rest)
{
	const char *blank = memchr(rest.p, ' ', rest.n);
	struct buf once;
	uint64_t count;
	bool is_good = false;

	buf_init(&once, SCRIPT_BYTES_MAX);
	if (blank == NULL)
		return false;
	if (str_parse_u64((struct str){rest.p, (size_t)(blank - rest.p)}, &count) == 0)
		is_good = add_raw(&once, str_skip(rest, (size_t)(blank - rest.p) + 1));
	for (uint64_t i = 0; is_good && i < count; i++)
		is_good = buf_add_str(out, buf_str(&once));
	buf_done(&once);
	return is_good;
}

/* What follows "C" or "M": ": text" is a line, "- text" raw bytes, "* N text"
 * raw bytes repeated. */
static bool add_bytes(struct buf *out, char how, struct str text)
{
	switch (how) {
	case ':':
		return buf_add_str(out, text) && buf_add_text(out, "\r\n");
	case '-':
		return add_raw(out, text);
	case '*':
		return add_repeated(out, text);
	default:
		return false;
	}
}

/* "word rest" at a blank; rest is empty without one. */
static struct str take_word(struct str *rest)
{
	struct str word = *rest;
	const char *blank = memchr(rest->p, ' ', rest->n);

	if (blank != NULL)
		word.n = (size_t)(blank - rest->p);
	*rest = str_trim_start(str_skip(*rest, word.n));
	return word;
}

/* Words of an option, from the value 0 of its enum on; ended by NULL. */
static bool find_word(const char *const *words, struct str word, int *ret)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (str_equal(word, str_of(words[i]))) {
			*ret = i;
			return true;
		}
	}
	return false;
}

/* In the file sizes and words are strings, and counts are not. */
static bool add_limit(struct script *s, struct str name, struct str value, bool is_count)
{
	const char *quote = is_count ? "" : "\"";

	return buf_add_format(&s->limits, "\t%.*s = %s%.*s%s\n", STR_ARG(name), quote,
		STR_ARG(value), quote);
}

/* A limit whose value is a word.  early-talker is a matter of the server, and nothing
 * to the engine. */
static bool set_limit_word(struct script *s, struct str name, struct str value)
{
	static const char *const newlines[] = {"normalize", "reject", "preserve", NULL};
	static const char *const talkers[] = {"allow", "refuse", NULL};
	bool is_newline = str_equal(name, STR("bare-newline"));
	int number;

	if (!is_newline && !str_equal(name, STR("early-talker")))
		return false;
	if (!find_word(is_newline ? newlines : talkers, value, &number))
		return false;
	if (is_newline)
		s->settings.bare_newline = (enum bare_newline)number;
	return add_limit(s, name, value, false);
}

/* "NAME VALUE", both as in the section limits of sinkd.conf. */
static bool set_limit(struct script *s, struct str name, struct str value)
{
	struct smtp_settings *settings = &s->settings;
	uint64_t number = 0;
	bool is_count = true;

	if (str_parse_size(value, &number) != 0)
		return set_limit_word(s, name, value);
	if (str_equal(name, STR("recipients")))
		settings->recipients_max = number;
	else if (str_equal(name, STR("line-length")))
		settings->line_length_max = number;
	else if (str_equal(name, STR("errors")))
		settings->errors_max = (unsigned)number;
	else if (str_equal(name, STR("auth-failures")))
		settings->auth_failures_max = (unsigned)number;
	else if (str_equal(name, STR("commands-without-mail")))
		settings->idle_commands_max = (unsigned)number;
	else if (str_equal(name, STR("messages-per-session")))
		settings->messages_max = (unsigned)number;
	else
		is_count = false;
	if (is_count)
		return add_limit(s, name, value, true);
	if (str_equal(name, STR("message-size")))
		settings->message_size_max = number;
	else if (str_equal(name, STR("memory-per-session")))
		settings->memory_max = number;
	else
		return false;
	return add_limit(s, name, value, false);
}

/* A list of sinkd.conf from words with blanks between, perhaps none. */
static bool add_list(struct buf *out, const char *name, struct str words)
{
	const char *comma = "";

	if (!buf_add_format(out, "\t%s = {", name))
		return false;
	while (words.n > 0) {
		struct str word = take_word(&words);

		if (!buf_add_format(out, "%s\"%.*s\"", comma, STR_ARG(word)))
			return false;
		comma = ", ";
	}
	return buf_add_text(out, "}\n");
}

/* "extensions WORD...": what EHLO offers; without a word nothing, and so no EHLO. */
static bool set_extensions(struct script *s, struct str words)
{
	static const char *const names[] = {
#define EXTENSION_NAME(id, name) name,
		SMTP_EXTENSIONS(EXTENSION_NAME)
#undef EXTENSION_NAME
			NULL};
	struct str rest = words;
	int number;

	s->listen.extensions = 0;
	while (rest.n > 0) {
		if (!find_word(names, take_word(&rest), &number))
			return false;
		s->listen.extensions |= EXTENSION_BIT(number);
	}
	return add_list(&s->listener, "extensions", words);
}

/* "xclient 127.0.0.1": the client, who comes from there, may use it. */
static bool set_xclient(struct script *s, struct str address)
{
	if (!str_equal(address, STR("127.0.0.1")))
		return false;
	s->may_xclient = true;
	return add_list(&s->listener, "xclient", address);
}

/* "protocol WORD", "tls WORD", "auth WORD" and so on, as in a section listen. */
static bool set_listen(struct script *s, struct str name, struct str value)
{
	static const char *const tls[] = {
		"off", "starttls", "required", "implicit", NULL};
	static const char *const auth[] = {"off", "optional", "required", NULL};
	static const char *const protocol[] = {"smtp", "lmtp", NULL};
	int number;

	if (str_equal(name, STR("extensions")))
		return set_extensions(s, value);
	if (str_equal(name, STR("xclient")))
		return set_xclient(s, value);
	if (str_equal(name, STR("tls")) && find_word(tls, value, &number))
		s->listen.tls = (enum listen_tls)number;
	else if (str_equal(name, STR("auth")) && find_word(auth, value, &number))
		s->listen.auth = (enum listen_auth)number;
	else if (str_equal(name, STR("protocol")) && find_word(protocol, value, &number))
		s->listen.protocol = (enum listen_protocol)number;
	else
		return false;
	return buf_add_format(
		&s->listener, "\t%.*s = \"%.*s\"\n", STR_ARG(name), STR_ARG(value));
}

/* "plaintext-without-tls WORD", as in the section auth. */
static bool set_auth(struct script *s, struct str name, struct str value)
{
	static const char *const words[] = {"never", "loopback", "always", NULL};
	int number;

	if (!str_equal(name, STR("plaintext-without-tls")) ||
		!find_word(words, value, &number))
		return false;
	s->settings.plaintext_auth = (enum plaintext_auth)number;
	return buf_add_format(
		&s->auth, "\t%.*s = \"%.*s\"\n", STR_ARG(name), STR_ARG(value));
}

/* "CODE" or "CODE N": so many replies. */
static bool take_replies(struct str *rest, uint64_t *ret_count)
{
	struct str code = take_word(rest), count = *rest;
	uint64_t number;

	*rest = code;
	*ret_count = 1;
	return str_parse_u64(code, &number) == 0 &&
	       (count.n == 0 || (str_parse_u64(count, ret_count) == 0 && *ret_count > 0));
}

/* An option of a section, if the word is that of one.  Returns whether it is. */
static bool add_option(
	struct script *s, unsigned line, struct str word, struct str rest, int *ret)
{
	static const struct {
		const char *word;
		bool (*set)(struct script *s, struct str name, struct str value);
	} options[] = {{"limit", set_limit}, {"listen", set_listen}, {"auth", set_auth}};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct str name;

		if (!str_equal(word, str_of(options[i].word)))
			continue;
		name = take_word(&rest);
		*ret = 0;
		if (s->step_count > 0)
			*ret = complain(s, line, "options come first");
		else if (!options[i].set(s, name, rest))
			*ret = complain(s, line, "bad option");
		return true;
	}
	return false;
}

static int add_action(struct script *s, unsigned line, struct str rest)
{
	static const struct {
		const char *word;
		enum step_kind kind;
	} actions[] = {
		{"reply", STEP_REPLY},
		{"silent", STEP_SILENT},
		{"closed", STEP_CLOSED},
		{"disconnect", STEP_DISCONNECT},
		{"stored", STEP_STORED},
		{"tls", STEP_TLS},
	};
	struct str word = take_word(&rest);
	uint64_t number = 0;
	int r;

	if (add_option(s, line, word, rest, &r))
		return r;
	if (str_equal(word, STR("sync"))) {
		s->is_stepwise = true;
		return rest.n == 0 ? 0 : complain(s, line, "sync takes no argument");
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		enum step_kind kind = actions[i].kind;
		struct step *step;
		bool is_good;

		if (!str_equal(word, str_of(actions[i].word)))
			continue;
		if (kind == STEP_REPLY)
			is_good = take_replies(&rest, &number);
		else if (kind == STEP_STORED)
			is_good = str_parse_u64(rest, &number) == 0;
		else
			is_good = rest.n == 0;
		if (!is_good)
			return complain(s, line, "wrong argument");
		step = step_of(s, kind, line, false);
		if (step == NULL || !buf_add_str(&step->bytes, rest))
			return -ENOMEM;
		step->number = number;
		s->is_stepwise |= kind == STEP_SILENT || kind == STEP_TLS;
		return 0;
	}
	return complain(s, line, "unknown action");
}

static int add_line(struct script *s, unsigned number, struct str line, bool *is_parted)
{
	char who = line.p[0];
	char how = line.n > 1 ? line.p[1] : '\0';
	bool has_space = line.n > 2 && line.p[2] == ' ';
	struct str text = str_skip(line, 3);
	bool is_good = false;
	struct step *step;

	if (line.n > 2 && !has_space && who != '!')
		return complain(s, number, "a blank is missing");
	if (who == '!')
		return add_action(s, number, str_trim_start(str_skip(line, 1)));
	if (who == 'C' || who == 'M') {
		step = step_of(s, who == 'C' ? STEP_SEND : STEP_MESSAGE, number,
			who == 'C' || !*is_parted);
		is_good = step != NULL && add_bytes(&step->bytes, how, text);
	} else if (who == 'S' && how == ':') {
		step = step_of(s, STEP_LINE, number, false);
		is_good = step != NULL && buf_add_str(&step->bytes, text);
	} else if (who == 'S' && how == '*') {
		step = step_of(s, STEP_LINES, number, true);
		is_good = step != NULL && buf_add_str(&step->bytes, text) &&
			  buf_add_text(&step->bytes, "\n");
	}
	*is_parted = false;
	return is_good ? 0 : complain(s, number, "cannot understand this line");
}

int script_load(struct script *s, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	unsigned number = 0;
	bool is_parted = true;
	ssize_t got;
	int r = 0;

	s->path = path;
	buf_init(&s->limits, 4096);
	buf_init(&s->auth, 4096);
	s->listen.extensions = EXTENSIONS_ALL;
	buf_init(&s->listener, 4096);
	if (file == NULL) {
		r = -errno;
		(void)fprintf(stderr, "cannot open '%s': %s\n", path, strerror(-r));
		return r;
	}
	while (r == 0 && (got = getline(&line, &size, file)) >= 0) {
		struct str text = {line, (size_t)got};

		number++;
		if (text.n > 0 && text.p[text.n - 1] == '\n')
			text.n--;
		if (text.n == 0)
			is_parted = true;
		else if (text.p[0] != '#')
			r = add_line(s, number, text, &is_parted);
	}
	if (r == 0 && (ferror(file) != 0 || s->step_count == 0))
		r = complain(s, number, "nothing to play");
	free(line);
	(void)fclose(file);
	return r;
}

void script_free(struct script *s)
{
	for (size_t i = 0; i < s->step_count; i++)
		buf_done(&s->steps[i].bytes);
	free(s->steps);
	buf_done(&s->limits);
	buf_done(&s->auth);
	buf_done(&s->listener);
	*s = (struct script){0};
}
