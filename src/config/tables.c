/* The options of the configuration file: names, kinds, ranges, defaults, and what a text
 * may be.
 *
 * Nothing is read or written here.  Runs in the master; the input is the operator's own,
 * not a client's. */
#include "config/tables.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"
#include "base/syslogd.h"
#include "config/conf.h"
#include "config/endpoints.h"
#include "config/units.h"
#include "delivery/mailbox.h"
#include "net/tls.h"
#include "smtp/address.h"

#define TIMEOUT_MIN  100 /* milliseconds */
#define DOMAIN_MAX   255 /* octets of a domain name (RFC 5321, 4.5.3.1.2) */
#define GREETING_MAX 506 /* 512 octets of a reply line less "220 " and CR LF */

/* Each in the order of its enum. */
static const char *const bare_newline_words[] = {"normalize", "reject", "preserve", NULL};
static const char *const protocol_words[] = {"smtp", "lmtp", NULL};
static const char *const early_talker_words[] = {"allow", "refuse", NULL};
static const char *const overflow_words[] = {"queue", "refuse", NULL};
static const char *const log_format_words[] = {"text", "json", NULL};
static const char *const log_level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const sandbox_level_words[] = {"kill", "trap", "off", NULL};
static const char *const line_ending_words[] = {"lf", "crlf", NULL};
static const char *const sync_words[] = {"none", "full", NULL};
static const char *const flag_words[] = {"false", "true", NULL};
static const char *const listen_tls_words[] = {
	"off", "starttls", "required", "implicit", NULL};
static const char *const listen_auth_words[] = {"off", "optional", "required", NULL};
static const char *const client_certificate_words[] = {"off", "request", "require", NULL};
static const char *const plaintext_words[] = {"never", "loopback", "always", NULL};

static const char *const stage_words[] = {
#define STAGE_WORD(id, name) [RULE_##id] = name,
	RULE_STAGES(STAGE_WORD)
#undef STAGE_WORD
		NULL};
static const char *const rule_tls_words[] = {"any", "no", "yes", NULL};
static const char *const per_words[] = {
	"all", "client", "sender", "recipient", "session", NULL};
static const char *const action_words[] = {
#define ACTION_WORD(id, name) [RULE_##id] = name,
	RULE_ACTIONS(ACTION_WORD)
#undef ACTION_WORD
		NULL};

const char *const option_policy_stage_words[] = {
	"connect", "helo", "mail", "rcpt", "data", "message", NULL};

const char *const option_mechanism_words[] = {"PLAIN", "LOGIN", "CRAM-MD5",
	"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", NULL};

#define EXTENSION_WORD(id, name) name,
const char *const option_extension_words[] = {SMTP_EXTENSIONS(EXTENSION_WORD) NULL};

static const char *check_account(const char *text)
{
	const char *p = text;

	while (str_is_printable(*p))
		p++;
	return p == text || *p != '\0' ? "an account name is expected" : NULL;
}

static const char *check_hostname(const char *text)
{
	return address_is_domain(str_of(text))
		       ? NULL
		       : "a domain name, or an address in brackets, is expected";
}

/* A macro of the greeting at the start of text, or 0; and the length of the longest text
 * that it may stand for. */
static size_t take_greeting_macro(struct str text, size_t *ret_longest)
{
	static const struct {
		struct str macro;
		size_t longest;
	} macros[] = {
		{STR("%{hostname}"), DOMAIN_MAX},
		{STR("%{protocol}"), sizeof("ESMTP") - 1},
		{STR("%%"), 1},
	};

	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
		struct str macro = macros[i].macro;

		if (text.n >= macro.n && memcmp(text.p, macro.p, macro.n) == 0) {
			*ret_longest = macros[i].longest;
			return macro.n;
		}
	}
	return 0;
}

/* The length is that of the longest name the server may go by, so that the
 * greeting fits into a reply line whatever a hook calls the server. */
static const char *check_greeting(const char *text)
{
	struct str rest = str_of(text);
	size_t length = 0;

	while (rest.n > 0) {
		size_t used = 1, longest = 1;

		if (!str_is_printable(*rest.p))
			return "only printable ASCII characters can be sent";
		if (*rest.p == '%')
			used = take_greeting_macro(rest, &longest);
		if (used == 0)
			return "the only macros are %{hostname}, %{protocol} and %%";
		rest = str_skip(rest, used);
		length += longest;
	}
	if (length == 0)
		return "the greeting is empty";
	return length > GREETING_MAX
		       ? "longer than 506 octets, %{hostname} counted as 255"
		       : NULL;
}

