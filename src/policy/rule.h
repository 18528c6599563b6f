/* One rule: whom it concerns, when it fires, and what it does then.  Pure: what is
 * counted is counted by somebody else, together with all workers. */
#ifndef SINKD_POLICY_RULE_H
#define SINKD_POLICY_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/network.h"
#include "base/str.h"

struct pattern;

/* Where in a session it is asked; message: the end of the data, before delivery. */
#define RULE_STAGES(X)                                                                   \
	X(CONNECT, "connect")                                                            \
	X(HELO, "helo")                                                                  \
	X(STARTTLS, "starttls")                                                          \
	X(AUTH, "auth")                                                                  \
	X(MAIL, "mail")                                                                  \
	X(RCPT, "rcpt")                                                                  \
	X(DATA, "data")                                                                  \
	X(BDAT, "bdat")                                                                  \
	X(MESSAGE, "message")                                                            \
	X(RSET, "rset")                                                                  \
	X(NOOP, "noop")                                                                  \
	X(VRFY, "vrfy")                                                                  \
	X(QUIT, "quit")

enum rule_stage {
#define RULE_STAGE_ENUM(id, name) RULE_##id,
	RULE_STAGES(RULE_STAGE_ENUM)
#undef RULE_STAGE_ENUM
		RULE_STAGE_COUNT
};

/* What it does:
 * reply: refuse with the reply; without one: go on to the next rule
 * accept: yes, and nobody else is asked
 * disconnect: close without a word; reset: with a reset of the connection
 * stall: not another word
 * deliver: the recipient goes to other deliver sections
 * drop: accept, and store nothing */
#define RULE_ACTIONS(X)                                                                  \
	X(REPLY, "reply")                                                                \
	X(ACCEPT, "accept")                                                              \
	X(DISCONNECT, "disconnect")                                                      \
	X(RESET, "reset")                                                                \
	X(STALL, "stall")                                                                \
	X(DELIVER, "deliver")                                                            \
	X(DROP, "drop")

enum rule_action {
#define RULE_ACTION_ENUM(id, name) RULE_##id,
	RULE_ACTIONS(RULE_ACTION_ENUM)
#undef RULE_ACTION_ENUM
};

/* The longest wait; a rule is no way to hold a worker for ever. */
#define RULE_DELAY_MAX_MS (60 * 60 * 1000)

/* The largest rate; more than that nobody counts in one window. */
#define RULE_RATE_MAX 10000000

/* What first, every, rate and a delay that grows are counted by. */
enum rule_per {
	RULE_PER_ALL,
	RULE_PER_CLIENT,
	RULE_PER_SENDER,
	RULE_PER_RECIPIENT,
	RULE_PER_SESSION,
};

enum rule_tls { RULE_TLS_ANY, RULE_TLS_WITHOUT, RULE_TLS_WITH };

/* A wait: from least_ms to most_ms, drawn; or, with step_ms, least_ms and so much more
 * with each time the rule fires, up to most_ms. */
struct rule_delay {
	uint32_t least_ms;
	uint32_t most_ms;
	uint32_t step_ms;
};

/* Strings and lists belong to the configuration.  A pattern that is NULL matches
 * anything. */
struct rule_settings {
	const char *name;
	enum rule_stage stage;
	/* whom it concerns; all of it has to hold */
	const struct network *clients; /* none: any */
	size_t client_count;
	const struct pattern *helo;
	const struct pattern *sender;
	const struct pattern *recipient;
	const struct pattern *user;
	const struct pattern *listener;
	enum rule_tls tls;
	uint64_t size_min; /* octets, declared or counted */
	/* when it fires, of the times that it concerns; in this order */
	unsigned percent;
	uint64_t seed;
	uint64_t every; /* the Nth, the 2Nth...; 0: each */
	uint64_t rate;  /* beyond so many in rate_ms; rate_ms 0: any */
	uint64_t rate_ms;
	uint64_t first; /* no more than so many times; 0: any */
	enum rule_per per;
	/* what it does */
	struct rule_delay delay;
	enum rule_action action;
};

/* What is known when it is asked; what is not known yet is empty. */
struct rule_question {
	const struct sockaddr_storage *client;
	uint64_t session; /* a number of its own */
	struct str client_text;
	struct str helo;
	struct str sender;
	struct str recipient;
	struct str user;
	struct str listener;
	bool is_tls;
	uint64_t size;
};

/* How many times the key has come, with this one, in window_ms (0: ever). */
struct rule_counting {
	void *user;
	uint64_t (*count)(void *user, uint64_t key, uint64_t window_ms);
};

/* Their names in the configuration. */
const char *rule_stage_name(enum rule_stage stage);
const char *rule_action_name(enum rule_action action);

/* Whether there is mail at that stage: a sender at least. */
bool rule_stage_has_mail(enum rule_stage stage);

bool rule_concerns(const struct rule_settings *r, const struct rule_question *q);

/* It concerns this: whether it fires, which is counted; and how long to wait then. */
bool rule_fires(const struct rule_settings *r, const struct rule_question *q,
	const struct rule_counting *counting, uint32_t *ret_delay_ms);

/* Times as the configuration has them: "2s", "1s-5s" (drawn), "1s+500ms" (grows),
 * "1s+500ms-30s" (up to 30s); "10/1m" for a rate.  Return NULL and *ret, or static text
 * that says what is wrong. */
const char *rule_parse_delay(const char *text, struct rule_delay *ret);
const char *rule_parse_rate(const char *text, uint64_t *ret_rate, uint64_t *ret_ms);

#endif
