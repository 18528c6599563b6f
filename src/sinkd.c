/* sinkd: an SMTP sink server.  The command line; everything else is a room.
 *
 * Runs as whoever starts it; input is that person's. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/conf.h"
#include "keys/keyring.h"
#include "proc/daemon.h"
#include "proc/generation.h"
#include "proc/inherit.h"
#include "proc/master.h"
#include "proc/upgrade.h"

#define LISTEN_MAX 32

#define LARGE_BUFFER_BYTES 32768
#define HEAP_KEPT_BYTES    (1 << 20)

static const char default_config[] = SYSCONFDIR "/sinkd/sinkd.conf";

enum action { ACTION_RUN, ACTION_TEST, ACTION_PRINT };

struct command_line {
	enum action action;
	const char *file;
	const char *listen[LISTEN_MAX];
	struct config_overrides overrides;
	int ready_fd;
	bool is_upgrade; /* a running server has started us, with its arguments */
};

enum long_option { OPTION_READY_FD = 256, OPTION_MAILDIR, OPTION_DISCARD, OPTION_PIPE };

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'f'},
	{"test", no_argument, NULL, 't'},
	{"print-config", no_argument, NULL, 'p'},
	{"daemon", no_argument, NULL, 'D'},
	{"ready-fd", required_argument, NULL, OPTION_READY_FD},
	{"listen", required_argument, NULL, 'l'},
	{"maildir", required_argument, NULL, OPTION_MAILDIR},
	{"discard", no_argument, NULL, OPTION_DISCARD},
	{"pipe", required_argument, NULL, OPTION_PIPE},
	{"workers", required_argument, NULL, 'w'},
	{"verbose", no_argument, NULL, 'v'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"Usage: sinkd [OPTION]...\n"
	"An SMTP server that accepts mail and keeps it (or throws it away); it never "
	"relays.\n"
	"Without a configuration: listens on localhost:1025, stores to ./Maildir.\n"
	"\n"
	"  -f, --config FILE       read FILE (default: %s, if it exists)\n"
	"  -t, --test              check the configuration and exit\n"
	"  -p, --print-config      print the configuration in effect and exit\n"
	"  -D, --daemon            detach from the terminal once ready\n"
	"      --ready-fd N        write a line to descriptor N once ready\n"
	"  -l, --listen ADDR:PORT  listen there instead (may be repeated)\n"
	"      --maildir DIR       store to DIR instead\n"
	"      --discard           throw all mail away instead\n"
	"      --pipe CMD [ARG...] hand all mail to this command instead; must be the "
	"last\n"
	"                          option, all that follows is the command's\n"
	"  -w, --workers N         serve at most N clients at the same time\n"
	"  -v, --verbose           log commands and replies\n"
	"  -V, --version           print the version and exit\n"
	"  -h, --help              print this and exit\n";

static void fail_usage(const char *text, const char *value)
{
	(void)fprintf(stderr, "sinkd: %s%s%s\nTry 'sinkd --help'.\n", text,
		value == NULL ? "" : ": ", value == NULL ? "" : value);
	exit(EX_USAGE);
}

/* How the program ends when all that it was to do is written: that must be out. */
static int finish_output(void)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "sinkd: cannot write to standard output\n");
	return EXIT_FAILURE;
}

/* A decimal number up to max, or the end of the program. */
static unsigned parse_number(const char *option, const char *text, unsigned max)
{
	uint64_t n;

	if (str_parse_u64(str_of(text), &n) < 0 || n > max)
		fail_usage(option, text);
	return (unsigned)n;
}

static void add_listen(struct command_line *cl, const char *address)
{
	if (cl->overrides.listen_count == LISTEN_MAX)
		fail_usage("too many --listen", address);
	cl->listen[cl->overrides.listen_count++] = address;
}

static void parse_option(struct command_line *cl, int option)
{
	switch (option) {
	case 'f':
		cl->file = optarg;
		break;
	case 't':
		cl->action = ACTION_TEST;
		break;
	case 'p':
		cl->action = ACTION_PRINT;
		break;
	case 'D':
		cl->overrides.is_daemon = true;
		break;
	case OPTION_READY_FD:
		cl->ready_fd = (int)parse_number(
			"--ready-fd takes a descriptor", optarg, 1 << 20);
		/* After an upgrade it is closed, or something else. */
		if (cl->is_upgrade)
			cl->ready_fd = -1;
		else if (fcntl(cl->ready_fd, F_GETFD) < 0)
			fail_usage("--ready-fd is not open", optarg);
		break;
	case 'l':
		add_listen(cl, optarg);
		break;
	case OPTION_MAILDIR:
		cl->overrides.maildir = optarg;
		break;
	case OPTION_DISCARD:
		cl->overrides.is_discard = true;
		break;
	case 'w':
		cl->overrides.workers = parse_number(
			"--workers takes a number of clients", optarg, UINT32_MAX);
		if (cl->overrides.workers == 0)
			fail_usage("--workers takes a number of clients", optarg);
		break;
	case 'v':
		cl->overrides.is_verbose = true;
		break;
	case 'V':
		(void)printf("sinkd %s\n", PACKAGE_VERSION);
		exit(finish_output());
	case 'h':
		(void)printf(help, default_config);
		exit(finish_output());
	default:
		/* getopt_long has said what is wrong. */
		(void)fprintf(stderr, "Try 'sinkd --help'.\n");
		exit(EX_USAGE);
	}
}

/* What follows the command is its own, whatever it looks like. */
static void take_command(struct command_line *cl, int argc, char **argv)
{
	/* It may have been behind an equals sign. */
	argv[optind - 1] = optarg;
	cl->overrides.pipe = argv + optind - 1;
	optind = argc;
}

