/* sinkctl: looks at a running sinkd and steers it; makes lines for its users file.
 *
 * Runs as whoever starts it; input is that person's, and the server's answer. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "ctl/client.h"
#include "ctl/out.h"
#include "ctl/passwd.h"
#include "ctl/show.h"
#include "proc/control.h"
#include "proc/runtime.h"

#define ANSWER_WAIT_MS 5000

/* A reload ends when its first worker is idle, or has not become so. */
#define RELOAD_WAIT_MS  60000
#define RELOAD_PAUSE_MS 50

/* A word that follows a command, and what it means. */
struct word {
	const char *text;
	int32_t value;
};

static const struct word level_words[] = {{"debug", LOG_DEBUG}, {"info", LOG_INFO},
	{"warn", LOG_WARN}, {"error", LOG_ERROR}, {NULL, 0}};
static const struct word switch_words[] = {{"on", 1}, {"off", 0}, {NULL, 0}};

/* Commands that take a word say which; those that show something have a function and the
 * forms it knows (bits). */
static const struct command {
	const char *name;
	enum control_command command;
	const struct word *words;
	const char *takes;
	void (*show)(
		FILE *file, enum show_format format, const struct control_snapshot *s);
	unsigned formats;
	enum show_format default_format;
} commands[] = {
	{"status", CONTROL_SNAPSHOT, NULL, NULL, show_status,
		1 << SHOW_TABLE | 1 << SHOW_JSON, SHOW_TABLE},
	{"sessions", CONTROL_SNAPSHOT, NULL, NULL, show_sessions,
		1 << SHOW_TABLE | 1 << SHOW_JSON, SHOW_TABLE},
	{"rules", CONTROL_SNAPSHOT, NULL, NULL, show_rules,
		1 << SHOW_TABLE | 1 << SHOW_JSON, SHOW_TABLE},
	{"metrics", CONTROL_SNAPSHOT, NULL, NULL, show_metrics,
		1 << SHOW_TABLE | 1 << SHOW_JSON | 1 << SHOW_PROMETHEUS, SHOW_PROMETHEUS},
	{"reload", CONTROL_RELOAD, NULL, NULL, NULL, 0, SHOW_TABLE},
	{"stop", CONTROL_STOP, NULL, NULL, NULL, 0, SHOW_TABLE},
	{"drain", CONTROL_DRAIN, NULL, NULL, NULL, 0, SHOW_TABLE},
	{"log-level", CONTROL_LOG_LEVEL, level_words,
		"log-level takes debug, info, warn or error", NULL, 0, SHOW_TABLE},
	{"verbose", CONTROL_VERBOSE, switch_words, "verbose takes on or off", NULL, 0,
		SHOW_TABLE},
	{"rule", CONTROL_RULE, switch_words, "rule takes a name, and on or off", NULL, 0,
		SHOW_TABLE},
};

