/* The log: one line per event, one write per line.
 *
 *   time=2026-01-02T03:04:05.678Z level=info pid=4711 event=message.accepted \
 *   session=... id=... from=... size=1234
 *   {"time":"2026-01-02T03:04:05.678Z","level":"info","pid":4711,...}
 *
 * Values that hold anything but plain printable characters are quoted and
 * escaped, so a line is always one line whatever a client sent.  Room base and
 * room smtp never log; the caller that handles an error logs it, once. */
#ifndef SINKD_BASE_LOG_H
#define SINKD_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* debug: for developers.  info: normal life.  warn: odd, going on.
 * error: a promise was missed.  fatal: the process ends. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_FATAL };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Every event, with the name it has in the log.  sinkd(8) describes each. */
#define LOG_EVENTS(X)                                                                    \
	X(EV_SERVER_START, "server.start")                                               \
	X(EV_SERVER_STOP, "server.stop")                                                 \
	X(EV_SERVER_SIGNAL, "server.signal")                                             \
	X(EV_SERVER_RELOAD, "server.reload")                                             \
	X(EV_SERVER_FAILED, "server.failed")                                             \
	X(EV_SERVER_RUNTIME, "server.runtime")                                           \
	X(EV_SERVER_UPGRADE, "server.upgrade")                                           \
	X(EV_WORKER_START, "worker.start")                                               \
	X(EV_WORKER_EXIT, "worker.exit")                                                 \
	X(EV_WORKER_THROTTLE, "worker.throttle")                                         \
	X(EV_WORKER_FAILED, "worker.failed")                                             \
	X(EV_WORKER_HUNG, "worker.hung")                                                 \
	X(EV_POOL_FULL, "pool.full")                                                     \
	X(EV_SESSION_START, "session.start")                                             \
	X(EV_SESSION_REFUSED, "session.refused")                                         \
	X(EV_SESSION_EARLY, "session.early")                                             \
	X(EV_SESSION_PROXY, "session.proxy")                                             \
	X(EV_SESSION_XCLIENT, "session.xclient")                                         \
	X(EV_TLS_ACCEPTED, "tls.accepted")                                               \
	X(EV_TLS_FAILED, "tls.failed")                                                   \
	X(EV_AUTH_ACCEPTED, "auth.accepted")                                             \
	X(EV_AUTH_REFUSED, "auth.refused")                                               \
	X(EV_SESSION_COMMAND, "session.command")                                         \
	X(EV_SESSION_REPLY, "session.reply")                                             \
	X(EV_SESSION_END, "session.end")                                                 \
	X(EV_MESSAGE_ACCEPTED, "message.accepted")                                       \
	X(EV_MESSAGE_DISCARDED, "message.discarded")                                     \
	X(EV_MESSAGE_REFUSED, "message.refused")                                         \
	X(EV_MESSAGE_ABORTED, "message.aborted")                                         \
	X(EV_MESSAGE_UNHEARD, "message.unheard")                                         \
	X(EV_DELIVERY_FAILED, "delivery.failed")                                         \
	X(EV_DELIVERY_SKIPPED, "delivery.skipped")                                       \
	X(EV_DELIVERY_CLEANED, "delivery.cleaned")                                       \
	X(EV_COMMAND_END, "command.end")                                                 \
	X(EV_COMMAND_REFUSED, "command.refused")                                         \
	X(EV_LAYER_ASKED, "layer.asked")                                                 \
	X(EV_LAYER_DECIDED, "layer.decided")                                             \
	X(EV_RULE_FIRED, "rule.fired")                                                   \
	X(EV_POLICY_FAILED, "policy.failed")                                             \
	X(EV_POLICY_IGNORED, "policy.ignored")                                           \
	X(EV_MODULE_NOTE, "module.note")                                                 \
	X(EV_ACCEPT_FAILED, "accept.failed")                                             \
	X(EV_SERVER_SANDBOX, "server.sandbox")                                           \
	X(EV_SERVER_CERTIFICATE, "server.certificate")                                   \
	X(EV_KEYS_START, "keys.start")                                                   \
	X(EV_KEYS_EXIT, "keys.exit")                                                     \
	X(EV_KEYS_FAILED, "keys.failed")                                                 \
	X(EV_KEYS_REFUSED, "keys.refused")                                               \
	X(EV_SPAWNER_START, "spawner.start")                                             \
	X(EV_SPAWNER_EXIT, "spawner.exit")                                               \
	X(EV_SPAWNER_FAILED, "spawner.failed")                                           \
	X(EV_CONNECTOR_START, "connector.start")                                         \
	X(EV_CONNECTOR_EXIT, "connector.exit")                                           \
	X(EV_CONNECTOR_FAILED, "connector.failed")                                       \
	X(EV_CONNECTOR_REFUSED, "connector.refused")                                     \
	X(EV_CONTROL_REQUEST, "control.request")                                         \
	X(EV_CONTROL_REFUSED, "control.refused")                                         \
	X(EV_CONTROL_FAILED, "control.failed")                                           \
	X(EV_LOG_LOST, "log.lost")

enum log_event {
#define LOG_EVENT_ENUM(id, name) id,
	LOG_EVENTS(LOG_EVENT_ENUM)
#undef LOG_EVENT_ENUM
};

/* One key=value of a line.  Made with the LOG_* macros below. */
struct log_field {
	const char *key;
	struct str text;
	uint64_t number;
	bool is_number;
};

#define LOG_TEXT(key, cstring) ((struct log_field){(key), str_of(cstring), 0, false})
#define LOG_STR(key, slice)    ((struct log_field){(key), (slice), 0, false})
#define LOG_NUM(key, value)    ((struct log_field){(key), {0}, (uint64_t)(value), true})
/* reason="No such file or directory" of a (positive or negative) errno */
#define LOG_ERRNO(error) ((struct log_field){"reason", log_error_text(error), 0, false})

/* Where lines go, how they look, and which.  target: NULL or "stderr"; "syslog" or
 * "syslog:/path" (see base/syslogd.h); else a path that is opened for append.  Called
 * before the first fork, so that a child ends a line that another process could not.
 * Returns 0 or a negative errno; then the old target stays. */
int log_open(const char *target, enum log_format format, enum log_level level);

/* Take note of our pid, which every line names: once at start, and in a child
 * after a fork.  (getpid(2) is a system call, and lines are many.) */
void log_note_process(void);

/* The descriptor in use, for lists of descriptors that must stay open. */
int log_fd(void);

/* Whether lines go to standard error: until log_open has opened another target. */
bool log_is_stderr(void);

/* From here on, lines of this level and above, in this process. */
void log_set_level(enum log_level level);

bool log_is_on(enum log_level level);

/* The session that following lines of this process belong to; the empty slice
 * ends it.  The text is copied. */
void log_set_session(struct str id);

/* Write one line.  fields ends with a zeroed one.  Never fails; a line is at most
 * 2 KiB, and what does not fit is left out.  A reader that has stopped (a terminal
 * that is held, a collector that hangs) costs its lines, not the server's time: the
 * event log.lost counts them when it goes on.  A LOG_FATAL line that syslogd does not
 * take goes to stderr. */
void log_write(
	enum log_level level, enum log_event event, const struct log_field *fields);

#define log_event(level, event, ...)                                                     \
	do {                                                                             \
		if (log_is_on(level))                                                    \
			log_write(level, event,                                          \
				(const struct log_field[]){__VA_ARGS__, {0}});           \
	} while (0)

struct str log_error_text(int error);

#endif
