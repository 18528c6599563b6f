/* Unit tests of spawn/command_line: what a command is given, whatever clients say. */
#include <errno.h>
#include <string.h>

#include "spawn/command_line.h"
#include "unit.h"

#define ARGUMENTS_MAX 10

static const struct str one[] = {STR("joe+box@example.test")};
static const struct str three[] = {STR("a@x"), STR("b@y"), STR("a@x")};

static struct spawn_request request_for(const struct str *recipients, size_t n)
{
	return (struct spawn_request){
		.client_port = 2525,
		.size_bytes = 18446744073709551615U,
		.sender = STR("ann@example.test"),
		.client_address = STR("192.0.2.7"),
		.helo = STR("client.test"),
		.user = STR("ann"),
		.listener = STR("mx"),
		.message_id = STR("id-1"),
		.envid = STR("env"),
		.protocol = STR("ESMTPSA"),
		.tls_version = STR("TLSv1.3"),
		.tls_cipher = STR("TLS_AES_256_GCM_SHA384"),
		.tls_subject = STR("CN=ann"),
		.local = n == 1 ? STR("joe+box") : STR(""),
		.domain = n == 1 ? STR("example.test") : STR(""),
		.recipients = recipients,
		.recipient_count = n,
	};
}

static void check_list(const char *name, char *const *got, const char *const *expected)
{
	size_t i = 0;

	for (; got[i] != NULL && expected[i] != NULL; i++)
		CHECK_STR(name, str_of(got[i]), str_of(expected[i]));
	CHECK(name, got[i] == NULL && expected[i] == NULL);
}

static int make(const char *const *command, const struct spawn_request *r,
	struct arena *arena, struct command_line *ret)
{
	const struct pipe_settings settings = {.command = command};

	arena_init(arena, 1024 * 1024);
	return command_line_make(&settings, r, arena, ret);
}

static const struct argument_case {
	const char *name;
	const char *command[ARGUMENTS_MAX];
	const char *argv[ARGUMENTS_MAX]; /* for one recipient */
	const char *of_three[ARGUMENTS_MAX];
} arguments[] = {
	{"none", {"/bin/true"}, {"/bin/true"}, {"/bin/true"}},
	{"text", {"/bin/a b", "", "$HOME `x` ; *", "100%%"},
		{"/bin/a b", "", "$HOME `x` ; *", "100%"},
		{"/bin/a b", "", "$HOME `x` ; *", "100%"}},
	{"sender", {"/p", "--from", "%{sender}"}, {"/p", "--from", "ann@example.test"},
		{"/p", "--from", "ann@example.test"}},
	{"in a text", {"/p", "--from=<%{sender}>%%"},
		{"/p", "--from=<ann@example.test>%"},
		{"/p", "--from=<ann@example.test>%"}},
	{"recipient",
		{"/p", "%{recipient}", "%{recipient.local}", "%{recipient.domain}",
			"%{recipient.extension}"},
		{"/p", "joe+box@example.test", "joe+box", "example.test", "box"},
		{"/p", "", "", "", ""}},
	{"recipients", {"/p", "--", "%{recipients}", "end"},
		{"/p", "--", "joe+box@example.test", "end"},
		{"/p", "--", "a@x", "b@y", "a@x", "end"}},
	{"twice", {"/p", "%{recipients}", "%{recipients}"},
		{"/p", "joe+box@example.test", "joe+box@example.test"},
		{"/p", "a@x", "b@y", "a@x", "a@x", "b@y", "a@x"}},
	{"client",
		{"/p", "%{client.address}:%{client.port}", "%{helo}", "%{user}",
			"%{listener}", "%{protocol}", "%{tls.cipher}"},
		{"/p", "192.0.2.7:2525", "client.test", "ann", "mx", "ESMTPSA",
			"TLS_AES_256_GCM_SHA384"},
		{"/p", "192.0.2.7:2525", "client.test", "ann", "mx", "ESMTPSA",
			"TLS_AES_256_GCM_SHA384"}},
	{"message", {"/p", "%{message.id}", "%{size}", "%{envid}"},
		{"/p", "id-1", "18446744073709551615", "env"},
		{"/p", "id-1", "18446744073709551615", "env"}},
};

