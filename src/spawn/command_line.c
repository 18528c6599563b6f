/* Command lines; see command_line.h.
 *
 * Runs in the spawner.  Templates are the administrator's; what is filled in comes from
 * clients, by way of workers that may have been taken over.  Pure. */
#include "spawn/command_line.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "delivery/macro.h"
#include "smtp/address.h"

#define NUMBER_SIZE 24

/* What macros and variables are filled in from. */
struct filling {
	const struct spawn_request *request;
	struct arena *arena;
	struct str only_recipient; /* empty when there are several */
	char port[NUMBER_SIZE];
	char size[NUMBER_SIZE];
};

static void open_filling(
	struct filling *f, const struct spawn_request *r, struct arena *arena)
{
	*f = (struct filling){.request = r, .arena = arena};
	if (r->recipient_count == 1)
		f->only_recipient = r->recipients[0];
	/* A Unix socket has none. */
	if (r->client_port > 0)
		(void)snprintf(f->port, sizeof(f->port), "%u", (unsigned)r->client_port);
	(void)snprintf(f->size, sizeof(f->size), "%" PRIu64, r->size_bytes);
}

/* ---------------------------------------------------------------- arguments */

static struct str value_of(const struct filling *f, enum macro macro)
{
	const struct spawn_request *r = f->request;
	const struct str values[MACRO_END] = {
		[MACRO_SENDER] = r->sender,
		[MACRO_RECIPIENT] = f->only_recipient,
		[MACRO_RECIPIENT_LOCAL] = r->local,
		[MACRO_RECIPIENT_DOMAIN] = r->domain,
		[MACRO_RECIPIENT_EXTENSION] = address_extension(r->local),
		[MACRO_CLIENT_ADDRESS] = r->client_address,
		[MACRO_CLIENT_PORT] = str_of(f->port),
		[MACRO_HELO] = r->helo,
		[MACRO_USER] = r->user,
		[MACRO_LISTENER] = r->listener,
		[MACRO_MESSAGE_ID] = r->message_id,
		[MACRO_SIZE] = str_of(f->size),
		[MACRO_ENVID] = r->envid,
		[MACRO_PROTOCOL] = r->protocol,
		[MACRO_TLS_CIPHER] = r->tls_cipher,
	};

	return values[macro];
}

/* Put the template, filled in, into out; NULL: only count.  Returns its length. */
static size_t fill_in(const struct filling *f, struct str template, char *out)
{
	size_t n = 0;

	while (template.n > 0) {
		struct macro_token token;
		struct str piece = {&token.literal, 1};

		/* The configuration was checked. */
		if (macro_take(&template, MACROS_OF_COMMANDS, &token) != NULL)
			break;
		if (token.macro != MACRO_NONE)
			piece = value_of(f, token.macro);
		if (out != NULL && piece.n > 0)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
	}
	return n;
}

static bool is_all_recipients(const char *template)
{
	return strcmp(template, "%{recipients}") == 0;
}

static size_t count_arguments(const struct pipe_settings *s, size_t recipient_count)
{
	size_t n = 0;

	for (size_t i = 0; s->command[i] != NULL; i++)
		n += is_all_recipients(s->command[i]) ? recipient_count : 1;
	return n;
}

static int add_recipients(const struct filling *f, char ***next)
{
	const struct spawn_request *r = f->request;

	for (size_t i = 0; i < r->recipient_count; i++) {
		/* Terminated: one byte more is zeroed. */
		char *text = arena_alloc(f->arena, r->recipients[i].n + 1);

		if (text == NULL)
			return -ENOMEM;
		memcpy(text, r->recipients[i].p, r->recipients[i].n);
		*(*next)++ = text;
	}
	return 0;
}

static int add_argument(const struct filling *f, const char *template, char ***next)
{
	struct str s = str_of(template);
	char *text;

	if (is_all_recipients(template))
		return add_recipients(f, next);
	text = arena_alloc(f->arena, fill_in(f, s, NULL) + 1);
	if (text == NULL)
		return -ENOMEM;
	(void)fill_in(f, s, text);
	*(*next)++ = text;
	return 0;
}

static bool has_recipient_with_hyphen(const struct spawn_request *r)
{
	for (size_t i = 0; i < r->recipient_count; i++)
		if (str_starts_nocase(r->recipients[i], STR("-")))
			return true;
	return false;
}

