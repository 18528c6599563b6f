/* delivery/macro: templates, token by token. */
#include "unit.h"

#include "delivery/macro.h"

#include <stdio.h>
#include <string.h>

/* The template as tokens: names of macros in brackets, literal bytes as they are; "!"
 * where it is wrong. */
static void describe(const char *template, uint32_t allowed, char *out, size_t size)
{
	static const char *const names[] = {
#define MACRO_NAME(id, name) [MACRO_##id] = name,
		MACROS(MACRO_NAME)
#undef MACRO_NAME
	};
	struct str s = str_of(template);
	size_t n = 0;

	out[0] = '\0';
	while (s.n > 0) {
		struct macro_token token = {0};
		struct str before = s;
		const char *error = macro_take(&s, allowed, &token);

		if (error != NULL) {
			CHECK(template, str_equal(s, before));
			CHECK(template, error[0] != '\0');
			(void)snprintf(out + n, size - n, "!");
			return;
		}
		CHECK(template, s.n < before.n);
		n += (size_t)(token.macro == MACRO_NONE
				      ? snprintf(out + n, size - n, "%c", token.literal)
				      : snprintf(out + n, size - n, "[%s]",
						names[token.macro]));
	}
}

static void tokens(void)
{
	static const struct {
		const char *template, *in_command, *in_path;
	} cases[] = {
		{"", "", ""},
		{"plain text", "plain text", "plain text"},
		{"100%%", "100%", "100%"},
		{"%%%%", "%%", "%%"},
		{"%%{sender}", "%{sender}", "%{sender}"},
		{"$x {a} }{", "$x {a} }{", "$x {a} }{"},
		{"\x01\xff\n", "\x01\xff\n", "\x01\xff\n"},
		{"a%{recipient}b", "a[recipient]b", "a[recipient]b"},
		{"%{recipient.local}@%{recipient.domain}",
			"[recipient.local]@[recipient.domain]",
			"[recipient.local]@[recipient.domain]"},
		{"%{sender}%{size}", "[sender][size]", "!"},
		{"x%{recipients}", "x[recipients]", "x!"},
		{"%{recipient.extension}", "[recipient.extension]", "!"},
		{"%{client.address}:%{client.port}", "[client.address]:[client.port]",
			"!"},
		{"%{helo}%{user}%{listener}", "[helo][user][listener]", "!"},
		{"%{message.id}%{envid}", "[message.id][envid]", "!"},
		{"%{protocol}%{tls.cipher}", "[protocol][tls.cipher]", "!"},
		{"%", "!", "!"},
		{"a%", "a!", "a!"},
		{"%s", "!", "!"},
		{"% {sender}", "!", "!"},
		{"%{", "!", "!"},
		{"%{}", "!", "!"},
		{"%{sender", "!", "!"},
		{"%{sender}}", "[sender]}", "!"},
		{"%{Sender}", "!", "!"},
		{"%{sender }", "!", "!"},
		{"%{recipient.}", "!", "!"},
		{"%{recipient.local.part}", "!", "!"},
		{"%{none}", "!", "!"},
		{"%{%{sender}}", "!", "!"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[200];

		describe(cases[i].template, MACROS_OF_COMMANDS, text, sizeof(text));
		CHECK_STR(cases[i].template, str_of(text), str_of(cases[i].in_command));
		describe(cases[i].template, MACROS_OF_PATHS, text, sizeof(text));
		CHECK_STR(cases[i].template, str_of(text), str_of(cases[i].in_path));
	}
}

/* A slice need not be terminated, and what follows is not looked at. */
static void end_of_slice(void)
{
	static const char text[] = "%{sender}";

	for (size_t n = 1; n < sizeof(text) - 1; n++) {
		struct str s = {text, n};
		struct macro_token token;

		CHECK(text, macro_take(&s, MACROS_OF_COMMANDS, &token) != NULL);
	}
}

static void mistakes_name_what_there_is(void)
{
	struct str s = STR("%{x}");
	struct macro_token token;
	const char *error = macro_take(&s, MACROS_OF_COMMANDS, &token);

	CU_ASSERT_PTR_NOT_NULL_FATAL(error);
#define CHECK_NAMED(id, name) CHECK(name, strstr(error, " %{" name "}") != NULL);
	MACROS(CHECK_NAMED)
#undef CHECK_NAMED
	error = macro_take(&s, MACROS_OF_PATHS, &token);
	CU_ASSERT_PTR_NOT_NULL_FATAL(error);
	CHECK("path", strstr(error, "%{recipient.domain}") != NULL);
	CHECK("path", strstr(error, "%{sender}") == NULL);
}

static void used(void)
{
	CHECK("none", macro_used("a%%{sender}b") == 0);
	CHECK("nothing", macro_used("") == 0);
	CHECK("one", macro_used("--from=%{sender}") == MACRO_BIT(MACRO_SENDER));
	CHECK("twice", macro_used("%{size}%{size}") == MACRO_BIT(MACRO_SIZE));
	CHECK("two", macro_used("%{recipient.local}+%{envid}") ==
			     (MACRO_BIT(MACRO_RECIPIENT_LOCAL) | MACRO_BIT(MACRO_ENVID)));
	CHECK("sets", (MACROS_OF_PATHS & ~MACROS_OF_ONE_RECIPIENT) == 0);
	CHECK("sets", (MACROS_OF_ONE_RECIPIENT & ~MACROS_OF_COMMANDS) == 0);
	CHECK("sets", (MACROS_OF_COMMANDS & MACRO_BIT(MACRO_NONE)) == 0);
}

static void arguments(void)
{
	static const struct {
		const char *argument;
		bool is_right;
	} cases[] = {
		{"", true},
		{"--", true},
		{"-f%{sender}", true},
		{"%{recipients}", true},
		{"%{recipient},%{recipient}", true},
		{"100%%", true},
		{"%{recipients} ", false},
		{"x%{recipients}", false},
		{"%{recipients}%{recipients}", false},
		{"%{recipients}%%", false},
		{"%{unknown}", false},
		{"%{sender", false},
		{"50%", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].argument, (macro_check_argument(cases[i].argument) ==
						 NULL) == cases[i].is_right);
}

static void options(void)
{
	static const struct {
		const char *name;
		const char *command[6];
		uint32_t expected;
	} cases[] = {
		{"nothing", {NULL}, 0},
		{"a program", {"/bin/x", NULL}, 0},
		{"inside", {"/bin/x", "-f%{sender}", "a=%{helo}", NULL}, 0},
		{"percent", {"/bin/x", "%%%{helo}", NULL}, 0},
		{"first", {"/bin/x", "%{helo}", "%{sender}x", NULL},
			MACRO_BIT(MACRO_HELO) | MACRO_BIT(MACRO_SENDER)},
		{"an empty one before", {"/bin/x", "%{envid}%{user}.%{helo}", NULL},
			MACRO_BIT(MACRO_ENVID) | MACRO_BIT(MACRO_USER)},
		{"behind", {"/bin/x", "--", "%{helo}", NULL}, 0},
		{"before", {"/bin/x", "%{user}", "--", "%{helo}", NULL},
			MACRO_BIT(MACRO_USER)},
		{"not quite", {"/bin/x", "---", "%{helo}", NULL}, MACRO_BIT(MACRO_HELO)},
		{"the program is none", {"--", "%{helo}", NULL}, MACRO_BIT(MACRO_HELO)},
		{"recipients", {"/bin/x", "%{recipients}", NULL},
			MACRO_BIT(MACRO_RECIPIENTS)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK(cases[i].name,
			macro_used_as_options(cases[i].command) == cases[i].expected);
}

void suite_macro(void)
{
	CU_pSuite s = CU_add_suite("macro", NULL, NULL);

	CU_add_test(s, "tokens", tokens);
	CU_add_test(s, "end of slice", end_of_slice);
	CU_add_test(s, "mistakes name what there is", mistakes_name_what_there_is);
	CU_add_test(s, "used", used);
	CU_add_test(s, "arguments", arguments);
	CU_add_test(s, "options", options);
}
