/* What the master does when sinkctl asks; see steer.h.
 *
 * Runs in the master, maybe as root.  A request is a command and a number, checked
 * here; what workers say of themselves is copied or added and nothing else. */
#include "proc/steer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "config/conf.h"
#include "net/listener.h"
#include "proc/runtime.h"
#include "proc/slots.h"

/* Answers at one look: signals and dying workers want to be seen to as well. */
#define ANSWERS_MAX 16

static const char *const command_names[CONTROL_COMMANDS] = {
	[CONTROL_SNAPSHOT] = "snapshot",
	[CONTROL_RELOAD] = "reload",
	[CONTROL_STOP] = "stop",
	[CONTROL_DRAIN] = "drain",
	[CONTROL_LOG_LEVEL] = "log-level",
	[CONTROL_VERBOSE] = "verbose",
};

/* ------------------------------------------------------------------ numbers */

struct steer_moment steer_now(void)
{
	return (struct steer_moment){clock_wall_us() / 1000000, clock_monotonic_ms()};
}

#define COPY_TEXT(field, text) (void)str_copy((field), sizeof(field), str_of(text))

/* Clients that nobody has accepted yet.  A Unix socket does not tell. */
static uint64_t count_waiting(const struct listener *l)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);

	if (l->endpoint.address.ss_family == AF_UNIX ||
		getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return 0;
	return info.tcpi_unacked;
}

static void fill_listener(const struct listener *l, struct control_listener *ret)
{
	COPY_TEXT(ret->name, l->settings->name);
	endpoint_format(&l->endpoint, ret->address);
	ret->waiting = count_waiting(l);
}

static void add_counts(struct slot_counts *total, const struct slot_report *report)
{
	total->sessions += report->sessions;
	total->messages_accepted += report->messages;
	total->messages_refused += report->refused;
	total->bytes += report->bytes;
}

static void fill_session(
	const struct slot_report *report, uint32_t number, struct control_session *ret)
{
	ret->number = number;
	ret->served = report->sessions;
	COPY_TEXT(ret->state, report->state);
	COPY_TEXT(ret->client, report->client);
}

static void count_state(struct control_status *status, const char *state)
{
	if (strcmp(state, "idle") == 0)
		status->idle++;
	else if (strcmp(state, "starting") == 0)
		status->starting++;
	else
		status->busy++;
}

/* Rows for the workers there are; returns how many. */
static size_t fill_sessions(const struct steer_view *view, struct control_status *status,
	struct control_session *rows)
{
	struct slot_report report;
	size_t n = 0;

	for (size_t i = 0; i < view->slot_count; i++) {
		struct steer_worker w = view->worker_at(view->user, i);

		if (w.pid <= 0)
			continue;
		slot_read(slots_get(view->slots, i), &report);
		add_counts(&status->totals, &report);
		if (w.generation == status->generation)
			count_state(status, report.state);
		else
			status->old++;
		fill_session(&report, (uint32_t)i + 1, &rows[n]);
		rows[n].pid = w.pid;
		rows[n].generation = w.generation;
		n++;
	}
	return n;
}

static void fill_config(const struct config *c, struct control_status *status)
{
	COPY_TEXT(status->release, PACKAGE_VERSION);
	COPY_TEXT(status->hostname, c->smtp.hostname);
	COPY_TEXT(status->config_file, c->file != NULL ? c->file : "built-in");
	status->limit_start = c->workers_start;
	status->limit_max = c->workers_start;
}

static void fill_times(const struct steer_view *view, struct control_status *status)
{
	uint64_t now_ms = clock_monotonic_ms();

	status->started_s = view->started.unix_s;
	status->reloaded_s = view->loaded.unix_s;
	status->uptime_ms = now_ms - view->started.monotonic_ms;
	status->since_reload_ms = now_ms - view->loaded.monotonic_ms;
}