/* Whether its first byte is a hyphen that the client has chosen. */
static bool is_clients_option(const struct filling *f, const char *template)
{
	struct str s = str_of(template);
	struct macro_token token;

	if (is_all_recipients(template))
		return has_recipient_with_hyphen(f->request);
	while (s.n > 0 && macro_take(&s, MACROS_OF_COMMANDS, &token) == NULL &&
		token.macro != MACRO_NONE) {
		struct str value = value_of(f, token.macro);

		if (value.n > 0)
			return str_starts_nocase(value, STR("-"));
	}
	return false;
}

static int make_arguments(
	const struct pipe_settings *s, const struct filling *f, char ***ret)
{
	size_t n = count_arguments(s, f->request->recipient_count);
	char **argv = arena_alloc(f->arena, (n + 1) * sizeof(*argv));
	char **next = argv;
	bool has_options_ended = false;

	if (argv == NULL)
		return -ENOMEM;
	for (size_t i = 0; s->command[i] != NULL; i++) {
		if (!has_options_ended && is_clients_option(f, s->command[i]))
			return -EINVAL;
		if (add_argument(f, s->command[i], &next) < 0)
			return -ENOMEM;
		if (strcmp(s->command[i], "--") == 0)
			has_options_ended = true;
	}
	*ret = argv;
	return 0;
}

/* -------------------------------------------------------------- environment */

struct variable {
	const char *name;
	struct str value;
};

static size_t count_own(const struct pipe_settings *s)
{
	size_t n = 0;

	while (s->environment != NULL && s->environment[n] != NULL)
		n++;
	return n;
}

static bool is_overridden(const struct pipe_settings *s, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < count_own(s); i++)
		if (strncmp(s->environment[i], name, length) == 0 &&
			s->environment[i][length] == '=')
			return true;
	return false;
}

/* One to a line; p NULL without memory. */
static struct str join_recipients(const struct filling *f)
{
	const struct spawn_request *r = f->request;
	size_t length = 0, at = 0;
	char *text;

	for (size_t i = 0; i < r->recipient_count; i++)
		length += r->recipients[i].n + 1;
	text = arena_alloc(f->arena, length);
	if (text == NULL)
		return (struct str){0};
	for (size_t i = 0; i < r->recipient_count; i++) {
		memcpy(text + at, r->recipients[i].p, r->recipients[i].n);
		at += r->recipients[i].n;
		text[at++] = '\n';
	}
	return (struct str){text, length - 1};
}

static int add_variable(const struct filling *f, const struct variable *v, char ***next)
{
	size_t length = strlen(v->name);
	char *text = arena_alloc(f->arena, length + 1 + v->value.n + 1);

	if (text == NULL)
		return -ENOMEM;
	memcpy(text, v->name, length);
	text[length] = '=';
	if (v->value.n > 0)
		memcpy(text + length + 1, v->value.p, v->value.n);
	*(*next)++ = text;
	return 0;
}

static int make_environment(
	const struct pipe_settings *s, const struct filling *f, char ***ret)
{
	const struct spawn_request *r = f->request;
	const struct variable ours[] = {
		{"PATH", STR(PIPE_PATH)}, {"SENDER", r->sender},
		{"RECIPIENTS", join_recipients(f)}, {"CLIENT_ADDRESS", r->client_address},
		{"CLIENT_PORT", str_of(f->port)}, {"HELO", r->helo},
		{"AUTH_USER", r->user}, {"TLS", r->tls_version},
		{"TLS_SUBJECT", r->tls_subject}, {"SIZE", str_of(f->size)},
		{"MESSAGE_ID", r->message_id}, {"LISTENER", r->listener},
		{"PROTOCOL", r->protocol}, {"ENVID", r->envid},
		{"RECIPIENT", f->only_recipient}, /* last: only when there is one */
	};
	const size_t count = sizeof(ours) / sizeof(ours[0]) - (r->recipient_count != 1);
	size_t own = count_own(s);
	char **envp = arena_alloc(f->arena, (count + own + 1) * sizeof(*envp));
	char **next = envp;

	if (envp == NULL || ours[2].value.p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (!is_overridden(s, ours[i].name) &&
			add_variable(f, &ours[i], &next) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < own; i++) {
		/* execve(2) wants pointers that it may write through; it does not. */
		union {
			const char *in;
			char *out;
		} variable = {.in = s->environment[i]};

		*next++ = variable.out;
	}
	*ret = envp;
	return 0;
}

int command_line_make(const struct pipe_settings *settings,
	const struct spawn_request *request, struct arena *arena,
	struct command_line *ret)
{
	struct command_line made;
	struct filling f;
	int r;

	open_filling(&f, request, arena);
	r = make_arguments(settings, &f, &made.argv);
	if (r == 0)
		r = make_environment(settings, &f, &made.envp);
	if (r == 0)
		*ret = made;
	return r;
}