static const char *const format_words[SHOW_FORMATS] = {
	[SHOW_TABLE] = "table",
	[SHOW_JSON] = "json",
	[SHOW_PROMETHEUS] = "prometheus",
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"format", required_argument, NULL, 'F'},
	{"scheme", required_argument, NULL, 'S'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: sinkctl [OPTION]... COMMAND\n"
	"Look at a running sinkd, and steer it.\n"
	"\n"
	"  status           the pool, the listeners, totals and rates\n"
	"  sessions         what each worker does, and for whom\n"
	"  rules            the rules, whether they are on, and how often they fired\n"
	"  metrics          all numbers, for Prometheus\n"
	"  reload           read the configuration again\n"
	"  stop             stop; messages in flight may finish\n"
	"  drain            take no new clients, stop when the last one has gone\n"
	"  log-level LEVEL  log from this level: debug, info, warn or error\n"
	"  verbose on|off   log commands and replies, or do not\n"
	"  rule NAME on|off switch a rule on or off, until the server ends\n"
	"  passwd NAME      make a line for the users file (asks no server)\n"
	"\n"
	"  -s, --socket PATH    the server's control socket (default: %s)\n"
	"      --format FORMAT  table, json or prometheus (for metrics alone)\n"
	"      --scheme SCHEME  of passwd: yescrypt (default), sha512, bcrypt,\n"
	"                       scram-sha-256 or plain\n"
	"  -V, --version        print the version and exit\n"
	"  -h, --help           print this and exit\n";

struct command_line {
	char socket[PATH_MAX];
	bool is_default; /* nobody said which socket */
	const struct command *command;
	enum show_format format;
	int32_t argument;
	const char *name; /* of a rule; else NULL */
	const char *user; /* of passwd, which is no command for a server; else NULL */
	enum users_scheme scheme;
};

static _Noreturn void fail_usage(const char *text, const char *value)
{
	(void)fprintf(stderr, "sinkctl: %s%s%s\nTry 'sinkctl --help'.\n", text,
		value == NULL ? "" : ": ", value == NULL ? "" : value);
	exit(EX_USAGE);
}

/* Where a server that was started by us, without a configuration, has it. */
static void default_socket(char path[PATH_MAX])
{
	char directory[PATH_MAX];

	if (runtime_default(directory) < 0 ||
		runtime_path(directory, CONTROL_NAME, path, CONTROL_PATH_MAX) < 0)
		path[0] = '\0';
}

static enum show_format parse_format(const char *text)
{
	for (int i = 0; i < SHOW_FORMATS; i++)
		if (strcmp(format_words[i], text) == 0)
			return (enum show_format)i;
	fail_usage("--format takes table, json or prometheus", text);
}

static int32_t parse_word(const struct command *command, const char *text)
{
	for (const struct word *w = command->words; text != NULL && w->text != NULL; w++)
		if (strcmp(w->text, text) == 0)
			return w->value;
	fail_usage(command->takes, text);
}

static enum users_scheme parse_scheme(const char *text)
{
	enum users_scheme scheme = users_scheme_find(str_of(text));

	if (scheme == USERS_SCHEMES)
		fail_usage("--scheme takes yescrypt, sha512, bcrypt, scram-sha-256 or "
			   "plain",
			text);
	return scheme;
}

static void parse_passwd(struct command_line *cl, char **words, enum show_format format)
{
	if (words[0] == NULL)
		fail_usage("passwd takes the name of a user", NULL);
	if (words[1] != NULL)
		fail_usage("unexpected argument", words[1]);
	if (format != SHOW_FORMATS)
		fail_usage("this command has no such form", format_words[format]);
	cl->user = words[0];
	if (cl->scheme == USERS_SCHEMES)
		cl->scheme = USERS_YESCRYPT;
}

static void parse_command(struct command_line *cl, char **words, enum show_format format)
{
	size_t i = 0, n = sizeof(commands) / sizeof(commands[0]);

	if (words[0] == NULL)
		fail_usage("a command is missing", NULL);
	if (strcmp(words[0], "passwd") == 0) {
		parse_passwd(cl, words + 1, format);
		return;
	}
	if (cl->scheme != USERS_SCHEMES)
		fail_usage("--scheme is for passwd alone", NULL);
	while (i < n && strcmp(commands[i].name, words[0]) != 0)
		i++;
	if (i == n)
		fail_usage("no such command", words[0]);
	cl->command = &commands[i];
	words++;
	if (commands[i].command == CONTROL_RULE) {
		if (words[0] == NULL)
			fail_usage(commands[i].takes, NULL);
		if (strlen(words[0]) >= sizeof(((struct control_request *)NULL)->name))
			fail_usage("no rule has so long a name", NULL);
		cl->name = *words++;
	}
	if (commands[i].words != NULL) {
		cl->argument = parse_word(&commands[i], *words);
		words++;
	}
	if (*words != NULL)
		fail_usage("unexpected argument", *words);
	cl->format = format == SHOW_FORMATS ? commands[i].default_format : format;
	if (format != SHOW_FORMATS && (commands[i].formats & 1U << format) == 0)
		fail_usage("this command has no such form", format_words[format]);
}

/* How the program ends when it would end with status: what it wrote must be out. */
static int finish(int status)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return status;
	(void)fprintf(stderr, "sinkctl: cannot write to standard output\n");
	return EXIT_FAILURE;
}

