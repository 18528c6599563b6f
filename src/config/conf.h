/* The configuration as the program uses it: plain data, immutable, owned by
 * one struct that is freed whole. */
#ifndef SINKD_CONFIG_CONF_H
#define SINKD_CONFIG_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "delivery/delivery.h"
#include "net/listener.h"
#include "net/tls.h"
#include "policy/module.h"
#include "policy/rules.h"
#include "policy/sasl.h"
#include "policy/service.h"
#include "policy/users.h"
#include "smtp/settings.h"

#define CONFIG_WORKERS_MAX 16384

/* So that the name of a socket in it fits an address (107 octets), even one that is
 * bound beside another and then renamed. */
#define CONFIG_RUNTIME_DIR_MAX 80

/* What becomes of a client that finds every worker busy and no more allowed. */
enum overflow { OVERFLOW_QUEUE, OVERFLOW_REFUSE };

/* start <= max and min_spare <= max_spare <= max; none of them is 0. */
struct worker_settings {
	unsigned start;
	unsigned min_spare; /* fewer that are idle: start some */
	unsigned max_spare; /* more that are idle for a while: let some go */
	unsigned max;
	uint64_t max_sessions; /* of one worker; 0: any number */
	enum overflow overflow;
};

/* Absolute limits on time, in milliseconds. */
struct timeout_settings {
	uint64_t command_ms;      /* from our reply to the client's complete line */
	uint64_t data_ms;         /* between reads of a message; for a write of ours */
	uint64_t data_total_ms;   /* a whole message */
	uint64_t session_ms;      /* a whole session */
	uint64_t tls_ms;          /* a handshake */
	uint64_t min_rate;        /* bytes per second of a message; 0: any */
	uint64_t grace_ms;        /* for messages in flight when the server stops */
	uint64_t busy_command_ms; /* instead of command_ms while all workers are busy */
};

/* What becomes of a worker that makes a system call which is not on its list: it is
 * killed, it says which and ends, or there is no list (and no Landlock). */
enum sandbox_level { SANDBOX_KILL, SANDBOX_TRAP, SANDBOX_OFF };

/* A rule as it was written; what it means is in config.rules, at the same place. */
struct rule_text {
	const char *helo; /* patterns; NULL: none */
	const char *sender;
	const char *recipient;
	const char *user;
	const char *listener;
	const char *delay;
	const char *rate; /* "": none */
	const char *reply;
	const size_t *deliveries; /* with action "deliver"; indexes, in their order */
	size_t delivery_count;
	struct rules_entry entry;
	struct pattern *patterns[5]; /* the same as in the entry, to be freed */
};

/* So many have a place in the memory of all workers, and a name in requests. */
#define CONFIG_RULES_MAX     1024
#define CONFIG_RULE_NAME_MAX 63

/* All that is pointed to lives in the arena, but for the users and the patterns of
 * rules. */
struct config {
	struct arena arena;
	const char *file; /* NULL: built in */
	const char *user; /* NULL: not configured */
	const char *group;
	unsigned user_line; /* for messages about them */
	unsigned group_line;
	const char *runtime_dir; /* absolute; NULL: chosen at start */
	const char *spool_dir;   /* absolute; for large messages of pipe sections */
	struct worker_settings workers;
	unsigned sessions_per_client; /* at the same time; 0: any number */
	enum early_talker early_talker;
	struct smtp_settings smtp;
	struct timeout_settings timeouts;
	struct listen_settings *listeners;
	size_t listener_count;
	struct delivery_settings *deliveries;
	size_t delivery_count;
	/* In the order in which they are tried. */
	struct rule_text *rule_texts;
	struct rules_settings rules;
	struct delivery_route *routes; /* of rules; route 1 is routes[0] */
	size_t route_count;
	/* With modules, behind those of rules: one for each deliver section. */
	size_t section_routes; /* how many are before them */
	struct module_settings *modules;
	unsigned *module_lines; /* of the file, where they stand */
	size_t module_count;
	struct service_settings service; /* socket NULL: there is none */
	const char *service_failure;     /* its reply, as it was written */
	struct tls_settings tls;
	struct sasl_settings auth;
	struct users *users;    /* of auth.users_file, on the heap; NULL: none */
	const char *log_target; /* as log_open takes it */
	enum log_format log_format;
	enum log_level log_level;
	enum sandbox_level sandbox_level;
	bool is_verbose; /* -v: commands and replies are logged */
};

/* What the command line lays over the file. */
struct config_overrides {
	const char *const *listen; /* ADDR:PORT, each; replaces all listen sections */
	size_t listen_count;
	/* One of these may replace all deliver sections. */
	const char *maildir;
	bool is_discard;
	char *const *pipe; /* a program and its arguments, then NULL */
	unsigned workers;  /* workers.max, up to CONFIG_WORKERS_MAX; 0: not given */
	bool is_verbose;
	bool is_daemon; /* nobody reads standard error: syslogd takes its place */
};

/* Read, check and complete the configuration.  file NULL: the built-in one.
 * Every mistake is written to errors as "FILE:LINE: text" (or "sinkd: text" for
 * the command line), all of them, not only the first.
 * Returns 0 and *ret, or -EINVAL, or another negative errno when the file
 * cannot be read (also reported). */
int config_load(const char *file, const struct config_overrides *overrides, FILE *errors,
	struct config **ret);
void config_free(struct config *c);

/* Write the effective configuration as a valid file. */
void config_print(const struct config *c, FILE *out);

#endif