/* Returns 0 and *ret_fd, or a negative errno. */
static int make_snapshot(const struct steer_view *view, int *ret_fd)
{
	struct control_status status = view->status;
	struct control_listener *listeners =
		calloc(view->listener_count + 1, sizeof(*listeners));
	struct control_session *sessions =
		calloc(view->slot_count + 1, sizeof(*sessions));
	size_t session_count;
	int r = -ENOMEM;

	if (listeners == NULL || sessions == NULL)
		goto out;
	status.pid = getpid();
	fill_config(view->config, &status);
	fill_times(view, &status);
	for (size_t i = 0; i < view->listener_count; i++) {
		fill_listener(&view->listeners[i], &listeners[i]);
		status.waiting += listeners[i].waiting;
	}
	add_counts(&status.totals, view->ended);
	session_count = fill_sessions(view, &status, sessions);
	r = control_snapshot(&status, listeners, view->listener_count, sessions,
		session_count, ret_fd);
out:
	free(listeners);
	free(sessions);
	return r;
}

/* ------------------------------------------------------------------- orders */

static bool is_argument_right(enum control_command command, int32_t argument)
{
	if (command == CONTROL_LOG_LEVEL)
		return argument >= LOG_DEBUG && argument <= LOG_ERROR;
	if (command == CONTROL_VERBOSE)
		return argument == 0 || argument == 1;
	return true;
}

static void answer_snapshot(
	const struct steer_view *view, const struct control_peer *peer)
{
	int snapshot = -1;
	int r = make_snapshot(view, &snapshot);

	control_reply(
		peer, -r, r == 0 ? "" : "the numbers cannot be collected", snapshot);
	(void)fdio_close(&snapshot);
}

static void answer_order(const struct steer_view *view,
	const struct control_request *request, const struct control_peer *peer)
{
	enum control_command command = (enum control_command)request->command;
	const char *text = "no such argument";
	int status = EINVAL;

	if (is_argument_right(command, request->argument))
		status = view->act(view->user, command, request->argument, &text);
	log_event(LOG_INFO, EV_CONTROL_REQUEST,
		LOG_TEXT("command", command_names[command]),
		LOG_NUM("client_pid", peer->pid), LOG_NUM("uid", peer->uid),
		LOG_TEXT("answer", text));
	control_reply(peer, status, text, -1);
}

void steer_open(char runtime[PATH_MAX], int *ret_fd)
{
	int r = runtime_prepare(NULL, runtime);

	if (r == 0)
		r = control_open(runtime, CONTROL_NAME, ret_fd);
	if (r < 0)
		log_event(LOG_WARN, EV_CONTROL_FAILED, LOG_TEXT("step", "open"),
			LOG_TEXT("path", runtime), LOG_ERRNO(r),
			LOG_TEXT("advice", "sinkctl cannot reach this server; give it a "
					   "RUNTIME_DIRECTORY of its own"));
}

/* A worker that was taken over, of a server that is not root's, could have the right user
 * and a socket to send from: that of syslogd. */
static bool is_own_worker(const struct steer_view *view, const struct control_peer *peer)
{
	/* Who is in another namespace has no pid here. */
	for (size_t i = 0; i < view->slot_count && peer->pid > 0; i++)
		if (view->worker_at(view->user, i).pid == peer->pid)
			return true;
	return false;
}

void steer_hear(int control_fd, const struct steer_view *view)
{
	struct control_request request = {0};
	struct control_peer peer = {0};

	if (control_fd < 0)
		return;
	for (int i = 0; i < ANSWERS_MAX; i++) {
		int r = control_receive(control_fd, geteuid(), &request, &peer);

		if (r == 0)
			return;
		if (r < 0)
			continue;
		if (is_own_worker(view, &peer)) {
			log_event(LOG_WARN, EV_CONTROL_REFUSED,
				LOG_NUM("client_pid", peer.pid), LOG_NUM("uid", peer.uid),
				LOG_ERRNO(EPERM));
			control_reply(&peer, EPERM, "permission denied", -1);
			continue;
		}
		if (request.command == CONTROL_SNAPSHOT) {
			answer_snapshot(view, &peer);
			continue;
		}
		answer_order(view, &request, &peer);
		/* What has been done makes the view old. */
		return;
	}
}