static void parse_command_line(struct command_line *cl, int argc, char **argv)
{
	struct config_overrides *o = &cl->overrides;
	int option;

	/* "+": what is no option ends the search, and no argument changes its place. */
	while ((option = getopt_long(argc, argv, "+f:tpDl:w:vVh", long_options, NULL)) !=
		-1) {
		if (option == OPTION_PIPE)
			take_command(cl, argc, argv);
		else
			parse_option(cl, option);
	}
	if (optind < argc)
		fail_usage("unexpected argument", argv[optind]);
	if ((o->maildir != NULL) + o->is_discard + (o->pipe != NULL) > 1)
		fail_usage("--maildir, --discard and --pipe exclude each other", NULL);
	cl->overrides.listen = cl->listen;
	if (cl->file == NULL && access(default_config, F_OK) == 0)
		cl->file = default_config;
}

/* Descriptors 0 to 2 must be taken, or a client's socket could become one of
 * them and receive our log. */
static void open_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		/* open takes the lowest free number, which is fd. */
		if (fcntl(fd, F_GETFD) >= 0 || open("/dev/null", O_RDWR) == fd)
			continue;
		(void)fprintf(
			stderr, "sinkd: cannot open '/dev/null': %s\n", strerror(errno));
		exit(EXIT_FAILURE);
	}
}

/* Run the server; returns its exit status. */
static int run(const struct command_line *cl, struct config *config,
	struct keyring *keyring, struct inherit *inherit,
	const struct upgrade_env *upgrade)
{
	struct master_options options = {
		.file = cl->file,
		.overrides = &cl->overrides,
		.keyring = keyring,
		.ready_fd = cl->ready_fd,
		/* A program that reads our standard output wants the line alone. */
		.has_greeting = cl->file == NULL && cl->ready_fd != STDOUT_FILENO &&
				!cl->overrides.is_daemon && !cl->is_upgrade,
		.is_daemon = cl->overrides.is_daemon,
		.waiting_fd = -1,
		.inherit = inherit,
		.upgrade = upgrade,
	};
	/* The server that started us for an upgrade has detached already. */
	int r = cl->overrides.is_daemon && !cl->is_upgrade
			? daemon_start(&options.waiting_fd)
			: 0;

	if (r == 0)
		return master_run(config, &options);
	(void)fprintf(stderr, "sinkd: cannot fork: %s\n", strerror(-r));
	keyring_unref(keyring);
	return EXIT_FAILURE;
}

/* What is wrong is for standard error, and for the server that we were to take over from,
 * since nobody may read the former any more. */
static int load(const struct command_line *cl, struct inherit *inherit,
	struct config **ret, struct keyring **ret_keyring)
{
	char *text = NULL;
	size_t n;
	FILE *errors = cl->is_upgrade ? open_memstream(&text, &n) : NULL;
	int r = config_load(
		cl->file, &cl->overrides, errors != NULL ? errors : stderr, ret);

	/* To be printed, the configuration need not be fit to run here. */
	if (r == 0 && cl->action != ACTION_PRINT &&
		(r = keyring_load(
			 *ret, NULL, errors != NULL ? errors : stderr, ret_keyring)) < 0)
		config_free(*ret);
	if (errors != NULL && fclose(errors) == 0) {
		(void)fputs(text, stderr);
		if (r < 0)
			inherit_tell_failure(inherit, text);
	}
	free(text);
	return r;
}

/* Returns the exit status. */
static int test_modules(const struct config *c)
{
	char error[MODULE_ERROR_SIZE];
	struct identity identity;
	int r = identity_resolve(c->user, c->group, &identity);

	if (r < 0) {
		(void)fprintf(
			stderr, "sinkd: no account for the workers: %s\n", strerror(-r));
		return EX_CONFIG;
	}
	if (generation_check_modules(c, &identity, error) == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "%s\n", error);
	return EX_CONFIG;
}

static int act(const struct command_line *cl, struct inherit *inherit,
	const struct upgrade_env *upgrade)
{
	struct keyring *keyring = NULL;
	struct config *config;
	int status = EXIT_SUCCESS;

	if (load(cl, inherit, &config, &keyring) < 0)
		return EX_CONFIG;
	switch (cl->action) {
	case ACTION_TEST:
		if (config->module_count > 0)
			status = test_modules(config);
		break;
	case ACTION_PRINT:
		config_print(config, stdout);
		status = finish_output();
		break;
	case ACTION_RUN:
		return run(cl, config, keyring, inherit, upgrade);
	}
	keyring_unref(keyring);
	config_free(config);
	return status;
}

int main(int argc, char **argv, char **envp)
{
	struct command_line cl = {.ready_fd = -1};
	char error[INHERIT_ERROR_MAX];
	struct upgrade_env upgrade;
	struct inherit inherit;
	int status;

	open_standard_descriptors();
	/* The buffers of a worker come fresh from the kernel then, and not from a heap
	 * that was in use: pages that no message has touched cost no memory. */
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
	upgrade_env_init(&upgrade, argv);
	setproctitle_init(argc, argv, envp);
	log_note_process();
	if (inherit_read(&inherit, error) < 0) {
		(void)fprintf(stderr, "sinkd: %s\n", error);
		return EXIT_FAILURE;
	}
	cl.is_upgrade = inherit.is_upgrade;
	parse_command_line(&cl, argc, argv);
	status = act(&cl, &inherit, &upgrade);
	inherit_done(&inherit, inherit.sockets, inherit.count);
	upgrade_env_done(&upgrade);
	return status;
}