static void test_arguments(void)
{
	for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
		const struct argument_case *c = &arguments[i];
		const struct spawn_request for_one = request_for(one, 1);
		const struct spawn_request for_three = request_for(three, 3);
		struct command_line line;
		struct arena arena;

		CHECK(c->name, make(c->command, &for_one, &arena, &line) == 0);
		check_list(c->name, line.argv, c->argv);
		arena_done(&arena);
		CHECK(c->name, make(c->command, &for_three, &arena, &line) == 0);
		check_list(c->name, line.argv, c->of_three);
		arena_done(&arena);
	}
}

/* What clients say is one argument and one variable, byte by byte. */
static void test_injection(void)
{
	static const char *const texts[] = {"", " ", "a b", "$(id)", "`id`", "; id",
		"| id", "a\nb", "\n", "a\tb\rc", "'\"\\", "%{sender}", "%%", "%s%n", "*",
		"~", "#", "PATH=/evil", "=", "\x1b[2J", "\xff\xfe", "../../etc/passwd",
		"a -b", "a\n-b"};
	static const char *const command[] = {
		"/p", "%{helo}", "x%{helo}y", "%{sender}", "%{user}", NULL};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct spawn_request r = request_for(one, 1);
		struct command_line line;
		struct arena arena;
		size_t found = 0;

		r.helo = r.sender = r.user = str_of(texts[i]);
		CHECK(texts[i], make(command, &r, &arena, &line) == 0);
		CHECK_STR(texts[i], str_of(line.argv[1]), str_of(texts[i]));
		CHECK_STR(texts[i], str_of(line.argv[3]), str_of(texts[i]));
		CHECK(texts[i],
			line.argv[2][0] == 'x' &&
				strncmp(line.argv[2] + 1, texts[i], strlen(texts[i])) ==
					0 &&
				strcmp(line.argv[2] + 1 + strlen(texts[i]), "y") == 0);
		CHECK(texts[i], line.argv[5] == NULL);
		for (char **e = line.envp; *e != NULL; e++) {
			CHECK(texts[i], strncmp(*e, "PATH=", 5) != 0 ||
						strcmp(*e, "PATH=/usr/local/bin:/usr/"
							   "bin:/bin") == 0);
			found += strncmp(*e, "HELO=", 5) == 0 &&
				 strcmp(*e + 5, texts[i]) == 0;
		}
		CHECK(texts[i], found == 1);
		arena_done(&arena);
	}
}

static const struct option_case {
	const char *name;
	const char *command[ARGUMENTS_MAX];
	const char *helo;
	const char *recipient;
	bool is_refused;
} options[] = {
	{"helo", {"/p", "%{helo}"}, "-x", "a@x", true},
	{"only a hyphen", {"/p", "%{helo}"}, "-", "a@x", true},
	{"behind the end of options", {"/p", "--", "%{helo}"}, "-x", "a@x", false},
	{"before it", {"/p", "%{helo}", "--"}, "-x", "a@x", true},
	{"behind a text", {"/p", "--name=%{helo}"}, "-x", "a@x", false},
	{"behind an empty macro", {"/p", "%{recipient.extension}%{helo}"}, "-x", "a@x",
		true},
	{"behind a macro", {"/p", "%{size}%{helo}"}, "-x", "a@x", false},
	{"the administrator's", {"/p", "-%{helo}", "%{recipient.extension}-x"}, "x",
		"a@x", false},
	{"inside", {"/p", "%{helo}"}, "a-b", "a@x", false},
	{"recipients", {"/p", "%{recipients}"}, "x", "-a@x", true},
	{"recipient", {"/p", "%{recipient}"}, "x", "-a@x", true},
	{"recipients behind", {"/p", "--", "%{recipients}"}, "x", "-a@x", false},
	{"not used", {"/p"}, "-x", "-a@x", false},
};

static void test_options(void)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		const struct option_case *c = &options[i];
		const struct str recipients[] = {str_of(c->recipient)};
		struct spawn_request r = request_for(recipients, 1);
		struct command_line line;
		struct arena arena;

		r.helo = str_of(c->helo);
		r.local = STR("a");
		CHECK(c->name, make(c->command, &r, &arena, &line) ==
				       (c->is_refused ? -EINVAL : 0));
		arena_done(&arena);
	}
}

/* -------------------------------------------------------------- environment */