static void parse_command_line(struct command_line *cl, int argc, char **argv)
{
	enum show_format format = SHOW_FORMATS;
	int option;

	default_socket(cl->socket);
	cl->is_default = true;
	cl->scheme = USERS_SCHEMES;
	while ((option = getopt_long(argc, argv, "s:Vh", long_options, NULL)) != -1)
		switch (option) {
		case 's':
			(void)str_copy(cl->socket, sizeof(cl->socket), str_of(optarg));
			cl->is_default = false;
			break;
		case 'F':
			format = parse_format(optarg);
			break;
		case 'S':
			cl->scheme = parse_scheme(optarg);
			break;
		case 'V':
			(void)printf("sinkctl %s\n", PACKAGE_VERSION);
			exit(finish(EXIT_SUCCESS));
		case 'h':
			(void)printf(help, cl->socket);
			exit(finish(EXIT_SUCCESS));
		default:
			/* getopt_long has said what is wrong. */
			(void)fprintf(stderr, "Try 'sinkctl --help'.\n");
			exit(EX_USAGE);
		}
	parse_command(cl, argv + optind, format);
}

/* What may help. */
static const char *advice_for(int error)
{
	switch (-error) {
	case ENOENT:
	case ECONNREFUSED:
		return "is it running? if its runtime directory is another, say where "
		       "with "
		       "--socket";
	case EACCES:
	case EPERM:
		return "only root and the user who started the server may ask it";
	case ETIMEDOUT:
		return "it may be stopped, or in another network namespace";
	default:
		return "see sinkctl(8)";
	}
}

static int complain(const struct command_line *cl, int error)
{
	if (error == -EPROTONOSUPPORT) {
		(void)fprintf(stderr,
			"sinkctl: the sinkd at '%s' is another release than this "
			"sinkctl, "
			"%s\nsinkctl: use the one that came with it\n",
			cl->socket, PACKAGE_VERSION);
		return EX_UNAVAILABLE;
	}
	(void)fprintf(stderr, "sinkctl: no sinkd answers at '%s': %s\nsinkctl: %s\n",
		cl->socket, strerror(-error), advice_for(error));
	return EX_UNAVAILABLE;
}

/* Whether the default directory is what only a server of ours can have made: one in /tmp
 * may be anybody's, who would then be told what we want and tell us what he likes.
 * Returns the exit status. */
static int check_default(const struct command_line *cl)
{
	const char *end = strrchr(cl->socket, '/');
	char directory[CONTROL_PATH_MAX];
	int r;

	if (!cl->is_default)
		return EXIT_SUCCESS;
	if (end == NULL) /* its path is too long */
		return complain(cl, -ENAMETOOLONG);
	(void)str_copy(directory, sizeof(directory),
		(struct str){cl->socket, (size_t)(end - cl->socket)});
	r = runtime_check(directory);
	if (r != -EPERM)
		return r < 0 ? complain(cl, r) : EXIT_SUCCESS;
	(void)fprintf(stderr,
		"sinkctl: not asking at '%s': the directory belongs to somebody else, or "
		"somebody else can change it or one above it\n"
		"sinkctl: if it is the right one all the same, name it with --socket\n",
		cl->socket);
	return EX_UNAVAILABLE;
}

/* Ask, and say what goes wrong.  Returns the exit status: 0 with *ret, whose snapshot is
 * the caller's to free, or another. */
static int ask(const struct command_line *cl, enum control_command command,
	struct client_answer *ret)
{
	struct client_answer answer = {0};
	char text[OUT_TEXT_MAX];
	int r = client_ask(
		cl->socket, command, cl->argument, cl->name, ANSWER_WAIT_MS, &answer);

