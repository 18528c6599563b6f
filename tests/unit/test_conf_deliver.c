/* The configuration of deliveries: each type with its options, commands with what they
 * may be given, and what a listener asks of its clients for them. */
#include "conf_fixture.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/conf.h"
#include "config/program.h"
#include "delivery/spawn_request.h"

#define WRONG_MODE            "the owner must be able to read and write, and nobody to execute\n"
#define MAILDIR_WITH(options) "deliver i { type = maildir path = ./M " options " }"
#define MAILDIR               "deliver inbox { type = maildir path = ./M }\n"

static void test_types(void)
{
	static const struct conf_mistake cases[] = {
		{"maildir", MAILDIR, ""},
		{"discard", "deliver null { type = discard }", ""},
		{"no type", "deliver inbox {\n}",
			"2: deliver \"inbox\": type: must be given\n"},
		{"type unknown", "deliver inbox {\n\ttype = mbox\n}",
			"2: deliver \"inbox\": type: 'mbox': there is no such type\n"},
		{"no path", "deliver inbox {\n\ttype = maildir\n}",
			"3: deliver \"inbox\": path: must be given\n"},
		{"path empty", "deliver inbox {\n\ttype = maildir\n\tpath = \"\"\n}",
			"3: deliver \"inbox\": path: '': the path is empty\n"},
		{"options for another type",
			"deliver null {\n type = discard\n path = ./M\n headers = {}\n "
			"sync = none\n}",
			"3: deliver \"null\": path: only for type \"maildir\"\n"
			"5: deliver \"null\": sync: only for type \"maildir\"\n"
			"6: deliver \"null\": headers: only for type \"maildir\" and "
			"\"pipe\"\n"},
		{"options of another type",
			"deliver h {\n type = pipe\n command = {/x}\n file-mode = 0\n}\n"
			"deliver i {\n type = maildir\n path = ./M\n user = root\n}",
			"4: deliver \"h\": file-mode: only for type \"maildir\"\n"
			"9: deliver \"i\": user: only for type \"pipe\"\n"},
		{"required", "deliver null {\n type = discard\n required = maybe\n}",
			"3: deliver \"null\": required: 'maybe': must be \"false\" or "
			"\"true\"\n"},
		{"header unknown", MAILDIR_WITH("headers = {\"Subject\"}"),
			"1: deliver \"i\": headers: 'Subject': must be \"Return-Path\" "
			"or \"Delivered-To\" or \"Received\" or \"X-Original-To\" or "
			"\"X-Sinkd-Envelope\"\n"},
		{"all headers",
			MAILDIR_WITH(
				"headers = {X-Sinkd-Envelope, X-Original-To, Received, "
				"Delivered-To, Return-Path}"),
			""},
		{"header twice",
			"deliver i { type = maildir path = ./M\nheaders = {Received,\n"
			"Received}\n}",
			"3: deliver \"i\": headers: 'Received': given twice\n"},
		{"mode", MAILDIR_WITH("file-mode = 644"), ""},
		{"mode not octal", MAILDIR_WITH("file-mode = 0800"),
			"1: deliver \"i\": file-mode: '0800': an octal mode such as "
			"\"0600\" is expected\n"},
		{"mode to execute", MAILDIR_WITH("file-mode = 0700"),
			"1: deliver \"i\": file-mode: '0700': " WRONG_MODE},
		{"mode not for the owner", MAILDIR_WITH("file-mode = 0466"),
			"1: deliver \"i\": file-mode: '0466': " WRONG_MODE},
		{"same title", MAILDIR MAILDIR, "2: found duplicate title 'inbox'\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

#define PIPE_WITH(options)     "deliver h { type = pipe " options " }"
#define COMMAND_WITH(argument) PIPE_WITH("command = {/x,\n\"" argument "\"}")

#define ALL_IN_ONE "each argument is a string of its own; no shell takes them apart\n"

static void test_command(void)
{
	static const struct conf_mistake cases[] = {
		{"path", PIPE_WITH("command = {/no/such/program}"), ""},
		{"name", PIPE_WITH("command = {sh}"), ""},
		{"all macros",
			COMMAND_WITH(
				"%{sender}%{client.address}%{client.port}%{helo}"
				"%{user}%{listener}%{message.id}%{size}%{envid}%{"
				"protocol}"
				"%{tls.cipher}%%") "\n"
						   "listen a { address = {\"unix:/s\"} }",
			""},
		{"not given", "deliver h {\n type = pipe\n}",
			"3: deliver \"h\": command: must be given, a program at least\n"},
		{"empty", "deliver h {\n type = pipe command = {}\n}",
			"3: deliver \"h\": command: must be given, a program at least\n"},
		{"no program", PIPE_WITH("command = {\"\", a}"),
			"1: deliver \"h\": command: '': a program is expected\n"},
		{"relative", PIPE_WITH("command = {./x}"),
			"1: deliver \"h\": command: './x': an absolute path, or a name "
			"without '/', is expected\n"},
		{"nowhere", PIPE_WITH("command = {no-such-program}"),
			"1: deliver \"h\": command: 'no-such-program': there is no such "
			"program in /usr/local/bin, /usr/bin and /bin\n"},
		{"all in one", PIPE_WITH("command = {\"cat %{sender}\"}"),
			"1: deliver \"h\": command: 'cat %{sender}': " ALL_IN_ONE},
		{"a directory", PIPE_WITH("command = {\".\"}"),
			"1: deliver \"h\": command: '.': there is no such program in "
			"/usr/local/bin, /usr/bin and /bin\n"},
		{"program by macro", PIPE_WITH("command = {\"/x/%{helo}\"}"),
			"1: deliver \"h\": command: '/x/%{helo}': the path of a program "
			"must not have a percent sign\n"},
		{"control character in the program", PIPE_WITH("command = {\"/\\n\"}"),
			"1: deliver \"h\": command: '/\\x0A': a path with a control "
			"character is not supported\n"},
		{"lone percent", COMMAND_WITH("100%"),
			"2: deliver \"h\": command: '100%': a percent sign that begins "
			"no "
			"macro is written '%%'\n"},
		{"open macro", COMMAND_WITH("%{sender"),
			"2: deliver \"h\": command: '%{sender': a macro has no closing "
			"brace\n"},
		{"recipients not alone", COMMAND_WITH("to=%{recipients}"),
			"2: deliver \"h\": command: 'to=%{recipients}': %{recipients} "
			"becomes an argument for each, and must stand alone\n"},
	};
	struct config *c = NULL;
	char *told;
	int result;

	CHECK_CONF_MISTAKES(cases);
	CHECK("unknown macro", write_conf(COMMAND_WITH("%{x}")));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK("unknown macro", result == -EINVAL);
	CHECK("unknown macro",
		strstr(told, "2: deliver \"h\": command: '%{x}': unknown macro; there "
			     "are %{sender} ") == told);
	free(told);
}

static void test_pipe(void)
{
	static const struct conf_mistake cases[] = {
		{"shortest timeout", PIPE_WITH("command = {/x} timeout = 1s"), ""},
		{"longest timeout", PIPE_WITH("command = {/x} timeout = 1h"), ""},
		{"timeout too short", PIPE_WITH("command = {/x} timeout = 999ms"),
			"1: deliver \"h\": timeout: '999ms': must be from 1s to 1h\n"},
		{"timeout too long", PIPE_WITH("command = {/x} timeout = 61m"),
			"1: deliver \"h\": timeout: '61m': must be from 1s to 1h\n"},
		{"none running", PIPE_WITH("command = {/x} max-running = 0"),
			"1: deliver \"h\": max-running: '0': must be from 1 to 4096\n"},
		{"too many running", PIPE_WITH("command = {/x} max-running = 4097"),
			"1: deliver \"h\": max-running: '4097': must be from 1 to "
			"4096\n"},
		{"one recipient of all",
			PIPE_WITH("command = {/x, \"%{recipient.local}\"}\n"
				  "per-recipient = false"),
			"2: deliver \"h\": per-recipient: 'false': a macro of command "
			"stands for one recipient; there is %{recipients} for all of "
			"them\n"},
		{"all recipients of one",
			PIPE_WITH(
				"command = {/x, \"%{recipients}\"} per-recipient = true"),
			""},
		{"directory", PIPE_WITH("command = {/x} directory = x"),
			"1: deliver \"h\": directory: 'x': an absolute path is "
			"expected\n"},
		{"spool directory", "spool-dir = \"\"",
			"1: spool-dir: '': an absolute path is expected\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_environment(void)
{
#define NOT_A_VARIABLE "': NAME=VALUE is expected\n"
	static const struct conf_mistake cases[] = {
		{"some",
			PIPE_WITH("command = {/x} environment = {\"A=\", \"_b9==\", "
				  "\"A_=c d\"}"),
			""},
		{"no value", PIPE_WITH("command = {/x} environment = {\"A=\",\nB}"),
			"2: deliver \"h\": environment: 'B" NOT_A_VARIABLE},
		{"no name", PIPE_WITH("command = {/x} environment = {\"=B\"}"),
			"1: deliver \"h\": environment: '=B" NOT_A_VARIABLE},
		{"digit first", PIPE_WITH("command = {/x} environment = {\"9A=\"}"),
			"1: deliver \"h\": environment: '9A=" NOT_A_VARIABLE},
		{"no such name", PIPE_WITH("command = {/x} environment = {\"A-B=\"}"),
			"1: deliver \"h\": environment: 'A-B=" NOT_A_VARIABLE},
		{"twice",
			PIPE_WITH("command = {/x} environment = {\"A=1\",\n\"AA=\",\n"
				  "\"A=2\"}"),
			"3: deliver \"h\": environment: 'A=2': given twice\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

/* "deliver h { ... name = {first, second, second...} }", with n items. */
static void check_items(const char *name, const char *first, const char *second, size_t n)
{
	char *text = NULL, *told;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	struct config *c = NULL;
	int result;

	(void)fprintf(f, "deliver h { type = pipe command = {/x} %s = {%s", name, first);
	for (size_t i = 1; i < n; i++)
		(void)fprintf(f, ", \"%s%zu=\"", second, i);
	(void)fprintf(f, "\n} }");
	(void)fclose(f);
	CHECK(name, write_conf(text));
	told = load_conf(conf_file, NULL, &result, &c);
	CHECK(name, (result == 0) == (n <= 1000));
	CHECK(name,
		(strstr(told, "=': one more than there may be\n") != NULL) == (n > 1000));
	free(told);
	free(text);
	config_free(c);
}

static void test_long_lists(void)
{
	check_items("command", "/x", "a", 1000);
	check_items("command", "/x", "a", 1001);
	check_items("environment", "\"A=\"", "B", 1000);
	check_items("environment", "\"A=\"", "B", 1003);
}

static void test_user(void)
{
	static const struct conf_mistake both[] = {
		{"empty", PIPE_WITH("command = {/x} user = \"\""), ""},
		{"no account", PIPE_WITH("command = {/x}\nuser = no-such-account"),
			"2: deliver \"h\": user: there is no account "
			"'no-such-account'\n"},
		{"no name", PIPE_WITH("command = {/x} user = \"a\\n\""),
			"1: deliver \"h\": user: 'a\\x0A': an account name is "
			"expected\n"},
	};
	static const struct conf_mistake as_root[] = {
		{"another", PIPE_WITH("command = {/x} user = nobody"), ""},
		{"root", PIPE_WITH("command = {/x} user = root"),
			"1: deliver \"h\": user: 'root' has the rights of root, which "
			"commands never have\n"},
	};
	static const struct conf_mistake as_other[] = {
		{"another", PIPE_WITH("command = {/x} user = root"),
			"1: deliver \"h\": user: 'root': started by root only can "
			"commands run as somebody else\n"},
	};
	const struct passwd *own = getpwuid(geteuid());

	CHECK_CONF_MISTAKES(both);
	if (geteuid() == 0) {
		CHECK_CONF_MISTAKES(as_root);
		return;
	}
	CHECK_CONF_MISTAKES(as_other);
	/* A container may run as somebody without an account. */
	if (own != NULL) {
		char text[256];
		const struct conf_mistake case_own = {"own name", text, ""};

		(void)snprintf(text, sizeof(text),
			PIPE_WITH("command = {/x} user = \"%s\""), own->pw_name);
		check_conf_mistakes(&case_own, 1);
	}
}

#define NOBODY_REQUIRED                                                                  \
	"no delivery of the listener is required, so that a 250 would mean nothing\n"
#define OPTIONAL        "deliver o { type = discard required = false }\n"
#define NULL_TOO        "deliver null { type = discard }\n"
#define LISTEN(options) "listen a { address = {\"unix:/a\"} " options " }\n"

static void test_required(void)
{
	static const struct conf_mistake cases[] = {
		{"one of two", OPTIONAL NULL_TOO LISTEN("deliver = {o, null}"), ""},
		{"other than the first", OPTIONAL NULL_TOO LISTEN("deliver = {null}"),
			""},
		{"nobody", OPTIONAL NULL_TOO LISTEN("deliver = {o}"),
			"3: listen \"a\": deliver: " NOBODY_REQUIRED},
		{"nobody of two",
			OPTIONAL NULL_TOO
			"deliver p { type = discard required = false }\n" LISTEN(
				"deliver = {o,\np}"),
			"5: listen \"a\": deliver: " NOBODY_REQUIRED},
		{"by default", OPTIONAL NULL_TOO LISTEN("\n"),
			"4: listen \"a\": deliver: " NOBODY_REQUIRED},
		{"without a listener", "\n" OPTIONAL NULL_TOO,
			"2: deliver \"o\": required: " NOBODY_REQUIRED},
		{"not known", OPTIONAL LISTEN("deliver = {x}"),
			"2: listen \"a\": deliver: there is no section deliver \"x\"\n"},
		{"one of them not known", OPTIONAL LISTEN("deliver = {o, x}"),
			"2: listen \"a\": deliver: there is no section deliver \"x\"\n"},
	};
	static const char *const address = "127.0.0.1:0";
	const struct config_overrides listen = {.listen = &address, .listen_count = 1};
	struct config *c = NULL;
	char *told;
	int result;

	CHECK_CONF_MISTAKES(cases);
	CHECK("--listen", write_conf(OPTIONAL NULL_TOO LISTEN("deliver = {null}")));
	told = load_conf(conf_file, &listen, &result, &c);
	CHECK("--listen", result == -EINVAL);
	CHECK_STR("--listen", str_of(told),
		STR("sinkd: listen \"command-line\": " NOBODY_REQUIRED));
	free(told);
}

#define MAILDIR_AT(name, path) "deliver " name " { type = maildir path = " path " }\n"

/* A message has one file name, which is taken by the first. */
static void test_same_maildir(void)
{
	static const struct conf_mistake cases[] = {
		{"two Maildirs",
			MAILDIR_AT("a", "/a") MAILDIR_AT("b", "/b")
				LISTEN("deliver = {a, b}"),
			""},
		{"the same",
			MAILDIR_AT("a", "/a/b") MAILDIR_AT("b", "/c")
				MAILDIR_AT("c", "/a/b") LISTEN("deliver = {a, b,\nc}"),
			"5: listen \"a\": deliver: 'c': has the path of one before it\n"},
		{"the same, and a slash",
			MAILDIR_AT("a", "/a//") MAILDIR_AT("b", "/a")
				LISTEN("deliver = {a, b}"),
			"3: listen \"a\": deliver: 'b': has the path of one before it\n"},
		{"one longer",
			MAILDIR_AT("a", "/a/b") MAILDIR_AT("b", "/a")
				LISTEN("deliver = {a, b}"),
			""},
		{"one by a rule",
			MAILDIR_AT("a", "/a") MAILDIR_AT(
				"b", "/a/") "rule r { on = rcpt "
					    "action = deliver deliver = {b} }\n",
			"sinkd: deliver \"b\": has the path of \"a\", and a rule may "
			"send one "
			"message to both\n"},
		{"two by rules",
			MAILDIR_AT("a", "/a") MAILDIR_AT("b", "/b")
				MAILDIR_AT("c", "/b") "rule r { on = rcpt action = "
						      "deliver deliver = {c} }\n"
						      "rule s { on = rcpt action = "
						      "deliver deliver = {b} }\n",
			"sinkd: deliver \"c\": has the path of \"b\", and a rule may "
			"send one "
			"message to both\n"},
		{"another that nobody uses",
			MAILDIR_AT("a", "/a") MAILDIR_AT("b", "/a")
				MAILDIR_AT("c", "/c") "rule r { on = rcpt action = "
						      "deliver deliver = {c} }\n",
			""},
		{"no path",
			MAILDIR_AT("a", "/a") "deliver b { type = maildir }\n" LISTEN(
				"deliver = {a, b}"),
			"2: deliver \"b\": path: must be given\n"},
	};

	CHECK_CONF_MISTAKES(cases);
}

static void test_kept(void)
{
	struct config *c = load_right_conf(
		"deliver a { type = pipe command = {sh, \"-c\", \"\\${x}\"}\n"
		"timeout = 2m max-running = 7 directory = /d\n"
		"environment = {\"B=\\${x}\", \"C=\"} headers = {Received}\n"
		"line-ending = crlf required = false }\n"
		"deliver b { type = pipe command = {/x} }\n"
		"listen l { address = {\"unix:/a\"} protocol = lmtp\n"
		"deliver = {b, a} }\n"
		"spool-dir = /s\n",
		NULL);
	const struct delivery_settings *a = &c->deliveries[0], *b = &c->deliveries[1];
	const struct listen_settings *l = &c->listeners[0];

	CHECK("program", a->pipe.command[0][0] == '/');
	CHECK_STR("program", str_of(strrchr(a->pipe.command[0], '/')), STR("/sh"));
	CHECK_STR("argument", str_of(a->pipe.command[1]), STR("-c"));
	CHECK_STR("argument", str_of(a->pipe.command[2]), STR("${x}"));
	CHECK("end", a->pipe.command[3] == NULL);
	CHECK("numbers", a->pipe.timeout_ms == 120000 && a->pipe.max_running == 7);
	CHECK_STR("directory", str_of(a->pipe.directory), STR("/d"));
	CHECK_STR("variable", str_of(a->pipe.environment[0]), STR("B=${x}"));
	CHECK_STR("variable", str_of(a->pipe.environment[1]), STR("C="));
	CHECK("end", a->pipe.environment[2] == NULL);
	CHECK("header", a->headers[0] == HEADER_RECEIVED && a->headers[1] == 0);
	CHECK("line ending", a->line_ending == LINE_ENDING_CRLF);
	CHECK("optional", !a->is_required);

	CHECK("defaults", b->pipe.timeout_ms == 60000 && b->pipe.max_running == 16 &&
				  !b->pipe.is_per_recipient && b->pipe.user == NULL);
	CHECK("no environment", b->pipe.environment[0] == NULL);
	CHECK("no headers", b->headers[0] == 0);
	CHECK("required", b->is_required);
	CHECK_STR("directory", str_of(b->pipe.directory), STR("/"));

	CHECK("protocol", l->smtp.protocol == LISTEN_LMTP);
	CHECK("order",
		l->delivery_count == 2 && l->deliveries[0] == 1 && l->deliveries[1] == 0);
	CHECK_STR("names", str_of(l->delivery_names), STR("b,a"));
	CHECK_STR("spool", str_of(c->spool_dir), STR("/s"));
	config_free(c);
}

/* What a command may be given, and so what clients may not say. */
static void test_bounds(void)
{
	static const struct {
		const char *name, *command;
		bool is_per_recipient, is_sender, is_recipient;
	} cases[] = {
		{"no macro", "{/x}", false, false, false},
		{"nothing of addresses", "{/x, \"%{size} %{helo}\"}", false, false,
			false},
		{"percent sign", "{/x, \"%%{sender}\"}", false, false, false},
		{"sender", "{/x, a, \"--from=%{sender}\"}", false, true, false},
		{"recipients", "{/x, \"%{recipients}\"}", false, false, true},
		{"recipient", "{/x, \"%{recipient}\"}", true, false, true},
		{"local part", "{/x, \"%{recipient.local}\"}", true, false, true},
		{"domain", "{/x, \"%{recipient.domain}\"}", true, false, true},
		{"extension", "{/x, \"%{recipient.extension}\"}", true, false, true},
		{"all", "{/x, \"%{sender}\", \"%{recipients}\", \"%{recipient}\"}", true,
			true, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[512];
		struct config *c;
		const struct smtp_listen_settings *l;

		(void)snprintf(text, sizeof(text),
			"deliver n { type = discard }\n"
			"deliver h { type = pipe command = %s }\n"
			"listen n { address = {\"unix:/n\"} }\n"
			"listen a { address = {\"unix:/a\"} deliver = {n, h} }\n",
			cases[i].command);
		c = load_right_conf(text, NULL);
		l = &c->listeners[1].smtp;
		CHECK(cases[i].name, c->deliveries[1].pipe.is_per_recipient ==
					     cases[i].is_per_recipient);
		CHECK(cases[i].name, l->is_sender_argument == cases[i].is_sender);
		CHECK(cases[i].name, l->is_recipient_argument == cases[i].is_recipient);
		CHECK(cases[i].name,
			l->recipient_text_max ==
				(cases[i].is_per_recipient ? 0 : SPAWN_RECIPIENTS_MAX));
		CHECK(cases[i].name,
			l->recipient_extra ==
				(cases[i].is_per_recipient ? 0 : SPAWN_RECIPIENT_EXTRA));
		l = &c->listeners[0].smtp;
		CHECK(cases[i].name, !l->is_sender_argument &&
					     !l->is_recipient_argument &&
					     l->recipient_text_max == 0);
		config_free(c);
	}
}

static void test_override(void)
{
	char path[] = "./x", macro[] = "%{recipient}", lone[] = "%",
	     nowhere[] = "no-such-x";
	char name[] = "sh";
	char *relative[] = {path, macro, NULL}, *found[] = {name, NULL};
	char *wrong[] = {nowhere, lone, NULL};
	struct config_overrides o = {.pipe = relative};
	char directory[PATH_MAX], expected[2 * PATH_MAX];
	struct config *c =
		load_right_conf(OPTIONAL NULL_TOO LISTEN("deliver = {o, null}"), &o);
	char *told;
	int result;

	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(directory, sizeof(directory)));
	(void)snprintf(expected, sizeof(expected), "%s/./x", directory);
	CHECK("all there is", c->delivery_count == 1 && c->listener_count == 1 &&
				      c->listeners[0].delivery_count == 1 &&
				      c->listeners[0].deliveries[0] == 0);
	CHECK("pipe", c->deliveries[0].backend == &delivery_pipe);
	CHECK("required", c->deliveries[0].is_required);
	CHECK_STR("name", str_of(c->deliveries[0].name), STR("handler"));
	CHECK_STR("names", str_of(c->listeners[0].delivery_names), STR("handler"));
	CHECK_STR("program", str_of(c->deliveries[0].pipe.command[0]), str_of(expected));
	CHECK_STR("argument", str_of(c->deliveries[0].pipe.command[1]), str_of(macro));
	CHECK("end", c->deliveries[0].pipe.command[2] == NULL &&
			     c->deliveries[0].pipe.environment[0] == NULL);
	CHECK_STR(
		"directory", str_of(c->deliveries[0].pipe.directory), str_of(directory));
	CHECK("a run for each", c->deliveries[0].pipe.is_per_recipient);
	CHECK("clients", c->listeners[0].smtp.is_recipient_argument);
	CHECK("defaults", c->deliveries[0].pipe.timeout_ms == 60000 &&
				  c->deliveries[0].pipe.max_running == 16 &&
				  c->deliveries[0].headers[0] == 0);
	config_free(c);

	o.pipe = found;
	c = load_right_conf("", &o);
	CHECK_STR("found", str_of(strrchr(c->deliveries[0].pipe.command[0], '/')),
		STR("/sh"));
	CHECK("once for all", !c->deliveries[0].pipe.is_per_recipient);
	config_free(c);

	c = NULL;
	o.pipe = wrong;
	o.is_discard = true;
	told = load_conf(NULL, &o, &result, &c);
	CHECK("wrong", result == -EINVAL && c == NULL);
	CHECK_STR("wrong", str_of(told),
		STR("sinkd: --maildir, --discard and --pipe exclude each other\n"
		    "sinkd: --pipe: 'no-such-x': there is no such program in "
		    "/usr/local/bin, /usr/bin and /bin\n"
		    "sinkd: --pipe: '%': a percent sign that begins no macro is written "
		    "'%%'\n"));
	free(told);
}

/* What is run is never for a client to choose, wherever the server is started. */
static void test_programs(void)
{
	static const struct {
		const char *name, *directory, *found;
	} cases[] = {
		{"/a/x", NULL, "/a/x"},
		{"/a/x", "/%{helo}", "/a/x"},
		{"./x", "/a", "/a/./x"},
		{"b/x", "/", "//b/x"},
		{"./x", NULL, NULL},
		{"./x", "/a/%{helo}", NULL},
		{"./x", "/100%", NULL},
		{"./x", "/a\nb", NULL},
		{"/100%/x", NULL, NULL},
		{"b%/x", "/a", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char found[PATH_MAX] = "";
		const char *wrong =
			program_find(cases[i].name, cases[i].directory, found);

		CHECK(cases[i].name, (wrong == NULL) == (cases[i].found != NULL));
		if (wrong == NULL)
			CHECK_STR(cases[i].name, str_of(found), str_of(cases[i].found));
	}
}

void suite_conf_deliver(void)
{
	CU_pSuite s =
		CU_add_suite("conf_deliver", make_conf_directory, remove_conf_directory);

	CU_add_test(s, "types", test_types);
	CU_add_test(s, "command", test_command);
	CU_add_test(s, "programs", test_programs);
	CU_add_test(s, "pipe", test_pipe);
	CU_add_test(s, "environment", test_environment);
	CU_add_test(s, "long lists", test_long_lists);
	CU_add_test(s, "user", test_user);
	CU_add_test(s, "required", test_required);
	CU_add_test(s, "same maildir", test_same_maildir);
	CU_add_test(s, "what is kept", test_kept);
	CU_add_test(s, "bounds", test_bounds);
	CU_add_test(s, "override", test_override);
}