static const char *const all_variables[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
	"SENDER=ann@example.test", "RECIPIENTS=joe+box@example.test",
	"CLIENT_ADDRESS=192.0.2.7", "CLIENT_PORT=2525", "HELO=client.test",
	"AUTH_USER=ann", "TLS=TLSv1.3", "TLS_SUBJECT=CN=ann", "SIZE=18446744073709551615",
	"MESSAGE_ID=id-1", "LISTENER=mx", "PROTOCOL=ESMTPSA", "ENVID=env",
	"RECIPIENT=joe+box@example.test", NULL};

static void test_environment(void)
{
	static const char *const command[] = {"/p", NULL};
	const struct spawn_request r = request_for(one, 1);
	struct command_line line;
	struct arena arena;

	CU_ASSERT(make(command, &r, &arena, &line) == 0);
	check_list("all", line.envp, all_variables);
	arena_done(&arena);
}

static void test_empty_environment(void)
{
	static const char *const command[] = {"/p", "%{client.port}", "%{sender}", NULL};
	static const char *const argv[] = {"/p", "", "", NULL};
	static const char *const envp[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
		"SENDER=", "RECIPIENTS=a@x\nb@y\na@x", "CLIENT_ADDRESS=", "CLIENT_PORT=",
		"HELO=", "AUTH_USER=", "TLS=", "TLS_SUBJECT=", "SIZE=0",
		"MESSAGE_ID=", "LISTENER=", "PROTOCOL=", "ENVID=", NULL};
	const struct spawn_request r = {.recipients = three, .recipient_count = 3};
	struct command_line line;
	struct arena arena;

	CU_ASSERT(make(command, &r, &arena, &line) == 0);
	check_list("arguments", line.argv, argv);
	check_list("environment", line.envp, envp);
	arena_done(&arena);
}

/* The section's own win, and no name comes twice. */
static void test_own_environment(void)
{
	static const char *const command[] = {"/p", NULL};
	static const char *const own[] = {
		"LANG=C", "PATH=/opt/bin", "HELO=", "SEND=x", "RECIPIENT=nobody", NULL};
	static const char *const envp[] = {"SENDER=ann@example.test",
		"RECIPIENTS=joe+box@example.test", "CLIENT_ADDRESS=192.0.2.7",
		"CLIENT_PORT=2525", "AUTH_USER=ann", "TLS=TLSv1.3", "TLS_SUBJECT=CN=ann",
		"SIZE=18446744073709551615", "MESSAGE_ID=id-1", "LISTENER=mx",
		"PROTOCOL=ESMTPSA", "ENVID=env", "LANG=C", "PATH=/opt/bin",
		"HELO=", "SEND=x", "RECIPIENT=nobody", NULL};
	const struct pipe_settings settings = {.command = command, .environment = own};
	const struct spawn_request r = request_for(one, 1);
	struct command_line line;
	struct arena arena;

	arena_init(&arena, 64 * 1024);
	CU_ASSERT(command_line_make(&settings, &r, &arena, &line) == 0);
	check_list("own", line.envp, envp);
	arena_done(&arena);
}

/* Whatever the limit, it is made or it is not. */
static void test_memory(void)
{
	static const char *const command[] = {"/p", "%{sender}", "%{recipients}", NULL};
	const struct pipe_settings settings = {.command = command};
	const struct spawn_request r = request_for(three, 3);
	struct command_line line;
	size_t cap = 0;
	int result;

	do {
		struct arena arena;

		arena_init(&arena, cap);
		line.argv = NULL;
		result = command_line_make(&settings, &r, &arena, &line);
		CU_ASSERT(result == 0 || (result == -ENOMEM && line.argv == NULL));
		arena_done(&arena);
		cap++;
	} while (result < 0 && cap < 10000);
	CU_ASSERT(result == 0);
	CU_ASSERT(cap > 500);
}

void suite_command_line(void)
{
	CU_pSuite s = CU_add_suite("command line", NULL, NULL);

	CU_add_test(s, "arguments", test_arguments);
	CU_add_test(s, "injection", test_injection);
	CU_add_test(s, "options", test_options);
	CU_add_test(s, "environment", test_environment);
	CU_add_test(s, "empty environment", test_empty_environment);
	CU_add_test(s, "own environment", test_own_environment);
	CU_add_test(s, "memory", test_memory);
}