	if (r == 0 && (answer.status == 0 || answer.status == EINPROGRESS)) {
		*ret = answer;
		return EXIT_SUCCESS;
	}
	free(answer.snapshot);
	if (r < 0 || answer.status == EPROTONOSUPPORT)
		return complain(cl, r < 0 ? r : -EPROTONOSUPPORT);
	out_words(text, answer.text);
	(void)fprintf(stderr, "sinkctl: the server refuses: %s\n", text);
	return EXIT_FAILURE;
}

/* The numbers in the answer, views into it.  Returns the exit status. */
static int parse_answer(const struct command_line *cl, const struct client_answer *answer,
	struct control_snapshot *ret)
{
	int r = answer->snapshot == NULL
			? -EBADMSG
			: snapshot_parse(answer->snapshot, answer->snapshot_bytes, ret);

	return r < 0 ? complain(cl, r) : EXIT_SUCCESS;
}

/* What the server is doing.  Returns the exit status. */
static int look(const struct command_line *cl, struct control_status *ret)
{
	struct client_answer answer = {0};
	struct control_snapshot s = {0};
	int status = ask(cl, CONTROL_SNAPSHOT, &answer);

	if (status != EXIT_SUCCESS)
		return status;
	status = parse_answer(cl, &answer, &s);
	if (status == EXIT_SUCCESS && s.status != NULL)
		*ret = *s.status;
	free(answer.snapshot);
	return status;
}

static int fail_reload(const char *text)
{
	(void)fprintf(stderr, "sinkctl: %s; see the log\n", text);
	return EXIT_FAILURE;
}

/* The reload has begun; before is the server before that.  It has no word for the end but
 * its state, and the generation, which rises when the reload succeeds: then every client
 * that comes is served by it. */
static int wait_for_reload(
	const struct command_line *cl, const struct control_status *before)
{
	uint64_t until_ms = clock_monotonic_ms() + RELOAD_WAIT_MS;
	struct control_status now = {0};

	for (;;) {
		int status = look(cl, &now);

		if (status != EXIT_SUCCESS)
			return status;
		if (now.pid != before->pid)
			return fail_reload("another server has taken the place of this "
					   "one meanwhile");
		if (now.generation > before->generation &&
			now.state != CONTROL_RELOADING) {
			(void)printf(
				"reloaded, generation %" PRIu32 "\n", now.generation);
			return EXIT_SUCCESS;
		}
		if (now.state == CONTROL_STOPPING || now.state == CONTROL_DRAINING)
			return fail_reload("the server is ending and was not reloaded");
		if (now.state != CONTROL_RELOADING)
			return fail_reload("the reload failed, the server goes on as "
					   "before");
		if (clock_monotonic_ms() >= until_ms)
			return fail_reload("the reload has not ended within a minute");
		(void)poll(NULL, 0, RELOAD_PAUSE_MS);
	}
}

static int run(const struct command_line *cl)
{
	const struct command *c = cl->command;
	struct control_status before = {0};
	struct client_answer answer = {0};
	struct control_snapshot s = {0};
	int status = check_default(cl);

	if (status == EXIT_SUCCESS && c->command == CONTROL_RELOAD)
		status = look(cl, &before);
	if (status == EXIT_SUCCESS)
		status = ask(cl, c->command, &answer);
	if (status != EXIT_SUCCESS)
		return status;
	if (c->show != NULL) {
		status = parse_answer(cl, &answer, &s);
		if (status == EXIT_SUCCESS)
			c->show(stdout, cl->format, &s);
	} else if (answer.status == EINPROGRESS) {
		status = wait_for_reload(cl, &before);
	} else {
		char text[OUT_TEXT_MAX];

		out_words(text, answer.text);
		(void)printf("%s\n", text);
	}
	free(answer.snapshot);
	return status;
}

int main(int argc, char **argv)
{
	struct command_line cl = {.command = NULL};
	char name[] = "sinkctl";

	/* getopt_long begins with it, as all that we say does. */
	if (argc > 0)
		argv[0] = name;
	parse_command_line(&cl, argc, argv);
	return finish(cl.user != NULL ? passwd_run(cl.scheme, cl.user) : run(&cl));
}