/* Not relative: the server may leave the directory it was started in, and sinkctl is
 * called from another one. */
static const char *check_runtime_dir(const char *text)
{
	if (*text != '/')
		return "an absolute path is expected";
	return strlen(text) <= CONFIG_RUNTIME_DIR_MAX
		       ? NULL
		       : "longer than 80 octets, sockets in it would have no room";
}

static const char *check_log_target(const char *text)
{
	const char *socket_path = syslogd_path(text);

	if (socket_path != NULL)
		return strlen(socket_path) <= SYSLOGD_PATH_MAX
			       ? NULL
			       : "the path of a socket has at most 107 octets";
	return strcmp(text, "stderr") == 0 || *text == '/'
		       ? NULL
		       : "\"stderr\", \"syslog\" or an absolute path is expected";
}

static const char *check_path(const char *text)
{
	const char *error = NULL;

	return mailbox_template_check(text, &error) == 0 ? NULL : error;
}

/* It appears in messages and in the log as it is. */
const char *option_check_file(const char *path)
{
	for (const char *p = path; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return "a path with a control character is not supported";
	return strlen(path) < PATH_MAX ? NULL : "longer than a path can be";
}

/* Not relative: commands run in a directory of their own. */
static const char *check_absolute(const char *path)
{
	return *path == '/' ? option_check_file(path) : "an absolute path is expected";
}

/* Empty: that of the workers. */
static const char *check_command_user(const char *text)
{
	return *text == '\0' ? NULL : check_account(text);
}

static const char *check_line(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return "control characters are not supported";
	return NULL;
}

static const char *check_socket(const char *text)
{
	struct endpoint endpoints[2];
	const char *error = NULL;

	if (endpoint_parse(text, endpoints, &error) < 0)
		return error;
	return endpoints[0].address.ss_family != AF_UNIX &&
			       endpoints_port(&endpoints[0]) == 0
		       ? "a port of 1 to 65535 is expected"
		       : NULL;
}

#define NUMBER(n, k, f, from, to)                                                        \
	.name = (n), .kind = (k), .fallback = (f), .min = (from), .max = (to)
#define COUNT(n, f, from, to) NUMBER(n, OPTION_COUNT, f, from, to)
#define SIZE(n, f, from, to)  NUMBER(n, OPTION_SIZE, f, from, to)
#define TIME(n, f, from)      NUMBER(n, OPTION_TIME, f, from, 7 * DAY)
#define MODE(n, f)            NUMBER(n, OPTION_MODE, f, 0, 0666)
#define WORD(n, f, w)         .name = (n), .kind = OPTION_WORD, .fallback = (f), .words = (w)
#define TEXT(n, f, c)         .name = (n), .kind = OPTION_TEXT, .fallback = (f), .check = (c)
#define NAME(n)               .name = (n), .kind = OPTION_NAME
#define LIST(n)               .name = (n), .kind = OPTION_LIST

#define MEMBER(type, m) .offset = offsetof(type, m), .width = sizeof(((type *)NULL)->m)
#define CONFIG(m)       MEMBER(struct config, m)
#define LISTEN(m)       MEMBER(struct listen_settings, m)
#define DELIVERY(m)     MEMBER(struct delivery_settings, m)
#define RULE(m)         MEMBER(struct rule_text, m)
#define OF_MAILDIR      .types = OPTION_OF_MAILDIR
#define OF_PIPE         .types = OPTION_OF_PIPE
#define OF_MODULE       .types = OPTION_OF_MODULE
#define OF_TEXT         .types = OPTION_OF_MAILDIR | OPTION_OF_PIPE

const struct option option_root[] = {
	{TEXT("hostname", NULL, check_hostname), CONFIG(smtp.hostname)},
	{TEXT("greeting", "%{hostname} %{protocol} sinkd", check_greeting),
		CONFIG(smtp.greeting)},
	{TEXT("user", NULL, check_account), CONFIG(user)},
	{TEXT("group", NULL, check_account), CONFIG(group)},
	{TEXT("runtime-dir", NULL, check_runtime_dir), CONFIG(runtime_dir)},
	{TEXT("spool-dir", "/var/tmp", check_absolute), CONFIG(spool_dir)},
	{0},
};

static const struct option workers_options[] = {
	{COUNT("start", "4", 1, CONFIG_WORKERS_MAX), CONFIG(workers.start)},
	{COUNT("min-spare", "2", 1, CONFIG_WORKERS_MAX), CONFIG(workers.min_spare)},
	{COUNT("max-spare", "8", 1, CONFIG_WORKERS_MAX), CONFIG(workers.max_spare)},
	{COUNT("max", "256", 1, CONFIG_WORKERS_MAX), CONFIG(workers.max)},
	{COUNT("max-sessions", "10000", 0, 1000000000), CONFIG(workers.max_sessions)},
	{WORD("overflow", "queue", overflow_words), CONFIG(workers.overflow)},
	{0},
};

static const struct option limits_options[] = {
	{SIZE("message-size", "20M", 1 * K, 1024 * G), CONFIG(smtp.message_size_max),
		.zero = UINT64_MAX},
	{COUNT("recipients", "1000", 1, 100000), CONFIG(smtp.recipients_max)},
	{COUNT("line-length", "4096", 512, 65536), CONFIG(smtp.line_length_max)},
	{COUNT("errors", "20", 1, 1000000), CONFIG(smtp.errors_max)},
	{COUNT("auth-failures", "3", 1, 1000000), CONFIG(smtp.auth_failures_max)},
	{COUNT("commands-without-mail", "200", 0, 1000000),
		CONFIG(smtp.idle_commands_max)},
	{COUNT("messages-per-session", "0", 0, 999999), CONFIG(smtp.messages_max)},
	{COUNT("sessions-per-client", "0", 0, CONFIG_WORKERS_MAX),
		CONFIG(sessions_per_client)},
	{SIZE("memory-per-session", "1M", 64 * K, 1 * G), CONFIG(smtp.memory_max)},
	{WORD("bare-newline", "normalize", bare_newline_words),
		CONFIG(smtp.bare_newline)},
	{WORD("early-talker", "allow", early_talker_words), CONFIG(early_talker)},
	{0},
};

static const struct option timeouts_options[] = {
	{TIME("command", "5m", TIMEOUT_MIN), CONFIG(timeouts.command_ms)},
	{TIME("data", "3m", TIMEOUT_MIN), CONFIG(timeouts.data_ms)},
	{TIME("data-total", "1h", TIMEOUT_MIN), CONFIG(timeouts.data_total_ms)},
	{TIME("session", "24h", TIMEOUT_MIN), CONFIG(timeouts.session_ms)},
	{TIME("tls", "30s", TIMEOUT_MIN), CONFIG(timeouts.tls_ms)},
	{SIZE("min-rate", "0", 0, 1 * G), CONFIG(timeouts.min_rate)},
	{TIME("grace", "30s", 0), CONFIG(timeouts.grace_ms)},
	{TIME("busy-command", "10s", TIMEOUT_MIN), CONFIG(timeouts.busy_command_ms)},
	{0},
};

static const struct option log_options[] = {
	{TEXT("target", "stderr", check_log_target), CONFIG(log_target)},
	{WORD("format", "text", log_format_words), CONFIG(log_format)},
	{WORD("level", "info", log_level_words), CONFIG(log_level)},
	{0},
};

static const struct option sandbox_options[] = {
	{WORD("level", "kill", sandbox_level_words), CONFIG(sandbox_level)},
	{0},
};

const struct option option_tls[] = {
	{LIST("certificate")},
	{LIST("key")},
	{TEXT("priorities", TLS_DEFAULT_PRIORITIES, tls_check_priorities),
		CONFIG(tls.priorities)},
	{WORD("session-tickets", "true", flag_words), CONFIG(tls.has_tickets)},
	{WORD("client-certificate", "off", client_certificate_words),
		CONFIG(tls.client_certificate)},
	{TEXT("ca-file", NULL, option_check_file), CONFIG(tls.ca_file)},
	{0},
};

const struct option option_policy[] = {
	{TEXT("socket", NULL, check_socket), CONFIG(service.socket)},
	{LIST("stages")},
	{TIME("timeout", "5s", TIMEOUT_MIN), CONFIG(service.timeout_ms)},
	{TEXT("on-failure", "451 4.3.0 Try later", check_line), CONFIG(service_failure)},
	{0},
};

static const struct option sni_options[] = {
	{LIST("certificate")},
	{LIST("key")},
	{0},
};

static const struct option_section tls_inner[] = {
	{"sni", sni_options, NULL},
	{0},
};

const struct option option_auth[] = {
	{LIST("mechanisms")},
	{WORD("accept-any", "false", flag_words), CONFIG(auth.accept_any)},
	{TEXT("users-file", NULL, option_check_file), CONFIG(auth.users_file)},
	{WORD("plaintext-without-tls", "loopback", plaintext_words),
		CONFIG(smtp.plaintext_auth)},
	{0},
};

const struct option_section option_sections[] = {
	{"workers", workers_options, NULL},
	{"limits", limits_options, NULL},
	{"timeouts", timeouts_options, NULL},
	{"tls", option_tls, tls_inner},
	{"auth", option_auth, NULL},
	{"log", log_options, NULL},
	{"sandbox", sandbox_options, NULL},
	{"policy", option_policy, NULL},
	{0},
};

const struct option option_listen[] = {
	{LIST("address")},
	{WORD("protocol", "smtp", protocol_words), LISTEN(smtp.protocol)},
	{LIST("deliver")},
	{WORD("tls", "starttls", listen_tls_words), LISTEN(smtp.tls)},
	{WORD("auth", "off", listen_auth_words), LISTEN(smtp.auth)},
	{LIST("extensions")},
	{LIST("proxy-protocol")},
	{LIST("xclient")},
	{COUNT("backlog", "4096", 1, 65535), LISTEN(backlog)},
	{0},
};

const struct option option_deliver[] = {
	{NAME("type")},
	{WORD("required", "true", flag_words), DELIVERY(is_required)},
	{TEXT("path", NULL, check_path), DELIVERY(path), OF_MAILDIR},
	{WORD("sync", "full", sync_words), DELIVERY(has_sync), OF_MAILDIR},
	{LIST("command"), OF_PIPE},
	{NUMBER("timeout", OPTION_TIME, "60s", 1 * SECOND, 1 * HOUR),
		DELIVERY(pipe.timeout_ms), OF_PIPE},
	{COUNT("max-running", "16", 1, 4096), DELIVERY(pipe.max_running), OF_PIPE},
	{WORD("per-recipient", "false", flag_words), DELIVERY(pipe.is_per_recipient),
		OF_PIPE},
	{LIST("environment"), OF_PIPE},
	{TEXT("directory", "/", check_absolute), DELIVERY(pipe.directory), OF_PIPE},
	{TEXT("user", NULL, check_command_user), DELIVERY(pipe.user), OF_PIPE},
	{WORD("line-ending", "lf", line_ending_words), DELIVERY(line_ending), OF_TEXT},
	{LIST("headers"), OF_TEXT},
	{MODE("file-mode", "0600"), DELIVERY(file_mode), OF_MAILDIR},
	{TEXT("module", NULL, option_check_file), DELIVERY(module), OF_MODULE},
	{0},
};

const struct option option_rule[] = {
	{WORD("on", NULL, stage_words), RULE(entry.rule.stage)},
	{LIST("client")},
	{TEXT("helo", NULL, check_line), RULE(helo)},
	{TEXT("sender", NULL, check_line), RULE(sender)},
	{TEXT("recipient", NULL, check_line), RULE(recipient)},
	{TEXT("user", NULL, check_line), RULE(user)},
	{TEXT("listener", NULL, check_line), RULE(listener)},
	{WORD("tls", "any", rule_tls_words), RULE(entry.rule.tls)},
	{SIZE("size", "0", 0, 1024 * G), RULE(entry.rule.size_min)},
	{COUNT("percent", "100", 0, 100), RULE(entry.rule.percent)},
	{COUNT("seed", "0", 0, 1000000000), RULE(entry.rule.seed)},
	{COUNT("every", "0", 0, 1000000000), RULE(entry.rule.every)},
	{TEXT("rate", "", check_line), RULE(rate)},
	{COUNT("first", "0", 0, 1000000000), RULE(entry.rule.first)},
	{WORD("per", "all", per_words), RULE(entry.rule.per)},
	{WORD("enabled", "true", flag_words), RULE(entry.is_enabled)},
	{WORD("match-address", "false", flag_words), RULE(entry.matches_address)},
	{SIZE("after", "0", 0, 1024 * G), RULE(entry.after)},
	{TEXT("delay", "0s", check_line), RULE(delay)},
	{WORD("action", "reply", action_words), RULE(entry.rule.action)},
	{TEXT("reply", NULL, check_line), RULE(reply)},
	{LIST("deliver")},
	{0},
};

const struct option option_module[] = {
	{TEXT("argument", "", check_line), MEMBER(struct module_settings, argument)},
	{0},
};

const struct option_section option_titled[] = {
	{"listen", option_listen, NULL},
	{"deliver", option_deliver, NULL},
	{"rule", option_rule, NULL},
	{"module", option_module, NULL},
	{0},
};
